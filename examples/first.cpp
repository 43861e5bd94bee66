// SPDX-License-Identifier: BSL-1.0
// RUN:
// OUTPUT: ^8 bytes from 127\.0\.0\.1: netstack$
#include <cstdio>

#include "netstack/netstack.hpp"

struct host : netstack::stack<host, netstack::presets::host> {};  // resolved by the compiler into static tables

int main() {
  host h;
  if (!h.boot()) return 1;  // maps host::memory_bound() bytes, once
  auto& net = h.init_net();
  if (!dev_open(net, *net.loopback_dev)) return 1;

  auto const here = netstack::inet_addr_of(netstack::ipv4_addr("127.0.0.1"), 7);
  auto const server = socket(net, netstack::af::inet, netstack::sock_type::dgram);
  auto const client = socket(net, netstack::af::inet, netstack::sock_type::dgram);
  if (!server || !client || !bind(net, *server, here)) return 1;
  if (!sendto(net, *client, "netstack", 8, 0, here)) return 1;

  char text[64];
  auto const n = recv(net, *server, text, sizeof text);  // drives the stack until the datagram is there
  if (n) std::printf("%zu bytes from 127.0.0.1: %.*s\n", *n, static_cast<int>(*n), text);
  return n ? 0 : 1;
}
