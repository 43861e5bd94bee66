// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a packet_type lacks its func
// EXPECT: packet_type_has_a_func<my>
#include "netstack/stack/stack.hpp"

struct my : netstack::module {
  template <class Net>
  static constexpr std::array packet_types{netstack::packet_type<Net>{.type = 0x88b5, .name = "my"}};
};
struct host : netstack::stack<host, my> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
