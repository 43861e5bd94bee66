// SPDX-License-Identifier: BSL-1.0
// Decides: the bytes of a pcapng file in which a packet can have a comment, and when they are written: blocks collect
// in a buffer of fixed size, which goes to the file in one piece. What cannot be written is counted and forgotten. Two
// interfaces are described: 0 carries Ethernet frames, 1 bare IP packets.
// Format: draft-ietf-opsawg-pcapng §4.1 (section header), §4.2 (interface description), §4.3 (enhanced packet)
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "netstack/base/result.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack::drivers::detail {

class pcapng_file {
  int fd_ = -1;
  u32 snaplen_ = 0;
  u32 used_ = 0;
  u32 blocks_ = 0;  // in the buffer
  u32 interfaces_ = 0;
  u32 number_of_[2]{};  // of ethernet and raw_ip, from 1; 0: not described yet
  alignas(8) u8 buffer_[16384];

 public:
  enum class link : u16 { ethernet = 1, raw_ip = 101 };  // LINKTYPE_…
  /// The longest part of a packet that a block may hold.
  static constexpr u32 snaplen_max = 15360;
  static constexpr u32 comment_max = 256;
  u64 written = 0, lost = 0;  ///< packets that are in the file, and that could not be written

  pcapng_file() = default;
  pcapng_file(pcapng_file const&) = delete;
  pcapng_file& operator=(pcapng_file const&) = delete;
  ~pcapng_file() { close(); }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  /// Errors: the kernel's.
  result<void> open(char const* path, u32 snaplen) {
    fd_ = ::open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT | O_TRUNC, 0644);
    if (fd_ < 0) return failure{static_cast<std::errc>(errno)};
    snaplen_ = snaplen;
    written = lost = 0;
    interfaces_ = number_of_[0] = number_of_[1] = 0;
    put32(section_header), put32(28), put32(byte_order), put16(1), put16(0), put32(~0u), put32(~0u), put32(28);
    return {};
  }
  /// A packet, of which `before` bytes lie in front of its data, and what is to be said of it, if anything.
  void add(u64 now_real, link kind, sk_buff const& skb, u32 before, std::string_view comment) {
    u32 const length = before + skb.len, captured = std::min(length, snaplen_);
    auto const said = static_cast<u16>(std::min<std::size_t>(comment.size(), comment_max));
    u32 const total = 32 + padded(captured) + (said ? 4 + padded(said) + 4 : 0);
    if (used_ + total + description_size > sizeof buffer_) flush();
    u32& number = number_of_[kind == link::raw_ip];
    if (number == 0) {
      describe(kind);
      number = ++interfaces_;
    }
    put32(enhanced_packet), put32(total), put32(number - 1);
    put32(static_cast<u32>(now_real >> 32)), put32(static_cast<u32>(now_real));
    put32(captured), put32(length);
    u32 const in_front = std::min(before, captured);
    put(skb.data - before, in_front);
    for_each_piece(skb, 0, captured - in_front, [this](u8 const* bytes, u32 n) { put(bytes, n); });
    align();
    if (said) {
      put16(opt_comment), put16(said);
      put(reinterpret_cast<u8 const*>(comment.data()), said);
      align();
      put32(opt_endofopt);
    }
    put32(total);
    ++blocks_;
  }
  void flush() {
    if (used_ == 0) return;
    bool const good = ::write(fd_, buffer_, used_) == static_cast<ssize_t>(used_);
    (good ? written : lost) += blocks_;
    used_ = blocks_ = 0;
  }
  void close() {
    if (fd_ < 0) return;
    flush();
    ::close(std::exchange(fd_, -1));
  }

 private:
  static constexpr u32 section_header = 0x0a0d0d0a, byte_order = 0x1a2b3c4d, interface_description = 1,
                       enhanced_packet = 6, opt_endofopt = 0;
  static constexpr u16 opt_comment = 1, if_tsresol = 9;
  static constexpr u32 description_size = 32;

  static u32 padded(u32 n) { return (n + 3) & ~3u; }
  void put(u8 const* bytes, u32 n) {
    std::memcpy(buffer_ + used_, bytes, n);
    used_ += n;
  }
  void put16(u16 v) { put(reinterpret_cast<u8 const*>(&v), sizeof v); }
  void put32(u32 v) { put(reinterpret_cast<u8 const*>(&v), sizeof v); }
  void align() {
    while (used_ % 4 != 0) buffer_[used_++] = 0;
  }
  void describe(link kind) {
    put32(interface_description), put32(description_size), put16(static_cast<u16>(kind)), put16(0), put32(snaplen_);
    put16(if_tsresol), put16(1), put32(9);  // times are in 10^-9 s
    put32(opt_endofopt), put32(description_size);
  }
};

}  // namespace netstack::drivers::detail
