// SPDX-License-Identifier: BSL-1.0
// ICMP errors: the right errno on the right socket, and the error queue.
#include "netstack/udp/udp_err.hpp"

#include "netstack/core/dev_config.hpp"
#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp> {};

constexpr be32 peer{0x7f000009}, router{0x7f000077};

/// An ICMP error as a router would send it about a datagram of ours, `quoted` payload bytes of it included.
void inject_error(inet_host<host>& h, u8 type, u8 code, u16 sport, u16 dport, std::string_view quoted = {},
                  u16 mtu = 0) {
  auto& net = h.net();
  sk_buff* skb = net.worker().pool.alloc_skb();
  REQUIRE(skb);
  if (!quoted.empty()) std::memcpy(skb->put(static_cast<u32>(quoted.size())), quoted.data(), quoted.size());
  *skb->push<udphdr>() = {
      .source = be16{sport}, .dest = be16{dport}, .len = be16{static_cast<u16>(udp_hlen + quoted.size())}};
  iphdr inner{.ttl = 1, .protocol = ipproto::udp, .saddr = localhost, .daddr = peer};
  inner.tot_len = be16{static_cast<u16>(skb->len + sizeof(iphdr))};
  inner.check = ip_fast_csum(&inner, 5);
  *skb->push<iphdr>() = inner;
  icmphdr icmph{.type = type, .code = code};
  icmph.un.set_mtu(be16{mtu});
  *skb->push<icmphdr>() = icmph;
  sum16 const check = ip_compute_csum(skb->data, skb->len);
  std::memcpy(skb->data + offsetof(icmphdr, checksum), &check, sizeof check);
  iphdr outer{.ttl = 64, .protocol = ipproto::icmp, .saddr = router, .daddr = localhost};
  outer.tot_len = be16{static_cast<u16>(skb->len + sizeof(iphdr))};
  outer.check = ip_fast_csum(&outer, 5);
  *skb->push<iphdr>() = outer;
  skb->dev = net.loopback_dev;
  skb->protocol = be16{eth_p::ip};
  REQUIRE(netif_rx(net, *skb));
  h.run();
}

int pending(inet_host<host>& h, int fd) { return getsockopt(h.net(), fd, sol::socket, so::error).value(); }

struct expectation {
  u8 type, code;
  int connected;    ///< errno that a connected socket hears
  int unconnected;  ///< the same with IP_RECVERR, connected or not
};
constexpr int e(std::errc c) { return static_cast<int>(c); }
constexpr int enetunreach = e(std::errc::network_unreachable), ehostunreach = e(std::errc::host_unreachable),
              enoprotoopt = e(std::errc::no_protocol_option), refused = e(std::errc::connection_refused),
              emsgsize = e(std::errc::message_size), eopnotsupp = e(std::errc::operation_not_supported),
              eproto = e(std::errc::protocol_error);

// Columns: what ends a connected socket's patience, and what IP_RECVERR tells.
constexpr expectation table[] = {
    {3, 0, 0, enetunreach},
    {3, 1, 0, ehostunreach},
    {3, 2, enoprotoopt, enoprotoopt},
    {3, 3, refused, refused},
    {3, 4, emsgsize, emsgsize},
    {3, 5, 0, eopnotsupp},
    {3, 6, enetunreach, enetunreach},
    {3, 7, 112 /* EHOSTDOWN */, 112},
    {3, 8, 64 /* ENONET */, 64},
    {3, 9, enetunreach, enetunreach},
    {3, 10, ehostunreach, ehostunreach},
    {3, 11, 0, enetunreach},
    {3, 12, 0, ehostunreach},
    {3, 13, ehostunreach, ehostunreach},
    {3, 14, ehostunreach, ehostunreach},
    {3, 15, ehostunreach, ehostunreach},
    {4, 0, 0, 0},  // source quench: RFC 6633
    {11, 0, 0, ehostunreach},
    {11, 1, 0, 0},  // the fragments were the matter, not the way
    {12, 0, eproto, eproto},
};

}  // namespace

TEST_CASE("each ICMP error becomes Linux's errno, fatal or not", "[S118]") {
  for (auto const& row : table) {
    inet_host<host> h;
    auto& net = h.net();
    CAPTURE(int{row.type}, int{row.code});
    int const connected = h.udp(5000), bystander = h.udp(5001), asking = h.udp(5002);
    REQUIRE(connect(net, connected, inet_addr_of(peer, 53)));
    REQUIRE(setsockopt(net, asking, sol::ip, ip_opt::recverr, 1));
    inject_error(h, row.type, row.code, 5000, 53, {}, 1400);
    CHECK(pending(h, connected) == row.connected);
    CHECK(pending(h, bystander) == 0);
    CHECK(pending(h, asking) == 0);
    // Not connected, and did not ask: an error about one peer says nothing of the others.
    inject_error(h, row.type, row.code, 5001, 53, {}, 1400);
    CHECK(pending(h, bystander) == 0);
    inject_error(h, row.type, row.code, 5002, 53, {}, 1400);
    CHECK(pending(h, asking) == row.unconnected);
  }
}

TEST_CASE("an error about a datagram that no socket sent is counted and nothing else", "[S118]") {
  inet_host<host> h;
  int const fd = h.udp(5000);
  REQUIRE(connect(h.net(), fd, inet_addr_of(peer, 53)));
  u64 const before = ICMP_STATS(h.net()).InErrors.read();
  inject_error(h, 3, 3, 5000, 54);  // another peer's port
  inject_error(h, 3, 3, 4999, 53);  // another port of ours
  CHECK(pending(h, fd) == 0);
  CHECK(ICMP_STATS(h.net()).InErrors.read() == before + 2);
  inject_error(h, 3, 3, 5000, 53);
  CHECK(pending(h, fd) == refused);
}

TEST_CASE("a pending error is the answer of the next call, once", "[S118]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(5000);
  REQUIRE(connect(net, fd, lo_addr(5999)));
  REQUIRE(h.send_text(fd, "anybody?"));
  h.run();
  CHECK(h.send_text(fd, "x").error() == std::errc::connection_refused);
  h.run();
  CHECK(h.recv_text(fd) == eagain);  // the refused send was not sent
  REQUIRE(h.send_text(fd, "again?"));
  CHECK(h.recv_text(fd, 0) == econnrefused);  // a waiting reader is woken
  CHECK(h.recv_text(fd) == eagain);
}

TEST_CASE("IP_RECVERR keeps what the error was about", "[S118]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(5000);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::recverr, 1));
  inject_error(h, 3, 1, 5000, 53, "what I sent");
  inject_error(h, 3, 3, 5000, 54, "and this");
  pollfd p{.fd = fd, .events = 0, .revents = 0};
  CHECK(poll(net, {&p, 1}, 0).value() == 1);
  CHECK(p.revents == static_cast<short>(poll_ev::err));

  struct answer {
    sock_extended_err ee;
    sockaddr_in offender;
  };
  auto const next = [&](std::string& payload, sockaddr_in& name, answer& a, u32& flags) {
    char buf[64];
    alignas(8) std::byte control[128];
    iovec const part{buf, sizeof buf};
    msghdr m{.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = {&part, 1}, .msg_control = control};
    auto const n = recvmsg(net, fd, m, msg::errqueue);
    if (!n) return n.error();
    payload.assign(buf, *n);
    flags = m.msg_flags;
    for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
      if (c.level == sol::ip && c.type == ip_opt::recverr) a = c.as<answer>();
      return true;
    });
    return std::errc{};
  };
  std::string payload;
  sockaddr_in name;
  answer a{};
  u32 flags = 0;
  REQUIRE(next(payload, name, a, flags) == std::errc{});
  CHECK(payload == "what I sent");
  CHECK(name == inet_addr_of(peer, 53));  // where it had been sent to
  CHECK(flags == msg::errqueue);
  CHECK(a.ee.ee_errno == static_cast<u32>(ehostunreach));
  CHECK(a.ee.ee_origin == so_ee_origin::icmp);
  CHECK(a.ee.ee_type == 3);
  CHECK(a.ee.ee_code == 1);
  CHECK(a.offender.sin_addr.s_addr == router);
  CHECK(pending(h, fd) == refused);  // the one behind it goes on being reported
  REQUIRE(next(payload, name, a, flags) == std::errc{});
  CHECK(payload == "and this");
  CHECK(name.sin_port.host() == 54);
  CHECK(pending(h, fd) == 0);
  CHECK(next(payload, name, a, flags) == std::errc::resource_unavailable_try_again);
  CHECK(h.sk(fd).sk_rmem_alloc == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("IP_RECVORIGDSTADDR takes its port of what an error quoted, if that has one", "[S43][S118]") {
  inet_host<host> h;
  int const fd = h.udp(5000);
  for (int option : {ip_opt::recverr, ip_opt::recvorigdstaddr}) REQUIRE(setsockopt(h.net(), fd, sol::ip, option, 1));
  for (char const* const sent : {"", "abc", "abcd", "more than that"}) {
    inject_error(h, 3, 1, 5000, 53, sent);
    alignas(8) std::byte control[128];
    msghdr m{.msg_control = control};
    REQUIRE(recvmsg(h.net(), fd, m, msg::errqueue));
    bool told = false;
    for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
      if (c.level == sol::ip && c.type == ip_opt::recvorigdstaddr) told = true;
      return true;
    });
    CHECK(told == (std::string(sent).size() >= 4));
  }
}

TEST_CASE("the error queue is bounded by the receive buffer, and emptied with the option", "[S46]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(5000);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::recverr, 1));
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvbuf, 10'000));
  for (int i = 0; i < 50; ++i) inject_error(h, 3, 3, 5000, 53, "x");
  u32 const queued = h.sk(fd).sk_rare->error_queue.qlen();
  CHECK(queued > 1);
  CHECK(queued < 12);
  CHECK(h.sk(fd).sk_rmem_alloc < 20'000);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::recverr, 0));
  CHECK(h.sk(fd).sk_rare->error_queue.empty());
  CHECK(h.sk(fd).sk_rmem_alloc == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("an error that this host finds itself is queued too", "[S118]") {
  inet_host<host> h;
  auto& net = h.net();
  REQUIRE(dev_set_mtu(net, *net.loopback_dev, 1500));
  int const fd = h.udp(5000);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::recverr, 1));
  std::string const big(1473, 'x');
  CHECK(h.send_text(fd, big, lo_addr(53)).error() == std::errc::message_size);
  alignas(8) std::byte control[128];
  msghdr m{.msg_control = control};
  REQUIRE(recvmsg(net, fd, m, msg::errqueue));
  sock_extended_err ee{};
  for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
    ee = c.as<sock_extended_err>();
    return true;
  });
  CHECK(ee.ee_origin == so_ee_origin::local);
  CHECK(ee.ee_errno == static_cast<u32>(emsgsize));
  CHECK(ee.ee_info == 1500);
}

TEST_CASE("a truncated quotation is read no further than it goes", "[S118]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(5000);
  REQUIRE(connect(net, fd, inet_addr_of(peer, 53)));
  for (u32 keep = 0; keep < 28; ++keep) {
    sk_buff* skb = net.worker().pool.alloc_skb();
    auto* inner = reinterpret_cast<iphdr*>(skb->put(28));
    *inner = {.ttl = 1, .protocol = ipproto::udp, .saddr = localhost, .daddr = peer};
    *reinterpret_cast<udphdr*>(inner + 1) = {.source = be16{5000}, .dest = be16{53}, .len = be16{8}};
    skb->trim(keep);
    *skb->push<icmphdr>() = {.type = 3, .code = 3};
    skb->reset_transport_header();
    *skb->push<iphdr>() = {.saddr = router, .daddr = localhost};
    skb->reset_network_header();
    skb->pull(sizeof(iphdr) + sizeof(icmphdr));
    IPCB(*skb) = {.iif = 1};
    udp_err(net, *skb, 0);
    CHECK(pending(h, fd) == 0);
    consume_skb(*skb);
  }
}
