// SPDX-License-Identifier: BSL-1.0
// Decides: how the stack gets its memory: `bytes` once, at boot, from mmap: untouched pages cost nothing, and nothing
// is ever asked for again. Huge pages if wanted and to be had.
#pragma once
#include <sys/mman.h>

#include "netstack/base/asan.hpp"
#include "netstack/base/result.hpp"

namespace netstack {

class arena {
  void* base_ = nullptr;
  std::size_t bytes_ = 0;
  bool huge_ = false;

 public:
  arena() = default;
  arena(arena const&) = delete;
  arena& operator=(arena const&) = delete;
  ~arena() { unmap(); }

  /// Zeroed memory aligned to 2 MiB, or not_enough_memory.
  result<void*> map(std::size_t bytes, bool huge) {
    constexpr std::size_t page = std::size_t{2} << 20;
    bytes_ = (bytes + page - 1) / page * page;
    if (huge) {
      base_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
      huge_ = base_ != MAP_FAILED;
    }
    if (!huge_) {
      // Ask for one page more, keep the aligned part.
      auto* raw = static_cast<std::byte*>(
          ::mmap(nullptr, bytes_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
      if (raw == MAP_FAILED) {
        base_ = nullptr;
        return failure{std::errc::not_enough_memory};
      }
      std::size_t const skip = (page - reinterpret_cast<std::uintptr_t>(raw) % page) % page;
      if (skip) ::munmap(raw, skip);
      if (page != skip) ::munmap(raw + skip + bytes_, page - skip);
      base_ = raw + skip;
      if (huge) ::madvise(base_, bytes_, MADV_HUGEPAGE);
    }
    return base_;
  }
  void unmap() {
    if (base_) {
      asan_unpoison(base_, bytes_);  // the slabs in it leave marks that would outlive the mapping
      ::munmap(base_, bytes_);
    }
    base_ = nullptr;
  }
  [[nodiscard]] bool huge() const { return huge_; }
};

}  // namespace netstack
