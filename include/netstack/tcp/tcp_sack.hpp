// SPDX-License-Identifier: BSL-1.0
// Decides: what of an acknowledgment is believed and what it says about single segments: SACK blocks and DSACK, and
// without SACK what is counted in their place; how far the network reorders.
// rx: called by tcp_ack, tcp_recovery → calls tcp_rtx_queue, tcp_rack_advance
// Linux: net/ipv4/tcp_input.c (tcp_sacktag_write_queue, tcp_check_dsack, tcp_check_sack_reordering, tcp_add_reno_sack)
// RFC 2018, RFC 2883 (DSACK), RFC 6675 §3, RFC 8985 §6.2 steps 2 to 4
#pragma once
#include "netstack/tcp/tcp_rate.hpp"
#include "netstack/tcp/tcp_rtx_queue.hpp"

namespace netstack {

/// What an acknowledgment brought.
struct tcp_ack_news {
  u32 prior_una = 0;
  u32 prior_lost = 0;    ///< tcp_sock::lost
  u32 acked = 0;         ///< segments that left the queue
  u32 newly_sacked = 0;  ///< segments that were selectively acknowledged
  u32 delivered = 0;     ///< segments that are known to have arrived only now
  u32 newly_lost = 0;
  bool una_advanced = false;
  bool dup = false;  ///< RFC 5681 §2: a duplicate acknowledgment
  bool dsack = false;
  bool dsack_tlp = false;  ///< … of the probe
  bool syn_acked = false;
  bool retrans_acked = false;  ///< one that had been sent more than once
  bool orig_acked = false;     ///< one that had been sent once, before the recovery that runs
  bool reneging = false;       ///< what was selectively acknowledged is the oldest that is missing
  bool lost_retrans = false;   ///< a repetition is believed lost
  u64 first_sent = 0;          ///< when the oldest that was sent once left, of what is acknowledged; 0: none
  u64 first_sacked_sent = 0;   ///< … of what is selectively acknowledged
  u32 reord = 0;               ///< the lowest that was sent once and arrived behind a higher one
  bool reordered = false;
  bool ece = false;  ///< RFC 3168: the peer saw a mark
  u32 tsecr = 0;     ///< RFC 7323 §3.2; 0: none
  tcp_rate_sample rs{};
};

// --- RACK: what arrived tells of what was sent before it

/// When a segment was sent last, among all. What one poll sends leaves at one moment of the worker's clock: what is new
/// in order of sequence, a repetition behind what was new before it, and repetitions one after the other.
struct tcp_rack_order {
  u64 sent;
  u32 end_seq;  ///< or tcp_skb_cb::rtx_nxt
  u8 nth;
};
[[nodiscard]] inline tcp_rack_order tcp_rack_order_of(tcp_skb_cb const& cb) {
  if (cb.sacked & tcpcb::ever_retrans) return {cb.sent, cb.rtx_nxt, cb.rtx_nth};
  return {cb.sent, cb.end_seq, 0};
}
/// … the latest of those that arrived.
[[nodiscard]] inline tcp_rack_order tcp_rack_latest(tcp_sock const& tp) {
  return {tp.rack_mstamp, tp.rack_end_seq, tp.repair ? tp.repair->rack_nth : u8{0}};
}
/// RFC 8985 §6.1 RACK_sent_after.
[[nodiscard]] inline bool tcp_rack_sent_after(tcp_rack_order const& a, tcp_rack_order const& b) {
  if (a.sent != b.sent) return a.sent > b.sent;
  return after(a.end_seq, b.end_seq) || (a.end_seq == b.end_seq && a.nth > b.nth);
}
/// An earlier transmission arrived, says the time stamp: RFC 8985 §6.2 step 2. Of what is acknowledged; what is
/// selectively, arrived behind a gap, and the stamp that is echoed is of what is in front of that (RFC 7323 §4.3).
[[nodiscard]] inline bool tcp_spurious_retrans(tcp_sock const& tp, tcp_skb_cb const& cb, u32 tsecr) {
  return (cb.sacked & tcpcb::ever_retrans) && tp.tstamp_ok && tsecr != 0 &&
         before(tsecr, static_cast<u32>(cb.sent / 1'000'000) + tp.tsoffset);
}
/// RFC 8985 §6.2 step 2: a segment arrived. How long it took is what the others may take, too, whether it left last of
/// those that arrived or not: a path that was held up delivers the first transmissions behind a repetition's time.
template <class Net>
void tcp_rack_advance(Net& net, tcp_sock& tp, tcp_skb_cb const& cb) {
  u32 const rtt_us = tcp_clock_us(net) - tcp_sent_us(cb.sent);
  // Perhaps an earlier transmission did: it is here too soon.
  if ((cb.sacked & tcpcb::ever_retrans) && rtt_us < tp.rtt_min_us) return;
  tp.rack_rtt_us = std::min(rtt_us, tcp_rto_max);
  tp.rack_advanced = true;
  auto const order = tcp_rack_order_of(cb);
  if (!tcp_rack_sent_after(order, tcp_rack_latest(tp))) return;
  tp.rack_mstamp = order.sent;
  tp.rack_end_seq = order.end_seq;
  if (tp.repair) tp.repair->rack_nth = order.nth;
}

// --- reordering

template <class Net>
[[nodiscard]] u16 tcp_bound_reordering(Net& net, u32 segments) {
  return tcp_narrow_reordering(std::min(segments, tcp_pernet(net).sysctl_tcp_max_reordering));
}
/// Where the highest segment ends that is selectively acknowledged; snd_una if none is. Without SACK sacked_out counts
/// duplicates, which do not tell of what they are.
[[nodiscard]] inline u32 tcp_highest_sack_seq(tcp_sock const& tp) {
  return tp.sacked_out != 0 && tcp_is_sack(tp) ? tp.repair->highest_sack : tp.snd_una;
}
/// RFC 8985 §6.2 step 3, RFC 4653 in spirit: so many segments lay between where what came late begins and where what
/// came ends.
template <class Net>
void tcp_check_reordering(Net& net, tcp_sock& tp, u32 low_seq, counter& seen) {
  u32 const high_seq = tcp_highest_sack_seq(tp);
  if (!before(low_seq, high_seq)) return;
  u32 const mss = std::max<u32>(tp.mss_cache, 1), distance = high_seq - low_seq;
  if (distance > tp.reordering * mss)
    tp.reordering = std::max(tp.reordering, tcp_bound_reordering(net, (distance + mss - 1) / mss));
  tp.reord_seen = true;
  ++tcp_rare_of(net, tp).reord_events;
  ++seen;
}

namespace detail {

/// A segment that had been sent once arrived: behind a higher one, if it lies below the highest that was known of.
inline void tcp_note_orig(tcp_sock const& tp, tcp_skb_cb const& cb, u32 prior_highest, tcp_ack_news& news) {
  if (tp.repair && !after(cb.end_seq, tp.repair->high_seq)) news.orig_acked = true;
  if (prior_highest == news.prior_una || !before(cb.seq, prior_highest)) return;
  if (!news.reordered || before(cb.seq, news.reord)) news.reord = cb.seq;
  news.reordered = true;
}

// --- SACK

/// RFC 2018 §8: blocks are advice; one of what was never sent, or is acknowledged, is none; nor is one without a gap
/// before it, as in Linux: whoever has that would acknowledge it.
inline bool tcp_sack_block_valid(tcp_sock const& tp, tcp_sack_block const& b, u32 ack) {
  return before(b.start_seq, b.end_seq) && !after(b.end_seq, tp.snd_nxt) && after(b.start_seq, tp.snd_una) &&
         after(b.start_seq, ack);
}
/// RFC 2883 §4: the first block tells of what came twice: it lies below the acknowledgment, or within the second.
inline bool tcp_is_dsack(tcp_rx const& rx) {
  auto const& first = rx.opt.sacks[0];
  if (before(first.start_seq, rx.ack_seq)) return true;
  auto const& second = rx.opt.sacks[1];
  return rx.opt.num_sacks > 1 && !after(first.end_seq, second.end_seq) && !before(first.start_seq, second.start_seq);
}

/// RFC 3708: of so many of what was sent twice it is told that once was enough.
inline void tcp_undo_retrans_less(tcp_sock& tp, u32 segs) {
  if (!tp.undo_marker_set || tp.rare->undo_retrans <= 0) return;
  auto& left = tcp_own_rare(tp).undo_retrans;
  left = std::max(left - static_cast<s32>(segs), 0);
}
/// How many segments are told to have come twice, if that can be true: no more than we ever sent twice. 0: it is not
/// believed.
template <class Net>
u32 tcp_dsack_seen(Net& net, tcp_sock& tp, tcp_sack_block const& b, tcp_ack_news& news) {
  u32 const len = b.end_seq - b.start_seq, mss = std::max<u32>(tp.mss_cache, 1);
  bool const possible = before(b.start_seq, b.end_seq) && len <= tp.max_window;
  u32 const segs = possible ? (len + mss - 1) / mss : 0;
  auto& rare = tcp_rare_of(net, tp);
  rare.dsack_dups += segs;
  if (!possible || rare.dsack_dups > rare.total_retrans) {
    ++NET_STATS(net).TCPDSACKIgnoredDubious;
    return 0;
  }
  NET_STATS(net).TCPDSACKRecvSegs += segs;
  news.dsack = true;
  news.delivered += segs;  // as in Linux: twice is arrived, too
  news.dsack_tlp = tp.tlp_outstanding && tp.tlp_retrans && b.end_seq == tp.repair->tlp_high_seq;
  // RFC 8985 §6.2 step 4: once a round trip the window grows by a step. The probe's says nothing of reordering.
  if (tp.rack_in_dsack_round && !before(tp.snd_una, rare.rack_dsack_round)) tp.rack_in_dsack_round = false;
  if (!tp.rack_in_dsack_round && !news.dsack_tlp &&
      !(tcp_pernet(net).sysctl_tcp_recovery & tcp_recovery_bits::static_reo_wnd)) {
    tp.rack_in_dsack_round = true;
    rare.rack_dsack_round = tp.snd_nxt;
    if (tp.rack_reo_wnd_steps != 0xff) ++tp.rack_reo_wnd_steps;
    tp.rack_reo_wnd_persist = tcp_rack_recovery_thresh;
  }
  return segs;
}
/// What follows from that for a repair that it tells of. True: what is in flight tells whether it was of our doing;
/// `ack`: what was so far, this acknowledgment ends.
template <class Net>
bool tcp_dsack_undoes(Net& net, tcp_sock& tp, tcp_sack_block const& b, u32 segs, u32 ack) {
  bool const sent = !after(b.end_seq, tp.snd_nxt), idle = tp.packets_out == 0;  // then Linux counts none
  if (sent && after(b.end_seq, ack) && after(b.end_seq, tp.snd_una)) return true;
  if (!tp.undo_marker_set)
    NET_STATS(net).TCPDSACKIgnoredNoUndo += !idle;
  else if (!sent || !after(b.end_seq, tp.rare->undo_marker))
    NET_STATS(net).TCPDSACKIgnoredOld += !idle;
  else if (after(b.end_seq, tp.snd_una))
    return true;
  else
    tcp_undo_retrans_less(tp, segs);
  return false;
}
/// … of what is not acknowledged yet: what was never sent twice, the network doubled. And if it had been there before,
/// it had only been overtaken, not lost.
inline void tcp_dsack_in_flight(sock& sk, tcp_sack_block const& b, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  auto const within = [&](sk_buff* skb) { return skb && !after(TCP_SKB_CB(*skb).end_seq, b.end_seq); };
  auto* skb = tcp_sack_index_find(sk, b.start_seq, b.end_seq);
  for (; within(skb); skb = tcp_sack_index_after(tp, *skb))
    if (TCP_SKB_CB(*skb).sacked & tcpcb::ever_retrans) tcp_undo_retrans_less(tp, 1);
  auto& again = tp.repair->sacked_again;
  for (auto it = again.lower_bound(b.start_seq, tcp_seq_less{}); it != again.end() && within(&*it); ++it) {
    tcp_undo_retrans_less(tp, 1);
    u32 const seq = TCP_SKB_CB(*it).seq;
    if (!news.reordered || before(seq, news.reord)) news.reord = seq;
    news.reordered = true;
  }
}

/// Marks what lies wholly within the block. One that it covers in part stays as it is: Linux cuts packets of several
/// segments there, at a segment's edge, and here each is of one.
template <class Net>
void tcp_sacktag_block(Net& net, sock& sk, tcp_sack_block const& b, u32 prior_highest, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  sk_buff* skb = tcp_sack_index_find(sk, b.start_seq, b.end_seq);
  while (skb && !after(TCP_SKB_CB(*skb).end_seq, b.end_seq)) {
    auto const& cb = TCP_SKB_CB(*skb);
    sk_buff* const following = tcp_sack_index_after(tp, *skb);
    tcp_rack_advance(net, tp, cb);
    tcp_rate_skb_delivered(tp, cb, news.rs);
    if (!(cb.sacked & tcpcb::ever_retrans)) {
      tcp_note_orig(tp, cb, prior_highest, news);
      if (news.first_sacked_sent == 0) news.first_sacked_sent = cb.sent;
    }
    if (tp.sacked_out == 0 || after(cb.end_seq, tp.repair->highest_sack)) tp.repair->highest_sack = cb.end_seq;
    tcp_mark_skb_sacked(tp, *skb);
    ++news.newly_sacked;
    ++news.delivered;
    skb = following;
  }
}

}  // namespace detail

/// Marks what the SACK option says is there. Before snd_una moves.
template <class Net>
void tcp_sacktag_write_queue(Net& net, sock& sk, tcp_rx const& rx, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  (void)tcp_repair_of(net, tp);
  u32 const prior_highest = tcp_highest_sack_seq(tp);
  u8 first = 0;  // of the plain blocks: what is not believed to have come twice is one, most often of no use
  if (auto const& twice = rx.opt.sacks[0]; detail::tcp_is_dsack(rx)) {
    ++(before(twice.start_seq, rx.ack_seq) ? NET_STATS(net).TCPDSACKRecv : NET_STATS(net).TCPDSACKOfoRecv);
    if (u32 const segs = detail::tcp_dsack_seen(net, tp, twice, news); segs != 0) {
      first = 1;
      if (detail::tcp_dsack_undoes(net, tp, twice, segs, rx.ack_seq)) detail::tcp_dsack_in_flight(sk, twice, news);
    }
  }
  if (tp.packets_out == 0) return;
  // By sequence, as in Linux: the latest that left is most often the last, and how long that took is what RFC 8985 §6.2
  // step 2 wants.
  auto blocks = rx.opt.sacks;
  std::sort(blocks.begin() + first, blocks.begin() + rx.opt.num_sacks,
            [&](auto const& a, auto const& b) { return a.start_seq - tp.snd_una < b.start_seq - tp.snd_una; });
  for (u8 i = first; i < rx.opt.num_sacks; ++i) {
    auto const& block = blocks[i];
    if (detail::tcp_sack_block_valid(tp, block, rx.ack_seq))
      detail::tcp_sacktag_block(net, sk, block, prior_highest, news);
    else if (!before(rx.ack_seq, tp.snd_una) || after(block.end_seq, tp.snd_una))  // else it is only late
      ++NET_STATS(net).TCPSACKDiscard;
  }
  if (news.reordered && (tp.ca_state != tcp_ca_state::loss || tp.undo_marker_set))
    tcp_check_reordering(net, tp, news.reord, NET_STATS(net).TCPSACKReorder);
  news.reordered = false;
}

// --- without SACK: each duplicate acknowledgment says that some segment arrived

namespace detail {
/// One is missing at least, or there would be no duplicate. True: more came than could be.
inline bool tcp_limit_reno_sacked(tcp_sock& tp) {
  u32 const holes = std::min(std::max(tp.lost_out, 1u), tp.packets_out);
  if (tp.sacked_out + holes <= tp.packets_out) return false;
  tp.sacked_out = tp.packets_out - holes;
  return true;
}
template <class Net>
void tcp_check_reno_reordering(Net& net, tcp_sock& tp, u32 more) {
  if (!tcp_limit_reno_sacked(tp)) return;
  tp.reordering = tcp_bound_reordering(net, tp.packets_out + more);
  tp.reord_seen = true;
  ++tcp_rare_of(net, tp).reord_events;
  ++NET_STATS(net).TCPRenoReorder;
}
}  // namespace detail

/// RFC 5681 §3.2.
template <class Net>
void tcp_add_reno_sack(Net& net, tcp_sock& tp, tcp_ack_news& news) {
  u32 const prior = tp.sacked_out;
  ++tp.sacked_out;
  detail::tcp_check_reno_reordering(net, tp, 0);
  if (tp.sacked_out > prior) ++news.delivered;
}
inline void tcp_reset_reno_sack(tcp_sock& tp) { tp.sacked_out = 0; }
/// `acked` segments were acknowledged: all but the missing one had been among the duplicates.
template <class Net>
void tcp_remove_reno_sacks(Net& net, tcp_sock& tp, tcp_ack_news& news) {
  if (news.acked == 0) return;
  u32 const known = std::min(news.acked - 1, tp.sacked_out);
  tp.sacked_out -= known;
  news.delivered -= std::min(news.delivered, known);
  detail::tcp_check_reno_reordering(net, tp, news.acked);
}

}  // namespace netstack
