// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of an 802.1Q tag, inside a frame and in front of one.
// rx: read by link/vlan when the tag is stripped; tx: written when the device has no tag insertion.
// Linux: include/linux/if_vlan.h; IEEE 802.1Q §9.6
#pragma once
#include "netstack/wire/eth_p.hpp"
#include "netstack/wire/ethernet.hpp"

namespace netstack::inline wire {

inline constexpr std::size_t vlan_hlen = 4;
inline constexpr std::size_t vlan_eth_hlen = eth_hlen + vlan_hlen;
inline constexpr u16 vlan_prio_mask = 0xe000;
inline constexpr unsigned vlan_prio_shift = 13;
inline constexpr u16 vlan_cfi_mask = 0x1000;
inline constexpr u16 vlan_vid_mask = 0x0fff;
inline constexpr u16 vlan_n_vid = 4096;

/// What follows the outer type field (eth_p::p_8021q or p_8021ad).
struct vlan_hdr {
  be16 h_vlan_TCI{};
  be16 h_vlan_encapsulated_proto{};

  [[nodiscard]] constexpr u16 vid() const { return h_vlan_TCI.host() & vlan_vid_mask; }
  [[nodiscard]] constexpr u8 prio() const { return static_cast<u8>(h_vlan_TCI.host() >> vlan_prio_shift); }
  [[nodiscard]] constexpr bool cfi() const { return (h_vlan_TCI.host() & vlan_cfi_mask) != 0; }
};

/// A whole Ethernet header with one tag.
struct vlan_ethhdr {
  mac_addr h_dest{};
  mac_addr h_source{};
  be16 h_vlan_proto{};
  be16 h_vlan_TCI{};
  be16 h_vlan_encapsulated_proto{};
};

/// True for the two tag types.
constexpr bool eth_type_vlan(be16 type) { return type == be16{eth_p::p_8021q} || type == be16{eth_p::p_8021ad}; }

/// The 16 bits of tag control: priority 0–7, drop-eligible (CFI) bit, VLAN id 0–4095. Excess bits are cut off.
constexpr u16 vlan_tci(u16 vid, u8 prio = 0, bool cfi = false) {
  return static_cast<u16>((prio & 7U) << vlan_prio_shift | (cfi ? vlan_cfi_mask : 0U) | (vid & vlan_vid_mask));
}

static_assert(sizeof(vlan_hdr) == vlan_hlen && alignof(vlan_hdr) == 1);
static_assert(sizeof(vlan_ethhdr) == vlan_eth_hlen && alignof(vlan_ethhdr) == 1);

}  // namespace netstack::inline wire
