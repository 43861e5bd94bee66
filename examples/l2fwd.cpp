// SPDX-License-Identifier: BSL-1.0
// Forwards every frame between two of Linux's interfaces, by AF_XDP and without a copy: a frame that one device
// received is the frame that the other sends, since both work on the same pool.
//   l2fwd IFACE IFACE [--queue N] [--skb-mode] [--seconds N]
// Prints a line of rates each second, and at the end whether every frame is back in the pool. Checksums that an
// interface left to its hardware stay unfinished on the way: on veth, `ethtool -K PEER tx off` (docs/drivers.md).
// RUN: --help
// OUTPUT: ^Usage: .*IFACE
#include <CLI/CLI.hpp>
#include <csignal>

#include "netstack/drivers/af_xdp.hpp"
#include "netstack/netstack.hpp"

using namespace netstack;

/// Takes each frame of a device away before any protocol sees it, and sends it on by the other.
struct l2fwd : module {
  template <class Net>
  static rx_handler_result forward(Net& net, sk_buff& skb) {
    skb.push(eth_hlen);
    skb.dev = static_cast<net_device*>(skb.dev->rx_handler_data);
    (void)dev_queue_xmit(net, skb);
    return rx_handler_result::consumed;
  }
  template <class Net>
  static constexpr std::array rx_handlers{rx_handler<Net>{forward<Net>, "l2fwd"}};
};

struct host : stack<host, drivers::af_xdp, l2fwd, sizes<config{.max_net = 1, .skb_pool = 8192}>> {};

static volatile std::sig_atomic_t stop = 0;

static int fail(std::string const& what, std::string_view why) {
  std::fprintf(stderr, "l2fwd: %s: %.*s\n", what.c_str(), static_cast<int>(why.size()), why.data());
  return 1;
}
static int fail(std::string const& what, std::errc why) { return fail(what, drivers::af_xdp::explain(why)); }

int main(int argc, char** argv) {
  CLI::App app{"A wire between two interfaces"};
  std::vector<std::string> ifnames;
  u32 queue = 0, seconds = ~u32{0};
  bool skb_mode = false;
  app.add_option("IFACE", ifnames, "two interfaces")->required()->expected(2);
  app.add_option("--queue", queue, "of both");
  app.add_flag("--skb-mode", skb_mode, "behind the interfaces' drivers");
  app.add_option("--seconds", seconds, "stop by itself");
  CLI11_PARSE(app, argc, argv);

  if (ifnames[0] == ifnames[1]) return fail(ifnames[1], "a wire has two ends: name two interfaces");
  for (auto const& ifname : ifnames)
    if (ifname.empty() || ifname.size() >= ifnamsiz) return fail(ifname, "an interface's name has 1 to 15 characters");

  host h;
  if (auto r = h.boot(); !r) return fail("boot", r.error());
  auto& net = h.init_net();
  std::vector<net_device*> devices;
  for (auto const& ifname : ifnames) {
    drivers::af_xdp::params p{.queue = queue};
    if (skb_mode) p.mode = drivers::xdp_mode::skb;
    ifname.copy(p.ifname, ifnamsiz - 1);
    auto const dev = register_netdev<drivers::af_xdp>(net, "eth%d", p);  // lo, say, is a name that the stack has
    if (!dev) return fail(ifname, dev.error());
    (void)dev_set_promiscuity(net, **dev, 1);  // frames are for others
    if (auto r = dev_open(net, **dev); !r) return fail(ifname, r.error());
    std::printf("%s: %s mode, %s\n", ifname.c_str(), drivers::af_xdp::native(**dev) ? "native" : "skb",
                drivers::af_xdp::zero_copy(**dev) ? "zero copy" : "the kernel copies");
    devices.push_back(*dev);
  }
  for (std::size_t i = 0; i < 2; ++i) (void)netdev_rx_handler_register<l2fwd>(net, *devices[i], devices[1 - i]);

  std::signal(SIGTERM, [](int) { stop = 1; });
  std::signal(SIGINT, [](int) { stop = 1; });
  std::puts("ready");
  std::fflush(stdout);
  u64 next = h.worker().now + 1'000'000'000, before[2] = {};
  std::string gone;
  for (u32 second = 0; !stop && gone.empty() && second < seconds;) {
    if (h.poll() == 0) h.wait(100'000'000);
    for (std::size_t i = 0; i < 2; ++i)
      if (!devices[i]->carrier_ok() && drivers::af_xdp::gone(*devices[i])) gone = ifnames[i];
    if (h.worker().now < next) continue;
    next += 1'000'000'000, ++second;
    for (std::size_t i = 0; i < 2; ++i) {
      u64 const sent = devices[i]->stats.tx_packets.read();
      std::printf("%s sent %.3f Mpps  ", ifnames[i].c_str(),
                  static_cast<double>(sent - std::exchange(before[i], sent)) / 1e6);
    }
    std::puts("");
    std::fflush(stdout);
  }
  for (auto* dev : devices) unregister_netdev(net, *dev);
  bool const clean = h.worker().pool.in_use() == 0;
  std::puts(clean ? "every frame is back in the pool" : "frames are missing");
  std::fflush(stdout);
  if (!gone.empty()) return fail(gone, "Linux's interface is gone: start again when there is one");
  return clean ? 0 : 1;
}
