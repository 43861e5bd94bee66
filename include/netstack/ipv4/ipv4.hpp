// SPDX-License-Identifier: BSL-1.0
// Decides: what the module ipv4 is: IP, routing, ARP and ICMP, which cannot do without one another. Its table of
// contents: every descriptor that Linux's inet_init registers for them.
// rx: packet_types → ip_rcv (ip_input) → ip_route_input (route_input) → ip_local_deliver → net_protocols, or ip_forward
// tx: ip_route_output_key (route_output) → ip_send_skb (ip_output) → ip_neigh (arp) → core/dev_output
// Linux: net/ipv4/af_inet.c (inet_init, inet_pernet_ops, ipv4_mib_ops)
#pragma once
#include "netstack/ipv4/af_inet.hpp"
#include "netstack/ipv4/arp.hpp"
#include "netstack/ipv4/arp_proc.hpp"
#include "netstack/ipv4/arp_sysctl.hpp"
#include "netstack/ipv4/devinet.hpp"
#include "netstack/ipv4/drop_reasons.hpp"
#include "netstack/ipv4/icmp.hpp"
#include "netstack/ipv4/icmp_flow.hpp"
#include "netstack/ipv4/inet_init.hpp"
#include "netstack/ipv4/inet_proc.hpp"
#include "netstack/ipv4/ip_forward.hpp"
#include "netstack/ipv4/ip_input.hpp"
#include "netstack/ipv4/ip_list_rcv.hpp"
#include "netstack/ipv4/proc.hpp"
#include "netstack/ipv4/route_proc.hpp"
#include "netstack/ipv4/sysctl.hpp"
#include "netstack/meta/concat.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/registry/packet_type.hpp"

namespace netstack {

struct ipv4 : module {
  using pernet = netns_ipv4;
  template <class Host>
  using perworker = ipv4_worker<Host>;
  using cb = inet_skb_parm;

  template <class Net>
  static constexpr std::array packet_types{
      packet_type<Net>{.type = eth_p::ip, .func = ip_rcv<Net>, .list_func = ip_list_rcv<Net>, .name = "ip_rcv"},
      packet_type<Net>{.type = eth_p::arp, .func = arp_rcv<Net>, .name = "arp_rcv"},
  };
  template <class Net>
  static constexpr std::array net_protocols{
      net_protocol<Net>{.protocol = ipproto::icmp,
                        .handler = icmp_rcv<Net>,
                        .flow = {.begin = icmp_flow_begin<Net>, .more = icmp_flow_more, .end = icmp_flow_end<Net>},
                        .err_handler = icmp_err<Net>,
                        .no_policy = true,
                        .name = "icmp"},
  };
  template <class Net>
  static constexpr std::array rx_flows{rx_flow_ops<Net>{.known = ip_flow_known<Net>,
                                                        .take = ip_flow_take<Net>,
                                                        .whole_len = ip_frame_whole_len,
                                                        .deliver = ip_flow_deliver<Net>,
                                                        .name = "ip_flow"}};
  template <class Net>
  static constexpr std::array icmp_handlers{
      icmp_control<Net>{icmp_type::dest_unreach, icmp_unreach<Net>, true, "icmp_unreach"},
      icmp_control<Net>{icmp_type::source_quench, icmp_unreach<Net>, true, "icmp_unreach"},
      icmp_control<Net>{icmp_type::redirect, icmp_redirect<Net>, true, "icmp_redirect"},
      icmp_control<Net>{icmp_type::echo, icmp_echo<Net>, false, "icmp_echo"},
      icmp_control<Net>{icmp_type::time_exceeded, icmp_unreach<Net>, true, "icmp_unreach"},
      icmp_control<Net>{icmp_type::parameterprob, icmp_unreach<Net>, true, "icmp_unreach"},
      icmp_control<Net>{icmp_type::timestamp, icmp_timestamp<Net>, false, "icmp_timestamp"},
      icmp_control<Net>{icmp_type::timestampreply, icmp_discard<Net>, false, "icmp_discard"},
      icmp_control<Net>{icmp_type::info_request, icmp_discard<Net>, false, "icmp_discard"},
      icmp_control<Net>{icmp_type::info_reply, icmp_discard<Net>, false, "icmp_discard"},
      icmp_control<Net>{icmp_type::address, icmp_discard<Net>, false, "icmp_discard"},
      icmp_control<Net>{icmp_type::addressreply, icmp_discard<Net>, false, "icmp_discard"},
  };
  template <class Net>
  static constexpr std::array families{inet_family_ops<Net>};
  template <class Net>
  static constexpr std::array neigh_tables{arp_tbl<Net>};
  template <class Net>
  static constexpr std::array initcalls = inet_initcalls<Net>;
  template <class Net>
  static constexpr std::array pernet_ops = inet_pernet_ops<Net>;
  /// IPv4 hears of a device first, ARP after it.
  template <class Net>
  static constexpr std::array notifiers{
      notifier_block<Net>{.notifier_call = inetdev_event<Net>, .priority = 1, .name = "inetdev_event"},
      notifier_block<Net>{.notifier_call = arp_netdev_event<Net>, .name = "arp_netdev_event"},
  };
  template <class Net>
  static constexpr std::array drop_reasons = ipv4_drop_reasons<Net>;
  template <class Net>
  static constexpr std::array ctl_tables = netstack::concat<ctl_table>(ipv4_net_table<Net>, devinet_table<Net>,
                                                                       neigh_sysctl_table<Net>);
  static constexpr auto& snmp = ipv4_snmp;
  template <class Net>
  static constexpr std::array proc = netstack::concat<proc_entry<Net>>(arp_proc<Net>, icmp_proc<Net>, route_proc<Net>,
                                                                       snmp_proc<Net>);
};

}  // namespace netstack
