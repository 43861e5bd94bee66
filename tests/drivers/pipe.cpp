// SPDX-License-Identifier: BSL-1.0
// Two stacks over a pipe on one thread: frames arrive whole and in order, and nothing stays behind.
#include "netstack/drivers/pipe.hpp"

#include <vector>

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
