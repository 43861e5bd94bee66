// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: the composition lists no module
// EXPECT: composition_lists_a_module<host>
#include "netstack/stack/stack.hpp"

struct host : netstack::stack<host> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
