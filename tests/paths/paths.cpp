// SPDX-License-Identifier: BSL-1.0
// docs/rx-path.md and docs/tx-path.md against packets: every stop of a page was passed, in the page's order, in the
// file it names, and no stage that a packet passed is missing from the page.
#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/captures.hpp"
#include "support/path_page.hpp"
#include "support/two_hosts.hpp"

// Not in an anonymous namespace: dladdr knows only functions that the program exports.
namespace paths {
struct host : netstack::stack<host, netstack::ipv4, netstack::udp, netstack::drivers::pipe> {};

/// Looks at every frame and does nothing with it.
struct onlooker : netstack::module {
  template <class Net>
  static netstack::verdict see(Net&, netstack::sk_buff&) {
    return netstack::verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{
      netstack::packet_type<Net>{.type = netstack::eth_p::all, .func = see<Net>, .name = "onlooker"}};
};
struct watched : netstack::stack<watched, netstack::ipv4, netstack::udp, netstack::drivers::pipe, onlooker> {};
}  // namespace paths

namespace {

using namespace netstack;
using test::recorded_call;
using rig = test::two_hosts<paths::host>;

/// Both know each other's link address, and no timer is due.
void resolve(rig& t, int fd) {
  REQUIRE(rig::send(t.a, fd, "x", rig::addr_b, 9));
  t.run();
}

}  // namespace

TEST_CASE("the way of a received datagram is the page's", "[paths]") {
  rig t;
  int const a = rig::udp(t.a), b = rig::udp(t.b, 9), other = rig::udp(t.a);
  resolve(t, other);
  REQUIRE(rig::receive(t.b, b));
  route_genid_bump(t.b.worker().softnet);  // nothing is known of its way
  REQUIRE(rig::send(t.a, a, "hello", rig::addr_b, 9));
  auto const calls = test::record([&] {
    t.b.poll();
    char payload[8];
    CHECK(recv(t.b.init_net(), b, payload, sizeof payload));
  });
  test::check_path("rx-path.md", "A UDP datagram, from the driver to the application", calls);
  REQUIRE(rig::send(t.a, a, "again", rig::addr_b, 9));
  auto const again = test::record([&] { t.b.poll(); });
  test::check_path("rx-path.md", "The next datagram of the same flow", again);
}

TEST_CASE("the way of a datagram that others look at is the page's", "[paths]") {
  test::two_hosts<paths::watched> t;
  int const a = t.udp(t.a), b = t.udp(t.b, 9);
  REQUIRE(t.send(t.a, a, "x", rig::addr_b, 9));
  t.run();
  REQUIRE(t.receive(t.b, b));
  REQUIRE(t.send(t.a, a, "hello", rig::addr_b, 9));
  auto const calls = test::record([&] { t.b.poll(); });
  test::check_path("rx-path.md", "The same datagram while a tap listens", calls);
}

TEST_CASE("the way of an echo request and its reply is the page's", "[paths]") {
  rig t;
  resolve(t, rig::udp(t.a));
  auto echo = support::icmp_echo;
  t.dev_b->dev_addr = mac_addr{{0x02, 0x00, 0x5e, 0x10, 0x00, 0x02}};  // whom the capture is for
  sk_buff* skb = t.a.worker().pool.alloc_skb();
  std::memcpy(skb->put(static_cast<u32>(echo.size())), echo.data(), echo.size());
  skb->dev = t.dev_a;
  REQUIRE(dev_queue_xmit(t.a.init_net(), *skb));
  auto const calls = test::record([&] { t.b.poll(); });
  test::check_path("rx-path.md", "An ICMP echo request, until its reply leaves", calls);
}

TEST_CASE("the way of an ARP request and its reply is the page's", "[paths]") {
  rig t;
  REQUIRE(rig::send(t.a, rig::udp(t.a), "x", rig::addr_b, 9));
  auto const calls = test::record([&] { t.b.poll(); });
  test::check_path("rx-path.md", "An ARP request, until its reply leaves", calls);
}

TEST_CASE("the way of a forwarded datagram is the page's", "[paths]") {
  rig t;
  auto& router = t.b.init_net();
  REQUIRE(sysctl_write(router, "net/ipv4/conf/all/forwarding", "1"));
  REQUIRE(ip_route_add(t.a.init_net(), {.fc_dst_len = 24, .fc_dst = ipv4_addr("198.51.100.0"), .fc_gw4 = rig::addr_b}));
  // The router's other link, with a station on it.
  drivers::pipe_cable cable;
  paths::host station;
  REQUIRE(station.boot({.clock = t.clock.source(), .seed = 3}));
  auto const plug = [&](paths::host& host, u8 end, ipv4_prefix addr) {
    auto dev = register_netdev<drivers::pipe>(host.init_net(), "eth%d", {.cables = &cable, .end = end});
    REQUIRE(dev);
    REQUIRE(dev_open(host.init_net(), **dev));
    REQUIRE(inet_addr_add(host.init_net(), (*dev)->ifindex, addr));
  };
  plug(t.b, 0, ipv4_cidr("198.51.100.1/24"));
  plug(station, 1, ipv4_cidr("198.51.100.2/24"));
  int const fd = rig::udp(t.a);
  auto const send = [&] { REQUIRE(rig::send(t.a, fd, "x", ipv4_addr("198.51.100.2"), 9)); };
  send();
  while (t.run() + station.poll() != 0) {
  }
  send();
  auto const calls = test::record([&] { t.b.poll(); });
  test::check_path("rx-path.md", "A datagram for somebody else, until it leaves", calls);
  t.run();
  station.shutdown();
  t.b.shutdown();
}

TEST_CASE("the way of a datagram to this very host is the page's", "[paths]") {
  rig t;
  int const from = rig::udp(t.a), to = rig::udp(t.a, 9);
  REQUIRE(rig::send(t.a, from, "x", ipv4_addr("127.0.0.1"), 9));
  auto const calls = test::record([&] { t.a.poll(); });
  test::check_path("rx-path.md", "A UDP datagram of this very host, over lo", calls);
  CHECK(rig::receive(t.a, to));
}

TEST_CASE("the way of a sent datagram is the page's", "[paths]") {
  rig t;
  int const fd = rig::udp(t.a);
  resolve(t, fd);
  auto const calls = test::record([&] { CHECK(rig::send(t.a, fd, "hello", rig::addr_b, 10)); });
  test::check_path("tx-path.md", "A UDP datagram, from the application to the driver", calls);
  auto const again = test::record([&] { CHECK(rig::send(t.a, fd, "hello", rig::addr_b, 10)); });
  test::check_path("tx-path.md", "The next datagram of the same flow", again);
}

TEST_CASE("a page that lies is found out", "[paths]") {
  std::vector<recorded_call> calls;
  auto const call = [&](char const* name, char const* answer) {
    calls.push_back({name, std::string(answer) + " netstack::" + name + "(netstack::net&, netstack::sk_buff&)",
                     std::string("netstack::") + name});
  };
  call("netif_receive_skb", "netstack::verdict");
  call("ip_rcv", "netstack::verdict");
  call("ip_fast_csum", "unsigned int");
  std::vector<test::path_stop> const truth{{"netif_receive_skb", "core/dev_input.hpp"},
                                           {"ip_rcv", "ipv4/ip_input.hpp"}};
  CHECK(test::faults_of(truth, calls).empty());
  SECTION("a stop that no packet passes") {
    auto page = truth;
    page.push_back({"dev_queue_xmit", "core/dev_output.hpp"});
    CHECK(test::faults_of(page, calls).size() == 1);
  }
  SECTION("stops in the wrong order") {
    auto page = truth;
    std::swap(page[0], page[1]);
    CHECK(test::faults_of(page, calls).size() == 1);
  }
  SECTION("a stage that the page leaves out") {
    auto page = truth;
    page.pop_back();
    CHECK(test::faults_of(page, calls).size() == 1);
  }
  SECTION("a file that does not hold the function") {
    auto page = truth;
    page[1].file = "udp/udp_input.hpp";
    CHECK(test::faults_of(page, calls).size() == 1);
  }
  SECTION("an item that names no file") {
    auto const stops = test::stops_of(
        "## Way\n\n1. `ip_rcv` in [ipv4/ip_input.hpp](../include/netstack/ipv4/ip_input.hpp): x\n", "Way");
    REQUIRE(stops.size() == 1);
    CHECK(stops[0].name == "ip_rcv");
    CHECK(stops[0].file == "ipv4/ip_input.hpp");
    CHECK(test::stops_of("## Other\n\n1. whatever\n", "Way").empty());
  }
}
