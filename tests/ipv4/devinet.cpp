// SPDX-License-Identifier: BSL-1.0
// Addresses of a device: many of them, primary and secondary, coming and going with their routes; devices up and down.
#include "netstack/ipv4/devinet.hpp"

#include <string>

#include "netstack/core/dev_config.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

std::string text(be32 addr) {
  char out[16];
  return std::string(format_ipv4(addr, out));
}
/// "192.0.2.1 192.0.2.2*": the device's addresses in order, secondaries starred.
std::string addresses(net_device const& dev) {
  std::string s;
  if (in_device const* in_dev = in_dev_get(dev))
    for (auto const& ifa : in_dev->ifa_list)
      s += (s.empty() ? "" : " ") + text(ifa.ifa_local) + (ifa.secondary() ? "*" : "");
  return s;
}
/// The kernel's routes of a table, one a word: "local:192.0.2.1/32:eth0<192.0.2.1".
template <class Net>
std::string routes(Net& net, rt_table table) {
  std::string s;
  for (fib_info const* fi = fib(net).first(table); fi; fi = fib(net).next(*fi)) {
    net_device* dev = net.dev_get_by_index(fi->fib_nh_oif);
    constexpr char const* kinds[] = {"unspec", "unicast", "local", "broadcast"};
    s += std::string(s.empty() ? "" : " ") + kinds[static_cast<u8>(fi->fib_type)] + ":" + text(fi->fib_dst()) + "/" +
         std::to_string(fi->fib_dst_len) + ":" + (dev ? dev->name : "-") + "<" + text(fi->fib_prefsrc);
  }
  return s;
}
struct device_rig : ip_rig<> {
  net_device& dev;
  device_rig() : dev(*eth0) {
    REQUIRE(inet_addr_del(net(), eth0->ifindex, ipv4_cidr("192.0.2.1/24")));
    REQUIRE(addresses(dev).empty());
  }
  result<void> add(char const* cidr, ifa_config const& cfg = {}) {
    return inet_addr_add(net(), dev.ifindex, ipv4_cidr(cidr), cfg);
  }
  result<void> del(char const* cidr) { return inet_addr_del(net(), dev.ifindex, ipv4_cidr(cidr)); }
  std::string local() {  // without lo's own
    std::string all = routes(net(), rt_table::local);
    return all.substr(0, all.find("local:127.0.0.0"));
  }
  std::string main() { return routes(net(), rt_table::main); }
};

}  // namespace

TEST_CASE("an address brings its routes and takes them away", "[S130]") {
  device_rig rig;
  std::string const before = rig.local() + rig.main();
  u32 const genid = rig.ns().dev_addr_genid;
  REQUIRE(rig.add("192.0.2.1/24"));
  CHECK(rig.main() == "unicast:192.0.2.0/24:eth0<192.0.2.1");
  CHECK(routes(rig.net(), rt_table::local).find("local:192.0.2.1/32:eth0<192.0.2.1") != std::string::npos);
  CHECK(routes(rig.net(), rt_table::local).find("broadcast:192.0.2.255/32:eth0<192.0.2.1") != std::string::npos);
  CHECK(inet_addr_type(rig.net(), our_addr) == rtn::local);
  CHECK(inet_addr_type(rig.net(), ipv4_addr("192.0.2.255")) == rtn::broadcast);
  CHECK(inet_addr_type(rig.net(), peer_addr) == rtn::unicast);
  CHECK(inet_addr_type(rig.net(), ipv4_addr("224.0.0.1")) == rtn::multicast);
  CHECK(inet_addr_type(rig.net(), inaddr_broadcast) == rtn::broadcast);
  CHECK(inet_addr_type(rig.net(), {}) == rtn::broadcast);
  CHECK(inet_addr_type(rig.net(), ipv4_addr("127.5.5.5")) == rtn::local);
  CHECK(ip_dev_find(rig.net(), our_addr) == rig.eth0);
  CHECK(ip_dev_find(rig.net(), peer_addr) == nullptr);
  CHECK(rig.ns().dev_addr_genid != genid);
  REQUIRE(rig.del("192.0.2.1/24"));
  CHECK(rig.local() + rig.main() == before);
  CHECK(ip_dev_find(rig.net(), our_addr) == nullptr);
}

TEST_CASE("prefixes without a subnet or without a broadcast", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/32"));
  CHECK(rig.main().empty());
  REQUIRE(rig.add("198.51.100.0/31"));
  CHECK(rig.main() == "unicast:198.51.100.0/31:eth0<198.51.100.0");
  CHECK(inet_addr_type(rig.net(), ipv4_addr("198.51.100.1")) == rtn::unicast);
  REQUIRE(rig.add("203.0.113.1/24", {.flags = ifa_f::noprefixroute}));
  CHECK(rig.main() == "unicast:198.51.100.0/31:eth0<198.51.100.0");
  REQUIRE(rig.add("10.0.0.1/32", {.peer = ipv4_addr("10.0.0.2")}));
  CHECK(rig.main().find("unicast:10.0.0.2/32:eth0<10.0.0.1") != std::string::npos);
}

TEST_CASE("wrong requests change nothing", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  std::string const before = routes(rig.net(), rt_table::local) + rig.main();
  CHECK(rig.add("192.0.2.1/24").error() == std::errc::file_exists);
  CHECK(rig.add("0.0.0.0/24").error() == std::errc::invalid_argument);
  CHECK(rig.add("224.0.0.1/24").error() == std::errc::invalid_argument);
  CHECK(rig.add("255.255.255.255/32").error() == std::errc::invalid_argument);
  CHECK(rig.add("192.0.2.7/24", {.scope = rt_scope::link}).error() == std::errc::invalid_argument);
  CHECK(inet_addr_add(rig.net(), 99, ipv4_cidr("192.0.2.2/24")).error() == std::errc::no_such_device);
  CHECK(rig.del("192.0.2.1/25").error() == std::errc::address_not_available);
  CHECK(rig.del("192.0.2.9/24").error() == std::errc::address_not_available);
  CHECK(inet_addr_del(rig.net(), 99, ipv4_cidr("192.0.2.1/24")).error() == std::errc::no_such_device);
  CHECK(addresses(rig.dev) == "192.0.2.1");
  CHECK(routes(rig.net(), rt_table::local) + rig.main() == before);
}

TEST_CASE("65 addresses on one device, each answers, and each can go", "[S130][S125]") {
  device_rig rig;
  auto const addr = [](u32 i) {
    return be32{ipv4_addr("192.0.2.100").host() + i % 33 + (i / 33 << 8)};
  };  // two subnets
  for (u32 i = 0; i < 65; ++i) REQUIRE(inet_addr_add(rig.net(), rig.dev.ifindex, *ipv4_prefix::make(addr(i), 24)));
  auto const answers = [&](be32 a) {
    rig.inject({.daddr = a, .payload = echo_request(1, 1, bytes(8))});
    auto const sent = rig.sent();
    return sent.size() == 1 && sent[0].ip().saddr == a && sent[0].is_sound();
  };
  auto const answers_arp = [&](be32 a) {
    bytes frame;
    append(frame, ethhdr{mac_broadcast, peer_mac, be16{eth_p::arp}});
    append(frame,
           arphdr{.ar_op = be16{arpop::request}, .ar_sha = peer_mac, .ar_sip = peer_addr, .ar_tha = {}, .ar_tip = a});
    rig.receive(rig.dev, frame);
    auto const sent = rig.sent();
    return sent.size() == 1 && sent[0].eth().h_proto.host() == eth_p::arp && sent[0].at<arphdr>(eth_hlen).ar_sip == a;
  };
  for (u32 i = 0; i < 65; ++i) {
    CHECK(answers(addr(i)));
    CHECK(answers_arp(addr(i)));
  }
  CHECK(worker_generic<ipv4>(rig.host.worker()).in_ifaddrs.in_use() == 66);  // and lo's
  // Secondaries go one by one, the others stay.
  for (u32 i = 32; i > 0; --i) {
    REQUIRE(inet_addr_del(rig.net(), rig.dev.ifindex, *ipv4_prefix::make(addr(i), 24)));
    CHECK_FALSE(answers(addr(i)));
    CHECK(answers(addr(0)));
    CHECK(answers(addr(64)));
  }
  // A primary takes its subnet's secondaries along.
  REQUIRE(inet_addr_del(rig.net(), rig.dev.ifindex, *ipv4_prefix::make(addr(33), 24)));
  CHECK(addresses(rig.dev) == "192.0.2.100");
}

TEST_CASE("the primary goes: its secondaries too, or the next one is promoted", "[S130]") {
  device_rig rig;
  for (char const* a : {"192.0.2.1/24", "192.0.2.2/24", "198.51.100.1/24", "192.0.2.3/24"}) REQUIRE(rig.add(a));
  CHECK(addresses(rig.dev) == "192.0.2.1 198.51.100.1 192.0.2.2* 192.0.2.3*");
  CHECK(routes(rig.net(), rt_table::local).find("local:192.0.2.2/32:eth0<192.0.2.1") != std::string::npos);
  SECTION("default") {
    REQUIRE(rig.del("192.0.2.1/24"));
    CHECK(addresses(rig.dev) == "198.51.100.1");
    CHECK(rig.main() == "unicast:198.51.100.0/24:eth0<198.51.100.1");
  }
  SECTION("promote_secondaries") {
    rig.ns().devconf_all.promote_secondaries = 1;
    REQUIRE(rig.del("192.0.2.1/24"));
    CHECK(addresses(rig.dev) == "198.51.100.1 192.0.2.2 192.0.2.3*");
    CHECK(rig.main() == "unicast:192.0.2.0/24:eth0<192.0.2.2 unicast:198.51.100.0/24:eth0<198.51.100.1");
    std::string const local = routes(rig.net(), rt_table::local);
    CHECK(local.find("local:192.0.2.3/32:eth0<192.0.2.2") != std::string::npos);
    CHECK(local.find("local:192.0.2.2/32:eth0<192.0.2.2") != std::string::npos);
    CHECK(local.find("broadcast:192.0.2.255/32:eth0<192.0.2.2") != std::string::npos);
    CHECK(local.find("192.0.2.1") == std::string::npos);
    // And again, until none is left.
    REQUIRE(rig.del("192.0.2.2/24"));
    REQUIRE(rig.del("192.0.2.3/24"));
    CHECK(addresses(rig.dev) == "198.51.100.1");
  }
}

TEST_CASE("scope and label", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("169.254.1.1/16", {.scope = rt_scope::link}));
  REQUIRE(rig.add("192.0.2.1/24", {.label = "eth0:web"}));
  REQUIRE(rig.add("169.254.2.1/32", {.scope = rt_scope::link}));
  CHECK(addresses(rig.dev) == "169.254.1.1 169.254.2.1 192.0.2.1");  // what reaches less far comes first
  CHECK(std::string(in_dev_get(rig.dev)->ifa_list.front().ifa_label) == "eth0");
  CHECK(std::string(in_dev_get(rig.dev)->ifa_list.back().ifa_label) == "eth0:web");
  CHECK(inet_select_addr(rig.net(), &rig.dev, {}, rt_scope::universe) == our_addr);
  CHECK(inet_select_addr(rig.net(), &rig.dev, ipv4_addr("169.254.9.9"), rt_scope::link) == ipv4_addr("169.254.1.1"));
  CHECK(inet_select_addr(rig.net(), &rig.dev, ipv4_addr("169.254.9.9"), rt_scope::universe) == our_addr);
  // lo's address has host scope: nobody else borrows it.
  REQUIRE(rig.del("192.0.2.1/24"));
  CHECK(inet_select_addr(rig.net(), nullptr, {}, rt_scope::universe) == be32{});
  CHECK(inet_select_addr(rig.net(), nullptr, {}, rt_scope::host) == inaddr_loopback);
}

TEST_CASE("one subnet on two devices: the second takes over when the first goes", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  net_device* eth1 = rig.add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "192.0.2.2/24");
  CHECK(rig.main() == "unicast:192.0.2.0/24:eth0<192.0.2.1");
  SECTION("its address goes") { REQUIRE(rig.del("192.0.2.1/24")); }
  SECTION("it goes down") {
    dev_close(rig.net(), rig.dev);
    CHECK_FALSE(rig.dev.flags & iff::up);
  }
  SECTION("it goes away") {
    unregister_netdev(rig.net(), rig.dev);
    CHECK(rig.net().dev_get_by_name("eth0") == nullptr);
  }
  CHECK(rig.main() == "unicast:192.0.2.0/24:eth1<192.0.2.2");
  CHECK(inet_addr_type(rig.net(), ipv4_addr("192.0.2.255")) == rtn::broadcast);
  (void)eth1;
}

TEST_CASE("down: only local routes stay; up: they are back", "[S129][S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  REQUIRE(ip_route_add(rig.net(), {.fc_gw4 = peer_addr}));
  std::string const up = routes(rig.net(), rt_table::local);
  dev_close(rig.net(), rig.dev);
  CHECK(rig.main().empty());
  CHECK(addresses(rig.dev) == "192.0.2.1");
  CHECK(inet_addr_type(rig.net(), our_addr) == rtn::local);  // as in Linux: still ours, through lo
  CHECK(inet_addr_type(rig.net(), ipv4_addr("192.0.2.255")) == rtn::unicast);
  REQUIRE(dev_open(rig.net(), rig.dev));
  CHECK(rig.main() == "unicast:192.0.2.0/24:eth0<192.0.2.1");  // a user's route does not come back by itself
  CHECK(routes(rig.net(), rt_table::local) == up);
}

TEST_CASE("an address given to a device that is down waits for it", "[S130]") {
  device_rig rig;
  dev_close(rig.net(), rig.dev);
  REQUIRE(rig.add("192.0.2.1/24"));
  CHECK(rig.main().empty());
  REQUIRE(dev_open(rig.net(), rig.dev));
  CHECK(rig.main() == "unicast:192.0.2.0/24:eth0<192.0.2.1");
}

TEST_CASE("a route that speaks from an address goes with it", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  REQUIRE(rig.add("198.51.100.1/24"));
  REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 24,
                                   .fc_dst = ipv4_addr("203.0.113.0"),
                                   .fc_gw4 = peer_addr,
                                   .fc_prefsrc = ipv4_addr("198.51.100.1")}));
  REQUIRE(rig.del("198.51.100.1/24"));
  CHECK(rig.main() == "unicast:192.0.2.0/24:eth0<192.0.2.1");
}

TEST_CASE("the last address takes every route of its device along", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  REQUIRE(ip_route_add(rig.net(), {.fc_gw4 = peer_addr}));
  REQUIRE(rig.del("192.0.2.1/24"));
  CHECK(rig.main().empty());
}

TEST_CASE("a link too narrow for IPv4 has none", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  rig.dev.min_mtu = 1;
  REQUIRE(dev_set_mtu(rig.net(), rig.dev, 67));
  CHECK(in_dev_get(rig.dev) == nullptr);
  CHECK(inet_addr_type(rig.net(), our_addr) == rtn::unicast);
  rig.inject({.payload = echo_request(1, 1, bytes(8))});
  CHECK(rig.sent().empty());
  CHECK(rig.add("192.0.2.1/24").error() == std::errc::no_such_device);
  REQUIRE(dev_set_mtu(rig.net(), rig.dev, 1500));
  REQUIRE(rig.add("192.0.2.1/24"));
  rig.know(rig.dev, peer_addr, peer_mac);
  rig.still_alive();
}

TEST_CASE("carrier lost: with ignore_routes_with_linkdown its routes are passed over", "[S130]") {
  device_rig rig;
  REQUIRE(rig.add("192.0.2.1/24"));
  in_dev_get(rig.dev)->cnf.ignore_routes_with_linkdown = 1;
  flowi4 fl4{.daddr = peer_addr};
  REQUIRE(ip_route_output_key(rig.net(), fl4));
  rig.dev.state |= netdev_state::nocarrier;
  rig.net().call_netdevice_notifiers(netdev_event::change, rig.dev);
  fl4 = {.daddr = peer_addr};
  CHECK_FALSE(ip_route_output_key(rig.net(), fl4));
  rig.dev.state &= ~netdev_state::nocarrier;
  rig.net().call_netdevice_notifiers(netdev_event::change, rig.dev);
  fl4 = {.daddr = peer_addr};
  CHECK(ip_route_output_key(rig.net(), fl4));
}

TEST_CASE("tables full: refused as a whole, and nothing is left over", "[S130]") {
  device_rig rig;
  auto& state = worker_generic<ipv4>(rig.host.worker());
  // Addresses.
  u32 i = 0;
  result<void> r{};
  while ((r = inet_addr_add(rig.net(), rig.dev.ifindex, *ipv4_prefix::make(be32{0x0a000001 + i}, 8)))) ++i;
  CHECK(r.error() == std::errc::no_buffer_space);
  CHECK(state.in_ifaddrs.in_use() == state.in_ifaddrs.capacity());
  REQUIRE(rig.del("10.0.0.1/8"));
  CHECK(state.in_ifaddrs.in_use() == 1);
  // Routes.
  REQUIRE(rig.add("192.0.2.1/24"));
  for (u32 n = 0; ip_route_add(rig.net(), {.fc_dst_len = 32, .fc_dst = be32{0x0b000000 + n}, .fc_gw4 = peer_addr});
       ++n) {
  }
  u32 const routes_full = state.routes.infos.in_use();
  CHECK(rig.add("198.51.100.1/24").error() == std::errc::no_buffer_space);
  CHECK(addresses(rig.dev) == "192.0.2.1");
  CHECK(state.routes.infos.in_use() == routes_full);
  CHECK(inet_addr_type(rig.net(), ipv4_addr("198.51.100.1")) == rtn::unicast);
  REQUIRE(ip_route_del(rig.net(), {.fc_dst_len = 32, .fc_dst = be32{0x0b000000}}));
  rig.know(rig.dev, peer_addr, peer_mac);
  rig.still_alive();
}

namespace {
struct heard {
  u32 up = 0, down = 0;
};
struct listener : module {
  using pernet = heard;
  template <class Net>
  static void event(Net& net, netdev_event e, net_device&) {
    auto& h = net_generic<listener>(net);
    h.up += e == netdev_event::inetaddr_up;
    h.down += e == netdev_event::inetaddr_down;
  }
  template <class Net>
  static constexpr std::array notifiers{notifier_block<Net>{.notifier_call = event<Net>, .name = "listener"}};
};
struct listening_host : rig_stack<listening_host, listener> {};
}  // namespace

TEST_CASE("whoever listens hears of each address", "[S71]") {
  ip_rig<listening_host> rig;
  auto const& h = net_generic<listener>(rig.net());
  CHECK(h.up == 2);  // lo's and eth0's
  REQUIRE(inet_addr_add(rig.net(), rig.eth0->ifindex, ipv4_cidr("192.0.2.2/24")));
  CHECK(h.up == 3);
  REQUIRE(inet_addr_del(rig.net(), rig.eth0->ifindex, ipv4_cidr("192.0.2.1/24")));
  CHECK(h.down == 2);  // and its secondary
}
