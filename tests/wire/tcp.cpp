// SPDX-License-Identifier: BSL-1.0
// Proves wire/tcp.hpp: the layout on a captured SYN, each flag alone, and the data offset.
#include "netstack/wire/tcp.hpp"

#include "netstack/wire/checksum.hpp"
#include "netstack/wire/ethernet.hpp"
#include "netstack/wire/ip.hpp"
#include "support/captures.hpp"
#include "support/frame.hpp"

using namespace netstack;
using support::header_at;

namespace {

constexpr std::size_t tcp_at = eth_hlen + ip_hlen_min;
constexpr iphdr iph = header_at<iphdr>(support::tcp_syn, eth_hlen);
constexpr tcphdr th = header_at<tcphdr>(support::tcp_syn, tcp_at);

/// The accessors' answers as a byte, in the order of the wire.
constexpr u8 read_back(u8 flags) {
  tcphdr const t{.flags = flags};
  return static_cast<u8>(t.fin() | t.syn() << 1 | t.rst() << 2 | t.psh() << 3 | t.ack() << 4 | t.urg() << 5 |
                         t.ece() << 6 | t.cwr() << 7);
}
constexpr bool each_flag_alone() {
  for (unsigned flags = 0; flags < 256; ++flags)
    if (read_back(static_cast<u8>(flags)) != flags) return false;
  return true;
}
constexpr tcphdr with_doff(u8 words) {
  tcphdr t;
  t.set_doff(words);
  return t;
}

}  // namespace

TEST_CASE("a TCP header is read where it lies", "[tcp]") {
  CHECK_BOTH(th.source == be16{41930} && th.dest == be16{8738});
  CHECK_BOTH(th.seq == be32{2016523937U} && th.ack_seq == be32{0});
  CHECK_BOTH(th.doff() == 10 && th.header_len() == 40);
  CHECK_BOTH(th.flags == tcp_flag::syn && th.syn() && !th.ack());
  CHECK_BOTH(th.window == be16{64240} && th.urg_ptr == be16{0});
  CHECK(support::same_at_any_address<tcphdr>(support::tcp_syn, tcp_at));
}

TEST_CASE("the partial checksum of a segment is the one that Linux stores", "[tcp]") {
  CHECK_BOTH(th.check.raw() == static_cast<u16>(~csum_tcpudp_magic(iph.saddr, iph.daddr, 40, ipproto::tcp, 0).raw()));
}

TEST_CASE("flags and data offset have their own bits", "[tcp]") {
  CHECK_BOTH(each_flag_alone());
  CHECK_BOTH(tcphdr{}.doff() == 5 && tcphdr{}.header_len() == tcp_hlen_min);
  CHECK_BOTH(with_doff(15).doff() == 15 && with_doff(15).header_len() == tcp_hlen_max);
}
