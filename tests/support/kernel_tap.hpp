// SPDX-License-Identifier: BSL-1.0
// Decides: how the kernel is asked what it would answer: a namespace whose only interface is a TAP of the test's, with
// the addresses of ip_rig's eth0, so that the same frames can go to both.
#pragma once
#include "netstack/drivers/detail/tun_file.hpp"
#include "support/ip_rig.hpp"
#include "support/netns.hpp"
#include "support/tuntap_rig.hpp"

namespace netstack::test {

class kernel_tap {
  netns ns_;
  drivers::detail::tun_file tap_;

 public:
  kernel_tap() {
    be_quiet();
    REQUIRE(tap_.open({'n', 's', 't', '0'}, drivers::detail::tun_abi::iff_tap));
    ns_.run("ip link set nst0 address 02:00:00:00:00:01 up");
    ns_.run("ip addr add 192.0.2.1/24 dev nst0");
    ns_.run("ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 dev nst0 nud permanent");
  }
  void run(std::string const& command) { ns_.run(command); }
  void set(std::string const& path, char const* value) { run(std::string("echo ") + value + " > /proc/sys/" + path); }
  /// The kernel is done with it when this returns.
  void receive(bytes const& frame) { REQUIRE(::write(tap_.fd(), frame.data(), frame.size()) > 0); }
  std::vector<bytes> sent() {
    std::vector<bytes> list;
    bytes room(4096);
    for (ssize_t n; (n = ::read(tap_.fd(), room.data(), room.size())) > 0;)
      list.emplace_back(room.begin(), room.begin() + n);
    return list;
  }
};

}  // namespace netstack::test
