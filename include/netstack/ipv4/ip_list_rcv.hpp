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
#include "netstack/core/rx_flow.hpp"
#include "netstack/ipv4/ip_input.hpp"
#include "netstack/ipv4/ip_pattern.hpp"

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

/// Like what is known, but from another source: whether that may be on the wire was asked before, and its datagrams
/// went the same way.
template <class Net>
NETSTACK_NOINLINE bool ip_flow_other(Net& net, net_device const& dev, dst_entry const* dst, iphdr const& iph) {
  auto const& hint = rt_slab(net.worker()).hint_of(iph);
  return hint.genid == net.worker().softnet.route_genid && hint.saddr == iph.saddr && hint.daddr == iph.daddr &&
         hint.dev == &dev && hint.rt == dst;
}

/// Takes the datagrams of the flow off the front of a chain; the rest of it. `octets`: how many bytes they had.
template <class Net, std::size_t Row>
sk_buff* ip_flow_more(Net& net, sk_buff* skb, ip_pattern const pattern, inet_flow const flow, u64 now_real,
                      skb_list& run, u64& octets) {
  constexpr auto const& ops = Net::inet_protos.rows[Row].flow;
  sk_buff* const first = skb;
  sk_buff* last = nullptr;
  u32 n = 0;
  while (skb) {
    sk_buff* const following = skb->next;
    u32 const len = pattern.match(*skb, [&]() NETSTACK_INLINE_LAMBDA {
      return ops.mixes && ip_flow_other(net, *skb->dev, pattern.dst, *reinterpret_cast<iphdr const*>(skb->data));
    });
    if (len == 0 || !ops.more(flow, skb->data + sizeof(iphdr), len - static_cast<u32>(sizeof(iphdr)), nullptr)) break;
    octets += skb->len;
    pattern.tell(*skb, static_cast<u32>(sizeof(iphdr)) + ops.hlen, len, now_real);
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

/// … which may be for others than the last ones were.
template <class Net, std::size_t Row>
NETSTACK_NOINLINE void ip_flow_end_mixed(Net& net, ip_rx_flow& known, skb_list& run) {
  inet_flow flow = known.flow;  // who gets the first of them may end it, and the device, before the next one's turn
  u64 const genid = net.worker().softnet.flow_genid;
  flow.mixed = true;
  Net::inet_protos.rows[Row].flow.end(net, flow, run);
  if (net.worker().softnet.flow_genid != genid) [[unlikely]]
    return;
  flow.mixed = false;
  known.flow = flow;
  known.frame.turn(flow.saddr, flow.ports);
}
/// Datagrams of the flow for its transport; `more` of them, with `octets`, are not in the MIB yet. `mixed`: they may be
/// for others than the last ones were.
template <class Net, std::size_t Row>
NETSTACK_INLINE void ip_flow_end(Net& net, ip_rx_flow& known, skb_list& run, u32 more, u64 octets, bool mixed) {
  auto& mib = IP_STATS(net);
  mib.InReceives += more;
  (known.pattern.capable() ? mib.InECT0Pkts : mib.InNoECTPkts) += more;
  mib.InDelivers += more;
  mib.InOctets += octets;
  constexpr auto const& ops = Net::inet_protos.rows[Row].flow;
  if constexpr (ops.mixes)
    if (mixed) [[unlikely]]
      return ip_flow_end_mixed<Net, Row>(net, known, run);
  ops.end(net, known.flow, run);
}

/// A burst at work.
template <class Net>
class ip_burst {
  using rows = std::make_index_sequence<Net::inet_protos.rows.size()>;

  Net& net_;
  skb_list& burst_;     // what is still to come
  skb_list waiting_{};  // neighbours for proto_.list_func
  net_protocol<Net> const* proto_ = nullptr;

  NETSTACK_NOINLINE void deliver_list() {
    skb_list list = std::exchange(waiting_, {});
    proto_->list_func(net_, list);
  }
  void deliver_waiting() {
    if (!waiting_.empty()) [[unlikely]]
      deliver_list();
  }

  /// What is of the flow at the front of the burst goes to the transport, behind what `run` has already: of that,
  /// `counted` are in the MIB, and the others have `octets`. False: there is nothing.
  template <std::size_t Row>
  bool deliver_flow(ip_rx_flow& known, skb_list& run, u32 counted, u64 octets) {
    if (burst_.first) {
      u32 const before = run.count;
      burst_.first =
          ip_flow_more<Net, Row>(net_, burst_.first, known.pattern, known.flow, net_.worker().now_real, run, octets);
      burst_.count -= run.count - before;
      if (!burst_.first) burst_.last = nullptr;
    }
    if (run.empty()) return false;
    ip_flow_end<Net, Row>(net_, known, run, run.count - counted, octets, true);
    return true;
  }
  template <std::size_t... Row>
  bool deliver_flow(ip_rx_flow& known, skb_list& run, u64 octets, std::index_sequence<Row...>) {
    auto const deliver = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
      if constexpr (Net::inet_protos.rows[R].flow.begin != nullptr)
        return known.row == R && deliver_flow<R>(known, run, 0, octets);
      else
        return false;
    };
    return (deliver(std::integral_constant<std::size_t, Row>{}) || ...);
  }

  /// What the driver recognised. Nothing can have changed since: it was in this very turn.
  void deliver_taken(rx_flow_taken const& taken) {
    skb_list run = burst_.cut_front(*taken.last, taken.packets);
    (void)deliver_flow(*static_cast<ip_rx_flow*>(taken.known), run, taken.octets, rows{});
  }

  /// The next datagrams are of the flow that the device saw last, and nothing has changed since that could decide about
  /// them.
  bool resume_flow() {
    net_device const& dev = *burst_.first->dev;
    in_device* const in_dev = in_dev_get(dev);
    if (!in_dev || in_dev->rx_flow.genid != net_.worker().softnet.flow_genid || !dev.running()) return false;
    if (!waiting_.empty()) [[unlikely]] {
      if (in_dev->rx_flow.pattern.match(*burst_.first) == 0) return false;  // its neighbours may follow
      deliver_waiting();
      return resume_flow();  // who got them may have changed anything
    }
    skb_list run;
    return deliver_flow(in_dev->rx_flow, run, 0, rows{}) ||
           (in_dev->rx_flow.turn_capable(*burst_.first) && deliver_flow(in_dev->rx_flow, run, 0, rows{}));
  }

  /// True: the datagram began a flow, and was handed over with what follows it.
  template <std::size_t... Row>
  bool begin_flow(sk_buff& skb, u64 link_word, std::index_sequence<Row...>) {
    auto const begin = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
      constexpr auto const& row = Net::inet_protos.rows[R];
      if constexpr (row.flow.begin != nullptr) {
        inet_flow flow;
        if (proto_ != &row) return false;
        if (!row.flow.begin(net_, skb, flow)) {
          if (skb_is_gso(skb)) net_.worker().softnet.flow_wanted = rx_flow_burst<Net>::possible(net_, *skb.dev);
          return false;
        }
        skb.pull(row.flow.hlen);
        skb_list run;
        run.push_back(skb);
        in_device* const in_dev = in_dev_get(*skb.dev);
        if (in_dev && ip_pattern::may_be_of(skb)) {
          ip_rx_flow& known = in_dev->rx_flow;
          known.pattern = ip_pattern::of(skb, link_word, flow);
          known.frame = ip_frame_pattern::of(skb, known.pattern, row.flow.mixes);
          known.flow = flow;
          known.flow.saddr = ip_hdr(skb)->saddr.raw();
          known.flow.ports = csum_load<u32>(skb.data - row.flow.hlen);
          known.genid = net_.worker().softnet.flow_genid;
          known.row = static_cast<u8>(R), known.hlen = row.flow.hlen;
          deliver_flow<R>(known, run, 1, 0);
        } else {
          row.flow.end(net_, flow, run);
        }
        return true;
      } else {
        return false;
      }
    };
    return (begin(std::integral_constant<std::size_t, Row>{}) || ...);
  }

  verdict receive_one(sk_buff& skb, u64 link_word) {
    if (auto const why = ip_rcv_core(net_, skb); why != drop_reason::not_specified) return drop(net_, skb, why);
    if constexpr (!Net::template nf_hooks<nf_inet::pre_routing>.empty()) {
      return NF_HOOK<nf_inet::pre_routing>(net_, skb, ip_rcv_finish<Net>);
    } else {
      if (auto why = ip_rcv_finish_core(net_, skb, &rt_slab(net_.worker()).hint_of(*ip_hdr(skb))))
        return drop(net_, skb, *why);
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
        if (begin_flow(skb, link_word, rows{})) {
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
    if (auto& taken = net_.worker().softnet.flow_taken; taken.packets != 0) deliver_taken(std::exchange(taken, {}));
    while (!burst_.empty()) {
      if constexpr (ip_takes_lists<Net>)
        if (resume_flow()) continue;
      sk_buff* const skb = receive_next(net_, burst_, eth_p::ip);
      if (!skb) break;
      finish(*skb, receive_one(*skb, load_link_word(*skb)));
    }
    deliver_waiting();
  }
};

/// ETH_P_IP goes to ip_list_rcv and nowhere else.
template <class Net>
constexpr bool ip_is_sole_handler = [] {
  std::size_t handlers = 0;
  for (auto const& pt : Net::ptype_base) handlers += pt.type == eth_p::ip ? 1 : 0;
  return handlers == 1;
}();

template <class Net, std::size_t... Row>
NETSTACK_INLINE bool ip_flow_has(ip_rx_flow const& known, u8 const* th, u32 len, u8* to, std::index_sequence<Row...>) {
  auto const more = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) NETSTACK_INLINE_LAMBDA {
    constexpr auto const& row = Net::inet_protos.rows[R];
    if constexpr (row.flow.begin != nullptr)
      return known.row == R && row.flow.more(known.flow, th, len, to);
    else
      return false;
  };
  return (more(std::integral_constant<std::size_t, Row>{}) || ...);
}

template <class Net, std::size_t... Row>
NETSTACK_INLINE void ip_flow_deliver(Net& net, ip_rx_flow& known, skb_list& run, u64 octets, bool mixed,
                                     std::index_sequence<Row...>) {
  auto const deliver = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) NETSTACK_INLINE_LAMBDA {
    if constexpr (Net::inet_protos.rows[R].flow.begin != nullptr)
      return known.row == R && (ip_flow_end<Net, R>(net, known, run, run.count, octets, mixed), true);
    else
      return false;
  };
  (void)(deliver(std::integral_constant<std::size_t, Row>{}) || ...);
}

}  // namespace detail

/// The packet type's list_func: a route looked up serves neighbours of the same flow, and their transport gets them
/// together.
template <class Net>
void ip_list_rcv(Net& net, skb_list& burst) {
  detail::ip_burst<Net>{net, burst}.run();
}

/// rx_flow_ops::known: the flow that this device saw last, if nothing has changed since.
template <class Net>
NETSTACK_INLINE void* ip_flow_known(Net& net, net_device& dev, u16 at, bool summed) {
  if constexpr (!detail::ip_takes_lists<Net> || !detail::ip_is_sole_handler<Net>) return nullptr;
  in_device* const in_dev = in_dev_get(dev);
  if (!in_dev) return nullptr;
  ip_rx_flow& flow = in_dev->rx_flow;
  return flow.genid == net.worker().softnet.flow_genid && flow.frame.known && flow.frame.at == at &&
                 flow.flow.csum_known == summed
             ? &flow
             : nullptr;
}

/// rx_flow_ops::deliver.
template <class Net>
NETSTACK_INLINE void ip_flow_deliver(Net& net, rx_flow_taken const& taken, skb_list& run) {
  detail::ip_flow_deliver(net, *static_cast<ip_rx_flow*>(taken.known), run, taken.octets, taken.mixed,
                          std::make_index_sequence<Net::inet_protos.rows.size()>{});
}
/// rx_flow_ops::take: what ip_flow_more would do with the datagram, before it was anything else.
template <class Net>
NETSTACK_INLINE bool ip_flow_take(Net& net, void const* what, net_device& dev, rx_frame const& frame, u64 now_real,
                                  bool& mixed) {
  using namespace detail;
  auto const& known = *static_cast<ip_rx_flow const*>(what);
  constexpr auto headers = static_cast<u32>(eth_hlen + sizeof(iphdr));
  u8 const* const bytes = frame.from ? frame.from : frame.mac;
  bool const matches = known.frame.match(bytes, frame.len, [&]() NETSTACK_INLINE_LAMBDA {
    auto const& iph = *reinterpret_cast<iphdr const*>(bytes + eth_hlen);
    mixed = true;
    return iph.saddr.raw() == known.flow.saddr || ip_flow_other(net, dev, known.pattern.dst, iph);
  });
  u8* const th = frame.mac + headers;
  if (!matches || !ip_flow_has<Net>(known, bytes + headers, frame.len - headers, frame.from ? th : nullptr,
                                    std::make_index_sequence<Net::inet_protos.rows.size()>{}))
    return false;
  if (frame.from) std::memcpy(frame.mac, frame.from, headers);
  sk_buff& skb = frame.skb;
  u32 const hlen = known.hlen;
  skb.data = th + hlen;
  std::array<u32, 2> const lengths{frame.len - headers - hlen, 0};
  std::memcpy(static_cast<void*>(&skb.len), lengths.data(), sizeof lengths);
  skb.tail = frame.mac + frame.len;
  if (frame.truesize != 0) skb.truesize = frame.truesize, skb.destructor = nullptr;
  known.frame.tell(skb);
  skb.tstamp = now_real;
  std::memcpy(static_cast<void*>(&skb.skb_iif), &known.pattern.arrival, sizeof known.pattern.arrival);
  std::memcpy(static_cast<void*>(&IPCB(skb)), &known.pattern.parm, sizeof known.pattern.parm);
  return true;
}

/// rx_flow_ops::whole_len.
inline u32 ip_frame_whole_len(u8 const* mac) {
  return static_cast<u32>(eth_hlen) + reinterpret_cast<iphdr const*>(mac + eth_hlen)->tot_len.host();
}

}  // namespace netstack
