// SPDX-License-Identifier: BSL-1.0
// Decides: what TCP shows of itself: /proc/net/tcp in the kernel's columns, its line of sockstat. [S166] [S167]
// [S175]
// Linux: net/ipv4/tcp_ipv4.c (get_tcp4_sock, get_openreq4, get_timewait4_sock), net/ipv4/proc.c
#pragma once
#include <bit>

#include "netstack/core/sock_alloc.hpp"
#include "netstack/tcp/tcp_recvmsg.hpp"

namespace netstack {

inline constexpr std::size_t tcp_seq_width = 149;
inline constexpr char tcp4_seq_header[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                  "
    " "
    "                                  \n";
static_assert(sizeof tcp4_seq_header - 1 == tcp_seq_width + 1);

namespace detail {

/// What the kernel prints times in: a hundredth of a second.
[[nodiscard]] constexpr unsigned long tcp_clock_t(u64 ns) { return static_cast<unsigned long>(ns / 10'000'000); }
[[nodiscard]] constexpr unsigned long tcp_left(u64 due, u64 now) { return due > now ? tcp_clock_t(due - now) : 0; }
/// Each timer that runs holds the sock in Linux.
[[nodiscard]] inline u32 tcp_refs(sock const& sk) {
  u32 n = sk.sk_refcnt;
  for (auto const what : {icsk_wait::retransmit, icsk_wait::delack, icsk_wait::keepalive})
    n += icsk_waits_for(sk, what);
  return n;
}

template <class Net>
void tcp_seq_sock(Net& net, seq_file& m, sock const& sk, u32 slot, u64 place) {
  auto const& tp = tcp_sk(sk);
  u64 const now = net.worker().now;
  unsigned active = 0;
  unsigned long when = 0;
  if (tp.icsk_pending == icsk_time::probe0)
    active = 4, when = tcp_left(icsk_due_of(sk, icsk_wait::retransmit, now), now);
  else if (tp.icsk_pending != icsk_time::none)
    active = 1, when = tcp_left(icsk_due_of(sk, icsk_wait::retransmit, now), now);
  else if (u64 const due = icsk_due_of(sk, icsk_wait::keepalive, now); due != 0)
    active = 2, when = tcp_left(due, now);
  bool const listening = sk.sk_state == tcp_state::listen;
  u32 const rx = listening ? tp.icsk_listen.ack_backlog : tp.rcv_nxt - tp.copied_seq;
  int const ssthresh = listening                                  ? tp.rare->fastopen_max_qlen
                       : tp.snd_ssthresh >= tcp_infinite_ssthresh ? -1
                                                                  : static_cast<int>(tp.snd_ssthresh);
  inet_seq_ends(net, m, slot, inet_key_of(sk));
  seq_printf(m, " %02X %08X:%08X %02X:%08lX %08X %5u %8u %llu %u %016llx %lu %lu %u %u %d", sk.sk_state,
             tp.write_seq - tp.snd_una, rx, active, when, tp.icsk_retransmits, 0u, tp.icsk_probes_out,
             static_cast<unsigned long long>(sk.sk_socket ? sk.sk_socket->i_ino : 0), tcp_refs(sk),
             static_cast<unsigned long long>(place), tcp_clock_t(u64{tp.icsk_rto} * 1000),
             tcp_clock_t(tp.lrcvtime != 0 ? tcp_delack_min : 0), unsigned{tp.quick_acks} << 1 | tp.pingpong,
             tp.snd_cwnd, ssthresh);
}
template <class Net, class Key>
void tcp_seq_mini(Net& net, seq_file& m, Key const& key, u64 due, u8 state, unsigned active, unsigned retrans, u32 slot,
                  u64 place) {
  inet_seq_ends(net, m, slot, key);
  seq_printf(m, " %02X %08X:%08X %02X:%08lX %08X %5d %8d %d %d %016llx", state, 0u, 0u, active,
             tcp_left(due, net.worker().now), retrans, 0, 0, 0, active == 3 ? 3 : 0,
             static_cast<unsigned long long>(place));
}

/// Of a port's listeners in this namespace, the next by place in their slab: who stays while the text is read is listed
/// once, whatever else comes and goes.
template <class Net>
sock const* tcp_seq_listener(Net& net, u64 port, u64 after_place, u64& found_at) {
  auto& w = tcp_worker_of(net);
  sock const* found = nullptr;
  found_at = ~u64{0};
  for (auto& sk : inet_listeners_of(w, w.hashinfo.bhash[port])) {
    u64 const place = u64{w.socks.index_of(&sk)} + 1;
    if (sk.sk_net == &net && place > after_place && place < found_at) found = &sk, found_at = place;
  }
  return found;
}

/// A hash with its bits in reverse: an order that stays the same when the table grows between two reads, since each
/// slot has a range of it, and a new one takes half of another's.
[[nodiscard]] constexpr u32 tcp_seq_order(u32 hash) {
  hash = (hash & 0x5555'5555u) << 1 | (hash >> 1 & 0x5555'5555u);
  hash = (hash & 0x3333'3333u) << 2 | (hash >> 2 & 0x3333'3333u);
  hash = (hash & 0x0f0f'0f0fu) << 4 | (hash >> 4 & 0x0f0f'0f0fu);
  return bswap(hash);
}
template <class Net>
bool tcp_seq_mine(Net& net, sock const& sk) {
  return sk.sk_net == &net;
}
template <class Net>
bool tcp_seq_mine(Net& net, tcp_request_sock const& req) {
  return req.net == &net;
}
template <class Net>
bool tcp_seq_mine(Net& net, tcp_timewait_sock const& tw) {
  return tw.netns == net.index;
}
/// The next of the table by order, then by link, from the one on that `order` and `after` tell; moves them to it. The
/// end: there is none.
template <class Net>
inet_link tcp_seq_next(Net& net, u64& order, u64& after) {
  auto& w = tcp_worker_of(net);
  auto& info = w.hashinfo;
  u32 const shift = 32 - static_cast<u32>(std::bit_width(info.mask));
  for (; order >> 32 == 0; order = ((order >> shift) + 1) << shift, after = 0) {
    inet_link found;
    u64 best = 0;
    for (inet_link at = info.ehash[info.slot(tcp_seq_order(static_cast<u32>(order)))]; at != inet_link{};
         at = info.next(at))
      inet_visit(w, at, [&](auto& each) {
        u64 const here = tcp_seq_order(inet_hash_of(each));
        bool const later = here > order || (here == order && at.name() > after);
        bool const sooner = found == inet_link{} || here < best || (here == best && at.name() < found.name());
        if (here >> shift == order >> shift && later && sooner && tcp_seq_mine(net, each)) found = at, best = here;
      });
    if (found != inet_link{}) return order = best, after = found.name(), found;
  }
  return {};
}

}  // namespace detail

/// One sock a record: listeners first, then connections, those that are half open and those that ended, mingled.
template <class Net>
bool tcp4_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  auto& w = tcp_worker_of(net);
  u64 const ports = w.hashinfo.bind_slots;
  std::size_t const start = m.count();
  u32 const sl = static_cast<u32>(at.index);
  sock const* sk = nullptr;
  u64 place = 0;
  for (; at.bucket < ports && !sk; sk ? at.key = place : (++at.bucket, at.key = 0))
    sk = detail::tcp_seq_listener(net, at.bucket, at.key, place);
  inet_link link;
  if (!sk) {
    u64 order = at.bucket - ports;
    link = detail::tcp_seq_next(net, order, at.key);
    at.bucket = ports + order;
    if (link == inet_link{}) return false;
    place = u64{link.index()} + 1;
    if (link.kind() == inet_kind::sock) sk = &w.socks.at(link.index());
  }
  if (sk) {
    detail::tcp_seq_sock(net, m, *sk, sl, place);
  } else if (link.kind() == inet_kind::timewait) {
    auto const& tw = w.timewaits.at(link.index());
    s32 const left = static_cast<s32>(tw.due - tcp_time_stamp(net));
    u64 const due = net.worker().now + (left > 0 ? static_cast<u64>(left) * 1'000'000 : 0);
    detail::tcp_seq_mini(net, m, tw.key(), due, tw.substate(), 3, 0, sl, place);
  } else {
    auto const& req = w.requests.at(link.index());
    detail::tcp_seq_mini(net, m, req.key, req.due, tcp_state::syn_recv, 1, req.num_timeout, sl, place);
  }
  ++at.index;
  seq_pad(m, start, tcp_seq_width, '\n');
  return true;
}

template <class Net>
void tcp_sockstat_show(Net& net, seq_file& m) {
  auto& w = tcp_worker_of(net);
  seq_put_decimal_ull(m, "TCP: inuse ", sock_prot_inuse_get(net, proto_index<Net>("TCP")));
  seq_put_decimal_ull(m, " orphan ", tcp_pernet(net).orphan_count);
  seq_put_decimal_ull(m, " tw ", w.timewaits.in_use());
  seq_put_decimal_ull(m, " alloc ", w.memory.sockets_allocated);
  seq_put_decimal_ll(m, " mem ", w.memory.allocated);
  seq_putc(m, '\n');
}

}  // namespace netstack
