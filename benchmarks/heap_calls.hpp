// SPDX-License-Identifier: BSL-1.0
// What every file of netstack_bench asks before and after a measured loop, and when it registers its rows.
#pragma once
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>

/// Heap calls of the program until now; counted in paths/suite.cpp.
std::uint64_t bench_heap_calls();

/// A fixed number of packets, for who counts instructions; 0: as many as the time allows.
inline std::int64_t bench_packets() {
  char const* const packets = std::getenv("NETSTACK_BENCH_PACKETS");
  return packets ? std::atoll(packets) : 0;
}
/// For ->Apply(): that many in each run of the row.
inline void fixed_packets(benchmark::internal::Benchmark* row) {
  if (bench_packets()) row->Iterations(bench_packets());
}
