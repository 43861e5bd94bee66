// SPDX-License-Identifier: BSL-1.0
// Decides: the name of every rejection. The library's reasons are this enum; a user's module adds its own without
// editing it: an `enum class own_drop_reasons { truncated };` inside it, which the composition numbers behind these. A
// module's `drop_reasons` rows (a user's: in its enum's order) give each reason a text and the MIB counters it moves;
// drop() (core/drop.hpp) counts both.
// Linux: include/net/dropreason-core.h
#pragma once
#include <type_traits>

#include "netstack/base/config.hpp"
#include "netstack/registry/pernet.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

enum class drop_reason : u16 {
  not_specified,
  // devices and links
  dev_down,           ///< the device is not up
  dev_ready,          ///< no carrier, or the driver refused the frame for good
  cpu_backlog,        ///< netif_rx: the backlog is full
  dev_tx_queue_full,  ///< the device's transmit queue is full
  dev_hdr,            ///< shorter than a link header
  unhandled_proto,    ///< no packet_type for the ethertype
  otherhost,          ///< for another station's MAC address
  pkt_too_big,        ///< larger than the MTU, or than a frame
  full_ring,
  nomem,     ///< no free skb
  skb_csum,  ///< a checksum that was left to be finished, but cannot be
  tc_ingress,
  // IPv4
  ip_hdr,              ///< truncated or malformed header
  ip_csum,             ///< wrong header checksum
  ip_truncated,        ///< shorter than its total length says
  ip_inhdr,            ///< malformed options
  ip_srr,              ///< source-routed, and that is not accepted here, or cannot be followed
  ip_invalid_source,   ///< a source address that may not be on the wire
  ip_local_source,     ///< claims to come from one of our own addresses
  ip_invalid_dest,     ///< a destination address that may not be on the wire
  ip_localnet,         ///< a loopback address, and not from lo
  ip_rpfilter,         ///< the way back is by another device
  ip_unicast_l2mcast,  ///< a unicast destination in a link-layer broadcast
  ip_noproto,          ///< nobody takes the protocol
  ip_ttl,              ///< its time to live ended here
  ip_noroute_in,
  ip_noroute_out,
  ip_addrerrors,  ///< not for us, and we do not forward
  ip_blackhole,
  ip_prohibit,
  ip_frag,     ///< a fragment, and no reassembly is composed
  ip_too_big,  ///< larger than the path's MTU, and no fragmentation is composed
  icmp_hdr,    ///< truncated message, or a malformed quotation
  icmp_csum,
  icmp_type,       ///< an unknown type or code
  icmp_broadcast,  ///< a query to a broadcast or multicast address
  icmp_ignored,    ///< an echo request with icmp_echo_ignore_all
  icmp_ratelimit,  ///< a reply over its destination's rate
  netfilter_drop,
  // ARP and neighbours
  arp_hdr,
  arp_ignored,  ///< well-formed, but not for us
  neigh_createfail,
  neigh_failed,
  neigh_queuefull,
  neigh_dead,
  // sockets and UDP
  no_socket,
  socket_rcvbuff,
  socket_filter,
  socket_backlog,
  socket_close,
  udp_hdr,
  udp_csum,
  proto_mem,
  // TCP
  tcp_hdr,  ///< truncated, or a data offset that cannot be
  tcp_csum,
  tcp_flags,                 ///< bits that mean nothing in this state
  tcp_close,                 ///< for a connection that is over
  tcp_reset,                 ///< a RST that was believed
  tcp_abort_on_data,         ///< data that nobody will read
  tcp_invalid_sequence,      ///< outside the window
  tcp_invalid_ack_sequence,  ///< acknowledges what was never sent, or too old to be believed
  tcp_invalid_syn,           ///< a SYN within a connection
  tcp_rfc7323_paws,          ///< an old time stamp
  tcp_old_data,              ///< nothing new in it
  tcp_overwindow,            ///< begins beyond the window
  tcp_zerowindow,            ///< the window is closed
  tcp_ofomerge,              ///< out of order, and there already
  tcp_ofo_queue_prune,       ///< out of order, and the room was needed
  tcp_listen_overflow,       ///< the accept queue is full
  tcp_request_full,          ///< no room for one more that is half open
  tcp_timewait,              ///< for a connection in TIME-WAIT
  tcp_minttl,                ///< from farther away than IP_MINTTL allows
  xfrm_policy,
  namespace_exit,  ///< queued when its namespace went away
  count,
};

/// A reason of a user's module: drop() and kfree_skb() take it as they take ours.
template <class Reason>
concept own_drop_reason = std::is_enum_v<Reason> && !std::is_same_v<Reason, drop_reason>;

/// One row of a module's `drop_reasons`.
template <class Net>
struct drop_reason_def {
  drop_reason reason = drop_reason::not_specified;  ///< ignored in a user's module: the composition numbers its rows
  char const* name = "";
  void (*count)(Net&) = nullptr;  ///< moves the MIB counters of this rejection
};

/// drop_reason_def::count for counters in the module's pernet: `.count = count_mib<Net, pulse, &pernet::InErrors>`.
template <class Net, class M, auto... Counters>
void count_mib(Net& net) {
  ((++(net_generic<M>(net).*Counters)), ...);
}

}  // namespace netstack
