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

/// A transport that listens to errors only: 222, and 223 which checks what is quoted.
struct errors_seen {
  u32 errors = 0, info = 0;
  u8 type = 0, code = 0;
  be32 quoted_daddr{}, outer_saddr{};
};
struct erring : module {
  using pernet = errors_seen;
  template <class Net>
  static verdict rcv(Net&, sk_buff&) {
    return verdict::consumed();
  }
  template <class Net>
  static void err(Net& net, sk_buff& skb, u32 info) {
    auto& s = net_generic<erring>(net);
    ++s.errors;
    s.info = info;
    s.type = skb.transport_hdr<icmphdr>()->type;
    s.code = skb.transport_hdr<icmphdr>()->code;
    s.quoted_daddr = skb.peek<iphdr>()->daddr;
    s.outer_saddr = ip_hdr(skb)->saddr;
  }
  template <class Net>
  static constexpr std::array net_protocols{
      net_protocol<Net>{.protocol = 222, .handler = rcv<Net>, .err_handler = err<Net>, .name = "erring"},
      net_protocol<Net>{.protocol = 223,
                        .handler = rcv<Net>,
                        .err_handler = err<Net>,
                        .icmp_strict_tag_validation = true,
                        .name = "strict"},
  };
};
struct erring_host : rig_stack<erring_host, erring> {};

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

TEST_CASE("pings that are not to be answered", "[S156]") {
  ip_rig<> rig;
  datagram const unicast{.payload = echo_request(1, 1, bytes(8))};
  datagram directed = unicast, limited = unicast, group = unicast;
  directed.daddr = ipv4_addr("192.0.2.255");
  limited.daddr = inaddr_broadcast;
  group.daddr = inaddr_allhosts_group;
  mac_addr const group_mac{{1, 0, 0x5e, 0, 0, 1}};

  // Default: unicast yes, to many no.
  rig.inject(unicast);
  CHECK(rig.sent().size() == 1);
  rig.inject(directed, mac_broadcast);
  rig.inject(limited, mac_broadcast);
  rig.inject(group, group_mac);
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::icmp_broadcast) == 3);
  CHECK(rig.icmp().InErrors.read() == 3);

  // icmp_echo_ignore_broadcasts 0: those too, from an address of ours.
  rig.ns().sysctl_icmp_echo_ignore_broadcasts = 0;
  rig.inject(directed, mac_broadcast);
  rig.inject(limited, mac_broadcast);
  rig.inject(group, group_mac);
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 3);
  for (auto const& reply : sent) {
    CHECK(reply.ip().saddr == our_addr);
    CHECK(reply.ip().daddr == peer_addr);
    CHECK(reply.is_sound());
  }

  // icmp_echo_ignore_all 1: none.
  rig.ns().sysctl_icmp_echo_ignore_all = 1;
  rig.inject(unicast);
  rig.inject(directed, mac_broadcast);
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::icmp_ignored) == 2);
  rig.ns().sysctl_icmp_echo_ignore_all = 0;
  rig.still_alive();
}

TEST_CASE("a timestamp request is answered with the time of day", "[S116]") {
  ip_rig<> rig;
  bytes body;
  append(body, be32{12345});
  append(body, be32{});
  append(body, be32{});
  body.insert(body.end(), 40, 0xaa);  // more than a timestamp has
  rig.inject({.payload = icmp_message(icmp_type::timestamp, 0, 0x00050006, body)});
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].is_sound());
  CHECK(sent[0].icmp().type == icmp_type::timestampreply);
  CHECK(sent[0].icmp().un.echo.id.host() == 5);
  auto const l4 = sent[0].l4();
  u32 const now = static_cast<u32>((rig.clock.now + rig.clock.epoch) / 1'000'000 % 86'400'000);
  CHECK(sent[0].at<be32>(l4 + 8).host() == 12345);
  CHECK(sent[0].at<be32>(l4 + 12).host() == now);
  CHECK(sent[0].at<be32>(l4 + 16).host() == now);
  CHECK(sent[0].frame.size() == l4 + 20);
  // One that is too short for its times.
  rig.inject({.payload = icmp_message(icmp_type::timestamp, 0, 0, bytes(11))});
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::icmp_hdr) == 1);
  rig.still_alive();
}

TEST_CASE("malformed messages have a reason each", "[S136][S164][INFRA:HALT]") {
  ip_rig<> rig;
  for (std::size_t n = 0; n < 8; ++n) {  // shorter than a header, with a right checksum as far as there is one
    bytes whole = echo_request(1, 1, {});
    bytes cut(whole.begin(), whole.begin() + static_cast<long>(n));
    if (n >= 4) {
      cut[2] = cut[3] = 0;
      sum16 const sum = ip_compute_csum(cut.data(), cut.size());
      std::memcpy(cut.data() + 2, &sum, 2);
    } else {
      std::fill(cut.begin(), cut.end(), u8{0xff});
      if (n % 2) cut.assign(n, 0);
    }
    rig.inject({.payload = cut});
  }
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::icmp_hdr) + rig.drops(drop_reason::icmp_csum) == 8);
  CHECK(rig.drops(drop_reason::icmp_hdr) >= 4);
  u64 const errors = rig.icmp().InErrors.read();
  CHECK(errors == 8);

  rig.inject({.payload = icmp_message(icmp_type::echo, 0, 1, bytes(8), false)});
  CHECK(rig.icmp().InCsumErrors.read() == rig.drops(drop_reason::icmp_csum));
  CHECK(rig.icmp().InErrors.read() == 9);
  for (u8 const type : bytes{1, 2, 6, 7, 9, 10, 19, 42, 255})
    rig.inject({.payload = icmp_message(type, 0, 0, bytes(8))});
  CHECK(rig.drops(drop_reason::icmp_type) == 9);
  CHECK(rig.icmp().InErrors.read() == 18);
  for (u8 const type : bytes{14, 15, 16, 17, 18}) rig.inject({.payload = icmp_message(type, 0, 0, bytes(8))});
  CHECK(rig.icmp().InErrors.read() == 18);  // heard, and nothing done
  CHECK(rig.sent().empty());
  rig.still_alive();
}

TEST_CASE("what the device says of a checksum is honoured", "[S45]") {
  ip_rig<> rig;
  auto& device = netdev_priv<rig_dev>(*rig.eth0);
  datagram const right{.payload = echo_request(1, 1, bytes(8))};
  datagram const wrong{.payload = icmp_message(icmp_type::echo, 0, 1, bytes(8), false)};
  auto const answered = [&](ip_summed summed, datagram const& d) {
    device.summed = summed;
    rig.inject(d);
    device.summed = ip_summed::none;
    return rig.sent().size() == 1;
  };
  CHECK(answered(ip_summed::none, right));
  CHECK_FALSE(answered(ip_summed::none, wrong));
  CHECK(answered(ip_summed::unnecessary, right));
  CHECK(answered(ip_summed::unnecessary, wrong));  // the device vouches for it
  CHECK(answered(ip_summed::complete, right));     // the device's sum (0) is wrong: summed again
  CHECK_FALSE(answered(ip_summed::complete, wrong));
  CHECK(rig.drops(drop_reason::icmp_csum) == 2);
}

TEST_CASE("an error reaches the transport whose datagram it quotes", "[S118]") {
  ip_rig<erring_host> rig;
  auto& s = net_generic<erring>(rig.net());
  auto const quote = [](u8 protocol, std::size_t payload) {
    return datagram{.saddr = our_addr, .daddr = peer_addr, .protocol = protocol, .payload = bytes(payload, 0x11)}
        .build();
  };
  struct {
    u8 type, code;
    u32 rest, info;
  } const errors[] = {
      {icmp_type::dest_unreach, icmp_code::net_unreach, 0, 0},
      {icmp_type::dest_unreach, icmp_code::port_unreach, 0, 0},
      {icmp_type::dest_unreach, icmp_code::frag_needed, 1400, 1400},
      {icmp_type::dest_unreach, icmp_code::prec_cutoff, 0, 0},
      {icmp_type::source_quench, 0, 0, 0},
      {icmp_type::time_exceeded, icmp_code::exc_ttl, 0, 0},
      {icmp_type::parameterprob, 0, 20u << 24, 20},
      {icmp_type::redirect, icmp_code::redir_host, ipv4_addr("192.0.2.77").host(), ipv4_addr("192.0.2.77").host()},
  };
  for (auto const& e : errors) {
    INFO("type " << int{e.type} << " code " << int{e.code});
    u32 const before = s.errors;
    rig.inject({.payload = icmp_message(e.type, e.code, e.rest, quote(222, 8))});
    CHECK(s.errors == before + 1);
    CHECK(s.type == e.type);
    CHECK(s.code == e.code);
    CHECK(s.info == e.info);
    CHECK(s.quoted_daddr == peer_addr);
    CHECK(s.outer_saddr == peer_addr);
  }
  u32 const before = s.errors;
  // A reassembly that timed out concerns no transport; a code that does not exist is nobody's.
  rig.inject({.payload = icmp_message(icmp_type::time_exceeded, icmp_code::exc_fragtime, 0, quote(222, 8))});
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 16, 0, quote(222, 8))});
  // Quotations that are too short or no IPv4 header.
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, quote(222, 7))});
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, bytes(19, 0x45))});
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, {})});
  bytes bad = quote(222, 8);
  bad[0] = 0x44;
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, bad)});
  bad[0] = 0x4f;
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, bad)});
  bad[0] = 0x65;
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, bad)});
  CHECK(s.errors == before);
  CHECK(rig.drops(drop_reason::icmp_hdr) == 6);
  // Nobody's protocol: nothing happens.
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, quote(99, 8))});
  CHECK(s.errors == before);
  CHECK(rig.sent().empty());
  rig.still_alive();
}

TEST_CASE("with ip_no_pmtu_disc 3 frag-needed is believed about strict protocols only", "[S119]") {
  ip_rig<erring_host> rig;
  auto& s = net_generic<erring>(rig.net());
  auto const frag_needed = [&](u8 protocol) {
    bytes const q = datagram{.saddr = our_addr, .daddr = peer_addr, .protocol = protocol, .payload = bytes(8)}.build();
    rig.inject({.payload = icmp_message(icmp_type::dest_unreach, icmp_code::frag_needed, 1400, q)});
  };
  rig.ns().sysctl_ip_no_pmtu_disc = 3;
  frag_needed(222);
  CHECK(s.errors == 0);
  frag_needed(223);  // icmp_strict_tag_validation
  CHECK(s.errors == 1);
  rig.ns().sysctl_ip_no_pmtu_disc = 2;
  frag_needed(223);
  CHECK(s.errors == 1);
  rig.ns().sysctl_ip_no_pmtu_disc = 0;
  frag_needed(222);
  CHECK(s.errors == 2);
}

TEST_CASE("a bogus error about a broadcast is silent, or remembered", "[S157]") {
  ip_rig<erring_host> rig;
  auto& s = net_generic<erring>(rig.net());
  bytes const q =
      datagram{.saddr = our_addr, .daddr = ipv4_addr("192.0.2.255"), .protocol = 222, .payload = bytes(8)}.build();
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, q)});
  CHECK(rig.ns().bogus_errors_logged == 0);
  rig.ns().sysctl_icmp_ignore_bogus_error_responses = 0;
  u32 const before = s.errors;
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, q)});
  CHECK(rig.ns().bogus_errors_logged == 1);
  CHECK(s.errors == before);
}

TEST_CASE("an error about our own echo request changes the path", "[S118]") {
  ip_rig<> rig;
  REQUIRE(ip_route_add(rig.net(), {.fc_gw4 = peer_addr}));
  be32 const far = ipv4_addr("203.0.113.5");
  bytes const q = datagram{.saddr = our_addr, .daddr = far, .payload = echo_request(1, 1, {})}.build();
  flowi4 fl4{.daddr = far};
  auto rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  CHECK(ip_dst_mtu(rig.net(), **rt, far) == 1500);
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, icmp_code::frag_needed, 1300, q)});
  CHECK((*rt)->obsolete);
  rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  CHECK(ip_dst_mtu(rig.net(), **rt, far) == 1300);
}
