// SPDX-License-Identifier: BSL-1.0
// Decides: what IPv4 offers to the transports above it and to its own files: how a datagram is sent, routed and
// reported. Declarations; the head of each says which file has the body. Include ipv4/ipv4.hpp to use them, this file
// to name them.
// Linux: include/net/ip.h, include/net/route.h, include/net/icmp.h
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/core/dst.hpp"
#include "netstack/ipv4/flow.hpp"
#include "netstack/ipv4/ip_skb.hpp"
#include "netstack/ipv4/netns_ipv4.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

struct neighbour;
struct rtable_pool;

/// A cached way: to a next hop (output), or into this host or through it (input). One serves every packet that takes
/// the same route, whatever its addresses. [S44]
struct rtable : dst_entry {
  u32 rt_flags = 0;  ///< rtcf::…
  rtn rt_type = rtn::unspec;
  bool rt_is_input = false;
  bool rt_uses_gateway = false;
  u16 netns = 0;
  be32 rt_gw4{};            ///< the next hop if rt_uses_gateway
  rtable** slot = nullptr;  ///< where it is cached; null once it is obsolete
  rtable_pool* pool = nullptr;
  u64 died = 0;  ///< worker time when the last holder let go
  list_head link{};
  neighbour* hop = nullptr;  ///< the next hop to hop_for, while plain_genid is right, if ip_way_hop knows it
  be32 hop_for{};
};
[[nodiscard]] inline rtable* skb_rtable(sk_buff const& skb) { return static_cast<rtable*>(skb.dst); }
/// Where the packet is handed on the link: the gateway, or its destination itself.
[[nodiscard]] inline be32 rt_nexthop(rtable const& rt, be32 daddr) { return rt.rt_uses_gateway ? rt.rt_gw4 : daddr; }

/// IP_MTU_DISCOVER: whether a datagram may be cut on its way.
enum class ip_pmtudisc : u8 { dont, want, do_, probe, interface, omit };

/// How one datagram is to be sent, beyond its flow.
struct ip_tx {
  u8 ttl = 0;  ///< 0: sysctl ip_default_ttl, 1 for a multicast destination
  u8 tos = 0;
  u8 protocol = 0;
  ip_pmtudisc pmtudisc = ip_pmtudisc::want;
  bool mc_loop = true;  ///< IP_MULTICAST_LOOP: members on this host get a multicast too
  u32 mark = 0;
  u32 priority = 0;
  unsigned char const* options = nullptr;  ///< the option block, `optlen` bytes, a multiple of 4
  u8 optlen = 0;
  u8 srr = 0;    ///< where in the header a source route lies that ends with `daddr`; 0: none, or it is complete
  be32 daddr{};  ///< the destination, when the flow's is only the first stop
};

/// ipv4/ip_output. Sends a datagram: data at the transport header, its checksum done or ip_summed::partial. Writes the
/// IP header, passes LOCAL_OUT and hands it on. Always takes the skb; the dst is borrowed for this call. Errors:
/// message_size (EMSGSIZE: larger than the path's MTU; IPv4 does not fragment yet), no_buffer_space, network_down,
/// operation_not_permitted (a hook refused), the route's.
template <class Net>
result<void> ip_send_skb(Net& net, sk_buff& skb, rtable& rt, flowi4 const& fl4, ip_tx const& tx);

/// ipv4/route. The way to fl4.daddr; fills fl4.saddr (and daddr if zero). Borrowed: good for this poll; dst_hold() to
/// keep it, and look it up again once it is `obsolete`. Errors: network_unreachable, host_unreachable,
/// permission_denied (prohibit route; broadcast without broadcast_ok), invalid_argument (blackhole, a source that is
/// not ours, a bad address), no_such_device, no_buffer_space.
template <class Net>
result<rtable*> ip_route_output_key(Net& net, flowi4& fl4);
/// What fits into one packet to daddr by this way, IP header included: the device's MTU, the route's, the path's.
template <class Net>
[[nodiscard]] u32 ip_dst_mtu(Net& net, rtable const& rt, be32 daddr);

/// ipv4/devinet. rtn::local, broadcast, multicast or unicast (somewhere else).
template <class Net>
[[nodiscard]] rtn inet_addr_type(Net& net, be32 addr);
/// A source address of this device for dst (zero: any), no farther than scope; of another device if it has none. Zero:
/// the namespace has none.
template <class Net>
[[nodiscard]] be32 inet_select_addr(Net& net, net_device const* dev, be32 dst, rt_scope scope);
/// The device that has this address, or null.
template <class Net>
[[nodiscard]] net_device* ip_dev_find(Net& net, be32 addr);

/// ipv4/icmp. Reports an error about a received (or an own, unsent) datagram, if the rules allow: network_header valid,
/// the skb is not taken. `info`: the MTU for frag_needed, the gateway for a redirect, the pointer << 24 for
/// parameterprob; host order.
template <class Net>
void icmp_send(Net& net, sk_buff& about, u8 type, u8 code, u32 info);

/// ipv4/route. An ICMP error said that packets to fl4.daddr must not exceed mtu: kept at the peer. For err_handlers.
template <class Net>
void ipv4_update_pmtu(Net& net, be32 daddr, u32 mtu);
/// An ICMP redirect: packets to daddr go by gateway from now on, if the sender is their present gateway.
template <class Net>
void ipv4_redirect(Net& net, sk_buff& skb, be32 daddr, be32 gateway);

/// ipv4/ip_input. The IP layer's door, and the second stage that a tunnel or a filter may re-enter.
template <class Net>
verdict ip_rcv(Net& net, sk_buff& skb);
template <class Net>
verdict ip_local_deliver(Net& net, sk_buff& skb);
/// ipv4/ip_forward.
template <class Net>
verdict ip_forward(Net& net, sk_buff& skb);
/// ipv4/ip_output. Sends a packet whose header is complete by its dst. Always takes the skb.
template <class Net>
result<void> dst_output(Net& net, sk_buff& skb);

}  // namespace netstack
