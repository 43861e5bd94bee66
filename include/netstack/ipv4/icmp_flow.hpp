// SPDX-License-Identifier: BSL-1.0
// Decides: how pings that come in a burst are answered: the route, the way's headers and the limits are asked for once,
// each request becomes its reply where it lies, and all leave as one list. What is not of the common kind is
// icmp_rcv's.
// rx: called by ipv4/ip_list_rcv as inet_protos[1].flow → ipv4/ip_way ip_way_burst
// Linux: none (its icmp_echo answers one by one)
// RFC 792, RFC 1122 §3.2.2.6 (echo), RFC 1624 (the reply's checksum)
#pragma once
#include "netstack/ipv4/icmp.hpp"

namespace netstack {

/// net_protocol::flow.begin: an echo request to this host.
template <class Net>
bool icmp_flow_begin(Net&, sk_buff& skb, inet_flow& flow) {
  if (!ip_ways_possible<Net> || skb_rtable(skb)->rt_type != rtn::local || skb.is_nonlinear() ||
      skb.len < sizeof(icmphdr) || skb.data[0] != icmp_type::echo || ip_hdr(skb)->ihl() != 5 ||
      !skb_checksum_validate(skb, 0))
    return false;
  flow.ports_mask = std::bit_cast<u32>(std::array<u8, 4>{0xff, 0xff, 0, 0});  // type and code
  flow.csum_known = skb.ip_summed == ip_summed::unnecessary;
  return true;
}
/// net_protocol::flow.more.
NETSTACK_INLINE bool icmp_flow_more(inet_flow const& flow, u8 const* th, u32 len, u8* to) {
  return csum_check_and_copy(to, th, len, 0, flow.csum_known);
}

namespace detail {

/// Requests from the front of the list, data at their ICMP headers, go back as replies; what is left needs icmp_rcv.
template <class Net>
void icmp_echo_burst(Net& net, skb_list& list) {
  auto& ns = ipv4_net(net);
  if (ns.sysctl_icmp_echo_ignore_all || icmp_is_limited(ns, icmp_type::echoreply, 0)) return;
  iphdr const& iph = *ip_hdr(*list.first);
  flowi4 fl4{.daddr = iph.saddr, .saddr = iph.daddr, .tos = iph.tos, .proto = ipproto::icmp};
  ip_tx const tx{.tos = iph.tos, .protocol = ipproto::icmp, .pmtudisc = ip_pmtudisc::dont};
  auto const rt = ip_route_output_key(net, fl4);
  if (!rt || !ip_is_plain<Net>(**rt, tx)) return;
  ip_way const way = ip_plain_way(net, **rt, fl4, tx);
  ip_way_burst<Net> out{net, way, ip_summed::none};
  inet_peer* const peer = inet_getpeer(net, fl4.daddr, true);
  u32 const mtu = std::min<u32>((*rt)->dev->mtu, ip_max_mtu);
  if (!out.ready() || !peer || mtu < ip_hlen_min) return;
  sock& sk = *ns.icmp_sk;
  u32 const room = sk.sk_sndbuf - std::min(sk_wmem_alloc_get(sk), sk.sk_sndbuf);
  u32 taken = 0, charged = 0, len = 0;
  sk_buff *skb = list.first, *last = nullptr;
  for (; skb && charged + skb->truesize <= room &&
         skb_is_own(*skb, mtu - static_cast<u32>(ip_hlen_min), ip_way_burst<Net>::headroom);
       skb = skb->next) {
    if (skb->len != len) out.begin(len = skb->len);
    u8* const th = skb->data;
    auto& icmph = *reinterpret_cast<icmphdr*>(th);
    icmph.type = icmp_type::echoreply;
    csum_replace2(icmph.checksum, be16{icmp_type::echo << 8}, be16{});
    skb->dst = nullptr;  // borrowed
    skb->sk = &sk;
    skb->destructor = sock_wfree;
    charged += skb->truesize;
    out.push(*skb, th, be16{inet_getid(*peer)});
    last = skb;
    ++taken;
  }
  if (taken == 0) return;
  sk_buff& first = *std::exchange(list.first, skb);
  list.count -= taken;
  if (!skb) list.last = nullptr;
  sk.sk_wmem_alloc += charged;
  auto& mib = ns.mib;
  mib.icmp_statistics.InMsgs += taken;
  mib.icmpmsg_statistics.InType[icmp_type::echo] += taken;
  mib.icmp_statistics.OutMsgs += taken;
  mib.icmpmsg_statistics.OutType[icmp_type::echoreply] += taken;
  (void)out.send(first, *last, taken);  // what goes wrong there is counted there
}

}  // namespace detail

/// net_protocol::flow.end: all of them are answered.
template <class Net>
void icmp_flow_end(Net& net, inet_flow&, skb_list& list) {
  detail::icmp_echo_burst(net, list);
  while (sk_buff* skb = list.pop_front()) finish(*skb, icmp_rcv(net, *skb));
}

}  // namespace netstack
