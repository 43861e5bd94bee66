// SPDX-License-Identifier: BSL-1.0
// Decides: /proc/net/arp: the neighbours of this namespace that had to be asked for or were set by hand, in the order
// of the hash. Bucket by bucket, within one by address and device, so that entries may come and go between two reads.
// [S127]
// Linux: net/ipv4/arp.c (arp_seq_show, arp_format_neigh_entry)
#pragma once
#include "netstack/ipv4/arp.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

namespace atf {  // the Flags column, Linux's ATF_*
inline constexpr u32 com = 0x02, perm = 0x04;
}

inline constexpr char arp_seq_header[] =
    "IP address       HW type     Flags       HW address            Mask     Device\n";

namespace detail {

inline void arp_seq_row(seq_file& m, neighbour const& n) {
  u32 const flags = n.nud_state & nud::permanent ? atf::perm | atf::com : n.nud_state & nud::valid ? atf::com : 0;
  u32 const ip = be32::from_raw(n.key[0]).host();
  char address[20];
  seq_file text{address};
  for (int shift = 24; shift >= 0; shift -= 8) seq_put_decimal_ull(text, shift == 24 ? "" : ".", ip >> shift & 255);
  seq_putc(text, '\0');
  auto const& ha = n.ha.bytes;
  seq_printf(m, "%-16s 0x%-10x0x%-10x%02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", address, n.dev->type, flags,
             ha[0], ha[1], ha[2], ha[3], ha[4], ha[5], n.dev->name);
}

}  // namespace detail

template <class Net>
bool arp_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  neigh_cache const& cache = arp_cache(net);
  if (!cache.buckets) return false;
  for (; at.bucket <= cache.mask; ++at.bucket, at.key = 0) {
    neighbour const* found = nullptr;
    u64 found_key = 0;
    for (neighbour const* n = cache.buckets[at.bucket]; n; n = n->hash_next) {
      if (n->dev->netns != net.index || !(n->nud_state & ~nud::noarp)) continue;  // the latter: needs no asking
      u64 const key = (u64{be32::from_raw(n->key[0]).host()} << 16 | n->dev->ifindex) + 1;
      if (key > at.key && (!found || key < found_key)) found = n, found_key = key;
    }
    if (!found) continue;
    at.key = found_key;
    detail::arp_seq_row(m, *found);
    return true;
  }
  return false;
}

template <class Net>
inline constexpr std::array arp_proc{
    proc_entry<Net>{.name = "net/arp", .show = arp_seq_show<Net>, .header = arp_seq_header},
};

}  // namespace netstack
