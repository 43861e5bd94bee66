// SPDX-License-Identifier: BSL-1.0
// Decides: what connecting means for a socket without connections: a route and a source address chosen once, a filter
// on what is received, and both undone again.
// called by inet_dgram_connect as sk_prot's connect and disconnect, of UDP, raw and ping alike
// Linux: net/ipv4/datagram.c (ip4_datagram_connect, ip4_datagram_release_cb), net/ipv4/udp.c (udp_disconnect)
// [S93] [S98]
#pragma once
#include "netstack/core/softnet.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/ipv4/route_output.hpp"

namespace netstack {

/// The route that the socket cached, if it is still right; borrowed.
[[nodiscard]] inline rtable* sk_rt_check(sock& sk) { return static_cast<rtable*>(sk_dst_check(sk)); }
/// The same for who looks up another, should what was learned of the path hold no longer.
template <class Net>
[[nodiscard]] NETSTACK_INLINE rtable* sk_rt_check(Net& net, sock& sk) {
  rtable* const rt = sk_rt_check(sk);
  if (!rt || !rt->learned || detail::rt_is_learned(net, sk.sk_daddr)) [[likely]]
    return rt;
  sk_dst_reset(sk);
  return nullptr;
}
/// Something was told of the path: unless the socket's way is one that asks, it is looked up again.
inline void sk_rt_recheck(sock& sk) {
  if (sk.sk_dst_cache && !sk.sk_dst_cache->learned) sk_dst_reset(sk);
}

namespace detail {
/// The flow of a connected socket to daddr:dport.
inline flowi4 connected_flow(inet_sock const& inet, be32 daddr, be16 dport) {
  flowi4 fl4{.daddr = daddr,
             .saddr = inet.inet_saddr,
             .oif = inet.sk_bound_dev_if,
             .mark = inet.sk_mark,
             .tos = inet.tos,
             .proto = static_cast<u8>(inet.sk_protocol),
             .scope = sock_flag(inet, sock_flags::localroute) ? rt_scope::link : rt_scope::universe,
             .anysrc = inet.transparent,
             .broadcast_ok = sock_flag(inet, sock_flags::broadcast),
             .sport = inet.inet_sport,
             .dport = dport};
  if (ipv4_is_multicast(daddr)) {
    if (fl4.oif == 0) fl4.oif = inet.sk_rare->mc_index;
    if (!fl4.saddr) fl4.saddr = inet.sk_rare->mc_addr;
  } else if (fl4.oif == 0) {
    fl4.oif = inet.sk_rare->uc_index;
  }
  return fl4;
}
}  // namespace detail

/// Errors: invalid_argument (too short), address_family_not_supported, permission_denied (broadcast without
/// SO_BROADCAST), and the route's.
template <class Net>
result<void> ip4_datagram_connect(Net& net, sock& sk, sockaddr_view uaddr) {
  if (uaddr.size() < sizeof(sockaddr_in)) return failure{std::errc::invalid_argument};
  auto const addr = uaddr.as<sockaddr_in>();
  if (addr.sin_family != af::inet) return failure{std::errc::address_family_not_supported};
  auto& inet = inet_sk(sk);
  sk_dst_reset(sk);
  flowi4 fl4 = detail::connected_flow(inet, addr.sin_addr.s_addr, addr.sin_port);
  auto const rt = ip_route_output_key(net, fl4);
  if (!rt) {
    if (rt.error() == std::errc::network_unreachable) ++IP_STATS(net).OutNoRoutes;
    return failure{rt.error()};
  }
  flow_genid_bump(net.worker().softnet);  // whose datagrams it gets
  if (!inet.inet_saddr) inet.inet_saddr = fl4.saddr;
  sk.sk_daddr = fl4.daddr;
  sk.sk_dport = addr.sin_port;
  if (!sk.sk_rcv_saddr) {
    sk.sk_rcv_saddr = fl4.saddr;
    if (auto* rehash = sk_prot<Net>(sk).rehash) rehash(net, sk);
  }
  sk.sk_state = tcp_state::established;
  sk_rx_dst_reset(sk);
  sk_dst_set(sk, **rt);
  return {};
}

/// connect(af::unspec): no peer any more; what connect() chose is given back, what bind() chose stays.
template <class Net>
result<void> udp_disconnect(Net& net, sock& sk, u32) {
  auto& inet = inet_sk(sk);
  auto const& prot = sk_prot<Net>(sk);
  flow_genid_bump(net.worker().softnet);
  sk.sk_state = tcp_state::close;
  sk.sk_daddr = {};
  sk.sk_dport = {};
  sk.sk_bound_dev_if = 0;
  bool const port_kept = sock_flag(sk, sock_flags::bindport_lock);
  if (!sock_flag(sk, sock_flags::bindaddr_lock)) {
    sk.sk_rcv_saddr = inet.inet_saddr = {};
    if (port_kept && prot.rehash) prot.rehash(net, sk);
  }
  if (!port_kept) {
    if (prot.unhash) prot.unhash(net, sk);
    inet.inet_sport = {};
  }
  sk_dst_reset(sk);
  sk_rx_dst_reset(sk);
  return {};
}

/// After a call on the socket: a route that went stale meanwhile is looked up again.
template <class Net>
void ip4_datagram_release_cb(Net& net, sock& sk) {
  if (!sk.sk_dst_cache || sk_rt_check(sk)) return;
  if (sk.sk_state != tcp_state::established) return;
  flowi4 fl4 = detail::connected_flow(inet_sk(sk), sk.sk_daddr, sk.sk_dport);
  if (auto const rt = ip_route_output_key(net, fl4)) sk_dst_set(sk, **rt);
}

}  // namespace netstack
