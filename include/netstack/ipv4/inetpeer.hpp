// SPDX-License-Identifier: BSL-1.0
// Decides: what is remembered of a remote host beyond any route: its IP identification generator, its ICMP token
// bucket, the path MTU and the redirect it was told. One AVL tree a worker, keyed by namespace and address; entries
// nobody used for long are collected at a jittered interval that shortens as the tree fills. [S131] [S132] [S133]
// [S134] tx: called by ipv4/ip_output (IDs), ipv4/pmtu, ipv4/icmp_limit Linux: net/ipv4/inetpeer.c (the 2.6 design: one
// tree, periodic collection); RFC 6864 (IDs), RFC 1191 §6.3
#pragma once
#include <boost/intrusive/avl_set.hpp>
#include <boost/intrusive/list.hpp>

#include "netstack/base/byteorder.hpp"
#include "netstack/base/random.hpp"
#include "netstack/core/slab.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack {

struct ipv4;

/// A peer's place in the tree, and in the list of those longest not used.
using inet_peer_tree_hook =
    boost::intrusive::avl_set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;
using inet_peer_unused_hook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;

struct inet_peer : inet_peer_tree_hook, inet_peer_unused_hook {
  be32 daddr{};
  u32 netns = 0;
  u32 refcnt = 0;       ///< holders beyond this poll: not collected
  u64 dtime = 0;        ///< last used, ns
  u32 ip_id_key = 0;    ///< secret of the identification sequence
  u32 ip_id_count = 0;  ///< its place
  u64 rate_tokens = 0;  ///< ns worth of ICMP errors it may be sent
  u64 rate_last = 0;
  u32 n_redirects = 0;
  u32 pmtu_learned = 0;  ///< 0: none
  u64 pmtu_expires = 0;
  be32 redirect_learned{};  ///< the better gateway; zero: none

  [[nodiscard]] u64 key() const { return u64{netns} << 32 | daddr.host(); }
  friend bool operator<(inet_peer const& a, inet_peer const& b) { return a.key() < b.key(); }
};

/// How many peers are worth keeping for a memory budget: the 2.6 kernel's 65536 + 128, halved at 32 MiB, halved again
/// at 16 MiB, and quartered once more at 8 MiB. [S131]
constexpr u32 inet_peer_threshold(std::size_t memory_bytes) {
  u32 threshold = 65536 + 128;
  if (memory_bytes <= std::size_t{32} << 20) threshold >>= 1;
  if (memory_bytes <= std::size_t{16} << 20) threshold >>= 1;
  if (memory_bytes <= std::size_t{8} << 20) threshold >>= 2;
  return threshold;
}

/// The collector's times, ns: the kernel's sysctl defaults.
struct inet_peer_limits {
  u64 minttl = 120'000'000'000;  ///< a full tree forgets after this long unused
  u64 maxttl = 600'000'000'000;  ///< an empty one after this
  u64 gc_mintime = 10'000'000'000;
  u64 gc_maxtime = 120'000'000'000;
};

/// The peers of one worker. Storage for N; call init() first.
template <std::size_t N>
class inet_peer_base {
  struct by_key {
    using type = u64;
    u64 operator()(inet_peer const& p) const { return p.key(); }
  };
  using tree_type = boost::intrusive::avl_set<inet_peer, boost::intrusive::base_hook<inet_peer_tree_hook>,
                                              boost::intrusive::key_of_value<by_key>>;
  using unused_type = boost::intrusive::list<inet_peer, boost::intrusive::base_hook<inet_peer_unused_hook>>;

  tree_type tree_;
  unused_type unused_;  // longest unused first
  slab<inet_peer, N> peers_;
  prng* random_ = nullptr;
  u32 threshold_ = 0;

 public:
  inet_peer_limits limits;
  timer_list periodic_timer;
  u64 evictions = 0;

  /// `memory`: the stack's bound, from which the threshold follows; never more than N.
  void init(prng& random, std::size_t memory) {
    peers_.init();
    random_ = &random;
    threshold_ = std::min<u32>(inet_peer_threshold(memory), static_cast<u32>(N));
  }
  [[nodiscard]] u32 size() const { return peers_.in_use(); }
  [[nodiscard]] u32 threshold() const { return threshold_; }
  [[nodiscard]] tree_type const& tree() const { return tree_; }

  /// The peer at daddr in a namespace, made if `create`. Null: unknown; or the tree is full of peers that are held.
  inet_peer* get(u32 netns, be32 daddr, bool create, u64 now) {
    u64 const key = u64{netns} << 32 | daddr.host();
    auto where = typename tree_type::insert_commit_data{};
    auto const [found, absent] = tree_.insert_check(key, where);
    if (!absent) {
      touch(*found, now);
      return &*found;
    }
    if (!create) return nullptr;
    if (peers_.in_use() >= threshold_) {
      if (!evict_one()) return nullptr;
      tree_.insert_check(key, where);  // the tree has changed under the first answer
    }
    inet_peer* p = peers_.alloc();
    if (!p) return nullptr;
    p->daddr = daddr;
    p->netns = netns;
    p->dtime = p->rate_last = now;
    p->rate_tokens = ~u64{0} >> 1;  // a full bucket, whatever its size will be: nobody was sent an error yet
    p->ip_id_key = random_->next_u32();
    p->ip_id_count = random_->next_u32();
    tree_.insert_commit(*p, where);
    unused_.push_back(*p);
    return p;
  }

  /// Collects what was not used for its time to live, which shrinks from maxttl to minttl as the tree fills; how many.
  u32 collect(u64 now) {
    u64 const span = (limits.maxttl - limits.minttl) / threshold_;
    u64 const ttl = peers_.in_use() >= threshold_ ? limits.minttl : limits.maxttl - span * peers_.in_use();
    u32 n = 0;
    while (!unused_.empty() && unused_.front().refcnt == 0 && now >= unused_.front().dtime + ttl)
      free(unused_.front()), ++n;
    return n;
  }
  /// Until the next collection: from gc_maxtime down to gc_mintime as the tree fills, jittered by up to a quarter.
  [[nodiscard]] u64 next_interval() {
    u64 const range = limits.gc_maxtime - limits.gc_mintime;
    u64 const base = limits.gc_maxtime - range * std::min(peers_.in_use(), threshold_) / threshold_;
    return base - random_->next_u64() % (base / 4 + 1);
  }
  /// Forgets every peer of a namespace.
  void flush(u32 netns) {
    for (auto it = unused_.begin(); it != unused_.end();) {
      inet_peer& p = *it++;
      if (p.netns == netns) free(p);
    }
  }

 private:
  void touch(inet_peer& p, u64 now) {
    // Once a second is often enough for an age of minutes, and spares the list on the hot path.
    if (now < p.dtime + 1'000'000'000) return;
    p.dtime = now;
    unused_.splice(unused_.end(), unused_, unused_.iterator_to(p));
  }
  bool evict_one() {
    for (auto& p : unused_)
      if (p.refcnt == 0) {
        free(p);
        ++evictions;
        return true;
      }
    return false;
  }
  void free(inet_peer& p) {
    tree_.erase(tree_.iterator_to(p));
    unused_.erase(unused_.iterator_to(p));
    peers_.free(&p);
  }
};

/// The peer at daddr, of the worker's tree in module ipv4's perworker (`peers`). Null: unknown, or no room.
template <class Net>
inet_peer* inet_getpeer(Net& net, be32 daddr, bool create) {
  return worker_generic<ipv4>(net.worker()).peers.get(net.index, daddr, create, net.worker().now);
}

/// The next identification for this peer: a walk through all 65536 values in an order of its own, so none comes back
/// before all others were used (RFC 6864 §4.3), and neither its start nor its order tells an observer of one peer
/// anything about another's. An odd multiplier and two xor-shifts are bijections on 16 bits.
inline u16 inet_getid(inet_peer& p) {
  u32 x = p.ip_id_count++ & 0xffff;
  u32 const key = p.ip_id_key;
  x = (x * (key | 1)) & 0xffff;
  x ^= x >> 7;
  x = (x * ((key >> 15) | 1)) & 0xffff;
  x ^= x >> 9;
  return static_cast<u16>(x ^ key >> 8);
}

/// Token bucket: one error per `timeout` ns on average, six in a burst. [S158]
inline bool inet_peer_xrlim_allow(inet_peer& p, u64 now, u64 timeout) {
  constexpr u64 burst = 6;
  u64 tokens = p.rate_tokens + (now - p.rate_last);
  p.rate_last = now;
  if (tokens > burst * timeout) tokens = burst * timeout;
  bool const allowed = tokens >= timeout;
  p.rate_tokens = allowed ? tokens - timeout : tokens;
  return allowed;
}

}  // namespace netstack
