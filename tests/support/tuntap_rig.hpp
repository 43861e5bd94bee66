// SPDX-License-Identifier: BSL-1.0
// Decides: how TAP and TUN (and what wraps them) are put under the conformance cases: Linux's end of the interface is a
// packet socket of the test. Runs in a network namespace of its own, as root.
#pragma once
#include "netstack/drivers/tap.hpp"
#include "netstack/drivers/tun.hpp"
#include "netstack/stack/stack.hpp"
#include "support/netns.hpp"
#include "support/packet_socket.hpp"

namespace netstack::test {

/// A namespace in which Linux keeps quiet: nothing is sent that the test did not send.
inline void be_quiet() {
  (void)netns::attempt(
      "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
}

template <class Driver, bool VnetHdr>
struct tuntap_rig {
  struct host : stack<host, Driver, sizes<config{.max_net = 1, .skb_pool = 8192}>> {};
  using driver = Driver;
  static constexpr bool receives = true, exclusive = true;
  static constexpr bool lossless = false;  // Linux drops what its queues cannot hold
  static constexpr u32 window = 256;
  host h;
  packet_socket far;

  result<net_device*> make(char const* name) {
    auto dev = register_netdev<Driver>(h.init_net(), name, {.ifname = "nst0", .vnet_hdr = VnetHdr, .bring_up = true});
    if (dev) far.open("nst0", (*dev)->type == arphrd::ether ? 0x88b5 : eth_p::ip);
    return dev;
  }
  bool inject(std::span<u8 const> frame) { return far.send(frame); }
  bool collect(std::vector<u8>& frame) { return far.receive(frame); }
};

}  // namespace netstack::test
