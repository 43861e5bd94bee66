// SPDX-License-Identifier: BSL-1.0
// Decides: how devices of a kind are made at run time (`ip link add type vlan …`), Linux's rtnl_link_register. The kind
// is a driver of the composition; its devices come from the worker's device slab like any other.
// Linux: include/net/rtnetlink.h (struct rtnl_link_ops)
#pragma once
#include "netstack/base/result.hpp"

namespace netstack {

struct net_device;

/// What the new device is made of: the device below it, and a number (VLAN id, tunnel key) of the kind's own meaning.
struct link_request {
  char const* name = "";  ///< may hold %d
  u32 link = 0;           ///< ifindex of the device below; 0: none
  u32 id = 0;
};

template <class Net>
struct rtnl_link_ops {
  char const* kind = "";  ///< "vlan"; unique in the composition
  result<net_device*> (*newlink)(Net&, link_request const&) = nullptr;
  void (*dellink)(Net&, net_device&) = nullptr;
};

}  // namespace netstack
