// SPDX-License-Identifier: BSL-1.0
// Decides: how the options that a user gives for what is sent become those of a datagram. Only a source route changes:
// a user lists the stops and names the destination elsewhere; on the wire the first stop is the header's destination,
// and the destination is the route's last entry.
// tx: called by setsockopt(IP_OPTIONS) and by sendmsg with IP_RETOPTS; ip_send_skb writes the block
// Linux: net/ipv4/ip_options.c (ip_options_get, ip_options_build, ip_options_undo); RFC 791 §3.1 (source routes),
// RFC 1122 §3.2.1.8 (c)
#pragma once
#include <cstring>
#include <span>

#include "netstack/wire/ip_options.hpp"
#include "netstack/wire/ipv4_addr.hpp"

namespace netstack {

/// A block as datagrams carry it, but for the last entry of a source route, which each datagram's destination becomes.
struct inet_options {
  u8 optlen = 0;  ///< bytes, a multiple of 4; 0: no options
  u8 srr = 0;     ///< where the source route lies, from the start of the IP header; 0: none
  bool is_strictroute = false;
  be32 faddr{};  ///< its first stop
  u8 data[ipopt::max_len];
};

namespace detail {
inline constexpr u32 srr_first = 3, srr_slot = 4;  // offset of a route's first entry, and the size of each
}

/// Takes a user's block. False: malformed, or a source route without a stop or one that was begun already.
[[nodiscard]] inline bool ip_options_get(inet_options& to, std::span<std::byte const> block) {
  if (block.size() > ipopt::max_len) return false;
  std::memset(to.data, 0, sizeof to.data);
  if (!block.empty()) std::memcpy(to.data, block.data(), block.size());
  std::size_t const padded = (block.size() + 3) & ~std::size_t{3};
  ip_options opt;
  if (parse_ip_options(opt, to.data, padded) != 0) return false;
  ip_option_parser walk{to.data, padded};
  while (walk.next()) {
  }
  std::memset(to.data + walk.at(), ipopt::end, ipopt::max_len - walk.at());  // RFC 791 §3.1: behind the end is padding
  to.optlen = static_cast<u8>(padded);
  to.srr = opt.srr;
  to.is_strictroute = opt.is_strictroute;
  if (!opt.srr) return true;
  using namespace detail;
  u8* const srr = to.data + (opt.srr - ip_hlen_min);
  u32 const length = srr[1];
  if (srr[2] != srr_first + 1 || length < srr_first + srr_slot || (length - srr_first) % srr_slot != 0) return false;
  std::memcpy(&to.faddr, srr + srr_first, srr_slot);
  std::memmove(srr + srr_first, srr + srr_first + srr_slot, length - srr_first - srr_slot);
  return true;
}

/// Makes a source route, of which `faddr` was the first stop, a user's again.
inline void ip_options_undo(u8* srr, be32 faddr) {
  using namespace detail;
  std::memmove(srr + srr_first + srr_slot, srr + srr_first, srr[1] - srr_first - srr_slot);
  std::memcpy(srr + srr_first, &faddr, srr_slot);
}

}  // namespace netstack
