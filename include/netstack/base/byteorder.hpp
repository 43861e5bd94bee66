// SPDX-License-Identifier: BSL-1.0
// Decides: how a big-endian field is held and read. be16/be32/be64 have alignment 1 and may alias anything, so a header
// struct lies on any address of a frame, and works in a constant expression. They hold an integer and no byte array,
// which g++ would take apart and copy byte by byte.
// Linux: include/uapi/linux/byteorder (cpu_to_be16 and friends; htons & co. are macros in system headers).
#pragma once
#include <array>
#include <bit>
#include <compare>

#include "netstack/base/config.hpp"

namespace netstack {

namespace detail {
constexpr u16 bswap(u16 v) { return static_cast<u16>(v << 8 | v >> 8); }
constexpr u32 bswap(u32 v) { return __builtin_bswap32(v); }
constexpr u64 bswap(u64 v) { return __builtin_bswap64(v); }
template <class T>
constexpr T to_big(T v) {
  return std::endian::native == std::endian::little ? bswap(v) : v;
}
template <class T>
struct unaligned;
template <>
struct unaligned<u16> {
  typedef u16 type __attribute__((aligned(1), may_alias));
};
template <>
struct unaligned<u32> {
  typedef u32 type __attribute__((aligned(1), may_alias));
};
template <>
struct unaligned<u64> {
  typedef u64 type __attribute__((aligned(1), may_alias));
};
}  // namespace detail

/// An unsigned integer stored in network byte order. `raw()` is the value as it lies in memory (cheap to compare and
/// hash), `host()` the number. A default-constructed value is zero.
template <class T>
struct big_endian {
  typename detail::unaligned<T>::type word = 0;  ///< as it lies in memory

  constexpr big_endian() = default;
  constexpr explicit big_endian(T host) : word(detail::to_big(host)) {}

  [[nodiscard]] constexpr T raw() const { return word; }
  [[nodiscard]] constexpr T host() const { return detail::to_big(raw()); }
  [[nodiscard]] constexpr std::array<unsigned char, sizeof(T)> bytes() const {
    return std::bit_cast<std::array<unsigned char, sizeof(T)>>(raw());
  }
  [[nodiscard]] static constexpr big_endian from_raw(T raw) {
    big_endian b;
    b.word = raw;
    return b;
  }

  constexpr explicit operator bool() const { return raw() != 0; }
  friend constexpr bool operator==(big_endian a, big_endian b) { return a.raw() == b.raw(); }
  friend constexpr auto operator<=>(big_endian a, big_endian b) { return a.host() <=> b.host(); }
  friend constexpr big_endian operator&(big_endian a, big_endian b) {
    return from_raw(static_cast<T>(a.raw() & b.raw()));
  }
  friend constexpr big_endian operator|(big_endian a, big_endian b) {
    return from_raw(static_cast<T>(a.raw() | b.raw()));
  }
  friend constexpr big_endian operator^(big_endian a, big_endian b) {
    return from_raw(static_cast<T>(a.raw() ^ b.raw()));
  }
  constexpr big_endian operator~() const { return from_raw(static_cast<T>(~raw())); }
};

using be16 = big_endian<u16>;
using be32 = big_endian<u32>;
using be64 = big_endian<u64>;

constexpr be16 cpu_to_be16(u16 v) { return be16{v}; }
constexpr be32 cpu_to_be32(u32 v) { return be32{v}; }
constexpr u16 be16_to_cpu(be16 v) { return v.host(); }
constexpr u32 be32_to_cpu(be32 v) { return v.host(); }

/// An Internet checksum as it lies in memory (Linux's __sum16): one's-complement sums do not care for byte order
/// (RFC 1071 §2 B), so it is never swapped. Alignment 1, like the big-endian types.
struct sum16 {
  detail::unaligned<u16>::type word = 0;
  constexpr sum16() = default;
  constexpr explicit sum16(u16 raw) : word(raw) {}
  [[nodiscard]] constexpr u16 raw() const { return word; }
  [[nodiscard]] constexpr std::array<unsigned char, 2> bytes() const {
    return std::bit_cast<std::array<unsigned char, 2>>(raw());
  }
  friend constexpr bool operator==(sum16 a, sum16 b) { return a.raw() == b.raw(); }
};

static_assert(alignof(be16) == 1 && sizeof(be16) == 2 && alignof(be32) == 1 && sizeof(be32) == 4);

}  // namespace netstack
