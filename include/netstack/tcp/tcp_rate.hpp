// SPDX-License-Identifier: BSL-1.0
// Decides: how fast the path delivers. Each segment remembers how much had been delivered when it left; what was
// delivered between then and its own acknowledgment, over the longer of the times that sending and acknowledging took,
// is a sample of the path's rate. One that the application was too slow for is marked.
// tx: tcp_rate_skb_sent from tcp_transmit_skb
// rx: tcp_rate_skb_delivered for each segment that is known to have arrived, then tcp_rate_gen for the acknowledgment
// Linux: net/ipv4/tcp_rate.c; draft-cheng-iccrg-delivery-rate-estimation
#pragma once
#include "netstack/tcp/tcp_sock.hpp"

namespace netstack {

/// What one acknowledgment says of the path.
struct tcp_rate_sample {
  s64 interval_us = -1;  ///< -1: it says nothing of the rate
  u32 delivered = 0;     ///< segments, in that time
  u32 prior_delivered = 0;
  s64 rtt_us = -1;       ///< of the latest that was sent once; -1: none
  u32 acked_sacked = 0;  ///< segments that are known to have arrived only now
  u32 losses = 0;        ///< segments that are believed lost only now
  u32 prior_in_flight = 0;
  bool is_app_limited = false;
  bool is_retrans = false;      ///< from a segment that was sent more than once
  bool is_ack_delayed = false;  ///< tcp_maybe_delayed()
  // --- while the acknowledgment is dealt with: the segment of which it is
  bool any = false;
  u32 prior_time = 0;
  u64 sent = 0;
  u32 end_seq = 0;
};

/// What a segment that leaves now remembers.
template <class Net>
[[nodiscard]] tcp_tx_stamp tcp_rate_stamp(Net& net, tcp_sock& tp) {
  // With nothing in flight the time of waiting is nobody's.
  if (tp.packets_out == 0) tp.first_tx = tp.delivered_time = tcp_clock_us(net);
  return {.first_tx = tp.first_tx,
          .delivered_time = tp.delivered_time,
          .delivered = tp.delivered,
          .is_app_limited = tp.app_limited != 0};
}
template <class Net>
void tcp_rate_skb_sent(Net& net, tcp_sock& tp, tcp_skb_cb& cb) {
  cb.tx = tcp_rate_stamp(net, tp);
}

/// … with nothing in flight, and nothing behind it: the path is the application's to use.
template <class Net>
NETSTACK_INLINE void tcp_rate_skb_alone(Net& net, tcp_sock& tp, tcp_skb_cb& cb) {
  u32 const now = tcp_clock_us(net), delivered = tp.delivered;
  tp.app_limited = std::max(delivered, 1u);
  tp.first_tx = tp.delivered_time = now;
  cb.tx = {.first_tx = now, .delivered_time = now, .delivered = delivered, .is_app_limited = true};
}

/// The segment arrived. Of several the one that was sent last makes the sample.
NETSTACK_INLINE void tcp_rate_skb_delivered(tcp_sock& tp, tcp_skb_cb const& cb, u32 sent_us, tcp_rate_sample& rs) {
  if (rs.any && (cb.sent < rs.sent || (cb.sent == rs.sent && !after(cb.end_seq, rs.end_seq)))) return;
  rs.any = true;
  rs.prior_delivered = cb.tx.delivered;
  rs.prior_time = cb.tx.delivered_time;
  rs.is_app_limited = cb.tx.is_app_limited;
  rs.is_retrans = (cb.sacked & tcpcb::ever_retrans) != 0;
  rs.sent = cb.sent;
  rs.end_seq = cb.end_seq;
  tp.first_tx = sent_us;
  rs.interval_us = sent_us - cb.tx.first_tx;  // what sending took
}
inline void tcp_rate_skb_delivered(tcp_sock& tp, tcp_skb_cb const& cb, tcp_rate_sample& rs) {
  tcp_rate_skb_delivered(tp, cb, tcp_sent_us(cb.sent), rs);
}

/// All of the acknowledgment's segments were seen.
template <class Net>
NETSTACK_INLINE void tcp_rate_gen(Net& net, tcp_sock& tp, tcp_rate_sample& rs) {
  tp.delivered += rs.acked_sacked;
  u32 const now = tcp_clock_us(net);
  if (tp.app_limited != 0 && after(tp.delivered, tp.app_limited)) tp.app_limited = 0;
  if (rs.acked_sacked != 0) tp.delivered_time = now;
  if (!rs.any) return;
  if (!rs.is_retrans && rs.rtt_us < 0) rs.rtt_us = now - tcp_sent_us(rs.sent);
  rs.delivered = tp.delivered - rs.prior_delivered;
  rs.interval_us = std::max<s64>(rs.interval_us, now - rs.prior_time);
  // Shorter than any round trip was: acknowledgments were held up and came in a bunch.
  if (rs.interval_us == 0 || rs.interval_us < tp.rtt_min_us) {
    rs.interval_us = -1;
    return;
  }
  bool const higher =
      u64{rs.delivered} * tp.rate_interval_us >= u64{tp.rate_delivered} * static_cast<u64>(rs.interval_us);
  if (rs.is_app_limited && !higher) return;
  tp.rate_delivered = rs.delivered;
  tp.rate_interval_us = static_cast<u32>(rs.interval_us);
  tp.rate_app_limited = rs.is_app_limited;
}

/// Before the application queues more: had it left the path idle?
inline void tcp_rate_check_app_limited(tcp_sock& tp) {
  if (tp.write_seq - tp.snd_nxt >= tp.mss_cache || tcp_packets_in_flight(tp) >= tp.snd_cwnd ||
      tp.lost_out > tp.retrans_out)
    return;
  tp.app_limited = std::max(tp.delivered + tcp_packets_in_flight(tp), 1u);
}

/// Bytes a second, of the last good sample; 0: none. TCP_INFO's tcpi_delivery_rate.
[[nodiscard]] inline u64 tcp_compute_delivery_rate(tcp_sock const& tp) {
  if (tp.rate_interval_us == 0) return 0;
  return u64{tp.rate_delivered} * tp.mss_cache * 1'000'000 / tp.rate_interval_us;
}

}  // namespace netstack
