// SPDX-License-Identifier: BSL-1.0
// Decides: how a test looks at the kernel's own network tables without touching the machine's: a thread in a network
// namespace of its own, with a TAP device that it configures by ioctl. Needs root.
// Outside namespace netstack, whose sockaddr is another.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

namespace support {

/// Runs f in a fresh network namespace, on a thread of its own; false if the system does not allow that.
template <class F>
[[nodiscard]] bool in_new_netns(F f) {
  bool allowed = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    allowed = true;
    f();
  }).join();
  return allowed;
}

/// The text of a file under the calling thread's own /proc/…/net.
inline constexpr char const* own_proc_net = "/proc/thread-self/net/";

/// A TAP device of the kernel in the calling thread's namespace, up, with an address.
class kernel_tap {
  int tun_ = -1;
  int control_ = -1;
  std::string name_;

  static sockaddr address(char const* text) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    ::inet_pton(AF_INET, text, &in.sin_addr);
    sockaddr out;
    std::memcpy(&out, &in, sizeof out);
    return out;
  }
  ifreq request() const {
    ifreq r{};
    std::strncpy(r.ifr_name, name_.c_str(), IFNAMSIZ - 1);
    return r;
  }

 public:
  kernel_tap(char const* name, char const* addr, char const* mask) : name_(name) {
    tun_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    control_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq r = request();
    r.ifr_flags = IFF_TAP | IFF_NO_PI;
    ok = tun_ >= 0 && ::ioctl(tun_, TUNSETIFF, &r) == 0;
    r = request();
    r.ifr_addr = address(addr);
    ok = ok && ::ioctl(control_, SIOCSIFADDR, &r) == 0;
    r = request();
    r.ifr_netmask = address(mask);
    ok = ok && ::ioctl(control_, SIOCSIFNETMASK, &r) == 0;
    r = request();
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    ok = ok && ::ioctl(control_, SIOCSIFFLAGS, &r) == 0;
  }
  ~kernel_tap() {
    if (control_ >= 0) ::close(control_);
    if (tun_ >= 0) ::close(tun_);
  }
  kernel_tap(kernel_tap const&) = delete;
  kernel_tap& operator=(kernel_tap const&) = delete;

  bool ok = false;

  /// A route; gateway null: directly connected. flags: RTF_REJECT and the like, beside what follows from the rest.
  bool add_route(char const* dst, char const* mask, char const* gateway, short metric, unsigned short flags = 0) {
    rtentry rt{};
    rt.rt_dst = address(dst);
    rt.rt_genmask = address(mask);
    rt.rt_flags = static_cast<unsigned short>(RTF_UP | flags);
    if (gateway) {
      rt.rt_gateway = address(gateway);
      rt.rt_flags |= RTF_GATEWAY;
    }
    if (std::strcmp(mask, "255.255.255.255") == 0) rt.rt_flags |= RTF_HOST;
    rt.rt_metric = static_cast<short>(metric + 1);
    if (!(flags & RTF_REJECT)) rt.rt_dev = name_.data();
    return ::ioctl(control_, SIOCADDRT, &rt) == 0;
  }
  /// A neighbour that stays; incomplete ones come by themselves when something is sent.
  bool add_arp(char const* addr, unsigned char const (&mac)[6], int flags) {
    arpreq a{};
    a.arp_pa = address(addr);
    a.arp_ha.sa_family = ARPHRD_ETHER;
    std::memcpy(a.arp_ha.sa_data, mac, 6);
    a.arp_flags = flags;
    std::strncpy(a.arp_dev, name_.c_str(), sizeof a.arp_dev - 1);
    return ::ioctl(control_, SIOCSARP, &a) == 0;
  }
  /// A neighbour that does not answer: a datagram to it waits.
  bool ask(char const* addr) {
    sockaddr to = address(addr);
    reinterpret_cast<sockaddr_in&>(to).sin_port = htons(9);
    return ::sendto(control_, "", 0, 0, &to, sizeof to) == 0;
  }
};

}  // namespace support
