// SPDX-License-Identifier: BSL-1.0
// The kernel as the oracle of what a program sees of TCP: the same calls are made in pairs, one on a socket of the
// kernel's, one on the stack's, each on its own lo. Every answer must be the kernel's: bytes, errno, flags, bits of
// poll(), values of options, and the records of /proc/net/tcp.
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/procfs.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/tcp/tcp.hpp"
#include "support/oracle.hpp"

namespace {

constexpr netstack::config bounds{.max_net = 1, .max_timewait = 8192};
struct host : netstack::stack<host, netstack::ipv4, netstack::tcp, netstack::sizes<bounds>> {};

constexpr unsigned sio_outqnsd = 0x894B;

using pair = support::twins;

/// The calls, in pairs.
class both : public support::oracle<host> {
 public:
  unsigned lowest_port = 0;  ///< what is below was another round's, and is in TIME-WAIT for a while

  both() {
    std::ifstream rmem("/proc/sys/net/ipv4/tcp_rmem");
    std::string text;
    std::getline(rmem, text);
    REQUIRE(netstack::sysctl_write(net(), "net/ipv4/tcp_rmem", text));
  }
  pair open(bool nodelay = true) {
    pair p{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
           netstack::socket(net(), AF_INET, SOCK_STREAM | SOCK_NONBLOCK).value_or(-1)};
    REQUIRE(p.theirs >= 0);
    REQUIRE(p.ours >= 0);
    // Else an acknowledgment's delay would show.
    if (nodelay) (void)set(p, SOL_TCP, TCP_NODELAY, 1);
    return p;
  }
  void close(pair const& p) {
    ::close(p.theirs);
    CHECK(netstack::close(net(), p.ours));
    run();
  }
  long bind(pair const& p, ::sockaddr_in a, unsigned len = 16) {
    long const k = answer(::bind(p.theirs, reinterpret_cast<::sockaddr const*>(&a), len));
    same("bind", k, answer(netstack::bind(net(), p.ours, netstack::sockaddr_view{&a, len})));
    return k;
  }
  long connect(pair const& p, ::sockaddr_in a, unsigned len = 16) {
    long const k = answer(::connect(p.theirs, reinterpret_cast<::sockaddr const*>(&a), len));
    same("connect", k, answer(netstack::connect(net(), p.ours, netstack::sockaddr_view{&a, len})));
    run();
    return k;
  }
  long listen(pair const& p, int backlog) {
    long const k = answer(::listen(p.theirs, backlog));
    same("listen", k, answer(netstack::listen(net(), p.ours, backlog)));
    return k;
  }
  pair accept(pair const& p) {
    int const theirs = ::accept4(p.theirs, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    long const k = theirs < 0 ? -errno : 0;
    auto const ours = netstack::accept(net(), p.ours, nullptr, nullptr, SOCK_NONBLOCK);
    same("accept", k, ours ? 0 : -static_cast<long>(ours.error()));
    run();
    return {theirs, ours.value_or(-1)};
  }
  long send(pair const& p, unsigned size, int flags = 0) {
    std::vector<char> bytes(size);
    for (unsigned i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + size);
    long const k = answer(::send(p.theirs, bytes.data(), size, flags | MSG_NOSIGNAL));
    same("send", k,
         answer(netstack::send(net(), p.ours, bytes.data(), size, static_cast<unsigned>(flags | MSG_NOSIGNAL))));
    run();
    return k;
  }
  long send_to(pair const& p, unsigned size, int flags, ::sockaddr_in const* a, unsigned len) {
    char const bytes[16]{};
    flags |= MSG_NOSIGNAL;
    long const k = answer(::sendto(p.theirs, bytes, size, flags, reinterpret_cast<::sockaddr const*>(a), len));
    same("sendto", k,
         answer(netstack::sendto(net(), p.ours, bytes, size, static_cast<unsigned>(flags), {a, a ? len : 0})));
    run();
    return k;
  }
  long receive(pair const& p, unsigned size, int flags = 0) {
    std::vector<char> theirs(size + 1), ours(size + 1);  // so that there is an address even of nothing
    ::iovec part{theirs.data(), size}, our_part{ours.data(), size};
    alignas(8) std::byte told[64]{}, we_told[64]{};
    ::msghdr m{nullptr, 0, &part, 1, told, sizeof told, 0};
    netstack::msghdr our_m{.msg_iov = {&our_part, 1}, .msg_control = we_told};
    long const k = answer(::recvmsg(p.theirs, &m, flags));
    long const r = answer(netstack::recvmsg(net(), p.ours, our_m, static_cast<unsigned>(flags)));
    if (same("recv", k, r) && k >= 0) {
      same("flags", m.msg_flags, static_cast<long>(our_m.msg_flags));
      same("length of what is told", static_cast<long>(m.msg_controllen), static_cast<long>(our_m.msg_controllen));
      same("what is told", 0, std::memcmp(told, we_told, m.msg_controllen));
      same("bytes", 0, std::memcmp(theirs.data(), ours.data(), size));
    }
    run();
    return k;
  }
  long shutdown(pair const& p, int how) {
    long const k = answer(::shutdown(p.theirs, how));
    same("shutdown", k, answer(netstack::shutdown(net(), p.ours, how)));
    run();
    return k;
  }
  long set(pair const& p, int level, int option, int value, unsigned len = 4) {
    int const room[4]{value, value, 0, 0};
    long const k = answer(::setsockopt(p.theirs, level, option, room, len));
    same("set", k, answer(netstack::setsockopt(net(), p.ours, level, option, static_cast<void const*>(room), len)));
    return k;
  }
  void get(pair const& p, int level, int option, unsigned len = 4, bool compare = true) {
    char theirs[16]{}, ours[16]{};
    ::socklen_t k_len = len;
    netstack::u32 our_len = len;
    long const k = answer(::getsockopt(p.theirs, level, option, theirs, &k_len));
    same("get", k, answer(netstack::getsockopt(net(), p.ours, level, option, static_cast<void*>(ours), &our_len)));
    if (k < 0 || over || !compare) return;
    same("length", k_len, our_len);
    int a, b;
    std::memcpy(&a, theirs, 4), std::memcpy(&b, ours, 4);
    same("value", a, b);
    same("value's end", 0, std::memcmp(theirs, ours, 16));
  }
  void ask(pair const& p, unsigned request) {
    int theirs = -1, ours = -1;
    long const k = answer(::ioctl(p.theirs, request, &theirs));
    same("ioctl", k, answer(netstack::ioctl(net(), p.ours, request, &ours)));
    if (k >= 0) same("ioctl's value", theirs, ours);
  }
  void watch(pair const& p) {
    oracle::watch(p, POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLWRBAND | POLLRDBAND | 0x2000);
  }

  // --- /proc/net/tcp
  std::string our_proc() {
    std::string text(1 << 16, '\0');
    auto const n = netstack::proc_read(net(), "net/tcp", 0, text);
    REQUIRE(n);
    text.resize(*n);
    return text;
  }
  static std::string their_proc() {
    std::ifstream in(std::string(support::own_proc_net) + "tcp");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// The records without what must differ: place, inode, address of the sock, ports that were chosen at random, and how
  /// many hold it (in Linux also timers that have nothing to do any more). Of a round of random calls further without
  /// what depends on when an acknowledgment leaves.
  std::vector<std::string> records(std::string const& text, bool whole) {
    std::vector<std::string> all;
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::vector<std::string> w;
      for (std::string word; words >> word;) w.push_back(word);
      REQUIRE(w.size() >= 12);
      auto const of_round = [&](std::string const& end) {
        auto const port = std::stoul(end.substr(9), nullptr, 16);
        return port == 0 || port >= lowest_port;
      };
      if (!of_round(w[1]) || !of_round(w[2])) continue;
      for (auto* end : {&w[1], &w[2]})
        if (std::stoul(end->substr(9), nullptr, 16) >= 32768) *end = end->substr(0, 9) + "*";
      bool const inode = w[9] != "0";
      w[0] = w[10] = w[11] = "";
      w[9] = inode ? "inode" : "0";
      std::string kept;
      if (!whole) {
        if (w[3] == "04") w[3] = "05";             // as long as nobody acknowledged the FIN
        if (w[3] == "0A") w[2] = "00000000:0000";  // in Linux the peer that it had before
        kept = w[1] + ' ' + w[2] + ' ' + w[3] + ' ' + w[4].substr(9) + ' ' + w[7] + ' ' + w[9];
      } else {
        // A timer was set a moment apart, and how long a round trip took on a busy machine is nobody's fault.
        auto const when = std::stoul(w[5].substr(3), nullptr, 16);
        w[5] = w[5].substr(0, 3) + std::to_string((when + 250) / 500);
        if (w.size() > 12 && w[3] != "0A") w[12] = "rto";
        for (auto const& word : w) kept += word + ' ';
      }
      all.push_back(kept);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  void same_proc(bool whole) {
    if (over) return;
    auto const theirs = records(their_proc(), whole), ours = records(our_proc(), whole);
    if (theirs == ours) return;
    over = true;
    INFO(before << call << ": /proc/net/tcp\n" << their_proc() << "\nours\n" << our_proc());
    CHECK(ours == theirs);
  }
};

template <class F>
void beside_the_kernel(F f) {
  support::beside_the_kernel<both>(f);
}

/// A connection: the one who connected, the one who was accepted, and the listener.
struct trio {
  pair client, server, listener;
};
trio connected(both& two, unsigned short port, bool nodelay = true) {
  trio t;
  t.listener = two.open(nodelay);
  (void)two.set(t.listener, SOL_SOCKET, SO_REUSEADDR, 1);
  REQUIRE(two.bind(t.listener, both::name(0x7f000001, port)) == 0);
  REQUIRE(two.listen(t.listener, 5) == 0);
  t.client = two.open(nodelay);
  CHECK(two.connect(t.client, both::name(0x7f000001, port)) == -EINPROGRESS);
  t.server = two.accept(t.listener);
  CHECK(two.connect(t.client, both::name(0x7f000001, port)) == 0);
  return t;
}

}  // namespace

TEST_CASE("options of TCP sockets have the kernel's ranges, defaults and errnos", "[S92][S48]") {
  beside_the_kernel([](both& two) {
    constexpr int values[]{0,    1,     2,        3,          7,
                           48,   64,    87,       88,         120,
                           121,  127,   128,      255,        256,
                           1460, 32767, 32768,    65535,      100'000,
                           -1,   -2,    -120'000, 0x7fffffff, static_cast<int>(0x80000000)};
    constexpr int options[][2]{{SOL_TCP, TCP_NODELAY},
                               {SOL_TCP, TCP_MAXSEG},
                               {SOL_TCP, TCP_CORK},
                               {SOL_TCP, TCP_KEEPIDLE},
                               {SOL_TCP, TCP_KEEPINTVL},
                               {SOL_TCP, TCP_KEEPCNT},
                               {SOL_TCP, TCP_SYNCNT},
                               {SOL_TCP, TCP_LINGER2},
                               {SOL_TCP, TCP_WINDOW_CLAMP},
                               {SOL_TCP, TCP_QUICKACK},
                               {SOL_TCP, TCP_USER_TIMEOUT},
                               {SOL_TCP, TCP_NOTSENT_LOWAT},
                               {SOL_TCP, 99},
                               {SOL_SOCKET, SO_REUSEADDR},
                               {SOL_SOCKET, SO_KEEPALIVE},
                               {SOL_SOCKET, SO_OOBINLINE},
                               {SOL_SOCKET, SO_LINGER},
                               {SOL_SOCKET, SO_RCVLOWAT},
                               {SOL_SOCKET, SO_ACCEPTCONN},
                               {SOL_SOCKET, SO_TYPE},
                               {SOL_SOCKET, SO_PROTOCOL},
                               {SOL_SOCKET, SO_ERROR},
                               {SOL_SOCKET, SO_RCVTIMEO},
                               {SOL_IP, IP_TOS},
                               {SOL_IP, IP_TTL},
                               {SOL_IP, IP_MTU_DISCOVER},
                               {SOL_IP, IP_MTU}};
    for (int kind = 0; kind < 3; ++kind)
      for (auto const& [level, option] : options) {
        trio t;
        if (kind == 2)
          t = connected(two, static_cast<unsigned short>(1000 + option + level * 100), false);
        else
          t.client = two.open(false);
        if (kind == 1) (void)two.listen(t.client, 1);
        // What depends on the size of buffers and of the device.
        bool const sized = kind == 2 && (option == TCP_MAXSEG || option == TCP_WINDOW_CLAMP) && level == SOL_TCP;
        bool const comparable = !sized && !(level == SOL_IP && option == IP_MTU);
        two.before = "kind " + std::to_string(kind) + " option " + std::to_string(level) + "/" + std::to_string(option);
        two.call = " at first";
        two.get(t.client, level, option, 4, comparable);
        for (int value : values)
          for (unsigned len : {4u, 0u, 1u, 3u, 8u}) {
            two.call = " value " + std::to_string(value) + " length " + std::to_string(len);
            (void)two.set(t.client, level, option, value, len);
            // A time that is not one is read back as something in Linux.
            bool const no_time =
                level == SOL_SOCKET && len > 4 && (option == SO_RCVTIMEO || (option == SO_LINGER && value < 0));
            two.get(t.client, level, option, len, comparable && !no_time);
            two.over = false;
          }
        for (pair const& p : {t.client, t.server, t.listener})
          if (p.ours >= 0) two.close(p);
      }
  });
}

TEST_CASE("buffer sizes that were set by hand are the kernel's") {
  beside_the_kernel([](both& two) {
    auto const p = two.open();
    for (int value : {0, 1, 1000, 5000, 20'000, 100'000, -1})
      for (int option : {SO_SNDBUF, SO_RCVBUF}) {
        two.call = std::to_string(option) + " " + std::to_string(value);
        (void)two.set(p, SOL_SOCKET, option, value);
        two.get(p, SOL_SOCKET, option, 4, value >= 5000);  // the least depends on what a packet costs
      }
    two.close(p);
  });
}

TEST_CASE("/proc/net/tcp is the kernel's, word for word, in every state that can be looked at", "[S166][S167]") {
  beside_the_kernel([](both& two) {
    CHECK(two.our_proc() == both::their_proc());  // the header, and nobody yet
    auto t = connected(two, 1001, false);
    two.call = "established";
    two.same_proc(true);
    (void)two.send(t.client, 100);
    two.call = "data to be read";
    auto const line_of = [](std::string const& text, char const* st) {
      auto const at = text.find(st);
      return at == std::string::npos ? std::string{} : text.substr(at, 22);
    };
    CHECK(line_of(two.our_proc(), " 01 00000000:00000064") == line_of(both::their_proc(), " 01 00000000:00000064"));
    (void)two.receive(t.server, 200);
    (void)two.shutdown(t.client, SHUT_WR);
    two.call = "half closed";
    two.same_proc(false);
    (void)two.receive(t.server, 200);
    two.close(t.server);
    two.close(t.client);
    two.call = "time wait and a listener";
    two.same_proc(true);
    // Orphans are all namespaces' together, and what memory there is, differs.
    auto const sockstat = [](std::string const& text) {
      std::istringstream words(text.substr(text.find("TCP: inuse")));
      std::string word, inuse, tw;
      words >> word >> word >> inuse >> word >> word >> word >> tw;
      return inuse + " in use, " + tw + " in TIME-WAIT";
    };
    std::string ours(4096, '\0');
    ours.resize(netstack::proc_read(two.net(), "net/sockstat", 0, ours).value());
    std::ifstream theirs(std::string(support::own_proc_net) + "sockstat");
    CHECK(sockstat(ours) == sockstat({std::istreambuf_iterator<char>(theirs), {}}));
    two.close(t.listener);
    auto const asks = two.open();
    // Nobody answers: 192.0.2.1 has no route, so a SYN to lo that lo drops is made by a listener whose queue is full.
    auto const full = two.open();
    REQUIRE(two.bind(full, both::name(0x7f000001, 1002)) == 0);
    REQUIRE(two.listen(full, 0) == 0);
    std::vector<pair> many;
    for (int i = 0; i < 3; ++i) {
      many.push_back(two.open());
      (void)two.connect(many.back(), both::name(0x7f000001, 1002));
    }
    two.call = "a full queue";
    two.same_proc(false);
    for (auto const& p : many) two.close(p);
    two.close(full);
    two.close(asks);
  });
}

TEST_CASE("TCP_INFO says what the kernel's says of the same conversation", "[S92]") {
  beside_the_kernel([](both& two) {
    auto t = connected(two, 1003);
    for (int i = 0; i < 5; ++i) {
      (void)two.send(t.client, 100);
      (void)two.receive(t.server, 1000);
      (void)two.send(t.server, 50);
      (void)two.receive(t.client, 1000);
    }
    ::usleep(100'000);  // longer than any acknowledgment waits
    two.run();
    for (auto const& p : {t.client, t.server, t.listener}) {
      netstack::tcp_info k{};
      ::socklen_t len = sizeof k;
      REQUIRE(::getsockopt(p.theirs, SOL_TCP, TCP_INFO, &k, &len) == 0);
      auto const o = netstack::getsockopt<netstack::tcp_info>(two.net(), p.ours, SOL_TCP, TCP_INFO).value();
      CHECK(o.tcpi_state == k.tcpi_state);
      CHECK(o.tcpi_ca_state == k.tcpi_ca_state);
      CHECK(o.tcpi_retransmits == k.tcpi_retransmits);
      CHECK(o.tcpi_backoff == k.tcpi_backoff);
      CHECK((o.tcpi_options & 7) == (k.tcpi_options & 7));
      CHECK(o.tcpi_unacked == k.tcpi_unacked);
      CHECK(o.tcpi_sacked == k.tcpi_sacked);
      CHECK(o.tcpi_lost == k.tcpi_lost);
      CHECK(o.tcpi_total_retrans == k.tcpi_total_retrans);
      CHECK(o.tcpi_reordering == k.tcpi_reordering);
      CHECK(o.tcpi_bytes_acked == k.tcpi_bytes_acked);
      CHECK(o.tcpi_bytes_received == k.tcpi_bytes_received);
      CHECK(o.tcpi_bytes_sent == k.tcpi_bytes_sent);
      CHECK(o.tcpi_bytes_retrans == k.tcpi_bytes_retrans);
      CHECK(o.tcpi_data_segs_in == k.tcpi_data_segs_in);
      CHECK(o.tcpi_data_segs_out == k.tcpi_data_segs_out);
      CHECK(o.tcpi_notsent_bytes == k.tcpi_notsent_bytes);
      CHECK(o.tcpi_delivered == k.tcpi_delivered);
      CHECK(o.tcpi_snd_ssthresh == k.tcpi_snd_ssthresh);
      CHECK(o.tcpi_rcv_ooopack == k.tcpi_rcv_ooopack);
      CHECK(o.tcpi_total_rto == k.tcpi_total_rto);
      CHECK(o.tcpi_ato == k.tcpi_ato);
    }
    for (auto const& p : {t.client, t.server, t.listener}) two.close(p);
  });
}

TEST_CASE("what a connection has from its listener is the kernel's", "[S92][S147]") {
  beside_the_kernel([](both& two) {
    struct {
      int level, option, value;
    } constexpr told[]{{SOL_TCP, TCP_NODELAY, 1},
                       {SOL_TCP, TCP_KEEPIDLE, 77},
                       {SOL_TCP, TCP_KEEPINTVL, 33},
                       {SOL_TCP, TCP_KEEPCNT, 5},
                       {SOL_TCP, TCP_SYNCNT, 3},
                       {SOL_TCP, TCP_LINGER2, 17},
                       {SOL_TCP, TCP_USER_TIMEOUT, 12},
                       {SOL_TCP, TCP_NOTSENT_LOWAT, 4096},
                       {SOL_SOCKET, SO_KEEPALIVE, 1},
                       {SOL_SOCKET, SO_OOBINLINE, 1},
                       {SOL_SOCKET, SO_RCVLOWAT, 9},
                       {SOL_SOCKET, SO_REUSEADDR, 1},
                       {SOL_SOCKET, SO_REUSEPORT, 1},
                       {SOL_SOCKET, SO_MARK, 7},
                       {SOL_SOCKET, SO_PEEK_OFF, 3},
                       {SOL_IP, IP_TTL, 99},
                       {SOL_IP, IP_TOS, 8},
                       {SOL_IP, IP_MTU_DISCOVER, 0},
                       {SOL_SOCKET, SO_PRIORITY, 3}};
    auto const listener = two.open(false);
    for (auto const& [level, option, value] : told) (void)two.set(listener, level, option, value);
    REQUIRE(two.bind(listener, both::name(0x7f000001, 1004)) == 0);
    REQUIRE(two.listen(listener, 5) == 0);
    (void)two.set(listener, SOL_TCP, TCP_FASTOPEN, 4);  // a column of its line
    two.same_proc(true);
    auto const client = two.open();
    (void)two.connect(client, both::name(0x7f000001, 1004));
    auto const server = two.accept(listener);
    for (auto const& [level, option, value] : told) {
      two.call = std::to_string(level) + "/" + std::to_string(option);
      two.get(server, level, option);
      two.over = false;
    }
    for (auto const& p : {client, server}) {
      netstack::tcp_info k{};
      ::socklen_t len = sizeof k;
      REQUIRE(::getsockopt(p.theirs, SOL_TCP, TCP_INFO, &k, &len) == 0);
      auto const o = netstack::getsockopt<netstack::tcp_info>(two.net(), p.ours, SOL_TCP, TCP_INFO).value();
      CHECK(o.tcpi_segs_in == k.tcpi_segs_in);
      if (p.ours == server.ours) CHECK(o.tcpi_delivery_rate_app_limited == k.tcpi_delivery_rate_app_limited);
    }
    for (auto const& p : {client, server, listener}) two.close(p);
  });
}

TEST_CASE("a stream has no multicast of its own, and a cookie is read whole or not at all", "[S92]") {
  beside_the_kernel([](both& two) {
    auto const p = two.open();
    for (int const option : {IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_IF}) {
      two.call = std::to_string(option);
      (void)two.set(p, SOL_IP, option, 0);
      two.over = false;
    }
    for (::socklen_t const room : {0u, 4u, 7u}) {
      netstack::u64 cookie = 0;
      ::socklen_t len = room;
      netstack::u32 ours = room;
      REQUIRE(::getsockopt(p.theirs, SOL_SOCKET, SO_COOKIE, &cookie, &len) == -1);
      REQUIRE(errno == EINVAL);
      CHECK(netstack::getsockopt(two.net(), p.ours, SOL_SOCKET, SO_COOKIE, &cookie, &ours).error() ==
            std::errc::invalid_argument);
    }
    two.close(p);
  });
}

TEST_CASE("what waits to be sent or read when something else is asked for", "[S92][S103]") {
  beside_the_kernel([](both& two) {
    auto t = connected(two, 1005, false);
    two.before = "TCP_NODELAY pushes what TCP_CORK holds back, once\n";
    (void)two.set(t.client, SOL_TCP, TCP_CORK, 1);
    for (unsigned size : {100u, 50u}) {
      (void)two.send(t.client, size);
      two.call = "held back";
      (void)two.receive(t.server, 200);
      if (size == 100) (void)two.set(t.client, SOL_TCP, TCP_NODELAY, 1);
      two.run();
      (void)two.receive(t.server, 200);
    }
    (void)two.set(t.client, SOL_TCP, TCP_CORK, 0);
    two.run();
    (void)two.receive(t.server, 200);
    two.before = "no bytes do not push what MSG_MORE holds back\n";
    (void)two.send(t.client, 10, MSG_MORE);
    (void)two.send(t.client, 0);
    (void)two.receive(t.server, 100);
    (void)two.send(t.client, 10);
    (void)two.receive(t.server, 100);
    two.before = "closed with bytes unread behind an urgent one: the peer hears of it\n";
    (void)two.send(t.client, 1, MSG_OOB);
    (void)two.send(t.client, 100);
    two.close(t.server);
    two.watch(t.client);
    (void)two.receive(t.client, 10);
    two.close(t.client);
    two.close(t.listener);
    auto const p = two.open();
    two.before = "no name at all\n";
    (void)two.set(p, SOL_TCP, TCP_CONGESTION, 0, 0);
    two.close(p);
  });
}

namespace {

/// What the error queue of either side tells of its bytes, the oldest first.
template <class Read>
std::vector<std::string> times_told(Read&& read) {
  std::vector<std::string> all;
  for (;;) {
    std::vector<char> bytes(4000);
    alignas(8) char control[512];
    std::size_t room = sizeof control;
    long flags = 0;
    long const n = read(bytes, control, room, flags);
    if (n < 0) return all;
    std::ostringstream text;
    text << n << " bytes, flags " << flags;
    for (std::size_t at = 0; at + sizeof(::cmsghdr) <= room;) {
      ::cmsghdr c;
      std::memcpy(&c, control + at, sizeof c);
      text << ", " << c.cmsg_level << '/' << c.cmsg_type << " of " << c.cmsg_len;
      netstack::sock_extended_err ee;
      if (c.cmsg_level == SOL_IP && c.cmsg_type == IP_RECVERR) {
        std::memcpy(&ee, control + at + sizeof c, sizeof ee);
        text << ": " << ee.ee_errno << ' ' << int{ee.ee_origin} << ' ' << ee.ee_info << ' ' << ee.ee_data;
      }
      at += (c.cmsg_len + 7) & ~std::size_t{7};
    }
    all.push_back(text.str());
  }
}

}  // namespace

TEST_CASE("times of departure and arrival of a stream's bytes are told as the kernel tells them", "[S28]") {
  namespace sof = netstack::sof_timestamping;
  beside_the_kernel([](both& two) {
    unsigned short port = 1100;
    for (std::uint32_t const flags :
         {sof::software | sof::tx_software | sof::tx_sched | sof::tx_ack | sof::opt_id,
          sof::software | sof::tx_ack | sof::opt_id | sof::opt_tsonly, sof::software | sof::tx_software | sof::tx_ack,
          sof::tx_software | sof::tx_ack, sof::software | sof::tx_software | sof::opt_id | sof::opt_id_tcp,
          sof::software | sof::opt_id}) {
      INFO("flags " << flags);
      auto t = connected(two, port++);
      (void)two.send(t.client, 10);
      (void)two.receive(t.server, 10);
      (void)two.send(t.server, 1);  // bears the acknowledgment
      (void)two.set(t.client, SOL_SOCKET, SO_TIMESTAMPING, static_cast<int>(flags));
      for (unsigned const n : {3u, 500u, 1u}) {
        (void)two.send(t.client, n);
        (void)two.receive(t.server, n);
        (void)two.send(t.server, 1);
        (void)two.receive(t.client, 2);
      }
      auto const theirs = times_told([&](std::vector<char>& bytes, char* control, std::size_t& room, long& got) {
        ::iovec part{bytes.data(), bytes.size()};
        ::msghdr m{nullptr, 0, &part, 1, control, room, 0};
        long const n = ::recvmsg(t.client.theirs, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
        room = m.msg_controllen, got = m.msg_flags;
        return n;
      });
      auto const ours = times_told([&](std::vector<char>& bytes, char* control, std::size_t& room, long& got) {
        ::iovec part{bytes.data(), bytes.size()};
        netstack::msghdr m{.msg_iov = {&part, 1}, .msg_control = {reinterpret_cast<std::byte*>(control), room}};
        auto const n = netstack::recvmsg(two.net(), t.client.ours, m, MSG_ERRQUEUE | MSG_DONTWAIT);
        room = m.msg_controllen, got = static_cast<long>(m.msg_flags);
        return n ? static_cast<long>(*n) : -1L;
      });
      CHECK(ours == theirs);
      CHECK(theirs.empty() == ((flags & (sof::tx_record_mask | sof::tx_ack)) == 0));
      for (auto const& p : {t.client, t.server, t.listener}) two.close(p);
    }
  });
}

TEST_CASE("MSG_FASTOPEN in every state, with and without an address, has the kernel's answers", "[S148][RFC 7413]") {
  beside_the_kernel([](both& two) {
    unsigned short port = 1200;
    struct subject {
      char const* name;
      pair (*make)(both&, unsigned short port);  ///< `port`: a listener's, and the next has one that is full
    };
    static auto const asks = [](both& t, unsigned at) {
      auto const p = t.open();
      (void)t.connect(p, both::name(0x7f000001, static_cast<unsigned short>(at)));
      return p;
    };
    static auto const has = [](both& t, unsigned short at) {
      auto const p = asks(t, at);
      CHECK(t.connect(p, both::name(0x7f000001, at)) == 0);
      return p;
    };
    static constexpr subject subjects[]{
        {"new", [](both& t, unsigned short) { return t.open(); }},
        {"asked for, and nobody answers", [](both& t, unsigned short at) { return asks(t, at + 1u); }},
        {"there, and connect() has not said so", [](both& t, unsigned short at) { return asks(t, at); }},
        {"there", [](both& t, unsigned short at) { return has(t, at); }},
        {"shut down for writing",
         [](both& t, unsigned short at) {
           auto const p = has(t, at);
           (void)t.shutdown(p, SHUT_WR);
           return p;
         }},
        {"refused", [](both& t, unsigned short) { return asks(t, 1); }},
        {"refused, and heard of",
         [](both& t, unsigned short) {
           auto const p = asks(t, 1);
           CHECK(t.connect(p, both::name(0x7f000001, 1)) == -ECONNREFUSED);
           return p;
         }},
        {"a listener",
         [](both& t, unsigned short) {
           auto const p = t.open();
           (void)t.listen(p, 1);
           return p;
         }},
        {"TCP_FASTOPEN_CONNECT, which asked for a cookie",
         [](both& t, unsigned short at) {
           auto const p = t.open();
           (void)t.set(p, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
           (void)t.connect(p, both::name(0x7f000001, at));
           return p;
         }},
        {"TCP_FASTOPEN_CONNECT, which needs none and waits",
         [](both& t, unsigned short at) {
           auto const p = t.open();
           (void)t.set(p, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
           (void)t.set(p, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, 1);
           (void)t.connect(p, both::name(0x7f000001, at));
           return p;
         }},
    };
    for (auto const& s : subjects)
      for (char const* to : {"nobody", "the peer", "AF_UNSPEC", "AF_INET6", "too short an address"})
        for (unsigned size : {5u, 0u}) {
          two.before = std::string(s.name) + " to " + to + " " + std::to_string(size) + " bytes: ";
          two.over = false;
          auto const listener = two.open(), full = two.open(), waits = two.open(), waits_too = two.open();
          REQUIRE(two.bind(listener, both::name(0x7f000001, port)) == 0);
          (void)two.set(listener, SOL_TCP, TCP_FASTOPEN, 5);
          REQUIRE(two.listen(listener, 5) == 0);
          auto const full_at = both::name(0x7f000001, static_cast<unsigned short>(port + 1));
          REQUIRE(two.bind(full, full_at) == 0);
          REQUIRE(two.listen(full, 0) == 0);
          (void)two.connect(waits, full_at), (void)two.connect(waits_too, full_at);
          auto const p = s.make(two, port);
          auto a = both::name(0x7f000001, port);
          std::string_view const whom{to};
          if (whom == "AF_UNSPEC") a.sin_family = AF_UNSPEC;
          if (whom == "AF_INET6") a.sin_family = AF_INET6;
          unsigned const len = whom == "nobody" ? 0 : whom == "too short an address" ? 1 : 16;
          for (int again = 0; again < 3; ++again) {
            two.call = again ? "again" : "first";
            (void)two.send_to(p, size, MSG_FASTOPEN, len ? &a : nullptr, len);
            two.watch(p);
            two.look(p, true);
          }
          two.call = "and then";
          two.get(p, SOL_SOCKET, SO_ERROR);
          (void)two.connect(p, both::name(0x7f000001, port));
          (void)two.send(p, 3);
          if (auto const child = two.accept(listener); child.ours >= 0 && child.theirs >= 0) {
            (void)two.receive(child, 100);
            two.close(child);
          }
          for (auto const& each : {p, waits, waits_too, full, listener}) two.close(each);
          port = static_cast<unsigned short>(port + 2);
        }
  });
}

TEST_CASE("random calls on TCP sockets have the kernel's answers", "[S92][S103][S108][S113][S114][S148][S166]") {
  beside_the_kernel([](both& two) {
    std::mt19937 random;
    auto const below = [&](std::size_t n) { return static_cast<unsigned>(random() % n); };
    constexpr unsigned rounds = 200;
    for (unsigned seed = 0; seed < rounds; ++seed) {
      random.seed(seed);
      two.over = false;
      two.before = "seed " + std::to_string(seed) + "\n";
      std::vector<pair> sockets{two.open(), two.open(), two.open()};
      for (auto const& p : sockets)
        if (seed % 2) (void)two.set(p, SOL_TCP, TCP_INQ, 1);
      // Ports of its own: others are in TIME_WAIT still.
      auto const base = static_cast<unsigned short>(2000 + seed * 4);
      two.lowest_port = base;
      auto const address = [&] {
        unsigned const to = below(16) ? 0x7f000001 : below(2) ? 0 : 0x08080808;
        return both::name(to, static_cast<unsigned short>(base + below(3)), below(24) ? AF_INET : AF_INET6);
      };
      for (unsigned n = 0; n < 60 && !two.over; ++n) {
        auto const i = below(sockets.size());
        pair const p = sockets[i];
        unsigned const what = below(40);
        auto const step = [&](char const* name) { two.call = std::to_string(i) + ' ' + name + ' '; };
        if (what < 3) {
          step("bind");
          (void)two.bind(p, address(), below(16) ? 16 : 8);
        } else if (what < 6) {
          step("listen");
          (void)two.listen(p, static_cast<int>(below(3)));
        } else if (what < 12) {
          step("connect");
          auto const a = address();
          two.call += std::to_string(ntohs(a.sin_port));
          (void)two.connect(p, a);
        } else if (what < 16) {
          step("accept");
          pair const fresh = two.accept(p);
          if (fresh.ours >= 0 && fresh.theirs >= 0) sockets.push_back(fresh);
        } else if (what < 22) {
          step("send");
          unsigned const size = below(8) ? 1 + below(200) : 0;
          int const flags = below(6) ? 0 : MSG_OOB;
          two.call += std::to_string(size) + " flags " + std::to_string(flags);
          (void)two.send(p, size, flags);
        } else if (what < 29) {
          step("recv");
          constexpr int flags[]{0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_OOB | MSG_PEEK};
          int const f = flags[below(std::size(flags))];
          unsigned const size = below(8) ? 1 + below(300) : 0;
          two.call += std::to_string(size) + " flags " + std::to_string(f);
          (void)two.receive(p, size, f | MSG_DONTWAIT);
        } else if (what < 31) {
          int const how = static_cast<int>(below(5)) - 1;
          step("shutdown");
          two.call += std::to_string(how);
          (void)two.shutdown(p, how);
        } else if (what == 31) {
          step("close");
          two.close(p);
          sockets.erase(sockets.begin() + i);
          if (sockets.size() < 3) sockets.push_back(two.open());
        } else if (what == 32) {
          step("SO_OOBINLINE");
          (void)two.set(p, SOL_SOCKET, SO_OOBINLINE, static_cast<int>(below(2)));
        } else if (what == 33) {
          step("SO_ERROR");
          two.get(p, SOL_SOCKET, SO_ERROR);
        } else if (what == 34) {
          step("name");
          two.look(p, below(2) != 0);
        } else {
          step("ioctl");
          constexpr unsigned requests[]{FIONREAD, 0x8905 /* SIOCATMARK */, sio_outqnsd};
          bool const has_peer = netstack::getpeername(two.net(), p.ours).has_value();
          two.ask(p, requests[below(std::size(requests) - !has_peer)]);
        }
        two.run();
        for (std::size_t k = 0; k < sockets.size() && !two.over; ++k) {
          two.call += " poll " + std::to_string(k);
          two.watch(sockets[k]);
          two.call.resize(two.call.rfind(" poll"));
        }
        if (n % 10 == 9) two.same_proc(false);  // the kernel looks through a large table for it
        two.before += two.call + '\n';
      }
      while (!sockets.empty()) two.close(sockets.back()), sockets.pop_back();
      if (two.over) break;
    }
    CHECK(two.h.worker().pool.in_use() == 0);
  });
}

TEST_CASE("who may have which port: random bind, listen, connect and close have the kernel's answers", "[S98][S148]") {
  beside_the_kernel([](both& two) {
    std::mt19937 random;
    auto const below = [&](std::size_t n) { return static_cast<unsigned>(random() % n); };
    constexpr unsigned addresses[]{0, 0x7f000001, 0x7f000001, 0x7f000002, 0x08080808};
    std::vector<pair> sockets;
    auto const address = [&](bool binds) {
      unsigned const port = below(5);  // 0: any
      return both::name(binds ? addresses[below(std::size(addresses))] : 0x7f000001 + below(2),
                        static_cast<unsigned short>(port == 0 ? (binds ? 0 : 5000) : 4999 + port % 3 + 1));
    };
    auto const set = [&](std::size_t i, int option) {
      int const value = static_cast<int>(below(2));
      two.before +=
          std::to_string(i) + (option == SO_REUSEADDR ? " REUSEADDR " : " REUSEPORT ") + std::to_string(value) + '\n';
      (void)two.set(sockets[i], SOL_SOCKET, option, value);
    };
    auto const open = [&] {
      sockets.push_back(two.open(false));
      two.before += "open " + std::to_string(sockets.size() - 1) + '\n';
      ::linger const now{1, 0};  // no TIME-WAIT: it would last into the next rounds
      REQUIRE(::setsockopt(sockets.back().theirs, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
      REQUIRE(netstack::setsockopt(two.net(), sockets.back().ours, SOL_SOCKET, SO_LINGER, now));
      set(sockets.size() - 1, SO_REUSEADDR);
      if (below(2)) set(sockets.size() - 1, SO_REUSEPORT);
    };
    auto const close = [&](std::size_t i) {
      two.before += "close " + std::to_string(i) + '\n';
      two.close(sockets[i]);
      sockets.erase(sockets.begin() + static_cast<long>(i));
    };
    unsigned parted = 0, made = 0;
    for (unsigned seed = 0; seed < 1000 && parted < 3; ++seed) {
      random.seed(seed);
      two.over = false;
      two.before = "seed " + std::to_string(seed) + '\n';
      open(), open();
      for (unsigned n = 0; n < 50 && !two.over; ++n, ++made) {
        auto const i = below(sockets.size());
        pair const p = sockets[i];
        auto const step = [&](std::string const& what) { two.call = std::to_string(i) + ' ' + what; };
        switch (unsigned const what = below(10)) {
          case 0: sockets.size() < 6 ? open() : close(i); continue;
          case 1: close(i), open(); continue;
          case 2:
            step("name");
            two.look(p, below(2) != 0);
            break;
          case 3: set(i, below(2) ? SO_REUSEADDR : SO_REUSEPORT); continue;
          case 4:
          case 5:
            step("listen");
            (void)two.listen(p, 128);
            break;
          default: {
            auto const a = address(what > 7);
            step((what > 7 ? "bind " : "connect ") + both::text(a));
            (void)(what > 7 ? two.bind(p, a) : two.connect(p, a));
          }
        }
        two.before += two.call + '\n';
      }
      while (!sockets.empty()) close(0);
      parted += two.over;
      CHECK(two.h.worker().pool.in_use() == 0);
      CHECK(netstack::tcp_worker_of(two.net()).socks.in_use() == 0);
    }
    CHECK(parted == 0);
    CHECK(made > 30'000);
  });
}

// --- counters and settings

namespace {

std::string text_of(std::string const& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}
/// Writes a setting of the kernel's; 0 or the errno.
int write_sysctl(std::string const& path, std::string const& value) {
  int const fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t const n = ::write(fd, value.data(), value.size());
  int const error = n < 0 ? errno : 0;
  ::close(fd);
  return error;
}
std::string ours_of(both& two, std::string const& name) {
  std::string text(256, '\0');
  auto const n = netstack::sysctl_read(two.net(), name, text);
  REQUIRE(n);
  text.resize(*n);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

TEST_CASE("settings of TCP have the kernel's defaults and bounds", "[S31]") {
  beside_the_kernel([](both& two) {
    // Their defaults follow from memory or are another's by design.
    constexpr std::string_view sized[]{
        "tcp_mem", "tcp_rmem", "tcp_wmem", "tcp_max_orphans", "tcp_max_syn_backlog", "tcp_max_tw_buckets"};
    constexpr std::string_view texts[]{"tcp_congestion_control", "tcp_available_congestion_control",
                                       "tcp_allowed_congestion_control", "tcp_fastopen_key"};
    unsigned compared = 0;
    for (auto const& ctl : netstack::net<host>::ctl_tables) {
      std::string const name = ctl.row.procname;
      if (name.rfind("net/ipv4/tcp_", 0) != 0) continue;
      std::string const path = "/proc/sys/" + name, last = name.substr(9);
      std::string theirs = text_of(path);
      if (theirs.empty() || std::find(std::begin(texts), std::end(texts), last) != std::end(texts)) continue;
      theirs.pop_back();
      INFO(name);
      if (std::find(std::begin(sized), std::end(sized), last) != std::end(sized)) continue;
      CHECK(ours_of(two, name) == theirs);
      for (char const* value :
           {"-1",  "0",   "1",   "2",   "3",     "4",     "5",     "16",    "47",         "48",         "127",
            "128", "255", "256", "300", "65535", "65536", "86400", "86401", "2147483647", "2147483648", "x"}) {
        INFO("value " << value);
        // Of times Linux takes a negative number of seconds, and rounds milliseconds.
        bool const seconds = last == "tcp_fin_timeout" || last == "tcp_keepalive_time" || last == "tcp_keepalive_intvl";
        if (seconds && *value == '-') continue;
        int const k = write_sysctl(path, value);
        auto const r = netstack::sysctl_write(two.net(), name, value);
        CHECK((r ? 0 : static_cast<int>(r.error())) == k);
        if (k == 0 && last != "tcp_invalid_ratelimit") CHECK(ours_of(two, name) + '\n' == text_of(path));
      }
      ++compared;
    }
    CHECK(compared >= 30);
    // A key's text, and what is read back.
    for (char const* key : {"1-2-3-4", "89abcdef-0-ffffffff-7", "1-2-3-4,5-6-7-8", "1-2-3", "1-2-3-4,", "1-2-3-4,5-6",
                            "x", "1-2-3-4-5", "g-1-2-3"}) {
      INFO("key " << key);
      auto const r = netstack::sysctl_write(two.net(), "net/ipv4/tcp_fastopen_key", key);
      CHECK((r ? 0 : static_cast<int>(r.error())) == write_sysctl("/proc/sys/net/ipv4/tcp_fastopen_key", key));
      if (r) CHECK(ours_of(two, "net/ipv4/tcp_fastopen_key") + '\n' == text_of("/proc/sys/net/ipv4/tcp_fastopen_key"));
    }
  });
}

TEST_CASE("the bounds of the timeout are those of the namespace when the socket was made", "[S31][S92]") {
  beside_the_kernel([](both& two) {
    auto const set = [&](char const* name, int value) {
      std::ofstream("/proc/sys/net/ipv4/" + std::string(name)) << value;
      REQUIRE(netstack::sysctl_write(two.net(), "net/ipv4/" + std::string(name), std::to_string(value)));
    };
    constexpr int rto_max_ms = 44, rto_min_us = 45;  // older headers do not have them
    std::vector<pair> all{two.open()};
    auto const compare = [&] {
      for (auto const& p : all) two.get(p, SOL_TCP, rto_max_ms), two.get(p, SOL_TCP, rto_min_us);
    };
    if (int v = 0; true) {
      ::socklen_t len = sizeof v;
      if (::getsockopt(all[0].theirs, SOL_TCP, rto_min_us, &v, &len) != 0) {
        WARN("the running kernel does not know TCP_RTO_MIN_US: nothing is compared");
        return two.close(all[0]);
      }
    }
    for (int us : {100'000, 1000, 7, 999'000, 50'001}) {
      set("tcp_rto_min_us", us), set("tcp_rto_max_ms", 1001 + us / 100);
      two.before = std::to_string(us) + " us: ";
      all.push_back(two.open());
      auto const& own = all.back();
      if (all.size() % 2)
        (void)two.set(own, SOL_TCP, rto_min_us, 20'000), (void)two.set(own, SOL_TCP, rto_max_ms, 5000);
      compare();
    }
    // A connection has its listener's; who connects, his own.
    auto const t = connected(two, 1300);
    set("tcp_rto_min_us", 200'000), set("tcp_rto_max_ms", 120'000);
    auto const later = two.open();
    (void)two.connect(later, both::name(0x7f000001, 1300));
    for (auto const& p : {t.client, t.server, t.listener, later, two.accept(t.listener)}) all.push_back(p);
    compare();
    for (auto const& p : all) two.close(p);
  });
}

TEST_CASE("TcpExt has the kernel's columns in its order, but those that other modules count", "[S161][S163]") {
  beside_the_kernel([](both& two) {
    auto const names = [](std::string const& text, std::string const& group) {
      auto const at = text.find(group + ": ");
      REQUIRE(at != std::string::npos);
      std::istringstream words(text.substr(at, text.find('\n', at) - at));
      std::vector<std::string> all;
      for (std::string word; words >> word;)
        if (word != "ArpFilter" && word != "IPReversePathFilter" && word != "BusyPollRxPackets") all.push_back(word);
      return all;
    };
    std::string ours(1 << 14, '\0');
    auto const n = netstack::proc_read(two.net(), "net/netstat", 0, ours);
    REQUIRE(n);
    ours.resize(*n);
    auto const our_names = names(ours, "TcpExt"), their_names = names(text_of("/proc/net/netstat"), "TcpExt");
    // A kernel of another age has other columns at the end of its life, or lacks some of ours; their order is one.
    std::vector<std::string> common;
    for (auto const& name : their_names)
      if (std::find(our_names.begin(), our_names.end(), name) != our_names.end()) common.push_back(name);
    std::vector<std::string> common_ours;
    for (auto const& name : our_names)
      if (std::find(their_names.begin(), their_names.end(), name) != their_names.end()) common_ours.push_back(name);
    CHECK(common == common_ours);
    CHECK(common.size() > 100);
  });
}
