// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a module needs another that is not in the list
// EXPECT: needed_module_is_composed<upper, netstack::requires_any_t<v4, v6> ?>
#include "netstack/stack/stack.hpp"

struct v4 : netstack::module {};
struct v6 : netstack::module {};
struct upper : netstack::module {
  static constexpr auto needs = netstack::requires_any<v4, v6>;
};
struct host : netstack::stack<host, upper> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
