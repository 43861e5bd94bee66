// SPDX-License-Identifier: BSL-1.0
// Decides: for whom an Ethernet frame is and what it carries, and how one is addressed. [S56] [S57]
// rx: called by a driver's ndo_poll for each frame → the burst goes to core/dev_input netif_receive_skb
// tx: called by core/neighbour → core/dev_output dev_queue_xmit
// Linux: net/ethernet/eth.c; IEEE 802.3 §3.2.6 (length/type)
#pragma once
#include "netstack/core/dev_addr_lists.hpp"
#include "netstack/wire/eth_p.hpp"

namespace netstack {

namespace detail {

/// Of a frame that is not addressed to the device alone.
NETSTACK_COLD inline pkt_type eth_pkt_type(net_device& dev, mac_addr const& dest) {
  if (dest == dev.broadcast) return pkt_type::broadcast;
  if (!dest.is_multicast() || !dev_mc_accepts(dev, dest)) return pkt_type::otherhost;
  ++dev.stats.multicast;
  return pkt_type::multicast;
}

}  // namespace detail

/// Sets skb.dev, mac_header, pkt_type and protocol, and moves data past the Ethernet header. A frame too short for one
/// gets protocol 0 and keeps its data: it is dropped and counted by netif_receive_skb.
NETSTACK_INLINE void eth_type_trans(sk_buff& skb, net_device& dev) {
  skb.dev = &dev;
  skb.reset_mac_header();
  auto const* eth = skb.pull<ethhdr>();
  if (!eth) [[unlikely]] {
    skb.protocol = {};
    ++dev.stats.rx_length_errors;
    return;
  }
  skb.pkt_type = eth->h_dest == dev.dev_addr ? pkt_type::host : detail::eth_pkt_type(dev, eth->h_dest);
  // IEEE 802.3 §3.2.6: below 0x0600 the field is a length and an 802.2 header follows.
  skb.protocol = eth_proto_is_802_3(eth->h_proto.host()) ? eth->h_proto : be16{eth_p::p_802_2};
}

/// Writes the link header in front of data. Addresses must not alias the frame.
inline void eth_header(sk_buff& skb, net_device const& dev, u16 type, mac_addr const& daddr) {
  auto* eth = skb.push<ethhdr>();
  eth->h_dest = daddr;
  eth->h_source = dev.dev_addr;
  eth->h_proto = be16{type};
  skb.reset_mac_header();
}

/// Fills a device's Ethernet defaults (Linux's ether_setup). [S70]
inline void ether_setup(net_device& dev) {
  dev.type = arphrd::ether;
  dev.hard_header_len = eth_hlen;
  dev.mtu = 1500;
  dev.min_mtu = 68;
  dev.max_mtu = 1500;
  dev.flags |= iff::broadcast | iff::multicast;
  dev.broadcast = mac_broadcast;
  dev.tx_queue_len = 1000;
}

}  // namespace netstack
