// SPDX-License-Identifier: BSL-1.0
// A congestion control algorithm whose window never grows.
// EXPECT: netstack: a tcp_congestion_ops lacks ssthresh, undo_cwnd, or one of cong_avoid and cong_control
// EXPECT: congestion_control_has_its_duties<idle>
#include "netstack/stack/stack.hpp"

struct idle : netstack::module {
  template <class Net>
  static netstack::u32 window(Net&, netstack::sock&) {
    return 2;
  }
  template <class Net>
  static constexpr std::array tcp_congestion{
      netstack::tcp_congestion_ops<Net>{.name = "idle", .ssthresh = window, .undo_cwnd = window}};
};
struct host : netstack::stack<host, idle> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
