// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of an ARP packet for IPv4 over Ethernet, the only pair the stack resolves. Other pairs have the
// same first eight bytes (ar_hrd … ar_op) and other lengths: is_ether_ipv4() tells them apart before the rest is read.
// rx: read by ipv4/arp arp_rcv; tx: written by arp_create.
// Linux: include/uapi/linux/if_arp.h, net/ipv4/arp.c; RFC 826, RFC 903 (reverse)
#pragma once
#include "netstack/wire/eth_p.hpp"
#include "netstack/wire/ethernet.hpp"

namespace netstack::inline wire {

namespace arphrd {
inline constexpr u16 netrom = 0;
inline constexpr u16 ether = 1;
inline constexpr u16 ieee802 = 6;
inline constexpr u16 tunnel = 768;
inline constexpr u16 loopback = 772;
inline constexpr u16 ipgre = 778;
inline constexpr u16 none = 0xfffe;
}  // namespace arphrd

namespace arpop {
inline constexpr u16 request = 1;
inline constexpr u16 reply = 2;
inline constexpr u16 rrequest = 3;
inline constexpr u16 rreply = 4;
inline constexpr u16 inrequest = 8;
inline constexpr u16 inreply = 9;
inline constexpr u16 nak = 10;
}  // namespace arpop

struct arphdr {
  be16 ar_hrd{arphrd::ether};
  be16 ar_pro{eth_p::ip};
  u8 ar_hln = 6;
  u8 ar_pln = 4;
  be16 ar_op{};
  mac_addr ar_sha{};
  be32 ar_sip{};
  mac_addr ar_tha{};
  be32 ar_tip{};

  /// RFC 826, "Packet Reception": do I have the hardware type, do I speak the protocol. RFC 1122 §2.3.3 allows 802 (6)
  /// too.
  [[nodiscard]] constexpr bool is_ether_ipv4() const {
    return (ar_hrd == be16{arphrd::ether} || ar_hrd == be16{arphrd::ieee802}) && ar_pro == be16{eth_p::ip} &&
           ar_hln == 6 && ar_pln == 4;
  }
};

inline constexpr std::size_t arp_hlen = 28;
static_assert(sizeof(arphdr) == arp_hlen && alignof(arphdr) == 1);

}  // namespace netstack::inline wire
