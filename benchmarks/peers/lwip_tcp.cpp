// SPDX-License-Identifier: BSL-1.0
// lwIP at the rows of testing/detail/bench_tcp.hpp: both ends in one lwIP, each on a device of its own, and what one
// sends is copied once into a pbuf of the other. Written without a copy where lwIP can (bulk refers to the caller's
// bytes), read where it lies. lwip/tcp/bulk/1460 …
#include "lwip_tcp.hpp"

#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

extern "C" {
#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "netif/ethernet.h"
}

namespace {

constexpr u16_t first_port = 7, ports = 64;

struct ends {
  netif dev[2]{};
  ip4_addr_t addr[2]{};
  pbuf* waiting[2]{};  // for the device of this number, oldest first, chained by a queue of our own
  std::vector<pbuf*> queue[2];
  std::vector<tcp_pcb*> accepted;
  std::size_t got[2]{};
  unsigned ended = 0;
} e;

err_t wire(netif* from, pbuf* out) {
  int const to = from == &e.dev[0] ? 1 : 0;
  pbuf* in = pbuf_alloc(PBUF_RAW, out->tot_len, PBUF_POOL);
  if (!in) return ERR_MEM;
  pbuf_copy_partial(out, in->payload, out->tot_len, 0);
  e.queue[to].push_back(in);
  return ERR_OK;
}
/// What waits for a device arrives; false: nothing did.
bool poll(int to) {
  if (e.queue[to].empty()) return false;
  static std::vector<pbuf*> now;
  now.swap(e.queue[to]);
  for (pbuf* in : now) e.dev[to].input(in, &e.dev[to]);
  now.clear();
  return true;
}
void run() {
  while (poll(0) || poll(1)) continue;
}

err_t receive(void* end, tcp_pcb* pcb, pbuf* in, err_t) {
  if (!in) {
    if (end) ++e.ended;  // at the server
    return ERR_OK;
  }
  benchmark::DoNotOptimize(*static_cast<unsigned char*>(in->payload));
  tcp_recved(pcb, in->tot_len);
  e.got[end == nullptr ? 0 : 1] += in->tot_len;
  pbuf_free(in);
  return ERR_OK;
}
err_t accept(void*, tcp_pcb* pcb, err_t) {
  e.accepted.push_back(pcb);
  static int server;
  tcp_arg(pcb, &server);
  tcp_recv(pcb, receive);
  return ERR_OK;
}

struct pair {
  tcp_pcb *client, *server;
};
/// A connection from the first device to the second, which is not there before run().
tcp_pcb* begin() {
  static u16_t next = 0;
  tcp_pcb* const pcb = tcp_new();
  if (!pcb) return nullptr;
  tcp_bind(pcb, &e.addr[0], 0);
  tcp_recv(pcb, receive);
  tcp_connect(pcb, &e.addr[1], static_cast<u16_t>(first_port + next++ % ports),
              [](void*, tcp_pcb*, err_t) -> err_t { return ERR_OK; });
  return pcb;
}
pair connect() {
  e.accepted.clear();
  tcp_pcb* const client = begin();
  run();
  return {client, e.accepted.empty() ? nullptr : e.accepted.front()};
}
void close(tcp_pcb* pcb) {
  if (pcb) tcp_abort(pcb);
  run();
}

void bulk(benchmark::State& state, std::size_t write, std::size_t round, u8_t copy) {
  auto const [client, server] = connect();
  if (!server) return state.SkipWithError("no connection");
  std::vector<char> const bytes(write, 0x5a);
  auto const before = e.got[1];
  std::size_t sent = 0;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(round / 1460))) {
    for (std::size_t left = round; left != 0;) {
      while (left != 0) {
        auto const n = std::min<std::size_t>({left, write, tcp_sndbuf(client), 0xffffu / 1460 * 1460});
        if (n == 0 || tcp_write(client, bytes.data(), static_cast<u16_t>(n), copy) != ERR_OK) break;
        left -= n, sent += n;
      }
      tcp_output(client);
      poll(1), poll(0);
    }
    while (e.got[1] - before != sent) {
      tcp_output(client);
      if (!poll(1) && !poll(0)) tcp_fasttmr();  // an acknowledgment that was delayed
    }
  }
  close(client);
}

void rr(benchmark::State& state, unsigned at_once) {
  std::vector<pair> all(at_once);
  for (auto& p : all) {
    p = connect();
    if (!p.server) return state.SkipWithError("no connection");
    tcp_nagle_disable(p.client);
    tcp_nagle_disable(p.server);
  }
  char const byte = 'x';
  auto const before = e.got[0];
  while (state.KeepRunningBatch(at_once)) {
    for (auto const& p : all) tcp_write(p.client, &byte, 1, TCP_WRITE_FLAG_COPY), tcp_output(p.client);
    poll(1);
    for (auto const& p : all) tcp_write(p.server, &byte, 1, TCP_WRITE_FLAG_COPY), tcp_output(p.server);
    poll(0);
  }
  if (e.got[0] - before != static_cast<std::size_t>(state.iterations())) state.SkipWithError("bytes were lost");
  for (auto const& p : all) close(p.client);
}

void connect_close(benchmark::State& state, unsigned open, unsigned at_once) {
  std::vector<tcp_pcb*> idle, clients(at_once);
  for (unsigned i = 0; i < open; ++i) {
    idle.push_back(connect().client);
    if (e.accepted.empty()) return state.SkipWithError("no connection");
  }
  unsigned cycles = 0, slow = 0;
  e.ended = 0;
  while (state.KeepRunningBatch(at_once)) {
    e.accepted.clear();
    for (auto& client : clients)
      if (client = begin(); !client) return state.SkipWithError("no connection");
    run();
    if (e.accepted.size() != at_once) return state.SkipWithError("no connection");
    for (tcp_pcb* client : clients) tcp_close(client);
    poll(1);
    for (tcp_pcb* server : e.accepted) tcp_close(server);
    run();
    for (cycles += at_once; slow < cycles / 25; ++slow) tcp_tmr();  // 10 ms each; what is in TIME-WAIT goes again
  }
  if (e.ended != cycles) state.SkipWithError("connections did not end");
  for (tcp_pcb* pcb : idle) close(pcb);
}

}  // namespace

extern "C" netif* peer_route(ip4_addr const* src, ip4_addr const*) {
  for (int i = 0; i < 2; ++i)
    if (src && src->addr == e.addr[i].addr) return &e.dev[i];
  return nullptr;
}

void lwip_tcp_rows() {
  for (int i = 0; i < 2; ++i) {
    ip4_addr_t mask, gateway;
    IP4_ADDR(&e.addr[i], 198, 51, 100, static_cast<u8_t>(i + 1));
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 198, 51, 100, 254);
    auto const init = [](netif* dev) -> err_t {
      unsigned char const mac[6]{2, 0, 0, 0, 1, static_cast<unsigned char>(dev - e.dev)};
      std::memcpy(dev->hwaddr, mac, 6);
      dev->hwaddr_len = 6;
      dev->mtu = 1500;
      dev->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
      dev->output = etharp_output;
      dev->linkoutput = wire;
      return ERR_OK;
    };
    netif_add(&e.dev[i], &e.addr[i], &mask, &gateway, nullptr, init, ethernet_input);
    netif_set_up(&e.dev[i]);
    eth_addr mac{{2, 0, 0, 0, 1, static_cast<u8_t>(i)}};
    etharp_add_static_entry(&e.addr[i], &mac);
    e.queue[i].reserve(4096);
  }
  run();
  for (u16_t i = 0; i < ports; ++i) {
    tcp_pcb* pcb = tcp_new();
    tcp_bind(pcb, &e.addr[1], static_cast<u16_t>(first_port + i));
    pcb = tcp_listen(pcb);
    tcp_accept(pcb, accept);
  }
  struct {
    char const* name;
    unsigned write, round;
  } const rows[]{{"1460", 1460, 44 * 1460},
                 {"1460/single", 1460, 1460},
                 {"16K", 11 * 1460, 44 * 1460},
                 {"16K/single", 11 * 1460, 11 * 1460},
                 {"64K", 44 * 1460, 44 * 1460}};
  for (auto const& [name, write, round] : rows) {
    benchmark::RegisterBenchmark(lwip_row(std::string("tcp/bulk/") + name).c_str(), bulk, write, round, u8_t{0});
    benchmark::RegisterBenchmark(lwip_row(std::string("tcp/bulk_copied/") + name).c_str(), bulk, write, round,
                                 u8_t{TCP_WRITE_FLAG_COPY});
  }
  for (auto const& [how, at_once] : {std::pair{"", 32u}, {"/single", 1u}}) {
    benchmark::RegisterBenchmark(lwip_row(std::string("tcp/rr/1") + how).c_str(), rr, at_once);
    for (unsigned const n : {64u, 1024u})
      benchmark::RegisterBenchmark(lwip_row("tcp/connect_close/" + std::to_string(n) + how).c_str(), connect_close, n,
                                   at_once);
  }
}
