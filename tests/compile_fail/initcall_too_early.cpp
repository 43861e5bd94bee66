// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: an initcall comes before the one it needs
// EXPECT: initcall_runs_after_what_it_needs<hasty>
#include "netstack/stack/stack.hpp"

template <class Net>
netstack::result<void> init(Net&) {
  return {};
}
struct hasty : netstack::module {
  template <class Net>
  static constexpr std::array initcalls{netstack::initcall<Net>{
      .level = netstack::initcall_level::core, .name = "hasty_init", .init = init<Net>, .needs = "net_dev_init"}};
};
struct host : netstack::stack<host, hasty> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
