// SPDX-License-Identifier: BSL-1.0
// Decides: whether a received datagram is well-formed and whom it is for. Every check has its own drop reason; the
// counters it moves are in ipv4/ipv4.hpp's table. [S53] [S117] [S119] [S120] [S121] [S122] [S123] [S136] [S137]
// rx: called by core/dev_input netif_receive_skb → calls ip_route_input, ip_forward, ip_local_deliver → raw_deliver,
//     inet_protos[protocol].handler
// Linux: net/ipv4/ip_input.c
// RFC 791 §3.1 (header), RFC 1122 §3.2.1 (what a host must check), RFC 1812 §5.2.2 (what a router must)
#pragma once
#include <optional>

#include "netstack/core/netfilter.hpp"
#include "netstack/ipv4/ip.hpp"
#include "netstack/ipv4/ip_rcv_options.hpp"
#include "netstack/ipv4/route_input.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/registry/raw_deliver.hpp"
#include "netstack/registry/xfrm_policy.hpp"
#include "netstack/skb/skb_checksum.hpp"

namespace netstack {

namespace detail {

/// RFC 3168 §5: how often each of the two bits' values is seen.
inline void count_ecn(ipstats_mib& mib, u8 tos) {
  switch (tos & 3) {
    case 0: ++mib.InNoECTPkts; break;
    case 1: ++mib.InECT1Pkts; break;
    case 2: ++mib.InECT0Pkts; break;
    default: ++mib.InCEPkts;
  }
}

/// The header's own sanity, and the packet cut to the datagram's length: whatever the link padded is gone. Why it is
/// dropped; not_specified: it is not.
template <class Net>
drop_reason ip_rcv_core(Net& net, sk_buff& skb) {
  if (skb.pkt_type == pkt_type::otherhost) return drop_reason::otherhost;
  auto& mib = IP_STATS(net);
  ++mib.InReceives;
  mib.InOctets += skb.len;
  if (!pskb_may_pull(skb, sizeof(iphdr))) return drop_reason::ip_hdr;
  iphdr const* iph = ip_hdr(skb);
  u32 hlen = sizeof(iphdr);
  if (iph->ver_ihl != 0x45) [[unlikely]] {
    // RFC 1122 §3.2.1.1: another version than 4 is silently discarded.
    hlen = ip_hdrlen(skb);
    if (iph->version() != 4 || hlen < sizeof(iphdr)) return drop_reason::ip_hdr;
  }
  count_ecn(mib, iph->tos);
  if (hlen != sizeof(iphdr) && !pskb_may_pull(skb, hlen)) [[unlikely]]
    return drop_reason::ip_hdr;
  iph = ip_hdr(skb);
  // RFC 1122 §3.2.1.2: the header checksum is verified, always.
  if (!csum_is_right(ip_fast_csum(iph, iph->ihl()))) return drop_reason::ip_csum;
  u32 const len = iph->tot_len.host();
  if (skb.len < len) return drop_reason::ip_truncated;
  if (len < hlen) return drop_reason::ip_hdr;
  if (skb.len != len && !pskb_trim_rcsum(skb, len)) return drop_reason::nomem;
  skb.transport_header = static_cast<u16>(skb.network_header + hlen);
  IPCB(skb) = {.iif = skb.skb_iif};
  return drop_reason::not_specified;
}

/// Early demultiplexing may find the socket, and with it the route.
template <class Net>
void ip_early_demux(Net& net, sk_buff& skb, iphdr const& iph) {
  if (skb.sk || ip_is_fragment(iph) || !ipv4_net(net).sysctl_ip_early_demux) return;
  auto const* proto = Net::inet_protos[iph.protocol];
  if (proto && proto->early_demux) proto->early_demux(net, skb);
}

template <class Net>
std::optional<drop_reason> count_received_cast(Net& net, sk_buff& skb, rtable const& rt) {
  auto& mib = IP_STATS(net);
  if (rt.rt_type == rtn::multicast) {
    ++mib.InMcastPkts;
    mib.InMcastOctets += skb.len;
  } else if (rt.rt_type == rtn::broadcast) {
    ++mib.InBcastPkts;
    mib.InBcastOctets += skb.len;
  } else if (skb.pkt_type == pkt_type::broadcast || skb.pkt_type == pkt_type::multicast) {
    // RFC 1122 §3.3.6: a unicast destination inside a link-layer broadcast SHOULD be discarded.
    if (in_device const* in_dev = in_dev_get(*skb.dev);
        in_dev && in_dev->ored(&ipv4_devconf::drop_unicast_in_l2_multicast))
      return drop_reason::ip_unicast_l2mcast;
  }
  return {};
}

template <class Net>
std::optional<drop_reason> ip_rcv_finish_core(Net& net, sk_buff& skb, route_hint* hint) {
  iphdr const& iph = *ip_hdr(skb);
  if (!skb.dst && !(hint && ip_route_use_hint(net, skb, iph, *hint))) {
    ip_early_demux(net, skb, iph);
    if (!skb.dst) {  // what a socket lends serves nobody but its own
      if (auto why = ip_route_input_noref(net, skb, nullptr)) return why;
      if (hint) ip_route_keep_hint(net, skb, iph, *hint);
    }
  }
  if (iph.ihl() > 5) [[unlikely]] {
    if (auto why = ip_rcv_options(net, skb)) return why;
  }
  rtable const& rt = *skb_rtable(skb);
  if (rt.rt_type != rtn::unicast || skb.pkt_type != pkt_type::host) return count_received_cast(net, skb, rt);
  return {};
}

template <class Net>
verdict ip_rcv_finish(Net& net, sk_buff& skb) {
  if (auto why = ip_rcv_finish_core(net, skb, nullptr)) return drop(net, skb, *why);
  return dst_input(net, skb);
}

}  // namespace detail

/// Where the route says: here, or through.
template <class Net>
verdict dst_input(Net& net, sk_buff& skb) {
  switch (skb.dst->input) {
    [[likely]] case dst_in::local_deliver : return ip_local_deliver(net, skb);
    case dst_in::forward: return ip_forward(net, skb);
    default: return drop(net, skb, drop_reason::ip_invalid_dest);
  }
}

namespace detail {

/// True if somebody who sees every datagram took a copy.
template <class Net>
bool raw_local_deliver(Net& net, sk_buff& skb, u8 protocol) {
  bool taken = false;
  for (auto const& raw : Net::raw_deliver) taken |= raw.deliver(net, skb, protocol);
  return taken;
}

/// RFC 1122 §3.2.2.1: a protocol that is not active here is answered with protocol unreachable.
template <class Net>
verdict ip_unknown_protocol(Net& net, sk_buff& skb, bool taken_raw) {
  if (taken_raw) {
    ++IP_STATS(net).InDelivers;
    return verdict::consumed();
  }
  if (!xfrm4_policy_check(net, skb, xfrm_dir::in)) return drop(net, skb, drop_reason::xfrm_policy);
  icmp_send(net, skb, icmp_type::dest_unreach, icmp_code::prot_unreach, 0);
  return drop(net, skb, drop_reason::ip_noproto);
}

/// Longest chain of protocols that one datagram may be handed through.
inline constexpr u32 ip_max_resubmit = 16;

/// The transport gets the datagram, data at its header. A tunnel may answer resubmit: again, by another number.
template <class Net>
verdict ip_protocol_deliver(Net& net, sk_buff& skb, u8 protocol) {
  for (u32 i = 0; i < ip_max_resubmit; ++i) {
    bool const taken_raw = raw_local_deliver(net, skb, protocol);
    auto const* proto = Net::inet_protos[protocol];
    if (!proto || (!proto->netns_ok && net.index != 0)) return ip_unknown_protocol(net, skb, taken_raw);
    if (!proto->no_policy && !xfrm4_policy_check(net, skb, xfrm_dir::in))
      return drop(net, skb, drop_reason::xfrm_policy);
    verdict const v = proto->handler(net, skb);
    if (!v.is_resubmit()) [[likely]] {
      ++IP_STATS(net).InDelivers;
      return v;
    }
    protocol = v.protocol();
  }
  return drop(net, skb, drop_reason::ip_noproto);
}

template <class Net>
verdict ip_local_deliver_finish(Net& net, sk_buff& skb) {
  skb.pull(skb.transport_header - u32{skb.network_header});
  return ip_protocol_deliver(net, skb, ip_hdr(skb)->protocol);
}

}  // namespace detail

/// For this host. Fragments wait for reassembly, which is not composed yet: dropped as ip_frag.
template <class Net>
verdict ip_local_deliver(Net& net, sk_buff& skb) {
  if (ip_is_fragment(*ip_hdr(skb))) [[unlikely]]
    return drop(net, skb, drop_reason::ip_frag);
  return NF_HOOK<nf_inet::local_in>(net, skb, detail::ip_local_deliver_finish<Net>);
}

/// The packet type's handler: data at the network header.
template <class Net>
verdict ip_rcv(Net& net, sk_buff& skb) {
  if (auto const why = detail::ip_rcv_core(net, skb); why != drop_reason::not_specified) [[unlikely]]
    return drop(net, skb, why);
  return NF_HOOK<nf_inet::pre_routing>(net, skb, detail::ip_rcv_finish<Net>);
}

}  // namespace netstack
