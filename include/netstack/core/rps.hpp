// SPDX-License-Identifier: BSL-1.0
// Decides: how received flows are spread over the workers when an interface has fewer queues than there are workers.
// The worker that received a frame picks another by the flow's hash, so a flow stays on one worker, in order. Frames
// cross by a ring per pair of workers; the receiver copies them into its own pool and gives the originals back by a
// second ring, so no pool is ever touched by two threads. [S59] [S64]
// The same rings take a packet on whose wire's spread brought it to a worker that does not know whose it is: each in
// turn looks, and what nobody knew is back where it came in, to be answered there (rps_hand_on).
// rx: called by core/napi (rps_steer) and worker.poll() (rps_receive) → core/backlog netif_rx; rps_hand_on by
//     tcp/tcp_ipv4, udp/udp_input, udp/udp_err, ipv4/arp
// Linux: net/core/dev.c (get_rps_cpu, enqueue_to_backlog, rps_trigger_softirq)
#pragma once
#include <bit>

#include "netstack/base/ring.hpp"
#include "netstack/core/backlog.hpp"
#include "netstack/core/flow_dissector.hpp"
#include "netstack/core/skb_transfer.hpp"

namespace netstack {

/// A frame on its way to another worker. Devices differ from worker to worker, so it names its own by number.
struct rps_frame {
  sk_buff* skb;
  u32 ifindex;
  u16 netns;
  u16 generation;  ///< of the namespace: a successor in the same place must not get the frame
};

/// A worker's side of RPS. No ring overflows: at most Size frames are outstanding between two workers.
template <u32 Workers, u32 Size>
struct rps_port {
  spsc_ring<rps_frame, Size> from[Workers];  ///< frames sent here by each other worker
  spsc_ring<sk_buff*, Size> done[Workers];   ///< this worker's own frames that the other is done with
  u32 outstanding[Workers]{};                ///< frames sent to each other worker and not back yet

  [[nodiscard]] bool frames_wait() const {
    for (u32 w = 0; w < Workers; ++w)
      if (!from[w].empty() || !done[w].empty()) return true;
    return false;
  }
};
template <u32 Size>
struct rps_port<1, Size> {};

/// The worker for a flow hash among those of the mask; `here` when there is none, or no flow.
constexpr u32 get_rps_cpu(u64 mask, u32 hash, u32 here) {
  if (mask == 0 || hash == 0) return here;
  for (u32 skip = reciprocal_scale(hash, static_cast<u32>(std::popcount(mask))); skip > 0; --skip) mask &= mask - 1;
  return static_cast<u32>(std::countr_zero(mask));
}

namespace detail {

/// `ifindex`: of skb.dev, which is null where this worker has no such device.
template <class Net>
bool rps_send(Net& net, sk_buff& skb, u32 target, u32 ifindex) {
  auto& here = net.worker();
  if (here.rps.outstanding[target] == Net::sizes.rps_ring) {
    ++here.softnet.dropped;
    if (skb.dev) ++skb.dev->stats.rx_dropped;
    kfree_skb(net, skb, drop_reason::cpu_backlog);
    return false;
  }
  ++here.rps.outstanding[target];
  rps_frame const frame{&skb, ifindex, net.index, net.generation};
  BUG_ON(!net.stack().worker(target).rps.from[here.id].push(frame), "RPS ring full");
  return true;
}
template <class Net>
bool rps_send(Net& net, sk_buff& skb, u32 target) {
  return rps_send(net, skb, target, skb.dev->ifindex);
}
/// Who is to see next what those before did not know; this worker: it has been round.
template <class Net>
u32 rps_next_worker(Net& net, sk_buff const& skb) {
  u32 const here = net.worker().id;
  u64 const online = net.stack().online_workers();
  if (skb.rps_hops >= static_cast<u32>(std::popcount(online))) return here;
  u64 const above = online & ~u64{1} << here;
  return static_cast<u32>(std::countr_zero(above != 0 ? above : online));
}
template <class Net>
NETSTACK_NOINLINE bool rps_hand_to_next(Net& net, sk_buff& skb, u32 ifindex) {
  u32 const next = rps_next_worker(net, skb);
  if (next == net.worker().id) return false;
  ++skb.rps_hops;
  if (rps_send(net, skb, next, ifindex)) net.stack().worker(next).wake();
  return true;
}

}  // namespace detail

/// Hands a packet that this worker knows nothing of, and whose checksum is right, on to the next, as it was received.
/// True: the skb is taken. False: all workers have seen it.
template <class Net>
bool rps_hand_on(Net& net, sk_buff& skb) {
  if constexpr (Net::sizes.workers > 1) {
    if (detail::rps_next_worker(net, skb) == net.worker().id) return false;
    skb.push(static_cast<u32>(-skb.network_offset()));
    if (skb.ip_summed != ip_summed::partial) skb.ip_summed = ip_summed::unnecessary;
    skb_dst_drop(skb);  // it is this worker's
    return detail::rps_hand_to_next(net, skb, skb.dev->ifindex);
  }
  return false;
}
/// … a copy of one that its caller still needs. False: nobody is left, or there is no packet for it.
template <class Net>
bool rps_hand_on_copy(Net& net, sk_buff& skb) {
  if constexpr (Net::sizes.workers > 1) {
    if (detail::rps_next_worker(net, skb) == net.worker().id) return false;
    auto const behind = static_cast<u32>(-skb.network_offset());
    skb.push(behind);
    sk_buff* const copy = skb_transfer(net.worker().pool, skb);
    skb.pull(behind);
    if (!copy) return false;
    copy->dev = skb.dev, copy->rps_hops = skb.rps_hops;
    return rps_hand_on(net, *copy);
  }
  return false;
}

/// Sends the frames of other workers' flows away; the others stay in the burst, in order.
template <class Net>
void rps_steer(Net& net, net_device& dev, skb_list& burst) {
  auto& here = net.worker();
  u64 const mask = dev.rps_cpus & net.stack().online_workers();
  skb_list mine;
  u64 kick = 0;
  while (sk_buff* skb = burst.pop_front()) {
    skb->reset_network_header();
    u32 const target = get_rps_cpu(mask, skb_get_hash(net, *skb), here.id);
    if (target == here.id) {
      mine.push_back(*skb);
      continue;
    }
    skb->reset_transport_header();
    skb->tstamp = here.now_real;
    if (detail::rps_send(net, *skb, target)) kick |= u64{1} << target;
  }
  for (; kick != 0; kick &= kick - 1) net.stack().worker(static_cast<u32>(std::countr_zero(kick))).wake();
  burst = mine;
}

namespace detail {
/// A frame that another worker sent, which keeps it.
template <class Worker>
void rps_take(Worker& worker, rps_frame const& frame) {
  auto& net = worker.nets[frame.netns];
  if (!net.alive || net.generation != frame.generation) return;
  net_device* const dev = net.dev_get_by_index(frame.ifindex);
  u32 const hops = frame.skb->rps_hops;
  // Without the device no connection of this worker's goes over it: on to the next.
  bool const passes = hops != 0 && !(dev && dev->running());
  if (!dev && !passes) return;
  sk_buff* const copy = skb_transfer(worker.pool, *frame.skb);
  if (!copy) {
    ++worker.softnet.dropped;
    if (dev) ++dev->stats.rx_dropped;
    return;
  }
  copy->dev = dev, copy->rps_hops = hops;
  if (!passes)
    (void)netif_rx(net, *copy);
  else if (!rps_hand_to_next(net, *copy, frame.ifindex))
    kfree_skb(net, *copy, drop_reason::dev_down);
}
}  // namespace detail

/// Takes back the own frames that other workers are done with, and queues what they sent; how many of the latter.
/// `port` is the worker itself, or one that was removed and whose frames this one handles now. [S10]
template <class Worker>
u32 rps_receive(Worker& worker, Worker& port) {
  u32 received = 0;
  for (u32 w = 0; w < Worker::sizes.workers; ++w) {
    sk_buff* own[32];
    while (auto const n = static_cast<u32>(port.rps.done[w].pop(own, std::size(own)))) {
      for (u32 i = 0; i < n; ++i) consume_skb(*own[i]);
      port.rps.outstanding[w] -= n;
    }
    rps_frame frame;
    for (u32 n = 0; n < Worker::sizes.rps_ring && port.rps.from[w].pop(frame); ++n) {
      ++received;
      ++worker.softnet.received_rps;
      detail::rps_take(worker, frame);
      BUG_ON(!worker.stack().worker(w).rps.done[port.id].push(frame.skb), "RPS ring full");
    }
  }
  return received;
}

}  // namespace netstack
