// SPDX-License-Identifier: BSL-1.0
// Decides: how the modules' sysctls, /proc texts and MIB groups become the stack's static tables: each row together
// with the way to its module's pernet, sorted by path or by Linux's order. A module that is not composed leaves no row.
// [S9] [S23]
#pragma once
#include <string_view>

#include "netstack/meta/concat.hpp"
#include "netstack/registry/proc.hpp"
#include "netstack/registry/snmp.hpp"
#include "netstack/registry/sysctl.hpp"
#include "netstack/stack/collect.hpp"

namespace netstack {

/// A row of Net::ctl_tables or Net::snmp_groups, and where its module keeps its state in a slice.
template <class Net, class Row>
struct bound_row {
  Row row{};
  void* (*pernet)(Net&) = nullptr;
  u16 module = 0;  ///< position of the module in the composition
};

namespace tables {

// The four kinds (collect.hpp). A module declares ctl_tables and snmp as a template on Net or, when no row needs to
// know Net, as a plain member.
struct ctl_tables {
  template <class Net>
  using entry = ctl_table;
  template <class M, class Net>
  static constexpr entries<ctl_table> of() {
    if constexpr (requires { M::ctl_tables.size(); })
      return M::ctl_tables;
    else if constexpr (requires { M::template ctl_tables<Net>; })
      return M::template ctl_tables<Net>;
    else
      return {};
  }
};
struct snmp_groups {
  template <class Net>
  using entry = snmp_group;
  template <class M, class Net>
  static constexpr entries<snmp_group> of() {
    if constexpr (requires { M::snmp.size(); })
      return M::snmp;
    else if constexpr (requires { M::template snmp<Net>; })
      return M::template snmp<Net>;
    else
      return {};
  }
};
struct proc_entries {
  template <class Net>
  using entry = proc_entry<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template proc<Net>; }) return M::template proc<Net>;
    return {};
  }
};
struct sockstat_lines {
  template <class Net>
  using entry = sockstat_line<Net>;
  template <class M, class Net>
  static constexpr entries<entry<Net>> of() {
    if constexpr (requires { M::template sockstat<Net>; }) return M::template sockstat<Net>;
    return {};
  }
};

template <class M, class Net>
void* pernet_of(Net& net) {
  return &net.template generic<M>();
}

template <class Kind, class Net, class... Ms>
constexpr auto bind_rows(type_list<Ms...>) {
  using modules = type_list<Ms...>;
  constexpr std::array<void* (*)(Net&), sizeof...(Ms)> pernet{pernet_of<Ms, Net>...};
  std::array<bound_row<Net, typename Kind::template entry<Net>>, count_of<Kind, Net, modules>()> out{};
  [[maybe_unused]] std::size_t at = 0;
  for (u16 module = 0; module < sizeof...(Ms); ++module)
    for (auto const& row : parts<Kind, Net, modules>[module]) out[at++] = {row, pernet[module], module};
  return out;
}

/// a < b. By hand: std::string_view's comparison costs several times as many constexpr steps.
constexpr bool path_less(char const* a, char const* b) {
  while (*a && *a == *b) ++a, ++b;
  return static_cast<unsigned char>(*a) < static_cast<unsigned char>(*b);
}

/// Calls are qualified: an argument-dependent lookup would complete Net, and the tables are checked before it is.
/// Sorted by path, stable. Merge sort on indices: hundreds of rows must stay within the compilers' constexpr limits.
template <class Row, std::size_t N, class PathOf>
constexpr std::array<Row, N> sorted_by_path(std::array<Row, N> const& in, PathOf path_of) {
  std::array<char const*, N> path{};
  std::array<u16, N> from{}, to{};
  for (std::size_t i = 0; i < N; ++i) path[i] = path_of(in[i]), from[i] = static_cast<u16>(i);
  for (std::size_t run = 1; run < N; run *= 2) {
    for (std::size_t begin = 0; begin < N; begin += 2 * run) {
      std::size_t const middle = begin + run < N ? begin + run : N, end = begin + 2 * run < N ? begin + 2 * run : N;
      std::size_t a = begin, b = middle;
      for (std::size_t k = begin; k < end; ++k) {
        bool const second = a == middle || (b < end && path_less(path[from[b]], path[from[a]]));
        to[k] = second ? from[b++] : from[a++];
      }
    }
    from = to;
  }
  std::array<Row, N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = in[from[i]];
  return out;
}

template <class Net, class Modules>
constexpr auto resolve_ctl_tables() {
  return tables::sorted_by_path(bind_rows<ctl_tables, Net>(Modules{}), [](auto const& r) { return r.row.procname; });
}
template <class Net, class Modules>
constexpr auto resolve_proc_entries() {
  return tables::sorted_by_path(tables::collect<proc_entries, Net>(Modules{}), [](auto const& r) { return r.name; });
}
template <class Net, class Modules>
constexpr auto resolve_snmp_groups() {
  return netstack::sorted(bind_rows<snmp_groups, Net>(Modules{}), [](auto const& a, auto const& b) {
    return a.row.file != b.row.file ? a.row.file < b.row.file : a.row.order < b.row.order;
  });
}
template <class Net, class Modules>
constexpr auto resolve_sockstat() {
  return netstack::sorted(tables::collect<sockstat_lines, Net>(Modules{}),
                          [](auto const& a, auto const& b) { return a.order < b.order; });
}

/// The modules of the first two rows with one path; ~0 twice when every path is claimed once.
struct path_conflict {
  std::size_t first = ~std::size_t{0}, second = ~std::size_t{0};
};
template <class Net, class Modules>
constexpr path_conflict duplicate_ctl_path() {
  constexpr auto rows = resolve_ctl_tables<Net, Modules>();
  for (std::size_t i = 1; i < rows.size(); ++i)
    if (!path_less(rows[i - 1].row.procname, rows[i].row.procname)) return {rows[i - 1].module, rows[i].module};
  return {};
}

/// The same for the names of /proc texts.
template <class Net, class Modules>
constexpr path_conflict duplicate_proc_name() {
  constexpr auto all = tables::collect<proc_entries, Net>(Modules{});
  constexpr auto of = tables::owners<proc_entries, Net>(Modules{});
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j)
      if (!path_less(all[i].name, all[j].name) && !path_less(all[j].name, all[i].name)) return {of[i], of[j]};
  return {};
}

/// Position of `path` among sorted rows; their number if it is not there.
template <class Rows, class PathOf>
std::size_t find_path(Rows const& rows, std::string_view path, PathOf path_of) {
  std::size_t low = 0, high = rows.size();
  while (low < high) {
    std::size_t const middle = (low + high) / 2;
    if (std::string_view(path_of(rows[middle])) < path)
      low = middle + 1;
    else
      high = middle;
  }
  return low < rows.size() && path == path_of(rows[low]) ? low : rows.size();
}

}  // namespace tables

}  // namespace netstack
