// SPDX-License-Identifier: BSL-1.0
// IPv4 in a namespace that comes or goes: statistics, control sockets in every worker, and what a failure undoes.
#include "netstack/ipv4/inet_init.hpp"

#include <algorithm>
#include <string>

#include "netstack/stack/procfs.hpp"
#include "support/ip_rig.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct pair_host : stack<pair_host, ipv4, rig_dev, sizes<config{.workers = 2, .skb_pool = 256}>> {};

/// Where a pernet operation stands in the order of init; how many there are before "icmp_sk_ops".
template <class Net>
int pernet_index(std::string_view name) {
  for (std::size_t i = 0; i < Net::pernet_list.size(); ++i)
    if (name == Net::pernet_list[i].name) return static_cast<int>(i);
  return -1;
}
constexpr char const* mib_blocks[] = {"tcp_statistics", "ip_statistics", "net_statistics", "icmp_statistics",
                                      "icmpmsg_statistics"};

}  // namespace

TEST_CASE("the statistics begin block by block, and a failure at each ends those before it", "[S161]") {
  using net_t = netstack::net<rig_host>;
  virtual_clock clock;
  for (int i = 0; i < 5; ++i) {
    int const at = pernet_index<net_t>(mib_blocks[i]);
    REQUIRE(at >= 0);
    INFO(mib_blocks[i]);
    // At boot: the boot fails, and says where.
    rig_host host;
    CHECK_FALSE(host.boot({.clock = clock.source(), .seed = 1, .fail_pernet = at}));
    CHECK_FALSE(host.booted());
    // At run time: the new namespace is undone, and init_net does not notice.
    constexpr int one_net = static_cast<int>(net_t::pernet_list.size());
    REQUIRE(host.boot({.clock = clock.source(), .seed = 1, .fail_pernet = one_net + at}));
    auto& socks = worker_generic<ipv4>(host.worker()).icmp_socks;
    CHECK(socks.in_use() == 1);
    REQUIRE_FALSE(host.copy_net_ns());
    CHECK(ipv4_net(host.worker().nets[1]).mib.live == 0);
    CHECK(socks.in_use() == 1);
    CHECK(ipv4_net(host.init_net()).mib.live == 0x1f);
    auto good = host.copy_net_ns();
    REQUIRE(good);
    CHECK(ipv4_net(**good).mib.live == 0x1f);
    CHECK(socks.in_use() == 2);
  }
}

TEST_CASE("every namespace counts for itself, and a fresh one from zero", "[S161][S164]") {
  ip_rig<> rig;
  rig.still_alive();
  auto other = rig.host.copy_net_ns();
  REQUIRE(other);
  CHECK(rig.ip().InReceives.read() == 1);
  CHECK(IP_STATS(**other).InReceives.read() == 0);
  CHECK(ICMP_STATS(**other).InMsgs.read() == 0);
  auto const text = proc_text(**other, "net/snmp");
  CHECK(text.find("Ip: 2 64 0 0") != std::string::npos);
}

TEST_CASE("reads of /proc/net/snmp sum over the workers", "[S161]") {
  virtual_clock clock;
  pair_host host;
  REQUIRE(host.boot({.clock = clock.source(), .seed = 1}));
  IP_STATS(host.init_net(0)).InReceives += 3;
  IP_STATS(host.init_net(1)).InReceives += 4;
  CHECK(proc_text(host.init_net(), "net/snmp").find("Ip: 2 64 7 ") != std::string::npos);
}

TEST_CASE("the constants of the Tcp group stand in the text", "[S163]") {
  ip_rig<> rig;
  auto const text = proc_text(rig.net(), "net/snmp");
  CHECK(text.find("Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ") != std::string::npos);
  CHECK(text.find("\nTcp: 1 200 120000 -1 ") != std::string::npos);
}

TEST_CASE("each worker's slice of each namespace has its own control socket", "[S154]") {
  virtual_clock clock;
  pair_host host;
  REQUIRE(host.boot({.clock = clock.source(), .seed = 1}));
  sock* const first = ipv4_net(host.init_net(0)).icmp_sk;
  sock* const second = ipv4_net(host.init_net(1)).icmp_sk;
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first != second);
  for (sock const* sk : {first, second}) {
    CHECK(sk->sk_protocol == ipproto::icmp);
    CHECK(sk->sk_sndbuf == 2 * (64 * 1024 + sizeof(sk_buff) + sizeof(skb_shared_info)));
    CHECK(sock_flag(*sk, sock_flags::use_write_queue));
  }
  CHECK(first->sk_net == &host.init_net(0));
  CHECK(second->sk_net == &host.init_net(1));
}

TEST_CASE("no control socket in worker k: the namespace is undone in all", "[S154][S16]") {
  for (u32 const failing : {0u, 1u}) {
    INFO("worker " << failing);
    virtual_clock clock;
    pair_host host;
    REQUIRE(host.boot({.clock = clock.source(), .seed = 1}));
    auto const settle = [&] {
      for (int i = 0; i < 4; ++i) host.poll(0), host.poll(1);
    };
    auto& socks = worker_generic<ipv4>(host.worker(failing)).icmp_socks;
    std::vector<sock*> taken;
    while (sock* sk = socks.alloc()) taken.push_back(sk);
    u32 const others = worker_generic<ipv4>(host.worker(1 - failing)).icmp_socks.in_use();
    auto net = host.copy_net_ns();
    if (failing == 0) {
      REQUIRE_FALSE(net);
      CHECK(net.error() == std::errc::no_buffer_space);
    }
    settle();  // the other worker sets its slice up, fails, and the namespace goes
    CHECK(host.nr_namespaces() == 1);
    for (u32 w = 0; w < 2; ++w) CHECK_FALSE(host.worker(w).nets[1].alive);
    CHECK(worker_generic<ipv4>(host.worker(1 - failing)).icmp_socks.in_use() == others);
    CHECK(host.init_net(0).alive);
    // With sockets to be had again it works.
    for (sock* sk : taken) socks.free(sk);
    net = host.copy_net_ns();
    REQUIRE(net);
    settle();
    CHECK(ipv4_net(host.worker(0).nets[1]).icmp_sk != nullptr);
    CHECK(ipv4_net(host.worker(1).nets[1]).icmp_sk != nullptr);
  }
}

TEST_CASE("a control socket outlives its namespace by as long as its packets do", "[S154]") {
  ip_rig<> rig;
  auto& socks = worker_generic<ipv4>(rig.host.worker()).icmp_socks;
  auto other = rig.host.copy_net_ns();
  REQUIRE(other);
  u32 const both = socks.in_use();
  sk_buff* skb = rig.host.worker().pool.alloc_skb();
  REQUIRE(skb);
  skb_set_owner_w(*skb, *ipv4_net(**other).icmp_sk);
  rig.host.put_net(**other);
  rig.run();
  CHECK(socks.in_use() == both);
  consume_skb(*skb);
  CHECK(socks.in_use() == both - 1);
}

TEST_CASE("peers are collected while the stack runs, and go with their namespace", "[S134]") {
  ip_rig<> rig;
  auto& peers = worker_generic<ipv4>(rig.host.worker()).peers;
  for (u32 i = 0; i < 20; ++i) CHECK(inet_getpeer(rig.net(), be32{0x0a000000 + i}, true) != nullptr);
  CHECK(peers.size() == 20);
  rig.run_for(300'000'000'000);
  CHECK(peers.size() == 20);
  rig.run_for(600'000'000'000);
  CHECK(peers.size() == 0);
  auto other = rig.host.copy_net_ns();
  REQUIRE(other);
  CHECK(inet_getpeer(**other, peer_addr, true) != nullptr);
  CHECK(inet_getpeer(rig.net(), peer_addr, false) == nullptr);
  rig.host.put_net(**other);
  rig.run();
  CHECK(peers.size() == 0);
}
