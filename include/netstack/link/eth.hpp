// SPDX-License-Identifier: BSL-1.0
// Decides: for whom an Ethernet frame is and what it carries, and how one is addressed. [S56] [S57]
// rx: called by a driver's ndo_poll for each frame → the burst goes to core/dev_input netif_receive_skb
// tx: called by core/neighbour → core/dev_output dev_queue_xmit
// Linux: net/ethernet/eth.c; IEEE 802.3 §3.2.6 (length/type)
#pragma once
#include "netstack/core/dev_addr_lists.hpp"
#include "netstack/core/rx_flow.hpp"
#include "netstack/skb/skb_headers.hpp"
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

/// A whole Ethernet header lies at `mac`, `at` bytes from skb.head: everything about it but dev, data and len. `flags`:
/// what the link word has of them already. One word, since who receives the packet compares it as one.
NETSTACK_INLINE void eth_read(sk_buff& skb, net_device& dev, u8 const* mac, u16 at, u64 flags) {
  auto const& eth = *reinterpret_cast<ethhdr const*>(mac);
  auto const type =
      ether_addr_equal_64bits(mac, dev.dev_addr.bytes.data()) ? pkt_type::host : eth_pkt_type(dev, eth.h_dest);
  // IEEE 802.3 §3.2.6: below 0x0600 the field is a length and an 802.2 header follows.
  static_assert(eth_p::p_802_3_min == 6 << 8, "so that its first byte tells");
  be16 const proto = eth.h_proto.bytes()[0] >= 6 ? eth.h_proto : be16{eth_p::p_802_2};
  auto const l3 = static_cast<u16>(at + eth_hlen);
  store_link_word(skb, make_link_word(proto, l3, type) | flags);
  store_mac_words(skb, at, static_cast<u16>(eth_hlen));
}

}  // namespace detail

/// Sets skb.dev, pkt_type, protocol and where the headers start, and moves data past the Ethernet header. A frame too
/// short for one gets protocol 0 and keeps its data: it is dropped and counted by netif_receive_skb.
NETSTACK_INLINE void eth_type_trans(sk_buff& skb, net_device& dev) {
  skb.dev = &dev;
  u8 const* const mac = skb.data;
  u16 const at = skb.offset_of(0);
  if (!skb.pull(eth_hlen)) [[unlikely]] {
    skb.mac_header = at;
    skb.protocol = {};
    ++dev.stats.rx_length_errors;
    return;
  }
  detail::eth_read(skb, dev, mac, at, detail::load_link_word(skb) & detail::link_word_flags);
}

/// skb_put(len) and eth_type_trans in one, for a packet fresh from the pool whose frame lies at its data, `at` bytes
/// from skb.head.
NETSTACK_INLINE void eth_rx(sk_buff& skb, net_device& dev, u8* data, u16 at, u32 len) {
  if (len < eth_hlen || len > static_cast<u32>(skb.end - data)) [[unlikely]] {
    skb.put(len);
    return eth_type_trans(skb, dev);
  }
  skb.dev = &dev;
  skb.data = data + eth_hlen;
  skb.len = len - static_cast<u32>(eth_hlen);
  skb.tail = data + len;
  detail::eth_read(skb, dev, data, at, 0);
}

/// The same; a frame of the flow that a protocol knows becomes a packet of it at once. `summed`: the device vouches for
/// its L4 checksum.
template <class Net>
NETSTACK_INLINE void eth_rx(rx_flow_burst<Net>& flow, sk_buff& skb, net_device& dev, u8* data, u16 at, u32 len,
                            bool summed) {
  if (len > static_cast<u32>(skb.end - data)) [[unlikely]]
    flow.stop();
  else if (flow.take({skb, data, len})) [[likely]]
    return;
  eth_rx(skb, dev, data, at, len);
  if (summed) skb.ip_summed = ip_summed::unnecessary;
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
