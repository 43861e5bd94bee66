// SPDX-License-Identifier: BSL-1.0
// Two stacks, each on threads of its own, joined by pipes: frames cross whole and in order both ways, in one piece or
// in several, each pool is touched by its own thread only, and an end may go down, or be made anew, while the other
// sends.
#include "netstack/drivers/pipe.hpp"

#include <chrono>
#include <cstring>
#include <thread>

#include "netstack/core/dev_short.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

#if defined(NETSTACK_TSAN)
constexpr u32 frames_each_way = 20'000;
#else
constexpr u32 frames_each_way = 100'000;
#endif

/// Checks number and filling of each frame.
struct sink : module {
  struct perworker {
    u32 received = 0;
    u32 next = 0;
    u32 wrong = 0;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& state = worker_generic<sink>(net.worker());
    u32 number;
    std::memcpy(&number, skb.data, sizeof number);
    state.wrong += number < state.next;
    for_each_piece(skb, sizeof number, skb.len - u32{sizeof number}, [&](u8 const* bytes, u32 n) {
      for (u32 i = 0; i < n; ++i) state.wrong += bytes[i] != static_cast<u8>(number);
    });
    state.next = number + 1;
    ++state.received;
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = 0x88b5, .func = rcv<Net>, .name = "sink"}};
};

struct host : stack<host, sink, drivers::pipe, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 1024}>> {};

/// One worker of one stack on its thread.
struct station {
  host& h;
  u32 worker;
  net_device& dev;
  bool sleep;
  u32 sent = 0;

  bool send(u32 number) {
    auto& pool = h.worker(worker).pool;
    if (pool.available() < 512) return false;  // leave room for what arrives
    if (number % 3 == 0)
      if (u8* const at = dev_short_begin(h.init_net(worker), dev, short_frame_max)) {
        std::memset(at, static_cast<int>(number & 0xff), short_frame_max);
        std::memcpy(at + eth_hlen, &number, sizeof number);
        ethhdr const eth{.h_dest = mac_broadcast, .h_source = dev.dev_addr, .h_proto = be16{0x88b5}};
        std::memcpy(at, &eth, sizeof eth);
        dev_short_end(h.init_net(worker), dev);
        return true;
      }
    // Now and then one that lies in two frames of the pool.
    u32 const linear = 46 + number % 700, rest = number % 16 == 0 ? 600 : 0;
    sk_buff* skb = alloc_skb_with_frags(pool, pool.rx_headroom(), linear, rest);
    for_each_piece(*skb, 0, skb->len,
                   [&](u8* bytes, u32 n) { std::memset(bytes, static_cast<int>(number & 0xff), n); });
    std::memcpy(skb->data, &number, sizeof number);
    skb->dev = &dev;
    eth_header(*skb, dev, 0x88b5, mac_broadcast);
    return dev_queue_xmit(h.init_net(worker), *skb).has_value();
  }
  void run(u32 frames, std::atomic<int>& unfinished) {
    auto& state = worker_generic<sink>(h.worker(worker));
    bool finished = false;
    auto const patience = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (unfinished.load(std::memory_order_acquire) > 0) {
      for (u32 burst = 0; burst < 16 && sent < frames && send(sent); ++burst) ++sent;
      u32 const work = h.poll(worker);
      if (!finished && sent == frames && state.received == frames) {
        finished = true;
        unfinished.fetch_sub(1, std::memory_order_acq_rel);
      }
      // What is refused again and again, or lost, ends the run too: the counts tell.
      if (work == 0 && std::chrono::steady_clock::now() > patience) unfinished.store(0, std::memory_order_release);
      if (work == 0 && sleep && (sent == frames || h.worker(worker).pool.available() < 512)) h.wait(2'000'000, worker);
    }
    for (int i = 0; i < 3; ++i) h.poll(worker);
  }
};

struct pair_of_hosts {
  drivers::pipe_cable cables[2];
  host a, b;
  net_device* dev[2][2]{};  // [stack][worker]
  explicit pair_of_hosts(u32 workers) {
    REQUIRE((a.boot() && b.boot()));
    for (u32 w = 0; w < workers; ++w)
      for (u8 end = 0; end < 2; ++end) {
        auto& h = end ? b : a;
        auto made = register_netdev<drivers::pipe>(h.init_net(w), "eth0", {.cables = cables, .end = end, .queues = 2});
        REQUIRE((made && dev_open(h.init_net(w), **made)));
        dev[end][w] = *made;
      }
    for (int i = 0; i < 2; ++i)
      for (u32 w = 0; w < workers; ++w) a.poll(w), b.poll(w);
  }
};

void exchange(u32 workers, bool sleep) {
  pair_of_hosts two{workers};
  std::atomic<int> unfinished{static_cast<int>(2 * workers)};
  std::vector<std::thread> threads;
  for (u32 w = 0; w < workers; ++w)
    for (u32 end = 0; end < 2; ++end)
      threads.emplace_back([&two, &unfinished, w, end, sleep, workers] {
        station{end ? two.b : two.a, w, *two.dev[end][w], sleep}.run(frames_each_way / workers, unfinished);
      });
  for (auto& t : threads) t.join();
  for (u32 w = 0; w < workers; ++w)
    for (auto* h : {&two.a, &two.b}) {
      auto const& state = worker_generic<sink>(h->worker(w));
      CHECK(state.received == frames_each_way / workers);
      CHECK(state.wrong == 0);
    }
  for (u32 w = 0; w < workers; ++w) two.a.poll(w), two.b.poll(w);
  for (u32 w = 0; w < workers; ++w) {
    CHECK(two.a.worker(w).pool.in_use() == 0);
    CHECK(two.b.worker(w).pool.in_use() == 0);
  }
}

}  // namespace

TEST_CASE("frames cross between two threads, both ways at once", "[pipe][S76]") { exchange(1, false); }
TEST_CASE("frames cross between two threads that sleep, and no wake-up is lost", "[pipe][S78]") { exchange(1, true); }
TEST_CASE("two workers each, a pipe between each pair", "[pipe][S59]") { exchange(2, false); }

TEST_CASE("one end goes down and up, or is made anew, while the other sends: nothing leaks, nothing is torn",
          "[pipe][S73]") {
  pair_of_hosts two{1};
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    station s{two.a, 0, *two.dev[0][0], false};
    while (!stop.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 8; ++i) s.sent += s.send(s.sent);
      two.a.poll(0);
    }
  });
  auto& net = two.b.init_net();
  net_device*& dev = two.dev[1][0];
  u32 ups = 0, sent_back = 0;
  for (int i = 0; i < 300; ++i) {
    u32 const before = worker_generic<sink>(two.b.worker()).received;
    for (int k = 0; k < 1000 && worker_generic<sink>(two.b.worker()).received < before + 50; ++k) {
      if (two.b.poll(0) == 0) std::this_thread::yield();
      sent_back += station{two.b, 0, *dev, false}.send(sent_back);
    }
    dev_close(net, *dev);
    CHECK(two.b.worker().pool.in_use() == 0);  // whatever the other end is doing just now
    if (i % 8 == 0) {
      unregister_netdev(net, *dev);
      auto made = register_netdev<drivers::pipe>(net, "eth0", {.cables = two.cables, .end = 1, .queues = 2});
      REQUIRE(made);
      dev = *made;
    }
    ups += dev_open(net, *dev).has_value();
  }
  stop = true;
  sender.join();
  CHECK(ups == 300);
  CHECK(worker_generic<sink>(two.b.worker()).wrong == 0);
  CHECK(worker_generic<sink>(two.b.worker()).received > 0);
  dev_close(two.a.init_net(), *two.dev[0][0]);
  CHECK(two.a.worker().pool.in_use() == 0);
}
