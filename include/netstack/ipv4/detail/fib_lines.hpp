// SPDX-License-Identifier: BSL-1.0
// Decides: where the nodes of the forwarding tables lie: in one array of cache lines that all namespaces of a worker
// share, handed out in blocks of 1 to 16 lines. A buddy system whose blocks are cut to size: what a block does not need
// is free at once, and a freed line joins its free neighbours again, so churn does not wear the array out. Lines never
// used yet are only counted. Line 0 is never handed out: 0 means none.
// rx, tx: called by ipv4/fib_trie
#pragma once
#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "netstack/base/bug.hpp"
#include "netstack/base/config.hpp"

namespace netstack::detail {

/// At least Lines cache lines. Plain memory: call init() first. A block is named by the index of its first line.
template <u32 Lines>
class fib_lines {
  static constexpr unsigned max_order = 4;
  static constexpr u32 largest = 1U << max_order;
  static constexpr u32 total = (Lines + 1 + largest - 1) / largest * largest;
  static constexpr u8 free_block = 0x80;

 public:
  void init() {
    for (u32& head : free_) head = 0;
    used_ = in_use_ = 0;
    start_block();
    in_use_ = largest - 1;
    free(1, largest - 1);
  }

  /// A block of `lines` lines (1 to 16) with anything in it, or 0.
  [[nodiscard]] u32 alloc(u32 lines) {
    auto const order = static_cast<unsigned>(std::bit_width(lines - 1));
    unsigned from = order;
    while (from <= max_order && free_[from] == 0) ++from;
    u32 block;
    if (from <= max_order) {
      block = free_[from];
      unlink(block, from);
    } else if (used_ < total) {
      from = max_order;
      block = start_block();
    } else {
      return 0;
    }
    in_use_ += 1U << from;
    free(block + lines, (1U << from) - lines);
    return block;
  }

  /// Takes back any lines that are in use, a block or the end of one.
  void free(u32 first, u32 lines) {
    in_use_ -= lines;
    while (lines > 0) {
      // The largest aligned piece that starts here.
      auto const order = std::min({static_cast<unsigned>(std::countr_zero(first)),
                                   static_cast<unsigned>(std::bit_width(lines)) - 1, max_order});
      join(first, order);
      first += 1U << order;
      lines -= 1U << order;
    }
  }

  [[nodiscard]] u32 in_use() const { return in_use_; }
  static constexpr u32 capacity() { return total - 1; }

  [[nodiscard]] std::byte* line(u32 index) { return bytes_ + std::size_t{index} * cache_line; }
  [[nodiscard]] std::byte const* line(u32 index) const { return bytes_ + std::size_t{index} * cache_line; }

 private:
  struct link {
    u32 next;
    u32 prev;
  };
  link& link_of(u32 block) { return *std::launder(reinterpret_cast<link*>(line(block))); }

  u32 start_block() {
    for (u32 i = 0; i < largest; ++i) state_[used_ + i] = 0;
    return std::exchange(used_, used_ + largest);
  }
  void join(u32 block, unsigned order) {
    for (; order < max_order; ++order) {
      u32 const buddy = block ^ (1U << order);
      if (state_[buddy] != (free_block | order)) break;
      unlink(buddy, order);
      block &= ~(1U << order);
    }
    ::new (line(block)) link{free_[order], 0};
    if (free_[order]) link_of(free_[order]).prev = block;
    free_[order] = block;
    state_[block] = static_cast<u8>(free_block | order);
  }
  void unlink(u32 block, unsigned order) {
    link const at = link_of(block);
    if (at.next) link_of(at.next).prev = at.prev;
    (at.prev ? link_of(at.prev).next : free_[order]) = at.next;
    state_[block] = 0;
  }

  u32 free_[max_order + 1];  // first free block of each order; 0: none
  u32 used_;                 // lines from here on were never used
  u32 in_use_;
  u8 state_[total];  // of a free block's first line: free_block | order; else 0
  // One line more, because a lookup may read the word behind a node.
  alignas(cache_line) std::byte bytes_[(std::size_t{total} + 1) * cache_line];
};

}  // namespace netstack::detail
