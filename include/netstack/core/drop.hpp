// SPDX-License-Identifier: BSL-1.0
// Decides: what a rejection does: it counts under its one name, moves the MIB counters its module tied to that name,
// and is remembered for the trace. `return drop(net, skb, reason);` is the whole of it at the place of rejection.
// Both calls stay out of line: in a composed host they stand at a hundred places, none of them on a good packet's way.
// Linux: net/core/skbuff.c (kfree_skb_reason), net/core/drop_monitor.c
#pragma once
#include "netstack/registry/drop_reasons.hpp"
#include "netstack/skb/skb_pool.hpp"

namespace netstack {

/// Counts the rejection and says who frees: the owner of the packet, on seeing the verdict.
template <class Net>
NETSTACK_COLD verdict drop(Net& net, sk_buff& skb, drop_reason reason) {
  net.count_drop(skb, reason);
  return verdict::free(reason);
}

/// Counts the rejection and frees: for code that owns the packet (queues, timers, drivers).
template <class Net>
NETSTACK_COLD void kfree_skb(Net& net, sk_buff& skb, drop_reason reason) {
  net.count_drop(skb, reason);
  consume_skb(skb);
}

/// Both for a reason of a user's module.
template <class Net, own_drop_reason Own>
verdict drop(Net& net, sk_buff& skb, Own reason) {
  return drop(net, skb, Net::drop_reason_of(reason));
}
template <class Net, own_drop_reason Own>
void kfree_skb(Net& net, sk_buff& skb, Own reason) {
  kfree_skb(net, skb, Net::drop_reason_of(reason));
}

/// What the owner of a packet does with a handler's answer.
NETSTACK_INLINE void finish(sk_buff& skb, verdict v) {
  if (!v.is_kept()) consume_skb(skb);
}

}  // namespace netstack
