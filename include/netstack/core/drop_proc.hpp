// SPDX-License-Identifier: BSL-1.0
// Decides: the two texts that Linux has no file for: why packets were rejected (net/drop_reasons: name and count of
// each reason that occurred), and whether all are back in the pool (net/skb_pool).
// Linux: net/core/drop_monitor.c (the nearest relative)
#pragma once
#include "netstack/core/drop.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

/// How often packets of this namespace were rejected for this reason, over all workers.
template <class Net>
u64 drop_count(Net& net, drop_reason reason) {
  u64 sum = 0;
  for (u32 w = 0; w < Net::sizes.workers; ++w)
    sum += net.stack().worker(w).nets[net.index].drops[static_cast<std::size_t>(reason)].read();
  return sum;
}

/// The name of a reason, of the library or of a user's module.
template <class Net>
std::string_view drop_reason_name(drop_reason reason) {
  std::string_view const name = Net::drop_table::rows[static_cast<std::size_t>(reason)].name;
  return name.empty() ? "UNNAMED" : name;
}

/// f(std::string_view name, u64 count) for each reason that occurred in this namespace.
template <class Net, class F>
void for_each_drop(Net& net, F f) {
  for (std::size_t i = 0; i < Net::drop_table::size; ++i)
    if (u64 const n = drop_count(net, static_cast<drop_reason>(i)); n != 0)
      f(drop_reason_name<Net>(static_cast<drop_reason>(i)), n);
}

template <class Net>
bool drop_reasons_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  for (; at.index < Net::drop_table::size; ++at.index) {
    auto const reason = static_cast<drop_reason>(at.index);
    u64 const n = drop_count(net, reason);
    if (n == 0) continue;
    std::size_t const start = m.count();
    seq_puts(m, drop_reason_name<Net>(reason));
    seq_pad(m, start, 24);
    seq_put_decimal_ull(m, " ", n);
    seq_putc(m, '\n');
    ++at.index;
    return true;
  }
  return false;
}

/// The balance of the pool of the net's worker. After all traffic is done, both "used" columns are 0 or something
/// leaks.
template <class Net>
bool skb_pool_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  if (at.index++ != 0) return false;
  auto const& pool = net.worker().pool;
  seq_put_decimal_ull(m, "", net.worker().id, 6);
  seq_put_decimal_ull(m, " ", pool.in_use(), 8);
  seq_put_decimal_ull(m, " ", pool.nr_frames(), 8);
  seq_put_decimal_ull(m, " ", pool.high_water(), 10);
  seq_put_decimal_ull(m, " ", pool.clones_in_use(), 11);
  seq_put_decimal_ull(m, " ", pool.alloc_failures, 8);
  seq_put_decimal_ull(m, " ", pool.clone_failures, 14);
  seq_putc(m, '\n');
  return true;
}

template <class Net>
inline constexpr std::array drop_proc{
    proc_entry<Net>{.name = "net/drop_reasons", .show = drop_reasons_seq_show<Net>},
    proc_entry<Net>{.name = "net/skb_pool",
                    .show = skb_pool_seq_show<Net>,
                    .header = "worker     used   frames high_water clones_used failures clone_failures\n"},
};

}  // namespace netstack
