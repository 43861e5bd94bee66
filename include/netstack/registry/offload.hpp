// SPDX-License-Identifier: BSL-1.0
// Decides: how a protocol offers to merge received segments and to cut large sends: Linux's dev_add_offload (by
// ethertype) and inet_add_offload (by IP protocol), apart from packet_type and net_protocol since 3.7. Leaving them out
// of a composition changes speed, never bytes. [S87]
// Linux: include/linux/netdevice.h (struct packet_offload), include/net/protocol.h (struct net_offload)
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/skb/skb_list.hpp"

namespace netstack {

/// One protocol's callbacks; data at its header. Which number `type` is, the table says that it stands in.
template <class Net>
struct offload_callbacks {
  /// Joins skb to a held packet of the same flow in `held` (true: skb is part of it now) or leaves it alone.
  bool (*gro_receive)(Net&, skb_list& held, sk_buff& skb) = nullptr;
  /// The merged packet goes up: lengths and checksums are put right.
  void (*gro_complete)(Net&, sk_buff& skb, u32 header_offset) = nullptr;
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
