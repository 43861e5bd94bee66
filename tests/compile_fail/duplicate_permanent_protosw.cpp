// SPDX-License-Identifier: BSL-1.0
// [S110] [S111] A permanent row cannot be overridden.
// EXPECT: netstack: two permanent inet_protosw rows have the same socket type and protocol
// EXPECT: permanent_protosw_has_one_module<first, second>
#include "netstack/stack/stack.hpp"

struct first : netstack::module {
  template <class Net>
  static constexpr std::array inetsw{
      netstack::inet_protosw<Net>{.type = 2, .protocol = 17, .flags = netstack::protosw_flag::permanent}};
};
struct second : netstack::module {
  template <class Net>
  static constexpr std::array inetsw{
      netstack::inet_protosw<Net>{.type = 2, .protocol = 17, .flags = netstack::protosw_flag::permanent}};
};
struct host : netstack::stack<host, first, second> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
