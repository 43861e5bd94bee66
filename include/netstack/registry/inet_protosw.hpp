// SPDX-License-Identifier: BSL-1.0
// Decides: which transport serves socket(af::inet, type, protocol), Linux's inet_register_protosw. Resolved into
// inetsw[sock_type]: within a type the permanent rows first in list order, then the others, the latest first, and the
// wildcard (protocol ipproto::ip) last. Two permanent rows for one pair do not compile. [S109] [S110] [S111]
// Linux: include/net/protocol.h (struct inet_protosw), net/ipv4/af_inet.c (inet_register_protosw)
#pragma once
#include "netstack/registry/proto.hpp"
#include "netstack/registry/proto_ops.hpp"
#include "netstack/registry/static_ref.hpp"

namespace netstack {

/// Linux's INET_PROTOSW_*.
namespace protosw_flag {
inline constexpr u8 reuse = 1;      ///< its sockets start with sk_reuse set
inline constexpr u8 permanent = 2;  ///< no other module may take its place
inline constexpr u8 icsk = 4;       ///< its sockets are connection-oriented
}  // namespace protosw_flag

template <class Net>
struct inet_protosw {
  u32 type = 0;      ///< sock_type::…
  u16 protocol = 0;  ///< ipproto::…; ip (0): any protocol of this type
  static_ref<proto<Net>> prot{};
  static_ref<proto_ops<Net>> ops{};
  u8 flags = 0;
};

}  // namespace netstack
