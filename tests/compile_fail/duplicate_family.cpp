// SPDX-License-Identifier: BSL-1.0
// [S107] An address family has one maker of sockets.
// EXPECT: netstack: two modules register the same address family
// EXPECT: family_has_one_module<first, second>
#include "netstack/stack/stack.hpp"

struct first : netstack::module {
  template <class Net>
  static constexpr std::array families{netstack::net_proto_family<Net>{.family = 2}};
};
struct second : netstack::module {
  template <class Net>
  static constexpr std::array families{netstack::net_proto_family<Net>{.family = 2}};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
