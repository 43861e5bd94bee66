// SPDX-License-Identifier: BSL-1.0
// Decides: what an interface is. One worker's slice of it: its own queue, NAPI, statistics and private area, so that
// nothing here is shared between threads. The driver's functions are a static row, Net::netdev_ops[dev.driver].
// A device belongs to exactly one namespace. [S70] [S72]
// Linux: include/linux/netdevice.h (struct net_device)
#pragma once
#include <boost/intrusive/list.hpp>
#include <string_view>

#include "netstack/base/counter.hpp"
#include "netstack/skb/skb_list.hpp"
#include "netstack/wire/arp.hpp"

namespace netstack {

namespace iff {  // dev.flags, Linux's IFF_*
inline constexpr u32 up = 1u << 0, broadcast = 1u << 1, loopback = 1u << 3, pointopoint = 1u << 4, running = 1u << 6,
                     noarp = 1u << 7, promisc = 1u << 8, allmulti = 1u << 9, multicast = 1u << 12;
}
namespace netif_f {  // dev.features, what the device does for us
inline constexpr u32 hw_csum = 1u << 0, rxcsum = 1u << 1, gso = 1u << 2, sg = 1u << 3;
}
namespace netdev_state {
inline constexpr u32 present = 1u << 0, nocarrier = 1u << 1, xoff = 1u << 2, registered = 1u << 3,
                     netns_local = 1u << 4;
}

/// Linux's struct rtnl_link_stats64, as far as a software device can know it. [S164]
struct net_device_stats {
  counter rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast,
      collisions, rx_length_errors, rx_over_errors, rx_crc_errors, rx_frame_errors, rx_fifo_errors, rx_missed_errors,
      tx_aborted_errors, tx_carrier_errors, tx_fifo_errors, tx_heartbeat_errors, tx_window_errors, rx_nohandler;
};

/// A device's place in the poll list of softnet_data. [S65] [S66]
struct napi_struct : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>> {
  static constexpr u8 sched = 1, disabled = 2, missed = 4;
  u8 state = disabled;
  u16 weight = 64;
  u32 napi_id = 0;
  net_device* dev = nullptr;  ///< null: the backlog
};

inline constexpr std::size_t ifnamsiz = 16;

struct net_device : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>> {
  char name[ifnamsiz]{};
  u32 ifindex = 0;
  u32 flags = 0;
  u32 state = 0;
  u32 features = 0;
  u32 mtu = 1500;
  u32 min_mtu = 68;  ///< RFC 791: every internet module forwards 68 octets
  u32 max_mtu = 65535;
  u16 type = arphrd::ether;
  u16 hard_header_len = eth_hlen;
  u16 needed_headroom = 0;
  u16 needed_tailroom = 0;
  u8 driver = 0;  ///< row of Net::netdev_ops
  u8 netns = 0;   ///< index of the namespace that owns it
  u8 queue = 0;   ///< this slice's queue number: the worker's number
  u8 addr_assign_type = 0;
  u32 tx_queue_len = 1000;
  u64 ptype_match = 0;  ///< bit i: packet type i is bound to this device by name
  mac_addr dev_addr{};
  mac_addr perm_addr{};
  mac_addr broadcast{};
  mac_addr mc_list[16]{};  ///< multicast filter, reference-counted [S69]
  u8 mc_refs[16]{};
  u8 mc_count = 0;
  net_device_stats stats;
  napi_struct napi;
  sk_buff_head qdisc;  ///< frames the driver could not take yet, oldest first
  bool in_output_queue = false;
  net_device* next_output = nullptr;
  void* ip_ptr = nullptr;  ///< ipv4's in_device
  void* priv = nullptr;

  [[nodiscard]] std::string_view ifname() const { return name; }
  [[nodiscard]] bool running() const { return (flags & iff::up) != 0; }
  [[nodiscard]] bool carrier_ok() const { return (state & netdev_state::nocarrier) == 0; }
  [[nodiscard]] bool is_loopback() const { return (flags & iff::loopback) != 0; }
};

/// The driver's own part of the device: `typename Driver::priv`, constructed by register_netdev before probe.
template <class Driver>
[[nodiscard]] auto& netdev_priv(net_device& dev) {
  return *static_cast<typename Driver::priv*>(dev.priv);
}
inline bool netif_running(net_device const& dev) { return dev.running(); }
inline bool netif_carrier_ok(net_device const& dev) { return dev.carrier_ok(); }
inline void netif_stop_queue(net_device& dev) { dev.state |= netdev_state::xoff; }
inline bool netif_queue_stopped(net_device const& dev) { return (dev.state & netdev_state::xoff) != 0; }

}  // namespace netstack
