// SPDX-License-Identifier: BSL-1.0
// Decides: how the reader gets the bytes, and when reading opens the window again. And what poll() and ioctl() say.
// rx: called by sock_common_recvmsg as sk_prot's recvmsg
// Linux: net/ipv4/tcp.c (tcp_recvmsg_locked, tcp_cleanup_rbuf, tcp_poll, tcp_ioctl); RFC 9293 §3.8.6.2.2 [S96] [S114]
#pragma once
#include "netstack/core/datagram.hpp"
#include "netstack/core/socket.hpp"
#include "netstack/tcp/tcp_rcv_space.hpp"
#include "netstack/tcp/tcp_sendmsg.hpp"

namespace netstack {

/// Bytes were read: an acknowledgment that waits for that, or a window that is worth telling, leaves now.
template <class Net>
NETSTACK_INLINE void tcp_cleanup_rbuf(Net& net, sock& sk, bool copied) {
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

/// From `skb` on, the first packet that has the byte `seq`, or more behind it.
inline sk_buff* tcp_skb_from(sock const& sk, sk_buff* skb, u32 seq) {
  while (skb && !before(seq, TCP_SKB_CB(*skb).seq + skb->len)) skb = sk.sk_receive_queue.after(*skb);
  return skb;
}
/// Frees the first packet, which was read.
NETSTACK_INLINE void tcp_eat_skb(sock& sk, sk_buff& skb) {
  sk.sk_receive_queue.unlink(skb);
  u32 owed = 0;
  skb.pool->free_one(skb, [&](sk_buff& one) {
    if (one.destructor != sock_rfree || one.sk != &sk) return skb_run_destructor(one);
    owed = one.truesize;
  });
  sk.sk_rmem_alloc -= owed;
  if (!sk.sk_limits) __builtin_unreachable();
  sk_mem_uncharge(sk, owed);
}
/// Frees the packets of which everything is before `seq`: it was read. The first that is left.
inline sk_buff* tcp_eat_skbs(sock& sk, u32 seq) {
  sk_buff *skb = sk.sk_receive_queue.peek(), *last = nullptr;
  u32 n = 0;
  for (; skb && !before(seq, TCP_SKB_CB(*skb).seq + skb->len); skb = sk.sk_receive_queue.after(*skb)) last = skb, ++n;
  if (n == 0) return skb;
  if (n == 1) return tcp_eat_skb(sk, *last), skb;
  skb_list read = sk.sk_receive_queue.dequeue_to(*last, n);
  u32 owed = 0;
  last->pool->free_bulk(
      read, [](sk_buff& one) { one.prev = nullptr; },
      [&](sk_buff& one) {
        if (one.destructor != sock_rfree || one.sk != &sk) return skb_run_destructor(one);
        owed += one.truesize;
      });
  sk.sk_rmem_alloc -= owed;
  sk_mem_uncharge(sk, owed);
  return skb;
}
/// What is read from now on: the first packet that has the byte `seq`; those before it that were read are freed.
inline sk_buff* tcp_skb_at(sock& sk, u32 seq, bool peek) {
  if (sk.sk_receive_queue.empty()) return nullptr;
  return peek ? tcp_skb_from(sk, sk.sk_receive_queue.peek(), seq) : tcp_eat_skbs(sk, seq);
}

/// Whoever has read everything that came with the peer's FIN, or asks for more than there is, has read the FIN, which
/// has a sequence number, too.
inline void tcp_eat_fin(sock& sk) {
  auto& tp = tcp_sk(sk);
  if (sock_flag(sk, sock_flags::done) && tp.copied_seq + 1 == tp.rcv_nxt) tp.copied_seq = tp.rcv_nxt;
}

/// There is nothing more to read: is that the end (true), an error, or is it worth waiting? An error waits for the next
/// call if this one has something to tell.
inline result<bool> tcp_read_end(sock& sk, bool copied) {
  if (copied) return sk.sk_err != 0 || sk.sk_state == tcp_state::close || (sk.sk_shutdown & rcv_shutdown);
  if (sock_flag(sk, sock_flags::done)) return true;
  if (auto r = sock_error(sk); !r) return failure{r.error()};
  if (sk.sk_shutdown & rcv_shutdown) return true;
  if (sk.sk_state == tcp_state::close) return failure{std::errc::not_connected};
  return false;
}

/// MSG_OOB: the urgent byte by itself. Errors: invalid_argument (none was told of, it was read, or it is read in line),
/// not_connected, resource_unavailable_try_again (it was told of, and is not here yet).
inline result<std::size_t> tcp_recv_urg(sock& sk, msghdr& m, u32 flags) {
  auto& tp = tcp_sk(sk);
  if (sock_flag(sk, sock_flags::urginline) || tp.urg_data == 0 || tp.urg_data == tcp_urg_bits::read)
    return failure{std::errc::invalid_argument};
  if (sk.sk_state == tcp_state::close && !sock_flag(sk, sock_flags::done)) return failure{std::errc::not_connected};
  if (tp.urg_data & tcp_urg_bits::valid) {
    auto const byte = static_cast<u8>(tp.urg_data);
    if (!(flags & msg::peek)) tp.urg_data = tcp_urg_bits::read;
    m.msg_flags |= msg::oob;
    iov_iter to{m.msg_iov};
    if (to.count() == 0) return m.msg_flags |= msg::trunc, std::size_t{0};
    if (!(flags & msg::trunc)) to.copy_to(&byte, 1);
    return std::size_t{1};
  }
  if (sk.sk_state == tcp_state::close || (sk.sk_shutdown & rcv_shutdown)) return std::size_t{0};
  return failure{std::errc::resource_unavailable_try_again};
}

/// RFC 9293 §3.8.5, as programs know it: one call gives what is before the urgent byte, the next goes on behind it,
/// unless it is read in line. What of the `n` bytes from `seq` on is to be read now; 0: `seq` was moved past the byte.
inline u32 tcp_up_to_mark(sock& sk, u32& seq, u32 n) {
  auto const& tp = tcp_sk(sk);
  u32 const ahead = tp.rare->urg_seq - seq;
  if (ahead == 0 && !sock_flag(sk, sock_flags::urginline)) return ++seq, 0;
  return ahead != 0 ? std::min(n, ahead) : n;
}

/// Something was read: what depends on it.
template <class Net>
NETSTACK_INLINE void tcp_event_read(Net& net, sock& sk, std::size_t copied) {
  sk_peek_offset_bwd(sk, static_cast<u32>(copied));
  tcp_rcv_space_adjust(net, sk);
  tcp_cleanup_rbuf(net, sk, copied != 0);
}
/// memcpy of at least one byte, and often not many: for few it takes no call. What is between the ends is copied twice.
NETSTACK_INLINE void tcp_copy_out(u8* to, u8 const* from, u32 n) {
  auto const ends = [&]<class Word>(Word first, Word last) {
    std::memcpy(&first, from, sizeof first);
    std::memcpy(&last, from + n - sizeof last, sizeof last);
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + n - sizeof last, &last, sizeof last);
  };
  if (n < 4) {
    u8 const middle = from[n / 2];
    ends(u8{}, u8{});
    to[n / 2] = middle;
  } else if (n < 8) {
    ends(u32{}, u32{});
  } else if (n <= 16) {
    ends(u64{}, u64{});
  } else {
    std::memcpy(to, from, n);
  }
}
/// A call that one packet satisfies, and reads to its end: most of a dialogue's. How much was read; 0: it is another
/// one.
template <class Net>
NETSTACK_INLINE std::size_t tcp_recv_one(Net& net, sock& sk, msghdr& m, u32 flags) {
  auto& tp = tcp_sk(sk);
  sk_buff* const skb = sk.sk_receive_queue.peek();
  bool const plainly = tp.match({.urg_data = 0xffff, .recvmsg_inq = true}, {});
  if (!skb || m.msg_iov.size() != 1 || (flags & ~msg::dontwait) != 0 || !plainly) [[unlikely]]
    return 0;
  auto const& cb = TCP_SKB_CB(*skb);
  u32 const offset = tp.copied_seq - cb.seq, n = skb->len - offset;
  iovec const part = m.msg_iov.front();
  // Read in part before, it has less than it holds, or else nothing that counts.
  if (n - 1 >= skb->len || n > part.iov_len || skb->is_nonlinear() || (cb.tcp_flags & tcp_flag::fin) != 0 ||
      (n != part.iov_len && (sk.sk_receive_queue.qlen() != 1 || n < sk.sk_rcvlowat)) ||
      sock_flag(sk, sock_flags::timestamp)) [[unlikely]]
    return 0;
  tcp_copy_out(static_cast<u8*>(part.iov_base), skb->data + offset, n);
  tp.copied_seq += n;
  tcp_eat_skb(sk, *skb);
  m.msg_flags = m.msg_namelen = 0;
  m.msg_controllen = 0;
  tcp_event_read(net, sk, n);
  return n;
}

/// A call that finds only the end of what the peer sent.
[[nodiscard]] NETSTACK_INLINE bool tcp_recv_finds_end(sock const& sk, u32 flags) {
  return sock_flag(sk, sock_flags::done) && sk.sk_receive_queue.empty() && (flags & ~msg::dontwait) == 0 &&
         !tcp_sk(sk).recvmsg_inq && !sock_flag(sk, sock_flags::timestamping);
}

/// TCP_INQ: what is left to be read; after it, that the end is.
inline void tcp_tell_inq(sock const& sk, msghdr& m) {
  if (!tcp_sk(sk).recvmsg_inq) return;
  auto const left = static_cast<int>(tcp_sk(sk).rcv_nxt - tcp_sk(sk).copied_seq);
  put_cmsg(m, sol::tcp, tcp_opt::inq, left == 0 && sock_flag(sk, sock_flags::done) ? 1 : left);
}

/// Any call.
template <class Net>
NETSTACK_NOINLINE result<std::size_t> tcp_recvmsg_slow(Net& net, sock& sk, msghdr& m, u32 flags) {
  m.msg_flags = flags & msg::cmsg_cloexec;
  m.msg_controllen = 0;
  m.msg_namelen = 0;
  if (flags & msg::errqueue) return tcp_af_ops<Net>(sk).recv_error(sk, m);
  if (sk.sk_state == tcp_state::listen) return failure{std::errc::not_connected};
  if (flags & msg::oob) {
    auto const r = tcp_recv_urg(sk, m, flags);
    if (r) tcp_tell_inq(sk, m);
    return r;
  }
  auto& tp = tcp_sk(sk);
  bool const peek = (flags & msg::peek) != 0;
  u64 const timeo = sock_rcvtimeo(sk, flags);
  iov_iter to{m.msg_iov};
  std::size_t left = to.count(), copied = 0;
  std::size_t const target =
      std::max<std::size_t>(flags & msg::waitall ? left : std::min<std::size_t>(sk.sk_rcvlowat, left), 1);
  u32 seq = tp.copied_seq + (peek && sk.sk_rare->peek_off > 0 ? static_cast<u32>(sk.sk_rare->peek_off) : 0);
  result<void> waited{};
  u64 tstamp = 0, hwtstamp = 0;  // of the last that is read
  do {                           // also for no bytes at all, which tells whether there could be some
    if (tp.urg_data != 0 && tp.rare->urg_seq == seq && copied != 0) [[unlikely]]
      break;
    if (sk_buff* const skb = tcp_skb_at(sk, seq, peek)) {
      u32 const offset = seq - TCP_SKB_CB(*skb).seq;
      u32 n = static_cast<u32>(std::min<std::size_t>(left, skb->len - offset));
      if (tp.urg_data != 0 && n != 0) [[unlikely]]
        n = tcp_up_to_mark(sk, seq, n);
      if (n != 0 && !(flags & msg::trunc)) {
        if (!skb->is_nonlinear()) [[likely]]
          to.copy_to(skb->data + offset, n);
        else
          for_each_piece(*skb, offset, n, [&](u8 const* at, u32 size) { to.copy_to(at, size); });
      }
      if (n != 0) tstamp = skb->tstamp, hwtstamp = skb_hwtstamps(*skb);
      seq += n, copied += n, left -= n;
      if (!peek) tp.copied_seq = seq;
      if (!peek && (TCP_SKB_CB(*skb).tcp_flags & tcp_flag::fin)) [[unlikely]]
        tcp_eat_fin(sk);
      if (tp.urg_data != 0 && after(tp.copied_seq, tp.rare->urg_seq)) tp.urg_data = 0;
      continue;
    }
    if (!peek) tcp_eat_fin(sk);
    if (copied >= target) break;
    auto const end = tcp_read_end(sk, copied != 0);
    if (!end) return failure{end.error()};
    if (*end) break;
    if (!peek) tcp_rcv_space_adjust(net, sk), tcp_cleanup_rbuf(net, sk, copied != 0);
    auto const ready = [&] {
      return (peek ? before(seq, tp.rcv_nxt) : !sk.sk_receive_queue.empty()) || sk.sk_err != 0 ||
             (sk.sk_shutdown & rcv_shutdown) != 0 || sk.sk_state == tcp_state::close;
    };
    if (waited = sk_wait_event(net, sk, timeo, 0, ready); !waited) break;
  } while (left != 0);
  if (copied == 0 && !waited) return failure{waited.error()};
  if (peek) {
    sk_peek_offset_fwd(sk, static_cast<u32>(copied));
  } else {
    (void)tcp_skb_at(sk, seq, false);
    tcp_event_read(net, sk, copied);
  }
  sock_recv_stamps(sk, m, tstamp, hwtstamp);
  tcp_tell_inq(sk, m);
  return copied;
}

}  // namespace detail

/// proto::recvmsg. Answers the bytes copied; 0: the peer closed. Errors: not_connected, tcp_recv_urg's, the pending
/// error, and those of sk_wait_event.
template <class Net>
result<std::size_t> tcp_recvmsg(Net& net, sock& sk, msghdr& m, u32 flags) {
  if (std::size_t const n = detail::tcp_recv_one(net, sk, m, flags); n != 0) [[likely]]
    return n;
  if (!detail::tcp_recv_finds_end(sk, flags)) return detail::tcp_recvmsg_slow(net, sk, m, flags);
  detail::tcp_eat_fin(sk);
  m.msg_flags = m.msg_namelen = 0;
  m.msg_controllen = 0;
  detail::tcp_event_read(net, sk, 0);
  return std::size_t{0};
}

/// Bytes that one call may read now.
[[nodiscard]] inline u32 tcp_inq(sock const& sk) {
  auto const& tp = tcp_sk(sk);
  bool const opening = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv) && !tcp_passive_fastopen(sk);
  if (opening || sk.sk_state == tcp_state::listen) return 0;
  bool const mark_ahead = tp.urg_data != 0 && !sock_flag(sk, sock_flags::urginline) &&
                          !before(tp.rare->urg_seq, tp.copied_seq) && before(tp.rare->urg_seq, tp.rcv_nxt);
  if (mark_ahead) return tp.rare->urg_seq - tp.copied_seq;
  u32 const n = tp.rcv_nxt - tp.copied_seq;
  return n != 0 && sock_flag(sk, sock_flags::done) ? n - 1 : n;  // the peer's FIN is no byte
}

/// proto::ioctl, all of an int. sioc::inq: bytes to be read; outq: bytes that are not acknowledged; outqnsd: that were
/// not sent; atmark (MUST-33): what is read next is the urgent byte, or follows it. Errors: invalid_argument (it
/// listens), inappropriate_io_control_operation.
template <class Net>
result<int> tcp_ioctl(Net&, sock& sk, u32 cmd, void* arg) {
  auto const& tp = tcp_sk(sk);
  bool const listens = sk.sk_state == tcp_state::listen,
             opening = tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv);
  u32 amount;
  switch (cmd) {
    case sioc::inq: amount = tcp_inq(sk); break;
    case sioc::outq: amount = opening ? 0 : tp.write_seq - tp.snd_una; break;
    case sioc::outqnsd: amount = opening ? 0 : tp.write_seq - tp.snd_nxt; break;
    case sioc::atmark: amount = tp.urg_data != 0 && tp.rare->urg_seq == tp.copied_seq; break;
    default: return failure{std::errc::inappropriate_io_control_operation};
  }
  if (listens && cmd != sioc::atmark) return failure{std::errc::invalid_argument};
  std::memcpy(arg, &amount, sizeof amount);
  return 0;
}

/// There is enough to read for who waits: SO_RCVLOWAT's, or as much as the window lets the peer send.
[[nodiscard]] inline bool tcp_stream_is_readable(sock const& sk) {
  auto const& tp = tcp_sk(sk);
  u32 const n = tp.rcv_nxt - tp.copied_seq;
  bool const at_mark = tp.urg_data != 0 && tp.rare->urg_seq == tp.copied_seq && !sock_flag(sk, sock_flags::urginline);
  return n != 0 && (n >= std::max(sk.sk_rcvlowat, 1u) + at_mark || sk.sk_memory->pressure ||
                    tcp_receive_window(tp) <= tp.rcv_mss);
}

/// proto_ops::poll.
template <class Net>
u32 tcp_poll(Net& net, sockfs::socket& sock) {
  auto& sk = *sock.sk;
  auto& tp = tcp_sk(sk);
  if (sk.sk_state == tcp_state::listen) return tp.icsk_listen.accept_head ? poll_ev::in | poll_ev::rdnorm : 0;
  u32 mask = 0;
  if (sk.sk_shutdown == shutdown_mask || sk.sk_state == tcp_state::close) mask |= poll_ev::hup;
  if (sk.sk_shutdown & rcv_shutdown) mask |= poll_ev::in | poll_ev::rdnorm | poll_ev::rdhup;
  if (sk.sk_state == tcp_state::syn_sent && tp.defer_connect) mask |= poll_ev::out | poll_ev::wrnorm;
  if (!tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv) || tcp_passive_fastopen(sk)) {
    if (tcp_stream_is_readable(sk)) mask |= poll_ev::in | poll_ev::rdnorm;
    if ((sk.sk_shutdown & send_shutdown) || tcp_stream_is_writeable(net, sk))
      mask |= poll_ev::out | poll_ev::wrnorm;
    else
      tp.nospace = true;
    if (tp.urg_data & tcp_urg_bits::valid) mask |= poll_ev::pri;
  }
  if (sk.sk_err != 0 || !sk.sk_rare->error_queue.empty()) mask |= poll_ev::err;
  return mask;
}

}  // namespace netstack
