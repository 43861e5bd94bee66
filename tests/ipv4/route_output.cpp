// SPDX-License-Identifier: BSL-1.0
// Which way a datagram of ours takes, from which address, and which requests are refused with which error.
#include "netstack/ipv4/route_output.hpp"

#include <string>

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct output_rig : ip_rig<> {
  net_device* eth1;
  output_rig() : eth1(add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24")) {
    REQUIRE(ip_route_add(net(), {.fc_gw4 = peer_addr}));
  }
  /// "192.0.2.1 via 192.0.2.9 dev eth0", or the error.
  std::string get(flowi4 fl4) {
    auto rt = ip_route_output_key(net(), fl4);
    if (!rt) return std::string("error ") + std::to_string(static_cast<int>(rt.error()));
    char text[16], via[16];
    std::string s(format_ipv4(fl4.saddr, text));
    if ((*rt)->rt_uses_gateway) s += " via " + std::string(format_ipv4((*rt)->rt_gw4, via));
    return s + " dev " + (*rt)->dev->name;
  }
  std::string get(char const* daddr) { return get(flowi4{.daddr = ipv4_addr(daddr), .broadcast_ok = true}); }
};
std::string error(std::errc e) { return "error " + std::to_string(static_cast<int>(e)); }

}  // namespace

TEST_CASE("the way and the source of a datagram of ours", "[S130][S137]") {
  output_rig rig;
  CHECK(rig.get("192.0.2.9") == "192.0.2.1 dev eth0");
  CHECK(rig.get("198.51.100.9") == "198.51.100.1 dev eth1");
  CHECK(rig.get("203.0.113.1") == "192.0.2.1 via 192.0.2.9 dev eth0");
  CHECK(rig.get("192.0.2.1") == "192.0.2.1 dev lo");
  CHECK(rig.get("127.0.0.1") == "127.0.0.1 dev lo");
  CHECK(rig.get("127.1.2.3") == "127.0.0.1 dev lo");
  CHECK(rig.get("0.0.0.0") == "127.0.0.1 dev lo");
  CHECK(rig.get("192.0.2.255") == "192.0.2.1 dev eth0");
  CHECK(rig.get("198.51.100.255") == "198.51.100.1 dev eth1");
  CHECK(rig.get("224.0.0.5") == "192.0.2.1 dev eth0");  // by the default route
  CHECK(rig.get("255.255.255.255") == "192.0.2.1 dev eth0");
  // A source that was asked for stays, if it is ours.
  CHECK(rig.get({.daddr = ipv4_addr("203.0.113.1"), .saddr = ipv4_addr("198.51.100.1")}) ==
        "198.51.100.1 via 192.0.2.9 dev eth0");
  CHECK(rig.get({.daddr = ipv4_addr("224.0.0.5"), .saddr = ipv4_addr("198.51.100.1")}) == "198.51.100.1 dev eth1");
  CHECK(rig.get({.daddr = {}, .saddr = ipv4_addr("198.51.100.1")}) == "198.51.100.1 dev lo");
}

TEST_CASE("a device that was asked for", "[S130]") {
  output_rig rig;
  u32 const one = rig.eth1->ifindex;
  CHECK(rig.get({.daddr = ipv4_addr("198.51.100.9"), .oif = one}) == "198.51.100.1 dev eth1");
  CHECK(rig.get({.daddr = ipv4_addr("192.0.2.9"), .oif = one}) == "198.51.100.1 dev eth1");    // assumed to be there
  CHECK(rig.get({.daddr = ipv4_addr("203.0.113.1"), .oif = one}) == "198.51.100.1 dev eth1");  // the default is not it
  REQUIRE(ip_route_add(rig.net(), {.fc_gw4 = ipv4_addr("198.51.100.9"), .fc_priority = 100}));
  CHECK(rig.get({.daddr = ipv4_addr("203.0.113.1"), .oif = one}) == "198.51.100.1 via 198.51.100.9 dev eth1");
  CHECK(rig.get("203.0.113.1") == "192.0.2.1 via 192.0.2.9 dev eth0");
  CHECK(rig.get({.daddr = ipv4_addr("224.0.0.5"), .oif = one}) == "198.51.100.1 dev eth1");
  CHECK(rig.get({.daddr = inaddr_broadcast, .oif = one, .broadcast_ok = true}) == "198.51.100.1 dev eth1");
  CHECK(rig.get({.daddr = {}, .oif = one}) == "198.51.100.1 dev lo");
  CHECK(rig.get({.daddr = ipv4_addr("127.0.0.1"), .oif = one}) == error(std::errc::invalid_argument));
  CHECK(rig.get({.daddr = peer_addr, .oif = 99}) == error(std::errc::no_such_device));
  dev_close(rig.net(), *rig.eth1);
  CHECK(rig.get({.daddr = peer_addr, .oif = one}) == error(std::errc::network_unreachable));
}

TEST_CASE("what cannot be sent says why", "[S137]") {
  output_rig rig;
  auto& net = rig.net();
  CHECK(rig.get({.daddr = peer_addr, .saddr = ipv4_addr("203.0.113.7")}) == error(std::errc::network_unreachable));
  CHECK(rig.get({.daddr = peer_addr, .saddr = ipv4_addr("203.0.113.7"), .anysrc = true}) == "203.0.113.7 dev eth0");
  for (char const* bad : {"224.0.0.1", "255.255.255.255", "0.1.2.3"})
    CHECK(rig.get({.daddr = peer_addr, .saddr = ipv4_addr(bad)}) == error(std::errc::invalid_argument));
  CHECK(rig.get("0.1.2.3") == error(std::errc::invalid_argument));
  CHECK(rig.get({.daddr = peer_addr, .saddr = ipv4_addr("127.0.0.1")}) == error(std::errc::invalid_argument));
  // SO_BROADCAST
  CHECK(rig.get({.daddr = inaddr_broadcast}) == error(std::errc::permission_denied));
  CHECK(rig.get({.daddr = ipv4_addr("192.0.2.255")}) == error(std::errc::permission_denied));
  // Routes that refuse.
  auto const add = [&](char const* dst, rtn type) {
    REQUIRE(ip_route_add(net, {.fc_dst_len = 32, .fc_type = type, .fc_dst = ipv4_addr(dst)}));
  };
  add("203.0.113.1", rtn::unreachable);
  add("203.0.113.2", rtn::prohibit);
  add("203.0.113.3", rtn::blackhole);
  CHECK(rig.get("203.0.113.1") == error(std::errc::host_unreachable));
  CHECK(rig.get("203.0.113.2") == error(std::errc::permission_denied));
  CHECK(rig.get("203.0.113.3") == error(std::errc::invalid_argument));
  // … but to who named a device: then the link is asked, and no wider route by that device.
  CHECK(rig.get({.daddr = ipv4_addr("203.0.113.1"), .oif = rig.eth0->ifindex}) == "192.0.2.1 dev eth0");
  // MSG_DONTROUTE: direct neighbours only.
  CHECK(rig.get({.daddr = peer_addr, .scope = rt_scope::link}) == "192.0.2.1 dev eth0");
  CHECK(rig.get({.daddr = ipv4_addr("203.0.113.9"), .scope = rt_scope::link}) == error(std::errc::network_unreachable));
  REQUIRE(ip_route_del(net, {.fc_gw4 = peer_addr}));
  CHECK(rig.get("203.0.113.9") == error(std::errc::network_unreachable));
  CHECK(rig.get("224.0.0.5") == error(std::errc::network_unreachable));
}

TEST_CASE("metrics and prefixes decide, as in Linux", "[S130]") {
  output_rig rig;
  auto& net = rig.net();
  auto const via = [&](char const* cidr, char const* gw, u32 metric) {
    auto const p = ipv4_cidr(cidr);
    return ip_route_add(net,
                        {.fc_dst_len = p.len(), .fc_dst = p.network(), .fc_gw4 = ipv4_addr(gw), .fc_priority = metric});
  };
  REQUIRE(via("203.0.113.0/24", "192.0.2.20", 10));
  REQUIRE(via("203.0.113.0/24", "192.0.2.21", 5));
  REQUIRE(via("203.0.113.128/25", "192.0.2.22", 99));
  CHECK(via("203.0.113.0/24", "192.0.2.23", 5).error() == std::errc::file_exists);
  CHECK(rig.get("203.0.113.1") == "192.0.2.1 via 192.0.2.21 dev eth0");
  CHECK(rig.get("203.0.113.129") == "192.0.2.1 via 192.0.2.22 dev eth0");
  REQUIRE(ip_route_del(net, {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_priority = 5}));
  CHECK(rig.get("203.0.113.1") == "192.0.2.1 via 192.0.2.20 dev eth0");
  CHECK(ip_route_del(net, {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_priority = 5}).error() ==
        std::errc::no_such_process);
}

TEST_CASE("what is wrong with a route is told in Linux's order", "[S130]") {
  output_rig rig;
  auto& net = rig.net();
  be32 const far = ipv4_addr("203.0.113.0"), nobody = ipv4_addr("203.0.113.7");
  u32 const one = rig.eth1->ifindex;
  // Bits beyond the prefix, then the way, then the source.
  CHECK(ip_route_add(net, {.fc_dst_len = 16, .fc_dst = far, .fc_gw4 = nobody, .fc_oif = one}).error() ==
        std::errc::invalid_argument);
  CHECK(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = far, .fc_gw4 = nobody, .fc_oif = one, .fc_prefsrc = nobody})
            .error() == std::errc::network_unreachable);
  CHECK(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = far, .fc_oif = 99, .fc_prefsrc = nobody}).error() ==
        std::errc::no_such_device);
  CHECK(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = far, .fc_oif = one, .fc_prefsrc = nobody}).error() ==
        std::errc::invalid_argument);
  CHECK(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = far, .fc_oif = one, .fc_flags = rtnh_f::onlink}).error() ==
        std::errc::invalid_argument);  // on the link is a gateway
  // Who refuses needs no source, and a gateway is not looked for behind another or a refusal.
  REQUIRE(ip_route_add(
      net, {.fc_dst_len = 25, .fc_type = rtn::prohibit, .fc_dst = ipv4_addr("192.0.2.0"), .fc_prefsrc = nobody}));
  CHECK(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = far, .fc_gw4 = ipv4_addr("192.0.2.20")}));
  CHECK(rig.get("192.0.2.20") == error(std::errc::permission_denied));
  CHECK(rig.get("203.0.113.1") == "192.0.2.1 via 192.0.2.20 dev eth0");
}

TEST_CASE("a route's own source and MTU", "[S130]") {
  output_rig rig;
  REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 24,
                                   .fc_dst = ipv4_addr("203.0.113.0"),
                                   .fc_gw4 = peer_addr,
                                   .fc_prefsrc = ipv4_addr("198.51.100.1"),
                                   .fc_mtu = 1280}));
  CHECK(rig.get("203.0.113.1") == "198.51.100.1 via 192.0.2.9 dev eth0");
  flowi4 fl4{.daddr = ipv4_addr("203.0.113.1")};
  auto rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  CHECK(ip_dst_mtu(rig.net(), **rt, fl4.daddr) == 1280);
}

TEST_CASE("a device without addresses borrows one", "[S130]") {
  output_rig rig;
  net_device* bare = rig.add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 3}}}, "");
  REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_oif = bare->ifindex}));
  // Its route has link scope: an address of global scope of another device is taken.
  CHECK(rig.get("203.0.113.1") == "192.0.2.1 dev eth2");
}

TEST_CASE("to ourselves and back", "[S5]") {
  ip_rig<> rig;
  // A ping to our own address goes round by lo and is answered there.
  for (char const* to : {"192.0.2.1", "127.0.0.1"}) {
    u64 const before = rig.ns().mib.icmpmsg_statistics.InType[0].read();
    REQUIRE(rig.send({.daddr = ipv4_addr(to)}, {.protocol = ipproto::icmp}, echo_request(1, 1, bytes(8))));
    rig.run();
    CHECK(rig.ns().mib.icmpmsg_statistics.InType[0].read() == before + 1);
    CHECK(rig.sent().empty());
  }
  rig.still_alive();
}
