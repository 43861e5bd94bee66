// SPDX-License-Identifier: BSL-1.0
// Proves wire/udp.hpp: the layout on a captured datagram, and its checksum as Linux leaves it to the device and done.
#include "netstack/wire/udp.hpp"

#include "netstack/wire/checksum.hpp"
#include "netstack/wire/ethernet.hpp"
#include "netstack/wire/ip.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr std::size_t udp_at = eth_hlen + ip_hlen_min;
constexpr iphdr iph = header_at<iphdr>(support::udp_discard, eth_hlen);
constexpr udphdr uh = header_at<udphdr>(support::udp_discard, udp_at);

constexpr u32 pseudo = csum_tcpudp_nofold(iph.saddr, iph.daddr, uh.len.host(), ipproto::udp, 0);

/// Finishes the checksum over a frame as a device does, then verifies it as a receiver does.
constexpr bool finishes_and_verifies() {
  auto frame = support::udp_discard;
  // The field holds the sum of the pseudo header, so it takes part.
  sum16 check = csum_fold(csum_partial(frame.data() + udp_at, frame.size() - udp_at, 0));
  frame[udp_at + 6] = check.bytes()[0], frame[udp_at + 7] = check.bytes()[1];
  u32 sum = csum_partial(frame.data() + udp_at, frame.size() - udp_at, 0);
  if (csum_tcpudp_magic(iph.saddr, iph.daddr, uh.len.host(), ipproto::udp, sum) != sum16{}) return false;
  frame.back() ^= 1;
  sum = csum_partial(frame.data() + udp_at, frame.size() - udp_at, 0);
  return csum_tcpudp_magic(iph.saddr, iph.daddr, uh.len.host(), ipproto::udp, sum) != sum16{};
}

}  // namespace

TEST_CASE("a UDP header is read where it lies", "[udp]") {
  CHECK_BOTH(uh.source == be16{4369} && uh.dest == be16{9} && uh.len == be16{17});
  CHECK(support::same_at_any_address<udphdr>(support::udp_discard, udp_at));
}

TEST_CASE("the partial checksum is the one that Linux stores", "[udp]") {
  CHECK_BOTH(uh.check.raw() == static_cast<u16>(~csum_fold(pseudo).raw()));
  CHECK_BOTH(finishes_and_verifies());
}
