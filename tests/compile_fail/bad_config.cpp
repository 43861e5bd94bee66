// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: config.frame_size must be a power of two
#include "netstack/stack/stack.hpp"

struct one : netstack::module {};
struct host : netstack::stack<host, one, netstack::sizes<netstack::config{.frame_size = 3000}>> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
