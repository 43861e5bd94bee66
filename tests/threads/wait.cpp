// SPDX-License-Identifier: BSL-1.0
// An application's own event loop drives the stack by one fd, while another thread sends frames at random times: each
// is seen at once. A lost wake-up would leave the loop asleep until its limit.
#include <sys/epoll.h>

#include <thread>

#include "netstack/core/rtnl.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

#if defined(NETSTACK_TSAN)
constexpr u32 rounds = 3'000;
#else
constexpr u32 rounds = 20'000;
#endif

struct sink : module {
  struct perworker {
    std::atomic<u32> received{0};
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff&) {
    worker_generic<sink>(net.worker()).received.fetch_add(1, std::memory_order_release);
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = 0x88b5, .func = rcv<Net>, .name = "sink"}};
};

struct host : stack<host, sink, drivers::pipe, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 64}>> {};

struct two_hosts {
  drivers::pipe_cable cable;
  host a, b;
  net_device* from;
  two_hosts() {
    REQUIRE((a.boot() && b.boot()));
    auto x = register_netdev<drivers::pipe>(a.init_net(), "eth0", {.cables = &cable});
    auto y = register_netdev<drivers::pipe>(b.init_net(), "eth0", {.cables = &cable, .end = 1});
    REQUIRE((x && y && dev_open(a.init_net(), **x) && dev_open(b.init_net(), **y)));
    from = *x;
    a.poll(), b.poll();
  }
  u32 received() { return worker_generic<sink>(b.worker()).received.load(std::memory_order_acquire); }
  void send() {
    sk_buff* skb = a.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(46);
    skb->dev = from;
    eth_header(*skb, *from, 0x88b5, mac_broadcast);
    REQUIRE(dev_queue_xmit(a.init_net(), *skb));
  }
  /// One frame after the other, each at some time after the last one was seen; false if one is not seen in a second.
  bool send_at_random_times() {
    prng random{42};
    for (u32 i = 1; i <= rounds; ++i) {
      for (u32 spin = random.below(2000); spin > 0; --spin) std::atomic_signal_fence(std::memory_order_seq_cst);
      if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random.below(200)));
      send();
      auto const limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
      while (received() != i) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::yield();
      }
      a.poll();
    }
    return true;
  }
};

}  // namespace

TEST_CASE("an event loop sees every frame through the one fd", "[S78]") {
  two_hosts two;
  std::atomic<bool> stop{false};
  u32 timeouts = 0;
  std::thread loop([&] {
    int const own = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event interest{.events = EPOLLIN, .data = {.fd = two.b.fd()}};
    ::epoll_ctl(own, EPOLL_CTL_ADD, two.b.fd(), &interest);
    while (!stop.load(std::memory_order_acquire)) {
      while (two.b.poll()) {
      }
      epoll_event event;
      if (two.b.arm()) timeouts += ::epoll_wait(own, &event, 1, 3000) == 0;
    }
    ::close(own);
  });
  bool const all = two.send_at_random_times();
  stop.store(true, std::memory_order_release);
  two.send();
  loop.join();
  CHECK(all);
  CHECK(timeouts == 0);
}

TEST_CASE("wait() sees every frame", "[S78]") {
  two_hosts two;
  std::atomic<bool> stop{false};
  u64 longest = 0;
  std::thread loop([&] {
    while (!stop.load(std::memory_order_acquire)) {
      while (two.b.poll()) {
      }
      u64 const start = two.b.worker().now;
      two.b.wait(3'000'000'000);
      two.b.worker().refresh_clock();
      longest = std::max(longest, two.b.worker().now - start);
    }
  });
  bool const all = two.send_at_random_times();
  stop.store(true, std::memory_order_release);
  two.send();
  loop.join();
  CHECK(all);
  CHECK(longest < 2'900'000'000);
}

TEST_CASE("control messages wake a sleeping worker", "[S19][S78]") {
  host h;
  REQUIRE(h.boot());
  std::atomic<u32> applied{0};
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load(std::memory_order_acquire)) {
      while (h.poll(1)) {
      }
      h.wait(3'000'000'000, 1);
    }
  });
  bool in_time = true;
  for (u32 i = 1; i <= rounds / 10 && in_time; ++i) {
    auto* count = &applied;
    REQUIRE(rtnl(h.init_net(), [count](auto& slice) {
      if (slice.worker().id == 1) count->fetch_add(1, std::memory_order_release);
      return result<void>{};
    }));
    auto const limit = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (applied.load(std::memory_order_acquire) != i && in_time) {
      in_time = std::chrono::steady_clock::now() < limit;
      std::this_thread::yield();
    }
  }
  stop.store(true, std::memory_order_release);
  h.worker(1).wake();
  other.join();
  CHECK(in_time);
}
