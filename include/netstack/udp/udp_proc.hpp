// SPDX-License-Identifier: BSL-1.0
// Decides: what UDP shows of itself: /proc/net/udp in the kernel's columns, its line of sockstat, and group Udp of
// /proc/net/snmp. [S150] [S168] [S175]
// Linux: net/ipv4/udp.c (udp4_seq_show), net/ipv4/proc.c (sockstat_seq_show, snmp4_udp_list)
#pragma once
#include "netstack/core/sock_alloc.hpp"
#include "netstack/ipv4/inet_proc.hpp"
#include "netstack/registry/snmp.hpp"
#include "netstack/udp/udp_table.hpp"

namespace netstack {

/// One socket a record, by slot of the table. Within a slot by place in the slab, which no other socket's end changes:
/// who stays open while the text is read is listed once.
template <class Net>
bool udp4_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  auto& worker = udp_worker_of(net);
  for (; at.bucket <= worker.table.mask; ++at.bucket, at.key = 0) {
    sock* found = nullptr;
    u64 found_at = ~u64{0};
    for (auto& sk : worker.table.hash[at.bucket]) {
      u64 const place = u64{worker.socks.index_of(&udp_sk(sk))} + 1;
      if (sk.sk_net == &net && place > at.key && place < found_at) found = &sk, found_at = place;
    }
    if (!found) continue;
    at.key = found_at;
    std::size_t const start = m.count();
    inet_seq_sock(m, *found, static_cast<u32>(at.bucket), found->sk_num, found_at);
    seq_pad(m, start, inet_seq_width, '\n');
    return true;
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

inline constexpr snmp_item snmp4_udp_list[]{
    detail::udp_item<&udp_mib::InDatagrams>("InDatagrams"),   detail::udp_item<&udp_mib::NoPorts>("NoPorts"),
    detail::udp_item<&udp_mib::InErrors>("InErrors"),         detail::udp_item<&udp_mib::OutDatagrams>("OutDatagrams"),
    detail::udp_item<&udp_mib::RcvbufErrors>("RcvbufErrors"), detail::udp_item<&udp_mib::SndbufErrors>("SndbufErrors"),
    detail::udp_item<&udp_mib::InCsumErrors>("InCsumErrors"), detail::udp_item<&udp_mib::IgnoredMulti>("IgnoredMulti"),
    detail::udp_item<&udp_mib::MemErrors>("MemErrors"),
};

}  // namespace netstack
