// SPDX-License-Identifier: BSL-1.0
// The boot of a full composition, in its golden order; a stack without any device but lo; several stacks, of one
// composition and of two, in one process.
#include <string>
#include <vector>

#include "netstack/drivers/pipe.hpp"
#include "netstack/netstack.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;

struct full : stack<full, presets::full, drivers::pipe> {};
/// No driver in the list: lo is always there.
struct lonely : stack<lonely, presets::host, sizes<config{.max_net = 2, .skb_pool = 128}>> {};
/// Listed the other way round, with other sizes: another composition.
struct other : stack<other, drivers::pipe, ipv4, udp, sizes<config{.skb_pool = 256, .cb = 64}>> {};

using pair = test::two_hosts<full>;

}  // namespace

TEST_CASE("the full composition boots in Linux's order", "[S4][S22][S58]") {
  full h;
  REQUIRE(h.boot());
  std::vector<std::string> trace;
  for (auto const& e : h.boot_trace()) {
    CHECK(e.error == 0);
    trace.push_back(std::string(e.name) + " " + e.what);
  }
  CHECK(trace == std::vector<std::string>{
                     // net_ns_init makes init_net: subsystems, then lo, then what cleans up behind devices
                     "ip_rt_ops pernet init", "tcp_statistics pernet init", "ip_statistics pernet init",
                     "net_statistics pernet init", "icmp_statistics pernet init", "icmpmsg_statistics pernet init",
                     "icmp_sk_ops pernet init", "tcp_sk_ops pernet init", "udp_sysctl_ops pernet init",
                     "loopback_net_ops pernet init", "net_ns_init init",
                     // sock_init
                     "net_sysctl_init init", "skb_init init", "init_inodecache init", "register_filesystem init",
                     "kern_mount init",
                     // the device layer, then the protocols
                     "net_dev_init init", "arp_init init", "ip_init init", "tcp_init init", "udp_init init"});
  CHECK(h.init_net().loopback_dev->ifindex == 1);
}

TEST_CASE("without a device, UDP works between sockets of this host", "[S5][S68]") {
  lonely h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  REQUIRE(dev_open(net, *net.loopback_dev));
  auto const server = socket(net, af::inet, sock_type::dgram);
  auto const client = socket(net, af::inet, sock_type::dgram);
  auto const here = inet_addr_of(ipv4_addr("127.0.0.1"), 7);
  REQUIRE(server);
  REQUIRE(client);
  REQUIRE(bind(net, *server, here));
  for (std::size_t size : {0u, 1u, 17u, 1472u}) {
    std::string const text(size, static_cast<char>('a' + size % 26));
    REQUIRE(sendto(net, *client, text.data(), size, 0, here));
    std::string buffer(2048, '\0');
    sockaddr_in from;
    auto const n = recvfrom(net, *server, buffer.data(), buffer.size(), 0, from);  // drives the stack
    REQUIRE(n);
    CHECK(buffer.substr(0, *n) == text);
    REQUIRE(sendto(net, *server, buffer.data(), *n, 0, from));
    auto const back = recv(net, *client, buffer.data(), buffer.size());
    REQUIRE(back);
    CHECK(buffer.substr(0, *back) == text);
  }
  CHECK(net.loopback_dev->stats.rx_packets.read() == 8);
  REQUIRE(close(net, *client));
  REQUIRE(close(net, *server));
  CHECK(h.worker().pool.in_use() == 0);
}

TEST_CASE("two instances of one composition, and one of another, in one process", "[S178]") {
  pair first, second;
  test::two_hosts<other, full> mixed;
  int const client1 = pair::udp(first.a), server1 = pair::udp(first.b, 7);
  int const client2 = pair::udp(second.a), server2 = pair::udp(second.b, 7);
  int const client3 = pair::udp(mixed.a), server3 = pair::udp(mixed.b, 7);
  for (int i = 0; i < 100; ++i) {
    REQUIRE(pair::send(first.a, client1, "first", pair::addr_b, 7));
    REQUIRE(pair::send(second.a, client2, "second", pair::addr_b, 7));
    REQUIRE(pair::send(mixed.a, client3, "mixed", pair::addr_b, 7));
    first.run();
    second.run();
    mixed.run();
    CHECK(*pair::receive(first.b, server1) == "first");
    CHECK(*pair::receive(second.b, server2) == "second");
    CHECK(*pair::receive(mixed.b, server3) == "mixed");
    CHECK(!pair::receive(first.b, server1));
  }
  first.a.shutdown();  // one goes, the others go on
  first.b.shutdown();
  REQUIRE(pair::send(second.a, client2, "still", pair::addr_b, 7));
  second.run();
  CHECK(*pair::receive(second.b, server2) == "still");
  CHECK(UDP_STATS(second.b.init_net()).InDatagrams.read() == 101);
  CHECK(UDP_STATS(mixed.b.init_net()).InDatagrams.read() == 100);
}
