// SPDX-License-Identifier: BSL-1.0
// Decides: how a stack joins Linux as a station on an Ethernet: a TAP interface, whose other end is Linux's own.
//   auto dev = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true});
//   if (!dev) puts(drivers::tap::explain(dev.error()).data());
// A worker's device is one queue; with multi_queue each worker registers its own under the same name and ifname.
// Linux: drivers/net/tun.c; Documentation/networking/tuntap.rst
#pragma once
#include "netstack/drivers/detail/tuntap.hpp"

namespace netstack::drivers {

struct tap : detail::tuntap<true> {
  static constexpr char const* name = "tap";
};

}  // namespace netstack::drivers
