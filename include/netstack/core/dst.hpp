// SPDX-License-Identifier: BSL-1.0
// Decides: what routing tells the layers about a packet: where it goes next. A packet borrows its dst during one poll
// (noref) and takes a reference when it is queued (skb_dst_force); a dst whose route is gone lives until the last
// packet lets go. The input and output kinds are names, not pointers, so that the family's own switch calls directly.
// [S44]
// Linux: include/net/dst.h
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/skb/skb_pool.hpp"

namespace netstack {

/// What happens to a received packet with this dst (Linux's dst->input).
enum class dst_in : u8 { none, local_deliver, forward };
/// How a packet with this dst is sent (Linux's dst->output).
enum class dst_out : u8 { none, unicast, multicast };

struct dst_entry : dst_ref {
  net_device* dev = nullptr;  ///< null: the device is gone, and whoever kept the dst may only let go of it
  dst_in input = dst_in::none;
  dst_out output = dst_out::none;
  bool obsolete = false;  ///< its route is gone or may be another: a kept copy must be looked up again
  bool learned = false;   ///< of whom it leads to something was learned that no route says: each packet asks for it
  u32 mtu = 0;            ///< the route's own; 0: the device's
  u64 plain_genid = 0;    ///< while softnet_data::route_genid is this, it is right, and these hold:
  u32 plain_mtu = 0;      ///< the device's MTU is the path's
  u32 plain_room = 0;     ///< behind the network header, on a way to a station; 0: it is of another kind
  u64 serial = 0;         ///< no other dst of this worker ever has it, though its memory is used again
};

inline void dst_hold(dst_entry& dst) { ++dst.refcnt; }
inline void dst_release(dst_entry& dst) {
  if (--dst.refcnt == 0 && dst.destroy) dst.destroy(dst);
}

}  // namespace netstack
