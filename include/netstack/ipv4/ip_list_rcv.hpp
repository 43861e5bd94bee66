// SPDX-License-Identifier: BSL-1.0
// Decides: how a burst of datagrams is received. Neighbours are mostly of one flow, so the first of them goes the whole
// way (ip_rcv, route, transport) and those that are like it are recognised by their words, kept in registers, and join
// it: what ip_rcv would check of each is compared or summed here, and what it would look up is known. Whoever differs
// goes the whole way again. [S81] [S121]
// rx: called by core/dev_input netif_receive_skb_list → calls inet_protos[protocol].flow or list_func, else ip_rcv's
//     stages
// Linux: net/ipv4/ip_input.c (ip_list_rcv, ip_sublist_rcv, ip_extract_route_hint), net/ipv4/af_inet.c
// (inet_gro_receive)
#pragma once
#include "netstack/core/dev_input.hpp"
#include "netstack/ipv4/ip_input.hpp"
#include "netstack/skb/skb_headers.hpp"

namespace netstack {

namespace detail {

/// Nothing stands between a datagram for this host and a transport that takes lists.
template <class Net>
constexpr bool ip_takes_lists = Net::template nf_hooks<nf_inet::pre_routing>.empty() &&
                                Net::template nf_hooks<nf_inet::local_in>.empty() && Net::raw_deliver.empty();

/// The transport of a datagram that it may take without anybody in between; else null.
template <class Net>
net_protocol<Net> const* ip_list_proto(sk_buff& skb) {
  if constexpr (!ip_takes_lists<Net>) return nullptr;
  iphdr const& iph = *ip_hdr(skb);
  auto const* proto = Net::inet_protos[iph.protocol];
  bool const plain = skb.dst->input == dst_in::local_deliver && !ip_is_fragment(iph);
  return plain && proto && proto->no_policy && proto->netns_ok ? proto : nullptr;
}

/// The first eight bytes of a header as ip_pattern compares them: length, ECN, fragment.
[[nodiscard]] constexpr u64 ip_first_words(u8 ver_ihl, u8 tos, u16 frag_off) {
  return std::bit_cast<u64>(
      std::array<u8, 8>{ver_ihl, tos, 0, 0, 0, 0, static_cast<u8>(frag_off >> 8), static_cast<u8>(frag_off)});
}
/// The second eight: the protocol and the source.
[[nodiscard]] constexpr u64 ip_second_words(u8 protocol, be32 saddr) {
  auto const a = saddr.bytes();
  return std::bit_cast<u64>(std::array<u8, 8>{0, protocol, 0, 0, a[0], a[1], a[2], a[3]});
}

static_assert(offsetof(sk_buff, napi_id) == offsetof(sk_buff, skb_iif) + 4);

/// What the next datagram of a flow looks like when it arrives, and what it is told, both copied from the first.
struct ip_pattern {
  u64 link;    ///< the link word of a frame as it arrives
  u64 second;  ///< protocol and source, as the header's second eight bytes have them
  u32 daddr;
  u32 told;     ///< transport_header, pkt_type and flags of a received one
  u64 arrival;  ///< skb_iif and napi_id
  u64 now_real;
  inet_skb_parm parm;
  dst_entry* dst;

  static constexpr u64 first_mask = ip_first_words(0xff, 3, ip_mf | ip_offset), first = ip_first_words(0x45, 0, 0);
  static constexpr u64 second_mask = ip_second_words(0xff, be32{0xffffffff});
  /// Every transport has eight bytes of header, or it is not of the common kind.
  static constexpr u32 least = static_cast<u32>(sizeof(iphdr)) + 8;

  /// `first`: received, data still at its network header; `link`: what its link word was.
  ip_pattern(sk_buff& skb, u64 word, u64 now)
      : link(word),
        second(csum_load<u64>(skb.head + skb.network_header + 8) & second_mask),
        daddr(ip_hdr(skb)->daddr.raw()),
        told(csum_load<u32>(reinterpret_cast<u8 const*>(&skb.transport_header))),
        arrival(csum_load<u64>(reinterpret_cast<u8 const*>(&skb.skb_iif))),
        now_real(now),
        parm(IPCB(skb)),
        dst(skb.dst) {}

  /// Length of the datagram if it is of the same addresses and transport, whole, right, linear, without options or ECN,
  /// and nobody has put anything beside it; else 0.
  [[nodiscard]] NETSTACK_INLINE u32 match(sk_buff const& skb) const {
    u64 const lengths = csum_load<u64>(reinterpret_cast<u8 const*>(&skb.len));  // of frags in the upper half
    if (load_link_word(skb) != link || lengths - least > 0xffff ||
        (reinterpret_cast<std::uintptr_t>(skb.dst) | reinterpret_cast<std::uintptr_t>(skb.sk) |
         csum_load<u64>(reinterpret_cast<u8 const*>(&skb.skb_iif))) != 0)
      return 0;
    u64 const a = csum_load<u64>(skb.data), b = csum_load<u64>(skb.data + 8);
    u32 const c = csum_load<u32>(skb.data + 16);
    u32 const len = reinterpret_cast<iphdr const*>(skb.data)->tot_len.host();
    if ((a & first_mask) != first || (b & second_mask) != second || c != daddr ||
        len - least > static_cast<u32>(lengths) - least ||
        !csum_is_right(csum_fold(csum_from64to32(csum_add64(csum_add64(a, b), c)))))
      return 0;
    return len;
  }
  /// Makes it a received one: data `headers` bytes further, the link's padding behind `len` cut off.
  NETSTACK_INLINE void tell(sk_buff& skb, u32 headers, u32 len) const {
    skb.dst = dst;
    std::memcpy(static_cast<void*>(&skb.transport_header), &told, sizeof told);
    std::memcpy(static_cast<void*>(&skb.skb_iif), &arrival, sizeof arrival);
    skb.tstamp = skb.tstamp ? skb.tstamp : now_real;
    IPCB(skb) = parm;
    skb.tail = skb.data + len;
    skb.data += headers;
    skb.len = len - headers;
  }
};

/// Takes the datagrams of the flow off the front of a chain, of which the first comes next; the rest of it.
template <class Net, std::size_t Row>
sk_buff* ip_flow_more(sk_buff* skb, ip_pattern const pattern, inet_flow const flow, skb_list& run, u64& octets) {
  constexpr auto const& ops = Net::inet_protos.rows[Row].flow;
  sk_buff* const first = skb;
  sk_buff* last = nullptr;
  u32 n = 0;
  while (skb) {
    sk_buff* const following = skb->next;
    if (following) __builtin_prefetch(following->data);
    u32 const len = pattern.match(*skb);
    if (len == 0 || !ops.more(flow, skb->data + sizeof(iphdr), len - static_cast<u32>(sizeof(iphdr)))) break;
    octets += skb->len;
    pattern.tell(*skb, static_cast<u32>(sizeof(iphdr)) + ops.hlen, len);
    ++n;
    last = skb;
    skb = following;
  }
  if (n != 0) {
    last->next = nullptr;
    run.push_chain(*first, *last, n);
  }
  return skb;
}

/// A burst at work.
template <class Net>
class ip_burst {
  Net& net_;
  skb_list& burst_;  // what is still to come
  route_hint hint_{};
  skb_list waiting_{};  // neighbours for proto_.list_func
  net_protocol<Net> const* proto_ = nullptr;

  void deliver_waiting() {
    if (waiting_.empty()) return;
    skb_list list = std::exchange(waiting_, {});
    proto_->list_func(net_, list);
  }

  /// The datagrams behind the first, which began a flow: with it, to the transport.
  template <std::size_t Row>
  void flow_of(sk_buff& skb, u64 link_word, inet_flow const& flow) {
    constexpr auto const& ops = Net::inet_protos.rows[Row].flow;
    skb_list run;
    u64 octets = 0;
    ip_pattern const pattern{skb, link_word, net_.worker().now_real};
    skb.pull(ops.hlen);
    run.push_back(skb);
    // A route that is held, options, and a sum that the device made or has to finish, are each packet's own.
    if (!burst_.empty() && skb.pkt_type == pkt_type::host && skb.dst_noref && ip_hdr(skb)->ihl() == 5 &&
        (skb.ip_summed == ip_summed::none || skb.ip_summed == ip_summed::unnecessary)) {
      burst_.first = ip_flow_more<Net, Row>(burst_.first, pattern, flow, run, octets);
      u32 const more = run.count - 1;
      burst_.count -= more;
      if (!burst_.first) burst_.last = nullptr;
      auto& mib = IP_STATS(net_);
      mib.InReceives += more;
      mib.InNoECTPkts += more;
      mib.InDelivers += more;
      mib.InOctets += octets;
    }
    ops.end(net_, flow, run);
  }
  /// True: it began a flow, and was handed over with what follows it.
  template <std::size_t... Row>
  bool begin_flow(sk_buff& skb, u64 link_word, std::index_sequence<Row...>) {
    inet_flow flow;
    auto const begin = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
      constexpr auto const& row = Net::inet_protos.rows[R];
      if constexpr (row.flow.begin != nullptr) {
        if (proto_ != &row || !row.flow.begin(net_, skb, flow)) return false;
        flow_of<R>(skb, link_word, flow);
        return true;
      } else {
        return false;
      }
    };
    return (begin(std::integral_constant<std::size_t, Row>{}) || ...);
  }

  verdict receive_one(sk_buff& skb, u64 link_word) {
    if (auto why = ip_rcv_core(net_, skb)) return drop(net_, skb, *why);
    if constexpr (!Net::template nf_hooks<nf_inet::pre_routing>.empty()) {
      return NF_HOOK<nf_inet::pre_routing>(net_, skb, ip_rcv_finish<Net>);
    } else {
      if (auto why = ip_rcv_finish_core(net_, skb, &hint_)) return drop(net_, skb, *why);
      auto const* proto = ip_list_proto<Net>(skb);
      if (proto != proto_) deliver_waiting();
      proto_ = proto;
      if (!proto || (!proto->list_func && !proto->flow.begin)) return dst_input(net_, skb);
      skb.pull(skb.transport_header - u32{skb.network_header});
      if (proto->list_func) {
        ++IP_STATS(net_).InDelivers;
        waiting_.push_back(skb);
        return verdict::kept();
      }
      if constexpr (ip_takes_lists<Net>) {
        if (begin_flow(skb, link_word, std::make_index_sequence<Net::inet_protos.rows.size()>{})) {
          ++IP_STATS(net_).InDelivers;
          return verdict::kept();
        }
      }
      return ip_protocol_deliver(net_, skb, proto->protocol);
    }
  }

 public:
  ip_burst(Net& net, skb_list& burst) : net_(net), burst_(burst) {}

  void run() {
    while (sk_buff* skb = receive_next(net_, burst_, eth_p::ip)) finish(*skb, receive_one(*skb, load_link_word(*skb)));
    deliver_waiting();
  }
};

}  // namespace detail

/// The packet type's list_func: a route looked up serves neighbours of the same flow, and their transport gets them
/// together.
template <class Net>
void ip_list_rcv(Net& net, skb_list& burst) {
  detail::ip_burst<Net>{net, burst}.run();
}

}  // namespace netstack
