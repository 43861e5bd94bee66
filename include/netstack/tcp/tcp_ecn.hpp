// SPDX-License-Identifier: BSL-1.0
// Decides: explicit congestion notification, by which a router marks what it would else have lost. Both ends agree with
// their SYNs; data is sent as capable (ECT), a mark (CE) is echoed with every acknowledgment (ECE) until the sender
// says that its window is smaller (CWR), and a sender reduces it once in a window.
// rx: called by tcp_input, tcp_data_queue, tcp_ack; tx: by tcp_connect, tcp_transmit, tcp_retransmit_skb
// Linux: net/ipv4/tcp_input.c and tcp_output.c (tcp_ecn_*); RFC 3168 §6.1
#pragma once
#include "netstack/tcp/tcp_cong.hpp"

namespace netstack {

inline constexpr u8 tcp_syn_ecn = tcp_flag::syn | tcp_flag::ece | tcp_flag::cwr;

// --- agreeing

/// RFC 3168 §6.1.1, SHLD-8: a SYN that asks: its flags.
template <class Net>
[[nodiscard]] u8 tcp_ecn_send_syn(Net& net, sock& sk) {
  bool const needs = tcp_with_ca<Net>(sk, [](auto const& ca) NETSTACK_INLINE_LAMBDA { return ca.needs_ecn; });
  bool const ask = tcp_pernet(net).sysctl_tcp_ecn == 1 || needs;
  tcp_sk(sk).ecn_flags = ask ? tcp_ecn::ok : u8{0};
  return ask ? tcp_flag::ece | tcp_flag::cwr : 0;
}
/// §6.1.1.1: what swallowed the SYN may have disliked the question.
template <class Net>
void tcp_ecn_clear_syn(Net& net, tcp_skb_cb& cb) {
  if ((cb.tcp_flags & tcp_syn_ecn) == tcp_syn_ecn && tcp_pernet(net).sysctl_tcp_ecn_fallback)
    cb.tcp_flags &= static_cast<u8>(~(tcp_flag::ece | tcp_flag::cwr));
}
/// A SYN for a listener: is it agreed to? One that is marked itself says that its sender, or the path, is broken.
template <class Net>
[[nodiscard]] bool tcp_ecn_create_request(Net& net, sock const& listener, tcp_rx const& rx) {
  if (!rx.is(tcp_flag::ece | tcp_flag::cwr, tcp_flag::ece | tcp_flag::cwr)) return false;
  return (tcp_pernet(net).sysctl_tcp_ecn != 0 && (rx.dsfield & inet_ecn::mask) == inet_ecn::not_ect) ||
         tcp_ca<Net>(listener).needs_ecn;
}
/// The SYN that answers ours: ECE alone agrees. A SYN that crossed ours asks, as ours did, with both.
inline void tcp_ecn_rcv_syn(tcp_sock& tp, tcp_rx const& rx) {
  bool const agreed = rx.has(tcp_flag::ece) && rx.has(tcp_flag::cwr) != rx.has(tcp_flag::ack);
  if (!agreed && tp.ecn_flags != 0) tp.ecn_flags = 0;
}
/// Our SYN becomes the answer to theirs.
inline void tcp_ecn_send_synack(tcp_sock const& tp, tcp_skb_cb& cb) {
  cb.tcp_flags &= static_cast<u8>(~(tcp_flag::cwr | (tp.ecn_flags & tcp_ecn::ok ? 0 : tcp_flag::ece)));
}

// --- sending

inline void tcp_ecn_queue_cwr(tcp_sock& tp) {
  if (tp.ecn_flags & tcp_ecn::ok) tp.ecn_flags |= tcp_ecn::queue_cwr;
}
inline void tcp_ecn_withdraw_cwr(tcp_sock& tp) { tp.ecn_flags &= static_cast<u8>(~tcp_ecn::queue_cwr); }

/// A segment leaves: the flags it gets, and whether it is capable: new data is, what is repeated is not (§6.1.5), nor
/// is what has no data (§6.1.4), nor a SYN.
[[nodiscard]] inline u8 tcp_ecn_send(tcp_sock& tp, tcp_skb_cb const& cb, bool data) {
  tp.ecn_flags &= static_cast<u8>(~tcp_ecn::ect);
  if (!(tp.ecn_flags & tcp_ecn::ok) || (cb.tcp_flags & tcp_flag::syn)) return 0;
  u8 flags = tp.ecn_flags & tcp_ecn::demand_cwr ? tcp_flag::ece : 0;
  if (data && !before(cb.seq, tp.snd_nxt)) {
    tp.ecn_flags |= tcp_ecn::ect;
    if (tp.ecn_flags & tcp_ecn::queue_cwr) flags |= tcp_flag::cwr;
    tcp_ecn_withdraw_cwr(tp);
  }
  return flags;
}

/// … of those that leave while there is no news (tcp_ecn::has_news), which get no flags: new data, or none.
NETSTACK_INLINE void tcp_ecn_send_quiet(tcp_sock& tp, bool fresh) {
  if (tp.ecn_flags == 0) [[likely]]
    return;
  tp.ecn_flags = static_cast<u8>(fresh ? tp.ecn_flags | tcp_ecn::ect : tp.ecn_flags & ~tcp_ecn::ect);
}

// --- receiving

namespace detail {
[[nodiscard]] inline bool tcp_ecn_marks_received(tcp_sock& tp, u8 flags, u8 dsfield) {
  bool at_once = false;
  if (flags & tcp_flag::cwr) {
    tp.ecn_flags &= static_cast<u8>(~tcp_ecn::demand_cwr);
    at_once = true;  // its window may be a single segment now
  }
  switch (dsfield & inet_ecn::mask) {
    case inet_ecn::not_ect: return at_once || (tp.ecn_flags & tcp_ecn::seen);  // repeated: something was lost
    case inet_ecn::ce:
      at_once = at_once || !(tp.ecn_flags & tcp_ecn::demand_cwr);
      tp.ecn_flags |= tcp_ecn::demand_cwr;
      [[fallthrough]];
    default: tp.ecn_flags |= tcp_ecn::seen; return at_once;
  }
}
}  // namespace detail
/// Data came that is taken. True: its acknowledgment must not wait.
[[nodiscard]] NETSTACK_INLINE bool tcp_ecn_data_received(tcp_sock& tp, tcp_rx const& rx) {
  return (tp.ecn_flags & tcp_ecn::ok) && detail::tcp_ecn_marks_received(tp, rx.flags, rx.dsfield);
}
/// Several segments of one `dsfield` may be taken together: data is capable, acknowledgments are not, none is marked,
/// and no mark was before. `data`: the first has some.
[[nodiscard]] inline bool tcp_ecn_may_run(tcp_sock const& tp, u8 dsfield, bool data) {
  return (tp.ecn_flags & tcp_ecn::has_news) == 0 &&
         (dsfield & inet_ecn::mask) == (data ? inet_ecn::ect_0 : inet_ecn::not_ect);
}
/// The peer saw a mark.
[[nodiscard]] inline bool tcp_ecn_rcv_ecn_echo(tcp_sock const& tp, tcp_rx const& rx) {
  return rx.is(tcp_flag::ece, tcp_flag::ece | tcp_flag::syn) && (tp.ecn_flags & tcp_ecn::ok);
}

}  // namespace netstack
