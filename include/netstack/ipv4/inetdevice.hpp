// SPDX-License-Identifier: BSL-1.0
// Decides: what IPv4 knows of a device: its addresses in their order (primaries first, each subnet's secondaries after
// them) and its settings. A setting counts together with the namespace's `all` as Linux combines them: and, or, max.
// Linux: include/linux/inetdevice.h
#pragma once
#include "netstack/core/list.hpp"
#include "netstack/core/neighbour.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/ipv4/ip_pattern.hpp"
#include "netstack/ipv4/rtnetlink.hpp"
#include "netstack/wire/ipv4_addr.hpp"

namespace netstack {

struct in_device;
struct rtable;

/// net/ipv4/conf/{all,default,<device>}/…, under the kernel's names and with its defaults.
struct ipv4_devconf {
  s32 forwarding = 0;
  s32 mc_forwarding = 0;
  s32 accept_redirects = 1;
  s32 secure_redirects = 1;
  s32 shared_media = 1;
  s32 rp_filter = 0;
  s32 send_redirects = 1;
  s32 accept_source_route = 0;  ///< `default` starts with 1, `all` with 0, and both must agree
  s32 accept_local = 0;
  s32 src_valid_mark = 0;
  s32 proxy_arp = 0;
  s32 medium_id = 0;
  s32 bootp_relay = 0;
  s32 log_martians = 0;
  s32 tag = 0;
  s32 arp_filter = 0;
  s32 arp_announce = 0;
  s32 arp_ignore = 0;
  s32 arp_accept = 0;
  s32 arp_notify = 0;
  s32 arp_evict_nocarrier = 1;
  s32 proxy_arp_pvlan = 0;
  s32 force_igmp_version = 0;
  s32 igmpv2_unsolicited_report_interval = 10'000;
  s32 igmpv3_unsolicited_report_interval = 1'000;
  s32 ignore_routes_with_linkdown = 0;
  s32 drop_unicast_in_l2_multicast = 0;
  s32 drop_gratuitous_arp = 0;
  s32 bc_forwarding = 0;
  s32 disable_xfrm = 0;
  s32 disable_policy = 0;
  s32 promote_secondaries = 0;
  s32 route_localnet = 0;
};

namespace ifa_f {  // in_ifaddr::ifa_flags, Linux's IFA_F_*
inline constexpr u32 secondary = 0x01, permanent = 0x80, noprefixroute = 0x200;
}

/// One address of a device.
struct in_ifaddr {
  list_head link{};                ///< in in_device::ifa_list
  in_ifaddr* hash_next = nullptr;  ///< in netns_ipv4::inet_addr_lst
  in_device* ifa_dev = nullptr;
  be32 ifa_local{};    ///< ours
  be32 ifa_address{};  ///< the subnet's member that routes are made from: ours, or the peer's
  be32 ifa_mask{};
  be32 ifa_broadcast{};
  u8 ifa_prefixlen = 0;
  rt_scope ifa_scope = rt_scope::universe;
  u32 ifa_flags = 0;
  u64 last_defence = 0;  ///< RFC 5227 §2.4 (b): at most one defending announcement in 10 s; worker time, ns
  char ifa_label[ifnamsiz]{};

  [[nodiscard]] bool secondary() const { return (ifa_flags & ifa_f::secondary) != 0; }
  [[nodiscard]] bool matches(be32 addr) const { return !((addr ^ ifa_address) & ifa_mask); }
};

/// Ways of a device that no FIB entry carries: multicast, the limited broadcast, and a neighbour that no route knows
/// but a socket bound to the device wants.
enum class dev_rth : u8 { mc_input, mc_output, bc_input, bc_output, onlink_output, onlink_learned, count };

struct in_device {
  net_device* dev = nullptr;
  ipv4_devconf cnf{};
  ipv4_devconf const* all = nullptr;  ///< the namespace's conf/all
  neigh_parms arp_parms{};            ///< net/ipv4/neigh/<device>/…: ARP's
  list<in_ifaddr, &in_ifaddr::link> ifa_list{};
  rtable* rth[static_cast<std::size_t>(dev_rth::count)]{};  ///< caches, by dev_rth
  ip_rx_flow rx_flow{};                                     ///< between the bursts of this device (ipv4/ip_list_rcv)

  [[nodiscard]] bool forwarding() const { return cnf.forwarding != 0; }
  [[nodiscard]] bool anded(s32 ipv4_devconf::*f) const { return all->*f && cnf.*f; }
  [[nodiscard]] bool ored(s32 ipv4_devconf::*f) const { return all->*f || cnf.*f; }
  [[nodiscard]] s32 maxed(s32 ipv4_devconf::*f) const { return all->*f > cnf.*f ? all->*f : cnf.*f; }
  /// A host believes redirects if either level does; a router only if both do.
  [[nodiscard]] bool rx_redirects() const {
    return forwarding() ? anded(&ipv4_devconf::accept_redirects) : ored(&ipv4_devconf::accept_redirects);
  }
};

/// IPv4's part of a device; null before the device is registered and after it is gone.
[[nodiscard]] inline in_device* in_dev_get(net_device const& dev) { return static_cast<in_device*>(dev.ip_ptr); }

}  // namespace netstack
