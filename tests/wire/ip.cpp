// SPDX-License-Identifier: BSL-1.0
// Proves wire/ip.hpp: the layout on captured headers with and without options, and the fragment field.
#include "netstack/wire/ip.hpp"

#include "netstack/wire/checksum.hpp"
#include "netstack/wire/ethernet.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr iphdr echo = header_at<iphdr>(support::icmp_echo, eth_hlen);
constexpr iphdr routed = header_at<iphdr>(support::icmp_record_route, eth_hlen);

constexpr bool fragment(u16 frag_off) { return ip_is_fragment(iphdr{.frag_off = be16{frag_off}}); }
constexpr std::size_t start(u16 frag_off) { return iphdr{.frag_off = be16{frag_off}}.frag_start(); }

}  // namespace

TEST_CASE("an IPv4 header is read where it lies", "[ip]") {
  CHECK_BOTH(echo.version() == 4 && echo.ihl() == 5 && echo.header_len() == 20);
  CHECK_BOTH(echo.tos == 0 && echo.tot_len == be16{44} && echo.id == be16{0xc6b7});
  CHECK_BOTH(echo.frag_off == be16{ip_df});
  CHECK_BOTH(echo.ttl == 64 && echo.protocol == ipproto::icmp);
  CHECK_BOTH(echo.saddr == ipv4_addr("192.0.2.1") && echo.daddr == ipv4_addr("192.0.2.2"));
  CHECK_BOTH(ip_fast_csum(&echo, 5) == sum16{});
  CHECK_BOTH(routed.ihl() == 15 && routed.header_len() == ip_hlen_max);
  CHECK(support::same_at_any_address<iphdr>(support::icmp_echo, eth_hlen));
}

TEST_CASE("an IPv4 header that is written has the captured bytes", "[ip]") {
  constexpr iphdr written = [] {
    iphdr iph{.tot_len = be16{44},
              .id = be16{0xc6b7},
              .frag_off = be16{ip_df},
              .ttl = ip_default_ttl,
              .protocol = ipproto::icmp,
              .saddr = ipv4_addr("192.0.2.1"),
              .daddr = ipv4_addr("192.0.2.2")};
    iph.check = ip_header_csum(iph);
    return iph;
  }();
  CHECK_BOTH(support::bytes_of(written) == support::bytes_of(echo));
}

TEST_CASE("a fragment has an offset, or more to come", "[ip]") {
  CHECK_BOTH(!fragment(0) && !fragment(ip_df) && !fragment(ip_ce));
  CHECK_BOTH(fragment(ip_mf) && fragment(1) && fragment(ip_mf | 185) && fragment(ip_offset));
  CHECK_BOTH(start(ip_df) == 0 && start(ip_mf | 185) == 1480 && start(ip_offset) == 65528);
}
