// SPDX-License-Identifier: BSL-1.0
// The driver of examples/own_driver.cpp, as it stands there, under the conformance cases.
#define main own_driver_example
#include "../../examples/own_driver.cpp"
#undef main

#include <span>
#include <vector>

#include "support/conformance.hpp"

namespace {

// [rig]
struct rig {
  struct host : stack<host, socket_wire, sizes<config{.max_net = 1, .skb_pool = 2048}>> {};
  using driver = socket_wire;
  static constexpr bool receives = true, lossless = true;
  static constexpr u32 window = 8;  // Linux's default for datagrams in a socket is 10
  int ends[2]{-1, -1};
  host h;

  rig() { REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0); }
  ~rig() {
    h.shutdown();
    for (int fd : ends) ::close(fd);
  }
  result<net_device*> make(char const* name) {
    return register_netdev<socket_wire>(h.init_net(), name, {.fd = ends[0], .mac = {{2, 0, 0, 0, 0, 1}}});
  }
  bool inject(std::span<u8 const> frame) { return ::send(ends[1], frame.data(), frame.size(), MSG_DONTWAIT) >= 0; }
  bool collect(std::vector<u8>& frame) {
    frame.resize(65536);
    auto const n = ::recv(ends[1], frame.data(), frame.size(), MSG_DONTWAIT);
    frame.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return n >= 0;
  }
};
// [/rig]

}  // namespace

TEST_CASE("the example's driver conforms", "[S75]") {
  CHECK(own_driver_example() == 0);
  // [run]
  test::check_conformance<rig>(70);  // at least so many of them apply
  // [/run]
}
