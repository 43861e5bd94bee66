// SPDX-License-Identifier: BSL-1.0
// Decides: which route a destination takes. One fib_tables a namespace (a few words), all routes of a worker in one
// fib_slab. The ordered set of routes is the truth: it answers duplicates, deletion and /proc/net/route; for each
// prefix the route with the lowest metric also stands in the trie of its table, which answers packets. Rule order as in
// Linux: local, then main, then default; a match of any length in an earlier table wins. TOS is not part of the key.
// [S130]
// rx, tx: called by ipv4/route → calls fib_trie
// Linux: net/ipv4/fib_frontend.c, net/ipv4/fib_trie.c (fib_table_insert, fib_table_delete, fib_table_lookup),
// net/ipv4/fib_semantics.c
// RFC 1812 §5.2.4.3 (next hop: basic match, longest match), RFC 4632 §5.1
#pragma once
#include <boost/intrusive/set.hpp>
#include <compare>

#include "netstack/base/byteorder.hpp"
#include "netstack/base/result.hpp"
#include "netstack/core/slab.hpp"
#include "netstack/ipv4/fib_trie.hpp"
#include "netstack/ipv4/rtnetlink.hpp"

namespace netstack {

/// fib_info::fib_flags (Linux's RTNH_F_*). A dead route stays listed and answers no lookup.
namespace rtnh_f {
inline constexpr u32 dead = 1, onlink = 4, linkdown = 16;
}

using fib_hook = boost::intrusive::set_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                   boost::intrusive::optimize_size<true>>;

/// A route: Linux's fib_alias, fib_info and its one next hop. Who keeps a pointer beyond the present poll holds a
/// reference; a route that was deleted meanwhile has fib_dead set and its memory until the last reference is gone.
struct fib_info {
  u32 fib_key = 0;  ///< destination in host order, bits beyond the prefix zero
  u8 fib_dst_len = 0;
  rt_table fib_table = rt_table::main;
  rtn fib_type = rtn::unicast;
  rt_scope fib_scope = rt_scope::universe;
  u8 fib_protocol = rtprot::unspec;
  bool fib_dead = false;  ///< no longer in a table
  be32 fib_nh_gw{};       ///< zero: directly connected
  u32 fib_nh_oif = 0;     ///< ifindex of the device; 0: none
  be32 fib_prefsrc{};
  u32 fib_priority = 0;  ///< metric: the lowest is used
  u32 fib_mtu = 0;       ///< 0: the device's
  u32 fib_flags = 0;     ///< rtnh_f::…, changed by sync_dev() only
  u32 fib_refcnt = 0;
  fib_hook fib_node{};

  [[nodiscard]] be32 fib_dst() const { return be32{fib_key}; }
};

/// A request to add or delete a route (Linux's fib_config). For deletion, what is zero (scope: nowhere) matches any.
struct fib_config {
  rt_table fc_table = rt_table::main;
  u8 fc_dst_len = 0;
  rtn fc_type = rtn::unspec;              ///< on insertion: unicast
  rt_scope fc_scope = rt_scope::nowhere;  ///< on insertion: universe
  u8 fc_protocol = rtprot::unspec;
  be32 fc_dst{};
  be32 fc_gw4{};
  u32 fc_oif = 0;
  be32 fc_prefsrc{};
  u32 fc_priority = 0;
  u32 fc_mtu = 0;
  u32 fc_flags = 0;
};

namespace detail {

/// A prefix without bits beyond its length, in a table and of a type that there are.
[[nodiscard]] constexpr bool fib_is_valid(fib_config const& cfg) {
  return cfg.fc_dst_len <= 32 && (cfg.fc_dst.host() & ~fib_mask(cfg.fc_dst_len)) == 0 &&
         cfg.fc_table >= rt_table::default_ && cfg.fc_type <= rtn::throw_;
}

/// Where a route stands in the set: by table, by address, longer prefixes first, by metric.
struct fib_position {
  rt_table table;
  u8 len;
  u32 key;
  u32 priority;
  friend constexpr std::strong_ordering operator<=>(fib_position const& a, fib_position const& b) {
    if (auto c = a.table <=> b.table; c != 0) return c;
    if (auto c = a.key <=> b.key; c != 0) return c;
    if (auto c = b.len <=> a.len; c != 0) return c;
    return a.priority <=> b.priority;
  }
  friend constexpr bool operator==(fib_position const&, fib_position const&) = default;
};

struct fib_position_of {
  using type = fib_position;
  fib_position operator()(fib_info const& fi) const {
    return {fi.fib_table, fi.fib_dst_len, fi.fib_key, fi.fib_priority};
  }
};

}  // namespace detail

/// The routes of a worker, all namespaces together: at most Routes, counting deleted ones that somebody still holds.
/// Plain memory: call init() first.
template <std::size_t Routes>
struct fib_slab {
  slab<fib_info, Routes> infos;
  fib_trie<static_cast<u32>(Routes)> trie;

  void init() {
    infos.init();
    trie.init();
  }
};

/// The three tables of one namespace. Not to be moved while it has routes.
template <class Slab>
class fib_tables {
  using position = detail::fib_position;
  using hook_option = boost::intrusive::member_hook<fib_info, fib_hook, &fib_info::fib_node>;
  using set = boost::intrusive::set<fib_info, hook_option, boost::intrusive::key_of_value<detail::fib_position_of>,
                                    boost::intrusive::constant_time_size<false>>;

 public:
  /// Before anything else, once.
  void init(Slab& slab) { slab_ = &slab; }

  // — packets —

  /// The route to daddr, or null if no table has one. Borrowed: hold() it to keep it beyond this poll.
  [[nodiscard]] fib_info* lookup(be32 daddr) const {
    u32 const addr = daddr.host();
    for (fib_root const& root : roots_) {
      if (!root.meets(addr)) continue;
      if (fib_info* fi = find(root, addr)) return fi;
    }
    return nullptr;
  }
  /// The same in one table, a throw route included.
  [[nodiscard]] fib_info* lookup(rt_table table, be32 daddr) const {
    fib_info* fi = match(roots_[index(table)], daddr.host());
    return fi && !usable(*fi) ? longest(table, daddr.host(), [](fib_info const& f) { return usable(f); }) : fi;
  }
  /// The route to daddr among those that lead by ifindex `oif` (0: any) and reach no farther than `scope`. One that
  /// leads nowhere does so by every device. Costs a search of the set for each length when the longest match is none of
  /// them: for filling a cache, not for each packet.
  [[nodiscard]] fib_info* lookup(be32 daddr, u32 oif, rt_scope scope) const {
    auto const suits = [=](fib_info const& f) {
      return usable(f) && f.fib_scope >= scope && (oif == 0 || f.fib_nh_oif == oif || f.fib_nh_oif == 0);
    };
    if (fib_info* fi = lookup(daddr); !fi || suits(*fi)) return fi;
    for (rt_table const table : rule_order)
      if (fib_info* fi = longest(table, daddr.host(), suits); fi && fi->fib_type != rtn::throw_) return fi;
    return nullptr;
  }

  static void hold(fib_info& fi) { ++fi.fib_refcnt; }
  /// Lets go of a reference; the last one after deletion frees the route.
  void put(fib_info& fi) {
    if (--fi.fib_refcnt == 0) slab_->infos.free(&fi);
  }

  // — control —

  /// Adds a route. Errors: invalid_argument (length, bits beyond it, table, type), file_exists (same table, prefix and
  /// metric), no_buffer_space (slab or trie full); nothing is changed then.
  result<fib_info*> insert(fib_config const& cfg);
  /// Deletes the route with the lowest metric that fits the request. Errors: invalid_argument, no_such_process (ESRCH).
  result<void> erase(fib_config const& cfg);

  /// Deletes every route that fits; returns how many.
  template <class Pred>
  u32 flush_if(Pred const& fits) {
    u32 count = 0;
    for (auto it = set_.begin(); it != set_.end();) {
      fib_info& fi = *it++;
      if (!fits(std::as_const(fi))) continue;
      unlink(fi);
      ++count;
    }
    return count;
  }
  u32 flush_dev(u32 ifindex) {
    return flush_if([ifindex](fib_info const& fi) { return fi.fib_nh_oif == ifindex; });
  }
  u32 flush_all() {
    return flush_if([](fib_info const&) { return true; });
  }
  /// Sets and clears flags on every route of a device; returns how many changed. A dead route keeps its place in the
  /// trie, so this cannot fail; a lookup that meets one searches the set instead, which takes microseconds.
  u32 sync_dev(u32 ifindex, u32 set_flags, u32 clear_flags);

  [[nodiscard]] u32 size() const { return size_; }
  [[nodiscard]] u32 size(rt_table table) const {
    u32 n = 0;
    for (fib_info const* fi = first(table); fi; fi = next(*fi)) ++n;
    return n;
  }

  // — listing, in order of address, longer prefixes first, then metric —

  [[nodiscard]] fib_info* first(rt_table table) const { return listed(table, set_.lower_bound({table, 32, 0, 0})); }
  [[nodiscard]] fib_info* next(fib_info const& fi) const {
    return listed(fi.fib_table, std::next(set_.iterator_to(fi)));
  }
  /// The first route behind a place, whether or not there is one at it: where a reader that was interrupted goes on.
  [[nodiscard]] fib_info* after(rt_table table, be32 dst, u8 len, u32 priority) const {
    return listed(table, set_.upper_bound({table, len, dst.host(), priority}));
  }

 private:
  static constexpr rt_table rule_order[] = {rt_table::local, rt_table::main, rt_table::default_};
  static constexpr u32 index(rt_table table) { return static_cast<u32>(rt_table::local) - static_cast<u32>(table); }
  static constexpr bool usable(fib_info const& fi) { return !(fi.fib_flags & rtnh_f::dead); }
  static constexpr bool is_special(fib_info const& fi) { return !usable(fi) || fi.fib_type == rtn::throw_; }

  // A value of the trie is the route's index in the slab and one.
  u32 value_of(fib_info const& fi) const { return slab_->infos.index_of(&fi) + 1; }
  fib_info& info(u32 value) const { return slab_->infos.at(value - 1); }

  fib_info* match(fib_root const& root, u32 addr) const {
    u32 const value = slab_->trie.lookup(root, addr);
    return value ? &info(value) : nullptr;
  }
  fib_info* find(fib_root const& root, u32 addr) const {
    fib_info* fi = match(root, addr);
    if (specials_ != 0 && fi && is_special(*fi)) [[unlikely]] {
      if (!usable(*fi)) fi = longest(fi->fib_table, addr, [](fib_info const& f) { return usable(f); });
      if (fi && fi->fib_type == rtn::throw_) fi = nullptr;
    }
    return fi;
  }

  /// Without the trie: the longest prefix with a route that `fits`, of these the one with the lowest metric.
  template <class Pred>
  fib_info* longest(rt_table table, u32 addr, Pred const& fits) const {
    for (unsigned len = 33; len-- > 0;)
      if (fib_info* fi = first_of(table, {addr & fib_mask(len), static_cast<u8>(len)}, fits)) return fi;
    return nullptr;
  }
  template <class Pred>
  fib_info* first_of(rt_table table, fib_prefix p, Pred const& fits) const {
    auto it = set_.lower_bound({table, p.len, p.key, 0});
    for (; it != set_.end() && in(*it, table, p); ++it)
      if (fits(*it)) return const_cast<fib_info*>(&*it);
    return nullptr;
  }
  static bool in(fib_info const& fi, rt_table table, fib_prefix p) {
    return fi.fib_table == table && fi.fib_key == p.key && fi.fib_dst_len == p.len;
  }
  /// The route that stands in the trie for a prefix: the one with the lowest metric, dead or not; 0: no route.
  u32 chosen(rt_table table, fib_prefix p) const {
    fib_info const* fi = first_of(table, p, [](fib_info const&) { return true; });
    return fi ? value_of(*fi) : 0;
  }
  auto prefix_of() const {
    return [this](u32 value) { return prefix(info(value)); };
  }
  static fib_prefix prefix(fib_info const& fi) { return {fi.fib_key, fi.fib_dst_len}; }

  fib_info* listed(rt_table table, typename set::const_iterator it) const {
    return it != set_.end() && it->fib_table == table ? const_cast<fib_info*>(&*it) : nullptr;
  }

  static bool fits(fib_info const& fi, fib_config const& cfg) {
    return (cfg.fc_type == rtn::unspec || cfg.fc_type == fi.fib_type) &&
           (cfg.fc_scope == rt_scope::nowhere || cfg.fc_scope == fi.fib_scope) &&
           (cfg.fc_protocol == rtprot::unspec || cfg.fc_protocol == fi.fib_protocol) &&
           (!cfg.fc_prefsrc || cfg.fc_prefsrc == fi.fib_prefsrc) && (!cfg.fc_gw4 || cfg.fc_gw4 == fi.fib_nh_gw) &&
           (cfg.fc_oif == 0 || cfg.fc_oif == fi.fib_nh_oif) &&
           (cfg.fc_priority == 0 || cfg.fc_priority == fi.fib_priority);
  }

  static void assign(fib_info& fi, fib_config const& cfg);
  void unlink(fib_info& fi);

  Slab* slab_ = nullptr;
  fib_root roots_[3];  // tries of local, main, default
  u32 specials_ = 0;   // routes that are dead or of type throw: lookups need a second look
  u32 size_ = 0;
  set set_;
};

template <class Slab>
void fib_tables<Slab>::assign(fib_info& fi, fib_config const& cfg) {
  fi.fib_key = cfg.fc_dst.host();
  fi.fib_dst_len = cfg.fc_dst_len;
  fi.fib_table = cfg.fc_table;
  fi.fib_type = cfg.fc_type == rtn::unspec ? rtn::unicast : cfg.fc_type;
  fi.fib_scope = cfg.fc_scope == rt_scope::nowhere ? rt_scope::universe : cfg.fc_scope;
  fi.fib_protocol = cfg.fc_protocol;
  fi.fib_nh_gw = cfg.fc_gw4;
  fi.fib_nh_oif = cfg.fc_oif;
  fi.fib_prefsrc = cfg.fc_prefsrc;
  fi.fib_priority = cfg.fc_priority;
  fi.fib_mtu = cfg.fc_mtu;
  fi.fib_flags = cfg.fc_flags;
  fi.fib_refcnt = 1;  // the table's
}

template <class Slab>
result<fib_info*> fib_tables<Slab>::insert(fib_config const& cfg) {
  if (!detail::fib_is_valid(cfg)) return failure{std::errc::invalid_argument};
  typename set::insert_commit_data place;
  position const at{cfg.fc_table, cfg.fc_dst_len, cfg.fc_dst.host(), cfg.fc_priority};
  if (!set_.insert_check(at, place).second) return failure{std::errc::file_exists};
  fib_info* fi = slab_->infos.alloc();
  if (!fi) return failure{std::errc::no_buffer_space};
  assign(*fi, cfg);

  fib_prefix const p = prefix(*fi);
  fib_root& root = roots_[index(cfg.fc_table)];
  u32 const before = chosen(cfg.fc_table, p);
  if (before == 0 && !slab_->trie.insert(root, p, value_of(*fi), prefix_of())) {
    slab_->infos.free(fi);
    return failure{std::errc::no_buffer_space};
  }
  set_.insert_commit(*fi, place);
  ++size_;
  specials_ += is_special(*fi);
  u32 const now = chosen(cfg.fc_table, p);
  if (before != 0 && now != before) slab_->trie.replace(root, p, before, now);
  return fi;
}

template <class Slab>
result<void> fib_tables<Slab>::erase(fib_config const& cfg) {
  if (!detail::fib_is_valid(cfg)) return failure{std::errc::invalid_argument};
  fib_info* fi =
      first_of(cfg.fc_table, {cfg.fc_dst.host(), cfg.fc_dst_len}, [&cfg](fib_info const& f) { return fits(f, cfg); });
  if (!fi) return failure{std::errc::no_such_process};
  unlink(*fi);
  return {};
}

template <class Slab>
u32 fib_tables<Slab>::sync_dev(u32 ifindex, u32 set_flags, u32 clear_flags) {
  u32 count = 0;
  for (fib_info& fi : set_) {
    u32 const flags = (fi.fib_flags | set_flags) & ~clear_flags;
    if (fi.fib_nh_oif != ifindex || flags == fi.fib_flags) continue;
    specials_ -= is_special(fi);
    fi.fib_flags = flags;
    specials_ += is_special(fi);
    ++count;
  }
  return count;
}

template <class Slab>
void fib_tables<Slab>::unlink(fib_info& fi) {
  rt_table const table = fi.fib_table;
  fib_prefix const p = prefix(fi);
  fib_root& root = roots_[index(table)];
  u32 const before = chosen(table, p);
  set_.erase(set_.iterator_to(fi));
  --size_;
  specials_ -= is_special(fi);
  u32 const now = chosen(table, p);
  if (now == 0) {
    slab_->trie.remove(root, p, before, prefix_of(), [&](unsigned len) {
      return chosen(table, {p.key & fib_mask(len), static_cast<u8>(len)});
    });
  } else if (now != before) {
    slab_->trie.replace(root, p, before, now);
  }
  fi.fib_dead = true;
  put(fi);
}

}  // namespace netstack
