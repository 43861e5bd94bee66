// SPDX-License-Identifier: BSL-1.0
// Decides: what an acknowledgment does: whether it can be believed, what leaves the write queue, what the round trip
// took, what the peer's window is now, and what the congestion control makes of it.
// rx: called by tcp_input → calls tcp_recovery, tcp_congestion_ops.cong_avoid
// Linux: net/ipv4/tcp_input.c (tcp_ack, tcp_clean_rtx_queue, tcp_rtt_estimator, tcp_ack_update_window)
// RFC 9293 §3.10.7.4 fifth, RFC 5961 §5 (blind data injection), RFC 6298 (RTO), RFC 7323 §4 (RTTM)
#pragma once
#include "netstack/tcp/tcp_challenge.hpp"
#include "netstack/tcp/tcp_recovery.hpp"
#include "netstack/tcp/tcp_syn_fin.hpp"

namespace netstack {

// --- the round trip

/// RFC 6298 §2.2: the first round trip that was measured. The lower bound of the timeout, by Linux's measure, is one of
/// what is added to the round trip (§2.4).
NETSTACK_NOINLINE inline void tcp_rtt_first(tcp_sock& tp, u32 rtt_us, u32 least_us) {
  tp.srtt_us = rtt_us << 3;
  tp.mdev_us = rtt_us << 1;
  tp.rttvar_us = tp.mdev_max_us = std::max(tp.mdev_us, least_us);
  tp.rtt_seq = tp.snd_nxt;
}
/// The path varies by more than the least that is added to a round trip, or did of late. The deviation is smoothed with
/// each sample, of which there are many in a round trip, and would forget in one what the path does now and then. So
/// what counts is the most that it was: that rises at once, and falls once a round trip by a quarter of what it is
/// above the most in that.
NETSTACK_NOINLINE inline void tcp_rtt_varies(tcp_sock& tp, u32 least_us) {
  bool const was_calm = tp.rttvar_us <= least_us;
  if (tp.mdev_us > tp.mdev_max_us) tp.mdev_max_us = tp.mdev_us;
  tp.rttvar_us = std::max(tp.rttvar_us, tp.mdev_max_us);
  if (!was_calm && !after(tp.snd_una, tp.rtt_seq)) return;
  tp.rttvar_us -= (tp.rttvar_us - tp.mdev_max_us + 3) >> 2;
  tp.rtt_seq = tp.snd_nxt;
  tp.mdev_max_us = least_us;
}
/// RFC 6298 §2.3: SRTT, and RTTVAR as Linux has it. A path that becomes quicker varies by less than its step says.
NETSTACK_INLINE void tcp_rtt_estimator(tcp_sock& tp, u32 rtt_us) {
  u32 const r = std::max(rtt_us, 1u), least_us = tcp_rto_min_of(tp);
  if (tp.srtt_us == 0) [[unlikely]]
    return tcp_rtt_first(tp, r, least_us);
  auto const error = static_cast<s32>(r - (tp.srtt_us >> 3));
  s32 change = (error < 0 ? -error : error) - static_cast<s32>(tp.mdev_us >> 2);
  if (error < 0 && change > 0) change >>= 3;
  tp.srtt_us += static_cast<u32>(error);
  tp.mdev_us += static_cast<u32>(change);
  if (std::max(tp.mdev_us, tp.rttvar_us) > least_us) [[unlikely]]
    tcp_rtt_varies(tp, least_us);
}
/// One segment that is not full, with none else on its way: its acknowledgment may have waited for company.
[[nodiscard]] NETSTACK_INLINE bool tcp_maybe_delayed(tcp_sock const& tp, u32 bytes, u32 delivered) {
  return bytes < tp.mss_cache && delivered == tp.delivered;
}
/// RFC 8985 §6.2 step 1: the least of the last few minutes; but no wait of the peer's, which `delayed()` tells.
template <class Net, class Delayed>
void tcp_update_rtt_min(Net& net, tcp_sock& tp, u32 rtt_us, Delayed&& delayed) {
  u32 const now = tcp_tick(net.worker().now), r = std::max(rtt_us, 1u);
  if (tp.rtt_min_us != 0 && r > tp.rtt_min_us &&
      (now - tp.rtt_min_stamp <= tcp_pernet(net).sysctl_tcp_min_rtt_wlen >> tcp_tick_shift || delayed()))
    return;
  tp.rtt_min_us = r;
  tp.rtt_min_stamp = now;
}
/// RFC 6298 §2.3, §2.5.
NETSTACK_INLINE void tcp_set_rto(tcp_sock& tp) {
  u32 rto = (tp.srtt_us >> 3) + tp.rttvar_us;
  if (rto > 1'000'000) [[unlikely]]  // no bound is less
    rto = std::min(rto, tcp_rto_max_of(tp));
  tp.icsk_rto = rto;
}

namespace detail {

/// RFC 6298 §3, MUST-18 (Karn): what was sent twice is measured by its time stamp or not at all.
template <class Net>
void tcp_ack_update_rtt(Net& net, sock& sk, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  u64 const sent = news.retrans_acked || news.first_sent == 0 ? news.first_sacked_sent : news.first_sent;
  u32 rtt_us;
  if (sent != 0) {
    rtt_us = tcp_clock_us(net) - tcp_sent_us(sent);
  } else if (news.una_advanced && tp.tstamp_ok && news.tsecr != 0) {
    u32 const elapsed = tcp_time_stamp(net) + tp.tsoffset - news.tsecr;
    if (elapsed > 120'000) return;
    rtt_us = std::max(elapsed, 1u) * 1000;
  } else {
    return;
  }
  bool const plainly =
      news.acked == 1 && news.newly_sacked == 0 && !(news.retrans_acked || news.syn_acked || news.dsack || news.ece);
  news.rs.is_ack_delayed = plainly && tcp_maybe_delayed(tp, tp.snd_una - news.prior_una, news.rs.prior_delivered);
  tcp_rtt_estimator(tp, rtt_us);
  tcp_update_rtt_min(net, tp, rtt_us, [&] { return news.rs.is_ack_delayed; });
  tcp_set_rto(tp);
  tp.icsk_backoff = 0;
}

/// The first `n` of the write queue, up to `last`, are acknowledged, and freed.
NETSTACK_INLINE void tcp_free_acked(sock& sk, sk_buff& last, u32 n) {
  if (n == 1) {
    sk.sk_write_queue.unlink(last);
    return tcp_wmem_free_skb(sk, last);
  }
  tcp_wmem_free_first(sk, last, n);
}
/// A segment is acknowledged that was repeated, believed lost, or selectively acknowledged before.
template <class Net>
void tcp_acked_marked(Net& net, tcp_sock& tp, tcp_skb_cb const& cb, u32 prior_highest, tcp_ack_news& news) {
  if (cb.sacked & tcpcb::ever_retrans) news.retrans_acked = true;
  if (cb.sacked & tcpcb::sacked_acked) return;
  ++news.delivered;
  if (tcp_is_sack(tp) && !tcp_spurious_retrans(tp, cb, news.tsecr)) tcp_rack_advance(net, tp, cb);
  tcp_rate_skb_delivered(tp, cb, news.rs);
  if (cb.sacked & tcpcb::ever_retrans) return;
  if (news.first_sent == 0) news.first_sent = cb.sent;
  tcp_note_orig(tp, cb, prior_highest, news);
}
/// What is acknowledged leaves the queue. Of segments that left once, and in order, the first tells since when they
/// were on their way and whether they are late, and the last of the path.
template <class Net>
void tcp_acked_segments(Net& net, sock& sk, u32 prior_highest, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  sk_buff *last = nullptr, *plain = nullptr;
  u32 n = 0;
  for (sk_buff* skb = tcp_sent_head(sk); skb; skb = tcp_sent_after(sk, *skb)) {
    auto const& cb = TCP_SKB_CB(*skb);
    if (after(cb.end_seq, tp.snd_una)) break;
    if (cb.sacked == 0) [[likely]] {
      ++news.delivered;
      if (!plain) {
        if (news.first_sent == 0) news.first_sent = cb.sent;
        tcp_note_orig(tp, cb, prior_highest, news);
      }
      plain = skb;
    } else {
      tcp_acked_marked(net, tp, cb, prior_highest, news);
    }
    if (cb.tcp_flags & tcp_flag::syn) news.syn_acked = true;
    tcp_rtx_queue_acked(tp, *skb);
    last = skb;
    ++n;
  }
  if (plain) {
    if (tcp_is_sack(tp)) tcp_rack_advance(net, tp, TCP_SKB_CB(*plain));
    tcp_rate_skb_delivered(tp, TCP_SKB_CB(*plain), news.rs);
  }
  if (n == 0) return;
  news.acked += n;
  tcp_free_acked(sk, *last, n);
}

/// … and what follows from that.
template <class Net>
void tcp_clean_rtx_queue(Net& net, sock& sk, u32 prior_highest, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  if (tp.tx_stamps) [[unlikely]]
    tcp_ack_tstamps(net, sk, news.prior_una);
  tcp_acked_segments(net, sk, prior_highest, news);
  sk_buff const* const head = tcp_sent_head(sk);
  news.reneging = news.una_advanced && head && (TCP_SKB_CB(const_cast<sk_buff&>(*head)).sacked & tcpcb::sacked_acked);
  if (!tcp_is_sack(tp)) {
    tcp_remove_reno_sacks(net, tp, news);
    if (news.retrans_acked) news.orig_acked = false;  // nothing tells which of them had been there
  } else if (news.reordered) {
    tcp_check_reordering(net, tp, news.reord, NET_STATS(net).TCPSACKReorder);
  }
  if (news.syn_acked && tp.repair) tp.repair->retrans_stamp = 0;
  tcp_ack_update_rtt(net, sk, news);
  // RFC 6298 §5.3; and what arrived was sent before the oldest was sent again, so that one may take as long as this
  // did.
  bool const progress = news.acked != 0 || (head && news.first_sacked_sent != 0 &&
                                            news.first_sacked_sent < TCP_SKB_CB(const_cast<sk_buff&>(*head)).sent);
  if (progress && !tcp_schedule_loss_probe(net, sk, true)) tcp_rearm_rto(net, sk);
  if (news.acked != 0 && tp.packets_out == 0 && !tp.send_head) tcp_chrono_update(net, sk, false);
}

/// The window that a segment tells, in bytes.
[[nodiscard]] NETSTACK_INLINE u32 tcp_window_of(tcp_sock const& tp, tcp_rx const& rx) {
  return rx.has(tcp_flag::syn) ? rx.window : u32{rx.window} << tp.snd_wscale;
}
/// RFC 9293 §3.10.7.4: only a newer segment than the one that told it last may change the window.
[[nodiscard]] NETSTACK_INLINE bool tcp_may_update_window(tcp_sock const& tp, tcp_rx const& rx) {
  u32 const nwin = tcp_window_of(tp, rx);
  return after(rx.ack_seq, tp.snd_una) || after(rx.seq, tp.snd_wl1) ||
         (rx.seq == tp.snd_wl1 && (nwin > tp.snd_wnd || nwin == 0));
}
inline bool tcp_ack_update_window(tcp_sock& tp, tcp_rx const& rx) {
  if (!tcp_may_update_window(tp, rx)) return false;
  tp.snd_wl1 = rx.seq;
  tp.snd_wnd = tcp_window_of(tp, rx);
  tp.max_window = std::max(tp.max_window, tp.snd_wnd);
  return true;
}

/// The window opened, or did not: RFC 9293 §3.8.6.1.
template <class Net>
void tcp_ack_probe(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (!tp.send_head) return;
  if (!after(TCP_SKB_CB(*tp.send_head).end_seq, tcp_wnd_end(tp))) {
    tp.icsk_backoff = 0;
    if (tp.icsk_pending == icsk_time::probe0) inet_csk_clear_xmit_timer(net, sk);
  } else if (tp.icsk_pending == icsk_time::probe0) {
    u64 const when = tcp_clamp_to_user_timeout(net, tp, tp.rare->retrans_start, tcp_probe0_when(tp));
    inet_csk_reset_xmit_timer(net, sk, icsk_time::probe0, when);
  }
}

/// The rate that the acknowledgment shows, and what the algorithm makes of it.
template <class Net>
void tcp_cong_control(Net& net, sock& sk, u32 ack, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  auto const& ca = tcp_ca<Net>(sk);
  news.rs.acked_sacked = news.delivered;
  news.rs.losses = tp.rare->lost - news.prior_lost;
  tcp_rate_gen(net, tp, news.rs);
  if (news.ece) tcp_rare_of(net, tp).delivered_ce += news.delivered, NET_STATS(net).TCPDeliveredCE += news.delivered;
  if (!tp.icsk_ca_initialized) [[unlikely]]
    return;  // the connection is not there yet
  if (ca.pkts_acked) ca.pkts_acked(net, sk, {.rtt_us = news.rs.rtt_us, .pkts_acked = news.rs.acked_sacked});
  if (ca.cong_control) return ca.cong_control(net, sk, news.rs);
  if (tp.ca_state == tcp_ca_state::recovery || tp.ca_state == tcp_ca_state::cwr) {
    tcp_cwnd_reduction(tp, news);
  } else if (bool const sacked = news.newly_sacked != 0 && tp.reordering > tcp_pernet(net).sysctl_tcp_reordering;
             news.delivered != 0 && (news.acked != 0 || sacked)) {  // what came twice, alone, opens nothing
    // RFC 3465 §2.3: after a timeout an acknowledgment may be of what had arrived long before; SACK would have said so.
    bool const blind = tp.ca_state == tcp_ca_state::loss && !tcp_is_sack(tp);
    ca.cong_avoid(net, sk, ack, blind ? 1 : news.delivered);
  }
  if (sk.sk_pacing_needed) [[unlikely]]
    tcp_update_pacing_rate(net, sk);
}

/// Sends what the congestion window allows: what is lost first, unless RFC 5682 wants to see how the peer takes
/// something new.
template <class Net>
void tcp_xmit_recovery(Net& net, sock& sk, bool repair) {
  auto& tp = tcp_sk(sk);
  if (sk.sk_state == tcp_state::syn_sent) return;  // the SYN-ACK is not taken yet: nothing could acknowledge it
  if (!repair && tp.frto) {
    __tcp_push_pending_frames(net, sk, tcp_current_mss(net, sk), tcp_nagle::off);
    if (after(tp.snd_nxt, tp.repair->high_seq)) return;
    tp.frto = false;
    repair = true;
  }
  if (repair) tcp_xmit_retransmit_queue(net, sk);
}
/// What an acknowledgment means for losses, and for what may be sent.
template <class Net>
void tcp_ack_recover(Net& net, sock& sk, u32 ack, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  bool repair = true;
  if (news.ece || news.dup || news.newly_sacked != 0 || news.dsack || tp.ca_state != tcp_ca_state::open ||
      tcp_left_out(tp) != 0)
    repair = tcp_fastretrans_alert(net, sk, news);
  NET_STATS(net).TCPDelivered += news.delivered;
  tcp_cong_control(net, sk, ack, news);
  tcp_xmit_recovery(net, sk, repair);
}

/// The oldest in flight, if an acknowledgment is such that nothing complicates it: all that is in flight was sent once,
/// in order, and is not known of, and nobody waits for another sign, or there were a tcp_repair; and the oldest is
/// acknowledged now. Else null.
[[nodiscard]] NETSTACK_INLINE sk_buff* tcp_ack_plain_head(sock const& sk, u32 ack) {
  auto const& tp = tcp_sk(sk);
  if (tp.packets_out == 0) return nullptr;
  sk_buff* const head = sk.sk_write_queue.peek();
  if (!head) __builtin_unreachable();  // it is what is in flight
  constexpr tcp_marks amiss{.ca_state = tcp_any_ca_state,
                            .ecn_flags = tcp_ecn::has_news,
                            .sack_ok = true,
                            .urg_mode = true,
                            .tx_stamps = true};
  bool const plain = !after(TCP_SKB_CB(*head).end_seq, ack) && tp.match(amiss, {.sack_ok = true}) && !tp.repair;
  return plain ? head : nullptr;
}
/// The last that it acknowledges, when there are several in flight, and how many; none of them is in flight any more.
NETSTACK_NOINLINE inline sk_buff* tcp_acked_last(sock& sk, sk_buff& head, u32 ack, u32& n) {
  auto& tp = tcp_sk(sk);
  if (ack == tp.snd_nxt) {  // all: none has to be asked
    n = tp.packets_out;
    tp.tsorted_sent_queue.clear();
    return tcp_sent_tail(sk);
  }
  sk_buff *last = nullptr, *skb = &head;
  for (n = 0; skb && !after(TCP_SKB_CB(*skb).end_seq, ack); skb = tcp_sent_after(sk, *skb), ++n) {
    tcp_tsorted_unlink(*skb);
    last = skb;
  }
  return last;
}
/// How many are in flight: one alone may have no packet.
enum class tcp_flying : u8 { several, alone, bodiless };
/// tcp_ack_plain; `Rated`: the algorithm wants the whole sample, which else needs not be kept together. `head`: the
/// oldest in flight, or null.
template <bool Rated, tcp_flying Flying, class Net>
NETSTACK_INLINE void tcp_ack_plain_for(Net& net, sock& sk, sk_buff* head, u32 seq, u32 ack) {
  constexpr bool Alone = Flying != tcp_flying::several, Packet = Flying != tcp_flying::bodiless;
  auto& tp = tcp_sk(sk);
  tcp_skb_cb const own = Packet ? tcp_skb_cb{} : tcp_bodiless_cb(tp);
  u64 const first_sent = Packet ? TCP_SKB_CB(*head).sent : own.sent;
  tcp_rate_sample rs{.prior_in_flight = Alone ? 1 : tp.packets_out};
  tp.bytes_acked += ack - tp.snd_una;
  tp.snd_una = ack;
  tp.snd_wl1 = seq;
  tp.icsk_retransmits = tp.icsk_probes_out = tp.icsk_backoff = 0;
  sk.sk_err_soft = 0;
  tp.rcv_tstamp = net.worker().now;
  sk_buff* last = head;
  u32 n = 1;
  if (Packet && (Alone || tp.packets_out == 1))
    tcp_tsorted_unlink(*head);
  else if (Packet)
    last = tcp_acked_last(sk, *head, ack, n);
  // All that the last tells is made use of before it is freed: kept beyond that, it would not fit the registers.
  auto const& cb = Packet ? TCP_SKB_CB(*last) : own;
  u64 const sent = cb.sent;
  u32 const now_us = tcp_clock_us(net), sent_us = tcp_sent_us(sent), rtt_us = now_us - sent_us;
  u32 const oldest_us = Alone || first_sent == sent ? rtt_us : now_us - tcp_sent_us(first_sent);
  rs.rtt_us = rtt_us;
  // RFC 8985 §6.2 step 2: what was sent last of it.
  tp.rack_mstamp = sent, tp.rack_end_seq = cb.end_seq;
  tp.rack_rtt_us = std::min(rtt_us, tcp_rto_max);
  tp.rack_advanced = true;
  tcp_rtt_estimator(tp, oldest_us);
  auto const delayed = [&]() NETSTACK_INLINE_LAMBDA {
    return n == 1 && tcp_maybe_delayed(tp, cb.end_seq - cb.seq, cb.tx.delivered);
  };
  tcp_update_rtt_min(net, tp, oldest_us, delayed);
  if constexpr (Rated) rs.is_ack_delayed = delayed();
  tcp_set_rto(tp);
  rs.acked_sacked = n;
  tcp_rate_skb_delivered(tp, cb, sent_us, rs);
  tcp_rate_gen(net, tp, rs);
  NET_STATS(net).TCPDelivered += n;
  if constexpr (Packet) {
    tp.packets_out -= n;
    tcp_free_acked(sk, *last, n);
  }
  if (Alone || tp.packets_out == 0) {
    inet_csk_clear_xmit_timer(net, sk);
    if (tp.nospace) [[unlikely]]
      tcp_chrono_update(net, sk, false);
    else if (!tp.send_head)
      tcp_chrono_set(net, tp, tcp_chrono::idle);
  } else if (!tcp_schedule_loss_probe(net, sk, true)) {
    tcp_rearm_rto(net, sk);
  }
  if (!tp.icsk_ca_initialized) [[unlikely]]
    return;  // of our SYN
  auto const told = [&](auto const& ca) NETSTACK_INLINE_LAMBDA {
    if (ca.pkts_acked) ca.pkts_acked(net, sk, {.rtt_us = rs.rtt_us, .pkts_acked = n});
    if constexpr (Rated)
      ca.cong_control(net, sk, rs);
    else
      ca.cong_avoid(net, sk, ack, n);
  };
  if constexpr (Flying == tcp_flying::alone)  // most of a dialogue's
    tcp_with_ca<Net>(sk, told);
  else
    told(tcp_ca<Net>(sk));
  if constexpr (Rated) return;
  if (sk.sk_pacing_needed) [[unlikely]]
    tcp_update_pacing_rate(net, sk);
}
template <class Net>
NETSTACK_NOINLINE void tcp_ack_plain_rated(Net& net, sock& sk, sk_buff& head, u32 seq, u32 ack) {
  tcp_ack_plain_for<true, tcp_flying::several>(net, sk, &head, seq, ack);
}
template <class Net>
NETSTACK_NOINLINE void tcp_ack_plain_several(Net& net, sock& sk, sk_buff& head, u32 seq, u32 ack) {
  tcp_ack_plain_for<false, tcp_flying::several>(net, sk, &head, seq, ack);
}
template <class Net>
NETSTACK_NOINLINE void tcp_ack_plain_alone(Net& net, sock& sk, sk_buff& head, u32 seq, u32 ack) {
  tcp_ack_plain_for<false, tcp_flying::alone>(net, sk, &head, seq, ack);
}
template <class Net>
NETSTACK_NOINLINE void tcp_ack_plain_bodiless(Net& net, sock& sk, u32 seq, u32 ack) {
  tcp_ack_plain_for<false, tcp_flying::bodiless>(net, sk, nullptr, seq, ack);
}
/// What tcp_ack makes of it: the segments leave the queue, and they measure the path. Each kind by itself: its values
/// and those of the segment that brought it are too many for the registers.
template <class Net>
NETSTACK_INLINE void tcp_ack_plain(Net& net, sock& sk, sk_buff& head, u32 seq, u32 ack) {
  if (tcp_with_ca<Net>(sk, [](auto const& ca) NETSTACK_INLINE_LAMBDA { return ca.cong_control != nullptr; }))
      [[unlikely]]
    tcp_ack_plain_rated(net, sk, head, seq, ack);
  else if (tcp_sk(sk).packets_out == 1)
    tcp_ack_plain_alone(net, sk, head, seq, ack);
  else
    tcp_ack_plain_several(net, sk, head, seq, ack);
}

/// Nothing is in flight or waits to be, and that is what it says; but the window may be another.
[[nodiscard]] inline bool tcp_ack_is_idle(tcp_sock const& tp, u32 ack) {
  return tp.packets_out == 0 && ack == tp.snd_una && !tp.send_head && !tp.tlp_outstanding;
}
template <class Net>
void tcp_ack_idle(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  tcp_ack_update_window(tp, rx);
  if (tp.snd_wnd == 0 && !sock_flag(sk, sock_flags::dead)) tp.icsk_retransmits = 0;
  sk.sk_err_soft = 0;
  tp.icsk_probes_out = 0;
  tp.rcv_tstamp = net.worker().now;
}

/// The last word of a connection that nobody holds any more was heard: of what it measures nothing is used again.
[[nodiscard]] inline bool tcp_ack_is_last(sock const& sk, u32 ack) {
  return sock_flag(sk, sock_flags::dead) && ack == tcp_sk(sk).write_seq;
}
template <class Net>
void tcp_ack_last(Net& net, sock& sk, u32 ack) {
  auto& tp = tcp_sk(sk);
  NET_STATS(net).TCPDelivered += tp.packets_out;
  tcp_write_queue_purge(net, sk);
  tp.snd_una = ack;
  inet_csk_clear_xmit_timer(net, sk);
}
/// It was a FIN that has no packet.
template <class Net>
NETSTACK_INLINE void tcp_fin_heard(Net& net, sock& sk) {
  ++NET_STATS(net).TCPDelivered;
  tcp_sk(sk).snd_una = tcp_sk(sk).snd_nxt;
  inet_csk_clear_xmit_timer(net, sk);
}
/// The acknowledgment of what has no packet. False: it is of something else, or asks for more than to be heard; and now
/// there is a packet, if there is a frame.
template <class Net>
NETSTACK_NOINLINE bool tcp_ack_bodiless(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  bool const of_syn = tcp_bodiless_is_syn(tp), all = rx.ack_seq == tp.snd_nxt;
  if (!all || (!of_syn && !tcp_ack_is_last(sk, rx.ack_seq))) [[unlikely]] {
    (void)tcp_embody(net, sk);
    return false;
  }
  if (rx.seq == rx.end_seq) ++NET_STATS(net).TCPPureAcks;
  if (of_syn) {
    tcp_ack_update_window(tp, rx);
    tcp_ack_plain_bodiless(net, sk, rx.seq, rx.ack_seq);
    return true;
  }
  tcp_fin_heard(net, sk);
  return true;
}

}  // namespace detail

namespace detail {
template <class Net>
NETSTACK_NOINLINE int tcp_ack_any(Net& net, sock& sk, tcp_rx const& rx, bool challenge);
}

/// The acknowledgment of a segment, unless something without a packet is in flight, as nothing is in ESTABLISHED. 1:
/// good; 0: old, of no news; -1: of what was never sent, or too old to be believed; an answer to that is sent if
/// `challenge`.
template <class Net>
int tcp_ack_queued(Net& net, sock& sk, tcp_rx const& rx, bool challenge) {
  auto& tp = tcp_sk(sk);
  tp.nonagle &= static_cast<u8>(~tcp_nagle::more);
  bool const idle = detail::tcp_ack_is_idle(tp, rx.ack_seq);
  sk_buff* const head = idle || after(rx.ack_seq, tp.snd_nxt) ? nullptr : detail::tcp_ack_plain_head(sk, rx.ack_seq);
  if (rx.opt.num_sacks != 0 || (!idle && !head) || tcp_ecn_rcv_ecn_echo(tp, rx))
    return detail::tcp_ack_any(net, sk, rx, challenge);
  if (rx.seq == rx.end_seq) ++NET_STATS(net).TCPPureAcks;
  if (!head) return detail::tcp_ack_idle(net, sk, rx), 1;
  if (detail::tcp_ack_is_last(sk, rx.ack_seq)) return detail::tcp_ack_last(net, sk, rx.ack_seq), 1;
  detail::tcp_ack_update_window(tp, rx);
  detail::tcp_ack_plain(net, sk, *head, rx.seq, rx.ack_seq);
  return 1;
}
/// … in any state.
template <class Net>
NETSTACK_INLINE int tcp_ack(Net& net, sock& sk, tcp_rx const& rx, bool challenge) {
  if (tcp_bodiless(tcp_sk(sk)) && detail::tcp_ack_bodiless(net, sk, rx)) return 1;
  return tcp_ack_queued(net, sk, rx, challenge);
}

namespace detail {
/// … that something complicates, or may.
template <class Net>
NETSTACK_NOINLINE int tcp_ack_any(Net& net, sock& sk, tcp_rx const& rx, bool challenge) {
  auto& tp = tcp_sk(sk);
  u32 const prior_una = tp.snd_una, ack = rx.ack_seq, prior_highest = tcp_highest_sack_seq(tp);
  tcp_ack_news news{
      .prior_una = prior_una, .prior_lost = tp.rare->lost, .tsecr = rx.opt.saw_tstamp ? rx.opt.rcv_tsecr : 0};
  if (before(ack, prior_una)) {
    // RFC 5961 §5.2, MAY-12: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT; and never what is before the first byte.
    if (before(ack, prior_una - static_cast<u32>(std::min<u64>(tp.max_window, tp.bytes_acked)))) {
      if (challenge) tcp_send_challenge_ack(net, sk);
      return -1;
    }
    // An acknowledgment that was overtaken may tell of what arrived; but it moves no window, as in Linux.
    if (tp.sack_ok && rx.opt.num_sacks != 0) {
      tcp_sacktag_write_queue(net, sk, rx, news);
      bool const repair = tcp_fastretrans_alert(net, sk, news);
      tp.delivered += news.delivered, NET_STATS(net).TCPDelivered += news.delivered;
      tcp_xmit_recovery(net, sk, repair);
      tcp_repair_settle(net, tp);
    }
    return 0;
  }
  if (after(ack, tp.snd_nxt)) {  // RFC 9293 §3.10.7.4: answered, and no more
    if (challenge) tcp_send_challenge_ack(net, sk);
    return -1;
  }
  if (rx.seq == rx.end_seq) ++NET_STATS(net).TCPPureAcks;
  u32 const prior_packets = tp.packets_out;
  news.rs.prior_in_flight = tcp_packets_in_flight(tp);
  news.ece = tcp_ecn_rcv_ecn_echo(tp, rx);
  bool const window_changed = tp.snd_wnd != tcp_window_of(tp, rx);
  if (tp.sack_ok && rx.opt.num_sacks != 0) [[unlikely]]
    tcp_sacktag_write_queue(net, sk, rx, news);
  tcp_ack_update_window(tp, rx);
  news.una_advanced = after(ack, prior_una);
  // RFC 5681 §2: no data, no SYN or FIN, the same window, and something in flight.
  news.dup = !news.una_advanced && rx.seq == rx.end_seq && !window_changed && prior_packets != 0;
  tp.bytes_acked += ack - prior_una;
  tp.snd_una = ack;
  // SHLD-17: a peer that took its window back is asked by repetitions, and its answers are a new beginning; but not for
  // ever if nobody waits for the result.
  if (news.una_advanced || (tp.snd_wnd == 0 && !sock_flag(sk, sock_flags::dead))) tp.icsk_retransmits = 0;
  if (news.una_advanced && tp.urg_mode && !before(ack, tp.rare->snd_up)) tp.urg_mode = false;
  sk.sk_err_soft = 0;
  tp.icsk_probes_out = 0;
  tp.rcv_tstamp = net.worker().now;
  if (prior_packets == 0) {
    // RFC 3708: what came twice may be told of after all of it was acknowledged.
    if (news.dsack) {
      (void)tcp_fastretrans_alert(net, sk, news);
      tp.delivered += news.delivered, NET_STATS(net).TCPDelivered += news.delivered;
    }
    tcp_process_tlp_ack(net, sk, ack, news);
    tcp_ack_probe(net, sk);
    tcp_repair_settle(net, tp);
    return 1;
  }
  tcp_clean_rtx_queue(net, sk, prior_highest, news);
  tcp_mtup_acked(net, sk);
  tcp_process_tlp_ack(net, sk, ack, news);
  tcp_ack_recover(net, sk, ack, news);
  tcp_repair_settle(net, tp);
  return 1;
}
}  // namespace detail

}  // namespace netstack
