// SPDX-License-Identifier: BSL-1.0
// What a user's program does first: include the library and see that it is the version it asked for.
#if __has_include(<netstack/netstack.hpp>)
#include <netstack/netstack.hpp>
#else
#include <netstack/base/byteorder.hpp>
#endif

#include <cstdio>

int main() {
  std::printf("netstack %d.%d.%d\n", NETSTACK_VERSION_MAJOR, NETSTACK_VERSION_MINOR, NETSTACK_VERSION_PATCH);
  return netstack::cpu_to_be16(0x0800).bytes()[0] == 0x08 ? 0 : 1;
}
