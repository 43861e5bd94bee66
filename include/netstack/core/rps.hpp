// SPDX-License-Identifier: BSL-1.0
// Decides: how received flows are spread over the workers when an interface has fewer queues than there are workers.
// The worker that received a frame picks another by the flow's hash, so a flow stays on one worker, in order. Frames
// cross by a ring per pair of workers; the receiver copies them into its own pool and gives the originals back by a
// second ring, so no pool is ever touched by two threads. [S59] [S64]
// rx: called by core/napi (rps_steer) and worker.poll() (rps_receive) → core/backlog netif_rx
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

template <class Net>
bool rps_send(Net& net, sk_buff& skb, u32 target) {
  auto& here = net.worker();
  if (here.rps.outstanding[target] == Net::sizes.rps_ring) {
    ++here.softnet.dropped;
    ++skb.dev->stats.rx_dropped;
    kfree_skb(net, skb, drop_reason::cpu_backlog);
    return false;
  }
  ++here.rps.outstanding[target];
  rps_frame const frame{&skb, skb.dev->ifindex, net.index, net.generation};
  BUG_ON(!net.stack().worker(target).rps.from[here.id].push(frame), "RPS ring full");
  return true;
}

}  // namespace detail

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
      auto& net = worker.nets[frame.netns];
      bool const same = net.alive && net.generation == frame.generation;
      if (net_device* dev = same ? net.dev_get_by_index(frame.ifindex) : nullptr) {
        if (sk_buff* copy = skb_transfer(worker.pool, *frame.skb)) {
          copy->dev = dev;
          (void)netif_rx(net, *copy);
        } else {
          ++worker.softnet.dropped;
          ++dev->stats.rx_dropped;
        }
      }
      BUG_ON(!worker.stack().worker(w).rps.done[port.id].push(frame.skb), "RPS ring full");
    }
  }
  return received;
}

}  // namespace netstack
