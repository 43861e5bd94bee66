// SPDX-License-Identifier: BSL-1.0
// Decides: what an interface is. One worker's slice of it: its own queues, NAPI, statistics and private area, so that
// nothing here is shared between threads. The driver's functions are a static row, Net::netdev_ops[dev.driver].
// A device belongs to exactly one namespace. [S70]
// Linux: include/linux/netdevice.h (struct net_device, struct netdev_queue, struct napi_struct)
#pragma once
#include <boost/intrusive/list.hpp>
#include <string_view>

#include "netstack/base/counter.hpp"
#include "netstack/skb/skb_list.hpp"
#include "netstack/wire/arp.hpp"

namespace netstack {

namespace iff {  // dev.flags, Linux's IFF_*
inline constexpr u32 up = 1u << 0, broadcast = 1u << 1, loopback = 1u << 3, pointopoint = 1u << 4, running = 1u << 6,
                     noarp = 1u << 7, promisc = 1u << 8, allmulti = 1u << 9, multicast = 1u << 12, lower_up = 1u << 16,
                     dormant = 1u << 17;
}
namespace netif_f {                         // dev.features, what the device does for us
inline constexpr u32 hw_csum = 1u << 0;     ///< finishes a partial checksum of any protocol
inline constexpr u32 rxcsum = 1u << 1;      ///< has checked what it receives
inline constexpr u32 gso = 1u << 2;         ///< cuts super-segments
inline constexpr u32 sg = 1u << 3;          ///< takes frames with frags
inline constexpr u32 hw_vlan_tx = 1u << 4;  ///< inserts skb.vlan_tci
inline constexpr u32 hw_vlan_rx = 1u << 5;  ///< takes the tag out of what it receives
inline constexpr u32 fraglist = 1u << 6;    ///< takes frames with a frag list
inline constexpr u32 gro = 1u << 7;         ///< received segments of a flow are merged (core/gro.hpp)
}  // namespace netif_f
namespace netdev_state {
inline constexpr u32 present = 1u << 0, nocarrier = 1u << 1, registered = 1u << 3, netns_local = 1u << 4,
                     dormant = 1u << 5;
}
/// RFC 2863 §3.1.14 ifOperStatus, Linux's IF_OPER_*.
enum class operstate : u8 { unknown, notpresent, down, lowerlayerdown, testing, dormant, up };

/// Linux's struct rtnl_link_stats64, as far as a software device can know it. [S164]
struct net_device_stats {
  counter rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast,
      collisions, rx_length_errors, rx_over_errors, rx_crc_errors, rx_frame_errors, rx_fifo_errors, rx_missed_errors,
      tx_aborted_errors, tx_carrier_errors, tx_fifo_errors, tx_heartbeat_errors, tx_window_errors, rx_nohandler;
};

namespace detail {
template <class Tag>
using device_hook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>,
                                                     boost::intrusive::link_mode<boost::intrusive::safe_link>>;
template <class T, class Tag>
using device_list = boost::intrusive::list<T, boost::intrusive::base_hook<device_hook<Tag>>>;
struct poll_list_tag;
struct napi_instances_tag;
struct dev_base_tag;
}  // namespace detail

/// Packets that a NAPI holds at once for their successors, Linux's MAX_GRO_SKBS.
inline constexpr u32 max_gro_skbs = 8;

/// A device's place in the poll list of softnet_data. [S65] [S66]
struct napi_struct : detail::device_hook<detail::poll_list_tag>, detail::device_hook<detail::napi_instances_tag> {
  static constexpr u8 sched = 1, disabled = 2;
  u8 state = disabled;
  u16 weight = 64;                    ///< frames a turn; 0: never polled (loopback)
  u8 gro_count = 0;                   ///< packets in gro_list; 0 outside of its turn [S67]
  u32 napi_id = 0;                    ///< what skb.napi_id says of the frames received here [S55]
  net_device* dev = nullptr;          ///< null: the backlog
  sk_buff* gro_list[max_gro_skbs]{};  ///< held for more segments of their flows, oldest first

  [[nodiscard]] bool scheduled() const { return (state & sched) != 0; }
  [[nodiscard]] bool on_poll_list() const { return detail::device_hook<detail::poll_list_tag>::is_linked(); }
  [[nodiscard]] bool is_instance() const { return detail::device_hook<detail::napi_instances_tag>::is_linked(); }
};
using napi_list = detail::device_list<napi_struct, detail::poll_list_tag>;
using napi_instance_list = detail::device_list<napi_struct, detail::napi_instances_tag>;

/// One transmit queue: the frames that the driver could not take yet, oldest first. [S47] [S76]
struct netdev_queue {
  net_device* dev = nullptr;
  u16 index = 0;
  bool stopped = false;    ///< by the driver: it is offered nothing until it wakes the queue
  bool requeued = false;   ///< the driver has refused the first frame before
  bool scheduled = false;  ///< on softnet_data's output queue
  netdev_queue* next_sched = nullptr;
  sk_buff_head qdisc;
};

inline constexpr std::size_t ifnamsiz = 16;
inline constexpr u16 max_tx_queues = 8;
inline constexpr u8 max_mc_addr = 32;

struct net_device : detail::device_hook<detail::dev_base_tag> {
  char name[ifnamsiz]{};
  u32 ifindex = 0;
  u32 flags = 0;  ///< iff::…; dev_get_flags() adds what follows from the state
  u32 state = 0;  ///< netdev_state::…
  u32 features = 0;
  u32 mtu = 1500;
  u8 driver = 0;      ///< row of Net::netdev_ops
  u8 netns = 0;       ///< index of the namespace that owns it
  u8 queue = 0;       ///< this slice's queue of the interface: the worker's number
  u8 rx_handler = 0;  ///< 0: none; else row + 1 of Net::rx_handlers
  u16 type = arphrd::ether;
  u16 hard_header_len = eth_hlen;
  u16 real_num_tx_queues = 1;
  u16 needed_headroom = 0;
  mac_addr dev_addr{};
  mac_addr broadcast{};
  u64 ptype_match = 0;  ///< bit i: packet type i is bound to this device by name
  u64 rps_cpus = 0;     ///< workers over which received flows are spread; 0: all stay here [S64]
  void* priv = nullptr;
  void* ip_ptr = nullptr;  ///< ipv4's in_device
  napi_struct napi;
  net_device_stats stats;
  netdev_queue tx[max_tx_queues];
  void* rx_handler_data = nullptr;
  net_device* next_flush = nullptr;
  bool flush_pending = false;  ///< on softnet_data's flush list

  // --- control ------------------------------------------------------------------------------------------------------
  bool unregistering = false;  ///< freed at the end of this poll
  u8 addr_assign_type = 0;
  netstack::operstate operstate = netstack::operstate::down;
  u32 min_mtu = 68;  ///< RFC 791: every internet module forwards 68 octets
  u32 max_mtu = 65535;
  u32 hw_features = 0;  ///< features that may be turned off and on
  /// Features that hold for a packet in a packet, too: those that need not know the inner headers, unless the driver
  /// says more. [S54]
  u32 hw_enc_features = netif_f::sg | netif_f::fraglist | netif_f::hw_vlan_tx;
  u32 tx_queue_len = 1000;  ///< frames waiting in each transmit queue
  u16 needed_tailroom = 0;
  u8 num_tc = 0;  ///< 0: transmit queue by flow hash; else by priority, through prio_tc_map
  u8 mc_count = 0;
  u8 prio_tc_map[16]{};  ///< transmit queue of each priority
  u32 gflags = 0;        ///< the modes that the user asked for, of those that several may want
  u32 promiscuity = 0;   ///< how many want promiscuous mode
  u32 allmulti = 0;
  u32 carrier_changes = 0;
  mac_addr perm_addr{};
  mac_addr mc_list[max_mc_addr]{};  ///< multicast filter, with references [S69]
  u16 mc_refs[max_mc_addr]{};
  net_device* next_todo = nullptr;

  net_device() {
    for (u16 i = 0; i < max_tx_queues; ++i) tx[i].dev = this, tx[i].index = i;
  }

  [[nodiscard]] std::string_view ifname() const { return name; }
  [[nodiscard]] bool running() const { return (flags & iff::up) != 0; }
  [[nodiscard]] bool carrier_ok() const { return (state & netdev_state::nocarrier) == 0; }
  [[nodiscard]] bool is_loopback() const { return (flags & iff::loopback) != 0; }
};
using net_device_list = detail::device_list<net_device, detail::dev_base_tag>;

/// The driver's own part of the device: `typename Driver::priv`, constructed by register_netdev before probe.
template <class Driver>
[[nodiscard]] auto& netdev_priv(net_device& dev) {
  return *static_cast<typename Driver::priv*>(dev.priv);
}
inline bool netif_running(net_device const& dev) { return dev.running(); }
inline bool netif_carrier_ok(net_device const& dev) { return dev.carrier_ok(); }

inline netdev_queue& netdev_get_tx_queue(net_device& dev, u16 index) { return dev.tx[index]; }
/// The driver has no room: until it wakes the queue it is offered nothing. [S76]
inline void netif_tx_stop_queue(netdev_queue& txq) { txq.stopped = true; }
inline void netif_stop_queue(net_device& dev) { netif_tx_stop_queue(dev.tx[0]); }
inline bool netif_queue_stopped(net_device const& dev) { return dev.tx[0].stopped; }

}  // namespace netstack
