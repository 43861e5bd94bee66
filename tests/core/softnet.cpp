// SPDX-License-Identifier: BSL-1.0
// A worker's rounds with devices that have as much work as the test says: turns, weights, budgets, the time limit, the
// backlog, stalled transmit queues, and what happens when a device goes in the middle of it.
#include "netstack/core/softnet.hpp"

#include <string>
#include <vector>

#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

constexpr u16 test_type = 0x88b5;

/// What the test wants of a device, and what the device saw.
struct script {
  u32 rx_waiting = 0;
  u32 room = 1000;  ///< frames it takes before it answers busy
  u64 ns_per_poll = 0;
  std::vector<u32> budgets;  ///< of each turn
  std::vector<u8> sent;      ///< first payload byte of each frame
  u64* clock = nullptr;
};
std::vector<std::string> turns;           // names of the devices polled, in order
std::vector<std::pair<u32, u32>> traced;  // work and budget of each poll

struct scripted : driver {
  static constexpr char const* name = "scripted";
  struct params {
    script* plan = nullptr;
  };
  struct priv {
    script* plan = nullptr;
  };
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    script& plan = *netdev_priv<scripted>(dev).plan;
    if (plan.room == 0) return netdev_tx::busy;
    --plan.room;
    plan.sent.push_back(skb.data[eth_hlen]);
    consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    script& plan = *netdev_priv<scripted>(dev).plan;
    turns.emplace_back(dev.name);
    plan.budgets.push_back(budget);
    if (plan.clock) *plan.clock += plan.ns_per_poll;
    u32 n = 0;
    for (; n < budget && plan.rx_waiting > 0; ++n, --plan.rx_waiting) {
      sk_buff* skb = net.worker().pool.alloc_skb();
      if (!skb) break;
      auto* eth = reinterpret_cast<ethhdr*>(skb->put(60));
      *eth = {dev.dev_addr, {{2, 0, 0, 0, 0, 9}}, be16{test_type}};
      eth_type_trans(*skb, dev);
      rx.push_back(*skb);
    }
    return n;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>, .ndo_stop = stop<Net>, .ndo_start_xmit = xmit<Net>, .ndo_poll = poll<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    netdev_priv<scripted>(dev).plan = p.plan;
    ether_setup(dev);
    dev.dev_addr = {{2, 0, 0, 0, 0, 1}};
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

struct observer : module {
  template <class Net>
  static verdict rcv(Net&, sk_buff&) {
    return verdict::consumed();
  }
  template <class Net>
  static void trace(Net&, napi_struct const&, u32 work, u32 budget) {
    traced.emplace_back(work, budget);
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = test_type, .func = rcv<Net>, .name = "observer"}};
  template <class Net>
  static constexpr std::array napi_traces{napi_trace<Net>{.trace_napi_poll = trace<Net>, .name = "observer"}};
};

struct host : stack<host, observer, scripted, sizes<config{.max_net = 2, .skb_pool = 512}>> {};

struct rig {
  u64 clock = 1'000'000'000;
  host h;
  script plan[2];
  net_device* dev[2] = {};
  rig() {
    auto const now = [](void* self) { return static_cast<rig*>(self)->clock; };
    REQUIRE(h.boot({.clock = {now, now, this}, .seed = 1}));
    for (int i = 0; i < 2; ++i) {
      plan[i].clock = &clock;
      auto made = register_netdev<scripted>(h.init_net(), "eth%d", {&plan[i]});
      REQUIRE(made);
      dev[i] = *made;
      REQUIRE(dev_open(h.init_net(), *dev[i]));
    }
    turns.clear();
    traced.clear();
  }
  ~rig() {
    for (int i = 0; i < 64; ++i) h.poll();
    CHECK(h.worker().pool.in_use() == 0);
  }
  softnet_data& sd() { return h.worker().softnet; }
  result<void> send(u8 mark) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(eth_hlen + 46)[eth_hlen] = mark;
    skb->dev = dev[0];
    return dev_queue_xmit(h.init_net(), *skb);
  }
  sk_buff& looped() {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(46);
    skb->dev = dev[0];
    skb->protocol = be16{test_type};
    return *skb;
  }
};

}  // namespace

TEST_CASE("softnet_data is one per worker, on cache lines of its own, ready before the first device", "[S58][S59]") {
  struct two : stack<two, observer, sizes<config{.workers = 2, .skb_pool = 64}>> {};
  STATIC_REQUIRE(alignof(softnet_data) == cache_line);
  STATIC_REQUIRE(sizeof(softnet_data) % cache_line == 0);
  two h;
  REQUIRE(h.boot({.seed = 1}));
  auto const a = reinterpret_cast<std::uintptr_t>(&h.worker(0).softnet);
  auto const b = reinterpret_cast<std::uintptr_t>(&h.worker(1).softnet);
  CHECK(a % cache_line == 0);
  CHECK((a > b ? a - b : b - a) >= sizeof(softnet_data));
  for (u32 w = 0; w < 2; ++w) {
    auto const& sd = h.worker(w).softnet;
    CHECK(sd.backlog.state == 0);  // enabled: netif_rx works with no device but lo
    CHECK(sd.poll_list.empty());
    CHECK(sd.dev_weight == 64);
    CHECK(sd.netdev_budget == 300);
    CHECK(sd.netdev_max_backlog == 1000);
  }
}

TEST_CASE("two hot devices take turns of their weight until the budget is used up", "[S62][S66][S79]") {
  rig r;
  r.plan[0].rx_waiting = r.plan[1].rx_waiting = 1000;
  CHECK(r.h.poll() == 300);
  CHECK(turns == std::vector<std::string>{"eth0", "eth1", "eth0", "eth1", "eth0"});
  CHECK(r.plan[0].budgets == std::vector<u32>{64, 64, 44});  // the last turn is cut to what is left
  CHECK(r.sd().time_squeeze.read() == 1);
  turns.clear();
  r.h.poll();
  CHECK(turns.front() == "eth1");  // it goes on where it stopped
  u64 const a = 1000 - r.plan[0].rx_waiting, b = 1000 - r.plan[1].rx_waiting;
  CHECK((a > b ? a - b : b - a) <= 64);
  for (int i = 0; i < 10; ++i) r.h.poll();
  CHECK(r.plan[0].rx_waiting == 0);
  CHECK(r.plan[1].rx_waiting == 0);
}

TEST_CASE("work below the weight completes the device; exactly the weight keeps its turn", "[S66]") {
  rig r;
  r.plan[0].rx_waiting = 63;
  r.h.poll();
  CHECK(r.plan[0].budgets.size() == 1);
  CHECK((r.dev[0]->napi.state & napi_struct::sched) == 0);
  r.plan[0].budgets.clear();
  r.plan[0].rx_waiting = 64;
  r.h.poll();
  CHECK(r.plan[0].budgets.size() == 2);  // asked again, and had nothing
  CHECK(r.sd().time_squeeze.read() == 0);
}

TEST_CASE("a poll hands up at most its budget: 1, 16, 64", "[S79]") {
  for (u16 weight : {u16{1}, u16{16}, u16{64}}) {
    rig r;
    r.dev[0]->napi.weight = weight;
    r.sd().netdev_budget = weight;
    r.plan[0].rx_waiting = 100;
    CHECK(r.h.poll() == weight);
    CHECK(r.plan[0].rx_waiting == 100u - weight);
  }
}

TEST_CASE("the time limit ends a round early and counts it", "[S62]") {
  rig r;
  r.plan[0].rx_waiting = 1000;
  r.plan[0].ns_per_poll = 3'000'000;  // more than netdev_budget_ns
  CHECK(r.h.poll() == 64);
  CHECK(r.sd().time_squeeze.read() == 1);
}

TEST_CASE("napi_schedule is idempotent, and a disabled device is never polled", "[S65]") {
  rig r;
  napi_schedule(r.sd(), r.dev[0]->napi);
  napi_schedule(r.sd(), r.dev[0]->napi);
  CHECK(r.sd().poll_list.size() == 1);
  r.h.poll();
  CHECK(turns == std::vector<std::string>{"eth0", "eth1"});
  turns.clear();
  napi_disable(r.sd(), r.dev[0]->napi);
  napi_schedule(r.sd(), r.dev[0]->napi);
  CHECK(r.sd().poll_list.empty());
  r.plan[0].rx_waiting = 5;
  r.h.poll();
  CHECK(turns == std::vector<std::string>{"eth1"});
  napi_enable(r.sd(), r.dev[0]->napi);
  r.h.poll();
  CHECK(r.plan[0].rx_waiting == 0);
}

TEST_CASE("a softirq raised twice runs once; receive and transmit are raised apart", "[S63]") {
  rig r;
  raise_softirq(r.sd(), softnet_data::net_rx);
  raise_softirq(r.sd(), softnet_data::net_rx);
  CHECK(r.sd().pending == softnet_data::net_rx);
  raise_softirq(r.sd(), softnet_data::net_tx);
  CHECK(r.sd().pending == (softnet_data::net_rx | softnet_data::net_tx));
  r.h.poll();
  CHECK(r.sd().pending == 0);
  CHECK(turns.size() == 2);
}

TEST_CASE("the backlog takes netdev_max_backlog frames, counts the rest, and shares out its weight", "[S60]") {
  rig r;
  r.sd().netdev_max_backlog = 100;
  r.sd().backlog.weight = 16;
  for (int i = 0; i < 130; ++i) netif_rx(r.h.init_net(), r.looped());
  CHECK(r.sd().input_pkt_queue.qlen() == 100);
  CHECK(r.sd().dropped.read() == 30);
  CHECK(r.dev[0]->stats.rx_dropped.read() == 30);
  CHECK(r.h.init_net().drops[static_cast<std::size_t>(drop_reason::cpu_backlog)].read() == 30);
  r.h.poll();
  u32 largest = 0;
  for (auto const& [work, budget] : traced) largest = std::max(largest, work);
  CHECK(largest == 16);
  CHECK(r.sd().processed.read() == 100);
}

TEST_CASE("a busy driver stalls its queue, which is rerun in order; nothing is lost", "[S61][S76]") {
  rig r;
  r.plan[0].room = 2;
  for (u8 i = 1; i <= 6; ++i) CHECK(r.send(i));
  CHECK(r.plan[0].sent == std::vector<u8>{1, 2});
  r.h.poll();
  CHECK(r.plan[0].sent.size() == 2);
  r.plan[0].room = 3;
  r.h.poll();
  CHECK(r.plan[0].sent == std::vector<u8>{1, 2, 3, 4, 5});
  r.plan[0].room = 10;
  r.h.poll();
  CHECK(r.plan[0].sent == std::vector<u8>{1, 2, 3, 4, 5, 6});
  CHECK(r.dev[0]->stats.tx_packets.read() == 6);
  CHECK(r.dev[0]->stats.tx_dropped.read() == 0);
}

TEST_CASE("a stopped queue waits for its wake, and frames keep their order", "[S61][S76]") {
  rig r;
  netif_stop_queue(*r.dev[0]);
  for (u8 i = 1; i <= 3; ++i) CHECK(r.send(i));
  r.h.poll();
  CHECK(r.plan[0].sent.empty());
  netif_wake_queue(r.h.init_net(), *r.dev[0]);
  CHECK(r.send(4));
  r.h.poll();
  CHECK(r.plan[0].sent == std::vector<u8>{1, 2, 3, 4});
}

TEST_CASE("the transmit queue is bounded: what does not fit is refused with ENOBUFS and counted", "[S76]") {
  rig r;
  r.dev[0]->tx_queue_len = 3;
  r.plan[0].room = 0;
  for (u8 i = 1; i <= 3; ++i) CHECK(r.send(i));
  CHECK(r.send(4).error() == std::errc::no_buffer_space);
  CHECK(r.h.init_net().drops[static_cast<std::size_t>(drop_reason::dev_tx_queue_full)].read() == 1);
  r.plan[0].room = 10;
  r.h.poll();
  CHECK(r.plan[0].sent == std::vector<u8>{1, 2, 3});
}

TEST_CASE("finished frames wait in the completion queue and are freed by the next transmit round", "[S61]") {
  rig r;
  u32 const before = r.h.worker().pool.in_use();
  for (int i = 0; i < 5; ++i) dev_consume_skb_irq(r.h.init_net(), r.looped());
  CHECK(r.h.worker().pool.in_use() == before + 5);
  r.h.poll();
  CHECK(r.h.worker().pool.in_use() == before);
}

TEST_CASE("without a carrier, or down, nothing is sent, and the sender is told", "[S72]") {
  rig r;
  netif_carrier_off(r.h.init_net(), *r.dev[0]);
  CHECK(r.send(1).error() == std::errc::network_down);
  CHECK(r.h.init_net().drops[static_cast<std::size_t>(drop_reason::dev_ready)].read() == 1);
  netif_carrier_on(r.h.init_net(), *r.dev[0]);
  CHECK(r.send(2));
  dev_close(r.h.init_net(), *r.dev[0]);
  CHECK(r.send(3).error() == std::errc::network_down);
  CHECK(r.h.init_net().drops[static_cast<std::size_t>(drop_reason::dev_down)].read() == 1);
  CHECK(r.plan[0].sent == std::vector<u8>{2});
}

TEST_CASE("a carrier lost while frames wait keeps them; the queue goes on when it is back", "[S72]") {
  rig r;
  r.plan[0].room = 0;
  CHECK(r.send(1));
  netif_carrier_off(r.h.init_net(), *r.dev[0]);
  r.plan[0].room = 10;
  r.h.poll();
  CHECK(r.plan[0].sent.empty());
  netif_carrier_on(r.h.init_net(), *r.dev[0]);
  r.h.poll();
  CHECK(r.plan[0].sent == std::vector<u8>{1});
}

TEST_CASE("every poll is traced with its work and budget", "[S80]") {
  rig r;
  r.plan[0].rx_waiting = 70;
  r.h.poll();
  CHECK(traced == std::vector<std::pair<u32, u32>>{{64, 64}, {0, 64}, {6, 64}});
}

TEST_CASE("an Ethernet device starts with Linux's defaults and a private area of its own", "[S70]") {
  rig r;
  CHECK(r.dev[0]->mtu == 1500);
  CHECK(r.dev[0]->hard_header_len == 14);
  CHECK(r.dev[0]->tx_queue_len == 1000);
  CHECK((r.dev[0]->flags & (iff::broadcast | iff::multicast)) == (iff::broadcast | iff::multicast));
  CHECK(r.dev[0]->broadcast == mac_broadcast);
  CHECK(r.dev[0]->napi.weight == 64);
  CHECK(&netdev_priv<scripted>(*r.dev[0]) != &netdev_priv<scripted>(*r.dev[1]));
  CHECK(reinterpret_cast<std::uintptr_t>(&netdev_priv<scripted>(*r.dev[0])) % cache_line == 0);
  CHECK(netdev_priv<scripted>(*r.dev[1]).plan == &r.plan[1]);
}

TEST_CASE("a device that goes down with frames waiting frees them", "[S61]") {
  rig r;
  r.plan[0].room = 0;
  for (u8 i = 1; i <= 3; ++i) CHECK(r.send(i));
  netif_rx(r.h.init_net(), r.looped());
  unregister_netdev(r.h.init_net(), *r.dev[0]);
  r.h.poll();
  CHECK(r.h.worker().pool.in_use() == 0);
  CHECK(r.plan[0].sent.empty());
}
