// SPDX-License-Identifier: BSL-1.0
// [S23] A path under /proc/sys belongs to one module, whether its rows know Net or not.
// EXPECT: netstack: two modules register the same sysctl path
// EXPECT: sysctl_path_is_unique<first, second>
#include "netstack/stack/stack.hpp"

struct settings {
  netstack::s32 value = 1;
  netstack::s32 other = 1;
};
struct first : netstack::module {
  using pernet = settings;
  static constexpr std::array ctl_tables{netstack::ctl<&settings::other>("net/toy/other"),
                                         netstack::ctl<&settings::value>("net/toy/value")};
};
struct second : netstack::module {
  using pernet = settings;
  template <class Net>
  static constexpr std::array ctl_tables{netstack::ctl<&settings::value>("net/toy/value")};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
