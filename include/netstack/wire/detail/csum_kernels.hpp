// SPDX-License-Identifier: BSL-1.0
// Decides: how bytes are summed (and copied) at memory speed for the instruction set at hand. Private to wire/checksum.
// All kernels return a u64 that is congruent, modulo 0xffff, to the sum of the 16-bit words as they lie in memory, and
// that is zero only if every byte is zero. A kernel with Copy writes what it reads, so a payload is touched once.
//   below csum_long_from bytes: eight-byte words, add-with-carry on x86-64;
//   above: 16- or 32-byte vectors of u64 lanes, or vpdpbusd, which adds bytes in groups of four into u32 lanes.
// Linux: arch/x86/lib/csum-partial_64.c, lib/checksum.c; RFC 1071 §2 (order independence, parallel summation, carries)
#pragma once
#include <bit>
#include <cstring>

#include "netstack/base/config.hpp"
#include "netstack/base/isa.hpp"
#if defined(NETSTACK_ISA_AVX512VNNI)
#include <immintrin.h>
#endif

namespace netstack::detail::inline NETSTACK_ISA {

/// End-around carry: 2^64 is 1 modulo 0xffff.
constexpr u64 csum_add64(u64 a, u64 b) {
  a += b;
  return a + (a < b);
}
constexpr u32 csum_from64to32(u64 sum) {
  sum += std::rotr(sum, 32);
  return static_cast<u32>(sum >> 32);
}

/// From here on vectors win over words, measured with each of the three kernels below.
inline constexpr std::size_t csum_long_from = 192;
/// Below, a sum (with a copy) is shorter than a call.
template <bool Copy>
inline constexpr std::size_t csum_inline_below = Copy ? 32 : 128;
/// And up to here the lanes of a kernel hold their sums without a carry.
inline constexpr std::size_t csum_vector_max = std::size_t{1} << 24;

template <class T>
NETSTACK_INLINE T csum_load(unsigned char const* p) {
  T word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

/// One word of the sum, copied on the way.
template <bool Copy, class T>
NETSTACK_INLINE T csum_take(unsigned char* dst, unsigned char const* src) {
  T const word = csum_load<T>(src);
  if constexpr (Copy) std::memcpy(dst, &word, sizeof word);
  return word;
}

NETSTACK_INLINE u64 csum_add4(u64 sum, u64 a, u64 b, u64 c, u64 d) {
#if defined(__x86_64__)
  // Neither compiler keeps the carry in its flag from C++. Register operands, so that sanitizers see the loads.
  asm("addq %1, %0\n\tadcq %2, %0\n\tadcq %3, %0\n\tadcq %4, %0\n\tadcq $0, %0"
      : "+&r"(sum)
      : "r"(a), "r"(b), "r"(c), "r"(d)
      : "cc");
  return sum;
#else
  return csum_add64(sum, csum_add64(csum_add64(a, b), csum_add64(c, d)));
#endif
}

/// The last 0–7 bytes, in pieces that start at even offsets; a single last byte has a zero behind it.
template <bool Copy>
NETSTACK_INLINE u64 csum_tail(unsigned char* dst, unsigned char const* src, std::size_t rest) {
  u64 sum = 0;
  auto const advance = [&](std::size_t n) { src += n, dst += Copy ? n : 0; };
  if (rest & 4) sum += csum_take<Copy, u32>(dst, src), advance(4);
  if (rest & 2) sum += csum_take<Copy, u16>(dst, src), advance(2);
  if (rest & 1) {
    u8 const last = csum_take<Copy, u8>(dst, src);
    sum += std::endian::native == std::endian::little ? u64{last} : u64{last} << 8;
  }
  return sum;
}

/// Fewer than `Below` bytes, or the last of more: without a loop, whose counters would push a caller's values
/// out of their registers.
template <bool Copy, std::size_t Below = csum_inline_below<Copy>>
NETSTACK_INLINE u64 csum_rest(unsigned char* dst, unsigned char const* src, std::size_t len, u64 sum) {
  auto const take = [&](std::size_t at) { return csum_take<Copy, u64>(Copy ? dst + at : nullptr, src + at); };
  auto const advance = [&](std::size_t n) { src += n, dst += Copy ? n : 0; };
  if (len < 8) return csum_add64(sum, csum_tail<Copy>(dst, src, len));
  if (Below > 64 && len & 64) {
    sum = csum_add4(sum, take(0), take(8), take(16), take(24));
    sum = csum_add4(sum, take(32), take(40), take(48), take(56));
    advance(64);
  }
  if (Below > 32 && len & 32) {
    sum = csum_add4(sum, take(0), take(8), take(16), take(24));
    advance(32);
  }
  if (len & 16) {
    sum = csum_add64(csum_add64(sum, take(0)), take(8));
    advance(16);
  }
  if (len & 8) {
    sum = csum_add64(sum, take(0));
    advance(8);
  }
  std::size_t const rest = len & 7;
  if (rest == 0) return sum;
  if constexpr (std::endian::native == std::endian::little) {
    // One load that ends where the block ends, less what was summed already.
    src += rest, dst += Copy ? rest : 0;
    return csum_add64(sum, csum_take<Copy, u64>(Copy ? dst - 8 : nullptr, src - 8) >> (64 - 8 * rest));
  }
  return csum_add64(sum, csum_tail<Copy>(dst, src, rest));
}

/// Any length, one word at a time: best below csum_long_from.
template <bool Copy>
NETSTACK_INLINE u64 csum_short(unsigned char* dst, unsigned char const* src, std::size_t len, u64 sum) {
  auto const take = [&](std::size_t at) { return csum_take<Copy, u64>(Copy ? dst + at : nullptr, src + at); };
  for (std::size_t blocks = len / csum_inline_below<Copy>; blocks != 0; --blocks)
    for (std::size_t i = 0; i < csum_inline_below<Copy>; i += 32) {
      sum = csum_add4(sum, take(0), take(8), take(16), take(24));
      src += 32, dst += Copy ? 32 : 0;
    }
  return csum_rest<Copy>(dst, src, len, sum);
}

#if defined(NETSTACK_ISA_AVX512VNNI)

/// Sums of the bytes at even and at odd offsets, in 16 lanes each. All even bytes of csum_vector_max together, at most
/// 255 each, fit one u32, so no lane and no sum of lanes wraps.
struct csum_lanes {
  __m512i even = _mm512_setzero_si512();
  __m512i odd = _mm512_setzero_si512();
  NETSTACK_INLINE void add(__m512i bytes) {
    even = _mm512_dpbusd_epi32(even, bytes, _mm512_set1_epi32(0x00010001));
    odd = _mm512_dpbusd_epi32(odd, bytes, _mm512_set1_epi32(0x01000100));
  }
};

template <bool Copy>
NETSTACK_INLINE __m512i csum_take64(unsigned char* dst, unsigned char const* src) {
  __m512i const bytes = _mm512_loadu_si512(src);
  if constexpr (Copy) _mm512_storeu_si512(dst, bytes);
  return bytes;
}

// Written with vector operators from here, since g++ warns of its own intrinsics (its bug 105593).
typedef u32 csum_u32x16 __attribute__((vector_size(64)));

NETSTACK_INLINE csum_u32x16 csum_add_lanes(__m512i a, __m512i b, __m512i c, __m512i d) {
  return (csum_u32x16(a) + csum_u32x16(b)) + (csum_u32x16(c) + csum_u32x16(d));
}

NETSTACK_INLINE u64 csum_reduce(csum_u32x16 even, csum_u32x16 odd) {
  // Pairs (even, odd) side by side, so that one chain of halvings sums both.
  csum_u32x16 const pairs =
      __builtin_shufflevector(even, odd, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
      __builtin_shufflevector(even, odd, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  auto const half = __builtin_shufflevector(pairs, pairs, 0, 1, 2, 3, 4, 5, 6, 7) +
                    __builtin_shufflevector(pairs, pairs, 8, 9, 10, 11, 12, 13, 14, 15);
  auto const quarter =
      __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
  auto const sums = quarter + __builtin_shufflevector(quarter, quarter, 2, 3, 0, 1);
  return u64{sums[0]} + (u64{sums[1]} << 8);
}

template <bool Copy>
NETSTACK_INLINE u64 csum_vector(unsigned char* dst, unsigned char const* src, std::size_t len) {
  csum_lanes a, b, c, d;  // vpdpbusd takes five cycles: four independent pairs keep its port busy
  auto const take = [=](std::size_t at) { return csum_take64<Copy>(Copy ? dst + at : nullptr, src + at); };
  std::size_t at = 0;
  for (; len - at >= 256; at += 256) {
    a.add(take(at));
    b.add(take(at + 64));
    c.add(take(at + 128));
    d.add(take(at + 192));
  }
  if (len - at >= 128) {
    a.add(take(at));
    b.add(take(at + 64));
    at += 128;
  }
  if (len - at >= 64) {
    c.add(take(at));
    at += 64;
  }
  __mmask64 const rest = (u64{1} << (len - at)) - 1;  // fewer than 64
  __m512i const bytes = _mm512_maskz_loadu_epi8(rest, src + at);
  if constexpr (Copy) _mm512_mask_storeu_epi8(dst + at, rest, bytes);
  d.add(bytes);

  return csum_reduce(csum_add_lanes(a.even, b.even, c.even, d.even), csum_add_lanes(a.odd, b.odd, c.odd, d.odd));
}

#else

#if defined(__AVX2__)
inline constexpr std::size_t csum_width = 32;
#else
inline constexpr std::size_t csum_width = 16;
#endif

typedef u64 csum_lanes __attribute__((vector_size(csum_width)));

/// Adds 64-bit words without carries: `whole` may wrap, `high` sums the upper halves exactly, so the sum of the lower
/// halves is whole - (high << 32). Three operations a word instead of the four of summing each half.
struct csum_pair {
  csum_lanes whole{};
  csum_lanes high{};
  NETSTACK_INLINE void add(csum_lanes words) {
#if defined(__x86_64__)
    asm("" : "+x"(words));  // g++ would load unaligned words twice, once per use, and they often straddle a cache line
#endif
    whole += words;
    high += words >> 32;
  }
};

template <bool Copy>
NETSTACK_INLINE u64 csum_vector(unsigned char* dst, unsigned char const* src, std::size_t len) {
  constexpr std::size_t w = csum_width;
  csum_pair a, b;
  auto const take = [=](std::size_t at) { return csum_take<Copy, csum_lanes>(Copy ? dst + at : nullptr, src + at); };
  std::size_t at = 0;
  for (; len - at >= 4 * w; at += 4 * w) {
    a.add(take(at));
    b.add(take(at + w));
    a.add(take(at + 2 * w));
    b.add(take(at + 3 * w));
  }
  for (; len - at >= w; at += w) a.add(take(at));
  csum_lanes const high = a.high + b.high;
  csum_lanes const halves = (a.whole + b.whole - (high << 32)) + high;
  u64 sum = 0;
  for (std::size_t i = 0; i < w / 8; ++i) sum += halves[i];
  return csum_short<Copy>(Copy ? dst + at : nullptr, src + at, len - at, sum);
}

#endif

template <bool Copy>
NETSTACK_NOINLINE u64 csum_long(unsigned char* dst, unsigned char const* src, std::size_t len, u64 sum) {
  if (len < csum_long_from) return csum_short<Copy>(dst, src, len, sum);
  for (; len > csum_vector_max; len -= csum_vector_max, src += csum_vector_max, dst += Copy ? csum_vector_max : 0)
    sum = csum_add64(sum, csum_vector<Copy>(dst, src, csum_vector_max));
  return csum_add64(sum, csum_vector<Copy>(dst, src, len));
}

/// `Below`: for a caller that has the registers, and most often few bytes more.
template <bool Copy, std::size_t Below = csum_inline_below<Copy>>
NETSTACK_INLINE u64 csum_bytes(unsigned char* dst, unsigned char const* src, std::size_t len, u64 sum) {
  return len < Below ? csum_rest<Copy, Below>(dst, src, len, sum) : csum_long<Copy>(dst, src, len, sum);
}

}  // namespace netstack::detail::inline NETSTACK_ISA
