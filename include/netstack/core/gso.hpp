// SPDX-License-Identifier: BSL-1.0
// Decides: the names of skb_shared_info.gso_type: of which protocol a super-segment is, that somebody further down
// cuts.
// Linux: include/linux/skbuff.h (SKB_GSO_*)
#pragma once
#include "netstack/base/config.hpp"

namespace netstack::skb_gso {

inline constexpr u8 tcpv4 = 1u << 0, tcpv6 = 1u << 1, udp = 1u << 2, udp_l4 = 1u << 3, tcp_ecn = 1u << 4;

}  // namespace netstack::skb_gso
