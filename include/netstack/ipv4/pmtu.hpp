// SPDX-License-Identifier: BSL-1.0
// Decides: what is remembered of a destination beyond its route: how large a datagram its path carries, which gateway
// it should rather use, and which identification its next datagram gets. All of it lives in the destination's
// inet_peer, so it is bounded and forgotten with it. All such destinations of a route share a way of their own
// (rtable::learned), by which each packet asks; those of whom nothing was learned keep the common one. [S133]
// tx: called by ipv4/ip_output; written by ICMP's err_handlers through ipv4_update_pmtu and ipv4_redirect
// Linux: net/ipv4/route.c (update_or_create_fnhe, __ip_rt_update_pmtu, __ip_do_redirect, __ip_select_ident)
// RFC 1191 §3, §6.3 (aging), RFC 1122 §3.2.2.2 (redirects), RFC 1812 §5.2.7.2, RFC 6864 §4.1
#pragma once
#include "netstack/ipv4/route_output.hpp"

namespace netstack {

/// RFC 791: an identification that no other datagram in flight to this destination has.
template <class Net>
u16 ip_select_ident(Net& net, be32 daddr) {
  inet_peer* peer = inet_getpeer(net, daddr, true);
  return peer ? inet_getid(*peer) : static_cast<u16>(net.worker().random.next_u32());
}

namespace detail {
/// Whose path we have learnt something of, which still holds; null: it is not the destination.
template <class Net>
inet_peer const* ip_peer_of_path(Net& net, be32 daddr) {
  inet_peer const* peer = inet_getpeer(net, daddr, false);
  return peer && peer->pmtu_learned != 0 && net.worker().now < peer->pmtu_expires ? peer : nullptr;
}
/// What was learnt of the path, if it is less.
template <class Net>
NETSTACK_NOINLINE u32 ip_peer_mtu(Net& net, be32 daddr, u32 mtu) {
  inet_peer const* peer = ip_peer_of_path(net, daddr);
  return peer && peer->pmtu_learned < mtu ? peer->pmtu_learned : mtu;
}
}  // namespace detail

template <class Net>
NETSTACK_INLINE u32 ip_dst_mtu(Net& net, rtable const& rt, be32 daddr) {
  u32 const mtu = std::min<u32>(rt.mtu ? rt.mtu : rt.dev->mtu, ip_max_mtu);
  return rt.learned ? detail::ip_peer_mtu(net, daddr, mtu) : mtu;
}

/// The path carries less than we make datagrams for: routers have to cut them.
template <class Net>
[[nodiscard]] bool ip_dst_mtu_locked(Net& net, rtable const& rt, be32 daddr) {
  if (!rt.learned) [[likely]]
    return false;
  inet_peer const* peer = detail::ip_peer_of_path(net, daddr);
  return peer && peer->pmtu_locked;
}

template <class Net>
void ipv4_update_pmtu(Net& net, be32 daddr, u32 mtu) {
  auto& ns = ipv4_net(net);
  flowi4 fl4{.daddr = daddr, .anysrc = true, .broadcast_ok = true};
  auto rt = ip_route_output_key(net, fl4);
  if (!rt || (*rt)->rt_type != rtn::unicast) return;
  u32 const known = ip_dst_mtu(net, **rt, daddr);
  // RFC 5927 §7: an error cannot make us send ever smaller datagrams; what may be too long for the path leaves without
  // DF from now on.
  bool const locked = mtu < ns.ip_rt_min_pmtu;
  if (locked) mtu = std::min<u32>(known, ns.ip_rt_min_pmtu);
  if (known < mtu || (known == mtu && !locked)) return;  // it may lower what we know, never raise it
  inet_peer* peer = inet_getpeer(net, daddr, true);
  if (!peer) return;
  peer->pmtu_learned = mtu;
  peer->pmtu_locked = locked;
  peer->pmtu_expires = net.worker().now + ns.ip_rt_mtu_expires;  // RFC 1191 §6.3
  ++ns.paths_learned;
  rt_way_learned(net, **rt, daddr);
}

/// Where the packet is handed on the link: its destination, the route's gateway, or a better one that was learnt.
template <class Net>
be32 ip_nexthop(Net& net, rtable const& rt, be32 daddr) {
  be32 const nexthop = rt_nexthop(rt, daddr);
  bool const ask = rt.learned || (rt.rt_is_input && ipv4_net(net).paths_learned != 0);  // whose way in serves many
  if (!ask || !rt.rt_uses_gateway) [[likely]]
    return nexthop;
  inet_peer const* peer = inet_getpeer(net, daddr, false);
  bool const better = peer && peer->redirect_learned && in_dev_get(*rt.dev) &&
                      inet_addr_onlink(*in_dev_get(*rt.dev), peer->redirect_learned, {});
  return better ? peer->redirect_learned : nexthop;
}

template <class Net>
void ipv4_redirect(Net& net, sk_buff& skb, be32 daddr, be32 gateway) {
  in_device const* in_dev = in_dev_get(*skb.dev);
  be32 const sender = ip_hdr(skb)->saddr;
  if (!in_dev || !in_dev->rx_redirects() || gateway == sender) return;
  // RFC 1122 §3.2.2.2: the new gateway must be on the link by which the redirect came, and be a station.
  if (!inet_addr_onlink(*in_dev, gateway, {}) || inet_addr_type(net, gateway) != rtn::unicast) return;
  flowi4 fl4{.daddr = daddr};
  auto rt = ip_route_output_key(net, fl4);
  // … and only the gateway that we use now may send us to another.
  if (!rt || (*rt)->dev != skb.dev || !(*rt)->rt_uses_gateway || ip_nexthop(net, **rt, daddr) != sender) return;
  if (inet_peer* peer = inet_getpeer(net, daddr, true)) {
    peer->redirect_learned = gateway;
    ++ipv4_net(net).paths_learned;
    rt_way_learned(net, **rt, daddr);
  }
}

/// RFC 1812 §5.2.7.2: tells the sender of a forwarded datagram the shorter way, ever more rarely if it does not listen.
template <class Net>
void ip_rt_send_redirect(Net& net, sk_buff& skb) {
  auto const& ns = ipv4_net(net);
  iphdr const& iph = *ip_hdr(skb);
  u64 const now = net.worker().now;
  u32 const gateway = rt_nexthop(*skb_rtable(skb), iph.daddr).host();
  inet_peer* peer = inet_getpeer(net, iph.saddr, true);
  if (!peer) return;
  if (now > peer->rate_last + ns.ip_rt_redirect_silence) peer->rate_tokens = peer->n_redirects = 0;
  if (peer->n_redirects >= ns.ip_rt_redirect_number) {
    peer->rate_last = now;
    return;
  }
  if (peer->n_redirects != 0 && now <= peer->rate_last + (ns.ip_rt_redirect_load << peer->n_redirects)) return;
  peer->rate_last = now;
  ++peer->n_redirects;
  icmp_send(net, skb, icmp_type::redirect, icmp_code::redir_host, gateway);
}

}  // namespace netstack
