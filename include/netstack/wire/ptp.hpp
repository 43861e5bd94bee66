// SPDX-License-Identifier: BSL-1.0
// Decides: whether a frame is a PTP event message, whose times of arrival and departure matter, and of which kind: over
// UDP to port 319 or straight over Ethernet, tagged or not. Fragments are none.
// rx, tx: called by core/timestamping for devices that stamp
// Linux: net/core/ptp_classifier.c, include/linux/ptp_classify.h; IEEE 1588-2019 Annexes C, D, E
#pragma once
#include "netstack/wire/ip.hpp"
#include "netstack/wire/ipproto.hpp"
#include "netstack/wire/vlan.hpp"

namespace netstack::inline wire {

/// Linux's PTP_CLASS_*: version, transport, tag. 0: no PTP event.
namespace ptp_class {
inline constexpr u8 none = 0x00;
inline constexpr u8 v1 = 0x01;
inline constexpr u8 v2 = 0x02;
inline constexpr u8 vmask = 0x0f;
inline constexpr u8 ipv4 = 0x10;
inline constexpr u8 ipv6 = 0x20;
inline constexpr u8 l2 = 0x40;
inline constexpr u8 pmask = 0x70;
inline constexpr u8 vlan = 0x80;
}  // namespace ptp_class

inline constexpr u16 ptp_event_port = 319;

}  // namespace netstack::inline wire

namespace netstack::detail {

constexpr u16 ptp_be16(u8 const* at) { return static_cast<u16>(at[0] << 8 | at[1]); }

/// The version that the message at `at` claims, with the class of what carries it.
constexpr u8 ptp_version(u8 const* at, u8 const* end, u8 carrier) {
  return end - at >= 2 ? static_cast<u8>(carrier | (at[1] & ptp_class::vmask)) : ptp_class::none;
}
constexpr u8 ptp_over_udp(u8 const* udp, u8 const* end, u8 carrier) {
  constexpr std::ptrdiff_t udp_hlen = 8;
  if (end - udp < udp_hlen || ptp_be16(udp + 2) != ptp_event_port) return ptp_class::none;
  return ptp_version(udp + udp_hlen, end, carrier);
}
constexpr u8 ptp_over_ip(u8 const* ip, u8 const* end, u16 type) {
  constexpr std::ptrdiff_t ipv6_hlen = 40;
  if (type == eth_p::ip && end - ip >= static_cast<std::ptrdiff_t>(ip_hlen_min)) {
    std::ptrdiff_t const hlen = (ip[0] & 0x0f) * 4;
    bool const whole = (ptp_be16(ip + 6) & (ip_mf | ip_offset)) == 0;
    if (ip[9] != ipproto::udp || !whole || hlen < static_cast<std::ptrdiff_t>(ip_hlen_min) || end - ip < hlen)
      return ptp_class::none;
    return ptp_over_udp(ip + hlen, end, ptp_class::ipv4);
  }
  if (type == eth_p::ipv6 && end - ip >= ipv6_hlen && ip[6] == ipproto::udp)
    return ptp_over_udp(ip + ipv6_hlen, end, ptp_class::ipv6);
  return ptp_class::none;
}

}  // namespace netstack::detail

namespace netstack::inline wire {

/// The ptp_class of the Ethernet frame of `len` bytes.
[[nodiscard]] constexpr u8 ptp_classify(u8 const* frame, std::size_t len) {
  u8 const* const end = frame + len;
  if (len < eth_hlen) return ptp_class::none;
  u16 type = detail::ptp_be16(frame + 12);
  u8 const* at = frame + eth_hlen;
  u8 tag = 0;
  if (type == eth_p::p_8021q || type == eth_p::p_8021ad) {
    if (len < vlan_eth_hlen) return ptp_class::none;
    type = detail::ptp_be16(at + 2);
    at += vlan_hlen;
    tag = ptp_class::vlan;
  }
  u8 found = ptp_class::none;
  // IEEE 1588 §13.3.2.2: message types below 8 are events.
  if (type != eth_p::ieee1588)
    found = detail::ptp_over_ip(at, end, type);
  else if (at < end && (at[0] & 8) == 0)
    found = detail::ptp_version(at, end, ptp_class::l2);
  return found != ptp_class::none ? static_cast<u8>(found | tag) : found;
}

}  // namespace netstack::inline wire
