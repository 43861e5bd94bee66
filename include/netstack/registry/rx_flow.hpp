// SPDX-License-Identifier: BSL-1.0
// Decides: how a protocol tells drivers by what the frames of a flow are recognised, so that a frame becomes a packet
// of the flow at once, instead of one of each layer in turn.
// Linux: none in software (its nearest: a NIC's flow director, ndo_rx_flow_steer)
#pragma once
#include "netstack/skb/skb_list.hpp"

namespace netstack {

struct net_device;

/// A received Ethernet frame, and the packet that holds it: fresh from the pool, nothing put yet, room for all of it.
struct rx_frame {
  sk_buff& skb;
  u8* mac;  ///< its first byte
  u32 len;
  u8 const* from = nullptr;  ///< where its bytes still lie, if not there: who takes it copies them
  u32 truesize = 0;          ///< not 0: who takes it does what skb_pool::complete() would
};

/// What the driver's last burst began with: packets that it recognised, for the packet type that knows the flow.
struct rx_flow_taken {
  void* known = nullptr;
  std::size_t row = 0;  ///< of Net::rx_flows
  sk_buff* last = nullptr;
  u32 packets = 0;
  u64 octets = 0;      ///< without link headers
  bool mixed = false;  ///< not all are for whom the last one before was
};

template <class Net>
struct rx_flow_ops {
  /// What frames of this device are recognised by during this ndo_poll, if they lie `at` bytes from skb.head and the
  /// device vouches for their L4 checksums (`summed`), or does not; null: nothing is known.
  void* (*known)(Net&, net_device&, u16 at, bool summed) = nullptr;
  /// True: the frame is of the flow, and right; the packet is told everything, data at the payload; `mixed` becomes
  /// true if it is not for whom the last one was. False: nothing happened to it, but to its bytes if they lie
  /// elsewhere.
  bool (*take)(Net&, void const* known, net_device&, rx_frame const&, u64 now_real, bool& mixed) = nullptr;
  /// Bytes of a frame of the shortest length that the link has not added; optional.
  u32 (*whole_len)(u8 const* mac) = nullptr;
  /// All packets of a burst were taken: they go where they belong. The list is left empty.
  void (*deliver)(Net&, rx_flow_taken const&, skb_list&) = nullptr;
  char const* name = "";
};

}  // namespace netstack
