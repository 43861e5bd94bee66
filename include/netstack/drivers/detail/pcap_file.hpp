// SPDX-License-Identifier: BSL-1.0
// Decides: the bytes of a classic pcap file with nanosecond times, and when they are written: records collect in a
// buffer of fixed size, which goes to the file in one piece. What cannot be written is counted and forgotten, so a full
// disk does not stop a network.
// Format: draft-ietf-opsawg-pcap §4 (file header), §5 (packet record); link types of its registry
#pragma once
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "netstack/base/result.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack::drivers::detail {

class pcap_file {
  struct file_header {
    u32 magic = 0xa1b23c4d;  // in the writer's byte order; …3c4d: fractions are nanoseconds
    u16 major = 2, minor = 4;
    u32 reserved[2]{};
    u32 snaplen = 0;
    u32 link_type = 0;
  };
  struct record_header {
    u32 seconds, nanoseconds, captured, length;
  };
  static_assert(sizeof(file_header) == 24 && sizeof(record_header) == 16);

  int fd_ = -1;
  u32 snaplen_ = 0;
  u32 used_ = 0;
  u32 last_ = 0;     // where the last record starts
  u32 records_ = 0;  // in the buffer
  u8 buffer_[16384];

 public:
  static constexpr u32 linktype_ethernet = 1, linktype_raw = 101;
  u64 written = 0;  ///< records that are in the file
  u64 lost = 0;     ///< records that could not be written

  pcap_file() = default;
  pcap_file(pcap_file const&) = delete;
  pcap_file& operator=(pcap_file const&) = delete;
  ~pcap_file() { close(); }

  /// `first`: makes the file and its header; else it is there, and records are appended. Errors: the kernel's.
  result<void> open(char const* path, u32 link_type, u32 snaplen, bool first) {
    fd_ = ::open(path, O_WRONLY | O_APPEND | O_CLOEXEC | (first ? O_CREAT | O_TRUNC : 0), 0644);
    if (fd_ < 0) return failure{static_cast<std::errc>(errno)};
    snaplen_ = snaplen;
    file_header const header{.snaplen = snaplen, .link_type = link_type};
    if (first && ::write(fd_, &header, sizeof header) != static_cast<ssize_t>(sizeof header)) {
      auto const why = failure{static_cast<std::errc>(errno)};
      close();
      return why;
    }
    return {};
  }

  /// One frame, with the `before` bytes in front of its data, as it is on the wire: a checksum that was left to the
  /// device is finished in the record.
  void add(u64 now_real, sk_buff const& skb, u32 before) {
    u32 const length = before + skb.len;
    u32 const captured = length < snaplen_ ? length : snaplen_;
    record_header const header{static_cast<u32>(now_real / 1'000'000'000), static_cast<u32>(now_real % 1'000'000'000),
                               captured, length};
    if (used_ + sizeof header + captured > sizeof buffer_) flush();
    last_ = used_;
    std::memcpy(buffer_ + used_, &header, sizeof header);
    used_ += static_cast<u32>(sizeof header);
    u32 const in_front = std::min(before, captured);
    append(skb.data - before, in_front);
    for_each_piece(skb, 0, captured - in_front, [this](u8 const* bytes, u32 n) { append(bytes, n); });
    skb_checksum_in_copy(skb, buffer_ + used_ - (captured - in_front), captured - in_front);
    ++records_;
  }
  [[nodiscard]] bool empty() const { return used_ == 0; }

  /// A record may be taken back as long as it is the last one.
  void take_back_last() {
    used_ = last_;
    --records_;
  }

  /// Writes the buffer to the file.
  void flush() {
    if (used_ == 0) return;
    bool const good = ::write(fd_, buffer_, used_) == static_cast<ssize_t>(used_);
    (good ? written : lost) += records_;
    used_ = records_ = 0;
  }
  void close() {
    if (fd_ < 0) return;
    flush();
    ::close(std::exchange(fd_, -1));
  }

  /// The longest part of a frame that a record may hold.
  static constexpr u32 snaplen_max = sizeof buffer_ - sizeof(record_header);

 private:
  void append(u8 const* bytes, u32 n) {
    std::memcpy(buffer_ + used_, bytes, n);
    used_ += n;
  }
};

}  // namespace netstack::drivers::detail
