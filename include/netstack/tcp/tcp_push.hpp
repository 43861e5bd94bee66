// SPDX-License-Identifier: BSL-1.0
// Decides: which segment leaves as soon as it is written, without tcp_write_xmit, whose questions are for a queue: one
// with nothing in flight, or a full one behind what is.
// tx: called by tcp_sendmsg → calls tcp_transmit_common, tcp_af_ops.transmit_short
// Linux: net/ipv4/tcp_output.c (tcp_push_one)
#pragma once
#include "netstack/tcp/tcp_output.hpp"

namespace netstack {

/// Of a connection in order nothing is in flight, and nothing is in the way of a segment of `n` bytes.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_may_push_one(Net& net, sock const& sk, u32 n) {
  auto const& tp = tcp_sk(sk);
  constexpr tcp_marks amiss{
      .nonagle = tcp_nagle::cork, .ca_state = tcp_any_ca_state, .nospace = true, .urg_mode = true, .mtu_probing = true};
  return sk.sk_write_queue.empty() && tp.match(amiss, {}) && !sk.sk_pacing_needed &&
         !after(tp.write_seq + n, tcp_wnd_end(tp)) && !detail::tcp_was_idle(net, tp);
}
/// Such a one is on its way: as tcp_note_leaves.
template <class Net>
NETSTACK_INLINE void tcp_note_leaves_alone(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  auto& cb = TCP_SKB_CB(skb);
  u64 const now = net.worker().now;
  cb.sent = now;
  tcp_rate_skb_alone(net, tp, cb);
  tcp_ca_tx_start(net, sk);
  tp.lsndtime = now;
  ++tp.data_segs_out;
  tp.bytes_sent += skb.len;
}
/// … and joins the queue: as tcp_note_new_data, tcp_cwnd_validate: there are no others.
template <class Net>
NETSTACK_INLINE void tcp_note_sent_alone(Net& net, sock& sk, sk_buff& skb, u32 mss) {
  auto& tp = tcp_sk(sk);
  u32 const end_seq = TCP_SKB_CB(skb).end_seq;
  sk.sk_write_queue.queue_tail(skb);
  if (skb.len < mss) tp.snd_sml = end_seq;
  tp.snd_nxt = tp.cwnd_usage_seq = end_seq;
  tp.packets_out = tp.max_packets_out = 1;
  tp.cwnd_limited = tp.snd_cwnd <= 1;
  tcp_rtx_queue_sent(tp, skb);
  ++NET_STATS(net).TCPOrigDataSent;
  if (!detail::tcp_start_loss_probe(net, sk, 1, tp.icsk_rto)) tcp_rearm_rto(net, sk);
  tcp_chrono_set(net, tp, tcp_chrono::busy);
}
/// The same behind others that are in flight, while none waits, of a full segment: neither Nagle nor the end of what
/// was written holds it back.
[[nodiscard]] NETSTACK_INLINE bool tcp_may_push_next(sock const& sk, u32 n, u32 mss) {
  auto const& tp = tcp_sk(sk);
  constexpr tcp_marks amiss{.ca_state = tcp_any_ca_state, .nospace = true, .urg_mode = true, .mtu_probing = true};
  return n == mss && tp.packets_out != 0 && !tp.send_head && tp.match(amiss, {}) && !sk.sk_pacing_needed &&
         tcp_packets_in_flight(tp) < tp.snd_cwnd && !after(tp.write_seq + n, tcp_wnd_end(tp)) &&
         tp.icsk_pending != icsk_time::probe0;
}
/// Such a one joins the queue: as tcp_write_xmit sees to it.
template <class Net>
NETSTACK_INLINE void tcp_note_sent_next(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  sk.sk_write_queue.queue_tail(skb);
  tp.snd_nxt = TCP_SKB_CB(skb).end_seq;
  ++tp.packets_out;
  tcp_rtx_queue_sent(tp, skb);
  ++NET_STATS(net).TCPOrigDataSent;
  (void)tcp_schedule_loss_probe(net, sk, false);
  detail::tcp_cwnd_validate(tp, tcp_packets_in_flight(tp) >= tp.snd_cwnd);
  tcp_chrono_set(net, tp, tcp_chrono::busy);
}
/// One of both kinds, charged but not queued yet, leaves; `alone`: tcp_may_push_one was asked, else tcp_may_push_next.
/// False: it could not, and is not queued.
template <class Net>
NETSTACK_INLINE bool tcp_push_one(Net& net, sock& sk, sk_buff& skb, u32 mss, bool alone) {
  auto& tp = tcp_sk(sk);
  auto& cb = TCP_SKB_CB(skb);
  cb.tcp_flags = tcp_flag::ack | tcp_flag::psh;
  sk_buff* out = nullptr;
  if (skb.len > detail::tcp_short_max || skb.ip_summed == ip_summed::partial ||
      !detail::tcp_transmit_few(net, sk, skb)) {
    out = detail::tcp_fresh_to_send(net, skb);
    if (!out) [[unlikely]]
      return false;
  }
  if (alone)
    tcp_note_leaves_alone(net, sk, skb);
  else
    detail::tcp_note_leaves(net, sk, skb);
  if (out) {
    auto const r = detail::tcp_is_common(tp, tcp_flag::ack) ? detail::tcp_transmit_common(net, sk, *out, cb, nullptr)
                                                            : tcp_transmit(net, sk, *out, cb);
    if (!r && r.error() == std::errc::no_buffer_space) [[unlikely]]
      return false;
  }
  if (alone)
    tcp_note_sent_alone(net, sk, skb, mss);
  else
    tcp_note_sent_next(net, sk, skb);
  return true;
}

}  // namespace netstack
