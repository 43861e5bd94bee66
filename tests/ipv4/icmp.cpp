// SPDX-License-Identifier: BSL-1.0
// ICMP from the wire: queries in place, errors in, the sysctls that rule them.
#include "netstack/ipv4/icmp.hpp"

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

bytes pattern(std::size_t n) {
  bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = static_cast<u8>(i * 7 + 3);
  return b;
}

}  // namespace

TEST_CASE("an echo request comes back with its data and nothing else", "[S116][S156]") {
  ip_rig<> rig;
  for (std::size_t const n : {0u, 1u, 7u, 18u, 56u, 1472u}) {
    rig.inject({.tos = 0x10, .payload = echo_request(0x1234, 9, pattern(n))});
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    auto const& reply = sent[0];
    CHECK(reply.is_sound());
    CHECK(reply.eth().h_dest == peer_mac);
    CHECK(reply.eth().h_source == our_mac);
    CHECK(reply.ip().saddr == our_addr);
    CHECK(reply.ip().daddr == peer_addr);
    CHECK(reply.ip().ttl == 64);
    CHECK(reply.ip().tos == 0x10);
    CHECK(reply.icmp().type == icmp_type::echoreply);
    CHECK(reply.icmp().code == 0);
    CHECK(reply.icmp().un.echo.id.host() == 0x1234);
    CHECK(reply.payload(sizeof(icmphdr)) == pattern(n));
  }
  CHECK(rig.icmp().InMsgs.read() == 6);
  CHECK(rig.icmp().OutMsgs.read() == 6);
  CHECK(rig.ns().mib.icmpmsg_statistics.InType[8].read() == 6);
  CHECK(rig.ns().mib.icmpmsg_statistics.OutType[0].read() == 6);
  rig.still_alive();
}
