// SPDX-License-Identifier: BSL-1.0
// Super-segments: what is cut is what a sender without them would have sent, what is merged are the same bytes; with
// and without them, over good wires and bad ones, the reader reads what was written.
#include "netstack/tcp/tcp_offload.hpp"

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/udp/udp.hpp"
#include "support/tcp_echo.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

using wire_of = drivers::fault_injector<drivers::pipe>;
struct plain : stack<plain, ipv4, tcp, wire_of> {};
struct merging : stack<merging, ipv4, ipv4_offload, tcp, tcp_offload, wire_of> {};
struct of_both : stack<of_both, ipv4, ipv4_offload, tcp, tcp_offload, udp, drivers::pipe> {};

constexpr u32 cuts = netif_f::sg | netif_f::fraglist | netif_f::hw_csum | netif_f::gso;

/// What a writes, shuts down, and b reads to the end, within so many simulated seconds.
template <class A, class B>
struct transfer {
  two_hosts<A, B, wire_of> t;
  std::string sent, received;
  int listener, client, server = -1;

  transfer(u32 features, drivers::wire_faults const& faults, u64 seed, std::size_t bytes)
      : t({.inner = {.features = features}, .tx = faults, .seed = seed}),
        sent(stream_of(bytes, static_cast<u32>(seed))) {
    auto& a = t.a.init_net();
    auto& b = t.b.init_net();
    listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(bind(b, listener, t.name({}, 80)));
    REQUIRE(listen(b, listener, 4));
    client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
    (void)connect(a, client, t.name(t.addr_b, 80));
    std::size_t at = 0;
    bool ended = false;
    for (int i = 0; i < 900'000 && !ended; ++i) {
      t.run_for(1'000'000);
      if (server < 0) server = accept(b, listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
      while (at < sent.size()) {
        auto const n = send(a, client, sent.data() + at, std::min<std::size_t>(sent.size() - at, 50'000));
        if (!n) break;
        at += *n;
        if (at == sent.size()) (void)shutdown(a, client, shut::wr);
      }
      char buf[32768];
      while (server >= 0 && !ended) {
        auto const n = recv(b, server, buf, sizeof buf);
        if (!n) break;
        ended = *n == 0;
        received.append(buf, *n);
      }
    }
    CHECK(ended);
    CHECK((received == sent));
  }
  u32 frames() { return static_cast<u32>(t.dev_b->stats.rx_packets.read()); }
  u32 segments() { return tcp_sk(*sockfs::table_of(t.b.init_net()).find(server)->sk).segs_in; }
  ~transfer() {
    for (int fd : {server, listener}) REQUIRE(close(t.b.init_net(), fd));
    REQUIRE(close(t.a.init_net(), client));
    wire_of::set_faults(*t.dev_a, {}, {});
    wire_of::set_faults(*t.dev_b, {}, {});
    t.run_for(1'500'000'000'000);
    for (auto* pool : {&t.a.worker().pool, &t.b.worker().pool}) {
      CHECK(pool->in_use() == 0);
      CHECK(pool->clones_in_use() == 0);
    }
    CHECK(tcp_worker_of(t.a.init_net()).memory.allocated == 0);
    CHECK(tcp_worker_of(t.b.init_net()).memory.allocated == 0);
  }
};

template <class A, class B>
void every_wire(u32 features) {
  CAPTURE(features);
  transfer<A, B>(features, {}, 1, 1'000'000);
  for (u64 seed = 1; seed <= 3; ++seed) {
    transfer<A, B>(features, {.loss = 20'000, .delay_ns = 1'000'000}, seed, 300'000);
    transfer<A, B>(features,
                   {.loss = 10'000,
                    .duplicate = 20'000,
                    .corrupt = features & netif_f::hw_csum ? 0u : 10'000u,
                    .reorder = 100'000,
                    .reorder_ns = 2'000'000,
                    .delay_ns = 500'000,
                    .jitter_ns = 300'000},
                   seed, 300'000);
  }
}

/// An Ethernet frame with `payload` bytes of TCP, its checksum left to whoever cuts it.
sk_buff& super_segment(merging& h, net_device& dev, u32 payload, u16 size, u8 flags, u16 frag_off = ip_df) {
  auto& pool = h.worker().pool;
  constexpr u32 headers = eth_hlen + ip_hlen_min + tcp_hlen_min + 12;
  sk_buff* const skb = alloc_skb_with_frags(pool, 128, headers, payload);
  REQUIRE(skb);
  tcphdr th{.source = be16{1000}, .dest = be16{2000}, .seq = be32{0xffff'f000}, .ack_seq = be32{77}, .flags = flags};
  th.set_doff(8);
  th.window = be16{1234};
  iphdr iph{.tot_len = be16{static_cast<u16>(headers - eth_hlen + payload)}, .id = be16{7}, .frag_off = be16{frag_off}};
  iph.ttl = 64, iph.protocol = ipproto::tcp, iph.saddr = ipv4_addr("192.0.2.1"), iph.daddr = ipv4_addr("192.0.2.2");
  ethhdr const eth{.h_dest = {{2, 0, 0, 0, 0, 2}}, .h_source = {{2, 0, 0, 0, 0, 1}}, .h_proto = be16{eth_p::ip}};
  std::memcpy(skb->data, &eth, sizeof eth);
  std::memcpy(skb->data + eth_hlen, &iph, sizeof iph);
  std::memcpy(skb->data + eth_hlen + ip_hlen_min, &th, sizeof th);
  tcp_options_write(skb->data + eth_hlen + ip_hlen_min + tcp_hlen_min, {.tsval = 1, .tsecr = 2, .tstamp = true});
  auto const text = stream_of(payload);
  REQUIRE(skb_store_bits(*skb, headers, text.data(), payload));
  skb->dev = &dev;
  skb->protocol = be16{eth_p::ip};
  skb->reset_mac_header();
  skb->set_network_header(eth_hlen);
  skb->set_transport_header(eth_hlen + static_cast<int>(ip_hlen_min));
  skb->ip_summed = ip_summed::partial;
  skb->csum_start = skb->transport_header;
  skb->csum_offset = offsetof(tcphdr, check);
  auto& info = skb_edit_shinfo(*skb);
  info.gso_size = size, info.gso_type = skb_gso::tcpv4;
  info.gso_segs = static_cast<u16>((payload + size - 1) / size);
  return *skb;
}

struct connection {
  int listener, client, server;
};
/// From a to b's port 80.
template <class Hosts>
connection connected(Hosts& t) {
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  connection c{
      .listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value(), .client = 0, .server = 0};
  REQUIRE(bind(b, c.listener, t.name({}, 80)));
  REQUIRE(listen(b, c.listener, 4));
  c.client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
  (void)connect(a, c.client, t.name(t.addr_b, 80));
  t.run();
  c.server = accept(b, c.listener).value();
  return c;
}

}  // namespace

TEST_CASE("a super-segment is cut into what its sender would have sent: numbers, flags, sums, bytes", "[S86]") {
  two_hosts<merging, merging, wire_of> t;
  u8 const flags = tcp_flag::ack | tcp_flag::psh | tcp_flag::fin | tcp_flag::cwr;
  for (u32 const features : {0u, netif_f::hw_csum})
    for (u32 const payload : {1u, 1000u, 1001u, 9999u, 40'000u})
      for (u16 const frag_off : {ip_df, u16{0}}) {
        CAPTURE(features, payload, frag_off);
        sk_buff& skb = super_segment(t.a, *t.dev_a, payload, 1000, flags, frag_off);
        auto pieces = skb_gso_segment(t.a.init_net(), skb, features);
        REQUIRE(pieces);
        consume_skb(skb);
        auto const text = stream_of(payload);
        u32 const count = (payload + 999) / 1000;
        CHECK(pieces->count == count);
        u32 i = 0;
        std::string got;
        while (sk_buff* piece = pieces->pop_front()) {
          if (features & netif_f::hw_csum) REQUIRE(skb_checksum_help(*piece));
          auto const& iph = *ip_hdr(*piece);
          auto const& th = *piece->transport_hdr<tcphdr>();
          bool const last = i + 1 == count;
          u32 const l4 = piece->len - static_cast<u32>(eth_hlen + ip_hlen_min);
          CHECK(piece->mac_hdr<ethhdr>()->h_proto == be16{eth_p::ip});
          CHECK(iph.tot_len.host() == piece->len - eth_hlen);
          CHECK(iph.id.host() == (frag_off == ip_df ? 7 : 7 + i));
          CHECK(netstack::detail::ip_header_is_right(reinterpret_cast<u8 const*>(&iph)));
          CHECK(th.seq.host() == 0xffff'f000 + i * 1000);
          CHECK((th.ack_seq.host() == 77 && th.window.host() == 1234 && th.doff() == 8));
          CHECK(th.flags ==
                (tcp_flag::ack | (last ? tcp_flag::psh | tcp_flag::fin : 0) | (i == 0 ? tcp_flag::cwr : 0)));
          CHECK(csum_is_right(csum_fold(csum_partial(&th, l4, csum_tcpudp_nofold(iph.saddr, iph.daddr, l4, 6, 0)))));
          got.append(reinterpret_cast<char const*>(&th) + 32, l4 - 32);
          consume_skb(*piece);
          ++i;
        }
        CHECK((got == text));
      }
  CHECK(t.a.worker().pool.in_use() == 0);
}

TEST_CASE("what cannot be cut is refused, and nothing is left of it", "[S86]") {
  two_hosts<merging, merging, wire_of> t;
  auto& pool = t.a.worker().pool;
  sk_buff& large = super_segment(t.a, *t.dev_a, 9000, 3000, tcp_flag::ack);  // no frame holds such a piece
  CHECK(skb_gso_segment(t.a.init_net(), large, 0).error() == std::errc::invalid_argument);
  consume_skb(large);
  sk_buff& other = super_segment(t.a, *t.dev_a, 3000, 1000, tcp_flag::ack);
  ip_hdr(other)->protocol = ipproto::udp;
  CHECK(skb_gso_segment(t.a.init_net(), other, 0).error() == std::errc::operation_not_supported);
  ip_hdr(other)->protocol = ipproto::tcp;
  skb_list rest;
  pool.alloc_bulk(pool.available() - 2, rest);
  CHECK(skb_gso_segment(t.a.init_net(), other, 0).error() == std::errc::no_buffer_space);
  CHECK(pool.available() == 2);
  pool.free_bulk(rest);
  consume_skb(other);
  CHECK(pool.in_use() == 0);
}

TEST_CASE("a device that does not cut gets the pieces of a super-segment, one that does gets it whole", "[S86][S87]") {
  for (bool const whole : {false, true}) {
    two_hosts<merging, merging, wire_of> t{{.inner = {.features = whole ? cuts : netif_f::sg}}};
    u64 const before = t.dev_b->stats.rx_packets.read();
    CHECK(dev_queue_xmit(t.a.init_net(), super_segment(t.a, *t.dev_a, 9500, 1000, tcp_flag::ack | tcp_flag::rst)));
    t.run();
    CHECK(t.dev_b->stats.rx_packets.read() - before == (whole ? 1 : 10));
    CHECK(t.a.worker().pool.in_use() == 0);
    CHECK(t.b.worker().pool.in_use() == 0);
  }
}

TEST_CASE("with super-segments and without: the same bytes over every wire", "[S85][S86][S87]") {
  every_wire<plain, plain>(netif_f::sg);
  every_wire<plain, plain>(cuts);
  every_wire<merging, merging>(netif_f::sg);
  every_wire<merging, merging>(cuts);
  every_wire<plain, merging>(netif_f::sg);
}

TEST_CASE("full segments in order are merged; a device that takes super-segments carries few frames", "[S85][S86]") {
  transfer<plain, merging> merged{netif_f::sg, {}, 7, 500'000};
  CHECK(merged.frames() > 345);
  CHECK(merged.segments() > 345);  // each is counted, however it came
  CHECK(tcp_pernet(merged.t.b.init_net()).mib.TCPOFOQueue.read() == 0);
  CHECK(TCP_STATS(merged.t.b.init_net()).InSegs.read() < 100);
  transfer<plain, plain> whole{cuts, {}, 7, 500'000};
  CHECK(whole.frames() < 100);
  CHECK(whole.segments() > 345);
  CHECK(TCP_STATS(whole.t.a.init_net()).RetransSegs.read() == 0);
}

TEST_CASE("what a device recognises, of datagrams or segments, it does not merge; what is left, it does",
          "[S85][S67]") {
  two_hosts<of_both, of_both, drivers::pipe> t{{.features = netif_f::sg | netif_f::fraglist}};
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  int const listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value();
  int const sink = socket(b, af::inet, sock_type::dgram | sock_type::nonblock).value();
  REQUIRE(bind(b, listener, t.name({}, 80)));
  REQUIRE(bind(b, sink, t.name({}, 9)));
  REQUIRE(listen(b, listener, 4));
  int const client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
  int const source = socket(a, af::inet, sock_type::dgram | sock_type::nonblock).value();
  (void)connect(a, client, t.name(t.addr_b, 80));
  t.run();
  int const server = accept(b, listener).value();
  std::string const text = stream_of(4 * 1448);
  char buf[8192];
  auto const datagram = [&] { REQUIRE(sendto(a, source, text.data(), 100, 0, t.name(t.addr_b, 9)).value() == 100); };
  auto const known = [&] {
    return ip_flow_known(b, *t.dev_b, in_dev_get(*t.dev_b)->rx_flow.frame.at, false) != nullptr;
  };
  REQUIRE((t.dev_b->features & netif_f::gro) != 0);
  // Segments of a flow that is known are taken together by TCP, each by itself.
  REQUIRE(send(a, client, text.data(), 10).value() == 10);
  t.run();
  REQUIRE(recv(b, server, buf, sizeof buf).value() == 10);
  CHECK(known());
  u64 const first = TCP_STATS(b).InSegs.read();
  REQUIRE(send(a, client, text.data(), text.size()).value() == text.size());
  t.run();
  CHECK(TCP_STATS(b).InSegs.read() - first >= 4);
  REQUIRE(recv(b, server, buf, sizeof buf).value() == text.size());
  for (int i = 0; i < 2; ++i) datagram(), t.run();
  CHECK(known());
  for (int i = 0; i < 2; ++i) REQUIRE(recv(b, sink, buf, sizeof buf).value() == 100);
  // Recognised ones in front of what is merged, in one burst.
  u64 const segments = TCP_STATS(b).InSegs.read();
  for (int i = 0; i < 3; ++i) datagram();
  REQUIRE(send(a, client, text.data(), text.size()).value() == text.size());
  t.run();
  CHECK(TCP_STATS(b).InSegs.read() - segments < 4);
  for (int i = 0; i < 3; ++i) REQUIRE(recv(b, sink, buf, sizeof buf).value() == 100);
  CHECK(recv(b, server, buf, sizeof buf).value() == text.size());
  CHECK((std::string(buf, text.size()) == text));
  // A flow that GRO has merged before it was known is learned from the next burst's first, and known from then on.
  u64 before = 0;
  for (int i = 0; i < 2; ++i) {
    before = TCP_STATS(b).InSegs.read();
    REQUIRE(send(a, client, text.data(), text.size()).value() == text.size());
    t.run();
    CHECK(recv(b, server, buf, sizeof buf).value() == text.size());
    CHECK((std::string(buf, text.size()) == text));
  }
  CHECK(TCP_STATS(b).InSegs.read() - before >= 4);
  for (int fd : {server, listener, sink}) REQUIRE(close(b, fd));
  for (int fd : {client, source}) REQUIRE(close(a, fd));
  t.run_for(200'000'000'000);
  CHECK((t.a.worker().pool.in_use() == 0 && t.b.worker().pool.in_use() == 0));
}

TEST_CASE("where no driver recognises flows, every burst is merged whole") {
  two_hosts<merging, merging, wire_of> t;  // what decorates a driver asks for none
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  auto const [listener, client, server] = connected(t);
  std::string const text = stream_of(4 * 1448);
  char buf[8192];
  for (int i = 0; i < 4; ++i) {
    u64 const before = TCP_STATS(b).InSegs.read();
    REQUIRE(send(a, client, text.data(), text.size()).value() == text.size());
    t.run();
    CHECK(TCP_STATS(b).InSegs.read() - before == 1);
    CHECK(recv(b, server, buf, sizeof buf).value() == text.size());
    t.run_for(100'000'000);
  }
  for (int fd : {server, listener}) REQUIRE(close(b, fd));
  REQUIRE(close(a, client));
  t.run_for(200'000'000'000);
}

TEST_CASE("what comes in one burst is answered together: data once, what is behind a gap three times at once",
          "[S92]") {
  two_hosts<plain, plain, wire_of> t;
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  auto const c = connected(t);
  int const listener = c.listener, client = c.client, server = c.server;  // which lambdas may have
  REQUIRE(setsockopt(a, client, sol::tcp, tcp_opt::nodelay, 1));
  tcp_pernet(a).sysctl_tcp_autocorking = 0;
  auto& from = tcp_sk(*sockfs::table_of(a).find(client)->sk);
  auto& to = tcp_sk(*sockfs::table_of(b).find(server)->sk);
  auto const written = [&](int n) {
    for (int i = 0; i < n; ++i) REQUIRE(send(a, client, "0123456789", 10).value() == 10);
  };
  written(1);  // teaches b the flow
  t.run();
  // In order: one acknowledgment for ten segments, and all of them are read.
  u32 sent = to.segs_out, received = to.segs_in;
  written(10);
  t.run();
  CHECK(to.segs_in - received == 10);
  CHECK(to.segs_out - sent == 1);
  CHECK((from.packets_out == 0 && tcp_inq(to) == 110));
  // Acknowledgments that wait for each other: the last tells a of all.
  sent = to.segs_out, received = from.segs_in;
  for (int i = 0; i < 8; ++i) {
    written(1);
    t.b.poll();
    tcp_send_ack(b, to);
  }
  t.run();
  CHECK(from.segs_in - received == to.segs_out - sent);
  CHECK((from.packets_out == 0 && from.snd_una == from.write_seq));
  // The first of ten is lost: three at once, and one that tells of the rest.
  wire_of::set_faults(*t.dev_a, {.loss = 1'000'000}, {});
  written(1);
  wire_of::set_faults(*t.dev_a, {}, {});
  sent = to.segs_out;
  written(9);
  t.b.poll();
  CHECK(to.segs_out - sent == 4);
  t.run_for(1'000'000'000);
  CHECK((from.packets_out == 0 && tcp_inq(to) == 290));
  for (int fd : {server, listener}) REQUIRE(close(b, fd));
  REQUIRE(close(a, client));
}
