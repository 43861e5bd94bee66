// SPDX-License-Identifier: BSL-1.0
// Decides: how a table keeps a bit for each of very many places: in plain memory that nobody clears, since it is
// zeroed. Linux: include/linux/bitmap.h (DECLARE_BITMAP), include/linux/bitops.h (test_bit)
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

template <std::size_t N>
struct bit_row {
  u64 words[(N + 63) / 64];
  [[nodiscard]] bool test(u32 at) const { return (words[at / 64] >> at % 64 & 1) != 0; }
  void set(u32 at, bool on) {
    u64 const bit = u64{1} << at % 64;
    words[at / 64] = (words[at / 64] & ~bit) | (on ? bit : 0);
  }
};

}  // namespace netstack
