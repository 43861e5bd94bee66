// SPDX-License-Identifier: BSL-1.0
// Decides: what a change of state brings with it, how a connection ends whatever the reason, what the application is
// told and when. Nothing is told in the midst of a segment: it is noted, and told when the connection is in order,
// since a callback may do anything, closing it included. called by all of tcp/
// Linux: net/ipv4/tcp.c (tcp_set_state, tcp_done, tcp_write_queue_purge), net/ipv4/inet_connection_sock.c
// (inet_csk_destroy_sock, inet_csk_reset_xmit_timer), net/ipv4/tcp_input.c (tcp_reset)
#pragma once
#include "netstack/core/sock_alloc.hpp"
#include "netstack/core/sock_queue.hpp"
#include "netstack/tcp/inet_hashtables.hpp"

namespace netstack {

// --- timers

/// Runs the retransmission timer `us` from now, for this reason.
template <class Net>
NETSTACK_INLINE void inet_csk_reset_xmit_timer(Net& net, sock& sk, icsk_time what, u64 us) {
  inet_csk(sk).icsk_pending = what;
  icsk_start_timer(net, sk, icsk_wait::retransmit, net.worker().now + std::min<u64>(us, tcp_rto_max) * 1000);
}
template <class Net>
void inet_csk_clear_xmit_timer(Net&, sock& sk) {
  inet_csk(sk).icsk_pending = icsk_time::none;
  icsk_stop_timer(sk, icsk_wait::retransmit);
}
template <class Net>
void inet_csk_reset_keepalive_timer(Net& net, sock& sk, u64 ns) {
  icsk_start_timer(net, sk, icsk_wait::keepalive, net.worker().now + ns);
}
template <class Net>
void inet_csk_delete_keepalive_timer(Net&, sock& sk) {
  icsk_stop_timer(sk, icsk_wait::keepalive);
}
template <class Net>
void tcp_clear_xmit_timers(Net& net, sock& sk) {
  auto& icsk = inet_csk(sk);
  icsk.icsk_pending = icsk_time::none;
  std::fill(std::begin(icsk.icsk_due), std::end(icsk.icsk_due), 0);
  net.worker().timers.del_timer(icsk.icsk_timer);
  tcp_sk(sk).ack_scheduled = false;
}

/// tcp_timer.hpp: what is done when a deadline of a connection has come. Before any of them is set.
template <class Net>
void inet_csk_init_timers(Net& net, sock& sk);

// --- what is sent and kept

/// A segment leaves the write queue: its memory is the proto's again.
NETSTACK_INLINE void tcp_wmem_free_skb(sock& sk, sk_buff& skb) {
  if (!sk.sk_limits) __builtin_unreachable();
  u32 const truesize = skb.truesize;
  sk.sk_wmem_queued -= truesize;
  sk_mem_uncharge(sk, truesize);
  skb.pool->drop_payload_ref(skb);  // nobody sends it any more: it may go the short way
  skb.pool->free_one(skb, skb_run_destructor);
}
/// The first n, which end with `last`.
NETSTACK_NOINLINE inline void tcp_wmem_free_first(sock& sk, sk_buff& last, u32 n) {
  auto& pool = *last.pool;
  u32 truesize = 0;
  skb_list list = sk.sk_write_queue.dequeue_to(last, n);
  auto const leave = [&](sk_buff& skb) {
    skb.prev = nullptr;
    truesize += skb.truesize;
    pool.drop_payload_ref(skb);
  };
  pool.free_bulk(list, leave, skb_run_destructor);
  sk.sk_wmem_queued -= truesize;
  sk_mem_uncharge(sk, truesize);
}
/// It enters it.
inline void tcp_wmem_charge(sock& sk, sk_buff const& skb) {
  if (!sk.sk_limits) __builtin_unreachable();
  sk.sk_wmem_queued += skb.truesize;
  sk_mem_charge(sk, skb.truesize);
}
/// proto::stream_memory_free: more may be queued.
[[nodiscard]] inline bool tcp_stream_memory_free(sock const& sk) { return sk.sk_wmem_queued < sk.sk_sndbuf; }
/// TCP_NOTSENT_LOWAT.
template <class Net>
[[nodiscard]] u32 tcp_notsent_lowat(Net& net, tcp_sock const& tp) {
  return tp.rare->notsent_lowat != 0 ? tp.rare->notsent_lowat : tcp_pernet(net).sysctl_tcp_notsent_lowat;
}
/// … fewer bytes than that wait to be sent; `twice`: fewer than half of it.
template <class Net>
[[nodiscard]] bool tcp_below_notsent_lowat(Net& net, sock const& sk, bool twice) {
  auto const& tp = tcp_sk(sk);
  return (tp.write_seq - tp.snd_nxt) << twice < tcp_notsent_lowat(net, tp);
}
/// More may be queued now.
template <class Net>
[[nodiscard]] bool tcp_may_queue(Net& net, sock const& sk) {
  return tcp_stream_memory_free(sk) && tcp_below_notsent_lowat(net, sk, false);
}
/// Makes sure that so many more bytes may be charged for what is sent. Who has nothing under way gets them whatever
/// the limits say: no acknowledgment would ever tell it to try again.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_wmem_schedule(Net& net, sock& sk, u32 size) {
  if (sk_wmem_schedule(net, sk, size, sk.sk_wmem_queued)) [[likely]]
    return true;
  if (!sk.sk_write_queue.empty()) return false;
  sk_forced_mem_schedule(sk, size);
  return true;
}
/// A writer finds no room, or no frame: it is told when there is some, by what is acknowledged, or if nothing is under
/// way, by a timer, since frames come back to the pool from anywhere.
inline constexpr u64 tcp_space_retry_ns = 10'000'000;
template <class Net>
void tcp_await_space(Net& net, sock& sk) {
  tcp_sk(sk).nospace = true;
  bool const open = !tcp_in_state(sk, tcp_state::close, tcp_state::listen);
  if (open && sk.sk_write_queue.empty() && !icsk_waits_for(sk, icsk_wait::pacing))
    icsk_start_timer(net, sk, icsk_wait::pacing, net.worker().now + tcp_space_retry_ns);
}
/// A writer is woken, and poll() says writable, when a third of the buffer is free.
template <class Net>
[[nodiscard]] bool tcp_stream_is_writeable(Net& net, sock const& sk) {
  u32 const used = sk.sk_wmem_queued;
  return used < sk.sk_sndbuf && sk.sk_sndbuf - used >= used >> 1 && tcp_below_notsent_lowat(net, sk, true);
}
/// The send buffer follows the congestion window: twice what may be in flight, so that acknowledgments never find it
/// empty. What net/ipv4/tcp_wmem allows is payload: in Linux, whose packets hold dozens of segments, they cost hardly
/// more, while here each has a frame of its own.
template <class Net>
void tcp_sndbuf_expand(Net& net, sock& sk) {
  if (sock_flag(sk, sock_flags::sndbuf_lock)) return;
  auto const& tp = tcp_sk(sk);
  u64 const cost = net.worker().pool.frame_truesize();
  u64 const segments = std::max<u32>(tp.snd_cwnd, tcp_init_cwnd) + tp.reordering;
  u64 const most =
      static_cast<u32>(tcp_pernet(net).sysctl_tcp_wmem[2]) / std::max<u32>(tp.mss_cache, tcp_frame_payload);
  u64 const want = std::min({2 * segments, most, 0x7fff'ffff / cost}) * cost;
  if (sk.sk_sndbuf < want) sk.sk_sndbuf = static_cast<u32>(want);
}
/// tcp_mem: the segments of all connections take more than three quarters of what they may, or did and are not back
/// below half.
[[nodiscard]] inline bool tcp_under_memory_pressure(sock const& sk) { return sk.sk_memory->pressure; }
/// There is no memory for a further segment of anybody's.
template <class Net>
[[nodiscard]] bool tcp_out_of_memory(Net& net) {
  s64 const segment = (net.worker().pool.frame_truesize() + sk_mem_quantum - 1) / sk_mem_quantum;
  return tcp_worker_of(net).memory.allocated + segment > tcp_pernet(net).limits.mem[2];
}
/// Too much for a connection that nobody holds: there are too many of them, or it keeps what the others need. `shift`:
/// how often its claim is halved.
template <class Net>
[[nodiscard]] bool tcp_check_oom(Net& net, sock const& sk, u32 shift) {
  return u64{tcp_pernet(net).orphan_count} << shift > tcp_pernet(net).sysctl_tcp_max_orphans ||
         (sk.sk_wmem_queued > sock_min_sndbuf && tcp_out_of_memory(net));
}
/// How long FIN-WAIT-2 may last for a connection that nobody holds.
template <class Net>
[[nodiscard]] u64 tcp_fin_time(Net& net, tcp_sock const& tp) {
  u64 const wait = tp.rare->linger2 > 0 ? static_cast<u64>(tp.rare->linger2) * 1'000'000'000
                                        : tcp_pernet(net).sysctl_tcp_fin_timeout;
  return std::max(wait, u64{tp.icsk_rto} * 3500);  // time for the peer to repeat its FIN
}

/// What a connection keeps of a setting, or of what it saw.
[[nodiscard]] constexpr u16 tcp_narrow_reordering(u32 segments) {
  return static_cast<u16>(std::min(segments, 0xffffu));
}

/// Nothing is known of the path's MTU by trying.
inline void tcp_mtup_reset(tcp_sock& tp) {
  if (tp.mtu_probing) [[unlikely]]
    tp.mtu_probing = false;
  if (tp.rare != &tcp_no_rare) [[unlikely]]
    tcp_own_rare(tp).mtup = {};
}
/// What is amiss is kept here from now on, if nothing was.
template <class Net>
tcp_repair& tcp_repair_of(Net& net, tcp_sock& tp) {
  if (!tp.repair) {
    tp.repair = tcp_worker_of(net).repairs.alloc();
    BUG_ON(!tp.repair, "fewer tcp_repairs than connections");
    tp.repair->rtx_high = tp.repair->high_seq = tp.snd_una;
  }
  return *tp.repair;
}
template <class Net>
void tcp_repair_free(Net& net, tcp_sock& tp) {
  if (tp.repair) [[unlikely]]
    tcp_worker_of(net).repairs.free(std::exchange(tp.repair, nullptr));
}
/// All is as if nothing had been amiss: no segment in flight was sent twice, or is marked, and nobody waits for a sign.
template <class Net>
void tcp_repair_settle(Net& net, tcp_sock& tp) {
  if (!tp.repair || tp.ca_state != tcp_ca_state::open || (tp.sacked_out | tp.lost_out | tp.retrans_out) != 0 ||
      before(tp.snd_una, tp.repair->rtx_high) || tp.repair->sack_indexed || tp.tlp_outstanding || tp.dsack ||
      tp.rare->rto_stamp != 0 || tp.rare->mtup.probe_size != 0)
    return;
  tcp_repair_free(net, tp);
}

/// Throws away what was not acknowledged, and what was not read in order.
template <class Net>
void tcp_write_queue_purge(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  while (sk_buff* skb = sk.sk_write_queue.dequeue()) tcp_wmem_free_skb(sk, *skb);
  tp.send_head = nullptr;
  tp.tsorted_sent_queue.clear();
  tcp_repair_free(net, tp);
  tp.tlp_outstanding = tp.dsack = false;
  tp.packets_out = tp.sacked_out = tp.lost_out = tp.retrans_out = 0;
  inet_csk(sk).icsk_backoff = 0;
}
/// Nothing may wait behind a gap any more: then what it takes is given back.
template <class Net>
void tcp_ofo_settle(Net& net, tcp_sock& tp) {
  if (!tp.ofo || !tp.ofo->queue.empty()) return;
  tcp_worker_of(net).ofos.free(std::exchange(tp.ofo, nullptr));
}
template <class Net>
NETSTACK_COLD void tcp_ofo_purge_all(Net& net, tcp_sock& tp) {
  tp.ofo->queue.clear_and_dispose([](sk_buff* skb) { consume_skb(*skb); });
  tcp_ofo_settle(net, tp);
}
template <class Net>
void tcp_ofo_purge(Net& net, tcp_sock& tp) {
  if (tp.num_sacks != 0) [[unlikely]]
    tp.num_sacks = 0;
  if (tp.ofo) [[unlikely]]
    tcp_ofo_purge_all(net, tp);
}

// --- what the application is told

inline void tcp_note(sock& sk, u8 events) { tcp_sk(sk).events |= events; }

namespace detail {
/// tcp_tell, when somebody may want to hear it.
NETSTACK_NOINLINE inline void tcp_tell_slow(sock& sk, u8 events) {
  auto const tell = [&](u8 event, void (*sock_callbacks::*callback)(sock&)) {
    if ((events & event) && !sock_flag(sk, sock_flags::dead) && sk.sk_callbacks->*callback)
      (sk.sk_callbacks->*callback)(sk);
  };
  sock_hold(sk);
  tell(tcp_event::state, &sock_callbacks::state_change);
  tell(tcp_event::error, &sock_callbacks::error_report);
  tell(tcp_event::readable, &sock_callbacks::data_ready);
  tell(tcp_event::writable, &sock_callbacks::write_space);
  sock_put(sk);
}
}  // namespace detail

/// Tells what was noted. The last that is done with a connection: it may be gone afterwards, unless the caller holds
/// it.
NETSTACK_INLINE void tcp_tell(sock& sk) {
  u8 const events = std::exchange(tcp_sk(sk).events, u8{0});
  if (events == 0 || sk.sk_callbacks == &sock_no_callbacks) [[likely]]
    return;
  detail::tcp_tell_slow(sk, events);
}

// --- states

namespace detail {
/// It is found no more.
template <class Net>
NETSTACK_INLINE void __tcp_leave_tables(Net& net, sock& sk) {
  if (tcp_sk(sk).hashed) inet_unhash(net, sk);
  reqsk_fastopen_remove(sk);
  if (tcp_sk(sk).bound && !sock_flag(sk, sock_flags::bindport_lock)) inet_put_port(net, sk);
}
template <class Net>
NETSTACK_NOINLINE void tcp_leave_tables(Net& net, sock& sk) {
  __tcp_leave_tables(net, sk);
}
/// What a change of state counts: RFC 4022 the connections that are ESTABLISHED or CLOSE-WAIT.
template <class Net>
NETSTACK_INLINE void tcp_count_state(Net& net, u8 old, u8 state) {
  auto& mib = TCP_STATS(net);
  if (state == tcp_state::established && old != state) mib.CurrEstab += 1;
  if ((old == tcp_state::established && state != tcp_state::close_wait && state != old) ||
      (old == tcp_state::close_wait && state != old))
    mib.CurrEstab += ~u64{0};
  if (state == tcp_state::close && (old == tcp_state::close_wait || old == tcp_state::established)) ++mib.EstabResets;
}
}  // namespace detail
template <class Net>
NETSTACK_INLINE void tcp_set_state(Net& net, sock& sk, u8 state) {
  detail::tcp_count_state(net, sk.sk_state, state);
  if (state == tcp_state::close) detail::tcp_leave_tables(net, sk);
  sk.sk_state = state;
}

/// tcp_close.hpp: everything it had is given back.
template <class Net>
NETSTACK_INLINE void __tcp_destroy_sock(Net& net, sock& sk);
/// The end of a connection that nobody holds.
template <class Net>
NETSTACK_NOINLINE void inet_csk_destroy_sock(Net& net, sock& sk) {
  BUG_ON(sk.sk_state != tcp_state::close, "TCP connection destroyed while open");
  --tcp_pernet(net).orphan_count;
  __tcp_destroy_sock(net, sk);
  sk_release_last(net, sk);
}

/// The connection is over, in whatever way: it is found no more and does nothing more. Who reads, finds the end.
template <class Net>
void tcp_done(Net& net, sock& sk) {
  if (tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv)) ++TCP_STATS(net).AttemptFails;
  detail::tcp_count_state(net, sk.sk_state, tcp_state::close);
  detail::__tcp_leave_tables(net, sk);
  sk.sk_state = tcp_state::close;
  sk.sk_shutdown = shutdown_mask;
  if (sock_flag(sk, sock_flags::dead)) [[likely]]
    return inet_csk_destroy_sock(net, sk);
  tcp_clear_xmit_timers(net, sk);
  tcp_note(sk, tcp_event::state | tcp_event::readable | tcp_event::writable);
}

/// The connection fails: the next call is told why.
template <class Net>
NETSTACK_COLD void tcp_done_with_error(Net& net, sock& sk, std::errc why) {
  sk.sk_err = static_cast<std::int16_t>(why);
  tcp_note(sk, tcp_event::error);
  tcp_write_queue_purge(net, sk);
  tcp_done(net, sk);
}

/// MUST-12: a RST that is believed.
template <class Net>
NETSTACK_COLD void tcp_reset(Net& net, sock& sk) {
  if (tcp_passive_fastopen(sk)) {
    auto& listener = tcp_sk(*tcp_sk(sk).rare->fastopen_rsk);
    if (listener.rare->fastopen_qlen != 0) {  // it has not been closed meanwhile
      auto& rare = tcp_own_rare(listener);
      ++rare.fastopen_rst, rare.fastopen_rst_stamp = tcp_time_stamp(net);
    }
  }
  switch (sk.sk_state) {
    case tcp_state::syn_sent: return tcp_done_with_error(net, sk, std::errc::connection_refused);
    case tcp_state::close_wait: return tcp_done_with_error(net, sk, std::errc::broken_pipe);
    case tcp_state::close: return;
    default: return tcp_done_with_error(net, sk, std::errc::connection_reset);
  }
}

}  // namespace netstack
