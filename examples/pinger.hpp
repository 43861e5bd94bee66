// SPDX-License-Identifier: BSL-1.0
// A module that asks for ICMP echoes and counts the answers, which it sees beside the ICMP handler. Used by the demo.
#pragma once
#include "netstack/netstack.hpp"

namespace services {

using namespace netstack;

struct pinger : module {
  static constexpr auto needs = requires_all<ipv4>;
  struct pernet {
    u32 answers = 0;
  };

  /// One echo request. Errors: as of ip_route_output_key and ip_send_skb; no_buffer_space.
  template <class Net>
  static result<void> ask(Net& net, be32 daddr, u16 sequence) {
    flowi4 fl4{.daddr = daddr, .proto = ipproto::icmp};
    auto const rt = ip_route_output_key(net, fl4);
    if (!rt) return failure{rt.error()};
    sk_buff* skb = net.worker().pool.alloc_skb();
    if (!skb) return failure{std::errc::no_buffer_space};
    icmphdr icmph{.type = icmp_type::echo, .un = {.echo = {.id = {}, .sequence = be16{sequence}}}};
    icmph.checksum = ip_compute_csum(&icmph, sizeof icmph);
    std::memcpy(skb->put(sizeof icmph), &icmph, sizeof icmph);
    return ip_send_skb(net, *skb, **rt, fl4, {.protocol = ipproto::icmp});
  }

  template <class Net>
  static bool seen(Net& net, sk_buff& skb, u8 protocol) {
    auto const* icmph = protocol == ipproto::icmp ? skb.peek<icmphdr>() : nullptr;
    if (icmph && icmph->type == icmp_type::echoreply) ++net_generic<pinger>(net).answers;
    return false;  // no copy taken
  }
  template <class Net>
  static constexpr std::array raw_deliver{raw_deliver_ops<Net>{.deliver = seen<Net>, .name = "pinger"}};
};

}  // namespace services
