// SPDX-License-Identifier: BSL-1.0
// Decides: which connection, half-open connection, ended connection or listener a segment is for, and who may have
// which port. A connection is found by both its ends exactly, a listener as the one that asks for most of what the
// segment has (local address, device); equal ones of a SO_REUSEPORT group by a hash of the flow. What
// ends are, of which IP version, is not known here: tcp_v4_ends.hpp.
// rx: called by tcp_v4_rcv, tcp_v4_err; tables filled by hash, get_port and connect
// Linux: net/ipv4/inet_hashtables.c, net/ipv4/inet_connection_sock.c (inet_csk_get_port) [S98] [S105] [S146]
#pragma once
#include "netstack/core/rps.hpp"
#include "netstack/ipv4/inet_port.hpp"
#include "netstack/tcp/tcp_sock.hpp"

namespace netstack {

/// `key`, here and below: the ends, as whoever knows the IP version has them; of IPv4 an inet_ehash_key.
template <class Net, class Key = inet_ehash_key>
[[nodiscard]] u32 inet_ehashfn(Net& net, Key const& key) {
  return inet_ends_hash(net, key, tcp_worker_of(net).ehash_secret) + net.index;
}
template <class Net>
[[nodiscard]] u32 inet_bhashfn(Net& net, u16 port) {
  return (port + net.index * 0x9e37u) & (tcp_worker_of(net).hashinfo.bind_slots - 1);
}
template <class Net>
[[nodiscard]] inet_bind_hashbucket& inet_bind_bucket_of(Net& net, u16 port) {
  return tcp_worker_of(net).hashinfo.bhash[inet_bhashfn(net, port)];
}

// --- chains: connections, half-open ones and those in TIME-WAIT of a slot, in one, the latest first

namespace detail {
/// The slab of a kind, of tcp_worker.
template <inet_kind Kind, class Worker>
[[nodiscard]] auto& inet_slab(Worker& w) {
  if constexpr (Kind == inet_kind::sock)
    return w.socks;
  else if constexpr (Kind == inet_kind::request)
    return w.requests;
  else
    return w.timewaits;
}
/// visit(what the link, which is not the end, leads to).
template <class Worker, class F>
decltype(auto) inet_visit(Worker& w, inet_link at, F&& visit) {
  switch (at.kind()) {
    case inet_kind::sock: return visit(w.socks.at(at.index()));
    case inet_kind::request: return visit(w.requests.at(at.index()));
    default: return visit(w.timewaits.at(at.index()));
  }
}
template <class Net>
[[nodiscard]] inet_link& inet_ehash_slot(Net& net, u32 hash) {
  auto& info = tcp_worker_of(net).hashinfo;
  return info.ehash[info.slot(hash)];
}
/// Of its ends, as whoever is in the table knows it.
[[nodiscard]] inline u32& inet_hash_of(sock& sk) { return sk.sk_hash; }
[[nodiscard]] inline u32& inet_hash_of(tcp_request_sock& req) { return req.hash; }
[[nodiscard]] inline u32& inet_hash_of(tcp_timewait_sock& tw) { return tw.hash; }
/// A chain as it grows at its end.
struct inet_ehash_tail {
  inet_link* end;             ///< what follows is to be written here
  inet_link* last = nullptr;  ///< leads to the last that there is
  void append(inet_link link, inet_link& its_next) {
    if (last) last->set_last(false);
    *end = link;
    end->set_last(true);
    last = std::exchange(end, &its_next);
  }
};
/// One slot more, and into it what belongs there.
template <class Net>
NETSTACK_NOINLINE void inet_ehash_grow(Net& net) {
  auto& w = tcp_worker_of(net);
  auto& info = w.hashinfo;
  u32 const fresh = info.size, mask = info.mask;
  u32 const old = fresh & mask >> 1;
  inet_ehash_tail goes{&info.ehash[fresh]}, stays{&info.ehash[old]};
  for (inet_link at = *stays.end, next; at != inet_link{}; at = next) {
    inet_link& link = info.next(at);
    next = link;
    u32 const hash = inet_visit(w, at, [](auto& each) { return inet_hash_of(each); });
    ((hash & mask) == fresh ? goes : stays).append(at, link);
  }
  *goes.end = *stays.end = {};
  info.used.set(fresh, goes.last != nullptr);
  info.used.set(old, stays.last != nullptr);
  if (++info.size > mask) info.mask = 2 * mask + 1;
}
/// `hash`: of the object's ends.
template <class Net, class T>
void inet_ehash_insert(Net& net, T& object, u32 hash) {
  auto& info = tcp_worker_of(net).hashinfo;
  if (2 * ++info.entries > info.size && info.size < std::size(info.ehash)) [[unlikely]]
    inet_ehash_grow(net), inet_ehash_grow(net);
  u32 const slot = info.slot(hash);
  bool const first = !info.used.test(slot);  // then the slot, which may be far away, is not read
  inet_link const link{T::kind, inet_slab<T::kind>(tcp_worker_of(net)).index_of(&object), hash, first};
  info.next(link) = first ? inet_link{} : info.ehash[slot];
  info.ehash[slot] = link;
  info.used.set(slot, true);
  inet_hash_of(object) = hash;
}
template <class Net, class T>
void inet_ehash_erase(Net& net, T& object) {
  auto& w = tcp_worker_of(net);
  inet_link const link{T::kind, inet_slab<T::kind>(w).index_of(&object)};
  auto& info = w.hashinfo;
  u32 const slot = info.slot(inet_hash_of(object));
  inet_link *at = &info.ehash[slot], *before = nullptr;
  while (*at != link) before = std::exchange(at, &info.next(*at));
  *at = info.next(link);
  if (*at == inet_link{}) before ? before->set_last(true) : info.used.set(slot, false);
  --info.entries;
}
/// What has the same ends takes the place of `old`.
template <class Net, class Old, class T>
void inet_ehash_replace(Net& net, Old& old, T& object) {
  auto& w = tcp_worker_of(net);
  inet_link const link{Old::kind, inet_slab<Old::kind>(w).index_of(&old)};
  u32 const hash = inet_hash_of(object) = inet_hash_of(old);
  inet_link* at = &inet_ehash_slot(net, hash);
  while (*at != link) at = &w.hashinfo.next(*at);
  *at = {T::kind, inet_slab<T::kind>(w).index_of(&object), hash, at->is_last()};
  w.hashinfo.next(*at) = w.hashinfo.next(link);
}
}  // namespace detail

/// `for (T& each : inet_chain<T, Worker>{w, slot})`: those of one kind; the body may unlink and free the one it is
/// given.
template <class T, class Worker>
class inet_chain {
  Worker& w_;
  inet_link first_;

 public:
  class iterator {
    Worker* w_;
    inet_link at_, next_;
    void settle() {
      for (; at_ != inet_link{}; at_ = next_) {
        next_ = w_->hashinfo.next(at_);
        if (at_.kind() == T::kind) return;
      }
    }

   public:
    iterator(Worker& w, inet_link first) : w_(&w), at_(first) { settle(); }
    T& operator*() const { return detail::inet_slab<T::kind>(*w_).at(at_.index()); }
    iterator& operator++() {
      at_ = next_;
      settle();
      return *this;
    }
    friend bool operator==(iterator const& a, std::default_sentinel_t) { return a.at_ == inet_link{}; }
  };
  inet_chain(Worker& w, inet_link first) : w_(w), first_(first) {}
  [[nodiscard]] iterator begin() const { return {w_, first_}; }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
};
template <class T, class Worker>
[[nodiscard]] inet_chain<T, Worker> inet_chain_of(Worker& w, inet_link slot) {
  return {w, slot};
}

// --- lookup

namespace detail {
template <class Net, class Key>
bool inet_match(Net& net, sock const& sk, Key const& key) {
  return inet_ends_equal(net, sk, key) && sk.sk_net == &net &&
         (sk.sk_bound_dev_if == 0 || sk.sk_bound_dev_if == key.dif);
}
template <class Net, class Key>
bool inet_match(Net& net, tcp_request_sock const& req, Key const& key) {
  return inet_ends_equal(net, req.key, key) && req.net == &net && (req.key.dif == 0 || req.key.dif == key.dif);
}
template <class Net, class Key>
bool inet_match(Net& net, tcp_timewait_sock const& tw, Key const& key) {
  return inet_ends_equal(net, tw.key(), key) && tw.netns == net.index && (tw.dif == 0 || tw.dif == key.dif);
}
}  // namespace detail

/// Whom a segment between these ends, whose hash it is, is meant for, unless it is a listener.
template <class Net, class Key = inet_ehash_key>
[[nodiscard]] NETSTACK_NOINLINE inet_link inet_lookup(Net& net, Key const& key, u32 hash) {
  auto& w = tcp_worker_of(net);
  inet_link at = detail::inet_ehash_slot(net, hash);
  while (at != inet_link{}) {
    if (at.may_have(hash) &&
        detail::inet_visit(w, at, [&](auto const& each) { return detail::inet_match(net, each, key); }))
      break;
    if (at.is_last()) return {};
    at = w.hashinfo.next(at);
  }
  return at;
}
/// The connection that it is meant for.
template <class Net, class Key = inet_ehash_key>
[[nodiscard]] sock* inet_lookup_established(Net& net, Key const& key) {
  inet_link const found = inet_lookup(net, key, inet_ehashfn(net, key));
  return found.kind() == inet_kind::sock ? &tcp_worker_of(net).socks.at(found.index()) : nullptr;
}

namespace detail {
/// How much of the segment the listener asks for; -1: something else.
template <class Net, class Key>
int inet_listener_score(Net& net, sock const& sk, Key const& key) {
  if (sk.sk_net != &net || sk.sk_num != key.hnum) return -1;
  int score = 1;
  if (!inet_rcv_saddr_any(sk)) {
    if (!inet_rcv_saddr_is(net, sk, key)) return -1;
    score += 2;
  }
  if (sk.sk_bound_dev_if != 0) {
    if (sk.sk_bound_dev_if != key.dif) return -1;
    score += 1;
  }
  return score;
}
}  // namespace detail

/// Who listens on the ports that share a slot.
[[nodiscard]] inline slab_place inet_next_listener(tcp_sock const& sk) { return sk.icsk_listen.next; }
template <class Worker>
[[nodiscard]] auto inet_listeners_of(Worker& w, inet_bind_hashbucket const& bucket) {
  return detail::slab_range<decltype(w.socks), inet_next_listener>{w.socks, bucket.listeners};
}

namespace detail {
/// Of a SO_REUSEPORT group, the first of which was found: who of it the flow goes to.
template <class Net, class Key>
NETSTACK_NOINLINE sock* inet_lookup_reuseport(Net& net, Key const& key, sock& first, int score) {
  sock* chosen = &first;
  u32 flow = inet_ends_phash(net, key, tcp_worker_of(net).flow_secret), equals = 1;
  for (auto& sk : inet_listeners_of(tcp_worker_of(net), inet_bind_bucket_of(net, key.hnum))) {
    if (&sk == &first || !sk.sk_reuseport || inet_listener_score(net, sk, key) != score) continue;
    if ((u64{flow} * ++equals) >> 32 == 0) chosen = &sk;  // the n-th member takes the place with probability 1/n
    flow = flow * 1664525u + 1013904223u;
  }
  return chosen;
}
}  // namespace detail

/// MUST-41 MUST-42.
template <class Net, class Key = inet_ehash_key>
[[nodiscard]] sock* inet_lookup_listener(Net& net, Key const& key) {
  sock* best = nullptr;
  int best_score = 0;
  for (auto& sk : inet_listeners_of(tcp_worker_of(net), inet_bind_bucket_of(net, key.hnum)))
    if (int const score = detail::inet_listener_score(net, sk, key); score > best_score) best = &sk, best_score = score;
  if (best && best->sk_reuseport) [[unlikely]]
    return detail::inet_lookup_reuseport(net, key, *best, best_score);
  return best;
}

// --- who is found

/// From here on segments find the connection, whose ends have this hash.
template <class Net>
NETSTACK_INLINE void inet_hash_connection(Net& net, tcp_sock& tp, u32 hash) {
  detail::inet_ehash_insert(net, tp, hash);
  tp.hashed = true;
  ++tcp_worker_of(net).sk_genid;
}
/// proto::hash: from here on segments find the socket.
template <class Net>
result<void> inet_hash(Net& net, sock& sk) {
  if (sk.sk_state != tcp_state::listen)
    return inet_hash_connection(net, tcp_sk(sk), inet_ehashfn(net, inet_key_of(sk))), result<void>{};
  auto& first = inet_bind_bucket_of(net, sk.sk_num).listeners;
  inet_csk(sk).icsk_listen.next = std::exchange(first, tcp_worker_of(net).socks.index_of(&tcp_sk(sk)) + 1);
  tcp_sk(sk).hashed = true;
  ++tcp_worker_of(net).sk_genid;
  return {};
}
/// … in the place of what it was while it was half open, if that had one.
template <class Net>
void inet_hash_child(Net& net, tcp_sock& tp, tcp_request_sock& req) {
  if (req.hashed) [[likely]]
    detail::inet_ehash_replace(net, req, tp);
  else
    detail::inet_ehash_insert(net, tp, req.hash);
  req.hashed = false;
  tp.hashed = true;
  ++tcp_worker_of(net).sk_genid;
}
/// An ended one leaves its place to `tw`.
template <class Net>
void inet_twsk_hash_replace(Net& net, tcp_sock& tp, tcp_timewait_sock& tw) {
  detail::inet_ehash_replace(net, tp, tw);
  tp.hashed = false;
  ++tcp_worker_of(net).sk_genid;
}
/// proto::unhash. Before the state or an address changes.
template <class Net>
void inet_unhash(Net& net, sock& sk) {
  if (!tcp_sk(sk).hashed) return;
  tcp_sk(sk).hashed = false;
  ++tcp_worker_of(net).sk_genid;
  if (sk.sk_state != tcp_state::listen) [[likely]]
    return detail::inet_ehash_erase(net, tcp_sk(sk));
  auto& w = tcp_worker_of(net);
  slab_place* at = &inet_bind_bucket_of(net, sk.sk_num).listeners;
  while (&w.socks.at(*at - 1) != &sk) at = &w.socks.at(*at - 1).icsk_listen.next;
  *at = inet_csk(sk).icsk_listen.next;
}

// --- ports

/// tcp_minisocks.hpp: the place of a connection in TIME-WAIT is free.
template <class Net>
void inet_twsk_kill(Net& net, tcp_timewait_sock& tw);

/// shares: as a connection, which minds no other that has another peer.
template <class Net>
NETSTACK_INLINE void inet_bind_hash(Net& net, sock& sk, u16 port, bool shares) {
  auto& bucket = inet_bind_bucket_of(net, port);
  sk.sk_num = port;
  if (shares) [[likely]]
    bucket.add_connected(sk);
  else
    bucket.bound.push_front(sk), tcp_worker_of(net).hashinfo.set_bound(inet_bhashfn(net, port));
  tcp_sk(sk).bound = true;
  tcp_sk(sk).shares_port = shares;
}
/// The port is free for others again.
template <class Net>
void inet_put_port(Net& net, sock& sk) {
  if (!tcp_sk(sk).bound) return;
  auto& bucket = inet_bind_bucket_of(net, sk.sk_num);
  bucket.bound.erase(bucket.bound.iterator_to(sk));  // whichever of its lists it is
  if (!tcp_sk(sk).shares_port) tcp_worker_of(net).hashinfo.set_bound(inet_bhashfn(net, sk.sk_num));
  tcp_sk(sk).bound = false;
  sk.sk_num = 0;
}

namespace detail {

inline bool inet_devs_meet(u32 a, u32 b) { return a == 0 || b == 0 || a == b; }

/// Both would be asked for by the same SYN, or the one's late segments would reach the other. `relax`: unless both
/// sides said that they may share the port, SO_REUSEADDR until one of them listens.
template <class Net>
bool inet_bind_conflict(Net& net, sock const& sk, sock const& other, u16 port, bool relax) {
  if (&other == &sk || other.sk_net != sk.sk_net || other.sk_num != port) return false;
  if (!inet_devs_meet(sk.sk_bound_dev_if, other.sk_bound_dev_if)) return false;
  if (relax && sk.sk_reuse && other.sk_reuse && other.sk_state != tcp_state::listen) return false;
  if (relax && sk.sk_reuseport && other.sk_reuseport) return false;
  return inet_rcv_saddr_equal(net, sk, other, true);
}
template <class Net>
bool inet_port_inuse(Net& net, sock const& sk, u16 port, bool relax) {
  auto const& bucket = inet_bind_bucket_of(net, port);
  for (auto const* owners : {&bucket.bound, &bucket.newest, &bucket.connected})
    for (auto const& other : *owners)
      if (inet_bind_conflict(net, sk, other, port, relax)) return true;
  for (auto const& tw : bucket.timewaits.in(tcp_worker_of(net).timewaits)) {
    if (tw.netns != net.index || tw.hnum != port || !inet_rcv_saddr_meets(net, sk, tw)) continue;
    if (!inet_devs_meet(sk.sk_bound_dev_if, tw.dif)) continue;
    if (!relax || !((sk.sk_reuse && tw.reuse) || (sk.sk_reuseport && tw.reuseport))) return true;
  }
  return false;
}
/// Who asked for a port last, and shared it by SO_REUSEPORT, lets in whoever does so too and comes to its address,
/// itself included when it wants to listen, whatever the others who have it say. Linux: sk_reuseport_match, where that
/// holds until nobody has the port; here, only as long as that one has it: who is left speaks for himself.
template <class Net>
bool inet_reuseport_match(Net& net, sock const& sk, u16 port) {
  if (!sk.sk_reuseport) return false;
  for (auto const& latest : inet_bind_bucket_of(net, port).bound)
    if (latest.sk_net == &net && latest.sk_num == port)
      return tcp_sk(latest).bind_reuseport &&
             (!sock_flag(latest, sock_flags::bindaddr_lock) || inet_rcv_saddr_equal(net, latest, sk, false));
  return false;
}

inline constexpr u32 tw_stamp_shift = 24;
inline constexpr u64 tw_stamp_max_age = u64{15 * 60} * 1'000'000'000;  ///< of 18 minutes that a stamp can tell apart
[[nodiscard]] constexpr u16 tw_stamp(u64 now) { return static_cast<u16>(now >> tw_stamp_shift); }
/// The same clock, modulo two years, and how long ago it showed that, in ns; up to a tick more or less.
[[nodiscard]] constexpr u32 tw_clock(u64 now) { return static_cast<u32>(now >> tw_stamp_shift); }
[[nodiscard]] constexpr u64 tw_clock_since(u32 then, u64 now) { return u64{tw_clock(now) - then} << tw_stamp_shift; }
/// How long ago ts_recent was taken, in ns; up to a tick more.
[[nodiscard]] inline u64 tw_ts_recent_age(tcp_timewait_sock const& tw, u64 now) {
  return u64{static_cast<u16>(tw_stamp(now) - tw.ts_recent_stamp)} << tw_stamp_shift;
}
/// RFC 6191 §2 for who opens: may a connection of ours follow one in TIME-WAIT at once? With time stamps the peer can
/// tell their segments apart, once the clock has moved by more than the peer's may have. Who is bound to the port has
/// asked for it.
template <class Net>
bool tcp_twsk_unique(Net& net, sock const& sk, tcp_timewait_sock const& tw) {
  if (tw.is_fin_wait2 || tw.ts_recent == 0) return false;
  if (tcp_sk(sk).bound) return true;
  auto const& ns = tcp_pernet(net);
  u8 const reuse = ns.sysctl_tcp_tw_reuse;
  bool const within = inet_ends_within_host(net, tw);
  constexpr u64 tick = u64{1} << tw_stamp_shift;
  return (reuse == 1 || (reuse == 2 && within)) &&
         tw_ts_recent_age(tw, net.worker().now) > ns.sysctl_tcp_tw_reuse_delay + tick;
}
/// It does: it begins beyond what the old one said, and knows the peer's clock.
template <class Net>
NETSTACK_COLD void tcp_twsk_recycle(Net& net, tcp_sock& tp, tcp_timewait_sock& tw) {
  u32 const seq = tw.snd_nxt + 65535 + 2;
  tp.write_seq = seq != 0 ? seq : 1;
  tp.ts_recent = tw.ts_recent;
  tp.ts_recent_stamp = tw_clock(net.worker().now - tw_ts_recent_age(tw, net.worker().now));
  ++NET_STATS(net).TWRecycled;
  inet_twsk_kill(net, tw);
}
/// Nobody else has both ends of the connection that is to be, whose hash it is, but perhaps `tw`, whose place it may
/// take.
template <class Net, class Key>
bool inet_check_established(Net& net, sock const& sk, Key const& key, u32 hash, tcp_timewait_sock*& tw) {
  tw = nullptr;
  if (auto const& info = tcp_worker_of(net).hashinfo; !info.used.test(info.slot(hash))) [[likely]]
    return true;
  inet_link const found = inet_lookup(net, key, hash);
  tw = found.kind() == inet_kind::timewait ? &tcp_worker_of(net).timewaits.at(found.index()) : nullptr;
  return found.kind() != inet_kind::sock && (!tw || tcp_twsk_unique(net, sk, *tw));
}

/// Does bind() or listen() hold it?
template <class Net>
NETSTACK_COLD bool inet_port_bound(Net& net, sock const& sk, u16 port) {
  for (auto const& other : inet_bind_bucket_of(net, port).bound)
    if (other.sk_net == &net && other.sk_num == port &&
        (sock_flag(other, sock_flags::bindport_lock) || other.sk_state == tcp_state::listen ||
         other.sk_state == tcp_state::close) &&
        inet_rcv_saddr_equal(net, sk, other, true))
      return true;
  return false;
}
/// Every worker chooses among ports of its own, since none sees what the others have taken: with RPS on the way to the
/// peer, those whose answers come to it at once.
template <class Net>
bool inet_port_is_own(Net& net, sock const& sk, u16 port) {
  u32 const here = net.worker().id;
  net_device const* const dev = sk.sk_dst_cache ? sk.sk_dst_cache->dev : nullptr;
  u64 const mask = dev ? dev->rps_cpus & net.stack().online_workers() : 0;
  if ((mask >> here & 1) == 0) return port % Net::sizes.workers == here;
  auto key = inet_key_of(sk);
  key.hnum = port;
  return get_rps_cpu(mask, inet_ends_flow_hash(key, net.worker().softnet.hash_key), here) == here;
}
/// One of them for which free(port), or 0: then one that another worker may choose, too, has to do.
template <class Net, class Free>
u16 inet_own_port(Net& net, sock const& sk, u16 first, Free& free) {
  return inet_random_port(net, inet_sk(sk), first,
                          [&](u16 port) { return inet_port_is_own(net, sk, port) && free(port); });
}
/// May a connection that chooses its own port have this one? It shares with others of its kind, to other peers. `hash`:
/// of its ends then.
template <class Net>
bool inet_connect_port_free(Net& net, sock const& sk, u16 port, u32 hash, tcp_timewait_sock*& tw) {
  auto key = inet_key_of(sk);
  key.hnum = port;
  key.dif = sk.sk_bound_dev_if;
  u32 const slot = inet_bhashfn(net, port);
  auto const& info = tcp_worker_of(net).hashinfo;
  if (info.bhash_bound.test(slot) && inet_port_bound(net, sk, port)) [[unlikely]]
    return false;
  return inet_check_established(net, sk, key, hash, tw);
}

}  // namespace detail

/// proto::get_port. For a socket that has the port already: may it listen there? Errors: address_in_use.
template <class Net>
result<void> inet_csk_get_port(Net& net, sock& sk, u16 snum) {
  bool let_in = false;
  if (snum == 0) {
    // One that nobody has at all: whoever shares it could not listen later.
    auto const unused = [&](u16 port) { return !detail::inet_port_inuse(net, sk, port, false); };
    if constexpr (Net::sizes.workers > 1)
      snum = detail::inet_own_port(net, sk, inet_draw_port(net, inet_sk(sk)), unused);
    if (snum == 0) snum = inet_random_port(net, inet_sk(sk), unused);
    if (snum == 0) return failure{std::errc::address_in_use};
  } else {
    let_in = detail::inet_reuseport_match(net, sk, snum);
    if (!let_in && detail::inet_port_inuse(net, sk, snum, true)) return failure{std::errc::address_in_use};
  }
  // The first of the owners is who decided last how the port is shared.
  if (!let_in) inet_put_port(net, sk);
  if (!tcp_sk(sk).bound) {
    inet_bind_hash(net, sk, snum, false);
    auto& bound = inet_bind_bucket_of(net, snum).bound;
    if (let_in) bound.splice(bound.end(), bound, bound.iterator_to(sk));
  }
  tcp_sk(sk).bind_reuseport = sk.sk_reuseport;
  return {};
}

/// A port, and the hash of the ends of who gets it.
struct inet_port_choice {
  u16 port = 0;
  u32 hash = 0;
};
/// The port that inet_hash_connect tries first, if it chooses one: a random one, or of those behind it the first of
/// which the slot is empty, so that no chain is followed; what is written there is fetched. Both addresses are known.
template <class Net>
[[nodiscard]] NETSTACK_INLINE inet_port_choice inet_connect_port(Net& net, sock const& sk) {
  if (tcp_sk(sk).bound) return {.hash = inet_ehashfn(net, inet_key_of(sk))};
  auto const [low, size] = inet_local_ports(net, inet_sk(sk));
  auto& info = tcp_worker_of(net).hashinfo;
  auto key = inet_key_of(sk);
  key.hnum = static_cast<u16>(low + net.worker().random.below_by_halves(size));
  u32 hash = inet_ehashfn(net, key), slot = info.slot(hash), more = info.entries < info.size ? 4 : 0;
  for (; info.used.test(slot) && more != 0 && key.hnum != low + size - 1; --more)
    ++key.hnum, hash = inet_ehashfn(net, key), slot = info.slot(hash);
  __builtin_prefetch(&info.ehash[slot], 1);
  __builtin_prefetch(&inet_bind_bucket_of(net, key.hnum), 1);
  return {key.hnum, hash};
}
/// A port for a connection that knows both addresses and the peer's port, and their hash: its places among the others
/// (inet_bind_hash, inet_hash_connection) it takes when its SYN has left, since they are far away, and fetched
/// meanwhile. `first`: of inet_connect_port. Errors: address_not_available: all ports to this peer are taken, or the
/// one it is bound to.
template <class Net>
result<u32> inet_hash_connect(Net& net, sock& sk, inet_port_choice first) {
  auto key = inet_key_of(sk);
  key.dif = sk.sk_bound_dev_if;
  tcp_timewait_sock* tw = nullptr;
  u32 hash = first.hash;
  if (tcp_sk(sk).bound) [[unlikely]] {
    if (!detail::inet_check_established(net, sk, key, hash, tw)) return failure{std::errc::address_not_available};
  } else {
    auto const unused = [&](u16 port) {
      key.hnum = port;
      hash = port == first.port ? first.hash : inet_ehashfn(net, key);
      return detail::inet_connect_port_free(net, sk, port, hash, tw);
    };
    if constexpr (Net::sizes.workers > 1) key.hnum = detail::inet_own_port(net, sk, first.port, unused);
    if (Net::sizes.workers == 1 || key.hnum == 0) key.hnum = inet_random_port(net, inet_sk(sk), first.port, unused);
    if (key.hnum == 0) return failure{std::errc::address_not_available};
    sk.sk_num = key.hnum;
  }
  if (tw) detail::tcp_twsk_recycle(net, tcp_sk(sk), *tw);
  inet_sk(sk).inet_sport = be16{sk.sk_num};
  return hash;
}

}  // namespace netstack
