// SPDX-License-Identifier: BSL-1.0
// Decides: how the arrays of all modules become one. A kind names a descriptor type (`entry`) and where a module keeps
// its array of them (`of`, empty if it has none); everything else works on values, so that a module more costs the
// compiler one small function for each kind and no types. [S2] [S81]
#pragma once
#include <array>
#include <cstddef>

#include "netstack/stack/modules.hpp"

namespace netstack::tables {

/// A module's array of one kind, where the module keeps it. Iterators are pointers: others would look their operators
/// up in Net, which would complete it, and the tables are checked before it is.
template <class T>
class entries {
  T const* first_ = nullptr;
  std::size_t size_ = 0;

 public:
  constexpr entries() = default;
  template <std::size_t N>
  constexpr entries(std::array<T, N> const& array) : first_(array.data()), size_(N) {}
  [[nodiscard]] constexpr T const* begin() const { return first_; }
  [[nodiscard]] constexpr T const* end() const { return first_ + size_; }
  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] constexpr T const& operator[](std::size_t i) const { return first_[i]; }
};

/// Each module's array of one kind.
template <class Kind, class Net, class Modules>
inline constexpr std::array<entries<typename Kind::template entry<Net>>, 0> parts{};
template <class Kind, class Net, class... Ms>
inline constexpr std::array<entries<typename Kind::template entry<Net>>, sizeof...(Ms)>
    parts<Kind, Net, type_list<Ms...>>{Kind::template of<Ms, Net>()...};

/// How many entries the first n modules have.
template <class Kind, class Net, class Modules>
constexpr std::size_t count_of(std::size_t n = Modules::size) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) count += parts<Kind, Net, Modules>[i].size();
  return count;
}

/// All entries of one kind, in list order.
template <class Kind, class Net, class Modules>
constexpr auto collect(Modules) {
  std::array<typename Kind::template entry<Net>, count_of<Kind, Net, Modules>()> out{};
  [[maybe_unused]] std::size_t at = 0;
  for (auto const& part : parts<Kind, Net, Modules>)
    for (auto const& entry : part) out[at++] = entry;
  return out;
}

/// Position in collect() of M's first entry.
template <class Kind, class Net, class M, class Modules>
constexpr std::size_t first_of(Modules) {
  return count_of<Kind, Net, Modules>(index_of<M, Modules>);
}

/// Which module each element of collect() came from, by position in the list.
template <class Kind, class Net, class Modules>
constexpr auto owners(Modules) {
  std::array<std::size_t, count_of<Kind, Net, Modules>()> out{};
  [[maybe_unused]] std::size_t at = 0;
  for (std::size_t module = 0; module < Modules::size; ++module)
    for (std::size_t i = 0; i < parts<Kind, Net, Modules>[module].size(); ++i) out[at++] = module;
  return out;
}

}  // namespace netstack::tables
