// SPDX-License-Identifier: BSL-1.0
// What is sent, when and in which pieces: windows both ways, Nagle, probes, the retransmission timer, fast retransmit
// with and without SACK, and that a frame which a driver still has is never written.
#include "netstack/tcp/tcp_output.hpp"

#include "netstack/core/dev_config.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

// --- pieces and windows

TEST_CASE("data leaves in full segments as far as the congestion window allows: RFC 6928, RFC 5681 §3.1, RFC 3465") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.tp(fd).sk_sndbuf = 1 << 20;
  REQUIRE(t.write(fd, 30'000).value() == 30'000);
  for (u32 i = 0; i < 10; ++i) t.out(". " + std::to_string(1 + i * 1000) + ":" + std::to_string(1001 + i * 1000));
  t.silent();
  t.in(". 1 ack 2001");  // slow start: two were acknowledged, four leave
  for (u32 i = 10; i < 14; ++i) t.out(". " + std::to_string(1 + i * 1000) + ":" + std::to_string(1001 + i * 1000));
  t.silent();
  t.over();
}

TEST_CASE("the peer's window is never exceeded, and what it takes back is respected: RFC 9293 §3.8.6") {
  tcp_script t;
  t.default_win = 2500;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 6000).value() == 6000);
  t.out(". 1:1001").out(". 1001:2001").silent();  // RFC 1122 §4.2.3.4: no silly third of 500
  t.in(". 1 ack 2001 win 1500").out(". 2001:3001").silent();
  t.in(". 1 ack 3001 win 3000").out(". 3001:4001").out(". 4001:5001").out("P. 5001:6001").silent();
  t.over();
}

TEST_CASE("Nagle: a small segment waits while another is in flight; TCP_NODELAY, TCP_CORK and MSG_MORE: RFC 896") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11");
  REQUIRE(t.write(fd, 10));
  REQUIRE(t.write(fd, 10));
  t.silent();
  t.in(". 1 ack 11").out("P. 11:31").silent();  // together
  t.in(". 1 ack 31");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::nodelay, 1));
  REQUIRE(t.write(fd, 10));
  REQUIRE(t.write(fd, 10));
  t.out("P. 31:41").out("P. 41:51").silent();
  t.in(". 1 ack 51");
  REQUIRE(t.write(fd, 10, msg::more));
  t.silent();
  REQUIRE(t.write(fd, 10));
  t.out("P. 51:71").silent();
  t.in(". 1 ack 71");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::cork, 1));
  REQUIRE(t.write(fd, 1500));
  t.out(". 71:1071").silent();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::cork, 0));
  t.collect();
  t.out("P. 1071:1571").silent();
  t.over();
}

TEST_CASE("what MSG_MORE holds back waits for more of it while the peer only sends, 200 ms at most") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.in("P. 1:6 ack 1").out(". 1 ack 6");
  REQUIRE(t.write(fd, 10, msg::more));
  t.in("P. 6:11 ack 1").quiet(39).after(2).out(". 1 ack 11").silent();
  SECTION("more is written") {
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:21 ack 11");
  }
  SECTION("nothing is") { t.quiet(150).after(10).out("P. 1:11"); }
  SECTION("the window changes") { t.in(". 11 ack 1 win 60000").out(". 1:11"); }
  SECTION("the peer ends") { t.in("F. 11 ack 1").out(". 1:11 ack 12"); }
  SECTION("something before it is acknowledged, be it with data") {
    REQUIRE(t.write(fd, 1000, msg::more));  // 990 of it fill the first
    t.out(". 1:1001").silent();
    t.in("P. 11:16 ack 1").pending.clear();
    t.in("P. 16:21 ack 1001").out(". 1001:1011 ack 21");
  }
  SECTION("Nagle holds it back as well, and lets it go") {
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:21 ack 11");
    REQUIRE(t.write(fd, 10));
    t.in("P. 11:16 ack 1").pending.clear();
    t.in("P. 16:21 ack 21").out("P. 21:31 ack 21");
  }
  t.silent();
  t.over();
}

TEST_CASE("who was stopped for hours finds his timers due") {
  for (u64 const hours : {1u, 2u, 3u, 4u, 30u}) {
    CAPTURE(hours);
    tcp_script t;
    int const fd = t.accepted("mss 1000");
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:11");
    t.rig.clock.advance(hours * 3'600'000'000'000);
    t.after(0).out("P. 1:11").silent();
    t.in(". 1 ack 11").silent();
    t.over();
  }
}

TEST_CASE("MSG_EOR: what is written later is no part of the segment that ends a record") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11");
  REQUIRE(t.write(fd, 10, msg::eor));
  t.silent();
  REQUIRE(t.write(fd, 10));
  t.out("P. 11:21");  // nothing can be added to it any more, so Nagle's rule says nothing of it
  REQUIRE(t.write(fd, 10));
  t.silent().in(". 1 ack 21").out("P. 21:41").silent();
  t.in(". 1 ack 41 win 0");
  REQUIRE(t.write(fd, 1500, msg::eor));  // of the segments of one call only the last ends it
  REQUIRE(t.write(fd, 600));
  t.in(". 1 ack 41 win 9000").out(". 41:1041").out("P. 1041:1541").silent();
  t.in(". 1 ack 1541").out("P. 1541:2141").silent();
  t.over();
}

TEST_CASE("MSG_EOR holds in the pieces of a segment that a small window cuts") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.in(". 1 ack 1 win 0");
  REQUIRE(t.write(fd, 900, msg::eor));
  t.in(". 1 ack 1 win 600").after(300).out("P. 1:601").silent();
  REQUIRE(t.write(fd, 10));
  t.in(". 1 ack 601 win 9000").out("P. 601:901").silent();
  t.in(". 1 ack 901").out("P. 901:911").silent();
  t.over();
}

TEST_CASE("MSG_EOR: the search for the path's MTU joins no records", "[RFC 4821]") {
  for (u32 const flags : {0u, u32{msg::eor}}) {
    tcp_script t;
    tcp_pernet(t.net()).sysctl_tcp_mtu_probing = 2;
    int const fd = t.accepted("mss 1460");
    t.tp(fd).snd_cwnd = 30;
    t.in(". 1 ack 1 win 0");
    REQUIRE(t.write(fd, 1100, flags));
    REQUIRE(t.write(fd, 20'000));
    t.in(". 1 ack 1 win 60000").out(flags ? ". 1:1025" : ". 1:1243");
    t.collect(), t.pending.clear();
    t.over();
  }
}

TEST_CASE("the path's MTU is searched while nothing seems lost, or out of order", "[RFC 4821]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_mtu_probing = 2;
  int const fd = t.accepted("mss 1460");
  t.tp(fd).snd_cwnd = 30;
  REQUIRE(t.write(fd, 3072));  // too little for a probe
  t.out(". 1:1025").out(". 1025:2049").out("P. 2049:3073");
  t.in(". 1 ack 1");
  CHECK(t.tp(fd).ca_state == tcp_ca_state::disorder);
  REQUIRE(t.write(fd, 20'480));
  for (u32 seq = 3073; seq < 23'553; seq += 1024)
    t.out((seq + 1024 == 23'553 ? "P. " : ". ") + std::to_string(seq) + ":" + std::to_string(seq + 1024));
  t.in(". 1 ack 23553").silent();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::open);
  REQUIRE(t.write(fd, 20'000));
  t.out(". 23553:24795");
  t.pending.clear();
  t.over();
}

TEST_CASE("TCP_NODELAY sends what TCP_CORK holds back, if not now, when it can; what comes later waits", "[RFC 896]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::cork, 1));
  t.in(". 1 ack 1 win 0");
  REQUIRE(t.write(fd, 10));
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::nodelay, 1));
  t.collect();
  t.silent().in(". 1 ack 1 win 9000").out("P. 1:11").silent();
  t.in(". 1 ack 11");
  REQUIRE(t.write(fd, 10));
  t.silent();
  t.over();
}

TEST_CASE("a closed window is asked about ever more rarely, and for as long as the peer answers: RFC 9293 §3.8.6.1") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.in(". 1 ack 1 win 0");
  REQUIRE(t.write(fd, 500));
  t.silent();
  u64 wait = inet_csk(t.sk(fd)).icsk_rto / 1000;
  for (int i = 0; i < 5; ++i, wait *= 2) {
    t.quiet(wait - 2).after(4).out(". 0").silent();
    t.in(". 1 ack 1 win 0");
  }
  CHECK(t.ext().TCPWinProbe.read() == 5);
  t.in(". 1 ack 1 win 400").quiet(1).after(200'000);  // room for some of it: the timeout overrides
  t.out("P. 1:401").pending.clear();
  t.in(". 1 ack 401 win 1000").out("P. 401:501");
  t.in(". 1 ack 501").silent();
  t.over();
}

TEST_CASE("a closed window is asked about every two minutes at last, and TCP_USER_TIMEOUT ends that: RFC 9293 §3.8.6.1",
          "[MUST-37][SHLD-30][RFC 5482]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_retries2 = 255;
  int const fd = t.accepted("mss 1000");
  auto const answered = [&](int seconds) {
    u32 asked = 0;
    for (int i = 0; i < seconds && t.state(fd) == tcp_state::established; ++i) {
      t.after(1'000);
      if (t.pending.empty()) continue;
      t.pending.clear(), ++asked;
      t.in(". 1 ack 1 win 0");
    }
    return asked;
  };
  SECTION("every two minutes, however long it takes") {
    t.in(". 1 ack 1 win 0");
    REQUIRE(t.write(fd, 500));
    (void)answered(400);
    CHECK(answered(12'000) == 100);
    CHECK(t.state(fd) == tcp_state::established);
  }
  SECTION("answers that take nothing are no progress") {
    REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 300'000));
    SECTION("nothing is in flight") {
      t.in(". 1 ack 1 win 0");
      REQUIRE(t.write(fd, 500));
    }
    SECTION("the window was taken back") {
      REQUIRE(t.write(fd, 500));
      t.in(". 1 ack 1 win 0");
    }
    (void)answered(290);
    CHECK(t.state(fd) == tcp_state::established);
    (void)answered(150);
    CHECK(t.state(fd) == tcp_state::close);
    CHECK(t.read_error(fd) == static_cast<int>(std::errc::timed_out));
  }
  t.pending.clear();
  t.over();
}

TEST_CASE("data leaves room for as many SACK blocks as go with it: MUST-16, RFC 2018 §3", "[MUST-16]") {
  tcp_script t;
  bool const stamps = GENERATE(false, true);
  int const fd = t.accepted(stamps ? "mss 1460 sackok ts 1 0" : "mss 1460 sackok");
  std::string const stamp = stamps ? " ts 2 0" : "";
  for (u32 const at : {1001u, 2001u, 3001u, 4001u, 5001u}) {
    t.in(". " + std::to_string(at) + ":" + std::to_string(at + 100) + " ack 1" + stamp);
    t.pending.clear();
    REQUIRE(t.write(fd, 1460));
    REQUIRE(!t.pending.empty());
    CHECK(t.pending.front().payload().size() + ip_hlen_min == 1500);
    t.in(". 1 ack " + std::to_string(t.written) + stamp);
    t.pending.clear();
  }
  t.over();
}

TEST_CASE("however well the size of a segment is known, it follows the path and IP's options: MUST-16", "[MUST-16]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460");
  auto const segment = [&] {
    REQUIRE(t.write(fd, 3000));
    REQUIRE(!t.pending.empty());
    auto const size = t.pending.front().payload().size();
    t.in(". 1 ack " + std::to_string(t.written));
    t.pending.clear();
    return size;
  };
  CHECK(segment() == 1480);
  CHECK(segment() == 1480);
  REQUIRE(dev_set_mtu(t.net(), *t.rig.eth0, 1000));
  CHECK(segment() == 980);
  CHECK(segment() == 980);
  REQUIRE(dev_set_mtu(t.net(), *t.rig.eth0, 1500));
  CHECK(segment() == 1480);
  bytes const options{1, 1, 1, 0};
  REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::options, options.data(), options.size()));
  CHECK(segment() == 1476);
  t.over();
}

TEST_CASE("a path of 88 bytes carries segments with time stamps: MUST-16", "[MUST-16]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 ts 1 0");
  REQUIRE(dev_set_mtu(t.net(), *t.rig.eth0, 88));
  REQUIRE(t.write(fd, 50));
  t.out(". 1:37 ack 1").out("P. 37:51 ack 1").silent();
  t.in(". 1 ack 51 ts 2 0");
  t.over();
}

TEST_CASE("our window closes when nobody reads, and its opening is told once it is worth it: RFC 9293 §3.8.6.2.2",
          "[MUST-39]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460");
  u32 at = 1;
  while (tcp_receive_window(t.tp(fd)) >= 1460 && at < 1'000'000) {
    t.in(". " + std::to_string(at) + ":" + std::to_string(at + 1460) + " ack 1");
    at += 1460;
    t.pending.clear();
  }
  t.after(100);
  t.pending.clear();
  CHECK(tcp_receive_window(t.tp(fd)) < 1460);
  u32 const edge = t.tp(fd).rcv_wup + t.tp(fd).rcv_wnd;
  t.read(fd, 100);
  t.silent();  // not worth a word
  CHECK(t.tp(fd).rcv_wup + t.tp(fd).rcv_wnd == edge);
  t.read(fd, at - 101);
  REQUIRE(t.pending.size() == 1);
  t.pending.clear();
  CHECK(t.tp(fd).rcv_wup + t.tp(fd).rcv_wnd - edge > 1460);
  t.over();
}

TEST_CASE("the shift of the window follows a buffer set by hand, and TCP_WINDOW_CLAMP: RFC 7323 §2.2", "[RFC 7323]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_rmem[2] = 1 << 28;
  bool const clamp = GENERATE(true, false), passive = GENERATE(true, false);
  int const fd = passive ? t.listen() : t.stream();
  auto const set = clamp ? setsockopt(t.net(), fd, sol::tcp, tcp_opt::window_clamp, 10000)
                         : setsockopt(t.net(), fd, sol::socket, so::rcvbuf, 2304);
  REQUIRE(set);
  if (passive)
    t.in("S 0 mss 1460 ws 7").out("S. 0 ack 1 ws 0");
  else
    (void)t.connect(fd), t.out("S 0 ws 0");
  t.over();
}

TEST_CASE("a window smaller than its unit is told as one unit", "[MUST-39]") {
  tcp_script t;
  auto& rmem = tcp_pernet(t.net()).sysctl_tcp_rmem;
  rmem[2] = 1 << 28;
  SECTION("of a small buffer") {
    rmem[1] = 4608;
    int const fd = t.accepted("mss 1460 ws 7");
    REQUIRE(t.tp(fd).rcv_wnd == 1278);
    t.in("P. 1:1279 ack 1").out(". 1 ack 1279 win 0").silent();
    t.read(fd, 1278);
    t.out(". 1 ack 1279 win 1");
  }
  SECTION("when memory is short") {
    rmem[2] = 1 << 30;
    auto& sk = t.sk(t.accepted("mss 1460 ws 7"));
    tcp_sk(sk).rcv_wnd = 0;
    sk.sk_memory->pressure = true;
    CHECK(__tcp_select_window(sk) == u32{1} << tcp_sk(sk).rcv_wscale);
  }
  t.over();
}

TEST_CASE("no window is taken back by what its shift rounds off: SHLD-14", "[SHLD-14]") {
  tcp_script t;
  auto& rmem = tcp_pernet(t.net()).sysctl_tcp_rmem;
  rmem[1] = 16384, rmem[2] = 1 << 28;
  auto& sk = t.sk(t.accepted("mss 536 ws 7"));
  auto& tp = tcp_sk(sk);
  REQUIRE((tp.rcv_wscale == 11 && tp.rcv_mss == 536));
  for (sk.sk_rmem_alloc = 0; sk.sk_rmem_alloc < sk.sk_rcvbuf; sk.sk_rmem_alloc += 500)
    for (tp.rcv_wnd = 0; tp.rcv_wnd < 8192; ++tp.rcv_wnd)
      if (__tcp_select_window(sk) < tp.rcv_wnd) FAIL(tp.rcv_wnd);
  sk.sk_rmem_alloc = 0;
  t.over();
}

TEST_CASE("a second full segment is acknowledged at once, one alone after 40 ms: RFC 5681 §4.2", "[MUST-58][SHLD-19]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.tp(fd).quick_acks = 0;
  t.tp(fd).lrcvtime = t.rig.clock.now;
  t.in(". 1:1001 ack 1").silent();
  t.in(". 1001:2001 ack 1").out(". 1 ack 2001").silent();
  t.in("P. 2001:2101 ack 1").quiet(39).after(2).out(". 1 ack 2101").silent();
  CHECK(t.ext().DelayedACKs.read() == 1);
  t.over();
}

// --- the timer

TEST_CASE("a SYN is repeated every second, then ever more rarely, and given up: RFC 6298, RFC 9293 §3.8.3") {
  for (auto const& [linear, waits] :
       {std::pair<char const*, std::vector<u64>>{"4", {1, 1, 1, 1, 1, 2, 4, 8, 16, 32}}, {"0", {1, 2, 4, 8, 16, 32}}}) {
    tcp_script t;
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_syn_linear_timeouts", linear));
    int const fd = t.stream();
    (void)t.connect(fd);
    t.out("S 0");
    for (u64 const wait : waits) t.quiet(wait * 1000 - 20).after(22).out("S 0").silent();
    t.quiet(63'000);
    CHECK(t.state(fd) == tcp_state::syn_sent);
    t.after(2000);
    CHECK(t.state(fd) == tcp_state::close);
    CHECK(t.connect(fd) == errc::timed_out);
    CHECK(t.ext().TCPAbortOnTimeout.read() == 1);
    t.over();
  }
}

TEST_CASE("few SYNs take no longer than they would if each waited twice as long as the one before") {
  tcp_script t;
  int const fd = t.stream();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::syncnt, 1));
  (void)t.connect(fd);
  t.out("S 0").after(1010).out("S 0").after(1000).out("S 0").after(900).silent();
  CHECK(t.state(fd) == tcp_state::syn_sent);
  t.after(100).silent();
  CHECK(t.state(fd) == tcp_state::close);
  t.over();
}

TEST_CASE("a SYN-ACK is repeated and given up") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1460").out("S. 0 ack 1");
  u64 wait = 1000;
  for (int i = 0; i < 5; ++i, wait *= 2) t.quiet(wait - 20).after(22).out("S. 0 ack 1").silent();
  t.quiet(2 * wait);
  CHECK(tcp_worker_of(t.net()).requests.in_use() == 0);
  CHECK(t.ext().TCPTimeouts.read() == 6);
  t.over();
}

TEST_CASE("lost data is repeated with doubled waits, from one segment on: RFC 6298 §5, RFC 5681 §3.1", "[MUST-19]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 3000));
  t.out(". 1:1001").out(". 1001:2001").out("P. 2001:3001");
  u64 wait = inet_csk(t.sk(fd)).icsk_rto / 1000;
  CHECK(wait == 200);
  for (int i = 0; i < 4; ++i, wait *= 2) t.quiet(wait - 5).after(6).out(". 1:1001").silent();
  CHECK(t.tp(fd).snd_cwnd == 1);
  CHECK(t.tp(fd).snd_ssthresh == 5);
  t.in(". 1 ack 1001").out(". 1001:2001").out("P. 2001:3001").silent();  // slow start
  t.in(". 1 ack 3001").silent();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::loss);  // RFC 6582 §4.1: until something new is acknowledged
  REQUIRE(t.write(fd, 10));
  t.out("P. 3001:3011").in(". 1 ack 3011").silent();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::open);
  CHECK(t.mib().RetransSegs.read() == 6);
  CHECK(t.ext().TCPTimeouts.read() == 4);
  t.quiet(10'000);
  t.over();
}

TEST_CASE("a connection that nobody answers ends with ETIMEDOUT") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 10));
  t.after(2'000'000);
  CHECK(t.state(fd) == tcp_state::close);
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  CHECK(t.mib().RetransSegs.read() == 15);
  t.over();
}

TEST_CASE("TCP_USER_TIMEOUT ends it earlier: RFC 5482") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 3000));
  REQUIRE(t.write(fd, 10));
  t.after(3190);  // since the first repetition, as in Linux
  CHECK(t.state(fd) == tcp_state::established);
  t.after(20);
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  t.over();
}

TEST_CASE("TCP_USER_TIMEOUT of less than a timeout: the peer is asked once all the same", "[MUST-21]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 100));
  SECTION("of data") {
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:11").quiet(195);
    t.after(10).out("P. 1:11").quiet(90);
    SECTION("which is answered") {
      t.in(". 1 ack 11");
      REQUIRE(t.write(fd, 10));
      t.out("P. 11:21").quiet(150);
      t.in(". 1 ack 21").quiet(1000);
      CHECK(t.state(fd) == tcp_state::established);
      return t.over();
    }
  }
  SECTION("of a closed window") {
    t.in(". 1 ack 1 win 0");
    REQUIRE(t.write(fd, 10));
    t.quiet(195);
    t.after(10).out(". 0").quiet(90);
  }
  SECTION("of a window that was taken back: what is in flight was owed too long when it would be repeated") {
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:11").in(". 1 ack 1 win 0").quiet(195);
  }
  CHECK(t.state(fd) == tcp_state::established);
  t.quiet(10);
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  t.over();
}

TEST_CASE("tcp_retries2 counts from the first repetition, as in Linux", "[MUST-20]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_retries2", "2"));
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 10));
  t.after(2990);
  CHECK(t.mib().RetransSegs.read() == 3);  // after 200, 600, 1400 ms
  CHECK(t.state(fd) == tcp_state::established);
  t.after(20);
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  t.pending.clear();
  t.over();
}

TEST_CASE("TCP_USER_TIMEOUT lets it last longer, too: RFC 5482 §1", "[MUST-21]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 2'000'000));
  REQUIRE(t.write(fd, 10));
  t.after(1'800'000);
  CHECK(t.state(fd) == tcp_state::established);  // otherwise it is given up after 924 s
  t.after(400'000);
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  t.pending.clear();
  t.over();
}

TEST_CASE("TCP_USER_TIMEOUT ends it, be it after more repetitions than a byte counts", "[MUST-21]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_rto_max_ms", "1000"));
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 300'000));
  REQUIRE(t.write(fd, 10));
  t.after(299'000);
  CHECK(t.mib().RetransSegs.read() > 256);
  CHECK(t.tp(fd).icsk_retransmits == 255);
  CHECK(t.state(fd) == tcp_state::established);
  t.after(3'000);
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  t.pending.clear();
  t.over();
}

TEST_CASE("of a window that was taken back in part, no more is repeated than it takes", "[SHLD-16][MAY-7]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 3000));
  t.in("P. 1:2 ack 1").in("P. 2:3 ack 1 win 300").pending.clear();
  t.after(300).out(". 1:301").silent();
  // Nothing: then the oldest asks, as it is.
  t.in(". 3 ack 301 win 0").pending.clear();
  t.after(t.tp(fd).icsk_rto / 1000 + 1).out(". 301:1001").silent();
  t.in(". 3 ack 3001");
  t.over();
}

TEST_CASE("the round trip is measured, not of what was sent twice: RFC 6298 §2, §3", "[MUST-18]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11").after(100).in(". 1 ack 11");
  u32 const srtt = t.tp(fd).srtt_us;
  CHECK(srtt >> 3 > 10'000);
  REQUIRE(t.write(fd, 10));
  t.out("P. 11:21").after(1500);
  t.pending.clear();
  t.in(". 1 ack 21");
  CHECK(t.tp(fd).srtt_us == srtt);
  t.over();
}

TEST_CASE("a round trip is what the clock of microseconds went on by, as Linux's is") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok");
  t.rig.clock.now += 1'999 - t.rig.clock.now % 1000;  // the end of one
  t.rig.run();
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11");
  t.rig.clock.now += 1'002;
  t.in(". 1 ack 11");
  CHECK(t.tp(fd).rack_rtt_us == 2);
  t.over();
}

TEST_CASE("keepalive asks a silent peer and gives up: RFC 9293 §3.8.4", "[MAY-5]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::keepidle, 10));
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::keepintvl, 2));
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::keepcnt, 3));
  t.quiet(60'000);  // not asked for
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::keepalive, 1));
  t.after(10'100).out(". 0").silent();
  t.in(". 1 ack 1").quiet(9'900).after(200).out(". 0").silent();
  t.after(2000).out(". 0").after(2000).out(". 0").silent();
  t.after(2000).out("R. 1 ack 1").silent();
  CHECK(t.read_error(fd) == static_cast<int>(errc::timed_out));
  t.over();
}

// --- recovery

TEST_CASE("three duplicate acknowledgments repeat the first segment, partial ones the next: RFC 5681, RFC 6582") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 8000));
  for (u32 i = 0; i < 7; ++i) t.out(". " + std::to_string(1 + i * 1000) + ":" + std::to_string(1001 + i * 1000));
  t.out("P. 7001:8001");
  t.in(". 1 ack 1001");  // the second is lost, and the fifth
  t.in(". 1 ack 1001").in(". 1 ack 1001").silent();
  t.in(". 1 ack 1001").out(". 1001:2001").silent();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::recovery);
  CHECK(t.ext().TCPRenoRecovery.read() == 1);
  t.in(". 1 ack 4001").out(". 4001:5001").silent();
  t.in(". 1 ack 8001").silent();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::recovery);  // RFC 6582 §4.1: until something new is acknowledged
  REQUIRE(t.write(fd, 10));
  t.out("P. 8001:8011").in(". 1 ack 8011").silent();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::open);
  CHECK(t.tp(fd).snd_cwnd == t.tp(fd).snd_ssthresh);
  CHECK(t.mib().RetransSegs.read() == 2);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("SACK blocks of what was never sent, empty or backwards, mark nothing", "[RFC 6675]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok");
  REQUIRE(t.write(fd, 5000));
  t.pending.clear();
  for (char const* sack : {"sack 9001-10001", "sack 3001-3001", "sack 4001-3001", "sack 4001-9001", "sack 0-1"})
    t.in(std::string(". 1 ack 1 ") + sack);
  CHECK(t.tp(fd).sacked_out == 0);
  t.silent();
  t.in(". 1 ack 5001").silent();
  t.over();
}

TEST_CASE("a frame that a driver still has is never written: RFC 7323's clock shows in each header", "[S101]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok ts 1 0");
  netdev_priv<rig_dev>(*t.rig.eth0).keeps = true;
  REQUIRE(t.write(fd, 3000));
  t.after(5000);  // four timeouts, and nothing comes back from the driver
  CHECK(t.mib().RetransSegs.read() == 4);
  CHECK(t.ext().TCPSpuriousRtxHostQueues.read() == 4);
  t.in(". 1 ack 989 ts 2 0");  // what is acknowledged goes, its frames stay with the driver
  t.in(". 1 ack 3001 ts 3 0");
  CHECK(netdev_priv<rig_dev>(*t.rig.eth0).kept.size() >= 8);
  CHECK(rig_dev::complete(*t.rig.eth0) == 0);
  netdev_priv<rig_dev>(*t.rig.eth0).keeps = false;
  t.over();
}

TEST_CASE("a few bytes are copied to be sent, and cloned where there is no frame for a copy", "[S101]") {
  for (bool const scarce : {false, true}) {
    tcp_script t;
    int const fd = t.accepted("mss 1000");
    auto& pool = t.net().worker().pool;
    skb_list others;
    if (scarce) pool.alloc_bulk(pool.available() - 1, others);
    netdev_priv<rig_dev>(*t.rig.eth0).keeps = true;
    REQUIRE(t.write(fd, 10));
    pool.free_list(others);
    CHECK(skb_shinfo(*t.sk(fd).sk_write_queue.peek()).dataref == (scarce ? 2 : 1));
    CHECK(pool.alloc_failures == 0);
    t.out("P. 1:11").after(250).out("P. 1:11");  // while the driver has the first
    t.in(". 1 ack 11").silent();
    CHECK(rig_dev::complete(*t.rig.eth0) == 0);
    netdev_priv<rig_dev>(*t.rig.eth0).keeps = false;
    t.over();
  }
}

TEST_CASE("a writer without a frame is told to try again, or waits until anybody gives one back", "[S100]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  auto& pool = t.net().worker().pool;
  skb_list others;
  pool.alloc_bulk(pool.available(), others);
  CHECK(t.write(fd, 10, msg::dontwait).error() == std::errc::resource_unavailable_try_again);
  struct {
    timer_list due;
    skb_list& frames;
    skb_pool& pool;
  } back{{}, others, pool};
  back.due.function = [](void*, timer_list& due) {
    auto& b = from_timer<&decltype(back)::due>(due);
    b.pool.free_list(b.frames);
  };
  t.net().worker().timers.mod_timer(back.due, t.net().worker().now + 1'000'000);
  sockfs::table_of(t.net()).find(fd)->nonblock = false;
  t.rig.clock.step = 1000;  // while it waits
  CHECK(t.write(fd, 10).value_or(0) == 10);
  t.rig.clock.step = 0;
  t.out("P. 1:11");
  t.in(". 1 ack 11").silent();
  t.over();
}

TEST_CASE("a repetition of what was acknowledged in part has its own checksum: RFC 9293 §3.8.1", "[MUST-2]") {
  for (u32 const acked : {2u, 5u, 400u, 999u}) {  // behind an odd number of bytes as well
    tcp_script t;
    int const fd = t.accepted("mss 1000");
    REQUIRE(t.write(fd, 1000));
    t.out("P. 1:1001");
    t.in(". 1 ack " + std::to_string(acked)).silent();
    t.after(250);
    t.out("P. " + std::to_string(acked) + ":1001");
    t.over();
  }
}
