// SPDX-License-Identifier: BSL-1.0
// Full segments that leave and arrive together, over a pipe that knows their flow: with sums made by us and left to
// the device, as a list and as one packet, the reader gets the bytes and nobody keeps memory.
#include "netstack/tcp/tcp_burst.hpp"

#include <array>
#include <bit>

#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "support/tcp_echo.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, tcp, drivers::pipe> {};

constexpr u32 mss = 1448;
constexpr u32 summed = netif_f::sg | netif_f::fraglist, unsummed = summed | netif_f::hw_csum,
              cuts = unsummed | netif_f::gso;

/// A connection whose windows hold 40 segments.
struct rig : two_hosts<host, host, drivers::pipe> {
  int listener, client, server;
  std::string sent;

  explicit rig(u32 features, bool stamped = true, bool ecn = false) : two_hosts({.features = features}) {
    auto& na = a.init_net();
    auto& nb = b.init_net();
    tcp_pernet(na).sysctl_tcp_timestamps = stamped;
    tcp_pernet(na).sysctl_tcp_ecn = ecn ? 1 : 2;
    listener = socket(nb, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(setsockopt(nb, listener, sol::socket, so::rcvbuf, int{1 << 20}));
    REQUIRE(bind(nb, listener, name({}, 80)));
    REQUIRE(listen(nb, listener, 4));
    client = socket(na, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(setsockopt(na, client, sol::socket, so::sndbuf, int{1 << 20}));
    (void)connect(na, client, name(addr_b, 80));
    run();
    server = accept(nb, listener).value();
    from().snd_cwnd = 64;
    write(4 * mss);  // teaches b the flow
    read();
  }
  ~rig() {
    REQUIRE(close(a.init_net(), client));
    REQUIRE(close(b.init_net(), server));
    REQUIRE(close(b.init_net(), listener));
    run_for(100'000'000'000);
    for (host* h : {&a, &b}) {
      CHECK(h->worker().pool.in_use() == 0);
      CHECK(tcp_worker_of(h->init_net()).memory.allocated == 0);
    }
  }
  tcp_sock& from() { return tcp_sk(*sockfs::table_of(a.init_net()).find(client)->sk); }
  tcp_sock& to() { return tcp_sk(*sockfs::table_of(b.init_net()).find(server)->sk); }
  tcpext_mib& mib_b() { return tcp_pernet(b.init_net()).mib; }

  void write(u32 bytes) {
    std::string const text = stream_of(bytes, static_cast<u32>(sent.size()));
    REQUIRE(netstack::send(a.init_net(), client, text.data(), text.size()).value() == bytes);
    sent += text;
  }
  /// What was written since is read, and memory is settled.
  void read() {
    run_for(100'000'000);
    std::string got(sent.size(), '\0');
    auto const n = sent.empty() ? 0 : recv(b.init_net(), server, got.data(), got.size()).value_or(0);
    CHECK(n == sent.size());
    CHECK((got == sent));
    sent.clear();
    run_for(100'000'000);
    CHECK(from().packets_out == 0);
    for (tcp_sock* tp : {&from(), &to()}) {
      CHECK((tp->sk_forward_alloc >= 0 && tp->sk_forward_alloc < 2 * static_cast<s32>(sk_mem_quantum)));
      CHECK((tp->sk_rmem_alloc == 0 && tp->sk_wmem_queued == 0 && sk_wmem_alloc_get(*tp) == 0));
    }
  }
  /// What b's device recognises frames by, and from which port of a's.
  ip_rx_flow const& flow() { return in_dev_get(*dev_b)->rx_flow; }
  u16 flow_source() {
    auto const bytes = std::bit_cast<std::array<u8, 4>>(flow().flow.ports);
    return static_cast<u16>(bytes[0] << 8 | bytes[1]);
  }
  /// One more connection, from this port or any, and this address of a's or the first.
  struct connection {
    int client = -1, server = -1;
    tcp_sock *from = nullptr, *to = nullptr;
  };
  connection open(u16 port = 0, be32 from = {}) {
    auto& na = a.init_net();
    connection c;
    c.client = socket(na, af::inet, sock_type::stream | sock_type::nonblock).value();
    c.from = &tcp_sk(*sockfs::table_of(na).find(c.client)->sk);
    REQUIRE(setsockopt(na, c.client, sol::tcp, tcp_opt::nodelay, 1));
    REQUIRE(setsockopt(na, c.client, sol::socket, so::reuseaddr, 1));
    if (port != 0 || from) REQUIRE(bind(na, c.client, name(from, port)));
    CHECK(connect(na, c.client, name(addr_b, 80)).error() == std::errc::operation_in_progress);
    b.poll();  // the SYN
    return c;
  }
  void finish(connection& c) {
    run();
    c.server = accept(b.init_net(), listener).value();
    c.to = &tcp_sk(*sockfs::table_of(b.init_net()).find(c.server)->sk);
  }
  void close_both(connection const& c) {
    REQUIRE(close(a.init_net(), c.client));
    run();
    REQUIRE(close(b.init_net(), c.server));
    run();
  }
  std::string heard(int fd) {
    char text[64];
    return std::string(text, recv(b.init_net(), fd, text, sizeof text, msg::dontwait).value_or(0));
  }
};

}  // namespace

TEST_CASE("a segment of a few bytes, and an acknowledgment, need no packet to leave", "[tcp]") {
  bool const stamped = GENERATE(true, false);
  rig t{summed, stamped};
  CHECK(t.from().tstamp_ok == stamped);
  auto& pool_a = t.a.worker().pool;
  u32 const before = pool_a.in_use();
  u32 const segs = t.from().segs_out;
  u64 const sent = TCP_STATS(t.a.init_net()).OutSegs.read(), frames = t.dev_a->stats.tx_packets.read();
  t.write(detail::tcp_short_max);
  CHECK(pool_a.in_use() == before + 1);  // until it is acknowledged
  CHECK(sk_wmem_alloc_get(t.from()) == 0);
  CHECK(t.from().segs_out == segs + 1);
  CHECK(TCP_STATS(t.a.init_net()).OutSegs.read() == sent + 1);
  CHECK(t.dev_a->stats.tx_packets.read() == frames + 1);
  tcp_send_ack(t.a.init_net(), t.from());
  CHECK(pool_a.in_use() == before + 1);
  CHECK(t.dev_a->stats.tx_packets.read() == frames + 2);
  t.read();
  t.write(detail::tcp_short_max + 1);  // one byte too long
  CHECK(sk_wmem_alloc_get(t.from()) != 0);
  t.read();
  CHECK(setsockopt(t.a.init_net(), t.client, sol::ip, ip_opt::tos, int{0x10}));
  t.write(1);
  t.read();
}
TEST_CASE("so do several short segments in flight, and the end of them", "[tcp]") {
  rig t{summed, GENERATE(true, false)};
  auto& na = t.a.init_net();
  REQUIRE(setsockopt(na, t.client, sol::tcp, tcp_opt::nodelay, int{1}));
  u32 const before = t.a.worker().pool.in_use();
  for (u32 i = 0; i < 5; ++i) t.write(1 + 10 * i);
  CHECK(t.from().packets_out == 5);
  CHECK(t.a.worker().pool.in_use() == before + 5);
  CHECK(sk_wmem_alloc_get(t.from()) == 0);
  t.read();
  t.write(20);
  REQUIRE(shutdown(na, t.client, shut::wr));
  CHECK(t.from().packets_out == 2);
  CHECK(sk_wmem_alloc_get(t.from()) == 0);
  t.read();
  char byte;
  CHECK(recv(t.b.init_net(), t.server, &byte, 1).value_or(1) == 0);
}
TEST_CASE("SYNs and their answers need none either, unless there is no place for them, or they say more", "[tcp]") {
  rig t{summed};
  t.run_for(10'000'000'000);  // each knows the other's link address for sure
  auto& pool_a = t.a.worker().pool;
  auto& pool_b = t.b.worker().pool;
  u32 const before_a = pool_a.in_use(), before_b = pool_b.in_use();
  u64 const sent = TCP_STATS(t.a.init_net()).OutSegs.read(), frames = t.dev_a->stats.tx_packets.read();
  auto first = t.open();
  CHECK(sk_wmem_alloc_get(*first.from) == 0);
  CHECK(pool_a.in_use() == before_a);
  CHECK((first.from->segs_out == 1 && first.from->data_segs_out == 0 && first.from->packets_out == 0));
  CHECK((first.from->snd_nxt == first.from->snd_una + 1 && first.from->write_seq == first.from->snd_nxt));
  CHECK(TCP_STATS(t.a.init_net()).OutSegs.read() == sent + 1);
  CHECK(t.dev_a->stats.tx_packets.read() == frames + 1);
  CHECK(pool_b.in_use() == before_b);  // a SYN-ACK is on its way
  t.finish(first);
  CHECK((first.to->snd_wscale == first.from->rcv_wscale && first.from->snd_wscale == first.to->rcv_wscale));
  CHECK((first.to->mss_clamp == first.from->advmss && first.from->mss_clamp == first.to->advmss));
  CHECK((first.from->sack_ok && first.to->sack_ok && first.from->tstamp_ok && first.to->tstamp_ok));
  CHECK((first.from->rare->total_retrans == 0 && first.to->rare->total_retrans == 0));
  t.close_both(first);

  for (u32 i = 0; i < drivers::pipe_cable::short_slots; ++i) tcp_send_ack(t.a.init_net(), t.from());
  auto crowded = t.open();
  CHECK(sk_wmem_alloc_get(*crowded.from) != 0);
  t.finish(crowded);
  t.close_both(crowded);

  // With other options, if they are not more, and flags of ECN's …
  auto& ns = tcp_pernet(t.a.init_net());
  for (u32 kind = 0; kind < 8; ++kind) {
    ns.sysctl_tcp_window_scaling = kind & 1;
    ns.sysctl_tcp_timestamps = kind >> 1 & 1;
    ns.sysctl_tcp_ecn = kind >> 2 & 1;
    auto other = t.open();
    CHECK(sk_wmem_alloc_get(*other.from) == 0);
    CHECK(pool_b.in_use() == before_b);
    t.finish(other);
    for (tcp_sock const* tp : {other.from, other.to}) {
      CHECK(tp->wscale_ok == (kind & 1));
      CHECK(tp->tstamp_ok == (kind >> 1 & 1));
      CHECK((tp->ecn_flags & tcp_ecn::ok) == (kind >> 2 & 1));
      CHECK(tp->sack_ok);
    }
    CHECK(other.to->mss_clamp == 1460);
    t.close_both(other);
  }
  ns.sysctl_tcp_ecn = 2;
  // … and with more.
  ns.sysctl_tcp_fastopen |= 1;
  auto const asks = socket(t.a.init_net(), af::inet, sock_type::stream | sock_type::nonblock).value();
  tcp_sock const& asking = tcp_sk(*sockfs::table_of(t.a.init_net()).find(asks)->sk);
  (void)sendto(t.a.init_net(), asks, "x", 1, msg::fastopen, t.name(t.addr_b, 80));
  CHECK(sk_wmem_alloc_get(asking) != 0);
  t.run();
  rig::connection more{asks, accept(t.b.init_net(), t.listener).value()};
  t.run_for(1'000'000'000);
  t.close_both(more);

  // Lost, it is sent again, with what it said.
  auto const lost = [&](u32 end) {
    REQUIRE(t.cable.from(end).acquire(drivers::pipe_cable::reader::receiver));
    sk_buff* frame = nullptr;
    REQUIRE(t.cable.from(end).frames.pop(frame));
    CHECK(frame == nullptr);
    t.cable.from(end).release();
  };
  auto again = t.open();  // b has its SYN
  lost(1);
  t.run_for(2'000'000'000);
  t.finish(again);
  CHECK(again.from->rare->total_retrans + again.to->rare->total_retrans >= 1);
  CHECK((again.from->sack_ok && again.to->wscale_ok));
  t.close_both(again);
}
TEST_CASE("a short segment for which the driver has no place leaves as a packet, in its order", "[tcp]") {
  rig t{summed};
  for (u32 i = 0; i < drivers::pipe_cable::short_slots; ++i) tcp_send_ack(t.a.init_net(), t.from());
  t.write(7);
  CHECK(t.from().packets_out == 1);
  CHECK(sk_wmem_alloc_get(t.from()) != 0);
  t.write(9);
  CHECK(t.from().packets_out == 1);  // Nagle's: the first is short, and in flight
  t.read();
}
TEST_CASE("a route asks for its next hop again once the neighbour, or the device's carrier, has gone", "[tcp]") {
  rig t{summed};
  auto& na = t.a.init_net();
  auto const frames = [&] { return t.dev_a->stats.tx_packets.read(); };
  u64 const known = frames();
  tcp_send_ack(na, t.from());
  CHECK(frames() == known + 1);
  t.run();
  u32 const before = t.a.worker().pool.in_use();
  neigh_ifdown(na, arp_cache(na), *t.dev_a);
  tcp_send_ack(na, t.from());
  CHECK(t.a.worker().pool.in_use() > before);  // waits for an answer
  CHECK(arp_cache(na).entries == 1);
  t.run();
  CHECK(t.a.worker().pool.in_use() == before);
  u64 const asked = frames();
  in_dev_get(*t.dev_a)->cnf.arp_evict_nocarrier = 0;
  netif_carrier_off(na, *t.dev_a);
  tcp_send_ack(na, t.from());
  CHECK(frames() == asked);
  netif_carrier_on(na, *t.dev_a);
  t.run();
  t.write(7);
  t.run_for(5'000'000'000);
  t.read();
}
TEST_CASE("a full segment behind others leaves at once, as far as both windows let it", "[tcp]") {
  rig t{summed};
  u32 const full = t.from().mss_cache;
  t.from().snd_cwnd = 3;
  for (u32 i = 0; i < 5; ++i) t.write(full);
  CHECK(t.from().packets_out == 3);
  CHECK(t.from().snd_nxt == t.from().snd_una + 3 * full);
  CHECK(t.from().cwnd_limited);
  CHECK(t.from().send_head != nullptr);
  t.read();
  t.from().snd_wnd = 2 * full;
  for (u32 i = 0; i < 3; ++i) t.write(full);
  CHECK(t.from().packets_out == 2);
  t.read();
  t.from().snd_cwnd = 64;
  t.write(full);
  t.write(full);
  CHECK(t.from().packets_out == 2);
  CHECK(!t.from().cwnd_limited);
  CHECK(t.from().icsk_pending == icsk_time::loss_probe);
  t.read();
}
TEST_CASE("a segment that leaves as it is written waits at a device that is busy, and those behind it", "[tcp]") {
  for (u32 const features : {summed, unsummed}) {
    rig t{features};
    netdev_queue& txq = t.dev_a->tx[0];
    for (u32 i = 0; i < drivers::pipe_cable::ring_size; ++i) tcp_send_ack(t.a.init_net(), t.from());
    REQUIRE(txq.qdisc.empty());
    u64 const frames = t.dev_a->stats.tx_packets.read(), bytes = t.dev_a->stats.tx_bytes.read();
    t.write(mss);
    CHECK(txq.qdisc.qlen() == 1);
    t.write(mss);
    CHECK(txq.qdisc.qlen() == 2);
    CHECK(t.from().packets_out == 2);
    CHECK(t.dev_a->stats.tx_packets.read() == frames);
    t.read();
    CHECK(txq.qdisc.empty());
    CHECK(t.dev_a->stats.tx_packets.read() >= frames + 2);
    CHECK(t.dev_a->stats.tx_bytes.read() >= bytes + 2 * mss);
  }
}
TEST_CASE("whatever is written next closes the window of who found no memory", "[tcp]") {
  for (u32 const bytes : {7u, 100u, mss, 3 * mss}) {
    rig t{summed};
    auto const& closed = NET_STATS(t.a.init_net()).TCPToZeroWindowAdv;
    REQUIRE(closed.read() == 0);
    t.from().ack_nomem = true;  // an acknowledgment found no frame to say so
    t.write(bytes);
    CHECK(closed.read() == 1);
    CHECK(!t.from().ack_nomem);
    t.read();
  }
}
TEST_CASE("a short segment that was lost is sent again from its packet", "[tcp]") {
  rig t{summed};
  u32 const again = t.from().rare->total_retrans;
  t.write(40);
  REQUIRE(t.cable.from(0).acquire(drivers::pipe_cable::reader::receiver));
  sk_buff* frame = nullptr;
  REQUIRE(t.cable.from(0).frames.pop(frame));
  CHECK(frame == nullptr);
  t.cable.from(0).release();
  t.run_for(1'000'000'000);
  t.read();
  CHECK(t.from().rare->total_retrans == again + 1);
  CHECK(t.from().packets_out == 0);
}

TEST_CASE("a write of many segments arrives, whoever sums them", "[S92][S45]") {
  for (u32 const features : {summed, unsummed, cuts}) {
    CAPTURE(features);
    rig t{features};
    for (u32 const segments : {1u, 2u, 3u, 30u, 33u, 34u, 40u}) {
      u64 const hits = t.mib_b().TCPHPHits.read();
      u32 const out = t.from().segs_out, data = t.from().data_segs_out, in = t.to().data_segs_in;
      u64 const bytes = t.from().bytes_sent;
      t.write(segments * mss + 5);
      CHECK(t.from().data_segs_out - data >= segments);
      CHECK(t.from().segs_out - out == t.from().data_segs_out - data);
      t.read();
      CHECK(t.from().data_segs_out - data == segments + 1);
      CHECK(t.to().data_segs_in - in == segments + 1);
      CHECK(t.from().bytes_sent - bytes == segments * mss + 5);
      if (features != cuts) CHECK(t.mib_b().TCPHPHits.read() - hits == segments + 1);
    }
    CHECK(t.from().rare->total_retrans == 0);
    CHECK(tcp_pernet(t.a.init_net()).mib.TCPLossProbes.read() == 0);
  }
}

TEST_CASE("the flow of frames whose sums are left open is known like that of others", "[S45]") {
  rig own{summed}, left{unsummed};
  for (rig* t : {&own, &left}) {
    u64 const genid = t->b.worker().softnet.flow_genid;
    t->write(8 * mss);
    t->b.poll();
    CHECK((t->flow().genid == genid && t->flow().frame.known));
    CHECK(t->flow().flow.csum_known == (t == &left));
    // … and kept apart from frames of the other kind.
    CHECK((ip_flow_known(t->b.init_net(), *t->dev_b, t->flow().frame.at, t == &left) != nullptr));
    CHECK((ip_flow_known(t->b.init_net(), *t->dev_b, t->flow().frame.at, t != &left) == nullptr));
    t->read();
  }
}

TEST_CASE("a frame that is damaged on the wire is not taken, the others are", "[S45][MUST-3]") {
  rig t{summed};
  t.write(10 * mss);
  // The fourth is still in a's frame, which b copies.
  sk_buff* skb = t.from().sk_write_queue.peek();
  for (int i = 0; i < 3; ++i) skb = t.from().sk_write_queue.after(*skb);
  skb->data[700] ^= 0x20;
  t.b.poll();
  CHECK(TCP_STATS(t.b.init_net()).InCsumErrors.read() == 1);
  CHECK(tcp_inq(t.to()) == 3 * mss);
  CHECK(t.mib_b().TCPOFOQueue.read() == 6);
  skb->data[700] ^= 0x20;
  t.read();
  CHECK(t.from().rare->total_retrans == 1);
}

TEST_CASE("what follows behind a gap joins the frame before it, and is told of", "[S147]") {
  rig t{summed};
  REQUIRE(setsockopt(t.a.init_net(), t.client, sol::tcp, tcp_opt::nodelay, 1));
  tcp_pernet(t.a.init_net()).sysctl_tcp_autocorking = 0;
  for (int i = 0; i < 2; ++i) t.write(100), t.b.poll();
  CHECK(t.mib_b().TCPRcvCoalesce.read() == 1);  // the second's bytes went behind the first's
  t.read();
  u32 const base = t.to().rcv_nxt, frames = t.b.worker().pool.in_use();
  for (int i = 0; i < 12; ++i) t.write(100);
  t.from().sk_write_queue.peek()->data[50] ^= 1;  // the first does not arrive
  t.b.poll();
  CHECK(t.mib_b().TCPOFOQueue.read() == 11);
  CHECK(t.mib_b().TCPRcvCoalesce.read() == 11);
  CHECK(t.b.worker().pool.in_use() - frames <= 1 + 4);  // the data, and acknowledgments on their way
  CHECK(t.to().num_sacks == 1);
  CHECK(t.to().ofo->selective_acks[0].start_seq == base + 100);
  CHECK(t.to().ofo->selective_acks[0].end_seq == base + 1200);
  CHECK(t.to().ofo->queue.size() == 1);
  t.from().sk_write_queue.peek()->data[50] ^= 1;
  t.read();
  // A FIN that joins is the end, and no byte.
  for (int i = 0; i < 3; ++i) t.write(100);
  t.from().sk_write_queue.peek()->data[50] ^= 1;
  REQUIRE(shutdown(t.a.init_net(), t.client, shut::wr));
  t.b.poll();
  CHECK(t.to().sk_state == tcp_state::established);
  t.from().sk_write_queue.peek()->data[50] ^= 1;
  t.read();
  CHECK(t.to().sk_state == tcp_state::close_wait);
}

TEST_CASE("SO_TIMESTAMPNS: bytes that join a frame, in order or behind a gap, give it the time that they came",
          "[S28]") {
  rig t{summed};
  auto& nb = t.b.init_net();
  REQUIRE(setsockopt(nb, t.server, sol::socket, so::timestampns, 1));
  auto const told = [&] {
    std::string got(2000, '\0');
    alignas(8) std::byte control[100];
    iovec const part{got.data(), got.size()};
    msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
    auto const n = recvmsg(nb, t.server, m, msg::dontwait);
    CHECK((n && got.substr(0, *n) == std::exchange(t.sent, "")));
    u64 ns = 0;
    for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
      if (c.type == scm::timestampns)
        ns = static_cast<u64>(c.as<timespec>().tv_sec) * 1'000'000'000 + static_cast<u64>(c.as<timespec>().tv_nsec);
      return true;
    });
    return ns;
  };
  REQUIRE(setsockopt(t.a.init_net(), t.client, sol::tcp, tcp_opt::nodelay, 1));
  tcp_pernet(t.a.init_net()).sysctl_tcp_autocorking = 0;
  t.write(100), t.b.poll();
  t.clock.advance(1000);
  t.write(100), t.b.poll();
  CHECK(t.mib_b().TCPRcvCoalesce.read() == 1);
  u64 const second = t.b.worker().now_real;
  t.clock.advance(1000);
  CHECK(told() == second);
  t.run();
  for (int i = 0; i < 3; ++i) t.write(100);
  t.from().sk_write_queue.peek()->data[50] ^= 1;  // the first does not arrive
  t.b.poll();
  CHECK(t.mib_b().TCPRcvCoalesce.read() == 2);
  u64 const behind = t.b.worker().now_real;
  t.from().sk_write_queue.peek()->data[50] ^= 1;
  t.run_for(1'000'000'000);
  CHECK(told() == behind);
}

TEST_CASE("a flow turns to whoever speaks next between the same two hosts", "[S45][S117]") {
  rig t{summed};
  auto& na = t.a.init_net();
  u64 const genid = t.b.worker().softnet.flow_genid;
  REQUIRE(setsockopt(na, t.client, sol::tcp, tcp_opt::nodelay, 1));
  auto other = t.open();
  CHECK(t.flow_source() == other.from->sk_num);
  CHECK(t.flow().flow.genid == 0);  // a listener's
  t.finish(other);
  CHECK(t.flow().genid == genid);
  CHECK((t.flow().flow.sk == other.to && t.flow().flow.genid == tcp_worker_of(t.b.init_net()).sk_genid));
  auto const say = [&](int fd, std::string const& text) {
    REQUIRE(netstack::send(na, fd, text.data(), text.size()).value() == text.size());
  };
  for (int i = 0; i < 3; ++i) {  // in turns
    say(t.client, "one");
    t.b.poll();
    CHECK((t.flow().flow.sk == &t.to() && t.flow_source() == t.from().sk_num));
    CHECK((t.heard(t.server) == "one" && t.heard(other.server).empty()));
    t.run();
    say(other.client, "two");
    t.b.poll();
    CHECK((t.flow().flow.sk == other.to && t.flow_source() == other.from->sk_num));
    CHECK((t.heard(other.server) == "two" && t.heard(t.server).empty()));
    t.run();
  }
  for (int fd : {t.client, other.client, other.client, t.client, other.client}) say(fd, fd == t.client ? "1" : "2");
  t.run();  // in one burst
  CHECK((t.heard(t.server) == "11" && t.heard(other.server) == "222"));

  // Its ports are another's now, in whose place it was.
  u16 const port = other.from->sk_num;
  t.close_both(other);
  auto next = t.open(port);
  CHECK((t.flow_source() == port && t.flow().flow.genid != tcp_worker_of(t.b.init_net()).sk_genid));
  t.finish(next);
  say(next.client, "three");
  t.b.poll();
  CHECK((t.heard(next.server) == "three" && t.heard(t.server).empty()));
  t.close_both(next);

  // And for a port where nobody is, the answer is the ordinary one.
  int const refused = socket(na, af::inet, sock_type::stream | sock_type::nonblock).value();
  (void)connect(na, refused, t.name(t.addr_b, 81));
  t.b.poll();
  CHECK(t.flow_source() == sockfs::table_of(na).find(refused)->sk->sk_num);
  t.run();
  CHECK(sockfs::table_of(na).find(refused)->sk->sk_err == static_cast<s32>(std::errc::connection_refused));
  REQUIRE(close(na, refused));
  CHECK(TCP_STATS(t.b.init_net()).InSegs.read() == TCP_STATS(na).OutSegs.read());
  CHECK(IP_STATS(t.b.init_net()).InReceives.read() == IP_STATS(t.b.init_net()).InDelivers.read());
  CHECK(TCP_STATS(t.b.init_net()).PassiveOpens.read() == 3);
}

TEST_CASE("a burst of many connections, of hosts that were heard, is recognised as one", "[S45][S117]") {
  rig t{summed};
  auto& na = t.a.init_net();
  auto& nb = t.b.init_net();
  be32 const second = ipv4_addr("192.0.2.3");
  REQUIRE(inet_addr_add(na, t.dev_a->ifindex, ipv4_cidr("192.0.2.3/24")));
  u64 const genid = t.b.worker().softnet.flow_genid;
  auto const begun = [&] { return t.flow().pattern.header; };
  auto const first = begun();
  std::vector<rig::connection> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(t.open(0, i % 2 ? second : t.addr_a));
    t.finish(all.back());
  }
  REQUIRE(t.flow().genid == genid);
  auto const say = [&](rig::connection const& c, std::string const& text) {
    REQUIRE(netstack::send(na, c.client, text.data(), text.size()).value() == text.size());
  };
  // Each says two words, in turns; among them a new connection's SYN, another's end, and a word to nobody.
  auto const gone = t.open();
  t.run();
  for (int round = 0; round < 3; ++round) {
    std::string const word(static_cast<std::size_t>(round) + 1, 'x');
    for (int twice = 0; twice < 2; ++twice)
      for (auto& c : all) say(c, word), say(c, word);
    auto fresh = socket(na, af::inet, sock_type::stream | sock_type::nonblock).value();
    (void)connect(na, fresh, t.name(t.addr_b, 80));
    REQUIRE(close(na, fresh));
    t.b.poll();
    for (auto& c : all) CHECK(t.heard(c.server) == word + word + word + word);
    t.run_for(1'000'000'000);
  }
  auto const same = [](auto const& x, auto const& y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  CHECK((t.flow().genid == genid && same(begun(), first)));  // never begun anew: all were taken at the driver's edge
  (void)gone;

  // A source that was not heard goes the whole way, where it is asked whether it may be here. Two halves of its address
  // change places, so that all sums stay right.
  in_dev_get(*t.dev_b)->cnf.rp_filter = 1;
  std::string const text = stream_of(1000, 0);
  say(all[1], text), say(all[0], text), say(all[3], text);
  u8* const saddr = t.cable.from(0).frames.front(1)->data + eth_hlen + offsetof(iphdr, saddr);
  auto const halves = [&] { std::swap_ranges(saddr, saddr + 2, saddr + 2); };
  halves();
  t.b.poll();
  halves();
  CHECK(ipv4_net(nb).mib.net_statistics.IPReversePathFilter.read() == 1);
  CHECK((t.heard(all[0].server).empty() && tcp_inq(*all[1].to) == 1000 && tcp_inq(*all[3].to) == 1000));
  CHECK((t.flow().genid == genid && same(begun(), first)));
  t.run_for(1'000'000'000);
  CHECK(tcp_inq(*all[0].to) == 1000);
  CHECK(TCP_STATS(nb).InErrs.read() == 0);
  for (auto& c : all) t.close_both(c);
}

TEST_CASE("full segments without time stamps leave as one list and are known at the driver's edge", "[tcp]") {
  auto const features = GENERATE(summed, unsummed);
  rig t{features, false};
  constexpr u32 full = 1460;
  CHECK(t.from().mss_cache == full);
  auto& stats = NET_STATS(t.b.init_net());
  u64 const taken = stats.TCPHPHits.read();
  u32 const sent = t.from().segs_out;
  t.write(20 * full);
  CHECK(t.from().packets_out == 20);
  CHECK(t.from().segs_out == sent + 20);
  for (u32 i = 0; i < 20; ++i) {
    sk_buff const& frame = *t.cable.from(0).frames.front(i);
    CHECK(frame.data[eth_hlen + ip_hlen_min + 12] >> 4 == 5);  // no options
    CHECK(frame.len == eth_hlen + ip_hlen_min + tcp_hlen_min + full);
  }
  t.b.poll();
  CHECK(stats.TCPHPHits.read() == taken + 20);
  t.read();
  t.write(5 * full + 700), t.write(1), t.write(full);
  t.read();
  CHECK(TCP_STATS(t.b.init_net()).InErrs.read() == 0);
  CHECK(TCP_STATS(t.b.init_net()).InCsumErrors.read() == 0);
  CHECK(TCP_STATS(t.a.init_net()).RetransSegs.read() == 0);
}

TEST_CASE("with ECN data leaves capable by the short ways, acknowledgments do not, and a mark within a burst is heard",
          "[tcp][RFC 3168]") {
  auto const features = GENERATE(summed, unsummed);
  rig t{features, GENERATE(true, false), true};
  auto& nb = t.b.init_net();
  u32 const full = t.from().mss_cache;
  REQUIRE((t.from().ecn_flags & t.to().ecn_flags & tcp_ecn::ok) != 0);
  auto& way = t.cable.from(0);
  auto const frame = [&](u32 i) {
    sk_buff* const skb = way.frames.front(i);
    return skb ? skb->data : way.shorts[way.frames.front_number(i) % drivers::pipe_cable::short_slots].bytes;
  };
  auto const ecn = [&](u32 i) { return frame(i)[eth_hlen + offsetof(iphdr, tos)] & inet_ecn::mask; };
  auto const& mib = IP_STATS(nb);
  u64 const capable = mib.InECT0Pkts.read(), others = mib.InNoECTPkts.read();
  t.write(5);
  CHECK(ecn(0) == inet_ecn::ect_0);
  t.read();
  u64 const hits = NET_STATS(nb).TCPHPHits.read();
  t.write(20 * full);
  for (u32 i = 0; i < 20; ++i) CHECK(ecn(i) == inet_ecn::ect_0);
  t.b.poll();
  CHECK(NET_STATS(nb).TCPHPHits.read() == hits + 20);
  CHECK((t.to().ecn_flags & tcp_ecn::seen) != 0);
  t.read();
  tcp_send_ack(t.a.init_net(), t.from());
  CHECK(ecn(0) == inet_ecn::not_ect);
  t.run();
  CHECK(mib.InECT0Pkts.read() == capable + 21);
  CHECK(mib.InNoECTPkts.read() == others + 1);
  CHECK(IP_STATS(t.a.init_net()).InECT0Pkts.read() == 0);

  // A router marks one of them, RFC 3168 §5: what follows is not taken with it.
  t.write(20 * full);
  u8* const header = frame(7) + eth_hlen;
  header[offsetof(iphdr, tos)] |= inet_ecn::ce;
  header[offsetof(iphdr, check) + 1]--;  // one more in the first word
  t.b.poll();
  CHECK(mib.InCEPkts.read() == 1);
  CHECK((t.to().ecn_flags & tcp_ecn::demand_cwr) != 0);
  t.read();
  CHECK(t.from().snd_cwnd < 64);
  CHECK(NET_STATS(t.a.init_net()).TCPFastRetrans.read() == 0);
  for (int i = 0; i < 2; ++i) t.write(4 * full), t.read();
  CHECK((t.to().ecn_flags & tcp_ecn::has_news) == 0);
  CHECK((t.from().ecn_flags & tcp_ecn::has_news) == 0);
  t.write(20);
  CHECK(ecn(0) == inet_ecn::ect_0);
  CHECK((way.frames.front(0) == nullptr) == (features == summed));  // without a packet again
  t.read();

  // Answers and acknowledgments in turn: each is counted for what it is.
  auto& mib_a = IP_STATS(t.a.init_net());
  u64 const answers = mib_a.InECT0Pkts.read(), acks = mib_a.InNoECTPkts.read();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(netstack::send(nb, t.server, "answer", 6).value() == 6);
    t.run();
    tcp_send_ack(nb, t.to());
    t.run();
    char text[8];
    CHECK(recv(t.a.init_net(), t.client, text, sizeof text).value() == 6);
    t.run_for(1'000'000'000);
  }
  CHECK(mib_a.InECT0Pkts.read() == answers + 5);
  CHECK(mib_a.InNoECTPkts.read() == acks + 5);
  for (auto* net : {&t.a.init_net(), &nb})
    CHECK((TCP_STATS(*net).InErrs.read() == 0 && IP_STATS(*net).InHdrErrors.read() == 0));
}

TEST_CASE("a frame that the link has padded is known at the driver's edge, and what it was padded with is no data") {
  rig t{summed, false};
  auto& way = t.cable.from(0);
  for (u32 len : {1u, 5u, 6u, 7u}) {  // 55 to 61 bytes
    u32 const whole = static_cast<u32>(eth_hlen + ip_hlen_min + tcp_hlen_min) + len, shortest = eth_zlen;
    t.write(len);
    auto& frame = way.shorts[way.frames.front_number(0) % drivers::pipe_cable::short_slots];
    REQUIRE(way.frames.front(0) == nullptr);
    CHECK(frame.len == whole);
    for (u32 frame_len : {whole, shortest, shortest + 2}) {
      if (frame_len < whole) continue;
      std::memset(frame.bytes + whole, 'p', frame_len - whole);
      sk_buff* const packet = t.b.worker().pool.alloc_skb(t.b.worker().pool.rx_headroom());
      auto const at = static_cast<u16>(packet->headroom());
      u8* const data = packet->data;
      bool const known =
          rx_flow_burst<net<host>>{t.b.init_net(), *t.dev_b, at, false}.take({*packet, data, frame_len, frame.bytes});
      CHECK(known == (frame_len == whole || frame_len == shortest));
      if (known) {
        CHECK((packet->len == tcp_hlen_min + len && packet->tail == packet->data + packet->len));
        // The same of one that shows what it was before: all of that is written.
        sk_buff const whole_one = *packet;
        auto* const raw = reinterpret_cast<u8*>(packet);
        for (auto const& [from, n] : {std::pair{offsetof(sk_buff, data), 48u}, {offsetof(sk_buff, truesize), 36u}})
          std::memset(raw + from, 0x5a, n);
        CHECK(rx_flow_burst<net<host>>{t.b.init_net(), *t.dev_b, at, false}.take(
            {*packet, data, frame_len, frame.bytes, whole_one.truesize}));
        CHECK(std::memcmp(packet, &whole_one, sizeof whole_one) == 0);
      }
      t.b.worker().softnet.flow_taken = {};
      packet->dst = nullptr;
      kfree_skb(t.b.init_net(), *packet, drop_reason::not_specified);
    }
    frame.len = static_cast<u16>(std::max(whole, shortest));
    t.read();
  }
  CHECK(IP_STATS(t.b.init_net()).InTruncatedPkts.read() == 0);
  CHECK(TCP_STATS(t.b.init_net()).InErrs.read() == 0);
}

TEST_CASE("a burst without time stamps comes to the same as one with them, in order and behind a gap", "[S117]") {
  rig t{summed};
  auto& na = t.a.init_net();
  tcp_pernet(na).sysctl_tcp_autocorking = 0;
  auto const taken = [&](bool stamped) {
    tcp_pernet(na).sysctl_tcp_timestamps = stamped;
    auto c = t.open();
    t.finish(c);
    CHECK(c.to->tstamp_ok == stamped);
    auto const say = [&](int times) {
      for (int i = 0; i < times; ++i) REQUIRE(netstack::send(na, c.client, "0123456789", 10).value() == 10);
    };
    say(1);
    t.run_for(1'000'000'000);
    u64 const joined = t.mib_b().TCPRcvCoalesce.read(), behind = t.mib_b().TCPOFOQueue.read();
    say(8);
    t.b.poll();
    u64 const in_order = t.mib_b().TCPRcvCoalesce.read() - joined;
    t.run();
    say(12);
    auto& way = t.cable.from(0);
    sk_buff* const first = way.frames.front(0);
    u8& byte =
        (first ? first->data : way.shorts[way.frames.front_number(0) % drivers::pipe_cable::short_slots].bytes)[60];
    byte ^= 1;  // the first is lost
    t.b.poll();
    byte ^= 1;
    CHECK(t.mib_b().TCPOFOQueue.read() - behind == 11);
    u64 const of_both = t.mib_b().TCPRcvCoalesce.read() - joined;
    t.run_for(1'000'000'000);
    std::string text;
    for (int i = 0; i < 4; ++i) text += t.heard(c.server);
    CHECK(text.size() == 210);
    for (std::size_t i = 0; i < text.size(); ++i) CHECK(text[i] == static_cast<char>('0' + i % 10));
    t.close_both(c);
    return std::pair{in_order, of_both};
  };
  auto const with = taken(true), without = taken(false);
  CHECK(with.first >= 7);
  CHECK(with.second > with.first);
  CHECK(without == with);
}

TEST_CASE("a flow turns to no damaged segment, nor to a socket's that asks more of it", "[S45][MUST-3]") {
  rig t{summed};
  auto& na = t.a.init_net();
  auto& nb = t.b.init_net();
  auto other = t.open();
  t.finish(other);
  std::string const text = stream_of(mss, 0);
  t.write(5);
  t.read();
  REQUIRE(netstack::send(na, other.client, text.data(), text.size()).value() == text.size());
  u8* const damaged = other.from->sk_write_queue.peek()->data + 700;  // still in a's frame, which b copies
  *damaged ^= 0x20;
  t.b.poll();
  CHECK(TCP_STATS(nb).InCsumErrors.read() == 1);
  CHECK(tcp_inq(*other.to) == 0);
  *damaged ^= 0x20;
  t.run_for(1'000'000'000);
  CHECK(tcp_inq(*other.to) == mss);

  REQUIRE(setsockopt(nb, other.server, sol::ip, ip_opt::minttl, 255));
  t.write(5);
  t.read();
  REQUIRE(netstack::send(na, other.client, "far", 3).value() == 3);
  t.b.poll();
  CHECK(t.flow_source() == other.from->sk_num);
  CHECK(NET_STATS(nb).TCPMinTTLDrop.read() == 1);
  CHECK(tcp_inq(*other.to) == mss);
  REQUIRE(setsockopt(nb, other.server, sol::ip, ip_opt::minttl, 0));
  t.run_for(1'000'000'000);
  CHECK(tcp_inq(*other.to) == mss + 3);
  t.close_both(other);
}

TEST_CASE("a burst that cannot begin tells no window", "[S100]") {
  rig t{summed};
  auto& net = t.a.init_net();
  auto& tp = t.from();
  tp.rcv_wup -= 4;  // as if the acknowledgment of so much waited for company
  u32 const cwnd = std::exchange(tp.snd_cwnd, 0u);
  t.write(2 * mss);
  tp.snd_cwnd = cwnd;
  sk_buff* const clone = skb_clone(*tp.send_head);  // whose bytes move away, so that only its place is taken
  REQUIRE(clone);
  REQUIRE(skb_unclone(*clone));
  skb_list burst;
  bool begins = false;
  CHECK(tcp_burst(net, tp, mss, 2, burst, begins) == 0);
  CHECK(burst.empty());
  CHECK(tp.rcv_nxt - tp.rcv_wup == 4);
  consume_skb(*clone);
  t.write(1);
  t.read();
}

TEST_CASE("what ends a connection that nobody holds is counted as delivered, and nothing of it is kept", "[S104]") {
  rig t{summed};
  auto c = t.open();
  t.finish(c);
  auto& na = t.a.init_net();
  auto& nb = t.b.init_net();
  u64 const by_a = NET_STATS(na).TCPDelivered.read(), by_b = NET_STATS(nb).TCPDelivered.read();
  t.close_both(c);
  CHECK(NET_STATS(na).TCPDelivered.read() == by_a + 1);
  CHECK(NET_STATS(nb).TCPDelivered.read() == by_b + 1);
  CHECK((tcp_worker_of(na).socks.in_use() == 1 && tcp_worker_of(nb).socks.in_use() == 2));
  CHECK(tcp_worker_of(na).timewaits.in_use() == 1);
  CHECK((tcp_pernet(na).orphan_count == 0 && tcp_pernet(nb).orphan_count == 0));
}
