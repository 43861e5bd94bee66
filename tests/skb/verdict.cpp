// SPDX-License-Identifier: BSL-1.0
// What a handler can say.
#include "netstack/skb/verdict.hpp"

#include <array>

#include "support/catch.hpp"

using namespace netstack;

TEST_CASE("a verdict is exactly one thing, and carries its value") {
  constexpr auto reason = static_cast<drop_reason>(513);
  constexpr std::array all{verdict::kept(), verdict::consumed(), verdict::free(reason), verdict::resubmit(41)};
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto const v = all[i];
    CHECK(v.is_kept() + v.is_consumed() + v.is_drop() + v.is_resubmit() == 1);
    for (std::size_t j = 0; j < all.size(); ++j) CHECK((v == all[j]) == (i == j));
  }
  STATIC_REQUIRE(verdict::free(reason).reason() == reason);
  STATIC_REQUIRE(verdict::resubmit(255).protocol() == 255);
  STATIC_REQUIRE_FALSE(verdict::free(reason) == verdict::free(drop_reason{}));
  STATIC_REQUIRE(sizeof(verdict) <= sizeof(void*));  // returned in a register
}
