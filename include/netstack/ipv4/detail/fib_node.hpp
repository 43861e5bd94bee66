// SPDX-License-Identifier: BSL-1.0
// Decides: how the forwarding trie is written in memory: prefixes, the 64-bit entry that stands for a subtree, the node
// with its three maps, and how their ones are counted. What they mean is told in ipv4/fib_trie.
// rx, tx: read by ipv4/fib_trie
#pragma once
#include <bit>

#include "netstack/base/config.hpp"

namespace netstack {

/// A prefix in host order; bits of key beyond len are zero.
struct fib_prefix {
  u32 key = 0;
  u8 len = 0;
  friend constexpr bool operator==(fib_prefix, fib_prefix) = default;
};

/// The mask of a prefix length 0–32, in host order.
constexpr u32 fib_mask(unsigned len) { return len == 0 ? 0 : ~u32{0} << (32 - len); }

namespace detail {

/// Ones in x. Where the target lacks the instruction, g++ would call a function for it.
NETSTACK_INLINE unsigned ones(u64 x) {
#if defined(__x86_64__) && !defined(__POPCNT__)
  x -= x >> 1 & 0x5555'5555'5555'5555;
  x = (x & 0x3333'3333'3333'3333) + (x >> 2 & 0x3333'3333'3333'3333);
  x = (x + (x >> 4)) & 0x0f0f'0f0f'0f0f'0f0f;
  return static_cast<unsigned>(x * 0x0101'0101'0101'0101 >> 56);
#else
  return static_cast<unsigned>(std::popcount(x));
#endif
}

/// What stands for a subtree; 0: nothing does. From the low end: 6 bits that say which bits of an address the key
/// decides, the node flag, a 21-bit index, 4 zeros, the 32-bit key. `distance` is all that a lookup needs: one shift,
/// by what already lies where the processor takes it from.
struct fib_entry {
  static constexpr u32 max_index = (1U << 21) - 1;
  u64 raw = 0;

  static constexpr fib_entry node(u32 key, unsigned shift, u32 line) {
    return {u64{key & fib_mask(shift)} << 32 | u64{line} << 7 | 1U << 6 | (30 - shift)};
  }
  static constexpr fib_entry leaf(fib_prefix p, u32 value) {
    return {u64{p.key} << 32 | u64{value} << 7 | (36U - p.len)};
  }

  [[nodiscard]] constexpr bool is_node() const { return raw >> 6 & 1; }
  [[nodiscard]] constexpr u32 key() const { return static_cast<u32>(raw >> 32); }
  /// Of a leaf, the length of its prefix; of a node, the number of bits above it.
  [[nodiscard]] constexpr unsigned len() const { return (is_node() ? 30 : 36) - static_cast<unsigned>(raw & 63); }
  /// Of a leaf, the value; of a node, its line.
  [[nodiscard]] constexpr u32 index() const { return static_cast<u32>(raw) >> 7; }
  /// Of a leaf, 0 if its prefix contains the address. Of a node, its slot for the address, or more than 63 if it has
  /// none. `addr4`: the address shifted left by 4.
  [[nodiscard]] constexpr u64 distance(u64 addr4) const { return (addr4 ^ raw >> 28) >> (raw & 63); }
  [[nodiscard]] constexpr bool contains(u32 addr) const { return u64{addr ^ key()} >> (32 - len()) == 0; }
};

/// The head of a node; entries and values follow it.
struct fib_node {
  u64 child;
  u64 has;
  u64 run;
  u8 children;  // ones in child
  u8 lines;     // of its block
  u8 unused[6];

  [[nodiscard]] u64* entries() { return reinterpret_cast<u64*>(this + 1); }
  [[nodiscard]] u64 const* entries() const { return reinterpret_cast<u64 const*>(this + 1); }
  [[nodiscard]] u32* values() { return reinterpret_cast<u32*>(entries() + children); }
  [[nodiscard]] u32 const* values() const { return reinterpret_cast<u32 const*>(entries() + children); }
};
static_assert(sizeof(fib_node) == 32);

/// A node unpacked, for changing it.
struct fib_image {
  u64 entry[64] = {};
  u32 value[64] = {};
};

}  // namespace detail

}  // namespace netstack
