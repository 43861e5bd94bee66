// SPDX-License-Identifier: BSL-1.0
// Proves wire/eth_p.hpp: the numbers, against Linux's own header where the build has it, and the border at 1536.
#include "netstack/wire/eth_p.hpp"

#include "support/frame.hpp"
#if __has_include(<linux/if_ether.h>)
#include <linux/if_ether.h>
#endif

using namespace netstack;

TEST_CASE("the type numbers are the registered ones", "[eth_p][S56]") {
  CHECK_BOTH(eth_p::p_802_2 == 4);
  CHECK_BOTH(eth_p::loop == 0x0060);
  CHECK_BOTH(eth_p::ip == 0x0800);
  CHECK_BOTH(eth_p::arp == 0x0806);
  CHECK_BOTH(eth_p::lacp == 0x8809);
  CHECK_BOTH(eth_p::p_8021q == 0x8100);
  CHECK_BOTH(eth_p::mpls_uc == 0x8847);
  CHECK_BOTH(eth_p::all == 0x0003);
  CHECK_BOTH(eth_p::ipv6 == 0x86dd);
  CHECK_BOTH(eth_p::ieee1588 == 0x88f7);
}

TEST_CASE("a field below 1536 is a length, from there on a type", "[eth_p][S56]") {
  CHECK_BOTH(!eth_proto_is_802_3(1500));
  CHECK_BOTH(!eth_proto_is_802_3(1535));
  CHECK_BOTH(eth_proto_is_802_3(1536));
  CHECK_BOTH(eth_proto_is_802_3(eth_p::ip));
  CHECK_BOTH(eth_p::p_802_3_min == 1536);
}

#ifdef ETH_P_IP
TEST_CASE("every number equals Linux's", "[eth_p]") {
  CHECK_BOTH(eth_p::loop == ETH_P_LOOP && eth_p::pup == ETH_P_PUP && eth_p::ip == ETH_P_IP);
  CHECK_BOTH(eth_p::x25 == ETH_P_X25 && eth_p::arp == ETH_P_ARP && eth_p::teb == ETH_P_TEB);
  CHECK_BOTH(eth_p::rarp == ETH_P_RARP && eth_p::atalk == ETH_P_ATALK && eth_p::aarp == ETH_P_AARP);
  CHECK_BOTH(eth_p::p_8021q == ETH_P_8021Q && eth_p::ipx == ETH_P_IPX && eth_p::ipv6 == ETH_P_IPV6);
  CHECK_BOTH(eth_p::pause == ETH_P_PAUSE && eth_p::slow == ETH_P_SLOW && eth_p::mpls_uc == ETH_P_MPLS_UC);
  CHECK_BOTH(eth_p::mpls_mc == ETH_P_MPLS_MC && eth_p::ppp_disc == ETH_P_PPP_DISC && eth_p::pae == ETH_P_PAE);
  CHECK_BOTH(eth_p::ppp_ses == ETH_P_PPP_SES && eth_p::p_8021ad == ETH_P_8021AD && eth_p::macsec == ETH_P_MACSEC);
  CHECK_BOTH(eth_p::ieee1588 == ETH_P_1588 && eth_p::p_802_3_min == ETH_P_802_3_MIN && eth_p::snap == ETH_P_SNAP);
  CHECK_BOTH(eth_p::p_802_3 == ETH_P_802_3 && eth_p::ax25 == ETH_P_AX25 && eth_p::p_802_2 == ETH_P_802_2);
  CHECK_BOTH(eth_p::all == ETH_P_ALL && eth_p::lldp == 0x88cc);
}
#endif
