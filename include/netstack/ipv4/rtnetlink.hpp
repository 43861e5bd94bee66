// SPDX-License-Identifier: BSL-1.0
// Decides: the vocabulary of routes and addresses: what a route does, how far a destination or an address reaches,
// which table a route stands in and who put it there. Shared by fib, devinet and route; names and numbers are Linux's.
// Linux: include/uapi/linux/rtnetlink.h (RTN_*, RT_SCOPE_*, RT_TABLE_*, RTPROT_*), include/uapi/linux/in_route.h
// (RTCF_*)
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

/// What a route does with a packet, and what kind an address is (Linux's RTN_*).
enum class rtn : u8 {
  unspec,
  unicast,    ///< a gateway or a directly connected network
  local,      ///< accepted here
  broadcast,  ///< accepted here as a broadcast, sent as one
  anycast,
  multicast,
  blackhole,    ///< dropped silently; the sender gets EINVAL
  unreachable,  ///< ICMP host unreachable; EHOSTUNREACH
  prohibit,     ///< ICMP administratively prohibited; EACCES
  throw_,       ///< not in this table: the lookup goes on; ENETUNREACH
};

/// How far away: the larger, the nearer.
enum class rt_scope : u8 {
  universe = 0,  ///< behind a gateway
  site = 200,
  link = 253,     ///< on this link
  host = 254,     ///< in this host
  nowhere = 255,  ///< nowhere: a route that leads here cannot be used
};

/// Which FIB table (Linux's RT_TABLE_*).
enum class rt_table : u8 { unspec = 0, default_ = 253, main = 254, local = 255 };

/// Who made the route (Linux's RTPROT_*).
namespace rtprot {
inline constexpr u8 unspec = 0, redirect = 1, kernel = 2, boot = 3, static_ = 4;
}

/// rtable::rt_flags (Linux's RTCF_*).
namespace rtcf {
inline constexpr u32 redirected = 0x00040000, doredirect = 0x01000000, broadcast = 0x10000000, multicast = 0x20000000,
                     local = 0x80000000;
}

}  // namespace netstack
