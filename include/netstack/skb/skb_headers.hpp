// SPDX-License-Identifier: BSL-1.0
// Decides: how the layers mark where their header starts, and how the flow hash is kept. All offsets count from head,
// so they survive push and pull; skb_copy.hpp moves them when it moves the bytes. [S51] [S53] [S54]
// Linux: include/linux/skbuff.h (skb_reset_network_header, skb_set_hash, …)
#pragma once
#include <array>
#include <bit>
#include <cstring>

#include "netstack/skb/sk_buff.hpp"

namespace netstack {

inline void skb_reset_mac_header(sk_buff& skb) { skb.reset_mac_header(); }
inline void skb_reset_network_header(sk_buff& skb) { skb.reset_network_header(); }
inline void skb_reset_transport_header(sk_buff& skb) { skb.reset_transport_header(); }
inline void skb_reset_mac_len(sk_buff& skb) { skb.reset_mac_len(); }
inline void skb_set_mac_header(sk_buff& skb, int offset) { skb.set_mac_header(offset); }
inline void skb_set_network_header(sk_buff& skb, int offset) { skb.set_network_header(offset); }
inline void skb_set_transport_header(sk_buff& skb, int offset) { skb.set_transport_header(offset); }
inline void skb_unset_mac_header(sk_buff& skb) { skb.mac_header = skb_header_unset; }
inline bool skb_mac_header_was_set(sk_buff const& skb) { return skb.mac_header_was_set(); }
inline u8* skb_mac_header(sk_buff const& skb) { return skb.head + skb.mac_header; }
inline u8* skb_network_header(sk_buff const& skb) { return skb.head + skb.network_header; }
inline u8* skb_transport_header(sk_buff const& skb) { return skb.head + skb.transport_header; }
inline int skb_mac_offset(sk_buff const& skb) { return skb.mac_offset(); }
inline int skb_network_offset(sk_buff const& skb) { return skb.network_offset(); }
inline int skb_transport_offset(sk_buff const& skb) { return skb.transport_offset(); }
/// Bytes from the network to the transport header.
inline u32 skb_network_header_len(sk_buff const& skb) {
  return static_cast<u32>(skb.transport_header) - skb.network_header;
}

// A tunnel keeps the offsets of the packet inside while it puts headers of its own in front.
inline void skb_reset_inner_mac_header(sk_buff& skb) { skb.inner_mac_header = skb.offset_of(0); }
inline void skb_reset_inner_network_header(sk_buff& skb) { skb.inner_network_header = skb.offset_of(0); }
inline void skb_reset_inner_transport_header(sk_buff& skb) { skb.inner_transport_header = skb.offset_of(0); }
inline void skb_set_inner_network_header(sk_buff& skb, int offset) { skb.inner_network_header = skb.offset_of(offset); }
inline void skb_set_inner_transport_header(sk_buff& skb, int offset) {
  skb.inner_transport_header = skb.offset_of(offset);
}
inline u8* skb_inner_mac_header(sk_buff const& skb) { return skb.head + skb.inner_mac_header; }
inline u8* skb_inner_network_header(sk_buff const& skb) { return skb.head + skb.inner_network_header; }
inline u8* skb_inner_transport_header(sk_buff const& skb) { return skb.head + skb.inner_transport_header; }
inline int skb_inner_network_offset(sk_buff const& skb) {
  return static_cast<int>(skb.inner_network_header) - static_cast<int>(skb.headroom());
}
inline int skb_inner_transport_offset(sk_buff const& skb) {
  return static_cast<int>(skb.inner_transport_header) - static_cast<int>(skb.headroom());
}
/// What the tunnel carries.
inline void skb_set_inner_protocol(sk_buff& skb, be16 protocol) { skb.inner_protocol = protocol; }
/// The headers as they are now become the inner ones, before the tunnel pushes its own. [S54]
inline void skb_reset_inner_headers(sk_buff& skb) {
  skb.inner_mac_header = skb.mac_header;
  skb.inner_network_header = skb.network_header;
  skb.inner_transport_header = skb.transport_header;
}

/// Leaves n bytes of the tailroom free of payload (availroom), for what follows the payload later.
inline void skb_tailroom_reserve(sk_buff& skb, u32 mtu, u32 needed_tailroom) {
  u32 const room = skb.tailroom();
  u32 const free_room = room > needed_tailroom ? room - needed_tailroom : 0;
  skb.reserved_tailroom = static_cast<u16>(room - (mtu < free_room ? mtu : free_room));
}

// --- flow hash ------------------------------------------------------------------------------------------------------
/// `l4`: the hash covers ports too, so it tells flows of one pair of hosts apart. 0 stands for "none" and is mapped
/// to 1.
inline void skb_set_hash(sk_buff& skb, u32 hash, bool l4) {
  skb.hash = hash ? hash : 1;
  skb.l4_hash = l4;
}
inline void skb_clear_hash(sk_buff& skb) { skb.hash = 0, skb.l4_hash = 0; }
/// A hash over addresses only is of no use once the packet was rewritten.
inline void skb_clear_hash_if_not_l4(sk_buff& skb) {
  if (!skb.l4_hash) skb_clear_hash(skb);
}
inline void skb_copy_hash(sk_buff& to, sk_buff const& from) { to.hash = from.hash, to.l4_hash = from.l4_hash; }
/// The hash as it is: 0 if none was computed.
inline u32 skb_get_hash_raw(sk_buff const& skb) { return skb.hash; }
/// The hash, which `dissect(skb)` computes (as one over L4) if nobody did before.
template <class Dissect>
u32 skb_get_hash(sk_buff& skb, Dissect dissect) {
  if (!skb.hash) skb_set_hash(skb, dissect(skb), true);
  return skb.hash;
}

namespace detail {

/// The last 8 bytes of the first cache line, all that the link says of a received frame, and the flags, as one word.
NETSTACK_INLINE u64 load_link_word(sk_buff const& skb) {
  u64 word;
  std::memcpy(&word, static_cast<void const*>(&skb.protocol), sizeof word);
  return word;
}
NETSTACK_INLINE void store_link_word(sk_buff& skb, u64 word) {
  std::memcpy(static_cast<void*>(&skb.protocol), &word, sizeof word);
}
/// mac_header and mac_len.
NETSTACK_INLINE void store_mac_words(sk_buff& skb, u16 mac_header, u16 mac_len) {
  std::array<u16, 2> const words{mac_header, mac_len};
  std::memcpy(static_cast<void*>(&skb.mac_header), words.data(), sizeof words);
}
static_assert(offsetof(sk_buff, mac_len) == offsetof(sk_buff, mac_header) + 2);
/// The flags are kept where a word is made from another one.
inline constexpr u64 link_word_flags = std::endian::native == std::endian::little ? u64{0xff} << 56 : u64{0xff};
/// Both headers that start there.
constexpr u64 at_network_header(u16 network_header) { return network_header * u64{0x1'0001'0000}; }
constexpr u64 make_link_word(be16 protocol, u16 network_header, pkt_type type) {
  bool const little = std::endian::native == std::endian::little;
  return (u64{protocol.raw()} << (little ? 0 : 48) | u64{static_cast<u8>(type)} << (little ? 48 : 8)) +
         at_network_header(network_header);
}
/// Of a packet that leaves, at_network_header to be added: the transport header lies `hlen` behind the network header.
constexpr u64 make_tx_link_word(be16 protocol, u16 hlen, ip_summed summed) {
  bool const little = std::endian::native == std::endian::little;
  return u64{protocol.raw()} << (little ? 0 : 48) | u64{hlen} << (little ? 32 : 16) |
         u64{static_cast<u8>(summed)} << (little ? 56 : 6);
}
static_assert(offsetof(sk_buff, protocol) + 8 == cache_line && offsetof(sk_buff, protocol) % 8 == 0 &&
              offsetof(sk_buff, network_header) == offsetof(sk_buff, protocol) + 2 &&
              offsetof(sk_buff, transport_header) == offsetof(sk_buff, protocol) + 4 &&
              offsetof(sk_buff, pkt_type) == offsetof(sk_buff, protocol) + 6);

/// Everything that a received packet knows and one of our own does not: from tstamp to tx_flags.
NETSTACK_INLINE void skb_forget_arrival(sk_buff& skb) {
  constexpr std::size_t all = offsetof(sk_buff, alloc_line) - offsetof(sk_buff, tstamp);
  static_assert(all == 52);
  // In pieces that are one store each: for 52 bytes g++ takes the slow string instruction.
  auto* const at = reinterpret_cast<u8*>(&skb.tstamp);
  std::memset(at, 0, 16);
  std::memset(at + 16, 0, 16);
  std::memset(at + 32, 0, 16);
  std::memset(at + 48, 0, 4);
}

}  // namespace detail

}  // namespace netstack
