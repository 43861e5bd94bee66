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
struct expand_preset {
  template <class T>
  constexpr auto operator()(T t) const {
    if constexpr (requires { typename T::type::modules; })
      return hana::flatten(hana::transform(as_types(typename T::type::modules{}), expand_preset{}));
    else
      return hana::make_tuple(t);
  }
};

template <class... Elements>
using expanded = decltype(hana::flatten(hana::transform(hana::tuple_t<Elements...>, expand_preset{})));

template <class List>
struct find_config;
template <class... Ts>
struct find_config<type_list<Ts...>> {
  static constexpr config value = [] {
    config c{};
    (
        [&] {
          if constexpr (is_sizes<Ts>) c = Ts::value;
        }(),
        ...);
    return c;
  }();
};

}  // namespace detail

/// The elements of a composition's list with presets expanded, sizes<…> included.
template <class... Elements>
using elements_of = list_of<detail::expanded<Elements...>>;

/// The modules proper.
template <class... Elements>
using modules_of =
    list_of<decltype(hana::filter(std::declval<detail::expanded<Elements...>>(), detail::is_module_type{}))>;

/// Position of M in the list; the list's size if it is not there.
template <class M, class List>
inline constexpr std::size_t index_of = 0;
template <class M, class... Ms>
inline constexpr std::size_t index_of<M, type_list<Ms...>> = [] {
  std::size_t i = 0;
  (void)((std::is_same_v<M, Ms> ? true : (++i, false)) || ...);
  return i;
}();

template <class M, class List>
inline constexpr bool contains = index_of<M, List> < List::size;

}  // namespace netstack
