// SPDX-License-Identifier: BSL-1.0
// Decides: nothing for long: stands in for skb/ files that are not committed yet, and goes when they are.
#pragma once
#if __has_include("netstack/skb/skb_copy.hpp")
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_pull.hpp"
#else
#include "netstack/base/result.hpp"
#include "netstack/skb/skb_pool.hpp"
#include "netstack/wire/checksum.hpp"
namespace netstack {
inline result<void> skb_cow(sk_buff& skb, u32 headroom) {
  if (skb.headroom() < headroom || skb_cloned(skb)) return failure{std::errc::not_enough_memory};
  return {};
}
inline result<void> skb_cow_head(sk_buff& skb, u32 headroom) { return skb_cow(skb, headroom); }
inline result<void> skb_ensure_writable(sk_buff& skb, u32) { return skb_cow(skb, 0); }
inline sk_buff* skb_copy(sk_buff const& skb) {
  sk_buff* n = skb.pool->alloc_skb(skb.headroom());
  if (!n) return nullptr;
  std::memcpy(n->put(skb.len), skb.data, skb.len);
  n->network_header = skb.network_header;
  n->transport_header = skb.transport_header;
  n->mac_header = skb.mac_header;
  n->dev = skb.dev;
  n->protocol = skb.protocol;
  n->pkt_type = skb.pkt_type;
  n->dst = skb.dst;
  n->dst_noref = skb.dst_noref;
  if (n->dst && !n->dst_noref) ++reinterpret_cast<dst_ref*>(n->dst)->refcnt;
  std::memcpy(static_cast<void*>(n + 1), static_cast<void const*>(&skb + 1), 48);
  return n;
}
}  // namespace netstack

namespace netstack {
inline bool pskb_may_pull(sk_buff& skb, u32 n) { return n <= skb.headlen(); }
}  // namespace netstack

namespace netstack {
[[nodiscard]] inline bool skb_copy_bits(sk_buff const& skb, u32 off, void* to, u32 n) {
  if (off + n > skb.len) return false;
  std::memcpy(to, skb.data + off, n);
  return true;
}
}  // namespace netstack

namespace netstack {
inline result<void> pskb_trim_rcsum(sk_buff& skb, u32 len) {
  if (skb.ip_summed == ip_summed::complete) skb.ip_summed = ip_summed::none;
  skb.trim(len);
  return {};
}
[[nodiscard]] inline bool skb_checksum_validate(sk_buff& skb, u32 psum) {
  if (skb.ip_summed == ip_summed::unnecessary || skb.ip_summed == ip_summed::partial) return true;
  return csum_fold(csum_partial(skb.data, skb.len, psum)) == sum16{};
}
}  // namespace netstack

#endif
