// SPDX-License-Identifier: BSL-1.0
// Decides: how a datagram leaves: its header, whether the path carries it, copies for this host, and the next hop. The
// header's checksum is computed from its fields before they are stored. There is no fragmentation yet: what exceeds the
// path's MTU is EMSGSIZE to a sender, whatever its IP_MTU_DISCOVER says. [S53] [S133]
// tx: called by udp, icmp, tcp (ip_send_skb) and ipv4/ip_forward (dst_output) → calls ipv4/arp ip_neigh, core/neigh_nud
//     neigh_output
// Linux: net/ipv4/ip_output.c
// RFC 791 §3.1, RFC 1122 §3.2.1 (TOS, TTL, identification), RFC 6864 (identification), RFC 1112 §6 (multicast)
#pragma once
#include "netstack/core/netfilter.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/ipv4/arp.hpp"
#include "netstack/ipv4/ip_rcv_options.hpp"
#include "netstack/ipv4/pmtu.hpp"

namespace netstack {

namespace detail {

/// The last stage that knows addresses: the next hop's link address is asked for, if need be.
template <class Net>
result<void> ip_finish_output(Net& net, sk_buff& skb) {
  rtable const& rt = *skb_rtable(skb);
  net_device& dev = *skb.dev;
  auto& mib = IP_STATS(net);
  if (rt.rt_type == rtn::multicast) {
    ++mib.OutMcastPkts;
    mib.OutMcastOctets += skb.len;
  } else if (rt.rt_type == rtn::broadcast) {
    ++mib.OutBcastPkts;
    mib.OutBcastOctets += skb.len;
  }
  neighbour* n = ip_neigh(net, dev, ip_nexthop(net, rt, ip_hdr(skb)->daddr));
  if (!n) [[unlikely]] {
    kfree_skb(net, skb, drop_reason::neigh_createfail);
    return failure{std::errc::no_buffer_space};
  }
  return neigh_output(net, skb, *n);
}

/// A copy of a broadcast or group datagram for this host itself: it arrives by the device it leaves by.
template <class Net>
void ip_loop_copy(Net& net, sk_buff& skb) {
  sk_buff* copy = skb_clone(skb);
  if (!copy) return;
  skb_dst_force(*copy);
  copy->pkt_type = pkt_type::loopback;
  copy->skb_iif = 0;
  if (copy->ip_summed == ip_summed::none) copy->ip_summed = ip_summed::unnecessary;
  (void)netif_rx(net, *copy);
}

/// Does this host want its own datagram to many?
template <class Net>
bool ip_wants_loop(Net&, sk_buff& skb, rtable const& rt) {
  net_device const& dev = *skb.dev;
  if (dev.is_loopback()) return false;
  if (rt.rt_type == rtn::broadcast) return true;
  in_device const* in_dev = in_dev_get(dev);
  return in_dev && !(IPCB(skb).flags & ipskb::no_mc_loop) && ip_check_mc(*in_dev, ip_hdr(skb)->daddr);
}

}  // namespace detail

/// Sends a packet whose header is complete by its dst: one copy to here, if it is to many, and one to the link.
template <class Net>
result<void> dst_output(Net& net, sk_buff& skb) {
  rtable const& rt = *skb_rtable(skb);
  if (rt.output == dst_out::none || !rt.dev) [[unlikely]] {
    kfree_skb(net, skb, drop_reason::ip_noroute_out);
    return failure{std::errc::network_unreachable};
  }
  auto& mib = IP_STATS(net);
  ++mib.OutTransmits;
  mib.OutOctets += skb.len;
  skb.dev = rt.dev;
  skb.protocol = be16{eth_p::ip};
  if (rt.output == dst_out::multicast) [[unlikely]] {
    if (detail::ip_wants_loop(net, skb, rt)) detail::ip_loop_copy(net, skb);
    // RFC 1112 §6.1: a group datagram with TTL 0 stays in this host.
    if (rt.rt_type == rtn::multicast && ip_hdr(skb)->ttl == 0) {
      consume_skb(skb);
      return {};
    }
  }
  return NF_HOOK<nf_inet::post_routing>(net, skb, detail::ip_finish_output<Net>);
}

/// A datagram of this host with a complete header, data at it. Always takes the skb.
template <class Net>
result<void> ip_local_out(Net& net, sk_buff& skb) {
  ++IP_STATS(net).OutRequests;
  return NF_HOOK<nf_inet::local_out>(net, skb, dst_output<Net>);
}

namespace detail {

/// RFC 791 §3.1 (DF): who asked for path MTU discovery, or forbade fragments.
[[nodiscard]] inline bool ip_dont_fragment(ip_tx const& tx, netns_ipv4 const& ns) {
  switch (tx.pmtudisc) {
    case ip_pmtudisc::do_:
    case ip_pmtudisc::probe: return true;
    case ip_pmtudisc::want: return ns.sysctl_ip_no_pmtu_disc == 0;
    default: return false;
  }
}

/// What this datagram may measure. One that routers may cut is not held to what the path said: nobody here could cut
/// it.
template <class Net>
u32 ip_tx_mtu(Net& net, rtable const& rt, ip_tx const& tx, be32 daddr) {
  bool const ask_path = tx.pmtudisc == ip_pmtudisc::want || tx.pmtudisc == ip_pmtudisc::do_;
  if (ask_path) return ip_dst_mtu(net, rt, daddr);
  return rt.mtu && tx.pmtudisc == ip_pmtudisc::dont ? rt.mtu : rt.dev->mtu;
}

/// Room for what goes in front of the data.
[[nodiscard]] inline bool has_headroom(sk_buff const& skb, net_device const& dev, u32 hlen) {
  return skb.headroom() >= hlen + dev.hard_header_len + dev.needed_headroom;
}

/// RFC 1122 §3.2.1.7, RFC 1112 §6.1: the default TTL; 1 for a group.
[[nodiscard]] inline u8 ip_select_ttl(netns_ipv4 const& ns, rtable const& rt, ip_tx const& tx) {
  if (tx.ttl != 0) return tx.ttl;
  return rt.rt_type == rtn::multicast ? u8{1} : ns.sysctl_ip_default_ttl;
}

}  // namespace detail

template <class Net>
result<void> ip_send_skb(Net& net, sk_buff& skb, rtable& rt, flowi4 const& fl4, ip_tx const& tx) {
  auto const refuse = [&](drop_reason why, std::errc error) {
    kfree_skb(net, skb, why);
    return failure{error};
  };
  if (!rt.dev) [[unlikely]]
    return refuse(drop_reason::ip_noroute_out, std::errc::network_unreachable);
  u32 const hlen = static_cast<u32>(ip_hlen_min) + tx.optlen;
  u32 const len = skb.len + hlen;
  // A super-segment leaves in pieces that fit.
  if (len > ip_max_mtu || (len > detail::ip_tx_mtu(net, rt, tx, fl4.daddr) && !skb_is_gso(skb))) [[unlikely]]
    return refuse(drop_reason::ip_too_big, std::errc::message_size);
  if (!detail::has_headroom(skb, *rt.dev, hlen) &&
      !skb_cow_head(skb, hlen + rt.dev->hard_header_len + rt.dev->needed_headroom)) [[unlikely]]
    return refuse(drop_reason::nomem, std::errc::no_buffer_space);

  auto const& ns = ipv4_net(net);
  bool const df =
      detail::ip_dont_fragment(tx, ns) && !(tx.pmtudisc == ip_pmtudisc::want && ip_dst_mtu_locked(net, rt, fl4.daddr));
  iphdr const iph{.ver_ihl = static_cast<u8>(0x40 | hlen / 4),
                  .tos = tx.tos,
                  .tot_len = be16{static_cast<u16>(len)},
                  .id = be16{df ? u16{0} : ip_select_ident(net, fl4.daddr)},
                  .frag_off = be16{df ? ip_df : u16{0}},
                  .ttl = detail::ip_select_ttl(ns, rt, tx),
                  .protocol = tx.protocol,
                  .saddr = fl4.saddr,
                  .daddr = fl4.daddr};
  skb.reset_transport_header();
  auto* at = reinterpret_cast<iphdr*>(skb.push(hlen));
  ip_write_header(at, iph);
  if (tx.optlen) [[unlikely]] {
    std::memcpy(at + 1, tx.options, tx.optlen);
    if (tx.srr) {  // RFC 791 §3.1: the route's last entry
      auto* const srr = reinterpret_cast<u8*>(at) + tx.srr;
      std::memcpy(srr + srr[1] - sizeof tx.daddr, &tx.daddr, sizeof tx.daddr);
    }
    ip_send_check(*at);
  }
  skb.reset_network_header();
  skb.protocol = be16{eth_p::ip};
  skb.mark = tx.mark;
  skb.priority = tx.priority;
  IPCB(skb) = {.flags = tx.mc_loop ? u16{0} : ipskb::no_mc_loop};
  skb_dst_set_noref(skb, rt);
  return ip_local_out(net, skb);
}

}  // namespace netstack
