// SPDX-License-Identifier: BSL-1.0
// Decides: how an application's bytes become segments: copied once, into frames of the pool with room for the headers
// in front, and summed in the same pass unless the device will do it.
// tx: called by inet_sendmsg as sk_prot's sendmsg and sendpage → calls tcp_write_xmit
// Linux: net/ipv4/tcp.c (tcp_sendmsg_locked, tcp_push), net/core/stream.c (sk_stream_wait_memory) [S96] [S100] [S103]
#pragma once
#include "netstack/core/msghdr.hpp"
#include "netstack/tcp/tcp_push.hpp"
#include "netstack/tcp/tcp_timer.hpp"
#include "netstack/tcp/tcp_v4_xmit.hpp"

namespace netstack {

namespace detail {

[[nodiscard]] inline bool tcp_can_send(sock const& sk) {
  return (tcp_in_state(sk, tcp_state::established, tcp_state::close_wait) || tcp_passive_fastopen(sk)) &&
         !(sk.sk_shutdown & send_shutdown) && sk.sk_err == 0;
}
/// Why it cannot: the pending error, or broken_pipe.
inline std::errc tcp_send_error(sock& sk) {
  if (auto r = sock_error(sk); !r) return r.error();
  return std::errc::broken_pipe;
}
/// Sending before the connection is there waits for it. Errors: broken_pipe (there is none), the pending error,
/// sk_wait_event's.
template <class Net>
result<void> sk_stream_wait_connect(Net& net, sock& sk, u64 timeo) {
  auto const opening = [&] { return tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv) && sk.sk_err == 0; };
  if (opening())
    if (auto r = sk_wait_event(net, sk, timeo, 0, [&] { return !opening(); }); !r) return r;
  return tcp_can_send(sk) ? result<void>{} : failure{tcp_send_error(sk)};
}

/// MAY-16 SHLD-27: the last segment of the queue, if it was never sent and has room.
inline sk_buff* tcp_tail_with_room(sock& sk, u32 mss) {
  sk_buff* const tail = tcp_sk(sk).send_head ? sk.sk_write_queue.peek_tail() : nullptr;
  return tail && tail->len < mss && tail->tailroom() != 0 && TCP_SKB_CB(*tail).eor == 0 ? tail : nullptr;
}
/// The device will finish the checksums of segments.
inline bool tcp_device_sums(sock const& sk) {
  dst_entry const* const dst = sk.sk_dst_cache;
  return dst && dst->dev && (dst->dev->features & netif_f::hw_csum);
}
/// Full segments at its end with the next of what is written, as many as memory and buffer take at once. False: not
/// two.
template <class Net>
bool tcp_fill_burst(Net& net, sock& sk, iov_iter& from, u32 mss) {
  auto& tp = tcp_sk(sk);
  auto& pool = net.worker().pool;
  u32 const cost = pool.frame_truesize(), room = sk.sk_sndbuf - std::min(sk.sk_sndbuf, tp.sk_wmem_queued);
  auto const n = static_cast<u32>(
      std::min<std::size_t>({from.count() / mss, (u64{room} + cost - 1) / cost, pool.available(), tcp_burst_max}));
  if (n < 2 || tcp_notsent_lowat(net, tp) != ~u32{0} || !sk_mem_ahead(sk, u64{n} * cost)) return false;
  bool const summed = !tcp_device_sums(sk);
  u32 seq = tp.write_seq;
  skb_list burst;
  sk_buff* before = nullptr;
  u32 const got = pool.alloc_bulk(n, burst, [&](sk_buff& skb, u8*) {
    skb.prev = std::exchange(before, &skb);
    skb.data = skb.head + max_tcp_header;
    skb.tail = skb.data + mss;
    skb.len = mss;
    if (summed)
      skb.csum = from.csum_and_copy_from(skb.data, mss, 0);
    else
      from.copy_from(skb.data, mss), skb.ip_summed = ip_summed::partial;
    auto& cb = TCP_SKB_CB(skb);
    cb.seq = seq;
    cb.end_seq = seq += mss;
    cb.tcp_flags = tcp_flag::ack;
    cb.sacked = cb.eor = 0;
    skb_header_release(skb);
  });
  tp.write_seq = seq;
  tp.nonagle &= static_cast<u8>(~tcp_nagle::push);  // what was to leave at once is before them
  tp.sk_wmem_queued += got * cost;
  sk_mem_charge(sk, got * cost);
  sk_mem_settle(sk);
  if (!tp.send_head) tp.send_head = burst.first;
  sk.sk_write_queue.queue_linked(burst);
  return got != 0;
}
/// A new, empty one, charged, whose control block is yet to be written; null: the pool, or the proto's memory, is used
/// up.
template <class Net>
NETSTACK_INLINE sk_buff* tcp_charged_segment(Net& net, sock& sk) {
  sk_buff* const skb = net.worker().pool.__alloc_skb(max_tcp_header);
  if (!skb) return nullptr;
  if (!tcp_wmem_schedule(net, sk, skb->truesize)) [[unlikely]] {
    consume_skb(*skb);
    return nullptr;
  }
  tcp_wmem_charge(sk, *skb);
  return skb;
}
template <class Net>
NETSTACK_INLINE sk_buff* tcp_new_segment(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  sk_buff* const skb = tcp_charged_segment(net, sk);
  if (!skb) return nullptr;
  auto& cb = TCP_SKB_CB(*skb);
  cb.seq = cb.end_seq = tp.write_seq;
  cb.tcp_flags = tcp_flag::ack;
  cb.sacked = cb.eor = 0;
  tp.nonagle &= static_cast<u8>(~tcp_nagle::push);  // what was to leave at once is before it
  return skb;
}
/// Copies as much as the segment holds.
NETSTACK_INLINE void tcp_fill(sock& sk, sk_buff& skb, iov_iter& from, u32 mss) {
  u32 const n = static_cast<u32>(std::min<std::size_t>(from.count(), std::min(mss - skb.len, skb.tailroom())));
  u32 const offset = skb.len;
  u8* const to = skb.put(n);
  if (skb.ip_summed == ip_summed::partial)
    from.copy_from(to, n);
  else
    skb.csum = from.csum_and_copy_from(to, n, skb.csum, offset);
  tcp_sk(sk).write_seq += n;
  TCP_SKB_CB(skb).end_seq += n;
}

/// net/ipv4/tcp_autocorking: while a driver is busy with earlier segments and more will be heard of them, one that is
/// not full leaves a little later, for what is written meanwhile to go with it. Since no driver tells a connection when
/// it is done, that is a fixed time.
template <class Net>
bool tcp_should_autocork(Net& net, sock const& sk, sk_buff const& tail, u32 mss) {
  return tail.len < mss && tcp_sk(sk).packets_out != 0 && sk_wmem_alloc_get(sk) > tail.truesize &&
         tcp_pernet(net).sysctl_tcp_autocorking != 0;
}
inline constexpr u64 tcp_autocork_ns = 100'000;

/// What was queued may leave. MUST-60 MUST-61: the end of what the application wrote is marked.
template <class Net>
NETSTACK_INLINE void tcp_push(Net& net, sock& sk, u32 flags, u32 mss) {
  auto& tp = tcp_sk(sk);
  if (!tp.send_head) return;
  if (flags & msg::oob) tcp_rare_of(net, tp).snd_up = tp.write_seq, tp.urg_mode = true;
  bool more = (flags & msg::more) != 0;
  tp.nonagle &= static_cast<u8>(~tcp_nagle::more);
  sk_buff& tail = *sk.sk_write_queue.peek_tail();
  if (!more) TCP_SKB_CB(tail).tcp_flags |= tcp_flag::psh;
  if (!more && !tp.urg_mode && tcp_should_autocork(net, sk, tail, mss)) [[unlikely]] {
    ++NET_STATS(net).TCPAutoCorking;
    if (!icsk_waits_for(sk, icsk_wait::pacing))
      icsk_start_timer(net, sk, icsk_wait::pacing, net.worker().now + tcp_autocork_ns);
    more = true;
  }
  __tcp_push_pending_frames(net, sk, mss, more ? tcp_nagle::cork : tp.nonagle);
}
/// … at the end of a call, whose rest may be kept waiting for the next one (tcp_awaits_more).
template <class Net>
void tcp_push_written(Net& net, sock& sk, u32 flags, u32 mss) {
  auto& tp = tcp_sk(sk);
  tcp_push(net, sk, flags, mss);
  if ((flags & msg::more) && tp.send_head) [[unlikely]]
    tp.nonagle |= tcp_nagle::more, tcp_rare_of(net, tp).more_una = tp.snd_una;
}

/// Room in the send buffer, or a frame: one that a segment of ours gives back, or if none is out, anybody's. Errors:
/// sk_wait_event's, tcp_send_error's.
template <class Net>
result<void> sk_stream_wait_memory(Net& net, sock& sk, u64 timeo) {
  auto& tp = tcp_sk(sk);
  u32 const had = tp.sk_wmem_queued;
  tcp_await_space(net, sk);
  tcp_chrono_update(net, sk, tp.chrono == tcp_chrono::rwnd_limited);
  u32 const notsent = tp.write_seq - tp.snd_nxt;
  auto const ready = [&] {
    bool const less =
        had != 0 ? tp.sk_wmem_queued < had || tp.write_seq - tp.snd_nxt < notsent : net.worker().pool.available() != 0;
    return !tcp_can_send(sk) || (tcp_may_queue(net, sk) && less);
  };
  if (auto r = sk_wait_event(net, sk, timeo, 0, ready); !r) return r;
  return tcp_can_send(sk) ? result<void>{} : failure{tcp_send_error(sk)};
}

/// A question was asked: its answer will bear our acknowledgments.
template <class Net>
void tcp_note_dialogue(Net& net, tcp_sock& tp) {
  if (!tp.pingpong && tp.lrcvtime != 0 && net.worker().now - tp.lrcvtime < tcp_delack_min) tp.pingpong = true;
}
/// A segment of the `n` bytes, as many as fit behind the headers and not more; null as above. `unsummed`: its device
/// will finish the checksum.
template <class Net>
NETSTACK_INLINE sk_buff* tcp_new_filled(Net& net, sock& sk, void const* from, u32 n, bool unsummed) {
  sk_buff* const skb = tcp_new_segment(net, sk);
  if (!skb) [[unlikely]]
    return nullptr;
  auto& tp = tcp_sk(sk);
  u8* const to = skb->data;
  skb->tail = to + n;
  skb->len = n;
  if (unsummed)
    skb->ip_summed = ip_summed::partial, std::memcpy(to, from, n);
  else
    skb->csum = csum_partial_copy(to, static_cast<u8 const*>(from), n, 0);
  TCP_SKB_CB(*skb).end_seq = tp.write_seq += n;
  tcp_note_dialogue(net, tp);
  return skb;
}
/// What forbids a segment to leave at once, or makes it another kind of segment.
inline constexpr tcp_marks tcp_amiss{.nonagle = tcp_nagle::cork,
                                     .ca_state = tcp_any_ca_state,
                                     .ecn_flags = tcp_ecn::has_news,
                                     .num_sacks = 0xff,
                                     .tstamp_ok = true,
                                     .ack_nomem = true,
                                     .nospace = true,
                                     .urg_mode = true,
                                     .tx_stamps = true,
                                     .mtu_probing = true,
                                     .uto_due = true,
                                     .dsack = true};
/// The driver has no place for it just now.
template <class Net>
NETSTACK_NOINLINE void tcp_few_by_packet(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  u32 const mss = tp.mss_cache;
  if (tcp_push_one(net, sk, skb, mss, true)) [[likely]]
    return;
  tcp_rate_check_app_limited(tp);
  tcp_queue_charged(sk, skb);
  tcp_push(net, sk, 0, mss);
}
/// A call that a short frame satisfies, while nothing is in flight and nothing about the connection is unusual: most of
/// a dialogue's. All that forbids it is asked once, for tcp_send_one asks for each of its ways, and over IPv4 it leaves
/// as part of this. How many bytes were taken; 0: it is another one. `Stamped`: it bears a time stamp.
template <bool Stamped, class Net>
NETSTACK_INLINE std::size_t tcp_send_few(Net& net, sock& sk, msghdr const& m) {
  if (!short_frames_possible<Net> || m.msg_iov.size() != 1) [[unlikely]]
    return 0;
  auto& tp = tcp_sk(sk);
  iovec const part = m.msg_iov.front();
  auto const n = static_cast<u32>(part.iov_len);
  dst_entry* const dst = sk.sk_dst_cache;
  if (part.iov_len - 1 >= tcp_short_max || (m.msg_flags & ~(msg::dontwait | msg::nosignal)) != 0 ||
      sk.sk_state != tcp_state::established || sk.sk_family != tcp_inline_family || (sk.sk_shutdown & send_shutdown) ||
      sk.sk_err != 0 || !dst || !tp.match(tcp_amiss, {.tstamp_ok = Stamped}) || !tcp_path_is_known(net, tp, *dst) ||
      n > tp.mss_cache || !sk.sk_write_queue.empty() || sk.sk_pacing_needed ||
      after(tp.write_seq + n, tcp_wnd_end(tp)) || !tcp_may_queue(net, sk) || tcp_was_idle(net, tp)) [[unlikely]]
    return 0;
  auto& rt = tcp_inline_route(*dst);
  net_device const& dev = *rt.dev;
  if ((dev.features & netif_f::hw_csum) || !dev_takes_short<Net>(dev)) [[unlikely]]
    return 0;
  sk_buff* const skb = tcp_charged_segment(net, sk);
  if (!skb) [[unlikely]]
    return 0;
  u8* const to = skb->data;
  skb->tail = to + n;
  skb->len = n;
  skb->csum = csum_partial_copy(to, static_cast<u8 const*>(part.iov_base), n, 0);
  auto& cb = TCP_SKB_CB(*skb);
  constexpr u8 flags = tcp_flag::ack | tcp_flag::psh;
  u32 const seq = tp.write_seq;
  cb.seq = seq;
  cb.end_seq = tp.write_seq = seq + n;
  cb.tcp_flags = flags;
  cb.sacked = cb.eor = 0;
  tp.nonagle &= static_cast<u8>(~tcp_nagle::push);
  tcp_note_dialogue(net, tp);
  if (!tcp_inline_short<Stamped>(net, sk, rt, seq, flags, skb)) [[unlikely]]
    return tcp_few_by_packet(net, sk, *skb), n;
  tcp_note_leaves_alone(net, sk, *skb);
  tcp_note_sent_alone(net, sk, *skb, tp.mss_cache);
  return n;
}
/// The same for what takes a packet: any that leaves alone, and a full segment behind others that all left. It leaves
/// as part of this, if nothing stands between it and the driver. How many bytes were taken; 0: it is another call.
template <bool Stamped, class Net>
NETSTACK_INLINE std::size_t tcp_send_at_once(Net& net, sock& sk, msghdr const& m) {
  if (!tcp_inline_possible<Net> || m.msg_iov.size() != 1) [[unlikely]]
    return 0;
  auto& tp = tcp_sk(sk);
  iovec const part = m.msg_iov.front();
  auto const n = static_cast<u32>(part.iov_len);
  u32 const mss = tp.mss_cache;
  bool const alone = sk.sk_write_queue.empty();
  if (!alone && n != mss) return 0;
  dst_entry* const dst = sk.sk_dst_cache;
  if (part.iov_len - 1 >= mss || (m.msg_flags & ~(msg::dontwait | msg::nosignal)) != 0 ||
      sk.sk_state != tcp_state::established || sk.sk_family != tcp_inline_family || (sk.sk_shutdown & send_shutdown) ||
      sk.sk_err != 0 || !dst || !tp.match(tcp_amiss, {.tstamp_ok = Stamped}) || !tcp_path_is_known(net, tp, *dst) ||
      tp.send_head || sk.sk_pacing_needed || after(tp.write_seq + n, tcp_wnd_end(tp)) || !tcp_may_queue(net, sk))
      [[unlikely]]
    return 0;
  if (alone ? tcp_was_idle(net, tp) : tcp_packets_in_flight(tp) >= tp.snd_cwnd || tp.icsk_pending == icsk_time::probe0)
      [[unlikely]]
    return 0;
  auto& rt = tcp_inline_route(*dst);
  neighbour* const hop = tcp_inline_hop<Stamped>(net, sk, rt, n);
  if (!hop) [[unlikely]]
    return 0;
  if (!alone) tcp_rate_check_app_limited(tp);
  sk_buff* const skb = tcp_new_filled(net, sk, part.iov_base, n, (rt.dev->features & netif_f::hw_csum) != 0);
  if (!skb) [[unlikely]]
    return 0;
  TCP_SKB_CB(*skb).tcp_flags = tcp_flag::ack | tcp_flag::psh;
  if (alone)
    tcp_note_leaves_alone(net, sk, *skb);
  else
    tcp_note_leaves(net, sk, *skb);
  auto const r = tcp_inline_fresh<Stamped>(net, sk, rt, *hop, *skb);
  if (!r && r.error() == std::errc::no_buffer_space) [[unlikely]] {
    tcp_queue_charged(sk, *skb);
    tcp_push(net, sk, 0, mss);
    return n;
  }
  if (alone)
    tcp_note_sent_alone(net, sk, *skb, mss);
  else
    tcp_note_sent_next(net, sk, *skb);
  return n;
}
/// A call whose bytes fit into one segment, before which none waits. How many were taken; 0: it is another one.
template <class Net>
NETSTACK_INLINE std::size_t tcp_send_one(Net& net, sock& sk, msghdr const& m) {
  if (m.msg_iov.size() != 1 || (m.msg_flags & ~(msg::dontwait | msg::nosignal)) != 0 || tcp_sk(sk).tx_stamps ||
      sk.sk_state != tcp_state::established || (sk.sk_shutdown & send_shutdown) || sk.sk_err != 0) [[unlikely]]
    return 0;
  iovec const part = m.msg_iov.front();
  u32 const mss = tcp_current_mss(net, sk);
  if (part.iov_len - 1 >= mss || !tcp_may_queue(net, sk)) [[unlikely]]
    return 0;
  auto const n = static_cast<u32>(part.iov_len);
  bool const alone = tcp_may_push_one(net, sk, n), at_once = alone || tcp_may_push_next(sk, n, mss);
  if (!alone) {
    if (tcp_sk(sk).send_head) [[unlikely]]
      return 0;
    tcp_rate_check_app_limited(tcp_sk(sk));
  }
  sk_buff* const skb = tcp_new_filled(net, sk, part.iov_base, n, tcp_device_sums(sk));
  if (!skb) [[unlikely]]
    return 0;
  if (at_once && tcp_push_one(net, sk, *skb, mss, alone)) return n;
  tcp_queue_charged(sk, *skb);
  tcp_push(net, sk, 0, mss);
  return n;
}

}  // namespace detail

/// tcp_fastopen.hpp.
template <class Net>
result<void> tcp_sendmsg_fastopen(Net& net, sock& sk, msghdr const& m, iov_iter& from);

namespace detail {
/// Any call.
template <class Net>
NETSTACK_NOINLINE result<std::size_t> tcp_sendmsg_slow(Net& net, sock& sk, msghdr& m) {
  u64 const timeo = sock_sndtimeo(sk, m.msg_flags);
  auto& tp = tcp_sk(sk);
  iov_iter from{m.msg_iov};
  std::size_t const len = from.count();
  result<void> r{};
  if ((m.msg_flags & msg::fastopen) || tp.defer_connect) [[unlikely]] {
    r = tcp_sendmsg_fastopen(net, sk, m, from);
    if (!r && (r.error() != std::errc::operation_in_progress || from.count() == len)) return failure{r.error()};
    if (!r) return len - from.count();
  }
  if (!tcp_can_send(sk)) [[unlikely]]
    if (r = sk_stream_wait_connect(net, sk, timeo); !r) {
      if (from.count() != len) return len - from.count();
      return failure{r.error()};
    }
  u32 mss = tcp_current_mss(net, sk);
  tcp_rate_check_app_limited(tp);
  while (from.count() != 0) {
    sk_buff* skb = tcp_tail_with_room(sk, mss);
    if (!skb && from.count() >= 2 * std::size_t{mss} && tcp_fill_burst(net, sk, from, mss)) continue;
    if (!skb && tcp_may_queue(net, sk) && (skb = tcp_new_segment(net, sk))) {
      if (tcp_device_sums(sk)) skb->ip_summed = ip_summed::partial;
      tcp_queue_charged(sk, *skb);
    }
    if (skb) {
      tcp_fill(sk, *skb, from, mss);
      continue;
    }
    bool const full = !tcp_may_queue(net, sk);
    tcp_push(net, sk, (m.msg_flags | msg::more) & ~msg::oob, mss);
    if (full) {
      if (!tcp_stream_memory_free(sk)) tcp_sndbuf_expand(net, sk);
      if (tcp_may_queue(net, sk)) continue;
    }
    if (r = sk_stream_wait_memory(net, sk, timeo); !r) break;
    mss = tcp_current_mss(net, sk);
  }
  std::size_t const queued = len - from.count();
  if (queued == 0) return r ? result<std::size_t>{0u} : failure{r.error()};
  if ((m.msg_flags & msg::eor) && from.count() == 0 && tp.send_head) TCP_SKB_CB(*sk.sk_write_queue.peek_tail()).eor = 1;
  tcp_note_dialogue(net, tp);
  if (tp.tx_stamps) [[unlikely]]
    tcp_tx_timestamp(sk);
  tcp_push_written(net, sk, m.msg_flags, mss);
  return queued;
}
/// For who has no time stamps.
template <class Net>
NETSTACK_NOINLINE std::size_t tcp_send_bare(Net& net, sock& sk, msghdr const& m) {
  if (m.msg_iov.size() == 1 && m.msg_iov.front().iov_len <= tcp_short_max)
    if (std::size_t const n = tcp_send_few<false>(net, sk, m); n != 0) return n;
  return tcp_send_at_once<false>(net, sk, m);
}
template <class Net>
NETSTACK_NOINLINE result<std::size_t> tcp_sendmsg_other(Net& net, sock& sk, msghdr& m) {
  if (!tcp_sk(sk).tstamp_ok)
    if (std::size_t const n = tcp_send_bare(net, sk, m); n != 0) return n;
  if (std::size_t const n = tcp_send_one(net, sk, m); n != 0) [[likely]]
    return n;
  return tcp_sendmsg_slow(net, sk, m);
}
/// Each by itself, since they have little in common, and which it is is asked before any register is saved.
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT result<std::size_t> tcp_sendmsg_at_once(Net& net, sock& sk, msghdr& m) {
  if (std::size_t const n = tcp_send_at_once<true>(net, sk, m); n != 0) [[likely]]
    return n;
  return tcp_sendmsg_other(net, sk, m);
}
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT result<std::size_t> tcp_sendmsg_few(Net& net, sock& sk, msghdr& m) {
  if (std::size_t const n = tcp_send_few<true>(net, sk, m); n != 0) [[likely]]
    return n;
  return tcp_sendmsg_at_once(net, sk, m);
}
}  // namespace detail

/// proto::sendmsg. Answers the bytes that were queued, which may be fewer. Errors, if it was none: broken_pipe (not
/// connected, or shut down), resource_unavailable_try_again, the pending error.
template <class Net>
NETSTACK_HOT result<std::size_t> tcp_sendmsg(Net& net, sock& sk, msghdr& m) {
  bool const few = m.msg_iov.size() == 1 && m.msg_iov.front().iov_len <= detail::tcp_short_max;
  return few ? detail::tcp_sendmsg_few(net, sk, m) : detail::tcp_sendmsg_at_once(net, sk, m);
}

/// proto::sendpage: the bytes of a page, copied.
template <class Net>
result<std::size_t> tcp_sendpage(Net& net, sock& sk, sk_buff& page, u32 offset, std::size_t size, u32 flags) {
  if (offset > page.headlen() || size > page.headlen() - offset) return failure{std::errc::invalid_argument};
  iovec const part{page.data + offset, size};
  msghdr m{.msg_iov = {&part, 1}, .msg_flags = flags};
  return tcp_sendmsg(net, sk, m);
}

}  // namespace netstack
