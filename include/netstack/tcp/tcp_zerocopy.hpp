// SPDX-License-Identifier: BSL-1.0
// Decides: how an application's bytes and TCP's are the same ones. Received data is looked at where it lies, and its
// frames are given back as far as it was used; a packet that was filled in place becomes a segment of the write queue
// itself and is held until it is acknowledged and the last driver is done with it.
// called by socket/tcp_socket
// Linux: net/ipv4/tcp.c (tcp_read_sock; its nearest for sending: MSG_ZEROCOPY)
#pragma once
#include "netstack/tcp/tcp_recvmsg.hpp"

namespace netstack {

/// One more hold on the frame of a packet that is about to be sent: tells when nobody else has it any more.
class frame_hold {
  skb_pool* pool_ = nullptr;
  u32 frame_ = 0;

 public:
  frame_hold() = default;
  explicit frame_hold(sk_buff const& skb) : pool_(skb.pool), frame_(skb.frame) { pool_->get_frame(frame_); }
  frame_hold(frame_hold&& from) noexcept : pool_(std::exchange(from.pool_, nullptr)), frame_(from.frame_) {}
  frame_hold& operator=(frame_hold&& from) noexcept {
    std::swap(pool_, from.pool_);
    std::swap(frame_, from.frame_);
    return *this;
  }
  ~frame_hold() {
    if (pool_) pool_->put_frame(frame_);
  }
  /// All of it was acknowledged, and no driver reads it.
  [[nodiscard]] bool alone() const { return !pool_ || pool_->shinfo(frame_).holds == 1; }
  [[nodiscard]] u32 frame() const { return frame_; }
};

/// Calls u32 f(std::span<u8 const>) for each piece of what can be read, in order: how many bytes of it were used. What
/// was used is gone, and the window opens; a piece that was not used up ends the call, and so does the urgent mark. f
/// does not touch the socket. Answers the bytes used; 0: none were, or the peer closed. Errors: not_connected,
/// resource_unavailable_try_again (nothing is there), the pending error.
template <class Net, class F>
result<std::size_t> tcp_read_sock(Net& net, sock& sk, F&& f) {
  if (sk.sk_state == tcp_state::listen) return failure{std::errc::not_connected};
  auto& tp = tcp_sk(sk);
  u32 seq = tp.copied_seq;
  std::size_t used = 0;
  bool any = false, more = true;
  sk_buff const* const first = sk.sk_receive_queue.peek();  // which goes at the end only
  auto const piece = [&](u8 const* at, u32 size) {
    if (!more) return;
    any = true;
    u32 const taken = f(std::span<u8 const>(at, size));
    BUG_ON(taken > size, "tcp_read_sock: more was used than there was");
    BUG_ON(sk.sk_receive_queue.peek() != first, "tcp_read_sock: f closed the socket, or read from it");
    seq += taken, used += taken;
    more = taken == size;
  };
  sk_buff* skb = sk.sk_receive_queue.peek();
  while (more) {
    skb = detail::tcp_skb_from(sk, skb, seq);
    if (!skb || (tp.urg_data != 0 && tp.rare->urg_seq == seq && used != 0)) break;
    u32 const offset = seq - TCP_SKB_CB(*skb).seq;
    u32 n = skb->len - offset;
    if (tp.urg_data != 0) n = detail::tcp_up_to_mark(sk, seq, n);
    if (skb->is_nonlinear())
      for_each_piece(*skb, offset, n, piece);
    else if (n != 0)
      piece(skb->data + offset, n);
    tp.copied_seq = seq;
    if (tp.urg_data != 0 && after(seq, tp.rare->urg_seq)) tp.urg_data = 0;
  }
  (void)detail::tcp_eat_skbs(sk, seq);
  if (more) detail::tcp_eat_fin(sk);
  if (used != 0) {
    tcp_rcv_space_adjust(net, sk);
    tcp_cleanup_rbuf(net, sk, true);
  }
  if (any) return used;
  auto const end = detail::tcp_read_end(sk, false);
  if (!end) return failure{end.error()};
  if (!*end) return failure{std::errc::resource_unavailable_try_again};
  return std::size_t{0};
}

/// Queues a packet of this worker's that nobody else has, its data with max_tcp_header bytes in front, as the next
/// segment. It is taken unless there is an error. Errors: message_size (longer than a segment, or empty),
/// invalid_argument (not such a packet), resource_unavailable_try_again (the send buffer is full, or the connection is
/// still asked for), broken_pipe, the pending error.
template <class Net>
result<void> tcp_send_skb(Net& net, sock& sk, sk_buff& skb, u32 flags) {
  auto& tp = tcp_sk(sk);
  if (!detail::tcp_can_send(sk)) {
    if (tcp_in_state(sk, tcp_state::syn_sent, tcp_state::syn_recv) && sk.sk_err == 0)
      return failure{std::errc::resource_unavailable_try_again};
    return failure{detail::tcp_send_error(sk)};
  }
  u32 const mss = tcp_current_mss(net, sk);
  if (skb.len == 0 || skb.len > mss) return failure{std::errc::message_size};
  if (skb.pool != &net.worker().pool || !skb_is_own(skb, mss, max_tcp_header))
    return failure{std::errc::invalid_argument};
  if (!tcp_stream_memory_free(sk)) tcp_sndbuf_expand(net, sk);
  if (!tcp_may_queue(net, sk) || !tcp_wmem_schedule(net, sk, skb.truesize)) {
    tcp_await_space(net, sk);
    tcp_chrono_update(net, sk, tp.chrono == tcp_chrono::rwnd_limited);
    return failure{std::errc::resource_unavailable_try_again};
  }
  tcp_rate_check_app_limited(tp);
  skb_orphan(skb);
  skb_dst_drop(skb);
  skb.dev = nullptr;
  skb.tx_flags = 0;
  bool const device_sums = detail::tcp_device_sums(sk);
  skb.ip_summed = device_sums ? ip_summed::partial : ip_summed::none;
  if (!device_sums) skb.csum = csum_partial(skb.data, skb.len, 0);
  TCP_SKB_CB(skb) = {.seq = tp.write_seq, .end_seq = tp.write_seq + skb.len, .tcp_flags = tcp_flag::ack};
  tp.write_seq += skb.len;
  tp.nonagle &= static_cast<u8>(~tcp_nagle::push);  // what was to leave at once is before it
  tcp_queue_skb(sk, skb);
  detail::tcp_note_dialogue(net, tp);
  if (tp.tx_stamps) [[unlikely]]
    tcp_tx_timestamp(sk);
  detail::tcp_push_written(net, sk, flags, mss);
  return {};
}

}  // namespace netstack
