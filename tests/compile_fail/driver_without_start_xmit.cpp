// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a driver lacks the required op ndo_start_xmit
// EXPECT: driver_has_ndo_start_xmit<lame>
#include "netstack/stack/stack.hpp"

template <class Net>
struct ops {
  static netstack::result<void> open(Net&, netstack::net_device&) { return {}; }
  static void stop(Net&, netstack::net_device&) {}
  static netstack::netdev_tx xmit(Net&, netstack::net_device&, netstack::sk_buff&, bool) {
    return netstack::netdev_tx::busy;
  }
  static netstack::u32 poll(Net&, netstack::net_device&, netstack::u32, netstack::skb_list&) { return 0; }
};
struct lame : netstack::driver {
  static constexpr char const* name = "lame";
  struct params {};
  struct priv {};
  template <class Net>
  static netstack::result<void> probe(Net&, netstack::net_device&, params const&) {
    return {};
  }
  template <class Net>
  static void remove(Net&, netstack::net_device&) {}
  template <class Net>
  static constexpr netstack::net_device_ops<Net> netdev_ops{
      .ndo_open = ops<Net>::open, .ndo_stop = ops<Net>::stop, .ndo_poll = ops<Net>::poll};
};
struct host : netstack::stack<host, lame> {};

int main() {
  host h;
  return h.boot() ? 0 : 1;
}
