// SPDX-License-Identifier: BSL-1.0
// Decides: which group addresses a device listens to. Several protocols may want the same one, so each is counted; the
// driver hears of a change through ndo_set_rx_mode. A frame for a group that nobody joined counts as another host's, as
// if the hardware's filter had refused it, unless the device is allmulti or promiscuous. [S69]
// rx: read by link/eth eth_type_trans
// Linux: net/core/dev_addr_lists.c (dev_mc_add, dev_mc_del), net/core/dev.c (dev_set_promiscuity, dev_set_allmulti)
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/registry/netdev_ops.hpp"
#include "netstack/registry/notifier.hpp"

namespace netstack {

/// Tells the driver of the present flags and groups.
template <class Net>
void dev_set_rx_mode(Net& net, net_device& dev) {
  if (auto* set = Net::netdev_ops[dev.driver].ndo_set_rx_mode; set && dev.running()) set(net, dev);
}

/// Place of a group in dev.mc_list; mc_count if it is not there.
inline u8 dev_mc_find(net_device const& dev, mac_addr const& group) {
  u8 i = 0;
  while (i < dev.mc_count && dev.mc_list[i] != group) ++i;
  return i;
}
/// The filter lets frames for this group pass.
inline bool dev_mc_accepts(net_device const& dev, mac_addr const& group) {
  return (dev.flags & (iff::allmulti | iff::promisc)) != 0 || dev_mc_find(dev, group) < dev.mc_count;
}

/// One more who wants frames for this group. Errors: invalid_argument (not a group address), no_buffer_space.
template <class Net>
result<void> dev_mc_add(Net& net, net_device& dev, mac_addr const& group) {
  if (!group.is_multicast()) return failure{std::errc::invalid_argument};
  u8 const i = dev_mc_find(dev, group);
  if (i < dev.mc_count) {
    if (dev.mc_refs[i] == 0xffff) return failure{std::errc::no_buffer_space};
    ++dev.mc_refs[i];
    return {};
  }
  if (i == max_mc_addr) return failure{std::errc::no_buffer_space};
  dev.mc_list[i] = group;
  dev.mc_refs[i] = 1;
  ++dev.mc_count;
  dev_set_rx_mode(net, dev);
  return {};
}

/// One less; the last one's group leaves the filter. Error: no_such_file_or_directory (nobody wanted it).
template <class Net>
result<void> dev_mc_del(Net& net, net_device& dev, mac_addr const& group) {
  u8 i = dev_mc_find(dev, group);
  if (i == dev.mc_count) return failure{std::errc::no_such_file_or_directory};
  if (--dev.mc_refs[i] != 0) return {};
  --dev.mc_count;
  for (; i < dev.mc_count; ++i) dev.mc_list[i] = dev.mc_list[i + 1], dev.mc_refs[i] = dev.mc_refs[i + 1];
  dev_set_rx_mode(net, dev);
  return {};
}

namespace detail {

template <class Net>
result<void> change_rx_flag(Net& net, net_device& dev, u32 flag, u32& holders, int inc) {
  if (inc < 0 && holders < static_cast<u32>(-inc)) return failure{std::errc::invalid_argument};
  holders += static_cast<u32>(inc);
  u32 const flags = holders ? dev.flags | flag : dev.flags & ~flag;
  if (flags == dev.flags) return {};
  dev.flags = flags;
  dev_set_rx_mode(net, dev);
  if (dev.running()) net.call_netdevice_notifiers(netdev_event::change, dev);
  return {};
}

}  // namespace detail

/// `inc` more (or less) who want every frame, whoever it is for. Error: invalid_argument (less than none).
template <class Net>
result<void> dev_set_promiscuity(Net& net, net_device& dev, int inc) {
  return detail::change_rx_flag(net, dev, iff::promisc, dev.promiscuity, inc);
}
/// The same for every group's frames.
template <class Net>
result<void> dev_set_allmulti(Net& net, net_device& dev, int inc) {
  return detail::change_rx_flag(net, dev, iff::allmulti, dev.allmulti, inc);
}

}  // namespace netstack
