// SPDX-License-Identifier: BSL-1.0
// Decides: how counters become the texts of /proc/net/snmp, netstat and sockstat: groups in Linux's order, each a line
// of names and a line of values. A count is the sum over all workers' slices of the namespace, a state is the asker's
// own. Reading races with the workers by design: counters are atomic, one by one. [S161] [S162] [S169]
// Linux: net/ipv4/proc.c (snmp_seq_show, netstat_seq_show, sockstat_seq_show, icmpmsg_put)
#pragma once
#include "netstack/base/result.hpp"
#include "netstack/registry/proc.hpp"
#include "netstack/registry/snmp.hpp"

namespace netstack {

namespace detail {

/// f(block) over the slices that hold this group's counters.
template <class Net, class F>
void each_mib_block(Net& net, std::size_t group, F f) {
  auto const& bound = Net::snmp_groups[group];
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    void const* const pernet = bound.pernet(net.stack().worker(w).nets[net.index]);
    f(bound.row.block ? bound.row.block(pernet) : pernet);
  }
}

template <class Net>
u64 fold_item(Net& net, std::size_t group, snmp_item const& item) {
  auto const& bound = Net::snmp_groups[group];
  if (item.gauge) {
    void const* const pernet = bound.pernet(net);
    return item.read(bound.row.block ? bound.row.block(pernet) : pernet);
  }
  u64 sum = 0;
  each_mib_block(net, group, [&](void const* block) { sum += item.read(block); });
  return sum;
}
template <class Net>
u64 fold_sparse(Net& net, std::size_t group, u32 i) {
  u64 sum = 0;
  each_mib_block(net, group, [&](void const* block) { sum += Net::snmp_groups[group].row.sparse_read(block, i); });
  return sum;
}

/// Up to 16 counters that are not 0, from `at.key` on, as a pair of lines; false when there is none.
template <class Net>
bool sparse_show(Net& net, seq_file& m, seq_cursor& at) {
  auto const& row = Net::snmp_groups[at.bucket].row;
  u32 number[16];
  u64 value[16];
  std::size_t n = 0;
  for (; at.key < row.sparse_count && n < 16; ++at.key)
    if (u64 const v = fold_sparse(net, at.bucket, static_cast<u32>(at.key)); v != 0)
      number[n] = static_cast<u32>(at.key), value[n++] = v;
  if (n == 0) return false;
  seq_puts(m, row.prefix);
  for (std::size_t i = 0; i < n; ++i) seq_puts(m, i ? " " : ": "), row.sparse_name(m, number[i]);
  seq_putc(m, '\n');
  seq_puts(m, row.prefix);
  for (std::size_t i = 0; i < n; ++i) seq_put_decimal_ull(m, i ? " " : ": ", value[i]);
  seq_putc(m, '\n');
  return true;
}

/// The next name or value of the group at the cursor (bucket: group; index: names first, then values), or false.
template <class Net>
bool item_show(Net& net, seq_file& m, seq_cursor& at) {
  auto const& row = Net::snmp_groups[at.bucket].row;
  std::size_t const n = row.items.size();
  if (at.index >= 2 * n) return false;
  auto const i = static_cast<std::size_t>(at.index++);
  auto const& item = row.items[i % n];
  if (i % n == 0) seq_puts(m, row.prefix), seq_putc(m, ':');
  seq_putc(m, ' ');
  if (i < n)
    seq_puts(m, item.name);
  else if (u64 const value = fold_item(net, at.bucket, item); item.gauge)
    seq_put_decimal_ll(m, "", static_cast<s64>(value));
  else
    seq_put_decimal_ull(m, "", value);
  if (i % n == n - 1) seq_putc(m, '\n');
  return true;
}

}  // namespace detail

/// The groups of one file, a name or a value at a time.
template <class Net, snmp_file File>
bool snmp_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  for (; at.bucket < Net::snmp_groups.size(); ++at.bucket, at.index = at.key = 0) {
    auto const& row = Net::snmp_groups[at.bucket].row;
    if (row.file != File) continue;
    if (row.sparse_read ? detail::sparse_show(net, m, at) : detail::item_show(net, m, at)) return true;
  }
  return false;
}

template <class Net>
bool sockstat_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  if (at.index >= Net::sockstat.size()) return false;
  Net::sockstat[at.index++].show(net, m);
  return true;
}

/// One counter by its names, e.g. ("Udp", "InDatagrams"); a state's negative value comes as two's complement.
/// Error: no_such_file_or_directory.
template <class Net>
result<u64> snmp_get(Net& net, std::string_view group, std::string_view item) {
  for (std::size_t g = 0; g < Net::snmp_groups.size(); ++g) {
    auto const& row = Net::snmp_groups[g].row;
    if (group != row.prefix) continue;
    for (auto const& candidate : row.items)
      if (item == candidate.name) return detail::fold_item(net, g, candidate);
    for (u32 i = 0; i < row.sparse_count; ++i) {
      char name[32];
      seq_file m{name};
      row.sparse_name(m, i);
      if (item == m.text()) return detail::fold_sparse(net, g, i);
    }
  }
  return failure{std::errc::no_such_file_or_directory};
}

/// Linux's ip_misc_proc: what the IPv4 module offers beside its own tables.
template <class Net>
inline constexpr std::array snmp_proc{
    proc_entry<Net>{.name = "net/snmp", .show = snmp_seq_show<Net, snmp_file::snmp>},
    proc_entry<Net>{.name = "net/netstat", .show = snmp_seq_show<Net, snmp_file::netstat>},
    proc_entry<Net>{.name = "net/sockstat", .show = sockstat_seq_show<Net>},
};

}  // namespace netstack
