// SPDX-License-Identifier: BSL-1.0
// Decides: when a socket's next datagram only repeats its last one: the same peer, and nothing that decides about a
// datagram has changed. That is asked of the values themselves (a copy of the socket's settings is compared), so no
// setter has to remember to invalidate anything.
// tx: called by udp_sendmsg, udp_socket::send → calls ip_way_send
// Linux: net/ipv4/udp.c (the connected fast path of udp_sendmsg)
#pragma once
#include "netstack/ipv4/ip_way.hpp"
#include "netstack/udp/udp_output.hpp"

namespace netstack::detail {

/// Everything of a socket and its namespace that a datagram without control messages depends on.
inline udp_way_key udp_way_key_of(udp_sock const& sk, netns_ipv4 const& ns) {
  return {.source = sk.inet_saddr.raw() | u64{sk.inet_sport.raw()} << 32 | u64{static_cast<u16>(sk.uc_ttl)} << 48,
          .look = sk.tos | u64{static_cast<u8>(sk.pmtudisc)} << 8 | u64{sk.own.opt != nullptr} << 16 |
                  u64{sk.transparent} << 24 | u64{sk.own.uc_index} << 32,
          .flags = sk.sk_flags,
          .mark = sk.sk_mark | u64{sk.sk_priority} << 32,
          .bound = sk.sk_bound_dev_if | u64{ns.sysctl_ip_default_ttl} << 32 | u64{ns.sysctl_ip_no_pmtu_disc} << 40};
}

/// The kept way, if the datagram to daddr:dport repeats the last one and the socket may send now; else null.
template <class Net>
udp_way* udp_way_again(Net& net, udp_sock& sk, be32 daddr, be16 dport) {
  udp_way& way = sk.way;
  if constexpr (!ip_ways_possible<Net>) return nullptr;
  if (!way.ip.rt || way.ip.daddr != daddr || way.dport != dport) return nullptr;
  bool const cached =
      sk.sk_dst_cache == way.ip.rt ? !way.ip.rt->obsolete : rt_slab(net.worker()).recent_of(daddr).rt == way.ip.rt;
  if (!cached || way.ip.rt->serial != way.ip.serial || sk.corkflag || sk.cork.skb || sk.sk_err != 0 ||
      (sk.sk_shutdown & send_shutdown) != 0 || (sk.own.tsflags & sof_timestamping::tx_record_mask) != 0 ||
      sk_wmem_alloc_get(sk) >= sk.sk_sndbuf || !(way.key == udp_way_key_of(sk, ipv4_net(net))))
    return nullptr;
  return &way;
}

/// Keeps the way of a datagram that was not told anything by control messages or flags.
template <class Net>
void udp_way_keep(Net& net, udp_sock& sk, udp_flow const& flow) {
  if constexpr (ip_ways_possible<Net>) {
    if (!ip_way_keep(net, sk.way.ip, *flow.rt, flow.fl4, flow.tx)) return;
    sk.way.key = udp_way_key_of(sk, ipv4_net(net));
    sk.way.sport = flow.fl4.sport;
    sk.way.dport = flow.fl4.dport;
    sk.way.csum_mode = flow.csum_mode;
    u64 const addrs = u64{flow.fl4.saddr.raw()} + flow.fl4.daddr.raw() + be16{ipproto::udp}.raw();
    sk.way.sum = csum_from64to32(addrs + flow.fl4.sport.raw() + flow.fl4.dport.raw());
  }
}

/// The most that fits behind the IP header into one frame of the pool, too.
template <class Net>
u32 udp_way_room(Net& net, udp_way const& way) {
  return std::min(ip_way_room(way.ip), net.worker().pool.frame_size() - 128);
}

/// What the headers of neighbours of one length have in common.
struct udp_way_header {
  u64 words = 0;  ///< without the checksum
  u64 sum = 0;    ///< of all but the payload; with a device that sums, the checksum itself
  NETSTACK_INLINE udp_way_header(udp_way const& way, udp_csum_mode mode, u32 payload_len) {
    be16 const ulen{static_cast<u16>(payload_len + udp_hlen)};
    words = way.sport.raw() | u64{way.dport.raw()} << 16 | u64{ulen.raw()} << 32;
    sum = u64{way.sum} + ulen.raw();
    // A device adds what it sees, the ports and the length among it, to the pseudo header's sum.
    sum = mode == udp_csum_mode::software ? sum + ulen.raw()
                                          : csum_sub(csum_from64to32(sum), u32{way.sport.raw()} + way.dport.raw());
  }
  /// Writes the header in front of the payload; `csum`: over the payload, for software.
  NETSTACK_INLINE u8* write(sk_buff& skb, u8* payload, udp_csum_mode mode, u32 csum) const {
    u8* const at = payload - udp_hlen;
    u16 check = 0;
    if (mode == udp_csum_mode::software) [[likely]] {
      check = csum_fold(csum_from64to32(sum + csum)).raw();
      if (check == 0) check = csum_mangled_0.raw();  // RFC 768
    } else if (mode == udp_csum_mode::hardware) {
      check = static_cast<u16>(~csum_fold(static_cast<u32>(sum)).raw());
      skb.csum_start = static_cast<u16>(at - skb.head);
      skb.csum_offset = offsetof(udphdr, check);
    }
    u64 const all = words | u64{check} << 48;
    std::memcpy(at, &all, sizeof all);
    return at;
  }
};
[[nodiscard]] constexpr ip_summed udp_way_summed(udp_csum_mode mode) {
  return mode == udp_csum_mode::hardware ? ip_summed::partial : ip_summed::none;
}

/// Headers and away. Always takes the skb.
template <class Net>
result<void> udp_way_send(Net& net, udp_sock& sk, sk_buff& skb, udp_way const& way, u32 csum) {
  auto const mode = udp_csum_mode_of(sk, *way.ip.rt->dev);
  udp_way_header{way, mode, skb.len}.write(skb, skb.data, mode, csum);
  skb.push(static_cast<u32>(udp_hlen));
  skb.ip_summed = udp_way_summed(mode);
  auto const r = ip_way_send(net, skb, way.ip);
  if (r) [[likely]] {
    ++UDP_STATS(net).OutDatagrams;
    return {};
  }
  return udp_send_failed(net, sk, r.error(), way.ip.daddr, way.dport, way.ip.rt);
}

}  // namespace netstack::detail
