// SPDX-License-Identifier: BSL-1.0
// Decides: what a driver tells about itself beyond what every device has: `template <class Net> static constexpr
// ethtool_ops<Net> ethtool{…}`, all members optional. Asked through core/ethtool.hpp. [S77]
// Linux: include/linux/ethtool.h (struct ethtool_ops), include/uapi/linux/ethtool.h
#pragma once
#include <span>

#include "netstack/base/config.hpp"
#include "netstack/base/result.hpp"

namespace netstack {

struct net_device;

struct ethtool_drvinfo {
  char const* driver = "";
  char const* version = "";
  char bus_info[32]{};  ///< what the device is claimed by: an interface name, a cable's end
  u32 n_stats = 0;
};
struct ethtool_ringparam {
  u32 rx_max_pending = 0, tx_max_pending = 0;  ///< 0: the driver has no ring of its own
  u32 rx_pending = 0, tx_pending = 0;
};
struct ethtool_link_settings {
  u32 speed = ~u32{0};  ///< Mbit/s; ~0: unknown (SPEED_UNKNOWN)
  u8 duplex = 0xff;     ///< 0 half, 1 full, 0xff unknown
};

template <class Net>
struct ethtool_ops {
  void (*get_drvinfo)(Net&, net_device&, ethtool_drvinfo&) = nullptr;  ///< driver and version are filled in already
  bool (*get_link)(Net&, net_device&) = nullptr;                       ///< default: the carrier
  void (*get_ringparam)(Net&, net_device&, ethtool_ringparam&) = nullptr;
  result<void> (*set_ringparam)(Net&, net_device&, ethtool_ringparam const&) = nullptr;
  void (*get_link_ksettings)(Net&, net_device&, ethtool_link_settings&) = nullptr;
  std::span<char const* const> stats_strings{};                                ///< names of the driver's own counters
  void (*get_ethtool_stats)(Net&, net_device&, std::span<u64> out) = nullptr;  ///< as many as there are names
};

}  // namespace netstack
