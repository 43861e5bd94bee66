// SPDX-License-Identifier: BSL-1.0
// Decides: what the socket calls do on a stream socket: connecting and waiting for it, listening, accepting, shutting
// down. What they share with datagram sockets is af_inet.hpp's.
// called by socket/ through proto_ops → calls tcp/ through sk_prot
// Linux: net/ipv4/af_inet.c (inet_stream_ops, inet_stream_connect, inet_accept, inet_listen) [S92] [S103] [S113] [S148]
#pragma once
#include "netstack/ipv4/af_inet.hpp"
#include "netstack/ipv4/inet_connection_sock.hpp"

namespace netstack {

namespace detail {

[[nodiscard]] inline bool is_connecting(sock const& sk) {
  return sk.sk_state == tcp_state::syn_sent || sk.sk_state == tcp_state::syn_recv;
}
/// The end of connect(), once the answer is there: the error, and the socket is as new; or the connection.
template <class Net>
result<void> inet_finish_connect(Net& net, sockfs::socket& sock) {
  auto& sk = *sock.sk;
  if (sk.sk_state == tcp_state::close) {
    auto const r = sock_error(sk);
    auto const reset = sk_prot<Net>(sk).disconnect(net, sk, 0);
    sock.state = reset ? sockfs::socket_state::unconnected : sockfs::socket_state::disconnecting;
    return r ? result<void>{failure{std::errc::connection_aborted}} : r;
  }
  sock.state = sockfs::socket_state::connected;
  return {};
}

template <class Net>
result<void> inet_start_connect(Net& net, sockfs::socket& sock, sockaddr_view uaddr) {
  auto& sk = *sock.sk;
  auto const& prot = sk_prot<Net>(sk);
  switch (sock.state) {
    case sockfs::socket_state::connected: return failure{std::errc::already_connected};
    case sockfs::socket_state::connecting: return {};
    case sockfs::socket_state::disconnecting: return failure{std::errc::invalid_argument};
    default: break;
  }
  if (sk.sk_state != tcp_state::close) return failure{std::errc::already_connected};
  if (auto r = prot.connect(net, sk, uaddr); !r) return r;
  sock.state = sockfs::socket_state::connecting;
  return {};
}

}  // namespace detail

/// connect(); or `sends`: what begins with a call that sends, which names nobody where that was done before.
template <class Net>
result<void> __inet_stream_connect(Net& net, sockfs::socket& sock, sockaddr_view uaddr, bool nonblock, bool sends) {
  auto& sk = *sock.sk;
  if (uaddr.data() || !sends) {
    if (uaddr.size() < sizeof(u16)) return failure{std::errc::invalid_argument};
    if (uaddr.family() == af::unspec) {
      auto const r = sk_prot<Net>(sk).disconnect(net, sk, 0);
      sock.state = r ? sockfs::socket_state::unconnected : sockfs::socket_state::disconnecting;
      return r;
    }
  }
  bool const due = sends && inet_sk(sk).defer_connect;  // what was put off until now
  bool const begun = sock.state == sockfs::socket_state::connecting && !due;
  if (auto r = detail::inet_start_connect(net, sock, uaddr); !r) return r;
  if (inet_sk(sk).defer_connect && !due)
    return begun ? result<void>{failure{std::errc::already_connected}} : result<void>{};
  if (detail::is_connecting(sk)) {
    u64 const timeo = sock_sndtimeo(sk, nonblock ? msg::dontwait : 0);
    auto const r = sk_wait_event(net, sk, timeo, 0, [&] { return !detail::is_connecting(sk); });
    if (!r && r.error() == std::errc::resource_unavailable_try_again)
      return failure{begun ? std::errc::connection_already_in_progress : std::errc::operation_in_progress};
    if (!r) return r;
  }
  return detail::inet_finish_connect(net, sock);
}
/// connect(). Errors: invalid_argument (too short; shut down before there was an answer), address_family_not_supported,
/// already_connected, operation_in_progress (it does not wait), connection_already_in_progress (it was started before),
/// connection_refused, timed_out, and the route's.
template <class Net>
result<void> inet_stream_connect(Net& net, sockfs::socket& sock, sockaddr_view uaddr, bool nonblock) {
  return __inet_stream_connect(net, sock, uaddr, nonblock, false);
}

/// listen(). Errors: invalid_argument (connected, or about to be), address_in_use.
template <class Net>
result<void> inet_listen(Net& net, sockfs::socket& sock, int backlog) {
  auto& sk = *sock.sk;
  if (sock.state != sockfs::socket_state::unconnected) return failure{std::errc::invalid_argument};
  if (sk.sk_state != tcp_state::close && sk.sk_state != tcp_state::listen) return failure{std::errc::invalid_argument};
  if (sk.sk_state != tcp_state::listen) return inet_csk_listen_start(net, sk, static_cast<u32>(backlog));
  inet_csk(sk).icsk_listen.max_ack_backlog = static_cast<u32>(backlog);
  return {};
}

/// accept(): grafts the next connection to the new handle. Errors: those of the proto's accept.
template <class Net>
result<void> inet_accept(Net& net, sockfs::socket& sock, sockfs::socket& newsock, bool nonblock) {
  auto const child = sk_prot<Net>(*sock.sk).accept(net, *sock.sk, nonblock ? msg::dontwait : 0);
  if (!child) return failure{child.error()};
  newsock.ops = sock.ops;
  newsock.sk = *child;
  newsock.state = sockfs::socket_state::connected;
  (*child)->sk_socket = &newsock;
  sock_put(**child);  // the queue's; the handle has the sock's own
  return {};
}

/// shutdown(). A listener that is shut down for reading, and a connection that is still asked for, are as never begun.
template <class Net>
result<void> inet_stream_shutdown(Net& net, sockfs::socket& sock, int how) {
  if (how < shut::rd || how > shut::rdwr) return failure{std::errc::invalid_argument};
  auto& sk = *sock.sk;
  using state = sockfs::socket_state;
  if (sock.state == state::connecting)
    sock.state = detail::is_connecting(sk) || sk.sk_state == tcp_state::close ? state::disconnecting : state::connected;
  bool const listening = sk.sk_state == tcp_state::listen;
  if (!listening && sk.sk_state != tcp_state::syn_sent) return inet_shutdown(net, sock, how);
  if (listening && !((how + 1) & rcv_shutdown)) return {};
  auto const r = sk_prot<Net>(sk).disconnect(net, sk, 0);
  sock.state = r ? sockfs::socket_state::unconnected : sockfs::socket_state::disconnecting;
  return r;
}

}  // namespace netstack
