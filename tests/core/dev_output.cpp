// SPDX-License-Identifier: BSL-1.0
// How a frame is made fit for its device, which queue it takes, and when the driver is told that it was the last one.
#include "netstack/core/dev_output.hpp"

#include "netstack/core/dev_config.hpp"
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
    log.frames.push_back(
        {bytes, skb.queue_mapping, more, skb.ip_summed == ip_summed::partial, skb.vlan_tci, skb_shinfo(skb).nr_frags});
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

struct host : stack<host, test::recorder, test::mock, scribe, chooser, sizes<config{.max_net = 1, .skb_pool = 256}>> {};

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
  skb_shinfo(super).gso_size = 500;
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
  // The last one of a list is refused: those before it are flushed all the same.
  w.log.calls.clear();
  burst.push_back(w.skb_for(dev, 1));
  burst.push_back(w.skb_for(dev, 2, 1515));
  CHECK(dev_queue_xmit_list(w.net(), burst) == 1);
  CHECK(w.log.calls == std::vector<std::string>{"more", "flush"});
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
