// SPDX-License-Identifier: BSL-1.0
// Decides: after how long without an answer a connection is given up, and what two hosts tell each other of that. The
// option is advice: it goes with the SYN and with one segment behind it or behind a change, and is not repeated; a SYN
// cookie has no room for it. Only where net/ipv4/tcp_user_timeout_option says so: anybody can send one.
// called by tcp_transmit, tcp_input, tcp_timer and tcp_sockopt
// Linux has the socket option only, net/ipv4/tcp_timer.c (tcp_model_timeout); RFC 5482, RFC 9293 §3.8.3
#pragma once
#include "netstack/tcp/tcp_sock.hpp"

namespace netstack {

/// Times that a socket is given are, as Linux's are at 250 Hz, so many of these; us, and in full ones.
inline constexpr u32 tcp_jiffy = 4000;
[[nodiscard]] constexpr u32 tcp_jiffies(u32 us) {
  return static_cast<u32>((u64{us} + tcp_jiffy - 1) / tcp_jiffy * tcp_jiffy);
}
/// RFC 6298 §2.4, §2.5: what bounds the timeout; us. TCP_RTO_MIN_US and TCP_RTO_MAX_MS, or what the namespace's was
/// when the socket was made, or the one that listened for it.
[[nodiscard]] NETSTACK_INLINE u32 tcp_rto_min_of(tcp_sock const& tp) {
  if (tp.own_timers && tp.rare->rto_min_us != 0) [[unlikely]]
    return tp.rare->rto_min_us;
  return tcp_rto_min;
}
[[nodiscard]] inline u32 tcp_rto_max_of(tcp_sock const& tp) {
  u32 const own = tp.rare->rto_max_ms;
  return own == 0 ? tcp_rto_max : own * 1000;
}
/// What waits for an answer since then waits no longer than TCP_USER_TIMEOUT lets it; us.
template <class Net>
[[nodiscard]] u64 tcp_clamp_to_user_timeout(Net& net, tcp_sock const& tp, u64 since, u64 us) {
  u64 const most = u64{tp.rare->user_timeout} * 1'000'000, now = net.worker().now;
  if (most == 0 || since == 0) [[likely]]
    return us;
  return std::min<u64>(us, since + most > now ? (since + most - now) / 1000 + 1 : tcp_timeout_min);
}
/// A socket that begins takes over what is not as it is most often.
template <class Net>
NETSTACK_INLINE void tcp_init_timer_bounds(Net& net, tcp_sock& tp) {
  auto const& ns = tcp_pernet(net);
  if (ns.sysctl_tcp_rto_min_us != tcp_rto_min) [[unlikely]]
    tp.own_timers = true, tcp_rare_of(net, tp).rto_min_us = tcp_jiffies(ns.sysctl_tcp_rto_min_us);
  if (ns.sysctl_tcp_rto_max_ms != tcp_rto_max / 1000) [[unlikely]]
    tcp_rare_of(net, tp).rto_max_ms = tcp_jiffies(ns.sysctl_tcp_rto_max_ms * 1000) / 1000;
}
/// MUST-40: how long an acknowledgment waits for company; ns. No longer than TCP_DELACK_MAX_US, and, as in Linux, less
/// than the timeout of a peer that has the same bound.
[[nodiscard]] inline u64 tcp_delack_of(tcp_sock const& tp) {
  if (!tp.own_timers) [[likely]]
    return tcp_delack_min;
  u32 const most = tp.rare->delack_max_us, least = tp.rare->rto_min_us;
  u64 us = tcp_delack_min / 1000;
  if (most != 0) us = std::min<u64>(us, most);
  if (least != 0) us = std::min<u64>(us, std::max(least, 2 * tcp_jiffy) - tcp_jiffy);
  return us * 1000;
}
/// RFC 9293 §3.8.3: how long `tries` repetitions would take if the first came after `first` us: the measure of R1 and
/// R2, whatever the round trip; us.
[[nodiscard]] constexpr u64 tcp_model_timeout(u32 tries, u32 first, u32 most = tcp_rto_max) {
  u64 total = 0;
  for (u32 i = 0; i <= tries; ++i) total += std::min<u64>(u64{first} << std::min(i, 40u), most);
  return total;
}

/// RFC 5482 §2: seconds, or minutes where those do not fit 15 bits.
[[nodiscard]] constexpr u16 tcp_user_timeout_encode(u32 ms) {
  u32 const s = std::max(ms / 1000, 1u);
  return static_cast<u16>(s < 0x8000 ? s : 0x8000 | std::min(s / 60, 0x7fffu));
}
[[nodiscard]] constexpr u32 tcp_user_timeout_decode(u16 field) {
  return (field & 0x7fffu) * (field & 0x8000 ? 60u : 1u);  // s
}

/// RFC 5482 §3: what the application wants is told to the peer.
template <class Net>
[[nodiscard]] bool tcp_user_timeout_tells(Net& net, tcp_sock const& tp) {
  return tcp_pernet(net).sysctl_tcp_user_timeout_option != 0 && tp.user_timeout_set && tp.rare->user_timeout != 0;
}

/// RFC 5482 §3.1: the peer's advice counts, unless the application has a wish of its own. It makes ours longer, up to a
/// day, and never shorter: a connection is not to end because its peer is in a hurry.
template <class Net>
void tcp_rcv_user_timeout(Net& net, tcp_sock& tp, u16 field) {
  constexpr u32 l_limit = 100, u_limit = 86'400;  // s; RFC 9293 §3.8.3 SHLD-11: R2 is no less than 100
  auto const& ns = tcp_pernet(net);
  u32 const remote = tcp_user_timeout_decode(field);
  if (ns.sysctl_tcp_user_timeout_option == 0 || tp.user_timeout_set || remote == 0) return;
  u64 const own = tcp_model_timeout(ns.sysctl_tcp_retries2, tcp_rto_min) / 1'000'000;
  u64 const s = std::min<u64>(std::max({own, u64{remote}, u64{l_limit}}), u_limit);
  tcp_rare_of(net, tp).user_timeout = static_cast<u32>(s * 1000);
}

}  // namespace netstack
