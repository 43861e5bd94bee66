// SPDX-License-Identifier: BSL-1.0
// Decides: how frames pass to and from a Linux TAP interface: one fd a queue, one read or write a frame, straight into
// and out of pool frames. [S74]
// Linux: drivers/net/tun.c; Documentation/networking/tuntap.rst
#pragma once
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "netstack/core/netdev.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/registry/netdev_ops.hpp"

namespace netstack::drivers {

struct tap : driver {
  static constexpr char const* name = "tap";
  struct params {
    char ifname[ifnamsiz]{};
    mac_addr mac{{0x02, 0, 0, 0, 0, 0x01}};
  };
  struct priv {
    int fd = -1;
  };
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    auto const n = ::write(netdev_priv<tap>(dev).fd, skb.data, skb.len);
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) return netdev_tx::busy;
    if (n < 0) ++dev.stats.tx_errors;
    consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    u32 n = 0;
    for (; n < budget; ++n) {
      sk_buff* skb = net.worker().pool.alloc_skb();
      if (!skb) break;
      auto const got = ::read(netdev_priv<tap>(dev).fd, skb->data, skb->tailroom());
      if (got <= 0) {
        consume_skb(*skb);
        break;
      }
      skb->put(static_cast<u32>(got));
      ++dev.stats.rx_packets;
      dev.stats.rx_bytes += static_cast<u64>(got);
      eth_type_trans(*skb, dev);
      rx.push_back(*skb);
    }
    return n;
  }
  template <class Net>
  static int poll_fd(Net&, net_device& dev) {
    return netdev_priv<tap>(dev).fd;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_poll_fd = poll_fd<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    int const fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return failure{static_cast<std::errc>(errno)};
    ifreq ifr{};
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
    std::copy(std::begin(p.ifname), std::end(p.ifname), ifr.ifr_name);
    if (::ioctl(fd, TUNSETIFF, &ifr) < 0) {
      auto const why = static_cast<std::errc>(errno);
      ::close(fd);
      return failure{why};
    }
    netdev_priv<tap>(dev).fd = fd;
    ether_setup(dev);
    dev.dev_addr = p.mac;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device& dev) {
    ::close(netdev_priv<tap>(dev).fd);
  }
};

}  // namespace netstack::drivers
