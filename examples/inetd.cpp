// SPDX-License-Identifier: BSL-1.0
// A host on a device of your choice with the classic small services over UDP: echo 7, discard 9, daytime 13,
// chargen 19.
//   inetd --dev tap:NAME|tun:NAME|pipe --addr A/P [--gateway G] [--pcap FILE] [--seconds N]
// Prints `ready`; SIGTERM, SIGINT or the end of the time prints the counters. Exit 0: nothing leaked.
// RUN: --dev pipe --addr 192.0.2.2/24 --seconds 1
// OUTPUT: ^ready$
// OUTPUT: ^Udp: InDatagrams
#include <CLI/CLI.hpp>
#include <csignal>

#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/drivers/tun.hpp"
#include "services.hpp"

using namespace netstack;
template <class D>
using recorded = drivers::pcap_writer<D>;

struct host : stack<host, presets::host, drivers::tap, drivers::tun, drivers::pipe, recorded<drivers::tap>,
                    recorded<drivers::tun>, recorded<drivers::pipe>> {};
using net_t = net<host>;

static volatile std::sig_atomic_t stop = 0;

template <class Driver>
result<net_device*> attach(net_t& net, typename Driver::params const& params, std::string const& pcap) {
  if (pcap.empty()) return register_netdev<Driver>(net, "eth0", params);
  return register_netdev<recorded<Driver>>(net, "eth0", {.inner = params, .path = pcap.c_str()});
}

template <class Driver>
result<net_device*> attach_tun(net_t& net, std::string const& ifname, std::string const& pcap) {
  typename Driver::params p{.bring_up = true};
  ifname.copy(p.ifname, ifnamsiz - 1);
  return attach<Driver>(net, p, pcap);
}

static int fail(char const* what, std::errc why, std::string_view advice = {}) {
  std::string const text = std::make_error_code(why).message();
  std::fprintf(stderr, "inetd: %s: %s\n", what, advice.empty() ? text.c_str() : std::string(advice).c_str());
  return 1;
}

int main(int argc, char** argv) {
  CLI::App app{"UDP echo, discard, daytime and chargen on netstack"};
  std::string dev, addr, gateway, pcap;
  double seconds = 0;
  app.add_option("--dev", dev, "tap:NAME, tun:NAME or pipe")->required();
  app.add_option("--addr", addr, "our address, A/P")->required();
  app.add_option("--gateway", gateway, "default route");
  app.add_option("--pcap", pcap, "record all frames here");
  app.add_option("--seconds", seconds, "stop by itself");
  CLI11_PARSE(app, argc, argv);

  host h;
  if (auto r = h.boot(); !r) return fail("boot", r.error());
  auto& net = h.init_net();
  (void)dev_open(net, *net.loopback_dev);

  drivers::pipe_cable cable;
  auto const colon = dev.find(':');
  std::string const kind = dev.substr(0, colon), name = colon == std::string::npos ? "" : dev.substr(colon + 1);
  result<net_device*> made = failure{std::errc::invalid_argument};
  if (kind == "tap") made = attach_tun<drivers::tap>(net, name, pcap);
  if (kind == "tun") made = attach_tun<drivers::tun>(net, name, pcap);
  if (kind == "pipe") made = attach<drivers::pipe>(net, {.cables = &cable}, pcap);
  if (!made) return fail(dev.c_str(), made.error(), kind == "pipe" ? "" : drivers::tap::explain(made.error()));
  if (auto r = dev_open(net, **made); !r) return fail(dev.c_str(), r.error());

  auto const prefix = parse_prefix(addr);
  if (!prefix) return fail(addr.c_str(), prefix.error(), "an address looks like 192.0.2.2/24");
  if (auto r = inet_addr_add(net, (*made)->ifindex, *prefix); !r) return fail(addr.c_str(), r.error());
  if (!gateway.empty()) {
    auto const gw = parse_ipv4(gateway);
    if (!gw) return fail(gateway.c_str(), gw.error());
    if (auto r = ip_route_add(net, {.fc_gw4 = *gw}); !r) return fail(gateway.c_str(), r.error());
  }
  bool clean = false;
  {
    services::inetd<net_t> services{net};
    if (auto r = services.start(); !r) return fail("services", r.error());
    std::signal(SIGTERM, [](int) { stop = 1; });
    std::signal(SIGINT, [](int) { stop = 1; });
    std::puts("ready");
    std::fflush(stdout);
    u64 const end = seconds > 0 ? h.worker().now + static_cast<u64>(seconds * 1e9) : ~u64{0};
    while (!stop && h.worker().now < end)
      if (h.poll() == 0) h.wait(100'000'000);
  }
  dev_close(net, **made);
  h.poll();
  clean = services::report(net);
  return clean ? 0 : 1;
}
