// SPDX-License-Identifier: BSL-1.0
// Decides: the conformance cases of a device's settings, of what it tells about itself, and of waiting for it. [S75]
// [S77] [S78]
#pragma once
#include <poll.h>

#include "netstack/testing/detail/bench.hpp"

namespace netstack::testing::detail {

template <class Rig>
struct control_cases {
  using bench_t = bench<Rig>;

  // --- settings -----------------------------------------------------------------------------------------------------
  static void mtu_bounds(bench_t& b) {
    b.make();
    u32 const mtu = b.dev->mtu;
    for (u32 bad : {b.dev->min_mtu - 1, b.dev->max_mtu + 1}) {
      auto const r = dev_set_mtu(b.net, *b.dev, bad);
      check(!r && r.error() == std::errc::invalid_argument, "an MTU out of bounds is not invalid_argument");
      check_equal(b.dev->mtu, mtu, "mtu after a refused change");
    }
    check(dev_set_mtu(b.net, *b.dev, b.dev->min_mtu).has_value(), "the smallest MTU is refused");
    check(dev_set_mtu(b.net, *b.dev, b.dev->max_mtu).has_value(), "the largest MTU is refused");
  }
  static void mtu_takes_effect(bench_t& b) {
    b.up();
    check(dev_set_mtu(b.net, *b.dev, 576).has_value(), "dev_set_mtu");
    check(!b.send(b.frame(1, b.frame_max() + 1, false)).has_value(), "a frame above the new MTU is sent");
    b.must_send(b.frame(2, b.frame_max(), false));
    b.must_collect(b.frame(2, b.frame_max(), false), "a frame of the new MTU");
    check(dev_set_mtu(b.net, *b.dev, 1400).has_value(), "dev_set_mtu");
    b.must_send(b.frame(3, b.frame_max(), false));
    b.must_collect(b.frame(3, b.frame_max(), false), "a frame of the larger MTU");
    if (!Rig::receives) return;
    b.must_inject(b.frame(4, b.frame_max(), true));
    b.compare(b.take_exactly(1).front(), b.frame(4, b.frame_max(), true), "a received frame of the larger MTU");
  }
  static void mac_address_takes_effect(bench_t& b) {
    b.up();
    mac_addr const old = b.dev->dev_addr, fresh{{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}};
    auto const r = dev_set_mac_address(b.net, *b.dev, fresh);
    if (!b.ops().ndo_set_mac_address) {
      check(!r && r.error() == std::errc::operation_not_supported, "without the op it is operation_not_supported");
      check(b.dev->dev_addr == old, "dev_addr after a refused change");
      return;
    }
    check(r.has_value() && b.dev->dev_addr == fresh, "dev_set_mac_address");
    if (!Rig::receives) return;
    b.must_inject(b.frame(1, 100, true));
    b.with_one([&](sk_buff& skb) { check(skb.pkt_type == pkt_type::host, "a frame for the new address"); });
  }
  static void mac_address_bounds(bench_t& b) {
    b.make();
    needs(b.ops().ndo_set_mac_address != nullptr, "the address is fixed");
    mac_addr const old = b.dev->dev_addr;
    for (mac_addr const& bad : {mac_addr{}, mac_broadcast, mac_addr{{0x01, 0, 0x5e, 0, 0, 1}}}) {
      auto const r = dev_set_mac_address(b.net, *b.dev, bad);
      check(!r && r.error() == std::errc::address_not_available, "a bad address is not address_not_available");
      check(b.dev->dev_addr == old, "dev_addr after a refused change");
    }
  }
  static void missing_ops_are_not_supported(bench_t& b) {
    b.make();
    if (!b.ops().ndo_do_ioctl) {
      auto const r = dev_do_ioctl(b.net, *b.dev, 0x89f0, 0);
      check(!r && r.error() == std::errc::operation_not_supported, "ioctl");
    }
    auto const ring = ethtool_get_ringparam(b.net, *b.dev);
    if (ring) check(ring->rx_pending <= ring->rx_max_pending && ring->tx_pending <= ring->tx_max_pending, "ring sizes");
    if (!ring) check(ring.error() == std::errc::operation_not_supported, "ring sizes");
  }
  static void rx_mode_may_change_at_any_time(bench_t& b) {
    b.make();
    check(dev_set_promiscuity(b.net, *b.dev, 1).has_value(), "promiscuous mode while down");
    b.open();
    check(dev_set_allmulti(b.net, *b.dev, 1).has_value(), "allmulti");
    check(dev_set_allmulti(b.net, *b.dev, -1).has_value(), "allmulti");
    check(dev_set_promiscuity(b.net, *b.dev, -1).has_value(), "promiscuous mode");
    check(!dev_set_promiscuity(b.net, *b.dev, -1).has_value(), "promiscuity below 0");
    b.must_send(b.frame(1, 100, false));
    b.must_collect(b.frame(1, 100, false), "a frame after changes of mode");
  }
  static void carrier_and_operstate(bench_t& b) {
    b.up();
    check(dev_get_operstate(*b.dev) == operstate::up && (dev_get_flags(*b.dev) & iff::running), "up with a carrier");
    u32 const changes = b.dev->carrier_changes;
    netif_carrier_off(b.net, *b.dev);
    check(dev_get_operstate(*b.dev) == operstate::down && !(dev_get_flags(*b.dev) & iff::running), "no carrier");
    check(bench_t::net_t::ethtool_ops[b.dev->driver].get_link || !ethtool_get_link(b.net, *b.dev),
          "ethtool: link without a carrier");
    netif_carrier_on(b.net, *b.dev);
    check(ethtool_get_link(b.net, *b.dev), "ethtool: no link with a carrier");
    check_equal(b.dev->carrier_changes, changes + 2, "carrier_changes");
  }
  static void poll_controller_is_callable(bench_t& b) {
    b.up();
    if (b.ops().ndo_poll_controller) b.ops().ndo_poll_controller(b.net, *b.dev);
    b.must_send(b.frame(1, 100, false));
    b.must_collect(b.frame(1, 100, false), "a frame after ndo_poll_controller");
  }
  static void tells_about_itself(bench_t& b) {
    b.make();
    auto const info = ethtool_get_drvinfo(b.net, *b.dev);
    check(std::string_view(info.driver) == Rig::driver::name, "ethtool: the driver's name");
    auto const names = ethtool_get_strings(b.net, *b.dev);
    check_equal(info.n_stats, names.size(), "ethtool: number of statistics");
    std::vector<u64> values(names.size());
    check(ethtool_get_stats(b.net, *b.dev, values).has_value(), "ethtool: statistics");
  }

  // --- waiting ------------------------------------------------------------------------------------------------------
  static int fd_of(bench_t& b) {
    needs(Rig::receives && b.ops().ndo_poll_fd != nullptr, "the driver has no fd");
    int const fd = b.ops().ndo_poll_fd(b.net, *b.dev);
    needs(fd >= 0, "the driver has no fd just now");
    return fd;
  }
  static bool readable(int fd, int ms) {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&p, 1, ms) == 1;
  }
  static bool arm(bench_t& b) { return b.ops().ndo_arm && b.ops().ndo_arm(b.net, *b.dev); }

  static void fd_is_silent_without_frames(bench_t& b) {
    b.up();
    int const fd = fd_of(b);
    check(!arm(b), "ndo_arm reports work without any");
    check(!readable(fd, 20), "the fd is readable without a frame");
  }
  static void fd_is_readable_with_a_frame(bench_t& b) {
    b.up();
    int const fd = fd_of(b);
    check(!arm(b), "ndo_arm reports work without any");
    b.must_inject(b.frame(1, 100, true));
    check(readable(fd, 1000), "a frame does not make the fd readable");
    b.take_exactly(1);
  }
  static void fd_is_silent_once_drained(bench_t& b) {
    b.up();
    int const fd = fd_of(b);
    for (u32 round = 0; round < 3; ++round) {
      check(!arm(b), "ndo_arm reports work without any");
      for (u32 i = 0; i < 3; ++i) b.must_inject(b.frame(i, 100, true));
      check(readable(fd, 1000), "frames do not make the fd readable");
      b.take_exactly(3);
      check(b.take(64).empty(), "a frame from nowhere");
      check(!arm(b), "ndo_arm reports work though all frames were taken");
      check(!readable(fd, 20), "the fd stays readable though all frames were taken");
      b.take(64);
    }
  }
  static void no_wakeup_is_lost(bench_t& b) {
    b.up();
    int const fd = fd_of(b);
    b.must_inject(b.frame(1, 100, true));
    check(arm(b) || readable(fd, 1000), "a frame that came before ndo_arm wakes nobody");
    b.take_exactly(1);
  }
  static void wait_ends_with_a_frame(bench_t& b) {
    b.up();
    (void)fd_of(b);
    while (b.h.poll()) {
    }
    b.must_inject(b.frame(1, 100, true));
    b.h.worker().refresh_clock();
    u64 const start = b.h.worker().now;
    for (int i = 0; i < 10 && b.h.poll() == 0; ++i) b.h.wait(10'000'000'000);
    b.h.worker().refresh_clock();
    check(b.h.worker().now - start < 5'000'000'000, "wait() sleeps though a frame is there");
  }
  static void wait_ends_in_time(bench_t& b) {
    b.up();
    (void)fd_of(b);
    while (b.h.poll()) {
    }
    b.h.worker().refresh_clock();
    u64 const start = b.h.worker().now;
    b.h.wait(20'000'000);
    b.h.worker().refresh_clock();
    check(b.h.worker().now - start < 5'000'000'000, "wait() forgets its limit");
  }
};

}  // namespace netstack::testing::detail
