// SPDX-License-Identifier: BSL-1.0
// What a listener does with those who knock: SYN cookies when there is no room to remember them, the two queues and
// what happens when they are full, TCP_DEFER_ACCEPT, and that who is connected gets the memory there is.
#include "netstack/tcp/tcp_syn.hpp"

#include <random>

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

constexpr siphash_key_t secret{{1, 2}};
constexpr inet_ehash_key ends{.saddr = peer_addr, .daddr = our_addr, .sport = be16{4000}, .hnum = 80};
constexpr u64 minute = syncookie_period;

/// The SYN of a new connection from another port.
void knock(tcp_script& t, u16 from, char const* syn = "S 0 mss 1460") {
  t.from_port = from;
  t.our_isn_known = false;
  t.in(syn);
}
auto& requests(tcp_script& t) { return tcp_worker_of(t.net()).requests; }

}  // namespace

// --- the numbers

TEST_CASE("a cookie tells the MSS for one to two minutes, to its peer alone: RFC 4987 §3.6", "[S147]") {
  static_assert([] {
    for (u32 asked : {0u, 87u, 88u, 100u, 300u, 536u, 1000u, 1219u, 1300u, 1459u, 1460u, 9000u}) {
      u16 mss = static_cast<u16>(asked);
      u32 const cookie = cookie_init_sequence(secret, ends, 77, 59 * minute + 5, mss);
      if ((asked >= 88 && mss > asked) || cookie_check(secret, ends, 77, 59 * minute + 6, cookie) != mss) return false;
    }
    return true;
  }());
  u16 mss = 1460;
  // Around the wrap of the minutes that fit into eight bits, too.
  for (u64 const start : {u64{0}, 5 * minute, 255 * minute, 256 * minute - 1, 100'000 * minute + 7}) {
    u32 const cookie = cookie_init_sequence(secret, ends, 77, start, mss);
    u64 const begin = start / minute * minute;
    CHECK(cookie_check(secret, ends, 77, begin + 2 * minute - 1, cookie) == 1460);
    CHECK(cookie_check(secret, ends, 77, begin + 2 * minute, cookie) == 0);
  }
  u32 const cookie = cookie_init_sequence(secret, ends, 77, minute, mss);
  CHECK(cookie_check(secret, ends, 78, minute, cookie) == 0);
  CHECK(cookie_check(siphash_key_t{{1, 3}}, ends, 77, minute, cookie) == 0);
  auto other = ends;
  other.saddr = ipv4_addr("192.0.2.10");
  CHECK(cookie_check(secret, other, 77, minute, cookie) == 0);
  other = ends, other.sport = be16{4001};
  CHECK(cookie_check(secret, other, 77, minute, cookie) == 0);
  other = ends, other.hnum = 81;
  CHECK(cookie_check(secret, other, 77, minute, cookie) == 0);
}

TEST_CASE("nobody guesses a cookie: of 4,000,000 tries none is believed", "[S147]") {
  // The odds of one are 2 minutes of 256, times 8 sizes of 2^24.
  u32 believed = 0;
  for (u32 guess = 0; guess < 4'000'000; ++guess)
    believed += cookie_check(secret, ends, 77, 9 * minute, guess * 2654435761u) != 0;
  CHECK(believed == 0);
}

TEST_CASE("a cookie's time stamp is never ahead of the clock, and tells the options", "[RFC 7323]") {
  for (u32 const now : {0u, 1u, 63u, 64u, 1000u, 0xffff'ffffu, 0x8000'0000u})
    for (u8 const scale : {u8{0}, u8{1}, u8{7}, u8{14}, u8{15}}) {
      tcp_request_sock req{};
      req.wscale_ok = scale <= 14, req.snd_wscale = scale;
      req.sack_ok = scale % 2;
      req.ecn_ok = scale % 3;
      u32 const ts = cookie_init_timestamp(req, now);
      CHECK(!after(ts, now));
      CHECK(now - ts < 128);
      tcp_options_received syn;
      CHECK(cookie_timestamp_decode(syn, ts) == (scale % 3 != 0));
      CHECK(syn.wscale_ok == (scale <= 14));
      CHECK(syn.snd_wscale == (scale <= 14 ? scale : 0));
      CHECK(syn.sack_ok == (scale % 2 == 1));
    }
}

// --- the handshake

TEST_CASE("no room for one more that is half open: it gets a cookie, and nothing is kept of it",
          "[S147][SYN flood][RFC 4987]") {
  tcp_script t;
  t.listen(1);
  knock(t, 5001), knock(t, 5002);
  CHECK(requests(t).in_use() == 2);
  t.pending.clear();
  SECTION("without time stamps: the MSS, and no option") {
    knock(t, 5003, "S 0 mss 1000 sackok ws 7");
    t.out("S. 0 ack 1 mss 1460").silent();
    CHECK(requests(t).in_use() == 2);
    CHECK(t.ext().TCPReqQFullDoCookies.read() == 1);
    CHECK(t.ext().SyncookiesSent.read() == 1);
    t.quiet(900);  // not repeated: it was forgotten
    t.in("P. 1:6 ack 1").out(". 1 ack 6").silent();
    int const fd = t.accept();
    CHECK(t.ext().SyncookiesRecv.read() == 1);
    CHECK(t.tp(fd).mss_clamp == 536);  // the largest that a cookie can tell and that is no more than 1000
    CHECK(!t.tp(fd).sack_ok);
    CHECK(!t.tp(fd).tstamp_ok);
    CHECK(!t.tp(fd).wscale_ok);
    t.read(fd, 5);
  }
  SECTION("with time stamps: all of them") {
    knock(t, 5003, "S 0 mss 1460 sackok ts 900 0 ws 7");
    t.out("S. 0 ack 1 sackok ts * 900 ws 1").silent();
    t.in(". 1 ack 1 ts 901 " + std::to_string(t.our_tsval) + " win 100").silent();
    int const fd = t.accept();
    CHECK(t.tp(fd).mss_clamp == 1460);
    CHECK(t.tp(fd).sack_ok);
    CHECK(t.tp(fd).tstamp_ok);
    CHECK(t.tp(fd).snd_wscale == 7);
    CHECK(t.tp(fd).snd_wnd == 100u << 7);
    CHECK(t.tp(fd).ts_recent == 901);
    u32 const told = t.our_tsval;
    REQUIRE(t.write(fd, 4));
    t.out("P. 1:5 ack 1 ts * 901");
    CHECK(!before(t.our_tsval, told));  // the clock did not go back
  }
  SECTION("a number that we never gave is refused") {
    knock(t, 5003);
    t.out("S. 0 ack 1");
    t.in(". 1 ack 77").out("R 77").silent();
    t.in(". 2 ack 1").out("R 1").silent();
    CHECK(t.ext().SyncookiesFailed.read() == 2);
    t.in("S. 1 ack 1").out("R 1").silent();
    CHECK(t.ext().SyncookiesFailed.read() == 2);
    t.in(". 1 ack 1").silent();  // still good
    t.accept();
  }
  SECTION("too late") {
    knock(t, 5003);
    t.out("S. 0 ack 1");
    t.after(121'000);
    t.pending.clear();
    t.in(". 1 ack 1").out("R 1").silent();
    CHECK(t.ext().SyncookiesRecv.read() == 0);
  }
  t.over();
}

TEST_CASE("the end of a handshake that says nothing else leaves what any does", "[S147]") {
  // PSH alone has it go the way of all segments; with a namespace's cookies both are made of that segment.
  u8 const cookies = GENERATE(u8{1}, u8{2});
  tcp_script quick, any;
  tcp_sock* tp[2]{};
  for (u32 i = 0; auto* t : {&quick, &any}) {
    tcp_pernet(t->net()).sysctl_tcp_syncookies = cookies;
    t->listen();
    t->in("S 0 mss 1000 sackok ws 7 ts 100 0").out("S. 0 ack 1");
    t->after(30).in(i == 0 ? ". 1 ack 1 win 700 ts 130 *" : "P. 1 ack 1 win 700 ts 130 *");
    tp[i++] = &t->tp(t->accept());
  }
  auto const& a = *tp[0];
  auto const& b = *tp[1];
  CHECK(a.sk_state == tcp_state::established);
  CHECK(a.snd_wnd == (cookies == 1 ? 700u << 7 : 700u << a.snd_wscale));
  CHECK(a.ts_recent == 130);
  CHECK(a.segs_in == 2);
  CHECK(a.icsk_ca_initialized);
  CHECK((a.srtt_us != 0) == (cookies == 1));
  CHECK(static_cast<tcp_marks const&>(a).word() == b.word());
  auto const same = [&](auto... members) { return ((a.*members == b.*members) && ...); };
  CHECK(same(&tcp_sock::sk_state, &tcp_sock::rcv_nxt, &tcp_sock::rcv_wup, &tcp_sock::rcv_wnd, &tcp_sock::copied_seq,
             &tcp_sock::snd_wnd, &tcp_sock::max_window, &tcp_sock::snd_wl1, &tcp_sock::snd_cwnd,
             &tcp_sock::snd_ssthresh, &tcp_sock::mss_cache, &tcp_sock::rcv_mss));
  CHECK(same(&tcp_sock::ts_recent, &tcp_sock::ts_recent_stamp, &tcp_sock::srtt_us, &tcp_sock::rttvar_us,
             &tcp_sock::icsk_rto, &tcp_sock::rtt_min_us, &tcp_sock::rcv_tstamp, &tcp_sock::lsndtime,
             &tcp_sock::established, &tcp_sock::segs_in, &tcp_sock::data_segs_in, &tcp_sock::segs_out,
             &tcp_sock::delivered, &tcp_sock::rcvq_space, &tcp_sock::events, &tcp_sock::icsk_retransmits));
  CHECK(a.snd_nxt - a.snd_una == b.snd_nxt - b.snd_una);
  CHECK(quick.ext().TCPPureAcks.read() == any.ext().TCPPureAcks.read());
  CHECK(quick.mib().CurrEstab.read() == any.mib().CurrEstab.read());
  CHECK(quick.mib().InSegs.read() == any.mib().InSegs.read());
  CHECK(quick.mib().PassiveOpens.read() == 1);
}

TEST_CASE("a listener that sent no cookie of late looks for none", "[S147]") {
  tcp_script t;
  t.listen(1);
  t.in(". 1 ack 5").out("R 5").silent();
  CHECK(t.ext().SyncookiesFailed.read() == 0);
  t.over();
}

TEST_CASE("tcp_syncookies 0: who finds no room is not answered; 2: everybody gets one", "[S147]") {
  tcp_script t;
  t.listen(1);
  tcp_pernet(t.net()).sysctl_tcp_syncookies = 0;
  knock(t, 5001), knock(t, 5002), t.pending.clear();
  knock(t, 5003);
  t.silent();
  CHECK(t.ext().TCPReqQFullDrop.read() == 1);
  CHECK(t.ext().ListenDrops.read() == 1);
  CHECK(t.sk(t.listener).sk_drops == 1);
  CHECK(t.drops(drop_reason::tcp_request_full) == 1);
  tcp_pernet(t.net()).sysctl_tcp_syncookies = 2;
  t.over();
  tcp_script u;
  tcp_pernet(u.net()).sysctl_tcp_syncookies = 2;
  u.listen(8);
  u.in("S 0 mss 1460").out("S. 0 ack 1");
  CHECK(requests(u).in_use() == 0);
  u.in(". 1 ack 1");
  u.accept();
  u.over();
}

// --- the queue of those who wait for accept()

TEST_CASE("the accept queue is full: SYNs are not answered, and who is half open is asked again", "[S148]") {
  tcp_script t;
  t.listen(1);
  knock(t, 5001), t.out("S. 0 ack 1").in(". 1 ack 1");
  knock(t, 5002), t.out("S. 0 ack 1");
  u32 const second = t.our_isn;
  knock(t, 5003), t.out("S. 0 ack 1").in(". 1 ack 1");  // backlog + 1 may wait
  u32 const third = t.our_isn;
  knock(t, 5004), t.silent();
  CHECK(t.ext().ListenOverflows.read() == 1);
  CHECK(t.ext().ListenDrops.read() == 1);
  t.from_port = 5002, t.our_isn = second;
  t.in(". 1 ack 1").silent();
  CHECK(t.ext().ListenOverflows.read() == 2);
  CHECK(t.ext().ListenDrops.read() == 2);
  CHECK(t.drops(drop_reason::tcp_listen_overflow) == 2);
  CHECK(requests(t).in_use() == 1);
  SECTION("room appears: our SYN-ACK is repeated, and answered") {
    t.accept(), t.accept();
    t.after(1001).out("S. 0 ack 1").silent();
    t.in(". 1 ack 1");
    t.accept();
  }
  SECTION("data counts as well as the acknowledgment") {
    t.accept();
    t.in("P. 1:4 ack 1").out(". 1 ack 4");
    t.our_isn = third;
    t.accept();
    t.read(t.accept(), 3);
  }
  SECTION("tcp_abort_on_overflow: it is told at once") {
    tcp_pernet(t.net()).sysctl_tcp_abort_on_overflow = 1;
    t.in(". 1 ack 1").out("R 1").silent();
    CHECK(requests(t).in_use() == 0);
    CHECK(t.ext().EmbryonicRsts.read() == 1);
  }
  t.over();
}

TEST_CASE("a listener that closes resets who waited, and forgets who was half open", "[S148]") {
  tcp_script t;
  t.listen(4);
  knock(t, 5001), t.out("S. 0 ack 1").in(". 1 ack 1");
  knock(t, 5002), t.out("S. 0 ack 1");
  u32 const half = t.our_isn;
  t.our_isn_known = false;
  t.close(t.listener);
  CHECK(t.pending.size() == 1);  // the RST of the first
  t.pending.clear();
  t.our_isn = half, t.our_isn_known = true;
  t.in(". 1 ack 1").out("R 1").silent();
  CHECK(requests(t).in_use() == 0);
  CHECK(tcp_worker_of(t.net()).socks.in_use() == 0);
  t.over();
}

TEST_CASE("genuine handshakes succeed in a flood, whatever listener and settings become meanwhile", "[S147][S148]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_fastopen = tfo::server_enable;
  std::mt19937 random(1);
  auto const below = [&](u32 n) { return static_cast<u32>(random() % n); };
  auto const set = [&](char const* path, u32 value) { REQUIRE(sysctl_write(t.net(), path, std::to_string(value))); };
  auto const open = [&] {
    if (t.listener >= 0) t.close(t.listener);
    t.listener = t.stream();
    REQUIRE(setsockopt(t.net(), t.listener, sol::socket, so::reuseaddr, 1));
    REQUIRE(bind(t.net(), t.listener, inet_addr_of({}, tcp_script::port)));
    REQUIRE(listen(t.net(), t.listener, static_cast<int>(below(6))));
    REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::fastopen, 3));
  };
  auto const forget = [&](int fd) {
    linger const at_once{.l_onoff = 1, .l_linger = 0};
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::linger, &at_once, sizeof at_once));
    t.close(fd);
  };
  u16 port = 1000;
  u32 served = 0;
  open();
  knock(t, port, "S 0 mss 1460 fo ask"), t.out("S. 0 ack 1 fo cookie").in("R 1");
  for (u32 round = 0; round < 400; ++round) {
    if (below(8) == 0) open();
    if (below(3) == 0) set("net/ipv4/tcp_syncookies", below(3));
    if (below(3) == 0) set("net/ipv4/tcp_max_syn_backlog", 1 + below(20));
    if (below(5) == 0) REQUIRE(listen(t.net(), t.listener, static_cast<int>(below(6))));
    for (u32 n = below(6); n != 0; --n) {
      knock(t, ++port, below(2) ? "S 0 mss 1460" : "S 0:5 mss 1460 fo cookie");
      if (below(4) == 0) t.in(below(2) ? "R 1" : "R 6");
    }
    t.after(below(400)).pending.clear();
    while (auto const fd = accept(t.net(), t.listener, nullptr, nullptr, sock_type::nonblock)) forget(*fd);
    t.pending.clear();
    bool const stamps = below(2), cookies = tcp_pernet(t.net()).sysctl_tcp_syncookies != 0;
    knock(t, ++port, stamps ? "S 0 mss 1460 sackok ts 7 0 ws 2" : "S 0 mss 1460");
    if (t.pending.empty() && !cookies) continue;  // no room, and nothing else to offer
    t.out("S. 0 ack 1").silent();
    u32 const isn = t.our_isn, stamp = t.our_tsval;
    if (cookies) set("net/ipv4/tcp_syncookies", 1 + below(2));
    u16 const own = port;
    for (u32 n = below(6); n != 0; --n) knock(t, ++port, "S 0 mss 1460");
    t.after(below(900)).pending.clear();
    t.from_port = own, t.our_isn = isn, t.our_isn_known = true, t.got = 1;
    t.in("P. 1:6 ack 1" + (stamps ? " ts 8 " + std::to_string(stamp) : std::string()));
    int const fd = t.accept();
    CHECK(t.tp(fd).sack_ok == stamps);
    t.read(fd, 5);
    forget(fd);
    ++served;
    u32 waiting = 0;
    auto& w = tcp_worker_of(t.net());
    for (inet_link const slot : w.hashinfo.slots())
      for ([[maybe_unused]] auto& req : inet_chain_of<tcp_request_sock>(w, slot)) ++waiting;
    CHECK(inet_csk(t.sk(t.listener)).icsk_listen.syn_qlen == waiting);
  }
  CHECK(served > 300);
  t.over();
}

// --- TCP_DEFER_ACCEPT

TEST_CASE("TCP_DEFER_ACCEPT: the connection begins with data; without, at the end of the wait", "[S148]") {
  tcp_script t;
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::defer_accept, 3));  // two repetitions: 1 s + 2 s
  t.in("S 0 mss 1460").out("S. 0 ack 1");
  t.in(". 1 ack 1").silent();
  CHECK(t.ext().TCPDeferAcceptDrop.read() == 1);
  CHECK(netstack::accept(t.net(), t.listener).error() == errc::resource_unavailable_try_again);
  SECTION("data") {
    t.in("P. 1:6 ack 1").out(". 1 ack 6");
    t.read(t.accept(), 5);
  }
  SECTION("a FIN is something to say, too") {
    t.in("F. 1 ack 1").after(6).out(". 1 ack 2");
    CHECK(t.read_error(t.accept()) == 0);
  }
  SECTION("nothing: the SYN-ACK goes once more when the wait ends, and the answer to that is enough") {
    t.quiet(999);
    t.after(2500).out("S. 0 ack 1").silent();
    t.in(". 1 ack 1");
    t.accept();
  }
  SECTION("nobody any more") {
    t.after(200'000);
    t.pending.clear();
    CHECK(requests(t).in_use() == 0);
  }
  t.over();
}

TEST_CASE("who is half open is asked again in his own time, whatever others wait for: RFC 6298 §5", "[S147]") {
  tcp_script t;
  t.listen();
  auto const answers = [&](u64 ms) {
    t.after(ms);
    return std::exchange(t.pending, {}).size();
  };
  knock(t, 5001), t.out("S. 0 ack 1").quiet(400);
  knock(t, 5002), t.out("S. 0 ack 1").quiet(400);
  u32 const second = t.our_isn;
  knock(t, 5003), t.out("S. 0 ack 1");
  CHECK(answers(199) == 0);
  CHECK(answers(2) == 1);    // the first, after 1 s
  CHECK(answers(400) == 1);  // the second, who answers now
  t.from_port = 5002, t.our_isn = second;
  t.in(". 1 ack 1").silent();
  t.accept();
  CHECK(answers(400) == 1);  // the third
  CHECK(answers(1198) == 0);
  CHECK(answers(2) == 1);  // the first, after 3 s
  knock(t, 5004), t.out("S. 0 ack 1");
  CHECK(answers(798) == 0);
  CHECK(answers(2) == 1);     // the third
  CHECK(answers(201) == 1);   // the fourth, after 1 s
  CHECK(answers(3002) == 2);  // the fourth and the first
  CHECK(requests(t).in_use() == 3);
  CHECK(answers(200'000) > 0);
  CHECK(requests(t).in_use() == 0);
  t.over();
}

TEST_CASE("who is half open waits no longer than his listener wants, whatever others' want: RFC 6298 §2.5", "[S147]") {
  tcp_script t;
  int const fd = t.listen();
  auto const answers = [&](u64 ms) {
    t.after(ms);
    return std::exchange(t.pending, {}).size();
  };
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::rto_max_ms, 5000));
  knock(t, 5001), t.out("S. 0 ack 1");
  CHECK(answers(7100) == 3);  // after 1, 3 and 7 s
  CHECK(answers(4800) == 0);
  CHECK(answers(200) == 1);  // 12 s: waits 5 s more
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::rto_max_ms, 3000));
  knock(t, 5002), t.out("S. 0 ack 1");
  CHECK(answers(4000) == 2);  // after 1 and 3 s
  CHECK(answers(1100) == 1);  // the first, at 17 s, who waits 3 s from now on
  CHECK(answers(1000) == 1);  // the second, whose turn is before that
  CHECK(answers(2100) == 0);
  CHECK(requests(t).in_use() == 1);  // the first is given up, at 20 s
  t.after(600'000).pending.clear();
  CHECK(requests(t).in_use() == 0);
  t.over();
}

TEST_CASE("a SYN-ACK that is repeated for hours leaves every two minutes: RFC 6298 §2.5", "[S147]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_synack_retries", "255"));
  t.listen();
  t.in("S 0 mss 1000").out("S. 0 ack 1");
  t.after(130'000).pending.clear();  // after 1, 3, 7 … 127 seconds
  for (int n = 7; n < 100; ++n) {
    t.after(120'000);
    INFO("repetition " << n);
    REQUIRE(t.pending.size() == 1);
    t.out("S. 0 ack 1").silent();
  }
}

TEST_CASE("a SYN that comes again is answered again, and then waited for as long as before", "[S148]") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1460").out("S. 0 ack 1").quiet(600);
  t.in("S 0 mss 1460").out("S. 0 ack 1").quiet(999);
  t.after(2).out("S. 0 ack 1").quiet(1990);
  t.in(". 1 ack 1").silent();
  auto const& tp = t.tp(t.accept());
  CHECK(tp.rare->total_retrans == 2);
  CHECK(tp.srtt_us == 0);  // nobody knows which of them was answered
  t.over();
}

TEST_CASE("a queue more than half full repeats old handshakes twice, unless most are young", "[S148][RFC 4987]") {
  tcp_script t;
  t.listen(16);
  auto const sent = [&] { return std::exchange(t.pending, {}).size(); };
  for (u16 port = 5000; port < 5009; ++port) knock(t, port);
  sent();
  t.after(1001);
  CHECK(sent() == 9);
  t.after(2000);
  CHECK(sent() == 9);
  t.after(3900).silent();
  SECTION("half of the queue is kept free") {
    t.after(101);
    CHECK(sent() == 8);
    CHECK(requests(t).in_use() == 8);
    t.after(8000);
    CHECK(sent() == 8);
  }
  SECTION("few are young") {
    knock(t, 6000);
    CHECK(sent() == 1);
    t.after(101);
    CHECK(sent() == 7);
    CHECK(requests(t).in_use() == 8);
  }
  SECTION("most are young") {
    for (u16 port = 6000; port < 6007; ++port) knock(t, port);
    CHECK(sent() == 7);
    t.after(101);
    CHECK(sent() == 9);
    CHECK(requests(t).in_use() == 16);
  }
  SECTION("none are there any more") {
    t.after(200'000);
    CHECK(t.tp(t.listener).rare->syn_qold == 0);
  }
  t.pending.clear();
  t.over();
}

TEST_CASE("TCP_DEFER_ACCEPT is kept in repetitions, and told in seconds", "[S148]") {
  tcp_script t;
  int const fd = t.listen();
  for (auto const& [set, get] :
       {std::pair{-1, 0}, {0, 0}, {1, 1}, {2, 3}, {3, 3}, {4, 7}, {7, 7}, {8, 15}, {200, 247}}) {
    REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::defer_accept, set));
    CHECK(getsockopt<int>(t.net(), fd, sol::tcp, tcp_opt::defer_accept).value() == get);
  }
  t.over();
}

// --- memory

TEST_CASE("RSTs in the window of a half-open connection are answered twice a second at most: RFC 5961 §7") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1460").out("S. 0 ack 1");
  for (u32 n = 0; n < 100; ++n) t.in("R " + std::to_string(10 + n) + (n % 3 ? "" : ":" + std::to_string(20 + n)));
  t.out(". 1 ack 1").silent();
  CHECK(t.ext().TCPChallengeACK.read() == 1);
  CHECK(t.ext().TCPACKSkippedSynRecv.read() == 99);
  t.in(". 1 ack 1").silent();
  CHECK(t.state(t.accept()) == tcp_state::established);
  t.over();
}

TEST_CASE("memory runs out: windows shrink, nobody new gets in, who is connected lives", "[S99][S145]") {
  tcp_script t;
  auto& memory = tcp_worker_of(t.net()).memory;
  auto& limits = tcp_pernet(t.net()).limits;
  int const idle = t.accepted();
  u32 const idle_isn = t.our_isn;
  knock(t, 5000), t.out("S. 0 ack 1").in(". 1 ack 1");
  int const busy = t.accept();
  t.tp(busy).sk_rcvbuf = 1 << 20;
  limits.mem[0] = 8, limits.mem[1] = 16, limits.mem[2] = 64;  // pages; a frame takes more than one
  u32 next = 1;
  auto const more = [&] {
    t.in(". " + std::to_string(next) + ":" + std::to_string(next + 1400) + " ack 1");
    bool const taken = t.tp(busy).rcv_nxt - t.peer_isn == next + 1400;
    if (taken) next += 1400;
    t.pending.clear();
    return taken;
  };
  while (!memory.pressure) REQUIRE(more());
  CHECK(t.ext().TCPMemoryPressures.read() == 1);
  u64 const pressed = t.net().worker().now;
  while (next < 60'000 && more()) {
  }
  CHECK(t.ext().TCPRcvQDrop.read() == 1);  // more than its share of what there is
  CHECK(t.tp(busy).rcv_wnd == 0);          // and the peer is told so
  // Others have theirs.
  t.from_port = tcp_script::peer_port, t.our_isn = idle_isn;
  t.in("P. 1:4 ack 1").out(". 1 ack 4");
  t.read(idle, 3);
  CHECK(memory.allocated <= 64);
  limits.mem[2] = memory.allocated;
  knock(t, 6000), t.silent();
  CHECK(t.drops(drop_reason::proto_mem) == 2);
  CHECK(t.ext().ListenDrops.read() == 1);
  t.from_port = tcp_script::peer_port, t.our_isn = idle_isn;
  t.in("P. 4:8 ack 1").out(". 1 ack 8 win 0");
  t.read(idle, 4);
  t.pending.clear();
  // The reader comes: there is room again, but no wide window as long as there is not enough.
  std::vector<u8> all(next);
  REQUIRE(recv(t.net(), busy, all.data(), 1400 * 6, msg::dontwait).value() == 1400 * 6);
  t.collect(), t.pending.clear();
  CHECK(memory.pressure);
  t.after(700);
  t.pending.clear();
  CHECK(t.ext().TCPMemoryPressuresChrono.read() == 0);  // it is not over
  CHECK(__tcp_select_window(t.sk(busy)) <= std::max(tcp_receive_window(t.tp(busy)), 4u * 1460));
  t.in("P. 8:12 ack 1").out(". 1 ack 12");
  t.read(idle, 4);
  while (recv(t.net(), busy, all.data(), all.size(), msg::dontwait)) {
  }
  t.collect(), t.pending.clear();
  CHECK(!memory.pressure);
  CHECK(t.ext().TCPMemoryPressuresChrono.read() == (t.net().worker().now - pressed) / 1'000'000);
  CHECK(t.ext().TCPMemoryPressuresChrono.read() >= 700);
  CHECK(__tcp_select_window(t.sk(busy)) > 4u * 1460);
  knock(t, 6001), t.out("S. 0 ack 1");
  t.over();
}

TEST_CASE("a handshake whose listener's TCP_RTO_MAX_MS is raised meanwhile is not late", "[S148]") {
  tcp_script t;
  int const fd = t.listen();
  auto const answers = [&](u64 ms) {
    t.after(ms);
    return std::exchange(t.pending, {}).size();
  };
  knock(t, 5001), t.out("S. 0 ack 1");
  CHECK(answers(32'000) == 5);  // at 1, 3, 7, 15, 31 s; the next at 63
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::rto_max_ms, 1000));
  knock(t, 5002), t.out("S. 0 ack 1");
  CHECK(answers(1500) == 1);
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::rto_max_ms, 120'000));
  CHECK(answers(1000) == 1);  // at 34 s, and 4 s later
  CHECK(answers(5000) == 1);
  t.after(600'000).pending.clear();
  t.over();
}

TEST_CASE("however many bounds listeners want, who is half open finds his place at the end of a row, and is not late",
          "[S147]") {
  tcp_script t;
  int const fd = t.listen(64);
  u64 const start = t.net().worker().now;
  std::vector<u32> const bounds{1900, 1860, 1820, 1780, 1740, 1700, 1660, 1620, 1900, 1880, 1100};
  for (u32 i = 0; i < bounds.size(); ++i) knock(t, static_cast<u16>(5000 + i)), t.after(10).pending.clear();
  t.after(995 - 10 * bounds.size());
  for (u32 const bound : bounds) {  // when its first timeout is near
    REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::rto_max_ms, static_cast<int>(bound)));
    CHECK(t.after(10).pending.size() == 1);
    t.pending.clear();
  }
  auto& all = tcp_worker_of(t.net()).request_rows;
  u32 seen = 0;
  for (auto& row : all.rows) {
    u64 last = 0;
    for (auto& req : row.in(requests(t))) {
      CHECK(req.due >= std::exchange(last, req.due));
      u32 const i = req.key.sport.host() - 5000u;
      // There are eight rows: who wants another takes the next shorter wait.
      u64 const wait = bounds[i] == 1880 ? 1860 : bounds[i] == 1100 ? 1000 : bounds[i];
      u64 const due = (req.due - start) / 1'000'000, expected = 1000 + 10 * i + wait;
      CHECK((due >= expected && due <= expected + 2));
      ++seen;
    }
  }
  CHECK(seen == bounds.size());
  t.after(600'000).pending.clear();
  t.over();
}

TEST_CASE("TCP_SAVE_SYN: kept until read or closed; without room, or with a cookie, the connection has none") {
  tcp_script t;
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::save_syn, 1));
  auto& saved = tcp_worker_of(t.net()).saved_syns;
  std::array<u8, 120> syn;
  auto const read = [&](int fd, u32 room = 120) -> result<u32> {
    auto r = getsockopt(t.net(), fd, sol::tcp, tcp_opt::saved_syn, syn.data(), &room);
    return r ? result<u32>{room} : result<u32>{failure{r.error()}};
  };
  auto const come = [&](u16 from) {
    knock(t, from, "S 0 mss 1000"), t.out("S. 0 ack 1"), t.in(". 1 ack 1");
    return t.accept();
  };
  knock(t, 5001), t.out("S. 0 ack 1");
  CHECK(saved.in_use() == 1);
  t.in("R 1");  // and goes
  CHECK(saved.in_use() == 0);
  int const fd = come(5002);
  CHECK(saved.in_use() == 1);
  CHECK(read(fd, 43).error() == std::errc::invalid_argument);
  CHECK(read(fd).value() == 44);
  CHECK(syn[9] == 6);
  CHECK((syn[20] << 8 | syn[21]) == 5002);
  CHECK((syn[42] << 8 | syn[43]) == 1000);  // the MSS
  CHECK(saved.in_use() == 0);
  CHECK(read(fd).value() == 0);
  int const unread = come(5003);
  CHECK(saved.in_use() == 1);
  t.close(unread), t.pending.clear();
  t.in("R. 1 ack 2");
  CHECK(saved.in_use() == 0);
  // No room.
  std::vector<tcp_saved_syn*> others;
  while (auto* one = saved.alloc()) others.push_back(one);
  CHECK(read(come(5004)).value() == 0);
  for (auto* one : others) saved.free(one);
  tcp_pernet(t.net()).sysctl_tcp_syncookies = 2;
  CHECK(read(come(5005)).value() == 0);
  CHECK(saved.in_use() == 0);
  t.over();
}

TEST_CASE("the first window is what the buffer holds in segments of the device's size", "[S100]") {
  tcp_script t;
  t.rig.eth0->mtu = 577;
  int const listener = t.listen();
  REQUIRE(setsockopt(t.net(), listener, sol::socket, so::rcvbuf, 60'000));
  u32 const frames = t.sk(listener).sk_rcvbuf / t.rig.host.worker().pool.frame_truesize();
  t.in("S 0 mss 1460");
  REQUIRE(t.pending.size() == 1);
  CHECK(*t.read_segment(t.pending.front()).win <= (frames + 1) * 537);
  t.pending.clear();
  t.over();
}
