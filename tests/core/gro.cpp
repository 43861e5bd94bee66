// SPDX-License-Identifier: BSL-1.0
// What a device's turn holds and when it lets go: eight flows at most, nothing over the end of the turn, order kept
// within a flow, and the same bytes as without merging. A test module plays the protocol that merges.
#include "netstack/core/gro.hpp"

#include <map>

#include "netstack/core/dev_config.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;
using test::mock;

constexpr u16 stream_type = 0x88b7;

/// Segments of a flow: numbered, and the last one of a message says so.
struct stream_hdr {
  be16 flow, seq, segments;
  u8 last, version;
};
static_assert(sizeof(stream_hdr) == 8);

/// Merges consecutive segments, and notes what reaches it.
struct streamer : module {
  struct packet {
    u16 flow, seq, segments, gso_size, gso_segs;
    std::vector<u8> payload;
  };
  struct perworker {
    std::vector<packet> got;
  };

  template <class Net>
  static sk_buff* gro_receive(Net&, std::span<sk_buff* const> held, sk_buff& skb) {
    auto const* h = skb_gro_header<stream_hdr>(skb);
    if (!h || h->version != 1) return NAPI_GRO_CB(skb).flush = 1, nullptr;
    skb_gro_pull(skb, sizeof *h);
    for (sk_buff* p : held) {
      auto* mine = p->network_hdr<stream_hdr>();
      if (!NAPI_GRO_CB(*p).same_flow || mine->flow != h->flow) continue;
      bool const next = mine->seq.host() + NAPI_GRO_CB(*p).count == h->seq.host();
      if (!next || !skb_gro_receive(*p, skb)) return NAPI_GRO_CB(skb).flush = h->last, p;
      return h->last ? p : nullptr;
    }
    NAPI_GRO_CB(skb).flush = h->last;
    return nullptr;
  }
  template <class Net>
  static void gro_complete(Net&, sk_buff& skb, u32 offset) {
    skb.peek<stream_hdr>(offset)->segments = be16{skb_shinfo(skb).gso_segs};
  }
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    stream_hdr h{};
    (void)skb_copy_bits(skb, 0, &h, sizeof h);
    std::vector<u8> payload(skb.len - sizeof h);
    (void)skb_copy_bits(skb, sizeof h, payload.data(), static_cast<u32>(payload.size()));
    auto const& info = skb_shinfo(skb);
    worker_generic<streamer>(net.worker())
        .got.push_back({h.flow.host(), h.seq.host(), h.segments.host(), info.gso_size, info.gso_segs, payload});
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = stream_type, .func = rcv<Net>, .name = "streamer"}};
  template <class Net>
  static constexpr std::array packet_offloads{
      packet_offload<Net>{.type = stream_type,
                          .callbacks = {.gro_receive = gro_receive<Net>, .gro_complete = gro_complete<Net>},
                          .name = "streamer"}};
};

struct host : stack<host, streamer, test::recorder, mock, sizes<config{.max_net = 1, .skb_pool = 512}>> {};
struct plain : stack<plain, test::recorder, mock, sizes<config{.max_net = 1, .skb_pool = 32}>> {};

constexpr mac_addr other_station{{2, 0, 0, 0, 0, 0x79}};

std::vector<u8> segment(u16 flow, u16 seq, bool last = false, std::size_t len = 500, mac_addr from = {}) {
  std::vector<u8> f = test::mock_frame(0, sizeof(ethhdr) + sizeof(stream_hdr) + len);
  for (std::size_t i = 0; i < len; ++i) f[sizeof(ethhdr) + sizeof(stream_hdr) + i] = static_cast<u8>(flow + seq + i);
  be16 const type{stream_type};
  std::memcpy(f.data() + 12, &type, sizeof type);
  if (!from.is_zero()) std::memcpy(f.data() + 6, &from, sizeof from);
  stream_hdr const h{be16{flow}, be16{seq}, be16{1}, last, 1};
  std::memcpy(f.data() + sizeof(ethhdr), &h, sizeof h);
  return f;
}

struct world : test::mock_net<host> {
  net_device& dev = add("eth0");
  std::deque<std::vector<u8>>& wire = end_of(dev).to_device;
  auto& got() { return worker_generic<streamer>(h.worker()).got; }
  ~world() {
    CHECK(dev.napi.gro_count == 0);
    CHECK(h.worker().pool.in_use() == 0);
  }
};

}  // namespace

TEST_CASE("segments of a flow that come in one turn go up as one packet, and none is held over its end", "[S67]") {
  world w;
  for (u16 i = 0; i < 10; ++i) w.wire.push_back(segment(1, i));
  CHECK(w.h.poll() == 10);
  REQUIRE(w.got().size() == 1);
  CHECK(w.dev.napi.gro_count == 0);
  auto const& p = w.got()[0];
  CHECK((p.seq == 0 && p.segments == 10 && p.gso_segs == 10 && p.gso_size == 500));
  REQUIRE(p.payload.size() == 5000);
  bool same = true;
  for (std::size_t i = 0; i < 5000; ++i) same = same && p.payload[i] == static_cast<u8>(1 + i / 500 + i % 500);
  CHECK(same);
  CHECK(w.dev.stats.rx_packets.read() == 10);  // the device received frames
  // A lone segment is no super-segment.
  w.wire.push_back(segment(1, 10));
  w.run();
  REQUIRE(w.got().size() == 2);
  CHECK((w.got()[1].segments == 1 && w.got()[1].gso_size == 0));
}

TEST_CASE("a turn that ends by its weight lets go, too", "[S67]") {
  world w;
  w.dev.napi.weight = 4;
  w.sd().netdev_budget = 4;
  for (u16 i = 0; i < 12; ++i) w.wire.push_back(segment(1, i));
  for (u32 turn = 1; turn <= 3; ++turn) {
    CHECK(w.h.poll() == 4);
    REQUIRE(w.got().size() == turn);
    CHECK(w.got().back().segments == 4);
    CHECK(w.dev.napi.gro_count == 0);
  }
  w.run();
}

TEST_CASE("eight flows are held at most; the ninth sends the oldest up first", "[S67]") {
  world w;
  for (u16 flow = 1; flow <= 9; ++flow) w.wire.push_back(segment(flow, 0));
  w.wire.push_back(segment(2, 1));
  w.wire.push_back(segment(1, 1));  // its flow has gone up already; flow 2 is the oldest now
  w.run();
  std::vector<std::pair<u16, u16>> order;
  for (auto const& p : w.got()) order.emplace_back(p.flow, p.segments);
  CHECK(order == std::vector<std::pair<u16, u16>>{
                     {1, 1}, {2, 2}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}, {8, 1}, {9, 1}, {1, 1}});
}

TEST_CASE("the end of a message, a gap, and what the protocol rules out do not wait", "[S67]") {
  world w;
  w.wire.push_back(segment(1, 0));
  w.wire.push_back(segment(2, 0));
  w.wire.push_back(segment(1, 1, true));  // complete: goes up before anything that comes later
  w.wire.push_back(segment(2, 5));        // a gap: what was held first, then this
  w.wire.push_back(segment(3, 0, true));  // a message of one segment is never held
  w.wire.push_back(segment(2, 6));
  auto alien = segment(4, 0);
  alien[sizeof(ethhdr) + 7] = 2;  // a version that nobody merges
  w.wire.push_back(alien);
  w.run();
  std::vector<std::vector<u16>> order;
  for (auto const& p : w.got()) order.push_back({p.flow, p.seq, p.segments});
  CHECK(order == std::vector<std::vector<u16>>{{1, 0, 2}, {2, 0, 1}, {3, 0, 1}, {4, 0, 1}, {2, 5, 2}});
}

TEST_CASE("frames from another station, or of another VLAN, are another flow", "[S67][S52]") {
  world w;
  w.wire.push_back(segment(1, 0));
  w.wire.push_back(segment(1, 1, false, 500, other_station));
  auto tagged = segment(1, 1);
  u8 const tag[] = {0x81, 0x00, 0x00, 5};
  tagged.insert(tagged.begin() + 12, tag, tag + 4);
  w.wire.push_back(tagged);
  w.run();
  CHECK(w.got().size() == 3);
  for (auto const& p : w.got()) CHECK(p.segments == 1);
}

TEST_CASE("a packet grows to 64 KiB, not beyond", "[S67]") {
  world w;
  w.dev.napi.weight = 64;
  for (u16 i = 0; i < 60; ++i) w.wire.push_back(segment(1, i, false, 1486));
  w.run();
  REQUIRE(w.got().size() >= 2);
  u16 next = 0;
  for (auto const& p : w.got()) {
    CHECK(p.seq == next);
    CHECK(p.payload.size() == std::size_t{p.segments} * 1486);
    next = static_cast<u16>(next + p.segments);
  }
  CHECK(next == 60);
}

TEST_CASE("merging is a feature that can be turned off, and the bytes are the same", "[S67][S87]") {
  std::map<u16, std::vector<u8>> bytes[2];
  for (bool on : {false, true}) {
    world w;
    CHECK((w.dev.features & netif_f::gro) != 0);
    dev_set_features(w.net(), w.dev, on ? netif_f::gro : 0);
    prng random{7};
    u16 next[12]{};
    for (int i = 0; i < 400; ++i) {
      u16 const flow = static_cast<u16>(random.below(12));
      next[flow] = static_cast<u16>(next[flow] + 1 + (random.below(20) == 0));
      w.wire.push_back(segment(flow, next[flow], random.below(8) == 0, 40 + random.below(1400)));
    }
    w.run();
    CHECK((on ? w.got().size() < 350 : w.got().size() == 400));
    for (auto const& p : w.got()) {
      auto& all = bytes[on][p.flow];
      all.insert(all.end(), p.payload.begin(), p.payload.end());
    }
  }
  CHECK(bytes[0] == bytes[1]);
}

TEST_CASE("a composition without offloads does not offer it", "[S67][S87]") {
  test::mock_net<plain> w;
  CHECK((w.add("eth0").features & netif_f::gro) == 0);
  STATIC_REQUIRE(!netstack::detail::composition_has_gro<net<plain>>());
  STATIC_REQUIRE(netstack::detail::composition_has_gro<net<host>>());
}
