// SPDX-License-Identifier: BSL-1.0
// Decides: what tests need of `ethtool -K`.
#pragma once
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "netstack/base/config.hpp"
#include "support/catch.hpp"

namespace netstack::test {

/// One of ethtool's requests with a number, which it answers.
inline u32 ethtool_ioctl(char const* ifname, u32 command, u32 data) {
  struct {
    u32 cmd, data;
  } value{command, data};
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
  return value.data;
}
/// `ethtool -K IFACE …`, as far as tests need it: the interface finishes checksums itself (tx), segments (tso).
inline void ethtool_set(char const* ifname, u32 command, bool on) { (void)ethtool_ioctl(ifname, command, on); }
inline constexpr u32 ethtool_stxcsum = 0x17, ethtool_stso = 0x1f;
/// … txvlan off: a tag that Linux has laid aside is put back into the frame.
inline void ethtool_no_txvlan(char const* ifname) {
  constexpr u32 gflags = 0x25, sflags = 0x26, txvlan = 1u << 7;
  (void)ethtool_ioctl(ifname, sflags, ethtool_ioctl(ifname, gflags, 0) & ~txvlan);
}

}  // namespace netstack::test
