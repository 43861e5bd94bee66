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

/// Takes the datagrams of the flow off the front of a chain; the rest of it. `octets`: how many bytes they had.
template <class Net, std::size_t Row>
sk_buff* ip_flow_more(sk_buff* skb, ip_pattern const pattern, inet_flow const flow, u64 now_real, skb_list& run,
                      u64& octets) {
  constexpr auto const& ops = Net::inet_protos.rows[Row].flow;
  sk_buff* const first = skb;
  sk_buff* last = nullptr;
  u32 n = 0;
  while (skb) {
    sk_buff* const following = skb->next;
    u32 const len = pattern.match(*skb);
    if (len == 0 || !ops.more(flow, skb->data + sizeof(iphdr), len - static_cast<u32>(sizeof(iphdr)))) break;
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

/// A burst at work.
template <class Net>
class ip_burst {
  using rows = std::make_index_sequence<Net::inet_protos.rows.size()>;

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

  /// What is of the flow at the front of the burst, behind what `run` has already, goes to the transport. False: there
  /// is nothing of it.
  template <std::size_t Row>
  bool deliver_flow(ip_rx_flow const& known, skb_list& run) {
    u64 octets = 0;
    u32 const before = run.count;
    inet_flow const flow = known.flow;
    burst_.first = ip_flow_more<Net, Row>(burst_.first, known.pattern, flow, net_.worker().now_real, run, octets);
    if (run.empty()) return false;
    u32 const more = run.count - before;
    burst_.count -= more;
    if (!burst_.first) burst_.last = nullptr;
    auto& mib = IP_STATS(net_);
    mib.InReceives += more;
    mib.InNoECTPkts += more;
    mib.InDelivers += more;
    mib.InOctets += octets;
    Net::inet_protos.rows[Row].flow.end(net_, flow, run);
    return true;
  }

  /// The next datagrams are of the flow that the device saw last, and nothing has changed since that could decide about
  /// them.
  template <std::size_t... Row>
  bool resume_flow(std::index_sequence<Row...>) {
    net_device const& dev = *burst_.first->dev;
    in_device const* const in_dev = in_dev_get(dev);
    if (!in_dev || in_dev->rx_flow.genid != net_.worker().softnet.flow_genid || !dev.running()) return false;
    ip_rx_flow const& known = in_dev->rx_flow;
    deliver_waiting();
    skb_list run;
    auto const resume = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
      if constexpr (Net::inet_protos.rows[R].flow.begin != nullptr)
        return known.row == R && deliver_flow<R>(known, run);
      else
        return false;
    };
    return (resume(std::integral_constant<std::size_t, Row>{}) || ...);
  }

  /// True: the datagram began a flow, and was handed over with what follows it.
  template <std::size_t... Row>
  bool begin_flow(sk_buff& skb, u64 link_word, std::index_sequence<Row...>) {
    auto const begin = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
      constexpr auto const& row = Net::inet_protos.rows[R];
      if constexpr (row.flow.begin != nullptr) {
        ip_rx_flow known{.genid = net_.worker().softnet.flow_genid, .row = static_cast<u8>(R)};
        if (proto_ != &row || !row.flow.begin(net_, skb, known.flow)) return false;
        skb.pull(row.flow.hlen);
        skb_list run;
        run.push_back(skb);
        in_device* const in_dev = in_dev_get(*skb.dev);
        if (in_dev && ip_pattern::may_be_of(skb)) {
          known.pattern = ip_pattern::of(skb, link_word, known.flow);
          in_dev->rx_flow = known;
          deliver_flow<R>(known, run);
        } else {
          row.flow.end(net_, known.flow, run);
        }
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
    while (!burst_.empty()) {
      if constexpr (ip_takes_lists<Net>)
        if (resume_flow(rows{})) continue;
      sk_buff* const skb = receive_next(net_, burst_, eth_p::ip);
      if (!skb) break;
      finish(*skb, receive_one(*skb, load_link_word(*skb)));
    }
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
