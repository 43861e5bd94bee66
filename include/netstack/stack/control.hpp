// SPDX-License-Identifier: BSL-1.0
// Decides: how the one thread that changes the configuration reaches the other workers: messages on bounded rings, each
// a function and up to 64 bytes, applied by the receiving worker at the start of its poll(). [S19] called by
// core/rtnl.hpp and by the namespace table
#pragma once
#include <cstring>
#include <type_traits>

#include "netstack/base/ring.hpp"

namespace netstack {

template <class Worker>
struct control_message {
  void (*apply)(Worker&, u16 netns, std::byte const* op) = nullptr;
  u16 netns = 0;
  alignas(8) std::byte op[64];
};

/// The rings of one worker, one from each other worker.
template <class Worker, u32 Workers, u32 Size>
class control_inbox {
  spsc_ring<control_message<Worker>, Size> from_[Workers];

 public:
  [[nodiscard]] bool room(u32 from) const { return from_[from].size() < Size; }
  bool post(u32 from, control_message<Worker> const& m) { return from_[from].push(m); }
  [[nodiscard]] bool empty() const {
    for (auto const& ring : from_)
      if (!ring.empty()) return false;
    return true;
  }
  /// Applies what has arrived; how many.
  u32 drain(Worker& self) {
    u32 n = 0;
    control_message<Worker> m;
    for (auto& ring : from_)
      for (; ring.pop(m); ++n) m.apply(self, m.netns, m.op);
    return n;
  }
};
/// A single worker has nobody to hear from.
template <class Worker, u32 Size>
class control_inbox<Worker, 1, Size> {
 public:
  [[nodiscard]] bool room(u32) const { return true; }
  u32 drain(Worker&) { return 0; }
};

/// A message that runs op(slice of netns) where it arrives.
template <class Worker, class Op>
control_message<Worker> control_message_of(u16 netns, Op const& op) {
  static_assert(std::is_trivially_copyable_v<Op> && sizeof(Op) <= sizeof(control_message<Worker>::op));
  control_message<Worker> m{.apply =
                                [](Worker& worker, u16 index, std::byte const* bytes) {
                                  alignas(Op) std::byte copy[sizeof(Op)];
                                  std::memcpy(copy, bytes, sizeof(Op));
                                  if (auto& slice = worker.nets[index]; slice.alive)
                                    (void)(*reinterpret_cast<Op const*>(copy))(slice);
                                },
                            .netns = netns,
                            .op = {}};
  std::memcpy(m.op, &op, sizeof(Op));
  return m;
}

}  // namespace netstack
