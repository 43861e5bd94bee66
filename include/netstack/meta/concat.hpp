// SPDX-License-Identifier: BSL-1.0
// Decides: how the constant arrays of many modules become one.
#pragma once
#include <array>
#include <cstddef>

namespace netstack {

/// {a..., b..., c...}: the arrays' elements in order, as one array of T. T must be default-constructible.
template <class T, std::size_t... N>
constexpr std::array<T, (N + ... + 0)> concat(std::array<T, N> const&... arrays) {
  std::array<T, (N + ... + 0)> out{};
  std::size_t at = 0;
  auto append = [&](auto const& array) {
    for (auto const& element : array) out[at++] = element;
  };
  (append(arrays), ...);
  return out;
}

/// Stable insertion sort: std::stable_sort is not constexpr in C++20, and entries that compare equal keep list order.
template <class T, std::size_t N, class Less>
constexpr std::array<T, N> sorted(std::array<T, N> in, Less less) {
  for (std::size_t i = 1; i < N; ++i)
    for (std::size_t j = i; j > 0 && less(in[j], in[j - 1]); --j) {
      T tmp = in[j];
      in[j] = in[j - 1];
      in[j - 1] = tmp;
    }
  return in;
}

}  // namespace netstack
