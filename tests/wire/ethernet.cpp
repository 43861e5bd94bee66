// SPDX-License-Identifier: BSL-1.0
// Proves wire/ethernet.hpp: the header's layout on a captured frame, the kinds of addresses, and their text.
#include "netstack/wire/ethernet.hpp"

#include <string>

#include "netstack/wire/eth_p.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr ethhdr request = header_at<ethhdr>(support::arp_request, 0);
constexpr ethhdr ping = header_at<ethhdr>(support::icmp_echo, 0);
constexpr mac_addr station{{0x02, 0x00, 0x5e, 0x10, 0x00, 0x01}};
constexpr mac_addr group{{0x01, 0x00, 0x5e, 0x00, 0x00, 0x16}};

constexpr bool parses(std::string_view text, mac_addr const& want) {
  auto const mac = parse_mac(text);
  return mac && *mac == want;
}
constexpr bool refuses(std::string_view text) {
  auto const mac = parse_mac(text);
  return !mac && mac.error() == std::errc::invalid_argument;
}
constexpr bool formats(mac_addr const& mac, std::string_view want) {
  char text[18] = {};
  return format_mac(mac, text) == want && text[17] == '\0';
}

}  // namespace

TEST_CASE("an Ethernet header is read where it lies", "[ethernet]") {
  CHECK_BOTH(request.h_dest == mac_broadcast);
  CHECK_BOTH(request.h_source == station);
  CHECK_BOTH(request.h_proto == be16{eth_p::arp});
  CHECK_BOTH(ping.h_dest == mac_addr{{0x02, 0x00, 0x5e, 0x10, 0x00, 0x02}});
  CHECK_BOTH(ping.h_proto.host() == eth_p::ip);
  CHECK(support::same_at_any_address<ethhdr>(support::icmp_echo, 0));
}

TEST_CASE("an Ethernet header that is written has the captured bytes", "[ethernet]") {
  constexpr ethhdr written{.h_dest = mac_broadcast, .h_source = station, .h_proto = be16{eth_p::arp}};
  CHECK_BOTH(support::bytes_of(written) == support::bytes_of(request));
}

TEST_CASE("addresses are told apart by their first byte", "[ethernet]") {
  CHECK_BOTH(station.is_valid() && station.is_local() && !station.is_multicast() && !station.is_broadcast());
  CHECK_BOTH(group.is_multicast() && !group.is_broadcast() && !group.is_valid() && !group.is_local());
  CHECK_BOTH(mac_broadcast.is_broadcast() && mac_broadcast.is_multicast() && !mac_broadcast.is_valid());
  CHECK_BOTH(mac_addr{}.is_zero() && !mac_addr{}.is_valid() && !mac_addr{}.is_multicast());
  CHECK_BOTH(!mac_addr{{0, 0, 0, 0, 0, 1}}.is_zero());
  CHECK_BOTH(!mac_addr{{0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}}.is_broadcast());
  CHECK_BOTH(mac_addr{{0, 0, 0, 0, 1, 0}} > mac_addr{{0, 0, 0, 0, 0, 0xff}});
}

TEST_CASE("a MAC address is read and written as text", "[ethernet]") {
  CHECK_BOTH(parses("02:00:5e:10:00:01", station));
  CHECK_BOTH(parses("02-00-5E-10-00-01", station));
  CHECK_BOTH(parses("fF:Ff:ff:FF:ff:ff", mac_broadcast));
  CHECK_BOTH(refuses(""));
  CHECK_BOTH(refuses("02:00:5e:10:00"));
  CHECK_BOTH(refuses("02:00:5e:10:00:1"));
  CHECK_BOTH(refuses("02:00:5e:10:00:01:"));
  CHECK_BOTH(refuses("02:00:5e:10:00:0g"));
  CHECK_BOTH(refuses("02.00.5e.10.00.01"));
  CHECK_BOTH(refuses("02:00:5e:10:00 01"));
  CHECK_BOTH(formats(station, "02:00:5e:10:00:01"));
  CHECK_BOTH(formats(mac_addr{{0xde, 0xad, 0xbe, 0xef, 0x09, 0xa0}}, "de:ad:be:ef:09:a0"));
}
