// SPDX-License-Identifier: BSL-1.0
// Decides: how a table's row names a member of a member: a chain of pointers to members and array indices, walked from
// an object inwards. The steps are arguments, not template arguments, so that hundreds of rows (sysctl, MIBs) share the
// few functions that differ in type.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

namespace netstack {

template <class T>
constexpr T& member_at(T& object) {
  return object;
}
template <class T, class C, class F, class... Rest>
constexpr auto& member_at(T& object, F C::*member, Rest... rest) {
  return member_at(object.*member, rest...);
}
template <class T, class... Rest>
constexpr auto& member_at(T& array, std::size_t index, Rest... rest) {
  return member_at(array[index], rest...);
}

namespace detail {
template <class C, class F>
std::type_identity<C> member_owner_of(F C::*);
}  // namespace detail

/// The class of which First is a member.
template <auto First>
using member_owner = typename decltype(detail::member_owner_of(First))::type;

/// The type, without const, of what the chain leads to.
template <class T, auto... Chain>
using member_type = std::remove_cvref_t<decltype(member_at(std::declval<T&>(), Chain...))>;

}  // namespace netstack
