// SPDX-License-Identifier: BSL-1.0
// Who sees a received frame: lists of one ethertype, taps that may be idle, VLAN tags beside the frame, handlers that
// take frames from a device; and what every frame is told about its arrival.
#include "netstack/core/dev_input.hpp"

#include "netstack/core/dev_config.hpp"
#include "netstack/core/dev_output.hpp"
#include "netstack/core/sock.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;
using lines = std::vector<std::string>;

constexpr u16 list_type = 0x88b6;

/// Takes bursts of list_type.
struct lister : module {
  struct perworker {
    std::vector<u32> bursts;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff&) {
    worker_generic<lister>(net.worker()).bursts.push_back(0);
    return verdict::consumed();
  }
  template <class Net>
  static void rcv_list(Net& net, skb_list& list) {
    u32 n = 0;
    while (sk_buff* skb = receive_next(net, list, list_type)) {
      consume_skb(*skb);
      ++n;
    }
    worker_generic<lister>(net.worker()).bursts.push_back(n);
  }
  template <class Net>
  static constexpr std::array packet_types{
      packet_type<Net>{.type = list_type, .func = rcv<Net>, .list_func = rcv_list<Net>, .name = "lister"}};
};

/// A tap that can be switched off, and knows its own socket.
struct tap : module {
  struct perworker {
    bool active = true;
    sock* own = nullptr;
    lines seen;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto const way = skb.pkt_type == pkt_type::outgoing ? "tx " : "rx ";
    worker_generic<tap>(net.worker()).seen.push_back(way + std::to_string(skb.len) + (skb.vlan_proto ? " tagged" : ""));
    return verdict::consumed();
  }
  template <class Net>
  static bool active(Net& net) {
    return worker_generic<tap>(net.worker()).active;
  }
  template <class Net>
  static bool own(Net& net, sock& sk) {
    return &sk == worker_generic<tap>(net.worker()).own;
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{
      .type = eth_p::all, .func = rcv<Net>, .name = "tap", .is_active = active<Net>, .id_match = own<Net>}};
};

/// Plays a VLAN module: frames of VLAN 5 belong to the device in rx_handler_data, those of VLAN 6 are eaten, those of
/// VLAN 7 are for handlers of this device only.
struct vlan_player : module {
  template <class Net>
  static rx_handler_result handle(Net&, sk_buff& skb) {
    switch (skb.vlan_proto ? skb.vlan_tci & vlan_vid_mask : 0) {
      case 5:
        skb.dev = static_cast<net_device*>(skb.dev->rx_handler_data);
        skb.vlan_proto = {};
        return rx_handler_result::another;
      case 6: consume_skb(skb); return rx_handler_result::consumed;
      case 7: skb.vlan_proto = {}; return rx_handler_result::exact;
      default: return rx_handler_result::pass;
    }
  }
  template <class Net>
  static constexpr std::array rx_handlers{rx_handler<Net>{.func = handle<Net>, .name = "vlan_player"}};
};

struct host : stack<host, test::recorder, lister, test::mock, sizes<config{.max_net = 1, .skb_pool = 256}>> {};
struct tapped : stack<tapped, tap, test::recorder, lister, test::mock, sizes<config{.max_net = 1, .skb_pool = 256}>> {};
struct handled : stack<handled, vlan_player, test::recorder, test::mock, sizes<config{.max_net = 1, .skb_pool = 256}>> {
};

std::vector<u8> frame_of(u16 type, std::size_t len = 100) {
  auto f = test::mock_frame(1, len);
  be16 const t{type};
  std::memcpy(f.data() + 12, &t, sizeof t);
  return f;
}
/// The frame with one more tag, outermost.
std::vector<u8> tagged(std::vector<u8> f, u16 tpid, u16 tci) {
  be16 const tag[2] = {be16{tpid}, be16{tci}};
  auto const* bytes = reinterpret_cast<u8 const*>(tag);
  f.insert(f.begin() + 12, bytes, bytes + sizeof tag);
  return f;
}

}  // namespace

TEST_CASE("a burst goes up as lists of one ethertype, in order", "[S83]") {
  test::mock_net<host> w;
  auto& dev = w.add("eth0");
  auto& queue = w.end_of(dev).to_device;
  for (u16 type : {list_type, list_type, list_type, test::mock_type, list_type, list_type})
    queue.push_back(frame_of(type));
  w.run();
  CHECK(worker_generic<lister>(w.h.worker()).bursts == std::vector<u32>{3, 2});
  CHECK(w.frames().size() == 1);
  CHECK(w.h.worker().pool.in_use() == 0);
}

TEST_CASE("an idle tap costs no clones, and lists stay lists", "[S82]") {
  test::mock_net<tapped> w;
  auto& dev = w.add("eth0");
  auto& state = worker_generic<tap>(w.h.worker());
  auto& bursts = worker_generic<lister>(w.h.worker()).bursts;
  state.active = false;
  for (int i = 0; i < 4; ++i) w.end_of(dev).to_device.push_back(frame_of(list_type));
  w.run();
  CHECK(bursts == std::vector<u32>{4});
  CHECK(state.seen.empty());
  skb_list sent;
  for (u32 i = 0; i < 3; ++i) sent.push_back(w.skb_for(dev, i));
  CHECK(detail::xmit_run(w.net(), sent) == 3);
  state.active = true;
  sent.push_back(w.skb_for(dev, 3, 90));
  CHECK(detail::xmit_run(w.net(), sent) == 0);  // dev_queue_xmit shows it
  CHECK(dev_queue_xmit_list(w.net(), sent) == 1);
  CHECK(std::exchange(state.seen, {}) == lines{"tx 90"});
  CHECK(w.sent(dev) == std::vector<u32>{0, 1, 2, 3});
  w.run();
  bursts.clear();
  for (int i = 0; i < 4; ++i) w.end_of(dev).to_device.push_back(frame_of(list_type));
  w.run();
  CHECK(bursts == std::vector<u32>{0, 0, 0, 0});  // frame by frame, since each is shown to the tap first
  CHECK(state.seen.size() == 4);
  CHECK(w.h.worker().pool.in_use() == 0);
}

TEST_CASE("taps see both directions; a sender does not hear its own echo", "[S82]") {
  test::mock_net<tapped> w;
  auto& dev = w.add("eth0");
  auto& state = worker_generic<tap>(w.h.worker());
  w.end_of(dev).to_device.push_back(frame_of(test::mock_type, 100));
  w.run();
  CHECK(dev_queue_xmit(w.net(), w.skb_for(dev, 1, 80)));
  CHECK(state.seen == lines{"rx 86", "tx 80"});
  state.seen.clear();
  // Sent by a socket of the tap's own module, and by another one.
  sock mine, other;
  state.own = &mine;
  for (sock* sender : {&mine, &other}) {
    auto& skb = w.skb_for(dev, 1, sender == &mine ? 81 : 82);
    skb.sk = sender;
    CHECK(dev_queue_xmit(w.net(), skb));
  }
  CHECK(state.seen == lines{"tx 82"});
  // A frame that the driver refuses at first is shown once.
  state.seen.clear();
  netif_stop_queue(dev);
  CHECK(dev_queue_xmit(w.net(), w.skb_for(dev, 1, 83)));
  CHECK(state.seen.empty());
  netif_wake_queue(w.net(), dev);
  w.run();
  CHECK(state.seen == lines{"tx 83"});
}

TEST_CASE("every frame is told when, where and through which NAPI it came", "[S41][S55]") {
  test::mock_net<host> w;
  auto& dev = w.add("eth0");
  w.inject(dev, 1);
  w.clock.advance(12'345);
  w.run();
  REQUIRE(w.frames().size() == 1);
  CHECK(w.frames()[0].tstamp == w.clock.now + w.clock.epoch);
  CHECK(w.frames()[0].iif == dev.ifindex);
  CHECK(w.frames()[0].napi_id == dev.napi.napi_id);
  // The NAPI id drives a busy poll: that device alone.
  auto& other = w.add("eth1");
  w.inject(dev, 5);
  w.inject(other, 5);
  CHECK(other.napi.napi_id != dev.napi.napi_id);
  CHECK(w.h.worker().busy_poll(other.napi.napi_id, 3) == 3);
  CHECK(w.h.worker().busy_poll(other.napi.napi_id, 64) == 2);
  CHECK(w.h.worker().busy_poll(9999, 64) == 0);
  CHECK(w.frames().size() == 6);
  CHECK(w.end_of(dev).to_device.size() == 5);
}

TEST_CASE("a VLAN tag is taken out of the frame and kept beside it; the inner one of two stays", "[S52]") {
  test::mock_net<host> w;
  auto& dev = w.add("eth0");
  auto const plain = frame_of(test::mock_type);
  std::vector<u8> const payload(plain.begin() + 14, plain.end());
  auto& queue = w.end_of(dev).to_device;
  queue.push_back(tagged(plain, eth_p::p_8021q, vlan_tci(42, 5)));
  queue.push_back(tagged(plain, eth_p::p_8021q, vlan_tci(0, 7)));  // IEEE 802.1Q §6.8: priority only
  w.run();
  REQUIRE(w.frames().size() == 2);
  CHECK(w.frames()[0].bytes == payload);
  CHECK(w.frames()[0].vlan_proto == be16{eth_p::p_8021q});
  CHECK(w.frames()[0].vlan_tci == vlan_tci(42, 5));
  CHECK(w.frames()[0].type == pkt_type::otherhost);  // nobody has that VLAN
  CHECK(w.frames()[1].type == pkt_type::host);
  // Two tags: what is behind the outer one is a frame of type 802.1Q, which nobody listens to here.
  queue.push_back(tagged(tagged(plain, eth_p::p_8021q, 7), eth_p::p_8021ad, 42));
  w.run();
  CHECK(w.frames().size() == 2);
  CHECK(w.drops(drop_reason::unhandled_proto) == 1);
  // Cut off inside the tag.
  auto cut = tagged(plain, eth_p::p_8021q, 42);
  cut.resize(16);
  queue.push_back(cut);
  w.run();
  CHECK(w.drops(drop_reason::dev_hdr) == 1);
  CHECK(w.h.worker().pool.in_use() == 0);
}

TEST_CASE("a tap sees the frame without its tag, the addresses next to the type", "[S52]") {
  test::mock_net<tapped> w;
  auto& dev = w.add("eth0");
  w.end_of(dev).to_device.push_back(tagged(frame_of(test::mock_type), eth_p::p_8021q, 42));
  mac_addr source{};
  worker_generic<test::recorder>(w.h.worker()).on_frame = [&](sk_buff& skb) {
    source = skb.mac_hdr<ethhdr>()->h_source;
    CHECK(skb.mac_len == eth_hlen);
  };
  w.run();
  CHECK(worker_generic<tap>(w.h.worker()).seen == lines{"rx 86 tagged"});
  CHECK(source == mac_addr{{0x02, 0, 0, 0, 0, 0x78}});
}

TEST_CASE("a handler takes frames from its device; a VLAN keeps where the packet came in", "[S43][S52]") {
  test::mock_net<handled> w;
  auto& lower = w.add("eth0");
  auto& vlan = w.add("eth0.5");
  REQUIRE(netdev_rx_handler_register<vlan_player>(w.net(), lower, &vlan));
  CHECK(netdev_rx_handler_register<vlan_player>(w.net(), lower, &vlan).error() == std::errc::device_or_resource_busy);
  auto const plain = frame_of(test::mock_type);
  auto& queue = w.end_of(lower).to_device;
  queue.push_back(plain);
  for (u16 vid : {u16{5}, u16{6}, u16{7}}) queue.push_back(tagged(plain, eth_p::p_8021q, vid));
  w.run();
  REQUIRE(w.frames().size() == 2);
  CHECK(w.frames()[0].dev == "eth0");
  CHECK(w.frames()[1].dev == "eth0.5");
  CHECK(w.frames()[1].iif == lower.ifindex);
  CHECK(!w.frames()[1].vlan_proto);
  CHECK(w.drops(drop_reason::unhandled_proto) == 1);  // "exact": the recorder is bound to no device
  netdev_rx_handler_unregister(lower);
  queue.push_back(tagged(plain, eth_p::p_8021q, 6));
  w.run();
  CHECK(w.frames().size() == 3);
  CHECK(w.h.worker().pool.in_use() == 0);
}
