// SPDX-License-Identifier: BSL-1.0
// Decides: who may work on a worker's sockets: the one thread that the worker belongs to. Every socket call passes this
// door; a debug build ends the program when another thread knocks, since nothing behind it is locked.
#pragma once
#include <pthread.h>

#include "netstack/base/bug.hpp"

namespace netstack {

#if defined(NDEBUG)
inline constexpr bool debug_build = false;
#else
inline constexpr bool debug_build = true;
#endif

/// The first thread that enters owns the worker, until it hands it on with leave(). In a debug build a call from any
/// other thread ends the program.
template <bool Checked = debug_build, class Worker>
NETSTACK_INLINE void enter(Worker& worker) {
  if constexpr (Checked) {
    if (worker.owner == 0) worker.owner = reinterpret_cast<std::uintptr_t>(::pthread_self());
    BUG_ON(worker.owner != reinterpret_cast<std::uintptr_t>(::pthread_self()),
           "a socket call from a thread that does not own the worker");
  }
}
/// The calling thread is done with the worker: the next one that enters owns it.
template <class Worker>
void leave(Worker& worker) {
  worker.owner = 0;
}

}  // namespace netstack
