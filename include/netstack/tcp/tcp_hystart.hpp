// SPDX-License-Identifier: BSL-1.0
// Decides: when slow start has found what the path takes, before its queue overflows: a round trip that takes clearly
// longer than the one before says that a queue grows. Then the window grows at a quarter of the speed for some rounds
// (conservative slow start), and either the delay was a whim and slow start goes on, or congestion avoidance begins.
// called by an algorithm's pkts_acked and cong_avoid
// Linux has the older HyStart, net/ipv4/tcp_cubic.c (hystart_update); RFC 9406
#pragma once
#include "netstack/tcp/tcp_cong.hpp"

namespace netstack {

/// Part of an algorithm's state.
struct tcp_hystart {
  static constexpr u32 none = ~u32{0};
  // RFC 9406 §4.3.
  static constexpr u32 min_rtt_thresh = 4'000, max_rtt_thresh = 16'000;  ///< us
  static constexpr u32 min_rtt_divisor = 8, css_growth_divisor = 4;
  /// L: segments that one acknowledgment adds at most, so that no burst leaves; paced, none leaves anyway. Towards
  /// receivers that merge what arrives (GRO) and acknowledge dozens at once, SO_MAX_PACING_RATE keeps slow start fast.
  static constexpr u32 unpaced_limit = 8;
  static constexpr u8 n_rtt_sample = 8, css_rounds = 5;

  u32 window_end = 0;  ///< the round ends when this is acknowledged
  u32 last_round_min_rtt = none, current_round_min_rtt = none;
  u32 css_baseline_min_rtt = none;
  u32 css_acked = 0;  ///< not yet a segment of growth
  u8 rtt_samples = 0;
  u8 css_round = 0;  ///< 0: standard slow start, else which round of the conservative one
};

/// Slow start begins.
inline void tcp_hystart_reset(tcp_hystart& hs, tcp_sock const& tp) { hs = {.window_end = tp.snd_nxt}; }

/// RFC 9406 §4.2: a round has the samples that tell whether it took longer than the one before.
NETSTACK_NOINLINE inline void tcp_hystart_judge(tcp_hystart& hs) {
  if (hs.css_round != 0) {
    if (hs.current_round_min_rtt < hs.css_baseline_min_rtt) hs.css_round = 0, hs.css_baseline_min_rtt = hs.none;
  } else if (hs.last_round_min_rtt != tcp_hystart::none) {
    u32 const thresh = std::clamp(hs.last_round_min_rtt / tcp_hystart::min_rtt_divisor, tcp_hystart::min_rtt_thresh,
                                  tcp_hystart::max_rtt_thresh);
    if (hs.current_round_min_rtt >= hs.last_round_min_rtt + thresh) {
      hs.css_baseline_min_rtt = hs.current_round_min_rtt;
      hs.css_round = 1;  // what is left of this round counts as one
      hs.css_acked = 0;
    }
  }
}
/// An acknowledgment in slow start, and what its round trip took, us. True: the path is full.
NETSTACK_INLINE bool tcp_hystart_update(tcp_hystart& hs, tcp_sock const& tp, u32 rtt_us) {
  if (!before(tp.snd_una, hs.window_end)) {
    hs.window_end = tp.snd_nxt;
    hs.last_round_min_rtt = std::exchange(hs.current_round_min_rtt, tcp_hystart::none);
    hs.rtt_samples = 0;
    if (hs.css_round != 0 && ++hs.css_round > tcp_hystart::css_rounds) return true;
  }
  hs.current_round_min_rtt = std::min(hs.current_round_min_rtt, rtt_us);
  if (hs.rtt_samples >= tcp_hystart::n_rtt_sample || ++hs.rtt_samples >= tcp_hystart::n_rtt_sample)
    tcp_hystart_judge(hs);
  return false;
}

/// What of it one acknowledgment may add in slow start, the first or another.
[[nodiscard]] inline u32 tcp_hystart_limit(tcp_sock const& tp, u32 acked) {
  return tp.sk_pacing_needed ? acked : std::min(acked, tcp_hystart::unpaced_limit);
}
/// Growth in slow start; what is left over of `acked` at the threshold.
inline u32 tcp_hystart_slow_start(tcp_hystart& hs, tcp_sock& tp, u32 acked) {
  acked = tcp_hystart_limit(tp, acked);
  if (hs.css_round != 0) {
    hs.css_acked += acked;
    acked = hs.css_acked / tcp_hystart::css_growth_divisor;
    hs.css_acked %= tcp_hystart::css_growth_divisor;
  }
  return tcp_slow_start(tp, acked);
}

}  // namespace netstack
