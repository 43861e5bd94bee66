// SPDX-License-Identifier: BSL-1.0
// What a frame costs through the driver of examples/own_driver.cpp, each way, with the system call that the far end
// makes for it. Per frame; it is Linux's socket that most of it goes to.
#define main own_driver_example
#include "../../examples/own_driver.cpp"
#undef main

#include <benchmark/benchmark.h>

#include "../../tests/support/heap_counter.hpp"

namespace {

struct bench {
  struct host : stack<host, socket_wire, sizes<config{.max_net = 1, .skb_pool = 256}>> {};
  static constexpr u32 burst = 8;  // what the socket holds
  int ends[2]{-1, -1};
  host h;
  net_device* dev = nullptr;
  u8 frame[64]{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};

  bench() {
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0 || !h.boot({.seed = 1})) return;
    auto made = register_netdev<socket_wire>(h.init_net(), "eth0", {.fd = ends[0], .mac = {{2, 0, 0, 0, 0, 1}}});
    if (made && dev_open(h.init_net(), **made)) dev = *made;
  }
  ~bench() {
    h.shutdown();
    for (int fd : ends) ::close(fd);
  }
};

/// Any heap call is a failure: the number is shown, and the benchmark says so.
void report(benchmark::State& state, bench& b, u64 allocations) {
  state.counters["allocs/op"] = static_cast<double>(allocations) / static_cast<double>(state.iterations());
  if (allocations) state.SkipWithError("the heap was used");
  if (b.h.worker().pool.in_use()) state.SkipWithError("packets leaked");
}

// [tx]
void tx(benchmark::State& state) {
  bench b;
  if (!b.dev) return state.SkipWithError("no device");
  netstack::test::heap_counter heap;
  while (state.KeepRunningBatch(bench::burst)) {
    for (u32 i = 0; i < bench::burst; ++i) {
      sk_buff* skb = b.h.worker().pool.alloc_skb();
      std::memcpy(skb->put(sizeof b.frame), b.frame, sizeof b.frame);
      skb->dev = b.dev;
      (void)dev_queue_xmit(b.h.init_net(), *skb, i + 1 < bench::burst);
    }
    u8 in[64];
    while (::recv(b.ends[1], in, sizeof in, MSG_DONTWAIT) > 0) continue;
  }
  report(state, b, heap.allocations());
}
// [/tx]

void rx(benchmark::State& state) {
  bench b;
  if (!b.dev) return state.SkipWithError("no device");
  netstack::test::heap_counter heap;
  while (state.KeepRunningBatch(bench::burst)) {
    for (u32 i = 0; i < bench::burst; ++i) (void)!::write(b.ends[1], b.frame, sizeof b.frame);
    while (b.h.poll() != 0) continue;
  }
  if (b.dev->stats.rx_packets.read() < static_cast<u64>(state.iterations())) state.SkipWithError("frames were lost");
  report(state, b, heap.allocations());
}

BENCHMARK(tx);
BENCHMARK(rx);

}  // namespace

BENCHMARK_MAIN();
