// SPDX-License-Identifier: BSL-1.0
// A wire between two TAP interfaces that misbehaves as drivers::fault_injector does, in real time: what
// scripts/bench_wires puts between two kernels. As root:
//   bridge TAP TAP LOSS_PPM RTT_NS REORDER_PPM REORDER_NS RATE_BPS QUEUE_BYTES
// Prints `ready`, and runs until it is told to stop (SIGTERM), ten minutes at most.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/netstack.hpp"

namespace {

using namespace netstack;
using cable = drivers::fault_injector<drivers::tap>;

/// Takes each frame of a device away before any protocol sees it, and sends it on by the other.
struct across : module {
  template <class Net>
  static rx_handler_result forward(Net& net, sk_buff& skb) {
    skb.push(eth_hlen);
    skb.dev = static_cast<net_device*>(skb.dev->rx_handler_data);
    (void)dev_queue_xmit(net, skb);
    return rx_handler_result::consumed;
  }
  template <class Net>
  static constexpr std::array rx_handlers{rx_handler<Net>{forward<Net>, "across"}};
};
struct host : stack<host, cable, across, sizes<config{.max_net = 1, .skb_pool = 65536}>> {};

volatile std::sig_atomic_t stop = 0;

u64 number(char const* text) { return std::strtoull(text, nullptr, 10); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9)
    return std::fputs("usage: bridge TAP TAP LOSS_PPM RTT_NS REORDER_PPM REORDER_NS RATE_BPS QUEUE_BYTES\n", stderr), 2;
  drivers::wire_faults const faults{.loss = static_cast<u32>(number(argv[3])),
                                    .reorder = static_cast<u32>(number(argv[5])),
                                    .reorder_ns = number(argv[6]),
                                    .delay_ns = number(argv[4]) / 2,
                                    .rate_bps = number(argv[7]),
                                    .queue = static_cast<u32>(number(argv[8])),
                                    .limit = 30'000};
  static host h;
  if (!h.boot()) return std::fputs("bridge: boot\n", stderr), 1;
  auto& net = h.init_net();
  net_device* devices[2];
  for (int i = 0; i < 2; ++i) {
    cable::params p{.tx = faults};
    p.inner.vnet_hdr = false;  // the kernels finish their frames themselves
    std::string_view const name{argv[1 + i]};
    name.copy(p.inner.ifname, ifnamsiz - 1);
    auto const dev = register_netdev<cable>(net, name, p);
    if (!dev) return std::fprintf(stderr, "bridge: %s: errno %d\n", argv[1 + i], static_cast<int>(dev.error())), 1;
    (void)dev_set_promiscuity(net, **dev, 1);
    if (!dev_open(net, **dev)) return std::fputs("bridge: a device does not open\n", stderr), 1;
    devices[i] = *dev;
  }
  for (int i = 0; i < 2; ++i) (void)netdev_rx_handler_register<across>(net, *devices[i], devices[1 - i]);
  std::signal(SIGTERM, [](int) { stop = 1; });
  std::signal(SIGINT, [](int) { stop = 1; });
  std::puts("ready");
  std::fflush(stdout);
  for (u64 const end = h.worker().now + 3'600'000'000'000; !stop && h.worker().now < end;)
    if (h.poll() == 0) h.wait(1'000'000);
  for (auto* dev : devices) unregister_netdev(net, *dev);
  return 0;
}
