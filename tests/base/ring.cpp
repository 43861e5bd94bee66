// SPDX-License-Identifier: BSL-1.0
// Proves base/ring.hpp on one thread against std::deque; tests/threads/ring.cpp has two.
#include "netstack/base/ring.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;

TEST_CASE("a ring takes N values and gives them back in order", "[ring]") {
  spsc_ring<int, 4> ring;
  STATIC_REQUIRE(ring.capacity() == 4);
  int out = -1;
  CHECK(ring.empty());
  CHECK_FALSE(ring.pop(out));
  CHECK(out == -1);
  for (int i = 0; i < 4; ++i) CHECK(ring.push(i));
  CHECK(ring.size() == 4);
  CHECK_FALSE(ring.push(99));
  for (int i = 0; i < 4; ++i) {
    REQUIRE(ring.pop(out));
    CHECK(out == i);
  }
  CHECK(ring.empty());
}

TEST_CASE("a bulk push fits what fits, a bulk pop takes what there is", "[ring]") {
  spsc_ring<int, 8> ring;
  int const in[]{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  int out[10]{};
  CHECK(ring.push(in, 0) == 0);
  CHECK(ring.push(in, 5) == 5);
  CHECK(ring.pop(out, 3) == 3);
  CHECK(ring.push(in, 10) == 6);  // crosses the end of the array
  CHECK(ring.size() == 8);
  CHECK(ring.pop(out, 10) == 8);
  CHECK(std::vector<int>(out, out + 8) == std::vector<int>{3, 4, 0, 1, 2, 3, 4, 5});
  CHECK(ring.pop(out, 10) == 0);
}

TEST_CASE("any mixture of single and bulk operations is a queue", "[ring]") {
  auto ring = std::make_unique<spsc_ring<u32, 64>>();
  std::deque<u32> model;
  std::mt19937 rng{1};
  u32 next = 0;
  for (int i = 0; i < 200'000; ++i) {
    u32 values[100];
    std::size_t const n = rng() % 100;
    if (rng() % 2) {
      for (std::size_t k = 0; k < n; ++k) values[k] = next + static_cast<u32>(k);
      std::size_t const took = ring->push(values, n);
      REQUIRE(took == std::min(n, 64 - model.size()));
      model.insert(model.end(), values, values + took);
      next += static_cast<u32>(took);
    } else {
      std::size_t const took = ring->pop(values, n);
      REQUIRE(took == std::min(n, model.size()));
      REQUIRE(std::equal(values, values + took, model.begin()));
      model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(took));
    }
    REQUIRE(ring->size() == model.size());
    REQUIRE(ring->empty() == model.empty());
  }
}

TEST_CASE("values written and read in place are those of push and pop", "[ring]") {
  spsc_ring<u32, 8> ring;
  u32 next = 0, expected = 0;
  for (u32 round = 0; round < 40; ++round) {
    u32 const n = 1 + round % 5;
    for (u32 i = 0; i < n; ++i) ring.back(i) = next++;
    CHECK(ring.filled(8) == 0);  // nothing is handed over yet
    ring.publish(n);
    REQUIRE(ring.push(next++));
    CHECK(ring.size() == n + 1);
    CHECK(ring.filled(2) == 2);
    REQUIRE(ring.filled(8) == n + 1);
    for (u32 i = 0; i < n; ++i) REQUIRE(ring.front(i) == expected + i);
    ring.consume(n);
    u32 last = 0;
    REQUIRE(ring.pop(last));
    CHECK(last == expected + n);
    expected += n + 1;
    CHECK(ring.empty());
  }
}

TEST_CASE("zeroed memory is an empty ring, and construction leaves the slots alone", "[ring]") {
  using ring_t = spsc_ring<u64, 16>;
  alignas(ring_t) static unsigned char memory[sizeof(ring_t)];
  auto* zeroed = reinterpret_cast<ring_t*>(memory);
  CHECK(zeroed->empty());
  CHECK(zeroed->push(7));
  u64 out = 0;
  CHECK((zeroed->pop(out) && out == 7));

  std::memset(memory, 0xa5, sizeof memory);
  auto* constructed = new (memory) ring_t;
  CHECK(constructed->empty());
  CHECK(memory[sizeof(ring_t) - 1] == 0xa5);
}

TEST_CASE("the two sides and the slots do not share a cache line", "[ring]") {
  STATIC_REQUIRE(alignof(spsc_ring<char, 1>) == cache_line);
  STATIC_REQUIRE(sizeof(spsc_ring<char, 64>) == 3 * cache_line);
}
