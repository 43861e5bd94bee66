// SPDX-License-Identifier: BSL-1.0
// A user's own composition under the library's suite: the protocol of examples/own_protocol.cpp beside UDP. The row
// layer/ip/pulse is its handler's, from the driver's edge until an answer to each pulse is on the wire.
#define main own_protocol_example
#include "../../examples/own_protocol.cpp"
#undef main

#include "netstack/testing/bench.hpp"

namespace {

struct my_host : stack<my_host, presets::host, pulse, testing::bench_wire, sizes<config{.max_net = 1}>> {};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  netstack::bench<my_host>();
  benchmark::RunSpecifiedBenchmarks();
}
