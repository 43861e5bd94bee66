// SPDX-License-Identifier: BSL-1.0
// Decides: how a sock comes and goes: from its proto's slab, with the namespace's buffer sizes, counted in the
// namespace as long as its handle is open; back to the slab when the last packet that is charged to it is freed. [S89]
// Linux: net/core/sock.c (sk_alloc, sock_init_data, sk_destruct), include/net/sock.h (sock_prot_inuse_add) [S102]
#pragma once
#include <string_view>

#include "netstack/core/drop.hpp"
#include "netstack/core/netns_core.hpp"
#include "netstack/core/sock_mem.hpp"

namespace netstack {

/// A proto's number, Linux's inuse_idx: its row of proto_list. Unique, since names are. [S89]
template <class Net>
[[nodiscard]] constexpr u8 proto_index(std::string_view name) {
  for (std::size_t i = 0; i < Net::proto_list.size(); ++i)
    if (Net::proto_list[i].name == name) return static_cast<u8>(i);
  BUG_ON(true, "a protosw row names a proto that is in no module's `protos`");
  return 0;
}
/// The same, of one whose name is not copied: nearly always a look at a pointer or two.
template <class Net>
[[nodiscard]] u8 proto_index_of(proto<Net> const& prot) {
  for (std::size_t i = 0; i < Net::proto_list.size(); ++i)
    if (static_cast<void const*>(Net::proto_list[i].name) == prot.name) [[likely]]
      return static_cast<u8>(i);
  return proto_index<Net>(prot.name);
}
/// Open sockets of a proto, and of all, in a namespace's slice.
template <class Net>
[[nodiscard]] u32 sock_prot_inuse_get(Net const& net, u8 prot_idx) {
  return net.prot_inuse[prot_idx];
}
template <class Net>
void sock_prot_inuse_add(Net& net, sock const& sk, s32 n) {
  net.prot_inuse[sk.sk_prot_idx] += static_cast<u32>(n);
}

namespace detail {

/// Everything a sock still holds when nobody can reach it.
template <class Net>
void sk_destroy(sock& sk) {
  auto& net = sock_net<Net>(sk);
  auto& prot = sk_prot<Net>(sk);
  BUG_ON(sk.sk_rmem_alloc != 0, "sock freed with received packets charged to it");
  if (sk.sk_dst_cache) dst_release(*sk.sk_dst_cache);
  if (sk.sk_rx_dst) dst_release(*sk.sk_rx_dst);
  sk_mem_reclaim(sk);
  if (sk.sk_limits) {
    BUG_ON(sk.sk_forward_alloc != 0, "sock freed with memory it took from its proto");
    --sk.sk_memory->sockets_allocated;
  }
  prot.slab_free(net, sk);
}

/// From now on it is the namespace's, and counted there and with its proto. kern: the stack's own, not counted there.
template <class Net>
NETSTACK_INLINE void sk_enter(Net& net, sock& sk, bool kern) {
  sk.sk_net = &net;
  if (sk.sk_limits) ++sk.sk_memory->sockets_allocated;
  if (kern) return sock_set_flag(sk, sock_flags::kern);
  ++net.sock_inuse;
  sock_prot_inuse_add(net, sk, 1);
}

}  // namespace detail

/// A sock of a proto with its defaults; null when the proto's slab is full. kern: the stack's own, not counted.
template <class Net>
[[nodiscard]] sock* sk_alloc(Net& net, u16 family, proto<Net> const& prot, bool kern) {
  sock* sk = prot.slab_alloc(net);
  if (!sk) return nullptr;
  auto const& core = net_generic<net_core>(net);
  sk->sk_prot_idx = proto_index_of(prot);
  sk->sk_family = static_cast<u8>(family);
  sk->sk_sndbuf = static_cast<u32>(core.sysctl_wmem_default);
  sk->sk_rcvbuf = static_cast<u32>(core.sysctl_rmem_default);
  sk->sk_memory = prot.memory ? prot.memory(net) : &net.worker().softnet.unaccounted;
  sk->sk_memory->destruct = detail::sk_destroy<Net>;
  if (prot.memory) sk->sk_limits = prot.limits(net);
  detail::sk_enter(net, *sk, kern);
  return sk;
}

/// … of the same kind as another; nothing of what that was told. Never the stack's own.
template <class Net>
[[nodiscard]] NETSTACK_INLINE sock* sk_clone(Net& net, sock const& of) {
  sock* const sk = sk_prot<Net>(of).slab_alloc(net);
  if (!sk) return nullptr;
  sk->sk_prot_idx = of.sk_prot_idx;
  sk->sk_family = of.sk_family;
  sk->sk_memory = of.sk_memory;
  sk->sk_limits = of.sk_limits;
  detail::sk_enter(net, *sk, false);
  return sk;
}

/// The end of a sock that is found no more, is told nothing, and has nothing to say: what came for it is freed, its own
/// hold dropped.
template <class Net>
NETSTACK_INLINE void sk_release_last(Net& net, sock& sk) {
  while (sk_buff* skb = sk.sk_receive_queue.dequeue()) kfree_skb(net, *skb, drop_reason::socket_close);
  while (sk_buff* skb = sk.sk_backlog.dequeue()) kfree_skb(net, *skb, drop_reason::socket_close);
  sk.sk_backlog_len = 0;
  if (!sock_flag(sk, sock_flags::kern)) {
    --net.sock_inuse;
    sock_prot_inuse_add(net, sk, -1);
  }
  sock_put(sk);
}

/// Takes a sock out of use: its queues are freed, its callbacks silenced, its own hold dropped. Packets on their way
/// out stay charged; the sock's memory goes with the last of them.
template <class Net>
void sk_common_release(Net& net, sock& sk) {
  auto const& prot = sk_prot<Net>(sk);
  if (prot.destroy) prot.destroy(net, sk);
  if (prot.unhash) prot.unhash(net, sk);
  sock_set_flag(sk, sock_flags::dead);
  sk_forget_writer(net.worker().pool, sk);
  sk.sk_socket = nullptr;
  sk_error_queue_purge(sk);
  while (sk_buff* skb = sk.sk_write_queue.dequeue()) consume_skb(*skb);
  sk_release_last(net, sk);
}

}  // namespace netstack
