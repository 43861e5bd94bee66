// SPDX-License-Identifier: BSL-1.0
// /proc/net/route: what the kernel lists, put into our main table, must read the same, byte for byte.
#include "netstack/ipv4/route_proc.hpp"

#include <memory>

#include "support/kernel_netns.hpp"
#include "support/privileges.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

using slab_t = fib_slab<64>;
using tables_t = fib_tables<slab_t>;

/// As much of a Net as the listing asks for: devices by number.
struct devices {
  std::vector<std::unique_ptr<net_device>> list;
  net_device* dev_get_by_index(u32 ifindex) {
    return ifindex >= 1 && ifindex <= list.size() ? list[ifindex - 1].get() : nullptr;
  }
  u32 named(std::string const& name) {
    for (u32 i = 0; i < list.size(); ++i)
      if (list[i]->ifname() == name) return i + 1;
    list.push_back(std::make_unique<net_device>());
    name.copy(list.back()->name, ifnamsiz - 1);
    return static_cast<u32>(list.size());
  }
};

struct routes {
  std::unique_ptr<slab_t> slab = std::make_unique<slab_t>();
  devices net;
  tables_t tables;
  routes() {
    slab->init();
    tables.init(*slab);
  }
  ~routes() { tables.flush_all(); }

  std::string text() {
    std::string out = fib_route_seq_header;
    seq_cursor at;
    while (true) {
      char record[seq_record_max];
      seq_file m{record};
      if (!netstack::detail::fib_route_seq_next(net, tables, m, at)) return out;
      out += m.text();
    }
  }
  /// One line of the kernel's list.
  void add(std::string const& line) {
    auto const w = words_of(line);
    REQUIRE(w.size() == 11);
    auto const hex = [](std::string const& s) { return be32::from_raw(static_cast<u32>(std::stoul(s, nullptr, 16))); };
    u32 const flags = static_cast<u32>(std::stoul(w[3], nullptr, 16));
    auto const r = tables.insert({.fc_dst_len = static_cast<u8>(std::popcount(hex(w[7]).raw())),
                                  .fc_type = flags & rtf::reject ? rtn::unreachable : rtn::unicast,
                                  .fc_dst = hex(w[1]),
                                  .fc_gw4 = hex(w[2]),
                                  .fc_oif = w[0] == "*" ? 0 : net.named(w[0]),
                                  .fc_priority = static_cast<u32>(std::stoul(w[6]))});
    REQUIRE(r);
  }
};

void same_as_kernel(std::string const& kernel) {
  routes r;
  auto const lines = lines_of(kernel);
  REQUIRE_FALSE(lines.empty());
  for (std::size_t i = lines.size(); i-- > 1;) r.add(lines[i]);  // backwards: the order must be ours
  CHECK(r.text() == kernel);
}

}  // namespace

TEST_CASE("/proc/net/route lists this machine's routes as the kernel does", "[S130]") {
  if (skip_without_file("/proc/net/route")) return;
  same_as_kernel(host_text("/proc/net/route"));
}

TEST_CASE("/proc/net/route of a namespace with routes of every kind", "[S130]") {
  if (skip_without_root("makes a network namespace")) return;
  if (skip_without_file("/dev/net/tun")) return;
  std::string kernel;
  bool made = false;
  bool const allowed = support::in_new_netns([&] {
    support::kernel_tap tap("eth7", "192.0.2.2", "255.255.255.0");
    made = tap.ok && tap.add_route("0.0.0.0", "0.0.0.0", "192.0.2.1", 0) &&
           tap.add_route("10.0.0.0", "255.0.0.0", "192.0.2.9", 7) &&
           tap.add_route("10.0.0.0", "255.255.0.0", nullptr, 3) &&
           tap.add_route("10.0.0.0", "255.255.0.0", nullptr, 5) &&
           tap.add_route("198.51.100.7", "255.255.255.255", "192.0.2.1", 0) &&
           tap.add_route("203.0.113.0", "255.255.255.0", nullptr, 0, RTF_REJECT);
    kernel = host_text((std::string(support::own_proc_net) + "route").c_str());
  });
  if (!allowed) return skip("needs network namespaces");
  REQUIRE(made);
  CHECK(lines_of(kernel).size() == 8);
  same_as_kernel(kernel);
}

TEST_CASE("a reader of /proc/net/route goes on behind the last route, also when it is gone", "[S130][S183]") {
  routes r;
  auto const add = [&](u32 dst, u8 len) {
    REQUIRE(r.tables.insert({.fc_dst_len = len, .fc_dst = be32{dst}, .fc_oif = r.net.named("eth0")}));
  };
  add(0x0a000000, 8), add(0x0a010000, 16), add(0x0a020000, 16);
  char record[seq_record_max];
  seq_cursor at;
  seq_file first{record};
  REQUIRE(netstack::detail::fib_route_seq_next(r.net, r.tables, first, at));
  seq_file second{record};
  REQUIRE(netstack::detail::fib_route_seq_next(r.net, r.tables, second, at));
  CHECK(second.text().starts_with("eth0\t0000010A\t"));
  r.tables.flush_if([](fib_info const& fi) { return fi.fib_key == 0x0a010000; });
  add(0x0a010100, 24);
  seq_file third{record};
  REQUIRE(netstack::detail::fib_route_seq_next(r.net, r.tables, third, at));
  CHECK(third.text().starts_with("eth0\t0001010A\t"));
}
