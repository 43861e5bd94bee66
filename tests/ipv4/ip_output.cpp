// SPDX-License-Identifier: BSL-1.0
// The header of a datagram of ours, its identification, what is too large, and copies for this host.
#include "netstack/ipv4/ip_output.hpp"

#include <algorithm>
#include <set>

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// Protocol 99 counts what is looped back to this host.
struct looped {
  u32 calls = 0;
  pkt_type kind = pkt_type::host;
  u32 iif = 0;
};
struct listener : module {
  using pernet = looped;
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& l = net_generic<listener>(net);
    ++l.calls;
    l.kind = skb.pkt_type;
    l.iif = IPCB(skb).iif;
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array net_protocols{net_protocol<Net>{.protocol = 99, .handler = rcv<Net>, .name = "listener"}};
};
struct listening_host : rig_stack<listening_host, listener> {};

constexpr ip_tx plain{.protocol = 99};

}  // namespace

TEST_CASE("the header says what was asked", "[S53][S137]") {
  ip_rig<> rig;
  REQUIRE(rig.send({.daddr = peer_addr}, {.ttl = 7, .tos = 0xb8, .protocol = 99}, bytes(33, 4)));
  REQUIRE(rig.send({.daddr = peer_addr}, plain, {}));
  rig.ns().sysctl_ip_default_ttl = 100;
  REQUIRE(rig.send({.daddr = peer_addr}, plain, bytes(1)));
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 3);
  for (auto const& f : sent) {
    CHECK(f.is_sound());
    CHECK(f.ip().version() == 4);
    CHECK(f.ip().protocol == 99);
    CHECK(f.ip().saddr == our_addr);
    CHECK(f.ip().daddr == peer_addr);
    CHECK(f.ip().frag_off.host() == ip_df);
    CHECK(f.ip().id.host() == 0);  // RFC 6864: an atomic datagram's means nothing
    CHECK(f.eth().h_dest == peer_mac);
  }
  CHECK(sent[0].ip().ttl == 7);
  CHECK(sent[0].ip().tos == 0xb8);
  CHECK(sent[0].payload() == bytes(33, 4));
  CHECK(sent[1].ip().ttl == 64);
  CHECK(sent[2].ip().ttl == 100);
  CHECK(rig.ip().OutRequests.read() == 3);
  CHECK(rig.ip().OutTransmits.read() == 3);
  CHECK(rig.ip().OutOctets.read() == 53 + 20 + 21);
}

TEST_CASE("DF by IP_MTU_DISCOVER and ip_no_pmtu_disc", "[S137]") {
  ip_rig<> rig;
  auto const df = [&](ip_pmtudisc mode) {
    REQUIRE(rig.send({.daddr = peer_addr}, {.protocol = 99, .pmtudisc = mode}, bytes(1)));
    return (rig.sent().at(0).ip().frag_off.host() & ip_df) != 0;
  };
  CHECK_FALSE(df(ip_pmtudisc::dont));
  CHECK(df(ip_pmtudisc::want));
  CHECK(df(ip_pmtudisc::do_));
  CHECK(df(ip_pmtudisc::probe));
  CHECK_FALSE(df(ip_pmtudisc::interface));
  CHECK_FALSE(df(ip_pmtudisc::omit));
  rig.ns().sysctl_ip_no_pmtu_disc = 1;
  CHECK_FALSE(df(ip_pmtudisc::want));
  CHECK(df(ip_pmtudisc::do_));
}

TEST_CASE("identifications: each destination its own sequence, none predictable, none twice soon", "[S133]") {
  ip_rig<> rig;
  be32 const other = ipv4_addr("192.0.2.10");
  rig.know(*rig.eth0, other, peer_mac);
  auto const id = [&](be32 to) {
    REQUIRE(rig.send({.daddr = to}, {.protocol = 99, .pmtudisc = ip_pmtudisc::dont}, {}));
    return rig.sent().at(0).ip().id.host();
  };
  std::vector<u16> a, b;
  for (int i = 0; i < 2000; ++i) {
    a.push_back(id(peer_addr));
    if (i % 7 == 0) b.push_back(id(other));  // what goes to one does not move the other
  }
  CHECK(std::set<u16>(a.begin(), a.end()).size() == a.size());
  CHECK(std::set<u16>(b.begin(), b.end()).size() == b.size());
  // No constant step, as a counter would have.
  std::set<u16> steps;
  for (std::size_t i = 1; i < a.size(); ++i) steps.insert(static_cast<u16>(a[i] - a[i - 1]));
  CHECK(steps.size() > 100);
  // Another boot, another order.
  ip_rig<> again(2);
  std::vector<u16> c;
  for (int i = 0; i < 100; ++i) {
    REQUIRE(again.send({.daddr = peer_addr}, {.protocol = 99, .pmtudisc = ip_pmtudisc::dont}, {}));
    c.push_back(again.sent().at(0).ip().id.host());
  }
  CHECK_FALSE(std::equal(c.begin(), c.end(), a.begin()));
}

TEST_CASE("what the path does not carry is refused before it is sent", "[S137]") {
  ip_rig<> rig;
  for (auto const mode : {ip_pmtudisc::want, ip_pmtudisc::do_, ip_pmtudisc::dont, ip_pmtudisc::probe}) {
    ip_tx const tx{.protocol = 99, .pmtudisc = mode};
    CHECK(rig.send({.daddr = peer_addr}, tx, bytes(1480)));
    auto const r = rig.send({.daddr = peer_addr}, tx, bytes(1481));
    REQUIRE_FALSE(r);
    CHECK(r.error() == std::errc::message_size);
  }
  CHECK(rig.ip().FragFails.read() == 4);
  CHECK(rig.drops(drop_reason::ip_too_big) == 4);
  // A path MTU below the link's; probing ignores it, and so does what routers may cut.
  ipv4_update_pmtu(rig.net(), peer_addr, 1000);
  CHECK_FALSE(rig.send({.daddr = peer_addr}, plain, bytes(981)));
  CHECK(rig.send({.daddr = peer_addr}, plain, bytes(980)));
  CHECK(rig.send({.daddr = peer_addr}, {.protocol = 99, .pmtudisc = ip_pmtudisc::probe}, bytes(1480)));
  CHECK(rig.send({.daddr = peer_addr}, {.protocol = 99, .pmtudisc = ip_pmtudisc::dont}, bytes(1480)));
  rig.still_alive();
}

TEST_CASE("a path that carries less than we make datagrams for may cut them: net/ipv4/route/min_pmtu", "[S133][S137]") {
  ip_rig<> rig;
  auto const df = [&](ip_pmtudisc mode, std::size_t len) {
    REQUIRE(rig.send({.daddr = peer_addr}, {.protocol = 99, .pmtudisc = mode}, bytes(len)));
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].is_sound());
    return sent[0].ip().frag_off == be16{ip_df};
  };
  ipv4_update_pmtu(rig.net(), peer_addr, 552);
  CHECK(df(ip_pmtudisc::want, 532));
  ipv4_update_pmtu(rig.net(), peer_addr, 300);
  CHECK_FALSE(df(ip_pmtudisc::want, 532));
  CHECK_FALSE(rig.send({.daddr = peer_addr}, plain, bytes(533)));
  CHECK(df(ip_pmtudisc::do_, 532));
  rig.clock.now += 601'000'000'000;
  rig.run();
  CHECK(df(ip_pmtudisc::want, 1480));
  rig.still_alive();
}

TEST_CASE("options go between header and data", "[S137]") {
  ip_rig<> rig;
  bytes const alert{ipopt::ra, 4, 0, 0};
  REQUIRE(rig.send({.daddr = peer_addr}, {.protocol = 99, .options = alert.data(), .optlen = 4}, bytes(3, 1)));
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].ip().ihl() == 6);
  CHECK(sent[0].is_sound());
  CHECK(sent[0].options() == alert);
  CHECK(sent[0].payload() == bytes(3, 1));
}

TEST_CASE("broadcasts and groups go to the link's addresses, and home as well", "[S137]") {
  ip_rig<listening_host> rig;
  auto& heard = net_generic<listener>(rig.net());
  u32 const oif = rig.eth0->ifindex;
  REQUIRE(rig.send({.daddr = inaddr_broadcast, .oif = oif, .broadcast_ok = true}, plain, bytes(2)));
  rig.run();
  CHECK(heard.calls == 1);
  CHECK(heard.kind == pkt_type::loopback);
  CHECK(heard.iif == oif);
  REQUIRE(rig.send({.daddr = ipv4_addr("192.0.2.255"), .broadcast_ok = true}, plain, bytes(2)));
  rig.run();
  CHECK(heard.calls == 2);
  REQUIRE(rig.send({.daddr = inaddr_allhosts_group, .oif = oif}, plain, bytes(2)));
  rig.run();
  CHECK(heard.calls == 3);
  // Not a member; or a member that does not want its own.
  REQUIRE(rig.send({.daddr = ipv4_addr("224.1.2.3"), .oif = oif}, plain, bytes(2)));
  REQUIRE(rig.send({.daddr = inaddr_allhosts_group, .oif = oif}, {.protocol = 99, .mc_loop = false}, bytes(2)));
  rig.run();
  CHECK(heard.calls == 3);

  auto const sent = rig.sent();
  REQUIRE(sent.size() == 5);
  CHECK(sent[0].eth().h_dest == mac_broadcast);
  CHECK(sent[0].ip().ttl == 64);
  CHECK(sent[1].eth().h_dest == mac_broadcast);
  CHECK(sent[2].eth().h_dest == mac_addr{{1, 0, 0x5e, 0, 0, 1}});
  CHECK(sent[2].ip().ttl == 1);  // RFC 1112 §6.1
  CHECK(sent[3].eth().h_dest == mac_addr{{1, 0, 0x5e, 1, 2, 3}});
  CHECK(rig.ip().OutBcastPkts.read() == 2);
  CHECK(rig.ip().OutMcastPkts.read() == 3);
  CHECK(rig.ip().OutBcastOctets.read() == 44);
  CHECK(rig.ip().OutMcastOctets.read() == 66);
  CHECK(rig.host.worker().pool.in_use() == 0);
}

TEST_CASE("mark and priority are the packet's") {
  ip_rig<> rig;
  flowi4 fl4{.daddr = peer_addr};
  auto rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  (*rt)->output = dst_out::none;  // stops behind LOCAL_OUT, where the packet can be looked at
  sk_buff* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  skb_get(*skb);
  CHECK_FALSE(ip_send_skb(rig.net(), *skb, **rt, fl4, {.protocol = 99, .mark = 0xabcd, .priority = 6}));
  CHECK(skb->mark == 0xabcd);
  CHECK(skb->priority == 6);
  consume_skb(*skb);
}

TEST_CASE("a link without addresses is sent bare datagrams", "[S137]") {
  ip_rig<> rig;
  net_device* tun = rig.add_device(rig_dev::params{.type = arphrd::none}, "198.51.100.1/24");
  REQUIRE(rig.send({.daddr = ipv4_addr("198.51.100.9")}, plain, bytes(5, 5)));
  auto const sent = rig.sent(*tun);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].frame.size() == 25);
  CHECK(sent[0].is_sound());
  rig.inject(
      {.saddr = ipv4_addr("198.51.100.9"), .daddr = ipv4_addr("198.51.100.1"), .payload = echo_request(1, 1, bytes(8))},
      {}, tun);
  auto const reply = rig.sent(*tun);
  REQUIRE(reply.size() == 1);
  CHECK(reply[0].icmp().type == icmp_type::echoreply);
}

TEST_CASE("a next hop that does not answer: host unreachable comes home", "[S137]") {
  ip_rig<> rig;
  REQUIRE(rig.send({.daddr = ipv4_addr("192.0.2.66")}, plain, bytes(8)));
  rig.run_for(5'000'000'000);
  CHECK(rig.ns().mib.icmpmsg_statistics.OutType[3].read() == 1);
  CHECK(rig.ns().mib.icmpmsg_statistics.InType[3].read() == 1);
  CHECK(rig.host.worker().pool.in_use() == 0);
}
