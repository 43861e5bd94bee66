// SPDX-License-Identifier: BSL-1.0
// Decides: what a benchmark of a composition works with: a booted host with a bench_wire and a neighbour behind it,
// frames of that neighbour, and how a measured loop is reported: per packet, with its heap calls, which must be none,
// if they are counted.
#pragma once
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "netstack/testing/bench_wire.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/icmp.hpp"
#include "netstack/wire/udp.hpp"

#include "netstack/netstack.hpp"

namespace netstack::testing {

struct bench_options {
  u64 (*allocations)() =
      nullptr;         ///< heap calls of the program until now; null: they are not counted, and no row tells
  s64 iterations = 0;  ///< packets of each row; 0: as many as the time allows
};

namespace detail {

inline constexpr be32 bench_addr = ipv4_addr("192.0.2.1"), bench_peer = ipv4_addr("192.0.2.2");  // RFC 5737
inline constexpr mac_addr bench_mac{{2, 0, 0, 0, 0, 1}}, bench_peer_mac{{2, 0, 0, 0, 0, 2}};
inline constexpr u16 bench_port = 7, bench_peer_port = 12'289;

/// An Ethernet frame from the peer with `payload` bytes behind the headers.
struct bench_frame {
  std::vector<u8> bytes;
  static constexpr std::size_t l3 = sizeof(ethhdr), l4 = l3 + sizeof(iphdr);

  bench_frame(u8 protocol, std::size_t payload, be32 daddr = bench_addr) : bytes(l4 + payload) {
    ethhdr const eth{.h_dest = bench_mac, .h_source = bench_peer_mac, .h_proto = be16{eth_p::ip}};
    iphdr iph{.tot_len = be16{static_cast<u16>(bytes.size() - l3)},
              .frag_off = be16{ip_df},
              .ttl = 64,
              .protocol = protocol,
              .saddr = bench_peer,
              .daddr = daddr};
    iph.check = ip_header_csum(iph);
    std::memcpy(bytes.data(), &eth, sizeof eth);
    std::memcpy(bytes.data() + l3, &iph, sizeof iph);
    for (std::size_t i = l4; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i * 7);
  }
  static bench_frame udp(std::size_t payload) {
    bench_frame f{ipproto::udp, udp_hlen + payload};
    auto const len = static_cast<u16>(udp_hlen + payload);
    udphdr uh{.source = be16{bench_peer_port}, .dest = be16{bench_port}, .len = be16{len}};
    std::memcpy(f.bytes.data() + l4, &uh, sizeof uh);
    uh.check = csum_tcpudp_magic(bench_peer, bench_addr, len, ipproto::udp, csum_partial(f.bytes.data() + l4, len, 0));
    std::memcpy(f.bytes.data() + l4, &uh, sizeof uh);
    return f;
  }
  static bench_frame icmp(u8 type, std::size_t payload) {
    bench_frame f{ipproto::icmp, sizeof(icmphdr) + payload};
    icmphdr icmph{.type = type};
    std::memcpy(f.bytes.data() + l4, &icmph, sizeof icmph);
    icmph.checksum = ip_compute_csum(f.bytes.data() + l4, sizeof icmph + payload);
    std::memcpy(f.bytes.data() + l4, &icmph, sizeof icmph);
    return f;
  }
};

/// Repeats round(), which does `ops` times what the row is named after.
template <class Rig, class Round>
void bench_measure(Rig& rig, benchmark::State& state, u32 ops, Round&& round) {
  if (rig.broken) return state.SkipWithError(rig.broken);
  for (u32 i = 0; i < 100; ++i) round();
  auto const heap_calls = rig.options.allocations;
  u32 const in_use = rig.in_use();
  u64 const before = heap_calls ? heap_calls() : 0;
  while (state.KeepRunningBatch(ops)) round();
  if (heap_calls) {
    u64 const calls = heap_calls() - before;
    state.counters["allocs/op"] = static_cast<double>(calls) / static_cast<double>(state.iterations());
    if (calls != 0) state.SkipWithError("the heap was used");
  }
  if (rig.in_use() != in_use) state.SkipWithError("packets leaked");
}

template <class Host>
struct bench_rig {
  using net_t = netstack::net<Host>;
  static constexpr bool has_ipv4 = net_t::template has<ipv4>;

  Host h;
  net_device* dev = nullptr;
  bench_wire::priv* wire = nullptr;
  bench_options options;
  char const* broken = nullptr;  ///< why nothing can be measured

  bench_rig(bench_options const& o, bool csum_off) : options(o) {
    if (!h.boot({.seed = 1})) {
      broken = "boot failed";
      return;
    }
    auto made = register_netdev<bench_wire>(
        net(), "bench0", {.mac = bench_mac, .features = csum_off ? netif_f::rxcsum | netif_f::hw_csum : 0});
    if (!made || !dev_open(net(), **made)) {
      broken = "no device";
      return;
    }
    dev = *made;
    wire = &netdev_priv<bench_wire>(*dev);
    if constexpr (has_ipv4) {
      if (!dev_open(net(), *net().loopback_dev) ||
          !inet_addr_add(net(), dev->ifindex, *ipv4_prefix::make(bench_addr, 24)) ||
          !neigh_add(net(), dev->ifindex, bench_peer, bench_peer_mac))
        broken = "no address";
    }
    while (h.poll() != 0) continue;
  }
  net_t& net() { return h.init_net(); }
  skb_pool& pool() { return h.worker().pool; }
  void load(bench_frame const& f, bool copy) { bench_wire::load(net(), *dev, f.bytes, copy); }
  void receive(u32 burst) {
    wire->waiting = burst;
    h.poll();
  }
  /// A packet of this frame at its network header, as ptype handlers get it. Null: the pool is empty.
  sk_buff* received(bench_frame const& f) {
    sk_buff* skb = pool().alloc_skb();
    if (!skb) return nullptr;
    std::memcpy(skb->put(static_cast<u32>(f.bytes.size())), f.bytes.data(), f.bytes.size());
    eth_type_trans(*skb, *dev);
    receive_prepare(net(), *skb);
    return skb;
  }

  u32 in_use() { return pool().in_use(); }
  template <class Round>
  void measure(benchmark::State& state, u32 ops, Round&& round) {
    bench_measure(*this, state, ops, round);
  }
};

template <class Run>
void bench_register(bench_options const& o, std::string const& name, Run run) {
  auto* row = benchmark::RegisterBenchmark(name.c_str(), run);
  if (o.iterations != 0) row->Iterations(o.iterations);
}
/// Registers a row; each run of it has a rig of its own.
template <class Rig, class Body>
void bench_row_of(bench_options const& o, std::string const& name, bool csum_off, Body body) {
  bench_register(o, name + (csum_off ? "/csum_off" : ""), [=](benchmark::State& state) {
    auto rig = std::make_unique<Rig>(o, csum_off);
    if (rig->broken) return state.SkipWithError(rig->broken);
    body(state, *rig);
  });
}
/// Registers a row whose runs go on with the rig that an earlier one left in `kept`, also one of another row, if it
/// `fits`.
template <class Rig, class Fits, class Body>
void bench_row_kept(bench_options const& o, std::string const& name, std::shared_ptr<std::unique_ptr<Rig>> kept,
                    Fits fits, Body body) {
  bench_register(o, name, [=](benchmark::State& state) {
    auto& rig = *kept;
    if (rig && (rig->broken || !fits(*rig))) rig.reset();
    if (!rig) rig = std::make_unique<Rig>(o, false);
    if (rig->broken) return state.SkipWithError(rig->broken);
    body(state, *rig);
  });
}
template <class Host, class Body>
void bench_row(bench_options const& o, std::string const& name, bool csum_off, Body body) {
  bench_row_of<bench_rig<Host>>(o, name, csum_off, body);
}

}  // namespace detail

}  // namespace netstack::testing
