// SPDX-License-Identifier: BSL-1.0
// A host on a device of your choice with the classic small services over UDP: echo 7, discard 9, daytime 13,
// chargen 19.
//   inetd --dev tap:NAME|tun:NAME|pipe --addr A/P [--addr A/P …] [--gateway G] [--pcap FILE] [--seconds N]
// Prints `ready`; SIGTERM, SIGINT or the end of the time prints the counters. Exit 0: nothing leaked. What keeps it
// from starting is said in one line.
// RUN: --dev pipe --addr 192.0.2.2/24 --seconds 1
// OUTPUT: ^ready$
// OUTPUT: ^Udp: InDatagrams
#include <CLI/CLI.hpp>
#include <csignal>
#include <fstream>

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

static int fail(std::string const& what, std::string_view why) {
  std::fprintf(stderr, "inetd: %s: %.*s\n", what.c_str(), static_cast<int>(why.size()), why.data());
  return 1;
}
static int fail(std::string const& what, std::errc why) { return fail(what, std::make_error_code(why).message()); }

/// The device goes up and gets its addresses and its way out; 0, or what fail() answers.
static int configure(net_t& net, net_device& dev, std::vector<std::string> const& addrs, std::string const& gateway) {
  if (auto r = dev_open(net, dev); !r) return fail(dev.name, r.error());
  for (auto const& addr : addrs) {
    auto const prefix = parse_prefix(addr);
    if (!prefix) return fail(addr, "an address looks like 192.0.2.2/24");
    if (auto r = inet_addr_add(net, dev.ifindex, *prefix); !r) return fail(addr, r.error());
  }
  if (gateway.empty()) return 0;
  auto const gw = parse_ipv4(gateway);
  if (!gw) return fail(gateway, "a gateway looks like 192.0.2.1");
  if (auto r = ip_route_add(net, {.fc_gw4 = *gw}); !r) return fail(gateway, r.error());
  return 0;
}

int main(int argc, char** argv) {
  CLI::App app{"UDP echo, discard, daytime and chargen on netstack"};
  std::string dev, gateway, pcap;
  std::vector<std::string> addrs;
  double seconds = 0;
  app.add_option("--dev", dev, "tap:NAME, tun:NAME or pipe")->required();
  app.add_option("--addr", addrs, "our addresses, A/P each")->required();
  app.add_option("--gateway", gateway, "default route");
  app.add_option("--pcap", pcap, "record all frames here");
  app.add_option("--seconds", seconds, "stop by itself");
  CLI11_PARSE(app, argc, argv);

  drivers::pipe_cable cable;  // outlives the stack that is plugged into it
  host h;
  if (auto r = h.boot(); !r) return fail("boot", r.error());
  auto& net = h.init_net();
  (void)dev_open(net, *net.loopback_dev);

  auto const colon = dev.find(':');
  std::string const kind = dev.substr(0, colon), name = colon == std::string::npos ? "" : dev.substr(colon + 1);
  bool const is_tun = (kind == "tap" || kind == "tun") && !name.empty() && name.size() < ifnamsiz;
  if (!is_tun && dev != "pipe")
    return fail(dev, "a device is tap:NAME, tun:NAME or pipe, and a name has at most 15 characters");
  if (!pcap.empty() && !std::ofstream(pcap, std::ios::app)) return fail(pcap, "this file cannot be written");
  auto const made = kind == "tap"   ? attach_tun<drivers::tap>(net, name, pcap)
                    : kind == "tun" ? attach_tun<drivers::tun>(net, name, pcap)
                                    : attach<drivers::pipe>(net, {.cables = &cable}, pcap);
  if (!made) return is_tun ? fail(dev, drivers::tap::explain(made.error())) : fail(dev, made.error());
  if (int const code = configure(net, **made, addrs, gateway); code != 0) return code;

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
  return services::report(net) ? 0 : 1;
}
