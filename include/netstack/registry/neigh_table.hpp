// SPDX-License-Identifier: BSL-1.0
// Decides: how an address family resolves next hops to link addresses: Linux's struct neigh_table. The state machine is
// core/neighbour.hpp; a table brings what it cannot know: how to ask, how to report failure, which entries need no
// asking, and where the entries and the settings live. [S125]
// Linux: include/net/neighbour.h
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/skb/sk_buff.hpp"

namespace netstack {

struct neighbour;
struct neigh_parms;
struct neigh_cache;

template <class Net>
struct neigh_table {
  u8 family = 0;                                                  ///< af::inet …
  u16 protocol = 0;                                               ///< eth_p::… of the packets that are resolved
  char const* id = "";                                            ///< "arp_cache"
  neigh_cache& (*cache)(Net&) = nullptr;                          ///< the worker's entries, all namespaces
  neigh_parms* (*parms)(Net&, net_device&) = nullptr;             ///< the device's settings; null: it is going
  result<void> (*constructor)(Net&, neighbour&) = nullptr;        ///< sets entries that need no asking (nud::noarp)
  void (*solicit)(Net&, neighbour&, sk_buff* waiting) = nullptr;  ///< asks for the link address once
  void (*error_report)(Net&, neighbour&, sk_buff&) = nullptr;     ///< a waiting packet cannot go; takes the skb
};

}  // namespace netstack
