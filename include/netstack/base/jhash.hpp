// SPDX-License-Identifier: BSL-1.0
// Decides: the hash of one to three 32-bit words, for tables whose keys no stranger chooses (routes, devices).
// Linux's names, an own design: xor-shift-multiply rounds over 64 bits, each a bijection, so one-
// and two-word keys never collide before the result is cut to 32 bits. Whoever can choose keys can find collisions:
// tables that strangers fill use siphash.
// Linux: include/linux/jhash.h
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

namespace detail {
// Odd, with about as many ones as zeros: multiples of them spread low input bits over all upper ones.
inline constexpr u64 jhash_k0 = 0xd6e8feb86659fd93;
inline constexpr u64 jhash_k1 = 0xa0761d6478bd642f;

constexpr u64 jhash_round(u64 h, u64 k) {
  h = (h ^ h >> 32) * k;
  return h ^ h >> 29;
}
constexpr u32 jhash_final(u64 h) {
  h = jhash_round(jhash_round(h, jhash_k0), jhash_k1);
  return static_cast<u32>(h >> 32);
}
constexpr u64 jhash_pair(u32 low, u32 high) { return u64{high} << 32 | low; }
}  // namespace detail

/// The same words and `initval` give the same hash in every build; all 32 bits are usable, so a table may mask.
constexpr u32 jhash_3words(u32 a, u32 b, u32 c, u32 initval) {
  return detail::jhash_final(detail::jhash_round(detail::jhash_pair(a, b), detail::jhash_k1) ^
                             detail::jhash_pair(c, initval));
}
constexpr u32 jhash_2words(u32 a, u32 b, u32 initval) { return jhash_3words(a, b, 0x9e3779b9U, initval); }
constexpr u32 jhash_1word(u32 a, u32 initval) { return jhash_2words(a, 0x7f4a7c15U, initval); }

}  // namespace netstack
