// SPDX-License-Identifier: BSL-1.0
// Decides: how one segment leaves: its options, the window it tells, and whose bytes it is made of. A segment of the
// write queue stays there until it is acknowledged, and what leaves is a clone of it whose headers lie in the common
// headroom. While a driver still has that clone, its frame is immutable: a repetition then gets its headers in a frame
// of its own and refers to the payload.
// tx: called by tcp_output, tcp_timer → calls tcp_af_ops.queue_xmit
// Linux: net/ipv4/tcp_output.c (__tcp_transmit_skb, tcp_established_options, tcp_syn_options, __tcp_select_window)
// RFC 9293 §3.8.6.2.2 (silly windows, receiver), RFC 7323 §2.2, §2.4, §3.2, RFC 2018 §4, RFC 2883 §4
#pragma once
#include <algorithm>
#include <bit>

#include "netstack/skb/skb_frags.hpp"
#include "netstack/tcp/tcp_cong.hpp"
#include "netstack/tcp/tcp_ecn.hpp"
#include "netstack/tcp/tcp_header.hpp"
#include "netstack/tcp/tcp_pacing.hpp"
#include "netstack/tcp/tcp_rate.hpp"
#include "netstack/tcp/tcp_stamps.hpp"
#include "netstack/tcp/tcp_user_timeout.hpp"

namespace netstack {

// --- the window we tell

/// tcp_flow::scaling_ratio where segments bear `mss` bytes.
template <class Net>
[[nodiscard]] u8 tcp_scaling_ratio_of(Net& net, u32 mss) {
  return static_cast<u8>(std::clamp(mss * 256 / net.worker().pool.frame_truesize(), 1u, 255u));
}
/// … but no more than that: then it is known without a division, as nearly always.
template <class Net>
[[nodiscard]] NETSTACK_INLINE u8 tcp_scaling_ratio_of(Net& net, u32 mss, u8 most) {
  if (mss * 256 >= most * net.worker().pool.frame_truesize()) [[likely]]
    return most;
  return tcp_scaling_ratio_of(net, mss);
}
/// Of a receive buffer, what may be told to the peer: the rest is what frames cost beyond their payload.
[[nodiscard]] inline u32 tcp_win_from_space(sock const& sk, u32 space) {
  return static_cast<u32>(u64{space} * tcp_sk(sk).scaling_ratio >> 8);
}
/// … and the buffer that a window needs.
[[nodiscard]] inline u32 tcp_space_from_win(sock const& sk, u64 window) {
  return static_cast<u32>(std::min<u64>((window << 8) / tcp_sk(sk).scaling_ratio, 0x7fff'ffff));
}
[[nodiscard]] inline u32 tcp_full_space(sock const& sk) { return tcp_win_from_space(sk, sk.sk_rcvbuf); }
[[nodiscard]] inline u32 tcp_space(sock const& sk) {
  u32 const used = sk.sk_rmem_alloc + sk.sk_backlog_len;
  return used >= sk.sk_rcvbuf ? 0 : tcp_win_from_space(sk, sk.sk_rcvbuf - used);
}

/// RFC 7323 §2.2: the shift that lets a window of `space` bytes be told.
[[nodiscard]] constexpr u8 tcp_select_wscale(u32 space) {
  return static_cast<u8>(std::clamp<int>(static_cast<int>(std::bit_width(space)) - 16, 0, tcpopt::max_wscale));
}

/// … of a buffer set by hand that one, of others what they may grow to; TCP_WINDOW_CLAMP bounds both.
template <class Net>
[[nodiscard]] u8 tcp_rcv_wscale_of(Net& net, sock const& sk) {
  u32 const grown = std::max(static_cast<u32>(tcp_pernet(net).sysctl_tcp_rmem[2]), sk.sk_rcvbuf);
  u32 const most = sock_flag(sk, sock_flags::rcvbuf_lock) ? sk.sk_rcvbuf : grown;
  return tcp_select_wscale(std::min(tcp_win_from_space(sk, most), tcp_sk(sk).window_clamp));
}

namespace detail {
/// __tcp_select_window where its step is less than the unit of the shift, so that what is rounded off counts: the edge
/// does not move to the left by it, and room for a step is told as one unit: none, and the peer would wait for ever.
[[nodiscard]] NETSTACK_COLD inline u32 tcp_coarse_window(u32 free, u32 told, u32 step, u32 grain) {
  u32 const window = (free >= told + grain ? free : told + grain) & ~grain;
  return window == 0 && free != 0 && free >= step ? grain + 1 : window;
}
}  // namespace detail

/// The window that would be told now. MUST-39: the right edge moves by a full segment or half of the
/// buffer, or not at all; and SHLD-14: never to the left; MAY-8. `no_room`: there is less than that.
[[nodiscard]] NETSTACK_INLINE u32 __tcp_select_window(sock const& sk, bool& no_room) {
  auto const& tp = tcp_sk(sk);
  u32 const full = std::min(tp.window_clamp, tcp_full_space(sk));
  u32 const used = sk.sk_rmem_alloc + sk.sk_backlog_len;
  u32 free = used == 0 ? full : std::min(tcp_space(sk), full);
  u32 const told = tcp_receive_window(tp);
  if (tcp_under_memory_pressure(sk)) [[unlikely]]
    free = std::min<u32>(free, 4u * tp.advmss);  // enough to go on, not enough to pile up
  u32 const step = std::min<u32>(full / 2, tp.rcv_mss);
  u32 const grain = (u32{1} << tp.rcv_wscale) - 1;
  no_room = free < step;
  if (step <= grain) [[unlikely]]
    return detail::tcp_coarse_window(free, told, step, grain);
  return free >= told + step ? free & ~grain : (told + grain) & ~grain;
}

[[nodiscard]] NETSTACK_INLINE u32 __tcp_select_window(sock const& sk) {
  bool no_room = false;
  return __tcp_select_window(sk, no_room);
}

namespace detail {
/// A window is told, or was, that is closed.
template <class Net>
NETSTACK_COLD void tcp_count_zero_window(Net& net, u32 was, u32 is) {
  if (is != was) ++(is == 0 ? NET_STATS(net).TCPToZeroWindowAdv : NET_STATS(net).TCPFromZeroWindowAdv);
}
}  // namespace detail
/// … and is, with the segment at hand: the value of its window field.
template <class Net>
[[nodiscard]] NETSTACK_INLINE u16 tcp_select_window(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  bool no_room = false;
  u32 const window = std::min(__tcp_select_window(sk, no_room), u32{0xffff} << tp.rcv_wscale);
  u32 const was = std::exchange(tp.rcv_wnd, window);
  tp.rcv_wup = tp.rcv_nxt;
  if (no_room && window != 0) [[unlikely]]
    ++NET_STATS(net).TCPWantZeroWindowAdv;
  if (window == 0 || was == 0) [[unlikely]]
    detail::tcp_count_zero_window(net, was, window);
  return static_cast<u16>(window >> tp.rcv_wscale);
}

/// … closed, though that moves its right edge to the left: what is sent into it now would only be lost for want of
/// memory, and a probe costs less. Linux: tcp_select_window with ICSK_ACK_NOMEM.
template <class Net>
[[nodiscard]] NETSTACK_COLD u16 tcp_close_window(Net& net, tcp_sock& tp) {
  if (std::exchange(tp.rcv_wnd, 0u) != 0) ++NET_STATS(net).TCPToZeroWindowAdv;
  tp.rcv_wup = tp.rcv_nxt;
  return 0;
}

// --- options

/// RFC 2018 §4, RFC 2883 §4: what came twice first, then what is there beyond rcv_nxt, the latest first.
inline void tcp_sack_options(tcp_sock const& tp, tcp_out_options& opts) {
  u32 const room = (u32{tcpopt::max_len} - opts.size() - tcpopt::sack_base_aligned) / tcpopt::sack_perblock;
  if (tp.dsack) opts.sacks[opts.num_sacks++] = tp.repair->duplicate_sack;
  for (u8 i = 0; i < tp.num_sacks && opts.num_sacks < std::min<u32>(room, tcpopt::max_sacks); ++i)
    opts.sacks[opts.num_sacks++] = tp.ofo->selective_acks[i];
}
template <class Net>
[[nodiscard]] tcp_out_options tcp_established_options(Net& net, tcp_sock const& tp) {
  tcp_out_options opts;
  if (tp.tstamp_ok) {
    opts.tstamp = true;
    opts.tsval = tcp_time_stamp(net) + tp.tsoffset;
    opts.tsecr = tp.ts_recent;
  }
  if (tp.sack_ok && (tp.num_sacks != 0 || tp.dsack)) tcp_sack_options(tp, opts);
  return opts;
}
/// MUST-65: of a SYN: what we offer; of the SYN that answers one (simultaneous open): what both want.
template <class Net>
[[nodiscard]] NETSTACK_INLINE tcp_out_options tcp_syn_options(Net& net, tcp_sock const& tp) {
  tcp_out_options opts{.mss = tp.advmss};
  opts.sack_ok = tp.sack_ok;
  if (tp.tstamp_ok) {
    opts.tstamp = true;
    opts.tsval = tcp_time_stamp(net) + tp.tsoffset;
    opts.tsecr = tp.ts_recent;
  }
  if (tp.wscale_ok) opts.wscale_ok = true, opts.wscale = tp.rcv_wscale;
  if (tp.rare->fastopen_req && tp.rare->fastopen_req->cookie.len >= 0) {
    opts.fastopen = true;
    opts.fastopen_len = static_cast<u8>(tp.rare->fastopen_req->cookie.len);
    opts.cookie = tp.rare->fastopen_req->cookie.val;
  }
  if (tcp_user_timeout_tells(net, tp) && opts.size() + tcpopt::user_timeout_len <= tcpopt::max_len)
    opts.user_timeout = tcp_user_timeout_encode(tp.rare->user_timeout);
  return opts;
}

// --- a segment of a connection

namespace detail {

/// The packet that leaves for a segment of the write queue; null: the pool is empty.
template <class Net>
NETSTACK_NOINLINE sk_buff* tcp_skb_to_send_slow(Net& net, sk_buff& skb) {
  if (skb_shinfo(skb).dataref == 1) {
    sk_buff* const clone = skb_clone(skb);
    if (clone) clone->ip_summed = skb.ip_summed, clone->csum = skb.csum;
    return clone;
  }
  // Its last clone is still with a driver, or waits for a neighbour: nothing of that frame may change.
  auto& pool = net.worker().pool;
  sk_buff* const copy = pool.alloc_skb(max_tcp_header);
  if (!copy) return nullptr;
  if (skb.len != 0) {
    pool.get_frame(skb.frame);
    skb_add_rx_frag(*copy, 0, skb.frame, skb.headroom(), skb.len, 0);
  }
  copy->ip_summed = skb.ip_summed, copy->csum = skb.csum;
  return copy;
}
template <class Net>
NETSTACK_INLINE sk_buff* tcp_skb_to_send(Net& net, sk_buff& skb) {
  skb_header_release(skb);  // unless tcp_fresh_to_send copied it, it was
  if (skb_shinfo(skb).dataref == 1 && !skb.is_nonlinear()) [[likely]]
    if (sk_buff* const clone = skb.pool->clone_payload(skb)) return clone;
  return tcp_skb_to_send_slow(net, skb);
}

/// By words of which none has to be put on the stack, which would have to be aligned for it.
NETSTACK_INLINE void tcp_copy_quarter(u8* to, u8 const* from) {
  typedef u64 quarter __attribute__((vector_size(tcp_copybreak / 4)));
  quarter part;
  std::memcpy(&part, from, sizeof part);
  std::memcpy(to, &part, sizeof part);
}
/// tcp_copybreak bytes, whatever of them counts: the frames have room for all of them, and so it takes no call.
NETSTACK_INLINE void tcp_copy_few(u8* to, u8 const* from) {
  for (u32 at = 0; at < tcp_copybreak; at += tcp_copybreak / 4) tcp_copy_quarter(to + at, from + at);
}

/// At most tcp_short_max of them, to where there is room for no more than that.
NETSTACK_INLINE void tcp_copy_short(u8* to, u8 const* from, u32 len) {
  constexpr u32 size = tcp_copybreak / 4;
  tcp_copy_quarter(to, from);
  if (len <= size) [[likely]]
    return;
  if (len > 2 * size) {
    tcp_copy_quarter(to + size, from + size);
    tcp_copy_quarter(to + len - 2 * size, from + len - 2 * size);
  }
  tcp_copy_quarter(to + len - size, from + len - size);
}

/// The same for a fresh segment. To copy a few bytes costs less than to keep account of two packets over one frame.
template <class Net>
NETSTACK_INLINE sk_buff* tcp_fresh_to_send(Net& net, sk_buff& skb) {
  auto& pool = net.worker().pool;
  if (skb.len > tcp_copybreak || pool.available() == 0) {
    skb_header_release(skb);
    return pool.clone_payload(skb);
  }
  sk_buff* const out = pool.__alloc_skb(max_tcp_header);
  tcp_copy_few(out->data, skb.data);
  out->tail = out->data + skb.len;
  out->len = skb.len;
  out->ip_summed = skb.ip_summed, out->csum = skb.csum;
  return out;
}

/// An acknowledgment left: nothing is owed any more.
template <class Net>
void tcp_event_ack_sent(Net&, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tp.quick_acks != 0) --tp.quick_acks;
  tp.ack_scheduled = tp.ack_now = tp.ack_nomem = tp.dsack = false;
  icsk_stop_timer(sk, icsk_wait::delack);
}

/// RFC 9293 §3.8.5: the pointer counts from the segment's own number, and goes as far as it can.
inline void tcp_write_urg(tcp_sock const& tp, tcp_header_fields& f) {
  if (!tp.urg_mode || !before(f.seq, tp.rare->snd_up)) return;
  u32 const ahead = tp.rare->snd_up - f.seq;
  if (ahead > 0xffff && !after(f.seq + 0xffff, tp.snd_nxt)) return;
  f.urg_ptr = static_cast<u16>(std::min(ahead, 0xffffu));
  f.flags |= tcp_flag::urg;
}
/// The segment has its header.
template <class Net>
NETSTACK_INLINE result<void> tcp_queue_xmit(Net& net, sock& sk, sk_buff& out, skb_list* together) {
  out.sk = &sk;  // as skb_set_owner_w; nobody's until now
  out.destructor = sock_wfree;
  sk.sk_wmem_alloc += out.truesize;
  ++TCP_STATS(net).OutSegs;
  ++tcp_sk(sk).segs_out;
  if (together) {
    together->push_back(out);
    return {};
  }
  return tcp_af_ops<Net>(sk).queue_xmit(net, sk, out);
}
/// Of a connection most segments have nothing to say but their numbers, and a time stamp if they bear one.
[[nodiscard]] NETSTACK_INLINE bool tcp_is_common(tcp_sock const& tp, u8 flags) {
  constexpr tcp_marks told{.ecn_flags = tcp_ecn::has_news,
                           .num_sacks = 0xff,
                           .ack_nomem = true,
                           .urg_mode = true,
                           .tx_stamps = true,
                           .uto_due = true,
                           .dsack = true};
  return (flags & (tcp_flag::syn | tcp_flag::ack)) == tcp_flag::ack && tp.match(told, {});
}
/// Sends such a one.
template <class Net>
NETSTACK_INLINE result<void> tcp_transmit_common(Net& net, sock& sk, sk_buff& out, tcp_skb_cb const& cb,
                                                 skb_list* together) {
  auto& tp = tcp_sk(sk);
  u16 const window = tcp_select_window(net, sk);  // by itself: both together are too much for the registers
  tcp_header_fields const f{.source = tp.inet_sport,
                            .dest = sk.sk_dport,
                            .seq = cb.seq,
                            .ack_seq = tp.rcv_nxt,
                            .flags = cb.tcp_flags,
                            .window = window};
  tcp_ecn_send_quiet(tp, out.len != 0 && !before(cb.seq, tp.snd_nxt));
  if (tp.tstamp_ok) [[likely]]
    tcp_push_stamped_header(out, f, tcp_time_stamp(net) + tp.tsoffset, tp.ts_recent, tp.csum_flow);
  else
    tcp_push_bare_header(out, f, tp.csum_flow);
  tcp_event_ack_sent(net, sk);
  return tcp_queue_xmit(net, sk, out, together);
}
/// The payload of a frame that the driver may have a place for.
inline constexpr u32 tcp_short_max = short_frame_max - static_cast<u32>(eth_hlen + ip_hlen_min) - tcp_stamped_hlen;

/// The header of a segment of the common kind, `len` bytes with it, for who writes it where it leaves. check(pseudo,
/// sum): as tcp_put_header's.
template <bool Stamped, class Net, class Check>
NETSTACK_INLINE void tcp_write_common(Net& net, sock& sk, u8* at, u32 seq, u8 flags, u32 len, Check&& check_of) {
  auto& tp = tcp_sk(sk);
  u16 const window = tcp_select_window(net, sk);
  u64 stamp = 0;
  if constexpr (Stamped) stamp = tcp_put_stamp(at + tcp_hlen_min, tcp_time_stamp(net) + tp.tsoffset, tp.ts_recent);
  tcp_put_header(at,
                 {.source = tp.inet_sport,
                  .dest = sk.sk_dport,
                  .seq = seq,
                  .ack_seq = tp.rcv_nxt,
                  .flags = flags,
                  .window = window},
                 tcp_common_hlen<Stamped>, len, Stamped ? tcpopt::tstamp_lead : 0, stamp, tp.csum_flow, check_of);
}
/// It is on its way.
template <class Net>
NETSTACK_INLINE void tcp_common_left(Net& net, sock& sk) {
  tcp_event_ack_sent(net, sk);
  ++TCP_STATS(net).OutSegs;
  ++tcp_sk(sk).segs_out;
}
/// … and all of it, if it is short.
template <bool Stamped, class Net>
NETSTACK_INLINE void tcp_write_short(Net& net, sock& sk, u8* at, u32 seq, u8 flags, u32 len, sk_buff const* data) {
  tcp_write_common<Stamped>(net, sk, at, seq, flags, len, [&](u64, u64 sum) NETSTACK_INLINE_LAMBDA {
    return csum_fold(csum_from64to32(data ? csum_add64(sum, data->csum) : sum)).raw();
  });
  if (data) tcp_copy_short(at + tcp_common_hlen<Stamped>, data->data, data->len);
  tcp_common_left(net, sk);
}
/// The driver may have a place for such a one.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_is_short(sock const& sk, u8 flags) {
  dst_entry const* const dst = sk.sk_dst_cache;
  return dst && dst->dev && dev_takes_short<Net>(*dst->dev) && tcp_is_common(tcp_sk(sk), flags);
}
/// Sends one without data there, as part of the caller. False: nothing was sent.
template <class Net>
NETSTACK_INLINE bool tcp_transmit_short(Net& net, sock& sk, u32 seq, u8 flags) {
  return tcp_is_short<Net>(sk, flags) && tcp_af_ops<Net>(sk).transmit_short(net, sk, seq, flags, nullptr);
}
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT bool tcp_transmit_few_now(Net& net, sock& sk, u32 seq, u8 flags, sk_buff& skb) {
  return tcp_af_ops<Net>(sk).transmit_short(net, sk, seq, flags, &skb);
}
/// … one of the write queue.
template <class Net>
NETSTACK_INLINE bool tcp_transmit_few(Net& net, sock& sk, sk_buff& skb) {
  auto const& cb = TCP_SKB_CB(skb);
  return tcp_is_short<Net>(sk, cb.tcp_flags) && tcp_transmit_few_now(net, sk, cb.seq, cb.tcp_flags, skb);
}
/// What the segment has no room for waits for one that has.
inline void tcp_user_timeout_option(tcp_sock& tp, u32 len, tcp_out_options& opts) {
  u32 const size = opts.size() + tcpopt::user_timeout_len,
            most = tp.mss_cache + (opts.tstamp ? tcpopt::tstamp_aligned : 0u);
  if (size > tcpopt::max_len || len + size > most) return;
  opts.user_timeout = tcp_user_timeout_encode(tp.rare->user_timeout);
  tp.uto_due = false;
}
}  // namespace detail

/// Sends `out`, data at the payload, as the segment that `cb` describes. Always takes it. `together`: with others, as
/// the list that it is appended to. Errors: queue_xmit's.
template <class Net>
NETSTACK_NOINLINE result<void> tcp_transmit(Net& net, sock& sk, sk_buff& out, tcp_skb_cb const& cb,
                                            skb_list* together = nullptr) {
  auto& tp = tcp_sk(sk);
  if (detail::tcp_is_common(tp, cb.tcp_flags)) return detail::tcp_transmit_common(net, sk, out, cb, together);
  bool const syn = (cb.tcp_flags & tcp_flag::syn) != 0;
  tcp_header_fields f{.source = tp.inet_sport, .dest = sk.sk_dport, .seq = cb.seq, .flags = cb.tcp_flags};
  if (cb.tcp_flags & tcp_flag::ack) f.ack_seq = tp.rcv_nxt;
  if (tp.ecn_flags != 0) f.flags |= tcp_ecn_send(tp, cb, out.len != 0);
  // RFC 7323 §2.2: the window of a segment with SYN is never scaled.
  f.window = syn            ? static_cast<u16>(std::min<u32>(tp.rcv_wnd, 0xffff))
             : tp.ack_nomem ? tcp_close_window(net, tp)
                            : tcp_select_window(net, sk);
  if (tp.urg_mode) detail::tcp_write_urg(tp, f);
  auto opts = syn ? tcp_syn_options(net, tp) : tcp_established_options(net, tp);
  if (tp.uto_due && !syn) detail::tcp_user_timeout_option(tp, out.len, opts);
  tcp_push_header(out, f, opts, tp.csum_flow);
  if (cb.tcp_flags & tcp_flag::ack) detail::tcp_event_ack_sent(net, sk);
  return detail::tcp_queue_xmit(net, sk, out, together);
}

namespace detail {
/// A segment of the write queue is on its way.
template <class Net>
NETSTACK_INLINE void tcp_note_leaves(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  auto& cb = TCP_SKB_CB(skb);
  cb.sent = net.worker().now;
  tcp_rate_skb_sent(net, tp, cb);
  tcp_pacing_sent(net, sk, skb.len);
  if (cb.end_seq != cb.seq) {
    if (tcp_packets_in_flight(tp) == 0) tcp_ca_tx_start(net, sk);
    tp.lsndtime = net.worker().now;
    tp.data_segs_out += skb.len != 0;
    tp.bytes_sent += skb.len;
  }
}
/// It may leave as a short frame: tcp_copy_short finds as much as it reads, even at the end of what was trimmed.
[[nodiscard]] NETSTACK_INLINE bool tcp_may_go_short(sk_buff const& skb) {
  return skb.len <= tcp_short_max && !skb.is_nonlinear() && skb.ip_summed != ip_summed::partial &&
         skb.end - skb.data >= static_cast<std::ptrdiff_t>(tcp_copybreak / 2);
}
/// … and did. False: it needs a packet.
template <class Net>
NETSTACK_INLINE bool tcp_leaves_short(Net& net, sock& sk, sk_buff& skb) {
  if (!tcp_may_go_short(skb) || !tcp_transmit_few(net, sk, skb)) return false;
  tcp_note_leaves(net, sk, skb);
  return true;
}
/// What leaves for it now; null: the pool is empty.
template <class Net>
NETSTACK_INLINE sk_buff* tcp_skb_leaves(Net& net, sock& sk, sk_buff& skb) {
  sk_buff* const out = tcp_skb_to_send(net, skb);
  if (out) tcp_note_leaves(net, sk, skb);
  return out;
}
}  // namespace detail

/// tcp_transmit_skb, as part of its caller. `together`: with others, as the list that it is appended to.
template <class Net>
NETSTACK_INLINE result<void> __tcp_transmit_skb(Net& net, sock& sk, sk_buff& skb, skb_list* together) {
  auto& cb = TCP_SKB_CB(skb);
  if (!together && detail::tcp_leaves_short(net, sk, skb)) return {};
  sk_buff* const out = detail::tcp_skb_leaves(net, sk, skb);
  if (!out) return failure{std::errc::no_buffer_space};
  if (detail::tcp_is_common(tcp_sk(sk), cb.tcp_flags)) [[likely]]
    return detail::tcp_transmit_common(net, sk, *out, cb, together);
  if (tcp_sk(sk).tx_stamps) tcp_stamps_leave(skb, *out);
  return tcp_transmit(net, sk, *out, cb, together);
}
/// Sends a segment of the write queue, which stays there. Errors: no_buffer_space, and tcp_transmit's.
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT result<void> tcp_transmit_skb(Net& net, sock& sk, sk_buff& skb) {
  if (detail::tcp_leaves_short(net, sk, skb)) return {};
  sk_buff* const out = detail::tcp_skb_leaves(net, sk, skb);
  if (!out) return failure{std::errc::no_buffer_space};
  if (tcp_sk(sk).tx_stamps) [[unlikely]]
    tcp_stamps_leave(skb, *out);
  return tcp_transmit(net, sk, *out, TCP_SKB_CB(skb));
}

/// An empty segment, with room for its headers; null: the pool is empty.
template <class Net>
[[nodiscard]] NETSTACK_NOINLINE sk_buff* tcp_alloc_skb(Net& net, skb_pool::site at = skb_pool::site::current()) {
  return net.worker().pool.__alloc_skb(max_tcp_header, at);
}

/// A segment without data, in no queue. Errors: no_buffer_space, tcp_transmit's.
template <class Net>
result<void> tcp_transmit_control(Net& net, sock& sk, u32 seq, u8 flags) {
  sk_buff* const skb = tcp_alloc_skb(net);
  if (!skb) return failure{std::errc::no_buffer_space};
  return tcp_transmit(net, sk, *skb, {.seq = seq, .end_seq = seq, .tcp_flags = flags});
}

/// RFC 9293 §3.10.7.4: a sequence number that the peer will take, even if it took back some of its window.
[[nodiscard]] inline u32 tcp_acceptable_seq(tcp_sock const& tp) {
  u32 const beyond = tp.snd_nxt - tcp_wnd_end(tp);  // a scaled window may be told as a little less than it was
  return before(tcp_wnd_end(tp), tp.snd_nxt) && beyond >= u32{1} << tp.rcv_wscale ? tcp_wnd_end(tp) : tp.snd_nxt;
}

template <class Net>
void tcp_send_ack(Net& net, sock& sk) {
  if (sk.sk_state == tcp_state::close) return;
  if (detail::tcp_transmit_short(net, sk, tcp_acceptable_seq(tcp_sk(sk)), tcp_flag::ack)) return;
  auto const r = tcp_transmit_control(net, sk, tcp_acceptable_seq(tcp_sk(sk)), tcp_flag::ack);
  if (r || r.error() != std::errc::no_buffer_space) return;
  tcp_sk(sk).ack_scheduled = true;
  if (!icsk_waits_for(sk, icsk_wait::delack))
    icsk_start_timer(net, sk, icsk_wait::delack, net.worker().now + 200'000'000);
}
namespace detail {
/// Another one is owed while one waits: what was to leave soon anyway does so now, as Linux's.
template <class Net>
NETSTACK_NOINLINE void tcp_delayed_ack_again(Net& net, sock& sk, u64 at) {
  u64 const due = icsk_due_of(sk, icsk_wait::delack, net.worker().now);
  if (due <= net.worker().now + tcp_delack_min / 4) return tcp_send_ack(net, sk);
  if (due > at) icsk_start_timer(net, sk, icsk_wait::delack, at);
}
}  // namespace detail

/// It waits for company, MUST-40.
template <class Net>
NETSTACK_INLINE void tcp_send_delayed_ack(Net& net, sock& sk) {
  u64 const at = net.worker().now + (tcp_sk(sk).lrcvtime != 0 ? tcp_delack_of(tcp_sk(sk)) : tcp_delack_tick);
  if (icsk_waits_for(sk, icsk_wait::delack)) [[unlikely]]
    return detail::tcp_delayed_ack_again(net, sk, at);
  icsk_start_timer(net, sk, icsk_wait::delack, at);
}
/// The end without a farewell: what is on its way is thrown away by both.
template <class Net>
void tcp_send_active_reset(Net& net, sock& sk) {
  ++TCP_STATS(net).OutRsts;
  if (!tcp_transmit_control(net, sk, tcp_acceptable_seq(tcp_sk(sk)), tcp_flag::ack | tcp_flag::rst))
    ++NET_STATS(net).TCPAbortFailed;
}

}  // namespace netstack
