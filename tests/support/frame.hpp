// SPDX-License-Identifier: BSL-1.0
// Decides: how the wire tests read headers out of frames that are written down as bytes: in a constant expression
// (header_at), and at run time through a pointer at every alignment (same_at_any_address). CHECK_BOTH has one condition
// checked by the compiler and again by the processor.
#pragma once
#include <array>
#include <bit>
#include <cstring>

#include "support/catch.hpp"

#define CHECK_BOTH(...)         \
  do {                          \
    static_assert(__VA_ARGS__); \
    CHECK((__VA_ARGS__));       \
  } while (false)

namespace support {

/// The header of type H that starts at `offset`.
template <class H, std::size_t N>
constexpr H header_at(std::array<unsigned char, N> const& frame, std::size_t offset) {
  std::array<unsigned char, sizeof(H)> bytes{};
  for (std::size_t i = 0; i < sizeof(H); ++i) bytes[i] = frame.at(offset + i);
  return std::bit_cast<H>(bytes);
}

/// `header` with one byte after another, as it would be sent.
template <class H>
constexpr std::array<unsigned char, sizeof(H)> bytes_of(H const& header) {
  return std::bit_cast<std::array<unsigned char, sizeof(H)>>(header);
}

/// Lays the frame on eight consecutive addresses and reads the header in place, as a driver's frame is read.
template <class H, std::size_t N>
bool same_at_any_address(std::array<unsigned char, N> const& frame, std::size_t offset) {
  bool same = true;
  for (std::size_t align = 0; align < 8; ++align) {
    alignas(8) unsigned char memory[N + 8]{};
    std::memcpy(memory + align, frame.data(), N);
    auto const* header = reinterpret_cast<H const*>(memory + align + offset);
    same = same && bytes_of(*header) == bytes_of(header_at<H>(frame, offset));
  }
  return same;
}

}  // namespace support
