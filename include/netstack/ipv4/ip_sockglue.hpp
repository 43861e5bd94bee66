// SPDX-License-Identifier: BSL-1.0
// Decides: what an IPv4 socket tells its reader about each packet (IP_PKTINFO, IP_RECVTTL …), what a writer may say
// about one packet in control messages, and how ICMP errors wait for MSG_ERRQUEUE. The options themselves:
// ip_sockopt.hpp.
// rx: called by udp_queue_rcv_skb, udp_recvmsg, udp_err; tx: called by udp_sendmsg
// Linux: net/ipv4/ip_sockglue.c (ip_cmsg_recv_offset, ip_cmsg_send, ip_icmp_error, ip_recv_error) [S43] [S118]
#pragma once
#include <array>

#include "netstack/core/datagram.hpp"
#include "netstack/core/sock_opt.hpp"
#include "netstack/core/sock_queue.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/ipv4/ip_options_echo.hpp"
#include "netstack/ipv4/route_output.hpp"
#include "netstack/skb/skb_walk.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack {

/// IP_PKTINFO's value.
struct in_pktinfo {
  int ipi_ifindex = 0;
  in_addr ipi_spec_dst{};  ///< the local address that an answer should come from
  in_addr ipi_addr{};      ///< the header's destination
};
static_assert(sizeof(in_pktinfo) == 12);

/// What a queued packet keeps in its control block for its reader.
struct inet_skb_rcv {
  inet_skb_parm header{};
  be32 spec_dst{};
};
inline inet_skb_rcv& INET_SKB_RCV(sk_buff& skb) { return skb.cb<inet_skb_rcv>(); }

/// Notes what IP_PKTINFO will be asked for while the route is still known, and lets go of the route.
template <class Net>
void ipv4_pktinfo_prepare(Net& net, sock const& sk, sk_buff& skb) {
  if (inet_sk(sk).cmsg_flags & ip_cmsg::pktinfo) INET_SKB_RCV(skb).spec_dst = fib_compute_spec_dst(net, skb);
  skb_dst_drop(skb);
}

/// Control messages of SOL_IP for the reader of a packet, which came in by `ifindex`.
inline void ip_cmsg_recv(sock const& sk, msghdr& m, sk_buff const& skb, u32 ifindex, be32 spec_dst) {
  auto const flags = inet_sk(sk).cmsg_flags;
  auto const& iph = *ip_hdr(skb);
  if (flags & ip_cmsg::pktinfo)
    put_cmsg(m, sol::ip, ip_opt::pktinfo, in_pktinfo{static_cast<int>(ifindex), {spec_dst}, {iph.daddr}});
  if (flags & ip_cmsg::ttl) put_cmsg(m, sol::ip, ip_opt::ttl, int{iph.ttl});
  if (flags & ip_cmsg::tos) put_cmsg(m, sol::ip, ip_opt::tos, u8{iph.tos});
  if ((flags & ip_cmsg::recvopts) && iph.ihl() > 5)
    put_cmsg(m, sol::ip, ip_opt::recvopts, &iph + 1, iph.header_len() - ip_hlen_min);
  // RFC 1122 §4.1.3.2: a user can answer by the way that a datagram came.
  if ((flags & ip_cmsg::retopts) && iph.ihl() > 5) {
    auto reply = ip_options_echo(skb);
    if (reply.faddr) ip_options_undo(reply.data, reply.faddr);
    put_cmsg(m, sol::ip, ip_opt::retopts, reply.data, reply.len);
  }
  if (flags & ip_cmsg::origdstaddr) {
    // Of a packet that reported an error this is what it quoted of the payload, and there may be less of it.
    std::array<be16, 2> ports;
    if (skb.transport_offset() < 0)
      std::memcpy(ports.data(), skb.head + skb.transport_header, sizeof ports);
    else if (!skb_copy_bits(skb, static_cast<u32>(skb.transport_offset()), ports.data(), sizeof ports))
      return;
    put_cmsg(m, sol::ip, ip_opt::recvorigdstaddr,
             sockaddr_in{.sin_family = af::inet, .sin_port = ports[1], .sin_addr = {iph.daddr}});
  }
}

/// How one datagram is to be sent: the socket's settings, unless a control message says otherwise.
struct ipcm_cookie {
  be32 addr{};  ///< source; zero: the socket's
  u32 oif = 0;
  int ttl = 0;   ///< 0: the socket's
  int tos = -1;  ///< -1: the socket's
  u32 mark = 0;
  u32 priority = 0;
  bool has_opt = false;  ///< `opt` was given; else the socket's
  inet_options& opt;
};

/// Reads SOL_IP and SOL_SOCKET messages. Errors: invalid_argument (unknown, malformed or out of range),
/// no_such_device (IP_PKTINFO's ifindex), operation_not_permitted (SO_MARK).
template <class Net>
result<void> ip_cmsg_send(Net& net, std::span<std::byte const> control, ipcm_cookie& ipc) {
  auto error = std::errc::invalid_argument;
  auto const take = [&](cmsg_view const& c) {
    if (c.level == sol::socket && c.type == so::mark && c.data.size() == sizeof(u32)) {
      error = std::errc::operation_not_permitted;
      if (!ns_capable(net, cap::net_admin)) return false;
      ipc.mark = c.as<u32>();
    } else if (c.level == sol::socket && c.type == so::priority && c.data.size() == sizeof(u32)) {
      ipc.priority = c.as<u32>();
    } else if (c.level != sol::ip) {
      return c.level != sol::socket;  // another layer's
    } else if (c.type == ip_opt::pktinfo && c.data.size() == sizeof(in_pktinfo)) {
      auto const info = c.as<in_pktinfo>();
      error = std::errc::no_such_device;
      if (info.ipi_ifindex != 0 && !net.dev_get_by_index(static_cast<u32>(info.ipi_ifindex))) return false;
      if (info.ipi_ifindex != 0) ipc.oif = static_cast<u32>(info.ipi_ifindex);
      ipc.addr = info.ipi_spec_dst.s_addr;
    } else if (c.type == ip_opt::ttl && c.data.size() == sizeof(int) && c.as<int>() >= 1 && c.as<int>() <= 255) {
      ipc.ttl = c.as<int>();
    } else if (c.type == ip_opt::tos && c.data.size() == sizeof(int) && c.as<int>() >= 0 && c.as<int>() <= 255) {
      ipc.tos = c.as<int>();
    } else if (c.type == ip_opt::tos && c.data.size() == sizeof(u8)) {
      ipc.tos = c.as<u8>();
    } else if (c.type == ip_opt::retopts) {
      if (!ip_options_get(ipc.opt, c.data)) return false;
      ipc.has_opt = true;
    } else {
      return false;
    }
    error = std::errc::invalid_argument;
    return true;
  };
  if (!for_each_cmsg(control, take)) return failure{error};
  return {};
}

/// Queues an ICMP error for the reader of the error queue. skb: as the err_handler got it; payload: the application's
/// bytes that the error quotes.
inline void ip_icmp_error(sock& sk, sk_buff& skb, int err, be16 port, u32 info, u8* payload) {
  if (!inet_sk(sk).recverr) return;
  sk_buff* copy = skb_clone(skb);
  if (!copy) return;
  auto const& icmph = *skb.transport_hdr<icmphdr>();
  auto const* quoted = reinterpret_cast<iphdr const*>(&icmph + 1);
  u32 const ifindex = IPCB(skb).iif;
  SKB_EXT_ERR(*copy) = {.ee = {.ee_errno = static_cast<u32>(err),
                               .ee_origin = so_ee_origin::icmp,
                               .ee_type = icmph.type,
                               .ee_code = icmph.code,
                               .ee_info = info},
                        .daddr = quoted->daddr,
                        .offender = ip_hdr(skb)->saddr,
                        .port = port,
                        .has_offender = 1,
                        .ifindex = ifindex};
  skb_dst_drop(*copy);
  auto const skip = static_cast<u32>(payload - copy->data);
  if (!copy->pull(skip)) return consume_skb(*copy);
  copy->reset_transport_header();
  if (!sock_queue_err_skb(sk, *copy)) consume_skb(*copy);
}

/// Queues an error that this host found itself (EMSGSIZE before anything was sent).
template <class Net>
void ip_local_error(Net& net, sock& sk, int err, be32 daddr, be16 port, u32 info) {
  if (!inet_sk(sk).recverr) return;
  sk_buff* skb = net.worker().pool.alloc_skb();
  if (!skb) return;
  skb->reset_network_header();
  skb->tstamp = net.worker().now_real;
  SKB_EXT_ERR(*skb) = {.ee = {.ee_errno = static_cast<u32>(err), .ee_origin = so_ee_origin::local, .ee_info = info},
                       .daddr = daddr,
                       .offender = {},
                       .port = port};
  if (!sock_queue_err_skb(sk, *skb)) consume_skb(*skb);
}

/// recvmsg(MSG_ERRQUEUE). Errors: resource_unavailable_try_again; it never waits.
inline result<std::size_t> ip_recv_error(sock& sk, msghdr& m) {
  sk_buff* skb = sock_dequeue_err_skb(sk);
  if (!skb) return failure{std::errc::resource_unavailable_try_again};
  auto const& serr = SKB_EXT_ERR(*skb);
  std::size_t const copied = skb_copy_datagram_msg(*skb, 0, m, skb->len);
  if (copied < skb->len) m.msg_flags |= msg::trunc;
  sock_recv_cmsgs(sk, m, *skb, sof_timestamping::software);
  sockaddr_in const sin{.sin_family = af::inet, .sin_port = serr.port, .sin_addr = {serr.daddr}};
  bool const is_time = serr.ee.ee_origin == so_ee_origin::timestamping;
  if (serr.ee.ee_origin == so_ee_origin::icmp && inet_sk(sk).cmsg_flags)  // about the packet that reported it
    ip_cmsg_recv(sk, m, *skb, serr.ifindex, {});
  if (is_time) {
    m.msg_namelen = 0;
    if ((sk.sk_rare->tsflags & sof_timestamping::opt_cmsg) && skb->len != 0 && serr.ifindex != 0)
      put_cmsg(m, sol::ip, ip_opt::pktinfo,
               in_pktinfo{static_cast<int>(serr.ifindex), {ip_hdr(*skb)->saddr}, {ip_hdr(*skb)->daddr}});
  } else if (m.msg_name) {
    std::memcpy(m.msg_name, &sin, std::min<std::size_t>(m.msg_namelen, sizeof sin));
    m.msg_namelen = sizeof sin;
  }
  struct {
    sock_extended_err ee;
    sockaddr_in offender;
  } errhdr{.ee = serr.ee, .offender = {.sin_family = af::unspec}};
  if (serr.has_offender) errhdr.offender = {.sin_family = af::inet, .sin_addr = {serr.offender}};
  put_cmsg(m, sol::ip, ip_opt::recverr, errhdr);
  m.msg_flags |= msg::errqueue;
  consume_skb(*skb);
  return copied;
}

}  // namespace netstack
