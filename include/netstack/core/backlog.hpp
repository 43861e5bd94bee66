// SPDX-License-Identifier: BSL-1.0
// Decides: what happens to frames that were received, but not by a driver's poll: loopback's, a tunnel's, another
// worker's. They wait in a queue of their own, bounded by netdev_max_backlog, and take their turn like a device. [S60]
// rx: called by drivers/loopback, core/rps → netif_receive_skb_list
// Linux: net/core/dev.c (netif_rx, enqueue_to_backlog, process_backlog, flush_backlog)
#pragma once
#include "netstack/core/dev_input.hpp"
#include "netstack/core/softnet.hpp"

namespace netstack {

inline bool napi_schedule_prep(napi_struct& n) {
  if (n.state & (napi_struct::sched | napi_struct::disabled)) return false;
  n.state |= napi_struct::sched;
  return true;
}
/// The device has work: it gets a turn in the next net_rx_action. Idempotent; a disabled NAPI is never polled. [S65]
inline void napi_schedule(softnet_data& sd, napi_struct& n) {
  if (!napi_schedule_prep(n)) return;
  sd.poll_list.push_back(n);
  raise_softirq(sd, softnet_data::net_rx);
}

/// Queues a frame, with skb.dev, protocol and pkt_type set, for this worker's backlog; false (dropped, counted) when
/// that is full or the device is down. Always takes the skb.
template <class Net>
bool netif_rx(Net& net, sk_buff& skb) {
  auto& sd = net.worker().softnet;
  bool const running = skb.dev->running();
  if (!running || sd.input_pkt_queue.qlen() >= sd.netdev_max_backlog) [[unlikely]] {
    if (running) ++sd.dropped;
    ++skb.dev->stats.rx_dropped;
    kfree_skb(net, skb, running ? drop_reason::cpu_backlog : drop_reason::dev_down);
    return false;
  }
  sd.input_pkt_queue.queue_tail(skb);
  napi_schedule(sd, sd.backlog);
  return true;
}

/// Delivers up to `budget` waiting frames, as bursts of one device each.
template <class Worker>
u32 process_backlog(Worker& worker, u32 budget) {
  auto& sd = worker.softnet;
  u32 done = 0;
  skb_list burst;
  auto const deliver = [&] {
    if (!burst.empty()) netif_receive_skb_list(worker.nets[burst.first->dev->netns], burst);
  };
  while (done < budget) {
    sk_buff* skb = sd.process_queue.dequeue();
    if (!skb) {
      deliver();  // what this burst causes may be all that comes next
      sd.process_queue.splice_tail(sd.input_pkt_queue);
      if (sd.process_queue.empty()) break;
      continue;
    }
    ++done;
    if (!burst.empty() && burst.first->dev != skb->dev) deliver();
    burst.push_back(*skb);
  }
  deliver();
  sd.processed += done;
  return done;
}

/// The device goes: its frames leave the backlog.
template <class Net>
void flush_backlog(Net& net, net_device& dev) {
  auto& sd = net.worker().softnet;
  for (sk_buff_head* queue : {&sd.input_pkt_queue, &sd.process_queue})
    for (sk_buff* skb = queue->peek(); skb;) {
      sk_buff* const following = queue->after(*skb);
      if (skb->dev == &dev) {
        queue->unlink(*skb);
        kfree_skb(net, *skb, drop_reason::dev_down);
      }
      skb = following;
    }
}

}  // namespace netstack
