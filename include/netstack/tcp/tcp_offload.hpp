// SPDX-License-Identifier: BSL-1.0
// Decides: which segments of a connection are merged on receive, and how a super-segment is cut for a device that does
// not. What is merged are full segments in order under one header but for the sequence number: nothing is told of them
// that the one does not tell. A module of its own: to leave it out changes speed, never bytes. [S85] [S86] [S87]
// rx: called by ipv4/inet_offload; tx: likewise
// Linux: net/ipv4/tcp_offload.c
#pragma once
#include "netstack/ipv4/inet_offload.hpp"
#include "netstack/tcp/tcp.hpp"

namespace netstack {

namespace detail {

/// Data, and no flag that is one segment's own.
inline bool tcp_gro_is_plain(tcphdr const& th, u32 payload) {
  return payload != 0 && (th.flags & static_cast<u8>(~tcp_flag::psh)) == tcp_flag::ack;
}
/// The checksum is right, or need not be looked at.
inline bool tcp_gro_checksum(sk_buff& skb, iphdr const& iph, u8 const* th, u32 len) {
  if (skb_csum_unnecessary(skb)) return true;
  u32 const pseudo = csum_tcpudp_nofold(iph.saddr, iph.daddr, len, iph.protocol, 0);
  skb.rx_l4_valid = csum_is_right(csum_fold(csum_partial(th, len, pseudo)));
  return skb.rx_l4_valid;
}
/// `th` continues what p holds: the same header otherwise, right behind it, and p has no short segment yet.
inline bool tcp_gro_continues(sk_buff& p, tcphdr const& mine, tcphdr const& th, u32 payload) {
  u32 const hlen = static_cast<u32>(th.header_len()), mss = NAPI_GRO_CB(p).gso_size;
  u32 const held = p.len - static_cast<u32>(ip_hlen_min) - hlen;
  return mine.doff_res == th.doff_res && mine.ack_seq == th.ack_seq && mine.window == th.window &&
         std::memcmp(&mine + 1, &th + 1, hlen - tcp_hlen_min) == 0 && mine.seq.host() + held == th.seq.host() &&
         payload <= mss && held % mss == 0 && !mine.psh();
}

}  // namespace detail

template <class Net>
sk_buff* tcp4_gro_receive(Net&, std::span<sk_buff* const> held, sk_buff& skb) {
  auto& mark = NAPI_GRO_CB(skb);
  u32 const at = skb_gro_offset(skb), len = skb_gro_len(skb);
  auto const* th = skb_gro_header<tcphdr>(skb);
  u32 const hlen = th ? static_cast<u32>(th->header_len()) : 0;
  mark.flush = 1;
  if (hlen < tcp_hlen_min || hlen > len || skb.headlen() < at + len ||
      !detail::tcp_gro_checksum(skb, *skb.template network_hdr<iphdr>(), skb.data + at, len))
    return nullptr;
  u32 const payload = len - hlen;
  bool const plain = detail::tcp_gro_is_plain(*th, payload);
  mark.flush = !plain || th->psh();
  skb_gro_pull(skb, hlen);
  for (sk_buff* p : held) {
    if (!NAPI_GRO_CB(*p).same_flow) continue;
    auto& mine = *reinterpret_cast<tcphdr*>(p->data + at);
    if (mine.source != th->source || mine.dest != th->dest) continue;
    bool const last = th->psh(), full = payload == NAPI_GRO_CB(*p).gso_size;
    if (!plain || !detail::tcp_gro_continues(*p, mine, *th, payload) || !skb_gro_receive(*p, skb)) return p;
    if (last) mine.flags |= tcp_flag::psh;
    return last || !full ? p : nullptr;
  }
  return nullptr;
}
/// The checksum is nobody's any more; if the packet leaves again it is finished then.
template <class Net>
void tcp4_gro_complete(Net&, sk_buff& skb, u32 offset) {
  auto& th = *skb.peek<tcphdr>(offset);
  iphdr const& iph = *skb.template network_hdr<iphdr>();
  u32 const pseudo = csum_tcpudp_nofold(iph.saddr, iph.daddr, skb.len - offset, iph.protocol, 0);
  th.check = sum16{static_cast<u16>(~csum_fold(pseudo).raw())};
  skb.ip_summed = ip_summed::partial;
  skb.csum_start = static_cast<u16>(skb.headroom() + offset);
  skb.csum_offset = offsetof(tcphdr, check);
  skb_edit_shinfo(skb).gso_type = skb_gso::tcpv4;
}

/// RFC 9293 §3.1: sequence numbers count on; PSH and FIN are the last one's, CWR (RFC 3168 §6.1.2) the first one's.
template <class Net>
result<skb_list> tcp4_gso_segment(Net&, sk_buff& skb, u32 features) {
  auto const th = *skb.transport_hdr<tcphdr>();
  auto const at = static_cast<u32>(skb.transport_offset()), headers = at + static_cast<u32>(th.header_len());
  if (headers > skb.headlen()) return failure{std::errc::invalid_argument};
  u32 const payload = skb.len - headers;
  iphdr const iph = *ip_hdr(skb);
  return skb_segment(skb, headers, [&](sk_buff& piece, u32 number, u32 offset) {
    auto& own = *piece.transport_hdr<tcphdr>();
    u32 const len = piece.len - at;
    own.seq = be32{th.seq.host() + offset};
    if (offset + (piece.len - headers) < payload) own.flags &= static_cast<u8>(~(tcp_flag::psh | tcp_flag::fin));
    if (number != 0) own.flags &= static_cast<u8>(~tcp_flag::cwr);
    u32 const pseudo = csum_tcpudp_nofold(iph.saddr, iph.daddr, len, iph.protocol, 0);
    if (features & netif_f::hw_csum) {
      own.check = sum16{static_cast<u16>(~csum_fold(pseudo).raw())};
      piece.ip_summed = ip_summed::partial;
      piece.csum_start = piece.transport_header;
      piece.csum_offset = offsetof(tcphdr, check);
    } else {
      own.check = {};
      own.check = csum_fold(csum_partial(piece.data + at, len, pseudo));
    }
  });
}

struct tcp_offload : module {
  static constexpr auto needs = requires_all<tcp, ipv4_offload>;
  template <class Net>
  static constexpr std::array net_offloads{net_offload<Net>{.protocol = ipproto::tcp,
                                                            .callbacks = {.gro_receive = tcp4_gro_receive<Net>,
                                                                          .gro_complete = tcp4_gro_complete<Net>,
                                                                          .gso_segment = tcp4_gso_segment<Net>},
                                                            .name = "TCP"}};
};

}  // namespace netstack
