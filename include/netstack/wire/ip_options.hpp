// SPDX-License-Identifier: BSL-1.0
// Decides: where one IPv4 option ends and the next begins, and whether the options of a header can be trusted: every
// length, pointer and duplicate is checked here once, so that whoever follows an offset of `ip_options` need not. An
// error is the RFC 792 pointer: the offset, from the start of the IP header, of the byte where it was noticed.
// rx: called by ipv4/ip_input ip_rcv_options; tx: by setsockopt(IP_OPTIONS) before it stores a block.
// Linux: net/ipv4/ip_options.c (ip_options_compile), include/uapi/linux/ip.h (IPOPT_*)
// RFC 791 §3.1 (options), RFC 792 (pointer), RFC 1122 §3.2.1.8, RFC 1812 §5.2.4.1 (one source route), RFC 2113 (alert)
#pragma once
#include "netstack/wire/ip.hpp"

namespace netstack::inline wire {

namespace ipopt {
inline constexpr u8 end = 0;
inline constexpr u8 noop = 1;
inline constexpr u8 rr = 7;          ///< record route
inline constexpr u8 timestamp = 68;  ///< internet timestamp
inline constexpr u8 sec = 130;
inline constexpr u8 lsrr = 131;  ///< loose source route
inline constexpr u8 cipso = 134;
inline constexpr u8 sid = 136;
inline constexpr u8 ssrr = 137;  ///< strict source route
inline constexpr u8 ra = 148;    ///< router alert

inline constexpr u8 copy = 0x80;  ///< the bit of a kind that says: goes into every fragment
inline constexpr std::size_t max_len = ip_hlen_max - ip_hlen_min;

// The lower half of a timestamp option's fourth byte.
inline constexpr u8 ts_tsonly = 0;
inline constexpr u8 ts_tsandaddr = 1;
inline constexpr u8 ts_prespec = 3;
}  // namespace ipopt

/// One option that carries a length. It lies wholly inside the block it was found in.
struct ip_option {
  u8 kind = 0;
  u8 length = 0;                        ///< of the whole option: kind and length bytes included, 2 or more
  u8 at = 0;                            ///< offset of `kind` from the start of the IP header
  unsigned char const* data = nullptr;  ///< the length - 2 bytes that follow
};

/// Walks the `len` bytes behind a plain header, at most 40:
///   for (ip_option_parser parser{p, len}; auto const* option = parser.next();) …
/// No-ops are stepped over; an end-of-list ends the walk, whatever follows it is padding.
class ip_option_parser {
  unsigned char const* block_;
  std::size_t len_;
  std::size_t at_ = 0;
  u8 error_ = 0;
  ip_option option_{};

 public:
  constexpr ip_option_parser(unsigned char const* block, std::size_t len)
      : block_(block), len_(len < ipopt::max_len ? len : ipopt::max_len) {}

  /// The next option, valid until the next call; null at the end and at a malformed one.
  constexpr ip_option const* next() {
    while (at_ < len_ && block_[at_] == ipopt::noop) ++at_;
    if (error_ != 0 || at_ == len_ || block_[at_] == ipopt::end) return nullptr;
    std::size_t const left = len_ - at_;
    u8 const here = static_cast<u8>(ip_hlen_min + at_);
    // RFC 791 §3.1: the length counts the kind and itself, and an option does not reach beyond the header.
    if (left < 2 || block_[at_ + 1] < 2 || block_[at_ + 1] > left) {
      error_ = here;
      return nullptr;
    }
    option_ = {.kind = block_[at_], .length = block_[at_ + 1], .at = here, .data = block_ + at_ + 2};
    at_ += option_.length;
    return &option_;
  }

  /// How many bytes it has stepped over.
  [[nodiscard]] constexpr std::size_t at() const { return at_; }
  /// The RFC 792 pointer to the option that could not be read; 0 while all is well.
  [[nodiscard]] constexpr u8 error() const { return error_; }
};

/// What a header's options ask for: the offset of each from the start of the IP header, 0 if it is absent.
struct ip_options {
  u8 optlen = 0;  ///< bytes of the block
  u8 srr = 0;     ///< source route, loose or strict
  u8 rr = 0;
  u8 ts = 0;
  u8 cipso = 0;
  u8 router_alert = 0;  ///< present with value 0, the only one that RFC 2113 defines
  bool is_strictroute = false;
};

}  // namespace netstack::inline wire

namespace netstack::detail {

/// A route's third byte points, counting from 1, to the next of its four-byte slots; beyond the length it is used up.
constexpr u8 check_ip_route(ip_option const& o) {
  if (o.length < 3) return static_cast<u8>(o.at + 1);
  u8 const pointer = o.data[0];
  if (pointer < 4 || (pointer <= o.length && pointer + 3 > o.length)) return static_cast<u8>(o.at + 2);
  return 0;
}

/// RFC 791 §3.1, internet timestamp: pointer, overflow count and flag, then slots of four or eight bytes.
constexpr u8 check_ip_timestamp(ip_option const& o) {
  if (o.length < 4) return static_cast<u8>(o.at + 1);
  u8 const pointer = o.data[0];
  u8 const flag = o.data[1] & 0x0f;
  if (pointer < 5) return static_cast<u8>(o.at + 2);
  if (pointer > o.length)  // full: each host only counts, and a count that is full is an error
    return o.data[1] >> 4 == 15 ? static_cast<u8>(o.at + 3) : u8{0};
  if (pointer + 3 > o.length) return static_cast<u8>(o.at + 2);
  if (flag == ipopt::ts_tsonly) return 0;
  if (flag != ipopt::ts_tsandaddr && flag != ipopt::ts_prespec) return static_cast<u8>(o.at + 3);
  return pointer + 7 > o.length ? static_cast<u8>(o.at + 2) : u8{0};
}

/// Notes that an option is there; a second one of its sort is an error.
constexpr u8 note_once(u8& offset, ip_option const& o, u8 error) {
  if (offset != 0) return o.at;
  offset = o.at;
  return error;
}

constexpr u8 note_ip_option(ip_options& opt, ip_option const& o) {
  switch (o.kind) {
    case ipopt::lsrr:
    case ipopt::ssrr:
      // RFC 1812 §5.2.4.1: two source routes, of whichever kind, make the header invalid.
      opt.is_strictroute = o.kind == ipopt::ssrr;
      return note_once(opt.srr, o, check_ip_route(o));
    case ipopt::rr: return note_once(opt.rr, o, check_ip_route(o));
    case ipopt::timestamp: return note_once(opt.ts, o, check_ip_timestamp(o));
    case ipopt::cipso: return note_once(opt.cipso, o, 0);
    case ipopt::ra:
      if (o.length < 4) return static_cast<u8>(o.at + 1);
      if (o.data[0] == 0 && o.data[1] == 0) opt.router_alert = o.at;
      return 0;
    default: return 0;  // RFC 1122 §3.2.1.8: an unknown option is ignored
  }
}

}  // namespace netstack::detail

namespace netstack::inline wire {

/// Checks a whole block and notes what it holds. Returns 0, or the RFC 792 pointer of the first error; then `opt` holds
/// what stands before it and must not be acted on.
constexpr u8 parse_ip_options(ip_options& opt, unsigned char const* block, std::size_t len) {
  opt = {.optlen = static_cast<u8>(len < ipopt::max_len ? len : ipopt::max_len)};
  ip_option_parser parser{block, len};
  while (auto const* option = parser.next())
    if (u8 const error = detail::note_ip_option(opt, *option)) return error;
  return parser.error();
}

}  // namespace netstack::inline wire
