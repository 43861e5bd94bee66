// SPDX-License-Identifier: BSL-1.0
// Decides: the order of a packet's bytes when they lie in several places: the linear area, then the frags, then each
// packet of the frag list the same way. Everything that reads or fills scattered data goes through for_each_piece.
// Linux: net/core/skbuff.c (skb_copy_bits, skb_store_bits), net/core/datagram.c (skb_copy_datagram_iter) [S39]
#pragma once
#include <algorithm>
#include <cstring>
#include <span>

#include "netstack/skb/skb_pool.hpp"

namespace netstack {

inline u8* skb_frag_address(sk_buff const& skb, skb_frag const& frag) {
  return skb.pool->frame_data(frag.frame) + frag.offset;
}

inline bool skb_has_frag_list(sk_buff const& skb) { return skb_shinfo(skb).frag_list != nullptr; }

/// `for (sk_buff& part : skb_walk_frags(skb))`: the packets of the frag list; the body may free or requeue part.
struct skb_frag_range {
  sk_buff* first;
  [[nodiscard]] skb_iterator begin() const { return {first, nullptr}; }
  [[nodiscard]] skb_iterator end() const { return {nullptr, nullptr}; }
};
inline skb_frag_range skb_walk_frags(sk_buff const& skb) { return {skb_shinfo(skb).frag_list}; }

namespace detail {

/// `skip` bytes are left out, then f sees `len` bytes; both count down over the pieces.
template <class F>
void walk_pieces(sk_buff const& skb, u32& skip, u32& len, F& f) {
  auto piece = [&](u8* at, u32 size) {
    if (skip >= size) {
      skip -= size;
      return;
    }
    u32 const n = std::min(size - skip, len);
    f(at + skip, n);
    skip = 0;
    len -= n;
  };
  piece(skb.data, skb.headlen());
  if (len == 0 || !skb.is_nonlinear()) return;
  auto const& info = skb_shinfo(skb);
  for (u32 i = 0; i < info.nr_frags && len; ++i) piece(skb_frag_address(skb, info.frags[i]), info.frags[i].size);
  for (sk_buff* part = info.frag_list; part && len; part = part->next) walk_pieces(*part, skip, len, f);
}

}  // namespace detail

/// Calls f(u8* bytes, u32 n) for each contiguous piece of the `len` bytes from `offset`, in order, none of them empty.
/// False, and no call, if the packet does not have them.
template <class F>
bool for_each_piece(sk_buff const& skb, u32 offset, u32 len, F f) {
  if (offset > skb.len || len > skb.len - offset) [[unlikely]]
    return false;
  if (len) detail::walk_pieces(skb, offset, len, f);
  BUG_ON(len != 0, "data_len beyond the frags");
  return true;
}

/// Copies `len` bytes from `offset` out of the packet; false, and nothing copied, if it does not have them.
[[nodiscard]] inline bool skb_copy_bits(sk_buff const& skb, u32 offset, void* to, u32 len) {
  auto* out = static_cast<u8*>(to);
  return for_each_piece(skb, offset, len, [&](u8 const* bytes, u32 n) {
    std::memcpy(out, bytes, n);
    out += n;
  });
}

/// Overwrites `len` bytes from `offset`; false, and nothing written, if the packet does not have them. Who writes sees
/// to it that nobody else reads them (skb_ensure_writable, skb_copy).
[[nodiscard]] inline bool skb_store_bits(sk_buff& skb, u32 offset, void const* from, u32 len) {
  auto const* in = static_cast<u8 const*>(from);
  return for_each_piece(skb, offset, len, [&](u8* bytes, u32 n) {
    std::memcpy(bytes, in, n);
    in += n;
  });
}

/// Copies what the packet has from `offset` on, as far as it goes into `to`; returns how many bytes.
inline u32 skb_copy_datagram(sk_buff const& skb, u32 offset, std::span<std::byte> to) {
  if (offset >= skb.len) return 0;
  auto const n = static_cast<u32>(std::min<std::size_t>(skb.len - offset, to.size()));
  BUG_ON(!skb_copy_bits(skb, offset, to.data(), n));
  return n;
}

/// The header at `offset`, in place if it is linear, else copied into `buffer`; null if the packet is too short. For
/// reading only.
template <class Header>
[[nodiscard]] Header const* skb_header_pointer(sk_buff const& skb, u32 offset, Header& buffer) {
  static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
  if (skb.headlen() >= u64{offset} + sizeof(Header)) [[likely]]
    return reinterpret_cast<Header const*>(skb.data + offset);
  return skb_copy_bits(skb, offset, &buffer, static_cast<u32>(sizeof(Header))) ? &buffer : nullptr;
}

}  // namespace netstack
