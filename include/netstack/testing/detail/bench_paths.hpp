// SPDX-License-Identifier: BSL-1.0
// Decides: the benchmarks of whole ways through a composition, from the driver's edge to the application and back.
//   rx/udp/N      a burst arrives, the application looks at each payload where it lies, and it is freed
//   rx/udp_queued the same through the socket's queue, one receive() a datagram
//   tx/udp/N      the application's bytes are copied into packets, summed, given headers and sent, a burst a call
//   tx/udp_fill   the application fills packets of the pool itself
//   tx/udp_send   by send(), one call a datagram
//   echo/udp/N    arrives (copied in), goes back as it is to whom it came from
//   echo/icmp/N   a ping, answered by the stack
// N: bytes of payload. A burst of 32 is the unit; `/single`: one frame a poll(), which then pays for the clock alone.
#pragma once
#include "netstack/testing/detail/bench_rig.hpp"

namespace netstack::testing::detail {

inline constexpr u32 bench_burst = 32;

template <class Host>
struct bench_udp {
  using socket = udp_socket<netstack::net<Host>>;
  socket s;
  u64 got = 0, seen = 0;

  explicit bench_udp(bench_rig<Host>& rig) : s(rig.net()) {
    if (!s.open() || !s.bind(inet_addr_of(be32{}, bench_port))) rig.broken = "no socket";
  }
  void drain() {
    while (auto d = s.receive()) {
      seen += *d->skb->data;
      ++got;
    }
  }
  static void look(void* self, skb_list& list) {
    auto& app = *static_cast<bench_udp*>(self);
    app.got += list.count;
    u64 seen = 0;
    for (sk_buff const* skb = list.first; skb; skb = skb->next) seen += *skb->data;
    app.seen += seen;
  }
  static bool is_from(sk_buff const& skb, sockaddr_in const& peer) {
    return skb.transport_hdr<udphdr>()->source == peer.sin_port && ip_hdr(skb)->saddr == peer.sin_addr.s_addr;
  }
  static void echo(void* self, skb_list& list) {
    auto& s = static_cast<bench_udp*>(self)->s;
    while (!list.empty()) {
      auto const from = udp_source(*list.first);
      sk_buff* last = list.first;  // of neighbours from one peer
      u32 n = 1;
      for (; last->next && is_from(*last->next, from); last = last->next) ++n;
      skb_list same = list.cut_front(*last, n);
      (void)s.send(same, from);
    }
  }
};

template <class Host>
void bench_rx_udp(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  bench_udp<Host> app{rig};
  app.s.on_datagrams(bench_udp<Host>::look, &app);
  rig.load(bench_frame::udp(payload), false);
  u64 offered = 0;
  rig.measure(state, burst, [&] {
    rig.receive(burst);
    offered += burst;
  });
  if (app.got != offered) state.SkipWithError("datagrams were lost");
}

template <class Host>
void bench_rx_udp_queued(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  bench_udp<Host> app{rig};
  rig.load(bench_frame::udp(payload), false);
  u64 offered = 0;
  rig.measure(state, burst, [&] {
    rig.receive(burst);
    app.drain();
    offered += burst;
  });
  if (app.got != offered) state.SkipWithError("datagrams were lost");
}

template <class Host>
void bench_echo_udp(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  bench_udp<Host> app{rig};
  app.s.on_datagrams(bench_udp<Host>::echo, &app);
  rig.load(bench_frame::udp(payload), true);
  u64 offered = 0;
  rig.measure(state, burst, [&] {
    rig.receive(burst);
    bench_wire::complete(rig.net(), *rig.dev);
    offered += burst;
  });
  if (rig.wire->sent != offered) state.SkipWithError("datagrams were lost");
}

template <class Host>
void bench_tx_udp(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  bench_udp<Host> app{rig};
  if (!app.s.connect(inet_addr_of(bench_peer, bench_peer_port))) rig.broken = "no route";
  std::vector<u8> text(payload, 0x5a);
  std::vector<iovec> const messages(burst, iovec{text.data(), payload});
  u64 taken = 0, offered = 0;
  rig.measure(state, burst, [&] {
    benchmark::DoNotOptimize(text.data());
    benchmark::ClobberMemory();
    taken += app.s.send(messages).value_or(0);
    bench_wire::complete(rig.net(), *rig.dev);
    offered += burst;
  });
  if (taken != offered || rig.wire->sent != offered) state.SkipWithError("datagrams were lost");
}

/// The application fills packets of the pool itself, and sends the burst.
template <class Host>
void bench_fill_udp(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  bench_udp<Host> app{rig};
  if (!app.s.connect(inet_addr_of(bench_peer, bench_peer_port))) rig.broken = "no route";
  std::vector<u8> const text(payload, 0x5a);
  u64 taken = 0, offered = 0;
  rig.measure(state, burst, [&] {
    skb_list list;
    rig.pool().alloc_bulk(burst, list);
    for (sk_buff* skb = list.first; skb; skb = skb->next) app.s.fill(*skb, text);
    taken += app.s.send(list).value_or(0);
    bench_wire::complete(rig.net(), *rig.dev);
    offered += burst;
  });
  if (taken != offered || rig.wire->sent != offered) state.SkipWithError("datagrams were lost");
}

/// The same by the BSD calls, one a datagram.
template <class Host>
void bench_sendto_udp(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  bench_udp<Host> app{rig};
  if (!app.s.connect(inet_addr_of(bench_peer, bench_peer_port))) rig.broken = "no route";
  std::vector<u8> const text(payload, 0x5a);
  u64 taken = 0, offered = 0;
  rig.measure(state, burst, [&] {
    for (u32 i = 0; i < burst; ++i) taken += netstack::send(rig.net(), app.s.fd(), text.data(), payload).has_value();
    bench_wire::complete(rig.net(), *rig.dev);
    offered += burst;
  });
  if (taken != offered || rig.wire->sent != offered) state.SkipWithError("datagrams were lost");
}

template <class Host>
void bench_echo_icmp(benchmark::State& state, bench_rig<Host>& rig, std::size_t payload, u32 burst) {
  rig.load(bench_frame::icmp(icmp_type::echo, payload), true);
  u64 offered = 0;
  rig.measure(state, burst, [&] {
    rig.receive(burst);
    bench_wire::complete(rig.net(), *rig.dev);
    offered += burst;
  });
  if (rig.wire->sent != offered) state.SkipWithError("pings were lost");
}

template <class Host>
void bench_paths(bench_options const& o) {
  using rig = bench_rig<Host>;
  using way = void (*)(benchmark::State&, rig&, std::size_t, u32);
  auto const add = [&](std::string const& name, way run, std::initializer_list<std::size_t> sizes) {
    for (std::size_t const payload : sizes)
      for (bool const csum_off : {false, true})
        for (u32 const burst : {bench_burst, 1u}) {
          auto const full = name + "/" + std::to_string(payload) + (burst == 1 ? "/single" : "");
          bench_row<Host>(o, full, csum_off, [=](benchmark::State& state, rig& r) { run(state, r, payload, burst); });
        }
  };
  if constexpr (netstack::net<Host>::template has<udp>) {
    add("rx/udp_queued", bench_rx_udp_queued<Host>, {18u, 1472u});
    add("rx/udp", bench_rx_udp<Host>, {18u, 64u, 1472u});
    add("echo/udp", bench_echo_udp<Host>, {18u, 64u, 1472u});
    add("tx/udp", bench_tx_udp<Host>, {18u, 64u, 1472u});
    add("tx/udp_fill", bench_fill_udp<Host>, {18u, 1472u});
    add("tx/udp_send", bench_sendto_udp<Host>, {18u, 1472u});
  }
  if constexpr (netstack::net<Host>::template has<ipv4>) add("echo/icmp", bench_echo_icmp<Host>, {18u, 1472u});
}

}  // namespace netstack::testing::detail
