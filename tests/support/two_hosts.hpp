// SPDX-License-Identifier: BSL-1.0
// Decides: two internet hosts on one link: two_stacks with 192.0.2.1/24 on a and 192.0.2.2/24 on b, lo up. The
// compositions list ipv4 and udp.
//
//   two_hosts<host> t;
//   auto const fd = t.udp(t.a, 7);                  // a bound UDP socket
//   t.send(t.a, fd, "hello", 5, t.addr_b, 9);       // the result of sendto()
#pragma once
#include <string>
#include <string_view>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/udp/udp.hpp"
#include "support/two_stacks.hpp"

namespace netstack::test {

template <class A, class B = A, class Driver = drivers::pipe>
struct two_hosts : two_stacks<A, B, Driver> {
  using params = typename Driver::params;
  static constexpr be32 addr_a = ipv4_addr("192.0.2.1"), addr_b = ipv4_addr("192.0.2.2");

  explicit two_hosts(params const& both = {}, u64 seed = 1) : two_hosts(both, both, seed) {}
  two_hosts(params const& of_a, params const& of_b, u64 seed) : two_stacks<A, B, Driver>(of_a, of_b, seed) {
    REQUIRE(dev_open(this->a.init_net(), *this->a.init_net().loopback_dev));
    REQUIRE(dev_open(this->b.init_net(), *this->b.init_net().loopback_dev));
    REQUIRE(inet_addr_add(this->a.init_net(), this->dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
    REQUIRE(inet_addr_add(this->b.init_net(), this->dev_b->ifindex, ipv4_cidr("192.0.2.2/24")));
    this->run();
  }

  static sockaddr_in name(be32 addr, u16 port) {
    sockaddr_in to;
    to.sin_port = be16{port};
    to.sin_addr.s_addr = addr;
    return to;
  }
  /// A UDP socket of this host, bound to the port (0: not bound), that never waits.
  template <class Host>
  static int udp(Host& host, u16 port = 0) {
    auto const fd = socket(host.init_net(), af::inet, sock_type::dgram | sock_type::nonblock);
    REQUIRE(fd);
    if (port != 0) REQUIRE(bind(host.init_net(), *fd, name({}, port)));
    return *fd;
  }
  template <class Host>
  static result<std::size_t> send(Host& host, int fd, std::string_view payload, be32 to, u16 port) {
    return sendto(host.init_net(), fd, payload.data(), payload.size(), 0, name(to, port));
  }
  /// The next datagram, or the errno why there is none.
  template <class Host>
  static result<std::string> receive(Host& host, int fd, sockaddr_in* from = nullptr) {
    std::string payload(65536, '\0');
    sockaddr_in unused;
    auto const n = recvfrom(host.init_net(), fd, payload.data(), payload.size(), 0, from ? *from : unused);
    if (!n) return failure{n.error()};
    payload.resize(*n);
    return payload;
  }
};

}  // namespace netstack::test
