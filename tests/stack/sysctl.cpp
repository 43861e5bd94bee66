// SPDX-License-Identifier: BSL-1.0
// Settings by path: every kind of value, bounds, refusals that change nothing, per-device paths, namespaces, workers.
#include "netstack/stack/sysctl.hpp"

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "netstack/socket/socket.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/heap_counter.hpp"

namespace {

using namespace netstack;

enum class policy : u8 { off, on, twice };

struct inner {
  s32 ratelimit = 1000;
};
struct device_conf {
  s32 forwarding = 0;
};
/// A test module's settings, one of each kind.
struct settings {
  s32 ttl = 64;
  u8 octet = 1;
  bool flag = false;
  policy rule = policy::on;
  u32 unsigned_word = 7;
  u64 wide = 1;
  s64 wide_signed = 0;
  s32 any = -5;
  std::array<s32, 2> port_range{32768, 60999};
  u64 memory[3] = {1, 2, 3};
  char name[8] = "cubic";
  ctl_bitmap<65536> reserved;
  u64 timeout_ns = 2'000'000'000;
  u32 seconds_ns = 0;
  s32 constant = 4;
  s32 secret = 0;
  inner icmp;
  device_conf all, defaults, dev[16];
  u32 changes = 0;
  std::string stored;
};

struct knobs : module {
  using pernet = settings;
  template <class Net>
  static device_conf* conf(Net& net, u32 which) {
    auto& s = net_generic<knobs>(net);
    if (which == ctl_all) return &s.all;
    if (which == ctl_default) return &s.defaults;
    return which < std::size(s.dev) ? &s.dev[which] : nullptr;
  }
  template <class Net>
  static result<void> range_changed(Net& net, u32) {
    auto& s = net_generic<knobs>(net);
    if (s.port_range[0] > s.port_range[1]) return failure{std::errc::invalid_argument};
    ++s.changes;
    return {};
  }
  /// Linux's "all" switches every device.
  template <class Net>
  static result<void> forwarding_changed(Net& net, u32 which) {
    auto& s = net_generic<knobs>(net);
    if (which == ctl_all)
      for (auto& d : s.dev) d.forwarding = s.all.forwarding;
    return {};
  }
  template <class Net>
  static bool show_lines(Net&, seq_file& m, seq_cursor& at) {
    if (at.index >= 3) return false;
    seq_put_decimal_ull(m, at.index ? " " : "", at.index);
    if (at.index == 2) seq_putc(m, '\n');
    ++at.index;
    return true;
  }
  template <class Net>
  static result<void> store_line(Net& net, std::string_view text) {
    if (text.starts_with("bad")) return failure{std::errc::address_not_available};
    net_generic<knobs>(net).stored = text;
    return {};
  }
  template <class Net>
  static constexpr std::array ctl_tables{
      ctl<&settings::ttl>("net/test/ttl", {.min = 1, .max = 255}),
      ctl<&settings::octet>("net/test/octet"),
      ctl<&settings::flag>("net/test/flag"),
      ctl<&settings::rule>("net/test/rule", {.max = 2}),
      ctl<&settings::unsigned_word>("net/test/unsigned_word"),
      ctl<&settings::wide>("net/test/wide"),
      ctl<&settings::wide_signed>("net/test/wide_signed"),
      ctl<&settings::any>("net/test/any"),
      ctl<&settings::port_range>("net/test/port_range",
                                 {.min = 1, .max = 65535, .changed = ctl_changed<Net, range_changed<Net>>}),
      ctl<&settings::memory>("net/test/memory"),
      ctl<&settings::name>("net/test/name"),
      ctl<&settings::reserved>("net/test/reserved"),
      ctl<&settings::timeout_ns>("net/test/timeout_ms", {.unit = 1'000'000}),
      ctl<&settings::seconds_ns>("net/test/seconds", {.unit = 1'000'000'000}),
      ctl<&settings::constant>("net/test/constant", {.mode = 0444}),
      ctl<&settings::secret>("net/test/secret", {.mode = 0200}),
      ctl<&settings::icmp, &inner::ratelimit>("net/test/icmp_ratelimit", {.min = 0}),
      ctl_dev<Net, conf<Net>, &device_conf::forwarding>(
          "net/test/conf/*/forwarding", {.max = 1, .changed = ctl_changed<Net, forwarding_changed<Net>>}),
      ctl_proc<Net, show_lines<Net>, store_line<Net>>("net/test/lines"),
      ctl_proc<Net, nullptr, store_line<Net>>("net/test/flush", {.mode = 0200}),
  };
};
/// The same without rows that know Net: a plain member.
struct plain : module {
  struct pernet {
    s32 value = 3;
  };
  static constexpr std::array ctl_tables{ctl<&pernet::value>("net/plain/value")};
};

/// A family whose sockets only remember how long a queue they were asked for.
struct listen_state {
  sock sk;
  int backlog = 0;
};
struct listener : module {
  using pernet = listen_state;
  template <class Net>
  static result<void> listen(Net& net, sockfs::socket&, int backlog) {
    net_generic<listener>(net).backlog = backlog;
    return {};
  }
  template <class Net>
  static result<void> release(Net&, sockfs::socket& s) {
    s.sk = nullptr;
    return {};
  }
  template <class Net>
  static constexpr proto_ops<Net> ops{.name = "listener", .family = 1, .release = release<Net>, .listen = listen<Net>};
  template <class Net>
  static result<void> create(Net& net, sockfs::socket& s, int, bool) {
    s.sk = &net_generic<listener>(net).sk;
    s.ops = &ops<Net>;
    return {};
  }
  template <class Net>
  static constexpr std::array families{net_proto_family<Net>{.family = 1, .create = create<Net>, .name = "listener"}};
};
struct listening_host : stack<listening_host, listener, sizes<config{.skb_pool = 64}>> {};

struct host : stack<host, knobs, plain, sizes<config{.max_net = 3, .skb_pool = 64}>> {};
struct without_knobs : stack<without_knobs, plain, sizes<config{.skb_pool = 64}>> {};

template <class Net>
std::string read(Net& net, std::string_view path) {
  char text[512];
  auto const r = sysctl_read(net, path, text);
  return r ? std::string(text, *r) : "error " + std::to_string(static_cast<int>(r.error()));
}
template <class Net>
int write(Net& net, std::string_view path, std::string_view text) {
  return -to_errno(sysctl_write(net, path, text));
}
template <class Net>
std::vector<std::string> paths_of(Net& net) {
  std::vector<std::string> paths;
  sysctl_for_each(net, [&](std::string_view path, ctl_table const&) { paths.emplace_back(path); });
  return paths;
}
bool has(std::vector<std::string> const& paths, std::string_view path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

struct booted : host {
  booted() { REQUIRE(boot()); }
};

}  // namespace

TEST_CASE("the tables of all modules form one tree, sorted, reachable in any order", "[S23]") {
  booted h;
  auto const paths = paths_of(h.init_net());
  CHECK(std::is_sorted(paths.begin(), paths.end()));
  CHECK(has(paths, "net/core/wmem_max"));
  CHECK(has(paths, "net/test/ttl"));
  CHECK(has(paths, "net/plain/value"));
  for (auto const& path : paths) CHECK(read(h.init_net(), path) != "error 2");
  CHECK(read(h.init_net(), "net/test") == "error 2");
  CHECK(read(h.init_net(), "net/test/ttl2") == "error 2");
  CHECK(read(h.init_net(), "") == "error 2");
  CHECK(read(h.init_net(), "net/test/conf/*/forwarding") == "error 2");
}

TEST_CASE("a module that is not composed leaves no setting", "[S9]") {
  without_knobs h;
  REQUIRE(h.boot());
  CHECK(read(h.init_net(), "net/plain/value") == "3\n");
  CHECK(read(h.init_net(), "net/test/ttl") == "error 2");
  for (auto const& path : paths_of(h.init_net())) CHECK_FALSE(path.starts_with("net/test"));
}

TEST_CASE("net/core holds the socket buffer limits, read and written with mode 0644", "[S29]") {
  booted h;
  auto& net = h.init_net();
  for (char const* name :
       {"net/core/wmem_max", "net/core/rmem_max", "net/core/wmem_default", "net/core/rmem_default"}) {
    CHECK(read(net, name) == "212992\n");
    CHECK(write(net, name, "131072\n") == 0);
    CHECK(read(net, name) == "131072\n");
    sysctl_for_each(net, [&](std::string_view path, ctl_table const& row) {
      if (path == name) CHECK(row.mode == 0644);
    });
  }
  CHECK(net_generic<net_core>(net).sysctl_rmem_max == 131072);
}

TEST_CASE("a value out of bounds or no number at all leaves the old one", "[S30]") {
  booted h;
  auto& net = h.init_net();
  SECTION("the least socket buffers") {
    CHECK(write(net, "net/core/wmem_default", "4607") == EINVAL);
    CHECK(write(net, "net/core/wmem_default", "4608") == 0);
    CHECK(write(net, "net/core/rmem_default", "2303") == EINVAL);
    CHECK(write(net, "net/core/rmem_default", "2304") == 0);
    CHECK(write(net, "net/core/rmem_max", "-1") == EINVAL);
    CHECK(read(net, "net/core/wmem_default") == "4608\n");
    CHECK(read(net, "net/core/rmem_max") == "212992\n");
  }
  SECTION("both bounds") {
    for (char const* bad :
         {"0", "256", "-1", "", "\n", "abc", "12x", "0x", "1 2", "1,2", "99999999999999999999", "- 1"}) {
      CAPTURE(bad);
      CHECK(write(net, "net/test/ttl", bad) == EINVAL);
      CHECK(read(net, "net/test/ttl") == "64\n");
    }
    for (char const* good : {"1", "255", " 7 \n", "0x10", "010"}) CHECK(write(net, "net/test/ttl", good) == 0);
    CHECK(read(net, "net/test/ttl") == "8\n");  // a leading 0 means octal, as to the kernel
  }
  SECTION("the type's own bounds") {
    CHECK(write(net, "net/test/octet", "255") == 0);
    CHECK(write(net, "net/test/octet", "256") == EINVAL);
    CHECK(write(net, "net/test/flag", "1") == 0);
    CHECK(write(net, "net/test/flag", "2") == EINVAL);
    CHECK(net_generic<knobs>(net).flag);
    CHECK(write(net, "net/test/rule", "2") == 0);
    CHECK(write(net, "net/test/rule", "3") == EINVAL);
    CHECK(net_generic<knobs>(net).rule == policy::twice);
    CHECK(write(net, "net/test/unsigned_word", "4294967295") == 0);
    CHECK(write(net, "net/test/unsigned_word", "4294967296") == EINVAL);
    CHECK(write(net, "net/test/unsigned_word", "-1") == EINVAL);
    CHECK(write(net, "net/test/any", "-2147483648") == 0);
    CHECK(write(net, "net/test/any", "-2147483649") == EINVAL);
    CHECK(write(net, "net/test/any", "2147483648") == EINVAL);
    CHECK(read(net, "net/test/any") == "-2147483648\n");
    CHECK(write(net, "net/test/wide", "18446744073709551615") == 0);
    CHECK(write(net, "net/test/wide", "18446744073709551616") == EINVAL);
    CHECK(read(net, "net/test/wide") == "18446744073709551615\n");
    CHECK(write(net, "net/test/wide_signed", "-9223372036854775808") == 0);
    CHECK(write(net, "net/test/wide_signed", "9223372036854775808") == EINVAL);
    CHECK(read(net, "net/test/wide_signed") == "-9223372036854775808\n");
  }
  SECTION("modes") {
    CHECK(write(net, "net/test/constant", "5") == EACCES);
    CHECK(read(net, "net/test/constant") == "4\n");
    CHECK(write(net, "net/test/secret", "5") == 0);
    CHECK(read(net, "net/test/secret") == "error " + std::to_string(EACCES));
    CHECK(write(net, "net/test/absent", "5") == ENOENT);
  }
}

TEST_CASE("arrays change wholly or not at all; a prefix of them may be written", "[S30]") {
  booted h;
  auto& net = h.init_net();
  CHECK(read(net, "net/test/port_range") == "32768\t60999\n");
  CHECK(write(net, "net/test/port_range", "1024 2048") == 0);
  CHECK(write(net, "net/test/port_range", "1500 70000") == EINVAL);
  CHECK(write(net, "net/test/port_range", "1 2 3") == EINVAL);
  CHECK(write(net, "net/test/port_range", "1500 x") == EINVAL);
  CHECK(read(net, "net/test/port_range") == "1024\t2048\n");
  CHECK(net_generic<knobs>(net).changes == 1);
  // The row's own rule, seen only with both values in place, puts the old ones back.
  CHECK(write(net, "net/test/port_range", "3000") == EINVAL);
  CHECK(read(net, "net/test/port_range") == "1024\t2048\n");
  CHECK(write(net, "net/test/port_range", "1025") == 0);
  CHECK(read(net, "net/test/port_range") == "1025\t2048\n");
  CHECK(write(net, "net/test/memory", "10\t20\t18446744073709551615\n") == 0);
  CHECK(read(net, "net/test/memory") == "10\t20\t18446744073709551615\n");
}

TEST_CASE("strings, units and texts of their own", "[sysctl]") {
  booted h;
  auto& net = h.init_net();
  CHECK(write(net, "net/test/name", "reno\n") == 0);
  CHECK(read(net, "net/test/name") == "reno\n");
  CHECK(write(net, "net/test/name", "westwood") == EINVAL);  // 8 characters and the end
  CHECK(read(net, "net/test/name") == "reno\n");
  CHECK(read(net, "net/test/timeout_ms") == "2000\n");
  CHECK(write(net, "net/test/timeout_ms", "1500") == 0);
  CHECK(net_generic<knobs>(net).timeout_ns == 1'500'000'000);
  CHECK(write(net, "net/test/timeout_ms", "18446744073709551615") == EINVAL);
  CHECK(write(net, "net/test/seconds", "4") == 0);
  CHECK(write(net, "net/test/seconds", "5") == EINVAL);  // 5e9 does not fit into 32 bits
  CHECK(read(net, "net/test/seconds") == "4\n");
  CHECK(write(net, "net/test/icmp_ratelimit", "0") == 0);
  CHECK(net_generic<knobs>(net).icmp.ratelimit == 0);
  CHECK(read(net, "net/test/lines") == "0 1 2\n");
  CHECK(write(net, "net/test/lines", "good") == 0);
  CHECK(net_generic<knobs>(net).stored == "good");
  CHECK(write(net, "net/test/lines", "bad") == EADDRNOTAVAIL);
  CHECK(write(net, "net/test/flush", "-1") == 0);
  CHECK(read(net, "net/test/flush") == "error " + std::to_string(EACCES));
  char small[2];
  CHECK(sysctl_read(net, "net/test/ttl", small).error() == std::errc::no_buffer_space);
}

TEST_CASE("a set of ports is written and read as ranges", "[sysctl]") {
  booted h;
  auto& net = h.init_net();
  auto& set = net_generic<knobs>(net).reserved;
  CHECK(read(net, "net/test/reserved") == "\n");
  CHECK(write(net, "net/test/reserved", "1000-2000,3000\n") == 0);
  CHECK(read(net, "net/test/reserved") == "1000-2000,3000\n");
  CHECK((set.test(1000) && set.test(2000) && set.test(3000) && !set.test(999) && !set.test(2001)));
  CHECK(write(net, "net/test/reserved", "0-65535") == 0);
  CHECK(read(net, "net/test/reserved") == "0-65535\n");
  CHECK(write(net, "net/test/reserved", "63,64,127-128,65535") == 0);
  CHECK(read(net, "net/test/reserved") == "63-64,127-128,65535\n");
  for (char const* bad : {"65536", "5-4", "a", "1-", "-1", "1,,2", "1-2-3", "1 2"}) {
    CAPTURE(bad);
    CHECK(write(net, "net/test/reserved", bad) == EINVAL);
    CHECK(read(net, "net/test/reserved") == "63-64,127-128,65535\n");
  }
  std::string many;  // more ranges than one control message carries
  for (int i = 0; i < 100; ++i) many += (i ? "," : "") + std::to_string(10 * i) + "-" + std::to_string(10 * i + 1);
  CHECK(write(net, "net/test/reserved", many) == 0);
  char text[2048];
  auto const n = sysctl_read(net, "net/test/reserved", text);
  REQUIRE(n);
  CHECK(std::string(text, *n) == many + "\n");
  CHECK(write(net, "net/test/reserved", "") == 0);
  CHECK(read(net, "net/test/reserved") == "\n");
}

TEST_CASE("per-device settings: all, default and each device", "[sysctl]") {
  booted h;
  auto& net = h.init_net();
  u32 const lo = net.loopback_dev->ifindex;
  CHECK(write(net, "net/test/conf/lo/forwarding", "1") == 0);
  CHECK(net_generic<knobs>(net).dev[lo].forwarding == 1);
  CHECK(read(net, "net/test/conf/default/forwarding") == "0\n");
  CHECK(read(net, "net/test/conf/eth7/forwarding") == "error 2");
  CHECK(write(net, "net/test/conf/lo/forwarding", "2") == EINVAL);
  CHECK(write(net, "net/test/conf/all/forwarding", "1") == 0);
  CHECK(net_generic<knobs>(net).dev[7].forwarding == 1);
  auto const paths = paths_of(net);
  for (char const* which : {"all", "default", "lo"})
    CHECK(has(paths, std::string("net/test/conf/") + which + "/forwarding"));
}

TEST_CASE("each namespace has its own copy, fresh ones the composition's defaults", "[S31]") {
  booted h;
  auto& a = h.init_net();
  CHECK(write(a, "net/test/ttl", "1") == 0);
  CHECK(write(a, "net/core/rmem_max", "999999") == 0);
  auto other = h.copy_net_ns();
  REQUIRE(other);
  auto& b = **other;
  CHECK(read(b, "net/test/ttl") == "64\n");
  CHECK(read(b, "net/core/rmem_max") == "212992\n");
  CHECK(write(b, "net/test/ttl", "77") == 0);
  CHECK(read(a, "net/test/ttl") == "1\n");
  CHECK(read(b, "net/test/ttl") == "77\n");
  // A setting of the worker itself is init_net's alone.
  CHECK(read(a, "net/core/netdev_budget") == "300\n");
  CHECK(read(b, "net/core/netdev_budget") == "error 2");
  CHECK_FALSE(has(paths_of(b), "net/core/netdev_budget"));
  h.put_net(b);
}

TEST_CASE("net/core/somaxconn cuts what listen() asks for", "[sysctl]") {
  listening_host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto const fd = netstack::socket(net, 1, sock_type::stream);
  REQUIRE(fd);
  auto const asked = [&](int backlog) {
    REQUIRE(netstack::listen(net, *fd, backlog));
    return net_generic<listener>(net).backlog;
  };
  CHECK(asked(5) == 5);
  CHECK(asked(10'000) == 4096);
  CHECK(write(net, "net/core/somaxconn", "128") == 0);
  CHECK(asked(10'000) == 128);
  CHECK(asked(-1) == 128);
  CHECK(write(net, "net/core/somaxconn", "-1") == EINVAL);
}

TEST_CASE("settings of the receive loop reach it", "[sysctl]") {
  booted h;
  auto& net = h.init_net();
  auto& sd = h.worker().softnet;
  CHECK(write(net, "net/core/netdev_max_backlog", "3") == 0);
  CHECK(sd.netdev_max_backlog == 3);
  CHECK(write(net, "net/core/netdev_budget_usecs", "8000") == 0);
  CHECK(sd.netdev_budget_ns == 8'000'000);
  CHECK(write(net, "net/core/dev_weight", "0") == EINVAL);
  CHECK(write(net, "net/core/dev_weight", "16") == 0);
  CHECK(sd.backlog.weight == 16);
}

TEST_CASE("a write reaches every worker's slice", "[sysctl]") {
  struct two : stack<two, knobs, sizes<config{.workers = 2, .max_net = 2, .skb_pool = 64}>> {};
  two h;
  REQUIRE(h.boot());
  CHECK(write(h.init_net(0), "net/test/ttl", "9") == 0);
  CHECK(write(h.init_net(0), "net/test/reserved", "1,3,5,7,9,11,13,15,17,19,21,23,25,27") == 0);
  CHECK(write(h.init_net(0), "net/core/netdev_budget", "32") == 0);
  CHECK(read(h.init_net(1), "net/test/ttl") == "64\n");
  h.poll(1);
  CHECK(read(h.init_net(1), "net/test/ttl") == "9\n");
  CHECK(read(h.init_net(1), "net/test/reserved") == "1,3,5,7,9,11,13,15,17,19,21,23,25,27\n");
  CHECK(h.worker(1).softnet.netdev_budget == 32);
  // What the writer's own slice refuses, nobody sees.
  CHECK(write(h.init_net(0), "net/test/port_range", "9 8") == EINVAL);
  h.poll(1);
  CHECK(read(h.init_net(1), "net/test/port_range") == "32768\t60999\n");
}

TEST_CASE("no heap, and a read costs well under a microsecond", "[sysctl]") {
  booted h;
  auto& net = h.init_net();
  char text[64];
  constexpr int rounds = 100'000;
  test::heap_counter heap;
  auto const start = std::chrono::steady_clock::now();
  bool good = true;
  for (int i = 0; i < rounds; ++i) good = good && sysctl_read(net, "net/test/ttl", text).has_value();
  auto const middle = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) good = good && sysctl_write(net, "net/test/conf/lo/forwarding", "1").has_value();
  auto const end = std::chrono::steady_clock::now();
  auto const calls = heap.allocations();
  CHECK(good);
  CHECK(calls == 0);
  auto const ns = [](auto from, auto to) {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count()) / rounds;
  };
  std::printf("sysctl_read %.0f ns, sysctl_write of a device's %.0f ns\n", ns(start, middle), ns(middle, end));
  CHECK(ns(start, middle) < 20'000);  // a sanitizer on a busy machine included
}
