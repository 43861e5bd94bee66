// SPDX-License-Identifier: BSL-1.0
// Decides: how a module sees IPv4 datagrams before their transport does, as raw sockets must. Each row gets a clone if
// it wants one; the protocol still gets the original. [S121]
// rx: called by ipv4/ip_input ip_local_deliver_finish and ipv4/icmp icmp_socket_deliver
// Linux: net/ipv4/raw.c (raw_local_deliver, raw_icmp_error)
#pragma once
#include "netstack/skb/sk_buff.hpp"

namespace netstack {

template <class Net>
struct raw_deliver_ops {
  /// Shown each datagram for this host, data at the transport header; true if somebody took a copy (skb_clone): then an
  /// unknown protocol is no error. Must not free or change the packet.
  bool (*deliver)(Net&, sk_buff&, u8 protocol) = nullptr;
  /// Optional: an ICMP error about a datagram of this protocol; data at the quoted IP header.
  void (*icmp_error)(Net&, sk_buff&, u8 protocol, u32 info) = nullptr;
  char const* name = "";
};

}  // namespace netstack
