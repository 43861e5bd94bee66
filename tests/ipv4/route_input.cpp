// SPDX-License-Identifier: BSL-1.0
// What a received datagram's addresses lead to: here, through, to many, or nowhere; and who may not have sent it.
#include "netstack/ipv4/route_input.hpp"

#include "netstack/skb/skb_ptr.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct counted {
  u32 local = 0, broadcast = 0, multicast = 0;
};
/// Protocol 253 counts by the kind of route that brought it.
struct probe : module {
  using pernet = counted;
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& c = net_generic<probe>(net);
    switch (skb_rtable(skb)->rt_type) {
      case rtn::local: ++c.local; break;
      case rtn::broadcast: ++c.broadcast; break;
      case rtn::multicast: ++c.multicast; break;
      default: break;
    }
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array net_protocols{net_protocol<Net>{.protocol = 253, .handler = rcv<Net>, .name = "probe"}};
};
struct probe_host : rig_stack<probe_host, probe> {};

struct input_rig : ip_rig<probe_host> {
  net_device* eth1;
  input_rig() : eth1(add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24")) {
    know(*eth1, ipv4_addr("198.51.100.9"), peer_mac);
  }
  counted& seen() { return net_generic<probe>(net()); }
  void from_to(char const* saddr, char const* daddr, mac_addr const& mac = our_mac, net_device* dev = nullptr) {
    inject({.saddr = ipv4_addr(saddr), .daddr = ipv4_addr(daddr), .protocol = 253, .payload = bytes(8)}, mac, dev);
  }
  void router() { in_dev_get(*eth0)->cnf.forwarding = in_dev_get(*eth1)->cnf.forwarding = 1; }
};

}  // namespace

TEST_CASE("each outcome of an input look-up", "[S137]") {
  input_rig rig;
  SECTION("local, by whatever device it comes") {
    rig.from_to("192.0.2.9", "192.0.2.1");
    rig.from_to("192.0.2.9", "198.51.100.1");  // the weak host model, as in Linux
    CHECK(rig.seen().local == 2);
  }
  SECTION("broadcasts: limited, directed, and the one before there is an address") {
    rig.from_to("192.0.2.9", "255.255.255.255", mac_broadcast);
    rig.from_to("192.0.2.9", "192.0.2.255", mac_broadcast);
    rig.from_to("0.0.0.0", "255.255.255.255", mac_broadcast);
    rig.from_to("0.0.0.0", "0.0.0.0", mac_broadcast);
    CHECK(rig.seen().broadcast == 4);
    CHECK(rig.ip().InBcastPkts.read() == 4);
    CHECK(rig.ip().InBcastOctets.read() == 4 * 28);
  }
  SECTION("groups: all-hosts is heard, others are not") {
    rig.from_to("192.0.2.9", "224.0.0.1", mac_addr{{1, 0, 0x5e, 0, 0, 1}});
    rig.from_to("0.0.0.0", "224.0.0.1", mac_addr{{1, 0, 0x5e, 0, 0, 1}});
    CHECK(rig.seen().multicast == 2);
    CHECK(rig.ip().InMcastPkts.read() == 2);
    rig.from_to("192.0.2.9", "224.0.0.2", mac_addr{{1, 0, 0x5e, 0, 0, 2}});
    CHECK(rig.seen().multicast == 2);
  }
  SECTION("somebody else's, on a host: dropped silently") {
    rig.from_to("192.0.2.9", "203.0.113.1");
    CHECK(rig.drops(drop_reason::ip_addrerrors) == 1);
    CHECK(rig.ip().InAddrErrors.read() == 1);
    CHECK(rig.sent().empty());
  }
  SECTION("somebody else's, on a router: forwarded") {
    rig.router();
    rig.from_to("192.0.2.9", "198.51.100.9");
    auto const sent = rig.sent(*rig.eth1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].ip().ttl == 63);
  }
  SECTION("no route, on a router: net unreachable") {
    rig.router();
    rig.from_to("192.0.2.9", "203.0.113.1");
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].icmp().type == icmp_type::dest_unreach);
    CHECK(sent[0].icmp().code == icmp_code::net_unreach);
    CHECK(rig.ip().InNoRoutes.read() == 1);
  }
  SECTION("no route, again and again: the sender is told at a rate of its own") {
    rig.router();
    rig.ns().sysctl_icmp_ratemask = 0;
    auto const told = [&](u32 n) {
      for (u32 i = 0; i < n; ++i) rig.from_to("192.0.2.9", "203.0.113.1");
      return rig.sent().size();
    };
    CHECK(told(20) == 5);  // error_burst, of which each costs error_cost
    rig.run_for(2'000'000'000);
    CHECK(told(20) == 2);
    CHECK(rig.ip().InNoRoutes.read() == 40);
    REQUIRE(sysctl_write(rig.net(), "net/ipv4/route/error_cost", "0"));
    CHECK(told(20) == 20);
  }
  SECTION("routes that refuse, on a router") {
    rig.router();
    auto const add = [&](char const* dst, rtn type) {
      REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 32, .fc_type = type, .fc_dst = ipv4_addr(dst)}));
    };
    add("203.0.113.1", rtn::unreachable);
    add("203.0.113.2", rtn::prohibit);
    add("203.0.113.3", rtn::blackhole);
    add("203.0.113.4", rtn::throw_);
    auto const code = [&](char const* dst) {
      rig.run_for(10'000'000'000);  // so that none is one error too many
      rig.from_to("192.0.2.9", dst);
      auto const sent = rig.sent();
      return sent.empty() ? -1 : int{sent[0].icmp().code};
    };
    CHECK(code("203.0.113.1") == icmp_code::host_unreach);
    CHECK(code("203.0.113.2") == icmp_code::pkt_filtered);
    CHECK(code("203.0.113.3") == -1);
    CHECK(code("203.0.113.4") == icmp_code::net_unreach);
    CHECK(rig.drops(drop_reason::ip_prohibit) == 1);
    CHECK(rig.drops(drop_reason::ip_blackhole) == 1);
    CHECK(rig.ip().InAddrErrors.read() == 1);
    CHECK(rig.ip().InNoRoutes.read() == 1);
  }
  rig.still_alive();
}

TEST_CASE("addresses that may not be on a wire", "[S137][LAND]") {
  struct {
    char const *saddr, *daddr;
    drop_reason reason;
  } const martians[] = {
      {"224.0.0.1", "192.0.2.1", drop_reason::ip_invalid_source},
      {"255.255.255.255", "192.0.2.1", drop_reason::ip_invalid_source},
      {"0.0.0.0", "192.0.2.1", drop_reason::ip_invalid_source},
      {"0.1.2.3", "192.0.2.1", drop_reason::ip_invalid_source},
      {"192.0.2.9", "0.0.0.0", drop_reason::ip_invalid_dest},
      {"192.0.2.9", "0.1.2.3", drop_reason::ip_invalid_dest},
      {"127.0.0.1", "192.0.2.1", drop_reason::ip_localnet},
      {"192.0.2.9", "127.0.0.1", drop_reason::ip_localnet},
      {"192.0.2.1", "192.0.2.1", drop_reason::ip_local_source},     // LAND: from us to us
      {"198.51.100.1", "192.0.2.1", drop_reason::ip_local_source},  // from another address of ours
      {"224.0.0.1", "224.0.0.1", drop_reason::ip_invalid_source},
      {"127.0.0.1", "224.0.0.1", drop_reason::ip_localnet},
      {"192.0.2.1", "224.0.0.1", drop_reason::ip_local_source},
      {"192.0.2.1", "255.255.255.255", drop_reason::ip_local_source},
      {"192.0.2.9", "224.1.2.3", drop_reason::ip_invalid_dest},
  };
  for (bool const forwarding : {false, true}) {
    input_rig rig;
    if (forwarding) rig.router();
    for (auto const& m : martians) {
      INFO(m.saddr << " to " << m.daddr);
      u64 const before = rig.drops(m.reason);
      rig.from_to(m.saddr, m.daddr);
      CHECK(rig.drops(m.reason) == before + 1);
    }
    CHECK(rig.seen().local + rig.seen().broadcast + rig.seen().multicast == 0);
    CHECK(rig.sent().empty());
    rig.still_alive();
  }
}

TEST_CASE("route_localnet and accept_local let in what they name", "[S137]") {
  input_rig rig;
  in_dev_get(*rig.eth0)->cnf.accept_local = 1;
  rig.from_to("198.51.100.1", "192.0.2.1");
  CHECK(rig.seen().local == 1);
  in_dev_get(*rig.eth0)->cnf.route_localnet = 1;
  rig.from_to("192.0.2.9", "127.0.0.1");
  CHECK(rig.seen().local == 2);
}

TEST_CASE("reverse path filter: strict, loose, and the larger of device and all", "[S137]") {
  input_rig rig;
  auto const set = [&](char const* where, char const* mode) {
    REQUIRE(sysctl_write(rig.net(), std::string("net/ipv4/conf/") + where + "/rp_filter", mode));
  };
  auto const let_in = [&](char const* saddr) {
    u32 const before = rig.seen().local;
    rig.from_to(saddr, "192.0.2.1");
    return rig.seen().local == before + 1;
  };
  CHECK(let_in("198.51.100.77"));  // eth1's subnet, by eth0
  set("eth0", "1");                // heard at once, also by a flow that was let in before
  CHECK_FALSE(let_in("198.51.100.77"));
  CHECK(rig.drops(drop_reason::ip_rpfilter) == 1);
  CHECK(rig.ns().mib.net_statistics.IPReversePathFilter.read() == 1);
  CHECK(let_in("192.0.2.77"));
  CHECK_FALSE(let_in("203.0.113.1"));  // no way back at all
  CHECK_FALSE(let_in("198.51.100.1"));
  CHECK(rig.drops(drop_reason::ip_local_source) == 1);
  set("eth0", "2");
  CHECK(let_in("198.51.100.77"));
  CHECK_FALSE(let_in("203.0.113.1"));
  set("eth0", "0");
  set("all", "1");
  CHECK_FALSE(let_in("198.51.100.77"));
  rig.still_alive();
}

TEST_CASE("a unicast destination in a link-layer broadcast", "[S137]") {
  input_rig rig;
  rig.from_to("192.0.2.9", "192.0.2.1", mac_broadcast);
  CHECK(rig.seen().local == 1);  // as in Linux, unless
  in_dev_get(*rig.eth0)->cnf.drop_unicast_in_l2_multicast = 1;
  rig.from_to("192.0.2.9", "192.0.2.1", mac_broadcast);
  CHECK(rig.seen().local == 1);
  CHECK(rig.drops(drop_reason::ip_unicast_l2mcast) == 1);
  // It is never forwarded (RFC 1812 §5.3.4).
  rig.router();
  in_dev_get(*rig.eth0)->cnf.drop_unicast_in_l2_multicast = 0;
  rig.from_to("192.0.2.9", "198.51.100.9", mac_broadcast);
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_unicast_l2mcast) == 2);
}

TEST_CASE("a burst's memory is not believed for another flow, or after a change", "[S137]") {
  input_rig rig;
  auto& net = rig.net();
  route_hint hint{};
  auto const route = [&](char const* saddr, char const* daddr) {
    bytes const packet = datagram{.saddr = ipv4_addr(saddr), .daddr = ipv4_addr(daddr), .protocol = 253}.build();
    skb_ptr skb{rig.host.worker().pool.alloc_skb()};
    std::memcpy(skb->put(20), packet.data(), 20);
    skb->dev = rig.eth0;
    skb->pkt_type = pkt_type::host;
    skb->reset_network_header();
    auto const why = ip_route_input_noref(net, *skb, &hint);
    return why ? std::string("dropped") : skb_rtable(*skb)->rt_type == rtn::local ? "local" : "other";
  };
  CHECK(route("192.0.2.9", "192.0.2.1") == "local");
  CHECK(hint.rt != nullptr);
  CHECK(route("192.0.2.9", "192.0.2.1") == "local");
  CHECK(route("192.0.2.1", "192.0.2.1") == "dropped");  // same destination, a forged source
  CHECK(route("192.0.2.9", "203.0.113.1") == "dropped");
  CHECK(route("192.0.2.9", "192.0.2.1") == "local");
  REQUIRE(inet_addr_del(net, rig.eth0->ifindex, ipv4_cidr("192.0.2.1/24")));
  CHECK(route("192.0.2.9", "192.0.2.1") == "dropped");
}
