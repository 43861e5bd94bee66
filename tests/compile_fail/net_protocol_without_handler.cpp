// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a net_protocol lacks its handler
// EXPECT: net_protocol_has_a_handler<my>
#include "netstack/stack/stack.hpp"

struct my : netstack::module {
  template <class Net>
  static constexpr std::array net_protocols{netstack::net_protocol<Net>{.protocol = 200, .name = "my"}};
};
struct host : netstack::stack<host, my> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
