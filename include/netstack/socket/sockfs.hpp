// SPDX-License-Identifier: BSL-1.0
// Decides: where socket handles live. Each worker has a fixed table, Linux's sockfs: the lowest free number is given
// out, a slot is built once and reused clean, and each socket gets an inode number that no other of the stack ever had.
// And what sock_init does at boot, each step undone in reverse when a later one fails. Always composed.
// [S22] [S24] [S25] [S26] [S27]
// Linux: net/socket.c (sock_init, sock_alloc, sock_fs_type, init_once)
#pragma once
#include <array>
#include <bit>

#include "netstack/core/sock_no.hpp"
#include "netstack/registry/drop_reasons.hpp"
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/registry/net_proto_family.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack {

struct sockets;

namespace sockfs {

/// The handles of one worker. Plain memory: a slot that was never used is untouched zero pages.
template <u32 N>
class handle_table {
  static constexpr u32 words = (N + 63) / 64;
  u64 used_[words];
  u32 first_maybe_free_;  // no free slot in any word before this one
  u32 constructed_;       // slots up to here have been built
  u32 open_;
  u64 next_ino_;
  u64 ino_step_;
  bool registered_, mounted_;
  alignas(socket) std::byte slots_[N * sizeof(socket)];

  socket& at(u32 i) { return *std::launder(reinterpret_cast<socket*>(slots_ + i * sizeof(socket))); }

 public:
  /// Linux's init_inodecache: numbers start at `first`, in steps so that no two workers give out the same.
  void init(u64 first, u64 step) { next_ino_ = first, ino_step_ = step; }
  void set_registered(bool on) { registered_ = on; }
  void set_mounted(bool on) { mounted_ = on; }
  [[nodiscard]] bool mounted() const { return mounted_; }

  /// A clean handle with the lowest free number, or null when all are in use.
  [[nodiscard]] socket* alloc() {
    for (u32 w = first_maybe_free_; w < words; ++w) {
      auto const bit = static_cast<u32>(std::countr_one(used_[w]));
      u32 const i = w * 64 + bit;
      first_maybe_free_ = w;
      if (bit == 64) continue;
      if (i >= N) break;
      used_[w] |= u64{1} << bit;
      // init_once: slots are built in order, each a single time; afterwards free() leaves them clean.
      for (; constructed_ <= i; ++constructed_)
        ::new (slots_ + constructed_ * sizeof(socket)) socket{.fd = static_cast<s32>(constructed_)};
      ++open_;
      socket& sock = at(i);
      sock.state = socket_state::unconnected;
      sock.i_ino = next_ino_;
      next_ino_ += ino_step_;
      return &sock;
    }
    return nullptr;
  }
  void free(socket& sock) {
    auto const i = static_cast<u32>(sock.fd);
    sock = {.fd = sock.fd};
    used_[i / 64] &= ~(u64{1} << i % 64);
    first_maybe_free_ = std::min(first_maybe_free_, i / 64);
    --open_;
  }
  /// The open handle of this number, or null.
  [[nodiscard]] socket* find(int fd) {
    auto const i = static_cast<u32>(fd);
    if (i >= constructed_) return nullptr;  // neither is a negative one
    socket& sock = at(i);
    return sock.state == socket_state::free ? nullptr : &sock;
  }
  [[nodiscard]] u32 open_count() const { return open_; }
  [[nodiscard]] u32 constructed() const { return constructed_; }
  static constexpr u32 capacity() { return N; }
  template <class F>
  void for_each(F&& f) {
    for (u32 i = 0; i < constructed_; ++i)
      if (at(i).state != socket_state::free) f(at(i));
  }
};

template <class Net>
[[nodiscard]] auto& table_of(Net& net) {
  return worker_generic<sockets>(net.worker()).table;
}

/// Ends a handle: its family lets go of the sock, the number is free again.
template <class Net>
result<void> release(Net& net, socket& sock) {
  auto r = sock.ops ? ops_of<Net>(sock).release(net, sock) : result<void>{};
  table_of(net).free(sock);
  return r;
}

}  // namespace sockfs

// --- sock_init ------------------------------------------------------------------------------------------------------

namespace detail {

template <class Net, class F>
result<void> each_sockfs(Net& init_net, F f) {
  for (u32 w = 0; w < Net::sizes.workers; ++w) f(worker_generic<sockets>(init_net.stack().worker(w)).table, w);
  return {};
}

/// /proc/sys/net exists from the start: its tables are the composition's. The root must have sorted, or lookups fail.
template <class Net>
result<void> net_sysctl_init(Net&) {
  return {};
}
/// The pools were laid out with the workers; without a frame nothing could be sent or received.
template <class Net>
result<void> skb_init(Net& init_net) {
  return init_net.worker().pool.nr_frames() > 0 ? result<void>{} : failure{std::errc::not_enough_memory};
}
template <class Net>
result<void> init_inodecache(Net& init_net) {
  return each_sockfs(init_net, [](auto& table, u32 w) { table.init(w + 1, Net::sizes.workers); });
}
template <class Net>
result<void> register_sockfs(Net& init_net) {
  return each_sockfs(init_net, [](auto& table, u32) { table.set_registered(true); });
}
template <class Net>
void unregister_sockfs(Net& init_net) {
  (void)each_sockfs(init_net, [](auto& table, u32) { table.set_registered(false); });
}
template <class Net>
result<void> mount_sockfs(Net& init_net) {
  return each_sockfs(init_net, [](auto& table, u32) { table.set_mounted(true); });
}
template <class Net>
void unmount_sockfs(Net& init_net) {
  (void)each_sockfs(init_net, [](auto& table, u32) { table.set_mounted(false); });
}

/// A namespace goes: whatever socket is still open in it is closed, before the layers below it go.
template <class Net>
void sockfs_exit_net(Net& net) {
  sockfs::table_of(net).for_each([&](sockfs::socket& sock) {
    if (sock.net == &net) (void)sockfs::release(net, sock);
  });
}

}  // namespace detail

/// The socket layer.
struct sockets : module {
  template <class Host>
  struct perworker {
    sockfs::handle_table<Host::sizes.max_handle> table;
  };
  static constexpr std::array file_systems{file_system_type{"sockfs"}};
  template <class Net>
  static constexpr std::array initcalls{
      initcall<Net>{.level = initcall_level::core, .name = "net_sysctl_init", .init = detail::net_sysctl_init<Net>},
      initcall<Net>{.level = initcall_level::core, .name = "skb_init", .init = detail::skb_init<Net>},
      initcall<Net>{.level = initcall_level::core, .name = "init_inodecache", .init = detail::init_inodecache<Net>},
      initcall<Net>{.level = initcall_level::core,
                    .name = "register_filesystem",
                    .init = detail::register_sockfs<Net>,
                    .exit = detail::unregister_sockfs<Net>,
                    .needs = "init_inodecache"},
      initcall<Net>{.level = initcall_level::core,
                    .name = "kern_mount",
                    .init = detail::mount_sockfs<Net>,
                    .exit = detail::unmount_sockfs<Net>,
                    .needs = "register_filesystem"},
  };
  // As a device operation its exit comes before every subsystem's: sockets first, protocols after.
  template <class Net>
  static constexpr std::array pernet_ops{
      pernet_operations<Net>{.name = "sockfs_ops", .exit = detail::sockfs_exit_net<Net>, .device = true},
  };
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{drop_reason::no_socket, "NO_SOCKET"},
      drop_reason_def<Net>{drop_reason::socket_rcvbuff, "SOCKET_RCVBUFF"},
      drop_reason_def<Net>{drop_reason::socket_filter, "SOCKET_FILTER"},
      drop_reason_def<Net>{drop_reason::socket_backlog, "SOCKET_BACKLOG"},
      drop_reason_def<Net>{drop_reason::socket_close, "SOCKET_CLOSE"},
      drop_reason_def<Net>{drop_reason::proto_mem, "PROTO_MEM"},
  };
};

}  // namespace netstack
