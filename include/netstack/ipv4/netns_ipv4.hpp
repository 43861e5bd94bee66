// SPDX-License-Identifier: BSL-1.0
// Decides: what IPv4 keeps in each namespace (one worker's slice of it): the sysctl values under Linux's names with the
// defaults that every fresh namespace gets, the statistics, and the roots of addresses, routes and peers. [S21]
// Linux: include/net/netns/ipv4.h (struct netns_ipv4), net/ipv4/af_inet.c (inet_init_net), net/ipv4/icmp.c
// (icmp_sk_init)
#pragma once
#include "netstack/ipv4/arp_state.hpp"
#include "netstack/ipv4/inetdevice.hpp"
#include "netstack/ipv4/mib.hpp"
#include "netstack/registry/pernet.hpp"
#include "netstack/registry/sysctl.hpp"

namespace netstack {

struct ipv4;
struct sock;

/// The module's settings that are times are kept in ns; the rows in ipv4/sysctl say in which unit they are written.
struct netns_ipv4 {
  // net/ipv4/*
  u8 sysctl_ip_default_ttl = 64;
  u8 sysctl_ip_no_pmtu_disc = 0;
  u8 sysctl_ip_fwd_use_pmtu = 0;
  u8 sysctl_ip_fwd_update_priority = 1;
  u8 sysctl_ip_nonlocal_bind = 0;
  u8 sysctl_ip_autobind_reuse = 0;
  u8 sysctl_ip_dynaddr = 0;
  u8 sysctl_ip_early_demux = 1;
  u8 sysctl_icmp_echo_ignore_all = 0;
  u8 sysctl_icmp_echo_ignore_broadcasts = 1;
  u8 sysctl_icmp_ignore_bogus_error_responses = 1;
  u8 sysctl_icmp_errors_use_inbound_ifaddr = 0;
  s32 sysctl_icmp_ratemask = 0x1818;  ///< types 3, 4, 11, 12
  u64 sysctl_icmp_ratelimit = 1'000'000'000;
  u32 sysctl_icmp_msgs_per_sec = 1000;
  u32 sysctl_icmp_msgs_burst = 50;
  s32 ip_local_ports[2] = {32768, 60999};
  s32 sysctl_ip_prot_sock = 1024;    ///< ip_unprivileged_port_start
  u32 ping_group_range[2] = {1, 0};  ///< nobody
  ctl_bitmap<65536> sysctl_local_reserved_ports;
  // net/ipv4/route/*
  u32 ip_rt_min_pmtu = 552;
  u32 ip_rt_min_advmss = 256;
  u64 ip_rt_mtu_expires = 600'000'000'000;
  u64 ip_rt_redirect_load = 20'000'000;
  u64 ip_rt_redirect_silence = 20'480'000'000;
  u32 ip_rt_redirect_number = 9;
  u64 ip_rt_error_cost = 1'000'000'000;
  u64 ip_rt_error_burst = 5'000'000'000;

  // net/ipv4/conf/{all,default}/*; a device's own is in its in_device
  ipv4_devconf devconf_all{};
  ipv4_devconf devconf_dflt{.accept_source_route = 1};

  netns_mib mib;
  arp_net arp;

  static constexpr u32 addr_buckets = 64;
  in_ifaddr* inet_addr_lst[addr_buckets]{};  ///< every address of the namespace, by its hash
  u32 dev_addr_genid = 0;                    ///< moves when an address comes or goes

  u32 paths_learned = 0;  ///< path MTUs and better gateways ever learnt: none, and no peer need be asked

  sock* icmp_sk = nullptr;  ///< what ICMP sends through: its account bounds what errors may hold [S154]
  u32 icmp_global_credit = 0;
  u64 icmp_global_stamp = 0;
  u64 bogus_errors_logged = 0;  ///< with icmp_ignore_bogus_error_responses 0 [S157]
};

/// The module's state in this namespace.
template <class Net>
[[nodiscard]] netns_ipv4& ipv4_net(Net& net) {
  return net_generic<ipv4>(net);
}

/// Counters, spelled as in Linux: `++IP_STATS(net).InReceives`.
template <class Net>
[[nodiscard]] ipstats_mib& IP_STATS(Net& net) {
  return ipv4_net(net).mib.ip_statistics;
}
template <class Net>
[[nodiscard]] icmp_mib& ICMP_STATS(Net& net) {
  return ipv4_net(net).mib.icmp_statistics;
}

}  // namespace netstack
