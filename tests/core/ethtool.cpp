// SPDX-License-Identifier: BSL-1.0
// What a device tells about itself: from a driver that says everything, and from one that says nothing.
#include "netstack/core/ethtool.hpp"

#include "support/mock_net.hpp"

namespace {

using namespace netstack;

struct talker : test::mock {
  static constexpr char const* name = "talker";
  template <class Net>
  static void drvinfo(Net&, net_device&, ethtool_drvinfo& info) {
    info.version = "1.2";
    std::copy_n("slot 7", 7, info.bus_info);
  }
  template <class Net>
  static bool link(Net&, net_device& dev) {
    return dev.mtu == 1500;
  }
  template <class Net>
  static void ring(Net&, net_device& dev, ethtool_ringparam& r) {
    r = {.rx_max_pending = 512, .tx_max_pending = 256, .rx_pending = dev.tx_queue_len, .tx_pending = 64};
  }
  template <class Net>
  static result<void> set_ring(Net&, net_device& dev, ethtool_ringparam const& r) {
    dev.tx_queue_len = r.rx_pending;
    return {};
  }
  template <class Net>
  static void settings(Net&, net_device&, ethtool_link_settings& s) {
    s = {.speed = 10'000, .duplex = 1};
  }
  static constexpr std::array<char const*, 2> names{"first", "second"};
  template <class Net>
  static void stats(Net&, net_device& dev, std::span<u64> out) {
    out[0] = 11, out[1] = dev.ifindex;
  }
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool{.get_drvinfo = drvinfo<Net>,
                                            .get_link = link<Net>,
                                            .get_ringparam = ring<Net>,
                                            .set_ringparam = set_ring<Net>,
                                            .get_link_ksettings = settings<Net>,
                                            .stats_strings = names,
                                            .get_ethtool_stats = stats<Net>};
};

struct host : stack<host, test::mock, talker, sizes<config{.max_net = 1, .skb_pool = 16}>> {};

}  // namespace

TEST_CASE("driver info, link, ring sizes, speed and statistics are readable", "[S77]") {
  test::mock_end end;
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto made = register_netdev<talker>(net, "eth0", {.end = &end});
  REQUIRE(made);
  auto& dev = **made;
  auto const info = ethtool_get_drvinfo(net, dev);
  CHECK(std::string_view(info.driver) == "talker");
  CHECK(std::string_view(info.version) == "1.2");
  CHECK(std::string_view(info.bus_info) == "slot 7");
  CHECK(info.n_stats == 2);
  CHECK(!ethtool_get_link(net, dev));  // down
  REQUIRE(dev_open(net, dev));
  CHECK(ethtool_get_link(net, dev));
  dev.mtu = 1400;
  CHECK(!ethtool_get_link(net, dev));  // the driver's word
  auto ring = ethtool_get_ringparam(net, dev);
  REQUIRE(ring);
  CHECK((ring->rx_max_pending == 512 && ring->rx_pending == 1000 && ring->tx_pending == 64));
  CHECK(ethtool_set_ringparam(net, dev, {.rx_pending = 512}));
  CHECK(ethtool_get_ringparam(net, dev)->rx_pending == 512);
  CHECK(ethtool_set_ringparam(net, dev, {.rx_pending = 513}).error() == std::errc::invalid_argument);
  CHECK(ethtool_set_ringparam(net, dev, {.tx_pending = 257}).error() == std::errc::invalid_argument);
  CHECK(ethtool_get_ringparam(net, dev)->rx_pending == 512);
  auto const link = ethtool_get_link_ksettings(net, dev);
  REQUIRE(link);
  CHECK((link->speed == 10'000 && link->duplex == 1));
  REQUIRE(ethtool_get_strings(net, dev).size() == 2);
  CHECK(std::string_view(ethtool_get_strings(net, dev)[1]) == "second");
  u64 values[3]{};
  CHECK(ethtool_get_stats(net, dev, values));
  CHECK((values[0] == 11 && values[1] == dev.ifindex && values[2] == 0));
  CHECK(ethtool_get_stats(net, dev, std::span(values, 1)).error() == std::errc::invalid_argument);
}

TEST_CASE("a driver that says nothing has defaults, and the rest is not supported", "[S77][S75]") {
  test::mock_end end;
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto made = register_netdev<test::mock>(net, "eth0", {.end = &end});
  REQUIRE((made && dev_open(net, **made)));
  auto& dev = **made;
  CHECK(std::string_view(ethtool_get_drvinfo(net, dev).driver) == "mock_wire");
  CHECK(ethtool_get_link(net, dev));
  netif_carrier_off(net, dev);
  CHECK(!ethtool_get_link(net, dev));
  CHECK(ethtool_get_ringparam(net, dev).error() == std::errc::operation_not_supported);
  CHECK(ethtool_set_ringparam(net, dev, {}).error() == std::errc::operation_not_supported);
  CHECK(ethtool_get_link_ksettings(net, dev).error() == std::errc::operation_not_supported);
  CHECK(ethtool_get_strings(net, dev).empty());
  CHECK(ethtool_get_stats(net, dev, {}));
  CHECK(ethtool_get_drvinfo(net, *net.loopback_dev).n_stats == 0);
}
