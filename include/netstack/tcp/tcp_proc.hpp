// SPDX-License-Identifier: BSL-1.0
// Decides: what TCP shows of itself: /proc/net/tcp in the kernel's columns, its line of sockstat. [S166] [S167]
// [S175]
// Linux: net/ipv4/tcp_ipv4.c (get_tcp4_sock, get_openreq4, get_timewait4_sock), net/ipv4/proc.c
#pragma once
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
    n += icsk_due_of(sk, what) != 0;
  return n;
}

template <class Net>
void tcp_seq_sock(Net& net, seq_file& m, sock const& sk, u32 slot, u64 place) {
  auto const& tp = tcp_sk(sk);
  u64 const now = net.worker().now;
  unsigned active = 0;
  unsigned long when = 0;
  if (tp.icsk_pending == icsk_time::probe0)
    active = 4, when = tcp_left(icsk_due_of(sk, icsk_wait::retransmit), now);
  else if (tp.icsk_pending != icsk_time::none)
    active = 1, when = tcp_left(icsk_due_of(sk, icsk_wait::retransmit), now);
  else if (u64 const due = icsk_due_of(sk, icsk_wait::keepalive); due != 0)
    active = 2, when = tcp_left(due, now);
  bool const listening = sk.sk_state == tcp_state::listen;
  u32 const rx = listening ? tp.icsk_listen.ack_backlog : tp.rcv_nxt - tp.copied_seq;
  int const ssthresh = listening                                  ? tp.fastopen_max_qlen
                       : tp.snd_ssthresh >= tcp_infinite_ssthresh ? -1
                                                                  : static_cast<int>(tp.snd_ssthresh);
  seq_printf(m, "%4u: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8u %llu %u %016llx %lu %lu %u %u %d",
             slot, sk.sk_rcv_saddr.raw(), tp.inet_sport.host(), sk.sk_daddr.raw(), sk.sk_dport.host(), sk.sk_state,
             tp.write_seq - tp.snd_una, rx, active, when, tp.icsk_retransmits, 0u, tp.icsk_probes_out,
             static_cast<unsigned long long>(sk.sk_socket ? sk.sk_socket->i_ino : 0), tcp_refs(sk),
             static_cast<unsigned long long>(place), tcp_clock_t(u64{tp.icsk_rto} * 1000),
             tcp_clock_t(tp.lrcvtime != 0 ? tcp_delack_min : 0), unsigned{tp.quick_acks} << 1 | tp.pingpong,
             tp.snd_cwnd, ssthresh);
}
template <class Net>
void tcp_seq_mini(Net& net, seq_file& m, inet_ehash_key const& key, u64 due, u8 state, unsigned active,
                  unsigned retrans, u32 slot, u64 place) {
  seq_printf(m, "%4u: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5d %8d %d %d %016llx", slot, key.daddr.raw(),
             key.hnum, key.saddr.raw(), key.sport.host(), state, 0u, 0u, active, tcp_left(due, net.worker().now),
             retrans, 0, 0, 0, active == 3 ? 3 : 0, static_cast<unsigned long long>(place));
}

/// Of a slot's members in this namespace, the next by place in their slab: who stays while the text is read is listed
/// once, whatever else comes and goes.
template <class Slab, class List, class Mine>
auto* tcp_seq_next(Slab const& slab, List const& slot, Mine mine, u64 after_place, u64& found_at) {
  decltype(&*slot.begin()) found = nullptr;
  found_at = ~u64{0};
  for (auto& entry : slot) {
    u64 const place = u64{slab.index_of(static_cast<typename Slab::value_type const*>(&entry))} + 1;
    if (mine(entry) && place > after_place && place < found_at) found = &entry, found_at = place;
  }
  return found;
}

}  // namespace detail

/// One sock a record: listeners first, then by slot connections, those that ended, and those that are half open.
template <class Net>
bool tcp4_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  auto& w = tcp_worker_of(net);
  auto& info = w.hashinfo;
  u64 const ports = info.bind_slots, slots = u64{info.mask} + 1;
  for (; at.bucket < ports + 3 * slots; ++at.bucket, at.key = 0) {
    // First the listeners; then three kinds of each slot in turn.
    bool const listening = at.bucket < ports;
    u64 const slot = listening ? at.bucket : (at.bucket - ports) / 3, kind = listening ? 3 : (at.bucket - ports) % 3;
    u64 place = 0;
    std::size_t const start = m.count();
    u32 const sl = static_cast<u32>(at.index);
    if (kind == 3 || kind == 0) {
      auto& list = kind == 3 ? info.bhash[slot].listeners : info.ehash[slot].socks;
      auto* const sk = detail::tcp_seq_next(
          w.socks, list, [&](sock const& e) { return e.sk_net == &net; }, at.key, place);
      if (!sk) continue;
      detail::tcp_seq_sock(net, m, *sk, sl, place);
    } else if (kind == 1) {
      auto* const tw = detail::tcp_seq_next(
          w.timewaits, info.ehash[slot].timewaits.in(w.timewaits), [&](auto const& e) { return e.netns == net.index; },
          at.key, place);
      if (!tw) continue;
      s32 const left = static_cast<s32>(tw->due - tcp_time_stamp(net));
      u64 const due = net.worker().now + (left > 0 ? static_cast<u64>(left) * 1'000'000 : 0);
      detail::tcp_seq_mini(net, m, tw->key(), due, tw->substate(), 3, 0, sl, place);
    } else {
      auto* const req = detail::tcp_seq_next(
          w.requests, info.ehash[slot].requests, [&](auto const& e) { return e.net == &net; }, at.key, place);
      if (!req) continue;
      detail::tcp_seq_mini(net, m, req->key, req->rsk_timer.expires, tcp_state::syn_recv, 1, req->num_timeout, sl,
                           place);
    }
    at.key = place;
    ++at.index;
    seq_pad(m, start, tcp_seq_width, '\n');
    return true;
  }
  return false;
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
