// SPDX-License-Identifier: BSL-1.0
// Decides: how an address is handed to a socket call. The structs have Linux's layout and member names, so that a POSIX
// wrapper may pass its own bytes on; inside the stack an address of any family travels as a sockaddr_view.
// Linux: include/linux/socket.h, include/uapi/linux/in.h
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "netstack/base/byteorder.hpp"

namespace netstack {

namespace af {  // Linux's AF_*
inline constexpr u16 unspec = 0, unix_ = 1, inet = 2, ax25 = 3, ipx = 4, inet6 = 10, netlink = 16, packet = 17;
inline constexpr u16 max = 46;
}  // namespace af

struct sockaddr {
  u16 sa_family = af::unspec;
  unsigned char sa_data[14]{};
};

struct in_addr {
  be32 s_addr{};
};

struct sockaddr_in {
  u16 sin_family = af::inet;
  be16 sin_port{};
  in_addr sin_addr{};
  unsigned char sin_zero[8]{};

  friend constexpr bool operator==(sockaddr_in const& a, sockaddr_in const& b) {
    return a.sin_family == b.sin_family && a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
  }
};
static_assert(sizeof(sockaddr) == 16 && sizeof(sockaddr_in) == 16);

/// Room for an address of any family.
struct sockaddr_storage {
  alignas(8) u16 ss_family = af::unspec;
  unsigned char data[126]{};
};
static_assert(sizeof(sockaddr_storage) == 128);

/// `sockaddr_in` of an address and a port in host order.
constexpr sockaddr_in inet_addr_of(be32 addr, u16 port) {
  return {.sin_family = af::inet, .sin_port = be16{port}, .sin_addr = {addr}};
}

/// An address argument: where it lies and how long it is. Any of the structs above converts to it.
class sockaddr_view {
  void const* data_ = nullptr;
  u32 len_ = 0;

 public:
  constexpr sockaddr_view() = default;
  constexpr sockaddr_view(void const* data, u32 len) : data_(data), len_(len) {}
  template <class T>
  requires(std::is_same_v<T, sockaddr> || std::is_same_v<T, sockaddr_in> ||
           std::is_same_v<T, sockaddr_storage>) constexpr sockaddr_view(T const& addr)
      : data_(&addr), len_(sizeof(T)) {}

  [[nodiscard]] constexpr void const* data() const { return data_; }
  [[nodiscard]] constexpr u32 size() const { return len_; }
  /// af::unspec if it is too short to hold a family.
  [[nodiscard]] u16 family() const {
    u16 f = af::unspec;
    if (data_ && len_ >= sizeof f) std::memcpy(&f, data_, sizeof f);
    return f;
  }
  /// A copy of it as a T; what it is too short for stays zero, so check size() first.
  template <class T>
  [[nodiscard]] T as() const {
    static_assert(std::is_trivially_copyable_v<T>);
    T out{};
    if (data_ && len_ > 0) std::memcpy(static_cast<void*>(&out), data_, std::min<std::size_t>(len_, sizeof(T)));
    return out;
  }
};

}  // namespace netstack
