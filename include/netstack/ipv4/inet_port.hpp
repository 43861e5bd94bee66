// SPDX-License-Identifier: BSL-1.0
// Decides: which port a socket gets that named none: one drawn at random from ip_local_port_range, so that a stranger
// cannot guess it. Reserved ports are never drawn, though they may be asked for.
// called by udp/udp_port, tcp/inet_hashtables
// Linux: net/ipv4/udp.c (udp_lib_get_port), net/ipv4/inet_connection_sock.c (inet_csk_find_open_port)
// RFC 6056 §3.3.2 (algorithm 2: a fresh random number for each try), then every port once from a random start, so that
// the last free one is found [S32]
#pragma once
#include "netstack/ipv4/inet_sock.hpp"

namespace netstack {

/// The ports that it may get.
struct inet_port_range {
  u32 low, size;
};
template <class Net>
[[nodiscard]] inet_port_range inet_local_ports(Net& net, inet_sock const& inet) {
  auto const& ipv4 = ipv4_net(net);
  auto const& own = *inet.sk_rare;
  u32 low = static_cast<u32>(ipv4.ip_local_ports[0]), high = static_cast<u32>(ipv4.ip_local_ports[1]);
  if (own.local_port_lo > low && own.local_port_lo <= high) low = own.local_port_lo;
  if (own.local_port_hi >= low && own.local_port_hi != 0 && own.local_port_hi < high) high = own.local_port_hi;
  return {low, high - low + 1};
}
/// The first that is tried, for who wants to know it early.
template <class Net>
[[nodiscard]] u16 inet_draw_port(Net& net, inet_sock const& inet) {
  auto const [low, size] = inet_local_ports(net, inet);
  return static_cast<u16>(low + net.worker().random.below(size));
}

/// A port of the range for which free(port), or 0. `first`: of inet_draw_port.
template <class Net, class Free>
u16 inet_random_port(Net& net, inet_sock const& inet, u16 first, Free&& free) {
  constexpr u32 random_tries = 64;
  auto const& ipv4 = ipv4_net(net);
  auto const allowed = [&](u32 port) {
    return !ipv4.sysctl_local_reserved_ports.test(port) && free(static_cast<u16>(port));
  };
  if (allowed(first)) [[likely]]
    return first;
  for (u32 i = 1; i < random_tries; ++i)
    if (u16 const port = inet_draw_port(net, inet); allowed(port)) return port;
  auto const [low, size] = inet_local_ports(net, inet);
  u32 const start = net.worker().random.below(size);
  for (u32 i = 0; i < size; ++i)
    if (u32 const port = low + (start + i) % size; allowed(port)) return static_cast<u16>(port);
  return 0;
}
template <class Net, class Free>
u16 inet_random_port(Net& net, inet_sock const& inet, Free&& free) {
  return inet_random_port(net, inet, inet_draw_port(net, inet), free);
}

}  // namespace netstack
