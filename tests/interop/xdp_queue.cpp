// SPDX-License-Identifier: BSL-1.0
// What an AF_XDP queue asks of the kernel, and whose its frames are: a frame that is forwarded needs no other, misuse
// is trapped, a batch is one call, each worker has its queue, an interface without native mode is taken behind its
// driver, and what is too long is counted.
#include "netstack/drivers/detail/xdp_queue.hpp"

#include "netstack/core/ethtool.hpp"
#include "netstack/drivers/af_xdp.hpp"
#include "support/trapped.hpp"
#include "support/veth_rig.hpp"

namespace {

using namespace netstack;
using drivers::af_xdp;
using test::frame_of;
using test::netns;
using test::packet_socket;
using test::says;
using test::trapped;

struct host : stack<host, presets::host, af_xdp, sizes<config{.max_net = 1, .skb_pool = 1024}>> {};
struct workers : stack<workers, presets::host, af_xdp, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 1024}>> {};
using xdp_pair = test::veth_pair<host, af_xdp>;

bool cannot_run() { return test::skip_without_root("makes a network namespace and a veth pair"); }

template <class Host>
u64 statistic(Host& h, net_device& dev, std::string_view name) {
  auto const names = ethtool_get_strings(h.init_net(), dev);
  std::vector<u64> values(names.size());
  REQUIRE(ethtool_get_stats(h.init_net(), dev, values));
  auto const at = std::find(names.begin(), names.end(), name);
  REQUIRE(at != names.end());
  return values[static_cast<std::size_t>(at - names.begin())];
}

sk_buff* packet_of(skb_pool& pool, net_device& dev, std::vector<u8> const& frame) {
  sk_buff* skb = pool.alloc_skb();
  REQUIRE(skb);
  std::memcpy(skb->put(static_cast<u32>(frame.size())), frame.data(), frame.size());
  skb->dev = &dev;
  return skb;
}

}  // namespace

TEST_CASE("a frame is forwarded from one device to another although no other frame is free", "[S33]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  ns.run("ip link add nst2 type veth peer name nst3 && ip link set nst2 up && ip link set nst3 up");
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto a = register_netdev<af_xdp>(net, "a", {.ifname = "nst0"}),
       b = register_netdev<af_xdp>(net, "b", {.ifname = "nst2"});
  REQUIRE((a && b && dev_open(net, **a) && dev_open(net, **b) && test::carrier(h, {*a, *b})));
  packet_socket from, to;
  from.open("nst1", 0x88b5), to.open("nst3", 0x88b5);
  auto& pool = h.worker().pool;
  for (std::size_t const len : {60u, 1514u}) {
    auto const f = frame_of(**a, len, 0x88b5);
    skb_list held, burst;
    auto const take_all = [&] {
      while (pool.available() != 0) held.push_back(*pool.alloc_skb());
    };
    take_all();
    REQUIRE(from.send(f));
    for (int i = 0; i < 3000 && burst.empty(); ++i) {
      netstack::net<host>::netdev_ops[(*a)->driver].ndo_poll(net, **a, 64, burst);
      take_all();  // of what it would lend again
      h.worker().wait(1'000'000);
    }
    sk_buff* skb = burst.pop_front();
    REQUIRE(skb);
    CHECK(pool.available() == 0);
    u32 const frame = skb->frame;
    skb->push(eth_hlen);
    skb->dev = *b;
    CHECK(dev_queue_xmit(net, *skb));
    CHECK(skb->frame == frame);
    std::vector<u8> got;
    for (int i = 0; i < 3000 && !to.receive(got); ++i) h.worker().wait(1'000'000), h.poll();
    CHECK(got == f);
    CHECK(pool.alloc_failures == 0);
    pool.free_list(held);
    for (int i = 0; i < 3000 && pool.in_use() != 0; ++i) h.worker().wait(1'000'000), h.poll();
    CHECK(pool.in_use() == 0);
  }
}

TEST_CASE("a frame that is sent twice, belongs to another pool, or is completed without having been sent is trapped") {
  if (cannot_run()) return;
  xdp_pair t;
  auto& queue = netdev_priv<af_xdp>(*t.dev).queue;
  host other;
  REQUIRE(other.boot());
  auto const f = frame_of(*t.dev, 60, 0x88b5);
  CHECK(says(trapped([&] {
               sk_buff* skb = packet_of(t.pool(), *t.dev, f);
               queue.send(*skb);
               queue.send(*skb);
             }),
             "a packet sent while queued or in flight"));
  CHECK(says(trapped([&] { queue.send(*packet_of(other.worker().pool, *t.dev, f)); }), "of another worker's pool"));
  auto const completed = [] {  // in a namespace and with a device of its own
    xdp_pair own;
    auto& mine = netdev_priv<af_xdp>(*own.dev).queue;
    sk_buff* skb = packet_of(own.pool(), *own.dev, frame_of(*own.dev, 60, 0x88b5));
    mine.socket.tx.next() = {
        .addr = u64{skb->frame} * own.pool().frame_size() + skb->headroom(), .len = skb->len, .options = 0};
    for (int i = 0; i < 1000; ++i) {
      (void)mine.kick();
      mine.reap();
      ::usleep(1000);
    }
  };
  CHECK(says(trapped(completed), "the kernel completed a frame that was not sent"));
}

TEST_CASE("a batch is sent by as few calls as the kernel allows", "[xdp]") {
  if (cannot_run()) return;
  // Since Linux 6.16 a call's budget can be chosen.
  int const probe = ::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  int const ring = 512, budget = 256;
  REQUIRE(::setsockopt(probe, SOL_XDP, XDP_TX_RING, &ring, sizeof ring) == 0);
  bool const can_choose =
      ::setsockopt(probe, SOL_XDP, drivers::detail::xdp_abi::max_tx_skb_budget, &budget, sizeof budget) == 0;
  ::close(probe);
  for (u32 const tx_budget : {256u, 32u}) {
    xdp_pair t({.tx_budget = tx_budget});
    CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
    auto const& ops = xdp_pair::net_t::netdev_ops[t.dev->driver];
    auto const f = frame_of(*t.dev, 60, 0x88b5);
    u64 const before = statistic(t.h, *t.dev, "tx_kicks");
    for (int i = 0; i < 256; ++i)
      REQUIRE(ops.ndo_start_xmit(t.net(), *t.dev, *packet_of(t.pool(), *t.dev, f), true) == netdev_tx::ok);
    CHECK(statistic(t.h, *t.dev, "tx_kicks") == before);
    ops.ndo_xmit_flush(t.net(), *t.dev);
    CHECK(statistic(t.h, *t.dev, "tx_kicks") - before == (can_choose && tx_budget == 256 ? 1 : 8));
    CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
  }
}

TEST_CASE("an interface whose driver knows no XDP is taken in skb mode, unless native mode is asked for", "[xdp]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  ns.run("ip link add nst8 type bridge && ip link set nst0 master nst8 && ip link set nst8 up");
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto const refused = register_netdev<af_xdp>(net, "x", {.ifname = "nst8", .mode = drivers::xdp_mode::native});
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == std::errc::operation_not_supported);
  auto made = register_netdev<af_xdp>(net, "eth0", {.ifname = "nst8"});
  REQUIRE((made && dev_open(net, **made) && test::carrier(h, {*made})));
  auto& dev = **made;
  CHECK_FALSE(af_xdp::native(dev));
  CHECK_FALSE(af_xdp::zero_copy(dev));  // asked for first, and refused
  packet_socket far;
  far.open("nst1", 0x88b5);
  auto const f = frame_of(dev, 300, 0x88b5);
  REQUIRE(far.send(f));
  skb_list burst;
  for (int i = 0; i < 3000 && burst.empty(); ++i) {
    h.worker().wait(1'000'000);
    netstack::net<host>::netdev_ops[dev.driver].ndo_poll(net, dev, 64, burst);
  }
  sk_buff* skb = burst.pop_front();
  REQUIRE(skb);
  skb->push(eth_hlen);
  CHECK(std::equal(f.begin(), f.end(), skb->data, skb->tail));
  CHECK(dev_queue_xmit(net, *skb));  // and back
  std::vector<u8> got;
  for (int i = 0; i < 3000 && !far.receive(got); ++i) h.worker().wait(1'000'000), h.poll();
  CHECK(got == f);
}

TEST_CASE("without pieces a frame that is longer than the pool's is counted, and the MTU says so", "[xdp]") {
  if (cannot_run()) return;
  for (auto mode : {drivers::xdp_mode::native, drivers::xdp_mode::skb}) {
    xdp_pair t({.mode = mode, .multi_buffer = false}, true, "mtu 9000");
    CHECK(statistic(t.h, *t.dev, "multi_buffer") == 0);
    u32 const longest = t.pool().frame_size() - drivers::detail::xdp_queue::kernel_headroom;
    CHECK(t.dev->max_mtu == longest - vlan_eth_hlen);
    packet_socket far;
    far.open("nst1", 0x88b5);
    auto const f = frame_of(*t.dev, longest, 0x88b5);
    REQUIRE(far.send(frame_of(*t.dev, longest + 1, 0x88b5)));
    REQUIRE(far.send(frame_of(*t.dev, 9014, 0x88b5)));
    REQUIRE(far.send(f));
    CHECK(t.receive(0x88b5) == f);
    CHECK(t.poll_until([&] { return t.dev->stats.rx_over_errors.read() == 2; }));
    CHECK(t.dev->stats.rx_errors.read() == 2);
    CHECK(t.dev->stats.rx_missed_errors.read() == 0);
    CHECK(t.pool().in_use() == 0);
  }
}

TEST_CASE("several workers: each has a queue and a pool of its own, and flows are spread over them", "[S74]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth("numrxqueues 2 numtxqueues 2");
  workers h;
  REQUIRE(h.boot());
  net_device* dev[2];
  for (u32 w = 0; w < 2; ++w) {
    auto made = register_netdev<af_xdp>(h.init_net(w), "eth0", {.ifname = "nst0", .rx_frames = 256});
    REQUIRE(made);
    dev[w] = *made;
    REQUIRE(dev_open(h.init_net(w), *dev[w]));
    CHECK(h.worker(w).pool.lent() == 256);
    CHECK(std::string_view(ethtool_get_drvinfo(h.init_net(w), *dev[w]).bus_info) == "nst0:" + std::to_string(w));
  }
  char mac[18];
  format_mac(dev[0]->dev_addr, mac);
  ns.run(std::string("ip addr add 192.0.2.1/24 dev nst1 && ip neigh add 192.0.2.2 lladdr ") + mac + " dev nst1");
  auto const poll = [&] {
    h.poll(0);
    h.poll(1);
  };
  constexpr u32 flows = 64;
  for (u32 i = 0; i < flows; ++i) {
    test::linux_socket client;
    client.connect("192.0.2.2", static_cast<u16>(5000 + i));
    REQUIRE(::send(client.fd, "hello", 5, 0) == 5);
  }
  auto const received = [&](u32 w) { return dev[w]->stats.rx_packets.read(); };
  // Linux tells of a link's carrier in its own time, also after the first frames of it.
  auto const ready = [&] { return received(0) + received(1) == flows && dev[0]->carrier_ok() && dev[1]->carrier_ok(); };
  for (int i = 0; i < 3000 && !ready(); ++i) {
    poll();
    ::usleep(1000);
  }
  CHECK(received(0) + received(1) == flows);
  CHECK((received(0) != 0 && received(1) != 0));
  packet_socket far;
  far.open("nst1", 0x88b5);
  for (u32 w = 0; w < 2; ++w) {
    auto const f = frame_of(*dev[w], 100 + w, 0x88b5);
    REQUIRE(dev_queue_xmit(h.init_net(w), *packet_of(h.worker(w).pool, *dev[w], f)));
    std::vector<u8> got;
    for (int i = 0; i < 3000 && !far.receive(got); ++i) {
      poll();
      ::usleep(1000);
    }
    CHECK(got == f);
  }
  for (u32 w = 0; w < 2; ++w) unregister_netdev(h.init_net(w), *dev[w]);
  poll();
  for (u32 w = 0; w < 2; ++w) CHECK((h.worker(w).pool.lent() == 0 && h.worker(w).pool.in_use() == 0));
  CHECK(!says(ns.run("ip link show nst0"), "xdp"));
}
