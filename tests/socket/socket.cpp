// SPDX-License-Identifier: BSL-1.0
// The socket calls: who answers what errno, waiting both ways, and who may knock at the door.
#include "netstack/socket/socket.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <thread>

#include "support/inet_host.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

// --- rows of inetsw for the type × protocol table: what TCP, ping and raw will register --------------------------

struct test_protosw;
template <class Host>
struct test_worker {
  slab<inet_sock, 16> socks;
};
template <class Net>
sock* test_alloc(Net& net) {
  return worker_generic<test_protosw>(net.worker()).socks.alloc();
}
template <class Net>
void test_free(Net& net, sock& sk) {
  worker_generic<test_protosw>(net.worker()).socks.free(&inet_sk(sk));
}
template <class Net>
void test_close(Net& net, sock& sk, u64) {
  sk_common_release(net, sk);
}
/// A proto with nothing but what opening and closing need.
template <class Net>
inline constexpr proto<Net> bare_prot{.name = "BARE",
                                      .close = test_close,
                                      .slab_alloc = test_alloc,
                                      .slab_free = test_free,
                                      .obj_size = sizeof(inet_sock)};
template <class Net>
inline constexpr proto_ops<Net> bare_stream_ops = [] {
  auto ops = inet_dgram_ops<Net>;
  ops.name = "bare_stream_ops";
  return ops;
}();

struct test_protosw : module {
  template <class Host>
  using perworker = test_worker<Host>;
  template <class Net>
  static constexpr std::array protos{bare_prot<Net>};
  template <class Net>
  static constexpr std::array inetsw{
      inet_protosw<Net>{.type = sock_type::raw,
                        .protocol = ipproto::ip,
                        .prot = bare_prot<Net>,
                        .ops = inet_sockraw_ops<Net>,
                        .flags = protosw_flag::reuse},
      inet_protosw<Net>{.type = sock_type::dgram,
                        .protocol = ipproto::icmp,
                        .prot = bare_prot<Net>,
                        .ops = inet_sockraw_ops<Net>,
                        .flags = protosw_flag::reuse},
      inet_protosw<Net>{.type = sock_type::stream,
                        .protocol = ipproto::tcp,
                        .prot = bare_prot<Net>,
                        .ops = bare_stream_ops<Net>,
                        .flags = protosw_flag::permanent | protosw_flag::icsk},
      inet_protosw<Net>{.type = sock_type::seqpacket,
                        .protocol = ipproto::sctp,
                        .prot = bare_prot<Net>,
                        .ops = inet_dgram_ops<Net>,
                        .flags = protosw_flag::permanent},
  };
};
/// Comes later in the list and claims pairs that are taken already.
struct late_protosw : module {
  template <class Net>
  static constexpr std::array inetsw{
      inet_protosw<Net>{
          .type = sock_type::dgram, .protocol = ipproto::udp, .prot = bare_prot<Net>, .ops = inet_dgram_ops<Net>},
      inet_protosw<Net>{
          .type = sock_type::dgram, .protocol = ipproto::icmp, .prot = bare_prot<Net>, .ops = inet_dgram_ops<Net>},
  };
};

struct udp_only : stack<udp_only, ipv4, udp> {};
struct all_types : stack<all_types, ipv4, udp, test_protosw> {};
struct overridden : stack<overridden, ipv4, udp, test_protosw, late_protosw> {};

constexpr int ESOCKTNOSUPPORT_ = 94;
pollfd want(int fd, u32 events) { return {.fd = fd, .events = static_cast<short>(events), .revents = 0}; }
int errno_of(std::errc e) { return static_cast<int>(e); }

/// Runs f inside poll(), `ns` from now.
template <class Host, class F>
struct later {
  timer_list timer;
  F f;
  later(inet_host<Host>& h, u64 ns, F action) : f(std::move(action)) {
    auto& worker = h.host.worker();
    worker.refresh_clock();
    timer.function = [](void*, timer_list& t) { reinterpret_cast<later*>(&t)->f(); };
    worker.timers.add_timer(timer, worker.now + ns);
  }
};

}  // namespace

TEST_CASE("socket() answers Linux's errno for every type and protocol", "[S107][S108]") {
  inet_host<all_types> h;
  auto& net = h.net();
  // (type, protocol) → what it gets: 0 a socket, else the errno.
  std::map<std::pair<u32, int>, int> expected;
  for (u32 type = 1; type < sock_type::max; ++type)
    for (int protocol = 0; protocol < 256; ++protocol) {
      int& e = expected[{type, protocol}];
      switch (type) {
        case sock_type::stream:
          e = protocol == 0 || protocol == 6 ? 0 : errno_of(std::errc::protocol_not_supported);
          break;
        case sock_type::dgram:
          e = protocol == 0 || protocol == 17 || protocol == 1 ? 0 : errno_of(std::errc::protocol_not_supported);
          break;
        case sock_type::raw: e = protocol == 0 ? errno_of(std::errc::protocol_not_supported) : 0; break;
        case sock_type::seqpacket:
          e = protocol == 0 || protocol == 132 ? 0 : errno_of(std::errc::protocol_not_supported);
          break;
        default: e = ESOCKTNOSUPPORT_;
      }
    }
  for (auto const& [key, error] : expected) {
    auto const fd = netstack::socket(net, af::inet, key.first, key.second);
    CAPTURE(key.first, key.second);
    REQUIRE((fd ? 0 : errno_of(fd.error())) == error);
    if (!fd) continue;
    auto& sk = h.sk(*fd);
    CHECK(sk.sk_type == key.first);
    int const resolved = key.second != 0                  ? key.second
                         : key.first == sock_type::stream ? 6
                         : key.first == sock_type::dgram  ? 17
                                                          : 132;
    CHECK(sk.sk_protocol == resolved);
    REQUIRE(close(net, *fd));
  }
  CHECK(netstack::socket(net, af::inet, sock_type::dgram, 256).error() == std::errc::protocol_not_supported);
  CHECK(netstack::socket(net, af::inet, sock_type::dgram, ipproto::max).error() == std::errc::invalid_argument);
  CHECK(netstack::socket(net, af::inet, sock_type::dgram, -1).error() == std::errc::invalid_argument);
  CHECK(netstack::socket(net, af::inet, sock_type::max).error() == std::errc::invalid_argument);
  CHECK(netstack::socket(net, af::inet, sock_type::dgram | 0x100000).error() == std::errc::invalid_argument);
  for (int family : {-1, 0, 1, 10, 45, 46, 99, 1 << 20})
    CHECK(netstack::socket(net, family, sock_type::dgram).error() == std::errc::address_family_not_supported);
  CHECK(sockfs::table_of(net).open_count() == 0);
  CHECK(net.sock_inuse == 0);
}

TEST_CASE("raw sockets are for the privileged", "[S108]") {
  inet_host<all_types> h;
  auto& caps = net_generic<net_core>(h.net()).caps;
  caps &= ~cap::net_raw;
  CHECK(netstack::socket(h.net(), af::inet, sock_type::raw, 89).error() == std::errc::operation_not_permitted);
  CHECK(netstack::socket(h.net(), af::inet, sock_type::dgram));
  caps |= cap::net_raw;
  CHECK(netstack::socket(h.net(), af::inet, sock_type::raw, 89));
}

TEST_CASE("inetsw: permanents first, then the latest, a wildcard last", "[S109][S110]") {
  using table = netstack::net<overridden>;
  constexpr auto rows = [](u32 type) { return table::inetsw[type]; };
  static_assert(rows(sock_type::stream).size() == 1 && rows(sock_type::dgram).size() == 4 &&
                rows(sock_type::raw).size() == 1);
  auto const dgram = rows(sock_type::dgram);
  // A later claim on UDP's pair stands behind the permanent row, where socket() never reaches it.
  CHECK(dgram[0].protocol == ipproto::udp);
  CHECK((dgram[0].flags & protosw_flag::permanent) != 0);
  CHECK(std::string_view(dgram[0].prot->name) == "UDP");
  // Of two rows that may be overridden the later one comes first.
  std::vector<u16> rest;
  for (auto const& row : dgram.subspan(1)) rest.push_back(row.protocol);
  CHECK(rest == std::vector<u16>{ipproto::icmp, ipproto::udp, ipproto::icmp});
  CHECK(std::string_view(dgram[1].ops->name) == "inet_dgram_ops");
  CHECK(std::string_view(dgram[3].ops->name) == "inet_sockraw_ops");
  CHECK(rows(sock_type::raw)[0].protocol == ipproto::ip);

  inet_host<overridden> with;
  int const udp_fd = with.udp();
  CHECK(std::string_view(sk_prot<netstack::net<overridden>>(with.sk(udp_fd)).name) == "UDP");
  int const ping_fd = netstack::socket(with.net(), af::inet, sock_type::dgram, ipproto::icmp).value();
  CHECK(sockfs::table_of(with.net()).find(ping_fd)->ops == &inet_dgram_ops<netstack::net<overridden>>);
  // Without the later module the earlier row serves again.
  inet_host<all_types> without;
  int const restored = netstack::socket(without.net(), af::inet, sock_type::dgram, ipproto::icmp).value();
  CHECK(sockfs::table_of(without.net()).find(restored)->ops == &inet_sockraw_ops<netstack::net<all_types>>);
}

TEST_CASE("REUSE and ICSK mark the sockets of their row", "[S111]") {
  inet_host<all_types> h;
  auto& net = h.net();
  int const stream = netstack::socket(net, af::inet, sock_type::stream).value();
  int const dgram = netstack::socket(net, af::inet, sock_type::dgram).value();
  int const ping = netstack::socket(net, af::inet, sock_type::dgram, ipproto::icmp).value();
  CHECK(inet_sk(h.sk(stream)).is_icsk);
  CHECK_FALSE(inet_sk(h.sk(dgram)).is_icsk);
  CHECK(getsockopt(net, ping, sol::socket, so::reuseaddr).value() == 1);
  CHECK(getsockopt(net, dgram, sol::socket, so::reuseaddr).value() == 0);
}

TEST_CASE("each proto has a unique number and a count of its sockets in each namespace", "[S88][S89]") {
  inet_host<all_types> h;
  auto& net = h.net();
  using table = netstack::net<all_types>;
  REQUIRE(table::proto_list.size() == 2);
  u8 const udp_idx = proto_index<table>("UDP"), bare_idx = proto_index<table>("BARE");
  CHECK(udp_idx != bare_idx);
  auto other = h.host.copy_net_ns();
  REQUIRE(other);
  std::vector<int> fds;
  for (int i = 0; i < 5; ++i) fds.push_back(h.udp());
  fds.push_back(netstack::socket(net, af::inet, sock_type::stream).value());
  REQUIRE(netstack::socket(**other, af::inet, sock_type::dgram));
  CHECK(sock_prot_inuse_get(net, udp_idx) == 5);
  CHECK(sock_prot_inuse_get(net, bare_idx) == 1);
  CHECK(sock_prot_inuse_get(**other, udp_idx) == 1);
  CHECK(udp_worker_of(net).socks.in_use() == 6);  // one typed slab for all namespaces of the worker
  for (int fd : fds) REQUIRE(close(net, fd));
  CHECK(sock_prot_inuse_get(net, udp_idx) == 0);
  CHECK(sock_prot_inuse_get(net, bare_idx) == 0);
  CHECK(net.sock_inuse == 0);
  CHECK((*other)->sock_inuse == 1);
  CHECK(udp_worker_of(net).socks.in_use() == 1);
}

TEST_CASE("inet_dgram_ops forwards to the proto, and refuses what a datagram socket is not", "[S113][S91]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp();
  int fds[2];
  CHECK(accept(net, fd).error() == std::errc::operation_not_supported);
  CHECK(listen(net, fd, 5).error() == std::errc::operation_not_supported);
  CHECK(socketpair(net, af::inet, sock_type::dgram, 0, fds).error() == std::errc::operation_not_supported);
  CHECK(mmap(net, fd, 4096).error() == std::errc::no_such_device);
  CHECK(bind(net, fd, lo_addr(5000)));                   // inet_bind → get_port
  CHECK(connect(net, fd, lo_addr(5000)));                // inet_dgram_connect → ip4_datagram_connect
  CHECK(getsockname(net, fd).value() == lo_addr(5000));  // inet_getname
  CHECK(getpeername(net, fd).value() == lo_addr(5000));
  CHECK(h.send_text(fd, "abc").value() == 3);  // inet_sendmsg → udp_sendmsg
  h.run();
  int pending = 0;
  CHECK(ioctl(net, fd, sioc::inq, &pending).value() == 0);  // inet_ioctl → udp_ioctl
  CHECK(pending == 3);
  pollfd p = want(fd, poll_ev::in | poll_ev::out);
  CHECK(poll(net, {&p, 1}, 0).value() == 1);  // udp_poll
  CHECK(p.revents == (poll_ev::in | poll_ev::out));
  CHECK(h.recv_text(fd) == "abc");                         // inet_recvmsg → udp_recvmsg
  CHECK(setsockopt(net, fd, sol::udp, udp_opt::cork, 1));  // sock_common_setsockopt → udp_setsockopt
  CHECK(getsockopt(net, fd, sol::udp, udp_opt::cork).value() == 1);
  CHECK(setsockopt(net, fd, sol::udp, udp_opt::cork, 0));
  sk_buff* page = net.worker().pool.alloc_skb();
  std::memcpy(page->put(4), "page", 4);
  CHECK(sendpage(net, fd, *page, 1, 3).value() == 3);  // inet_sendpage → udp_sendpage
  CHECK(sendpage(net, fd, *page, 2, 3).error() == std::errc::invalid_argument);
  consume_skb(*page);
  h.run();
  CHECK(h.recv_text(fd) == "age");
  CHECK(shutdown(net, fd, shut::rdwr));  // inet_shutdown
  CHECK(close(net, fd));                 // inet_release → udp_lib_close
  CHECK(udp_worker_of(net).socks.in_use() == 0);
}

TEST_CASE("an op that a proto lacks answers its documented errno", "[S91]") {
  inet_host<all_types> h;
  auto& net = h.net();
  int const fd = netstack::socket(net, af::inet, sock_type::stream).value();  // BARE: close and nothing else
  int value = 0;
  CHECK(connect(net, fd, lo_addr(1)).error() == std::errc::operation_not_supported);
  sockaddr const unspec{};
  CHECK(connect(net, fd, unspec).error() == std::errc::operation_not_supported);  // disconnect
  CHECK(ioctl(net, fd, sioc::inq, &value).error() == std::errc::inappropriate_io_control_operation);
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::ttl, 1).error() == std::errc::no_protocol_option);
  CHECK(getsockopt(net, fd, sol::ip, ip_opt::ttl).error() == std::errc::no_protocol_option);
  CHECK(h.send_text(fd, "x", lo_addr(1)).error() == std::errc::operation_not_supported);
  CHECK(h.recv_text(fd) == "[" + std::to_string(errno_of(std::errc::operation_not_supported)) + "]");
  sk_buff* page = net.worker().pool.alloc_skb();
  page->put(4);
  CHECK(sendpage(net, fd, *page, 0, 4).error() == std::errc::operation_not_supported);  // falls back to sendmsg
  consume_skb(*page);
  CHECK(bind(net, fd, lo_addr(80)));  // no get_port: the address is noted, no port is claimed
  CHECK(getsockopt(net, fd, sol::socket, so::type).value() == 1);
  CHECK(close(net, fd));
}

TEST_CASE("every call on a number that is no socket is EBADF", "[S113]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const closed = h.udp();
  REQUIRE(close(net, closed));
  char buf[4];
  msghdr m;
  for (int fd : {-1, closed, 1, 511, 512, 1 << 30}) {
    constexpr auto ebadf = std::errc::bad_file_descriptor;
    CAPTURE(fd);
    CHECK(close(net, fd).error() == ebadf);
    CHECK(bind(net, fd, lo_addr(1)).error() == ebadf);
    CHECK(connect(net, fd, lo_addr(1)).error() == ebadf);
    CHECK(listen(net, fd, 1).error() == ebadf);
    CHECK(accept(net, fd).error() == ebadf);
    CHECK(shutdown(net, fd, shut::rd).error() == ebadf);
    CHECK(getsockname(net, fd).error() == ebadf);
    CHECK(getpeername(net, fd).error() == ebadf);
    CHECK(send(net, fd, buf, 1).error() == ebadf);
    CHECK(write(net, fd, buf, 1).error() == ebadf);
    CHECK(sendmsg(net, fd, m).error() == ebadf);
    CHECK(recv(net, fd, buf, 1).error() == ebadf);
    CHECK(read(net, fd, buf, 1).error() == ebadf);
    CHECK(recvmsg(net, fd, m).error() == ebadf);
    CHECK(ioctl(net, fd, sioc::inq, buf).error() == ebadf);
    CHECK(setsockopt(net, fd, sol::socket, so::rcvbuf, 1).error() == ebadf);
    CHECK(getsockopt(net, fd, sol::socket, so::rcvbuf).error() == ebadf);
    CHECK(fstat(net, fd).error() == ebadf);
  }
  pollfd p = want(closed, poll_ev::in);
  CHECK(poll(net, {&p, 1}, 0).value() == 1);
  CHECK(p.revents == poll_ev::nval);
  p.fd = -1;
  CHECK(poll(net, {&p, 1}, 0).value() == 0);
}

TEST_CASE("read, write and the non-blocking mode work as on a file", "[S27]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const a = h.udp(6000), b = h.udp(6001);
  REQUIRE(connect(net, a, lo_addr(6001)));
  char buf[8];
  CHECK(write(net, a, "12345", 5).value() == 5);
  CHECK(read(net, b, buf, sizeof buf).value() == 5);  // waits: lo delivers in the next poll
  int on = 1;
  CHECK(ioctl(net, b, sioc::fionbio, &on));
  CHECK(read(net, b, buf, sizeof buf).error() == std::errc::resource_unavailable_try_again);
  int const c = netstack::socket(net, af::inet, sock_type::dgram | sock_type::nonblock | sock_type::cloexec).value();
  CHECK(read(net, c, buf, sizeof buf).error() == std::errc::resource_unavailable_try_again);
  CHECK(ioctl(net, b, sioc::inq, nullptr).error() == std::errc::bad_address);
  CHECK(ioctl(net, b, 0x1234, &on).error() == std::errc::inappropriate_io_control_operation);
}

TEST_CASE("a blocking receive drives the worker until something comes", "[S27]") {
  inet_host<udp_only> h;
  int const a = h.udp(6000), b = h.udp(6001);
  later send_soon(h, 3'000'000, [&] { CHECK(h.send_text(a, "late", lo_addr(6001), msg::dontwait).value() == 4); });
  CHECK(h.recv_text(b, 0) == "late");
}

TEST_CASE("SO_RCVTIMEO ends a wait, and MSG_DONTWAIT does not begin one") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{0, 20'000}));
  h.host.worker().refresh_clock();
  u64 const start = h.host.worker().now;
  CHECK(h.recv_text(fd, 0) == eagain);
  h.host.worker().refresh_clock();
  u64 const waited = h.host.worker().now - start;
  CHECK(waited >= 20'000'000);
  CHECK(waited < 2'000'000'000);
  CHECK(h.recv_text(fd, msg::dontwait) == eagain);
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo)->tv_usec == 20'000);
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{0, 1'000'000}).error() ==
        std::errc::argument_out_of_domain);
}

TEST_CASE("a blocking call from inside a callback is EDEADLK") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  std::string receive_answer;
  std::errc poll_answer{};
  later inside(h, 1'000'000, [&] {
    receive_answer = h.recv_text(fd, 0);
    pollfd p = want(fd, poll_ev::in);
    auto const r = poll(net, {&p, 1}, no_timeout);
    poll_answer = r ? std::errc{} : r.error();
    CHECK(h.recv_text(fd, msg::dontwait) == eagain);  // what need not wait may be called
  });
  CHECK(setsockopt(net, fd, sol::socket, so::rcvtimeo, timeval{0, 30'000}));
  CHECK(h.recv_text(fd, 0) == eagain);
  CHECK(receive_answer == "[" + std::to_string(errno_of(std::errc::resource_deadlock_would_occur)) + "]");
  CHECK(poll_answer == std::errc::resource_deadlock_would_occur);
}

TEST_CASE("a socket closed under a waiting call answers EBADF, and its slot is free") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  int reopened = -1;
  later closes(h, 1'000'000, [&] {
    REQUIRE(close(net, fd));
    reopened = h.udp(6000);
  });
  CHECK(h.recv_text(fd, 0) == "[" + std::to_string(errno_of(std::errc::bad_file_descriptor)) + "]");
  CHECK(reopened == fd);
  REQUIRE(close(net, reopened));
  CHECK(udp_worker_of(net).socks.in_use() == 0);
}

TEST_CASE("poll waits for the first of several sockets", "[S114]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const a = h.udp(6000), b = h.udp(6001);
  std::array fds{want(a, poll_ev::in), want(b, poll_ev::in)};
  CHECK(poll(net, fds, 0).value() == 0);
  CHECK(poll(net, fds, 10'000'000).value() == 0);  // the time passes
  later send_soon(h, 1'000'000, [&] { (void)h.send_text(a, "x", lo_addr(6001)); });
  CHECK(poll(net, fds, no_timeout).value() == 1);
  CHECK(fds[0].revents == 0);
  CHECK(fds[1].revents == poll_ev::in);
}

TEST_CASE("poll bits follow data, room, errors and shutdown", "[S114]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp(6000);
  auto const bits = [&] {
    pollfd p = want(fd, 0x3fff);
    (void)poll(net, {&p, 1}, 0);
    return static_cast<u32>(p.revents);
  };
  constexpr u32 out = poll_ev::out | poll_ev::wrnorm | poll_ev::wrband, in = poll_ev::in | poll_ev::rdnorm;
  CHECK(bits() == out);
  REQUIRE(h.send_text(fd, "x", lo_addr(6000)));
  h.run();
  CHECK(bits() == (out | in));
  CHECK(h.recv_text(fd) == "x");
  sk_report_error(h.sk(fd), errno_of(std::errc::connection_refused));
  CHECK(bits() == (out | poll_ev::err));
  CHECK(getsockopt(net, fd, sol::socket, so::error).value() == errno_of(std::errc::connection_refused));
  CHECK(bits() == out);
  h.sk(fd).sk_wmem_alloc += h.sk(fd).sk_sndbuf;
  CHECK(bits() == 0);
  h.sk(fd).sk_wmem_alloc -= h.sk(fd).sk_sndbuf;
  CHECK(shutdown(net, fd, shut::rd).error() == std::errc::not_connected);
  CHECK(bits() == (out | in | poll_ev::rdhup));
  CHECK(shutdown(net, fd, shut::wr).error() == std::errc::not_connected);
  CHECK(bits() == (out | in | poll_ev::rdhup | poll_ev::hup));
}

TEST_CASE("shutdown closes one direction at a time", "[S114]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const a = h.udp(6000), b = h.udp(6001);
  REQUIRE(connect(net, a, lo_addr(6001)));
  CHECK(shutdown(net, a, 3).error() == std::errc::invalid_argument);
  CHECK(shutdown(net, a, -1).error() == std::errc::invalid_argument);
  REQUIRE(h.send_text(b, "still", lo_addr(6000)));
  h.run();
  CHECK(shutdown(net, a, shut::rd));
  CHECK(h.recv_text(a, 0) == "still");  // what came before is read
  CHECK(h.recv_text(a, 0).empty());     // then the end, without waiting
  CHECK(h.send_text(a, "half").value() == 4);
  CHECK(shutdown(net, a, shut::wr));
  CHECK(h.send_text(a, "no").error() == std::errc::broken_pipe);
  h.run();
  CHECK(h.recv_text(b) == "half");
}

TEST_CASE("after SHUT_RD a receive that may wait answers 0, one that may not EAGAIN", "[S114]") {
  inet_host<udp_only> h;
  int const fd = h.udp(6000);
  REQUIRE(connect(h.net(), fd, lo_addr(9)));
  REQUIRE(shutdown(h.net(), fd, shut::rd));
  CHECK(h.recv_text(fd, 0).empty());
  CHECK(h.recv_text(fd, msg::dontwait) == eagain);
}

TEST_CASE("a null pointer where bytes should be is EFAULT, and changes nothing", "[S113]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp();
  constexpr auto efault = std::errc::bad_address;
  int const before = getsockopt(net, fd, sol::socket, so::rcvbuf).value();
  CHECK(setsockopt(net, fd, sol::socket, so::rcvbuf, nullptr, 4).error() == efault);
  CHECK(getsockopt(net, fd, sol::socket, so::rcvbuf).value() == before);
  int value = 0;
  u32 len = sizeof value;
  CHECK(getsockopt(net, fd, sol::socket, so::rcvbuf, &value, nullptr).error() == efault);
  CHECK(getsockopt(net, fd, sol::socket, so::rcvbuf, nullptr, &len).error() == efault);
  CHECK(bind(net, fd, sockaddr_view{nullptr, 16}).error() == efault);
  CHECK(connect(net, fd, sockaddr_view{nullptr, 16}).error() == efault);
  CHECK(sendto(net, fd, nullptr, 4, 0, lo_addr(6000)).error() == efault);
  CHECK(h.port_of(fd) == 0);
  REQUIRE(bind(net, fd, lo_addr(6000)));
  REQUIRE(h.send_text(fd, "abcd", lo_addr(6000)));
  h.run();
  char buf[4];
  sockaddr_in from;
  CHECK(recv(net, fd, nullptr, 4).error() == efault);
  CHECK(recvfrom(net, fd, buf, 4, 0, &from, nullptr).error() == efault);
  CHECK(h.recv_text(fd) == "abcd");
  CHECK(send(net, 999, nullptr, 4).error() == std::errc::bad_file_descriptor);
}

TEST_CASE("IP options: an empty value, a wrong one, and a level that nobody knows", "[S113]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp();
  for (int option : {ip_opt::ttl, ip_opt::minttl, ip_opt::freebind, ip_opt::transparent, ip_opt::multicast_ttl,
                     ip_opt::multicast_loop, ip_opt::multicast_all, ip_opt::unicast_if, ip_opt::local_port_range}) {
    CAPTURE(option);
    auto const before = getsockopt(net, fd, sol::ip, option).value();
    CHECK(setsockopt(net, fd, sol::ip, option, "", 0).error() == std::errc::invalid_argument);
    CHECK(getsockopt(net, fd, sol::ip, option).value() == before);
  }
  for (int option : {ip_opt::unicast_if, ip_opt::local_port_range})  // an int exactly
    CHECK(setsockopt(net, fd, sol::ip, option, "\0\0\0\0\0\0\0", 8).error() == std::errc::invalid_argument);
  for (int option : {ip_opt::tos, ip_opt::recverr, ip_opt::pktinfo, ip_opt::recvttl, ip_opt::bind_address_no_port})
    CHECK(setsockopt(net, fd, sol::ip, option, "", 0));
  REQUIRE(setsockopt(net, fd, sol::ip, ip_opt::multicast_all, 0));
  CHECK(setsockopt(net, fd, sol::ip, ip_opt::multicast_all, 2).error() == std::errc::invalid_argument);
  CHECK(getsockopt(net, fd, sol::ip, ip_opt::multicast_all).value() == 0);
  CHECK(setsockopt(net, fd, 999, 1, 1).error() == std::errc::no_protocol_option);
  CHECK(getsockopt(net, fd, 999, 1).error() == std::errc::operation_not_supported);
}

TEST_CASE("names: local, peer, and none", "[S114]") {
  inet_host<udp_only> h;
  auto& net = h.net();
  int const fd = h.udp();
  CHECK(getsockname(net, fd).value() == inet_addr_of({}, 0));
  CHECK(getpeername(net, fd).error() == std::errc::not_connected);
  REQUIRE(connect(net, fd, lo_addr(7)));
  auto const local = getsockname(net, fd).value();
  CHECK(local.sin_addr.s_addr == localhost);
  CHECK(local.sin_port.host() >= 32768);
  CHECK(getpeername(net, fd).value() == lo_addr(7));
  sockaddr const unspec{};
  REQUIRE(connect(net, fd, unspec));
  CHECK(getpeername(net, fd).error() == std::errc::not_connected);
  CHECK(getsockname(net, fd).value() == inet_addr_of({}, 0));
}

TEST_CASE("a foreign thread at the door ends a debug build") {
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);  // Catch2 would report a failure of its own
    ::close(2);
    udp_only h;
    if (!h.boot()) ::_exit(3);
    enter<true>(h.worker());
    enter<true>(h.worker());  // the owner may knock again
    leave(h.worker());
    std::thread([&] { enter<true>(h.worker()); }).join();  // handed on
    enter<true>(h.worker());                               // not ours any more: ends here
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}
