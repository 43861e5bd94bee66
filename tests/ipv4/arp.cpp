// SPDX-License-Identifier: BSL-1.0
// ARP from the wire: who is answered, what is learnt and from whom, asking and giving up, address conflicts, devices
// that change, and packets that no sane station sends.
#include "netstack/ipv4/arp.hpp"

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr u64 second = 1'000'000'000;
constexpr be32 asker = ipv4_addr("192.0.2.20");
constexpr mac_addr asker_mac{{2, 0, 0, 0, 0, 0x20}}, other_mac{{2, 0, 0, 0, 0, 0x21}};

struct arp_frame {
  u16 op = arpop::request;
  be32 sip = asker, tip = our_addr;
  mac_addr sha = asker_mac, tha{};
  mac_addr to = mac_broadcast;
  [[nodiscard]] bytes build() const {
    bytes out;
    append(out, ethhdr{to, sha, be16{eth_p::arp}});
    append(out, arphdr{.ar_op = be16{op}, .ar_sha = sha, .ar_sip = sip, .ar_tha = tha, .ar_tip = tip});
    return out;
  }
};

template <class Rig>
neighbour* entry(Rig& r, be32 addr) {
  u32 key[4]{addr.raw(), 0, 0, 0};
  return neigh_lookup(arp_cache(r.net()), key, *r.eth0);
}
arphdr arp_of(sent_frame const& f) {
  REQUIRE(f.eth().h_proto.host() == eth_p::arp);
  return f.at<arphdr>(eth_hlen);
}

}  // namespace

TEST_CASE("a request for our address is answered to the asker, and teaches us his", "[S84][S126]") {
  ip_rig<> r;
  r.receive(*r.eth0, arp_frame{}.build());
  auto const sent = r.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].eth().h_dest == asker_mac);
  CHECK(sent[0].eth().h_source == our_mac);
  arphdr const reply = arp_of(sent[0]);
  CHECK(reply.ar_op.host() == arpop::reply);
  CHECK(reply.ar_sha == our_mac);
  CHECK(reply.ar_sip == our_addr);
  CHECK(reply.ar_tha == asker_mac);
  CHECK(reply.ar_tip == asker);
  REQUIRE(entry(r, asker));
  CHECK(entry(r, asker)->ha == asker_mac);
  CHECK(entry(r, asker)->nud_state == nud::stale);
  r.still_alive();
}

TEST_CASE("a request for somebody else is neither answered nor learnt from, but refreshes who is known", "[S126]") {
  ip_rig<> r;
  r.receive(*r.eth0, arp_frame{.tip = ipv4_addr("192.0.2.77")}.build());
  CHECK(r.sent().empty());
  CHECK(entry(r, asker) == nullptr);
  CHECK(r.drops(drop_reason::arp_ignored) == 1);
  r.receive(*r.eth0, arp_frame{}.build());
  (void)r.sent();
  r.clock.now += 2 * second;
  r.receive(*r.eth0, arp_frame{.tip = ipv4_addr("192.0.2.77"), .sha = other_mac}.build());
  CHECK(r.sent().empty());
  CHECK(entry(r, asker)->ha == other_mac);  // RFC 826: the merge comes before asking whether we are the target
  r.still_alive();
}

TEST_CASE("an unasked reply teaches nothing unless arp_accept says so", "[S126][S128][URGENT/11]") {
  ip_rig<> r;
  arp_frame const gratuitous{.op = arpop::reply, .tip = asker, .tha = asker_mac};
  r.receive(*r.eth0, gratuitous.build());
  r.receive(*r.eth0, arp_frame{.op = arpop::reply, .to = our_mac}.build());
  CHECK(entry(r, asker) == nullptr);
  in_dev_get(*r.eth0)->cnf.arp_accept = 1;
  r.receive(*r.eth0, gratuitous.build());
  REQUIRE(entry(r, asker));
  CHECK(entry(r, asker)->nud_state == nud::stale);
  r.still_alive();
}

TEST_CASE("a datagram to an unknown neighbour waits for the answer", "[S125][S126]") {
  ip_rig<> r;
  REQUIRE(r.send({.daddr = asker, .proto = ipproto::udp}, {.protocol = ipproto::udp}, udp_message(1, 2, bytes(10))));
  auto sent = r.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].eth().h_dest == mac_broadcast);
  arphdr const request = arp_of(sent[0]);
  CHECK(request.ar_op.host() == arpop::request);
  CHECK(request.ar_sip == our_addr);
  CHECK(request.ar_tip == asker);
  CHECK(request.ar_tha.is_zero());
  r.receive(*r.eth0, arp_frame{.op = arpop::reply, .tha = our_mac, .to = our_mac}.build());
  sent = r.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].eth().h_dest == asker_mac);
  CHECK(sent[0].ip().daddr == asker);
  CHECK(sent[0].is_sound());
  CHECK(entry(r, asker)->nud_state == nud::reachable);
  r.still_alive();
}

TEST_CASE("nobody answers: three requests, then the sender hears host unreachable", "[S125][S126]") {
  ip_rig<> r;
  // A forwarded datagram's sender is told by ICMP; here the rig routes for the known peer.
  r.ns().devconf_all.forwarding = 1;
  in_dev_get(*r.eth0)->cnf.forwarding = 1;
  in_dev_get(*r.eth0)->cnf.send_redirects = 0;
  r.ns().devconf_all.send_redirects = 0;
  net_device* eth1 = r.add_device({.mac = {{2, 0, 0, 0, 1, 1}}}, "198.51.100.1/24");
  r.inject({.daddr = ipv4_addr("198.51.100.7"), .protocol = ipproto::udp, .payload = udp_message(1, 2, bytes(10))});
  CHECK(r.sent(*eth1).size() == 1);
  r.run_for(1500'000'000);
  CHECK(r.sent(*eth1).size() == 1);
  r.run_for(2 * second);
  CHECK(r.sent(*eth1).size() == 1);
  auto const told = r.sent(*r.eth0);
  REQUIRE(told.size() == 1);
  CHECK(told[0].icmp().type == icmp_type::dest_unreach);
  CHECK(told[0].icmp().code == icmp_code::host_unreach);
  CHECK(told[0].ip().daddr == peer_addr);
  CHECK(r.drops(drop_reason::neigh_failed) == 1);
  r.still_alive();
}

TEST_CASE("an address probe is answered if we have the address, and learnt from never", "[S126]") {
  ip_rig<> r;
  r.receive(*r.eth0, arp_frame{.sip = {}}.build());
  auto const sent = r.sent();
  REQUIRE(sent.size() == 1);
  CHECK(arp_of(sent[0]).ar_tip == be32{});
  CHECK(arp_of(sent[0]).ar_sip == our_addr);
  CHECK(entry(r, be32{}) == nullptr);
  r.receive(*r.eth0, arp_frame{.sip = {}, .tip = ipv4_addr("192.0.2.78")}.build());
  CHECK(r.sent().empty());
  r.still_alive();
}

TEST_CASE("our address claimed by another station is counted and defended once in ten seconds", "[S126]") {
  ip_rig<> r;
  arp_frame const claim{.sip = our_addr, .tip = our_addr};
  r.receive(*r.eth0, claim.build());
  auto sent = r.sent();
  REQUIRE(sent.size() == 1);
  arphdr const defence = arp_of(sent[0]);
  CHECK(defence.ar_sip == our_addr);
  CHECK(defence.ar_tip == our_addr);
  CHECK(defence.ar_sha == our_mac);
  CHECK(sent[0].eth().h_dest == mac_broadcast);
  r.run_for(5 * second);
  r.receive(*r.eth0, claim.build());
  CHECK(r.sent().empty());
  CHECK(r.ns().arp.conflicts.read() == 2);
  r.run_for(6 * second);
  r.receive(*r.eth0, claim.build());
  CHECK(r.sent().size() == 1);
  // Each address has its own ten seconds.
  be32 const second_addr = ipv4_addr("192.0.2.3");
  REQUIRE(inet_addr_add(r.net(), r.eth0->ifindex, ipv4_cidr("192.0.2.3/24")));
  r.run_for(second);
  (void)r.sent();
  r.receive(*r.eth0, arp_frame{.sip = second_addr, .tip = second_addr}.build());
  sent = r.sent();
  REQUIRE(sent.size() == 1);
  CHECK(arp_of(sent[0]).ar_sip == second_addr);
  // Our own announcement coming back is no conflict.
  r.receive(*r.eth0, arp_frame{.sip = our_addr, .tip = our_addr, .sha = our_mac}.build());
  CHECK(r.ns().arp.conflicts.read() == 4);
  CHECK(entry(r, our_addr) == nullptr);
  r.still_alive();
}

TEST_CASE("malformed packets are dropped under one reason and read no further", "[S126][Ripple20]") {
  ip_rig<> r;
  auto const dropped = [&](bytes const& frame) {
    u64 const before = r.drops(drop_reason::arp_hdr);
    r.receive(*r.eth0, frame);
    return r.drops(drop_reason::arp_hdr) == before + 1 && r.sent().empty();
  };
  bytes const good = arp_frame{}.build();
  for (std::size_t n = eth_hlen; n < good.size(); ++n)  // a runt of every length
    CHECK(dropped(bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n))));
  for (std::size_t at : {0u, 2u, 4u, 5u}) {  // hardware, protocol, and the two lengths
    bytes bad = good;
    bad[eth_hlen + at] ^= 0x40;
    CHECK(dropped(bad));
  }
  CHECK(dropped(arp_frame{.sip = ipv4_addr("224.0.0.1")}.build()));
  CHECK(dropped(arp_frame{.sip = ipv4_addr("255.255.255.255")}.build()));
  CHECK(dropped(arp_frame{.tip = ipv4_addr("127.0.0.1")}.build()));
  CHECK(dropped(arp_frame{.sip = ipv4_addr("127.0.0.1")}.build()));  // no reason to claim it on the wire
  CHECK(dropped(arp_frame{.tip = ipv4_addr("224.0.0.5")}.build()));
  CHECK(dropped(arp_frame{.sha = {{1, 0, 0x5e, 0, 0, 1}}}.build()));  // a group cannot be a station
  CHECK(dropped(arp_frame{.sha = {}}.build()));
  u64 const before = r.drops(drop_reason::arp_ignored);
  r.receive(*r.eth0, arp_frame{.op = arpop::rreply, .to = our_mac}.build());  // an unsolicited RARP reply
  r.receive(*r.eth0, arp_frame{.op = 0xffff}.build());
  CHECK(r.drops(drop_reason::arp_ignored) == before + 2);
  CHECK(entry(r, asker) == nullptr);
  r.still_alive();
}

TEST_CASE("a frame to another station's address is not ours to answer", "[S57][S126]") {
  ip_rig<> r;
  r.receive(*r.eth0, arp_frame{.to = other_mac}.build());
  CHECK(r.sent().empty());
  CHECK(entry(r, asker) == nullptr);
  r.still_alive();
}

TEST_CASE("arp_ignore: only for the device that has the address, only in its subnet, or never", "[S128]") {
  ip_rig<> r;
  r.add_device({.mac = {{2, 0, 0, 0, 1, 1}}}, "198.51.100.1/24");
  auto const answers = [&](be32 sip, be32 tip) {
    r.receive(*r.eth0, arp_frame{.sip = sip, .tip = tip}.build());
    return !r.sent(*r.eth0).empty();
  };
  auto& mode = in_dev_get(*r.eth0)->cnf.arp_ignore;
  be32 const elsewhere = ipv4_addr("198.51.100.1");
  CHECK(answers(asker, elsewhere));
  mode = 1;
  CHECK(!answers(asker, elsewhere));
  CHECK(answers(asker, our_addr));
  mode = 2;
  CHECK(answers(asker, our_addr));
  CHECK(!answers(ipv4_addr("203.0.113.5"), our_addr));
  mode = 8;
  CHECK(!answers(asker, our_addr));
  mode = 0;
  r.still_alive();
}

TEST_CASE("the first of two answers wins for locktime", "[S128]") {
  ip_rig<> r;
  REQUIRE(r.send({.daddr = asker, .proto = ipproto::udp}, {.protocol = ipproto::udp}, udp_message(1, 2, {})));
  r.receive(*r.eth0, arp_frame{.op = arpop::reply, .tha = our_mac, .to = our_mac}.build());
  r.clock.now += second / 2;
  r.receive(*r.eth0, arp_frame{.op = arpop::reply, .sha = other_mac, .tha = our_mac, .to = our_mac}.build());
  CHECK(entry(r, asker)->ha == asker_mac);
  r.clock.now += 2 * second;
  r.receive(*r.eth0, arp_frame{.op = arpop::reply, .sha = other_mac, .tha = our_mac, .to = our_mac}.build());
  CHECK(entry(r, asker)->ha == other_mac);
  // Who asks for us is who he says: a station that was just replaced is heard at once.
  r.receive(*r.eth0, arp_frame{}.build());
  CHECK(entry(r, asker)->ha == asker_mac);
  r.still_alive();
}

TEST_CASE("down or a new MAC address forgets what was learnt; a lost carrier keeps what was set by hand", "[S129]") {
  ip_rig<> r;
  auto const learn = [&] {
    r.receive(*r.eth0, arp_frame{}.build());
    (void)r.sent();
    REQUIRE(entry(r, asker));
  };
  learn();
  netif_carrier_off(r.net(), *r.eth0);
  CHECK(entry(r, asker) == nullptr);
  CHECK(entry(r, peer_addr) != nullptr);  // permanent
  netif_carrier_on(r.net(), *r.eth0);
  learn();
  r.eth0->dev_addr.bytes[5] ^= 1;
  r.net().call_netdevice_notifiers(netdev_event::changeaddr, *r.eth0);
  CHECK(entry(r, asker) == nullptr);
  r.eth0->dev_addr.bytes[5] ^= 1;
  r.net().call_netdevice_notifiers(netdev_event::changeaddr, *r.eth0);
  learn();
  CHECK(entry(r, asker)->from == r.eth0->dev_addr);  // what frames to it bear
  dev_close(r.net(), *r.eth0);
  CHECK(entry(r, asker) == nullptr);
  CHECK(entry(r, peer_addr) == nullptr);
  REQUIRE(dev_open(r.net(), *r.eth0));
  r.know(*r.eth0, peer_addr, peer_mac);
  r.still_alive();
}

TEST_CASE("groups and broadcasts need no question", "[S125]") {
  ip_rig<> r;
  CHECK(ip_eth_mc_map(ipv4_addr("224.129.3.4")) == mac_addr{{1, 0, 0x5e, 1, 3, 4}});
  neighbour* group = ip_neigh(r.net(), *r.eth0, ipv4_addr("239.1.2.3"));
  REQUIRE(group);
  CHECK(group->nud_state == nud::noarp);
  CHECK(group->ha == mac_addr{{1, 0, 0x5e, 1, 2, 3}});
  neighbour* all = ip_neigh(r.net(), *r.eth0, ipv4_addr("192.0.2.255"));
  REQUIRE(all);
  CHECK(all->ha == mac_broadcast);
  CHECK(r.sent().empty());
}

TEST_CASE("entries by hand: added, changed, refused, deleted", "[S125]") {
  ip_rig<> r;
  be32 const host = ipv4_addr("192.0.2.33");
  u32 const ifindex = r.eth0->ifindex;
  REQUIRE(neigh_add(r.net(), ifindex, host, other_mac));
  CHECK(entry(r, host)->nud_state == nud::permanent);
  r.receive(*r.eth0, arp_frame{.sip = host}.build());
  CHECK(entry(r, host)->ha == other_mac);  // the wire does not overrule the administrator
  REQUIRE(neigh_add(r.net(), ifindex, host, asker_mac));
  CHECK(entry(r, host)->ha == asker_mac);
  CHECK(neigh_add(r.net(), 99, host, asker_mac).error() == std::errc::no_such_device);
  CHECK(neigh_add(r.net(), ifindex, host, asker_mac, nud::failed).error() == std::errc::invalid_argument);
  REQUIRE(neigh_del(r.net(), ifindex, host));
  CHECK(neigh_del(r.net(), ifindex, host).error() == std::errc::no_such_file_or_directory);
  r.still_alive();
}

TEST_CASE("a flood of askers is bounded by the table, and the stack still answers", "[S125]") {
  ip_rig<> r;
  for (u32 i = 0; i < 5000; ++i) {
    r.receive(*r.eth0, arp_frame{.sip = be32{ipv4_addr("192.0.2.0").host() + 0x10000 + i}}.build());
    r.clock.now += 1'000'000;
  }
  CHECK(r.sent().size() == 5000);
  CHECK(arp_cache(r.net()).entries <= rig_sizes.max_neigh);
  r.still_alive();
}
