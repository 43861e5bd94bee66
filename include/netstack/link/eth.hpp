// SPDX-License-Identifier: BSL-1.0
// Decides: for whom an Ethernet frame is and what it carries, and how one is addressed. [S56] [S57]
// rx: called by a driver's ndo_poll for each frame → the burst goes to core/dev_input netif_receive_skb
// tx: called by core/neighbour → core/dev_output dev_queue_xmit
// Linux: net/ethernet/eth.c; IEEE 802.3 §3.2.6 (length/type)
#pragma once
#include "netstack/core/dev_addr_lists.hpp"
#include "netstack/wire/eth_p.hpp"

namespace netstack {

/// Sets skb.dev, mac_header, pkt_type and protocol, and moves data past the Ethernet header. A frame too short for one
/// gets protocol 0 and keeps its data: it is dropped and counted by netif_receive_skb.
inline void eth_type_trans(sk_buff& skb, net_device& dev) {
  skb.dev = &dev;
  skb.reset_mac_header();
  auto const* eth = skb.pull<ethhdr>();
  if (!eth) [[unlikely]] {
    skb.protocol = {};
    ++dev.stats.rx_length_errors;
    return;
  }
  if (eth->h_dest == dev.dev_addr) [[likely]] {
    skb.pkt_type = pkt_type::host;
  } else if (eth->h_dest == dev.broadcast) {
    skb.pkt_type = pkt_type::broadcast;
  } else if (eth->h_dest.is_multicast() && dev_mc_accepts(dev, eth->h_dest)) {
    skb.pkt_type = pkt_type::multicast;
    ++dev.stats.multicast;
  } else {
    skb.pkt_type = pkt_type::otherhost;
  }
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
