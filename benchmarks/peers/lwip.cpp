// SPDX-License-Identifier: BSL-1.0
// netstack_bench_lwip: lwIP at the workloads of testing/bench.hpp, through its raw API: what is received is handed to
// a callback, what is sent is built in a pbuf of its static pool. Names: lwip/rx/udp/18 … Built by scripts/bench from
// Debian's source package, which is fetched then; twice, since a library of headers is optimised as a whole.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "lwip_tcp.hpp"

extern "C" {
#include "lwip/etharp.h"
#include "lwip/inet_chksum.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"

u32_t sys_now(void) { return 0; }
}

namespace {

constexpr std::size_t headers = 42;
constexpr int burst = 32;

struct peer {
  netif dev{};
  udp_pcb* pcb = nullptr;
  ip4_addr_t far{};
  std::uint64_t sent = 0, got = 0, seen = 0;
  bool echo = false;
} p;

err_t wire(netif*, pbuf* out) {
  p.seen += *static_cast<unsigned char*>(out->payload);
  ++p.sent;
  return ERR_OK;
}

void receive(void*, udp_pcb* pcb, pbuf* in, ip_addr_t const* from, u16_t port) {
  ++p.got;
  if (p.echo)
    udp_sendto(pcb, in, from, port);
  else
    p.seen += *static_cast<unsigned char*>(in->payload);
  pbuf_free(in);
}

void set_up() {
  lwip_init();
  ip4_addr_t addr, mask, gateway;
  IP4_ADDR(&addr, 192, 0, 2, 1);
  IP4_ADDR(&mask, 255, 255, 255, 0);
  IP4_ADDR(&gateway, 192, 0, 2, 254);
  IP4_ADDR(&p.far, 192, 0, 2, 2);
  auto const init = [](netif* dev) -> err_t {
    unsigned char const mac[6]{2, 0, 0, 0, 0, 1};
    std::memcpy(dev->hwaddr, mac, 6);
    dev->hwaddr_len = 6;
    dev->mtu = 1500;
    dev->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    dev->output = etharp_output;
    dev->linkoutput = wire;
    return ERR_OK;
  };
  netif_add(&p.dev, &addr, &mask, &gateway, nullptr, init, ethernet_input);
  netif_set_default(&p.dev);
  netif_set_up(&p.dev);
  eth_addr far_mac{{2, 0, 0, 0, 0, 2}};
  etharp_add_static_entry(&p.far, &far_mac);
  p.pcb = udp_new();
  udp_bind(p.pcb, IP4_ADDR_ANY, 7);
  udp_recv(p.pcb, receive, nullptr);
}

void put16(unsigned char* at, unsigned v) {
  at[0] = static_cast<unsigned char>(v >> 8), at[1] = static_cast<unsigned char>(v);
}

std::vector<unsigned char> frame(unsigned char protocol, std::size_t payload) {
  std::vector<unsigned char> f(headers + payload);
  unsigned char const start[]{2, 0, 0, 0,    0, 1,  2,        0, 0, 0,   0, 2, 8, 0,   0x45, 0, 0,
                              0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 2, 192, 0,    2, 1};
  std::memcpy(f.data(), start, sizeof start);
  auto* const ip = f.data() + 14;
  auto* const t = ip + 20;
  put16(ip + 2, static_cast<unsigned>(28 + payload));
  u16_t sum = inet_chksum(ip, 20);
  std::memcpy(ip + 10, &sum, 2);
  for (std::size_t i = 0; i < payload; ++i) t[8 + i] = static_cast<unsigned char>(i * 7);
  auto const len = static_cast<u16_t>(8 + payload);
  if (protocol == 1) {
    t[0] = 8;
    sum = inet_chksum(t, len);
    std::memcpy(t + 2, &sum, 2);
    return f;
  }
  put16(t, 12'289), put16(t + 2, 7), put16(t + 4, len);
  std::vector<unsigned char> pseudo(12 + len);
  std::memcpy(pseudo.data(), ip + 12, 8);
  pseudo[9] = 17;
  put16(pseudo.data() + 10, len);
  std::memcpy(pseudo.data() + 12, t, len);
  sum = inet_chksum(pseudo.data(), static_cast<u16_t>(pseudo.size()));
  std::memcpy(t + 6, &sum, 2);
  return f;
}

/// The frame lies where a driver has put it.
void rx(benchmark::State& state, std::size_t payload) {
  static pbuf_custom packets[burst];
  p.echo = false;
  auto const f = frame(17, payload);
  std::vector<unsigned char> memory(burst * std::size_t{2048});
  for (int i = 0; i < burst; ++i) std::memcpy(memory.data() + i * 2048 + 256, f.data(), f.size());
  auto const before = p.got;
  while (state.KeepRunningBatch(burst))
    for (int i = 0; i < burst; ++i) {
      packets[i].custom_free_function = [](pbuf*) {};
      pbuf* in = pbuf_alloced_custom(PBUF_RAW, static_cast<u16_t>(f.size()), PBUF_REF, &packets[i],
                                     memory.data() + i * 2048 + 256, static_cast<u16_t>(f.size()));
      p.dev.input(in, &p.dev);
    }
  if (p.got - before < static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("datagrams were lost");
}

void copied(benchmark::State& state, unsigned char protocol, std::size_t payload) {
  p.echo = true;
  auto const f = frame(protocol, payload);
  auto const before = p.sent;
  while (state.KeepRunningBatch(burst))
    for (int i = 0; i < burst; ++i) {
      pbuf* in = pbuf_alloc(PBUF_RAW, static_cast<u16_t>(f.size()), PBUF_POOL);
      std::memcpy(in->payload, f.data(), f.size());
      p.dev.input(in, &p.dev);
    }
  if (p.sent - before < static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("packets were lost");
}

void tx(benchmark::State& state, std::size_t payload) {
  std::vector<unsigned char> const bytes(payload, 0x5a);
  auto const before = p.sent;
  while (state.KeepRunningBatch(burst))
    for (int i = 0; i < burst; ++i) {
      pbuf* out = pbuf_alloc(PBUF_TRANSPORT, static_cast<u16_t>(payload), PBUF_POOL);
      std::memcpy(out->payload, bytes.data(), payload);
      udp_sendto(p.pcb, out, &p.far, 12'289);
      pbuf_free(out);
    }
  if (p.sent - before < static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("packets were lost");
}

}  // namespace

extern "C" std::byte __bss_start[], _end[];

/// Its static pools in huge pages, as ours ask for.
void use_huge_pages() {
  constexpr std::uintptr_t page = 2u << 20;
  auto const first = (reinterpret_cast<std::uintptr_t>(__bss_start) + page - 1) / page * page,
             last = reinterpret_cast<std::uintptr_t>(_end) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

int main(int argc, char** argv) {
  use_huge_pages();
  set_up();
  lwip_tcp_rows();
  for (std::size_t const n : {18u, 64u, 1472u}) {
    auto const size = std::to_string(n);
    benchmark::RegisterBenchmark(lwip_row("rx/udp/" + size).c_str(), rx, n);
    benchmark::RegisterBenchmark(lwip_row("echo/udp/" + size).c_str(), copied, static_cast<unsigned char>(17), n);
    benchmark::RegisterBenchmark(lwip_row("tx/udp/" + size).c_str(), tx, n);
    if (n != 64)
      benchmark::RegisterBenchmark(lwip_row("echo/icmp/" + size).c_str(), copied, static_cast<unsigned char>(1), n);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
