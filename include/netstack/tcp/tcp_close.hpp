// SPDX-License-Identifier: BSL-1.0
// Decides: how a TCP socket begins and ends: its defaults, shutdown(), close() in every state, and starting over. What
// is closed while the connection still has something to say lives on without a handle. called by sk_prot's init,
// shutdown, close, disconnect, destroy
// Linux: net/ipv4/tcp.c (tcp_init_sock, tcp_close, tcp_shutdown, tcp_disconnect), net/ipv4/inet_connection_sock.c
// (inet_csk_listen_stop); RFC 9293 §3.6 (closing), RFC 2525 §2.17 (data that was not read) [S104] [S148]
#pragma once
#include "netstack/tcp/tcp_ipv4.hpp"
#include "netstack/tcp/tcp_recvmsg.hpp"

namespace netstack {

namespace detail {

/// The share of a receive buffer that is payload, as long as no peer is known: of full segments on Ethernet.
template <class Net>
[[nodiscard]] u8 tcp_init_scaling_ratio(Net& net) {
  return tcp_scaling_ratio_of(net, 1460 - tcpopt::tstamp_aligned);
}
/// What a connection starts over from.
template <class Net>
void tcp_init_state(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  tp.srtt_us = tp.mdev_us = tp.rttvar_us = tp.rtt_min_us = 0;
  tp.icsk_rto = tcp_timeout_init;
  tp.icsk_retransmits = tp.icsk_backoff = tp.icsk_probes_out = 0;
  tp.snd_cwnd = tcp_init_cwnd;
  tp.snd_cwnd_cnt = 0;
  tp.snd_ssthresh = tcp_infinite_ssthresh;
  tp.ca_state = tcp_ca_state::open;
  tp.mss_cache = tp.mss_clamp = tp.rcv_mss = tcp_mss_default;
  tp.max_window = tp.max_packets_out = tp.pmtu_cookie = 0;
  tp.snd_wscale = tp.rcv_wscale = 0;
  tp.quick_acks = 0;
  tp.pingpong = tp.ack_scheduled = tp.ack_now = tp.ack_nomem = tp.cwnd_limited = tp.nospace = tp.dsack = tp.urg_mode =
      false;
  tp.reordering = tcp_narrow_reordering(tcp_pernet(net).sysctl_tcp_reordering);
  tp.undo_marker_set = tp.reord_seen = tp.rack_in_dsack_round = tp.rack_advanced = tp.is_sack_reneg = tp.frto = false;
  tp.rack_reo_wnd_steps = 1, tp.rack_reo_wnd_persist = 0;
  tp.rack_mstamp = 0;
  tp.urg_data = 0;
  tp.bytes_received = tp.bytes_acked = 0;
  tp.segs_in = tp.segs_out = tp.delivered = 0;
  static_cast<tcp_account&>(tp) = {};
  static_cast<tcp_rcvq&>(tp) = {};
  tp.ts_recent = 0;
  tp.rcv_tstamp = tp.lrcvtime = tp.lsndtime = 0;
  tp.rcv_nxt = tp.rcv_wup = tp.copied_seq = tp.rcv_wnd = 0;
  sk.sk_shutdown = 0;
  sock_reset_flag(sk, sock_flags::done);
  if (tp.rare != &tcp_no_rare) static_cast<tcp_past&>(tcp_own_rare(tp)) = {};
  tp.app_limited = tp.rate_delivered = tp.rate_interval_us = 0;
  tp.rate_app_limited = true;
  tcp_mtup_reset(tp);
  tp.uto_due = false;
  if (!tp.user_timeout_set && tp.rare->user_timeout != 0) tcp_own_rare(tp).user_timeout = 0;  // the peer had advised it
  tp.window_clamp = tcp_no_window_clamp;
  tp.scaling_ratio = tcp_init_scaling_ratio(net);
  if (sk.sk_rare != &sock_no_rare)
    sk_own_rare(sk).pacing_rate = sk.sk_rare->max_pacing_rate, sk_own_rare(sk).pacing_release = 0;
  tp.ecn_flags = 0;
  tcp_cleanup_congestion_control(net, sk);
  tcp_assign_congestion_control(net, sk);
}

/// The state after close() or shutdown() for writing; true: a FIN is to be sent.
template <class Net>
bool tcp_close_state(Net& net, sock& sk) {
  switch (sk.sk_state) {
    case tcp_state::syn_recv:
      // RFC 9293 §3.10.4: the FIN goes at once, behind what was written; ESTABLISHED, where that would begin, is
      // passed.
      if (!inet_csk(sk).icsk_ca_initialized) tcp_init_transfer(net, sk);
      [[fallthrough]];
    case tcp_state::established: tcp_set_state(net, sk, tcp_state::fin_wait1); return true;
    case tcp_state::close_wait: tcp_set_state(net, sk, tcp_state::last_ack); return true;
    case tcp_state::syn_sent:
    case tcp_state::listen: tcp_set_state(net, sk, tcp_state::close); return false;
    default: return false;
  }
}

/// Nobody holds it any more.
template <class Net>
void tcp_orphan(Net& net, sock& sk) {
  sock_set_flag(sk, sock_flags::dead);
  sk_forget_writer(net.worker().pool, sk);
  sk.sk_socket = nullptr;
  tcp_sk(sk).events = 0;
  ++tcp_pernet(net).orphan_count;
}
/// Unread data, or a connection that is thrown away, is answered with a RST; RFC 9293 §3.10.5: not where both FINs were
/// sent. Of one that is yet to leave the state tells nothing.
[[nodiscard]] inline bool tcp_need_reset(sock const& sk) {
  auto const& tp = tcp_sk(sk);
  return tcp_in_state(sk, tcp_state::established, tcp_state::close_wait, tcp_state::fin_wait1, tcp_state::fin_wait2,
                      tcp_state::syn_recv) ||
         (tcp_in_state(sk, tcp_state::closing, tcp_state::last_ack) && tp.snd_nxt != tp.write_seq);
}
template <class Net>
NETSTACK_COLD void tcp_abort(Net& net, sock& sk, bool unread = false) {
  if (unread || tcp_need_reset(sk)) tcp_send_active_reset(net, sk);
  tcp_set_state(net, sk, tcp_state::close);
  tcp_clear_xmit_timers(net, sk);
}
inline bool tcp_purge_received(sock& sk) {
  if (sk.sk_receive_queue.empty()) [[likely]]
    return false;
  u32 const fin = sock_flag(sk, sock_flags::done) ? 1 : 0;
  bool const unread = before(tcp_sk(sk).copied_seq, tcp_sk(sk).rcv_nxt - fin);
  skb_queue_purge(sk.sk_receive_queue);
  return unread;
}

}  // namespace detail

/// A listener listens no more: whoever waited in one of its queues is told so.
template <class Net>
void inet_csk_listen_stop(Net& net, sock& sk) {
  while (sock* const child = inet_csk_reqsk_queue_remove(sk)) {
    detail::tcp_orphan(net, *child);
    detail::tcp_abort(net, *child);
    inet_csk_destroy_sock(net, *child);
    sock_put(*child);
  }
  if (inet_csk(sk).icsk_listen.syn_qlen == 0) return;
  auto& w = tcp_worker_of(net);
  for (inet_link const& slot : w.hashinfo.slots())
    for (auto& req : inet_chain_of<tcp_request_sock>(w, slot))
      if (req.rsk_listener == &sk) inet_csk_reqsk_queue_drop(net, req);
}

/// proto::init.
template <class Net>
result<void> tcp_init_sock(Net& net, sock& sk) {
  auto const& ns = tcp_pernet(net);
  sk.sk_sndbuf = static_cast<u32>(ns.sysctl_tcp_wmem[1]);
  sk.sk_rcvbuf = static_cast<u32>(ns.sysctl_tcp_rmem[1]);
  tcp_init_timer_bounds(net, tcp_sk(sk));
  tcp_sk(sk).reordering = tcp_narrow_reordering(ns.sysctl_tcp_reordering);
  tcp_assign_congestion_control(net, sk);
  return {};
}
namespace detail {
/// It has something beside itself, or queued, or has its port yet.
[[nodiscard]] NETSTACK_INLINE bool tcp_owns_more(sock const& sk) {
  auto const& tp = tcp_sk(sk);
  auto const bits = [](auto const* of) { return reinterpret_cast<std::uintptr_t>(of); };
  auto const beside =
      bits(tp.repair) | bits(tp.ofo) | (bits(tp.rare) ^ bits(&tcp_no_rare)) | (bits(sk.sk_rare) ^ bits(&sock_no_rare));
  return (beside | tp.saved_syn | tp.fastopen_ctx | sk.sk_write_queue.qlen()) != 0 || tp.bound || tp.syn_fastopen;
}
template <class Net>
NETSTACK_COLD void tcp_give_back(Net& net, sock& sk) {
  if (!sk.sk_write_queue.empty()) tcp_write_queue_purge(net, sk);
  tcp_repair_free(net, tcp_sk(sk));
  tcp_rare_free(net, tcp_sk(sk));
  auto& w = tcp_worker_of(net);
  tcp_beside_free(w.saved_syns, tcp_sk(sk).saved_syn);
  tcp_beside_free(w.fastopen_ctxs, tcp_sk(sk).fastopen_ctx);
  if (tcp_sk(sk).syn_fastopen) tcp_fastopen_active_disable_ofo_check(net, sk);
  tcp_ofo_purge(net, tcp_sk(sk));
  inet_put_port(net, sk);
  if (sk.sk_rare == &sock_no_rare) return;
  inet_free_options(net, inet_sk(sk));
  sk_error_queue_purge(sk);
  w.sock_rares.free(const_cast<sock_rare*>(std::exchange(sk.sk_rare, &sock_no_rare)));
}
}  // namespace detail

template <class Net>
NETSTACK_INLINE void __tcp_destroy_sock(Net& net, sock& sk) {
  tcp_clear_xmit_timers(net, sk);  // all: the timer may have found it, and looks what it waits for
  tcp_release_congestion_control(net, sk);
  if (detail::tcp_owns_more(sk)) [[unlikely]]
    detail::tcp_give_back(net, sk);
}
/// proto::destroy.
template <class Net>
void tcp_destroy_sock(Net& net, sock& sk) {
  __tcp_destroy_sock(net, sk);
}

/// proto::shutdown. The peer hears of the end behind the last byte; before the connection is there, once it is: RFC
/// 9293 §3.10.4, tcp_ack_state sees to it.
template <class Net>
void tcp_shutdown(Net& net, sock& sk, u8 how) {
  if (!(how & send_shutdown)) return;
  if (tcp_in_state(sk, tcp_state::established, tcp_state::close_wait) && detail::tcp_close_state(net, sk))
    tcp_send_fin(net, sk);
}

/// proto::disconnect: as if it had never been connected, or listened.
template <class Net>
result<void> tcp_disconnect(Net& net, sock& sk, u32) {
  auto& tp = tcp_sk(sk);
  if (sk.sk_state == tcp_state::listen) {
    tcp_set_state(net, sk, tcp_state::close);
    inet_csk_listen_stop(net, sk);
  } else if (sk.sk_state != tcp_state::close) {
    if (detail::tcp_need_reset(sk) || sk.sk_state == tcp_state::syn_sent)
      sk.sk_err = static_cast<std::int16_t>(std::errc::connection_reset);
    detail::tcp_abort(net, sk);
  }
  tcp_clear_xmit_timers(net, sk);
  skb_queue_purge(sk.sk_receive_queue);
  tcp_write_queue_purge(net, sk);
  tcp_ofo_purge(net, tp);
  inet_reset_saddr(net, tp);
  tp.defer_connect = tp.fastopen_asked = false;
  tp.fastopen_client_fail = tcp_fastopen_client_fail::unspec;
  sk_dst_reset(sk);
  sk_rx_dst_reset(sk);
  tcp_beside_free(tcp_worker_of(net).saved_syns, tcp_sk(sk).saved_syn);
  if (sock_flag(sk, sock_flags::peek_offset))
    sk_own_rare(sk).peek_off = -1, sock_reset_flag(sk, sock_flags::peek_offset);
  detail::tcp_init_state(net, sk);
  return {};
}

namespace detail {

/// The first half of close(): what the peer is told.
template <class Net>
void tcp_say_goodbye(Net& net, sock& sk, u64 timeout) {
  bool const unread = tcp_purge_received(sk);
  if (sk.sk_state == tcp_state::close) return;
  if (unread) {
    // RFC 9293 §3.6.1 MUST: the peer must learn that what it sent was not read.
    ++NET_STATS(net).TCPAbortOnClose;
    return tcp_abort(net, sk, true);
  }
  if (sock_flag(sk, sock_flags::linger) && timeout == 0) {
    ++NET_STATS(net).TCPAbortOnData;
    return tcp_abort(net, sk);
  }
  if (tcp_close_state(net, sk)) tcp_send_fin(net, sk);
  auto const over = [&] { return !tcp_in_state(sk, tcp_state::fin_wait1, tcp_state::closing, tcp_state::last_ack); };
  if (timeout != 0 && !net.worker().polling) (void)sk_wait_event(net, sk, timeout, 0, over);  // SO_LINGER
}

}  // namespace detail

/// proto::close.
template <class Net>
void tcp_close(Net& net, sock& sk, u64 timeout) {
  sk.sk_shutdown = shutdown_mask;
  if (sk.sk_state == tcp_state::listen) {
    tcp_set_state(net, sk, tcp_state::close);
    inet_csk_listen_stop(net, sk);
  } else {
    detail::tcp_say_goodbye(net, sk, timeout);
  }
  detail::tcp_orphan(net, sk);
  if (sk.sk_state == tcp_state::fin_wait2) {
    auto const& tp = tcp_sk(sk);
    if (tp.rare->linger2 < 0) {
      ++NET_STATS(net).TCPAbortOnLinger;
      detail::tcp_abort(net, sk);
    } else {
      return tcp_time_wait(net, sk, tcp_state::fin_wait2, tcp_fin_time(net, tp));
    }
  }
  if (sk.sk_state != tcp_state::close && tcp_check_oom(net, sk, 0)) {
    ++NET_STATS(net).TCPAbortOnMemory;
    detail::tcp_abort(net, sk);
  }
  if (sk.sk_state == tcp_state::close) inet_csk_destroy_sock(net, sk);
}

}  // namespace netstack
