// SPDX-License-Identifier: BSL-1.0
// [S165] A text under /proc/net comes from one module.
// EXPECT: netstack: two modules offer the same /proc text
// EXPECT: proc_name_is_unique<first, second>
#include "netstack/stack/stack.hpp"

template <class Net>
bool show(Net&, netstack::seq_file&, netstack::seq_cursor&) {
  return false;
}
struct first : netstack::module {
  template <class Net>
  static constexpr std::array proc{netstack::proc_entry<Net>{.name = "net/other", .show = show<Net>},
                                   netstack::proc_entry<Net>{.name = "net/toy", .show = show<Net>}};
};
struct second : netstack::module {
  template <class Net>
  static constexpr std::array proc{netstack::proc_entry<Net>{.name = "net/toy", .show = show<Net>}};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
