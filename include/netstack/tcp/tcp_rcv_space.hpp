// SPDX-License-Identifier: BSL-1.0
// Decides: how large the receive buffer is when nobody has said so: it follows what the reader takes in a round trip,
// so that the window neither holds back the sender nor lets it fill memory that nobody reads. (The known method of
// "dynamic right-sizing".)
// rx: tcp_rcv_rtt_measure by tcp_event_data_recv; tcp_rcv_space_adjust by tcp_recvmsg
// Linux: net/ipv4/tcp_input.c (tcp_rcv_space_adjust, tcp_rcv_rtt_update) [S100]
#pragma once
#include "netstack/tcp/tcp_transmit.hpp"

namespace netstack {

/// The clock of this file, modulo 2^32: 1.024 us, in which a round trip is told from none for 73 minutes.
[[nodiscard]] constexpr u32 tcp_rcvq_clock(u64 now) { return static_cast<u32>(now >> 10); }

/// The connection is there: the first measure begins.
template <class Net>
void tcp_init_buffer_space(Net& net, tcp_sock& tp) {
  tp.rcvq_space = std::min(tp.rcv_wnd, tcp_init_cwnd * tp.advmss);
  tp.rcvq_seq = tp.copied_seq;
  tp.rcvq_time = tcp_rcvq_clock(net.worker().now);
}

namespace detail {

/// A measure by windows counts the sender's pauses too: of such the least is the best.
inline void tcp_rcv_rtt_update(tcp_sock& tp, u64 us, bool by_window) {
  u32 const sample = static_cast<u32>(std::clamp<u64>(us, 1, 1u << 28));
  if (tp.rcv_rtt_us == 0 || (by_window && sample << 3 < tp.rcv_rtt_us))
    tp.rcv_rtt_us = sample << 3;
  else if (!by_window)
    tp.rcv_rtt_us += sample - (tp.rcv_rtt_us >> 3);
}

}  // namespace detail

/// What the data's sender takes for a round trip. `stamped` with a time stamp: since what it echoes was sent; without:
/// the time in which it sends a window.
template <class Net>
NETSTACK_INLINE void tcp_rcv_rtt_measure(Net& net, tcp_sock& tp, tcp_rx const& rx, bool stamped) {
  if (stamped) {
    if (rx.end_seq - rx.seq < tp.rcv_mss || rx.opt.rcv_tsecr == 0 || rx.opt.rcv_tsecr == tp.rcv_rtt_seq) return;
    tp.rcv_rtt_seq = rx.opt.rcv_tsecr;
    u32 const ms = tcp_time_stamp(net) + tp.tsoffset - rx.opt.rcv_tsecr;
    if (ms <= 120'000) detail::tcp_rcv_rtt_update(tp, u64{std::max(ms, 1u)} * 1000, false);
    return;
  }
  u32 const now = std::max(tcp_rcvq_clock(net.worker().now), 1u);
  if (tp.rcv_rtt_time != 0) {
    if (before(tp.rcv_nxt, tp.rcv_rtt_seq)) return;
    detail::tcp_rcv_rtt_update(tp, (u64{now - tp.rcv_rtt_time} << 10) / 1000, true);
  }
  tp.rcv_rtt_seq = tp.rcv_nxt + tp.rcv_wnd;
  tp.rcv_rtt_time = now;
}

namespace detail {
template <class Net>
NETSTACK_NOINLINE void tcp_rcv_space_grow(Net& net, sock& sk, u32 now) {
  auto& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  u32 const copied = tp.copied_seq - tp.rcvq_seq;
  if (copied > tp.rcvq_space) {
    u64 window = 2 * u64{copied} + 16 * u64{tp.advmss};
    window += 2 * window * (copied - tp.rcvq_space) / std::max(tp.rcvq_space, 1u);
    u32 const most = static_cast<u32>(ns.sysctl_tcp_rmem[2]);
    if (ns.sysctl_tcp_moderate_rcvbuf && !sock_flag(sk, sock_flags::rcvbuf_lock) && !sk.sk_memory->pressure)
      sk.sk_rcvbuf = std::max(sk.sk_rcvbuf, std::min(tcp_space_from_win(sk, window), most));
    tp.rcvq_space = copied;
  }
  tp.rcvq_seq = tp.copied_seq;
  tp.rcvq_time = now;
}
}  // namespace detail

/// Something was read. Once in a round trip: if it was more than ever, the buffer becomes such that the window holds
/// twice that, for the sender may double its own in slow start, and as much again as it grew, since what we tell is
/// heard a round trip later.
template <class Net>
NETSTACK_INLINE void tcp_rcv_space_adjust(Net& net, sock& sk) {
  auto const& tp = tcp_sk(sk);
  u32 const now = tcp_rcvq_clock(net.worker().now);
  if (tp.rcv_rtt_us != 0 && u64{now - tp.rcvq_time} << 10 >= u64{tp.rcv_rtt_us >> 3} * 1000) [[unlikely]]
    detail::tcp_rcv_space_grow(net, sk, now);
}

}  // namespace netstack
