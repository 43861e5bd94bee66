// SPDX-License-Identifier: BSL-1.0
// Decides: whether a socket takes a packet: received data up to SO_RCVBUF, errors likewise, and what arrives while a
// call works on the socket waits in the backlog. A packet that does not fit is dropped under its own reason. [S46]
// rx: called by udp_queue_rcv_skb, raw_rcv, tcp_v4_rcv → calls data_ready; then read by core/datagram.
// Linux: net/core/sock.c (sock_queue_rcv_skb, __release_sock), net/core/skbuff.c (sock_queue_err_skb) [S97] [S100]
#pragma once
#include "netstack/core/drop.hpp"
#include "netstack/core/sock_mem.hpp"

namespace netstack {

namespace detail {
/// The packet fits: charged, and at the queue's end.
template <class Net>
void sock_append_rcv(Net& net, sock& sk, sk_buff& skb) {
  if (sock_flag(sk, sock_flags::timestamp) && skb.tstamp == 0) skb.tstamp = net.worker().now_real;
  if (sock_flag(sk, sock_flags::busy_poll)) [[unlikely]]
    sk_own_rare(sk).napi_id = skb.napi_id;  // Linux's sk_mark_napi_id
  skb_set_owner_r(skb, sk);
  skb.dev = nullptr;  // the device may go before the reader comes
  skb.dropcount = sk.sk_drops;
  sk.sk_receive_queue.queue_tail(skb);
}
}  // namespace detail

/// Appends a packet for the reader and tells who waits. The caller frees by the verdict. One worker appends: what
/// others received comes to it through rings (core/rps), so many producers need no lock here. [S151]
template <class Net>
verdict sock_queue_rcv_skb(Net& net, sock& sk, sk_buff& skb) {
  // The last packet may overshoot, so that even one larger than the buffer can be received.
  if (sk.sk_rmem_alloc > sk.sk_rcvbuf) [[unlikely]] {
    ++sk.sk_drops;
    return drop(net, skb, drop_reason::socket_rcvbuff);
  }
  if (!sk_rmem_schedule(net, sk, skb.truesize)) [[unlikely]] {
    ++sk.sk_drops;
    return drop(net, skb, drop_reason::proto_mem);
  }
  detail::sock_append_rcv(net, sk, skb);
  if (sk.sk_callbacks->data_ready) sk.sk_callbacks->data_ready(sk);
  return verdict::kept();
}

/// Appends packets in order as long as they fit, each as sock_queue_rcv_skb would, and tells once. What is left in the
/// list did not fit.
template <class Net>
void sock_queue_rcv_list(Net& net, sock& sk, skb_list& list) {
  u32 const before = sk.sk_receive_queue.qlen();
  while (sk_buff* skb = list.first) {
    if (sk.sk_rmem_alloc > sk.sk_rcvbuf || !sk_rmem_schedule(net, sk, skb->truesize)) [[unlikely]]
      break;
    list.pop_front();
    detail::sock_append_rcv(net, sk, *skb);
  }
  if (sk.sk_callbacks->data_ready && sk.sk_receive_queue.qlen() != before) sk.sk_callbacks->data_ready(sk);
}

/// What an entry of the error queue carries in its control block. The payload is what is left of the packet that caused
/// it, data where the application's own bytes begin.
struct sock_exterr_skb {
  sock_extended_err ee{};
  be32 daddr{};     ///< where the packet had been sent to
  be32 offender{};  ///< who reported it
  be16 port{};
  u16 has_offender = 0;
  u32 ifindex = 0;
};
static_assert(sizeof(sock_exterr_skb) <= 48);
inline sock_exterr_skb& SKB_EXT_ERR(sk_buff& skb) { return skb.cb<sock_exterr_skb>(); }

namespace detail {
inline void sock_rmem_free(sk_buff& skb) { skb.sk->sk_rmem_alloc -= skb.truesize; }
}  // namespace detail

/// Appends an error for MSG_ERRQUEUE; false (not taken) when the receive buffer is full. Whoever asks for such has a
/// sock_rare.
inline bool sock_queue_err_skb(sock& sk, sk_buff& skb) {
  if (sk.sk_rare == &sock_no_rare || sk.sk_rmem_alloc + skb.truesize >= sk.sk_rcvbuf) return false;
  skb_orphan(skb);
  skb.sk = &sk;
  skb.destructor = detail::sock_rmem_free;
  sk.sk_rmem_alloc += skb.truesize;
  skb.dev = nullptr;
  sk_own_rare(sk).error_queue.queue_tail(skb);
  if (sk.sk_callbacks->error_report) sk.sk_callbacks->error_report(sk);
  return true;
}
/// The oldest error, off the queue; what stands behind it becomes sk_err, so that poll() goes on reporting.
[[nodiscard]] inline sk_buff* sock_dequeue_err_skb(sock& sk) {
  if (sk.sk_rare->error_queue.empty()) return nullptr;
  sk_buff* const skb = sk_own_rare(sk).error_queue.dequeue();
  sk_buff* const following = sk.sk_rare->error_queue.peek();
  bool const icmp = SKB_EXT_ERR(*skb).ee.ee_origin == so_ee_origin::icmp;
  if (following && SKB_EXT_ERR(*following).ee.ee_origin == so_ee_origin::icmp)
    sk_report_error(sk, static_cast<s32>(SKB_EXT_ERR(*following).ee.ee_errno));
  else if (icmp)
    sk.sk_err = 0;
  return skb;
}

/// A call starts to work on the socket. Errors: resource_deadlock_would_occur when another call is at it already, from
/// inside whose wait this one was made.
inline result<void> lock_sock(sock& sk) {
  if (sk.sk_owned) return failure{std::errc::resource_deadlock_would_occur};
  sk.sk_owned = true;
  sock_hold(sk);
  return {};
}
/// The call is done: what came meanwhile is handled now, in order.
template <class Net>
void release_sock(Net& net, sock& sk) {
  auto const& prot = sk_prot<Net>(sk);
  while (sk_buff* skb = sk.sk_backlog.dequeue()) {
    sk.sk_backlog_len -= skb->truesize;
    finish(*skb, prot.backlog_rcv(net, sk, *skb));
  }
  sk.sk_owned = false;
  if (prot.release_cb && !sock_flag(sk, sock_flags::dead)) prot.release_cb(net, sk);
  sock_put(sk);
}

/// Puts a packet aside while the socket is owned. The backlog may hold both buffers' worth.
template <class Net>
verdict sk_add_backlog(Net& net, sock& sk, sk_buff& skb) {
  if (u64{sk.sk_backlog_len} + sk.sk_rmem_alloc > u64{sk.sk_rcvbuf} + sk.sk_sndbuf) {
    ++sk.sk_drops;
    return drop(net, skb, drop_reason::socket_backlog);
  }
  skb_dst_force(skb);
  sk.sk_backlog.queue_tail(skb);
  sk.sk_backlog_len += skb.truesize;
  return verdict::kept();
}

}  // namespace netstack
