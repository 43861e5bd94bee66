// SPDX-License-Identifier: BSL-1.0
// Decides: what a composed filter's verdict does to a packet at one of the five points of its way. A point without
// hooks is a direct call of the stage behind it; its hooks are asked in order of priority until one does not accept.
// [S173]
// rx, tx: called by ipv4's stages through NF_HOOK → calls the next stage
// Linux: include/linux/netfilter.h (NF_HOOK), net/netfilter/core.c (nf_hook_slow)
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/core/drop.hpp"
#include "netstack/registry/nf_hook.hpp"

namespace netstack {

namespace detail {

/// How often one hook may ask for another look at the same packet before that counts as a refusal.
inline constexpr u32 nf_max_repeat = 16;

/// accept, drop or stolen. There is no queue handler, so queue refuses, as it does in Linux without one.
template <nf_inet Point, class Net>
nf_verdict nf_hook_slow(Net& net, sk_buff& skb) {
  for (auto const& ops : Net::template nf_hooks<Point>) {
    nf_verdict v = ops.hook(net, skb);
    for (u32 i = 0; v == nf_verdict::repeat && i < nf_max_repeat; ++i) v = ops.hook(net, skb);
    if (v == nf_verdict::stolen) return v;
    if (v != nf_verdict::accept) return nf_verdict::drop;
  }
  return nf_verdict::accept;
}

}  // namespace detail

/// A received packet, whose owner acts on the verdict.
template <nf_inet Point, class Net>
NETSTACK_INLINE verdict NF_HOOK(Net& net, sk_buff& skb, verdict (*okfn)(Net&, sk_buff&)) {
  if constexpr (!Net::template nf_hooks<Point>.empty()) {
    switch (detail::nf_hook_slow<Point>(net, skb)) {
      case nf_verdict::accept: break;
      case nf_verdict::stolen: return verdict::kept();
      default: return drop(net, skb, drop_reason::netfilter_drop);
    }
  }
  return okfn(net, skb);
}

/// A packet on its way out: okfn always takes it, and so does this. Error: operation_not_permitted (refused).
template <nf_inet Point, class Net>
NETSTACK_INLINE result<void> NF_HOOK(Net& net, sk_buff& skb, result<void> (*okfn)(Net&, sk_buff&)) {
  if constexpr (!Net::template nf_hooks<Point>.empty()) {
    switch (detail::nf_hook_slow<Point>(net, skb)) {
      case nf_verdict::accept: break;
      case nf_verdict::stolen: return {};
      default: kfree_skb(net, skb, drop_reason::netfilter_drop); return failure{std::errc::operation_not_permitted};
    }
  }
  return okfn(net, skb);
}

}  // namespace netstack
