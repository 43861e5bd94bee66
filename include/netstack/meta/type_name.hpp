// SPDX-License-Identifier: BSL-1.0
// Decides: the name of a type as text, for describe() and the boot trace: `netstack::udp` becomes "udp".
#pragma once
#include <string_view>

namespace netstack {

namespace detail {
template <class T>
constexpr std::string_view pretty() {
  return __PRETTY_FUNCTION__;
}
}  // namespace detail

/// T's name without the library's own namespace; a template's arguments are kept. Static storage.
template <class T>
constexpr std::string_view type_name() {
  constexpr std::string_view all = detail::pretty<T>();
  constexpr std::size_t from = all.find("T = ") + 4;
  constexpr std::size_t to = all.find_first_of(";]", from);
  std::string_view name = all.substr(from, to - from);
  if (name.starts_with("netstack::")) name.remove_prefix(10);
  return name;
}

}  // namespace netstack
