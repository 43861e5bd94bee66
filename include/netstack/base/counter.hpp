// SPDX-License-Identifier: BSL-1.0
// Decides: what a statistic is: 64 bits with one writer, the worker that owns it, and any number of readers on any
// thread. A reader sees some value the counter had, never half of one and half of another; different counters may be
// seen from different moments. [S162]
// Linux: include/linux/u64_stats_sync.h (u64_stats_t), per-cpu MIB counters
#pragma once
#include <atomic>

#include "netstack/base/config.hpp"

namespace netstack {

/// Zero when constructed and in zeroed memory. Only the owning worker's thread may change it.
struct counter {
  // A load and a store instead of an atomic read-modify-write: with one writer nothing can come between, so no lock
  // prefix, which would cost about 18 cycles, is needed. No compiler makes one instruction of the two.
  NETSTACK_INLINE void operator+=(u64 n) {
#if defined(__x86_64__) && !defined(NETSTACK_TSAN)
    asm("addq %1, %0" : "+m"(value_) : "er"(n) : "cc");
#else
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
#endif
  }
  NETSTACK_INLINE void operator++() { *this += 1; }
  void operator++(int) { *this += 1; }
  /// What was counted here is another's to count.
  void operator--() { *this += ~u64{0}; }

  /// The count as of now; any thread.
  [[nodiscard]] u64 read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<u64> value_{0};
  static_assert(std::atomic<u64>::is_always_lock_free, "netstack: counters need 64-bit atomic loads and stores");
};

static_assert(sizeof(counter) == sizeof(u64));

}  // namespace netstack
