// SPDX-License-Identifier: BSL-1.0
// Decides: what IPv4 shows in /proc/net/snmp and netstat: the groups Ip, Icmp, IcmpMsg, Tcp and IpExt in the kernel's
// columns, and the files themselves. Groups of transports (Udp, UdpLite, TcpExt) come from the transports' modules and
// are absent without them. [S9] [S161] [S163] [S165] [S169]
// Linux: net/ipv4/proc.c; RFC 4293 (Ip), RFC 2011 (Icmp), RFC 4022 (Tcp)
#pragma once
#include "netstack/core/snmp_proc.hpp"
#include "netstack/ipv4/netns_ipv4.hpp"

namespace netstack {

namespace detail {

template <counter ipstats_mib::*Member>
constexpr snmp_item ip_item(char const* name) {
  return SNMP_MIB_ITEM<&netns_ipv4::mib, &netns_mib::ip_statistics, Member>(name);
}
template <counter icmp_mib::*Member>
constexpr snmp_item icmp_item(char const* name) {
  return SNMP_MIB_ITEM<&netns_ipv4::mib, &netns_mib::icmp_statistics, Member>(name);
}
template <std::size_t Type>
constexpr snmp_item icmp_in(char const* name) {
  return SNMP_MIB_ITEM<&netns_ipv4::mib, &netns_mib::icmpmsg_statistics, &icmpmsg_mib::InType, Type>(name);
}
template <std::size_t Type>
constexpr snmp_item icmp_out(char const* name) {
  return SNMP_MIB_ITEM<&netns_ipv4::mib, &netns_mib::icmpmsg_statistics, &icmpmsg_mib::OutType, Type>(name);
}
/// RFC 4293, ipForwarding: forwarding(1), notForwarding(2)
inline s64 ip_forwarding(netns_ipv4 const& net) { return net.devconf_all.forwarding ? 1 : 2; }

}  // namespace detail

inline constexpr snmp_item snmp4_ip_list[]{
    SNMP_MIB_GAUGE<detail::ip_forwarding>("Forwarding"),
    SNMP_MIB_ITEM<&netns_ipv4::sysctl_ip_default_ttl>("DefaultTTL"),
    detail::ip_item<&ipstats_mib::InReceives>("InReceives"),
    detail::ip_item<&ipstats_mib::InHdrErrors>("InHdrErrors"),
    detail::ip_item<&ipstats_mib::InAddrErrors>("InAddrErrors"),
    detail::ip_item<&ipstats_mib::ForwDatagrams>("ForwDatagrams"),
    detail::ip_item<&ipstats_mib::InUnknownProtos>("InUnknownProtos"),
    detail::ip_item<&ipstats_mib::InDiscards>("InDiscards"),
    detail::ip_item<&ipstats_mib::InDelivers>("InDelivers"),
    detail::ip_item<&ipstats_mib::OutRequests>("OutRequests"),
    detail::ip_item<&ipstats_mib::OutDiscards>("OutDiscards"),
    detail::ip_item<&ipstats_mib::OutNoRoutes>("OutNoRoutes"),
    detail::ip_item<&ipstats_mib::ReasmTimeout>("ReasmTimeout"),
    detail::ip_item<&ipstats_mib::ReasmReqds>("ReasmReqds"),
    detail::ip_item<&ipstats_mib::ReasmOKs>("ReasmOKs"),
    detail::ip_item<&ipstats_mib::ReasmFails>("ReasmFails"),
    detail::ip_item<&ipstats_mib::FragOKs>("FragOKs"),
    detail::ip_item<&ipstats_mib::FragFails>("FragFails"),
    detail::ip_item<&ipstats_mib::FragCreates>("FragCreates"),
    detail::ip_item<&ipstats_mib::OutTransmits>("OutTransmits"),
};

inline constexpr snmp_item snmp4_ipextstats_list[]{
    detail::ip_item<&ipstats_mib::InNoRoutes>("InNoRoutes"),
    detail::ip_item<&ipstats_mib::InTruncatedPkts>("InTruncatedPkts"),
    detail::ip_item<&ipstats_mib::InMcastPkts>("InMcastPkts"),
    detail::ip_item<&ipstats_mib::OutMcastPkts>("OutMcastPkts"),
    detail::ip_item<&ipstats_mib::InBcastPkts>("InBcastPkts"),
    detail::ip_item<&ipstats_mib::OutBcastPkts>("OutBcastPkts"),
    detail::ip_item<&ipstats_mib::InOctets>("InOctets"),
    detail::ip_item<&ipstats_mib::OutOctets>("OutOctets"),
    detail::ip_item<&ipstats_mib::InMcastOctets>("InMcastOctets"),
    detail::ip_item<&ipstats_mib::OutMcastOctets>("OutMcastOctets"),
    detail::ip_item<&ipstats_mib::InBcastOctets>("InBcastOctets"),
    detail::ip_item<&ipstats_mib::OutBcastOctets>("OutBcastOctets"),
    detail::ip_item<&ipstats_mib::InCsumErrors>("InCsumErrors"),
    detail::ip_item<&ipstats_mib::InNoECTPkts>("InNoECTPkts"),
    detail::ip_item<&ipstats_mib::InECT1Pkts>("InECT1Pkts"),
    detail::ip_item<&ipstats_mib::InECT0Pkts>("InECT0Pkts"),
    detail::ip_item<&ipstats_mib::InCEPkts>("InCEPkts"),
    detail::ip_item<&ipstats_mib::ReasmOverlaps>("ReasmOverlaps"),
};

inline constexpr snmp_item snmp4_icmp_list[]{
    detail::icmp_item<&icmp_mib::InMsgs>("InMsgs"),
    detail::icmp_item<&icmp_mib::InErrors>("InErrors"),
    detail::icmp_item<&icmp_mib::InCsumErrors>("InCsumErrors"),
    detail::icmp_in<3>("InDestUnreachs"),
    detail::icmp_in<11>("InTimeExcds"),
    detail::icmp_in<12>("InParmProbs"),
    detail::icmp_in<4>("InSrcQuenchs"),
    detail::icmp_in<5>("InRedirects"),
    detail::icmp_in<8>("InEchos"),
    detail::icmp_in<0>("InEchoReps"),
    detail::icmp_in<13>("InTimestamps"),
    detail::icmp_in<14>("InTimestampReps"),
    detail::icmp_in<17>("InAddrMasks"),
    detail::icmp_in<18>("InAddrMaskReps"),
    detail::icmp_item<&icmp_mib::OutMsgs>("OutMsgs"),
    detail::icmp_item<&icmp_mib::OutErrors>("OutErrors"),
    detail::icmp_item<&icmp_mib::OutRateLimitGlobal>("OutRateLimitGlobal"),
    detail::icmp_item<&icmp_mib::OutRateLimitHost>("OutRateLimitHost"),
    detail::icmp_out<3>("OutDestUnreachs"),
    detail::icmp_out<11>("OutTimeExcds"),
    detail::icmp_out<12>("OutParmProbs"),
    detail::icmp_out<4>("OutSrcQuenchs"),
    detail::icmp_out<5>("OutRedirects"),
    detail::icmp_out<8>("OutEchos"),
    detail::icmp_out<0>("OutEchoReps"),
    detail::icmp_out<13>("OutTimestamps"),
    detail::icmp_out<14>("OutTimestampReps"),
    detail::icmp_out<17>("OutAddrMasks"),
    detail::icmp_out<18>("OutAddrMaskReps"),
};

/// RFC 4022's group: what TCP counts is 0 as long as no TCP is composed. [S163]
inline constexpr snmp_item snmp4_tcp_list[]{
    SNMP_MIB_ITEM<&tcp_mib::RtoAlgorithm>("RtoAlgorithm"),
    SNMP_MIB_ITEM<&tcp_mib::RtoMin>("RtoMin"),
    SNMP_MIB_ITEM<&tcp_mib::RtoMax>("RtoMax"),
    SNMP_MIB_ITEM<&tcp_mib::MaxConn>("MaxConn"),
    SNMP_MIB_ITEM<&tcp_mib::ActiveOpens>("ActiveOpens"),
    SNMP_MIB_ITEM<&tcp_mib::PassiveOpens>("PassiveOpens"),
    SNMP_MIB_ITEM<&tcp_mib::AttemptFails>("AttemptFails"),
    SNMP_MIB_ITEM<&tcp_mib::EstabResets>("EstabResets"),
    SNMP_MIB_ITEM<&tcp_mib::CurrEstab>("CurrEstab"),
    SNMP_MIB_ITEM<&tcp_mib::InSegs>("InSegs"),
    SNMP_MIB_ITEM<&tcp_mib::OutSegs>("OutSegs"),
    SNMP_MIB_ITEM<&tcp_mib::RetransSegs>("RetransSegs"),
    SNMP_MIB_ITEM<&tcp_mib::InErrs>("InErrs"),
    SNMP_MIB_ITEM<&tcp_mib::OutRsts>("OutRsts"),
    SNMP_MIB_ITEM<&tcp_mib::InCsumErrors>("InCsumErrors"),
};

namespace detail {

/// Numbers 0–255 are messages received, 256–511 messages sent, by type.
inline u64 icmpmsg_read(void const* block, u32 i) {
  auto const& mib = *static_cast<icmpmsg_mib const*>(block);
  return (i < 256 ? mib.InType[i] : mib.OutType[i - 256]).read();
}
inline void icmpmsg_name(seq_file& m, u32 i) { seq_put_decimal_ull(m, i < 256 ? "InType" : "OutType", i & 255); }

}  // namespace detail

inline constexpr std::array ipv4_snmp{
    snmp_group{.prefix = "Ip", .items = snmp4_ip_list, .order = snmp_order::ip},
    snmp_group{.prefix = "Icmp", .items = snmp4_icmp_list, .order = snmp_order::icmp},
    snmp_group{.prefix = "IcmpMsg",
               .block = snmp_block<&netns_ipv4::mib, &netns_mib::icmpmsg_statistics>,
               .order = snmp_order::icmpmsg,
               .sparse_count = 512,
               .sparse_read = detail::icmpmsg_read,
               .sparse_name = detail::icmpmsg_name},
    snmp_group{.prefix = "Tcp",
               .items = snmp4_tcp_list,
               .block = snmp_block<&netns_ipv4::mib, &netns_mib::tcp_statistics>,
               .order = snmp_order::tcp},
    snmp_group{
        .prefix = "IpExt", .items = snmp4_ipextstats_list, .file = snmp_file::netstat, .order = snmp_order::ipext},
};

}  // namespace netstack
