// SPDX-License-Identifier: BSL-1.0
// Proves wire/ipproto.hpp: every number equals the one that the system's sockets use.
#include "netstack/wire/ipproto.hpp"

#include <netinet/in.h>

#include "support/frame.hpp"

using namespace netstack;

TEST_CASE("the protocol numbers are the registered ones", "[ipproto]") {
  CHECK_BOTH(ipproto::ip == IPPROTO_IP && ipproto::icmp == IPPROTO_ICMP && ipproto::igmp == IPPROTO_IGMP);
  CHECK_BOTH(ipproto::ipip == IPPROTO_IPIP && ipproto::tcp == IPPROTO_TCP && ipproto::egp == IPPROTO_EGP);
  CHECK_BOTH(ipproto::pup == IPPROTO_PUP && ipproto::udp == IPPROTO_UDP && ipproto::idp == IPPROTO_IDP);
  CHECK_BOTH(ipproto::dccp == IPPROTO_DCCP && ipproto::ipv6 == IPPROTO_IPV6 && ipproto::rsvp == IPPROTO_RSVP);
  CHECK_BOTH(ipproto::gre == IPPROTO_GRE && ipproto::esp == IPPROTO_ESP && ipproto::ah == IPPROTO_AH);
  CHECK_BOTH(ipproto::icmpv6 == IPPROTO_ICMPV6 && ipproto::beetph == IPPROTO_BEETPH);
  CHECK_BOTH(ipproto::encap == IPPROTO_ENCAP && ipproto::pim == IPPROTO_PIM && ipproto::comp == IPPROTO_COMP);
  CHECK_BOTH(ipproto::sctp == IPPROTO_SCTP && ipproto::udplite == IPPROTO_UDPLITE);
  CHECK_BOTH(ipproto::mpls == IPPROTO_MPLS && ipproto::raw == IPPROTO_RAW);
}
