// SPDX-License-Identifier: BSL-1.0
// One interface, several workers: flows are spread, each stays on one worker and in order, frames are freed where they
// came from; and a worker that is removed loses nothing of what was queued for it.
#include <chrono>
#include <thread>

#include "netstack/core/dev_config.hpp"
#include "netstack/core/rtnl.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/mock_wire.hpp"

namespace {

using namespace netstack;

#if defined(NETSTACK_TSAN)
constexpr u32 total = 30'000;
#else
constexpr u32 total = 100'000;
#endif
constexpr u32 flows = 64;

/// Notes for each flow who got it, and whether its numbers rise.
struct tally : module {
  struct perworker {
    u32 received = 0;
    u32 disordered = 0;
    u32 next[flows]{};
    u32 count[flows]{};
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& state = worker_generic<tally>(net.worker());
    be16 port;
    u32 number;
    std::memcpy(&port, skb.data + 20, sizeof port);
    std::memcpy(&number, skb.data + 28, sizeof number);
    u32 const flow = port.host() % flows;
    state.disordered += number < state.next[flow];
    state.next[flow] = number + 1;
    ++state.count[flow];
    ++state.received;
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::ip, .func = rcv<Net>, .name = "tally"}};
};

struct host
    : stack<host, tally, drivers::pipe, sizes<config{.workers = 3, .max_net = 2, .skb_pool = 2048, .rps_ring = 256}>> {
};
using mock = test::mock_wire<test::defect::none>;
struct mocked : stack<mocked, tally, mock, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 128}>> {};
struct far_host : stack<far_host, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 2048}>> {};

template <class Net>
sk_buff* udp_frame(Net& net, net_device& dev, u32 flow, u32 number) {
  sk_buff* skb = net.worker().pool.alloc_skb();
  if (!skb) return nullptr;
  iphdr ip{.tot_len = be16{50}, .ttl = 64, .protocol = ipproto::udp};
  ip.saddr = be32{0xc0000201}, ip.daddr = be32{0xc0000202};
  be16 const ports[2] = {be16{static_cast<u16>(flow)}, be16{53}};
  u8* at = skb->put(50);
  std::memcpy(at, &ip, sizeof ip);
  std::memcpy(at + 20, ports, sizeof ports);
  std::memcpy(at + 28, &number, sizeof number);
  skb->dev = &dev;
  eth_header(*skb, dev, eth_p::ip, mac_broadcast);
  return skb;
}

/// A stack of three workers whose one interface belongs to worker 0; the far end sends from a stack of its own.
struct world {
  drivers::pipe_cable cable;
  host h;
  far_host far;
  net_device* dev[3];
  net_device* end;
  world() {
    REQUIRE((h.boot() && far.boot()));
    auto other = register_netdev<drivers::pipe>(far.init_net(), "far", {.cables = &cable, .end = 1, .wakeup = false});
    REQUIRE((other && dev_open(far.init_net(), **other)));
    end = *other;
    // The workers without a queue of their own have an end of an unused cable.
    for (u32 w = 0; w < 3; ++w) {
      auto made = register_netdev<drivers::pipe>(h.init_net(w), "eth0",
                                                 {.cables = w == 0 ? &cable : spare, .queues = 3, .wakeup = false});
      REQUIRE((made && dev_open(h.init_net(w), **made)));
      dev[w] = *made;
      h.worker(w).softnet.netdev_max_backlog = 1'000'000;
    }
    for (int i = 0; i < 2; ++i) h.poll(0), far.poll();
  }
  drivers::pipe_cable spare[3];
  u32 refused = 0;

  /// Polls a worker until nothing is left, however often a slow machine ends a round early.
  void settle(u32 k) {
    for (int quiet = 0; quiet < 3;) quiet = h.poll(k) == 0 ? quiet + 1 : 0;
  }
  /// Sends frames [first, last) round robin over the flows, as fast as the stack takes them.
  void feed(u32 first, u32 last, std::atomic<bool> const* stop = nullptr) {
    for (u32 i = first; i < last && !(stop && stop->load(std::memory_order_relaxed));) {
      sk_buff* skb = far.worker().pool.available() > 8 ? udp_frame(far.init_net(), *end, i % flows, i) : nullptr;
      if (!skb) {
        far.poll();
        continue;
      }
      while (end->tx[0].qdisc.qlen() > 500) far.poll();
      refused += !dev_queue_xmit(far.init_net(), *skb);
      ++i;
    }
    while (end->tx[0].qdisc.qlen() != 0) far.poll();
  }
  /// All of them. Where threads wait for a processor rings are full and drop: between bursts the workers get their
  /// turn.
  void feed_all() {
    constexpr u32 burst = 200;
    for (u32 i = 0; i < total; i += burst) {
      feed(i, i + burst);
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  }
  auto& state(u32 w) { return worker_generic<tally>(h.worker(w)); }
  u32 received() { return state(0).received + state(1).received + state(2).received; }
  u64 lost() {
    u64 n = 0;
    for (u32 w = 0; w < 3; ++w) n += h.worker(w).softnet.dropped.read();
    return n;
  }
  void check_flows() {
    for (u32 w = 0; w < 3; ++w) CHECK(state(w).disordered == 0);
    for (u32 f = 0; f < flows; ++f) {
      u32 homes = 0;
      for (u32 w = 0; w < 3; ++w) homes += state(w).count[f] != 0;
      CHECK(homes == 1);
    }
  }
};

/// A worker on a thread of its own.
struct worker_thread {
  std::atomic<bool> stop{false};
  std::thread thread;
  worker_thread(host& h, u32 w)
      : thread([this, &h, w] {
          while (!stop.load(std::memory_order_acquire))
            if (h.poll(w) == 0) h.wait(1'000'000, w);
        }) {}
  void end() {
    stop.store(true, std::memory_order_release);
    if (thread.joinable()) thread.join();
  }
  ~worker_thread() { end(); }
};

}  // namespace

TEST_CASE("flows are spread over the workers, each pinned to one and in order", "[S64][S59][S51]") {
  world w;
  REQUIRE(dev_set_rps_cpus(w.h.init_net(), *w.dev[0], 0b111));
  std::atomic<bool> fed{false};
  {
    worker_thread first{w.h, 1}, second{w.h, 2};
    std::thread feeder([&] {
      w.feed_all();
      fed.store(true, std::memory_order_release);
    });
    while (!fed.load(std::memory_order_acquire) || !w.cable.from(1).frames.empty()) w.h.poll(0);
    feeder.join();
    for (int i = 0; i < 1000; ++i) {
      w.h.poll(0);
      std::this_thread::yield();
    }
  }
  for (int i = 0; i < 3; ++i)
    for (u32 k = 0; k < 3; ++k) w.settle(k);
  CHECK(w.refused == 0);
  for (int i = 0; i < 3; ++i) w.far.poll();
  CHECK(w.received() + w.lost() == total);
  CHECK(w.received() > total / 100);  // how many are dropped is up to the machine: three threads, maybe two processors
  for (u32 k = 0; k < 3; ++k) CHECK(w.state(k).received > total / 100);
  CHECK(w.h.worker(1).softnet.received_rps.read() + w.h.worker(2).softnet.received_rps.read() > 0);
  w.check_flows();
  for (u32 k = 0; k < 3; ++k) CHECK(w.h.worker(k).pool.in_use() == 0);
  CHECK(w.far.worker().pool.in_use() == 0);
}

TEST_CASE("without a mask every frame stays on the worker that received it", "[S64]") {
  world w;
  w.feed(0, 200);
  w.settle(0);
  CHECK(w.state(0).received == 200);
  for (u32 k = 1; k < 3; ++k) CHECK(w.h.poll(k) == 0);
}

TEST_CASE("a full ring to another worker drops and counts, and the originals come home", "[S64]") {
  world w;
  REQUIRE(dev_set_rps_cpus(w.h.init_net(), *w.dev[0], 0b010));
  for (u32 i = 0; i < 4; ++i) {
    w.feed(i * 100, i * 100 + 100);
    w.settle(0);
  }
  CHECK(w.h.worker(0).softnet.dropped.read() == 400 - host::sizes.rps_ring);
  CHECK(w.h.worker(0).pool.in_use() == host::sizes.rps_ring);
  w.settle(1);
  CHECK(w.state(1).received == host::sizes.rps_ring);
  CHECK(w.h.worker(0).pool.in_use() == host::sizes.rps_ring);  // handled, and on their way home
  w.settle(0);
  CHECK(w.h.worker(0).pool.in_use() == 0);
}

TEST_CASE("frames for a namespace that is gone reach nobody, not even its successor", "[S64][S12]") {
  world w;
  auto ns = w.h.copy_net_ns();
  REQUIRE(ns);
  for (u32 k = 1; k < 3; ++k) w.h.poll(k);
  u16 const index = (*ns)->index;
  auto& sender = w.h.worker(2).nets[index];
  auto const send = [&] {
    REQUIRE(netstack::detail::rps_send(sender, *udp_frame(sender, *sender.loopback_dev, 1, 1), 1));
  };
  send();  // while it lives: lo is down there, and says so
  w.h.poll(1);
  CHECK(w.h.worker(1).nets[index].loopback_dev->stats.rx_dropped.read() == 1);
  // It goes; worker 1 knows, worker 2 was just about to send one more frame.
  w.h.put_net(**ns);
  w.h.poll(0);
  w.h.poll(1);
  send();
  w.h.poll(2);
  // Its successor is in the same place, and its lo has the same number.
  auto again = w.h.copy_net_ns();
  REQUIRE(again);
  REQUIRE((*again)->index == index);
  w.h.poll(1);  // messages first: when the frame is looked at, the successor is there
  auto& successor = w.h.worker(1).nets[index];
  REQUIRE((successor.alive && successor.loopback_dev->ifindex == 1));
  CHECK(successor.loopback_dev->stats.rx_dropped.read() == 0);
  w.h.poll(2);
  for (u32 k = 0; k < 3; ++k) CHECK(w.h.worker(k).pool.in_use() == 0);
}

TEST_CASE("a removed worker's backlog, completion and transmit queues move, in order", "[S10]") {
  test::mock_end ends[2];
  mocked h;
  REQUIRE(h.boot());
  net_device* dev[2];
  for (u32 w = 0; w < 2; ++w) {
    auto made = register_netdev<mock>(h.init_net(w), "eth0", {.end = &ends[w]});
    REQUIRE((made && dev_open(h.init_net(w), **made)));
    dev[w] = *made;
  }
  auto& net = h.init_net(1);
  // Ten frames in its backlog, four to be freed, five that wait for a busy driver.
  for (u32 i = 0; i < 10; ++i) {
    sk_buff* skb = udp_frame(net, *dev[1], 7, i);
    eth_type_trans(*skb, *dev[1]);
    REQUIRE(netif_rx(net, *skb));
  }
  for (u32 i = 0; i < 4; ++i) dev_consume_skb_irq(net, *udp_frame(net, *dev[1], 0, 0));
  netif_stop_queue(*dev[1]);
  for (u32 i = 0; i < 5; ++i) REQUIRE(dev_queue_xmit(net, *udp_frame(net, *dev[1], 1, i)));
  CHECK(h.worker(1).pool.in_use() == 19);

  CHECK(h.remove_worker(0).error() == std::errc::invalid_argument);
  CHECK(h.remove_worker(1, 1).error() == std::errc::invalid_argument);
  CHECK(h.remove_worker(2).error() == std::errc::invalid_argument);
  REQUIRE(h.remove_worker(1));
  CHECK(h.remove_worker(1).error() == std::errc::invalid_argument);
  CHECK(h.online_workers() == 1);
  CHECK(!dev[1]->running());

  while (h.poll(0)) {
  }
  auto& state = worker_generic<tally>(h.worker(0));
  CHECK(state.received == 10);
  CHECK((state.disordered == 0 && state.next[7] == 10));
  REQUIRE(ends[0].in_flight.size() == 5);
  for (u32 i = 0; i < 5; ++i) {
    u32 number;
    std::memcpy(&number, ends[0].in_flight[i]->data + 42, sizeof number);
    CHECK(number == i);
    ends[0].done.push_back(ends[0].in_flight[i]);
  }
  ends[0].in_flight.clear();
  h.poll(0);
  CHECK(h.worker(1).pool.in_use() == 0);
  // Control operations still reach its slice, so that it does not fall behind.
  for (u32 i = 0; i < 3 * mocked::sizes.control_ring; ++i) {
    REQUIRE(rtnl(h.init_net(0), [](auto& slice) {
      slice.passive += 1;
      return result<void>{};
    }));
    h.poll(0);
  }
  CHECK(h.init_net(1).passive == h.init_net(0).passive);
}

TEST_CASE("an heir can be removed in turn: what was left to it goes on to the next", "[S10]") {
  world w;
  REQUIRE(dev_set_rps_cpus(w.h.init_net(), *w.dev[0], 0b010));
  w.feed(0, 100);
  w.settle(0);  // all of them lie in the ring to worker 1
  REQUIRE(w.h.remove_worker(1, 2));
  CHECK(w.h.remove_worker(2, 1).error() == std::errc::invalid_argument);
  w.settle(2);
  CHECK(w.state(2).received == 100);
  sk_buff* late = udp_frame(w.h.init_net(0), *w.dev[0], 1, 1000);
  eth_type_trans(*late, *w.dev[0]);
  REQUIRE(netstack::detail::rps_send(w.h.init_net(0), *late, 1));
  REQUIRE(w.h.remove_worker(2, 0));
  CHECK(w.h.online_workers() == 0b001);
  w.h.wait(10'000'000'000);  // does not sleep: there is work, two estates away
  w.settle(0);
  CHECK(w.state(0).received == 1);
  for (u32 k = 0; k < 3; ++k) CHECK(w.h.worker(k).pool.in_use() == 0);
}

TEST_CASE("a worker is removed while others send to it: every frame is counted", "[S10][S64]") {
  world w;
  REQUIRE(dev_set_rps_cpus(w.h.init_net(), *w.dev[0], 0b111));
  std::atomic<bool> fed{false};
  u32 at_removal = 0;
  {
    worker_thread first{w.h, 1}, second{w.h, 2};
    std::thread feeder([&] {
      w.feed_all();
      fed.store(true, std::memory_order_release);
    });
    // On a busy machine worker 1 may come late; what it is removed with must be something.
    auto const end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    auto const handled = [&](u32 k) { return w.h.worker(k).softnet.received_rps.read(); };
    while (!fed.load(std::memory_order_acquire) || !w.cable.from(1).frames.empty() ||
           (at_removal == 0 && std::chrono::steady_clock::now() < end)) {
      w.h.poll(0);
      if (at_removal == 0 && w.state(0).received > total / 100 && handled(1) > 0) {
        at_removal = w.state(0).received;
        first.end();
        w.h.poll(0);  // sends more to it: nobody is there, until it is removed
        REQUIRE(w.h.remove_worker(1));
      }
    }
    feeder.join();
    for (int i = 0; i < 1000; ++i) {
      w.h.poll(0);
      std::this_thread::yield();
    }
  }
  for (int i = 0; i < 3; ++i) w.settle(0), w.settle(2);
  CHECK(w.refused == 0);
  CHECK(at_removal > 0);
  CHECK(w.state(1).received > 0);
  CHECK(w.received() + w.lost() == total);
  for (int i = 0; i < 3; ++i) w.far.poll();
  for (u32 k = 0; k < 3; ++k) CHECK(w.h.worker(k).pool.in_use() == 0);
}
