// SPDX-License-Identifier: BSL-1.0
// Decides: how a module may refuse a datagram by policy (IPsec's seat). No row: the check is no code at all. [S124]
// rx: called through xfrm4_policy_check by ipv4/ip_input (transports without no_policy) and ipv4/ip_forward
// Linux: include/net/xfrm.h (xfrm4_policy_check)
#pragma once
#include "netstack/skb/sk_buff.hpp"

namespace netstack {

enum class xfrm_dir : u8 { in, out, fwd };

template <class Net>
struct xfrm_policy_ops {
  bool (*check)(Net&, sk_buff&, xfrm_dir) = nullptr;  ///< false: the datagram is dropped as xfrm_policy
  char const* name = "";
};

/// True unless a composed policy refuses.
template <class Net>
[[nodiscard]] bool xfrm4_policy_check(Net& net, sk_buff& skb, xfrm_dir dir) {
  for (auto const& policy : Net::xfrm_policies)
    if (!policy.check(net, skb, dir)) return false;
  return true;
}

}  // namespace netstack
