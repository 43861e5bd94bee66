// SPDX-License-Identifier: BSL-1.0
// Decides: where random numbers come from. A prng is a seed's own sequence: the same seed gives the same trace bit for
// bit, on every machine. It is SipHash-2-4 of a running number under a key drawn from the seed, so that a peer who sees
// ports, ids or jitters cannot compute the next ones. get_random_seed() asks the kernel once, at boot.
// Linux: drivers/char/random.c (get_random_u32_below), getrandom(2); Lemire: "Fast random integer generation in an
// interval" (2019), for below()
#pragma once
#include <sys/random.h>

#include <cerrno>
#include <utility>

#include "netstack/base/bug.hpp"
#include "netstack/base/siphash.hpp"

namespace netstack {

/// Trivial: in zeroed memory it is a valid (and public) sequence; boot() gives each worker its own.
struct prng {
  prng() = default;
  constexpr explicit prng(u64 seed) : key_{{split(seed), split(seed)}}, drawn_(0), half_(0) {}

  [[nodiscard]] constexpr u64 next_u64() { return siphash_1u64(drawn_++, key_); }
  [[nodiscard]] constexpr u32 next_u32() { return static_cast<u32>(next_u64() >> 32); }

  /// Uniform in [0, n), without the bias of a remainder; n must not be 0.
  [[nodiscard]] constexpr u32 below(u32 n) { return below(n, next_u32()); }
  /// The same for who draws often: two of one number.
  [[nodiscard]] constexpr u32 below_by_halves(u32 n) {
    if (u64 const kept = std::exchange(half_, 0); kept != 0) return below(n, static_cast<u32>(kept));
    u64 const both = next_u64();
    half_ = both >> 32 | u64{1} << 32;
    return below(n, static_cast<u32>(both));
  }

 private:
  siphash_key_t key_;
  u64 drawn_;
  u64 half_;  ///< of below_by_halves, and bit 32: there is one

  /// What becomes of `drawn`, or of another.
  constexpr u32 below(u32 n, u32 drawn) {
    BUG_ON(n == 0, "below(0)");
    u64 product = u64{drawn} * n;
    if (static_cast<u32>(product) < n) [[unlikely]] {
      // 2^32 mod n of the products would come up once too often: draw again.
      u32 const surplus = (0U - n) % n;
      while (static_cast<u32>(product) < surplus) product = u64{next_u32()} * n;
    }
    return static_cast<u32>(product >> 32);
  }

  /// Splitmix64: consecutive seeds (one per worker) give unrelated keys.
  static constexpr u64 split(u64& seed) {
    u64 z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

/// Unpredictable and not 0, which a caller may use for "no seed given".
[[nodiscard]] inline u64 get_random_seed() {
  u64 seed = 0;
  while (seed == 0) {
    auto const n = ::getrandom(&seed, sizeof seed, 0);
    if (n == static_cast<ssize_t>(sizeof seed)) continue;
    seed = 0;
    BUG_ON(n < 0 && errno != EINTR, "getrandom(2) failed");
  }
  return seed;
}

}  // namespace netstack
