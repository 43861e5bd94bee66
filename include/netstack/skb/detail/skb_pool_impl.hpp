// SPDX-License-Identifier: BSL-1.0
// Decides: the parts of skb_pool that are not on every packet's way: fresh slots, bursts, clones, and what is returned
// when by a packet that was shared. Included by skb_pool.hpp only.
// Linux: net/core/skbuff.c (skb_release_data, kfree_skbmem, __skb_clone)
#pragma once
#include <algorithm>
#include <utility>

#include "netstack/skb/skb_pool.hpp"

namespace netstack {

/// The next pair that was never used: only here is its memory touched for the first time.
sk_buff* skb_pool::fresh_pair() {
  if (fresh_pair_ == nr_frames_) {
    ++alloc_failures;
    return nullptr;
  }
  u32 const frame = fresh_pair_++;
  sk_buff& first = pair(frame);
  asan_unpoison(frame_data(frame), frame_size());
  first.prev = nullptr;
  first.pool = this;
  detail::clear_third_line(first);
  own_frame(first, frame);
  companion(frame).users = 0;
  detail::clean_shinfo(shinfo_of(first));
  if constexpr (asan_enabled) {
    asan_poison(&companion(frame), slot_size_);
    if (fresh_pair_ != nr_frames_) asan_poison(frame_data(fresh_pair_), frame_size());  // a guard behind the newest
  }
  return &first;
}

template <class Fill>
NETSTACK_INLINE u32 skb_pool::alloc_bulk(u32 n, skb_list& list, Fill&& fill, site at) {
  auto const whole = [&](sk_buff& skb, u8* data, u32, u32 truesize) NETSTACK_INLINE_LAMBDA {
    complete(skb, data, truesize);
    fill(skb, data);
    return true;
  };
  return alloc_bulk_while(n, list, whole, at);
}
template <class Fill>
NETSTACK_INLINE u32 skb_pool::alloc_bulk_while(u32 n, skb_list& list, Fill&& fill, site at) {
  u32 got = 0;
  bool more = true;
  if (plain_) {
    // The free list is linked already: its first n packets become the burst.
    u32 const headroom = headroom_, truesize = truesize_;
    if (truesize == 0) __builtin_unreachable();
    sk_buff* const first = free_pairs_;
    sk_buff* last = nullptr;
    sk_buff* skb = first;
    while (skb) {
      more = got != n && fill(*skb, skb->head + headroom, got, truesize);
      if (!more) break;
      last = skb;
      skb = skb->next;
      ++got;
    }
    if (last) {
      free_pairs_ = skb;
      last->next = nullptr;
      in_use_ += got;
      list.push_chain(*first, *last, got);
    }
  }
  while (more && got < n) {
    sk_buff* skb = alloc_skb(headroom_, at);
    if (!skb) {
      alloc_failures += n - got - 1;
      break;
    }
    if (!fill(*skb, skb->data, got, u32{0})) {
      free_skb(*skb);
      break;
    }
    list.push_back(*skb);
    ++got;
  }
  return got;
}

template <class Leave, class Settle>
NETSTACK_INLINE void skb_pool::free_bulk(skb_list& list, Leave&& leave, Settle&& settle) {
  if constexpr (asan_enabled) {
    while (sk_buff* skb = list.pop_front()) leave(*skb), free_skb(*skb);
    return;
  }
  // The burst is linked already: what is simple stays in it and becomes the top of the free list.
  sk_buff* first = list.first;
  list = {};
  sk_buff* last = nullptr;
  u32 simple = 0;
  for (sk_buff* skb = first; skb;) {
    sk_buff* const following = skb->next;
    leave(*skb);
    if (is_simple(*skb)) [[likely]] {
      settle(*skb);
      detail::mark_free(*skb);
      last = skb;
      ++simple;
    } else {
      (last ? last->next : first) = following;
      skb->next = nullptr;
      free_slow(*skb);
    }
    skb = following;
  }
  if (last) {
    last->next = free_pairs_;
    free_pairs_ = first;
    in_use_ -= simple;
  }
}

inline u32 skb_pool::alloc_frame(site at) {
  sk_buff* first = take_pair();
  if (!first) return no_frame;
  auto& info = shinfo_of(*first);
  info.dataref = 0, info.holds = 1;
  first->users = 0;
  first->slot_kind = skb_slot::first;
  if (debug_) note(*first, at);
  return first->frame;
}

inline sk_buff& skb_pool::build_skb(u32 frame, u32 headroom, site at) {
  BUG_ON(is_free(frame), "build_skb of a free frame");
  auto& first = pair(frame);
  auto& info = shinfo_of(first);
  BUG_ON(info.dataref != 0 || info.holds != 1 || is_alive(first), "build_skb of a frame in use");
  asan_unpoison(&first, slot_size_);
  detail::clean_shinfo(info);
  own_frame(first, frame);
  first.next = first.prev = nullptr;
  prepare(first, headroom, at);
  return first;
}

inline void skb_pool::return_all_lent(void const* from) {
  for (u32 frame = 0; frame < fresh_pair_; ++frame)
    if (is_lent_to(frame, from)) return_lent(frame, from);
}

/// A clone of a packet that is still there: what a sender's segment is when the driver is done with it. `first`: of the
/// pair that its frame belongs to.
inline bool skb_pool::is_lone_companion(sk_buff const& skb, sk_buff& first) const {
  return detail::sole_user_of_companion(skb) && skb.pool == this && &companion_of(first) == &skb && !skb.nohdr &&
         (!skb.dst || skb.dst_noref) && shinfo_of(first).dataref >= 2;
}
/// Its owner has its memory back already.
inline void skb_pool::put_companion(sk_buff& skb, sk_buff& first) {
  auto& info = shinfo_of(first);
  --info.dataref, --info.holds;
  skb.users = 0;
  set_fclone(first, 0);
  asan_poison(&skb, slot_size_);
}
template <class Settle>
NETSTACK_INLINE bool skb_pool::free_companion(sk_buff& skb, Settle&& settle) {
  sk_buff& first = pair(skb.frame);
  if (!is_lone_companion(skb, first)) return false;
  settle(skb);
  put_companion(skb, first);
  return true;
}

inline bool skb_pool::free_companion(sk_buff& skb) { return free_companion(skb, skb_run_destructor); }

void skb_pool::free_slow(sk_buff& skb) {
  if (skb.pool != this) return skb.pool->free_skb(skb);
  if (free_companion(skb)) return;
  BUG_ON(skb.users == 0, "packet freed twice");
  if (--skb.users != 0) return;
  skb_dst_drop(skb);
  skb_orphan(skb);
  put_data(skb);
  put_slot(skb);
}

/// The packet stops looking at its frame; the last one to do so drops what lies beyond it.
inline void skb_pool::put_data(sk_buff& skb) {
  auto& info = edit_shinfo(skb.frame);
  drop_payload_ref(skb);
  if (--info.dataref != 0) return;
  drop_frags(info);
  put_hold(skb.frame);
}

inline void skb_pool::put_slot(sk_buff& skb) {
  if (skb.slot_kind == skb_slot::frameless) {
    skb.next = free_clones_;
    free_clones_ = &skb;
    --clones_in_use_;
    asan_poison(&skb, slot_size_);
    return;
  }
  u32 const frame = home(skb);
  if (skb.slot_kind == skb_slot::companion) set_fclone(pair(frame), 0);
  asan_poison(&skb, slot_size_);
  put_hold(frame);
}

/// One reason less to keep the frame and its pair; the last returns them.
inline void skb_pool::put_hold(u32 frame) {
  auto& first = pair(frame);
  auto& info = shinfo_of(first);
  BUG_ON(info.holds == 0, "frame reference underflow");
  if (--info.holds != 0) return;
  detail::clean_shinfo(info);
  asan_unpoison(&first, slot_size_);
  own_frame(first, frame);
  put_pair(first);
}

inline void skb_pool::drop_frags(skb_shared_info& info) {
  u8 const n = info.nr_frags;
  info.nr_frags = 0;
  for (u8 i = 0; i < n; ++i) put_hold(info.frags[i].frame);
  for (sk_buff* skb = std::exchange(info.frag_list, nullptr); skb;) {
    sk_buff* const following = skb->next;
    skb->pool->free_skb(*skb);
    skb = following;
  }
}

inline sk_buff* skb_pool::take_clone() {
  sk_buff* n = free_clones_;
  if (n) {
    asan_unpoison(n, slot_size_);
    free_clones_ = n->next;
  } else {
    if (fresh_clone_ == nr_clones_) {
      ++clone_failures;
      return nullptr;
    }
    n = reinterpret_cast<sk_buff*>(clones_ + std::size_t{fresh_clone_++} * slot_size_);
  }
  ++clones_in_use_;
  return n;
}

inline sk_buff* skb_pool::skb_clone(sk_buff& skb, site at) {
  BUG_ON(skb.users == 0 || skb.pool != this, "clone of a free packet");
  bool const paired = skb.slot_kind <= skb_slot::moved && !skb.fclone;
  sk_buff* n = paired ? &companion(home(skb)) : take_clone();
  if (!n) return nullptr;
  asan_unpoison(n, slot_size_);
  // sk_buff, cb and extensions: whole cache lines.
  std::memcpy(static_cast<void*>(n), static_cast<void const*>(&skb), sizeof skb);
  for (std::size_t line = sizeof skb; line < slot_size_; line += cache_line)
    std::memcpy(reinterpret_cast<std::byte*>(n) + line, reinterpret_cast<std::byte*>(&skb) + line, cache_line);
  n->next = n->prev = nullptr;
  n->sk = nullptr;
  n->destructor = nullptr;
  n->cloned = 1;
  n->peeked = 0;
  n->nohdr = 0;
  n->hdr_len = skb.nohdr ? static_cast<u16>(skb.headroom()) : skb.hdr_len;
  detail::set_hold_group(*n, 1, paired ? 2 : 0, paired ? skb_slot::companion : skb_slot::frameless);
  skb.cloned = 1;
  if (paired) {
    set_fclone(skb, 1);
    ++shinfo_of(skb).holds;
  }
  if (n->dst && !n->dst_noref) ++detail::dst_ref_of(*n).refcnt;
  ++edit_shinfo(n->frame).dataref;
  if (debug_) [[unlikely]]
    note(*n, at);
  return n;
}

NETSTACK_INLINE sk_buff* skb_pool::clone_payload(sk_buff& skb) {
  BUG_ON(skb.users == 0 || skb.pool != this || skb.is_nonlinear(), "payload of a free or scattered packet");
  if (skb.slot_kind != skb_slot::first || skb.fclone != 0) [[unlikely]]
    return nullptr;
  sk_buff& n = companion_of(skb);
  asan_unpoison(&n, slot_size_);
  n.next = n.prev = nullptr;
  n.head = skb.head, n.end = skb.end;
  n.pool = this;
  n.frame = skb.frame;
  detail::reset_skb(n, skb.data, skb.truesize);
  detail::clear_third_line(n);
  if (!plain_) [[unlikely]]
    prepare_more(n, {});
  n.len = skb.len;
  n.tail = skb.tail;
  n.csum = skb.csum;
  n.ip_summed = skb.ip_summed;
  n.cloned = 1;
  n.hdr_len = skb.nohdr ? static_cast<u16>(skb.headroom()) : skb.hdr_len;
  detail::set_hold_group(n, 1, 2, skb_slot::companion);
  skb.cloned = 1;
  set_fclone(skb, 1);
  auto& info = shinfo_of(skb);
  ++info.holds, ++info.dataref;
  return &n;
}

inline void skb_pool::share_frags(skb_shared_info const& from, skb_shared_info& to) {
  std::copy_n(from.frags, from.nr_frags, to.frags);
  to.nr_frags = from.nr_frags, to.frag_list = from.frag_list;
  for (u32 i = 0; i < to.nr_frags; ++i) get_frame(to.frags[i].frame);
  for (sk_buff* part = to.frag_list; part; part = part->next) skb_get(*part);
}

inline void skb_pool::move_to_frame(sk_buff& skb, u32 frame) {
  auto& from = shinfo(skb.frame);
  auto& to = edit_shinfo(frame);
  BUG_ON(to.dataref != 0 || to.holds != 1, "move to a frame in use");
  to.dataref = 1;
  to.gso_size = from.gso_size, to.gso_segs = from.gso_segs, to.gso_type = from.gso_type;
  to.tskey = from.tskey, to.hwtstamp = from.hwtstamp;
  share_frags(from, to);
  put_data(skb);
  skb.frame = frame;
  skb.head = frame_data(frame);
  skb.end = skb.head + frame_size();
  skb.cloned = 0;
  skb.nohdr = 0;
  skb.hdr_len = 0;
  if (skb.slot_kind == skb_slot::first) skb.slot_kind = skb_slot::moved;
}

template <class F>
u32 skb_pool::report_leaks(F f) const {
  u32 n = 0;
  auto report = [&](skb_leak::kind what, sk_buff const& skb, u32 frame) {
    asan_unpoison(&skb, slot_size_);
    f(skb_leak{what, frame, debug_ ? skb.alloc_site : nullptr, debug_ ? skb.alloc_line : 0});
    ++n;
  };
  for (u32 frame = 0; frame < fresh_pair_; ++frame) {
    if (is_free(frame)) continue;
    auto& first = pair(frame);
    auto& second = companion(frame);
    if (is_alive(first)) report(skb_leak::kind::packet, first, first.frame);
    if (is_alive(second)) report(skb_leak::kind::clone, second, second.frame);
    if (!is_alive(first) && !is_alive(second) && shinfo(frame).dataref == 0)
      report(skb_leak::kind::frame, first, frame);
  }
  for (u32 i = 0; i < fresh_clone_; ++i) {
    auto& clone = *reinterpret_cast<sk_buff*>(clones_ + std::size_t{i} * slot_size_);
    if (is_alive(clone)) report(skb_leak::kind::clone, clone, clone.frame);
  }
  return n;
}

}  // namespace netstack
