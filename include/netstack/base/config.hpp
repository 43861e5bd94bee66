// SPDX-License-Identifier: BSL-1.0
// Decides: the few compile-time facts that every file shares: integer names, the cache line, NETSTACK_* macros.
// All macros of the library live in base/ and start with NETSTACK_.
#pragma once
#include <cstddef>
#include <cstdint>

#define NETSTACK_VERSION_MAJOR 0
#define NETSTACK_VERSION_MINOR 1
#define NETSTACK_VERSION_PATCH 0

#if defined(__GNUC__)
#define NETSTACK_INLINE inline __attribute__((always_inline))
#define NETSTACK_INLINE_LAMBDA __attribute__((always_inline))  // behind its parameters
#define NETSTACK_NOINLINE __attribute__((noinline))
#define NETSTACK_COLD __attribute__((cold, noinline))
#define NETSTACK_HOT __attribute__((hot))  // behind many questions g++ else takes code for rare, and makes it small
#else
#define NETSTACK_INLINE inline
#define NETSTACK_INLINE_LAMBDA
#define NETSTACK_NOINLINE
#define NETSTACK_COLD
#define NETSTACK_HOT
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NETSTACK_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define NETSTACK_TSAN 1
#endif

namespace netstack {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

inline constexpr std::size_t cache_line = 64;

/// A fuzzer does not guess checksums, so under the name that all of them define a receiver takes each for right.
#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
inline constexpr bool checksums_taken_as_right = true;
#else
inline constexpr bool checksums_taken_as_right = false;
#endif

}  // namespace netstack
