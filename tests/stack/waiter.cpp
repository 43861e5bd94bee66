// SPDX-License-Identifier: BSL-1.0
// Sleeping: until a frame, a timer, a message or the limit, whichever comes first; and one fd for an application's own
// event loop, which is readable exactly when there is something to do.
#include "netstack/stack/waiter.hpp"

#include <poll.h>

#include <fstream>

#include "netstack/core/rtnl.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;

struct host : stack<host, test::recorder, test::mock, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 64}>> {};

u64 real_now() { return netstack::detail::read_clock(CLOCK_MONOTONIC); }

bool readable(int fd, int ms = 0) {
  pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) == 1;
}

struct world {
  test::mock_end end;
  host h;
  net_device* dev = nullptr;
  world() {
    REQUIRE(h.boot());
    auto made = register_netdev<test::mock>(h.init_net(), "eth0", {.end = &end});
    REQUIRE((made && dev_open(h.init_net(), **made)));
    dev = *made;
    while (h.poll()) {
    }
  }
  void inject() {
    end.to_device.push_back(test::mock_frame(1));
    u64 const one = 1;
    (void)!::write(end.fd, &one, sizeof one);
  }
  u64 waited(u64 limit) {
    u64 const start = real_now();
    h.wait(limit);
    return real_now() - start;
  }
};

constexpr u64 ms = 1'000'000;

}  // namespace

TEST_CASE("wait() ends with its limit, a frame, a timer or a message, and does not begin with work at hand", "[S78]") {
  world w;
  CHECK(w.waited(20 * ms) >= 20 * ms);
  // A frame.
  w.inject();
  CHECK(w.waited(10'000 * ms) < 5'000 * ms);
  CHECK(w.h.poll() == 1);
  // A timer.
  timer_list timer;
  bool fired = false;
  timer.function = [](void*, timer_list& t) { t.expires = 0; };
  w.h.worker().timers.add_timer(timer, real_now() + 20 * ms);
  for (int i = 0; i < 10 && timer.expires != 0; ++i) {
    w.h.wait(10'000 * ms);
    w.h.poll();
  }
  fired = timer.expires == 0;
  CHECK(fired);
  // A message from another worker, and one that is there already.
  auto const nothing = [](auto&) { return result<void>{}; };
  REQUIRE(rtnl(w.h.init_net(1), nothing));
  CHECK(w.waited(10'000 * ms) < 5'000 * ms);
  CHECK(w.h.poll() == 1);
  // Work that is left over.
  w.h.worker().softnet.netdev_budget = 1;
  w.inject();
  w.inject();
  CHECK(w.h.poll() == 1);
  CHECK(w.waited(10'000 * ms) < 5'000 * ms);
  CHECK(w.h.poll() == 1);
}

TEST_CASE("a driver that stays busy is asked again soon, but not in a circle", "[S78][S76]") {
  world w;
  for (u32 i = 0; i < test::mock::ring_size + 5; ++i) {
    sk_buff* skb = w.h.worker().pool.alloc_skb();
    if (!skb) break;
    skb->put(60);
    skb->dev = w.dev;
    (void)dev_queue_xmit(w.h.init_net(), *skb);
  }
  // The pool is smaller than the ring: fill it by hand.
  while (w.end.in_flight.size() < test::mock::ring_size) w.end.in_flight.push_back(nullptr);
  sk_buff* skb = w.end.in_flight.front();
  w.end.in_flight.front() = nullptr;
  REQUIRE(skb);
  CHECK(dev_queue_xmit(w.h.init_net(), *skb));
  CHECK(w.dev->tx[0].qdisc.qlen() == 1);
  u32 polls = 0;
  u64 const start = real_now();
  for (; polls < 100 && real_now() - start < 10'000 * ms; ++polls) {
    w.h.poll();
    w.h.wait(10'000 * ms);
  }
  CHECK(polls == 100);
  CHECK(real_now() - start > 100 * 40'000);
  while (!w.end.in_flight.empty()) {
    if (w.end.in_flight.front()) w.end.done.push_back(w.end.in_flight.front());
    w.end.in_flight.pop_front();
  }
  w.h.poll();
  CHECK(w.dev->tx[0].qdisc.empty());
}

TEST_CASE("the fd of a worker is readable with a frame, a timer or a message, and quiet once all is done", "[S78]") {
  world w;
  int const fd = w.h.fd();
  REQUIRE(fd >= 0);
  REQUIRE(w.h.arm());
  CHECK(!readable(fd, 10));
  w.inject();
  CHECK(readable(fd, 1000));
  CHECK(w.h.poll() == 1);
  CHECK(w.h.poll() == 0);
  REQUIRE(w.h.arm());
  CHECK(!readable(fd, 10));
  // A timer, armed before.
  timer_list timer;
  timer.function = [](void*, timer_list&) {};
  w.h.worker().timers.add_timer(timer, real_now() + 200 * ms);
  REQUIRE(w.h.arm());
  if (readable(fd, 5)) {  // while the timer is on a coarse level it may be looked at before its time
    CHECK(w.h.poll() == 0);
    REQUIRE(w.h.arm());
  }
  CHECK(readable(fd, 10'000));
  u32 fired = 0;
  for (int i = 0; i < 100 && fired == 0; ++i) {
    fired = w.h.poll();
    if (fired == 0 && w.h.arm()) readable(fd, 1000);
  }
  CHECK(fired == 1);
  REQUIRE(w.h.arm());
  CHECK(!readable(fd, 10));  // the timer's own readiness is taken back
  // A message.
  auto const nothing = [](auto&) { return result<void>{}; };
  REQUIRE(rtnl(w.h.init_net(1), nothing));
  CHECK(readable(fd, 1000));
  CHECK(w.h.poll() == 1);
  REQUIRE(rtnl(w.h.init_net(1), nothing));
  CHECK(!w.h.arm());  // there is work already
  CHECK(w.h.poll() == 1);
  REQUIRE(w.h.arm());
  CHECK(!readable(fd, 10));
}

TEST_CASE("a device that goes down leaves the set", "[S78]") {
  world w;
  REQUIRE(w.h.arm());
  dev_close(w.h.init_net(), *w.dev);
  w.inject();
  CHECK(!readable(w.h.fd(), 10));
  REQUIRE(dev_open(w.h.init_net(), *w.dev));
  w.inject();
  CHECK(readable(w.h.fd(), 1000));
}

TEST_CASE("only a worker that sleeps now and then has its devices' fds in the set", "[S78]") {
  world w;
  auto const members = [&] {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(w.h.fd()));
    int n = 0;
    for (std::string line; std::getline(info, line);) n += line.starts_with("tfd:");
    return n;
  };
  int const own = members();  // its timer, and the others' calls
  REQUIRE(own > 0);
  for (int i = 0; i < 1000; ++i) w.h.poll();
  CHECK(members() == own);
  REQUIRE(w.h.arm());
  CHECK(members() == own + 1);
  for (int i = 0; i < 10; ++i) w.h.poll();  // an event loop's turn
  CHECK(members() == own + 1);
  for (int i = 0; i < 1000; ++i) w.h.poll();
  CHECK(members() == own);
  // Busy or not, a device may come and go, and the next sleep ends with its frame.
  dev_close(w.h.init_net(), *w.dev);
  REQUIRE(dev_open(w.h.init_net(), *w.dev));
  CHECK(members() == own);
  w.inject();
  CHECK(w.waited(10'000 * ms) < 5'000 * ms);
  CHECK(members() == own + 1);
  CHECK(w.h.poll() == 1);
}
