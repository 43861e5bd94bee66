// SPDX-License-Identifier: BSL-1.0
// After boot() nothing touches the heap: a million packets between two hosts, with sockets opened and closed,
// namespaces created and destroyed, neighbours that answer and neighbours that never do, errors of every layer,
// addresses, routes and settings changed, and /proc read, all in one mix.
#include <cstdlib>
#include <new>

#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/procfs.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/heap_counter.hpp"
#include "support/scale.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;

struct host : stack<host, ipv4, udp, drivers::pipe, sizes<config{.max_net = 3, .skb_pool = 1024, .max_neigh = 64}>> {};
using rig = test::two_hosts<host>;
using net_t = net<host>;

u64 packets(rig& t) {
  u64 n = 0;
  for (host* h : {&t.a, &t.b})
    h->for_each_net([&](net_t& net) {
      for (auto& dev : net.dev_base) n += dev.stats.rx_packets.read();
    });
  return n;
}

/// Everything below answers whether it went as it should, since an assertion would allocate.
struct traffic {
  rig& t;
  int client, server;
  char buffer[2048]{};
  u64 round = 0;
  u64 namespaces = 0, sockets = 0, refused = 0, unreachable = 0, malformed = 0;

  explicit traffic(rig& rig_) : t(rig_), client(rig::udp(rig_.a, 1000)), server(rig::udp(rig_.b, 7)) {}

  bool echo() {
    net_t &a = t.a.init_net(), &b = t.b.init_net();
    for (std::size_t i = 0; i < 32; ++i)
      if (!sendto(a, client, buffer, (round * 37 + i * 61) % 1473, 0, rig::name(rig::addr_b, 7))) return false;
    t.run();
    sockaddr_in from;
    while (auto const n = recvfrom(b, server, buffer, sizeof buffer, 0, from))
      if (!sendto(b, server, buffer, *n, 0, from)) return false;
    t.run();
    u32 back = 0;
    while (recv(a, client, buffer, sizeof buffer)) ++back;
    return back == 32;
  }
  /// Opened, used, closed with a datagram unread and an error unreported.
  bool short_lived_sockets() {
    net_t& a = t.a.init_net();
    for (u16 i = 0; i < 8; ++i) {
      auto const fd = socket(a, af::inet, sock_type::dgram | sock_type::nonblock);
      if (!fd || !connect(a, *fd, rig::name(rig::addr_b, static_cast<u16>(20000 + i)))) return false;
      if (!send(a, *fd, buffer, 100)) return false;
      t.run();
      auto const answer = recv(a, *fd, buffer, sizeof buffer);
      refused += !answer && answer.error() == std::errc::connection_refused;
      if (!close(a, *fd)) return false;
      ++sockets;
    }
    auto const listener = socket(a, af::inet, sock_type::dgram);
    if (!listener || !bind(a, *listener, rig::name({}, 30000))) return false;
    if (!sendto(t.b.init_net(), server, buffer, 64, 0, rig::name(rig::addr_a, 30000))) return false;
    t.run();
    ++sockets;
    return close(a, *listener).has_value();
  }
  bool namespace_lives_and_dies() {
    auto const ns = t.a.copy_net_ns();
    if (!ns) return false;
    net_t& net = **ns;
    ++namespaces;
    auto const one = socket(net, af::inet, sock_type::dgram | sock_type::nonblock);
    auto const two = socket(net, af::inet, sock_type::dgram | sock_type::nonblock);
    auto const there = rig::name(ipv4_addr("127.0.0.1"), 53);
    if (!dev_open(net, *net.loopback_dev) || !one || !two || !bind(net, *one, there)) return false;
    for (int i = 0; i < 4; ++i)
      if (!sendto(net, *two, buffer, 200, 0, there)) return false;
    t.run();
    auto const n = recv(net, *one, buffer, sizeof buffer);
    if (!sendto(net, *two, buffer, 200, 0, there)) return false;  // still in the backlog when the namespace goes
    t.a.put_net(net);
    t.run();
    return n && *n == 200;
  }
  /// Neighbours that do not exist: asked for, waited for, given up; and one that must be learnt anew.
  bool arp_churn() {
    net_t& a = t.a.init_net();
    for (u32 i = 0; i < 8; ++i)
      (void)sendto(a, client, buffer, 50, 0, rig::name(be32{0xc0000264 + (static_cast<u32>(round) * 8 + i) % 100}, 9));
    if (auto* n = ip_neigh(a, *t.dev_a, rig::addr_b))
      (void)neigh_update(a, *n, nullptr, nud::failed, neigh_update_f::admin);
    t.run_for(4'000'000'000);
    int error = 0;
    u32 len = sizeof error;
    (void)getsockopt(a, client, sol::socket, so::error, &error, &len);
    unreachable += ICMP_STATS(a).InMsgs.read() != 0;
    return true;
  }
  bool malformed_frames() {
    for (u32 i = 0; i < 16; ++i) {
      sk_buff* skb = t.a.worker().pool.alloc_skb();
      if (!skb) return false;
      u32 const len = 14 + i * 3;
      u8* p = skb->put(len);
      for (u32 j = 0; j < len; ++j) p[j] = static_cast<u8>(t.a.worker().random.next_u64());
      std::memcpy(p, t.dev_b->dev_addr.bytes.data(), 6);
      p[12] = 0x08, p[13] = i % 4 == 3 ? 0x06 : 0x00;
      if (len > 14) p[14] = 0x45;
      skb->dev = t.dev_a;
      (void)dev_queue_xmit(t.a.init_net(), *skb);
      ++malformed;
    }
    t.run();
    return true;
  }
  bool control() {
    net_t& a = t.a.init_net();
    auto const prefix = ipv4_cidr("203.0.113.5/24");
    if (!inet_addr_add(a, t.dev_a->ifindex, prefix)) return false;
    fib_config const route{.fc_dst_len = 16, .fc_dst = ipv4_addr("198.18.0.0"), .fc_gw4 = rig::addr_b};
    if (!ip_route_add(a, route) || !ip_route_del(a, route)) return false;
    if (!inet_addr_del(a, t.dev_a->ifindex, prefix)) return false;
    if (!sysctl_write(a, "net/ipv4/ip_default_ttl", round % 2 ? "63" : "64")) return false;
    bool all = true;
    for (auto const& entry : net_t::proc_entries)
      for (std::size_t at = 0;;) {
        auto const n = proc_read(a, entry.name, at, std::span(buffer));
        all &= n.has_value();
        if (!n || *n == 0) break;
        at += *n;
      }
    return all;
  }

  bool go(u64 goal) {
    bool ok = true;
    for (; packets(t) < goal && ok; ++round) {
      ok &= echo();
      if (round % 16 == 3) ok &= short_lived_sockets();
      if (round % 64 == 5) ok &= namespace_lives_and_dies();
      if (round % 128 == 7) ok &= arp_churn();
      if (round % 32 == 9) ok &= malformed_frames();
      if (round % 256 == 11) ok &= control();
      t.run_for(1'000'000);
    }
    return ok;
  }
};

}  // namespace

TEST_CASE("the counter sees malloc and its kin, and operator new", "[S33]") {
  test::heap_counter heap;
  u64 const before = heap.allocations();
  void* volatile p = std::malloc(10);
  u64 const by_malloc = heap.allocations();
  p = std::realloc(p, 100);
  u64 const by_realloc = heap.allocations();
  std::free(p);
  p = std::calloc(3, 4);
  u64 const by_calloc = heap.allocations();
  std::free(p);
  p = ::operator new(8);
  u64 const by_new = heap.allocations();
  ::operator delete(p);
  p = std::aligned_alloc(64, 128);
  u64 const by_aligned_alloc = heap.allocations();
  std::free(p);
  p = ::operator new (64, std::align_val_t{64});
  u64 const by_aligned_new = heap.allocations();
  ::operator delete (p, std::align_val_t{64});
  heap.pause();
  CHECK(before == 0);
  CHECK(by_malloc == 1);
  CHECK(by_realloc == 2);
  CHECK(by_calloc == 3);
  CHECK(by_new == 4);
  CHECK(by_aligned_alloc == 5);
  CHECK(by_aligned_new == 6);
}

TEST_CASE("a million packets, with everything that goes on beside them, without heap", "[S33]") {
  rig t;
  traffic traffic{t};
  test::heap_counter heap;
  u64 const goal = test::full_scale() ? 10'000'000 : 1'000'000;
  bool const ok = traffic.go(goal);
  heap.pause();
  CHECK(ok);
  INFO("the first allocation:\n" << heap.first());
  CHECK(heap.allocations() == 0);
  CHECK(packets(t) >= goal);
  CHECK(traffic.namespaces > 100);
  CHECK(traffic.sockets > 1000);
  CHECK(traffic.refused > 100);
  CHECK(traffic.unreachable > 10);
  CHECK(traffic.malformed > 1000);
  auto const& drops = t.b.init_net().drops;
  CHECK(drops[static_cast<std::size_t>(drop_reason::ip_csum)].read() > 100);
  CHECK(drops[static_cast<std::size_t>(drop_reason::no_socket)].read() > 1000);
  CHECK(t.a.init_net().drops[static_cast<std::size_t>(drop_reason::neigh_failed)].read() > 100);
}
