// SPDX-License-Identifier: BSL-1.0
// Decides: which port a socket gets, and who may share one. A port that nobody named is drawn at random from
// ip_local_port_range, so that a stranger cannot guess it; reserved ports are never drawn, though they may be asked
// for. RFC 6056 §3.3.2 (algorithm 2: a fresh random number for each try), then every port once from a random start, so
// that the last free one is found. [S32] [S98] called by inet_bind and inet_autobind as sk_prot's get_port Linux:
// net/ipv4/udp.c (udp_lib_get_port, udp_lib_lport_inuse), net/ipv4/inet_connection_sock.c (inet_rcv_saddr_equal)
#pragma once
#include "netstack/udp/udp_table.hpp"

namespace netstack {

namespace detail {

/// Would both get the same datagrams? Then both must have agreed to share: SO_REUSEADDR or SO_REUSEPORT on each.
inline bool udp_sock_conflict(sock const& sk, sock const& other, u16 snum) {
  if (&other == &sk || other.sk_net != sk.sk_net || other.sk_num != snum) return false;
  if (sk.sk_reuse && other.sk_reuse) return false;
  if (sk.sk_reuseport && other.sk_reuseport) return false;
  if (sk.sk_bound_dev_if && other.sk_bound_dev_if && sk.sk_bound_dev_if != other.sk_bound_dev_if) return false;
  return !sk.sk_rcv_saddr || !other.sk_rcv_saddr || sk.sk_rcv_saddr == other.sk_rcv_saddr;
}

template <class Net>
bool udp_lport_inuse(Net& net, sock const& sk, u16 snum) {
  for (auto const& other : udp_slot(net, snum))
    if (udp_sock_conflict(sk, other, snum)) return true;
  return false;
}

/// A free port of the range, or 0.
template <class Net>
u16 udp_random_port(Net& net, sock const& sk) {
  constexpr u32 random_tries = 64;
  auto const& ipv4 = ipv4_net(net);
  auto const& inet = inet_sk(sk);
  u32 low = static_cast<u32>(ipv4.ip_local_ports[0]), high = static_cast<u32>(ipv4.ip_local_ports[1]);
  if (inet.local_port_lo > low && inet.local_port_lo <= high) low = inet.local_port_lo;
  if (inet.local_port_hi >= low && inet.local_port_hi != 0 && inet.local_port_hi < high) high = inet.local_port_hi;
  u32 const remaining = high - low + 1;
  auto const free = [&](u32 port) {
    return !ipv4.sysctl_local_reserved_ports.test(port) && !udp_lport_inuse(net, sk, static_cast<u16>(port));
  };
  for (u32 i = 0; i < random_tries; ++i)
    if (u32 const port = low + net.worker().random.below(remaining); free(port)) return static_cast<u16>(port);
  u32 const start = net.worker().random.below(remaining);
  for (u32 i = 0; i < remaining; ++i)
    if (u32 const port = low + (start + i) % remaining; free(port)) return static_cast<u16>(port);
  return 0;
}

}  // namespace detail

/// proto::get_port. Errors: address_in_use.
template <class Net>
result<void> udp_v4_get_port(Net& net, sock& sk, u16 snum) {
  if (snum == 0) {
    snum = detail::udp_random_port(net, sk);
    if (snum == 0) return failure{std::errc::address_in_use};
  } else if (detail::udp_lport_inuse(net, sk, snum)) {
    return failure{std::errc::address_in_use};
  }
  sk.sk_num = snum;
  return udp_lib_hash(net, sk);
}

}  // namespace netstack
