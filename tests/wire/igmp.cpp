// SPDX-License-Identifier: BSL-1.0
// Proves wire/igmp.hpp: a version 3 report that Linux sent, a query, and the floating-point response time.
#include "netstack/wire/igmp.hpp"

#include "netstack/wire/checksum.hpp"
#include "netstack/wire/ethernet.hpp"
#include "netstack/wire/ip.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr std::size_t igmp_at = eth_hlen + header_at<iphdr>(support::igmpv3_join, eth_hlen).header_len();
constexpr igmpv3_report report = header_at<igmpv3_report>(support::igmpv3_join, igmp_at);
constexpr igmpv3_grec record = header_at<igmpv3_grec>(support::igmpv3_join, igmp_at + sizeof(igmpv3_report));

// RFC 3376 §4.1: group-specific query for 239.1.2.3, 12.8 s, S flag, robustness 2, interval 125 s, two sources.
constexpr auto query_bytes = support::frame_of(0x11, 0x80, 0x00, 0x00, 239, 1, 2, 3, 0x0a, 125, 0x00, 0x02);
constexpr igmpv3_query query = header_at<igmpv3_query>(query_bytes, 0);
constexpr igmphdr short_query = header_at<igmphdr>(query_bytes, 0);

}  // namespace

TEST_CASE("a version 3 report is read where it lies", "[igmp]") {
  CHECK_BOTH(igmp_at == eth_hlen + 24);
  CHECK_BOTH(report.type == igmp_type::v3_host_membership_report && report.ngrec == be16{1});
  CHECK_BOTH(record.grec_type == igmpv3_record::change_to_exclude && record.grec_nsrcs == be16{0});
  CHECK_BOTH(record.grec_auxwords == 0 && record.grec_mca == ipv4_addr("239.1.2.3"));
  CHECK_BOTH(ip_compute_csum(support::igmpv3_join.data() + igmp_at, support::igmpv3_join.size() - igmp_at) == sum16{});
  CHECK(support::same_at_any_address<igmpv3_report>(support::igmpv3_join, igmp_at));
  CHECK(support::same_at_any_address<igmpv3_grec>(support::igmpv3_join, igmp_at + sizeof(igmpv3_report)));
}

TEST_CASE("a query is read in its short and its long form", "[igmp]") {
  CHECK_BOTH(short_query.type == igmp_type::host_membership_query && short_query.group == query.group);
  CHECK_BOTH(query.group == ipv4_addr("239.1.2.3") && query.nsrcs == be16{2});
  CHECK_BOTH(query.suppress() && query.qrv() == 2 && query.qqic == 125);
  CHECK_BOTH(igmpv3_exp(query.code) == 128);
}

TEST_CASE("times from 128 on have a mantissa and an exponent", "[igmp]") {
  CHECK_BOTH(igmpv3_exp(0) == 0 && igmpv3_exp(100) == 100 && igmpv3_exp(127) == 127);
  CHECK_BOTH(igmpv3_exp(0x81) == (0x11 << 3) && igmpv3_exp(0x8f) == 0x1f << 3);
  CHECK_BOTH(igmpv3_exp(0x90) == 0x10 << 4);
  CHECK_BOTH(igmpv3_exp(0xff) == 0x1f << 10);  // 31,744
}
