// SPDX-License-Identifier: BSL-1.0
// The families of faults that broke other stacks, as far as IP and ICMP are concerned: after each the stack still
// answers, holds no packet, and (under ASan) has read nothing that it was not given.
#include "netstack/base/random.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr be32 far = ipv4_addr("198.51.100.9");

/// A router with everything switched on that makes a datagram do more.
struct open_rig : ip_rig<> {
  net_device* eth1;
  open_rig() : eth1(add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24")) {
    know(*eth1, far, peer_mac);
    in_dev_get(*eth0)->cnf.forwarding = in_dev_get(*eth1)->cnf.forwarding = 1;
    ns().devconf_all.accept_source_route = 1;
    ns().sysctl_icmp_echo_ignore_broadcasts = 0;
    ns().sysctl_icmp_ratemask = 0;
  }
};

}  // namespace

TEST_CASE("AMNESIA:33: a total length above the frame, at every cut", "[AMNESIA:33]") {
  open_rig rig;
  bytes const whole = datagram{.payload = echo_request(1, 1, bytes(64, 0x41))}.build();
  for (std::size_t n = 0; n < whole.size(); ++n)
    rig.inject_bytes(bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_hdr) == 20);
  CHECK(rig.drops(drop_reason::ip_truncated) == whole.size() - 20);
  rig.still_alive();
}

TEST_CASE("AMNESIA:33: option lengths 0, 1 and 255 at every place", "[AMNESIA:33]") {
  open_rig rig;
  u32 problems = 0;
  for (u8 const kind : bytes{ipopt::rr, ipopt::timestamp, ipopt::lsrr, ipopt::ssrr, ipopt::ra, ipopt::cipso, 99})
    for (u8 const length : bytes{0, 1, 255})
      for (std::size_t at = 0; at < 40; ++at) {
        bytes options(40, ipopt::noop);
        options[at] = kind;
        if (at + 1 < 40) options[at + 1] = length;
        rig.inject({.options = options, .payload = echo_request(1, 1, bytes(4))});
        for (auto const& f : rig.sent())
          if (f.is_ip() && f.icmp().type == icmp_type::parameterprob) ++problems;
      }
  CHECK(problems == rig.drops(drop_reason::ip_inhdr));
  CHECK(problems >= 7 * 3 * 39);
  rig.still_alive();
}

TEST_CASE("Ripple20: lengths that disagree between layers", "[Ripple20]") {
  open_rig rig;
  // IP-in-IP whose inner length exceeds the outer payload, whole and in pieces: nobody's protocol, or a fragment.
  datagram inner{.payload = bytes(8)};
  inner.tot_len = 4000;
  rig.inject({.protocol = ipproto::ipip, .payload = inner.build()});
  rig.inject({.protocol = ipproto::ipip, .frag_off = ip_mf, .payload = inner.build()});
  rig.inject({.protocol = ipproto::ipip, .frag_off = 1, .payload = inner.build()});
  CHECK(rig.drops(drop_reason::ip_frag) == 2);
  // Frag-needed errors cut short at every length of their quotation.
  bytes const quote = datagram{.saddr = our_addr, .daddr = far, .payload = echo_request(1, 1, {})}.build();
  for (std::size_t n = 0; n < quote.size(); ++n)
    rig.inject({.payload = icmp_message(icmp_type::dest_unreach, icmp_code::frag_needed, 1400,
                                        bytes(quote.begin(), quote.begin() + static_cast<long>(n)))});
  CHECK(rig.drops(drop_reason::icmp_hdr) == quote.size());
  // A quotation whose own header claims more than there is.
  bytes long_header = quote;
  long_header[0] = 0x4f;
  rig.inject({.payload = icmp_message(icmp_type::dest_unreach, 3, 0, long_header)});
  CHECK(rig.drops(drop_reason::icmp_hdr) == quote.size() + 1);
  (void)rig.sent();
  // An echo reply must not carry what lay behind the request.
  bytes padded = datagram{.payload = echo_request(1, 1, bytes(1, 0x55))}.build() + bytes(17, 0xee);
  rig.inject_bytes(padded);
  auto const sent = rig.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].frame.size() == eth_hlen + 29);
  rig.still_alive();
}

TEST_CASE("URGENT/11: two source routes in one header are one parameter problem", "[URGENT/11]") {
  open_rig rig;
  for (u8 const first : {ipopt::lsrr, ipopt::ssrr})
    for (u8 const second : {ipopt::lsrr, ipopt::ssrr}) {
      bytes options{first, 7, 4, 198, 51, 100, 9, second, 31, 4};  // the second fills the header
      options.resize(38, 0xff);
      rig.inject({.options = options, .payload = echo_request(1, 1, bytes(4))});
      auto const sent = rig.sent();
      REQUIRE(sent.size() == 1);
      CHECK(sent[0].is_sound());
      CHECK(sent[0].ip().ihl() == 5);  // what is malformed is not sent back
      CHECK(sent[0].icmp().type == icmp_type::parameterprob);
      CHECK(sent[0].icmp().un.pointer() == sizeof(iphdr) + 7);
    }
  CHECK(rig.drops(drop_reason::ip_inhdr) == 4);
  rig.still_alive();
}

TEST_CASE("URGENT/11, CVE-2012-0207: group queries of all lengths and codes go unanswered",
          "[URGENT/11][CVE-2012-0207]") {
  open_rig rig;
  u32 queries = 0;
  for (char const* to : {"224.0.0.1", "192.0.2.1", "192.0.2.255"})
    for (u8 const code : bytes{0, 1, 255})
      for (std::size_t const n : {7u, 8u, 11u, 12u, 16u}) {
        bytes query(n);
        query[0] = 0x11, query[1] = code;
        if (n >= 12) query[10] = query[11] = 0xff;  // sources that are not there
        sum16 const sum = ip_compute_csum(query.data(), n);
        std::memcpy(query.data() + 2, &sum, 2);
        rig.inject({.daddr = ipv4_addr(to),
                    .ttl = 1,
                    .protocol = ipproto::igmp,
                    .options = {ipopt::ra, 4, 0, 0},
                    .payload = query},
                   to == std::string_view("192.0.2.1") ? our_mac : mac_broadcast);
        ++queries;
        for (auto const& f : rig.sent()) CHECK(f.ip().protocol == ipproto::icmp);  // at most: no such protocol here
      }
  CHECK(rig.drops(drop_reason::ip_noproto) == queries);
  rig.still_alive();
}

TEST_CASE("URGENT/11: options in the error reply cannot overflow", "[URGENT/11]") {
  open_rig rig;
  // Every mixture of source routes, record routes and timestamps that fits into forty bytes, good and bad.
  prng random{5};
  bytes const kinds{ipopt::lsrr, ipopt::ssrr, ipopt::rr, ipopt::timestamp, ipopt::noop, ipopt::end, ipopt::cipso};
  for (int i = 0; i < 20'000; ++i) {
    bytes options;
    while (options.size() < 40) {
      u8 const kind = kinds[random.next_u32() % kinds.size()];
      options.push_back(kind);
      if (kind <= ipopt::noop) continue;
      u8 const length = static_cast<u8>(3 + 4 * (random.next_u32() % 5) + (random.next_u32() % 16 == 0));
      options.push_back(length);
      options.push_back(static_cast<u8>(4 + 4 * (random.next_u32() % 6)));
      for (u8 n = 3; n < length; ++n) options.push_back(static_cast<u8>(random.next_u32()));
    }
    options.resize(40);
    datagram d{.daddr = random.next_u32() % 2 ? our_addr : far,
               .ttl = static_cast<u8>(random.next_u32() % 3),
               .protocol = random.next_u32() % 2 ? u8{1} : u8{200},
               .options = options,
               .payload = echo_request(1, 1, bytes(8))};
    rig.inject(d);
    for (auto const& f : rig.sent()) {
      if (!f.is_ip()) continue;
      if (ip_compute_csum(f.frame.data() + f.link, f.ip().header_len()) != sum16{}) FAIL("a wrong header checksum");
      if (f.ip().header_len() > 60 || f.ip().tot_len.host() + f.link != f.frame.size()) FAIL("a wrong length");
    }
    if (i % 1000 == 0) rig.run_for(10'000'000'000);  // unresolved stops fail, their packets come back
  }
  rig.run_for(60'000'000'000);
  rig.still_alive();
}

TEST_CASE("INFRA:HALT: an ICMP message shorter than its header", "[INFRA:HALT]") {
  open_rig rig;
  for (std::size_t n = 0; n < 8; ++n)
    for (u8 const type : bytes{0, 3, 4, 5, 8, 11, 12, 13, 255}) {
      bytes message(n);
      if (n) message[0] = type;
      if (n >= 4) {
        sum16 const sum = ip_compute_csum(message.data(), n);
        std::memcpy(message.data() + 2, &sum, 2);
      }
      rig.inject({.payload = message});
    }
  CHECK(rig.sent().empty());
  CHECK(rig.icmp().InErrors.read() == 72);
  rig.still_alive();
}

TEST_CASE("RFC 5927: blind ICMP errors shrink nothing and stop nothing", "[RFC5927]") {
  open_rig rig;
  bytes const quote = datagram{.saddr = our_addr, .daddr = peer_addr, .payload = echo_request(1, 1, {})}.build();
  for (u16 mtu = 0; mtu < 600; mtu = static_cast<u16>(mtu + 50))
    rig.inject({.payload = icmp_message(icmp_type::dest_unreach, icmp_code::frag_needed, mtu, quote)});
  flowi4 fl4{.daddr = peer_addr};
  auto rt = ip_route_output_key(rig.net(), fl4);
  REQUIRE(rt);
  CHECK(ip_dst_mtu(rig.net(), **rt, peer_addr) == 552);
  rig.inject({.payload = icmp_message(icmp_type::source_quench, 0, 0, quote)});
  (void)rig.sent();
  rig.inject({.payload = echo_request(1, 1, bytes(1472))});  // a large ping is still answered
  CHECK(rig.sent().size() == 1);
  rig.still_alive();
}

TEST_CASE("LAND: our own address as the source, to every kind of destination", "[LAND]") {
  open_rig rig;
  for (char const* source : {"192.0.2.1", "198.51.100.1"})
    for (char const* to : {"192.0.2.1", "198.51.100.1", "192.0.2.255", "255.255.255.255", "224.0.0.1", "198.51.100.9"})
      rig.inject({.saddr = ipv4_addr(source), .daddr = ipv4_addr(to), .payload = echo_request(1, 1, bytes(8))},
                 ipv4_addr(to).host() >> 28 == 0xf ? mac_broadcast : our_mac);
  CHECK(rig.sent().empty());
  CHECK(rig.drops(drop_reason::ip_local_source) == 12);
  rig.still_alive();
}

TEST_CASE("teardrop, ping of death: fragments hold nothing", "[teardrop]") {
  open_rig rig;
  for (u16 offset = 0; offset < 0x2000; offset = static_cast<u16>(offset + 37))
    for (u16 const more : {u16{0}, ip_mf}) {
      if (offset == 0 && more == 0) continue;
      rig.inject({.id = offset, .frag_off = static_cast<u16>(offset | more), .payload = bytes(100)});
    }
  // The last piece of one that would be larger than a datagram can be.
  rig.inject({.frag_off = 0x1fff, .payload = bytes(1400)});
  CHECK(rig.sent().empty());
  CHECK(rig.host.worker().pool.in_use() == 0);
  CHECK(rig.ip().ReasmFails.read() == rig.ip().ReasmReqds.read());
  rig.still_alive();
}

TEST_CASE("FragmentSmack: small fragments of many datagrams, never completed, cost nothing", "[FragmentSmack]") {
  open_rig rig;
  prng random{11};
  u32 const fragments = 20'000;
  for (u32 i = 0; i < fragments; ++i) {
    auto const offset = static_cast<u16>(1 + random.next_u32() % 0x1fff);  // never the first piece
    rig.inject(
        {.id = static_cast<u16>(random.next_u32()), .frag_off = static_cast<u16>(offset | ip_mf), .payload = bytes(8)});
    if (rig.host.worker().pool.in_use() != 0) FAIL("a fragment is held");
    if (i % 1000 == 0) rig.run_for(1'000'000'000);
  }
  rig.run_for(120'000'000'000);
  CHECK(rig.drops(drop_reason::ip_frag) == fragments);
  CHECK(rig.sent().empty());  // RFC 1122 §3.3.2: no time exceeded, since no first fragment was seen
  rig.still_alive();
}

TEST_CASE("a flood of errors from many sources: memory stays bounded, answers too", "[SAD DNS]") {
  open_rig rig;
  rig.ns().sysctl_icmp_ratemask = 0x1818;
  u32 answers = 0;
  for (u32 i = 0; i < 20'000; ++i) {
    rig.inject({.saddr = be32{ipv4_addr("192.0.2.2").host() + i % 200}, .protocol = 200, .payload = bytes(8)});
    answers += static_cast<u32>(rig.sent().size());
    if (i % 100 == 0) rig.clock.advance(1'000'000);
  }
  CHECK(rig.icmp().OutRateLimitGlobal.read() + rig.icmp().OutRateLimitHost.read() > 19'000);
  CHECK(worker_generic<ipv4>(rig.host.worker()).peers.size() <= rig_sizes.max_peer);
  rig.run_for(30'000'000'000);
  CHECK(answers < 1000);
  rig.still_alive();
}

TEST_CASE("random datagrams, half of them with right checksums", "[AMNESIA:33][Ripple20][URGENT/11][INFRA:HALT]") {
  open_rig rig;
  prng random{42};
  auto const below = [&](u32 n) { return random.next_u32() % n; };
  be32 const addrs[] = {our_addr,
                        peer_addr,
                        far,
                        inaddr_broadcast,
                        inaddr_allhosts_group,
                        ipv4_addr("192.0.2.255"),
                        ipv4_addr("127.0.0.1"),
                        be32{},
                        ipv4_addr("203.0.113.1")};
  u32 const rounds = 60'000;
  for (u32 i = 0; i < rounds; ++i) {
    bytes body(below(80));
    for (u8& b : body) b = static_cast<u8>(below(4) ? random.next_u32() : 0);
    if (below(3) == 0) {
      bytes const quote = datagram{.saddr = addrs[below(9)],
                                   .daddr = addrs[below(9)],
                                   .protocol = static_cast<u8>(below(3) * 8 + 1),
                                   .payload = body}
                              .build();
      body = icmp_message(static_cast<u8>(below(20)), static_cast<u8>(below(18)), random.next_u32(), quote);
    } else if (below(2)) {
      body = icmp_message(static_cast<u8>(below(20)), 0, random.next_u32(), body, below(8) != 0);
    }
    bytes options(4 * below(11));
    for (u8& b : options) b = static_cast<u8>(below(3) ? below(16) : random.next_u32());
    datagram d{.saddr = addrs[below(9)],
               .daddr = addrs[below(9)],
               .ttl = static_cast<u8>(below(4)),
               .protocol = static_cast<u8>(below(4) ? 1 : random.next_u32()),
               .frag_off = static_cast<u16>(below(8) ? 0 : random.next_u32()),
               .options = below(3) ? bytes{} : options,
               .payload = body};
    bytes packet = d.build();
    for (u32 flips = below(3); flips > 0; --flips)
      packet[below(static_cast<u32>(packet.size()))] ^= static_cast<u8>(1u << below(8));
    if (below(2)) {  // the header's checksum made right again, whatever it says now
      packet[10] = packet[11] = 0;
      std::size_t const hlen = std::min<std::size_t>(packet.size(), std::size_t{packet[0] & 15u} * 4);
      sum16 const sum = ip_compute_csum(packet.data(), hlen);
      std::memcpy(packet.data() + 10, &sum, 2);
    }
    if (below(16) == 0) packet.resize(below(static_cast<u32>(packet.size()) + 1));
    rig.inject_bytes(packet, below(8) ? our_mac : mac_broadcast);
    if (i % 500 == 0) {
      rig.run_for(5'000'000'000);
      (void)rig.sent();
    }
  }
  rig.run_for(60'000'000'000);
  CHECK(rig.ip().InReceives.read() >= rounds);
  rig.still_alive();
}
