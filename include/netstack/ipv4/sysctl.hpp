// SPDX-License-Identifier: BSL-1.0
// Decides: which of IPv4's settings stand under /proc/sys/net/ipv4, with Linux's names and bounds, and what a change
// brings with it. Values: netns_ipv4 (of a namespace), ipv4_devconf (of a device). ARP's rows: arp. [S21] [S156] [S157]
// [S158] [S159]
// So that programs which set them run, these are taken though nothing heeds them yet: ip_autobind_reuse, ip_dynaddr,
// ip_forward_update_priority, ip_forward_use_pmtu, route/min_adv_mss, and of a device arp_filter, bc_forwarding,
// bootp_relay, force_igmp_version, igmpv2_ and igmpv3_unsolicited_report_interval, log_martians, mc_forwarding,
// medium_id, proxy_arp, proxy_arp_pvlan, secure_redirects, src_valid_mark, tag.
// Linux: net/ipv4/sysctl_net_ipv4.c (ipv4_net_table), devinet.c (devinet_sysctl, inet_forward_change), route.c
#pragma once
#include "netstack/ipv4/inet_addr.hpp"
#include "netstack/registry/sysctl.hpp"

namespace netstack {

namespace detail {

/// The * of net/ipv4/conf/*.
template <class Net>
ipv4_devconf* devconf_of(Net& net, u32 which) {
  auto& ns = ipv4_net(net);
  if (which == ctl_all) return &ns.devconf_all;
  if (which == ctl_default) return &ns.devconf_dflt;
  net_device* dev = net.dev_get_by_index(which);
  in_device* in_dev = dev ? in_dev_get(*dev) : nullptr;
  return in_dev ? &in_dev->cnf : nullptr;
}

/// `all` switches every device, and `default` with it (RFC 1122 §3.3.1.1: a host does not forward unless it is told
/// to); a router does not listen to redirects.
template <class Net>
result<void> forwarding_changed(Net& net, u32 which) {
  auto& ns = ipv4_net(net);
  rt_cache_flush(net);
  if (which != ctl_all) return {};
  s32 const on = ns.devconf_all.forwarding;
  ns.devconf_all.accept_redirects = !on;
  ns.devconf_dflt.forwarding = on;
  for (auto& dev : net.dev_base)
    if (in_device* in_dev = in_dev_get(dev)) in_dev->cnf.forwarding = on;
  return {};
}
template <class Net>
result<void> ip_forward_changed(Net& net, u32) {
  return forwarding_changed(net, ctl_all);
}
/// What decides about a received packet is not cached, but the ways it leads to are.
template <class Net>
result<void> devconf_changed(Net& net, u32) {
  rt_cache_flush(net);
  return {};
}
/// A range from low to high, none of it privileged.
template <class Net>
result<void> local_ports_changed(Net& net, u32) {
  auto const& range = ipv4_net(net).ip_local_ports;
  if (range[0] > range[1] || range[0] < ipv4_net(net).sysctl_ip_prot_sock) return failure{std::errc::invalid_argument};
  return {};
}
template <class Net>
result<void> unprivileged_start_changed(Net& net, u32) {
  if (ipv4_net(net).ip_local_ports[0] < ipv4_net(net).sysctl_ip_prot_sock) return failure{std::errc::invalid_argument};
  return {};
}
template <class Net>
result<void> route_flush_store(Net& net, std::string_view) {
  return rtnl(net, [](auto& slice) -> result<void> {
    rt_cache_flush(slice);
    return {};
  });
}

template <class Net>
inet_peer_limits& peer_limits_of(Net& net) {
  return worker_generic<ipv4>(net.worker()).peers.limits;
}

inline constexpr u64 ms = 1'000'000, s = 1'000'000'000;
/// What the kernel calls a jiffy in texts that are not converted: HZ is 250.
inline constexpr u64 jiffy = 4'000'000;

}  // namespace detail

template <class Net>
inline constexpr std::array ipv4_net_table{
    ctl<&netns_ipv4::sysctl_ip_default_ttl>("net/ipv4/ip_default_ttl", {.min = 1, .max = 255}),
    ctl<&netns_ipv4::sysctl_ip_no_pmtu_disc>("net/ipv4/ip_no_pmtu_disc", {.max = 3}),
    ctl<&netns_ipv4::sysctl_ip_fwd_use_pmtu>("net/ipv4/ip_forward_use_pmtu", {.max = 1}),
    ctl<&netns_ipv4::sysctl_ip_fwd_update_priority>("net/ipv4/ip_forward_update_priority", {.max = 1}),
    ctl<&netns_ipv4::sysctl_ip_nonlocal_bind>("net/ipv4/ip_nonlocal_bind", {.max = 1}),
    ctl<&netns_ipv4::sysctl_ip_autobind_reuse>("net/ipv4/ip_autobind_reuse", {.max = 1}),
    ctl<&netns_ipv4::sysctl_ip_dynaddr>("net/ipv4/ip_dynaddr"),
    ctl<&netns_ipv4::sysctl_ip_early_demux>("net/ipv4/ip_early_demux", {.max = 1}),
    ctl<&netns_ipv4::sysctl_icmp_echo_ignore_all>("net/ipv4/icmp_echo_ignore_all", {.max = 1}),
    ctl<&netns_ipv4::sysctl_icmp_echo_ignore_broadcasts>("net/ipv4/icmp_echo_ignore_broadcasts", {.max = 1}),
    ctl<&netns_ipv4::sysctl_icmp_ignore_bogus_error_responses>("net/ipv4/icmp_ignore_bogus_error_responses",
                                                               {.max = 1}),
    ctl<&netns_ipv4::sysctl_icmp_errors_use_inbound_ifaddr>("net/ipv4/icmp_errors_use_inbound_ifaddr", {.max = 1}),
    ctl<&netns_ipv4::sysctl_icmp_ratelimit>("net/ipv4/icmp_ratelimit", {.max = 0x7fffffff, .unit = detail::ms}),
    ctl<&netns_ipv4::sysctl_icmp_ratemask>("net/ipv4/icmp_ratemask"),
    ctl<&netns_ipv4::sysctl_icmp_msgs_per_sec>("net/ipv4/icmp_msgs_per_sec", {.max = 0x7fffffff}),
    ctl<&netns_ipv4::sysctl_icmp_msgs_burst>("net/ipv4/icmp_msgs_burst", {.max = 0x7fffffff}),
    ctl<&netns_ipv4::ip_local_ports>(
        "net/ipv4/ip_local_port_range",
        {.min = 1, .max = 65535, .changed = ctl_changed<Net, detail::local_ports_changed<Net>>}),
    ctl<&netns_ipv4::sysctl_local_reserved_ports>("net/ipv4/ip_local_reserved_ports"),
    ctl<&netns_ipv4::sysctl_ip_prot_sock>(
        "net/ipv4/ip_unprivileged_port_start",
        {.min = 0, .max = 65535, .changed = ctl_changed<Net, detail::unprivileged_start_changed<Net>>}),
    ctl<&netns_ipv4::ping_group_range>("net/ipv4/ping_group_range"),
    ctl<&netns_ipv4::devconf_all, &ipv4_devconf::forwarding>(
        "net/ipv4/ip_forward", {.min = 0, .max = 1, .changed = ctl_changed<Net, detail::ip_forward_changed<Net>>}),
    ctl<&netns_ipv4::ip_rt_min_pmtu>("net/ipv4/route/min_pmtu", {.min = 68, .max = 65535}),
    ctl<&netns_ipv4::ip_rt_min_advmss>("net/ipv4/route/min_adv_mss", {.max = 65535}),
    ctl<&netns_ipv4::ip_rt_mtu_expires>("net/ipv4/route/mtu_expires", {.max = 0x7fffffff, .unit = detail::s}),
    ctl<&netns_ipv4::ip_rt_redirect_load>("net/ipv4/route/redirect_load", {.max = 0x7fffffff, .unit = detail::jiffy}),
    ctl<&netns_ipv4::ip_rt_redirect_number>("net/ipv4/route/redirect_number", {.max = 32}),
    ctl<&netns_ipv4::ip_rt_redirect_silence>("net/ipv4/route/redirect_silence",
                                             {.max = 0x7fffffff, .unit = detail::jiffy}),
    ctl<&netns_ipv4::ip_rt_error_cost>("net/ipv4/route/error_cost", {.max = 0x7fffffff, .unit = detail::jiffy}),
    ctl<&netns_ipv4::ip_rt_error_burst>("net/ipv4/route/error_burst", {.max = 0x7fffffff, .unit = detail::jiffy}),
    ctl_of<Net, detail::peer_limits_of<Net>, &inet_peer_limits::minttl>(
        "net/ipv4/inet_peer_minttl", {.max = 0x7fffffff, .unit = detail::s, .init_net_only = true}),
    ctl_of<Net, detail::peer_limits_of<Net>, &inet_peer_limits::maxttl>(
        "net/ipv4/inet_peer_maxttl", {.max = 0x7fffffff, .unit = detail::s, .init_net_only = true}),
    ctl_proc<Net, nullptr, detail::route_flush_store<Net>>("net/ipv4/route/flush", {.mode = 0200}),
};

namespace detail {

template <class Net, s32 ipv4_devconf::*Member, auto Changed = devconf_changed<Net>>
constexpr ctl_table devconf_row(char const* path, ctl_options options = {}) {
  options.changed = ctl_changed<Net, Changed>;
  return ctl_dev<Net, devconf_of<Net>, Member>(path, options);
}

}  // namespace detail

template <class Net>
inline constexpr std::array devinet_table{
    detail::devconf_row<Net, &ipv4_devconf::forwarding, detail::forwarding_changed<Net>>("net/ipv4/conf/*/forwarding",
                                                                                         {.min = 0, .max = 1}),
    detail::devconf_row<Net, &ipv4_devconf::mc_forwarding>("net/ipv4/conf/*/mc_forwarding", {.mode = 0444}),
    detail::devconf_row<Net, &ipv4_devconf::accept_redirects>("net/ipv4/conf/*/accept_redirects"),
    detail::devconf_row<Net, &ipv4_devconf::secure_redirects>("net/ipv4/conf/*/secure_redirects"),
    detail::devconf_row<Net, &ipv4_devconf::shared_media>("net/ipv4/conf/*/shared_media"),
    detail::devconf_row<Net, &ipv4_devconf::rp_filter>("net/ipv4/conf/*/rp_filter"),
    detail::devconf_row<Net, &ipv4_devconf::send_redirects>("net/ipv4/conf/*/send_redirects"),
    detail::devconf_row<Net, &ipv4_devconf::accept_source_route>("net/ipv4/conf/*/accept_source_route"),
    detail::devconf_row<Net, &ipv4_devconf::accept_local>("net/ipv4/conf/*/accept_local"),
    detail::devconf_row<Net, &ipv4_devconf::src_valid_mark>("net/ipv4/conf/*/src_valid_mark"),
    detail::devconf_row<Net, &ipv4_devconf::proxy_arp>("net/ipv4/conf/*/proxy_arp"),
    detail::devconf_row<Net, &ipv4_devconf::medium_id>("net/ipv4/conf/*/medium_id"),
    detail::devconf_row<Net, &ipv4_devconf::bootp_relay>("net/ipv4/conf/*/bootp_relay"),
    detail::devconf_row<Net, &ipv4_devconf::log_martians>("net/ipv4/conf/*/log_martians"),
    detail::devconf_row<Net, &ipv4_devconf::tag>("net/ipv4/conf/*/tag"),
    detail::devconf_row<Net, &ipv4_devconf::arp_filter>("net/ipv4/conf/*/arp_filter"),
    detail::devconf_row<Net, &ipv4_devconf::arp_announce>("net/ipv4/conf/*/arp_announce"),
    detail::devconf_row<Net, &ipv4_devconf::arp_ignore>("net/ipv4/conf/*/arp_ignore"),
    detail::devconf_row<Net, &ipv4_devconf::arp_accept>("net/ipv4/conf/*/arp_accept"),
    detail::devconf_row<Net, &ipv4_devconf::arp_notify>("net/ipv4/conf/*/arp_notify"),
    detail::devconf_row<Net, &ipv4_devconf::arp_evict_nocarrier>("net/ipv4/conf/*/arp_evict_nocarrier"),
    detail::devconf_row<Net, &ipv4_devconf::proxy_arp_pvlan>("net/ipv4/conf/*/proxy_arp_pvlan"),
    detail::devconf_row<Net, &ipv4_devconf::force_igmp_version>("net/ipv4/conf/*/force_igmp_version"),
    detail::devconf_row<Net, &ipv4_devconf::igmpv2_unsolicited_report_interval>(
        "net/ipv4/conf/*/igmpv2_unsolicited_report_interval"),
    detail::devconf_row<Net, &ipv4_devconf::igmpv3_unsolicited_report_interval>(
        "net/ipv4/conf/*/igmpv3_unsolicited_report_interval"),
    detail::devconf_row<Net, &ipv4_devconf::ignore_routes_with_linkdown>("net/ipv4/conf/*/ignore_routes_with_linkdown"),
    detail::devconf_row<Net, &ipv4_devconf::drop_unicast_in_l2_multicast>(
        "net/ipv4/conf/*/drop_unicast_in_l2_multicast"),
    detail::devconf_row<Net, &ipv4_devconf::drop_gratuitous_arp>("net/ipv4/conf/*/drop_gratuitous_arp"),
    detail::devconf_row<Net, &ipv4_devconf::bc_forwarding>("net/ipv4/conf/*/bc_forwarding"),
    detail::devconf_row<Net, &ipv4_devconf::disable_xfrm>("net/ipv4/conf/*/disable_xfrm"),
    detail::devconf_row<Net, &ipv4_devconf::disable_policy>("net/ipv4/conf/*/disable_policy"),
    detail::devconf_row<Net, &ipv4_devconf::promote_secondaries>("net/ipv4/conf/*/promote_secondaries"),
    detail::devconf_row<Net, &ipv4_devconf::route_localnet>("net/ipv4/conf/*/route_localnet"),
};

}  // namespace netstack
