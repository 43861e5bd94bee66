// SPDX-License-Identifier: BSL-1.0
// Decides: when a paced connection may send: its segments leave at sock_rare::pacing_rate instead of as fast as
// acknowledgments come, each with a time of release; until then a timer of the worker's waits. Paced is who asks for
// it: BBR, and SO_MAX_PACING_RATE.
// tx: called by tcp_write_xmit, tcp_xmit_retransmit_queue, tcp_transmit_skb; rx: tcp_update_pacing_rate from tcp_ack
// Linux: net/ipv4/tcp_output.c (tcp_pacing_check, tcp_update_skb_after_send, tcp_pace_kick, tcp_tso_autosize)
// Linux: net/ipv4/tcp_input.c (tcp_update_pacing_rate)
#pragma once
#include "netstack/tcp/tcp_state.hpp"

namespace netstack {

/// The first segments of a connection leave together: nothing is known of the path yet (RFC 6928).
inline constexpr u32 tcp_unpaced_segments = tcp_init_cwnd;
/// The longest burst of who is paced, in bytes; and how it shrinks as the round trip grows: Linux's tcp_tso_rtt_log.
inline constexpr u32 tcp_gso_max_size = 65535 - max_tcp_header, tcp_tso_rtt_log = 9;

/// True: not yet; the timer will go on. What is due before the timers' next tick may as well leave now.
template <class Net>
bool tcp_pacing_check(Net& net, sock& sk) {
  if (!sk.sk_pacing_needed) [[likely]]
    return false;
  u64 const release = sk.sk_rare->pacing_release;
  if (release < net.worker().now + net.worker().timers.tick_ns) return false;
  icsk_start_timer(net, sk, icsk_wait::pacing, release);
  return true;
}
/// Segments that leave at once of who is paced, as one packet or not: what the rate takes a millisecond for, and where
/// round trips are so short that timers are coarse beside them, 64 KiB more, halved by each half millisecond of them.
[[nodiscard]] inline u32 tcp_tso_autosize(sock const& sk, u32 mss) {
  if (!sk.sk_pacing_needed) [[likely]]
    return ~u32{0};
  u32 const rtt_us = tcp_sk(sk).rtt_min_us, halvings = rtt_us != 0 ? rtt_us >> tcp_tso_rtt_log : 32;
  u64 const bytes = (sk.sk_rare->pacing_rate >> 10) + (halvings < 32 ? u64{tcp_gso_max_size} >> halvings : 0);
  return std::max(static_cast<u32>(std::min<u64>(bytes, tcp_gso_max_size)) / mss, 2u);
}

namespace detail {
template <class Net>
NETSTACK_NOINLINE void tcp_pacing_sent_slow(Net& net, sock& sk, u32 payload, u32 segments) {
  auto const& tp = tcp_sk(sk);
  u64& release = sk_own_rare(sk).pacing_release;
  u64 const bytes = payload + segments * (tcp_af_ops<Net>(sk).net_header_len + tcp_hlen_min);
  u64 const now = net.worker().now, due = std::exchange(release, std::max(release, now));
  u64 const rate = sk.sk_rare->pacing_rate;
  if (rate == pacing_unlimited || rate == 0 || tp.data_segs_out < tcp_unpaced_segments) return;  // 0: as in Linux
  u64 const distance = bytes * 1'000'000'000 / rate;
  u64 const late = due < now ? now - due : 0;
  release += distance - std::min(distance / 2, due != 0 ? late : 0);
}
}  // namespace detail

/// Segments with so much payload left: when may the next? A timer that was late is made up for by half of the distance
/// at most.
template <class Net>
NETSTACK_INLINE void tcp_pacing_sent(Net& net, sock& sk, u32 payload, u32 segments = 1) {
  if (sk.sk_pacing_needed) [[unlikely]]
    detail::tcp_pacing_sent_slow(net, sk, payload, segments);
}

/// The window in a round trip and a part more, so that pacing never is what limits: for algorithms that set no rate.
template <class Net>
[[nodiscard]] u64 tcp_pacing_rate_of_cwnd(Net& net, sock const& sk) {
  auto const& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  u32 const ratio = tp.snd_cwnd < tp.snd_ssthresh / 2 ? ns.sysctl_tcp_pacing_ss_ratio : ns.sysctl_tcp_pacing_ca_ratio;
  // mss · cwnd < 2^41, and srtt_us is eight round trips: % and us make 8 · 10^4. Below 2^50 no product overflows.
  u64 const window = u64{tp.mss_cache} * std::max(tp.snd_cwnd, tp.packets_out) * 80'000;
  u64 const rate = std::min(window / std::max(tp.srtt_us, 1u), u64{1} << 50) * ratio;
  return std::min(rate, sk.sk_rare->max_pacing_rate);
}
template <class Net>
void tcp_update_pacing_rate(Net& net, sock& sk) {
  sk_rare_of(net, sk)->pacing_rate = tcp_pacing_rate_of_cwnd(net, sk);
}

}  // namespace netstack
