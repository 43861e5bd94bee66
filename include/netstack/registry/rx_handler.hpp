// SPDX-License-Identifier: BSL-1.0
// Decides: how a module takes frames away from a device before any protocol sees them: a VLAN, a bridge. Linux's
// netdev_rx_handler_register is two steps here: the module lists its handlers (Net::rx_handlers), and
// netdev_rx_handler_register<M>(net, dev) gives one of them to a device, at most one each.
// rx: called by core/dev_input after the taps, before the protocols
// Linux: include/linux/netdevice.h (rx_handler_func_t, enum rx_handler_result)
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

struct sk_buff;

enum class rx_handler_result : u8 {
  consumed,  ///< the handler owns the frame now
  another,   ///< skb.dev was changed: start again as if that device had received it
  exact,     ///< deliver it, but only to handlers bound to this very device
  pass,      ///< not interested
};

template <class Net>
struct rx_handler {
  rx_handler_result (*func)(Net&, sk_buff&) = nullptr;  ///< data at the network header
  char const* name = "";
};

}  // namespace netstack
