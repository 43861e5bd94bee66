// SPDX-License-Identifier: BSL-1.0
// Decides: where received data goes: in order into the queue of the reader, beyond that into a tree by sequence number,
// whose every operation costs O(log n) whatever a sender makes up. What fits into the frame before it is copied there,
// so that many small segments hold few frames. And when an acknowledgment is owed: at once when something is amiss,
// else with every second full segment or after a while.
// rx: called by tcp_input → calls tcp_fin
// Linux: net/ipv4/tcp_input.c (tcp_data_queue, tcp_data_queue_ofo, tcp_ofo_queue, tcp_event_data_recv, tcp_fin)
// RFC 9293 §3.10.7.4 seventh and eighth, RFC 5681 §4.2 (delayed ACK), RFC 2018 §4, RFC 2883
#pragma once
#include "netstack/skb/skb_split.hpp"
#include "netstack/tcp/tcp_minisocks.hpp"
#include "netstack/tcp/tcp_rcv_space.hpp"

namespace netstack {

// --- SACK blocks that we tell

/// RFC 2883 §4: this came twice.
template <class Net>
NETSTACK_COLD void tcp_dsack_set(Net& net, tcp_sock& tp, u32 seq, u32 end_seq) {
  if (!tp.sack_ok || tcp_pernet(net).sysctl_tcp_dsack == 0) return;
  ++(before(seq, tp.rcv_nxt) ? NET_STATS(net).TCPDSACKOldSent : NET_STATS(net).TCPDSACKOfoSent);
  tp.dsack = true;
  tcp_repair_of(net, tp).duplicate_sack = {seq, end_seq};
}

/// … or more of what came twice.
template <class Net>
NETSTACK_COLD void tcp_dsack_extend(Net& net, tcp_sock& tp, u32 seq, u32 end_seq) {
  if (!tp.dsack) return tcp_dsack_set(net, tp, seq, end_seq);
  auto& block = tp.repair->duplicate_sack;
  if (after(seq, block.end_seq) || after(block.start_seq, end_seq)) return;
  if (before(seq, block.start_seq)) block.start_seq = seq;
  if (after(end_seq, block.end_seq)) block.end_seq = end_seq;
}

/// RFC 2018 §4: the block that holds the latest segment comes first; blocks that meet become one.
inline void tcp_sack_new_ofo_skb(tcp_sock& tp, u32 seq, u32 end_seq) {
  tcp_sack_block grown{seq, end_seq};
  auto& blocks = tp.ofo->selective_acks;
  u8 kept = 0;
  for (u8 i = 0; i < tp.num_sacks; ++i) {
    tcp_sack_block const b = blocks[i];
    if (before(b.end_seq, grown.start_seq) || after(b.start_seq, grown.end_seq)) {
      blocks[kept++] = b;
      continue;
    }
    if (before(b.start_seq, grown.start_seq)) grown.start_seq = b.start_seq;
    if (after(b.end_seq, grown.end_seq)) grown.end_seq = b.end_seq;
  }
  kept = std::min<u8>(kept, tcpopt::max_sacks - 1);
  std::copy_backward(blocks.begin(), blocks.begin() + kept, blocks.begin() + kept + 1);
  blocks[0] = grown;
  tp.num_sacks = static_cast<u8>(kept + 1);
}
/// rcv_nxt moved: what it passed is no block any more.
inline void tcp_sack_remove(tcp_sock& tp) {
  u8 kept = 0;
  for (u8 i = 0; tp.ofo && i < tp.num_sacks; ++i) {
    auto& blocks = tp.ofo->selective_acks;
    if (before(tp.rcv_nxt, blocks[i].start_seq)) blocks[kept++] = blocks[i];
  }
  tp.num_sacks = kept;
}

// --- acknowledgments that we owe

inline void tcp_enter_quickack_mode(tcp_sock& tp, u8 acks) {
  tp.quick_acks = std::max(tp.quick_acks, acks);
  tp.pingpong = false;
}
/// A segment of another size than the peer's full ones: if longer, those are as long; if shorter, a second of the same
/// size in a row says so, too, since one alone may be the end of a message.
NETSTACK_NOINLINE inline void tcp_measure_rcv_mss(tcp_sock& tp, sk_buff const& skb, u32 len) {
  auto const bits = static_cast<u8>(len), before = std::exchange(tp.last_seg_bits, bits);
  if (len < tp.rcv_mss && bits != before) return;
  tp.rcv_mss = static_cast<u16>(std::min<u32>(len, tp.advmss));
  tp.scaling_ratio = static_cast<u8>(std::clamp<u32>(skb.len * 256 / skb.truesize, 1, 255));
}
/// Data came: how large are the peer's segments, and is it a dialogue? `stamped`: tcp_rcv_rtt_measure's.
template <class Net>
NETSTACK_INLINE void tcp_event_data_recv(Net& net, sock& sk, sk_buff const& skb, tcp_rx const& rx, bool stamped) {
  auto& tp = tcp_sk(sk);
  u32 const len = skb_is_gso(skb) ? skb_shinfo(skb).gso_size : skb.len;
  tp.ack_scheduled = true;
  if (len == tp.rcv_mss)
    tp.last_seg_bits = static_cast<u8>(len);
  else if (len >= tcp_mss_default || len > tp.rcv_mss) [[unlikely]]
    tcp_measure_rcv_mss(tp, skb, len);
  tcp_rcv_rtt_measure(net, tp, rx, stamped);
  u64 const now = net.worker().now;
  // The first of a flow, or after a pause: its sender's window opens faster if it is not made to wait.
  if (tp.lrcvtime == 0 || now - tp.lrcvtime > u64{tp.icsk_rto} * 1000) tcp_enter_quickack_mode(tp, tcp_max_quickacks);
  tp.lrcvtime = now;
}

// --- memory

namespace detail {

/// RFC 2018 §8 allows it: what is out of order is thrown away, the farthest first, until the buffer, and the proto's
/// memory, has room for what begins at `seq`; nothing that is nearer than that.
template <class Net>
void tcp_prune_ofo_queue(Net& net, sock& sk, u32 size, u32 seq) {
  auto& tp = tcp_sk(sk);
  if (!tp.ofo || !after(TCP_SKB_CB(*tp.ofo->queue.rbegin()).seq, seq)) return;
  ++NET_STATS(net).OfoPruned;
  auto& queue = tp.ofo->queue;
  do {
    sk_buff& last = *queue.rbegin();
    if (!after(TCP_SKB_CB(last).seq, seq)) break;
    queue.erase(queue.iterator_to(last));
    kfree_skb(net, last, drop_reason::tcp_ofo_queue_prune);
  } while (!queue.empty() && (sk.sk_rmem_alloc > sk.sk_rcvbuf / 2 || !sk_rmem_schedule(net, sk, size)));
  tcp_ofo_settle(net, tp);
  tp.num_sacks = 0;  // what the blocks told is no longer so
}
template <class Net>
NETSTACK_NOINLINE bool tcp_rmem_schedule_slow(Net& net, sock& sk, u32 size, u32 seq) {
  if (sk.sk_rmem_alloc <= sk.sk_rcvbuf && sk_rmem_schedule(net, sk, size)) return true;
  if (sk.sk_rmem_alloc == 0) return false;  // it is others who have the memory
  ++NET_STATS(net).PruneCalled;
  tcp_prune_ofo_queue(net, sk, size, seq);
  // What is next was promised its place, though segments may be smaller than those that the promise was reckoned by:
  // without it the peer would stand still until its timer, however soon we read.
  u32 const most = after(seq, tcp_sk(sk).rcv_nxt) ? sk.sk_rcvbuf : sk.sk_rcvbuf + (sk.sk_rcvbuf >> 3);
  if (sk.sk_rmem_alloc <= most && sk_rmem_schedule(net, sk, size)) return true;
  if (sk.sk_rmem_alloc > sk.sk_rcvbuf) ++NET_STATS(net).RcvPruned;  // else the buffer has room, and memory is short
  return false;
}
template <class Net>
NETSTACK_INLINE bool tcp_try_rmem_schedule(Net& net, sock& sk, u32 size, u32 seq) {
  if (!sk.sk_limits) __builtin_unreachable();
  if (sk.sk_rmem_alloc <= sk.sk_rcvbuf && sk_mem_has(sk, size)) [[likely]]
    return true;
  return tcp_rmem_schedule_slow(net, sk, size, seq);
}

/// The last packet of the reader's queue, if this one may be copied behind it: that costs no memory.
NETSTACK_INLINE sk_buff* tcp_tail_for(sock& sk, sk_buff const& skb, u32 seq) {
  sk_buff* const tail = sk.sk_receive_queue.peek_tail();
  if (!tail) [[likely]]
    return nullptr;
  return TCP_SKB_CB(*tail).end_seq == seq && skb.len <= tail->tailroom() && !skb_cloned(*tail) ? tail : nullptr;
}
/// SO_TIMESTAMP and its like: when it came, if the device has not said so.
template <class Net>
NETSTACK_INLINE void tcp_stamp(Net& net, sock const& sk, sk_buff& skb) {
  if (sock_flag(sk, sock_flags::timestamp) && skb.tstamp == 0) [[unlikely]]
    skb.tstamp = net.worker().now_real;
}
/// Bytes that join those of another packet give it their times, which are those of its last byte.
NETSTACK_INLINE void tcp_join_stamps(sock const& sk, sk_buff& to, sk_buff const& from) {
  if (!sock_flag(sk, sock_flags::timestamp)) [[likely]]
    return;
  to.tstamp = from.tstamp;
  if (from.hwtstamped) skb_set_hwtstamps(to, skb_hwtstamps(from));
}
/// A FIN, and nothing else, is read with what is before it.
template <class Net>
NETSTACK_INLINE void tcp_queue_fin_rcv(Net& net, sock& sk, sk_buff& skb) {
  consume_skb(skb);
  sk_buff* const last = sk.sk_receive_queue.peek_tail();
  if (!last) return;
  TCP_SKB_CB(*last).tcp_flags |= tcp_flag::fin;
  ++NET_STATS(net).TCPRcvCoalesce;
}
/// Appends to the reader's queue; data at the payload. Always takes the skb.
template <class Net>
NETSTACK_INLINE void tcp_queue_rcv(Net& net, sock& sk, sk_buff& skb) {
  if (skb.len == 0) return tcp_queue_fin_rcv(net, sk, skb);
  auto const& cb = TCP_SKB_CB(skb);
  sk_buff* const tail = tcp_tail_for(sk, skb, cb.seq);
  s32 delta = 0;
  if (tail && skb_try_coalesce(*tail, skb, delta)) {
    tcp_join_stamps(sk, *tail, skb);
    TCP_SKB_CB(*tail).end_seq = cb.end_seq;
    TCP_SKB_CB(*tail).tcp_flags |= cb.tcp_flags;
    ++NET_STATS(net).TCPRcvCoalesce;
    return consume_skb(skb);
  }
  if (skb.sk != &sk) skb_set_owner_r(skb, sk);
  sk.sk_receive_queue.queue_tail(skb);
}
inline void tcp_rcv_nxt_update(tcp_sock& tp, u32 seq) {
  tp.bytes_received += seq - tp.rcv_nxt;
  tp.rcv_nxt = seq;
}

}  // namespace detail

// --- the peer's FIN

/// RFC 9293 §3.10.7.4 eighth. Its acknowledgment, too, waits for what we say next, often our own FIN (§3.8.6.3), unless
/// we said ours already.
template <class Net>
void tcp_fin(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  // tcp_marks are written where they change: who sends next reads them as one word.
  if (tp.nonagle & tcp_nagle::more) [[unlikely]]
    tp.nonagle &= static_cast<u8>(~tcp_nagle::more);
  sk.sk_shutdown |= rcv_shutdown;
  sock_set_flag(sk, sock_flags::done);
  tcp_ofo_purge(net, tp);  // nothing can come behind the end
  tcp_note(sk, tcp_event::state | tcp_event::readable);
  switch (sk.sk_state) {
    case tcp_state::syn_recv:
    case tcp_state::established:
      tcp_set_state(net, sk, tcp_state::close_wait);
      tp.ack_scheduled = tp.pingpong = true;
      return;
    case tcp_state::fin_wait1:  // both ended at once: ours is not acknowledged yet
      tcp_send_ack(net, sk);
      return tcp_set_state(net, sk, tcp_state::closing);
    case tcp_state::fin_wait2: tcp_send_ack(net, sk); return tcp_time_wait(net, sk, tcp_state::time_wait, 0);
    default: tp.ack_scheduled = true;  // it had ended already
  }
}

// --- out of order

namespace detail {

/// MUST-59: what follows rcv_nxt without a gap moves to the reader.
template <class Net>
void tcp_ofo_queue(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto& queue = tp.ofo->queue;
  bool fin = false;
  u32 const came = tp.rcv_nxt;  // with what filled the gap, which may have brought some of it again: RFC 2883 §4
  while (!fin && !queue.empty()) {
    sk_buff& skb = *queue.begin();
    auto const cb = TCP_SKB_CB(skb);
    if (after(cb.seq, tp.rcv_nxt)) break;
    if (before(cb.seq, came)) tcp_dsack_extend(net, tp, cb.seq, before(cb.end_seq, came) ? cb.end_seq : came);
    queue.erase(queue.begin());
    if (!after(cb.end_seq, tp.rcv_nxt)) {  // a FIN, too: data that lies behind it belies it
      consume_skb(skb);
      continue;
    }
    fin = (cb.tcp_flags & tcp_flag::fin) != 0;
    tcp_rcv_nxt_update(tp, cb.end_seq);
    tcp_queue_rcv(net, sk, skb);
  }
  tcp_ofo_settle(net, tp);
  if (fin) tcp_fin(net, sk);
}

/// Takes out what lies wholly within [seq, end_seq).
template <class Net>
void tcp_ofo_drop_covered(Net& net, tcp_sock& tp, u32 seq, u32 end_seq) {
  auto& queue = tp.ofo->queue;
  auto it = queue.lower_bound(seq, tcp_seq_less{});
  while (it != queue.end() && !after(TCP_SKB_CB(*it).end_seq, end_seq)) {
    sk_buff& covered = *it++;
    queue.erase(queue.iterator_to(covered));
    tcp_dsack_extend(net, tp, TCP_SKB_CB(covered).seq, TCP_SKB_CB(covered).end_seq);
    ++NET_STATS(net).TCPOFOMerge;
    consume_skb(covered);
  }
}

/// The farthest of what waits behind a gap; null: nothing does.
inline sk_buff* tcp_ofo_last(tcp_sock& tp) { return tp.ofo ? &*tp.ofo->queue.rbegin() : nullptr; }
/// Copies what follows it behind it, which costs no memory. False: it does not follow, or there is no room, even for
/// the nothing of a bare FIN where frags end the packet.
NETSTACK_INLINE bool tcp_ofo_append(sk_buff& last, u32 seq, u8 const* bytes, u32 len) {
  auto& cb = TCP_SKB_CB(last);
  if (cb.end_seq != seq || len > last.tailroom() || last.is_nonlinear() || (cb.tcp_flags & tcp_flag::fin) ||
      skb_cloned(last))
    return false;
  std::memcpy(last.put(len), bytes, len);
  cb.end_seq = seq + len;
  return true;
}
/// Puts it where it belongs; what others have already is told to have come twice. False: all of it was there.
template <class Net>
bool tcp_ofo_insert(Net& net, tcp_sock& tp, sk_buff& skb) {
  auto const& cb = TCP_SKB_CB(skb);
  auto& queue = tp.ofo->queue;
  if (queue.empty() || !before(cb.seq, TCP_SKB_CB(*queue.rbegin()).end_seq)) {
    queue.push_back(skb);
    return true;
  }
  auto const behind = queue.upper_bound(cb.seq, tcp_seq_less{});
  if (behind != queue.begin()) {
    auto const& before_cb = TCP_SKB_CB(*std::prev(behind));
    if (!after(cb.end_seq, before_cb.end_seq)) {
      ++NET_STATS(net).TCPOFOMerge;
      tcp_dsack_set(net, tp, cb.seq, cb.end_seq);
      return false;
    }
    if (before(cb.seq, before_cb.end_seq)) tcp_dsack_set(net, tp, cb.seq, before_cb.end_seq);
  }
  tcp_ofo_drop_covered(net, tp, cb.seq, cb.end_seq);
  auto const next = queue.lower_bound(cb.seq, tcp_seq_less{});
  if (next != queue.end() && before(TCP_SKB_CB(*next).seq, cb.end_seq))
    tcp_dsack_extend(net, tp, TCP_SKB_CB(*next).seq, cb.end_seq);
  queue.insert_before(next, skb);
  return true;
}

template <class Net>
verdict tcp_data_queue_ofo(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  auto const& cb = TCP_SKB_CB(skb);
  // RFC 5681 §4.2: at once, MAY-13 SHLD-31. With SACK three tell of the loss, and the last of a burst tells of all that
  // is here.
  if (!tp.ofo) tp.ofo_acks = 0;
  tp.ack_scheduled = true;
  if (!tp.sack_ok || tp.ofo_acks < tcp_fastretrans_thresh) ++tp.ofo_acks, tp.ack_now = true;
  sk_buff* const last = tcp_ofo_last(tp);
  bool const copied = last && !skb.is_nonlinear() && tcp_ofo_append(*last, cb.seq, skb.data, skb.len);
  if (copied) {
    tcp_join_stamps(sk, *last, skb);
    TCP_SKB_CB(*last).end_seq = cb.end_seq;  // a FIN counts
    TCP_SKB_CB(*last).tcp_flags |= cb.tcp_flags;
    ++NET_STATS(net).TCPRcvCoalesce;
  } else if (!tcp_try_rmem_schedule(net, sk, skb.truesize, cb.seq) ||
             (!tp.ofo && !(tp.ofo = tcp_worker_of(net).ofos.alloc()))) {
    ++NET_STATS(net).TCPOFODrop;
    tcp_note(sk, tcp_event::readable);  // whoever waits for more than there is memory for reads what is here
    return drop(net, skb, drop_reason::proto_mem);
  }
  ++NET_STATS(net).TCPOFOQueue;
  ++tcp_rare_of(net, tp).rcv_ooopack;
  (void)tcp_ecn_data_received(tp, rx);  // acknowledged at once anyway
  bool const fresh = copied || tcp_ofo_insert(net, tp, skb);
  // RFC 2883 §4: also where the segment told of what came twice, the block around it is the next.
  if (tp.sack_ok) tcp_sack_new_ofo_skb(tp, cb.seq, cb.end_seq);
  if (!fresh) return drop(net, skb, drop_reason::tcp_ofomerge);
  if (copied) return verdict::consumed();
  skb_set_owner_r(skb, sk);
  return verdict::kept();
}

}  // namespace detail

// --- received data

namespace detail {

/// The data of a segment: data at its first byte, nothing of the way it came left, its numbers beside it. False: the
/// pool has no frame to make its header linear.
template <class Net>
NETSTACK_INLINE bool tcp_take_data(Net& net, sock const& sk, sk_buff& skb, tcp_rx const& rx) {
  if (!skb.is_nonlinear()) [[likely]]
    skb.pull(rx.hlen);
  else if (!pskb_pull(skb, rx.hlen, skb_pool::site::current()))
    return false;
  skb_dst_drop(skb);
  skb.dev = nullptr;
  tcp_stamp(net, sk, skb);
  auto& cb = TCP_SKB_CB(skb);  // what else is in it is for what is sent, or for who is put into a tree
  cb.seq = rx.seq, cb.end_seq = rx.end_seq, cb.tcp_flags = rx.flags;
  return true;
}

/// Such a one, which is next. It needs no memory: its frame is enough to acknowledge it.
template <class Net>
NETSTACK_INLINE verdict tcp_queue_bare_fin(Net& net, sock& sk, sk_buff& skb) {
  tcp_queue_fin_rcv(net, sk, skb);
  tcp_rcv_nxt_update(tcp_sk(sk), tcp_sk(sk).rcv_nxt + 1);
  tcp_note(sk, tcp_event::readable);
  tcp_fin(net, sk);
  return verdict::kept();
}
/// Data of which some is expected next, and that the window has room for.
template <class Net>
NETSTACK_INLINE verdict tcp_queue_next(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (skb.len == 0) return tcp_queue_bare_fin(net, sk, skb);
  if (!tcp_try_rmem_schedule(net, sk, skb.truesize, rx.seq) && !tcp_tail_for(sk, skb, rx.seq)) {
    // What is sent now would be lost, too. But who has nothing to read gets one segment, or he might wait for ever.
    tp.ack_scheduled = tp.ack_now = tp.ack_nomem = true;
    if (!sk.sk_receive_queue.empty()) {
      tcp_note(sk, tcp_event::readable);  // as above
      ++NET_STATS(net).TCPRcvQDrop;
      ++sk.sk_drops;
      return drop(net, skb, drop_reason::proto_mem);
    }
    sk_forced_mem_schedule(sk, skb.truesize);
  }
  // RFC 7323 §3.2: the option of who did not agree to it means nothing.
  tcp_event_data_recv(net, sk, skb, rx, rx.opt.saw_tstamp && tp.tstamp_ok);
  if (tcp_ecn_data_received(tp, rx)) [[unlikely]]
    tcp_enter_quickack_mode(tp, 2);
  tcp_rcv_nxt_update(tp, rx.end_seq);
  tcp_queue_rcv(net, sk, skb);
  tcp_note(sk, tcp_event::readable);
  if (rx.has(tcp_flag::fin)) {
    tcp_fin(net, sk);
  } else if (tp.ofo) {
    tcp_ofo_queue(net, sk);
    // RFC 5681 §4.2: a segment that fills a gap is acknowledged at once.
    tp.ack_now = true;
    tp.ofo_acks = 0;
  }
  if (tp.num_sacks != 0) tcp_sack_remove(tp);
  return verdict::kept();
}

}  // namespace detail

/// The data of a segment that tcp_input predicted: exactly what is expected next; data at its header. `plain`: with
/// nothing but that.
template <class Net>
NETSTACK_INLINE verdict tcp_data_queue_in_order(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx, bool plain) {
  auto& tp = tcp_sk(sk);
  if (plain && sk.sk_receive_queue.empty() && !skb.is_nonlinear() && !skb.destructor &&
      detail::tcp_try_rmem_schedule(net, sk, skb.truesize, rx.seq)) [[likely]] {  // as below, where nothing else can be
    u32 const len = rx.end_seq - rx.seq;
    skb_dst_drop(skb);
    skb.dev = nullptr;
    skb.data += rx.hlen;
    skb.len = len;
    detail::tcp_stamp(net, sk, skb);
    auto& cb = TCP_SKB_CB(skb);
    cb.seq = rx.seq, cb.end_seq = rx.end_seq, cb.tcp_flags = rx.flags;
    tcp_event_data_recv(net, sk, skb, rx, rx.opt.saw_tstamp);
    if (tcp_ecn_data_received(tp, rx)) [[unlikely]]
      tcp_enter_quickack_mode(tp, 2);
    tp.bytes_received += len;
    tp.rcv_nxt = rx.end_seq;
    skb_set_owner_r(skb, sk);
    sk.sk_receive_queue.queue_tail(skb);
    tcp_note(sk, tcp_event::readable);
    return verdict::kept();
  }
  if (!detail::tcp_take_data(net, sk, skb, rx)) return drop(net, skb, drop_reason::nomem);
  return detail::tcp_queue_next(net, sk, skb, rx);
}

/// The data of a segment that passed tcp_validate_incoming; data at its header.
template <class Net>
verdict tcp_data_queue(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (rx.seq == rx.end_seq) return verdict::consumed();
  if (!detail::tcp_take_data(net, sk, skb, rx)) return drop(net, skb, drop_reason::nomem);
  if (!after(rx.end_seq, tp.rcv_nxt)) {
    // RFC 9293 §3.10.7.4: nothing new in it; its sender did not hear our acknowledgment.
    ++NET_STATS(net).DelayedACKLost;
    tcp_enter_quickack_mode(tp, tcp_max_quickacks);
    tcp_dsack_set(net, tp, rx.seq, rx.end_seq);
    tp.ack_scheduled = tp.ack_now = true;
    return drop(net, skb, drop_reason::tcp_old_data);
  }
  u32 const window = tcp_receive_window(tp);
  if (before(rx.seq, tp.rcv_nxt)) tcp_dsack_set(net, tp, rx.seq, tp.rcv_nxt);
  // A FIN needs no room: a closed window does not keep it out. But data, also where it follows what came twice.
  bool const fin_alone = rx.has(tcp_flag::fin) && rx.end_seq == tp.rcv_nxt + 1;
  if ((window == 0 || !before(rx.seq, tp.rcv_nxt + window)) && !fin_alone) {
    if (window == 0) ++NET_STATS(net).TCPZeroWindowDrop;
    tcp_enter_quickack_mode(tp, tcp_max_quickacks);
    tp.ack_scheduled = tp.ack_now = true;
    return drop(net, skb, window == 0 ? drop_reason::tcp_zerowindow : drop_reason::tcp_overwindow);
  }
  if (after(rx.seq, tp.rcv_nxt)) return detail::tcp_data_queue_ofo(net, sk, skb, rx);
  return detail::tcp_queue_next(net, sk, skb, rx);
}

/// RFC 5681 §4.2, MUST-58 SHLD-18 SHLD-19: with two full segments, or when something is amiss, now; else it may wait
/// for company.
template <class Net>
NETSTACK_INLINE void tcp_ack_snd_check(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (!tp.ack_scheduled) return;
  bool const two_full = tp.rcv_nxt - tp.rcv_wup > tp.rcv_mss;
  bool const quick = tp.quick_acks != 0 && !tp.pingpong;
  if (tp.ack_now || two_full || quick || tp.ofo) return tcp_send_ack(net, sk);
  tcp_send_delayed_ack(net, sk);
}

}  // namespace netstack
