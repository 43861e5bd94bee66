// SPDX-License-Identifier: BSL-1.0
// Lookup: the most specific socket wins; equal ones share by hash; each proto and namespace has its own.
#include "netstack/udp/udp_table.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp, sizes<config{.max_sock = 600, .max_handle = 600, .sock_hash = 16}>> {};

constexpr be32 peer_addr{0x7f000009}, other_addr{0x7f000002};

/// A socket with just this binding, put into the tables by hand.
struct binding {
  be32 rcv_saddr{};
  u16 port = 0;
  be32 daddr{};
  u16 dport = 0;
  u32 ifindex = 0;
  bool reuseport = false;
};
sock& hashed(inet_host<host>& h, binding const& b) {
  auto& sk = h.sk(h.udp());
  sk.sk_rcv_saddr = b.rcv_saddr;
  sk.sk_num = b.port;
  sk.sk_daddr = b.daddr;
  sk.sk_dport = be16{b.dport};
  sk.sk_bound_dev_if = b.ifindex;
  sk.sk_reuseport = b.reuseport;
  REQUIRE(udp_lib_hash(h.net(), sk));
  return sk;
}

udp_key const key{.saddr = peer_addr, .sport = be16{999}, .daddr = localhost, .hnum = 53, .dif = 1};

}  // namespace

TEST_CASE("the tables have a power of two of slots, mask and log to match", "[S149]") {
  using table = udp_table<256>;
  STATIC_REQUIRE(table::mask == 255);
  STATIC_REQUIRE(table::log == 8);
  STATIC_REQUIRE(std::extent_v<decltype(table::hash)> == 256);
  STATIC_REQUIRE(std::extent_v<decltype(table::hash2)> == 256);
}

TEST_CASE("the most specific socket wins, whatever the order of binding", "[S149]") {
  // Each is more specific than the one before it.
  std::vector<binding> const ranked{
      {.port = 53},
      {.port = 53, .ifindex = 1},
      {.rcv_saddr = localhost, .port = 53},
      {.rcv_saddr = localhost, .port = 53, .ifindex = 1},
      {.rcv_saddr = localhost, .port = 53, .daddr = peer_addr, .dport = 999},
      {.rcv_saddr = localhost, .port = 53, .daddr = peer_addr, .dport = 999, .ifindex = 1},
  };
  std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    inet_host<host> h;
    std::map<std::size_t, sock*> present;
    std::size_t best = 0;
    for (std::size_t i : order) {
      present[i] = &hashed(h, ranked[i]);
      best = std::max(best, i);
      CHECK(udp4_lib_lookup(h.net(), key) == present[best]);
    }
  }
}

TEST_CASE("what does not match a binding never gets there", "[S149][S105]") {
  inet_host<host> h;
  auto& net = h.net();
  CHECK(udp4_lib_lookup(net, key) == nullptr);
  hashed(h, {.rcv_saddr = other_addr, .port = 53});
  hashed(h, {.rcv_saddr = localhost, .port = 54});
  hashed(h, {.rcv_saddr = localhost, .port = 53, .daddr = other_addr, .dport = 999});
  hashed(h, {.rcv_saddr = localhost, .port = 53, .daddr = peer_addr, .dport = 998});
  hashed(h, {.rcv_saddr = localhost, .port = 53, .ifindex = 2});
  CHECK(udp4_lib_lookup(net, key) == nullptr);
  // The same port of another namespace is another port.
  auto made = h.host.copy_net_ns();
  REQUIRE(made);
  auto& theirs = **made;
  inet_host<host>::lo_up(theirs);
  int const fd = netstack::socket(theirs, af::inet, sock_type::dgram).value();
  REQUIRE(bind(theirs, fd, lo_addr(53)));
  CHECK(udp4_lib_lookup(net, key) == nullptr);
  CHECK(udp4_lib_lookup(theirs, key) == sockfs::table_of(theirs).find(fd)->sk);
}

TEST_CASE("of equal sockets the latest one bound gets the datagram", "[S149]") {
  inet_host<host> h;
  auto& net = h.net();
  int fds[3];
  for (int& fd : fds) {
    fd = h.udp();
    REQUIRE(setsockopt(net, fd, sol::socket, so::reuseaddr, 1));
    REQUIRE(bind(net, fd, lo_addr(5000)));
    int const sender = h.udp();
    REQUIRE(h.send_text(sender, "x", lo_addr(5000)));
    h.run();
    CHECK(h.recv_text(fd) == "x");
    REQUIRE(close(net, sender));
  }
}

TEST_CASE("a SO_REUSEPORT group shares flows evenly, each flow always with the same socket", "[S149]") {
  inet_host<host> h;
  auto& net = h.net();
  constexpr u32 members = 4;
  std::map<sock*, u32> hits;
  for (u32 i = 0; i < members; ++i) hits[&hashed(h, {.rcv_saddr = localhost, .port = 53, .reuseport = true})] = 0;
  constexpr u32 flows = 8000;
  for (u32 i = 0; i < flows; ++i) {
    udp_key k = key;
    k.saddr = be32{0x0a000000 + i * 7};
    k.sport = be16{static_cast<u16>(1024 + i)};
    sock* sk = udp4_lib_lookup(net, k);
    REQUIRE(sk != nullptr);
    ++hits[sk];
    CHECK(udp4_lib_lookup(net, k) == sk);
  }
  CHECK(hits.size() == members);
  for (auto const& [sk, n] : hits) {
    CHECK(n > flows / members * 9 / 10);
    CHECK(n < flows / members * 11 / 10);
  }
}

TEST_CASE("a socket is found between hash and unhash only, and by its new address after rehash", "[S98]") {
  inet_host<host> h;
  auto& net = h.net();
  sock& sk = hashed(h, {.port = 53});
  CHECK(udp4_lib_lookup(net, key) == &sk);
  sk.sk_rcv_saddr = other_addr;
  udp_v4_rehash(net, sk);
  CHECK(udp4_lib_lookup(net, key) == nullptr);
  udp_key there = key;
  there.daddr = other_addr;
  CHECK(udp4_lib_lookup(net, there) == &sk);
  udp_lib_unhash(net, sk);
  CHECK(udp4_lib_lookup(net, there) == nullptr);
  CHECK(sk.sk_num == 0);
  udp_lib_unhash(net, sk);  // once more is nothing
  udp_v4_rehash(net, sk);
  CHECK(udp4_lib_lookup(net, there) == nullptr);
}

TEST_CASE("a lookup among many sockets agrees with a walk over all of them", "[S149]") {
  inet_host<host> h;
  auto& net = h.net();
  std::mt19937 random(11);
  auto const pick = [&](u32 n) { return static_cast<u32>(random() % n); };
  be32 const addrs[] = {{}, localhost, other_addr, be32{0x7f000003}};
  std::vector<sock*> all;
  for (int i = 0; i < 500; ++i) {
    binding b{.rcv_saddr = addrs[pick(4)], .port = static_cast<u16>(1 + pick(40)), .ifindex = pick(3)};
    if (pick(2)) b.daddr = be32{0x7f000100 + pick(4)}, b.dport = static_cast<u16>(1 + pick(3));
    all.push_back(&hashed(h, b));
  }
  for (int i = 0; i < 5000; ++i) {
    udp_key const k{.saddr = be32{0x7f000100 + pick(4)},
                    .sport = be16{static_cast<u16>(1 + pick(3))},
                    .daddr = addrs[1 + pick(3)],
                    .hnum = static_cast<u16>(1 + pick(40)),
                    .dif = 1 + pick(2)};
    int best = 0;
    for (sock* sk : all) {
      bool const exact = sk->sk_rcv_saddr == k.daddr;
      int const score = detail::udp_score(*sk, &net, k, sk->sk_rcv_saddr);
      if ((exact || !sk->sk_rcv_saddr) && score > 0) best = std::max(best, score + (exact ? 100 : 0));
    }
    sock* const found = udp4_lib_lookup(net, k);
    int const found_score =
        found ? detail::udp_score(*found, &net, k, found->sk_rcv_saddr) + (found->sk_rcv_saddr == k.daddr ? 100 : 0)
              : 0;
    REQUIRE(found_score == best);
  }
}
