// SPDX-License-Identifier: BSL-1.0
// Decides: how a congestion control algorithm is chosen, by socket, by namespace and by the composition; and what all
// of them share: slow start, additive increase, and NewReno itself, which needs no more. The window is in segments.
// called by tcp_ack, tcp_recovery and tcp_timer through Net::tcp_congestion; by TCP_CONGESTION and tcp_cong_sysctl.hpp
// Linux: net/ipv4/tcp_cong.c; RFC 5681 §3.1, RFC 6582, RFC 3465 (appropriate byte counting), RFC 7661 (validation);
// MAY-18
#pragma once
#include <new>
#include <string_view>

#include "netstack/core/sock_opt.hpp"
#include "netstack/tcp/tcp_sock.hpp"

namespace netstack {

// --- what algorithms share

/// What an algorithm keeps in the connection.
template <class State>
[[nodiscard]] State& inet_csk_ca(sock& sk) {
  static_assert(sizeof(State) <= tcp_ca_priv_size && alignof(State) <= 8 && std::is_trivially_copyable_v<State>);
  std::byte* const at = inet_csk(sk).icsk_ca_priv;
  if constexpr (sizeof(State) <= tcp_ca_priv_inline)
    return *std::launder(reinterpret_cast<State*>(at));
  else
    return **std::launder(reinterpret_cast<State**>(at));
}
/// What it keeps for the case that a reduction was a false alarm: all zero at first.
template <class State, class Net>
[[nodiscard]] State& tcp_ca_undo(Net& net, sock& sk) {
  static_assert(sizeof(State) <= tcp_ca_priv_inline && alignof(State) <= 8 && std::is_trivially_copyable_v<State>);
  return *std::launder(reinterpret_cast<State*>(tcp_rare_of(net, tcp_sk(sk)).ca_undo.data()));
}
/// … and it has room to keep it.
template <class Net>
[[nodiscard]] bool tcp_ca_has_state(sock const& sk, tcp_congestion_ops<Net> const& ca) {
  return ca.priv_size <= tcp_ca_priv_inline || inet_csk(sk).icsk_ca_beside;
}
/// Some algorithm of the composition keeps more than a sock has room for.
template <class Net>
inline constexpr bool tcp_ca_any_beside = std::any_of(Net::tcp_congestion.rows.begin(), Net::tcp_congestion.rows.end(),
                                                      [](auto const& row) {
                                                        return row.priv_size > tcp_ca_priv_inline;
                                                      });

/// RFC 7661 §4.1: the window grows only by what used it.
inline bool tcp_is_cwnd_limited(tcp_sock const& tp) {
  return tp.cwnd_limited || (tcp_in_slow_start(tp) && tp.snd_cwnd < 2 * tp.max_packets_out);
}
/// RFC 5681 §3.1: one segment more for each acknowledged, up to the threshold; what is left over of `acked`.
inline u32 tcp_slow_start(tcp_sock& tp, u32 acked) {
  u32 const cwnd = std::min(tp.snd_cwnd + acked, tp.snd_ssthresh);
  acked -= cwnd - tp.snd_cwnd;
  tp.snd_cwnd = std::min(cwnd, tcp_max_cwnd);
  return acked;
}
/// RFC 5681 §3.1 (3): one segment more for each `w` acknowledged.
inline void tcp_cong_avoid_ai(tcp_sock& tp, u32 w, u32 acked) {
  if (w == 0) w = 1;
  if (tp.snd_cwnd_cnt >= w) tp.snd_cwnd_cnt = 0, ++tp.snd_cwnd;
  tp.snd_cwnd_cnt += acked;
  if (tp.snd_cwnd_cnt >= w) {
    u32 const more = tp.snd_cwnd_cnt / w;
    tp.snd_cwnd_cnt -= more * w;
    tp.snd_cwnd += more;
  }
  tp.snd_cwnd = std::min(tp.snd_cwnd, tcp_max_cwnd);
}
/// In the midst of a reduction the threshold is not what the path was worth.
[[nodiscard]] inline u32 tcp_current_ssthresh(tcp_sock const& tp) {
  if (tp.ca_state == tcp_ca_state::cwr || tp.ca_state == tcp_ca_state::recovery) return tp.snd_ssthresh;
  return std::max(tp.snd_ssthresh, (tp.snd_cwnd >> 1) + (tp.snd_cwnd >> 2));
}

// --- what they are told

/// f(the socket's algorithm). The default's row is known, so that what it is told is part of who tells it.
template <class Net, class F>
NETSTACK_INLINE decltype(auto) tcp_with_ca(sock const& sk, F&& f) {
  constexpr std::size_t usual = Net::tcp_congestion.first;
  return inet_csk(sk).icsk_ca_idx == usual ? f(Net::tcp_congestion.rows[usual]) : f(tcp_ca<Net>(sk));
}
template <class Net>
void tcp_ca_event(Net& net, sock& sk, ca_event what) {
  if (auto* event = tcp_ca<Net>(sk).cwnd_event) event(net, sk, what);
}
/// Something leaves, and nothing was in flight.
template <class Net>
NETSTACK_INLINE void tcp_ca_tx_start(Net& net, sock& sk) {
  if (!inet_csk(sk).icsk_ca_deaf) [[unlikely]]
    tcp_ca_event(net, sk, ca_event::tx_start);
}
template <class Net>
void tcp_set_ca_state(Net& net, sock& sk, tcp_ca_state state) {
  if (auto* set_state = tcp_ca<Net>(sk).set_state) set_state(net, sk, state);
  tcp_sk(sk).ca_state = state;
}

// --- NewReno

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
/// RFC 5681 §3.1 (4), by the window, as Linux has it, in place of what was in flight: half of it, two segments at
/// least.
template <class Net>
u32 tcp_reno_ssthresh(Net&, sock& sk) {
  return std::max(tcp_sk(sk).snd_cwnd >> 1, 2u);
}
template <class Net>
u32 tcp_reno_undo_cwnd(Net&, sock& sk) {
  auto const& tp = tcp_sk(sk);
  return std::max(tp.snd_cwnd, tp.rare->prior_cwnd);
}

template <class Net>
inline constexpr tcp_congestion_ops<Net> tcp_reno{
    .name = "reno",
    .ssthresh = tcp_reno_ssthresh,
    .undo_cwnd = tcp_reno_undo_cwnd,
    .cong_avoid = tcp_reno_cong_avoid,
    .non_restricted = true,
    .fallback = true,
};

// --- the choice

/// The row of this name; as many as there are: none.
template <class Net>
[[nodiscard]] std::size_t tcp_ca_find(std::string_view name) {
  auto const& rows = Net::tcp_congestion.rows;
  std::size_t i = 0;
  while (i < rows.size() && rows[i].name != name) ++i;
  return i;
}

/// A connection begins: there is room for what its algorithm keeps, from a slab as large as the socks'.
template <class Net>
NETSTACK_INLINE void tcp_prepare_congestion_control(Net& net, sock& sk) {
  if constexpr (tcp_ca_any_beside<Net>) {
    auto& icsk = inet_csk(sk);
    bool const has =
        tcp_with_ca<Net>(sk, [&](auto const& ca) NETSTACK_INLINE_LAMBDA { return tcp_ca_has_state(sk, ca); });
    if (has) [[likely]]
      return;
    auto* const beside = tcp_worker_of(net).cas.alloc();
    BUG_ON(!beside, "fewer tcp_ca_privs than connections");
    icsk.icsk_ca_beside = true;
    ::new (icsk.icsk_ca_priv) void*(beside);
  }
}
/// The connection is there: its algorithm begins.
template <class Net>
void tcp_init_congestion_control(Net& net, sock& sk) {
  tcp_prepare_congestion_control(net, sk);
  inet_csk(sk).icsk_ca_initialized = true;
  inet_csk(sk).icsk_ca_deaf = false;
  tcp_with_ca<Net>(sk, [&](auto const& ca) NETSTACK_INLINE_LAMBDA {
    if (ca.init) ca.init(net, sk);
  });
}
/// … and ends.
template <class Net>
NETSTACK_INLINE void tcp_release_congestion_control(Net& net, sock& sk) {
  auto& icsk = inet_csk(sk);
  tcp_with_ca<Net>(sk, [&](auto const& ca) NETSTACK_INLINE_LAMBDA {
    if (ca.release && icsk.icsk_ca_initialized) ca.release(net, sk);
  });
  icsk.icsk_ca_initialized = false;
  if constexpr (tcp_ca_any_beside<Net>)
    if (icsk.icsk_ca_beside) {
      tcp_worker_of(net).cas.free(*std::launder(reinterpret_cast<tcp_ca_priv**>(icsk.icsk_ca_priv)));
      icsk.icsk_ca_beside = false;
    }
}
/// … so that the next finds no trace of it.
template <class Net>
void tcp_cleanup_congestion_control(Net& net, sock& sk) {
  auto& icsk = inet_csk(sk);
  tcp_release_congestion_control(net, sk);
  icsk.icsk_ca_deaf = true;
  if (tcp_sk(sk).rare != &tcp_no_rare) tcp_own_rare(tcp_sk(sk)).ca_undo = {};
  std::fill(std::begin(icsk.icsk_ca_priv), std::end(icsk.icsk_ca_priv), std::byte{});
}
/// What a socket starts with, unless it was told otherwise: the namespace's.
template <class Net>
void tcp_assign_congestion_control(Net& net, sock& sk) {
  if (!inet_csk(sk).icsk_ca_setsockopt) inet_csk(sk).icsk_ca_idx = tcp_pernet(net).congestion_control;
}

/// TCP_CONGESTION: the next acknowledgment is the new algorithm's; window and threshold stay. Errors:
/// no_such_file_or_directory (none of that name is composed), operation_not_permitted (it is for the privileged).
template <class Net>
result<void> tcp_set_congestion_control(Net& net, sock& sk, std::string_view name) {
  auto& icsk = inet_csk(sk);
  std::size_t const row = tcp_ca_find<Net>(name);
  if (row == Net::tcp_congestion.rows.size()) return failure{std::errc::no_such_file_or_directory};
  if (row != icsk.icsk_ca_idx) {
    if (!(tcp_worker_of(net).congestion_allowed >> row & 1) && !ns_capable(net, cap::net_admin))
      return failure{std::errc::operation_not_permitted};
    bool const under_way = icsk.icsk_ca_initialized;
    bool const connects = !tcp_in_state(sk, tcp_state::close, tcp_state::listen);
    // A listener has its queues there; a connection that ended still has what its algorithm kept.
    if (connects || under_way) tcp_cleanup_congestion_control(net, sk);
    icsk.icsk_ca_idx = static_cast<u8>(row);
    if (connects) tcp_prepare_congestion_control(net, sk);
    if (connects && under_way) tcp_init_congestion_control(net, sk);
  }
  icsk.icsk_ca_setsockopt = true;
  return {};
}

}  // namespace netstack
