// SPDX-License-Identifier: BSL-1.0
// Ports: drawn so that nobody can guess, never a reserved one, shared only by consent.
#include "netstack/udp/udp_port.hpp"

#include <set>

#include "netstack/stack/sysctl.hpp"
#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp, sizes<config{.max_sock = 4000, .max_handle = 4000}>> {};

result<void> bind_with(inet_host<host>& h, int fd, sockaddr_in const& addr, int option = 0) {
  if (option) REQUIRE(setsockopt(h.net(), fd, sol::socket, option, 1));
  return bind(h.net(), fd, addr);
}

}  // namespace

TEST_CASE("an unnamed port is in ip_local_port_range and unlike the one before", "[S98][SAD DNS]") {
  inet_host<host> h;
  std::set<u16> seen;
  u32 neighbours = 0;
  u16 last = 0;
  u64 sum = 0;
  constexpr u32 n = 2000;
  for (u32 i = 0; i < n; ++i) {
    u16 const port = h.port_of(h.udp(0));
    CHECK(port >= 32768);
    CHECK(port <= 60999);
    CHECK(seen.insert(port).second);
    neighbours += port - last == 1 || last - port == 1;
    sum += port;
    last = port;
  }
  // RFC 6056: no sequence. Of 2000 draws from 28232 ports, 0.14 are expected to be neighbours of the one before.
  CHECK(neighbours < 5);
  CHECK(sum / n > 45500);  // the mean of the range is 46883, its standard error here 182
  CHECK(sum / n < 48300);
}

TEST_CASE("the same seed draws the same ports, another seed others") {
  auto const ports = [](u64 seed) {
    inet_host<host> h({.seed = seed});
    std::vector<u16> out;
    for (int i = 0; i < 20; ++i) out.push_back(h.port_of(h.udp(0)));
    return out;
  };
  CHECK(ports(5) == ports(5));
  CHECK(ports(5) != ports(6));
}

TEST_CASE("the last free port of the range is found, then there is none", "[S98]") {
  inet_host<host> h;
  auto& net = h.net();
  REQUIRE(sysctl_write(net, "net/ipv4/ip_local_port_range", "40000 40099"));
  std::set<u16> seen;
  for (int i = 0; i < 100; ++i) CHECK(seen.insert(h.port_of(h.udp(0))).second);
  CHECK(*seen.begin() == 40000);
  CHECK(*seen.rbegin() == 40099);
  int const fd = h.udp();
  CHECK(bind(net, fd, lo_addr(0)).error() == std::errc::address_in_use);
  CHECK(getsockname(net, fd).value() == inet_addr_of({}, 0));  // nothing is left of it
  CHECK(h.send_text(fd, "x", lo_addr(7)).error() == std::errc::resource_unavailable_try_again);  // autobind
  CHECK(connect(net, fd, lo_addr(7)).error() == std::errc::resource_unavailable_try_again);
}

TEST_CASE("reserved ports are never drawn, but may be asked for", "[S32]") {
  inet_host<host> h;
  auto& net = h.net();
  REQUIRE(sysctl_write(net, "net/ipv4/ip_local_port_range", "40000 40009"));
  REQUIRE(sysctl_write(net, "net/ipv4/ip_local_reserved_ports", "40000-40003,40005-40009"));
  CHECK(h.port_of(h.udp(0)) == 40004);
  int const fd = h.udp();
  CHECK(bind(net, fd, lo_addr(0)).error() == std::errc::address_in_use);
  CHECK(bind(net, fd, lo_addr(40007)));
}

TEST_CASE("IP_LOCAL_PORT_RANGE narrows the range of one socket") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::local_port_range, 50003 << 16 | 50003));
  REQUIRE(bind(net, fd, lo_addr(0)));
  CHECK(h.port_of(fd) == 50003);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::local_port_range, 2 << 16 | 3).error() == std::errc::invalid_argument);
}

TEST_CASE("who may share a port", "[S98]") {
  struct {
    char const* what;
    sockaddr_in first, second;
    int first_option, second_option;
    bool shared;
  } const cases[] = {
      {"same address", lo_addr(5000), lo_addr(5000), 0, 0, false},
      {"different addresses", lo_addr(5000), lo_addr(5000, 0x7f000002), 0, 0, true},
      {"wildcard and one", inet_addr_of({}, 5000), lo_addr(5000), 0, 0, false},
      {"one and wildcard", lo_addr(5000), inet_addr_of({}, 5000), 0, 0, false},
      {"both reuseaddr", lo_addr(5000), lo_addr(5000), so::reuseaddr, so::reuseaddr, true},
      {"first reuseaddr only", lo_addr(5000), lo_addr(5000), so::reuseaddr, 0, false},
      {"second reuseaddr only", lo_addr(5000), lo_addr(5000), 0, so::reuseaddr, false},
      {"both reuseport", lo_addr(5000), lo_addr(5000), so::reuseport, so::reuseport, true},
      {"second reuseport only", lo_addr(5000), lo_addr(5000), 0, so::reuseport, false},
      {"reuseaddr and reuseport", lo_addr(5000), lo_addr(5000), so::reuseaddr, so::reuseport, false},
      {"both reuseaddr, wildcard", inet_addr_of({}, 5000), lo_addr(5000), so::reuseaddr, so::reuseaddr, true},
      {"different ports", lo_addr(5000), lo_addr(5001), 0, 0, true},
  };
  for (auto const& c : cases) {
    inet_host<host> h;
    CAPTURE(c.what);
    REQUIRE(bind_with(h, h.udp(), c.first, c.first_option));
    int const second = h.udp();
    auto const r = bind_with(h, second, c.second, c.second_option);
    CHECK(bool(r) == c.shared);
    if (!c.shared) {
      CHECK(r.error() == std::errc::address_in_use);
      CHECK(bind(h.net(), second, lo_addr(0)));  // a refused bind leaves the socket as it was
    }
  }
}

TEST_CASE("a port bound to one device may be bound to another", "[S98]") {
  inet_host<host> h;
  auto& net = h.net();
  int const a = h.udp(), b = h.udp();
  REQUIRE(setsockopt(net, a, sol::socket, so::bindtodevice, "lo", 2));
  REQUIRE(bind(net, a, lo_addr(5000)));
  CHECK(bind(net, b, lo_addr(5000)).error() == std::errc::address_in_use);
  h.sk(a).sk_bound_dev_if = 2;
  REQUIRE(setsockopt(net, b, sol::socket, so::bindtodevice, "lo", 2));
  CHECK(bind(net, b, lo_addr(5000)));
}

TEST_CASE("bind() refuses what is no address of ours") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  CHECK(bind(net, fd, inet_addr_of(be32{0x08080808}, 53)).error() == std::errc::address_not_available);
  sockaddr_in wrong = lo_addr(53);
  CHECK(bind(net, fd, {&wrong, 15}).error() == std::errc::invalid_argument);
  wrong.sin_family = af::inet6;
  CHECK(bind(net, fd, wrong).error() == std::errc::address_family_not_supported);
  wrong = inet_addr_of({}, 5353);
  wrong.sin_family = af::unspec;  // understood for the wildcard address
  net_generic<net_core>(net).caps &= ~cap::net_bind_service;
  CHECK(bind(net, fd, lo_addr(1023)).error() == std::errc::permission_denied);
  CHECK(getsockname(net, fd).value() == inet_addr_of({}, 0));
  CHECK(bind(net, fd, wrong));
  CHECK(bind(net, fd, lo_addr(5354)).error() == std::errc::invalid_argument);  // bound already
  int const freebound = h.udp();
  REQUIRE(setsockopt(net, freebound, sol::ip, ip_opt::freebind, 1));
  CHECK(bind(net, freebound, inet_addr_of(be32{0x08080808}, 5355)));
}

TEST_CASE("two namespaces each have port 53", "[S12]") {
  inet_host<host> h;
  auto other = h.host.copy_net_ns();
  REQUIRE(other);
  REQUIRE(bind(h.net(), h.udp(), inet_addr_of({}, 53)));
  int const theirs = netstack::socket(**other, af::inet, sock_type::dgram).value();
  CHECK(bind(**other, theirs, inet_addr_of({}, 53)));
}
