// SPDX-License-Identifier: BSL-1.0
// Received datagrams: lengths, checksums, who gets them, and what happens when nobody can.
#include "netstack/udp/udp_input.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp, packet_tap> {};

/// An IPv4 packet with a UDP datagram, as it would come in by lo. Tests spoil it before it is injected.
struct raw_packet {
  iphdr ip{.ttl = 64, .protocol = ipproto::udp, .saddr = be32{0x7f000009}, .daddr = localhost};
  udphdr udp{.source = be16{999}, .dest = be16{53}};
  std::string payload = "payload";
  std::size_t cut = ~std::size_t{0};  ///< of the frame
  bool good_csum = true;
  bool no_csum = false;
  std::size_t trailer = 0;  ///< bytes in the IP packet beyond the datagram

  std::vector<u8> bytes() {
    auto const ulen = static_cast<u16>(udp_hlen + payload.size());
    if (udp.len == be16{}) udp.len = be16{ulen};
    std::vector<u8> out(sizeof ip + udp_hlen + payload.size() + trailer);
    ip.tot_len = be16{static_cast<u16>(out.size())};
    ip.check = {};
    ip.check = ip_fast_csum(&ip, 5);
    std::memcpy(out.data(), &ip, sizeof ip);
    std::memcpy(out.data() + sizeof ip, &udp, udp_hlen);
    std::memcpy(out.data() + sizeof ip + udp_hlen, payload.data(), payload.size());
    if (!no_csum) {
      sum16 check =
          csum_tcpudp_magic(ip.saddr, ip.daddr, ulen, ipproto::udp, csum_partial(out.data() + sizeof ip, ulen, 0));
      if (check.raw() == 0) check = csum_mangled_0;
      if (!good_csum) check = sum16{static_cast<u16>(check.raw() ^ 0x0101)};
      std::memcpy(out.data() + sizeof ip + offsetof(udphdr, check), &check, sizeof check);
    }
    if (cut < out.size()) out.resize(cut);
    return out;
  }
};

void inject(inet_host<host>& h, raw_packet p, ip_summed summed = ip_summed::none) {
  auto& net = h.net();
  auto const bytes = p.bytes();
  sk_buff* skb = net.worker().pool.alloc_skb();
  REQUIRE(skb);
  std::memcpy(skb->put(static_cast<u32>(bytes.size())), bytes.data(), bytes.size());
  skb->dev = net.loopback_dev;
  skb->protocol = be16{eth_p::ip};
  skb->ip_summed = summed;
  if (summed == ip_summed::complete) skb->csum = csum_partial(bytes.data(), bytes.size(), 0);
  REQUIRE(netif_rx(net, *skb));
  h.run();
}

struct counts {
  u64 InDatagrams, NoPorts, InErrors, RcvbufErrors, InCsumErrors, IgnoredMulti, MemErrors;
  friend bool operator==(counts const&, counts const&) = default;
};
std::ostream& operator<<(std::ostream& out, counts const& c) {
  return out << c.InDatagrams << ' ' << c.NoPorts << ' ' << c.InErrors << ' ' << c.RcvbufErrors << ' ' << c.InCsumErrors
             << ' ' << c.IgnoredMulti << ' ' << c.MemErrors;
}
counts mib(inet_host<host>& h) {
  auto& m = UDP_STATS(h.net());
  return {m.InDatagrams.read(),  m.NoPorts.read(),      m.InErrors.read(), m.RcvbufErrors.read(),
          m.InCsumErrors.read(), m.IgnoredMulti.read(), m.MemErrors.read()};
}
u64 drops(inet_host<host>& h, drop_reason reason) { return h.net().drops[static_cast<std::size_t>(reason)].read(); }

}  // namespace

TEST_CASE("a datagram reaches its socket with its payload, its sender, and nothing else", "[S105]") {
  inet_host<host> h;
  int const fd = h.udp(53);
  inject(h, {});
  sockaddr_in from;
  CHECK(h.recv_text(fd, msg::dontwait, &from) == "payload");
  CHECK(from == inet_addr_of(be32{0x7f000009}, 999));
  CHECK(mib(h) == counts{1, 0, 0, 0, 0, 0, 0});
  raw_packet empty;
  empty.payload.clear();
  inject(h, empty);
  CHECK(h.recv_text(fd).empty());
  CHECK(h.recv_text(fd) == eagain);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("lengths that disagree are dropped under udp_hdr, and padding is cut off") {
  inet_host<host> h;
  int const fd = h.udp(53);
  u64 errors = 0;
  for (int const len : {0, 1, 7, 16, 200, 65535}) {
    raw_packet p;
    p.udp.len = be16{static_cast<u16>(len)};
    if (len == 0) p.udp.len = be16{1}, p.payload.clear();
    CAPTURE(len);
    inject(h, p);
    CHECK(drops(h, drop_reason::udp_hdr) == ++errors);
  }
  for (std::size_t part = 0; part < udp_hlen; ++part) {  // an IP packet that ends within the header
    raw_packet p;
    p.payload.clear();
    auto bytes = p.bytes();
    iphdr ip = p.ip;
    ip.tot_len = be16{static_cast<u16>(sizeof ip + part)};
    ip.check = {};
    ip.check = ip_fast_csum(&ip, 5);
    std::memcpy(bytes.data(), &ip, sizeof ip);
    sk_buff* skb = h.net().worker().pool.alloc_skb();
    std::memcpy(skb->put(static_cast<u32>(sizeof ip + part)), bytes.data(), sizeof ip + part);
    skb->dev = h.net().loopback_dev;
    skb->protocol = be16{eth_p::ip};
    REQUIRE(netif_rx(h.net(), *skb));
    h.run();
    CHECK(drops(h, drop_reason::udp_hdr) == ++errors);
  }
  CHECK(mib(h) == counts{0, 0, errors, 0, 0, 0, 0});
  CHECK(h.recv_text(fd) == eagain);
  raw_packet padded;
  padded.trailer = 10;
  inject(h, padded);
  CHECK(h.recv_text(fd) == "payload");
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("checksums: right, wrong, none, vouched for", "[S112]") {
  inet_host<host> h;
  int const fd = h.udp(53);
  raw_packet bad, none;
  bad.good_csum = false;
  none.no_csum = true;
  inject(h, bad);
  CHECK(mib(h) == counts{0, 0, 1, 0, 1, 0, 0});
  CHECK(drops(h, drop_reason::udp_csum) == 1);
  CHECK(h.sk(fd).sk_drops == 1);
  CHECK(h.recv_text(fd) == eagain);
  inject(h, none);  // RFC 1122 §4.1.3.4: the sender made none
  CHECK(h.recv_text(fd) == "payload");
  inject(h, bad, ip_summed::unnecessary);  // somebody looked already
  CHECK(h.recv_text(fd) == "payload");
  inject(h, {}, ip_summed::complete);
  CHECK(h.recv_text(fd) == "payload");
  inject(h, bad, ip_summed::complete);
  CHECK(h.recv_text(fd) == eagain);
  CHECK(mib(h).InCsumErrors == 2);
  // A wrong checksum for a port that nobody has says nothing about the port.
  bad.udp.dest = be16{54};
  inject(h, bad);
  CHECK(mib(h).InCsumErrors == 3);
  CHECK(mib(h).NoPorts == 0);
}

TEST_CASE("nobody's datagram counts and is answered with port unreachable", "[S164]") {
  inet_host<host> h;
  std::vector<std::vector<u8>> seen;
  worker_generic<packet_tap>(h.host.worker()).seen = &seen;
  inject(h, {});
  CHECK(mib(h) == counts{0, 1, 0, 0, 0, 0, 0});
  CHECK(drops(h, drop_reason::no_socket) == 1);
  REQUIRE(seen.size() == 2);
  auto const& answer = seen[1];
  REQUIRE(answer.size() >= 20 + 8 + 28);
  CHECK(answer[9] == ipproto::icmp);
  CHECK(answer[20] == icmp_type::dest_unreach);
  CHECK(answer[21] == icmp_code::port_unreach);
  CHECK(std::equal(seen[0].begin(), seen[0].begin() + 28, answer.begin() + 28));  // it quotes the datagram
}

TEST_CASE("a broadcast reaches every socket that wants it, and is never answered", "[S149]") {
  inet_host<host> h;
  auto& net = h.net();
  auto const open = [&](u32 addr) {
    int const fd = h.udp();
    REQUIRE(setsockopt(net, fd, sol::socket, so::reuseaddr, 1));
    REQUIRE(bind(net, fd, inet_addr_of(be32{addr}, 53)));
    return fd;
  };
  int const any1 = open(0), any2 = open(0), exact = open(0xffffffff), local = open(0x7f000001);
  int const connected = open(0);
  REQUIRE(connect(net, connected, lo_addr(1)));
  raw_packet p;
  p.ip.daddr = inaddr_broadcast;
  inject(h, p);
  for (int fd : {any1, any2, exact}) CHECK(h.recv_text(fd) == "payload");
  CHECK(h.recv_text(local) == eagain);      // bound to an address that it was not sent to
  CHECK(h.recv_text(connected) == eagain);  // connected to somebody else
  CHECK(mib(h).NoPorts == 0);
  p.udp.dest = be16{99};
  inject(h, p);
  CHECK(mib(h).IgnoredMulti == 1);
  CHECK(mib(h).NoPorts == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("sockets may be closed by a callback while a broadcast is handed out") {
  inet_host<host> h;
  auto& net = h.net();
  std::vector<int> fds;
  for (int i = 0; i < 4; ++i) {
    int const fd = h.udp();
    REQUIRE(setsockopt(net, fd, sol::socket, so::reuseaddr, 1));
    REQUIRE(bind(net, fd, inet_addr_of({}, 53)));
    fds.push_back(fd);
  }
  struct context {
    inet_host<host>* h;
    std::vector<int>* fds;
    int calls = 0;
  } c{&h, &fds};
  for (int fd : fds) {
    h.sk(fd).sk_user_data = &c;
    static constexpr sock_callbacks close_all{.data_ready = [](sock& sk) {
      auto& ctx = *static_cast<context*>(sk.sk_user_data);
      if (ctx.calls++ != 0) return;
      for (int f : *ctx.fds) REQUIRE(close(ctx.h->net(), f));
    }};
    h.sk(fd).sk_callbacks = &close_all;
  }
  raw_packet p;
  p.ip.daddr = inaddr_broadcast;
  inject(h, p);
  CHECK(c.calls == 1);
  CHECK(udp_worker_of(net).socks.in_use() == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("SO_RCVBUF bounds what waits; what does not fit is counted and told", "[S46][S48]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvbuf, 20'000));
  REQUIRE(setsockopt(net, fd, sol::socket, so::rxq_ovfl, 1));
  u32 const truesize = [&] {
    inject(h, {});
    return h.sk(fd).sk_rmem_alloc;
  }();
  u32 const room = 40'000 / truesize + 1;  // the last one may overshoot
  for (u32 i = 1; i < room + 5; ++i) inject(h, {});
  CHECK(h.sk(fd).sk_receive_queue.qlen() == room);
  CHECK(h.sk(fd).sk_rmem_alloc == room * truesize);
  CHECK(h.sk(fd).sk_drops == 5);
  CHECK(mib(h) == counts{0, 0, 5, 5, 0, 0, 0});
  CHECK(drops(h, drop_reason::socket_rcvbuff) == 5);
  for (u32 i = 0; i < room; ++i) CHECK(h.recv_text(fd) == "payload");
  CHECK(h.sk(fd).sk_rmem_alloc == 0);
  // The next one to arrive tells how many were lost before it.
  inject(h, {});
  char buf[16];
  alignas(8) std::byte control[64];
  iovec const part{buf, sizeof buf};
  msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
  REQUIRE(recvmsg(net, fd, m));
  u32 told = 0;
  for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
    if (c.level == sol::socket && c.type == scm::rxq_ovfl) told = c.as<u32>();
    return true;
  });
  CHECK(told == 5);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("udp_mem bounds what all sockets hold together; each may have its rmem_min", "[S150]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(sysctl_write(net, "net/ipv4/udp_mem", "8 8 16"));
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvbufforce, 1'000'000));
  for (int i = 0; i < 100; ++i) inject(h, {});
  CHECK(udp_worker_of(net).memory.allocated <= 8);
  CHECK(udp_worker_of(net).memory.allocated > 4);
  auto const c = mib(h);
  CHECK(c.MemErrors > 80);
  CHECK(c.InErrors == c.MemErrors);
  CHECK(c.RcvbufErrors == 0);
  // Another socket still gets its minimum.
  int const second = h.udp(54);
  raw_packet p;
  p.udp.dest = be16{54};
  inject(h, p);
  CHECK(h.recv_text(second) == "payload");
  REQUIRE(close(net, fd));
  REQUIRE(close(net, second));
  CHECK(udp_worker_of(net).memory.allocated == 0);
  CHECK(udp_worker_of(net).memory.sockets_allocated == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("what comes while a call owns the socket waits in its backlog, in order", "[S97]") {
  inet_host<host> h;
  int const fd = h.udp(53);
  auto& sk = h.sk(fd);
  REQUIRE(lock_sock(sk));
  CHECK(lock_sock(sk).error() == std::errc::resource_deadlock_would_occur);
  for (char c : {'1', '2', '3'}) {
    raw_packet p;
    p.payload = c;
    inject(h, p);
  }
  CHECK(sk.sk_receive_queue.empty());
  CHECK(sk.sk_backlog.qlen() == 3);
  release_sock(h.net(), sk);
  for (char const* text : {"1", "2", "3"}) CHECK(h.recv_text(fd) == text);
  CHECK(sk.sk_backlog_len == 0);
  // It is bounded by both buffers together.
  REQUIRE(lock_sock(sk));
  sk.sk_rcvbuf = sk.sk_sndbuf = 5000;
  for (int i = 0; i < 20; ++i) inject(h, {});
  CHECK(sk.sk_backlog.qlen() < 6);
  CHECK(drops(h, drop_reason::socket_backlog) > 14);
  release_sock(h.net(), sk);
  REQUIRE(close(h.net(), fd));
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("an established flow skips the route lookup, with the same result", "[S117][S93]") {
  for (bool const demux : {true, false}) {
    inet_host<host> h;
    auto& net = h.net();
    REQUIRE(sysctl_write(net, "net/ipv4/udp_early_demux", demux ? "1" : "0"));
    int const fd = h.udp(53);
    REQUIRE(connect(net, fd, inet_addr_of(be32{0x7f000009}, 999)));
    auto const borrowed = [&] { return h.sk(fd).sk_rx_dst ? h.sk(fd).sk_rx_dst->refcnt : 0; };
    inject(h, {});
    CHECK(borrowed() > 0);  // learned from the first packet
    // From the second packet on the route comes with the socket: made unusable, it must be looked up again.
    sk_buff* skb = net.worker().pool.alloc_skb();
    raw_packet p;
    auto const bytes = p.bytes();
    std::memcpy(skb->put(static_cast<u32>(bytes.size())), bytes.data(), bytes.size());
    skb->dev = net.loopback_dev;
    skb->skb_iif = net.loopback_dev->ifindex;
    skb->reset_network_header();
    skb->pkt_type = pkt_type::host;
    IPCB(*skb) = {.iif = skb->skb_iif};
    udp_v4_early_demux(net, *skb);
    CHECK((skb->sk == &h.sk(fd)) == demux);
    CHECK((skb->dst != nullptr) == demux);
    consume_skb(*skb);
    for (int i = 0; i < 5; ++i) inject(h, {});
    for (int i = 0; i < 6; ++i) CHECK(h.recv_text(fd) == "payload");
    CHECK(h.recv_text(fd) == eagain);
    CHECK(h.sk(fd).sk_refcnt == 1);
    raw_packet stranger;
    stranger.ip.saddr = be32{0x7f000008};
    inject(h, stranger);  // the filter of a connected socket
    CHECK(h.recv_text(fd) == eagain);
    CHECK(mib(h).NoPorts == 1);
    REQUIRE(close(net, fd));
    CHECK(h.host.worker().pool.in_use() == 0);
  }
}
