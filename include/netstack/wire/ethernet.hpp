// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of an Ethernet II header and of a MAC address, and their lengths. No state, no skb.
// rx: read by link/eth eth_type_trans; tx: written by eth_header and by drivers that fill in h_source.
// Linux: include/uapi/linux/if_ether.h, include/linux/etherdevice.h
// IEEE 802.3 §3.2.3: the first bit on the wire (lowest bit of the first byte) marks a group address.
#pragma once
#include <array>
#include <compare>
#include <cstring>
#include <string_view>

#include "netstack/base/byteorder.hpp"
#include "netstack/base/result.hpp"

namespace netstack::inline wire {

inline constexpr std::size_t eth_alen = 6;          ///< bytes of a MAC address
inline constexpr std::size_t eth_hlen = 14;         ///< destination, source, type
inline constexpr std::size_t eth_zlen = 60;         ///< shortest frame without its check sequence
inline constexpr std::size_t eth_data_len = 1500;   ///< the classic payload
inline constexpr std::size_t eth_frame_len = 1514;  ///< eth_hlen + eth_data_len
inline constexpr std::size_t eth_fcs_len = 4;
inline constexpr std::size_t eth_min_mtu = 68;  ///< RFC 791: what every IPv4 link must carry
inline constexpr std::size_t eth_max_mtu = 0xffff;

/// An IEEE 802 address as it lies in a frame.
struct mac_addr {
  std::array<unsigned char, eth_alen> bytes{};

  [[nodiscard]] constexpr bool is_multicast() const { return (bytes[0] & 0x01) != 0; }  ///< true for broadcast as well
  [[nodiscard]] constexpr bool is_local() const { return (bytes[0] & 0x02) != 0; }      ///< not assigned by the IEEE
  [[nodiscard]] constexpr bool is_broadcast() const {
    return bytes == std::array<unsigned char, eth_alen>{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  }
  [[nodiscard]] constexpr bool is_zero() const { return bytes == std::array<unsigned char, eth_alen>{}; }
  /// May be the address of a station: neither a group nor all zero.
  [[nodiscard]] constexpr bool is_valid() const { return !is_multicast() && !is_zero(); }

  /// In two loads: what the library has for arrays of six bytes is a call of memcmp.
  friend constexpr bool operator==(mac_addr const& a, mac_addr const& b) {
    struct halves {
      std::array<u16, 3> words;
    };
    auto const x = std::bit_cast<halves>(a).words, y = std::bit_cast<halves>(b).words;
    return (((u32{x[0]} | u32{x[1]} << 16) ^ (u32{y[0]} | u32{y[1]} << 16)) | u32(x[2] ^ y[2])) == 0;
  }
  friend constexpr auto operator<=>(mac_addr const&, mac_addr const&) = default;
};

inline constexpr mac_addr mac_broadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// Equal in their first six of eight readable bytes: one compare, where the addresses lie in a frame or beside each
/// other.
NETSTACK_INLINE bool ether_addr_equal_64bits(unsigned char const* a, unsigned char const* b) {
  u64 x, y;
  std::memcpy(&x, a, sizeof x);
  std::memcpy(&y, b, sizeof y);
  return (std::endian::native == std::endian::little ? (x ^ y) << 16 : (x ^ y) >> 16) == 0;
}

struct ethhdr {
  mac_addr h_dest{};
  mac_addr h_source{};
  be16 h_proto{};  ///< an eth_p value, or the length of an 802.3 frame if below eth_p::p_802_3_min
};

static_assert(sizeof(mac_addr) == 6 && alignof(mac_addr) == 1);
static_assert(sizeof(ethhdr) == eth_hlen && alignof(ethhdr) == 1);

}  // namespace netstack::inline wire

namespace netstack::detail {
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace netstack::detail

namespace netstack::inline wire {

/// "02:00:5e:10:00:01" (two hex digits per byte, ':' or '-' between). Error: invalid_argument.
constexpr result<mac_addr> parse_mac(std::string_view text) {
  mac_addr mac;
  if (text.size() != 3 * eth_alen - 1) return failure{std::errc::invalid_argument};
  for (std::size_t i = 0; i < eth_alen; ++i) {
    int const high = detail::hex_digit(text[3 * i]);
    int const low = detail::hex_digit(text[3 * i + 1]);
    if (high < 0 || low < 0) return failure{std::errc::invalid_argument};
    if (i + 1 < eth_alen && text[3 * i + 2] != ':' && text[3 * i + 2] != '-')
      return failure{std::errc::invalid_argument};
    mac.bytes[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return mac;
}

/// Writes "02:00:5e:10:00:01" and a terminating zero; returns the text without the zero.
constexpr std::string_view format_mac(mac_addr const& mac, char (&out)[3 * eth_alen]) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t i = 0; i < eth_alen; ++i) {
    out[3 * i] = digits[mac.bytes[i] >> 4];
    out[3 * i + 1] = digits[mac.bytes[i] & 0x0f];
    out[3 * i + 2] = i + 1 < eth_alen ? ':' : '\0';
  }
  return {out, 3 * eth_alen - 1};
}

}  // namespace netstack::inline wire
