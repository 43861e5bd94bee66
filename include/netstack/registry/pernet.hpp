// SPDX-License-Identifier: BSL-1.0
// Decides: what a module does when a namespace comes and goes. init runs in list order, subsystems before devices; exit
// in reverse; a failing init undoes those before it, all exits first and then all frees. [S14] [S15] [S16]
// Linux: include/net/net_namespace.h (struct pernet_operations)
#pragma once
#include "netstack/base/result.hpp"

namespace netstack {

template <class Net>
struct pernet_operations {
  char const* name = "";
  result<void> (*init)(Net&) = nullptr;  ///< once in each slice (worker) of each new namespace
  void (*exit)(Net&) = nullptr;          ///< the namespace goes: let go of devices, sockets, packets
  void (*free)(Net&) = nullptr;          ///< after every module's exit: let go of memory that others might still use
  bool device = false;                   ///< register_pernet_device: after all subsystems
};

/// M's own state in this namespace (this worker's slice of it): `typename M::pernet`. [S13]
template <class M, class Net>
[[nodiscard]] auto& net_generic(Net& net) {
  return net.template generic<M>();
}
/// M's own state in this worker, shared by all namespaces there: `typename M::perworker`.
template <class M, class Worker>
[[nodiscard]] auto& worker_generic(Worker& worker) {
  return worker.template generic<M>();
}

}  // namespace netstack
