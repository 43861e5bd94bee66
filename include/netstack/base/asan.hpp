// SPDX-License-Identifier: BSL-1.0
// Decides: how a pool tells AddressSanitizer that a free object must not be touched. A pool's memory is allocated once
// and is always addressable for ASan; with these two calls a use after free inside a pool is reported like one on the
// heap. Both are nothing in any other build. munmap(2) leaves the marks behind, so who unmaps a pool's memory unpoisons
// it first.
// Linux: include/linux/kasan.h (kasan_poison_slab)
#pragma once
#include "netstack/base/config.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NETSTACK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define NETSTACK_ASAN 1
#endif

#if defined(NETSTACK_ASAN)
#include <sanitizer/asan_interface.h>
/// For the few functions of a pool that look at a free object on purpose.
#define NETSTACK_NO_ASAN __attribute__((no_sanitize_address))
#else
#define NETSTACK_NO_ASAN
#endif

namespace netstack {

#if defined(NETSTACK_ASAN)
inline constexpr bool asan_enabled = true;
inline void asan_poison(void const volatile* p, std::size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void asan_unpoison(void const volatile* p, std::size_t bytes) {
  asm("" : "+r"(p));  // g++ takes the call for a read of the bytes, and warns that they hold nothing yet
  __asan_unpoison_memory_region(p, bytes);
}
#else
inline constexpr bool asan_enabled = false;
NETSTACK_INLINE void asan_poison(void const volatile*, std::size_t) {}
NETSTACK_INLINE void asan_unpoison(void const volatile*, std::size_t) {}
#endif

}  // namespace netstack
