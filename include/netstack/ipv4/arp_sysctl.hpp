// SPDX-License-Identifier: BSL-1.0
// Decides: which of ARP's settings stand under /proc/sys/net/ipv4/neigh/{default,<device>}, with Linux's names and
// units. `default` is what a device starts with; a device's own are in its in_device. The thresholds of the cache are
// the worker's, so init_net alone shows them. [S128]
// Linux: net/core/neighbour.c (neigh_sysctl_template, neigh_proc_base_reachable_time)
#pragma once
#include "netstack/ipv4/arp.hpp"
#include "netstack/registry/sysctl.hpp"

namespace netstack {

namespace detail {

/// The * of net/ipv4/neigh/*. There is no `all`.
template <class Net>
neigh_parms* neigh_parms_of(Net& net, u32 which) {
  if (which == ctl_all) return nullptr;
  if (which == ctl_default) return &ipv4_net(net).arp.parms_default;
  net_device* dev = net.dev_get_by_index(which);
  in_device* in_dev = dev ? in_dev_get(*dev) : nullptr;
  return in_dev ? &in_dev->arp_parms : nullptr;
}

/// A new base is drawn from at once, not only at the next turn of the dice. Linux takes 0 too, and then collects
/// garbage without a pause.
template <class Net>
result<void> base_reachable_time_changed(Net& net, u32 which) {
  neigh_parms& parms = *neigh_parms_of(net, which);
  parms.reachable_time = neigh_rand_reach_time(net.worker().random, parms.base_reachable_time);
  return {};
}

template <class Net, auto Member>
constexpr ctl_table neigh_row(char const* path, u64 unit = 1) {
  return ctl_dev<Net, neigh_parms_of<Net>, Member>(path, {.min = 0, .max = 0x7fffffff, .unit = unit});
}
template <class Net>
constexpr ctl_table reachable_row(char const* path, u64 unit) {
  return ctl_dev<Net, neigh_parms_of<Net>, &neigh_parms::base_reachable_time>(
      path, {.min = 1, .max = 0x7fffffff, .unit = unit, .changed = ctl_changed<Net, base_reachable_time_changed<Net>>});
}

inline constexpr u64 neigh_ms = 1'000'000, neigh_s = 1'000'000'000;
inline constexpr u64 neigh_hz = 10'000'000;           ///< USER_HZ is 100
inline constexpr u64 neigh_frame = 1514 + 256 + 320;  ///< what the kernel takes a full frame to cost in a queue

}  // namespace detail

template <class Net>
inline constexpr std::array neigh_sysctl_table{
    detail::neigh_row<Net, &neigh_parms::mcast_probes>("net/ipv4/neigh/*/mcast_solicit"),
    detail::neigh_row<Net, &neigh_parms::ucast_probes>("net/ipv4/neigh/*/ucast_solicit"),
    detail::neigh_row<Net, &neigh_parms::app_probes>("net/ipv4/neigh/*/app_solicit"),
    detail::neigh_row<Net, &neigh_parms::mcast_reprobes>("net/ipv4/neigh/*/mcast_resolicit"),
    detail::neigh_row<Net, &neigh_parms::retrans_time>("net/ipv4/neigh/*/retrans_time", detail::neigh_hz),
    detail::neigh_row<Net, &neigh_parms::retrans_time>("net/ipv4/neigh/*/retrans_time_ms", detail::neigh_ms),
    detail::reachable_row<Net>("net/ipv4/neigh/*/base_reachable_time", detail::neigh_s),
    detail::reachable_row<Net>("net/ipv4/neigh/*/base_reachable_time_ms", detail::neigh_ms),
    detail::neigh_row<Net, &neigh_parms::delay_probe_time>("net/ipv4/neigh/*/delay_first_probe_time", detail::neigh_s),
    detail::neigh_row<Net, &neigh_parms::gc_staletime>("net/ipv4/neigh/*/gc_stale_time", detail::neigh_s),
    detail::neigh_row<Net, &neigh_parms::queue_len_bytes>("net/ipv4/neigh/*/unres_qlen_bytes"),
    detail::neigh_row<Net, &neigh_parms::queue_len_bytes>("net/ipv4/neigh/*/unres_qlen", detail::neigh_frame),
    detail::neigh_row<Net, &neigh_parms::proxy_qlen>("net/ipv4/neigh/*/proxy_qlen"),
    detail::neigh_row<Net, &neigh_parms::anycast_delay>("net/ipv4/neigh/*/anycast_delay", detail::neigh_hz),
    detail::neigh_row<Net, &neigh_parms::proxy_delay>("net/ipv4/neigh/*/proxy_delay", detail::neigh_hz),
    detail::neigh_row<Net, &neigh_parms::locktime>("net/ipv4/neigh/*/locktime", detail::neigh_hz),
    ctl_of<Net, arp_cache<Net>, &neigh_cache::gc_interval>(
        "net/ipv4/neigh/default/gc_interval", {.max = 0x7fffffff, .unit = detail::neigh_s, .init_net_only = true}),
    ctl_of<Net, arp_cache<Net>, &neigh_cache::gc_thresh1>("net/ipv4/neigh/default/gc_thresh1",
                                                          {.min = 0, .init_net_only = true}),
    ctl_of<Net, arp_cache<Net>, &neigh_cache::gc_thresh2>("net/ipv4/neigh/default/gc_thresh2",
                                                          {.min = 0, .init_net_only = true}),
    ctl_of<Net, arp_cache<Net>, &neigh_cache::gc_thresh3>("net/ipv4/neigh/default/gc_thresh3",
                                                          {.min = 0, .init_net_only = true}),
};

}  // namespace netstack
