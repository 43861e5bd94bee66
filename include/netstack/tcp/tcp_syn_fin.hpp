// SPDX-License-Identifier: BSL-1.0
// Decides: how a connection's SYN and its FIN leave: as they are written where the driver has a place for them. Then
// such a one is in flight without a packet, and nearly always acknowledged before it needs one; it gets one when
// anything else is heard of it, or nothing (tcp_embody).
// tx: called by tcp_v4_connect, tcp_close, tcp_shutdown → calls tcp_transmit_short, tcp_af_ops.transmit_syn, else
// tcp_transmit_skb; tcp_embody by tcp_ack and the timer
// Linux: net/ipv4/tcp_output.c (tcp_connect, tcp_connect_init, tcp_send_fin)
// RFC 9293 §3.10.1 (OPEN), §3.10.4 (CLOSE)
#pragma once
#include "netstack/tcp/tcp_output.hpp"

namespace netstack {

// --- in flight without a packet

/// A SYN or a FIN is, by itself. In the states that have not ended, there is nothing else of which this is so.
[[nodiscard]] NETSTACK_INLINE bool tcp_bodiless(tcp_sock const& tp) {
  return tp.packets_out == 0 && tp.snd_una != tp.snd_nxt;
}
namespace detail {
/// It is the SYN; behind one a FIN may be owed already.
[[nodiscard]] NETSTACK_INLINE bool tcp_bodiless_is_syn(tcp_sock const& tp) {
  return tcp_in_state(tp, tcp_state::syn_sent, tcp_state::syn_recv) || tp.snd_nxt != tp.write_seq;
}
/// What its packet would tell of it.
[[nodiscard]] NETSTACK_INLINE tcp_skb_cb tcp_bodiless_cb(tcp_sock const& tp) {
  u32 const sent_us = static_cast<u32>(tp.lsndtime / 1000);
  return {.tx = {.first_tx = sent_us,
                 .delivered_time = sent_us,
                 .delivered = tp.delivered,
                 .is_app_limited = tp.app_limited != 0},
          .sent = tp.lsndtime,
          .seq = tp.snd_una,
          .end_seq = tp.snd_nxt};
}
/// It left.
template <class Net>
NETSTACK_INLINE void tcp_bodiless_left(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  tcp_ca_tx_start(net, sk);
  tp.lsndtime = net.worker().now;
  tp.snd_nxt = tp.write_seq;
}
}  // namespace detail

/// MUST-10: the SYN of who opened at once with the peer goes again, with an ACK of theirs.
inline void tcp_make_synack(tcp_sock const& tp, tcp_skb_cb& syn) {
  syn.tcp_flags |= tcp_flag::ack;
  tcp_ecn_send_synack(tp, syn);
}
/// From now on it has a packet, as if it had had one from the beginning. False: there is no frame for it.
template <class Net>
NETSTACK_COLD bool tcp_embody(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  sk_buff* const skb = tcp_alloc_skb(net);
  if (!skb) return false;
  auto& cb = TCP_SKB_CB(*skb) = detail::tcp_bodiless_cb(tp);
  bool const syn = detail::tcp_bodiless_is_syn(tp);
  cb.tcp_flags = !syn ? tcp_flag::fin | tcp_flag::ack : tp.ecn_flags & tcp_ecn::ok ? tcp_syn_ecn : tcp_flag::syn;
  if (syn && sk.sk_state != tcp_state::syn_sent) tcp_make_synack(tp, cb);
  tp.first_tx = tp.delivered_time = cb.tx.first_tx;
  tcp_queue_skb(sk, *skb);
  (void)detail::tcp_note_in_flight(sk, *skb);
  if (syn) return true;
  detail::tcp_cwnd_validate(tp, tcp_packets_in_flight(tp) >= tp.snd_cwnd);
  tcp_chrono_update(net, sk, false);
  tp.chrono_since = tcp_tick(tp.lsndtime);
  return true;
}

// --- the end of what is sent

namespace detail {
/// A FIN of a connection in order, of which nothing is in flight, and which nobody will ask about any more.
template <class Net>
NETSTACK_INLINE bool tcp_fin_leaves_bodiless(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tp.snd_una != tp.snd_nxt || sk.sk_shutdown != shutdown_mask || tp.ca_state != tcp_ca_state::open || tp.repair ||
      sk.sk_pacing_needed || after(tp.write_seq, tcp_wnd_end(tp)) ||
      !tcp_transmit_short(net, sk, tp.snd_nxt, tcp_flag::fin | tcp_flag::ack)) [[unlikely]]
    return false;
  ++NET_STATS(net).TCPOrigDataSent;
  tcp_bodiless_left(net, sk);
  tp.snd_sml = tp.snd_nxt;
  if (!tcp_start_loss_probe(net, sk, 1, tp.icsk_rto)) [[unlikely]]
    inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, tp.icsk_rto);
  return true;
}
}  // namespace detail

/// Sends a FIN that is owed. Without a frame it is tried again when something is acknowledged, or by the probe's timer.
template <class Net>
void tcp_send_owed_fin(Net& net, sock& sk) {
  if (detail::tcp_fin_leaves_bodiless(net, sk)) [[likely]]
    return;
  if (tcp_bodiless(tcp_sk(sk)) && !tcp_embody(net, sk)) return;  // behind a SYN, whose timer runs
  if (!detail::tcp_queue_fin(net, sk)) [[unlikely]]
    return tcp_check_probe_timer(net, sk);
  if (!detail::tcp_xmit_alone(net, sk, *tcp_sk(sk).send_head))
    __tcp_push_pending_frames(net, sk, tcp_current_mss(net, sk), tcp_nagle::off);
}

/// RFC 9293 §3.10.4: FIN rides on the last segment that was not sent, or goes by itself.
template <class Net>
void tcp_send_fin(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  ++tp.write_seq;
  if (!tp.send_head) [[likely]]
    return tcp_send_owed_fin(net, sk);
  auto& cb = TCP_SKB_CB(*sk.sk_write_queue.peek_tail());
  cb.tcp_flags |= tcp_flag::fin | tcp_flag::ack;
  ++cb.end_seq;
  __tcp_push_pending_frames(net, sk, tcp_current_mss(net, sk), tcp_nagle::off);
}

// --- opening

/// tcp_fastopen.hpp: the SYN of a call that has data.
template <class Net>
result<void> tcp_send_syn_data(Net& net, sock& sk, sk_buff& syn);

/// What its SYN says, and all else that needs no port: both addresses and the route are known.
template <class Net>
NETSTACK_INLINE void tcp_connect_init(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  tcp_prepare_congestion_control(net, sk);
  tp.tstamp_ok = tp.sack_ok = tp.wscale_ok = true;
  if (!tcp_offers_all(ns)) [[unlikely]] {
    tp.tstamp_ok = ns.sysctl_tcp_timestamps != 0;
    tp.sack_ok = ns.sysctl_tcp_sack != 0;
    tp.wscale_ok = ns.sysctl_tcp_window_scaling != 0;
  }
  u32 const mtu = tcp_path_mtu(net, sk);
  u32 const mss = tcp_mtu_to_mss(net, sk, mtu == 0 ? 576 : mtu);
  tp.advmss = static_cast<u16>(std::min<u32>(tp.rare->user_mss ? tp.rare->user_mss : 0xffff, mss));
  tp.mss_clamp = tp.advmss;
  tp.scaling_ratio = tcp_scaling_ratio_of(net, tp.advmss, tp.scaling_ratio);
  tp.rcv_wscale = tp.wscale_ok ? tcp_rcv_wscale_of(net, sk) : u8{0};
  tp.rcv_wnd = std::min(tcp_full_space(sk), tp.window_clamp);
  tp.rcv_wup = tp.rcv_nxt = tp.copied_seq = 0;
  tp.syn_fastopen = tp.syn_data = tp.syn_data_acked = false;
}

namespace detail {
/// Its number is snd_nxt.
template <class Net>
NETSTACK_INLINE bool tcp_syn_leaves_bodiless(Net& net, sock& sk, u8 flags) {
  auto& tp = tcp_sk(sk);
  dst_entry const* const dst = sk.sk_dst_cache;
  if (!dst || !dst->dev || !dev_takes_short<Net>(*dst->dev)) [[unlikely]]
    return false;
  tcp_header_fields const f{.source = tp.inet_sport,
                            .dest = sk.sk_dport,
                            .seq = tp.snd_nxt,
                            .flags = flags,
                            .window = static_cast<u16>(std::min<u32>(tp.rcv_wnd, 0xffff))};
  auto const opts = tcp_syn_options(net, tp);
  if (!tcp_af_ops<Net>(sk).transmit_syn(net, sk, f, opts)) [[unlikely]]
    return false;
  ++tp.segs_out;
  ++tp.write_seq;
  tcp_bodiless_left(net, sk);
  inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, tp.icsk_rto);
  return true;
}
}  // namespace detail

/// RFC 9293 §3.10.1: the SYN of an active open, after tcp_connect_init(). Errors: no_buffer_space.
template <class Net>
result<void> tcp_connect(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  sk.sk_err = 0;  // of a connection before this one
  tp.snd_una = tp.snd_nxt = tp.snd_sml = tp.write_seq;
  auto const flags = static_cast<u8>(tcp_flag::syn | tcp_ecn_send_syn(net, sk));
  if (!tp.rare->fastopen_req && detail::tcp_syn_leaves_bodiless(net, sk, flags)) [[likely]] {
    ++TCP_STATS(net).ActiveOpens;
    return {};
  }
  sk_buff* const skb = tcp_alloc_skb(net);
  if (!skb) return failure{std::errc::no_buffer_space};
  TCP_SKB_CB(*skb) = {.sent = net.worker().now, .seq = tp.write_seq, .end_seq = tp.write_seq + 1, .tcp_flags = flags};
  tcp_queue_skb(sk, *skb);
  ++tp.write_seq;
  ++TCP_STATS(net).ActiveOpens;
  if (tp.rare->fastopen_req) {
    (void)tcp_send_syn_data(net, sk, *skb);
    tcp_rare_of(net, tp).fastopen_req = nullptr;
  } else {
    (void)tcp_transmit_skb(net, sk, *skb);  // lost, as on the wire
  }
  while (tp.send_head)
    if (detail::tcp_note_in_flight(sk, *tp.send_head)) tcp_rearm_rto(net, sk);
  return {};
}

}  // namespace netstack
