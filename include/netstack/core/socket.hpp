// SPDX-License-Identifier: BSL-1.0
// Decides: what a socket handle is, Linux's struct socket and its inode in one (struct socket_alloc): the face that the
// calls see, in front of the sock that the protocol sees. It stands in namespace sockfs, since netstack::socket() is
// the call. [S24] [S27]
// Linux: include/linux/net.h (struct socket), include/net/sock.h (struct socket_alloc)
#pragma once
#include "netstack/core/sock.hpp"
#include "netstack/registry/proto_ops.hpp"

namespace netstack::sockfs {

enum class socket_state : u8 { free, unconnected, connecting, connected, disconnecting };

struct socket {
  socket_state state = socket_state::free;
  bool nonblock = false;      ///< O_NONBLOCK
  u16 type = 0;               ///< sock_type::…
  u16 family = 0;             ///< af::…
  s32 fd = -1;                ///< its number; set once, when the table is made
  u64 i_ino = 0;              ///< unique in the stack, never used again; 0: free
  void* net = nullptr;        ///< the namespace it was made in
  void const* ops = nullptr;  ///< proto_ops<Net> const*
  sock* sk = nullptr;
};

template <class Net>
[[nodiscard]] proto_ops<Net> const& ops_of(socket const& sock) {
  return *static_cast<proto_ops<Net> const*>(sock.ops);
}
template <class Net>
[[nodiscard]] Net& net_of(socket const& sock) {
  return *static_cast<Net*>(sock.net);
}

}  // namespace netstack::sockfs
