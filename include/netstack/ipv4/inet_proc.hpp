// SPDX-License-Identifier: BSL-1.0
// Decides: how one IPv4 socket is a row of /proc/net/udp, raw or icmp: addresses as the kernel prints them (the 32 bits
// as they lie in memory, then the port in host order). The kernel's "pointer" is a number that says nothing about
// memory; here it is the socket's place in its slab. [S168]
// Linux: net/ipv4/udp.c (udp4_format_sock), net/ipv4/raw.c, net/ipv4/ping.c
#pragma once
#include "netstack/core/sock_mem.hpp"
#include "netstack/core/socket.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

/// Width that the header and the rows of udp and icmp are padded to, without the newline.
inline constexpr std::size_t inet_seq_width = 127;

/// The row up to the drops, unpadded. `slot`: the sl column; `port`: the local port column. A listed socket stands in a
/// table, which counts as a reference as it does in Linux, though here it holds none.
inline void inet_seq_sock(seq_file& m, sock const& sk, u32 slot, u16 port, u64 place) {
  u64 const inode = sk.sk_socket ? sk.sk_socket->i_ino : 0;
  seq_printf(m, "%5u: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8d %llu %u %016llx %u", slot,
             sk.sk_rcv_saddr.raw(), port, sk.sk_daddr.raw(), sk.sk_dport.host(), sk.sk_state, sk_wmem_alloc_get(sk),
             sk_rmem_alloc_get(sk), 0u, 0ul, 0u, 0u, 0, static_cast<unsigned long long>(inode), sk.sk_refcnt + 1,
             static_cast<unsigned long long>(place), sk.sk_drops);
}

inline constexpr char icmp_seq_header[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
    "drops             \n";
inline constexpr char raw_seq_header[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
    "drops\n";

/// /proc/net/icmp lists echo sockets. IPv4 alone has none, and the file is there all the same, as in Linux.
template <class Net>
bool icmp_seq_show(Net&, seq_file&, seq_cursor&) {
  return false;
}
template <class Net>
inline constexpr std::array icmp_proc{
    proc_entry<Net>{.name = "net/icmp", .show = icmp_seq_show<Net>, .header = icmp_seq_header},
};

}  // namespace netstack
