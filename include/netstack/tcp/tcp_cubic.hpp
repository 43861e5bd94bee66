// SPDX-License-Identifier: BSL-1.0
// Decides: CUBIC, how the Internet grows its windows: after a reduction quickly towards where the loss was, slowly
// around it, then quickly again, by the time that passed and not by the round trip; but never slower than NewReno
// would. All in integers: windows in segments, times in ms, with bounds that no product leaves.
//
//   W_cubic(t) = C (t − K)³ + W_max,  K = ∛((W_max − cwnd) / C),  C = 0.4, β = 0.7
//
// called by tcp_ack and tcp_recovery through Net::tcp_congestion
// Linux: net/ipv4/tcp_cubic.c; RFC 9438, RFC 9406 (slow start)
#pragma once
#include <memory>

#include "netstack/registry/module.hpp"
#include "netstack/tcp/tcp_hystart.hpp"
#include "netstack/tcp/tcp_rate.hpp"

namespace netstack {

namespace cubic {

/// The integer part of the cube root of x < 2^63.
[[nodiscard]] constexpr u32 cubic_root(u64 x) {
  u64 y = 0;
  for (u64 bit = u64{1} << 20; bit != 0; bit >>= 1)
    if (u64 const z = y | bit; z * z * z <= x) y = z;
  return static_cast<u32>(y);
}
/// RFC 9438 §4.2, figure 2: ms until a window that is `deficit` < 2^31 segments below W_max is there again. 1 / C, in
/// segments per ms³, is 2.5 · 10⁹.
[[nodiscard]] constexpr u32 k(u32 deficit) { return cubic_root(u64{deficit} * 2'500'000'000); }
/// RFC 9438 §4.2, figure 1.
[[nodiscard]] constexpr u32 w(u32 w_max, u32 k_ms, u32 t_ms) {
  // Beyond 17 minutes from the plateau every window is reached: 4 d³ < 2^62.
  u64 const d = std::min(t_ms < k_ms ? k_ms - t_ms : t_ms - k_ms, u32{1} << 20);
  u64 const delta = 4 * d * d * d / 10'000'000'000;
  return static_cast<u32>(t_ms < k_ms ? w_max - std::min<u64>(delta, w_max)
                                      : std::min<u64>(w_max + delta, tcp_max_cwnd));
}

/// What a reduction begins, and a false alarm brings back (RFC 9438 §4.9).
struct epoch {
  u32 start_ms = 0, grown_ms = 0;  ///< when it began; when the window was last what limited the sender
  u32 w_max = 0;
  u32 k_ms = 0;
  u32 cwnd_prior = 0;              ///< before the reduction
  u32 w_est = 0, w_est_acked = 0;  ///< what NewReno would have, and towards its next segment; 0: the epoch waits

  [[nodiscard]] bool running() const { return w_est != 0; }
  /// So many ms do not count.
  void stand_still(u32 now, u32 pause) {
    start_ms += std::min(pause, now - start_ms);
    grown_ms += std::min(pause, now - grown_ms);
  }
};
/// The first slow start ends before there is an epoch, so that both lie in one place.
struct state {
  union {
    epoch now{};
    tcp_hystart hystart;
  };
  bool in_first_slow_start = false;

  [[nodiscard]] bool running() const { return !in_first_slow_start && now.running(); }
  [[nodiscard]] u32 w_max() const { return in_first_slow_start ? 0 : now.w_max; }
  void begin(epoch const& e) { std::construct_at(&now, e), in_first_slow_start = false; }
};

/// Pauses concern an epoch that runs, and nothing else.
inline void note_running(sock& sk) { inet_csk(sk).icsk_ca_deaf = !inet_csk_ca<state>(sk).running(); }

[[nodiscard]] constexpr u32 ms(u64 ns) { return static_cast<u32>(ns / 1'000'000); }

template <class Net>
void init(Net&, sock& sk) {
  auto& ca = inet_csk_ca<state>(sk);
  ca = {};
  if (ca.in_first_slow_start = tcp_sk(sk).snd_ssthresh >= tcp_infinite_ssthresh; ca.in_first_slow_start)
    std::construct_at(&ca.hystart, tcp_hystart{.window_end = tcp_sk(sk).snd_nxt});
  note_running(sk);
}

/// RFC 9438 §4.3: α_cubic = 3 (1 − β) / (1 + β) = 9 / 17 of a segment for each window acknowledged, until the old
/// window is there again, then a whole one.
inline void update_w_est(epoch& e, u32 cwnd, u32 acked) {
  u32 const step = e.w_est < e.cwnd_prior ? static_cast<u32>(u64{cwnd} * 17 / 9) : cwnd;
  e.w_est_acked += acked;
  e.w_est += e.w_est_acked / step;
  e.w_est_acked %= step;
}

/// RFC 9438 §4.2 to §4.5: one acknowledgment in congestion avoidance.
template <class Net>
void grow(Net& net, tcp_sock& tp, epoch& e, u32 acked) {
  u32 const now = ms(net.worker().now), cwnd = tp.snd_cwnd;
  if (!e.running()) {
    e.start_ms = now;
    e.w_est = cwnd;
    e.w_est_acked = 0;
    e.k_ms = cwnd < e.w_max ? k(e.w_max - cwnd) : 0;
    e.w_max = std::max(e.w_max, cwnd);
  } else if (u32 const pause = now - e.grown_ms; pause > std::max(tp.srtt_us >> 2, 2000u) / 1000) {
    e.stand_still(now, pause);  // two round trips in which the application did not use the window: RFC 9438 §5.8
  }
  e.grown_ms = now;
  update_w_est(e, cwnd, acked);
  u32 const t = now - e.start_ms;
  if (w(e.w_max, e.k_ms, t) < e.w_est) {
    tp.snd_cwnd = std::min(std::max(cwnd, e.w_est), tcp_max_cwnd);  // the Reno-friendly region
    return;
  }
  u32 const target = std::clamp(w(e.w_max, e.k_ms, t + (tp.srtt_us >> 3) / 1000), cwnd, cwnd + cwnd / 2);
  // (target − cwnd) / cwnd of a segment for each acknowledged, what is over kept.
  u64 const growth = tp.snd_cwnd_cnt + u64{acked} * (target - cwnd);
  tp.snd_cwnd_cnt = static_cast<u32>(growth % cwnd);
  tp.snd_cwnd = static_cast<u32>(std::min<u64>(cwnd + growth / cwnd, std::max(target, cwnd)));
}

template <class Net>
NETSTACK_NOINLINE void cong_avoid_limited(Net& net, sock& sk, u32 acked) {
  auto& tp = tcp_sk(sk);
  auto& ca = inet_csk_ca<state>(sk);
  if (tcp_in_slow_start(tp)) {
    acked = ca.in_first_slow_start ? tcp_hystart_slow_start(ca.hystart, tp, acked)
                                   : tcp_slow_start(tp, tcp_hystart_limit(tp, acked));
    if (acked == 0) return;
  }
  if (ca.in_first_slow_start) ca.begin({});
  grow(net, tp, ca.now, acked);
  note_running(sk);
}
template <class Net>
void cong_avoid(Net& net, sock& sk, u32, u32 acked) {
  if (tcp_is_cwnd_limited(tcp_sk(sk))) cong_avoid_limited(net, sk, acked);
}

template <class Net>
NETSTACK_COLD void end_first_slow_start(Net& net, tcp_sock& tp) {
  inet_csk_ca<state>(tp).begin({.cwnd_prior = tp.snd_cwnd});
  tp.snd_ssthresh = tp.snd_cwnd;
  ++NET_STATS(net).TCPHystartDelayDetect;
  NET_STATS(net).TCPHystartDelayCwnd += tp.snd_cwnd;
}
/// RFC 9406 §4.3: of the first slow start, whose threshold is not known yet.
template <class Net>
NETSTACK_INLINE void pkts_acked(Net& net, sock& sk, ack_sample sample) {
  auto& tp = tcp_sk(sk);
  if (tp.snd_ssthresh < tcp_infinite_ssthresh || sample.rtt_us < 0) return;
  auto& ca = inet_csk_ca<state>(sk);
  if (ca.in_first_slow_start && tcp_hystart_update(ca.hystart, tp, static_cast<u32>(sample.rtt_us))) [[unlikely]]
    end_first_slow_start(net, tp);
}

/// RFC 9438 §4.6; §4.7: whose window is smaller than at the last loss leaves room for a newcomer.
template <class Net>
u32 ssthresh(Net& net, sock& sk) {
  u32 const cwnd = tcp_sk(sk).snd_cwnd;
  auto& ca = inet_csk_ca<state>(sk);
  tcp_ca_undo<state>(net, sk) = ca;
  ca.begin({.w_max = cwnd < ca.w_max() ? cwnd * 17 / 20 : cwnd, .cwnd_prior = cwnd});
  note_running(sk);
  return std::max(cwnd * 7 / 10, 2u);
}
template <class Net>
u32 undo_cwnd(Net& net, sock& sk) {
  inet_csk_ca<state>(sk) = tcp_ca_undo<state>(net, sk);
  note_running(sk);
  return tcp_reno_undo_cwnd(net, sk);
}
template <class Net>
void set_state(Net&, sock& sk, tcp_ca_state to) {
  // RFC 9438 §4.8: after a timeout the plateau is where congestion avoidance begins.
  if (auto& ca = inet_csk_ca<state>(sk); to == tcp_ca_state::loss && !ca.in_first_slow_start) ca.now.w_max = 0;
}
/// RFC 9438 §5.8: time in which nothing was sent does not count, however short it was.
template <class Net>
void cwnd_event(Net& net, sock& sk, ca_event what) {
  auto& ca = inet_csk_ca<state>(sk);
  if (what != ca_event::tx_start || !ca.running()) return;
  u32 const now = ms(net.worker().now);
  ca.now.stand_still(now, now - ms(tcp_sk(sk).lsndtime));
}

}  // namespace cubic

struct tcp_cubic : module {
  static constexpr auto needs = requires_all<tcp>;
  template <class Net>
  static constexpr std::array tcp_congestion{tcp_congestion_ops<Net>{
      .name = "cubic",
      .priv_size = sizeof(cubic::state),
      .init = cubic::init,
      .ssthresh = cubic::ssthresh,
      .undo_cwnd = cubic::undo_cwnd,
      .cong_avoid = cubic::cong_avoid,
      .pkts_acked = cubic::pkts_acked,
      .set_state = cubic::set_state,
      .cwnd_event = cubic::cwnd_event,
      .non_restricted = true,
  }};
};

}  // namespace netstack
