// SPDX-License-Identifier: BSL-1.0
// Decides: /proc/net/route: the main table in order of address, longer prefixes first, as route(8) reads it. Addresses
// are the 32 bits as they lie in memory. A reader goes on behind the last route shown, wherever that one is by then.
// [S130]
// Linux: net/ipv4/fib_trie.c (fib_route_seq_show, fib_flag_trans)
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/ipv4/ipv4_worker.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

namespace rtf {  // the Flags column, Linux's RTF_*
inline constexpr u32 up = 0x0001, gateway = 0x0002, host = 0x0004, reject = 0x0200;
}

inline constexpr char fib_route_seq_header[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                               "
    " "
    "                       \n";

namespace detail {

inline u32 fib_flag_trans(fib_info const& fi) {
  u32 flags = rtf::up;
  if (fi.fib_type == rtn::unreachable || fi.fib_type == rtn::prohibit) flags |= rtf::reject;
  if (fi.fib_nh_gw) flags |= rtf::gateway;
  if (fi.fib_dst_len == 32) flags |= rtf::host;
  return flags;
}

inline void fib_route_seq_row(seq_file& m, fib_info const& fi, char const* ifname) {
  std::size_t const start = m.count();
  // RefCnt and Use are not kept. MTU would be an advmss, Window and IRTT TCP metrics: a route has none.
  seq_printf(m, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%d\t%u\t%u", ifname, fi.fib_dst().raw(), fi.fib_nh_gw.raw(),
             fib_flag_trans(fi), 0, 0u, fi.fib_priority, be32{fib_mask(fi.fib_dst_len)}.raw(), 0, 0u, 0u);
  seq_pad(m, start, 127, '\n');
}

/// The next route of `tables` behind the cursor: key holds address and metric, bucket the prefix length.
template <class Net, class Tables>
bool fib_route_seq_next(Net& net, Tables const& tables, seq_file& m, seq_cursor& at) {
  fib_info const* fi = at.index == 0 ? tables.first(rt_table::main)
                                     : tables.after(rt_table::main, be32{static_cast<u32>(at.key >> 32)},
                                                    static_cast<u8>(at.bucket), static_cast<u32>(at.key));
  while (fi && (fi->fib_type == rtn::broadcast || fi->fib_type == rtn::multicast)) fi = tables.next(*fi);
  if (!fi) return false;
  at.index = 1;
  at.key = u64{fi->fib_key} << 32 | fi->fib_priority;
  at.bucket = fi->fib_dst_len;
  net_device const* const dev = fi->fib_nh_oif ? net.dev_get_by_index(fi->fib_nh_oif) : nullptr;
  fib_route_seq_row(m, *fi, dev ? dev->name : "*");
  return true;
}

}  // namespace detail

template <class Net>
bool fib_route_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  return detail::fib_route_seq_next(net, fib(net), m, at);
}

template <class Net>
inline constexpr std::array route_proc{
    proc_entry<Net>{.name = "net/route", .show = fib_route_seq_show<Net>, .header = fib_route_seq_header},
};

}  // namespace netstack
