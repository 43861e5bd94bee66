// SPDX-License-Identifier: BSL-1.0
// ARP's settings, changed by path and seen in what ARP does.
#include "netstack/ipv4/arp_sysctl.hpp"

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/two_stacks.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, drivers::pipe, sizes<config{.max_net = 2, .skb_pool = 256, .max_neigh = 32}>> {};

constexpr u64 ms = 1'000'000;
constexpr u32 subnet = 0xc0000200;  // 192.0.2.0/24

struct wire_pair : two_stacks<host> {
  wire_pair() {
    REQUIRE(inet_addr_add(a.init_net(), dev_a->ifindex, *ipv4_prefix::make(be32{subnet + 1}, 24)));
    REQUIRE(inet_addr_add(b.init_net(), dev_b->ifindex, *ipv4_prefix::make(be32{subnet + 2}, 24)));
    run();
  }
  auto& net() { return a.init_net(); }
  void set(char const* name, char const* value) {
    REQUIRE(sysctl_write(net(), std::string("net/ipv4/neigh/eth0/") + name, value));
  }
  neighbour& send(u32 addr) {
    auto* n = ip_neigh(net(), *dev_a, be32{addr});
    REQUIRE(n);
    for_packet(*n);
    return *n;
  }
  void for_packet(neighbour& n) {
    auto* skb = a.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(28);
    skb->dev = dev_a;
    skb->protocol = be16{eth_p::ip};
    skb->reset_network_header();
    (void)neigh_output(net(), *skb, n);
    run();
  }
  [[nodiscard]] u64 frames() const { return dev_b->stats.rx_packets.read(); }
};

}  // namespace

TEST_CASE("retransmission time and number of requests are the device's settings", "[S128]") {
  wire_pair l;
  SECTION("as they are: three requests, a second apart") {
    u64 const before = l.frames();
    auto& n = l.send(subnet + 77);
    CHECK(l.frames() - before == 1);
    l.run_for(990 * ms);
    CHECK(l.frames() - before == 1);
    l.run_for(2000 * ms);
    CHECK(l.frames() - before == 3);
    CHECK(n.nud_state == nud::incomplete);
    l.run_for(20 * ms);
    CHECK(n.nud_state == nud::failed);
  }
  SECTION("changed: five requests, 100 ms apart") {
    l.set("retrans_time_ms", "100");
    l.set("mcast_solicit", "5");
    u64 const before = l.frames();
    auto& n = l.send(subnet + 77);
    l.run_for(450 * ms);
    CHECK(l.frames() - before == 5);
    CHECK(n.nud_state == nud::incomplete);
    l.run_for(100 * ms);
    CHECK(l.frames() - before == 5);
    CHECK(n.nud_state == nud::failed);
  }
}

TEST_CASE("how long a neighbour is believed, doubted and probed are the device's settings", "[S128]") {
  wire_pair l;
  l.set("base_reachable_time_ms", "2000");
  l.set("delay_first_probe_time", "1");
  l.set("retrans_time", "20");  // in hundredths of a second
  l.set("ucast_solicit", "2");
  auto& n = l.send(subnet + 2);
  CHECK(n.nud_state == nud::reachable);
  auto const& parms = in_dev_get(*l.dev_a)->arp_parms;
  CHECK((parms.reachable_time >= 1000 * ms && parms.reachable_time < 3000 * ms));
  l.run_for(parms.reachable_time + 10 * ms);
  CHECK(n.nud_state == nud::stale);
  // The peer falls silent; the next packet is sent all the same, and doubt begins.
  REQUIRE(inet_addr_del(l.b.init_net(), l.dev_b->ifindex, *ipv4_prefix::make(be32{subnet + 2}, 24)));
  l.for_packet(n);
  CHECK(n.nud_state == nud::delay);
  l.run_for(990 * ms);
  CHECK(n.nud_state == nud::delay);
  l.run_for(20 * ms);
  CHECK(n.nud_state == nud::probe);
  l.run_for(410 * ms);
  CHECK(n.nud_state == nud::failed);
}

TEST_CASE("how much waits for an answer is the device's setting", "[S128]") {
  wire_pair l;
  auto& n = l.send(subnet + 77);
  for (int i = 0; i < 9; ++i) l.for_packet(n);
  CHECK(n.arp_queue.qlen() == 10);
  u32 const one = n.arp_queue_len_bytes / 10;
  l.set("unres_qlen_bytes", std::to_string(3 * one).c_str());
  l.for_packet(n);
  CHECK(n.arp_queue.qlen() <= 3);
  CHECK(n.arp_queue_len_bytes <= 3 * one);
}

TEST_CASE("the cache's thresholds are settings", "[S128]") {
  wire_pair l;
  auto const set = [&](char const* path, char const* value) { REQUIRE(sysctl_write(l.net(), path, value)); };
  set("net/ipv4/neigh/default/gc_thresh3", "4");
  set("net/ipv4/neigh/default/gc_thresh2", "4");
  auto& cache = arp_cache(l.net());
  REQUIRE(cache.gc_thresh3 == 4);
  for (u32 i = 10; i < 14; ++i)
    REQUIRE(neigh_add(l.net(), l.dev_a->ifindex, be32{subnet + i}, mac_addr{{2, 0, 0, 0, 0, 1}}));
  CHECK(cache.entries == 4);
  CHECK(neigh_add(l.net(), l.dev_a->ifindex, be32{subnet + 20}, mac_addr{{2, 0, 0, 0, 0, 1}}).error() ==
        std::errc::no_buffer_space);
  set("net/ipv4/neigh/default/gc_thresh3", "5");
  CHECK(neigh_add(l.net(), l.dev_a->ifindex, be32{subnet + 20}, mac_addr{{2, 0, 0, 0, 0, 1}}).has_value());
}

TEST_CASE("default is what a new device starts with; there is no all", "[S128]") {
  drivers::pipe_cable cable;
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  REQUIRE(sysctl_write(net, "net/ipv4/neigh/default/mcast_solicit", "7"));
  drivers::pipe::params p{};
  p.cables = &cable;
  p.wakeup = false;
  auto dev = register_netdev<drivers::pipe>(net, "eth0", p);
  REQUIRE(dev);
  char text[16];
  auto const n = sysctl_read(net, "net/ipv4/neigh/eth0/mcast_solicit", text);
  REQUIRE(n);
  CHECK(std::string_view(text, *n) == "7\n");
  CHECK(sysctl_read(net, "net/ipv4/neigh/all/mcast_solicit", text).error() == std::errc::no_such_file_or_directory);
  CHECK(sysctl_write(net, "net/ipv4/neigh/eth0/base_reachable_time", "0").error() == std::errc::invalid_argument);
  auto other = h.copy_net_ns();
  REQUIRE(other);
  CHECK(sysctl_read(**other, "net/ipv4/neigh/default/gc_thresh1", text).error() ==
        std::errc::no_such_file_or_directory);
  h.put_net(**other);
}
