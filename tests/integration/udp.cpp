// SPDX-License-Identifier: BSL-1.0
// UDP between two hosts over a cable: data of every size, errors back, broadcast and all-hosts, and buffers that fill.
#include "netstack/core/dev_config.hpp"
#include "netstack/socket/udp_socket.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;

struct host : stack<host, ipv4, udp, drivers::pipe, sizes<config{.skb_pool = 2048}>> {};
using rig = test::two_hosts<host>;

std::string pattern(std::size_t n, std::size_t seed = 0) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i + seed) * 31 + i / 256);
  return s;
}

}  // namespace

TEST_CASE("echo of every size is byte-exact, and the sender is named", "[S93]") {
  rig t;
  int const client = rig::udp(t.a, 5000), server = rig::udp(t.b, 7);
  for (std::size_t n = 0; n <= 1472; ++n) {
    auto const text = pattern(n, n);
    REQUIRE(rig::send(t.a, client, text, rig::addr_b, 7).value() == n);
    t.run();
    sockaddr_in from;
    auto const got = rig::receive(t.b, server, &from);
    REQUIRE(got);
    REQUIRE(*got == text);
    CHECK(from == rig::name(rig::addr_a, 5000));
    REQUIRE(rig::send(t.b, server, *got, rig::addr_a, 5000));
    t.run();
    REQUIRE(rig::receive(t.a, client).value() == text);
  }
  // One byte more does not fit the link.
  CHECK(rig::send(t.a, client, pattern(1473), rig::addr_b, 7).error() == std::errc::message_size);
  CHECK(t.a.worker().pool.in_use() == 0);
  CHECK(t.b.worker().pool.in_use() == 0);
}

TEST_CASE("a closed port is heard of by the connected sender", "[S118]") {
  rig t;
  int const fd = rig::udp(t.a);
  REQUIRE(connect(t.a.init_net(), fd, rig::name(rig::addr_b, 9)));
  CHECK(send(t.a.init_net(), fd, "x", 1).value() == 1);
  t.run();
  CHECK(send(t.a.init_net(), fd, "x", 1).error() == std::errc::connection_refused);
  CHECK(UDP_STATS(t.b.init_net()).NoPorts.read() == 1);
}

TEST_CASE("so it is when the datagram is in several pieces") {
  rig t;
  auto& net = t.a.init_net();
  int const fd = rig::udp(t.a);
  REQUIRE(connect(net, fd, rig::name(ipv4_addr("127.0.0.1"), 9)));
  std::string const large(20'000, 'x');
  REQUIRE(send(net, fd, large.data(), large.size()).value() == large.size());
  t.run();
  CHECK(send(net, fd, "x", 1).error() == std::errc::connection_refused);
  CHECK(UDP_STATS(net).NoPorts.read() == 1);
}

TEST_CASE("a host that is not there is heard of too, after its ARP requests", "[S118]") {
  rig t;
  REQUIRE(dev_open(t.a.init_net(), *t.a.init_net().loopback_dev));  // the report is sent to ourselves
  int const fd = rig::udp(t.a);
  REQUIRE(setsockopt(t.a.init_net(), fd, sol::ip, ip_opt::recverr, 1));
  CHECK(rig::send(t.a, fd, "x", ipv4_addr("192.0.2.99"), 9).value() == 1);
  t.run_for(5'000'000'000);
  CHECK(rig::receive(t.a, fd).error() == std::errc::host_unreachable);
  CHECK(t.a.worker().pool.in_use() <= 1);  // the entry of the error queue
}

TEST_CASE("a broadcast and the all-hosts group reach every socket of the link", "[S149]") {
  rig t;
  auto& net_b = t.b.init_net();
  int const sender = rig::udp(t.a, 5000);
  REQUIRE(setsockopt(t.a.init_net(), sender, sol::socket, so::broadcast, 1));
  int listeners[3];
  for (int& fd : listeners) {
    fd = rig::udp(t.b);
    REQUIRE(setsockopt(net_b, fd, sol::socket, so::reuseaddr, 1));
    REQUIRE(bind(net_b, fd, rig::name({}, 6000)));
  }
  for (be32 to : {ipv4_addr("192.0.2.255"), inaddr_broadcast, inaddr_allhosts_group}) {
    if (to == inaddr_broadcast)
      REQUIRE(setsockopt(t.a.init_net(), sender, sol::socket, so::bindtoifindex, static_cast<int>(t.dev_a->ifindex)));
    if (to == inaddr_allhosts_group)
      REQUIRE(setsockopt(t.a.init_net(), sender, sol::ip, ip_opt::multicast_if, in_addr{rig::addr_a}));
    REQUIRE(rig::send(t.a, sender, "to all", to, 6000));
    t.run();
    for (int fd : listeners) CHECK(rig::receive(t.b, fd).value() == "to all");
  }
  REQUIRE(setsockopt(net_b, listeners[1], sol::ip, ip_opt::multicast_all, 0));
  REQUIRE(rig::send(t.a, sender, "x", inaddr_allhosts_group, 6000));
  t.run();
  CHECK(rig::receive(t.b, listeners[0]).value() == "x");
  CHECK(rig::receive(t.b, listeners[1]).error() == std::errc::resource_unavailable_try_again);
  CHECK(t.b.worker().pool.clones_in_use() == 0);
}

TEST_CASE("datagrams larger than a frame cross a link that carries them") {
  drivers::pipe::params jumbo{};
  rig t(jumbo);
  REQUIRE(dev_set_mtu(t.a.init_net(), *t.dev_a, 9000));
  REQUIRE(dev_set_mtu(t.b.init_net(), *t.dev_b, 9000));
  int const client = rig::udp(t.a, 5000), server = rig::udp(t.b, 7);
  for (std::size_t n : std::initializer_list<std::size_t>{1473, 1800, 2048, 4096, 8972}) {
    auto const text = pattern(n);
    REQUIRE(rig::send(t.a, client, text, rig::addr_b, 7).value() == n);
    t.run();
    REQUIRE(rig::receive(t.b, server).value() == text);
  }
  CHECK(rig::send(t.a, client, pattern(8973), rig::addr_b, 7).error() == std::errc::message_size);
  CHECK(t.a.worker().pool.in_use() == 0);
  CHECK(t.b.worker().pool.in_use() == 0);
}

TEST_CASE("a sender faster than the reader loses datagrams by the count, never by the byte", "[S46]") {
  rig t;
  int const client = rig::udp(t.a, 5000), server = rig::udp(t.b, 7);
  u32 sent = 0, got = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 40; ++i) {
      std::string const text = std::to_string(sent) + ':' + pattern(100, sent);
      if (rig::send(t.a, client, text, rig::addr_b, 7)) ++sent;
    }
    t.run();
    for (int i = 0; i < 20; ++i)
      if (auto const r = rig::receive(t.b, server)) {
        CHECK(r->substr(r->find(':') + 1) == pattern(100, std::stoul(*r)));
        ++got;
      }
  }
  while (rig::receive(t.b, server)) ++got;
  auto& mib = UDP_STATS(t.b.init_net());
  CHECK(mib.RcvbufErrors.read() > 0);
  CHECK(got + mib.RcvbufErrors.read() + mib.MemErrors.read() == sent);
  CHECK(mib.InErrors.read() == mib.RcvbufErrors.read() + mib.MemErrors.read());
  CHECK(mib.InDatagrams.read() == got);
  CHECK(UDP_STATS(t.a.init_net()).OutDatagrams.read() == sent);
  CHECK(t.b.worker().pool.in_use() == 0);
}

TEST_CASE("the typed sockets of two hosts play ping-pong without a copy of their own") {
  rig t;
  using net_t = netstack::net<host>;
  struct player {
    udp_socket<net_t> s;
    u32 returned = 0, limit = 0;
    player(net_t& net, u16 port, u32 n) : s(net), limit(n) {
      REQUIRE(s.open());
      REQUIRE(s.bind(rig::name({}, port)));
      s.on_data_ready(
          [](void* self) {
            auto& p = *static_cast<player*>(self);
            while (auto d = p.s.receive())
              if (p.returned < p.limit && p.s.send(d->skb, d->from)) ++p.returned;
          },
          this);
    }
  };
  player a(t.a.init_net(), 5000, 1000), b(t.b.init_net(), 5001, 1000);
  auto ball = a.s.allocate();
  REQUIRE(ball);
  std::memcpy((*ball)->put(4), "ball", 4);
  REQUIRE(a.s.send(*ball, rig::name(rig::addr_b, 5001)));
  t.run();
  CHECK(a.returned == 1000);
  CHECK(b.returned == 1000);
  CHECK(t.a.worker().pool.in_use() == 0);
  CHECK(t.b.worker().pool.in_use() == 0);
}

TEST_CASE("a busy reader polls the device that its packets come from, before all others", "[S55]") {
  drivers::pipe_cable second;  // outlives the hosts
  rig t;
  net_device* other[2];
  for (u8 end : {u8{0}, u8{1}}) {
    auto& h = end ? t.b : t.a;
    auto made = register_netdev<drivers::pipe>(h.init_net(), "eth%d",
                                               {.cables = &second, .end = end, .wakeup = false, .type = arphrd::none});
    REQUIRE((made && dev_open(h.init_net(), **made)));
    other[end] = *made;
  }
  t.run();
  auto const flood = [&] {
    for (int i = 0; i < 5; ++i) {
      sk_buff* skb = t.b.worker().pool.alloc_skb();
      skb->put(40);
      skb->dev = other[1];
      REQUIRE(dev_queue_xmit(t.b.init_net(), *skb));
    }
  };
  int const fd = rig::udp(t.a, 5000), sender = rig::udp(t.b, 7);
  auto& net = t.a.init_net();
  REQUIRE(rig::send(t.b, sender, "who has 192.0.2.1?", rig::addr_a, 5000));
  t.run();
  REQUIRE(rig::receive(t.a, fd));
  int blocking = 0;
  REQUIRE(ioctl(net, fd, sioc::fionbio, &blocking));
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{5, 0}));
  auto const receive = [&] {
    REQUIRE(rig::send(t.b, sender, "x", rig::addr_a, 5000));
    flood();
    t.b.poll();
    return rig::receive(t.a, fd).value();
  };
  CHECK(receive() == "x");
  t.run();
  CHECK(getsockopt(net, fd, sol::socket, so::incoming_napi_id).value() == 0);  // not asked to remember
  REQUIRE(setsockopt(net, fd, sol::socket, so::busy_poll, 50));
  CHECK(receive() == "x");
  t.run();
  CHECK(getsockopt(net, fd, sol::socket, so::incoming_napi_id).value() == static_cast<int>(t.dev_a->napi.napi_id));
  u64 const before = other[0]->stats.rx_packets.read();
  CHECK(before == 10);
  CHECK(receive() == "x");
  CHECK(other[0]->stats.rx_packets.read() == before);  // its frames still wait
  t.run();
  CHECK(other[0]->stats.rx_packets.read() == before + 5);
}

TEST_CASE("a burst is sent and handed over as packets, and every setting counts from the next datagram on", "[S101]") {
  rig t;
  auto& net = t.a.init_net();
  struct reader {
    udp_socket<netstack::net<host>> s;
    std::vector<std::string> got;
    std::vector<u8> ttl, tos;
    explicit reader(netstack::net<host>& n) : s(n) {
      REQUIRE(s.open());
      REQUIRE(s.bind(rig::name({}, 9)));
      s.on_datagrams(
          [](void* self, skb_list& list) {
            auto& r = *static_cast<reader*>(self);
            for (sk_buff const& skb : list) {
              r.got.emplace_back(reinterpret_cast<char const*>(skb.data), skb.len);
              r.ttl.push_back(ip_hdr(skb)->ttl);
              r.tos.push_back(ip_hdr(skb)->tos);
            }
          },
          this);
    }
  } to(t.b.init_net());
  udp_socket<netstack::net<host>> from(net);
  REQUIRE(from.open());
  REQUIRE(from.connect(rig::name(rig::addr_b, 9)));
  std::vector<std::string> sent;
  auto const burst = [&](u32 n, std::size_t len, sockaddr_view dest = {}) {
    skb_list list;
    for (u32 i = 0; i < n; ++i) {
      auto skb = from.allocate();
      REQUIRE(skb);
      sent.push_back(pattern(len + i, i));
      std::span const bytes{reinterpret_cast<u8 const*>(sent.back().data()), sent.back().size()};
      auto const first = i % 3 == 1 ? bytes.size() / 2 : bytes.size();  // some in two parts
      from.fill(**skb, bytes.first(first));
      if (first != bytes.size()) from.fill(**skb, bytes.subspan(first));
      list.push_back(*skb->release());
    }
    CHECK(from.send(list, dest).value() == n);
    CHECK(list.empty());
    t.run();
  };
  burst(1, 5);
  for (std::size_t len : {0u, 17u, 190u, 1440u}) burst(32, len);
  CHECK(to.got == sent);
  // Each of these changes what the socket's datagrams look like, or where they go.
  REQUIRE(setsockopt(net, from.fd(), sol::ip, ip_opt::ttl, 7));
  burst(2, 10);
  CHECK(to.ttl.back() == 7);
  REQUIRE(setsockopt(net, from.fd(), sol::ip, ip_opt::tos, 0x20));
  burst(2, 10);
  CHECK(to.tos.back() == 0x20);
  REQUIRE(setsockopt(net, from.fd(), sol::ip, ip_opt::ttl, -1));
  auto& ns = ipv4_net(net);
  ns.sysctl_ip_default_ttl = 33;
  burst(2, 10);
  CHECK(to.ttl.back() == 33);
  CHECK(to.got == sent);
  REQUIRE(setsockopt(net, from.fd(), sol::socket, so::no_check, 1));
  burst(2, 10);
  CHECK(to.got == sent);
  // Explicitly to the same peer, and to one who has no such port.
  burst(2, 20, rig::name(rig::addr_b, 9));
  CHECK(to.got == sent);
  REQUIRE(from.connect(rig::name(rig::addr_b, 10)));
  burst(2, 20);
  CHECK(to.got.size() == sent.size() - 2);
  CHECK(from.receive().error() == std::errc::connection_refused);
  // The route goes: nothing is sent by what was remembered of it.
  dev_close(net, *t.dev_a);
  skb_list list;
  auto skb = from.allocate();
  REQUIRE(skb);
  from.fill(**skb, {});
  list.push_back(*skb->release());
  CHECK_FALSE(from.send(list));
  CHECK(list.empty());
  CHECK(t.a.worker().pool.in_use() == 0);
  CHECK(t.b.worker().pool.in_use() == 0);
}

TEST_CASE("a kept way is not taken for another that lies at the same place") {
  rig t;
  auto& net = t.a.init_net();
  int const fd = rig::udp(t.a, 5000), other = rig::udp(t.a, 5001), server = rig::udp(t.b, 7);
  auto const source = [&](int sender) {
    sockaddr_in from;
    REQUIRE(rig::send(t.a, sender, "x", rig::addr_b, 7));
    t.run();
    REQUIRE(rig::receive(t.b, server, &from));
    return from.sin_addr.s_addr;
  };
  CHECK(source(fd) == rig::addr_a);
  CHECK(source(fd) == rig::addr_a);  // as the one before
  REQUIRE(inet_addr_del(net, t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
  REQUIRE(inet_addr_add(net, t.dev_a->ifindex, ipv4_cidr("192.0.2.77/24")));
  t.clock.now += 1;
  CHECK(source(other) == ipv4_addr("192.0.2.77"));  // its way has the memory of the old one
  CHECK(source(fd) == ipv4_addr("192.0.2.77"));
}

TEST_CASE("a corked datagram whose device goes is refused, and keeps nothing") {
  for (bool const by_option : {false, true}) {
    rig t;
    auto& net = t.a.init_net();
    int const fd = rig::udp(t.a, 5000);
    REQUIRE(connect(net, fd, rig::name(rig::addr_b, 7)));
    REQUIRE(setsockopt(net, fd, sol::udp, udp_opt::cork, int{by_option}));
    REQUIRE(send(net, fd, "to", 2, by_option ? 0 : msg::more));
    unregister_netdev(net, *t.dev_a);
    REQUIRE(send(net, fd, "ge", 2, msg::more));
    if (by_option)
      CHECK(setsockopt(net, fd, sol::udp, udp_opt::cork, 0));
    else
      CHECK(send(net, fd, "ther", 4).error() == std::errc::network_unreachable);
    CHECK(t.a.worker().pool.in_use() == 0);
    CHECK(net.drops[static_cast<std::size_t>(drop_reason::ip_noroute_out)].read() == 1);
  }
}

TEST_CASE("a corked datagram is summed by who was to sum its first part") {
  for (bool const at_first : {true, false}) {
    rig t;
    auto& net = t.a.init_net();
    int const fd = rig::udp(t.a, 5000), server = rig::udp(t.b, 7);
    t.dev_a->features = t.dev_a->hw_features = netif_f::sg | netif_f::hw_csum;
    if (!at_first) dev_set_features(net, *t.dev_a, netif_f::sg);
    REQUIRE(sendto(net, fd, "half ", 5, msg::more, rig::name(rig::addr_b, 7)));
    dev_set_features(net, *t.dev_a, at_first ? netif_f::sg : netif_f::sg | netif_f::hw_csum);
    REQUIRE(send(net, fd, "and half", 8));
    t.run();
    CHECK(rig::receive(t.b, server).value() == "half and half");
    CHECK(UDP_STATS(t.b.init_net()).InCsumErrors.read() == 0);
  }
}
