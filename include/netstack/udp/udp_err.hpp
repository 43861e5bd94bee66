// SPDX-License-Identifier: BSL-1.0
// Decides: which socket an ICMP error about a UDP datagram is for, and what it is told. A connected socket hears of
// what is fatal by itself; any other only if it asked for all errors (IP_RECVERR), since an error about one peer says
// nothing of the others. [S118]
// rx: called by icmp_rcv through inet_protos[].err_handler → calls ip_icmp_error, error_report
// Linux: net/ipv4/udp.c (__udp4_lib_err); RFC 1122 §4.1.3.3
#pragma once
#include "netstack/core/rps.hpp"
#include "netstack/ipv4/datagram.hpp"
#include "netstack/ipv4/icmp_errno.hpp"
#include "netstack/ipv4/ip_sockglue.hpp"
#include "netstack/udp/udp_table.hpp"
#include "netstack/wire/udp.hpp"

namespace netstack {

/// net_protocol::err_handler. Data at the quoted IP header, the ICMP header at transport_header, its IP header at
/// network_header. info: for frag_needed the next hop's MTU.
template <class Net>
void udp_err(Net& net, sk_buff& skb, u32 info) {
  auto const* iph = skb.peek<iphdr>();
  auto* uh = iph ? skb.template peek<udphdr>(static_cast<u32>(iph->header_len())) : nullptr;
  // The quoted datagram was ours: its source is our socket, its destination the peer.
  sock* sk = uh ? udp4_lib_lookup(net, {.saddr = iph->daddr,
                                        .sport = uh->dest,
                                        .daddr = iph->saddr,
                                        .hnum = uh->source.host(),
                                        .dif = IPCB(skb).iif})
                : nullptr;
  if (!sk) {
    if (!rps_hand_on_copy(net, skb)) ++ICMP_STATS(net).InErrors;
    return;
  }
  auto const& icmph = *skb.transport_hdr<icmphdr>();
  auto const& inet = inet_sk(*sk);
  bool const too_long = icmph.type == icmp_type::dest_unreach && icmph.code == icmp_code::frag_needed;
  if (too_long || icmph.type == icmp_type::redirect) sk_rt_recheck(*sk);
  if (too_long) ipv4_update_pmtu(net, iph->daddr, info);
  if (icmph.type == icmp_type::redirect) return ipv4_redirect(net, skb, iph->daddr, icmph.un.gateway());
  auto const [error, fatal] = detail::icmp_to_errno(icmph.type, icmph.code, inet.pmtudisc);
  if (error == std::errc{}) return;
  if (!inet.recverr && (!fatal || sk->sk_state != tcp_state::established)) return;
  sock_hold(*sk);  // a callback may close it
  ip_icmp_error(*sk, skb, static_cast<int>(error), uh->dest, info, reinterpret_cast<u8*>(uh + 1));
  sk_report_error(*sk, static_cast<s32>(error));
  sock_put(*sk);
}

}  // namespace netstack
