// SPDX-License-Identifier: BSL-1.0
// For whom a frame is and what it carries: by destination address, by type or length; bare IP packets by version.
#include "netstack/link/eth.hpp"

#include "netstack/core/dev_config.hpp"
#include "netstack/link/ip.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;

struct host : stack<host, test::recorder, test::mock, sizes<config{.max_net = 1, .skb_pool = 32}>> {};

struct world : test::mock_net<host> {
  net_device& dev = add("eth0");
  /// A frame as eth_type_trans leaves it.
  sk_buff& arrive(mac_addr const& to, u16 type, u32 len = 60) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    ethhdr const eth{.h_dest = to, .h_source = {{2, 0, 0, 0, 0, 9}}, .h_proto = be16{type}};
    std::memset(skb->put(len), 0x11, len);
    std::memcpy(skb->data, &eth, std::min<std::size_t>(len, sizeof eth));
    eth_type_trans(*skb, dev);
    return *skb;
  }
  pkt_type type_of(mac_addr const& to) {
    auto& skb = arrive(to, eth_p::ip);
    auto const type = skb.pkt_type;
    consume_skb(skb);
    return type;
  }
};

constexpr mac_addr group{{0x01, 0, 0x5e, 1, 2, 3}};

}  // namespace

TEST_CASE("the destination address says for whom a frame is", "[S57]") {
  world w;
  CHECK(w.type_of(w.dev.dev_addr) == pkt_type::host);
  CHECK(w.type_of(mac_broadcast) == pkt_type::broadcast);
  CHECK(w.type_of(mac_addr{{2, 0, 0, 0, 0, 1}}) == pkt_type::otherhost);
  CHECK(w.type_of(group) == pkt_type::otherhost);  // nobody joined it
  REQUIRE(dev_mc_add(w.net(), w.dev, group));
  CHECK(w.type_of(group) == pkt_type::multicast);
  CHECK(w.dev.stats.multicast.read() == 1);
  REQUIRE(dev_mc_del(w.net(), w.dev, group));
  CHECK(w.type_of(group) == pkt_type::otherhost);
  REQUIRE(dev_set_allmulti(w.net(), w.dev, 1));
  CHECK(w.type_of(group) == pkt_type::multicast);
  REQUIRE(dev_set_allmulti(w.net(), w.dev, -1));
  REQUIRE(dev_set_promiscuity(w.net(), w.dev, 1));
  CHECK(w.type_of(group) == pkt_type::multicast);
  CHECK(w.type_of(mac_addr{{2, 0, 0, 0, 0, 1}}) == pkt_type::otherhost);  // seen, but still another's
}

TEST_CASE("the type field says what a frame carries; below 1536 it is a length", "[S56]") {
  world w;
  struct {
    u16 field, protocol;
  } const rows[] = {
      {eth_p::ip, 0x0800},
      {eth_p::arp, 0x0806},
      {eth_p::p_8021q, 0x8100},
      {eth_p::lacp, 0x8809},
      {eth_p::mpls_uc, 0x8847},
      {eth_p::ipv6, 0x86dd},
      {0x0600, 0x0600},
      {0x05ff, 0x0004},
      {1500, 0x0004},
      {eth_p::loop, 0x0004},
      {0, 0x0004},
      {0xffff, 0xffff},
  };
  for (auto const& row : rows) {
    auto& skb = w.arrive(w.dev.dev_addr, row.field);
    CHECK(skb.protocol == be16{row.protocol});
    CHECK(skb.dev == &w.dev);
    CHECK(skb.len == 46);
    CHECK(skb.data == skb.head + skb.mac_header + 14);
    consume_skb(skb);
  }
}

TEST_CASE("a frame that is shorter than its header is counted, and dropped under its name", "[S57]") {
  world w;
  for (u32 len : {0u, 1u, 13u}) {
    auto& skb = w.arrive(w.dev.dev_addr, eth_p::ip, len);
    CHECK(!skb.protocol);
    CHECK(skb.len == len);
    skb_list burst;
    burst.push_back(skb);
    netif_receive_skb_list(w.net(), burst);
  }
  CHECK(w.dev.stats.rx_length_errors.read() == 3);
  CHECK(w.drops(drop_reason::dev_hdr) == 3);
  CHECK(w.h.worker().pool.in_use() == 0);
  auto& whole = w.arrive(w.dev.dev_addr, eth_p::ip, 14);
  CHECK(whole.len == 0);
  consume_skb(whole);
}

TEST_CASE("a link header is written in front of the packet", "[S56]") {
  world w;
  sk_buff* skb = w.h.worker().pool.alloc_skb();
  *skb->put(1) = 0x77;
  eth_header(*skb, w.dev, eth_p::arp, mac_broadcast);
  REQUIRE(skb->len == 15);
  auto const* eth = skb->peek<ethhdr>();
  CHECK((eth->h_dest == mac_broadcast && eth->h_source == w.dev.dev_addr && eth->h_proto == be16{0x0806}));
  CHECK(skb->mac_hdr<ethhdr>() == eth);
  CHECK(skb->data[14] == 0x77);
  consume_skb(*skb);
}

TEST_CASE("without a link header the version says what a packet is", "[link]") {
  world w;
  net_device bare;
  ip_link_setup(bare);
  CHECK((bare.type == arphrd::none && bare.hard_header_len == 0));
  CHECK((bare.flags & iff::noarp) != 0);
  struct {
    u8 first;
    u16 protocol;
  } const rows[] = {{0x45, eth_p::ip}, {0x4f, eth_p::ip}, {0x60, eth_p::ipv6}, {0x00, 0}, {0x55, 0}, {0xf0, 0}};
  for (auto const& row : rows) {
    sk_buff* skb = w.h.worker().pool.alloc_skb();
    *skb->put(20) = row.first;
    ip_type_trans(*skb, bare);
    CHECK(skb->protocol.host() == row.protocol);
    CHECK(skb->pkt_type == pkt_type::host);
    CHECK(skb->len == 20);
    consume_skb(*skb);
  }
  sk_buff* empty = w.h.worker().pool.alloc_skb();
  ip_type_trans(*empty, bare);
  CHECK(!empty->protocol);
  consume_skb(*empty);
  CHECK(bare.stats.rx_frame_errors.read() == 4);
}
