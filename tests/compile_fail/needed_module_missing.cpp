// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a module needs another that is not in the list
// EXPECT: needed_module_is_composed<upper, netstack::requires_all_t<lower> ?>
#include "netstack/stack/stack.hpp"

struct lower : netstack::module {};
struct upper : netstack::module {
  static constexpr auto needs = netstack::requires_all<lower>;
};
struct host : netstack::stack<host, upper> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
