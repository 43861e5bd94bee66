// SPDX-License-Identifier: BSL-1.0
// lo: one for each namespace, down until somebody says otherwise, and what it sends it receives.
#include "netstack/drivers/loopback.hpp"

#include <span>

#include "netstack/core/sock.hpp"
#include "support/conformance.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;

struct host : stack<host, test::recorder, test::mock, sizes<config{.max_net = 3, .skb_pool = 64}>> {};

template <class Net>
void send(Net& net, u8 fill, u32 len = 100) {
  sk_buff* skb = net.worker().pool.alloc_skb();
  std::memset(skb->put(len), fill, len);
  skb->dev = net.loopback_dev;
  eth_header(*skb, *net.loopback_dev, test::mock_type, net.loopback_dev->dev_addr);
  CHECK(dev_queue_xmit(net, *skb));
}

}  // namespace

TEST_CASE("each namespace has its own lo with number 1; what one sends, the other never sees", "[S68]") {
  test::mock_net<host> w;
  auto ns = w.h.copy_net_ns();
  REQUIRE(ns);
  net_device *a = w.net().loopback_dev, *b = (*ns)->loopback_dev;
  REQUIRE((a && b && a != b));
  for (auto* lo : {a, b}) {
    CHECK(lo->ifindex == 1);
    CHECK(lo->ifname() == "lo");
    CHECK(lo->mtu == 65536);
    CHECK(lo->type == arphrd::loopback);
    CHECK((lo->is_loopback() && !lo->running()));
  }
  REQUIRE((drivers::loopback_up(w.net()) && drivers::loopback_up(**ns)));
  send(w.net(), 1);
  send(**ns, 2);
  send(**ns, 3);
  w.run();
  REQUIRE(w.frames().size() == 3);
  CHECK((w.frames()[0].bytes[0] == 1 && w.frames()[1].bytes[0] == 2 && w.frames()[2].bytes[0] == 3));
  CHECK(w.frames()[0].type == pkt_type::host);
  CHECK((a->stats.rx_packets.read() == 1 && a->stats.tx_packets.read() == 1));
  CHECK((b->stats.rx_packets.read() == 2 && b->stats.rx_bytes.read() == 2 * 114));
  CHECK(w.sd().processed.read() == 3);
  CHECK(w.h.worker().pool.in_use() == 0);
}

TEST_CASE("lo never meets a wire: its frames go through the backlog, no other device is asked", "[S68]") {
  test::mock_net<host> w;
  auto& eth = w.add("eth0");
  REQUIRE(drivers::loopback_up(w.net()));
  CHECK(!w.net().loopback_dev->napi.is_instance());
  send(w.net(), 1);
  CHECK(w.sd().input_pkt_queue.qlen() == 1);
  w.run();
  CHECK(w.frames().size() == 1);
  CHECK(w.sent(eth).empty());
}

TEST_CASE("a checksum that nobody has to finish is taken for right on lo; the sender's account ends there",
          "[S68][S42]") {
  test::mock_net<host> w;
  REQUIRE(drivers::loopback_up(w.net()));
  ip_summed seen[2]{};
  u32 n = 0;
  sock sender;
  worker_generic<test::recorder>(w.h.worker()).on_frame = [&](sk_buff& skb) {
    seen[n++] = skb.ip_summed;
    CHECK((skb.sk == nullptr && skb.destructor == nullptr));
  };
  for (auto summed : {ip_summed::none, ip_summed::partial}) {
    sk_buff* skb = w.h.worker().pool.alloc_skb();
    skb->put(100);
    skb->dev = w.net().loopback_dev;
    eth_header(*skb, *skb->dev, test::mock_type, mac_addr{});
    skb->ip_summed = summed;
    skb->csum_start = static_cast<u16>(skb->headroom() + 34);
    skb->csum_offset = 6;
    skb->sk = &sender;
    skb->destructor = [](sk_buff& packet) { ++packet.sk->sk_drops; };
    CHECK(dev_queue_xmit(w.net(), *skb));
  }
  CHECK(sender.sk_drops == 2);
  w.run();
  REQUIRE(n == 2);
  CHECK((seen[0] == ip_summed::unnecessary && seen[1] == ip_summed::partial));
}

namespace {

/// What lo sends is what it receives, so the far end is the recorder.
struct lo_rig {
  struct host : stack<host, test::recorder, sizes<config{.max_net = 1, .skb_pool = 2048}>> {};
  using driver = drivers::loopback;
  static constexpr bool receives = false, lossless = true;
  static constexpr u32 window = 256;
  host h;
  result<net_device*> make(char const* name) { return register_netdev<drivers::loopback>(h.init_net(), name, {}); }
  bool inject(std::span<u8 const>) { return false; }
  bool collect(std::vector<u8>& frame) {
    auto& state = worker_generic<test::recorder>(h.worker());
    if (!state.on_frame)
      state.on_frame = [this](sk_buff& skb) {
        CHECK((skb.ip_summed != ip_summed::partial || skb_checksum_help(skb)));
        got.emplace_back(skb.head + skb.mac_header, skb.data);
        for_each_piece(skb, 0, skb.len, [this](u8 const* p, u32 n) { got.back().insert(got.back().end(), p, p + n); });
      };
    if (got.empty()) h.poll();
    if (got.empty()) return false;
    frame = got.front();
    got.erase(got.begin());
    return true;
  }
  std::vector<std::vector<u8>> got;
};

}  // namespace

TEST_CASE("loopback conforms, as far as a device without a far end can", "[S75]") {
  test::check_conformance<lo_rig>(35);
}
