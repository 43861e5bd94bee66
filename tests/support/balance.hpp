// SPDX-License-Identifier: BSL-1.0
// Decides: what "leaves everything as it was" means for a host: how much of every bounded store of a worker is in use.
//
//   auto const before = netstack::test::balance_of(h);  …  CHECK(netstack::test::balance_of(h) == before);
#pragma once
#include <ostream>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/sockfs.hpp"
#include "netstack/udp/udp.hpp"

namespace netstack::test {

struct balance {
  u32 frames, clones, devices, handles, udp_socks, icmp_socks, in_devices, addresses, routes, cached_routes, neighbours,
      peers;
  std::size_t timers;
  s64 udp_pages;
  friend bool operator==(balance const&, balance const&) = default;
  friend std::ostream& operator<<(std::ostream& out, balance const& b) {
    return out << "frames " << b.frames << " clones " << b.clones << " devices " << b.devices << " handles "
               << b.handles << " udp_socks " << b.udp_socks << " icmp_socks " << b.icmp_socks << " in_devices "
               << b.in_devices << " addresses " << b.addresses << " routes " << b.routes << " cached_routes "
               << b.cached_routes << " neighbours " << b.neighbours << " peers " << b.peers << " timers " << b.timers
               << " udp_pages " << b.udp_pages;
  }
};

template <class Host>
balance balance_of(Host& h) {
  auto& worker = h.worker();
  auto& inet = worker_generic<ipv4>(worker);
  auto& udp_state = worker_generic<udp>(worker);
  return {.frames = worker.pool.in_use(),
          .clones = worker.pool.clones_in_use(),
          .devices = worker.devices.in_use(),
          .handles = worker_generic<sockets>(worker).table.open_count(),
          .udp_socks = udp_state.socks.in_use(),
          .icmp_socks = inet.icmp_socks.in_use(),
          .in_devices = inet.in_devices.in_use(),
          .addresses = inet.in_ifaddrs.in_use(),
          .routes = inet.routes.infos.in_use(),
          .cached_routes = inet.rtables.entries.in_use(),
          .neighbours = inet.arp.entries.in_use(),
          .peers = inet.peers.size(),
          .timers = worker.timers.size(),
          .udp_pages = udp_state.memory.allocated};
}

}  // namespace netstack::test
