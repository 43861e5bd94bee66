// SPDX-License-Identifier: BSL-1.0
// Decides: how ICMP queries are answered: the query's own frame goes back as the reply. [S156]
// rx: called by ipv4/icmp icmp_rcv through Net::icmp_pointers; tx: → ipv4/ip_output ip_send_skb
// Linux: net/ipv4/icmp.c (icmp_echo, icmp_timestamp, icmp_reply)
// RFC 792, RFC 1122 §3.2.2.6 (echo), §3.2.2.8 (timestamp), RFC 1812 §4.3.3.6
#pragma once
#include "netstack/ipv4/icmp_send.hpp"
#include "netstack/skb/skb_checksum.hpp"

namespace netstack {

namespace detail {

/// Makes a received packet one to be sent: what belonged to its arrival is forgotten.
inline void skb_turn_around(sk_buff& skb) {
  skb_orphan(skb);
  skb_dst_drop(skb);
  skb.ip_summed = ip_summed::none;
  skb.pkt_type = pkt_type::host;
  skb.tstamp = 0;
  skb.skb_iif = 0;
  skb.hash = 0;
  skb.l4_hash = 0;
  skb.vlan_proto = {};
  skb.vlan_tci = 0;
}

/// Sends the query, data at its ICMP header and made a reply of `type`, back to its sender.
template <class Net>
verdict icmp_reply(Net& net, sk_buff& skb, u8 type) {
  iphdr const& iph = *ip_hdr(skb);
  ip_options_reply const options = ip_options_echo(skb);
  // RFC 1122 §3.2.2.6: from the address that was asked; for a broadcast query from one of the device.
  flowi4 fl4{.daddr = options.faddr ? options.faddr : iph.saddr,
             .saddr = fib_compute_spec_dst(net, skb),
             .tos = iph.tos,
             .proto = ipproto::icmp};
  u8 const tos = iph.tos;
  auto rt = ip_route_output_key(net, fl4);
  if (!rt) return drop(net, skb, drop_reason::ip_noroute_out);
  if (!icmp_xrlim_allow(net, *(*rt)->dev, fl4.daddr, type, 0)) return drop(net, skb, drop_reason::icmp_ratelimit);
  skb_turn_around(skb);
  ip_tx const tx{.tos = tos,
                 .protocol = ipproto::icmp,
                 .pmtudisc = ip_pmtudisc::dont,
                 .options = options.data,
                 .optlen = options.len};
  icmp_push_reply(net, skb, **rt, fl4, tx, type);
  return verdict::kept();
}

/// The query's bytes, all its own from the ICMP header on; false: no room for a copy.
inline bool icmp_may_rewrite(sk_buff& skb) {
  skb.push(sizeof(icmphdr));
  return bool(skb_cow(skb, 0));
}

}  // namespace detail

/// RFC 1122 §3.2.2.6: the data of an echo request comes back, all of it and nothing else.
template <class Net>
verdict icmp_echo(Net& net, sk_buff& skb) {
  if (ipv4_net(net).sysctl_icmp_echo_ignore_all) return drop(net, skb, drop_reason::icmp_ignored);
  if (!detail::icmp_may_rewrite(skb)) return drop(net, skb, drop_reason::nomem);
  auto& icmph = *skb.peek<icmphdr>();
  icmph.type = icmp_type::echoreply;
  csum_replace2(icmph.checksum, be16{static_cast<u16>(icmp_type::echo << 8 | icmph.code)}, be16{icmph.code});
  return detail::icmp_reply(net, skb, icmp_type::echoreply);
}

/// RFC 1122 §3.2.2.8: three times in ms since midnight UT: the sender's, and ours for both its arrival and its
/// departure.
template <class Net>
verdict icmp_timestamp(Net& net, sk_buff& skb) {
  constexpr u32 times = 3 * sizeof(be32);
  if (!pskb_may_pull(skb, times)) return drop(net, skb, drop_reason::icmp_hdr);
  if (!detail::icmp_may_rewrite(skb) || !pskb_trim_rcsum(skb, sizeof(icmphdr) + times))
    return drop(net, skb, drop_reason::nomem);
  auto& icmph = *skb.peek<icmphdr>();
  auto* stamp = reinterpret_cast<be32*>(&icmph + 1);
  icmph.type = icmp_type::timestampreply;
  icmph.code = 0;
  stamp[1] = stamp[2] = inet_current_timestamp(net.worker().now_real);
  icmph.checksum = {};
  icmph.checksum = ip_compute_csum(&icmph, sizeof(icmphdr) + times);
  return detail::icmp_reply(net, skb, icmp_type::timestampreply);
}

}  // namespace netstack
