// SPDX-License-Identifier: BSL-1.0
// Decides: how scattered bytes come into the linear area, and how a packet is cut from behind. A layer that wants to
// read its header asks pskb_may_pull once; a packet of one linear piece passes with one compare. [S38] [S39]
// rx: called by ip_rcv, udp_rcv, … → calls skb_copy_bits
// Linux: net/core/skbuff.c (__pskb_pull_tail, ___pskb_trim), include/linux/skbuff.h (pskb_may_pull, skb_linearize)
#pragma once
#include "netstack/skb/skb_copy.hpp"

namespace netstack {

/// Drops n bytes from the front, wherever they lie; false, and no change, if the packet is shorter or the pool is
/// empty.
[[nodiscard]] inline bool pskb_pull(sk_buff& skb, u32 n, skb_pool::site at = skb_pool::site::current());
/// Cuts the packet to `len` bytes; no change if it is not longer. truesize stays, since the owner was charged for it.
inline result<void> pskb_trim(sk_buff& skb, u32 len, skb_pool::site at = skb_pool::site::current());

namespace detail {

inline u32 frag_bytes(skb_shared_info const& info) {
  u32 n = 0;
  for (u32 i = 0; i < info.nr_frags; ++i) n += info.frags[i].size;
  return n;
}

inline void free_chain(sk_buff* first) {
  for (sk_buff& part : skb_frag_range{first}) consume_skb(part);
}

/// Drops the first `n` bytes of the frags.
inline void eat_frags(sk_buff& skb, u32 n) {
  auto& info = skb_edit_shinfo(skb);
  u8 kept = 0;
  for (u32 i = 0; i < info.nr_frags; ++i) {
    auto frag = info.frags[i];
    u32 const eaten = std::min(n, frag.size);
    n -= eaten;
    frag.offset += eaten;
    frag.size -= eaten;
    if (frag.size)
      info.frags[kept++] = frag;
    else
      skb.pool->put_frame(frag.frame);
  }
  info.nr_frags = kept;
}

/// A packet of a frag list that only one list holds, in place of `part`, for which it is a clone if need be. The chain
/// behind it is the same. Null if the clones are used up.
inline sk_buff* own_part(sk_buff& part, skb_pool::site at) {
  if (!skb_shared(part)) return &part;
  sk_buff* n = skb_clone(part, at);
  if (n) n->next = part.next;
  return n;
}

/// Drops the first `n` bytes of the frag list. The chain may be shared, so none of its packets is written but one of
/// which part remains, and that one is made ours first: nothing after it can fail.
inline result<void> eat_frag_list(sk_buff& skb, u32 n, skb_pool::site at) {
  auto& info = skb_edit_shinfo(skb);
  sk_buff* cut = info.frag_list;
  for (; cut && n >= cut->len; cut = cut->next) n -= cut->len;
  sk_buff* rest = cut;
  if (cut && n) {
    rest = own_part(*cut, at);
    if (!rest) return failure{std::errc::not_enough_memory};
    if (!pskb_pull(*rest, n, at)) {
      if (rest != cut) consume_skb(*rest);
      return failure{std::errc::not_enough_memory};
    }
  }
  for (sk_buff* part = info.frag_list; part != cut;) consume_skb(*std::exchange(part, part->next));
  if (rest != cut) consume_skb(*cut);
  info.frag_list = rest;
  return {};
}

/// Moves the first `n` bytes beyond the linear area to its end.
inline result<void> pull_tail(sk_buff& skb, u32 n, skb_pool::site at) {
  BUG_ON(n > skb.data_len, "more pulled than the packet has");
  if (auto room = make_tailroom(skb, n, at); !room) return room;
  BUG_ON(!skb_copy_bits(skb, skb.headlen(), skb.tail, n));
  u32 const in_frags = std::min(n, frag_bytes(skb_shinfo(skb)));
  if (n > in_frags)
    if (auto eaten = eat_frag_list(skb, n - in_frags, at); !eaten) return eaten;
  eat_frags(skb, in_frags);
  skb.tail += n;
  skb.data_len -= n;
  return {};
}

/// Keeps the first `n` bytes of the frag list.
inline result<void> trim_frag_list(sk_buff& skb, u32 n, skb_pool::site at) {
  sk_buff** link = &skb_edit_shinfo(skb).frag_list;
  while (n) {
    // Each packet up to the cut must be ours: the one before it points at it.
    sk_buff* part = own_part(**link, at);
    if (!part) return failure{std::errc::not_enough_memory};
    if (part != *link) consume_skb(*std::exchange(*link, part));
    if (n < part->len)
      if (auto cut = pskb_trim(*part, n, at); !cut) return cut;
    n -= part->len;
    link = &part->next;
  }
  free_chain(std::exchange(*link, nullptr));
  return {};
}

inline result<void> trim_nonlinear(sk_buff& skb, u32 len, skb_pool::site at) {
  if (skb_cloned(skb))  // the others keep their frags
    if (auto own = relocate(skb, 0, at); !own) return own;
  auto& info = skb_edit_shinfo(skb);
  u32 const linear = std::min(len, skb.headlen());
  u32 const beyond = len - linear;
  u32 keep = std::min(beyond, frag_bytes(info));
  if (auto cut = trim_frag_list(skb, beyond - keep, at); !cut) return cut;
  u32 i = 0;
  for (; keep; ++i) {
    info.frags[i].size = std::min(info.frags[i].size, keep);
    keep -= info.frags[i].size;
  }
  while (info.nr_frags > i) skb.pool->put_frame(info.frags[--info.nr_frags].frame);
  skb.len = len;
  skb.data_len = beyond;
  skb.tail = skb.data + linear;
  return {};
}

}  // namespace detail

/// Moves `delta` bytes from beyond the linear area to its end; returns where they lie now, or null (and no change) if
/// they do not fit into the frame or the pool is empty. Pointers into the linear area are stale afterwards.
[[nodiscard]] inline u8* __pskb_pull_tail(sk_buff& skb, u32 delta, skb_pool::site at = skb_pool::site::current()) {
  return detail::pull_tail(skb, delta, at) ? skb.tail - delta : nullptr;
}

/// True if the first `len` bytes are linear now, and may be read in place.
[[nodiscard]] NETSTACK_INLINE bool pskb_may_pull(sk_buff& skb, u32 len, skb_pool::site at = skb_pool::site::current()) {
  if (len <= skb.headlen()) [[likely]]
    return true;
  return len <= skb.len && __pskb_pull_tail(skb, len - skb.headlen(), at);
}

inline bool pskb_pull(sk_buff& skb, u32 n, skb_pool::site at) { return pskb_may_pull(skb, n, at) && skb.pull(n); }

inline result<void> pskb_trim(sk_buff& skb, u32 len, skb_pool::site at) {
  if (len >= skb.len) return {};
  if (skb.is_nonlinear()) return detail::trim_nonlinear(skb, len, at);
  skb.trim(len);
  return {};
}

/// Makes the packet one linear piece. Error: no_buffer_space if it is larger than a frame; not_enough_memory.
inline result<void> skb_linearize(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  return skb.is_nonlinear() ? detail::pull_tail(skb, skb.data_len, at) : result<void>{};
}
/// … that may be written as well.
inline result<void> skb_linearize_cow(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  return skb.is_nonlinear() || skb_cloned(skb) ? detail::pull_tail(skb, skb.data_len, at) : result<void>{};
}

/// Makes the first `len` bytes linear and the packet's own: the way to write a header that somebody else may read too.
inline result<void> skb_ensure_writable(sk_buff& skb, u32 len, skb_pool::site at = skb_pool::site::current()) {
  if (len > skb.len) return failure{std::errc::invalid_argument};
  if (len > skb.headlen()) return detail::pull_tail(skb, len - skb.headlen(), at);
  return !skb_cloned(skb) || skb_clone_writable(skb, len) ? result<void>{} : pskb_expand_head(skb, 0, 0, at);
}

}  // namespace netstack
