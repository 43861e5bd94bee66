// SPDX-License-Identifier: BSL-1.0
// Decides: how an IPv4 socket is made and named, and how each socket call reaches its proto. inet_create matches
// socket()'s type and protocol with inetsw; the ops tables forward to sk_prot.
// called by socket/ through net_families and proto_ops → calls udp/, raw/ … through Net::proto_list
// Linux: net/ipv4/af_inet.c [S107] [S108] [S111] [S113] [S114]
#pragma once
#include "netstack/core/sock_no.hpp"
#include "netstack/core/sock_opt.hpp"
#include "netstack/core/sock_queue.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/registry/inet_protosw.hpp"
#include "netstack/registry/net_proto_family.hpp"
#include "netstack/wire/ipproto.hpp"

namespace netstack {

namespace detail {

/// The row of inetsw that serves (type, protocol), and the protocol it stands for.
template <class Net>
struct protosw_match {
  inet_protosw<Net> const* row = nullptr;
  u16 protocol = 0;
  std::errc error{};
};

inline constexpr auto errc_socktnosupport = static_cast<std::errc>(94);  // std::errc has no name for it

template <class Net>
protosw_match<Net> find_protosw(u32 type, u16 protocol) {
  protosw_match<Net> match{.error = errc_socktnosupport};
  for (auto const& row : Net::inetsw[type]) {
    match.error = std::errc::protocol_not_supported;
    // A wildcard row serves any protocol that is named, and naming none asks for the type's first other row.
    if (protocol == row.protocol ? protocol == ipproto::ip : protocol != ipproto::ip && row.protocol != ipproto::ip)
      continue;
    return {&row, protocol == ipproto::ip ? row.protocol : protocol, std::errc{}};
  }
  return match;
}

}  // namespace detail

/// net_proto_family::create of af::inet. Errors: invalid_argument (no such protocol number), ESOCKTNOSUPPORT,
/// protocol_not_supported, operation_not_permitted (raw without cap::net_raw), not_enough_memory. [S108]
template <class Net>
result<void> inet_create(Net& net, sockfs::socket& sock, int protocol, bool kern) {
  if (protocol < 0 || protocol >= ipproto::max) return failure{std::errc::invalid_argument};
  auto const match = detail::find_protosw<Net>(sock.type, static_cast<u16>(protocol));
  if (!match.row) return failure{match.error};
  if (sock.type == sock_type::raw && !kern && !ns_capable(net, cap::net_raw))
    return failure{std::errc::operation_not_permitted};
  auto const& prot = *match.row->prot;
  auto* sk = sk_alloc(net, af::inet, prot, kern);
  if (!sk) return failure{std::errc::not_enough_memory};
  auto& inet = inet_sk(*sk);
  sk->sk_type = sock.type;
  sk->sk_protocol = match.protocol;
  sk->sk_reuse = (match.row->flags & protosw_flag::reuse) != 0;
  inet.is_icsk = (match.row->flags & protosw_flag::icsk) != 0;
  if (ipv4_net(net).sysctl_ip_no_pmtu_disc) inet.pmtudisc = ip_pmtudisc::dont;
  if (sock.type == sock_type::raw) {
    sk->sk_num = match.protocol;
    inet.inet_sport = be16{match.protocol};
    inet.hdrincl = match.protocol == ipproto::raw;
  }
  sock.ops = match.row->ops.get();
  sock.sk = sk;
  sk->sk_socket = &sock;
  result<void> r{};
  if (sk->sk_num != 0 && prot.hash) r = prot.hash(net, *sk);
  if (r && prot.init) r = prot.init(net, *sk);
  if (!r) {
    sock.sk = nullptr;
    sk_common_release(net, *sk);
  }
  return r;
}

template <class Net>
result<void> inet_release(Net& net, sockfs::socket& sock) {
  auto* sk = std::exchange(sock.sk, nullptr);
  if (!sk) return {};
  u64 const timeout = sock_flag(*sk, sock_flags::linger) ? u64{sk->sk_rare->lingertime} * 1'000'000'000 : 0;
  sk_prot<Net>(*sk).close(net, *sk, timeout);
  return {};
}

/// Chooses a port for a socket that sends before it was bound. Errors: resource_unavailable_try_again.
template <class Net>
result<void> inet_autobind(Net& net, sock& sk) {
  if (sk.sk_num != 0) return {};
  auto* get_port = sk_prot<Net>(sk).get_port;
  if (!get_port || !get_port(net, sk, 0)) return failure{std::errc::resource_unavailable_try_again};
  inet_sk(sk).inet_sport = be16{sk.sk_num};
  return {};
}

/// bind(). Errors: invalid_argument (too short, bound already), address_family_not_supported, address_not_available
/// (not ours), permission_denied (a privileged port), address_in_use.
template <class Net>
result<void> inet_bind(Net& net, sockfs::socket& sock, sockaddr_view uaddr) {
  auto& sk = *sock.sk;
  auto const& prot = sk_prot<Net>(sk);
  if (prot.bind) return prot.bind(net, sk, uaddr);
  if (uaddr.size() < sizeof(sockaddr_in)) return failure{std::errc::invalid_argument};
  auto const addr = uaddr.as<sockaddr_in>();
  // Old programs leave the family unset; that is understood for the wildcard address alone.
  if (addr.sin_family != af::inet && !(addr.sin_family == af::unspec && !addr.sin_addr.s_addr))
    return failure{std::errc::address_family_not_supported};
  auto& inet = inet_sk(sk);
  rtn const kind = addr.sin_addr.s_addr ? inet_addr_type(net, addr.sin_addr.s_addr) : rtn::local;
  bool const nonlocal_ok = ipv4_net(net).sysctl_ip_nonlocal_bind || inet.freebind || inet.transparent;
  if (kind != rtn::local && kind != rtn::multicast && kind != rtn::broadcast && !nonlocal_ok)
    return failure{std::errc::address_not_available};
  u16 const snum = addr.sin_port.host();
  if (snum != 0 && snum < ipv4_net(net).sysctl_ip_prot_sock && !ns_capable(net, cap::net_bind_service))
    return failure{std::errc::permission_denied};
  if (sk.sk_state != tcp_state::close || sk.sk_num != 0) return failure{std::errc::invalid_argument};
  sk.sk_rcv_saddr = inet.inet_saddr = addr.sin_addr.s_addr;
  // A group or a broadcast address is for receiving: what is sent gets the address of its device.
  if (kind == rtn::multicast || kind == rtn::broadcast) inet.inet_saddr = {};
  if (prot.get_port && (snum != 0 || !inet.bind_address_no_port)) {
    if (auto r = prot.get_port(net, sk, snum); !r) {
      sk.sk_rcv_saddr = inet.inet_saddr = {};
      return r;
    }
  }
  if (sk.sk_rcv_saddr) sock_set_flag(sk, sock_flags::bindaddr_lock);
  if (snum != 0) sock_set_flag(sk, sock_flags::bindport_lock);
  inet.inet_sport = be16{sk.sk_num};
  sk.sk_daddr = {};
  sk.sk_dport = {};
  sk_dst_reset(sk);
  return {};
}

/// connect() of a datagram socket: a filter and a default destination; af::unspec undoes it.
template <class Net>
result<void> inet_dgram_connect(Net& net, sockfs::socket& sock, sockaddr_view uaddr, bool) {
  auto& sk = *sock.sk;
  auto const& prot = sk_prot<Net>(sk);
  if (uaddr.size() < sizeof(u16)) return failure{std::errc::invalid_argument};
  if (uaddr.family() == af::unspec)
    return prot.disconnect ? prot.disconnect(net, sk, 0) : result<void>{failure{std::errc::operation_not_supported}};
  if (!prot.connect) return failure{std::errc::operation_not_supported};
  if (auto r = inet_autobind(net, sk); !r) return r;
  return prot.connect(net, sk, uaddr);
}

/// getsockname(), getpeername(). Errors: not_connected. [S114]
template <class Net>
result<u32> inet_getname(Net&, sockfs::socket& sock, sockaddr_storage& out, bool peer) {
  auto const& sk = *sock.sk;
  auto const& inet = inet_sk(sk);
  sockaddr_in name{};
  if (peer) {
    if (!sk.sk_dport || sk.sk_state == tcp_state::close || sk.sk_state == tcp_state::syn_sent)
      return failure{std::errc::not_connected};
    name.sin_port = sk.sk_dport;
    name.sin_addr.s_addr = sk.sk_daddr;
  } else {
    name.sin_port = inet.inet_sport;
    name.sin_addr.s_addr = sk.sk_rcv_saddr ? sk.sk_rcv_saddr : inet.inet_saddr;
  }
  std::memcpy(static_cast<void*>(&out), &name, sizeof name);
  return static_cast<u32>(sizeof name);
}

/// shutdown(). Errors: invalid_argument; not_connected, though the directions are closed all the same, so that who
/// polls an unconnected socket is woken. [S114]
template <class Net>
result<void> inet_shutdown(Net& net, sockfs::socket& sock, int how) {
  if (how < shut::rd || how > shut::rdwr) return failure{std::errc::invalid_argument};
  auto& sk = *sock.sk;
  auto const mask = static_cast<u8>(how + 1);
  bool const connected = sk.sk_state != tcp_state::close;
  sk.sk_shutdown |= mask;
  sock_hold(sk);  // a callback may close it
  if (auto* op = sk_prot<Net>(sk).shutdown) op(net, sk, mask);
  if (sk.sk_callbacks->state_change) sk.sk_callbacks->state_change(sk);
  if (sk.sk_callbacks->data_ready && (mask & rcv_shutdown)) sk.sk_callbacks->data_ready(sk);
  sock_put(sk);
  if (!connected) return failure{std::errc::not_connected};
  return {};
}

/// Errors: inappropriate_io_control_operation (ENOTTY) for what nobody knows; no_such_file_or_directory: no stamp yet.
template <class Net>
result<int> inet_ioctl(Net& net, sockfs::socket& sock, u32 cmd, void* arg) {
  auto& sk = *sock.sk;
  if (cmd == sioc::gstamp || cmd == sioc::gstampns) {
    sock_set_flag(sk, sock_flags::timestamp);
    if (sk.sk_rare->stamp == 0) return failure{std::errc::no_such_file_or_directory};
    auto const ts = detail::to_timespec(sk.sk_rare->stamp);
    timeval const tv{ts.tv_sec, ts.tv_nsec / 1000};
    if (cmd == sioc::gstamp)
      std::memcpy(arg, &tv, sizeof tv);
    else
      std::memcpy(arg, &ts, sizeof ts);
    return 0;
  }
  auto* op = sk_prot<Net>(sk).ioctl;
  return op ? op(net, sk, cmd, arg) : result<int>{failure{std::errc::inappropriate_io_control_operation}};
}

namespace detail {
template <class Net>
NETSTACK_NOINLINE result<std::size_t> inet_sendmsg_autobind(Net& net, sock& sk, msghdr& m) {
  if (auto r = inet_autobind(net, sk); !r) return failure{r.error()};
  return sk_prot<Net>(sk).sendmsg(net, sk, m);
}
}  // namespace detail
template <class Net>
result<std::size_t> inet_sendmsg(Net& net, sockfs::socket& sock, msghdr& m) {
  auto& sk = *sock.sk;
  auto const& prot = sk_prot<Net>(sk);
  if (!prot.sendmsg) [[unlikely]]
    return failure{std::errc::operation_not_supported};
  return prot.no_autobind ? prot.sendmsg(net, sk, m) : detail::inet_sendmsg_autobind(net, sk, m);
}

template <class Net>
result<std::size_t> inet_sendpage(Net& net, sockfs::socket& sock, sk_buff& page, u32 offset, std::size_t size,
                                  u32 flags) {
  auto& sk = *sock.sk;
  auto const& prot = sk_prot<Net>(sk);
  if (!prot.sendpage) return sock_no_sendpage(net, sock, page, offset, size, flags);
  if (!prot.no_autobind)
    if (auto r = inet_autobind(net, sk); !r) return failure{r.error()};
  return prot.sendpage(net, sk, page, offset, size, flags);
}

template <class Net>
inline constexpr proto_ops<Net> inet_dgram_ops{
    .name = "inet_dgram_ops",
    .family = af::inet,
    .release = inet_release,
    .bind = inet_bind,
    .connect = inet_dgram_connect,
    .socketpair = sock_no_socketpair,
    .accept = sock_no_accept,
    .getname = inet_getname,
    .poll = datagram_poll_op,  // bad checksums never enter the queue, so udp_poll has nothing to add
    .ioctl = inet_ioctl,
    .listen = sock_no_listen,
    .shutdown = inet_shutdown,
    .setsockopt = sock_common_setsockopt,
    .getsockopt = sock_common_getsockopt,
    .sendmsg = inet_sendmsg,
    .recvmsg = sock_common_recvmsg,
    .mmap = sock_no_mmap,
    .sendpage = inet_sendpage,
};

/// For SOCK_RAW and for ping: the same calls, on protos that bind by themselves.
template <class Net>
inline constexpr proto_ops<Net> inet_sockraw_ops = [] {
  proto_ops<Net> ops = inet_dgram_ops<Net>;
  ops.name = "inet_sockraw_ops";
  return ops;
}();

template <class Net>
inline constexpr net_proto_family<Net> inet_family_ops{
    .family = af::inet, .create = inet_create, .name = "inet_family_ops"};

}  // namespace netstack
