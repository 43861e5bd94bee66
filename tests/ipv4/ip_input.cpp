// SPDX-License-Identifier: BSL-1.0
// What a received datagram must be like, and who gets it: header checks one by one, delivery, resubmission, raw copies,
// policy, early demux, bursts.
#include "netstack/ipv4/ip_input.hpp"

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// What a protocol of the test saw.
struct seen {
  u32 calls = 0, second = 0, foreign = 0, raw = 0, bursts = 0, demuxed = 0;
  int network_offset = 0, transport_offset = 1;
  u32 len = 0, iif = 0, hdrlen = 0;
  u8 raw_protocol = 0;
  net_device* dev = nullptr;
  bool raw_takes = false, deny = false;
  rtable* demux_dst = nullptr;
};

/// Protocol 253 records; its first payload byte may ask for protocol 252. 251 refuses other namespaces than init_net.
struct probe : module {
  using pernet = seen;
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& s = net_generic<probe>(net);
    ++s.calls;
    s.network_offset = skb.network_offset();
    s.transport_offset = skb.transport_offset();
    s.len = skb.len;
    s.iif = IPCB(skb).iif;
    s.hdrlen = ip_hdrlen(skb);
    s.dev = skb.dev;
    if (skb.len && skb.data[0] == 1) return verdict::resubmit(252);
    if (skb.len && skb.data[0] == 2) return verdict::resubmit(253);
    return verdict::consumed();
  }
  template <class Net>
  static verdict rcv_second(Net& net, sk_buff&) {
    ++net_generic<probe>(net).second;
    return verdict::consumed();
  }
  template <class Net>
  static verdict rcv_init_only(Net& net, sk_buff&) {
    ++net_generic<probe>(net).foreign;
    return verdict::consumed();
  }
  template <class Net>
  static void list_rcv(Net& net, skb_list& list) {
    auto& s = net_generic<probe>(net);
    ++s.bursts;
    while (sk_buff* skb = list.pop_front()) finish(*skb, rcv(net, *skb));
  }
  template <class Net>
  static void demux(Net& net, sk_buff& skb) {
    auto& s = net_generic<probe>(net);
    ++s.demuxed;
    if (s.demux_dst) skb_dst_set_noref(skb, *s.demux_dst);
  }
  template <class Net>
  static constexpr std::array net_protocols{
      net_protocol<Net>{.protocol = 253, .handler = rcv<Net>, .early_demux = demux<Net>, .name = "probe"},
      net_protocol<Net>{.protocol = 252, .handler = rcv_second<Net>, .no_policy = true, .name = "probe2"},
      net_protocol<Net>{.protocol = 251, .handler = rcv_init_only<Net>, .netns_ok = false, .name = "probe3"},
      net_protocol<Net>{
          .protocol = 250, .handler = rcv<Net>, .list_func = list_rcv<Net>, .no_policy = true, .name = "probe4"},
  };
};
struct probe_host : rig_stack<probe_host, probe> {};

/// Sees every datagram before its transport; takes those it is told to.
struct raw_probe : module {
  using pernet = seen;
  template <class Net>
  static bool deliver(Net& net, sk_buff& skb, u8 protocol) {
    auto& s = net_generic<raw_probe>(net);
    ++s.raw;
    s.raw_protocol = protocol;
    s.transport_offset = skb.transport_offset();
    if (!s.raw_takes) return false;
    sk_buff* copy = skb_clone(skb);
    if (copy) consume_skb(*copy);
    return copy != nullptr;
  }
  template <class Net>
  static constexpr std::array raw_deliver{raw_deliver_ops<Net>{.deliver = deliver<Net>, .name = "raw"}};
};
struct raw_host : rig_stack<raw_host, probe, raw_probe> {};

struct policy_probe : module {
  using pernet = seen;
  template <class Net>
  static bool check(Net& net, sk_buff&, xfrm_dir dir) {
    auto& s = net_generic<policy_probe>(net);
    ++s.calls;
    return !(s.deny && dir == xfrm_dir::in);
  }
  template <class Net>
  static constexpr std::array xfrm_policies{xfrm_policy_ops<Net>{check<Net>, "deny"}};
};
struct policy_host : rig_stack<policy_host, probe, policy_probe> {};

/// Plays a VLAN: what arrives belongs to the device above.
struct mover : module {
  using pernet = net_device*;
  template <class Net>
  static nf_verdict move(Net& net, sk_buff& skb) {
    if (net_device* to = net_generic<mover>(net)) skb.dev = to;
    return nf_verdict::accept;
  }
  template <class Net>
  static constexpr std::array nf_hooks{nf_hook_ops<Net>{nf_inet::pre_routing, move<Net>, 0, "mover"}};
};
struct moved_host : rig_stack<moved_host, probe, mover> {};

template <class Rig>
seen& state(Rig& rig) {
  return net_generic<probe>(rig.net());
}

datagram probe_datagram(bytes payload = bytes(16)) { return {.protocol = 253, .payload = std::move(payload)}; }

}  // namespace

TEST_CASE("each malformed header is dropped under its own reason and counter", "[S136][S164][AMNESIA:33]") {
  struct {
    char const* what;
    datagram d;
    drop_reason reason;
    counter ipstats_mib::*mib;
  } const corpus[] = {
      {"version 6", {.ver_ihl = 0x65}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"version 0", {.ver_ihl = 0x05}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"IHL 4", {.ver_ihl = 0x44}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"IHL 0", {.ver_ihl = 0x40}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"IHL beyond the packet", {.ver_ihl = 0x4f}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"wrong checksum", {.payload = bytes(8), .check = 0x1234}, drop_reason::ip_csum, &ipstats_mib::InCsumErrors},
      {"total length below the header", {.tot_len = 19}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"total length 0", {.tot_len = 0}, drop_reason::ip_hdr, &ipstats_mib::InHdrErrors},
      {"total length above the frame", {.tot_len = 21}, drop_reason::ip_truncated, &ipstats_mib::InTruncatedPkts},
      {"total length 65535", {.tot_len = 65535}, drop_reason::ip_truncated, &ipstats_mib::InTruncatedPkts},
  };
  for (auto const& c : corpus) {
    ip_rig<> rig;
    INFO(c.what);
    rig.inject(c.d);
    CHECK(rig.sent().empty());
    CHECK(rig.drops(c.reason) == 1);
    CHECK((rig.ip().*c.mib).read() == 1);
    CHECK(rig.ip().InReceives.read() == 1);
    CHECK(rig.ip().InDelivers.read() == 0);
    rig.still_alive();
  }
}

TEST_CASE("a datagram cut short anywhere in its header is dropped", "[S136][AMNESIA:33]") {
  ip_rig<> rig;
  bytes const whole = datagram{}.build();
  for (std::size_t n = 0; n < whole.size(); ++n)
    rig.inject_bytes(bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
  CHECK(rig.drops(drop_reason::ip_hdr) == whole.size());
  CHECK(rig.ip().InHdrErrors.read() == whole.size());
  CHECK(rig.ip().InReceives.read() == whole.size());
  rig.still_alive();
}

TEST_CASE("a frame for another station never reaches IP", "[S136][S57]") {
  ip_rig<> rig;
  rig.inject({.payload = echo_request(1, 1, bytes(8))}, mac_addr{{2, 0, 0, 0, 0, 0x77}});
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::otherhost) == 1);
  CHECK(rig.ip().InReceives.read() == 0);
  rig.still_alive();
}

TEST_CASE("the link's padding is cut off before anybody sees it", "[S136][Ripple20]") {
  ip_rig<probe_host> rig;
  bytes packet = probe_datagram(bytes(5, 9)).build();
  packet.insert(packet.end(), 21, 0xee);  // an Ethernet frame of 60 bytes
  rig.inject_bytes(packet);
  CHECK(state(rig).len == 5);
  // An echo reply must not carry the padding back.
  bytes echo = datagram{.payload = echo_request(1, 1, bytes(3, 7))}.build();
  echo.insert(echo.end(), 15, 0xee);
  rig.inject_bytes(echo);
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].payload(sizeof(icmphdr)) == bytes(3, 7));
  CHECK(sent[0].frame.size() == eth_hlen + 20 + 8 + 3);
  rig.still_alive();
}

TEST_CASE("the transport sees its header at data, and both headers where they are", "[S53][S116][S120]") {
  ip_rig<probe_host> rig;
  rig.inject(probe_datagram());
  auto const& s = state(rig);
  CHECK(s.calls == 1);
  CHECK(s.transport_offset == 0);
  CHECK(s.network_offset == -20);
  CHECK(s.len == 16);
  CHECK(s.iif == rig.eth0->ifindex);
  CHECK(rig.ip().InDelivers.read() == 1);
  auto with_options = probe_datagram();
  with_options.options = bytes(40, ipopt::noop);
  rig.inject(with_options);
  CHECK(s.transport_offset == 0);
  CHECK(s.network_offset == -60);
  CHECK(s.hdrlen == 60);
  CHECK(s.len == 16);
  rig.still_alive();
}

TEST_CASE("the ingress device is kept when the packet moves to another on its way up", "[S43]") {
  ip_rig<moved_host> rig;
  rig.inject(probe_datagram());
  CHECK(state(rig).iif == rig.eth0->ifindex);
  net_device* upper = rig.add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24");
  net_generic<mover>(rig.net()) = upper;  // as a tag would
  auto d = probe_datagram();
  d.saddr = ipv4_addr("198.51.100.9");
  d.daddr = ipv4_addr("198.51.100.1");
  rig.inject(d);
  CHECK(state(rig).calls == 2);
  CHECK(state(rig).iif == rig.eth0->ifindex);
  CHECK(state(rig).dev == upper);
}

TEST_CASE("a handler may hand the datagram to another protocol", "[S122]") {
  ip_rig<probe_host> rig;
  rig.inject(probe_datagram(bytes{1, 2, 3}));
  CHECK(state(rig).calls == 1);
  CHECK(state(rig).second == 1);
  CHECK(rig.ip().InDelivers.read() == 1);
  // One that goes round in circles ends.
  rig.inject(probe_datagram(bytes{2}));
  CHECK(state(rig).calls == 1 + detail::ip_max_resubmit);
  CHECK(rig.drops(drop_reason::ip_noproto) == 1);
  rig.still_alive();
}

TEST_CASE("an unknown protocol is answered, unless somebody took a raw copy", "[S121][S123][S164]") {
  ip_rig<raw_host> rig;
  auto& raw = net_generic<raw_probe>(rig.net());
  datagram const d{.protocol = 200, .payload = bytes(32, 1)};
  rig.inject(d);
  auto sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].icmp().type == icmp_type::dest_unreach);
  CHECK(sent[0].icmp().code == icmp_code::prot_unreach);
  CHECK(rig.ip().InUnknownProtos.read() == 1);
  CHECK(rig.ip().InDelivers.read() == 0);
  CHECK(raw.raw == 1);
  CHECK(raw.raw_protocol == 200);
  CHECK(raw.transport_offset == 0);

  raw.raw_takes = true;
  rig.inject(d);
  CHECK(rig.sent().empty());
  CHECK(rig.ip().InUnknownProtos.read() == 1);
  CHECK(rig.ip().InDelivers.read() == 1);
  // A known protocol gets the original although a copy was taken.
  rig.inject(probe_datagram());
  CHECK(raw.raw == 3);
  CHECK(state(rig).calls == 1);
  rig.still_alive();
}

TEST_CASE("policy may refuse, and a transport that checks itself is not asked", "[S119][S124]") {
  ip_rig<policy_host> rig;
  auto& policy = net_generic<policy_probe>(rig.net());
  rig.inject(probe_datagram());
  CHECK(state(rig).calls == 1);
  CHECK(policy.calls == 1);
  policy.deny = true;
  rig.inject(probe_datagram());
  CHECK(state(rig).calls == 1);
  CHECK(rig.drops(drop_reason::xfrm_policy) == 1);
  rig.inject({.protocol = 252});
  CHECK(state(rig).second == 1);
  CHECK(policy.calls == 2);
  rig.inject({.protocol = 200});  // nobody's: refused without an answer
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::xfrm_policy) == 2);
}

TEST_CASE("without a policy module the check is no code", "[S124]") {
  using net_t = ip_rig<>::net_t;
  STATIC_REQUIRE(net_t::xfrm_policies.empty());
  ip_rig<> rig;
  sk_buff* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  CHECK(xfrm4_policy_check(rig.net(), *skb, xfrm_dir::in));
  consume_skb(*skb);
}

TEST_CASE("a protocol that is not ready for namespaces works in init_net only", "[S119]") {
  ip_rig<probe_host> rig;
  rig.inject({.protocol = 251});
  CHECK(state(rig).foreign == 1);
  auto other = rig.host.copy_net_ns();
  REQUIRE(other);
  auto& net = **other;
  auto dev = register_netdev<rig_dev>(net, "eth%d", rig_dev::params{});
  REQUIRE(dev);
  REQUIRE(dev_open(net, **dev));
  REQUIRE(inet_addr_add(net, (*dev)->ifindex, ipv4_cidr("192.0.2.1/24")));
  REQUIRE(neigh_add(net, (*dev)->ifindex, peer_addr, peer_mac));
  rig.inject({.protocol = 251}, our_mac, *dev);
  CHECK(net_generic<probe>(net).foreign == 0);
  CHECK(IP_STATS(net).InUnknownProtos.read() == 1);
  rig.inject(probe_datagram(), our_mac, *dev);
  CHECK(net_generic<probe>(net).calls == 1);
}

TEST_CASE("early demux may bring the route along", "[S117]") {
  ip_rig<probe_host> rig;
  auto& s = state(rig);
  rig.inject(probe_datagram());
  CHECK(s.demuxed == 1);
  // With a route of its own even an address that no table knows is delivered: no look-up was made.
  flowi4 fl4{.daddr = our_addr};
  auto local = ip_route_output_key(rig.net(), fl4);
  REQUIRE(local);
  s.demux_dst = *local;
  auto elsewhere = probe_datagram();
  elsewhere.daddr = ipv4_addr("203.0.113.1");
  rig.inject(elsewhere);
  CHECK(s.calls == 2);
  // Switched off: the same datagram as before arrives, the stray one does not.
  rig.ns().sysctl_ip_early_demux = 0;
  rig.inject(probe_datagram());
  CHECK(s.calls == 3);
  CHECK(s.demuxed == 2);
  rig.inject(elsewhere);
  CHECK(s.calls == 3);
  // A fragment has no ports to look at.
  rig.ns().sysctl_ip_early_demux = 1;
  auto fragment = probe_datagram();
  fragment.frag_off = ip_mf;
  rig.inject(fragment);
  CHECK(s.demuxed == 2);
}

TEST_CASE("fragments are counted and dropped until reassembly is composed", "[S136]") {
  ip_rig<probe_host> rig;
  auto first = probe_datagram();
  first.frag_off = ip_mf;
  auto last = probe_datagram();
  last.frag_off = 2;
  rig.inject(first);
  rig.inject(last);
  CHECK(state(rig).calls == 0);
  CHECK(rig.drops(drop_reason::ip_frag) == 2);
  CHECK(rig.ip().ReasmReqds.read() == 2);
  CHECK(rig.ip().ReasmFails.read() == 2);
  CHECK(rig.sent().empty());
  auto whole = probe_datagram();
  whole.frag_off = ip_df;
  rig.inject(whole);
  CHECK(state(rig).calls == 1);
  rig.still_alive();
}

TEST_CASE("ECN marks and octets are counted once a datagram", "[S164]") {
  ip_rig<probe_host> rig;
  for (u8 ecn = 0; ecn < 4; ++ecn) {
    auto d = probe_datagram();
    d.tos = ecn;
    rig.inject(d);
  }
  auto const& mib = rig.ip();
  CHECK(mib.InNoECTPkts.read() == 1);
  CHECK(mib.InECT1Pkts.read() == 1);
  CHECK(mib.InECT0Pkts.read() == 1);
  CHECK(mib.InCEPkts.read() == 1);
  CHECK(mib.InReceives.read() == 4);
  CHECK(mib.InOctets.read() == 4 * 36);
  CHECK(mib.InDelivers.read() == 4);
}

TEST_CASE("a burst is delivered as a list to a transport that takes lists, in order and complete", "[S84][S136]") {
  ip_rig<probe_host> rig;
  auto& net = rig.net();
  skb_list burst;
  auto add = [&](datagram const& d) {
    bytes const packet = d.build();
    sk_buff* skb = rig.host.worker().pool.alloc_skb();
    REQUIRE(skb);
    std::memcpy(skb->put(static_cast<u32>(packet.size())), packet.data(), packet.size());
    skb->dev = rig.eth0;
    skb->protocol = be16{eth_p::ip};
    skb->pkt_type = pkt_type::host;
    skb->reset_network_header();
    skb->skb_iif = rig.eth0->ifindex;
    burst.push_back(*skb);
  };
  datagram const listed{.protocol = 250, .payload = bytes(8)}, single{.protocol = 253, .payload = bytes(8)};
  for (int i = 0; i < 8; ++i) add(listed);
  add(single);
  add({.protocol = 250, .payload = bytes(8), .check = 0x1111});
  for (int i = 0; i < 4; ++i) add(listed);
  ip_list_rcv(net, burst);
  CHECK(burst.empty());
  CHECK(state(rig).bursts == 2);
  CHECK(state(rig).calls == 13);
  CHECK(rig.ip().InDelivers.read() == 13);
  CHECK(rig.drops(drop_reason::ip_csum) == 1);
  CHECK(rig.host.worker().pool.in_use() == 0);
}
