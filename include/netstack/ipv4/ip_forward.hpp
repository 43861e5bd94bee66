// SPDX-License-Identifier: BSL-1.0
// Decides: whether a datagram that is not for us goes on, and what is changed on its way: TTL, checksum, and what its
// options want recorded. There is no fragmentation yet: what does not fit the next link is dropped, with frag-needed to
// the sender if DF was set.
// rx: called by ipv4/ip_input dst_input → calls ipv4/ip_output dst_output
// Linux: net/ipv4/ip_forward.c; RFC 1812 §5.2 (forwarding), §5.3.1 (TTL), §5.2.7.2 (redirect), RFC 1191 §4
#pragma once
#include "netstack/ipv4/ip_output.hpp"
#include "netstack/registry/xfrm_policy.hpp"

namespace netstack {

namespace detail {

/// RFC 1624: the TTL is the high byte of its word; the checksum follows the change.
inline void ip_decrease_ttl(iphdr& iph) {
  be16 const before{static_cast<u16>(iph.ttl << 8 | iph.protocol)};
  --iph.ttl;
  csum_replace2(iph.check, before, be16{static_cast<u16>(iph.ttl << 8 | iph.protocol)});
}

template <class Net>
verdict ip_forward_finish(Net& net, sk_buff& skb) {
  ++IP_STATS(net).ForwDatagrams;
  rtable const& rt = *skb_rtable(skb);
  if (IPCB(skb).opt.optlen) [[unlikely]] {
    be32 const ours = inet_select_addr(net, rt.dev, rt_nexthop(rt, ip_hdr(skb)->daddr), rt_scope::universe);
    ip_options_next_stop(skb, ours);
    ip_options_record(net, skb, ours);
  }
  (void)dst_output(net, skb);  // refused there: counted there
  return verdict::kept();
}

/// What a router tells the sender before it drops the datagram; nothing if it may go on.
template <class Net>
std::optional<drop_reason> ip_forward_check(Net& net, sk_buff& skb) {
  iphdr const& iph = *ip_hdr(skb);
  rtable const& rt = *skb_rtable(skb);
  // RFC 1812 §5.3.1: one that would have to leave with TTL 0 ends here.
  if (iph.ttl <= 1) {
    icmp_send(net, skb, icmp_type::time_exceeded, icmp_code::exc_ttl, 0);
    return drop_reason::ip_ttl;
  }
  // RFC 1812 §5.2.4.1: a strict source route names each stop: none in between.
  if (IPCB(skb).opt.is_strictroute && rt.rt_uses_gateway) {
    icmp_send(net, skb, icmp_type::dest_unreach, icmp_code::sr_failed, 0);
    return drop_reason::ip_srr;
  }
  u32 const mtu = rt.mtu ? rt.mtu : rt.dev->mtu;
  if (skb.len > mtu) {
    // RFC 1191 §4: the sender learns what the next link carries, unless its DF does not bind us. [S49]
    if ((iph.frag_off & be16{ip_df}) && !skb.ignore_df)
      icmp_send(net, skb, icmp_type::dest_unreach, icmp_code::frag_needed, mtu);
    return drop_reason::ip_too_big;
  }
  return {};
}

}  // namespace detail

/// Sends a received datagram on to its next hop.
template <class Net>
verdict ip_forward(Net& net, sk_buff& skb) {
  // RFC 1812 §5.3.4: what came as a link-layer broadcast is not forwarded.
  if (skb.pkt_type != pkt_type::host) return drop(net, skb, drop_reason::ip_unicast_l2mcast);
  if (!xfrm4_policy_check(net, skb, xfrm_dir::fwd)) return drop(net, skb, drop_reason::xfrm_policy);
  if (auto why = detail::ip_forward_check(net, skb)) return drop(net, skb, *why);
  net_device const& out = *skb_rtable(skb)->dev;
  if (!skb_cow(skb, u32{out.hard_header_len} + out.needed_headroom)) return drop(net, skb, drop_reason::nomem);
  // The sum was over what the device received; the next one is told nothing.
  if (skb.ip_summed == ip_summed::complete) skb.ip_summed = ip_summed::none;
  auto& parm = IPCB(skb);
  parm.flags |= ipskb::forwarded;
  detail::ip_decrease_ttl(*ip_hdr(skb));
  if ((parm.flags & ipskb::doredirect) && !parm.opt.srr) ip_rt_send_redirect(net, skb);
  return NF_HOOK<nf_inet::forward>(net, skb, detail::ip_forward_finish<Net>);
}

}  // namespace netstack
