// SPDX-License-Identifier: BSL-1.0
// Decides: how the descriptors of transports and address families become static tables: proto_list with its numbers,
// inetsw by socket type, net_families, file_systems. [S25] [S88] [S107] [S109] [S110]
// Linux: net/core/sock.c (proto_register), net/ipv4/af_inet.c (inet_register_protosw), net/socket.c (sock_register)
#pragma once
#include <span>

#include "netstack/core/sockaddr.hpp"
#include "netstack/core/sockopt.hpp"
#include "netstack/registry/inet_protosw.hpp"
#include "netstack/registry/net_proto_family.hpp"
#include "netstack/stack/tables.hpp"

namespace netstack::tables {

struct protos {
  template <class Net>
  using entry = proto<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template protos<Net>; }) return M::template protos<Net>;
    return {};
  }
};
struct inetsw {
  template <class Net>
  using entry = inet_protosw<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template inetsw<Net>; }) return M::template inetsw<Net>;
    return {};
  }
};
struct families {
  template <class Net>
  using entry = net_proto_family<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template families<Net>; }) return M::template families<Net>;
    return {};
  }
};
struct file_systems {
  template <class Net>
  using entry = file_system_type;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::file_systems; }) return M::file_systems;
    return {};
  }
};

/// inetsw[type]: the rows of one socket type, in the order in which socket() looks at them.
template <class Net, std::size_t N>
struct inetsw_table {
  std::array<inet_protosw<Net>, N> rows{};
  std::array<u8, sock_type::max + 1> first{};
  [[nodiscard]] constexpr std::span<inet_protosw<Net> const> operator[](u32 type) const {
    return {rows.data() + first[type], static_cast<std::size_t>(first[type + 1] - first[type])};
  }
};

/// Permanent rows first, so that nothing can override them; then the others, the latest first; a wildcard last.
template <class Net, class Modules>
constexpr auto resolve_inetsw() {
  constexpr auto listed = collect<inetsw, Net>(Modules{});
  constexpr std::size_t n = listed.size();
  constexpr auto rank = [](inet_protosw<Net> const& sw) {
    return (sw.protocol == 0 ? 2 : 0) + ((sw.flags & protosw_flag::permanent) != 0 ? 0 : 1);
  };
  std::array<inet_protosw<Net>, n> ordered{};
  [[maybe_unused]] std::size_t at = 0;
  for (auto const& sw : listed)
    if (sw.flags & protosw_flag::permanent) ordered[at++] = sw;
  for (std::size_t i = n; i-- > 0;)
    if (!(listed[i].flags & protosw_flag::permanent)) ordered[at++] = listed[i];
  inetsw_table<Net, n> table{
      .rows = sorted(ordered, [&](auto const& a,
                                  auto const& b) { return a.type != b.type ? a.type < b.type : rank(a) < rank(b); }),
      .first = {}};
  for (u32 type = 0; type <= sock_type::max; ++type)
    for (auto const& sw : table.rows) table.first[type] = static_cast<u8>(table.first[type] + (sw.type < type));
  return table;
}

/// net_families[family]: null for an unknown one.
template <class Net, std::size_t N>
struct net_families_table {
  std::array<u8, af::max> index{};  ///< 0: none; else row + 1
  std::array<net_proto_family<Net>, N> rows{};
  [[nodiscard]] constexpr net_proto_family<Net> const* operator[](u32 family) const {
    return family < af::max && index[family] ? &rows[index[family] - 1u] : nullptr;
  }
};

template <class Net, class Modules>
constexpr auto resolve_net_families() {
  constexpr auto all = collect<families, Net>(Modules{});
  net_families_table<Net, all.size()> table{.index = {}, .rows = all};
  for (std::size_t i = 0; i < all.size(); ++i) table.index[all[i].family] = static_cast<u8>(i + 1);
  return table;
}

}  // namespace netstack::tables
