// SPDX-License-Identifier: BSL-1.0
// Decides: what a received urgent pointer means: where the one urgent byte is, that the application is told of it, and
// that it is set apart as soon as it is here. How it is read: tcp_recvmsg.hpp.
// rx: called by tcp_input
// Linux: net/ipv4/tcp_input.c (tcp_check_urg, tcp_urg); RFC 9293 §3.8.5, RFC 6093
#pragma once
#include "netstack/skb/skb_walk.hpp"
#include "netstack/tcp/tcp_state.hpp"

namespace netstack::detail {

/// The pointer of an urgent segment, MUST-62. RFC 9293 §3.8.5 lets it point to the last urgent byte
/// (net/ipv4/tcp_stdurg), the world has it point behind (RFC 6093 §3.1).
template <class Net>
NETSTACK_COLD void tcp_check_urg(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  u32 const at = rx.seq + rx.urg_ptr - (rx.urg_ptr != 0 && !tcp_pernet(net).sysctl_tcp_stdurg ? 1 : 0);
  // What was read already, or is known already, is no news.
  if (after(tp.copied_seq, at) || before(at, tp.rcv_nxt) || (tp.urg_data != 0 && !after(at, tp.rare->urg_seq))) return;
  // The mark was reached and its byte not asked for: a second one leaves it in the stream, where nobody expects it.
  if (tp.urg_data != 0 && tp.rare->urg_seq == tp.copied_seq && !sock_flag(sk, sock_flags::urginline) &&
      tp.copied_seq != tp.rcv_nxt)
    ++tp.copied_seq;
  tp.urg_data = tcp_urg_bits::notyet;
  tcp_rare_of(net, tp).urg_seq = at;
  tcp_note(sk, tcp_event::readable);
}
/// MUST-30 MUST-31 MUST-32. Data at the header. The one urgent byte is set apart as soon as it is here.
template <class Net>
NETSTACK_NOINLINE void tcp_urg_slow(Net& net, sock& sk, sk_buff const& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (rx.has(tcp_flag::urg)) [[unlikely]]
    tcp_check_urg(net, sk, rx);
  if (!(tp.urg_data & tcp_urg_bits::notyet)) [[likely]]
    return;
  u8 byte;
  u32 const offset = tp.rare->urg_seq - rx.seq - (rx.has(tcp_flag::syn) ? 1 : 0);
  if (offset >= skb.len - rx.hlen || !skb_copy_bits(skb, rx.hlen + offset, &byte, 1)) return;
  tp.urg_data = tcp_urg_bits::valid | byte;
  tcp_note(sk, tcp_event::readable);
}

template <class Net>
NETSTACK_INLINE void tcp_urg(Net& net, sock& sk, sk_buff const& skb, tcp_rx const& rx) {
  if (rx.has(tcp_flag::urg) || (tcp_sk(sk).urg_data & tcp_urg_bits::notyet)) [[unlikely]]
    tcp_urg_slow(net, sk, skb, rx);
}

}  // namespace netstack::detail
