// SPDX-License-Identifier: BSL-1.0
// Decides: which routes exist because of addresses and devices, and which ones a user may add. An address brings a
// local route to itself, one to its subnet, and its broadcasts; two addresses may want the same one, and the later
// takes it over when the earlier goes. A device that goes down keeps its local routes only. [S130]
// tx: called by ipv4/devinet and the control API → changes ipv4/fib; every change empties the route cache first
// Linux: net/ipv4/fib_frontend.c (fib_add_ifaddr, fib_del_ifaddr, fib_magic, fib_netdev_event), fib_semantics.c
// (fib_check_nh)
#pragma once
#include "netstack/core/rtnl.hpp"
#include "netstack/ipv4/inet_addr.hpp"

namespace netstack {

namespace detail {

/// The primary address of a secondary's subnet, which speaks for it; of a primary, itself.
[[nodiscard]] inline in_ifaddr const& ifa_primary(in_ifaddr const& ifa) {
  if (ifa.secondary())
    for (auto const& other : ifa.ifa_dev->ifa_list)
      if (!other.secondary() && other.ifa_mask == ifa.ifa_mask && other.matches(ifa.ifa_address)) return other;
  return ifa;
}

/// f(fib_config) for each route that this address wants, most specific first.
template <class F>
void for_each_ifa_route(in_ifaddr const& ifa, F f) {
  net_device const& dev = *ifa.ifa_dev->dev;
  auto const route = [&](rtn type, be32 dst, u8 len) {
    f(fib_config{.fc_table = type == rtn::unicast ? rt_table::main : rt_table::local,
                 .fc_dst_len = len,
                 .fc_type = type,
                 .fc_scope = type == rtn::local ? rt_scope::host : rt_scope::link,
                 .fc_protocol = rtprot::kernel,
                 .fc_dst = dst,
                 .fc_oif = dev.ifindex,
                 .fc_prefsrc = ifa_primary(ifa).ifa_local});
  };
  be32 const net = ifa.ifa_address & ifa.ifa_mask;
  be32 const directed = ifa.ifa_address | ~ifa.ifa_mask;
  bool const has_broadcast = ifa.ifa_prefixlen < 31;  // RFC 3021
  route(rtn::local, ifa.ifa_local, 32);
  if (!dev.running()) return;
  if (ifa.ifa_broadcast && !ipv4_is_lbcast(ifa.ifa_broadcast) && !(has_broadcast && ifa.ifa_broadcast == directed))
    route(rtn::broadcast, ifa.ifa_broadcast, 32);
  if (ipv4_is_zeronet(net) || ifa.secondary() || (net == ifa.ifa_local && ifa.ifa_prefixlen == 32)) return;
  if (!(ifa.ifa_flags & ifa_f::noprefixroute))
    route(dev.is_loopback() ? rtn::local : rtn::unicast, net, ifa.ifa_prefixlen);
  if (has_broadcast) route(rtn::broadcast, directed, 32);
}

/// f(in_ifaddr) for each address of the namespace, in order of device and precedence.
template <class Net, class F>
void for_each_ifa(Net& net, F f) {
  for (auto const& dev : net.dev_base)
    if (in_device const* in_dev = in_dev_get(dev))
      for (auto const& ifa : in_dev->ifa_list) f(ifa);
}

/// One route; that another address has it already is no error.
template <class Net>
result<void> fib_magic(Net& net, fib_config const& cfg) {
  auto const r = fib(net).insert(cfg);
  if (r || r.error() == std::errc::file_exists) return {};
  return failure{r.error()};
}

}  // namespace detail

/// Adds the routes of an address that is in its device's list. Error: no_buffer_space (config.max_route); what was
/// added stays until the address is taken away.
template <class Net>
result<void> fib_add_ifaddr(Net& net, in_ifaddr const& ifa) {
  result<void> answer{};
  rt_cache_flush(net);
  detail::for_each_ifa_route(ifa, [&](fib_config const& cfg) {
    if (answer) answer = detail::fib_magic(net, cfg);
  });
  return answer;
}

/// Takes away the routes of an address that has left its device's list; what another address wants goes over to it.
template <class Net>
void fib_del_ifaddr(Net& net, in_ifaddr const& ifa) {
  rt_cache_flush(net);
  detail::for_each_ifa_route(ifa, [&](fib_config cfg) {
    cfg.fc_prefsrc = {};
    if (!fib(net).erase(cfg)) return;
    detail::for_each_ifa(net, [&](in_ifaddr const& other) {
      detail::for_each_ifa_route(other, [&](fib_config const& wanted) {
        if (wanted.fc_table == cfg.fc_table && wanted.fc_dst == cfg.fc_dst && wanted.fc_dst_len == cfg.fc_dst_len)
          (void)detail::fib_magic(net, wanted);
      });
    });
  });
  // Routes that were told to speak from it cannot any more.
  if (!inet_lookup_ifaddr(ipv4_net(net), ifa.ifa_local))
    fib(net).flush_if([&](fib_info const& fi) { return fi.fib_prefsrc == ifa.ifa_local; });
}

/// The device is down: only what is local to this host stays. `gone`: nothing does.
template <class Net>
void fib_disable_ip(Net& net, net_device& dev, bool gone) {
  rt_cache_flush(net);
  u32 const flushed = fib(net).flush_if([&](fib_info const& fi) {
    return fi.fib_nh_oif == dev.ifindex && (gone || fi.fib_type != rtn::local || dev.is_loopback());
  });
  if (flushed == 0) return;
  detail::for_each_ifa(net, [&](in_ifaddr const& other) {
    if (other.ifa_dev->dev != &dev)
      detail::for_each_ifa_route(other, [&](fib_config const& cfg) { (void)detail::fib_magic(net, cfg); });
  });
}

/// Carrier: the device's routes are marked, and with ignore_routes_with_linkdown not used while it is away.
template <class Net>
void fib_sync_carrier(Net& net, net_device& dev) {
  in_device const* in_dev = in_dev_get(dev);
  if (!in_dev) return;
  rt_cache_flush(net);
  bool const ignore = in_dev->ored(&ipv4_devconf::ignore_routes_with_linkdown);
  u32 const flags = rtnh_f::linkdown | (ignore ? rtnh_f::dead : 0);
  if (dev.carrier_ok())
    fib(net).sync_dev(dev.ifindex, 0, rtnh_f::linkdown | rtnh_f::dead);
  else
    fib(net).sync_dev(dev.ifindex, flags, 0);
}

namespace detail {

/// The device a route leaves by: named, and up. Error: no_such_device, network_down.
template <class Net>
result<net_device*> fib_check_dev(Net& net, u32 oif) {
  net_device* dev = net.dev_get_by_index(oif);
  if (!dev || !in_dev_get(*dev)) return failure{std::errc::no_such_device};
  if (!dev->running()) return failure{std::errc::network_down};
  return dev;
}

/// A gateway must be a station that we reach directly, and not ourselves; it tells the device if the request does not.
template <class Net>
result<void> fib_check_gateway(Net& net, fib_config& cfg) {
  if (inet_addr_type(net, cfg.fc_gw4) != rtn::unicast) return failure{std::errc::invalid_argument};
  if (cfg.fc_flags & rtnh_f::onlink) {
    if (auto dev = fib_check_dev(net, cfg.fc_oif); !dev) return failure{dev.error()};
    return {};
  }
  fib_info const* via = fib(net).lookup(cfg.fc_gw4, cfg.fc_oif, rt_scope::link);
  if (!via || via->fib_type != rtn::unicast) return failure{std::errc::network_unreachable};
  cfg.fc_oif = via->fib_nh_oif;
  if (auto dev = fib_check_dev(net, cfg.fc_oif); !dev) return failure{dev.error()};
  return {};
}

/// Completes and checks a user's request, in Linux's order.
template <class Net>
result<void> fib_check_config(Net& net, fib_config& cfg) {
  if (cfg.fc_type == rtn::unspec) cfg.fc_type = rtn::unicast;
  bool const leads = cfg.fc_type == rtn::unicast;
  bool const here = cfg.fc_type == rtn::local || cfg.fc_type == rtn::broadcast;
  if (!leads && cfg.fc_gw4) return failure{std::errc::invalid_argument};
  if (cfg.fc_type == rtn::anycast || cfg.fc_type == rtn::multicast) return failure{std::errc::operation_not_supported};
  if (cfg.fc_scope == rt_scope::nowhere)
    cfg.fc_scope = cfg.fc_type == rtn::local        ? rt_scope::host
                   : here || (leads && !cfg.fc_gw4) ? rt_scope::link
                                                    : rt_scope::universe;
  if (cfg.fc_gw4) {
    if (cfg.fc_scope >= rt_scope::link) return failure{std::errc::invalid_argument};
    if (auto r = fib_check_gateway(net, cfg); !r) return r;
  } else if (leads || here) {
    if (cfg.fc_flags & rtnh_f::onlink) return failure{std::errc::invalid_argument};  // which speaks of a gateway
    if (auto dev = fib_check_dev(net, cfg.fc_oif); !dev) return failure{dev.error()};
  } else {
    return {};
  }
  bool const ours = !cfg.fc_prefsrc || inet_addr_type(net, cfg.fc_prefsrc) == rtn::local;
  return ours ? result<void>{} : result<void>{failure{std::errc::invalid_argument}};
}

}  // namespace detail

/// Adds a route to every worker's slice (`ip route add`). What is zero is chosen: type unicast, scope by type, the
/// device by the gateway. Errors: invalid_argument (host bits, a gateway that is ours or a group, a prefsrc that is not
/// ours), network_unreachable (gateway not on a link), no_such_device, network_down, file_exists (same prefix and
/// metric), no_buffer_space (config.max_route), operation_not_supported.
template <class Net>
result<void> ip_route_add(Net& net, fib_config const& cfg) {
  return rtnl(net, [cfg](auto& slice) -> result<void> {
    fib_config full = cfg;
    if (!detail::fib_is_valid(full)) return failure{std::errc::invalid_argument};
    if (auto r = detail::fib_check_config(slice, full); !r) return r;
    rt_cache_flush(slice);
    if (auto r = fib(slice).insert(full); !r) return failure{r.error()};
    return {};
  });
}

/// Deletes a route from every worker's slice; what is zero matches any. Errors: no_such_process (ESRCH: none fits),
/// invalid_argument.
template <class Net>
result<void> ip_route_del(Net& net, fib_config const& cfg) {
  return rtnl(net, [cfg](auto& slice) -> result<void> {
    rt_cache_flush(slice);
    return fib(slice).erase(cfg);
  });
}

}  // namespace netstack
