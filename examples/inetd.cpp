// SPDX-License-Identifier: BSL-1.0
// A host on a device of your choice with the classic small services over UDP: echo 7, discard 9, daytime 13,
// chargen 19.
//   inetd --dev tap:NAME|tun:NAME|xdp:IFACE[:QUEUE]|pcap:IFACE|pipe --addr A/P [--addr A/P …] [--gateway G] [--pcap
//   FILE] [--seconds N]
// Prints `ready`; SIGTERM, SIGINT or the end of the time prints the counters. Exit 0: nothing leaked. What keeps it
// from starting is said in one line.
// RUN: --dev pipe --addr 192.0.2.2/24 --seconds 1
// OUTPUT: ^ready$
// OUTPUT: ^Udp: InDatagrams
#include <CLI/CLI.hpp>
#include <csignal>
#include <fstream>

#include "netstack/drivers/af_xdp.hpp"
#include "netstack/drivers/pcap.hpp"
#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/drivers/tun.hpp"
#include "services.hpp"

using namespace netstack;
template <class D>
using recorded = drivers::pcap_writer<D>;

/// Each driver, and the same with its frames recorded.
template <class... Ds>
struct devices : module {
  using modules = type_list<Ds..., recorded<Ds>...>;
};
struct host
    : stack<host, presets::host, devices<drivers::tap, drivers::tun, drivers::af_xdp, drivers::pcap, drivers::pipe>> {};
using net_t = net<host>;

static volatile std::sig_atomic_t stop = 0;

template <class Driver>
result<net_device*> attach(net_t& net, typename Driver::params const& params, std::string const& pcap) {
  if (pcap.empty()) return register_netdev<Driver>(net, "eth0", params);
  return register_netdev<recorded<Driver>>(net, "eth0", {.inner = params, .path = pcap.c_str()});
}

/// On one of Linux's interfaces.
template <class Driver>
result<net_device*> attach_to(net_t& net, typename Driver::params p, std::string const& ifname,
                              std::string const& pcap) {
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
    if (auto r = inet_addr_add(net, dev.ifindex, *prefix); !r)
      return r.error() == std::errc::file_exists        ? fail(addr, "this address is given twice: once will do")
             : r.error() == std::errc::invalid_argument ? fail(addr, "no host can have this address: choose another")
                                                        : fail(addr, r.error());
  }
  if (gateway.empty()) return 0;
  auto const gw = parse_ipv4(gateway);
  if (!gw) return fail(gateway, "a gateway looks like 192.0.2.1");
  if (auto r = ip_route_add(net, {.fc_gw4 = *gw}); !r)
    return r.error() == std::errc::network_unreachable
               ? fail(gateway, "no --addr is on this gateway's network: give one that is")
               : fail(gateway, r.error());
  return 0;
}

int main(int argc, char** argv) {
  CLI::App app{"UDP echo, discard, daytime and chargen on netstack"};
  std::string dev, gateway, pcap;
  std::vector<std::string> addrs;
  double seconds = 0;
  app.add_option("--dev", dev, "tap:NAME, tun:NAME, xdp:IFACE[:QUEUE], pcap:IFACE or pipe")->required();
  app.add_option("--addr", addrs, "our addresses, A/P each")->required();
  app.add_option("--gateway", gateway, "default route");
  app.add_option("--pcap", pcap, "record all frames here");
  app.add_option("--seconds", seconds, "stop by itself")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);

  drivers::pipe_cable cable;  // outlives the stack that is plugged into it
  host h;
  if (auto r = h.boot(); !r) return fail("boot", r.error());
  auto& net = h.init_net();
  (void)dev_open(net, *net.loopback_dev);

  auto const colon = dev.find(':');
  std::string const kind = dev.substr(0, colon);
  std::string name = colon == std::string::npos ? "" : dev.substr(colon + 1);
  u32 queue = 0;
  if (auto const at = name.find(':'); kind == "xdp" && at != std::string::npos) {
    queue = static_cast<u32>(std::strtoul(name.c_str() + at + 1, nullptr, 10));
    name.resize(at);
  }
  bool const known = kind == "tap" || kind == "tun" || kind == "xdp" || kind == "pcap";
  if (dev != "pipe" && (!known || name.empty() || name.size() >= ifnamsiz || name.find('/') != std::string::npos))
    return fail(dev,
                "a device is tap:NAME, tun:NAME, xdp:IFACE[:QUEUE], pcap:IFACE or pipe, and a name has at most 15 "
                "characters, none of them a slash");
  if (!pcap.empty() && !std::ofstream(pcap, std::ios::app)) return fail(pcap, "this file cannot be written");
  auto const made = kind == "tap"    ? attach_to<drivers::tap>(net, {.bring_up = true}, name, pcap)
                    : kind == "tun"  ? attach_to<drivers::tun>(net, {.bring_up = true}, name, pcap)
                    : kind == "xdp"  ? attach_to<drivers::af_xdp>(net, {.queue = queue}, name, pcap)
                    : kind == "pcap" ? attach_to<drivers::pcap>(net, {}, name, pcap)
                                     : attach<drivers::pipe>(net, {.cables = &cable}, pcap);
  if (!made) {
    auto const why = made.error();
    return fail(dev, kind == "xdp"    ? drivers::af_xdp::explain(why)
                     : kind == "pcap" ? drivers::pcap::explain(why)
                     : known          ? drivers::tap::explain(why)
                                      : std::string_view("the wire is taken"));
  }
  if (int const code = configure(net, **made, addrs, gateway); code != 0) return code;

  bool gone = false;
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
      gone = (kind == "tap" || kind == "tun") && !(*made)->carrier_ok();
    }
  }
  dev_close(net, **made);
  h.poll();
  bool const clean = services::report(net);
  if (gone) return fail(dev, "Linux's interface was deleted: start again to make it anew");
  return clean ? 0 : 1;
}
