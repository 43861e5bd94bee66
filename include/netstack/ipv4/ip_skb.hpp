// SPDX-License-Identifier: BSL-1.0
// Decides: where a packet's IP header is, and what IP notes beside it. [S40]
// Linux: include/net/ip.h (struct inet_skb_parm, IPCB), include/linux/ip.h (ip_hdr)
#pragma once
#include "netstack/skb/sk_buff.hpp"
#include "netstack/wire/ip.hpp"
#include "netstack/wire/ip_options.hpp"

namespace netstack {

namespace ipskb {  // inet_skb_parm::flags, Linux's IPSKB_*
inline constexpr u16 forwarded = 1u << 0, doredirect = 1u << 5, srr_is_hit = 1u << 14, no_mc_loop = 1u << 15;
}

/// What IP notes in sk_buff's control block while a datagram is in its hands and in its transport's (Linux's IPCB).
/// Sixteen bytes, so that it is written at once.
struct inet_skb_parm {
  u32 iif = 0;       ///< ifindex it came in by (IP_PKTINFO)
  ip_options opt{};  ///< where its options lie; optlen 0: none
  u16 flags = 0;     ///< ipskb::…
  u16 unused = 0;
};
static_assert(sizeof(inet_skb_parm) == 16, "leaves the transports room in cb[48]");

[[nodiscard]] inline inet_skb_parm& IPCB(sk_buff& skb) { return skb.cb<inet_skb_parm>(); }
[[nodiscard]] inline iphdr* ip_hdr(sk_buff const& skb) { return skb.network_hdr<iphdr>(); }
/// Bytes of the IP header with its options.
[[nodiscard]] inline u32 ip_hdrlen(sk_buff const& skb) { return static_cast<u32>(ip_hdr(skb)->header_len()); }

}  // namespace netstack
