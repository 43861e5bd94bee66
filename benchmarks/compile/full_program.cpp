// SPDX-License-Identifier: BSL-1.0
// What the one translation unit pays that runs the full composition: all of its code is compiled and optimised.
// docs/embedding.md says how the others do without.
// BUDGET: 20.0 s
#include "full.hpp"

int main() {
  host h;
  if (!h.boot()) return 1;
  netstack::udp_socket socket{h.init_net()};
  if (!socket.open()) return 1;
  h.poll();
}
