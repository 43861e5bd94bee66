// SPDX-License-Identifier: BSL-1.0
// Proves wire/icmp.hpp: an echo and an error that Linux sent, and the second word in each of its meanings.
#include "netstack/wire/icmp.hpp"

#include "netstack/wire/checksum.hpp"
#include "netstack/wire/ethernet.hpp"
#include "netstack/wire/ip.hpp"
#include "netstack/wire/udp.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr std::size_t icmp_at = eth_hlen + ip_hlen_min;
constexpr icmphdr echo = header_at<icmphdr>(support::icmp_echo, icmp_at);
constexpr icmphdr unreach = header_at<icmphdr>(support::icmp_port_unreach, icmp_at);
constexpr iphdr quoted = header_at<iphdr>(support::icmp_port_unreach, icmp_at + sizeof(icmphdr));
constexpr udphdr quoted_udp = header_at<udphdr>(support::icmp_port_unreach, icmp_at + sizeof(icmphdr) + ip_hlen_min);

template <std::size_t N>
constexpr sum16 checksum_from(std::array<unsigned char, N> const& frame, std::size_t at) {
  return ip_compute_csum(frame.data() + at, N - at);
}
constexpr std::array<unsigned char, 4> second_word(icmp_un const& un) { return support::bytes_of(un); }
constexpr icmp_un with_gateway(be32 gateway) {
  icmp_un un;
  un.set_gateway(gateway);
  return un;
}
constexpr icmp_un with_mtu(u16 mtu) {
  icmp_un un{.echo = {.id = be16{0xffff}, .sequence = {}}};
  un.set_mtu(be16{mtu});
  return un;
}
constexpr icmp_un with_pointer(u8 at) {
  icmp_un un{.echo = {.id = be16{0xffff}, .sequence = be16{0xffff}}};
  un.set_pointer(at);
  return un;
}

}  // namespace

TEST_CASE("an echo request is read where it lies", "[icmp]") {
  CHECK_BOTH(echo.type == icmp_type::echo && echo.code == 0);
  CHECK_BOTH(echo.un.echo.id == be16{0x7029} && echo.un.echo.sequence == be16{1});
  CHECK_BOTH(checksum_from(support::icmp_echo, icmp_at) == sum16{});
  CHECK(support::same_at_any_address<icmphdr>(support::icmp_echo, icmp_at));
}

TEST_CASE("an error quotes the datagram it speaks of", "[icmp]") {
  CHECK_BOTH(unreach.type == icmp_type::dest_unreach && unreach.code == icmp_code::port_unreach);
  CHECK_BOTH(checksum_from(support::icmp_port_unreach, icmp_at) == sum16{});
  CHECK_BOTH(quoted.protocol == ipproto::udp && quoted.saddr == ipv4_addr("192.0.2.1"));
  CHECK_BOTH(quoted_udp.source == be16{4369} && quoted_udp.dest == be16{9});
}

TEST_CASE("the second word carries a router, an MTU or a pointer", "[icmp]") {
  CHECK_BOTH(second_word(with_gateway(ipv4_addr("192.0.2.254"))) == std::array<unsigned char, 4>{192, 0, 2, 254});
  CHECK_BOTH(with_gateway(ipv4_addr("192.0.2.254")).gateway() == ipv4_addr("192.0.2.254"));
  // RFC 1191 §4: two unused bytes, then the MTU.
  CHECK_BOTH(second_word(with_mtu(1280)) == std::array<unsigned char, 4>{0, 0, 0x05, 0x00});
  CHECK_BOTH(with_mtu(1280).mtu() == be16{1280});
  // RFC 792: the pointer, then three unused bytes.
  CHECK_BOTH(second_word(with_pointer(20)) == std::array<unsigned char, 4>{20, 0, 0, 0});
  CHECK_BOTH(with_pointer(59).pointer() == 59);
}

TEST_CASE("errors are the five types that must not be answered by an error", "[icmp]") {
  constexpr auto errors = [] {
    u32 set = 0;
    for (unsigned type = 0; type <= nr_icmp_types; ++type) set |= u32{icmp_is_err(static_cast<u8>(type))} << type;
    return set;
  };
  CHECK_BOTH(errors() == (1U << 3 | 1U << 4 | 1U << 5 | 1U << 11 | 1U << 12));
  CHECK_BOTH(!icmp_is_err(42) && !icmp_is_err(255));
}
