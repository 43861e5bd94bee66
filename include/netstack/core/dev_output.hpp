// SPDX-License-Identifier: BSL-1.0
// Decides: how a frame leaves. Taps see it as PACKET_OUTGOING; a driver that answers busy gets it again, in order, when
// its queue is rerun: nothing is lost while the queue has room. [S61] [S72] [S76]
// tx: called by core/neighbour → calls Net::netdev_ops[dev.driver].ndo_start_xmit
// Linux: net/core/dev.c (dev_queue_xmit, dev_hard_start_xmit), net/sched/sch_generic.c
#pragma once
#include "netstack/core/dev_input.hpp"
#include "netstack/registry/netdev_ops.hpp"

namespace netstack {

template <class Net>
void netif_schedule(Net& net, net_device& dev) {
  net.worker().schedule_output(dev);
}

/// Lets a stopped queue go on.
template <class Net>
void netif_wake_queue(Net& net, net_device& dev) {
  dev.state &= ~netdev_state::xoff;
  if (!dev.qdisc.empty()) netif_schedule(net, dev);
}

/// Offers the queued frames to the driver until it is busy.
template <class Net>
void qdisc_run(Net& net, net_device& dev) {
  auto const& ops = Net::netdev_ops[dev.driver];
  while (sk_buff* skb = dev.qdisc.peek()) {
    if (netif_queue_stopped(dev)) break;
    dev.qdisc.unlink(*skb);
    u32 const len = skb->len;
    if (ops.ndo_start_xmit(net, dev, *skb, !dev.qdisc.empty()) == netdev_tx::busy) {
      dev.qdisc.queue_head(*skb);
      netif_schedule(net, dev);
      break;
    }
    ++dev.stats.tx_packets;
    dev.stats.tx_bytes += len;
  }
  if (ops.ndo_xmit_flush) ops.ndo_xmit_flush(net, dev);
}

/// Sends a frame with its link header at data. Always takes the skb. `more`: another frame follows in this poll.
/// Errors: network_down (ENETDOWN), no_buffer_space (ENOBUFS: queue full); counted under their drop reasons.
template <class Net>
result<void> dev_queue_xmit(Net& net, sk_buff& skb, bool more = false) {
  net_device& dev = *skb.dev;
  if (!dev.running() || !dev.carrier_ok()) [[unlikely]] {
    ++dev.stats.tx_dropped;
    kfree_skb(net, skb, dev.running() ? drop_reason::dev_ready : drop_reason::dev_down);
    return failure{std::errc::network_down};
  }
  if constexpr (!Net::ptype_all.empty()) {
    pkt_type const was = std::exchange(skb.pkt_type, pkt_type::outgoing);
    dev_queue_xmit_nit(net, skb);
    skb.pkt_type = was;
  }
  auto const& ops = Net::netdev_ops[dev.driver];
  if (dev.qdisc.empty() && !netif_queue_stopped(dev)) [[likely]] {
    u32 const len = skb.len;
    if (ops.ndo_start_xmit(net, dev, skb, more) == netdev_tx::ok) [[likely]] {
      ++dev.stats.tx_packets;
      dev.stats.tx_bytes += len;
      return {};
    }
  }
  if (dev.qdisc.qlen() >= dev.tx_queue_len) {
    ++dev.stats.tx_dropped;
    kfree_skb(net, skb, drop_reason::dev_tx_queue_full);
    return failure{std::errc::no_buffer_space};
  }
  dev.qdisc.queue_tail(skb);
  netif_schedule(net, dev);
  return {};
}

}  // namespace netstack
