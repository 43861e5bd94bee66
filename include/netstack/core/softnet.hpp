// SPDX-License-Identifier: BSL-1.0
// Decides: a worker's receive and transmit work, and how fair it is. One softnet_data per worker, on its own cache
// lines: the poll list (round-robin by NAPI weight, within a packet and a time budget), the backlog that netif_rx
// fills, the completion queue and the stalled transmit queues. [S59] [S60] [S61] [S62] [S63] [S65] [S66] [S79] rx:
// called by worker.poll() → ndo_poll of each scheduled device → netif_receive_skb_list Linux: net/core/dev.c
// (net_rx_action, process_backlog, net_tx_action, napi_schedule)
#pragma once
#include "netstack/core/dev_input.hpp"
#include "netstack/core/dev_output.hpp"
#include "netstack/core/net_device.hpp"

namespace netstack {

using napi_list = boost::intrusive::list<napi_struct>;

struct alignas(cache_line) softnet_data {
  napi_list poll_list;
  sk_buff_head input_pkt_queue;  ///< netif_rx appends here
  sk_buff_head process_queue;    ///< what process_backlog works on
  napi_struct backlog;
  skb_list completion_queue;  ///< sent frames to free
  net_device* output_queue = nullptr;
  u8 pending = 0;       ///< raised softirqs
  u32 dev_weight = 64;  ///< net/core/dev_weight
  u32 netdev_budget = 300;
  u64 netdev_budget_ns = 2'000'000;
  u32 netdev_max_backlog = 1000;
  counter processed, dropped, time_squeeze, received_rps, flow_limit_count, backlog_polls;
  static constexpr u8 net_tx = 1, net_rx = 2;
};

/// Raising twice runs once. [S63]
inline void raise_softirq(softnet_data& sd, u8 nr) { sd.pending = static_cast<u8>(sd.pending | nr); }

inline bool napi_schedule_prep(napi_struct& n) {
  if (n.state & (napi_struct::sched | napi_struct::disabled)) return false;
  n.state |= napi_struct::sched;
  return true;
}
inline void napi_schedule(softnet_data& sd, napi_struct& n) {
  if (!napi_schedule_prep(n)) return;
  sd.poll_list.push_back(n);
  raise_softirq(sd, softnet_data::net_rx);
}
/// The device has no more work: off the list, re-armed.
inline void napi_complete(softnet_data& sd, napi_struct& n) {
  if (n.is_linked()) sd.poll_list.erase(sd.poll_list.iterator_to(n));
  n.state = static_cast<u8>(n.state & ~napi_struct::sched);
}
inline void napi_enable(napi_struct& n) { n.state = 0; }
inline void napi_disable(softnet_data& sd, napi_struct& n) {
  napi_complete(sd, n);
  n.state = napi_struct::disabled;
}

/// Queues a frame for the backlog of this worker, as if a device had received it; false (dropped, counted) when the
/// backlog is full. Always takes the skb. [S60]
template <class Net>
bool netif_rx(Net& net, sk_buff& skb) {
  auto& sd = net.worker().softnet;
  if (sd.input_pkt_queue.qlen() >= sd.netdev_max_backlog) {
    ++sd.dropped;
    ++skb.dev->stats.rx_dropped;
    kfree_skb(net, skb, drop_reason::cpu_backlog);
    return false;
  }
  sd.input_pkt_queue.queue_tail(skb);
  napi_schedule(sd, sd.backlog);
  return true;
}

}  // namespace netstack
