// SPDX-License-Identifier: BSL-1.0
// What may be changed about a device, what may not, and that a refused change changes nothing.
#include "netstack/core/dev_config.hpp"

#include "support/mock_net.hpp"

namespace {

using namespace netstack;

/// Has every optional op, and notes what it is told.
struct obliging : driver {
  static constexpr char const* name = "obliging";
  struct params {};
  struct priv {
    u32 mtu = 0;
    mac_addr mac{};
    std::vector<u32> modes;
    bool refuse = false;
  };
  template <class Net>
  static result<void> open(Net&, net_device&) {
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
  static result<void> set_mac(Net&, net_device& dev, mac_addr const& mac) {
    if (netdev_priv<obliging>(dev).refuse) return failure{std::errc::device_or_resource_busy};
    netdev_priv<obliging>(dev).mac = mac;
    return {};
  }
  template <class Net>
  static result<void> change_mtu(Net&, net_device& dev, u32 mtu) {
    if (netdev_priv<obliging>(dev).refuse) return failure{std::errc::device_or_resource_busy};
    netdev_priv<obliging>(dev).mtu = mtu;
    return {};
  }
  template <class Net>
  static void rx_mode(Net&, net_device& dev) {
    netdev_priv<obliging>(dev).modes.push_back((dev.flags & (iff::promisc | iff::allmulti)) | dev.mc_count);
  }
  template <class Net>
  static result<int> ioctl(Net&, net_device&, u32 cmd, int arg) {
    return cmd == 1 ? result<int>{arg + 1} : failure{std::errc::invalid_argument};
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_set_mac_address = set_mac<Net>,
                                                  .ndo_set_rx_mode = rx_mode<Net>,
                                                  .ndo_change_mtu = change_mtu<Net>,
                                                  .ndo_do_ioctl = ioctl<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const&) {
    ether_setup(dev);
    dev.max_mtu = 9000;
    dev.dev_addr = mac_addr{{2, 0, 0, 0, 0, 1}};
    dev.features = netif_f::sg | netif_f::hw_csum | netif_f::gso;
    dev.real_num_tx_queues = 4;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

struct host : stack<host, test::recorder, test::herald, test::mock, obliging,
                    sizes<config{.workers = 2, .max_net = 1, .skb_pool = 64, .max_dev = 8}>> {};

struct world : test::mock_net<host> {
  net_device& dev;
  world() : dev(make()) {}
  net_device& make() {
    auto made = register_netdev<obliging>(net(), "eth0", {});
    REQUIRE((made && dev_open(net(), **made)));
    heard().clear();
    return **made;
  }
  auto& priv() { return netdev_priv<obliging>(dev); }
};

constexpr mac_addr group_a{{0x01, 0, 0x5e, 0, 0, 1}}, group_b{{0x01, 0, 0x5e, 0, 0, 2}};

}  // namespace

TEST_CASE("MTU: bounds, the driver's word, and who hears of it", "[S75]") {
  world w;
  CHECK(dev_set_mtu(w.net(), w.dev, 9000));
  CHECK((w.dev.mtu == 9000 && w.priv().mtu == 9000));
  CHECK(w.heard() == std::vector<std::string>{"changemtu eth0"});
  for (u32 bad : {67u, 9001u}) {
    auto r = dev_set_mtu(w.net(), w.dev, bad);
    REQUIRE(!r);
    CHECK(r.error() == std::errc::invalid_argument);
  }
  w.priv().refuse = true;
  auto r = dev_set_mtu(w.net(), w.dev, 1500);
  REQUIRE(!r);
  CHECK(r.error() == std::errc::device_or_resource_busy);
  CHECK(w.dev.mtu == 9000);
  CHECK(w.heard().size() == 1);
  CHECK(dev_set_mtu(w.net(), w.dev, 9000));  // no change: the driver is not asked
}

TEST_CASE("MAC address: validity, the driver's word, and devices that cannot", "[S75]") {
  world w;
  mac_addr const fresh{{2, 0, 0, 0, 0, 9}};
  CHECK(dev_set_mac_address(w.net(), w.dev, fresh));
  CHECK((w.dev.dev_addr == fresh && w.priv().mac == fresh));
  CHECK(w.dev.perm_addr == mac_addr{{2, 0, 0, 0, 0, 1}});
  CHECK(w.heard() == std::vector<std::string>{"changeaddr eth0"});
  for (auto const& bad : {mac_addr{}, mac_broadcast, group_a}) {
    auto r = dev_set_mac_address(w.net(), w.dev, bad);
    REQUIRE(!r);
    CHECK(r.error() == std::errc::address_not_available);
  }
  auto& fixed = w.add("eth1");
  auto r = dev_set_mac_address(w.net(), fixed, fresh);
  REQUIRE(!r);
  CHECK(r.error() == std::errc::operation_not_supported);
  CHECK(w.dev.dev_addr == fresh);
}

TEST_CASE("ioctl reaches the driver, or is not supported", "[S75]") {
  world w;
  auto answer = dev_do_ioctl(w.net(), w.dev, 1, 41);
  REQUIRE(answer);
  CHECK(*answer == 42);
  CHECK(dev_do_ioctl(w.net(), w.dev, 2, 0).error() == std::errc::invalid_argument);
  CHECK(dev_do_ioctl(w.net(), w.add("eth1"), 1, 0).error() == std::errc::operation_not_supported);
}

TEST_CASE("promiscuous mode lasts as long as anybody wants it", "[S75]") {
  world w;
  w.priv().modes.clear();
  CHECK(dev_set_promiscuity(w.net(), w.dev, 1));
  CHECK(dev_change_flags(w.net(), w.dev, w.dev.flags | iff::promisc));  // the user wants it, too
  CHECK(w.dev.promiscuity == 2);
  CHECK(dev_set_promiscuity(w.net(), w.dev, -1));
  CHECK((w.dev.flags & iff::promisc) != 0);
  CHECK(dev_change_flags(w.net(), w.dev, w.dev.flags & ~iff::promisc));
  CHECK((w.dev.flags & iff::promisc) == 0);
  CHECK(w.priv().modes == std::vector<u32>{iff::promisc, 0});
  auto r = dev_set_promiscuity(w.net(), w.dev, -1);
  REQUIRE(!r);
  CHECK(r.error() == std::errc::invalid_argument);
  // A user who takes away what only others want changes nothing.
  CHECK(dev_set_allmulti(w.net(), w.dev, 1));
  CHECK(dev_change_flags(w.net(), w.dev, w.dev.flags & ~iff::allmulti));
  CHECK((w.dev.flags & iff::allmulti) != 0);
}

TEST_CASE("flags: up and down, and only those that a user may set", "[S75]") {
  world w;
  CHECK(dev_change_flags(w.net(), w.dev, 0));
  CHECK(!w.dev.running());
  CHECK((w.dev.flags & iff::multicast) == 0);
  CHECK((w.dev.flags & iff::broadcast) != 0);  // not his to change
  CHECK(dev_change_flags(w.net(), w.dev, iff::up | iff::noarp | iff::loopback));
  CHECK((w.dev.running() && (w.dev.flags & iff::noarp) && !(w.dev.flags & iff::loopback)));
}

TEST_CASE("features: only those that may change, and a cutter of segments needs what it builds on", "[S75]") {
  world w;
  w.dev.hw_features = netif_f::hw_csum | netif_f::gso;
  dev_set_features(w.net(), w.dev, 0);
  CHECK(w.dev.features == netif_f::sg);  // fixed
  dev_set_features(w.net(), w.dev, netif_f::gso);
  CHECK(w.dev.features == netif_f::sg);
  dev_set_features(w.net(), w.dev, netif_f::gso | netif_f::hw_csum);
  CHECK(w.dev.features == (netif_f::sg | netif_f::gso | netif_f::hw_csum));
  CHECK(w.heard() == std::vector<std::string>{"feat_change eth0", "feat_change eth0"});
}

TEST_CASE("multicast filter: counted, bounded, told to the driver only when it changes", "[S69]") {
  world w;
  w.priv().modes.clear();
  CHECK(dev_mc_add(w.net(), w.dev, group_a));
  CHECK(dev_mc_add(w.net(), w.dev, group_b));
  CHECK(dev_mc_add(w.net(), w.dev, group_a));
  CHECK(w.priv().modes == std::vector<u32>{1, 2});
  CHECK((dev_mc_accepts(w.dev, group_a) && dev_mc_accepts(w.dev, group_b)));
  CHECK(dev_mc_del(w.net(), w.dev, group_a));
  CHECK(dev_mc_accepts(w.dev, group_a));
  CHECK(dev_mc_del(w.net(), w.dev, group_a));
  CHECK(!dev_mc_accepts(w.dev, group_a));
  CHECK(dev_mc_accepts(w.dev, group_b));
  CHECK(dev_mc_del(w.net(), w.dev, group_a).error() == std::errc::no_such_file_or_directory);
  CHECK(dev_mc_add(w.net(), w.dev, mac_addr{{2, 0, 0, 0, 0, 1}}).error() == std::errc::invalid_argument);
  mac_addr many{{0x33, 0x33}};
  u32 joined = 0;
  for (many.bytes[5] = 0; dev_mc_add(w.net(), w.dev, many); ++many.bytes[5]) ++joined;
  CHECK(joined == max_mc_addr - 1);
  CHECK(dev_mc_add(w.net(), w.dev, many).error() == std::errc::no_buffer_space);
  CHECK(dev_set_allmulti(w.net(), w.dev, 1));
  CHECK(dev_mc_accepts(w.dev, many));
}

TEST_CASE("the spread over workers and the map of priorities take only what there is", "[S47][S64]") {
  world w;
  CHECK(dev_set_rps_cpus(w.net(), w.dev, 3));
  CHECK(dev_set_rps_cpus(w.net(), w.dev, 4).error() == std::errc::invalid_argument);
  CHECK(w.dev.rps_cpus == 3);
  u8 const good[]{0, 1, 2, 3}, bad[]{4};
  CHECK(netdev_set_prio_tc_map(w.net(), w.dev, good));
  CHECK(netdev_set_prio_tc_map(w.net(), w.dev, bad).error() == std::errc::invalid_argument);
  CHECK(w.dev.prio_tc_map[3] == 3);
  CHECK(netdev_set_prio_tc_map(w.net(), w.dev, {}));
  CHECK(w.dev.num_tc == 0);
}
