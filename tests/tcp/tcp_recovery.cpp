// SPDX-License-Identifier: BSL-1.0
// Losses, and what is taken for one: how they are found (RACK, the tail loss probe, duplicate acknowledgments, the
// timer), how fast they are repaired (PRR), when a repair turns out not to have been needed (F-RTO, time stamps,
// DSACK), and what a receiver may make up without costing us more than its due. Segments are numbered from 1 and hold
// 1000 bytes; a round trip takes 100 ms.
#include "netstack/tcp/tcp_recovery.hpp"

#include <ctime>

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

/// What the peer answers once it has everything up to segment n.
std::string ack(u32 n) { return ". 1 ack " + std::to_string(1 + n * 1000); }
/// … and segments a to b.
std::string sack(u32 a, u32 b) {
  return " sack " + std::to_string(a * 1000 - 999) + "-" + std::to_string(1 + b * 1000);
}
std::string seg(u32 n) { return std::to_string(n * 1000 - 999) + ":" + std::to_string(1 + n * 1000); }

template <class Host = tcp_script_host>
struct basic_episode : basic_tcp_script<Host> {
  using basic_tcp_script<Host>::tp;
  using basic_tcp_script<Host>::ext;
  int fd;

  explicit basic_episode(std::string const& options = "sackok", u64 rtt = 100) {
    this->listen();
    bool const stamped = options.find("ts") != std::string::npos;
    this->in("S 0 mss " + std::to_string(stamped ? 1012 : 1000) + " " + options).out("S. 0 ack 1").after(rtt);
    this->in(stamped ? ". 1 ack 1 ts 1 " + std::to_string(stamp()) : ". 1 ack 1").silent();
    fd = this->accept();
    this->sk(fd).sk_sndbuf = 8 << 20;
  }
  tcp_sock& tp() { return tp(fd); }
  void set(char const* name, char const* value) {
    REQUIRE(sysctl_write(this->net(), std::string("net/ipv4/") + name, value));
  }
  /// Our clock's time stamp now.
  u32 stamp() {
    auto const* s = inet_lookup_established(this->net(), inet_ehash_key{peer_addr, our_addr, be16{4000}, 80, 0});
    return tcp_time_stamp(this->net()) + (s ? tcp_sk(*s).tsoffset : 0);
  }
  /// Writes n more segments; those that may leave at once, do.
  basic_episode& write(u32 n) {
    REQUIRE(basic_tcp_script<Host>::write(fd, n * 1000).value() == n * 1000);
    return *this;
  }
  /// The next that leave are these.
  basic_episode& leave(u32 from, u32 to) {
    for (u32 n = from; n <= to; ++n) {
      INFO("expected: segment " << n);
      REQUIRE(!this->pending.empty());
      bool const push = this->pending.front().template at<tcphdr>(this->pending.front().l4()).flags & tcp_flag::psh;
      this->out((push ? "P. " : ". ") + seg(n));
    }
    return *this;
  }
  basic_episode& leaves(u32 n) { return leave(n, n); }
  basic_episode& after(u64 ms) { return basic_tcp_script<Host>::after(ms), *this; }
  basic_episode& quiet(u64 ms) { return basic_tcp_script<Host>::quiet(ms), *this; }
  basic_episode& in(std::string const& text) { return basic_tcp_script<Host>::in(text), *this; }
  basic_episode& silent() { return basic_tcp_script<Host>::silent(), *this; }
  /// n segments leave and arrive, a round trip later, in order.
  basic_episode& calm(u32 n) {
    u32 const first = this->written / 1000 + 1;
    write(n).leave(first, first + n - 1).after(100).in(ack(first + n - 1)).silent();
    return *this;
  }
};
using episode = basic_episode<>;

}  // namespace

// --- RACK -----------------------------------------------------------------------------------------------------------

TEST_CASE("a segment is lost once a later one arrived and a quarter round trip passed: RFC 8985 §6.2", "[S147]") {
  episode t;
  t.write(5).leave(1, 5).after(100);
  t.in(ack(0) + sack(2, 2)).quiet(25).after(4).leaves(1).silent();  // min RTT / 4, and 2 ms
  CHECK(t.tp().ca_state == tcp_ca_state::recovery);
  CHECK(t.ext().TCPSackRecovery.read() == 1);
  CHECK(t.ext().TCPFastRetrans.read() == 1);
  t.after(96).in(ack(5)).silent();
  CHECK(t.tp().ca_state == tcp_ca_state::open);
  CHECK(t.tp().snd_cwnd == t.tp().snd_ssthresh);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("three that overtook it are enough where nothing was ever reordered: RFC 8985 §6.2, RFC 5681 §3.2") {
  for (char const* bits : {"1", "5"}) {  // TCP_RACK_NO_DUPTHRESH
    episode t;
    t.set("tcp_recovery", bits);
    t.write(5).leave(1, 5).after(100);
    t.in(ack(0) + sack(2, 3)).silent().in(ack(0) + sack(2, 4));
    if (*bits == '5') t.quiet(25).after(4);
    t.leaves(1).silent();
    t.in(ack(5)).over();
  }
}

TEST_CASE("only what was sent before something that arrived is lost: RFC 8985 §6.2 step 5") {
  episode t;
  t.write(4).leave(1, 4).after(50).write(4).leave(5, 8).after(50);
  t.in(ack(0) + sack(2, 4)).leaves(1).silent();
  t.quiet(99);  // 5 to 8 left later than 4
  CHECK(t.tp().lost_out == 1);
  t.in(ack(8)).silent().over();
}

TEST_CASE("reordering widens the window, DSACK by a step more, and sixteen recoveries narrow it: RFC 8985 §6.2") {
  episode t;
  t.write(6).leave(1, 6).after(100);
  t.in(ack(0) + sack(2, 3)).after(5).in(ack(6)).silent();  // 1 was only late
  CHECK(t.tp().reord_seen);
  CHECK(t.ext().TCPSACKReorder.read() == 1);
  CHECK(t.tp().reordering == tcp_fastretrans_thresh);
  t.write(6).leave(7, 12).after(100);
  t.in(ack(6) + sack(8, 12)).quiet(25).after(4).leaves(7).silent();  // five overtook it: it has its time still
  t.in(ack(12)).after(100).in(ack(12) + sack(7, 7)).silent();        // it came twice
  CHECK(t.ext().TCPDSACKRecv.read() == 1);
  CHECK(t.ext().TCPDSACKUndo.read() == 1);
  CHECK(t.tp().rack_reo_wnd_steps == 2);
  t.write(6).leave(13, 18).after(100);
  t.in(ack(12) + sack(14, 18)).quiet(50).after(4).leaves(13).silent().after(96).in(ack(18)).silent();
  for (u32 i = 0; i < 15; ++i) {
    u32 const n = 19 + i * 5;
    t.tp().snd_cwnd = 10;
    t.write(5).leave(n, n + 4).after(100).in(ack(n - 1) + sack(n + 1, n + 4));
    t.after(100).leaves(n).silent().in(ack(n + 4)).silent();
  }
  CHECK(t.tp().rack_reo_wnd_steps == 1);
  t.over();
}

TEST_CASE("the degree of reordering is remembered, up to tcp_max_reordering") {
  episode t;
  t.set("tcp_max_reordering", "6");
  t.write(10).leave(1, 10).after(100);
  t.in(ack(0) + sack(5, 6)).in(ack(6)).silent();
  CHECK(t.tp().reordering == 5);
  t.in(ack(6) + sack(10, 10)).after(1).in(ack(10));
  t.write(20).leave(11, 24).after(100);
  t.in(ack(10) + sack(22, 22)).in(ack(22));
  CHECK(t.tp().reordering == 6);
  CHECK(t.ext().TCPSACKReorder.read() >= 2);
  t.pending.clear();
  t.over();
}

TEST_CASE("a repetition that is lost is missed like any other: RFC 8985 §3.2") {
  episode t;
  t.write(20).leave(1, 10).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1).leaves(11).silent();
  t.in(ack(0) + sack(2, 8)).leaves(12).silent();  // sent after 1 was repeated
  t.after(100).in(ack(0) + sack(2, 8) + sack(11, 12));
  CHECK(t.ext().TCPLostRetransmit.read() == 1);
  t.leaves(1);
  t.pending.clear();
  t.after(100).in(ack(12));
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.pending.clear();
  t.over();
}

// --- the tail loss probe
// ----------------------------------------------------------------------------------------------

TEST_CASE("a lost tail is repaired by a probe after two round trips, without a timeout: RFC 8985 §7") {
  episode t;
  t.calm(5).write(5).leave(6, 10).after(100).in(ack(8)).silent();  // 9 and 10 are lost
  t.quiet(200).after(4).leaves(10).silent();                       // 2 SRTT and 2 ms
  CHECK(t.ext().TCPLossProbes.read() == 1);
  t.after(100).in(ack(8) + sack(10, 10));
  t.after(30).leaves(9).silent();
  t.after(100).in(ack(10)).silent();
  CHECK(t.ext().TCPTimeouts.read() == 0);
  CHECK(t.ext().TCPSackRecovery.read() == 1);
  CHECK(t.tp().snd_cwnd < 10);
  t.over();
}

TEST_CASE("what the probe repairs alone was a loss all the same: RFC 8985 §7.4") {
  episode t;
  t.calm(5).write(5).leave(6, 10).after(100).in(ack(9)).silent();
  u32 const cwnd = t.tp().snd_cwnd;
  t.after(500).leaves(10).silent();  // one is out: the peer may have waited to acknowledge it
  t.after(100).in(ack(10)).silent();
  t.calm(1);
  CHECK(t.ext().TCPLossProbeRecovery.read() == 1);
  CHECK(t.tp().snd_cwnd < cwnd);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("a probe that came twice was needless: by DSACK, or by a plain duplicate: RFC 8985 §7.4.2") {
  for (bool const dsack : {true, false}) {
    episode t;
    t.calm(5).write(5).leave(6, 10).after(100).in(ack(9)).silent();
    u32 const cwnd = t.tp().snd_cwnd;
    t.after(500).leaves(10).silent();
    t.write(1).leaves(11);
    t.in(ack(10));
    t.in(ack(10) + (dsack ? sack(10, 10) : "")).silent();
    CHECK(!t.tp().tlp_outstanding);
    t.after(100).in(ack(11)).silent();
    CHECK(t.ext().TCPLossProbeRecovery.read() == 0);
    CHECK(t.tp().snd_cwnd >= cwnd);
    CHECK(t.tp().rack_reo_wnd_steps == 1);  // it says nothing of reordering
    t.over();
  }
}

TEST_CASE("a probe is something new if there is, and one at a time: RFC 8985 §7.3") {
  episode t;
  t.write(12).leave(1, 10);  // the congestion window holds back the rest
  t.quiet(200).after(4).leaves(11).silent();
  CHECK(t.ext().TCPLossProbes.read() == 1);
  t.quiet(100).after(400).leaves(1).silent();  // the second time it is the timer
  CHECK(t.ext().TCPTimeouts.read() == 1);
  t.pending.clear();
  t.over();
}

TEST_CASE("tcp_early_retrans 0, or no SACK: no probe") {
  for (bool const with_sack : {true, false}) {
    episode t(with_sack ? "sackok" : "");
    if (with_sack) t.set("tcp_early_retrans", "0");
    t.write(5).leave(1, 5).quiet(290).after(20).leaves(1).silent();  // SRTT 100 ms, RTTVAR bounded by 200 ms
    CHECK(t.ext().TCPLossProbes.read() == 0);
    t.in(ack(5));
    t.pending.clear();
    t.over();
  }
}
