// SPDX-License-Identifier: BSL-1.0
// Decides: how the four rings between a program and the kernel are read and written. A ring has one writer and one
// reader, each with an index that only it advances; what lies between belongs to the reader. Producer and consumer
// rings are different types, and so is what they carry: a frame number goes into a fill ring and comes out of a
// completion ring, a descriptor comes out of an rx ring and goes into a tx ring.
// Linux: Documentation/networking/af_xdp.rst, net/xdp/xsk_queue.h
#pragma once
#include <linux/if_xdp.h>
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <utility>

#include "netstack/base/bug.hpp"

namespace netstack::drivers::detail {

/// Newer than Debian 12's linux/if_xdp.h.
namespace xdp_abi {
inline constexpr u16 use_sg = 1u << 4;       // XDP_USE_SG (6.6)
inline constexpr u32 pkt_contd = 1u << 0;    // XDP_PKT_CONTD (6.6)
inline constexpr u32 tx_metadata = 1u << 1;  // XDP_TX_METADATA (6.8)
inline constexpr int max_tx_skb_budget = 9;  // XDP_MAX_TX_SKB_BUDGET (6.16)
inline constexpr int so_prefer_busy_poll = 69, so_busy_poll_budget = 70;
/// xdp_umem_reg, whose last field was padding.
struct umem_reg {
  static constexpr u32 has_tx_metadata_len = 1u << 2;  // XDP_UMEM_TX_METADATA_LEN (6.11)
  u64 addr, len;
  u32 chunk_size, headroom, flags, tx_metadata_len;
};
static_assert(sizeof(umem_reg) == sizeof(::xdp_umem_reg));
/// What lies in front of a frame whose checksum is left to the kernel: of xsk_tx_metadata what that needs.
struct csum_request {
  static constexpr u64 checksum = 1u << 1;  // XDP_TXMD_FLAGS_CHECKSUM (6.8)
  u64 flags = checksum;
  u16 csum_start, csum_offset;  ///< from the frame's first byte; from csum_start
  u32 pad = 0;
};
static_assert(sizeof(csum_request) % 8 == 0);
}  // namespace xdp_abi

/// One ring as the kernel maps it. One that is not mapped is empty and has no room.
template <class Slot>
class xdp_ring {
  u32 none_ = 0;

 protected:
  u32* producer_ = &none_;
  u32* consumer_ = &none_;
  u32* flags_ = &none_;
  Slot* slots_ = nullptr;
  u32 size_ = 0;
  u32 head_ = 0;   // ours, ahead of what the other side sees of it until published
  u32 other_ = 0;  // the other side's index as last read

 private:
  void* map_ = nullptr;
  std::size_t bytes_ = 0;

 public:
  xdp_ring() = default;
  xdp_ring(xdp_ring const&) = delete;
  xdp_ring& operator=(xdp_ring const&) = delete;
  ~xdp_ring() { unmap(); }

  /// False: the kernel refused (errno).
  bool map(int fd, u64 at, ::xdp_ring_offset const& offset, u32 size) {
    bytes_ = static_cast<std::size_t>(offset.desc) + size * sizeof(Slot);
    map_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<::off_t>(at));
    if (map_ == MAP_FAILED) {
      map_ = nullptr;
      return false;
    }
    auto* const base = static_cast<std::byte*>(map_);
    producer_ = reinterpret_cast<u32*>(base + offset.producer);
    consumer_ = reinterpret_cast<u32*>(base + offset.consumer);
    flags_ = reinterpret_cast<u32*>(base + offset.flags);
    slots_ = reinterpret_cast<Slot*>(base + offset.desc);
    size_ = size;
    head_ = other_ = 0;
    return true;
  }
  void unmap() {
    if (map_) ::munmap(std::exchange(map_, nullptr), bytes_);
    producer_ = consumer_ = flags_ = &none_;
    head_ = other_ = size_ = 0;
  }
  [[nodiscard]] u32 size() const { return size_; }

 protected:
  static u32 acquire(u32* index) { return std::atomic_ref(*index).load(std::memory_order_acquire); }
  static void release(u32* index, u32 value) { std::atomic_ref(*index).store(value, std::memory_order_release); }
  Slot& slot(u32 index) const { return slots_[index & (size_ - 1)]; }
};

/// We write, the kernel reads: fill (u64) and tx (xdp_desc).
template <class Slot>
class xdp_producer : public xdp_ring<Slot> {
  using base = xdp_ring<Slot>;
  u32 published_ = 0;

 public:
  bool map(int fd, u64 at, ::xdp_ring_offset const& offset, u32 size) {
    published_ = 0;
    return base::map(fd, at, offset, size);
  }
  /// Whether n more slots may be written.
  [[nodiscard]] bool room(u32 n) {
    if (this->size_ - (this->head_ - this->other_) >= n) [[likely]]
      return true;
    this->other_ = base::acquire(this->consumer_);
    return this->size_ - (this->head_ - this->other_) >= n;
  }
  /// The next slot: there is room. The kernel sees it when it is published.
  [[nodiscard]] Slot& next() { return this->slot(this->head_++); }
  [[nodiscard]] bool unpublished() const { return published_ != this->head_; }
  void publish() {
    published_ = this->head_;
    base::release(this->producer_, this->head_);
  }
  /// Slots that the kernel has not taken.
  [[nodiscard]] u32 pending() {
    this->other_ = base::acquire(this->consumer_);
    return this->head_ - this->other_;
  }
  /// The kernel sleeps, and must be called to look at the ring (with XDP_USE_NEED_WAKEUP; else always false).
  [[nodiscard]] bool needs_wakeup() const { return (*this->flags_ & XDP_RING_NEED_WAKEUP) != 0; }
};

/// The kernel writes, we read: rx (xdp_desc) and completion (u64).
template <class Slot>
class xdp_consumer : public xdp_ring<Slot> {
  using base = xdp_ring<Slot>;

 public:
  /// Slots that wait, at most `most` if that many are known of; asks the kernel's index only when none is known.
  [[nodiscard]] u32 waiting(u32 most) {
    u32 known = this->other_ - this->head_;
    if (known < most) {
      this->other_ = base::acquire(this->producer_);
      known = this->other_ - this->head_;
    }
    return known < most ? known : most;
  }
  [[nodiscard]] Slot const& peek(u32 ahead) const { return this->slot(this->head_ + ahead); }
  /// The first n belong to the kernel again.
  void release(u32 n) {
    this->head_ += n;
    base::release(this->consumer_, this->head_);
  }
};

}  // namespace netstack::drivers::detail
