// SPDX-License-Identifier: BSL-1.0
// What a packet costs before anybody looks at it: allocation and free, one by one and in bursts, clones. Per packet.
#include <benchmark/benchmark.h>

#include <memory>

#include "../heap_calls.hpp"
#include "netstack/skb/skb_ops.hpp"

namespace netstack {
namespace {

constexpr config sizes{};

struct bench {
  std::unique_ptr<skb_pool_storage<sizes, 0>> storage{new skb_pool_storage<sizes, 0>};
  skb_pool pool;
  heap_watch heap;
  explicit bench(benchmark::State& state) : heap{state} { pool.init(*storage); }
  void report(benchmark::State& state, int packets) {
    heap.report();
    state.SetItemsProcessed(state.iterations() * packets);
    if (pool.in_use() || pool.clones_in_use()) state.SkipWithError("packets leaked");
  }
};

void alloc_free(benchmark::State& state) {
  bench b{state};
  for (auto _ : state) {
    sk_buff* skb = b.pool.alloc_skb();
    benchmark::DoNotOptimize(skb);
    consume_skb(*skb);
  }
  b.report(state, 1);
}

void alloc_free_bulk32(benchmark::State& state) {
  bench b{state};
  while (state.KeepRunningBatch(32)) {
    skb_list list;
    b.pool.alloc_bulk(32, list);
    benchmark::DoNotOptimize(list);
    b.pool.free_bulk(list);
  }
  b.report(state, 1);
}

/// 32 held at once, but asked for and returned one at a time.
void alloc_free_single32(benchmark::State& state) {
  bench b{state};
  while (state.KeepRunningBatch(32)) {
    skb_list list;
    for (int i = 0; i < 32; ++i) list.push_back(*b.pool.alloc_skb());
    benchmark::DoNotOptimize(list);
    while (sk_buff* skb = list.pop_front()) consume_skb(*skb);
  }
  b.report(state, 1);
}

void clone(benchmark::State& state) {
  bench b{state};
  sk_buff* skb = b.pool.alloc_skb();
  for (auto _ : state) {
    sk_buff* n = skb_clone(*skb);
    benchmark::DoNotOptimize(n);
    consume_skb(*n);
  }
  consume_skb(*skb);
  b.report(state, 1);
}

void clone_frameless(benchmark::State& state) {
  bench b{state};
  sk_buff* skb = b.pool.alloc_skb();
  sk_buff* first = skb_clone(*skb);
  for (auto _ : state) {
    sk_buff* n = skb_clone(*skb);
    benchmark::DoNotOptimize(n);
    consume_skb(*n);
  }
  consume_skb(*first);
  consume_skb(*skb);
  b.report(state, 1);
}

void copy_1472(benchmark::State& state) {
  bench b{state};
  sk_buff* skb = b.pool.alloc_skb();
  skb->put(1472);
  for (auto _ : state) {
    sk_buff* n = skb_copy(*skb);
    benchmark::DoNotOptimize(n);
    consume_skb(*n);
  }
  consume_skb(*skb);
  b.report(state, 1);
}

/// A frame goes to hardware first and becomes a packet when it is filled (AF_XDP).
void frame_build_skb(benchmark::State& state) {
  bench b{state};
  for (auto _ : state) {
    sk_buff* skb = &b.pool.build_skb(b.pool.alloc_frame(), 256);
    benchmark::DoNotOptimize(skb);
    consume_skb(*skb);
  }
  b.report(state, 1);
}

BENCHMARK(alloc_free)->Name("pool/alloc_free")->Apply(fixed_packets);
BENCHMARK(alloc_free_bulk32)->Name("pool/alloc_free_bulk32")->Apply(fixed_packets);
BENCHMARK(alloc_free_single32)->Name("pool/alloc_free_single32");
BENCHMARK(clone)->Name("pool/clone");
BENCHMARK(clone_frameless)->Name("pool/clone_frameless");
BENCHMARK(copy_1472)->Name("pool/copy/1472");
BENCHMARK(frame_build_skb)->Name("pool/frame_build_skb");

}  // namespace
}  // namespace netstack
