// SPDX-License-Identifier: BSL-1.0
// Decides: what may be changed about a device: MTU, address, flags, features, the spread of its flows. Control path:
// every function answers with an errno and leaves the state unchanged on error. Each changes the slice it is given: run
// it in all of them through rtnl(). [S47] [S75]
// Linux: net/core/dev.c (dev_set_mtu, dev_set_mac_address, dev_change_flags, netdev_update_features)
#pragma once
#include "netstack/core/netdev.hpp"

namespace netstack {

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

/// Errors: operation_not_supported without ndo_set_mac_address; address_not_available for a group or zero address; the
/// driver's.
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

/// Errors: those of dev_alloc_name.
template <class Net>
result<void> dev_change_name(Net& net, net_device& dev, std::string_view name) {
  if (dev.ifname() == name) return {};
  if (auto r = dev_alloc_name(net, dev, name); !r) return r;
  dev.ptype_match = detail::match_packet_types<Net>(dev);
  net.call_netdevice_notifiers(netdev_event::changename, dev);
  return {};
}

/// Sets the flags that a user may set: up, promisc, allmulti, multicast, noarp; the others in `flags` are ignored.
/// Errors: the driver's, when it does not come up.
template <class Net>
result<void> dev_change_flags(Net& net, net_device& dev, u32 flags) {
  constexpr u32 plain = iff::multicast | iff::noarp;
  u32 const old = dev.flags;
  if ((flags ^ old) & iff::up) {
    if (flags & iff::up) {
      if (auto r = dev_open(net, dev); !r) return r;
    } else {
      dev_close(net, dev);
    }
  }
  dev.flags = (dev.flags & ~plain) | (flags & plain);
  // The user is one of several who may want these modes; gflags remembers that he is.
  u32 const modes = (flags ^ dev.gflags) & (iff::promisc | iff::allmulti);
  dev.gflags ^= modes;
  if (modes & iff::promisc) (void)dev_set_promiscuity(net, dev, flags & iff::promisc ? 1 : -1);
  if (modes & iff::allmulti) (void)dev_set_allmulti(net, dev, flags & iff::allmulti ? 1 : -1);
  if (((flags ^ old) & plain) != 0 && dev.running()) net.call_netdevice_notifiers(netdev_event::change, dev);
  return {};
}

/// Turns on those of hw_features that are wanted and off the others. A device that cannot finish checksums or take
/// frags cannot cut super-segments either.
template <class Net>
void dev_set_features(Net& net, net_device& dev, u32 wanted) {
  u32 features = (dev.features & ~dev.hw_features) | (wanted & dev.hw_features);
  constexpr u32 needed_by_gso = netif_f::hw_csum | netif_f::sg;
  if ((features & needed_by_gso) != needed_by_gso) features &= ~netif_f::gso;
  if (features == dev.features) return;
  dev.features = features;
  net.call_netdevice_notifiers(netdev_event::feat_change, dev);
}

/// A driver's own request. Error: operation_not_supported without ndo_do_ioctl; the driver's.
template <class Net>
result<int> dev_do_ioctl(Net& net, net_device& dev, u32 cmd, int arg) {
  auto* ioctl = Net::netdev_ops[dev.driver].ndo_do_ioctl;
  if (!ioctl) return failure{std::errc::operation_not_supported};
  return ioctl(net, dev, cmd, arg);
}

/// Spreads the flows that this slice receives over the workers of the mask (bit = number); 0: over none. Error:
/// invalid_argument (a worker that is not composed). [S64]
template <class Net>
result<void> dev_set_rps_cpus(Net&, net_device& dev, u64 mask) {
  if constexpr (Net::sizes.workers < 64)
    if (mask >> Net::sizes.workers != 0) return failure{std::errc::invalid_argument};
  dev.rps_cpus = mask;
  return {};
}

/// Transmit queue by priority: map[p] for packets of priority p; an empty map returns to the flow hash. Error:
/// invalid_argument (a queue that the device does not have).
template <class Net>
result<void> netdev_set_prio_tc_map(Net&, net_device& dev, std::span<u8 const> map) {
  if (map.size() > std::size(dev.prio_tc_map)) return failure{std::errc::invalid_argument};
  for (u8 queue : map)
    if (queue >= dev.real_num_tx_queues) return failure{std::errc::invalid_argument};
  std::fill(std::begin(dev.prio_tc_map), std::end(dev.prio_tc_map), u8{0});
  std::copy(map.begin(), map.end(), dev.prio_tc_map);
  dev.num_tc = static_cast<u8>(map.empty() ? 0 : dev.real_num_tx_queues);
  return {};
}

/// M's i-th rx_handler takes this device's frames from now on. Error: device_or_resource_busy (it has one already).
template <class M, class Net>
result<void> netdev_rx_handler_register(Net&, net_device& dev, void* data, std::size_t i = 0) {
  if (dev.rx_handler != 0) return failure{std::errc::device_or_resource_busy};
  dev.rx_handler_data = data;
  dev.rx_handler = static_cast<u8>(Net::template first_rx_handler<M> + i + 1);
  return {};
}
inline void netdev_rx_handler_unregister(net_device& dev) {
  dev.rx_handler = 0;
  dev.rx_handler_data = nullptr;
}

}  // namespace netstack
