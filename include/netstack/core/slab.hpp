// SPDX-License-Identifier: BSL-1.0
// Decides: where every object but a packet lives. A slab is N slots of one type inside its own bytes, so a worker
// holds it as a member and sizeof is the memory bound. Free slots form a LIFO through their own first bytes, because
// what was used last is still in the cache; slots never used yet are only counted, so an idle slab stays untouched zero
// pages. A full slab answers null and counts it: what that means is the caller's policy. [S179]
// Linux: include/linux/slab.h (kmem_cache_create, SLAB_HWCACHE_ALIGN), mm/slub.c
#pragma once
#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "netstack/base/asan.hpp"
#include "netstack/base/bug.hpp"
#include "netstack/base/config.hpp"

namespace netstack {

namespace detail {

/// SLAB_HWCACHE_ALIGN: on a cache line, or on the power of two that fits a small object, so that none straddles a line.
template <class T>
inline constexpr std::size_t hwcache_align = [] {
  std::size_t const fit = std::bit_ceil(sizeof(T) < sizeof(u32) ? sizeof(u32) : sizeof(T));
  std::size_t const line = fit < cache_line ? fit : cache_line;
  return line > alignof(T) ? line : alignof(T);
}();

/// One counter per slot, odd while the slot is in use; nothing if no handles are wanted.
template <std::size_t N, bool Present>
struct slab_generations {
  u32 of[N];
};
template <std::size_t N>
struct slab_generations<N, false> {};

}  // namespace detail

/// N objects of type T. Plain memory: zeroed, or made empty by init(); no constructor touches it. With Generations a
/// slot can be named by a handle that goes stale when the object is freed, for four more bytes each.
template <class T, std::size_t N, bool Generations = false>
class slab {
  static_assert(N >= 1 && N < 0xffff'ffff,
                "netstack: a slab needs at least one slot, so that bound of config, and an index of 32 bits");
  static constexpr std::size_t alignment = detail::hwcache_align<T>;
  static constexpr std::size_t stride = (sizeof(T) + alignment - 1) / alignment * alignment;

 public:
  using value_type = T;

  /// Forgets every object, without destroying it. Touches the head only, unless there are generations to clear.
  void init() {
    asan_unpoison(storage_, sizeof storage_);
    free_ = used_ = in_use_ = 0;
    failures_ = 0;
    if constexpr (Generations)
      for (u32& generation : generations_.of) generation = 0;
  }

  /// A new T{args...}, or null (counted in failures()) when all N are in use.
  template <class... Args>
  [[nodiscard]] T* alloc(Args&&... args) {
    std::byte* const at = take();
    return at ? ::new (at) T{std::forward<Args>(args)...} : nullptr;
  }
  /// … a large one that begins as `model`, whose bytes it gets in words as long as they can be: fewer stores than its
  /// members take. Whatever in it points into itself is the caller's to mend.
  [[nodiscard]] T* alloc_like(T const& model) requires(sizeof(T) % cache_line == 0) {
    std::byte* const at = take();
    if (!at) return nullptr;
    auto const copy = [&]<std::size_t... Half>(std::index_sequence<Half...>) NETSTACK_INLINE_LAMBDA {
      (copy_half_line(at + Half * sizeof(half_line),
                      reinterpret_cast<std::byte const*>(&model) + Half * sizeof(half_line)),
       ...);
    };
    copy(std::make_index_sequence<sizeof(T) / sizeof(half_line)>{});
    return std::launder(reinterpret_cast<T*>(at));
  }

  /// Destroys and takes back an object of this slab.
  void free(T* object) {
    u32 const index = index_of(object);
    if constexpr (Generations) BUG_ON((generations_.of[index]++ & 1) == 0, "slab object freed twice");
    std::destroy_at(object);
    ::new (static_cast<void*>(object)) u32{free_};  // its slot, which would have to be found
    free_ = index + 1;
    --in_use_;
    asan_poison(object, stride);
  }

  static constexpr std::size_t capacity() { return N; }
  [[nodiscard]] u32 in_use() const { return in_use_; }
  /// Most objects ever in use at once: a fresh slot is taken only when every used one is taken.
  [[nodiscard]] u32 high_water() const { return used_; }
  /// Times alloc() answered null.
  [[nodiscard]] u64 failures() const { return failures_; }

  [[nodiscard]] bool owns(T const* object) const {
    auto const at = reinterpret_cast<std::uintptr_t>(object), base = reinterpret_cast<std::uintptr_t>(storage_);
    return at >= base && at < base + sizeof storage_ && (at - base) % stride == 0;
  }
  /// Index of an object of this slab, below high_water(); stable as long as it lives.
  [[nodiscard]] u32 index_of(T const* object) const {
    auto const offset = static_cast<std::size_t>(reinterpret_cast<std::byte const*>(object) - storage_);
    BUG_ON(offset >= sizeof storage_, "object of another slab");
    return static_cast<u32>(offset / stride);
  }
  /// The object with this index, which must be alive.
  [[nodiscard]] T& at(u32 index) { return *std::launder(reinterpret_cast<T*>(slot(index))); }
  [[nodiscard]] T const& at(u32 index) const {
    return *std::launder(reinterpret_cast<T const*>(storage_ + std::size_t{index} * stride));
  }

  /// A name for the object that outlives it; never 0.
  [[nodiscard]] u64 handle_of(T const* object) const requires Generations {
    u32 const index = index_of(object);
    return u64{generations_.of[index]} << 32 | index;
  }
  /// The object of a handle; null if it has been freed since, or never was.
  [[nodiscard]] T* find(u64 handle) requires Generations {
    auto const index = static_cast<u32>(handle);
    auto const generation = static_cast<u32>(handle >> 32);
    return index < N && (generation & 1) && generations_.of[index] == generation ? &at(index) : nullptr;
  }

 private:
  std::byte* slot(u32 index) { return storage_ + std::size_t{index} * stride; }
  typedef u64 half_line __attribute__((vector_size(cache_line / 2)));
  static NETSTACK_INLINE void copy_half_line(std::byte* to, std::byte const* from) {
    half_line part;
    std::memcpy(&part, from, sizeof part);
    std::memcpy(to, &part, sizeof part);
  }
  /// A slot for one more, or null.
  NETSTACK_INLINE std::byte* take() {
    u32 index;
    if (free_ != 0) {
      index = free_ - 1;
      asan_unpoison(slot(index), stride);
      free_ = *std::launder(reinterpret_cast<u32*>(slot(index)));
    } else if (used_ < N) [[likely]] {
      index = used_++;
    } else {
      ++failures_;
      return nullptr;
    }
    ++in_use_;
    if constexpr (Generations) ++generations_.of[index];
    return slot(index);
  }

  u32 free_;  // index + 1 of the slot freed last; 0: none
  u32 used_;  // slots from here on were never used
  u32 in_use_;
  u64 failures_;
  [[no_unique_address]] detail::slab_generations<N, Generations> generations_;
  alignas(alignment) std::byte storage_[N * stride];
};

}  // namespace netstack
