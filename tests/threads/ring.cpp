// SPDX-License-Identifier: BSL-1.0
// Proves base/ring.hpp between two threads: nothing lost, doubled or reordered, and what the values point to has
// arrived with them. ThreadSanitizer judges the memory order.
#include "netstack/base/ring.hpp"

#include <memory>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;

namespace {

constexpr u64 count = 400'000;

template <std::size_t N, class Push, class Pop>
void transfer(spsc_ring<u64, N>& ring, Push push, Pop pop) {
  u64 expected = 0, wrong = 0, over = 0;
  std::thread consumer([&] {
    while (expected < count) {
      u64 values[48];
      std::size_t const n = pop(ring, values);
      for (std::size_t i = 0; i < n; ++i) wrong += values[i] != expected++;
      over += ring.size() > N;
      if (n == 0) std::this_thread::yield();
    }
  });
  for (u64 next = 0; next < count;) {
    std::size_t const n = push(ring, next);
    next += n;
    if (n == 0) std::this_thread::yield();
  }
  consumer.join();
  CHECK(expected == count);
  CHECK(wrong == 0);
  CHECK(over == 0);
  CHECK(ring.empty());
}

constexpr auto push_one = [](auto& ring, u64 next) -> std::size_t { return ring.push(next); };
constexpr auto pop_one = [](auto& ring, u64* out) -> std::size_t { return ring.pop(*out); };
constexpr auto push_bulk = [](auto& ring, u64 next) -> std::size_t {
  u64 values[37];
  u64 n = 0;
  for (; n < 37 && next + n < count; ++n) values[n] = next + n;
  return ring.push(values, n);
};
constexpr auto pop_bulk = [](auto& ring, u64* out) -> std::size_t { return ring.pop(out, 48); };

}  // namespace

TEST_CASE("values cross in order, one by one and in bulk, through small and large rings", "[ring]") {
  auto small = std::make_unique<spsc_ring<u64, 2>>();
  auto large = std::make_unique<spsc_ring<u64, 1024>>();
  transfer(*large, push_one, pop_one);
  transfer(*large, push_bulk, pop_bulk);
  transfer(*large, push_one, pop_bulk);
  transfer(*large, push_bulk, pop_one);
  transfer(*small, push_bulk, pop_bulk);
}

TEST_CASE("what a pointer points to arrives with the pointer, and goes back with it", "[ring]") {
  // Frames travel to a worker and come home to be used again: plain memory, ordered by the rings alone.
  struct frame {
    u64 length = 0;
    u64 bytes[7]{};
  };
  spsc_ring<frame*, 64> there;
  spsc_ring<frame*, 64> back;
  std::vector<frame> pool(32);
  for (auto& f : pool) REQUIRE(back.push(&f));
  u64 wrong = 0;
  std::thread consumer([&] {
    for (u64 i = 0; i < count;) {
      frame* f = nullptr;
      if (!there.pop(f)) {
        std::this_thread::yield();
        continue;
      }
      wrong += f->length != i;
      for (u64 const b : f->bytes) wrong += b != i;
      f->length = ~u64{0};
      while (!back.push(f)) std::this_thread::yield();
      ++i;
    }
  });
  for (u64 i = 0; i < count;) {
    frame* f = nullptr;
    if (!back.pop(f)) {
      std::this_thread::yield();
      continue;
    }
    f->length = i;
    for (auto& b : f->bytes) b = i;
    while (!there.push(f)) std::this_thread::yield();
    ++i;
  }
  consumer.join();
  CHECK(wrong == 0);
  CHECK(back.size() == 32);
  CHECK(there.empty());
}
