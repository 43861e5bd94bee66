// SPDX-License-Identifier: BSL-1.0
// Decides: which parts of Boost.Hana the registry uses, and spells them once. The only file that includes Hana:
// Hana computes on types, constexpr loops compute on values, and assertions stand outside both.
#pragma once
#include <boost/hana/filter.hpp>
#include <boost/hana/tuple.hpp>
#include <boost/hana/type.hpp>
#include <boost/hana/unpack.hpp>

namespace netstack {

namespace hana = boost::hana;

/// A list of types: what a composition is written as, and what Hana's results are turned back into.
template <class... Ts>
struct type_list {
  static constexpr std::size_t size = sizeof...(Ts);
};

/// One list after the other; for decltype. Cheaper than Hana's concat, which makes tuples of the types.
template <class... As, class... Bs>
type_list<As..., Bs...> operator+(type_list<As...>, type_list<Bs...>);

namespace detail {
struct to_list {
  template <class... Ts>
  constexpr auto operator()(Ts...) const -> type_list<typename Ts::type...> {
    return {};
  }
};
}  // namespace detail

/// hana::tuple of hana::type → type_list.
template <class Tuple>
using list_of = decltype(hana::unpack(std::declval<Tuple>(), detail::to_list{}));

}  // namespace netstack
