// SPDX-License-Identifier: BSL-1.0
// Decides: how a test exchanges datagrams with Linux: a socket of the kernel's in the calling thread's namespace, an
// echo server on the stack, and Linux asking it for every size.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "netstack/socket/udp_socket.hpp"
#include "support/catch.hpp"

namespace netstack::test {

/// Echoes in place, from inside poll().
template <class Net>
struct stack_echo {
  udp_socket<Net> socket;
  u32 echoed = 0;
  stack_echo(Net& net, u16 port) : socket(net) {
    REQUIRE(socket.open());
    REQUIRE(socket.bind(inet_addr_of({}, port)));
    socket.on_data_ready(
        [](void* self) {
          auto& server = *static_cast<stack_echo*>(self);
          while (auto d = server.socket.receive())
            if (server.socket.send(d->skb, d->from)) ++server.echoed;
        },
        this);
  }
};

struct linux_socket {
  int fd;
  linux_socket() : fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(fd >= 0);
    timeval const tv{1, 0};
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
  }
  ~linux_socket() { ::close(fd); }
  linux_socket(linux_socket const&) = delete;
  linux_socket& operator=(linux_socket const&) = delete;
  static ::sockaddr_in name(char const* addr, u16 port) {
    ::sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    REQUIRE(::inet_pton(AF_INET, addr, &in.sin_addr) == 1);
    return in;
  }
  void connect(char const* addr, u16 port) const {
    auto const in = name(addr, port);
    REQUIRE(::connect(fd, reinterpret_cast<::sockaddr const*>(&in), sizeof in) == 0);
  }
  void bind(u16 port) const {
    auto const in = name("0.0.0.0", port);
    REQUIRE(::bind(fd, reinterpret_cast<::sockaddr const*>(&in), sizeof in) == 0);
  }
};

struct asked {
  std::size_t wrong = 0, lost = 0;
};
/// Linux sends 0 to `most` bytes and compares what comes back; `drive` moves the stack meanwhile.
template <class Drive>
asked linux_asks_every_size(char const* addr, u16 port, Drive drive, std::size_t most = 1472) {
  linux_socket client;
  client.connect(addr, port);
  std::atomic<bool> done{false};
  asked r;
  std::thread asks([&] {
    std::vector<char> buf(most + 1);
    for (std::size_t n = 0; n <= most; ++n) {
      std::string text(n, '\0');
      for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>((i + n) * 31 + i / 256);
      if (::send(client.fd, text.data(), n, 0) != static_cast<ssize_t>(n)) ++r.lost;
      ssize_t const got = ::recv(client.fd, buf.data(), buf.size(), 0);
      if (got < 0)
        ++r.lost;
      else if (std::string_view(buf.data(), static_cast<std::size_t>(got)) != text)
        ++r.wrong;
    }
    done = true;
  });
  while (!done) drive();
  asks.join();
  return r;
}

}  // namespace netstack::test
