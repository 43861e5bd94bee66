// SPDX-License-Identifier: BSL-1.0
// Decides: what is said without a connection, on IPv4: a SYN-ACK for a request, a RST for nobody, an acknowledgment for
// who is in TIME-WAIT. And what a half-open connection takes from IPv4's header and gives to the connection it becomes.
// rx: called as tcp_request_sock_ops and inet_connection_sock_af_ops; by tcp_v4_rcv → calls ip_send_skb
// Linux: net/ipv4/tcp_ipv4.c (tcp_v4_send_reset, tcp_v4_send_synack, tcp_request_sock_ipv4_ops)
// RFC 9293 §3.5.2 (reset generation) [S144]
#pragma once
#include "netstack/ipv4/ip_options_echo.hpp"
#include "netstack/ipv4/ip_way.hpp"
#include "netstack/tcp/tcp_syn.hpp"
#include "netstack/tcp/tcp_v4_xmit.hpp"

namespace netstack {

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

template <class Net>
NETSTACK_NOINLINE rtable* tcp_v4_synack_route(Net& net, tcp_request_sock const& req) {
  flowi4 fl4{.daddr = req.key.saddr,
             .saddr = req.key.daddr,
             .mark = req.rsk_listener->sk_mark,
             .tos = inet_sk(*req.rsk_listener).tos,
             .proto = ipproto::tcp,
             .anysrc = true,
             .sport = be16{req.key.hnum},
             .dport = req.key.sport};
  return ip_route_output_key(net, fl4).value_or(nullptr);
}
/// A SYN-ACK needs no packet where the driver has a place for it. False: nothing was sent.
template <class Net>
bool tcp_v4_synack_short(Net& net, tcp_request_sock const& req, tcp_header_fields const& f,
                         tcp_out_options const& opts) {
  sock const& listener = *req.rsk_listener;
  if (req.ireq_opt != 0 || listener.sk_bound_dev_if != 0) [[unlikely]]
    return false;
  auto const* const recent = ip_route_output_recent(net, req.key.saddr, req.key.daddr, true);
  rtable* const rt = recent ? recent->rt : tcp_v4_synack_route(net, req);
  if (!ip_ways_possible<Net> || !rt || !rt->dev || !dev_takes_short<Net>(*rt->dev) || !ip_rt_is_plain(net, *rt))
    return false;
  ip_way const way{.rt = rt,
                   .first = ip_first_words(0x45, inet_sk(listener).tos, ip_df),
                   .second = ipv4_net(net).sysctl_ip_default_ttl | ip_second_words(ipproto::tcp, req.key.daddr),
                   .daddr = req.key.saddr};
  return tcp_v4_syn_short(net, way, f, opts, csum_tcpudp_nofold(req.key.daddr, req.key.saddr, 0, ipproto::tcp, 0));
}
}  // namespace detail

/// tcp_request_sock_ops::send_synack.
template <class Net>
result<void> tcp_v4_send_synack(Net& net, tcp_request_sock const& req, tcp_header_fields const& f,
                                tcp_out_options const& opts) {
  if ((f.flags & tcp_flag::syn) && detail::tcp_v4_synack_short(net, req, f, opts)) return {};
  sock const& listener = *req.rsk_listener;
  detail::tcp_v4_reply reply{.saddr = req.key.daddr,
                             .daddr = req.key.saddr,
                             .header = f,
                             .opts = opts,
                             .oif = listener.sk_bound_dev_if,
                             .mark = listener.sk_mark,
                             .tos = inet_sk(listener).tos};
  if (req.ireq_opt != 0) reply.ip_opt = worker_generic<ipv4>(net.worker()).ip_options.at(req.ireq_opt - 1u);
  return detail::tcp_v4_send_reply(net, reply);
}

// --- what is taken from a SYN

/// tcp_request_sock_ops::init_req.
template <class Net>
void tcp_v4_init_req(Net&, tcp_request_sock& req, sk_buff const& skb) {
  auto const& iph = *ip_hdr(skb);
  auto const& th = *skb.transport_hdr<tcphdr>();
  req.key = {.saddr = iph.saddr,
             .daddr = iph.daddr,
             .sport = th.source,
             .hnum = th.dest.host(),
             .dif = req.rsk_listener->sk_bound_dev_if};
}
/// tcp_request_sock_ops::route_req. RFC 9293 §3.9.2.1, MUST-52 MUST-53: the way back by which all of the connection
/// will go, and what the SYN had recorded. False: there is no room for more of them.
template <class Net>
bool tcp_v4_route_req(Net& net, tcp_request_sock& req, sk_buff const& skb) {
  inet_options const opt = ip_options_save(skb);
  if (opt.optlen == 0) [[likely]]
    return true;
  auto& saved = worker_generic<ipv4>(net.worker()).ip_options;
  // Half of them peers may take; the other is for who sets IP_OPTIONS.
  inet_options const* const room = saved.in_use() < saved.capacity() / 2 ? saved.alloc(opt) : nullptr;
  if (room) req.ireq_opt = static_cast<u8>(saved.index_of(room) + 1);
  return room != nullptr;
}

template <class Net>
void tcp_v4_reqsk_destructor(Net& net, tcp_request_sock& req) {
  tcp_beside_free(worker_generic<ipv4>(net.worker()).ip_options, req.ireq_opt);
}
template <class Net>
tcp_seq_and_ts_off tcp_v4_init_seq_and_ts_off(Net& net, tcp_request_sock const& req) {
  return secure_tcp_seq_and_ts_off(net, req.key);
}
template <class Net>
u32 cookie_v4_init_sequence(Net& net, tcp_request_sock const& req, u16& mss) {
  return cookie_init_sequence(tcp_worker_of(net).syncookie_secret, req.key, req.rcv_isn, net.worker().now, mss);
}
template <class Net>
u16 cookie_v4_check(Net& net, tcp_request_sock const& req) {
  return cookie_check(tcp_worker_of(net).syncookie_secret, req.key, req.rcv_isn, net.worker().now, req.snt_isn);
}

template <class Net>
inline constexpr tcp_request_sock_ops<Net> tcp_request_sock_ipv4_ops{
    .init_req = tcp_v4_init_req<Net>,
    .route_req = tcp_v4_route_req<Net>,
    .init_seq_and_ts_off = tcp_v4_init_seq_and_ts_off<Net>,
    .cookie_init_seq = cookie_v4_init_sequence<Net>,
    .cookie_check = cookie_v4_check<Net>,
    .send_synack = tcp_v4_send_synack<Net>,
    .send_reset = detail::tcp_v4_send_reset<Net>,
    .destructor = tcp_v4_reqsk_destructor<Net>,
    .net_header_len = ip_hlen_min,
};
template <class Net>
constexpr tcp_request_sock_ops<Net> const& tcp_rsk_ops(tcp_request_sock const&) {
  return tcp_request_sock_ipv4_ops<Net>;
}

// --- what is made of it

/// inet_connection_sock_af_ops::conn_request.
template <class Net>
verdict tcp_v4_conn_request(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto const* rt = skb_rtable(skb);
  // MUST-57: none to a broadcast or multicast address.
  if (rt && rt->rt_flags & (rtcf::broadcast | rtcf::multicast)) return drop(net, skb, drop_reason::ip_invalid_dest);
  return tcp_conn_request<tcp_request_sock_ipv4_ops<Net>>(net, sk, skb, rx);
}
/// inet_connection_sock_af_ops::syn_recv_sock.
template <class Net>
sock* tcp_v4_syn_recv_sock(Net& net, sock& listener, tcp_request_sock& req) {
  sock* const child = tcp_create_openreq_child(net, listener, req);
  if (!child) return nullptr;
  auto& tp = tcp_sk(*child);
  child->sk_daddr = req.key.saddr;
  child->sk_rcv_saddr = tp.inet_saddr = req.key.daddr;
  tp.csum_flow = csum_tcpudp_nofold(child->sk_rcv_saddr, child->sk_daddr, 0, ipproto::tcp, 0);
  if (u8 const at = std::exchange(req.ireq_opt, u8{0}); at != 0) [[unlikely]]
    sk_rare_of(net, *child)->opt = &worker_generic<ipv4>(net.worker()).ip_options.at(at - 1u);
  return child;
}

}  // namespace netstack
