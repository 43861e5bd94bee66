// SPDX-License-Identifier: BSL-1.0
// Received data in every arrangement of small cases against the bytes it must give, and at a cost that no sender can
// drive up.
#include "netstack/tcp/tcp_data_queue.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

std::string data(u32 from, u32 to) { return "P. " + std::to_string(from) + ":" + std::to_string(to) + " ack 1"; }

}  // namespace

TEST_CASE("every order of six segments gives the same bytes", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  std::array<u32, 6> order{};
  std::iota(order.begin(), order.end(), 0u);
  u32 base = 1, rounds = 0;
  do {
    for (u32 i : order) t.in(data(base + i * 3, base + i * 3 + 3));
    t.read(fd, 18);
    base += 18;
    ++rounds;
    REQUIRE(t.tp(fd).ofo == nullptr);
    REQUIRE(t.tp(fd).num_sacks == 0);
    t.pending.clear();
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(rounds == 720);
  CHECK(t.tp(fd).rcv_nxt == t.peer_isn + base);
  t.over();
}

TEST_CASE("every three overlapping pieces of six bytes, in every order, give those bytes", "[S147][teardrop]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  std::vector<std::pair<u32, u32>> pieces;
  for (u32 a = 0; a < 6; ++a)
    for (u32 b = a + 1; b <= 6; ++b) pieces.emplace_back(a, b);
  u32 base = 1, cases = 0;
  for (auto const& p : pieces)
    for (auto const& q : pieces)
      for (auto const& r : pieces) {
        for (auto const& [a, b] : {p, q, r}) t.in(data(base + a, base + b));
        t.in(data(base, base + 6));
        t.pending.clear();
        t.read(fd, 6);
        REQUIRE(t.tp(fd).ofo == nullptr);
        base += 6;
        ++cases;
      }
  CHECK(cases == 21 * 21 * 21);
  CHECK(t.read_error(fd) == static_cast<int>(std::errc::resource_unavailable_try_again));
  t.over();
}

TEST_CASE("what is missing is told, the latest first: RFC 2018 §4") {
  tcp_script t;
  (void)t.accepted("mss 1460 sackok");
  t.in(data(11, 21)).out(". 1 ack 1 sack 11-21");
  t.in(data(31, 41)).out(". 1 ack 1 sack 31-41 sack 11-21");
  t.in(data(51, 61)).out(". 1 ack 1 sack 51-61 sack 31-41 sack 11-21");
  t.in(data(71, 81)).out(". 1 ack 1 sack 71-81 sack 51-61 sack 31-41 sack 11-21");
  t.in(data(41, 51)).out(". 1 ack 1 sack 31-61 sack 71-81 sack 11-21");
  t.in(data(1, 11)).out(". 1 ack 21 sack 31-61 sack 71-81");
  t.in(data(21, 31)).out(". 1 ack 61 sack 71-81");
  t.in(data(61, 71)).out(". 1 ack 81").silent();
  t.over();
}

TEST_CASE("a FIN that waits behind a gap is none if data lies behind it") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("F. 2 ack 1").out(". 1 ack 1");
  t.in(data(1, 11)).out(". 1 ack 11").silent();
  CHECK(t.state(fd) == tcp_state::established);
  t.read(fd, 10);
  CHECK(t.read_error(fd) == static_cast<int>(std::errc::resource_unavailable_try_again));
  t.in("F. 11 ack 1").after(45).out(". 1 ack 12").silent();
  CHECK(t.read_error(fd) == 0);
  t.over();
}

TEST_CASE("tcp_dsack: what came twice is not told") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_dsack = 0;
  (void)t.accepted("mss 1460 sackok");
  t.in(data(1, 11)).out(". 1 ack 11");
  t.in(data(1, 11));
  CHECK(t.read_segment(t.pending.front()).sacks.empty());
  t.out(". 1 ack 11").silent();
  CHECK(t.ext().TCPDSACKOldSent.read() == 0);
  t.over();
}

TEST_CASE("what came twice is told first: RFC 2883 §4") {
  tcp_script t;
  (void)t.accepted("mss 1460 sackok");
  t.in(data(1, 11)).out(". 1 ack 11");
  t.in(data(1, 11)).out(". 1 ack 11 sack 1-11");
  t.in(data(21, 31)).out(". 1 ack 11 sack 21-31");
  t.in(data(21, 31)).out(". 1 ack 11 sack 21-31 sack 21-31");
  t.in(data(6, 16)).out(". 1 ack 16 sack 6-11 sack 21-31");
  CHECK(t.ext().TCPDSACKOldSent.read() == 2);
  CHECK(t.ext().TCPDSACKOfoSent.read() == 1);
  // The block around it follows, however late what else came: by that a sender knows what was told.
  t.in(data(41, 51)).out(". 1 ack 16 sack 41-51 sack 21-31");
  t.in(data(21, 26)).out(". 1 ack 16 sack 21-26 sack 21-31 sack 41-51");
  CHECK(t.ext().TCPDSACKOfoSent.read() == 2);
  // What fills a gap may bring what is behind it again; and what joins two blocks, some of the second.
  t.in(data(19, 22)).out(". 1 ack 16 sack 21-22 sack 19-31 sack 41-51");
  t.in(data(16, 45)).out(". 1 ack 51 sack 19-31").silent();  // the first of what came twice
  t.in(data(61, 71)).out(". 1 ack 51 sack 61-71");
  t.in(data(81, 91)).out(". 1 ack 51 sack 81-91 sack 61-71");
  t.in(data(60, 92)).out(". 1 ack 51 sack 61-71 sack 60-92").silent();
  t.over();
}

TEST_CASE("a hundred thousand bytes, every second one: memory is bounded, and so is the cost", "[SegmentSmack]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  u32 const bound = t.sk(fd).sk_rcvbuf + t.rig.host.worker().pool.frame_truesize();
  for (u32 i = 0; i < 20'000; ++i) {
    u32 const seq = 3 + i * 2 % 50'000;
    t.rig.inject({.protocol = ipproto::tcp, .payload = t.bytes_of(tcp_seg::parse(data(seq, seq + 1)))});
    if (i % 64 == 0) t.rig.sent();
    if (t.sk(fd).sk_rmem_alloc > bound) FAIL("beyond the receive buffer");
  }
  CHECK(t.rig.host.worker().pool.in_use() <= bound / t.rig.host.worker().pool.frame_truesize() + 1);
  (void)t.rig.sent();
  t.in(data(1, 3));  // and the connection goes on
  t.pending.clear();
  t.read(fd, 2);
  t.over();
}

TEST_CASE("a full buffer throws away what is out of order, and then refuses", "[S100][S164]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  auto& ext = t.ext();
  t.in(data(2003, 3003));
  t.sk(fd).sk_rcvbuf = 1;  // as if others had filled it
  t.in(data(3, 1003));     // nearer
  CHECK(ext.PruneCalled.read() == 1);
  CHECK(ext.OfoPruned.read() == 1);
  CHECK(ext.RcvPruned.read() == 0);  // now there is room
  CHECK(t.tp(fd).num_sacks == 1);
  t.sk(fd).sk_rmem_alloc += 2;  // no packet's
  t.in(data(4003, 5003));
  CHECK(ext.PruneCalled.read() == 2);
  CHECK(ext.RcvPruned.read() == 1);
  CHECK(ext.TCPOFODrop.read() == 1);
  CHECK(ext.OfoPruned.read() == 1);  // what is nearer stays
  t.sk(fd).sk_rmem_alloc -= 2;
  t.pending.clear();
  t.over();
}

TEST_CASE("what came behind a gap is kept for so many connections at a time as there is room for", "[S147][S164]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  auto& ofos = tcp_worker_of(t.net()).ofos;
  std::vector<tcp_ofo*> others;
  while (tcp_ofo* const other = ofos.alloc()) others.push_back(other);
  t.in(data(6, 11)).out(". 1 ack 1");
  CHECK(t.tp(fd).ofo == nullptr);
  CHECK(t.ext().TCPOFODrop.read() == 1);
  CHECK(t.drops(drop_reason::proto_mem) == 1);
  CHECK(t.sk(fd).sk_rmem_alloc == 0);
  ofos.free(others.back());
  others.pop_back();
  t.in(data(6, 11)).out(". 1 ack 1 sack 6-11");
  CHECK(t.tp(fd).ofo != nullptr);
  t.in(data(1, 6)).out(". 1 ack 11");
  CHECK(t.tp(fd).ofo == nullptr);
  CHECK(ofos.in_use() == others.size());
  t.read(fd, 10);
  for (tcp_ofo* const other : others) ofos.free(other);
  t.over();
}

TEST_CASE("the echo of who did not agree to time stamps is no round trip: RFC 7323 §3.2", "[RFC 7323]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.after(10);
  u32 const clock = tcp_time_stamp(t.net()) + t.tp(fd).tsoffset;
  t.in("P. 1:1001 ack 1 ts 5 " + std::to_string(clock - 90'000));
  CHECK(t.tp(fd).rcv_rtt_us == 0);
  CHECK(t.tp(fd).rcv_rtt_time != 0);  // it is measured by windows
  t.read(fd, 1000);
  t.over();
}

TEST_CASE("the echo of a time stamp of two minutes ago, or of the future, is no round trip", "[RFC 7323]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 ts 1 0");
  t.after(10);
  u32 const clock = tcp_time_stamp(t.net()) + t.tp(fd).tsoffset;
  auto const measured = [&](u32 from, u32 tsecr) {
    t.in(data(from, from + 988) + " ts 2 " + std::to_string(tsecr));
    return t.tp(fd).rcv_rtt_us != 0;
  };
  CHECK(!measured(1, clock - 120'010));
  CHECK(!measured(989, clock + 10));
  CHECK(measured(1977, clock - 50));
  t.read(fd, 2964);
  t.over();
}

TEST_CASE("a FIN out of order waits for what is before it", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  t.in("FP. 6:11 ack 1").out(". 1 ack 1 sack 6-12");
  CHECK(t.state(fd) == tcp_state::established);
  t.in(data(1, 6)).out(". 1 ack 12").silent();
  CHECK(t.state(fd) == tcp_state::close_wait);
  t.read(fd, 10);
  CHECK(t.read_error(fd) == 0);
  t.over();
}

TEST_CASE("a bare FIN behind merged segments that wait for what is missing", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  t.in(data(11, 21)).out(". 1 ack 1 sack 11-21");
  // As a GRO leaves it: the second half in a frag.
  sk_buff& last = *t.tp(fd).ofo->queue.rbegin();
  u32 const frame = last.pool->alloc_frame();
  std::memcpy(last.pool->frame_data(frame), last.data + 5, 5);
  last.trim(5);
  skb_add_rx_frag(last, 0, frame, 0, 5, 0);
  t.in("F. 21 ack 1").out(". 1 ack 1 sack 11-22");
  t.in(data(1, 11)).out(". 1 ack 22");
  t.read(fd, 20);
  t.over();
}

TEST_CASE(
    "after each of three pieces of five bytes and a FIN, what is acknowledged and told is what a table of bytes says",
    "[S147][SHLD-31]") {
  struct piece {
    u32 from, to;  // the sixth is the FIN
  };
  std::vector<piece> pieces;
  for (u32 from = 0; from < 6; ++from)
    for (u32 to = from + 1; to <= 6; ++to) pieces.push_back({from, to});
  auto const text = [](piece const& p) {
    u32 const end = std::min(p.to, 5u);
    std::string const range = std::to_string(1 + p.from) + (end > p.from ? ":" + std::to_string(1 + end) : "");
    return (p.to == 6 ? "F. " : ". ") + range + " ack 1";
  };
  u32 cases = 0;
  for (auto const& p : pieces)
    for (auto const& q : pieces)
      for (auto const& r : pieces) {
        tcp_script t;
        int const fd = t.accepted("mss 1460 sackok");
        bool have[7]{};
        for (auto const& now : {p, q, r}) {
          t.in(text(now));
          std::fill(have + now.from, have + now.to, true);
          u32 const next = static_cast<u32>(std::find(have, have + 6, false) - have);
          std::vector<std::pair<u32, u32>> want;
          for (u32 i = next; i < 6; ++i) {
            if (have[i] && !have[i - 1]) want.emplace_back(1 + i, 1 + i);
            if (have[i]) want.back().second = 2 + i;
          }
          if (next == 6) t.after(45);  // the end of all waits for what we say next
          REQUIRE(!t.pending.empty());
          REQUIRE(t.read_segment(t.pending.back()).ack == 1 + next);
          t.pending.clear();
          auto const& tp = t.tp(fd);
          std::vector<std::pair<u32, u32>> told;
          for (u8 i = 0; i < tp.num_sacks; ++i)
            told.emplace_back(tp.ofo->selective_acks[i].start_seq - t.peer_isn,
                              tp.ofo->selective_acks[i].end_seq - t.peer_isn);
          std::sort(told.begin(), told.end());
          REQUIRE(told == want);
          REQUIRE(t.state(fd) == (next == 6 ? tcp_state::close_wait : tcp_state::established));
        }
        ++cases;
      }
  CHECK(cases == 21 * 21 * 21);
}
