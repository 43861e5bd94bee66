// SPDX-License-Identifier: BSL-1.0
// IPv4's counters beside the kernel's: the same groups with the same names in the same order; its settings beside the
// kernel's: the same names with the same values in a fresh namespace.
#include "netstack/ipv4/proc.hpp"

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/kernel_netns.hpp"
#include "support/privileges.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, sizes<config{.workers = 2, .max_net = 3, .skb_pool = 256}>> {};
struct link_only : module {};
struct without_ipv4 : stack<without_ipv4, link_only, sizes<config{.skb_pool = 64}>> {};

/// The line of names of a group, or "".
std::string names_of(std::string const& text, std::string const& group) {
  for (auto const& line : lines_of(text))
    if (line.starts_with(group + ":")) return line;
  return {};
}
/// The groups of a text, each once.
std::vector<std::string> groups_of(std::string const& text) {
  std::vector<std::string> groups;
  for (auto const& line : lines_of(text)) {
    auto const name = line.substr(0, line.find(':'));
    if (groups.empty() || groups.back() != name) groups.push_back(name);
  }
  return groups;
}

}  // namespace

TEST_CASE("/proc/net/snmp and netstat: the kernel's groups of IPv4, name by name, in its order", "[S161][S169]") {
  host h;
  REQUIRE(h.boot());
  auto& mib = ipv4_net(h.init_net()).mib;
  ++mib.icmpmsg_statistics.InType[8];
  ++mib.icmpmsg_statistics.OutType[0];
  auto const snmp = proc_text(h.init_net(), "net/snmp"), netstat = proc_text(h.init_net(), "net/netstat");
  auto const kernel_snmp = host_text("/proc/net/snmp"), kernel_netstat = host_text("/proc/net/netstat");
  CHECK(groups_of(snmp) == std::vector<std::string>{"Ip", "Icmp", "IcmpMsg", "Tcp"});
  CHECK(groups_of(netstat) == std::vector<std::string>{"IpExt"});
  for (char const* group : {"Ip", "Icmp", "Tcp"}) CHECK(names_of(snmp, group) == names_of(kernel_snmp, group));
  CHECK(names_of(netstat, "IpExt") == names_of(kernel_netstat, "IpExt"));
  CHECK(names_of(snmp, "IcmpMsg") == "IcmpMsg: InType8 OutType0");
  // Pairs of lines with as many values as names, as node_exporter and netstat -s read them.
  for (auto const& text : {snmp, netstat}) {
    auto const lines = lines_of(text);
    REQUIRE(lines.size() % 2 == 0);
    for (std::size_t i = 0; i < lines.size(); i += 2) {
      auto const names = words_of(lines[i]), values = words_of(lines[i + 1]);
      CHECK(names.size() == values.size());
      CHECK(names[0] == values[0]);
    }
  }
}

TEST_CASE("each counter of IPv4 stands under its own name, summed over the workers", "[S161]") {
  host h;
  REQUIRE(h.boot());
  auto const get = [&](char const* group, char const* item) {
    return snmp_get(h.init_net(), group, item).value_or(99);
  };
  for (u32 w = 0; w < 2; ++w) {
    auto& mib = ipv4_net(h.init_net(w)).mib;
    // Every counter of a block gets its place in the block, so a name that reads another's counter shows.
    auto const number = [](auto& block) {
      auto* counters = reinterpret_cast<counter*>(&block);
      for (std::size_t i = 0; i < sizeof block / sizeof(counter); ++i) counters[i] += i + 1;
    };
    number(mib.ip_statistics), number(mib.icmp_statistics);
    mib.icmpmsg_statistics.InType[3] += 31, mib.icmpmsg_statistics.OutType[3] += 32;
    mib.icmpmsg_statistics.InType[8] += 33, mib.icmpmsg_statistics.OutType[18] += 34;
  }
  auto const values_of = [&](char const* name, std::size_t from) {
    auto const lines = lines_of(proc_text(h.init_net(), std::string_view(name)));
    return words_of(lines[from]);
  };
  auto const ip = values_of("net/snmp", 1);
  REQUIRE(ip.size() == 21);
  for (std::size_t i = 3; i < ip.size(); ++i) CHECK(ip[i] == std::to_string(2 * (i - 2)));
  auto const ext = values_of("net/netstat", 1);
  REQUIRE(ext.size() == 19);
  for (std::size_t i = 1; i < ext.size(); ++i) CHECK(ext[i] == std::to_string(2 * (i + 18)));
  CHECK(get("Icmp", "InMsgs") == 2);
  CHECK(get("Icmp", "OutRateLimitHost") == 14);
  CHECK(get("Icmp", "InDestUnreachs") == 62);
  CHECK(get("Icmp", "OutDestUnreachs") == 64);
  CHECK(get("Icmp", "InEchos") == 66);
  CHECK(get("Icmp", "OutAddrMaskReps") == 68);
  CHECK(get("Icmp", "InRedirects") == 0);
  CHECK(get("IcmpMsg", "OutType18") == 68);
}

TEST_CASE("the constants of group Tcp", "[S163]") {
  host h;
  REQUIRE(h.boot());
  CHECK(proc_text(h.init_net(), "net/snmp").find("\nTcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n") !=
        std::string::npos);
}

TEST_CASE("Ip's Forwarding and DefaultTTL follow the settings", "[S161]") {
  host h;
  REQUIRE(h.boot());
  auto const first = [&] { return proc_text(h.init_net(), "net/snmp").find("\nIp: 2 64 0 "); };
  CHECK(first() != std::string::npos);
  REQUIRE(sysctl_write(h.init_net(), "net/ipv4/ip_forward", "1"));
  REQUIRE(sysctl_write(h.init_net(), "net/ipv4/ip_default_ttl", "63"));
  CHECK(proc_text(h.init_net(), "net/snmp").find("\nIp: 1 63 0 ") != std::string::npos);
}

TEST_CASE("each namespace has IPv4's texts from its first moment; without ipv4 there are none", "[S165][S9]") {
  host h;
  REQUIRE(h.boot());
  auto other = h.copy_net_ns();
  REQUIRE(other);
  without_ipv4 bare;
  REQUIRE(bare.boot());
  for (char const* name : {"net/arp", "net/netstat", "net/route", "net/snmp", "net/sockstat"}) {
    CHECK(proc_open(h.init_net(), name).has_value());
    CHECK_FALSE(proc_text(**other, name).empty());
    CHECK(proc_open(bare.init_net(), name).error() == std::errc::no_such_file_or_directory);
  }
  sysctl_for_each(bare.init_net(),
                  [](std::string_view path, ctl_table const&) { CHECK(path.starts_with("net/core/")); });
  CHECK(proc_open(bare.init_net(), "net/dev").has_value());
  h.put_net(**other);
}

TEST_CASE("a fresh namespace's settings are the kernel's, name by name and value by value", "[S21][S31]") {
  host h;
  REQUIRE(h.boot());
  // What init_net has changed does not come along.
  REQUIRE(sysctl_write(h.init_net(), "net/ipv4/ip_default_ttl", "1"));
  REQUIRE(sysctl_write(h.init_net(), "net/ipv4/ip_local_port_range", "2000 3000"));
  REQUIRE(sysctl_write(h.init_net(), "net/ipv4/ping_group_range", "0 10"));
  auto other = h.copy_net_ns();
  REQUIRE(other);
  auto const read = [&](std::string_view path) {
    char text[256];
    auto const n = sysctl_read(**other, path, text);
    return n ? std::string(text, *n) : std::string("error");
  };
  CHECK(read("net/ipv4/ip_default_ttl") == "64\n");
  CHECK(read("net/ipv4/ip_local_port_range") == "32768\t60999\n");
  CHECK(read("net/ipv4/ping_group_range") == "1\t0\n");

  if (skip_without_root("makes a network namespace")) return;
  int compared = 0;
  auto const for_each_kernel_file = [&](auto f) {
    sysctl_for_each(**other, [&](std::string_view path, ctl_table const& row) {
      std::string const file = "/proc/sys/" + std::string(path);
      bool const machine_wide = path.starts_with("net/core/");  // tuned by whoever set the machine up
      if ((row.mode & 0444) == 0 || machine_wide) return;
      if (::access(file.c_str(), F_OK) == 0) f(path, file);
    });
  };
  std::vector<std::string> of_init_net;
  for_each_kernel_file(
      [&](std::string_view, std::string const& file) { of_init_net.push_back(host_text(file.c_str())); });
  bool const allowed = support::in_new_netns([&] {
    std::size_t i = 0;
    for_each_kernel_file([&](std::string_view path, std::string const& file) {
      CAPTURE(file);
      auto const kernel = host_text(file.c_str());
      // The kernel hands its first namespace's device settings down, whatever the machine made of them.
      bool const inherited = (path.find("/conf/") != std::string_view::npos || path == "net/ipv4/ip_forward") &&
                             kernel != read(path) && kernel == of_init_net.at(i);
      ++i;
      if (inherited) return;
      CHECK(read(path) == kernel);
      ++compared;
    });
  });
  if (!allowed) return skip("needs network namespaces");
  std::printf("%d settings compared with the kernel's\n", compared);
  CHECK(compared > 60);
  h.put_net(**other);
}
