// SPDX-License-Identifier: BSL-1.0
// What is remembered of a destination: its path's MTU and for how long, and a better gateway if it may be believed.
#include "netstack/ipv4/pmtu.hpp"

#include "netstack/ipv4/ip_way.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr be32 far = ipv4_addr("203.0.113.5"), other_gateway = ipv4_addr("192.0.2.20");

struct path_rig : ip_rig<> {
  path_rig() {
    REQUIRE(ip_route_add(net(), {.fc_gw4 = peer_addr}));
    know(*eth0, other_gateway, mac_addr{{2, 0, 0, 0, 0, 0x20}});
  }
  u32 mtu(be32 daddr = far) {
    flowi4 fl4{.daddr = daddr};
    auto rt = ip_route_output_key(net(), fl4);
    REQUIRE(rt);
    return ip_dst_mtu(net(), **rt, daddr);
  }
  bytes quote(be32 daddr = far) {
    return datagram{.saddr = our_addr, .daddr = daddr, .payload = echo_request(1, 1, {})}.build();
  }
  void frag_needed(u16 mtu, be32 daddr = far) {
    inject({.payload = icmp_message(icmp_type::dest_unreach, icmp_code::frag_needed, mtu, quote(daddr))});
  }
  void redirect(be32 to, be32 from = peer_addr, be32 daddr = far) {
    inject(
        {.saddr = from, .payload = icmp_message(icmp_type::redirect, icmp_code::redir_host, to.host(), quote(daddr))});
  }
  mac_addr next_hop() {
    (void)sent();
    REQUIRE(send({.daddr = far}, {.protocol = 99}, bytes(1)));
    return sent().at(0).eth().h_dest;
  }
};

}  // namespace

TEST_CASE("a path's MTU is learnt for its destination alone, and forgotten in time", "[S133]") {
  path_rig rig;
  CHECK(rig.mtu() == 1500);
  rig.frag_needed(1400);
  CHECK(rig.mtu() == 1400);
  CHECK(rig.mtu(ipv4_addr("203.0.113.6")) == 1500);
  rig.frag_needed(1450);  // never larger
  CHECK(rig.mtu() == 1400);
  rig.frag_needed(1300);
  CHECK(rig.mtu() == 1300);
  rig.run_for(599'000'000'000);
  CHECK(rig.mtu() == 1300);
  rig.run_for(2'000'000'000);
  CHECK(rig.mtu() == 1500);
}

TEST_CASE("what was learnt of one destination leaves the short way to all others", "[S133]") {
  path_rig rig;
  constexpr be32 other = ipv4_addr("203.0.113.6");
  auto const way_to = [&](be32 daddr) {
    flowi4 fl4{.daddr = daddr};
    auto const rt = ip_route_output_key(rig.net(), fl4);
    REQUIRE(rt);
    return *rt;
  };
  rtable* const before = way_to(far);
  CHECK(way_to(other) == before);
  CHECK(ip_rt_is_plain(rig.net(), *before));
  bool const redirected = GENERATE(false, true);
  if (redirected)
    rig.redirect(other_gateway);
  else
    rig.frag_needed(1400);
  CHECK(before->obsolete);  // whoever keeps it finds its own way again
  CHECK(way_to(far) != way_to(other));
  CHECK_FALSE(ip_rt_is_plain(rig.net(), *way_to(far)));
  CHECK(ip_rt_is_plain(rig.net(), *way_to(other)));
  CHECK(rig.mtu(other) == 1500);
  // A second such destination takes the way of the first.
  rig.frag_needed(1300, ipv4_addr("203.0.113.7"));
  CHECK(rig.mtu(ipv4_addr("203.0.113.7")) == 1300);
  CHECK(rig.mtu(far) == (redirected ? 1500 : 1400));
  CHECK(way_to(ipv4_addr("203.0.113.7")) == way_to(far));
  CHECK(ip_rt_is_plain(rig.net(), *way_to(other)));
  // What is learnt again of one of them leaves all ways as they are.
  rtable* const now = way_to(other);
  rig.frag_needed(1200, ipv4_addr("203.0.113.7"));
  CHECK(way_to(other) == now);
  CHECK_FALSE(now->obsolete);
  rig.run_for(601'000'000'000);
  CHECK(ip_rt_is_plain(rig.net(), *way_to(far)) == !redirected);  // an MTU is forgotten
}

TEST_CASE("strangers cannot use up the ways by what they tell of paths", "[S133]") {
  path_rig rig;
  auto& w = detail::rt_slab(rig.net().worker());
  // A socket that sleeps keeps the way it had: one for each thing that was learnt meanwhile.
  std::vector<rtable*> kept;
  auto const most = static_cast<u32>(w.entries.capacity());
  for (u32 i = 0; i != most; ++i) {
    be32 const daddr{far.host() + 16 + i};
    flowi4 fl4{.daddr = daddr};
    auto const rt = ip_route_output_key(rig.net(), fl4);
    REQUIRE(rt);
    dst_hold(**rt);
    kept.push_back(*rt);
    rig.frag_needed(1400, daddr);
    CHECK(rig.mtu(daddr) == 1400);
  }
  CHECK(w.entries.in_use() <= most / 2 + 1);
  for (rtable* rt : kept) dst_release(*rt);
}

TEST_CASE("an attacker cannot make us send tiny datagrams", "[RFC5927]") {
  path_rig rig;
  for (u16 const mtu : {u16{0}, u16{1}, u16{68}, u16{551}}) {
    rig.frag_needed(mtu);
    CHECK(rig.mtu() == 552);
  }
  path_rig quiet;
  REQUIRE(sysctl_write(quiet.net(), "net/ipv4/ip_no_pmtu_disc", "2"));
  quiet.frag_needed(1000);
  CHECK(quiet.mtu() == 1500);
}

TEST_CASE("a redirect from the gateway in use is followed", "[S118]") {
  path_rig rig;
  CHECK(rig.next_hop() == peer_mac);
  rig.redirect(other_gateway);
  CHECK(rig.next_hop() == mac_addr{{2, 0, 0, 0, 0, 0x20}});
  // Another destination still goes the old way.
  REQUIRE(rig.send({.daddr = ipv4_addr("203.0.113.77")}, {.protocol = 99}, bytes(1)));
  CHECK(rig.sent().at(0).eth().h_dest == peer_mac);
  // The new gateway may redirect again, the old one may not any more.
  rig.redirect(ipv4_addr("192.0.2.30"));
  CHECK(rig.next_hop() == mac_addr{{2, 0, 0, 0, 0, 0x20}});
}

TEST_CASE("redirects that are not believed", "[S118]") {
  path_rig rig;
  rig.redirect(other_gateway, ipv4_addr("192.0.2.66"));             // not our gateway
  rig.redirect(ipv4_addr("198.51.100.1"));                          // not on our link
  rig.redirect(our_addr);                                           // ourselves
  rig.redirect(peer_addr);                                          // itself
  rig.redirect(ipv4_addr("192.0.2.255"));                           // no station
  rig.redirect(other_gateway, peer_addr, ipv4_addr("192.0.2.77"));  // a neighbour needs no gateway
  CHECK(rig.next_hop() == peer_mac);
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/all/accept_redirects", "0"));
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/eth0/accept_redirects", "0"));
  rig.redirect(other_gateway);
  CHECK(rig.next_hop() == peer_mac);
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/eth0/accept_redirects", "1"));
  rig.redirect(other_gateway);
  CHECK(rig.next_hop() == mac_addr{{2, 0, 0, 0, 0, 0x20}});
}
