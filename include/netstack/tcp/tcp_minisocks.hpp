// SPDX-License-Identifier: BSL-1.0
// Decides: what happens before a connection is one and after it was one. A half-open one is a tcp_request_sock until
// the handshake's last acknowledgment makes a tcp_sock of it; an ended one is a tcp_timewait_sock, which answers late
// segments and keeps the pair of ports from being used for another connection too soon.
// rx: called by tcp_v4_rcv, tcp_fin
// Linux: net/ipv4/tcp_minisocks.c, net/ipv4/inet_timewait_sock.c; RFC 9293 §3.10.7.4, RFC 6191 (reuse), RFC 1337
#pragma once
#include "netstack/tcp/tcp_ack.hpp"
#include "netstack/tcp/tcp_user_timeout.hpp"

namespace netstack {

// --- RFC 7323 §5: PAWS

inline constexpr u64 tcp_paws_24days = u64{60 * 60 * 24 * 24} * 1'000'000'000;  ///< RFC 7323 §5.5: then it is void
inline constexpr s32 tcp_paws_window = 1;

/// The time stamp is older than the last one, which was taken `age` ns ago.
[[nodiscard]] inline bool tcp_paws_reject(u32 ts_recent, u64 age, tcp_rx const& rx) {
  if (!rx.opt.saw_tstamp || ts_recent == 0 || static_cast<s32>(ts_recent - rx.opt.rcv_tsval) < tcp_paws_window)
    return false;
  // RFC 7323 §5.2: a RST is not held to it; it must be exact in another way.
  return !rx.has(tcp_flag::rst) && age < tcp_paws_24days;
}
/// RFC 9293 §3.4: any part of the segment lies in the window.
[[nodiscard]] inline bool tcp_in_window(u32 seq, u32 end_seq, u32 s_win, u32 e_win) {
  if (seq == s_win) [[likely]]
    return true;
  if (after(end_seq, s_win) && before(seq, e_win)) return true;
  return seq == e_win && seq == end_seq;
}

// --- TIME-WAIT

template <class Net>
void inet_twsk_kill(Net& net, tcp_timewait_sock& tw) {
  auto& w = tcp_worker_of(net);
  w.death_row.of(tw).erase(w.timewaits, tw);
  detail::inet_ehash_erase(net, tw);
  inet_bind_bucket_of(net, tw.hnum).timewaits.erase(w.timewaits, tw);
  w.timewaits.free(&tw);
}

namespace detail {
template <class Net>
void tw_timer_handler(void* ctx, timer_list& timer);
}  // namespace detail

/// It goes in `ns`; until now it stands in no row.
template <class Net>
void inet_twsk_schedule(Net& net, tcp_timewait_sock& tw, u64 ns) {
  u64 const due = (net.worker().now + ns + 999'999) / 1'000'000;
  auto& w = tcp_worker_of(net);
  auto& dr = w.death_row;
  auto& row = dr.of(tw);
  tw.due = static_cast<u32>(due);
  row.insert_by(w.timewaits, tw, [&](auto const& other) { return before(tw.due, other.due); });
  dr.timer.function = detail::tw_timer_handler<Net>;
  if (!timer_pending(dr.timer) || due * 1'000'000 < dr.timer.expires)
    net.worker().timers.mod_timer(dr.timer, due * 1'000'000);
}
/// RFC 9293 §3.10.7.4: TIME-WAIT begins, or begins anew.
template <class Net>
void inet_twsk_restart(Net& net, tcp_timewait_sock& tw) {
  auto& w = tcp_worker_of(net);
  w.death_row.of(tw).erase(w.timewaits, tw);
  tw.is_fin_wait2 = 0;
  inet_twsk_schedule(net, tw, tcp_timewait_len);
}

namespace detail {
/// Fetches, long before, what inet_twsk_kill() will change: nobody has looked at it for a minute. A step for each of
/// the three that go next, since each needs what the one before it has fetched: the last of them itself, the slots of
/// the second, and what stands in front of the first.
template <class Worker>
NETSTACK_INLINE void inet_twsk_prefetch(Worker& worker, tcp_death_row::row const& row, tcp_timewait_sock const& tw) {
  auto& w = worker_generic<tcp>(worker);
  auto const slot_of = [&](tcp_timewait_sock const& of) -> inet_link& {
    return w.hashinfo.ehash[w.hashinfo.slot(of.hash)];
  };
  __builtin_prefetch(&w.hashinfo.next(slot_of(tw)), 1);
  auto const* const second = row.after(w.timewaits, tw);
  if (!second) return;
  __builtin_prefetch(&slot_of(*second), 1);
  __builtin_prefetch(&inet_bind_bucket_of(worker.nets[second->netns], second->hnum), 1);
  if (auto const* const third = row.after(w.timewaits, *second)) __builtin_prefetch(third, 1);
}
/// The first of a row whose time has come, a few at once: what unlinks each is fetched before the first of them goes.
template <class Net, class Worker>
u32 inet_twsk_kill_due(Worker& worker, tcp_death_row::row const& row, u64 now_ms) {
  tcp_timewait_sock* due[16];
  u32 n = 0;
  auto& w = worker_generic<tcp>(worker);
  for (auto* tw = row.front(w.timewaits); tw && n < std::size(due) && !after(tw->due, static_cast<u32>(now_ms));
       tw = row.after(w.timewaits, *tw)) {
    due[n++] = tw;
    __builtin_prefetch(&w.hashinfo.ehash[w.hashinfo.slot(tw->hash)], 1);
    __builtin_prefetch(&inet_bind_bucket_of(worker.nets[tw->netns], tw->hnum), 1);
  }
  for (u32 i = 0; i < n; ++i) inet_twsk_kill(worker.nets[due[i]->netns], *due[i]);
  return n;
}
/// Whose time has come goes; the timer waits for the next.
template <class Net>
void tw_timer_handler(void* ctx, timer_list& timer) {
  auto& worker = *static_cast<std::remove_reference_t<decltype(std::declval<Net&>().worker())>*>(ctx);
  u64 const now_ms = worker.now / 1'000'000;
  auto& w = worker_generic<tcp>(worker);
  auto& dr = w.death_row;
  u32 least = ~u32{0};
  for (auto* row : {&dr.time_wait, &dr.fin_wait2}) {
    while (inet_twsk_kill_due<Net>(worker, *row, now_ms) != 0) continue;
    if (auto const* const tw = row->front(w.timewaits)) {
      least = std::min(least, tw->due - static_cast<u32>(now_ms));
      inet_twsk_prefetch(worker, *row, *tw);
    }
  }
  if (least != ~u32{0}) worker.timers.mod_timer(timer, (now_ms + least) * 1'000'000);
}
/// RFC 7323 §3.2: of a connection that has time stamps.
template <class Net>
void tw_take_ts_recent(Net& net, tcp_timewait_sock& tw, tcp_rx const& rx) {
  if (tw.ts_recent != 0 && rx.opt.saw_tstamp)
    tw.ts_recent = rx.opt.rcv_tsval, tw.ts_recent_stamp = tw_stamp(net.worker().now);
}
}  // namespace detail

/// The connection's place is taken by a small sock: TIME-WAIT, or FIN-WAIT-2 for at most `ns` more.
template <class Net>
void tcp_time_wait(Net& net, sock& sk, u8 substate, u64 ns) {
  auto& tp = tcp_sk(sk);
  auto& w = tcp_worker_of(net);
  bool const room = w.timewaits.in_use() < tcp_pernet(net).sysctl_tcp_max_tw_buckets &&
                    sk.sk_bound_dev_if >> tcp_timewait_sock::dif_bits == 0;
  tcp_timewait_sock* const tw = room ? w.timewaits.alloc() : nullptr;
  if (!tw) {
    ++NET_STATS(net).TCPTimeWaitOverflow;
    return tcp_done(net, sk);
  }
  tw->netns = static_cast<u8>(net.index);
  inet_twsk_ends(*tw, sk);
  tw->dif = sk.sk_bound_dev_if & ((u32{1} << tcp_timewait_sock::dif_bits) - 1);
  tw->rcv_nxt = tp.rcv_nxt;
  tw->snd_nxt = tp.snd_nxt;
  tw->rcv_wnd = static_cast<u16>(std::min(tcp_receive_window(tp) >> tp.rcv_wscale, 0xffffu));
  u32 const now = detail::tw_clock(net.worker().now), ts_age = now - tp.ts_recent_stamp;
  tw->ts_recent = tp.tstamp_ok && ts_age <= detail::tw_clock(tcp_paws_24days - 1) ? tp.ts_recent : 0;
  tw->ts_recent_stamp = static_cast<u16>(now - std::min(ts_age, detail::tw_clock(detail::tw_stamp_max_age)));
  tw->ts_offset = tp.tsoffset;
  tw->tos = tp.tos;
  tw->rcv_wscale = tp.rcv_wscale & 15;
  tw->is_fin_wait2 = substate == tcp_state::fin_wait2;
  tw->reuse = sk.sk_reuse != 0;
  tw->reuseport = sk.sk_reuseport != 0;
  u64 const wait = substate == tcp_state::time_wait ? tcp_timewait_len : ns;
  ++(wait > 4'000'000'000 ? NET_STATS(net).TW : NET_STATS(net).TWKilled);
  inet_twsk_hash_replace(net, tp, *tw);
  tcp_done(net, sk);
  inet_bind_bucket_of(net, tw->hnum).timewaits.push_front(w.timewaits, *tw);
  inet_twsk_schedule(net, *tw, wait);
}

/// What a segment for an ended connection is answered with.
enum class tcp_tw_status : u8 { success, rst, ack, syn };

namespace detail {

template <class Net>
tcp_tw_status tcp_fin_wait2_process(Net& net, tcp_timewait_sock& tw, tcp_rx const& rx, bool paws_reject) {
  if (paws_reject || !tcp_in_window(rx.seq, rx.end_seq, tw.rcv_nxt, tw.rcv_nxt + (u32{tw.rcv_wnd} << tw.rcv_wscale)))
    return tcp_oow_rate_limited(net, tw.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedFinWait2)
               ? tcp_tw_status::success
               : tcp_tw_status::ack;
  if (rx.has(tcp_flag::rst)) {
    inet_twsk_kill(net, tw);
    return tcp_tw_status::success;
  }
  if (rx.has(tcp_flag::syn) && !before(rx.seq, tw.rcv_nxt)) return tcp_tw_status::rst;
  if (!rx.has(tcp_flag::ack) || !after(rx.end_seq, tw.rcv_nxt) || rx.end_seq == rx.seq) return tcp_tw_status::success;
  // RFC 9293 §3.6: data that nobody will read is answered with a reset.
  if (!rx.has(tcp_flag::fin) || rx.end_seq != tw.rcv_nxt + 1) return tcp_tw_status::rst;
  tw.rcv_nxt = rx.end_seq;
  tw_take_ts_recent(net, tw, rx);
  inet_twsk_restart(net, tw);
  return tcp_tw_status::ack;
}

}  // namespace detail

/// A segment for a connection in TIME-WAIT (or FIN-WAIT-2 that nobody holds). syn: a new connection may take its place,
/// and its first sequence number is at least `isn`. The sock may be gone afterwards.
template <class Net>
tcp_tw_status tcp_timewait_state_process(Net& net, tcp_timewait_sock& tw, tcp_rx const& rx, u32& isn) {
  u64 const now = net.worker().now;
  bool const paws_reject = tw.ts_recent != 0 && tcp_paws_reject(tw.ts_recent, detail::tw_ts_recent_age(tw, now), rx);
  if (tw.is_fin_wait2) return detail::tcp_fin_wait2_process(net, tw, rx, paws_reject);
  if (!paws_reject && rx.seq == tw.rcv_nxt && (rx.seq == rx.end_seq || rx.has(tcp_flag::rst))) {
    if (rx.has(tcp_flag::rst)) {
      // RFC 1337 §3: a RST ends TIME-WAIT too early; Linux lets it, unless it is told otherwise.
      if (!tcp_pernet(net).sysctl_tcp_rfc1337) inet_twsk_kill(net, tw);
      return tcp_tw_status::success;
    }
    inet_twsk_restart(net, tw);
    detail::tw_take_ts_recent(net, tw, rx);
    return tcp_tw_status::success;
  }
  // RFC 6191 §2, MAY-2 SHLD-4: a SYN that cannot be an old one may begin a new connection.
  bool const newer =
      after(rx.seq, tw.rcv_nxt) || (tw.ts_recent != 0 && rx.opt.saw_tstamp && before(tw.ts_recent, rx.opt.rcv_tsval));
  if (rx.is(tcp_flag::syn, tcp_flag::syn | tcp_flag::fin | tcp_flag::rst | tcp_flag::ack) && !paws_reject && newer) {
    isn = tw.snd_nxt + 65535 + 2;
    if (isn == 0) ++isn;
    return tcp_tw_status::syn;
  }
  if (paws_reject) ++NET_STATS(net).PAWSTimewait;
  if (rx.has(tcp_flag::rst)) return tcp_tw_status::success;
  // RFC 9293 §3.10.7.4: a repeated FIN restarts the wait.
  if (paws_reject || rx.has(tcp_flag::ack)) inet_twsk_restart(net, tw);
  return detail::tcp_oow_rate_limited(net, tw.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedTimeWait)
             ? tcp_tw_status::success
             : tcp_tw_status::ack;
}

// --- half open

/// Where a connection's numbers begin, and what is added to the clock of its time stamps.
struct tcp_seq_and_ts_off {
  u32 seq = 0, ts_off = 0;
};
/// What a half-open connection asks an IP version for (Linux's request_sock_ops and tcp_request_sock_ops).
template <class Net>
struct tcp_request_sock_ops {
  /// Takes both ends from the segment, which is a SYN, or an ACK that may end a handshake nobody remembers.
  void (*init_req)(Net&, tcp_request_sock&, sk_buff const&) = nullptr;
  /// … and what else of the way back it tells. False: there is no room to keep that.
  bool (*route_req)(Net&, tcp_request_sock&, sk_buff const&) = nullptr;
  tcp_seq_and_ts_off (*init_seq_and_ts_off)(Net&, tcp_request_sock const&) = nullptr;
  u32 (*cookie_init_seq)(Net&, tcp_request_sock const&, u16& mss) = nullptr;  ///< cookie_init_sequence by both ends
  u16 (*cookie_check)(Net&, tcp_request_sock const&) = nullptr;               ///< … of snt_isn: the MSS, or 0
  /// Sends a SYN-ACK, or an ACK, with this header and these options. Errors: no_buffer_space, the route's.
  result<void> (*send_synack)(Net&, tcp_request_sock const&, tcp_header_fields const&,
                              tcp_out_options const&) = nullptr;
  void (*send_reset)(Net&, sk_buff const&, tcp_rx const&) = nullptr;  ///< answers this segment with a RST
  void (*destructor)(Net&, tcp_request_sock&) = nullptr;              ///< what route_req kept is needed no longer
  u16 net_header_len = 0;
};
/// Those of the IP version that its SYN came by: there is one (tcp_v4_syn.hpp).
template <class Net>
[[nodiscard]] constexpr tcp_request_sock_ops<Net> const& tcp_rsk_ops(tcp_request_sock const&);

/// What it kept of the SYN is needed no longer.
template <class Net>
NETSTACK_INLINE void tcp_reqsk_destructor(Net& net, tcp_request_sock& req) {
  tcp_rsk_ops<Net>(req).destructor(net, req);
  tcp_beside_free(tcp_worker_of(net).saved_syns, req.saved_syn);
}
/// The request is dealt with, in whatever way.
template <class Net>
void inet_csk_reqsk_queue_drop(Net& net, tcp_request_sock& req) {
  auto& w = tcp_worker_of(net);
  w.request_rows.rows[req.row].erase(w.requests, req);
  if (req.hashed) detail::inet_ehash_erase(net, req);
  sock& listener = *req.rsk_listener;
  --inet_csk(listener).icsk_listen.syn_qlen;
  if (req.num_timeout != 0) [[unlikely]]
    --tcp_rare_of(net, tcp_sk(listener)).syn_qold;
  tcp_reqsk_destructor(net, req);
  w.requests.free(&req);
  sock_put(listener);
}

/// What a connection inherits from the socket that listened for it.
NETSTACK_INLINE void tcp_inherit(tcp_sock& __restrict child, tcp_sock const& __restrict listener) {
  child.sk_type = listener.sk_type;
  child.sk_protocol = listener.sk_protocol;
  child.sk_reuse = listener.sk_reuse;
  child.sk_reuseport = listener.sk_reuseport;
  child.sk_shutdown = listener.sk_shutdown;
  child.sk_bound_dev_if = listener.sk_bound_dev_if;
  child.sk_flags = listener.sk_flags & ~(sock_flag_bit(sock_flags::dead) | sock_flag_bit(sock_flags::write_space_due) |
                                         sock_flag_bit(sock_flags::bindport_lock));
  child.sk_rcvbuf = listener.sk_rcvbuf;
  child.sk_sndbuf = listener.sk_sndbuf;
  child.sk_mark = listener.sk_mark;
  child.sk_pacing_needed = listener.sk_rare->max_pacing_rate != pacing_unlimited;
  child.sk_rcvlowat = listener.sk_rcvlowat;
  child.sk_user_data = listener.sk_user_data;
  static_cast<inet_settings&>(child) = listener;
  child.user_timeout_set = listener.user_timeout_set;
  child.icsk_syn_retries = listener.icsk_syn_retries;
  child.icsk_ca_idx = listener.icsk_ca_idx;
  child.icsk_ca_setsockopt = listener.icsk_ca_setsockopt;
  child.icsk_defer_accept = listener.icsk_defer_accept;
  constexpr tcp_marks asked{.nonagle = 0xff, .tx_stamps = true, .recvmsg_inq = true};
  u64 const marks = listener.word() & asked.word();  // a fresh one has none
  std::memcpy(static_cast<void*>(static_cast<tcp_marks*>(&child)), &marks, sizeof marks);
  child.window_clamp = listener.window_clamp;
  child.save_syn = listener.save_syn;
  child.own_timers = listener.own_timers;
  child.fastopen_connect = listener.fastopen_connect;
  child.fastopen_no_cookie = listener.fastopen_no_cookie;
}

/// … of what few ask for.
inline void tcp_inherit_rare(sock_rare& child, sock_rare const& listener) {
  child = listener;
  child.opt = nullptr;
  child.error_queue = {};
  child.pacing_rate = child.max_pacing_rate;
  child.pacing_release = 0;
  child.stamp = child.napi_id = child.tskey = 0;
  child.incoming_cpu = -1;
}
/// The connection that a request becomes: as the handshake left it, found by segments, in SYN-RECEIVED, but without its
/// addresses; it is not in the listener's queue yet. Null: there is no room (counted).
template <class Net>
sock* tcp_create_openreq_child(Net& net, sock& listener, tcp_request_sock& req) {
  bool const full = sk_acceptq_is_full(listener);
  sock* const child = full ? nullptr : sk_clone(net, listener);
  if (!child) {
    if (full) ++NET_STATS(net).ListenOverflows;
    ++NET_STATS(net).ListenDrops;
    ++listener.sk_drops;
    return nullptr;
  }
  auto& tp = tcp_sk(*child);
  tcp_inherit(tp, tcp_sk(listener));
  if (tcp_rare const* const asked = tcp_sk(listener).rare; asked != &tcp_no_rare) [[unlikely]]
    if (tcp_rare_settings const& settings = *asked; settings != tcp_no_rare)
      static_cast<tcp_rare_settings&>(tcp_rare_of(net, tp)) = settings;
  if (listener.sk_rare != &sock_no_rare) [[unlikely]]
    tcp_inherit_rare(*sk_rare_of(net, *child), *listener.sk_rare);
  child->sk_dport = req.key.sport;
  tp.inet_sport = be16{req.key.hnum};
  child->sk_state = tcp_state::syn_recv;
  tp.reordering = tcp_narrow_reordering(tcp_pernet(net).sysctl_tcp_reordering);
  tp.rcv_nxt = tp.rcv_wup = tp.copied_seq = req.rcv_isn + 1;
  tp.snd_wl1 = req.rcv_isn;
  tp.rcv_wnd = req.rcv_wnd;
  tp.snd_una = tp.snd_nxt = tp.snd_sml = tp.write_seq = req.snt_isn + 1;
  tp.sack_ok = req.sack_ok;
  tp.tstamp_ok = req.tstamp_ok;
  tp.wscale_ok = req.wscale_ok;
  tp.snd_wscale = req.wscale_ok ? req.snd_wscale : u8{0};
  tp.rcv_wscale = req.wscale_ok ? req.rcv_wscale : u8{0};
  tp.ts_recent = req.tstamp_ok ? req.ts_recent : 0;
  tp.ts_recent_stamp = detail::tw_clock(net.worker().now);
  tp.tsoffset = req.ts_off;
  tp.mss_clamp = req.mss;
  tp.advmss = req.adv_mss;
  tp.scaling_ratio = req.scaling_ratio;
  tp.saved_syn = std::exchange(req.saved_syn, u8{0});
  if (req.user_timeout != 0) [[unlikely]]
    tcp_rcv_user_timeout(net, tp, req.user_timeout);
  tp.ecn_flags = req.ecn_ok ? tcp_ecn::ok : u8{0};
  tcp_assign_congestion_control(net, *child);
  tcp_prepare_congestion_control(net, *child);
  // The SYN-ACK was sent once: its round trip is the first measure (RFC 6298 §5.7 else).
  if (req.num_retrans != 0) [[unlikely]] {
    tcp_rare_of(net, tp).total_retrans = req.num_retrans;
  } else if (req.hashed) {
    u32 const rtt_us = tcp_clock_us(net) - req.sent_us;
    tcp_rtt_estimator(tp, rtt_us);
    tcp_update_rtt_min(net, tp, rtt_us, [] { return false; });
    tcp_set_rto(tp);
  }
  inet_bind_hash(net, *child, req.key.hnum, true);
  inet_hash_child(net, tp, req);
  tp.delivered = tp.segs_in = 1;  // the SYN-ACK; the SYN
  ++TCP_STATS(net).PassiveOpens;
  return child;
}

}  // namespace netstack
