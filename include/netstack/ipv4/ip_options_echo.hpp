// SPDX-License-Identifier: BSL-1.0
// Decides: which options a reply to a datagram carries: what was recorded goes back, a source route is reversed.
// tx: called by ipv4/icmp_send, icmp_reply, tcp_syn → the block goes into ip_tx::options
// Linux: net/ipv4/ip_options.c (__ip_options_echo); RFC 1122 §3.2.1.8 (reversal), §3.2.2.6 (echo), RFC 1812 §4.3.2.6
#pragma once
#include <cstring>

#include "netstack/ipv4/ip.hpp"
#include "netstack/ipv4/ip_options_get.hpp"

namespace netstack {

/// The option block of a reply, padded to whole words, and where it must go first.
struct ip_options_reply {
  u8 len = 0;
  be32 faddr{};  ///< first stop of a source route; zero: none
  u8 data[ipopt::max_len]{};
};

namespace detail {

/// RFC 1122 §3.2.1.8 (c): the stops that the datagram has made, the last first; the sender itself is not among them.
inline void echo_source_route(ip_options_reply& reply, u8 const* srr, be32 const& saddr) {
  constexpr u32 slot = 4, first = 3;                        // offset of the first address in the option
  u32 const used = srr[2] > srr[1] ? srr[1] : srr[2] - 1u;  // bytes of the option that were passed
  u32 stops = used > first ? (used - first) / slot : 0;
  auto const stop = [&](u32 i) { return srr + first + i * slot; };
  // RFC 1812 §5.2.4.1: a route that begins with its own sender is mended.
  u32 const oldest = stops > 1 && std::memcmp(stop(0), &saddr, slot) == 0 ? 1 : 0;
  if (stops == 0 || stops <= oldest) return;
  std::memcpy(&reply.faddr, stop(--stops), slot);
  u8* const to = reply.data + reply.len;
  u32 n = first;
  while (stops > oldest) {
    std::memcpy(to + n, stop(--stops), slot);
    n += slot;
  }
  std::memcpy(to + n, &saddr, slot);  // the last stop is whom the reply is for
  n += slot;
  to[0] = srr[0], to[1] = static_cast<u8>(n), to[2] = 4;
  reply.len = static_cast<u8>(reply.len + n);
}

inline void echo_option(ip_options_reply& reply, u8 const* option) {
  std::memcpy(reply.data + reply.len, option, option[1]);
  reply.len = static_cast<u8>(reply.len + option[1]);
}

}  // namespace detail

/// The options of a reply to this datagram; none if its own are malformed. Reads nothing but its header, which was
/// checked; what is copied cannot exceed what came.
[[nodiscard]] inline ip_options_reply ip_options_echo(sk_buff const& about) {
  ip_options_reply reply;
  iphdr const& iph = *ip_hdr(about);
  if (iph.ihl() <= 5) [[likely]]
    return reply;
  u8 const* const start = about.head + about.network_header;
  ip_options opt;
  if (parse_ip_options(opt, start + ip_hlen_min, iph.header_len() - ip_hlen_min) != 0) return reply;
  if (opt.srr) detail::echo_source_route(reply, start + opt.srr, iph.saddr);
  if (opt.rr) detail::echo_option(reply, start + opt.rr);
  if (opt.ts) detail::echo_option(reply, start + opt.ts);
  if (opt.cipso) detail::echo_option(reply, start + opt.cipso);
  while (reply.len % 4) reply.data[reply.len++] = ipopt::end;
  return reply;
}
/// … for all that will be sent to whom this datagram came from: as a socket keeps them.
[[nodiscard]] inline inet_options ip_options_save(sk_buff const& about) {
  inet_options opt;
  if (ip_hdr(about)->ihl() <= 5) [[likely]]
    return opt;
  ip_options_reply const reply = ip_options_echo(about);
  opt.optlen = reply.len;
  std::memcpy(opt.data, reply.data, sizeof opt.data);
  if (reply.faddr) {  // the route comes first
    opt.srr = ip_hlen_min;
    opt.is_strictroute = reply.data[0] == ipopt::ssrr;
    opt.faddr = reply.faddr;
  }
  return opt;
}

}  // namespace netstack
