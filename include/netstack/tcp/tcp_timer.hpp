// SPDX-License-Identifier: BSL-1.0
// Decides: what happens when nothing happens: a segment is repeated ever more rarely until the connection is given up,
// a closed window is asked about, an acknowledgment waits no longer, a silent peer is asked whether it lives. called by
// worker.timers → calls tcp_retransmit_skb, tcp_write_wakeup, tcp_send_ack
// Linux: net/ipv4/tcp_timer.c; RFC 6298 §5, RFC 9293 §3.8.3 (R1, R2), §3.8.4 (keepalive), §3.8.6.1 (probes)
#pragma once
#include "netstack/tcp/tcp_minisocks.hpp"
#include "netstack/tcp/tcp_user_timeout.hpp"

namespace netstack {

/// tcp_fastopen.hpp.
template <class Net>
void tcp_fastopen_cache_set(Net& net, sock const& sk, u16 mss, tcp_fastopen_cookie const* cookie, bool syn_lost);
template <class Net>
void tcp_fastopen_active_detect_blackhole(Net& net, sock const& sk, bool expired);

namespace detail {

/// RFC 9293 §3.8.3: given up.
template <class Net>
void tcp_write_err(Net& net, sock& sk) {
  ++NET_STATS(net).TCPAbortOnTimeout;
  auto const why = sk.sk_err_soft != 0 ? static_cast<std::errc>(sk.sk_err_soft) : std::errc::timed_out;
  tcp_done_with_error(net, sk, why);
}
/// Nobody waits for the result: a few tries more; none if nothing says so and the peer would be asked most rarely, or
/// is said not to be there (`alive`: neither).
template <class Net>
u32 tcp_orphan_retries(Net& net, sock const& sk, u64 rto) {
  bool const alive = rto < tcp_rto_max_of(tcp_sk(sk));
  if (!alive && sk.sk_err_soft != 0) return 0;
  u32 const n = tcp_pernet(net).sysctl_tcp_orphan_retries;
  return n == 0 && alive ? 8 : n;
}
/// One that nobody holds goes when others need its place, and sooner if nothing could be sent for long, if its peer
/// says nothing (`heard`: it may yet), or if a router says that it is not there: or peers who keep their window closed,
/// and answer, would hold all places for good. True: it is gone.
template <class Net>
bool tcp_out_of_resources(Net& net, sock& sk, bool heard) {
  auto const& tp = tcp_sk(sk);
  u64 const quiet = net.worker().now - tp.lsndtime;
  bool const stale = !heard || quiet > u64{tcp_rto_max_of(tp)} * 2000;
  if (!tcp_check_oom(net, sk, u32{stale} + (sk.sk_err_soft != 0))) [[likely]]
    return false;
  ++NET_STATS(net).TCPAbortOnMemory;
  if (heard || quiet <= tcp_timewait_len || (tp.snd_wnd == 0 && tp.packets_out == 0)) tcp_send_active_reset(net, sk);
  tcp_done(net, sk);
  return true;
}
/// TCP_USER_TIMEOUT (RFC 5482, MUST-21): so long since the peer was first asked, with something owed.
template <class Net>
bool tcp_user_timed_out(Net& net, tcp_sock const& tp) {
  return tp.rare->user_timeout != 0 &&
         net.worker().now - tp.rare->retrans_start >= u64{tp.rare->user_timeout} * 1'000'000;
}
/// So many repetitions of the oldest, or as much time as they would take, were without an answer.
template <class Net>
bool tcp_retransmits_timed_out(Net& net, sock& sk, u32 tries) {
  auto const& tp = tcp_sk(sk);
  if (tp.icsk_retransmits == 0 || tries == 0) return tp.icsk_retransmits != 0;
  bool const opening = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv);
  u32 const first = opening ? tcp_timeout_init : tcp_rto_min;
  u64 const most = tcp_model_timeout(tries, first, tcp_rto_max_of(tp));
  u64 const late = opening ? 0 : most / 64;  // Linux counts from the first repetition, too, by timers that are late
  return net.worker().now - tp.rare->retrans_start >= (most - late) * 1000;
}
/// How often a SYN is repeated, or a SYN-ACK, and once more if its connection is in use already, as in Linux.
[[nodiscard]] inline u32 tcp_opening_retries(tcp_net const& ns, tcp_sock const& tp) {
  if (tp.icsk_syn_retries != 0) return tp.icsk_syn_retries;
  return tp.rare->fastopen_rsk ? ns.sysctl_tcp_synack_retries + 1u : ns.sysctl_tcp_syn_retries;
}
/// MUST-20 MUST-22 MUST-23 SHLD-11: R2 is reached.
template <class Net>
bool tcp_write_timeout(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  bool const opening = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv);
  u32 most = opening ? tcp_opening_retries(ns, tp) : ns.sysctl_tcp_retries2;
  if (opening && tp.syn_fastopen) tcp_fastopen_cache_set(net, sk, 0, nullptr, true);
  if (!opening &&
      tcp_retransmits_timed_out(net, sk, ns.sysctl_tcp_retries1)) {  // R1, SHLD-10: another way, or smaller?
    tcp_mtu_probing(net, sk);
    sk_dst_reset(sk);
  }
  if (!opening && sock_flag(sk, sock_flags::dead)) most = tcp_orphan_retries(net, sk, tp.icsk_rto);
  // RFC 5482 §1: the user's timeout may be longer than R2, too; but not for who has no user any more.
  bool const own = tp.rare->user_timeout != 0 && !sock_flag(sk, sock_flags::dead);
  bool const tried =
      (opening &&
       tp.icsk_retransmits >= most + (sk.sk_state == tcp_state::syn_sent ? ns.sysctl_tcp_syn_linear_timeouts : 0u)) ||
      (!own && tcp_retransmits_timed_out(net, sk, most));
  bool const over = tried || (tp.icsk_retransmits != 0 && tcp_user_timed_out(net, tp));  // once more in any case
  if (tp.syn_fastopen || tp.syn_data_acked) tcp_fastopen_active_detect_blackhole(net, sk, over);
  return over;
}
/// What the first timeout of an episode found.
template <class Net>
void tcp_count_failure(Net& net, tcp_sock const& tp) {
  auto& mib = NET_STATS(net);
  bool const sack = tcp_is_sack(tp);
  if (tp.ca_state == tcp_ca_state::recovery)
    ++(sack ? mib.TCPSackRecoveryFail : mib.TCPRenoRecoveryFail);
  else if (tp.ca_state == tcp_ca_state::loss)
    ++mib.TCPLossFailures;
  else if (tp.ca_state == tcp_ca_state::disorder || tp.sacked_out != 0)
    ++(sack ? mib.TCPSackFailures : mib.TCPRenoFailures);
}

/// For how long what is in flight has been repeated, or waits to be for the first time; ns.
template <class Net>
u64 tcp_repeating(Net& net, tcp_sock const& tp, sk_buff& head) {
  u32 const since = tp.repair ? tp.repair->retrans_stamp : 0;
  if (since != 0) return u64{tcp_time_stamp(net) + tp.tsoffset - since} * 1'000'000;
  return net.worker().now - TCP_SKB_CB(head).sent;
}
/// MUST-37 SHLD-17: a peer that closed its window over what is in flight, and answers, is there; one answer may be
/// lost. For TCP_USER_TIMEOUT an answer that takes nothing is none.
template <class Net>
bool tcp_rtx_probe0_timed_out(Net& net, tcp_sock const& tp, sk_buff& head) {
  u64 const repeating = tcp_repeating(net, tp, head), most = u64{tcp_rto_max_of(tp)} * 2000;
  if (tp.rare->user_timeout != 0 && repeating >= u64{tp.rare->user_timeout} * 1'000'000) return true;
  return repeating > most && net.worker().now - tp.rcv_tstamp > most;
}

template <class Net>
void tcp_retransmit_timer(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  sk_buff* const head = tcp_sent_head(sk);
  if (!head) return;
  auto& past = tcp_rare_of(net, tp);
  bool const opening = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv);
  // As in Linux, a SYN is owed an answer since it was sent, anything else since it was sent again.
  if (tp.icsk_retransmits == 0) past.retrans_start = opening ? TCP_SKB_CB(*head).sent : net.worker().now;
  bool const dead = sock_flag(sk, sock_flags::dead), closed = tp.snd_wnd == 0 && !opening && !dead;
  if (dead && !opening) {
    u32 const tries = tcp_orphan_retries(net, sk, tp.icsk_rto);
    bool const heard = tp.icsk_rto < tcp_rto_max_of(tp) || !tcp_retransmits_timed_out(net, sk, tries);
    if (tcp_out_of_resources(net, sk, heard)) return;
  }
  if (!closed) ++NET_STATS(net).TCPTimeouts;
  if (closed ? tcp_rtx_probe0_timed_out(net, tp, *head) : tcp_write_timeout(net, sk)) return tcp_write_err(net, sk);
  if (tp.icsk_retransmits == 0 && !closed) tcp_count_failure(net, tp);
  tcp_enter_loss(net, sk);
  if (tp.icsk_retransmits == 0) ++past.total_rto_recoveries, past.rto_stamp = std::max(tcp_time_stamp(net), 1u);
  ++past.total_rto;
  if (tp.icsk_retransmits != 0xff) ++tp.icsk_retransmits;
  auto const r = tcp_retransmit_skb(net, sk, *head);
  // RFC 6298 §5.5, MUST-19: back off; what did not even leave is tried again soon.
  if (!r && r.error() == std::errc::no_buffer_space)
    return inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, std::min(tp.icsk_rto, tcp_resource_probe_interval));
  // But the first SYNs follow each other evenly, as in Linux: most often it was one of these that was lost.
  if (sk.sk_state != tcp_state::syn_sent || past.total_rto > tcp_pernet(net).sysctl_tcp_syn_linear_timeouts)
    ++tp.icsk_backoff, tp.icsk_rto = std::min(tp.icsk_rto << 1, tcp_rto_max_of(tp));
  u64 const since = closed ? net.worker().now - tcp_repeating(net, tp, *head) : past.retrans_start;
  inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, tcp_clamp_to_user_timeout(net, tp, since, tp.icsk_rto));
}

template <class Net>
void tcp_probe_timer(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  if (tp.packets_out != 0 || tp.snd_nxt == tp.write_seq) {
    tp.icsk_probes_out = 0;
    return;
  }
  // MUST-37, RFC 6429: as long as the peer answers, the connection stays, however long its window is closed; but
  // TCP_USER_TIMEOUT ends it, and one that nobody holds ends when it would be asked most rarely.
  bool const dead = sock_flag(sk, sock_flags::dead);
  u64& since = tcp_rare_of(net, tp).retrans_start;
  if (since == 0) since = net.worker().now;
  u64 const when = tcp_probe0_when(tp);
  u32 const most = dead ? tcp_orphan_retries(net, sk, when) : ns.sysctl_tcp_retries2;
  bool const rarest = when == tcp_rto_max_of(tp) && tp.icsk_backoff >= most;
  if (dead && !rarest && tcp_out_of_resources(net, sk, true)) return;
  if (tp.icsk_probes_out >= most || tcp_user_timed_out(net, tp) || (dead && rarest)) return tcp_write_err(net, sk);
  auto const r = tcp_write_wakeup(net, sk);
  // That no frame is left here says nothing of the peer: it counts for nothing, and is tried again soon.
  if (!r && r.error() == std::errc::no_buffer_space)
    return inet_csk_reset_xmit_timer(net, sk, icsk_time::probe0, tcp_resource_probe_interval);
  ++NET_STATS(net).TCPWinProbe;
  if (tp.packets_out != 0 || tp.snd_nxt == tp.write_seq) {
    tp.icsk_probes_out = tp.icsk_backoff = 0;
    return;
  }
  ++tp.icsk_probes_out;
  if (r && tp.icsk_backoff < ns.sysctl_tcp_retries2) ++tp.icsk_backoff;
  inet_csk_reset_xmit_timer(net, sk, icsk_time::probe0, tcp_clamp_to_user_timeout(net, tp, since, tcp_probe0_when(tp)));
}

template <class Net>
void tcp_write_timer_handler(Net& net, sock& sk) {
  if (tcp_bodiless(tcp_sk(sk)) && sk.sk_state != tcp_state::close && !tcp_embody(net, sk))
    return inet_csk_reset_xmit_timer(net, sk, inet_csk(sk).icsk_pending, tcp_resource_probe_interval);
  switch (std::exchange(inet_csk(sk).icsk_pending, icsk_time::none)) {
    case icsk_time::retrans: return tcp_retransmit_timer(net, sk);
    case icsk_time::probe0: return tcp_probe_timer(net, sk);
    case icsk_time::loss_probe: return tcp_send_loss_probe(net, sk);
    case icsk_time::reo_timeout: return tcp_rack_reo_timeout(net, sk);
    case icsk_time::none: return;
  }
}

template <class Net>
void tcp_delack_timer_handler(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tcp_in_state(sk, tcp_state::close, tcp_state::listen) || !tp.ack_scheduled) return;
  tp.pingpong = false;  // no answer came to ride on
  tcp_send_ack(net, sk);
  ++NET_STATS(net).DelayedACKs;
}

/// MAY-5 MUST-26 MUST-29: is the peer still there?
template <class Net>
void tcp_keepalive_timer(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  if (!sock_flag(sk, sock_flags::keepopen) || tcp_in_state(sk, tcp_state::close, tcp_state::listen)) return;
  auto const seconds = [](u32 own, u64 otherwise) { return own != 0 ? u64{own} * 1'000'000'000 : otherwise; };
  u64 const idle = seconds(tp.rare->keepalive_time, ns.sysctl_tcp_keepalive_time);
  u64 const interval = seconds(tp.rare->keepalive_intvl, ns.sysctl_tcp_keepalive_intvl);
  u32 const most = tp.rare->keepalive_probes ? tp.rare->keepalive_probes : ns.sysctl_tcp_keepalive_probes;
  // What is in flight asks by itself.
  if (tp.snd_una != tp.snd_nxt || tp.send_head || tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv))
    return inet_csk_reset_keepalive_timer(net, sk, idle);
  u64 const silent = net.worker().now - std::max(tp.rcv_tstamp, tp.lrcvtime);
  if (silent < idle) return inet_csk_reset_keepalive_timer(net, sk, idle - silent);
  if (tp.rare->user_timeout != 0 ? tp.icsk_probes_out > 0 && silent >= u64{tp.rare->user_timeout} * 1'000'000
                                 : tp.icsk_probes_out >= most) {
    tcp_send_active_reset(net, sk);
    return tcp_write_err(net, sk);
  }
  ++NET_STATS(net).TCPKeepAlive;
  if (tcp_xmit_probe_skb(net, sk)) ++tp.icsk_probes_out;
  inet_csk_reset_keepalive_timer(net, sk, interval);
}

/// A paced connection may send again, or a writer that waits for a frame may find one.
template <class Net>
void tcp_pacing_timer_handler(Net& net, sock& sk) {
  if (tcp_in_state(sk, tcp_state::close, tcp_state::listen)) return;
  tcp_xmit_retransmit_queue(net, sk);
  tcp_push_pending_frames(net, sk);
  if (!tcp_sk(sk).nospace || !sk.sk_write_queue.empty()) return;
  if (net.worker().pool.available() == 0) return tcp_await_space(net, sk);
  tcp_sk(sk).nospace = false;
  tcp_note(sk, tcp_event::writable);
}

/// The deadline is reached: it is one no longer.
inline bool tcp_is_due(sock& sk, icsk_wait what, u64 now) {
  u32& due = icsk_due_in_units(sk, what);
  return due != 0 && !before(static_cast<u32>(now >> icsk_unit_shift(what)), due) && std::exchange(due, 0u) != 0;
}
/// Who stood still for hours, as a process that was stopped, would take for yet to come what is long due: told from
/// when the timer was, it is due now.
NETSTACK_NOINLINE inline void tcp_timers_catch_up(sock& sk, u64 expires, u64 now) {
  for (u32 kind = 0; kind < icsk_wait_kinds; ++kind) {
    auto const what = static_cast<icsk_wait>(kind);
    if (icsk_waits_for(sk, what) && icsk_due_of(sk, what, expires) <= now)
      icsk_due_in_units(sk, what) = std::max(static_cast<u32>(now >> icsk_unit_shift(what)), 1u);
  }
}
/// The timer's function: the connection stays until it is done with, and the application hears of it at the end.
template <class Net>
void tcp_timer_function(void*, timer_list& timer) {
  sock& sk = from_timer<&inet_connection_sock::icsk_timer>(timer);
  auto& net = sock_net<Net>(sk);
  sock_hold(sk);
  constexpr u64 hour = 3'600'000'000'000;
  u64 const now = net.worker().now;
  if (now > timer.expires + hour) [[unlikely]]
    tcp_timers_catch_up(sk, timer.expires, now);
  if (tcp_is_due(sk, icsk_wait::delack, now)) tcp_delack_timer_handler(net, sk);
  if (tcp_is_due(sk, icsk_wait::retransmit, now)) tcp_write_timer_handler(net, sk);
  if (tcp_is_due(sk, icsk_wait::keepalive, now)) tcp_keepalive_timer(net, sk);
  if (tcp_is_due(sk, icsk_wait::pacing, now)) tcp_pacing_timer_handler(net, sk);
  // What was moved away meanwhile is waited for only now.
  u64 next = ~u64{0};
  for (u32 kind = 0; kind < icsk_wait_kinds; ++kind)
    next = std::min(next, icsk_due_of(sk, static_cast<icsk_wait>(kind), now) - 1);
  if (next != ~u64{0} && (!timer_pending(timer) || next + 1 < timer.expires))
    net.worker().timers.mod_timer(timer, next + 1);
  tcp_tell(sk);
  sock_put(sk);
}

}  // namespace detail

template <class Net>
void inet_csk_init_timers(Net&, sock& sk) {
  inet_csk(sk).icsk_timer.function = detail::tcp_timer_function<Net>;
}

/// SO_KEEPALIVE is on, MUST-24 MUST-25 MUST-27 MUST-28: from now on, or from when the connection is there.
template <class Net>
void tcp_start_keepalive(Net& net, sock& sk) {
  auto const& tp = tcp_sk(sk);
  if (!sock_flag(sk, sock_flags::keepopen)) return;
  u64 const idle = tp.rare->keepalive_time != 0 ? u64{tp.rare->keepalive_time} * 1'000'000'000
                                                : tcp_pernet(net).sysctl_tcp_keepalive_time;
  inet_csk_reset_keepalive_timer(net, sk, idle);
}

}  // namespace netstack
