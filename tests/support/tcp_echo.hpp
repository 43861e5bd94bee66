// SPDX-License-Identifier: BSL-1.0
// Decides: a TCP echo server on the stack for tests, and the bytes that go through it: driven by calls that never wait,
// so that it fits into any loop.
#pragma once
#include <string>
#include <vector>

#include "netstack/socket/socket.hpp"
#include "netstack/tcp/tcp.hpp"
#include "support/catch.hpp"

namespace netstack::test {

/// `n` bytes that look like nothing else; the same for the same seed.
inline std::string stream_of(std::size_t n, u32 seed = 1) {
  std::string bytes(n, '\0');
  u32 x = seed * 2654435761u + 1;
  for (char& b : bytes) b = static_cast<char>((x = x * 1664525u + 1013904223u) >> 24);
  return bytes;
}

/// Echoes what each connection says until its end, then closes it.
template <class Net>
struct tcp_echo_server {
  Net& net;
  int listener;
  struct connection {
    int fd;
    std::string pending;
    bool ended = false;
  };
  std::vector<connection> connections;
  std::size_t echoed = 0, served = 0;

  tcp_echo_server(Net& n, u16 port, int backlog = 16) : net(n) {
    listener = socket(net, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(bind(net, listener, inet_addr_of({}, port)));
    REQUIRE(listen(net, listener, backlog));
  }
  /// All that can be done now.
  void serve() {
    while (auto fd = accept(net, listener, nullptr, nullptr, sock_type::nonblock)) connections.push_back({*fd, {}});
    for (auto& c : connections) serve(c);
    std::erase_if(connections, [](auto const& c) { return c.fd < 0; });
  }

 private:
  void serve(connection& c) {
    char buf[16384];
    while (!c.ended && c.pending.size() < 65536) {
      auto const n = recv(net, c.fd, buf, sizeof buf);
      if (!n && n.error() == std::errc::resource_unavailable_try_again) break;
      c.ended = !n || *n == 0;
      if (n) c.pending.append(buf, *n);
    }
    if (!c.pending.empty()) {
      auto const sent = send(net, c.fd, c.pending.data(), c.pending.size());
      if (sent) c.pending.erase(0, *sent), echoed += *sent;
      if (!sent && sent.error() != std::errc::resource_unavailable_try_again) c.pending.clear(), c.ended = true;
    }
    if (!c.ended || !c.pending.empty()) return;
    (void)close(net, std::exchange(c.fd, -1));
    ++served;
  }
};

}  // namespace netstack::test
