// SPDX-License-Identifier: BSL-1.0
// fault_injector: each fault by itself, measured; the same seed gives the same faults; nothing leaks.
#include "netstack/drivers/fault_injector.hpp"

#include <bit>
#include <set>

#include "support/conformance.hpp"
#include "support/pipe_rig.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;
using faulty = drivers::fault_injector<drivers::pipe>;

struct plain_params {
  faulty::params operator()(drivers::pipe::params const& p) const { return {.inner = p, .seed = 1}; }
};

struct arrival {
  u32 number;
  u64 when;
  std::vector<u8> bytes;
};
struct sink : module {
  struct perworker {
    std::vector<arrival> got;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    be32 number;
    std::memcpy(&number, skb.data, sizeof number);
    worker_generic<sink>(net.worker()).got.push_back({number.host(), net.worker().now, {skb.data, skb.data + skb.len}});
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = 0x88b5, .func = rcv<Net>, .name = "sink"}};
};

struct host : stack<host, sink, faulty, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 1024}>> {};

/// eth0 (faulty) and eth1 (not) of one stack, joined; what eth1 sends arrives at eth0 and the other way round.
struct faulty_link {
  test::virtual_clock clock;
  drivers::pipe_cable cable;
  host h;
  net_device *a, *b;
  explicit faulty_link(drivers::wire_faults const& tx, drivers::wire_faults const& rx = {}, u64 seed = 1) {
    REQUIRE(h.boot({.clock = clock.source(), .seed = 1}));
    auto first = register_netdev<faulty>(
        h.init_net(), "eth0", {.inner = {.cables = &cable, .wakeup = false}, .tx = tx, .rx = rx, .seed = seed});
    auto second = register_netdev<drivers::pipe>(h.init_net(), "eth1", {.cables = &cable, .end = 1, .wakeup = false});
    REQUIRE((first && second));
    a = *first, b = *second;
    REQUIRE((dev_open(h.init_net(), *a) && dev_open(h.init_net(), *b)));
    h.poll();
  }
  std::vector<arrival>& got() { return worker_generic<sink>(h.worker()).got; }
  void send(net_device& dev, u32 number, u32 len = 100) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    std::memset(skb->put(len), 0x5a, len);
    be32 const n{number};
    std::memcpy(skb->data, &n, sizeof n);
    skb->dev = &dev;
    eth_header(*skb, dev, 0x88b5, mac_broadcast);
    CHECK(dev_queue_xmit(h.init_net(), *skb));
  }
  void run() {
    while (h.poll()) {
    }
  }
  void run_for(u64 ns) {
    u64 const end = clock.now + ns;
    run();
    while (clock.now < end) {
      auto const next = h.worker().timers.next_expiry();
      clock.now = std::max(clock.now, std::min(end, next ? *next : end));
      run();
    }
  }
  void send_many(net_device& dev, u32 n) {
    for (u32 i = 0; i < n; ++i) {
      send(dev, i);
      if (i % 32 == 31) run();
    }
    run_for(1'000'000'000);
  }
};

}  // namespace

TEST_CASE("a faultless fault_injector conforms", "[S75]") {
  test::check_conformance<test::pipe_rig<faulty, plain_params>>(70);
}

TEST_CASE("loss takes its share, either way, and frees what it takes", "[faults]") {
  for (bool sending : {true, false}) {
    drivers::wire_faults const faults{.loss = 250'000};
    faulty_link w{sending ? faults : drivers::wire_faults{}, sending ? drivers::wire_faults{} : faults};
    w.send_many(sending ? *w.a : *w.b, 4000);
    auto const lost = (sending ? faulty::tx_counts(*w.a) : faulty::rx_counts(*w.a)).lost;
    CHECK(w.got().size() + lost == 4000);
    CHECK((lost > 850 && lost < 1150));
    CHECK(w.h.worker().pool.in_use() == 0);
  }
}

TEST_CASE("duplication repeats frames", "[faults]") {
  faulty_link w{{.duplicate = 100'000}, {.duplicate = 100'000}};
  w.send_many(*w.a, 2000);
  auto const twice = faulty::tx_counts(*w.a).duplicated;
  CHECK((twice > 140 && twice < 260));
  CHECK(w.got().size() == 2000 + twice);
  std::set<u32> all;
  for (auto const& g : w.got()) all.insert(g.number);
  CHECK(all.size() == 2000);
  w.got().clear();
  w.send_many(*w.b, 2000);
  CHECK(w.got().size() == 2000 + faulty::rx_counts(*w.a).duplicated);
  CHECK(faulty::rx_counts(*w.a).duplicated > 140);
  CHECK(w.h.worker().pool.in_use() == 0);
  CHECK(w.h.worker().pool.clones_in_use() == 0);
}

TEST_CASE("corruption flips one bit, in a copy if others look at the frame", "[faults]") {
  faulty_link w{{.corrupt = 1'000'000}, {}};
  sk_buff* skb = w.h.worker().pool.alloc_skb();
  std::memset(skb->put(200), 0, 200);
  skb->dev = w.a;
  eth_header(*skb, *w.a, 0x88b5, mac_broadcast);
  sk_buff* watcher = skb_clone(*skb);
  std::vector<u8> const before(watcher->data, watcher->data + watcher->len);
  CHECK(dev_queue_xmit(w.h.init_net(), *skb));
  CHECK(std::vector<u8>(watcher->data, watcher->data + watcher->len) == before);
  consume_skb(*watcher);

  faulty_link r{{}, {.corrupt = 1'000'000}};
  for (u32 i = 0; i < 100; ++i) r.send(*r.b, 0);
  r.run_for(1'000'000);
  CHECK(faulty::rx_counts(*r.a).corrupted == 100);
  CHECK(!r.got().empty());  // some lose their ethertype
  for (auto const& g : r.got()) {
    int flipped = 0;
    for (std::size_t i = 0; i < g.bytes.size(); ++i)
      flipped += std::popcount(static_cast<u8>(g.bytes[i] ^ (i < 4 ? 0 : 0x5a)));
    CHECK(flipped <= 1);
  }
}

TEST_CASE("a sum that was left open is finished before the frame is damaged, so that the damage shows",
          "[faults][S45]") {
  for (bool sending : {true, false}) {
    drivers::wire_faults const faults{.corrupt = 1'000'000};
    faulty_link w{sending ? faults : drivers::wire_faults{}, sending ? drivers::wire_faults{} : faults};
    net_device& from = sending ? *w.a : *w.b;
    from.features |= netif_f::hw_csum;
    auto const open_sum = [&] {
      sk_buff* skb = w.h.worker().pool.alloc_skb();
      std::memset(skb->put(200), 0x11, 200);
      skb->dev = &from;
      eth_header(*skb, from, 0x88b5, mac_broadcast);
      REQUIRE(skb_partial_csum_set(*skb, eth_hlen + 20, 6));
      return skb;
    };
    sk_buff* const finished = open_sum();
    REQUIRE(skb_checksum_help(*finished));
    for (int i = 0; i < 20; ++i, w.run()) CHECK(dev_queue_xmit(w.h.init_net(), *open_sum()));
    CHECK(w.got().size() > 10);  // some lose their ethertype
    for (auto const& g : w.got()) {
      int flipped = 0;
      for (u32 i = 0; i < 200; ++i)
        flipped += std::popcount(static_cast<u8>(g.bytes[i] ^ finished->data[eth_hlen + i]));
      CHECK(flipped <= 1);
    }
    consume_skb(*finished);
  }
}

TEST_CASE("a reordered frame is overtaken by later ones, and none is lost", "[faults]") {
  faulty_link w{{.reorder = 50'000, .reorder_ns = 100'000}};
  for (u32 i = 0; i < 1000; ++i) {
    w.send(*w.a, i);
    w.run_for(10'000);
  }
  w.run_for(1'000'000);
  REQUIRE(w.got().size() == 1000);
  u32 late = 0, highest = 0;
  for (auto const& g : w.got()) {
    late += g.number < highest;
    highest = std::max(highest, g.number);
  }
  CHECK(late == faulty::tx_counts(*w.a).reordered);
  CHECK((late > 25 && late < 80));
}

TEST_CASE("delay and jitter: never early, at most a tick late, in order", "[faults]") {
  faulty_link w{{.delay_ns = 10'000'000, .jitter_ns = 5'000'000}};
  std::vector<u64> sent;
  for (u32 i = 0; i < 200; ++i) {
    sent.push_back(w.clock.now);
    w.send(*w.a, i);
    w.run_for(20'000'000);  // one after the other: each has its own delay
  }
  REQUIRE(w.got().size() == 200);
  u64 least = ~u64{0}, most = 0;
  for (u32 i = 0; i < 200; ++i) {
    CHECK(w.got()[i].number == i);
    u64 const took = w.got()[i].when - sent[i];
    least = std::min(least, took), most = std::max(most, took);
  }
  CHECK((least >= 10'000'000 && least < 11'000'000));
  CHECK((most > 14'000'000 && most <= 15'000'000 + 2 * 4096));
  w.got().clear();
  for (u32 i = 0; i < 200; ++i) w.send(*w.a, i);  // at once: jitter does not reorder them
  w.run_for(100'000'000);
  REQUIRE(w.got().size() == 200);
  for (u32 i = 0; i < 200; ++i) CHECK(w.got()[i].number == i);
}

TEST_CASE("a rate spaces frames by their length", "[faults]") {
  faulty_link w{{.rate_bps = 10'000'000}};  // 986 + 14 bytes: 0.8 ms
  u64 const start = w.clock.now;
  for (u32 i = 0; i < 100; ++i) w.send(*w.a, i, 986);
  w.run_for(200'000'000);
  REQUIRE(w.got().size() == 100);
  for (u32 i = 0; i < 100; ++i) {
    u64 const due = start + (i + 1) * 800'000;
    CHECK((w.got()[i].when >= due && w.got()[i].when <= due + 2 * 4096));
  }
}

TEST_CASE("what finds the rate's queue full is lost, the rest leaves at the rate", "[faults]") {
  for (bool sending : {true, false}) {
    drivers::wire_faults const faults{.rate_bps = 10'000'000, .queue = 20'000};  // 0.8 ms a frame, 20 frames
    faulty_link w{sending ? faults : drivers::wire_faults{}, sending ? drivers::wire_faults{} : faults};
    u64 const start = w.clock.now;
    for (u32 i = 0; i < 100; ++i) w.send(sending ? *w.a : *w.b, i, 986);
    w.run_for(200'000'000);
    REQUIRE(w.got().size() == 21);  // one on the link
    CHECK(w.got().back().number == 20);
    CHECK(w.got().back().when < start + 21 * 800'000 + 2 * 4096);
    CHECK((sending ? faulty::tx_counts(*w.a) : faulty::rx_counts(*w.a)).overflowed == 79);
    w.send(sending ? *w.a : *w.b, 100, 986);  // and now there is room
    w.run_for(10'000'000);
    CHECK(w.got().back().number == 100);
    CHECK(w.h.worker().pool.in_use() == 0);
  }
}

TEST_CASE("a full queue is busy for the sender and back-pressure for the receiver: nothing is lost", "[faults][S76]") {
  for (bool sending : {true, false}) {
    drivers::wire_faults const faults{.delay_ns = 1'000'000, .limit = 16};
    faulty_link w{sending ? faults : drivers::wire_faults{}, sending ? drivers::wire_faults{} : faults};
    for (u32 i = 0; i < 200; ++i) w.send(sending ? *w.a : *w.b, i);
    for (int i = 0; i < 100; ++i) {
      w.clock.advance(500'000);
      w.h.poll();
    }
    REQUIRE(w.got().size() == 200);
    for (u32 i = 0; i < 200; ++i) CHECK(w.got()[i].number == i);
  }
}

TEST_CASE("the same seed gives the same faults, another seed others", "[faults]") {
  auto const trace = [](u64 seed) {
    faulty_link w{
        {.loss = 50'000, .duplicate = 50'000, .corrupt = 50'000, .reorder = 50'000, .jitter_ns = 100'000}, {}, seed};
    w.send_many(*w.a, 1000);
    std::vector<std::pair<u32, u64>> t;
    for (auto const& g : w.got()) t.emplace_back(g.number, g.when);
    return t;
  };
  CHECK(trace(7) == trace(7));
  CHECK(trace(7) != trace(8));
}

TEST_CASE("stop, and unregister, give back what is held", "[faults][S73]") {
  faulty_link w{{.delay_ns = 1'000'000'000}, {.delay_ns = 1'000'000'000}};
  for (u32 i = 0; i < 50; ++i) w.send(*w.a, i), w.send(*w.b, i);
  w.run();
  CHECK(w.h.worker().pool.in_use() == 100);
  dev_close(w.h.init_net(), *w.a);
  w.run();
  CHECK(w.h.worker().pool.in_use() == 0);
  CHECK(w.h.worker().timers.size() == 0);
  REQUIRE(dev_open(w.h.init_net(), *w.a));
  w.run();
  for (u32 i = 0; i < 50; ++i) w.send(*w.a, i);
  unregister_netdev(w.h.init_net(), *w.a);
  w.run_for(2'000'000'000);
  CHECK(w.got().empty());
  CHECK(w.h.worker().pool.in_use() == 0);
}
