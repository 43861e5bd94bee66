// SPDX-License-Identifier: BSL-1.0
// Decides: what a transport offers to its sockets, Linux's struct proto. A module lists pointers to its own in
// `protos`; the composition resolves proto_list, numbers them (assign_proto_idx) and counts their sockets in each
// namespace. An op that is null is absent: its caller answers the errno that Linux would. [S88] [S89] [S90] [S91]
//
//   template <class Net> inline constexpr proto<Net> udp_prot{.name = "UDP", .close = udp_lib_close, …};
//   struct udp : module { template <class Net> static constexpr std::array protos{udp_prot<Net>}; … };
//
// Linux: include/net/sock.h (struct proto), net/core/sock.c (proto_register)
#pragma once
#include <span>

#include "netstack/base/result.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

struct sock;
struct sock_rare;
struct sk_buff;
struct msghdr;
class sockaddr_view;

/// What all sockets of a proto hold together, in pages, and where they end; one per worker. [S99]
struct proto_memory {
  s64 allocated = 0;
  u32 sockets_allocated = 0;
  u32 settled_above = 0;  ///< bytes: who has so many that no packet of its needs returns the whole pages of them
  bool pressure = false;
  u64 pressure_since = 0;                                  ///< worker time
  void (*relieved)(sock&, proto_memory const&) = nullptr;  ///< who made the pressure wants to know of its end
  void (*destruct)(sock&) = nullptr;                       ///< gives a sock back when the last packet of it is freed
};
/// The limits of one namespace: below mem[0] all is free, above mem[2] nothing more is given; and what a single socket
/// may always have. [S150]
struct proto_limits {
  s64 mem[3]{};  ///< pages
  u32 rmem_min = 4096;
  u32 wmem_min = 4096;
};

inline constexpr u32 sk_mem_quantum = 4096;  ///< bytes in one of those pages

template <class Net>
struct proto {
  char const* name = "";  ///< unique in the composition

  // --- the ops of /proc/net/protocols, in its order ----------------------------------------------------------------
  void (*close)(Net&, sock&, u64 timeout_ns) = nullptr;  ///< the last of the socket; the sock may be gone afterwards
  result<void> (*connect)(Net&, sock&, sockaddr_view) = nullptr;
  result<void> (*disconnect)(Net&, sock&, u32 flags) = nullptr;
  result<sock*> (*accept)(Net&, sock&, u32 flags) = nullptr;
  result<int> (*ioctl)(Net&, sock&, u32 cmd, void* arg) = nullptr;
  result<void> (*init)(Net&, sock&) = nullptr;
  void (*destroy)(Net&, sock&) = nullptr;
  void (*shutdown)(Net&, sock&, u8 how) = nullptr;  ///< how: rcv_shutdown, send_shutdown or both
  result<void> (*setsockopt)(Net&, sock&, int level, int optname, std::span<std::byte const>) = nullptr;
  result<u32> (*getsockopt)(Net&, sock&, int level, int optname, std::span<std::byte>) = nullptr;  ///< bytes written
  result<std::size_t> (*sendmsg)(Net&, sock&, msghdr&) = nullptr;
  result<std::size_t> (*recvmsg)(Net&, sock&, msghdr&, u32 flags) = nullptr;
  result<std::size_t> (*sendpage)(Net&, sock&, sk_buff& page, u32 offset, std::size_t size, u32 flags) = nullptr;
  result<void> (*bind)(Net&, sock&, sockaddr_view) = nullptr;  ///< null: the family's own bind and get_port
  verdict (*backlog_rcv)(Net&, sock&, sk_buff&) = nullptr;     ///< a packet that came while the socket was owned
  result<void> (*hash)(Net&, sock&) = nullptr;                 ///< from here on packets find the socket
  void (*unhash)(Net&, sock&) = nullptr;
  result<void> (*get_port)(Net&, sock&, u16 snum) = nullptr;  ///< 0: choose one
  void (*enter_memory_pressure)(Net&, sock&) = nullptr;

  // --- further ops --------------------------------------------------------------------------------------------------
  void (*rehash)(Net&, sock&) = nullptr;      ///< the local address changed
  void (*release_cb)(Net&, sock&) = nullptr;  ///< what was put off while the socket was owned
  bool (*stream_memory_free)(sock const&) = nullptr;
  void (*keepalive)(Net&, sock&, bool on) = nullptr;  ///< SO_KEEPALIVE was set or cleared
  /// SO_TIMESTAMPING is set to `flags`; null: packets are counted, not bytes.
  result<void> (*timestamping)(sock&, sock_rare&, u32 flags) = nullptr;
  void (*rcvlowat_changed)(Net&, sock&) = nullptr;  ///< SO_RCVLOWAT was set
  u32 (*wmem_queued)(sock const&) = nullptr;        ///< truesize of what waits to be sent or acknowledged

  // --- storage and limits -------------------------------------------------------------------------------------------
  sock* (*slab_alloc)(Net&) = nullptr;  ///< required: from the module's typed slab; null when that is full
  void (*slab_free)(Net&, sock&) = nullptr;
  sock_rare* (*rare)(Net&, sock&) = nullptr;  ///< a place for what few ask for; null: it cannot be asked for
  proto_memory* (*memory)(Net&) = nullptr;    ///< null: not accounted for the proto as a whole
  proto_limits const* (*limits)(Net&) = nullptr;
  u32 obj_size = 0;
  u32 max_header = 0;
  bool no_autobind = false;  ///< sending on an unbound socket does not bind it
};

}  // namespace netstack
