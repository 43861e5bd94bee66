// SPDX-License-Identifier: BSL-1.0
// IPv4's settings under /proc/sys: the defaults of a fresh namespace, bounds, and what a change does.
#include "netstack/ipv4/sysctl.hpp"

#include <cstdio>
#include <string>

#include "netstack/stack/sysctl.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

template <class Net>
std::string get(Net& net, std::string_view path) {
  char text[512];
  auto const r = sysctl_read(net, path, text);
  if (!r) return "error " + std::to_string(static_cast<int>(r.error()));
  std::string s(text, *r);
  while (!s.empty() && s.back() == '\n') s.pop_back();
  return s;
}

constexpr struct {
  char const *path, *value;
} defaults[] = {
    {"net/ipv4/ip_default_ttl", "64"},
    {"net/ipv4/ip_forward", "0"},
    {"net/ipv4/ip_no_pmtu_disc", "0"},
    {"net/ipv4/ip_nonlocal_bind", "0"},
    {"net/ipv4/ip_early_demux", "1"},
    {"net/ipv4/ip_local_port_range", "32768\t60999"},
    {"net/ipv4/ip_local_reserved_ports", ""},
    {"net/ipv4/ip_unprivileged_port_start", "1024"},
    {"net/ipv4/ping_group_range", "1\t0"},
    {"net/ipv4/icmp_echo_ignore_all", "0"},
    {"net/ipv4/icmp_echo_ignore_broadcasts", "1"},
    {"net/ipv4/icmp_ignore_bogus_error_responses", "1"},
    {"net/ipv4/icmp_errors_use_inbound_ifaddr", "0"},
    {"net/ipv4/icmp_ratelimit", "1000"},
    {"net/ipv4/icmp_ratemask", "6168"},
    {"net/ipv4/icmp_msgs_per_sec", "1000"},
    {"net/ipv4/icmp_msgs_burst", "50"},
    {"net/ipv4/ip_dynaddr", "0"},
    {"net/ipv4/ip_autobind_reuse", "0"},
    {"net/ipv4/ip_forward_use_pmtu", "0"},
    {"net/ipv4/ip_forward_update_priority", "1"},
    {"net/ipv4/route/min_pmtu", "552"},
    {"net/ipv4/route/mtu_expires", "600"},
    {"net/ipv4/route/min_adv_mss", "256"},
    {"net/ipv4/route/redirect_number", "9"},
    {"net/ipv4/conf/all/accept_source_route", "0"},
    {"net/ipv4/conf/default/accept_source_route", "1"},
    {"net/ipv4/conf/all/accept_redirects", "1"},
    {"net/ipv4/conf/all/send_redirects", "1"},
    {"net/ipv4/conf/all/rp_filter", "0"},
    {"net/ipv4/conf/all/forwarding", "0"},
    {"net/ipv4/conf/default/arp_evict_nocarrier", "1"},
    {"net/ipv4/conf/lo/disable_policy", "1"},
    {"net/ipv4/conf/lo/disable_xfrm", "1"},
};

}  // namespace

TEST_CASE("a fresh namespace has the defaults, whatever the others have now", "[S21]") {
  ip_rig<> rig;
  for (auto const& d : defaults) {
    INFO(d.path);
    CHECK(get(rig.net(), d.path) == d.value);
  }
  for (char const* path : {"net/ipv4/ip_default_ttl", "net/ipv4/icmp_ratelimit", "net/ipv4/conf/default/rp_filter"})
    REQUIRE(sysctl_write(rig.net(), path, "7"));
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/ip_local_port_range", "40000 50000"));
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/ip_local_reserved_ports", "8080,9000-9010"));
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/ip_forward", "1"));
  auto other = rig.host.copy_net_ns();
  REQUIRE(other);
  for (auto const& d : defaults) {
    INFO(d.path);
    CHECK(get(**other, d.path) == d.value);
  }
  CHECK(get(rig.net(), "net/ipv4/ip_default_ttl") == "7");
  CHECK(get(rig.net(), "net/ipv4/ip_local_reserved_ports") == "8080,9000-9010");
}

TEST_CASE("the running kernel's names and, where the values are its defaults, its values",
          "[S21][S156][S157][S158][S159]") {
  // What the machine's administrator may well have changed is left out.
  ip_rig<> rig;
  u32 compared = 0;
  for (char const* path : {"net/ipv4/icmp_ratemask", "net/ipv4/icmp_ratelimit", "net/ipv4/icmp_echo_ignore_broadcasts",
                           "net/ipv4/icmp_ignore_bogus_error_responses", "net/ipv4/icmp_errors_use_inbound_ifaddr",
                           "net/ipv4/ip_default_ttl", "net/ipv4/route/min_pmtu", "net/ipv4/route/redirect_number"}) {
    INFO(path);
    std::FILE* f = std::fopen((std::string("/proc/sys/") + path).c_str(), "re");
    if (!f) continue;
    char line[64]{};
    CHECK(std::fgets(line, sizeof line, f) != nullptr);
    std::fclose(f);
    CHECK(get(rig.net(), path) + "\n" == line);
    ++compared;
  }
  CHECK((compared > 0 || get(rig.net(), "net/ipv4/ip_default_ttl") == "64"));
}

TEST_CASE("values outside their bounds are refused and change nothing", "[S21]") {
  ip_rig<> rig;
  struct {
    char const *path, *bad;
  } const wrong[] = {
      {"net/ipv4/ip_default_ttl", "0"},
      {"net/ipv4/ip_default_ttl", "256"},
      {"net/ipv4/ip_no_pmtu_disc", "4"},
      {"net/ipv4/ip_forward", "2"},
      {"net/ipv4/ip_local_port_range", "5 4"},
      {"net/ipv4/ip_local_port_range", "1 70000"},
      {"net/ipv4/ip_local_port_range", "0 9"},
      {"net/ipv4/icmp_ratelimit", "-1"},
      {"net/ipv4/route/min_pmtu", "67"},
      {"net/ipv4/conf/all/forwarding", "x"},
      {"net/ipv4/ip_local_port_range", "1000 60999"},  // below ip_unprivileged_port_start
  };
  for (auto const& w : wrong) {
    INFO(w.path << " " << w.bad);
    auto const before = get(rig.net(), w.path);
    auto const r = sysctl_write(rig.net(), w.path, w.bad);
    REQUIRE_FALSE(r);
    CHECK(r.error() == std::errc::invalid_argument);
    CHECK(get(rig.net(), w.path) == before);
  }
}

TEST_CASE("ip_forward switches every device, and a router does not listen to redirects", "[S21]") {
  ip_rig<> rig;
  auto& net = rig.net();
  REQUIRE(sysctl_write(net, "net/ipv4/ip_forward", "1"));
  CHECK(get(net, "net/ipv4/conf/all/forwarding") == "1");
  CHECK(get(net, "net/ipv4/conf/default/forwarding") == "1");
  CHECK(get(net, "net/ipv4/conf/eth0/forwarding") == "1");
  CHECK(get(net, "net/ipv4/conf/lo/forwarding") == "1");
  CHECK(get(net, "net/ipv4/conf/all/accept_redirects") == "0");
  // A device that comes later starts from `default`.
  rig.add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24");
  CHECK(get(net, "net/ipv4/conf/eth1/forwarding") == "1");
  REQUIRE(sysctl_write(net, "net/ipv4/conf/all/forwarding", "0"));
  CHECK(get(net, "net/ipv4/ip_forward") == "0");
  CHECK(get(net, "net/ipv4/conf/eth1/forwarding") == "0");
  CHECK(get(net, "net/ipv4/conf/all/accept_redirects") == "1");
  REQUIRE(sysctl_write(net, "net/ipv4/conf/eth0/forwarding", "1"));
  CHECK(get(net, "net/ipv4/ip_forward") == "0");
  CHECK(get(net, "net/ipv4/conf/eth1/forwarding") == "0");
  // To say again what is so already switches nothing.
  REQUIRE(sysctl_write(net, "net/ipv4/ip_forward", "0"));
  CHECK(get(net, "net/ipv4/conf/eth0/forwarding") == "1");
}

TEST_CASE("route/flush empties the cache of ways", "[S44]") {
  ip_rig<> rig;
  flowi4 fl4{.daddr = peer_addr};
  auto rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  dst_hold(**rt);
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/route/flush", "1"));
  CHECK((*rt)->obsolete);
  dst_release(**rt);
  CHECK_FALSE(sysctl_read(rig.net(), "net/ipv4/route/flush", std::span<char>{}));
}

TEST_CASE("icmp settings work from the text on", "[S156][S158]") {
  ip_rig<> rig;
  auto& net = rig.net();
  REQUIRE(sysctl_write(net, "net/ipv4/icmp_echo_ignore_all", "1"));
  rig.inject({.payload = echo_request(1, 1, bytes(8))});
  CHECK(rig.sent().empty());
  REQUIRE(sysctl_write(net, "net/ipv4/icmp_echo_ignore_all", "0"));
  REQUIRE(sysctl_write(net, "net/ipv4/icmp_ratelimit", "250"));
  CHECK(rig.ns().sysctl_icmp_ratelimit == 250'000'000);
  rig.still_alive();
}
