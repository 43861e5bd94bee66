// SPDX-License-Identifier: BSL-1.0
// Proves wire/arp.hpp: the layout on a captured request and reply, and which packets the stack can read.
#include "netstack/wire/arp.hpp"

#include "netstack/wire/ipv4_addr.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr arphdr request = header_at<arphdr>(support::arp_request, eth_hlen);
constexpr arphdr reply = header_at<arphdr>(support::arp_reply, eth_hlen);
constexpr mac_addr mac1{{0x02, 0x00, 0x5e, 0x10, 0x00, 0x01}};
constexpr mac_addr mac2{{0x02, 0x00, 0x5e, 0x10, 0x00, 0x02}};

/// The captured request with one byte changed.
constexpr arphdr with_byte(std::size_t at, unsigned char value) {
  auto bytes = support::bytes_of(request);
  bytes.at(at) = value;
  return std::bit_cast<arphdr>(bytes);
}

}  // namespace

TEST_CASE("an ARP packet is read where it lies", "[arp]") {
  CHECK_BOTH(request.is_ether_ipv4() && reply.is_ether_ipv4());
  CHECK_BOTH(request.ar_op == be16{arpop::request} && reply.ar_op == be16{arpop::reply});
  CHECK_BOTH(request.ar_sha == mac1 && request.ar_sip == ipv4_addr("192.0.2.1"));
  CHECK_BOTH(request.ar_tha.is_zero() && request.ar_tip == ipv4_addr("192.0.2.2"));
  CHECK_BOTH(reply.ar_sha == mac2 && reply.ar_sip == ipv4_addr("192.0.2.2"));
  CHECK_BOTH(reply.ar_tha == mac1 && reply.ar_tip == ipv4_addr("192.0.2.1"));
  CHECK(support::same_at_any_address<arphdr>(support::arp_reply, eth_hlen));
}

TEST_CASE("an ARP packet that is written has the captured bytes", "[arp]") {
  constexpr arphdr written{.ar_op = be16{arpop::reply},
                           .ar_sha = mac2,
                           .ar_sip = ipv4_addr("192.0.2.2"),
                           .ar_tha = mac1,
                           .ar_tip = ipv4_addr("192.0.2.1")};
  CHECK_BOTH(support::bytes_of(written) == support::bytes_of(reply));
}

TEST_CASE("other hardware, protocols and lengths are not taken for Ethernet and IPv4", "[arp]") {
  CHECK_BOTH(with_byte(1, 6).is_ether_ipv4());  // RFC 1122 §2.3.3: IEEE 802 hardware
  CHECK_BOTH(!with_byte(1, 7).is_ether_ipv4());
  CHECK_BOTH(!with_byte(0, 1).is_ether_ipv4());
  CHECK_BOTH(!with_byte(3, 6).is_ether_ipv4());
  CHECK_BOTH(!with_byte(4, 5).is_ether_ipv4());
  CHECK_BOTH(!with_byte(5, 16).is_ether_ipv4());
}
