// SPDX-License-Identifier: BSL-1.0
// Decides: how the statistics of one interface are read when several workers each have a queue of it: as sums over the
// workers' net_devices of that number. The lists of devices are their workers' own; beside each stands a table that the
// others may look into: number → statistics, both atomic.
// Linux: net/core/dev.c (dev_get_stats)
#pragma once
#include <atomic>

#include "netstack/core/net_device.hpp"

namespace netstack {

/// The devices of one slice, for readers on other threads. Changed by the slice's worker alone.
template <u32 Size>
class dev_stats_table {
  struct entry {
    std::atomic<u32> ifindex{0};  ///< 0: free
    std::atomic<net_device_stats const*> stats{nullptr};
  };
  entry entries_[Size];

 public:
  void publish(net_device const& dev) {
    for (auto& e : entries_)
      if (e.ifindex.load(std::memory_order_relaxed) == 0) {
        e.stats.store(&dev.stats, std::memory_order_relaxed);
        e.ifindex.store(dev.ifindex, std::memory_order_release);
        return;
      }
  }
  void retract(net_device const& dev) {
    for (auto& e : entries_)
      if (e.ifindex.load(std::memory_order_relaxed) == dev.ifindex) e.ifindex.store(0, std::memory_order_release);
  }
  /// Null: no such device here. The counters lie in memory that the worker never gives back; those of a device that
  /// goes while they are read are good for nothing.
  [[nodiscard]] net_device_stats const* find(u32 ifindex) const {
    for (auto const& e : entries_)
      if (e.ifindex.load(std::memory_order_acquire) == ifindex) return e.stats.load(std::memory_order_relaxed);
    return nullptr;
  }
};
/// A single worker has nobody to show them to.
template <>
class dev_stats_table<0> {
 public:
  void publish(net_device const&) {}
  void retract(net_device const&) {}
  [[nodiscard]] net_device_stats const* find(u32) const { return nullptr; }
};

/// The statistics of an interface over all workers: `dev_get_stats(net, dev)(&net_device_stats::rx_bytes)`.
template <class Net>
class dev_get_stats {
  net_device_stats const* queues_[Net::sizes.workers];
  u32 n_ = 1;

 public:
  dev_get_stats(Net& net, net_device const& dev) : queues_{&dev.stats} {
    for (u32 w = 0; w < Net::sizes.workers; ++w) {
      auto& worker = net.stack().worker(w);
      if (&worker == &net.worker()) continue;
      if (auto const* stats = worker.nets[net.index].dev_stats.find(dev.ifindex)) queues_[n_++] = stats;
    }
  }
  template <class... Members>
  [[nodiscard]] u64 operator()(Members... members) const {
    u64 sum = 0;
    for (u32 i = 0; i < n_; ++i) sum += ((queues_[i]->*members).read() + ...);
    return sum;
  }
};

}  // namespace netstack
