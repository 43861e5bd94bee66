// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of an IPv4 header and the bits of its fragment field. Addresses are in ipv4_addr.hpp, options in
// ip_options.hpp.
// rx: read by ipv4/ip_input ip_rcv; tx: written by ipv4/ip_output.
// Linux: include/uapi/linux/ip.h, include/net/ip.h
// RFC 791 §3.1, RFC 2474 (tos), RFC 3168 (ECN)
#pragma once
#include "netstack/base/byteorder.hpp"
#include "netstack/wire/ipproto.hpp"
#include "netstack/wire/ipv4_addr.hpp"

namespace netstack::inline wire {

// iphdr::frag_off, host order.
inline constexpr u16 ip_ce = 0x8000;      ///< reserved, must be zero
inline constexpr u16 ip_df = 0x4000;      ///< do not fragment
inline constexpr u16 ip_mf = 0x2000;      ///< more fragments follow
inline constexpr u16 ip_offset = 0x1fff;  ///< in units of eight bytes

inline constexpr std::size_t ip_hlen_min = 20;
inline constexpr std::size_t ip_hlen_max = 60;
inline constexpr std::size_t ip_max_mtu = 0xffff;
inline constexpr u8 ip_default_ttl = 64;

namespace inet_ecn {  // iphdr::tos, lowest bits, RFC 3168 §5
inline constexpr u8 not_ect = 0, ect_1 = 1, ect_0 = 2, ce = 3, mask = 3;
}

struct iphdr {
  u8 ver_ihl = 0x45;
  u8 tos = 0;
  be16 tot_len{};
  be16 id{};
  be16 frag_off{};
  u8 ttl = 0;
  u8 protocol = 0;
  sum16 check{};
  be32 saddr{};
  be32 daddr{};

  [[nodiscard]] constexpr u8 version() const { return ver_ihl >> 4; }
  [[nodiscard]] constexpr u8 ihl() const { return ver_ihl & 0x0f; }  ///< in 32-bit words, options included
  [[nodiscard]] constexpr std::size_t header_len() const { return std::size_t{ihl()} * 4; }  ///< in bytes
  /// Where this fragment's payload lies in the whole, in bytes.
  [[nodiscard]] constexpr std::size_t frag_start() const { return std::size_t{frag_off.host() & 0x1fffU} * 8; }
};

static_assert(sizeof(iphdr) == ip_hlen_min && alignof(iphdr) == 1);

/// RFC 791 §3.2: part of a larger datagram, the first and the last piece included.
constexpr bool ip_is_fragment(iphdr const& iph) { return bool(iph.frag_off & be16{ip_mf | ip_offset}); }

}  // namespace netstack::inline wire
