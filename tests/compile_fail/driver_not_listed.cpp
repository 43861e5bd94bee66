// SPDX-License-Identifier: BSL-1.0
// A device whose driver is not composed has no row of functions, and no room for what the driver keeps.
// EXPECT: netstack: a device's driver is not in the composition's list: add it
// EXPECT: driver_index.*pipe
#include "netstack/stack/tables.hpp"

#include "netstack/netstack.hpp"

struct host : netstack::stack<host, netstack::presets::host> {};

int main() {
  host h;
  if (!h.boot()) return 1;
  netstack::drivers::pipe_cable cable;
  return register_netdev<netstack::drivers::pipe>(h.init_net(), "eth0", {.cables = &cable}) ? 0 : 1;
}
