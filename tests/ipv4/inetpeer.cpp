// SPDX-License-Identifier: BSL-1.0
// Peers: the AVL tree's balance, identification sequences, token buckets, and collection under virtual time.
#include "netstack/ipv4/inetpeer.hpp"

#include <cmath>
#include <functional>
#include <memory>
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

TEST_CASE("the tree stays balanced over a million inserts in order", "[S132]") {
  constexpr u32 n = 60000;
  rig<n> r;
  u32 inserted = 0;
  for (u32 i = 0; inserted < 1'000'000; ++i, ++inserted)
    if (!r.get(i, second + i)) FAIL("full at " << i);
  CHECK(r.peers->size() == n);
  CHECK(r.peers->evictions == 1'000'000 - n);
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
  r.get(3, start)->refcnt = 1;
  CHECK(r.peers->collect(start + 500 * second) == 0);
  r.get(5, start + 500 * second);
  // The holder's entry stops the walk at it, so what stands behind waits with it.
  r.get(3, start + 500 * second);
  CHECK(r.peers->collect(start + 601 * second) == 8);
  CHECK(r.peers->size() == 2);
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
  for (u32 i : {0u, 2u, 3u, 9u}) r.get(i, 102 * second)->refcnt = 1;
  CHECK(r.get(10, 103 * second) == nullptr);
}

TEST_CASE("the interval between collections is jittered and shrinks as the tree fills", "[S134]") {
  rig<100> r;
  u64 low = ~u64{0}, high = 0;
  for (int i = 0; i < 1000; ++i) {
    u64 const t = r.peers->next_interval();
    low = std::min(low, t);
    high = std::max(high, t);
  }
  CHECK(high <= 120 * second);
  CHECK(low >= 90 * second);
  CHECK(high - low > 20 * second);
  for (u32 i = 0; i < 100; ++i) r.get(i);
  CHECK(r.peers->next_interval() <= 10 * second);
}
