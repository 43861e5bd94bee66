// SPDX-License-Identifier: BSL-1.0
// Decides: the keyed hash for everything that strangers must not predict or flood: connection and fragment tables,
// sequence numbers, ports, IP ids, SYN cookies. siphash is SipHash-2-4; hsiphash is SipHash-1-3 cut to 32 bits, for
// hash tables, where only the order of a bucket is at stake. Numbers are hashed as their little-endian bytes.
// Linux: include/linux/siphash.h, lib/siphash.c; Aumasson, Bernstein: "SipHash: a fast short-input PRF" (2012)
#pragma once
#include <bit>
#include <cstring>
#include <type_traits>

#include "netstack/base/config.hpp"

namespace netstack {

/// 128 secret bits; from the boot seed, never all zero in production.
struct siphash_key_t {
  u64 key[2];
};

constexpr bool siphash_key_is_zero(siphash_key_t const& key) { return (key.key[0] | key.key[1]) == 0; }

namespace detail {

/// The paper's four words: C rounds for each message word, D at the end.
template <int C, int D>
struct sip_state {
  u64 v0, v1, v2, v3;

  // The constants spell "somepseudorandomlygeneratedbytes" (paper §2.1).
  constexpr explicit sip_state(siphash_key_t const& k)
      : v0(k.key[0] ^ 0x736f6d6570736575),
        v1(k.key[1] ^ 0x646f72616e646f6d),
        v2(k.key[0] ^ 0x6c7967656e657261),
        v3(k.key[1] ^ 0x7465646279746573) {}

  constexpr void round() {
    v0 += v1, v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0, v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1, v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2, v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  constexpr void absorb(u64 word) {
    v3 ^= word;
    for (int i = 0; i < C; ++i) round();
    v0 ^= word;
  }
  constexpr u64 finish(u64 last) {
    absorb(last);
    v2 ^= 0xff;
    for (int i = 0; i < D; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

/// Up to eight bytes as a little-endian number.
constexpr u64 sip_word(unsigned char const* p, std::size_t n) {
  u64 word = 0;
  if (n == 8 && std::endian::native == std::endian::little && !std::is_constant_evaluated()) {
    std::memcpy(&word, p, 8);  // one load; the loop below stays a loop at -O2
    return word;
  }
  for (std::size_t i = 0; i < n; ++i) word |= u64{p[i]} << 8 * i;
  return word;
}

template <int C, int D>
constexpr u64 sip_bytes(unsigned char const* data, std::size_t len, siphash_key_t const& key) {
  sip_state<C, D> state{key};
  std::size_t at = 0;
  for (; len - at >= 8; at += 8) state.absorb(sip_word(data + at, 8));
  return state.finish(u64{len} << 56 | sip_word(data + at, len - at));
}

/// Whole words, then `rest`, the last len % 8 bytes.
template <int C, int D, class... Words>
constexpr u64 sip_words(siphash_key_t const& key, std::size_t len, u64 rest, Words... words) {
  sip_state<C, D> state{key};
  (state.absorb(words), ...);
  return state.finish(u64{len} << 56 | rest);
}
constexpr u64 sip_pair(u32 first, u32 second) { return u64{second} << 32 | first; }

}  // namespace detail

constexpr u64 siphash(unsigned char const* data, std::size_t len, siphash_key_t const& key) {
  return detail::sip_bytes<2, 4>(data, len, key);
}
inline u64 siphash(void const* data, std::size_t len, siphash_key_t const& key) {
  return siphash(static_cast<unsigned char const*>(data), len, key);
}
constexpr u64 siphash_1u64(u64 a, siphash_key_t const& key) { return detail::sip_words<2, 4>(key, 8, 0, a); }
constexpr u64 siphash_2u64(u64 a, u64 b, siphash_key_t const& key) { return detail::sip_words<2, 4>(key, 16, 0, a, b); }
constexpr u64 siphash_3u64(u64 a, u64 b, u64 c, siphash_key_t const& key) {
  return detail::sip_words<2, 4>(key, 24, 0, a, b, c);
}
constexpr u64 siphash_4u64(u64 a, u64 b, u64 c, u64 d, siphash_key_t const& key) {
  return detail::sip_words<2, 4>(key, 32, 0, a, b, c, d);
}
constexpr u64 siphash_1u32(u32 a, siphash_key_t const& key) { return detail::sip_words<2, 4>(key, 4, a); }
constexpr u64 siphash_2u32(u32 a, u32 b, siphash_key_t const& key) { return siphash_1u64(detail::sip_pair(a, b), key); }
constexpr u64 siphash_3u32(u32 a, u32 b, u32 c, siphash_key_t const& key) {
  return detail::sip_words<2, 4>(key, 12, c, detail::sip_pair(a, b));
}
constexpr u64 siphash_4u32(u32 a, u32 b, u32 c, u32 d, siphash_key_t const& key) {
  return siphash_2u64(detail::sip_pair(a, b), detail::sip_pair(c, d), key);
}

constexpr u32 hsiphash(unsigned char const* data, std::size_t len, siphash_key_t const& key) {
  return static_cast<u32>(detail::sip_bytes<1, 3>(data, len, key));
}
inline u32 hsiphash(void const* data, std::size_t len, siphash_key_t const& key) {
  return hsiphash(static_cast<unsigned char const*>(data), len, key);
}
constexpr u32 hsiphash_1u32(u32 a, siphash_key_t const& key) {
  return static_cast<u32>(detail::sip_words<1, 3>(key, 4, a));
}
constexpr u32 hsiphash_2u32(u32 a, u32 b, siphash_key_t const& key) {
  return static_cast<u32>(detail::sip_words<1, 3>(key, 8, 0, detail::sip_pair(a, b)));
}
constexpr u32 hsiphash_3u32(u32 a, u32 b, u32 c, siphash_key_t const& key) {
  return static_cast<u32>(detail::sip_words<1, 3>(key, 12, c, detail::sip_pair(a, b)));
}
constexpr u32 hsiphash_4u32(u32 a, u32 b, u32 c, u32 d, siphash_key_t const& key) {
  return static_cast<u32>(detail::sip_words<1, 3>(key, 16, 0, detail::sip_pair(a, b), detail::sip_pair(c, d)));
}

}  // namespace netstack
