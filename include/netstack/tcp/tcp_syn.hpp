// SPDX-License-Identifier: BSL-1.0
// Decides: what becomes of a SYN for a listener, and of what comes next for it, until there is a connection. And where
// a connection's numbers begin, so that no stranger can tell. Both ends, and how they are answered, are the IP
// version's: tcp_request_sock_ops.
// rx: called by tcp_v4_conn_request, tcp_v4_cookie_check, tcp_v4_rcv → calls tcp_request_sock_ops
// Linux: net/ipv4/tcp_input.c (tcp_conn_request), net/ipv4/tcp_minisocks.c (tcp_check_req), net/ipv4/syncookies.c
// (cookie_v4_check), net/core/secure_seq.c
// RFC 9293 §3.10.7.2 (LISTEN), §3.10.7.4 (SYN-RECEIVED), RFC 6528 §3 (ISN), RFC 7323 §5.4 (time stamp offset)
#pragma once
#include "netstack/tcp/tcp_fastopen.hpp"
#include "netstack/tcp/tcp_syncookies.hpp"

namespace netstack {

// --- numbers

/// RFC 6528 §3, MUST-8 MUST-9 SHLD-1: a clock, and a secret function of both ends: the same two meet growing numbers,
/// others learn nothing. And what is added to the clock of their time stamps.
template <class Net, class Key>
[[nodiscard]] tcp_seq_and_ts_off secure_tcp_seq_and_ts_off(Net& net, Key const& key) {
  u64 const secret = inet_ends_secret(key, tcp_worker_of(net).isn_secret);
  return {.seq = static_cast<u32>(secret) + static_cast<u32>(net.worker().now >> 6),  // a step each 64 ns
          .ts_off = static_cast<u32>(secret >> 32)};
}

namespace detail {

/// TCP_SAVE_SYN: for who asks, once the connection is there. If too many were not asked for yet, it is not kept.
template <class Net>
NETSTACK_COLD void tcp_reqsk_record_syn(Net& net, sock const& listener, tcp_request_sock& req, sk_buff const& skb) {
  bool const link = tcp_sk(listener).save_syn == 2 && skb.mac_header_was_set();
  u32 const from = link ? skb.mac_header : skb.network_header,
            len = skb.transport_header + static_cast<u32>(skb.transport_hdr<tcphdr>()->header_len()) - from;
  auto& saved = tcp_worker_of(net).saved_syns;
  auto* const syn = len <= tcp_saved_syn::max ? saved.alloc() : nullptr;
  if (!syn) return;
  std::memcpy(syn->bytes.data(), skb.head + from, len);
  syn->len = static_cast<u8>(len);
  req.saved_syn = static_cast<u8>(saved.index_of(syn) + 1);
}

/// What a half-open connection says, `syn`: its SYN-ACK.
template <class Net>
NETSTACK_INLINE void tcp_reqsk_say(Net& net, tcp_request_sock const& req, bool syn, tcp_fastopen_cookie const& cookie) {
  tcp_out_options opts;
  if (req.tstamp_ok) opts.tstamp = true, opts.tsval = tcp_time_stamp(net) + req.ts_off, opts.tsecr = req.ts_recent;
  if (syn) {
    opts.mss = req.adv_mss;
    opts.sack_ok = req.sack_ok;
    if (req.wscale_ok) opts.wscale_ok = true, opts.wscale = req.rcv_wscale;
    opts.fastopen = cookie.len > 0;
    if (opts.fastopen) opts.fastopen_len = static_cast<u8>(cookie.len), opts.cookie = cookie.val;
  }
  u8 const flags = syn ? tcp_flag::syn | tcp_flag::ack : tcp_flag::ack;
  tcp_header_fields const f{
      .source = be16{req.key.hnum},
      .dest = req.key.sport,
      .seq = syn ? req.snt_isn : req.snt_isn + 1,
      .ack_seq = req.rcv_isn + 1,
      .flags = static_cast<u8>(syn && req.ecn_ok ? flags | tcp_flag::ece : flags),
      .window = static_cast<u16>(syn ? std::min<u32>(req.rcv_wnd, 0xffff) : req.rcv_wnd >> req.rcv_wscale)};
  (void)tcp_rsk_ops<Net>(req).send_synack(net, req, f, opts);  // lost, as on the wire
}
template <class Net>
NETSTACK_NOINLINE void tcp_reqsk_send_synack(Net& net, tcp_request_sock const& req,
                                             tcp_fastopen_cookie const& cookie = {}) {
  tcp_reqsk_say(net, req, true, cookie);
}
/// Something out of the window was heard.
template <class Net>
NETSTACK_COLD void tcp_reqsk_send_ack(Net& net, tcp_request_sock const& req) {
  tcp_reqsk_say(net, req, false, {});
}

/// … once more.
template <class Net>
void tcp_rtx_synack(Net& net, tcp_request_sock& req) {
  ++TCP_STATS(net).RetransSegs;
  ++NET_STATS(net).TCPSynRetrans;
  if (req.num_retrans != 0xff) ++req.num_retrans;
  tcp_reqsk_send_synack(net, req);
}
template <class Net>
void reqsk_timer_handler(void* ctx, timer_list& timer);
/// The row of those who wait so long, which their listener wants. Where listeners want more than there are rows, that
/// of the next shorter wait: too early is in time.
NETSTACK_COLD inline u32 tcp_reqsk_own_row(tcp_request_rows& all, u32& wait) {
  u32 empty = all.own, shorter = all.own;
  for (u32 i = 0; i < all.own; ++i) {
    if (all.rows[all.usual + i].empty())
      empty = i;
    else if (all.own_wait[i] == wait)
      return all.usual + i;
    else if (all.own_wait[i] < wait && (shorter == all.own || all.own_wait[i] > all.own_wait[shorter]))
      shorter = i;
  }
  if (empty != all.own) return all.own_wait[empty] = wait, all.usual + empty;
  wait = shorter != all.own ? all.own_wait[shorter] : tcp_timeout_init;
  return shorter != all.own ? all.usual + shorter : 0;
}
/// It waits for an answer from now on, the longer the more often it did in vain; until now it stands in no row.
template <class Net>
NETSTACK_INLINE void tcp_reqsk_wait(Net& net, tcp_request_sock& req, u8 timeouts) {
  auto& w = tcp_worker_of(net);
  auto& all = w.request_rows;
  u32 const n = std::min<u32>(timeouts, all.usual - 1), usual = std::min(tcp_timeout_init << n, tcp_rto_max);
  u32 wait = n == 0 ? usual : std::min(usual, tcp_rto_max_of(tcp_sk(*req.rsk_listener)));
  req.row = static_cast<u8>(wait == usual ? n : tcp_reqsk_own_row(all, wait));
  req.due = net.worker().now + u64{wait} * 1000;
  all.rows[req.row].push_back(w.requests, req);
  if (timer_pending(all.timer) && all.timer.expires <= req.due) [[likely]]
    return;
  all.timer.function = reqsk_timer_handler<Net>;
  net.worker().timers.mod_timer(all.timer, req.due);
}
template <class Net>
void tcp_reqsk_wait_anew(Net& net, tcp_request_sock& req) {
  auto& w = tcp_worker_of(net);
  w.request_rows.rows[req.row].erase(w.requests, req);
  tcp_reqsk_wait(net, req, req.num_timeout);
}
/// How often a SYN-ACK is repeated. In a queue that is more than half full a handshake that was not completed at once
/// stands in the way of others: the fewer of those there are that are no timeout old, the fewer tries the rest have.
template <class Net>
[[nodiscard]] u32 tcp_synack_retries_of(Net& net, tcp_sock const& listener) {
  auto const& l = listener.icsk_listen;
  u32 most = listener.icsk_syn_retries != 0 ? listener.icsk_syn_retries : tcp_pernet(net).sysctl_tcp_synack_retries;
  if (u64{l.syn_qlen} * 2 <= std::max(8u, l.max_ack_backlog)) [[likely]]
    return most;
  for (u64 young = u64{l.syn_qlen - listener.rare->syn_qold} * 2; most > 2 && l.syn_qlen >= young; --most) young *= 2;
  return most;
}

/// The SYN-ACK was not answered: it is sent again, ever more rarely, and given up at last. Or it was, and nothing
/// followed although TCP_DEFER_ACCEPT waits for that: then once more at the end of that wait.
template <class Net>
NETSTACK_COLD void reqsk_timeout(Net& net, tcp_request_sock& req) {
  auto& listener = tcp_sk(*req.rsk_listener);
  bool const deferring = req.acked && req.num_timeout < listener.icsk_defer_accept;
  ++NET_STATS(net).TCPTimeouts;
  if (listener.sk_state != tcp_state::listen || (req.num_timeout >= tcp_synack_retries_of(net, listener) && !deferring))
    return inet_csk_reqsk_queue_drop(net, req);
  if (!req.acked || req.num_timeout + 1 >= listener.icsk_defer_accept) tcp_rtx_synack(net, req);
  if (req.num_timeout++ == 0) ++tcp_rare_of(net, listener).syn_qold;
  tcp_reqsk_wait_anew(net, req);
}
/// Whose time has come; the timer waits for the next.
template <class Net>
void reqsk_timer_handler(void* ctx, timer_list& timer) {
  auto& worker = *static_cast<std::remove_reference_t<decltype(std::declval<Net&>().worker())>*>(ctx);
  auto& w = worker_generic<tcp>(worker);
  u64 next = ~u64{0};
  for (auto& row : w.request_rows.rows) {
    tcp_request_sock* req;
    while ((req = row.front(w.requests)) && req->due <= worker.now) reqsk_timeout(*static_cast<Net*>(req->net), *req);
    if (req) next = std::min(next, req->due);
  }
  if (next != ~u64{0} && (!timer_pending(timer) || next < timer.expires)) worker.timers.mod_timer(timer, next);
}

/// What the options of the SYN ask for, and we agree to.
template <class Net>
void tcp_openreq_init(Net& net, sock& listener, tcp_request_sock& req, u32 ts_off, sk_buff const& skb,
                      tcp_options_received const& syn) {
  auto const& ns = tcp_pernet(net);
  auto const& tp = tcp_sk(listener);
  req.tstamp_ok = syn.saw_tstamp;
  req.sack_ok = syn.sack_ok;
  req.wscale_ok = syn.wscale_ok;
  if (!tcp_offers_all(ns)) [[unlikely]] {
    req.tstamp_ok = req.tstamp_ok && ns.sysctl_tcp_timestamps;
    req.sack_ok = req.sack_ok && ns.sysctl_tcp_sack;
    req.wscale_ok = req.wscale_ok && ns.sysctl_tcp_window_scaling;
  }
  req.snd_wscale = syn.snd_wscale;
  req.user_timeout = syn.user_timeout;
  req.ts_recent = syn.rcv_tsval;
  req.ts_off = ts_off;
  u32 const mss = std::max<u32>(syn.mss != 0 ? syn.mss : tcp_mss_default, tcp_min_mss);
  req.mss = static_cast<u16>(std::min<u32>(mss, tp.rare->user_mss ? tp.rare->user_mss : 0xffff));
  u32 const mtu = skb.dev ? std::min<u32>(skb.dev->mtu, ip_max_mtu) : 576;
  u32 const own = mtu - tcp_rsk_ops<Net>(req).net_header_len - static_cast<u32>(tcp_hlen_min);
  req.adv_mss = static_cast<u16>(std::min<u32>(own, tp.rare->user_mss ? tp.rare->user_mss : 0xffff));
  // No more than there is room for in segments of that size.
  req.scaling_ratio = tcp_scaling_ratio_of(net, req.adv_mss, tp.scaling_ratio);
  req.rcv_wnd = std::min(static_cast<u32>(u64{listener.sk_rcvbuf} * req.scaling_ratio >> 8), tp.window_clamp);
  req.rcv_wscale = req.wscale_ok ? tcp_rcv_wscale_of(net, listener) : u8{0};
  if (!req.wscale_ok) req.rcv_wnd = std::min<u32>(req.rcv_wnd, 0xffff);
}

}  // namespace detail

namespace detail {

/// Room for one more that is half open: by the backlog (of n at least one may be, Linux since 6.13), by the namespace's
/// setting, and in memory.
template <class Net>
bool inet_csk_reqsk_queue_is_full(Net& net, sock const& sk) {
  auto const& l = inet_csk(sk).icsk_listen;
  auto const& requests = tcp_worker_of(net).requests;
  return l.syn_qlen > l.max_ack_backlog || l.syn_qlen >= tcp_pernet(net).sysctl_max_syn_backlog ||
         requests.in_use() == requests.capacity();
}
template <class Net>
verdict tcp_listendrop(Net& net, sock& sk, sk_buff& skb, drop_reason why) {
  ++sk.sk_drops;
  ++NET_STATS(net).ListenDrops;
  return drop(net, skb, why);
}

/// Answers a SYN and keeps nothing of it: RFC 4987 §3.6.
template <class Net>
NETSTACK_COLD void tcp_reqsk_send_cookie(Net& net, sock& sk, tcp_request_sock& req) {
  // Without a time stamp to tell them by, no options hold.
  if (!req.tstamp_ok) req.sack_ok = req.wscale_ok = req.ecn_ok = false;
  if (!req.wscale_ok) req.rcv_wscale = 0, req.rcv_wnd = std::min<u32>(req.rcv_wnd, 0xffff);
  req.snt_isn = tcp_rsk_ops<Net>(req).cookie_init_seq(net, req, req.mss);
  u32 const clock = tcp_time_stamp(net);
  req.ts_off += cookie_init_timestamp(req, clock) - clock;
  tcp_synq_overflow(sk, net.worker().now);
  ++NET_STATS(net).SyncookiesSent;
  tcp_reqsk_send_synack(net, req);
}
/// Answers a SYN, and remembers it.
template <class Net>
void inet_csk_reqsk_queue_hash_add(Net& net, sock& sk, tcp_request_sock& req, tcp_fastopen_cookie const& cookie) {
  sock_hold(sk);
  ++inet_csk(sk).icsk_listen.syn_qlen;
  inet_ehash_insert(net, req, req.hash);
  req.hashed = true;
  req.sent_us = tcp_clock_us(net);
  tcp_reqsk_wait(net, req, 0);
  tcp_reqsk_send_synack(net, req, cookie);
}

}  // namespace detail

/// A SYN for a listener, by an IP version whose `Ops` these are. It is answered, or dropped without a word, so that its
/// sender tries again.
template <auto const& Ops, class Net>
verdict tcp_conn_request(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  u8 const cookies = tcp_pernet(net).sysctl_tcp_syncookies;
  // One that follows a connection in TIME-WAIT needs a number beyond that one's: no cookie is.
  bool const no_room = rx.tw_isn == 0 && (cookies == 2 || detail::inet_csk_reqsk_queue_is_full(net, sk));
  if (no_room) ++(cookies != 0 ? NET_STATS(net).TCPReqQFullDoCookies : NET_STATS(net).TCPReqQFullDrop);
  if (no_room && cookies == 0) return detail::tcp_listendrop(net, sk, skb, drop_reason::tcp_request_full);
  if (sk_acceptq_is_full(sk)) {
    ++NET_STATS(net).ListenOverflows;
    return detail::tcp_listendrop(net, sk, skb, drop_reason::tcp_listen_overflow);
  }
  // Who is connected needs what memory there is.
  if (tcp_out_of_memory(net)) return detail::tcp_listendrop(net, sk, skb, drop_reason::proto_mem);
  // With a cookie it is needed no longer than its answer.
  alignas(tcp_request_sock) std::byte passing[sizeof(tcp_request_sock)];
  tcp_request_sock* const req = no_room ? ::new (passing) tcp_request_sock : tcp_worker_of(net).requests.alloc();
  if (!req) return detail::tcp_listendrop(net, sk, skb, drop_reason::tcp_request_full);
  req->net = &net;
  req->rsk_listener = &sk;
  req->rcv_isn = rx.seq;
  req->hash = rx.hash;
  Ops.init_req(net, *req, skb);
  tcp_seq_and_ts_off const from = Ops.init_seq_and_ts_off(net, *req);
  req->snt_isn = rx.tw_isn != 0 ? rx.tw_isn : from.seq;
  detail::tcp_openreq_init(net, sk, *req, from.ts_off, skb, rx.opt);
  req->ecn_ok = tcp_ecn_create_request(net, sk, rx);
  if (!Ops.route_req(net, *req, skb)) {
    if (!no_room) tcp_worker_of(net).requests.free(req);
    return detail::tcp_listendrop(net, sk, skb, drop_reason::tcp_request_full);
  }
  if (no_room) {
    detail::tcp_reqsk_send_cookie(net, sk, *req);
    tcp_reqsk_destructor(net, *req);
    return verdict::consumed();
  }
  if (tcp_sk(sk).save_syn != 0) [[unlikely]]
    detail::tcp_reqsk_record_syn(net, sk, *req, skb);
  tcp_fastopen_cookie cookie;
  if (rx.opt.fastopen || rx.end_seq != rx.seq + 1) [[unlikely]]
    if (sock* const child = tcp_try_fastopen(net, sk, *req, rx, cookie)) {
      tcp_reqsk_destructor(net, *req);
      tcp_worker_of(net).requests.free(req);
      return tcp_fastopen_process(net, sk, *child, skb, rx, cookie);
    }
  detail::inet_csk_reqsk_queue_hash_add(net, sk, *req, cookie);
  return verdict::consumed();
}

/// An ACK for a listener that remembers nothing of it: the connection, if the number it acknowledges is a cookie of
/// ours. Else null, and `outcome` is what became of the segment.
template <auto const& Ops, class Net>
sock* tcp_cookie_check(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx, tcp_outcome& outcome) {
  auto const nothing = [&] {
    outcome = {drop(net, skb, drop_reason::tcp_flags), true};
    return nullptr;
  };
  if (rx.has(tcp_flag::syn) || !tcp_pernet(net).sysctl_tcp_syncookies ||
      !tcp_synq_recent_overflow(sk, net.worker().now))
    return nothing();
  tcp_request_sock req{
      .net = &net, .rsk_listener = &sk, .rcv_isn = rx.seq - 1, .snt_isn = rx.ack_seq - 1, .hash = rx.hash};
  Ops.init_req(net, req, skb);
  auto syn = rx.opt;
  syn.mss = Ops.cookie_check(net, req);
  if (syn.mss == 0) {
    ++NET_STATS(net).SyncookiesFailed;
    return nothing();
  }
  ++NET_STATS(net).SyncookiesRecv;
  u32 const ts_off = Ops.init_seq_and_ts_off(net, req).ts_off;
  bool const ecn = syn.saw_tstamp && cookie_timestamp_decode(syn, syn.rcv_tsecr - ts_off);
  detail::tcp_openreq_init(net, sk, req, ts_off, skb, syn);
  req.ecn_ok = ecn && req.tstamp_ok;
  bool const room = Ops.route_req(net, req, skb);
  sock* const child = room ? tcp_af_ops<Net>(sk).syn_recv_sock(net, sk, req) : nullptr;
  tcp_reqsk_destructor(net, req);
  if (!child) outcome = drop(net, skb, drop_reason::tcp_listen_overflow);
  return child;
}

/// A segment for a half-open connection, RFC 9293 §3.10.7.4 for SYN-RECEIVED. The connection, if it is complete: then
/// the segment is its first. Else null, and `v` is what became of the segment; the request may be gone.
template <class Net>
sock* tcp_check_req(Net& net, sk_buff& skb, tcp_rx const& rx, tcp_request_sock& req, verdict& v) {
  sock& listener = *req.rsk_listener;
  bool const paws_reject = req.tstamp_ok && tcp_paws_reject(req.ts_recent, 0, rx);
  if (rx.seq == req.rcv_isn && rx.is(tcp_flag::syn, tcp_flag::syn | tcp_flag::rst | tcp_flag::ack) && !paws_reject) {
    // The peer did not hear our SYN-ACK.
    if (!detail::tcp_oow_rate_limited(net, req.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSynRecv)) {
      detail::tcp_rtx_synack(net, req);
      detail::tcp_reqsk_wait_anew(net, req);
    }
    return nullptr;
  }
  // RFC 9293 §3.10.7.4: an ACK of something else, and the request stays.
  if (rx.is(tcp_flag::ack, tcp_flag::ack | tcp_flag::rst) && rx.ack_seq != req.snt_isn + 1) {
    tcp_rsk_ops<Net>(req).send_reset(net, skb, rx);
    v = drop(net, skb, drop_reason::tcp_invalid_ack_sequence);
    return nullptr;
  }
  if (paws_reject || !tcp_in_window(rx.seq, rx.end_seq, req.rcv_isn + 1, req.rcv_isn + 1 + req.rcv_wnd)) {
    if (!rx.has(tcp_flag::rst) &&
        !detail::tcp_oow_rate_limited(net, req.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSynRecv))
      detail::tcp_reqsk_send_ack(net, req);
    if (paws_reject) ++NET_STATS(net).PAWSEstab;
    v = drop(net, skb, paws_reject ? drop_reason::tcp_rfc7323_paws : drop_reason::tcp_invalid_sequence);
    return nullptr;
  }
  if (rx.flags & (tcp_flag::rst | tcp_flag::syn)) {
    // MUST-11: a passive open that fails returns to LISTEN. Of a RST that is not exact: RFC 5961 §3.2.
    if (rx.has(tcp_flag::rst) && rx.seq != req.rcv_isn + 1) {
      if (!detail::tcp_oow_rate_limited(net, req.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSynRecv)) {
        ++NET_STATS(net).TCPChallengeACK;
        detail::tcp_reqsk_send_ack(net, req);
      }
      v = drop(net, skb, drop_reason::tcp_invalid_sequence);
      return nullptr;
    }
    ++TCP_STATS(net).AttemptFails;
    ++NET_STATS(net).EmbryonicRsts;
    tcp_rsk_ops<Net>(req).send_reset(net, skb, rx);
    inet_csk_reqsk_queue_drop(net, req);
    v = drop(net, skb, drop_reason::tcp_reset);
    return nullptr;
  }
  if (!rx.has(tcp_flag::ack)) {
    v = drop(net, skb, drop_reason::tcp_flags);
    return nullptr;
  }
  if (rx.opt.saw_tstamp && req.tstamp_ok && !after(rx.seq, req.rcv_isn + 1)) req.ts_recent = rx.opt.rcv_tsval;
  // TCP_DEFER_ACCEPT: the connection begins with what the peer has to say.
  if (req.num_timeout < inet_csk(listener).icsk_defer_accept && rx.end_seq == req.rcv_isn + 1) {
    req.acked = true;
    ++NET_STATS(net).TCPDeferAcceptDrop;
    return nullptr;
  }
  sock* const child = tcp_af_ops<Net>(listener).syn_recv_sock(net, listener, req);
  if (!child) {
    // The peer believes that it is connected; it will repeat itself, or hear our SYN-ACK again.
    v = drop(net, skb, drop_reason::tcp_listen_overflow);
    req.acked = true;
    if (!tcp_pernet(net).sysctl_tcp_abort_on_overflow) return nullptr;
    ++NET_STATS(net).EmbryonicRsts;
    tcp_rsk_ops<Net>(req).send_reset(net, skb, rx);
  }
  inet_csk_reqsk_queue_drop(net, req);
  return child;
}

}  // namespace netstack
