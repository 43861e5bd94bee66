// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: two modules register an offload for the same protocol
// EXPECT: offload_has_one_module<one, two>
#include "netstack/stack/stack.hpp"

struct one : netstack::module {
  template <class Net>
  static constexpr std::array net_offloads{netstack::net_offload<Net>{.protocol = 6}};
};
struct two : netstack::module {
  template <class Net>
  static constexpr std::array net_offloads{netstack::net_offload<Net>{.protocol = 6}};
};
struct host : netstack::stack<host, one, two> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
