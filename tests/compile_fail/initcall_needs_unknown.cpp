// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: an initcall comes before the one it needs
// EXPECT: initcall_runs_after_what_it_needs<lonely>
#include "netstack/stack/stack.hpp"

template <class Net>
netstack::result<void> init(Net&) {
  return {};
}
struct lonely : netstack::module {
  template <class Net>
  static constexpr std::array initcalls{
      netstack::initcall<Net>{.name = "lonely_init", .init = init<Net>, .needs = "nobody_init"}};
};
struct host : netstack::stack<host, lonely> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
