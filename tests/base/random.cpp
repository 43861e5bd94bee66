// SPDX-License-Identifier: BSL-1.0
// Proves base/random.hpp: a seed is a trace, workers' seeds are unrelated, below() has no bias, boot seeds differ.
#include "netstack/base/random.hpp"

#include <array>
#include <new>
#include <set>
#include <type_traits>

#include "support/frame.hpp"

using namespace netstack;

namespace {

constexpr std::array<u64, 3> first_three(u64 seed) {
  prng r{seed};
  return {r.next_u64(), r.next_u64(), r.next_u64()};
}
/// The largest distance of a bucket from its expectation, in standard deviations (about).
template <class Draw>
double worst_bucket(std::size_t buckets, int draws, Draw draw) {
  std::array<int, 64> fill{};
  for (int i = 0; i < draws; ++i) ++fill.at(draw());
  double const expected = double(draws) / double(buckets);
  double worst = 0;
  for (std::size_t b = 0; b < buckets; ++b) {
    double const off = (fill[b] - expected) * (fill[b] - expected) / expected;
    worst = off > worst ? off : worst;
  }
  return worst;
}

}  // namespace

TEST_CASE("the same seed gives the same trace, on every machine", "[random]") {
  CHECK_BOTH(first_three(1) == std::array<u64, 3>{0x0dae6f03e6217986, 0x908f3030db9ac724, 0x1b4b1a842337aa12});
  CHECK_BOTH(first_three(1) != first_three(2));
  prng a{99}, b{99};
  for (int i = 0; i < 1000; ++i) REQUIRE(a.below(1000) == b.below(1000));
  prng const saved = a;
  u32 const next = a.next_u32();
  a = saved;
  CHECK(a.next_u32() == next);
}

TEST_CASE("consecutive seeds share nothing", "[random]") {
  std::set<u64> seen;
  for (u64 seed = 0; seed < 1000; ++seed)
    for (u64 const v : first_three(seed)) seen.insert(v);
  CHECK(seen.size() == 3000);
}

TEST_CASE("below() is uniform, also where a remainder would not be", "[random]") {
  prng r{3};
  CHECK(worst_bucket(3, 300'000, [&] { return r.below(3); }) < 20);
  CHECK(worst_bucket(64, 640'000, [&] { return r.below(64); }) < 20);
  CHECK(worst_bucket(61, 610'000, [&] { return r.below(61); }) < 20);
  // Of n = 3 * 2^30 values every third would come up twice as often without the second draw.
  CHECK(worst_bucket(3, 300'000, [&] { return r.below(3U << 30) % 3; }) < 20);
  CHECK(worst_bucket(2, 300'000, [&] { return r.below(0xffffffffU) >= 0x80000000U ? 1U : 0U; }) < 20);
  for (int i = 0; i < 100; ++i) CHECK(r.below(1) == 0);
  bool inside = true;
  for (u32 n = 1; n < 2000; ++n) inside = inside && r.below(n) < n;
  CHECK(inside);
}

TEST_CASE("below_by_halves() takes two of one number, and is as uniform", "[random]") {
  prng r{3}, numbers{3};
  for (int i = 0; i < 10; ++i) {
    u64 const both = numbers.next_u64();
    CHECK(r.below_by_halves(1U << 31) == static_cast<u32>(both) >> 1);
    CHECK(r.below_by_halves(1U << 31) == both >> 33);
  }
  CHECK(worst_bucket(64, 640'000, [&] { return r.below_by_halves(64); }) < 20);
  CHECK(worst_bucket(3, 300'000, [&] { return r.below_by_halves(3U << 30) % 3; }) < 20);
}

TEST_CASE("every bit of the numbers is used", "[random]") {
  prng r{4};
  std::array<int, 64> ones{};
  for (int i = 0; i < 10'000; ++i) {
    u64 const v = r.next_u64();
    for (std::size_t bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>(v >> bit & 1);
  }
  for (int const n : ones) CHECK((n > 4700 && n < 5300));
  u32 any = 0, all = ~0U;
  for (int i = 0; i < 100; ++i) {
    u32 const v = r.next_u32();
    any |= v, all &= v;
  }
  CHECK(any == ~0U);
  CHECK(all == 0);
}

TEST_CASE("a prng may live in zeroed memory", "[random]") {
  STATIC_REQUIRE(std::is_trivial_v<prng>);
  alignas(prng) unsigned char memory[sizeof(prng)]{};
  auto* r = std::launder(reinterpret_cast<prng*>(memory));
  CHECK(r->next_u64() != r->next_u64());
}

TEST_CASE("boot seeds differ and are not the mark of no seed", "[random]") {
  std::set<u64> seeds;
  for (int i = 0; i < 64; ++i) seeds.insert(get_random_seed());
  CHECK(seeds.size() == 64);
  CHECK(seeds.count(0) == 0);
}
