// SPDX-License-Identifier: BSL-1.0
// Decides: which statistics IPv4 keeps in each namespace, one block per group of /proc/net/snmp. A worker's slice has
// its own blocks; a reader sums them. The names are the kernel's columns. [S161] [S163] [S164]
// Linux: include/uapi/linux/snmp.h, include/net/snmp.h, net/ipv4/proc.c; RFC 4293 (IP-MIB), RFC 4022 (TCP-MIB)
#pragma once
#include "netstack/base/counter.hpp"

namespace netstack {

/// Groups Ip and IpExt.
struct ipstats_mib {
  counter InReceives, InHdrErrors, InAddrErrors, ForwDatagrams, InUnknownProtos, InDiscards, InDelivers, OutRequests,
      OutDiscards, OutNoRoutes, ReasmTimeout, ReasmReqds, ReasmOKs, ReasmFails, FragOKs, FragFails, FragCreates,
      OutTransmits;
  counter InNoRoutes, InTruncatedPkts, InMcastPkts, OutMcastPkts, InBcastPkts, OutBcastPkts, InOctets, OutOctets,
      InMcastOctets, OutMcastOctets, InBcastOctets, OutBcastOctets, InCsumErrors, InNoECTPkts, InECT1Pkts, InECT0Pkts,
      InCEPkts, ReasmOverlaps;
};

/// Group Icmp; the counts by type are derived from icmpmsg_mib.
struct icmp_mib {
  counter InMsgs, InErrors, InCsumErrors, OutMsgs, OutErrors, OutRateLimitGlobal, OutRateLimitHost;
};

/// Group IcmpMsg: InType3, OutType0 …
struct icmpmsg_mib {
  counter InType[256];
  counter OutType[256];
};

/// Group Tcp. The first four are constants of the protocol, the rest belongs to TCP. [S163]
struct tcp_mib {
  u64 RtoAlgorithm = 1;  ///< RFC 4022: other
  u64 RtoMin = 200;      ///< ms
  u64 RtoMax = 120'000;  ///< ms
  s64 MaxConn = -1;      ///< RFC 4022: the number is dynamic
  counter ActiveOpens, PassiveOpens, AttemptFails, EstabResets, CurrEstab, InSegs, OutSegs, RetransSegs, InErrs,
      OutRsts, InCsumErrors;
};

/// What IP itself counts of group TcpExt.
struct linux_mib {
  counter IPReversePathFilter;
};

/// The blocks of a slice, and which of them are in use: each is begun by its own step of the namespace's init and ended
/// by its own exit, so a failure in between leaves none behind. [S161]
struct netns_mib {
  enum block : u8 { tcp = 1, ip = 2, net = 4, icmp = 8, icmpmsg = 16 };
  u8 live = 0;
  tcp_mib tcp_statistics;
  ipstats_mib ip_statistics;
  linux_mib net_statistics;
  icmp_mib icmp_statistics;
  icmpmsg_mib icmpmsg_statistics;
};

}  // namespace netstack
