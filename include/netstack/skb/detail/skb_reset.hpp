// SPDX-License-Identifier: BSL-1.0
// Decides: which bytes of an sk_buff alloc and free read and write: these few stores are most of what a packet costs,
// so members that a fresh packet needs lie in aligned groups of 16 bytes, each written by one store. On the free list
// an sk_buff keeps head, end, pool and frame, its third line is zero and its shared info is clean; alloc writes
// everything else but cb. Who frees a list waits for each link and has time for stores, so the third line is cleared
// then.
// Linux: net/core/skbuff.c (__build_skb_around, skb_release_data)
#pragma once
#include <array>
#include <bit>
#include <cstring>

#include "netstack/skb/sk_buff.hpp"

namespace netstack::detail {

typedef u64 two_words __attribute__((vector_size(16), may_alias));
typedef u64 four_words __attribute__((vector_size(32), may_alias, aligned(16)));
typedef u32 any_u32 __attribute__((may_alias));
typedef u64 any_u64 __attribute__((may_alias));

NETSTACK_INLINE void store_pair(void* to, u64 first, u64 second) {
  *static_cast<two_words*>(to) = two_words{first, second};
}

/// The last 4 bytes of the second cache line: who holds the sk_buff, and where it lies.
struct skb_hold_group {
  u16 users;
  u8 fclone_and_shinfo_used;
  skb_slot slot_kind;
};
inline constexpr u8 shinfo_used_bit = 4;  // beside the two of fclone
/// Its last 16.
struct skb_tail_group {
  u32 csum = 0;
  u16 csum_start = 0, csum_offset = 0, mac_header = skb_header_unset, mac_len = 0;
  skb_hold_group hold{1, 0, skb_slot::first};
};
inline constexpr auto fresh_tail = std::bit_cast<std::array<u64, 2>>(skb_tail_group{});
inline constexpr auto sole_user = std::bit_cast<u32>(skb_hold_group{1, 0, skb_slot::first});
inline constexpr auto sole_companion = std::bit_cast<u32>(skb_hold_group{1, 2, skb_slot::companion});
inline constexpr auto nobody = std::bit_cast<u32>(skb_hold_group{0, 0, skb_slot::free});
inline constexpr auto on_loan = std::bit_cast<u32>(skb_hold_group{0, 0, skb_slot::lent});

static_assert(offsetof(sk_buff, data) % 16 == 0 && offsetof(sk_buff, data_len) == offsetof(sk_buff, data) + 12);
static_assert(offsetof(sk_buff, dev) == offsetof(sk_buff, data) + 16 && offsetof(sk_buff, dev) + 32 == cache_line);
static_assert(offsetof(sk_buff, tail) % 16 == 0 && offsetof(sk_buff, destructor) == offsetof(sk_buff, tail) + 8);
static_assert(offsetof(sk_buff, csum) % 16 == 0 && offsetof(sk_buff, csum) + 16 == offsetof(sk_buff, tstamp));
static_assert(offsetof(sk_buff, mac_header) == offsetof(sk_buff, csum) + offsetof(skb_tail_group, mac_header) &&
              offsetof(sk_buff, users) == offsetof(sk_buff, csum) + offsetof(skb_tail_group, hold) &&
              offsetof(sk_buff, slot_kind) == offsetof(sk_buff, users) + 3);

/// Everything but next, prev (null already), head, end, pool, frame, cb, and the third line (zero already).
NETSTACK_INLINE void reset_skb(sk_buff& skb, u8* data, u32 truesize) {
  auto const at = reinterpret_cast<std::uintptr_t>(data);
  store_pair(&skb.data, at, 0);
  *reinterpret_cast<four_words*>(&skb.dev) = four_words{};
  skb.truesize = truesize;
  store_pair(&skb.tail, at, 0);
  store_pair(&skb.csum, fresh_tail[0], fresh_tail[1]);
}

/// One holder, no companion, and nobody wrote the shared info.
NETSTACK_INLINE bool is_plain_first(sk_buff const& skb) {
  return *reinterpret_cast<any_u32 const*>(&skb.users) == sole_user;
}
NETSTACK_INLINE bool sole_user_of_first_slot(sk_buff const& skb) {
  constexpr auto used = std::bit_cast<u32>(skb_hold_group{0, shinfo_used_bit, {}});
  return (*reinterpret_cast<any_u32 const*>(&skb.users) & ~used) == sole_user;
}
NETSTACK_INLINE bool sole_user_of_companion(sk_buff const& skb) {
  return *reinterpret_cast<any_u32 const*>(&skb.users) == sole_companion;
}
NETSTACK_INLINE void clear_third_line(sk_buff& skb) {
  *reinterpret_cast<four_words*>(&skb.tstamp) = four_words{};
  *(reinterpret_cast<four_words*>(&skb.tstamp) + 1) = four_words{};
}
NETSTACK_INLINE void mark_free(sk_buff& first) {
  *reinterpret_cast<any_u32*>(&first.users) = nobody;
  clear_third_line(first);
}
NETSTACK_INLINE void mark_lent(sk_buff& first) { *reinterpret_cast<any_u32*>(&first.users) = on_loan; }
/// Always in one store: free reads the group in one load, which a narrower store before it would hold up.
NETSTACK_INLINE void set_hold_group(sk_buff& skb, u16 users, u8 fclone, skb_slot kind) {
  *reinterpret_cast<any_u32*>(&skb.users) = std::bit_cast<u32>(skb_hold_group{users, fclone, kind});
}
NETSTACK_INLINE void mark_shinfo_used(sk_buff& first) {
  *reinterpret_cast<any_u32*>(&first.users) |= std::bit_cast<u32>(skb_hold_group{0, shinfo_used_bit, {}});
}
NETSTACK_INLINE void mark_shinfo_fresh(sk_buff& first) {
  *reinterpret_cast<any_u32*>(&first.users) &= ~std::bit_cast<u32>(skb_hold_group{0, shinfo_used_bit, {}});
}
NETSTACK_INLINE void change_fclone(sk_buff& first, u8 fclone) {
  auto& group = *reinterpret_cast<any_u32*>(&first.users);
  group = (group & ~std::bit_cast<u32>(skb_hold_group{0, 3, {}})) | std::bit_cast<u32>(skb_hold_group{0, fclone, {}});
}

static_assert(offsetof(skb_shared_info, gso_size) % 8 == 0 &&
              offsetof(skb_shared_info, gso_size) + 8 == offsetof(skb_shared_info, frag_list));

/// The shared info of a fresh packet: one reader, itself and its bytes held, nothing beyond the frame.
NETSTACK_INLINE bool shinfo_is_clean(skb_shared_info const& info) {
  u64 const gso_and_frags = *reinterpret_cast<any_u64 const*>(&info.gso_size);
  return info.dataref == 1 && info.holds == 2 &&
         (gso_and_frags | reinterpret_cast<std::uintptr_t>(info.frag_list)) == 0;
}
/// One less of those who read the payload only, by the word that shinfo_is_clean reads: a load waits for a shorter
/// store.
NETSTACK_INLINE void drop_payload_ref(skb_shared_info& info) {
  struct {
    u16 gso_size = 0, gso_segs = 0;
    u8 gso_type = 0, nr_frags = 0;
    u16 payload_refs = 1;
  } constexpr one;
  *reinterpret_cast<any_u64*>(&info.gso_size) -= std::bit_cast<u64>(one);
}
inline void clean_shinfo(skb_shared_info& info) {
  info.dataref = 1, info.holds = 2;
  info.gso_size = info.gso_segs = 0;
  info.gso_type = info.nr_frags = 0;
  info.payload_refs = 0;
  info.frag_list = nullptr;
}

}  // namespace netstack::detail
