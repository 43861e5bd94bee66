// SPDX-License-Identifier: BSL-1.0
// Decides: which flow a frame belongs to, as a 32-bit hash: keyed, so that a peer cannot aim at one queue; the same for
// both directions of a flow; over addresses, protocol and, unless it is a fragment, the ports of TCP, UDP, DCCP, SCTP.
// Computed once a packet and kept in skb.hash. [S51]
// rx: called by core/rps; tx: called by core/dev_output netdev_pick_tx
// Linux: net/core/flow_dissector.c (__skb_get_hash)
#pragma once
#include <bit>
#include <utility>

#include "netstack/core/softnet.hpp"
#include "netstack/skb/skb_headers.hpp"
#include "netstack/wire/eth_p.hpp"
#include "netstack/wire/ip.hpp"

namespace netstack {

struct flow_keys {
  u64 addrs[2]{};  ///< of one end and of the other; an IPv6 address folded to 64 bits
  u16 ports[2]{};
  u8 ip_proto = 0;
  bool has_ports = false;
};

namespace detail {

constexpr bool flow_has_ports(u8 proto) {
  return proto == ipproto::tcp || proto == ipproto::udp || proto == ipproto::dccp || proto == ipproto::sctp ||
         proto == ipproto::udplite;
}

inline void dissect_ports(flow_keys& keys, u8 const* at, u8 const* end) {
  if (!flow_has_ports(keys.ip_proto) || end - at < 4) return;
  be16 ports[2];
  std::memcpy(ports, at, sizeof ports);
  keys.ports[0] = ports[0].host(), keys.ports[1] = ports[1].host();
  keys.has_ports = true;
}

}  // namespace detail

/// What identifies the flow of the packet whose `protocol` header starts at `at`. False: nothing that has flows.
inline bool skb_flow_dissect(u16 protocol, u8 const* at, u8 const* end, flow_keys& keys) {
  if (protocol == eth_p::ip && end - at >= static_cast<std::ptrdiff_t>(sizeof(iphdr))) {
    auto const& iph = *reinterpret_cast<iphdr const*>(at);
    if (iph.ihl() < 5) return false;
    keys.addrs[0] = iph.saddr.raw(), keys.addrs[1] = iph.daddr.raw();
    keys.ip_proto = iph.protocol;
    if (!ip_is_fragment(iph) && end - at >= static_cast<std::ptrdiff_t>(iph.header_len()))
      detail::dissect_ports(keys, at + iph.header_len(), end);
    return true;
  }
  constexpr std::ptrdiff_t ipv6_hlen = 40;  // RFC 8200 §3: next header at 6, addresses at 8 and 24
  if (protocol == eth_p::ipv6 && end - at >= ipv6_hlen) {
    u64 words[4];
    std::memcpy(words, at + 8, sizeof words);
    keys.addrs[0] = words[0] ^ std::rotl(words[1], 32), keys.addrs[1] = words[2] ^ std::rotl(words[3], 32);
    keys.ip_proto = at[6];
    detail::dissect_ports(keys, at + ipv6_hlen, end);
    return true;
  }
  return false;
}

/// The hash of a flow, either way.
inline u32 flow_hash(flow_keys keys, siphash_key_t const& key) {
  // One order for both directions.
  if (keys.addrs[0] > keys.addrs[1] || (keys.addrs[0] == keys.addrs[1] && keys.ports[0] > keys.ports[1])) {
    std::swap(keys.addrs[0], keys.addrs[1]);
    std::swap(keys.ports[0], keys.ports[1]);
  }
  u64 const rest = u64{keys.ip_proto} << 32 | u64{keys.ports[0]} << 16 | keys.ports[1];
  return static_cast<u32>(siphash_3u64(keys.addrs[0], keys.addrs[1], rest, key));
}

/// The packet's flow hash; 0 when it has none (ARP, anything that is no IP). network_header and protocol are set.
template <class Net>
u32 skb_get_hash(Net& net, sk_buff& skb) {
  if (skb.hash == 0) {
    flow_keys keys;
    if (skb_flow_dissect(skb.protocol.host(), skb.head + skb.network_header, skb.tail, keys)) {
      skb_set_hash(skb, flow_hash(keys, net.worker().softnet.hash_key), keys.has_ports);
    }
  }
  return skb.hash;
}

/// Maps a hash to 0 … n - 1, evenly.
constexpr u32 reciprocal_scale(u32 hash, u32 n) { return static_cast<u32>(u64{hash} * n >> 32); }

}  // namespace netstack
