// SPDX-License-Identifier: BSL-1.0
// Decides: what becomes of a received datagram by its addresses: ours, to be forwarded, a broadcast, a group, or
// refused, each refusal under its own reason. [S44] [S137]
// rx: called by ipv4/ip_input ip_rcv_finish → sets skb.dst (borrowed) to a cached way
// Linux: net/ipv4/route.c (ip_route_input_slow, ip_route_input_mc, ip_error), fib_frontend.c (fib_validate_source)
// RFC 1122 §3.2.1.3 (addresses), RFC 1812 §4.2.3.1, §5.3.7 (martians), RFC 3704 (reverse path)
#pragma once
#include <optional>

#include "netstack/core/drop.hpp"
#include "netstack/ipv4/inet_addr.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack {

namespace detail {

/// What a route that leads nowhere means; ok for one that leads somewhere.
[[nodiscard]] inline std::errc fib_error(fib_info const* fi) {
  if (!fi) return std::errc::network_unreachable;
  switch (fi->fib_type) {
    case rtn::blackhole: return std::errc::invalid_argument;
    case rtn::unreachable: return std::errc::host_unreachable;
    case rtn::prohibit: return std::errc::permission_denied;
    default: return std::errc{};
  }
}

/// RFC 3704: does the way back to saddr leave by the device it came in by (1), or by any at all (2)?
template <class Net>
std::optional<drop_reason> fib_check_reverse_path(Net& net, in_device const& in_dev, be32 saddr, s32 mode) {
  fib_info const* fi = fib(net).lookup(saddr);
  bool const usable =
      fi && (fi->fib_type == rtn::unicast || (fi->fib_type == rtn::local && in_dev.ored(&ipv4_devconf::accept_local)));
  if (usable && (mode == 2 || fi->fib_nh_oif == in_dev.dev->ifindex)) return {};
  if (fi && fi->fib_type != rtn::unicast) return drop_reason::ip_local_source;
  return drop_reason::ip_rpfilter;
}

/// May this source have sent on this device?
template <class Net>
std::optional<drop_reason> fib_validate_source(Net& net, in_device const& in_dev, be32 saddr) {
  if (in_dev.dev->is_loopback()) return {};
  if (s32 const mode = in_dev.maxed(&ipv4_devconf::rp_filter)) [[unlikely]]
    return fib_check_reverse_path(net, in_dev, saddr, mode);
  // RFC 1122 §3.2.1.3: nobody else may speak with our address (the LAND attack did).
  if (inet_lookup_ifaddr(ipv4_net(net), saddr) && !in_dev.ored(&ipv4_devconf::accept_local)) [[unlikely]]
    return drop_reason::ip_local_source;
  return {};
}

/// RFC 1122 §3.2.1.3, RFC 1812 §5.3.7: addresses that may not be seen on a link. Not asked about lo's own.
inline std::optional<drop_reason> check_martian(in_device const& in_dev, be32 saddr, be32 daddr) {
  if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr)) return drop_reason::ip_invalid_source;
  if (ipv4_is_lbcast(daddr) || (!saddr && !daddr)) return {};
  if (ipv4_is_zeronet(saddr)) return drop_reason::ip_invalid_source;
  if (ipv4_is_zeronet(daddr)) return drop_reason::ip_invalid_dest;
  if ((ipv4_is_loopback(saddr) || ipv4_is_loopback(daddr)) && !in_dev.dev->is_loopback() &&
      !in_dev.ored(&ipv4_devconf::route_localnet))
    return drop_reason::ip_localnet;
  return {};
}

/// The way into this host for datagrams that this FIB entry (or device) takes; made on first use.
template <class Net>
rtable* rt_input_local(Net& net, rtable*& slot, net_device& dev, rtn type) {
  if (slot) [[likely]]
    return slot;
  rtable* rt = rt_dst_alloc(net, slot, dev);
  if (!rt) return nullptr;
  rt->input = dst_in::local_deliver;
  rt->rt_type = type;
  rt->rt_is_input = true;
  rt->rt_flags =
      rtcf::local | (type == rtn::broadcast ? rtcf::broadcast : 0) | (type == rtn::multicast ? rtcf::multicast : 0);
  return rt;
}

/// The way through this host.
template <class Net>
rtable* rt_input_forward(Net& net, fib_info const& fi, net_device& out) {
  rtable*& slot = fib_rth(net, fi).input;
  if (slot) [[likely]]
    return slot;
  rtable* rt = rt_dst_alloc(net, slot, out);
  if (!rt) return nullptr;
  rt->input = dst_in::forward;
  rt->output = dst_out::unicast;
  rt->rt_type = rtn::unicast;
  rt->rt_is_input = true;
  rt->rt_uses_gateway = bool(fi.fib_nh_gw);
  rt->rt_gw4 = fi.fib_nh_gw;
  rt->mtu = fi.fib_mtu;
  return rt;
}

/// The packet borrows the way, or there was no room for one.
inline std::optional<drop_reason> rt_set(sk_buff& skb, rtable* rt) {
  if (!rt) return drop_reason::nomem;
  skb_dst_set_noref(skb, *rt);
  return {};
}

/// RFC 1812 §4.3.2.8: who sends to nowhere is told at a rate of its own, below that of other errors.
template <class Net>
bool ip_error_allow(Net& net, be32 saddr) {
  auto const& ns = ipv4_net(net);
  inet_peer* peer = inet_getpeer(net, saddr, true);
  return !peer || inet_peer_rate_allow(*peer, net.worker().now, ns.ip_rt_error_cost, ns.ip_rt_error_burst);
}

/// RFC 1812 §5.2.7.1: a router says that it does not know the way; a host that was not meant keeps silent.
template <class Net>
drop_reason ip_error(Net& net, sk_buff& skb, in_device const& in_dev, std::errc error) {
  if (error == std::errc::invalid_argument) return drop_reason::ip_blackhole;
  if (!in_dev.forwarding())
    return error == std::errc::network_unreachable ? drop_reason::ip_noroute_in : drop_reason::ip_addrerrors;
  u8 code = icmp_code::net_unreach;
  if (error == std::errc::host_unreachable) code = icmp_code::host_unreach;
  if (error == std::errc::permission_denied) code = icmp_code::pkt_filtered;
  if (ip_error_allow(net, ip_hdr(skb)->saddr)) icmp_send(net, skb, icmp_type::dest_unreach, code, 0);
  if (error == std::errc::permission_denied) return drop_reason::ip_prohibit;
  return error == std::errc::network_unreachable ? drop_reason::ip_noroute_in : drop_reason::ip_addrerrors;
}

/// A datagram to everybody on the link.
template <class Net>
std::optional<drop_reason> ip_route_input_bc(Net& net, sk_buff& skb, in_device& in_dev, be32 saddr, rtable*& slot) {
  if (!ipv4_is_zeronet(saddr))
    if (auto why = fib_validate_source(net, in_dev, saddr)) return why;
  return rt_set(skb, rt_input_local(net, slot, *in_dev.dev, rtn::broadcast));
}

/// RFC 1112 §7.2: a group is heard by its members. Until IGMP is composed, that is all-hosts.
inline bool ip_check_mc(in_device const&, be32 group) { return group == inaddr_allhosts_group; }

template <class Net>
std::optional<drop_reason> ip_route_input_mc(Net& net, sk_buff& skb, in_device& in_dev, be32 saddr, be32 daddr) {
  if (!ip_check_mc(in_dev, daddr)) return drop_reason::ip_invalid_dest;
  if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr)) return drop_reason::ip_invalid_source;
  if (ipv4_is_loopback(saddr) && !in_dev.dev->is_loopback() && !in_dev.ored(&ipv4_devconf::route_localnet))
    return drop_reason::ip_localnet;
  if (ipv4_is_zeronet(saddr)) {
    // RFC 1112 appendix I: only a group of the link itself may be addressed by a host without an address.
    if (!ipv4_is_local_multicast(daddr)) return drop_reason::ip_invalid_source;
  } else if (auto why = fib_validate_source(net, in_dev, saddr)) {
    return why;
  }
  return rt_set(skb, rt_input_local(net, in_dev.rth[static_cast<u8>(dev_rth::mc_input)], *in_dev.dev, rtn::multicast));
}

/// Not ours: on to the next hop, if this device's datagrams may be forwarded.
template <class Net>
std::optional<drop_reason> ip_mkroute_input(Net& net, sk_buff& skb, in_device const& in_dev, fib_info const& fi,
                                            be32 saddr) {
  net_device* out = net.dev_get_by_index(fi.fib_nh_oif);
  if (!out) return drop_reason::ip_noroute_in;
  if (auto why = fib_validate_source(net, in_dev, saddr)) return why;
  // RFC 1812 §5.2.7.2: back out of where it came in, to a station that the sender could have reached itself.
  if (out == in_dev.dev && in_dev.ored(&ipv4_devconf::send_redirects) &&
      (in_dev.ored(&ipv4_devconf::shared_media) || inet_addr_onlink(in_dev, saddr, fi.fib_nh_gw)))
    IPCB(skb).flags |= ipskb::doredirect;
  return rt_set(skb, rt_input_forward(net, fi, *out));
}

template <class Net>
std::optional<drop_reason> ip_route_input_slow(Net& net, sk_buff& skb, in_device& in_dev, be32 saddr, be32 daddr) {
  if (auto why = check_martian(in_dev, saddr, daddr)) [[unlikely]]
    return why;
  if (ipv4_is_lbcast(daddr) || (!saddr && !daddr)) [[unlikely]]
    return ip_route_input_bc(net, skb, in_dev, saddr, in_dev.rth[static_cast<u8>(dev_rth::bc_input)]);
  fib_info const* fi = fib(net).lookup(daddr);
  if (fi && fi->fib_type == rtn::local) [[likely]] {
    if (auto why = fib_validate_source(net, in_dev, saddr)) return why;
    net_device* lo = net.loopback_dev;
    return rt_set(skb, rt_input_local(net, fib_rth(net, *fi).input, lo ? *lo : *in_dev.dev, rtn::local));
  }
  if (fi && fi->fib_type == rtn::broadcast) return ip_route_input_bc(net, skb, in_dev, saddr, fib_rth(net, *fi).input);
  if (!in_dev.forwarding()) return ip_error(net, skb, in_dev, std::errc::host_unreachable);
  if (auto const error = fib_error(fi); error != std::errc{}) return ip_error(net, skb, in_dev, error);
  return ip_mkroute_input(net, skb, in_dev, *fi, saddr);
}

}  // namespace detail

/// Takes the way of an earlier packet, if that was of the same flow.
template <class Net>
bool ip_route_use_hint(Net& net, sk_buff& skb, iphdr const& iph, route_hint const& hint) {
  if (hint.genid != net.worker().softnet.route_genid || hint.daddr != iph.daddr || hint.saddr != iph.saddr ||
      hint.dev != skb.dev || hint.rt->obsolete)
    return false;
  skb_dst_set_noref(skb, *hint.rt);
  return true;
}
/// A forwarded packet may owe its sender a redirect, which the hint does not know about; and what was sent to many is
/// asked more questions.
template <class Net>
void ip_route_keep_hint(Net& net, sk_buff const& skb, iphdr const& iph, route_hint& hint) {
  rtable* const rt = skb_rtable(skb);
  if (rt->input == dst_in::local_deliver && rt->rt_type == rtn::local && rt->slot)
    hint = {
        .saddr = iph.saddr, .daddr = iph.daddr, .dev = skb.dev, .rt = rt, .genid = net.worker().softnet.route_genid};
}

/// Routes a received datagram by its header: on success skb.dst is set, borrowed; else why it must be dropped (an ICMP
/// error may have been sent). `hint`: what is remembered of an earlier one, or null.
template <class Net>
std::optional<drop_reason> ip_route_input_noref(Net& net, sk_buff& skb, route_hint* hint) {
  iphdr const& iph = *ip_hdr(skb);
  be32 const saddr = iph.saddr, daddr = iph.daddr;
  if (hint && ip_route_use_hint(net, skb, iph, *hint)) return {};
  in_device* in_dev = in_dev_get(*skb.dev);
  if (!in_dev) return drop_reason::ip_invalid_dest;
  if (ipv4_is_multicast(daddr)) return detail::ip_route_input_mc(net, skb, *in_dev, saddr, daddr);
  if (auto why = detail::ip_route_input_slow(net, skb, *in_dev, saddr, daddr)) return why;
  if (hint) ip_route_keep_hint(net, skb, iph, *hint);
  return {};
}

}  // namespace netstack
