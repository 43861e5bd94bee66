// SPDX-License-Identifier: BSL-1.0
// Decides: how a module makes a text under /proc/net: record by record, restartable, without a heap. A reader holds a
// seq_cursor by value, never a pointer into a table, so records may come and go between two reads. [S165] [S183]
//
//   template <class Net>
//   bool udp4_seq_show(Net& net, seq_file& m, seq_cursor& at);          // one record; false: there is none at `at`
//   template <class Net>
//   static constexpr std::array proc{proc_entry<Net>{.name = "net/udp", .show = udp4_seq_show<Net>, .header = "…\n"}};
//
// Linux: fs/seq_file.c, include/linux/proc_fs.h (proc_create_net)
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "netstack/base/config.hpp"

namespace netstack {

/// A bounded text sink. What does not fit is cut off and remembered; nothing is ever allocated.
class seq_file {
  char* buf_;
  std::size_t size_;
  std::size_t count_ = 0;
  bool overflow_ = false;

 public:
  explicit seq_file(std::span<char> out) : buf_(out.data()), size_(out.size()) {}
  seq_file(seq_file const&) = delete;
  seq_file& operator=(seq_file const&) = delete;

  [[nodiscard]] std::string_view text() const { return {buf_, count_}; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] bool has_overflowed() const { return overflow_; }

  void write(char const* text, std::size_t n) {
    std::size_t const fits = std::min(n, size_ - count_);
    std::memcpy(buf_ + count_, text, fits);
    count_ += fits;
    overflow_ = overflow_ || fits != n;
  }
  void fill(char c, std::size_t n) {
    std::size_t const fits = std::min(n, size_ - count_);
    std::memset(buf_ + count_, c, fits);
    count_ += fits;
    overflow_ = overflow_ || fits != n;
  }
};

inline void seq_puts(seq_file& m, std::string_view text) { m.write(text.data(), text.size()); }
inline void seq_putc(seq_file& m, char c) { m.write(&c, 1); }

/// As printf; at most 512 bytes a call. For integers, strings and characters: floating point could allocate.
[[gnu::format(printf, 2, 3)]] inline void seq_printf(seq_file& m, char const* format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  int const n = std::vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (n > 0) m.write(line, std::min(static_cast<std::size_t>(n), sizeof line - 1));
}

/// `delimiter`, then the number, right-aligned in `width`.
inline void seq_put_decimal_ull(seq_file& m, std::string_view delimiter, u64 value, std::size_t width = 0) {
  char digits[20];
  auto const n = static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits);
  seq_puts(m, delimiter);
  if (n < width) m.fill(' ', width - n);
  m.write(digits, n);
}
inline void seq_put_decimal_ll(seq_file& m, std::string_view delimiter, s64 value) {
  char digits[20];
  auto const n = static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits);
  seq_puts(m, delimiter);
  m.write(digits, n);
}
/// `delimiter`, then the number in lower-case hex with at least `width` digits.
inline void seq_put_hex_ll(seq_file& m, std::string_view delimiter, u64 value, std::size_t width = 1) {
  char digits[16];
  auto const n = static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value, 16).ptr - digits);
  seq_puts(m, delimiter);
  if (n < width) m.fill('0', width - n);
  m.write(digits, n);
}
/// Fills the line with blanks up to `width` characters since `line_start` (m.count() at its start), then adds `c`.
inline void seq_pad(seq_file& m, std::size_t line_start, std::size_t width, char c = 0) {
  std::size_t const used = m.count() - line_start;
  if (used < width) m.fill(' ', width - used);
  if (c) seq_putc(m, c);
}

/// Where a reader stands: all zero at the start, moved on by `show`. What the numbers mean is the entry's own business:
/// a bucket and a place in it, the last ifindex, the last prefix.
struct seq_cursor {
  u64 index = 0;
  u64 bucket = 0;
  u64 key = 0;
};

/// The longest record, in bytes.
inline constexpr std::size_t seq_record_max = 1024;

/// One file. `show` writes the record at the cursor (≤ seq_record_max bytes, its newline included), moves the cursor to
/// the next, and answers true; false, with nothing written, when there is no further record. A text of one record:
/// `if (at.index++ != 0) return false;`.
template <class Net>
struct proc_entry {
  char const* name = "";  ///< "net/udp"
  bool (*show)(Net&, seq_file&, seq_cursor&) = nullptr;
  char const* header = "";  ///< lines before the first record, each with its newline
};

/// One line of /proc/net/sockstat, from the module of the protocol: `template <class Net> static constexpr std::array
/// sockstat{…}`. Lines come by ascending order: sockets 0, TCP 10, UDP 20, UDPLITE 30, RAW 40, FRAG 50. [S175]
template <class Net>
struct sockstat_line {
  u32 order = 100;
  void (*show)(Net&, seq_file&) = nullptr;
};

}  // namespace netstack
