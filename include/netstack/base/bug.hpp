// SPDX-License-Identifier: BSL-1.0
// Decides: what a broken invariant of the program (never of a packet) does. BUG_ON ends the process with one line;
// WARN_ON_ONCE would need mutable static state, so the flag is the caller's (principle 6: no mutable static).
// Linux: include/asm-generic/bug.h
#pragma once
#include <cstdio>
#include <cstdlib>

#include "netstack/base/config.hpp"

namespace netstack {

namespace detail {
/// Where a check stands: std::source_location, which clang 14 lacks.
struct code_site {
  char const* file;
  int line;
  char const* function;
  static constexpr code_site current(char const* file = __builtin_FILE(), int line = __builtin_LINE(),
                                     char const* function = __builtin_FUNCTION()) {
    return {file, line, function};
  }
};

// Scalars, not a code_site: they stay in registers until the branch is taken, so an inlined check costs one compare.
[[noreturn]] NETSTACK_COLD inline void bug(char const* what, char const* file, int line, char const* function) {
  std::fprintf(stderr, "netstack: BUG: %s at %s:%d (%s)\n", what, file, line, function);
  std::abort();
}
NETSTACK_COLD inline void warn(char const* what, code_site at) {
  std::fprintf(stderr, "netstack: WARNING: %s at %s:%d (%s)\n", what, at.file, at.line, at.function);
}
}  // namespace detail

/// Ends the process when `broken`: for programmer error only; a bad packet is a drop_reason, a bad argument a result.
NETSTACK_INLINE constexpr void BUG_ON(bool broken, char const* what = "invariant broken",
                                      detail::code_site at = detail::code_site::current()) {
  if (broken) [[unlikely]]
    detail::bug(what, at.file, at.line, at.function);
}

/// Prints one line the first time `broken` holds for this `once` flag; returns `broken`.
NETSTACK_INLINE bool WARN_ON_ONCE(bool broken, bool& once, char const* what = "unexpected",
                                  detail::code_site at = detail::code_site::current()) {
  if (broken && !once) [[unlikely]] {
    once = true;
    detail::warn(what, at);
  }
  return broken;
}

}  // namespace netstack
