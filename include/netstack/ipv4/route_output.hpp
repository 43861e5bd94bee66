// SPDX-License-Identifier: BSL-1.0
// Decides: by which device and next hop a datagram of ours leaves, and with which source address. [S44]
// tx: called by udp, icmp, raw and tcp → ipv4/ip_output sends by the way that is returned
// Linux: net/ipv4/route.c (ip_route_output_key_hash_rcu, __mkroute_output)
// RFC 1122 §3.3.1 (routing outbound datagrams), §3.3.4.3 (source), RFC 1112 §6.1 (multicast)
#pragma once
#include "netstack/ipv4/route_input.hpp"

namespace netstack {

namespace detail {

[[nodiscard]] inline u32 rt_cast_flags(rtn type) {
  switch (type) {
    case rtn::local: return rtcf::local;
    case rtn::broadcast: return rtcf::local | rtcf::broadcast;
    case rtn::multicast: return rtcf::local | rtcf::multicast;
    default: return 0;
  }
}

/// Something of the path to daddr was learned, and still holds.
template <class Net>
[[nodiscard]] bool rt_is_learned(Net& net, be32 daddr) {
  if (ipv4_net(net).paths_learned == 0) [[likely]]
    return false;
  inet_peer const* peer = inet_getpeer(net, daddr, false);
  return peer && (bool(peer->redirect_learned) || (peer->pmtu_learned != 0 && net.worker().now < peer->pmtu_expires));
}
/// A way out, cached in `slot`; fi is null for what no FIB entry carries.
template <class Net>
result<rtable*> rt_output(Net& net, rtable*& slot, net_device& dev, rtn type, fib_info const* fi) {
  if (slot) [[likely]]
    return slot;
  rtable* rt = rt_dst_alloc(net, slot, dev);
  if (!rt) return failure{std::errc::no_buffer_space};
  bool const to_many = type == rtn::broadcast || type == rtn::multicast;
  rt->output = to_many ? dst_out::multicast : dst_out::unicast;
  // Copies for this host, and what goes round by lo, come in by this same way.
  rt->input = type == rtn::unicast ? dst_in::none : dst_in::local_deliver;
  rt->rt_type = type;
  rt->rt_flags = rt_cast_flags(type);
  if (fi && type == rtn::unicast) {
    rt->rt_uses_gateway = bool(fi->fib_nh_gw);
    rt->rt_gw4 = fi->fib_nh_gw;
    rt->mtu = fi->fib_mtu;
  }
  return rt;
}

/// RFC 1122 §3.2.1.3 (g): addresses of 127.0.0.0/8 must not appear outside a host.
[[nodiscard]] inline bool leaks_loopback(flowi4 const& fl4, in_device const& in_dev) {
  return (ipv4_is_loopback(fl4.saddr) || ipv4_is_loopback(fl4.daddr)) && !in_dev.dev->is_loopback() &&
         !in_dev.ored(&ipv4_devconf::route_localnet);
}

/// The limited broadcast, a group, or a neighbour by a device that the caller named.
template <class Net>
result<rtable*> rt_output_by_dev(Net& net, flowi4& fl4, net_device& dev) {
  in_device* in_dev = in_dev_get(dev);
  if (!in_dev) return failure{std::errc::network_unreachable};
  if (!fl4.saddr) fl4.saddr = inet_select_addr(net, &dev, {}, rt_scope::link);
  if (leaks_loopback(fl4, *in_dev)) return failure{std::errc::invalid_argument};
  auto const way = [&](dev_rth which, rtn type) {
    return rt_output(net, in_dev->rth[static_cast<u8>(which)], dev, type, nullptr);
  };
  if (ipv4_is_multicast(fl4.daddr)) return way(dev_rth::mc_output, rtn::multicast);
  if (!ipv4_is_lbcast(fl4.daddr)) {
    bool const learned = rt_is_learned(net, fl4.daddr);
    auto const rt = way(learned ? dev_rth::onlink_learned : dev_rth::onlink_output, rtn::unicast);
    if (rt) (*rt)->learned = learned;
    return rt;
  }
  if (!fl4.broadcast_ok) return failure{std::errc::permission_denied};
  return way(dev_rth::bc_output, rtn::broadcast);
}

/// To ourselves: by lo.
template <class Net>
result<rtable*> rt_output_local(Net& net, flowi4& fl4, fib_info const& fi) {
  if (!fl4.saddr) fl4.saddr = fi.fib_prefsrc ? fi.fib_prefsrc : fl4.daddr;
  if (!net.loopback_dev) return failure{std::errc::network_unreachable};
  return rt_output(net, fib_rth(net, fi).output, *net.loopback_dev, rtn::local, &fi);
}

/// RFC 1122 §3.2.1.3: what a source may be; §3.3.4.2: one of ours, or we have no way that starts there.
template <class Net>
result<void> check_output_source(Net& net, flowi4 const& fl4) {
  if (ipv4_is_multicast(fl4.saddr) || ipv4_is_lbcast(fl4.saddr) || ipv4_is_zeronet(fl4.saddr))
    return failure{std::errc::invalid_argument};
  if (!fl4.anysrc && !ip_dev_find(net, fl4.saddr)) return failure{std::errc::network_unreachable};
  return {};
}

template <class Net>
result<rtable*> rt_output_by_fib(Net& net, flowi4& fl4, net_device* bound) {
  fib_info const* fi = fib(net).lookup(fl4.daddr, fl4.oif, fl4.scope);
  if (auto const error = fib_error(fi); error != std::errc{}) {
    if (bound) return rt_output_by_dev(net, fl4, *bound);  // the tables are wrong: assume that it is on the link
    return failure{error};
  }
  if (fi->fib_type == rtn::local) return rt_output_local(net, fl4, *fi);
  net_device* dev = net.dev_get_by_index(fi->fib_nh_oif);
  if (!dev) return failure{std::errc::network_unreachable};
  if (!fl4.saddr)
    fl4.saddr = fi->fib_prefsrc ? fi->fib_prefsrc
                                : inet_select_addr(net, dev, fi->fib_nh_gw ? fi->fib_nh_gw : fl4.daddr, fi->fib_scope);
  in_device const* in_dev = in_dev_get(*dev);
  if (!in_dev || leaks_loopback(fl4, *in_dev)) return failure{std::errc::invalid_argument};
  bool const broadcast = fi->fib_type == rtn::broadcast;
  if (broadcast && !fl4.broadcast_ok) return failure{std::errc::permission_denied};
  auto& rth = fib_rth(net, *fi);
  if (broadcast) return rt_output(net, rth.output, *dev, rtn::broadcast, fi);
  bool const learned = rt_is_learned(net, fl4.daddr);
  auto const rt = rt_output(net, learned ? rth.learned : rth.output, *dev, rtn::unicast, fi);
  if (rt) (*rt)->learned = learned;
  return rt;
}

/// The device the flow is bound to, if it can be used.
template <class Net>
result<net_device*> output_device(Net& net, flowi4& fl4) {
  net_device* dev = net.dev_get_by_index(fl4.oif);
  if (!dev) return failure{std::errc::no_such_device};
  if (!dev->running() || !in_dev_get(*dev)) return failure{std::errc::network_unreachable};
  if (!fl4.saddr && !fl4.daddr) fl4.saddr = inet_select_addr(net, dev, {}, rt_scope::host);
  return dev;
}

}  // namespace detail

namespace detail {

template <class Net>
NETSTACK_NOINLINE result<rtable*> ip_route_output_slow(Net& net, flowi4& fl4) {
  if (fl4.saddr)
    if (auto r = detail::check_output_source(net, fl4); !r) return failure{r.error()};
  net_device* dev = nullptr;
  if (fl4.oif != 0) {
    auto bound = detail::output_device(net, fl4);
    if (!bound) return failure{bound.error()};
    dev = *bound;
  }
  // RFC 1122 §3.2.1.3: zero is this host on this network.
  if (!fl4.daddr) {
    fl4.daddr = fl4.saddr ? fl4.saddr : inaddr_loopback;
    fl4.oif = 0;
    dev = nullptr;
  }
  if (ipv4_is_lbcast(fl4.daddr) || ipv4_is_multicast(fl4.daddr)) {
    // RFC 1112 §6.1: a group is sent by the device that was asked for, by that of the source, or as a route says.
    if (!dev && fl4.saddr) dev = ip_dev_find(net, fl4.saddr);
    if (dev) return detail::rt_output_by_dev(net, fl4, *dev);
    fib_info const* fi = fib(net).lookup(fl4.daddr);
    if (auto const error = detail::fib_error(fi); error != std::errc{}) return failure{error};
    dev = net.dev_get_by_index(fi->fib_nh_oif);
    if (!dev) return failure{std::errc::network_unreachable};
    if (!fl4.saddr && fi->fib_prefsrc) fl4.saddr = fi->fib_prefsrc;
    return detail::rt_output_by_dev(net, fl4, *dev);
  }
  if (ipv4_is_zeronet(fl4.daddr)) return failure{std::errc::invalid_argument};
  return detail::rt_output_by_fib(net, fl4, dev);
}

/// Nothing but the addresses decided, and nothing but a change of routes or addresses could decide otherwise. (What is
/// learned of a path is forgotten in time.)
[[nodiscard]] inline bool rt_output_is_plain(flowi4 const& fl4, rtable const& rt) {
  return rt.rt_type == rtn::unicast && rt.slot && !rt.learned && !ipv4_is_loopback(fl4.saddr) &&
         !ipv4_is_loopback(fl4.daddr);
}

}  // namespace detail

/// What ip_route_output_key() answered of late where nothing but the addresses decides; null: it has to be asked.
template <class Net>
[[nodiscard]] NETSTACK_INLINE auto const* ip_route_output_recent(Net& net, be32 daddr, be32 saddr, bool anysrc) {
  auto const& recent = detail::rt_slab(net.worker()).recent_of(daddr);
  // The source that an earlier answer chose may be asked for now.
  bool const same = recent.daddr == daddr && (recent.asked_saddr == saddr || recent.saddr == saddr);
  bool const right = recent.rt && same && recent.rt->netns == net.index && (anysrc || !recent.anysrc);
  return right ? &recent : nullptr;
}

template <class Net>
result<rtable*> ip_route_output_key(Net& net, flowi4& fl4) {
  if (fl4.oif != 0 || fl4.scope != rt_scope::universe) return detail::ip_route_output_slow(net, fl4);
  be32 const daddr = fl4.daddr, asked = fl4.saddr;
  if (auto const* const recent = ip_route_output_recent(net, daddr, asked, fl4.anysrc)) [[likely]] {
    fl4.saddr = recent->saddr;
    return recent->rt;
  }
  auto const rt = detail::ip_route_output_slow(net, fl4);
  if (rt && detail::rt_output_is_plain(fl4, **rt) && fl4.daddr == daddr)
    detail::rt_slab(net.worker()).recent_of(daddr) = {
        .daddr = daddr, .asked_saddr = asked, .saddr = fl4.saddr, .anysrc = fl4.anysrc, .rt = *rt};
  return rt;
}

/// The address by which this host answers what it received (RFC 1122 §3.2.1.3): the one it was sent to, or for a
/// broadcast the one that the way back starts with.
template <class Net>
be32 fib_compute_spec_dst(Net& net, sk_buff& skb) {
  iphdr const& iph = *ip_hdr(skb);
  rtable const* rt = skb_rtable(skb);
  if (rt && (rt->rt_flags & (rtcf::local | rtcf::broadcast | rtcf::multicast)) == rtcf::local) return iph.daddr;
  if (!ipv4_is_zeronet(iph.saddr))
    if (fib_info const* fi = fib(net).lookup(iph.saddr); fi && fi->fib_prefsrc) return fi->fib_prefsrc;
  return inet_select_addr(net, skb.dev, iph.saddr, rt_scope::link);
}

}  // namespace netstack
