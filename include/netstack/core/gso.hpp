// SPDX-License-Identifier: BSL-1.0
// Decides: what becomes of a super-segment, a packet of several segments under one header, for a device that does not
// cut: it is cut here, at the device's edge, by the offload of its protocol. [S86] [S87]
// tx: called by core/dev_output → calls packet_offload.gso_segment → skb_segment
// Linux: include/linux/skbuff.h (SKB_GSO_*), net/core/gso.c (skb_mac_gso_segment), net/core/skbuff.c (skb_segment)
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/registry/offload.hpp"
#include "netstack/skb/skb_copy.hpp"

namespace netstack {

/// skb_shared_info.gso_type: of which protocol it is.
namespace skb_gso {
inline constexpr u8 tcpv4 = 1u << 0, tcpv6 = 1u << 1, udp = 1u << 2, udp_l4 = 1u << 3, tcp_ecn = 1u << 4;
}  // namespace skb_gso

/// Cuts what follows the first `headers` bytes into pieces of gso_size, each in a packet of its own behind a copy of
/// the headers, which finish(piece, number, offset of its payload) puts right. Errors: no_buffer_space,
/// invalid_argument (a piece does not fit into a frame); then nothing was made. The packet stays the caller's.
template <class Finish>
result<skb_list> skb_segment(sk_buff& skb, u32 headers, Finish&& finish) {
  auto& pool = *skb.pool;
  u32 const size = skb_shinfo(skb).gso_size;
  if (headers > skb.headlen() || headers + size > pool.frame_size() - pool.rx_headroom())
    return failure{std::errc::invalid_argument};
  skb_list pieces;
  u32 number = 0;
  for (u32 at = headers; at < skb.len; at += size) {
    u32 const n = std::min(size, skb.len - at);
    sk_buff* const piece = pool.alloc_skb();
    if (!piece) {
      pool.free_bulk(pieces);
      return failure{std::errc::no_buffer_space};
    }
    u32 const shift = piece->headroom() - skb.headroom();  // modulo 2^32: may be backwards
    std::memcpy(piece->put(headers + n), skb.data, headers);
    BUG_ON(!skb_copy_bits(skb, at, piece->data + headers, n), "segment beyond its packet");
    piece->dev = skb.dev;
    piece->protocol = skb.protocol;
    piece->mac_header = static_cast<u16>(skb.mac_header + shift);
    piece->network_header = static_cast<u16>(skb.network_header + shift);
    piece->transport_header = static_cast<u16>(skb.transport_header + shift);
    piece->mac_len = skb.mac_len;
    piece->vlan_proto = skb.vlan_proto, piece->vlan_tci = skb.vlan_tci;
    piece->mark = skb.mark, piece->priority = skb.priority;
    piece->hash = skb.hash, piece->l4_hash = skb.l4_hash;
    finish(*piece, number++, at - headers);
    pieces.push_back(*piece);
  }
  return pieces;
}

/// Cuts a super-segment, data at its link header, for a device with these features. Errors: skb_segment's,
/// operation_not_supported (no offload of the composition knows it). The packet stays the caller's.
template <class Net>
result<skb_list> skb_gso_segment([[maybe_unused]] Net& net, sk_buff& skb, [[maybe_unused]] u32 features) {
  [[maybe_unused]] u16 const type = skb.protocol.host();
  for (auto const& offload : Net::packet_offloads)
    if (offload.type == type && offload.callbacks.gso_segment) return offload.callbacks.gso_segment(net, skb, features);
  return failure{std::errc::operation_not_supported};
}

}  // namespace netstack
