// SPDX-License-Identifier: BSL-1.0
// netstack_bench: the suite of testing/bench.hpp for an internet host with everything switched on that a real one has.
// The other files of this folder's program add their rows: skb/pool, wire/checksum, ipv4/fib, floor/floor.
#include "netstack/testing/bench.hpp"

#include "../../tests/support/heap_counter.hpp"
#include "../heap_calls.hpp"
#include "netstack/netstack.hpp"

namespace {

struct host : netstack::stack<host, netstack::presets::full, netstack::drivers::pipe, netstack::testing::bench_wire,
                              netstack::sizes<netstack::config{.max_net = 2,
                                                               .max_sock = 1'000'400,
                                                               .max_timewait = 8192,
                                                               .max_handle = 1'000'400,
                                                               .sock_hash = 1u << 21,
                                                               .huge_pages = true}>> {};

}  // namespace

std::uint64_t bench_heap_calls() { return netstack::test::the_heap.allocations; }

int main(int argc, char** argv) {
  netstack::test::heap_counter heap;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  netstack::bench<host>({.allocations = bench_heap_calls, .iterations = bench_packets()});
  benchmark::RunSpecifiedBenchmarks();
}
