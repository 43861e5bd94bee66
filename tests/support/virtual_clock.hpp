// SPDX-License-Identifier: BSL-1.0
// Decides: the time of a simulated stack: it stands still until a test moves it, so the same test gives the same trace.
#pragma once
#include "netstack/stack/worker.hpp"

namespace netstack::test {

class virtual_clock {
 public:
  u64 now = 1'000'000'000;                                ///< monotonic, ns
  u64 step = 0;                                           ///< by which each look at it moves it
  u64 epoch = 1'700'000'000'000'000'000 - 1'000'000'000;  ///< realtime - monotonic, ns

  virtual_clock() = default;
  virtual_clock(virtual_clock const&) = delete;
  virtual_clock& operator=(virtual_clock const&) = delete;

  /// For boot_args; the clock must outlive the stack.
  [[nodiscard]] clock_source source() {
    return {
        [](void* self) { return static_cast<virtual_clock*>(self)->now += static_cast<virtual_clock*>(self)->step; },
        [](void* self) { return static_cast<virtual_clock*>(self)->now + static_cast<virtual_clock*>(self)->epoch; },
        this};
  }
  void advance(u64 ns) { now += ns; }
};

}  // namespace netstack::test
