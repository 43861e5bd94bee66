// SPDX-License-Identifier: BSL-1.0
// A burst means what its datagrams mean one by one: the same to the sockets, the same answers, the same counts, in any
// mixture; and what was learned of a flow is forgotten when anything changes that decides about its datagrams.
#include "netstack/ipv4/ip_list_rcv.hpp"

#include <random>

#include "netstack/core/dev_config.hpp"
#include "netstack/ipv4/inet_offload.hpp"
#include "netstack/socket/udp_socket.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/udp/udp.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// A protocol that takes lists, and does something when it gets one.
struct lister : module {
  struct perworker {
    std::vector<u32>* lengths;
    void (*once)(void*);
    void* ctx;
  };
  static constexpr u8 protocol = 201;
  template <class Net>
  static verdict rcv(Net&, sk_buff&) {
    return verdict::consumed();
  }
  template <class Net>
  static void list_rcv(Net& net, skb_list& list) {
    auto& mine = worker_generic<lister>(net.worker());
    if (mine.lengths) mine.lengths->push_back(list.count);
    net.worker().pool.free_bulk(list);
    if (auto* f = std::exchange(mine.once, nullptr)) f(mine.ctx);
  }
  template <class Net>
  static constexpr std::array net_protocols{net_protocol<Net>{
      .protocol = protocol, .handler = rcv<Net>, .list_func = list_rcv<Net>, .no_policy = true, .name = "lister"}};
};

/// With GRO, which merges nothing of what these tests send, and which recognised packets pass by.
struct host : rig_stack<host, udp, lister, ipv4_offload> {};
using rig = ip_rig<host>;

bytes udp_right(u16 source, u16 dest, bytes const& body, be32 saddr = peer_addr, be32 daddr = our_addr) {
  bytes message = udp_message(source, dest, body);
  auto const len = static_cast<u32>(message.size());
  sum16 sum = csum_tcpudp_magic(saddr, daddr, len, ipproto::udp, csum_partial(message.data(), len, 0));
  if (sum == sum16{}) sum = csum_mangled_0;
  std::memcpy(message.data() + offsetof(udphdr, check), &sum, sizeof sum);
  return message;
}

int open_udp(rig& r, u16 port) {
  auto const fd = socket(r.net(), af::inet, sock_type::dgram);
  REQUIRE(fd);
  REQUIRE(bind(r.net(), *fd, inet_addr_of(be32{}, port)));
  return *fd;
}
/// Everything that waits at the socket.
std::vector<bytes> read_all(rig& r, int fd) {
  std::vector<bytes> all;
  u8 buffer[2048];
  while (auto const n = recv(r.net(), fd, buffer, sizeof buffer, msg::dontwait)) all.emplace_back(buffer, buffer + *n);
  return all;
}
/// Puts frames on the wire: the next poll() finds all of them.
void queue(rig& r, bytes const& packet, mac_addr const& mac = our_mac) {
  bytes frame;
  append(frame, ethhdr{mac, peer_mac, be16{eth_p::ip}});
  netdev_priv<rig_dev>(*r.eth0).rx.push_back(frame + packet);
}

/// A datagram that is mostly right, and mostly of one of few flows.
std::pair<bytes, mac_addr> any_frame(std::mt19937& random) {
  auto const one_in = [&](u32 n) { return random() % n == 0; };
  u16 const source = static_cast<u16>(5000 + (one_in(4) ? random() % 3 : 0));
  u16 const dest = one_in(8) ? u16{9} : u16{7};
  bytes body((one_in(3) ? random() % 200 : 18));
  for (auto& b : body) b = static_cast<u8>(random());
  datagram d{.protocol = ipproto::udp, .id = static_cast<u16>(random()), .payload = udp_right(source, dest, body)};
  if (one_in(3)) {
    d.protocol = ipproto::icmp;
    d.payload = echo_request(static_cast<u16>(random()), static_cast<u16>(random()), body);
  }
  mac_addr mac = our_mac;
  switch (random() % 24) {
    case 0: d.tos = static_cast<u8>(random()); break;
    case 1: d.options = {0x01, 0x01, 0x01, 0x00}; break;
    case 2: d.frag_off = ip_mf; break;
    case 3: d.check = static_cast<u16>(random()); break;
    case 4: d.payload[random() % d.payload.size()] ^= 1; break;
    case 5: d.payload.resize(random() % d.payload.size()); break;
    case 6: d.daddr = ipv4_addr("192.0.2.77"); break;
    case 7: d.saddr = ipv4_addr("192.0.2.1"); break;
    case 8: mac = mac_addr{{2, 0, 0, 0, 0, 3}}; break;
    case 9: d.ttl = static_cast<u8>(random()); break;
    case 10: d.tot_len = static_cast<u16>(random() % 300); break;
    case 11:
      if (d.protocol == ipproto::udp) d.payload[6] = d.payload[7] = 0;  // no checksum
      break;
    case 12: d.protocol = 200; break;
    case 13: d.frag_off = ip_df; break;
    default: break;
  }
  bytes packet = d.build();
  if (one_in(6)) packet.resize(packet.size() + random() % 20);  // the link's padding
  return {packet, mac};
}

template <class Mib>
std::vector<u64> values(Mib const& mib) {
  static_assert(sizeof mib % sizeof(counter) == 0);
  auto const* first = reinterpret_cast<counter const*>(&mib);
  std::vector<u64> all;
  for (std::size_t i = 0; i < sizeof mib / sizeof(counter); ++i) all.push_back(first[i].read());
  return all;
}
std::vector<u64> all_counts(rig& r) {
  std::vector<u64> all = values(r.ip());
  for (u64 v : values(r.icmp())) all.push_back(v);
  for (u64 v : values(UDP_STATS(r.net()))) all.push_back(v);
  for (auto const& d : r.net().drops) all.push_back(d.read());
  return all;
}

}  // namespace

TEST_CASE("bursts of any mixture mean what their datagrams mean one by one", "[S81][S121]") {
  std::mt19937 random{20};
  for (int round = 0; round < 60; ++round) {
    rig burst, single;
    rig* const both[] = {&burst, &single};
    int fd[2], other[2];
    for (int i = 0; i < 2; ++i) fd[i] = open_udp(*both[i], 7), other[i] = open_udp(*both[i], 9);
    if (round % 3 == 1)
      for (int i = 0; i < 2; ++i) REQUIRE(connect(both[i]->net(), other[i], inet_addr_of(peer_addr, 5000)));
    netdev_priv<rig_dev>(*burst.eth0).recognises = round % 2 == 0;
    if (round % 3 == 0) dev_set_features(burst.net(), *burst.eth0, 0);  // no GRO
    if (round % 4 == 1 || round % 8 == 2)
      for (rig* r : both) netdev_priv<rig_dev>(*r->eth0).summed = ip_summed::unnecessary;
    for (int turn = 0; turn < 8; ++turn) {
      auto const n = static_cast<u32>(1 + random() % 60);
      for (u32 i = 0; i < n; ++i) {
        auto const [packet, mac] = any_frame(random);
        queue(burst, packet, mac);
        queue(single, packet, mac);
        single.run();
      }
      burst.run();
      CAPTURE(round, turn);
      REQUIRE(read_all(burst, fd[0]) == read_all(single, fd[1]));
      REQUIRE(read_all(burst, other[0]) == read_all(single, other[1]));
      auto const a = burst.sent(), b = single.sent();
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a[i].frame == b[i].frame);
      REQUIRE(all_counts(burst) == all_counts(single));
    }
    CHECK(burst.host.worker().pool.in_use() == 0);
  }
}

TEST_CASE("pings of a burst are answered in order, each with its own data and identification", "[S156]") {
  rig r;
  for (u16 i = 0; i < 40; ++i)
    queue(r, datagram{.id = i, .payload = echo_request(7, i, bytes(i, static_cast<u8>(i)))}.build());
  r.run();
  auto const sent = r.sent();
  REQUIRE(sent.size() == 40);
  std::vector<bool> seen(65536);
  for (u16 i = 0; i < 40; ++i) {
    CHECK(sent[i].is_sound());
    CHECK(sent[i].icmp().type == icmp_type::echoreply);
    CHECK(sent[i].payload(sizeof(icmphdr)) == bytes(i, static_cast<u8>(i)));
    CHECK(sent[i].eth().h_dest == peer_mac);
    u16 const id = sent[i].ip().id.host();
    CHECK_FALSE(seen[id]);
    seen[id] = true;
  }
  CHECK(r.icmp().InMsgs.read() == 40);
  CHECK(r.icmp().OutMsgs.read() == 40);
  CHECK(sk_wmem_alloc_get(*r.ns().icmp_sk) == 0);
  CHECK(r.host.worker().pool.in_use() == 0);
}

namespace {

/// A flow to port 7 that the device has learned.
struct learned {
  rig r;
  int fd = open_udp(r, 7);
  bytes const packet = datagram{.protocol = ipproto::udp, .payload = udp_right(5000, 7, bytes(18, 0x5a))}.build();

  explicit learned(bool recognises) {
    netdev_priv<rig_dev>(*r.eth0).recognises = recognises;
    learn();
    arrive(1);
    REQUIRE(read_all(r, fd).size() == 1);
  }
  void learn() {
    arrive(3);
    REQUIRE(read_all(r, fd).size() == 3);
    REQUIRE(knows());
  }
  bool knows() { return in_dev_get(*r.eth0)->rx_flow.genid == r.host.worker().softnet.flow_genid; }
  void arrive(int n) {
    for (int i = 0; i < n; ++i) queue(r, packet);
    r.run();
  }
};

}  // namespace

TEST_CASE("a flow is forgotten when its socket goes, or a better one comes") {
  learned t{GENERATE(false, true)};
  int const better = *socket(t.r.net(), af::inet, sock_type::dgram);
  REQUIRE(setsockopt(t.r.net(), t.fd, sol::socket, so::reuseaddr, 1));
  REQUIRE(setsockopt(t.r.net(), better, sol::socket, so::reuseaddr, 1));
  t.learn();
  REQUIRE(bind(t.r.net(), better, inet_addr_of(our_addr, 7)));
  t.arrive(2);
  CHECK(read_all(t.r, t.fd).empty());
  CHECK(read_all(t.r, better).size() == 2);
  REQUIRE(t.knows());
  REQUIRE(connect(t.r.net(), better, inet_addr_of(peer_addr, 6000)));  // now it wants another sender only
  t.arrive(2);
  CHECK(read_all(t.r, better).empty());
  CHECK(read_all(t.r, t.fd).size() == 2);
  REQUIRE(t.knows());
  REQUIRE(close(t.r.net(), t.fd));
  (void)t.r.sent();
  t.arrive(2);
  auto const sent = t.r.sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].icmp().code == icmp_code::port_unreach);
  t.r.still_alive();
}

TEST_CASE("what others do with their lists ends a flow in the midst of a burst") {
  learned t{GENERATE(false, true)};
  auto const other = datagram{.protocol = lister::protocol, .payload = bytes(18)}.build();
  auto& lists = worker_generic<lister>(t.r.host.worker());
  std::vector<u32> lengths;
  lists.lengths = &lengths;
  lists.ctx = &t;
  SECTION("its neighbours stay together") {
    for (int i = 0; i < 5; ++i) queue(t.r, other);
    t.arrive(2);
    CHECK(lengths == std::vector<u32>{5});
    CHECK(read_all(t.r, t.fd).size() == 2);
  }
  SECTION("its socket goes") {
    lists.once = [](void* self) {
      auto& l = *static_cast<learned*>(self);
      REQUIRE(close(l.r.net(), l.fd));
    };
    queue(t.r, other);
    t.arrive(2);
    CHECK(UDP_STATS(t.r.net()).NoPorts.read() == 2);
  }
  SECTION("the next datagram's route goes, before a flow is learned from it") {
    REQUIRE(connect(t.r.net(), t.fd, inet_addr_of(peer_addr, 5000)));
    REQUIRE_FALSE(t.knows());
    lists.once = [](void* self) { rt_cache_flush(static_cast<learned*>(self)->r.net()); };
    queue(t.r, other);
    t.arrive(1);
    CHECK(read_all(t.r, t.fd).size() == 1);
    CHECK_FALSE(t.knows());
    dst_entry const* const kept = sockfs::table_of(t.r.net()).find(t.fd)->sk->sk_rx_dst;
    CHECK_FALSE((kept && kept->obsolete));
    t.learn();
  }
  t.r.still_alive();
}

TEST_CASE("a flow is forgotten when its socket is bound to another device") {
  learned t{GENERATE(false, true)};
  auto* const other = t.r.add_device({}, "198.51.100.1/24");
  t.learn();
  REQUIRE(setsockopt(t.r.net(), t.fd, sol::socket, so::bindtoifindex, static_cast<int>(other->ifindex)));
  t.arrive(2);
  CHECK(read_all(t.r, t.fd).empty());
  CHECK(UDP_STATS(t.r.net()).NoPorts.read() == 2);
}

TEST_CASE("a flow is forgotten when its socket leaves its reuseport group") {
  rig r;
  int group[2];
  for (int& fd : group) {
    fd = *socket(r.net(), af::inet, sock_type::dgram);
    REQUIRE(setsockopt(r.net(), fd, sol::socket, so::reuseport, 1));
    REQUIRE(bind(r.net(), fd, inet_addr_of(be32{}, 7)));
  }
  auto const arrive = [&](u16 source) {
    queue(r, datagram{.protocol = ipproto::udp, .payload = udp_right(source, 7, bytes(3))}.build());
    r.run();
  };
  u16 source = 5000;  // of a flow that the older one of them gets
  while (arrive(source), read_all(r, group[0]).empty()) REQUIRE(++source < 5100);
  (void)read_all(r, group[1]);
  arrive(source);
  REQUIRE(read_all(r, group[0]).size() == 1);
  REQUIRE(setsockopt(r.net(), group[1], sol::socket, so::reuseport, 0));
  arrive(source);
  CHECK(read_all(r, group[1]).size() == 1);
}

TEST_CASE("any control operation makes every flow be learned anew") {
  learned t{GENERATE(false, true)};
  REQUIRE(sysctl_write(t.r.net(), "net/ipv4/ip_default_ttl", "65"));
  CHECK_FALSE(t.knows());
  t.learn();
}

TEST_CASE("the link's padding is cut off each datagram of a flow") {
  rig r;
  udp_socket<rig::net_t> s{r.net()};
  REQUIRE(s.open());
  REQUIRE(s.bind(inet_addr_of(be32{}, 7)));
  struct {
    u32 seen = 0, exact = 0;
  } counts;
  s.on_datagrams(
      [](void* self, skb_list& list) {
        auto& c = *static_cast<decltype(counts)*>(self);
        for (sk_buff& skb : list) ++c.seen, c.exact += skb.len == 3 && skb.tail == skb.data + 3;
      },
      &counts);
  bytes packet = datagram{.protocol = ipproto::udp, .payload = udp_right(5000, 7, bytes(3, 0x5a))}.build();
  packet.resize(46);
  for (int i = 0; i < 8; ++i) queue(r, packet);
  r.run();
  CHECK(counts.seen == 8);
  CHECK(counts.exact == 8);
}

TEST_CASE("a flow is forgotten when the address, a setting or the device changes") {
  SECTION("address") {
    learned t{GENERATE(false, true)};
    REQUIRE(inet_addr_del(t.r.net(), t.r.eth0->ifindex, *ipv4_prefix::make(our_addr, 24)));
    t.arrive(2);
    CHECK(read_all(t.r, t.fd).empty());
  }
  SECTION("route back, which rp_filter asks for") {
    learned t{GENERATE(false, true)};
    auto* const other = t.r.add_device({}, "198.51.100.1/24");
    REQUIRE(ip_route_add(t.r.net(), {.fc_dst_len = 32, .fc_dst = peer_addr, .fc_oif = other->ifindex}));
    t.arrive(2);
    CHECK(read_all(t.r, t.fd).size() == 2);
    REQUIRE(sysctl_write(t.r.net(), "net/ipv4/conf/eth0/rp_filter", "1"));
    t.arrive(2);
    CHECK(read_all(t.r, t.fd).empty());
    CHECK(t.r.drops(drop_reason::ip_rpfilter) == 2);
  }
  SECTION("device down and up") {
    learned t{GENERATE(false, true)};
    dev_close(t.r.net(), *t.r.eth0);
    t.arrive(2);
    CHECK(read_all(t.r, t.fd).empty());
    netdev_priv<rig_dev>(*t.r.eth0).rx.clear();
    REQUIRE(dev_open(t.r.net(), *t.r.eth0));
    t.arrive(2);
    CHECK(read_all(t.r, t.fd).size() == 2);
  }
  SECTION("pings") {
    rig r;
    auto const ping = datagram{.payload = echo_request(1, 1, bytes(8))}.build();
    for (int i = 0; i < 3; ++i) queue(r, ping);
    r.run();
    CHECK(r.sent().size() == 3);
    REQUIRE(sysctl_write(r.net(), "net/ipv4/icmp_echo_ignore_all", "1"));
    for (int i = 0; i < 3; ++i) queue(r, ping);
    r.run();
    CHECK(r.sent().empty());
    CHECK(r.drops(drop_reason::icmp_ignored) == 3);
  }
}
