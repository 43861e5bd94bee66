// SPDX-License-Identifier: BSL-1.0
// Decides: what TAP and TUN have in common as drivers: parameters, claim and release, the ops. Ethernet: frames with a
// link header (TAP); else bare IP packets (TUN). [S74] [S75] [S77] [S79]
// rx: called by core/napi → link/eth or link/ip → netif_receive_skb_list; tx: called by core/dev_output
// Linux: drivers/net/tun.c
#pragma once
#include "netstack/core/link_watch.hpp"
#include "netstack/core/netdev.hpp"
#include "netstack/core/sock_mem.hpp"
#include "netstack/drivers/detail/tun_queue.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/link/ip.hpp"
#include "netstack/registry/ethtool_ops.hpp"

namespace netstack::drivers::detail {

template <bool Ethernet>
struct tuntap : driver {
  struct params {
    char ifname[ifnamsiz]{};   ///< Linux's name of the interface, made if there is none; empty: the kernel chooses
    mac_addr mac{};            ///< ours (TAP only); zero: made from the name and the seed
    bool vnet_hdr = true;      ///< checksums and segmentation may be left to the other side
    bool multi_queue = false;  ///< one queue for each worker; every program that attaches must ask for it
    bool tso = false;          ///< the kernel may hand over super-segments of up to 64 KiB
    bool bring_up = false;     ///< Linux's end, too
    u32 linux_mtu = 0;         ///< of Linux's end; 0: as it is
  };
  struct priv {
    tun_queue queue;
    u32 rx_max = 0;  ///< the longest frame that is taken
    bool tso = false;
  };

  template <class Net>
  static result<void> open(Net& net, net_device& dev) {
    auto& p = netdev_priv<tuntap>(dev);
    if (p.queue.multi_queue) p.queue.file.set_attached(true);
    p.queue.gone = false;  // poll() finds out
    p.queue.file.drain();  // what came while it was down was for nobody
    set_rx_max(net, dev, dev.mtu);
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device& dev) {
    auto& p = netdev_priv<tuntap>(dev);
    if (p.queue.multi_queue) p.queue.file.set_attached(false);
  }

  /// Writes the frame; false: it has to wait. What Linux refuses is counted.
  static bool write(net_device& dev, sk_buff& skb) {
    auto const answer = netdev_priv<tuntap>(dev).queue.send(skb);
    dev.stats.tx_errors += answer == tun_queue::sent::failed;
    return answer != tun_queue::sent::busy;
  }
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    if (!write(dev, skb)) return netdev_tx::busy;
    consume_skb(skb);
    return netdev_tx::ok;
  }

  /// Frames are freed after all were written: each write evicts what the next free would touch.
  template <class Net>
  static void xmit_list(Net& net, net_device& dev, skb_list& frames, bool) {
    sk_buff* last = nullptr;
    u32 n = 0;
    for (sk_buff& skb : frames) {
      if (!write(dev, skb)) break;
      last = &skb;
      ++n;
    }
    if (n == 0) return;
    skb_list done = frames.cut_front(*last, n);
    consume_sent_list(net.worker().pool, done);
  }

  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& p = netdev_priv<tuntap>(dev);
    if (p.queue.gone) [[unlikely]]
      return 0;
    auto& pool = net.worker().pool;
    u32 n = 0;
    for (; n < budget; ++n) {
      sk_buff* skb = p.queue.receive(pool, dev, p.rx_max);
      if (!skb) {
        if (p.queue.gone) [[unlikely]]
          lose_interface(net, dev);
        break;
      }
      ++dev.stats.rx_packets;
      dev.stats.rx_bytes += skb->len;
      if constexpr (Ethernet)
        eth_type_trans(*skb, dev);
      else
        ip_type_trans(*skb, dev);
      rx.push_back(*skb);
    }
    return n;
  }
  template <class Net>
  static int poll_fd(Net&, net_device& dev) {
    auto& queue = netdev_priv<tuntap>(dev).queue;
    return queue.gone ? -1 : queue.file.fd();
  }
  template <class Net>
  static result<void> set_mac_address(Net&, net_device&, mac_addr const&) {
    return {};
  }
  template <class Net>
  static result<void> change_mtu(Net& net, net_device& dev, u32 mtu) {
    set_rx_max(net, dev, mtu);
    return {};
  }
  template <class Net>
  static void get_drvinfo(Net&, net_device& dev, ethtool_drvinfo& info) {
    auto const name = netdev_priv<tuntap>(dev).queue.file.ifname();
    std::copy(name.begin(), name.end(), info.bus_info);
  }

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>,
      .ndo_stop = stop<Net>,
      .ndo_start_xmit = xmit<Net>,
      .ndo_xmit_list = xmit_list<Net>,
      .ndo_poll = poll<Net>,
      .ndo_poll_fd = poll_fd<Net>,
      .ndo_set_mac_address = Ethernet ? set_mac_address<Net> : nullptr,
      .ndo_change_mtu = change_mtu<Net>,
  };
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool{.get_drvinfo = get_drvinfo<Net>};

  /// Errors: see explain().
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& args) {
    auto& p = netdev_priv<tuntap>(dev);
    u32 const capacity = tun_queue::capacity(net.worker().pool);
    if (args.tso && (!args.vnet_hdr || capacity <= super_max)) return failure{std::errc::invalid_argument};
    int const flags = (Ethernet ? tun_abi::iff_tap : tun_abi::iff_tun) | (args.vnet_hdr ? tun_abi::iff_vnet_hdr : 0) |
                      (args.multi_queue ? tun_abi::iff_multi_queue : 0);
    if (auto r = p.queue.file.open(args.ifname, flags); !r) return r;
    p.queue.vnet_hdr = args.vnet_hdr;
    p.queue.multi_queue = args.multi_queue;
    p.tso = args.tso;
    unsigned const offloads = tun_abi::tun_f_csum | (args.tso ? tso_offloads : 0);
    result<void> r = args.vnet_hdr ? p.queue.file.set_offload(offloads) : result<void>{};
    if (r && (args.bring_up || args.linux_mtu != 0))
      r = p.queue.file.configure_linux_side(args.bring_up, args.linux_mtu);
    if (!r) {
      p.queue.file.close();
      return r;
    }
    setup(net, dev, args, capacity);
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device& dev) {
    netdev_priv<tuntap>(dev).queue.file.close();
  }

  /// Linux's name of the interface, for a program that let the kernel choose.
  static std::string_view ifname(net_device& dev) { return netdev_priv<tuntap>(dev).queue.file.ifname(); }
  /// One line for a person: what a failed register_netdev means, and what to do.
  static constexpr std::string_view explain(std::errc why) { return explain_tun(why); }

 private:
  static constexpr unsigned tso_offloads = tun_abi::tun_f_tso4 | tun_abi::tun_f_tso6 | tun_abi::tun_f_tso_ecn;
  static constexpr u32 super_max = 65535 + vlan_eth_hlen;

  /// Linux's interface was deleted under us: the device stays, without a carrier, and its fd wakes nobody any more.
  template <class Net>
  static void lose_interface(Net& net, net_device& dev) {
    ++dev.stats.rx_errors;
    net.worker().sleeper.unwatch(netdev_priv<tuntap>(dev).queue.file.fd());
    netif_carrier_off(net, dev);
  }

  template <class Net>
  static void set_rx_max(Net& net, net_device& dev, u32 mtu) {
    auto& p = netdev_priv<tuntap>(dev);
    u32 const longest = p.tso ? super_max : mtu + dev.hard_header_len + u32{Ethernet ? vlan_hlen : 0};
    p.rx_max = std::min(longest, tun_queue::capacity(net.worker().pool) - 1);
  }

  template <class Net>
  static void setup(Net& net, net_device& dev, params const& args, u32 capacity) {
    if constexpr (Ethernet) {
      ether_setup(dev);
      dev.dev_addr = args.mac.is_zero() ? made_up_mac(net, dev) : args.mac;
      dev.addr_assign_type = args.mac.is_zero();
      capacity -= static_cast<u32>(vlan_eth_hlen);
    } else {
      ip_link_setup(dev);
    }
    dev.max_mtu = std::min<u32>(65535 - dev.hard_header_len, capacity - 1);
    dev.features = args.vnet_hdr ? netif_f::hw_csum | netif_f::rxcsum | netif_f::sg | netif_f::gso : netif_f::sg;
  }

  /// The same in every worker's slice.
  template <class Net>
  static mac_addr made_up_mac(Net& net, net_device& dev) {
    auto const name = netdev_priv<tuntap>(dev).queue.file.ifname();
    u64 const hash = siphash(name.data(), name.size(), net.worker().softnet.hash_key);
    mac_addr mac{{0x02}};
    std::memcpy(mac.bytes.data() + 1, &hash, eth_alen - 1);
    return mac;
  }
};

}  // namespace netstack::drivers::detail
