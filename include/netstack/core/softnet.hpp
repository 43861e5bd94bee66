// SPDX-License-Identifier: BSL-1.0
// Decides: what a worker keeps of its receive and transmit work: the poll list, the backlog that netif_rx fills, the
// frames that were sent and wait to be freed, the transmit queues that wait to be run. One softnet_data per worker, on
// its own cache lines; nobody else writes to it. [S59]
// rx: core/napi and core/backlog work on it; tx: core/dev_output
// Linux: include/linux/netdevice.h (struct softnet_data), kernel/softirq.c
#pragma once
#include "netstack/base/siphash.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/registry/proto.hpp"
#include "netstack/registry/rx_flow.hpp"

namespace netstack {

struct alignas(cache_line) softnet_data {
  static constexpr u8 net_tx = 1, net_rx = 2;

  napi_list poll_list;                        ///< whose turn it is
  napi_struct* current = nullptr;             ///< whose turn it is just now; null once that device has gone
  u8 pending = 0;                             ///< raised softirqs
  bool in_softirq = false;                    ///< frames are being handled: flushes and departing devices wait
  bool tx_stalled = false;                    ///< the last net_tx_action moved nothing: the drivers are busy
  net_device* flush_list = nullptr;           ///< devices whose ndo_xmit_flush waits for the end of this poll
  netdev_queue* output_queue = nullptr;       ///< transmit queues to run, oldest first [S61]
  netdev_queue* output_queue_tail = nullptr;  ///< the youngest, if there is one
  skb_list completion_queue;                  ///< sent frames to free
  sk_buff_head input_pkt_queue;               ///< netif_rx appends here
  sk_buff_head process_queue;                 ///< what process_backlog works on
  napi_struct backlog;
  napi_instance_list instances;  ///< NAPIs of the devices that are up
  /// Counts what changed that may decide about a received packet: configuration (rtnl), routes, sockets. What was
  /// learned of a flow under another number is forgotten.
  u64 flow_genid = 1;
  u64 route_genid = 1;         ///< the same without sockets: what was learned of ways
  rx_flow_taken flow_taken{};  ///< of the burst that a driver hands up now (core/rx_flow)
  bool flow_wanted = false;    ///< GRO has merged what a driver could know: the next packet comes as it is
  net_device* todo = nullptr;  ///< devices to be freed at the end of this poll
  siphash_key_t hash_key{};    ///< of skb_get_hash: the same in every worker
  proto_memory unaccounted;    ///< of the protos that have no memory of their own
  // --- settings (core/netns_core.hpp) -------------------------------------------------------------------------------
  u32 dev_weight = 64;
  u32 netdev_budget = 300;           ///< frames a poll()
  u64 netdev_budget_ns = 2'000'000;  ///< and the time it may take
  u32 netdev_max_backlog = 1000;     ///< frames in input_pkt_queue
  // --- counters -----------------------------------------------------------------------------------------------------
  counter processed, dropped, time_squeeze, received_rps, flow_limit_count;

  softnet_data() = default;
  softnet_data(softnet_data const&) = delete;
  softnet_data& operator=(softnet_data const&) = delete;
  ~softnet_data() { poll_list.clear(), instances.clear(); }  // a stack may end with work scheduled
};

inline void flow_genid_bump(softnet_data& sd) { ++sd.flow_genid; }
inline void route_genid_bump(softnet_data& sd) { ++sd.route_genid, flow_genid_bump(sd); }

/// Raising twice runs once. [S63]
inline void raise_softirq(softnet_data& sd, u8 nr) { sd.pending = static_cast<u8>(sd.pending | nr); }

}  // namespace netstack
