// SPDX-License-Identifier: BSL-1.0
// Decides: what every driver has to do, as named cases that a driver's author gets for free. Independent of any test
// framework: a table of names and functions, each answering passed, failed or skipped with a text.
//
//   struct rig {  // one stack with one device, and its far end
//     struct host : stack<host, my_driver, sizes<config{.skb_pool = 2048}>> {};
//     using driver = my_driver;
//     static constexpr bool receives = true;   // frames come from the far end through ndo_poll
//     static constexpr bool lossless = true;   // the far end keeps what it has no time for
//     static constexpr u32 window = 256;       // frames it keeps before it must be asked; 8 at least
//     static constexpr bool exclusive = true;  // optional: a second claim is busy
//     host h;                                  // not booted yet
//     result<net_device*> make(char const* name);  // registers the device; twice: a second one
//     bool inject(std::span<u8 const> frame);      // the far end sends; false: it cannot
//     bool collect(std::vector<u8>& frame);        // the far end receives, checksums finished
//   };
//   for (auto const& c : testing::driver_conformance<rig>())
//     if (auto r = testing::run(c); r.is(testing::outcome::failed)) …
//
// Not for production: allocates and throws (and catches).
#pragma once
#include <array>
#include <memory>

#include "netstack/testing/detail/control_cases.hpp"
#include "netstack/testing/detail/lifecycle_cases.hpp"
#include "netstack/testing/detail/rx_cases.hpp"
#include "netstack/testing/detail/tx_cases.hpp"

namespace netstack::testing {

enum class outcome : u8 { passed, failed, skipped };

struct conformance_result {
  netstack::testing::outcome outcome = netstack::testing::outcome::passed;
  std::string text;  ///< what is wrong, or why it was skipped
  [[nodiscard]] bool is(netstack::testing::outcome o) const { return outcome == o; }
};

template <class Rig>
struct conformance_case {
  char const* name;
  void (*run)(detail::bench<Rig>&);
};

namespace detail {
/// All cases, in an order in which the first failure tells most.
template <class Rig>
struct conformance_list {
  using life = lifecycle_cases<Rig>;
  using tx = tx_cases<Rig>;
  using rx = rx_cases<Rig>;
  using control = control_cases<Rig>;
  using c = conformance_case<Rig>;
  static constexpr auto rows = std::to_array<c>({
      c{"probe_fills_the_device", life::probe_fills_the_device},
      c{"probe_leaves_it_down", life::probe_leaves_it_down},
      c{"name_is_unique", life::name_is_unique},
      c{"second_claim_is_busy", life::second_claim_is_busy},
      c{"failed_claim_leaves_nothing", life::failed_claim_leaves_nothing},
      c{"claim_is_free_again_after_unregister", life::claim_is_free_again_after_unregister},
      c{"open_twice", life::open_twice},
      c{"stop_twice", life::stop_twice},
      c{"close_before_open", life::close_before_open},
      c{"open_and_close_100_times", life::open_and_close_100_times},
      c{"traffic_after_reopen", life::traffic_after_reopen},
      c{"tx_whole", tx::tx_whole},
      c{"tx_minimum", tx::tx_minimum},
      c{"tx_mtu", tx::tx_mtu},
      c{"tx_longer_than_mtu_is_refused", tx::tx_longer_than_mtu_is_refused},
      c{"tx_order", tx::tx_order},
      c{"tx_burst_with_more", tx::tx_burst_with_more},
      c{"tx_flush_after_more", tx::tx_flush_after_more},
      c{"tx_flush_without_frames", tx::tx_flush_without_frames},
      c{"tx_list", tx::tx_list},
      c{"tx_without_headroom", tx::tx_without_headroom},
      c{"tx_without_tailroom", tx::tx_without_tailroom},
      c{"tx_of_a_clone", tx::tx_of_a_clone},
      c{"tx_frame_is_untouched_in_flight", tx::tx_frame_is_untouched_in_flight},
      c{"tx_takes_each_skb_once", tx::tx_takes_each_skb_once},
      c{"tx_complete_without_frames", tx::tx_complete_without_frames},
      c{"tx_counts", tx::tx_counts},
      c{"tx_nonlinear", tx::tx_nonlinear},
      c{"tx_partial_checksum", tx::tx_partial_checksum},
      c{"tx_while_down_is_refused", tx::tx_while_down_is_refused},
      c{"tx_without_carrier_is_refused", tx::tx_without_carrier_is_refused},
      c{"busy_takes_nothing", tx::busy_takes_nothing},
      c{"busy_loses_nothing", tx::busy_loses_nothing},
      c{"busy_in_mid_list", tx::busy_in_mid_list},
      c{"rx_whole", rx::rx_whole},
      c{"rx_minimum", rx::rx_minimum},
      c{"rx_mtu", rx::rx_mtu},
      c{"rx_longer_than_mtu_is_never_cut", rx::rx_longer_than_mtu_is_never_cut},
      c{"rx_runt", rx::rx_runt},
      c{"rx_order", rx::rx_order},
      c{"rx_describes_the_frame", rx::rx_describes_the_frame},
      c{"rx_tells_hosts_apart", rx::rx_tells_hosts_apart},
      c{"rx_multicast_filter", rx::rx_multicast_filter},
      c{"rx_leaves_headroom", rx::rx_leaves_headroom},
      c{"rx_frame_is_private", rx::rx_frame_is_private},
      c{"rx_nothing", rx::rx_nothing},
      c{"budget_zero", rx::budget_zero},
      c{"budget_1", rx::budget_1},
      c{"budget_16", rx::budget_16},
      c{"budget_64", rx::budget_64},
      c{"budget_is_used", rx::budget_is_used},
      c{"rx_counts", rx::rx_counts},
      c{"pool_empty", rx::pool_empty},
      c{"pool_empty_in_mid_burst", rx::pool_empty_in_mid_burst},
      c{"rx_through_the_stack", rx::rx_through_the_stack},
      c{"both_ways_at_once", rx::both_ways_at_once},
      c{"mtu_bounds", control::mtu_bounds},
      c{"mtu_takes_effect", control::mtu_takes_effect},
      c{"mac_address_takes_effect", control::mac_address_takes_effect},
      c{"mac_address_bounds", control::mac_address_bounds},
      c{"missing_ops_are_not_supported", control::missing_ops_are_not_supported},
      c{"rx_mode_may_change_at_any_time", control::rx_mode_may_change_at_any_time},
      c{"carrier_and_operstate", control::carrier_and_operstate},
      c{"poll_controller_is_callable", control::poll_controller_is_callable},
      c{"tells_about_itself", control::tells_about_itself},
      c{"fd_is_silent_without_frames", control::fd_is_silent_without_frames},
      c{"fd_is_readable_with_a_frame", control::fd_is_readable_with_a_frame},
      c{"fd_is_silent_once_drained", control::fd_is_silent_once_drained},
      c{"no_wakeup_is_lost", control::no_wakeup_is_lost},
      c{"wait_ends_with_a_frame", control::wait_ends_with_a_frame},
      c{"wait_ends_in_time", control::wait_ends_in_time},
      c{"down_with_tx_in_flight", life::down_with_tx_in_flight},
      c{"down_with_rx_waiting", life::down_with_rx_waiting},
      c{"received_while_down_is_for_nobody", life::received_while_down_is_for_nobody},
      c{"unregister_while_up", life::unregister_while_up},
      c{"unregister_under_load", life::unregister_under_load},
      c{"shutdown_with_device_up", life::shutdown_with_device_up},
  });
};
}  // namespace detail

template <class Rig>
constexpr auto const& driver_conformance() {
  return detail::conformance_list<Rig>::rows;
}

namespace detail {

/// After every case: the device goes, and nothing stays behind.
template <class Rig>
void check_balance(bench<Rig>& b, u32 devices) {
  if (b.shut_down) return;
  b.remove();
  b.h.poll();
  check_equal(b.pool().in_use(), 0, "skbs in use after the case");
  check_equal(b.pool().clones_in_use(), 0, "clones in use after the case");
  check_equal(b.h.worker().devices.in_use(), devices, "device slots in use after the case");
}

}  // namespace detail

/// Runs a case on a fresh rig. `abandon`: after a failure the rig is not taken down, since the driver may have damaged
/// it; for a process that ends at once.
template <class Rig>
conformance_result run(conformance_case<Rig> const& c, bool abandon = false) {
  auto rig = std::make_unique<Rig>();
  if (auto r = rig->h.boot({.seed = 1}); !r) return {outcome::failed, "boot() failed"};
  detail::bench<Rig> b{*rig};
  u32 const devices = b.h.worker().devices.in_use();
  conformance_result answer;
  try {
    c.run(b);
    detail::check_balance(b, devices);
  } catch (detail::case_failed const& f) {
    answer = {outcome::failed, f.text};
  } catch (detail::case_skipped const& s) {
    answer = {outcome::skipped, s.text};
  }
  if (answer.is(outcome::failed) && abandon) (void)rig.release();
  return answer;
}

}  // namespace netstack::testing
