// SPDX-License-Identifier: BSL-1.0
// Decides: how a device comes and goes: names and numbers, up and down, from one namespace to another, who is told.
// Control path: every function answers with an errno and leaves the state unchanged on error. A device that goes during
// a poll is closed at once, but its memory stays until the poll ends: frames of its last burst still name it.
// [S71] [S73] [S74]
// Linux: net/core/dev.c (register_netdevice, dev_open, dev_close, unregister_netdevice_many, netdev_run_todo)
#pragma once
#include <algorithm>
#include <cstdio>
#include <new>
#include <span>

#include "netstack/core/dev_addr_lists.hpp"
#include "netstack/core/link_watch.hpp"
#include "netstack/core/napi.hpp"

namespace netstack {

/// IFLA_IFNAME rules: 1 to 15 characters, none of them a slash, a colon or white space, and neither "." nor "..".
constexpr bool dev_valid_name(std::string_view name) {
  if (name.empty() || name.size() >= ifnamsiz || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(),
                      [](char c) { return c == '/' || c == ':' || c == ' ' || (c >= '\t' && c <= '\r'); });
}

/// Gives the device its name; "%d" in it becomes the lowest free number, as in eth%d. The device itself does not count.
/// Errors: invalid_argument, file_exists, too_many_files_open_in_system (every number taken).
template <class Net>
result<void> dev_alloc_name(Net& net, net_device& dev, std::string_view pattern) {
  if (!dev_valid_name(pattern)) return failure{std::errc::invalid_argument};
  auto const percent = pattern.find('%');
  auto const assign = [&](std::string_view name) {
    std::fill(std::begin(dev.name), std::end(dev.name), '\0');
    std::copy(name.begin(), name.end(), dev.name);
  };
  auto const taken = [&](std::string_view name) {
    net_device* other = net.dev_get_by_name(name);
    return other && other != &dev;
  };
  if (percent == std::string_view::npos) {
    if (taken(pattern)) return failure{std::errc::file_exists};
    assign(pattern);
    return {};
  }
  // One %d and nothing else that printf would read.
  if (pattern.substr(percent, 2) != "%d" || pattern.find('%', percent + 1) != std::string_view::npos)
    return failure{std::errc::invalid_argument};
  auto const head = pattern.substr(0, percent), tail = pattern.substr(percent + 2);
  for (unsigned i = 0; i < 4096; ++i) {
    char candidate[2 * ifnamsiz];
    int const n = std::snprintf(candidate, sizeof candidate, "%.*s%u%.*s", static_cast<int>(head.size()), head.data(),
                                i, static_cast<int>(tail.size()), tail.data());
    if (n >= static_cast<int>(ifnamsiz)) break;
    if (std::string_view const name{candidate, static_cast<std::size_t>(n)}; !taken(name)) {
      assign(name);
      return {};
    }
  }
  return failure{std::errc::too_many_files_open_in_system};
}

/// Brings the device up. Errors: the driver's. Idempotent. A removed worker's slice stays down. [S10]
template <class Net>
result<void> dev_open(Net& net, net_device& dev) {
  if (dev.running() || net.worker().removed()) return {};
  if (dev.unregistering) return failure{std::errc::no_such_device};
  net.call_netdevice_notifiers(netdev_event::pre_up, dev);
  if (auto r = Net::netdev_ops[dev.driver].ndo_open(net, dev); !r) return r;
  dev.flags |= iff::up;
  dev.operstate = detail::rfc2863_policy(dev);
  for (auto& txq : dev.tx) txq.stopped = txq.requeued = false;
  napi_enable(net.worker().softnet, dev.napi);
  dev_set_rx_mode(net, dev);
  net.worker().watch_device(net, dev);
  net.call_netdevice_notifiers(netdev_event::up, dev);
  return {};
}

namespace detail {

/// Off every list of softnet_data; what waits in its queues is dropped.
template <class Net>
void dev_deactivate(Net& net, net_device& dev) {
  auto& sd = net.worker().softnet;
  netdev_queue* last = nullptr;
  for (netdev_queue** at = &sd.output_queue; *at;) {
    netdev_queue* const txq = *at;
    if (txq->dev == &dev) {
      *at = std::exchange(txq->next_sched, nullptr);
      txq->scheduled = false;
    } else {
      last = txq;
      at = &txq->next_sched;
    }
  }
  sd.output_queue_tail = last;
  for (net_device** at = &sd.flush_list; *at; at = &(*at)->next_flush)
    if (*at == &dev) {
      *at = std::exchange(dev.next_flush, nullptr);
      dev.flush_pending = false;
      break;
    }
  for (auto& txq : dev.tx)
    while (sk_buff* skb = txq.qdisc.dequeue()) {
      ++dev.stats.tx_dropped;
      kfree_skb(net, *skb, drop_reason::dev_down);
    }
}

}  // namespace detail

/// Takes the device down: no frame of it is in flight afterwards. Idempotent.
template <class Net>
void dev_close(Net& net, net_device& dev) {
  if (!dev.running()) return;
  net.call_netdevice_notifiers(netdev_event::going_down, dev);
  net.worker().unwatch_device(net, dev);
  napi_disable(net.worker().softnet, dev.napi);
  dev.flags &= ~iff::up;
  route_genid_bump(net.worker().softnet);  // xmit_way_is_up
  detail::dev_deactivate(net, dev);
  flush_backlog(net, dev);
  Net::netdev_ops[dev.driver].ndo_stop(net, dev);
  net.call_netdevice_notifiers(netdev_event::down, dev);
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

/// Puts a device that has its name into a namespace's list.
template <class Net>
void list_netdevice(Net& net, net_device& dev) {
  dev.netns = static_cast<u8>(net.index);
  if (dev.ifindex == 0 || net.dev_get_by_index(dev.ifindex)) dev.ifindex = net.next_ifindex;
  net.next_ifindex = std::max(net.next_ifindex, dev.ifindex + 1);
  dev.napi.napi_id = u32{dev.netns} << 24 | dev.ifindex;
  dev.ptype_match = match_packet_types<Net>(dev);
  dev.state |= netdev_state::registered;
  net.dev_base.push_back(dev);
  net.dev_stats.publish(dev);
  net.call_netdevice_notifiers(netdev_event::registered, dev);
}
template <class Net>
void unlist_netdevice(Net& net, net_device& dev) {
  net.call_netdevice_notifiers(netdev_event::unregister, dev);
  dev.state &= ~netdev_state::registered;
  net.dev_stats.retract(dev);
  net.dev_base.erase(net.dev_base.iterator_to(dev));
}

}  // namespace detail

/// Makes a device of the driver in this namespace (this worker's slice of one): probe claims its resources and fills
/// it, then it gets a name, a number and the notifiers' attention. Down until dev_open. `ifindex`: 0 takes the next
/// free number; the slices of one interface have the same. Errors: no_buffer_space (config.max_dev), invalid_argument
/// and file_exists (name), device_or_resource_busy (number), the driver's; on error nothing is left.
template <class Driver, class Net>
result<net_device*> register_netdev(Net& net, std::string_view name, typename Driver::params const& params,
                                    u32 ifindex = 0) {
  using priv = typename Driver::priv;
  auto& worker = net.worker();
  if (ifindex != 0 && net.dev_get_by_index(ifindex)) return failure{std::errc::device_or_resource_busy};
  auto* slot = worker.devices.alloc();
  if (!slot) return failure{std::errc::no_buffer_space};
  net_device& dev = slot->dev;
  dev.driver = Net::template driver_index<Driver>;
  dev.netns = static_cast<u8>(net.index);
  dev.queue = static_cast<u8>(worker.id);
  dev.ifindex = ifindex;
  dev.priv = ::new (static_cast<void*>(slot->priv)) priv{};
  dev.napi.dev = &dev;
  dev.state = netdev_state::present;
  auto r = dev_alloc_name(net, dev, name);
  if (r) r = Driver::probe(net, dev, params);
  if (!r) {
    netdev_priv<Driver>(dev).~priv();
    worker.devices.free(slot);
    return failure{r.error()};
  }
  dev.perm_addr = dev.dev_addr;
  if (dev.hw_features == 0) dev.hw_features = dev.features;
  if constexpr (detail::composition_has_gro<Net>()) dev.features |= netif_f::gro, dev.hw_features |= netif_f::gro;
  detail::list_netdevice(net, dev);
  return &dev;
}

/// Takes the device down, tells everybody, and returns what it held. The reference is dead afterwards.
template <class Net>
void unregister_netdev(Net& net, net_device& dev) {
  BUG_ON(dev.unregistering, "unregister_netdev twice");
  dev_close(net, dev);
  detail::unlist_netdevice(net, dev);
  auto& sd = net.worker().softnet;
  if (!sd.in_softirq) return Net::remove_device(net, dev);
  dev.unregistering = true;
  dev.next_todo = std::exchange(sd.todo, &dev);
}

/// Gives back the devices that went during this poll.
template <class Worker>
NETSTACK_NOINLINE void netdev_run_todo(Worker& worker) {
  while (net_device* dev = worker.softnet.todo) {
    worker.softnet.todo = dev->next_todo;
    auto& net = worker.nets[dev->netns];
    std::remove_reference_t<decltype(net)>::remove_device(net, *dev);
  }
}

/// Moves a device to another namespace of the same worker: down first, everybody told on both sides; it keeps its
/// number if that is free there, and gets a name from `pattern` if its own is taken. [S20] Errors: invalid_argument
/// (lo stays where it is), those of dev_alloc_name; nothing has happened then.
template <class Net>
result<void> dev_change_net_namespace(Net& from, net_device& dev, Net& to, std::string_view pattern) {
  if ((dev.state & netdev_state::netns_local) || dev.unregistering) return failure{std::errc::invalid_argument};
  if (to.dev_get_by_name(dev.ifname())) {
    char old[ifnamsiz];
    std::copy(std::begin(dev.name), std::end(dev.name), old);
    if (auto r = dev_alloc_name(to, dev, pattern); !r) return r;
    // Those who hear of its leaving know it by its old name.
    std::swap_ranges(std::begin(dev.name), std::end(dev.name), old);
    dev_close(from, dev);
    detail::unlist_netdevice(from, dev);
    std::copy(std::begin(old), std::end(old), dev.name);
  } else {
    dev_close(from, dev);
    detail::unlist_netdevice(from, dev);
  }
  detail::list_netdevice(to, dev);
  return {};
}

}  // namespace netstack
