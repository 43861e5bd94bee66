// SPDX-License-Identifier: BSL-1.0
// Decides: how a test makes the running kernel the oracle of socket calls: each is made twice, on a socket of the
// kernel's and on one of a stack's, each with a lo of its own, and both must answer the same. Once they have parted,
// nothing more is compared: all that follows would differ. Needs root.
// Outside namespace netstack, whose sockaddr is another.
#pragma once
#include <cerrno>
#include <memory>
#include <string>

#include "netstack/socket/socket.hpp"
#include "support/catch.hpp"
#include "support/kernel_netns.hpp"
#include "support/privileges.hpp"

namespace support {

/// Two sockets that are told the same.
struct twins {
  int theirs = -1, ours = -1;
};

template <class Host>
class oracle {
  int barrier_;  // connected to itself

 public:
  Host h;
  std::string call, before;  ///< the one that is made; all that were
  bool over = false;         ///< the two have parted

  oracle() : barrier_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    ::cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    REQUIRE(::sched_setaffinity(0, sizeof here, &here) == 0);  // lo's queue is the processor's
    ::ifreq lo{};
    std::strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    REQUIRE(::ioctl(barrier_, SIOCSIFFLAGS, &lo) == 0);
    auto self = name(0x7f000009, 9);
    auto* at = reinterpret_cast<::sockaddr*>(&self);
    REQUIRE(::bind(barrier_, at, sizeof self) == 0);
    REQUIRE(::connect(barrier_, at, sizeof self) == 0);
    REQUIRE(h.boot({.seed = 1}));
    REQUIRE(netstack::dev_open(net(), *net().loopback_dev));
  }
  oracle(oracle const&) = delete;
  oracle& operator=(oracle const&) = delete;
  virtual ~oracle() { ::close(barrier_); }

  auto& net() { return h.init_net(); }
  static ::sockaddr_in name(unsigned addr, unsigned short port, unsigned short family = AF_INET) {
    ::sockaddr_in a{};
    a.sin_family = family;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(addr);
    return a;
  }
  static std::string text(::sockaddr_in const& a) {
    return ::inet_ntoa(a.sin_addr) + (':' + std::to_string(ntohs(a.sin_port)));
  }
  /// All that the last call caused has happened.
  void run() {
    while (h.poll() != 0) {
    }
    // The kernel may put off what lo received: behind it, and behind an answer to it, comes this.
    for (int i = 0; i < 2; ++i) {
      char byte = 0;
      REQUIRE(::send(barrier_, &byte, 1, 0) == 1);
      REQUIRE(::recv(barrier_, &byte, 1, 0) == 1);
    }
  }
  static long answer(long r) { return r < 0 ? -errno : r; }
  template <class T>
  static long answer(netstack::result<T> const& r) {
    if (!r) return -static_cast<long>(r.error());
    if constexpr (requires { long(*r); })
      return static_cast<long>(*r);
    else
      return 0;
  }
  virtual bool same(char const* what, long theirs, long ours) {
    if (theirs == ours || over) return theirs == ours;
    over = true;
    INFO(before << call << ": " << what);
    CHECK(ours == theirs);
    return false;
  }

  // --- calls that all sockets know
  void look(twins const& p, bool peer) {
    ::sockaddr_in theirs{};
    ::socklen_t len = sizeof theirs;
    auto* at = reinterpret_cast<::sockaddr*>(&theirs);
    long const k = answer(peer ? ::getpeername(p.theirs, at, &len) : ::getsockname(p.theirs, at, &len));
    auto const ours = netstack::getsockname(net(), p.ours, peer);
    same(peer ? "getpeername" : "getsockname", k, ours ? 0 : -static_cast<long>(ours.error()));
    if (k < 0 || !ours) return;
    same("address", ntohl(theirs.sin_addr.s_addr), static_cast<long>(ours->sin_addr.s_addr.host()));
    auto const chosen = [](unsigned port) { return port >= 32768 ? 1L : long{port}; };  // at random
    same("port", chosen(ntohs(theirs.sin_port)), chosen(ours->sin_port.host()));
  }
  void watch(twins const& p, short events) {
    ::pollfd k{p.theirs, events, 0}, ours{p.ours, events, 0};
    (void)::poll(&k, 1, 0);
    (void)netstack::poll(net(), std::span(&ours, 1), 0);
    same("poll", k.revents, ours.revents);
  }
};

/// Runs f(Oracle&) in a network namespace of its own.
template <class Oracle, class F>
void beside_the_kernel(F f) {
  if (netstack::test::skip_without_root("makes a network namespace")) return;
  CHECK(in_new_netns([&] {
    auto two = std::make_unique<Oracle>();
    f(*two);
  }));
}

}  // namespace support
