// SPDX-License-Identifier: BSL-1.0
// Decides: how data comes to lie beyond the linear area: whole pool frames, or parts of them, as frags; what does not
// go into max_skb_frags of them, in packets of the frag list. [S39] [S46]
// Linux: include/linux/skbuff.h (skb_fill_page_desc, skb_add_rx_frag), net/core/skbuff.c (alloc_skb_with_frags)
#pragma once
#include <algorithm>
#include <cstring>

#include "netstack/skb/skb_pool.hpp"

namespace netstack {

inline void skb_frag_ref(sk_buff& skb, u32 i) { skb.pool->get_frame(skb_shinfo(skb).frags[i].frame); }
inline void skb_frag_unref(sk_buff& skb, u32 i) { skb.pool->put_frame(skb_shinfo(skb).frags[i].frame); }

/// Writes frag i, which becomes the last one. It takes over the caller's hold on the frame; len, data_len and truesize
/// stay the caller's (Linux's skb_fill_page_desc).
inline void skb_fill_frag(sk_buff& skb, u32 i, u32 frame, u32 offset, u32 size) {
  BUG_ON(i >= max_skb_frags, "more frags than a packet has");
  BUG_ON(u64{offset} + size > skb.pool->frame_size(), "frag beyond its frame");
  auto& info = skb_edit_shinfo(skb);
  info.frags[i] = {frame, offset, size};
  info.nr_frags = static_cast<u8>(i + 1);
}

/// Appends `size` bytes at `offset` of a frame as frag i (= nr_frags), with the caller's hold on it. `truesize` is what
/// the frame costs the packet: skb_pool::frame_truesize(), or the share of it that the caller has not charged yet.
inline void skb_add_rx_frag(sk_buff& skb, u32 i, u32 frame, u32 offset, u32 size, u32 truesize) {
  skb_fill_frag(skb, i, frame, offset, size);
  skb.len += size;
  skb.data_len += size;
  skb.truesize += truesize;
}

/// True if `size` bytes at `offset` of `frame` would continue the last of the packet's i frags.
inline bool skb_can_coalesce(sk_buff const& skb, u32 i, u32 frame, u32 offset) {
  if (i == 0) return false;
  auto const& last = skb_shinfo(skb).frags[i - 1];
  return last.frame == frame && last.offset + last.size == offset;
}
/// Lengthens frag i by `size` bytes that follow it in its frame. No hold more: the frag has one already.
inline void skb_coalesce_rx_frag(sk_buff& skb, u32 i, u32 size, u32 truesize) {
  auto& frag = skb_edit_shinfo(skb).frags[i];
  BUG_ON(u64{frag.offset} + frag.size + size > skb.pool->frame_size(), "frag beyond its frame");
  frag.size += size;
  skb.len += size;
  skb.data_len += size;
  skb.truesize += truesize;
}

namespace detail {

/// Appends frames for `size` more bytes as frags, as many as fit; returns how many bytes have a place now.
inline u32 add_frames(sk_buff& skb, u32 size, skb_pool::site at) {
  u32 placed = 0;
  auto const& info = skb_shinfo(skb);
  while (placed < size && info.nr_frags < max_skb_frags) {
    u32 const frame = skb.pool->alloc_frame(at);
    if (frame == skb_pool::no_frame) break;
    u32 const n = std::min(size - placed, skb.pool->frame_size());
    skb_add_rx_frag(skb, info.nr_frags, frame, 0, n, skb.pool->frame_truesize());
    placed += n;
  }
  return placed;
}

/// Makes room for `size` more bytes of data behind what the packet has: frags first, then packets of the frag list.
/// On failure the packet keeps what it got: the caller frees it.
inline bool add_data_frames(sk_buff& skb, u32 size, skb_pool::site at) {
  u32 placed = add_frames(skb, size, at);
  sk_buff** link = &skb_edit_shinfo(skb).frag_list;
  while (*link) link = &(*link)->next;
  while (placed < size) {
    if (skb_shinfo(skb).nr_frags < max_skb_frags) return false;  // it was the pool that ended
    sk_buff* part = skb.pool->alloc_skb(0, at);
    if (!part) return false;
    *link = part;
    link = &part->next;
    u32 n = std::min(size - placed, part->tailroom());
    part->put(n);
    n += add_frames(*part, size - placed - n, at);
    skb.len += n;
    skb.data_len += n;
    skb.truesize += part->truesize;
    placed += n;
    if (placed < size && skb_shinfo(*part).nr_frags < max_skb_frags) return false;
  }
  return true;
}

}  // namespace detail

/// A packet with `headroom` bytes in front, `header_len` linear bytes and `data_len` bytes in further frames, all
/// rubbish until written (skb_store_bits). Null if the pool has not enough frames; then it keeps none.
[[nodiscard]] inline sk_buff* alloc_skb_with_frags(skb_pool& pool, u32 headroom, u32 header_len, u32 data_len,
                                                   skb_pool::site at = skb_pool::site::current()) {
  sk_buff* skb = pool.alloc_skb(headroom, at);
  if (!skb) return nullptr;
  skb->put(header_len);
  if (detail::add_data_frames(*skb, data_len, at)) return skb;
  consume_skb(*skb);
  return nullptr;
}

}  // namespace netstack
