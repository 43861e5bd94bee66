// SPDX-License-Identifier: BSL-1.0
// Decides: whether code touched the heap. A program that includes this header (in one file) has its own malloc, calloc,
// realloc and aligned allocators in front of the C library's; operator new ends in malloc. Under a sanitizer, which has
// put its own there already, the sanitizer's hooks count instead.
//
//   heap_counter heap;           // counts while it lives
//   … work …
//   CHECK(heap.allocations() == 0);
//
// The first allocation's call stack is kept: heap.first() tells who it was.
#pragma once
#include <execinfo.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NETSTACK_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NETSTACK_TEST_SANITIZED 1
#endif
#endif

namespace netstack::test {

struct heap_record {
  bool on = false;
  std::uint64_t allocations = 0;
  void* first[16];
  int first_depth = 0;

  void count() {
    if (!on) return;
    if (allocations++ != 0) return;
    on = false;  // backtrace itself may allocate once
    first_depth = ::backtrace(first, 16);
    on = true;
  }
};
inline heap_record the_heap;

/// Counts allocations of the whole program while it lives; one at a time.
class heap_counter {
 public:
  heap_counter() {
    void* warm[1];
    ::backtrace(warm, 1);  // loads what it needs now, not while counting
    the_heap = {};
    the_heap.on = true;
  }
  ~heap_counter() { the_heap.on = false; }
  heap_counter(heap_counter const&) = delete;
  heap_counter& operator=(heap_counter const&) = delete;

  void pause() { the_heap.on = false; }
  void go_on() { the_heap.on = true; }
  [[nodiscard]] std::uint64_t allocations() const {
    asm volatile("" ::: "memory");  // compilers believe that malloc changes no variable
    return the_heap.allocations;
  }
  /// The call stack of the first allocation, a symbol a line.
  [[nodiscard]] std::string first() const {
    the_heap.on = false;
    std::string text;
    char** names = ::backtrace_symbols(the_heap.first, the_heap.first_depth);
    for (int i = 0; i < the_heap.first_depth; ++i) text.append(names[i]).append("\n");
    ::free(names);
    return text;
  }
};

}  // namespace netstack::test

#ifdef NETSTACK_TEST_SANITIZED
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(void const volatile*, std::size_t),
                                                         void (*)(void const volatile*));
namespace netstack::test {
inline int const heap_hooks = __sanitizer_install_malloc_and_free_hooks(
    [](void const volatile*, std::size_t) { the_heap.count(); }, [](void const volatile*) {});
}
#else
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t n) {
  netstack::test::the_heap.count();
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  netstack::test::the_heap.count();
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
  netstack::test::the_heap.count();
  return __libc_realloc(p, n);
}
void* memalign(std::size_t align, std::size_t n) {
  netstack::test::the_heap.count();
  return __libc_memalign(align, n);
}
void* aligned_alloc(std::size_t align, std::size_t n) { return memalign(align, n); }
int posix_memalign(void** p, std::size_t align, std::size_t n) {
  *p = memalign(align, n);
  return *p ? 0 : ENOMEM;
}
}
#endif
