// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: config.max_sock, max_handle, max_request, max_ofo and max_timewait must be at least 1
#include "netstack/netstack.hpp"

struct host : netstack::stack<host, netstack::presets::full, netstack::sizes<netstack::config{.max_request = 0}>> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
