// SPDX-License-Identifier: BSL-1.0
// Decides: how a transport asks for an IP protocol number, Linux's inet_add_protocol. Resolved into inet_protos[256]; a
// second claim on one number does not compile. [S115] [S116] [S119]
// Linux: include/net/protocol.h (struct net_protocol)
#pragma once
#include "netstack/skb/skb_list.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

template <class Net>
struct net_protocol {
  u8 protocol = 0;                                          ///< ipproto::…
  verdict (*handler)(Net&, sk_buff&) = nullptr;             ///< data at the transport header
  void (*list_func)(Net&, skb_list&) = nullptr;             ///< optional: a burst of this protocol
  void (*early_demux)(Net&, sk_buff&) = nullptr;            ///< optional: may set skb.sk and skb.dst before routing
  void (*err_handler)(Net&, sk_buff&, u32 info) = nullptr;  ///< an ICMP error; data at the quoted IP header
  bool no_policy = false;                                   ///< the protocol checks xfrm policy itself
  bool netns_ok = true;                                     ///< false: refused outside init_net
  bool icmp_strict_tag_validation = false;                  ///< ICMP errors must quote a known protocol
  char const* name = "";
};

}  // namespace netstack
