// SPDX-License-Identifier: BSL-1.0
// Decides: how many ICMP errors may be sent: each destination has a token bucket, in its inet_peer, and the namespace
// has one for all destinations together, whose level is blurred so that nobody can use it to count our errors.
// tx: called by ipv4/icmp_send, icmp_reply [S158]
// Linux: net/ipv4/icmp.c (icmpv4_mask_allow, icmp_global_allow, icmpv4_xrlim_allow), net/ipv4/inetpeer.c
// RFC 1812 §4.3.2.8 (rate limiting), RFC 8085 and "SAD DNS" (CVE-2020-25705: shared limits are a side channel)
#pragma once
#include "netstack/ipv4/ipv4_worker.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack {

namespace detail {

/// RFC 1191 §4: path MTU discovery needs its errors; and what the mask does not name is not limited.
[[nodiscard]] inline bool icmp_is_limited(netns_ipv4 const& ns, u8 type, u8 code) {
  if (type > nr_icmp_types) return false;
  if (type == icmp_type::dest_unreach && code == icmp_code::frag_needed) return false;
  return (static_cast<u32>(ns.sysctl_icmp_ratemask) >> type & 1) != 0;
}

/// All destinations together: icmp_msgs_per_sec, in bursts of icmp_msgs_burst. Is anything left?
template <class Net>
bool icmp_global_allow(Net& net) {
  auto& ns = ipv4_net(net);
  constexpr u64 second = 1'000'000'000;
  u64 const now = net.worker().now;
  u64 const since = std::min(now - ns.icmp_global_stamp, second);
  u64 const earned = ns.sysctl_icmp_msgs_per_sec * since / second;
  if (earned != 0) {
    ns.icmp_global_credit = static_cast<u32>(std::min<u64>(ns.icmp_global_credit + earned, ns.sysctl_icmp_msgs_burst));
    ns.icmp_global_stamp = now;
  }
  return ns.icmp_global_credit != 0;
}
/// One for a message, and up to two more at random: the level says nothing exact about what was sent to others.
template <class Net>
void icmp_global_consume(Net& net) {
  u32& credit = ipv4_net(net).icmp_global_credit;
  credit -= std::min(1 + net.worker().random.next_u32() % 3, credit);
}

}  // namespace detail

/// May a message of this type go to daddr by this device now? A refusal is counted.
template <class Net>
bool icmp_xrlim_allow(Net& net, net_device const& dev, be32 daddr, u8 type, u8 code) {
  auto& ns = ipv4_net(net);
  if (!detail::icmp_is_limited(ns, type, code) || dev.is_loopback()) return true;
  if (!detail::icmp_global_allow(net)) {
    ++ICMP_STATS(net).OutRateLimitGlobal;
    return false;
  }
  inet_peer* peer = inet_getpeer(net, daddr, true);
  if (peer && !inet_peer_xrlim_allow(*peer, net.worker().now, ns.sysctl_icmp_ratelimit)) {
    ++ICMP_STATS(net).OutRateLimitHost;
    return false;
  }
  detail::icmp_global_consume(net);
  return true;
}

}  // namespace netstack
