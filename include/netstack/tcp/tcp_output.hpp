// SPDX-License-Identifier: BSL-1.0
// Decides: what of the write queue is sent, when, and in which pieces: never more than the peer's window and the
// congestion window allow, no small segment while one is in flight (Nagle), and none that the path would not carry.
//
//   sk_write_queue   [ sent, not acknowledged … | never sent … ]
//                      ^ snd_una                  ^ send_head, snd_nxt         ^ write_seq
//
// tx: called by tcp_sendmsg, tcp_ack, tcp_timer → calls tcp_transmit_skb
// Linux: net/ipv4/tcp_output.c (tcp_write_xmit, tcp_fragment, tcp_current_mss, tcp_retransmit_skb, tcp_send_fin)
// RFC 9293 §3.7, §3.8.6 (windows), RFC 1122 §4.2.3.4 (silly windows, sender), RFC 896 (Nagle), RFC 5681 §4.1 (idle)
#pragma once
#include "netstack/tcp/tcp_burst.hpp"

namespace netstack {

// --- how large a segment is

/// The most payload that one frame holds behind its headers.
template <class Net>
[[nodiscard]] u32 tcp_frame_room(Net&) {
  return Net::sizes.frame_size - max_tcp_header;
}
/// Of the path. What is known of a plain one is read without a call.
template <class Net>
[[nodiscard]] NETSTACK_INLINE u32 tcp_path_mtu(Net& net, sock& sk) {
  dst_entry const* const dst = sk.sk_dst_cache;
  bool const plain = dst && dst->plain_genid == net.worker().softnet.route_genid && dst->plain_room != 0;
  return plain ? std::min<u32>(dst->plain_mtu, ip_max_mtu) : tcp_af_ops<Net>(sk).mtu(net, sk);
}
/// SHLD-5 MAY-3 MUST-67 SHLD-6: what a segment may carry on a path of this MTU, before options.
template <class Net>
[[nodiscard]] u32 tcp_mtu_to_mss(Net& net, sock const& sk, u32 mtu) {
  u32 const headers = tcp_af_ops<Net>(sk).net_header_len + static_cast<u32>(tcp_hlen_min) + inet_optlen(inet_sk(sk));
  auto const least = static_cast<u32>(tcp_pernet(net).sysctl_tcp_min_snd_mss);
  return mtu > headers + least ? mtu - headers : least;
}
namespace detail {
/// The path has the MTU by which mss_cache was found.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_path_is_known(Net& net, tcp_sock const& tp, dst_entry const& dst) {
  return dst.plain_genid == net.worker().softnet.route_genid && dst.plain_mtu == tp.pmtu_cookie;
}
/// What takes room in every segment besides the time stamp, or tries whether there is more.
inline constexpr tcp_marks tcp_mss_extras{.num_sacks = 0xff, .mtu_probing = true, .dsack = true};
/// … and nothing but the time stamp takes room in every segment.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_mss_is_known(Net& net, sock const& sk) {
  auto const& tp = tcp_sk(sk);
  dst_entry const* const dst = sk.sk_dst_cache;
  return dst && tcp_path_is_known(net, tp, *dst) && tp.match(tcp_mss_extras, {});
}
template <class Net>
NETSTACK_COLD u32 tcp_options_size(Net& net, tcp_sock const& tp) {
  return tcp_established_options(net, tp).size();
}
}  // namespace detail

/// MUST-16: the payload of a full segment now, by the path, the peer's MSS, and the options that every segment has.
template <class Net>
u32 tcp_sync_mss(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  bool const common = tp.match(detail::tcp_mss_extras, {});
  u32 mtu = tcp_path_mtu(net, sk);
  if (!common && tp.mtu_probing) [[unlikely]]
    mtu = std::min(mtu == 0 ? tp.rare->mtup.search_low : mtu, tp.rare->mtup.search_low);
  u32 mss = std::min<u32>(tp.mss_clamp, mtu == 0 ? tcp_mss_default : tcp_mtu_to_mss(net, sk, mtu));
  mss = std::min(mss, tcp_frame_room(net));
  if (!common && tp.num_sacks + tp.dsack != 0) [[unlikely]]
    mss -= detail::tcp_options_size(net, tp);
  else
    mss -= tp.tstamp_ok ? tcpopt::tstamp_aligned : 0;
  // MUST-38: half of a small window is better than waiting for all of it.
  u32 const half = tp.max_window > tcp_mss_default ? tp.max_window / 2 : tp.max_window;
  dst_entry const* const dst = sk.sk_dst_cache;
  bool const lasting = dst && dst->dev && mtu == std::min<u32>(dst->dev->mtu, ip_max_mtu) && mss <= half && common;
  tp.pmtu_cookie = lasting ? dst->dev->mtu : 0;
  // What is the least without options is so here: with them a segment would be longer than a path of 88 bytes carries.
  if (half != 0 && mss > half) mss = std::min(mss, std::max(half, 48u - (tp.tstamp_ok ? tcpopt::tstamp_aligned : 0u)));
  tp.mss_cache = static_cast<u16>(mss);
  return tp.mss_cache;
}
/// … which is asked for with each call, and changes hardly ever.
template <class Net>
NETSTACK_INLINE u32 tcp_current_mss(Net& net, sock& sk) {
  return detail::tcp_mss_is_known(net, sk) ? tcp_sk(sk).mss_cache : tcp_sync_mss(net, sk);
}

// --- the queue

/// What was, or is yet to be, filled in joins the queue.
NETSTACK_INLINE void tcp_queue_charged(sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  skb_header_release(skb);  // clones of it are sent
  sk.sk_write_queue.queue_tail(skb);
  if (!tp.send_head) tp.send_head = &skb;
}
NETSTACK_INLINE void tcp_queue_skb(sock& sk, sk_buff& skb) {
  tcp_wmem_charge(sk, skb);
  tcp_queue_charged(sk, skb);
}

/// Removes the first `n` bytes, which were acknowledged.
inline void tcp_trim_head(sk_buff& skb, u32 n) {
  if (skb.ip_summed != ip_summed::partial) skb.csum = csum_shift(csum_sub(skb.csum, csum_partial(skb.data, n, 0)), n);
  skb.pull(n);
  TCP_SKB_CB(skb).seq += n;
}

namespace detail {
/// A piece more may have a frame of its own. A peer who asks for tiny ones gets them within the proto's memory and some
/// more than the send buffer (CVE-2019-11478); the oldest may always be cut, or it could not be sent.
template <class Net>
bool tcp_fragment_schedule(Net& net, sock& sk, sk_buff const& skb, u32 size) {
  constexpr u32 more = 128 << 10;
  u32 const queued = sk.sk_wmem_queued;
  if (&skb == sk.sk_write_queue.peek()) return sk_forced_mem_schedule(sk, size), true;
  if (queued >> 1 <= sk.sk_sndbuf + more) return sk_wmem_schedule(net, sk, size, queued);
  ++NET_STATS(net).TCPWqueueTooBig;
  return false;
}
}  // namespace detail

/// Cuts a segment of the queue behind `len` bytes. Errors: no_buffer_space.
template <class Net>
result<void> tcp_fragment(Net& net, sock& sk, sk_buff& skb, u32 len) {
  auto& tp = tcp_sk(sk);
  auto& pool = net.worker().pool;
  if (!detail::tcp_fragment_schedule(net, sk, skb, pool.frame_truesize())) return failure{std::errc::no_buffer_space};
  sk_buff* const rest = pool.alloc_skb(max_tcp_header);
  if (!rest) return failure{std::errc::no_buffer_space};
  u32 const moved = skb.len - len;
  rest->ip_summed = skb.ip_summed;
  rest->csum = csum_partial_copy(rest->put(moved), skb.data + len, moved, 0);
  skb.csum = csum_block_sub(skb.csum, rest->csum, len);
  skb.trim(len);
  skb_header_release(*rest);
  auto& cb = TCP_SKB_CB(skb);
  auto& cb2 = TCP_SKB_CB(*rest);
  cb2 = cb;
  cb2.seq = cb.end_seq = cb.seq + len;
  cb.tcp_flags &= static_cast<u8>(~(tcp_flag::fin | tcp_flag::psh));
  cb.eor = 0;
  tcp_wmem_charge(sk, *rest);
  tcp_fragment_tstamp(skb, *rest);
  sk.sk_write_queue.insert_after(&skb, *rest);
  if (before(cb2.seq, tp.snd_nxt)) tcp_rtx_queue_split(tp, skb, *rest);
  return {};
}

// --- timers of the queue

/// What is left of the RTO since the oldest in flight was sent last; us.
template <class Net>
[[nodiscard]] u64 tcp_rto_left(Net& net, sock& sk) {
  u64 const due = TCP_SKB_CB(*tcp_sent_head(sk)).sent + u64{inet_csk(sk).icsk_rto} * 1000, now = net.worker().now;
  return due > now ? (due - now) / 1000 : 0;
}
/// RFC 6298 §5.3: an acknowledgment of new data restarts the timer; with nothing in flight there is none.
template <class Net>
void tcp_rearm_rto(Net& net, sock& sk) {
  auto& icsk = inet_csk(sk);
  if (tcp_sk(sk).packets_out == 0) return inet_csk_clear_xmit_timer(net, sk);
  // RFC 8985 §7.2, §8: a timer that stood in for it has taken some of its time.
  bool const stood_in = icsk.icsk_pending == icsk_time::loss_probe || icsk.icsk_pending == icsk_time::reo_timeout;
  inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans,
                            stood_in ? std::max<u64>(tcp_rto_left(net, sk), 1) : icsk.icsk_rto);
}
namespace detail {
/// tcp_schedule_loss_probe, with so many in flight, while nothing is believed lost; `rto`: us until it would be due.
template <class Net>
NETSTACK_INLINE bool tcp_start_loss_probe(Net& net, sock& sk, u32 packets_out, u64 rto) {
  auto const& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  // RFC 7413 §5: no more to who may not be there than it takes to find out
  if (ns.sysctl_tcp_early_retrans < 3 || !tcp_is_sack(tp) || tp.rare->fastopen_rsk) return false;
  u64 pto = tcp_timeout_init;
  if (tp.srtt_us != 0)  // one segment alone may be acknowledged late
    pto = (tp.srtt_us >> 2) + (packets_out == 1 ? tcp_rto_min_of(tp) : tcp_timeout_min);
  inet_csk_reset_xmit_timer(net, sk, icsk_time::loss_probe, std::min(pto, rto));
  return true;
}
}  // namespace detail

/// RFC 8985 §7.2: when nothing is heard for two round trips, what was sent last may be lost, and nothing behind it
/// would tell. True: the probe's timer runs in the RTO's place. `restart`: the RTO would begin anew.
template <class Net>
NETSTACK_INLINE bool tcp_schedule_loss_probe(Net& net, sock& sk, bool restart) {
  auto const& tp = tcp_sk(sk);
  bool const calm = tp.ca_state == tcp_ca_state::open || tp.ca_state == tcp_ca_state::cwr;
  if (tp.packets_out == 0 || !calm) return false;
  u64 const rto = restart ? tp.icsk_rto : tcp_rto_left(net, sk);
  // Of what was found not to be lost after all it may be over: then it began anew with the acknowledgment.
  return detail::tcp_start_loss_probe(net, sk, tp.packets_out, rto != 0 ? rto : tp.icsk_rto);
}
/// SHLD-30: how long until a closed window is asked about again: ever longer; us.
[[nodiscard]] inline u64 tcp_probe0_when(tcp_sock const& tp) {
  u64 const first = std::max(tp.icsk_rto, tcp_rto_min);
  return std::min<u64>(first << std::min<u32>(tp.icsk_backoff, 30), tcp_rto_max_of(tp));
}
/// MUST-35 MUST-36 SHLD-29: with a closed window and nothing in flight, somebody must ask again.
template <class Net>
void tcp_check_probe_timer(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (tp.packets_out != 0 || tp.icsk_pending != icsk_time::none) return;
  tp.icsk_backoff = 0;
  tcp_rare_of(net, tp).retrans_start = 0;
  inet_csk_reset_xmit_timer(net, sk, icsk_time::probe0, tcp_probe0_when(tp));
}

// --- sending what is new

namespace detail {

/// True: it is the first in flight, or what the window's probe waited for: the RTO begins.
NETSTACK_INLINE bool tcp_note_in_flight(sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  u32 const prior_packets = tp.packets_out;
  tp.send_head = sk.sk_write_queue.after(skb);
  tp.snd_nxt = TCP_SKB_CB(skb).end_seq;
  ++tp.packets_out;
  tcp_rtx_queue_sent(tp, skb);
  return prior_packets == 0 || tp.icsk_pending == icsk_time::probe0;
}
/// The same of a segment that leaves for the first time; to Linux a FIN is one, too.
template <class Net>
NETSTACK_INLINE bool tcp_note_new_data(Net& net, sock& sk, sk_buff& skb) {
  ++NET_STATS(net).TCPOrigDataSent;
  return tcp_note_in_flight(sk, skb);
}
template <class Net>
void tcp_event_new_data_sent(Net& net, sock& sk, sk_buff& skb) {
  if (tcp_note_new_data(net, sk, skb)) tcp_rearm_rto(net, sk);
}

/// RFC 896, SHLD-7, as refined by Minshall: a segment that is not full waits while another such is in flight.
inline bool tcp_nagle_test(tcp_sock const& tp, sk_buff& skb, u32 mss, u8 nonagle) {
  auto const& cb = TCP_SKB_CB(skb);
  if ((nonagle & tcp_nagle::push) || (cb.tcp_flags & tcp_flag::fin) || skb.len >= mss || tp.urg_mode) return true;
  if (nonagle & tcp_nagle::cork) return false;
  bool const small_in_flight = after(tp.snd_sml, tp.snd_una) && !after(tp.snd_sml, tp.snd_nxt);
  return (nonagle & tcp_nagle::off) || tp.packets_out == 0 || !small_in_flight;
}
/// SHLD-15: the whole segment, or its first full piece, fits the peer's window.
inline bool tcp_snd_wnd_test(tcp_sock const& tp, sk_buff& skb, u32 mss) {
  auto const& cb = TCP_SKB_CB(skb);
  return !after(skb.len > mss ? cb.seq + mss : cb.end_seq, tcp_wnd_end(tp));
}

/// RFC 7661 §4.1: was the congestion window what held us back?
inline void tcp_cwnd_validate(tcp_sock& tp, bool limited) {
  if (before(tp.snd_una, tp.cwnd_usage_seq) && !limited && (tp.cwnd_limited || tp.packets_out <= tp.max_packets_out))
    return;
  tp.cwnd_limited = limited;
  tp.max_packets_out = tp.packets_out;
  tp.cwnd_usage_seq = tp.snd_nxt;
}

/// Nothing was sent for longer than the RTO, and something had been before.
template <class Net>
[[nodiscard]] bool tcp_was_idle(Net& net, tcp_sock const& tp) {
  return net.worker().now - tp.lsndtime > u64{tp.icsk_rto} * 1000 && tp.packets_out == 0 && tp.lsndtime != 0;
}
/// RFC 5681 §4.1: after a pause the acknowledgments that would pace us are missing; the window shrinks by half an RTO.
template <class Net>
void tcp_slow_start_after_idle_check(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (!tcp_was_idle(net, tp)) [[likely]]
    return;
  u64 const rto = u64{tp.icsk_rto} * 1000, idle = net.worker().now - tp.lsndtime;
  if (!tcp_pernet(net).sysctl_tcp_slow_start_after_idle || tcp_ca<Net>(sk).cong_control) return;  // that knows better
  tcp_ca_event(net, sk, ca_event::cwnd_restart);
  u32 const restart = std::min(tcp_init_cwnd, tp.snd_cwnd);
  tp.snd_ssthresh = tcp_current_ssthresh(tp);
  for (u64 t = rto; t < idle && tp.snd_cwnd > restart; t += rto) tp.snd_cwnd >>= 1;
  tp.snd_cwnd = std::max(tp.snd_cwnd, restart);
  tp.snd_cwnd_cnt = 0;
}

/// Sends send_head, a full piece of it at most, alone or together with others. False: there is no frame for it.
/// `begins`: set when the RTO begins with it, which the caller sees to.
template <class Net>
NETSTACK_INLINE bool tcp_xmit_send_head(Net& net, sock& sk, u32 mss, skb_list* together, bool& begins) {
  auto& tp = tcp_sk(sk);
  sk_buff& skb = *tp.send_head;
  if (skb.len > mss && !tcp_fragment(net, sk, skb, mss)) return false;
  if (auto r = __tcp_transmit_skb(net, sk, skb, together); !r && r.error() == std::errc::no_buffer_space) return false;
  if (skb.len < mss) tp.snd_sml = TCP_SKB_CB(skb).end_seq;
  if (tp.ca_state >= tcp_ca_state::cwr) ++tp.repair->prr_out;
  begins |= tcp_note_new_data(net, sk, skb);
  return true;
}

/// More than one segment waits, and nothing at the device: they may leave as a list. Else each hears whether the device
/// has room.
inline bool tcp_may_leave_together(sock const& sk) {
  dst_entry const* const dst = sk.sk_dst_cache;
  return tcp_sk(sk).send_head != sk.sk_write_queue.peek_tail() && dst && dst->dev && dst->dev->tx[0].qdisc.empty() &&
         tcp_sk(sk).match({.ecn_flags = tcp_ecn::has_news, .tx_stamps = true}, {}) && !tcp_may_tso(sk);
}

}  // namespace detail

/// What holds us back now; `rwnd`: the peer's window does.
template <class Net>
void tcp_chrono_update(Net& net, sock& sk, bool rwnd) {
  auto& tp = tcp_sk(sk);
  tcp_chrono_set(net, tp,
                 rwnd             ? tcp_chrono::rwnd_limited
                 : tp.send_head   ? tcp_chrono::busy
                 : tp.nospace     ? tcp_chrono::sndbuf_limited
                 : tp.packets_out ? tcp_chrono::busy
                                  : tcp_chrono::idle);
}

/// tcp_mtu.hpp: data was sent as a probe of the path's MTU; it waits to be; or it is not time for one.
enum class tcp_probe : u8 { none, wait, sent };
template <class Net>
tcp_probe tcp_mtu_probe(Net& net, sock& sk, u32 mss);

/// Sends what may be sent, SHLD-28. True: there is something to send, nothing in flight, and the window forbids it.
template <class Net>
bool tcp_write_xmit(Net& net, sock& sk, u32 mss, u8 nonagle) {
  auto& tp = tcp_sk(sk);
  bool cwnd_limited = false, rwnd_limited = false, sent = false, begins = false;
  detail::tcp_slow_start_after_idle_check(net, sk);
  if (tp.mtu_probing && tp.send_head) [[unlikely]]
    if (tcp_mtu_probe(net, sk, mss) == tcp_probe::wait) return false;
  u32 at_once = 0;  // so many before the pace is asked again
  skb_list burst;
  skb_list* const together = tp.send_head && detail::tcp_may_leave_together(sk) ? &burst : nullptr;
  while (sk_buff* const skb = tp.send_head) {
    if (burst.count == tcp_burst_max) tcp_af_ops<Net>(sk).queue_xmit_list(net, sk, burst);
    if (together && tcp_burst(net, sk, mss, tcp_burst_max - burst.count, burst, begins) != 0) [[likely]] {
      sent = true;
      continue;
    }
    if (at_once == 0) {
      if (tcp_pacing_check(net, sk)) break;
      at_once = tcp_tso_autosize(sk, mss);
    }
    if (tcp_packets_in_flight(tp) >= tp.snd_cwnd) {
      cwnd_limited = true;
      break;
    }
    if (!detail::tcp_snd_wnd_test(tp, *skb, mss)) {
      rwnd_limited = true;
      break;
    }
    bool const last = sk.sk_write_queue.after(*skb) == nullptr;
    if (!detail::tcp_nagle_test(tp, *skb, mss, last ? nonagle : tcp_nagle::push)) break;
    if (!last && tcp_transmit_super(net, sk, mss, begins)) {
      sent = true;
      at_once = 0;
      continue;
    }
    if (!detail::tcp_xmit_send_head(net, sk, mss, together, begins)) break;
    sent = true;
    --at_once;
  }
  if (!burst.empty()) tcp_af_ops<Net>(sk).queue_xmit_list(net, sk, burst);
  if (sent && !tcp_schedule_loss_probe(net, sk, begins) && begins) tcp_rearm_rto(net, sk);
  if (sent || cwnd_limited) detail::tcp_cwnd_validate(tp, cwnd_limited || tcp_packets_in_flight(tp) >= tp.snd_cwnd);
  tcp_chrono_update(net, sk, rwnd_limited);
  return tp.packets_out == 0 && tp.send_head && !icsk_waits_for(sk, icsk_wait::pacing);
}

/// Sends what waits, as far as it may, and sees to it that what may not is asked for.
template <class Net>
void __tcp_push_pending_frames(Net& net, sock& sk, u32 mss, u8 nonagle) {
  if (sk.sk_state == tcp_state::close) return;
  if (tcp_write_xmit(net, sk, mss, nonagle)) tcp_check_probe_timer(net, sk);
}
template <class Net>
void tcp_push_pending_frames(Net& net, sock& sk) {
  if (tcp_sk(sk).send_head) __tcp_push_pending_frames(net, sk, tcp_current_mss(net, sk), tcp_sk(sk).nonagle);
}

// --- sending again

/// Sends a segment of the queue once more. Errors: resource_unavailable_try_again (beyond the peer's window),
/// no_buffer_space, queue_xmit's.
template <class Net>
result<void> __tcp_retransmit_skb(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  auto& cb = TCP_SKB_CB(skb);
  if (before(cb.seq, tp.snd_una) && skb.len != 0) tcp_trim_head(skb, std::min(tp.snd_una - cb.seq, skb.len));
  if (tp.rare->mtup.probe_size != 0)
    tcp_rare_of(net, tp).mtup.probe_size = 0;  // whatever comes of it now, it proves nothing
  u32 mss = tcp_current_mss(net, sk);
  // MUST-34 SHLD-16: a peer that took back some of its window gets no more than it takes; if it takes nothing, the
  // oldest segment, as it is, asks whether that is still so (MAY-7).
  auto const room = static_cast<s32>(tcp_wnd_end(tp) - cb.seq);
  if (room <= 0 && cb.seq != tp.snd_una) return failure{std::errc::resource_unavailable_try_again};
  if (room > 0) mss = std::min(mss, static_cast<u32>(room));
  if (skb.len > mss)
    if (auto r = tcp_fragment(net, sk, skb, mss); !r) return r;
  ++TCP_STATS(net).RetransSegs;
  auto& past = tcp_rare_of(net, tp);
  ++past.total_retrans;
  past.bytes_retrans += skb.len;
  if (cb.tcp_flags & tcp_flag::syn) {
    ++NET_STATS(net).TCPSynRetrans;
    tcp_ecn_clear_syn(net, cb);
  }
  if (skb_shinfo(skb).dataref != 1) ++NET_STATS(net).TCPSpuriousRtxHostQueues;
  u32 const left = tp.segs_out;
  auto const r = tcp_transmit_skb(net, sk, skb);
  if (tp.segs_out != left) --TCP_STATS(net).OutSegs;  // RFC 4022: what only repeats is not counted there
  if (!r && r.error() == std::errc::no_buffer_space)
    ++NET_STATS(net).TCPRetransFail;
  else
    tcp_rtx_queue_resent(net, tp, skb);
  return r;
}
/// … as the repair of a loss.
template <class Net>
result<void> tcp_retransmit_skb(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  auto const r = __tcp_retransmit_skb(net, sk, skb);
  if (!r && (r.error() == std::errc::no_buffer_space || r.error() == std::errc::resource_unavailable_try_again))
    return r;
  u8& sacked = TCP_SKB_CB(skb).sacked;
  if (!(sacked & tcpcb::sacked_retrans)) ++tp.retrans_out;
  sacked |= tcpcb::sacked_retrans;
  u32& since = tcp_repair_of(net, tp).retrans_stamp;
  if (since == 0) since = tcp_time_stamp(net) + tp.tsoffset;
  s32& undo_retrans = tcp_rare_of(net, tp).undo_retrans;
  undo_retrans = std::max(undo_retrans, 0) + 1;
  return r;
}

namespace detail {
/// Sends a segment that is all that waits, if windows and pace let it. False: tcp_write_xmit is to be asked.
template <class Net>
bool tcp_xmit_alone(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  if (tcp_packets_in_flight(tp) >= tp.snd_cwnd || after(TCP_SKB_CB(skb).end_seq, tcp_wnd_end(tp)) ||
      sk.sk_pacing_needed)
    return false;
  if (auto const r = tcp_transmit_skb(net, sk, skb); !r && r.error() == std::errc::no_buffer_space) return false;
  tp.snd_sml = TCP_SKB_CB(skb).end_seq;
  if (tp.ca_state >= tcp_ca_state::cwr) ++tp.repair->prr_out;
  bool const begins = tcp_note_new_data(net, sk, skb);
  if (!tcp_schedule_loss_probe(net, sk, begins) && begins) [[unlikely]]
    tcp_rearm_rto(net, sk);
  tcp_cwnd_validate(tp, tcp_packets_in_flight(tp) >= tp.snd_cwnd);
  tcp_chrono_update(net, sk, false);
  return true;
}
}  // namespace detail

// --- the end of what is sent

/// FIN was asked for when there was no frame for it: it has its number, behind all that was sent, and is owed.
[[nodiscard]] inline bool tcp_fin_owed(tcp_sock const& tp) { return !tp.send_head && tp.snd_nxt != tp.write_seq; }

namespace detail {
/// FIN joins the queue, in a segment of its own. False: there is no frame for it.
template <class Net>
bool tcp_queue_fin(Net& net, sock& sk) {
  u32 const end = tcp_sk(sk).write_seq;
  sk_buff* const skb = tcp_alloc_skb(net);
  if (!skb) [[unlikely]]
    return false;
  TCP_SKB_CB(*skb) = {.seq = end - 1, .end_seq = end, .tcp_flags = tcp_flag::fin | tcp_flag::ack};
  tcp_queue_skb(sk, *skb);
  return true;
}
}  // namespace detail

// --- asking

/// A segment that the peer answers although it takes nothing: one byte before what it has, of length 0 (SHLD-12; RFC
/// 9293 §3.8.4 describes the kind for keepalive). An urgent one is in order, for its pointer to be looked at.
template <class Net>
result<void> tcp_xmit_probe_skb(Net& net, sock& sk, bool urgent = false) {
  return tcp_transmit_control(net, sk, tcp_sk(sk).snd_una - (urgent ? 0 : 1), tcp_flag::ack);
}
/// Sends what the window has room for, however little, or asks.
template <class Net>
result<void> tcp_write_wakeup(Net& net, sock& sk) {
  if (sk.sk_state == tcp_state::close) return failure{std::errc::not_connected};
  auto& tp = tcp_sk(sk);
  if (tcp_fin_owed(tp) && !detail::tcp_queue_fin(net, sk)) return failure{std::errc::no_buffer_space};
  sk_buff* const skb = tp.send_head;
  if (!skb || !before(TCP_SKB_CB(*skb).seq, tcp_wnd_end(tp))) {
    // RFC 9293 §3.8.5: a closed window does not keep the peer from learning of urgent data.
    if (tp.urg_mode && between(tp.rare->snd_up, tp.snd_una + 1, tp.snd_una + 0xffff))
      (void)tcp_xmit_probe_skb(net, sk, true);
    return tcp_xmit_probe_skb(net, sk);
  }
  auto& cb = TCP_SKB_CB(*skb);
  u32 const room = std::min(tcp_wnd_end(tp) - cb.seq, tcp_current_mss(net, sk));
  // RFC 9293 §3.8.6.2.1: the timeout overrides the avoidance of silly windows.
  if (skb->len > room)
    if (auto r = tcp_fragment(net, sk, *skb, room); !r) return r;
  cb.tcp_flags |= tcp_flag::psh;
  auto const r = tcp_transmit_skb(net, sk, *skb);
  if (r) detail::tcp_event_new_data_sent(net, sk, *skb);
  return r;
}

}  // namespace netstack
