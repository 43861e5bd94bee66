// SPDX-License-Identifier: BSL-1.0
// Decides: who gets bytes of their own, and when. Clones and frags share frames, and a frame that others read is never
// written: who must write asks skb_cow, skb_ensure_writable, … first, which copy only if somebody else looks. A linear
// area is one frame, so what does not fit into a frame is refused (no_buffer_space), unlike an empty pool
// (not_enough_memory). A packet is unchanged when its operation fails. [S36] [S39]
// Linux: net/core/skbuff.c (pskb_expand_head, __pskb_copy_fclone, skb_copy), include/linux/skbuff.h (skb_cow, …)
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/skb/skb_frags.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack {

namespace detail {

/// The bytes move by `shift` against head, and all that counts from head with them.
inline void skb_headers_offset_update(sk_buff& skb, int shift) {
  auto move = [shift](u16& offset) { offset = static_cast<u16>(offset + shift); };
  if (skb.ip_summed == ip_summed::partial) move(skb.csum_start);
  if (skb.mac_header_was_set()) move(skb.mac_header);
  move(skb.network_header), move(skb.transport_header);
  move(skb.inner_mac_header), move(skb.inner_network_header), move(skb.inner_transport_header);
}

/// Moves everything up to tail by `shift`, in its own frame if nobody else reads it, else into a new one. The caller
/// knows that it fits: with a negative shift that many bytes in front are given up.
inline result<void> relocate(sk_buff& skb, int shift, skb_pool::site at) {
  BUG_ON(skb_shared(skb), "bytes of a shared packet moved");
  auto& pool = *skb.pool;
  auto const data = static_cast<int>(skb.headroom()), tail = static_cast<int>(skb.tail - skb.head);
  int const from = shift < 0 ? -shift : 0;
  auto const bytes = static_cast<std::size_t>(tail - from);
  if (pool.is_private(skb)) {
    if (shift) std::memmove(skb.head + from + shift, skb.head + from, bytes);
    pool.drop_payload_ref(skb);
    skb.cloned = 0;
    skb.hdr_len = 0;
  } else {
    u32 const frame = pool.alloc_frame(at);
    if (frame == skb_pool::no_frame) return failure{std::errc::not_enough_memory};
    std::memcpy(pool.frame_data(frame) + from + shift, skb.head + from, bytes);
    pool.move_to_frame(skb, frame);
  }
  skb.data = skb.head + data + shift;
  skb.tail = skb.head + tail + shift;
  if (shift) skb_headers_offset_update(skb, shift);
  return {};
}

/// The lowest byte of the frame that a header or the data starts at: what lies below may be given up.
inline u32 lowest_offset(sk_buff const& skb) {
  u32 low = skb.headroom();
  if (skb.mac_header_was_set()) low = std::min<u32>(low, skb.mac_header);
  if (skb.network_header) low = std::min<u32>(low, skb.network_header);
  return low;
}

/// Gives the packet a linear area of its own with at least `room` bytes behind tail, at the cost of unused headroom.
inline result<void> make_tailroom(sk_buff& skb, u32 room, skb_pool::site at) {
  u32 const frame = skb.pool->frame_size(), used = static_cast<u32>(skb.tail - skb.head);
  u64 const need = u64{used} + room;
  if (need <= frame) return skb.pool->is_private(skb) ? result<void>{} : relocate(skb, 0, at);
  u64 const over = need - frame;
  if (over > lowest_offset(skb)) return failure{std::errc::no_buffer_space};
  return relocate(skb, -static_cast<int>(over), at);
}

/// What a copy is told about the packet, apart from whose it is and where its bytes lie. Both have data at the same
/// distance from head.
inline void copy_skb_header(sk_buff& to, sk_buff const& from) {
  to.dev = from.dev;
  skb_dst_copy(to, from);
  to.protocol = from.protocol, to.pkt_type = from.pkt_type;
  to.ip_summed = from.ip_summed, to.rx_l4_valid = from.rx_l4_valid, to.ignore_df = from.ignore_df;
  to.network_header = from.network_header, to.transport_header = from.transport_header;
  to.mac_header = from.mac_header, to.mac_len = from.mac_len;
  to.csum = from.csum, to.csum_start = from.csum_start, to.csum_offset = from.csum_offset;
  constexpr std::size_t begin = offsetof(sk_buff, tstamp),
                        end = offsetof(sk_buff, hdr_len);  // tstamp to inner_protocol
  std::memcpy(reinterpret_cast<std::byte*>(&to) + begin, reinterpret_cast<std::byte const*>(&from) + begin,
              end - begin);
  to.encapsulation = from.encapsulation, to.l4_hash = from.l4_hash, to.ooo_okay = from.ooo_okay;
  to.hwtstamped = from.hwtstamped;
  to.pool->copy_private(to, from);
  if (!skb_is_gso(from) && !from.hwtstamped) return;
  auto const& info = skb_shinfo(from);
  auto& copy = skb_edit_shinfo(to);
  copy.gso_size = info.gso_size, copy.gso_segs = info.gso_segs, copy.gso_type = info.gso_type;
  copy.hwtstamp = info.hwtstamp;
}

/// A new packet whose linear area is a copy of skb's, headroom included; nothing beyond it yet.
inline sk_buff* copy_linear(sk_buff const& skb, skb_pool::site at) {
  sk_buff* n = skb.pool->alloc_skb(skb.headroom(), at);
  if (!n) return nullptr;
  std::memcpy(n->head, skb.head, static_cast<std::size_t>(skb.tail - skb.head));
  n->put(skb.headlen());
  copy_skb_header(*n, skb);
  return n;
}

}  // namespace detail

/// Moves the packet to a linear area that is its own, with `nhead` more bytes of headroom than now and at least `ntail`
/// of tailroom. Pointers into the old bytes are stale afterwards. truesize stays: a frame came and a frame went.
inline result<void> pskb_expand_head(sk_buff& skb, u32 nhead, u32 ntail,
                                     skb_pool::site at = skb_pool::site::current()) {
  u64 const need = static_cast<u64>(skb.tail - skb.head) + nhead + ntail;
  if (need > skb.pool->frame_size()) return failure{std::errc::no_buffer_space};
  return detail::relocate(skb, static_cast<int>(nhead), at);
}

/// Makes sure that nobody else reads the linear bytes.
inline result<void> skb_unclone(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  return skb_cloned(skb) ? pskb_expand_head(skb, 0, 0, at) : result<void>{};
}
/// Before writing: linear bytes of one's own, with `headroom` bytes in front of data.
inline result<void> skb_cow(sk_buff& skb, u32 headroom, skb_pool::site at = skb_pool::site::current()) {
  u32 const more = headroom > skb.headroom() ? headroom - skb.headroom() : 0;
  return more || skb_cloned(skb) ? pskb_expand_head(skb, more, 0, at) : result<void>{};
}
/// Before pushing headers: like skb_cow, but clones that only read the payload (nohdr) do not count.
inline result<void> skb_cow_head(sk_buff& skb, u32 headroom, skb_pool::site at = skb_pool::site::current()) {
  u32 const more = headroom > skb.headroom() ? headroom - skb.headroom() : 0;
  return more || skb_header_cloned(skb) ? pskb_expand_head(skb, more, 0, at) : result<void>{};
}
/// True if the clone may write its first `len` bytes: they lie in the headroom that a nohdr original left to it.
inline bool skb_clone_writable(sk_buff const& skb, u32 len) {
  return !skb_header_cloned(skb) && skb.headroom() + len <= skb.hdr_len;
}

/// The packet itself if nobody else holds it, else a clone in exchange for the caller's hold; null if there is none
/// left, and then the hold is gone too.
[[nodiscard]] inline sk_buff* skb_share_check(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  if (!skb_shared(skb)) return &skb;
  sk_buff* n = skb_clone(skb, at);
  consume_skb(skb);
  return n;
}

/// A packet with the same data, all of it its own and writable. Linear if it fits into one frame behind skb's headroom,
/// else over several. Null if the pool has not enough frames.
[[nodiscard]] inline sk_buff* skb_copy(sk_buff const& skb, skb_pool::site at = skb_pool::site::current()) {
  sk_buff* n = detail::copy_linear(skb, at);
  if (!n || !skb.is_nonlinear()) return n;
  u32 const linear = skb.headlen();
  bool const fits = skb.data_len <= n->tailroom();
  if (fits) {
    BUG_ON(!skb_copy_bits(skb, linear, n->put(skb.data_len), skb.data_len));
    return n;
  }
  if (!detail::add_data_frames(*n, skb.data_len, at)) {
    consume_skb(*n);
    return nullptr;
  }
  u32 offset = linear;
  for_each_piece(skb, linear, skb.data_len, [&](u8 const* bytes, u32 size) {
    BUG_ON(!skb_store_bits(*n, offset, bytes, size));
    offset += size;
  });
  return n;
}

/// A packet with a linear area of its own that shares what lies beyond it. Null if the pool is empty.
[[nodiscard]] inline sk_buff* pskb_copy(sk_buff const& skb, skb_pool::site at = skb_pool::site::current()) {
  sk_buff* n = detail::copy_linear(skb, at);
  if (!n || !skb.is_nonlinear()) return n;
  skb.pool->share_frags(skb_shinfo(skb), skb_edit_shinfo(*n));
  n->len = skb.len;
  n->data_len = skb.data_len;
  n->truesize = std::max(n->truesize, skb.truesize);
  return n;
}

/// The packet itself if nobody else reads its bytes, else a copy in exchange for the caller's hold (null if the pool is
/// empty, and then the hold is gone too).
[[nodiscard]] inline sk_buff* skb_unshare(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  if (!skb_cloned(skb)) return &skb;
  sk_buff* n = skb_copy(skb, at);
  consume_skb(skb);
  return n;
}

}  // namespace netstack
