// SPDX-License-Identifier: BSL-1.0
// Decides: what UDP shows of itself: /proc/net/udp in the kernel's columns, its line of sockstat, and group Udp of
// /proc/net/snmp. [S150] [S168] [S175]
// Linux: net/ipv4/udp.c (udp4_seq_show), net/ipv4/proc.c (sockstat_seq_show, snmp4_udp_list)
#pragma once
#include "netstack/ipv4/inet_proc.hpp"
#include "netstack/registry/snmp.hpp"
#include "netstack/udp/udp_table.hpp"

namespace netstack {

/// One socket a record, by slot of the table; the cursor is the slot and the place in it.
template <class Net>
bool udp4_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  auto& table = udp_worker_of(net).table;
  for (; at.bucket <= table.mask; ++at.bucket, at.index = 0) {
    u64 place = 0;
    for (auto& sk : table.hash[at.bucket]) {
      if (sk.sk_net != &net || place++ < at.index) continue;
      ++at.index;
      std::size_t const start = m.count();
      inet_seq_sock(m, sk, static_cast<u32>(at.bucket), sk.sk_num, udp_worker_of(net).socks.index_of(&udp_sk(sk)));
      seq_pad(m, start, inet_seq_width, '\n');
      return true;
    }
  }
  return false;
}

inline constexpr char udp4_seq_header[] =
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
    "drops            \n";
static_assert(sizeof udp4_seq_header - 1 == inet_seq_width + 1);

template <class Net>
void udp_sockstat_show(Net& net, seq_file& m) {
  seq_put_decimal_ull(m, "UDP: inuse ", sock_prot_inuse_get(net, proto_index<Net>("UDP")));
  seq_put_decimal_ll(m, " mem ", udp_worker_of(net).memory.allocated);
  seq_putc(m, '\n');
}

namespace detail {
template <counter udp_mib::*Member>
constexpr snmp_item udp_item(char const* name) {
  return SNMP_MIB_ITEM<&udp_net::mib, Member>(name);
}
}  // namespace detail

inline constexpr std::array snmp4_udp_list{
    detail::udp_item<&udp_mib::InDatagrams>("InDatagrams"),   detail::udp_item<&udp_mib::NoPorts>("NoPorts"),
    detail::udp_item<&udp_mib::InErrors>("InErrors"),         detail::udp_item<&udp_mib::OutDatagrams>("OutDatagrams"),
    detail::udp_item<&udp_mib::RcvbufErrors>("RcvbufErrors"), detail::udp_item<&udp_mib::SndbufErrors>("SndbufErrors"),
    detail::udp_item<&udp_mib::InCsumErrors>("InCsumErrors"), detail::udp_item<&udp_mib::IgnoredMulti>("IgnoredMulti"),
    detail::udp_item<&udp_mib::MemErrors>("MemErrors"),
};

}  // namespace netstack
