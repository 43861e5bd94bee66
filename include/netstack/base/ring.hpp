// SPDX-License-Identifier: BSL-1.0
// Decides: how two threads hand values to each other: a bounded queue with one producer and one consumer, without locks
// and without waiting. Workers get frames (RPS), frees and control messages through such rings.
//
//   consumer's line: consumed_, produced_seen_ | producer's line: produced_, consumed_seen_ | slots_[0 .. N)
//
// Each side owns one cache line: its own index, and its last look at the other's. It looks again only when that view
// says full (or empty), so a steady flow moves one line per many values instead of two per value.
// Linux: include/linux/ptr_ring.h, include/linux/circ_buf.h
#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <type_traits>

#include "netstack/base/config.hpp"

namespace netstack {

/// N values at most. Empty when constructed and in zeroed memory; construction does not touch the slots.
template <class T, std::size_t N>
class spsc_ring {
  static_assert(std::has_single_bit(N) && N <= std::size_t{1} << 31, "netstack: a ring's size is a power of two");
  static_assert(std::is_trivially_copyable_v<T>,
                "netstack: a ring carries values that copy as bytes (pointers, indices)");

  // Counts since the start, wrapping; their difference is the fill, a slot is the count modulo N.
  alignas(cache_line) std::atomic<u32> consumed_{0};
  u32 produced_seen_ = 0;
  alignas(cache_line) std::atomic<u32> produced_{0};
  u32 consumed_seen_ = 0;
  alignas(cache_line) T slots_[N];

  static constexpr u32 mask = static_cast<u32>(N - 1);

 public:
  spsc_ring() = default;
  spsc_ring(spsc_ring const&) = delete;
  spsc_ring& operator=(spsc_ring const&) = delete;

  [[nodiscard]] static constexpr std::size_t capacity() { return N; }

  /// Producer: puts up to `n` values in, in order; returns how many fitted. The consumer sees all of them at once.
  std::size_t push(T const* values, std::size_t n) {
    u32 const produced = produced_.load(std::memory_order_relaxed);
    std::size_t room = N - (produced - consumed_seen_);
    if (room < n) {
      consumed_seen_ = consumed_.load(std::memory_order_acquire);  // what was read out of these slots happened before
      room = N - (produced - consumed_seen_);
    }
    if (n > room) n = room;
    for (std::size_t i = 0; i < n; ++i) slots_[(produced + i) & mask] = values[i];
    produced_.store(produced + static_cast<u32>(n), std::memory_order_release);
    return n;
  }
  /// Producer: false if full.
  [[nodiscard]] bool push(T value) { return push(&value, 1) == 1; }

  /// Consumer: takes up to `n` values out, oldest first; returns how many there were.
  std::size_t pop(T* values, std::size_t n) {
    u32 const consumed = consumed_.load(std::memory_order_relaxed);
    std::size_t filled = produced_seen_ - consumed;
    if (filled < n) {
      produced_seen_ = produced_.load(std::memory_order_acquire);  // what was written into these slots happened before
      filled = produced_seen_ - consumed;
    }
    if (n > filled) n = filled;
    for (std::size_t i = 0; i < n; ++i) values[i] = slots_[(consumed + i) & mask];
    consumed_.store(consumed + static_cast<u32>(n), std::memory_order_release);
    return n;
  }
  /// Consumer: false if empty.
  [[nodiscard]] bool pop(T& value) { return pop(&value, 1) == 1; }

  // --- in place: values are written, or read, where they lie ---

  /// Producer, when it knows that there is room: the next values go to back(0), back(1) …, and publish() hands them
  /// over. That the slots were consumed has to have happened before: the consumer told it some other way.
  [[nodiscard]] T& back(u32 i) { return slots_[(produced_.load(std::memory_order_relaxed) + i) & mask]; }
  NETSTACK_INLINE void publish(u32 n) {
    produced_.store(produced_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  /// Producer: fewer than `most` values are not consumed yet. `number`: back_number(0).
  [[nodiscard]] NETSTACK_INLINE bool holds_fewer(u32 most, u32 number) {
    if (number - consumed_seen_ < most) return true;
    consumed_seen_ = consumed_.load(std::memory_order_acquire);
    return number - consumed_seen_ < most;
  }
  /// The number of the value that goes to back(i), and of the one at front(i), for what lies beside the ring.
  [[nodiscard]] u32 back_number(u32 i) const { return produced_.load(std::memory_order_relaxed) + i; }
  [[nodiscard]] u32 front_number(u32 i) const { return consumed_.load(std::memory_order_relaxed) + i; }

  /// Consumer: how many values there are, at most `most`; front(0), front(1) …, the oldest first, stay until consume().
  [[nodiscard]] u32 filled(u32 most) {
    u32 const consumed = consumed_.load(std::memory_order_relaxed);
    if (produced_seen_ - consumed < most) produced_seen_ = produced_.load(std::memory_order_acquire);
    return std::min(most, produced_seen_ - consumed);
  }
  [[nodiscard]] T const& front(u32 i) const { return slots_[(consumed_.load(std::memory_order_relaxed) + i) & mask]; }
  /// Either's: by its number.
  [[nodiscard]] T& at(u32 number) { return slots_[number & mask]; }
  [[nodiscard]] T const& at(u32 number) const { return slots_[number & mask]; }
  void consume(u32 n) { consumed_.store(consumed_.load(std::memory_order_relaxed) + n, std::memory_order_release); }

  /// Any thread: exact on either side's thread for its own purpose (never more than there is room, or than there are
  /// values), a snapshot elsewhere.
  [[nodiscard]] std::size_t size() const {
    u32 const consumed = consumed_.load(std::memory_order_acquire);
    u32 const filled = produced_.load(std::memory_order_acquire) - consumed;
    return filled < N ? filled : N;
  }
  [[nodiscard]] bool empty() const { return size() == 0; }
};

}  // namespace netstack
