// SPDX-License-Identifier: BSL-1.0
// UDP without a copy: the packet itself comes and goes, callbacks run inside poll(), nothing is allocated.
#include "netstack/socket/udp_socket.hpp"

#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp, packet_tap> {};
using net_t = netstack::net<host>;

/// Echoes whatever comes, from inside poll(), in the frame it came in.
struct echo_server {
  udp_socket<net_t> socket;
  u32 echoed = 0;
  u8 const* last_payload = nullptr;

  explicit echo_server(net_t& net, u16 port) : socket(net) {
    REQUIRE(socket.open());
    REQUIRE(socket.bind(lo_addr(port)));
    socket.on_data_ready([](void* self) { static_cast<echo_server*>(self)->run(); }, this);
  }
  void run() {
    while (auto d = socket.receive()) {
      last_payload = d->skb->data;
      if (socket.send(d->skb, d->from)) ++echoed;
    }
  }
};

}  // namespace

TEST_CASE("a received packet is handed out itself, and echoed in its own frame", "[S101]") {
  inet_host<host> h;
  auto& net = h.net();
  echo_server server(net, 7);
  udp_socket<net_t> client(net);
  REQUIRE(client.open());
  REQUIRE(client.connect(lo_addr(7)));
  for (u32 n : {0u, 1u, 64u, 1472u, 1919u}) {
    auto skb = client.allocate();
    REQUIRE(skb);
    u8* const at = (*skb)->put(n);
    for (u32 i = 0; i < n; ++i) at[i] = static_cast<u8>(i * 7);
    REQUIRE(client.send(*skb));
    CHECK(*skb == nullptr);  // taken
    h.run();
    auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->from == lo_addr(7));
    REQUIRE(answer->payload().size() == n);
    for (u32 i = 0; i < n; ++i) CHECK(answer->payload()[i] == static_cast<u8>(i * 7));
    // lo hands the frame itself round: the same bytes at the same place all the way.
    CHECK(answer->payload().data() == at);
    CHECK(server.last_payload == at);
  }
  CHECK(server.echoed == 5);
  CHECK(client.receive().error() == std::errc::resource_unavailable_try_again);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("a host of many addresses answers from the one that was asked") {
  inet_host<host> h;
  auto& net = h.net();
  auto const asked = ipv4_addr("127.0.0.5");
  udp_socket<net_t> server(net), client(net);
  REQUIRE(server.open());
  REQUIRE(server.bind(inet_addr_of(be32{}, 7)));
  REQUIRE(client.open());
  REQUIRE(client.bind(lo_addr(6000)));
  auto const exchange = [&] {
    auto skb = client.allocate();
    REQUIRE(skb);
    REQUIRE(client.send(*skb, inet_addr_of(asked, 7)));
    h.run();
    auto d = server.receive();
    REQUIRE(d);
    be32 const to = d->to;
    REQUIRE(server.send(d->skb, d->from, to));
    h.run();
    auto const answer = client.receive();
    REQUIRE(answer);
    return std::pair{to, answer->from};
  };
  // Unless it asks where datagrams were sent to, it hears nothing of that, and the route decides.
  CHECK(exchange() == std::pair{be32{}, lo_addr(7)});
  REQUIRE(setsockopt(net, server.fd(), sol::ip, ip_opt::pktinfo, 1));
  CHECK(exchange() == std::pair{asked, inet_addr_of(asked, 7)});
  // An address that is not ours is refused, and the packet taken.
  auto skb = server.allocate();
  REQUIRE(skb);
  CHECK_FALSE(server.send(*skb, lo_addr(6000), ipv4_addr("192.0.2.9")));
  CHECK(*skb == nullptr);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("checksums are made for devices that make none") {
  inet_host<host> h;
  auto& net = h.net();
  net.loopback_dev->features &= ~netif_f::hw_csum;
  std::vector<std::vector<u8>> sent;
  worker_generic<packet_tap>(h.host.worker()).sent = &sent;
  echo_server server(net, 7);
  udp_socket<net_t> client(net);
  REQUIRE(client.open());
  auto skb = client.allocate();
  REQUIRE(skb);
  std::memcpy((*skb)->put(5), "hello", 5);
  REQUIRE(client.send(*skb, lo_addr(7)));
  h.run();
  REQUIRE(sent.size() == 2);  // question and answer: the answer's bytes were read by the tap, so they moved
  for (auto const& packet : sent) {
    iphdr ip;
    std::memcpy(&ip, packet.data(), sizeof ip);
    CHECK(csum_tcpudp_magic(ip.saddr, ip.daddr, 13, ipproto::udp, csum_partial(packet.data() + 20, 13, 0)).raw() == 0);
    CHECK(std::string_view(reinterpret_cast<char const*>(packet.data()) + 28, 5) == "hello");
  }
  CHECK(client.receive()->payload().size() == 5);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("a packet that somebody else holds is not written to") {
  inet_host<host> h;
  auto& net = h.net();
  udp_socket<net_t> a(net);
  REQUIRE(a.open());
  REQUIRE(a.bind(lo_addr(6000)));
  auto skb = a.allocate();
  REQUIRE(skb);
  std::memcpy((*skb)->put(4), "data", 4);
  std::memset((*skb)->head, 0xee, (*skb)->headroom());
  sk_buff* const clone = skb_clone(**skb);
  sk_buff* const held = &skb_get(*clone);
  skb_ptr mine{clone};
  REQUIRE(a.send(mine, lo_addr(6000)));
  for (u32 i = 0; i < held->headroom(); ++i) REQUIRE(held->head[i] == 0xee);
  h.run();
  CHECK(a.receive()->payload().size() == 4);
  consume_skb(*held);
  skb->reset();
  CHECK(h.host.worker().pool.in_use() == 0);
  CHECK(h.host.worker().pool.clones_in_use() == 0);
}

TEST_CASE("a packet that is sent on leaves without what belonged to its arrival, its tag above all", "[S52]") {
  inet_host<host> h;
  auto& net = h.net();
  udp_socket<net_t> a(net), b(net);
  for (auto* s : {&a, &b}) REQUIRE(s->open());
  REQUIRE(a.bind(lo_addr(6000)));
  REQUIRE(b.bind(lo_addr(6001)));
  auto skb = a.allocate();
  REQUIRE(skb);
  (*skb)->put(4);
  REQUIRE(a.send(*skb, lo_addr(6001)));
  for (auto* s : {&b, &a, &b, &a}) {  // the first datagram of each is routed, the second repeats it
    h.run();
    auto d = s->receive();
    REQUIRE(d);
    CHECK_FALSE(d->skb->vlan_proto);
    d->skb->vlan_proto = be16{eth_p::p_8021q};  // IEEE 802.1Q §6.8: VLAN 0 carries a priority only
    d->skb->vlan_tci = 7 << vlan_prio_shift;
    REQUIRE(s->send(d->skb, d->from));
  }
  h.run();
  CHECK_FALSE(b.receive()->skb->vlan_proto);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("a packet of another stack's pool is sent from this one's, alone and in a list") {
  inet_host<host> here, there;
  udp_socket<net_t> relay(here.net()), origin(there.net());
  for (auto* s : {&relay, &origin}) {
    s->on_write_space([](void*) {}, nullptr);
    REQUIRE(s->open());
  }
  REQUIRE(relay.bind(lo_addr(6000)));
  auto const made = [&](char c) {
    auto skb = origin.allocate();
    REQUIRE(skb);
    *(*skb)->put(1) = static_cast<u8>(c);
    return std::move(*skb);
  };
  for (char c : {'a', 'b'}) {
    auto skb = made(c);
    REQUIRE(relay.send(skb, lo_addr(6000)));
  }
  skb_list list;
  for (char c : {'c', 'd'}) list.push_back(*made(c).release());
  CHECK(relay.send(list, lo_addr(6000)).value() == 2);
  CHECK(there.host.worker().pool.in_use() == 0);
  here.run();
  for (char c : {'a', 'b', 'c', 'd'}) {
    auto const d = relay.receive();
    REQUIRE(d);
    CHECK(d->payload()[0] == static_cast<u8>(c));
  }
  CHECK(there.host.worker().pool.writers.count == 0);
  CHECK(here.host.worker().pool.in_use() == 0);
}

TEST_CASE("a full send buffer leaves the packet with the caller until write_space") {
  inet_host<host> h;
  auto& net = h.net();
  udp_socket<net_t> s(net);
  REQUIRE(s.open());
  u32 woken = 0;
  s.on_write_space([](void* n) { ++*static_cast<u32*>(n); }, &woken);
  sock& sk = h.sk(s.fd());
  sk.sk_wmem_alloc += sk.sk_sndbuf;
  auto skb = s.allocate();
  REQUIRE(skb);
  (*skb)->put(1);
  CHECK(s.send(*skb, lo_addr(9)).error() == std::errc::resource_unavailable_try_again);
  REQUIRE(*skb != nullptr);
  CHECK(woken == 0);
  sk.sk_wmem_alloc -= sk.sk_sndbuf;
  CHECK(s.send(*skb, lo_addr(9)));
  CHECK(*skb == nullptr);
  h.run();
  CHECK(woken == 1);
  // Any other failure takes it.
  skb = s.allocate();
  CHECK(s.send(*skb, inet_addr_of(be32{0x08080808}, 1)).error() == std::errc::network_unreachable);
  CHECK(*skb == nullptr);
  CHECK(h.host.worker().pool.in_use() == 0);
}

namespace {

/// A writer that, told of room, has packets of other writers freed.
struct freeing_writer {
  inet_host<host>& h;
  udp_socket<net_t> socket;
  std::vector<sk_buff*> out;  ///< its own, on their way
  std::vector<freeing_writer*> others;
  u32 told = 0;
  bool alone = true;  ///< every time inside poll(), and inside no other callback
  static inline u32 depth;

  explicit freeing_writer(inet_host<host>& on) : h(on), socket(on.net()) {
    REQUIRE(socket.open());
    socket.on_write_space([](void* self) { static_cast<freeing_writer*>(self)->run(); }, this);
  }
  void own(u32 n) {
    while (n-- != 0) {
      out.push_back(h.host.worker().pool.alloc_skb());
      skb_set_owner_w(*out.back(), h.sk(socket.fd()));
    }
  }
  void free_one() {
    if (out.empty()) return;
    consume_skb(*out.back());
    out.pop_back();
  }
  void run() {
    ++told;
    alone = alone && h.host.worker().polling && depth++ == 0;
    for (auto* other : others) other->free_one();
    --depth;
  }
};

}  // namespace

TEST_CASE("a writer is told of room by poll(), alone, and once a round however the packets of many are freed",
          "[S46]") {
  inet_host<host> h;
  freeing_writer::depth = 0;
  freeing_writer a(h), b(h), c(h);
  a.others = {&b, &c}, b.others = {&a}, c.others = {&a, &b};
  for (auto* w : {&a, &b, &c}) w->own(20);
  auto const told = [&] { return std::array{a.told, b.told, c.told}; };
  a.free_one(), a.free_one();
  CHECK(told() == std::array{0u, 0u, 0u});
  CHECK_FALSE(h.host.worker().arm());  // there is something to do before a sleep
  CHECK(h.host.poll() != 0);
  CHECK(told() == std::array{1u, 0u, 0u});
  h.host.poll();
  CHECK(told() == std::array{1u, 1u, 1u});
  for (u32 i = 3; i <= 8; ++i) {
    h.host.poll();
    for (u32 n : told()) CHECK(n <= i);  // whatever frees whose packets: once a round
  }
  CHECK(a.told > 3);
  CHECK((a.alone && b.alone && c.alone));
  // Without room when its turn comes, nobody is told.
  auto& full = h.sk(b.socket.fd());
  u32 const before = b.told;
  b.free_one();
  full.sk_wmem_alloc += full.sk_sndbuf;
  a.others.clear(), c.others.clear();
  h.run();
  CHECK(b.told == before);
  full.sk_wmem_alloc -= full.sk_sndbuf;
  // Who is closed while it waits is told nothing more, and the others are.
  u32 const last[] = {a.told, b.told, c.told};
  b.others.clear();
  for (auto* w : {&a, &b, &c}) w->free_one();
  b.socket.close();
  h.run();
  CHECK(told() == std::array{last[0] + 1, last[1], last[2] + 1});
  for (auto* w : {&a, &b, &c})
    while (!w->out.empty()) w->free_one();
  a.socket.close(), c.socket.close();
  CHECK(h.host.worker().pool.writers.count == 0);
  CHECK(udp_worker_of(h.net()).socks.in_use() == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("errors are reported by callback and taken by the next call", "[S118]") {
  inet_host<host> h;
  auto& net = h.net();
  udp_socket<net_t> s(net);
  u32 errors = 0;
  s.on_error_report([](void* n) { ++*static_cast<u32*>(n); }, &errors);  // before open() is as good
  REQUIRE(s.open());
  REQUIRE(s.connect(lo_addr(9)));
  auto skb = s.allocate();
  REQUIRE(skb);
  REQUIRE(s.send(*skb));
  h.run();
  CHECK(errors == 1);
  CHECK(s.receive().error() == std::errc::connection_refused);
  CHECK(s.receive().error() == std::errc::resource_unavailable_try_again);
}

TEST_CASE("a call that must wait is EDEADLK in every callback, inside poll() and outside") {
  inet_host<host> h;
  auto& net = h.net();
  struct probe {
    inet_host<host>& h;
    int idle, full;
    u32 calls = 0;
    bool refused = true;
    void run() {
      ++calls;
      constexpr auto deadlock = std::errc::resource_deadlock_would_occur;
      char c;
      pollfd p{.fd = idle, .events = POLLIN, .revents = 0};
      refused = refused && recv(h.net(), idle, &c, 1).error() == deadlock &&
                poll(h.net(), {&p, 1}, no_timeout).error() == deadlock &&
                h.send_text(full, "x", lo_addr(9)).error() == deadlock && h.recv_text(idle) == "[11]";
    }
  } seen{h, h.udp(6000), h.udp(6001)};
  h.sk(seen.full).sk_wmem_alloc += h.sk(seen.full).sk_sndbuf;
  auto const tell = [](void* self) { static_cast<probe*>(self)->run(); };
  udp_socket<net_t> s(net);
  REQUIRE(s.open());
  REQUIRE(s.bind(lo_addr(6002)));
  SECTION("data_ready") {
    s.on_data_ready(tell, &seen);
    REQUIRE(h.send_text(s.fd(), "x", lo_addr(6002)));
    h.run();
    CHECK(seen.calls == 1);
    REQUIRE(s.connect(lo_addr(9)));
    CHECK(shutdown(net, s.fd(), shut::rd));
    CHECK(seen.calls == 2);
  }
  SECTION("write_space") {
    s.on_write_space(tell, &seen);
    REQUIRE(h.send_text(s.fd(), "x", lo_addr(6001)));
    CHECK(h.recv_text(seen.full, 0) == "x");
    CHECK(seen.calls == 1);
    CHECK(setsockopt(net, s.fd(), sol::socket, so::sndbuf, 100'000));
    CHECK(seen.calls == 1);
    h.run();
    CHECK(seen.calls == 2);
  }
  SECTION("error_report") {
    s.on_error_report(tell, &seen);
    REQUIRE(setsockopt(net, s.fd(), sol::ip, ip_opt::recverr, 1));
    for (int i = 0; i < 2; ++i) REQUIRE(h.send_text(s.fd(), "x", lo_addr(9)));
    h.run();
    u32 const inside = seen.calls;
    CHECK(inside > 0);
    CHECK(h.recv_text(s.fd(), msg::errqueue | msg::dontwait) == "x");
    CHECK(seen.calls == inside + 1);
  }
  CHECK(seen.refused);
  CHECK_FALSE(h.host.worker().polling);
  CHECK(h.recv_text(seen.idle) == "[11]");
  h.sk(seen.full).sk_wmem_alloc -= h.sk(seen.full).sk_sndbuf;
}

TEST_CASE("the typed socket is an ordinary one: handle, options, exclusive open, and an end") {
  inet_host<host> h;
  auto& net = h.net();
  udp_socket<net_t> s(net);
  CHECK(s.fd() == -1);
  CHECK(s.receive().error() == std::errc::bad_file_descriptor);
  CHECK(s.bind(lo_addr(1)).error() == std::errc::bad_file_descriptor);
  REQUIRE(s.open());
  CHECK(s.open().error() == std::errc::already_connected);
  CHECK(setsockopt(net, s.fd(), sol::socket, so::broadcast, 1));
  REQUIRE(s.bind(lo_addr(6000)));
  CHECK(s.local().value() == lo_addr(6000));
  int const other = h.udp();
  REQUIRE(h.send_text(other, "x", lo_addr(6000)));
  h.run();
  auto d = s.receive();
  REQUIRE(d);
  s.close();
  CHECK(udp_worker_of(net).socks.in_use() == 1);  // the packet outlives the socket, and owes it nothing
  CHECK(d->payload().size() == 1);
  d->skb.reset();
  CHECK(h.host.worker().pool.in_use() == 0);
  // Another socket in its slot is not this one.
  REQUIRE(h.udp() >= 0);
  CHECK_FALSE(s.is_open());
  CHECK(s.open());
}

TEST_CASE("a namespace that goes closes its typed sockets") {
  inet_host<host> h;
  auto made = h.host.copy_net_ns();
  REQUIRE(made);
  inet_host<host>::lo_up(**made);
  udp_socket<net_t> s(**made);
  REQUIRE(s.open());
  REQUIRE(s.bind(lo_addr(6000)));
  h.host.put_net(**made);
  h.run();
  CHECK_FALSE(s.is_open());
  CHECK(s.receive().error() == std::errc::bad_file_descriptor);
  CHECK(udp_worker_of(h.net()).socks.in_use() == 0);
}
