// SPDX-License-Identifier: BSL-1.0
// Decides: what runs at boot and in which order. The composition sorts all initcalls by level, keeps list order within
// a level, and runs each exactly once; a failure of a critical one undoes those before it in reverse. [S1] [S2] [S6]
// Linux: include/linux/init.h, init/main.c [S7]
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

namespace detail {
template <class Net, initcall_level Level>
struct initcall_maker {
  constexpr initcall<Net> operator()(char const* name, result<void> (*init)(Net&), void (*exit)(Net&) = nullptr,
                                     char const* needs = nullptr) const {
    return {.level = Level, .name = name, .init = init, .exit = exit, .critical = true, .needs = needs};
  }
};
}  // namespace detail

// Linux's spellings: `fs_initcall<Net>("udp_init", udp_init<Net>)`. Objects, not functions: a function's name would be
// looked up in the classes of its arguments, and Net is not complete where descriptors stand.
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::pure> pure_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::core> core_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::postcore> postcore_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::arch> arch_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::subsys> subsys_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::fs> fs_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::rootfs> rootfs_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::device> device_initcall{};
template <class Net>
inline constexpr detail::initcall_maker<Net, initcall_level::late> late_initcall{};

}  // namespace netstack
