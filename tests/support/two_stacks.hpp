// SPDX-License-Identifier: BSL-1.0
// Decides: how two stacks are run against each other: booted on one virtual clock, wired by a pipe, polled on one
// thread until neither has anything to do. The compositions list the driver: drivers::pipe, or one that wraps it.
//
//   two_stacks<host> net;                         // or two_stacks<client, server>
//   two_stacks<host, host, drivers::fault_injector<drivers::pipe>> net{{.tx = {.loss = 10'000}}};
//   … give net.a.init_net() and net.b.init_net() addresses on net.dev_a, net.dev_b …
//   net.run();                                    // everything that happens at this instant
//   net.run_for(200'000'000);                     // and with the timers of the next 200 ms
#pragma once
#include <algorithm>

#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/virtual_clock.hpp"

namespace netstack::test {

/// The pipe's own parameters inside those of a driver that wraps it.
template <class Params>
drivers::pipe::params& pipe_params(Params& params) {
  if constexpr (requires { params.inner; })
    return pipe_params(params.inner);
  else
    return params;
}

template <class A, class B = A, class Driver = drivers::pipe>
struct two_stacks {
  using params = typename Driver::params;
  virtual_clock clock;
  drivers::pipe_cable cable;
  A a;
  B b;
  net_device* dev_a = nullptr;
  net_device* dev_b = nullptr;

  explicit two_stacks(params const& both = {}, u64 seed = 1) : two_stacks(both, both, seed) {}
  two_stacks(params const& of_a, params const& of_b, u64 seed) {
    REQUIRE(a.boot({.clock = clock.source(), .seed = seed}));
    REQUIRE(b.boot({.clock = clock.source(), .seed = seed + 1}));
    dev_a = plug(a, of_a, 0);
    dev_b = plug(b, of_b, 1);
    run();  // both see the carrier
  }

  /// Polls both until neither finds anything to do; how many frames and timers that were.
  u32 run() {
    u32 total = 0;
    while (u32 const work = a.poll() + b.poll()) total += work;
    return total;
  }
  /// run(), then moves the clock from timer to timer until `ns` have passed.
  u32 run_for(u64 ns) {
    u64 const end = clock.now + ns;
    u32 total = run();
    while (clock.now < end) {
      u64 next = end;
      if (auto const t = a.worker().timers.next_expiry()) next = std::min(next, *t);
      if (auto const t = b.worker().timers.next_expiry()) next = std::min(next, *t);
      clock.now = std::max(next, clock.now);
      total += run();
    }
    return total;
  }

 private:
  template <class Host>
  net_device* plug(Host& host, params wire, u8 end) {
    auto& pipe = pipe_params(wire);
    pipe.cables = &cable;
    pipe.wakeup = false;
    pipe.end = end;
    auto dev = register_netdev<Driver>(host.init_net(), "eth%d", wire);
    REQUIRE(dev);
    REQUIRE(dev_open(host.init_net(), **dev));
    return *dev;
  }
};

}  // namespace netstack::test
