// SPDX-License-Identifier: BSL-1.0
// Decides: how a stack uses what libpcap opens: one of Linux's interfaces, beside Linux, without claiming anything; or
// a capture file (pcap or pcapng), whose frames arrive at the speed of their recording or as fast as they are taken,
// while what the stack answers goes into another file. A replay runs by the worker's clock, so under a virtual one it
// is exact.
//   register_netdev<drivers::pcap>(net, "eth0", {.ifname = "enp1s0", .filter = "arp or icmp"});
//   register_netdev<drivers::pcap>(net, "eth0", {.file = "in.pcapng", .dump = "out.pcap"});
// One device, of worker 0; several workers share its frames by RPS. Needs libpcap (CMake: netstack::pcap).
// docs/drivers.md
// rx: called by core/napi → link/eth or link/ip → netif_receive_skb_list; tx: called by core/dev_output
#pragma once
#include <tuple>

#include "netstack/core/netdev.hpp"
#include "netstack/core/sock_mem.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/drivers/detail/capture_file.hpp"
#include "netstack/drivers/detail/linux_if.hpp"
#include "netstack/drivers/detail/pcap_handle.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/link/ip.hpp"
#include "netstack/registry/ethtool_ops.hpp"
#include "netstack/skb/skb_frags.hpp"

namespace netstack::drivers {

struct pcap : driver {
  static constexpr char const* name = "pcap";
  static constexpr bool exclusive = false;  ///< any number of programs may listen
  struct params {
    char ifname[ifnamsiz]{};       ///< live: Linux's name of the interface
    char const* file = nullptr;    ///< offline: what to replay; the texts here are read by probe only
    char const* dump = nullptr;    ///< offline: where to keep what the stack sends, as pcap or .pcapng; null: nowhere
    char const* filter = nullptr;  ///< pcap-filter(7): which frames are taken
    pcap_direction direction = pcap_direction::in;
    pcap_speed speed = pcap_speed::recorded;
    mac_addr mac{};                ///< ours; zero: the interface's own, offline 02:00:00:00:00:01
    bool trust_checksums = false;  ///< take received checksums for checked (docs/drivers.md: veth)
    u32 snaplen = 0;               ///< longest frame of an interface; 0: its MTU and a tagged header
    u32 buffer_bytes = 8u << 20;   ///< of the kernel, for frames that wait
  };
  struct priv {
    detail::pcap_handle handle;
    detail::linux_if interface;
    detail::capture_file dump;
    bool live = false, trust_checksums = false, full_speed = false;
    u64 recorded_start = 0, replay_start = 0;  ///< the same moment on both clocks
    u64 lost = 0;
    u64 next_look = 0;  ///< at the link and the counters
    timer_list due;     ///< ends a sleep when the next recorded frame is due
  };

  template <class Net>
  static result<void> open(Net& net, net_device& dev);
  template <class Net>
  static void stop(Net& net, net_device& dev) {
    auto& p = netdev_priv<pcap>(dev);
    net.worker().timers.del_timer(p.due);
    p.dump.flush();
  }
  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool) {
    auto& p = netdev_priv<pcap>(dev);
    if (p.live && !p.handle.inject(skb) && must_wait(dev)) return netdev_tx::busy;
    p.dump.add(net.worker().now_real, skb);
    consume_skb(skb);
    return netdev_tx::ok;
  }
  /// What the kernel did not take: true if it will later, else it is counted.
  static bool must_wait(net_device& dev) {
    if (errno == EAGAIN || errno == ENOBUFS) return true;
    ++dev.stats.tx_errors;
    return false;
  }
  template <class Net>
  static void xmit_list(Net& net, net_device& dev, skb_list& frames, bool) {
    auto& p = netdev_priv<pcap>(dev);
    while (!frames.empty()) {
      u32 n = p.live ? p.handle.inject(frames) : frames.count;
      if (n == 0) {
        if (must_wait(dev)) return;
        n = 1;
      }
      sk_buff* last = frames.first;
      for (u32 i = 1; i < n; ++i) last = last->next;
      skb_list done = frames.cut_front(*last, n);
      for (sk_buff& skb : done) p.dump.add(net.worker().now_real, skb);
      consume_sent_list(net.worker().pool, done);
    }
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    if (budget == 0) return 0;
    return netdev_priv<pcap>(dev).live ? poll_live(net, dev, budget, rx) : poll_file(net, dev, budget, rx);
  }
  template <class Net>
  static int poll_fd(Net&, net_device& dev) {
    auto& p = netdev_priv<pcap>(dev);
    return p.live ? p.handle.fd() : -1;
  }
  template <class Net>
  static bool arm(Net& net, net_device& dev) {
    auto& p = netdev_priv<pcap>(dev);
    return !p.live && p.handle.more() && is_due(net, p);
  }
  template <class Net>
  static void set_rx_mode(Net&, net_device& dev) {
    auto& p = netdev_priv<pcap>(dev);
    if (p.live) p.interface.set_rx_mode(dev, dev.dev_addr);
  }
  template <class Net>
  static result<void> set_mac_address(Net&, net_device& dev, mac_addr const& mac) {
    auto& p = netdev_priv<pcap>(dev);
    if (p.live) p.interface.set_rx_mode(dev, mac);
    return {};
  }

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>,
      .ndo_stop = stop<Net>,
      .ndo_start_xmit = xmit<Net>,
      .ndo_xmit_list = xmit_list<Net>,
      .ndo_poll = poll<Net>,
      .ndo_poll_fd = poll_fd<Net>,
      .ndo_set_mac_address = set_mac_address<Net>,
      .ndo_set_rx_mode = set_rx_mode<Net>,
      .ndo_arm = arm<Net>,
  };
  static constexpr std::array<char const*, 3> stats_names{"kernel_dropped", "dump_records", "dump_lost"};
  template <class Net>
  static void get_stats(Net&, net_device& dev, std::span<u64> out) {
    auto& p = netdev_priv<pcap>(dev);
    out[0] = p.live ? p.handle.lost() : 0;
    std::tie(out[1], out[2]) = p.dump.counts();
  }
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool{.stats_strings = stats_names, .get_ethtool_stats = get_stats<Net>};

  /// Errors: see explain().
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& args);
  template <class Net>
  static void remove(Net&, net_device& dev) {
    auto& p = netdev_priv<pcap>(dev);
    p.handle.close();
    p.dump.close();
    p.interface.close();
  }

  /// Offline: the file's last frame has been received.
  static bool finished(net_device& dev) {
    auto const& p = netdev_priv<pcap>(dev);
    return !p.live && !p.handle.more();
  }
  /// Live: Linux's interface was deleted, or went to another namespace.
  static bool gone(net_device& dev) {
    auto const& p = netdev_priv<pcap>(dev);
    return p.live && p.interface.gone();
  }
  /// Frames that are in `dump`, and that could not be written; exact while the device is down.
  static std::pair<u64, u64> dump_counts(net_device& dev) { return netdev_priv<pcap>(dev).dump.counts(); }
  /// One line for a person: what a failed register_netdev means, and what to do.
  static constexpr std::string_view explain(std::errc why);

 private:
  static result<void> probe_live(net_device& dev, params const& args);
  static result<void> probe_file(net_device& dev, params const& args);
  template <class Net>
  static u32 poll_live(Net& net, net_device& dev, u32 budget, skb_list& rx);
  template <class Net>
  static u32 poll_file(Net& net, net_device& dev, u32 budget, skb_list& rx);
  static void deliver(skb_pool& pool, net_device& dev, ::pcap_pkthdr const& header, u8 const* bytes, skb_list& rx);
  /// Clocks of recorders may have been set back: such a frame is due at once.
  template <class Net>
  static bool is_due(Net& net, priv const& p) {
    auto const after = static_cast<s64>(detail::pcap_handle::time_of(p.handle.header()) - p.recorded_start);
    return p.full_speed || after <= static_cast<s64>(net.worker().now - p.replay_start);
  }
};

constexpr std::string_view pcap::explain(std::errc why) {
  switch (why) {
    case std::errc::no_such_device: return "there is no such interface here: see `ip link`";
    case std::errc::operation_not_permitted:
    case std::errc::permission_denied:
      return "CAP_NET_RAW is needed for an interface, and the right to read for a file";
    case std::errc::network_down: return "the interface is down: `ip link set dev IFACE up`";
    case std::errc::invalid_argument:
      return "the filter is not one (see pcap-filter(7)), or neither an interface nor a file, or both, are named";
    case std::errc::no_such_file_or_directory: return "there is no such file";
    case std::errc::no_space_on_device: return "there is no room for the file of what is sent";
    case std::errc::bad_message: return "this is not a capture file that libpcap reads";
    case std::errc::operation_not_supported: return "frames of this link type are neither Ethernet nor bare IP";
    default: return "libpcap refused it";
  }
}

/// A received frame as a packet, over as many pool frames as it takes.
inline void pcap::deliver(skb_pool& pool, net_device& dev, ::pcap_pkthdr const& header, u8 const* bytes, skb_list& rx) {
  auto& p = netdev_priv<pcap>(dev);
  if (header.caplen != header.len || header.len == 0) {  // cut off when it was captured
    ++dev.stats.rx_over_errors;
    ++dev.stats.rx_errors;
    return;
  }
  u32 const linear = std::min<u32>(header.len, pool.frame_size() - pool.rx_headroom());
  sk_buff* skb = alloc_skb_with_frags(pool, pool.rx_headroom(), linear, header.len - linear);
  if (!skb || !skb_store_bits(*skb, 0, bytes, header.len)) {
    if (skb) consume_skb(*skb);
    ++dev.stats.rx_missed_errors;
    return;
  }
  skb->tstamp = detail::pcap_handle::time_of(header);
  if (p.trust_checksums) skb->ip_summed = ip_summed::unnecessary;
  ++dev.stats.rx_packets;
  dev.stats.rx_bytes += header.len;
  dev.type == arphrd::ether ? eth_type_trans(*skb, dev) : ip_type_trans(*skb, dev);
  rx.push_back(*skb);
}

template <class Net>
u32 pcap::poll_live(Net& net, net_device& dev, u32 budget, skb_list& rx) {
  auto& p = netdev_priv<pcap>(dev);
  if (net.worker().now >= p.next_look) {
    p.next_look = net.worker().now + 100'000'000;
    detail::follow_link(net, dev, p.interface);
    u64 const lost = p.handle.lost();
    dev.stats.rx_fifo_errors += lost - std::exchange(p.lost, lost);
  }
  auto& pool = net.worker().pool;
  // With an empty pool the frames stay with the kernel: back-pressure, not loss.
  u32 const most = std::min(budget, pool.available());
  if (most == 0) return 0;
  return p.handle.dispatch(
      most, [&](::pcap_pkthdr const& header, u8 const* bytes) { deliver(pool, dev, header, bytes, rx); });
}

template <class Net>
u32 pcap::poll_file(Net& net, net_device& dev, u32 budget, skb_list& rx) {
  auto& p = netdev_priv<pcap>(dev);
  auto& pool = net.worker().pool;
  u32 done = 0;
  for (; done < budget && p.handle.more() && is_due(net, p) && pool.available() != 0; ++done) {
    deliver(pool, dev, p.handle.header(), p.handle.bytes(), rx);
    p.handle.read_ahead();
  }
  if (p.handle.more() && !is_due(net, p) && !timer_pending(p.due))
    net.worker().timers.add_timer(p.due,
                                  p.replay_start + detail::pcap_handle::time_of(p.handle.header()) - p.recorded_start);
  return done;
}

template <class Net>
result<void> pcap::open(Net& net, net_device& dev) {
  auto& p = netdev_priv<pcap>(dev);
  if (p.live) {
    while (p.handle.dispatch(256, [](::pcap_pkthdr const&, u8 const*) {}) != 0) {  // came while it was down
    }
    p.next_look = 0;
    detail::follow_link(net, dev, p.interface);
    return {};
  }
  if (p.handle.more()) p.recorded_start = detail::pcap_handle::time_of(p.handle.header());
  p.replay_start = net.worker().now;
  p.due.function = [](void*, timer_list&) {};  // the poll that fires it delivers
  return {};
}

inline result<void> pcap::probe_live(net_device& dev, params const& args) {
  auto& p = netdev_priv<pcap>(dev);
  if (auto r = p.interface.open(args.ifname); !r) return r;
  u32 const mtu = p.interface.mtu();
  detail::pcap_setup const setup{.filter = args.filter,
                                 .direction = args.direction,
                                 .snaplen = args.snaplen ? args.snaplen : mtu + static_cast<u32>(vlan_eth_hlen),
                                 .buffer_bytes = args.buffer_bytes};
  if (auto r = p.handle.open_live(args.ifname, setup); !r) return r;
  p.live = true;
  dev.max_mtu = mtu;
  (void)p.interface.address(dev.dev_addr);
  return {};
}

inline result<void> pcap::probe_file(net_device& dev, params const& args) {
  auto& p = netdev_priv<pcap>(dev);
  if (auto r = p.handle.open_file(args.file, args.filter); !r) return r;
  p.full_speed = args.speed == pcap_speed::full;
  dev.max_mtu = 65535;
  dev.dev_addr = {{0x02, 0, 0, 0, 0, 1}};
  return {};
}

template <class Net>
result<void> pcap::probe(Net& net, net_device& dev, params const& args) {
  auto& p = netdev_priv<pcap>(dev);
  auto const give_up = [&](std::errc why) {
    remove(net, dev);
    return failure{why};
  };
  if (dev.queue != 0) return failure{std::errc::no_such_device};
  if ((args.ifname[0] != '\0') == (args.file != nullptr)) return failure{std::errc::invalid_argument};
  if (auto r = args.file ? probe_file(dev, args) : probe_live(dev, args); !r) return give_up(r.error());
  int const link = p.handle.link_type();
  bool const ether = link == DLT_EN10MB, bare = link == DLT_RAW || link == DLT_IPV4 || link == DLT_IPV6;
  if (!ether && !bare) return give_up(std::errc::operation_not_supported);
  u32 const max_mtu = dev.max_mtu;
  mac_addr const mac = args.mac.is_zero() ? dev.dev_addr : args.mac;
  ether ? ether_setup(dev) : ip_link_setup(dev);
  if (ether) dev.dev_addr = mac;
  auto const& pool = net.worker().pool;
  u32 const capacity = pool.frame_size() - pool.rx_headroom() + max_skb_frags * pool.frame_size();
  dev.max_mtu = std::min(max_mtu, capacity - static_cast<u32>(vlan_eth_hlen));
  if (p.live) dev.mtu = dev.max_mtu;
  dev.features = netif_f::sg | (args.trust_checksums ? netif_f::rxcsum : 0);
  p.trust_checksums = args.trust_checksums;
  if (!args.dump) return {};
  if (auto r = p.dump.open(args.dump, ether); !r) return give_up(r.error());
  return {};
}

}  // namespace netstack::drivers
