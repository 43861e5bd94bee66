// SPDX-License-Identifier: BSL-1.0
// Proves base/jhash.hpp: every input bit reaches every output bit, and keys that networks really have (consecutive
// addresses and ports) fill the buckets of a table evenly, whichever bits the table masks.
#include "netstack/base/jhash.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <unordered_set>
#include <vector>

#include "support/frame.hpp"

using namespace netstack;

namespace {

/// Chi-square per degree of freedom: near 1 for a random function, far above for a lumpy one.
template <class Hash>
double lumpiness(u32 keys, u32 buckets, unsigned shift, Hash hash) {
  std::vector<u32> fill(buckets);
  for (u32 i = 0; i < keys; ++i) ++fill[(hash(i) >> shift) & (buckets - 1)];
  double const expected = double(keys) / buckets;
  double sum = 0;
  for (auto const n : fill) sum += (n - expected) * (n - expected) / expected;
  return sum / (buckets - 1);
}

}  // namespace

TEST_CASE("one flipped input bit flips each output bit half the time", "[jhash]") {
  std::mt19937 rng{1};
  constexpr int samples = 4000;
  std::vector<std::array<int, 32>> flips(128);
  for (int s = 0; s < samples; ++s) {
    std::array<u32, 4> in{};
    for (auto& word : in) word = static_cast<u32>(rng());
    u32 const before = jhash_3words(in[0], in[1], in[2], in[3]);
    for (std::size_t bit = 0; bit < 128; ++bit) {
      auto out = in;
      out[bit / 32] ^= 1U << bit % 32;
      u32 const changed = before ^ jhash_3words(out[0], out[1], out[2], out[3]);
      for (std::size_t o = 0; o < 32; ++o) flips[bit][o] += static_cast<int>(changed >> o & 1);
    }
  }
  int least = samples, most = 0;
  for (auto const& row : flips)
    for (int const n : row) least = std::min(least, n), most = std::max(most, n);
  // Five standard deviations around one half; 4096 counters stay within four.
  CHECK(least > samples / 2 - 5 * 32);
  CHECK(most < samples / 2 + 5 * 32);
}

TEST_CASE("consecutive keys fill a table evenly", "[jhash]") {
  for (unsigned const shift : {0U, 11U, 22U}) {
    CAPTURE(shift);
    CHECK(lumpiness(65536, 1024, shift, [](u32 i) { return jhash_1word(0xc0000200 + i, 0); }) < 1.25);
    CHECK(lumpiness(65536, 1024, shift, [](u32 i) { return jhash_1word(i << 16, 7); }) < 1.25);
    CHECK(lumpiness(65536, 1024, shift, [](u32 i) { return jhash_2words(0x0a000001, i << 8, 7); }) < 1.25);
    CHECK(lumpiness(65536, 1024, shift, [](u32 i) { return jhash_3words(0x0a000001, 0x0a000002, i, 7); }) < 1.25);
    CHECK(lumpiness(65536, 1024, shift, [](u32 i) { return jhash_3words(i, i, i, 0); }) < 1.25);
    CHECK(lumpiness(65536, 1024, shift, [](u32 i) { return jhash_3words(1, 2, 3, i); }) < 1.25);
  }
}

TEST_CASE("collisions are as rare as chance has them", "[jhash]") {
  // 200,000 keys into 2^32 values: 4.7 pairs expected.
  std::unordered_set<u32> seen;
  u32 collisions = 0;
  for (u32 i = 0; i < 200'000; ++i) collisions += !seen.insert(jhash_2words(i, ~i, 0)).second;
  CHECK(collisions < 20);
}

TEST_CASE("words are not interchangeable, and the hash is the same in every build", "[jhash]") {
  CHECK_BOTH(jhash_2words(1, 2, 0) != jhash_2words(2, 1, 0));
  CHECK_BOTH(jhash_3words(1, 2, 3, 0) != jhash_3words(3, 2, 1, 0));
  CHECK_BOTH(jhash_1word(1, 0) != jhash_1word(1, 1));
  CHECK_BOTH(jhash_1word(0, 0) != 0);
  CHECK_BOTH(jhash_3words(1, 2, 3, 4) == 0x1599e5a5);
}
