// SPDX-License-Identifier: BSL-1.0
// [S115]
// EXPECT: netstack: two modules register the same IP protocol number
// EXPECT: ip_protocol_has_one_module<first, second>
#include "netstack/stack/stack.hpp"

template <class Net>
netstack::verdict rcv(Net&, netstack::sk_buff&) {
  return netstack::verdict::consumed();
}
struct first : netstack::module {
  template <class Net>
  static constexpr std::array net_protocols{netstack::net_protocol<Net>{.protocol = 253, .handler = rcv<Net>}};
};
struct second : netstack::module {
  template <class Net>
  static constexpr std::array net_protocols{netstack::net_protocol<Net>{.protocol = 253, .handler = rcv<Net>}};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
