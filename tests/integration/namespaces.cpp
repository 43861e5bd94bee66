// SPDX-License-Identifier: BSL-1.0
// Namespaces with everything in them: isolated while they live, and gone without a trace although packets wait in
// every queue and timers are pending; their devices return to init_net and work there.
#include "netstack/drivers/pipe.hpp"
#include "netstack/presets.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/balance.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;

struct host : stack<host, presets::host, drivers::pipe, sizes<config{.max_net = 4, .skb_pool = 2048}>> {};
using rig = test::two_hosts<host>;
using net_t = net<host>;

int udp_in(net_t& net, u16 port = 0) {
  auto const fd = socket(net, af::inet, sock_type::dgram | sock_type::nonblock);
  REQUIRE(fd);
  if (port != 0) REQUIRE(bind(net, *fd, rig::name({}, port)));
  return *fd;
}
result<std::size_t> send_in(net_t& net, int fd, be32 to, u16 port, std::size_t size = 100) {
  static char const payload[1472]{};
  return sendto(net, fd, payload, size, 0, rig::name(to, port));
}

/// A namespace of t.a, with lo up, and t.a's wire in it.
net_t& move_wire_to_new_namespace(rig& t) {
  auto const ns = t.a.copy_net_ns();
  REQUIRE(ns);
  net_t& net = **ns;
  REQUIRE(dev_open(net, *net.loopback_dev));
  REQUIRE(dev_change_net_namespace(t.a.init_net(), *t.dev_a, net, "eth%d"));
  REQUIRE(dev_open(net, *t.dev_a));
  REQUIRE(inet_addr_add(net, t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
  t.run();
  return net;
}

/// Packets in every place where packets wait, and timers of several kinds.
void fill_every_queue(rig& t, net_t& net) {
  int const fd = udp_in(net, 1000), reader = udp_in(net, 2000);
  // A socket's receive queue: datagrams that nobody reads.
  for (int i = 0; i < 5; ++i) REQUIRE(send_in(net, fd, ipv4_addr("127.0.0.1"), 2000));
  t.run();
  // A cork: a datagram that is not complete.
  char const part[64]{};
  int const corked = udp_in(net);
  REQUIRE(sendto(net, corked, part, sizeof part, msg::more, rig::name(rig::addr_b, 9)));
  // An error queue: a port that nobody listens to.
  int const curious = udp_in(net), on = 1;
  REQUIRE(setsockopt(net, curious, sol::ip, ip_opt::recverr, on));
  REQUIRE(send_in(net, curious, rig::addr_b, 12345));
  t.run();
  // What waits for neighbours that do not answer; their timers.
  for (u32 i = 10; i < 14; ++i) REQUIRE(send_in(net, fd, be32{0xc0000200 + i}, 9));
  t.run_for(500'000'000);
  // The driver's ring, and behind it the device's queue.
  int sender = fd;
  for (u32 i = 0; i < drivers::pipe_cable::ring_size + 20; ++i) {
    if (i % 32 == 0) sender = udp_in(net);  // each has a send buffer of its own
    REQUIRE(send_in(net, sender, rig::addr_b, 7, 10));
  }
  // The backlog.
  for (int i = 0; i < 5; ++i) REQUIRE(send_in(net, fd, ipv4_addr("127.0.0.1"), 2000));
  // The wire: frames of the peer's that have not been taken in.
  int const peer = rig::udp(t.b);
  for (int i = 0; i < 5; ++i) REQUIRE(rig::send(t.b, peer, "late", rig::addr_a, 2000));
  REQUIRE(close(t.b.init_net(), peer));

  auto& worker = net.worker();
  auto& table = sockfs::table_of(net);
  CHECK(table.find(reader)->sk->sk_receive_queue.qlen() == 5);
  CHECK(table.find(curious)->sk->sk_rare->error_queue.qlen() == 1);
  CHECK(worker.softnet.input_pkt_queue.qlen() == 5);
  CHECK(t.dev_a->tx[0].qdisc.qlen() >= 20);
  CHECK(worker.pool.in_use() > drivers::pipe_cable::ring_size + 30);
  u32 waiting = 0;
  for (auto const& n : arp_cache(net).lru) waiting += n.nud_state == nud::incomplete;
  CHECK(waiting == 4);
}

}  // namespace

TEST_CASE("a namespace with packets in every queue and timers pending goes without a trace", "[S18][S20]") {
  rig t;
  dev_close(t.a.init_net(), *t.dev_a);
  REQUIRE(inet_addr_del(t.a.init_net(), t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
  t.run();
  auto const before = test::balance_of(t.a);
  for (int life = 0; life < 20; ++life) {
    net_t& net = move_wire_to_new_namespace(t);
    fill_every_queue(t, net);
    // poll() would work off the backlog before it takes the namespace down; half of them go at once.
    life % 2 ? t.a.put_net(net) : t.a.cleanup_net(net.index);
    t.a.poll();
    CHECK(!net.alive);
    auto const after = test::balance_of(t.a);
    CHECK(after == before);
    t.run_for(60'000'000'000);  // a timer that had been forgotten would fire now
    CHECK(test::balance_of(t.b).frames == 0);
    if (after != before) break;
  }
}

TEST_CASE("a device comes back from a namespace that goes, with another number if its own is taken, and works",
          "[S20][S82]") {
  rig t;
  net_t& net = move_wire_to_new_namespace(t);
  CHECK(t.a.init_net().dev_get_by_name("eth0") == nullptr);
  int const fd = udp_in(net), server = rig::udp(t.b, 7);
  REQUIRE(send_in(net, fd, rig::addr_b, 7));
  t.run();
  REQUIRE(rig::receive(t.b, server));
  t.a.put_net(net);
  t.run();
  net_t& home = t.a.init_net();
  CHECK(home.dev_get_by_name(t.dev_a->ifname()) == t.dev_a);
  CHECK(!t.dev_a->running());
  CHECK(home.dev_get_by_index(t.dev_a->ifindex) == t.dev_a);
  REQUIRE(dev_open(home, *t.dev_a));
  REQUIRE(inet_addr_add(home, t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
  t.run();
  int const here = rig::udp(t.a);
  REQUIRE(rig::send(t.a, here, "home", rig::addr_b, 7));
  t.run();
  auto const text = rig::receive(t.b, server);
  REQUIRE(text);
  CHECK(*text == "home");
}

TEST_CASE("ports, routes, devices, counters and settings of two namespaces are their own", "[S12][S31]") {
  rig t;
  auto const ns = t.a.copy_net_ns();
  REQUIRE(ns);
  net_t &one = t.a.init_net(), &two = **ns;
  REQUIRE(dev_open(two, *two.loopback_dev));
  int const a = udp_in(one, 53), b = udp_in(two, 53);  // the same port, twice
  CHECK(bind(one, udp_in(one), rig::name({}, 53)).error() == std::errc::address_in_use);
  int const from = udp_in(two);
  u64 const seen = IP_STATS(one).InReceives.read();
  REQUIRE(send_in(two, from, ipv4_addr("127.0.0.1"), 53));
  t.run();
  char text[128];
  CHECK(!recv(one, a, text, sizeof text));
  CHECK(recv(two, b, text, sizeof text));
  CHECK(IP_STATS(one).InReceives.read() == seen);
  CHECK(IP_STATS(two).InReceives.read() == 1);
  CHECK(UDP_STATS(two).InDatagrams.read() == 1);
  // Only init_net has the wire and the route that came with its address.
  CHECK(send_in(two, from, rig::addr_b, 53).error() == std::errc::network_unreachable);
  CHECK(send_in(one, a, rig::addr_b, 53));
  CHECK(two.dev_get_by_name("eth0") == nullptr);
  REQUIRE(sysctl_write(one, "net/ipv4/ip_default_ttl", "7"));
  CHECK(ipv4_net(one).sysctl_ip_default_ttl == 7);
  CHECK(ipv4_net(two).sysctl_ip_default_ttl == 64);
  auto const fresh = t.a.copy_net_ns();  // the composition's defaults, not init_net's values
  REQUIRE(fresh);
  CHECK(ipv4_net(**fresh).sysctl_ip_default_ttl == 64);
  t.a.put_net(two);
  t.run();
  CHECK(recv(one, b, text, sizeof text).error() == std::errc::bad_file_descriptor);
  CHECK(send_in(one, a, rig::addr_b, 53));
}
