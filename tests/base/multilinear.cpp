// SPDX-License-Identifier: BSL-1.0
// Proves base/multilinear.hpp: over the keys, any two inputs meet as rarely as the paper says, also those that a
// stranger would choose, and with one key what networks really have fills the slots of a table evenly.
#include "netstack/base/multilinear.hpp"

#include <array>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;

namespace {
multilinear_key key_of(std::mt19937_64& rng) { return {{rng(), rng(), rng(), rng()}}; }
}  // namespace

TEST_CASE("two inputs meet in n bits once in 2^n keys, whatever they are", "[multilinear]") {
  using words = std::array<u32, 3>;
  struct {
    words a, b;
  } const pairs[]{{{0, 0, 0}, {0, 0, 1}},
                  {{1, 2, 3}, {1, 3, 2}},
                  {{0xffff'ffff, 0, 0}, {0, 0, 0xffff'ffff}},
                  {{0x0a00'0001, 0x0a00'0002, 80u << 16}, {0x0a00'0001, 0x0a00'0002, 80u << 16 | 0x8000}},
                  {{7, 7, 7}, {0x8000'0007, 0x8000'0007, 0x8000'0007}}};
  std::mt19937_64 rng{1};
  constexpr u32 keys = 64 * 1024, mask = 255;
  for (auto const& [a, b] : pairs) {
    u32 met = 0;
    for (u32 i = 0; i < keys; ++i) {
      auto const key = key_of(rng);
      met += ((multilinear_3u32(a[0], a[1], a[2], key) ^ multilinear_3u32(b[0], b[1], b[2], key)) & mask) == 0;
    }
    CHECK(met > keys / 256 * 3 / 4);
    CHECK(met < keys / 256 * 5 / 4);
  }
}

TEST_CASE("a client's ports, and a network's clients, fill the slots evenly", "[multilinear]") {
  std::mt19937_64 rng{2};
  constexpr u32 slots = 1024, flows = 64 * slots;
  for (int seed = 0; seed < 20; ++seed) {
    auto const key = key_of(rng);
    std::vector<u32> by_port(slots), by_address(slots);
    for (u32 i = 0; i < flows; ++i) {
      ++by_port[multilinear_3u32(0x0200'00c0, 0x0100'00c0, 80u << 16 | i, key) & (slots - 1)];
      ++by_address[multilinear_3u32(0x0200'00c0, 0x0a00'0000 + i, 80u << 16 | 4000, key) & (slots - 1)];
    }
    for (u32 slot = 0; slot < slots; ++slot) {
      REQUIRE(by_port[slot] < 64 * 3);
      REQUIRE(by_address[slot] < 64 * 3);
    }
  }
}
