// SPDX-License-Identifier: BSL-1.0
// Measures wire/checksum.hpp beside two yardsticks of the same run: floor/read touches each byte once with the widest
// vectors of the target, which no sum can undercut; floor/plain is the loop of 16-bit words that a textbook shows.
// Names end in the number of bytes; blocks start two bytes off a cache line, as an IP header behind Ethernet does.
#include "netstack/wire/checksum.hpp"

#include <benchmark/benchmark.h>

#include <cstring>

#include "../heap_calls.hpp"

using namespace netstack;

namespace {

struct blocks {
  alignas(cache_line) unsigned char src[9216];
  alignas(cache_line) unsigned char dst[9216];
  blocks() {
    for (std::size_t i = 0; i < sizeof src; ++i) src[i] = static_cast<unsigned char>(i * 131 >> 3);
  }
};

std::size_t hidden_length(benchmark::State const& state) {
  auto len = static_cast<std::size_t>(state.range(0));
  benchmark::DoNotOptimize(len);
  return len;
}
void report(benchmark::State& state, heap_watch const& heap) {
  heap.report();
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void sum(benchmark::State& state) {
  blocks b;
  std::size_t const len = hidden_length(state);
  heap_watch const heap{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(csum_fold(csum_partial(b.src + 2, len, 0)));
    benchmark::ClobberMemory();
  }
  report(state, heap);
}

void copy(benchmark::State& state) {
  blocks b;
  std::size_t const len = hidden_length(state);
  heap_watch const heap{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(csum_fold(csum_partial_copy(b.dst + 42, b.src, len, 0)));
    benchmark::ClobberMemory();
  }
  report(state, heap);
}

void header_in_memory(benchmark::State& state) {
  blocks b;
  auto const* iph = reinterpret_cast<iphdr const*>(b.src + 14);
  heap_watch const heap{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ip_fast_csum(iph, 5));
    benchmark::ClobberMemory();
  }
  heap.report();
}

/// A header written into the frame and summed from its fields, as ip_output does; length and destination change.
void header_from_fields(benchmark::State& state) {
  constexpr be32 saddr = ipv4_addr("192.0.2.1");
  blocks b;
  auto& iph = *reinterpret_cast<iphdr*>(b.dst + 14);
  auto* frame = b.dst;
  benchmark::DoNotOptimize(frame);
  u16 len = 46;
  u32 daddr = 0xc0000202;
  heap_watch const heap{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(len);
    benchmark::DoNotOptimize(daddr);
    iph.ver_ihl = 0x45;
    iph.tos = 0;
    iph.tot_len = be16{len};
    iph.id = {};
    iph.frag_off = be16{ip_df};
    iph.ttl = ip_default_ttl;
    iph.protocol = ipproto::udp;
    iph.saddr = saddr;
    iph.daddr = be32{daddr};
    iph.check = ip_header_csum(iph);
    benchmark::ClobberMemory();
  }
  heap.report();
}

void update(benchmark::State& state) {
  sum16 check{u16{0x1234}};
  be16 from{0x4011}, to{0x3f11};
  heap_watch const heap{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(from);
    benchmark::DoNotOptimize(to);
    csum_replace2(check, from, to);
    benchmark::DoNotOptimize(check);
  }
  heap.report();
}

void floor_read(benchmark::State& state) {
#if defined(__AVX512F__)
  typedef u64 vector __attribute__((vector_size(64)));
#elif defined(__AVX2__)
  typedef u64 vector __attribute__((vector_size(32)));
#else
  typedef u64 vector __attribute__((vector_size(16)));
#endif
  blocks b;
  std::size_t const len = hidden_length(state);
  heap_watch const heap{state};
  for (auto _ : state) {
    vector total[4]{};
    std::size_t at = 0;
    auto const take = [&](std::size_t lane) {
      vector v;
      std::memcpy(&v, b.src + 2 + at, sizeof v);
      total[lane] += v;
      at += sizeof v;
    };
    while (len - at >= 4 * sizeof(vector)) take(0), take(1), take(2), take(3);
    while (at < len) take(0);  // reads past the end, inside the array
    total[0] += total[1] + total[2] + total[3];
    u64 any = total[0][0];
    benchmark::DoNotOptimize(any);
    benchmark::ClobberMemory();
  }
  report(state, heap);
}

void floor_plain(benchmark::State& state) {
  blocks b;
  std::size_t const len = hidden_length(state);
  heap_watch const heap{state};
  for (auto _ : state) {
    u32 total = 0;
    for (std::size_t at = 0; at + 1 < len; at += 2) {
      u16 word;
      std::memcpy(&word, b.src + 2 + at, 2);
      total += word;
    }
    if (len & 1) total += b.src[2 + len - 1];
    benchmark::DoNotOptimize(csum_fold(total));
    benchmark::ClobberMemory();
  }
  report(state, heap);
}

void floor_memcpy(benchmark::State& state) {
  blocks b;
  std::size_t const len = hidden_length(state);
  heap_watch const heap{state};
  for (auto _ : state) {
    std::memcpy(b.dst + 42, b.src, len);
    benchmark::ClobberMemory();
  }
  report(state, heap);
}

}  // namespace

BENCHMARK(sum)->Name("checksum")->Arg(20)->Arg(64)->Arg(256)->Arg(1500)->Arg(9000);
BENCHMARK(copy)->Name("checksum/copy")->Arg(18)->Arg(64)->Arg(1500)->Arg(9000);
BENCHMARK(header_in_memory)->Name("checksum/ip_fast_csum/20");
BENCHMARK(header_from_fields)->Name("checksum/ip_header_csum/20");
BENCHMARK(update)->Name("checksum/csum_replace2/2");
BENCHMARK(floor_read)->Name("floor/read")->Arg(64)->Arg(1500)->Arg(9000);
BENCHMARK(floor_plain)->Name("floor/plain")->Arg(20)->Arg(64)->Arg(1500)->Arg(9000);
BENCHMARK(floor_memcpy)->Name("floor/memcpy")->Arg(18)->Arg(64)->Arg(1500)->Arg(9000);
