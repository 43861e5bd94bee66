// SPDX-License-Identifier: BSL-1.0
// A module that keeps more than config.cb bytes in the control block. [S8]
// EXPECT: netstack: a module's control block is larger than sk_buff's cb
// EXPECT: cb_fits_the_control_block<greedy, 88(ul)?, 80(ul)?>
#include "netstack/stack/stack.hpp"

struct greedy : netstack::module {
  struct cb {
    char bytes[88];
  };
};
struct host : netstack::stack<host, greedy> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
