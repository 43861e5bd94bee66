// SPDX-License-Identifier: BSL-1.0
// Decides: what becomes of the frames of a worker that is removed: those in its backlog, its completion queue and its
// transmit queues move to another worker, which also answers for its rings from then on. Nothing that was accepted is
// lost. Its queues of the interfaces are closed, so an interface with several leaves the flows to those that remain.
// Frames stay in the pool they came from: it is the heir's to free into, since the removed worker never runs again.
// [S10]
// called by stack.remove_worker()
// Linux: net/core/dev.c (dev_cpu_dead)
#pragma once
#include "netstack/core/netdev.hpp"

namespace netstack {

namespace detail {

/// The heir's slice of the device that a frame of the removed worker names; null if it has none, or it is down.
template <class Worker>
net_device* heirs_device(Worker& heir, net_device const& dev) {
  net_device* const own = heir.nets[dev.netns].dev_get_by_index(dev.ifindex);
  return own && own->running() ? own : nullptr;
}

template <class Worker>
void migrate_backlog(Worker& dead, Worker& heir) {
  for (sk_buff_head* queue : {&dead.softnet.process_queue, &dead.softnet.input_pkt_queue})
    while (sk_buff* skb = queue->dequeue()) {
      auto& net = heir.nets[skb->dev->netns];
      if (net_device* dev = heirs_device(heir, *skb->dev)) {
        skb->dev = dev;
        heir.softnet.input_pkt_queue.queue_tail(*skb);  // past its limit if need be: it was accepted
      } else {
        kfree_skb(net, *skb, drop_reason::dev_down);
      }
    }
  if (!heir.softnet.input_pkt_queue.empty()) napi_schedule(heir.softnet, heir.softnet.backlog);
}

template <class Worker>
void migrate_tx_queues(Worker& heir, net_device& from) {
  auto& net = heir.nets[from.netns];
  net_device* const dev = heirs_device(heir, from);
  for (u16 i = 0; dev && i < max_tx_queues; ++i) {
    netdev_queue& txq = dev->tx[i < dev->real_num_tx_queues ? i : 0];
    if (from.tx[i].qdisc.empty()) continue;
    while (sk_buff* skb = from.tx[i].qdisc.dequeue()) {
      skb->dev = dev;
      txq.qdisc.queue_tail(*skb);
    }
    if (!txq.stopped) netif_schedule_queue(net, txq);
  }
}

}  // namespace detail

/// On the heir's thread, after the removed worker's has ended.
template <class Worker>
void dev_cpu_dead(Worker& dead, Worker& heir) {
  detail::migrate_backlog(dead, heir);
  heir.softnet.completion_queue.splice(dead.softnet.completion_queue);
  if (!heir.softnet.completion_queue.empty()) raise_softirq(heir.softnet, softnet_data::net_tx);
  for (auto& net : dead.nets) {
    if (!net.alive) continue;
    for (auto& dev : net.dev_base) {
      detail::migrate_tx_queues(heir, dev);
      dev_close(net, dev);
    }
  }
}

}  // namespace netstack
