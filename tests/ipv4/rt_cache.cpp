// SPDX-License-Identifier: BSL-1.0
// How long a cached way lives: shared while nothing changes, marked when something does, freed with its last holder.
#include "netstack/ipv4/rt_cache.hpp"

#include "netstack/core/dev_config.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

template <class Rig>
u32 in_use(Rig& rig) {
  detail::rt_reclaim(rig.host.worker(), true);
  return detail::rt_slab(rig.host.worker()).entries.in_use();
}
template <class Rig>
rtable& way(Rig& rig, char const* daddr) {
  flowi4 fl4{.daddr = ipv4_addr(daddr)};
  auto rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  return **rt;
}

}  // namespace

TEST_CASE("one way serves all destinations of a route, until anything changes", "[S44]") {
  ip_rig<> rig;
  auto& net = rig.net();
  rtable& first = way(rig, "192.0.2.9");
  CHECK(&way(rig, "192.0.2.77") == &first);
  CHECK_FALSE(first.obsolete);
  dst_hold(first);
  SECTION("a route") { REQUIRE(ip_route_add(net, {.fc_gw4 = peer_addr})); }
  SECTION("an address") { REQUIRE(inet_addr_add(net, rig.eth0->ifindex, ipv4_cidr("192.0.2.3/24"))); }
  SECTION("an address that goes") { REQUIRE(inet_addr_del(net, rig.eth0->ifindex, ipv4_cidr("192.0.2.1/24"))); }
  SECTION("a device going down") {
    dev_close(net, *rig.eth0);
    CHECK_FALSE(rig.eth0->flags & iff::up);
  }
  SECTION("the MTU") { REQUIRE(dev_set_mtu(net, *rig.eth0, 1400)); }
  CHECK(first.obsolete);
  CHECK(first.slot == nullptr);
  u32 const held = in_use(rig);
  dst_release(first);
  CHECK(in_use(rig) == held - 1);
}

TEST_CASE("a packet in a queue keeps the way of a route that was deleted", "[S44]") {
  ip_rig<> rig;
  auto& net = rig.net();
  REQUIRE(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_gw4 = ipv4_addr("192.0.2.66")}));
  // The gateway does not answer: the datagram waits for it, holding its way.
  REQUIRE(rig.send({.daddr = ipv4_addr("203.0.113.1")}, {.protocol = 99}, bytes(8)));
  rig.run();
  CHECK(rig.sent().size() == 1);  // the question
  CHECK(rig.host.worker().pool.in_use() == 1);
  rtable& rt = way(rig, "203.0.113.1");
  CHECK(rt.refcnt == 2);  // the cache's and the packet's
  REQUIRE(ip_route_del(net, {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0")}));
  CHECK(rt.obsolete);
  CHECK(rt.refcnt == 1);
  // It still goes where it was meant to go, once the gateway is known.
  rig.know(*rig.eth0, ipv4_addr("192.0.2.66"), peer_mac);
  rig.run();
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].ip().daddr == ipv4_addr("203.0.113.1"));
  CHECK(rig.host.worker().pool.in_use() == 0);
  (void)in_use(rig);
  CHECK(detail::rt_slab(rig.host.worker()).live.size() == in_use(rig));
}

TEST_CASE("a borrowed way stays readable until the next poll", "[S44]") {
  ip_rig<> rig;
  rtable& rt = way(rig, "192.0.2.9");
  sk_buff* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  skb_dst_set_noref(*skb, rt);
  CHECK(rt.refcnt == 1);
  REQUIRE(ip_route_add(rig.net(), {.fc_gw4 = peer_addr}));  // the cache lets go of it
  CHECK(rt.refcnt == 0);
  CHECK(rt.obsolete);
  CHECK(skb_rtable(*skb)->dev == rig.eth0);
  // A new way does not take its memory within this poll.
  CHECK(&way(rig, "192.0.2.9") != &rt);
  consume_skb(*skb);
  rig.clock.advance(1);
  rig.run();
  (void)way(rig, "127.0.0.1");
  CHECK(detail::rt_slab(rig.host.worker()).dead.empty());
}

TEST_CASE("borrowed becomes held before a packet is queued", "[S44]") {
  ip_rig<> rig;
  rtable& rt = way(rig, "192.0.2.9");
  sk_buff* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  skb_dst_set_noref(*skb, rt);
  skb_dst_force(*skb);
  CHECK(rt.refcnt == 2);
  sk_buff* twin = skb_clone(*skb);
  REQUIRE(twin);
  CHECK(rt.refcnt == 3);
  consume_skb(*twin);
  CHECK(rt.refcnt == 2);
  rt_cache_flush(rig.net());
  CHECK(rt.refcnt == 1);
  u32 const before = in_use(rig);
  consume_skb(*skb);
  CHECK(in_use(rig) == before - 1);
}

TEST_CASE("a device that goes takes itself out of the ways that are still held", "[S44]") {
  ip_rig<> rig;
  rtable& rt = way(rig, "192.0.2.9");
  dst_hold(rt);
  sk_buff* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  unregister_netdev(rig.net(), *rig.eth0);
  CHECK(rt.dev == nullptr);
  CHECK(rt.obsolete);
  // Whoever sends by it all the same is told.
  auto const r = ip_send_skb(rig.net(), *skb, rt, {.daddr = peer_addr}, {.protocol = 99});
  REQUIRE_FALSE(r);
  CHECK(r.error() == std::errc::network_unreachable);
  dst_release(rt);
  CHECK(rig.host.worker().pool.in_use() == 0);
}

TEST_CASE("every way in use: refused for this poll, room again in the next", "[S44]") {
  ip_rig<> rig;
  auto& net = rig.net();
  auto& slab = detail::rt_slab(rig.host.worker());
  std::vector<rtable*> slots(slab.entries.capacity() + 1);
  std::size_t n = 0;
  while (n < slots.size() && rt_dst_alloc(net, slots[n], *rig.eth0)) ++n;
  CHECK(n < slots.size());
  CHECK(slab.entries.failures() == 1);
  CHECK(slots[0] == nullptr);  // the caches were emptied
  rig.clock.advance(1);
  rig.run();
  rig.still_alive();
}

TEST_CASE("a namespace that goes leaves the slabs as they were", "[S44]") {
  ip_rig<> rig;
  auto& worker = rig.host.worker();
  u32 const ways = in_use(rig);
  auto& state = worker_generic<ipv4>(worker);
  u32 const routes = state.routes.infos.in_use(), addrs = state.in_ifaddrs.in_use(), devs = state.in_devices.in_use(),
            socks = state.icmp_socks.in_use();
  for (int i = 0; i < 3; ++i) {
    auto other = rig.host.copy_net_ns();
    REQUIRE(other);
    REQUIRE(dev_open(**other, *(*other)->loopback_dev));
    auto dev = register_netdev<rig_dev>(**other, "eth%d", rig_dev::params{});
    REQUIRE(dev);
    REQUIRE(dev_open(**other, **dev));
    REQUIRE(inet_addr_add(**other, (*dev)->ifindex, ipv4_cidr("192.0.2.1/24")));
    rig.inject({.payload = echo_request(1, 1, bytes(8))}, our_mac, *dev);  // waits for its next hop
    rig.host.put_net(**other);
    rig.run();
    unregister_netdev(rig.net(), *rig.net().dev_get_by_index((*dev)->ifindex));  // it came home to init_net
    rig.run();
    CHECK(in_use(rig) == ways);
    CHECK(state.routes.infos.in_use() == routes);
    CHECK(state.in_ifaddrs.in_use() == addrs);
    CHECK(state.in_devices.in_use() == devs);
    CHECK(state.icmp_socks.in_use() == socks);
    CHECK(worker.pool.in_use() == 0);
  }
  rig.still_alive();
}
