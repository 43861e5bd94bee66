// SPDX-License-Identifier: BSL-1.0
// UDP with the Linux kernel as the peer, over TAP, in a network namespace of the test's own: echo of every size both
// ways, closed ports heard of on both sides, broadcast, and what control messages say of the other's packets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/udp_socket.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/linux_udp.hpp"
#include "support/netns.hpp"

namespace {

namespace ns = netstack;
using ns::test::linux_socket;

struct host : ns::stack<host, ns::ipv4, ns::udp, ns::drivers::tap> {};
using net_t = ns::net<host>;

/// Linux is 192.0.2.1, the stack 192.0.2.2.
struct tap_pair {
  ns::test::netns space;
  host h;
  ns::net_device* dev = nullptr;

  explicit tap_pair(ns::u32 mtu = 1500, bool vnet_hdr = true) {
    REQUIRE(h.boot());
    auto& net = h.init_net();
    REQUIRE(ns::dev_open(net, *net.loopback_dev));
    auto tap = ns::register_netdev<ns::drivers::tap>(
        net, "eth0", {.ifname = "nst0", .vnet_hdr = vnet_hdr, .bring_up = true, .linux_mtu = mtu});
    REQUIRE(tap);
    dev = *tap;
    REQUIRE(ns::dev_set_mtu(net, *dev, mtu));
    REQUIRE(ns::dev_open(net, *dev));
    REQUIRE(ns::inet_addr_add(net, dev->ifindex, ns::ipv4_cidr("192.0.2.2/24")));
    space.run("ip addr add 192.0.2.1/24 dev nst0");
  }
  net_t& net() { return h.init_net(); }
  void poll_until(auto&& ready) {
    for (int i = 0; i < 2000 && !ready(); ++i) {
      h.worker().wait(1'000'000);
      while (h.poll()) {
      }
    }
  }
};

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i + n) * 31 + i / 256);
  return s;
}

}  // namespace

TEST_CASE("Linux gets every size that fits a frame echoed byte for byte, at an MTU of 1500 and of 9000",
          "[S93][S112]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  for (ns::u32 const mtu : {1500u, 9000u}) {
    tap_pair t(mtu);
    ns::test::stack_echo<net_t> server(t.net(), 7);
    auto const drive = [&] {
      t.h.worker().wait(1'000'000);
      while (t.h.poll()) {
      }
    };
    auto const r = ns::test::linux_asks_every_size("192.0.2.2", 7, drive, mtu - 28u);
    CHECK(r.wrong == 0);
    CHECK(r.lost == 0);
    CHECK(server.echoed == mtu - 27u);
    CHECK(ns::UDP_STATS(t.net()).InCsumErrors.read() == 0);
    CHECK(ns::UDP_STATS(t.net()).InDatagrams.read() == server.echoed);
    CHECK(ns::UDP_STATS(t.net()).OutDatagrams.read() == server.echoed);
    CHECK(t.h.worker().pool.in_use() == 0);
  }
}

TEST_CASE("the stack gets every size echoed by Linux, through the BSD calls that wait", "[S93]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  linux_socket server;
  server.bind(7);
  std::atomic<bool> done{false};
  std::thread echoes([&] {
    std::vector<char> buf(2048);
    while (!done) {
      sockaddr_in from{};
      socklen_t len = sizeof from;
      ssize_t const n = ::recvfrom(server.fd, buf.data(), buf.size(), 0, reinterpret_cast<sockaddr*>(&from), &len);
      if (n >= 0)
        ::sendto(server.fd, buf.data(), static_cast<std::size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), len);
    }
  });
  auto& net = t.net();
  int const fd = ns::socket(net, ns::af::inet, ns::sock_type::dgram).value();
  REQUIRE(ns::setsockopt(net, fd, ns::sol::socket, ns::so::rcvtimeo, timeval{2, 0}));
  REQUIRE(ns::connect(net, fd, ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 7)));
  std::vector<char> buf(2048);
  for (std::size_t n = 0; n <= 1472; ++n) {
    auto const text = pattern(n);
    REQUIRE(ns::send(net, fd, text.data(), n).value() == n);
    auto const got = ns::recv(net, fd, buf.data(), buf.size());
    CAPTURE(n);
    REQUIRE(got);
    REQUIRE(std::string_view(buf.data(), *got) == text);
  }
  done = true;
  echoes.join();
  CHECK(t.h.worker().pool.in_use() == 0);
}

TEST_CASE("a closed port is refused, both ways", "[S118]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  auto& net = t.net();
  // Linux hears of ours.
  linux_socket client;
  client.connect("192.0.2.2", 9);
  REQUIRE(::send(client.fd, "x", 1, 0) == 1);
  int error = 0;
  t.poll_until([&] {
    socklen_t len = sizeof error;
    return ::getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0;
  });
  CHECK(error == ECONNREFUSED);
  CHECK(ns::UDP_STATS(net).NoPorts.read() == 1);
  // We hear of Linux's, with what we had sent.
  int const fd = ns::socket(net, ns::af::inet, ns::sock_type::dgram).value();
  REQUIRE(ns::setsockopt(net, fd, ns::sol::ip, ns::ip_opt::recverr, 1));
  REQUIRE(ns::connect(net, fd, ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 9)));
  REQUIRE(ns::send(net, fd, "what I sent", 11).value() == 11);
  REQUIRE(ns::setsockopt(net, fd, ns::sol::socket, ns::so::rcvtimeo, timeval{2, 0}));
  char buf[64];
  CHECK(ns::recv(net, fd, buf, sizeof buf).error() == std::errc::connection_refused);
  alignas(8) std::byte control[128];
  iovec const part{buf, sizeof buf};
  ns::sockaddr_in name;
  ns::msghdr m{.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = {&part, 1}, .msg_control = control};
  REQUIRE(ns::recvmsg(net, fd, m, ns::msg::errqueue).value() == 11);
  CHECK(std::string_view(buf, 11) == "what I sent");
  CHECK(name == ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 9));
  REQUIRE(ns::close(net, fd));
  CHECK(t.h.worker().pool.in_use() == 0);
}

TEST_CASE("TTL, TOS and addresses arrive as the other side set them", "[S43]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  auto& net = t.net();
  int const fd = ns::socket(net, ns::af::inet, ns::sock_type::dgram).value();
  REQUIRE(ns::bind(net, fd, ns::inet_addr_of({}, 5353)));
  for (int option : {ns::ip_opt::pktinfo, ns::ip_opt::recvttl, ns::ip_opt::recvtos})
    REQUIRE(ns::setsockopt(net, fd, ns::sol::ip, option, 1));
  linux_socket client;
  int const ttl = 17, tos = 0x68;
  REQUIRE(::setsockopt(client.fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
  REQUIRE(::setsockopt(client.fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
  int const broadcast = 1;
  REQUIRE(::setsockopt(client.fd, SOL_SOCKET, SO_BROADCAST, &broadcast, sizeof broadcast) == 0);
  for (char const* to : {"192.0.2.2", "192.0.2.255"}) {
    auto const in = linux_socket::name(to, 5353);
    REQUIRE(::sendto(client.fd, "x", 1, 0, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 1);
    alignas(8) std::byte control[128];
    char c;
    iovec const part{&c, 1};
    ns::msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
    REQUIRE(ns::recvmsg(net, fd, m).value() == 1);
    int got_ttl = 0, got_tos = 0;
    ns::in_pktinfo info{};
    ns::for_each_cmsg(std::span(control).first(m.msg_controllen), [&](ns::cmsg_view const& cm) {
      if (cm.type == ns::ip_opt::ttl) got_ttl = cm.as<int>();
      if (cm.type == ns::ip_opt::tos) got_tos = cm.as<ns::u8>();
      if (cm.type == ns::ip_opt::pktinfo) info = cm.as<ns::in_pktinfo>();
      return true;
    });
    CHECK(got_ttl == 17);
    CHECK(got_tos == 0x68);
    CHECK(info.ipi_ifindex == static_cast<int>(t.dev->ifindex));
    CHECK(info.ipi_addr.s_addr.raw() == in.sin_addr.s_addr);
    CHECK(info.ipi_spec_dst.s_addr == ns::ipv4_addr("192.0.2.2"));
  }
}

namespace {

using block = std::vector<unsigned char>;

/// One datagram, with its sender and the value of its IP_RETOPTS.
struct by_route {
  std::string text;
  sockaddr_in from{};
  block retopts;
};
by_route linux_receives(linux_socket const& s) {
  char buf[256];
  alignas(8) char control[128];
  by_route r;
  ::iovec part{buf, sizeof buf};
  ::msghdr m{};
  m.msg_name = &r.from, m.msg_namelen = sizeof r.from;
  m.msg_iov = &part, m.msg_iovlen = 1;
  m.msg_control = control, m.msg_controllen = sizeof control;
  ssize_t const n = ::recvmsg(s.fd, &m, 0);
  if (n < 0) return r;
  r.text.assign(buf, static_cast<std::size_t>(n));
  for (auto* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
    if (c->cmsg_type == IP_RETOPTS) r.retopts.assign(CMSG_DATA(c), CMSG_DATA(c) + c->cmsg_len - CMSG_LEN(0));
  return r;
}

}  // namespace

TEST_CASE("a source route leads through a Linux router to a host without a route of ours, and its reverse back",
          "[ip_options]") {
  if (netstack::test::skip_without_root("makes two network namespaces, a TAP device and a veth pair")) return;
  tap_pair t(1500, false);  // no checksum is left to Linux
  auto const take_routes = [](std::string const& ifname) {
    for (std::string const& who : {std::string("all"), ifname})
      ns::test::netns::run("echo 1 > /proc/sys/net/ipv4/conf/" + who +
                           "/accept_source_route; echo 0 > /proc/sys/net/ipv4/conf/" + who + "/rp_filter");
  };
  // The host: 198.51.100.2, in a namespace that its socket keeps alive. The router is 192.0.2.1 and 198.51.100.1.
  int const router = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  linux_socket far = [&] {
    ns::test::netns beyond;
    beyond.run(
        "ip link add nst2 type veth peer name nst1 netns /proc/" + std::to_string(::getpid()) + "/fd/" +
        std::to_string(router) +
        " && ip addr add 198.51.100.2/24 dev nst2 && ip link set nst2 up && ip route add default via 198.51.100.1");
    take_routes("nst2");
    return linux_socket{};
  }();
  ::close(router);
  t.space.run("ip addr add 198.51.100.1/24 dev nst1 && ip link set nst1 up && echo 1 > /proc/sys/net/ipv4/ip_forward");
  take_routes("nst0"), take_routes("nst1");
  far.bind(7);
  int const one = 1;
  REQUIRE(::setsockopt(far.fd, IPPROTO_IP, IP_RETOPTS, &one, sizeof one) == 0);

  auto& net = t.net();
  REQUIRE(ns::sysctl_write(net, "net/ipv4/conf/all/accept_source_route", "1"));
  int const fd = ns::socket(net, ns::af::inet, ns::sock_type::dgram).value();
  REQUIRE(ns::bind(net, fd, ns::inet_addr_of({}, 5353)));
  REQUIRE(ns::setsockopt(net, fd, ns::sol::ip, ns::ip_opt::retopts, 1));
  REQUIRE(ns::setsockopt(net, fd, ns::sol::socket, ns::so::rcvtimeo, timeval{5, 0}));
  auto const there = ns::inet_addr_of(ns::ipv4_addr("198.51.100.2"), 7);
  CHECK(ns::sendto(net, fd, "lost", 4, 0, there).error() == std::errc::network_unreachable);

  block const out{ns::ipopt::lsrr, 7, 4, 192, 0, 2, 1, 0}, back{ns::ipopt::lsrr, 7, 4, 198, 51, 100, 1, 0};
  REQUIRE(ns::setsockopt(net, fd, ns::sol::ip, ns::ip_opt::options, out.data(), out.size()));
  REQUIRE(ns::sendto(net, fd, "by way of", 9, 0, there));
  auto const arrived = [&] { return ::recv(far.fd, nullptr, 0, MSG_PEEK | MSG_DONTWAIT) >= 0; };
  t.poll_until(arrived);
  auto const asked = linux_receives(far);
  CHECK(asked.text == "by way of");  // Linux has checked its checksum
  CHECK(asked.from.sin_addr.s_addr == ns::ipv4_addr("192.0.2.2").raw());
  CHECK(asked.retopts == back);

  // Linux answers by the reversed route; it reaches us as it should, and tells how to go back.
  REQUIRE(::setsockopt(far.fd, SOL_SOCKET, SO_NO_CHECK, &one, sizeof one) == 0);  // Linux sums for the first stop
  REQUIRE(::setsockopt(far.fd, IPPROTO_IP, IP_OPTIONS, asked.retopts.data(),
                       static_cast<socklen_t>(asked.retopts.size())) == 0);
  REQUIRE(::sendto(far.fd, "and back", 8, 0, reinterpret_cast<sockaddr const*>(&asked.from), sizeof asked.from) == 8);
  char buf[64];
  alignas(8) std::byte control[128];
  iovec const part{buf, sizeof buf};
  ns::msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
  REQUIRE(ns::recvmsg(net, fd, m).value() == 8);
  CHECK(std::string_view(buf, 8) == "and back");
  block told;
  ns::for_each_cmsg(std::span(control).first(m.msg_controllen), [&](ns::cmsg_view const& c) {
    auto const* bytes = reinterpret_cast<unsigned char const*>(c.data.data());
    if (c.type == ns::ip_opt::retopts) told.assign(bytes, bytes + c.data.size());
    return true;
  });
  CHECK(told == out);
  // As a control message it is the way of one datagram, whatever the socket's is.
  REQUIRE(ns::setsockopt(net, fd, ns::sol::ip, ns::ip_opt::options, nullptr, 0));
  ns::msghdr answer{.msg_control = control};
  ns::put_cmsg(answer, ns::sol::ip, ns::ip_opt::retopts, told.data(), told.size());
  auto to = there;
  iovec const words{const_cast<char*>("once more"), 9};
  answer.msg_name = &to, answer.msg_namelen = sizeof to, answer.msg_iov = {&words, 1};
  answer.msg_control = std::span(control).first(answer.msg_controllen);
  REQUIRE(ns::sendmsg(net, fd, answer));
  t.poll_until(arrived);
  CHECK(linux_receives(far).text == "once more");
  REQUIRE(ns::close(net, fd));
  CHECK(t.h.worker().pool.in_use() == 0);
}
