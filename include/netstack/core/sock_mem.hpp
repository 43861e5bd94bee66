// SPDX-License-Identifier: BSL-1.0
// Decides: what a socket pays for its packets. Each costs its truesize: queued for the reader it counts in
// sk_rmem_alloc, on its way out in sk_wmem_alloc; the packet's destructor gives it back exactly once, when the packet
// is freed or orphaned. Where the proto as a whole is limited, the socket takes pages from proto_memory first. [S42]
// rx: called by sock_queue_rcv_skb; tx: by sock_alloc_send_skb; both: by skb_pool::free_skb through the destructor.
// Linux: net/core/sock.c (sock_wfree, sock_rfree, __sk_mem_raise_allocated), include/net/sock.h [S46] [S99] [S155]
#pragma once
#include "netstack/core/sock.hpp"
#include "netstack/skb/skb_pool.hpp"

namespace netstack {

/// The last packet of a socket that nobody holds any more is gone: proto_memory::destruct returns the sock to its slab.
inline void __sk_free(sock& sk) {
  if (sk.sk_memory) sk.sk_memory->destruct(sk);
}
/// Ends the sock's own hold on its life; packets on their way keep the memory until the last is freed.
NETSTACK_NOINLINE inline void sk_free(sock& sk) {
  if (--sk.sk_wmem_alloc == 0) __sk_free(sk);
}
inline void sock_put(sock& sk) {
  if (--sk.sk_refcnt == 0) [[unlikely]]
    sk_free(sk);
}

[[nodiscard]] inline u32 sk_wmem_alloc_get(sock const& sk) { return sk.sk_wmem_alloc - 1; }
[[nodiscard]] inline u32 sk_rmem_alloc_get(sock const& sk) { return sk.sk_rmem_alloc; }
/// Room for another packet: a writer is woken once half of the buffer is free.
[[nodiscard]] inline bool sock_writeable(sock const& sk) { return sk_wmem_alloc_get(sk) < sk.sk_sndbuf >> 1; }

// --- the proto's memory ---------------------------------------------------------------------------------------------

/// There is enough again.
NETSTACK_NOINLINE inline void sk_leave_memory_pressure(sock& sk) {
  sk.sk_memory->pressure = false;
  if (sk.sk_memory->relieved) sk.sk_memory->relieved(sk, *sk.sk_memory);
}
/// The proto's sockets have so many pages more. While there is plenty of them, each may keep one that none of its
/// packets needs, so that one in steady use does not pay for the round trip; never so many that others lack what idle
/// ones keep.
inline void sk_mem_account(proto_memory& memory, proto_limits const& limits, s64 pages) {
  memory.allocated += pages;
  memory.settled_above = sk_mem_quantum << (memory.allocated <= limits.mem[0] >> 3);
}
/// Returns whole pages that no packet of the socket needs.
inline void sk_mem_reclaim(sock& sk) {
  if (!sk.sk_limits || sk.sk_forward_alloc < static_cast<s32>(sk_mem_quantum)) return;
  s32 const pages = sk.sk_forward_alloc / static_cast<s32>(sk_mem_quantum);
  sk.sk_forward_alloc -= pages * static_cast<s32>(sk_mem_quantum);
  sk_mem_account(*sk.sk_memory, *sk.sk_limits, -pages);
  if (sk.sk_memory->pressure && sk.sk_memory->allocated < sk.sk_limits->mem[0]) sk_leave_memory_pressure(sk);
}
inline void sk_mem_settle(sock& sk) {
  if (sk.sk_forward_alloc >= static_cast<s32>(sk.sk_memory->settled_above)) sk_mem_reclaim(sk);
}

inline void sk_mem_charge(sock& sk, u32 size) {
  if (sk.sk_limits) sk.sk_forward_alloc -= static_cast<s32>(size);
}
inline void sk_mem_uncharge(sock& sk, u32 size) {
  if (!sk.sk_limits) return;
  sk.sk_forward_alloc += static_cast<s32>(size);
  sk_mem_settle(sk);
}

namespace detail {
/// `held`: what the socket has of this kind; `least`: what any may have.
template <class Net>
[[nodiscard]] bool sk_mem_schedule(Net& net, sock& sk, u32 size, u32 held, u32 least) {
  auto& memory = *sk.sk_memory;
  auto const& limits = *sk.sk_limits;
  u32 const missing = size - static_cast<u32>(sk.sk_forward_alloc > 0 ? sk.sk_forward_alloc : 0);
  s64 const pages = (missing + sk_mem_quantum - 1) / sk_mem_quantum;
  s64 const total = memory.allocated + pages;
  auto const& prot = sk_prot<Net>(sk);
  if (total <= limits.mem[0]) {
    if (memory.pressure) sk_leave_memory_pressure(sk);
  } else {
    if (total > limits.mem[1] && prot.enter_memory_pressure && !memory.pressure) {
      memory.pressure = true;
      memory.pressure_since = net.worker().now;
      prot.enter_memory_pressure(net, sk);
    }
    bool const has_share =
        prot.enter_memory_pressure != nullptr &&
        (!memory.pressure ||
         limits.mem[2] > s64{memory.sockets_allocated} * ((held + size + sk_mem_quantum - 1) / sk_mem_quantum));
    if (total > limits.mem[2] || (held >= least && !has_share)) return false;
  }
  sk_mem_account(memory, limits, pages);
  sk.sk_forward_alloc += static_cast<s32>(pages * sk_mem_quantum);
  return true;
}
[[nodiscard]] inline bool sk_mem_has(sock const& sk, u32 size) {
  return !sk.sk_limits || static_cast<s32>(size) <= sk.sk_forward_alloc;
}
/// One page more will do, and there is memory enough for all: what a socket with a few packets at a time asks for with
/// most of them.
[[nodiscard]] NETSTACK_INLINE bool sk_mem_take_page(sock& sk, u32 size) {
  auto& memory = *sk.sk_memory;
  if (static_cast<s64>(size) > s64{sk.sk_forward_alloc} + sk_mem_quantum || memory.allocated >= sk.sk_limits->mem[0])
      [[unlikely]]
    return false;
  sk_mem_account(memory, *sk.sk_limits, 1);
  if (memory.pressure) [[unlikely]]
    sk_leave_memory_pressure(sk);
  sk.sk_forward_alloc += static_cast<s32>(sk_mem_quantum);
  return true;
}
}  // namespace detail

/// Makes sure that `size` more bytes may be charged for received data. Below mem[0] pages always; above mem[2] never;
/// between, a proto with pressure gives each socket its share, and any socket has its rmem_min.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool sk_rmem_schedule(Net& net, sock& sk, u32 size) {
  if (detail::sk_mem_has(sk, size)) [[likely]]
    return true;
  return detail::sk_mem_schedule(net, sk, size, sk.sk_rmem_alloc, sk.sk_limits->rmem_min);
}
/// The same for data to be sent, of which the socket has `queued` bytes.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool sk_wmem_schedule(Net& net, sock& sk, u32 size, u32 queued) {
  if (detail::sk_mem_has(sk, size) || detail::sk_mem_take_page(sk, size)) [[likely]]
    return true;
  return detail::sk_mem_schedule(net, sk, size, queued, sk.sk_limits->wmem_min);
}

/// The same whatever the limits say: for what a socket needs lest it stand still, a packet at a time.
inline void sk_forced_mem_schedule(sock& sk, u32 size) {
  if (detail::sk_mem_has(sk, size)) return;
  u32 const missing = size - static_cast<u32>(std::max(sk.sk_forward_alloc, 0));
  u32 const pages = (missing + sk_mem_quantum - 1) / sk_mem_quantum;
  sk_mem_account(*sk.sk_memory, *sk.sk_limits, pages);
  sk.sk_forward_alloc += static_cast<s32>(pages * sk_mem_quantum);
}

/// Takes pages for `size` bytes that are about to be charged packet by packet, so that each finds them. False: not
/// while memory is short, when each is asked for.
inline bool sk_mem_ahead(sock& sk, u64 size) {
  if (!sk.sk_limits || static_cast<s64>(size) <= sk.sk_forward_alloc) return true;
  u64 const missing = size - static_cast<u64>(std::max(sk.sk_forward_alloc, 0));
  auto const pages = static_cast<s64>((missing + sk_mem_quantum - 1) / sk_mem_quantum);
  if (size > 0x3fff'ffff || sk.sk_memory->allocated + pages > sk.sk_limits->mem[0]) return false;
  sk_mem_account(*sk.sk_memory, *sk.sk_limits, pages);
  sk.sk_forward_alloc += static_cast<s32>(pages * sk_mem_quantum);
  return true;
}

/// Nobody reads what waits for MSG_ERRQUEUE.
inline void sk_error_queue_purge(sock& sk) {
  while (!sk.sk_rare->error_queue.empty()) consume_skb(*sk_own_rare(sk).error_queue.dequeue());
}

// --- owners

/// Destructor of a queued received packet.
inline void sock_rfree(sk_buff& skb) {
  sock& sk = *skb.sk;
  sk.sk_rmem_alloc -= skb.truesize;
  sk_mem_uncharge(sk, skb.truesize);
}
/// Destructor of a packet that only borrows the socket (early demux).
inline void sock_efree(sk_buff& skb) { sock_put(*skb.sk); }
/// Takes over the socket that early demux found.
inline sock* skb_steal_sock(sk_buff& skb) {
  sock* sk = skb.sk;
  skb.sk = nullptr;
  skb.destructor = nullptr;
  return sk;
}

/// There is room: the writer is told by the worker's poll(). A packet is freed in the midst of anything, another
/// writer's sendto() included, so whoever is told here and now could find, or leave, the caller's data half changed.
inline void sk_wake_writer(skb_pool& pool, sock& sk) {
  if (!sk.sk_callbacks->write_space || !sock_writeable(sk) || sock_flag(sk, sock_flags::write_space_due)) return;
  sock_set_flag(sk, sock_flags::write_space_due);
  auto& writers = pool.writers;
  sk.sk_writers_next = nullptr;
  (writers.first ? writers.last->sk_writers_next : writers.first) = &sk;
  writers.last = &sk;
  ++writers.count;
}
inline sock& sk_pop_writer(skb_pool& pool) {
  auto& writers = pool.writers;
  sock& sk = *writers.first;
  writers.first = sk.sk_writers_next;
  --writers.count;
  sock_reset_flag(sk, sock_flags::write_space_due);
  return sk;
}
/// Tells those who wait. Who waits again meanwhile has the next poll(): writers who free each other's packets do not
/// keep it. How many were told.
inline u32 sk_tell_writers(skb_pool& pool) {
  u32 told = 0;
  for (u32 left = pool.writers.count; left != 0 && pool.writers.first; --left) {
    sock& sk = sk_pop_writer(pool);
    if (!sk.sk_callbacks->write_space || !sock_writeable(sk)) continue;
    ++told;
    sk.sk_callbacks->write_space(sk);
  }
  return told;
}
/// The sock goes out of use: it is told nothing any more.
inline void sk_forget_writer(skb_pool& pool, sock& sk) {
  sk.sk_callbacks = &sock_no_callbacks;
  if (!sock_flag(sk, sock_flags::write_space_due)) return;
  for (u32 left = pool.writers.count; left != 0; --left)
    if (sock& other = sk_pop_writer(pool); &other != &sk) sk_wake_writer(pool, other);
}

/// Gives back what packets of the pool on their way out, `len` bytes in all, have cost their socket.
inline void sock_wfree(skb_pool& pool, sock& sk, u32 len) {
  sk.sk_wmem_alloc -= len;
  if (!sock_flag(sk, sock_flags::use_write_queue)) sk_wake_writer(pool, sk);
  if (sk.sk_wmem_alloc == 0) __sk_free(sk);
}
/// Destructor of such a packet.
inline void sock_wfree(sk_buff& skb) { sock_wfree(*skb.pool, *skb.sk, skb.truesize); }
inline constexpr void (*sock_wfree_of)(sk_buff&) = sock_wfree;

/// Frees a packet that a driver is done with; most often a clone, whose sender still has the original.
NETSTACK_INLINE void consume_sent_skb(sk_buff& skb) {
  auto const settle = [](sk_buff& sent) {
    if (sent.destructor != sock_wfree_of) return skb_run_destructor(sent);
    sock_wfree(*sent.pool, *sent.sk, sent.truesize);
  };
  auto& pool = *skb.pool;
  if (!pool.free_companion(skb, settle)) pool.free_one(skb, settle);
}
/// Frees packets that a driver is done with. Their sockets are told once for neighbours of the same.
inline void consume_sent_list(skb_pool& pool, skb_list& list) {
  sock* owner = nullptr;
  u32 owed = 0;
  pool.free_bulk(list, [&](sk_buff& skb) {
    if (skb.destructor != sock_wfree_of) return skb_run_destructor(skb);
    if (skb.sk != owner) {
      if (owner) sock_wfree(pool, *owner, owed);
      owner = skb.sk;
      owed = 0;
    }
    owed += skb.truesize;
  });
  if (owner) sock_wfree(pool, *owner, owed);
}

/// The same for a device by which mostly clones leave: at(i) is one of n.
template <class At>
void consume_sent_clones(skb_pool& pool, u32 n, At&& at) {
  sock* owner = nullptr;
  u32 owed = 0;
  skb_list others;
  auto const settle = [&](sk_buff& skb) {
    if (skb.destructor != sock_wfree_of) return skb_run_destructor(skb);
    if (skb.sk != owner && owner) sock_wfree(pool, *owner, std::exchange(owed, 0));
    owner = skb.sk;
    owed += skb.truesize;
  };
  for (u32 i = 0; i < n; ++i)
    if (sk_buff& skb = at(i); !pool.free_companion(skb, settle)) [[unlikely]]
      others.push_back(skb);
  if (owner) sock_wfree(pool, *owner, owed);
  if (!others.empty()) consume_sent_list(pool, others);
}

inline void skb_set_owner_r(sk_buff& skb, sock& sk) {
  skb_orphan(skb);
  skb.sk = &sk;
  skb.destructor = sock_rfree;
  sk.sk_rmem_alloc += skb.truesize;
  sk_mem_charge(sk, skb.truesize);
}
inline void skb_set_owner_w(sk_buff& skb, sock& sk) {
  skb_orphan(skb);
  skb.sk = &sk;
  skb.destructor = sock_wfree;
  sk.sk_wmem_alloc += skb.truesize;
}

}  // namespace netstack
