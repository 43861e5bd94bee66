// SPDX-License-Identifier: BSL-1.0
// Decides: the benchmarks of each layer alone, on one packet that stays in the cache: what a layer costs at least.
// layer/ip/<protocol>: every protocol of the composition that is named and is not UDP or ICMP, a user's own too: a
// burst for it arrives, from the driver's edge until its handler is done.
#pragma once
#include "netstack/testing/detail/bench_paths.hpp"

namespace netstack::testing::detail {

template <class Host>
void bench_eth(benchmark::State& state, bench_rig<Host>& rig) {
  sk_buff* skb = rig.received(bench_frame::udp(18));
  rig.measure(state, 1, [&] {
    skb->push(eth_hlen);
    eth_type_trans(*skb, *rig.dev);
    benchmark::ClobberMemory();
  });
  consume_skb(*skb);
}

template <class Host>
void bench_ip_rcv(benchmark::State& state, bench_rig<Host>& rig) {
  sk_buff* skb = rig.received(bench_frame::udp(18));
  rig.measure(state, 1, [&] {
    benchmark::DoNotOptimize(netstack::detail::ip_rcv_core(rig.net(), *skb));
    benchmark::ClobberMemory();
  });
  consume_skb(*skb);
}

template <class Host>
void bench_route_input(benchmark::State& state, bench_rig<Host>& rig) {
  sk_buff* skb = rig.received(bench_frame::udp(18));
  rig.measure(state, 1, [&] {
    benchmark::DoNotOptimize(ip_route_input_noref(rig.net(), *skb, nullptr));
    skb_dst_drop(*skb);
    benchmark::ClobberMemory();
  });
  consume_skb(*skb);
}

template <class Host>
void bench_route_output(benchmark::State& state, bench_rig<Host>& rig) {
  rig.measure(state, 1, [&] {
    flowi4 fl4{.daddr = bench_peer, .proto = ipproto::udp};
    benchmark::DoNotOptimize(ip_route_output_key(rig.net(), fl4));
    benchmark::ClobberMemory();
  });
}

template <class Host>
void bench_neighbour(benchmark::State& state, bench_rig<Host>& rig) {
  rig.measure(state, 1, [&] {
    benchmark::DoNotOptimize(ip_neigh(rig.net(), *rig.dev, bench_peer));
    benchmark::ClobberMemory();
  });
}

/// A request that is answered: through the whole of the device layer.
template <class Host>
void bench_arp_reply(benchmark::State& state, bench_rig<Host>& rig) {
  bench_frame f{0, sizeof(arphdr) - sizeof(iphdr)};
  ethhdr const eth{.h_dest = bench_mac, .h_source = bench_peer_mac, .h_proto = be16{eth_p::arp}};
  arphdr const arp{.ar_op = be16{arpop::request},
                   .ar_sha = bench_peer_mac,
                   .ar_sip = bench_peer,
                   .ar_tha = {},
                   .ar_tip = bench_addr};
  std::memcpy(f.bytes.data(), &eth, sizeof eth);
  std::memcpy(f.bytes.data() + sizeof eth, &arp, sizeof arp);
  rig.load(f, true);
  rig.measure(state, bench_burst, [&] {
    rig.receive(bench_burst);
    bench_wire::complete(rig.net(), *rig.dev);
  });
  if (rig.wire->sent == 0) state.SkipWithError("requests were not answered");
}

template <class Host>
void bench_icmp_rcv(benchmark::State& state, bench_rig<Host>& rig) {
  sk_buff* skb = rig.received(bench_frame::icmp(icmp_type::echoreply, 18));
  skb->pull(sizeof(iphdr));
  skb->reset_transport_header();
  rig.measure(state, 1, [&] {
    skb->rx_l4_valid = 0;
    benchmark::DoNotOptimize(icmp_rcv(rig.net(), *skb));
    skb->push(sizeof(icmphdr));
    benchmark::ClobberMemory();
  });
  consume_skb(*skb);
}

/// n sockets on as many ports of as many local addresses as it takes; each look-up asks for another one.
template <class Host>
void bench_udp_lookup(benchmark::State& state, bench_rig<Host>& rig, u32 n) {
  constexpr u32 ports = 50'000;
  auto& net = rig.net();
  for (u32 i = 0; i < n; ++i) {
    auto const fd = netstack::socket(net, af::inet, sock_type::dgram);
    be32 const addr{0x7f000001 + i / ports};
    if (!fd || !netstack::bind(net, *fd, inet_addr_of(addr, static_cast<u16>(1024 + i % ports)))) {
      rig.broken = "not so many sockets";
      break;
    }
  }
  u32 i = 0, found = 0, asked = 0;
  rig.measure(state, 1, [&] {
    i = (i + 7919) % n;
    udp_key const key{.saddr = bench_peer,
                      .sport = be16{bench_peer_port},
                      .daddr = be32{0x7f000001 + i / ports},
                      .hnum = static_cast<u16>(1024 + i % ports),
                      .dif = 1};
    found += udp4_lib_lookup(net, key) != nullptr;
    ++asked;
  });
  if (found != asked) state.SkipWithError("a socket was not found");
}

template <class Host>
void bench_timers(benchmark::State& state, bench_rig<Host>& rig) {
  timer_list t;
  t.function = [](void*, timer_list&) {};
  auto& timers = rig.h.worker().timers;
  u64 const now = rig.h.worker().now;
  u64 i = 0;
  rig.measure(state, 1, [&] { timers.mod_timer(t, now + 1'000'000 + ++i % 1024 * 100'000); });
  timers.del_timer(t);
}

template <class Host>
void bench_sysctl_read(benchmark::State& state, bench_rig<Host>& rig) {
  char text[32];
  rig.measure(state, 1, [&] {
    benchmark::DoNotOptimize(sysctl_read(rig.net(), "net/ipv4/ip_default_ttl", text));
    benchmark::ClobberMemory();
  });
}

/// A poll() that finds nothing to do: the price of the clock, and of looking.
template <class Host>
void bench_idle_poll(benchmark::State& state, bench_rig<Host>& rig) {
  rig.measure(state, 1, [&] { rig.h.poll(); });
}

template <class Host>
void bench_protocol(benchmark::State& state, bench_rig<Host>& rig, u8 protocol) {
  rig.load(bench_frame{protocol, 64}, true);
  rig.measure(state, bench_burst, [&] {
    rig.receive(bench_burst);
    rig.h.poll();
    bench_wire::complete(rig.net(), *rig.dev);
  });
}

template <class Host>
void bench_layers(bench_options const& o) {
  using rig = bench_rig<Host>;
  using net_t = netstack::net<Host>;
  auto const add = [&](std::string const& name, void (*run)(benchmark::State&, rig&)) {
    bench_row<Host>(o, "layer/" + name, false, run);
  };
  add("eth", bench_eth<Host>);
  add("timers", bench_timers<Host>);
  add("idle_poll", bench_idle_poll<Host>);
  if constexpr (net_t::template has<ipv4>) {
    add("ip_rcv", bench_ip_rcv<Host>);
    add("route_input", bench_route_input<Host>);
    add("route_output", bench_route_output<Host>);
    add("neighbour", bench_neighbour<Host>);
    add("arp_reply", bench_arp_reply<Host>);
    add("icmp_rcv", bench_icmp_rcv<Host>);
    add("sysctl_read", bench_sysctl_read<Host>);
    for (auto const& row : net_t::inet_protos.rows)
      if (row.protocol != ipproto::udp && row.protocol != ipproto::icmp && *row.name)
        bench_row<Host>(o, std::string("layer/ip/") + row.name, false,
                        [p = row.protocol](benchmark::State& state, rig& r) { bench_protocol(state, r, p); });
  }
  if constexpr (net_t::template has<udp>)
    for (u32 const n : {1u, 1'000u, 100'000u})
      if (n <= Host::sizes.max_sock && n <= Host::sizes.max_handle)
        bench_row<Host>(o, "layer/udp_lookup/" + std::to_string(n), false,
                        [n](benchmark::State& state, rig& r) { bench_udp_lookup(state, r, n); });
}

}  // namespace netstack::testing::detail
