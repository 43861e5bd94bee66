// SPDX-License-Identifier: BSL-1.0
// Decides: how a device gets and loses its IPv4 part and its addresses. The first address of a subnet is its primary,
// later ones are its secondaries and go with it, unless promote_secondaries lets the next one take its place.
// tx: called by the control API and by device notifiers → ipv4/fib_frontend makes and removes the routes
// Linux: net/ipv4/devinet.c (inetdev_init, inet_insert_ifa, inet_del_ifa, inetdev_event)
#pragma once
#include <algorithm>
#include <string_view>

#include "netstack/core/dev_addr_lists.hpp"
#include "netstack/ipv4/arp.hpp"
#include "netstack/ipv4/fib_frontend.hpp"
#include "netstack/registry/notifier.hpp"

namespace netstack {

/// What an address is, beyond itself and its prefix.
struct ifa_config {
  be32 peer{};       ///< the other end of a point-to-point link; zero: none
  be32 broadcast{};  ///< zero: the directed broadcast of its subnet
  rt_scope scope = rt_scope::universe;
  u32 flags = 0;           ///< ifa_f::noprefixroute
  char label[ifnamsiz]{};  ///< empty: the device's name
};

namespace detail {

inline void inet_hash_insert(netns_ipv4& ns, in_ifaddr& ifa) {
  in_ifaddr*& head = ns.inet_addr_lst[inet_addr_hash(ifa.ifa_local)];
  ifa.hash_next = head;
  head = &ifa;
  ++ns.dev_addr_genid;
}
inline void inet_hash_remove(netns_ipv4& ns, in_ifaddr& ifa) {
  in_ifaddr** at = &ns.inet_addr_lst[inet_addr_hash(ifa.ifa_local)];
  while (*at != &ifa) at = &(*at)->hash_next;
  *at = ifa.hash_next;
  ++ns.dev_addr_genid;
}

/// Both in the same subnet, however they are written.
[[nodiscard]] inline bool same_subnet(in_ifaddr const& a, in_ifaddr const& b) {
  return a.ifa_mask == b.ifa_mask && a.matches(b.ifa_address);
}

/// Links the address in at its place: a primary behind the last one that reaches as far, a secondary at the end.
inline result<void> inet_link_ifa(in_device& in_dev, in_ifaddr& ifa) {
  auto place = in_dev.ifa_list.begin();
  for (auto it = in_dev.ifa_list.begin(); it != in_dev.ifa_list.end(); ++it) {
    if (!it->secondary() && ifa.ifa_scope <= it->ifa_scope) place = std::next(it);
    if (!same_subnet(*it, ifa)) continue;
    if (it->ifa_local == ifa.ifa_local) return failure{std::errc::file_exists};
    if (it->ifa_scope != ifa.ifa_scope) return failure{std::errc::invalid_argument};
    ifa.ifa_flags |= ifa_f::secondary;
  }
  if (ifa.secondary()) place = in_dev.ifa_list.end();
  in_dev.ifa_list.insert(place, ifa);
  return {};
}

/// The subnet's next address takes the place of its primary, which has left the list.
inline void inet_promote_secondary(in_device& in_dev, in_ifaddr const& primary) {
  for (auto& ifa : in_dev.ifa_list) {
    if (!ifa.secondary() || !same_subnet(primary, ifa)) continue;
    in_dev.ifa_list.erase(in_dev.ifa_list.iterator_to(ifa));
    ifa.ifa_flags &= ~ifa_f::secondary;
    // The subnet has no other primary, so its remaining secondaries must not make this one a secondary again.
    auto place = in_dev.ifa_list.begin();
    for (auto it = place; it != in_dev.ifa_list.end(); ++it)
      if (!it->secondary() && ifa.ifa_scope <= it->ifa_scope) place = std::next(it);
    in_dev.ifa_list.insert(place, ifa);
    return;
  }
}

}  // namespace detail

/// Takes an address away with its routes and, unless they are promoted, the secondaries of its subnet. Frees the entry.
template <class Net>
void inet_del_ifa(Net& net, in_device& in_dev, in_ifaddr& ifa) {
  bool const primary = !ifa.secondary();
  bool const promote = primary && in_dev.ored(&ipv4_devconf::promote_secondaries);
  if (primary && !promote)
    list_for_each_entry_safe(in_dev.ifa_list, [&](in_ifaddr& other) {
      if (other.secondary() && detail::same_subnet(ifa, other)) inet_del_ifa(net, in_dev, other);
    });
  in_dev.ifa_list.erase(in_dev.ifa_list.iterator_to(ifa));
  detail::inet_hash_remove(ipv4_net(net), ifa);
  if (promote) detail::inet_promote_secondary(in_dev, ifa);
  fib_del_ifaddr(net, ifa);
  if (promote)  // the others' local routes spoke from the address that went
    for (auto const& other : in_dev.ifa_list) (void)fib_add_ifaddr(net, other);
  worker_generic<ipv4>(net.worker()).in_ifaddrs.free(&ifa);
  if (in_dev.ifa_list.empty()) fib_disable_ip(net, *in_dev.dev, true);
  net.call_netdevice_notifiers(netdev_event::inetaddr_down, *in_dev.dev);
}

/// Gives the device an address, with its routes. Errors: invalid_argument (not a host's address, or its subnet is there
/// with another scope), file_exists, no_buffer_space (config.max_addr, config.max_route); nothing is changed then.
template <class Net>
result<in_ifaddr*> inet_insert_ifa(Net& net, in_device& in_dev, ipv4_prefix prefix, ifa_config const& cfg) {
  be32 const addr = prefix.addr();
  if (ipv4_is_zeronet(addr) || ipv4_is_multicast(addr) || ipv4_is_lbcast(addr))
    return failure{std::errc::invalid_argument};
  auto& entries = worker_generic<ipv4>(net.worker()).in_ifaddrs;
  in_ifaddr* ifa = entries.alloc();
  if (!ifa) return failure{std::errc::no_buffer_space};
  ifa->ifa_dev = &in_dev;
  ifa->ifa_local = addr;
  ifa->ifa_address = cfg.peer ? cfg.peer : addr;
  ifa->ifa_mask = prefix.mask();
  ifa->ifa_prefixlen = prefix.len();
  bool const broadcasts = (in_dev.dev->flags & iff::broadcast) != 0 && prefix.len() < 31;
  ifa->ifa_broadcast = cfg.broadcast || !broadcasts ? cfg.broadcast : ifa->ifa_address | ~ifa->ifa_mask;
  ifa->ifa_scope = cfg.scope == rt_scope::universe && ipv4_is_loopback(addr) ? rt_scope::host : cfg.scope;
  ifa->ifa_flags = ifa_f::permanent | (cfg.flags & ifa_f::noprefixroute);
  std::string_view const label = cfg.label[0] ? std::string_view(cfg.label) : in_dev.dev->ifname();
  std::copy_n(label.data(), std::min(label.size(), ifnamsiz - 1), ifa->ifa_label);
  if (auto r = detail::inet_link_ifa(in_dev, *ifa); !r) {
    entries.free(ifa);
    return failure{r.error()};
  }
  detail::inet_hash_insert(ipv4_net(net), *ifa);
  if (auto r = fib_add_ifaddr(net, *ifa); !r) {
    inet_del_ifa(net, in_dev, *ifa);
    return failure{r.error()};
  }
  net.call_netdevice_notifiers(netdev_event::inetaddr_up, *in_dev.dev);
  return ifa;
}

/// Gives a device an address in every worker's slice (`ip addr add`). Errors: no_such_device, and inet_insert_ifa's.
template <class Net>
result<void> inet_addr_add(Net& net, u32 ifindex, ipv4_prefix prefix, ifa_config const& cfg = {}) {
  return rtnl(net, [=](auto& slice) -> result<void> {
    net_device* dev = slice.dev_get_by_index(ifindex);
    if (!dev || !in_dev_get(*dev)) return failure{std::errc::no_such_device};
    if (auto r = inet_insert_ifa(slice, *in_dev_get(*dev), prefix, cfg); !r) return failure{r.error()};
    return {};
  });
}

/// Takes it away again (`ip addr del`). Errors: no_such_device, address_not_available (no such address and length).
template <class Net>
result<void> inet_addr_del(Net& net, u32 ifindex, ipv4_prefix prefix) {
  return rtnl(net, [=](auto& slice) -> result<void> {
    net_device* dev = slice.dev_get_by_index(ifindex);
    in_device* in_dev = dev ? in_dev_get(*dev) : nullptr;
    if (!in_dev) return failure{std::errc::no_such_device};
    for (auto& ifa : in_dev->ifa_list)
      if (ifa.ifa_local == prefix.addr() && ifa.ifa_prefixlen == prefix.len()) {
        inet_del_ifa(slice, *in_dev, ifa);
        return {};
      }
    return failure{std::errc::address_not_available};
  });
}

/// RFC 791: what a link must carry for IPv4 to run on it.
inline constexpr u32 ipv4_min_mtu = 68;

/// The device gets its IPv4 part, with the namespace's default settings. A full slab leaves it without: IPv4 ignores
/// it.
template <class Net>
void inetdev_init(Net& net, net_device& dev) {
  auto& ns = ipv4_net(net);
  in_device* in_dev = worker_generic<ipv4>(net.worker()).in_devices.alloc();
  if (!in_dev) return;
  in_dev->dev = &dev;
  in_dev->all = &ns.devconf_all;
  in_dev->cnf = ns.devconf_dflt;
  in_dev->arp_parms = ns.arp.parms_default;
  if (dev.is_loopback()) in_dev->cnf.disable_xfrm = in_dev->cnf.disable_policy = 1;
  dev.ip_ptr = in_dev;
}

template <class Net>
void inetdev_destroy(Net& net, net_device& dev) {
  in_device* in_dev = in_dev_get(dev);
  if (!in_dev) return;
  while (!in_dev->ifa_list.empty()) inet_del_ifa(net, *in_dev, in_dev->ifa_list.front());
  fib_disable_ip(net, dev, true);
  rt_flush_dev(net, dev);
  dev.ip_ptr = nullptr;
  worker_generic<ipv4>(net.worker()).in_devices.free(in_dev);
}

namespace detail {

/// The device can be used: its addresses get the routes that need it, and lo gets its address. RFC 1112 §4: every host
/// is in the group of all hosts.
template <class Net>
void inetdev_up(Net& net, net_device& dev) {
  in_device* in_dev = in_dev_get(dev);
  if (!in_dev) return;
  if (dev.flags & iff::multicast) (void)dev_mc_add(net, dev, ip_eth_mc_map(inaddr_allhosts_group));
  if (dev.is_loopback() && in_dev->ifa_list.empty())
    (void)inet_insert_ifa(net, *in_dev, *ipv4_prefix::make(inaddr_loopback, 8), {});
  for (auto const& ifa : in_dev->ifa_list) (void)fib_add_ifaddr(net, ifa);
  for (auto const& ifa : in_dev->ifa_list) arp_notify(net, dev, ifa.ifa_local);
}

template <class Net>
void inetdev_down(Net& net, net_device& dev) {
  if (in_dev_get(dev) && dev.flags & iff::multicast) (void)dev_mc_del(net, dev, ip_eth_mc_map(inaddr_allhosts_group));
  fib_disable_ip(net, dev, false);
}

}  // namespace detail

/// netdevice notifier of the module: before ARP's.
template <class Net>
void inetdev_event(Net& net, netdev_event event, net_device& dev) {
  switch (event) {
    case netdev_event::registered:
      if (dev.mtu >= ipv4_min_mtu) inetdev_init(net, dev);
      break;
    case netdev_event::up: detail::inetdev_up(net, dev); break;
    case netdev_event::down: detail::inetdev_down(net, dev); break;
    case netdev_event::change: fib_sync_carrier(net, dev); break;
    case netdev_event::changeaddr:
      if (in_device const* in_dev = in_dev_get(dev))
        for (auto const& ifa : in_dev->ifa_list) arp_notify(net, dev, ifa.ifa_local);
      break;
    case netdev_event::changemtu:
      // RFC 791: below its least MTU a link carries no IPv4; a wide enough one may again.
      if (dev.mtu < ipv4_min_mtu)
        inetdev_destroy(net, dev);
      else if (!in_dev_get(dev))
        inetdev_init(net, dev);
      rt_cache_flush(net);
      break;
    case netdev_event::unregister: inetdev_destroy(net, dev); break;
    default: break;
  }
}

}  // namespace netstack
