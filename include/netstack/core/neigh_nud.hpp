// SPDX-License-Identifier: BSL-1.0
// Decides: whether a next hop's link address is known, trusted, doubted or asked for: neighbour unreachability
// detection. Packets that wait for an answer are queued within unres_qlen_bytes, the oldest dropped first.
// [S125] [S126]
//
//   none → incomplete → reachable → stale → delay → probe → failed        confirmed again: reachable
//
// tx: called by ipv4/ip_output with a neighbour → calls core/dev_output dev_queue_xmit; the timer asks and gives up
// Linux: net/core/neighbour.c; RFC 4861 §7.3 (the states), RFC 1122 §2.3.2
#pragma once
#include "netstack/core/dst.hpp"
#include "netstack/core/neighbour.hpp"

namespace netstack {

namespace detail {

/// Sends what waited, oldest first, or gives each to the family's error report.
template <class Net>
void neigh_drain(Net& net, neighbour& n, bool resolved);

template <class Net>
void neigh_set_timer(Net& net, neighbour& n, u64 when) {
  net.worker().timers.mod_timer(n.timer, when);
}

/// Asks once more.
template <class Net>
void neigh_probe(Net& net, neighbour& n) {
  ++n.probes;
  neigh_tbl<Net>(n).solicit(net, n, n.arp_queue.peek_tail());
}

inline s32 neigh_max_probes(neighbour const& n, neigh_parms const& p) {
  return p.ucast_probes + p.app_probes + (n.nud_state & nud::probe ? p.mcast_reprobes : p.mcast_probes);
}

template <class Net>
void neigh_invalidate(Net& net, neighbour& n) {
  ++neigh_tbl<Net>(n).cache(net).res_failed;
  n.updated = net.worker().now;
  neigh_drain(net, n, false);
}

}  // namespace detail

/// The states' clock: confirmed entries age, doubted ones are asked, unanswered ones fail.
template <class Net>
void neigh_timer_handler(Net& net, neighbour& n) {
  neigh_parms const* p = detail::neigh_tbl<Net>(n).parms(net, *n.dev);
  if (!p || !(n.nud_state & nud::in_timer)) return;
  u64 const now = net.worker().now;
  u64 const due = n.timer.expires;  // what was meant; run() may be late
  u64 next = now + p->retrans_time;
  if (n.nud_state & nud::reachable) {
    // RFC 4861 §7.3.3: no confirmation for reachable_time: stale, or delay if it was used just now.
    if (due < n.confirmed + p->reachable_time) {
      next = n.confirmed + p->reachable_time;
    } else if (due <= n.used + p->delay_probe_time) {
      n.nud_state = nud::delay;
      n.updated = now;
      next = now + p->delay_probe_time;
    } else {
      n.nud_state = nud::stale;
      n.updated = now;
    }
  } else if (n.nud_state & nud::delay) {
    if (due <= n.confirmed + p->delay_probe_time) {
      n.nud_state = nud::reachable;
      n.updated = now;
      next = n.confirmed + p->reachable_time;
    } else {
      n.nud_state = nud::probe;
      n.updated = now;
      n.probes = 0;
    }
  }
  if ((n.nud_state & (nud::incomplete | nud::probe)) && static_cast<s32>(n.probes) >= detail::neigh_max_probes(n, *p)) {
    n.nud_state = nud::failed;
    detail::neigh_invalidate(net, n);
    return;
  }
  if (n.nud_state & nud::in_timer) detail::neigh_set_timer(net, n, std::max(next, now + 1));
  if (n.nud_state & (nud::incomplete | nud::probe)) detail::neigh_probe(net, n);
}

/// Before a packet goes to n: true if it may be sent now. Else it was queued, or dropped and counted: the skb is taken.
template <class Net>
bool neigh_event_send(Net& net, neighbour& n, sk_buff* skb) {
  u64 const now = net.worker().now;
  n.used = now;
  if (n.nud_state & (nud::connected | nud::delay | nud::probe)) return true;
  neigh_parms const* p = detail::neigh_tbl<Net>(n).parms(net, *n.dev);
  if (n.dead || !p) {
    if (skb) kfree_skb(net, *skb, drop_reason::neigh_dead);
    return false;
  }
  if (n.nud_state & nud::stale) {
    n.nud_state = nud::delay;
    n.updated = now;
    detail::neigh_set_timer(net, n, now + p->delay_probe_time);
    return true;
  }
  bool ask = false;
  if (!(n.nud_state & nud::incomplete)) {
    if (p->mcast_probes + p->app_probes == 0) {
      n.nud_state = nud::failed;
      n.updated = now;
      if (skb) kfree_skb(net, *skb, drop_reason::neigh_failed);
      return false;
    }
    n.nud_state = nud::incomplete;
    n.probes = static_cast<u32>(p->ucast_probes);  // nothing is known: only broadcast makes sense
    n.updated = now;
    detail::neigh_set_timer(net, n, now + p->retrans_time);
    ask = true;
  }
  sk_buff_head victims;
  if (skb) {
    auto& cache = detail::neigh_tbl<Net>(n).cache(net);
    // RFC 1122 §2.3.2.2: keep at least the latest packet; the oldest makes room.
    while (n.arp_queue_len_bytes + skb->truesize > p->queue_len_bytes && !n.arp_queue.empty()) {
      sk_buff* oldest = n.arp_queue.dequeue();
      n.arp_queue_len_bytes -= oldest->truesize;
      ++cache.unres_discards;
      victims.queue_tail(*oldest);
    }
    skb_dst_force(*skb);
    n.arp_queue.queue_tail(*skb);
    n.arp_queue_len_bytes += skb->truesize;
  }
  if (ask) detail::neigh_probe(net, n);
  detail::neigh_free_queue(net, victims, drop_reason::neigh_queuefull);  // last: n may be gone after it
  return false;
}

namespace detail {
NETSTACK_INLINE void neigh_write_header(u8* at, neighbour const& n, be16 protocol) {
  static_assert(offsetof(ethhdr, h_proto) == sizeof(neigh_addrs));
  std::memcpy(at, static_cast<neigh_addrs const*>(&n), sizeof(neigh_addrs));
  reinterpret_cast<ethhdr*>(at)->h_proto = protocol;
}
/// The link header towards n, in front of data at the network header.
NETSTACK_INLINE void neigh_push_header(sk_buff& skb, neighbour const& n, net_device& dev) {
  skb.dev = &dev;
  if (dev.hard_header_len == 0) return;
  neigh_write_header(skb.push(static_cast<u32>(eth_hlen)), n, skb.protocol);
  skb.reset_mac_header();
}

/// The link header towards a next hop, ready for every packet of a burst (Linux's hh_cache): Ethernet's, with two bytes
/// in front that make it two words, or none at all.
struct hh_cache {
  u64 words[2]{};
  u16 len = 0;
  hh_cache() = default;
  hh_cache(neighbour const& n, net_device const& dev, u16 protocol) : len(dev.hard_header_len) {
    if (len == 0) return;
    ethhdr const eth{.h_dest = n.ha, .h_source = dev.dev_addr, .h_proto = be16{protocol}};
    std::memcpy(reinterpret_cast<u8*>(words) + sizeof words - sizeof eth, &eth, sizeof eth);
  }
  /// Bytes in front of the network header that write() needs, if there is a link header (len).
  static constexpr u32 room = sizeof words;
  NETSTACK_INLINE void write(u8* network_header) const {
    std::memcpy(network_header - sizeof words, words, sizeof words);
  }
};
static_assert(sizeof(ethhdr) <= hh_cache::room);

}  // namespace detail

/// neigh_output to a next hop whose link address is known for sure.
template <class Net>
NETSTACK_INLINE result<void> neigh_connected_output(Net& net, sk_buff& skb, neighbour& n) {
  n.used = net.worker().now;
  detail::neigh_push_header(skb, n, *n.dev);
  return __dev_queue_xmit(net, skb);
}
/// Sends a packet, data at the network header, to a next hop. Always takes the skb. Waiting for an answer is no error.
template <class Net>
result<void> neigh_output(Net& net, sk_buff& skb, neighbour& n) {
  if (!(n.nud_state & nud::connected) && !neigh_event_send(net, n, &skb)) [[unlikely]]
    return {};
  return neigh_connected_output(net, skb, n);
}

namespace detail {
template <class Net>
void neigh_drain(Net& net, neighbour& n, bool resolved) {
  neigh_hold(n);  // a report may lead to its removal
  auto const& tbl = neigh_tbl<Net>(n);
  auto& cache = tbl.cache(net);
  for (u32 left = n.arp_queue.qlen(); left > 0; --left) {
    sk_buff* skb = n.arp_queue.dequeue();
    if (!skb) break;
    n.arp_queue_len_bytes -= skb->truesize;
    if (resolved)
      (void)neigh_output(net, *skb, n);
    else
      tbl.error_report(net, n, *skb);
  }
  neigh_release(cache, n);
}
}  // namespace detail

/// An upper layer saw the next hop answer (forward progress): as good as a reply. RFC 4861 §7.3.1
template <class Net>
void neigh_confirm(Net& net, neighbour& n) {
  n.confirmed = net.worker().now;
}

/// What was heard about n: a link address (null: none) and the state it means. Errors: operation_not_permitted for a
/// change of a permanent entry without `admin`; invalid_argument for a valid state without any link address.
template <class Net>
result<void> neigh_update(Net& net, neighbour& n, mac_addr const* lladdr, u8 new_state, u32 flags) {
  u64 const now = net.worker().now;
  u8 const old = n.nud_state;
  if (n.dead) return failure{std::errc::no_such_file_or_directory};
  if (!(flags & neigh_update_f::admin) && (old & (nud::noarp | nud::permanent)))
    return failure{std::errc::operation_not_permitted};
  neigh_parms const* p = detail::neigh_tbl<Net>(n).parms(net, *n.dev);
  if (!p) return failure{std::errc::no_such_device};

  if (!(new_state & nud::valid)) {
    net.worker().timers.del_timer(n.timer);
    n.nud_state = new_state;
    n.updated = now;
    if ((new_state & nud::failed) && (old & (nud::incomplete | nud::probe))) detail::neigh_invalidate(net, n);
    return {};
  }
  mac_addr address = n.ha;
  bool const known = (old & nud::valid) != 0;
  bool contradicted = false;
  if (lladdr) {
    // A doubted answer does not replace an address that works: it only makes it suspect.
    if (known && *lladdr != n.ha && !(flags & neigh_update_f::override_)) {
      if (!(flags & neigh_update_f::weak_override) || !(old & nud::connected)) return {};
      new_state = nud::stale;
      contradicted = true;
    } else {
      address = *lladdr;
    }
  } else if (!known) {
    return failure{std::errc::invalid_argument};
  }
  if (new_state & nud::connected) n.confirmed = now;
  bool const changed = address != n.ha;
  if (changed) {
    n.ha = address;
    if (!(new_state & nud::connected))
      n.confirmed = now > p->base_reachable_time * 2 ? now - p->base_reachable_time * 2 : 0;
  }
  // A confirmed entry is not made stale by news that says nothing new.
  if (new_state == nud::stale && !changed && !contradicted && (old & nud::connected) &&
      (flags & neigh_update_f::admin) == 0)
    new_state = old;
  if (new_state != old) {
    net.worker().timers.del_timer(n.timer);
    n.nud_state = new_state;
    n.probes = 0;
    if (new_state & nud::in_timer)
      detail::neigh_set_timer(net, n, new_state & nud::reachable ? now + p->reachable_time : now);
  }
  if (new_state != old || changed) n.updated = now;
  auto& cache = detail::neigh_tbl<Net>(n).cache(net);
  cache.lru.splice(cache.lru.end(), cache.lru, cache.lru.iterator_to(n));
  if (!known) detail::neigh_drain(net, n, true);
  return {};
}

/// Every base_reachable_time / 2: draws reachable_time anew, drops what nobody used for gc_staletime, and failures.
template <class Net>
void neigh_periodic_work(Net& net, u8 table) {
  auto const& tbl = Net::neigh_tables[table];
  neigh_cache& cache = tbl.cache(net);
  u64 const now = net.worker().now;
  ++cache.periodic_gc_runs;
  if (now >= cache.last_rand + 300'000'000'000) cache.last_rand = now;
  if (static_cast<s32>(cache.entries) <= cache.gc_thresh1) return;
  neigh_flush(net, cache, [&](neighbour& n) {
    if (n.refcnt != 1 || (n.nud_state & (nud::permanent | nud::in_timer))) return false;
    neigh_parms const* p = tbl.parms(net.worker().nets[n.dev->netns], *n.dev);
    u64 const last = std::max(n.used, n.confirmed);
    return n.nud_state == nud::failed || !p || now > last + p->gc_staletime;
  });
}

/// RFC 4861 §6.3.2: uniformly between half and one and a half of the base, so that neighbours do not ask in step.
inline u64 neigh_rand_reach_time(prng& random, u64 base) { return base == 0 ? 0 : base / 2 + random.next_u64() % base; }

}  // namespace netstack
