// SPDX-License-Identifier: BSL-1.0
// A datagram on its way through: TTL, checksum, what does not fit, redirects, and the switches that allow it.
#include "netstack/ipv4/ip_forward.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr be32 far = ipv4_addr("198.51.100.9");
constexpr mac_addr far_mac{{2, 0, 0, 0, 0, 0x99}};

/// Says of datagrams with one mark in their TOS that DF does not bind us.
constexpr u8 cut_me = 0x88;
struct df_breaker : module {
  template <class Net>
  static nf_verdict look(Net&, sk_buff& skb) {
    skb.ignore_df = ip_hdr(skb)->tos == cut_me;
    return nf_verdict::accept;
  }
  template <class Net>
  static constexpr std::array nf_hooks{nf_hook_ops<Net>{nf_inet::pre_routing, look<Net>, 0, "df_breaker"}};
};
struct forward_host : rig_stack<forward_host, df_breaker> {};

struct forward_rig : ip_rig<forward_host> {
  net_device* eth1;
  explicit forward_rig(u32 mtu = 1500)
      : eth1(add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}, .mtu = mtu}, "198.51.100.1/24")) {
    know(*eth1, far, far_mac);
    REQUIRE(sysctl_write(net(), "net/ipv4/ip_forward", "1"));
    ns().sysctl_icmp_ratemask = 0;
  }
};
datagram through(bytes payload = bytes(20, 3)) {
  return {.daddr = far, .protocol = 17, .id = 0x4242, .payload = std::move(payload)};
}

}  // namespace

TEST_CASE("a forwarded datagram changes its TTL and checksum, nothing else", "[S137]") {
  forward_rig rig;
  for (u8 const ttl : bytes{2, 64, 128, 255})
    for (u8 const protocol : bytes{0, 1, 17, 255}) {
      auto d = through();
      d.ttl = ttl;
      d.protocol = protocol;
      d.tos = 0x28;
      rig.inject(d);
      auto const sent = rig.sent(*rig.eth1);
      REQUIRE(sent.size() == 1);
      auto const& f = sent[0];
      CHECK(f.ip().ttl == ttl - 1);
      CHECK(ip_compute_csum(f.frame.data() + eth_hlen, 20) == sum16{});  // updated incrementally
      CHECK(f.eth().h_dest == far_mac);
      CHECK(f.eth().h_source == mac_addr{{2, 0, 0, 0, 0, 2}});
      d.ttl = static_cast<u8>(ttl - 1);
      CHECK(bytes(f.frame.begin() + eth_hlen, f.frame.end()) == d.build());
    }
  CHECK(rig.ip().ForwDatagrams.read() == 16);
  CHECK(rig.ip().InDelivers.read() == 0);
  CHECK(rig.ip().OutRequests.read() == 0);
  CHECK(rig.ip().OutTransmits.read() == 16);
  rig.still_alive();
}

TEST_CASE("every sixteen-bit checksum survives the decrement", "[S137]") {
  for (u32 i = 0; i < 65536; ++i) {
    iphdr iph{
        .id = be16{static_cast<u16>(i)}, .ttl = static_cast<u8>(2 + i % 254), .protocol = static_cast<u8>(i >> 8)};
    iph.check = ip_fast_csum(&iph, 5);
    detail::ip_decrease_ttl(iph);
    if (ip_fast_csum(&iph, 5) != sum16{}) FAIL("id " << i);
  }
  SUCCEED();
}

TEST_CASE("time to live ends here", "[S137]") {
  forward_rig rig;
  for (u8 const ttl : bytes{0, 1}) {
    auto d = through();
    d.ttl = ttl;
    rig.inject(d);
    CHECK(rig.sent(*rig.eth1).empty());
    auto const sent = rig.sent(*rig.eth0);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].icmp().type == icmp_type::time_exceeded);
    CHECK(sent[0].icmp().code == icmp_code::exc_ttl);
    CHECK(sent[0].ip().daddr == peer_addr);
  }
  CHECK(rig.ip().InHdrErrors.read() == 2);
  CHECK(rig.drops(drop_reason::ip_ttl) == 2);
  // For ourselves the TTL does not matter.
  rig.inject({.ttl = 1, .payload = echo_request(1, 1, bytes(4))});
  CHECK(rig.sent().size() == 1);
}

TEST_CASE("ignore_df: nobody is told that a packet would have had to be cut", "[S49]") {
  forward_rig rig(1000);
  auto d = through(bytes(981));
  d.frag_off = ip_df;
  d.tos = cut_me;
  rig.inject(d);
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_too_big) == 1);
  rig.still_alive();
}

TEST_CASE("a link that carries less: frag-needed with DF, silence without", "[S137]") {
  forward_rig rig(1000);
  auto d = through(bytes(981));
  d.frag_off = ip_df;
  rig.inject(d);
  auto const sent = rig.sent(*rig.eth0);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].icmp().type == icmp_type::dest_unreach);
  CHECK(sent[0].icmp().code == icmp_code::frag_needed);
  CHECK(sent[0].icmp().un.mtu().host() == 1000);  // RFC 1191 §4
  d.frag_off = 0;
  rig.inject(d);
  CHECK(rig.sent().empty());
  CHECK(rig.ip().FragFails.read() == 2);
  CHECK(rig.drops(drop_reason::ip_too_big) == 2);
  d.payload = bytes(980);
  rig.inject(d);
  CHECK(rig.sent(*rig.eth1).size() == 1);
  rig.still_alive();
}

TEST_CASE("only devices that forward do, and a host does not", "[S137]") {
  forward_rig rig;
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/eth0/forwarding", "0"));
  rig.inject(through());
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_addrerrors) == 1);
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/eth0/forwarding", "1"));
  rig.inject(through());
  CHECK(rig.sent(*rig.eth1).size() == 1);
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/ip_forward", "0"));
  rig.inject(through());
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_addrerrors) == 2);
}

TEST_CASE("limited broadcasts and groups are not forwarded", "[S137]") {
  forward_rig rig;
  for (char const* to : {"255.255.255.255", "198.51.100.255", "224.5.6.7"}) {
    auto d = through();
    d.daddr = ipv4_addr(to);
    rig.inject(d);
  }
  CHECK(rig.sent(*rig.eth1).empty());
}

TEST_CASE("back out of the device it came in by: the sender is told the shorter way", "[S137][S159]") {
  forward_rig rig;
  be32 const gateway = ipv4_addr("192.0.2.20");
  rig.know(*rig.eth0, gateway, far_mac);
  REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_gw4 = gateway}));
  auto d = through();
  d.daddr = ipv4_addr("203.0.113.1");
  rig.inject(d);
  auto sent = rig.sent(*rig.eth0);
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].icmp().type == icmp_type::redirect);
  CHECK(sent[0].icmp().code == icmp_code::redir_host);
  CHECK(sent[0].icmp().un.gateway() == gateway);
  CHECK(sent[0].ip().daddr == peer_addr);
  CHECK(sent[1].ip().daddr == d.daddr);  // the datagram itself goes on
  CHECK(sent[1].ip().ttl == 63);
  // Ever more rarely, and after nine never, until it has been quiet for long.
  u32 redirects = 1;
  for (int i = 0; i < 30'000; ++i) {
    rig.clock.advance(1'000'000);
    rig.inject(d);
    redirects += static_cast<u32>(rig.sent(*rig.eth0).size()) - 1;
  }
  CHECK(redirects == 9);
  rig.run_for(21'000'000'000);
  rig.inject(d);
  CHECK(rig.sent(*rig.eth0).size() == 2);
  // Switched off.
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/all/send_redirects", "0"));
  REQUIRE(sysctl_write(rig.net(), "net/ipv4/conf/eth0/send_redirects", "0"));
  rig.run_for(21'000'000'000);
  rig.inject(d);
  CHECK(rig.sent(*rig.eth0).size() == 1);
}

TEST_CASE("a next hop that does not answer: the sender is told", "[S137]") {
  forward_rig rig;
  auto d = through();
  d.daddr = ipv4_addr("198.51.100.66");
  rig.inject(d);
  (void)rig.sent();
  rig.run_for(5'000'000'000);
  auto const sent = rig.sent(*rig.eth0);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].icmp().type == icmp_type::dest_unreach);
  CHECK(sent[0].icmp().code == icmp_code::host_unreach);
  CHECK(sent[0].ip().daddr == peer_addr);
  CHECK(rig.host.worker().pool.in_use() == 0);
}
