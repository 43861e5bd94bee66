// SPDX-License-Identifier: BSL-1.0
// The state machine of RFC 9293, conversation by conversation: opening, closing, and what each state makes of each kind
// of segment, in the window, at its edges and outside.
#include "netstack/tcp/tcp_input.hpp"

#include <set>

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

TEST_CASE("a passive open: RFC 9293 figure 6 from the other side", "[S147][S148]") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1400");
  t.out("S. 0 ack 1 mss 1460").silent();
  t.in(". 1 ack 1").silent();
  int const fd = t.accept();
  CHECK(t.state(fd) == tcp_state::established);
  t.in("P. 1:6 ack 1");
  t.out(". 1 ack 6");  // the first of a flow is acknowledged at once
  t.read(fd, 5);
  REQUIRE(t.write(fd, 3).value() == 3);
  t.out("P. 1:4 ack 6");
  t.in(". 6 ack 4").silent();
  CHECK(t.mib().PassiveOpens.read() == 1);
  CHECK(t.mib().CurrEstab.read() == 1);
  t.over();
}

TEST_CASE("an active open: RFC 9293 figure 6", "[S148]") {
  tcp_script t;
  int const fd = t.stream();
  CHECK(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0 mss 1460 sackok ts * 0 ws 1").silent();
  CHECK(t.connect(fd) == errc::connection_already_in_progress);
  t.in("S. 0 ack 1 mss 1460");
  t.out(". 1 ack 1").silent();
  CHECK(t.connect(fd) == errc{});
  CHECK(t.connect(fd) == errc::already_connected);
  CHECK(t.state(fd) == tcp_state::established);
  CHECK(t.mib().ActiveOpens.read() == 1);
  t.over();
}

TEST_CASE("options that both sides want hold, others do not", "[S147]") {
  SECTION("all of them") {
    tcp_script t;
    int const fd = t.accepted("mss 1000 sackok ts 5 0 ws 2");
    CHECK(t.tp(fd).sack_ok);
    CHECK(t.tp(fd).snd_wscale == 2);
    CHECK(t.tp(fd).mss_clamp == 1000);
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:11 ts * 5");
    t.over();
  }
  SECTION("none of them: 536 bytes a segment") {
    tcp_script t;
    int const fd = t.accepted("");
    CHECK(!t.tp(fd).sack_ok);
    CHECK(!t.tp(fd).tstamp_ok);
    CHECK(t.tp(fd).rcv_wscale == 0);
    REQUIRE(t.write(fd, 1000));
    t.out(". 1:537").out("P. 537:1001").silent();
    t.over();
  }
  SECTION("a segment that is too small to be reasonable is not obeyed: SACK Panic") {
    tcp_script t;
    int const fd = t.accepted("mss 8");
    REQUIRE(t.write(fd, 100));
    t.out(". 1:89").out("P. 89:101");
    t.over();
  }
}

TEST_CASE("a simultaneous open: RFC 9293 figure 7", "[S148]") {
  tcp_script t;
  int const fd = t.stream();
  CHECK(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0");
  t.in("S 0 mss 1460");
  t.out("S. 0 ack 1");
  CHECK(t.state(fd) == tcp_state::syn_recv);
  t.in("S. 0 ack 1 mss 1460");
  CHECK(t.state(fd) == tcp_state::established);
  CHECK(t.connect(fd) == errc{});
  t.pending.clear();
  t.in("P. 1:3 ack 1");
  t.read(fd, 2);
  t.over();
}

TEST_CASE("a simultaneous open that is shut down or closed before it is complete: RFC 9293 §3.10.4", "[S148]") {
  tcp_script t;
  int const fd = t.stream();
  CHECK(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0");
  t.in("S 0 mss 1460").out("S. 0 ack 1");
  auto& tp = t.tp(fd);
  sock_hold(tp);
  SECTION("shut down: the FIN waits until the connection is there") {
    t.shutdown(fd, shut::wr);
    t.silent();
    t.in("S. 0 ack 1 mss 1460").out("F. 1 ack 1");
  }
  SECTION("closed: it goes at once") {
    t.close(fd);
    t.out("F. 1 ack 1").silent();
    t.in("S. 0 ack 1 mss 1460");
  }
  t.pending.clear();
  CHECK(tp.sk_state == tcp_state::fin_wait1);
  CHECK(tp.icsk_ca_initialized);
  sock_put(tp);
  t.in(". 1 ack 2").silent();
  t.over();
}

TEST_CASE("the peer closes first: RFC 9293 figure 12 from the other side", "[S147]") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("F. 1 ack 1").quiet(3).after(3);
  t.out(". 1 ack 2").silent();
  CHECK(t.state(fd) == tcp_state::close_wait);
  CHECK(t.read_error(fd) == 0);
  REQUIRE(t.write(fd, 4));  // half-closed: the other half goes on
  t.out("P. 1:5 ack 2");
  t.in(". 2 ack 5");
  t.close(fd);
  t.out("F. 5 ack 2").silent();
  t.in(". 2 ack 6").silent();
  CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 0);
  t.over();
}

TEST_CASE("we close first, and wait: RFC 9293 figure 12", "[S147][S104]") {
  tcp_script t;
  int const fd = t.accepted();
  t.close(fd);
  t.out("F. 1 ack 1").silent();
  t.in(". 1 ack 2").silent();  // FIN-WAIT-2, which nobody holds
  t.in("F. 1 ack 2");
  t.out(". 2 ack 2").silent();
  CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 1);
  CHECK(tcp_worker_of(t.net()).socks.in_use() == 1);  // the listener
  t.quiet(30'000);
  t.in("F. 1 ack 2");  // our acknowledgment was lost: the wait starts anew
  t.out(". 2 ack 2");
  t.quiet(59'000);
  CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 1);
  t.quiet(1'100);
  CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 0);
  t.over();
}

TEST_CASE("shutdown for writing leaves the other half open", "[S148]") {
  tcp_script t;
  int const fd = t.accepted();
  t.shutdown(fd, shut::wr);
  t.out("F. 1 ack 1");
  CHECK(t.state(fd) == tcp_state::fin_wait1);
  t.in(". 1 ack 2");
  CHECK(t.state(fd) == tcp_state::fin_wait2);
  CHECK(t.write(fd, 1).error() == errc::broken_pipe);
  t.in("P. 1:11 ack 2");
  t.out(". 2 ack 11");
  t.read(fd, 10);
  t.in("F. 11 ack 2");
  t.out(". 2 ack 12");
  CHECK(t.read_error(fd) == 0);
  t.over();
}

TEST_CASE("a simultaneous close: RFC 9293 figure 13", "[S147]") {
  tcp_script t;
  int const fd = t.accepted();
  t.shutdown(fd, shut::wr);
  t.out("F. 1 ack 1");
  t.in("F. 1 ack 1");
  t.out(". 2 ack 2");
  CHECK(t.state(fd) == tcp_state::closing);
  t.in(". 2 ack 2").silent();
  CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 1);
  t.over();
}

TEST_CASE("a FIN with the last data, and one that acknowledges ours", "[S147]") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("FP. 1:4 ack 1").quiet(39).after(6);
  t.out(". 1 ack 5");
  CHECK(t.state(fd) == tcp_state::close_wait);
  t.read(fd, 3);
  CHECK(t.read_error(fd) == 0);
  t.over();
  tcp_script u;
  int const gd = u.accepted();
  u.shutdown(gd, shut::wr);
  u.out("F. 1 ack 1");
  u.in("F. 1 ack 2");  // straight from FIN-WAIT-1 to TIME-WAIT
  u.out(". 2 ack 2");
  CHECK(tcp_worker_of(u.net()).timewaits.in_use() == 1);
  u.over();
}

TEST_CASE("data that nobody read, or will read, is answered with a reset", "[S147][RFC 2525]") {
  SECTION("at close: RFC 2525 §2.17") {
    tcp_script t;
    int const fd = t.accepted();
    t.in("P. 1:6 ack 1");
    t.out(". 1 ack 6");
    t.close(fd);
    t.out("R. 1 ack 6").silent();
    CHECK(t.ext().TCPAbortOnClose.read() == 1);
    t.over();
  }
  SECTION("after close") {
    tcp_script t;
    int const fd = t.accepted();
    t.close(fd);
    t.out("F. 1 ack 1");
    t.in("P. 1:6 ack 1");
    t.out("R 1").silent();
    CHECK(t.ext().TCPAbortOnData.read() == 1);
    t.over();
  }
  SECTION("in FIN-WAIT-2 that nobody holds") {
    tcp_script t;
    t.close(t.accepted());
    t.out("F. 1 ack 1");
    t.in(". 1 ack 2").silent();
    t.in("P. 1:6 ack 2");
    t.out("R 2");
    CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 0);
    t.over();
  }
  SECTION("SO_LINGER of no time") {
    tcp_script t;
    int const fd = t.accepted();
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::linger, linger{1, 0}));
    t.close(fd);
    t.out("R. 1 ack 1").silent();
    t.over();
  }
}

// --- without a connection

TEST_CASE("CLOSED: everything but a RST is answered with a RST", "[S144]") {
  tcp_script t;
  t.in("S 0 mss 1460");
  t.out("R. 0 ack 1").silent();
  t.in("P. 5:9 ack 77");
  t.out("R 77").silent();
  t.in("P 5:9");
  t.out("R. 0 ack 9").silent();
  t.in("F 5");
  t.out("R. 0 ack 6").silent();
  t.in("R 5").in("R. 5 ack 7").silent();
  CHECK(t.mib().OutRsts.read() == 4);
  CHECK(t.drops(drop_reason::no_socket) == 6);
  t.over();
}

TEST_CASE("LISTEN: RST is ignored, ACK refused, nothing else but a SYN does anything", "[S147]") {
  tcp_script t;
  t.listen();
  t.in("R 0").in("R. 0 ack 1").silent();
  t.in(". 0 ack 55");
  t.out("R 55").silent();
  t.in("S. 0 ack 55");
  t.out("R 55").silent();
  t.in("P 0:4").in("F 0").in("SF 0").silent();
  CHECK(tcp_worker_of(t.net()).requests.in_use() == 0);
  t.over();
}

TEST_CASE("SYN-SENT: what is not about our SYN is refused, a RST that is believed", "[S147]") {
  tcp_script t;
  int const fd = t.stream();
  (void)t.connect(fd);
  t.out("S 0");
  t.in(". 0 ack 0");  // acknowledges nothing of it
  t.out("R 0").silent();
  t.in("S. 0 ack 2");  // what was never sent
  t.out("R 2").silent();
  t.in("R 0").in("R. 0 ack 5").silent();  // neither is believed
  t.in("F. 0 ack 1").in("P. 0:3 ack 1").silent();
  CHECK(t.state(fd) == tcp_state::syn_sent);
  t.in("R. 0 ack 1").silent();
  CHECK(t.state(fd) == tcp_state::close);
  CHECK(t.connect(fd) == errc::connection_refused);
  CHECK(t.mib().AttemptFails.read() == 1);
  t.over();
}

TEST_CASE("SYN-SENT: the answer echoes the time of one of our SYNs, or is refused: RFC 7323 §5", "[S147]") {
  for (bool const shorts : {false, true}) {
    tcp_script t;
    t.shorts(shorts);
    int const fd = t.stream();
    (void)t.connect(fd);
    t.out("S 0");
    u32 const first = t.our_tsval;
    auto const answer = [&](u32 echo) { return "S. 0 ack 1 mss 1460 ts 7 " + std::to_string(echo); };
    t.after(300);
    t.in(answer(first - 1)).out("R 1").in(answer(first - 100'000)).out("R 1");  // of an older connection
    t.in(answer(first + 301)).out("R 1").silent();                              // of a SYN that is yet to be sent
    CHECK(t.ext().PAWSActive.read() == 3);
    CHECK(t.state(fd) == tcp_state::syn_sent);
    t.after(800).out("S 0");
    CHECK(t.our_tsval != first);
    t.in(answer(first)).out(". 1 ack 1 ts * 7").silent();  // the first was only slow
    CHECK(t.state(fd) == tcp_state::established);
    t.over();
  }
  tcp_script t;  // what was not asked for says nothing
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_timestamps", "0"));
  int const fd = t.stream();
  (void)t.connect(fd);
  t.out("S 0").in("S. 0 ack 1 mss 1460 ts 7 1").out(". 1 ack 1").silent();
  CHECK(t.state(fd) == tcp_state::established);
  t.over();
}

TEST_CASE("SYN-SENT: a peer that still holds a connection before this one is asked again soon: RFC 9293 figure 9") {
  tcp_script t;
  int const fd = t.stream();
  (void)t.connect(fd);
  t.out("S 0").after(500).in(". 300 ack 100").out("R 100").silent();
  t.after(1).in(". 300 ack 100").out("R 100");  // who says so again and again does not put it off
  t.after(2).out("S 0").silent();
  t.in(". 300 ack 100").out("R 100").quiet(900);  // but is believed once
  t.in("S. 0 ack 1").out(". 1 ack 1");
  CHECK(t.state(fd) == tcp_state::established);
  CHECK(t.tp(fd).snd_cwnd == tcp_init_cwnd);
  t.over();
}

TEST_CASE("SYN-RECEIVED: RST returns to LISTEN, what is out of the window is told where that is", "[S147][S104]") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1460");
  t.out("S. 0 ack 1");
  CHECK(tcp_worker_of(t.net()).requests.in_use() == 1);
  CHECK(tcp_worker_of(t.net()).socks.in_use() == 1);
  t.in(". 1 ack 7");  // not our SYN
  t.out("R 7").silent();
  t.in("R 9").out(". 1 ack 1").silent();  // RFC 5961: not exact
  t.in("P. 90000:90004 ack 1").out(". 1 ack 1").silent();
  t.quiet(600);
  t.in("S 0 mss 1460").out("S. 0 ack 1").silent();  // it did not hear us
  t.in("R 1").silent();
  CHECK(tcp_worker_of(t.net()).requests.in_use() == 0);
  CHECK(t.ext().EmbryonicRsts.read() == 1);
  t.over();
}

TEST_CASE("the handshake's last segment may carry data, and a FIN", "[S147]") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1460");
  t.out("S. 0 ack 1");
  t.in("FP. 1:11 ack 1");
  int const fd = t.accept();
  CHECK(t.state(fd) == tcp_state::close_wait);
  t.read(fd, 10);
  CHECK(t.read_error(fd) == 0);
  t.over();
}

// --- a connection, and strangers: RFC 5961

TEST_CASE("ESTABLISHED: a RST is believed only if it is exactly the next one", "[S147][RFC 5961]") {
  tcp_script t;
  t.answer_always();
  int const fd = t.accepted();
  t.in("R 2").out(". 1 ack 1");      // in the window: a challenge
  t.in("R 20000").out(". 1 ack 1");  // likewise
  t.in("R 0").silent();              // outside
  t.in("R 99999").silent();
  CHECK(t.state(fd) == tcp_state::established);
  t.in("R 1").silent();
  CHECK(t.state(fd) == tcp_state::close);
  CHECK(t.read_error(fd) == static_cast<int>(errc::connection_reset));
  CHECK(t.write(fd, 1).error() == errc::broken_pipe);
  t.over();
}

TEST_CASE("beyond a gap a RST is believed at the end of what we told of, too: RFC 5961 §3.2", "[S147][RFC 5961]") {
  bool const sack = GENERATE(true, false);
  tcp_script t;
  t.answer_always();
  int const fd = t.accepted(sack ? "mss 1460 sackok" : "mss 1460");
  t.in("P. 6:11 ack 1").in("P. 21:26 ack 1").in("P. 11:16 ack 1");
  t.pending.clear();
  for (char const* guess : {"R 6", "R 16", "R 20", "R 25", "R 27"}) t.in(guess).out(". 1 ack 1").silent();
  CHECK(t.state(fd) == tcp_state::established);
  t.in("R 26");                   // not the block that was told last
  if (!sack) t.out(". 1 ack 1");  // without SACK it was not told
  t.silent();
  CHECK(t.state(fd) == (sack ? tcp_state::close : tcp_state::established));
  t.over();
}

TEST_CASE("ESTABLISHED: a SYN is challenged wherever it lies, LAND among them", "[S147][RFC 5961]") {
  tcp_script t;
  t.answer_always();
  int const fd = t.accepted();
  for (char const* syn : {"S 1", "S 0 mss 1460", "S 500", "S 99999", "S. 1 ack 1"}) {
    t.in(syn);
    t.out(". 1 ack 1").silent();
  }
  CHECK(t.ext().TCPSYNChallenge.read() == 5);
  CHECK(t.mib().InErrs.read() == 5);
  CHECK(t.state(fd) == tcp_state::established);
  t.shutdown(fd, shut::wr);
  t.out("F. 1 ack 1").in("S 500").out(". 2 ack 1").silent();
  CHECK(t.ext().TCPSYNChallenge.read() == 6);
  CHECK(t.mib().InErrs.read() == 5);  // Linux counts it of ESTABLISHED alone
  t.over();
}

TEST_CASE("what is amiss is answered twice a second on each connection, whatever it is: RFC 5961 §7",
          "[RFC 5961][CVE-2016-5696]") {
  tcp_script t;
  int const a = t.accepted();
  t.from_port = 5000, t.our_isn_known = false;
  t.in("S 0").out("S. 0 ack 1").in(". 1 ack 1");
  (void)t.accept();
  auto& ext = t.ext();
  t.in("R 2").out(". 1 ack 1");
  for (int i = 0; i < 33; ++i) t.in("R 2").in("S 5").in("P. 1:5 ack 100").silent();
  CHECK(ext.TCPChallengeACK.read() == 1);
  CHECK(ext.TCPACKSkippedChallenge.read() == 99);
  CHECK(ext.TCPSYNChallenge.read() == 33);
  t.in(". 99999 ack 1").silent();  // the same limit
  CHECK(ext.TCPACKSkippedSeq.read() == 1);
  t.in("P. 99999:100000 ack 1").out(". 1 ack 1");  // but data may be a probe: RFC 9293 §3.8.6.1
  CHECK(t.tp(a).rare->oow_ack_stamp == 0);         // and nothing of it shows on the other
  t.after(490).in("S 5").silent().after(10).in(". 99999 ack 1").out(". 1 ack 1").in("R 2").silent();
  t.over();
}

TEST_CASE("tcp_challenge_ack_limit: so many challenges a second a namespace, as many as nobody can tell",
          "[RFC 5961][CVE-2016-5696]") {
  tcp_script t;
  t.answer_always();
  (void)t.accepted();
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_challenge_ack_limit", "10"));
  std::set<std::size_t> counts;
  for (int s = 0; s < 200; ++s) {
    t.after(1000);
    for (int i = 0; i < 20; ++i) t.in("R 2");
    counts.insert(t.pending.size());
    t.pending.clear();
  }
  CHECK(*counts.begin() == 5);
  CHECK(*counts.rbegin() == 14);
  CHECK(counts.size() == 10);
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_challenge_ack_limit", "0"));
  t.after(1000).in("R 2").silent();
  t.in(". 99999 ack 1").out(". 1 ack 1");  // that is no challenge
  t.over();
}

TEST_CASE("an acknowledgment of what was never sent, or too old, brings no data in", "[RFC 5961][MAY-12]") {
  tcp_script t;
  t.answer_always();
  int const fd = t.accepted();
  t.in("P. 1:5 ack 100").out(". 1 ack 1").silent();
  CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
  CHECK(t.drops(drop_reason::tcp_invalid_ack_sequence) == 1);
  for (char const* old : {"-70000", "0"}) {  // SND.UNA - MAX.SND.WND - 1, and what is before our first byte
    t.in(std::string("P. 1:5 ack ") + old).out(". 1 ack 1");
    CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
  }
  CHECK(t.write(fd, 4));
  t.out("P. 1:5 ack 1").in(". 1 ack 5");
  t.in("P. 1:5 ack 1").after(45).out(". 5 ack 5");  // old, but not too old
  t.read(fd, 4);
  t.over();
}

TEST_CASE("segments at the edges of the window", "[S147]") {
  tcp_script t;
  t.answer_always();
  int const fd = t.accepted();
  u32 const win = tcp_receive_window(t.tp(fd));
  auto const at = [&](u32 seq) { return std::to_string(seq) + ":" + std::to_string(seq + 1); };
  t.in(". " + at(win) + " ack 1").out(". 1 ack 1").silent();  // its last byte: kept
  CHECK(t.ext().TCPOFOQueue.read() == 1);
  t.in(". " + at(win + 1) + " ack 1").out(". 1 ack 1").silent();  // one beyond: not
  CHECK(t.drops(drop_reason::tcp_overwindow) == 1);
  t.in(". " + at(win + 2) + " ack 1").out(". 1 ack 1").silent();
  CHECK(t.drops(drop_reason::tcp_invalid_sequence) == 1);
  t.in(". 0:1 ack 1").out(". 1 ack 1").silent();  // the one before: a keepalive probe of old (RFC 9293 §3.8.4)
  CHECK(t.drops(drop_reason::tcp_old_data) == 1);
  t.in(". 0 ack 1").out(". 1 ack 1").silent();
  t.over();
}

TEST_CASE("a segment without ACK, SYN or RST is nothing", "[S147]") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("P 1:5").in("F 1").silent();
  CHECK(t.drops(drop_reason::tcp_flags) == 2);
  CHECK(t.state(fd) == tcp_state::established);
  t.over();
}

TEST_CASE("segments that were predicted are counted, and acknowledgments that were not", "[S147][S164]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok");
  auto& ext = t.ext();
  u64 const pure = ext.TCPPureAcks.read();
  t.in("P. 1:6 ack 1").in("P. 6:11 ack 1");
  CHECK(ext.TCPHPHits.read() == 2);
  t.in("P. 11:16 ack 1 win 5000");  // its window is news
  CHECK(ext.TCPHPHits.read() == 2);
  REQUIRE(t.write(fd, 2000));
  t.pending.clear();
  t.in(". 16 ack 1001 win 5000");
  CHECK(ext.TCPHPAcks.read() == 1);
  t.in("P. 16:21 ack 2001 win 5000");  // both
  CHECK(ext.TCPHPAcks.read() == 2);
  CHECK(ext.TCPHPHits.read() == 3);
  CHECK(ext.TCPPureAcks.read() == pure);
  t.in(". 21 ack 2001 win 6000");
  CHECK(ext.TCPPureAcks.read() == pure + 1);
  CHECK(ext.TCPHPAcks.read() == 2);
  t.pending.clear();
  t.over();
}

TEST_CASE("PAWS: an old time stamp brings nothing in, but a RST is not held to it", "[RFC 7323]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 ts 1000 0");
  t.in("P. 1:3 ack 1 ts 1001 0").out(". 1 ack 3 ts * 1001");
  t.in("P. 3:5 ack 1 ts 900 0").out(". 1 ack 3 ts * 1001").silent();
  CHECK(t.ext().PAWSEstab.read() == 1);
  CHECK(t.drops(drop_reason::tcp_rfc7323_paws) == 1);
  t.in("P. 3:5 ack 1 ts 1001 0").out(". 1 ack 5");
  t.in(". 3 ack 1 ts 1000 0");  // an acknowledgment that was overtaken
  CHECK(t.ext().PAWSOldAck.read() == 1);
  CHECK(t.ext().PAWSEstab.read() == 1);
  t.silent();  // two ends must not answer each other's for ever
  t.in(". 5 ack 1 win 8000 ts 1001 0").in(". 5 ack 1 win 8000 ts 1000 0").silent();  // nothing new in it: taken
  CHECK(t.ext().PAWSEstab.read() == 1);
  t.in(". 5 ack 1 win 9000 ts 1000 0").out(". 1 ack 5 ts * 1001").silent();  // it would change the window
  CHECK(t.ext().PAWSEstab.read() == 2);
  u64 const challenges = t.ext().TCPSYNChallenge.read();
  t.after(500).in("S 5 ts 900 0").out(". 1 ack 5 ts * 1001").silent();  // RFC 5961 §4.2: a SYN in whatever guise
  CHECK(t.ext().TCPSYNChallenge.read() == challenges + 1);
  t.read(fd, 4);
  t.in("R 5 ts 900 0").silent();
  CHECK(t.state(fd) == tcp_state::close);
  t.over();
}

TEST_CASE("TIME-WAIT: a newer SYN begins a new connection, an older one does not", "[RFC 6191]") {
  tcp_script t;
  t.close(t.accepted());
  t.out("F. 1 ack 1");
  t.in("F. 1 ack 2").out(". 2 ack 2");
  t.in("S 1 mss 1460").out(". 2 ack 2").silent();  // nothing says that it is newer
  t.our_isn_known = false;
  t.in("S 5000 mss 1460").out("S. 0 ack 5001");
  CHECK(t.our_isn != 0);
  CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 0);
  t.in(". 5001 ack 1");
  (void)t.accept();
  t.over();
}

TEST_CASE("TIME-WAIT: a RST ends it, unless RFC 1337 is to be heeded", "[RFC 1337]") {
  for (u8 const heed : {u8{0}, u8{1}}) {
    tcp_script t;
    tcp_pernet(t.net()).sysctl_tcp_rfc1337 = heed;
    t.close(t.accepted());
    t.out("F. 1 ack 1");
    t.in("F. 1 ack 2").out(". 2 ack 2");
    t.in("R 2").silent();
    CHECK(tcp_worker_of(t.net()).timewaits.in_use() == heed);
    t.over();
  }
}

TEST_CASE("sequence numbers wrap around on both sides", "[S147]") {
  for (u32 const isn : {0xffff'ffffu, 0xffff'fffdu, 0xffff'ff00u, 0x7fff'ffffu}) {
    tcp_script t;
    t.peer_isn = isn;
    int const fd = t.accepted();
    t.in("P. 1:201 ack 1").out(". 1 ack 201");
    t.in("P. 401:601 ack 1").out(". 1 ack 201");
    t.in("P. 201:401 ack 1").out(". 1 ack 601");
    t.read(fd, 600);
    t.in("F. 601 ack 1").after(45).out(". 1 ack 602");
    CHECK(t.read_error(fd) == 0);
    t.over();
  }
}

TEST_CASE("headers that are cut short or cannot be, and wrong checksums, are dropped",
          "[AMNESIA:33][INFRA:HALT][MUST-3]") {
  tcp_script t;
  int const fd = t.accepted();
  bytes const good = t.bytes_of(tcp_seg::parse("P. 1:6 ack 1"));
  for (std::size_t n = 0; n < 20; ++n)
    t.rig.inject({.protocol = ipproto::tcp, .payload = bytes(good.begin(), good.begin() + static_cast<long>(n))});
  CHECK(t.drops(drop_reason::tcp_hdr) == 20);
  for (unsigned const doff : {0u, 1u, 4u, 7u, 15u}) {  // beyond the segment from 7 on
    bytes bad = good;
    bad[12] = static_cast<u8>(doff << 4);
    t.rig.inject({.protocol = ipproto::tcp, .payload = bad});
  }
  CHECK(t.drops(drop_reason::tcp_hdr) == 25);
  bytes wrong = good;
  wrong[16] ^= 0x40;
  t.rig.inject({.protocol = ipproto::tcp, .payload = wrong});
  CHECK(t.drops(drop_reason::tcp_csum) == 1);
  CHECK(t.mib().InCsumErrors.read() == 1);
  CHECK(t.mib().InErrs.read() == 26);
  t.collect();
  t.silent();
  CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
  t.over();
}

TEST_CASE("an urgent pointer anywhere does no harm: one byte at most is set apart", "[URGENT/11][INFRA:HALT]") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("U. 1:2 ack 1 urg 65535").out(". 1 ack 2");
  t.in("U. 2:3 ack 1 urg 0").in("UP. 3:10 ack 1 urg 3").in("U. 10 ack 1 urg 9");
  t.pending.clear();
  t.read(fd, 9);
  char c;
  CHECK(recv(t.net(), fd, &c, 1, msg::oob).error() == errc::resource_unavailable_try_again);  // far ahead
  t.in("P. 10:70 ack 1");
  t.read(fd, 60);
  t.over();
}

TEST_CASE("IP_MINTTL: what comes from farther away is not heard, be it of a connection or for a listener: RFC 5082",
          "[RFC 5082]") {
  tcp_script t;
  int const listener = t.listen();
  REQUIRE(setsockopt(t.net(), listener, sol::ip, ip_opt::minttl, 64));
  int const fd = t.accepted();  // the peer's segments have 64
  t.in("P. 1:6 ack 1").out(". 1 ack 6");
  t.read(fd, 5);
  REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::minttl, 65));
  t.in("P. 6:11 ack 1").in("R 6").silent();
  CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
  REQUIRE(setsockopt(t.net(), listener, sol::ip, ip_opt::minttl, 65));
  t.from_port = 5000;
  t.in("S 0").silent();
  CHECK(t.drops(drop_reason::tcp_minttl) == 3);
  CHECK(t.ext().TCPMinTTLDrop.read() == 3);
  t.over();
}

TEST_CASE("a window that was told is not taken back when there is no room for it, and that is counted",
          "[SHLD-14][S164]") {
  tcp_script t;
  int const fd = t.accepted();
  u32 const others = t.sk(fd).sk_rcvbuf;
  t.sk(fd).sk_rmem_alloc += others;  // no packet's
  t.in("P. 0:1 ack 1").out(". 1 ack 1").silent();
  CHECK(tcp_receive_window(t.tp(fd)) != 0);
  CHECK(t.ext().TCPWantZeroWindowAdv.read() == 1);
  t.sk(fd).sk_rmem_alloc -= others;
  t.in("P. 0:1 ack 1").out(". 1 ack 1").silent();
  CHECK(t.ext().TCPWantZeroWindowAdv.read() == 1);
  t.over();
}

TEST_CASE("a FIN by itself is taken into a closed window, data is not", "[MUST-66]") {
  tcp_script t;
  int const fd = t.accepted();
  u32 at = 1;
  while (u32 const window = tcp_receive_window(t.tp(fd))) {
    u32 const n = std::min(1460u, window);
    t.in(". " + std::to_string(at) + ":" + std::to_string(at + n) + " ack 1");
    at += n;
  }
  t.pending.clear();
  std::string const next = std::to_string(at);
  t.in(". " + next + ":" + std::to_string(at + 1) + " ack 1").out(". 1 ack " + next + " win 0").silent();
  CHECK(t.ext().TCPZeroWindowDrop.read() == 1);
  CHECK(t.ext().TCPToZeroWindowAdv.read() == 1);
  CHECK(t.drops(drop_reason::tcp_zerowindow) == 1);
  t.in(". " + std::to_string(at - 10) + ":" + std::to_string(at + 1) + " ack 1");  // nor behind what came twice
  t.out(". 1 ack " + next + " win 0").silent();
  CHECK(t.drops(drop_reason::tcp_zerowindow) == 2);
  t.in("F. " + next + " ack 1").after(45).out(". 1 ack " + std::to_string(at + 1) + " win 0").silent();
  CHECK(t.state(fd) == tcp_state::close_wait);
  t.read(fd, at - 1);
  CHECK(t.read_error(fd) == 0);
  t.over();
}

TEST_CASE("acknowledgments after the peer's FIN are no rejects; data behind it is", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.in("F. 1 ack 1").after(6).out(". 1 ack 2");
  REQUIRE(t.write(fd, 3000));
  t.pending.clear();
  t.in(". 2 ack 1001").in(". 2 ack 3001").silent();
  CHECK(t.drops(drop_reason::tcp_old_data) == 0);
  t.in("P. 2:5 ack 3001");
  CHECK(t.drops(drop_reason::tcp_old_data) == 1);
  t.in("F. 1 ack 3001");
  CHECK(t.ext().DelayedACKLost.read() == 1);  // its sender did not hear us
  t.pending.clear();
  t.over();
}

TEST_CASE("the peer's window is heard after any amount of data from it: RFC 9293 §3.10.7.4", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.in("P. 1:6 ack 1");
  tcp_numbers& at = t.tp(fd);
  // As if all but a little of 2 GiB had come since.
  for (u32* seq : {&at.rcv_nxt, &at.copied_seq, &at.rcv_wup}) *seq += 0x7fff'fff0;
  t.peer_isn += 0x7fff'fff0;
  t.in("P. 6:11 ack 1").in("P. 11:111 ack 1");
  t.pending.clear();
  t.in(". 111 ack 1 win 0");
  CHECK(at.snd_wnd == 0);
  t.in(". 111 ack 1 win 900");
  CHECK(at.snd_wnd == 900);
  t.over();
}

// --- several at once

namespace {
void together(tcp_script& t, std::initializer_list<char const*> segments) {
  for (char const* text : segments) {
    bytes frame;
    append(frame, ethhdr{our_mac, peer_mac, be16{eth_p::ip}});
    netdev_priv<rig_dev>(*t.rig.eth0)
        .rx.push_back(frame + datagram{.protocol = ipproto::tcp, .payload = t.bytes_of(tcp_seg::parse(text))}.build());
  }
  t.collect();
}
}  // namespace

TEST_CASE("a FIN in a burst is acknowledged like one by itself, after a while or with our own", "[S147]") {
  bool const burst = GENERATE(false, true), closes = GENERATE(false, true);
  tcp_script t;
  int const fd = t.accepted();
  t.in("P. 1:6 ack 1").out(". 1 ack 6");
  netdev_priv<rig_dev>(*t.rig.eth0).recognises = burst;
  together(t, {"P. 6:11 ack 1", "P. 11:16 ack 1", "F. 16 ack 1"});
  CHECK(t.state(fd) == tcp_state::close_wait);
  t.pending.clear();  // the data may have been acknowledged by itself
  t.read(fd, 15);
  t.quiet(30);
  if (closes) {
    t.close(fd);
    t.out("F. 1 ack 17").in(". 17 ack 2");
  } else {
    t.after(15).out(". 1 ack 17").silent();
  }
  t.over();
}

// --- while a call works on the connection

TEST_CASE("what comes while a call owns the connection waits in its backlog, and is taken in order", "[S97][S147]") {
  bool const burst = GENERATE(false, true);
  tcp_script t;
  int const fd = t.accepted();
  auto& sk = t.sk(fd);
  netdev_priv<rig_dev>(*t.rig.eth0).recognises = burst;
  REQUIRE(lock_sock(sk));
  CHECK(lock_sock(sk).error() == errc::resource_deadlock_would_occur);
  together(t, {"P. 1:6 ack 1", "P. 11:16 ack 1", "P. 6:11 ack 1", "F. 16 ack 1"});
  t.after(1000).silent();
  CHECK(sk.sk_backlog.qlen() == 4);
  CHECK(t.tp(fd).rcv_nxt == t.peer_isn + 1);
  CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
  release_sock(t.net(), sk);
  t.after(45);
  CHECK((sk.sk_backlog.empty() && sk.sk_backlog_len == 0 && !sk.sk_owned));
  REQUIRE(!t.pending.empty());
  CHECK(t.read_segment(t.pending.back()).ack == 17);
  t.pending.clear();
  t.read(fd, 15);
  CHECK(t.read_error(fd) == 0);
  CHECK(t.state(fd) == tcp_state::close_wait);
  // The connection may end there, and the call still has it until it is done.
  REQUIRE(lock_sock(sk));
  together(t, {"R 17", "R 17"});
  CHECK(t.state(fd) == tcp_state::close_wait);
  release_sock(t.net(), sk);
  CHECK(t.state(fd) == tcp_state::close);
  t.collect();
  t.silent().over();
}

TEST_CASE("the backlog holds what both buffers may; what is beyond comes again", "[S97]") {
  tcp_script t;
  int const fd = t.accepted();
  auto& sk = t.sk(fd);
  sk.sk_rcvbuf = sk.sk_sndbuf = 20'000;
  REQUIRE(lock_sock(sk));
  u32 const truesize = t.net().worker().pool.frame_truesize();
  u32 const most = 40'000 / truesize + 1;
  for (u32 i = 0; i < 20; ++i) t.in("P. " + std::to_string(1 + 10 * i) + ":" + std::to_string(11 + 10 * i) + " ack 1");
  t.silent();
  CHECK(sk.sk_backlog.qlen() == most);
  CHECK(t.drops(drop_reason::socket_backlog) == 20 - most);
  CHECK(t.ext().TCPBacklogDrop.read() == 20 - most);
  CHECK(sk.sk_drops == 20 - most);
  release_sock(t.net(), sk);
  t.collect();
  t.pending.clear();
  u32 const taken = t.tp(fd).rcv_nxt - t.peer_isn - 1;
  CHECK((taken != 0 && taken <= 10 * most));
  t.read(fd, taken);
  t.in("P. " + std::to_string(1 + taken) + ":201 ack 1");
  t.read(fd, 200 - taken);
  t.pending.clear();
  t.over();
}
