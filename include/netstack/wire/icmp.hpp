// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of the eight bytes that start every ICMP message, and the names of types and codes.
// The second word means different things by type. It is held as an echo's two halves and read otherwise through
// accessors, since a union could not be read in a constant expression.
// rx: read by ipv4/icmp icmp_rcv and the err_handlers; tx: written by icmp_send, icmp_reply.
// Linux: include/uapi/linux/icmp.h; RFC 792, RFC 1122 §3.2.2, RFC 1812 §5.2.7, RFC 1191 §4 (mtu), RFC 4884 (length)
#pragma once
#include <bit>

#include "netstack/base/byteorder.hpp"

namespace netstack::inline wire {

namespace icmp_type {
inline constexpr u8 echoreply = 0;
inline constexpr u8 dest_unreach = 3;
inline constexpr u8 source_quench = 4;
inline constexpr u8 redirect = 5;
inline constexpr u8 echo = 8;
inline constexpr u8 time_exceeded = 11;
inline constexpr u8 parameterprob = 12;
inline constexpr u8 timestamp = 13;
inline constexpr u8 timestampreply = 14;
inline constexpr u8 info_request = 15;
inline constexpr u8 info_reply = 16;
inline constexpr u8 address = 17;
inline constexpr u8 addressreply = 18;
}  // namespace icmp_type
inline constexpr u8 nr_icmp_types = 18;  ///< the highest type that has a handler slot

namespace icmp_code {
// dest_unreach
inline constexpr u8 net_unreach = 0;
inline constexpr u8 host_unreach = 1;
inline constexpr u8 prot_unreach = 2;
inline constexpr u8 port_unreach = 3;
inline constexpr u8 frag_needed = 4;
inline constexpr u8 sr_failed = 5;
inline constexpr u8 net_unknown = 6;
inline constexpr u8 host_unknown = 7;
inline constexpr u8 host_isolated = 8;
inline constexpr u8 net_ano = 9;
inline constexpr u8 host_ano = 10;
inline constexpr u8 net_unr_tos = 11;
inline constexpr u8 host_unr_tos = 12;
inline constexpr u8 pkt_filtered = 13;
inline constexpr u8 prec_violation = 14;
inline constexpr u8 prec_cutoff = 15;
inline constexpr u8 nr_icmp_unreach = 15;
// redirect
inline constexpr u8 redir_net = 0;
inline constexpr u8 redir_host = 1;
inline constexpr u8 redir_nettos = 2;
inline constexpr u8 redir_hosttos = 3;
// time_exceeded
inline constexpr u8 exc_ttl = 0;
inline constexpr u8 exc_fragtime = 1;
// parameterprob
inline constexpr u8 bad_ip_header = 0;  ///< the pointer names the byte
inline constexpr u8 missing_option = 1;
inline constexpr u8 bad_length = 2;
}  // namespace icmp_code

/// The second word of an ICMP header.
struct icmp_un {
  struct echo_t {
    be16 id{};
    be16 sequence{};
  };
  echo_t echo{};

  /// redirect: the router to use.
  [[nodiscard]] constexpr be32 gateway() const { return std::bit_cast<be32>(echo); }
  constexpr void set_gateway(be32 gw) { echo = std::bit_cast<echo_t>(gw); }
  /// dest_unreach / frag_needed: what the next link carries; 0 from routers older than RFC 1191.
  [[nodiscard]] constexpr be16 mtu() const { return echo.sequence; }
  constexpr void set_mtu(be16 mtu) { echo = {.id = {}, .sequence = mtu}; }
  /// parameterprob: the offset of the offending byte.
  [[nodiscard]] constexpr u8 pointer() const { return echo.id.bytes()[0]; }
  constexpr void set_pointer(u8 at) { echo = {.id = be16{static_cast<u16>(at << 8)}, .sequence = {}}; }
};

struct icmphdr {
  u8 type = 0;
  u8 code = 0;
  sum16 checksum{};
  icmp_un un{};
};

static_assert(sizeof(icmphdr) == 8 && alignof(icmphdr) == 1);

/// RFC 1122 §3.2.2: messages that report a problem with another datagram, and that must never answer one another.
constexpr bool icmp_is_err(u8 type) {
  return type == icmp_type::dest_unreach || type == icmp_type::source_quench || type == icmp_type::redirect ||
         type == icmp_type::time_exceeded || type == icmp_type::parameterprob;
}

}  // namespace netstack::inline wire
