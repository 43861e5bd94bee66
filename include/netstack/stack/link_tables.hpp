// SPDX-License-Identifier: BSL-1.0
// Decides: how offloads, link kinds and congestion control algorithms become tables.
#pragma once
#include <string_view>

#include "netstack/registry/offload.hpp"
#include "netstack/registry/rtnl_link_ops.hpp"
#include "netstack/registry/tcp_congestion_ops.hpp"
#include "netstack/stack/tables.hpp"

namespace netstack::tables {

struct packet_offloads {
  template <class Net>
  using entry = packet_offload<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template packet_offloads<Net>; }) return M::template packet_offloads<Net>;
    return {};
  }
};
struct net_offloads {
  template <class Net>
  using entry = net_offload<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template net_offloads<Net>; }) return M::template net_offloads<Net>;
    return {};
  }
};
struct rtnl_links {
  template <class Net>
  using entry = rtnl_link_ops<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template rtnl_link<Net>; }) return M::template rtnl_link<Net>;
    return {};
  }
};
struct tcp_congestion {
  template <class Net>
  using entry = tcp_congestion_ops<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template tcp_congestion<Net>; }) return M::template tcp_congestion<Net>;
    return {};
  }
};
/// inet6_add_protocol's twin of net_protocols.
struct inet6_protocols {
  template <class Net>
  using entry = net_protocol<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template inet6_protocols<Net>; }) return M::template inet6_protocols<Net>;
    return {};
  }
};

/// By ascending priority, as dev_add_offload keeps its list.
template <class Net, class Modules>
constexpr auto resolve_packet_offloads() {
  return netstack::sorted(collect<packet_offloads, Net>(Modules{}),
                          [](auto const& a, auto const& b) { return a.priority < b.priority; });
}

/// inet_offloads: O(1) by protocol number.
template <class Net, std::size_t N>
struct inet_offloads_table {
  std::array<u8, 256> index{};  ///< 0: none; else row + 1
  std::array<net_offload<Net>, N> rows{};
  [[nodiscard]] constexpr net_offload<Net> const* operator[](u8 protocol) const {
    return index[protocol] ? &rows[index[protocol] - 1u] : nullptr;
  }
};
template <class Net, class Modules>
constexpr auto resolve_inet_offloads() {
  constexpr auto all = collect<net_offloads, Net>(Modules{});
  inet_offloads_table<Net, all.size()> table{.index = {}, .rows = all};
  for (std::size_t i = 0; i < all.size(); ++i) table.index[all[i].protocol] = static_cast<u8>(i + 1);
  return table;
}

template <class Net, class Modules>
constexpr auto resolve_inet6_protos() {
  constexpr auto all = collect<inet6_protocols, Net>(Modules{});
  inet_protos_table<Net, all.size()> table{.index = {}, .rows = all};
  for (std::size_t i = 0; i < all.size(); ++i) table.index[all[i].protocol] = static_cast<u8>(i + 1);
  return table;
}

/// Sorted by name; `first` is where the default went: the first of the list, before one that is only a fallback.
template <class Net, std::size_t N>
struct congestion_table {
  std::array<tcp_congestion_ops<Net>, N> rows{};
  std::size_t first = 0;
  [[nodiscard]] constexpr tcp_congestion_ops<Net> const* find(std::string_view name) const {
    for (auto const& row : rows)
      if (row.name == name) return &row;
    return nullptr;
  }
  [[nodiscard]] constexpr tcp_congestion_ops<Net> const* by_default() const { return N ? &rows[first] : nullptr; }
};
template <class Net, class Modules>
constexpr auto resolve_tcp_congestion() {
  constexpr auto listed = collect<tcp_congestion, Net>(Modules{});
  congestion_table<Net, listed.size()> table{.rows = netstack::sorted(listed, [](auto const& a, auto const& b) {
                                               return std::string_view(a.name) < std::string_view(b.name);
                                             })};
  auto const* chosen = listed.begin();
  for (auto const& row : listed)
    if (chosen->fallback && !row.fallback) chosen = &row;
  while (!listed.empty() && std::string_view(table.rows[table.first].name) != chosen->name) ++table.first;
  return table;
}

}  // namespace netstack::tables
