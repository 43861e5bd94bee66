// SPDX-License-Identifier: BSL-1.0
// What any stack must pay for the workloads of testing/bench.hpp: programs that do the same to the same frames and
// nothing else. They check every header field that decides about a packet, verify and make the checksums, find the
// socket by hash and the neighbour by address, take frames from a pool and give them back; they have no sockets'
// queues, options, timers, counters beyond one, fragments, or errors to send. What they send is in flight until a burst
// is complete, as on every device. Ours is quoted as a multiple of these.
// floor/rx/udp/N, floor/tx/udp/N, floor/echo/udp/N, floor/echo/icmp/N; /csum_off: without the L4 checksum.
// floor/pool/alloc_free_bulk32. floor/tcp/bulk/64K, floor/tcp/bulk_gso/64K/apart: nothing of TCP's but the bytes, per
// segment.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../heap_calls.hpp"
#include "netstack/wire/checksum.hpp"

namespace {

using netstack::csum_fold;
using netstack::csum_partial;
using netstack::csum_partial_copy;
using netstack::u16;
using netstack::u32;
using netstack::u64;
using netstack::u8;

template <class T>
T load(u8 const* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
void store(u8* p, T v) {
  std::memcpy(p, &v, sizeof v);
}
constexpr u16 swap(u16 v) { return __builtin_bswap16(v); }
u64 carry(u64 sum) { return (sum & 0xffffffff) + (sum >> 32); }
/// 16 bits of a sum of words, not complemented.
u16 fold(u64 sum) {
  u32 const s = static_cast<u32>(carry(carry(sum)));
  return static_cast<u16>(~csum_fold(s).raw());
}

constexpr u32 frame_size = 2048, headroom = 256, frames = 256, burst = 32;
constexpr u8 our_mac[6]{2, 0, 0, 0, 0, 1}, peer_mac[6]{2, 0, 0, 0, 0, 2};
constexpr u32 our_addr = 0x010200c0, peer_addr = 0x020200c0;  // 192.0.2.1 and .2 as they lie in memory
constexpr u16 our_port = swap(7), peer_port = swap(12'289);

struct packet {
  u8* data;
  u32 len;
};
/// Frames laid out as a driver registers them, and a LIFO of those that are free.
struct pool {
  std::unique_ptr<u8[]> memory{new u8[(frames + 2) * std::size_t{frame_size}]};
  packet packets[frames];
  packet* free[frames];
  u32 n = 0;
  pool() {
    auto at = reinterpret_cast<std::uintptr_t>(memory.get());
    at = (at + frame_size - 1) / frame_size * frame_size;
    for (u32 i = 0; i < frames; ++i) {
      packets[i].data = reinterpret_cast<u8*>(at + std::size_t{i} * frame_size) + headroom;
      give(packets[i]);
    }
  }
  packet& take() { return *free[--n]; }
  void give(packet& p) { free[n++] = &p; }
};

struct program {
  pool frames_of;
  struct bound {
    u16 port;
    u64 datagrams;
  } ports[256]{};
  u32 neighbour_addr = peer_addr;
  u8 neighbour_mac[8]{2, 0, 0, 0, 0, 2};
  u64 bad = 0, seen = 0, sent = 0;
  packet* flying[burst]{};

  program() { *slot(our_port) = {our_port, 0}; }
  static u32 hash(u16 port) { return port * 0x9E3779B1u >> 24; }
  bound* slot(u16 port) {
    u32 i = hash(port);
    while (ports[i].port != port && ports[i].port != 0) i = (i + 1) & 255;
    return &ports[i];
  }
  bound* find(u16 port) {
    bound* const b = slot(port);
    return b->port ? b : nullptr;
  }
  /// A ring: what was sent stays in flight until a burst of it is done, as with the suite's device.
  void wire(packet& p) {
    seen += *p.data;
    flying[sent++ % burst] = &p;
    if (sent % burst == 0) complete();
  }
  void complete() {
    for (packet*& p : flying)
      if (p) frames_of.give(*std::exchange(p, nullptr));
  }
  void reject(packet& p) {
    ++bad;
    frames_of.give(p);
  }
};

/// The header in registers: two words and a half.
struct ip_words {
  u64 a, b;
  u32 daddr;
  u16 total() const { return swap(static_cast<u16>(a >> 16)); }
  u8 protocol() const { return static_cast<u8>(b >> 8); }
  u32 saddr() const { return static_cast<u32>(b >> 32); }
};
/// True if the frame is IPv4, whole, right, not a fragment, and for us.
inline bool accept(packet const& p, ip_words& ip) {
  u8 const* const d = p.data;
  if (p.len < 34 || load<u16>(d + 12) != 0x0008 || load<u32>(d) != load<u32>(our_mac) ||
      load<u16>(d + 4) != load<u16>(our_mac + 4))
    return false;
  ip = {load<u64>(d + 14), load<u64>(d + 22), load<u32>(d + 30)};
  u64 const sum = carry(ip.a) + carry(ip.b) + ip.daddr;
  return static_cast<u8>(ip.a) == 0x45 && ip.total() <= p.len - 14 && ip.total() >= 28 && fold(sum) == 0xffff &&
         ((ip.a >> 48) & 0xff3f) == 0 && ip.daddr == our_addr;
}

template <bool Sum>
inline bool udp_ok(ip_words const& ip, u8 const* t, u16& len, u64& udp) {
  udp = load<u64>(t);
  len = swap(static_cast<u16>(udp >> 32));
  if (len < 8 || len > ip.total() - 20) return false;
  if (!Sum || (udp >> 48) == 0) return true;
  u64 const pseudo = u64{ip.saddr()} + ip.daddr + 0x1100 + swap(len);
  return fold(pseudo + csum_partial(t, len, 0)) == 0xffff;
}

template <bool Sum>
void rx_udp(program& w, packet& p) {
  ip_words ip;
  u16 len;
  u64 udp;
  if (!accept(p, ip) || ip.protocol() != 17 || !udp_ok<Sum>(ip, p.data + 34, len, udp)) return w.reject(p);
  auto* const sock = w.find(static_cast<u16>(udp >> 16));
  if (!sock) return w.reject(p);
  ++sock->datagrams;
  w.seen += p.data[42];
  w.frames_of.give(p);
}

/// Ethernet and IP headers in front of a transport header, from registers.
inline void write_headers(program& w, u8* d, u16 total, u8 protocol, u32 daddr) {
  u64 const mac = load<u64>(w.neighbour_mac) & 0xffffffffffff;
  store<u64>(d, mac | u64{load<u16>(our_mac)} << 48);
  store<u32>(d + 8, load<u32>(our_mac + 2));
  store<u16>(d + 12, 0x0008);
  u64 const a = 0x0045 | u64{swap(total)} << 16 | u64{0x0040} << 48;
  u32 const c = 0x40u | u32{protocol} << 8;
  u16 const check = static_cast<u16>(~fold(carry(a) + c + u64{our_addr} + daddr));
  store<u64>(d + 14, a);
  store<u64>(d + 22, c | u64{check} << 16 | u64{our_addr} << 32);
  store<u32>(d + 30, daddr);
}
template <bool Sum>
void send_udp(program& w, packet& p, u64 payload_sum, u16 len, u16 sport, u16 dport, u32 daddr) {
  u8* const d = p.data;
  u16 check = 0;
  if (Sum) {
    u64 const ports = u64{sport} + dport;
    check = static_cast<u16>(~fold(payload_sum + ports + 2 * u64{swap(len)} + 0x1100 + our_addr + u64{daddr}));
    if (check == 0) check = 0xffff;
  }
  store<u64>(d + 34, sport | u64{dport} << 16 | u64{swap(len)} << 32 | u64{check} << 48);
  write_headers(w, d, static_cast<u16>(len + 20), 17, daddr);
  p.len = 34u + len;
  w.wire(p);
}

template <bool Sum>
void echo_udp(program& w, packet& p) {
  ip_words ip;
  u16 len;
  u64 udp;
  if (!accept(p, ip) || ip.protocol() != 17 || !udp_ok<Sum>(ip, p.data + 34, len, udp)) return w.reject(p);
  auto* const sock = w.find(static_cast<u16>(udp >> 16));
  if (!sock || ip.saddr() != w.neighbour_addr) return w.reject(p);
  ++sock->datagrams;
  // The way out does not know what came in: it sums the payload itself.
  benchmark::ClobberMemory();
  u64 const sum = Sum ? csum_partial(p.data + 42, len - 8u, 0) : 0;
  send_udp<Sum>(w, p, sum, len, static_cast<u16>(udp >> 16), static_cast<u16>(udp), ip.saddr());
}

template <bool Sum>
void echo_icmp(program& w, packet& p) {
  ip_words ip;
  if (!accept(p, ip) || ip.protocol() != 1) return w.reject(p);
  u8* const t = p.data + 34;
  if (Sum && fold(csum_partial(t, ip.total() - 20u, 0)) != 0xffff) return w.reject(p);
  if (t[0] != 8 || ip.saddr() != w.neighbour_addr) return w.reject(p);
  t[0] = 0;
  store<u16>(t + 2, fold(u64{load<u16>(t + 2)} + 8));  // RFC 1624
  write_headers(w, p.data, ip.total(), 1, ip.saddr());
  w.wire(p);
}

/// The frame that the suite's peer sends.
std::vector<u8> frame(u8 protocol, std::size_t payload) {
  std::vector<u8> f(42 + payload);
  std::memcpy(f.data(), our_mac, 6);
  std::memcpy(f.data() + 6, peer_mac, 6);
  f[12] = 8;
  u8* const ip = f.data() + 14;
  ip[0] = 0x45, ip[6] = 0x40, ip[8] = 64, ip[9] = protocol;
  store<u16>(ip + 2, swap(static_cast<u16>(28 + payload)));
  store<u32>(ip + 12, peer_addr);
  store<u32>(ip + 16, our_addr);
  store<u16>(ip + 10, csum_fold(csum_partial(ip, 20, 0)).raw());
  u8* const t = ip + 20;
  for (std::size_t i = 0; i < payload; ++i) t[8 + i] = static_cast<u8>(i * 7);
  auto const len = static_cast<u16>(8 + payload);
  if (protocol == 1) {
    t[0] = 8;
    store<u16>(t + 2, csum_fold(csum_partial(t, len, 0)).raw());
    return f;
  }
  store<u16>(t, peer_port);
  store<u16>(t + 2, our_port);
  store<u16>(t + 4, swap(len));
  u64 const pseudo = u64{peer_addr} + our_addr + 0x1100 + swap(len);
  store<u16>(t + 6, static_cast<u16>(~fold(pseudo + csum_partial(t, len, 0))));
  return f;
}

using handler = void (*)(program&, packet&);

template <handler Handle>
void receive(benchmark::State& state, u8 protocol, std::size_t payload, bool copy) {
  program w;
  auto const f = frame(protocol, payload);
  auto const len = static_cast<u32>(f.size());
  for (auto& p : w.frames_of.packets) std::memcpy(p.data, f.data(), len);
  packet* in[burst];
  heap_watch const heap{state};
  while (state.KeepRunningBatch(burst)) {
    for (auto& p : in) {
      p = &w.frames_of.take();
      p->len = len;
      if (copy) std::memcpy(p->data, f.data(), len);
    }
    benchmark::ClobberMemory();
    for (auto* p : in) Handle(w, *p);
  }
  heap.report();
  if (w.bad != 0 || w.frames_of.n != frames) state.SkipWithError("packets were refused");
}

template <bool Sum>
void send(benchmark::State& state, std::size_t payload) {
  program w;
  std::vector<u8> bytes(payload, 0x5a);
  u8* from = bytes.data();
  heap_watch const heap{state};
  while (state.KeepRunningBatch(burst)) {
    for (u32 i = 0; i < burst; ++i) {
      benchmark::DoNotOptimize(from);
      packet& p = w.frames_of.take();
      u64 sum = 0;
      if (Sum)
        sum = csum_partial_copy(p.data + 42, from, payload, 0);
      else
        std::memcpy(p.data + 42, from, payload);
      send_udp<Sum>(w, p, sum, static_cast<u16>(8 + payload), our_port, peer_port, w.neighbour_addr);
    }
    benchmark::ClobberMemory();
  }
  heap.report();
}

/// A burst of packets that are a pointer and a length, from a LIFO and back.
void alloc_free_bulk32(benchmark::State& state) {
  pool packets;
  packet* taken[burst];
  heap_watch const heap{state};
  while (state.KeepRunningBatch(burst)) {
    for (auto& p : taken) {
      p = &packets.take();
      p->len = 0;
    }
    benchmark::DoNotOptimize(taken);
    for (auto* p : taken) packets.give(*p);
  }
  heap.report();
}

/// What is written in one go, from the writer's memory to frames and from those to the receiver's, and a byte of each
/// looked at: all that a stack over a wire that copies must do with the bytes of so many full segments.
template <bool Sum>
void carry_bytes(benchmark::State& state, u32 segments) {
  constexpr std::size_t mss = 1448;
  pool sender, receiver;
  std::vector<u8> const written(segments * mss, 0x5a);
  std::vector<packet*> sent(segments), got(segments);
  auto const copy = [](u8* to, u8 const* from) {
    if (Sum)
      benchmark::DoNotOptimize(csum_partial_copy(to, from, mss, 0));
    else
      std::memcpy(to, from, mss);
  };
  heap_watch const heap{state};
  while (state.KeepRunningBatch(segments)) {
    for (u32 i = 0; i < segments; ++i) copy((sent[i] = &sender.take())->data, written.data() + i * mss);
    for (u32 i = 0; i < segments; ++i) copy((got[i] = &receiver.take())->data, sent[i]->data);
    for (auto* p : got) {
      benchmark::DoNotOptimize(p->data[0]);
      receiver.give(*p);
    }
    for (auto* p : sent) sender.give(*p);
  }
  heap.report();
}

template <bool Sum>
void add() {
  auto const row = [](std::string const& name, std::size_t payload, auto run) {
    auto const full = "floor/" + name + "/" + std::to_string(payload) + (Sum ? "" : "/csum_off");
    fixed_packets(benchmark::RegisterBenchmark(full.c_str(), run));
  };
  for (std::size_t const n : {18u, 64u, 1472u}) {
    row("rx/udp", n, [n](benchmark::State& s) { receive<rx_udp<Sum>>(s, 17, n, false); });
    row("echo/udp", n, [n](benchmark::State& s) { receive<echo_udp<Sum>>(s, 17, n, true); });
    row("tx/udp", n, [n](benchmark::State& s) { send<Sum>(s, n); });
    if (n != 64) row("echo/icmp", n, [n](benchmark::State& s) { receive<echo_icmp<Sum>>(s, 1, n, true); });
  }
  fixed_packets(benchmark::RegisterBenchmark(Sum ? "floor/tcp/bulk/64K" : "floor/tcp/bulk_gso/64K/apart",
                                             [](benchmark::State& s) { carry_bytes<Sum>(s, 44); }));
}

bool const registered =
    (add<true>(), add<false>(),
     fixed_packets(benchmark::RegisterBenchmark("floor/pool/alloc_free_bulk32", alloc_free_bulk32)), true);

}  // namespace
