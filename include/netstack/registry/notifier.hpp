// SPDX-License-Identifier: BSL-1.0
// Decides: who hears of a change of a device or an address, Linux's notifier chains, by descending priority. [S71]
// Linux: include/linux/netdevice.h (NETDEV_*), include/linux/notifier.h [S129]
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

struct net_device;

enum class netdev_event : u8 {
  up,
  down,
  reboot,
  change,
  registered,
  unregister,
  changemtu,
  changeaddr,
  going_down,
  changename,
  pre_up,
  feat_change,
  inetaddr_up,
  inetaddr_down,
};

template <class Net>
struct notifier_block {
  void (*notifier_call)(Net&, netdev_event, net_device&) = nullptr;
  int priority = 0;
  char const* name = "";
};

}  // namespace netstack
