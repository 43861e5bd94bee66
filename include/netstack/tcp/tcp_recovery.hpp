// SPDX-License-Identifier: BSL-1.0
// Decides: when a connection repairs losses, how much it may send meanwhile, when that is over, and whether it was
// needed at all.
//
//   open ── something is missing ──> disorder ── something is lost ──> recovery ──┐
//     ^                                                                           │ all that was sent by then
//     └──────── timer: loss <── from any of them ─────────────────────────────────┘ is acknowledged
//
// rx: called by tcp_ack; timer: tcp_enter_loss, tcp_rack_reo_timeout from tcp_timer → calls tcp_rack,
// tcp_retransmit_skb
// Linux: net/ipv4/tcp_input.c (tcp_fastretrans_alert, tcp_process_loss, tcp_enter_loss, tcp_cwnd_reduction)
// RFC 5681 §3.2, RFC 6582 (NewReno), RFC 6937 (PRR), RFC 5682 (F-RTO), RFC 3522 and 3708 (was it needed?), RFC 8985
#pragma once
#include "netstack/tcp/tcp_mtu.hpp"
#include "netstack/tcp/tcp_rack.hpp"

namespace netstack {

// --- reducing the window

namespace detail {

template <class Net>
void tcp_init_cwnd_reduction(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  tcp_repair_of(net, tp).high_seq = tp.snd_nxt;
  tp.tlp_outstanding = false;
  tp.snd_cwnd_cnt = 0;
  tcp_rare_of(net, tp).prior_cwnd = tp.snd_cwnd;
  tcp_own_rare(tp).prior_ssthresh = tcp_current_ssthresh(tp);
  tp.repair->prr_delivered = tp.repair->prr_out = 0;
  tp.snd_ssthresh = tcp_ca<Net>(sk).ssthresh(net, sk);
  tcp_ecn_queue_cwr(tp);
}
/// RFC 6937 §3: as many leave as arrive, in proportion, until the window is what it shall be.
inline void tcp_cwnd_reduction(tcp_sock& tp, tcp_ack_news const& news) {
  if (news.delivered == 0) return;
  u32 const in_flight = tcp_packets_in_flight(tp);
  s32 const delta = static_cast<s32>(tp.snd_ssthresh - in_flight);
  tp.repair->prr_delivered += news.delivered;
  s32 send;
  if (delta < 0) {
    u64 const share = u64{tp.snd_ssthresh} * tp.repair->prr_delivered + tp.rare->prior_cwnd - 1;
    send = static_cast<s32>(share / std::max(tp.rare->prior_cwnd, 1u)) - static_cast<s32>(tp.repair->prr_out);
  } else {
    send = std::max(static_cast<s32>(tp.repair->prr_delivered - tp.repair->prr_out), static_cast<s32>(news.delivered));
    if (news.una_advanced && news.newly_lost == 0) ++send;  // slow start, since the repair goes well
    send = std::min(delta, send);
  }
  send = std::max(send, tp.repair->prr_out != 0 ? 0 : 1);  // the first repair leaves at once
  tp.snd_cwnd = std::max(in_flight + static_cast<u32>(send), 1u);
}
template <class Net>
void tcp_end_cwnd_reduction(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tcp_ca<Net>(sk).cong_control) return;
  if (tp.snd_ssthresh < tcp_infinite_ssthresh) tp.snd_cwnd = std::max(tp.snd_ssthresh, 2u);
  tcp_ca_event(net, sk, ca_event::complete_cwr);
}

// --- was it needed?

template <class Net>
void tcp_init_undo(Net& net, tcp_sock& tp) {
  auto& past = tcp_rare_of(net, tp);
  tp.undo_marker_set = true;
  past.undo_marker = tp.snd_una;
  auto const twice = static_cast<s32>(tp.retrans_out) + (tp.tlp_outstanding && tp.tlp_retrans);
  past.undo_retrans = twice != 0 ? twice : -1;
}
/// RFC 3522 §3.2: what was acknowledged is the first transmission, for it bears an older time than the repetition; or
/// there was none yet, for want of a frame or for its pace. Of a SYN's, and without SACK at an episode's end, that it
/// was is forgotten.
inline bool tcp_packet_delayed(tcp_sock const& tp, tcp_ack_news const& news) {
  if (u32 const first = tp.repair->retrans_stamp; first != 0)
    return tp.tstamp_ok && news.tsecr != 0 && before(news.tsecr, first);
  return news.una_advanced && !news.syn_acked && (tcp_is_sack(tp) || before(tp.snd_una, tp.repair->high_seq));
}
inline bool tcp_may_undo(tcp_sock const& tp, tcp_ack_news const& news) {
  return tp.undo_marker_set && (tp.rare->undo_retrans == 0 || tcp_packet_delayed(tp, news));
}
/// It was a false alarm: the window is what it was; unless the peer told of congestion meanwhile (RFC 3168 §6.1.2).
template <class Net>
void tcp_undo_cwnd_reduction(Net& net, sock& sk, bool unmark_loss) {
  auto& tp = tcp_sk(sk);
  if (unmark_loss) tcp_rtx_queue_found(tp);
  if (u32 const prior = tp.rare->prior_ssthresh; prior != 0) {
    tp.snd_cwnd = tcp_ca<Net>(sk).undo_cwnd(net, sk);
    if (prior > tp.snd_ssthresh) {
      tp.snd_ssthresh = prior;
      tcp_ecn_withdraw_cwr(tp);
    }
  }
  tp.undo_marker_set = false;
  tp.rack_advanced = true;  // what is marked lost no longer may be so after all
}

/// Something is in flight that was sent twice.
inline bool tcp_any_retrans_done(sock const& sk) {
  sk_buff* const head = tcp_sent_head(sk);
  return tcp_sk(sk).retrans_out != 0 || (head && (TCP_SKB_CB(*head).sacked & tcpcb::ever_retrans));
}
template <class Net>
void tcp_try_keep_open(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto const state = tcp_left_out(tp) != 0 || tcp_any_retrans_done(sk) ? tcp_ca_state::disorder : tcp_ca_state::open;
  if (tp.ca_state == state) return;
  tcp_set_ca_state(net, sk, state);
  tp.repair->high_seq = tp.snd_nxt;
}
template <class Net>
void tcp_try_to_open(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (!tcp_any_retrans_done(sk)) tp.repair->retrans_stamp = 0;
  if (tp.ca_state != tcp_ca_state::cwr) tcp_try_keep_open(net, sk);
}

/// All that had been sent when the trouble began is acknowledged. False: that alone does not end it.
template <class Net>
bool tcp_try_undo_recovery(Net& net, sock& sk, tcp_ack_news const& news) {
  auto& tp = tcp_sk(sk);
  if (tcp_may_undo(tp, news)) {
    ++(tp.ca_state == tcp_ca_state::loss ? NET_STATS(net).TCPLossUndo : NET_STATS(net).TCPFullUndo);
    tcp_undo_cwnd_reduction(net, sk, false);
  } else if (tp.rack_reo_wnd_persist != 0 && --tp.rack_reo_wnd_persist == 0) {
    tp.rack_reo_wnd_steps = 1;  // RFC 8985 §6.2 step 4: so many recoveries were ones
  }
  // RFC 6582 §4.1: duplicates of what was repeated could start another for nothing; it ends with the next that is new.
  if (!tcp_is_sack(tp) && tp.snd_una == tp.repair->high_seq) {
    if (!tcp_any_retrans_done(sk)) tp.repair->retrans_stamp = 0;
    return false;
  }
  tcp_set_ca_state(net, sk, tcp_ca_state::open);
  tp.is_sack_reneg = false;
  return true;
}
/// RFC 3708: DSACKs told of every repetition: none was needed.
template <class Net>
bool tcp_try_undo_dsack(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (!tp.undo_marker_set || tp.rare->undo_retrans != 0) return false;
  ++NET_STATS(net).TCPDSACKUndo;
  tcp_undo_cwnd_reduction(net, sk, false);
  return true;
}
/// RFC 3522: a partial acknowledgment of what was never lost. True: nothing more is to be taken for lost, for now.
template <class Net>
bool tcp_try_undo_partial(Net& net, sock& sk, tcp_ack_news const& news) {
  auto& tp = tcp_sk(sk);
  if (!tp.undo_marker_set || !tcp_packet_delayed(tp, news)) return false;
  tcp_check_reordering(net, tp, news.prior_una, NET_STATS(net).TCPTSReorder);
  // As long as repetitions are out, what follows could still be of them.
  if (tp.retrans_out != 0) return true;
  if (!tcp_any_retrans_done(sk)) tp.repair->retrans_stamp = 0;
  ++NET_STATS(net).TCPPartialUndo;
  tcp_undo_cwnd_reduction(net, sk, true);
  tcp_try_keep_open(net, sk);
  return false;
}
/// The timeout was spurious: by what was acknowledged (`frto`), by time stamps or by DSACK.
template <class Net>
bool tcp_try_undo_loss(Net& net, sock& sk, tcp_ack_news const& news, bool frto) {
  auto& tp = tcp_sk(sk);
  if (!frto && !tcp_may_undo(tp, news)) return false;
  tcp_undo_cwnd_reduction(net, sk, true);
  ++NET_STATS(net).TCPLossUndo;
  if (frto) ++NET_STATS(net).TCPSpuriousRTOs;
  tp.icsk_retransmits = 0;
  if (!tcp_is_sack(tp) && tp.snd_una == tp.repair->high_seq) return true;
  if (frto || tcp_is_sack(tp)) {
    tcp_set_ca_state(net, sk, tcp_ca_state::open);
    tp.is_sack_reneg = false;
  }
  return true;
}

// --- beginning

template <class Net>
void tcp_enter_recovery(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  ++(tcp_is_sack(tp) ? NET_STATS(net).TCPSackRecovery : NET_STATS(net).TCPRenoRecovery);
  tcp_init_undo(net, tp);
  if (tp.ca_state != tcp_ca_state::cwr)
    tcp_init_cwnd_reduction(net, sk);
  else  // … for a reason of its own, which no undo takes back
    tp.undo_marker_set = false;
  tp.repair->high_seq = tp.snd_nxt;
  tcp_set_ca_state(net, sk, tcp_ca_state::recovery);
}
/// RFC 3168 §6.1.2: an echo of congestion is answered as a loss would be, but nothing is repeated; and once in a
/// window.
template <class Net>
void tcp_enter_cwr(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tp.ca_state >= tcp_ca_state::cwr) return;
  tp.undo_marker_set = false;
  tcp_init_cwnd_reduction(net, sk);
  tcp_set_ca_state(net, sk, tcp_ca_state::cwr);
}

/// RFC 6298 §5.4, RFC 8985 §6.3: all is lost that the timer waited for; what was sent a moment ago may not be.
template <class Net>
void tcp_timeout_mark_lost(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  sk_buff* const head = tcp_sent_head(sk);
  // RFC 2018 §8: the receiver may have thrown away what it told of; what it tells then cannot be believed.
  if (head && (TCP_SKB_CB(*head).sacked & tcpcb::sacked_acked)) {
    ++NET_STATS(net).TCPSACKReneging;
    tcp_sack_forget(sk);
    tp.is_sack_reneg = true;
  } else if (!tcp_is_sack(tp)) {
    tcp_reset_reno_sack(tp);
  }
  u64 const age = (u64{tp.rack_rtt_us} + tcp_rack_reo_wnd(net, tp)) * 1000, now = net.worker().now;
  for (sk_buff* skb = head; skb; skb = tcp_sent_after(sk, *skb)) {
    u8 const sacked = TCP_SKB_CB(*skb).sacked;
    bool const waiting = (sacked & (tcpcb::lost | tcpcb::sacked_retrans)) == tcpcb::lost;
    bool const recent = tcp_is_sack(tp) && !tp.is_sack_reneg && skb != head && now - TCP_SKB_CB(*skb).sent < age;
    if (sacked & tcpcb::sacked_acked) continue;
    if (waiting)  // … in order of sequence from now on
      tp.repair->lost_queue.splice(tp.repair->lost_queue.end(), tp.repair->lost_queue,
                                   tp.repair->lost_queue.iterator_to(*skb));
    else if (!recent)
      tcp_mark_skb_lost(net, tp, *skb, tp.repair->lost_queue.end());
  }
}

}  // namespace detail

/// RFC 6298 §5.4, RFC 5681 §3.1: the timer says that what is not known to have arrived is lost. The window is one
/// segment again.
template <class Net>
void tcp_enter_loss(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  (void)tcp_repair_of(net, tp);
  bool const new_recovery = tp.ca_state < tcp_ca_state::recovery;
  u16 const usual = tcp_narrow_reordering(tcp_pernet(net).sysctl_tcp_reordering);
  // It did not help to wait for so many to overtake one.
  if (tp.ca_state <= tcp_ca_state::disorder && tp.sacked_out >= usual) tp.reordering = std::min(tp.reordering, usual);
  detail::tcp_timeout_mark_lost(net, sk);
  // Once per window: RFC 5681 §3.1.
  if (tp.ca_state <= tcp_ca_state::disorder || !after(tp.repair->high_seq, tp.snd_una) ||
      (tp.ca_state == tcp_ca_state::loss && inet_csk(sk).icsk_retransmits == 0)) {
    detail::tcp_init_undo(net, tp);
    detail::tcp_init_cwnd_reduction(net, sk);
    tcp_ca_event(net, sk, ca_event::loss);
  }
  tp.tlp_outstanding = false;
  tp.snd_cwnd = tcp_packets_in_flight(tp) + 1;
  tp.snd_cwnd_cnt = 0;
  tcp_set_ca_state(net, sk, tcp_ca_state::loss);
  tp.repair->high_seq = tp.snd_nxt;
  tcp_ecn_queue_cwr(tp);
  // RFC 5682 §3.1 step 1. Whether a probe for the MTU arrived tells nothing of a timeout.
  tp.frto = tcp_pernet(net).sysctl_tcp_frto != 0 && (new_recovery || inet_csk(sk).icsk_retransmits != 0) &&
            !(tp.mtu_probing && tp.rare->mtup.probe_size != 0);
}

/// Sends again what is believed lost, as far as the congestion window allows.
template <class Net>
void tcp_xmit_retransmit_queue(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  while (tp.repair && !tp.repair->lost_queue.empty() && tcp_packets_in_flight(tp) < tp.snd_cwnd &&
         !tcp_pacing_check(net, sk)) {
    sk_buff& skb = tp.repair->lost_queue.front();
    bool const oldest = &skb == tcp_sent_head(sk);
    if (!tcp_retransmit_skb(net, sk, skb)) return;
    ++(tp.ca_state == tcp_ca_state::loss ? NET_STATS(net).TCPSlowStartRetrans : NET_STATS(net).TCPFastRetrans);
    if (tp.ca_state >= tcp_ca_state::cwr) ++tp.repair->prr_out;
    if (oldest && tp.icsk_pending != icsk_time::reo_timeout)
      inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, tp.icsk_rto);
  }
}

/// What is longer than a segment may be goes again in smaller ones, at once and without shrinking the window: nothing
/// was congested. Until all that is in flight now is acknowledged, what is missing of it is missing for its length.
template <class Net>
void tcp_simple_retransmit(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  u32 const mss = tcp_current_mss(net, sk), prior_lost = tp.lost_out;
  (void)tcp_repair_of(net, tp);
  for (sk_buff* skb = tcp_sent_head(sk); skb; skb = tcp_sent_after(sk, *skb))
    if (skb->len > mss) tcp_mark_skb_lost(net, tp, *skb, tp.repair->lost_queue.end());
  if (!tcp_is_sack(tp)) (void)detail::tcp_limit_reno_sacked(tp);  // what is lost now has not arrived
  if (tp.lost_out != prior_lost && tp.ca_state != tcp_ca_state::loss) {
    tp.repair->high_seq = tp.snd_nxt;
    tp.snd_ssthresh = tcp_current_ssthresh(tp);
    tp.undo_marker_set = tp.frto = false;
    tcp_set_ca_state(net, sk, tcp_ca_state::loss);
  }
  tcp_xmit_retransmit_queue(net, sk);
  tcp_repair_settle(net, tp);
}

/// RFC 8985 §6.3: what had time to arrive has not.
template <class Net>
void tcp_rack_reo_timeout(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  (void)tcp_repair_of(net, tp);
  u32 const prior_in_flight = tcp_packets_in_flight(tp);
  tp.rack_advanced = true;
  tcp_ack_news news{.prior_una = tp.snd_una, .delivered = 1};
  tcp_identify_packet_loss(net, sk, news);
  if (tcp_packets_in_flight(tp) != prior_in_flight) {
    if (tp.ca_state != tcp_ca_state::recovery) {
      detail::tcp_enter_recovery(net, sk);
      if (!tcp_ca<Net>(sk).cong_control) detail::tcp_cwnd_reduction(tp, news);
    }
    tcp_xmit_retransmit_queue(net, sk);
  }
  if (tp.icsk_pending == icsk_time::none) {
    tp.icsk_pending = icsk_time::reo_timeout;  // it stood in for the RTO
    tcp_rearm_rto(net, sk);
  }
}

// --- what an acknowledgment means for it

/// RFC 8985 §7.4.2: did the probe repair something? Then that was a loss like any other.
template <class Net>
void tcp_process_tlp_ack(Net& net, sock& sk, u32 ack, tcp_ack_news const& news) {
  auto& tp = tcp_sk(sk);
  if (!tp.tlp_outstanding || before(ack, tp.repair->tlp_high_seq)) return;
  if (!tp.tlp_retrans || news.dsack_tlp) {
    tp.tlp_outstanding = false;  // it was new, or it came twice
  } else if (after(ack, tp.repair->tlp_high_seq)) {
    ++NET_STATS(net).TCPLossProbeRecovery;
    detail::tcp_init_cwnd_reduction(net, sk);
    tcp_set_ca_state(net, sk, tcp_ca_state::cwr);
    detail::tcp_end_cwnd_reduction(net, sk);
    detail::tcp_try_keep_open(net, sk);
  } else if (!news.una_advanced && news.newly_sacked == 0 && news.dup) {
    tp.tlp_outstanding = false;  // a plain duplicate: both arrived
  }
}

namespace detail {

/// After a timeout. True: what is lost is to be repaired; false: RFC 5682 wants something new to be sent, or it was
/// spurious.
template <class Net>
bool tcp_process_loss(Net& net, sock& sk, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  bool const recovered = !before(tp.snd_una, tp.repair->high_seq);
  if (news.una_advanced && tcp_try_undo_loss(net, sk, news, false)) return true;
  if (tp.frto) {
    // RFC 5682 §3.1 step 3 b: what was sent once, before the timeout, arrived.
    if (news.orig_acked && tcp_try_undo_loss(net, sk, news, true)) return true;
    if (after(tp.snd_nxt, tp.repair->high_seq)) {
      // step 3 a: what was sent after it arrived, and that not: the loss is real.
      if (news.newly_sacked != 0 || news.dup) tp.frto = false;
    } else if (news.una_advanced && !recovered) {
      tp.repair->high_seq = tp.snd_nxt;
      // step 2 b: something new, if there is, tells.
      if (tp.send_head && after(tcp_wnd_end(tp), tp.snd_nxt)) return false;
      tp.frto = false;
    }
  }
  if (recovered) {
    (void)tcp_try_undo_recovery(net, sk, news);
    return true;
  }
  if (!tcp_is_sack(tp)) {
    if (after(tp.snd_nxt, tp.repair->high_seq) && news.dup)
      tcp_add_reno_sack(net, tp, news);
    else if (news.una_advanced)
      tcp_reset_reno_sack(tp);
  }
  return true;
}

}  // namespace detail

/// After the queue was cleaned: does this acknowledgment begin a recovery, go on with one, or end it? False: nothing
/// that is lost is to be repaired now.
template <class Net>
bool tcp_fastretrans_alert(Net& net, sock& sk, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  using state = tcp_ca_state;
  (void)tcp_repair_of(net, tp);
  if (news.ece) tcp_rare_of(net, tp).prior_ssthresh = 0;  // whatever was lost or not, there was congestion
  if (news.reneging) {
    // RFC 2018 §8: perhaps the acknowledgments only overtook each other; if not, the timer clears it up soon.
    u64 const soon = std::max<u64>(tp.srtt_us >> 4, 10'000);
    inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, soon);
    return false;
  }
  if (tp.ca_state == state::open) {
    if (tp.retrans_out == 0) tp.repair->retrans_stamp = 0;
  } else if (!before(tp.snd_una, tp.repair->high_seq)) {
    if (tp.ca_state == state::cwr && tp.snd_una != tp.repair->high_seq) {
      detail::tcp_end_cwnd_reduction(net, sk);
      tcp_set_ca_state(net, sk, state::open);
    } else if (tp.ca_state == state::recovery) {
      if (!tcp_is_sack(tp)) tcp_reset_reno_sack(tp);
      bool const false_alarm = detail::tcp_may_undo(tp, news);
      if (!detail::tcp_try_undo_recovery(net, sk, news)) return true;
      if (!false_alarm) detail::tcp_end_cwnd_reduction(net, sk);
    }
  }
  bool repair = true;
  if (tp.ca_state == state::recovery) {
    if (news.una_advanced && detail::tcp_try_undo_partial(net, sk, news)) return false;
    if (!tcp_is_sack(tp) && news.dup) tcp_add_reno_sack(net, tp, news);
    if (detail::tcp_try_undo_dsack(net, sk)) detail::tcp_try_to_open(net, sk);
    tcp_identify_packet_loss(net, sk, news);
    if (tp.ca_state == state::recovery) return true;
  } else if (tp.ca_state == state::loss) {
    repair = detail::tcp_process_loss(net, sk, news);
    if (tp.ca_state != state::loss && tp.rare->rto_stamp != 0)
      tcp_own_rare(tp).total_rto_time += tcp_time_stamp(net) - std::exchange(tcp_own_rare(tp).rto_stamp, 0u);
    tcp_identify_packet_loss(net, sk, news);
    if (tp.ca_state != state::open && !news.lost_retrans) return repair;
  } else {
    if (!tcp_is_sack(tp)) {
      if (news.una_advanced) tcp_reset_reno_sack(tp);
      if (news.dup) tcp_add_reno_sack(net, tp, news);
    }
    if (tp.ca_state <= state::disorder) (void)detail::tcp_try_undo_dsack(net, sk);
    tcp_identify_packet_loss(net, sk, news);
  }
  if (tp.lost_out == 0) {
    if (news.ece) detail::tcp_enter_cwr(net, sk);
    detail::tcp_try_to_open(net, sk);
  } else if (tcp_mtup_probe_lost(tp)) [[unlikely]] {
    tcp_mtup_probe_failed(net, sk);
    tcp_simple_retransmit(net, sk);
  } else {
    detail::tcp_enter_recovery(net, sk);
    if (news.ece) tcp_own_rare(tp).prior_ssthresh = 0;
  }
  return repair;
}

}  // namespace netstack
