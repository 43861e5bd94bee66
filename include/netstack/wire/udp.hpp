// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of a UDP header, and of UDP-Lite's, which reads the length as checksum coverage.
// rx: read by udp/udp_input udp_rcv; tx: written by udp/udp_output.
// Linux: include/uapi/linux/udp.h; RFC 768, RFC 3828 §3.1
#pragma once
#include "netstack/base/byteorder.hpp"

namespace netstack::inline wire {

struct udphdr {
  be16 source{};
  be16 dest{};
  be16 len{};     ///< header included, in bytes; UDP-Lite: how many of them the checksum covers, 0 = all
  sum16 check{};  ///< RFC 768: 0 = none was made; a computed 0 travels as 0xffff (csum_mangled_0)
};

inline constexpr std::size_t udp_hlen = 8;
static_assert(sizeof(udphdr) == udp_hlen && alignof(udphdr) == 1);

}  // namespace netstack::inline wire
