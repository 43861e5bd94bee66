// SPDX-License-Identifier: BSL-1.0
// Data that comes with the SYN: RFC 7413, both sides. That Linux understands it is tests/interop/tcp.cpp's.
#include "netstack/tcp/tcp_fastopen.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

/// A listener that takes data with SYNs, and has given the peer a cookie.
struct server_script : tcp_script {
  explicit server_script(int most = 4) {
    tcp_pernet(net()).sysctl_tcp_fastopen = tfo::client_enable | tfo::server_enable;
    listen();
    REQUIRE(setsockopt(net(), listener, sol::tcp, tcp_opt::fastopen, most));
    ask();
    in("R 1");
  }
  void ask() {
    in("S 0 mss 1460 fo ask");
    out("S. 0 ack 1 fo cookie").silent();
  }
  void from(u16 other) { from_port = other, our_isn_known = false; }
};

/// sendto(MSG_FASTOPEN) of `n` bytes; what it answers.
result<std::size_t> fast(tcp_script& t, int fd, std::size_t n, be32 to = peer_addr) {
  std::string text(n, '\0');
  for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(tcp_script_byte(static_cast<u32>(i + 1)));
  auto const r = sendto(t.net(), fd, text.data(), n, msg::fastopen, inet_addr_of(to, tcp_script::peer_port));
  t.collect();
  t.our_port = getsockname(t.net(), fd)->sin_port.host();
  t.our_isn_known = false;
  if (r) t.written = static_cast<u32>(1 + *r);
  return r;
}
/// TCP_INFO: why no data came with the SYN.
auto failed(tcp_script& t, int fd) {
  auto const info = getsockopt<tcp_info>(t.net(), fd, sol::tcp, tcp_opt::info).value();
  return static_cast<tcp_fastopen_client_fail>(info.tcpi_fastopen_client_fail);
}
/// A client that has the script's cookie.
void acquaint(tcp_script& t, u16 mss = 1460) {
  int const fd = t.stream();
  CHECK(fast(t, fd, 10).error() == errc::operation_in_progress);
  t.out("S 0 fo ask").silent();
  CHECK(failed(t, fd) == tcp_fastopen_client_fail::cookie_unavailable);
  t.in("S. 0 ack 1 fo cookie mss " + std::to_string(mss));
  t.out(". 1 ack 1").silent();
  t.close(fd);
  t.pending.clear();
  t.in("R. 1 ack 2");
  t.after(1), t.pending.clear();
}

}  // namespace

// --- server

TEST_CASE("a server gives a cookie to who asks, if it is to", "[S148][RFC 7413]") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1460 fo ask").out("S. 0 ack 1").in("R 1");  // the setting allows only clients
  tcp_pernet(t.net()).sysctl_tcp_fastopen = tfo::server_enable;
  t.our_isn_known = false;
  t.in("S 0 mss 1460 fo ask").out("S. 0 ack 1").in("R 1");  // and this listener takes none
  CHECK(t.ext().TCPFastOpenCookieReqd.read() == 2);
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::fastopen, 1));
  CHECK(getsockopt<int>(t.net(), t.listener, sol::tcp, tcp_opt::fastopen).value() == 1);
  t.our_isn_known = false;
  t.in("S 0 mss 1460 fo ask").out("S. 0 ack 1 fo cookie").in(". 1 ack 1");
  t.accept();
  auto const of = [&](be32 a) {
    auto const& ctx = tcp_fastopen_get_ctx(t.net(), t.tp(t.listener));
    inet_ehash_key const ends{.saddr = a, .daddr = our_addr, .sport = be16{1}, .hnum = 80};
    return detail::tcp_fastopen_cookie_gen(t.net(), ctx.key[0], ends).val;
  };
  CHECK(of(peer_addr) == t.cookie);
  CHECK(of(ipv4_addr("192.0.2.10")) != t.cookie);
  t.over();
}

TEST_CASE("data with a SYN and the right cookie is read before the handshake is complete: RFC 7413 §4.2",
          "[S148][RFC 7413]") {
  server_script t;
  t.from(4001);
  t.in("S 0:5 mss 1000 sackok ts 7 0 ws 2 fo cookie");
  t.out("S. 0 ack 6 sackok ts * 7 ws 1").silent();
  int const fd = t.accept();
  CHECK(t.state(fd) == tcp_state::syn_recv);
  pollfd p{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
  CHECK(poll(t.net(), {&p, 1}, 0).value() == 1);
  CHECK(p.revents == (POLLIN | POLLOUT));
  t.read(fd, 5);
  REQUIRE(t.write(fd, 10));  // and answered
  t.out("P. 1:11 ack 6").silent();
  CHECK(t.tp(t.listener).rare->fastopen_qlen == 1);
  std::string const ts = " ts 8 " + std::to_string(t.our_tsval);
  t.in(". 6 ack 1" + ts).silent();
  CHECK(t.state(fd) == tcp_state::established);
  CHECK(t.tp(t.listener).rare->fastopen_qlen == 0);
  CHECK(t.tp(fd).snd_wnd == 65535u << 2);
  t.in("P. 6:9 ack 11" + ts);
  t.read(fd, 3);
  CHECK(t.ext().TCPFastOpenPassive.read() == 1);
  CHECK(t.mib().RetransSegs.read() == 0);
  t.over();
}

TEST_CASE("a wrong cookie: as if the SYN had no data, and the answer has the right one", "[RFC 7413]") {
  server_script t;
  t.from(4001);
  t.in("S 0:5 mss 1460 fo wrong").out("S. 0 ack 1 fo cookie").silent();
  CHECK(t.ext().TCPFastOpenPassiveFail.read() == 1);
  CHECK(netstack::accept(t.net(), t.listener).error() == errc::resource_unavailable_try_again);
  t.in("P. 1:6 ack 1").out(". 1 ack 6");
  t.read(t.accept(), 5);
  t.from(4002);
  t.in("S 0:5 mss 1460").out("S. 0 ack 1").silent();  // no option at all: RFC 9293 allows such data, and to ignore it
  t.over();
}

TEST_CASE("a SYN-ACK that is not acknowledged is repeated as tcp_synack_retries says, and once more", "[RFC 7413]") {
  server_script t;
  tcp_pernet(t.net()).sysctl_tcp_synack_retries = 1;
  t.from(4001);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6");
  int const fd = t.accept();
  t.after(60'000).out("S. 0 ack 6").out("S. 0 ack 6").silent();
  CHECK(t.state(fd) == tcp_state::close);
  t.read(fd, 5);  // what came with the SYN is there
  t.over();
}

TEST_CASE("no more than TCP_FASTOPEN says are taken before their handshake: RFC 7413 §5.1", "[RFC 7413]") {
  server_script t(1);
  t.from(4001);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6");
  int const fd = t.accept();
  u32 const isn = t.our_isn;
  t.from(4002);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 1").silent();
  CHECK(t.ext().TCPFastOpenListenOverflow.read() == 1);
  t.from_port = 4001, t.our_isn = isn;
  SECTION("the handshake is complete") { t.in(". 6 ack 1").silent(); }
  SECTION("it was no client's: a RST") {
    t.in("R 6").silent();
    t.read(fd, 5);
    CHECK(t.read_error(fd) == static_cast<int>(errc::connection_reset));
    // Which makes no room at once: whoever forged that address would use it for the next.
    t.after(59'000), t.pending.clear();
    t.from(4004);
    t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 1").silent();
    CHECK(t.ext().TCPFastOpenListenOverflow.read() == 2);
    t.after(1000), t.pending.clear();
  }
  SECTION("it is given up") {
    t.after(130'000), t.pending.clear();
    CHECK(t.state(fd) == tcp_state::close);
  }
  CHECK(t.tp(t.listener).rare->fastopen_qlen == 0);
  t.from(4003);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6");
  t.over();
}

TEST_CASE("a SYN-ACK that was lost is repeated, by time and when the SYN comes again", "[RFC 7413]") {
  server_script t;
  t.from(4001);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6").silent();
  int const fd = t.accept();
  t.in("S 0 mss 1460").out("S. 0 ack 6").silent();
  t.after(1001).out("S. 0 ack 6").silent();
  t.in(". 6 ack 2").out("R 2").silent();  // nothing of ours
  t.in(". 6 ack 0").out("R 0").silent();  // does not acknowledge our SYN
  CHECK(t.state(fd) == tcp_state::syn_recv);
  t.in(". 6 ack 1").silent();
  CHECK(t.state(fd) == tcp_state::established);
  t.read(fd, 5);
  t.over();
}

TEST_CASE("closed before the handshake is complete; a listener that goes", "[RFC 7413]") {
  server_script t;
  t.from(4001);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6");
  SECTION("in an orderly way") {
    int const fd = t.accept();
    t.read(fd, 5);
    t.close(fd);
    t.out("F. 1 ack 6").silent();
    t.in(". 6 ack 2");
    t.in("F. 6 ack 2").out(". 2 ack 7").silent();
    CHECK(t.tp(t.listener).rare->fastopen_qlen == 0);
  }
  SECTION("with data that nobody read") {
    t.close(t.accept());
    t.out("R. 1 ack 6").silent();
    CHECK(t.tp(t.listener).rare->fastopen_qlen == 0);
  }
  SECTION("the listener goes first") {
    t.close(std::exchange(t.listener, -1));
    t.out("R. 1 ack 6").silent();
  }
  t.over();
}

TEST_CASE("what is closed before the handshake is complete, has a congestion window that grows",
          "[RFC 7413][RFC 5681]") {
  server_script t;
  t.from(4001);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6");
  int const fd = t.accept();
  auto& tp = t.tp(fd);
  CHECK(tp.icsk_ca_initialized);
  t.read(fd, 5);
  REQUIRE(t.write(fd, 20'000));
  sock_hold(tp);
  bool const closes = GENERATE(true, false);
  closes ? t.close(fd) : t.shutdown(fd, shut::wr);
  CHECK(tp.sk_state == (closes ? tcp_state::fin_wait1 : tcp_state::syn_recv));
  t.in(". 6 ack 1");
  CHECK(tp.sk_state == tcp_state::fin_wait1);
  CHECK(tp.rcvq_space != 0);
  t.in(". 6 ack 2921").in(". 6 ack 5841");
  CHECK(tp.snd_cwnd >= 14);
  t.pending.clear();
  t.in(". 6 ack 20002");  // the FIN was behind the last byte
  CHECK(tp.sk_state == (closes ? tcp_state::close : tcp_state::fin_wait2));
  sock_put(tp);
  t.pending.clear();
  t.over();
}

TEST_CASE("who trusts its network needs no cookie", "[RFC 7413]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_fastopen = tfo::server_enable | tfo::server_cookie_not_reqd;
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::fastopen, 4));
  t.in("S 0:5 mss 1460").out("S. 0 ack 6");
  t.read(t.accept(), 5);
  t.over();
}

TEST_CASE(
    "cookies are made by net/ipv4/tcp_fastopen_key; those made by the key behind the comma are taken, and replaced",
    "[S31][RFC 7413]") {
  tcp_script t;
  auto const key = [&](char const* text) { return sysctl_write(t.net(), "net/ipv4/tcp_fastopen_key", text); };
  auto const shown = [&] {
    std::string text(128, '\0');
    text.resize(sysctl_read(t.net(), "net/ipv4/tcp_fastopen_key", text).value());
    return text;
  };
  auto const first = shown();
  CHECK(first.size() == 36);
  for (char const* bad : {"", "x", "1-2-3", "1-2-3-", "1-2-3-4,", "1-2-3-4,5-6-7", "1,2,3,4"})
    CHECK(key(bad).error() == errc::invalid_argument);
  CHECK(shown() == first);
  REQUIRE(key("1-23-456-89abcdef\n"));
  CHECK(shown() == "00000001-00000023-00000456-89abcdef\n");
  tcp_pernet(t.net()).sysctl_tcp_fastopen = tfo::server_enable;
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::fastopen, 4));
  t.in("S 0 mss 1460 fo ask").out("S. 0 ack 1 fo cookie").in("R 1");
  auto const old = t.cookie;
  u8 const ends[]{192, 0, 2, 9, 192, 0, 2, 1};  // the client's address, and ours, as they lie in the packet
  u64 const hash = siphash(ends, sizeof ends, {{0x0000'0023'0000'0001, 0x89ab'cdef'0000'0456}});
  CHECK(std::memcmp(&hash, old.data(), sizeof hash) == 0);

  REQUIRE(key("a-b-c-d,1-23-456-89abcdef"));
  CHECK(shown() == "0000000a-0000000b-0000000c-0000000d,00000001-00000023-00000456-89abcdef\n");
  t.from_port = 4001, t.our_isn_known = false, t.got = 1;
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6 fo cookie").silent();
  t.read(t.accept(), 5);
  CHECK(t.ext().TCPFastOpenPassiveAltKey.read() == 1);
  CHECK(t.cookie != old);
  t.from_port = 4002, t.our_isn_known = false, t.got = 1;
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6").silent();  // by the new one, and nothing is given
  t.read(t.accept(), 5);
  CHECK(t.ext().TCPFastOpenPassive.read() == 2);
  REQUIRE(key("a-b-c-d"));
  t.cookie = old;
  t.from_port = 4003, t.our_isn_known = false;
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 1 fo cookie").silent();
  CHECK(t.ext().TCPFastOpenPassiveFail.read() == 1);
  t.over();
}

TEST_CASE("TCP_FASTOPEN_KEY: a listener's keys are its own, and gone with it", "[RFC 7413]") {
  server_script t;
  std::array<u8, 33> keys;
  for (u8 i = 0; i < keys.size(); ++i) keys[i] = i;
  auto const set = [&](int fd, std::size_t len) {
    return setsockopt(t.net(), fd, sol::tcp, tcp_opt::fastopen_key, keys.data(), len);
  };
  auto& ctxs = tcp_worker_of(t.net()).fastopen_ctxs;
  for (std::size_t const bad : {0u, 15u, 17u, 31u, 33u}) CHECK(set(t.listener, bad).error() == errc::invalid_argument);
  CHECK(ctxs.in_use() == 0);
  REQUIRE(set(t.listener, 16));
  t.from(4001);
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 1 fo cookie").silent();  // the namespace's are others
  CHECK(t.ext().TCPFastOpenPassiveFail.read() == 1);
  u8 const ends[]{192, 0, 2, 9, 192, 0, 2, 1};  // the client's address, and ours, as they lie in the packet
  u64 const hash = siphash(ends, sizeof ends, {{0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908}});
  CHECK(std::memcmp(&hash, t.cookie.data(), sizeof hash) == 0);
  t.in("R 1");
  std::rotate(keys.begin(), keys.begin() + 16, keys.begin() + 32);
  REQUIRE(set(t.listener, 32));
  t.from(4002), t.got = 1;
  t.in("S 0:5 mss 1460 fo cookie").out("S. 0 ack 6 fo cookie").silent();  // the second: taken, and replaced
  t.read(t.accept(), 5);
  CHECK(t.ext().TCPFastOpenPassiveAltKey.read() == 1);
  // As many as there is room for, and whoever closes makes room.
  std::vector<int> others;
  for (u32 i = 1; i < ctxs.capacity(); ++i) REQUIRE(set(others.emplace_back(t.stream()), 16));
  int const last = t.stream();
  CHECK(set(last, 16).error() == errc::not_enough_memory);
  CHECK(set(t.listener, 16));
  t.close(others.back()), others.pop_back();
  CHECK(set(last, 16));
  for (int const fd : others) t.close(fd);
  t.close(last);
  CHECK(ctxs.in_use() == 1);
  t.over();
  CHECK(ctxs.in_use() == 0);
}

TEST_CASE("0x400: every listener takes data with SYNs, as many as its backlog", "[RFC 7413]") {
  tcp_script t;
  tcp_pernet(t.net()).sysctl_tcp_fastopen = tfo::server_enable | tfo::server_cookie_not_reqd | tfo::server_wo_sockopt1;
  t.listen(2);
  for (u16 from = 4001; from < 4003; ++from) {
    t.from_port = from, t.our_isn_known = false, t.got = 1;
    t.in("S 0:5 mss 1460").out("S. 0 ack 6").silent();
    t.read(t.accept(), 5);
  }
  t.from_port = 4003, t.our_isn_known = false;
  t.in("S 0:5 mss 1460").out("S. 0 ack 1").silent();
  CHECK(t.ext().TCPFastOpenListenOverflow.read() == 1);
  t.over();
}

// --- client

TEST_CASE("a client asks for a cookie first, and sends data with its next SYN: RFC 7413 figure 1", "[S148][RFC 7413]") {
  tcp_script t;
  acquaint(t);
  int const fd = t.stream();
  CHECK(fast(t, fd, 10).value() == 10);
  t.out("S 0:10 fo cookie").silent();
  SECTION("all of it arrived") {
    t.in("S. 0 ack 11 mss 1460");
    t.out(". 11 ack 1").silent();
    CHECK(t.state(fd) == tcp_state::established);
    CHECK(t.ext().TCPFastOpenActive.read() == 1);
    CHECK(t.tp(fd).packets_out == 0);
    CHECK(failed(t, fd) == tcp_fastopen_client_fail::unspec);
  }
  SECTION("only the SYN: the data goes again at once") {
    t.in("S. 0 ack 1 mss 1460");
    t.out("P. 1:11 ack 1").out(". 11 ack 1").silent();
    t.in(". 1 ack 11");
    CHECK(t.ext().TCPFastOpenActiveFail.read() == 1);
    CHECK(t.tp(fd).packets_out == 0);
    CHECK(t.tp(fd).retrans_out == 0);
    CHECK(failed(t, fd) == tcp_fastopen_client_fail::data_not_acked);
  }
  SECTION("nothing: the SYN goes again alone") {
    t.after(1001).out("S 0").silent();
    t.in("S. 0 ack 1 mss 1460");
    t.out("P. 1:11 ack 1");
    t.pending.clear();
    t.in(". 1 ack 11");
    CHECK(t.tp(fd).packets_out == 0);
    CHECK(failed(t, fd) == tcp_fastopen_client_fail::syn_retransmitted);
  }
  REQUIRE(t.write(fd, 5));
  t.out("P. 11:16 ack 1").silent();
  t.over();
}

TEST_CASE("as much goes with the SYN as the server's MSS was, options left out", "[RFC 7413]") {
  tcp_script t;
  acquaint(t, 1000);
  int const fd = t.stream();
  CHECK(fast(t, fd, 3000).value() == 960);
  t.out("S 0:960 fo cookie").silent();
  t.in("S. 0 ack 961 mss 1000").out(". 961 ack 1");
  t.over();
}

TEST_CASE("a server whose MSS has no room for options gets what the least MSS has", "[RFC 7413]") {
  tcp_script t;
  acquaint(t, 20);
  CHECK(fast(t, t.stream(), 3000).value() == tcp_min_mss - 40);
  t.out("S 0:48 fo cookie").silent();
  t.over();
}

TEST_CASE("where SYNs with data vanish, none are sent for a while: RFC 7413 §4.1.3.1", "[RFC 7413]") {
  tcp_script t;
  acquaint(t);
  for (int i = 0; i < 2; ++i) {
    int const fd = t.stream();
    CHECK(fast(t, fd, 10).value() == 10);
    t.out("S 0:10 fo cookie");
    t.after(1001).out("S 0");
    t.close(fd);
  }
  int const fd = t.stream();
  CHECK(fast(t, fd, 10).error() == errc::operation_in_progress);
  t.out("S 0").silent();
  t.close(fd);
  t.after(241'000);  // 60 s, doubled for each
  CHECK(fast(t, t.stream(), 10).value() == 10);
  t.over();
}

TEST_CASE("where such handshakes pass and nothing behind them, SYNs say nothing of it for a time that doubles",
          "[RFC 7413]") {
  tcp_script t;
  auto const suspect = [&](char const* seconds) {
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_fastopen_blackhole_timeout_sec", seconds));
  };
  auto const found = [&] { return t.ext().TCPFastOpenBlackhole.read(); };
  acquaint(t);
  /// A connection that began with data, and is not heard of after its handshake.
  auto const swallowed = [&] {
    int const fd = t.stream();
    CHECK(fast(t, fd, 10).value() == 10);
    t.out("S 0:10 fo cookie");
    t.in("S. 0 ack 11 mss 1460").out(". 11 ack 1");
    REQUIRE(t.write(fd, 5));
    t.after(200 + 400 + 800 + 100);
    t.in("R 1").pending.clear();
    t.close(fd);
  };
  auto const plain = [&] {
    int const fd = t.stream();
    CHECK(fast(t, fd, 10).error() == errc::operation_in_progress);
    t.out("S 0").silent();
    t.close(fd);
  };
  SECTION("0, as it is at first: it is not looked for") {
    swallowed();
    CHECK(found() == 0);
    CHECK(fast(t, t.stream(), 10).value() == 10);
  }
  SECTION("three timeouts in a row; the second time it lasts twice as long") {
    suspect("10");
    swallowed();
    CHECK(found() == 1);
    CHECK(t.ext().TCPFastOpenActiveFail.read() == 1);
    plain();
    t.after(8'000);
    plain();
    t.after(2'000);
    swallowed();
    CHECK(found() == 2);
    t.after(15'000);
    plain();
    t.after(5'000);
    t.pending.clear();
    SECTION("one that goes well, and all is forgotten") {
      int const fd = t.stream();
      CHECK(fast(t, fd, 10).value() == 10);
      t.out("S 0:10 fo cookie").in("S. 0 ack 11 mss 1460").in("P. 1:6 ack 11");
      CHECK(tcp_pernet(t.net()).tfo_active_disable_times == 2);
      t.close(fd);
      t.pending.clear();
      CHECK(tcp_pernet(t.net()).tfo_active_disable_times == 0);
    }
    SECTION("… or the setting is written anew") {
      CHECK(tcp_pernet(t.net()).tfo_active_disable_times == 2);
      suspect("10");  // be it the same
      CHECK(tcp_pernet(t.net()).tfo_active_disable_times == 0);
    }
  }
  SECTION("of all that the server said only its FIN comes") {
    suspect("10");
    int const fd = t.stream();
    CHECK(fast(t, fd, 10).value() == 10);
    t.out("S 0:10 fo cookie").in("S. 0 ack 11 mss 1460").in("F. 6 ack 11");
    t.in("R. 1 ack 11");
    t.close(fd);
    t.pending.clear();
    CHECK(found() == 1);
    plain();
  }
  t.over();
}

TEST_CASE("TCP_FASTOPEN_CONNECT: connect() waits for the data, once there is a cookie", "[RFC 7413]") {
  tcp_script t;
  auto const eager = [&] {
    int const fd = t.stream();
    REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::fastopen_connect, 1));
    return fd;
  };
  int fd = eager();
  CHECK(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0 fo ask").in("S. 0 ack 1 mss 1460 fo cookie").out(". 1 ack 1");
  t.close(fd), t.pending.clear();
  t.in("R. 1 ack 2"), t.pending.clear();
  fd = eager();
  CHECK(t.connect(fd) == errc{});
  t.silent();
  CHECK(t.connect(fd) == errc::already_connected);
  pollfd p{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
  CHECK(poll(t.net(), {&p, 1}, 0).value() == 1);
  CHECK(p.revents == POLLOUT);
  t.our_isn_known = false;
  SECTION("with MSG_FASTOPEN, too") { REQUIRE(t.write(fd, 10, msg::fastopen).value() == 10); }
  SECTION("…") { REQUIRE(t.write(fd, 10).value() == 10); }
  t.out("S 0:10 fo cookie").silent();
  t.in("S. 0 ack 11 mss 1460").out(". 11 ack 1");
  REQUIRE(t.write(fd, 5).value() == 5);
  t.out("P. 11:16 ack 1");
  int const unused = eager();  // and one that never writes
  CHECK(t.connect(unused) == errc{});
  t.close(unused);
  t.silent();
  t.over();
}

TEST_CASE("the calls' errnos", "[RFC 7413]") {
  tcp_script t;
  int const fd = t.stream();
  CHECK(setsockopt(t.net(), fd, sol::tcp, tcp_opt::fastopen, -1).error() == errc::invalid_argument);
  CHECK(setsockopt(t.net(), fd, sol::tcp, tcp_opt::fastopen_connect, 2).error() == errc::invalid_argument);
  sockaddr_in unspec{};
  unspec.sin_family = af::unspec;
  CHECK(sendto(t.net(), fd, "x", 1, msg::fastopen, unspec).error() == errc::operation_not_supported);
  tcp_pernet(t.net()).sysctl_tcp_fastopen = 0;
  CHECK(fast(t, fd, 1).error() == errc::operation_not_supported);
  CHECK(setsockopt(t.net(), fd, sol::tcp, tcp_opt::fastopen_connect, 1).error() == errc::operation_not_supported);
  tcp_pernet(t.net()).sysctl_tcp_fastopen = 1;
  t.our_isn_known = false;
  int const gd = t.connected();
  CHECK(fast(t, gd, 1).error() == errc::already_connected);
  CHECK(send(t.net(), gd, "x", 1, msg::fastopen).error() == errc::already_connected);
  CHECK(send(t.net(), t.stream(), "x", 1, msg::fastopen).error() == errc::invalid_argument);
  CHECK(setsockopt(t.net(), gd, sol::tcp, tcp_opt::fastopen, 1).error() == errc::invalid_argument);
  CHECK(setsockopt(t.net(), gd, sol::tcp, tcp_opt::fastopen_connect, 1).error() == errc::invalid_argument);
  t.over();
}
