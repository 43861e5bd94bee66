// SPDX-License-Identifier: BSL-1.0
// Decides: how a device comes, changes and goes: names and numbers, up and down, carrier, MTU, MAC, notifiers. Control
// path: every function answers with an errno and leaves the state unchanged on error. [S71] [S72] [S73] [S74] [S75]
// Linux: net/core/dev.c (register_netdevice, dev_open, dev_close, dev_set_mtu …)
#pragma once
#include <algorithm>
#include <cstdio>

#include "netstack/base/result.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/registry/netdev_ops.hpp"
#include "netstack/registry/notifier.hpp"

namespace netstack {

/// IFLA_IFNAME rules: 1 to 15 characters, none of them a slash, a colon or white space, and neither "." nor "..".
constexpr bool dev_valid_name(std::string_view name) {
  if (name.empty() || name.size() >= ifnamsiz || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(),
                      [](char c) { return c == '/' || c == ':' || c == ' ' || (c >= '\t' && c <= '\r'); });
}

/// Gives the device its name; "%d" in it becomes the lowest free number, as in eth%d.
/// Errors: invalid_argument, file_exists, too_many_files_open_in_system (every number taken).
template <class Net>
result<void> dev_alloc_name(Net& net, net_device& dev, std::string_view pattern) {
  if (!dev_valid_name(pattern)) return failure{std::errc::invalid_argument};
  auto const percent = pattern.find("%d");
  auto const assign = [&](std::string_view name) {
    std::fill(std::begin(dev.name), std::end(dev.name), '\0');
    std::copy(name.begin(), name.end(), dev.name);
  };
  if (percent == std::string_view::npos) {
    if (net.dev_get_by_name(pattern)) return failure{std::errc::file_exists};
    assign(pattern);
    return {};
  }
  for (unsigned i = 0; i < 4096; ++i) {
    char candidate[2 * ifnamsiz];
    int const n = std::snprintf(candidate, sizeof candidate, "%.*s%u%.*s", static_cast<int>(percent), pattern.data(), i,
                                static_cast<int>(pattern.size() - percent - 2), pattern.data() + percent + 2);
    if (n >= static_cast<int>(ifnamsiz)) break;
    if (std::string_view const name{candidate, static_cast<std::size_t>(n)}; !net.dev_get_by_name(name)) {
      assign(name);
      return {};
    }
  }
  return failure{std::errc::too_many_files_open_in_system};
}

/// Brings the device up. Errors: the driver's. Idempotent.
template <class Net>
result<void> dev_open(Net& net, net_device& dev) {
  if (dev.running()) return {};
  net.call_netdevice_notifiers(netdev_event::pre_up, dev);
  if (auto r = Net::netdev_ops[dev.driver].ndo_open(net, dev); !r) return r;
  dev.flags |= iff::up | iff::running;
  dev.state &= ~netdev_state::xoff;
  napi_enable(dev.napi);
  if (Net::netdev_ops[dev.driver].ndo_set_rx_mode) Net::netdev_ops[dev.driver].ndo_set_rx_mode(net, dev);
  net.worker().watch_device(net, dev);
  net.call_netdevice_notifiers(netdev_event::up, dev);
  return {};
}

/// Takes the device down: no frame of it is in flight afterwards. Idempotent.
template <class Net>
void dev_close(Net& net, net_device& dev) {
  if (!dev.running()) return;
  net.call_netdevice_notifiers(netdev_event::going_down, dev);
  net.worker().unwatch_device(net, dev);
  napi_disable(net.worker().softnet, dev.napi);
  dev.flags &= ~(iff::up | iff::running);
  Net::netdev_ops[dev.driver].ndo_stop(net, dev);
  while (sk_buff* skb = dev.qdisc.dequeue()) kfree_skb(net, *skb, drop_reason::dev_down);
  net.call_netdevice_notifiers(netdev_event::down, dev);
}

template <class Net>
void netif_carrier_on(Net& net, net_device& dev) {
  if (dev.carrier_ok()) return;
  dev.state &= ~netdev_state::nocarrier;
  if (!dev.qdisc.empty()) netif_schedule(net, dev);
  net.call_netdevice_notifiers(netdev_event::change, dev);
}
template <class Net>
void netif_carrier_off(Net& net, net_device& dev) {
  if (!dev.carrier_ok()) return;
  dev.state |= netdev_state::nocarrier;
  net.call_netdevice_notifiers(netdev_event::change, dev);
}

/// Errors: invalid_argument outside [min_mtu, max_mtu]; the driver's.
template <class Net>
result<void> dev_set_mtu(Net& net, net_device& dev, u32 mtu) {
  if (mtu == dev.mtu) return {};
  if (mtu < dev.min_mtu || mtu > dev.max_mtu) return failure{std::errc::invalid_argument};
  if (auto* change = Net::netdev_ops[dev.driver].ndo_change_mtu)
    if (auto r = change(net, dev, mtu); !r) return r;
  dev.mtu = mtu;
  net.call_netdevice_notifiers(netdev_event::changemtu, dev);
  return {};
}

/// Errors: operation_not_supported without ndo_set_mac_address; address_not_available for a group or zero address.
template <class Net>
result<void> dev_set_mac_address(Net& net, net_device& dev, mac_addr const& mac) {
  auto* set = Net::netdev_ops[dev.driver].ndo_set_mac_address;
  if (!set) return failure{std::errc::operation_not_supported};
  if (!mac.is_valid()) return failure{std::errc::address_not_available};
  if (auto r = set(net, dev, mac); !r) return r;
  dev.dev_addr = mac;
  net.call_netdevice_notifiers(netdev_event::changeaddr, dev);
  return {};
}

namespace detail {

/// Which packet types are bound to this device by name: bit i as in dev_input's dispatch.
template <class Net>
u64 match_packet_types(net_device const& dev) {
  static_assert(Net::ptype_all.size() + Net::ptype_base.size() <= 64, "netstack: at most 64 packet types in one list");
  u64 bits = 0;
  u32 bit = 0;
  for (auto const& pt : Net::ptype_all) bits |= u64{pt.dev && dev.ifname() == pt.dev} << bit++;
  for (auto const& pt : Net::ptype_base) bits |= u64{pt.dev && dev.ifname() == pt.dev} << bit++;
  return bits;
}

}  // namespace detail

/// Makes a device of the driver in this namespace: probe claims its resources and fills it, then it gets a name, a
/// number and the notifiers' attention. Down until dev_open. Errors: no_buffer_space (config.max_dev), file_exists, the
/// driver's; on error nothing is left.
template <class Driver, class Net>
result<net_device*> register_netdev(Net& net, std::string_view name, typename Driver::params const& params) {
  auto& worker = net.worker();
  auto* slot = worker.devices.alloc();
  if (!slot) return failure{std::errc::no_buffer_space};
  net_device& dev = slot->dev;
  dev.driver = Net::template driver_index<Driver>;
  dev.netns = static_cast<u8>(net.index);
  dev.queue = static_cast<u8>(worker.id);
  dev.priv = ::new (static_cast<void*>(slot->priv)) typename Driver::priv{};
  dev.napi.dev = &dev;
  auto const undo = [&](std::errc why) -> result<net_device*> {
    using priv = typename Driver::priv;
    netdev_priv<Driver>(dev).~priv();
    worker.devices.free(slot);
    return failure{why};
  };
  if (auto r = dev_alloc_name(net, dev, name); !r) return undo(r.error());
  if (auto r = Driver::probe(net, dev, params); !r) return undo(r.error());
  dev.perm_addr = dev.dev_addr;
  dev.ifindex = net.next_ifindex++;
  dev.napi.napi_id = dev.ifindex;
  dev.ptype_match = detail::match_packet_types<Net>(dev);
  dev.state |= netdev_state::present | netdev_state::registered;
  net.dev_base.push_back(dev);
  net.call_netdevice_notifiers(netdev_event::registered, dev);
  return &dev;
}

/// Takes the device down, tells everybody, and returns what it held. The reference is dead afterwards.
template <class Net>
void unregister_netdev(Net& net, net_device& dev) {
  dev_close(net, dev);
  net.call_netdevice_notifiers(netdev_event::unregister, dev);
  net.worker().forget_device(dev);
  net.dev_base.erase(net.dev_base.iterator_to(dev));
  Net::remove_device(net, dev);
}

/// Moves a device to another namespace of the same worker: down first, everybody told on both sides, a new number, and
/// a new name from `pattern` if its own is taken there. [S20]
template <class Net>
result<void> dev_change_net_namespace(Net& from, net_device& dev, Net& to, std::string_view pattern) {
  if (dev.state & netdev_state::netns_local) return failure{std::errc::invalid_argument};
  bool const taken = to.dev_get_by_name(dev.ifname()) != nullptr;
  dev_close(from, dev);
  from.call_netdevice_notifiers(netdev_event::unregister, dev);
  from.dev_base.erase(from.dev_base.iterator_to(dev));
  if (taken)
    if (auto r = dev_alloc_name(to, dev, pattern); !r) return r;
  dev.netns = static_cast<u8>(to.index);
  if (to.dev_get_by_index(dev.ifindex) || dev.ifindex >= to.next_ifindex) dev.ifindex = to.next_ifindex++;
  dev.ptype_match = detail::match_packet_types<Net>(dev);
  to.dev_base.push_back(dev);
  to.call_netdevice_notifiers(netdev_event::registered, dev);
  return {};
}

}  // namespace netstack
