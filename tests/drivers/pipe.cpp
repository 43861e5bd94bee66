// SPDX-License-Identifier: BSL-1.0
// Two stacks over a pipe on one thread, and two namespaces of one: frames arrive whole and in order, and nothing stays
// behind.
#include "netstack/drivers/pipe.hpp"

#include <cstring>
#include <vector>

#include "netstack/core/dev_short.hpp"
#include "netstack/drivers/tracer.hpp"
#include "support/conformance.hpp"
#include "support/pipe_rig.hpp"
#include "support/two_stacks.hpp"

namespace {

using namespace netstack;

/// Takes every frame of one private ethertype.
struct collector : module {
  struct perworker {
    std::vector<std::vector<u8>> frames;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    worker_generic<collector>(net.worker()).frames.emplace_back(skb.data, skb.data + skb.len);
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = 0x88b5, .func = rcv<Net>, .name = "collector"}};
};

struct host : stack<host, collector, drivers::pipe, sizes<config{.skb_pool = 1024}>> {};

void send(net<host>& net, net_device& dev, u32 number, u32 bytes) {
  sk_buff* skb = net.worker().pool.alloc_skb();
  REQUIRE(skb);
  u8* payload = skb->put(bytes);
  for (u32 i = 0; i < bytes; ++i) payload[i] = static_cast<u8>(number + i);
  skb->dev = &dev;
  eth_header(*skb, dev, 0x88b5, mac_broadcast);
  CHECK(dev_queue_xmit(net, *skb));
}

/// Writes it where the pipe has a place for it. False: there is none.
bool send_short(net<host>& net, net_device& dev, u32 number, u32 bytes) {
  u8* const at = dev_short_begin(net, dev, static_cast<u32>(eth_hlen) + bytes);
  if (!at) return false;
  ethhdr const eth{.h_dest = mac_broadcast, .h_source = dev.dev_addr, .h_proto = be16{0x88b5}};
  std::memcpy(at, &eth, sizeof eth);
  for (u32 i = 0; i < bytes; ++i) at[eth_hlen + i] = static_cast<u8>(number + i);
  dev_short_end(net, dev);
  return true;
}

/// Remembers where the packets of one private ethertype lay, and holds them until the test has looked.
struct holder : module {
  struct perworker {
    std::vector<sk_buff*> packets;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    worker_generic<holder>(net.worker()).packets.push_back(&skb_get(skb));
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = 0x88b6, .func = rcv<Net>, .name = "holder"}};
};
struct one_stack : stack<one_stack, holder, drivers::pipe, sizes<config{.max_net = 2, .skb_pool = 1024}>> {};

struct traced : stack<traced, drivers::tracer<drivers::pipe>> {};

}  // namespace

TEST_CASE("frames cross a pipe whole and in order, and every skb comes home", "[pipe]") {
  test::two_stacks<host> two;
  for (u32 i = 0; i < 800; ++i) send(two.a.init_net(), *two.dev_a, i, 46 + i % 1455);
  two.run();
  auto& got = worker_generic<collector>(two.b.worker()).frames;
  REQUIRE(got.size() == 800);
  for (u32 i = 0; i < 800; ++i) {
    REQUIRE(got[i].size() == 46 + i % 1455);
    CHECK(got[i].back() == static_cast<u8>(i + got[i].size() - 1));
  }
  CHECK(two.a.worker().pool.in_use() == 0);
  CHECK(two.b.worker().pool.in_use() == 0);
}

TEST_CASE("short frames go without a packet, in order with those that need one, as many as the cable holds", "[pipe]") {
  test::two_stacks<host> two;
  auto& net = two.a.init_net();
  auto& got = worker_generic<collector>(two.b.worker()).frames;
  REQUIRE(dev_takes_short<netstack::net<host>>(*two.dev_a));
  constexpr u32 most = short_frame_max - static_cast<u32>(eth_hlen);
  u32 sent = 0, kept = 0;
  for (u32 round = 0; round < 40; ++round) {
    u32 const before = sent;
    for (u32 i = 0; i < 1 + round * 3; ++i, ++sent) {  // first one alone, then more than there are places for
      u32 const bytes = 46 + sent % (most - 45);
      if (round % 4 == 3 || (sent % 5 == 0 && round % 4 != 0) || !send_short(net, *two.dev_a, sent, bytes))
        send(net, *two.dev_a, sent, bytes), ++kept;
    }
    CHECK(two.a.worker().pool.in_use() == kept);  // the others have none
    two.run();
    kept = 0;
    REQUIRE(got.size() == sent);
    for (u32 i = before; i < sent; ++i) {
      REQUIRE(got[i].size() == 46 + i % (most - 45));
      for (u32 k = 0; k < got[i].size(); ++k) REQUIRE(got[i][k] == static_cast<u8>(i + k));
    }
  }
  CHECK(two.dev_a->stats.tx_packets.read() == sent);
  CHECK(two.dev_b->stats.rx_packets.read() == sent);
  CHECK(two.dev_a->stats.tx_bytes.read() == two.dev_b->stats.rx_bytes.read());
  CHECK(two.a.worker().pool.in_use() == 0);
  CHECK(two.b.worker().pool.in_use() == 0);
}
/// One of several frames, of nobody's type.
void send_scattered(net<host>& net, net_device& dev) {
  auto& pool = net.worker().pool;
  sk_buff* const scattered = alloc_skb_with_frags(pool, pool.rx_headroom(), 64, 3000);
  REQUIRE(scattered);
  std::vector<u8> const bytes(3064, 0x5a);
  REQUIRE(skb_store_bits(*scattered, 0, bytes.data(), 3064));
  scattered->dev = &dev;
  eth_header(*scattered, dev, 0x88b7, mac_broadcast);
  CHECK(dev_queue_xmit(net, *scattered));
}

TEST_CASE("behind a packet that takes the last frames of the pool what follows is missed, and comes home", "[pipe]") {
  test::two_stacks<host> two;
  auto& net = two.a.init_net();
  auto& pool = two.b.worker().pool;
  auto& got = worker_generic<collector>(two.b.worker()).frames;
  skb_list others;
  pool.alloc_bulk(pool.available() - 5, others);
  two.dev_a->mtu = 4000;
  send(net, *two.dev_a, 0, 60);
  send_scattered(net, *two.dev_a);
  send(net, *two.dev_a, 1, 60);
  REQUIRE(send_short(net, *two.dev_a, 2, 60));
  two.run();
  auto const& stats = two.dev_b->stats;
  CHECK(stats.rx_packets.read() + stats.rx_missed_errors.read() == 4);
  CHECK(stats.rx_missed_errors.read() == 1);
  REQUIRE(got.size() == 2);
  CHECK((got[0].front() == 0 && got[1].front() == 1));
  CHECK(two.a.worker().pool.in_use() == 0);
  CHECK(pool.in_use() == others.count);
  pool.free_bulk(others);
}

TEST_CASE("what is missed for want of a frame is counted once, whatever it is", "[pipe]") {
  test::two_stacks<host> two;
  auto& net = two.a.init_net();
  auto& pool = two.b.worker().pool;
  skb_list others;
  pool.alloc_bulk(pool.available() - 5, others);
  two.dev_a->mtu = 4000;
  send(net, *two.dev_a, 0, 60);
  send_scattered(net, *two.dev_a);  // and the pool has one frame more
  send(net, *two.dev_a, 1, 60);
  REQUIRE(send_short(net, *two.dev_a, 2, 60));
  send_scattered(net, *two.dev_a);
  two.run();
  CHECK(two.dev_b->stats.rx_missed_errors.read() == 2);
  CHECK(pool.alloc_failures == 2);
  pool.free_bulk(others);
}

TEST_CASE("there is no place for a short frame when something is in its way", "[pipe]") {
  test::two_stacks<host> two;
  auto& net = two.a.init_net();
  static_assert(!detail::short_frame_drivers<netstack::net<traced>>[0], "who looks at frames gets them as packets");
  CHECK(dev_short_begin(net, *two.dev_a, short_frame_max + 1) == nullptr);
  u32 fit = 0;
  while (fit < 1000 && send_short(net, *two.dev_a, fit, 46)) ++fit;
  CHECK(fit == drivers::pipe_cable::short_slots);
  two.run();
  CHECK(send_short(net, *two.dev_a, 0, 46));
  netif_tx_stop_queue(two.dev_a->tx[0]);
  CHECK_FALSE(send_short(net, *two.dev_a, 0, 46));
  two.dev_a->tx[0].stopped = false;
  CHECK(send_short(net, *two.dev_a, 0, 46));
  dev_close(net, *two.dev_a);  // what was not received is lost
  CHECK(two.dev_a->stats.tx_carrier_errors.read() == 2);
  CHECK_FALSE(send_short(net, *two.dev_a, 0, 46));
  two.run();
  CHECK(worker_generic<collector>(two.b.worker()).frames.size() == fit);
}
TEST_CASE("the receiver that goes down drops short frames and gives packets back", "[pipe]") {
  test::two_stacks<host> two;
  CHECK(send_short(two.a.init_net(), *two.dev_a, 0, 46));
  send(two.a.init_net(), *two.dev_a, 1, 46);
  CHECK(send_short(two.a.init_net(), *two.dev_a, 2, 46));
  dev_close(two.b.init_net(), *two.dev_b);
  two.run();
  CHECK(two.a.worker().pool.in_use() == 0);
  CHECK_FALSE(send_short(two.a.init_net(), *two.dev_a, 0, 46));  // no carrier
}
TEST_CASE("what is sent before its sender has seen that the receiver went down is lost, and comes home", "[pipe]") {
  test::two_stacks<host> two;
  dev_close(two.b.init_net(), *two.dev_b);
  send(two.a.init_net(), *two.dev_a, 1, 46);
  CHECK(send_short(two.a.init_net(), *two.dev_a, 2, 46));
  CHECK(two.a.worker().pool.in_use() == 1);
  two.run();
  CHECK(two.a.worker().pool.in_use() == 0);
  CHECK(two.dev_a->stats.tx_carrier_errors.read() == 2);
  REQUIRE(dev_open(two.b.init_net(), *two.dev_b));
  two.run();
  send(two.a.init_net(), *two.dev_a, 3, 46);
  two.run();
  CHECK(worker_generic<collector>(two.b.worker()).frames.size() == 1);
}

TEST_CASE("between two namespaces of one stack what lies in several pieces is handed over, the rest copied", "[pipe]") {
  auto const together = GENERATE(false, true);
  CAPTURE(together);
  drivers::pipe_cable cable;
  one_stack h;
  REQUIRE(h.boot({}));
  auto const ns = h.copy_net_ns();
  REQUIRE(ns);
  net<one_stack>* const nets[2]{&h.init_net(), *ns};
  net_device* devs[2];
  for (u8 end = 0; end < 2; ++end) {
    auto const dev = register_netdev<drivers::pipe>(*nets[end], "veth", {.cables = &cable, .end = end});
    REQUIRE((dev && dev_set_mtu(*nets[end], **dev, 4000) && dev_open(*nets[end], **dev)));
    devs[end] = *dev;
  }
  auto const run = [&] {
    while (h.poll() != 0) continue;
  };
  run();
  auto& pool = h.worker().pool;
  auto& got = worker_generic<holder>(h.worker()).packets;
  sock owner;
  std::vector<sk_buff*> sent;
  for (u32 i = 0; i < 8; ++i) {
    u32 const bytes = i % 3 == 2 ? 3000 : 500;
    sk_buff* const skb = alloc_skb_with_frags(pool, 256, 500, bytes - 500);
    REQUIRE(skb);
    for (u32 at = 0; at < bytes; ++at) {
      u8 const value = static_cast<u8>(i + at);
      REQUIRE(skb_store_bits(*skb, at, &value, 1));
    }
    skb->dev = devs[0];
    skb->sk = &owner;
    skb->destructor = [](sk_buff& packet) { ++packet.sk->sk_drops; };
    skb->tstamp = 1;
    skb->mark = 2, skb->priority = 3, skb->hash = 4, skb->l4_hash = skb->rx_l4_valid = 1, skb->queue_mapping = 5;
    eth_header(*skb, *devs[0], 0x88b6, mac_broadcast);
    CHECK(dev_queue_xmit(*nets[0], *skb));
    sent.push_back(skb);
    if (!together) run();
  }
  run();
  CHECK(owner.sk_drops == 8);  // what its sender is accounted for ends on the wire
  REQUIRE(got.size() == 8);
  for (u32 i = 0; i < 8; ++i) {
    sk_buff& skb = *got[i];
    CHECK((&skb == sent[i]) == (i % 3 == 2));
    CHECK(skb.len == (i % 3 == 2 ? 3000 : 500));
    CHECK((skb.dev == devs[1] && !skb.sk && !skb.destructor && skb.tstamp != 1));
    CHECK((skb.mark == 0 && skb.priority == 0 && skb.hash == 0 && skb.queue_mapping == 0));
    CHECK((!skb.l4_hash && !skb.rx_l4_valid));
    u32 at = 0;
    CHECK(for_each_piece(skb, 0, skb.len, [&](u8 const* p, u32 n) {
      for (u32 k = 0; k < n; ++k, ++at) REQUIRE(p[k] == static_cast<u8>(i + at));
    }));
    CHECK(at == skb.len);
    consume_skb(skb);
  }
  CHECK(devs[1]->stats.rx_packets.read() == 8);
  CHECK(devs[1]->stats.rx_bytes.read() == devs[0]->stats.tx_bytes.read());
  CHECK(pool.in_use() == 0);
  dev_close(*nets[0], *devs[0]);  // none is missed there
}

TEST_CASE("a pipe conforms", "[S73][S74][S75][S76][S77][S78][S79]") {
  test::check_conformance<test::pipe_rig<drivers::pipe, test::same_params>>(70);
}
TEST_CASE("a pipe that leaves checksums to the other end conforms", "[S75]") {
  constexpr u32 features = netif_f::sg | netif_f::hw_csum | netif_f::rxcsum;
  test::check_conformance<test::pipe_rig<drivers::pipe, test::same_params, arphrd::ether, features>>(70);
}
TEST_CASE("a pipe of bare IP packets conforms", "[S75]") {
  test::check_conformance<test::pipe_rig<drivers::pipe, test::same_params, arphrd::none>>(60);
}
