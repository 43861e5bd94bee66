// SPDX-License-Identifier: BSL-1.0
// Decides: how segments of one connection that come together are taken together: recognised by their words, their data
// queued as a chain or copied into the frame before it, in order or behind a gap, and what they change changed once.
// rx: called by tcp_ipv4 tcp_flow_end → what is left goes to tcp_rcv_established
// Linux: none (its nearest: net/ipv4/tcp_offload.c tcp_gro_receive, tcp_input.c tcp_ooo_try_coalesce)
#pragma once
#include "netstack/tcp/tcp_input.hpp"

namespace netstack {

namespace detail {

/// The data of a run's segments, on its way to the reader: what fits into the frame before it is copied there, the rest
/// is queued, and accounts are settled once for all.
class tcp_run_queue {
  sock& sk_;
  skb_list queued_, spent_;
  sk_buff* tail_;  // that the next may be copied behind; null: none
  u32 charged_ = 0, copied_ = 0;

 public:
  explicit tcp_run_queue(sock& sk) : sk_(sk), tail_(sk.sk_receive_queue.peek_tail()) {
    if (tail_ && (TCP_SKB_CB(*tail_).end_seq != tcp_sk(sk).rcv_nxt || skb_cloned(*tail_))) tail_ = nullptr;
  }
  tcp_run_queue(tcp_run_queue const&) = delete;
  tcp_run_queue& operator=(tcp_run_queue const&) = delete;
  ~tcp_run_queue() {
    sk_.sk_rmem_alloc += charged_;
    sk_mem_settle(sk_);
    sk_.sk_receive_queue.queue_linked(queued_);
    if (!spent_.empty()) spent_.first->pool->free_bulk(spent_);
  }
  void spent(sk_buff& skb) { spent_.push_back(skb); }
  [[nodiscard]] u32 copied() const { return copied_; }
  /// Takes `len` bytes behind `hlen` of header. False: the buffer has no room.
  template <class Net>
  NETSTACK_INLINE bool take(Net& net, skb_list& from, u32 seq, u32 hlen, u32 len) {
    sk_buff& skb = *from.first;
    if (tail_ && len <= tail_->tailroom()) {
      u8 const* const bytes = skb.data + hlen;
      if (len <= tcp_copybreak && tail_->tailroom() >= tcp_copybreak && skb.end - bytes >= tcp_copybreak)
        std::memcpy(tail_->tail, bytes, tcp_copybreak);  // without a call
      else
        std::memcpy(tail_->tail, bytes, len);
      tail_->tail += len, tail_->len += len;
      TCP_SKB_CB(*tail_).end_seq = seq + len;
      spent_.push_back(*from.pop_front());
      ++copied_;
      return true;
    }
    if (!sk_mem_has(sk_, skb.truesize)) (void)sk_mem_ahead(sk_, u64{from.count} * skb.truesize);
    if (sk_.sk_rmem_alloc + charged_ > sk_.sk_rcvbuf || !sk_rmem_schedule(net, sk_, skb.truesize)) return false;
    (void)from.pop_front();
    auto& cb = TCP_SKB_CB(skb);
    cb.seq = seq, cb.end_seq = seq + len, cb.tcp_flags = tcp_flag::ack;
    skb_dst_drop(skb);
    skb_orphan(skb);
    skb.dev = nullptr;
    skb.data += hlen;
    skb.len = len;
    skb.sk = &sk_;
    skb.destructor = sock_rfree;
    charged_ += skb.truesize;
    sk_mem_charge(sk_, skb.truesize);
    skb.prev = queued_.last;
    queued_.push_back(skb);
    tail_ = skb_cloned(skb) ? nullptr : &skb;
    return true;
  }
};

/// tcp_rcv_run behind a gap that the peer knows of: each follows the farthest that waits, in whose frame there is room.
/// What it changes is a SACK block's end.
template <bool Stamped, class Net>
void tcp_rcv_ofo_run(Net& net, sock& sk, skb_list& list) {
  auto& tp = tcp_sk(sk);
  sk_buff* const last = tcp_ofo_last(tp);
  u32 seq = TCP_SKB_CB(*last).end_seq;
  if (!tp.sack_ok || tp.ofo_acks < tcp_fastretrans_thresh || tp.num_sacks == 0 ||
      tp.ofo->selective_acks[0].end_seq != seq)
    return;
  constexpr u32 hlen = tcp_run_words<Stamped>::hlen;
  tcp_run_words<Stamped> const expected{tp};
  u32 const window = tcp_receive_window(tp);
  skb_list spent;
  for (sk_buff* skb = list.first; skb != list.last; skb = list.first) {
    u32 const len = skb->len - hlen;
    if (skb->len <= hlen || skb->is_nonlinear() || seq - tp.rcv_nxt + len > window || !expected.match(skb->data, seq) ||
        expected.ack_of(*skb) != tp.snd_una || !tcp_ofo_append(*last, seq, skb->data + hlen, len))
      break;
    seq += len;
    spent.push_back(*list.pop_front());
  }
  if (spent.empty()) return;
  tp.ofo->selective_acks[0].end_seq = seq;
  tp.segs_in += spent.count;
  tp.data_segs_in += spent.count;
  tcp_rare_of(net, tp).rcv_ooopack += spent.count;
  NET_STATS(net).TCPOFOQueue += spent.count;
  NET_STATS(net).TCPRcvCoalesce += spent.count;
  tp.ack_scheduled = true;
  spent.first->pool->free_bulk(spent);
}

template <bool Stamped, class Net>
NETSTACK_INLINE void tcp_rcv_run_of(Net& net, sock& sk, skb_list& list) {
  auto& tp = tcp_sk(sk);
  if (tp.ca_state != tcp_ca_state::open || tp.urg_data != 0) return;
  if (sock_flag(sk, sock_flags::timestamp)) [[unlikely]]
    return;
  if (tp.ofo) return tcp_rcv_ofo_run<Stamped>(net, sk, list);
  if (tp.num_sacks != 0) return;
  constexpr u32 hlen = tcp_run_words<Stamped>::hlen;
  tcp_run_words<Stamped> const expected{tp};
  u32 const first = tp.rcv_nxt, window = tcp_receive_window(tp);
  u32 seq = first, segments = 0, voids = 0;
  tcp_run_queue queue{sk};
  sk_buff const* seen = nullptr;
  for (sk_buff* skb = list.first; skb != list.last; skb = list.first) {
    u32 const len = skb->len - hlen;
    if (expected.is_void(tp, seq, *skb, *skb->next, seen)) {
      queue.spent(*list.pop_front());
      ++voids;
      continue;
    }
    if (skb->len <= hlen || skb->is_nonlinear() || seq - first + len > window || !expected.match(skb->data, seq) ||
        expected.ack_of(*skb) != tp.snd_una || !queue.take(net, list, seq, hlen, len))
      break;
    seq += len;
    ++segments;
  }
  tp.segs_in += segments + voids;
  NET_STATS(net).TCPHPAcks += voids;
  if (segments == 0) return;
  NET_STATS(net).TCPHPHits += segments;
  NET_STATS(net).TCPRcvCoalesce += queue.copied();
  tp.rcv_nxt = seq;
  tp.data_segs_in += segments;
  tp.bytes_received += seq - first;
  tp.ack_scheduled = true;
  if (Stamped && !after(first, tp.rcv_wup)) tp.ts_recent_stamp = tw_clock(net.worker().now);  // its value is the same
  tcp_note(sk, tcp_event::readable);
}

/// For who has no time stamps: Windows does not ask for them.
template <class Net>
NETSTACK_NOINLINE void tcp_rcv_run_bare(Net& net, sock& sk, skb_list& list) {
  tcp_rcv_run_of<false>(net, sk, list);
}

}  // namespace detail

/// Takes segments of the connection off the front of a burst as long as each is the next in order, brings data and
/// nothing else (or only what the one behind it brings too), is alike the one before it, and is not the last, which
/// tells of all; data at their headers. Their sums are right.
template <class Net>
void tcp_rcv_run(Net& net, sock& sk, skb_list& list) {
  if (!tcp_sk(sk).tstamp_ok) [[unlikely]]
    return detail::tcp_rcv_run_bare(net, sk, list);
  detail::tcp_rcv_run_of<true>(net, sk, list);
}

}  // namespace netstack
