// SPDX-License-Identifier: BSL-1.0
// Decides: what the core does for a device that cannot: a VLAN tag is written into the frame, frags are joined, a
// checksum left for the device is finished. What is still too long, or a super-segment that nobody can cut, is dropped.
// tx: called by core/dev_output for every frame that is more than a finished linear one
// Linux: net/core/dev.c (validate_xmit_skb), include/linux/if_vlan.h (__vlan_hwaccel_push_inside)
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/registry/drop_reasons.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_copy.hpp"
#include "netstack/skb/skb_pull.hpp"
#include "netstack/wire/vlan.hpp"

namespace netstack {

/// The longest frame the device sends, without a tag: its MTU and its link header.
inline u32 dev_frame_max(net_device const& dev) { return dev.mtu + dev.hard_header_len; }

/// A finished linear frame that fits: the one test on the path of an ordinary packet.
NETSTACK_INLINE bool skb_is_plain(sk_buff const& skb, net_device const& dev) {
  return skb.ip_summed != ip_summed::partial && skb.data_len == 0 && !skb.vlan_proto && skb.len <= dev_frame_max(dev);
}

/// Writes the tag that lies beside the frame into it, behind the addresses. Errors: invalid_argument (no addresses),
/// those of skb_cow_head. [S52]
inline result<void> vlan_push_inside(sk_buff& skb) {
  if (skb.headlen() < eth_hlen) return failure{std::errc::invalid_argument};
  if (auto own = skb_cow(skb, static_cast<u32>(vlan_hlen)); !own) return own;
  u8* frame = skb.push(static_cast<u32>(vlan_hlen));
  std::memmove(frame, frame + vlan_hlen, 2 * eth_alen);
  be16 const tag[2] = {skb.vlan_proto, be16{skb.vlan_tci}};
  std::memcpy(frame + 2 * eth_alen, tag, sizeof tag);
  skb.vlan_proto = {};
  skb.vlan_tci = 0;
  skb.reset_mac_header();
  return {};
}

/// Makes the frame one that the device takes. not_specified: it is; any other reason: it cannot be, drop it for that.
inline drop_reason validate_xmit_skb(sk_buff& skb, net_device const& dev) {
  // Of a packet in a packet the device must know the inner headers, if it is to finish or cut it. [S54]
  u32 const features = skb.encapsulation ? dev.features & dev.hw_enc_features : dev.features;
  auto const lacks = [&](u32 feature) { return (features & feature) == 0; };
  bool const tagged = static_cast<bool>(skb.vlan_proto);
  if (tagged && lacks(netif_f::hw_vlan_tx) && !vlan_push_inside(skb)) return drop_reason::nomem;
  bool const super = skb_is_gso(skb);
  if (super && lacks(netif_f::gso)) return drop_reason::pkt_too_big;
  if (!super && skb.len > dev_frame_max(dev) + (tagged ? vlan_hlen : 0)) return drop_reason::pkt_too_big;
  bool const scattered =
      skb.is_nonlinear() && (lacks(netif_f::sg) || (skb_has_frag_list(skb) && lacks(netif_f::fraglist)));
  if (scattered && !skb_linearize(skb)) return drop_reason::nomem;
  if (skb.ip_summed == ip_summed::partial && lacks(netif_f::hw_csum) && !skb_checksum_help(skb))
    return drop_reason::skb_csum;
  return drop_reason::not_specified;
}

}  // namespace netstack
