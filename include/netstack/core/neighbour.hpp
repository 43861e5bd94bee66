// SPDX-License-Identifier: BSL-1.0
// Decides: what a neighbour is and where it is kept: one bounded cache per worker and table, keyed by device, so by
// namespace, with three garbage collection thresholds. Its state machine is core/neigh_nud.hpp. [S125] [S128] [S129]
// tx: called by ipv4/arp ip_neigh → the entry goes to core/neigh_nud neigh_output
// Linux: net/core/neighbour.c, include/net/neighbour.h; RFC 1122 §2.3.2.1 (entries must age)
#pragma once
#include <algorithm>

#include <boost/intrusive/list.hpp>

#include "netstack/base/counter.hpp"
#include "netstack/base/random.hpp"
#include "netstack/core/dev_output.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/registry/neigh_table.hpp"
#include "netstack/wire/ethernet.hpp"

namespace netstack {

namespace nud {  // neighbour::nud_state, Linux's NUD_*
inline constexpr u8 none = 0, incomplete = 0x01, reachable = 0x02, stale = 0x04, delay = 0x08, probe = 0x10,
                    failed = 0x20, noarp = 0x40, permanent = 0x80;
inline constexpr u8 in_timer = incomplete | reachable | delay | probe;
inline constexpr u8 valid = permanent | noarp | reachable | probe | stale | delay;
inline constexpr u8 connected = permanent | noarp | reachable;
}  // namespace nud
namespace neigh_update_f {  // what a caller of neigh_update allows, Linux's NEIGH_UPDATE_F_*
inline constexpr u32 override_ = 0x1, weak_override = 0x2, admin = 0x80000000;
}

/// net/ipv4/neigh/{default,<device>}/…; times in ns.
struct neigh_parms {
  s32 mcast_probes = 3;  ///< mcast_solicit: broadcast requests before giving up
  s32 ucast_probes = 3;  ///< ucast_solicit: unicast requests to the address that was known
  s32 app_probes = 0;
  s32 mcast_reprobes = 0;
  u64 retrans_time = 1'000'000'000;
  u64 base_reachable_time = 30'000'000'000;
  u64 delay_probe_time = 5'000'000'000;
  u64 gc_staletime = 60'000'000'000;
  u64 locktime = 1'000'000'000;
  u64 anycast_delay = 1'000'000'000;
  u64 proxy_delay = 800'000'000;
  s32 proxy_qlen = 64;
  u32 queue_len_bytes = 212'992;
  u64 reachable_time = 30'000'000'000;  ///< base_reachable_time × 0.5 … 1.5, drawn anew every 300 s
};

using neigh_hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>>;

/// Its link address and its device's: what frames to it begin with.
struct neigh_addrs {
  mac_addr ha{}, from{};
};
/// One next hop. `key` is the address in network order, IPv4 in the first word.
struct neighbour : neigh_hook, neigh_addrs {
  neighbour* hash_next = nullptr;
  u32 key[4]{};
  net_device* dev = nullptr;
  u8 table = 0;  ///< row of Net::neigh_tables
  u8 nud_state = nud::none;
  u8 type = 0;        ///< rtn of the address
  bool dead = false;  ///< out of the cache, living on for its holders
  u32 refcnt = 1;     ///< the cache's hold, and those of neigh_hold
  u32 probes = 0;
  u32 arp_queue_len_bytes = 0;
  u64 confirmed = 0, updated = 0, used = 0;
  timer_list timer;
  sk_buff_head arp_queue;
};

/// The entries of one table in one worker, over storage that the module sizes. Oldest-updated first in `lru`.
struct neigh_cache {
  neighbour* (*alloc)(neigh_cache&) = nullptr;
  void (*release)(neigh_cache&, neighbour&) = nullptr;
  neighbour** buckets = nullptr;
  u32 mask = 0;
  u32 hash_rnd = 0;
  u32 entries = 0;
  s32 gc_thresh1 = 128;   ///< below: no garbage collection
  s32 gc_thresh2 = 512;   ///< above: collected when the last time is 5 s ago
  s32 gc_thresh3 = 1024;  ///< never more
  u64 gc_interval = 30'000'000'000;
  neighbour* recent = nullptr;  ///< what the last look-up found: a sender rarely changes its next hop
  u64 last_flush = 0, last_rand = 0;
  boost::intrusive::list<neighbour> lru;
  timer_list gc_timer;
  // /proc/net/stat/arp_cache
  counter allocs, destroys, hash_grows, res_failed, lookups, hits, periodic_gc_runs, forced_gc_runs, unres_discards,
      table_fulls;

  /// No threshold beyond what the storage holds: a setting says what happens.
  void set_capacity(u32 n) {
    for (s32* thresh : {&gc_thresh1, &gc_thresh2, &gc_thresh3}) *thresh = std::min(*thresh, static_cast<s32>(n));
  }
};

namespace detail {
/// A product with a secret odd number, of which the upper half is the better one. Linux: arp_hashfn
inline u32 neigh_hash(neigh_cache const& cache, u32 const (&key)[4], net_device const& dev) {
  u32 const who = key[0] ^ key[1] ^ key[2] ^ key[3] ^ (dev.ifindex << 20 | u32{dev.netns} << 12);
  return static_cast<u32>(u64{who} * (u64{cache.hash_rnd} << 1 | 1) >> 32) & cache.mask;
}
inline bool neigh_is(neighbour const& n, u32 const (&key)[4], net_device const& dev) {
  return n.key[0] == key[0] && n.dev == &dev && n.key[1] == key[1] && n.key[2] == key[2] && n.key[3] == key[3];
}
NETSTACK_NOINLINE inline neighbour* neigh_lookup_hash(neigh_cache& cache, u32 const (&key)[4], net_device const& dev) {
  for (neighbour* n = cache.buckets[neigh_hash(cache, key, dev)]; n; n = n->hash_next)
    if (neigh_is(*n, key, dev)) {
      ++cache.hits;
      return cache.recent = n;
    }
  return nullptr;
}
template <class Net>
auto const& neigh_tbl(neighbour const& n) {
  return Net::neigh_tables[n.table];
}
}  // namespace detail

inline neighbour& neigh_hold(neighbour& n) { return ++n.refcnt, n; }
/// One holder less; the last returns the entry to its cache's storage.
inline void neigh_release(neigh_cache& cache, neighbour& n) {
  if (--n.refcnt == 0) {
    ++cache.destroys;
    cache.release(cache, n);
  }
}

/// The entry for key on dev, or null; counts as a look-up.
NETSTACK_INLINE neighbour* neigh_lookup(neigh_cache& cache, u32 const (&key)[4], net_device const& dev) {
  ++cache.lookups;
  if (cache.recent && detail::neigh_is(*cache.recent, key, dev)) [[likely]] {
    ++cache.hits;
    return cache.recent;
  }
  return detail::neigh_lookup_hash(cache, key, dev);
}

namespace detail {
/// Frees a queue that nobody else can reach. A freed packet's owner may be called, and may send again or remove
/// entries: whoever walks a cache or a queue frees only afterwards.
template <class Net>
void neigh_free_queue(Net& net, sk_buff_head& victims, drop_reason why) {
  while (sk_buff* skb = victims.dequeue()) kfree_skb(net, *skb, why);
}

/// neigh_remove, but for the packets that wait: they join `orphans`.
template <class Net>
void neigh_unlink(Net& net, neigh_cache& cache, neighbour& n, sk_buff_head& orphans) {
  if (cache.recent == &n) cache.recent = nullptr;
  route_genid_bump(net.worker().softnet);  // a route may know it
  for (neighbour** at = &cache.buckets[neigh_hash(cache, n.key, *n.dev)]; *at; at = &(*at)->hash_next)
    if (*at == &n) {
      *at = n.hash_next;
      break;
    }
  cache.lru.erase(cache.lru.iterator_to(n));
  --cache.entries;
  net.worker().timers.del_timer(n.timer);
  orphans.splice_tail(n.arp_queue);
  n.arp_queue_len_bytes = 0;
  n.dead = true;
  n.nud_state = nud::noarp;  // a holder's last packet goes where it went before, without a question
  neigh_release(cache, n);
}
}  // namespace detail

/// Takes the entry out of the cache; whoever holds it may keep looking at it, but it answers nothing any more.
template <class Net>
void neigh_remove(Net& net, neigh_cache& cache, neighbour& n) {
  sk_buff_head orphans;
  detail::neigh_unlink(net, cache, n, orphans);
  detail::neigh_free_queue(net, orphans, drop_reason::neigh_dead);
}

/// Removes entries of which `unwanted(n)` holds; how many.
template <class Net, class Unwanted>
u32 neigh_flush(Net& net, neigh_cache& cache, Unwanted unwanted) {
  u32 removed = 0;
  sk_buff_head orphans;
  for (auto it = cache.lru.begin(); it != cache.lru.end();) {
    neighbour& n = *it++;
    if (unwanted(n)) detail::neigh_unlink(net, cache, n, orphans), ++removed;
  }
  detail::neigh_free_queue(net, orphans, drop_reason::neigh_dead);
  return removed;
}
/// The device went down or away: everything about it goes; a carrier loss keeps what was set by hand.
template <class Net>
void neigh_ifdown(Net& net, neigh_cache& cache, net_device& dev, bool keep_permanent = false) {
  neigh_flush(net, cache,
              [&](neighbour& n) { return n.dev == &dev && !(keep_permanent && (n.nud_state & nud::permanent)); });
}

/// Makes room when the table is full: unheld entries that nobody set by hand, the longest not updated first. None that
/// packets wait for, so that no packet is freed, and no callback run, while an entry is made.
template <class Net>
u32 neigh_forced_gc(Net& net, neigh_cache& cache) {
  ++cache.forced_gc_runs;
  s32 excess = std::max<s32>(static_cast<s32>(cache.entries) - cache.gc_thresh2 + 1, 1);
  u64 const now = net.worker().now;
  u32 const removed = neigh_flush(net, cache, [&](neighbour& n) {
    bool const collectable =
        excess > 0 && n.refcnt == 1 && n.arp_queue.empty() && !(n.nud_state & (nud::permanent | nud::incomplete)) &&
        ((n.nud_state & (nud::failed | nud::noarp)) || n.nud_state == nud::none || n.updated + 5'000'000'000 < now);
    excess -= collectable;
    return collectable;
  });
  cache.last_flush = now;
  return removed;
}

/// A new entry for key on dev. Null, counted in table_fulls, when gc_thresh3 or the storage is reached.
template <class Net>
NETSTACK_NOINLINE neighbour* neigh_create(Net& net, u8 table, u32 const (&key)[4], net_device& dev) {
  auto const& tbl = Net::neigh_tables[table];
  neigh_cache& cache = tbl.cache(net);
  u64 const now = net.worker().now;
  auto const entries = static_cast<s32>(cache.entries);
  if (entries >= cache.gc_thresh3 || (entries >= cache.gc_thresh2 && now > cache.last_flush + 5'000'000'000)) {
    if (neigh_forced_gc(net, cache) == 0 && entries >= cache.gc_thresh3) {
      ++cache.table_fulls;
      return nullptr;
    }
  }
  neighbour* n = cache.alloc(cache);
  if (!n && neigh_forced_gc(net, cache) > 0) n = cache.alloc(cache);
  if (!n) {
    ++cache.table_fulls;
    return nullptr;
  }
  ++cache.allocs;
  std::copy(std::begin(key), std::end(key), n->key);
  n->dev = &dev;
  n->from = dev.dev_addr;
  n->table = table;
  n->timer.function = [](void* worker, timer_list& t) {
    auto& self = from_timer<&neighbour::timer>(t);
    neigh_timer_handler(
        static_cast<std::remove_reference_t<decltype(std::declval<Net&>().worker())>*>(worker)->nets[self.dev->netns],
        self);
  };
  n->updated = n->used = now;
  neigh_parms const* parms = tbl.parms(net, dev);
  if (!parms || !tbl.constructor(net, *n)) {
    cache.release(cache, *n);
    return nullptr;
  }
  n->confirmed = now > parms->base_reachable_time * 2 ? now - parms->base_reachable_time * 2 : 0;
  neighbour*& bucket = cache.buckets[detail::neigh_hash(cache, n->key, dev)];
  n->hash_next = bucket;
  bucket = n;
  cache.lru.push_back(*n);
  ++cache.entries;
  return n;
}

}  // namespace netstack
