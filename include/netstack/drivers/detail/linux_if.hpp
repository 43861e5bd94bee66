// SPDX-License-Identifier: BSL-1.0
// Decides: what a driver that sits on one of Linux's own interfaces asks of it and tells it: number, address, MTU,
// link; which foreign addresses its hardware shall let through. All by one packet socket that receives nothing, so the
// kernel takes the wishes back when the program ends, however it ends.
// Linux: packet(7), netdevice(7)
#pragma once
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "netstack/base/result.hpp"
#include "netstack/core/link_watch.hpp"

namespace netstack::drivers::detail {

class linux_if {
  int fd_ = -1;
  u32 ifindex_ = 0;
  bool promisc_ = false, allmulti_ = false;
  u8 groups_ = 0;
  mac_addr group_[max_mc_addr];

  // struct ifreq, as far as it goes here: net/if.h defines names that are ours as well.
  struct hw_addr {
    u16 family;
    u8 bytes[14];
  };
  struct ifreq {
    char name[ifnamsiz]{};
    union {
      short flags;
      int ifindex;
      int mtu;
      hw_addr address;
      char pad[24]{};
    };
  };
  static_assert(sizeof(ifreq) == 40);

  /// By number, since an interface may be renamed while it is in use.
  bool ask(unsigned long what, ifreq& answer) const {
    answer = {};
    answer.ifindex = static_cast<int>(ifindex_);
    if (::ioctl(fd_, SIOCGIFNAME, &answer) != 0) return false;
    return ::ioctl(fd_, what, &answer) == 0;
  }
  bool want(bool on, u16 type, mac_addr const& mac = {}) const {
    ::packet_mreq wish{};
    wish.mr_ifindex = static_cast<int>(ifindex_);
    wish.mr_type = type;
    wish.mr_alen = eth_alen;
    std::memcpy(wish.mr_address, mac.bytes.data(), eth_alen);
    return ::setsockopt(fd_, SOL_PACKET, on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &wish, sizeof wish) == 0;
  }

 public:
  static constexpr u16 arphrd_ether = 1;

  linux_if() = default;
  linux_if(linux_if const&) = delete;
  linux_if& operator=(linux_if const&) = delete;
  ~linux_if() { close(); }

  /// Errors: no_such_device, operation_not_permitted (no CAP_NET_RAW), the kernel's.
  result<void> open(std::string_view ifname) {
    if (ifname.empty() || ifname.size() >= ifnamsiz) return failure{std::errc::no_such_device};
    fd_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return failure{static_cast<std::errc>(errno)};
    ifreq r;
    ifname.copy(r.name, ifnamsiz - 1);
    if (::ioctl(fd_, SIOCGIFINDEX, &r) != 0) {
      auto const why = static_cast<std::errc>(errno);
      close();
      return failure{why};
    }
    ifindex_ = static_cast<u32>(r.ifindex);
    return {};
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    promisc_ = allmulti_ = false;
    groups_ = 0;
  }

  [[nodiscard]] u32 ifindex() const { return ifindex_; }
  /// 0: the interface is gone.
  [[nodiscard]] u32 mtu() const {
    ifreq r;
    return ask(SIOCGIFMTU, r) ? static_cast<u32>(r.mtu) : 0;
  }
  /// Up, with a carrier. False also when the interface is gone.
  [[nodiscard]] bool running() const {
    ifreq r;
    constexpr short up_and_running = 0x1 | 0x40;
    return ask(SIOCGIFFLAGS, r) && (r.flags & up_and_running) == up_and_running;
  }
  /// It was deleted, or went to another namespace.
  [[nodiscard]] bool gone() const {
    ifreq r;
    return !ask(SIOCGIFMTU, r) && errno == ENODEV;
  }
  /// The ARPHRD_… type, and the address if that is Ethernet.
  [[nodiscard]] u16 address(mac_addr& mac) const {
    ifreq r;
    if (!ask(SIOCGIFHWADDR, r)) return 0;
    std::memcpy(mac.bytes.data(), r.address.bytes, eth_alen);
    return r.address.family;
  }

  /// The hardware's filter lets pass what the device wants. If `mine` is not the interface's own address, that is
  /// everything.
  void set_rx_mode(net_device const& dev, mac_addr const& mine) {
    mac_addr own;
    bool const foreign = address(own) == arphrd_ether && own != mine;
    bool const promisc = (dev.flags & iff::promisc) != 0 || foreign, allmulti = (dev.flags & iff::allmulti) != 0;
    if (promisc != promisc_ && want(promisc, PACKET_MR_PROMISC)) promisc_ = promisc;
    if (allmulti != allmulti_ && want(allmulti, PACKET_MR_ALLMULTI)) allmulti_ = allmulti;
    auto const wanted = [&](mac_addr const& g) {
      for (u8 i = 0; i < dev.mc_count; ++i)
        if (dev.mc_list[i] == g) return true;
      return false;
    };
    auto const has = [&](mac_addr const& g) {
      for (u8 i = 0; i < groups_; ++i)
        if (group_[i] == g) return true;
      return false;
    };
    for (u8 i = 0; i < groups_;)
      if (wanted(group_[i]))
        ++i;
      else {
        want(false, PACKET_MR_MULTICAST, group_[i]);
        group_[i] = group_[--groups_];
      }
    for (u8 i = 0; i < dev.mc_count; ++i)
      if (!has(dev.mc_list[i]) && want(true, PACKET_MR_MULTICAST, dev.mc_list[i])) group_[groups_++] = dev.mc_list[i];
  }
};

/// The device has a carrier as long as the interface has one.
template <class Net>
void follow_link(Net& net, net_device& dev, linux_if const& interface) {
  if (interface.running() == dev.carrier_ok()) return;
  dev.carrier_ok() ? netif_carrier_off(net, dev) : netif_carrier_on(net, dev);
}

}  // namespace netstack::drivers::detail
