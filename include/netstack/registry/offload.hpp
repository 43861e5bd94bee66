// SPDX-License-Identifier: BSL-1.0
// Decides: how a protocol offers to merge received segments and to cut large sends: Linux's dev_add_offload (by
// ethertype) and inet_add_offload (by IP protocol), apart from packet_type and net_protocol since 3.7. Leaving them out
// of a composition changes speed, never bytes. [S87]
// Linux: include/linux/netdevice.h (struct packet_offload), include/net/protocol.h (struct net_offload)
#pragma once
#include <span>

#include "netstack/base/result.hpp"
#include "netstack/skb/skb_list.hpp"

namespace netstack {

/// One protocol's callbacks. Which number `type` is, the table says that it stands in.
template <class Net>
struct offload_callbacks {
  /// The received packet's header lies at skb_gro_offset() from data. Of the held packets, oldest first, those that may
  /// be of its flow say so in NAPI_GRO_CB().same_flow; this clears it where the header differs, and either merges skb
  /// into the one that is left (skb_gro_receive), or lets it be held as the first of its flow, or sets
  /// NAPI_GRO_CB(skb).flush: it must not wait. Returns the held packet that is complete now, or null. [S67]
  sk_buff* (*gro_receive)(Net&, std::span<sk_buff* const> held, sk_buff& skb) = nullptr;
  /// A packet of several segments goes up: lengths and checksums are put right. Its header lies at data + offset.
  void (*gro_complete)(Net&, sk_buff& skb, u32 offset) = nullptr;
  /// Cuts a packet of gso_size into segments that fit. Errors: no_buffer_space (nothing was made), invalid_argument.
  result<skb_list> (*gso_segment)(Net&, sk_buff& skb, u32 features) = nullptr;
};

template <class Net>
struct packet_offload {
  u16 type = 0;  ///< eth_p::…
  u16 priority = 0;
  offload_callbacks<Net> callbacks{};
  char const* name = "";
};

template <class Net>
struct net_offload {
  u8 protocol = 0;  ///< ipproto::…
  offload_callbacks<Net> callbacks{};
  char const* name = "";
};

}  // namespace netstack
