// SPDX-License-Identifier: BSL-1.0
// Decides: the texts of the device layer: /proc/net/dev, dev_mcast, ptype, softnet_stat. Devices are those of the
// net's worker, their statistics sums over all workers. [S69] [S84]
// Linux: net/core/net-procfs.c, net/core/dev_addr_lists.c
#pragma once
#include "netstack/core/dev_stats.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/registry/packet_type.hpp"
#include "netstack/registry/proc.hpp"
#include "netstack/wire/eth_p.hpp"

namespace netstack {

namespace detail {
/// The first device behind `ifindex` in order of number: a place that survives devices coming and going between reads.
template <class Net>
net_device* next_device(Net& net, u64 ifindex) {
  net_device* found = nullptr;
  for (auto& dev : net.dev_base)
    if (dev.ifindex > ifindex && (!found || dev.ifindex < found->ifindex)) found = &dev;
  return found;
}
}  // namespace detail

inline constexpr char dev_seq_header[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n";

template <class Net>
bool dev_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  net_device* const dev = detail::next_device(net, at.key);
  if (!dev) return false;
  at.key = dev->ifindex;
  dev_get_stats const sum(net, *dev);
  using s = net_device_stats;
  std::size_t const name = dev->ifname().size();
  if (name < 6) m.fill(' ', 6 - name);
  seq_puts(m, dev->ifname());
  seq_put_decimal_ull(m, ": ", sum(&s::rx_bytes), 7);
  seq_put_decimal_ull(m, " ", sum(&s::rx_packets), 7);
  seq_put_decimal_ull(m, " ", sum(&s::rx_errors), 4);
  seq_put_decimal_ull(m, " ", sum(&s::rx_dropped, &s::rx_missed_errors), 4);
  seq_put_decimal_ull(m, " ", sum(&s::rx_fifo_errors), 4);
  seq_put_decimal_ull(m, " ", sum(&s::rx_length_errors, &s::rx_over_errors, &s::rx_crc_errors, &s::rx_frame_errors), 5);
  seq_put_decimal_ull(m, " ", 0, 10);  // compressed: no device here does
  seq_put_decimal_ull(m, " ", sum(&s::multicast), 9);
  seq_put_decimal_ull(m, " ", sum(&s::tx_bytes), 8);
  seq_put_decimal_ull(m, " ", sum(&s::tx_packets), 7);
  seq_put_decimal_ull(m, " ", sum(&s::tx_errors), 4);
  seq_put_decimal_ull(m, " ", sum(&s::tx_dropped), 4);
  seq_put_decimal_ull(m, " ", sum(&s::tx_fifo_errors), 4);
  seq_put_decimal_ull(m, " ", sum(&s::collisions), 5);
  seq_put_decimal_ull(
      m, " ", sum(&s::tx_carrier_errors, &s::tx_aborted_errors, &s::tx_window_errors, &s::tx_heartbeat_errors), 7);
  seq_put_decimal_ull(m, " ", 0, 10);
  seq_putc(m, '\n');
  return true;
}

/// One line per group address that a device listens to.
template <class Net>
bool dev_mc_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  net_device* dev = net.dev_get_by_index(static_cast<u32>(at.key));
  while (!dev || at.index >= dev->mc_count) {
    dev = detail::next_device(net, at.key);
    if (!dev) return false;
    at.key = dev->ifindex;
    at.index = 0;
  }
  std::size_t const i = at.index++;
  seq_printf(m, "%-4u %-15s %-5u %-5d ", dev->ifindex, dev->name, dev->mc_refs[i], 0);
  for (u8 byte : dev->mc_list[i].bytes) seq_put_hex_ll(m, "", byte, 2);
  seq_putc(m, '\n');
  return true;
}

/// One line per handler; the kernel prints the function's symbol, here it is the row's name.
template <class Net>
bool ptype_seq_show(Net&, seq_file& m, seq_cursor& at) {
  std::size_t const i = at.index++, taps = Net::ptype_all.size();
  if (i >= taps + Net::ptype_base.size()) return false;
  packet_type<Net> const* pt = nullptr;
  if constexpr (!Net::ptype_all.empty())
    if (i < taps) pt = &Net::ptype_all[i];
  if constexpr (!Net::ptype_base.empty())
    if (i >= taps) pt = &Net::ptype_base[i - taps];
  if (pt->type == eth_p::all)
    seq_puts(m, "ALL ");
  else
    seq_put_hex_ll(m, "", pt->type, 4);
  seq_printf(m, " %-8s %s\n", pt->dev ? pt->dev : "", pt->name);
  return true;
}

/// One line per worker, as Linux has one per CPU; columns 4–9 are history there and here.
template <class Net>
bool softnet_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  if (at.index >= Net::sizes.workers) return false;
  auto& worker = net.stack().worker(static_cast<u32>(at.index));
  auto const& sd = worker.softnet;
  // The lengths of a queue are its owner's to read; another worker's show as 0.
  bool const own = &worker == &net.worker();
  u32 const input = own ? sd.input_pkt_queue.qlen() : 0, process = own ? sd.process_queue.qlen() : 0;
  u64 const columns[] = {
      sd.processed.read(),    sd.dropped.read(),          sd.time_squeeze.read(), 0,        0,     0,      0, 0, 0,
      sd.received_rps.read(), sd.flow_limit_count.read(), input + process,        at.index, input, process};
  char const* separator = "";
  for (u64 value : columns) {
    seq_put_hex_ll(m, separator, static_cast<u32>(value), 8);
    separator = " ";
  }
  seq_putc(m, '\n');
  ++at.index;
  return true;
}

template <class Net>
inline constexpr std::array dev_proc{
    proc_entry<Net>{.name = "net/dev", .show = dev_seq_show<Net>, .header = dev_seq_header},
    proc_entry<Net>{.name = "net/dev_mcast", .show = dev_mc_seq_show<Net>},
    proc_entry<Net>{.name = "net/ptype", .show = ptype_seq_show<Net>, .header = "Type Device      Function\n"},
    proc_entry<Net>{.name = "net/softnet_stat", .show = softnet_seq_show<Net>},
};

}  // namespace netstack
