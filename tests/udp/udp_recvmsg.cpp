// SPDX-License-Identifier: BSL-1.0
// Reading: peek, trunc, the sender's name, control messages, scattered buffers, ioctl.
#include "netstack/udp/udp_recvmsg.hpp"

#include "support/inet_host.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp> {};

/// What recvmsg() told in control messages.
struct received {
  std::string payload;
  msghdr m;
  std::vector<std::pair<std::pair<int, int>, std::vector<std::byte>>> control;
  template <class T>
  [[nodiscard]] T get(int level, int type) const {
    for (auto const& [key, data] : control)
      if (key == std::pair{level, type} && data.size() >= sizeof(T)) {
        T out;
        std::memcpy(static_cast<void*>(&out), data.data(), sizeof out);
        return out;
      }
    FAIL("no such control message: " << level << ' ' << type);
    return T{};
  }
  [[nodiscard]] bool has(int level, int type) const {
    for (auto const& [key, data] : control)
      if (key == std::pair{level, type}) return true;
    return false;
  }
};
received receive(inet_host<host>& h, int fd, std::size_t room = 256, std::size_t buf_size = 256, u32 flags = 0) {
  received out;
  std::vector<char> buf(buf_size);
  alignas(8) std::byte control[256];
  iovec const part{buf.data(), buf.size()};
  out.m = {.msg_iov = {&part, 1}, .msg_control = std::span(control).first(room)};
  auto const n = recvmsg(h.net(), fd, out.m, flags | msg::dontwait);
  REQUIRE(n);
  out.payload.assign(buf.data(), std::min(*n, buf.size()));
  for_each_cmsg(std::span(control).first(out.m.msg_controllen), [&](cmsg_view const& c) {
    out.control.push_back({{c.level, c.type}, {c.data.begin(), c.data.end()}});
    return true;
  });
  out.m.msg_iov = {};
  return out;
}

}  // namespace

TEST_CASE("MSG_PEEK leaves the datagram, MSG_TRUNC tells its length", "[S96]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(h.send_text(fd, "0123456789", lo_addr(53)));
  REQUIRE(h.send_text(fd, "second", lo_addr(53)));
  h.run();
  char buf[4];
  CHECK(recv(net, fd, buf, 4, msg::peek).value() == 4);
  CHECK(recv(net, fd, buf, 4, msg::peek | msg::trunc).value() == 10);
  CHECK(UDP_STATS(net).InDatagrams.read() == 0);  // nobody has read it yet
  int pending = 0;
  CHECK(ioctl(net, fd, sioc::inq, &pending));
  CHECK(pending == 10);
  iovec const part{buf, sizeof buf};
  msghdr m{.msg_iov = {&part, 1}};
  CHECK(recvmsg(net, fd, m).value() == 4);
  CHECK(m.msg_flags == msg::trunc);
  CHECK(std::string_view(buf, 4) == "0123");
  CHECK(UDP_STATS(net).InDatagrams.read() == 1);
  CHECK(h.recv_text(fd) == "second");  // the rest of the first is gone
  CHECK(recv(net, fd, buf, 4, msg::dontwait).error() == std::errc::resource_unavailable_try_again);
  CHECK(h.host.worker().pool.in_use() == 0);
}

TEST_CASE("SO_PEEK_OFF walks through what waits") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(h.send_text(fd, "abcdef", lo_addr(53)));
  REQUIRE(h.send_text(fd, "ghi", lo_addr(53)));
  h.run();
  REQUIRE(setsockopt(net, fd, sol::socket, so::peek_off, 0));
  char buf[4];
  auto const peek = [&](std::size_t n) {
    auto const r = recv(net, fd, buf, n, msg::peek | msg::dontwait);
    return r ? std::string(buf, *r) : "none";
  };
  CHECK(peek(2) == "ab");
  CHECK(peek(2) == "cd");
  CHECK(peek(4) == "ef");
  CHECK(peek(4) == "ghi");
  CHECK(peek(4) == "none");
  CHECK(getsockopt(net, fd, sol::socket, so::peek_off).value() == 9);
  CHECK(h.recv_text(fd) == "abcdef");  // reading moves the offset back
  CHECK(getsockopt(net, fd, sol::socket, so::peek_off).value() == 3);
  REQUIRE(setsockopt(net, fd, sol::socket, so::peek_off, -1));
  CHECK(peek(4) == "ghi");
}

TEST_CASE("an empty datagram is peeked at once: the next peek at an offset passes it over", "[S49][S96]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(h.send_text(fd, "", lo_addr(53)));
  REQUIRE(h.send_text(fd, "abc", lo_addr(53)));
  h.run();
  char buf[4];
  CHECK(recv(net, fd, buf, 4, msg::peek).value() == 0);
  CHECK(recv(net, fd, buf, 4, msg::peek).value() == 0);  // without an offset it is still the first
  REQUIRE(setsockopt(net, fd, sol::socket, so::peek_off, 0));
  CHECK(recv(net, fd, buf, 4, msg::peek).value() == 3);
  REQUIRE(setsockopt(net, fd, sol::socket, so::peek_off, -1));
  CHECK(recv(net, fd, buf, 4).value() == 0);  // reading does not care
  CHECK(h.recv_text(fd) == "abc");
}

TEST_CASE("a name goes where there is room for it, with its whole length") {
  inet_host<host> h;
  auto& net = h.net();
  int const a = h.udp(6000), b = h.udp(6001);
  for (u32 room : {0u, 2u, 8u, 16u, 64u}) {
    REQUIRE(h.send_text(a, "x", lo_addr(6001)));
    h.run();
    unsigned char name[64];
    std::memset(name, 0xee, sizeof name);
    char c;
    u32 len = room;
    REQUIRE(recvfrom(net, b, &c, 1, 0, name, &len));
    CHECK(len == 16);
    sockaddr_in const expected = lo_addr(6000);
    CHECK(std::memcmp(name, &expected, std::min(room, 16u)) == 0);
    CHECK(name[std::min(room, 16u)] == 0xee);
  }
}

TEST_CASE("a datagram is scattered over the caller's buffers") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  char a[3], b[1], c[8];
  iovec const out[] = {
      {const_cast<char*>("he"), 2}, {nullptr, 0}, {const_cast<char*>("llo w"), 5}, {const_cast<char*>("orld"), 4}};
  sockaddr_in to = lo_addr(53);
  CHECK(sendmsg(net, fd, msghdr{.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = out}).value() == 11);
  h.run();
  iovec const in[] = {{a, 3}, {nullptr, 0}, {b, 1}, {c, 8}};
  msghdr m{.msg_iov = in};
  CHECK(recvmsg(net, fd, m).value() == 11);
  CHECK(std::string(a, 3) + std::string(b, 1) + std::string(c, 7) == "hello world");
}

TEST_CASE("IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR tell about each datagram", "[S43]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp();
  REQUIRE(bind(net, fd, inet_addr_of({}, 53)));
  for (int option : {ip_opt::pktinfo, ip_opt::recvttl, ip_opt::recvtos, ip_opt::recvorigdstaddr})
    REQUIRE(setsockopt(net, fd, sol::ip, option, 1));
  int const sender = h.udp(6000);
  REQUIRE(setsockopt(net, sender, sol::ip, ip_opt::ttl, 33));
  REQUIRE(setsockopt(net, sender, sol::ip, ip_opt::tos, 0x28));
  REQUIRE(h.send_text(sender, "x", lo_addr(53, 0x7f000002)));
  h.run();
  auto const r = receive(h, fd);
  auto const info = r.get<in_pktinfo>(sol::ip, ip_opt::pktinfo);
  CHECK(info.ipi_ifindex == static_cast<int>(net.loopback_dev->ifindex));
  CHECK(info.ipi_addr.s_addr == be32{0x7f000002});
  CHECK(info.ipi_spec_dst.s_addr == be32{0x7f000002});
  CHECK(r.get<int>(sol::ip, ip_opt::ttl) == 33);
  CHECK(r.get<u8>(sol::ip, ip_opt::tos) == 0x28);
  CHECK(r.get<sockaddr_in>(sol::ip, ip_opt::recvorigdstaddr) == lo_addr(53, 0x7f000002));
  // A broadcast should be answered from an address of the device.
  REQUIRE(setsockopt(net, sender, sol::socket, so::broadcast, 1));
  REQUIRE(setsockopt(net, sender, sol::socket, so::bindtodevice, "lo", 2));
  REQUIRE(h.send_text(sender, "y", inet_addr_of(inaddr_broadcast, 53)));
  h.run();
  auto const bc = receive(h, fd).get<in_pktinfo>(sol::ip, ip_opt::pktinfo);
  CHECK(bc.ipi_addr.s_addr == inaddr_broadcast);
  CHECK(bc.ipi_spec_dst.s_addr == localhost);
}

TEST_CASE("arrival times are those of the worker's clock", "[S41]") {
  virtual_clock clock;
  inet_host<host> h({.clock = clock.source(), .seed = 1});
  auto& net = h.net();
  int const fd = h.udp(53);
  auto const at = [&](int option) {
    REQUIRE(setsockopt(net, fd, sol::socket, option, 1));
    REQUIRE(h.send_text(fd, "x", lo_addr(53)));
    clock.advance(123'456'789);
    h.run();
    clock.advance(1'000'000'000);  // reading later does not change it
    return receive(h, fd);
  };
  auto const arrived = [&] { return clock.now - 1'000'000'000 + clock.epoch; };
  auto const ns = at(so::timestampns).get<timespec>(sol::socket, scm::timestampns);
  CHECK(static_cast<u64>(ns.tv_sec) * 1'000'000'000u + static_cast<u64>(ns.tv_nsec) == arrived());
  auto const us = at(so::timestamp).get<timeval>(sol::socket, scm::timestamp);
  CHECK(static_cast<u64>(us.tv_sec) * 1'000'000u + static_cast<u64>(us.tv_usec) == arrived() / 1000);
  timespec stamp{};
  CHECK(ioctl(net, fd, sioc::gstampns, &stamp));
  CHECK(static_cast<u64>(stamp.tv_sec) * 1'000'000'000u + static_cast<u64>(stamp.tv_nsec) == arrived());
  REQUIRE(setsockopt(net, fd, sol::socket, so::timestamp, 0));
  REQUIRE(setsockopt(net, fd, sol::socket, so::timestamping,
                     static_cast<int>(sof_timestamping::rx_software | sof_timestamping::software)));
  REQUIRE(h.send_text(fd, "x", lo_addr(53)));
  h.run();
  auto const r = receive(h, fd);
  CHECK_FALSE(r.has(sol::socket, scm::timestamp));
  CHECK(r.get<scm_timestamping>(sol::socket, scm::timestamping).ts[0].tv_sec ==
        static_cast<time_t>((clock.now + clock.epoch) / 1'000'000'000u));
}

TEST_CASE("control messages beyond the room are cut, and msg_flags says so") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::recvttl, 1));
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::pktinfo, 1));
  for (std::size_t room : {1U, 15U, 16U, 20U, 32U, 40U, 56U}) {
    REQUIRE(h.send_text(fd, "x", lo_addr(53)));
    h.run();
    auto const r = receive(h, fd, room);
    CAPTURE(room);
    CHECK(((r.m.msg_flags & msg::ctrunc) != 0) == (room < 32 + 16 + 4));
    CHECK(r.m.msg_controllen <= room);
  }
}

TEST_CASE("a control message without any room for it is told by MSG_CTRUNC", "[S43]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  char buf[8];
  iovec const part{buf, sizeof buf};
  for (int wanted : {0, 1}) {
    REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::pktinfo, wanted));
    REQUIRE(h.send_text(fd, "abc", lo_addr(6000)));
    msghdr m{.msg_iov = {&part, 1}};
    CHECK(recvmsg(net, fd, m).value() == 3);
    CHECK(m.msg_flags == (wanted ? msg::ctrunc : 0u));
  }
}

TEST_CASE("SO_MARK and SO_PRIORITY travel with the packet", "[S47][S48]") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  REQUIRE(setsockopt(net, fd, sol::socket, so::mark, 77));
  REQUIRE(setsockopt(net, fd, sol::socket, so::priority, 5));
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvmark, 1));
  CHECK(setsockopt(net, fd, sol::socket, so::priority, 7));  // privileged
  net_generic<net_core>(net).caps &= ~cap::net_admin;
  CHECK(setsockopt(net, fd, sol::socket, so::mark, 78).error() == std::errc::operation_not_permitted);
  CHECK(setsockopt(net, fd, sol::socket, so::priority, 8).error() == std::errc::operation_not_permitted);
  CHECK(setsockopt(net, fd, sol::socket, so::priority, 6));
  REQUIRE(h.send_text(fd, "x", lo_addr(53)));
  sk_buff* queued = net.worker().softnet.input_pkt_queue.peek();
  REQUIRE(queued);
  CHECK(queued->mark == 77);
  CHECK(queued->priority == 6);
}

TEST_CASE("SIOCOUTQ and SIOCINQ count bytes") {
  inet_host<host> h;
  auto& net = h.net();
  int const fd = h.udp(53);
  int n = -1;
  CHECK(ioctl(net, fd, sioc::outq, &n));
  CHECK(n == 0);
  CHECK(ioctl(net, fd, sioc::inq, &n));
  CHECK(n == 0);
  REQUIRE(h.send_text(fd, "", lo_addr(53)));
  REQUIRE(h.send_text(fd, "abc", lo_addr(53)));
  h.run();
  CHECK(ioctl(net, fd, sioc::inq, &n));
  CHECK(n == 0);  // the first datagram is empty
  CHECK(h.recv_text(fd).empty());
  CHECK(ioctl(net, fd, sioc::inq, &n));
  CHECK(n == 3);
}
