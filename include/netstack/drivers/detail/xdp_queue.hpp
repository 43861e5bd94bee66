// SPDX-License-Identifier: BSL-1.0
// Decides: how packets pass between a pool and one queue's rings without a copy, and whose each frame is on the way:
//
//   pool --lend_frame--> fill ring → kernel → rx ring --receive_lent--> packet
//   packet --in_flight--> tx ring → kernel → completion ring --finish--> pool
//
// A lent frame names this queue in its pair, a sent packet stands in in_flight and names it too: what comes back twice,
// or never went out, is trapped.
// rx: called by drivers/af_xdp ndo_poll; tx: by its ndo_start_xmit and ndo_tx_complete
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/core/sock_mem.hpp"
#include "netstack/drivers/detail/xdp_socket.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_frags.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack::drivers::detail {

class xdp_queue {
 public:
  xdp_socket socket;
  skb_pool* pool = nullptr;
  u32 rx_target = 0;  ///< frames that lie ready for what comes
  bool trust_checksums = false;
  bool need_wakeup = true;
  u64 kicks = 0, wakeups = 0;

  /// What the kernel leaves in front of a received frame (XDP_PACKET_HEADROOM).
  static constexpr u32 kernel_headroom = 256;
  [[nodiscard]] xdp_memory memory() const {
    u32 const headroom = std::max(pool->rx_headroom(), kernel_headroom) - kernel_headroom;
    return {pool->frames(), u64{pool->nr_frames()} * pool->frame_size(), pool->frame_size(), headroom};
  }

  /// Pieces of one frame that the kernel takes (its MAX_SKB_FRAGS is 17).
  static constexpr u32 max_pieces = 17;

  // --- rx -----------------------------------------------------------------------------------------------------------
  /// Lends frames until rx_target are with the kernel, as far as the pool has any.
  void refill() {
    u32 n = 0;
    for (; lent_ < rx_target && socket.fill.room(1); ++n, ++lent_) {
      u32 const frame = pool->lend_frame(this);
      if (frame == skb_pool::no_frame) break;
      socket.fill.next() = u64{frame} * pool->frame_size();
    }
    if (n == 0) return;
    socket.fill.publish();
    if (socket.fill.needs_wakeup()) [[unlikely]]
      wake_rx();
  }
  void wake_rx() {
    ++wakeups;
    socket.wake_rx();
  }
  [[nodiscard]] bool frames_wait() { return socket.rx.waiting(1) != 0; }

  /// Calls each(skb) for up to `budget` frames, data at the link header; how many frames were taken from the ring.
  template <class F>
  u32 receive(u32 budget, net_device_stats& stats, F&& each) {
    u32 const descriptors = socket.rx.waiting(socket.multi() ? socket.rx.size() : budget);
    u32 used = 0, frames = 0;
    while (used < descriptors && frames < budget) {
      if (used + prefetch_ahead < descriptors) prefetch(socket.rx.peek(used + prefetch_ahead));
      ::xdp_desc const& first = socket.rx.peek(used);
      sk_buff* skb;
      if (!(first.options & xdp_abi::pkt_contd)) [[likely]] {
        skb = &packet_of(first);
        ++used;
      } else {
        u32 const pieces = pieces_at(used, descriptors);
        if (pieces == 0) break;  // its end has not come yet
        skb = gather(used, pieces, stats);
        used += pieces;
      }
      ++frames;
      if (skb) each(*skb);
    }
    if (used == 0) return 0;
    lent_ -= used;
    socket.rx.release(used);
    return frames;
  }

  // --- tx -----------------------------------------------------------------------------------------------------------
  /// Whether a frame of this many pieces can be sent now.
  [[nodiscard]] bool room(u32 pieces) {
    if (fits(pieces)) [[likely]]
      return true;
    reap();
    return fits(pieces);
  }
  /// The kernel's room in front of the frame is there; and if a checksum is left to it, that room is nobody else's
  /// (what a clone shares with others may be their header), and the request is one that does not stop the ring.
  [[nodiscard]] bool may_describe(sk_buff const& skb) const {
    if (skb.headroom() < socket.tx_metadata()) return false;
    if (skb.ip_summed != ip_summed::partial) return true;
    int const start = skb_checksum_start_offset(skb), end = start + skb.csum_offset + 2;
    return start >= 0 && end <= static_cast<int>(skb.headlen()) && !skb_header_cloned(skb);
  }
  /// There is room, and it may_describe the packet, which stays in flight, untouched, until the kernel is done
  /// with all its pieces.
  void send(sk_buff& skb) {
    BUG_ON(skb.pool != pool, "a packet of another worker's pool");
    BUG_ON(skb.prev != nullptr, "a packet sent while queued or in flight");
    auto const& info = skb_shinfo(skb);
    u32 const frags = skb.is_nonlinear() ? info.nr_frags : 0u;
    describe(skb.data, skb.headlen(), request_checksum(skb) | contd(frags != 0));
    for (u32 i = 0; i < frags; ++i)
      describe(skb_frag_address(skb, info.frags[i]), info.frags[i].size, contd(i + 1 < frags));
    skb.prev = mark();
    skb.cb<in_flight_cb>().pieces = frags + 1;
    in_flight_.push_back(skb);
    outstanding_ += frags + 1;
  }
  /// Shows the kernel what was sent.
  std::errc kick() {
    if (socket.tx.unpublished()) socket.tx.publish();
    if (need_wakeup && !socket.tx.needs_wakeup()) {
      // It read our index before it went to sleep, or sees the new one: the flag after our store tells which.
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (!socket.tx.needs_wakeup()) return {};
    }
    return socket.kick(kicks);
  }
  /// The kernel has packets of ours.
  [[nodiscard]] bool sending() const { return outstanding_ != 0; }
  /// What an earlier kick could not move.
  [[nodiscard]] bool stuck() { return outstanding_ != 0 && socket.tx.pending() != 0; }
  /// Frees what the kernel is done with; how many packets.
  u32 reap() {
    skb_list done;
    while (u32 const n = socket.completion.waiting(64)) {
      for (u32 i = 0; i < n; ++i) finish(static_cast<u32>(socket.completion.peek(i) / pool->frame_size()), done);
      socket.completion.release(n);
      outstanding_ -= n;
    }
    u32 const packets = done.count;
    if (packets != 0) consume_sent_list(*pool, done);
    return packets;
  }

  /// Gives the queue back, and with it every frame. Answers how many pieces were never sent.
  u32 close() {
    if (!socket.is_open()) return 0;
    u32 const unsent = socket.tx.pending();
    socket.close();
    while (sk_buff* skb = in_flight_.pop_front()) {
      skb->prev = nullptr;
      consume_skb(*skb);
    }
    pool->return_all_lent(this);
    lent_ = outstanding_ = 0;
    return unsent;
  }

 private:
  static constexpr u32 prefetch_ahead = 4;
  static constexpr u32 few_bytes = 256;
  struct in_flight_cb {
    u32 pieces;  // with the kernel
  };
  skb_list in_flight_;  // in order of sending, which is nearly always that of completion
  u32 outstanding_ = 0;
  u32 lent_ = 0;

  sk_buff* mark() { return reinterpret_cast<sk_buff*>(this); }
  bool fits(u32 pieces) { return outstanding_ + pieces <= socket.completion.size() && socket.tx.room(pieces); }

  void prefetch(::xdp_desc const& d) const {
    auto const frame = static_cast<u32>(d.addr / pool->frame_size());
    auto* const pair = reinterpret_cast<std::byte*>(&pool->pair(frame));
    for (u32 line = 0; line < 4; ++line) __builtin_prefetch(pair + line * cache_line, 1);
    __builtin_prefetch(pool->frames() + d.addr);
  }
  sk_buff& packet_of(::xdp_desc const& d) {
    u32 const size = pool->frame_size();
    sk_buff& skb = pool->receive_lent(static_cast<u32>(d.addr / size), this, static_cast<u32>(d.addr % size));
    skb.put(d.len);
    if (trust_checksums) skb.ip_summed = ip_summed::unnecessary;
    return skb;
  }
  [[nodiscard]] u32 pieces_at(u32 at, u32 end) {
    for (u32 i = at; i < end; ++i)
      if (!(socket.rx.peek(i).options & xdp_abi::pkt_contd)) return i + 1 - at;
    return 0;
  }
  /// A frame of several pieces as one packet; null, and counted, if a packet cannot hold so many.
  sk_buff* gather(u32 at, u32 pieces, net_device_stats& stats) {
    sk_buff& skb = packet_of(socket.rx.peek(at));
    u32 const size = pool->frame_size();
    for (u32 i = 1; i < pieces; ++i) {
      ::xdp_desc const& d = socket.rx.peek(at + i);
      auto const frame = static_cast<u32>(d.addr / size);
      if (i <= max_skb_frags) {
        pool->claim_lent(frame, this);
        skb_add_rx_frag(skb, i - 1, frame, static_cast<u32>(d.addr % size), d.len, pool->frame_truesize());
      } else {
        pool->return_lent(frame, this);
      }
    }
    if (pieces <= max_skb_frags + 1) return &skb;
    ++stats.rx_over_errors;
    ++stats.rx_errors;
    consume_skb(skb);
    return nullptr;
  }

  static u32 contd(bool more) { return more ? xdp_abi::pkt_contd : 0; }
  /// Leaves the checksum to the kernel, which leaves it to the interface if that finishes any; the descriptor's option.
  /// Of a few bytes our sum costs less than the request costs the kernel.
  [[nodiscard]] u32 request_checksum(sk_buff& skb) const {
    if (skb.ip_summed != ip_summed::partial || socket.tx_metadata() == 0) return 0;
    auto const start = static_cast<u16>(skb_checksum_start_offset(skb));
    if (skb.len <= few_bytes && (!skb.cloned || skb_clone_writable(skb, start + skb.csum_offset + 2u))) {
      BUG_ON(!skb_checksum_help(skb), "a checksum that it may not describe");
      return 0;
    }
    xdp_abi::csum_request const request{.csum_start = start, .csum_offset = skb.csum_offset};
    std::memcpy(skb.data - sizeof request, &request, sizeof request);
    return xdp_abi::tx_metadata;
  }
  void describe(u8 const* data, u32 size, u32 options) {
    auto& d = socket.tx.next();
    d.addr = static_cast<u64>(reinterpret_cast<std::byte const*>(data) - pool->frames());
    d.len = size;
    d.options = options;
  }
  static bool lies_in(sk_buff const& skb, u32 frame) {
    if (skb.frame == frame) [[likely]]
      return true;
    auto const& info = skb_shinfo(skb);
    for (u32 i = 0; i < info.nr_frags; ++i)
      if (info.frags[i].frame == frame) return true;
    return false;
  }
  /// The oldest packet in flight that has a piece in this frame has one less with the kernel. Packets that share a
  /// frame are as good as each other: each holds it.
  void finish(u32 frame, skb_list& done) {
    sk_buff* before = nullptr;
    sk_buff* skb = in_flight_.first;
    while (skb && !lies_in(*skb, frame)) before = std::exchange(skb, skb->next);
    BUG_ON(!skb || skb->prev != mark(), "the kernel completed a frame that was not sent");
    if (--skb->cb<in_flight_cb>().pieces != 0) return;
    (before ? before->next : in_flight_.first) = skb->next;
    if (in_flight_.last == skb) in_flight_.last = before;
    --in_flight_.count;
    skb->prev = nullptr;
    done.push_back(*skb);
  }
};

}  // namespace netstack::drivers::detail
