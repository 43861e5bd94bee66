// SPDX-License-Identifier: BSL-1.0
// IPv4 and ICMP with the Linux kernel as the peer, over TAP, in a network namespace of the test's own: ping of many
// sizes, a flood that loses nothing, errors as a traceroute sees them, options, and hostile frames.
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "netstack/drivers/tap.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/netns.hpp"

namespace {

using namespace netstack;
using netstack::test::netns;

struct host : stack<host, ipv4, drivers::tap> {};

/// Linux is 192.0.2.1 and the stack 192.0.2.2, which a thread of its own drives while this lives.
struct tap_pair {
  netns ns;
  host h;
  net_device* dev = nullptr;
  std::atomic<bool> stop{false};
  std::thread driver;

  tap_pair() {
    REQUIRE(h.boot());
    auto& net = h.init_net();
    REQUIRE(dev_open(net, *net.loopback_dev));
    auto tap = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true});
    REQUIRE(tap);
    dev = *tap;
    REQUIRE(dev_open(net, *dev));
    REQUIRE(inet_addr_add(net, dev->ifindex, ipv4_cidr("192.0.2.2/24")));
    ns.run("ip addr add 192.0.2.1/24 dev nst0");
  }
  ~tap_pair() { join(); }
  /// From here on the stack belongs to the driving thread, until join().
  void run() {
    stop = false;
    driver = std::thread([this] {
      while (!stop.load(std::memory_order_relaxed)) {
        h.worker().wait(2'000'000);
        while (h.poll()) {
        }
      }
    });
  }
  void join() {
    stop = true;
    if (driver.joinable()) driver.join();
  }
  [[nodiscard]] u64 drops(drop_reason why) { return h.init_net().drops[static_cast<std::size_t>(why)].read(); }
  [[nodiscard]] icmpmsg_mib& messages() { return ipv4_net(h.init_net()).mib.icmpmsg_statistics; }
};

bool says(std::string const& text, char const* what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("Linux pings the stack with every size that fits a frame", "[S116][S156]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  t.run();
  for (int const size : {0, 1, 7, 8, 15, 16, 17, 18, 56, 64, 255, 256, 1000, 1459, 1460, 1470, 1471, 1472}) {
    auto const text = t.ns.run("ping -n -c 3 -i 0.02 -W 2 -M do -s " + std::to_string(size) + " 192.0.2.2");
    INFO(text);
    CHECK(says(text, "3 received, 0% packet loss"));
    CHECK_FALSE(says(text, "wrong data"));
  }
  t.join();
  CHECK(t.messages().InType[8].read() == 54);
  CHECK(t.messages().OutType[0].read() == 54);
  CHECK(t.h.worker().pool.in_use() == 0);
}

TEST_CASE("a flood of 10,000 pings loses nothing", "[S116]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  t.run();
  auto const text = t.ns.run("ping -n -q -f -c 10000 192.0.2.2");
  t.join();
  INFO(text);
  CHECK(says(text, "10000 packets transmitted, 10000 received, 0% packet loss"));
  CHECK(t.h.worker().pool.in_use() == 0);
}

TEST_CASE("what a traceroute sees: expired, no way on, and no such protocol", "[S123][S137][S160]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  REQUIRE(sysctl_write(t.h.init_net(), "net/ipv4/ip_forward", "1"));
  REQUIRE(ip_route_add(t.h.init_net(),
                       {.fc_dst_len = 24, .fc_dst = ipv4_addr("198.51.100.0"), .fc_gw4 = ipv4_addr("192.0.2.1")}));
  t.ns.run("ip route add default via 192.0.2.2");
  t.run();
  auto const expired = t.ns.attempt("ping -n -c 1 -W 2 -t 1 198.51.100.1").text;
  INFO(expired);
  CHECK(says(expired, "From 192.0.2.2 icmp_seq=1 Time to live exceeded"));
  auto const unreachable = t.ns.attempt("ping -n -c 1 -W 2 203.0.113.1").text;
  INFO(unreachable);
  CHECK(says(unreachable, "From 192.0.2.2 icmp_seq=1 Destination Net Unreachable"));
  // A protocol that nobody composed: the kernel's socket is told (ENOPROTOOPT).
  auto const protocol = t.ns.run(
      "/usr/bin/python3 -c 'import socket, time\n"
      "s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 200)\n"
      "s.setsockopt(socket.IPPROTO_IP, 11, 1)\n"  // IP_RECVERR
      "s.connect((\"192.0.2.2\", 0)); s.send(b\"x\" * 40); time.sleep(0.3)\n"
      "print(\"errno\", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))'");
  INFO(protocol);
  CHECK(says(protocol, "errno 92"));
  t.join();
  CHECK(t.drops(drop_reason::ip_ttl) == 1);
  CHECK(t.drops(drop_reason::ip_noroute_in) == 1);
  CHECK(t.drops(drop_reason::ip_noproto) >= 1);
}

TEST_CASE("record route and timestamps, read by Linux", "[S136]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  t.run();
  auto const route = t.ns.run("ping -n -c 1 -W 2 -R 192.0.2.2");
  INFO(route);
  CHECK(says(route, "1 received"));
  CHECK(says(route, "\t192.0.2.2\n"));
  auto const stamps = t.ns.run("ping -n -c 1 -W 2 -T tsandaddr 192.0.2.2");
  INFO(stamps);
  CHECK(says(stamps, "1 received"));
  CHECK(says(stamps, "192.0.2.2"));
}

TEST_CASE("addresses come and go while Linux pings them", "[S130]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  auto& net = t.h.init_net();
  for (u32 i = 10; i < 75; ++i)
    REQUIRE(inet_addr_add(net, t.dev->ifindex, *ipv4_prefix::make(be32{0xc0000200 + i}, 24)));
  t.run();
  auto const all =
      t.ns.run("for i in $(seq 10 74); do ping -n -q -c 1 -W 2 192.0.2.$i >/dev/null || echo lost $i; done");
  INFO(all);
  CHECK_FALSE(says(all, "lost"));
  t.join();
  for (u32 i = 10; i < 75; ++i)
    REQUIRE(inet_addr_del(net, t.dev->ifindex, *ipv4_prefix::make(be32{0xc0000200 + i}, 24)));
  t.run();
  CHECK(says(t.ns.attempt("ping -n -q -c 1 -W 1 192.0.2.42").text, "0 received"));
  CHECK(says(t.ns.run("ping -n -q -c 1 -W 2 192.0.2.2"), "1 received"));
}

TEST_CASE("fragments from Linux are counted, and harm nothing", "[Ripple20]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  tap_pair t;
  t.run();
  CHECK(says(t.ns.attempt("ping -n -c 2 -i 0.1 -W 1 -s 4000 -M dont 192.0.2.2").text, "0 received"));
  CHECK(says(t.ns.run("ping -n -c 1 -W 2 192.0.2.2"), "1 received"));
  t.join();
  CHECK(t.drops(drop_reason::ip_frag) == 6);
}

TEST_CASE("hostile frames by scapy, and Linux still gets its answer",
          "[AMNESIA:33][Ripple20][URGENT/11][INFRA:HALT][LAND]") {
  if (netstack::test::skip_without_root("makes a network namespace and a TAP device")) return;
  if (std::system("/usr/bin/python3 -c 'import scapy' 2>/dev/null") != 0)
    return netstack::test::skip("needs python3-scapy");
  char const* source = std::getenv("NETSTACK_SOURCE");  // CTest says where the sources lie
  std::string const script = std::string(source ? source : ".") + "/tests/interop/hostile_ip.py";
  tap_pair t;
  t.run();
  auto const text = t.ns.run("/usr/bin/python3 '" + script + "' nst0");
  INFO(text);
  CHECK(says(text, "sent "));
  for (char const* size : {"0", "56", "1472"})
    CHECK(says(t.ns.run(std::string("ping -n -c 2 -i 0.1 -W 2 -s ") + size + " 192.0.2.2"),
               "2 received, 0% packet loss"));
  t.join();
  for (auto const reason :
       {drop_reason::ip_hdr, drop_reason::ip_csum, drop_reason::ip_truncated, drop_reason::ip_inhdr,
        drop_reason::ip_srr, drop_reason::ip_local_source, drop_reason::ip_localnet, drop_reason::ip_frag,
        drop_reason::icmp_hdr, drop_reason::icmp_csum, drop_reason::icmp_type}) {
    INFO("reason " << static_cast<int>(reason));
    CHECK(t.drops(reason) > 0);
  }
  CHECK(t.h.worker().pool.in_use() == 0);
}
