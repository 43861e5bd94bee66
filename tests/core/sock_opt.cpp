// SPDX-License-Identifier: BSL-1.0
// SOL_SOCKET options: Linux's doubling, bounds, errnos and read-only ones.
#include "netstack/core/sock_opt.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp> {};

}  // namespace

TEST_CASE("SO_RCVBUF and SO_SNDBUF double, up to the maximum, never below a packet", "[S100]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  auto const set = [&](int option, int value) {
    REQUIRE(setsockopt(net, fd, sol::socket, option, value));
    int const reads = option == so::sndbufforce ? so::sndbuf : option == so::rcvbufforce ? so::rcvbuf : option;
    return getsockopt(net, fd, sol::socket, reads).value();
  };
  CHECK(getsockopt(net, fd, sol::socket, so::rcvbuf).value() == 212'992);
  CHECK(getsockopt(net, fd, sol::socket, so::sndbuf).value() == 212'992);
  for (int option : {so::rcvbuf, so::sndbuf}) {
    int const least = static_cast<int>(option == so::rcvbuf ? sock_min_rcvbuf : sock_min_sndbuf);
    CHECK(set(option, 10'000) == 20'000);
    CHECK(set(option, 0) == least);
    CHECK(set(option, -1) == 2 * 212'992);  // a very large wish
    CHECK(set(option, 1'000'000'000) == 2 * 212'992);
  }
  REQUIRE(sysctl_write(net, "net/core/rmem_max", "50000"));
  CHECK(set(so::rcvbuf, 60'000) == 100'000);
  CHECK(set(so::rcvbufforce, 60'000) == 120'000);
  CHECK(set(so::sndbufforce, 1'000'000) == 2'000'000);
  CHECK(set(so::rcvbufforce, 0x7fffffff) == 0x7ffffffe);
  CHECK(set(so::rcvbufforce, -1) == static_cast<int>(sock_min_rcvbuf));
  net_generic<net_core>(net).caps &= ~cap::net_admin;
  CHECK(setsockopt(net, fd, sol::socket, so::rcvbufforce, 1).error() == std::errc::operation_not_permitted);
  CHECK(setsockopt(net, fd, sol::socket, so::sndbufforce, 1).error() == std::errc::operation_not_permitted);
  // A new socket starts with the namespace's defaults.
  REQUIRE(sysctl_write(net, "net/core/rmem_default", "30000"));
  CHECK(getsockopt(net, h.udp(), sol::socket, so::rcvbuf).value() == 30'000);
}

TEST_CASE("switches are read back as they were set", "[S113]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  for (int option :
       {so::reuseaddr, so::reuseport, so::broadcast, so::dontroute, so::keepalive, so::oobinline, so::no_check,
        so::rxq_ovfl, so::select_err_queue, so::timestamp, so::timestampns, so::rcvmark, so::debug}) {
    CAPTURE(option);
    CHECK(getsockopt(net, fd, sol::socket, option).value() == 0);
    CHECK(setsockopt(net, fd, sol::socket, option, 17));
    CHECK(getsockopt(net, fd, sol::socket, option).value() == 1);
    CHECK(setsockopt(net, fd, sol::socket, option, 0));
    CHECK(getsockopt(net, fd, sol::socket, option).value() == 0);
  }
  // Of the two kinds of time stamps the last one asked for is given.
  CHECK(setsockopt(net, fd, sol::socket, so::timestamp, 1));
  CHECK(setsockopt(net, fd, sol::socket, so::timestampns, 1));
  CHECK(getsockopt(net, fd, sol::socket, so::timestamp).value() == 0);
  CHECK(getsockopt(net, fd, sol::socket, so::timestampns).value() == 1);
}

TEST_CASE("what the socket is, is read only", "[S113]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  CHECK(getsockopt(net, fd, sol::socket, so::type).value() == 2);
  CHECK(getsockopt(net, fd, sol::socket, so::domain).value() == 2);
  CHECK(getsockopt(net, fd, sol::socket, so::protocol).value() == 17);
  CHECK(getsockopt(net, fd, sol::socket, so::acceptconn).value() == 0);
  CHECK(getsockopt<u64>(net, fd, sol::socket, so::cookie).value() == fstat(net, fd)->ino);
  for (int option : {so::type, so::domain, so::protocol, so::error, so::acceptconn, so::sndlowat, 999})
    CHECK(setsockopt(net, fd, sol::socket, option, 1).error() == std::errc::no_protocol_option);
  CHECK(getsockopt(net, fd, sol::socket, 999).error() == std::errc::no_protocol_option);
}

TEST_CASE("values that make no sense are refused, and the old ones stay", "[S113]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  CHECK(setsockopt(net, fd, sol::socket, so::broadcast, u8{1}).error() == std::errc::invalid_argument);  // too short
  CHECK(setsockopt(net, fd, sol::socket, so::linger, 1).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, 1).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::socket, so::busy_poll, -1).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::socket, so::timestamping, 1 << 20).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::socket, so::bindtoifindex, -1).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::socket, so::bindtodevice, "nowhere", 8).error() == std::errc::no_such_device);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::ttl, 0).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::ttl, 256).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::mtu_discover, 6).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::multicast_ttl, 256).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::hdrincl, 1).error() == std::errc::no_protocol_option);  // not raw
  CHECK(setsockopt(net, fd, sol::udp, 9999, 1).error() == std::errc::no_protocol_option);
  CHECK(setsockopt(net, fd, sol::tcp, 1, 1).error() == std::errc::no_protocol_option);
  CHECK(getsockopt(net, fd, sol::ip, ip_opt::ttl).value() == 64);
}

TEST_CASE("timeouts, linger, lowat and the bound device") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_sec == 0);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{7, 250'000}));
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_sec == 7);
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_usec == 250'000);
  CHECK(setsockopt(net, fd, sol::socket, so::sndtimeo, timeval{-1, 0}));  // a past moment: never wait
  CHECK(h.sk(fd).sk_rare->sndtimeo == 0);
  // To the millisecond for 24 days, then to the second for 68 years.
  for (time_t const seconds : {2'147'481, 2'147'482, 2'147'483, 0x7fff'ffff}) {
    CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{seconds, 0}));
    CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_sec == seconds);
    CHECK(sock_rcvtimeo(h.sk(fd), 0) == static_cast<u64>(seconds) * 1'000'000'000);
  }
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{3'000'000, 1}));
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_sec == 3'000'001);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{0x1'0000'0000, 0}));
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_sec == 0x7fff'ffff);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{0x7fff'ffff'ffff'ffff, 0}));  // for ever
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_sec == 0);
  CHECK(sock_rcvtimeo(h.sk(fd), 0) == no_timeout);
  CHECK(setsockopt(net, fd, sol::socket, so::linger, linger{1, 5}));
  CHECK(getsockopt<linger>(net, fd, sol::socket, so::linger)->l_linger == 5);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvlowat, 0));
  CHECK(getsockopt(net, fd, sol::socket, so::rcvlowat).value() == 1);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvlowat, -5));
  CHECK(getsockopt(net, fd, sol::socket, so::rcvlowat).value() == 0x7fffffff);
  CHECK(setsockopt(net, fd, sol::socket, so::bindtodevice, "lo", 3));
  char name[16];
  u32 len = sizeof name;
  REQUIRE(getsockopt(net, fd, sol::socket, so::bindtodevice, name, &len));
  CHECK(std::string_view(name) == "lo");
  CHECK(len == 3);
  CHECK(getsockopt(net, fd, sol::socket, so::bindtoifindex).value() == static_cast<int>(net.loopback_dev->ifindex));
  net_generic<net_core>(net).caps &= ~cap::net_raw;
  CHECK(setsockopt(net, fd, sol::socket, so::bindtodevice, "", 0).error() == std::errc::operation_not_permitted);
  net_generic<net_core>(net).caps |= cap::net_raw;
  CHECK(setsockopt(net, fd, sol::socket, so::bindtodevice, "", 0));
  CHECK(getsockopt(net, fd, sol::socket, so::bindtoifindex).value() == 0);
  // A number may be that of a device to come; whoever sends before it is there hears of it.
  REQUIRE(setsockopt(net, fd, sol::socket, so::bindtoifindex, 99));
  CHECK(h.send_text(fd, "x", lo_addr(9)).error() == std::errc::no_such_device);
}

TEST_CASE("an option asked for without room is answered with nothing") {
  inet_host<host> h;
  int const fd = h.udp();
  u32 none = 0;
  for (int option : {so::rcvbuf, so::linger, so::rcvtimeo})
    REQUIRE(getsockopt(h.net(), fd, sol::socket, option, nullptr, &none));
  REQUIRE(getsockopt(h.net(), fd, sol::ip, ip_opt::tos, nullptr, &none));
  REQUIRE(getsockopt(h.net(), fd, sol::udp, udp_opt::cork, nullptr, &none));
  CHECK(none == 0);
}

TEST_CASE("SO_DONTROUTE sends no farther than the link") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  REQUIRE(setsockopt(net, fd, sol::socket, so::dontroute, 1));
  CHECK(h.send_text(fd, "x", lo_addr(53)).value() == 1);
  CHECK(detail::connected_flow(inet_sk(h.sk(fd)), be32{0x08080808}, be16{53}).scope == rt_scope::link);
}

TEST_CASE("SO_BUSY_POLL polls before it sleeps") {
  // A clock that moves by a microsecond whenever it is read: 5 ms pass in some thousand rounds. A single sleep would
  // last as long on the real clock as the time that is left on this one.
  struct ticking {
    u64 now = 1'000'000'000;
    u64 reads = 0;
    static u64 read(void* self) {
      auto& c = *static_cast<ticking*>(self);
      ++c.reads;
      return c.now += 1000;
    }
  } clock;
  inet_host<host> h({.clock = {ticking::read, ticking::read, &clock}, .seed = 1});
  auto& net = h.net();
  int const fd = h.udp(6000);
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{5, 0}));
  REQUIRE(setsockopt(net, fd, sol::socket, so::busy_poll, 6'000'000));
  clock.reads = 0;
  CHECK(h.recv_text(fd, 0) == eagain);
  CHECK(clock.reads > 100'000);
}
