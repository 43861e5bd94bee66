// SPDX-License-Identifier: BSL-1.0
// A reason whose module is not composed has no number.
// EXPECT: netstack: a drop reason's module is not in the list: add it
// EXPECT: absent::own_drop_reasons
#include "netstack/stack/stack.hpp"

struct present : netstack::module {};
struct absent : netstack::module {
  enum class own_drop_reasons { too_late };
};
struct host : netstack::stack<host, present> {};
auto const number = netstack::net<host>::drop_reason_of(absent::own_drop_reasons::too_late);

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
