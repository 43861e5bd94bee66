// SPDX-License-Identifier: BSL-1.0
// Decides: every bound of a composition. All storage of a stack is sized by one `config`; nothing grows after boot, so
// `host::memory_bound` is the sizeof of what these numbers make. A composition states them as `sizes<config{...}>`.
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

/// Bounds of one composition; every count is per worker unless it says otherwise.
struct config {
  u32 workers = 1;           ///< threads that may poll the stack; all state below exists once for each
  u32 max_net = 4;           ///< network namespaces alive at once, init_net included (whole stack)
  u32 skb_pool = 4096;       ///< data frames
  u32 skb_clones = 256;      ///< sk_buffs without a frame of their own, for second and later clones
  u32 frame_size = 2048;     ///< bytes a frame, a power of two: the unit that a driver may register (UMEM)
  u32 headroom = 256;        ///< bytes before the data of a received frame (AF_XDP's XDP_PACKET_HEADROOM)
  u32 cb = 80;               ///< bytes of sk_buff control block (Linux's cb[48]; TCP needs 80)
  u32 max_dev = 16;          ///< net_devices, loopbacks included
  u32 max_addr = 128;        ///< IPv4 addresses over all devices and namespaces
  u32 max_route = 512;       ///< FIB routes over all namespaces
  u32 max_neigh = 1024;      ///< neighbours over all namespaces
  u32 max_peer = 512;        ///< inet_peers over all namespaces
  u32 max_sock = 512;        ///< sockets of each proto
  u32 max_request = 256;     ///< TCP connections that are half open
  u32 max_ofo = ~0U;         ///< TCP connections that keep what came behind a gap; by default every one may
  u32 max_timewait = 512;    ///< TCP connections in TIME_WAIT
  u32 max_handle = 512;      ///< socket handles (file descriptors of sockfs)
  u32 sock_hash = 256;       ///< buckets of each socket hash, a power of two; TCP has use for two a connection
  u32 rps_ring = 1024;       ///< frames in flight between two workers, a power of two
  u32 control_ring = 256;    ///< control messages in flight between two workers, a power of two
  u32 tick_shift = 12;       ///< timer tick = 2^tick_shift ns (12: 4096 ns)
  u32 drop_trace = 64;       ///< last drops kept for the reader of the trace, a power of two; 0: none
  bool huge_pages = false;   ///< ask for huge pages at boot; falls back to ordinary pages
  bool debug_leaks = false;  ///< remember who allocated each skb and report what is not returned
};

/// Element of a composition's list that states its bounds; checked by the composition (stack/check.hpp).
template <config C>
struct sizes {
  static constexpr config value = C;
};

}  // namespace netstack
