// SPDX-License-Identifier: BSL-1.0
// Decides: what a socket answers to a call that its family does not have, and how calls that are the same for every
// family reach the proto. A null op of the proto answers the errno written here. [S91] [S113]
// Linux: net/core/sock.c (sock_no_accept …, sock_common_setsockopt …)
#pragma once
#include "netstack/core/datagram.hpp"
#include "netstack/core/socket.hpp"

namespace netstack {

template <class Net>
result<void> sock_no_bind(Net&, sockfs::socket&, sockaddr_view) {
  return failure{std::errc::operation_not_supported};
}
template <class Net>
result<void> sock_no_connect(Net&, sockfs::socket&, sockaddr_view, bool) {
  return failure{std::errc::operation_not_supported};
}
template <class Net>
result<void> sock_no_socketpair(Net&, sockfs::socket&, sockfs::socket&) {
  return failure{std::errc::operation_not_supported};
}
template <class Net>
result<void> sock_no_accept(Net&, sockfs::socket&, sockfs::socket&, bool) {
  return failure{std::errc::operation_not_supported};
}
template <class Net>
result<void> sock_no_listen(Net&, sockfs::socket&, int) {
  return failure{std::errc::operation_not_supported};
}
template <class Net>
result<void> sock_no_shutdown(Net&, sockfs::socket&, int) {
  return failure{std::errc::operation_not_supported};
}
template <class Net>
result<void*> sock_no_mmap(Net&, sockfs::socket&, std::size_t) {
  return failure{std::errc::no_such_device};
}

/// The bytes of a page go out like any others: copied.
template <class Net>
result<std::size_t> sock_no_sendpage(Net& net, sockfs::socket& sock, sk_buff& page, u32 offset, std::size_t size,
                                     u32 flags) {
  if (offset > page.headlen() || size > page.headlen() - offset) return failure{std::errc::invalid_argument};
  iovec const part{page.data + offset, size};
  msghdr m{.msg_iov = {&part, 1}, .msg_flags = flags};
  return sockfs::ops_of<Net>(sock).sendmsg(net, sock, m);
}

template <class Net>
result<void> sock_common_setsockopt(Net& net, sockfs::socket& sock, int level, int optname,
                                    std::span<std::byte const> optval) {
  auto* op = sk_prot<Net>(*sock.sk).setsockopt;
  return op ? op(net, *sock.sk, level, optname, optval) : result<void>{failure{std::errc::no_protocol_option}};
}
template <class Net>
result<u32> sock_common_getsockopt(Net& net, sockfs::socket& sock, int level, int optname, std::span<std::byte> out) {
  auto* op = sk_prot<Net>(*sock.sk).getsockopt;
  return op ? op(net, *sock.sk, level, optname, out) : result<u32>{failure{std::errc::no_protocol_option}};
}
template <class Net>
result<std::size_t> sock_common_recvmsg(Net& net, sockfs::socket& sock, msghdr& m, u32 flags) {
  auto* op = sk_prot<Net>(*sock.sk).recvmsg;
  return op ? op(net, *sock.sk, m, flags) : result<std::size_t>{failure{std::errc::operation_not_supported}};
}
template <class Net>
u32 datagram_poll_op(Net&, sockfs::socket& sock) {
  return datagram_poll(*sock.sk);
}

}  // namespace netstack
