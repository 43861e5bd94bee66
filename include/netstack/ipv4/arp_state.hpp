// SPDX-License-Identifier: BSL-1.0
// Decides: what ARP keeps: its entries in each worker, its settings and what it saw in each namespace.
// Linux: net/ipv4/arp.c (arp_tbl)
#pragma once
#include <bit>

#include "netstack/core/neighbour.hpp"
#include "netstack/core/slab.hpp"

namespace netstack {

/// The worker's ARP entries. A member of module ipv4's perworker; arp_init() makes it usable.
template <class Host>
struct arp_cache_storage {
  neigh_cache cache;
  slab<neighbour, Host::sizes.max_neigh> entries;
  neighbour* buckets[std::bit_ceil(Host::sizes.max_neigh)];
};

/// What ARP keeps in each namespace: the settings of conf-less neighbours and what was seen of conflicts.
struct arp_net {
  neigh_parms parms_default;  ///< net/ipv4/neigh/default/…
  counter conflicts;          ///< frames that claimed one of our addresses (RFC 5227 §2.4)
};

}  // namespace netstack
