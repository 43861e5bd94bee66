// SPDX-License-Identifier: BSL-1.0
// ICMP errors out: when none may be sent, what they quote, where they come from, who pays for them.
#include "netstack/ipv4/icmp_send.hpp"

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr be32 far = ipv4_addr("198.51.100.9");

/// A router whose second link leads to `far`: a datagram with TTL 1 to there ends here, with an error.
struct router_rig : ip_rig<> {
  net_device* eth1;
  router_rig() : eth1(add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24")) {
    know(*eth1, far, peer_mac);
    in_dev_get(*eth0)->cnf.forwarding = in_dev_get(*eth1)->cnf.forwarding = 1;
    ns().sysctl_icmp_ratemask = 0;
  }
  /// How many errors this datagram, which ends here, is answered with.
  std::size_t errors(datagram d, mac_addr const& mac = our_mac) {
    d.daddr = d.daddr == our_addr ? far : d.daddr;
    d.ttl = 1;
    inject(d, mac);
    return sent().size();
  }
};

datagram with(u8 protocol, bytes payload = bytes(16, 5)) {
  return {.protocol = protocol, .payload = std::move(payload)};
}

}  // namespace

TEST_CASE("the table of RFC 1122 §3.2.2: about what an error may be sent", "[S160]") {
  router_rig rig;
  CHECK(rig.errors(with(17)) == 1);
  CHECK(rig.errors(with(6)) == 1);
  // ICMP queries yes, errors and what cannot be told apart from them no.
  for (u8 const type : bytes{0, 8, 13, 14, 15, 16, 17, 18}) {
    INFO("query " << int{type});
    CHECK(rig.errors(with(1, icmp_message(type, 0, 0, bytes(12)))) == 1);
  }
  for (u8 const type : bytes{1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 19, 42, 255}) {
    INFO("error " << int{type});
    CHECK(rig.errors(with(1, icmp_message(type, 0, 0, bytes(28)))) == 0);
  }
  CHECK(rig.errors(with(1, {})) == 0);  // no type at all

  // Fragments: only the first.
  auto fragment = with(17);
  fragment.frag_off = ip_mf;
  CHECK(rig.errors(fragment) == 1);
  fragment.frag_off = ip_mf | 1;
  CHECK(rig.errors(fragment) == 0);
  fragment.frag_off = 5;
  CHECK(rig.errors(fragment) == 0);

  // Sources that are no single host.
  for (char const* source :
       {"0.0.0.0", "127.0.0.1", "224.0.0.5", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.255", "192.0.2.1"}) {
    INFO("source " << source);
    auto d = with(17);
    d.saddr = ipv4_addr(source);
    CHECK(rig.errors(d) == 0);
  }
  rig.still_alive();
}

TEST_CASE("no error about what was sent to many", "[S160]") {
  router_rig rig;
  auto d = with(200);  // nobody's protocol
  rig.inject(d);
  CHECK(rig.sent().size() == 1);
  rig.inject(d, mac_broadcast);  // unicast in a link-layer broadcast
  for (char const* to : {"192.0.2.255", "255.255.255.255", "224.0.0.1"}) {
    d.daddr = ipv4_addr(to);
    rig.inject(d, mac_broadcast);
  }
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_noproto) == 5);
  rig.still_alive();
}

TEST_CASE("an error quotes what fits into 576 bytes, from the IP header on", "[S160]") {
  router_rig rig;
  for (std::size_t const n : {0u, 7u, 8u, 100u, 519u, 520u, 521u, 528u, 529u, 1400u}) {
    auto d = with(17, bytes(n, static_cast<u8>(n)));
    d.daddr = far;
    d.ttl = 1;
    d.tos = 0xff;
    bytes const original = d.build();
    rig.inject(d);
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    auto const& error = sent[0];
    INFO(n << " bytes");
    CHECK(error.is_sound());
    CHECK(error.ip().daddr == peer_addr);
    CHECK(error.ip().saddr == our_addr);
    CHECK(error.ip().tos == (0x1e | 0xc0));  // RFC 1812: precedence 6
    CHECK(error.icmp().type == icmp_type::time_exceeded);
    std::size_t const quoted = std::min<std::size_t>(original.size(), 576 - 28);
    CHECK(error.ip().tot_len.host() == 28 + quoted);
    CHECK(error.payload(sizeof(icmphdr)) == bytes(original.begin(), original.begin() + static_cast<long>(quoted)));
  }
  CHECK(rig.ns().mib.icmpmsg_statistics.OutType[11].read() == 10);
  CHECK(rig.icmp().OutMsgs.read() == 10);
  rig.still_alive();
}

TEST_CASE("a checksum that was left to us is quoted finished, and the packet itself stays as it is", "[S160]") {
  router_rig rig;
  auto* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  auto d = with(17, bytes(32, 9));
  d.daddr = far;
  bytes const original = d.build();
  std::memcpy(skb->put(static_cast<u32>(original.size())), original.data(), original.size());
  skb->dev = rig.eth0;
  skb->pkt_type = pkt_type::host;
  skb->reset_network_header();
  REQUIRE(skb_partial_csum_set(*skb, 20, 6));
  sum16 const finished = skb_finished_checksum(*skb, 20);
  icmp_send(rig.net(), *skb, icmp_type::dest_unreach, 0, 0);
  CHECK(std::memcmp(skb->data, original.data(), original.size()) == 0);
  consume_skb(*skb);
  rig.run();
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].is_sound());
  bytes expected = original;
  std::memcpy(expected.data() + 26, &finished, sizeof finished);
  CHECK(expected != original);
  CHECK(sent[0].payload(sizeof(icmphdr)) == expected);
  rig.still_alive();
}

TEST_CASE("where an error comes from", "[S159]") {
  router_rig rig;
  // The way back to 203.0.113.9 is by eth0, but its datagram comes in by eth1.
  REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_gw4 = peer_addr}));
  auto d = with(17);
  d.saddr = ipv4_addr("203.0.113.9");
  d.daddr = ipv4_addr("192.0.2.50");
  d.ttl = 1;
  auto const source = [&] {
    rig.inject(d, mac_addr{{2, 0, 0, 0, 0, 2}}, rig.eth1);
    auto const sent = rig.sent(*rig.eth0);
    return sent.size() == 1 ? sent[0].ip().saddr : be32{};
  };
  CHECK(source() == our_addr);
  rig.ns().sysctl_icmp_errors_use_inbound_ifaddr = 1;
  CHECK(source() == ipv4_addr("198.51.100.1"));
  // About what was for ourselves: always the address that was asked.
  d.daddr = our_addr;
  d.protocol = 200;
  CHECK(source() == our_addr);
}

TEST_CASE("the control socket pays for what ICMP sends, and has room for two of 64 KiB", "[S154][S42]") {
  ip_rig<> rig;
  sock& sk = *rig.ns().icmp_sk;
  CHECK(sk.sk_sndbuf == 2 * (64 * 1024 + sizeof(sk_buff) + sizeof(skb_shared_info)));
  // A next hop that does not answer holds its packets: three of them wait, paid by the socket.
  datagram d{.saddr = ipv4_addr("192.0.2.66"), .payload = echo_request(1, 1, bytes(8))};
  rig.inject(d);
  CHECK(sk_wmem_alloc_get(sk) > 0);
  u32 const one = sk_wmem_alloc_get(sk);
  rig.inject(d);
  CHECK(sk_wmem_alloc_get(sk) == 2 * one);
  rig.run_for(10'000'000'000);  // the next hop failed: all is freed and given back
  CHECK(sk_wmem_alloc_get(sk) == 0);
  (void)rig.sent();

  // A full account: the reply is not sent, and that is counted.
  sk.sk_sndbuf = one - 1;
  rig.inject({.payload = echo_request(1, 1, bytes(8))});
  CHECK(rig.sent().empty());
  CHECK(rig.icmp().OutErrors.read() == 1);
  sk.sk_sndbuf = one;
  rig.still_alive();
}

TEST_CASE("a packet of the control socket wakes nobody when it is freed", "[S155]") {
  ip_rig<> rig;
  sock& sk = *rig.ns().icmp_sk;
  static u32 woken;  // a callback without context
  woken = 0;
  static constexpr sock_callbacks wake{.write_space = [](sock&) { ++woken; }};
  sk.sk_callbacks = &wake;
  rig.inject({.payload = echo_request(1, 1, bytes(8))});
  CHECK(rig.sent().size() == 1);
  CHECK(woken == 0);
  // Without the flag it would have.
  sock_reset_flag(sk, sock_flags::use_write_queue);
  rig.inject({.payload = echo_request(1, 1, bytes(8))});
  CHECK(woken == 1);
}

TEST_CASE("the pool is empty: no error, a count, and all goes on later", "[S160]") {
  router_rig rig;
  auto& pool = rig.host.worker().pool;
  skb_list held;
  while (pool.available() > 1) held.push_back(*pool.alloc_skb());
  CHECK(rig.errors(with(17)) == 0);
  CHECK(rig.icmp().OutErrors.read() == 1);
  pool.free_list(held);
  CHECK(rig.errors(with(17)) == 1);
  rig.still_alive();
}
