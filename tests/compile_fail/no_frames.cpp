// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: config.skb_pool must be at least 1
#include "netstack/stack/stack.hpp"

struct one : netstack::module {};
struct host : netstack::stack<host, one, netstack::sizes<netstack::config{.skb_pool = 0}>> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
