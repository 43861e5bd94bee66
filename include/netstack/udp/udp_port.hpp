// SPDX-License-Identifier: BSL-1.0
// Decides: which port a socket gets, and who may share one.
// called by inet_bind and inet_autobind as sk_prot's get_port → calls inet_random_port
// Linux: net/ipv4/udp.c (udp_lib_get_port, udp_lib_lport_inuse), net/ipv4/inet_connection_sock.c (inet_rcv_saddr_equal)
// [S32] [S98]
#pragma once
#include "netstack/ipv4/inet_port.hpp"
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

}  // namespace detail

/// proto::get_port. Errors: address_in_use.
template <class Net>
result<void> udp_v4_get_port(Net& net, sock& sk, u16 snum) {
  if (snum == 0) {
    snum = inet_random_port(net, inet_sk(sk), [&](u16 port) { return !detail::udp_lport_inuse(net, sk, port); });
    if (snum == 0) return failure{std::errc::address_in_use};
  } else if (detail::udp_lport_inuse(net, sk, snum)) {
    return failure{std::errc::address_in_use};
  }
  sk.sk_num = snum;
  return udp_lib_hash(net, sk);
}

}  // namespace netstack
