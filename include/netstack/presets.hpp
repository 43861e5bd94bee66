// SPDX-License-Identifier: BSL-1.0
// Decides: lists of modules that usually go together. A preset stands in a composition's list for what its `modules`
// names; more modules, drivers and sizes<…> stand beside it.
//
//   struct host : netstack::stack<host, netstack::presets::host, netstack::drivers::pipe> {};
#pragma once
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/meta/hana.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_bbr.hpp"
#include "netstack/tcp/tcp_cubic.hpp"
#include "netstack/tcp/tcp_offload.hpp"
#include "netstack/udp/udp.hpp"

namespace netstack::presets {

/// An internet host that speaks in datagrams: IPv4 with routing, ARP and ICMP, and UDP with its sockets.
struct host : module {
  using modules = type_list<ipv4, udp>;
};

/// … and in streams: TCP with its sockets, CUBIC and BBR, its segments merged and cut. All that there is.
struct full : module {
  using modules = type_list<ipv4, ipv4_offload, tcp, tcp_offload, tcp_cubic, tcp_bbr, udp>;
};

/// Forwards between its devices and answers pings, but has no transports: IPv4 with routing, ARP and ICMP. Forwarding
/// itself is a setting, as in Linux: net/ipv4/conf/all/forwarding.
struct router : module {
  using modules = type_list<ipv4>;
};

}  // namespace netstack::presets
