// SPDX-License-Identifier: BSL-1.0
// Decides: ownership of a packet at the edges: pool, queues, drivers, API. On the path itself handlers take sk_buff&.
#pragma once
#include <memory>

#include "netstack/skb/skb_pool.hpp"

namespace netstack {

struct skb_consume {
  void operator()(sk_buff* skb) const { consume_skb(*skb); }
};

/// Owns one hold on a packet; consume_skb at the end of its life.
using skb_ptr = std::unique_ptr<sk_buff, skb_consume>;

}  // namespace netstack
