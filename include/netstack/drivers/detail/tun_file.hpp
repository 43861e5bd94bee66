// SPDX-License-Identifier: BSL-1.0
// Decides: how one queue of a Linux TUN or TAP interface is claimed, described and let go: the system calls, and what
// each refusal means. Knows no stack.
// Linux: drivers/net/tun.c; Documentation/networking/tuntap.rst
#pragma once
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "netstack/base/config.hpp"
#include "netstack/base/result.hpp"

namespace netstack::drivers::detail {

// linux/if_tun.h and net/if.h define names that are ours as well (ethhdr, iphdr, IFF_UP), so their part in this is
// written down here.
namespace tun_abi {
inline constexpr int iff_tun = 0x0001, iff_tap = 0x0002, iff_multi_queue = 0x0100, iff_attach_queue = 0x0200,
                     iff_detach_queue = 0x0400, iff_no_pi = 0x1000, iff_vnet_hdr = 0x4000;
inline constexpr unsigned tun_f_csum = 0x01, tun_f_tso4 = 0x02, tun_f_tso6 = 0x04, tun_f_tso_ecn = 0x08;
inline constexpr unsigned long tunsetiff = _IOW('T', 202, int), tunsetoffload = _IOW('T', 208, unsigned),
                               tunsetqueue = _IOW('T', 217, int);
inline constexpr std::size_t name_size = 16;
/// struct ifreq, as far as it goes here.
struct ifreq {
  char name[name_size]{};
  union {
    short flags;
    int mtu;
    char pad[24]{};
  };
};
static_assert(sizeof(ifreq) == 40);
}  // namespace tun_abi

/// What stands in front of each frame with IFF_VNET_HDR, in host byte order (struct virtio_net_hdr).
struct virtio_net_hdr {
  static constexpr u8 needs_csum = 1, data_valid = 2;  // flags
  static constexpr u8 gso_none = 0, gso_tcpv4 = 1, gso_udp = 3, gso_tcpv6 = 4, gso_udp_l4 = 5, gso_ecn = 0x80;
  u8 flags = 0;
  u8 gso_type = gso_none;
  u16 hdr_len = 0;
  u16 gso_size = 0;
  u16 csum_start = 0;
  u16 csum_offset = 0;
};
static_assert(sizeof(virtio_net_hdr) == 10);

class tun_file {
  int fd_ = -1;
  char name_[tun_abi::name_size]{};

  static failure last_error() { return failure{static_cast<std::errc>(errno)}; }

 public:
  tun_file() = default;
  tun_file(tun_file const&) = delete;
  tun_file& operator=(tun_file const&) = delete;
  ~tun_file() { close(); }

  [[nodiscard]] int fd() const { return fd_; }
  /// Linux's name of the interface.
  [[nodiscard]] std::string_view ifname() const { return name_; }

  /// flags: tun_abi::iff_tun or iff_tap, with iff_vnet_hdr and iff_multi_queue if wanted. An empty name lets the kernel
  /// choose. Errors: no_such_device, permission_denied (of /dev/net/tun); device_or_resource_busy,
  /// operation_not_permitted, invalid_argument (of the interface).
  result<void> open(char const (&ifname)[tun_abi::name_size], int flags) {
    fd_ = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd_ < 0) {
      if (errno == ENOENT || errno == ENXIO) errno = ENODEV;
      return last_error();
    }
    tun_abi::ifreq ifr;
    ifr.flags = static_cast<short>(flags | tun_abi::iff_no_pi);
    std::memcpy(ifr.name, ifname, sizeof ifname - 1);
    if (::ioctl(fd_, tun_abi::tunsetiff, &ifr) < 0) {
      auto const why = last_error();
      close();
      return why;
    }
    std::memcpy(name_, ifr.name, sizeof name_);
    return {};
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  /// Which frames the kernel may hand over unfinished (tun_abi::tun_f_…).
  result<void> set_offload(unsigned offloads) {
    if (::ioctl(fd_, tun_abi::tunsetoffload, offloads) < 0) return last_error();
    return {};
  }
  /// One of several queues stops, or starts again, to get its share of the flows.
  void set_attached(bool attached) {
    tun_abi::ifreq ifr;
    ifr.flags = static_cast<short>(attached ? tun_abi::iff_attach_queue : tun_abi::iff_detach_queue);
    (void)::ioctl(fd_, tun_abi::tunsetqueue, &ifr);  // EINVAL: it is so already
  }
  /// Throws away what waits to be read.
  void drain() {
    char byte;
    while (::read(fd_, &byte, 1) >= 0 || errno == EINVAL) {  // EINVAL: gone, and too long for one byte
    }
  }

  /// Linux's own end: up, and with this MTU unless it is 0.
  result<void> configure_linux_side(bool up, u32 mtu) {
    int const s = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0) return last_error();
    tun_abi::ifreq ifr;
    std::memcpy(ifr.name, name_, sizeof name_);
    bool good = true;
    if (mtu != 0) {
      ifr.mtu = static_cast<int>(mtu);
      good = ::ioctl(s, SIOCSIFMTU, &ifr) == 0;
    }
    if (good && up) {
      good = ::ioctl(s, SIOCGIFFLAGS, &ifr) == 0;
      ifr.flags = static_cast<short>(ifr.flags | 1);  // IFF_UP
      good = good && ::ioctl(s, SIOCSIFFLAGS, &ifr) == 0;
    }
    auto const why = last_error();
    ::close(s);
    if (!good) return why;
    return {};
  }
};

/// One line for a person: why the interface could not be had, and what to do about it.
constexpr std::string_view explain_tun(std::errc why) {
  switch (why) {
    case std::errc::no_such_device:
      return "/dev/net/tun is missing: load the module with `modprobe tun`, or give the container that device";
    case std::errc::permission_denied:
      return "/dev/net/tun may not be opened: run as root, or have its permissions changed";
    case std::errc::operation_not_permitted:
      return "CAP_NET_ADMIN is needed: run as root, or let root run `ip tuntap add dev NAME mode tap user USER` first";
    case std::errc::device_or_resource_busy:
      return "another program uses this interface: stop it, or choose another name";
    case std::errc::invalid_argument:
      return "an interface of this name exists, but is of another kind: choose another name, or see `ip link show "
             "NAME`";
    case std::errc::too_many_files_open:
    case std::errc::too_many_files_open_in_system: return "too many open files: raise the limit with `ulimit -n`";
    default: return "the kernel refused the interface: see `dmesg`";
  }
}

}  // namespace netstack::drivers::detail
