// SPDX-License-Identifier: BSL-1.0
// Decides: how one packet becomes two and two become one without copying what lies in frags: both refer to the frame,
// or the one hands its frame to the other. [S39] [S46]
// rx: skb_try_coalesce, called by tcp_queue_rcv and GRO; tx: skb_split, for who cuts a packet without copying it
// Linux: net/core/skbuff.c (skb_split, skb_try_coalesce)
#pragma once
#include "netstack/skb/skb_pull.hpp"

namespace netstack {

namespace detail {

/// The linear bytes from `len` on are copied, all frags and the frag list change hands.
inline void split_in_header(sk_buff& skb, sk_buff& skb1, u32 len) {
  auto& info = skb_edit_shinfo(skb);
  auto& info1 = skb_edit_shinfo(skb1);
  u32 const moved = skb.headlen() - len;
  std::memcpy(skb1.put(moved), skb.data + len, moved);
  std::copy_n(info.frags, info.nr_frags, info1.frags);
  info1.nr_frags = std::exchange(info.nr_frags, u8{0});
  info1.frag_list = std::exchange(info.frag_list, nullptr);
  skb1.len += skb.data_len;
  skb1.data_len = std::exchange(skb.data_len, 0);
  skb.tail = skb.data + len;
}

/// The linear bytes stay, and `keep` of the frags; a frag that is cut belongs to both.
inline void split_frags(sk_buff& skb, sk_buff& skb1, u32 keep) {
  auto& info = skb_edit_shinfo(skb);
  auto& info1 = skb_edit_shinfo(skb1);
  u8 kept = 0;
  for (u32 i = 0; i < info.nr_frags; ++i) {
    auto const frag = info.frags[i];
    u32 const here = std::min(keep, frag.size);
    keep -= here;
    if (here) info.frags[kept++].size = here;
    if (here == frag.size) continue;
    if (here) skb.pool->get_frame(frag.frame);
    info1.frags[info1.nr_frags++] = {frag.frame, frag.offset + here, frag.size - here};
  }
  info.nr_frags = kept;
}

/// The first `keep` bytes of the frag list stay; a packet of it that is cut is cloned, so that both have it.
inline result<void> split_frag_list(sk_buff& skb, sk_buff& skb1, u32 keep, skb_pool::site at) {
  sk_buff** link = &skb_edit_shinfo(skb).frag_list;
  while (*link && keep) {
    sk_buff* part = own_part(**link, at);
    if (!part) return failure{std::errc::not_enough_memory};
    if (part != *link) consume_skb(*std::exchange(*link, part));
    if (keep < part->len) {
      sk_buff* behind = skb_clone(*part, at);
      if (!behind) return failure{std::errc::not_enough_memory};
      auto cut = pskb_pull(*behind, keep, at) ? pskb_trim(*part, keep, at)
                                              : result<void>{failure{std::errc::not_enough_memory}};
      if (!cut) {
        consume_skb(*behind);
        return cut;
      }
      behind->next = part->next;
      part->next = behind;
    }
    keep -= part->len;
    link = &part->next;
  }
  skb_edit_shinfo(skb1).frag_list = std::exchange(*link, nullptr);
  return {};
}

}  // namespace detail

/// Moves everything from byte `len` on to `skb1`, an empty packet of the same pool. truesize of both is the caller's to
/// move, together with what their owner was charged. Error: no_buffer_space if skb1 has no room for the linear bytes;
/// not_enough_memory.
inline result<void> skb_split(sk_buff& skb, sk_buff& skb1, u32 len, skb_pool::site at = skb_pool::site::current()) {
  BUG_ON(skb1.len != 0 || skb1.pool != skb.pool || len > skb.len,
         "skb_split into a packet with data, or beyond the end");
  if (auto own = skb_unclone(skb, at); !own) return own;
  u32 const linear = skb.headlen();
  if (len < linear) {
    if (linear - len > skb1.tailroom()) return failure{std::errc::no_buffer_space};
    detail::split_in_header(skb, skb1, len);
  } else {
    u32 const in_frags = detail::frag_bytes(skb_shinfo(skb)), keep = len - linear;
    if (auto cut = detail::split_frag_list(skb, skb1, keep - std::min(keep, in_frags), at); !cut) return cut;
    detail::split_frags(skb, skb1, std::min(keep, in_frags));
    skb1.len = skb1.data_len = skb.len - len;
    skb.data_len = keep;
  }
  skb.len = len;
  return {};
}

/// Appends the data of `from` to `to` by reference, or by a copy if it fits into to's tailroom. True: `from` is as it
/// was, and the caller consumes it now; `delta_truesize`, added to to.truesize already, is what to's owner is still to
/// be charged. False, and no change: `to` is cloned, from's linear bytes have other readers, there is a frag list, or
/// there are not enough frags left.
[[nodiscard]] inline bool skb_try_coalesce(sk_buff& to, sk_buff& from, s32& delta_truesize) {
  delta_truesize = 0;
  if (skb_cloned(to) || skb_shared(to)) return false;
  u32 const len = from.len;
  if (len == 0) return true;
  if (len <= to.tailroom()) {
    BUG_ON(!skb_copy_bits(from, 0, to.put(len), len));
    return true;
  }
  auto const &had = skb_shinfo(to), &more = skb_shinfo(from);
  u32 const head = from.headlen() ? 1 : 0;
  if (to.pool != from.pool || had.frag_list || more.frag_list || had.nr_frags + more.nr_frags + head > max_skb_frags)
    return false;
  // A reader of from's linear bytes could believe later that it is alone with them, and write.
  if (head && (skb_shared(from) || skb_cloned(from))) return false;

  auto& info = skb_edit_shinfo(to);
  auto append = [&](skb_frag const& frag) {
    to.pool->get_frame(frag.frame);
    info.frags[info.nr_frags++] = frag;
  };
  if (head) append({from.frame, from.headroom(), from.headlen()});
  for (u32 i = 0; i < more.nr_frags; ++i) append(more.frags[i]);
  to.len += len;
  to.data_len += len;
  delta_truesize = static_cast<s32>(head ? from.truesize : from.truesize - from.pool->frame_truesize());
  to.truesize += static_cast<u32>(delta_truesize);
  return true;
}

}  // namespace netstack
