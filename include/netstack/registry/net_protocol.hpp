// SPDX-License-Identifier: BSL-1.0
// Decides: how a transport asks for an IP protocol number, Linux's inet_add_protocol. Resolved into inet_protos[256]; a
// second claim on one number does not compile. [S115] [S116] [S119]
// Linux: include/net/protocol.h (struct net_protocol)
#pragma once
#include "netstack/skb/skb_list.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

struct sock;

/// What the datagrams of one flow have in common, as their transport noted it from the first.
struct inet_flow {
  sock* sk = nullptr;        ///< who gets them; borrowed
  u64 genid = 0;             ///< the transport's own: until when it may be sure of sk; 0: it has to look
  u64 pseudo = 0;            ///< the part of their checksum that no header of theirs changes
  u32 ports_mask = 0;        ///< which bits of the transport header's first four bytes are the same in all of them
  u32 saddr = 0, ports = 0;  ///< if it mixes: source and first four bytes, as they lie, of those that are for sk
  bool mixed = false;        ///< … and whether others may be in the list that `end` gets
  bool csum_known = false;   ///< somebody vouches for their checksums
};

/// How a transport takes the datagrams of one flow together. Between `begin` and `end` nothing else is received.
template <class Net>
struct inet_flow_ops {
  /// A datagram for this host alone, data at the transport header, whole and linear: true if it begins a flow. False:
  /// nothing happened to it, and the handler gets it.
  bool (*begin)(Net&, sk_buff&, inet_flow&) = nullptr;
  /// One more of the same addresses, its transport header and payload at `th`, `len` (at least 8) bytes: true if it is
  /// of the flow, and right; copied to `to` then, unless that is null. Inlined into IP's loop.
  bool (*more)(inet_flow const&, u8 const* th, u32 len, u8* to) = nullptr;
  /// All of them, in order, data `hlen` bytes behind the start of the transport header. Leaves the list empty. What it
  /// hands on may end the flow.
  void (*end)(Net&, inet_flow&, skb_list&) = nullptr;
  u8 hlen = 0;
  bool mixes = false;  ///< a flow is what an address is told by all; `end` sees by source and ports for whom each is
};

template <class Net>
struct net_protocol {
  u8 protocol = 0;                                          ///< ipproto::…
  verdict (*handler)(Net&, sk_buff&) = nullptr;             ///< data at the transport header
  void (*list_func)(Net&, skb_list&) = nullptr;             ///< optional: a burst of this protocol
  inet_flow_ops<Net> flow{};                                ///< optional, instead: the datagrams of one flow
  void (*early_demux)(Net&, sk_buff&) = nullptr;            ///< optional: may set skb.sk and skb.dst before routing
  void (*err_handler)(Net&, sk_buff&, u32 info) = nullptr;  ///< an ICMP error; data at the quoted IP header
  bool no_policy = false;                                   ///< the protocol checks xfrm policy itself
  bool netns_ok = true;                                     ///< false: refused outside init_net
  bool icmp_strict_tag_validation = false;                  ///< ICMP errors must quote a known protocol
  char const* name = "";
};

}  // namespace netstack
