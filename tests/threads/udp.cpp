// SPDX-License-Identifier: BSL-1.0
// Many producers, one socket: datagrams of two hosts reach a socket of worker 0, one host's over that worker's own
// queue, the other's over worker 1 and the ring between them. Whatever is received, refused or dropped is accounted
// for, to the datagram and to the byte. Where Linux needs udp_busylocks, here one worker owns the socket.
#include <atomic>
#include <chrono>
#include <thread>

#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/udp/udp.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

struct host : stack<host, ipv4, udp, drivers::pipe, sizes<config{.workers = 2, .skb_pool = 2048}>> {};
struct producer : stack<producer, ipv4, udp, drivers::pipe, sizes<config{.skb_pool = 2048}>> {};

constexpr be32 host_addr = ipv4_addr("192.0.2.2");
constexpr u32 datagrams = 20'000;  // of each producer

/// A stack that sends to the host, over the cable of one of its workers.
struct sender {
  producer stack;
  net_device* dev = nullptr;
  int fd = -1;
  u64 before = 0;

  sender(drivers::pipe_cable& cable, char const* addr) {
    REQUIRE(stack.boot({.seed = 7}));
    auto& net = stack.init_net();
    auto made = register_netdev<drivers::pipe>(net, "eth0", {.cables = &cable, .end = 1, .wakeup = false});
    REQUIRE(made);
    dev = *made;
    REQUIRE(dev_open(net, *dev));
    auto const prefix = parse_prefix(addr);
    REQUIRE(prefix);
    REQUIRE(inet_addr_add(net, dev->ifindex, *prefix));
    fd = socket(net, af::inet, sock_type::dgram | sock_type::nonblock).value();
    REQUIRE(connect(net, fd, inet_addr_of(host_addr, 7)));
  }
  /// Frames on the wire since the ARP exchange.
  [[nodiscard]] u64 on_the_wire() const { return dev->stats.tx_packets.read() - before; }
};

}  // namespace

TEST_CASE("two producers on two workers feed one socket, and nothing is lost uncounted", "[S151][S59]") {
  drivers::pipe_cable cables[2];
  host h;
  REQUIRE(h.boot({.seed = 1}));
  net_device* devs[2];
  for (u32 w = 0; w < 2; ++w) {
    auto& net = h.init_net(w);
    auto dev = register_netdev<drivers::pipe>(net, "eth0", {.cables = cables, .end = 0, .queues = 2, .wakeup = false});
    REQUIRE(dev);
    devs[w] = *dev;
    REQUIRE(dev_open(net, **dev));
    devs[w]->rps_cpus = 1;  // every flow belongs to worker 0
  }
  auto& net = h.init_net();
  REQUIRE(inet_addr_add(net, devs[0]->ifindex, ipv4_cidr("192.0.2.2/24")));
  h.poll(1);  // worker 1 hears of the address
  int const fd = socket(net, af::inet, sock_type::dgram | sock_type::nonblock).value();
  REQUIRE(bind(net, fd, inet_addr_of({}, 7)));
  auto& sk = *sockfs::table_of(net).find(fd)->sk;
  sender senders[2]{{cables[0], "192.0.2.11/24"}, {cables[1], "192.0.2.12/24"}};

  char buf[256];
  auto const settle = [&] {
    while (h.poll(0) + h.poll(1) + senders[0].stack.poll() + senders[1].stack.poll() != 0) {
    }
  };
  for (auto& s : senders) {
    REQUIRE(send(s.stack.init_net(), s.fd, buf, 1));
    settle();
    REQUIRE(recv(net, fd, buf, sizeof buf));
    s.before = s.dev->stats.tx_packets.read();
  }
  auto& mib = UDP_STATS(net);
  auto const refused = [&] { return mib.RcvbufErrors.read() + mib.MemErrors.read(); };
  auto const dropped = [&] { return h.worker(0).softnet.dropped.read() + h.worker(1).softnet.dropped.read(); };

  for (auto& s : senders) leave(s.stack.worker());  // the other thread makes their calls from here on
  std::atomic<bool> all_sent{false}, stop{false};
  std::thread produces([&] {
    char const payload[256] = {};
    auto const poll = [&] { senders[0].stack.poll(), senders[1].stack.poll(), h.poll(1); };
    for (u32 i = 0; i < datagrams && !stop; ++i) {
      for (auto& s : senders)
        while (!send(s.stack.init_net(), s.fd, payload, i % sizeof payload) && !stop) poll();  // its buffer is full
      if (i % 16 == 0) poll();
    }
    while (senders[0].stack.poll() + senders[1].stack.poll() != 0) {
    }
    all_sent = true;
    while (!stop) poll();
  });
  u64 received = 0;
  auto const give_up = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  while (std::chrono::steady_clock::now() < give_up) {
    h.poll(0);
    // A slow reader now and then, so that the buffer overflows, too.
    if (received % 4096 < 4000 || h.worker(0).now / 1'000'000 % 2 == 0)
      while (recv(net, fd, buf, sizeof buf)) ++received;
    if (all_sent && received + refused() + dropped() == senders[0].on_the_wire() + senders[1].on_the_wire()) break;
  }
  stop = true;
  produces.join();
  settle();

  CHECK(senders[0].on_the_wire() == datagrams);
  CHECK(senders[1].on_the_wire() == datagrams);
  CHECK(received > datagrams / 10);
  CHECK(received + refused() + dropped() == senders[0].on_the_wire() + senders[1].on_the_wire());
  CHECK(mib.InDatagrams.read() == received + 2);
  CHECK(mib.InErrors.read() == refused());
  CHECK(sk.sk_drops == refused());
  CHECK(UDP_STATS(h.init_net(1)).InDatagrams.read() == 0);  // every flow was worker 0's
  CHECK(h.worker(0).softnet.received_rps.read() > 0);
  CHECK(sk.sk_rmem_alloc == 0);
  REQUIRE(close(net, fd));
  CHECK(udp_worker_of(net).memory.allocated == 0);
  for (u32 w = 0; w < 2; ++w) CHECK(h.worker(w).pool.in_use() == 0);
  for (auto& s : senders) CHECK(s.stack.worker().pool.in_use() == 0);
}
