// SPDX-License-Identifier: BSL-1.0
// Decides: what happens to a received UDP datagram: its lengths and checksum, the socket or sockets it is for, and the
// port unreachable that nobody's datagram is answered with. A datagram waits in its socket's queue with data at the
// payload and its checksum verified, so that whoever reads it need not look again.
// rx: called by ip_local_deliver through inet_protos → calls sock_queue_rcv_skb; err_handler: udp_err.hpp
// Linux: net/ipv4/udp.c (__udp4_lib_rcv, udp_queue_rcv_skb, udp_v4_early_demux) RFC 768; RFC 1122 §4.1.3
// [S93] [S105] [S117] [S149]
#pragma once
#include "netstack/core/rps.hpp"
#include "netstack/ipv4/ip_sockglue.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/udp/udp_table.hpp"
#include "netstack/wire/icmp.hpp"
#include "netstack/wire/udp.hpp"

namespace netstack {

namespace detail {

/// True if the checksum is right, was checked by somebody else, or was not made. Data at the UDP header.
inline bool udp_csum_ok(sk_buff& skb, udphdr const& uh, iphdr const& iph) {
  // RFC 1122 §4.1.3.4: zero says that the sender made none.
  if (uh.check.raw() == 0) return true;
  return skb_checksum_validate(skb, csum_tcpudp_nofold(iph.saddr, iph.daddr, skb.len, iph.protocol, 0));
}

inline udp_key udp_key_of(sk_buff& skb, udphdr const& uh, iphdr const& iph) {
  return {.saddr = iph.saddr, .sport = uh.source, .daddr = iph.daddr, .hnum = uh.dest.host(), .dif = IPCB(skb).iif};
}

}  // namespace detail

/// proto::backlog_rcv, and the end of the way: into the socket's queue. Data at the payload.
template <class Net>
verdict __udp_queue_rcv_skb(Net& net, sock& sk, sk_buff& skb) {
  verdict const v = sock_queue_rcv_skb(net, sk, skb);
  if (v.is_drop()) [[unlikely]] {
    ++UDP_STATS(net).InErrors;
    ++(v.reason() == drop_reason::proto_mem ? UDP_STATS(net).MemErrors : UDP_STATS(net).RcvbufErrors);
  }
  return v;
}

namespace detail {

/// Datagrams for somebody who wants no queue: handed over, and what is left of them freed.
template <class Net>
void udp_encap_rcv(Net& net, sock& sk, skb_list& list) {
  UDP_STATS(net).InDatagrams += list.count;
  sock_hold(sk);
  udp_sk(sk).encap_rcv(sk, list);
  sock_put(sk);
  if (!list.empty()) net.worker().pool.free_bulk(list);
}

}  // namespace detail

/// A datagram for this socket, data at the UDP header, checksum verified.
template <class Net>
verdict udp_queue_rcv_skb(Net& net, sock& sk, sk_buff& skb) {
  ipv4_pktinfo_prepare(net, sk, skb);
  skb.pull(static_cast<u32>(udp_hlen));
  if (udp_sk(sk).encap_rcv) {
    skb_list one;
    one.push_back(skb);
    detail::udp_encap_rcv(net, sk, one);
    return verdict::kept();
  }
  if (sk.sk_owned) [[unlikely]]
    return sk_add_backlog(net, sk, skb);
  return __udp_queue_rcv_skb(net, sk, skb);
}

namespace detail {

/// A bad checksum: counted where the datagram would have gone.
template <class Net>
verdict udp_csum_error(Net& net, sock* sk, sk_buff& skb) {
  if (sk) ++sk->sk_drops;
  return drop(net, skb, drop_reason::udp_csum);
}

template <class Net>
verdict udp_unicast_rcv(Net& net, sock& sk, sk_buff& skb, udphdr const& uh, iphdr const& iph) {
  if (!udp_csum_ok(skb, uh, iph)) [[unlikely]]
    return udp_csum_error(net, &sk, skb);
  if (sk.sk_state == tcp_state::established) sk_rx_dst_set(sk, skb);
  return udp_queue_rcv_skb(net, sk, skb);
}

/// A multicast or broadcast datagram: every socket that wants it gets it, the last one the original. The sockets are
/// gathered first, since a callback may close any of them. [S149]
template <class Net>
verdict udp4_lib_mcast_deliver(Net& net, sk_buff& skb, udp_key const& key) {
  udp_sock* first = nullptr;
  for (auto& sk : udp_slot(net, key.hnum)) {
    if (!udp_is_mcast_sock(sk, &net, key)) continue;
    sock_hold(sk);
    udp_sk(sk).mcast_next = first;
    first = &udp_sk(sk);
  }
  if (!first) {
    ++UDP_STATS(net).IgnoredMulti;
    return verdict::consumed();  // RFC 1122 §3.2.2: no error about a broadcast or a multicast
  }
  while (first->mcast_next) {
    sock& sk = *std::exchange(first, first->mcast_next);
    if (sk_buff* copy = sock_flag(sk, sock_flags::dead) ? nullptr : skb_clone(skb)) {
      finish(*copy, udp_queue_rcv_skb(net, sk, *copy));
    } else {
      ++sk.sk_drops;
      ++UDP_STATS(net).RcvbufErrors;
      ++UDP_STATS(net).InErrors;
    }
    sock_put(sk);
  }
  bool const dead = sock_flag(*first, sock_flags::dead);
  verdict const v = dead ? verdict::consumed() : udp_queue_rcv_skb(net, *first, skb);
  sock_put(*first);
  return v;
}

/// Another worker's, perhaps; it gets the packet as the IP header says that it is.
template <class Net>
bool udp_hand_on(Net& net, sk_buff& skb, u32 padding) {
  if (padding == 0) return rps_hand_on(net, skb);
  if (skb.is_nonlinear()) return false;  // it is gone
  (void)skb.put(padding);
  if (skb.ip_summed == ip_summed::complete) skb.ip_summed = ip_summed::none;  // of what was trimmed
  if (rps_hand_on(net, skb)) return true;
  skb.trim(skb.len - padding);
  return false;
}

}  // namespace detail

/// net_protocol::handler. Data at the UDP header, network_header valid.
template <class Net>
verdict udp_rcv(Net& net, sk_buff& skb) {
  if (!pskb_may_pull(skb, static_cast<u32>(udp_hlen))) [[unlikely]]
    return drop(net, skb, drop_reason::udp_hdr);
  auto const* uh = skb.transport_hdr<udphdr>();
  u32 const ulen = uh->len.host();
  // RFC 768: the length counts the header; what the IP packet carries beyond it is padding.
  if (ulen < udp_hlen || ulen > skb.len) [[unlikely]]
    return drop(net, skb, drop_reason::udp_hdr);
  u32 const padding = skb.len - ulen;
  if (padding != 0 && !pskb_trim_rcsum(skb, ulen)) [[unlikely]]
    return drop(net, skb, drop_reason::nomem);
  iphdr const& iph = *ip_hdr(skb);

  if (skb.sk) {
    sock& sk = *skb_steal_sock(skb);
    verdict const v = detail::udp_unicast_rcv(net, sk, skb, *uh, iph);
    sock_put(sk);
    return v;
  }
  udp_key const key = detail::udp_key_of(skb, *uh, iph);
  auto const* rt = skb_rtable(skb);
  if (rt && rt->rt_type != rtn::local) {
    if (!detail::udp_csum_ok(skb, *uh, iph)) return detail::udp_csum_error(net, nullptr, skb);
    return detail::udp4_lib_mcast_deliver(net, skb, key);
  }
  if (sock* sk = udp4_lib_lookup(net, key)) [[likely]]
    return detail::udp_unicast_rcv(net, *sk, skb, *uh, iph);
  if (!detail::udp_csum_ok(skb, *uh, iph)) return detail::udp_csum_error(net, nullptr, skb);
  if (detail::udp_hand_on(net, skb, padding)) return verdict::kept();
  ++UDP_STATS(net).NoPorts;
  // RFC 1122 §4.1.3.1: a datagram for a port that nobody listens to SHOULD be answered with port unreachable.
  icmp_send(net, skb, icmp_type::dest_unreach, icmp_code::port_unreach, 0);
  return drop(net, skb, drop_reason::no_socket);
}

namespace detail {

/// Datagrams of a flow for one socket, checksums verified, data at the payload: to its reader, or into its queue.
template <class Net>
void udp_queue_rcv_list(Net& net, sock& sk, skb_list& list) {
  if (sk.sk_state == tcp_state::established) sk_rx_dst_set(sk, *list.first);
  if (inet_sk(sk).cmsg_flags & ip_cmsg::pktinfo) [[unlikely]]
    for (sk_buff& skb : list) INET_SKB_RCV(skb).spec_dst = fib_compute_spec_dst(net, skb);
  if (udp_sk(sk).encap_rcv) return udp_encap_rcv(net, sk, list);  // the route stays borrowed for this poll
  for (sk_buff* skb = list.first; skb; skb = skb->next) skb_dst_drop(*skb);
  sock_hold(sk);
  if (!sk.sk_owned) [[likely]]
    sock_queue_rcv_list(net, sk, list);
  while (sk_buff* skb = list.pop_front()) {
    if (sock_flag(sk, sock_flags::dead))
      consume_skb(*skb);
    else
      finish(*skb, sk.sk_owned ? sk_add_backlog(net, sk, *skb) : __udp_queue_rcv_skb(net, sk, *skb));
  }
  sock_put(sk);
}

}  // namespace detail

/// net_protocol::flow.begin: a datagram of the common kind whose socket is known.
template <class Net>
bool udp_flow_begin(Net& net, sk_buff& skb, inet_flow& flow) {
  if (skb_rtable(skb)->rt_type != rtn::local || skb.headlen() < udp_hlen || skb.is_nonlinear()) return false;
  auto const& uh = *reinterpret_cast<udphdr const*>(skb.data);
  iphdr const& iph = *ip_hdr(skb);
  if (uh.len.host() != skb.len || !detail::udp_csum_ok(skb, uh, iph)) return false;
  flow.sk = skb.sk ? skb.sk : udp4_lib_lookup(net, detail::udp_key_of(skb, uh, iph));
  if (!flow.sk) return false;
  if (skb.sk) sock_put(*skb_steal_sock(skb));  // still hashed: not the last hold on it
  flow.ports_mask = ~u32{0};
  flow.pseudo = u64{iph.saddr.raw()} + iph.daddr.raw() + be16{ipproto::udp}.raw();
  flow.csum_known = skb_csum_vouched(skb);
  return true;
}
/// net_protocol::flow.more. RFC 768: padding behind the length, and no checksum, are allowed; the former goes the
/// longer way.
NETSTACK_INLINE bool udp_flow_more(inet_flow const& flow, u8 const* th, u32 len, u8* to) {
  constexpr bool little = std::endian::native == std::endian::little;
  u32 const length_and_check = detail::csum_load<u32>(th + 4);
  auto const ulen = static_cast<u16>(little ? length_and_check : length_and_check >> 16);
  if (ulen != be16{static_cast<u16>(len)}.raw()) return false;
  bool const none = static_cast<u16>(little ? length_and_check >> 16 : length_and_check) == 0;
  return csum_check_and_copy(to, th, len, flow.pseudo + ulen, flow.csum_known || none);
}
/// net_protocol::flow.end: to the socket's reader, or into its queue.
template <class Net>
void udp_flow_end(Net& net, inet_flow& flow, skb_list& list) {
  detail::udp_queue_rcv_list(net, *flow.sk, list);
}

/// net_protocol::early_demux: a connected socket lends its packets their route, before one is looked up. [S117]
template <class Net>
void udp_v4_early_demux(Net& net, sk_buff& skb) {
  if (!net_generic<udp>(net).sysctl_udp_early_demux || skb.pkt_type != pkt_type::host) return;
  auto const& iph = *ip_hdr(skb);
  auto const hlen = static_cast<u32>(iph.header_len());
  auto const* uh = skb.template peek<udphdr>(static_cast<u32>(skb.network_offset()) + hlen);
  if (!uh) return;
  sock* sk = udp4_lib_demux_lookup(net, detail::udp_key_of(skb, *uh, iph));
  if (!sk) return;
  sock_hold(*sk);
  skb.sk = sk;
  skb.destructor = sock_efree;
  auto* rt = static_cast<rtable*>(sk->sk_rx_dst);
  if (rt && sk->sk_rx_dst_ifindex == skb.skb_iif && !rt->obsolete) skb_dst_set_noref(skb, *rt);
}

}  // namespace netstack
