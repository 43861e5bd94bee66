// SPDX-License-Identifier: BSL-1.0
// Decides: where packets live. Fixed at boot, one pool a worker, no heap: [S33] [S34] [S35] [S36] [S46] [S179]
//
//   frames   [frame 0][frame 1] …            one aligned region that a driver may register as its own (AF_XDP's UMEM)
//   pairs    [sk_buff, cb, ext | companion sk_buff, cb, ext | skb_shared_info] …    pair i describes frame i
//   clones   [sk_buff, cb, ext] …            frameless, for the second and later clones of one packet
//
// Frame ↔ pair by index, so a driver's completion finds its owner by address. `holds` keeps a frame and its pair from
// the free list, which they share: one for each living sk_buff of the pair, one for each frag that lies in the frame,
// and one for all sk_buffs whose linear area it is (dataref) together. Free pairs form a LIFO, so the working set stays
// in cache; pairs never used yet are not even linked, so an idle pool stays untouched zero pages. A packet is freed on
// the worker that owns the pool, so no count here is atomic.
// Linux: net/core/skbuff.c (alloc_skb, kfree_skb, skb_clone)
#pragma once
#include <cstring>

#include "netstack/base/asan.hpp"
#include "netstack/base/sizes.hpp"
#include "netstack/skb/detail/skb_reset.hpp"
#include "netstack/skb/sk_buff.hpp"
#include "netstack/skb/skb_dst.hpp"
#include "netstack/skb/skb_list.hpp"

namespace netstack {

/// Tells who answers for the packet's memory, if anybody does.
inline void skb_run_destructor(sk_buff& skb) {
  if (skb.destructor) skb.destructor(skb);
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

/// One packet, clone or bare frame that is in use: what report_leaks() shows.
struct skb_leak {
  enum class kind : u8 { packet, clone, frame } what;
  u32 frame;         ///< pool index of its bytes
  char const* file;  ///< who allocated it; null unless config.debug_leaks
  u32 line;
};

class skb_pool {
  sk_buff* free_pairs_ = nullptr;  // LIFO through next
  sk_buff* free_clones_ = nullptr;
  u32 in_use_ = 0;  // lent ones included
  u32 lent_ = 0;
  u32 fresh_pair_ = 0;  // pairs from here on were never used
  u32 fresh_clone_ = 0;
  u32 clones_in_use_ = 0;
  std::byte* frames_ = nullptr;
  std::byte* pairs_ = nullptr;
  std::byte* clones_ = nullptr;
  u32 frame_shift_ = 0;
  u32 slot_size_ = 0;
  u32 pair_size_ = 0;
  u32 truesize_ = 0;    // frame_size + pair_size
  u32 ext_offset_ = 0;  // of the extensions from their sk_buff
  u32 ext_bytes_ = 0;
  u32 nr_frames_ = 0;
  u32 nr_clones_ = 0;
  u32 headroom_ = 0;
  bool debug_ = false;
  bool plain_ = false;  // a fresh packet is complete with what detail::reset_skb writes

 public:
  using site = detail::code_site;

  /// Sockets whose writers are to be told that packets of theirs were freed: kept here by core/sock_mem.hpp, since a
  /// packet knows its pool and nothing else of its worker.
  struct {
    sock* first = nullptr;
    sock* last = nullptr;
    u32 count = 0;
  } writers;
  u64 alloc_failures = 0;  ///< packets and frames refused because every frame was in use
  u64 clone_failures = 0;
  static constexpr u32 no_frame = ~u32{0};

  skb_pool() = default;
  skb_pool(skb_pool const&) = delete;
  skb_pool& operator=(skb_pool const&) = delete;
#if defined(NETSTACK_ASAN)
  ~skb_pool() { unpoison_all(); }
#endif

  /// Every packet of an earlier life is forgotten. `storage` need not be zeroed, and only what is used of it is
  /// touched.
  template <config C, std::size_t Ext>
  void init(skb_pool_storage<C, Ext>& storage) {
    using S = skb_pool_storage<C, Ext>;
    unpoison_all();
    free_pairs_ = free_clones_ = nullptr;
    in_use_ = lent_ = clones_in_use_ = fresh_pair_ = fresh_clone_ = 0;
    alloc_failures = clone_failures = 0;
    writers = {};
    frames_ = storage.frames, pairs_ = storage.pairs, clones_ = storage.clones;
    frame_shift_ = static_cast<u32>(std::countr_zero(C.frame_size));
    slot_size_ = S::slot_size, pair_size_ = S::pair_size, truesize_ = C.frame_size + S::pair_size;
    ext_offset_ = sizeof(sk_buff) + C.cb, ext_bytes_ = Ext;
    nr_frames_ = C.skb_pool, nr_clones_ = C.skb_clones;
    headroom_ = C.headroom;
    debug_ = C.debug_leaks;
    plain_ = !asan_enabled && !debug_ && Ext == 0;
  }

  // --- geometry: what a driver needs to register the frames as its own -------------------------------------------
  [[nodiscard]] std::byte* frames() const { return frames_; }
  [[nodiscard]] u32 nr_frames() const { return nr_frames_; }
  [[nodiscard]] u32 frame_size() const { return u32{1} << frame_shift_; }
  [[nodiscard]] u32 rx_headroom() const { return headroom_; }
  [[nodiscard]] u32 ext_offset() const { return ext_offset_; }
  /// What one frame costs with its metadata: the truesize of a fresh packet, and of each frame that a frag adds.
  [[nodiscard]] u32 frame_truesize() const { return truesize_; }
  [[nodiscard]] u8* frame_data(u32 frame) const {
    return reinterpret_cast<u8*>(frames_ + (std::size_t{frame} << frame_shift_));
  }
  [[nodiscard]] u32 frame_of(void const* p) const {
    return static_cast<u32>(static_cast<std::size_t>(static_cast<std::byte const*>(p) - frames_) >> frame_shift_);
  }
  [[nodiscard]] sk_buff& pair(u32 frame) const {
    return *reinterpret_cast<sk_buff*>(pairs_ + std::size_t{frame} * pair_size_);
  }
  [[nodiscard]] sk_buff& companion(u32 frame) const { return companion_of(pair(frame)); }
  [[nodiscard]] skb_shared_info const& shinfo(u32 frame) const { return shinfo_of(pair(frame)); }
  /// The same for who will write it: the frame's packet will not be freed as one that nobody shared or extended.
  [[nodiscard]] NETSTACK_NO_ASAN skb_shared_info& edit_shinfo(u32 frame) const {
    detail::mark_shinfo_used(pair(frame));
    return shinfo_of(pair(frame));
  }
  /// … of a packet.
  [[nodiscard]] NETSTACK_INLINE skb_shared_info& edit_shinfo(sk_buff& skb) const {
    if (skb.slot_kind != skb_slot::first) [[unlikely]]
      return edit_shinfo(skb.frame);
    detail::mark_shinfo_used(skb);
    return shinfo_of(skb);
  }

  // --- balance ----------------------------------------------------------------------------------------------------
  /// Frames of packets and frags. What drivers have ready for frames to come is counted apart.
  [[nodiscard]] u32 in_use() const { return in_use_ - lent_; }
  [[nodiscard]] u32 lent() const { return lent_; }
  [[nodiscard]] u32 clones_in_use() const { return clones_in_use_; }
  [[nodiscard]] u32 available() const { return nr_frames_ - in_use_; }
  /// Most frames ever in use at once: a fresh one is taken only when all others are.
  [[nodiscard]] u32 high_water() const { return fresh_pair_; }

  // --- packets ----------------------------------------------------------------------------------------------------
  /// A packet with an empty linear area of a whole frame: data == tail == head + headroom. cb and the frame's bytes are
  /// rubbish, everything else is zero. Null, and alloc_failures + 1, when every frame is in use.
  [[nodiscard]] sk_buff* alloc_skb(u32 headroom, site at = site::current()) { return __alloc_skb(headroom, at); }
  /// The same, as part of its caller.
  [[nodiscard]] NETSTACK_INLINE sk_buff* __alloc_skb(u32 headroom, site at = site::current()) {
    sk_buff* skb = take_pair();
    if (skb) [[likely]] {
      skb->next = nullptr;
      prepare(*skb, headroom, at);
    }
    return skb;
  }
  [[nodiscard]] sk_buff* alloc_skb(site at = site::current()) { return alloc_skb(headroom_, at); }

  /// Appends up to n packets to the list, each with the pool's own headroom; returns how many there were. What is
  /// missing is counted in alloc_failures.
  u32 alloc_bulk(u32 n, skb_list& list, site at = site::current()) {
    return alloc_bulk(
        n, list, [](sk_buff&, u8*) {}, at);
  }
  /// The same, with fill(skb, skb.data) for each while it is at hand: what a driver does with one that has a frame.
  template <class Fill>
  u32 alloc_bulk(u32 n, skb_list& list, Fill&& fill, site at = site::current());
  /// The same for who writes most of a packet anyway: fill(skb, data, i, truesize) for the i-th, where a truesize that
  /// is not 0 says that complete() is still to be called, or done in other words. False: this one and the rest are not
  /// needed.
  template <class Fill>
  u32 alloc_bulk_while(u32 n, skb_list& list, Fill&& fill, site at = site::current());
  static NETSTACK_INLINE void complete(sk_buff& skb, u8* data, u32 truesize) {
    if (truesize != 0) detail::reset_skb(skb, data, truesize);
  }

  /// Lets go of one hold on the packet; the last returns the sk_buff, and the frame with the last user of its bytes.
  void free_skb(sk_buff& skb) {
    if (is_simple(skb) && !skb.destructor) [[likely]]
      put_pair(skb);
    else
      free_owned(skb);
  }
  /// The same, as part of its caller, with settle(skb) instead of the destructor if it is a simple one.
  template <class Settle>
  NETSTACK_INLINE void free_one(sk_buff& skb, Settle&& settle) {
    if constexpr (asan_enabled) BUG_ON(skb.users == 1 && skb.prev, "packet freed while queued");
    if (is_simple(skb)) [[likely]] {
      settle(skb);
      put_pair(skb);
    } else {
      free_other(skb);
    }
  }
  /// free_skb for each packet of the list, which is left empty.
  void free_bulk(skb_list& list) { free_bulk(list, skb_run_destructor); }
  /// The same, with settle(skb) instead of the destructor, if there is one: for who can do it for many at once.
  template <class Settle>
  void free_bulk(skb_list& list, Settle&& settle) {
    free_bulk(
        list, [](sk_buff&) {}, settle);
  }
  /// The same, with leave(skb) before each is looked at: what else there is to do for each, in one pass.
  template <class Leave, class Settle>
  void free_bulk(skb_list& list, Leave&& leave, Settle&& settle);
  void free_list(skb_list& list) { free_bulk(list); }
  /// A clone whose original is still there, as a sender keeps it; settle(skb) as above. False: it is another packet.
  template <class Settle>
  bool free_companion(sk_buff& skb, Settle&& settle);

  /// Another sk_buff that shares skb's data. The first clone takes the companion beside the original; null when the
  /// clone slots are used up. The clone has no owner socket (as in Linux: skb_clone drops sk and destructor).
  [[nodiscard]] sk_buff* skb_clone(sk_buff& skb, site at = site::current());

  /// The same for who sends the bytes of a linear packet under headers of its own: of what the packet knows only its
  /// payload and its checksum are taken over, and not its control block. Null: its companion is in use.
  [[nodiscard]] NETSTACK_INLINE sk_buff* clone_payload(sk_buff& skb);

  // --- frames without a packet: for frags, and for drivers that hand frames to hardware before they know the packet
  // ----
  /// A frame held by the caller, or no_frame (and alloc_failures + 1).
  [[nodiscard]] u32 alloc_frame(site at = site::current());
  /// One more reference to a frame's bytes, for a frag.
  void get_frame(u32 frame) {
    BUG_ON(is_free(frame), "get_frame of a free frame");
    ++edit_shinfo(frame).holds;
  }
  /// … of the frame of a packet at hand.
  void get_frame(sk_buff& skb) { ++edit_shinfo(skb).holds; }
  void put_frame(u32 frame) {
    BUG_ON(is_free(frame), "put_frame of a free frame");
    put_hold(frame);
  }
  /// Turns a frame that only the caller holds into a packet, as alloc_skb would have made it.
  [[nodiscard]] sk_buff& build_skb(u32 frame, u32 headroom, site at = site::current());

  // --- frames that hardware fills: whose a frame is, is written in its pair, and every step asks -------------------
  /// A frame for `to` (a driver's private area) to receive into, or no_frame (not a failure: it asks again).
  [[nodiscard]] u32 lend_frame(void const* to) {
    sk_buff* const first = available() != 0 ? take_pair() : nullptr;
    if (!first) [[unlikely]]
      return no_frame;
    detail::mark_lent(*first);
    first->prev = static_cast<sk_buff*>(const_cast<void*>(to));
    ++lent_;
    return first->frame;
  }
  /// A lent frame that came back filled, as a packet with data at `headroom`, nothing put yet.
  [[nodiscard]] sk_buff& receive_lent(u32 frame, void const* from, u32 headroom, site at = site::current()) {
    sk_buff& first = end_loan(frame, from);
    first.next = nullptr;
    prepare(first, headroom, at);
    return first;
  }
  /// The same as a frame that the caller holds (alloc_frame): the rest of a packet, as a frag.
  void claim_lent(u32 frame, void const* from) {
    sk_buff& first = end_loan(frame, from);
    auto& info = shinfo_of(first);
    info.dataref = 0, info.holds = 1;
    first.slot_kind = skb_slot::first;
  }
  /// A lent frame comes back unused.
  void return_lent(u32 frame, void const* from) { put_pair(end_loan(frame, from)); }
  /// Everything that `from` still has: its hardware is off.
  void return_all_lent(void const* from);

  // --- for the operations on whole packets (skb_copy.hpp and its neighbours) ----------------------------------------
  /// True if no other sk_buff and no frag looks at the bytes of the packet's linear area.
  [[nodiscard]] bool is_private(sk_buff const& skb) const {
    auto const& info = shinfo(skb.frame);
    return info.dataref == 1 && info.holds == 1U + is_alive(pair(skb.frame)) + is_alive(companion(skb.frame));
  }
  /// Makes `frame`, which only the caller holds, the packet's linear area. The bytes are the caller's to move: head,
  /// end and the shared info are set, data and tail are not. Frags and frag list move along, or are shared if the old
  /// frame has other readers.
  void move_to_frame(sk_buff& skb, u32 frame);
  /// `to` refers to the same frags and the same frag list as `from`, with holds of its own.
  void share_frags(skb_shared_info const& from, skb_shared_info& to);
  /// The packet reads its headers again: it is nohdr no longer. Its shared info may be a fresh one's again.
  void drop_payload_ref(sk_buff& skb) {
    if (!skb.nohdr) return;
    skb.nohdr = 0;
    sk_buff& first = skb.slot_kind == skb_slot::first ? skb : pair(skb.frame);
    auto& info = shinfo_of(first);
    detail::drop_payload_ref(info);
    if (detail::shinfo_is_clean(info)) detail::mark_shinfo_fresh(first);
  }
  /// cb and extensions.
  void copy_private(sk_buff& to, sk_buff const& from) const {
    std::memcpy(static_cast<void*>(&to + 1), static_cast<void const*>(&from + 1), ext_offset_ + ext_bytes_ - sizeof to);
  }

  /// Calls f(skb_leak const&) for every packet, clone and bare frame in use; returns how many there are.
  template <class F>
  u32 report_leaks(F f) const;

 private:
  [[nodiscard]] sk_buff& companion_of(sk_buff& first) const {
    return *reinterpret_cast<sk_buff*>(reinterpret_cast<std::byte*>(&first) + slot_size_);
  }
  [[nodiscard]] skb_shared_info& shinfo_of(sk_buff& first) const {
    return *reinterpret_cast<skb_shared_info*>(reinterpret_cast<std::byte*>(&first) + 2 * std::size_t{slot_size_});
  }
  /// The pair that an sk_buff belongs to; not for frameless ones. Dividing is for packets that moved to another frame.
  [[nodiscard]] u32 home(sk_buff const& skb) const {
    auto const at = static_cast<std::size_t>(reinterpret_cast<std::byte const*>(&skb) - pairs_);
    if (at - std::size_t{skb.frame} * pair_size_ < pair_size_) [[likely]]
      return skb.frame;
    return static_cast<u32>(at / pair_size_);
  }
  [[nodiscard]] NETSTACK_NO_ASAN bool is_free(u32 frame) const {
    return frame >= fresh_pair_ || pair(frame).slot_kind >= skb_slot::free;  // or lent
  }
  [[nodiscard]] NETSTACK_NO_ASAN bool is_lent_to(u32 frame, void const* to) const {
    return frame < fresh_pair_ && pair(frame).slot_kind == skb_slot::lent && pair(frame).prev == to;
  }
  [[nodiscard]] NETSTACK_NO_ASAN static bool is_alive(sk_buff const& skb) { return skb.users != 0; }
  NETSTACK_NO_ASAN static void set_fclone(sk_buff& skb, u8 fclone) { detail::change_fclone(skb, fclone); }

  /// The one hold on a packet that nobody shares, that refers to nothing, and whose shared info reads as a fresh one's.
  /// Loads only: a free need not write what alloc would write again.
  [[nodiscard]] bool is_simple(sk_buff& skb) const {
    bool const simple = detail::is_plain_first(skb) && skb.pool == this && (!skb.dst || skb.dst_noref);
    if constexpr (asan_enabled)
      BUG_ON(simple && !detail::shinfo_is_clean(shinfo_of(skb)), "shared info written without skb_edit_shinfo");
    return simple;
  }
  NETSTACK_NOINLINE void free_owned(sk_buff& skb) { free_one(skb, skb_run_destructor); }
  /// Apart: what it needs of the stack and of registers is not for the many that are simple.
  NETSTACK_NOINLINE void free_other(sk_buff& skb) {
    if (!free_companion(skb)) free_slow(skb);
  }
  NETSTACK_INLINE void prepare(sk_buff& skb, u32 headroom, site at) const {
    u8* const data = skb.head + headroom;
    BUG_ON(data > skb.end, "headroom beyond the frame");
    detail::reset_skb(skb, data, truesize_);
    if (!plain_) [[unlikely]]
      prepare_more(skb, at);
  }
  /// What only some compositions have: extensions, and who allocated the packet.
  void prepare_more(sk_buff& skb, site at) const {
    if (ext_bytes_ != 0) std::memset(reinterpret_cast<std::byte*>(&skb) + ext_offset_, 0, ext_bytes_);
    if constexpr (asan_enabled)  // so that a test sees who trusts what an earlier packet left
      std::memset(static_cast<void*>(&skb + 1), 0xa5, ext_offset_ - sizeof skb);
    if (debug_) note(skb, at);
  }
  static void note(sk_buff& skb, site at) { skb.alloc_site = at.file, skb.alloc_line = static_cast<u32>(at.line); }

  sk_buff& end_loan(u32 frame, void const* from) {
    BUG_ON(!is_lent_to(frame, from), "a frame that was not lent there came back");
    sk_buff& first = pair(frame);
    first.prev = nullptr;
    --lent_;
    return first;
  }
  [[nodiscard]] NETSTACK_INLINE sk_buff* take_pair() {
    sk_buff* skb = free_pairs_;
    if (skb) [[likely]] {
      unpoison_pair(*skb);
      free_pairs_ = skb->next;
    } else {
      skb = fresh_pair();
      if (!skb) return nullptr;
    }
    ++in_use_;
    return skb;
  }
  void put_pair(sk_buff& first) {
    detail::mark_free(first);
    first.next = free_pairs_;
    free_pairs_ = &first;
    --in_use_;
    poison_pair(first);
  }

  [[nodiscard]] NETSTACK_COLD inline sk_buff* fresh_pair();
  NETSTACK_NOINLINE inline void free_slow(sk_buff& skb);
  [[nodiscard]] inline bool is_lone_companion(sk_buff const& skb, sk_buff& first) const;
  inline void put_companion(sk_buff& skb, sk_buff& first);
  inline bool free_companion(sk_buff& skb);
  void put_data(sk_buff& skb);
  void put_slot(sk_buff& skb);
  void put_hold(u32 frame);
  void drop_frags(skb_shared_info& info);
  [[nodiscard]] sk_buff* take_clone();

  /// `first` goes back to the frame of its own pair.
  void own_frame(sk_buff& first, u32 frame) const {
    first.frame = frame;
    first.head = frame_data(frame);
    first.end = first.head + frame_size();
  }

  void poison_pair(sk_buff& first) const {
    asan_poison(frame_data(first.frame), frame_size());
    asan_poison(&first, pair_size_);
  }
  /// All but the companion, which skb_clone opens.
  void unpoison_pair(sk_buff& first) const {
    asan_unpoison(&first, slot_size_);
    asan_unpoison(&shinfo_of(first), sizeof(skb_shared_info));
    asan_unpoison(frame_data(first.frame), frame_size());
  }
  void unpoison_all() const {
    asan_unpoison(frames_, std::size_t{nr_frames_} << frame_shift_);
    asan_unpoison(pairs_, std::size_t{fresh_pair_} * pair_size_);
    asan_unpoison(clones_, std::size_t{fresh_clone_} * slot_size_);
  }
};

/// The packet's shared part.
inline skb_shared_info const& skb_shinfo(sk_buff const& skb) { return skb.pool->shinfo(skb.frame); }
NETSTACK_INLINE skb_shared_info& skb_edit_shinfo(sk_buff& skb) { return skb.pool->edit_shinfo(skb); }
/// True for a super-segment, to be cut into packets of gso_size bytes of payload each.
[[nodiscard]] NETSTACK_INLINE bool skb_is_gso(sk_buff const& skb) {
  // What nobody wrote need not be read: it lies a cache line away.
  return (skb.shinfo_used || skb.slot_kind != skb_slot::first) && skb_shinfo(skb).gso_size != 0;
}
inline sk_buff* skb_clone(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  return skb.pool->skb_clone(skb, at);
}
/// One more holder of this very sk_buff, who will consume_skb it too.
inline sk_buff& skb_get(sk_buff& skb) {
  BUG_ON(skb.users == 0, "hold on a free packet");
  ++skb.users;
  return skb;
}
/// Frees a packet that was handled without fault. A rejected one goes through kfree_skb(net, skb, reason).
inline void consume_skb(sk_buff& skb) { skb.pool->free_skb(skb); }
inline bool skb_shared(sk_buff const& skb) { return skb.users != 1; }
/// True when other sk_buffs look at the same bytes: copy before writing.
inline bool skb_cloned(sk_buff const& skb) { return skb.cloned && skb_shinfo(skb).dataref != 1; }
/// True when another sk_buff may read the bytes in front of the payload: copy before writing a header.
inline bool skb_header_cloned(sk_buff const& skb) {
  return skb.cloned && skb_shinfo(skb).dataref - skb_shinfo(skb).payload_refs != 1;
}
/// The packet will be read as payload only: a clone that its owner sends may write headers into the common headroom.
NETSTACK_INLINE void skb_header_release(sk_buff& skb) {
  if (skb.nohdr) return;
  skb.nohdr = 1;
  ++skb_edit_shinfo(skb).payload_refs;
}
/// One linear piece of at most `most` bytes with `room` in front, that nobody else holds or reads: its owner may write
/// headers.
NETSTACK_INLINE bool skb_is_own(sk_buff const& skb, u32 most, u32 room) {
  u64 lengths;  // of frags in the upper half
  std::memcpy(&lengths, static_cast<void const*>(&skb.len), sizeof lengths);
  return lengths <= most && skb.data - skb.head >= room &&
         (detail::is_plain_first(skb) || (!skb.cloned && detail::sole_user_of_first_slot(skb)));
}
/// Frees every packet of the queue.
inline void skb_queue_purge(sk_buff_head& queue) {
  while (sk_buff* skb = queue.dequeue()) consume_skb(*skb);
}

}  // namespace netstack

#include "netstack/skb/detail/skb_pool_impl.hpp"
