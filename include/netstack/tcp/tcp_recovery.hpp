// SPDX-License-Identifier: BSL-1.0
// Decides: which segments are believed lost, how much may be sent while they are repaired, and when the repair is over.
// Loss is found by SACK (three segments above are there) or three duplicate acknowledgments, and by the timer at last.
//
//   open ── dubious acknowledgment ──> disorder ── dupthresh ──> recovery ──┐
//     ^                                                                     │ all that was sent by then
//     └──────── timer: loss <── from any of them ───────────────────────────┘ is acknowledged
//
// rx: called by tcp_ack; timer: tcp_enter_loss from tcp_timer → calls tcp_retransmit_skb
// Linux: net/ipv4/tcp_input.c (tcp_sacktag_write_queue, tcp_fastretrans_alert, tcp_enter_loss), net/ipv4/tcp_recovery.c
// RFC 5681 §3.2, RFC 6582 (NewReno), RFC 6675 (SACK), RFC 6937 (PRR), RFC 2883 (DSACK), RFC 3522 (Eifel detection)
#pragma once
#include "netstack/tcp/tcp_output.hpp"

namespace netstack {

/// What an acknowledgment brought.
struct tcp_ack_news {
  u32 acked = 0;         ///< segments that left the queue
  u32 newly_sacked = 0;  ///< segments that were selectively acknowledged
  u32 delivered = 0;     ///< segments that are known to have arrived only now
  u32 newly_lost = 0;
  bool una_advanced = false;
  bool dup = false;  ///< RFC 5681 §2: a duplicate acknowledgment
  bool dsack = false;
  bool syn_acked = false;
  bool retrans_acked = false;  ///< one that had been sent more than once
  u64 first_sent = 0;          ///< when the oldest that was sent once left; 0: none
  u32 tsecr = 0;               ///< RFC 7323 §3.2; 0: none
};

// --- the scoreboard

/// for (sk_buff* skb = …; skb; skb = tcp_sent_after(…)): what was sent and is not acknowledged, in order.
[[nodiscard]] inline sk_buff* tcp_sent_head(sock const& sk) {
  sk_buff* const skb = sk.sk_write_queue.peek();
  return skb == tcp_sk(sk).send_head ? nullptr : skb;
}
[[nodiscard]] inline sk_buff* tcp_sent_after(sock const& sk, sk_buff const& skb) {
  sk_buff* const following = sk.sk_write_queue.after(skb);
  return following == tcp_sk(sk).send_head ? nullptr : following;
}

inline void tcp_mark_skb_lost(tcp_sock& tp, sk_buff& skb) {
  u8& sacked = TCP_SKB_CB(skb).sacked;
  if (sacked & (tcpcb::lost | tcpcb::sacked_acked)) return;
  sacked |= tcpcb::lost;
  ++tp.lost_out;
}
namespace detail {
inline void tcp_sack_skb(tcp_sock& tp, sk_buff& skb, tcp_ack_news& news) {
  u8& sacked = TCP_SKB_CB(skb).sacked;
  if (sacked & tcpcb::sacked_retrans) --tp.retrans_out;
  if (sacked & tcpcb::lost) --tp.lost_out;
  sacked = static_cast<u8>((sacked & ~tcpcb::tagbits) | tcpcb::sacked_acked);
  ++tp.sacked_out;
  ++news.newly_sacked;
  ++news.delivered;
}
/// RFC 2883 §4: the first block tells of what came twice: it lies below the acknowledgment, or within the second.
inline bool tcp_is_dsack(tcp_rx const& rx) {
  auto const& first = rx.opt.sacks[0];
  if (before(first.start_seq, rx.ack_seq)) return true;
  auto const& second = rx.opt.sacks[1];
  return rx.opt.num_sacks > 1 && !after(first.end_seq, second.end_seq) && !before(first.start_seq, second.start_seq);
}
/// RFC 2018 §8: blocks are advice; one of what was never sent, or is acknowledged, is none.
inline bool tcp_sack_block_valid(tcp_sock const& tp, tcp_sack_block const& b) {
  return before(b.start_seq, b.end_seq) && !after(b.end_seq, tp.snd_nxt) && !before(b.start_seq, tp.snd_una);
}
}  // namespace detail

/// Marks what the SACK option says is there. Before snd_una moves.
template <class Net>
void tcp_sacktag_write_queue(Net& net, sock& sk, tcp_rx const& rx, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  std::array<tcp_sack_block, tcpopt::max_sacks> blocks;
  u32 n = 0, highest = tp.snd_una;
  if (detail::tcp_is_dsack(rx)) {
    news.dsack = true;
    ++NET_STATS(net).TCPDSACKRecv;
    if (tp.undo_marker_set && tp.undo_retrans > 0) --tp.undo_retrans;
  }
  for (u32 i = 0; i < rx.opt.num_sacks; ++i) {
    if (!detail::tcp_sack_block_valid(tp, rx.opt.sacks[i])) continue;
    blocks[n++] = rx.opt.sacks[i];
    if (after(rx.opt.sacks[i].end_seq, highest)) highest = rx.opt.sacks[i].end_seq;
  }
  for (sk_buff* skb = tcp_sent_head(sk); skb && before(TCP_SKB_CB(*skb).seq, highest); skb = tcp_sent_after(sk, *skb)) {
    auto const& cb = TCP_SKB_CB(*skb);
    if (cb.sacked & tcpcb::sacked_acked) continue;
    for (u32 i = 0; i < n; ++i)
      if (!before(cb.seq, blocks[i].start_seq) && !after(cb.end_seq, blocks[i].end_seq)) {
        detail::tcp_sack_skb(tp, *skb, news);
        break;
      }
  }
}

/// RFC 5681 §3.2: without SACK each duplicate acknowledgment says that some segment arrived.
inline void tcp_add_reno_sack(tcp_sock& tp) {
  // One is missing at least, or there would be no duplicate.
  if (tcp_left_out(tp) + 1 < tp.packets_out) ++tp.sacked_out;
}
inline void tcp_reset_reno_sack(tcp_sock& tp) { tp.sacked_out = 0; }
/// `acked` segments were acknowledged: all but the missing one had been among the duplicates.
inline void tcp_remove_reno_sacks(tcp_sock& tp, u32 acked) {
  if (acked == 0) return;
  tp.sacked_out = acked - 1 >= tp.sacked_out ? 0 : tp.sacked_out - (acked - 1);
  if (tcp_left_out(tp) > tp.packets_out) tp.sacked_out = tp.packets_out - std::min(tp.packets_out, tp.lost_out);
}

namespace detail {
/// RFC 6675 §4 IsLost: at least `reordering` segments above it are there.
inline void tcp_update_scoreboard(sock& sk, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  u32 const before_lost = tp.lost_out;
  if (!tcp_is_sack(tp)) {
    if (sk_buff* head = tcp_sent_head(sk)) tcp_mark_skb_lost(tp, *head);
  } else {
    u32 above = tp.sacked_out;
    for (sk_buff* skb = tcp_sent_head(sk); skb && above >= tp.reordering; skb = tcp_sent_after(sk, *skb)) {
      if (TCP_SKB_CB(*skb).sacked & tcpcb::sacked_acked)
        --above;
      else
        tcp_mark_skb_lost(tp, *skb);
    }
  }
  news.newly_lost += tp.lost_out - before_lost;
}
}  // namespace detail

// --- reducing the window

namespace detail {

template <class Net>
void tcp_init_cwnd_reduction(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  tp.high_seq = tp.snd_nxt;
  tp.snd_cwnd_cnt = 0;
  tp.prior_cwnd = tp.snd_cwnd;
  tp.prior_ssthresh = tp.snd_ssthresh;
  tp.prr_delivered = tp.prr_out = 0;
  tp.snd_ssthresh = tcp_ca<Net>(sk).ssthresh(net, sk);
}
inline void tcp_init_undo(tcp_sock& tp) {
  tp.undo_marker_set = true;
  tp.undo_retrans = tp.retrans_out;
}
/// RFC 6937 §3: as many leave as arrive, in proportion, until the window is what it shall be.
inline void tcp_cwnd_reduction(tcp_sock& tp, tcp_ack_news const& news) {
  if (news.delivered == 0) return;
  u32 const in_flight = tcp_packets_in_flight(tp);
  s32 const delta = static_cast<s32>(tp.snd_ssthresh - in_flight);
  tp.prr_delivered += news.delivered;
  s32 send;
  if (delta < 0) {
    u64 const share = u64{tp.snd_ssthresh} * tp.prr_delivered + tp.prior_cwnd - 1;
    send = static_cast<s32>(share / std::max(tp.prior_cwnd, 1u)) - static_cast<s32>(tp.prr_out);
  } else {
    send = std::max(static_cast<s32>(tp.prr_delivered - tp.prr_out), static_cast<s32>(news.delivered));
    if (news.una_advanced && news.newly_lost == 0) ++send;  // slow start, since the repair goes well
    send = std::min(delta, send);
  }
  send = std::max(send, tp.prr_out != 0 ? 0 : 1);  // the first repair leaves at once
  tp.snd_cwnd = std::max(in_flight + static_cast<u32>(send), 1u);
}
inline void tcp_end_cwnd_reduction(tcp_sock& tp) {
  if (tp.snd_ssthresh < tcp_infinite_ssthresh) tp.snd_cwnd = std::max(tp.snd_ssthresh, 2u);
}

/// RFC 3522 §3.2: what was acknowledged is the first transmission, for it bears an older time than the repetition.
inline bool tcp_packet_delayed(tcp_sock const& tp, tcp_ack_news const& news) {
  return tp.retrans_stamp != 0 && tp.tstamp_ok && news.tsecr != 0 && before(news.tsecr, tp.retrans_stamp);
}
inline bool tcp_may_undo(tcp_sock const& tp, tcp_ack_news const& news) {
  return tp.undo_marker_set && (tp.undo_retrans == 0 || tcp_packet_delayed(tp, news));
}
/// It was a false alarm: the window is what it was.
template <class Net>
void tcp_undo_cwnd_reduction(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  for (sk_buff* skb = tcp_sent_head(sk); skb; skb = tcp_sent_after(sk, *skb))
    TCP_SKB_CB(*skb).sacked &= static_cast<u8>(~tcpcb::lost);
  tp.lost_out = 0;
  tp.snd_cwnd = tcp_ca<Net>(sk).undo_cwnd(net, sk);
  tp.snd_ssthresh = std::max(tp.snd_ssthresh, tp.prior_ssthresh);
  tp.undo_marker_set = false;
}

template <class Net>
void tcp_enter_recovery(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  ++(tcp_is_sack(tp) ? NET_STATS(net).TCPSackRecovery : NET_STATS(net).TCPRenoRecovery);
  tcp_init_undo(tp);
  tcp_init_cwnd_reduction(net, sk);
  tp.ca_state = tcp_ca_state::recovery;
}
/// Everything that had been sent when the trouble began is acknowledged.
template <class Net>
void tcp_leave_recovery(Net& net, sock& sk, tcp_ack_news const& news) {
  auto& tp = tcp_sk(sk);
  bool const false_alarm = tcp_may_undo(tp, news);
  if (false_alarm) {
    ++(news.dsack ? NET_STATS(net).TCPDSACKUndo : NET_STATS(net).TCPFullUndo);
    tcp_undo_cwnd_reduction(net, sk);
  } else if (tp.ca_state != tcp_ca_state::loss) {
    tcp_end_cwnd_reduction(tp);
  }
  tp.undo_marker_set = false;
  if (!tcp_is_sack(tp)) tcp_reset_reno_sack(tp);
  tp.retrans_stamp = 0;
  tp.ca_state = tcp_ca_state::open;
}

}  // namespace detail

/// RFC 6298 §5.4, RFC 5681 §3.1: the timer says that all that is not known to have arrived is lost. The window is one
/// segment again.
template <class Net>
void tcp_enter_loss(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  bool const fresh = tp.ca_state <= tcp_ca_state::disorder || !after(tp.high_seq, tp.snd_una) ||
                     (tp.ca_state == tcp_ca_state::loss && inet_csk(sk).icsk_retransmits == 0);
  if (fresh) {
    detail::tcp_init_cwnd_reduction(net, sk);
    detail::tcp_init_undo(tp);
  }
  sk_buff* const head = tcp_sent_head(sk);
  // RFC 2018 §8: the receiver may have thrown away what it told of; what it tells then cannot be believed.
  bool const reneged = !tcp_is_sack(tp) || (head && (TCP_SKB_CB(*head).sacked & tcpcb::sacked_acked));
  tp.retrans_out = tp.lost_out = 0;
  if (reneged) tp.sacked_out = 0;
  for (sk_buff* skb = head; skb; skb = tcp_sent_after(sk, *skb)) {
    u8& sacked = TCP_SKB_CB(*skb).sacked;
    sacked &= static_cast<u8>(~(tcpcb::lost | tcpcb::sacked_retrans | (reneged ? tcpcb::sacked_acked : 0)));
    tcp_mark_skb_lost(tp, *skb);
  }
  tp.snd_cwnd = tcp_packets_in_flight(tp) + 1;
  tp.snd_cwnd_cnt = 0;
  tp.ca_state = tcp_ca_state::loss;
  tp.high_seq = tp.snd_nxt;
}

/// Sends again what is believed lost, oldest first, as far as the congestion window allows.
template <class Net>
void tcp_xmit_retransmit_queue(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tp.packets_out == 0 || tp.lost_out <= tp.retrans_out) return;
  sk_buff* const head = tcp_sent_head(sk);
  for (sk_buff* skb = head; skb && tcp_packets_in_flight(tp) < tp.snd_cwnd; skb = tcp_sent_after(sk, *skb)) {
    u8 const sacked = TCP_SKB_CB(*skb).sacked;
    if (!(sacked & tcpcb::lost) || (sacked & tcpcb::sacked_retrans)) continue;
    if (!tcp_retransmit_skb(net, sk, *skb)) return;
    ++(tp.ca_state == tcp_ca_state::loss ? NET_STATS(net).TCPSlowStartRetrans : NET_STATS(net).TCPFastRetrans);
    if (tp.ca_state >= tcp_ca_state::cwr) ++tp.prr_out;
    if (skb == head) tcp_rearm_rto(net, sk);
  }
}

/// After the queue was cleaned: does this acknowledgment begin a recovery, go on with one, or end it?
template <class Net>
void tcp_fastretrans_alert(Net& net, sock& sk, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  using state = tcp_ca_state;
  if (tp.ca_state >= state::cwr && !before(tp.snd_una, tp.high_seq)) detail::tcp_leave_recovery(net, sk, news);
  if (!tcp_is_sack(tp)) {
    if (tp.ca_state < state::cwr && news.una_advanced) tcp_reset_reno_sack(tp);
    if (news.dup) tcp_add_reno_sack(tp), ++news.delivered;
  }
  switch (tp.ca_state) {
    case state::recovery:
    case state::loss:
      // RFC 3522: a partial acknowledgment of what was never lost.
      if (news.una_advanced && detail::tcp_packet_delayed(tp, news) && tp.undo_marker_set) {
        ++NET_STATS(net).TCPFullUndo;
        detail::tcp_undo_cwnd_reduction(net, sk);
        tp.ca_state = state::open;
        break;
      }
      // RFC 6582 §3.2: a partial acknowledgment says that the next one is missing, too.
      if (tcp_is_sack(tp) ? tp.ca_state == state::recovery : news.una_advanced && tp.ca_state == state::recovery)
        detail::tcp_update_scoreboard(sk, news);
      break;
    default:
      if (tp.sacked_out < tp.reordering || tp.packets_out == 0) {
        tp.ca_state = tcp_left_out(tp) != 0 ? state::disorder : state::open;
        if (tp.ca_state == state::open && tp.retrans_out == 0) tp.retrans_stamp = 0;
        break;
      }
      detail::tcp_enter_recovery(net, sk);
      detail::tcp_update_scoreboard(sk, news);
  }
}

}  // namespace netstack
