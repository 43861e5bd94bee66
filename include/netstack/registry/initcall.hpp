// SPDX-License-Identifier: BSL-1.0
// Decides: what runs at boot and in which order. The composition sorts all initcalls by level, keeps list order within
// a level, and runs each exactly once; a failure of a critical one undoes those before it in reverse. [S1] [S2] [S6]
// [S7] Linux: include/linux/init.h, init/main.c
#pragma once
#include "netstack/base/result.hpp"

namespace netstack {

/// Linux's .initcall0.init … .initcall7s.init; the sync variants run after their level.
enum class initcall_level : u8 {
  pure = 0,
  core = 2,
  core_sync,
  postcore,
  postcore_sync,
  arch,
  arch_sync,
  subsys,
  subsys_sync,
  fs,
  fs_sync,
  rootfs,
  device,
  device_sync,
  late,
  late_sync,
};

template <class Net>
struct initcall {
  initcall_level level = initcall_level::device;
  char const* name = "";
  result<void> (*init)(Net& init_net) = nullptr;  ///< the first worker's init_net; the others through net.stack()
  void (*exit)(Net& init_net) = nullptr;          ///< undoes init, when a later one fails and at shutdown
  bool critical = true;                           ///< false: a failure is logged in the boot trace, and boot goes on
  char const* needs = nullptr;                    ///< name of an initcall that must have run before this one
};

template <class Net>
constexpr initcall<Net> initcall_at(initcall_level level, char const* name, result<void> (*init)(Net&),
                                    void (*exit)(Net&) = nullptr, char const* needs = nullptr) {
  return {.level = level, .name = name, .init = init, .exit = exit, .critical = true, .needs = needs};
}

}  // namespace netstack
