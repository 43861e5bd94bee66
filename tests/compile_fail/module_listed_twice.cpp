// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a module stands twice in the list
// EXPECT: module_is_listed_once<one>
#include "netstack/stack/stack.hpp"

struct one : netstack::module {};
struct two : netstack::module {};
struct host : netstack::stack<host, one, two, one> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
