// SPDX-License-Identifier: BSL-1.0
// Decides: what a route is asked for: the key of one flow. A sender fills what it knows; ip_route_output_key fills the
// source address it chose.
// tx: filled by udp, raw, icmp and tcp → read by ipv4/route and ipv4/fib
// Linux: include/net/flow.h (struct flowi4)
#pragma once
#include "netstack/base/byteorder.hpp"
#include "netstack/ipv4/rtnetlink.hpp"

namespace netstack {

struct flowi4 {
  be32 daddr{};  ///< zero: this host
  be32 saddr{};  ///< zero: chosen by the route
  u32 oif = 0;   ///< ifindex that the packet must leave by; 0: any
  u32 iif = 0;   ///< ifindex it came in by; 0: made here
  u32 mark = 0;
  u8 tos = 0;
  u8 proto = 0;                         ///< ipproto::…
  rt_scope scope = rt_scope::universe;  ///< nothing farther than this; link for MSG_DONTROUTE
  bool anysrc = false;                  ///< saddr need not be one of ours (IP_TRANSPARENT, forwarded errors)
  bool broadcast_ok = false;            ///< SO_BROADCAST: else a broadcast destination is permission_denied
  be16 sport{};
  be16 dport{};
};

}  // namespace netstack
