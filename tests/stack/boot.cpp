// SPDX-License-Identifier: BSL-1.0
// Boot order, unwinding at every step, logged and critical failures, and the queryable trace.
#include "netstack/meta/fixed_string.hpp"
#include "netstack/stack/stack.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace netstack;

/// What the test modules did, in order.
std::vector<std::string>* current = nullptr;
void say(std::string what) {
  if (current) current->push_back(std::move(what));
}

template <initcall_level Level, fixed_string Name>
struct step : module {
  template <class Net>
  static result<void> init(Net&) {
    say(std::string("+") + Name.text);
    return {};
  }
  template <class Net>
  static void exit(Net&) {
    say(std::string("-") + Name.text);
  }
  template <class Net>
  static constexpr std::array initcalls{
      initcall<Net>{.level = Level, .name = Name.text, .init = init<Net>, .exit = exit<Net>}};
};

using late = step<initcall_level::late, "late">;
using late_sync = step<initcall_level::late_sync, "late_sync">;
using device = step<initcall_level::device, "device">;
using rootfs = step<initcall_level::rootfs, "rootfs">;
using fs = step<initcall_level::fs, "fs">;
using fs_sync = step<initcall_level::fs_sync, "fs_sync">;
using subsys = step<initcall_level::subsys, "subsys">;
using arch = step<initcall_level::arch, "arch">;
using postcore = step<initcall_level::postcore, "postcore">;
using core_a = step<initcall_level::core, "core_a">;
using core_b = step<initcall_level::core, "core_b">;
using pure = step<initcall_level::pure, "pure">;

// Listed almost backwards: the levels must sort them, and core_a must stay before core_b.
struct shuffled
    : stack<shuffled, late_sync, late, device, rootfs, fs_sync, fs, subsys, arch, postcore, core_a, core_b, pure> {};

constexpr bool named(boot_event const& e, std::string_view name, std::string_view what) {
  return name == e.name && what == e.what;
}

}  // namespace

TEST_CASE("initcalls run by level, in list order within one, each once", "[S1][S2][S3]") {
  std::vector<std::string> lines;
  current = &lines;
  shuffled h;
  REQUIRE(h.boot());
  CHECK(lines == std::vector<std::string>{"+pure", "+core_a", "+core_b", "+postcore", "+arch", "+subsys", "+fs",
                                          "+fs_sync", "+rootfs", "+device", "+late", "+late_sync"});
  std::vector<std::string> traced;
  for (auto const& e : h.boot_trace())
    if (std::string_view(e.what) == "init") traced.emplace_back(e.name);
  CHECK(traced == std::vector<std::string>{"net_ns_init", "pure", "net_sysctl_init", "skb_init", "init_inodecache",
                                           "register_filesystem", "kern_mount", "core_a", "core_b", "postcore", "arch",
                                           "net_dev_init", "subsys", "fs", "fs_sync", "rootfs", "device", "late",
                                           "late_sync"});
  lines.clear();
  h.shutdown();
  CHECK(lines == std::vector<std::string>{"-late_sync", "-late", "-device", "-rootfs", "-fs_sync", "-fs", "-subsys",
                                          "-arch", "-postcore", "-core_b", "-core_a", "-pure"});
  current = nullptr;
}

TEST_CASE("init_net exists before anything else and is the one meant when none is named", "[S11]") {
  shuffled h;
  REQUIRE(h.boot());
  auto const trace = h.boot_trace();
  REQUIRE(trace.size() > 2);
  CHECK(named(trace[0], "loopback_net_ops", "pernet init"));
  CHECK(named(trace[1], "net_ns_init", "init"));
  CHECK(h.init_net().index == 0);
  CHECK(h.init_net().alive);
  CHECK(h.init_net().dev_get_by_name("lo") == h.init_net().loopback_dev);
}

TEST_CASE("a failure at any step undoes the ones before it in reverse and leaks nothing", "[S6]") {
  int const steps = static_cast<int>(net<shuffled>::initcalls.size());
  for (int k = 0; k < steps; ++k) {
    INFO("step " << k << " " << net<shuffled>::initcalls[static_cast<std::size_t>(k)].name);
    std::vector<std::string> lines;
    current = &lines;
    shuffled h;
    auto const r = h.boot({.seed = 1, .fail_initcall = k});
    REQUIRE(!r);
    CHECK(r.error() == std::errc::io_error);
    CHECK(!h.booted());
    std::vector<std::string> started, undone;
    for (auto const& line : lines) (line[0] == '+' ? started : undone).push_back(line.substr(1));
    CHECK(std::vector<std::string>(undone.rbegin(), undone.rend()) == started);
    CHECK(h.boot_trace().size() > 0);  // the trace of the failure is still there to read
    lines.clear();
    REQUIRE(h.boot({.seed = 1}));  // and the object boots afterwards
    CHECK(h.worker().pool.in_use() == 0);
    CHECK(h.worker().devices.in_use() == 1);
    current = nullptr;
  }
}

namespace {
struct unlucky : module {
  template <class Net>
  static result<void> init(Net&) {
    return failure{std::errc::no_such_device};
  }
  template <class Net>
  static void exit(Net&) {
    say("-unlucky");
  }
  template <class Net>
  static constexpr std::array initcalls{initcall<Net>{
      .level = initcall_level::core, .name = "unlucky_init", .init = init<Net>, .exit = exit<Net>, .critical = false}};
};
struct tolerant : stack<tolerant, unlucky, late> {};
}  // namespace

TEST_CASE("a failure that is not critical is logged, boot goes on, and its exit never runs", "[S7]") {
  std::vector<std::string> lines;
  current = &lines;
  {
    tolerant h;
    REQUIRE(h.boot());
    bool logged = false;
    for (auto const& e : h.boot_trace())
      logged |= named(e, "unlucky_init", "failed") && e.error == static_cast<int>(std::errc::no_such_device);
    CHECK(logged);
  }
  CHECK(lines == std::vector<std::string>{"+late", "-late"});
  current = nullptr;
}

TEST_CASE("a stack without a driver in its list boots, boots once, and boots again after shutdown", "[S5]") {
  tolerant h;
  REQUIRE(h.boot());
  CHECK(h.boot().error() == std::errc::device_or_resource_busy);
  CHECK(h.init_net().dev_base.size() == 1);
  for (int i = 0; i < 100; ++i) h.poll();
  h.shutdown();
  h.shutdown();
  REQUIRE(h.boot());
  CHECK(sizeof h <= 4096);
}

TEST_CASE("two instances of one composition and a second composition live side by side", "[S9]") {
  tolerant a, b;
  shuffled c;
  REQUIRE(a.boot());
  REQUIRE(b.boot());
  REQUIRE(c.boot());
  CHECK(&a.init_net() != &b.init_net());
  sk_buff* skb = a.worker().pool.alloc_skb();
  REQUIRE(skb);
  CHECK(a.worker().pool.in_use() == 1);
  CHECK(b.worker().pool.in_use() == 0);
  consume_skb(*skb);
  a.shutdown();
  b.poll();
  c.poll();
}

TEST_CASE("the same seed gives the same random choices, another seed others", "[S180]") {
  tolerant a, b, c;
  REQUIRE(a.boot({.seed = 7}));
  REQUIRE(b.boot({.seed = 7}));
  REQUIRE(c.boot({.seed = 8}));
  u64 const first = a.worker().random.next_u64();
  CHECK(first == b.worker().random.next_u64());
  CHECK(first != c.worker().random.next_u64());
}

TEST_CASE("what is not listed is absent: no row of any table comes from it", "[S9]") {
  std::string with, without;
  shuffled::describe([&](std::string_view s) { with += s; });
  tolerant::describe([&](std::string_view s) { without += s; });
  CHECK(with.find("core_a") != std::string::npos);
  CHECK(without.find("core_a") == std::string::npos);
  CHECK(with.find("initcalls (19)") != std::string::npos);
  CHECK(without.find("initcalls (9)") != std::string::npos);
  CHECK(without.find("memory bound " + std::to_string(tolerant::memory_bound())) != std::string::npos);
}
