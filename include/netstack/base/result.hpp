// SPDX-License-Identifier: BSL-1.0
// Decides: how a control operation answers: a value, or a std::errc with Linux's errno. std::expected where the library
// has it; else the subset below. No exceptions [S181]. The data path does not use it: a packet gets a verdict.
#pragma once
#include <system_error>
#include <type_traits>
#include <utility>
#include <version>
#if defined(__cpp_lib_expected)
#include <expected>
#endif

#include "netstack/base/bug.hpp"

namespace netstack {

#if defined(__cpp_lib_expected)
template <class T = void>
using result = std::expected<T, std::errc>;
using failure = std::unexpected<std::errc>;
#else
/// The error half of a result: `return failure{std::errc::invalid_argument};`
struct failure {
  std::errc code;
};

template <class T = void>
class [[nodiscard]] result {
  T value_{};
  std::errc error_{};

 public:
  constexpr result(T value) : value_(std::move(value)) {}
  constexpr result(failure f) : error_(f.code) {}
  [[nodiscard]] constexpr bool has_value() const { return error_ == std::errc{}; }
  constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr std::errc error() const { return error_; }
  constexpr T& operator*() { return value_; }
  constexpr T const& operator*() const { return value_; }
  constexpr T* operator->() { return &value_; }
  constexpr T const* operator->() const { return &value_; }
  constexpr T& value() { return BUG_ON(!has_value(), "value() of a failed result"), value_; }
  constexpr T const& value() const { return BUG_ON(!has_value(), "value() of a failed result"), value_; }
  template <class U>
  constexpr T value_or(U&& other) const {
    return has_value() ? value_ : static_cast<T>(std::forward<U>(other));
  }
};

template <>
class [[nodiscard]] result<void> {
  std::errc error_{};

 public:
  constexpr result() = default;
  constexpr result(failure f) : error_(f.code) {}
  [[nodiscard]] constexpr bool has_value() const { return error_ == std::errc{}; }
  constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr std::errc error() const { return error_; }
  constexpr void value() const { BUG_ON(!has_value(), "value() of a failed result"); }
};
#endif

/// Linux's spelling of a result: the value (0 for void), or the negative errno. For the POSIX-shaped wrapper only.
constexpr int to_errno(result<void> const& r) { return r ? 0 : -static_cast<int>(r.error()); }
template <class T>
requires std::is_integral_v<T>
constexpr auto to_errno(result<T> const& r) {
  using wide = std::conditional_t<(sizeof(T) > 4), long long, long>;
  return r ? static_cast<wide>(*r) : -static_cast<wide>(static_cast<int>(r.error()));
}

}  // namespace netstack
