// SPDX-License-Identifier: BSL-1.0
// A user's own composition under the library's suite: the protocol of examples/own_protocol.cpp beside UDP. The row
// layer/ip/pulse is its handler's, from the driver's edge until an answer to each pulse is on the wire. Rows have an
// allocs/op since this program counts its heap calls: the header below puts a malloc of its own before the C library's.
#define main own_protocol_example
#include "../../examples/own_protocol.cpp"
#undef main

#include "../../tests/support/heap_counter.hpp"
#include "netstack/testing/bench.hpp"

namespace {

struct my_host : stack<my_host, presets::host, pulse, testing::bench_wire, sizes<config{.max_net = 1}>> {};

}  // namespace

int main(int argc, char** argv) {
  test::heap_counter heap;
  benchmark::Initialize(&argc, argv);
  netstack::bench<my_host>({.allocations = [] { return test::the_heap.allocations; }});
  benchmark::RunSpecifiedBenchmarks();
}
