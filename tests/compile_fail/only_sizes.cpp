// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: the composition lists no module
#include "netstack/stack/stack.hpp"

struct host : netstack::stack<host, netstack::sizes<netstack::config{}>> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
