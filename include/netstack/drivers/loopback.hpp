// SPDX-License-Identifier: BSL-1.0
// Decides: how a namespace talks to itself. lo is always composed, made with each namespace before anything else of it,
// and gets ifindex 1; its frames go to the worker's backlog and never meet a driver's wire. [S5] [S68]
// tx: called by core/dev_output → calls core/backlog netif_rx; rx: process_backlog
// Linux: drivers/net/loopback.c
#pragma once
#include "netstack/core/netdev.hpp"
#include "netstack/core/skb_transfer.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/registry/netdev_ops.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack::drivers {

template <class Net>
result<void> loopback_open(Net&, net_device&) {
  return {};
}
template <class Net>
void loopback_stop(Net&, net_device&) {}

/// The frame itself goes round.
template <class Net>
netdev_tx loopback_xmit(Net& net, net_device& dev, sk_buff& skb, bool) {
  skb_scrub_packet(skb);
  u32 const len = skb.len;
  eth_type_trans(skb, dev);
  // Nothing can damage it on the way: a checksum still to be finished is as good as a checked one.
  if (skb.ip_summed != ip_summed::partial) skb.ip_summed = ip_summed::unnecessary;
  if (netif_rx(net, skb)) {
    ++dev.stats.rx_packets;
    dev.stats.rx_bytes += len;
  }
  return netdev_tx::ok;
}
template <class Net>
u32 loopback_poll(Net&, net_device&, u32, skb_list&) {
  return 0;  // the backlog delivers
}

/// Same-host traffic needs lo to be up; as in Linux, it is down until somebody says so. [S5]
template <class Net>
result<void> loopback_up(Net& net) {
  return dev_open(net, *net.loopback_dev);
}

struct loopback : driver {
  static constexpr char const* name = "loopback";
  struct params {};
  struct priv {};

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = loopback_open<Net>,
      .ndo_stop = loopback_stop<Net>,
      .ndo_start_xmit = loopback_xmit<Net>,
      .ndo_poll = loopback_poll<Net>,
  };

  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const&) {
    dev.type = arphrd::loopback;
    dev.flags = iff::loopback;
    dev.hard_header_len = eth_hlen;
    dev.mtu = 65536;
    dev.max_mtu = 65536;
    dev.state |= netdev_state::netns_local;
    dev.napi.weight = 0;  // the backlog delivers
    dev.features = netif_f::hw_csum | netif_f::rxcsum | netif_f::sg | netif_f::gso;
    dev.hw_enc_features = dev.features;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}

  template <class Net>
  static result<void> net_init(Net& net) {
    net.next_ifindex = 1;
    auto dev = register_netdev<loopback>(net, "lo", {});
    if (!dev) return failure{dev.error()};
    net.loopback_dev = *dev;
    return {};
  }
  template <class Net>
  static void net_exit(Net& net) {
    if (net.loopback_dev) unregister_netdev(net, *net.loopback_dev);
    net.loopback_dev = nullptr;
  }
  template <class Net>
  static constexpr std::array pernet_ops{
      pernet_operations<Net>{.name = "loopback_net_ops", .init = net_init<Net>, .exit = net_exit<Net>, .device = true},
  };
};

}  // namespace netstack::drivers
