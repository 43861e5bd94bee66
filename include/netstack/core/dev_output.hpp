// SPDX-License-Identifier: BSL-1.0
// Decides: how a frame leaves. It is made fit for the device, the taps see it as PACKET_OUTGOING, the driver takes it;
// a driver that answers busy gets it again, in order, when its queue is run: nothing is lost while the queue has room.
// [S61] [S72] [S76]
// tx: called by core/neighbour → calls Net::netdev_ops[dev.driver].ndo_start_xmit
// Linux: net/core/dev.c (dev_queue_xmit, dev_hard_start_xmit, net_tx_action), net/sched/sch_generic.c (qdisc_run)
#pragma once
#include "netstack/core/dev_input.hpp"
#include "netstack/core/flow_dissector.hpp"
#include "netstack/core/gso.hpp"
#include "netstack/core/sock_mem.hpp"
#include "netstack/core/timestamping.hpp"
#include "netstack/core/validate_xmit.hpp"
#include "netstack/registry/netdev_ops.hpp"

namespace netstack {

/// The queue is run in the next net_tx_action. Scheduling twice runs once.
template <class Net>
void netif_schedule_queue(Net& net, netdev_queue& txq) {
  auto& sd = net.worker().softnet;
  if (!txq.scheduled) {
    txq.scheduled = true;
    txq.next_sched = nullptr;
    (sd.output_queue ? sd.output_queue_tail->next_sched : sd.output_queue) = &txq;
    sd.output_queue_tail = &txq;
  }
  raise_softirq(sd, softnet_data::net_tx);
}

/// The driver has room again. [S76]
template <class Net>
void netif_tx_wake_queue(Net& net, netdev_queue& txq) {
  txq.stopped = false;
  if (!txq.qdisc.empty()) netif_schedule_queue(net, txq);
}
template <class Net>
void netif_wake_queue(Net& net, net_device& dev) {
  netif_tx_wake_queue(net, dev.tx[0]);
}

/// A driver is done with a sent frame where it may not free it: the next net_tx_action does. [S61]
template <class Net>
void dev_consume_skb_irq(Net& net, sk_buff& skb) {
  auto& sd = net.worker().softnet;
  sd.completion_queue.push_back(skb);
  raise_softirq(sd, softnet_data::net_tx);
}

/// Shows what leaves to every tap, data at the link header. A tap does not hear what its own sockets send. [S82]
template <class Net>
void dev_queue_xmit_nit(Net& net, sk_buff& skb) {
  if constexpr (!Net::ptype_all.empty()) {
    pkt_type const was = std::exchange(skb.pkt_type, pkt_type::outgoing);
    skb.reset_mac_header();
    for (std::size_t i = 0; i < Net::ptype_all.size(); ++i) {
      auto const& pt = Net::ptype_all[i];
      if (!detail::wants(pt, i, *skb.dev) || !detail::tap_active(net, pt)) continue;
      if (skb.sk && pt.id_match && pt.id_match(net, *skb.sk)) continue;
      detail::deliver_clone(net, skb, pt);
    }
    skb.pkt_type = was;
  }
}

/// The queue for the frame's priority, or else for its flow.
template <class Net>
u16 skb_tx_hash(Net& net, net_device const& dev, sk_buff& skb) {
  if (dev.num_tc != 0) return dev.prio_tc_map[skb.priority & 15];
  return static_cast<u16>(reciprocal_scale(skb_get_hash(net, skb), dev.real_num_tx_queues));
}

/// The transmit queue of a frame: what skb.queue_mapping will say. A connected socket stays with its first choice, lest
/// its packets overtake each other, until one says that none is ahead of it (ooo_okay). [S47] [S49]
template <class Net>
u16 netdev_pick_tx(Net& net, net_device& dev, sk_buff& skb) {
  u16 queue;
  if (auto* select = Net::netdev_ops[dev.driver].ndo_select_queue) {
    queue = select(net, dev, skb);
  } else {
    if (skb.sk && skb.sk->sk_tx_queue_mapping < dev.real_num_tx_queues && !skb.ooo_okay)
      return skb.sk->sk_tx_queue_mapping;
    queue = skb_tx_hash(net, dev, skb);
    if (skb.sk && skb.sk->sk_dst_cache) skb.sk->sk_tx_queue_mapping = queue;
  }
  return queue < dev.real_num_tx_queues ? queue : u16{0};
}

namespace detail {

/// ndo_xmit_flush now, or once for all frames of this poll.
template <class Net>
void xmit_flush(Net& net, net_device& dev) {
  auto* flush = Net::netdev_ops[dev.driver].ndo_xmit_flush;
  if (!flush) return;
  auto& sd = net.worker().softnet;
  if (!sd.in_softirq) return flush(net, dev);
  if (dev.flush_pending) return;
  dev.flush_pending = true;
  dev.next_flush = std::exchange(sd.flush_list, &dev);
}

/// Hands a frame to the driver. Inside a poll every frame has `more` behind it, for all the driver knows.
template <class Net>
NETSTACK_INLINE netdev_tx xmit_one(Net& net, net_device& dev, sk_buff& skb, bool more) {
  auto const& ops = Net::netdev_ops.data()[dev.driver];  // by [] g++ 12 takes another composition's array for this one
  u32 const len = skb.len;
  if (ops.ndo_xmit_flush && !more && net.worker().softnet.in_softirq) {
    xmit_flush(net, dev);
    more = true;
  }
  netdev_tx const answer = skb.tx_flags == 0 ? ops.ndo_start_xmit(net, dev, skb, more)  //
                                             : xmit_stamped(net, dev, skb, more);
  if (answer == netdev_tx::ok) [[likely]] {
    ++dev.stats.tx_packets;
    dev.stats.tx_bytes += len;
  }
  return answer;
}

template <class Net>
NETSTACK_COLD result<void> xmit_drop(Net& net, net_device& dev, sk_buff& skb, drop_reason reason, std::errc error) {
  ++dev.stats.tx_dropped;
  kfree_skb(net, skb, reason);
  if (dev.running()) xmit_flush(net, dev);  // frames before it may wait for the last of their burst
  return failure{error};
}

}  // namespace detail

/// Offers waiting frames to the driver until it is busy, at most 64; true if it took any.
template <class Net>
bool qdisc_run(Net& net, netdev_queue& txq) {
  net_device& dev = *txq.dev;
  u32 sent = 0;
  while (!txq.stopped && dev.carrier_ok()) {
    if (sent == 64) {
      if (!txq.qdisc.empty()) netif_schedule_queue(net, txq);
      break;
    }
    sk_buff* skb = txq.qdisc.dequeue();
    if (!skb) break;
    if (!std::exchange(txq.requeued, false)) dev_queue_xmit_nit(net, *skb);
    if (detail::xmit_one(net, dev, *skb, !txq.qdisc.empty() && sent < 63) == netdev_tx::busy) {
      txq.qdisc.queue_head(*skb);
      txq.requeued = true;
      if (!txq.stopped) netif_schedule_queue(net, txq);
      break;
    }
    ++sent;
  }
  return sent != 0;
}

namespace detail {
/// Behind the frames that the driver could not take yet, if there is room.
template <class Net>
NETSTACK_NOINLINE result<void> xmit_enqueue(Net& net, netdev_queue& txq, sk_buff& skb) {
  net_device& dev = *txq.dev;
  if (txq.qdisc.qlen() >= dev.tx_queue_len)
    return xmit_drop(net, dev, skb, drop_reason::dev_tx_queue_full, std::errc::no_buffer_space);
  txq.qdisc.queue_tail(skb);
  if (!txq.stopped) netif_schedule_queue(net, txq);
  xmit_flush(net, dev);
  return {};
}
}  // namespace detail

namespace detail {
/// A super-segment for a device that does not cut: its segments are sent in its place.
template <class Net>
NETSTACK_NOINLINE result<void> xmit_segments(Net& net, sk_buff& skb) {
  net_device& dev = *skb.dev;
  auto pieces = skb_gso_segment(net, skb, dev.features);
  if (!pieces) {
    bool const no_frames = pieces.error() == std::errc::no_buffer_space;
    return xmit_drop(net, dev, skb, no_frames ? drop_reason::nomem : drop_reason::pkt_too_big,
                     no_frames ? std::errc::no_buffer_space : std::errc::message_size);
  }
  consume_skb(skb);
  u32 const all = pieces->count;
  if (dev_queue_xmit_list(net, *pieces) != all) return failure{std::errc::no_buffer_space};
  return {};
}
}  // namespace detail

/// dev_queue_xmit, as part of its caller: for who sends most.
template <class Net>
NETSTACK_INLINE result<void> __dev_queue_xmit(Net& net, sk_buff& skb, bool more = false) {
  net_device& dev = *skb.dev;
  if (!dev.running() || !dev.carrier_ok()) [[unlikely]]
    return detail::xmit_drop(net, dev, skb, dev.running() ? drop_reason::dev_ready : drop_reason::dev_down,
                             std::errc::network_down);
  if (!skb_is_plain(skb, dev)) [[unlikely]] {
    if (skb_is_gso(skb) && !(dev.features & netif_f::gso)) return detail::xmit_segments(net, skb);
    if (auto const bad = validate_xmit_skb(skb, dev); bad != drop_reason::not_specified)
      return detail::xmit_drop(net, dev, skb, bad,
                               bad == drop_reason::pkt_too_big ? std::errc::message_size : std::errc::no_buffer_space);
  }
  if (skb.tx_flags & skbtx::sched_tstamp) [[unlikely]]
    __skb_tstamp_tx(net, skb, scm_tstamp::sched);
  if (skb.dst) skb_dst_drop(skb);
  netdev_queue* txq = &dev.tx[0];
  if (dev.real_num_tx_queues != 1) [[unlikely]] {
    skb.queue_mapping = netdev_pick_tx(net, dev, skb);
    txq = &dev.tx[skb.queue_mapping];
  }
  if (txq->qdisc.empty() && !txq->stopped) [[likely]] {
    dev_queue_xmit_nit(net, skb);
    if (detail::xmit_one(net, dev, skb, more) == netdev_tx::ok) [[likely]]
      return {};
    txq->requeued = true;
  }
  return detail::xmit_enqueue(net, *txq, skb);
}
/// Sends a frame with its link header at data. Always takes the skb. `more`: another frame follows at once.
/// Errors: network_down (not up, or no carrier), message_size (longer than the MTU), no_buffer_space (queue full);
/// each is counted under its drop reason.
template <class Net>
result<void> dev_queue_xmit(Net& net, sk_buff& skb, bool more = false) {
  return __dev_queue_xmit(net, skb, more);
}

namespace detail {

/// A frame that the driver can have as it is, without a look at its time of departure.
NETSTACK_INLINE bool xmit_is_plain(sk_buff const& skb, net_device const& dev) {
  return skb.dev == &dev && skb.tx_flags == 0 && skb_is_plain(skb, dev);
}

/// Nothing stands between the device's driver and frames that it can have as they are: nothing that appears only with a
/// new route_genid …
inline bool xmit_way_is_up(net_device const& dev) {
  return dev.running() && dev.carrier_ok() && dev.real_num_tx_queues == 1;
}
/// … and nothing that may at any time.
template <class Net>
bool xmit_way_is_quiet(Net& net, net_device const& dev) {
  return !taps_listen(net) && dev.tx[0].qdisc.empty() && !dev.tx[0].stopped;
}
template <class Net>
bool xmit_way_is_free(Net& net, net_device const& dev) {
  return xmit_way_is_up(dev) && xmit_way_is_quiet(net, dev);
}

/// Frames of one device whose way is free, without a dst: those that the driver has no room for wait behind each other.
/// How many were taken; the list is left empty.
template <class Net>
u32 xmit_list(Net& net, net_device& dev, skb_list& frames, u64 bytes) {
  auto const& ops = Net::netdev_ops[dev.driver];
  netdev_queue& txq = dev.tx[0];
  bool const later = ops.ndo_xmit_flush && net.worker().softnet.in_softirq;
  if (later) xmit_flush(net, dev);
  u32 const all = frames.count;
  if (ops.ndo_xmit_list) {
    ops.ndo_xmit_list(net, dev, frames, later);
  } else {
    while (sk_buff* skb = frames.first) {
      sk_buff* const following = skb->next;
      skb->next = nullptr;
      if (txq.stopped || ops.ndo_start_xmit(net, dev, *skb, later || following) != netdev_tx::ok) [[unlikely]] {
        skb->next = following;
        break;
      }
      frames.first = following;
      --frames.count;
    }
  }
  u32 taken = all - frames.count;
  dev.stats.tx_packets += taken;
  if (frames.count != 0) [[unlikely]] {
    txq.requeued = true;
    while (sk_buff* skb = frames.pop_front()) {
      bytes -= skb->len;
      taken += xmit_enqueue(net, txq, *skb).has_value();
    }
  }
  dev.stats.tx_bytes += bytes;
  frames = {};
  return taken;
}

/// Frames from the front of a burst that go straight to the driver of their one device: what dev_queue_xmit would ask
/// of each is asked once. How many were taken; the rest is for dev_queue_xmit.
template <class Net>
u32 xmit_run(Net& net, skb_list& burst) {
  net_device& dev = *burst.first->dev;
  if (!xmit_way_is_free(net, dev)) return 0;
  skb_list run;
  u64 bytes = 0;
  while (burst.first && xmit_is_plain(*burst.first, dev)) {
    sk_buff& skb = *burst.pop_front();
    skb_dst_drop(skb);
    bytes += skb.len;
    run.push_back(skb);
  }
  return run.empty() ? 0 : xmit_list(net, dev, run, bytes);
}

}  // namespace detail

/// Sends a burst, of any devices, with one flush per device where they follow each other; how many frames were taken.
template <class Net>
u32 dev_queue_xmit_list(Net& net, skb_list& burst) {
  u32 taken = burst.empty() ? 0 : detail::xmit_run(net, burst);
  while (sk_buff* skb = burst.pop_front()) {
    bool const more = burst.first && burst.first->dev == skb->dev;
    taken += dev_queue_xmit(net, *skb, more).has_value();
  }
  return taken;
}

/// Sends frames of one device that are finished, linear, not too long, without a dst, `bytes` in all: how many were
/// taken. The list is left empty.
template <class Net>
u32 dev_xmit_finished_list(Net& net, net_device& dev, skb_list& frames, u64 bytes) {
  if (detail::xmit_way_is_free(net, dev)) [[likely]]
    return detail::xmit_list(net, dev, frames, bytes);
  return dev_queue_xmit_list(net, frames);
}

/// One of them, while nothing stands between it and the driver, as part of its caller. Errors: dev_queue_xmit's.
template <class Net>
NETSTACK_INLINE result<void> dev_xmit_finished(Net& net, net_device& dev, sk_buff& skb) {
  if (detail::xmit_one(net, dev, skb, false) == netdev_tx::ok) [[likely]]
    return {};
  dev.tx[0].requeued = true;
  return detail::xmit_enqueue(net, dev.tx[0], skb);
}

/// Frees what was sent, and runs the queues that wait. How many frames that moved.
template <class Worker>
NETSTACK_NOINLINE u32 net_tx_action(Worker& worker) {
  auto& sd = worker.softnet;
  sd.pending = static_cast<u8>(sd.pending & ~softnet_data::net_tx);
  u32 const freed = sd.completion_queue.count;
  consume_sent_list(worker.pool, sd.completion_queue);
  netdev_queue* txq = std::exchange(sd.output_queue, nullptr);
  bool const queues = txq != nullptr;
  u32 moved = 0;
  while (txq) {
    netdev_queue* following = std::exchange(txq->next_sched, nullptr);
    txq->scheduled = false;
    auto& net = worker.nets[txq->dev->netns];
    using Net = std::remove_reference_t<decltype(net)>;
    if (auto* complete = Net::netdev_ops[txq->dev->driver].ndo_tx_complete) complete(net, *txq->dev);
    moved += qdisc_run(net, *txq);
    txq = following;
  }
  sd.tx_stalled = queues && moved == 0;
  return freed + moved;
}

/// The kicks that were held back during a poll.
template <class Worker>
NETSTACK_NOINLINE void net_flush_action(Worker& worker) {
  while (net_device* dev = worker.softnet.flush_list) {
    worker.softnet.flush_list = std::exchange(dev->next_flush, nullptr);
    dev->flush_pending = false;
    auto& net = worker.nets[dev->netns];
    if (dev->running()) std::remove_reference_t<decltype(net)>::netdev_ops[dev->driver].ndo_xmit_flush(net, *dev);
  }
}

}  // namespace netstack
