// SPDX-License-Identifier: BSL-1.0
// Decides: what a reader of a UDP socket gets: one datagram a call, cut to its buffer, with the sender's address and
// what it asked to be told. And what ioctl(), close() and the options of level SOL_UDP do.
// rx: called by sock_common_recvmsg as sk_prot's recvmsg
// Linux: net/ipv4/udp.c (udp_recvmsg, udp_ioctl, udp_lib_setsockopt, udp_destroy_sock)
#pragma once
#include "netstack/core/sock_alloc.hpp"
#include "netstack/ipv4/ip_sockopt.hpp"
#include "netstack/udp/udp_sendmsg.hpp"

namespace netstack {

/// The sender of a queued datagram.
[[nodiscard]] inline sockaddr_in udp_source(sk_buff const& skb) {
  return {.sin_family = af::inet, .sin_port = skb.transport_hdr<udphdr>()->source, .sin_addr = {ip_hdr(skb)->saddr}};
}

/// proto::recvmsg. Answers the bytes copied, or with msg::trunc the datagram's length. msg_flags tells msg::trunc when
/// the buffer was too small. Errors: those of __skb_recv_datagram.
template <class Net>
result<std::size_t> udp_recvmsg(Net& net, sock& sk, msghdr& m, u32 flags) {
  m.msg_flags = flags & msg::cmsg_cloexec;
  m.msg_controllen = 0;
  if (flags & msg::errqueue) return ip_recv_error(sk, m);
  u32 off = 0;
  auto const got = __skb_recv_datagram(net, sk, flags, off);
  if (!got) return failure{got.error()};
  if (!*got) {
    m.msg_namelen = 0;
    return std::size_t{0};
  }
  sk_buff& skb = **got;
  std::size_t const ulen = skb.len - off;
  std::size_t const copied = skb_copy_datagram_msg(skb, off, m, ulen);
  if (copied < ulen) m.msg_flags |= msg::trunc;
  if (flags & msg::peek)
    sk_peek_offset_fwd(sk, static_cast<u32>(copied));
  else
    ++UDP_STATS(net).InDatagrams, sk_peek_offset_bwd(sk, skb.len);
  if (m.msg_name) {
    sockaddr_in const from = udp_source(skb);
    std::memcpy(m.msg_name, &from, std::min<std::size_t>(m.msg_namelen, sizeof from));
    m.msg_namelen = sizeof from;
  }
  sock_recv_cmsgs(sk, m, skb);
  if (inet_sk(sk).cmsg_flags) ip_cmsg_recv(sk, m, skb, IPCB(skb).iif, INET_SKB_RCV(skb).spec_dst);
  std::size_t const whole = skb.len;
  consume_skb(skb);
  return flags & msg::trunc ? whole : copied;
}

/// proto::ioctl. sioc::inq: bytes of the next datagram; sioc::outq: bytes on their way. Errors:
/// inappropriate_io_control_operation.
template <class Net>
result<int> udp_ioctl(Net&, sock& sk, u32 cmd, void* arg) {
  int amount = 0;
  if (cmd == sioc::outq) {
    amount = static_cast<int>(sk_wmem_alloc_get(sk));
  } else if (cmd == sioc::inq) {
    sk_buff const* skb = sk.sk_receive_queue.peek();
    amount = skb ? static_cast<int>(skb->len) : 0;
  } else {
    return failure{std::errc::inappropriate_io_control_operation};
  }
  std::memcpy(arg, &amount, sizeof amount);
  return 0;
}

/// proto::setsockopt. Level SOL_UDP: udp_opt::cork; any other is IP's.
template <class Net>
result<void> udp_setsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte const> optval) {
  if (level != sol::udp) return ip_setsockopt(net, sk, level, optname, optval);
  if (optval.size() < sizeof(int)) return failure{std::errc::invalid_argument};
  if (optname != udp_opt::cork) return failure{std::errc::no_protocol_option};
  udp_sk(sk).corkflag = detail::ip_int_optval(optval) != 0;
  if (udp_sk(sk).corkflag) return {};
  (void)udp_push_pending_frames(net, sk);
  return {};
}

template <class Net>
result<u32> udp_getsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte> out) {
  if (level != sol::udp) return ip_getsockopt(net, sk, level, optname, out);
  if (optname != udp_opt::cork) return failure{std::errc::no_protocol_option};
  return detail::put_opt(out, int{udp_sk(sk).corkflag});
}

/// proto::destroy.
template <class Net>
void udp_destroy_sock(Net& net, sock& sk) {
  udp_flush_pending_frames(sk);
  inet_free_options(net, inet_sk(sk));
}
/// proto::close. A datagram socket has nothing to linger for.
template <class Net>
void udp_lib_close(Net& net, sock& sk, u64) {
  sk_common_release(net, sk);
}

}  // namespace netstack
