// SPDX-License-Identifier: BSL-1.0
// Decides: how the next datagram of a flow leaves when it only repeats the one before: its header is a few words that
// are ready but for the length and the checksum, and nothing about it is looked up but the next hop's link address.
// Whoever keeps an ip_way says when it is still right; composed output hooks, options, fragments and copies for this
// host go the longer way, ip_send_skb.
// tx: called by udp/udp_way → calls core/neigh_nud neigh_output
// Linux: net/ipv4/ip_output.c (__ip_queue_xmit, whose template is the socket)
// RFC 791 §3.1, RFC 6864 (atomic datagrams need no identification)
#pragma once
#include "netstack/core/dev_short.hpp"
#include "netstack/ipv4/ip_output.hpp"
#include "netstack/ipv4/ip_pattern.hpp"

namespace netstack {

struct ip_way {
  rtable* rt = nullptr;  ///< not held: the keeper asks whether it is still cached, and still the one of this serial
  u64 serial = 0;
  u64 first = 0;   ///< the header's first eight bytes, length 0
  u64 second = 0;  ///< the next eight, checksum 0
  be32 daddr{};
  u32 mark = 0;
  u32 priority = 0;
};

/// No hook looks at what leaves.
template <class Net>
constexpr bool ip_ways_possible =
    Net::template nf_hooks<nf_inet::local_out>.empty() && Net::template nf_hooks<nf_inet::post_routing>.empty() &&
    std::endian::native == std::endian::little;

namespace detail {
/// ip_rt_is_plain, after something changed.
template <class Net>
NETSTACK_NOINLINE bool ip_rt_look(Net& net, rtable& rt) {
  if (rt.obsolete || !rt.dev || rt.mtu != 0 || rt.learned) return false;
  bool const station = rt.rt_type == rtn::unicast && rt.output == dst_out::unicast;
  rt.plain_mtu = rt.dev->mtu;
  rt.plain_room = station ? std::min<u32>(rt.dev->mtu, ip_max_mtu) - static_cast<u32>(ip_hlen_min) : 0;
  rt.plain_genid = net.worker().softnet.route_genid;
  rt.hop = nullptr;
  return station;
}
}  // namespace detail
/// What plain_mtu and plain_room say is so.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool ip_rt_is_known(Net& net, rtable& rt) {
  return rt.plain_genid == net.worker().softnet.route_genid || detail::ip_rt_look(net, rt);
}
/// A way that is still right, to a station, and nothing was learnt about paths.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool ip_rt_is_plain(Net& net, rtable& rt) {
  return rt.plain_genid == net.worker().softnet.route_genid ? rt.plain_room != 0 : detail::ip_rt_look(net, rt);
}

/// Notes the way of a datagram that ip_send_skb would send. False: it is not of the kind that repeats.
template <class Net>
bool ip_way_keep(Net& net, ip_way& way, rtable& rt, flowi4 const& fl4, ip_tx const& tx) {
  auto const& ns = ipv4_net(net);
  way.rt = nullptr;
  if (!rt.dev || rt.learned || rt.rt_type != rtn::unicast || rt.output != dst_out::unicast || rt.mtu != 0 ||
      tx.optlen != 0 || !detail::ip_dont_fragment(tx, ns))
    return false;
  way.first = detail::ip_first_words(0x45, tx.tos, ip_df);
  way.second = detail::ip_select_ttl(ns, rt, tx) | detail::ip_second_words(tx.protocol, fl4.saddr);
  way.daddr = fl4.daddr;
  way.mark = tx.mark;
  way.priority = tx.priority;
  way.rt = &rt;
  way.serial = rt.serial;
  return true;
}

/// The most that one datagram may carry behind the IP header now.
[[nodiscard]] inline u32 ip_way_room(ip_way const& way) {
  u32 const mtu = std::min<u32>(way.rt->dev->mtu, ip_max_mtu);
  return mtu - static_cast<u32>(ip_hlen_min);
}

namespace detail {
/// The header of a datagram of `total` bytes.
NETSTACK_INLINE void ip_way_write(u8* at, ip_way const& way, u32 total) {
  u64 const first = way.first | u64{be16{static_cast<u16>(total)}.raw()} << 16;
  u64 const sum = csum_add64(csum_add64(first, way.second), way.daddr.raw());
  u64 const second = way.second | u64{csum_fold(csum_from64to32(sum)).raw()} << 16;
  std::memcpy(at, &first, 8);
  std::memcpy(at + 8, &second, 8);
  std::memcpy(at + 16, &way.daddr, 4);
}
/// The header in front of data at the transport header, and what goes with it.
NETSTACK_INLINE void ip_way_push(sk_buff& skb, ip_way const& way) {
  skb.reset_transport_header();
  u8* const at = skb.push(static_cast<u32>(ip_hlen_min));
  skb.reset_network_header();
  ip_way_write(at, way, skb.len);
  skb.protocol = be16{eth_p::ip};
  skb.mark = way.mark;
  skb.priority = way.priority;
  IPCB(skb) = {};
  skb.dev = way.rt->dev;
}
template <class Net>
NETSTACK_INLINE void ip_way_count(Net& net, u64 packets, u64 octets) {
  auto& mib = IP_STATS(net);
  mib.OutRequests += packets;
  mib.OutTransmits += packets;
  mib.OutOctets += octets;
}
}  // namespace detail

/// ip_send_skb for one more datagram of the way, data at the transport header, with room in front. Always takes the
/// skb.
template <class Net>
NETSTACK_INLINE result<void> ip_way_send(Net& net, sk_buff& skb, ip_way const& way) {
  rtable const& rt = *way.rt;
  detail::ip_way_push(skb, way);
  detail::ip_way_count(net, 1, skb.len);
  neighbour* n = ip_neigh(net, *rt.dev, rt_nexthop(rt, way.daddr));
  if (!n) [[unlikely]] {
    kfree_skb(net, skb, drop_reason::neigh_createfail);
    return failure{std::errc::no_buffer_space};
  }
  if (n->nud_state & nud::connected) [[likely]]
    return neigh_connected_output(net, skb, *n);
  skb_dst_set_noref(skb, *way.rt);  // it may have to wait
  return neigh_output(net, skb, *n);
}

namespace detail {
/// ip_way_hop, after something changed or for another destination: what does not change without route_genid.
template <class Net>
NETSTACK_NOINLINE neighbour* ip_way_look(Net& net, rtable& rt, be32 daddr) {
  net_device& dev = *rt.dev;
  bool const way = dev.hard_header_len == eth_hlen && xmit_way_is_up(dev);
  rt.hop = way ? ip_neigh(net, dev, rt_nexthop(rt, daddr)) : nullptr;
  rt.hop_for = daddr;
  return rt.hop;
}
}  // namespace detail
/// The next hop of a plain route (ip_rt_is_known was asked) over Ethernet, if its link address is known for sure, and
/// nothing stands between the driver and a finished frame; else null.
template <class Net>
[[nodiscard]] NETSTACK_INLINE neighbour* ip_way_hop(Net& net, rtable& rt, be32 daddr) {
  neighbour* const n = rt.hop && rt.hop_for == daddr ? rt.hop : detail::ip_way_look(net, rt, daddr);
  bool const free = n && (n->nud_state & nud::connected) && detail::xmit_way_is_quiet(net, *rt.dev);
  return free ? n : nullptr;
}
/// … and the frame may have `room` bytes in front of its IP header.
template <class Net>
[[nodiscard]] NETSTACK_INLINE neighbour* ip_way_is_free(Net& net, rtable& rt, be32 daddr, u32 room) {
  return rt.dev->needed_headroom + eth_hlen <= room ? ip_way_hop(net, rt, daddr) : nullptr;
}
/// Sends a fresh packet of the caller's, data at the transport header, that way. Always takes the skb. Errors:
/// dev_queue_xmit's.
template <class Net>
NETSTACK_INLINE result<void> ip_way_send_free(Net& net, sk_buff& skb, ip_way const& way, neighbour& n) {
  net_device& dev = *way.rt->dev;
  u8* const at = skb.data - ip_hlen_min;
  u32 const total = skb.len + static_cast<u32>(ip_hlen_min);
  detail::ip_way_write(at, way, total);
  detail::neigh_write_header(at - eth_hlen, n, be16{eth_p::ip});
  auto const offset = static_cast<u16>(at - skb.head);
  skb.protocol = be16{eth_p::ip};
  skb.network_header = offset;
  skb.transport_header = static_cast<u16>(offset + ip_hlen_min);
  skb.mac_header = static_cast<u16>(offset - eth_hlen);
  skb.data = at - eth_hlen;
  skb.len = total + static_cast<u32>(eth_hlen);
  skb.dev = &dev;
  skb.mark = way.mark;
  skb.priority = way.priority;
  n.used = net.worker().now;
  detail::ip_way_count(net, 1, total);
  return dev_xmit_finished(net, dev, skb);
}

/// Where to write one more datagram of the way, `total` bytes from the IP header on (ip_way_short_header), which
/// dev_short_end sends; null: it needs a packet. dev_takes_short and ip_rt_is_known were asked. Of the way only the
/// route and the destination are known yet: its words would have to be kept over this.
template <class Net>
[[nodiscard]] NETSTACK_INLINE u8* ip_way_short_begin(Net& net, rtable& rt, be32 daddr, u32 total) {
  net_device& dev = *rt.dev;
  neighbour* const n = ip_way_hop(net, rt, daddr);
  if (!n) [[unlikely]]
    return nullptr;
  u8* const at = dev_short_place(net, dev, static_cast<u32>(eth_hlen) + total);
  if (!at) [[unlikely]]
    return nullptr;
  n->used = net.worker().now;
  detail::neigh_write_header(at, *n, be16{eth_p::ip});
  detail::ip_way_count(net, 1, total);
  return at + eth_hlen;
}
/// Its header; where the transport's goes.
NETSTACK_INLINE u8* ip_way_short_header(u8* at, ip_way const& way, u32 total) {
  detail::ip_way_write(at, way, total);
  return at + ip_hlen_min;
}

/// The same for a burst: the next hop is asked for once, neighbours of one length have the same header, and the device
/// gets the frames as one list. Whoever has a transport header of its own in front of each datagram calls begin() when
/// the length changes, push() for each packet of a chain, and send() with the chain.
template <class Net>
class ip_way_burst {
  Net& net_;
  ip_way const& way_;
  net_device& dev_;
  neighbour* n_;
  detail::hh_cache hh_;
  u64 first_ = 0, second_ = 0;  // of the header, at this length
  u32 sum_ = 0;
  u32 total_ = 0;
  u32 daddr_;
  u32 hh_len_;
  u64 link_word_ = 0;
  u64 octets_ = 0;

 public:
  /// Room in front of the transport header that push() needs.
  static constexpr u32 headroom = static_cast<u32>(ip_hlen_min) + detail::hh_cache::room;

  ip_way_burst(Net& net, ip_way const& way, ip_summed summed)
      : net_(net),
        way_(way),
        dev_(*way.rt->dev),
        n_(ip_neigh(net, dev_, rt_nexthop(*way.rt, way.daddr))),
        hh_(n_ ? detail::hh_cache{*n_, dev_, eth_p::ip} : detail::hh_cache{}),
        daddr_(way.daddr.raw()),
        hh_len_(hh_.len),
        link_word_(detail::make_tx_link_word(be16{eth_p::ip}, static_cast<u16>(ip_hlen_min), summed)) {}

  /// False: the next hop is not known for sure, so each datagram has to ask for itself (ip_way_send).
  [[nodiscard]] bool ready() const {
    return n_ && (n_->nud_state & nud::connected) && (hh_.len == 0 || hh_.len == eth_hlen);
  }
  /// From now on `len` bytes follow the IP header.
  void begin(u32 len) {
    total_ = len + static_cast<u32>(ip_hlen_min);
    first_ = way_.first | u64{be16{static_cast<u16>(total_)}.raw()} << 16;
    sum_ = detail::csum_from64to32(detail::csum_add64(detail::csum_add64(first_, way_.second), daddr_));
    second_ = way_.second | u64{csum_fold(sum_).raw()} << 16;
  }
  /// A datagram of the caller's alone, linear, without a dst, its transport header at `th`, with room in front. Nothing
  /// of where it came from stays with it. `id`: its identification, unless the way forbids fragments.
  NETSTACK_INLINE void push(sk_buff& skb, u8* th, be16 id = {}) {
    push(skb, th, static_cast<u16>(static_cast<std::size_t>(th - skb.head) - ip_hlen_min), id);
  }
  /// The same for who knows where the IP header begins, from skb.head: of fresh packets all in the same place.
  NETSTACK_INLINE void push(sk_buff& skb, u8* th, u16 at, be16 id) {
    u8* const iph = th - ip_hlen_min;
    u64 const first = first_ | u64{id.raw()} << 32;
    u64 const second =
        id ? way_.second | u64{csum_fold(detail::csum_from64to32(u64{sum_} + id.raw())).raw()} << 16 : second_;
    std::memcpy(iph + 16, &daddr_, 4);
    std::memcpy(iph + 8, &second, 8);
    std::memcpy(iph, &first, 8);
    if (hh_len_ != 0) hh_.write(iph);
    if (skb.protocol) detail::skb_forget_arrival(skb);
    detail::store_link_word(skb, link_word_ + detail::at_network_header(at));
    skb.mac_header = static_cast<u16>(at - hh_len_);
    skb.data = iph - hh_len_;
    skb.len = total_ + hh_len_;
    skb.dev = &dev_;
    skb.mark = way_.mark;
    skb.priority = way_.priority;
    octets_ += total_;
  }
  /// Sends the chain that was pushed; how many the device took.
  u32 send(sk_buff& from, sk_buff& to, u32 n) {
    n_->used = net_.worker().now;
    detail::ip_way_count(net_, n, octets_);
    skb_list frames;
    to.next = nullptr;
    frames.push_chain(from, to, n);
    return dev_xmit_finished_list(net_, dev_, frames, octets_ + u64{n} * hh_.len);
  }
};

namespace detail {
/// Of the common kind: to a station, without options, and routers may cut it.
template <class Net>
bool ip_is_plain(rtable const& rt, ip_tx const& tx) {
  return ip_ways_possible<Net> && rt.dev && rt.rt_type == rtn::unicast && rt.output == dst_out::unicast &&
         rt.mtu == 0 && !rt.learned && tx.optlen == 0 && tx.pmtudisc == ip_pmtudisc::dont;
}
/// The way of such a datagram, for this poll; its identification is still 0.
template <class Net>
ip_way ip_plain_way(Net& net, rtable& rt, flowi4 const& fl4, ip_tx const& tx) {
  u8 const ttl = ip_select_ttl(ipv4_net(net), rt, tx);
  return {.rt = &rt,
          .first = 0x45 | u64{tx.tos} << 8,
          .second = ttl | u64{tx.protocol} << 8 | u64{fl4.saddr.raw()} << 32,
          .daddr = fl4.daddr,
          .mark = tx.mark,
          .priority = tx.priority};
}
}  // namespace detail

/// ip_send_skb for a datagram that stands alone and is mostly of the common kind, not longer than the link carries.
/// Anything else takes the longer way. Always takes the skb.
template <class Net>
result<void> ip_send_plain(Net& net, sk_buff& skb, rtable& rt, flowi4 const& fl4, ip_tx const& tx) {
  if (!detail::ip_is_plain<Net>(rt, tx) || skb.len + ip_hlen_min > rt.dev->mtu ||
      !detail::has_headroom(skb, *rt.dev, static_cast<u32>(ip_hlen_min)))
    return ip_send_skb(net, skb, rt, fl4, tx);
  ip_way way = detail::ip_plain_way(net, rt, fl4, tx);
  way.first |= u64{be16{ip_select_ident(net, fl4.daddr)}.raw()} << 32;
  return ip_way_send(net, skb, way);
}

}  // namespace netstack
