// SPDX-License-Identifier: BSL-1.0
// Decides: what a program can ask about a device beyond its counters: who drives it, whether it has a link, how large
// its rings are, the driver's own statistics. What a driver does not say is answered as far as every device allows,
// else operation_not_supported. [S77]
// Linux: net/ethtool/ioctl.c
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/registry/ethtool_ops.hpp"

namespace netstack {

template <class Net>
ethtool_drvinfo ethtool_get_drvinfo(Net& net, net_device& dev) {
  auto const& ops = Net::ethtool_ops[dev.driver];
  ethtool_drvinfo info{.driver = Net::driver_names[dev.driver], .n_stats = static_cast<u32>(ops.stats_strings.size())};
  if (ops.get_drvinfo) ops.get_drvinfo(net, dev, info);
  return info;
}

/// Up, and with a link.
template <class Net>
bool ethtool_get_link(Net& net, net_device& dev) {
  auto const& ops = Net::ethtool_ops[dev.driver];
  return dev.running() && (ops.get_link ? ops.get_link(net, dev) : dev.carrier_ok());
}

template <class Net>
result<ethtool_ringparam> ethtool_get_ringparam(Net& net, net_device& dev) {
  auto const& ops = Net::ethtool_ops[dev.driver];
  if (!ops.get_ringparam) return failure{std::errc::operation_not_supported};
  ethtool_ringparam ring;
  ops.get_ringparam(net, dev, ring);
  return ring;
}
/// Errors: operation_not_supported, invalid_argument above the driver's maximum, the driver's.
template <class Net>
result<void> ethtool_set_ringparam(Net& net, net_device& dev, ethtool_ringparam const& wanted) {
  auto const& ops = Net::ethtool_ops[dev.driver];
  if (!ops.get_ringparam || !ops.set_ringparam) return failure{std::errc::operation_not_supported};
  ethtool_ringparam limits;
  ops.get_ringparam(net, dev, limits);
  if (wanted.rx_pending > limits.rx_max_pending || wanted.tx_pending > limits.tx_max_pending)
    return failure{std::errc::invalid_argument};
  return ops.set_ringparam(net, dev, wanted);
}

template <class Net>
result<ethtool_link_settings> ethtool_get_link_ksettings(Net& net, net_device& dev) {
  auto const& ops = Net::ethtool_ops[dev.driver];
  if (!ops.get_link_ksettings) return failure{std::errc::operation_not_supported};
  ethtool_link_settings settings;
  ops.get_link_ksettings(net, dev, settings);
  return settings;
}

/// The names of the driver's own counters; empty if it has none.
template <class Net>
std::span<char const* const> ethtool_get_strings(Net&, net_device& dev) {
  return Net::ethtool_ops[dev.driver].stats_strings;
}
/// Their values, in the same order. Error: invalid_argument (room for fewer than there are names).
template <class Net>
result<void> ethtool_get_stats(Net& net, net_device& dev, std::span<u64> out) {
  auto const& ops = Net::ethtool_ops[dev.driver];
  if (out.size() < ops.stats_strings.size()) return failure{std::errc::invalid_argument};
  if (ops.get_ethtool_stats) ops.get_ethtool_stats(net, dev, out.first(ops.stats_strings.size()));
  return {};
}

}  // namespace netstack
