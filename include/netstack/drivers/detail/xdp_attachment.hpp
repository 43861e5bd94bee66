// SPDX-License-Identifier: BSL-1.0
// Decides: who attaches the XDP program to an interface and who finds it there, and how a queue joins it. No state
// outside the kernel: the program's name says whose it is and by which filter, its maps and its link are found by its
// number, and each claimant holds the link. [S73]
// Linux: kernel/bpf/syscall.c (bpf_link), net/core/dev.c (dev_xdp_attach)
#pragma once
#include <time.h>

#include "netstack/base/jhash.hpp"
#include "netstack/drivers/detail/xdp_program.hpp"

namespace netstack::drivers::detail {

class fd_holder {
  int fd_ = -1;

 public:
  fd_holder() = default;
  explicit fd_holder(int fd) : fd_(fd) {}
  fd_holder(fd_holder&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  fd_holder& operator=(fd_holder&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~fd_holder() { reset(); }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
};

/// What somebody else is giving up just now is asked for again: at first every millisecond, then less often.
class patience {
  u32 left_ms_;
  u32 step_ms_ = 1;
  u32 tries_ = 0;

 public:
  explicit patience(u32 ms) : left_ms_(ms) {}
  /// Sleeps a little; false: it has lasted long enough.
  bool wait() {
    if (left_ms_ == 0) return false;
    if (++tries_ % 16 == 0 && step_ms_ < 16) step_ms_ *= 2;
    u32 const ms = step_ms_ < left_ms_ ? step_ms_ : left_ms_;
    timespec const t{0, static_cast<long>(ms) * 1'000'000};
    ::nanosleep(&t, nullptr);
    left_ms_ -= ms;
    return true;
  }
};

class xdp_attachment {
  fd_holder map_, link_;
  bool native_ = false;

  static constexpr u8 attached_none = 0, attached_drv = 1;  // linux/if_link.h: XDP_ATTACHED_…
  using name_text = std::array<char, BPF_OBJ_NAME_LEN>;
  /// netstack and what was asked for: others with the same wishes may join.
  static name_text name_of(xdp_filter const& filter) {
    u32 words[(sizeof filter + 3) / 4]{};
    std::memcpy(words, &filter, sizeof filter);
    u32 hash = 0;
    for (u32 word : words) hash = jhash_1word(word, hash);
    name_text name{};
    std::snprintf(name.data(), name.size(), "netstack%07x", hash & 0xfffffffu);
    return name;
  }
  static std::errc error_of(int negative) { return static_cast<std::errc>(negative < 0 ? -negative : EIO); }

  /// The interface has a program already. text_file_busy: one that others do not join; no_such_file_or_directory: it
  /// had.
  std::errc join(u32 prog, name_text const& name) {
    fd_holder const program{::bpf_prog_get_fd_by_id(prog)};
    if (!program) return static_cast<std::errc>(errno);
    ::bpf_prog_info info{};
    u32 maps[4]{};
    info.nr_map_ids = std::size(maps);
    info.map_ids = reinterpret_cast<std::uintptr_t>(maps);
    u32 size = sizeof info;
    if (int const r = ::bpf_obj_get_info_by_fd(program.get(), &info, &size); r != 0) return error_of(r);
    if (std::string_view(info.name) != name.data() || info.nr_map_ids != 1) return std::errc::text_file_busy;
    map_ = fd_holder{::bpf_map_get_fd_by_id(maps[0])};
    for (u32 id = 0; map_ && ::bpf_link_get_next_id(id, &id) == 0;) {
      fd_holder link{::bpf_link_get_fd_by_id(id)};
      ::bpf_link_info of{};
      size = sizeof of;
      if (!link || ::bpf_obj_get_info_by_fd(link.get(), &of, &size) != 0) continue;
      if (of.type != BPF_LINK_TYPE_XDP || of.prog_id != prog) continue;
      link_ = std::move(link);
      return {};
    }
    return std::errc::no_such_file_or_directory;
  }
  std::errc attach(u32 ifindex, xdp_filter const& filter, xdp_mode mode, name_text const& name) {
    map_ = fd_holder{::bpf_map_create(BPF_MAP_TYPE_XSKMAP, "netstack_xsks", 4, 4, max_queues, nullptr)};
    if (!map_) return static_cast<std::errc>(errno);
    xdp_code const code{filter, map_.get(), XDP_PASS};
    fd_holder program{code.load_program(name.data(), true)};
    if (!program) program = fd_holder{code.load_program(name.data(), false)};
    if (!program) return static_cast<std::errc>(errno);
    std::errc why{};
    for (bool const native : {true, false}) {
      if (mode == (native ? xdp_mode::skb : xdp_mode::native)) continue;
      constexpr u32 skb_mode = 1u << 1, drv_mode = 1u << 2;  // XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE
      ::bpf_link_create_opts options{};
      options.sz = sizeof options;
      options.flags = native ? drv_mode : skb_mode;
      link_ = fd_holder{::bpf_link_create(program.get(), static_cast<int>(ifindex), BPF_XDP, &options)};
      native_ = native;
      if (link_) return {};
      why = static_cast<std::errc>(errno);
      if (why == std::errc::device_or_resource_busy || why == std::errc::file_exists) break;
    }
    return why;
  }

 public:
  static constexpr u32 max_queues = 64;

  /// Waits up to `patience_ms` for an earlier user's program to vanish. Errors: text_file_busy (a program that is not
  /// ours, filters otherwise, or is not attached in the mode that is asked for), operation_not_permitted, the kernel's.
  result<void> open(u32 ifindex, xdp_filter const& filter, xdp_mode mode, u32 patience_ms) {
    auto const name = name_of(filter);
    for (patience left{patience_ms};;) {
      ::bpf_xdp_query_opts there{};
      there.sz = sizeof there;
      std::errc why;
      if (int const r = ::bpf_xdp_query(static_cast<int>(ifindex), 0, &there); r != 0) {
        why = error_of(r);
      } else if (there.attach_mode == attached_none) {
        why = attach(ifindex, filter, mode, name);
      } else {
        native_ = there.attach_mode == attached_drv;
        bool const as_asked = mode == xdp_mode::automatic || native_ == (mode == xdp_mode::native);
        why = as_asked ? join(there.prog_id, name) : std::errc::text_file_busy;
      }
      if (why == std::errc{}) return {};
      close();
      // Somebody else came or went between two of our questions.
      bool const again = why == std::errc::text_file_busy || why == std::errc::device_or_resource_busy ||
                         why == std::errc::file_exists || why == std::errc::no_such_file_or_directory;
      if (!again || !left.wait()) return failure{again ? std::errc::text_file_busy : why};
    }
  }
  /// From now on the frames of this queue go to the socket, until it is closed.
  [[nodiscard]] bool redirect(u32 queue, int socket) const {
    return ::bpf_map_update_elem(map_.get(), &queue, &socket, BPF_ANY) == 0;
  }
  void forget(u32 queue) const { (void)::bpf_map_delete_elem(map_.get(), &queue); }
  void close() { link_.reset(), map_.reset(); }
  [[nodiscard]] bool native() const { return native_; }
};

}  // namespace netstack::drivers::detail
