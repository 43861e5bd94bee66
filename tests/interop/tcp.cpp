// SPDX-License-Identifier: BSL-1.0
// TCP with the Linux kernel as the peer, over TAP, in a network namespace of the test's own: Linux connects to an echo
// server of ours and the other way round, megabytes go both ways and come back as they were, one side ends first, ports
// that nobody listens on are refused, and many short connections leave nothing behind.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/netns.hpp"
#include "support/tcp_echo.hpp"

namespace {

namespace ns = netstack;
using ns::test::stream_of;

using marking_tap = ns::drivers::fault_injector<ns::drivers::tap>;
struct host : ns::stack<host, ns::ipv4, ns::tcp, ns::drivers::tap, marking_tap> {};
using net_t = ns::net<host>;

/// Linux is 192.0.2.1, the stack 192.0.2.2.
struct tap_pair {
  ns::test::netns space;
  host h;

  /// `marked`: both ways of the wire have a rate, and a queue whose growth they tell of. Half of what comes may leave,
  /// so that an echo queues however evenly it is sent.
  explicit tap_pair(bool marked = false) {
    REQUIRE(h.boot());
    REQUIRE(ns::dev_open(net(), *net().loopback_dev));
    ns::drivers::tap::params const params{.ifname = "nst0", .bring_up = true};
    ns::drivers::wire_faults const slow{.rate_bps = 40'000'000, .mark = 20'000, .limit = 400};
    auto slower = slow;
    slower.rate_bps /= 2;
    auto tap = marked ? ns::register_netdev<marking_tap>(net(), "eth0", {.inner = params, .tx = slower, .rx = slow})
                      : ns::register_netdev<ns::drivers::tap>(net(), "eth0", params);
    REQUIRE(tap);
    REQUIRE(ns::dev_open(net(), **tap));
    REQUIRE(ns::inet_addr_add(net(), (*tap)->ifindex, ns::ipv4_cidr("192.0.2.2/24")));
    space.run("ip addr add 192.0.2.1/24 dev nst0");
  }
  net_t& net() { return h.init_net(); }
  /// Moves the stack until `done`; false: not within a minute.
  bool drive(std::atomic<bool> const& done, auto&& serve) {
    auto const end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!done && std::chrono::steady_clock::now() < end) {
      h.worker().wait(1'000'000);
      while (h.poll()) serve();
      serve();
    }
    return done;
  }
  void settle() {
    auto const end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while (std::chrono::steady_clock::now() < end) {
      h.worker().wait(1'000'000);
      while (h.poll()) {
      }
    }
  }
};

/// A stream socket of the kernel.
struct linux_stream {
  int fd;
  explicit linux_stream(int of = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) : fd(of) {
    timeval const tv{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
  }
  ~linux_stream() { ::close(fd); }
  linux_stream(linux_stream const&) = delete;
  static sockaddr_in name(char const* addr, std::uint16_t port) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    ::inet_pton(AF_INET, addr, &in.sin_addr);
    return in;
  }
  bool connect(std::uint16_t port) const {
    auto const in = name("192.0.2.2", port);
    return ::connect(fd, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0;
  }
  bool listen(std::uint16_t port) const {
    int const on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto const in = name("0.0.0.0", port);
    return ::bind(fd, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0 && ::listen(fd, 16) == 0;
  }
  bool send_all(std::string const& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      ssize_t const n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }
  /// Until the peer ends; the errno follows in brackets if it was no orderly end.
  std::string receive_all() const {
    std::string all;
    char buf[65536];
    for (;;) {
      ssize_t const n = ::recv(fd, buf, sizeof buf, 0);
      if (n < 0) all += "[" + std::to_string(errno) + "]";
      if (n <= 0) return all;
      all.append(buf, static_cast<std::size_t>(n));
    }
  }
};

void check_nothing_left(tap_pair& t) {
  auto& w = ns::tcp_worker_of(t.net());
  CHECK(t.h.worker().pool.in_use() == 0);
  CHECK(w.requests.in_use() == 0);
  CHECK(w.memory.allocated == 0);
}

}  // namespace

TEST_CASE("Linux connects, sends, gets its echo and closes", "[S92][S148]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  ns::test::tcp_echo_server server(t.net(), 7);
  std::string echo;
  std::atomic<bool> done{false};
  std::thread client([&] {
    linux_stream c;
    if (c.connect(7) && c.send_all("hello, stack") && ::shutdown(c.fd, SHUT_WR) == 0) echo = c.receive_all();
    done = true;
  });
  CHECK(t.drive(done, [&] { server.serve(); }));
  client.join();
  CHECK(echo == "hello, stack");
  t.settle();
  CHECK(server.served == 1);
  auto const& mib = ns::TCP_STATS(t.net());
  CHECK(mib.PassiveOpens.read() == 1);
  CHECK(mib.InErrs.read() == 0);
  CHECK(mib.RetransSegs.read() == 0);
  CHECK(mib.OutRsts.read() == 0);
  REQUIRE(ns::close(t.net(), server.listener));
  CHECK(ns::tcp_worker_of(t.net()).socks.in_use() == 0);
  check_nothing_left(t);
}

TEST_CASE("ten megabytes go to our echo server and come back as they were", "[S92][S100][S147]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  ns::test::tcp_echo_server server(t.net(), 7);
  std::string const sent = stream_of(10'000'000);
  std::string echo;
  std::atomic<bool> done{false};
  std::thread client([&] {
    linux_stream c;
    bool const connected = c.connect(7);
    std::thread writer([&] {
      if (connected && c.send_all(sent)) ::shutdown(c.fd, SHUT_WR);
    });
    if (connected) echo = c.receive_all();
    writer.join();
    done = true;
  });
  CHECK(t.drive(done, [&] { server.serve(); }));
  client.join();
  CHECK(echo.size() == sent.size());
  CHECK((echo == sent));
  CHECK(ns::TCP_STATS(t.net()).InErrs.read() == 0);
  t.settle();
  REQUIRE(ns::close(t.net(), server.listener));
  check_nothing_left(t);
}

TEST_CASE("we connect to Linux with calls that wait, and get ten megabytes echoed", "[S148]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  linux_stream listener;
  REQUIRE(listener.listen(7));
  std::thread echoes([&] {
    linux_stream c(::accept(listener.fd, nullptr, nullptr));
    char buf[65536];
    for (;;) {
      ssize_t const n = ::recv(c.fd, buf, sizeof buf, 0);
      if (n <= 0 || !c.send_all(std::string(buf, static_cast<std::size_t>(n)))) break;
    }
  });
  auto& net = t.net();
  int const fd = ns::socket(net, ns::af::inet, ns::sock_type::stream).value();
  REQUIRE(ns::setsockopt(net, fd, ns::sol::socket, ns::so::rcvtimeo, timeval{20, 0}));
  REQUIRE(ns::setsockopt(net, fd, ns::sol::socket, ns::so::sndtimeo, timeval{20, 0}));
  REQUIRE(ns::connect(net, fd, ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 7)));
  std::string const sent = stream_of(10'000'000, 7);
  std::string echo;
  char buf[65536];
  std::size_t at = 0;
  for (bool ended = false; !ended;) {
    short const wanted = at < sent.size() ? POLLIN | POLLOUT : POLLIN;
    pollfd p{.fd = fd, .events = wanted, .revents = 0};
    REQUIRE(ns::poll(net, {&p, 1}, 20'000'000'000).value() == 1);
    if (p.revents & POLLOUT) {
      auto const n = ns::send(net, fd, sent.data() + at, sent.size() - at, ns::msg::dontwait);
      REQUIRE((n || n.error() == std::errc::resource_unavailable_try_again));
      at += n.value_or(0u);
      if (at == sent.size()) REQUIRE(ns::shutdown(net, fd, ns::shut::wr));
    }
    if (!(p.revents & POLLIN)) continue;
    auto const got = ns::recv(net, fd, buf, sizeof buf, ns::msg::dontwait);
    REQUIRE(got);
    ended = *got == 0;
    echo.append(buf, *got);
  }
  CHECK(echo.size() == sent.size());
  CHECK((echo == sent));
  REQUIRE(ns::close(net, fd));
  echoes.join();
  t.settle();
  CHECK(ns::TCP_STATS(net).ActiveOpens.read() == 1);
  CHECK(ns::TCP_STATS(net).EstabResets.read() == 0);
  check_nothing_left(t);
}

TEST_CASE("ECN is agreed with Linux, and each heeds the other's echo of a mark: RFC 3168", "[S147]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t{true};
  t.space.run("sysctl -qw net.ipv4.tcp_ecn=1");
  ns::test::tcp_echo_server server(t.net(), 7);
  std::string const sent = stream_of(2'000'000);
  std::string echo;
  ns::tcp_info info{};
  std::atomic<bool> done{false};
  std::thread client([&] {
    linux_stream c;
    bool const connected = c.connect(7);
    std::thread writer([&] {
      if (connected && c.send_all(sent)) ::shutdown(c.fd, SHUT_WR);
    });
    if (connected) echo = c.receive_all();
    writer.join();
    socklen_t len = sizeof info;
    ::getsockopt(c.fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    done = true;
  });
  ns::u32 our_echoes = 0;
  CHECK(t.drive(done, [&] {
    server.serve();
    for (auto const& c : server.connections)
      our_echoes = ns::tcp_sk(*ns::sockfs::table_of(t.net()).find(c.fd)->sk).rare->delivered_ce;
  }));
  client.join();
  CHECK((echo == sent));
  CHECK((info.tcpi_options & ns::tcpi_opt::ecn) != 0);
  CHECK((info.tcpi_options & ns::tcpi_opt::ecn_seen) != 0);
  CHECK(info.tcpi_delivered_ce > 0);  // our echoes reached Linux
  CHECK(our_echoes > 0);              // and Linux's us
  CHECK(info.tcpi_snd_ssthresh < 1000);
  CHECK(ns::NET_STATS(t.net()).TCPSackRecovery.read() == 0);  // not for a loss
  // And we ask.
  REQUIRE(ns::sysctl_write(t.net(), "net/ipv4/tcp_ecn", "1"));
  linux_stream listener;
  REQUIRE(listener.listen(9));
  int const fd = ns::socket(t.net(), ns::af::inet, ns::sock_type::stream).value();
  REQUIRE(ns::connect(t.net(), fd, ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 9)));
  CHECK((ns::tcp_sk(*ns::sockfs::table_of(t.net()).find(fd)->sk).ecn_flags & ns::tcp_ecn::ok) != 0);
  REQUIRE(ns::close(t.net(), fd));
}

TEST_CASE("a port that nobody listens on refuses, both ways", "[S144]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  std::atomic<bool> done{false};
  int error = 0;
  std::thread client([&] {
    linux_stream c;
    if (!c.connect(9)) error = errno;
    done = true;
  });
  CHECK(t.drive(done, [] {}));
  client.join();
  CHECK(error == ECONNREFUSED);
  CHECK(ns::TCP_STATS(t.net()).OutRsts.read() == 1);
  int const fd = ns::socket(t.net(), ns::af::inet, ns::sock_type::stream).value();
  auto const r = ns::connect(t.net(), fd, ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 9));
  CHECK(r.error() == std::errc::connection_refused);
  REQUIRE(ns::close(t.net(), fd));
  check_nothing_left(t);
}

TEST_CASE("three hundred short connections leave nothing behind", "[S102][S148]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  ns::test::tcp_echo_server server(t.net(), 7);
  std::size_t good = 0;
  std::atomic<bool> done{false};
  std::thread client([&] {
    for (int i = 0; i < 300; ++i) {
      linux_stream c;
      std::string const text = "number " + std::to_string(i);
      if (!c.connect(7) || !c.send_all(text)) break;
      ::shutdown(c.fd, SHUT_WR);
      good += c.receive_all() == text;
    }
    done = true;
  });
  CHECK(t.drive(done, [&] { server.serve(); }));
  client.join();
  t.settle();
  CHECK(good == 300);
  CHECK(server.served == 300);
  REQUIRE(ns::close(t.net(), server.listener));
  CHECK(ns::tcp_worker_of(t.net()).socks.in_use() == 0);
  check_nothing_left(t);
}

TEST_CASE("Fast Open: Linux's data comes with its SYN, and ours with ours", "[RFC 7413]") {
  if (ns::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  t.space.run("sysctl -qw net.ipv4.tcp_fastopen=3");
  ns::tcp_pernet(t.net()).sysctl_tcp_fastopen = 3;
  auto const& ext = ns::NET_STATS(t.net());
  {
    ns::test::tcp_echo_server server(t.net(), 7);
    REQUIRE(ns::setsockopt(t.net(), server.listener, ns::sol::tcp, ns::tcp_opt::fastopen, 16));
    std::string echo;
    std::atomic<bool> done{false};
    std::thread client([&] {
      auto const in = linux_stream::name("192.0.2.2", 7);
      for (int i = 0; i < 3; ++i) {
        linux_stream c;
        if (::sendto(c.fd, "hello", 5, MSG_FASTOPEN, reinterpret_cast<sockaddr const*>(&in), sizeof in) != 5) break;
        ::shutdown(c.fd, SHUT_WR);
        echo += c.receive_all();
      }
      done = true;
    });
    CHECK(t.drive(done, [&] { server.serve(); }));
    client.join();
    CHECK(echo == "hellohellohello");
    CHECK(ext.TCPFastOpenCookieReqd.read() == 1);
    CHECK(ext.TCPFastOpenPassive.read() == 2);
    t.settle();
    REQUIRE(ns::close(t.net(), server.listener));
  }
  linux_stream listener;
  int const most = 16;
  REQUIRE(::setsockopt(listener.fd, IPPROTO_TCP, TCP_FASTOPEN, &most, sizeof most) == 0);
  REQUIRE(listener.listen(8));
  std::thread echoes([&] {
    for (int i = 0; i < 3; ++i) {
      linux_stream c(::accept(listener.fd, nullptr, nullptr));
      if (!c.send_all(c.receive_all())) break;
    }
  });
  for (int i = 0; i < 3; ++i) {
    int const fd = ns::socket(t.net(), ns::af::inet, ns::sock_type::stream).value();
    auto const to = ns::inet_addr_of(ns::ipv4_addr("192.0.2.1"), 8);
    // Last with the end of a record, that went with the SYN, and is acknowledged when the call goes on.
    auto const flags = ns::msg::fastopen | (i == 2 ? ns::msg::eor : 0u);
    CHECK(ns::sendto(t.net(), fd, "goodbye", 7, flags, to).value_or(0) == 7);
    REQUIRE(ns::shutdown(t.net(), fd, ns::shut::wr));
    char buf[16];
    CHECK(ns::recv(t.net(), fd, buf, sizeof buf, ns::msg::waitall).value_or(0) == 7);
    REQUIRE(ns::close(t.net(), fd));
  }
  echoes.join();
  CHECK(ext.TCPFastOpenActive.read() == 2);
  CHECK(ns::TCP_STATS(t.net()).RetransSegs.read() == 0);
  t.settle();
  check_nothing_left(t);
}
