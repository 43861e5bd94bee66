// SPDX-License-Identifier: BSL-1.0
// Proves base/byteorder.hpp: numbers lie in memory with the most significant byte first, at any address, and compare as
// numbers.
#include "netstack/base/byteorder.hpp"

#include <cstring>

#include "support/frame.hpp"

using namespace netstack;

namespace {

using bytes2 = std::array<unsigned char, 2>;
using bytes4 = std::array<unsigned char, 4>;
using bytes8 = std::array<unsigned char, 8>;

}  // namespace

TEST_CASE("the most significant byte comes first", "[byteorder]") {
  CHECK_BOTH(support::bytes_of(be16{0x1234}) == bytes2{0x12, 0x34});
  CHECK_BOTH(support::bytes_of(be32{0x12345678U}) == bytes4{0x12, 0x34, 0x56, 0x78});
  CHECK_BOTH(support::bytes_of(be64{0x0123456789abcdefU}) == bytes8{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef});
  CHECK_BOTH(std::bit_cast<be32>(bytes4{0xc0, 0x00, 0x02, 0x01}).host() == 0xc0000201U);
  CHECK_BOTH(be16_to_cpu(cpu_to_be16(0xbeef)) == 0xbeef && be32_to_cpu(cpu_to_be32(0xdeadbeef)) == 0xdeadbeef);
  CHECK_BOTH(be32::from_raw(be32{77U}.raw()) == be32{77U});
}

TEST_CASE("order is that of the numbers, and bit operations act on them", "[byteorder]") {
  CHECK_BOTH(be16{0x00ff} < be16{0x0100});
  CHECK_BOTH(be32{1U} < be32{0x01000000U} && be32{2U} > be32{1U} && be32{2U} >= be32{2U});
  CHECK_BOTH((be16{0x4185} & be16{0x1fff}) == be16{0x0185});
  CHECK_BOTH((be32{0xc0000200U} | be32{0x00000001U}) == be32{0xc0000201U});
  CHECK_BOTH((be16{0xff00} ^ be16{0x0ff0}) == be16{0xf0f0} && ~be16{0x00ff} == be16{0xff00});
  CHECK_BOTH(bool(be16{1}) && !bool(be16{}) && be32{} == be32{0U});
}

TEST_CASE("a field may lie at any address", "[byteorder]") {
  struct header {
    u8 first;
    be32 number;
    be16 last;
  };
  STATIC_REQUIRE(sizeof(header) == 7);
  alignas(8) unsigned char memory[16];
  for (std::size_t at = 0; at < 8; ++at) {
    std::memcpy(memory + at, "\x01\xc0\x00\x02\x01\x12\x34", 7);
    auto const* h = reinterpret_cast<header const*>(memory + at);
    CHECK((h->first == 1 && h->number == be32{0xc0000201U} && h->last.host() == 0x1234));
  }
}

TEST_CASE("a checksum is its two bytes, never swapped", "[byteorder]") {
  CHECK_BOTH(sum16{std::bit_cast<u16>(bytes2{0xab, 0xcd})}.bytes() == bytes2{0xab, 0xcd});
  CHECK_BOTH(sum16{u16{7}}.raw() == 7 && sum16{} == sum16{u16{0}});
}
