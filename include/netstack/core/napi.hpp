// SPDX-License-Identifier: BSL-1.0
// Decides: whose turn it is to receive, and for how long. Every device that is up has a NAPI; in each poll() each gets
// its turn, round and round, up to its weight of frames a turn, until none has work or the budget of frames or time is
// used up: then time_squeeze counts, and the next poll() goes on where this one stopped. The backlog is one of them.
// [S62] [S65] [S66] [S79] [S80]
// rx: called by worker.poll() → ndo_poll of each device → core/gro, core/rps or netif_receive_skb_list
// Linux: net/core/dev.c (net_rx_action, napi_poll, napi_complete_done, napi_disable)
#pragma once
#include <algorithm>

#include "netstack/core/backlog.hpp"
#include "netstack/core/gro.hpp"
#include "netstack/core/rps.hpp"
#include "netstack/core/timestamping.hpp"
#include "netstack/registry/napi_trace.hpp"
#include "netstack/registry/netdev_ops.hpp"

namespace netstack {

/// The device has no more work: off the list, to be scheduled again.
inline void napi_complete(softnet_data& sd, napi_struct& n) {
  if (n.on_poll_list()) sd.poll_list.erase(sd.poll_list.iterator_to(n));
  n.state = static_cast<u8>(n.state & ~napi_struct::sched);
}
/// From now on the device is polled; one whose weight is 0 receives otherwise (loopback).
inline void napi_enable(softnet_data& sd, napi_struct& n) {
  n.state = 0;
  if (n.dev && n.weight != 0) sd.instances.push_back(n);
}
/// Afterwards the device is not polled, and is not being polled.
inline void napi_disable(softnet_data& sd, napi_struct& n) {
  napi_complete(sd, n);
  if (n.is_instance()) sd.instances.erase(sd.instances.iterator_to(n));
  n.state = napi_struct::disabled;
  if (sd.current == &n) sd.current = nullptr;
}

namespace detail {

template <class Worker>
NETSTACK_INLINE u32 poll_device(Worker& worker, net_device& dev, u32 budget) {
  auto& net = worker.nets[dev.netns];
  using Net = std::remove_reference_t<decltype(net)>;
  auto const& ops = Net::netdev_ops[dev.driver];
  if (ops.ndo_tx_complete) ops.ndo_tx_complete(net, dev);
  skb_list burst;
  u32 const work = ops.ndo_poll(net, dev, budget, burst);
  if (ops.ndo_rxtstamp) [[unlikely]]
    for (sk_buff& skb : burst) skb_defer_rx_timestamp(net, dev, skb);
  if constexpr (composition_has_gro<Net>()) napi_gro_receive_list(net, worker.softnet, dev.napi, burst);
  if constexpr (Net::sizes.workers > 1)
    if (dev.rps_cpus != 0) rps_steer(net, dev, burst);
  if (rx_flow_deliver(net, worker.softnet, burst)) return work;
  netif_receive_skb_list(net, burst);
  worker.softnet.flow_taken.packets = 0;
  return work;
}

template <class Worker>
NETSTACK_INLINE u32 __napi_poll(Worker& worker, napi_struct& n, u32 budget) {
  auto& net = worker.nets[n.dev ? n.dev->netns : 0];
  using Net = std::remove_reference_t<decltype(net)>;
  u32 const work = n.dev ? poll_device(worker, *n.dev, budget) : process_backlog(worker, budget);
  for (auto const& trace : Net::napi_traces) trace.trace_napi_poll(net, n, work, budget);
  return work;
}
template <class Worker>
NETSTACK_NOINLINE u32 napi_poll(Worker& worker, napi_struct& n, u32 budget) {
  return __napi_poll(worker, n, budget);
}

/// After a device's whole turn: the budget of frames or time is used up, and what is left has to wait. The clock is
/// read only here, so a quiet stack never pays for it.
template <class Worker>
bool net_rx_squeezed(Worker& worker, u32 budget) {
  auto& sd = worker.softnet;
  if (budget != 0 && worker.clock.monotonic(worker.clock.ctx) - worker.now < sd.netdev_budget_ns) return false;
  ++sd.time_squeeze;
  raise_softirq(sd, softnet_data::net_rx);
  return true;
}
/// Turn after turn for who is on the list; how many frames that were.
template <class Worker>
NETSTACK_NOINLINE u32 net_rx_rounds(Worker& worker, u32 budget) {
  auto& sd = worker.softnet;
  u32 done = 0;
  while (!sd.poll_list.empty()) {
    napi_struct& n = sd.poll_list.front();
    u32 const weight = std::min<u32>(n.weight, budget);
    sd.current = &n;
    u32 const work = napi_poll(worker, n, weight);
    done += work;
    budget -= std::min(work, budget);
    bool const hungry = work >= weight;
    if (std::exchange(sd.current, nullptr)) {  // else it was closed by its own frames
      sd.poll_list.erase(sd.poll_list.iterator_to(n));
      if (hungry)
        sd.poll_list.push_back(n);
      else
        n.state = static_cast<u8>(n.state & ~napi_struct::sched);
    }
    if (hungry && !sd.poll_list.empty() && net_rx_squeezed(worker, budget)) break;
  }
  return done;
}
}  // namespace detail

/// One receive round: every device that is up gets its turn; how many frames it handled. The only one of a worker has
/// its first without being put on the list.
template <class Worker>
u32 net_rx_action(Worker& worker) {
  auto& sd = worker.softnet;
  u32 const budget = std::max<u32>(sd.netdev_budget, 1);
  sd.pending = static_cast<u8>(sd.pending & ~softnet_data::net_rx);
  if (sd.instances.size() != 1 || !sd.poll_list.empty() || !napi_schedule_prep(sd.instances.front())) [[unlikely]] {
    for (auto& n : sd.instances) napi_schedule(sd, n);
    sd.pending = static_cast<u8>(sd.pending & ~softnet_data::net_rx);
    return detail::net_rx_rounds(worker, budget);
  }
  napi_struct& n = sd.instances.front();
  u32 const weight = std::min<u32>(n.weight, budget);
  sd.current = &n;
  u32 const work = detail::__napi_poll(worker, n, weight);
  if (std::exchange(sd.current, nullptr)) {
    if (work >= weight)
      sd.poll_list.push_back(n);
    else
      n.state = static_cast<u8>(n.state & ~napi_struct::sched);
  }
  if (sd.poll_list.empty() || (work >= weight && detail::net_rx_squeezed(worker, budget - std::min(work, budget))))
      [[likely]]
    return work;
  return work + detail::net_rx_rounds(worker, budget - std::min(work, budget));
}

}  // namespace netstack
