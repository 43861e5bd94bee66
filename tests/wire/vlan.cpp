// SPDX-License-Identifier: BSL-1.0
// Proves wire/vlan.hpp: the tag control word bit by bit, and the layout of a tagged frame.
#include "netstack/wire/vlan.hpp"

#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

// udp_discard as it would leave a port of VLAN 100 with priority 5, drop-eligible.
constexpr auto tagged = support::frame_of(0x02, 0x00, 0x5e, 0x10, 0x00, 0x02, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, 0x81,
                                          0x00, 0xb0, 0x64, 0x08, 0x00, 0x45, 0x00);
constexpr vlan_ethhdr whole = header_at<vlan_ethhdr>(tagged, 0);
constexpr vlan_hdr inner = header_at<vlan_hdr>(tagged, eth_hlen);

}  // namespace

TEST_CASE("a tag is read with its Ethernet header and alone", "[vlan]") {
  CHECK_BOTH(whole.h_vlan_proto == be16{eth_p::p_8021q});
  CHECK_BOTH(eth_type_vlan(whole.h_vlan_proto) && eth_type_vlan(be16{eth_p::p_8021ad}));
  CHECK_BOTH(!eth_type_vlan(be16{eth_p::ip}));
  CHECK_BOTH(whole.h_vlan_TCI == inner.h_vlan_TCI);
  CHECK_BOTH(whole.h_source == mac_addr{{0x02, 0x00, 0x5e, 0x10, 0x00, 0x01}});
  CHECK_BOTH(inner.vid() == 100 && inner.prio() == 5 && inner.cfi());
  CHECK_BOTH(inner.h_vlan_encapsulated_proto == be16{eth_p::ip});
  CHECK(support::same_at_any_address<vlan_ethhdr>(tagged, 0));
  CHECK(support::same_at_any_address<vlan_hdr>(tagged, eth_hlen));
}

TEST_CASE("a tag control word keeps its three fields apart", "[vlan]") {
  CHECK_BOTH(vlan_tci(100, 5, true) == 0xb064);
  CHECK_BOTH(vlan_tci(4095, 0, false) == 0x0fff);
  CHECK_BOTH(vlan_tci(0, 7, false) == 0xe000);
  CHECK_BOTH(vlan_tci(0, 0, true) == vlan_cfi_mask);
  CHECK_BOTH(vlan_tci(4096, 8) == 0);  // what does not fit is cut off, never spilt into a neighbour
  CHECK_BOTH((vlan_prio_mask | vlan_cfi_mask | vlan_vid_mask) == 0xffff);
}
