// SPDX-License-Identifier: BSL-1.0
// Decides: what all fuzz targets share: an input that is read front to back, and a promise that no input may break.
// A target is one LLVMFuzzerTestOneInput. libFuzzer calls it with what it makes up, replay.cpp with the corpus.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "netstack/base/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(netstack::u8 const* data, std::size_t size);

namespace netstack::fuzz {

/// Ends the program, so that the fuzzer keeps the input.
[[noreturn]] NETSTACK_COLD inline void broken(char const* promise, std::string_view about) {
  std::fprintf(stderr, "fuzz: broken promise: %s %.*s\n", promise, static_cast<int>(about.size()), about.data());
  std::abort();
}
/// What holds whatever the input.
inline void require(bool holds, char const* promise, std::string_view about = "") {
  if (!holds) broken(promise, about);
}

/// Beyond its end an input holds zeros.
class input {
  std::span<u8 const> left_;

 public:
  input(u8 const* data, std::size_t size) : left_(data, size) {}
  [[nodiscard]] bool empty() const { return left_.empty(); }
  std::span<u8 const> take(std::size_t n) {
    auto const taken = left_.first(std::min(n, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  u8 byte() {
    auto const b = take(1);
    return b.empty() ? u8{0} : b[0];
  }
  /// Two bytes, the low one first.
  u16 word() {
    u16 const low = byte();
    return static_cast<u16>(low | byte() << 8);
  }
};

}  // namespace netstack::fuzz
