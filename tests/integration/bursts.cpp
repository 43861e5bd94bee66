// SPDX-License-Identifier: BSL-1.0
// Datagrams that are sent and received as bursts, between two stacks: byte for byte and in order, whatever their
// lengths, checksums made by the sender, by the device, or not at all; and what a full buffer leaves behind.
#include <random>

#include "netstack/socket/udp_socket.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp, drivers::pipe, sizes<config{.skb_pool = 1024, .frame_size = 2048}>> {};
using rig = two_hosts<host>;
using net_t = net<host>;
using bytes = std::vector<u8>;

/// Collects what arrives, in order.
struct sink {
  std::vector<bytes> got;
  static void take(void* self, skb_list& list) {
    for (sk_buff& skb : list) static_cast<sink*>(self)->got.emplace_back(skb.data, skb.data + skb.len);
  }
};
/// Sends each burst back as it is.
struct echo {
  udp_socket<net_t>& s;
  static void take(void* self, skb_list& list) {
    while (!list.empty()) {
      auto const from = udp_source(*list.first);
      (void)static_cast<echo*>(self)->s.send(list, from);
    }
  }
};

std::vector<bytes> messages(std::mt19937& random, std::size_t n, std::size_t most = 1472) {
  std::vector<bytes> all(n);
  bool const alike = random() % 3 == 0;
  std::size_t const common = random() % (most + 1);
  for (auto& m : all) {
    m.resize(alike ? common : random() % (most + 1));
    for (auto& b : m) b = static_cast<u8>(random());
  }
  return all;
}
std::vector<iovec> pieces(std::vector<bytes>& all) {
  std::vector<iovec> parts;
  for (auto& m : all) parts.push_back({m.data(), m.size()});
  return parts;
}

struct world {
  rig t;
  udp_socket<net_t> from{t.a.init_net()}, to{t.b.init_net()};
  sink arrived;

  explicit world(u32 features = 0) {
    for (auto* dev : {t.dev_a, t.dev_b}) dev->features |= features, dev->hw_features |= features;
    REQUIRE(from.open());
    REQUIRE(to.open());
    REQUIRE(to.bind(rig::name({}, 7)));
    REQUIRE(from.connect(rig::name(rig::addr_b, 7)));
    to.on_datagrams(sink::take, &arrived);
    REQUIRE(send(t.a.init_net(), from.fd(), "x", 1));  // the next hop answers
    t.run();
    REQUIRE(std::exchange(arrived.got, {}).size() == 1);
  }
  void balanced() {
    CHECK(t.a.worker().pool.in_use() == 0);
    CHECK(t.b.worker().pool.in_use() == 0);
    CHECK(sk_wmem_alloc_get(*sockfs::table_of(t.a.init_net()).find(from.fd())->sk) == 0);
  }
};

}  // namespace

TEST_CASE("pieces of memory, each a datagram, arrive byte for byte", "[S101][S112]") {
  u32 const features = GENERATE(0u, netif_f::hw_csum | netif_f::rxcsum);
  world w{features};
  if (GENERATE(false, true)) REQUIRE(setsockopt(w.t.a.init_net(), w.from.fd(), sol::socket, so::no_check, 1));
  std::mt19937 random{features};
  for (int round = 0; round < 40; ++round) {
    auto all = messages(random, 1 + random() % 40);
    auto const parts = pieces(all);
    auto const taken = w.from.send(parts);
    REQUIRE(taken.value() == all.size());
    w.t.run();
    REQUIRE(std::exchange(w.arrived.got, {}) == all);
  }
  w.balanced();
}

TEST_CASE("packets that the application filled arrive byte for byte", "[S101][S112]") {
  u32 const features = GENERATE(0u, netif_f::hw_csum | netif_f::rxcsum);
  world w{features};
  std::mt19937 random{7 + features};
  for (int round = 0; round < 40; ++round) {
    auto const all = messages(random, 1 + random() % 40);
    skb_list burst;
    for (auto const& m : all) {
      auto skb = w.from.allocate();
      REQUIRE(skb);
      if (random() % 2)
        w.from.fill(**skb, m);
      else if (!m.empty())
        std::memcpy((*skb)->put(static_cast<u32>(m.size())), m.data(), m.size());
      burst.push_back(*skb->release());
    }
    REQUIRE(w.from.send(burst).value() == all.size());
    CHECK(burst.empty());
    w.t.run();
    REQUIRE(std::exchange(w.arrived.got, {}) == all);
  }
  w.balanced();
}

TEST_CASE("a burst that is sent back arrives as it left", "[S101]") {
  u32 const features = GENERATE(0u, netif_f::hw_csum | netif_f::rxcsum);
  world w{features};
  echo back{w.to};
  sink home;
  w.to.on_datagrams(echo::take, &back);
  w.from.on_datagrams(sink::take, &home);
  std::mt19937 random{11 + features};
  for (int round = 0; round < 40; ++round) {
    auto all = messages(random, 1 + random() % 40);
    REQUIRE(w.from.send(pieces(all)).value() == all.size());
    w.t.run();
    REQUIRE(std::exchange(home.got, {}) == all);
  }
  w.balanced();
}

TEST_CASE("what cannot be sent stays: too long, nowhere, no buffer, no packets") {
  world w;
  std::vector<bytes> all(6, bytes(10));
  auto parts = pieces(all);
  bytes long_one(65'508);
  parts[2] = {long_one.data(), long_one.size()};
  CHECK(w.from.send(parts).value() == 2);
  CHECK(w.from.send(std::span(parts).subspan(2)).error() == std::errc::message_size);
  parts[2] = {nullptr, 10};
  CHECK(w.from.send(parts).value() == 2);
  CHECK(w.from.send(std::span(parts).subspan(2)).error() == std::errc::bad_address);
  parts[2] = {nullptr, 0};
  CHECK(w.from.send(parts).value() == 6);
  CHECK(w.from.send(std::span<iovec const>{}).value() == 0);
  w.t.run();
  CHECK(w.arrived.got.size() == 10);

  // The send buffer: a packet's whole cost counts, so the last one may overshoot.
  auto& sk = *sockfs::table_of(w.t.a.init_net()).find(w.from.fd())->sk;
  REQUIRE(setsockopt(w.t.a.init_net(), w.from.fd(), sol::socket, so::sndbuf, 8000));
  std::vector<bytes> many(100, bytes(10));
  u32 const cost = w.t.a.worker().pool.frame_truesize(), fit = (sk.sk_sndbuf + cost - 1) / cost;
  CHECK(w.from.send(pieces(many)).value() == fit);
  CHECK(w.from.send(pieces(many)).error() == std::errc::resource_unavailable_try_again);
  w.t.run();
  w.balanced();

  // The pool.
  REQUIRE(setsockopt(w.t.a.init_net(), w.from.fd(), sol::socket, so::sndbuf, 1 << 20));
  skb_list taken;
  auto& pool = w.t.a.worker().pool;
  pool.alloc_bulk(pool.available() - 3, taken);
  CHECK(w.from.send(pieces(many)).value() == 3);
  CHECK(w.from.send(pieces(many)).error() == std::errc::no_buffer_space);
  pool.free_list(taken);
  w.t.run();
  w.from.close();
  CHECK(w.from.send(pieces(many)).error() == std::errc::bad_file_descriptor);
}
