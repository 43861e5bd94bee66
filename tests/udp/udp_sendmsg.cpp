// SPDX-License-Identifier: BSL-1.0
// Sending: errnos, checksums on the wire, corking, buffers, and what a control message overrides.
#include "netstack/udp/udp_sendmsg.hpp"

#include "netstack/core/dev_config.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp, packet_tap> {};

/// A host whose sent packets are kept.
struct watched : inet_host<host> {
  std::vector<std::vector<u8>> seen;
  watched() {
    worker_generic<packet_tap>(host.worker()).sent = &seen;
    net().loopback_dev->features &= ~netif_f::hw_csum;  // so that checksums are made
  }
  [[nodiscard]] iphdr ip(std::size_t i) const {
    iphdr h;
    REQUIRE(seen.size() > i);
    std::memcpy(&h, seen[i].data(), sizeof h);
    return h;
  }
  [[nodiscard]] udphdr uh(std::size_t i) const {
    udphdr h;
    std::size_t const at = ip(i).header_len();
    std::memcpy(&h, seen[i].data() + at, sizeof h);
    return h;
  }
  [[nodiscard]] std::string payload(std::size_t i) const {
    return {seen[i].begin() + static_cast<long>(ip(i).header_len() + udp_hlen), seen[i].end()};
  }
  [[nodiscard]] sum16 sum_over(std::size_t i) const {
    auto const h = ip(i);
    auto const len = static_cast<u32>(seen[i].size() - h.header_len());
    return csum_tcpudp_magic(h.saddr, h.daddr, len, ipproto::udp,
                             csum_partial(seen[i].data() + h.header_len(), len, 0));
  }
};

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>(i * 31 + i / 256);
  return s;
}

}  // namespace

TEST_CASE("sendto() refuses what it cannot send, and says why") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp();
  char const x = 'x';
  sockaddr_in to = lo_addr(53);
  CHECK(send(net, fd, &x, 1).error() == std::errc::destination_address_required);
  CHECK(sendto(net, fd, &x, 1, 0, {&to, 15}).error() == std::errc::invalid_argument);
  to.sin_port = {};
  CHECK(sendto(net, fd, &x, 1, 0, to).error() == std::errc::invalid_argument);
  to = lo_addr(53);
  to.sin_family = af::inet6;
  CHECK(sendto(net, fd, &x, 1, 0, to).error() == std::errc::address_family_not_supported);
  CHECK(sendto(net, fd, &x, 1, msg::oob, lo_addr(53)).error() == std::errc::operation_not_supported);
  CHECK(sendto(net, fd, &x, 1, 0, inet_addr_of(be32{0x08080808}, 53)).error() == std::errc::network_unreachable);
  to = lo_addr(53);
  iovec endless[] = {{const_cast<char*>(&x), ~std::size_t{0}}, {const_cast<char*>(&x), 3}};  // wraps to 2
  CHECK(sendmsg(net, fd, msghdr{.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = endless}).error() ==
        std::errc::message_size);
  CHECK(IP_STATS(net).OutNoRoutes.read() == 1);
  std::string const huge(65536, 'x');
  CHECK(sendto(net, fd, huge.data(), 65536, 0, lo_addr(53)).error() == std::errc::message_size);
  CHECK(sendto(net, fd, huge.data(), 65508, 0, lo_addr(53)).error() == std::errc::message_size);
  CHECK(UDP_STATS(net).OutDatagrams.read() == 0);
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
  to.sin_family = af::unspec;  // taken for IPv4
  CHECK(sendto(net, fd, &x, 1, 0, to).value() == 1);
}

TEST_CASE("what is wrong with a datagram is told before what is wrong with its socket") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  REQUIRE(connect(net, fd, lo_addr(9)));
  REQUIRE(h.send_text(fd, "x"));
  h.run();  // nobody there: an error waits
  REQUIRE(shutdown(net, fd, shut::wr));
  std::string const huge(65508, 'x');
  CHECK(h.send_text(fd, "x", inet_addr_of(be32{0x08080808}, 53)).error() == std::errc::network_unreachable);
  CHECK(h.send_text(fd, huge).error() == std::errc::message_size);
  CHECK(h.send_text(fd, "x").error() == std::errc::connection_refused);
  CHECK(h.send_text(fd, "x").error() == std::errc::broken_pipe);
  CHECK(h.send_text(fd, huge).error() == std::errc::message_size);
}

TEST_CASE("MSG_PROBE asks the way and sends nothing") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  CHECK(h.send_text(fd, "x", inet_addr_of(be32{0x08080808}, 53), msg::probe).error() == std::errc::network_unreachable);
  std::string const huge(65508, 'x');
  CHECK(h.send_text(fd, huge, lo_addr(9), msg::probe).value() == huge.size());
  CHECK(h.seen.empty());
  // Nothing is added to what is corked, but the cork is out.
  REQUIRE(h.send_text(fd, "text", lo_addr(6001), msg::more));
  CHECK(h.send_text(fd, "xyz", lo_addr(6001), msg::probe | msg::more).value() == 3);
  CHECK(h.seen.empty());
  CHECK(h.send_text(fd, "xyz", lo_addr(6001), msg::probe).value() == 3);
  REQUIRE(h.seen.size() == 1);
  CHECK(h.payload(0) == "text");
  h.run();
  CHECK(net.worker().pool.in_use() == 0);
}

TEST_CASE("a broadcast needs SO_BROADCAST") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  REQUIRE(setsockopt(net, fd, sol::socket, so::bindtodevice, "lo", 2));
  CHECK(h.send_text(fd, "x", inet_addr_of(inaddr_broadcast, 53)).error() == std::errc::permission_denied);
  CHECK(connect(net, fd, inet_addr_of(inaddr_broadcast, 53)).error() == std::errc::permission_denied);
  REQUIRE(setsockopt(net, fd, sol::socket, so::broadcast, 1));
  CHECK(h.send_text(fd, "x", inet_addr_of(inaddr_broadcast, 53)).value() == 1);
  CHECK(connect(net, fd, inet_addr_of(inaddr_broadcast, 53)));
}

TEST_CASE("every length is sent byte for byte with a right checksum", "[S101][S112]") {
  watched h;
  int const fd = h.udp(6000), to = h.udp(6001);
  REQUIRE(setsockopt(h.net(), to, sol::socket, so::rcvbufforce, 1'000'000));
  for (std::size_t n :
       std::initializer_list<std::size_t>{0,    1,    2,    3,    7,    8,    63,   64,   65,    500,   1471,
                                          1472, 1473, 1919, 1920, 1921, 2048, 4000, 9000, 20000, 40000, 65507}) {
    h.seen.clear();
    auto const text = pattern(n);
    CAPTURE(n);
    REQUIRE(h.send_text(fd, text, lo_addr(6001)).value() == n);
    h.run();
    std::vector<char> buf(n + 1);
    REQUIRE(recv(h.net(), to, buf.data(), buf.size(), msg::dontwait).value() == n);
    CHECK(std::string_view(buf.data(), n) == text);
    CHECK(h.uh(0).len.host() == (n + 8 > 65535 ? 0 : n + 8));
    CHECK(h.uh(0).check.raw() != 0);
    if (n <= 1920) CHECK(h.sum_over(0).raw() == 0);  // in one frame
  }
  CHECK(UDP_STATS(h.net()).InCsumErrors.read() == 0);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("checksums: SO_NO_CHECK sends none, a computed zero travels as ones", "[S112]") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000), to = h.udp(6001);
  REQUIRE(setsockopt(net, fd, sol::socket, so::no_check, 1));
  REQUIRE(h.send_text(fd, "unchecked", lo_addr(6001)));
  CHECK(h.uh(0).check.raw() == 0);
  h.run();
  CHECK(h.recv_text(to) == "unchecked");
  REQUIRE(setsockopt(net, fd, sol::socket, so::no_check, 0));
  // Two bytes that bring the sum to zero: found by trying them all.
  u32 zeros = 0;
  for (u32 i = 0; i < 65536; ++i) {
    unsigned char const bytes[2] = {static_cast<unsigned char>(i >> 8), static_cast<unsigned char>(i)};
    h.seen.clear();
    REQUIRE(sendto(net, fd, bytes, 2, 0, lo_addr(6001)));
    CHECK(h.uh(0).check.raw() != 0);
    if (h.uh(0).check == csum_mangled_0) ++zeros;
    h.run();
    char buf[2];
    CHECK(recv(net, to, buf, 2, msg::dontwait).value() == 2);
  }
  CHECK(zeros == 1);
}

TEST_CASE("a device that sums gets the pseudo header's sum and where the rest goes", "[S45]") {
  watched h;
  h.net().loopback_dev->features |= netif_f::hw_csum;
  int const fd = h.udp(6000), to = h.udp(6001);
  REQUIRE(h.send_text(fd, "partial", lo_addr(6001)));
  sk_buff* skb = h.net().worker().softnet.input_pkt_queue.peek();
  REQUIRE(skb);
  CHECK(skb->ip_summed == ip_summed::partial);
  CHECK(skb->csum_start == skb->offset_of(sizeof(iphdr)));
  CHECK(skb->csum_offset == 6);
  REQUIRE(skb_checksum_help(*skb));
  h.run();
  CHECK(h.recv_text(to) == "partial");  // checked on the way in
}

TEST_CASE("TTL, TOS, source and device: the socket's, unless a control message says otherwise") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::ttl, 11));
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::tos, 0x10));
  auto const with = [&](auto... add) {
    alignas(8) std::byte control[256];
    msghdr m{.msg_control = control};
    (add(m), ...);
    m.msg_control = m.msg_control.first(m.msg_controllen);
    sockaddr_in to = lo_addr(53);
    m.msg_name = &to;
    m.msg_namelen = sizeof to;
    h.seen.clear();
    auto const r = sendmsg(net, fd, m);
    return r ? std::errc{} : r.error();
  };
  auto const cmsg = [](int level, int type, auto value) { return [=](msghdr& m) { put_cmsg(m, level, type, value); }; };
  CHECK(with() == std::errc{});
  CHECK(h.ip(0).ttl == 11);
  CHECK(h.ip(0).tos == 0x10);
  CHECK(h.ip(0).saddr == localhost);
  CHECK(with(cmsg(sol::ip, ip_opt::ttl, 22), cmsg(sol::ip, ip_opt::tos, 0x20)) == std::errc{});
  CHECK(h.ip(0).ttl == 22);
  CHECK(h.ip(0).tos == 0x20);
  CHECK(with(cmsg(sol::ip, ip_opt::tos, u8{0x28})) == std::errc{});
  CHECK(h.ip(0).tos == 0x28);
  in_pktinfo const from{0, {be32{0x7f000005}}, {}};
  CHECK(with(cmsg(sol::ip, ip_opt::pktinfo, from)) == std::errc{});
  CHECK(h.ip(0).saddr == be32{0x7f000005});
  CHECK(with(cmsg(sol::ip, ip_opt::pktinfo, in_pktinfo{99, {}, {}})) == std::errc::no_such_device);
  CHECK(with(cmsg(sol::ip, ip_opt::ttl, 0)) == std::errc::invalid_argument);
  CHECK(with(cmsg(sol::ip, ip_opt::ttl, 256)) == std::errc::invalid_argument);
  CHECK(with(cmsg(sol::ip, ip_opt::tos, 256)) == std::errc::invalid_argument);
  CHECK(with(cmsg(sol::ip, 200, 1)) == std::errc::invalid_argument);
  CHECK(with(cmsg(sol::socket, so::timestamp, 1)) == std::errc::invalid_argument);
  cmsghdr const malformed{8, sol::ip, ip_opt::ttl};
  CHECK(with([&](msghdr& m) {
          std::memcpy(m.msg_control.data(), &malformed, sizeof malformed);
          m.msg_controllen = sizeof malformed;
        }) == std::errc::invalid_argument);
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
}

TEST_CASE("MSG_MORE and UDP_CORK make one datagram of several calls") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000), to = h.udp(6001);
  CHECK(h.send_text(fd, "one ", lo_addr(6001), msg::more).value() == 4);
  CHECK(h.send_text(fd, "two ", {}, msg::more).value() == 4);  // the first call fixed the destination
  CHECK(h.seen.empty());
  CHECK(h.send_text(fd, "three").value() == 5);
  REQUIRE(h.seen.size() == 1);
  CHECK(h.payload(0) == "one two three");
  CHECK(h.sum_over(0).raw() == 0);
  REQUIRE(connect(net, fd, lo_addr(6001)));
  REQUIRE(setsockopt(net, fd, sol::udp, udp_opt::cork, 1));
  for (char const* part : {"a", "bc", "def", "", "g"}) CHECK(h.send_text(fd, part));
  CHECK(h.seen.size() == 1);
  REQUIRE(setsockopt(net, fd, sol::udp, udp_opt::cork, 0));
  REQUIRE(h.seen.size() == 2);
  CHECK(h.payload(1) == "abcdefg");
  CHECK(h.sum_over(1).raw() == 0);
  h.run();
  CHECK(h.recv_text(to) == "one two three");
  CHECK(h.recv_text(to) == "abcdefg");
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
}

TEST_CASE("a corked datagram grows over several frames, at odd places, with a right checksum") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000), to = h.udp(6001);
  REQUIRE(setsockopt(net, to, sol::socket, so::rcvbufforce, 1'000'000));
  auto const text = pattern(20'000);
  REQUIRE(setsockopt(net, fd, sol::udp, udp_opt::cork, 1));
  std::size_t at = 0;
  for (std::size_t n = 1; at < text.size(); n += 37) {
    std::size_t const take = std::min(n, text.size() - at);
    REQUIRE(h.send_text(fd, std::string_view(text).substr(at, take), lo_addr(6001)).value() == take);
    at += take;
  }
  REQUIRE(setsockopt(net, fd, sol::udp, udp_opt::cork, 0));
  h.run();
  std::vector<char> buf(text.size() + 1);
  REQUIRE(recv(net, to, buf.data(), buf.size(), msg::dontwait).value() == text.size());
  CHECK(std::string_view(buf.data(), text.size()) == text);
  CHECK(UDP_STATS(net).InCsumErrors.read() == 0);
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("what is corked is lost with the socket, and when it grows too large") {
  watched h;
  auto& net = h.net();
  int fd = h.udp(6000);
  REQUIRE(h.send_text(fd, "never sent", lo_addr(6001), msg::more));
  CHECK(h.host.worker().pool.in_use() == 1);
  REQUIRE(close(net, fd));
  CHECK(h.host.worker().pool.in_use() == 0);
  CHECK(udp_worker_of(net).socks.in_use() == 0);
  fd = h.udp(6000);
  std::string const big(30'000, 'x');
  REQUIRE(h.send_text(fd, big, lo_addr(6001), msg::more));
  REQUIRE(h.send_text(fd, big, {}, msg::more));
  CHECK(h.send_text(fd, big, {}, msg::more).error() == std::errc::message_size);
  CHECK(h.host.worker().pool.in_use() == 0);
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
  REQUIRE(h.send_text(fd, "x", lo_addr(6001), msg::more));
  std::vector<sk_buff*> rest;
  while (sk_buff* skb = net.worker().pool.alloc_skb()) rest.push_back(skb);
  CHECK(h.send_text(fd, big, {}, msg::more).error() == std::errc::no_buffer_space);
  for (sk_buff* skb : rest) consume_skb(*skb);
  CHECK(h.host.worker().pool.in_use() == 0);
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
  CHECK(h.seen.empty());
  int const connected = h.udp(6005);
  REQUIRE(h.send_text(connected, "x", lo_addr(6001), msg::more));
  CHECK(h.send_text(connected, "y", lo_addr(6001), 0).value() == 1);  // sent: the cork is pulled
  CHECK(h.payload(0) == "xy");
}

TEST_CASE("IP options take their part of the largest datagram, corked or not") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  static constexpr u8 nops[4]{1, 1, 1, 0};
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::options, nops, sizeof nops));
  std::string const text(65'504, 'x');
  CHECK(h.send_text(fd, text, lo_addr(9)).error() == std::errc::message_size);
  REQUIRE(setsockopt(net, fd, sol::udp, udp_opt::cork, 1));
  CHECK(h.send_text(fd, text, lo_addr(9)).error() == std::errc::message_size);
  CHECK(h.send_text(fd, std::string_view{text}.substr(1), lo_addr(9)).value() == 65'503);
  CHECK(setsockopt(net, fd, sol::udp, udp_opt::cork, 0));
}

TEST_CASE("SO_SNDBUF bounds what is on its way; credit comes back when a packet is freed", "[S42][S46][S100]") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  REQUIRE(setsockopt(net, fd, sol::socket, so::sndbuf, 1));
  CHECK(getsockopt(net, fd, sol::socket, so::sndbuf).value() == static_cast<int>(sock_min_sndbuf));
  // A corked datagram is charged while it waits.
  auto& sk = h.sk(fd);
  REQUIRE(h.send_text(fd, "x", lo_addr(6001), msg::more));
  u32 const truesize = sk.sk_wmem_alloc - 1;
  CHECK(truesize == net.worker().pool.frame_truesize());
  u32 woken = 0;
  sk.sk_user_data = &woken;
  static constexpr sock_callbacks count{.write_space = [](sock& s) { ++*static_cast<u32*>(s.sk_user_data); }};
  sk.sk_callbacks = &count;
  sk.sk_wmem_alloc += sk.sk_sndbuf;  // as if that much were on its way
  int const other = h.udp(6002);
  (void)other;
  REQUIRE(h.send_text(fd, "y", {}, 0));  // appending needs no new packet
  CHECK(woken == 0);
  CHECK(h.send_text(fd, "z", lo_addr(6001), msg::dontwait).error() == std::errc::resource_unavailable_try_again);
  REQUIRE(setsockopt(net, fd, sol::socket, so::sndtimeo, timeval{0, 5000}));
  CHECK(h.send_text(fd, "z", lo_addr(6001)).error() == std::errc::resource_unavailable_try_again);
  sk.sk_wmem_alloc -= sk.sk_sndbuf;
  CHECK(h.send_text(fd, "z", lo_addr(6001)).value() == 1);
  h.run();
  CHECK(woken > 0);
  CHECK(sk.sk_wmem_alloc == 1);
}

TEST_CASE("a packet on its way keeps its sock alive after close, exactly until it is freed", "[S42]") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  auto& sk = h.sk(fd);
  sk_buff* skb = net.worker().pool.alloc_skb();
  skb_set_owner_w(*skb, sk);
  REQUIRE(close(net, fd));
  CHECK(udp_worker_of(net).socks.in_use() == 1);
  sk_buff* clone = skb_clone(*skb);
  consume_skb(*clone);  // a clone is nobody's
  CHECK(udp_worker_of(net).socks.in_use() == 1);
  skb_orphan(*skb);
  CHECK(udp_worker_of(net).socks.in_use() == 0);
  consume_skb(*skb);  // and not once more
  CHECK(udp_worker_of(net).socks.in_use() == 0);
}

TEST_CASE("a control socket's packets wake nobody", "[S155]") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  auto& sk = h.sk(fd);
  u32 woken = 0;
  sk.sk_user_data = &woken;
  static constexpr sock_callbacks count{.write_space = [](sock& s) { ++*static_cast<u32*>(s.sk_user_data); }};
  sk.sk_callbacks = &count;
  auto const send_one = [&] {
    sk_buff* skb = net.worker().pool.alloc_skb();
    skb_set_owner_w(*skb, sk);
    consume_skb(*skb);
    h.run();
  };
  send_one();
  CHECK(woken == 1);
  sock_set_flag(sk, sock_flags::use_write_queue);
  send_one();
  CHECK(woken == 1);
  CHECK(sk.sk_wmem_alloc == 1);
}

TEST_CASE("an empty pool is ENOBUFS, and the next send works") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  std::vector<sk_buff*> all;
  while (sk_buff* skb = net.worker().pool.alloc_skb()) all.push_back(skb);
  CHECK(h.send_text(fd, "x", lo_addr(6001)).error() == std::errc::no_buffer_space);
  CHECK(h.sk(fd).sk_wmem_alloc == 1);
  for (sk_buff* skb : all) consume_skb(*skb);
  CHECK(h.send_text(fd, "x", lo_addr(6001)).value() == 1);
}

TEST_CASE("a connected socket looks its route up once, and again when it changed") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  REQUIRE(connect(net, fd, lo_addr(6001)));
  auto& sk = h.sk(fd);
  dst_entry* const first = sk.sk_dst_cache;
  REQUIRE(first);
  REQUIRE(h.send_text(fd, "x"));
  CHECK(sk.sk_dst_cache == first);
  CHECK(net.loopback_dev->mtu == 65536);
  CHECK(getsockopt(net, fd, sol::ip, ip_opt::mtu).value() == 65535);  // of lo, too: no datagram is longer
  rt_cache_flush(net);
  CHECK(first->obsolete);
  REQUIRE(h.send_text(fd, "x"));
  REQUIRE(sk.sk_dst_cache);
  CHECK_FALSE(sk.sk_dst_cache->obsolete);
  sockaddr const unspec{};
  REQUIRE(connect(net, fd, unspec));
  CHECK(sk.sk_dst_cache == nullptr);
  CHECK(getsockopt(net, fd, sol::ip, ip_opt::mtu).error() == std::errc::not_connected);
}

TEST_CASE("IP_OPTIONS go out with every packet, and come in with IP_RECVOPTS") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000), to = h.udp(6001);
  unsigned char const record_route[] = {ipopt::rr, 7, 4, 0, 0, 0, 0};
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::options, record_route, sizeof record_route));
  unsigned char const bad[] = {ipopt::rr, 2, 4};
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::options, bad, sizeof bad).error() == std::errc::invalid_argument);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::options, std::array<u8, 41>{}).error() == std::errc::invalid_argument);
  REQUIRE(setsockopt(net, to, sol::ip, ip_opt::recvopts, 1));
  REQUIRE(h.send_text(fd, "with options", lo_addr(6001)));
  CHECK(h.ip(0).header_len() == 28);
  CHECK(h.seen[0][20] == ipopt::rr);
  h.run();
  alignas(8) std::byte control[128];
  char buf[64];
  iovec const part{buf, sizeof buf};
  msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
  REQUIRE(recvmsg(net, to, m, msg::dontwait).value() == 12);
  std::size_t option_bytes = 0;
  for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
    if (c.type == ip_opt::recvopts) option_bytes = c.data.size();
    return true;
  });
  CHECK(option_bytes == 8);
  u32 len = 40;
  unsigned char out[40];
  REQUIRE(getsockopt(net, fd, sol::ip, ip_opt::options, out, &len));
  CHECK(len == 8);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::options, nullptr, 0));
  REQUIRE(h.send_text(fd, "without", lo_addr(6001)));
  CHECK(h.ip(1).header_len() == 20);
}

TEST_CASE("IP_OPTIONS of more sockets than there is room for: ENOBUFS, until one gives its own back", "[ip_options]") {
  watched h;
  auto& net = h.net();
  auto& slab = worker_generic<ipv4>(net.worker()).ip_options;
  unsigned char const nops[] = {ipopt::noop, ipopt::noop, ipopt::noop, ipopt::noop};
  auto const set = [&](int fd, std::size_t n) { return setsockopt(net, fd, sol::ip, ip_opt::options, nops, n); };
  std::vector<int> fds;
  for (std::size_t i = 0; i <= slab.capacity(); ++i) fds.push_back(h.udp(static_cast<u16>(6000 + i)));
  int const last = fds.back();
  for (int const fd : fds) CHECK(set(fd, 4).has_value() == (fd != last));
  CHECK(set(last, 4).error() == std::errc::no_buffer_space);
  REQUIRE(set(fds[0], 4));  // its own again
  REQUIRE(set(fds[0], 0));
  REQUIRE(set(last, 4));
  REQUIRE(close(net, fds[1]));
  REQUIRE(set(fds[0], 4));
  for (int const fd : fds)
    if (fd != fds[1]) REQUIRE(close(net, fd));
  CHECK(slab.in_use() == 0);
}

TEST_CASE("a source route: its first stop is the header's destination, the destination its last entry",
          "[ip_options]") {
  watched h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  // RFC 791 §3.1: by way of 127.0.0.2 and 127.0.0.3.
  unsigned char const nop = ipopt::noop;
  std::array<unsigned char, 12> const given{nop, ipopt::lsrr, 11, 4, 127, 0, 0, 2, 127, 0, 0, 3};
  std::array<unsigned char, 12> const sent{nop, ipopt::lsrr, 11, 4, 127, 0, 0, 3, 127, 0, 0, 4};
  auto const check = [&](std::size_t i) {
    auto const& f = h.seen[i];
    CHECK(h.ip(i).daddr == be32{0x7f000002});
    CHECK(h.ip(i).header_len() == 32);
    CHECK(ip_compute_csum(f.data(), 32) == sum16{});
    CHECK(std::equal(sent.begin(), sent.end(), f.begin() + 20));
    // Who checks the UDP checksum is the last of them.
    auto const len = static_cast<u32>(f.size() - 32);
    CHECK(csum_tcpudp_magic(h.ip(i).saddr, be32{0x7f000004}, len, ipproto::udp, csum_partial(f.data() + 32, len, 0)) ==
          sum16{});
  };
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::options, given));
  REQUIRE(h.send_text(fd, "by the way", lo_addr(6001, 0x7f000004)));
  check(0);
  REQUIRE(h.send_text(fd, "in ", lo_addr(6001, 0x7f000004), msg::more));
  REQUIRE(h.send_text(fd, "pieces", lo_addr(6001, 0x7f000004)));
  check(1);
  REQUIRE(connect(net, fd, lo_addr(6001, 0x7f000004)));
  for (std::size_t i : {2u, 3u}) {
    REQUIRE(h.send_text(fd, "connected"));
    check(i);
  }
  u32 len = 40;
  std::array<unsigned char, 40> back{};
  REQUIRE(getsockopt(net, fd, sol::ip, ip_opt::options, back.data(), &len));
  CHECK(len == 12);
  CHECK(std::equal(given.begin(), given.end(), back.begin()));
  CHECK(h.send_text(fd, "nowhere", lo_addr(6001, 0)).error() == std::errc::invalid_argument);
  // One datagram may go another way, or straight on.
  auto const once = [&](std::span<unsigned char const> block) {
    alignas(8) std::byte control[64];
    msghdr put{.msg_control = control};
    put_cmsg(put, sol::ip, ip_opt::retopts, block.data(), block.size());
    iovec const part{const_cast<char*>("x"), 1};
    auto to = lo_addr(6001, 0x7f000004);
    msghdr m{.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = {&part, 1}};
    m.msg_control = std::span(control).first(put.msg_controllen);
    return sendmsg(net, fd, m);
  };
  REQUIRE(once(std::array<unsigned char, 7>{ipopt::ssrr, 7, 4, 127, 0, 0, 9}));
  CHECK(h.ip(4).daddr == be32{0x7f000009});
  std::array<unsigned char, 8> const strict{ipopt::ssrr, 7, 4, 127, 0, 0, 4, 0};
  CHECK(std::equal(strict.begin(), strict.end(), h.seen[4].begin() + 20));
  REQUIRE(h.send_text(fd, "as before"));
  check(5);
  // Malformed, without a stop, begun already, or of half a stop.
  for (auto const& bad : std::initializer_list<std::vector<unsigned char>>{{ipopt::lsrr, 3, 4},
                                                                           {ipopt::lsrr, 7, 8, 127, 0, 0, 2},
                                                                           {ipopt::ssrr, 9, 4, 127, 0, 0, 2, 127, 0},
                                                                           {ipopt::lsrr, 40}}) {
    CHECK(setsockopt(net, fd, sol::ip, ip_opt::options, bad.data(), bad.size()).error() == std::errc::invalid_argument);
    CHECK(once(bad).error() == std::errc::invalid_argument);
  }
  REQUIRE(h.send_text(fd, "still as before"));
  check(6);
}
