// SPDX-License-Identifier: BSL-1.0
// [S25] A file system is registered once: register_filesystem's EBUSY.
// EXPECT: netstack: two modules register the same file system
// EXPECT: file_system_has_one_module<first, second>
#include "netstack/stack/stack.hpp"

struct first : netstack::module {
  static constexpr std::array file_systems{netstack::file_system_type{"toyfs"}};
};
struct second : netstack::module {
  static constexpr std::array file_systems{netstack::file_system_type{"toyfs"}};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
