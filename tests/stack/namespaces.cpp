// SPDX-License-Identifier: BSL-1.0
// Namespaces: order of their modules' hooks, unwinding at every step, isolation, reuse, and 100,000 lives without heap.
#include "netstack/meta/fixed_string.hpp"
#include "netstack/stack/stack.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/heap_counter.hpp"

namespace {

using namespace netstack;

std::vector<std::string>* current = nullptr;
void say(char const* name, char const* what) {
  if (current) current->push_back(std::string(name) + "." + what);
}

template <fixed_string Name, bool Device>
struct member : module {
  struct pernet {
    int value = 42;
  };
  template <class Net>
  static result<void> init(Net&) {
    say(Name.text, "init");
    return {};
  }
  template <class Net>
  static void exit(Net&) {
    say(Name.text, "exit");
  }
  template <class Net>
  static void free(Net&) {
    say(Name.text, "free");
  }
  template <class Net>
  static constexpr std::array pernet_ops{pernet_operations<Net>{
      .name = Name.text, .init = init<Net>, .exit = exit<Net>, .free = free<Net>, .device = Device}};
};
using sub_a = member<"sub_a", false>;
using dev_a = member<"dev_a", true>;
using sub_b = member<"sub_b", false>;

// A device listed before a subsystem: subsystems come first all the same.
struct host : stack<host, sub_a, dev_a, sub_b, sizes<config{.max_net = 3, .skb_pool = 64}>> {};

}  // namespace

TEST_CASE("subsystems before devices; exits in reverse, then frees in reverse", "[S14][S15]") {
  host h;
  REQUIRE(h.boot());
  std::vector<std::string> lines;
  current = &lines;
  auto ns = h.copy_net_ns();
  REQUIRE(ns);
  CHECK(lines == std::vector<std::string>{"sub_a.init", "sub_b.init", "dev_a.init"});
  lines.clear();
  h.put_net(**ns);
  CHECK(lines.empty());  // the last holder does not do the work itself
  h.poll();
  CHECK(lines ==
        std::vector<std::string>{"dev_a.exit", "sub_b.exit", "sub_a.exit", "dev_a.free", "sub_b.free", "sub_a.free"});
  current = nullptr;
}

TEST_CASE("the n-th pernet init fails: exits in reverse, then frees, and the slot is free again", "[S16]") {
  // init_net runs loopback, sub_a, sub_b, dev_a first: pernet inits 0 to 3; the new namespace has 4 to 7.
  for (int n = 4; n < 8; ++n) {
    host h;
    REQUIRE(h.boot({.seed = 1, .fail_pernet = n}));
    std::vector<std::string> lines;
    current = &lines;
    auto ns = h.copy_net_ns();
    REQUIRE(!ns);
    CHECK(ns.error() == std::errc::not_enough_memory);
    std::vector<std::string> inits, exits, frees;
    for (auto const& line : lines) {
      auto const dot = line.find('.');
      auto& list = line.substr(dot) == ".init" ? inits : line.substr(dot) == ".exit" ? exits : frees;
      list.push_back(line.substr(0, dot));
    }
    CHECK(std::vector<std::string>(exits.rbegin(), exits.rend()) == inits);
    CHECK(exits == frees);
    CHECK(h.nr_namespaces() == 1);
    current = nullptr;
    auto again = h.copy_net_ns();
    REQUIRE(again);
    CHECK((*again)->index == 1);
  }
}

TEST_CASE("a failing pernet init of init_net fails the boot", "[S16][S6]") {
  for (int n = 0; n < 4; ++n) {
    host h;
    CHECK(h.boot({.seed = 1, .fail_pernet = n}).error() == std::errc::not_enough_memory);
    REQUIRE(h.boot({.seed = 1}));
  }
}

TEST_CASE("namespaces are listed in order of creation, have typed slots of their own, and run out by number",
          "[S12][S13][S17]") {
  host h;
  REQUIRE(h.boot());
  auto a = h.copy_net_ns();
  auto b = h.copy_net_ns();
  REQUIRE(a);
  REQUIRE(b);
  CHECK(h.copy_net_ns().error() == std::errc::no_buffer_space);
  net_generic<sub_a>(h.init_net()).value = 1;
  net_generic<sub_a>(**a).value = 2;
  CHECK(net_generic<sub_a>(**b).value == 42);
  CHECK(net_generic<sub_b>(**a).value == 42);
  std::vector<int> order;
  h.for_each_net([&](auto& net) { order.push_back(net.index); });
  CHECK(order == std::vector<int>{0, 1, 2});
  // a goes; the next one takes its slot but stands last, with the composition's defaults and not a's values.
  h.put_net(**a);
  h.poll();
  auto c = h.copy_net_ns();
  REQUIRE(c);
  CHECK(net_generic<sub_a>(**c).value == 42);
  order.clear();
  h.for_each_net([&](auto& net) { order.push_back(net.index); });
  CHECK(order == std::vector<int>{0, 2, 1});
}

TEST_CASE("only the last holder ends a namespace", "[S18]") {
  host h;
  REQUIRE(h.boot());
  auto ns = h.copy_net_ns();
  REQUIRE(ns);
  h.get_net(**ns);
  h.put_net(**ns);
  h.poll();
  CHECK((*ns)->alive);
  h.put_net(**ns);
  CHECK((*ns)->alive);
  h.poll();
  CHECK(!(*ns)->alive);
}

TEST_CASE("each namespace has its own lo with ifindex 1, and both go with it", "[S20][S68]") {
  host h;
  REQUIRE(h.boot());
  auto ns = h.copy_net_ns();
  REQUIRE(ns);
  CHECK((*ns)->loopback_dev != h.init_net().loopback_dev);
  CHECK((*ns)->loopback_dev->ifindex == 1);
  CHECK(h.init_net().loopback_dev->ifindex == 1);
  CHECK(h.worker().devices.in_use() == 2);
  h.put_net(**ns);
  h.poll();
  CHECK(h.worker().devices.in_use() == 1);
}

TEST_CASE("100,000 namespaces come and go without heap", "[S12][S33]") {
  host h;
  REQUIRE(h.boot());
  test::heap_counter heap;
  for (int i = 0; i < 100'000; ++i) {
    auto ns = h.copy_net_ns();
    if (!ns) FAIL("namespace " << i);
    h.put_net(**ns);
    h.poll();
  }
  auto const allocations = heap.allocations();
  INFO(heap.first());
  CHECK(allocations == 0);
  CHECK(h.worker().devices.in_use() == 1);
  CHECK(h.worker().pool.in_use() == 0);
  CHECK(h.nr_namespaces() == 1);
}
