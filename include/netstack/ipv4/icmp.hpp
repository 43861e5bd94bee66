// SPDX-License-Identifier: BSL-1.0
// Decides: what a received ICMP message does: queries are answered, errors reach the transport whose datagram they
// quote, everything else is counted. [S116] [S118] [S156] [S157]
// rx: called by ipv4/ip_input through inet_protos → calls icmp_echo, icmp_timestamp, inet_protos[quoted].err_handler
// Linux: net/ipv4/icmp.c (icmp_rcv, icmp_unreach, icmp_redirect, icmp_socket_deliver)
// RFC 792, RFC 1122 §3.2.2, RFC 1191 §6, RFC 1812 §4.3.3, RFC 5927
#pragma once
#include "netstack/ipv4/icmp_reply.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/registry/raw_deliver.hpp"

namespace netstack {

namespace detail {

/// The quoted datagram goes to whoever sent it. Data at the quoted header, which is there whole, with eight bytes more.
template <class Net>
verdict icmp_socket_deliver(Net& net, sk_buff& skb, u32 info) {
  auto const* quoted = skb.peek<iphdr>();
  u32 const hlen = static_cast<u32>(quoted->header_len());
  // RFC 792: header and 64 bits, so that ports can be read without another look.
  if (!pskb_may_pull(skb, hlen + 8)) return drop(net, skb, drop_reason::icmp_hdr);
  u8 const protocol = skb.peek<iphdr>()->protocol;
  for (auto const& raw : Net::raw_deliver)
    if (raw.icmp_error) raw.icmp_error(net, skb, protocol, info);
  auto const* proto = Net::inet_protos[protocol];
  if (proto && proto->err_handler) proto->err_handler(net, skb, info);
  return verdict::consumed();
}

/// With ip_no_pmtu_disc 3: frag-needed is believed only about a protocol that checks what is quoted.
template <class Net>
bool icmp_tag_validation(u8 protocol) {
  auto const* proto = Net::inet_protos[protocol];
  return proto && proto->icmp_strict_tag_validation;
}

/// RFC 1812 §4.3.2.7 forbids errors about broadcasts; one that quotes a broadcast is bogus: silent, or remembered.
template <class Net>
bool icmp_is_bogus(Net& net, iphdr const& quoted) {
  auto& ns = ipv4_net(net);
  if (ns.sysctl_icmp_ignore_bogus_error_responses || inet_addr_type(net, quoted.daddr) != rtn::broadcast) return false;
  ++ns.bogus_errors_logged;
  return true;
}

/// The quoted header if it is one, or null.
inline iphdr const* icmp_quoted(sk_buff& skb) {
  if (!pskb_may_pull(skb, sizeof(iphdr))) return nullptr;
  auto const* quoted = skb.peek<iphdr>();
  return quoted->version() == 4 && quoted->ihl() >= 5 ? quoted : nullptr;
}

}  // namespace detail

/// Destination unreachable, source quench, time exceeded, parameter problem: on to the sender of what is quoted.
template <class Net>
verdict icmp_unreach(Net& net, sk_buff& skb) {
  icmphdr const icmph = *skb.transport_hdr<icmphdr>();
  iphdr const* quoted = detail::icmp_quoted(skb);
  if (!quoted) return drop(net, skb, drop_reason::icmp_hdr);
  u32 info = 0;
  switch (icmph.type) {
    case icmp_type::dest_unreach:
      if (icmph.code > icmp_code::nr_icmp_unreach) return drop(net, skb, drop_reason::icmp_type);
      if (icmph.code == icmp_code::frag_needed) {
        u8 const mode = ipv4_net(net).sysctl_ip_no_pmtu_disc;
        if (mode == 2 || (mode == 3 && !detail::icmp_tag_validation<Net>(quoted->protocol))) return verdict::consumed();
        info = icmph.un.mtu().host();
      }
      break;
    case icmp_type::parameterprob: info = icmph.un.pointer(); break;
    case icmp_type::time_exceeded:
      // A reassembly that failed concerns no socket: what is missing is sent again by whoever waits for it.
      if (icmph.code == icmp_code::exc_fragtime) return verdict::consumed();
      break;
    default: break;
  }
  if (detail::icmp_is_bogus(net, *quoted)) return verdict::consumed();
  return detail::icmp_socket_deliver(net, skb, info);
}

template <class Net>
verdict icmp_redirect(Net& net, sk_buff& skb) {
  if (!detail::icmp_quoted(skb)) return drop(net, skb, drop_reason::icmp_hdr);
  return detail::icmp_socket_deliver(net, skb, skb.transport_hdr<icmphdr>()->un.gateway().host());
}

/// A type that a host hears and does nothing about.
template <class Net>
verdict icmp_discard(Net&, sk_buff&) {
  return verdict::consumed();
}

namespace detail {

/// RFC 1122 §3.2.2.6, §3.2.2.8: may a message to many be handled at all?
template <class Net>
bool icmp_accepts_broadcast(Net& net, u8 type) {
  switch (type) {
    case icmp_type::echo:
    case icmp_type::timestamp: return !ipv4_net(net).sysctl_icmp_echo_ignore_broadcasts;
    case icmp_type::address:
    case icmp_type::addressreply: return true;
    default: return false;
  }
}

}  // namespace detail

/// inet_protos[1]: data at the ICMP header.
template <class Net>
verdict icmp_rcv(Net& net, sk_buff& skb) {
  auto& mib = ipv4_net(net).mib;
  ++mib.icmp_statistics.InMsgs;
  if (!skb_checksum_validate(skb, 0)) return drop(net, skb, drop_reason::icmp_csum);
  if (!pskb_may_pull(skb, sizeof(icmphdr))) return drop(net, skb, drop_reason::icmp_hdr);
  u8 const type = skb.pull<icmphdr>()->type;
  ++mib.icmpmsg_statistics.InType[type];
  // RFC 1122 §3.2.2: a message of unknown type is silently discarded.
  if (type > nr_icmp_types || !Net::icmp_pointers[type].handler) return drop(net, skb, drop_reason::icmp_type);
  rtable const* rt = skb_rtable(skb);
  bool const to_many = rt && rt->rt_flags & (rtcf::broadcast | rtcf::multicast);
  if (to_many && !detail::icmp_accepts_broadcast(net, type)) return drop(net, skb, drop_reason::icmp_broadcast);
  return Net::icmp_pointers[type].handler(net, skb);
}

/// An error about an ICMP message of ours: what concerns the path is remembered.
template <class Net>
void icmp_err(Net& net, sk_buff& skb, u32 info) {
  icmphdr const& icmph = *skb.transport_hdr<icmphdr>();
  iphdr const& quoted = *skb.peek<iphdr>();
  if (icmph.type == icmp_type::dest_unreach && icmph.code == icmp_code::frag_needed)
    ipv4_update_pmtu(net, quoted.daddr, info);
  else if (icmph.type == icmp_type::redirect)
    ipv4_redirect(net, skb, quoted.daddr, be32{info});
}

}  // namespace netstack
