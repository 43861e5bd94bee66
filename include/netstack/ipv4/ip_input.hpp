// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "netstack/core/dev_output.hpp"
#include "netstack/core/drop.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/wire/arp.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/icmp.hpp"
#include "netstack/wire/ip.hpp"
namespace netstack {
struct netns_ipv4 {
  be32 addr{};
};
struct ipv4;
template <class Net>
verdict arp_rcv(Net& net, sk_buff& skb) {
  auto* arp = skb.peek<arphdr>();
  if (!arp) return drop(net, skb, drop_reason::arp_hdr);
  be32 const me = net_generic<ipv4>(net).addr;
  if (arp->ar_tip != me || arp->ar_op.host() != 1) return drop(net, skb, drop_reason::arp_ignored);
  net_device& dev = *skb.dev;
  arp->ar_op = be16{2};
  arp->ar_tha = arp->ar_sha;
  arp->ar_tip = arp->ar_sip;
  arp->ar_sha = dev.dev_addr;
  arp->ar_sip = me;
  mac_addr const to = arp->ar_tha;
  eth_header(skb, dev, eth_p::arp, to);
  (void)dev_queue_xmit(net, skb);
  return verdict::kept();
}
template <class Net>
verdict icmp_rcv(Net& net, sk_buff& skb) {
  auto* ih = skb.peek<icmphdr>();
  if (!ih) return drop(net, skb, drop_reason::icmp_hdr);
  if (ih->type != 8) return drop(net, skb, drop_reason::icmp_type);
  ih->type = 0;
  ih->checksum = {};
  ih->checksum = csum_fold(csum_partial(skb.data, skb.len, 0));
  auto* iph = skb.template network_hdr<iphdr>();
  std::swap(iph->saddr, iph->daddr);
  mac_addr const to = skb.template mac_hdr<ethhdr>()->h_source;
  skb.push(static_cast<u32>(iph->header_len()));
  eth_header(skb, *skb.dev, eth_p::ip, to);
  (void)dev_queue_xmit(net, skb);
  return verdict::kept();
}
template <class Net>
verdict ip_rcv(Net& net, sk_buff& skb) {
  auto* iph = skb.peek<iphdr>();
  if (!iph || iph->version() != 4 || iph->ihl() < 5 || iph->header_len() > skb.headlen())
    return drop(net, skb, drop_reason::ip_hdr);
  if (iph->daddr != net_generic<ipv4>(net).addr) return drop(net, skb, drop_reason::otherhost);
  skb.pull(static_cast<u32>(iph->header_len()));
  skb.reset_transport_header();
  auto const* p = Net::inet_protos[iph->protocol];
  if (!p) return drop(net, skb, drop_reason::ip_noproto);
  return p->handler(net, skb);
}
struct ipv4 : module {
  using pernet = netns_ipv4;
  template <class Net>
  static constexpr std::array packet_types{
      packet_type<Net>{.type = eth_p::ip, .func = ip_rcv<Net>, .name = "ip_rcv"},
      packet_type<Net>{.type = eth_p::arp, .func = arp_rcv<Net>, .name = "arp_rcv"}};
  template <class Net>
  static constexpr std::array net_protocols{
      net_protocol<Net>{.protocol = ipproto::icmp, .handler = icmp_rcv<Net>, .name = "icmp"}};
};
}  // namespace netstack
