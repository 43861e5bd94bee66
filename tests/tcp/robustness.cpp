// SPDX-License-Identifier: BSL-1.0
// Families of attacks on TCP that broke other stacks: nothing crashes, hangs, leaks or grows beyond its bound, and
// blind injection fails. Malformed headers, urgent pointers and challenge limits are in tcp_input.cpp, the flood of
// one-byte segments in tcp_data_queue.cpp, forged SYNs by the million in tests/integration/tcp_scale.cpp.
#include <random>

#include "netstack/socket/tcp_socket.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

/// Options of a segment as they stand on the wire, padded with zeros.
void inject_with_options(tcp_script& t, std::string const& segment, bytes options) {
  bytes out = t.bytes_of(tcp_seg::parse(segment));
  while (options.size() % 4) options.push_back(0);
  out.insert(out.begin() + 20, options.begin(), options.end());
  out[12] = static_cast<u8>((5 + options.size() / 4) << 4);
  out[16] = out[17] = 0;
  sum16 const check = csum_tcpudp_magic(peer_addr, our_addr, static_cast<u32>(out.size()), ipproto::tcp,
                                        csum_partial(out.data(), out.size(), 0));
  std::memcpy(out.data() + 16, &check, sizeof check);
  t.rig.inject({.protocol = ipproto::tcp, .payload = out});
  t.collect();
}

/// An application that moves only when it is called back: it writes as long as there is room, and reads when poll()
/// says that it may.
struct called_back {
  tcp_script& t;
  int fd;
  u32 to_write;
  u32 got = 1;
  tcp_socket<net<tcp_script_host>> socket{t.net()};

  called_back(tcp_script& script, int handle, u32 bytes) : t(script), fd(handle), to_write(bytes) {
    REQUIRE(socket.adopt(fd));
    socket.on_write_space([](void* self) { static_cast<called_back*>(self)->write(); }, this);
    socket.on_data_ready([](void* self) { static_cast<called_back*>(self)->read(); }, this);
    write();
  }
  void write() {
    bytes const text(3000, 7);
    while (to_write != 0) {
      auto const n = send(t.net(), fd, text.data(), std::min<std::size_t>(to_write, text.size()), msg::dontwait);
      if (!n) return;
      to_write -= static_cast<u32>(*n);
    }
  }
  void read() {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(t.net(), {&p, 1}, 0).value() == 0) return;
    bytes into(5000);
    while (auto const n = recv(t.net(), fd, into.data(), into.size(), msg::dontwait))
      for (std::size_t i = 0; i < *n; ++i)
        if (into[i] != tcp_script_byte(got++)) FAIL("byte " << got - 1 << " is wrong");
  }
};

/// Whatever it went through, it still does its work: who connects is served; ARP and ping are over()'s.
void survived(tcp_script& t) {
  for (int fd = 0; fd < 64; ++fd)
    if (sockfs::table_of(t.net()).find(fd)) (void)netstack::close(t.net(), fd);
  t.after(1'500'000).pending.clear();
  t.listener = -1;
  t.from_port = 40'000, t.our_isn_known = false, t.written = t.got = 1, t.default_win = 65'535;
  int const fd = t.accepted();
  t.in("P. 1:101 ack 1");
  t.read(fd, 100);
  t.pending.clear();
  REQUIRE(t.write(fd, 100).value() == 100);
  t.out("P. 1:101 ack 101").in("F. 101 ack 101").after(45).out(". 101 ack 102");
  CHECK(t.read_error(fd) == 0);
  t.close(fd);
  t.out("F. 101 ack 102").in(". 102 ack 102");
  t.over();
}

}  // namespace

TEST_CASE("options of every impossible length: a SYN is answered by what stood before them", "[AMNESIA:33][Ripple20]") {
  tcp_script t;
  t.listen(64);
  u16 port = 5000;
  auto const syn = [&](bytes const& options, u32 mss) {
    t.from_port = ++port, t.our_isn_known = false;
    inject_with_options(t, "S 0", options);
    REQUIRE(t.pending.size() == 1);
    t.out("S. 0 ack 1");
    t.in(". 1 ack 1");
    CHECK(t.tp(t.accept()).mss_clamp == mss);
  };
  for (u8 kind = 2; kind < 40; ++kind)
    for (u8 const len : {u8{0}, u8{1}, u8{255}}) {
      if (kind % 8 != 2 && len != 0) continue;
      syn({2, 4, 1000 >> 8, 1000 & 0xff, kind, len, 1, 1}, 1000);
      for (int fd = 0; fd < 64; ++fd)
        if (fd != t.listener && sockfs::table_of(t.net()).find(fd)) t.close(fd);
      t.pending.clear();
    }
  syn({2, 0}, 536), syn({2, 1}, 536), syn({2, 255}, 536), syn({3, 3, 7, 2}, 536);
  syn({5, 3, 0, 0}, 536), syn({5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 536), syn({34, 5, 1, 2, 3, 0, 0, 0}, 536);
  survived(t);
}

TEST_CASE("SACK blocks that cannot be: beyond what was sent, turned round, wrapped", "[SACK Panic]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok");
  REQUIRE(t.write(fd, 5000).value() == 5000);
  t.pending.clear();
  for (char const* sack : {"sack 9000-10000", "sack 3001-2001", "sack 1-5001", "sack 2001-2001", "sack 4294965296-1",
                           "sack 4001-90001", "sack 1500-1501 sack 1502-1503 sack 1504-1505"})
    t.in(std::string(". 1 ack 1 ") + sack);
  t.pending.clear();
  CHECK(t.tp(fd).sacked_out <= t.tp(fd).packets_out);
  CHECK(t.tp(fd).lost_out <= t.tp(fd).packets_out);
  t.after(100), t.pending.clear();
  t.in(". 1 ack 5001");
  CHECK(t.tp(fd).packets_out == 0);
  CHECK(t.tp(fd).sacked_out == 0);
  CHECK(t.tp(fd).sk_wmem_queued == 0);
  survived(t);
}

TEST_CASE("the smallest MSS and every second segment acknowledged: neither counts nor frames run over",
          "[SACK Panic][SACK Slowness]") {
  tcp_script t;
  int const fd = t.accepted("mss 8 sackok");
  u32 acked = 1, sent = 0;
  for (int round = 0; round < 40; ++round) {
    if (auto const n = t.write(fd, 20'000)) sent += static_cast<u32>(*n);
    for (auto const& frame : t.pending) CHECK(frame.payload(20).size() <= 88);
    u32 const out = t.tp(fd).packets_out;
    t.pending.clear();
    std::string text = ". 1 ack " + std::to_string(acked);
    for (u32 i = 1; i < std::min(out, 6u); i += 2)
      text += " sack " + std::to_string(acked + i * 88) + '-' + std::to_string(acked + i * 88 + 88);
    t.in(text);
    REQUIRE(t.tp(fd).sacked_out <= t.tp(fd).packets_out);
    t.after(20), t.pending.clear();
    acked = t.tp(fd).snd_nxt - t.our_isn;
    t.in(". 1 ack " + std::to_string(acked));
    t.pending.clear();
  }
  CHECK(sent > 10'000);
  CHECK(t.tp(fd).packets_out <= t.tp(fd).snd_cwnd);
  survived(t);
}

TEST_CASE("LAND: a SYN from ourselves to ourselves changes nothing, whatever is at the port", "[LAND]") {
  tcp_script t;
  t.listen();
  int const fd = t.accepted();
  auto const self = [&](u16 port) {
    tcphdr th{.source = be16{port}, .dest = be16{port}, .seq = be32{1}, .flags = tcp_flag::syn};
    th.check = csum_tcpudp_magic(our_addr, our_addr, sizeof th, ipproto::tcp, csum_partial(&th, sizeof th, 0));
    bytes segment;
    append(segment, th);
    t.rig.inject({.saddr = our_addr, .daddr = our_addr, .protocol = ipproto::tcp, .payload = segment});
    t.collect();
  };
  self(tcp_script::port), self(4000), self(9);
  t.after(1000);
  t.silent();  // a source that is ours does not come from outside: RFC 1812 §5.3.8
  CHECK(tcp_worker_of(t.net()).requests.in_use() == 0);
  CHECK(t.state(fd) == tcp_state::established);
  t.in("P. 1:4 ack 1").out(". 1 ack 4");
  t.read(fd, 3);
  survived(t);
}

TEST_CASE("blind RST, SYN and data: 60,000 guesses of a stranger end nothing and bring nothing in", "[RFC 5961]") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("P. 1:4 ack 1").out(". 1 ack 4");
  t.read(fd, 3);
  std::mt19937 random(1);
  u64 challenges = 0;
  for (u32 i = 0; i < 20'000; ++i) {
    // A step smaller than the window, as who knows both ends would sweep them; never the very next number.
    s64 const seq = static_cast<s64>(i) * 214'748 + 5;
    if (static_cast<u32>(seq) == 4) continue;
    std::string const at = std::to_string(seq & 0x7fff'ffff);
    t.in("R " + at), t.in("S " + at);
    challenges += t.pending.size(), t.pending.clear();
    t.in("P. " + at + ":" + std::to_string((seq & 0x7fff'ffff) + 9) + " ack " + std::to_string(random() & 0x7fff'fff0));
    CHECK(t.pending.size() <= 1);  // data may be a probe, so it is answered: RFC 9293 §3.10.7.4
    t.pending.clear();
  }
  CHECK(t.state(fd) == tcp_state::established);
  CHECK(t.tp(fd).rcv_nxt == t.peer_isn + 4);
  CHECK(t.read_error(fd) == static_cast<int>(errc::resource_unavailable_try_again));
  CHECK(challenges <= 1);  // all that happened in an instant
  t.after(1001), t.pending.clear();
  t.in("P. 4:6 ack 1").out(". 1 ack 6");
  t.read(fd, 2);
  survived(t);
}

TEST_CASE("ACK storms: two that disagree do not answer each other for ever", "[ACK storm]") {
  tcp_script t;
  int const fd = t.accepted();
  std::size_t answers = 0;
  for (int i = 0; i < 1000; ++i) {
    t.in(". 70000 ack 1");  // out of the window: each would be answered, and the answer again
    answers += t.pending.size(), t.pending.clear();
    t.after(1);
    answers += t.pending.size(), t.pending.clear();
  }
  CHECK(answers <= 3);  // tcp_invalid_ratelimit: two a second
  CHECK(t.ext().TCPACKSkippedSeq.read() > 990);
  // The same of who is in TIME-WAIT, and of who is half open.
  t.shutdown(fd, shut::wr);
  t.out("F. 1 ack 1").in("F. 1 ack 2").out(". 2 ack 2");
  t.close(fd);
  REQUIRE(tcp_worker_of(t.net()).timewaits.in_use() == 1);
  answers = 0;
  for (int i = 0; i < 1000; ++i) t.in(". 70000 ack 2"), answers += t.pending.size(), t.pending.clear();
  CHECK(answers <= 1);
  CHECK(t.ext().TCPACKSkippedTimeWait.read() >= 999);
  t.from_port = 5000, t.our_isn_known = false;
  t.in("S 0 mss 1460").out("S. 0 ack 1");
  answers = 0;
  for (int i = 0; i < 1000; ++i)
    t.in("S 0 mss 1460").in(". 90000 ack 1"), answers += t.pending.size(), t.pending.clear();
  CHECK(answers <= 1);
  survived(t);
}

TEST_CASE("acknowledgments of what was never sent open no window: optimistic ACK", "[sockstress]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 30'000).value() > 0);
  t.pending.clear();
  u32 const cwnd = t.tp(fd).snd_cwnd, una = t.tp(fd).snd_una;
  for (u32 ack = 11'000; ack < 500'000; ack += 1000) t.in(". 1 ack " + std::to_string(ack));
  CHECK(t.tp(fd).snd_cwnd == cwnd);
  CHECK(t.tp(fd).snd_una == una);
  CHECK(t.drops(drop_reason::tcp_invalid_ack_sequence) > 400);
  // An acknowledgment in tiny steps earns no more than the bytes do: RFC 3465.
  for (u32 ack = 2; ack < 200; ++ack) t.in(". 1 ack " + std::to_string(ack));
  CHECK(t.tp(fd).snd_cwnd <= cwnd + 1);
  survived(t);
}

TEST_CASE("peers that never open their window take no more memory than there is: RFC 6429", "[sockstress]") {
  tcp_script t;
  t.listen(64);
  t.default_win = 0;
  std::vector<int> fds;
  for (u16 i = 0; i < 60; ++i) {
    t.from_port = static_cast<u16>(5000 + i), t.our_isn_known = false;
    t.in("S 0 mss 1460");
    if (t.pending.empty()) break;  // nobody new gets in any more
    t.out("S. 0 ack 1").in(". 1 ack 1");
    fds.push_back(t.accept());
    for (int n = 0; n < 100 && t.write(fds.back(), 4000); ++n) {
    }
  }
  auto& limits = tcp_pernet(t.net()).limits;
  CHECK(tcp_worker_of(t.net()).memory.allocated <= limits.mem[2]);
  CHECK(t.rig.host.worker().pool.in_use() <= t.rig.host.worker().pool.nr_frames() / 2 + 8);
  CHECK(fds.size() < 60);
  CHECK(t.drops(drop_reason::proto_mem) > 0);
  // Memory is theirs, but not the host's: it still answers.
  t.pending.clear();
  t.rig.inject({.payload = echo_request(7, 7, bytes(8, 0x55))});
  CHECK(t.rig.sent().size() == 1);
  for (int const fd : fds) {
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::linger, linger{1, 0}));
    t.close(fd);
  }
  t.pending.clear();
  CHECK(tcp_worker_of(t.net()).socks.in_use() == 1);
  CHECK(t.rig.host.worker().pool.in_use() == 0);
  CHECK(tcp_worker_of(t.net()).memory.allocated == 0);
  survived(t);
}

TEST_CASE("segments cut into tiny pieces are paid for, and not many more than the send buffer holds",
          "[CVE-2019-11478]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460");
  auto& tp = t.tp(fd);
  auto& pool = t.rig.host.worker().pool;
  auto& memory = tcp_worker_of(t.net()).memory;
  tp.snd_cwnd = 100;
  tp.sk_sndbuf = 30'000;
  t.default_win = 60'000;
  t.in(". 1 ack 1 win 60000");
  REQUIRE(t.write(fd, 10'000).value() == 10'000);
  t.collect(), t.pending.clear();
  auto& oldest = *tp.sk_write_queue.peek();
  auto const cut_until_refused = [&] {
    for (sk_buff* skb = tp.sk_write_queue.after(oldest); skb; skb = tp.sk_write_queue.after(*skb))
      while (skb->len > 10)
        if (auto r = tcp_fragment(t.net(), tp, *skb, skb->len - 10); !r) return r.error();
    return errc{};
  };
  auto const in_books = [&] { return memory.allocated * s64{sk_mem_quantum} >= s64{tp.sk_wmem_queued}; };
  CHECK(cut_until_refused() == errc::no_buffer_space);
  CHECK(tcp_pernet(t.net()).mib.TCPWqueueTooBig.read() == 1);
  CHECK(tp.sk_wmem_queued / 2 < tp.sk_sndbuf + (128 << 10) + pool.frame_truesize());
  CHECK(in_books());
  // With less memory for all, sooner; and then the oldest may still be cut.
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_mem", "1 1 1"));
  tp.sk_sndbuf = 1 << 20;
  CHECK(cut_until_refused() == errc::no_buffer_space);
  CHECK(tcp_pernet(t.net()).mib.TCPWqueueTooBig.read() == 1);
  CHECK(tcp_fragment(t.net(), tp, oldest, 10));
  CHECK(in_books());
  t.in(". 1 ack 10001");
  CHECK(pool.in_use() == 0);
  t.over();
}

TEST_CASE("of what comes in order within the window an eighth more is kept than the buffer has room for", "[S100]") {
  tcp_script t;
  int const fd = t.accepted();
  auto& tp = t.tp(fd);
  tp.sk_rcvbuf = 40'000;
  u32 next = 1;
  for (int i = 0; i < 40 && t.ext().TCPRcvQDrop.read() == 0; ++i, next += 10)
    t.in(". " + std::to_string(next) + ":" + std::to_string(next + 10) + " ack 1");
  u32 const frame = t.rig.host.worker().pool.frame_truesize();
  CHECK(tp.sk_rmem_alloc > 45'000);
  CHECK(tp.sk_rmem_alloc <= 45'000 + frame);
  CHECK(t.ext().TCPRcvQDrop.read() == 1);
  t.pending.clear();
  t.got = 0;
  t.over();
}

TEST_CASE("who is connected goes on, a segment at a time, when all of tcp_mem is used") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_mem", "0 0 0"));
  REQUIRE(t.write(fd, 10, msg::dontwait).value() == 10);
  t.out("P. 1:11");
  CHECK(t.write(fd, 10, msg::dontwait).error() == errc::resource_unavailable_try_again);  // one at a time
  t.in(". 1 ack 11").silent();
  REQUIRE(t.write(fd, 10, msg::dontwait).value() == 10);
  t.out("P. 11:21").in(". 1 ack 21").silent();
  // And the other way: what finds the reader's queue empty is taken, and the window closed behind it until he comes.
  u32 next = 1;
  auto const segment = [&] { return ". " + std::to_string(next) + ":" + std::to_string(next + 1400) + " ack 21"; };
  auto const closed = [&] { return ". 21 ack " + std::to_string(next) + " win 0"; };
  t.in(segment());  // into the page that the sender has left
  t.pending.clear();
  next += 1400;
  t.read(fd, 1400);
  t.pending.clear();
  for (int round = 0; round < 3; ++round) {
    t.in(segment());
    next += 1400;
    t.out(closed()).silent();
    if (round == 2) break;
    t.read(fd, 1400);
    REQUIRE(t.pending.size() == 1);
    CHECK(t.read_segment(t.pending.front()).win.value() != 0);
    t.pending.clear();
  }
  // Who sends into it all the same hears that the buffer has room; but there is no memory for it.
  t.in(segment()).pending.clear();
  CHECK(t.drops(drop_reason::tcp_zerowindow) == 1);
  t.in(segment()).out(closed()).silent();
  CHECK(t.drops(drop_reason::proto_mem) == 1);
  CHECK(t.ext().TCPToZeroWindowAdv.read() >= 4);
  CHECK(t.ext().PruneCalled.read() == 1);  // what was taken by force found nothing that could be thrown away
  CHECK(t.ext().RcvPruned.read() == 0);    // and the buffer had room for all of it
  t.read(fd, 1400);
  t.pending.clear();
  t.over();
}

TEST_CASE("a reader who waits for more than there is memory for is told, and reads what there is: SO_RCVLOWAT",
          "[S99]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::rcvlowat, 10'000));
  tcp_socket<net<tcp_script_host>> s{t.net()};
  REQUIRE(s.adopt(fd));
  int told = 0;
  s.on_data_ready([](void* n) { ++*static_cast<int*>(n); }, &told);
  auto const readable = [&] {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(t.net(), {&p, 1}, 0).value() == 1;
  };
  t.in("P. 1:1401 ack 1");
  CHECK(std::exchange(told, 0) == 1);
  CHECK_FALSE(readable());
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_mem", "0 0 0"));
  // What is lost now comes again, and so on, until he makes room.
  t.in(GENERATE("P. 1401:2801 ack 1", "P. 2801:4201 ack 1"));
  CHECK(t.drops(drop_reason::proto_mem) == 1);
  CHECK(told == 1);
  CHECK(readable());
  t.read(fd, 1400);
  t.pending.clear();
  t.over();
}

TEST_CASE("who moves only when called back gets through, whatever becomes of memory and options meanwhile",
          "[S99][S100]") {
  auto const seed = static_cast<u64>(GENERATE(range(1, 21)));
  tcp_script t(seed);
  std::mt19937 random(static_cast<u32>(seed));
  auto const below = [&](u32 n) { return static_cast<u32>(random() % n); };
  int const fd = t.accepted("mss 1460 sackok");
  called_back app(t, fd, 60'000);
  u32 acked = 1, edge = 20'000, arrived = 1, window = 65'535;  // what the peer knows
  auto const listen_to = [&] {
    t.collect();
    for (auto const& frame : t.pending) {
      auto const s = t.read_segment(frame);
      acked = *s.ack, edge = *s.ack + *s.win;
      if (s.seq <= arrived) arrived = std::max(arrived, s.seq + s.len);
    }
    t.pending.clear();
  };
  auto const peer = [&] {
    u32 const n = std::min({after(edge, acked) ? edge - acked : 0, 1 + below(1460), 60'001 - acked});
    std::string const rest = " ack " + std::to_string(arrived) + " win " + std::to_string(window);
    t.in(n != 0 ? ". " + std::to_string(acked) + ":" + std::to_string(acked + n) + rest
                : ". " + std::to_string(acked - 1) + rest);  // else it asks whether the window is open
    listen_to();
  };
  auto const option = [&](int level, int name, u32 value) {
    REQUIRE(setsockopt(t.net(), fd, level, name, static_cast<int>(value)));
  };
  for (int i = 0; i < 200; ++i) {
    switch (below(8)) {
      case 0: REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_mem", below(2) ? "0 2 9" : "0 0 0")); break;
      case 1: option(sol::socket, so::sndbuf, below(30'000)); break;
      case 2: option(sol::socket, so::rcvbuf, below(30'000)); break;
      case 3: option(sol::socket, so::rcvlowat, 1 + below(40'000)); break;
      case 4: option(sol::tcp, tcp_opt::notsent_lowat, 1 + below(20'000)); break;
      case 5: option(sol::tcp, tcp_opt::window_clamp, 1 + below(60'000)); break;
      case 6: window = below(2) ? 65'535 : below(3000); break;
      case 7: t.after(below(400)); break;
    }
    listen_to(), peer();
  }
  option(sol::socket, so::rcvlowat, 1);
  window = 65'535;
  for (int i = 0; i < 3000 && (app.to_write != 0 || arrived != 60'001 || app.got != 60'001); ++i)
    peer(), t.after(below(250)), listen_to();
  CHECK(arrived == 60'001);
  CHECK(app.got == 60'001);
  app.socket.close();
  t.over();
}

TEST_CASE("what waits behind a gap makes room for what fills it, however little memory there is: RFC 2018 §8") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_mem", "2 3 4"));
  auto const segment = [&](u32 n) {
    t.in(". " + std::to_string(1 + n * 1400) + ":" + std::to_string(1 + (n + 1) * 1400) + " ack 1");
    t.pending.clear();
  };
  for (u32 n = 2; n < 20; ++n) segment(n);
  CHECK(t.ext().TCPOFODrop.read() != 0);
  CHECK(t.ext().OfoPruned.read() == 0);  // nothing nearer was given up for what is farther
  segment(0);
  segment(1);  // behind something to read, so that nothing is taken beyond the limits
  CHECK(t.tp(fd).rcv_nxt - t.peer_isn >= 2801);
  CHECK(t.ext().OfoPruned.read() != 0);
  t.over();
}

TEST_CASE("a writer that found no frame is told when there is one, though nothing is on its way", "[S100]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  tcp_socket<net<tcp_script_host>> s{t.net()};
  REQUIRE(s.adopt(fd));
  int told = 0;
  s.on_write_space([](void* n) { ++*static_cast<int*>(n); }, &told);
  auto& pool = t.net().worker().pool;
  for (bool const by_call : {true, false}) {
    told = 0;
    skb_list others;
    pool.alloc_bulk(pool.available(), others);
    if (by_call)
      CHECK(t.write(fd, 10, msg::dontwait).error() == errc::resource_unavailable_try_again);
    else
      CHECK(s.allocate().error() == errc::no_buffer_space);
    t.after(100);
    CHECK(told == 0);
    pool.free_list(others);
    t.after(20);
    CHECK(told == 1);
    t.quiet(100);
    CHECK(told == 1);
  }
  REQUIRE(t.write(fd, 10, msg::dontwait).value() == 10);
  t.out("P. 1:11").in(". 1 ack 11").silent();
  s.close();
  t.pending.clear();
  t.over();
}

TEST_CASE("TCP_NOTSENT_LOWAT tells a writer of room by poll(), not inside setsockopt()") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  tcp_socket<net<tcp_script_host>> s{t.net()};
  REQUIRE(s.adopt(fd));
  int told = 0;
  s.on_write_space([](void* n) { ++*static_cast<int*>(n); }, &told);
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::notsent_lowat, 100'000));
  CHECK(told == 0);
  t.after(1);
  CHECK(told == 1);
  s.close();
  t.pending.clear();
  t.over();
}

TEST_CASE("what is sent without a copy says that the application is what limits it", "[S96]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  tcp_socket<net<tcp_script_host>> s{t.net()};
  REQUIRE(s.adopt(fd));
  auto packet = s.allocate();
  REQUIRE(packet);
  u8* const bytes = (*packet)->put(100);
  for (u32 i = 0; i < 100; ++i) bytes[i] = tcp_script_byte(1 + i);
  REQUIRE(s.send(*packet));
  CHECK(t.tp(fd).app_limited != 0);
  t.collect();
  t.out("P. 1:101").in(". 1 ack 101").silent();
  s.close();
  t.pending.clear();
  t.over();
}

TEST_CASE("100,000 segments at random against one connection, and it still works", "[INFRA:HALT][URGENT/11]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  std::mt19937 random(7);
  char const* const kinds[]{"S", "R", "F", ".", "P.", "U.", "FPU.", "SF", "S.", "P", "SR", "SFRPU."};
  for (u32 i = 0; i < 100'000; ++i) {
    s64 const seq = static_cast<s64>(random() % 200'000) - 100'000;
    if (seq == 1 || seq == 0) continue;  // what is exact may end it
    u32 const len = random() % 4 ? 0 : static_cast<u32>(random() % 40);
    std::string text = std::string(kinds[random() % std::size(kinds)]) + ' ' + std::to_string(seq) + ':' +
                       std::to_string(seq + len) + " ack " +
                       std::to_string(static_cast<s64>(random() % 100'000) - 50'000) + " win " +
                       std::to_string(random() % 65536) + " urg " + std::to_string(random() % 65536);
    // Nothing in order arrives, so no byte of these may ever be read.
    if (seq < 1 && seq + static_cast<s64>(len) + 1 > 1) continue;
    t.in(text);
    t.pending.clear();
  }
  CHECK(t.state(fd) == tcp_state::established);
  CHECK(t.tp(fd).rcv_nxt == t.peer_isn + 1);
  CHECK(t.sk(fd).sk_rmem_alloc <= 2 * t.sk(fd).sk_rcvbuf);
  CHECK(t.rig.host.worker().pool.in_use() <= t.rig.host.worker().pool.nr_frames() / 2);
  survived(t);
}
