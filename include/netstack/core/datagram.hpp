// SPDX-License-Identifier: BSL-1.0
// Decides: how a reader gets the next packet of a socket: waiting for it, peeking at it, copying it out, and which
// control messages every family's receiver can ask for. And what poll() says about a socket that keeps packets apart.
// rx: called by udp_recvmsg, raw_recvmsg …; the packet comes from core/sock_queue.
// Linux: net/core/datagram.c, net/socket.c (__sock_recv_timestamp, __sock_recv_cmsgs) [S41] [S48] [S114]
#pragma once
#include "netstack/core/msghdr.hpp"
#include "netstack/core/sock_wait.hpp"
#include "netstack/core/timestamping.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack {

namespace detail {

/// The packet that MSG_PEEK looks at; with SO_PEEK_OFF it may stand further back, and `off` is what is left of it then.
inline sk_buff* skb_to_peek(sock& sk, u32& off) {
  sk_buff* skb = sk.sk_receive_queue.peek();
  while (skb && sock_flag(sk, sock_flags::peek_offset) && off >= skb->len && (off > 0 || skb->peeked)) {
    off -= skb->len;
    skb = sk.sk_receive_queue.after(*skb);
  }
  return skb;
}

}  // namespace detail

/// The next packet for a reader. Taken off the queue, or with msg::peek one more hold on it: consume_skb() either way.
/// Null with success: shut down for reading, and the call might have waited. `off`: where reading starts in it. Errors:
/// the socket's pending error, and those of sk_wait_event.
template <class Net>
result<sk_buff*> __skb_recv_datagram(Net& net, sock& sk, u32 flags, u32& off) {
  bool const peek = (flags & msg::peek) != 0;
  for (;;) {
    if (auto r = sock_error(sk); !r) return failure{r.error()};
    off = peek && sock_flag(sk, sock_flags::peek_offset) ? static_cast<u32>(sk.sk_rare->peek_off) : 0;
    if (sk_buff* skb = peek ? detail::skb_to_peek(sk, off) : sk.sk_receive_queue.peek()) {
      if (peek) {
        skb->peeked = 1;
        return &skb_get(*skb);
      }
      sk.sk_receive_queue.unlink(*skb);
      return skb;
    }
    u64 const timeo = sock_rcvtimeo(sk, flags);
    if (sk.sk_shutdown & rcv_shutdown) {
      if (timeo == 0) return failure{std::errc::resource_unavailable_try_again};
      return nullptr;
    }
    u32 const seen = sk.sk_receive_queue.qlen();
    auto const ready = [&] {
      return sk.sk_receive_queue.qlen() != seen || sk.sk_err != 0 || (sk.sk_shutdown & rcv_shutdown) != 0;
    };
    if (auto r = sk_wait_event(net, sk, timeo, u64{sk.sk_rare->ll_usec} * 1000, ready); !r) return failure{r.error()};
  }
}

/// Moves the peek position after `len` bytes were peeked at, or read.
inline void sk_peek_offset_fwd(sock& sk, u32 len) {
  if (sock_flag(sk, sock_flags::peek_offset)) sk_own_rare(sk).peek_off += static_cast<s32>(len);
}
inline void sk_peek_offset_bwd(sock& sk, u32 len) {
  if (!sock_flag(sk, sock_flags::peek_offset)) return;
  s32& off = sk_own_rare(sk).peek_off;
  off = std::max(off - static_cast<s32>(len), 0);
}

/// Copies `len` bytes from `offset` of the packet into the caller's buffers; msg::trunc is the caller's business.
inline std::size_t skb_copy_datagram_msg(sk_buff const& skb, u32 offset, msghdr& m, std::size_t len) {
  iov_iter to{m.msg_iov};
  std::size_t const n = std::min(len, to.count());
  return for_each_piece(skb, offset, static_cast<u32>(n), [&](u8 const* at, u32 size) { to.copy_to(at, size); }) ? n
                                                                                                                 : 0;
}

/// SCM_TIMESTAMPING's value: software, (unused), hardware.
struct scm_timestamping {
  timespec ts[3]{};
};

namespace detail {
inline timespec to_timespec(u64 ns) {
  return {static_cast<time_t>(ns / 1'000'000'000u), static_cast<long>(ns % 1'000'000'000u)};
}
}  // namespace detail

namespace detail {
/// SO_TIMESTAMPING's message: the time in this host's clock, and in the device's, as far as there is one and it was
/// asked for. `wanted`: of the former.
inline void put_timestamping(sock const& sk, msghdr& m, u64 tstamp, u64 hwtstamp, u32 wanted) {
  bool const software = tstamp != 0 && (sk.sk_rare->tsflags & wanted) == wanted;
  bool const hardware = hwtstamp != 0 && (sk.sk_rare->tsflags & sof_timestamping::raw_hardware);
  if (!software && !hardware) return;
  put_cmsg(m, sol::socket, scm::timestamping,
           scm_timestamping{
               {software ? to_timespec(tstamp) : timespec{}, {}, hardware ? to_timespec(hwtstamp) : timespec{}}});
}
}  // namespace detail

/// The times of what was received, in this host's clock and in the device's (ns since 1970, 0: none), as far as the
/// socket wants to be told. `wanted`: what SO_TIMESTAMPING must have said for the former.
inline void sock_recv_stamps(sock const& sk, msghdr& m, u64 tstamp, u64 hwtstamp,
                             u32 wanted = sof_timestamping::software | sof_timestamping::rx_software) {
  if (tstamp != 0) {
    auto const ts = detail::to_timespec(tstamp);
    if (sock_flag(sk, sock_flags::rcvtstampns))
      put_cmsg(m, sol::socket, scm::timestampns, ts);
    else if (sock_flag(sk, sock_flags::rcvtstamp))
      put_cmsg(m, sol::socket, scm::timestamp, timeval{ts.tv_sec, ts.tv_nsec / 1000});
  }
  if (sock_flag(sk, sock_flags::timestamping)) detail::put_timestamping(sk, m, tstamp, hwtstamp, wanted);
}

/// What SOL_SOCKET options ask to be told about each packet: its times, the packets lost before it, its mark. `wanted`:
/// what SO_TIMESTAMPING must have said for this host's time to be told.
inline void sock_recv_cmsgs(sock& sk, msghdr& m, sk_buff& skb,
                            u32 wanted = sof_timestamping::software | sof_timestamping::rx_software) {
  sock_recv_stamps(sk, m, skb.tstamp, skb_hwtstamps(skb), wanted);
  if (skb.tstamp != 0 && sk.sk_rare != &sock_no_rare) sk_own_rare(sk).stamp = skb.tstamp;
  if (sock_flag(sk, sock_flags::rxq_ovfl) && skb.dropcount != 0) put_cmsg(m, sol::socket, scm::rxq_ovfl, skb.dropcount);
  if (sock_flag(sk, sock_flags::rcvmark)) put_cmsg(m, sol::socket, so::mark, skb.mark);
}

/// The poll_ev bits of a datagram socket. [S114]
[[nodiscard]] inline u32 datagram_poll(sock const& sk) {
  u32 mask = 0;
  if (sk.sk_err != 0 || !sk.sk_rare->error_queue.empty())
    mask |= poll_ev::err | (sock_flag(sk, sock_flags::select_err_queue) ? poll_ev::pri : 0);
  if (sk.sk_shutdown & rcv_shutdown) mask |= poll_ev::rdhup | poll_ev::in | poll_ev::rdnorm;
  if (sk.sk_shutdown == shutdown_mask) mask |= poll_ev::hup;
  if (!sk.sk_receive_queue.empty()) mask |= poll_ev::in | poll_ev::rdnorm;
  if (sock_writeable(sk)) mask |= poll_ev::out | poll_ev::wrnorm | poll_ev::wrband;
  return mask;
}

}  // namespace netstack
