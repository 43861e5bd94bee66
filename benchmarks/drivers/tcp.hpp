// SPDX-License-Identifier: BSL-1.0
// Decides: what a TCP connection with Linux is measured against: Linux's own end of it, on the other processor and in
// a network namespace of its own, with a veth pair between; and Linux in our place. No side leaves segments to a
// device, since native XDP lets none; checksums are left to it in our place, but not at Linux's end, of which XDP would
// not say.
#pragma once
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <atomic>

#include "raw.hpp"

namespace rates {

inline constexpr unsigned mss = 1448;            // at an MTU of 1500, with time stamps
inline constexpr std::size_t piece = 44 * mss;   // that a program writes or reads at once
inline constexpr std::uint16_t tcp_port = 5001;  // of the end that listens, which is the one that receives

inline sockaddr_in end_of(char const* addr) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(tcp_port);
  must(::inet_pton(AF_INET, addr, &at.sin_addr) == 1, "inet_pton");
  return at;
}
inline void without_offloads(char const* interface, bool checksums, bool gro = false) {
  int const fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (int const what : {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO}) {
    ethtool_value off{static_cast<std::uint32_t>(what),
                      (what == ETHTOOL_STXCSUM && checksums) || (what == ETHTOOL_SGRO && gro)};
    ifreq request{};
    std::strcpy(request.ifr_name, interface);
    request.ifr_data = reinterpret_cast<char*>(&off);
    must(::ioctl(fd, SIOCETHTOOL, &request) == 0, "SIOCETHTOOL");
  }
  ::close(fd);
}

inline int listening(char const* addr) {
  int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto const at = end_of(addr);
  must(::bind(fd, reinterpret_cast<sockaddr const*>(&at), sizeof at) == 0 && ::listen(fd, 1) == 0, "listen");
  return fd;
}
inline int connected(char const* addr) {
  int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto const to = end_of(addr);
  must(::connect(fd, reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0, "connect");
  return fd;
}

/// Keeps the processors from halting until the process ends: to wake one that is, takes the sender's time, which
/// another machine would not (Linux: Documentation/power/pm_qos_interface.rst).
inline void stay_awake() {
  int const fd = ::open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
  std::int32_t const none = 0;
  must(fd >= 0 && ::write(fd, &none, sizeof none) == sizeof none, "/dev/cpu_dma_latency");
}

/// The far end, 192.0.2.2 at nst1; nst0 of the caller's namespace is its peer. Until the process ends it takes what
/// comes, or sends what goes.
class linux_end {
  std::atomic<bool> ready_{false};

 public:
  /// gro_sink takes in what comes, and merges it, in a thread of its interface's on its own processor
  /// (docs/drivers.md), as a machine of its own would; sink has most of that done in the sender's calls. Merging takes
  /// a sender without TSO.
  enum kind { sink, gro_sink, source };
  explicit linux_end(kind what) {
    int const here = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    must(here >= 0, "/proc/thread-self/ns/net");
    std::thread([this, what, here] {
      pin(false);
      must(::unshare(CLONE_NEWNET) == 0, "unshare");
      command(
          "ip link add nst1 address 02:00:00:00:00:03 type veth peer name nst0 address 02:00:00:00:00:01 netns /proc/" +
          std::to_string(::getpid()) + "/fd/" + std::to_string(here) +
          " && ip addr add 192.0.2.2/24 dev nst1 && ip link set nst1 up");
      without_offloads(far_ifname, false, what == gro_sink);
      if (what == gro_sink)
        command(
            "unshare -m sh -c 'mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/nst1/threaded' && "
            "for thread in $(grep -ls ^napi/nst1- /proc/[0-9]*/comm); do "
            "taskset -pc " +
            std::to_string(::sched_getcpu()) + " $(basename ${thread%/comm}) > /dev/null; done");
      int const listener = what != source ? listening("192.0.2.2") : -1;
      ready_ = true;
      int const fd = what != source ? ::accept(listener, nullptr, nullptr) : connected("192.0.2.1");
      must(fd >= 0, "Linux's end");
      std::vector<char> bytes(piece);
      while ((what != source ? ::recv(fd, bytes.data(), piece, 0) : ::send(fd, bytes.data(), piece, 0)) > 0) continue;
    }).detach();
    for (double const end = now() + 5; !ready_ && now() < end;) std::this_thread::yield();
    must(ready_, "Linux's end");
    command("ip link set nst0 up");
    if (what == gro_sink) without_offloads(ifname, true), stay_awake();
  }
};

/// Whole segments in so many more bytes.
class segments {
  std::uint64_t bytes_ = 0, told_ = 0;

 public:
  std::uint64_t add(std::uint64_t more) {
    auto const before = std::exchange(told_, (bytes_ += more) / mss);
    return told_ - before;
  }
};

namespace raw {

/// Linux in our place, without a pause: as busy as ours.
inline double tcp_end(meter m, linux_end::kind far) {
  linux_end const other{far};
  command("ip addr add 192.0.2.1/24 dev nst0");
  without_offloads(ifname, true);
  int const fd = far != linux_end::source ? connected("192.0.2.2") : ::accept(listening("192.0.2.1"), nullptr, nullptr);
  must(fd >= 0, "our end");
  std::vector<char> bytes(piece);
  segments done;
  return m.sent([&] {
    auto const n = far != linux_end::source ? ::send(fd, bytes.data(), piece, MSG_DONTWAIT)
                                            : ::recv(fd, bytes.data(), piece, MSG_DONTWAIT);
    return done.add(n > 0 ? static_cast<std::uint64_t>(n) : 0);
  });
}
inline double tcp_tx(meter m, frame) { return tcp_end(m, linux_end::sink); }
inline double tcp_tx_gro(meter m, frame) { return tcp_end(m, linux_end::gro_sink); }
inline double tcp_rx(meter m, frame) { return tcp_end(m, linux_end::source); }

}  // namespace raw

}  // namespace rates
