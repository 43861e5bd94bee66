// SPDX-License-Identifier: BSL-1.0
// Decides: which modules a composition consists of: presets expanded, the always-present floor (loopback, net_core,
// sockets) in front, sizes<…> taken out. Computed on types with Hana; everything on values is tables.hpp.
#pragma once
#include <utility>

#include "netstack/base/sizes.hpp"
#include "netstack/meta/hana.hpp"
#include "netstack/registry/module.hpp"

namespace netstack {

namespace detail {

template <class T>
inline constexpr bool is_sizes = false;
template <config C>
inline constexpr bool is_sizes<sizes<C>> = true;
template <class T>
inline constexpr config stated_config{};
template <config C>
inline constexpr config stated_config<sizes<C>> = C;

template <class... Ts>
constexpr auto as_types(type_list<Ts...>) {
  return hana::tuple_t<Ts...>;
}

struct is_module_type {
  template <class T>
  constexpr auto operator()(T) const {
    return hana::bool_c<!is_sizes<typename T::type>>;
  }
};

/// A preset (`using modules = type_list<…>`) stands for its members, recursively.
template <class T>
struct expanded {
  using type = type_list<T>;
};
template <class... Ts>
auto expand(type_list<Ts...>) -> decltype((type_list<>{} + ... + typename expanded<Ts>::type{}));
template <class T>
requires requires { typename T::modules; }
struct expanded<T> {
  using type = decltype(detail::expand(typename T::modules{}));
};

/// The last sizes<…> of the list, or the defaults.
template <class List>
struct find_config;
template <class... Ts>
struct find_config<type_list<Ts...>> {
  static constexpr config value = [] {
    config c{};
    ((c = is_sizes<Ts> ? stated_config<Ts> : c), ...);
    return c;
  }();
};

}  // namespace detail

/// The elements of a composition's list with presets expanded, sizes<…> included.
template <class... Elements>
using elements_of = decltype(detail::expand(type_list<Elements...>{}));

/// The modules proper.
template <class... Elements>
using modules_of =
    list_of<decltype(hana::filter(detail::as_types(elements_of<Elements...>{}), detail::is_module_type{}))>;

/// Position of M in the list; the list's size if it is not there.
template <class M, class List>
inline constexpr std::size_t index_of = 0;
template <class M, class... Ms>
inline constexpr std::size_t index_of<M, type_list<Ms...>> = [] {
  std::size_t i = 0;
  // The compiler's own predicate: std::is_same_v would be a variable for each pair of modules.
  for (bool const same : {__is_same(M, Ms)..., true}) {
    if (same) break;
    ++i;
  }
  return i;
}();

template <class M, class List>
inline constexpr bool contains = index_of<M, List> < List::size;

}  // namespace netstack
