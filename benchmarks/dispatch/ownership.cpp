// SPDX-License-Identifier: BSL-1.0
// How a packet's owner travels: `sk_buff&` with a verdict and one place that frees, against a move-only skb_ptr by
// value. Four hops through function tables that the compiler cannot see through; a packet is allocated and freed each
// round.
#include <benchmark/benchmark.h>

#include "netstack/base/sizes.hpp"
#include "netstack/skb/skb_ptr.hpp"
#include "netstack/skb/verdict.hpp"

namespace {

using namespace netstack;

constexpr config bounds{.skb_pool = 256, .headroom = 64};

struct rig {
  skb_pool_storage<bounds, 0> storage;
  skb_pool pool;
  rig() { pool.init(storage); }
};

using by_reference = verdict (*)(sk_buff&);
using by_value = bool (*)(skb_ptr);
extern by_reference volatile reference_table[4];
extern by_value volatile value_table[4];

template <int Hop>
NETSTACK_NOINLINE verdict reference_hop(sk_buff& skb) {
  skb.mark += Hop;
  if constexpr (Hop == 3)
    return verdict::consumed();
  else
    return reference_table[Hop + 1](skb);
}
template <int Hop>
NETSTACK_NOINLINE bool value_hop(skb_ptr skb) {
  skb->mark += Hop;
  if constexpr (Hop == 3)
    return true;
  else
    return value_table[Hop + 1](std::move(skb));
}
by_reference volatile reference_table[4] = {reference_hop<0>, reference_hop<1>, reference_hop<2>, reference_hop<3>};
by_value volatile value_table[4] = {value_hop<0>, value_hop<1>, value_hop<2>, value_hop<3>};

void verdict_by_reference(benchmark::State& state) {
  auto r = std::make_unique<rig>();
  auto const burst = static_cast<u32>(state.range(0));
  for (auto _ : state) {
    skb_list list;
    for (u32 i = 0; i < burst; ++i) list.push_back(*r->pool.alloc_skb());
    while (sk_buff* skb = list.pop_front())
      if (!reference_table[0](*skb).is_kept()) consume_skb(*skb);
  }
  state.SetItemsProcessed(static_cast<s64>(state.iterations()) * burst);
}
void skb_ptr_by_value(benchmark::State& state) {
  auto r = std::make_unique<rig>();
  auto const burst = static_cast<u32>(state.range(0));
  for (auto _ : state) {
    skb_list list;
    for (u32 i = 0; i < burst; ++i) list.push_back(*r->pool.alloc_skb());
    while (sk_buff* skb = list.pop_front()) benchmark::DoNotOptimize(value_table[0](skb_ptr(skb)));
  }
  state.SetItemsProcessed(static_cast<s64>(state.iterations()) * burst);
}
BENCHMARK(verdict_by_reference)->Name("ownership/sk_buff_ref_and_verdict")->Arg(1)->Arg(32);
BENCHMARK(skb_ptr_by_value)->Name("ownership/skb_ptr_by_value")->Arg(1)->Arg(32);

}  // namespace
