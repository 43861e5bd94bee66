// SPDX-License-Identifier: BSL-1.0
// [S88] A proto's name is its row in /proc/net/protocols.
// EXPECT: netstack: two protos have the same name
// EXPECT: proto_name_is_unique<first, second>
#include "netstack/stack/stack.hpp"

template <class Net, int>
inline constexpr netstack::proto<Net> toy{.name = "TOY"};
struct first : netstack::module {
  template <class Net>
  static constexpr std::array protos{toy<Net, 1>};
};
struct second : netstack::module {
  template <class Net>
  static constexpr std::array protos{toy<Net, 2>};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
