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

#include "netstack/drivers/tap.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/udp_socket.hpp"
#include "netstack/stack/stack.hpp"
#include "support/netns.hpp"

namespace {

namespace ns = netstack;

struct host : ns::stack<host, ns::ipv4, ns::udp, ns::drivers::tap> {};
using net_t = ns::net<host>;

/// Linux is 192.0.2.1, the stack 192.0.2.2.
struct tap_pair {
  ns::test::netns space;
  host h;
  ns::net_device* dev = nullptr;

  tap_pair() {
    REQUIRE(h.boot());
    auto& net = h.init_net();
    REQUIRE(ns::dev_open(net, *net.loopback_dev));
    auto tap = ns::register_netdev<ns::drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true});
    REQUIRE(tap);
    dev = *tap;
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

/// Echoes in place, from inside poll().
struct echo_server {
  ns::udp_socket<net_t> socket;
  ns::u32 echoed = 0;
  echo_server(net_t& net, ns::u16 port) : socket(net) {
    REQUIRE(socket.open());
    REQUIRE(socket.bind(ns::inet_addr_of({}, port)));
    socket.on_data_ready(
        [](void* self) {
          auto& server = *static_cast<echo_server*>(self);
          while (auto d = server.socket.receive())
            if (server.socket.send(d->skb, d->from)) ++server.echoed;
        },
        this);
  }
};

/// A UDP socket of the kernel, in the calling thread's namespace.
struct linux_socket {
  int fd;
  linux_socket() : fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(fd >= 0);
    timeval const tv{1, 0};
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
  }
  ~linux_socket() { ::close(fd); }
  linux_socket(linux_socket const&) = delete;
  static sockaddr_in name(char const* addr, std::uint16_t port) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    ::inet_pton(AF_INET, addr, &in.sin_addr);
    return in;
  }
  void bind(std::uint16_t port) const {
    auto const in = name("0.0.0.0", port);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0);
  }
  void connect(char const* addr, std::uint16_t port) const {
    auto const in = name(addr, port);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0);
  }
};

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i + n) * 31 + i / 256);
  return s;
}

}  // namespace

TEST_CASE("Linux gets every size from 0 to 1472 bytes echoed byte for byte", "[S93][S112]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  echo_server server(t.net(), 7);
  linux_socket client;
  client.connect("192.0.2.2", 7);
  std::atomic<bool> done{false};
  std::size_t wrong = 0, lost = 0;
  std::thread asks([&] {
    std::vector<char> buf(2048);
    for (std::size_t n = 0; n <= 1472; ++n) {
      auto const text = pattern(n);
      if (::send(client.fd, text.data(), n, 0) != static_cast<ssize_t>(n)) ++lost;
      ssize_t const got = ::recv(client.fd, buf.data(), buf.size(), 0);
      if (got < 0)
        ++lost;
      else if (std::string_view(buf.data(), static_cast<std::size_t>(got)) != text)
        ++wrong;
    }
    done = true;
  });
  while (!done) {
    t.h.worker().wait(1'000'000);
    while (t.h.poll()) {
    }
  }
  asks.join();
  CHECK(wrong == 0);
  CHECK(lost == 0);
  CHECK(server.echoed == 1473);
  CHECK(ns::UDP_STATS(t.net()).InCsumErrors.read() == 0);
  CHECK(ns::UDP_STATS(t.net()).InDatagrams.read() == 1473);
  CHECK(ns::UDP_STATS(t.net()).OutDatagrams.read() == 1473);
  CHECK(t.h.worker().pool.in_use() == 0);
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
