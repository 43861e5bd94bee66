// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: two congestion control algorithms have the same name
// EXPECT: congestion_control_name_is_unique<one, two>
#include "netstack/stack/stack.hpp"

struct one : netstack::module {
  template <class Net>
  static constexpr std::array tcp_congestion{netstack::tcp_congestion_ops<Net>{.name = "reno"}};
};
struct two : netstack::module {
  template <class Net>
  static constexpr std::array tcp_congestion{netstack::tcp_congestion_ops<Net>{.name = "reno"}};
};
struct host : netstack::stack<host, one, two> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
