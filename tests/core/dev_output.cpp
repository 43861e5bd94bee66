// SPDX-License-Identifier: BSL-1.0
// How a frame is made fit for its device, which queue it takes, and when the driver is told that it was the last one.
#include "netstack/core/dev_output.hpp"

#include "netstack/core/dev_config.hpp"
#include "netstack/wire/udp.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;

/// What a device was given: one entry a frame, and "flush".
struct log_entry {
  std::vector<u8> bytes;
  u16 queue;
  bool more, partial;
  u16 vlan_tci;
  u8 frags;
  bool encapsulated;
  int inner_network, inner_transport;  ///< from the start of the frame
  u16 gso_size;
};
struct journal {
  std::vector<log_entry> frames;
  std::vector<std::string> calls;
};

/// Takes everything and writes it down.
struct scribe : driver {
  static constexpr char const* name = "scribe";
  struct params {
    journal* log = nullptr;
    u32 features = 0;
    u16 queues = 1;
  };
  using priv = params;
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool more) {
    auto& log = *netdev_priv<scribe>(dev).log;
    std::vector<u8> bytes(skb.len);
    (void)skb_copy_bits(skb, 0, bytes.data(), skb.len);
    log.frames.push_back({bytes, skb.queue_mapping, more, skb.ip_summed == ip_summed::partial, skb.vlan_tci,
                          skb_shinfo(skb).nr_frags, skb.encapsulation != 0, skb_inner_network_offset(skb),
                          skb_inner_transport_offset(skb), skb_shinfo(skb).gso_size});
    log.calls.emplace_back(more ? "more" : "last");
    consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u32 poll(Net&, net_device&, u32, skb_list&) {
    return 0;
  }
  template <class Net>
  static void flush(Net&, net_device& dev) {
    netdev_priv<scribe>(dev).log->calls.emplace_back("flush");
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_xmit_flush = flush<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    ether_setup(dev);
    dev.dev_addr = mac_addr{{2, 0, 0, 0, 0, 1}};
    dev.features = p.features;
    dev.real_num_tx_queues = p.queues;
    netdev_priv<scribe>(dev) = p;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};
/// Chooses the queue itself: the frame's first payload byte.
struct chooser : scribe {
  static constexpr char const* name = "chooser";
  using scribe::params;
  template <class Net>
  static u16 select(Net&, net_device&, sk_buff& skb) {
    return skb.data[14];
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops = [] {
    auto ops = scribe::netdev_ops<Net>;
    ops.ndo_select_queue = select<Net>;
    return ops;
  }();
};

struct ipip : module {
  struct arrival {
    std::vector<u8> bytes;
    int csum_start;
    u16 gso_size;
    bool partial, encapsulated;
    u32 iif;
    std::string dev;
  };
  struct perworker {
    net_device* tunnel = nullptr;
    std::vector<arrival> inner;
    int inner_network = -1, inner_transport = -1;  ///< as the outer packet said
  };
  /// What comes out of the tunnel is a packet of the tunnel's device.
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& state = worker_generic<ipip>(net.worker());
    if (skb.peek<iphdr>()->protocol == ipproto::ipip) {
      state.inner_network = skb_inner_network_offset(skb);
      state.inner_transport = skb_inner_transport_offset(skb);
      skb.pull(sizeof(iphdr));
      skb.encapsulation = 0;
      skb.dev = state.tunnel;
      skb.reset_mac_header();
      (void)netif_rx(net, skb);
      return verdict::kept();
    }
    std::vector<u8> bytes(skb.len);
    (void)skb_copy_bits(skb, 0, bytes.data(), skb.len);
    state.inner.push_back({bytes, skb_checksum_start_offset(skb), skb_shinfo(skb).gso_size,
                           skb.ip_summed == ip_summed::partial, skb.encapsulation != 0, skb.skb_iif,
                           std::string(skb.dev->ifname())});
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::ip, .func = rcv<Net>, .name = "ipip"}};
};

/// Plays a tunnel: puts an IP header in front, and sends by another device.
struct tunnel : driver {
  static constexpr char const* name = "tunnel";
  struct params {
    net_device* lower = nullptr;
  };
  using priv = params;
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool) {
    net_device& lower = *netdev_priv<tunnel>(dev).lower;
    skb_reset_inner_headers(skb);
    skb_set_inner_protocol(skb, skb.protocol);
    skb.encapsulation = 1;
    CHECK(skb_cow_head(skb, sizeof(iphdr) + eth_hlen));
    iphdr outer{.tot_len = be16{static_cast<u16>(skb.len + sizeof(iphdr))}, .ttl = 64, .protocol = ipproto::ipip};
    outer.saddr = be32{0xc6336401}, outer.daddr = be32{0xc6336402};
    *skb.push<iphdr>() = outer;
    skb.reset_network_header();
    skb.set_transport_header(sizeof(iphdr));
    skb.dev = &lower;
    eth_header(skb, lower, eth_p::ip, lower.dev_addr);
    (void)dev_queue_xmit(net, skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u32 poll(Net&, net_device&, u32, skb_list&) {
    return 0;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>, .ndo_stop = stop<Net>, .ndo_start_xmit = xmit<Net>, .ndo_poll = poll<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    netdev_priv<tunnel>(dev) = p;
    dev.type = arphrd::none;
    dev.hard_header_len = 0;
    dev.flags = iff::noarp | iff::pointopoint;
    dev.features = dev.hw_enc_features = netif_f::sg | netif_f::hw_csum | netif_f::gso;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

struct host : stack<host, test::recorder, test::mock, scribe, chooser, ipip, tunnel,
                    sizes<config{.max_net = 1, .skb_pool = 256}>> {};

struct world : test::mock_net<host> {
  journal log;
  template <class Driver = scribe>
  net_device& wire(u32 features = 0, u16 queues = 1) {
    auto dev = register_netdev<Driver>(net(), "wire%d", {.log = &log, .features = features, .queues = queues});
    REQUIRE((dev && dev_open(net(), **dev)));
    return **dev;
  }
  ~world() { CHECK(h.worker().pool.in_use() == 0); }
};

/// Eight bytes from `at` on say which UDP flow.
void make_udp(sk_buff& skb, u16 flow) {
  iphdr ip{.tot_len = be16{static_cast<u16>(skb.len - 14)}, .ttl = 64, .protocol = ipproto::udp};
  ip.saddr = be32{0xc0000201}, ip.daddr = be32{0xc0000202};
  be16 const ports[2] = {be16{flow}, be16{53}};
  std::memcpy(skb.data + 14, &ip, sizeof ip);
  std::memcpy(skb.data + 34, ports, sizeof ports);
  skb.protocol = be16{eth_p::ip};
  skb.set_network_header(14);
}

}  // namespace

TEST_CASE("a checksum left to the device is finished if the device cannot", "[S45]") {
  world w;
  for (u32 features : {0u, netif_f::hw_csum}) {
    auto& dev = w.wire(features);
    auto& skb = w.skb_for(dev, 9, 201);
    REQUIRE(skb_partial_csum_set(skb, 34, 6));
    skb.data[40] = skb.data[41] = 0;
    auto const sum = csum_fold(csum_partial(skb.data + 34, 201 - 34, 0));
    CHECK(dev_queue_xmit(w.net(), skb));
    auto const& got = w.log.frames.back();
    CHECK(got.partial == (features != 0));
    if (features == 0) CHECK(std::memcmp(got.bytes.data() + 40, &sum, 2) == 0);
  }
}

TEST_CASE("a frame that others look at is finished in a copy", "[S45]") {
  world w;
  auto& dev = w.wire();
  auto& skb = w.skb_for(dev, 9, 201);
  REQUIRE(skb_partial_csum_set(skb, 34, 6));
  sk_buff* watcher = skb_clone(skb);
  std::vector<u8> const before(watcher->data, watcher->data + watcher->len);
  CHECK(dev_queue_xmit(w.net(), skb));
  CHECK(std::vector<u8>(watcher->data, watcher->data + watcher->len) == before);
  CHECK(w.log.frames.back().bytes != before);
  consume_skb(*watcher);
}

TEST_CASE("a checksum that cannot be finished is dropped under its name", "[S45]") {
  world w;
  auto& dev = w.wire();
  auto& skb = w.skb_for(dev, 9, 60);
  REQUIRE(skb_partial_csum_set(skb, 34, 6));
  skb.csum_offset = 100;  // behind the end
  auto r = dev_queue_xmit(w.net(), skb);
  REQUIRE(!r);
  CHECK(w.drops(drop_reason::skb_csum) == 1);
  CHECK(dev.stats.tx_dropped.read() == 1);
}

TEST_CASE("a tag beside the frame is written into it if the device cannot, and counts beyond the MTU", "[S52]") {
  world w;
  for (u32 features : {0u, netif_f::hw_vlan_tx}) {
    auto& dev = w.wire(features);
    auto& skb = w.skb_for(dev, 3, 1514);
    std::vector<u8> const plain(skb.data, skb.data + skb.len);
    skb.vlan_proto = be16{eth_p::p_8021q};
    skb.vlan_tci = vlan_tci(42, 3);
    CHECK(dev_queue_xmit(w.net(), skb));
    auto expected = plain;
    if (features == 0) {
      u8 const tag[] = {0x81, 0x00, 0x60, 42};
      expected.insert(expected.begin() + 12, tag, tag + 4);
    }
    CHECK(w.log.frames.back().bytes == expected);
    CHECK(w.log.frames.back().vlan_tci == (features == 0 ? 0 : vlan_tci(42, 3)));
  }
  // QinQ: the frame's own tag stays behind the new one.
  auto& dev = w.wire();
  auto& skb = w.skb_for(dev, 3, 100);
  u8 const inner[] = {0x81, 0x00, 0x00, 7};
  std::memcpy(skb.data + 12, inner, 4);
  skb.vlan_proto = be16{eth_p::p_8021ad};
  skb.vlan_tci = 42;
  CHECK(dev_queue_xmit(w.net(), skb));
  u8 const both[] = {0x88, 0xa8, 0x00, 42, 0x81, 0x00, 0x00, 7};
  CHECK(std::memcmp(w.log.frames.back().bytes.data() + 12, both, 8) == 0);
}

TEST_CASE("frags are joined for a device that takes none", "[S39]") {
  world w;
  for (u32 features : {0u, netif_f::sg}) {
    auto& dev = w.wire(features);
    auto& skb = w.skb_for(dev, 3, 100);
    u32 const frame = w.h.worker().pool.alloc_frame();
    std::memset(w.h.worker().pool.frame_data(frame), 0xf0, 700);
    skb_add_rx_frag(skb, 0, frame, 0, 700, w.h.worker().pool.frame_truesize());
    CHECK(dev_queue_xmit(w.net(), skb));
    auto const& got = w.log.frames.back();
    CHECK(got.frags == (features ? 1 : 0));
    REQUIRE(got.bytes.size() == 800);
    CHECK((got.bytes[99] == 3 && got.bytes[100] == 0xf0 && got.bytes[799] == 0xf0));
  }
}

TEST_CASE("what is too long for the MTU, or needs cutting that nobody can do, is dropped as pkt_too_big", "[S75]") {
  world w;
  auto& dev = w.wire();
  CHECK(dev_queue_xmit(w.net(), w.skb_for(dev, 1, 1514)));
  auto r = dev_queue_xmit(w.net(), w.skb_for(dev, 1, 1515));
  REQUIRE(!r);
  CHECK(r.error() == std::errc::message_size);
  auto& super = w.skb_for(dev, 1, 1000);
  super.ip_summed = ip_summed::partial;
  skb_edit_shinfo(super).gso_size = 500;
  CHECK(dev_queue_xmit(w.net(), super).error() == std::errc::message_size);
  CHECK(w.drops(drop_reason::pkt_too_big) == 2);
  CHECK(w.log.frames.size() == 1);
}

TEST_CASE("the transmit queue follows the priority, the flow, or the driver's choice", "[S47]") {
  world w;
  auto& dev = w.wire(0, 4);
  u8 const map[] = {0, 0, 1, 1, 2, 2, 3, 3};
  REQUIRE(netdev_set_prio_tc_map(w.net(), dev, map));
  for (u32 priority = 0; priority < 8; ++priority) {
    auto& skb = w.skb_for(dev, 1);
    skb.priority = priority;
    CHECK(dev_queue_xmit(w.net(), skb));
    CHECK(w.log.frames.back().queue == map[priority]);
  }
  REQUIRE(netdev_set_prio_tc_map(w.net(), dev, {}));
  std::vector<u32> share(4);
  for (u16 flow = 0; flow < 400; ++flow)
    for (int twice = 0; twice < 2; ++twice) {
      auto& skb = w.skb_for(dev, 1);
      make_udp(skb, flow);
      CHECK(dev_queue_xmit(w.net(), skb));
      u16 const queue = w.log.frames.back().queue;
      REQUIRE(queue < 4);
      if (twice) CHECK(queue == w.log.frames[w.log.frames.size() - 2].queue);
      ++share[queue];
    }
  for (u32 n : share) CHECK((n > 120 && n < 280));
  auto& own = w.wire<chooser>(0, 4);
  for (u32 number : {0u, 1u, 2u, 3u, 77u}) {
    CHECK(dev_queue_xmit(w.net(), w.skb_for(own, number)));
    CHECK(w.log.frames.back().queue == (number < 4 ? number : 0));  // a queue that there is not: the first
  }
}

TEST_CASE("a connected socket stays with its queue until a packet says that none is ahead", "[S49][S47]") {
  world w;
  auto& dev = w.wire(0, 4);
  u8 const map[] = {0, 1, 2, 3};
  REQUIRE(netdev_set_prio_tc_map(w.net(), dev, map));
  sock sender;
  dst_entry route;
  auto const queue_of = [&](u32 priority, bool ooo_okay) {
    auto& skb = w.skb_for(dev, 1);
    skb.sk = &sender;
    skb.priority = priority;
    skb.ooo_okay = ooo_okay;
    CHECK(dev_queue_xmit(w.net(), skb));
    return w.log.frames.back().queue;
  };
  CHECK(queue_of(2, false) == 2);
  CHECK(queue_of(1, false) == 1);  // not connected: nothing is kept
  sender.sk_dst_cache = &route;
  CHECK(queue_of(2, false) == 2);
  CHECK(queue_of(1, false) == 2);
  CHECK(queue_of(3, true) == 3);
  CHECK(queue_of(1, false) == 3);
  dev.real_num_tx_queues = 2;  // its queue is gone
  CHECK(queue_of(1, false) == 1);
  sender.sk_dst_cache = nullptr;
  sk_dst_reset(sender);  // another way: another choice
  CHECK(queue_of(0, false) == 0);
}

TEST_CASE("queues stop and wake by themselves", "[S47][S76]") {
  world w;
  auto& dev = w.wire(0, 4);
  u8 const map[] = {0, 1, 2, 3};
  REQUIRE(netdev_set_prio_tc_map(w.net(), dev, map));
  auto const send = [&](u32 priority, u32 number) {
    auto& skb = w.skb_for(dev, number);
    skb.priority = priority;
    CHECK(dev_queue_xmit(w.net(), skb));
  };
  netif_tx_stop_queue(netdev_get_tx_queue(dev, 2));
  for (u32 i = 0; i < 4; ++i) send(i, i);
  CHECK(w.log.frames.size() == 3);
  CHECK(dev.tx[2].qdisc.qlen() == 1);
  send(2, 9);
  netif_tx_wake_queue(w.net(), dev.tx[2]);
  w.run();
  REQUIRE(w.log.frames.size() == 5);
  CHECK((w.log.frames[3].bytes[20] == 2 && w.log.frames[4].bytes[20] == 9));
  CHECK(w.log.frames[4].queue == 2);
}

TEST_CASE("outside a poll each frame is the last one; a list has one", "[S76]") {
  world w;
  auto& dev = w.wire();
  CHECK(dev_queue_xmit(w.net(), w.skb_for(dev, 1)));
  CHECK(w.log.calls == std::vector<std::string>{"last"});
  w.log.calls.clear();
  skb_list burst;
  for (u32 i = 0; i < 3; ++i) burst.push_back(w.skb_for(dev, i));
  CHECK(dev_queue_xmit_list(w.net(), burst) == 3);
  CHECK(w.log.calls == std::vector<std::string>{"more", "more", "last"});
  // The last one of a list is refused: the one before it was the last that the driver saw.
  w.log.calls.clear();
  burst.push_back(w.skb_for(dev, 1));
  burst.push_back(w.skb_for(dev, 2, 1515));
  CHECK(dev_queue_xmit_list(w.net(), burst) == 1);
  CHECK(w.log.calls == std::vector<std::string>{"last", "flush"});
}

TEST_CASE("what is sent during a poll is flushed once, at its end", "[S76]") {
  world w;
  auto& dev = w.wire();
  auto& in = w.add("eth0");
  worker_generic<test::recorder>(w.h.worker()).on_frame = [&](sk_buff&) {
    CHECK(dev_queue_xmit(w.net(), w.skb_for(dev, 1)));
  };
  w.inject(in, 3);
  w.h.poll();
  CHECK(w.log.calls == std::vector<std::string>{"more", "more", "more", "flush"});
  w.log.calls.clear();
  w.h.poll();
  CHECK(w.log.calls.empty());
}

namespace {

constexpr std::size_t inner_headers = sizeof(iphdr) + sizeof(udphdr);

/// An IP packet that the tunnel carries: its checksum is unfinished; of several segments if gso_size says so.
template <class World>
sk_buff& inner_packet(World& w, net_device& dev, std::size_t payload, u16 gso_size, u32 headroom) {
  auto& pool = w.h.worker().pool;
  sk_buff* skb = pool.alloc_skb(headroom);
  REQUIRE(skb);
  iphdr ip{.tot_len = be16{static_cast<u16>(inner_headers + payload)}, .ttl = 64, .protocol = ipproto::udp};
  ip.saddr = be32{0x0a000001}, ip.daddr = be32{0x0a000002};
  *reinterpret_cast<iphdr*>(skb->put(sizeof ip)) = ip;
  u16 const len = static_cast<u16>(sizeof(udphdr) + payload);
  sum16 const pseudo{static_cast<u16>(~csum_tcpudp_magic(ip.saddr, ip.daddr, len, ipproto::udp, 0).raw())};
  *reinterpret_cast<udphdr*>(skb->put(sizeof(udphdr))) = {
      .source = be16{1000}, .dest = be16{2000}, .len = be16{len}, .check = pseudo};
  for (std::size_t i = 0; i < payload; ++i) *skb->put(1) = static_cast<u8>(i);
  skb->dev = &dev;
  skb->protocol = be16{eth_p::ip};
  skb->reset_network_header();
  skb->set_transport_header(sizeof(iphdr));
  skb->ip_summed = ip_summed::partial;
  skb->csum_start = skb->transport_header;
  skb->csum_offset = offsetof(udphdr, check);
  skb_edit_shinfo(*skb).gso_size = gso_size;
  return *skb;
}

template <class World>
net_device& tunnel_over(World& w, net_device& lower) {
  auto made = register_netdev<tunnel>(w.net(), "tunl%d", {.lower = &lower});
  REQUIRE((made && dev_open(w.net(), **made)));
  worker_generic<ipip>(w.h.worker()).tunnel = *made;
  return **made;
}

}  // namespace

TEST_CASE("inner offsets survive encapsulation, also where the packet had to move", "[S54]") {
  world w;
  auto& lower = w.wire(netif_f::sg | netif_f::hw_csum | netif_f::gso);
  lower.hw_enc_features = lower.features;
  auto& tunl = tunnel_over(w, lower);
  for (u32 headroom : {128u, 8u})
    for (bool watched : {false, true}) {
      auto& skb = inner_packet(w, tunl, 1200, 400, headroom);
      std::vector<u8> const inner(skb.data, skb.data + skb.len);
      sk_buff* watcher = watched ? skb_clone(skb) : nullptr;
      CHECK(dev_queue_xmit(w.net(), skb));
      auto const& got = w.log.frames.back();
      CHECK((got.encapsulated && got.partial && got.gso_size == 400));
      CHECK(got.inner_network == 14 + 20);
      CHECK(got.inner_transport == 14 + 20 + 20);
      REQUIRE(got.bytes.size() == 14 + 20 + inner.size());
      CHECK(std::equal(inner.begin(), inner.end(), got.bytes.begin() + got.inner_network));
      // A device can cut it with what it is told: headers up to the inner payload, then 400 bytes each.
      std::size_t const headers = static_cast<std::size_t>(got.inner_transport) + sizeof(udphdr);
      CHECK((got.bytes.size() - headers) % got.gso_size == 0);
      if (watcher) consume_skb(*watcher);
    }
}

TEST_CASE("a device that knows no inner headers gets a finished checksum, and nothing to cut", "[S54][S45]") {
  world w;
  auto& lower = w.wire(netif_f::sg | netif_f::hw_csum | netif_f::gso);
  auto& tunl = tunnel_over(w, lower);
  auto& skb = inner_packet(w, tunl, 333, 0, 128);
  CHECK(dev_queue_xmit(w.net(), skb));
  REQUIRE(w.log.frames.size() == 1);
  auto const& got = w.log.frames[0];
  CHECK((got.encapsulated && !got.partial));
  auto const* udp = got.bytes.data() + got.inner_transport;
  u32 const sum = csum_partial(udp, sizeof(udphdr) + 333, 0);
  CHECK(csum_tcpudp_magic(be32{0x0a000001}, be32{0x0a000002}, sizeof(udphdr) + 333, ipproto::udp, sum) == sum16{});
  CHECK(dev_queue_xmit(w.net(), inner_packet(w, tunl, 1200, 400, 128)));  // the tunnel took it
  CHECK(w.log.frames.size() == 1);
  CHECK(w.drops(drop_reason::pkt_too_big) == 1);
}

TEST_CASE("what goes into a tunnel comes out of it, with what is still to be done", "[S54][S43]") {
  world w;
  REQUIRE(drivers::loopback_up(w.net()));
  auto& tunl = tunnel_over(w, *w.net().loopback_dev);
  auto& state = worker_generic<ipip>(w.h.worker());
  for (u16 gso_size : {u16{0}, u16{400}}) {
    auto& skb = inner_packet(w, tunl, 1200, gso_size, 128);
    std::vector<u8> const inner(skb.data, skb.data + skb.len);
    CHECK(dev_queue_xmit(w.net(), skb));
    w.run();
    CHECK((state.inner_network == 20 && state.inner_transport == 40));
    REQUIRE(!state.inner.empty());
    auto const& got = state.inner.back();
    CHECK(got.bytes == inner);
    CHECK((got.partial && got.csum_start == 20 && got.gso_size == gso_size && !got.encapsulated));
    CHECK((got.dev == "tunl0" && got.iif == w.net().loopback_dev->ifindex));
  }
}
