// SPDX-License-Identifier: BSL-1.0
// Decides: who makes the sockets of an address family, Linux's sock_register. Resolved into net_families[]; an unknown
// family is EAFNOSUPPORT, a family registered twice does not compile. [S107]
// Linux: include/linux/net.h (struct net_proto_family), net/socket.c (sock_register)
#pragma once
#include "netstack/base/result.hpp"

namespace netstack {

namespace sockfs {
struct socket;
}

template <class Net>
struct net_proto_family {
  u16 family = 0;  ///< af::…
  /// Gives the socket its sk and ops. kern: made by the stack for itself, no privilege is asked for.
  result<void> (*create)(Net&, sockfs::socket&, int protocol, bool kern) = nullptr;
  char const* name = "";
};

/// A file system of which sockets are files, Linux's register_filesystem. [S25]
struct file_system_type {
  char const* name = "";
};

}  // namespace netstack
