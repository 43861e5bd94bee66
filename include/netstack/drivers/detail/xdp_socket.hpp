// SPDX-License-Identifier: BSL-1.0
// Decides: how one queue of an interface is claimed: a socket, its four rings, and the pool's frames as UMEM, our own
// or one that another socket of this worker registered. What the kernel offers of zero copy and of frames in several
// pieces is found by asking for the best first. Knows no packet. (libxdp would keep the first socket of a UMEM until
// the last goes, so that its queue could not be given back; therefore the system calls themselves.)
// Linux: Documentation/networking/af_xdp.rst, net/xdp/xsk.c
#pragma once
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "netstack/base/result.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/drivers/detail/xdp_attachment.hpp"
#include "netstack/drivers/detail/xdp_ring.hpp"

namespace netstack::drivers {

/// Whether the interface's hardware works on the pool's frames themselves.
enum class xdp_copy : u8 { automatic, zero_copy, copy };

namespace detail {

/// What a socket is told when it is opened.
struct xdp_setup {
  char ifname[ifnamsiz]{};
  u32 ifindex = 0;
  u32 queue = 0;
  u32 rx_ring = 2048, tx_ring = 2048;
  xdp_copy copy = xdp_copy::automatic;
  bool multi_buffer = true;
  bool tx_checksums = false;
  bool need_wakeup = true;
  u32 tx_budget = 256;
  u32 busy_poll_us = 0;
  u32 busy_poll_budget = 64;
  u32 patience_ms = 1000;
};

/// Memory that the kernel may receive into and send from.
struct xdp_memory {
  std::byte* at = nullptr;
  u64 bytes = 0;
  u32 frame_size = 0;
  u32 headroom = 0;  ///< in front of a received frame, the kernel's own 256 bytes not counted
};

/// Whether the running kernel is at least this one.
inline bool linux_since(u32 major, u32 minor) {
  ::utsname name{};
  u32 a = 0, b = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &a, &b) != 2) return false;
  return a > major || (a == major && b >= minor);
}

class xdp_socket {
  int fd_ = -1;
  bool multi_ = false, zero_copy_ = false;
  u32 tx_metadata_ = 0;

 public:
  xdp_producer<u64> fill;
  xdp_producer<::xdp_desc> tx;
  xdp_consumer<::xdp_desc> rx;
  xdp_consumer<u64> completion;

  xdp_socket() = default;
  xdp_socket(xdp_socket const&) = delete;
  xdp_socket& operator=(xdp_socket const&) = delete;
  ~xdp_socket() { close(); }

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  /// Frames may consist of several pieces.
  [[nodiscard]] bool multi() const { return multi_; }
  [[nodiscard]] bool zero_copy() const { return zero_copy_; }
  /// Bytes that must lie in front of each piece that is sent, in its frame, for what the kernel is told of it.
  [[nodiscard]] u32 tx_metadata() const { return tx_metadata_; }

  /// `sibling`: a bound socket over the same memory, or null. Errors: device_or_resource_busy (somebody has the queue),
  /// operation_not_permitted, no_such_device_or_address (no such queue), invalid_argument (a frame size or ring that
  /// AF_XDP cannot use), no_buffer_space (RLIMIT_MEMLOCK), operation_not_supported, the kernel's.
  result<void> open(xdp_setup const& setup, xdp_memory const& memory, xdp_socket const* sibling) {
    std::errc why = try_open(setup, memory, sibling);
    // Sockets that share a UMEM are of one kind; where this one cannot be of that, it registers the frames again.
    if (why != std::errc{} && why != std::errc::device_or_resource_busy && sibling)
      why = try_open(setup, memory, nullptr);
    if (why != std::errc{}) return failure{why};
    set_options(setup);
    return {};
  }
  /// When it returns, the kernel touches no frame of ours.
  void close() {
    if (fd_ < 0) return;
    ::close(std::exchange(fd_, -1));
    fill.unmap(), tx.unmap(), rx.unmap(), completion.unmap();
  }

  /// Has the kernel look at the tx ring, until it is empty or takes no more just now. Counts calls.
  /// Answers an error of the interface (network_down, …).
  std::errc kick(u64& calls) {
    for (;;) {
      u32 const before = tx.pending();
      if (before == 0) return {};
      ++calls;
      if (::sendto(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 && errno != EAGAIN)
        return errno == EBUSY || errno == ENOBUFS ? std::errc{} : static_cast<std::errc>(errno);
      // EAGAIN: its budget for one call is used up, or the device is slower than we.
      if (zero_copy_ || tx.pending() == before) return {};
    }
  }
  /// Has the kernel look at the device, and at the fill ring.
  void wake_rx() const { (void)::recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr); }

  [[nodiscard]] ::xdp_statistics statistics() const {
    ::xdp_statistics s{};
    socklen_t size = sizeof s;
    if (fd_ >= 0) (void)::getsockopt(fd_, SOL_XDP, XDP_STATISTICS, &s, &size);
    return s;
  }

 private:
  template <class T>
  bool set(int level, int option, T const& value) const {
    return ::setsockopt(fd_, level, option, &value, sizeof value) == 0;
  }

  std::errc try_open(xdp_setup const& setup, xdp_memory const& memory, xdp_socket const* sibling) {
    std::errc why = create(setup, memory, sibling);
    for (patience left{setup.patience_ms}; why == std::errc{};) {
      why = sibling ? bind(setup, 0, sibling->fd_, XDP_SHARED_UMEM) : bind_best(setup);
      if (sibling) multi_ = sibling->multi_;
      if (why == std::errc::invalid_argument) why = std::errc::no_such_device_or_address;  // memory and rings are good
      // A queue that was given back a moment ago is still being cleaned up.
      if (why != std::errc::device_or_resource_busy || !left.wait()) break;
      why = {};
    }
    if (why == std::errc{}) {
      ::xdp_options options{};
      socklen_t size = sizeof options;
      zero_copy_ =
          ::getsockopt(fd_, SOL_XDP, XDP_OPTIONS, &options, &size) == 0 && (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
    } else {
      close();
    }
    return why;
  }

  /// The socket with its rings, not yet bound.
  std::errc create(xdp_setup const& setup, xdp_memory const& memory, xdp_socket const* sibling) {
    fd_ = ::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return static_cast<std::errc>(errno);
    auto const refused = [this] {
      auto const why = static_cast<std::errc>(errno);
      close();
      return why;
    };
    if (sibling)
      tx_metadata_ = sibling->tx_metadata_;
    else if (!register_memory(setup.tx_checksums, memory))
      return refused();
    if (!set(SOL_XDP, XDP_UMEM_FILL_RING, setup.rx_ring) || !set(SOL_XDP, XDP_UMEM_COMPLETION_RING, setup.tx_ring) ||
        !set(SOL_XDP, XDP_RX_RING, setup.rx_ring) || !set(SOL_XDP, XDP_TX_RING, setup.tx_ring))
      return refused();
    ::xdp_mmap_offsets at{};
    socklen_t size = sizeof at;
    if (::getsockopt(fd_, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) != 0 ||
        !fill.map(fd_, XDP_UMEM_PGOFF_FILL_RING, at.fr, setup.rx_ring) ||
        !completion.map(fd_, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr, setup.tx_ring) ||
        !rx.map(fd_, XDP_PGOFF_RX_RING, at.rx, setup.rx_ring) || !tx.map(fd_, XDP_PGOFF_TX_RING, at.tx, setup.tx_ring))
      return refused();
    return {};
  }
  /// With room for a csum_request in front of each frame, if that is wanted and the kernel knows it.
  bool register_memory(bool requests, xdp_memory const& memory) {
    xdp_abi::umem_reg umem{.addr = reinterpret_cast<std::uintptr_t>(memory.at),
                           .len = memory.bytes,
                           .chunk_size = memory.frame_size,
                           .headroom = memory.headroom,
                           .flags = umem.has_tx_metadata_len,
                           .tx_metadata_len = sizeof(xdp_abi::csum_request)};
    tx_metadata_ = requests && set(SOL_XDP, XDP_UMEM_REG, umem) ? umem.tx_metadata_len : 0;
    if (tx_metadata_ != 0) return true;
    umem.flags = umem.tx_metadata_len = 0;
    return set(SOL_XDP, XDP_UMEM_REG, umem);
  }
  std::errc bind(xdp_setup const& setup, int flags, int umem_fd, int shared) const {
    ::sockaddr_xdp to{};
    to.sxdp_family = AF_XDP;
    to.sxdp_flags = static_cast<u16>(flags | shared);
    to.sxdp_ifindex = setup.ifindex;
    to.sxdp_queue_id = setup.queue;
    to.sxdp_shared_umem_fd = static_cast<u32>(umem_fd);
    return ::bind(fd_, reinterpret_cast<::sockaddr const*>(&to), sizeof to) == 0 ? std::errc{}
                                                                                 : static_cast<std::errc>(errno);
  }
  /// Zero copy before copying, pieces before none.
  std::errc bind_best(xdp_setup const& setup) {
    std::errc why{};
    for (int const kind : {XDP_ZEROCOPY, XDP_COPY}) {
      if (setup.copy == (kind == XDP_COPY ? xdp_copy::zero_copy : xdp_copy::copy)) continue;
      for (bool const pieces : {true, false}) {
        if (pieces && !setup.multi_buffer) continue;
        why = bind(setup, kind | (setup.need_wakeup ? XDP_USE_NEED_WAKEUP : 0) | (pieces ? xdp_abi::use_sg : 0), 0, 0);
        multi_ = pieces;
        if (why == std::errc{} || why == std::errc::device_or_resource_busy) return why;
      }
    }
    return why;
  }
  /// What the kernel has of it; none is needed.
  void set_options(xdp_setup const& setup) {
    int const budget = static_cast<int>(std::min(setup.tx_budget, setup.tx_ring));
    (void)set(SOL_XDP, xdp_abi::max_tx_skb_budget, budget);
    // In copy mode every frame in flight is charged to the socket.
    int const room = 64 << 20;
    if (!set(SOL_SOCKET, SO_SNDBUFFORCE, room)) (void)set(SOL_SOCKET, SO_SNDBUF, room);
    if (setup.busy_poll_us == 0) return;
    int const on = 1, us = static_cast<int>(setup.busy_poll_us), n = static_cast<int>(setup.busy_poll_budget);
    (void)set(SOL_SOCKET, xdp_abi::so_prefer_busy_poll, on);
    (void)set(SOL_SOCKET, SO_BUSY_POLL, us);
    (void)set(SOL_SOCKET, xdp_abi::so_busy_poll_budget, n);
  }
};

/// After a socket with zero copy was closed: waits until the hardware has let go of its frames too, which is when
/// somebody else can have the queue.
inline void xdp_await_release(xdp_setup setup) {
  alignas(4096) std::byte page[4096];
  setup.copy = xdp_copy::copy;
  setup.rx_ring = setup.tx_ring = 2;
  setup.tx_budget = setup.busy_poll_us = 0;
  setup.patience_ms = 2000;
  xdp_socket probe;
  (void)probe.open(setup, {page, sizeof page, sizeof page, 0}, nullptr);
}

}  // namespace detail
}  // namespace netstack::drivers
