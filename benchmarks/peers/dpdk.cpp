// SPDX-License-Identifier: BSL-1.0
// netstack_bench_dpdk: DPDK's pools at the work of skb/pool: mempool, the bare objects with a cache per thread, and
// pktmbuf, packets ready to use. Names: dpdk/pool/alloc_free … Built by scripts/bench where libdpdk-dev is installed.
#include <benchmark/benchmark.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>

#include <cstdio>
#include <string>
#include <vector>

namespace {

constexpr unsigned burst = 32, objects = 8191, cache = 256;
rte_mempool* bare = nullptr;
rte_mempool* packets = nullptr;

void mempool(benchmark::State& state) {
  for (auto _ : state) {
    void* object = nullptr;
    if (rte_mempool_get(bare, &object) != 0) return state.SkipWithError("empty");
    benchmark::DoNotOptimize(object);
    rte_mempool_put(bare, object);
  }
}

void mempool_bulk(benchmark::State& state) {
  while (state.KeepRunningBatch(burst)) {
    void* some[burst];
    if (rte_mempool_get_bulk(bare, some, burst) != 0) return state.SkipWithError("empty");
    benchmark::DoNotOptimize(some);
    rte_mempool_put_bulk(bare, some, burst);
  }
}

void pktmbuf(benchmark::State& state) {
  for (auto _ : state) {
    rte_mbuf* m = rte_pktmbuf_alloc(packets);
    if (!m) return state.SkipWithError("empty");
    benchmark::DoNotOptimize(m);
    rte_pktmbuf_free(m);
  }
}

void pktmbuf_bulk(benchmark::State& state) {
  while (state.KeepRunningBatch(burst)) {
    rte_mbuf* some[burst];
    if (rte_pktmbuf_alloc_bulk(packets, some, burst) != 0) return state.SkipWithError("empty");
    benchmark::DoNotOptimize(some);
    rte_pktmbuf_free_bulk(some, burst);
  }
}

BENCHMARK(mempool)->Name("dpdk/mempool/get_put");
BENCHMARK(mempool_bulk)->Name("dpdk/mempool/get_put_bulk32");
BENCHMARK(pktmbuf)->Name("dpdk/pool/alloc_free");
BENCHMARK(pktmbuf_bulk)->Name("dpdk/pool/alloc_free_bulk32");

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  // No huge pages, no devices and (with RUNTIME_DIRECTORY in the environment) no files of the machine's; on the
  // processor that we were pinned to.
  std::vector<std::string> words{argv[0],
                                 "--no-huge",
                                 "--no-pci",
                                 "--no-shconf",
                                 "-m",
                                 "512",
                                 "--no-telemetry",
                                 "-l",
                                 std::to_string(sched_getcpu()),
                                 "--log-level=error"};
  std::vector<char*> args;
  for (auto& w : words) args.push_back(w.data());
  if (rte_eal_init(static_cast<int>(args.size()), args.data()) < 0)
    return std::fputs("rte_eal_init failed\n", stderr), 1;
  bare = rte_mempool_create("bare", objects, 2048, cache, 0, nullptr, nullptr, nullptr, nullptr, SOCKET_ID_ANY, 0);
  packets = rte_pktmbuf_pool_create("packets", objects, cache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (!bare || !packets) return std::fputs("no pool\n", stderr), 1;
  benchmark::RunSpecifiedBenchmarks();
  rte_eal_cleanup();
}
