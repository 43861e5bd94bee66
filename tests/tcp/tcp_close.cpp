// SPDX-License-Identifier: BSL-1.0
// How connections end that nobody holds any more, what of them is bounded by what, and what an ICMP error may end.
#include "netstack/tcp/tcp_close.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

auto& mine(tcp_script& t) { return tcp_worker_of(t.net()); }

/// An ICMP error about a segment of ours with this relative sequence number.
void icmp(tcp_script& t, u8 type, u8 code, u32 seq, u32 rest = 0) {
  tcphdr const th{.source = be16{t.our_port}, .dest = be16{t.from_port}, .seq = be32{t.our_isn + seq}};
  bytes segment;
  append(segment, th);
  bytes const quoted =
      datagram{.saddr = our_addr, .daddr = peer_addr, .protocol = ipproto::tcp, .payload = segment}.build();
  t.rig.inject({.payload = icmp_message(type, code, rest, quoted)});
  t.collect();
}
int unreachable(tcp_script& t, u8 code, u32 seq) {
  icmp(t, icmp_type::dest_unreach, code, seq);
  return 0;
}

}  // namespace

// --- orphans

TEST_CASE("tcp_max_orphans: one more that nobody holds is reset", "[S104]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_max_orphans = 2;
  t.listen();
  int fds[3];
  for (u16 i = 0; i < 3; ++i) {
    t.from_port = static_cast<u16>(5000 + i), t.our_isn_known = false;
    t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
    fds[i] = t.accept();
  }
  t.close(fds[0]), t.close(fds[1]);
  CHECK(t.pending.size() == 2);
  t.pending.clear();
  CHECK(tcp_pernet(t.net()).orphan_count == 2);
  t.close(fds[2]);
  t.out("F. 1 ack 1").out("R. 2 ack 1").silent();
  CHECK(tcp_pernet(t.net()).orphan_count == 2);
  CHECK(t.ext().TCPAbortOnMemory.read() == 1);
  t.over();
}

TEST_CASE("peers who keep their window closed, and answer, leave the places of orphans to others",
          "[S104][sockstress]") {
  tcp_script t;
  auto& ns = tcp_pernet(t.net());
  ns.sysctl_tcp_max_orphans = 4;
  ns.sysctl_tcp_retries2 = 8;  // so few that probes never become rare enough to end by themselves
  t.listen(64);
  auto const connection = [&](u16 port) {
    t.from_port = port, t.our_isn_known = false, t.written = 1;
    t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
    return t.accept();
  };
  constexpr u16 first = 5000, deaf = 4;
  u32 isn[deaf];
  for (u16 i = 0; i < deaf; ++i) {
    int const fd = connection(first + i);
    t.in(". 1 ack 1 win 0");
    isn[i] = t.our_isn;
    REQUIRE(t.write(fd, 100));
    t.close(fd);
    t.pending.clear();
  }
  u32 resets = 0;
  auto const answer_for = [&](u32 seconds) {
    for (u32 i = 0; i < seconds; ++i) {
      t.after(1'000);
      for (; !t.pending.empty(); t.pending.pop_front()) {
        auto const& frame = t.pending.front();
        t.from_port = frame.at<tcphdr>(frame.l4()).dest.host(), t.our_isn = isn[t.from_port - first];
        t.read_segment(frame).flags.find('R') != std::string::npos ? void(++resets) : void(t.in(". 1 ack 1 win 0"));
      }
    }
  };
  answer_for(200);
  CHECK((ns.orphan_count == deaf && resets == 0));  // time enough for a slow reader
  answer_for(200);
  CHECK((ns.orphan_count == deaf / 2 && resets == deaf / 2));
  CHECK(t.ext().TCPAbortOnMemory.read() == deaf / 2);
  int const honest = connection(first + deaf);
  REQUIRE(t.write(honest, 100));
  t.close(honest);
  t.out("P. 1:101 ack 1").out("F. 101 ack 1").silent();
  CHECK(ns.orphan_count == deaf / 2 + 1);
}

TEST_CASE("an orphan whose peer says nothing is given up after tcp_orphan_retries", "[S104]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_orphan_retries = 3;
  tcp_pernet(t.net()).sysctl_tcp_retries2 = GENERATE(u8{1}, u8{15});  // says nothing of it
  t.close(t.accepted());
  t.out("F. 1 ack 1");
  t.after(60'000);
  CHECK(t.pending.size() == 4);  // since the first of them, as in Linux
  t.pending.clear();
  CHECK(mine(t).socks.in_use() == 1);
  CHECK(t.ext().TCPAbortOnTimeout.read() == 1);
  t.over();
}

TEST_CASE("an orphan whose peer a router says is not there is given up when it would be asked most rarely", "[S104]") {
  for (bool const told : {false, true}) {
    CAPTURE(told);
    tcp_script t;
    tcp_pernet(t.net()).sysctl_tcp_orphan_retries = 8;  // 200, 400, 800 ms, and six of a second each
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_rto_max_ms", "1000"));
    t.close(t.accepted());
    t.out("F. 1 ack 1").after(100);
    if (told) unreachable(t, icmp_code::host_unreach, 1);
    t.after(60'000);
    CHECK(t.pending.size() == (told ? 3 : 9));
    t.pending.clear();
    CHECK(t.ext().TCPAbortOnTimeout.read() == 1);
    t.over();
  }
}

TEST_CASE("who is given up waits for nothing more, whatever else that was", "[S104][S180]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::keepalive, int{1}));
  t.quiet(1001);  // what would have asked again who was half open is over
  auto const& timers = t.net().worker().timers;
  auto const others = timers.size() - 1;
  REQUIRE(t.write(fd, 10));
  t.close(fd);
  for (u32 s = 0; mine(t).socks.in_use() == 2; ++s) {
    REQUIRE(s < 1000);
    t.after(1000);
  }
  CHECK(timers.size() == others);
  t.over();
}

TEST_CASE("FIN-WAIT-2 that nobody holds lasts tcp_fin_timeout, or TCP_LINGER2; that somebody holds, for ever",
          "[S104]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_fin_timeout = 20'000'000'000;
  int const fd = t.accepted();
  u64 lasts = 20'000;
  SECTION("the setting") { CHECK(getsockopt<int>(t.net(), fd, sol::tcp, tcp_opt::linger2).value() == 20); }
  SECTION("the socket's own") {
    REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::linger2, 5));
    lasts = 5'000;
  }
  SECTION("weeks") {
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_fin_timeout", "2147483"));
    lasts = 2'147'483'000;
  }
  SECTION("closed only after it came to FIN-WAIT-2") {
    t.shutdown(fd, shut::wr);
    t.out("F. 1 ack 1").in(". 1 ack 2");
    t.quiet(300'000);
    CHECK(t.state(fd) == tcp_state::fin_wait2);
  }
  t.close(fd);
  t.pending.clear();
  t.in(". 1 ack 2").silent();
  CHECK(mine(t).timewaits.in_use() == 1);
  CHECK(mine(t).socks.in_use() == 1);
  t.quiet(lasts - 100);
  CHECK(mine(t).timewaits.in_use() == 1);
  t.quiet(200);
  CHECK(mine(t).timewaits.in_use() == 0);
  t.in("F. 1 ack 2").out("R 2").silent();  // too late
  t.over();
}

TEST_CASE("several wait at once: each goes at its own time, whoever came first", "[RFC 9293]") {
  tcp_script t;
  int l = 0;
  u16 from = 4001;
  for (int const linger2 : {30, 10, 20}) {
    t.from_port = from++, t.our_isn_known = false;
    int const fd = l++ == 0 ? t.accepted() : (t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1"), t.accept());
    REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::linger2, linger2));
    t.close(fd);
    t.out("F. 1 ack 1").in(". 1 ack 2").silent();
  }
  t.in("F. 1 ack 2").out(". 2 ack 2").silent();  // the last one: TIME-WAIT, for a minute
  for (auto const& [ms, left] :
       {std::pair{9'900, 3u}, {200, 2u}, {19'800, 2u}, {200, 1u}, {29'800, 1u}, {200, 0u}}) {  // 10, 30 and 60 s
    t.quiet(static_cast<u64>(ms));
    CHECK(mine(t).timewaits.in_use() == left);
  }
  t.over();
}

TEST_CASE("TCP_LINGER2 below zero: no FIN-WAIT-2 at all", "[S104]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::linger2, -1));
  CHECK(getsockopt<int>(t.net(), fd, sol::tcp, tcp_opt::linger2).value() == -1);
  t.close(fd);
  t.out("F. 1 ack 1");
  t.in(". 1 ack 2").out("R 2").silent();
  CHECK(t.ext().TCPAbortOnData.read() == 1);
  CHECK(mine(t).socks.in_use() == 1);
  t.over();
}

TEST_CASE("FIN-WAIT-2 that nobody holds ends, whatever FIN comes with the acknowledgment of ours", "[S104]") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("P. 1:6 ack 1").out(". 1 ack 6");
  t.read(fd, 5);
  t.close(fd);
  t.out("F. 1 ack 6");
  auto& limits = tcp_pernet(t.net()).limits;
  s64 const room = limits.mem[2];
  SECTION("one that lies before what was received is none") {
    t.in("F. 5 ack 2").out(". 2 ack 6").silent();
    CHECK(t.state_name() == "FIN-WAIT-2");
  }
  SECTION("a right one needs no memory, be there none") {
    for (auto& m : limits.mem) m = 0;
    t.in("F. 6 ack 2").out(". 2 ack 7").silent();
    CHECK(t.state_name() == "TIME-WAIT");
  }
  CHECK(tcp_pernet(t.net()).orphan_count == 0);
  CHECK(mine(t).socks.in_use() == 1);
  limits.mem[2] = room;
  t.quiet(61'000);
  CHECK(mine(t).timewaits.in_use() == 0);
  t.over();
}

TEST_CASE("an orphan whose peer answers, and takes nothing, is given up too", "[S104][sockstress]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  SECTION("it never took any of it") {
    t.in(". 1 ack 1 win 0");
    REQUIRE(t.write(fd, 5000));
  }
  SECTION("it took its window back over what is in flight") {
    REQUIRE(t.write(fd, 5000));
    t.in(". 1 ack 1 win 0");
  }
  t.pending.clear();
  auto const answered = [&](int seconds) {
    for (int i = 0; i < seconds / 5; ++i) {
      t.after(5'000);
      if (!t.pending.empty()) t.pending.clear(), t.in(". 1 ack 1 win 0");
    }
  };
  answered(2'000);
  CHECK(t.state(fd) == tcp_state::established);  // MUST-37: as long as somebody holds it
  t.close(fd);
  answered(600);
  CHECK(tcp_pernet(t.net()).orphan_count == 0);
  CHECK(t.ext().TCPAbortOnTimeout.read() == 1);
  CHECK(t.rig.host.worker().pool.in_use() == 0);
  t.pending.clear();
  t.over();
}

TEST_CASE("SO_LINGER: of no time it resets, unsent data or not; with time close() waits for the acknowledgment",
          "[S148]") {
  tcp_script t;
  int const fd = t.accepted();
  SECTION("no time") {
    t.default_win = 0;
    t.in(". 1 ack 1");  // what is written now is not sent
    REQUIRE(t.write(fd, 100));
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::linger, linger{1, 0}));
    t.close(fd);
    t.out("R. 1 ack 1").silent();
    CHECK(t.ext().TCPAbortOnData.read() == 1);
    CHECK(mine(t).socks.in_use() == 1);
  }
  SECTION("a second, and no answer: it comes back, and the connection goes on by itself") {
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::linger, linger{1, 1}));
    // The worker's clock is the test's: each look at it takes a while.
    t.rig.clock.step = 300'000'000;
    u64 const start = t.rig.clock.now;
    t.close(fd);
    t.rig.clock.step = 0;
    CHECK(t.rig.clock.now - start >= 1'000'000'000);
    CHECK(t.rig.clock.now - start < 3'000'000'000);
    CHECK(tcp_pernet(t.net()).orphan_count == 1);
    t.pending.clear();
    t.in(". 1 ack 2").in("F. 1 ack 2").out(". 2 ack 2");
  }
  t.over();
}

// --- an end for which there is no frame

TEST_CASE("a FIN that finds no frame is owed, and sent as soon as there is one: RFC 9293 §3.6", "[S148][S33]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  auto& pool = t.net().worker().pool;
  auto& dev = netdev_priv<rig_dev>(*t.rig.eth0);
  skb_list others;
  auto const take_all = [&] { pool.alloc_bulk(pool.available(), others); };
  auto const give_one = [&] { consume_skb(*others.pop_front()); };
  auto const give_back = [&] { pool.free_list(others); };
  auto const comes = [&](char const* fin) {
    t.after(500);
    REQUIRE(!t.pending.empty());
    t.pending.erase(t.pending.begin(), t.pending.end() - 1);  // an acknowledgment that was owed too, repetitions
    t.out(fin);
  };
  SECTION("nothing is in flight: it is tried again, however long that takes") {
    take_all();
    t.shutdown(fd, shut::wr);
    CHECK(t.write(fd, 1).error() == errc::broken_pipe);
    t.quiet(120'000);
    CHECK(t.state_name() == "FIN-WAIT-1");
    int outq = 0;
    REQUIRE(ioctl(t.net(), fd, sioc::outq, &outq));
    CHECK(outq == 1);
    give_back();
    comes("FP. 1 ack 1");
    comes("FP. 1 ack 1");  // as any other: repeated until it is acknowledged
    t.in(". 1 ack 2").silent();
    CHECK(t.state_name() == "FIN-WAIT-2");
  }
  SECTION("nobody holds it any more") {
    take_all();
    t.close(fd);
    t.quiet(120'000);
    give_back();
    comes("FP. 1 ack 1");
    t.in("F. 1 ack 2").out(". 2 ack 2").silent();
    CHECK(t.state_name() == "TIME-WAIT");
  }
  SECTION("the peer closed first") {
    t.in("F. 1 ack 1").after(6).out(". 1 ack 2");
    take_all();
    t.close(fd);
    t.quiet(1000);
    CHECK(t.state_name() == "LAST-ACK");
    give_back();
    comes("FP. 1 ack 2");
    t.in(". 2 ack 2").silent();
    CHECK(mine(t).socks.in_use() == 1);
  }
  SECTION("what is in flight gives its frame back when it is acknowledged") {
    REQUIRE(t.write(fd, 2000));
    t.out(". 1:1001").out("P. 1001:2001");
    take_all();
    t.shutdown(fd, shut::wr);
    t.silent();
    give_one();
    t.in(". 1 ack 2001").out("F. 2001 ack 1").silent();
    CHECK(t.state_name() == "FIN-WAIT-1");
    t.in(". 1 ack 2002").silent();
    CHECK(t.state_name() == "FIN-WAIT-2");
    give_back();
  }
  SECTION("… or does not, because the device still has it; and the peer closes meanwhile") {
    dev.keeps = true;
    REQUIRE(t.write(fd, 1000));
    t.out("P. 1:1001");
    take_all();
    t.shutdown(fd, shut::wr);
    for (auto const& [segment, state] : {std::pair{". 1 ack 1001", "FIN-WAIT-1"}, {"F. 1 ack 1001", "CLOSING"}}) {
      give_one();  // to receive it
      t.in(segment);
      take_all();
      CHECK(t.pending.size() == (t.state_name() == "CLOSING"));  // its frame was enough to acknowledge a FIN
      t.pending.clear();
      t.quiet(2000);
      CHECK(t.state_name() == state);
    }
    give_back();
    dev.keeps = false;
    CHECK(rig_dev::complete(*t.rig.eth0) == 0);
    t.pending.clear();
    comes("FP. 1001 ack 2");
    t.in(". 2 ack 1002").silent();
    CHECK(t.state_name() == "TIME-WAIT");
  }
  SECTION("a closed window is asked about before") {
    t.in(". 1 ack 1 win 0");
    take_all();
    t.shutdown(fd, shut::wr);
    t.quiet(1000);
    give_back();
    t.after(500).out(". 0 ack 1").silent();  // a probe
    t.in(". 1 ack 1 win 1000").out("F. 1 ack 1").silent();
    t.in(". 1 ack 2").silent();
  }
  SECTION("a RST ends it as ever") {
    take_all();
    t.shutdown(fd, shut::wr);
    give_back();
    t.in("R 1").silent();
    CHECK(t.read_error(fd) == static_cast<int>(errc::connection_reset));
  }
  t.over();
}

// --- TIME-WAIT

TEST_CASE("tcp_max_tw_buckets: beyond it connections end without the wait, and are counted", "[S104]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_max_tw_buckets = 2;
  t.listen();
  for (u16 i = 0; i < 4; ++i) {
    t.from_port = static_cast<u16>(5000 + i), t.our_isn_known = false;
    t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
    t.close(t.accept());
    t.out("F. 1 ack 1").in("F. 1 ack 2").out(". 2 ack 2").silent();
    CHECK(mine(t).timewaits.in_use() == std::min(i + 1u, 2u));
  }
  CHECK(t.ext().TCPTimeWaitOverflow.read() == 2);
  CHECK(mine(t).socks.in_use() == 1);
  t.quiet(60'100);
  CHECK(t.ext().TW.read() == 2);
  t.over();
}

TEST_CASE("FIN-WAIT-2 that is short is counted apart", "[S104][S164]") {
  tcp_script t;
  int const fd = t.accepted();
  tcp_pernet(t.net()).sysctl_tcp_fin_timeout = 3'000'000'000;
  t.close(fd);
  t.out("F. 1 ack 1").in(". 1 ack 2");
  CHECK(mine(t).timewaits.in_use() == 1);
  CHECK(t.ext().TWKilled.read() == 1);
  CHECK(t.ext().TW.read() == 0);
  t.over();
}

TEST_CASE("an old time stamp in TIME-WAIT is counted apart, and backlogs that are full too", "[RFC 7323][S164]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 ts 1000 0");
  auto& sk = t.sk(fd);
  u32 const others = sk.sk_rcvbuf + sk.sk_sndbuf + 1;  // no packet's
  sk.sk_rmem_alloc += others, sk.sk_owned = true;
  t.in("P. 1:5 ack 1 ts 1001 0").silent();
  sk.sk_rmem_alloc -= others, sk.sk_owned = false;
  CHECK(t.ext().TCPBacklogDrop.read() == 1);
  CHECK(t.drops(drop_reason::socket_backlog) == 1);
  t.close(fd);
  t.out("F. 1 ack 1").in("F. 1 ack 2 ts 1002 0").out(". 2 ack 2");
  t.in("P. 1:5 ack 2 ts 900 0").out(". 2 ack 2").silent();
  CHECK(t.ext().PAWSTimewait.read() == 1);
  CHECK(t.ext().PAWSEstab.read() == 0);
  t.over();
}

TEST_CASE("TIME-WAIT of a socket that is bound to a device, whatever the device's number", "[S104]") {
  u32 const ifindex = GENERATE(7u, 65'536u, 70'000u, (1u << 24) - 1, 1u << 24);
  bool const waits = ifindex >> 24 == 0;  // a larger number is not kept
  tcp_script t;
  unregister_netdev(t.net(), *t.rig.eth0);
  t.rig.eth0 = register_netdev<rig_dev>(t.net(), "eth%d", {}, ifindex).value();
  REQUIRE((dev_open(t.net(), *t.rig.eth0) && inet_addr_add(t.net(), ifindex, ipv4_cidr("192.0.2.1/24"))));
  t.rig.know(*t.rig.eth0, peer_addr, peer_mac);
  auto* const other = t.rig.add_device({.mac = mac_addr{{2, 0, 0, 0, 0, 2}}}, "");
  REQUIRE((other->ifindex & 0xffff) != (ifindex & 0xffff));
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::socket, so::bindtoifindex, static_cast<int>(ifindex)));
  t.close(t.accepted());
  t.out("F. 1 ack 1").in("F. 1 ack 2").out(". 2 ack 2").silent();
  CHECK(mine(t).timewaits.in_use() == waits);
  CHECK(t.ext().TCPTimeWaitOverflow.read() == !waits);
  t.in("F. 1 ack 2");  // once more
  waits ? t.out(". 2 ack 2") : t.out("R 2");
  t.silent();
  // The port is taken for its device alone.
  for (u32 const dev : {ifindex, other->ifindex}) {
    int const fd = t.stream();
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::bindtoifindex, static_cast<int>(dev)));
    REQUIRE(netstack::close(t.net(), std::exchange(t.listener, t.stream())));
    auto const bound = bind(t.net(), fd, inet_addr_of({}, tcp_script::port));
    CHECK((bound ? errc{} : bound.error()) == (waits && dev == ifindex ? errc::address_in_use : errc{}));
    t.close(fd);
  }
  t.over();
}

TEST_CASE("TIME-WAIT takes no time stamp that the connection had not agreed on: RFC 7323 §3.2", "[S104]") {
  tcp_script t;
  t.close(t.accepted());
  t.out("F. 1 ack 1");
  if (GENERATE(true, false)) t.in(". 1 ack 2");  // FIN-WAIT-2, of nobody
  t.in("F. 1 ack 2 ts 100 0").out(". 2 ack 2");
  t.in(". 2 ack 2 ts 100 0").silent();
  t.in("F. 1 ack 2 ts 50 0").out(". 2 ack 2").silent();
  CHECK(t.ext().PAWSTimewait.read() == 0);
  t.over();
}

TEST_CASE("a SYN from farther away than its listener allows ends no TIME-WAIT", "[S104][RFC 6191]") {
  tcp_script t;
  t.close(t.accepted());
  t.out("F. 1 ack 1").in("F. 1 ack 2").out(". 2 ack 2");
  REQUIRE(setsockopt(t.net(), t.listener, sol::ip, ip_opt::minttl, 65));  // the peer's segments have 64
  t.in("S 1000 mss 1460").silent();
  CHECK(t.drops(drop_reason::tcp_minttl) == 1);
  CHECK(mine(t).timewaits.in_use() == 1);
  REQUIRE(setsockopt(t.net(), t.listener, sol::ip, ip_opt::minttl, 64));
  t.our_isn_known = false;
  t.in("S 1000 mss 1460").out("S. 0 ack 1001");
  CHECK(mine(t).timewaits.in_use() == 0);
  t.over();
}

TEST_CASE("a socket that is disconnected keeps nothing of the path and the peer, nor TCP_WINDOW_CLAMP, SO_PEEK_OFF",
          "[S98]") {
  tcp_script t;
  int const fd = t.accepted();
  u8 const ratio = t.tp(t.stream()).scaling_ratio;
  t.in("P. 1:901 ack 1");
  u8 const shorter = t.tp(fd).scaling_ratio;
  CHECK((shorter < ratio && t.tp(fd).rcv_mss == 900));  // short segments, of which a buffer holds less
  for (char const* segment : {"P. 901:1501 ack 1", "P. 1501:2401 ack 1", "P. 2401:3001 ack 1", "P. 3001:3901 ack 1"}) {
    t.in(segment);
    CHECK((t.tp(fd).rcv_mss == 900 && t.tp(fd).scaling_ratio == shorter));  // the ends of messages
  }
  t.in("P. 3901:4501 ack 1");
  t.in("P. 4501:5101 ack 1");
  CHECK((t.tp(fd).rcv_mss == 600 && t.tp(fd).scaling_ratio < shorter));
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::window_clamp, 5000));
  tcp_rare_of(t.net(), t.tp(fd)).mtup = {.search_high = 1500, .search_low = 1064, .probe_size = 1280};
  t.tp(fd).mtu_probing = true;
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::peek_off, 7));
  sockaddr_in unspec{};
  unspec.sin_family = af::unspec;
  REQUIRE(connect(t.net(), fd, unspec));
  CHECK(t.tp(fd).sk_err == static_cast<s32>(errc::connection_reset));
  CHECK(getsockopt<int>(t.net(), fd, sol::tcp, tcp_opt::window_clamp).value() == 0);
  CHECK((t.tp(fd).rare->mtup.probe_size == 0 && !t.tp(fd).mtu_probing));
  CHECK(t.tp(fd).scaling_ratio == ratio);
  CHECK(getsockopt<int>(t.net(), fd, sol::socket, so::peek_off).value() == -1);
  t.collect(), t.pending.clear();
  (void)t.connect(fd);
  CHECK(t.tp(fd).sk_err == 0);  // what comes now is a new connection's
  t.collect(), t.pending.clear();
  t.over();
}

TEST_CASE("where both FINs were sent, disconnecting is no error and no RST: RFC 9293 §3.10.5", "[S98][S104]") {
  tcp_script t;
  int const fd = t.accepted();
  sockaddr_in unspec{};
  unspec.sin_family = af::unspec;
  auto const disconnect = [&] {
    REQUIRE(connect(t.net(), fd, unspec));
    t.collect();
    return getsockopt<int>(t.net(), fd, sol::socket, so::error).value();
  };
  SECTION("LAST-ACK") {
    t.in("F. 1 ack 1");
    t.shutdown(fd, shut::wr);
    t.out("F. 1 ack 2");
    CHECK(disconnect() == 0);
  }
  SECTION("CLOSING") {
    t.shutdown(fd, shut::wr);
    t.out("F. 1 ack 1").in("F. 1 ack 1").out(". 2 ack 2");
    CHECK(disconnect() == 0);
  }
  SECTION("but a FIN that the window holds back was not") {
    t.in("F. 1 ack 1 win 0");
    REQUIRE(t.write(fd, 3));
    t.shutdown(fd, shut::wr);
    t.pending.clear();
    CHECK(disconnect() == static_cast<int>(errc::connection_reset));
    t.out("R. 1 ack 2");
  }
  SECTION("and who closes with data unread tells so even then") {
    t.in("FP. 1:6 ack 1");
    t.shutdown(fd, shut::wr);
    t.out("F. 1 ack 7");
    t.close(fd);
    t.out("R. 2 ack 7");
  }
  t.silent();
  t.over();
}

// --- namespaces

TEST_CASE("a namespace goes with connections in every state, and what they had is free again", "[S18][S148]") {
  tcp_script t;
  auto& host = t.rig.host;
  auto& w = tcp_worker_of(t.net());
  auto const here = inet_addr_of(ipv4_addr("127.0.0.1"), 80);
  char bytes[3000]{};
  for (int life = 0; life < 4; ++life) {
    CAPTURE(life);
    auto const made = host.copy_net_ns();
    REQUIRE(made);
    auto& net = **made;
    REQUIRE(dev_open(net, *net.loopback_dev));
    t.rig.run();
    tcp_pernet(net).sysctl_tcp_fastopen = 0x603;  // both sides, without cookies
    auto const stream = [&] { return socket(net, af::inet, sock_type::stream | sock_type::nonblock).value(); };
    int const listener = stream();
    REQUIRE((bind(net, listener, here) && listen(net, listener, 16)));
    auto const pair = [&] {
      int const fd = stream();
      (void)connect(net, fd, here);
      t.rig.run();
      return std::pair{fd, accept(net, listener).value()};
    };
    auto const unread = pair();  // both ways
    REQUIRE((send(net, unread.first, bytes, sizeof bytes) && send(net, unread.second, bytes, sizeof bytes)));
    auto const full = pair();  // an orphan whose data finds no room
    for (int i = 0; i < 2; ++i, t.rig.run())
      for (int n = 0; n < 10'000 && send(net, full.first, bytes, sizeof bytes); ++n) {
      }
    REQUIRE(close(net, full.first));
    auto const ended = pair();  // FIN-WAIT-2 of nobody, or TIME-WAIT
    REQUIRE(close(net, ended.first));
    t.rig.run_for(6'000'000);
    if (life % 2) REQUIRE(close(net, ended.second));
    t.rig.run();
    int const waiting = stream();  // in the accept queue
    (void)connect(net, waiting, here);
    t.rig.run();
    (void)connect(net, stream(), here);  // half open
    if (life & 2) host.poll();
    tcp_fastopen_cache_set(net, *sockfs::table_of(net).find(waiting)->sk, 1460, nullptr, true);
    (void)sendto(net, stream(), bytes, 100, msg::fastopen, here);  // data behind its SYN
    CHECK(w.socks.in_use() >= 8);
    CHECK(w.timewaits.in_use() == 1);
    life % 2 ? host.put_net(net) : host.cleanup_net(net.index);
    host.poll();
    CHECK(!net.alive);
    CHECK(w.socks.in_use() == 0);
    CHECK(w.requests.in_use() == 0);
    CHECK(w.timewaits.in_use() == 0);
    CHECK(w.memory.allocated == 0);
    CHECK(host.worker().pool.in_use() == 0);
    for (auto const& known : w.fastopen_cache) CHECK(known.net != &net);
    t.rig.run_for(200'000'000'000);  // no timer of theirs is left
  }
  t.over();
}

// --- ICMP: RFC 5927, RFC 9293 §3.9.2.2

TEST_CASE("an ICMP error ends an attempt to connect, if it is about its SYN", "[S118][RFC 5927]") {
  for (auto const& [type, code, why] : {std::tuple{icmp_type::dest_unreach, u8{0}, errc::network_unreachable},
                                        {icmp_type::dest_unreach, u8{1}, errc::host_unreachable},
                                        {icmp_type::dest_unreach, u8{3}, errc::connection_refused},
                                        {icmp_type::time_exceeded, u8{0}, errc::host_unreachable},
                                        {icmp_type::parameterprob, u8{0}, errc::protocol_error}}) {
    tcp_script t;
    int const fd = t.stream();
    (void)t.connect(fd);
    t.out("S 0");
    t.from_port = tcp_script::peer_port;
    icmp(t, type, code, 2);  // of no segment of ours
    icmp(t, type, code, 0xffff'ffff);
    CHECK(t.ext().OutOfWindowIcmps.read() == 2);
    CHECK(t.state(fd) == tcp_state::syn_sent);
    icmp(t, type, code, 0);
    CHECK(t.state(fd) == tcp_state::close);
    CHECK(t.connect(fd) == why);
    t.over();
  }
}

TEST_CASE("an ICMP error does not end a connection: it says why, if that ends by itself", "[S118][RFC 5927]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11");
  SECTION("hard or soft") {
    for (u8 code = 0; code < 16; ++code)
      if (code != icmp_code::frag_needed) unreachable(t, code, 1);
    icmp(t, icmp_type::time_exceeded, 0, 1);
    CHECK(t.state(fd) == tcp_state::established);
    CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
    CHECK(t.sk(fd).sk_err_soft == static_cast<s32>(errc::host_unreachable));
    t.in(". 1 ack 11");
    CHECK(t.sk(fd).sk_err_soft == 0);
  }
  SECTION("out of the window, and source quench: nothing") {
    unreachable(t, icmp_code::port_unreach, 12);
    unreachable(t, icmp_code::port_unreach, 0);
    icmp(t, 4, 0, 1);
    CHECK(t.ext().OutOfWindowIcmps.read() == 2);
    CHECK(t.sk(fd).sk_err_soft == 0);
    CHECK(t.tp(fd).snd_cwnd == tcp_init_cwnd);
  }
  SECTION("from a router farther away than IP_MINTTL allows: nothing") {
    REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::minttl, 65));  // what it quotes has 64
    unreachable(t, icmp_code::port_unreach, 1);
    CHECK(t.ext().TCPMinTTLDrop.read() == 1);
    CHECK(t.sk(fd).sk_err_soft == 0);
  }
  SECTION("the peer never answers again: the errno is the error's") {
    unreachable(t, icmp_code::host_unreach, 1);
    t.after(1'000'000), t.pending.clear();
    CHECK(t.state(fd) == tcp_state::close);
    CHECK(t.read_error(fd) == static_cast<int>(errc::host_unreachable));
  }
  SECTION("IP_RECVERR: the next call is told, and the connection goes on") {
    REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::recverr, 1));
    unreachable(t, icmp_code::host_unreach, 1);
    CHECK(t.read_error(fd) == static_cast<int>(errc::host_unreachable));
    CHECK(t.state(fd) == tcp_state::established);
    t.in("P. 1:4 ack 11").out(". 11 ack 4");
    t.read(fd, 3);
  }
  SECTION("too long for the path: cut smaller and sent again, never below the floor") {
    REQUIRE(t.write(fd, 1400));
    t.in(". 1 ack 11").out("P. 11:1411");
    icmp(t, icmp_type::dest_unreach, icmp_code::frag_needed, 5000, 576);
    t.silent();
    icmp(t, icmp_type::dest_unreach, icmp_code::frag_needed, 11, 68);
    CHECK(!t.pending.empty());
    CHECK(t.pending.size() == 3);  // of 512 bytes, as tcp_mtu_to_mss(net.ipv4.route.min_pmtu) says
    t.out(". 11:523").out(". 523:1035").out("P. 1035:1411").silent();
  }
  t.over();
}

TEST_CASE("IP_RECVERR: of a connect() that fails the error queue has the SYN, and who refused it", "[S43][S118]") {
  tcp_script t;
  t.play("connect\n< S 0");
  REQUIRE(setsockopt(t.net(), t.figure, sol::ip, ip_opt::recverr, 1));
  t.play("icmp 3 1 0 0");
  std::array<char, 100> bytes{};
  alignas(8) std::byte control[300];
  iovec const part{bytes.data(), bytes.size()};
  msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
  auto const n = recvmsg(t.net(), t.figure, m, msg::errqueue);
  REQUIRE(n);
  REQUIRE(*n >= 8);
  tcphdr quoted;
  std::memcpy(static_cast<void*>(&quoted), bytes.data(), 8);
  CHECK(quoted.dest.host() == tcp_script::peer_port);
  CHECK(quoted.seq.host() == t.our_isn);
  bool told = false;
  for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
    if (c.level != sol::ip || c.type != ip_opt::recverr) return true;
    auto const ee = c.as<sock_extended_err>();
    CHECK(ee.ee_errno == static_cast<u32>(errc::host_unreachable));
    CHECK(ee.ee_origin == so_ee_origin::icmp);
    return told = true;
  });
  CHECK(told);
  CHECK(t.state(t.figure) == tcp_state::close);
  t.over();
}

TEST_CASE("an ICMP error ends what is half open, if the SYN-ACK cannot arrive", "[S118][RFC 5927]") {
  for (auto const& [type, code, ends] : {std::tuple{icmp_type::dest_unreach, u8{0}, true},
                                         {icmp_type::dest_unreach, u8{1}, true},
                                         {icmp_type::time_exceeded, u8{0}, true},
                                         {icmp_type::parameterprob, u8{0}, true},
                                         {icmp_type::dest_unreach, u8{3}, false},
                                         {icmp_type::dest_unreach, u8{4}, false}}) {
    tcp_script t;
    t.listen();
    t.in("S 0 mss 1460").out("S. 0 ack 1");
    icmp(t, type, code, 1);
    CHECK(t.ext().OutOfWindowIcmps.read() == 1);
    CHECK(mine(t).requests.in_use() == 1);
    icmp(t, type, code, 0);
    CHECK(mine(t).requests.in_use() == (ends ? 0 : 1));
    CHECK(t.ext().ListenDrops.read() == ends);
    t.over();
  }
}

TEST_CASE("an ICMP error about nobody's segment counts as one; about a connection in TIME-WAIT it is nothing",
          "[S118]") {
  tcp_script t;
  unreachable(t, icmp_code::port_unreach, 0);
  CHECK(t.rig.icmp().InErrors.read() == 1);
  t.close(t.accepted());
  t.out("F. 1 ack 1").in("F. 1 ack 2").out(". 2 ack 2");
  unreachable(t, icmp_code::port_unreach, 1);
  CHECK(t.rig.icmp().InErrors.read() == 1);
  CHECK(mine(t).timewaits.in_use() == 1);
  t.over();
}
