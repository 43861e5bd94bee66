// SPDX-License-Identifier: BSL-1.0
// The neighbour state machine with a family of the test's own: every state under virtual time, the bounded queue, the
// three thresholds of the cache.
#include "netstack/core/neigh_nud.hpp"

#include <vector>

#include "netstack/core/sock_mem.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

constexpr u64 second = 1'000'000'000;
constexpr u16 test_type = 0x88b5;  // IEEE 802 local experimental

/// What the family and the wire saw.
struct record {
  int asked = 0;
  int reported = 0;
  std::vector<u8> sent;  // first payload byte of each frame, in order
  mac_addr last_dest{};
};

struct wire_driver : driver {
  static constexpr char const* name = "record";
  struct params {
    record* log = nullptr;
  };
  struct priv {
    record* log = nullptr;
  };
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    record& log = *netdev_priv<wire_driver>(dev).log;
    log.sent.push_back(skb.data[eth_hlen]);
    log.last_dest = reinterpret_cast<ethhdr const*>(skb.data)->h_dest;
    consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u32 poll(Net&, net_device&, u32, skb_list&) {
    return 0;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>, .ndo_stop = stop<Net>, .ndo_start_xmit = xmit<Net>, .ndo_poll = poll<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    netdev_priv<wire_driver>(dev).log = p.log;
    ether_setup(dev);
    dev.dev_addr = {{2, 0, 0, 0, 0, 1}};
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

struct family : module {
  struct perworker {
    neigh_cache cache;
    slab<neighbour, 8> entries;
    neighbour* buckets[8];
    record* log = nullptr;
    neigh_parms parms;
  };
  template <class Net>
  static neigh_cache& cache(Net& net) {
    return worker_generic<family>(net.worker()).cache;
  }
  template <class Net>
  static neigh_parms* parms(Net& net, net_device&) {
    return &worker_generic<family>(net.worker()).parms;
  }
  template <class Net>
  static result<void> constructor(Net&, neighbour&) {
    return {};
  }
  template <class Net>
  static void solicit(Net& net, neighbour&, sk_buff*) {
    ++worker_generic<family>(net.worker()).log->asked;
  }
  template <class Net>
  static void error_report(Net& net, neighbour&, sk_buff& skb) {
    ++worker_generic<family>(net.worker()).log->reported;
    kfree_skb(net, skb, drop_reason::neigh_failed);
  }
  template <class Net>
  static constexpr std::array neigh_tables{neigh_table<Net>{.family = 2,
                                                            .protocol = test_type,
                                                            .id = "test",
                                                            .cache = cache<Net>,
                                                            .parms = parms<Net>,
                                                            .constructor = constructor<Net>,
                                                            .solicit = solicit<Net>,
                                                            .error_report = error_report<Net>}};
};

struct host : stack<host, family, wire_driver, sizes<config{.max_net = 2, .skb_pool = 256}>> {};

struct rig {
  u64 clock = 1000 * second;
  record log;
  host h;
  net_device* dev = nullptr;
  netstack::net<host>* net = nullptr;

  rig() {
    auto const now = [](void* self) { return static_cast<rig*>(self)->clock; };
    REQUIRE(h.boot({.clock = {now, now, this}, .seed = 1}));
    auto& state = worker_generic<family>(h.worker());
    state.log = &log;
    state.cache.buckets = state.buckets;
    state.cache.mask = 7;
    state.cache.alloc = [](neigh_cache& c) { return reinterpret_cast<family::perworker*>(&c)->entries.alloc(); };
    state.cache.release = [](neigh_cache& c, neighbour& n) {
      reinterpret_cast<family::perworker*>(&c)->entries.free(&n);
    };
    net = &h.init_net();
    auto made = register_netdev<wire_driver>(*net, "eth%d", {&log});
    REQUIRE(made);
    dev = *made;
    REQUIRE(dev_open(*net, *dev));
  }
  ~rig() {
    neigh_ifdown(*net, cache(), *dev);
    h.poll();
    CHECK(h.worker().pool.in_use() == 0);
    CHECK(worker_generic<family>(h.worker()).entries.in_use() == 0);
    CHECK(h.worker().timers.size() == 0);
  }
  neigh_cache& cache() { return worker_generic<family>(h.worker()).cache; }
  neigh_parms& parms() { return worker_generic<family>(h.worker()).parms; }
  neighbour* entry(u32 key) {
    u32 const k[4]{key, 0, 0, 0};
    if (neighbour* n = neigh_lookup(cache(), k, *dev)) return n;
    return neigh_create(*net, 0, k, *dev);
  }
  void send(neighbour& n, u8 mark) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    *skb->put(1) = mark;
    skb->protocol = be16{test_type};
    skb->dev = dev;
    CHECK(neigh_output(*net, *skb, n));
  }
  /// Lets time pass in steps of 10 ms, polling.
  void pass(u64 ns) {
    for (u64 end = clock + ns; clock < end;) {
      clock += 10'000'000;
      h.poll();
    }
  }
};

/// Owns packets, and does something in the midst of whatever frees one of them; not once more while it does.
struct writer {
  rig& r;
  void (*act)(writer&);
  u32 woken = 0;
  bool acts = false;
  sock sk;

  writer(rig& on, void (*action)(writer&)) : r(on), act(action) { sk.sk_user_data = this; }
  static void freed(sk_buff& skb) {
    auto& self = *static_cast<writer*>(skb.sk->sk_user_data);
    if (std::exchange(self.acts, true)) return;
    if (++self.woken < 1000) self.act(self);
    self.acts = false;
  }
  void send(neighbour& n) {
    sk_buff* skb = r.h.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(1);
    skb->protocol = be16{test_type};
    skb->dev = r.dev;
    skb->sk = &sk;
    skb->destructor = freed;
    CHECK(neigh_output(*r.net, *skb, n));
  }
  /// Owns nothing any more, while it still lives to be told so.
  void rest() {
    acts = true;
    neigh_ifdown(*r.net, r.cache(), *r.dev);
  }
};

constexpr mac_addr theirs{{2, 0, 0, 0, 0, 2}};
constexpr mac_addr others{{2, 0, 0, 0, 0, 3}};

}  // namespace

TEST_CASE("incomplete: packets wait, the answer sends them in order", "[S125][S126]") {
  rig r;
  neighbour& n = *r.entry(1);
  CHECK(n.nud_state == nud::none);
  r.send(n, 1);
  CHECK(n.nud_state == nud::incomplete);
  CHECK(r.log.asked == 1);
  r.send(n, 2);
  CHECK(r.log.asked == 1);  // one question at a time
  CHECK(r.log.sent.empty());
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::reachable, neigh_update_f::override_));
  CHECK(n.nud_state == nud::reachable);
  CHECK(r.log.sent == std::vector<u8>{1, 2});
  CHECK(r.log.last_dest == theirs);
  CHECK(n.arp_queue_len_bytes == 0);
}

TEST_CASE("incomplete without an answer: asked once a second, three times, then failed and reported", "[S125]") {
  rig r;
  neighbour& n = *r.entry(1);
  r.send(n, 1);
  r.send(n, 2);
  r.pass(second + 20'000'000);
  CHECK(r.log.asked == 2);
  r.pass(second + 20'000'000);
  CHECK(r.log.asked == 3);
  CHECK(n.nud_state == nud::incomplete);
  r.pass(second + 20'000'000);
  CHECK(n.nud_state == nud::failed);
  CHECK(r.log.asked == 3);
  CHECK(r.log.reported == 2);
  CHECK(r.log.sent.empty());
  CHECK(r.cache().res_failed.read() == 1);
  r.send(n, 3);  // a new packet starts a new question
  CHECK(n.nud_state == nud::incomplete);
  CHECK(r.log.asked == 4);
}

TEST_CASE("reachable ages to stale; use makes it delay, silence makes it probe, no answer makes it fail", "[S125]") {
  rig r;
  r.parms().reachable_time = 30 * second;
  neighbour& n = *r.entry(1);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::reachable, neigh_update_f::override_));
  r.pass(29 * second);
  CHECK(n.nud_state == nud::reachable);
  r.pass(2 * second);
  CHECK(n.nud_state == nud::stale);
  r.pass(100 * second);
  CHECK(n.nud_state == nud::stale);  // nobody uses it, nobody asks
  CHECK(r.log.asked == 0);
  r.send(n, 1);
  CHECK(n.nud_state == nud::delay);
  CHECK(r.log.sent.size() == 1);  // a doubted address is still used
  r.pass(5 * second + 20'000'000);
  CHECK(n.nud_state == nud::probe);
  CHECK(r.log.asked == 1);
  r.send(n, 2);
  CHECK(r.log.sent.size() == 2);
  r.pass(3 * second + 60'000'000);
  CHECK(n.nud_state == nud::failed);
  CHECK(r.log.asked == 3);
}

TEST_CASE("an answer to a probe, or a confirmation from above, makes it reachable again", "[S125]") {
  rig r;
  neighbour& n = *r.entry(1);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::stale, neigh_update_f::override_));
  r.send(n, 1);
  CHECK(n.nud_state == nud::delay);
  neigh_confirm(*r.net, n);
  r.pass(5 * second + 20'000'000);
  CHECK(n.nud_state == nud::reachable);
  CHECK(r.log.asked == 0);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::stale, neigh_update_f::override_ | neigh_update_f::admin));
  r.send(n, 2);
  r.pass(5 * second + 20'000'000);
  CHECK(n.nud_state == nud::probe);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::reachable, 0));
  CHECK(n.nud_state == nud::reachable);
}

TEST_CASE("times are the device's settings", "[S128]") {
  rig r;
  r.parms().retrans_time = 100'000'000;
  r.parms().mcast_probes = 5;
  neighbour& n = *r.entry(1);
  r.send(n, 1);
  r.pass(450'000'000);
  CHECK(r.log.asked == 5);
  r.pass(150'000'000);
  CHECK(n.nud_state == nud::failed);
  r.parms().delay_probe_time = second;
  neighbour& m = *r.entry(2);
  REQUIRE(neigh_update(*r.net, m, &theirs, nud::stale, neigh_update_f::override_));
  r.send(m, 2);
  r.pass(second + 20'000'000);
  CHECK(m.nud_state == nud::probe);
}

TEST_CASE("a doubtful answer does not replace an address that works; a permanent entry is not touched", "[S126]") {
  rig r;
  neighbour& n = *r.entry(1);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::reachable, neigh_update_f::override_));
  REQUIRE(neigh_update(*r.net, n, &others, nud::stale, 0));
  CHECK(n.ha == theirs);
  CHECK(n.nud_state == nud::reachable);
  REQUIRE(neigh_update(*r.net, n, &others, nud::stale, neigh_update_f::weak_override));
  CHECK(n.ha == theirs);
  CHECK(n.nud_state == nud::stale);
  REQUIRE(neigh_update(*r.net, n, &others, nud::stale, neigh_update_f::override_));
  CHECK(n.ha == others);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::permanent, neigh_update_f::override_ | neigh_update_f::admin));
  CHECK(neigh_update(*r.net, n, &others, nud::reachable, neigh_update_f::override_).error() ==
        std::errc::operation_not_permitted);
  r.pass(3600 * second / 60);
  CHECK(n.nud_state == nud::permanent);
  neighbour& m = *r.entry(2);
  CHECK(neigh_update(*r.net, m, nullptr, nud::reachable, 0).error() == std::errc::invalid_argument);
}

TEST_CASE("the queue is bounded in bytes and drops the oldest", "[S126]") {
  rig r;
  neighbour& n = *r.entry(1);
  sk_buff* probe = r.h.worker().pool.alloc_skb();
  u32 const truesize = probe->truesize;
  consume_skb(*probe);
  r.parms().queue_len_bytes = 3 * truesize;
  for (u8 i = 1; i <= 10; ++i) r.send(n, i);
  CHECK(n.arp_queue.qlen() == 3);
  CHECK(r.cache().unres_discards.read() == 7);
  CHECK(r.net->drops[static_cast<std::size_t>(drop_reason::neigh_queuefull)].read() == 7);
  REQUIRE(neigh_update(*r.net, n, &theirs, nud::reachable, neigh_update_f::override_));
  CHECK(r.log.sent == std::vector<u8>{8, 9, 10});
}

TEST_CASE("a writer who sends again for each packet that the full queue drops is told once", "[S126]") {
  rig r;
  writer w{r, [](writer& self) { self.send(*self.r.entry(1)); }};
  neighbour& n = *r.entry(1);
  w.send(n);
  r.parms().queue_len_bytes = 3 * n.arp_queue_len_bytes;
  w.send(n);
  w.send(n);
  CHECK(w.woken == 0);
  w.send(n);
  CHECK(w.woken == 1);
  CHECK(n.arp_queue.qlen() == 3);
  CHECK(n.arp_queue_len_bytes == r.parms().queue_len_bytes);
  CHECK(r.cache().unres_discards.read() == 2);  // for the packet, and for what the writer sent
  w.rest();
}

TEST_CASE("gc_thresh3 is a wall for entries in use; unheld old ones make room", "[S125]") {
  rig r;
  r.cache().gc_thresh1 = 2;
  r.cache().gc_thresh2 = 4;
  r.cache().gc_thresh3 = 6;
  for (u32 i = 1; i <= 6; ++i) {
    neighbour* n = r.entry(i);
    REQUIRE(n);
    REQUIRE(neigh_update(*r.net, *n, &theirs, nud::permanent, neigh_update_f::override_ | neigh_update_f::admin));
  }
  CHECK(r.entry(7) == nullptr);
  CHECK(r.cache().table_fulls.read() == 1);
  CHECK(r.cache().entries == 6);
  // Stale for long: collectable, down to thresh2.
  for (u32 i = 1; i <= 6; ++i)
    REQUIRE(neigh_update(*r.net, *r.entry(i), &theirs, nud::stale, neigh_update_f::override_ | neigh_update_f::admin));
  r.pass(6 * second);
  REQUIRE(r.entry(8));
  CHECK(r.cache().entries <= 4);
  CHECK(r.cache().forced_gc_runs.read() >= 1);
}

TEST_CASE("the periodic work spares a small cache and collects what nobody used", "[S125]") {
  rig r;
  r.cache().gc_thresh1 = 2;
  for (u32 i = 1; i <= 4; ++i)
    REQUIRE(neigh_update(*r.net, *r.entry(i), &theirs, nud::stale, neigh_update_f::override_));
  r.pass(30 * second);
  r.entry(1)->used = r.clock;
  neigh_periodic_work(*r.net, 0);
  CHECK(r.cache().entries == 4);
  r.pass(40 * second);
  neigh_periodic_work(*r.net, 0);
  CHECK(r.cache().entries == 1);  // only the one that was used
  r.pass(100 * second);
  neigh_periodic_work(*r.net, 0);
  CHECK(r.cache().entries == 1);  // below gc_thresh1 nothing is collected
}

TEST_CASE("a removed entry frees its packets and lives on only for its holders", "[S129]") {
  rig r;
  neighbour& n = *r.entry(1);
  neigh_hold(n);
  r.send(n, 1);
  neigh_ifdown(*r.net, r.cache(), *r.dev);
  CHECK(n.dead);
  CHECK(n.arp_queue.empty());
  CHECK(r.net->drops[static_cast<std::size_t>(drop_reason::neigh_dead)].read() == 1);
  CHECK(r.entry(1) != &n);
  neigh_release(r.cache(), n);
}

TEST_CASE("a writer may remove and make entries while the cache is emptied", "[S125]") {
  rig r;
  writer w{r, [](writer& self) {
             neigh_flush(*self.r.net, self.r.cache(), [](neighbour&) { return true; });
             self.send(*self.r.entry(9));
           }};
  for (u32 i = 1; i <= 4; ++i) w.send(*r.entry(i));
  neigh_ifdown(*r.net, r.cache(), *r.dev);
  CHECK(w.woken == 4);
  CHECK(r.cache().entries == 1);  // what was sent last
  CHECK(r.entry(9)->arp_queue.qlen() == 1);
  w.rest();
}

TEST_CASE("making room spares the entries that packets wait for", "[S125]") {
  rig r;
  r.cache().gc_thresh3 = 2;
  writer w{r, [](writer&) {}};
  w.send(*r.entry(1));
  w.send(*r.entry(2));
  REQUIRE(neigh_update(*r.net, *r.entry(1), nullptr, nud::none, neigh_update_f::admin));
  CHECK(r.entry(3) == nullptr);
  CHECK(r.entry(1)->arp_queue.qlen() == 1);
  w.rest();
}

TEST_CASE("reachable_time is drawn between half and one and a half of its base", "[S125]") {
  prng random{1};
  u64 low = ~u64{0}, high = 0;
  for (int i = 0; i < 10'000; ++i) {
    u64 const t = neigh_rand_reach_time(random, 30 * second);
    low = std::min(low, t);
    high = std::max(high, t);
  }
  CHECK(low >= 15 * second);
  CHECK(high <= 45 * second);
  CHECK(high - low > 29 * second);
}
