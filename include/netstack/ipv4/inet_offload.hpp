// SPDX-License-Identifier: BSL-1.0
// Decides: how IPv4 datagrams of one flow are merged on receive and cut on transmit, as far as their IP headers go; the
// rest is for the transport's offload. A module of its own: to leave it out changes speed, never bytes. [S85] [S86]
// rx: called by core/gro; tx: by core/gso
// Linux: net/ipv4/af_inet.c (inet_gro_receive, inet_gro_complete, inet_gso_segment)
#pragma once
#include "netstack/core/gro.hpp"
#include "netstack/core/gso.hpp"
#include "netstack/ipv4/ip_pattern.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/registry/module.hpp"

namespace netstack {

namespace detail {

/// Neither options nor a fragment, as long as it says, and right.
inline bool inet_gro_is_plain(sk_buff& skb, iphdr const& iph) {
  return iph.ver_ihl == 0x45 && !ip_is_fragment(iph) && iph.tot_len.host() == skb_gro_len(skb) &&
         ip_header_is_right(bytes_of(iph));
}
/// All but length, identification and checksum are the same.
inline bool inet_gro_same(iphdr const& a, iphdr const& b) {
  return a.saddr == b.saddr && a.daddr == b.daddr && a.protocol == b.protocol && a.tos == b.tos && a.ttl == b.ttl &&
         a.frag_off == b.frag_off;
}
inline void inet_set_length(iphdr& iph, u32 len) {
  iph.tot_len = be16{static_cast<u16>(len)};
  iph.check = {};
  iph.check = ip_header_csum(iph);
}

}  // namespace detail

template <class Net>
sk_buff* inet_gro_receive(Net& net, std::span<sk_buff* const> held, sk_buff& skb) {
  auto const* iph = skb_gro_header<iphdr>(skb);
  auto const* offload = iph ? Net::inet_offloads[iph->protocol] : nullptr;
  if (!offload || !offload->callbacks.gro_receive || !detail::inet_gro_is_plain(skb, *iph)) {
    NAPI_GRO_CB(skb).flush = 1;
    return nullptr;
  }
  for (sk_buff* p : held)
    if (NAPI_GRO_CB(*p).same_flow && !detail::inet_gro_same(*p->template network_hdr<iphdr>(), *iph))
      NAPI_GRO_CB(*p).same_flow = 0;
  skb_gro_pull(skb, static_cast<u32>(ip_hlen_min));
  return offload->callbacks.gro_receive(net, held, skb);
}
template <class Net>
void inet_gro_complete(Net& net, sk_buff& skb, u32 offset) {
  auto& iph = *skb.peek<iphdr>(offset);
  detail::inet_set_length(iph, skb.len - offset);
  Net::inet_offloads[iph.protocol]->callbacks.gro_complete(net, skb, offset + static_cast<u32>(ip_hlen_min));
}

/// RFC 6864 §4: identifications count on, where routers may cut.
template <class Net>
result<skb_list> inet_gso_segment(Net& net, sk_buff& skb, u32 features) {
  iphdr const& iph = *ip_hdr(skb);
  auto const* offload = Net::inet_offloads[iph.protocol];
  if (!offload || !offload->callbacks.gso_segment) return failure{std::errc::operation_not_supported};
  auto pieces = offload->callbacks.gso_segment(net, skb, features);
  if (!pieces) return pieces;
  u16 id = iph.id.host();
  for (sk_buff& piece : *pieces) {
    auto& own = *ip_hdr(piece);
    own.id = be16{own.frag_off.host() & ip_df ? id : id++};
    detail::inet_set_length(own, piece.len - static_cast<u32>(piece.network_offset()));
  }
  return pieces;
}

struct ipv4_offload : module {
  static constexpr auto needs = requires_all<ipv4>;
  template <class Net>
  static constexpr std::array packet_offloads{packet_offload<Net>{.type = eth_p::ip,
                                                                  .callbacks = {.gro_receive = inet_gro_receive<Net>,
                                                                                .gro_complete = inet_gro_complete<Net>,
                                                                                .gso_segment = inet_gso_segment<Net>},
                                                                  .name = "ip"}};
};

}  // namespace netstack
