// SPDX-License-Identifier: BSL-1.0
// Decides: how long a cached way lives. Each is made once for its FIB entry (or device) and kept in that entry's slot;
// any change of routes, addresses or devices empties the slots, so a cached way is never wrong. A packet or a socket
// that holds one keeps its memory; what is borrowed within a poll stays readable until the next poll. [S44]
// rx, tx: called by ipv4/route_input, route_output
// Linux: net/ipv4/route.c (rt_cache_route, rt_cache_flush, ipv4_dst_destroy, rt_flush_dev)
#pragma once
#include "netstack/core/slab.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/ipv4/ip.hpp"

namespace netstack {

struct ipv4;

/// The way in of a packet of late, which the next one of its flow takes too, unless something has changed that decides
/// about ways.
struct route_hint {
  be32 saddr{};
  be32 daddr{};
  net_device* dev = nullptr;
  rtable* rt = nullptr;
  u64 genid = 0;  ///< softnet_data::route_genid
};

/// What an rtable needs to find its way home, whatever the size of the slab.
struct rtable_pool {
  /// A look-up of late and its answer, good as long as the way is cached: an answer to a stranger needs no FIB.
  struct recent_output {
    be32 daddr{};
    be32 asked_saddr{};
    be32 saddr{};
    bool anysrc = false;  ///< nobody asked whether asked_saddr is ours
    rtable* rt = nullptr;
  };
  static constexpr u32 recent_bits = 4, hint_bits = 8;
  recent_output recent[1 << recent_bits]{};
  route_hint hints[1 << hint_bits]{};  ///< of whom many speak to at once
  template <u32 Bits>
  static u32 slot_of(be32 a, be32 b) {
    return (a.raw() + b.raw()) * 0x61C8'8647u >> (32 - Bits);
  }
  [[nodiscard]] recent_output& recent_of(be32 daddr) { return recent[slot_of<recent_bits>(daddr, {})]; }
  [[nodiscard]] route_hint& hint_of(iphdr const& iph) { return hints[slot_of<hint_bits>(iph.saddr, iph.daddr)]; }

  list<rtable, &rtable::link> live{};  ///< cached or held
  list<rtable, &rtable::link> dead{};  ///< nobody's, but maybe still borrowed by the packet of this very poll
  u64 const* now = nullptr;
  u64 born = 0;
};

template <u32 N>
struct rtable_slab : rtable_pool {
  slab<rtable, N> entries;
};

namespace detail {

inline void rt_destroy(dst_ref& ref) {
  rtable& rt = static_cast<rtable&>(static_cast<dst_entry&>(ref));
  rtable_pool& pool = *rt.pool;
  pool.live.erase(pool.live.iterator_to(rt));
  rt.died = *pool.now;
  pool.dead.push_back(rt);
}

/// Out of its slot, marked, and without the cache's own hold.
inline void rt_uncache(rtable& rt) {
  rt.obsolete = true;
  if (!rt.slot) return;
  *rt.slot = nullptr;
  rt.slot = nullptr;
  for (auto& r : rt.pool->recent)
    if (r.rt == &rt) r.rt = nullptr;
  dst_release(rt);
}

template <class Worker>
auto& rt_slab(Worker& worker) {
  return worker_generic<ipv4>(worker).rtables;
}

/// Returns the dead of earlier polls to the slab; `all`: those of this poll too, when no packet is being handled.
template <class Worker>
void rt_reclaim(Worker& worker, bool all = false) {
  auto& slab = rt_slab(worker);
  while (!slab.dead.empty()) {
    rtable& rt = slab.dead.front();
    if (!all && rt.died == worker.now) break;
    slab.dead.pop_front();
    slab.entries.free(&rt);
  }
}

}  // namespace detail

/// Every cached way of the namespace is looked up again from now on. Called before routes, addresses or devices change.
template <class Net>
void rt_cache_flush(Net& net) {
  auto& live = detail::rt_slab(net.worker()).live;
  route_genid_bump(net.worker().softnet);
  for (auto it = live.begin(); it != live.end();) {
    rtable& rt = *it++;
    if (rt.netns == net.index) detail::rt_uncache(rt);
  }
}

/// Whoever keeps this way to daddr looks it up again, for something was learned of daddr. Not if every second way is
/// kept by somebody already: whoever made that up could use up all of them, one for each socket that sleeps. Then a
/// socket learns it by an error of its own.
template <class Net>
void rt_way_learned(Net& net, rtable& rt, be32 daddr) {
  auto& slab = detail::rt_slab(net.worker());
  route_genid_bump(net.worker().softnet);
  if (auto& recent = slab.recent_of(daddr); recent.daddr == daddr) recent.rt = nullptr;
  if (!rt.learned && slab.entries.in_use() < slab.entries.capacity() / 2) detail::rt_uncache(rt);
}

/// The device goes: who still holds a way through it may only let go of it.
template <class Net>
void rt_flush_dev(Net& net, net_device& dev) {
  rt_cache_flush(net);
  for (auto& rt : detail::rt_slab(net.worker()).live)
    if (rt.dev == &dev) rt.dev = nullptr, rt.input = dst_in::none, rt.output = dst_out::none;
}

/// A new way, cached in `slot`. Null when every rtable is in use: then the caches are emptied, so that the next poll
/// has room again.
template <class Net>
[[nodiscard]] rtable* rt_dst_alloc(Net& net, rtable*& slot, net_device& dev) {
  auto& slab = detail::rt_slab(net.worker());
  detail::rt_reclaim(net.worker());
  rtable* rt = slab.entries.alloc();
  if (!rt) [[unlikely]] {
    route_genid_bump(net.worker().softnet);
    for (auto it = slab.live.begin(); it != slab.live.end();) detail::rt_uncache(*it++);
    return nullptr;
  }
  rt->refcnt = 1;
  rt->destroy = detail::rt_destroy;
  rt->dev = &dev;
  rt->netns = net.index;
  rt->slot = &slot;
  rt->pool = &slab;
  rt->serial = ++slab.born;
  slab.live.push_back(*rt);
  slot = rt;
  return rt;
}

}  // namespace netstack
