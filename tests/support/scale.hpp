// SPDX-License-Identifier: BSL-1.0
// Decides: how much a test of endurance does: what CI has time for, or with NETSTACK_FULL=1 all that was promised:
// floods of 100,000 pings, and 10,000,000 packets through each driver.
#pragma once
#include <cstdlib>
#include <string>

#include "netstack/base/asan.hpp"
#include "netstack/base/config.hpp"

namespace netstack::test {

inline bool full_scale() {
  char const* const full = std::getenv("NETSTACK_FULL");
  return full && std::string(full) == "1";
}
/// Packets between two devices.
inline u64 many_packets() { return full_scale() ? 10'000'000 : asan_enabled ? 30'000 : 1'000'000; }
/// A flood of pings, for ping's -c.
inline std::string many_pings() { return full_scale() ? "100000" : "10000"; }

}  // namespace netstack::test
