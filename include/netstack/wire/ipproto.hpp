// SPDX-License-Identifier: BSL-1.0
// Decides: the numbers of the IP protocol field (Linux's IPPROTO_*).
// rx: the index of inet_protos; socket(): the third argument; tx: iphdr::protocol.
// Linux: include/uapi/linux/in.h; the protocol-numbers registry of RFC 790 and its successors
#pragma once
#include "netstack/base/config.hpp"

namespace netstack::inline wire {

namespace ipproto {
inline constexpr u8 ip = 0;  ///< in socket(): "the default of this type"
inline constexpr u8 icmp = 1;
inline constexpr u8 igmp = 2;
inline constexpr u8 ipip = 4;
inline constexpr u8 tcp = 6;
inline constexpr u8 egp = 8;
inline constexpr u8 pup = 12;
inline constexpr u8 udp = 17;
inline constexpr u8 idp = 22;
inline constexpr u8 dccp = 33;
inline constexpr u8 ipv6 = 41;
inline constexpr u8 rsvp = 46;
inline constexpr u8 gre = 47;
inline constexpr u8 esp = 50;
inline constexpr u8 ah = 51;
inline constexpr u8 icmpv6 = 58;
inline constexpr u8 beetph = 94;
inline constexpr u8 encap = 98;
inline constexpr u8 pim = 103;
inline constexpr u8 comp = 108;
inline constexpr u8 sctp = 132;
inline constexpr u8 udplite = 136;
inline constexpr u8 mpls = 137;
inline constexpr u8 raw = 255;
inline constexpr int max = 263;  ///< in socket(): numbers beyond the field's eight bits name what is no IP protocol
}  // namespace ipproto

}  // namespace netstack::inline wire
