// SPDX-License-Identifier: BSL-1.0
// Decides: what is remembered of a remote host beyond any route: its IP identification generator, its ICMP token
// bucket, the path MTU and the redirect it was told. One AVL tree a worker, keyed by namespace and address; entries
// nobody used for long are collected at a jittered interval that shortens as the tree fills.
// [S131] [S132] [S133] [S134]
// tx: called by ipv4/ip_output (IDs), ipv4/pmtu, ipv4/icmp_limit
// Linux: net/ipv4/inetpeer.c (the 2.6 design: one tree, periodic collection); RFC 6864 (IDs), RFC 1191 §6.3
#pragma once
#include <algorithm>
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
    boost::intrusive::avl_set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                        boost::intrusive::optimize_size<true>>;
using inet_peer_unused_hook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;

/// Borrowed for the present poll, unless held. A held peer is not collected; once its namespace is gone it is found no
/// more, and lives until the last holder lets go.
struct inet_peer : inet_peer_tree_hook, inet_peer_unused_hook {
  be32 daddr{};
  u32 netns = 0;
  u32 refcnt = 0;         ///< holders beyond this poll
  bool detached = false;  ///< no longer in the tree
  u64 dtime = 0;          ///< last used, ns
  u32 ip_id_key = 0;      ///< secret of the identification sequence
  u32 ip_id_count = 0;    ///< its place
  u64 rate_tokens = 0;    ///< ns worth of ICMP errors it may be sent
  u64 rate_last = 0;
  u32 n_redirects = 0;
  u32 pmtu_learned = 0;      ///< 0: none
  bool pmtu_locked = false;  ///< the path carries less than that, which is the least that is believed
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
  using tree_type =
      boost::intrusive::avl_set<inet_peer, boost::intrusive::base_hook<inet_peer_tree_hook>,
                                boost::intrusive::key_of_value<by_key>, boost::intrusive::constant_time_size<false>>;
  using unused_type = boost::intrusive::list<inet_peer, boost::intrusive::base_hook<inet_peer_unused_hook>,
                                             boost::intrusive::constant_time_size<false>>;

  tree_type tree_;
  unused_type unused_;  // those that nobody holds, longest unused first
  slab<inet_peer, N> peers_;
  prng* random_ = nullptr;
  inet_peer* recent_ = nullptr;  // what the last look-up found
  u32 threshold_ = 0;
  bool more_ = false;  // the last collection stopped early

 public:
  /// What one collection takes away at most, so that a poll does not wait for it; the next follows at once.
  static constexpr u32 collect_batch = 1024;

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
    if (recent_ && recent_->key() == key) {
      touch(*recent_, now);
      return recent_;
    }
    auto where = typename tree_type::insert_commit_data{};
    auto const [found, absent] = tree_.insert_check(key, where);
    if (!absent) {
      touch(*found, now);
      return recent_ = &*found;
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

  /// Keeps the peer beyond this poll.
  void hold(inet_peer& p) {
    if (p.refcnt++ == 0) unused_.erase(unused_.iterator_to(p));
  }
  /// Lets go; from now on the peer counts as unused, if nobody else holds it.
  void put(inet_peer& p, u64 now) {
    BUG_ON(p.refcnt == 0, "inet_peer put more often than held");
    if (--p.refcnt != 0) return;
    if (p.detached) return peers_.free(&p);
    p.dtime = now;
    unused_.push_back(p);
  }

  /// Collects what was not used for its time to live, which shrinks from maxttl to minttl as the tree fills; how many.
  u32 collect(u64 now) {
    u64 const minttl = std::min(limits.minttl, limits.maxttl);  // each is a sysctl
    u64 const ttl = limits.maxttl - (limits.maxttl - minttl) / threshold_ * fill();
    u32 n = 0;
    while (!unused_.empty() && n < collect_batch && now >= unused_.front().dtime + ttl) free(unused_.front()), ++n;
    more_ = n == collect_batch;
    return n;
  }
  /// Until the next collection: from gc_maxtime down to gc_mintime as the tree fills, less up to a quarter so that
  /// workers do not collect in step; never less than gc_mintime, unless the last one left something.
  [[nodiscard]] u64 next_interval() {
    if (more_) return 1'000'000;
    u64 const mintime = std::min(limits.gc_mintime, limits.gc_maxtime);
    u64 const most = limits.gc_maxtime - (limits.gc_maxtime - mintime) / threshold_ * fill();
    u64 const least = std::max(most - most / 4, mintime);
    return most - (most > least ? random_->next_u64() % (most - least + 1) : 0);
  }
  /// Forgets every peer of a namespace.
  void flush(u32 netns) {
    auto it = tree_.lower_bound(u64{netns} << 32);
    while (it != tree_.end() && it->netns == netns) {
      inet_peer& p = *it++;
      if (p.refcnt == 0) {
        free(p);
      } else {
        forget(p);
        p.detached = true;
      }
    }
  }

 private:
  [[nodiscard]] u32 fill() const { return std::min(peers_.in_use(), threshold_); }
  void touch(inet_peer& p, u64 now) {
    // Once a second is often enough for an age of minutes, and spares the list on the hot path.
    if (p.refcnt != 0 || now < p.dtime + 1'000'000'000) return;
    p.dtime = now;
    unused_.splice(unused_.end(), unused_, unused_.iterator_to(p));
  }
  bool evict_one() {
    if (unused_.empty()) return false;
    free(unused_.front());
    ++evictions;
    return true;
  }
  void forget(inet_peer& p) {
    tree_.erase(tree_.iterator_to(p));
    if (recent_ == &p) recent_ = nullptr;
  }
  void free(inet_peer& p) {
    forget(p);
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

/// Token bucket, one for all errors to this peer: one costs `cost` ns, and `most` ns are saved up.
inline bool inet_peer_rate_allow(inet_peer& p, u64 now, u64 cost, u64 most) {
  u64 const tokens = std::min(p.rate_tokens + (now - p.rate_last), most);
  p.rate_last = now;
  bool const allowed = tokens >= cost;
  p.rate_tokens = allowed ? tokens - cost : tokens;
  return allowed;
}
/// One error per `timeout` ns on average, six in a burst. [S158]
inline bool inet_peer_xrlim_allow(inet_peer& p, u64 now, u64 timeout) {
  return inet_peer_rate_allow(p, now, timeout, 6 * timeout);
}

}  // namespace netstack
