// SPDX-License-Identifier: BSL-1.0
// Decides: how a congestion control algorithm is chosen, and what all of them share: slow start, additive increase, and
// NewReno itself, which needs no more. The window is in segments.
// called by tcp_ack, tcp_recovery and tcp_timer through Net::tcp_congestion
// Linux: net/ipv4/tcp_cong.c; RFC 5681 §3.1, RFC 6582, RFC 3465 (appropriate byte counting)
#pragma once
#include <string_view>

#include "netstack/tcp/tcp_sock.hpp"

namespace netstack {

/// RFC 7661 §4.1: the window grows only by what used it.
inline bool tcp_is_cwnd_limited(tcp_sock const& tp) {
  return tp.cwnd_limited || (tcp_in_slow_start(tp) && tp.snd_cwnd < 2 * tp.max_packets_out);
}
/// RFC 5681 §3.1: one segment more for each acknowledged, up to the threshold; what is left over of `acked`.
inline u32 tcp_slow_start(tcp_sock& tp, u32 acked) {
  u32 const cwnd = std::min(tp.snd_cwnd + acked, tp.snd_ssthresh);
  acked -= cwnd - tp.snd_cwnd;
  tp.snd_cwnd = cwnd;
  return acked;
}
/// RFC 5681 §3.1 (3): one segment more for each `w` acknowledged.
inline void tcp_cong_avoid_ai(tcp_sock& tp, u32 w, u32 acked) {
  if (w == 0) w = 1;
  if (tp.snd_cwnd_cnt >= w) tp.snd_cwnd_cnt = 0, ++tp.snd_cwnd;
  tp.snd_cwnd_cnt += acked;
  if (tp.snd_cwnd_cnt < w) return;
  u32 const more = tp.snd_cwnd_cnt / w;
  tp.snd_cwnd_cnt -= more * w;
  tp.snd_cwnd += more;
}

template <class Net>
void tcp_reno_cong_avoid(Net&, sock& sk, u32, u32 acked) {
  auto& tp = tcp_sk(sk);
  if (!tcp_is_cwnd_limited(tp)) return;
  if (tcp_in_slow_start(tp)) {
    acked = tcp_slow_start(tp, acked);
    if (acked == 0) return;
  }
  tcp_cong_avoid_ai(tp, tp.snd_cwnd, acked);
}
/// RFC 5681 §3.1 (4): half of what was in flight, two segments at least.
template <class Net>
u32 tcp_reno_ssthresh(Net&, sock& sk) {
  return std::max(tcp_sk(sk).snd_cwnd >> 1, 2u);
}
template <class Net>
u32 tcp_reno_undo_cwnd(Net&, sock& sk) {
  auto const& tp = tcp_sk(sk);
  return std::max(tp.snd_cwnd, tp.prior_cwnd);
}

template <class Net>
inline constexpr tcp_congestion_ops<Net> tcp_reno{
    .name = "reno",
    .ssthresh = tcp_reno_ssthresh,
    .cong_avoid = tcp_reno_cong_avoid,
    .undo_cwnd = tcp_reno_undo_cwnd,
    .non_restricted = true,
};

namespace detail {
template <class Net>
void tcp_use_congestion_control(Net& net, sock& sk, std::size_t row) {
  auto& icsk = inet_csk(sk);
  if (auto* release = tcp_ca<Net>(sk).release) release(net, sk);
  icsk.icsk_ca_idx = static_cast<u8>(row);
  std::fill(std::begin(icsk.icsk_ca_priv), std::end(icsk.icsk_ca_priv), 0);
  if (auto* init = tcp_ca<Net>(sk).init) init(net, sk);
}
}  // namespace detail

/// TCP_CONGESTION. Errors: no_such_file_or_directory: none of that name is composed.
template <class Net>
result<void> tcp_set_congestion_control(Net& net, sock& sk, std::string_view name) {
  auto const& rows = Net::tcp_congestion.rows;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].name == name) return detail::tcp_use_congestion_control(net, sk, i), result<void>{};
  return failure{std::errc::no_such_file_or_directory};
}
/// A new socket's: the first that the composition lists.
template <class Net>
void tcp_init_congestion_control(Net& net, sock& sk) {
  inet_csk(sk).icsk_ca_idx = static_cast<u8>(Net::tcp_congestion.first);
  if (auto* init = tcp_ca<Net>(sk).init) init(net, sk);
}

}  // namespace netstack
