// SPDX-License-Identifier: BSL-1.0
// /proc/net/arp: the same neighbours as the kernel's, line for line.
#include "netstack/ipv4/arp_proc.hpp"

#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "support/kernel_netns.hpp"
#include "support/privileges.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, drivers::pipe, sizes<config{.max_net = 2, .skb_pool = 256}>> {};

constexpr mac_addr mac_a{{0x02, 0xfc, 0x00, 0x00, 0x00, 0x05}}, mac_b{{0x02, 0x00, 0x5e, 0x10, 0x00, 0xab}};
constexpr u32 subnet = 0xc0000200;  // 192.0.2.0/24

/// A stack with one device that has an address.
struct neighbours {
  drivers::pipe_cable cable;  // outlives the devices on it
  host h;
  net_device* dev = nullptr;

  neighbours() {
    REQUIRE(h.boot({.seed = 1}));
    dev = add_device(net(), "eth7", 0);
  }
  netstack::net<host>& net() { return h.init_net(); }
  net_device* add_device(netstack::net<host>& in, char const* name, u8 end) {
    drivers::pipe::params p{};
    p.cables = &cable;
    p.wakeup = false;
    p.end = end;
    auto d = register_netdev<drivers::pipe>(in, name, p);
    REQUIRE(d);
    REQUIRE(dev_open(in, **d));
    REQUIRE(inet_addr_add(in, (*d)->ifindex, *ipv4_prefix::make(be32{subnet + 2}, 24)));
    return *d;
  }
  /// Somebody is asked for who does not answer.
  void ask(u32 addr) {
    auto* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(28);
    skb->dev = dev;
    skb->protocol = be16{eth_p::ip};
    skb->reset_network_header();
    auto* n = ip_neigh(net(), *dev, be32{addr});
    REQUIRE(n);
    (void)neigh_output(net(), *skb, *n);
  }
};

std::vector<std::string> sorted_lines(std::string const& text) {
  auto lines = lines_of(text);
  if (!lines.empty()) std::sort(lines.begin() + 1, lines.end());
  return lines;
}

}  // namespace

TEST_CASE("/proc/net/arp: permanent, known and unanswered neighbours as the kernel shows them", "[S127]") {
  neighbours n;
  REQUIRE(neigh_add(n.net(), n.dev->ifindex, be32{subnet + 1}, mac_a));
  REQUIRE(neigh_add(n.net(), n.dev->ifindex, be32{subnet + 109}, mac_b, nud::stale));
  n.ask(subnet + 77);
  auto const ours = sorted_lines(proc_text(n.net(), "net/arp"));
  CHECK(ours == std::vector<std::string>{
                    "IP address       HW type     Flags       HW address            Mask     Device",
                    "192.0.2.1        0x1         0x6         02:fc:00:00:00:05     *        eth7",
                    "192.0.2.109      0x1         0x2         02:00:5e:10:00:ab     *        eth7",
                    "192.0.2.77       0x1         0x0         00:00:00:00:00:00     *        eth7",
                });

  if (skip_without_root("makes a network namespace")) return;
  if (skip_without_file("/dev/net/tun")) return;
  std::string kernel;
  bool made = false;
  bool const allowed = support::in_new_netns([&] {
    support::kernel_tap tap("eth7", "192.0.2.2", "255.255.255.0");
    made = tap.ok && tap.add_arp("192.0.2.1", {0x02, 0xfc, 0, 0, 0, 0x05}, ATF_COM | ATF_PERM) &&
           tap.add_arp("192.0.2.109", {0x02, 0x00, 0x5e, 0x10, 0x00, 0xab}, ATF_COM) && tap.ask("192.0.2.77");
    kernel = host_text((std::string(support::own_proc_net) + "arp").c_str());
  });
  if (!allowed) return skip("needs network namespaces");
  REQUIRE(made);
  CHECK(ours == sorted_lines(kernel));
}

TEST_CASE("/proc/net/arp shows this namespace's neighbours, and none that need no asking", "[S127][S170]") {
  neighbours n;
  REQUIRE(neigh_add(n.net(), n.dev->ifindex, be32{subnet + 1}, mac_a));
  n.ask(subnet + 255);  // the broadcast address is known without a question
  n.ask(0xe0000001);    // and so is a group
  CHECK(lines_of(proc_text(n.net(), "net/arp")).size() == 2);
  auto other = n.h.copy_net_ns();
  REQUIRE(other);
  auto* dev = n.add_device(**other, "eth7", 1);
  REQUIRE(neigh_add(**other, dev->ifindex, be32{subnet + 3}, mac_b));
  auto const theirs = lines_of(proc_text(**other, "net/arp"));
  REQUIRE(theirs.size() == 2);
  CHECK(theirs[1].starts_with("192.0.2.3 "));
  auto const ours = lines_of(proc_text(n.net(), "net/arp"));
  REQUIRE(ours.size() == 2);
  CHECK(ours[1].starts_with("192.0.2.1 "));
  n.h.put_net(**other);
}

TEST_CASE("a reader of /proc/net/arp loses nobody while others come and go", "[S127][S183]") {
  neighbours n;
  for (u32 i = 10; i < 110; ++i) REQUIRE(neigh_add(n.net(), n.dev->ifindex, be32{subnet + i}, mac_a));
  auto file = proc_open(n.net(), "net/arp");
  REQUIRE(file);
  char piece[37];
  std::string text;
  for (int i = 0; i < 60; ++i) text.append(piece, file->read(n.net(), piece));
  for (u32 i = 10; i < 110; i += 2) REQUIRE(neigh_del(n.net(), n.dev->ifindex, be32{subnet + i}));
  for (u32 i = 120; i < 130; ++i) REQUIRE(neigh_add(n.net(), n.dev->ifindex, be32{subnet + i}, mac_b));
  while (std::size_t const got = file->read(n.net(), piece)) text.append(piece, got);
  for (u32 i = 11; i < 110; i += 2) {
    auto const line = "\n192.0.2." + std::to_string(i) + " ";
    CAPTURE(line);
    auto const at = text.find(line);
    CHECK(at != std::string::npos);
    CHECK(text.find(line, at + 1) == std::string::npos);
  }
}
