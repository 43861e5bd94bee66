// SPDX-License-Identifier: BSL-1.0
// Proves base/counter.hpp on one thread; tests/threads/counter.cpp has the readers.
#include "netstack/base/counter.hpp"

#include <type_traits>

#include "support/catch.hpp"

using namespace netstack;

TEST_CASE("a counter starts at zero and adds", "[counter]") {
  counter c;
  CHECK(c.read() == 0);
  c++;
  ++c;
  c += 40;
  CHECK(c.read() == 42);
  c += 0xffffffff;
  CHECK(c.read() == 42 + u64{0xffffffff});
  c += ~u64{0} - c.read();
  c++;  // a MIB counter wraps
  CHECK(c.read() == 0);
}

TEST_CASE("an array of counters is as dense as one of numbers", "[counter]") {
  STATIC_REQUIRE(sizeof(counter[7]) == 7 * sizeof(u64));
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<counter>);
  counter many[7];
  many[3] += 5;
  CHECK(many[2].read() == 0);
  CHECK(many[3].read() == 5);
  CHECK(many[4].read() == 0);
}
