// SPDX-License-Identifier: BSL-1.0
// Decides: how a driver that sits on Linux's own interfaces meets Linux in a test: a veth pair in the test's own
// namespace, the stack on nst0 and Linux on nst1; and how the driver is put under the conformance cases there. Needs
// root.
#pragma once
#include <sys/ioctl.h>

#include <string>

#include "support/netns.hpp"
#include "support/packet_socket.hpp"

namespace netstack::test {

/// nst0 and nst1, up, and Linux says nothing by itself.
inline void make_veth(std::string const& options = "") {
  (void)netns::attempt(
      "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
  netns::run("ip link add nst0 " + options + " type veth peer name nst1 " + options +
             " && ip link set nst0 up && ip link set nst1 up");
}

/// `ethtool -K IFACE …`, as far as tests need it: the interface finishes checksums itself (tx), segments (tso).
inline void ethtool_set(char const* ifname, u32 command, bool on) {
  struct {
    u32 cmd, data;
  } value{command, on};
  struct {
    char name[16]{};
    void* data;
    char pad[16]{};
  } request;
  request.data = &value;
  std::strncpy(request.name, ifname, sizeof request.name - 1);
  int const s = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  REQUIRE(s >= 0);
  int const r = ::ioctl(s, 0x8946 /* SIOCETHTOOL */, &request);
  ::close(s);
  REQUIRE(r == 0);
}
inline constexpr u32 ethtool_stxcsum = 0x17, ethtool_stso = 0x1f;

/// `Host` lists `Driver`, whose params name the interface by `ifname`.
template <class Host, class Driver>
struct veth_rig {
  using host = Host;
  using driver = Driver;
  static constexpr bool receives = true, exclusive = Driver::exclusive;
  static constexpr bool lossless = false;  // veth drops what the far socket cannot hold
  static constexpr u32 window = 256;
  static inline typename Driver::params params{};
  static inline packet_socket far;  // of all cases: to close one takes the kernel a while
  host h;

  result<net_device*> make(char const* name) {
    for (std::vector<u8> old; far.receive(old);) {
    }
    return register_netdev<Driver>(h.init_net(), name, params);
  }
  bool inject(std::span<u8 const> frame) { return far.send(frame); }
  bool collect(std::vector<u8>& frame) { return far.receive(frame); }
};

}  // namespace netstack::test
