// SPDX-License-Identifier: BSL-1.0
// Decides: how the bytes of a call reach the caller's buffers: a scatter list walked by iov_iter (copy, or copy and sum
// in one pass), and control messages in Linux's own layout.
// rx: called by recvmsg of each proto; tx: called by sendmsg of each proto.
// Linux: include/linux/socket.h (msghdr, cmsghdr), lib/iov_iter.c, net/core/scm.c (put_cmsg)
#pragma once
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>

#include "netstack/core/sockaddr.hpp"
#include "netstack/core/sockopt.hpp"
#include "netstack/wire/checksum.hpp"

namespace netstack {

using ::iovec;  // {void* iov_base; std::size_t iov_len;}

struct msghdr {
  void* msg_name = nullptr;            ///< sending: the destination; receiving: room for the sender's address
  u32 msg_namelen = 0;                 ///< sending, or the room; after receiving: the length of the address
  std::span<iovec const> msg_iov{};    ///< the payload
  std::span<std::byte> msg_control{};  ///< sending: control messages; receiving: room for them
  std::size_t msg_controllen = 0;      ///< after receiving: how much of msg_control is filled
  u32 msg_flags = 0;                   ///< sending: MSG_* flags; after receiving: msg::trunc, ctrunc, errqueue

  /// Bytes in all parts; the largest number where that is more, so that no sum of lengths looks small.
  [[nodiscard]] std::size_t length() const {
    std::size_t n = 0;
    for (auto const& part : msg_iov) n = part.iov_len > ~n ? ~std::size_t{0} : n + part.iov_len;
    return n;
  }
  [[nodiscard]] sockaddr_view name() const { return {msg_name, msg_name ? msg_namelen : 0}; }
};

/// A place in a scatter list. Copies stop at its end; how much was copied is the answer.
class iov_iter {
  std::span<iovec const> parts_;
  std::size_t at_ = 0;  // in parts_.front()
  std::size_t left_;

 public:
  explicit iov_iter(std::span<iovec const> parts) : parts_(parts), left_(0) {
    if (parts.size() == 1) [[likely]]
      left_ = parts.front().iov_len;
    else
      for (auto const& part : parts) left_ += part.iov_len;
  }
  [[nodiscard]] std::size_t count() const { return left_; }

  /// Calls f(piece, n) for the next pieces, `bytes` in all.
  template <class F>
  void walk(std::size_t bytes, F&& f) {
    bytes = std::min(bytes, left_);
    left_ -= bytes;
    while (bytes > 0) {
      auto const& part = parts_.front();
      std::size_t const n = std::min(bytes, part.iov_len - at_);
      if (n > 0) f(static_cast<u8*>(part.iov_base) + at_, n);
      at_ += n;
      bytes -= n;
      if (at_ == part.iov_len) parts_ = parts_.subspan(1), at_ = 0;
    }
  }
  std::size_t copy_to(void const* from, std::size_t bytes) {
    if (parts_.size() == 1 && bytes - 1 < left_) [[likely]] {  // some, and all of them fit
      std::memcpy(static_cast<u8*>(parts_.front().iov_base) + at_, from, bytes);
      at_ += bytes;
      left_ -= bytes;
      return bytes;
    }
    auto const* p = static_cast<u8 const*>(from);
    walk(bytes, [&](u8* piece, std::size_t n) { std::memcpy(piece, p, n), p += n; });
    return static_cast<std::size_t>(p - static_cast<u8 const*>(from));
  }
  NETSTACK_INLINE std::size_t copy_from(void* to, std::size_t bytes) {
    if (parts_.size() == 1 && bytes - 1 < left_) [[likely]] {  // as above
      std::memcpy(to, static_cast<u8 const*>(parts_.front().iov_base) + at_, bytes);
      at_ += bytes;
      left_ -= bytes;
      return bytes;
    }
    auto* p = static_cast<u8*>(to);
    walk(bytes, [&](u8 const* piece, std::size_t n) { std::memcpy(p, piece, n), p += n; });
    return static_cast<std::size_t>(p - static_cast<u8*>(to));
  }
  /// copy_from, and the sum of the copied bytes; `offset` is their place in the whole sum (csum_block_add).
  NETSTACK_INLINE u32 csum_and_copy_from(u8* to, std::size_t bytes, u32 sum, std::size_t offset = 0) {
    if (parts_.size() == 1 && offset == 0 && bytes <= left_) [[likely]] {
      u8 const* const from = static_cast<u8 const*>(parts_.front().iov_base) + at_;
      at_ += bytes;
      left_ -= bytes;
      return csum_partial_copy(to, from, bytes, sum);
    }
    walk(bytes, [&](u8 const* piece, std::size_t n) {
      sum = csum_block_add(sum, csum_partial_copy(to, piece, n, 0), offset);
      to += n;
      offset += n;
    });
    return sum;
  }
};

/// Header of one control message; its data follows, padded to 8 bytes.
struct cmsghdr {
  std::size_t cmsg_len = 0;  ///< this header and the data, without padding
  int cmsg_level = 0;
  int cmsg_type = 0;
};
static_assert(sizeof(cmsghdr) == 16);

constexpr std::size_t cmsg_align(std::size_t n) { return (n + 7) & ~std::size_t{7}; }
constexpr std::size_t cmsg_space(std::size_t n) { return sizeof(cmsghdr) + cmsg_align(n); }

/// Appends a control message for the receiver; msg::ctrunc in msg_flags when there is not room for all of it.
inline void put_cmsg(msghdr& m, int level, int type, void const* data, std::size_t len) {
  std::size_t const room = m.msg_control.size() - m.msg_controllen;
  if (room < sizeof(cmsghdr)) {
    m.msg_flags |= msg::ctrunc;
    return;
  }
  std::size_t const take = std::min(len, room - sizeof(cmsghdr));
  if (take < len) m.msg_flags |= msg::ctrunc;
  cmsghdr const head{sizeof(cmsghdr) + take, level, type};
  std::byte* at = m.msg_control.data() + m.msg_controllen;
  std::memcpy(at, &head, sizeof head);
  if (take > 0) std::memcpy(at + sizeof head, data, take);
  m.msg_controllen += std::min(cmsg_space(take), room);
}
template <class T>
void put_cmsg(msghdr& m, int level, int type, T const& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  put_cmsg(m, level, type, &value, sizeof value);
}

/// One control message as it was read.
struct cmsg_view {
  int level = 0;
  int type = 0;
  std::span<std::byte const> data{};
  template <class T>
  [[nodiscard]] T as() const {
    T out{};
    std::memcpy(static_cast<void*>(&out), data.data(), std::min(sizeof(T), data.size()));
    return out;
  }
};

/// Calls f(cmsg_view) for each message of a control buffer; f answers false to stop. False: stopped, or malformed.
template <class F>
bool for_each_cmsg(std::span<std::byte const> control, F&& f) {
  while (control.size() >= sizeof(cmsghdr)) {
    cmsghdr head;
    std::memcpy(&head, control.data(), sizeof head);
    if (head.cmsg_len < sizeof head || head.cmsg_len > control.size()) return false;
    auto const data = control.subspan(sizeof head, head.cmsg_len - sizeof head);
    if (!f(cmsg_view{head.cmsg_level, head.cmsg_type, data})) return false;
    control = control.subspan(std::min(cmsg_align(head.cmsg_len), control.size()));
  }
  return true;
}

}  // namespace netstack
