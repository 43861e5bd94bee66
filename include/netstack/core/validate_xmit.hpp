// SPDX-License-Identifier: BSL-1.0
// Decides: what the core does for a device that cannot: a VLAN tag is written into the frame, frags are joined, a
// checksum left for the device is finished. What is still too long, or a super-segment that nobody can cut, is dropped.
// tx: called by core/dev_output for every frame that is more than a finished linear one
// Linux: net/core/dev.c (validate_xmit_skb, skb_checksum_help), include/linux/if_vlan.h (__vlan_hwaccel_push_inside)
#pragma once
#include "netstack/core/drop.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/vlan.hpp"

namespace netstack {

/// The longest frame the device sends, without a tag: its MTU and its link header.
inline u32 dev_frame_max(net_device const& dev) { return dev.mtu + dev.hard_header_len; }

/// A finished linear frame that fits: the one test on the path of an ordinary packet.
NETSTACK_INLINE bool skb_is_plain(sk_buff const& skb, net_device const& dev) {
  return skb.ip_summed != ip_summed::partial && skb.data_len == 0 && !skb.vlan_proto && skb.len <= dev_frame_max(dev);
}

/// Writes the tag that lies beside the frame into it, behind the addresses. False: no headroom, or shared bytes. [S52]
inline bool vlan_push_inside(sk_buff& skb) {
  if (skb.headroom() < vlan_hlen || skb.headlen() < eth_hlen || skb_cloned(skb)) return false;
  u8* frame = skb.push(static_cast<u32>(vlan_hlen));
  std::memmove(frame, frame + vlan_hlen, 2 * eth_alen);
  be16 const tag[2] = {skb.vlan_proto, be16{skb.vlan_tci}};
  std::memcpy(frame + 2 * eth_alen, tag, sizeof tag);
  skb.vlan_proto = {};
  skb.vlan_tci = 0;
  skb.mac_header = static_cast<u16>(skb.mac_header - vlan_hlen);
  return true;
}

/// Finishes a partial checksum in software. False: malformed, or shared bytes. [S45]
inline bool skb_checksum_help(sk_buff& skb) {
  u32 const start = skb.csum_start, at = start + skb.csum_offset;
  auto const head_len = static_cast<u32>(skb.tail - skb.head);
  if (skb.is_nonlinear() || start < skb.headroom() || at + sizeof(sum16) > head_len || skb_cloned(skb)) return false;
  sum16 const sum = csum_fold(csum_partial(skb.head + start, head_len - start, 0));
  // RFC 768: a sum of zero is sent as all ones; for TCP both mean the same.
  sum16 const sent = sum == sum16{} ? csum_mangled_0 : sum;
  std::memcpy(skb.head + at, &sent, sizeof sent);
  skb.ip_summed = ip_summed::none;
  return true;
}

/// Makes the frame one that the device takes. not_specified: it is; any other reason: it cannot be, drop it for that.
inline drop_reason validate_xmit_skb(sk_buff& skb, net_device const& dev) {
  bool const tagged = static_cast<bool>(skb.vlan_proto);
  if (tagged && !(dev.features & netif_f::hw_vlan_tx) && !vlan_push_inside(skb)) return drop_reason::nomem;
  bool const super = skb_shinfo(skb).gso_size != 0;
  if (super && !(dev.features & netif_f::gso)) return drop_reason::pkt_too_big;
  if (!super && skb.len > dev_frame_max(dev) + (tagged ? vlan_hlen : 0)) return drop_reason::pkt_too_big;
  if (skb.is_nonlinear() && !(dev.features & netif_f::sg)) return drop_reason::nomem;
  if (skb.ip_summed == ip_summed::partial && !(dev.features & netif_f::hw_csum) && !skb_checksum_help(skb))
    return drop_reason::skb_csum;
  return drop_reason::not_specified;
}

}  // namespace netstack
