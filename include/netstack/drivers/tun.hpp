// SPDX-License-Identifier: BSL-1.0
// Decides: how a stack joins Linux as the far end of a point-to-point link: a TUN interface, which carries IP packets
// without a link header, so there are no MAC addresses and no ARP.
//   auto dev = register_netdev<drivers::tun>(net, "tun0", {.ifname = "nst0", .bring_up = true});
//   if (!dev) puts(drivers::tun::explain(dev.error()).data());
// Linux: drivers/net/tun.c; Documentation/networking/tuntap.rst
#pragma once
#include "netstack/drivers/detail/tuntap.hpp"

namespace netstack::drivers {

struct tun : detail::tuntap<false> {
  static constexpr char const* name = "tun";
};

}  // namespace netstack::drivers
