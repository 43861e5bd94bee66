// SPDX-License-Identifier: BSL-1.0
// Decides: how a name travels as a template argument.
#pragma once
#include <cstddef>
#include <string_view>

namespace netstack {

template <std::size_t N>
struct fixed_string {
  char text[N]{};
  constexpr fixed_string(char const (&s)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = s[i];
  }
  [[nodiscard]] constexpr std::string_view view() const { return {text, N - 1}; }
};

}  // namespace netstack
