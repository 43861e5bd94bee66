// SPDX-License-Identifier: BSL-1.0
// Devices come, change namespaces and go: names, numbers, notifiers in order, and nothing left after a failure.
#include "netstack/core/netdev.hpp"

#include "netstack/core/dev_config.hpp"
#include "netstack/core/ethtool.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;
using lines = std::vector<std::string>;

/// A driver whose probe and open fail as they are told to, after they have claimed something.
struct failing : driver {
  static constexpr char const* name = "failing";
  struct params {
    std::errc probe{};
    std::errc* open = nullptr;
    int* claims = nullptr;
  };
  using priv = params;
  template <class Net>
  static result<void> open(Net&, net_device& dev) {
    auto const why = *netdev_priv<failing>(dev).open;
    if (why != std::errc{}) return failure{why};
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device&, sk_buff& skb, bool) {
    consume_skb(skb);
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
    netdev_priv<failing>(dev) = p;
    if (p.probe != std::errc{}) return failure{p.probe};
    ++*p.claims;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device& dev) {
    --*netdev_priv<failing>(dev).claims;
  }
};

struct host : stack<host, test::recorder, test::herald, test::mock, failing,
                    sizes<config{.max_net = 3, .skb_pool = 256, .max_dev = 8}>> {};
using world = test::mock_net<host>;

}  // namespace

TEST_CASE("an Ethernet device starts with Linux's defaults and a typed private area", "[S70]") {
  world w;
  auto& dev = w.add("eth%d", false);
  CHECK(dev.mtu == 1500);
  CHECK(dev.hard_header_len == 14);
  CHECK(dev.type == arphrd::ether);
  CHECK(dev.flags == (iff::broadcast | iff::multicast));
  CHECK(dev.tx_queue_len == 1000);
  CHECK(dev.broadcast == mac_broadcast);
  CHECK(dev.perm_addr == dev.dev_addr);
  CHECK((dev.min_mtu == 68 && dev.max_mtu == 1500));
  CHECK(netdev_priv<test::mock>(dev).end == w.ends[0]);
  CHECK(reinterpret_cast<std::uintptr_t>(dev.priv) % cache_line == 0);
}

TEST_CASE("names are unique, eth%d takes the lowest free number, bad names are refused", "[S71]") {
  world w;
  CHECK(w.add("eth%d").ifname() == "eth0");
  auto& eth1 = w.add("eth%d");
  CHECK(eth1.ifname() == "eth1");
  CHECK(w.add("eth%d").ifname() == "eth2");
  unregister_netdev(w.net(), eth1);
  CHECK(w.add("eth%d").ifname() == "eth1");
  auto const refuse = [&](char const* name, std::errc why) {
    auto const used = w.h.worker().devices.in_use();
    auto r = register_netdev<test::mock>(w.net(), name, {.end = w.ends[0]});
    REQUIRE(!r);
    CHECK(r.error() == why);
    CHECK(w.h.worker().devices.in_use() == used);
  };
  refuse("eth0", std::errc::file_exists);
  refuse("lo", std::errc::file_exists);
  for (char const* bad : {"", ".", "..", "a/b", "a:b", "a b", "sixteencharacter", "eth%s", "eth%d%d", "100%"})
    refuse(bad, std::errc::invalid_argument);
  CHECK(w.add("fifteen_charact").ifname() == "fifteen_charact");
  CHECK(dev_valid_name("a"));
}

TEST_CASE("numbers are never reused at once, and may be asked for", "[S71]") {
  world w;
  auto& a = w.add("a");
  CHECK(a.ifindex == 2);  // lo has 1
  unregister_netdev(w.net(), a);
  CHECK(w.add("b").ifindex == 3);
  w.ends.push_back(new test::mock_end);
  auto c = register_netdev<test::mock>(w.net(), "c", {.end = w.ends.back()}, 10);
  REQUIRE(c);
  CHECK((*c)->ifindex == 10);
  CHECK(w.add("d").ifindex == 11);
  auto again = register_netdev<test::mock>(w.net(), "e", {.end = w.ends.back()}, 10);
  REQUIRE(!again);
  CHECK(again.error() == std::errc::device_or_resource_busy);
  CHECK(w.net().dev_get_by_index(10) == *c);
}

TEST_CASE("the notifiers hear of every step, in order", "[S71]") {
  world w;
  w.heard().clear();
  auto& dev = w.add("eth0");
  REQUIRE(dev_open(w.net(), dev));  // again: nothing happens
  REQUIRE(dev_set_mtu(w.net(), dev, 1400));
  REQUIRE(dev_change_name(w.net(), dev, "wan"));
  netif_carrier_off(w.net(), dev);
  netif_carrier_off(w.net(), dev);
  netif_carrier_on(w.net(), dev);
  dev_close(w.net(), dev);
  dev_close(w.net(), dev);
  unregister_netdev(w.net(), dev);
  CHECK(w.heard() == lines{"registered eth0", "pre_up eth0", "up eth0", "changemtu eth0", "changename wan",
                           "change wan", "change wan", "going_down wan", "down wan", "unregister wan"});
}

TEST_CASE("a device that goes while it is up goes down first", "[S71]") {
  world w;
  auto& dev = w.add("eth0");
  w.heard().clear();
  unregister_netdev(w.net(), dev);
  CHECK(w.heard() == lines{"going_down eth0", "down eth0", "unregister eth0"});
}

TEST_CASE("a probe that fails leaves nothing, whatever its reason", "[S73]") {
  world w;
  int claims = 0;
  std::errc open{};
  w.heard().clear();
  auto const used = w.h.worker().devices.in_use();
  for (std::errc why : {std::errc::no_such_device, std::errc::not_enough_memory, std::errc::device_or_resource_busy}) {
    auto r = register_netdev<failing>(w.net(), "eth0", {.probe = why, .open = &open, .claims = &claims});
    REQUIRE(!r);
    CHECK(r.error() == why);
    CHECK(w.h.worker().devices.in_use() == used);
    CHECK(w.net().dev_get_by_name("eth0") == nullptr);
  }
  CHECK(claims == 0);
  CHECK(w.heard().empty());
  auto dev = register_netdev<failing>(w.net(), "eth0", {.open = &open, .claims = &claims});
  REQUIRE(dev);
  CHECK(claims == 1);
  open = std::errc::io_error;
  auto r = dev_open(w.net(), **dev);
  REQUIRE(!r);
  CHECK(r.error() == std::errc::io_error);
  CHECK(!(*dev)->running());
  CHECK(!(*dev)->napi.is_instance());
  open = {};
  CHECK(dev_open(w.net(), **dev));
  unregister_netdev(w.net(), **dev);
  CHECK(claims == 0);
}

TEST_CASE("more devices than config.max_dev are refused, and there is room again", "[S73]") {
  world w;
  for (int i = 0; i < 7; ++i) w.add("eth%d");
  auto r = register_netdev<test::mock>(w.net(), "eth%d", {.end = w.ends[0]});
  REQUIRE(!r);
  CHECK(r.error() == std::errc::no_buffer_space);
  unregister_netdev(w.net(), *w.net().dev_get_by_name("eth3"));
  CHECK(w.add("eth%d").ifname() == "eth3");
}

TEST_CASE("a device moves between namespaces; what a dying one holds returns to init_net", "[S20]") {
  world w;
  auto ns = w.h.copy_net_ns();
  REQUIRE(ns);
  auto& dev = w.add("eth0");
  w.add("dev0");
  u32 const index = dev.ifindex;
  w.heard().clear();
  REQUIRE(dev_change_net_namespace(w.net(), dev, **ns, "eth%d"));
  CHECK(w.heard() == lines{"going_down eth0", "down eth0", "unregister eth0", "registered eth0"});
  CHECK(w.net().dev_get_by_name("eth0") == nullptr);
  CHECK((*ns)->dev_get_by_name("eth0") == &dev);
  CHECK(dev.ifindex == index);
  CHECK(!dev.running());
  REQUIRE(dev_open(**ns, dev));
  // Its frames belong to that namespace now.
  w.inject(dev, 3);
  w.run();
  CHECK(w.frames().size() == 3);
  CHECK((*ns)->drops[static_cast<std::size_t>(drop_reason::unhandled_proto)].read() == 0);
  auto lo = dev_change_net_namespace(w.net(), *w.net().loopback_dev, **ns, "lo%d");
  REQUIRE(!lo);
  CHECK(lo.error() == std::errc::invalid_argument);
  w.add("eth0");  // its name is taken when it comes back
  w.h.put_net(**ns);
  w.h.poll();
  CHECK(dev.netns == 0);
  CHECK(dev.ifname() == "dev1");
  CHECK(w.net().dev_get_by_name("dev1") == &dev);
  CHECK(!dev.running());
}

TEST_CASE("a handler may take down or unregister the device whose burst it is in", "[S71]") {
  for (bool unregister : {false, true}) {
    world w;
    auto& dev = w.add("eth0");
    auto& other = w.add("eth1");
    auto const devices = w.h.worker().devices.in_use();
    w.inject(dev, 10);
    w.inject(other, 5);
    worker_generic<test::recorder>(w.h.worker()).on_frame = [&](sk_buff& skb) {
      if (skb.dev != &dev || !dev.running()) return;
      if (unregister)
        unregister_netdev(w.net(), dev);
      else
        dev_close(w.net(), dev);
    };
    w.run();
    // It got one frame of its own; the rest of its burst is for a device that is down.
    CHECK(w.frames().size() == 1 + 5);
    CHECK(w.drops(drop_reason::dev_down) == 9);
    CHECK(w.h.worker().pool.in_use() == 0);
    CHECK(w.h.worker().devices.in_use() == devices - unregister);
  }
}

TEST_CASE("tables and per-worker data are ready before the first device, and that is lo", "[S58]") {
  world w;
  std::vector<std::string> order;
  for (auto const& e : w.h.boot_trace()) order.emplace_back(e.name);
  auto const at = [&](char const* name) { return std::find(order.begin(), order.end(), name) - order.begin(); };
  CHECK(at("loopback_net_ops") < at("net_dev_init"));
  REQUIRE(w.net().loopback_dev);
  CHECK(&w.net().dev_base.front() == w.net().loopback_dev);
  CHECK(w.net().loopback_dev->ifindex == 1);
  CHECK(w.sd().backlog.state == 0);  // enabled
  CHECK(!siphash_key_is_zero(w.sd().hash_key));
}
