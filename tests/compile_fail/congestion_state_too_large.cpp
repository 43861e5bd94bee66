// SPDX-License-Identifier: BSL-1.0
// A congestion control algorithm that keeps more in each connection than tcp_ca_priv_size.
// EXPECT: netstack: a congestion control algorithm keeps more in a connection than there is room for
// EXPECT: congestion_state_fits_the_connection<greedy, 112(ul)?, 104(ul)?>
#include "netstack/stack/stack.hpp"

struct greedy : netstack::module {
  template <class Net>
  static netstack::u32 window(Net&, netstack::sock&) {
    return 2;
  }
  template <class Net>
  static void cong_avoid(Net&, netstack::sock&, netstack::u32, netstack::u32) {}
  template <class Net>
  static constexpr std::array tcp_congestion{netstack::tcp_congestion_ops<Net>{
      .name = "greedy", .priv_size = 112, .ssthresh = window, .undo_cwnd = window, .cong_avoid = cong_avoid}};
};
struct host : netstack::stack<host, greedy> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
