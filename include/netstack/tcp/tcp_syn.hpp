// SPDX-License-Identifier: BSL-1.0
// Decides: what is said without a connection, on IPv4: a SYN-ACK for a request, a RST for nobody, an acknowledgment for
// who is in TIME-WAIT. And where a connection's numbers begin, so that no stranger can tell.
// rx: called by tcp_input through conn_request, by tcp_v4_rcv → calls ip_send_skb
// Linux: net/ipv4/tcp_ipv4.c (tcp_v4_send_reset, tcp_v4_send_synack), net/ipv4/tcp_input.c (tcp_conn_request),
// net/ipv4/tcp_minisocks.c (tcp_check_req), net/core/secure_seq.c
// RFC 9293 §3.5.2 (reset generation), §3.10.7.2 (LISTEN), RFC 6528 §3 (ISN), RFC 7323 §5.4 (time stamp offset) [S144]
#pragma once
#include "netstack/ipv4/ip_options_echo.hpp"
#include "netstack/ipv4/ip_way.hpp"
#include "netstack/tcp/tcp_fastopen.hpp"
#include "netstack/tcp/tcp_syncookies.hpp"
#include "netstack/tcp/tcp_v4_xmit.hpp"

namespace netstack {

// --- numbers

/// What only this host knows of two ends: in its halves the beginning of sequence numbers and of time stamps.
template <class Net>
[[nodiscard]] u64 tcp_v4_secret(Net& net, inet_ehash_key const& key) {
  return siphash_3u32(key.daddr.raw(), key.saddr.raw(), inet_ports_of(key), tcp_worker_of(net).isn_secret);
}
/// RFC 6528 §3, MUST-8 MUST-9 SHLD-1: a clock, and a secret function of both ends: the same two meet growing numbers,
/// others learn nothing.
template <class Net>
[[nodiscard]] u32 tcp_v4_secure_isn(Net& net, u64 secret) {
  return static_cast<u32>(secret) + static_cast<u32>(net.worker().now >> 6);  // a step each 64 ns
}
[[nodiscard]] inline u32 tcp_v4_ts_offset(u64 secret) { return static_cast<u32>(secret >> 32); }

namespace detail {

/// How a segment of no connection looks.
struct tcp_v4_reply {
  be32 saddr{}, daddr{};
  tcp_header_fields header{};
  tcp_out_options opts{};
  inet_options ip_opt{};
  u32 oif = 0;
  u32 mark = 0;
  u8 tos = 0;
};

/// Sends it. Errors: no_buffer_space, the route's.
template <class Net>
result<void> tcp_v4_send_reply(Net& net, tcp_v4_reply const& reply) {
  auto const& opt = reply.ip_opt;
  flowi4 fl4{.daddr = opt.srr ? opt.faddr : reply.daddr,
             .saddr = reply.saddr,
             .oif = reply.oif,
             .mark = reply.mark,
             .tos = reply.tos,
             .proto = ipproto::tcp,
             .anysrc = true,
             .sport = reply.header.source,
             .dport = reply.header.dest};
  if (opt.is_strictroute) [[unlikely]]
    fl4.scope = rt_scope::link;
  auto const rt = ip_route_output_key(net, fl4);
  if (!rt) [[unlikely]]
    return failure{rt.error()};
  ip_tx const tx{.tos = reply.tos,
                 .protocol = ipproto::tcp,
                 .pmtudisc = ip_pmtudisc::do_,
                 .mark = reply.mark,
                 .options = opt.data,
                 .optlen = opt.optlen,
                 .srr = opt.srr,
                 .daddr = reply.daddr};
  sk_buff* const skb = tcp_alloc_skb(net);
  if (!skb) return failure{std::errc::no_buffer_space};
  tcp_push_header(*skb, reply.header, reply.opts, csum_tcpudp_nofold(reply.saddr, reply.daddr, 0, ipproto::tcp, 0));
  ++TCP_STATS(net).OutSegs;
  if constexpr (ip_ways_possible<Net>)
    if (ip_way way; ip_way_keep(net, way, **rt, fl4, tx)) [[likely]]
      if (has_headroom(*skb, *(*rt)->dev, static_cast<u32>(ip_hlen_min))) [[likely]]
        return ip_way_send(net, *skb, way);
  return ip_send_skb(net, *skb, **rt, fl4, tx);
}
/// From whom it was for, to whom it came from.
inline tcp_v4_reply tcp_v4_reply_to(sk_buff const& skb) {
  auto const& iph = *ip_hdr(skb);
  auto const& th = *skb.transport_hdr<tcphdr>();
  return {.saddr = iph.daddr,
          .daddr = iph.saddr,
          .header = {.source = th.dest, .dest = th.source},
          .ip_opt = ip_options_save(skb)};
}

/// RFC 9293 §3.5.2: whatever does not belong to a connection is answered with a RST that its sender will believe; a RST
/// never is.
template <class Net>
NETSTACK_COLD void tcp_v4_send_reset(Net& net, sk_buff const& skb, tcp_rx const& rx) {
  if (rx.has(tcp_flag::rst)) return;
  auto const* rt = skb_rtable(skb);
  if (rt && rt->rt_type != rtn::local) return;
  auto reply = tcp_v4_reply_to(skb);
  reply.header.flags = tcp_flag::rst;
  if (rx.has(tcp_flag::ack)) {
    reply.header.seq = rx.ack_seq;
  } else {
    reply.header.flags |= tcp_flag::ack;
    reply.header.ack_seq = rx.end_seq;
  }
  if (tcp_v4_send_reply(net, reply)) ++TCP_STATS(net).OutRsts;
}

template <class Net>
void tcp_v4_timewait_ack(Net& net, sk_buff const& skb, tcp_timewait_sock const& tw) {
  auto reply = tcp_v4_reply_to(skb);
  reply.tos = tw.tos;
  reply.header.seq = tw.snd_nxt;
  reply.header.ack_seq = tw.rcv_nxt;
  reply.header.flags = tcp_flag::ack;
  reply.header.window = tw.rcv_wnd;
  if (tw.ts_recent != 0)
    reply.opts.tstamp = true, reply.opts.tsval = tcp_time_stamp(net) + tw.ts_offset, reply.opts.tsecr = tw.ts_recent;
  (void)tcp_v4_send_reply(net, reply);
}

/// RFC 9293 §3.9.2.1, MUST-52 MUST-53: the way back by which all of the connection will go, and what the SYN had
/// recorded. False: there is no room for more of them.
template <class Net>
bool tcp_v4_save_options(Net& net, tcp_request_sock& req, sk_buff const& skb) {
  inet_options const opt = ip_options_save(skb);
  if (opt.optlen == 0) [[likely]]
    return true;
  auto& saved = worker_generic<ipv4>(net.worker()).ip_options;
  // Half of them peers may take; the other is for who sets IP_OPTIONS.
  inet_options const* const room = saved.in_use() < saved.capacity() / 2 ? saved.alloc(opt) : nullptr;
  if (room) req.ireq_opt = static_cast<u8>(saved.index_of(room) + 1);
  return room != nullptr;
}

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

/// A SYN-ACK of the common kind needs no packet where the driver has a place for it. False: nothing was sent.
template <class Net>
bool tcp_v4_synack_short(Net& net, tcp_request_sock const& req, tcp_header_fields const& f,
                         tcp_out_options const& opts) {
  sock const& listener = *req.rsk_listener;
  if (!opts.is_common_syn() || req.ireq_opt != 0 || listener.sk_bound_dev_if != 0) [[unlikely]]
    return false;
  u8 const tos = inet_sk(listener).tos;
  flowi4 fl4{.daddr = req.key.saddr,
             .saddr = req.key.daddr,
             .mark = listener.sk_mark,
             .tos = tos,
             .proto = ipproto::tcp,
             .anysrc = true,
             .sport = f.source,
             .dport = f.dest};
  auto const rt = ip_route_output_key(net, fl4);
  if (!ip_ways_possible<Net> || !rt || !(*rt)->dev || !dev_takes_short<Net>(*(*rt)->dev) || !ip_rt_is_plain(net, **rt))
    return false;
  ip_way const way{.rt = *rt,
                   .first = ip_first_words(0x45, tos, ip_df),
                   .second = ipv4_net(net).sysctl_ip_default_ttl | ip_second_words(ipproto::tcp, req.key.daddr),
                   .daddr = req.key.saddr};
  return tcp_v4_syn_short(net, way, f, opts, csum_tcpudp_nofold(req.key.daddr, req.key.saddr, 0, ipproto::tcp, 0));
}
/// What a half-open connection says; flags: SYN-ACK, or ACK when something out of the window was heard.
template <class Net>
result<void> tcp_v4_send_request(Net& net, tcp_request_sock const& req, u8 flags,
                                 tcp_fastopen_cookie const& cookie = {}) {
  sock const& listener = *req.rsk_listener;
  bool const syn = (flags & tcp_flag::syn) != 0;
  tcp_header_fields const f{
      .source = be16{req.key.hnum},
      .dest = req.key.sport,
      .seq = syn ? req.snt_isn : req.snt_isn + 1,
      .ack_seq = req.rcv_isn + 1,
      .flags = static_cast<u8>(syn && req.ecn_ok ? flags | tcp_flag::ece : flags),
      .window = static_cast<u16>(syn ? std::min<u32>(req.rcv_wnd, 0xffff) : req.rcv_wnd >> req.rcv_wscale)};
  tcp_out_options opts;
  if (req.tstamp_ok) opts.tstamp = true, opts.tsval = tcp_time_stamp(net) + req.ts_off, opts.tsecr = req.ts_recent;
  if (syn) {
    opts.mss = req.adv_mss;
    opts.sack_ok = req.sack_ok;
    if (req.wscale_ok) opts.wscale_ok = true, opts.wscale = req.rcv_wscale;
    opts.fastopen = cookie.len > 0;
    if (opts.fastopen) opts.fastopen_len = static_cast<u8>(cookie.len), opts.cookie = cookie.val;
    if (tcp_v4_synack_short(net, req, f, opts)) return {};
  }
  tcp_v4_reply reply{.saddr = req.key.daddr,
                     .daddr = req.key.saddr,
                     .header = f,
                     .opts = opts,
                     .oif = listener.sk_bound_dev_if,
                     .mark = listener.sk_mark,
                     .tos = inet_sk(listener).tos};
  if (req.ireq_opt != 0) reply.ip_opt = worker_generic<ipv4>(net.worker()).ip_options.at(req.ireq_opt - 1u);
  return tcp_v4_send_reply(net, reply);
}

/// The SYN-ACK was not answered: it is sent again, ever more rarely, and given up at last. Or it was, and nothing
/// followed although TCP_DEFER_ACCEPT waits for that: then once more at the end of that wait.
template <class Net>
void reqsk_timer_handler(void*, timer_list& timer) {
  auto& req = from_timer<&tcp_request_sock::rsk_timer>(timer);
  auto& net = *static_cast<Net*>(req.net);
  auto const& listener = inet_csk(*req.rsk_listener);
  u32 const most =
      listener.icsk_syn_retries != 0 ? listener.icsk_syn_retries : tcp_pernet(net).sysctl_tcp_synack_retries;
  bool const deferring = req.acked && req.num_timeout < listener.icsk_defer_accept;
  ++NET_STATS(net).TCPTimeouts;
  if (listener.sk_state != tcp_state::listen || (req.num_timeout >= most && !deferring))
    return inet_csk_reqsk_queue_drop(net, req);
  if (!req.acked || req.num_timeout + 1 >= listener.icsk_defer_accept) {
    ++TCP_STATS(net).RetransSegs;
    ++NET_STATS(net).TCPSynRetrans;
    (void)tcp_v4_send_request(net, req, tcp_flag::syn | tcp_flag::ack);
  }
  ++req.num_timeout;
  u64 const wait = std::min(u64{tcp_timeout_init} << std::min<u32>(req.num_timeout, 30), u64{tcp_rto_max}) * 1000;
  net.worker().timers.mod_timer(req.rsk_timer, net.worker().now + wait);
}

/// What the options of the SYN ask for, and we agree to.
template <class Net>
void tcp_openreq_init(Net& net, sock& listener, tcp_request_sock& req, u64 secret, sk_buff const& skb,
                      tcp_options_received const& syn) {
  auto const& ns = tcp_pernet(net);
  auto const& tp = tcp_sk(listener);
  req.tstamp_ok = syn.saw_tstamp && ns.sysctl_tcp_timestamps;
  req.sack_ok = syn.sack_ok && ns.sysctl_tcp_sack;
  req.wscale_ok = syn.wscale_ok && ns.sysctl_tcp_window_scaling;
  req.snd_wscale = syn.snd_wscale;
  req.user_timeout = syn.user_timeout;
  req.ts_recent = syn.rcv_tsval;
  req.ts_off = tcp_v4_ts_offset(secret);
  u32 const mss = std::max<u32>(syn.mss != 0 ? syn.mss : tcp_mss_default, tcp_min_mss);
  req.mss = static_cast<u16>(std::min<u32>(mss, tp.rare->user_mss ? tp.rare->user_mss : 0xffff));
  u32 const mtu = skb.dev ? std::min<u32>(skb.dev->mtu, ip_max_mtu) : 576;
  u32 const own = mtu - static_cast<u32>(ip_hlen_min + tcp_hlen_min);
  req.adv_mss = static_cast<u16>(std::min<u32>(own, tp.rare->user_mss ? tp.rare->user_mss : 0xffff));
  // No more than there is room for in segments of that size.
  req.scaling_ratio = std::min(tp.scaling_ratio, tcp_scaling_ratio_of(net, req.adv_mss));
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
NETSTACK_COLD void tcp_v4_send_cookie(Net& net, sock& sk, tcp_request_sock& req) {
  auto const& w = tcp_worker_of(net);
  // Without a time stamp to tell them by, no options hold.
  if (!req.tstamp_ok) req.sack_ok = req.wscale_ok = req.ecn_ok = false;
  if (!req.wscale_ok) req.rcv_wscale = 0, req.rcv_wnd = std::min<u32>(req.rcv_wnd, 0xffff);
  req.snt_isn = cookie_init_sequence(w.syncookie_secret, req.key, req.rcv_isn, net.worker().now, req.mss);
  u32 const clock = tcp_time_stamp(net);
  req.ts_off += cookie_init_timestamp(req, clock) - clock;
  tcp_synq_overflow(sk, net.worker().now);
  ++NET_STATS(net).SyncookiesSent;
  (void)tcp_v4_send_request(net, req, tcp_flag::syn | tcp_flag::ack);
}
/// Answers a SYN, and remembers it.
template <class Net>
void inet_csk_reqsk_queue_hash_add(Net& net, sock& sk, tcp_request_sock& req, tcp_fastopen_cookie const& cookie) {
  sock_hold(sk);
  ++inet_csk(sk).icsk_listen.syn_qlen;
  inet_ehash_insert(net, req, inet_ehashfn(net, req.key));
  req.hashed = true;
  req.rsk_timer.function = reqsk_timer_handler<Net>;
  req.sent = net.worker().now;
  net.worker().timers.mod_timer(req.rsk_timer, req.sent + u64{tcp_timeout_init} * 1000);
  (void)tcp_v4_send_request(net, req, tcp_flag::syn | tcp_flag::ack, cookie);
}

}  // namespace detail

/// inet_connection_sock_af_ops::conn_request: a SYN for a listener. It is answered, or dropped without a word, so that
/// its sender tries again.
template <class Net>
verdict tcp_v4_conn_request(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto const* rt = skb_rtable(skb);
  // MUST-57: none to a broadcast or multicast address.
  if (rt && rt->rt_flags & (rtcf::broadcast | rtcf::multicast)) return drop(net, skb, drop_reason::ip_invalid_dest);
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
  auto const& iph = *ip_hdr(skb);
  auto const& th = *skb.transport_hdr<tcphdr>();
  req->net = &net;
  req->rsk_listener = &sk;
  req->key = {
      .saddr = iph.saddr, .daddr = iph.daddr, .sport = th.source, .hnum = th.dest.host(), .dif = sk.sk_bound_dev_if};
  req->rcv_isn = rx.seq;
  u64 const secret = tcp_v4_secret(net, req->key);
  req->snt_isn = rx.tw_isn != 0 ? rx.tw_isn : tcp_v4_secure_isn(net, secret);
  detail::tcp_openreq_init(net, sk, *req, secret, skb, rx.opt);
  req->ecn_ok = tcp_ecn_create_request(net, sk, rx);
  if (!detail::tcp_v4_save_options(net, *req, skb)) {
    if (!no_room) tcp_worker_of(net).requests.free(req);
    return detail::tcp_listendrop(net, sk, skb, drop_reason::tcp_request_full);
  }
  if (no_room) {
    detail::tcp_v4_send_cookie(net, sk, *req);
    tcp_v4_reqsk_destructor(net, *req);
    return verdict::consumed();
  }
  if (tcp_sk(sk).save_syn != 0) [[unlikely]]
    detail::tcp_reqsk_record_syn(net, sk, *req, skb);
  tcp_fastopen_cookie cookie;
  if (sock* const child = tcp_try_fastopen(net, sk, *req, rx, cookie)) {
    tcp_v4_reqsk_destructor(net, *req);
    tcp_worker_of(net).requests.free(req);
    return tcp_fastopen_process(net, sk, *child, skb, rx, cookie);
  }
  detail::inet_csk_reqsk_queue_hash_add(net, sk, *req, cookie);
  return verdict::consumed();
}

/// The connection that a request becomes; it is not in the listener's queue yet. Null: there is no room (counted).
template <class Net>
sock* tcp_v4_syn_recv_sock(Net& net, sock& listener, tcp_request_sock& req) {
  bool const full = sk_acceptq_is_full(listener);
  sock* const child = full ? nullptr : tcp_create_openreq_child(net, listener, req);
  if (!child) {
    if (full) ++NET_STATS(net).ListenOverflows;
    ++NET_STATS(net).ListenDrops;
    ++listener.sk_drops;
    return nullptr;
  }
  auto& tp = tcp_sk(*child);
  tp.csum_flow = csum_tcpudp_nofold(child->sk_rcv_saddr, child->sk_daddr, 0, ipproto::tcp, 0);
  tp.advmss = req.adv_mss;
  tp.scaling_ratio = req.scaling_ratio;
  if (u8 const at = std::exchange(req.ireq_opt, u8{0}); at != 0) [[unlikely]]
    sk_rare_of(net, *child)->opt = &worker_generic<ipv4>(net.worker()).ip_options.at(at - 1u);
  tp.saved_syn = std::exchange(req.saved_syn, u8{0});
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
      ++TCP_STATS(net).RetransSegs;
      ++NET_STATS(net).TCPSynRetrans;
      req.num_timeout = std::max<u8>(req.num_timeout, 1);  // no measure of the round trip any more
      (void)detail::tcp_v4_send_request(net, req, tcp_flag::syn | tcp_flag::ack);
    }
    return nullptr;
  }
  // RFC 9293 §3.10.7.4: an ACK of something else, and the request stays.
  if (rx.is(tcp_flag::ack, tcp_flag::ack | tcp_flag::rst) && rx.ack_seq != req.snt_isn + 1) {
    detail::tcp_v4_send_reset(net, skb, rx);
    v = drop(net, skb, drop_reason::tcp_invalid_ack_sequence);
    return nullptr;
  }
  if (paws_reject || !tcp_in_window(rx.seq, rx.end_seq, req.rcv_isn + 1, req.rcv_isn + 1 + req.rcv_wnd)) {
    if (!rx.has(tcp_flag::rst) &&
        !detail::tcp_oow_rate_limited(net, req.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSynRecv))
      (void)detail::tcp_v4_send_request(net, req, tcp_flag::ack);
    if (paws_reject) ++NET_STATS(net).PAWSEstab;
    v = drop(net, skb, paws_reject ? drop_reason::tcp_rfc7323_paws : drop_reason::tcp_invalid_sequence);
    return nullptr;
  }
  if (rx.flags & (tcp_flag::rst | tcp_flag::syn)) {
    // MUST-11: a passive open that fails returns to LISTEN. Of a RST that is not exact: RFC 5961 §3.2.
    if (rx.has(tcp_flag::rst) && rx.seq != req.rcv_isn + 1) {
      if (!detail::tcp_oow_rate_limited(net, req.oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSynRecv)) {
        ++NET_STATS(net).TCPChallengeACK;
        (void)detail::tcp_v4_send_request(net, req, tcp_flag::ack);
      }
      v = drop(net, skb, drop_reason::tcp_invalid_sequence);
      return nullptr;
    }
    ++TCP_STATS(net).AttemptFails;
    ++NET_STATS(net).EmbryonicRsts;
    detail::tcp_v4_send_reset(net, skb, rx);
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
  sock* const child = tcp_v4_syn_recv_sock(net, listener, req);
  if (!child) {
    // The peer believes that it is connected; it will repeat itself, or hear our SYN-ACK again.
    v = drop(net, skb, drop_reason::tcp_listen_overflow);
    req.acked = true;
    if (!tcp_pernet(net).sysctl_tcp_abort_on_overflow) return nullptr;
    ++NET_STATS(net).EmbryonicRsts;
    detail::tcp_v4_send_reset(net, skb, rx);
  }
  inet_csk_reqsk_queue_drop(net, req);
  return child;
}

}  // namespace netstack
