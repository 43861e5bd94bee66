// SPDX-License-Identifier: BSL-1.0
// Two workers on two threads: namespaces come and go and settings change on worker 0 while worker 1 polls its slices.
#include "netstack/stack/stack.hpp"

#include <atomic>
#include <thread>

#include "netstack/core/rtnl.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

struct counted : module {
  struct pernet {
    u64 value = 0;
  };
  struct perworker {
    u64 inits = 0, exits = 0;
  };
  template <class Net>
  static result<void> init(Net& net) {
    ++worker_generic<counted>(net.worker()).inits;
    return {};
  }
  template <class Net>
  static void exit(Net& net) {
    ++worker_generic<counted>(net.worker()).exits;
  }
  template <class Net>
  static constexpr std::array pernet_ops{
      pernet_operations<Net>{.name = "counted", .init = init<Net>, .exit = exit<Net>}};
};

struct host : stack<host, counted, sizes<config{.workers = 2, .max_net = 4, .skb_pool = 64}>> {};

}  // namespace

TEST_CASE("namespaces come and go on one worker while the other polls", "[S19][S178]") {
  constexpr int rounds = 5000;
  host h;
  REQUIRE(h.boot());
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load(std::memory_order_relaxed)) h.poll(1);
    h.poll(1);
  });
  int made = 0;
  for (int i = 0; i < rounds; ++i) {
    auto ns = h.copy_net_ns();
    if (ns) {
      ++made;
      auto& net = **ns;
      u64 const value = static_cast<u64>(i);
      auto r = rtnl(net, [value](auto& slice) {
        net_generic<counted>(slice).value = value;
        return result<void>{};
      });
      CHECK((r || r.error() == std::errc::resource_unavailable_try_again));
      h.put_net(net);
    } else {
      std::this_thread::yield();
    }
    h.poll(0);
  }
  // What was condemned goes as soon as the rings have room.
  for (int i = 0; i < 1'000'000 && h.nr_namespaces() > 1; ++i) h.poll(0);
  stop = true;
  other.join();
  CHECK(made > 0);
  CHECK(h.nr_namespaces() == 1);
  auto& mine = worker_generic<counted>(h.worker(0));
  auto& theirs = worker_generic<counted>(h.worker(1));
  CHECK(mine.inits == static_cast<u64>(made) + 1);
  CHECK(mine.exits == static_cast<u64>(made));
  CHECK(theirs.inits == mine.inits);
  CHECK(theirs.exits == mine.exits);
}

TEST_CASE("a control operation reaches every worker's slice in order, and is refused when a ring is full", "[S19]") {
  host h;
  REQUIRE(h.boot());
  u64 sent = 0;
  for (u64 i = 1; i <= 2 * host::sizes.control_ring; ++i) {
    auto r = rtnl(h.init_net(), [i](auto& slice) {
      net_generic<counted>(slice).value = i;
      return result<void>{};
    });
    if (!r) {
      CHECK(r.error() == std::errc::resource_unavailable_try_again);
      break;
    }
    sent = i;
  }
  CHECK(sent == host::sizes.control_ring);
  CHECK(net_generic<counted>(h.init_net(0)).value == sent);  // the refused one changed nothing here either
  CHECK(net_generic<counted>(h.init_net(1)).value == 0);
  h.poll(1);
  CHECK(net_generic<counted>(h.init_net(1)).value == sent);
}
