// SPDX-License-Identifier: BSL-1.0
// Decides: BBR, which asks not for losses but for a model of the path: the highest delivery rate of the last ten round
// trips and the shortest round trip of the last ten seconds. It sends at that rate, and keeps about twice their product
// in flight. Version 1: ECN and losses do not enter the model. Of Linux's two additions neither is here: a rate that a
// policer allows is not looked for, and acknowledgments that come in heaps are allowed no more than that twice.
//
//   startup ──rate grows no more──> drain ──queue is gone──> probe_bw <──> probe_rtt
//   2/ln 2 of the rate              its inverse              5/4, 3/4, 1 …  four segments for 200 ms, each ten seconds
//
// called by tcp_ack and tcp_recovery through Net::tcp_congestion
// Linux: net/ipv4/tcp_bbr.c; draft-cardwell-iccrg-bbr-congestion-control-00, Cardwell et al., "BBR" (ACM Queue, 2016)
#pragma once
#include "netstack/registry/module.hpp"
#include "netstack/tcp/tcp_cong.hpp"
#include "netstack/tcp/tcp_rate.hpp"

namespace netstack {

namespace bbr {

inline constexpr unsigned bw_scale = 24;                  ///< rates are segments per us, times 2^24
inline constexpr u32 unit = 256;                          ///< gains are of 256
inline constexpr u32 high_gain = unit * 2885 / 1000 + 1;  ///< 2 / ln 2: doubles each round trip
inline constexpr u32 drain_gain = unit * 1000 / 2885;     ///< what startup queued is gone in one
inline constexpr u32 cwnd_gain = unit * 2;                ///< room for acknowledgments that come late
inline constexpr std::array<u16, 8> pacing_gains{320, 192, 256, 256, 256, 256, 256, 256};
inline constexpr u32 bw_rounds = 10;                   ///< round trips that the rate is remembered
inline constexpr u64 min_rtt_window = 10'000'000'000;  ///< ns
inline constexpr u64 probe_rtt_time = 200'000'000;
inline constexpr u32 min_cwnd = 4;
/// Whatever the rate seems to be, the least window leaves once a second: of a path that was broken for long little
/// remains, and of 3 / 2^24 segments a microsecond a quarter more is not one more.
inline constexpr u32 least_bw = (min_cwnd << bw_scale) / 1'000'000;
inline constexpr u32 full_bw_rounds = 3;  ///< round trips without 1/4 more: the pipe is full
inline constexpr u32 no_rtt = ~u32{0};

enum class mode : u8 { startup, drain, probe_bw, probe_rtt };

struct state {
  u32 rates[bw_rounds]{};  ///< the highest of each round trip
  u64 min_rtt_stamp = 0;   ///< worker time
  u64 probe_rtt_done = 0;  ///< 0: the flight is not small enough yet
  u64 cycle_stamp = 0;
  u32 min_rtt_us = no_rtt;
  u32 round = 0;
  u32 rated = 0;       ///< the last round trip that told of the path
  u32 next_round = 0;  ///< ends when what was sent at so many delivered is acknowledged
  u32 prior_cwnd = 0;  ///< before a recovery or probe_rtt
  u32 full_bw = 0;     ///< what the rate must exceed by a quarter
  u16 pacing_gain = 0, cwnd_gain = 0;
  mode now = mode::startup;
  u8 cycle = 0;
  u8 full_bw_count = 0;
  tcp_ca_state prev_state = tcp_ca_state::open;
  bool full_bw_reached : 1 = false;
  bool round_start : 1 = false;
  bool idle_restart : 1 = false;
  bool probe_rtt_round_done : 1 = false;
  bool packet_conservation : 1 = false;
  bool has_seen_rtt : 1 = false;
};

// --- the model

[[nodiscard]] inline u32 max_bw(state const& ca) { return *std::max_element(std::begin(ca.rates), std::end(ca.rates)); }
/// Bytes a second; one percent less, so that a queue which grew by chance shrinks.
[[nodiscard]] constexpr u64 to_pacing_rate(u32 bw, u32 mss, u32 gain) {
  return (u64{bw} * mss * gain >> 16) * 990'000 >> (bw_scale + 8 - 16);  // 2^32 · 2^16 · 2^10, then 2^42 · 2^20
}
/// Segments that the path holds, times the gain.
[[nodiscard]] inline u32 bdp(state const& ca, u32 bw, u32 gain) {
  if (ca.min_rtt_us == no_rtt) return tcp_init_cwnd;
  u64 const w = u64{bw} * std::min(ca.min_rtt_us, u32{1} << 24) >> 8;  // 2^48 at most; longer than 16 s is no path
  return static_cast<u32>(std::min<u64>((w * gain + (u64{1} << bw_scale) - 1) >> bw_scale, tcp_max_cwnd));
}
/// … and what bursts and delayed acknowledgments need beside it.
[[nodiscard]] inline u32 inflight(sock const& sk, state const& ca, u32 bw, u32 gain) {
  u32 const mss = tcp_sk(sk).mss_cache;
  u32 const burst = static_cast<u32>(std::clamp<u64>((sk.sk_rare->pacing_rate >> 10) / mss, 1, 65535 / mss));
  u32 const w = (bdp(ca, bw, gain) + 3 * burst + 1) & ~1u;
  return ca.now == mode::probe_bw && ca.cycle == 0 ? w + 2 : w;
}

inline void update_bw(tcp_sock const& tp, state& ca, tcp_rate_sample const& rs) {
  ca.round_start = false;
  if (rs.interval_us <= 0 || rs.delivered == 0) return;
  if (!before(rs.prior_delivered, ca.next_round)) {
    ca.next_round = tp.delivered;
    ++ca.round;
    ca.round_start = true;
    ca.packet_conservation = false;
  }
  u32 const bw =
      static_cast<u32>(std::min<u64>((u64{rs.delivered} << bw_scale) / static_cast<u64>(rs.interval_us), ~u32{0}));
  // Who was slower than the path says nothing of it, unless it was faster than was known: until somebody does, what is
  // known stays, however long ago that was.
  if (rs.is_app_limited && bw < max_bw(ca)) return;
  if (ca.round - ca.rated > bw_rounds) ca.rated = ca.round - bw_rounds;
  while (ca.rated != ca.round) ca.rates[++ca.rated % bw_rounds] = 0;
  u32& best = ca.rates[ca.round % bw_rounds];
  best = std::max(best, bw);
}

inline void save_cwnd(tcp_sock const& tp, state& ca) {
  bool const whole = ca.prev_state < tcp_ca_state::recovery && ca.now != mode::probe_rtt;
  ca.prior_cwnd = whole ? tp.snd_cwnd : std::max(ca.prior_cwnd, tp.snd_cwnd);
}

// --- modes

template <class Net>
void enter_probe_bw(Net& net, state& ca) {
  ca.now = mode::probe_bw;
  // In any phase but the one that drains, so that flows do not probe together.
  u32 const phase = net.worker().random.below(static_cast<u32>(pacing_gains.size() - 1));
  ca.cycle = static_cast<u8>(phase == 0 ? 0 : phase + 1);
  ca.cycle_stamp = net.worker().now;
}
template <class Net>
void update_cycle(Net& net, sock& sk, state& ca, tcp_rate_sample const& rs) {
  if (ca.now != mode::probe_bw) return;
  u32 const gain = pacing_gains[ca.cycle], bw = max_bw(ca);
  bool const long_enough = net.worker().now - ca.cycle_stamp > u64{ca.min_rtt_us} * 1000;
  bool next = long_enough;
  if (gain > unit) next = long_enough && (rs.losses != 0 || rs.prior_in_flight >= inflight(sk, ca, bw, gain));
  if (gain < unit) next = long_enough || rs.prior_in_flight <= inflight(sk, ca, bw, unit);
  if (!next) return;
  ca.cycle = static_cast<u8>((ca.cycle + 1) % pacing_gains.size());
  ca.cycle_stamp = net.worker().now;
}
inline void check_full_bw(state& ca, tcp_rate_sample const& rs) {
  if (ca.full_bw_reached || !ca.round_start || rs.is_app_limited) return;
  u32 const bw = max_bw(ca);
  if (bw >= u64{ca.full_bw} * 5 / 4) {
    ca.full_bw = bw;
    ca.full_bw_count = 0;
    return;
  }
  ca.full_bw_reached = ++ca.full_bw_count >= full_bw_rounds;
}
template <class Net>
void check_drain(Net& net, sock& sk, state& ca) {
  auto& tp = tcp_sk(sk);
  if (ca.now == mode::startup && ca.full_bw_reached) {
    ca.now = mode::drain;
    tp.snd_ssthresh = inflight(sk, ca, max_bw(ca), unit);
  }
  if (ca.now == mode::drain && tcp_packets_in_flight(tp) <= inflight(sk, ca, max_bw(ca), unit)) enter_probe_bw(net, ca);
}
template <class Net>
void check_probe_rtt_done(Net& net, tcp_sock& tp, state& ca) {
  u64 const now = net.worker().now;
  if (ca.probe_rtt_done == 0 || now <= ca.probe_rtt_done) return;
  ca.min_rtt_stamp = now;
  tp.snd_cwnd = std::max(tp.snd_cwnd, ca.prior_cwnd);
  if (ca.full_bw_reached)
    enter_probe_bw(net, ca);
  else
    ca.now = mode::startup;
}
template <class Net>
void update_min_rtt(Net& net, tcp_sock& tp, state& ca, tcp_rate_sample const& rs) {
  u64 const now = net.worker().now;
  bool const expired = now > ca.min_rtt_stamp + min_rtt_window;
  if (rs.rtt_us >= 0 && (rs.rtt_us < ca.min_rtt_us || (expired && !rs.is_ack_delayed))) {
    ca.min_rtt_us = static_cast<u32>(rs.rtt_us);
    ca.min_rtt_stamp = now;
  }
  if (expired && !ca.idle_restart && ca.now != mode::probe_rtt) {
    ca.now = mode::probe_rtt;
    save_cwnd(tp, ca);
    ca.probe_rtt_done = 0;
  }
  if (ca.now == mode::probe_rtt) {
    tp.app_limited = std::max(tp.delivered + tcp_packets_in_flight(tp), 1u);  // no rate to learn from
    if (ca.probe_rtt_done == 0 && tcp_packets_in_flight(tp) <= min_cwnd) {
      ca.probe_rtt_done = now + probe_rtt_time;
      ca.probe_rtt_round_done = false;
      ca.next_round = tp.delivered;
    } else if (ca.probe_rtt_done != 0) {
      if (ca.round_start) ca.probe_rtt_round_done = true;
      if (ca.probe_rtt_round_done) check_probe_rtt_done(net, tp, ca);
    }
  }
  if (rs.delivered != 0) ca.idle_restart = false;
}

// --- what follows from it

inline void update_gains(state& ca) {
  switch (ca.now) {
    case mode::startup: ca.pacing_gain = ca.cwnd_gain = high_gain; return;
    case mode::drain: ca.pacing_gain = drain_gain, ca.cwnd_gain = high_gain; return;
    case mode::probe_bw: ca.pacing_gain = pacing_gains[ca.cycle], ca.cwnd_gain = cwnd_gain; return;
    case mode::probe_rtt: ca.pacing_gain = ca.cwnd_gain = unit; return;
  }
}
/// From the window and the round trip, before there is a sample.
inline void init_pacing_rate(sock& sk, state& ca) {
  auto& rare = sk_own_rare(sk);
  auto const& tp = tcp_sk(sk);
  u32 const rtt_us = std::max(tp.srtt_us >> 3, 1u);
  ca.has_seen_rtt = tp.srtt_us != 0;
  u64 const bw = (u64{tp.snd_cwnd} << bw_scale) / (ca.has_seen_rtt ? rtt_us : 1000);
  u32 const bounded = static_cast<u32>(std::clamp<u64>(bw, least_bw, ~u32{0}));
  rare.pacing_rate = std::min(to_pacing_rate(bounded, tp.mss_cache, high_gain), rare.max_pacing_rate);
}
inline void set_pacing_rate(sock& sk, state& ca, u32 gain) {
  auto const& tp = tcp_sk(sk);
  if (!ca.has_seen_rtt && tp.srtt_us != 0) init_pacing_rate(sk, ca);
  auto& rare = sk_own_rare(sk);
  u32 const bw = std::max(max_bw(ca), least_bw);
  u64 const rate = std::min(to_pacing_rate(bw, tp.mss_cache, gain), rare.max_pacing_rate);
  if (ca.full_bw_reached || rate > rare.pacing_rate) rare.pacing_rate = rate;
}
/// In the first round trip of a recovery only as much leaves as arrives; after it the window is what it was. True: the
/// window is set.
inline bool recover_or_restore(tcp_sock& tp, state& ca, tcp_rate_sample const& rs, u32& cwnd) {
  auto const prev = std::exchange(ca.prev_state, tp.ca_state);
  if (rs.losses != 0) cwnd = cwnd > rs.losses ? cwnd - rs.losses : 1;
  if (tp.ca_state == tcp_ca_state::recovery && prev != tcp_ca_state::recovery) {
    ca.packet_conservation = true;
    ca.next_round = tp.delivered;
    cwnd = tcp_packets_in_flight(tp) + rs.acked_sacked;
  } else if (prev >= tcp_ca_state::recovery && tp.ca_state < tcp_ca_state::recovery) {
    cwnd = std::max(cwnd, ca.prior_cwnd);
    ca.packet_conservation = false;
  }
  if (!ca.packet_conservation) return false;
  cwnd = std::max(cwnd, tcp_packets_in_flight(tp) + rs.acked_sacked);
  return true;
}
inline void set_cwnd(sock& sk, state& ca, tcp_rate_sample const& rs) {
  auto& tp = tcp_sk(sk);
  u32 cwnd = tp.snd_cwnd;
  if (rs.acked_sacked != 0 && !recover_or_restore(tp, ca, rs, cwnd)) {
    u32 const target = inflight(sk, ca, max_bw(ca), ca.cwnd_gain);
    if (ca.full_bw_reached)
      cwnd = std::min(cwnd + rs.acked_sacked, target);
    else if (cwnd < target || tp.delivered < tcp_init_cwnd)
      cwnd += rs.acked_sacked;
    cwnd = std::max(cwnd, min_cwnd);
  }
  if (ca.now == mode::probe_rtt) cwnd = std::min(cwnd, min_cwnd);
  tp.snd_cwnd = std::min(cwnd, tcp_max_cwnd);
}

// --- calls

template <class Net>
void init(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto& ca = inet_csk_ca<state>(sk);
  ca = {.min_rtt_stamp = net.worker().now};
  ca.next_round = tp.delivered;
  if (tp.rtt_min_us != 0) ca.min_rtt_us = tp.rtt_min_us;
  update_gains(ca);
  tp.snd_ssthresh = tcp_infinite_ssthresh;
  sk.sk_pacing_needed = true;
  (void)sk_rare_of(net, sk);  // from now on it has a rate
  init_pacing_rate(sk, ca);
}
template <class Net>
void release(Net&, sock& sk) {
  sk.sk_pacing_needed = sk.sk_rare->max_pacing_rate != pacing_unlimited;
}
template <class Net>
void cong_control(Net& net, sock& sk, tcp_rate_sample const& rs) {
  auto& tp = tcp_sk(sk);
  auto& ca = inet_csk_ca<state>(sk);
  update_bw(tp, ca, rs);
  update_cycle(net, sk, ca, rs);
  check_full_bw(ca, rs);
  check_drain(net, sk, ca);
  update_min_rtt(net, tp, ca, rs);
  update_gains(ca);
  set_pacing_rate(sk, ca, ca.pacing_gain);
  set_cwnd(sk, ca, rs);
}
template <class Net>
u32 ssthresh(Net&, sock& sk) {
  save_cwnd(tcp_sk(sk), inet_csk_ca<state>(sk));
  return tcp_sk(sk).snd_ssthresh;
}
/// A false alarm: what was thought full may not be.
template <class Net>
u32 undo_cwnd(Net&, sock& sk) {
  auto& ca = inet_csk_ca<state>(sk);
  ca.full_bw = 0;
  ca.full_bw_count = 0;
  return tcp_sk(sk).snd_cwnd;
}
template <class Net>
void set_state(Net&, sock& sk, tcp_ca_state to) {
  if (to != tcp_ca_state::loss) return;
  auto& ca = inet_csk_ca<state>(sk);
  ca.prev_state = tcp_ca_state::loss;
  ca.full_bw = 0;
  ca.round_start = true;  // a timeout ends the round trip
}
/// After a pause at the rate of the path at once, neither faster nor from the beginning.
template <class Net>
void cwnd_event(Net& net, sock& sk, ca_event what) {
  auto& ca = inet_csk_ca<state>(sk);
  if (what != ca_event::tx_start || tcp_sk(sk).app_limited == 0) return;
  ca.idle_restart = true;
  if (ca.now == mode::probe_bw)
    set_pacing_rate(sk, ca, unit);
  else if (ca.now == mode::probe_rtt)
    check_probe_rtt_done(net, tcp_sk(sk), ca);
}

/// TCP_CC_INFO's value, Linux's tcp_bbr_info.
struct info {
  u32 bw_lo = 0, bw_hi = 0;  ///< bytes a second
  u32 min_rtt = 0;           ///< us
  u32 pacing_gain = 0, cwnd_gain = 0;
};
inline u32 get_info(sock& sk, std::span<std::byte> out) {
  if (!inet_csk(sk).icsk_ca_beside) return detail::put_opt(out, info{});  // it is not connected
  auto const& ca = inet_csk_ca<state>(sk);
  u64 const bw = u64{max_bw(ca)} * tcp_sk(sk).mss_cache * 1'000'000 >> bw_scale;
  return detail::put_opt(out, info{.bw_lo = static_cast<u32>(bw),
                                   .bw_hi = static_cast<u32>(bw >> 32),
                                   .min_rtt = ca.min_rtt_us,
                                   .pacing_gain = ca.pacing_gain,
                                   .cwnd_gain = ca.cwnd_gain});
}

}  // namespace bbr

struct tcp_bbr : module {
  static constexpr auto needs = requires_all<tcp>;
  template <class Net>
  static constexpr std::array tcp_congestion{tcp_congestion_ops<Net>{
      .name = "bbr",
      .priv_size = sizeof(bbr::state),
      .init = bbr::init,
      .release = bbr::release,
      .ssthresh = bbr::ssthresh,
      .undo_cwnd = bbr::undo_cwnd,
      .cong_control = bbr::cong_control,
      .set_state = bbr::set_state,
      .cwnd_event = bbr::cwnd_event,
      .get_info = bbr::get_info,
      .non_restricted = true,
  }};
};

}  // namespace netstack
