// SPDX-License-Identifier: BSL-1.0
// Peers: the AVL tree's balance, identification sequences, token buckets, and collection under virtual time.
#include "netstack/ipv4/inetpeer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace netstack;
constexpr u64 second = 1'000'000'000;

template <std::size_t N>
struct rig {
  prng random{7};
  std::unique_ptr<inet_peer_base<N>> peers = std::make_unique<inet_peer_base<N>>();
  explicit rig(std::size_t memory = std::size_t{1} << 30) { peers->init(random, memory); }
  inet_peer* get(u32 host, u64 now = second, bool create = true) { return peers->get(0, be32{host}, create, now); }
};

/// Height of the tree, by walking it.
template <class Tree>
int height(Tree const& tree) {
  using traits = typename Tree::value_traits;
  using node_traits = typename traits::node_traits;
  std::function<int(typename node_traits::node_ptr)> const depth = [&](typename node_traits::node_ptr n) -> int {
    return n ? 1 + std::max(depth(node_traits::get_left(n)), depth(node_traits::get_right(n))) : 0;
  };
  auto const root = tree.root();
  return root == tree.end() ? 0 : depth(traits::to_node_ptr(const_cast<inet_peer&>(*root)));
}

}  // namespace

TEST_CASE("the threshold shrinks with memory: halved, halved, quartered", "[S131]") {
  constexpr std::size_t mib = 1 << 20;
  STATIC_REQUIRE(inet_peer_threshold(64 * mib) == 65664);
  STATIC_REQUIRE(inet_peer_threshold(32 * mib) == 32832);
  STATIC_REQUIRE(inet_peer_threshold(16 * mib) == 16416);
  STATIC_REQUIRE(inet_peer_threshold(8 * mib) == 4104);
  rig<100000> large, small(8 * mib);
  CHECK(large.peers->threshold() == 65664);
  CHECK(small.peers->threshold() == 4104);
  CHECK(rig<10>().peers->threshold() == 10);
}

TEST_CASE("one peer per remote and namespace", "[S131]") {
  rig<16> r;
  inet_peer* a = r.get(1);
  REQUIRE(a);
  CHECK(r.get(1) == a);
  CHECK(r.get(2) != a);
  CHECK(r.get(3, second, false) == nullptr);
  CHECK(r.peers->get(1, be32{1}, true, second) != a);
  CHECK(r.peers->size() == 3);
  r.peers->flush(0);
  CHECK(r.peers->size() == 1);
  CHECK(r.get(1, second, false) == nullptr);
}

TEST_CASE("the tree stays balanced over a million inserts", "[S132]") {
  constexpr u32 n = 60000;
  bool const in_order = GENERATE(true, false);
  rig<n> r;
  prng addresses{11};
  for (u32 i = 0; i < 1'000'000; ++i)
    if (!r.get(in_order ? i : addresses.next_u32(), second + i)) FAIL("full at " << i);
  CHECK(r.peers->size() == n);
  CHECK(r.peers->evictions > 1'000'000 - n - 1000);
  // Adelson-Velsky and Landis: height < 1.4405 log2(n + 2).
  CHECK(height(r.peers->tree()) <= static_cast<int>(1.4405 * std::log2(n + 2)));
}

TEST_CASE("identifications: every value once before any comes back, another order for each peer", "[S133]") {
  rig<16> r;
  inet_peer& a = *r.get(1);
  inet_peer& b = *r.get(2);
  std::vector<bool> seen(65536);
  std::vector<u16> first, other;
  int constant_steps = 0;
  for (int i = 0; i < 65536; ++i) {
    u16 const id = inet_getid(a);
    if (seen[id]) FAIL("value " << id << " came back after " << i);
    seen[id] = true;
    first.push_back(id);
    other.push_back(inet_getid(b));
  }
  for (std::size_t i = 2; i < first.size(); ++i)
    constant_steps += static_cast<u16>(first[i] - first[i - 1]) == static_cast<u16>(first[i - 1] - first[i - 2]);
  CHECK(constant_steps < 65536 / 4);  // not a counter
  CHECK(first != other);
  int same_difference = 0;
  for (std::size_t i = 1; i < first.size(); ++i)
    same_difference += static_cast<u16>(first[i] - other[i]) == static_cast<u16>(first[i - 1] - other[i - 1]);
  CHECK(same_difference < 65536 / 4);  // one sequence does not give away the other
}

TEST_CASE("identifications: no peer's sequence walks in steps of one size", "[S133]") {
  rig<256> r;
  for (u32 host = 0; host < 200; ++host) {
    inet_peer& p = *r.get(host);
    std::vector<u32> steps(65536);
    u16 last = inet_getid(p);
    for (int i = 0; i < 65536; ++i) {
      u16 const id = inet_getid(p);
      ++steps[static_cast<u16>(id - last)];
      last = id;
    }
    CHECK(*std::max_element(steps.begin(), steps.end()) < 65536 / 10);
  }
}

TEST_CASE("identifications: a peer that was forgotten starts elsewhere", "[S133]") {
  rig<1> r;
  std::vector<u16> starts;
  for (u32 round = 0; round < 64; ++round) {
    starts.push_back(inet_getid(*r.get(1, round * second)));
    r.get(2, round * second);  // evicts it
  }
  std::sort(starts.begin(), starts.end());
  CHECK(std::unique(starts.begin(), starts.end()) - starts.begin() > 60);
}

TEST_CASE("the token bucket allows six at once, then one per interval", "[S158]") {
  rig<16> r;
  inet_peer& p = *r.get(1, 100 * second);
  u64 now = 200 * second;
  int burst = 0;
  while (inet_peer_xrlim_allow(p, now, second)) ++burst;
  CHECK(burst == 6);
  now += second / 2;
  CHECK(!inet_peer_xrlim_allow(p, now, second));
  now += second / 2;
  CHECK(inet_peer_xrlim_allow(p, now, second));
  CHECK(!inet_peer_xrlim_allow(p, now, second));
}

TEST_CASE("unused peers are collected, sooner when the tree is fuller; held ones stay", "[S134]") {
  rig<100> r;
  u64 const start = 1000 * second;
  for (u32 i = 0; i < 10; ++i) r.get(i, start);
  inet_peer& held = *r.get(0, start);  // the oldest
  r.peers->hold(held);
  CHECK(r.peers->collect(start + 500 * second) == 0);
  r.get(5, start + 500 * second);
  CHECK(r.peers->collect(start + 601 * second) == 8);  // all but the one just used and the held one
  CHECK(r.peers->size() == 2);
  CHECK(r.peers->collect(start + 5000 * second) == 1);
  r.peers->hold(held);
  r.peers->put(held, start + 5000 * second);
  CHECK(r.peers->collect(start + 9000 * second) == 0);
  CHECK(r.get(0, start + 9000 * second, false) == &held);
  r.peers->put(held, start + 9000 * second);
  CHECK(r.peers->collect(start + 9500 * second) == 0);  // unused only since then
  CHECK(r.peers->collect(start + 9601 * second) == 1);
  CHECK(r.peers->size() == 0);
  rig<100> full;
  for (u32 i = 0; i < 100; ++i) full.get(i, start);
  CHECK(full.peers->collect(start + 119 * second) == 0);
  CHECK(full.peers->collect(start + 121 * second) > 0);
}

TEST_CASE("a full tree evicts the longest unused, and refuses when all are held", "[S134]") {
  rig<4> r;
  for (u32 i = 0; i < 4; ++i) r.get(i, (i + 1) * 10 * second);
  r.get(0, 100 * second);  // used again: 1 is the oldest now
  REQUIRE(r.get(9, 101 * second));
  CHECK(r.get(1, 101 * second, false) == nullptr);
  CHECK(r.get(0, 101 * second, false) != nullptr);
  for (u32 i : {0u, 2u, 3u, 9u}) r.peers->hold(*r.get(i, 102 * second));
  CHECK(r.get(10, 103 * second) == nullptr);
  CHECK(r.get(9, 103 * second) != nullptr);
  r.peers->put(*r.get(3), 104 * second);
  CHECK(r.get(10, 105 * second) != nullptr);
  CHECK(r.get(3, 105 * second, false) == nullptr);
}

TEST_CASE("a held peer outlives its namespace and is found no more", "[S131]") {
  rig<4> r;
  inet_peer& p = *r.get(1);
  r.peers->hold(p);
  r.peers->get(1, be32{1}, true, second);
  r.peers->flush(0);
  CHECK(r.peers->size() == 2);
  CHECK(r.get(1, second, false) == nullptr);
  CHECK(p.daddr == be32{1});
  inet_peer* fresh = r.get(1, 2 * second);
  CHECK(fresh != &p);
  r.peers->put(p, 3 * second);
  CHECK(r.peers->size() == 2);
  CHECK(r.get(1, 3 * second, false) == fresh);
  r.peers->flush(1);
  CHECK(r.peers->size() == 1);
}

TEST_CASE("the interval between collections is jittered and shrinks as the tree fills", "[S134]") {
  rig<100> r;
  auto range = [&r] {
    u64 low = ~u64{0}, high = 0;
    for (int i = 0; i < 1000; ++i) {
      u64 const t = r.peers->next_interval();
      low = std::min(low, t);
      high = std::max(high, t);
    }
    return std::pair{low, high};
  };
  auto const [low, high] = range();
  CHECK(high <= 120 * second);
  CHECK(low >= 90 * second);
  CHECK(high - low > 20 * second);
  for (u32 i = 0; i < 50; ++i) r.get(i);
  auto const [half_low, half_high] = range();
  CHECK(half_high <= 65 * second);
  CHECK(half_low >= 48 * second);
  CHECK(half_high - half_low > 10 * second);
  for (u32 i = 0; i < 100; ++i) r.get(i);
  CHECK(range() == std::pair{10 * second, 10 * second});  // gc_mintime is a floor
}

TEST_CASE("a least time above its greatest gives way to it", "[S134]") {
  rig<100> r;
  u64 const start = 1000 * second;
  r.peers->limits = {
      .minttl = 900 * second, .maxttl = 300 * second, .gc_mintime = 50 * second, .gc_maxtime = 20 * second};
  for (u32 i = 0; i < 60; ++i) r.get(i, start);
  CHECK(r.peers->collect(start + 299 * second) == 0);
  CHECK(r.peers->next_interval() == 20 * second);
  CHECK(r.peers->collect(start + 300 * second) == 60);
}

TEST_CASE("a large collection goes on in the next poll, on the stack's timers", "[S134]") {
  struct context {
    rig<5000> r;
    timer_wheel<> timers;
    u64 now = 1000 * second;
    u32 runs = 0, most = 0;
  } c;
  c.timers.init(c.now);
  for (u32 i = 0; i < 5000; ++i) c.r.get(i, c.now);
  auto& timer = c.r.peers->periodic_timer;
  timer.function = [](void* ctx, timer_list& self) {
    auto& on = *static_cast<context*>(ctx);
    on.most = std::max(on.most, on.r.peers->collect(on.now));
    ++on.runs;
    on.timers.mod_timer(self, on.now + on.r.peers->next_interval());
  };
  u64 const late = c.now + 700 * second;  // all of them are due
  c.timers.mod_timer(timer, late);
  while (c.r.peers->size() != 0 && c.now < late + second) {
    c.now = *c.timers.next_expiry();
    c.timers.run(c.now, &c);
  }
  CHECK(c.r.peers->size() == 0);
  CHECK(c.most == c.r.peers->collect_batch);
  CHECK(c.runs == 5);
}
