// SPDX-License-Identifier: BSL-1.0
// Rate limits of ICMP: a bucket for each destination, one for all, and what is never limited.
#include "netstack/ipv4/icmp_limit.hpp"

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr u64 second = 1'000'000'000;
datagram const unknown_protocol{.protocol = 200, .payload = bytes(16)};

/// Without the limit on all destinations together.
struct limited_rig : ip_rig<> {
  limited_rig() { ns().sysctl_icmp_msgs_burst = ns().sysctl_icmp_msgs_per_sec = 1'000'000'000; }
  u32 burst(datagram const& d, u32 n) {
    u32 answers = 0;
    for (u32 i = 0; i < n; ++i) {
      inject(d);
      answers += static_cast<u32>(sent().size());
    }
    return answers;
  }
};

}  // namespace

TEST_CASE("errors to one destination: six at once, then one a second", "[S158]") {
  limited_rig rig;
  CHECK(rig.burst(unknown_protocol, 20) == 6);
  CHECK(rig.icmp().OutRateLimitHost.read() == 14);
  rig.run_for(second - 1);
  CHECK(rig.burst(unknown_protocol, 1) == 0);
  rig.run_for(1);
  CHECK(rig.burst(unknown_protocol, 3) == 1);
  rig.run_for(3 * second);
  CHECK(rig.burst(unknown_protocol, 20) == 3);
  rig.run_for(60 * second);
  CHECK(rig.burst(unknown_protocol, 20) == 6);  // no more than a burst is saved up
  // Another destination has its own bucket.
  rig.know(*rig.eth0, ipv4_addr("192.0.2.10"), peer_mac);
  auto other = unknown_protocol;
  other.saddr = ipv4_addr("192.0.2.10");
  CHECK(rig.burst(other, 20) == 6);
}

TEST_CASE("icmp_ratelimit is the price of a message; 0 costs nothing", "[S158]") {
  limited_rig rig;
  rig.ns().sysctl_icmp_ratelimit = 10 * second;
  (void)rig.burst(unknown_protocol, 10);
  rig.run_for(10 * second);
  CHECK(rig.burst(unknown_protocol, 5) == 1);
  rig.ns().sysctl_icmp_ratelimit = 0;
  CHECK(rig.burst(unknown_protocol, 40) == 40);
}

TEST_CASE("only the types in the mask are limited", "[S158]") {
  limited_rig rig;
  CHECK(rig.ns().sysctl_icmp_ratemask == 0x1818);
  for (u8 type = 0; type <= nr_icmp_types; ++type) {
    INFO("type " << int{type});
    bool const limited = type == 3 || type == 4 || type == 11 || type == 12;
    CHECK(detail::icmp_is_limited(rig.ns(), type, 0) == limited);
  }
  CHECK_FALSE(detail::icmp_is_limited(rig.ns(), icmp_type::dest_unreach, icmp_code::frag_needed));
  // Echo replies are never limited.
  CHECK(rig.burst({.payload = echo_request(1, 1, bytes(8))}, 200) == 200);
  CHECK(rig.icmp().OutRateLimitHost.read() == 0);
  // … unless the mask says so.
  rig.ns().sysctl_icmp_ratemask = 1;
  CHECK(rig.burst({.payload = echo_request(1, 1, bytes(8))}, 20) == 6);
  CHECK(rig.drops(drop_reason::icmp_ratelimit) == 14);
  CHECK(rig.burst(unknown_protocol, 20) == 20);
}

TEST_CASE("all destinations together have a limit, whose level cannot be measured", "[S158][SAD DNS]") {
  auto const answers = [](u64 seed, u32 packets) {
    ip_rig<> rig(seed);
    auto& net = rig.net();
    u32 allowed = 0;
    rig.run_for(second);
    for (u32 i = 0; i < packets; ++i)  // each to another destination: no bucket of its own is empty
      allowed += icmp_xrlim_allow(net, *rig.eth0, be32{0x0b000000 + i}, icmp_type::dest_unreach, 3);
    CHECK(rig.icmp().OutRateLimitGlobal.read() == packets - allowed);
    return allowed;
  };
  u32 lowest = 50, highest = 0;
  for (u64 seed = 1; seed <= 20; ++seed) {
    u32 const n = answers(seed, 200);
    lowest = std::min(lowest, n);
    highest = std::max(highest, n);
  }
  CHECK(highest <= 50);  // icmp_msgs_burst
  CHECK(lowest >= 50 / 3);
  CHECK(lowest != highest);
}

TEST_CASE("the global limit refills at icmp_msgs_per_sec", "[S158]") {
  ip_rig<> rig;
  auto& net = rig.net();
  u32 next = 0;
  auto const drain = [&] {
    u32 n = 0;
    for (u32 i = 0; i < 500; ++i)
      n += icmp_xrlim_allow(net, *rig.eth0, be32{0x0b000000 + next++}, icmp_type::dest_unreach, 3);
    return n;
  };
  rig.run_for(second);
  (void)drain();
  CHECK(drain() == 0);
  rig.run_for(10'000'000);  // 10 ms: ten messages' worth
  u32 const n = drain();
  CHECK(n >= 3);
  CHECK(n <= 10);
}
