// SPDX-License-Identifier: BSL-1.0
// Decides: where a segment that was sent stands until it is acknowledged. All of them lie in sk_write_queue by sequence
// number; besides, each is
//
//   in tsorted_sent_queue   in flight: sent, or sent again; the oldest transmission first (RFC 8985)
//   in lost_queue           tcpcb::lost without sacked_retrans: believed lost, waits for its repair
//   in neither              tcpcb::sacked_acked: selectively acknowledged
//
// so that nothing here and in tcp_rack.hpp walks over what does not concern it. What a SACK block begins with is found
// in sack_index, a tree of what is not known to be there: built only as far as blocks reach, each segment entering it
// once and leaving it once, so that an acknowledgment costs O(log n) and what it brings, whatever its sender makes up
// ("SACK Slowness"). [S147]
// called by tcp_output, tcp_sack, tcp_rack, tcp_recovery
// Linux: net/ipv4/tcp_input.c, net/ipv4/tcp_output.c (tcp_rtx_queue, tcp_tsorted_anchor, tcp_mark_skb_lost); RFC 6675
// §3
#pragma once
#include "netstack/tcp/tcp_state.hpp"

namespace netstack {

/// for (sk_buff* skb = …; skb; skb = tcp_sent_after(…)): what was sent and is not acknowledged, in order.
[[nodiscard]] inline sk_buff* tcp_sent_head(sock const& sk) {
  sk_buff* const skb = sk.sk_write_queue.peek();
  return skb == tcp_sk(sk).send_head ? nullptr : skb;
}
[[nodiscard]] inline sk_buff* tcp_sent_after(sock const& sk, sk_buff const& skb) {
  sk_buff* const following = sk.sk_write_queue.after(skb);
  return following == tcp_sk(sk).send_head ? nullptr : following;
}
/// The last that was sent, by sequence number; null: none is in flight.
[[nodiscard]] inline sk_buff* tcp_sent_tail(sock const& sk) {
  auto const& tp = tcp_sk(sk);
  return tp.send_head ? sk.sk_write_queue.before(*tp.send_head) : sk.sk_write_queue.peek_tail();
}

// --- which queue it is in

namespace detail {
/// Takes it out of either.
inline void tcp_tsorted_unlink(sk_buff& skb) { tcp_skb_fifo::node_algorithms::unlink(&TCP_SKB_CB(skb).link); }

/// It arrived, or is in the index no longer.
inline void tcp_sack_index_erase(tcp_sock& tp, sk_buff& skb) {
  if (TCP_SKB_CB(skb).sacked & tcpcb::indexed) tp.repair->sack_index.erase(tp.repair->sack_index.iterator_to(skb));
}
}  // namespace detail

/// It left for the first time.
inline void tcp_rtx_queue_sent(tcp_sock& tp, sk_buff& skb) { tp.tsorted_sent_queue.push_back(skb); }

/// It left again: it is the latest in flight.
template <class Net>
void tcp_rtx_queue_resent(Net& net, tcp_sock& tp, sk_buff& skb) {
  auto& cb = TCP_SKB_CB(skb);
  cb.sacked |= tcpcb::ever_retrans;
  cb.rtx_nxt = tcp_repair_of(net, tp).rtx_high = tp.snd_nxt;
  cb.rtx_nth = 1;
  detail::tcp_tsorted_unlink(skb);
  if (!tp.tsorted_sent_queue.empty()) {
    auto const& last = TCP_SKB_CB(tp.tsorted_sent_queue.back());
    bool const together = last.sent == cb.sent && (last.sacked & tcpcb::ever_retrans) && last.rtx_nxt == cb.rtx_nxt;
    if (together) cb.rtx_nth = static_cast<u8>(std::min(last.rtx_nth + 1, 0xff));
  }
  tp.tsorted_sent_queue.push_back(skb);
}

/// All copies of it are believed lost: it is repaired before `where`, which is in lost_queue.
template <class Net>
void tcp_mark_skb_lost(Net& net, tcp_sock& tp, sk_buff& skb, tcp_skb_fifo::iterator where) {
  u8& sacked = TCP_SKB_CB(skb).sacked;
  if (sacked & tcpcb::sacked_acked) return;
  if (sacked & tcpcb::sacked_retrans) {
    ++NET_STATS(net).TCPLostRetransmit;
    sacked &= static_cast<u8>(~tcpcb::sacked_retrans);
    --tp.retrans_out;
  } else if (sacked & tcpcb::lost) {
    return;
  }
  if (!(sacked & tcpcb::lost)) ++tp.lost_out;
  sacked |= tcpcb::lost;
  ++tcp_rare_of(net, tp).lost;
  detail::tcp_tsorted_unlink(skb);
  tp.repair->lost_queue.insert(where, skb);
}

/// What the receiver has by a SACK.
inline void tcp_mark_skb_sacked(tcp_sock& tp, sk_buff& skb) {
  u8& sacked = TCP_SKB_CB(skb).sacked;
  if (sacked & tcpcb::sacked_retrans) --tp.retrans_out;
  if (sacked & tcpcb::lost) --tp.lost_out;
  detail::tcp_tsorted_unlink(skb);
  detail::tcp_sack_index_erase(tp, skb);
  sacked = static_cast<u8>((sacked & ~tcpcb::tagbits) | tcpcb::sacked_acked);
  if (sacked & tcpcb::ever_retrans) tp.repair->sacked_again.insert(skb);
  ++tp.sacked_out;
}

/// It is acknowledged, and about to leave sk_write_queue.
inline void tcp_rtx_queue_acked(tcp_sock& tp, sk_buff& skb) {
  if (u8 const sacked = TCP_SKB_CB(skb).sacked; sacked == 0) [[likely]] {
    detail::tcp_tsorted_unlink(skb);
  } else {
    if (sacked & tcpcb::sacked_acked) {
      --tp.sacked_out;
      if (sacked & tcpcb::ever_retrans) tp.repair->sacked_again.erase(tp.repair->sacked_again.iterator_to(skb));
    } else {
      detail::tcp_tsorted_unlink(skb);
      detail::tcp_sack_index_erase(tp, skb);
    }
    if (sacked & tcpcb::sacked_retrans) --tp.retrans_out;
    if (sacked & tcpcb::lost) --tp.lost_out;
    if (tp.repair->sack_indexed == &skb) tp.repair->sack_indexed = nullptr;
  }
  --tp.packets_out;
}

/// A segment that was sent was cut: `rest`, a copy of its control block included, follows it wherever it is.
inline void tcp_rtx_queue_split(tcp_sock& tp, sk_buff& skb, sk_buff& rest) {
  u8 const sacked = TCP_SKB_CB(skb).sacked;
  ++tp.packets_out;
  tp.sacked_out += (sacked & tcpcb::sacked_acked) != 0;
  tp.retrans_out += (sacked & tcpcb::sacked_retrans) != 0;
  tp.lost_out += (sacked & tcpcb::lost) != 0;
  if (!(sacked & tcpcb::sacked_acked)) {
    tcp_skb_fifo::node_algorithms::link_after(&TCP_SKB_CB(skb).link, &TCP_SKB_CB(rest).link);
    if (sacked & tcpcb::indexed) tp.repair->sack_index.insert(rest);
  } else if (sacked & tcpcb::ever_retrans) {
    tp.repair->sacked_again.insert(rest);
  }
  if (tp.repair && tp.repair->sack_indexed == &skb) tp.repair->sack_indexed = &rest;
}

/// Nothing of what was believed lost is: what was not repaired is in flight, longer than all the rest.
inline void tcp_rtx_queue_found(tcp_sock& tp) {
  for (sk_buff& skb : tp.repair->lost_queue) {
    TCP_SKB_CB(skb).sacked &= static_cast<u8>(~tcpcb::lost);
    --tp.lost_out;
  }
  tp.tsorted_sent_queue.splice(tp.tsorted_sent_queue.begin(), tp.repair->lost_queue);
}

// --- which SACK block it is in

/// The first segment at or behind `seq` that is not known to be there; null: there is none before `end`.
inline sk_buff* tcp_sack_index_find(sock& sk, u32 seq, u32 end) {
  auto& tp = tcp_sk(sk);
  sk_buff* skb = tp.repair->sack_indexed ? tcp_sent_after(sk, *tp.repair->sack_indexed) : tcp_sent_head(sk);
  for (; skb && before(TCP_SKB_CB(*skb).seq, end); skb = tcp_sent_after(sk, *skb)) {
    tp.repair->sack_index.push_back(*skb);
    TCP_SKB_CB(*skb).sacked |= tcpcb::indexed;
    tp.repair->sack_indexed = skb;
  }
  auto const it = tp.repair->sack_index.lower_bound(seq, detail::tcp_seq_less{});
  return it == tp.repair->sack_index.end() ? nullptr : &*it;
}
/// The next of them.
inline sk_buff* tcp_sack_index_after(tcp_sock& tp, sk_buff& skb) {
  auto const it = std::next(tp.repair->sack_index.iterator_to(skb));
  return it == tp.repair->sack_index.end() ? nullptr : &*it;
}

/// RFC 2018 §8: what was selectively acknowledged is not there any more.
inline void tcp_sack_forget(sock& sk) {
  auto& tp = tcp_sk(sk);
  tp.repair->sack_index.clear();
  tp.repair->sacked_again.clear();
  tp.repair->sack_indexed = nullptr;
  tp.sacked_out = 0;
  for (sk_buff* skb = tcp_sent_head(sk); skb; skb = tcp_sent_after(sk, *skb)) {
    u8& sacked = TCP_SKB_CB(*skb).sacked;
    if (sacked & tcpcb::sacked_acked) tp.tsorted_sent_queue.push_front(*skb);
    sacked &= static_cast<u8>(~(tcpcb::sacked_acked | tcpcb::indexed));
  }
}

}  // namespace netstack
