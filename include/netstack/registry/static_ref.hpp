// SPDX-License-Identifier: BSL-1.0
// Decides: how one descriptor names another: `.prot = udp_prot<Net>`. A pointer would have to be written with `&`,
// whose lookup completes Net (a class argument of the operand's type), and descriptors are read before Net is complete.
#pragma once
#include <memory>

namespace netstack {

/// A reference to a constant of static storage; may be empty.
template <class T>
class static_ref {
  T const* target_ = nullptr;

 public:
  constexpr static_ref() = default;
  constexpr static_ref(T const& target) : target_(std::addressof(target)) {}
  static_ref(T const&&) = delete;

  constexpr explicit operator bool() const { return target_ != nullptr; }
  constexpr T const& operator*() const { return *target_; }
  constexpr T const* operator->() const { return target_; }
  [[nodiscard]] constexpr T const* get() const { return target_; }
};

}  // namespace netstack
