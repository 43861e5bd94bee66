// SPDX-License-Identifier: BSL-1.0
// Decides: how the reader gets the bytes, and when reading opens the window again. And what poll() and ioctl() say.
// rx: called by sock_common_recvmsg as sk_prot's recvmsg
// Linux: net/ipv4/tcp.c (tcp_recvmsg_locked, tcp_cleanup_rbuf, tcp_poll, tcp_ioctl); RFC 9293 §3.8.6.2.2 [S96] [S114]
#pragma once
#include "netstack/core/socket.hpp"
#include "netstack/ipv4/ip_sockglue.hpp"
#include "netstack/tcp/tcp_sendmsg.hpp"

namespace netstack {

/// Bytes were read: an acknowledgment that waits for that, or a window that is worth telling, leaves now.
template <class Net>
void tcp_cleanup_rbuf(Net& net, sock& sk, bool copied) {
  auto& tp = tcp_sk(sk);
  bool now = tp.ack_scheduled && (tp.rcv_nxt - tp.rcv_wup > tp.rcv_mss ||
                                  (copied && !tp.pingpong && tp.quick_acks != 0 && sk.sk_rmem_alloc == 0));
  if (copied && !now && !(sk.sk_shutdown & rcv_shutdown)) {
    u32 const told = tcp_receive_window(tp);
    // Twice what the peer believes: anything less would be a segment for nothing.
    if (2 * u64{told} <= tcp_full_space(sk)) {
      u32 const window = __tcp_select_window(sk);
      now = window != 0 && window >= 2 * u64{told};
    }
  }
  if (now && !tcp_in_state(sk, tcp_state::close, tcp_state::listen, tcp_state::syn_sent)) tcp_send_ack(net, sk);
}

namespace detail {

/// What is read from now on: the first packet that has the byte `seq`; those before it that were read are freed.
inline sk_buff* tcp_skb_at(sock& sk, u32 seq, bool peek) {
  sk_buff* skb = sk.sk_receive_queue.peek();
  while (skb && !before(seq, TCP_SKB_CB(*skb).seq + skb->len)) {
    sk_buff* const following = sk.sk_receive_queue.after(*skb);
    if (!peek) {
      sk.sk_receive_queue.unlink(*skb);
      consume_skb(*skb);
    }
    skb = following;
  }
  return skb;
}

/// There is nothing to read: is that the end (true), an error, or is it worth waiting?
inline result<bool> tcp_read_end(sock& sk) {
  if (sock_flag(sk, sock_flags::done)) return true;
  if (auto r = sock_error(sk); !r) return failure{r.error()};
  if (sk.sk_shutdown & rcv_shutdown) return true;
  if (sk.sk_state == tcp_state::close) return failure{std::errc::not_connected};
  return false;
}

}  // namespace detail

/// proto::recvmsg. Answers the bytes copied; 0: the peer closed. Errors: not_connected, invalid_argument (msg::oob:
/// urgent data is read in line), the pending error, and those of sk_wait_event.
template <class Net>
result<std::size_t> tcp_recvmsg(Net& net, sock& sk, msghdr& m, u32 flags) {
  m.msg_flags = 0;
  m.msg_controllen = 0;
  m.msg_namelen = 0;
  if (flags & msg::errqueue) return ip_recv_error(sk, m);
  if (sk.sk_state == tcp_state::listen) return failure{std::errc::not_connected};
  if (flags & msg::oob) return failure{std::errc::invalid_argument};
  auto& tp = tcp_sk(sk);
  bool const peek = (flags & msg::peek) != 0;
  u64 const timeo = sock_rcvtimeo(sk, flags);
  iov_iter to{m.msg_iov};
  std::size_t left = to.count(), copied = 0;
  std::size_t const target = flags & msg::waitall ? left : std::min<std::size_t>(std::max(sk.sk_rcvlowat, 1u), left);
  u32 seq = tp.copied_seq + (peek && sk.sk_peek_off > 0 ? static_cast<u32>(sk.sk_peek_off) : 0);
  result<void> waited{};
  while (left != 0) {
    if (sk_buff* const skb = detail::tcp_skb_at(sk, seq, peek)) {
      u32 const offset = seq - TCP_SKB_CB(*skb).seq;
      u32 const n = static_cast<u32>(std::min<std::size_t>(left, skb->len - offset));
      if (!(flags & msg::trunc)) for_each_piece(*skb, offset, n, [&](u8 const* at, u32 size) { to.copy_to(at, size); });
      seq += n, copied += n, left -= n;
      if (!peek) tp.copied_seq = seq;
      continue;
    }
    if (copied >= target) break;
    auto const end = detail::tcp_read_end(sk);
    if (!end && copied == 0) return failure{end.error()};
    if (!end || *end) break;
    if (!peek) tcp_cleanup_rbuf(net, sk, copied != 0);
    auto const ready = [&] {
      return (peek ? before(seq, tp.rcv_nxt) : !sk.sk_receive_queue.empty()) || sk.sk_err != 0 ||
             (sk.sk_shutdown & rcv_shutdown) != 0 || sk.sk_state == tcp_state::close;
    };
    if (waited = sk_wait_event(net, sk, timeo, 0, ready); !waited) break;
  }
  if (copied == 0 && !waited) return failure{waited.error()};
  if (peek) {
    sk_peek_offset_fwd(sk, static_cast<u32>(copied));
  } else {
    sk_peek_offset_bwd(sk, static_cast<u32>(copied));
    (void)detail::tcp_skb_at(sk, seq, false);
    tcp_cleanup_rbuf(net, sk, copied != 0);
  }
  return copied;
}

/// Bytes that may be read now.
[[nodiscard]] inline u32 tcp_inq(sock const& sk) {
  auto const& tp = tcp_sk(sk);
  if (tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv, tcp_state::listen)) return 0;
  u32 const n = tp.rcv_nxt - tp.copied_seq;
  return n != 0 && sock_flag(sk, sock_flags::done) ? n - 1 : n;  // the peer's FIN is no byte
}

/// proto::ioctl. sioc::inq: bytes to be read; sioc::outq: bytes that are not acknowledged. Errors: invalid_argument (it
/// listens), inappropriate_io_control_operation.
template <class Net>
result<int> tcp_ioctl(Net&, sock& sk, u32 cmd, void* arg) {
  auto const& tp = tcp_sk(sk);
  if (cmd != sioc::inq && cmd != sioc::outq) return failure{std::errc::inappropriate_io_control_operation};
  if (sk.sk_state == tcp_state::listen) return failure{std::errc::invalid_argument};
  u32 const sent = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv) ? 0 : tp.write_seq - tp.snd_una;
  int const amount = static_cast<int>(cmd == sioc::inq ? tcp_inq(sk) : sent);
  std::memcpy(arg, &amount, sizeof amount);
  return 0;
}

/// proto_ops::poll.
template <class Net>
u32 tcp_poll(Net&, sockfs::socket& sock) {
  auto& sk = *sock.sk;
  auto& tp = tcp_sk(sk);
  if (sk.sk_state == tcp_state::listen) return tp.icsk_accept_head ? poll_ev::in | poll_ev::rdnorm : 0;
  u32 mask = 0;
  if (sk.sk_shutdown == shutdown_mask || sk.sk_state == tcp_state::close) mask |= poll_ev::hup;
  if (sk.sk_shutdown & rcv_shutdown) mask |= poll_ev::in | poll_ev::rdnorm | poll_ev::rdhup;
  if (!tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv)) {
    if (tcp_inq(sk) >= std::max(sk.sk_rcvlowat, 1u)) mask |= poll_ev::in | poll_ev::rdnorm;
    if ((sk.sk_shutdown & send_shutdown) || tcp_stream_is_writeable(sk))
      mask |= poll_ev::out | poll_ev::wrnorm;
    else
      tp.nospace = true;
  }
  if (sk.sk_err != 0 || !sk.sk_error_queue.empty()) mask |= poll_ev::err;
  return mask;
}

}  // namespace netstack
