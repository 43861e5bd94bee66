// SPDX-License-Identifier: BSL-1.0
// Decides: how a module watches rejections, Linux's tracepoint skb:kfree_skb. A composition without a row has no code
// for it.
// called by stack/net count_drop, while the packet is whole
// Linux: include/trace/events/skb.h
#pragma once
#include "netstack/registry/drop_reasons.hpp"

namespace netstack {

struct sk_buff;

template <class Net>
struct drop_trace {
  void (*trace_kfree_skb)(Net&, sk_buff const&, drop_reason) = nullptr;
  char const* name = "";
};

}  // namespace netstack
