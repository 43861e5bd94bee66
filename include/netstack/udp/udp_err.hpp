// SPDX-License-Identifier: BSL-1.0
// Decides: which socket an ICMP error about a UDP datagram is for, and what it is told. A connected socket hears of
// what is fatal by itself; any other only if it asked for all errors (IP_RECVERR), since an error about one peer says
// nothing of the others. [S118]
// rx: called by icmp_rcv through inet_protos[].err_handler → calls ip_icmp_error, sk_error_report
// Linux: net/ipv4/udp.c (__udp4_lib_err), net/ipv4/icmp.c (icmp_err_convert); RFC 1122 §4.1.3.3, §3.2.2.1
#pragma once
#include "netstack/ipv4/ip_sockglue.hpp"
#include "netstack/udp/udp_table.hpp"
#include "netstack/wire/icmp.hpp"
#include "netstack/wire/udp.hpp"

namespace netstack {

namespace detail {

struct icmp_error {
  std::errc error{};
  bool fatal = false;
};

/// What a code of "destination unreachable" means to a sender. RFC 1122 §3.2.2.1 for the codes above 5.
inline constexpr std::array<icmp_error, icmp_code::nr_icmp_unreach + 1> icmp_err_convert{{
    {std::errc::network_unreachable, false},              // net_unreach
    {std::errc::host_unreachable, false},                 // host_unreach
    {std::errc::no_protocol_option, true},                // prot_unreach
    {std::errc::connection_refused, true},                // port_unreach
    {std::errc::message_size, false},                     // frag_needed
    {std::errc::operation_not_supported, false},          // sr_failed
    {std::errc::network_unreachable, true},               // net_unknown
    {static_cast<std::errc>(112) /* EHOSTDOWN */, true},  // host_unknown
    {static_cast<std::errc>(64) /* ENONET */, true},      // host_isolated
    {std::errc::network_unreachable, true},               // net_ano
    {std::errc::host_unreachable, true},                  // host_ano
    {std::errc::network_unreachable, false},              // net_unr_tos
    {std::errc::host_unreachable, false},                 // host_unr_tos
    {std::errc::host_unreachable, true},                  // pkt_filtered
    {std::errc::host_unreachable, true},                  // prec_violation
    {std::errc::host_unreachable, true},                  // prec_cutoff
}};

/// The errno of an ICMP error; none: nothing that a socket is told.
inline icmp_error icmp_to_errno(u8 type, u8 code, ip_pmtudisc pmtudisc) {
  switch (type) {
    case icmp_type::time_exceeded: return {std::errc::host_unreachable, false};
    case icmp_type::parameterprob: return {std::errc::protocol_error, true};
    case icmp_type::dest_unreach:
      if (code == icmp_code::frag_needed)
        return pmtudisc == ip_pmtudisc::dont ? icmp_error{} : icmp_error{std::errc::message_size, true};
      return code <= icmp_code::nr_icmp_unreach ? icmp_err_convert[code]
                                                : icmp_error{std::errc::host_unreachable, false};
    default: return {};
  }
}

}  // namespace detail

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
    ++ICMP_STATS(net).InErrors;
    return;
  }
  auto const& icmph = *skb.transport_hdr<icmphdr>();
  auto const& inet = inet_sk(*sk);
  if (icmph.type == icmp_type::dest_unreach && icmph.code == icmp_code::frag_needed)
    ipv4_update_pmtu(net, iph->daddr, info);
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
