// SPDX-License-Identifier: BSL-1.0
// Decides: what a packet carries on a link without a link header, such as TUN: the version in its first four bits says
// it, and whoever is at the other end of the wire has sent it to us.
// rx: called by a driver's ndo_poll for each packet → the burst goes to core/dev_input netif_receive_skb
// Linux: drivers/net/tun.c (tun_get_user); RFC 791 §3.1, RFC 8200 §3 (version)
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/wire/eth_p.hpp"

namespace netstack {

/// Sets skb.dev, pkt_type, protocol and where the headers start; data stays. Neither IPv4 nor IPv6: protocol 0, which
/// is dropped and counted by netif_receive_skb.
inline void ip_type_trans(sk_buff& skb, net_device& dev) {
  skb.dev = &dev;
  skb.pkt_type = pkt_type::host;
  skb.mac_header = skb.network_header = skb.transport_header = skb.offset_of(0);
  skb.mac_len = 0;
  unsigned const version = skb.headlen() > 0 ? skb.data[0] >> 4 : 0;
  skb.protocol = version == 4 ? be16{eth_p::ip} : version == 6 ? be16{eth_p::ipv6} : be16{};
  if (!skb.protocol) [[unlikely]]
    ++dev.stats.rx_frame_errors;
}

/// Fills the defaults of a device that carries bare IP packets between two ends.
inline void ip_link_setup(net_device& dev) {
  dev.type = arphrd::none;
  dev.hard_header_len = 0;
  dev.mtu = 1500;
  dev.min_mtu = 68;
  dev.max_mtu = 65535;
  dev.flags |= iff::pointopoint | iff::noarp | iff::multicast;
  dev.tx_queue_len = 500;
}

}  // namespace netstack
