// SPDX-License-Identifier: BSL-1.0
// Proves base/result.hpp: a value or an errno, in constant expressions too, and Linux's spelling of both.
#include "netstack/base/result.hpp"

#include <cerrno>
#include <string>

#include "support/frame.hpp"

using namespace netstack;

namespace {

constexpr result<int> half(int n) {
  if (n % 2 != 0) return failure{std::errc::invalid_argument};
  return n / 2;
}
constexpr result<> only_even(int n) {
  auto const r = half(n);
  if (!r) return failure{r.error()};
  return {};
}

}  // namespace

TEST_CASE("a result holds a value or an error", "[result]") {
  CHECK_BOTH(half(4).has_value() && *half(4) == 2 && half(4).value() == 2);
  CHECK_BOTH(!half(3) && half(3).error() == std::errc::invalid_argument);
  CHECK_BOTH(half(3).value_or(-1) == -1 && half(4).value_or(-1) == 2);
  CHECK_BOTH(bool(only_even(2)) && !only_even(1) && only_even(1).error() == std::errc::invalid_argument);
  result<std::string> text{std::string{"eth0"}};
  text->push_back('!');
  CHECK(*text == "eth0!");
}

TEST_CASE("to_errno is what a system call would return", "[result]") {
  CHECK_BOTH(to_errno(half(4)) == 2);
  CHECK_BOTH(to_errno(half(3)) == -EINVAL);
  CHECK_BOTH(to_errno(only_even(2)) == 0);
  CHECK_BOTH(to_errno(only_even(1)) == -EINVAL);
  CHECK_BOTH(to_errno(result<u64>{u64{1} << 40}) == 1LL << 40);
}
