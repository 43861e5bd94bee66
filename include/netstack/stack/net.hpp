// SPDX-License-Identifier: BSL-1.0
// Decides: what a namespace is: Linux's struct net, one worker's slice of it. It holds its modules' pernet slots, its
// devices and its counters, and it is the `Net` of every handler: Net::inet_protos … are the stack's static tables, so
// that lower floors reach upward through their template parameter alone. [S12] [S13]
// Linux: include/net/net_namespace.h
#pragma once
#include "netstack/core/dev_stats.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/stack/link_tables.hpp"
#include "netstack/stack/proc_tables.hpp"
#include "netstack/stack/socket_tables.hpp"
#include "netstack/stack/storage.hpp"
#include "netstack/stack/tables.hpp"

namespace netstack {

template <class Host>
struct worker;

/// The last rejections of a slice, for a reader of the trace.
struct drop_event {
  drop_reason reason;
  u16 ifindex;
  be16 protocol;
  u64 when;  ///< worker time, ns
};

template <class Host>
struct net : detail::pernet_slots<Host, typename Host::modules> {
  using host = Host;
  using modules = typename Host::modules;
  static constexpr config const& sizes = Host::sizes;

  static constexpr auto ptype_all = tables::resolve_packet_types<net, modules, true>();
  static constexpr auto ptype_base = tables::resolve_packet_types<net, modules, false>();
  static constexpr auto inet_protos = tables::resolve_inet_protos<net, modules>();
  static constexpr auto inet6_protos = tables::resolve_inet6_protos<net, modules>();
  static constexpr auto packet_offloads = tables::resolve_packet_offloads<net, modules>();
  static constexpr auto inet_offloads = tables::resolve_inet_offloads<net, modules>();
  static constexpr auto rtnl_links = tables::collect<tables::rtnl_links, net>(modules{});
  static constexpr auto tcp_congestion = tables::resolve_tcp_congestion<net, modules>();
  static constexpr auto icmp_pointers = tables::resolve_icmp_pointers<net, modules>();
  static constexpr auto raw_deliver = tables::collect<tables::raw_deliver, net>(modules{});
  static constexpr auto rx_flows = tables::collect<tables::rx_flows, net>(modules{});
  static constexpr auto neigh_tables = tables::collect<tables::neigh_tables, net>(modules{});
  static constexpr auto xfrm_policies = tables::collect<tables::xfrm_policies, net>(modules{});
  static constexpr auto proto_list = tables::collect<tables::protos, net>(modules{});
  static constexpr auto inetsw = tables::resolve_inetsw<net, modules>();
  static constexpr auto net_families = tables::resolve_net_families<net, modules>();
  static constexpr auto file_systems = tables::collect<tables::file_systems, net>(modules{});
  static constexpr auto initcalls = tables::resolve_initcalls<net, modules>();
  static constexpr auto pernet_list = tables::resolve_pernet<net, modules>();
  static constexpr auto netdev_chain = tables::resolve_notifiers<net, modules>();
  static constexpr auto netdev_ops = tables::resolve_netdev_ops<net>(tables::drivers_of<modules>{});
  static constexpr auto ethtool_ops = tables::resolve_ethtool_ops<net>(tables::drivers_of<modules>{});
  static constexpr auto driver_names = tables::driver_names(tables::drivers_of<modules>{});
  static constexpr auto rx_handlers = tables::collect<tables::rx_handlers, net>(modules{});
  static constexpr auto drop_traces = tables::collect<tables::drop_traces, net>(modules{});
  static constexpr auto napi_traces = tables::collect<tables::napi_traces, net>(modules{});
  /// Where M's rows start in rx_handlers.
  template <class M>
  static constexpr std::size_t first_rx_handler = tables::first_of<tables::rx_handlers, net, M>(modules{});
  static constexpr auto ctl_tables = tables::resolve_ctl_tables<net, modules>();
  static constexpr auto proc_entries = tables::resolve_proc_entries<net, modules>();
  static constexpr auto snmp_groups = tables::resolve_snmp_groups<net, modules>();
  static constexpr auto sockstat = tables::resolve_sockstat<net, modules>();
  template <nf_inet Point>
  static constexpr auto nf_hooks = tables::resolve_nf_hooks<net, modules, Point>();
  using drop_table = tables::drop_table<net, modules>;
  /// The number of a reason of a user's module (`enum class own_drop_reasons { … };` in it).
  template <own_drop_reason Own>
  static constexpr drop_reason drop_reason_of(Own reason) {
    return drop_table::number(reason);
  }
  template <class Driver>
  static constexpr u8 driver_index = tables::driver_index<Driver>(tables::drivers_of<modules>{});
  /// Gives back what a device of the given driver row holds; the reference is dead afterwards.
  static void remove_device(net& self, net_device& dev) {
    removers(tables::drivers_of<modules>{})[dev.driver](self, dev);
  }
  template <class M>
  static constexpr bool has = contains<M, modules>;

  u16 index = 0;       ///< number of the namespace in the stack; init_net is 0
  u16 generation = 0;  ///< how many namespaces have had this place: the same in every worker
  bool alive = false;
  u32 next_ifindex = 1;  ///< lo gets 1
  u32 passive = 0;
  netstack::worker<Host>* home = nullptr;
  net_device_list dev_base;                                                       ///< in order of registration
  dev_stats_table<Host::sizes.workers == 1 ? 0 : Host::sizes.max_dev> dev_stats;  ///< of dev_base, for other workers
  net_device* loopback_dev = nullptr;
  u32 sock_inuse = 0;                                                     ///< open sockets, the stack's own apart
  u32 prot_inuse[proto_list.size() + std::size_t{proto_list.empty()}]{};  ///< the same by row of proto_list [S89]
  counter drops[drop_table::size];
  drop_event drop_trace[Host::sizes.drop_trace ? Host::sizes.drop_trace : 1];
  u32 drop_trace_next = 0;

  [[nodiscard]] netstack::worker<Host>& worker() const { return *home; }
  template <class M>
  [[nodiscard]] auto& generic() {
    return static_cast<detail::pernet_slot<M, Host>&>(*this).pernet_state;
  }

  /// The device of this name or number in this namespace, or null.
  [[nodiscard]] net_device* dev_get_by_name(std::string_view name) {
    for (auto& dev : dev_base)
      if (dev.ifname() == name) return &dev;
    return nullptr;
  }
  [[nodiscard]] net_device* dev_get_by_index(u32 ifindex) {
    for (auto& dev : dev_base)
      if (dev.ifindex == ifindex) return &dev;
    return nullptr;
  }

  void count_drop(sk_buff& skb, drop_reason reason) {
    auto const i = static_cast<std::size_t>(reason);
    ++drops[i];
    if (auto* count = drop_table::rows[i].count) count(*this);
    for (auto const& trace : drop_traces) trace.trace_kfree_skb(*this, skb, reason);
    if constexpr (Host::sizes.drop_trace != 0)
      drop_trace[drop_trace_next++ & (Host::sizes.drop_trace - 1)] = {
          reason, static_cast<u16>(skb.dev ? skb.dev->ifindex : 0), skb.protocol, home->now};
  }
  [[nodiscard]] Host& stack() const { return home->stack(); }
  void call_netdevice_notifiers(netdev_event event, net_device& dev) {
    for (auto const& nb : netdev_chain) nb.notifier_call(*this, event, dev);
  }

 private:
  using remover = void (*)(net&, net_device&);
  template <class Driver>
  static void remove(net& self, net_device& dev) {
    using priv = typename Driver::priv;
    Driver::remove(self, dev);
    netdev_priv<Driver>(dev).~priv();
    self.home->free_device(dev);
  }
  template <class... Ds>
  static constexpr std::array<remover, sizeof...(Ds)> removers(type_list<Ds...>) {
    return {remove<Ds>...};
  }
};

}  // namespace netstack
