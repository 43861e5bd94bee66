// SPDX-License-Identifier: BSL-1.0
// Decides: what IPv4 keeps in each worker for all its namespaces: the slabs that the configuration sizes. A namespace's
// own roots are in netns_ipv4, but for its FIB, whose type depends on the sizes.
// Linux: the kmem_caches of net/ipv4 (ip_dst_cache, ip_fib_alias, in_ifaddr) and the per-cpu ICMP sockets
#pragma once
#include <algorithm>

#include "netstack/core/sock.hpp"
#include "netstack/ipv4/arp_state.hpp"
#include "netstack/ipv4/fib.hpp"
#include "netstack/ipv4/inetpeer.hpp"
#include "netstack/ipv4/ip_options_get.hpp"
#include "netstack/ipv4/rt_cache.hpp"

namespace netstack {

/// perworker of module ipv4.
template <class Host>
struct ipv4_worker {
  static constexpr config const& sizes = Host::sizes;
  using fib_slab_type = fib_slab<sizes.max_route>;

  arp_cache_storage<Host> arp;
  slab<in_device, sizes.max_dev> in_devices;
  slab<in_ifaddr, sizes.max_addr> in_ifaddrs;
  slab<sock, sizes.max_net> icmp_socks;
  proto_memory icmp_memory;
  /// Of sockets and half-open connections that send some: hardly any does. A byte numbers them, from 1.
  slab<inet_options, std::clamp<u32>(sizes.max_sock / 8, 16, 254)> ip_options;
  inet_peer_base<sizes.max_peer> peers;
  fib_slab_type routes;
  fib_tables<fib_slab_type> fib[sizes.max_net];
  /// The cached ways of each route, by its place in `routes`.
  struct {
    rtable* input;
    rtable* output;
    rtable* learned;  ///< the same way, for those of whose path something was learnt (ipv4/pmtu)
  } rth[sizes.max_route];
  rtable_slab<sizes.max_route + static_cast<u32>(dev_rth::count) * sizes.max_dev + 16> rtables;

  ipv4_worker() {
    routes.init();
    for (auto& tables : fib) tables.init(routes);
  }
};

/// The namespace's routes.
template <class Net>
[[nodiscard]] auto& fib(Net& net) {
  return worker_generic<ipv4>(net.worker()).fib[net.index];
}
/// Where the ways of this route are cached.
template <class Net>
[[nodiscard]] auto& fib_rth(Net& net, fib_info const& fi) {
  auto& state = worker_generic<ipv4>(net.worker());
  return state.rth[state.routes.infos.index_of(&fi)];
}

}  // namespace netstack
