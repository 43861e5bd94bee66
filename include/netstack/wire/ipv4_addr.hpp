// SPDX-License-Identifier: BSL-1.0
// Decides: which IPv4 addresses are special, what a prefix is, and how both are read and written as text.
// Linux: include/linux/in.h (ipv4_is_*), include/linux/inetdevice.h (inet_make_mask)
// RFC 1122 §3.2.1.3 (special addresses), RFC 1918, RFC 3927, RFC 5737, RFC 5771, RFC 4632 (prefixes)
#pragma once
#include <bit>
#include <string_view>

#include "netstack/base/byteorder.hpp"
#include "netstack/base/result.hpp"

namespace netstack::inline wire {

inline constexpr be32 inaddr_any{0x00000000U};
inline constexpr be32 inaddr_loopback{0x7f000001U};
inline constexpr be32 inaddr_broadcast{0xffffffffU};
inline constexpr be32 inaddr_allhosts_group{0xe0000001U};
inline constexpr be32 inaddr_allrtrs_group{0xe0000002U};
inline constexpr be32 inaddr_allsnoopers_group{0xe000006aU};

/// The mask of a prefix length 0–32 (more counts as 32).
constexpr be32 inet_make_mask(unsigned len) {
  return len == 0 ? be32{} : be32{static_cast<u32>(~u32{0} << (len < 32 ? 32 - len : 0))};
}
/// The leading ones of a mask.
constexpr u8 inet_mask_len(be32 mask) { return static_cast<u8>(std::countl_one(mask.host())); }

}  // namespace netstack::inline wire

namespace netstack::detail {
constexpr bool in_net(be32 addr, u32 net, unsigned len) { return (addr & inet_make_mask(len)) == be32{net}; }
}  // namespace netstack::detail

namespace netstack::inline wire {

constexpr bool ipv4_is_zeronet(be32 a) { return detail::in_net(a, 0x00000000, 8); }
constexpr bool ipv4_is_loopback(be32 a) { return detail::in_net(a, 0x7f000000, 8); }
constexpr bool ipv4_is_multicast(be32 a) { return detail::in_net(a, 0xe0000000, 4); }
constexpr bool ipv4_is_local_multicast(be32 a) { return detail::in_net(a, 0xe0000000, 24); }
constexpr bool ipv4_is_lbcast(be32 a) { return a == inaddr_broadcast; }  ///< the limited broadcast
constexpr bool ipv4_is_all_snoopers(be32 a) { return a == inaddr_allsnoopers_group; }
constexpr bool ipv4_is_private_10(be32 a) { return detail::in_net(a, 0x0a000000, 8); }
constexpr bool ipv4_is_private_172(be32 a) { return detail::in_net(a, 0xac100000, 12); }
constexpr bool ipv4_is_private_192(be32 a) { return detail::in_net(a, 0xc0a80000, 16); }
constexpr bool ipv4_is_private(be32 a) {
  return ipv4_is_private_10(a) || ipv4_is_private_172(a) || ipv4_is_private_192(a);
}
constexpr bool ipv4_is_linklocal_169(be32 a) { return detail::in_net(a, 0xa9fe0000, 16); }
constexpr bool ipv4_is_anycast_6to4(be32 a) { return detail::in_net(a, 0xc0586300, 24); }
constexpr bool ipv4_is_test_192(be32 a) { return detail::in_net(a, 0xc0000200, 24); }
constexpr bool ipv4_is_test_198(be32 a) { return detail::in_net(a, 0xc6120000, 15); }

/// An address with the length of its network: 0–32 by construction, host bits kept (an interface has both).
class ipv4_prefix {
  be32 addr_{};
  u8 len_ = 0;

  constexpr ipv4_prefix(be32 addr, u8 len) : addr_(addr), len_(len) {}

 public:
  constexpr ipv4_prefix() = default;  ///< 0.0.0.0/0
  /// Error: invalid_argument if `len` > 32.
  [[nodiscard]] static constexpr result<ipv4_prefix> make(be32 addr, unsigned len) {
    if (len > 32) return failure{std::errc::invalid_argument};
    return ipv4_prefix{addr, static_cast<u8>(len)};
  }

  [[nodiscard]] constexpr be32 addr() const { return addr_; }
  [[nodiscard]] constexpr u8 len() const { return len_; }
  [[nodiscard]] constexpr be32 mask() const { return inet_make_mask(len_); }
  [[nodiscard]] constexpr be32 network() const { return addr_ & mask(); }
  /// The directed broadcast. RFC 3021: a /31 or /32 has none; then this is the limited broadcast.
  [[nodiscard]] constexpr be32 broadcast() const { return len_ < 31 ? addr_ | ~mask() : inaddr_broadcast; }
  [[nodiscard]] constexpr bool contains(be32 addr) const { return (addr & mask()) == network(); }

  friend constexpr bool operator==(ipv4_prefix a, ipv4_prefix b) { return a.addr_ == b.addr_ && a.len_ == b.len_; }
};

}  // namespace netstack::inline wire

namespace netstack::detail {
/// Takes a decimal number without a leading zero and at most `max` off the front of `text`; -1 if there is none.
constexpr int take_decimal(std::string_view& text, int max) {
  int value = 0;
  std::size_t n = 0;
  for (; n < text.size() && n < 3 && text[n] >= '0' && text[n] <= '9'; ++n) value = value * 10 + (text[n] - '0');
  if (n == 0 || value > max || (n > 1 && text[0] == '0')) return -1;
  text.remove_prefix(n);
  return value;
}
// Not constexpr: reaching it makes a literal ill-formed, and the compiler names it.
[[noreturn]] NETSTACK_COLD inline void malformed_address_literal() {
  BUG_ON(true, "malformed address literal");
  std::abort();
}
}  // namespace netstack::detail

namespace netstack::inline wire {

/// Dotted decimal, four numbers 0–255, nothing else: "010.0.0.1" and "127.1" are refused, since programs disagree on
/// what they mean. Error: invalid_argument.
constexpr result<be32> parse_ipv4(std::string_view text) {
  u32 addr = 0;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) {
      if (text.empty() || text.front() != '.') return failure{std::errc::invalid_argument};
      text.remove_prefix(1);
    }
    int const octet = detail::take_decimal(text, 255);
    if (octet < 0) return failure{std::errc::invalid_argument};
    addr = addr << 8 | static_cast<u32>(octet);
  }
  if (!text.empty()) return failure{std::errc::invalid_argument};
  return be32{addr};
}

/// "192.0.2.1/24". Error: invalid_argument.
constexpr result<ipv4_prefix> parse_prefix(std::string_view text) {
  auto const slash = text.find('/');
  if (slash == std::string_view::npos) return failure{std::errc::invalid_argument};
  auto const addr = parse_ipv4(text.substr(0, slash));
  auto rest = text.substr(slash + 1);
  int const len = detail::take_decimal(rest, 32);
  if (!addr || len < 0 || !rest.empty()) return failure{std::errc::invalid_argument};
  return ipv4_prefix::make(*addr, static_cast<unsigned>(len));
}

/// An address in the source text: `constexpr auto a = ipv4_addr("192.0.2.1");`. A malformed one does not compile there.
/// Where no constant is demanded the text is parsed at run time, and a malformed one is a BUG: text from outside goes
/// through parse_ipv4.
constexpr be32 ipv4_addr(std::string_view text) {
  auto const addr = parse_ipv4(text);
  if (!addr) detail::malformed_address_literal();
  return *addr;
}
/// The same for a prefix: `ipv4_cidr("192.0.2.1/24")`.
constexpr ipv4_prefix ipv4_cidr(std::string_view text) {
  auto const prefix = parse_prefix(text);
  if (!prefix) detail::malformed_address_literal();
  return *prefix;
}

/// Writes "192.0.2.1" and a terminating zero; returns the text without the zero.
constexpr std::string_view format_ipv4(be32 addr, char (&out)[16]) {
  std::size_t n = 0;
  for (unsigned const octet : addr.bytes()) {
    if (n > 0) out[n++] = '.';
    if (octet >= 100) out[n++] = static_cast<char>('0' + octet / 100);
    if (octet >= 10) out[n++] = static_cast<char>('0' + octet / 10 % 10);
    out[n++] = static_cast<char>('0' + octet % 10);
  }
  out[n] = '\0';
  return {out, n};
}

}  // namespace netstack::inline wire
