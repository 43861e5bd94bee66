// SPDX-License-Identifier: BSL-1.0
// A driver of your own: Ethernet frames over a connected datagram socket, one frame a message. Here the socket's other
// end is this program, which plays a station that asks for an address; any other process could.
// docs/writing-a-driver.md explains it part by part.
// RUN:
// OUTPUT: 1 frame of type 0806 from 02:00:00:00:00:02
// OUTPUT: 0 packets in use
#include <netstack/link/eth.hpp>
#include <netstack/stack/stack.hpp>

#include <sys/socket.h>

#include <cstdio>

using namespace netstack;

// --- the driver ------------------------------------------------------------------------------------------------------
// [state]
struct socket_wire : driver {
  static constexpr char const* name = "socket_wire";
  struct params {
    int fd = -1;  // a connected datagram socket; stays the caller's
    mac_addr mac{};
  };
  using priv = params;
  static int fd(net_device& dev) { return netdev_priv<socket_wire>(dev).fd; }
  // [/state]
  // [open]
  template <class Net>
  static result<void> open(Net&, net_device& dev) {
    for (char old; ::recv(fd(dev), &old, 1, MSG_DONTWAIT) >= 0;) continue;
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}  // send() has copied: nothing is in flight
  // [/open]
  // [xmit]
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    if (::send(fd(dev), skb.data, skb.len, MSG_DONTWAIT) < 0) {
      if (errno == EAGAIN || errno == ENOBUFS) return netdev_tx::busy;  // the core offers it again
      ++dev.stats.tx_errors;
    }
    consume_skb(skb);
    return netdev_tx::ok;
  }
  // [/xmit]
  // [poll]
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    for (u32 n = 0; n < budget; ++n) {
      sk_buff* skb = net.worker().pool.alloc_skb();
      if (!skb) return n;  // frames wait in the socket
      auto const got = ::recv(fd(dev), skb->data, skb->tailroom(), MSG_DONTWAIT);
      if (got < 0) return consume_skb(*skb), n;
      skb->put(static_cast<u32>(got));
      ++dev.stats.rx_packets, dev.stats.rx_bytes += skb->len;
      eth_type_trans(*skb, dev);
      rx.push_back(*skb);
    }
    return budget;
  }
  // [/poll]
  // [ops]
  template <class Net>
  static int poll_fd(Net&, net_device& dev) {
    return fd(dev);
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_poll_fd = poll_fd<Net>};
  // [/ops]
  // [probe]
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    ether_setup(dev);
    netdev_priv<socket_wire>(dev) = p;
    dev.dev_addr = p.mac;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
  // [/probe]
};
// ---------------------------------------------------------------------------------------------------------------------

// [use]
/// Listens to ARP, so that there is something to see.
struct watcher : module {
  template <class Net>
  static verdict rcv(Net&, sk_buff& skb) {
    char text[18];
    auto const from = format_mac(skb.mac_hdr<ethhdr>()->h_source, text);
    std::printf("1 frame of type %04x from %s\n", skb.protocol.host(), from.data());
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::arp, .func = rcv<Net>, .name = "watcher"}};
};

struct host : stack<host, watcher, socket_wire> {};

int main() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) return 1;
  host h;
  if (!h.boot()) return 1;
  auto dev = register_netdev<socket_wire>(h.init_net(), "sock%d", {.fd = ends[0], .mac = {{2, 0, 0, 0, 0, 1}}});
  if (!dev || !dev_open(h.init_net(), **dev)) return 1;
  ethhdr const frame{.h_dest = mac_broadcast, .h_source = {{2, 0, 0, 0, 0, 2}}, .h_proto = be16{eth_p::arp}};
  (void)!::write(ends[1], &frame, sizeof frame);
  h.poll();
  std::printf("%u packets in use\n", h.worker().pool.in_use());
  return 0;
}
// [/use]
