// SPDX-License-Identifier: BSL-1.0
// Decides: the benchmarks of TCP, for a composition that lists tcp and drivers::pipe.
//   tcp/bulk/{1460,16K,64K}   two stacks on one thread: 44 full segments at once, written 1, 11 or 44 a call, copied
//                             once on the wire, looked at where they lie; per segment: 1448 bytes, since it has a
//                             time stamp; bulk/1460/single, 16K/single: what one call writes at once;
//                             bulk/64K/bare, as rr/1/bare: of connections without time stamps, 1460 bytes a segment
//   tcp/bulk_gso/64K          the same over a device that takes several segments as one packet and sums nothing,
//   between
//                             two namespaces of one stack, as Linux's veth is between two of one kernel: on the wire
//                             packets are handed over; bulk_gso/64K/apart: between two stacks, by a copy
//   tcp/rr/1                  a byte there and a byte back, on 32 connections at once; rr/1/single: on one;
//                             rr/1/single/idle/1M: while a million others are open
//   tcp/connect_close/N       connect, accept, both ends closed, of 32 connections at once, while N others are open;
//                             connect_close/N/single: of one
//   tcp/rx_inorder, rx_ack, rx_ooo   from the driver's edge: 64 bytes that are expected next, and read; an
//                             acknowledgment that frees a segment; 64 bytes behind a gap (one of 32 fills it)
// The two stacks run on a clock that costs nothing and moves only between rounds: no timer depends on how fast the
// machine is. Handshakes and idle connections are made beforehand.
#pragma once
#include "netstack/drivers/pipe.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_zerocopy.hpp"
#include "netstack/testing/detail/bench_paths.hpp"
#include "netstack/wire/tcp_options.hpp"

namespace netstack::testing::detail {

/// With a time stamp, and without.
inline constexpr u32 bench_mss = 1448, bench_bare_mss = 1460;
/// What is on its way at once in tcp/bulk, and how much of it a call writes.
inline constexpr u32 bench_round = 44 * bench_mss;
inline constexpr struct {
  char const* name;
  u32 write, round;
} bench_writes[]{{"1460", bench_mss, bench_round},
                 {"1460/single", bench_mss, bench_mss},
                 {"16K", 11 * bench_mss, bench_round},
                 {"16K/single", 11 * bench_mss, 11 * bench_mss},
                 {"64K", bench_round, bench_round}};
/// How rows of many connections end, and how many of them do at once what is measured.
inline constexpr std::pair<char const*, u32> bench_at_once[]{{"", bench_burst}, {"/single", 1}};

/// Time that passes when the benchmark says so.
struct bench_clock {
  u64 now = 1'000'000'000;
  clock_source source() {
    auto const read = [](void* self) { return static_cast<bench_clock*>(self)->now; };
    return {read, read, this};
  }
};

template <class Host>
struct bench_tcp_pair {
  using net_t = netstack::net<Host>;
  /// That b listens on, from bench_port. A million idle connections are to all of them, or else a client that opens
  /// another would find most of its own ports taken; the others are to the first few.
  static constexpr u16 ports = 256, busy_ports = 64;

  bench_clock clock;
  drivers::pipe_cable cable;
  Host a, b;
  Host* far = &b;  ///< where the peer is: in a namespace of a's, if it is not in b
  net_t* nets[2]{};
  bench_options options;
  char const* broken = nullptr;
  int listeners[ports]{};
  u32 next_port = 0;
  u32 opened = 0;  ///< connections, idle ones that are to stay so

  bench_tcp_pair(bench_options const& o, bool csum_off)
      : bench_tcp_pair(o, netif_f::sg | netif_f::fraglist | (csum_off ? netif_f::hw_csum : 0)) {}
  bench_tcp_pair(bench_options const& o, u32 features, bool apart = true) : options(o) {
    nets[0] = boot(a, 1);
    if (apart)
      nets[1] = boot(b, 2);
    else if (far = &a; !broken)
      nets[1] = a.copy_net_ns().value_or(nullptr);
    if (!nets[1]) broken = "no namespace";
    if (broken) return;
    plug(*nets[0], 0, features, bench_addr, bench_peer, bench_peer_mac);
    plug(*nets[1], 1, features, bench_peer, bench_addr, bench_mac);
    if (broken) return;
    run();
    for (u16 i = 0; i < ports; ++i) {
      auto const fd = netstack::socket(net_b(), af::inet, sock_type::stream | sock_type::nonblock);
      if (!fd || !bind(net_b(), *fd, name(i)) || !listen(net_b(), *fd, -1)) broken = "no listener";
      listeners[i] = fd.value_or(-1);
    }
  }
  net_t& net_a() { return *nets[0]; }
  net_t& net_b() { return *nets[1]; }
  /// When all is acknowledged, and nothing is in the cable's rings.
  u32 in_use() {
    clock.now += 1'000'000'000;
    run();
    run();
    return a.worker().pool.in_use() + (far == &a ? 0 : b.worker().pool.in_use());
  }
  static sockaddr_in name(u32 i) { return inet_addr_of(bench_peer, static_cast<u16>(bench_port + i)); }
  void run() {
    while (a.poll() + far->poll() != 0) continue;
  }
  struct ends {
    int client = -1, server = -1;
  };
  /// Connections, opened at once; to which of so many ports changes from one to the next.
  void connect(std::span<ends> all, u32 among = busy_ports) {
    u32 const first = next_port;
    for (auto& e : all) {
      e.client = netstack::socket(net_a(), af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
      (void)netstack::connect(net_a(), e.client, name(next_port++ % among));
    }
    far->poll(), a.poll(), far->poll();
    for (u32 port = first; auto& e : all) {
      e.server = accept(net_b(), listeners[port++ % among], nullptr, nullptr, sock_type::nonblock).value_or(-1);
      if (e.client < 0 || e.server < 0) broken = "no connection";
    }
  }
  ends connect() {
    ends e;
    connect({&e, 1});
    return e;
  }
  /// So many connections stay open, and idle.
  void keep(u32 open) {
    for (ends e; opened < open && !broken; ++opened) connect({&e, 1}, ports);
  }
  /// Both ends, the client's first; how many servers read the end of it.
  u32 close(std::span<ends const> all) {
    u32 ended = 0;
    for (auto const& e : all) (void)netstack::close(net_a(), e.client);
    far->poll();
    for (auto const& e : all) {
      char byte;
      auto const end = recv(net_b(), e.server, &byte, 1);
      ended += end && *end == 0;
      (void)netstack::close(net_b(), e.server);
    }
    a.poll(), far->poll();
    return ended;
  }
  template <class Round>
  void measure(benchmark::State& state, u32 ops, Round&& round) {
    bench_measure(*this, state, ops, round);
  }

 private:
  net_t* boot(Host& h, u64 seed) {
    if (h.boot({.clock = clock.source(), .seed = seed})) return &h.init_net();
    broken = "boot failed";
    return nullptr;
  }
  void plug(net_t& net, u8 end, u32 features, be32 addr, be32 peer, mac_addr const& peer_mac) {
    drivers::pipe::params params{.cables = &cable, .end = end, .wakeup = false, .features = features};
    params.mac = end == 0 ? bench_mac : bench_peer_mac;
    auto const dev = register_netdev<drivers::pipe>(net, "bench0", params);
    if (!dev || !dev_open(net, **dev) || !dev_open(net, *net.loopback_dev) ||
        !inet_addr_add(net, (*dev)->ifindex, *ipv4_prefix::make(addr, 24)) ||
        !neigh_add(net, (*dev)->ifindex, peer, peer_mac))
      broken = "no device";
  }
};

template <class Host, bool Apart>
struct bench_tcp_super_pair : bench_tcp_pair<Host> {
  bench_tcp_super_pair(bench_options const& o, bool)
      : bench_tcp_pair<Host>(o, netif_f::sg | netif_f::fraglist | netif_f::hw_csum | netif_f::gso, Apart) {}
};

template <class Host>
struct bench_tcp_bare_pair : bench_tcp_pair<Host> {
  bench_tcp_bare_pair(bench_options const& o, bool csum_off) : bench_tcp_pair<Host>(o, csum_off) {
    tcp_pernet(this->net_a()).sysctl_tcp_timestamps = 0;
  }
};

template <class Host>
void bench_tcp_bulk(benchmark::State& state, bench_tcp_pair<Host>& p, u32 write, u32 round, u32 mss = bench_mss) {
  auto const ends = p.connect();
  if (p.broken) return state.SkipWithError(p.broken);
  int const client = ends.client;
  sock& server = *sockfs::table_of(p.net_b()).find(ends.server)->sk;
  std::vector<char> const out(write, 0x5a);
  u64 sent = 0, got = 0;
  auto const look = [&](std::span<u8 const> piece) {
    benchmark::DoNotOptimize(piece[0]);
    return static_cast<u32>(piece.size());
  };
  auto const pump = [&] {
    p.far->poll();
    got += tcp_read_sock(p.net_b(), server, look).value_or(0);
    p.a.poll();
    p.clock.now += 1'000;
  };
  p.measure(state, round / mss, [&] {
    benchmark::ClobberMemory();
    for (u32 left = round; left != 0; pump())
      while (left != 0) {
        auto const n = send(p.net_a(), client, out.data(), std::min(left, write));
        if (!n) break;
        left -= static_cast<u32>(*n), sent += *n;
      }
    while (got != sent) pump();
  });
}

/// A byte there and a byte back, on so many connections at once.
template <class Host>
void bench_tcp_rr(benchmark::State& state, bench_tcp_pair<Host>& p, u32 at_once) {
  std::vector<typename bench_tcp_pair<Host>::ends> all(at_once);
  for (auto& e : all) {
    e = p.connect();
    (void)setsockopt(p.net_a(), e.client, sol::tcp, tcp_opt::nodelay, 1);
    (void)setsockopt(p.net_b(), e.server, sol::tcp, tcp_opt::nodelay, 1);
  }
  u64 offered = 0, got = 0;
  char byte = 'x';
  p.measure(state, at_once, [&] {
    offered += at_once;
    for (auto const& e : all) (void)send(p.net_a(), e.client, &byte, 1);
    p.far->poll();
    for (auto const& e : all) {
      (void)recv(p.net_b(), e.server, &byte, 1);
      (void)send(p.net_b(), e.server, &byte, 1);
    }
    p.a.poll();
    for (auto const& e : all) got += recv(p.net_a(), e.client, &byte, 1).value_or(0);
    p.clock.now += u64{at_once} * 1'000;
  });
  for (auto const& e : all)
    if (got != offered || !p.close({&e, 1})) state.SkipWithError("bytes were lost");
}

/// So many connections are opened at once, and closed.
template <class Host>
void bench_tcp_connect_close(benchmark::State& state, bench_tcp_pair<Host>& p, u32 open, u32 at_once) {
  p.keep(open);
  std::vector<typename bench_tcp_pair<Host>::ends> all(at_once);
  p.measure(state, at_once, [&] {
    p.connect(all);
    if (p.close(all) != at_once) p.broken = "connections did not end";
    p.clock.now += u64{at_once} * 10'000'000;  // what is in TIME-WAIT goes again
  });
  if (p.broken) state.SkipWithError(p.broken);
  auto& w = tcp_worker_of(p.net_a());
  if (w.socks.in_use() != open || NET_STATS(p.net_a()).TCPTimeWaitOverflow.read() != 0)
    state.SkipWithError("connections stayed");
}

/// A connection of the rig's host with this program: the peer's segments are one frame whose numbers change.
template <class Host>
struct bench_tcp_peer {
  bench_rig<Host>& rig;
  int fd = -1;
  tcp_sock* tp = nullptr;
  u32 seq = 0x1000, ack = 0;                 ///< of the next segment
  u32 base = 0;                              ///< sum of the segment without them
  u32 (*number)(bench_tcp_peer&) = nullptr;  ///< the next segment's seq; moves on
  u32 count = 0;

  explicit bench_tcp_peer(bench_rig<Host>& r) : rig(r) {
    auto& net = rig.net();
    fd = netstack::socket(net, af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
    (void)netstack::connect(net, fd, inet_addr_of(bench_peer, bench_port));
    auto* const handle = sockfs::table_of(net).find(fd);
    if (!handle || !handle->sk) {
      rig.broken = "no socket";
      return;
    }
    tp = &tcp_sk(*handle->sk);
    (void)setsockopt(net, fd, sol::tcp, tcp_opt::nodelay, int{1});
    tcp_out_options const syn{.tsval = 1, .mss = 1460, .wscale = 7, .tstamp = true, .wscale_ok = true, .sack_ok = true};
    ack = tp->snd_nxt;
    load(tcp_flag::syn | tcp_flag::ack, syn, 0, [](bench_tcp_peer& p) { return p.seq++; });
    rig.receive(1);
    if (tp->sk_state != tcp_state::established) rig.broken = "no connection";
  }
  ~bench_tcp_peer() { rig.wire->vary = nullptr; }

  /// From now on this is what arrives.
  void load(u8 flags, tcp_out_options const& opts, u32 payload, u32 (*next)(bench_tcp_peer&)) {
    u32 const optlen = opts.size(), hlen = static_cast<u32>(tcp_hlen_min) + optlen;
    bench_frame f{ipproto::tcp, hlen + payload};
    tcphdr th{.source = be16{bench_port}, .dest = be16{tp->sk_num}, .flags = flags, .window = be16{0xffff}};
    th.set_doff(static_cast<u8>(hlen / 4));
    u8* const at = f.bytes.data() + bench_frame::l4;
    std::memcpy(at, &th, sizeof th);
    if (optlen != 0) tcp_options_write(at + sizeof th, opts);
    base =
        csum_tcpudp_nofold(bench_peer, bench_addr, hlen + payload, ipproto::tcp, csum_partial(at, hlen + payload, 0));
    number = next;
    rig.load(f, true);
    rig.wire->vary = vary;
    rig.wire->vary_ctx = this;
  }
  static tcp_out_options stamped() { return {.tsval = 1, .tstamp = true}; }

 private:
  static void vary(void* self, u8* frame) {
    auto& p = *static_cast<bench_tcp_peer*>(self);
    u32 const words[2] = {be32{p.number(p)}.raw(), be32{p.ack}.raw()};
    sum16 const check = csum_fold(csum_add(csum_add(p.base, words[0]), words[1]));
    std::memcpy(frame + bench_frame::l4 + offsetof(tcphdr, seq), words, sizeof words);
    std::memcpy(frame + bench_frame::l4 + offsetof(tcphdr, check), &check, sizeof check);
  }
};

inline constexpr u32 bench_segment = 64;

/// A burst of segments arrives in the order that `next` says, and is read.
template <class Host>
void bench_tcp_rx(benchmark::State& state, bench_rig<Host>& rig, u32 (*next)(bench_tcp_peer<Host>&)) {
  bench_tcp_peer<Host> peer{rig};
  if (rig.broken) return state.SkipWithError(rig.broken);
  peer.load(tcp_flag::ack, peer.stamped(), bench_segment, next);
  std::vector<char> in(65536);
  u64 offered = 0, got = 0;
  rig.measure(state, bench_burst, [&] {
    rig.receive(bench_burst);
    got += recv(rig.net(), peer.fd, in.data(), in.size()).value_or(0);
    bench_wire::complete(rig.net(), *rig.dev);
    offered += bench_burst * bench_segment;
  });
  if (got != offered) state.SkipWithError("segments were lost");
}
template <class Host>
void bench_tcp_rx_inorder(benchmark::State& state, bench_rig<Host>& rig) {
  bench_tcp_rx<Host>(state, rig, [](bench_tcp_peer<Host>& p) { return std::exchange(p.seq, p.seq + bench_segment); });
}
/// The first of each burst comes last.
template <class Host>
void bench_tcp_rx_ooo(benchmark::State& state, bench_rig<Host>& rig) {
  bench_tcp_rx<Host>(state, rig, [](bench_tcp_peer<Host>& p) {
    if (++p.count % bench_burst != 0) return p.seq + p.count % bench_burst * bench_segment;
    return std::exchange(p.seq, p.seq + bench_burst * bench_segment);
  });
}

/// Each acknowledges one segment; that these were sent before is not measured in time, but in instructions. So many
/// that stopping the clock for them is not what is measured.
template <class Host>
void bench_tcp_rx_ack(benchmark::State& state, bench_rig<Host>& rig) {
  constexpr u32 segments = 8 * bench_burst;
  bench_tcp_peer<Host> peer{rig};
  if (rig.broken) return state.SkipWithError(rig.broken);
  (void)setsockopt(rig.net(), peer.fd, sol::socket, so::sndbufforce, int{1 << 20});
  tcp_pernet(rig.net()).sysctl_tcp_early_retrans = 0;  // with valgrind a round takes longer than a probe waits
  peer.load(tcp_flag::ack, peer.stamped(), 0, [](bench_tcp_peer<Host>& p) {
    p.ack += bench_segment;
    return p.seq;
  });
  char const text[bench_segment]{};
  bool timed = false;
  u32 in_flight = 0;
  rig.measure(state, segments, [&] {
    timed = timed || state.iterations() != 0;
    if (timed) state.PauseTiming();
    for (u32 i = 0; i < segments; ++i) {
      (void)send(rig.net(), peer.fd, text, sizeof text);
      bench_wire::complete(rig.net(), *rig.dev);  // else what is small waits for company
    }
    if (timed) state.ResumeTiming();
    for (in_flight = peer.tp->packets_out; in_flight != 0 && peer.tp->packets_out != 0;)
      rig.receive(std::min(peer.tp->packets_out, bench_burst));
  });
  if (in_flight != segments || peer.tp->packets_out != 0) state.SkipWithError("segments were held back");
}

template <class Host>
void bench_tcp(bench_options const& o) {
  using net_t = netstack::net<Host>;
  if constexpr (net_t::template has<tcp>) {
    bench_row<Host>(o, "tcp/rx_inorder", false, bench_tcp_rx_inorder<Host>);
    bench_row<Host>(o, "tcp/rx_ack", false, bench_tcp_rx_ack<Host>);
    bench_row<Host>(o, "tcp/rx_ooo", false, bench_tcp_rx_ooo<Host>);
  }
  if constexpr (net_t::template has<tcp> && net_t::template has<drivers::pipe>) {
    using pair = bench_tcp_pair<Host>;
    for (bool const csum_off : {false, true}) {
      for (auto const& row : bench_writes)
        bench_row_of<pair>(o, std::string("tcp/bulk/") + row.name, csum_off,
                           [w = row.write, r = row.round](auto& state, pair& p) { bench_tcp_bulk(state, p, w, r); });
      for (auto const& [name, at_once] : bench_at_once)
        bench_row_of<pair>(o, std::string("tcp/rr/1") + name, csum_off,
                           [n = at_once](benchmark::State& state, pair& p) { bench_tcp_rr(state, p, n); });
    }
    using bare_pair = bench_tcp_bare_pair<Host>;
    bench_row_of<bare_pair>(o, "tcp/bulk/64K/bare", false, [](benchmark::State& state, bare_pair& p) {
      bench_tcp_bulk<Host>(state, p, 44 * bench_bare_mss, 44 * bench_bare_mss, bench_bare_mss);
    });
    bench_row_of<bare_pair>(o, "tcp/rr/1/bare", false,
                            [](benchmark::State& state, bare_pair& p) { bench_tcp_rr<Host>(state, p, bench_burst); });
    auto const super = [](benchmark::State& state, pair& p) {
      bench_tcp_bulk<Host>(state, p, bench_round, bench_round);
    };
    if constexpr (Host::sizes.max_net > 1)
      bench_row_of<bench_tcp_super_pair<Host, false>>(o, "tcp/bulk_gso/64K", false, super);
    bench_row_of<bench_tcp_super_pair<Host, true>>(o, "tcp/bulk_gso/64K/apart", false, super);
    auto const kept = std::make_shared<std::unique_ptr<pair>>();  // a million connections are opened once
    for (auto const& [name, n] : {std::pair{"64", 64u}, {"1024", 1024u}, {"100K", 100'000u}, {"1M", 1'000'000u}}) {
      if (n >= Host::sizes.max_sock || n >= Host::sizes.max_handle) continue;
      auto const fits = [n = n](pair const& p) { return p.opened <= n; };
      for (auto const& [how, at_once] : bench_at_once)
        bench_row_kept<pair>(
            o, std::string("tcp/connect_close/") + name + how, kept, fits,
            [n = n, k = at_once](benchmark::State& state, pair& p) { bench_tcp_connect_close(state, p, n, k); });
      if (n == 1'000'000)
        bench_row_kept<pair>(o, "tcp/rr/1/single/idle/1M", kept, fits, [n = n](benchmark::State& state, pair& p) {
          p.keep(n);
          bench_tcp_rr(state, p, 1);
        });
    }
  }
}

}  // namespace netstack::testing::detail
