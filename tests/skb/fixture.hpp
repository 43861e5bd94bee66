// SPDX-License-Identifier: BSL-1.0
// What the skb tests share: a pool over memory full of rubbish, and a second opinion on what a packet contains.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "netstack/skb/skb_pool.hpp"
#include "support/catch.hpp"
#include "support/trapped.hpp"

namespace netstack::test {

inline constexpr config small{.skb_pool = 64, .skb_clones = 16};

/// A pool whose storage was never zeroed. Every packet must be back when it ends.
template <config C = small, std::size_t Ext = 0>
struct pool_of {
  using storage_type = skb_pool_storage<C, Ext>;
  std::unique_ptr<storage_type> storage = [] {
    void* memory = ::operator new (sizeof(storage_type), std::align_val_t{alignof(storage_type)});
    std::memset(memory, 0xcd, sizeof(storage_type));
    return std::unique_ptr<storage_type>(::new (memory) storage_type);
  }();
  skb_pool pool;

  pool_of() { pool.init(*storage); }
  ~pool_of() { CHECK(balanced()); }
  skb_pool* operator->() { return &pool; }
  operator skb_pool&() { return pool; }

  [[nodiscard]] bool balanced() const {
    return pool.in_use() == 0 && pool.clones_in_use() == 0 && pool.report_leaks([](skb_leak const&) {}) == 0;
  }
};

using bytes = std::vector<u8>;

/// n bytes that tell their place: a shift or a swap shows.
inline bytes pattern(std::size_t n, std::uint_fast32_t seed = 1) {
  std::minstd_rand random(seed);
  bytes b(n);
  for (auto& byte : b) byte = static_cast<u8>(random() >> 8);
  return b;
}

/// The packet's bytes, read by nothing that is under test.
inline void append_bytes(bytes& out, sk_buff const& skb) {
  out.insert(out.end(), skb.data, skb.tail);
  auto const& info = skb_shinfo(skb);
  for (u32 i = 0; i < info.nr_frags; ++i) {
    u8 const* at = skb.pool->frame_data(info.frags[i].frame) + info.frags[i].offset;
    out.insert(out.end(), at, at + info.frags[i].size);
  }
  for (sk_buff const* part = info.frag_list; part; part = part->next) append_bytes(out, *part);
}
inline bytes bytes_of(sk_buff const& skb) {
  bytes out;
  append_bytes(out, skb);
  return out;
}

/// What is always true of a living packet; empty if it is, else what is not.
inline std::string broken(sk_buff const& skb) {
  auto const& pool = *skb.pool;
  if (skb.users == 0) return "no users";
  if (skb.head != pool.frame_data(skb.frame) || skb.end != skb.head + pool.frame_size()) return "head or end";
  if (skb.head > skb.data || skb.data > skb.tail || skb.tail > skb.end) return "data or tail";
  if (skb.headlen() != static_cast<u32>(skb.tail - skb.data)) return "len - data_len is not the linear part";
  auto const& info = skb_shinfo(skb);
  if (info.dataref == 0 || info.holds == 0 || info.payload_refs > info.dataref) return "reference counts";
  if (info.nr_frags > max_skb_frags) return "nr_frags";
  u32 beyond = 0;
  for (u32 i = 0; i < info.nr_frags; ++i) {
    auto const& frag = info.frags[i];
    if (frag.frame >= pool.high_water() || frag.size == 0 || frag.offset + frag.size > pool.frame_size()) return "frag";
    if (pool.shinfo(frag.frame).holds == 0) return "frag in a free frame";
    beyond += frag.size;
  }
  for (sk_buff const* part = info.frag_list; part; part = part->next) {
    if (auto why = broken(*part); !why.empty()) return "frag list: " + why;
    beyond += part->len;
  }
  if (beyond != skb.data_len) return "data_len is not what lies beyond";
  return {};
}

inline sk_buff& new_skb(skb_pool& pool, bytes const& data = {}) {
  sk_buff* skb = pool.alloc_skb();
  REQUIRE(skb != nullptr);
  if (!data.empty()) std::memcpy(skb->put(static_cast<u32>(data.size())), data.data(), data.size());
  return *skb;
}

/// A packet with these bytes, cut and laid out at random: linear, frags (some of them in one frame), frag list, nested.
/// Null if the pool ran out.
inline sk_buff* scattered(skb_pool& pool, bytes const& data, std::mt19937& random, int depth = 2) {
  auto up_to = [&](u32 n) { return static_cast<u32>(random() % (n + 1)); };
  sk_buff* skb = pool.alloc_skb(64 + up_to(192));
  if (!skb) return nullptr;
  u32 at = 0;
  auto left = [&] { return static_cast<u32>(data.size()) - at; };
  u32 const linear = std::min(left(), up_to(300));
  if (linear) std::memcpy(skb->put(linear), data.data(), linear);
  at = linear;
  auto& info = skb_edit_shinfo(*skb);
  u32 const frags = up_to(5);
  while (left() && (info.nr_frags < frags || depth == 0)) {
    auto const* last = info.nr_frags ? &info.frags[info.nr_frags - 1] : nullptr;
    u32 frame = 0, offset = 0;
    if (last && up_to(1) && last->offset + last->size + 10 < pool.frame_size()) {
      frame = last->frame, offset = last->offset + last->size + up_to(9);
      pool.get_frame(frame);
    } else {
      frame = pool.alloc_frame(), offset = up_to(100);
      if (frame == skb_pool::no_frame) return consume_skb(*skb), nullptr;
      skb->truesize += pool.frame_truesize();
    }
    u32 const room = pool.frame_size() - offset;
    u32 const size = std::min({left(), room, depth ? 1 + up_to(700) : room});
    std::memcpy(pool.frame_data(frame) + offset, data.data() + at, size);
    info.frags[info.nr_frags++] = {frame, offset, size};
    skb->len += size, skb->data_len += size;
    at += size;
  }
  sk_buff** link = &info.frag_list;
  while (left()) {
    u32 const size = std::min(left(), 1 + up_to(2000));
    sk_buff* part = scattered(pool, {data.begin() + at, data.begin() + at + size}, random, depth - 1);
    if (!part) return consume_skb(*skb), nullptr;
    *link = part;
    link = &part->next;
    skb->len += size, skb->data_len += size, skb->truesize += part->truesize;
    at += size;
  }
  return skb;
}

}  // namespace netstack::test
