// SPDX-License-Identifier: BSL-1.0
// The families of faults that broke other stacks, as far as UDP and its sockets are concerned: after each the stack
// still answers ARP and ping, holds no packet, and (under ASan) has read nothing that it was not given.
#include "netstack/base/random.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/udp/udp.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : rig_stack<host, udp> {};

struct udp_rig : ip_rig<host> {
  /// A bound socket that tells everything it can about a datagram.
  int socket_on(u16 port) {
    auto const fd = netstack::socket(net(), af::inet, sock_type::dgram | sock_type::nonblock);
    REQUIRE(fd);
    REQUIRE(bind(net(), *fd, inet_addr_of({}, port)));
    for (int option : {ip_opt::pktinfo, ip_opt::recvttl, ip_opt::recvtos, ip_opt::recvopts, ip_opt::recvorigdstaddr})
      REQUIRE(setsockopt(net(), *fd, sol::ip, option, 1));
    return *fd;
  }
  /// The payload of the next datagram; nothing: none waits.
  std::optional<bytes> receive_from(int fd) {
    bytes payload(2048);
    std::array<std::byte, 512> control;
    iovec const part{payload.data(), payload.size()};
    msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
    auto const n = recvmsg(net(), fd, m);
    if (!n) return {};
    payload.resize(*n);
    return payload;
  }
  int pending(int fd) { return getsockopt(net(), fd, sol::socket, so::error).value(); }
  udp_mib& stats() { return UDP_STATS(net()); }
};

/// A UDP message whose length field says `length`.
bytes claiming(u16 length, bytes const& body) {
  bytes out = udp_message(5000, 7, body);
  be16 const said{length};
  std::memcpy(out.data() + offsetof(udphdr, len), &said, sizeof said);
  return out;
}

}  // namespace

TEST_CASE("Ripple20: UDP lengths that disagree with IP's", "[Ripple20]") {
  udp_rig rig;
  int const fd = rig.socket_on(7);
  bytes const body(40, 0x41);
  u16 const whole = static_cast<u16>(udp_hlen + body.size());
  u64 bad = 0;
  for (u32 said = 0; said <= 0xffff; said += said < 64 ? 1 : 977) {
    rig.inject({.protocol = ipproto::udp, .payload = claiming(static_cast<u16>(said), body)});
    auto const got = rig.receive_from(fd);
    bool const good = said >= udp_hlen && said <= whole;
    bad += !good;
    REQUIRE(got.has_value() == good);
    if (good) CHECK(*got == bytes(said - udp_hlen, 0x41));  // what lies behind is nobody's
  }
  CHECK(rig.drops(drop_reason::udp_hdr) == bad);
  // Cut at every length, in frames that end there.
  bytes const message = udp_message(5000, 7, body);
  for (std::size_t n = 0; n < message.size(); ++n)
    rig.inject({.protocol = ipproto::udp, .payload = bytes(message.begin(), message.begin() + static_cast<long>(n))});
  CHECK(rig.drops(drop_reason::udp_hdr) == bad + message.size());
  CHECK_FALSE(rig.receive_from(fd));
  CHECK(rig.sent().empty());
  rig.still_alive();
}

TEST_CASE("RFC 5927: an error about a datagram that was not sent from here reaches no socket", "[RFC5927][Ripple20]") {
  udp_rig rig;
  int const fd = rig.socket_on(5000);
  REQUIRE(setsockopt(rig.net(), fd, sol::ip, ip_opt::recverr, 1));
  REQUIRE(connect(rig.net(), fd, inet_addr_of(peer_addr, 53)));
  auto const report = [&](be32 from, be32 to, bytes const& message, std::size_t keep = 100) {
    bytes quote = datagram{.saddr = from, .daddr = to, .protocol = ipproto::udp, .payload = message}.build();
    quote.resize(std::min(keep, quote.size()));
    rig.inject({.payload = icmp_message(icmp_type::dest_unreach, icmp_code::port_unreach, 0, quote)});
    return rig.pending(fd);
  };
  bytes const ours = udp_message(5000, 53, bytes(8));
  CHECK(report(peer_addr, our_addr, ours) == 0);                             // sent by the peer
  CHECK(report(our_addr, ipv4_addr("192.0.2.8"), ours) == 0);                // to somebody else
  CHECK(report(our_addr, peer_addr, udp_message(5001, 53, bytes(8))) == 0);  // from another port
  CHECK(report(our_addr, peer_addr, udp_message(5000, 54, bytes(8))) == 0);  // to another port
  for (std::size_t keep = 0; keep < 28; ++keep) CHECK(report(our_addr, peer_addr, ours, keep) == 0);
  char byte;
  CHECK(recv(rig.net(), fd, &byte, 1, msg::errqueue).error() == std::errc::resource_unavailable_try_again);
  CHECK(report(our_addr, peer_addr, ours, 28) == static_cast<int>(std::errc::connection_refused));
  REQUIRE(close(rig.net(), fd));  // with what waits in its error queue
  (void)rig.sent();
  rig.still_alive();
}

TEST_CASE("LAND: a datagram from the socket's own address to itself makes no loop", "[LAND]") {
  udp_rig rig;
  int const fd = rig.socket_on(7);
  for (be32 const source : {our_addr, ipv4_addr("127.0.0.1"), inaddr_broadcast})
    for (be32 const to : {our_addr, ipv4_addr("192.0.2.255"), inaddr_broadcast})
      rig.inject({.saddr = source, .daddr = to, .protocol = ipproto::udp, .payload = udp_message(7, 7, bytes(8))},
                 to == our_addr ? our_mac : mac_broadcast);
  CHECK_FALSE(rig.receive_from(fd));
  CHECK(rig.sent().empty());
  CHECK(rig.stats().InDatagrams.read() == 0);
  rig.still_alive();
}

TEST_CASE("URGENT/11: options reach a reader within their room, and the answer to a closed port is whole",
          "[URGENT/11]") {
  udp_rig rig;
  int const fd = rig.socket_on(7);
  REQUIRE(setsockopt(rig.net(), fd, sol::ip, ip_opt::retopts, 1));
  prng random{9};
  bytes const kinds{ipopt::lsrr, ipopt::ssrr, ipopt::rr, ipopt::timestamp, ipopt::noop, ipopt::end, ipopt::cipso};
  u32 received = 0, refused = 0;
  for (int i = 0; i < 5000; ++i) {
    bytes options;
    while (options.size() < 40) {
      u8 const kind = kinds[random.next_u32() % kinds.size()];
      options.push_back(kind);
      if (kind <= ipopt::noop) continue;
      options.push_back(static_cast<u8>(3 + 4 * (random.next_u32() % 5)));
      options.push_back(static_cast<u8>(4 + 4 * (random.next_u32() % 6)));
      for (u8 n = 3; n < options.end()[-2]; ++n) options.push_back(static_cast<u8>(random.next_u32()));
    }
    options.resize(40);
    u16 const port = random.next_u32() % 2 ? 7 : 1;
    rig.inject({.protocol = ipproto::udp, .options = options, .payload = udp_message(5000, port, bytes(8))});
    received += rig.receive_from(fd).has_value();
    for (auto const& f : rig.sent()) {
      if (!f.is_ip()) continue;
      CHECK(f.is_sound());
      ++refused;
    }
    rig.clock.advance(1'000'000'000);
  }
  CHECK(received > 100);
  CHECK(refused > 100);
  rig.run_for(60'000'000'000);
  rig.still_alive();
}

TEST_CASE("random datagrams at sockets of every kind", "[AMNESIA:33][Ripple20]") {
  udp_rig rig;
  prng random{42};
  auto const below = [&](u32 n) { return random.next_u32() % n; };
  std::array const fds{rig.socket_on(7), rig.socket_on(9), rig.socket_on(11)};
  REQUIRE(connect(rig.net(), fds[1], inet_addr_of(peer_addr, 9)));
  REQUIRE(setsockopt(rig.net(), fds[2], sol::socket, so::rcvbuf, 0));
  be32 const targets[] = {our_addr, our_addr, our_addr, ipv4_addr("192.0.2.255"), inaddr_allhosts_group};
  u32 received = 0;
  for (u32 i = 0; i < 30'000; ++i) {
    bytes body(below(64));
    for (u8& b : body) b = static_cast<u8>(random.next_u32());
    bytes message = udp_message(below(2) ? 9 : 5000, static_cast<u16>(7 + below(6)), body);
    for (u32 flips = below(3); flips > 0; --flips)
      message[below(static_cast<u32>(message.size()))] ^= static_cast<u8>(1u << below(8));
    message.resize(message.size() - below(4) * (below(8) == 0));
    be32 const to = targets[below(5)];
    rig.inject({.daddr = to, .protocol = ipproto::udp, .payload = message}, to == our_addr ? our_mac : mac_broadcast);
    if (below(4) == 0)
      for (int fd : fds) received += rig.receive_from(fd).has_value();
    if (i % 500 == 0) rig.run_for(1'000'000'000);
  }
  CHECK(received > 5000);
  CHECK(rig.stats().RcvbufErrors.read() > 100);
  CHECK(rig.drops(drop_reason::udp_csum) > 100);
  for (int fd : fds) REQUIRE(close(rig.net(), fd));
  (void)rig.sent();
  rig.still_alive();
}
