// SPDX-License-Identifier: BSL-1.0
// Decides: what the options of a TCP segment say, and how ours are laid out. A length that cannot be ends the reading:
// what stood before it counts, what follows is as if it were not there. An option of the wrong size, or one that only a
// SYN may carry, is passed over; so is every unknown one.
// rx: called by tcp/tcp_ipv4 and tcp/tcp_input; tx: by tcp/tcp_output
// Linux: net/ipv4/tcp_input.c (tcp_parse_options), net/ipv4/tcp_output.c (tcp_options_write), include/net/tcp.h
// RFC 9293 §3.1, §3.2 (MUST-4 MUST-5 MUST-6 MUST-7 MUST-68 MUST-64), RFC 7323 §2, §3, app. A (layout), RFC 2018 §2, §3,
// RFC 5482, RFC 7413 §4.1
#pragma once
#include <algorithm>
#include <array>
#include <bit>

#include "netstack/wire/tcp.hpp"

namespace netstack::inline wire {

namespace tcpopt {
inline constexpr u8 eol = 0;
inline constexpr u8 nop = 1;
inline constexpr u8 mss = 2;
inline constexpr u8 window = 3;  ///< window scale
inline constexpr u8 sack_perm = 4;
inline constexpr u8 sack = 5;
inline constexpr u8 timestamp = 8;
inline constexpr u8 user_timeout = 28;
inline constexpr u8 fastopen = 34;

inline constexpr u8 mss_len = 4, window_len = 3, sack_perm_len = 2, sack_base = 2, sack_perblock = 8,
                    timestamp_len = 10, user_timeout_len = 4, fastopen_base = 2;
/// As they are laid out, with no-ops in front so that numbers lie on words.
inline constexpr u8 tstamp_aligned = 12, wscale_aligned = 4, sack_perm_aligned = 4, sack_base_aligned = 4;
/// The first four bytes of a time stamp so laid out, as they lie in memory; and as a number.
inline constexpr auto tstamp_lead = std::bit_cast<u32>(std::array<u8, 4>{nop, nop, timestamp, timestamp_len});
inline constexpr u32 tstamp_word = 0x0101'0000 | timestamp << 8 | timestamp_len;
/// Nearly every SYN's five words: the MSS; SACK-permitted in front of a time stamp, with its two numbers; the scale.
inline constexpr u32 syn_mss_word = mss << 24 | mss_len << 16;
inline constexpr u32 syn_tstamp_word = sack_perm << 24 | sack_perm_len << 16 | timestamp << 8 | timestamp_len;
inline constexpr u32 syn_wscale_word = u32{nop} << 24 | window << 16 | window_len << 8;
inline constexpr u8 syn_aligned = 20;
inline constexpr std::size_t max_len = tcp_hlen_max - tcp_hlen_min;
inline constexpr u8 max_wscale = 14;  ///< RFC 7323 §2.3
inline constexpr u8 max_sacks = 4;
inline constexpr u8 fastopen_min = 4, fastopen_max = 16;
}  // namespace tcpopt

/// One option that carries a length, wholly inside its block.
struct tcp_option {
  u8 kind = 0;
  u8 length = 0;                        ///< kind and length bytes included, 2 or more
  unsigned char const* data = nullptr;  ///< the length - 2 bytes that follow
};

/// Walks the `len` bytes behind a plain header, at most 40:
///   for (tcp_option_parser parser{p, len}; auto const* option = parser.next();) …
class tcp_option_parser {
  unsigned char const* block_;
  std::size_t len_;
  std::size_t at_ = 0;
  bool malformed_ = false;
  tcp_option option_{};

 public:
  constexpr tcp_option_parser(unsigned char const* block, std::size_t len)
      : block_(block), len_(std::min(len, tcpopt::max_len)) {}

  /// The next option, valid until the next call; null at the end and at a malformed one.
  constexpr tcp_option const* next() {
    while (at_ < len_ && block_[at_] == tcpopt::nop) ++at_;
    if (malformed_ || at_ == len_ || block_[at_] == tcpopt::eol) return nullptr;
    std::size_t const left = len_ - at_;
    // RFC 9293 §3.2 MUST-7: an illegal length, zero among them, must not be followed.
    if (left < 2 || block_[at_ + 1] < 2 || block_[at_ + 1] > left) {
      malformed_ = true;
      return nullptr;
    }
    option_ = {.kind = block_[at_], .length = block_[at_ + 1], .data = block_ + at_ + 2};
    at_ += option_.length;
    return &option_;
  }
  [[nodiscard]] constexpr bool malformed() const { return malformed_; }
};

/// A range of sequence numbers: [start, end).
struct tcp_sack_block {
  u32 start_seq, end_seq;
  friend constexpr bool operator==(tcp_sack_block const&, tcp_sack_block const&) = default;
};

/// What a segment's options said.
struct tcp_options_received {
  u32 rcv_tsval = 0, rcv_tsecr = 0;
  u16 mss = 0;           ///< 0: absent
  u16 user_timeout = 0;  ///< RFC 5482 §2: granularity bit and 15 bits; 0: absent
  u8 snd_wscale = 0;
  bool saw_tstamp = false;
  bool wscale_ok = false;
  bool sack_ok = false;
  u8 num_sacks = 0;
  u8 fastopen_len = 0;    ///< of the cookie
  bool fastopen = false;  ///< asked for one (fastopen_len 0), or brings one
  std::array<u8, tcpopt::fastopen_max> cookie{};
  std::array<tcp_sack_block, tcpopt::max_sacks> sacks;  ///< num_sacks of them

  /// For each segment: so much is cleared by a few stores, all of it by the slow string instruction.
  constexpr tcp_options_received() {
    if (std::is_constant_evaluated()) sacks = {};
  }
};

}  // namespace netstack::inline wire

namespace netstack::detail {

constexpr u16 get_be16(unsigned char const* p) { return static_cast<u16>(p[0] << 8 | p[1]); }
constexpr u32 get_be32(unsigned char const* p) { return u32{get_be16(p)} << 16 | get_be16(p + 2); }
constexpr unsigned char* put_be16(unsigned char* p, u16 v) {
  p[0] = static_cast<u8>(v >> 8), p[1] = static_cast<u8>(v);
  return p + 2;
}
constexpr unsigned char* put_be32(unsigned char* p, u32 v) {
  return put_be16(put_be16(p, static_cast<u16>(v >> 16)), static_cast<u16>(v));
}

/// RFC 2018 §3: blocks of eight bytes each; one that is cut short makes the option void.
constexpr void note_sacks(tcp_options_received& rx, tcp_option const& o) {
  if (o.length < tcpopt::sack_base + tcpopt::sack_perblock || (o.length - tcpopt::sack_base) % tcpopt::sack_perblock)
    return;
  rx.num_sacks = static_cast<u8>((o.length - tcpopt::sack_base) / tcpopt::sack_perblock);
  for (u8 i = 0; i < rx.num_sacks; ++i)
    rx.sacks[i] = {get_be32(o.data + i * tcpopt::sack_perblock), get_be32(o.data + i * tcpopt::sack_perblock + 4)};
}

/// RFC 7413 §4.1.1: 4 to 16 bytes of an even number, or none to ask for one.
constexpr void note_fastopen(tcp_options_received& rx, tcp_option const& o) {
  u8 const len = static_cast<u8>(o.length - tcpopt::fastopen_base);
  if (len != 0 && (len < tcpopt::fastopen_min || len > tcpopt::fastopen_max || len % 2)) return;
  rx.fastopen = true;
  rx.fastopen_len = len;
  std::copy_n(o.data, len, rx.cookie.begin());
}

/// A SYN whose options are those that nearly every SYN has, so laid out.
constexpr bool note_common_syn(tcp_options_received& rx, unsigned char const* block, std::size_t len) {
  if (len != tcpopt::syn_aligned) return false;
  u32 const mss = get_be32(block) ^ tcpopt::syn_mss_word, wscale = get_be32(block + 16) ^ tcpopt::syn_wscale_word;
  if (mss > 0xffff || wscale > 0xff || get_be32(block + 4) != tcpopt::syn_tstamp_word) return false;
  rx.mss = static_cast<u16>(mss);
  rx.saw_tstamp = rx.sack_ok = rx.wscale_ok = true;
  rx.rcv_tsval = get_be32(block + 8);
  rx.rcv_tsecr = get_be32(block + 12);
  rx.snd_wscale = std::min(static_cast<u8>(wscale), tcpopt::max_wscale);  // RFC 7323 §2.3
  return true;
}

constexpr void note_tcp_option(tcp_options_received& rx, tcp_option const& o, bool syn) {
  switch (o.kind) {
    case tcpopt::mss:  // MUST-14: only in a SYN
      if (syn && o.length == tcpopt::mss_len) rx.mss = get_be16(o.data);
      return;
    case tcpopt::window:
      if (!syn || o.length != tcpopt::window_len) return;
      rx.wscale_ok = true;
      rx.snd_wscale = std::min(o.data[0], tcpopt::max_wscale);  // RFC 7323 §2.3: more than 14 is taken for 14
      return;
    case tcpopt::sack_perm:
      if (syn && o.length == tcpopt::sack_perm_len) rx.sack_ok = true;
      return;
    case tcpopt::sack:
      if (!syn) note_sacks(rx, o);
      return;
    case tcpopt::timestamp:
      if (o.length != tcpopt::timestamp_len) return;
      rx.saw_tstamp = true;
      rx.rcv_tsval = get_be32(o.data);
      rx.rcv_tsecr = get_be32(o.data + 4);
      return;
    case tcpopt::user_timeout:
      if (o.length == tcpopt::user_timeout_len) rx.user_timeout = get_be16(o.data);
      return;
    case tcpopt::fastopen:
      if (syn) note_fastopen(rx, o);
      return;
    default: return;  // RFC 9293 §3.1 MUST-6: an unknown option is ignored
  }
}

}  // namespace netstack::detail

namespace netstack::inline wire {

/// RFC 7323 app. A: how nearly every segment's options look. `rx`: nothing yet. False: they look otherwise.
NETSTACK_INLINE constexpr bool tcp_parse_stamp(tcp_options_received& rx, unsigned char const* block, std::size_t len) {
  if (len != tcpopt::tstamp_aligned || detail::get_be32(block) != tcpopt::tstamp_word) return false;
  rx.saw_tstamp = true;
  rx.rcv_tsval = detail::get_be32(block + 4);
  rx.rcv_tsecr = detail::get_be32(block + 8);
  return true;
}
/// … of one that looks like none of the common ones.
NETSTACK_NOINLINE constexpr bool tcp_parse_rare(tcp_options_received& rx, unsigned char const* block, std::size_t len,
                                                bool syn) {
  tcp_option_parser parser{block, len};
  while (auto const* option = parser.next()) detail::note_tcp_option(rx, *option, syn);
  return !parser.malformed();
}
/// The options of a segment; `rx`: nothing yet, `syn`: its SYN bit. False: a malformed one ended the reading early.
constexpr bool tcp_parse_others(tcp_options_received& rx, unsigned char const* block, std::size_t len, bool syn) {
  if (syn && detail::note_common_syn(rx, block, len)) [[likely]]
    return true;
  return tcp_parse_rare(rx, block, len, syn);
}
/// The same, whatever is in `rx` yet.
constexpr bool tcp_parse_options(tcp_options_received& rx, unsigned char const* block, std::size_t len, bool syn) {
  rx = {};
  return tcp_parse_stamp(rx, block, len) || tcp_parse_others(rx, block, len, syn);
}

/// What a segment of ours says.
struct tcp_out_options {
  u32 tsval = 0, tsecr = 0;
  u16 mss = 0;           ///< 0: none
  u16 user_timeout = 0;  ///< 0: none
  u8 wscale = 0;
  bool tstamp = false;
  bool wscale_ok = false;
  bool sack_ok = false;  ///< in a SYN: permitted
  u8 num_sacks = 0;
  u8 fastopen_len = 0;
  bool fastopen = false;
  std::array<tcp_sack_block, tcpopt::max_sacks> sacks{};
  std::array<u8, tcpopt::fastopen_max> cookie{};

  /// Bytes on the wire, a multiple of four; at most tcpopt::max_len, or it is the caller's mistake.
  [[nodiscard]] constexpr u32 size() const {
    u32 n = 0;
    if (mss != 0) n += tcpopt::mss_len;
    if (tstamp) n += tcpopt::tstamp_aligned;  // SACK-permitted takes the place of its no-ops
    if (sack_ok && !tstamp) n += tcpopt::sack_perm_aligned;
    if (wscale_ok) n += tcpopt::wscale_aligned;
    if (user_timeout != 0) n += tcpopt::user_timeout_len;
    if (num_sacks != 0) n += tcpopt::sack_base_aligned + u32{num_sacks} * tcpopt::sack_perblock;
    if (fastopen) n += (tcpopt::fastopen_base + u32{fastopen_len} + 3) & ~u32{3};
    return n;
  }
  /// Nothing but a time stamp.
  [[nodiscard]] constexpr bool is_stamp() const {
    return tstamp && !sack_ok && !wscale_ok && (mss | user_timeout | num_sacks) == 0 && !fastopen;
  }
  /// Those that nearly every SYN has, and no others.
  [[nodiscard]] constexpr bool is_common_syn() const {
    bool const sized = mss != 0, rare = fastopen || (user_timeout | num_sacks) != 0;
    return tstamp & sack_ok & wscale_ok & sized & !rare;
  }
};

/// Writes opts.size() bytes.
constexpr void tcp_options_write(unsigned char* to, tcp_out_options const& opts) {
  auto const put = [&to](auto... bytes) { ((*to++ = static_cast<u8>(bytes)), ...); };
  if (opts.mss != 0) {
    put(tcpopt::mss, tcpopt::mss_len);
    to = detail::put_be16(to, opts.mss);
  }
  if (opts.sack_ok && opts.tstamp)
    put(tcpopt::sack_perm, tcpopt::sack_perm_len);
  else if (opts.sack_ok)
    put(tcpopt::nop, tcpopt::nop, tcpopt::sack_perm, tcpopt::sack_perm_len);
  else if (opts.tstamp)
    put(tcpopt::nop, tcpopt::nop);
  if (opts.tstamp) {
    put(tcpopt::timestamp, tcpopt::timestamp_len);
    to = detail::put_be32(detail::put_be32(to, opts.tsval), opts.tsecr);
  }
  if (opts.wscale_ok) put(tcpopt::nop, tcpopt::window, tcpopt::window_len, opts.wscale);
  if (opts.user_timeout != 0) {
    put(tcpopt::user_timeout, tcpopt::user_timeout_len);
    to = detail::put_be16(to, opts.user_timeout);
  }
  if (opts.num_sacks != 0) {
    put(tcpopt::nop, tcpopt::nop, tcpopt::sack, tcpopt::sack_base + opts.num_sacks * tcpopt::sack_perblock);
    for (u8 i = 0; i < opts.num_sacks; ++i)
      to = detail::put_be32(detail::put_be32(to, opts.sacks[i].start_seq), opts.sacks[i].end_seq);
  }
  if (opts.fastopen) {
    u32 const len = tcpopt::fastopen_base + u32{opts.fastopen_len};
    for (u32 pad = len; pad % 4; ++pad) put(tcpopt::nop);
    put(tcpopt::fastopen, len);
    for (u8 i = 0; i < opts.fastopen_len; ++i) put(opts.cookie[i]);
  }
}

}  // namespace netstack::inline wire
