// SPDX-License-Identifier: BSL-1.0
// Shared by inetd and http_get: a device of the user's choice, with its addresses and its way out. What keeps it from
// working is said in one line.
//   --dev tap:NAME|tun:NAME|xdp:IFACE[:QUEUE]|pcap:IFACE|pipe --addr A/P [--addr A/P …] [--gateway G]
//   [--pcap FILE | --loss PERCENT --reorder PERCENT]
#pragma once
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "netstack/drivers/af_xdp.hpp"
#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pcap.hpp"
#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/drivers/tun.hpp"
#include "netstack/netstack.hpp"

namespace services {

using namespace netstack;
template <class D>
using recorded = drivers::pcap_writer<D>;
template <class D>
using faulty = drivers::fault_injector<D>;

/// Each driver, the same with its frames recorded, and with a wire that loses and reorders.
template <class... Ds>
struct every_way : module {
  using modules = type_list<Ds..., recorded<Ds>..., faulty<Ds>...>;
};
using devices = every_way<drivers::tap, drivers::tun, drivers::af_xdp, drivers::pcap, drivers::pipe>;

/// A program that failed: one line, and its exit code.
struct complaint {
  char const* program;
  int operator()(std::string const& what, std::string_view why) const {
    std::fprintf(stderr, "%s: %s: %.*s\n", program, what.c_str(), static_cast<int>(why.size()), why.data());
    return 1;
  }
  int operator()(std::string const& what, std::errc why) const {
    return (*this)(what, std::make_error_code(why).message());
  }
};

struct device_options {
  std::string dev, gateway, pcap;
  std::vector<std::string> addrs;
  double loss = 0, reorder = 0;  ///< percent

  void add_to(CLI::App& app) {
    app.add_option(
           "--dev", dev,
           "tap:NAME, tun:NAME, xdp:IFACE[:QUEUE], pcap:IFACE or pipe. With xdp and pcap the other end must finish its "
           "checksums: on veth, `ethtool -K PEER tx off`")
        ->required();
    app.add_option("--addr", addrs, "our addresses, A/P each")->required()->allow_extra_args(false);
    app.add_option("--gateway", gateway, "default route");
    auto* const record = app.add_option("--pcap", pcap, "record all frames here");
    app.add_option("--loss", loss, "percent of packets that are lost, each way: with GSO a packet is several frames")
        ->check(CLI::Range(0.0, 100.0))
        ->excludes(record);
    app.add_option("--reorder", reorder, "percent of packets that are overtaken, each way")
        ->check(CLI::Range(0.0, 100.0))
        ->excludes(record);
  }
  [[nodiscard]] bool is(std::string const& kind) const { return dev.rfind(kind + ":", 0) == 0; }
};

namespace detail {

template <class Driver, class Net>
result<net_device*> attach(Net& net, device_options const& o, typename Driver::params params, std::string const& name) {
  if constexpr (requires { params.ifname[0] = 'x'; }) name.copy(params.ifname, ifnamsiz - 1);
  if (!o.pcap.empty()) return register_netdev<recorded<Driver>>(net, "eth0", {.inner = params, .path = o.pcap.c_str()});
  auto const ppm = [](double percent) { return static_cast<u32>(percent * 10'000); };
  drivers::wire_faults const faults{.loss = ppm(o.loss), .reorder = ppm(o.reorder), .limit = 1024};
  if (!faults.any()) return register_netdev<Driver>(net, "eth0", params);
  return register_netdev<faulty<Driver>>(net, "eth0", {.inner = params, .tx = faults, .rx = faults});
}

/// The device goes up and gets its addresses and its way out; 0, or what fail() answers.
template <class Net>
int configure(Net& net, net_device& dev, device_options const& o, complaint const& fail) {
  if (auto r = dev_open(net, dev); !r) return fail(dev.name, r.error());
  for (auto const& addr : o.addrs) {
    auto const prefix = parse_prefix(addr);
    if (!prefix) return fail(addr, "an address looks like 192.0.2.2/24");
    if (auto r = inet_addr_add(net, dev.ifindex, *prefix); !r)
      return r.error() == std::errc::file_exists        ? fail(addr, "this address is given twice: once will do")
             : r.error() == std::errc::invalid_argument ? fail(addr, "no host can have this address: choose another")
                                                        : fail(addr, r.error());
  }
  if (o.gateway.empty()) return 0;
  auto const gw = parse_ipv4(o.gateway);
  if (!gw) return fail(o.gateway, "a gateway looks like 192.0.2.1");
  if (auto r = ip_route_add(net, {.fc_gw4 = *gw}); !r)
    return r.error() == std::errc::network_unreachable
               ? fail(o.gateway, "no --addr is on this gateway's network: give one that is")
               : fail(o.gateway, r.error());
  return 0;
}

}  // namespace detail

/// Linux's interface is not there any more, rather than down; what to do then.
inline char const* interface_gone(device_options const& o, net_device& dev) {
  if (dev.carrier_ok()) return nullptr;
  if (o.is("tap") || o.is("tun")) return "Linux's interface was deleted: start again to make it anew";
  bool const gone = (o.is("xdp") && drivers::af_xdp::gone(dev)) || (o.is("pcap") && drivers::pcap::gone(dev));
  return gone ? "Linux's interface is gone: start again when there is one" : nullptr;
}

/// … or it is, but down. A TAP's or TUN's other end is Linux's alone to see.
inline char const* interface_down(device_options const& o, net_device& dev) {
  bool const down = !dev.carrier_ok() && (o.is("xdp") || o.is("pcap"));
  return down ? "Linux's interface is down: bring it up, and start again" : nullptr;
}

/// Once: what a person cannot see who pings over a wire that leaves checksums open, and gets no more than that.
template <class Net>
void hint_at_checksums(Net& net, device_options const& o, bool& hinted) {
  if (hinted || !(o.is("xdp") || o.is("pcap"))) return;
  if (UDP_STATS(net).InCsumErrors.read() == 0 && TCP_STATS(net).InCsumErrors.read() == 0) return;
  hinted = true;
  std::puts("wrong checksums came in: if the peer leaves them to its interface, `ethtool -K PEER tx off` there");
  std::fflush(stdout);
}

/// The device, up and with its addresses; null, after a line about why not. The cable of `pipe` outlives the stack.
template <class Net>
net_device* plug_in(Net& net, device_options const& o, drivers::pipe_cable& cable, complaint const& fail) {
  auto const colon = o.dev.find(':');
  std::string const kind = o.dev.substr(0, colon);
  std::string name = colon == std::string::npos ? "" : o.dev.substr(colon + 1);
  u32 queue = 0;
  if (auto const at = name.find(':'); kind == "xdp" && at != std::string::npos) {
    char const *const first = name.c_str() + at + 1, *const last = name.c_str() + name.size();
    auto const [stop, error] = std::from_chars(first, last, queue);
    if (error != std::errc{} || stop != last) return fail(o.dev, "a queue is a number, as in xdp:IFACE:0"), nullptr;
    name.resize(at);
  }
  bool const known = kind == "tap" || kind == "tun" || kind == "xdp" || kind == "pcap";
  if (o.dev != "pipe" && (!known || name.empty() || name.size() >= ifnamsiz || name.find('/') != std::string::npos))
    return fail(o.dev,
                "a device is tap:NAME, tun:NAME, xdp:IFACE[:QUEUE], pcap:IFACE or pipe, and a name has at most 15 "
                "characters, none of them a slash"),
           nullptr;
  if (!o.pcap.empty() && !std::ofstream(o.pcap, std::ios::app))
    return fail(o.pcap, "this file cannot be written"), nullptr;
  auto const made = kind == "tap"    ? detail::attach<drivers::tap>(net, o, {.bring_up = true}, name)
                    : kind == "tun"  ? detail::attach<drivers::tun>(net, o, {.bring_up = true}, name)
                    : kind == "xdp"  ? detail::attach<drivers::af_xdp>(net, o, {.queue = queue}, name)
                    : kind == "pcap" ? detail::attach<drivers::pcap>(net, o, {}, name)
                                     : detail::attach<drivers::pipe>(net, o, {.cables = &cable}, name);
  if (!made) {
    auto const why = made.error();
    if (!o.pcap.empty() && (why == std::errc::no_space_on_device || why == std::errc::io_error))
      return fail(o.pcap, why), nullptr;
    return fail(o.dev, kind == "xdp"    ? drivers::af_xdp::explain(why)
                       : kind == "pcap" ? drivers::pcap::explain(why)
                       : known          ? drivers::tap::explain(why)
                                        : std::string_view("the wire is taken")),
           nullptr;
  }
  return detail::configure(net, **made, o, fail) == 0 ? *made : nullptr;
}

}  // namespace services
