// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: two modules register the same kind of link
// EXPECT: link_kind_has_one_module<one, two>
#include "netstack/stack/stack.hpp"

struct one : netstack::module {
  template <class Net>
  static constexpr std::array rtnl_link{netstack::rtnl_link_ops<Net>{.kind = "vlan"}};
};
struct two : netstack::module {
  template <class Net>
  static constexpr std::array rtnl_link{netstack::rtnl_link_ops<Net>{.kind = "vlan"}};
};
struct host : netstack::stack<host, one, two> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
