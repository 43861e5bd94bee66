// SPDX-License-Identifier: BSL-1.0
// Decides: whose an address is, and which address of ours to speak from. A namespace's own addresses are in a small
// hash, so that asking whether a source claims to be us costs one probe a packet.
// rx: called by ipv4/route_input; tx: by ipv4/route_output, arp, udp's bind
// Linux: net/ipv4/devinet.c (inet_lookup_ifaddr_rcu, inet_select_addr), net/ipv4/fib_frontend.c (inet_addr_type)
// RFC 1122 §3.3.4.3 (choosing a source), RFC 6724 (scope)
#pragma once
#include "netstack/ipv4/ipv4_worker.hpp"

namespace netstack {

namespace detail {
[[nodiscard]] inline u32 inet_addr_hash(be32 addr) { return addr.raw() * 0x61C8'8647u >> 26; }
static_assert(netns_ipv4::addr_buckets == 1u << 6);
}  // namespace detail

/// The address's entry if it is one of the namespace's own, or null.
[[nodiscard]] inline in_ifaddr* inet_lookup_ifaddr(netns_ipv4 const& ns, be32 addr) {
  in_ifaddr* ifa = ns.inet_addr_lst[detail::inet_addr_hash(addr)];
  while (ifa && ifa->ifa_local != addr) ifa = ifa->hash_next;
  return ifa;
}

template <class Net>
net_device* ip_dev_find(Net& net, be32 addr) {
  if (in_ifaddr const* ifa = inet_lookup_ifaddr(ipv4_net(net), addr)) return ifa->ifa_dev->dev;
  // 127.0.0.0/8 is ours as a whole, through lo's one address.
  fib_info const* fi = fib(net).lookup(rt_table::local, addr);
  return fi && fi->fib_type == rtn::local ? net.dev_get_by_index(fi->fib_nh_oif) : nullptr;
}

template <class Net>
rtn inet_addr_type(Net& net, be32 addr) {
  if (ipv4_is_zeronet(addr) || ipv4_is_lbcast(addr)) return rtn::broadcast;
  if (ipv4_is_multicast(addr)) return rtn::multicast;
  fib_info const* fi = fib(net).lookup(rt_table::local, addr);
  return fi ? fi->fib_type : rtn::unicast;
}

/// True if both addresses (b may be zero) lie in one subnet of the device.
[[nodiscard]] inline bool inet_addr_onlink(in_device const& in_dev, be32 a, be32 b) {
  for (auto const& ifa : in_dev.ifa_list)
    if (!ifa.secondary() && ifa.matches(a) && (!b || ifa.matches(b))) return true;
  return false;
}

namespace detail {

/// Of the device's primaries no farther than scope: one in dst's subnet, else the first.
[[nodiscard]] inline be32 in_dev_select_addr(in_device const& in_dev, be32 dst, rt_scope scope) {
  be32 first{};
  for (auto const& ifa : in_dev.ifa_list) {
    if (ifa.secondary() || ifa.ifa_scope > scope) continue;
    if (!dst || ifa.matches(dst)) return ifa.ifa_local;
    if (!first) first = ifa.ifa_local;
  }
  return first;
}

}  // namespace detail

template <class Net>
be32 inet_select_addr(Net& net, net_device const* dev, be32 dst, rt_scope scope) {
  if (in_device const* in_dev = dev ? in_dev_get(*dev) : nullptr)
    if (be32 const addr = detail::in_dev_select_addr(*in_dev, dst, scope)) return addr;
  // A device without addresses borrows one: what is for the link only is nobody else's business, though.
  for (auto const& other : net.dev_base) {
    in_device const* in_dev = in_dev_get(other);
    if (!in_dev || &other == dev) continue;
    for (auto const& ifa : in_dev->ifa_list)
      if (!ifa.secondary() && ifa.ifa_scope != rt_scope::link && ifa.ifa_scope <= scope) return ifa.ifa_local;
  }
  return {};
}

}  // namespace netstack
