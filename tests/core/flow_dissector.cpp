// SPDX-License-Identifier: BSL-1.0
// Flow hashes: one flow has one, either way; 100,000 flows spread evenly over queues and workers.
#include "netstack/core/flow_dissector.hpp"

#include <array>

#include "netstack/core/rps.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;

struct host : stack<host, test::recorder, test::mock, sizes<config{.max_net = 1, .skb_pool = 16}>> {};

struct packet {
  std::array<u8, 64> bytes{};
  u16 type = eth_p::ip;
  std::size_t len = 28;
};
packet udp4(u32 saddr, u32 daddr, u16 sport, u16 dport, u8 proto = ipproto::udp, u16 frag = 0) {
  packet p;
  iphdr ip{.tot_len = be16{28}, .frag_off = be16{frag}, .ttl = 64, .protocol = proto};
  ip.saddr = be32{saddr}, ip.daddr = be32{daddr};
  be16 const ports[2] = {be16{sport}, be16{dport}};
  std::memcpy(p.bytes.data(), &ip, sizeof ip);
  std::memcpy(p.bytes.data() + sizeof ip, ports, sizeof ports);
  return p;
}
packet udp6(u8 from, u8 to, u16 sport, u16 dport) {
  packet p{.type = eth_p::ipv6, .len = 48};
  p.bytes[0] = 0x60, p.bytes[6] = ipproto::udp, p.bytes[23] = from, p.bytes[39] = to;
  be16 const ports[2] = {be16{sport}, be16{dport}};
  std::memcpy(p.bytes.data() + 40, ports, sizeof ports);
  return p;
}

struct hasher {
  test::mock_net<host> w;
  struct answer {
    u32 hash;
    bool l4;
  };
  answer operator()(packet const& p) {
    sk_buff* skb = w.h.worker().pool.alloc_skb();
    std::memcpy(skb->put(static_cast<u32>(p.len)), p.bytes.data(), p.len);
    skb->protocol = be16{p.type};
    skb->reset_network_header();
    answer const a{skb_get_hash(w.net(), *skb), skb->l4_hash != 0};
    CHECK(skb->hash == a.hash);  // kept
    consume_skb(*skb);
    return a;
  }
};

}  // namespace

TEST_CASE("the same flow has the same hash, in both directions; other flows have others", "[S51]") {
  hasher hash;
  auto const flow = hash(udp4(0x0a000001, 0x0a000002, 1000, 2000));
  CHECK(flow.l4);
  CHECK(flow.hash != 0);
  CHECK(hash(udp4(0x0a000001, 0x0a000002, 1000, 2000)).hash == flow.hash);
  CHECK(hash(udp4(0x0a000002, 0x0a000001, 2000, 1000)).hash == flow.hash);
  CHECK(hash(udp4(0x0a000001, 0x0a000002, 1001, 2000)).hash != flow.hash);
  CHECK(hash(udp4(0x0a000001, 0x0a000003, 1000, 2000)).hash != flow.hash);
  CHECK(hash(udp4(0x0a000001, 0x0a000002, 1000, 2000, ipproto::tcp)).hash != flow.hash);
  // Ports alone change sides, addresses do not: another flow.
  CHECK(hash(udp4(0x0a000001, 0x0a000002, 2000, 1000)).hash != flow.hash);
  auto const six = hash(udp6(1, 2, 1000, 2000));
  CHECK(six.l4);
  CHECK(hash(udp6(2, 1, 2000, 1000)).hash == six.hash);
  CHECK(hash(udp6(2, 3, 2000, 1000)).hash != six.hash);
}

TEST_CASE("fragments and protocols without ports hash over addresses only", "[S51]") {
  hasher hash;
  auto const first = hash(udp4(1, 2, 1000, 2000, ipproto::udp, ip_mf));
  auto const later = hash(udp4(1, 2, 0, 0, ipproto::udp, 100));
  CHECK((!first.l4 && !later.l4));
  CHECK(first.hash == later.hash);  // all pieces of a datagram meet
  CHECK(hash(udp4(1, 2, 1, 2, ipproto::icmp)).hash == hash(udp4(1, 2, 3, 4, ipproto::icmp)).hash);
}

TEST_CASE("what is cut off, or no IP, has no ports or no hash", "[S51]") {
  hasher hash;
  auto p = udp4(1, 2, 1000, 2000);
  p.len = 22;
  CHECK(!hash(p).l4);
  p.len = 19;
  CHECK(hash(p).hash == 0);
  p = udp4(1, 2, 1000, 2000);
  p.bytes[0] = 0x44;  // a header length below 20
  CHECK(hash(p).hash == 0);
  p.bytes[0] = 0x4f;  // beyond the end
  CHECK(!hash(p).l4);
  p.type = eth_p::arp;
  CHECK(hash(p).hash == 0);
  auto six = udp6(1, 2, 3, 4);
  six.len = 39;
  CHECK(hash(six).hash == 0);
}

TEST_CASE("100,000 flows spread evenly, under every key their own way", "[S51][S64]") {
  siphash_key_t const keys[] = {{{1, 2}}, {{3, 4}}};
  u32 moved = 0;
  std::vector<u32> share(8);
  for (u32 i = 0; i < 100'000; ++i) {
    flow_keys flow;
    flow.addrs[0] = 0x0a000001, flow.addrs[1] = 0x0a000000 + i % 250;
    flow.ports[0] = static_cast<u16>(1024 + i / 250), flow.ports[1] = 80;
    flow.ip_proto = ipproto::tcp;
    u32 const worker = get_rps_cpu(0xff, flow_hash(flow, keys[0]), 0);
    ++share[worker];
    moved += worker != get_rps_cpu(0xff, flow_hash(flow, keys[1]), 0);
  }
  for (u32 n : share) CHECK((n > 12'000 && n < 13'000));
  CHECK(moved > 80'000);
}

TEST_CASE("only workers of the mask are chosen", "[S64]") {
  std::vector<u32> share(8);
  for (u32 i = 0; i < 3000; ++i) ++share[get_rps_cpu(0b1010'0100, i * 0x9e3779b9u, 0)];
  CHECK((share[2] > 800 && share[5] > 800 && share[7] > 800));
  CHECK(share[2] + share[5] + share[7] == 3000 - (get_rps_cpu(0b1010'0100, 0, 0) == 0));
  CHECK(get_rps_cpu(0, 123, 3) == 3);
  CHECK(get_rps_cpu(0xff, 0, 3) == 3);  // no flow
}
