// SPDX-License-Identifier: BSL-1.0
// Decides: when a short frame leaves without ever being a packet: its sender writes it where the driver wants it. Only
// while nothing stands between the two: no tap, no frame that waits, no queue to be chosen. Whoever gets no place for
// it sends a packet (dev_queue_xmit).
// tx: called by ipv4/ip_way and tcp/tcp_v4_xmit → calls Net::netdev_ops[dev.driver].ndo_short_begin, ndo_short_end
// Linux: none (its nearest: what drivers copy into their descriptors, mlx5's inline sends)
#pragma once
#include <array>

#include "netstack/core/dev_output.hpp"

namespace netstack {

namespace detail {
/// By row of netdev_ops: the driver has a place for short frames, and nothing decorates it.
template <class Net>
constexpr auto short_frame_drivers = [] {
  std::array<bool, Net::netdev_ops.size()> may{};
  for (std::size_t i = 0; i < may.size(); ++i) {
    auto const& ops = Net::netdev_ops[i];
    may[i] = ops.ndo_short_begin && ops.ndo_short_end && ops.ndo_short_xmit == ops.ndo_start_xmit;
  }
  return may;
}();
template <class Net>
constexpr bool short_frames_possible = [] {
  for (bool const may : short_frame_drivers<Net>)
    if (may) return true;
  return false;
}();
/// The only such row, or none or several: then the number of rows.
template <class Net>
constexpr std::size_t short_frame_row = [] {
  constexpr auto& may = short_frame_drivers<Net>;
  std::size_t row = may.size();
  for (std::size_t i = 0; i < may.size(); ++i)
    if (may[i]) row = row == may.size() ? i : may.size() + 1;
  return std::min(row, may.size());
}();
/// The row of a device that dev_takes_short was asked of: where there is but one, its functions are known.
template <class Net>
[[nodiscard]] NETSTACK_INLINE auto const& short_ops(net_device const& dev) {
  constexpr std::size_t row = short_frame_row<Net>;
  return Net::netdev_ops[row < Net::netdev_ops.size() ? row : dev.driver];
}
}  // namespace detail

/// The device's driver may have a place for short frames.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool dev_takes_short(net_device const& dev) {
  return detail::short_frame_drivers<Net>[dev.driver];
}
/// dev_short_begin by a way that is free.
template <class Net>
[[nodiscard]] NETSTACK_INLINE u8* dev_short_place(Net& net, net_device& dev, u32 len) {
  if (len > short_frame_max) [[unlikely]]
    return nullptr;
  u8* const at = detail::short_ops<Net>(dev).ndo_short_begin(net, dev, len);
  if (at) [[likely]] {
    ++dev.stats.tx_packets;
    dev.stats.tx_bytes += len;
  }
  return at;
}
/// Where to write an Ethernet frame of `len` bytes, finished, which dev_short_end sends; null: it goes as a packet.
/// dev_takes_short was asked.
template <class Net>
[[nodiscard]] u8* dev_short_begin(Net& net, net_device& dev, u32 len) {
  return detail::xmit_way_is_free(net, dev) ? dev_short_place(net, dev, len) : nullptr;
}
template <class Net>
NETSTACK_INLINE void dev_short_end(Net& net, net_device& dev) {
  auto const& ops = detail::short_ops<Net>(dev);
  bool const later = ops.ndo_xmit_flush && net.worker().softnet.in_softirq;
  if (later && !dev.flush_pending) detail::xmit_flush(net, dev);
  ops.ndo_short_end(net, dev, later);
}

}  // namespace netstack
