// SPDX-License-Identifier: BSL-1.0
// Decides: what routing tells the layers about a packet: where it goes next. A packet borrows its dst during one poll
// (noref) and takes a reference when it is queued (skb_dst_force); a dst whose route is gone lives until the last
// packet lets go. The input and output kinds are names, not pointers, so that the family's own switch calls directly.
// [S44] Linux: include/net/dst.h
#pragma once
#include <system_error>

#include "netstack/core/net_device.hpp"
#include "netstack/skb/skb_pool.hpp"

namespace netstack {

enum class dst_input : u8 { none, local_deliver, forward, multicast, error };
enum class dst_output : u8 { none, unicast, broadcast, multicast, error };

struct dst_entry : dst_ref {
  net_device* dev = nullptr;
  dst_input input = dst_input::none;
  dst_output output = dst_output::none;
  std::errc error{};      ///< of an error route: host_unreachable, permission_denied, invalid_argument (blackhole)
  bool obsolete = false;  ///< its route is gone: a cached copy must be looked up again
  u32 mtu = 0;            ///< 0: the device's
};

inline void dst_hold(dst_entry& dst) { ++dst.refcnt; }
inline void dst_release(dst_entry& dst) {
  if (--dst.refcnt == 0 && dst.destroy) dst.destroy(dst);
}

}  // namespace netstack
