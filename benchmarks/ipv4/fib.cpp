// SPDX-License-Identifier: BSL-1.0
// How long a route lookup takes: in a main table of n random prefixes beside the local table of a host with one
// address. `fib/lookup`: lengths 8–32, equally often; `internet`: mostly /24, few beyond, as core routers have them.
// Destinations lie in a random prefix of the table, or anywhere in the address space (`anywhere`). `read`: the caller
// also reads the route's device, one more cache line. `chained`: the next destination depends on the last answer: the
// time until an answer is there, instead of the time it takes from other work. `floor`: three random reads, each
// telling where the next one is, in an array as large as the trie of fib/lookup/100000: what any trie must pay here.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "../heap_calls.hpp"
#include "netstack/ipv4/fib.hpp"

namespace {

using namespace netstack;

using routes = fib_slab<100'100>;
enum class mix { mixed, internet };
enum class where { inside, anywhere };

u8 random_length(std::mt19937& rng, mix m) {
  if (m == mix::mixed) return static_cast<u8>(8 + rng() % 25);
  auto const percent = rng() % 100;
  return static_cast<u8>(percent < 60   ? 24
                         : percent < 90 ? 19 + rng() % 5
                         : percent < 98 ? 12 + rng() % 7
                                        : 25 + rng() % 8);
}

struct world {
  std::unique_ptr<routes> slab = std::make_unique<routes>();
  fib_tables<routes> fib;
  std::vector<be32> destinations;

  world(u32 n, mix m, where w) {
    slab->init();
    fib.init(*slab);
    std::mt19937 rng{1};
    auto local = [&](u32 key, u8 len, rtn type) {
      (void)fib.insert(
          {.fc_table = rt_table::local, .fc_dst_len = len, .fc_type = type, .fc_dst = be32{key}, .fc_oif = 1});
    };
    local(0x7f000000, 8, rtn::local);
    local(0x7f000001, 32, rtn::local);
    local(0x7fffffff, 32, rtn::broadcast);
    local(0x0a000002, 32, rtn::local);
    local(0x0a0000ff, 32, rtn::broadcast);
    (void)fib.insert({.fc_gw4 = be32{0x0a000001}, .fc_oif = 2});
    (void)fib.insert({.fc_dst_len = 24, .fc_dst = be32{0x0a000000}, .fc_oif = 2});
    std::vector<fib_prefix> prefixes{{0x0a000000, 24}};
    while (prefixes.size() < n) {
      u8 const len = random_length(rng, m);
      u32 const key = static_cast<u32>(rng()) & fib_mask(len);
      if (fib.insert({.fc_dst_len = len, .fc_dst = be32{key}, .fc_oif = 3})) prefixes.push_back({key, len});
    }
    for (u32 i = 0; i < 1U << 18; ++i) {
      auto const& p = prefixes[rng() % prefixes.size()];
      u32 const addr = static_cast<u32>(rng());
      destinations.push_back(be32{w == where::inside ? p.key | (addr & ~fib_mask(p.len)) : addr});
    }
  }
  ~world() { fib.flush_all(); }
};

void lookup(benchmark::State& state, mix m, where w, bool read) {
  world const in{static_cast<u32>(state.range(0)), m, w};
  auto const& to = in.destinations;
  std::size_t i = 0;
  heap_watch const heap{state};
  u32 sum = 0;
  for (auto _ : state) {
    fib_info const* fi = in.fib.lookup(to[i++ % (1U << 18)]);
    benchmark::DoNotOptimize(fi);
    if (read) sum += fi->fib_nh_oif;
  }
  benchmark::DoNotOptimize(sum);
  heap.report();
  state.counters["lines"] = in.slab->trie.lines_in_use();
}

void lookup_chained(benchmark::State& state) {
  world const in{static_cast<u32>(state.range(0)), mix::mixed, where::inside};
  auto const& to = in.destinations;
  std::size_t i = 0;
  heap_watch const heap{state};
  for (auto _ : state) i = (i + in.fib.lookup(to[i])->fib_nh_oif) % (1U << 18);
  benchmark::DoNotOptimize(i);
  heap.report();
}

void floor_three_reads(benchmark::State& state) {
  std::mt19937 rng{3};
  std::vector<u32> words(static_cast<std::size_t>(state.range(0)) / sizeof(u32));
  for (u32& w : words) w = static_cast<u32>(rng() % words.size());
  std::vector<u32> starts(1U << 18);
  for (u32& w : starts) w = static_cast<u32>(rng() % words.size());
  std::size_t i = 0;
  heap_watch const heap{state};
  for (auto _ : state) benchmark::DoNotOptimize(words[words[words[starts[i++ % (1U << 18)]]]]);
  heap.report();
}

void lookup_own_address(benchmark::State& state) {
  world const in{1, mix::mixed, where::inside};
  be32 to{0x0a000002};
  heap_watch const heap{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(to);
    benchmark::DoNotOptimize(in.fib.lookup(to));
  }
  heap.report();
}

void insert_erase(benchmark::State& state) {
  world in{static_cast<u32>(state.range(0)), mix::mixed, where::inside};
  std::mt19937 rng{2};
  heap_watch const heap{state};
  for (auto _ : state) {
    auto const len = static_cast<u8>(8 + rng() % 25);
    fib_config const cfg{.fc_dst_len = len, .fc_dst = be32{static_cast<u32>(rng()) & fib_mask(len)}, .fc_priority = 9};
    benchmark::DoNotOptimize(in.fib.insert(cfg));
    benchmark::DoNotOptimize(in.fib.erase(cfg));
  }
  heap.report();
}

BENCHMARK_CAPTURE(lookup, mixed, mix::mixed, where::inside, false)
    ->Name("fib/lookup")
    ->Apply(fixed_packets)
    ->Arg(100)
    ->Arg(10'000)
    ->Arg(100'000);
BENCHMARK_CAPTURE(lookup, read, mix::mixed, where::inside, true)->Name("fib/lookup/read")->Arg(100)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, anywhere, mix::mixed, where::anywhere, false)->Name("fib/lookup/anywhere")->Arg(100'000);
BENCHMARK_CAPTURE(lookup, internet, mix::internet, where::inside, false)->Name("fib/lookup/internet")->Arg(100'000);
BENCHMARK(floor_three_reads)->Name("fib/floor/three_reads")->Arg(1'300'000);
BENCHMARK(lookup_chained)->Name("fib/lookup/chained")->Arg(100)->Arg(100'000);
BENCHMARK(lookup_own_address)->Name("fib/lookup/own_address");
BENCHMARK(insert_erase)->Name("fib/insert_erase")->Arg(100)->Arg(100'000);

}  // namespace
