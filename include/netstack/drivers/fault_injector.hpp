// SPDX-License-Identifier: BSL-1.0
// Decides: how a wire misbehaves, reproducibly: frames are lost, doubled, damaged, overtaken, delayed, and a link has a
// rate, in each direction by its own measure. The same seed and traffic give the same faults. Frames that are held wait
// in a queue of fixed length, in order of the time they are due; a timer lets them go.
//   register_netdev<drivers::fault_injector<drivers::pipe>>(net, "eth0", {.inner = …, .tx = {.loss = 10'000}});
// Linux: net/sched/sch_netem.c
#pragma once
#include "netstack/base/random.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/drivers/decorator.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/ip.hpp"

namespace netstack::drivers {

/// Probabilities are in parts per million.
struct wire_faults {
  u32 loss = 0;
  u32 duplicate = 0;
  u32 corrupt = 0;  ///< one bit is flipped; a packet of several segments is lost instead
  u32 reorder = 0;  ///< held back by reorder_ns, so that later frames overtake
  u64 reorder_ns = 1'000'000;
  u64 delay_ns = 0;
  u64 jitter_ns = 0;  ///< added at random, up to this; does not reorder
  u64 rate_bps = 0;   ///< bits per second; 0: no limit
  u32 queue = 0;      ///< bytes that may wait for the rate; a frame that finds more is lost; 0: as many as are held
  u32 mark = 0;       ///< … from so many on a datagram is marked with CE, if it takes part in ECN; 0: never
  u32 limit = 256;    ///< frames held at most; then sending is busy, and receiving waits

  [[nodiscard]] constexpr bool any() const {
    return (loss | duplicate | corrupt | reorder) != 0 || (delay_ns | jitter_ns | rate_bps) != 0;
  }
};

struct fault_counts {
  u64 lost = 0, duplicated = 0, corrupted = 0, reordered = 0, overflowed = 0, marked = 0;
};

namespace detail {

/// One direction of the wire.
struct faulty_way {
  wire_faults faults{};
  fault_counts counts{};
  sk_buff_head held;  ///< by due time, earliest first
  u64 free_at = 0;    ///< when the link has sent what was given to it
  u64 last_due = 0;

  struct cb {
    u64 due;
  };
  static u64& due_of(sk_buff& skb) { return skb.cb<cb>().due; }

  [[nodiscard]] bool full() const { return held.qlen() >= faults.limit; }
  [[nodiscard]] bool due(u64 now) { return !held.empty() && due_of(*held.peek()) <= now; }

  static bool chance(prng& random, u32 ppm) { return ppm != 0 && random.below(1'000'000) < ppm; }

  /// Bytes that wait for the rate.
  [[nodiscard]] u64 waiting(u64 now) const {
    return free_at > now ? (free_at - now) / 8 * faults.rate_bps / 1'000'000'000 : 0;
  }
  /// The link's queue has no room for a frame that comes now.
  [[nodiscard]] bool overflows(u64 now) const { return faults.queue != 0 && waiting(now) > faults.queue; }
  [[nodiscard]] bool marks(u64 now) const { return faults.mark != 0 && waiting(now) > faults.mark; }

  /// When a frame that comes now may go on.
  u64 schedule(prng& random, u32 bytes, u64 now) {
    u64 at = now;
    if (faults.rate_bps != 0) {
      free_at = std::max(free_at, now) + u64{bytes} * 8 * 1'000'000'000 / faults.rate_bps;
      at = free_at;
    }
    at += faults.delay_ns;
    if (faults.jitter_ns != 0) at += random.next_u64() % (faults.jitter_ns + 1);
    if (chance(random, faults.reorder)) {
      ++counts.reordered;
      return at + faults.reorder_ns;
    }
    return last_due = std::max(at, last_due);
  }
  void hold(sk_buff& skb, u64 due) {
    due_of(skb) = due;
    sk_buff* before = nullptr;  // the first that is due later
    for (sk_buff* at = held.peek_tail(); at && due_of(*at) > due; at = held.before(*at)) before = at;
    if (before)
      held.insert_before(before, skb);
    else
      held.queue_tail(skb);
  }
  void purge() {
    while (sk_buff* skb = held.dequeue()) consume_skb(*skb);
    free_at = last_due = 0;
  }
};

}  // namespace detail

template <class Inner>
struct fault_injector : driver {
  static constexpr auto full_name = decorate_name<Inner>("fault_injector");
  static constexpr char const* name = full_name.text;
  using cb = detail::faulty_way::cb;
  struct params {
    typename Inner::params inner{};
    wire_faults tx{}, rx{};
    u64 seed = 0;  ///< 0: from the worker's own random numbers
  };
  struct priv {
    typename Inner::priv inner{};
    detail::faulty_way tx, rx;
    prng random{1};
    timer_list timer;
    net_device* dev = nullptr;
  };
  static constexpr std::array<char const*, 12> stats_names{
      "tx_lost", "tx_duplicated", "tx_corrupted", "tx_reordered", "tx_overflowed", "tx_marked",
      "rx_lost", "rx_duplicated", "rx_corrupted", "rx_reordered", "rx_overflowed", "rx_marked"};
  static void get_stats(net_device& dev, std::span<u64> out) {
    auto& p = netdev_priv<fault_injector>(dev);
    std::size_t at = 0;
    for (auto const* c : {&p.tx.counts, &p.rx.counts})
      for (u64 n : {c->lost, c->duplicated, c->corrupted, c->reordered, c->overflowed, c->marked}) out[at++] = n;
  }
  /// What happened so far, to sent and to received frames.
  static fault_counts const& tx_counts(net_device& dev) { return netdev_priv<fault_injector>(dev).tx.counts; }
  static fault_counts const& rx_counts(net_device& dev) { return netdev_priv<fault_injector>(dev).rx.counts; }
  /// The wire changes while it is in use.
  static void set_faults(net_device& dev, wire_faults const& tx, wire_faults const& rx) {
    auto& p = netdev_priv<fault_injector>(dev);
    p.tx.faults = tx, p.rx.faults = rx;
  }

  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool more) {
    auto& p = netdev_priv<fault_injector>(dev);
    auto& way = p.tx;
    if (!way.faults.any() && way.held.empty())
      return Inner::template netdev_ops<Net>.ndo_start_xmit(net, dev, skb, more);
    if (way.full()) return netdev_tx::busy;
    sk_buff* sent = &skb;
    if (damage(p, way, sent, net.worker().now, true)) {
      u64 const due = way.schedule(p.random, sent->len, net.worker().now);
      if (way.chance(p.random, way.faults.duplicate))
        if (sk_buff* twin = skb_clone(*sent)) {
          ++way.counts.duplicated;
          way.hold(*twin, due);
        }
      way.hold(*sent, due);
    }
    send_due(net, dev);
    return netdev_tx::ok;
  }

  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& p = netdev_priv<fault_injector>(dev);
    auto& way = p.rx;
    auto* const inner_poll = Inner::template netdev_ops<Net>.ndo_poll;
    if (!way.faults.any() && way.held.empty()) return inner_poll(net, dev, budget, rx);
    u64 const now = net.worker().now;
    u32 const due = receive_due(way, now, budget, rx);
    skb_list burst;
    u32 const room = std::min(budget - due, way.full() ? 0 : way.faults.limit - way.held.qlen());
    u32 const work = inner_poll(net, dev, room, burst);
    while (sk_buff* skb = burst.pop_front()) {
      if (!damage(p, way, skb, now, false)) continue;
      u64 const when = way.schedule(p.random, skb->len, now);
      if (way.chance(p.random, way.faults.duplicate))
        if (sk_buff* twin = skb_clone(*skb)) {
          ++way.counts.duplicated;
          way.hold(*twin, when);
        }
      way.hold(*skb, when);
    }
    u32 const done = due + receive_due(way, now, budget - due, rx);
    arm_timer(net, p);
    return std::min(budget, std::max(done, work));
  }
  template <class Net>
  static u32 complete(Net& net, net_device& dev) {
    auto* inner = Inner::template netdev_ops<Net>.ndo_tx_complete;
    u32 const n = inner ? inner(net, dev) : 0;
    if (!netdev_priv<fault_injector>(dev).tx.held.empty()) send_due(net, dev);
    return n;
  }
  template <class Net>
  static bool arm(Net& net, net_device& dev) {
    auto* inner = Inner::template netdev_ops<Net>.ndo_arm;
    bool const work = inner && inner(net, dev);
    return netdev_priv<fault_injector>(dev).rx.due(net.worker().now) || work;
  }
  template <class Net>
  static void stop(Net& net, net_device& dev) {
    auto& p = netdev_priv<fault_injector>(dev);
    net.worker().timers.del_timer(p.timer);
    p.tx.purge();
    p.rx.purge();
    Inner::template netdev_ops<Net>.ndo_stop(net, dev);
  }

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops = [] {
    auto ops = Inner::template netdev_ops<Net>;
    ops.ndo_stop = stop<Net>;
    ops.ndo_start_xmit = xmit<Net>;
    ops.ndo_xmit_list = nullptr;
    ops.ndo_poll = poll<Net>;
    ops.ndo_tx_complete = complete<Net>;
    ops.ndo_arm = arm<Net>;
    return ops;
  }();
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool = detail::decorated_stats<fault_injector, Inner, Net>::ops();

  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& args) {
    detail::check_layout<fault_injector>(dev);
    auto& p = netdev_priv<fault_injector>(dev);
    set_faults(dev, args.tx, args.rx);
    p.random = prng{args.seed ? args.seed : net.worker().random.next_u64()};
    p.dev = &dev;
    p.timer.function = [](void* ctx, timer_list& timer) {
      auto& self = from_timer<&priv::timer>(timer);
      auto& worker = *static_cast<std::remove_reference_t<decltype(std::declval<Net&>().worker())>*>(ctx);
      auto& slice = worker.nets[self.dev->netns];
      send_due(slice, *self.dev);
      napi_schedule(worker.softnet, self.dev->napi);
    };
    return Inner::probe(net, dev, args.inner);
  }
  template <class Net>
  static void remove(Net& net, net_device& dev) {
    Inner::remove(net, dev);
  }

 private:
  static constexpr u64 busy_retry_ns = 50'000;

  /// A copy, if others see the frame; false: there is no room for one, and it is gone.
  static bool take_own(detail::faulty_way& way, sk_buff*& skb) {
    sk_buff* const own = skb_unshare(*skb);
    if (own) return skb = own, true;
    ++way.counts.lost;
    return false;
  }
  /// RFC 3168 §5: congestion was experienced. False: the frame is gone.
  static bool mark_ce(detail::faulty_way& way, sk_buff*& skb, bool sent) {
    u32 const at = sent ? static_cast<u32>(skb->network_offset()) : 0;
    if (skb->protocol != be16{eth_p::ip} || skb->headlen() < at + sizeof(iphdr)) return true;
    u8 const ecn = reinterpret_cast<iphdr const*>(skb->data + at)->tos & inet_ecn::mask;
    if (ecn == inet_ecn::not_ect || ecn == inet_ecn::ce) return true;
    if (!take_own(way, skb)) return false;
    auto& iph = *reinterpret_cast<iphdr*>(skb->data + at);
    auto const word = [&] { return be16{static_cast<u16>(iph.ver_ihl << 8 | iph.tos)}; };
    be16 const before = word();
    iph.tos |= inet_ecn::ce;
    csum_replace2(iph.check, before, word());
    ++way.counts.marked;
    return true;
  }
  /// A wire damages what is on it, and there the sum is written: one that was left open is finished first, or what it
  /// is told from would be damaged with it. False: of several segments in one packet there is none to finish.
  static bool finish_sum(sk_buff& skb) {
    if (skb.ip_summed == ip_summed::partial) return !skb_is_gso(skb) && skb_checksum_help(skb);
    skb.ip_summed = ip_summed::none;  // nor has anybody verified what it is now
    return true;
  }
  /// Loses or corrupts the frame; false: it is gone. It may be shared, also one that a pipe's other end handed over, so
  /// it is damaged in a copy.
  static bool damage(priv& p, detail::faulty_way& way, sk_buff*& skb, u64 now, bool sent) {
    if (way.overflows(now)) {
      ++way.counts.overflowed;
      consume_skb(*skb);
      return false;
    }
    if (way.marks(now) && !mark_ce(way, skb, sent)) return false;
    bool gone = way.chance(p.random, way.faults.loss);
    if (!gone && way.chance(p.random, way.faults.corrupt)) {
      if (!take_own(way, skb)) return false;
      gone = !finish_sum(*skb);
      if (u32 const bytes = skb->headlen(); bytes != 0 && !gone) {
        u32 const bit = p.random.below(bytes * 8);
        skb->data[bit / 8] = static_cast<u8>(skb->data[bit / 8] ^ 1u << bit % 8);
        ++way.counts.corrupted;
      }
    }
    if (!gone) return true;
    ++way.counts.lost;
    consume_skb(*skb);
    return false;
  }

  static u32 receive_due(detail::faulty_way& way, u64 now, u32 budget, skb_list& rx) {
    u32 n = 0;
    for (; n < budget && way.due(now); ++n) rx.push_back(*way.held.dequeue());
    return n;
  }

  template <class Net>
  static void send_due(Net& net, net_device& dev) {
    auto& p = netdev_priv<fault_injector>(dev);
    auto const& inner = Inner::template netdev_ops<Net>;
    u64 const now = net.worker().now;
    bool sent = false, busy = false;
    while (!busy && p.tx.due(now)) {
      sk_buff* skb = p.tx.held.dequeue();
      busy = inner.ndo_start_xmit(net, dev, *skb, true) == netdev_tx::busy;
      if (busy) p.tx.held.queue_head(*skb);
      sent = sent || !busy;
    }
    if (sent && inner.ndo_xmit_flush) inner.ndo_xmit_flush(net, dev);
    arm_timer(net, p, busy ? now + busy_retry_ns : 0);
  }

  /// Wakes the worker when the next frame is due, at `least` at the earliest.
  template <class Net>
  static void arm_timer(Net& net, priv& p, u64 least = 0) {
    u64 next = ~u64{0};
    if (!p.tx.held.empty()) next = std::max(least, p.tx.due_of(*p.tx.held.peek()));
    if (!p.rx.held.empty()) next = std::min(next, p.rx.due_of(*p.rx.held.peek()));
    if (next != ~u64{0}) net.worker().timers.mod_timer(p.timer, next);
  }
};

}  // namespace netstack::drivers
