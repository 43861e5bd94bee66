// SPDX-License-Identifier: BSL-1.0
// TCP and UDP over several workers, where the wire brings to one worker what is another's: every socket gets what is
// for it, nobody is refused who should not be, and a link address that one worker hears is known to all.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/udp/udp.hpp"
#include "support/catch.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;

/// A switch that chooses the queue of what comes from the far host: as RSS does, but as the test wants it.
struct spreader : module {
  struct perworker {
    net_device* queues[3]{};
    net_device* far = nullptr;
    std::atomic<u32> to{0};
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& own = worker_generic<spreader>(net.worker());
    skb.push(eth_hlen);
    skb.dev = skb.dev == own.far ? own.queues[own.to.load(std::memory_order_relaxed)] : own.far;
    (void)dev_queue_xmit(net, skb);
    return verdict::kept();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::ip, .func = rcv<Net>, .name = "ip"},
                                           packet_type<Net>{.type = eth_p::arp, .func = rcv<Net>, .name = "arp"}};
};

struct host : stack<host, ipv4, tcp, udp, drivers::pipe,
                    sizes<config{.workers = 3, .max_net = 1, .skb_pool = 2048, .rps_ring = 256}>> {};
struct far_host : stack<far_host, ipv4, tcp, udp, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 4096}>> {};
struct between : stack<between, spreader, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 4096}>> {};

constexpr be32 host_addr = ipv4_addr("192.0.2.2"), far_addr = ipv4_addr("192.0.2.1");

template <class H>
net_device* open_pipe(H& h, u32 worker, char const* name, drivers::pipe_cable* cables, u8 end, u8 queues = 1) {
  auto made = register_netdev<drivers::pipe>(h.init_net(worker), name,
                                             {.cables = cables, .end = end, .queues = queues, .wakeup = false});
  REQUIRE((made && dev_open(h.init_net(worker), **made)));
  return *made;
}

/// A host of three workers, whose interface has a queue for each of the first `queues` of them.
struct world {
  test::virtual_clock clock;  // if it is asked for: no timer runs because a busy machine kept this process waiting
  drivers::pipe_cable cables[3], far_cable;
  host h;
  far_host far;
  between wire;
  net_device* dev[3]{};
  u32 queues;

  explicit world(u32 n = 3, bool virtual_time = false) : queues(n) {
    boot_args mine{.seed = 1}, theirs{.seed = 2};
    if (virtual_time) mine.clock = theirs.clock = clock.source();
    REQUIRE((h.boot(mine) && far.boot(theirs) && wire.boot()));
    auto& own = state();
    for (u32 w = 0; w < n; ++w) {
      dev[w] = open_pipe(h, w, "eth0", cables, 0, 3);
      own.queues[w] = open_pipe(wire, 0, std::array{"q0", "q1", "q2"}[w], &cables[w], 1);
    }
    own.far = open_pipe(wire, 0, "far", &far_cable, 0);
    net_device& far_dev = *open_pipe(far, 0, "eth0", &far_cable, 1);
    REQUIRE(inet_addr_add(h.init_net(), dev[0]->ifindex, ipv4_cidr("192.0.2.2/24")));
    REQUIRE(inet_addr_add(far.init_net(), far_dev.ifindex, ipv4_cidr("192.0.2.1/24")));
    settle();
  }
  [[nodiscard]] spreader::perworker& state() { return worker_generic<spreader>(wire.worker()); }
  void poll() {
    for (u32 w = 0; w < 3; ++w) h.poll(w);
    wire.poll();
    far.poll();
    clock.advance(100'000);
  }
  void settle() {
    for (int i = 0; i < 40; ++i) poll();
  }
  void answers_to(u32 w) { state().to.store(w, std::memory_order_relaxed); }
  template <class Count>
  u64 sum(Count&& count) {
    u64 n = 0;
    for (u32 w = 0; w < 3; ++w) n += count(h.init_net(w));
    return n;
  }
  [[nodiscard]] u64 resets() {
    return sum([](auto& net) { return TCP_STATS(net).OutRsts.read(); });
  }
  /// Both pools are as they were.
  void check_pools() {
    settle();
    for (u32 w = 0; w < 3; ++w) CHECK(h.worker(w).pool.in_use() == 0);
    CHECK(far.worker().pool.in_use() == 0);
  }
};

template <class Net>
int tcp_socket_of(Net& net) {
  return socket(net, af::inet, sock_type::stream | sock_type::nonblock).value();
}
template <class Net>
int udp_socket_of(Net& net) {
  return socket(net, af::inet, sock_type::dgram | sock_type::nonblock).value();
}
template <class Net>
int listener_of(Net& net, u16 port) {
  int const fd = tcp_socket_of(net);
  REQUIRE((bind(net, fd, inet_addr_of({}, port)) && listen(net, fd, 64)));
  return fd;
}
template <class Net>
bool is_connected(Net& net, int fd, sockaddr_view to) {
  auto const again = connect(net, fd, to);
  return again || again.error() == std::errc::already_connected;
}
/// What came of `want`, in as many calls as it takes.
template <class Net>
bool receives(Net& net, int fd, std::string const& want) {
  std::string got(want.size() + 1, 0);
  std::size_t have = 0;
  while (auto const n = recv(net, fd, got.data() + have, got.size() - have, msg::dontwait).value_or(0)) have += n;
  got.resize(have);
  return got == want;
}
std::string bytes_of(u32 n, u32 seed) {
  std::string s(n, 0);
  for (u32 i = 0; i < n; ++i) s[i] = static_cast<char>(i * 7 + seed + i / 251);
  return s;
}
bool knows(host& h, u32 w) {
  u32 key[4];
  netstack::detail::arp_key(key, far_addr);
  auto& net = h.init_net(w);
  auto* const n = neigh_lookup(arp_cache(net), key, *net.dev_get_by_index(2));
  return n && (n->nud_state & nud::valid);
}

}  // namespace

TEST_CASE("a connection works whichever worker its segments come to", "[S64]") {
  world w{3, true};
  auto& far = w.far.init_net();
  int const listener = listener_of(far, 80);
  auto const to = inet_addr_of(far_addr, 80);
  for (u32 own = 0; own < 3; ++own)
    for (u32 other = 0; other < 3; ++other) {
      CAPTURE(own, other);
      w.answers_to(other);
      auto& net = w.h.init_net(own);
      int const fd = tcp_socket_of(net);
      (void)connect(net, fd, to);
      w.settle();
      REQUIRE(is_connected(net, fd, to));
      auto const accepted = accept(far, listener);
      REQUIRE(accepted);
      std::string const there = bytes_of(9000, own), back = bytes_of(20'000, other);
      CHECK(send(net, fd, there.data(), there.size(), msg::dontwait).value() == there.size());
      CHECK(send(far, *accepted, back.data(), back.size(), msg::dontwait).value() == back.size());
      w.settle();
      CHECK(receives(far, *accepted, there));
      CHECK(receives(net, fd, back));
      // Both ends: FIN, and its acknowledgment.
      REQUIRE((close(far, *accepted) && close(net, fd)));
      w.settle();
    }
  CHECK(w.resets() == 0);
  CHECK(w.sum([](auto& net) { return TCP_STATS(net).InSegs.read(); }) == TCP_STATS(far).OutSegs.read());
  CHECK(TCP_STATS(far).RetransSegs.read() == 0);
  CHECK(w.sum([](auto& net) { return TCP_STATS(net).RetransSegs.read(); }) == 0);
  w.check_pools();
}

TEST_CASE("who listens on one worker is reached by all queues", "[S64]") {
  world w;
  auto& net = w.h.init_net(2);
  int const listener = listener_of(net, 81);
  auto& far = w.far.init_net();
  for (u32 queue = 0; queue < 3; ++queue) {
    CAPTURE(queue);
    w.answers_to(queue);
    int const fd = tcp_socket_of(far);
    (void)connect(far, fd, inet_addr_of(host_addr, 81));
    w.settle();
    REQUIRE(is_connected(far, fd, inet_addr_of(host_addr, 81)));
    auto const accepted = accept(net, listener);
    REQUIRE(accepted);
    std::string const there = bytes_of(5000, queue);
    CHECK(send(far, fd, there.data(), there.size(), msg::dontwait).value() == there.size());
    w.settle();
    CHECK(receives(net, *accepted, there));
    REQUIRE((close(net, *accepted) && close(far, fd)));
    w.settle();
  }
  CHECK(w.resets() == 0);
}

TEST_CASE("what no worker knows is refused, once", "[S64]") {
  for (u32 queues : {3u, 1u}) {  // with one, two workers have not even the device
    CAPTURE(queues);
    world w{queues};
    auto& far = w.far.init_net();
    for (u32 queue = 0; queue < queues; ++queue) {
      w.answers_to(queue);
      int const fd = tcp_socket_of(far);
      (void)connect(far, fd, inet_addr_of(host_addr, 99));
      w.settle();
      auto const again = connect(far, fd, inet_addr_of(host_addr, 99));
      REQUIRE(!again);
      CHECK(again.error() == std::errc::connection_refused);
      CHECK(w.resets() == queue + 1);
      REQUIRE(close(far, fd));
    }
    // And from each worker, to a port on which nobody listens.
    for (u32 own = 0; own < queues; ++own) {
      auto& net = w.h.init_net(own);
      w.answers_to((own + 1) % queues);
      int const fd = tcp_socket_of(net);
      (void)connect(net, fd, inet_addr_of(far_addr, 99));
      w.settle();
      auto const again = connect(net, fd, inet_addr_of(far_addr, 99));
      REQUIRE(!again);
      CHECK(again.error() == std::errc::connection_refused);
      REQUIRE(close(net, fd));
    }
    CHECK(w.resets() == queues);
    CHECK(w.sum([](auto& net) { return net.worker().softnet.dropped.read(); }) == 0);
    w.check_pools();
  }
}

TEST_CASE("two workers talk to each other over lo, though each has one of its own", "[S64]") {
  world w;
  for (u32 k = 0; k < 2; ++k) REQUIRE(drivers::loopback_up(w.h.init_net(k)));  // the third's is down: passed over
  auto& server = w.h.init_net(1);
  auto& client = w.h.init_net(0);
  int const listener = listener_of(server, 82);
  auto const to = inet_addr_of(ipv4_addr("127.0.0.1"), 82);
  int const fd = tcp_socket_of(client);
  (void)connect(client, fd, to);
  w.settle();
  REQUIRE(is_connected(client, fd, to));
  auto const accepted = accept(server, listener);
  REQUIRE(accepted);
  std::string const bytes = bytes_of(100'000, 3);
  std::size_t sent = 0, got = 0;
  std::string in(bytes.size(), 0);
  for (int i = 0; i < 400 && got < bytes.size(); ++i) {
    if (sent < bytes.size())
      sent += send(client, fd, bytes.data() + sent, bytes.size() - sent, msg::dontwait).value_or(0);
    w.poll();
    got += recv(server, *accepted, in.data() + got, in.size() - got, msg::dontwait).value_or(0);
  }
  CHECK(in == bytes);
  REQUIRE((close(server, *accepted) && close(client, fd)));
  CHECK(w.resets() == 0);
  w.check_pools();
}

TEST_CASE("when the ring to the next worker is full, what should go on is dropped and counted", "[S64]") {
  world w;
  w.answers_to(0);
  auto& far = w.far.init_net();
  // Worker 1 does not poll: what worker 0 does not know waits for it.
  std::vector<int> open;
  for (u32 i = 0; i < 300; ++i) {
    open.push_back(tcp_socket_of(far));
    (void)connect(far, open.back(), inet_addr_of(host_addr, 99));
    w.far.poll(), w.wire.poll(), w.h.poll(0), w.wire.poll(), w.far.poll();
  }
  auto& first = w.h.worker(0);
  CHECK(first.softnet.dropped.read() == 300 - host::sizes.rps_ring);
  CHECK(first.pool.in_use() == host::sizes.rps_ring);
  CHECK(w.resets() == 0);
  w.settle();
  CHECK(w.resets() == host::sizes.rps_ring);
  CHECK(first.pool.in_use() == 0);
  for (int const fd : open) REQUIRE(close(far, fd));
}

TEST_CASE("a worker that was removed is left out, and what nobody knows is still refused", "[S64][S10]") {
  world w;
  REQUIRE(w.h.remove_worker(2));
  auto const poll = [&] {
    for (int i = 0; i < 40; ++i) w.h.poll(0), w.h.poll(1), w.wire.poll(), w.far.poll();
  };
  auto& far = w.far.init_net();
  w.answers_to(1);
  auto& net = w.h.init_net(0);
  int const listener = listener_of(far, 80), fd = tcp_socket_of(net);
  (void)connect(net, fd, inet_addr_of(far_addr, 80));
  poll();
  CHECK(is_connected(net, fd, inet_addr_of(far_addr, 80)));
  CHECK(accept(far, listener));
  int const refused = tcp_socket_of(far);
  (void)connect(far, refused, inet_addr_of(host_addr, 99));
  poll();
  CHECK(connect(far, refused, inet_addr_of(host_addr, 99)).error() == std::errc::connection_refused);
  CHECK(w.resets() == 1);
}

TEST_CASE("an ICMP error reaches the connection whichever worker hears it", "[S64]") {
  world w;
  w.answers_to(1);
  auto& net = w.h.init_net();
  // The far host forwards to a network that it has no way to.
  REQUIRE(sysctl_write(w.far.init_net(), "net/ipv4/ip_forward", "1"));
  REQUIRE(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = ipv4_addr("198.51.100.0"), .fc_gw4 = far_addr}));
  w.settle();
  int const fd = tcp_socket_of(net);
  auto const to = inet_addr_of(ipv4_addr("198.51.100.1"), 80);
  (void)connect(net, fd, to);
  w.settle();
  auto const again = connect(net, fd, to);
  REQUIRE(!again);
  CHECK(again.error() == std::errc::network_unreachable);
  CHECK(w.sum([](auto& n) { return ICMP_STATS(n).InErrors.read(); }) == 0);
  w.check_pools();
}

TEST_CASE("a datagram reaches its socket whichever worker it comes to", "[S64][S93]") {
  world w;
  auto& far = w.far.init_net();
  int const sender = udp_socket_of(far);
  for (u32 own = 0; own < 3; ++own)
    for (u32 other = 0; other < 3; ++other) {
      CAPTURE(own, other);
      w.answers_to(other);
      auto& net = w.h.init_net(own);
      int const fd = udp_socket_of(net);
      u16 const port = static_cast<u16>(5000 + own);
      REQUIRE(bind(net, fd, inet_addr_of({}, port)));
      for (u32 n = 1; n <= 20; ++n)
        REQUIRE(sendto(far, sender, bytes_of(n, other).data(), n, 0, inet_addr_of(host_addr, port)));
      w.settle();
      for (u32 n = 1; n <= 20; ++n) {
        char buf[64];
        REQUIRE(recv(net, fd, buf, sizeof buf, msg::dontwait).value_or(0) == n);
        CHECK(std::string(buf, n) == bytes_of(n, other));
      }
      REQUIRE(close(net, fd));
    }
  CHECK(w.sum([](auto& net) { return UDP_STATS(net).InDatagrams.read(); }) == 9 * 20);
  CHECK(w.sum([](auto& net) { return UDP_STATS(net).NoPorts.read(); }) == 0);
  CHECK(ICMP_STATS(far).InMsgs.read() == 0);
  w.check_pools();
}

TEST_CASE("a datagram that no worker has a socket for is refused, once", "[S64][S93]") {
  for (u32 queues : {3u, 1u}) {
    CAPTURE(queues);
    world w{queues};
    auto& far = w.far.init_net();
    for (u32 queue = 0; queue < queues; ++queue) {
      w.answers_to(queue);
      int const fd = udp_socket_of(far);
      REQUIRE(connect(far, fd, inet_addr_of(host_addr, 99)));
      REQUIRE(send(far, fd, "x", 1));
      w.settle();
      char c;
      CHECK(recv(far, fd, &c, 1, msg::dontwait).error() == std::errc::connection_refused);
      CHECK(w.sum([](auto& net) { return UDP_STATS(net).NoPorts.read(); }) == queue + 1);
      CHECK(ICMP_STATS(far).InMsgs.read() == queue + 1);
      REQUIRE(close(far, fd));
    }
    w.check_pools();
  }
}

TEST_CASE("that a port is unreachable is heard by the socket that sent there, whichever worker is told",
          "[S64][S118]") {
  world w;
  REQUIRE(sysctl_write(w.far.init_net(), "net/ipv4/icmp_ratelimit", "0"));
  for (u32 own = 0; own < 3; ++own)
    for (u32 other = 0; other < 3; ++other) {
      CAPTURE(own, other);
      w.answers_to(other);
      auto& net = w.h.init_net(own);
      int const fd = udp_socket_of(net);
      REQUIRE(connect(net, fd, inet_addr_of(far_addr, 99)));
      REQUIRE(send(net, fd, "x", 1));
      w.settle();
      char c;
      CHECK(recv(net, fd, &c, 1, msg::dontwait).error() == std::errc::connection_refused);
      REQUIRE(close(net, fd));
    }
  CHECK(w.sum([](auto& net) { return ICMP_STATS(net).InErrors.read(); }) == 0);
  w.check_pools();
}

TEST_CASE("a datagram goes on with the padding behind it, which the IP header counts", "[S64][RFC 768]") {
  world w;
  auto& net = w.h.init_net(2);
  int const fd = udp_socket_of(net);
  REQUIRE(bind(net, fd, inet_addr_of({}, 5000)));
  // From the switch, as if the far host had sent it: four bytes, and six that nobody asked for.
  auto& wire = w.wire.init_net();
  sk_buff* const skb = wire.worker().pool.alloc_skb();
  REQUIRE(skb);
  auto const append = [&](auto const& header) { std::memcpy(skb->put(sizeof header), &header, sizeof header); };
  append(ethhdr{w.dev[0]->dev_addr, {{2, 0, 0, 0, 9, 9}}, be16{eth_p::ip}});
  iphdr ip{.tot_len = be16{38}, .ttl = 64, .protocol = ipproto::udp, .saddr = far_addr, .daddr = host_addr};
  ip.check = ip_fast_csum(&ip, 5);
  append(ip);
  append(udphdr{.source = be16{7}, .dest = be16{5000}, .len = be16{12}, .check = {}});
  std::memcpy(skb->put(10), "fourbehind", 10);
  skb->dev = w.state().queues[0];
  REQUIRE(dev_queue_xmit(wire, *skb));
  w.settle();
  char buf[64];
  CHECK(recv(net, fd, buf, sizeof buf, msg::dontwait).value_or(0) == 4);
  CHECK(std::string(buf, 4) == "four");
  CHECK(w.h.init_net(0).worker().softnet.dropped.read() == 0);
}

TEST_CASE("an ARP reply is heard by every worker, and answered by none", "[S125]") {
  for (u32 asker = 0; asker < 3; ++asker) {
    CAPTURE(asker);
    world w;
    w.answers_to((asker + 1) % 3);
    auto& net = w.h.init_net(asker);
    int const fd = tcp_socket_of(net);
    (void)connect(net, fd, inet_addr_of(far_addr, 99));
    w.settle();
    CHECK(knows(w.h, asker));
    u64 const sent = w.state().far->stats.tx_packets.read();
    // An announcement updates those who have an entry, too; nothing is sent for it.
    net_device& far_dev = *w.far.init_net().dev_get_by_index(2);
    mac_addr const other{{2, 0, 0, 0, 9, 9}};
    REQUIRE(dev_set_mac_address(w.far.init_net(), far_dev, other));
    arp_send_announce(w.far.init_net(), far_dev, far_addr);
    w.settle();
    u32 key[4];
    netstack::detail::arp_key(key, far_addr);
    auto* const n = neigh_lookup(arp_cache(net), key, *net.dev_get_by_index(2));
    REQUIRE(n);
    CHECK(n->ha == other);
    CHECK(w.state().far->stats.tx_packets.read() == sent);
    w.check_pools();
  }
}

TEST_CASE("workers choose their connections' ports apart, with RPS by whom the answers come to", "[S64]") {
  bool const rps = GENERATE(false, true);
  CAPTURE(rps);
  world w;
  auto& far = w.far.init_net();
  int const listener = listener_of(far, 80);
  if (rps)
    for (u32 k = 0; k < 3; ++k) REQUIRE(dev_set_rps_cpus(w.h.init_net(k), *w.dev[k], 0b111));
  std::array<u8, 65536> takers{};
  for (u32 k = 0; k < 3; ++k)
    for (int i = 0; i < 20; ++i) {
      auto& net = w.h.init_net(k);
      int const fd = tcp_socket_of(net);
      (void)connect(net, fd, inet_addr_of(far_addr, 80));
      w.settle();
      REQUIRE(is_connected(net, fd, inet_addr_of(far_addr, 80)));
      u16 const port = sockfs::table_of(net).find(fd)->sk->sk_num;
      takers[port] = static_cast<u8>(takers[port] | 1u << k);
      if (!rps) CHECK(port % 3 == k);
      if (auto const accepted = accept(far, listener)) CHECK(close(far, *accepted));
      REQUIRE(close(net, fd));
      w.settle();
    }
  CHECK(std::ranges::none_of(takers, [](u32 t) { return (t & (t - 1)) != 0; }));
  // Each segment was steered once, and none was handed on: worker 0's queue got all, and kept its own.
  if (rps) CHECK(w.sum([](auto& net) { return IP_STATS(net).InReceives.read(); }) == IP_STATS(far).OutTransmits.read());
  CHECK(w.resets() == 0);
}

TEST_CASE("connections of workers on threads of their own, over each other's queues", "[S64][S59]") {
  world w;
  constexpr u32 connections = 60, each = 3000;
  auto& far = w.far.init_net();
  int const listener = listener_of(far, 80);
  for (u32 k = 0; k < 3; ++k) leave(w.h.worker(k));
  leave(w.far.worker());
  std::atomic<u32> working{3}, done{0}, wrong{0};
  auto const patience = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  auto const out_of_time = [&] { return std::chrono::steady_clock::now() > patience; };
  auto const client = [&](u32 k) {
    auto& net = w.h.init_net(k);
    auto const to = inet_addr_of(far_addr, 80);
    for (u32 i = 0; i < connections && !out_of_time(); ++i) {
      int const fd = tcp_socket_of(net);
      (void)connect(net, fd, to);
      while (!is_connected(net, fd, to) && !out_of_time()) w.h.poll(k);
      std::string const out = bytes_of(each, i + k);
      std::string in;
      char buf[4096];
      for (std::size_t sent = 0; in.size() < out.size() && !out_of_time(); w.h.poll(k)) {
        if (sent < out.size()) sent += send(net, fd, out.data() + sent, out.size() - sent, msg::dontwait).value_or(0);
        if (auto const n = recv(net, fd, buf, sizeof buf, msg::dontwait)) in.append(buf, *n);
      }
      wrong += in != out;
      ++done;
      (void)close(net, fd);
    }
    --working;
    while (working != 0 && !out_of_time()) w.h.poll(k);  // the others' segments come by
    for (int i = 0; i < 50; ++i) w.h.poll(k);
    leave(w.h.worker(k));
  };
  {
    std::thread threads[]{std::thread{client, 0u}, std::thread{client, 1u}, std::thread{client, 2u}};
    std::vector<int> open;
    char buf[4096];
    for (u32 turn = 0; working != 0 && !out_of_time(); ++turn) {
      w.answers_to(turn / 16 % 3);
      w.wire.poll();
      w.far.poll();
      if (auto const fd = accept(far, listener, nullptr, nullptr, sock_type::nonblock)) open.push_back(*fd);
      std::erase_if(open, [&](int fd) {
        auto const n = recv(far, fd, buf, sizeof buf, msg::dontwait);
        if (n && *n != 0) (void)send(far, fd, buf, *n, msg::dontwait);
        bool const ended = n ? *n == 0 : n.error() != std::errc::resource_unavailable_try_again;
        return ended && close(far, fd);
      });
    }
    for (auto& t : threads) t.join();
  }
  CHECK(done == 3 * connections);
  CHECK(wrong == 0);
  CHECK(w.resets() == 0);
  CHECK(w.sum([](auto& net) { return net.worker().softnet.received_rps.read(); }) > 0);
}
