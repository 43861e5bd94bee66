// SPDX-License-Identifier: BSL-1.0
// Decides: how a module asks for an ICMP message type, where Linux has one fixed array: ipv4/icmp brings the types of
// RFC 792, a ping module adds the echo reply. Resolved into Net::icmp_pointers; a type nobody claims is counted as an
// error.
// rx: read by ipv4/icmp icmp_rcv
// Linux: net/ipv4/icmp.c (struct icmp_control, icmp_pointers)
#pragma once
#include "netstack/skb/sk_buff.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

template <class Net>
struct icmp_control {
  u8 type = 0;                                   ///< icmp_type::…
  verdict (*handler)(Net&, sk_buff&) = nullptr;  ///< data behind the ICMP header, which is at transport_header
  bool error = false;                            ///< RFC 1122 §3.2.2: an error message; never answered by another
  char const* name = "";
};

}  // namespace netstack
