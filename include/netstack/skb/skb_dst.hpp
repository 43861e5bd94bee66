// SPDX-License-Identifier: BSL-1.0
// Decides: how a packet holds its route: with a reference of its own, or borrowed (noref) for as long as the poll that
// looked it up. Who lets a packet outlive the poll (a queue) calls skb_dst_force first. [S44]
// Linux: include/linux/skbuff.h (skb_dst), include/net/dst.h (skb_dst_set_noref, skb_dst_force)
#pragma once
#include "netstack/skb/sk_buff.hpp"

namespace netstack {

/// What a dst_entry starts with, as far as a packet must know to let go of it (core/dst.hpp).
struct dst_ref {
  u32 refcnt;
  void (*destroy)(dst_ref&);  ///< called when refcnt falls to 0; may be null
};

namespace detail {
inline dst_ref& dst_ref_of(sk_buff const& skb) { return *reinterpret_cast<dst_ref*>(skb.dst); }
}  // namespace detail

inline dst_entry* skb_dst(sk_buff const& skb) { return skb.dst; }

namespace detail {
NETSTACK_NOINLINE inline void dst_put(dst_ref& ref) {
  if (--ref.refcnt == 0 && ref.destroy) ref.destroy(ref);
}
}  // namespace detail

/// Lets go of the route, if there is one.
NETSTACK_INLINE void skb_dst_drop(sk_buff& skb) {
  if (skb.dst && !skb.dst_noref) [[unlikely]]
    detail::dst_put(detail::dst_ref_of(skb));
  skb.dst = nullptr;
  skb.dst_noref = 0;
}
/// The packet takes over one reference that the caller holds.
inline void skb_dst_set(sk_buff& skb, dst_entry& dst) {
  skb_dst_drop(skb);
  skb.dst = &dst;
}
/// The packet borrows the route: good until the end of this poll.
NETSTACK_INLINE void skb_dst_set_noref(sk_buff& skb, dst_entry& dst) {
  skb_dst_drop(skb);
  skb.dst = &dst;
  skb.dst_noref = 1;
}
inline bool skb_dst_is_noref(sk_buff const& skb) { return skb.dst_noref; }
/// Before the packet outlives this poll: a borrowed route becomes held. True if the packet has one.
NETSTACK_INLINE bool skb_dst_force(sk_buff& skb) {
  if (skb.dst_noref) {
    ++detail::dst_ref_of(skb).refcnt;
    skb.dst_noref = 0;
  }
  return skb.dst != nullptr;
}
/// Gives `to` the route of `from`: a reference more, or borrowed as well.
inline void skb_dst_copy(sk_buff& to, sk_buff const& from) {
  skb_dst_drop(to);
  to.dst = from.dst;
  to.dst_noref = from.dst_noref;
  if (to.dst && !to.dst_noref) ++detail::dst_ref_of(to).refcnt;
}

}  // namespace netstack
