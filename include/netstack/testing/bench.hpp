// SPDX-License-Identifier: BSL-1.0
// Decides: the benchmark suite that every composition gets: list testing::bench_wire in it and register with Google
// Benchmark. What the composition has is measured: its whole ways (rx/udp/18 …), each of its layers alone (layer/…),
// and every protocol of the user's own. Each row is per packet, and fails if a packet leaked; or if the heap was used,
// where the program counts its heap calls (`allocations`, as benchmarks/paths/own_protocol.cpp does; a header cannot
// replace malloc for a whole program): it then has allocs/op.
//
//   struct host : netstack::stack<host, netstack::presets::host, my_protocol, netstack::testing::bench_wire> {};
//   int main(int argc, char** argv) {
//     benchmark::Initialize(&argc, argv);
//     netstack::bench<host>({.allocations = my_heap_calls});
//     benchmark::RunSpecifiedBenchmarks();
//   }
//
// Needs libbenchmark. Not for production.
#pragma once
#include "netstack/testing/detail/bench_layers.hpp"
#include "netstack/testing/detail/bench_tcp.hpp"

namespace netstack {

template <class Host>
void bench(testing::bench_options const& options = {}) {
  static_assert(net<Host>::template has<testing::bench_wire>,
                "netstack: list testing::bench_wire in the composition that bench() is to measure");
  testing::detail::bench_paths<Host>(options);
  testing::detail::bench_layers<Host>(options);
  testing::detail::bench_tcp<Host>(options);
}

}  // namespace netstack
