// SPDX-License-Identifier: BSL-1.0
// Proves that a reader on another thread never sees half an update of a counter (base/counter.hpp), nor one going back.
#include "netstack/base/counter.hpp"

#include <atomic>
#include <thread>

#include "support/catch.hpp"

using namespace netstack;

TEST_CASE("a 64-bit counter never tears", "[counter][S162]") {
  // Both halves of the value are always equal, so any mixture of two values shows.
  constexpr u64 step = 0x0000000100000001;
  constexpr u64 steps = 5'000'000;
  counter c;
  std::atomic<bool> started{false};
  u64 reads = 0, torn = 0, backwards = 0;
  std::thread reader([&] {
    started = true;
    for (u64 last = 0; last < step * steps; ++reads) {
      u64 const now = c.read();
      torn += now % step != 0;
      backwards += now < last;
      last = now;
    }
  });
  while (!started) std::this_thread::yield();
  for (u64 i = 0; i < steps; ++i) c += step;
  reader.join();
  CHECK(torn == 0);
  CHECK(backwards == 0);
  CHECK(reads > 0);
  CHECK(c.read() == step * steps);
}
