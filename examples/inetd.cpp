// SPDX-License-Identifier: BSL-1.0
// A host on a device of your choice with the classic small services over UDP and TCP: echo 7, discard 9, daytime 13,
// chargen 19; and over TCP a web server, 80 (its page is the stack's own state; /bytes/N are N bytes), and what the
// client of iperf3 talks to, 5201.
//   inetd --dev tap:NAME|tun:NAME|xdp:IFACE[:QUEUE]|pcap:IFACE|pipe --addr A/P [--addr A/P …] [--gateway G]
//   [--pcap FILE | --loss PERCENT --reorder PERCENT] [--seconds N]
// Prints `ready`; SIGTERM, SIGINT or the end of the time prints the counters. Exit 0: nothing leaked. What keeps it
// from starting is said in one line.
// RUN: --dev pipe --addr 192.0.2.2/24 --seconds 1
// OUTPUT: ^ready$
// OUTPUT: ^Tcp: RtoAlgorithm
// OUTPUT: ^Udp: InDatagrams
#include <CLI/CLI.hpp>
#include <csignal>

#include "device.hpp"
#include "netstack/drivers/af_xdp.hpp"  // by these lines CMake knows the libraries
#include "netstack/drivers/pcap.hpp"
#include "services.hpp"

using namespace netstack;

struct host : stack<host, presets::full, services::devices, sizes<config{.skb_pool = 16384, .max_timewait = 4096}>> {};
using net_t = net<host>;

static volatile std::sig_atomic_t stop = 0;

int main(int argc, char** argv) {
  CLI::App app{"UDP and TCP services, HTTP and iperf3's server on netstack"};
  services::device_options options;
  double seconds = 0;
  options.add_to(app);
  app.add_option("--seconds", seconds, "stop by itself")->check(CLI::Range(0.0, 1e9));
  CLI11_PARSE(app, argc, argv);
  services::complaint const fail{"inetd"};

  drivers::pipe_cable cable;
  host h;
  if (auto r = h.boot(); !r) return fail("boot", r.error());
  auto& net = h.init_net();
  (void)dev_open(net, *net.loopback_dev);
  net_device* const dev = services::plug_in(net, options, cable, fail);
  if (!dev) return 1;

  char const* gone = nullptr;
  bool hinted = false;
  {
    services::inetd<net_t> services{net};
    if (auto r = services.start(); !r) return fail("services", r.error());
    std::signal(SIGTERM, [](int) { stop = 1; });
    std::signal(SIGINT, [](int) { stop = 1; });
    std::puts("ready");
    std::fflush(stdout);
    u64 const end = seconds > 0 ? h.worker().now + static_cast<u64>(seconds * 1e9) : ~u64{0};
    while (!stop && !gone && h.worker().now < end) {
      if (h.poll() == 0) h.wait(100'000'000);
      gone = services::interface_gone(options, *dev);
      services::hint_at_checksums(net, options, hinted);
    }
  }
  bool const clean = services::report(h, *dev);
  if (gone) return fail(options.dev, gone);
  return clean ? 0 : 1;
}
