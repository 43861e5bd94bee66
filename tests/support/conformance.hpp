// SPDX-License-Identifier: BSL-1.0
// Decides: how the conformance cases of a driver appear among Catch2's: each under its name, skipped ones counted.
#pragma once
#include <cstdio>

#include "netstack/testing/driver_conformance.hpp"
#include "support/catch.hpp"

namespace netstack::test {

/// Runs every case on the rig whose name starts with `prefix`; `least`: how many must not be skipped.
template <class Rig>
void check_conformance(u32 least, std::string_view prefix = {}) {
  u32 passed = 0;
  for (auto const& c : testing::driver_conformance<Rig>()) {
    if (!std::string_view(c.name).starts_with(prefix)) continue;
    auto const r = testing::run(c);
    INFO(c.name << ": " << r.text);
    CHECK_FALSE(r.is(testing::outcome::failed));
    passed += r.is(testing::outcome::passed);
    if (r.is(testing::outcome::skipped))
      std::printf("%s: %s not applicable: %s\n", Rig::driver::name, c.name, r.text.c_str());
  }
  std::printf("%s: %u of %zu conformance cases\n", Rig::driver::name, passed,
              testing::driver_conformance<Rig>().size());
  CHECK(passed >= least);
}

}  // namespace netstack::test
