// SPDX-License-Identifier: BSL-1.0
// Decides: who gets a received frame. Taps (ptype_all) first, each with a clone; then every handler of the ethertype in
// list order, the last with the frame itself. Nobody: dropped as unhandled_proto. [S81] [S82] [S83]
// rx: called by link/eth eth_type_trans (through the driver's burst) → calls packet_type.func, e.g. ip_rcv
// Linux: net/core/dev.c (__netif_receive_skb_core, deliver_skb)
#pragma once
#include <utility>

#include "netstack/core/drop.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/registry/packet_type.hpp"

namespace netstack {

namespace detail {

/// One more handler for a frame that others will see as well: it gets a clone.
template <class Net>
void deliver_clone(Net& net, sk_buff& skb, packet_type<Net> const& pt) {
  if (sk_buff* twin = skb_clone(skb)) finish(*twin, pt.func(net, *twin));
}

template <class Net>
constexpr bool wants(packet_type<Net> const& pt, std::size_t bit, net_device const& dev) {
  return pt.dev == nullptr || (dev.ptype_match >> bit & 1) != 0;
}

}  // namespace detail

/// Shows a frame to every tap; used for both directions. A sender's own tap does not hear its echo (skb.sk). [S82]
template <class Net>
void dev_queue_xmit_nit(Net& net, sk_buff& skb) {
  for (std::size_t i = 0; i < Net::ptype_all.size(); ++i)
    if (detail::wants(Net::ptype_all[i], i, *skb.dev)) detail::deliver_clone(net, skb, Net::ptype_all[i]);
}

/// Delivers one frame, data at the network header, skb.protocol and pkt_type set by the link. The caller owns and frees
/// by the verdict.
template <class Net>
verdict netif_receive_skb(Net& net, sk_buff& skb) {
  skb.reset_network_header();
  skb.reset_transport_header();
  skb.reset_mac_len();
  if (skb.skb_iif == 0) skb.skb_iif = skb.dev->ifindex;
  if constexpr (!Net::ptype_all.empty()) dev_queue_xmit_nit(net, skb);

  packet_type<Net> const* last = nullptr;
  u16 const type = skb.protocol.host();
  for (std::size_t i = 0; i < Net::ptype_base.size(); ++i) {
    auto const& pt = Net::ptype_base[i];
    if (pt.type != type || !detail::wants(pt, Net::ptype_all.size() + i, *skb.dev)) continue;
    if (last) detail::deliver_clone(net, skb, *last);
    last = &pt;
  }
  if (last) [[likely]]
    return last->func(net, skb);
  ++skb.dev->stats.rx_nohandler;
  return drop(net, skb, drop_reason::unhandled_proto);
}

/// Delivers a burst; frees what the handlers do not keep. The list is left empty.
template <class Net>
void netif_receive_skb_list(Net& net, skb_list& burst) {
  while (sk_buff* skb = burst.pop_front()) finish(*skb, netif_receive_skb(net, *skb));
}

}  // namespace netstack
