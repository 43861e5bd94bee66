// SPDX-License-Identifier: BSL-1.0
// Decides: the numbers of the Ethernet type field (Linux's ETH_P_*), in host order: a frame's field is be16, so compare
// `eth->h_proto.host() == eth_p::ip`. Values that a digit would start carry the prefix p_. [S56]
// rx: the key of ptype_base; tx: what dev_hard_header writes.
// Linux: include/uapi/linux/if_ether.h; IEEE 802 numbers of the IANA registry
#pragma once
#include "netstack/base/config.hpp"

namespace netstack::inline wire {

namespace eth_p {
inline constexpr u16 loop = 0x0060;
inline constexpr u16 pup = 0x0200;
inline constexpr u16 ip = 0x0800;
inline constexpr u16 x25 = 0x0805;
inline constexpr u16 arp = 0x0806;
inline constexpr u16 teb = 0x6558;  ///< Ethernet inside a tunnel
inline constexpr u16 rarp = 0x8035;
inline constexpr u16 atalk = 0x809b;
inline constexpr u16 aarp = 0x80f3;
inline constexpr u16 p_8021q = 0x8100;
inline constexpr u16 ipx = 0x8137;
inline constexpr u16 ipv6 = 0x86dd;
inline constexpr u16 pause = 0x8808;
inline constexpr u16 slow = 0x8809;  ///< slow protocols; subtype 1 is LACP
inline constexpr u16 lacp = slow;    ///< the bonding driver's name for the same number
inline constexpr u16 mpls_uc = 0x8847;
inline constexpr u16 mpls_mc = 0x8848;
inline constexpr u16 ppp_disc = 0x8863;
inline constexpr u16 ppp_ses = 0x8864;
inline constexpr u16 pae = 0x888e;  ///< 802.1X
inline constexpr u16 p_8021ad = 0x88a8;
inline constexpr u16 lldp = 0x88cc;
inline constexpr u16 macsec = 0x88e5;
inline constexpr u16 ieee1588 = 0x88f7;
inline constexpr u16 p_802_3_min = 0x0600;  ///< the field is a type from here on, a length below

// Not on the wire: what the stack calls frames whose type field says something else.
inline constexpr u16 p_802_3 = 0x0001;
inline constexpr u16 ax25 = 0x0002;
inline constexpr u16 all = 0x0003;      ///< every frame: ptype_all
inline constexpr u16 p_802_2 = 0x0004;  ///< 802.3 length field with an LLC header
inline constexpr u16 snap = 0x0005;
}  // namespace eth_p

/// True for a type, false for the length of an 802.3 frame (below 1536).
constexpr bool eth_proto_is_802_3(u16 proto) { return proto >= eth_p::p_802_3_min; }

}  // namespace netstack::inline wire
