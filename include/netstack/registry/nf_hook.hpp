// SPDX-License-Identifier: BSL-1.0
// Decides: where a filter may look at an IPv4 packet, and what it may say. One array per hook point, by priority; an
// empty one is a direct call of what follows. [S173]
// Linux: include/linux/netfilter.h, include/uapi/linux/netfilter_ipv4.h
#pragma once
#include "netstack/registry/drop_reasons.hpp"
#include "netstack/skb/sk_buff.hpp"

namespace netstack {

enum class nf_inet : u8 { pre_routing, local_in, forward, local_out, post_routing, count };
enum class nf_verdict : u8 { drop, accept, stolen, queue, repeat };

template <class Net>
struct nf_hook_ops {
  nf_inet hooknum = nf_inet::pre_routing;
  nf_verdict (*hook)(Net&, sk_buff&) = nullptr;  ///< data at the IP header
  int priority = 0;                              ///< lower runs first (Linux's NF_IP_PRI_*)
  char const* name = "";
};

}  // namespace netstack
