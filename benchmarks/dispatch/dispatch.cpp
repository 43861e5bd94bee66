// SPDX-License-Identifier: BSL-1.0
// How a packet finds its handler: compare chain, dense array, switch, std::function, through a composition's real
// tables. Four hops: ptype_base, then three times inet_protos, the key of each hop read from the packet. `same`: every
// packet takes one way; `mixed`: 8 ways a hop, at random. A packet is allocated and freed in each round; a burst is 32
// of them.
#include <benchmark/benchmark.h>

#include <array>
#include <functional>

#include "netstack/stack/stack.hpp"

namespace {

using namespace netstack;

constexpr u8 ways = 8;

template <class Strategy>
struct fixture {
  // Protocol 16 * hop + way: its handler reads the next key and dispatches on, the last consumes.
  template <class Net>
  static verdict next(Net& net, sk_buff& skb) {
    u8 const key = *skb.data;
    skb.pull(1);
    return Strategy::template inet<Net>(net, skb, key);
  }
  template <class Net, u8 Protocol>
  static NETSTACK_NOINLINE verdict handler(Net& net, sk_buff& skb) {
    skb.mark += Protocol;
    if constexpr (Protocol >= 48)
      return verdict::consumed();
    else
      return next(net, skb);
  }
  template <class Net>
  static NETSTACK_NOINLINE verdict link_handler(Net& net, sk_buff& skb) {
    return next(net, skb);
  }

  struct protocols : module {
    template <class Net, u8... I>
    static constexpr auto rows(std::integer_sequence<u8, I...>) {
      return std::array{net_protocol<Net>{.protocol = static_cast<u8>(16 * (I / ways + 1) + I % ways),
                                          .handler = handler<Net, static_cast<u8>(16 * (I / ways + 1) + I % ways)>}...};
    }
    template <class Net>
    static constexpr std::array net_protocols = rows<Net>(std::make_integer_sequence<u8, 3 * ways>{});
    template <class Net>
    static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::ip, .func = link_handler<Net>},
                                             packet_type<Net>{.type = eth_p::arp, .func = link_handler<Net>},
                                             packet_type<Net>{.type = eth_p::ipv6, .func = link_handler<Net>},
                                             packet_type<Net>{.type = 0x88b5, .func = link_handler<Net>}};
  };
  struct host : stack<host, protocols, sizes<config{.max_net = 1, .skb_pool = 256, .headroom = 64}>> {};
};

struct dense_array {
  static constexpr char const* name = "dense_array";
  template <class Net>
  static verdict inet(Net& net, sk_buff& skb, u8 key) {
    auto const* p = Net::inet_protos[key];
    if (!p) [[unlikely]]
      return verdict::consumed();
    return p->handler(net, skb);
  }
};
struct compare_chain {
  static constexpr char const* name = "compare_chain";
  template <class Net>
  static verdict inet(Net& net, sk_buff& skb, u8 key) {
    verdict v = verdict::consumed();
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((Net::inet_protos.rows[I].protocol == key && (v = Net::inet_protos.rows[I].handler(net, skb), true)) ||
             ...);
    }
    (std::make_index_sequence<Net::inet_protos.rows.size()>{});
    return v;
  }
};
struct switch_statement {
  static constexpr char const* name = "switch";
  template <class Net>
  static verdict inet(Net& net, sk_buff& skb, u8 key) {
    switch (key) {
#define NETSTACK_CASE(I)                  \
  case Net::inet_protos.rows[I].protocol: \
    return Net::inet_protos.rows[I].handler(net, skb);
#define NETSTACK_CASES(I) NETSTACK_CASE(I) NETSTACK_CASE(I + 1) NETSTACK_CASE(I + 2) NETSTACK_CASE(I + 3)
      NETSTACK_CASES(0)
      NETSTACK_CASES(4)
      NETSTACK_CASES(8) NETSTACK_CASES(12) NETSTACK_CASES(16) NETSTACK_CASES(20) default : return verdict::consumed();
    }
  }
};
struct std_function {
  static constexpr char const* name = "std_function";
  template <class Net>
  static auto& table() {
    static std::array<std::function<verdict(Net&, sk_buff&)>, 256> functions = [] {
      std::array<std::function<verdict(Net&, sk_buff&)>, 256> f;
      for (auto const& row : Net::inet_protos.rows) f[row.protocol] = row.handler;
      return f;
    }();
    return functions;
  }
  template <class Net>
  static verdict inet(Net& net, sk_buff& skb, u8 key) {
    auto const& f = table<Net>()[key];
    if (!f) [[unlikely]]
      return verdict::consumed();
    return f(net, skb);
  }
};

/// The packets' keys, three a packet.
struct traffic {
  static constexpr std::size_t packets = 4096;
  std::array<std::array<u8, 3>, packets> keys;
  explicit traffic(bool mixed) {
    prng random{1};
    for (auto& k : keys)
      for (u8 hop = 0; hop < 3; ++hop)
        k[hop] = static_cast<u8>(16 * (hop + 1) + (mixed ? random.next_u32() % ways : 3));
  }
};

template <class Strategy>
void run(benchmark::State& state, bool mixed, u32 burst) {
  using host = typename fixture<Strategy>::host;
  host h;
  if (!h.boot({.seed = 1})) return state.SkipWithError("boot failed");
  auto& net = h.init_net();
  auto& pool = h.worker().pool;
  net_device& dev = *net.loopback_dev;
  traffic const t{mixed};
  std::size_t at = 0;
  for (auto _ : state) {
    skb_list list;
    for (u32 i = 0; i < burst; ++i) {
      sk_buff* skb = pool.alloc_skb();
      std::memcpy(skb->put(3), t.keys[at++ % traffic::packets].data(), 3);
      skb->dev = &dev;
      skb->protocol = be16{eth_p::ip};
      list.push_back(*skb);
    }
    netif_receive_skb_list(net, list);
  }
  state.SetItemsProcessed(static_cast<s64>(state.iterations()) * burst);
}

template <class Strategy>
void add() {
  for (bool mixed : {false, true})
    for (u32 burst : {1u, 32u})
      benchmark::RegisterBenchmark((std::string("dispatch/") + Strategy::name + (mixed ? "/mixed" : "/same") +
                                    (burst == 1 ? "/single" : "/burst32"))
                                       .c_str(),
                                   [=](benchmark::State& s) { run<Strategy>(s, mixed, burst); });
}

}  // namespace

int main(int argc, char** argv) {
  add<dense_array>();
  add<compare_chain>();
  add<switch_statement>();
  add<std_function>();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
