// SPDX-License-Identifier: BSL-1.0
// Decides: which counters each of IPv4's, ICMP's and ARP's rejections moves: the one place where a drop reason meets
// the MIBs. A reason that moves none is one that Linux does not count either. [S136] [S164]
// Linux: the IP_INC_STATS and ICMP_INC_STATS calls of net/ipv4; RFC 4293 (which event belongs to which counter)
#pragma once
#include "netstack/ipv4/netns_ipv4.hpp"
#include "netstack/registry/drop_reasons.hpp"

namespace netstack {

namespace detail {

template <class Net, counter ipstats_mib::*... Members>
void count_ip(Net& net) {
  ((++(IP_STATS(net).*Members)), ...);
}
template <class Net, counter icmp_mib::*... Members>
void count_icmp(Net& net) {
  ((++(ICMP_STATS(net).*Members)), ...);
}
template <class Net>
void count_rpfilter(Net& net) {
  ++ipv4_net(net).mib.net_statistics.IPReversePathFilter;
}

}  // namespace detail

template <class Net>
inline constexpr std::array ipv4_drop_reasons{
    drop_reason_def<Net>{drop_reason::ip_hdr, "IP_HDR", detail::count_ip<Net, &ipstats_mib::InHdrErrors>},
    drop_reason_def<Net>{drop_reason::ip_csum, "IP_CSUM",
                         detail::count_ip<Net, &ipstats_mib::InCsumErrors, &ipstats_mib::InHdrErrors>},
    drop_reason_def<Net>{drop_reason::ip_truncated, "IP_TRUNCATED",
                         detail::count_ip<Net, &ipstats_mib::InTruncatedPkts>},
    drop_reason_def<Net>{drop_reason::ip_inhdr, "IP_INHDR", detail::count_ip<Net, &ipstats_mib::InHdrErrors>},
    drop_reason_def<Net>{drop_reason::ip_srr, "IP_SRR"},
    drop_reason_def<Net>{drop_reason::ip_invalid_source, "IP_INVALID_SOURCE"},
    drop_reason_def<Net>{drop_reason::ip_local_source, "IP_LOCAL_SOURCE"},
    drop_reason_def<Net>{drop_reason::ip_invalid_dest, "IP_INVALID_DEST"},
    drop_reason_def<Net>{drop_reason::ip_localnet, "IP_LOCALNET"},
    drop_reason_def<Net>{drop_reason::ip_rpfilter, "IP_RPFILTER", detail::count_rpfilter<Net>},
    drop_reason_def<Net>{drop_reason::ip_unicast_l2mcast, "UNICAST_IN_L2_MULTICAST"},
    drop_reason_def<Net>{drop_reason::ip_noproto, "IP_NOPROTO", detail::count_ip<Net, &ipstats_mib::InUnknownProtos>},
    drop_reason_def<Net>{drop_reason::ip_ttl, "IP_TTL", detail::count_ip<Net, &ipstats_mib::InHdrErrors>},
    drop_reason_def<Net>{drop_reason::ip_noroute_in, "IP_INNOROUTES", detail::count_ip<Net, &ipstats_mib::InNoRoutes>},
    drop_reason_def<Net>{drop_reason::ip_noroute_out, "IP_OUTNOROUTES",
                         detail::count_ip<Net, &ipstats_mib::OutNoRoutes>},
    drop_reason_def<Net>{drop_reason::ip_addrerrors, "IP_ADDRERRORS",
                         detail::count_ip<Net, &ipstats_mib::InAddrErrors>},
    drop_reason_def<Net>{drop_reason::ip_blackhole, "IP_BLACKHOLE"},
    drop_reason_def<Net>{drop_reason::ip_prohibit, "IP_PROHIBIT"},
    drop_reason_def<Net>{drop_reason::ip_frag, "IP_FRAG",
                         detail::count_ip<Net, &ipstats_mib::ReasmReqds, &ipstats_mib::ReasmFails>},
    drop_reason_def<Net>{drop_reason::ip_too_big, "IP_TOO_BIG", detail::count_ip<Net, &ipstats_mib::FragFails>},
    drop_reason_def<Net>{drop_reason::icmp_hdr, "ICMP_HDR", detail::count_icmp<Net, &icmp_mib::InErrors>},
    drop_reason_def<Net>{drop_reason::icmp_csum, "ICMP_CSUM",
                         detail::count_icmp<Net, &icmp_mib::InCsumErrors, &icmp_mib::InErrors>},
    drop_reason_def<Net>{drop_reason::icmp_type, "ICMP_TYPE", detail::count_icmp<Net, &icmp_mib::InErrors>},
    drop_reason_def<Net>{drop_reason::icmp_broadcast, "ICMP_BROADCAST", detail::count_icmp<Net, &icmp_mib::InErrors>},
    drop_reason_def<Net>{drop_reason::icmp_ignored, "ICMP_IGNORED"},
    drop_reason_def<Net>{drop_reason::icmp_ratelimit, "ICMP_RATELIMIT"},
    drop_reason_def<Net>{drop_reason::netfilter_drop, "NETFILTER_DROP"},
    drop_reason_def<Net>{drop_reason::xfrm_policy, "XFRM_POLICY"},
    drop_reason_def<Net>{drop_reason::arp_hdr, "ARP_HDR"},
    drop_reason_def<Net>{drop_reason::arp_ignored, "ARP_IGNORED"},
    drop_reason_def<Net>{drop_reason::neigh_createfail, "NEIGH_CREATEFAIL",
                         detail::count_ip<Net, &ipstats_mib::OutDiscards>},
    drop_reason_def<Net>{drop_reason::neigh_failed, "NEIGH_FAILED"},
    drop_reason_def<Net>{drop_reason::neigh_queuefull, "NEIGH_QUEUEFULL"},
    drop_reason_def<Net>{drop_reason::neigh_dead, "NEIGH_DEAD"},
};

}  // namespace netstack
