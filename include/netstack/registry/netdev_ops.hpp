// SPDX-License-Identifier: BSL-1.0
// Decides: what a driver is. A driver is a module with
//   static constexpr char const* name;             "tap": in describe(), unique in the composition
//   struct params { … };                           what probe needs: interface name, peer, queue …
//   struct priv { … };                             its private area in each net_device (netdev_priv<Driver>(dev))
//   template <class Net> static result<void> probe(Net&, net_device&, params const&);   claims resources, fills the
//   device template <class Net> static void remove(Net&, net_device&);                          gives them back
//   template <class Net> static constexpr net_device_ops<Net> netdev_ops{ … };
// Each worker has its own net_device and priv (its own queue of the interface), so no driver needs a lock. [S70] [S75]
// Linux: include/linux/netdevice.h (struct net_device_ops)
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/skb/skb_list.hpp"
#include "netstack/wire/ethernet.hpp"

namespace netstack {

struct net_device;

/// ndo_start_xmit's answer. `ok`: the driver owns the skb now, and consumes it when the wire has it. `busy`: nothing
/// was taken, the core keeps the skb at the queue's head and tries again. [S76]
enum class netdev_tx : u8 { ok, busy };

/// With its link header: what a segment of a dialogue takes, and an acknowledgment.
inline constexpr u32 short_frame_max = 126;

/// As large as a power of two, so that a row is found by a shift.
template <class Net>
struct alignas(256) net_device_ops {
  result<void> (*ndo_open)(Net&, net_device&) = nullptr;                          ///< required
  void (*ndo_stop)(Net&, net_device&) = nullptr;                                  ///< required: nothing in flight after
  netdev_tx (*ndo_start_xmit)(Net&, net_device&, sk_buff&, bool more) = nullptr;  ///< required; more: a flush may wait
  /// Optional: ndo_start_xmit for frames from the front of a list, as many as there is room for; what stays in it was
  /// not taken. All are linear and finished, or left to the checksum offload that the device has. A decorator that has
  /// an ndo_start_xmit of its own sets it, or null.
  void (*ndo_xmit_list)(Net&, net_device&, skb_list& frames, bool more) = nullptr;
  /// Optional, for a driver with Ethernet frames and a place of its own for short ones (short_frame_max), which so need
  /// no packet: where the caller writes one of `len` bytes, or null: not now. Once it is written, and nothing was sent
  /// meanwhile, ndo_short_end sends it.
  u8* (*ndo_short_begin)(Net&, net_device&, u32 len) = nullptr;
  void (*ndo_short_end)(Net&, net_device&, bool more) = nullptr;
  /// The same function as ndo_start_xmit, if short frames may go past it. A decorator with an ndo_start_xmit of its own
  /// thereby gets all of them as packets.
  netdev_tx (*ndo_short_xmit)(Net&, net_device&, sk_buff&, bool more) = nullptr;
  u32 (*ndo_poll)(Net&, net_device&, u32 budget, skb_list& rx) = nullptr;  ///< required: up to budget frames
  /// The same function as ndo_poll, if it asks rx_flow_burst (core/rx_flow): its burst may begin with packets of a
  /// known flow. A decorator with an ndo_poll of its own thereby gets frames that nobody has looked at.
  u32 (*ndo_flow_poll)(Net&, net_device&, u32 budget, skb_list& rx) = nullptr;
  void (*ndo_xmit_flush)(Net&, net_device&) = nullptr;  ///< kicks what `more` held back
  u32 (*ndo_tx_complete)(Net&, net_device&) = nullptr;  ///< frees sent frames; how many
  int (*ndo_poll_fd)(Net&, net_device&) = nullptr;      ///< an fd that is readable when rx waits
  result<void> (*ndo_set_mac_address)(Net&, net_device&, mac_addr const&) = nullptr;
  void (*ndo_set_rx_mode)(Net&, net_device&) = nullptr;  ///< flags or multicast list changed
  result<void> (*ndo_change_mtu)(Net&, net_device&, u32 mtu) = nullptr;
  result<int> (*ndo_do_ioctl)(Net&, net_device&, u32 cmd, int arg) = nullptr;
  void (*ndo_poll_controller)(Net&, net_device&) = nullptr;
  /// Before a sleep: make poll_fd readable when rx comes from now on. True: rx waits already, do not sleep. [S78]
  bool (*ndo_arm)(Net&, net_device&) = nullptr;
  u16 (*ndo_select_queue)(Net&, net_device&, sk_buff&) = nullptr;  ///< of dev.real_num_tx_queues; default: by priority
                                                                   ///< map, else by flow hash
  /// A device with a clock: a received PTP event of this ptp_class, to be stamped by skb_set_hwtstamps. [S28]
  void (*ndo_rxtstamp)(Net&, net_device&, sk_buff&, u8 type) = nullptr;
  /// A copy of one that ndo_start_xmit gets next; skb_complete_tx_timestamp takes it once the time is known.
  void (*ndo_txtstamp)(Net&, net_device&, sk_buff& clone, u8 type) = nullptr;
};

}  // namespace netstack
