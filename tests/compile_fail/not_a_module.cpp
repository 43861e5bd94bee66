// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: an element of the list is no module
// EXPECT: element_is_a_module<stranger>
#include "netstack/stack/stack.hpp"

struct stranger {};
struct host : netstack::stack<host, stranger> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
