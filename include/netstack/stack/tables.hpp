// SPDX-License-Identifier: BSL-1.0
// Decides: how the descriptors of all modules become the stack's static tables: for each kind of descriptor, the arrays
// of the modules that have one, concatenated in list order, then sorted or indexed as its users need. [S2] [S81] [S115]
#pragma once
#include "netstack/meta/concat.hpp"
#include "netstack/meta/type_name.hpp"
#include "netstack/registry/drop_reasons.hpp"
#include "netstack/registry/drop_trace.hpp"
#include "netstack/registry/ethtool_ops.hpp"
#include "netstack/registry/icmp_control.hpp"
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/napi_trace.hpp"
#include "netstack/registry/neigh_table.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/registry/netdev_ops.hpp"
#include "netstack/registry/nf_hook.hpp"
#include "netstack/registry/notifier.hpp"
#include "netstack/registry/packet_type.hpp"
#include "netstack/registry/pernet.hpp"
#include "netstack/registry/raw_deliver.hpp"
#include "netstack/registry/rx_flow.hpp"
#include "netstack/registry/rx_handler.hpp"
#include "netstack/registry/snmp.hpp"
#include "netstack/registry/xfrm_policy.hpp"
#include "netstack/stack/collect.hpp"
#include "netstack/wire/eth_p.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack::tables {

// The kinds (collect.hpp).
struct packet_types {
  template <class Net>
  using entry = packet_type<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template packet_types<Net>; }) return M::template packet_types<Net>;
    return {};
  }
};
struct net_protocols {
  template <class Net>
  using entry = net_protocol<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template net_protocols<Net>; }) return M::template net_protocols<Net>;
    return {};
  }
};
struct initcalls {
  template <class Net>
  using entry = initcall<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template initcalls<Net>; }) return M::template initcalls<Net>;
    return {};
  }
};
struct pernet_ops {
  template <class Net>
  using entry = pernet_operations<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template pernet_ops<Net>; }) return M::template pernet_ops<Net>;
    return {};
  }
};
struct notifiers {
  template <class Net>
  using entry = notifier_block<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template notifiers<Net>; }) return M::template notifiers<Net>;
    return {};
  }
};
struct nf_hooks {
  template <class Net>
  using entry = nf_hook_ops<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template nf_hooks<Net>; }) return M::template nf_hooks<Net>;
    return {};
  }
};
struct drop_reasons {
  template <class Net>
  using entry = drop_reason_def<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template drop_reasons<Net>; }) return M::template drop_reasons<Net>;
    return {};
  }
};
struct raw_deliver {
  template <class Net>
  using entry = raw_deliver_ops<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template raw_deliver<Net>; }) return M::template raw_deliver<Net>;
    return {};
  }
};
struct rx_flows {
  template <class Net>
  using entry = rx_flow_ops<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template rx_flows<Net>; }) return M::template rx_flows<Net>;
    return {};
  }
};
struct icmp_handlers {
  template <class Net>
  using entry = icmp_control<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template icmp_handlers<Net>; }) return M::template icmp_handlers<Net>;
    return {};
  }
};
struct xfrm_policies {
  template <class Net>
  using entry = xfrm_policy_ops<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template xfrm_policies<Net>; }) return M::template xfrm_policies<Net>;
    return {};
  }
};
struct neigh_tables {
  template <class Net>
  using entry = neigh_table<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template neigh_tables<Net>; }) return M::template neigh_tables<Net>;
    return {};
  }
};
struct rx_handlers {
  template <class Net>
  using entry = rx_handler<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template rx_handlers<Net>; }) return M::template rx_handlers<Net>;
    return {};
  }
};
struct drop_traces {
  template <class Net>
  using entry = drop_trace<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template drop_traces<Net>; }) return M::template drop_traces<Net>;
    return {};
  }
};
struct napi_traces {
  template <class Net>
  using entry = napi_trace<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template napi_traces<Net>; }) return M::template napi_traces<Net>;
    return {};
  }
};

template <class Net, class Modules, bool Taps>
constexpr auto resolve_packet_types() {
  constexpr auto all = collect<packet_types, Net>(Modules{});
  constexpr auto is_tap = [](auto const& pt) { return pt.type == eth_p::all; };
  constexpr std::size_t n = [&] {
    std::size_t count = 0;
    for (auto const& pt : all) count += is_tap(pt) == Taps;
    return count;
  }();
  std::array<packet_type<Net>, n> out{};
  [[maybe_unused]] std::size_t at = 0;
  for (auto const& pt : all)
    if (is_tap(pt) == Taps) out[at++] = pt;
  return netstack::sorted(out, [](auto const& a, auto const& b) { return a.type < b.type; });
}

/// inet_protos: O(1) by protocol number, without 256 full rows. [S115]
template <class Net, std::size_t N>
struct inet_protos_table {
  std::array<u8, 256> index{};  ///< 0: none; else row + 1
  std::array<net_protocol<Net>, N> rows{};
  [[nodiscard]] constexpr net_protocol<Net> const* operator[](u8 protocol) const {
    return index[protocol] ? &rows[index[protocol] - 1u] : nullptr;
  }
};

template <class Net, class Modules>
constexpr auto resolve_inet_protos() {
  constexpr auto all = collect<net_protocols, Net>(Modules{});
  inet_protos_table<Net, all.size()> table{.index = {}, .rows = all};
  for (std::size_t i = 0; i < all.size(); ++i) table.index[all[i].protocol] = static_cast<u8>(i + 1);
  return table;
}

/// icmp_pointers: by message type. A type that nobody claims has no handler and counts as unknown.
template <class Net, class Modules>
constexpr auto resolve_icmp_pointers() {
  std::array<icmp_control<Net>, nr_icmp_types + 1> out{};
  for (auto const& control : collect<icmp_handlers, Net>(Modules{})) out[control.type] = control;
  return out;
}

template <class Net, class Modules>
constexpr auto resolve_initcalls() {
  return netstack::sorted(collect<initcalls, Net>(Modules{}),
                          [](auto const& a, auto const& b) { return a.level < b.level; });
}

/// Subsystems in list order, then devices in list order. [S14]
template <class Net, class Modules>
constexpr auto resolve_pernet() {
  return netstack::sorted(collect<pernet_ops, Net>(Modules{}),
                          [](auto const& a, auto const& b) { return a.device < b.device; });
}

template <class Net, class Modules>
constexpr auto resolve_notifiers() {
  return netstack::sorted(collect<notifiers, Net>(Modules{}),
                          [](auto const& a, auto const& b) { return a.priority > b.priority; });
}

/// The hooks of one point, by ascending priority.
template <class Net, class Modules, nf_inet Point>
constexpr auto resolve_nf_hooks() {
  constexpr auto all = collect<nf_hooks, Net>(Modules{});
  constexpr std::size_t n = [&] {
    std::size_t count = 0;
    for (auto const& h : all) count += h.hooknum == Point;
    return count;
  }();
  std::array<nf_hook_ops<Net>, n> out{};
  [[maybe_unused]] std::size_t at = 0;
  for (auto const& h : all)
    if (h.hooknum == Point) out[at++] = h;
  return netstack::sorted(out, [](auto const& a, auto const& b) { return a.priority < b.priority; });
}

template <class T>
inline constexpr bool is_driver = std::is_base_of_v<driver, T>;
struct keep_drivers {
  template <class T>
  constexpr auto operator()(T) const {
    return hana::bool_c<is_driver<typename T::type>>;
  }
};
template <class Modules>
using drivers_of = list_of<decltype(hana::filter(detail::as_types(Modules{}), keep_drivers{}))>;

template <class Net, class... Ds>
constexpr auto resolve_netdev_ops(type_list<Ds...>) {
  return std::array<net_device_ops<Net>, sizeof...(Ds)>{Ds::template netdev_ops<Net>...};
}
template <class Net, class D>
constexpr ethtool_ops<Net> ethtool_of() {
  if constexpr (requires { D::template ethtool<Net>; })
    return D::template ethtool<Net>;
  else
    return {};
}
template <class Net, class... Ds>
constexpr auto resolve_ethtool_ops(type_list<Ds...>) {
  return std::array<ethtool_ops<Net>, sizeof...(Ds)>{ethtool_of<Net, Ds>()...};
}
/// The row of a driver's devices in both.
template <class Driver, class... Ds>
constexpr u8 driver_index(type_list<Ds...> drivers) {
  constexpr std::size_t row = index_of<Driver, decltype(drivers)>;
  static_assert(row < sizeof...(Ds), "netstack: a device's driver is not in the composition's list: add it");
  return static_cast<u8>(row);
}
template <class... Ds>
constexpr auto driver_names(type_list<Ds...>) {
  return std::array<char const*, sizeof...(Ds)>{Ds::name...};
}

/// Names and MIB counters by number: the library's own reasons, then those of users' modules in list order.
template <class M>
inline constexpr bool has_own_reasons = requires {
  typename M::own_drop_reasons;
};

template <class M>
struct own_reasons {
  using type = void;
};
template <class M>
requires has_own_reasons<M>
struct own_reasons<M> {
  using type = typename M::own_drop_reasons;
};

template <class Net, class Modules>
struct drop_table;
template <class Net, class... Ms>
struct drop_table<Net, type_list<Ms...>> {
  using reasons = type_list<typename own_reasons<Ms>::type...>;
  static constexpr std::array<bool, sizeof...(Ms)> has_own{has_own_reasons<Ms>...};
  static constexpr auto const& defs = parts<drop_reasons, Net, type_list<Ms...>>;
  static constexpr std::size_t library = static_cast<std::size_t>(drop_reason::count);

  /// Where the reasons of the module at this position start.
  static constexpr std::size_t first_of(std::size_t module) {
    std::size_t at = library;
    for (std::size_t i = 0; i < module; ++i) at += has_own[i] ? defs[i].size() : 0;
    return at;
  }
  static constexpr std::size_t size = first_of(sizeof...(Ms));

  static constexpr std::array<drop_reason_def<Net>, size> rows = [] {
    std::array<drop_reason_def<Net>, size> out{};
    std::size_t at = library;
    for (std::size_t module = 0; module < sizeof...(Ms); ++module)
      for (auto const& def : defs[module]) {
        std::size_t const i = has_own[module] ? at++ : static_cast<std::size_t>(def.reason);
        out[i] = def;
        out[i].reason = static_cast<drop_reason>(i);
      }
    return out;
  }();

  /// Number of a reason of a module that brings its own; not_specified if it has no row.
  template <class Own>
  static constexpr drop_reason number(Own reason) {
    constexpr std::size_t module = index_of<Own, reasons>;
    static_assert(module < sizeof...(Ms), "netstack: a drop reason's module is not in the list: add it");
    auto const i = static_cast<std::size_t>(reason);
    return i < defs[module].size() ? static_cast<drop_reason>(first_of(module) + i) : drop_reason::not_specified;
  }
};

}  // namespace netstack::tables
