// SPDX-License-Identifier: BSL-1.0
// Decides: how a segment of a connection leaves over IPv4: by its route, the short way while that is the common one, as
// a list if there are several, with all headers at once if it leaves as it is written, and without a packet if it is
// short and the driver has a place for it.
// tx: called as inet_connection_sock_af_ops, by tcp_sendmsg → calls ip_way_send, ip_way_send_free, dev_short_end
// Linux: net/ipv4/ip_output.c (__ip_queue_xmit)
#pragma once
#include "netstack/ipv4/datagram.hpp"
#include "netstack/ipv4/ip_way.hpp"
#include "netstack/tcp/tcp_transmit.hpp"

namespace netstack {

namespace detail {
/// Its ends alone decide about its route.
[[nodiscard]] NETSTACK_INLINE bool tcp_v4_route_is_plain(sock const& sk) {
  return sk.sk_bound_dev_if == 0 && sk.sk_rare == &sock_no_rare && !sock_flag(sk, sock_flags::localroute) &&
         !inet_sk(sk).transparent;
}
/// The connection's route; borrowed. Errors: the route's.
template <class Net>
result<rtable*> tcp_v4_route(Net& net, sock& sk, flowi4& fl4) {
  fl4 = connected_flow(inet_sk(sk), sk.sk_daddr, sk.sk_dport);
  if (auto const* const opt = sk.sk_rare->opt; opt && opt->srr) [[unlikely]] {
    fl4.daddr = opt->faddr;
    if (opt->is_strictroute) fl4.scope = rt_scope::link;  // RFC 791 §3.1: the next stop is a neighbour
  }
  if (rtable* rt = sk_rt_check(sk)) [[likely]]
    return rt;
  auto const rt = ip_route_output_key(net, fl4);
  if (rt) sk_dst_set(sk, **rt);
  return rt;
}
/// RFC 3168 §6.1: the segment at hand may be marked.
inline u8 tcp_v4_tos(sock const& sk) {
  return static_cast<u8>(inet_sk(sk).tos | (tcp_sk(sk).ecn_flags & tcp_ecn::ect ? inet_ecn::ect_0 : 0));
}
/// As in Linux IP_PMTUDISC_PROBE forbids routers to cut datagrams alone.
inline ip_pmtudisc tcp_v4_pmtudisc(inet_sock const& inet) {
  return inet.pmtudisc == ip_pmtudisc::probe ? ip_pmtudisc::interface : inet.pmtudisc;
}
/// No options, and routers may not cut.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_v4_is_plain(Net& net, inet_sock const& inet) {
  return ip_ways_possible<Net> && inet.sk_rare->opt == nullptr &&
         ip_dont_fragment({.pmtudisc = tcp_v4_pmtudisc(inet)}, ipv4_net(net));
}
/// RFC 3168 §6.1.4 §6.1.5: new data may be marked; while there is no news of marks.
NETSTACK_INLINE u8 tcp_v4_tos_quiet(sock const& sk, bool fresh) {
  static_assert(tcp_ecn::ok << 1 == inet_ecn::ect_0);
  return static_cast<u8>(inet_sk(sk).tos | (fresh ? tcp_sk(sk).ecn_flags & tcp_ecn::ok : 0) << 1);
}
/// The way of the segments of such a one.
template <class Net>
NETSTACK_INLINE ip_way tcp_v4_way_by(Net& net, sock const& sk, rtable& rt, u8 tos) {
  auto const& inet = inet_sk(sk);
  u8 const ttl = inet.uc_ttl > 0 ? static_cast<u8>(inet.uc_ttl) : ipv4_net(net).sysctl_ip_default_ttl;
  return {.rt = &rt,
          .first = ip_first_words(0x45, tos, ip_df),
          .second = ttl | ip_second_words(ipproto::tcp, inet.inet_saddr),
          .daddr = sk.sk_daddr,
          .mark = sk.sk_mark,
          .priority = sk.sk_priority};
}
/// The way of a connection's next segments, while it is the common one, by the route it has, which is still right and
/// plain. False: ip_send_skb knows the others.
template <class Net>
NETSTACK_INLINE bool tcp_v4_way(Net& net, sock& sk, ip_way& way) {
  auto* const rt = static_cast<rtable*>(sk.sk_dst_cache);
  if (!rt || !ip_rt_is_plain(net, *rt) || !tcp_v4_is_plain(net, inet_sk(sk))) [[unlikely]]
    return false;
  way = tcp_v4_way_by(net, sk, *rt, tcp_v4_tos(sk));
  return true;
}
/// A segment that goes that way as it is.
inline bool tcp_v4_fits(sk_buff const& skb, net_device const& dev, u32 room) {
  return (skb.len <= room || skb_is_gso(skb)) && has_headroom(skb, dev, static_cast<u32>(ip_hlen_min));
}

/// Any segment: ip_send_skb knows its way.
template <class Net>
NETSTACK_NOINLINE result<void> ip_queue_xmit_slow(Net& net, sock& sk, sk_buff& skb) {
  auto const& inet = inet_sk(sk);
  flowi4 fl4;
  auto const rt = tcp_v4_route(net, sk, fl4);
  if (!rt) {
    kfree_skb(net, skb, drop_reason::ip_noroute_out);
    return failure{rt.error()};
  }
  // MUST-48 MUST-49 SHLD-21 SHLD-22
  ip_tx tx{.ttl = static_cast<u8>(inet.uc_ttl > 0 ? inet.uc_ttl : 0),
           .tos = tcp_v4_tos(sk),
           .protocol = ipproto::tcp,
           .pmtudisc = tcp_v4_pmtudisc(inet),
           .mark = sk.sk_mark,
           .priority = sk.sk_priority};
  if (inet_options const* const opt = inet.sk_rare->opt) [[unlikely]] {  // MUST-51 MUST-53 MAY-10 MAY-11
    tx.options = opt->data, tx.optlen = opt->optlen;
    tx.srr = opt->srr, tx.daddr = sk.sk_daddr;
  }
  return ip_send_skb(net, skb, **rt, fl4, tx);
}
}  // namespace detail

/// inet_connection_sock_af_ops::queue_xmit.
template <class Net>
result<void> ip_queue_xmit(Net& net, sock& sk, sk_buff& skb) {
  if (ip_way way; detail::tcp_v4_way(net, sk, way)) [[likely]]
    if (detail::tcp_v4_fits(skb, *way.rt->dev, way.rt->plain_room)) [[likely]]
      return ip_way_send(net, skb, way);
  return detail::ip_queue_xmit_slow(net, sk, skb);
}

// --- what is part of its caller, and so only IPv4's: who is of another version leaves by inet_connection_sock_af_ops

template <class Net>
inline constexpr bool tcp_inline_possible = ip_ways_possible<Net>;
inline constexpr auto tcp_inline_family = af::inet;
[[nodiscard]] NETSTACK_INLINE rtable& tcp_inline_route(dst_entry& dst) { return static_cast<rtable&>(dst); }
/// tcp_v4_transmit_short by the sock's route, which ip_rt_is_known was asked of. `Stamped`, of all of these: tstamp_ok.
template <bool Stamped, class Net>
NETSTACK_INLINE bool tcp_inline_short(Net& net, sock& sk, rtable& rt, u32 seq, u8 flags, sk_buff const* data) {
  constexpr u32 hlen = detail::tcp_common_hlen<Stamped>;
  u32 const len = hlen + (data ? data->len : 0), total = static_cast<u32>(ip_hlen_min) + len;
  if (len > hlen + detail::tcp_short_max) __builtin_unreachable();
  if (len > rt.plain_room || !detail::tcp_v4_is_plain(net, inet_sk(sk))) [[unlikely]]
    return false;
  u8* const at = ip_way_short_begin(net, rt, sk.sk_daddr, total);
  if (!at) [[unlikely]]
    return false;
  bool const fresh = data && !before(seq, tcp_sk(sk).snd_nxt);
  u8* const th =
      ip_way_short_header(at, detail::tcp_v4_way_by(net, sk, rt, detail::tcp_v4_tos_quiet(sk, fresh)), total);
  detail::tcp_write_short<Stamped>(net, sk, th, seq, flags, len, data);
  dev_short_end(net, *rt.dev);
  return true;
}
namespace detail {
/// For who has no time stamps.
template <class Net>
NETSTACK_NOINLINE bool tcp_v4_bare_short(Net& net, sock& sk, rtable& rt, u32 seq, u8 flags, sk_buff const* data) {
  return tcp_inline_short<false>(net, sk, rt, seq, flags, data);
}
}  // namespace detail

/// inet_connection_sock_af_ops::transmit_short.
template <class Net>
NETSTACK_INLINE bool tcp_v4_transmit_short(Net& net, sock& sk, u32 seq, u8 flags, sk_buff const* data) {
  auto& rt = static_cast<rtable&>(*sk.sk_dst_cache);
  if (!ip_rt_is_known(net, rt)) [[unlikely]]
    return false;
  if (!tcp_sk(sk).tstamp_ok) [[unlikely]]
    return detail::tcp_v4_bare_short(net, sk, rt, seq, flags, data);
  return tcp_inline_short<true>(net, sk, rt, seq, flags, data);
}
/// The next hop of a segment of so many bytes, if it is of the common kind and nothing stands between it and the
/// driver; else null.
template <bool Stamped, class Net>
NETSTACK_INLINE neighbour* tcp_inline_hop(Net& net, sock& sk, rtable& rt, u32 len) {
  constexpr u32 hlen = detail::tcp_common_hlen<Stamped>;
  if (len + hlen > rt.plain_room || !detail::tcp_v4_is_plain(net, inet_sk(sk))) [[unlikely]]
    return nullptr;
  return ip_way_is_free(net, rt, sk.sk_daddr, max_tcp_header - hlen - static_cast<u32>(ip_hlen_min));
}
/// What leaves for a fresh segment by that hop: it gets all headers. Errors: no_buffer_space, dev_queue_xmit's.
template <bool Stamped, class Net>
NETSTACK_INLINE result<void> tcp_inline_fresh(Net& net, sock& sk, rtable& rt, neighbour& n, sk_buff& skb) {
  auto const& cb = TCP_SKB_CB(skb);
  sk_buff* const out = detail::tcp_fresh_to_send(net, skb);
  if (!out) [[unlikely]]
    return failure{std::errc::no_buffer_space};
  out->sk = &sk;  // as skb_set_owner_w; nobody's until now
  out->destructor = sock_wfree;
  sk.sk_wmem_alloc += out->truesize;
  out->data -= detail::tcp_common_hlen<Stamped>;
  out->len += detail::tcp_common_hlen<Stamped>;
  detail::tcp_write_common<Stamped>(net, sk, out->data, cb.seq, cb.tcp_flags, out->len,
                                    [&](u64 pseudo, u64 sum)
                                        NETSTACK_INLINE_LAMBDA { return detail::tcp_header_check(*out, pseudo, sum); });
  detail::tcp_common_left(net, sk);
  return ip_way_send_free(net, *out, detail::tcp_v4_way_by(net, sk, rt, detail::tcp_v4_tos_quiet(sk, true)), n);
}

namespace detail {
/// A SYN, or its answer, with no more options than nearly every one has, by a way that is still right. False: nothing
/// was sent, it needs a packet. dev_takes_short was asked.
template <class Net>
NETSTACK_INLINE bool tcp_v4_syn_short(Net& net, ip_way const& way, tcp_header_fields const& f,
                                      tcp_out_options const& opts, u32 flow) {
  static_assert(eth_hlen + ip_hlen_min + tcp_syn_hlen <= short_frame_max);
  bool const common = opts.is_common_syn();
  u32 const hlen = common ? tcp_syn_hlen : static_cast<u32>(tcp_hlen_min) + opts.size();
  if (hlen > tcp_syn_hlen) [[unlikely]]
    return false;
  u32 const total = static_cast<u32>(ip_hlen_min) + hlen;
  u8* const at = ip_way_short_begin(net, *way.rt, way.daddr, total);
  if (!at) [[unlikely]]
    return false;
  tcp_write_syn(ip_way_short_header(at, way, total), f, opts, common, hlen, flow);
  dev_short_end(net, *way.rt->dev);
  ++TCP_STATS(net).OutSegs;
  return true;
}
}  // namespace detail

/// inet_connection_sock_af_ops::transmit_syn.
template <class Net>
bool tcp_v4_transmit_syn(Net& net, sock& sk, tcp_header_fields const& f, tcp_out_options const& opts) {
  auto& rt = static_cast<rtable&>(*sk.sk_dst_cache);
  if (!ip_rt_is_plain(net, rt) || !detail::tcp_v4_is_plain(net, inet_sk(sk))) [[unlikely]]
    return false;
  ip_way const way = detail::tcp_v4_way_by(net, sk, rt, detail::tcp_v4_tos(sk));
  return detail::tcp_v4_syn_short(net, way, f, opts, tcp_sk(sk).csum_flow);
}
/// inet_connection_sock_af_ops::queue_xmit_list: neighbours of one length have one header, and the device gets all.
template <class Net>
void ip_queue_xmit_list(Net& net, sock& sk, skb_list& list) {
  ip_way way;
  if (detail::tcp_v4_way(net, sk, way)) [[likely]] {
    net_device const& dev = *way.rt->dev;
    ip_summed const summed = list.first->ip_summed;
    ip_way_burst<Net> burst{net, way, summed};
    u32 const room = ip_way_room(way);
    bool fits = burst.ready() && (summed == ip_summed::none || (dev.features & netif_f::hw_csum) != 0);
    for (sk_buff* skb = list.first; skb && fits; skb = skb->next)
      fits = skb->len <= room && skb->ip_summed == summed && skb->headroom() >= burst.headroom &&
             detail::has_headroom(*skb, dev, static_cast<u32>(ip_hlen_min));
    if (fits) {
      u32 len = 0;
      for (sk_buff* skb = list.first; skb; skb = skb->next) {
        if (skb->len != len) burst.begin(len = skb->len);
        bool const cloned = skb->cloned;
        burst.push(*skb, skb->data);
        skb->cloned = cloned;
      }
      burst.send(*list.first, *list.last, list.count);
      list = {};
      return;
    }
  }
  while (sk_buff* skb = list.pop_front()) (void)ip_queue_xmit(net, sk, *skb);
}

}  // namespace netstack
