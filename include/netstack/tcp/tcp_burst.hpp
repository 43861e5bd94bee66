// SPDX-License-Identifier: BSL-1.0
// Decides: how full segments leave together: as a list, whose headers are the same but for number, push flag and
// checksum, or as one packet where the device cuts it. What sending one changes in the connection is changed once for
// all. Whatever else a segment can be is tcp_transmit_skb's.
// tx: called by tcp_write_xmit → list for tcp_af_ops.queue_xmit_list, tcp_transmit
// Linux: net/ipv4/tcp_output.c (tcp_tso_should_defer's neighbours; it has no lists)
// RFC 9293 §3.1, RFC 7323 §3.2
#pragma once
#include "netstack/core/gso.hpp"
#include "netstack/tcp/tcp_rtx_queue.hpp"
#include "netstack/tcp/tcp_transmit.hpp"

namespace netstack {

/// So many leave as one list.
inline constexpr u32 tcp_burst_max = 64;

namespace detail {

/// The header of segments that say nothing but their data, an acknowledgment and, `Stamped`, the time.
template <bool Stamped>
class tcp_burst_header {
  static constexpr u32 hlen = tcp_common_hlen<Stamped>, lead = Stamped ? tcpopt::tstamp_lead : 0;
  u32 ports_, ack_, bits_;
  u64 stamp_ = 0, pseudo_, sum_;

 public:
  /// The window is told from now on.
  template <class Net>
  tcp_burst_header(Net& net, sock& sk, u32 payload) {
    auto& tp = tcp_sk(sk);
    u16 const window = tcp_select_window(net, sk);
    ports_ = tp.inet_sport.raw() | u32{sk.sk_dport.raw()} << 16;
    ack_ = be32{tp.rcv_nxt}.raw();
    bits_ = be32{hlen / 4 << 28 | u32{tcp_flag::ack} << 16 | window}.raw();
    if constexpr (Stamped) stamp_ = be64{u64{tcp_time_stamp(net) + tp.tsoffset} << 32 | tp.ts_recent}.raw();
    pseudo_ = u64{tp.csum_flow} + be16{static_cast<u16>(payload + hlen)}.raw();
    sum_ = csum_add64(pseudo_ + ports_ + ack_ + bits_ + lead, stamp_);
  }
  /// In front of the payload, as tcp_push_header does.
  NETSTACK_INLINE void push(sk_buff& skb, u32 number, bool psh) const {
    constexpr u32 push_bit = be32{u32{tcp_flag::psh} << 16}.raw();
    u32 const seq = be32{number}.raw(), more = psh ? push_bit : 0;
    u8* const at = skb.push(hlen);
    u16 const check = tcp_header_check(skb, pseudo_, csum_add64(sum_, u64{seq} + more));
    u64 const words[4] = {ports_ | u64{seq} << 32, ack_ | u64{bits_ | more} << 32, check | u64{lead} << 32, stamp_};
    for (u32 i = 0; i < hlen / 8; ++i) std::memcpy(at + 8 * i, &words[i], 8);  // no more than one register holds
    if constexpr (hlen % 8 != 0) std::memcpy(at + hlen - 4, &words[hlen / 8], 4);
    skb.reset_transport_header();
  }
};

/// Nothing but its number, and whether it ends what was written, tells it from others as long; its frame is nobody
/// else's just now.
inline bool tcp_is_plain_segment(sk_buff& skb, u32 mss) {
  auto const& cb = TCP_SKB_CB(skb);
  return skb.len == mss && !skb.is_nonlinear() && (cb.tcp_flags & ~tcp_flag::psh) == tcp_flag::ack &&
         skb.slot_kind == skb_slot::first && skb_shinfo(skb).dataref == 1;
}

/// Full segments left that had not been sent before, up to `end_seq`. True: the RTO begins with them.
template <class Net>
bool tcp_burst_sent(Net& net, sock& sk, u32 segments, u32 bytes, u32 end_seq) {
  auto& tp = tcp_sk(sk);
  bool const first = tp.packets_out == 0 || tp.icsk_pending == icsk_time::probe0;
  tcp_pacing_sent(net, sk, bytes, segments);
  if (tp.ca_state >= tcp_ca_state::cwr) tp.repair->prr_out += segments;
  NET_STATS(net).TCPOrigDataSent += segments;
  tp.data_segs_out += segments;
  tp.bytes_sent += static_cast<u32>(bytes);
  tp.lsndtime = net.worker().now;
  tp.snd_nxt = end_seq;
  tp.packets_out += segments;
  return first;
}
/// How many full segments both windows let out.
[[nodiscard]] inline u32 tcp_burst_room(tcp_sock const& tp, u32 mss) {
  if (after(tp.snd_nxt, tcp_wnd_end(tp))) return 0;
  return std::min(tp.snd_cwnd - std::min(tp.snd_cwnd, tcp_packets_in_flight(tp)), (tcp_wnd_end(tp) - tp.snd_nxt) / mss);
}

/// tcp_burst; `Stamped`: of a connection with time stamps.
template <bool Stamped, class Net>
NETSTACK_INLINE u32 tcp_burst_of(Net& net, sock& sk, u32 mss, u32 most, skb_list& burst, bool& begins) {
  auto& tp = tcp_sk(sk);
  most = std::min(most, tcp_burst_room(tp, mss));
  constexpr tcp_marks told{
      .num_sacks = 0xff, .tstamp_ok = true, .ack_nomem = true, .urg_mode = true, .tx_stamps = true, .dsack = true};
  bool const plain = tp.match(told, {.tstamp_ok = Stamped}) && !sk.sk_pacing_needed;
  if (!plain || most < 2 || !tcp_is_plain_segment(*tp.send_head, mss)) return 0;
  if (tp.send_head->fclone != 0) return 0;  // no clone, nothing leaves: no window may be noted as told
  if (tcp_packets_in_flight(tp) == 0) tcp_ca_tx_start(net, sk);
  tcp_ecn_send_quiet(tp, true);
  u64 const now = net.worker().now;
  tcp_tx_stamp const stamp = tcp_rate_stamp(net, tp);
  tcp_burst_header<Stamped> const header{net, sk, mss};
  u32 n = 0, truesize = 0, end_seq = 0;
  sk_buff* skb = tp.send_head;
  for (; skb && n < most && tcp_is_plain_segment(*skb, mss); skb = sk.sk_write_queue.after(*skb), ++n) {
    sk_buff* const out = skb->pool->clone_payload(*skb);
    if (!out) break;
    auto& cb = TCP_SKB_CB(*skb);
    header.push(*out, cb.seq, (cb.tcp_flags & tcp_flag::psh) != 0);
    out->sk = &sk;
    out->destructor = sock_wfree;
    truesize += out->truesize;
    cb.sent = now;
    cb.tx = stamp;
    end_seq = cb.end_seq;
    tcp_rtx_queue_sent(tp, *skb);
    burst.push_back(*out);
  }
  sk.sk_wmem_alloc += truesize;
  tp.send_head = skb;
  tcp_event_ack_sent(net, sk);
  TCP_STATS(net).OutSegs += n;
  tp.segs_out += n;
  begins |= tcp_burst_sent(net, sk, n, n * mss, end_seq);
  return n;
}
template <class Net>
NETSTACK_NOINLINE u32 tcp_burst_bare(Net& net, sock& sk, u32 mss, u32 most, skb_list& burst, bool& begins) {
  return tcp_burst_of<false>(net, sk, mss, most, burst, begins);
}

}  // namespace detail

/// Appends full segments to the list, from send_head on, as many as both windows let out and `most`; how many. 0: the
/// next is another kind of segment, or the connection has more to say than they can. `begins`: set when the RTO begins
/// with them, which the caller sees to.
template <class Net>
u32 tcp_burst(Net& net, sock& sk, u32 mss, u32 most, skb_list& burst, bool& begins) {
  if (!tcp_sk(sk).tstamp_ok) [[unlikely]]
    return detail::tcp_burst_bare(net, sk, mss, most, burst, begins);
  return detail::tcp_burst_of<true>(net, sk, mss, most, burst, begins);
}

// --- several segments as one packet

namespace detail {

/// The device cuts packets of several segments, or hands them on whole.
inline bool tcp_may_tso(sock const& sk) {
  constexpr u32 needs = netif_f::gso | netif_f::sg | netif_f::hw_csum;
  dst_entry const* const dst = sk.sk_dst_cache;
  return dst && dst->dev && (dst->dev->features & needs) == needs;
}
/// The segment may be part of such a packet, of which only the last is marked.
inline bool tcp_may_join(sk_buff& skb, u32 mss) {
  auto const& cb = TCP_SKB_CB(skb);
  return skb.len == mss && !skb.is_nonlinear() && skb.ip_summed == ip_summed::partial && cb.eor == 0 &&
         (cb.tcp_flags & ~tcp_flag::psh) == tcp_flag::ack;
}

}  // namespace detail

/// Sends full segments from send_head on as one packet that refers to their payloads. False: there are not two that
/// may leave, or there is no packet for them. `begins`: as above.
template <class Net>
bool tcp_transmit_super(Net& net, sock& sk, u32 mss, bool& begins) {
  auto& tp = tcp_sk(sk);
  if (!detail::tcp_may_tso(sk) || tp.urg_mode) [[likely]]
    return false;
  u32 const most = std::min(
      {detail::tcp_burst_room(tp, mss), max_skb_frags, (0xffffu - max_tcp_header) / mss, tcp_tso_autosize(sk, mss)});
  sk_buff* skb = tp.send_head;
  sk_buff* const second = sk.sk_write_queue.after(*skb);
  if (most < 2 || !second || !detail::tcp_may_join(*skb, mss) || !detail::tcp_may_join(*second, mss)) return false;
  auto& pool = net.worker().pool;
  sk_buff* const out = pool.alloc_skb(max_tcp_header);
  if (!out) return false;
  if (tcp_packets_in_flight(tp) == 0) tcp_ca_tx_start(net, sk);
  u64 const now = net.worker().now;
  tcp_tx_stamp const stamp = tcp_rate_stamp(net, tp);
  tcp_skb_cb whole{.seq = tp.snd_nxt};
  auto& info = skb_edit_shinfo(*out);
  u32 n = 0;
  for (; skb && n < most && detail::tcp_may_join(*skb, mss); skb = sk.sk_write_queue.after(*skb)) {
    pool.get_frame(*skb);
    info.frags[n++] = {skb->frame, skb->headroom(), mss};
    auto& cb = TCP_SKB_CB(*skb);
    cb.sent = now;
    cb.tx = stamp;
    whole.end_seq = cb.end_seq;
    whole.tcp_flags |= cb.tcp_flags;
    tcp_rtx_queue_sent(tp, *skb);
  }
  out->len = out->data_len = n * mss;
  info.nr_frags = static_cast<u8>(n);
  info.gso_size = static_cast<u16>(mss);
  info.gso_segs = static_cast<u16>(n);
  info.gso_type = skb_gso::tcpv4;
  out->ip_summed = ip_summed::partial;
  tp.send_head = skb;
  TCP_STATS(net).OutSegs += n - 1;  // tcp_transmit counts one
  tp.segs_out += n - 1;
  (void)tcp_transmit(net, sk, *out, whole);
  begins |= detail::tcp_burst_sent(net, sk, n, n * mss, whole.end_seq);
  return true;
}

}  // namespace netstack
