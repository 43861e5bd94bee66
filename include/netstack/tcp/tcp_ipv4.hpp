// SPDX-License-Identifier: BSL-1.0
// Decides: how TCP lies on IPv4: which socket a segment is for, what is answered for none, how a connection is opened
// from here, and what an ICMP error does to it. What else knows an IPv4 address: docs/adr/0008-where-ipv6-joins.md.
// rx: called by ip_local_deliver through inet_protos → calls tcp_do_rcv
// Linux: net/ipv4/tcp_ipv4.c; RFC 9293 §3.10.7.1 (CLOSED), RFC 5927 (ICMP), RFC 6528 (ISN) [S117] [S118] [S144]
#pragma once
#include "netstack/core/rps.hpp"
#include "netstack/ipv4/icmp_errno.hpp"
#include "netstack/ipv4/ip_sockopt.hpp"
#include "netstack/tcp/tcp_input.hpp"
#include "netstack/tcp/tcp_v4_syn.hpp"
#include "netstack/tcp/tcp_v4_xmit.hpp"

namespace netstack {

// --- from a connection

namespace detail {
template <class Net>
NETSTACK_NOINLINE rtable* tcp_v4_find_route_slow(Net& net, sock& sk) {
  if (sk.sk_rare->opt) [[unlikely]] {
    flowi4 fl4;
    return tcp_v4_route(net, sk, fl4).value_or(nullptr);
  }
  flowi4 fl4 = connected_flow(inet_sk(sk), sk.sk_daddr, sk.sk_dport);  // where it is looked at: it is never copied
  auto const rt = ip_route_output_key(net, fl4);
  if (!rt) return nullptr;
  sk_dst_set(sk, **rt);
  return *rt;
}
template <class Net>
NETSTACK_INLINE rtable* tcp_v4_find_route(Net& net, sock& sk) {
  auto const* const recent =
      tcp_v4_route_is_plain(sk) ? ip_route_output_recent(net, sk.sk_daddr, inet_sk(sk).inet_saddr, false) : nullptr;
  if (!recent) [[unlikely]]
    return tcp_v4_find_route_slow(net, sk);
  sk_dst_set(sk, *recent->rt);
  return recent->rt;
}
}  // namespace detail

/// inet_connection_sock_af_ops::mtu.
template <class Net>
u32 tcp_v4_mtu(Net& net, sock& sk) {
  rtable* rt = sk_rt_check(net, sk);
  if (!rt) rt = detail::tcp_v4_find_route(net, sk);
  if (!rt || !rt->dev) return 0;
  if (ip_rt_is_plain(net, *rt)) [[likely]]  // then mss_cache lasts, too
    return std::min<u32>(rt->plain_mtu, ip_max_mtu);
  return std::min<u32>(ip_dst_mtu(net, *rt, sk.sk_daddr), ip_max_mtu);
}

/// inet_connection_sock_af_ops::cookie_check.
template <class Net>
tcp_outcome tcp_v4_cookie_check(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx);

template <class Net>
inline constexpr inet_connection_sock_af_ops<Net> ipv4_specific{
    .queue_xmit = ip_queue_xmit<Net>,
    .queue_xmit_list = ip_queue_xmit_list<Net>,
    .transmit_short = tcp_v4_transmit_short<Net>,
    .transmit_syn = tcp_v4_transmit_syn<Net>,
    .mtu = tcp_v4_mtu<Net>,
    .conn_request = tcp_v4_conn_request<Net>,
    .cookie_check = tcp_v4_cookie_check<Net>,
    .syn_recv_sock = tcp_v4_syn_recv_sock<Net>,
    .setsockopt = ip_setsockopt<Net>,
    .getsockopt = ip_getsockopt<Net>,
    .recv_error = ip_recv_error,
    .net_header_len = ip_hlen_min,
};
template <class Net>
constexpr inet_connection_sock_af_ops<Net> const& tcp_af_ops(sock const&) {
  return ipv4_specific<Net>;
}

namespace detail {
NETSTACK_INLINE void tcp_v4_connect_by(sock& sk, rtable& rt, be32 saddr, be32 daddr) {
  sk_dst_set(sk, rt);
  if (!inet_sk(sk).inet_saddr) inet_sk(sk).inet_saddr = saddr;
  sk.sk_daddr = daddr;
}
/// The way to a peer, and both addresses. Errors: network_unreachable (to many), the route's.
template <class Net>
NETSTACK_NOINLINE result<void> tcp_v4_connect_route(Net& net, sock& sk, sockaddr_in const& to) {
  flowi4 fl4 = connected_flow(inet_sk(sk), to.sin_addr.s_addr, to.sin_port);
  fl4.broadcast_ok = true;  // the route is asked for, so that it is refused below with the right errno
  auto const rt = ip_route_output_key(net, fl4);
  if (!rt) {
    if (rt.error() == std::errc::network_unreachable) ++IP_STATS(net).OutNoRoutes;
    return failure{rt.error()};
  }
  if ((*rt)->rt_flags & (rtcf::multicast | rtcf::broadcast)) return failure{std::errc::network_unreachable};
  tcp_v4_connect_by(sk, **rt, fl4.saddr, fl4.daddr);
  return {};
}
/// TCP_FASTOPEN_CONNECT, the first time: a cookie is asked for; where there is one, the SYN waits for data to go with.
template <class Net>
NETSTACK_COLD result<void> tcp_connect_fastopen(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  tcp_fastopen_request ask;
  u16 mss = 0;
  if (tcp_fastopen_cookie_check(net, sk, ask.cookie, mss)) return tp.defer_connect = true, result<void>{};
  tcp_rare_of(net, tp).fastopen_req = &ask;
  tp.fastopen_asked = true;
  auto const r = tcp_connect(net, sk);
  tcp_rare_of(net, tp).fastopen_req = nullptr;
  return r;
}
}  // namespace detail

/// proto::connect. MUST-43 MUST-44 MUST-45 MUST-46. Errors: invalid_argument (too short), address_family_not_supported,
/// network_unreachable (to many), address_not_available (no port is left), no_buffer_space, and the route's.
template <class Net>
result<void> tcp_v4_connect(Net& net, sock& sk, sockaddr_view uaddr) {
  if (uaddr.size() < sizeof(sockaddr_in)) return failure{std::errc::invalid_argument};
  auto const to = uaddr.as<sockaddr_in>();
  if (to.sin_family != af::inet) return failure{std::errc::address_family_not_supported};
  auto& tp = tcp_sk(sk);
  be32 const daddr = to.sin_addr.s_addr;
  auto const* const recent =
      detail::tcp_v4_route_is_plain(sk) ? ip_route_output_recent(net, daddr, tp.inet_saddr, false) : nullptr;
  if (recent) [[likely]]
    detail::tcp_v4_connect_by(sk, *recent->rt, recent->saddr, daddr);
  else if (auto const r = detail::tcp_v4_connect_route(net, sk, to); !r)
    return r;
  sk.sk_rcv_saddr = tp.inet_saddr;
  sk.sk_dport = to.sin_port;
  sk.sk_state = tcp_state::syn_sent;
  tp.write_seq = tp.ts_recent = 0;
  auto const port = inet_connect_port(net, sk);
  tp.csum_flow = csum_tcpudp_nofold(sk.sk_rcv_saddr, sk.sk_daddr, 0, ipproto::tcp, 0);
  tcp_connect_init(net, sk);
  auto const hash = inet_hash_connect(net, sk, port);
  result<void> r = hash ? result<void>{} : failure{hash.error()};
  if (r) {
    tcp_seq_and_ts_off const from = secure_tcp_seq_and_ts_off(net, inet_key_of(sk));
    if (tp.write_seq == 0) tp.write_seq = from.seq;
    tp.tsoffset = from.ts_off;
    bool const asks = tp.fastopen_connect && !tp.rare->fastopen_req;
    r = asks ? detail::tcp_connect_fastopen(net, sk) : tcp_connect(net, sk);
    if (tp.rare->fastopen_req) tcp_rare_of(net, tp).fastopen_req = nullptr;
    if (!tp.bound) [[likely]]
      inet_bind_hash(net, sk, sk.sk_num, true);
    if (r) inet_hash_connection(net, tp, *hash);
  }
  if (!r) {
    tcp_set_state(net, sk, tcp_state::close);
    sk_dst_reset(sk);
    inet_reset_saddr(net, tp);
  }
  return r;
}

// --- to a connection

namespace detail {

bool tcp_read_header(sk_buff& skb, tcp_rx& rx);
/// Of a header that is in pieces, or none.
NETSTACK_NOINLINE inline bool tcp_pull_header(sk_buff& skb, tcp_rx& rx) {
  if (!pskb_may_pull(skb, static_cast<u32>(tcp_hlen_min))) return false;
  u32 const hlen = static_cast<u32>(skb.peek<tcphdr>()->header_len());
  return hlen >= tcp_hlen_min && hlen <= skb.len && pskb_may_pull(skb, hlen) && tcp_read_header(skb, rx);
}
NETSTACK_NOINLINE inline bool tcp_read_options(tcp_rx& rx, u8 const* options, u32 len) {
  (void)tcp_parse_others(rx.opt, options, len, rx.has(tcp_flag::syn));
  return true;
}
/// Reads the header, which lies at data, once for all; false: it is cut short or cannot be.
inline bool tcp_read_header(sk_buff& skb, tcp_rx& rx) {
  u32 const linear = skb.headlen();
  u32 const hlen = linear < tcp_hlen_min ? 0 : static_cast<u32>(skb.peek<tcphdr>()->header_len());
  if (hlen < tcp_hlen_min || hlen > linear) [[unlikely]]
    return tcp_pull_header(skb, rx);
  auto const& th = *skb.peek<tcphdr>();
  rx.seq = th.seq.host();
  rx.ack_seq = th.ack_seq.host();
  rx.window = th.window.host();
  rx.urg_ptr = th.urg_ptr.host();
  rx.flags = th.flags;
  rx.dsfield = ip_hdr(skb)->tos;
  rx.hlen = static_cast<u8>(hlen);
  rx.end_seq = rx.seq + th.syn() + th.fin() + skb.len - hlen;
  if (u32 const optlen = hlen - static_cast<u32>(tcp_hlen_min); optlen != 0) {
    u8 const* const options = skb.data + tcp_hlen_min;
    if (!tcp_parse_stamp(rx.opt, options, optlen)) [[unlikely]]
      return tcp_read_options(rx, options, optlen);
  }
  return true;
}
inline inet_ehash_key tcp_v4_key(sk_buff const& skb, iphdr const& iph, tcphdr const& th) {
  return {.saddr = iph.saddr, .daddr = iph.daddr, .sport = th.source, .hnum = th.dest.host(), .dif = skb.skb_iif};
}

/// A segment for a socket, whose lock the caller has, or nobody: dealt with by rcv(), answered with a RST if that is
/// due, and the application told. The sock may be gone afterwards.
template <class Net, class F>
NETSTACK_INLINE verdict tcp_v4_process_by(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx, F&& rcv) {
  sock_hold(sk);
  tcp_outcome const outcome = rcv();
  if (outcome.reset()) [[unlikely]]
    tcp_v4_send_reset(net, skb, rx);
  tcp_tell(sk);
  sock_put(sk);
  return outcome.v();
}
template <class Net>
verdict tcp_v4_process(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  return tcp_v4_process_by(net, sk, skb, rx, [&]() NETSTACK_INLINE_LAMBDA {
    if (sk.sk_state == tcp_state::established) sk_rx_dst_set(sk, skb);
    return tcp_do_rcv(net, sk, skb, rx);
  });
}

/// RFC 5082 §3: it comes from farther away than IP_MINTTL allows.
inline bool tcp_is_far(sock const& sk, sk_buff const& skb) { return ip_hdr(skb)->ttl < inet_sk(sk).min_ttl; }

/// The segment that completed a handshake is the connection's first.
template <class Net>
verdict tcp_child_process(Net& net, sock& listener, sock& child, sk_buff& skb, tcp_rx const& rx) {
  inet_csk_reqsk_queue_add(listener, child);
  tcp_note(listener, tcp_event::readable);
  if (!tcp_rcv_handshake_end(net, child, skb, rx)) [[unlikely]]
    return tcp_v4_process(net, child, skb, rx);
  tcp_tell(child);
  return verdict::consumed();
}

/// A segment for a half-open connection: the handshake's end, a repetition, or neither.
template <class Net>
verdict tcp_v4_request_rcv(Net& net, tcp_request_sock& req, sk_buff& skb, tcp_rx const& rx) {
  sock& listener = *req.rsk_listener;
  if (listener.sk_state != tcp_state::listen) {
    inet_csk_reqsk_queue_drop(net, req);
    tcp_v4_send_reset(net, skb, rx);
    return drop(net, skb, drop_reason::tcp_close);
  }
  sock_hold(listener);
  verdict v = verdict::consumed();
  if (sock* const child = tcp_check_req(net, skb, rx, req, v)) {
    v = tcp_child_process(net, listener, *child, skb, rx);
    auto& w = tcp_worker_of(net);  // the queue still holds it
    if (tcp_sk(*child).hashed && inet_sk(*child).min_ttl == 0) [[likely]]
      w.born = child, w.born_genid = w.sk_genid;
  }
  tcp_tell(listener);
  sock_put(listener);
  return v;
}

/// A segment for an ended connection. A SYN that may begin a new one goes to who listens.
template <class Net>
verdict tcp_v4_timewait_rcv(Net& net, tcp_timewait_sock& tw, sk_buff& skb, tcp_rx& rx, inet_ehash_key const& key) {
  u32 isn = 0;
  switch (tcp_timewait_state_process(net, tw, rx, isn)) {
    case tcp_tw_status::syn:
      if (sock* const listener = inet_lookup_listener(net, key)) {
        if (tcp_is_far(*listener, skb)) return drop(net, skb, drop_reason::tcp_minttl);
        inet_twsk_kill(net, tw);
        rx.tw_isn = isn;
        return tcp_v4_process(net, *listener, skb, rx);
      }
      [[fallthrough]];
    case tcp_tw_status::ack: tcp_v4_timewait_ack(net, skb, tw); break;
    case tcp_tw_status::rst:
      tcp_v4_send_reset(net, skb, rx);
      inet_twsk_kill(net, tw);
      break;
    case tcp_tw_status::success: break;
  }
  return drop(net, skb, drop_reason::tcp_timewait);
}

}  // namespace detail

template <class Net>
tcp_outcome tcp_v4_cookie_check(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto outcome = tcp_outcome{verdict::consumed()};
  sock* const child = tcp_cookie_check<tcp_request_sock_ipv4_ops<Net>>(net, sk, skb, rx, outcome);
  return child ? tcp_outcome{detail::tcp_child_process(net, sk, *child, skb, rx)} : outcome;
}

/// proto::backlog_rcv: a segment that came while a call worked on the socket.
template <class Net>
verdict tcp_v4_do_rcv(Net& net, sock& sk, sk_buff& skb) {
  tcp_rx rx;
  if (!detail::tcp_read_header(skb, rx)) return drop(net, skb, drop_reason::tcp_hdr);
  if (sk.sk_state == tcp_state::listen)
    rx.hash = inet_ehashfn(net, detail::tcp_v4_key(skb, *ip_hdr(skb), *skb.peek<tcphdr>()));
  return detail::tcp_v4_process(net, sk, skb, rx);
}

namespace detail {

/// The pseudo header's sum; data at the TCP header.
inline u32 tcp_v4_pseudo(sk_buff const& skb) {
  iphdr const& iph = *ip_hdr(skb);
  return csum_tcpudp_nofold(iph.saddr, iph.daddr, skb.len, iph.protocol, 0);
}

/// A call works on the socket: it comes after.
template <class Net>
verdict tcp_add_backlog(Net& net, sock& sk, sk_buff& skb) {
  verdict const v = sk_add_backlog(net, sk, skb);
  if (v.is_drop()) ++NET_STATS(net).TCPBacklogDrop;
  return v;
}
/// A segment that is whole and right, for this socket, which may be gone afterwards.
template <class Net>
verdict tcp_v4_deliver_to(Net& net, sock& sk, sk_buff& skb, tcp_rx& rx) {
  if (tcp_is_far(sk, skb)) return drop(net, skb, drop_reason::tcp_minttl);
  return sk.sk_owned ? tcp_add_backlog(net, sk, skb) : tcp_v4_process(net, sk, skb, rx);
}
/// … for one that was found because it listens.
template <class Net>
NETSTACK_INLINE verdict tcp_v4_listen_rcv(Net& net, sock& sk, sk_buff& skb, tcp_rx& rx) {
  if (sk.sk_owned || tcp_is_far(sk, skb)) [[unlikely]]
    return tcp_v4_deliver_to(net, sk, skb, rx);
  tcp_count_segs_in(tcp_sk(sk), skb, rx.hlen);
  return tcp_v4_process_by(net, sk, skb, rx,
                           [&]() NETSTACK_INLINE_LAMBDA { return tcp_listen_state(net, sk, skb, rx); });
}
/// … for what was found between its ends.
template <class Net>
NETSTACK_NOINLINE verdict tcp_v4_deliver_found(Net& net, sk_buff& skb, tcp_rx& rx, inet_ehash_key const& key, u32 hash,
                                               inet_link found) {
  auto& w = tcp_worker_of(net);
  rx.hash = hash;
  switch (found.kind()) {
    case inet_kind::sock: return tcp_v4_deliver_to(net, w.socks.at(found.index()), skb, rx);
    case inet_kind::request: return tcp_v4_request_rcv(net, w.requests.at(found.index()), skb, rx);
    case inet_kind::timewait: return tcp_v4_timewait_rcv(net, w.timewaits.at(found.index()), skb, rx, key);
    case inet_kind::none: break;
  }
  if (sock* const sk = inet_lookup_listener(net, key)) [[likely]]
    return tcp_v4_listen_rcv(net, *sk, skb, rx);
  if (rps_hand_on(net, skb)) return --TCP_STATS(net).InSegs, verdict::kept();  // another worker's, perhaps
  tcp_v4_send_reset(net, skb, rx);
  return drop(net, skb, drop_reason::no_socket);
}
/// … for whoever it is for.
template <class Net>
verdict tcp_v4_deliver(Net& net, sk_buff& skb, tcp_rx& rx) {
  if (skb.sk) {
    sock& sk = *skb_steal_sock(skb);
    verdict const v = tcp_v4_deliver_to(net, sk, skb, rx);
    sock_put(sk);
    return v;
  }
  auto const key = tcp_v4_key(skb, *ip_hdr(skb), *skb.peek<tcphdr>());
  u32 const hash = inet_ehashfn(net, key);
  return tcp_v4_deliver_found(net, skb, rx, key, hash, inet_lookup(net, key, hash));
}

}  // namespace detail

/// net_protocol::handler. Data at the TCP header, network_header valid.
template <class Net>
verdict tcp_v4_rcv(Net& net, sk_buff& skb) {
  ++TCP_STATS(net).InSegs;
  tcp_rx rx;
  // MUST-57 MUST-63: TCP is between two hosts; MUST-50: and IP dealt with its options.
  if (skb.pkt_type != pkt_type::host) [[unlikely]]
    return drop(net, skb, drop_reason::otherhost);
  if (!detail::tcp_read_header(skb, rx)) [[unlikely]]
    return drop(net, skb, drop_reason::tcp_hdr);
  // RFC 9293 §3.1 MUST-3: the checksum is verified, always.
  if (!skb_checksum_validate(skb, detail::tcp_v4_pseudo(skb))) [[unlikely]]
    return drop(net, skb, drop_reason::tcp_csum);
  return detail::tcp_v4_deliver(net, skb, rx);
}

/// net_protocol::early_demux: a connection lends its segments their route, before one is looked up.
template <class Net>
void tcp_v4_early_demux(Net& net, sk_buff& skb) {
  if (!tcp_pernet(net).sysctl_tcp_early_demux || skb.pkt_type != pkt_type::host) return;
  auto const& iph = *ip_hdr(skb);
  auto const* th =
      skb.template peek<tcphdr>(static_cast<u32>(skb.network_offset()) + static_cast<u32>(iph.header_len()));
  if (!th) return;
  sock* const sk = inet_lookup_established(net, detail::tcp_v4_key(skb, iph, *th));
  if (!sk) return;
  sock_hold(*sk);
  skb.sk = sk;
  skb.destructor = sock_efree;
  auto* rt = static_cast<rtable*>(sk->sk_rx_dst);
  if (rt && sk->sk_rx_dst_ifindex == skb.skb_iif && !rt->obsolete) skb_dst_set_noref(skb, *rt);
}

// --- ICMP errors

namespace detail {

/// RFC 5927 §4.1: the error is about something that is in flight.
inline bool tcp_err_in_window(sock const& sk, u32 seq) {
  return sk.sk_state == tcp_state::listen || between(seq, tcp_sk(sk).snd_una, tcp_sk(sk).snd_nxt);
}
/// RFC 1191 §6.5: what was too long goes again in smaller pieces, at once and without shrinking the window,
/// unless the application will hear of no router: IP_PMTUDISC_INTERFACE and _OMIT.
template <class Net>
void tcp_v4_mtu_reduced(Net& net, sock& sk) {
  auto const how = inet_sk(sk).pmtudisc;
  if (tcp_in_state(sk, tcp_state::listen, tcp_state::close) || how == ip_pmtudisc::dont || how > ip_pmtudisc::probe)
    return;
  auto& tp = tcp_sk(sk);
  u32 const mtu = tcp_af_ops<Net>(sk).mtu(net, sk);
  if (tp.rare->mtup.search_high > mtu) tcp_rare_of(net, tp).mtup.search_high = mtu;
  if (tp.rare->mtup.probe_size > mtu) tcp_mtup_probe_failed(net, sk);
  tcp_simple_retransmit(net, sk);
}

template <class Net>
void tcp_v4_err_connection(Net& net, sock& sk, sk_buff& skb, iphdr const& quoted, u32 info) {
  auto const& icmph = *skb.transport_hdr<icmphdr>();
  if (icmph.type == icmp_type::dest_unreach && icmph.code == icmp_code::frag_needed) {
    ipv4_update_pmtu(net, quoted.daddr, info);
    sk_rt_recheck(sk);
    return tcp_v4_mtu_reduced(net, sk);
  }
  auto const error = icmp_to_errno(icmph.type, icmph.code, inet_sk(sk).pmtudisc).error;
  if (error == std::errc{}) return;
  bool const opening = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv);
  if (opening && !tcp_passive_fastopen(sk)) {
    ip_icmp_error(sk, skb, static_cast<int>(error), sk.sk_dport, info, skb.data + quoted.header_len());
    return tcp_done_with_error(net, sk, error);
  }
  // MUST-56 SHLD-25 SHLD-26, RFC 5927 §5: a connection that lives is not ended by what anybody could have written;
  // who asked for it by IP_RECVERR is told (MUST-47 SHLD-20).
  if (!inet_sk(sk).recverr) {
    sk.sk_err_soft = static_cast<std::int16_t>(error);
    return;
  }
  sk.sk_err = static_cast<std::int16_t>(error);
  tcp_note(sk, tcp_event::error);
}
/// The peer of a half-open connection cannot be reached, or does not understand us. That nobody has the port there says
/// only that the SYN was made up.
inline bool tcp_req_err_abort(icmphdr const& icmph) {
  bool const unreachable = icmph.type == icmp_type::dest_unreach &&
                           (icmph.code == icmp_code::net_unreach || icmph.code == icmp_code::host_unreach);
  return unreachable || icmph.type == icmp_type::parameterprob || icmph.type == icmp_type::time_exceeded;
}

}  // namespace detail

/// net_protocol::err_handler, MUST-54. MUST-55: not of every kind. Data at the quoted IP header, the ICMP header at
/// transport_header.
template <class Net>
void tcp_v4_err(Net& net, sk_buff& skb, u32 info) {
  auto const& quoted = *skb.peek<iphdr>();
  auto const* ports = skb.template peek<be64>(static_cast<u32>(quoted.header_len()));
  if (!ports) return;
  // RFC 792: the first eight bytes: both ports and the sequence number.
  struct first_words {
    be16 source, dest;
    be32 seq;
  };
  auto const th = std::bit_cast<first_words>(*ports);
  inet_ehash_key const key{
      .saddr = quoted.daddr, .daddr = quoted.saddr, .sport = th.dest, .hnum = th.source.host(), .dif = skb.skb_iif};
  auto const& icmph = *skb.transport_hdr<icmphdr>();
  auto& w = tcp_worker_of(net);
  inet_link const found = inet_lookup(net, key, inet_ehashfn(net, key));
  if (found.kind() == inet_kind::sock) {
    sock* const sk = &w.socks.at(found.index());
    if (quoted.ttl < inet_sk(*sk).min_ttl) {  // RFC 5082 §3: who sees less of our TTL is farther away than the peer
      ++NET_STATS(net).TCPMinTTLDrop;
      return;
    }
    if (icmph.type == icmp_type::redirect) {
      sk_rt_recheck(*sk);
      return ipv4_redirect(net, skb, quoted.daddr, icmph.un.gateway());
    }
    if (!detail::tcp_err_in_window(*sk, th.seq.host())) {
      ++NET_STATS(net).OutOfWindowIcmps;
      return;
    }
    sock_hold(*sk);
    detail::tcp_v4_err_connection(net, *sk, skb, quoted, info);
    tcp_tell(*sk);
    sock_put(*sk);
  } else if (found.kind() == inet_kind::request) {
    auto* const req = &w.requests.at(found.index());
    if (th.seq.host() != req->snt_isn) {
      ++NET_STATS(net).OutOfWindowIcmps;
    } else if (detail::tcp_req_err_abort(icmph)) {
      ++NET_STATS(net).ListenDrops;
      ++req->rsk_listener->sk_drops;
      inet_csk_reqsk_queue_drop(net, *req);
    }
  } else if (found.kind() == inet_kind::none && !rps_hand_on_copy(net, skb)) {
    ++ICMP_STATS(net).InErrors;
  }
}

}  // namespace netstack
