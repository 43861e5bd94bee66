// SPDX-License-Identifier: BSL-1.0
// Decides: how a composition tells what it resolved to: `host::describe(sink)` prints every table, the boot order, and
// the memory bound part by part. Needs no booted stack: all of it is known at compile time.
#pragma once
#include <cstdarg>
#include <cstdio>

#include "netstack/stack/machine.hpp"

namespace netstack {

namespace detail {

/// printf into a sink(std::string_view); a line is at most 255 characters.
template <class Sink>
__attribute__((format(printf, 2, 3))) void line(Sink& sink, char const* format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int const n = std::vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n > 0) sink(std::string_view(text, std::min<std::size_t>(static_cast<std::size_t>(n), sizeof text - 1)));
}

inline char const* level_name(initcall_level level) {
  static constexpr char const* names[] = {
      "pure",        "pure_sync", "core",    "core_sync", "postcore", "postcore_sync", "arch", "arch_sync", "subsys",
      "subsys_sync", "fs",        "fs_sync", "rootfs",    "device",   "device_sync",   "late", "late_sync"};
  return names[static_cast<u8>(level)];
}

template <class Host>
class description {
  using net_t = net<Host>;
  using worker_t = worker<Host>;
  using modules = typename Host::modules;

  template <class Sink, class... Ms>
  static void list_modules(Sink& sink, type_list<Ms...>) {
    line(sink, "modules (%zu)\n", sizeof...(Ms));
    (line(sink, "  %-24.*s pernet %8zu B  perworker %10zu B\n", static_cast<int>(type_name<Ms>().size()),
          type_name<Ms>().data(), state_size<pernet_slot<Ms, Host>>(), state_size<perworker_slot<Ms, Host>>()),
     ...);
  }
  template <class Slot>
  static constexpr std::size_t state_size() {
    return std::is_empty_v<Slot> ? 0 : sizeof(Slot);
  }

 public:
  template <class Sink>
  static void tables(Sink& sink) {
    list_modules(sink, modules{});
    line(sink, "ptype_all (%zu)\n", net_t::ptype_all.size());
    for (auto const& pt : net_t::ptype_all)
      line(sink, "  ALL    %s%s%s\n", pt.name, pt.dev ? " on " : "", pt.dev ? pt.dev : "");
    line(sink, "ptype_base (%zu)\n", net_t::ptype_base.size());
    for (auto const& pt : net_t::ptype_base)
      line(sink, "  0x%04x %s%s%s%s\n", pt.type, pt.name, pt.list_func ? " (lists)" : "", pt.dev ? " on " : "",
           pt.dev ? pt.dev : "");
    line(sink, "inet_protos (%zu)\n", net_t::inet_protos.rows.size());
    for (auto const& p : net_t::inet_protos.rows)
      line(sink, "  %3u %s%s%s%s\n", p.protocol, p.name, p.early_demux ? " early_demux" : "",
           p.err_handler ? " err_handler" : "", p.no_policy ? " no_policy" : "");
    sockets(sink);
    line(sink, "flows recognised by drivers (%zu)\n", net_t::rx_flows.size());
    for (auto const& f : net_t::rx_flows) line(sink, "  %s\n", f.name);
    line(sink, "neighbour tables (%zu)\n", net_t::neigh_tables.size());
    for (auto const& t : net_t::neigh_tables) line(sink, "  0x%04x %s\n", t.protocol, t.id);
    line(sink, "offloads (%zu)\n", net_t::packet_offloads.size() + net_t::inet_offloads.rows.size());
    for (auto const& o : net_t::packet_offloads) line(sink, "  0x%04x %s\n", o.type, o.name);
    for (auto const& o : net_t::inet_offloads.rows) line(sink, "  %6u %s\n", o.protocol, o.name);
    line(sink, "drivers (%zu)\n", net_t::netdev_ops.size());
    drivers(sink, tables::drivers_of<modules>{});
    line(sink, "initcalls (%zu)\n", net_t::initcalls.size());
    for (auto const& c : net_t::initcalls)
      line(sink, "  %-9s %s%s\n", level_name(c.level), c.name, c.critical ? "" : " (may fail)");
    line(sink, "pernet operations (%zu)\n", net_t::pernet_list.size());
    for (auto const& p : net_t::pernet_list) line(sink, "  %-9s %s\n", p.device ? "device" : "subsys", p.name);
    line(sink, "netdevice notifiers (%zu)\n", net_t::netdev_chain.size());
    for (auto const& n : net_t::netdev_chain) line(sink, "  %5d %s\n", n.priority, n.name);
    line(sink, "netfilter hooks\n");
    hooks<nf_inet::pre_routing>(sink, "PRE_ROUTING");
    hooks<nf_inet::local_in>(sink, "LOCAL_IN");
    hooks<nf_inet::forward>(sink, "FORWARD");
    hooks<nf_inet::local_out>(sink, "LOCAL_OUT");
    hooks<nf_inet::post_routing>(sink, "POST_ROUTING");
    texts(sink);
  }

  template <class Sink>
  static void memory(Sink& sink) {
    constexpr auto const& c = Host::sizes;
    using storage = decltype(worker_t::pool_storage);
    line(sink, "memory bound %zu B for %u worker%s, %u namespace%s\n", sizeof(machine<Host>), c.workers,
         c.workers == 1 ? "" : "s", c.max_net, c.max_net == 1 ? "" : "s");
    line(sink, "  each worker %12zu B\n", sizeof(worker_t));
    line(sink, "    frames    %12zu B  %u of %u B\n", sizeof(storage::frames), c.skb_pool, c.frame_size);
    line(sink, "    metadata  %12zu B  %zu B a frame, %zu B a clone\n",
         sizeof(storage::pairs) + sizeof(storage::clones), storage::pair_size, storage::slot_size);
    line(sink, "    devices   %12zu B  %u of %zu B\n", sizeof(worker_t::devices), c.max_dev,
         sizeof(typename worker_t::device_slot));
    line(sink, "    modules   %12zu B\n", sizeof(perworker_slots<Host, modules>));
    line(sink, "    net       %12zu B  %u of %zu B\n", sizeof(worker_t::nets), c.max_net, sizeof(net_t));
  }

 private:
  template <class Sink>
  static void sockets(Sink& sink) {
    line(sink, "proto_list (%zu)\n", net_t::proto_list.size());
    for (auto const& p : net_t::proto_list) line(sink, "  %s\n", p.name);
    line(sink, "inetsw (%zu)\n", net_t::inetsw.rows.size());
    for (auto const& sw : net_t::inetsw.rows)
      line(sink, "  type %u protocol %3u%s%s%s\n", sw.type, sw.protocol,
           sw.flags & protosw_flag::permanent ? " PERMANENT" : "", sw.flags & protosw_flag::reuse ? " REUSE" : "",
           sw.flags & protosw_flag::icsk ? " ICSK" : "");
    line(sink, "net_families (%zu)\n", net_t::net_families.rows.size());
    for (auto const& f : net_t::net_families.rows) line(sink, "  %3u %s\n", f.family, f.name);
  }
  template <class Sink>
  static void texts(Sink& sink) {
    line(sink, "sysctls (%zu)\n", net_t::ctl_tables.size());
    for (auto const& c : net_t::ctl_tables) line(sink, "  %s\n", c.row.procname);
    line(sink, "proc entries (%zu)\n", net_t::proc_entries.size());
    for (auto const& p : net_t::proc_entries) line(sink, "  %s\n", p.name);
    line(sink, "counter groups (%zu)\n", net_t::snmp_groups.size());
    for (auto const& g : net_t::snmp_groups) line(sink, "  %s (%zu)\n", g.row.prefix, g.row.items.size());
    line(sink, "drop reasons (%zu)\n", net_t::drop_table::size);
    for (auto const& d : net_t::drop_table::rows)
      if (d.name[0]) line(sink, "  %3u %s\n", static_cast<unsigned>(d.reason), d.name);
  }
  template <class Sink, class... Ds>
  static void drivers(Sink& sink, type_list<Ds...>) {
    (line(sink, "  %s\n", Ds::name), ...);
  }
  template <nf_inet Point, class Sink>
  static void hooks(Sink& sink, char const* name) {
    if constexpr (net_t::template nf_hooks<Point>.empty())
      line(sink, "  %-12s direct call\n", name);
    else
      for (auto const& h : net_t::template nf_hooks<Point>) line(sink, "  %-12s %6d %s\n", name, h.priority, h.name);
  }
};

}  // namespace detail

}  // namespace netstack
