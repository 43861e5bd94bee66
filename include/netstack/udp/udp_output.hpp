// SPDX-License-Identifier: BSL-1.0
// Decides: how a datagram is built and sent. The payload is copied once, into a frame of the pool with room for the
// headers in front, and summed in the same pass; the header's part of the sum comes from registers. A connected socket
// keeps its route. Several calls make one datagram with MSG_MORE or UDP_CORK (udp_cork.hpp).
// tx: called by inet_sendmsg as sk_prot's sendmsg → calls ip_send_skb
// Linux: net/ipv4/udp.c (udp_sendmsg, udp_send_skb); RFC 768; RFC 1122 §4.1.3.4 (checksums) [S101] [S112]
#pragma once
#include "netstack/core/timestamping.hpp"
#include "netstack/ipv4/datagram.hpp"
#include "netstack/ipv4/ip_sockglue.hpp"
#include "netstack/udp/udp_sock.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/udp.hpp"

namespace netstack {

/// The most that one datagram's 16-bit lengths allow.
inline constexpr std::size_t udp_max_len = 0xffff;

namespace detail {

/// Everything about one datagram but its bytes.
struct udp_flow {
  flowi4 fl4{};
  ip_tx tx{};
  rtable* rt = nullptr;  ///< borrowed
  udp_csum_mode csum_mode = udp_csum_mode::software;
  inet_options opt;  ///< of this datagram alone
  /// Whom it is for, whatever it passes on the way.
  [[nodiscard]] be32 daddr() const { return tx.srr ? tx.daddr : fl4.daddr; }
};

/// Where the datagram goes: msg_name, or the peer. Errors: invalid_argument, address_family_not_supported,
/// destination_address_required.
inline result<void> udp_destination(sock const& sk, msghdr const& m, be32& daddr, be16& dport) {
  if (!m.msg_name) {
    if (sk.sk_state != tcp_state::established) return failure{std::errc::destination_address_required};
    daddr = sk.sk_daddr;
    dport = sk.sk_dport;
    return {};
  }
  if (m.msg_namelen < sizeof(sockaddr_in)) return failure{std::errc::invalid_argument};
  auto const name = m.name().as<sockaddr_in>();
  if (name.sin_family != af::inet && name.sin_family != af::unspec)
    return failure{std::errc::address_family_not_supported};
  if (!name.sin_port) return failure{std::errc::invalid_argument};
  daddr = name.sin_addr.s_addr;
  dport = name.sin_port;
  return {};
}

/// Fills the flow, and how the packet is to look, from the socket and what the caller said about this one datagram.
inline void udp_fill_flow(inet_sock& inet, ipcm_cookie const& ipc, u32 flags, udp_flow& flow) {
  be32 const daddr = flow.daddr();
  bool const multicast = ipv4_is_multicast(daddr);
  flow.fl4 = connected_flow(inet, daddr, flow.fl4.dport);
  if (ipc.addr) flow.fl4.saddr = ipc.addr;
  if (ipc.oif != 0) flow.fl4.oif = ipc.oif;
  if (ipc.tos >= 0) flow.fl4.tos = static_cast<u8>(ipc.tos);
  flow.fl4.mark = ipc.mark;
  if (flags & msg::dontroute) flow.fl4.scope = rt_scope::link;
  s32 const own_ttl = multicast ? s32{inet.sk_rare->mc_ttl} : s32{inet.uc_ttl};
  flow.tx = {.ttl = static_cast<u8>(ipc.ttl != 0  ? ipc.ttl
                                    : own_ttl > 0 ? own_ttl
                                                  : 0),
             .tos = flow.fl4.tos,
             .protocol = static_cast<u8>(inet.sk_protocol),
             .pmtudisc = inet.pmtudisc,
             .mc_loop = inet.mc_loop,
             .mark = ipc.mark,
             .priority = ipc.priority};
  if (inet_options const* const opt = ipc.has_opt ? &flow.opt : inet.sk_rare->opt; opt && opt->optlen) [[unlikely]] {
    flow.tx.options = opt->data, flow.tx.optlen = opt->optlen;
    if (!opt->srr) return;
    flow.tx.srr = opt->srr, flow.tx.daddr = daddr;
    flow.fl4.daddr = opt->faddr;
    if (opt->is_strictroute) flow.fl4.scope = rt_scope::link;  // RFC 791 §3.1: the next stop is a neighbour
  }
}

inline udp_csum_mode udp_csum_mode_of(sock const& sk, net_device const& dev) {
  if (sock_flag(sk, sock_flags::no_check_tx)) return udp_csum_mode::none;
  return dev.features & netif_f::hw_csum ? udp_csum_mode::hardware : udp_csum_mode::software;
}

/// The route of a datagram: the connected socket's own when nothing about it was changed, else looked up.
template <class Net>
result<void> udp_route(Net& net, sock& sk, bool connected, udp_flow& flow) {
  if (connected) {
    if ((flow.rt = sk_rt_check(net, sk))) {
      flow.fl4.saddr = inet_sk(sk).inet_saddr;
      flow.csum_mode = udp_csum_mode_of(sk, *flow.rt->dev);
      return {};
    }
  }
  auto const rt = ip_route_output_key(net, flow.fl4);
  if (!rt) {
    if (rt.error() == std::errc::network_unreachable) ++IP_STATS(net).OutNoRoutes;
    return failure{rt.error()};
  }
  flow.rt = *rt;
  flow.csum_mode = udp_csum_mode_of(sk, *flow.rt->dev);
  if (connected) sk_dst_set(sk, **rt);
  return {};
}

/// Bytes in front of the payload: the link's, IP's and UDP's headers. Rounded up, so that the payload starts a cache
/// line and is copied line by line. [S101]
inline u32 udp_headroom(net_device const& dev, u8 optlen) {
  u32 const headers = dev.hard_header_len + dev.needed_headroom + static_cast<u32>(ip_hlen_min + udp_hlen) + optlen;
  return (headers + 63) & ~u32{63};
}

/// Writes the header in front of the payload. `csum`: over the payload, for software. RFC 768: the sums' destination is
/// who checks them, not a stop on the way.
inline void udp_push_header(sk_buff& skb, udp_flow const& flow, u32 csum) {
  auto const& fl4 = flow.fl4;
  be32 const daddr = flow.daddr();
  udp_csum_mode const mode = flow.csum_mode;
  u32 const len = skb.len + static_cast<u32>(udp_hlen);
  auto* uh = reinterpret_cast<udphdr*>(skb.push(static_cast<u32>(udp_hlen)));
  skb.reset_transport_header();
  be16 const ulen{static_cast<u16>(len)};
  sum16 check{};
  if (mode == udp_csum_mode::software) {
    csum = csum_add(csum, u32{fl4.sport.raw()} + fl4.dport.raw() + ulen.raw());
    check = csum_tcpudp_magic(fl4.saddr, daddr, len, fl4.proto, csum);
    // RFC 768: a computed zero travels as all ones.
    if (check.raw() == 0) check = csum_mangled_0;
    skb.ip_summed = ip_summed::none;
  } else if (mode == udp_csum_mode::hardware) {
    check = sum16{static_cast<u16>(~csum_tcpudp_magic(fl4.saddr, daddr, len, fl4.proto, 0).raw())};
    skb.ip_summed = ip_summed::partial;
    skb.csum_start = skb.transport_header;
    skb.csum_offset = offsetof(udphdr, check);
  }
  auto const words = std::bit_cast<u64>(std::array<u16, 4>{fl4.sport.raw(), fl4.dport.raw(), ulen.raw(), check.raw()});
  std::memcpy(static_cast<void*>(uh), &words, sizeof words);
}

/// Copies `len` bytes of payload to `to`, and adds them to the sum when one is made.
inline void udp_fill(u8* to, iov_iter& from, std::size_t len, bool sum, std::size_t offset, u32& csum) {
  if (sum)
    csum = from.csum_and_copy_from(to, len, csum, offset);
  else
    from.copy_from(to, len);
}

/// What a sender is told about a datagram that did not leave.
template <class Net>
NETSTACK_COLD result<void> udp_send_failed(Net& net, sock& sk, std::errc error, be32 daddr, be16 dport, rtable* rt) {
  if (error == std::errc::no_buffer_space) {
    ++UDP_STATS(net).SndbufErrors;
    // A queue further down is full: a datagram may be lost, and only who asked for errors is told.
    if (!inet_sk(sk).recverr) return {};
  } else if (error == std::errc::message_size && rt->dev) {
    ip_local_error(net, sk, static_cast<int>(error), daddr, dport, ip_dst_mtu(net, *rt, daddr));
  }
  return failure{error};
}

}  // namespace detail

/// Sends a packet whose data is the payload: UDP header, IP header, gone. Always takes the skb.
template <class Net>
result<void> udp_send_skb(Net& net, sock& sk, sk_buff& skb, detail::udp_flow const& flow, u32 csum) {
  if (udp_sk(sk).own.tsflags & sof_timestamping::tx_record_mask) [[unlikely]]
    sock_tx_timestamp(sk, skb);
  detail::udp_push_header(skb, flow, csum);
  auto const r = ip_send_skb(net, skb, *flow.rt, flow.fl4, flow.tx);
  if (r) [[likely]] {
    ++UDP_STATS(net).OutDatagrams;
    return {};
  }
  return detail::udp_send_failed(net, sk, r.error(), flow.daddr(), flow.fl4.dport, flow.rt);
}

}  // namespace netstack
