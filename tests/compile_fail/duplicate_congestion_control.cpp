// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: two congestion control algorithms have the same name
// EXPECT: congestion_control_name_is_unique<one, two>
#include "netstack/stack/stack.hpp"

template <class Net>
netstack::u32 window(Net&, netstack::sock&) {
  return 2;
}
template <class Net>
void cong_avoid(Net&, netstack::sock&, netstack::u32, netstack::u32) {}

struct one : netstack::module {
  template <class Net>
  static constexpr std::array tcp_congestion{netstack::tcp_congestion_ops<Net>{
      .name = "reno", .ssthresh = window, .undo_cwnd = window, .cong_avoid = cong_avoid}};
};
struct two : netstack::module {
  template <class Net>
  static constexpr std::array tcp_congestion = one::tcp_congestion<Net>;
};
struct host : netstack::stack<host, one, two> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
