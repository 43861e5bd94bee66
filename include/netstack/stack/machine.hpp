// SPDX-License-Identifier: BSL-1.0
// Decides: what boot() maps: the workers, the namespace table, the boot trace. sizeof(machine<Host>) is the memory
// bound. The namespace table belongs to the thread of worker 0; the counts of live slices are all it shares. [S11]
// Linux: net/core/net_namespace.c (net_namespace_list, cleanup_list) [S17] [S18]
#pragma once
#include <atomic>
#include <span>

#include "netstack/stack/worker.hpp"

namespace netstack {

/// One step of the boot or of a namespace's life, as it happened.
struct boot_event {
  char const* name;
  char const* what;  ///< "init", "failed", "exit", "pernet init", "pernet failed", "pernet exit", "pernet free"
  s32 error;         ///< errno of a failure, else 0
};

/// A fixed record: what does not fit is counted, not kept.
class boot_log {
  static constexpr std::size_t capacity = 512;
  boot_event events_[capacity];
  u32 len_ = 0;

 public:
  u32 lost = 0;
  void add(char const* name, char const* what, std::errc error = {}) {
    if (len_ < capacity)
      events_[len_++] = {name, what, static_cast<s32>(error)};
    else
      ++lost;
  }
  [[nodiscard]] std::span<boot_event const> events() const { return {events_, len_}; }
  void clear() { len_ = 0, lost = 0; }
};

/// What worker 0 knows of one namespace.
struct namespace_entry {
  u32 count = 0;  ///< holders (get_net); at 0 the namespace is taken down, off the caller [S18]
  bool used = false;
  bool dying = false;
  std::atomic<u32> slices{0};       ///< workers that still have a live slice
  std::atomic<bool> failed{false};  ///< a worker could not set its slice up
};

namespace detail {

template <class Host>
struct machine {
  worker<Host> workers[Host::sizes.workers];
  namespace_entry namespaces[Host::sizes.max_net];
  u16 namespace_list[Host::sizes.max_net + 1];  ///< indices in order of creation; one spare, so that g++ sees the bound
  u32 nr_namespaces = 0;
  std::atomic<bool> cleanup_pending{false};
  std::atomic<u64> online{~u64{0} >> (64 - Host::sizes.workers)};  ///< workers that are not removed
  boot_log log;
};

}  // namespace detail

}  // namespace netstack
