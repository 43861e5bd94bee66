// SPDX-License-Identifier: BSL-1.0
// Decides: what UDP keeps: per socket, per namespace (counters, limits), per worker (the slab of socks and the two hash
// tables, shared by all namespaces and keyed by them). [S149] [S150]
// Linux: include/linux/udp.h (struct udp_sock), include/net/udp.h (struct udp_table), include/net/netns/ipv4.h
#pragma once
#include <bit>

#include "netstack/base/counter.hpp"
#include "netstack/core/slab.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/ipv4/ip_way.hpp"
#include "netstack/registry/sysctl.hpp"

namespace netstack {

struct udp;

namespace detail {
/// Settings of a socket and its namespace, as they were (udp_way.hpp).
struct udp_way_key {
  u64 source, look, flags, mark, bound;
  friend bool operator==(udp_way_key const& a, udp_way_key const& b) {
    return ((a.source ^ b.source) | (a.look ^ b.look) | (a.flags ^ b.flags) | (a.mark ^ b.mark) |
            (a.bound ^ b.bound)) == 0;
  }
};
/// Who sums a datagram.
enum class udp_csum_mode : u8 { none, hardware, software };
/// How the last datagram left.
struct udp_way {
  ip_way ip{};
  u32 sum = 0;  ///< of the pseudo header without the length, and the ports
  be16 sport{}, dport{};
  udp_csum_mode csum_mode = udp_csum_mode::software;  ///< then; the device may have changed its mind
  udp_way_key key{};
};
}  // namespace detail

struct udp_sock : inet_sock {
  udp_sock() { sk_rare = &own; }

  sock_rare own{};
  list_head sk_node{};             ///< in the hash by port
  udp_sock* mcast_next = nullptr;  ///< while a multicast is handed to several sockets
  inet_cork cork{};
  detail::udp_way way{};
  bool corkflag = false;  ///< UDP_CORK
  /// Who takes datagrams without a queue in between, data at the payload: what it leaves in the list is freed.
  void (*encap_rcv)(sock&, skb_list&) = nullptr;
};
[[nodiscard]] inline udp_sock& udp_sk(sock& sk) { return static_cast<udp_sock&>(sk); }

/// Group Udp of /proc/net/snmp, in the kernel's order.
struct udp_mib {
  counter InDatagrams, NoPorts, InErrors, OutDatagrams, RcvbufErrors, SndbufErrors, InCsumErrors, IgnoredMulti,
      MemErrors;
};

/// pernet of udp.
struct udp_net {
  udp_mib mib;
  proto_limits limits;  ///< net/ipv4/udp_mem, udp_rmem_min, udp_wmem_min
  u8 sysctl_udp_early_demux = 1;
};

template <class Net>
[[nodiscard]] udp_mib& UDP_STATS(Net& net) {
  return net_generic<udp>(net).mib;
}

/// Every bound socket of a worker, by port, and by address and port.
template <u32 Slots>
struct udp_table {
  static_assert(std::has_single_bit(Slots));
  static constexpr u32 mask = Slots - 1;
  static constexpr u32 log = static_cast<u32>(std::countr_zero(Slots));
  list<udp_sock, &udp_sock::sk_node> hash[Slots];
  list<sock, &sock::sk_portaddr_node> hash2[Slots];
};

/// perworker of udp.
template <class Host>
struct udp_worker {
  slab<udp_sock, Host::sizes.max_sock> socks;
  udp_table<Host::sizes.sock_hash> table;
  proto_memory memory;
  u32 ehash_secret = 0;  ///< SO_REUSEPORT groups spread flows by a hash that peers cannot steer
};

template <class Net>
[[nodiscard]] auto& udp_worker_of(Net& net) {
  return worker_generic<udp>(net.worker());
}

}  // namespace netstack
