// SPDX-License-Identifier: BSL-1.0
// Decides: how a setting is written and read as text: one number a line, arrays separated by tabs, port sets as ranges.
// A text is taken wholly or not at all; nothing is stored here. Differences from Linux, on purpose: an array of which
// one element is bad stays as it was (Linux keeps the elements before it), and what follows the last value is an error
// (Linux ignores it). Fewer values than the array has change the first ones only, as in Linux. [S30]
// Linux: kernel/sysctl.c (proc_dointvec_minmax, proc_do_large_bitmap, proc_dostring)
#pragma once
#include <bit>
#include <cstring>

#include "netstack/registry/sysctl.hpp"

namespace netstack::detail {

inline constexpr std::size_t ctl_value_max = 48;

/// A value ready to be copied over the member.
struct ctl_value {
  u16 bytes = 0;
  alignas(8) std::byte data[ctl_value_max];
};

constexpr bool is_ctl_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

constexpr std::string_view ctl_trim(std::string_view text) {
  while (!text.empty() && is_ctl_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_ctl_space(text.back())) text.remove_suffix(1);
  return text;
}

/// The number that `word` is, wholly: decimal, 0x hexadecimal or 0 octal, as the kernel reads it.
inline bool ctl_digits(std::string_view word, u64& out) {
  int base = 10;
  if (word.starts_with("0x") || word.starts_with("0X")) {
    base = 16;
    word.remove_prefix(2);
  } else if (word.size() > 1 && word.front() == '0') {
    base = 8;
    word.remove_prefix(1);
  }
  char const* const end = word.data() + word.size();
  auto const [stop, error] = std::from_chars(word.data(), end, out, base);
  return error == std::errc{} && stop == end;
}

/// One element within the row's bounds, in the units of storage. Error: invalid_argument.
inline result<u64> ctl_parse_number(ctl_table const& row, std::string_view word) {
  bool const negative = word.starts_with('-');
  if (negative) word.remove_prefix(1);
  u64 magnitude = 0;
  if (!ctl_digits(word, magnitude)) return failure{std::errc::invalid_argument};
  constexpr u64 half = u64{1} << 63;
  if (negative) {
    if (magnitude > half || static_cast<s64>(0 - magnitude) < row.min) return failure{std::errc::invalid_argument};
  } else if (magnitude > row.max || (row.min > 0 && magnitude < static_cast<u64>(row.min))) {
    return failure{std::errc::invalid_argument};
  }
  u64 stored = 0;
  u64 const limit = row.is_signed ? half - 1 : ~u64{0};
  if (__builtin_mul_overflow(magnitude, row.unit, &stored) || (row.unit != 1 && stored > limit))
    return failure{std::errc::invalid_argument};
  if (row.unit != 1 && row.width < 8 && stored >> (8 * row.width - row.is_signed) != 0)
    return failure{std::errc::invalid_argument};
  return negative ? 0 - stored : stored;
}

inline void ctl_put(std::byte* at, u8 width, u64 value) {
  u8 const v8 = static_cast<u8>(value);
  u16 const v16 = static_cast<u16>(value);
  u32 const v32 = static_cast<u32>(value);
  switch (width) {
    case 1: std::memcpy(at, &v8, 1); break;
    case 2: std::memcpy(at, &v16, 2); break;
    case 4: std::memcpy(at, &v32, 4); break;
    default: std::memcpy(at, &value, 8); break;
  }
}
template <class Unsigned>
u64 ctl_widen(std::byte const* at, bool is_signed) {
  Unsigned value;
  std::memcpy(&value, at, sizeof value);
  return is_signed ? static_cast<u64>(static_cast<s64>(static_cast<std::make_signed_t<Unsigned>>(value))) : value;
}
inline u64 ctl_get(std::byte const* at, u8 width, bool is_signed) {
  switch (width) {
    case 1: return ctl_widen<u8>(at, is_signed);
    case 2: return ctl_widen<u16>(at, is_signed);
    case 4: return ctl_widen<u32>(at, is_signed);
    default: return ctl_widen<u64>(at, is_signed);
  }
}

/// A number, an array or a string from its text. Error: invalid_argument.
inline result<ctl_value> ctl_parse(ctl_table const& row, std::string_view text) {
  ctl_value v;
  text = ctl_trim(text);
  if (row.type == ctl_type::string) {
    if (text.size() >= row.count) return failure{std::errc::invalid_argument};
    std::memset(v.data, 0, sizeof v.data);
    std::memcpy(v.data, text.data(), text.size());
    v.bytes = static_cast<u16>(row.count);
    return v;
  }
  u32 n = 0;
  while (!text.empty()) {
    std::size_t end = 0;
    while (end < text.size() && !is_ctl_space(text[end])) ++end;
    if (n == row.count) return failure{std::errc::invalid_argument};
    auto const number = ctl_parse_number(row, text.substr(0, end));
    if (!number) return failure{number.error()};
    ctl_put(v.data + std::size_t{n++} * row.width, row.width, *number);
    text = ctl_trim(text.substr(end));
  }
  if (n == 0) return failure{std::errc::invalid_argument};
  v.bytes = static_cast<u16>(n * row.width);
  return v;
}

/// Calls f(low, high) for each range of "1000-2000,3000". Error: invalid_argument (what was called before stays
/// called).
template <class F>
result<void> ctl_parse_ranges(std::string_view text, u32 bits, F f) {
  text = ctl_trim(text);
  while (!text.empty()) {
    std::size_t const comma = std::min(text.find(','), text.size());
    std::string_view const range = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    std::size_t const dash = range.find('-');
    u64 low = 0, high = 0;
    if (!ctl_digits(range.substr(0, dash), low)) return failure{std::errc::invalid_argument};
    high = low;
    if (dash != std::string_view::npos && !ctl_digits(range.substr(dash + 1), high))
      return failure{std::errc::invalid_argument};
    if (high < low || high >= bits) return failure{std::errc::invalid_argument};
    f(static_cast<u16>(low), static_cast<u16>(high));
  }
  return {};
}

inline void ctl_show_bitmap(seq_file& m, u64 const* words, u32 bits) {
  char const* separator = "";
  auto const at = [&](u32 i) { return (words[i / 64] >> (i % 64) & 1) != 0; };
  for (u32 i = 0; i < bits; ++i) {
    if (words[i / 64] >> (i % 64) == 0) {  // nothing more in this word
      i |= 63;
      continue;
    }
    if (!at(i)) continue;
    u32 last = i;
    while (last + 1 < bits && at(last + 1)) ++last;
    seq_put_decimal_ull(m, separator, i);
    if (last != i) seq_put_decimal_ull(m, "-", last);
    separator = ",";
    i = last;
  }
}

/// The text of a value, its newline included.
inline void ctl_show_value(ctl_table const& row, void const* data, seq_file& m) {
  auto const* bytes = static_cast<std::byte const*>(data);
  if (row.type == ctl_type::string) {
    auto const* text = static_cast<char const*>(data);
    seq_puts(m, {text, ::strnlen(text, row.count)});
  } else if (row.type == ctl_type::bitmap) {
    ctl_show_bitmap(m, static_cast<u64 const*>(data), row.count);
  } else {
    for (u32 i = 0; i < row.count; ++i) {
      u64 const raw = ctl_get(bytes + std::size_t{i} * row.width, row.width, row.is_signed);
      if (row.is_signed)
        seq_put_decimal_ll(m, i ? "\t" : "", static_cast<s64>(raw) / static_cast<s64>(row.unit));
      else
        seq_put_decimal_ull(m, i ? "\t" : "", raw / row.unit);
    }
  }
  seq_putc(m, '\n');
}

}  // namespace netstack::detail
