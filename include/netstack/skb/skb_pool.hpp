// SPDX-License-Identifier: BSL-1.0
// Decides: where packets live. Fixed at boot, one pool a worker, no heap: [S33] [S34] [S35] [S36] [S46] [S179]
//
//   frames   [frame 0][frame 1] …            one aligned region that a driver may register as its own (AF_XDP's UMEM)
//   pairs    [sk_buff, cb, ext | companion sk_buff, cb, ext | skb_shared_info] …    pair i describes frame i
//   clones   [sk_buff, cb, ext] …            frameless, for the second and later clones of one packet
//
// Frame ↔ pair by index, so a driver's completion finds its owner by address. A frame is free when nobody uses its bytes
// (dataref 0) and neither sk_buff of its pair is alive. Free pairs form a LIFO, so the working set stays in cache; pairs
// never used yet are not even linked, so an idle pool stays untouched zero pages.
// A packet is freed on the worker that owns the pool, so no count here is atomic.
// Linux: net/core/skbuff.c (alloc_skb, kfree_skb, skb_clone)
#pragma once
#include "netstack/base/sizes.hpp"
#include "netstack/skb/sk_buff.hpp"
#include "netstack/skb/skb_list.hpp"

namespace netstack {

/// What a dst_entry starts with, as far as a packet must know to let go of it (core/dst.hpp). [S44]
struct dst_ref {
  u32 refcnt;
  void (*destroy)(dst_ref&);  ///< called when refcnt falls to 0
};

inline void skb_dst_drop(sk_buff& skb) {
  if (skb.dst && !skb.dst_noref) {
    auto& ref = *reinterpret_cast<dst_ref*>(skb.dst);
    if (--ref.refcnt == 0) ref.destroy(ref);
  }
  skb.dst = nullptr;
}

/// Detaches the packet from its socket: the destructor gives the memory back to the socket's account. [S42]
inline void skb_orphan(sk_buff& skb) {
  if (skb.destructor) {
    auto* destroy = skb.destructor;
    skb.destructor = nullptr;
    destroy(skb);
  }
  skb.sk = nullptr;
}

/// The bytes of one pool, as a compile-time layout: a worker holds one as a member, so sizeof is the bound.
template <config C, std::size_t ExtensionBytes>
struct skb_pool_storage {
  static constexpr std::size_t slot_size = (sizeof(sk_buff) + C.cb + ExtensionBytes + 63) / 64 * 64;
  static constexpr std::size_t pair_size = 2 * slot_size + (sizeof(skb_shared_info) + 63) / 64 * 64;
  alignas(C.huge_pages ? 2u << 20 : 4096u) std::byte frames[std::size_t{C.skb_pool} * C.frame_size];
  alignas(cache_line) std::byte pairs[std::size_t{C.skb_pool} * pair_size];
  alignas(cache_line) std::byte clones[(C.skb_clones + std::size_t{C.skb_clones == 0}) * slot_size];
};

class skb_pool {
  sk_buff* free_pairs_ = nullptr;   // LIFO through next
  sk_buff* free_clones_ = nullptr;
  u32 fresh_pair_ = 0;              // pairs from here on were never used
  u32 fresh_clone_ = 0;
  std::byte* frames_ = nullptr;
  std::byte* pairs_ = nullptr;
  std::byte* clones_ = nullptr;
  u32 frame_shift_ = 0;
  u32 slot_size_ = 0;
  u32 pair_size_ = 0;
  u32 nr_frames_ = 0;
  u32 nr_clones_ = 0;
  u32 in_use_ = 0;
  u32 clones_in_use_ = 0;
  u32 headroom_ = 0;
  bool debug_ = false;

 public:
  u64 alloc_failures = 0;  ///< times a packet was refused because every frame was in use
  u64 clone_failures = 0;
  u32 high_water = 0;

  skb_pool() = default;
  skb_pool(skb_pool const&) = delete;
  skb_pool& operator=(skb_pool const&) = delete;

  template <config C, std::size_t Ext>
  void init(skb_pool_storage<C, Ext>& storage) {
    using S = skb_pool_storage<C, Ext>;
    frames_ = storage.frames, pairs_ = storage.pairs, clones_ = storage.clones;
    frame_shift_ = static_cast<u32>(std::countr_zero(C.frame_size));
    slot_size_ = S::slot_size, pair_size_ = S::pair_size;
    nr_frames_ = C.skb_pool, nr_clones_ = C.skb_clones;
    headroom_ = C.headroom;
    debug_ = C.debug_leaks;
  }

  // --- geometry: what a driver needs to register the frames as its own -------------------------------------------
  [[nodiscard]] std::byte* frames() const { return frames_; }
  [[nodiscard]] u32 nr_frames() const { return nr_frames_; }
  [[nodiscard]] u32 frame_size() const { return u32{1} << frame_shift_; }
  [[nodiscard]] u32 rx_headroom() const { return headroom_; }
  [[nodiscard]] u8* frame_data(u32 frame) const { return reinterpret_cast<u8*>(frames_ + (std::size_t{frame} << frame_shift_)); }
  [[nodiscard]] u32 frame_of(void const* p) const {
    return static_cast<u32>(static_cast<std::size_t>(static_cast<std::byte const*>(p) - frames_) >> frame_shift_);
  }
  [[nodiscard]] sk_buff& pair(u32 frame) const { return *reinterpret_cast<sk_buff*>(pairs_ + std::size_t{frame} * pair_size_); }
  [[nodiscard]] sk_buff& companion(u32 frame) const {
    return *reinterpret_cast<sk_buff*>(pairs_ + std::size_t{frame} * pair_size_ + slot_size_);
  }
  [[nodiscard]] skb_shared_info& shinfo(u32 frame) const {
    return *reinterpret_cast<skb_shared_info*>(pairs_ + std::size_t{frame} * pair_size_ + 2 * std::size_t{slot_size_});
  }

  // --- balance ----------------------------------------------------------------------------------------------------
  [[nodiscard]] u32 in_use() const { return in_use_; }
  [[nodiscard]] u32 clones_in_use() const { return clones_in_use_; }
  [[nodiscard]] u32 available() const { return nr_frames_ - in_use_; }

  /// A packet with an empty linear area of a whole frame: data == tail == head, so reserve() comes next.
  /// Null, and alloc_failures + 1, when every frame is in use.
  [[nodiscard]] sk_buff* alloc_skb(u32 headroom) {
    sk_buff* skb = free_pairs_;
    if (skb) [[likely]] {
      free_pairs_ = skb->next;
    } else {
      if (fresh_pair_ == nr_frames_) [[unlikely]] {
        ++alloc_failures;
        return nullptr;
      }
      skb = &pair(fresh_pair_);
      skb->frame = fresh_pair_++;
    }
    u32 const frame = frame_of_pair(*skb);
    init_skb(*skb, frame, headroom);
    auto& info = shinfo(frame);
    info.dataref = 1, info.nr_frags = 0, info.gso_type = 0, info.gso_size = 0, info.gso_segs = 0, info.frag_list = nullptr;
    if (++in_use_ > high_water) high_water = in_use_;
    if (debug_) [[unlikely]]
      skb->alloc_site = __builtin_return_address(0);
    return skb;
  }
  [[nodiscard]] sk_buff* alloc_skb() { return alloc_skb(headroom_); }

  /// Lets go of one hold on the packet; the last returns the sk_buff, and the frame with the last user of its bytes.
  void free_skb(sk_buff& skb) {
    if (--skb.users != 0) [[unlikely]]
      return;
    release_state(skb);
    put_data(skb);
    put_slot(skb);
  }
  void free_list(skb_list& list) {
    while (sk_buff* skb = list.pop_front()) free_skb(*skb);
  }

  /// Another sk_buff that shares skb's data. The first clone takes the companion beside the original; null when the
  /// clone slots are used up. The clone has no owner socket (as in Linux: skb_clone drops sk and destructor).
  [[nodiscard]] sk_buff* skb_clone(sk_buff& skb);

  /// One more reference to a frame's bytes, for a frag.
  void get_frame(u32 frame) { ++shinfo(frame).dataref; }
  void put_frame(u32 frame) {
    auto& info = shinfo(frame);
    BUG_ON(info.dataref == 0, "frame reference underflow");
    if (--info.dataref == 0) {
      drop_frags(info);
      recycle(frame);
    }
  }

 private:
  static constexpr u16 users_free = 0;

  [[nodiscard]] u32 frame_of_pair(sk_buff const& skb) const {
    return static_cast<u32>(static_cast<std::size_t>(reinterpret_cast<std::byte const*>(&skb) - pairs_) / pair_size_);
  }

  void init_skb(sk_buff& skb, u32 frame, u32 headroom) {
    std::memset(static_cast<void*>(&skb), 0, sizeof skb);
    skb.pool = this;
    skb.frame = frame;
    skb.head = frame_data(frame);
    skb.end = skb.head + frame_size();
    skb.data = skb.tail = skb.head + headroom;
    skb.users = 1;
    skb.truesize = frame_size() + pair_size_;
  }

  static void release_state(sk_buff& skb) {
    skb_dst_drop(skb);
    if (skb.destructor) [[unlikely]]
      skb_orphan(skb);
  }

  void put_data(sk_buff& skb) {
    auto& info = shinfo(skb.frame);
    if (--info.dataref == 0) [[likely]] {
      if (info.nr_frags || info.frag_list) [[unlikely]]
        drop_frags(info);
      // The pair of this very frame is recycled by put_slot; another packet's frame is looked at here.
      if (skb.slot_kind == 2 || frame_of_pair(skb) != skb.frame) [[unlikely]]
        recycle(skb.frame);
    }
  }

  void put_slot(sk_buff& skb) {
    if (skb.slot_kind == 2) [[unlikely]] {
      skb.next = free_clones_;
      free_clones_ = &skb;
      --clones_in_use_;
      return;
    }
    recycle(frame_of_pair(skb));
  }

  /// Returns the pair to the free list if nothing of it is in use any more.
  void recycle(u32 frame) {
    auto& first = pair(frame);
    if (shinfo(frame).dataref != 0 || first.users != users_free || (first.fclone && companion(frame).users != users_free))
      return;
    first.fclone = 0;
    first.next = free_pairs_;
    free_pairs_ = &first;
    --in_use_;
  }

  void drop_frags(skb_shared_info& info) {
    for (u8 i = 0; i < info.nr_frags; ++i) put_frame(info.frags[i].frame);
    info.nr_frags = 0;
    for (sk_buff* skb = info.frag_list; skb;) {
      sk_buff* following = skb->next;
      free_skb(*skb);
      skb = following;
    }
    info.frag_list = nullptr;
  }
};

inline sk_buff* skb_pool::skb_clone(sk_buff& skb) {
  sk_buff* n = nullptr;
  u8 kind = 1;
  u32 const home = skb.slot_kind == 0 ? frame_of_pair(skb) : 0;
  if (skb.slot_kind == 0 && (!skb.fclone || companion(home).users == users_free)) {
    n = &companion(home);
    skb.fclone = 1;
  } else {
    kind = 2;
    n = free_clones_;
    if (n) {
      free_clones_ = n->next;
    } else {
      if (fresh_clone_ == nr_clones_) {
        ++clone_failures;
        return nullptr;
      }
      n = reinterpret_cast<sk_buff*>(clones_ + std::size_t{fresh_clone_++} * slot_size_);
    }
    ++clones_in_use_;
  }
  std::memcpy(static_cast<void*>(n), static_cast<void const*>(&skb), slot_size_);  // sk_buff, cb and extensions
  n->next = n->prev = nullptr;
  n->slot_kind = kind;
  n->fclone = kind == 1 ? 2 : 0;
  n->users = 1;
  n->sk = nullptr;
  n->destructor = nullptr;
  if (n->dst && !n->dst_noref) ++reinterpret_cast<dst_ref*>(n->dst)->refcnt;
  skb.cloned = n->cloned = 1;
  ++shinfo(skb.frame).dataref;
  return n;
}

/// The packet's shared part.
inline skb_shared_info& skb_shinfo(sk_buff& skb) { return skb.pool->shinfo(skb.frame); }
inline sk_buff* skb_clone(sk_buff& skb) { return skb.pool->skb_clone(skb); }
inline sk_buff& skb_get(sk_buff& skb) { return ++skb.users, skb; }
/// Frees a packet that was handled without fault. A rejected one goes through kfree_skb(net, skb, reason).
inline void consume_skb(sk_buff& skb) { skb.pool->free_skb(skb); }
inline bool skb_shared(sk_buff const& skb) { return skb.users != 1; }
/// True when other sk_buffs look at the same bytes: copy before writing.
inline bool skb_cloned(sk_buff const& skb) { return skb.cloned && skb.pool->shinfo(skb.frame).dataref != 1; }

}  // namespace netstack
