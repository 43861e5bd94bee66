// SPDX-License-Identifier: BSL-1.0
// Decides: the conformance cases of a device's life: claimed, up, down, up again, gone, with frames in flight. [S73]
// [S74] [S75]
#pragma once
#include "netstack/testing/detail/bench.hpp"

namespace netstack::testing::detail {

template <class Rig>
struct lifecycle_cases {
  using bench_t = bench<Rig>;

  static void probe_fills_the_device(bench_t& b) {
    b.make();
    auto const& dev = *b.dev;
    bool const station = b.ethernet() && !dev.is_loopback();
    check(dev.ifindex > 1, "a device needs a number behind lo's");
    check(dev.mtu >= dev.min_mtu && dev.mtu <= dev.max_mtu, "mtu lies outside min_mtu to max_mtu");
    check_equal(dev.hard_header_len, b.ethernet() ? eth_hlen : 0, "hard_header_len for the device's type");
    check(!station || dev.dev_addr.is_valid(), "dev_addr is no station address");
    check(!station || dev.broadcast == mac_broadcast, "broadcast address is not set (ether_setup)");
    check(dev.perm_addr == dev.dev_addr, "perm_addr differs from dev_addr");
    check(dev.real_num_tx_queues >= 1 && dev.real_num_tx_queues <= max_tx_queues, "real_num_tx_queues");
    check(dev.tx_queue_len > 0, "tx_queue_len is 0: nothing could wait for the driver");
  }
  static void probe_leaves_it_down(bench_t& b) {
    b.make();
    check(!b.dev->running(), "the device is up before dev_open");
    check(!b.dev->napi.is_instance(), "the device is polled before dev_open");
    check(dev_get_operstate(*b.dev) == operstate::down, "operstate is not down before dev_open");
  }
  static void name_is_unique(bench_t& b) {
    b.make();
    check(b.net.dev_get_by_name("dut0") == b.dev, "the device is not found by its name");
    check(b.net.dev_get_by_index(b.dev->ifindex) == b.dev, "the device is not found by its number");
    auto again = b.rig.make("dut0");
    check(!again && again.error() == std::errc::file_exists, "a second device of the same name is not file_exists");
  }
  static void second_claim_is_busy(bench_t& b) {
    if constexpr (requires { Rig::exclusive; })
      needs(Rig::exclusive, "the driver claims nothing exclusive");
    else
      needs(false, "the driver claims nothing exclusive");
    b.make();
    auto again = b.rig.make("dut1");
    check(!again, "a second device claimed the same resource");
    check(again.error() == std::errc::device_or_resource_busy, "the second claim is not device_or_resource_busy");
  }
  static void failed_claim_leaves_nothing(bench_t& b) {
    b.make();
    u32 const devices = b.h.worker().devices.in_use(), frames = b.pool().in_use();
    auto again = b.rig.make("dut0");
    check(!again, "file_exists was expected");
    check_equal(b.h.worker().devices.in_use(), devices, "device slots in use after a failed register_netdev");
    check_equal(b.pool().in_use(), frames, "skbs in use after a failed register_netdev");
  }
  static void claim_is_free_again_after_unregister(bench_t& b) {
    for (int i = 0; i < 3; ++i) {
      b.make();
      b.remove();
    }
    b.up();
  }
  static void open_twice(bench_t& b) {
    b.up();
    check(dev_open(b.net, *b.dev).has_value(), "a second dev_open fails");
    b.must_send(b.frame(1, 100, false));
    b.must_collect(b.frame(1, 100, false), "a frame sent after dev_open twice");
  }
  static void stop_twice(bench_t& b) {
    b.up();
    dev_close(b.net, *b.dev);
    dev_close(b.net, *b.dev);
    b.ops().ndo_stop(b.net, *b.dev);  // a driver's own stop, too, finds nothing left to do
    check(!b.dev->running(), "the device is up after dev_close");
  }
  static void close_before_open(bench_t& b) {
    b.make();
    dev_close(b.net, *b.dev);
    b.open();
  }
  static void open_and_close_100_times(bench_t& b) {
    b.make();
    for (u32 i = 0; i < 100; ++i) {
      b.open();
      b.must_send(b.frame(i, 80, false));
      dev_close(b.net, *b.dev);
      check_equal(b.pool().in_use(), 0, "skbs in use after dev_close");
      b.collect_all();
    }
  }
  static void traffic_after_reopen(bench_t& b) {
    b.up();
    dev_close(b.net, *b.dev);
    b.open();
    b.must_send(b.frame(1, 200, false));
    b.must_collect(b.frame(1, 200, false), "a frame sent after reopening");
    if (Rig::receives) {
      b.must_inject(b.frame(2, 200, true));
      b.compare(b.take_exactly(1).front(), b.frame(2, 200, true), "the frame received after reopening");
    }
  }
  static void down_with_tx_in_flight(bench_t& b) {
    b.up();
    for (u32 i = 0; i < b.few; ++i) b.must_send(b.frame(i, 300, false));
    dev_close(b.net, *b.dev);
    check_equal(b.pool().in_use(), 0, "skbs still in flight after ndo_stop");
    b.collect_all();
  }
  static void down_with_rx_waiting(bench_t& b) {
    needs(Rig::receives, "the device has no far end of its own");
    b.up();
    for (u32 i = 0; i < b.few; ++i) b.must_inject(b.frame(i, 300, true));
    dev_close(b.net, *b.dev);
    check_equal(b.pool().in_use(), 0, "skbs in use after ndo_stop");
    check(dev_open(b.net, *b.dev).has_value(), "dev_open failed");
    b.must_inject_when_ready(b.frame(99, 300, true));
    for (auto const& f : b.take_until(99))
      check(b.number_of(f) == 99, "a frame that came before ndo_stop is delivered after ndo_open");
  }
  static void received_while_down_is_for_nobody(bench_t& b) {
    needs(Rig::receives, "the device has no far end of its own");
    b.up();
    dev_close(b.net, *b.dev);
    for (u32 i = 0; i < 5; ++i) b.inject(b.frame(i, 300, true));  // may be refused: there is no carrier
    check_equal(b.pool().in_use(), 0, "skbs in use while down");
    check(dev_open(b.net, *b.dev).has_value(), "dev_open failed");
    b.must_inject_when_ready(b.frame(99, 300, true));
    for (auto const& f : b.take_until(99))
      check(b.number_of(f) == 99, "a frame that came while the device was down is delivered");
  }
  static void unregister_while_up(bench_t& b) {
    b.up();
    u32 const devices = b.h.worker().devices.in_use();
    b.remove();
    check_equal(b.h.worker().devices.in_use(), devices - 1, "device slots in use after unregister_netdev");
    check_equal(b.pool().in_use(), 0, "skbs in use after unregister_netdev");
    check(b.net.dev_get_by_name("dut0") == nullptr, "the device is still listed");
  }
  static void unregister_under_load(bench_t& b) {
    for (u32 round = 0; round < 5; ++round) {
      b.up();
      netif_stop_queue(*b.dev);  // some wait for the driver, some are with it, some come in
      for (u32 i = 0; i < 20; ++i) b.must_send(b.frame(i, 400, false));
      netif_wake_queue(b.net, *b.dev);
      for (u32 i = 0; i < 20; ++i) b.must_send(b.frame(20 + i, 400, false));
      for (u32 i = 0; i < 20; ++i) b.inject(b.frame(40 + i, 400, true));
      if (round % 2) b.h.poll();
      b.remove();
      check_equal(b.pool().in_use(), 0, "skbs in use after unregister_netdev");
      b.collect_all();
    }
  }
  static void shutdown_with_device_up(bench_t& b) {
    b.up();
    for (u32 i = 0; i < 5; ++i) b.must_send(b.frame(i, 200, false));
    b.dev = nullptr;
    b.h.shutdown();  // ends here, not in the driver
    check(!b.h.booted(), "shutdown");
    b.shut_down = true;
  }
};

}  // namespace netstack::testing::detail
