// SPDX-License-Identifier: BSL-1.0
// Decides: what a socket of a family and type does on a socket call, Linux's struct proto_ops. Every op is set; what a
// family does not support is one of the sock_no_* functions (core/sock_no.hpp), which answer Linux's errno. [S113]
// Linux: include/linux/net.h (struct proto_ops)
#pragma once
#include <span>

#include "netstack/base/result.hpp"

namespace netstack {

struct sk_buff;
struct msghdr;
struct sockaddr_storage;
class sockaddr_view;
namespace sockfs {
struct socket;
}

template <class Net>
struct proto_ops {
  char const* name = "";
  u16 family = 0;
  result<void> (*release)(Net&, sockfs::socket&) = nullptr;
  result<void> (*bind)(Net&, sockfs::socket&, sockaddr_view) = nullptr;
  result<void> (*connect)(Net&, sockfs::socket&, sockaddr_view, bool nonblock) = nullptr;
  result<void> (*socketpair)(Net&, sockfs::socket&, sockfs::socket&) = nullptr;
  result<void> (*accept)(Net&, sockfs::socket&, sockfs::socket& newsock, bool nonblock) = nullptr;
  result<u32> (*getname)(Net&, sockfs::socket&, sockaddr_storage&, bool peer) = nullptr;  ///< bytes of the address
  u32 (*poll)(Net&, sockfs::socket&) = nullptr;                                           ///< poll_ev bits
  result<int> (*ioctl)(Net&, sockfs::socket&, u32 cmd, void* arg) = nullptr;
  result<void> (*listen)(Net&, sockfs::socket&, int backlog) = nullptr;
  result<void> (*shutdown)(Net&, sockfs::socket&, int how) = nullptr;
  result<void> (*setsockopt)(Net&, sockfs::socket&, int level, int optname, std::span<std::byte const>) = nullptr;
  result<u32> (*getsockopt)(Net&, sockfs::socket&, int level, int optname, std::span<std::byte>) = nullptr;
  result<std::size_t> (*sendmsg)(Net&, sockfs::socket&, msghdr&) = nullptr;
  result<std::size_t> (*recvmsg)(Net&, sockfs::socket&, msghdr&, u32 flags) = nullptr;
  result<void*> (*mmap)(Net&, sockfs::socket&, std::size_t bytes) = nullptr;
  result<std::size_t> (*sendpage)(Net&, sockfs::socket&, sk_buff& page, u32 offset, std::size_t size,
                                  u32 flags) = nullptr;
};

}  // namespace netstack
