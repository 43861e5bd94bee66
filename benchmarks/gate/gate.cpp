// SPDX-License-Identifier: BSL-1.0
// netstack_gate: the hot paths whose instructions scripts/gate counts, with skb/pool and ipv4/fib. Runs a fixed number
// of packets, NETSTACK_BENCH_PACKETS, so that two runs differ by packets alone.
#include <cstdlib>

#include "../../tests/support/heap_counter.hpp"
#include "../heap_calls.hpp"
#include "netstack/testing/detail/bench_tcp.hpp"

namespace {

struct host
    : netstack::stack<host, netstack::presets::full, netstack::drivers::pipe, netstack::testing::bench_wire,
                      netstack::sizes<netstack::config{.max_net = 1, .max_timewait = 8192, .sock_hash = 1024}>> {};

}  // namespace

std::uint64_t bench_heap_calls() { return netstack::test::the_heap.allocations; }

int main(int argc, char** argv) {
  netstack::test::heap_counter heap;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  netstack::testing::bench_options const options{.allocations = bench_heap_calls, .iterations = bench_packets()};
  netstack::testing::detail::bench_paths<host>(options);
  netstack::testing::detail::bench_tcp<host>(options);
  return benchmark::RunSpecifiedBenchmarks() == 0;
}
