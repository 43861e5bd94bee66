// SPDX-License-Identifier: BSL-1.0
// Decides: when data travels with the SYN. A client that once had a cookie from this server sends it with its next SYN,
// and data behind it; a server that finds it right hands the data to the application before the handshake is complete.
// What the SYN brought or lost, the connection that follows knows nothing of: it is one like any other.
// tx: called by tcp_connect and tcp_sendmsg; rx: by tcp_conn_request and tcp_rcv_synsent_state_process
// Linux: net/ipv4/tcp_fastopen.c, net/ipv4/tcp_output.c (tcp_send_syn_data); RFC 7413 [S148]
#pragma once
#include "netstack/ipv4/inet_stream.hpp"
#include "netstack/tcp/tcp_input.hpp"
#include "netstack/tcp/tcp_sendmsg.hpp"

namespace netstack {

/// sysctl net/ipv4/tcp_fastopen.
namespace tfo {
inline constexpr u32 client_enable = 1, server_enable = 2, client_no_cookie = 4, server_cookie_not_reqd = 0x200,
                     server_wo_sockopt1 = 0x400;
}
inline constexpr u32 tcp_fastopen_cookie_size = 8;
/// What the setting says, as tfo::… bits: it may be any number, as in Linux.
template <class Net>
[[nodiscard]] u32 tcp_fastopen_enabled(Net& net) {
  return static_cast<u32>(tcp_pernet(net).sysctl_tcp_fastopen);
}

// --- what a client remembers: RFC 7413 §4.1.3

namespace detail {

template <class Net>
[[nodiscard]] tcp_fastopen_metrics& tcp_fastopen_slot(Net& net, sock const& sk) {
  auto& w = tcp_worker_of(net);
  u32 const hash = inet_hosts_hash(net, sk, w.flow_secret);
  return w.fastopen_cache[hash % w.fastopen_cache.size()];
}
template <class Net>
[[nodiscard]] tcp_fastopen_metrics* tcp_fastopen_cache_get(Net& net, sock const& sk) {
  auto& slot = tcp_fastopen_slot(net, sk);
  return slot.net == &net && inet_ends_equal(net, slot.hosts, sk) ? &slot : nullptr;
}
}  // namespace detail

/// What an answer to a SYN, or the want of one, teaches of this server. It takes the place of whoever was there.
template <class Net>
void tcp_fastopen_cache_set(Net& net, sock const& sk, u16 mss, tcp_fastopen_cookie const* cookie, bool syn_lost) {
  auto& slot = detail::tcp_fastopen_slot(net, sk);
  if (!detail::tcp_fastopen_cache_get(net, sk)) {
    if (!cookie && !syn_lost) return;
    slot = {.net = &net, .hosts = inet_hosts_of(sk)};
  }
  if (mss != 0) slot.mss = mss;
  if (cookie) slot.cookie = *cookie;
  slot.syn_loss = syn_lost ? static_cast<u8>(std::min(slot.syn_loss + 1, 10)) : u8{0};
  if (syn_lost) slot.last_syn_loss = net.worker().now;
}

// --- paths that let such a handshake pass, and nothing behind it

/// One more was found: for a time that doubles from one to the next, no SYN says anything of Fast Open.
template <class Net>
void tcp_fastopen_active_disable(Net& net) {
  auto& ns = tcp_pernet(net);
  if (ns.sysctl_tcp_fastopen_blackhole_timeout == 0) return;
  ++ns.tfo_active_disable_times;
  ns.tfo_active_disable_stamp = net.worker().now;
  ++NET_STATS(net).TCPFastOpenBlackhole;
}
/// Nothing is heard any more of a connection that began with it, three timeouts in a row or to the end.
template <class Net>
void tcp_fastopen_active_detect_blackhole(Net& net, sock const& sk, bool expired) {
  u32 const timeouts = inet_csk(sk).icsk_retransmits;
  if (timeouts != 2 && !(timeouts < 2 && expired)) return;
  tcp_fastopen_active_disable(net);
  ++NET_STATS(net).TCPFastOpenActiveFail;
}
/// A connection is over: all that came of its data was the FIN behind it; or it was tried whether the path is right
/// again, and it is.
template <class Net>
void tcp_fastopen_active_disable_ofo_check(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto& ns = tcp_pernet(net);
  if (tp.data_segs_in != 0) {
    bool const within = sk.sk_dst_cache && sk.sk_dst_cache->dev && (sk.sk_dst_cache->dev->flags & iff::loopback);
    if (tp.syn_fastopen_ch && !within) ns.tfo_active_disable_times = 0;
    return;
  }
  if (!tp.ofo) return;
  auto const first = tp.ofo->queue.begin();
  if (std::next(first) == tp.ofo->queue.end() && (TCP_SKB_CB(*first).tcp_flags & tcp_flag::fin))
    tcp_fastopen_active_disable(net);
}

namespace detail {

/// As long as paths are suspected; the first afterwards shall find out.
template <class Net>
bool tcp_fastopen_active_should_disable(Net& net, tcp_sock& tp) {
  auto const& ns = tcp_pernet(net);
  if (ns.sysctl_tcp_fastopen_blackhole_timeout == 0 || ns.tfo_active_disable_times == 0) return false;
  u64 const wait = ns.sysctl_tcp_fastopen_blackhole_timeout << std::min(ns.tfo_active_disable_times - 1, 6u);
  tp.syn_fastopen_ch = net.worker().now - ns.tfo_active_disable_stamp >= wait;
  return !tp.syn_fastopen_ch;
}
/// May data go with the SYN? If not, cookie.len says what else: 0: one is asked for, -1: nothing is said of it.
template <class Net>
bool tcp_fastopen_cookie_check(Net& net, sock& sk, tcp_fastopen_cookie& cookie, u16& mss) {
  cookie.len = 0;
  if (auto const* known = tcp_fastopen_cache_get(net, sk)) {
    mss = known->mss;
    cookie = known->cookie;
    // RFC 7413 §4.1.3.1: where such SYNs vanish, others go, for a time that doubles.
    if (known->syn_loss > 1 && net.worker().now - known->last_syn_loss < 60'000'000'000u << known->syn_loss)
      return cookie.len = -1, false;
    cookie.len = std::max<std::int8_t>(cookie.len, 0);
  }
  if (tcp_fastopen_active_should_disable(net, tcp_sk(sk))) return cookie.len = -1, false;
  if ((tcp_fastopen_enabled(net) & tfo::client_no_cookie) || tcp_sk(sk).fastopen_no_cookie)
    return cookie.len = -1, true;
  if (cookie.len == 0) tcp_sk(sk).fastopen_client_fail = tcp_fastopen_client_fail::cookie_unavailable;
  return cookie.len > 0;
}

/// The part of the data that goes with the SYN joins the queue behind it; null: none does.
template <class Net>
sk_buff* tcp_queue_syn_data(Net& net, sock& sk, u16 mss) {
  auto& tp = tcp_sk(sk);
  auto& from = *tp.rare->fastopen_req->data;
  // RFC 7413 §4.1.3: as long as the server's MSS is not known, the least that everybody takes.
  u32 const theirs = mss != 0 ? std::max<u32>(mss, tcp_min_mss) : tcp_mss_default;
  u32 room = std::min<u32>(theirs, tp.advmss) - static_cast<u32>(tcpopt::max_len);
  room = std::min(room, tcp_frame_room(net));
  sk_buff* const skb = from.count() != 0 ? net.worker().pool.alloc_skb(max_tcp_header) : nullptr;
  if (!skb) return nullptr;
  TCP_SKB_CB(*skb) = {
      .seq = tp.write_seq, .end_seq = tp.write_seq, .tcp_flags = static_cast<u8>(tcp_flag::ack | tcp_flag::psh)};
  tcp_queue_skb(sk, *skb);
  tcp_fill(sk, *skb, from, room);
  return skb;
}

}  // namespace detail

/// Sends the SYN, which is in the queue already, with data if this server gave us a cookie, or else asks for one. In
/// the queue both stay apart: a repetition is a plain SYN. Errors: no_buffer_space, tcp_transmit's.
template <class Net>
NETSTACK_COLD result<void> tcp_send_syn_data(Net& net, sock& sk, sk_buff& syn) {
  auto& tp = tcp_sk(sk);
  auto& request = *tp.rare->fastopen_req;
  u16 mss = 0;
  bool const may = detail::tcp_fastopen_cookie_check(net, sk, request.cookie, mss);
  tp.syn_fastopen = may || request.cookie.len == 0;
  sk_buff* const out = may && request.data ? net.worker().pool.alloc_skb(max_tcp_header) : nullptr;
  sk_buff* const data = out ? detail::tcp_queue_syn_data(net, sk, mss) : nullptr;
  if (!data) {
    if (out) consume_skb(*out);
    return tcp_transmit_skb(net, sk, syn);
  }
  tp.syn_data = true;
  out->csum = csum_partial_copy(out->put(data->len), data->data, data->len, 0);
  auto cb = TCP_SKB_CB(syn);
  cb.end_seq = TCP_SKB_CB(*data).end_seq;
  TCP_SKB_CB(syn).sent = TCP_SKB_CB(*data).sent = tp.lsndtime = net.worker().now;
  ++NET_STATS(net).TCPOrigDataSent;
  return tcp_transmit(net, sk, *out, cb);
}

/// The SYN-ACK: what it says of Fast Open is remembered; data that did not arrive with the SYN goes at once.
template <class Net>
NETSTACK_COLD void tcp_rcv_fastopen_synack(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  sk_buff* const unacked = tp.syn_data ? tcp_sent_head(sk) : nullptr;
  bool const repeated = tp.rare->total_retrans != 0, gave = rx.opt.fastopen && rx.opt.fastopen_len != 0;
  tcp_fastopen_cookie const cookie{static_cast<std::int8_t>(rx.opt.fastopen_len), rx.opt.cookie};
  tcp_fastopen_cache_set(net, sk, rx.opt.mss, gave ? &cookie : nullptr, repeated && !gave && unacked);
  if (unacked) {
    tp.fastopen_client_fail =
        repeated ? tcp_fastopen_client_fail::syn_retransmitted : tcp_fastopen_client_fail::data_not_acked;
    ++NET_STATS(net).TCPFastOpenActiveFail;
    (void)tcp_retransmit_skb(net, sk, *unacked);
  } else if (tp.syn_data) {
    tp.syn_data_acked = true;
    ++NET_STATS(net).TCPFastOpenActive;
  }
}

/// MSG_FASTOPEN, or the first data of a socket that TCP_FASTOPEN_CONNECT keeps waiting for it: connects, and takes from
/// the data what goes with the SYN; of a connection that connect() began it learns how that went. Errors:
/// operation_not_supported, connection_already_in_progress, those of connect.
template <class Net>
result<void> tcp_sendmsg_fastopen(Net& net, sock& sk, msghdr const& m, iov_iter& from) {
  auto& tp = tcp_sk(sk);
  bool const enabled = (tcp_fastopen_enabled(net) & tfo::client_enable) != 0;
  if (!enabled || !sk.sk_socket || (m.name().size() >= sizeof(u16) && m.name().family() == af::unspec))
    return failure{std::errc::operation_not_supported};
  // As Linux has it, who asked for a cookie by connect() is taken to be about it for as long as the connection lasts.
  if (tp.rare->fastopen_req || tp.fastopen_asked) return failure{std::errc::connection_already_in_progress};
  tcp_fastopen_request request{.data = &from};
  tcp_rare_of(net, tp).fastopen_req = &request;
  if (tp.defer_connect) {
    tcp_connect_init(net, sk);  // as it is asked for by now
    if (!tcp_connect(net, sk)) tcp_set_state(net, sk, tcp_state::close);
  }
  auto const r = __inet_stream_connect(net, *sk.sk_socket, m.name(), (m.msg_flags & msg::dontwait) != 0, true);
  tcp_rare_of(net, tp).fastopen_req = nullptr;
  tp.defer_connect = false;
  return r;
}

// --- server

/// By what a listener makes cookies: its own keys, or else the namespace's.
template <class Net>
[[nodiscard]] tcp_fastopen_context const& tcp_fastopen_get_ctx(Net& net, sock const& sk) {
  u32 const own = tcp_sk(sk).fastopen_ctx;
  return own != 0 ? tcp_worker_of(net).fastopen_ctxs.at(own - 1) : tcp_pernet(net).fastopen_ctx;
}

namespace detail {

/// RFC 7413 §4.1.2: whoever has it, can be reached at this address.
template <class Net, class Key>
[[nodiscard]] tcp_fastopen_cookie tcp_fastopen_cookie_gen(Net& net, siphash_key_t const& secret, Key const& key) {
  tcp_fastopen_cookie cookie{.len = tcp_fastopen_cookie_size};
  u64 const hash = fastopen_hash(net, key, secret);
  std::memcpy(cookie.val.data(), &hash, sizeof hash);
  return cookie;
}
/// By which key the SYN's cookie was made; as many as there are: by none.
template <class Net, class Key>
[[nodiscard]] u32 tcp_fastopen_key_of(Net& net, tcp_fastopen_context const& ctx, Key const& key,
                                      tcp_options_received const& opt) {
  u32 n = 0;
  for (; n < ctx.num; ++n) {
    auto const right = tcp_fastopen_cookie_gen(net, ctx.key[n], key);
    if (opt.fastopen_len == right.len &&
        std::equal(right.val.begin(), right.val.begin() + right.len, opt.cookie.begin()))
      break;
  }
  return n;
}
/// RFC 7413 §5.1: so many may have been begun by data alone, no more: their addresses may be forged by who once had a
/// cookie for them. What the true owner of such an address ends with a RST makes no room for a minute, or it would for
/// the next forged one.
inline constexpr u32 tcp_fastopen_rst_ms = 60'000;
template <class Net>
bool tcp_fastopen_queue_check(Net& net, sock& listener) {
  auto const& tp = tcp_sk(listener);
  if (tp.rare->fastopen_rst != 0 && tcp_time_stamp(net) - tp.rare->fastopen_rst_stamp >= tcp_fastopen_rst_ms)
    tcp_own_rare(tcp_sk(listener)).fastopen_rst = 0;
  bool const unasked = (tcp_fastopen_enabled(net) & tfo::server_wo_sockopt1) != 0;
  u32 const most =
      tp.rare->fastopen_max_qlen == 0 && unasked ? tp.icsk_listen.max_ack_backlog : tp.rare->fastopen_max_qlen;
  if (u32{tp.rare->fastopen_qlen} + tp.rare->fastopen_rst < most) return true;
  if (most != 0) ++NET_STATS(net).TCPFastOpenListenOverflow;
  return false;
}

/// The connection of a SYN whose data may be read now. Its SYN-ACK is the first of its write queue, and is repeated as
/// in a simultaneous open. Null: there is no room.
template <class Net>
NETSTACK_COLD sock* tcp_fastopen_create_child(Net& net, sock& listener, tcp_request_sock& req, tcp_rx const& rx) {
  sk_buff* const synack = net.worker().pool.alloc_skb(max_tcp_header);
  sock* const child = synack ? tcp_af_ops<Net>(listener).syn_recv_sock(net, listener, req) : nullptr;
  if (!child) {
    if (synack) consume_skb(*synack);
    return nullptr;
  }
  auto& tp = tcp_sk(*child);
  tp.snd_una = tp.snd_nxt = tp.snd_sml = tp.write_seq = req.snt_isn;
  tp.snd_wnd = tp.max_window = rx.window;
  TCP_SKB_CB(*synack) = {
      .seq = req.snt_isn, .end_seq = req.snt_isn + 1, .tcp_flags = static_cast<u8>(tcp_flag::syn | tcp_flag::ack)};
  tcp_queue_skb(*child, *synack);
  ++tp.write_seq;
  tcp_init_transfer(net, *child);  // it may be answered, repeated and closed before the handshake is complete
  tcp_rare_of(net, tp).fastopen_rsk = &listener;
  sock_hold(listener);
  ++tcp_rare_of(net, tcp_sk(listener)).fastopen_qlen;
  return child;
}

}  // namespace detail

/// A SYN for a listener that says something of Fast Open, or brings data; it is to become `req`: the connection, if
/// data may come first. `cookie` is what the SYN-ACK gives, if its length is not below 0.
template <class Net>
NETSTACK_COLD sock* tcp_try_fastopen(Net& net, sock& listener, tcp_request_sock& req, tcp_rx const& rx,
                                     tcp_fastopen_cookie& cookie) {
  u32 const enabled = tcp_fastopen_enabled(net);
  bool const data = rx.end_seq != rx.seq + 1, asks = rx.opt.fastopen && rx.opt.fastopen_len == 0;
  if (asks) ++NET_STATS(net).TCPFastOpenCookieReqd;
  if (!(enabled & tfo::server_enable) || !(data || rx.opt.fastopen) || !detail::tcp_fastopen_queue_check(net, listener))
    return nullptr;
  bool const trusts = (enabled & tfo::server_cookie_not_reqd) || tcp_sk(listener).fastopen_no_cookie;
  auto const& ctx = tcp_fastopen_get_ctx(net, listener);
  u32 const by = detail::tcp_fastopen_key_of(net, ctx, req.key, rx.opt);
  bool const has_right = by < ctx.num;
  if (!trusts && !has_right) {
    if (rx.opt.fastopen) cookie = detail::tcp_fastopen_cookie_gen(net, ctx.key[0], req.key);
    if (rx.opt.fastopen && !asks) ++NET_STATS(net).TCPFastOpenPassiveFail;
    return nullptr;
  }
  sock* const child = detail::tcp_fastopen_create_child(net, listener, req, rx);
  ++(child ? NET_STATS(net).TCPFastOpenPassive : NET_STATS(net).TCPFastOpenPassiveFail);
  if (child && has_right && by != 0) {  // its next one shall be by the first key
    cookie = detail::tcp_fastopen_cookie_gen(net, ctx.key[0], req.key);
    ++NET_STATS(net).TCPFastOpenPassiveAltKey;
  }
  return child;
}

/// The SYN's data goes to its reader, the connection to who accepts, and the SYN-ACK, which acknowledges both, out.
template <class Net>
verdict tcp_fastopen_process(Net& net, sock& listener, sock& child, sk_buff& skb, tcp_rx const& rx,
                             tcp_fastopen_cookie const& cookie) {
  inet_csk_reqsk_queue_add(listener, child);
  tcp_note(listener, tcp_event::readable);
  verdict v = verdict::consumed();
  if (rx.end_seq != rx.seq + 1) {
    tcp_rx data = rx;
    ++data.seq;
    data.flags &= static_cast<u8>(~tcp_flag::syn);
    v = tcp_data_queue(net, child, skb, data);
    tcp_sk(child).syn_data_acked = true;
  }
  sk_buff& synack = *tcp_sk(child).send_head;
  tcp_fastopen_request gift{.cookie = cookie};
  tcp_rare_of(net, tcp_sk(child)).fastopen_req = &gift;
  (void)tcp_transmit_skb(net, child, synack);  // lost, as if on the wire
  tcp_rare_of(net, tcp_sk(child)).fastopen_req = nullptr;
  if (detail::tcp_note_in_flight(child, synack)) tcp_rearm_rto(net, child);
  return v;
}

}  // namespace netstack
