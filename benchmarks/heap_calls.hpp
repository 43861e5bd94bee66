// SPDX-License-Identifier: BSL-1.0
// What every file of netstack_bench asks before and after a measured loop, and when it registers its rows.
#pragma once
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>

/// Heap calls of the program until now; counted in paths/suite.cpp and gate/gate.cpp.
std::uint64_t bench_heap_calls();

/// Made before a measured loop; report() behind it gives the row its allocs/op, and fails it if there was any.
class heap_watch {
  benchmark::State& state_;
  std::uint64_t before_ = bench_heap_calls();

 public:
  explicit heap_watch(benchmark::State& state) : state_(state) {}
  void report() const {
    auto const calls = bench_heap_calls() - before_;
    state_.counters["allocs/op"] = static_cast<double>(calls) / static_cast<double>(state_.iterations());
    if (calls) state_.SkipWithError("the heap was used");
  }
};

/// A fixed number of packets, for who counts instructions; 0: as many as the time allows.
inline std::int64_t bench_packets() {
  char const* const packets = std::getenv("NETSTACK_BENCH_PACKETS");
  return packets ? std::atoll(packets) : 0;
}
/// For ->Apply(): that many in each run of the row.
inline void fixed_packets(benchmark::internal::Benchmark* row) {
  if (bench_packets()) row->Iterations(bench_packets());
}
