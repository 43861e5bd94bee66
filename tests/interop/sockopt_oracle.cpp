// SPDX-License-Identifier: BSL-1.0
// The kernel as the oracle of socket options: every number of each level is read and set, with values of all
// kinds and lengths, on a socket of the kernel's and on the stack's, in each state. What is answered must be the
// kernel's, whether we know the option or not; what we do not do is listed here and in docs/sockets.md.
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_bbr.hpp"
#include "netstack/udp/udp.hpp"
#include "support/oracle.hpp"

namespace {

struct host : netstack::stack<host, netstack::ipv4, netstack::udp, netstack::tcp, netstack::tcp_bbr,
                              netstack::sizes<netstack::config{.max_net = 1}>> {};

using pair = support::twins;
using netstack::u32;

struct option {
  int level, name;
  friend bool operator==(option const&, option const&) = default;
};

class both : public support::oracle<host> {
 public:
  both() {
    // Limits that follow from memory, and the algorithm that a kernel may have or not.
    for (char const* name : {"net/core/wmem_max", "net/core/rmem_max", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"}) {
      std::ifstream in(std::string("/proc/sys/") + name);
      std::string text;
      std::getline(in, text);
      INFO(name << " " << text);
      REQUIRE(netstack::sysctl_write(net(), name, text));
    }
    std::ofstream("/proc/sys/net/ipv4/tcp_congestion_control") << "reno";
    REQUIRE(netstack::sysctl_write(net(), "net/ipv4/tcp_congestion_control", "reno"));
    constexpr char key[] = "1-2-3-4,5-6-7-8";
    std::ofstream("/proc/sys/net/ipv4/tcp_fastopen_key") << key;
    REQUIRE(netstack::sysctl_write(net(), "net/ipv4/tcp_fastopen_key", key));
  }
  pair open(int type = SOCK_STREAM) {
    auto const ours = netstack::socket(net(), AF_INET, static_cast<u32>(type | SOCK_NONBLOCK));
    INFO("errno " << answer(ours));
    pair const p{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ours.value_or(-1)};
    REQUIRE(p.theirs >= 0);
    REQUIRE(p.ours >= 0);
    return p;
  }
  void close(pair const& p, bool at_once = true) {
    ::linger const now{at_once, 0};  // no TIME-WAIT
    (void)::setsockopt(p.theirs, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)netstack::setsockopt(net(), p.ours, SOL_SOCKET, SO_LINGER, now);
    ::close(p.theirs);
    CHECK(netstack::close(net(), p.ours));
  }
  void listen(pair const& p, unsigned short port, int backlog = 5) {
    auto const at = name(0x7f000001, port);
    REQUIRE(::bind(p.theirs, reinterpret_cast<::sockaddr const*>(&at), sizeof at) == 0);
    REQUIRE(::listen(p.theirs, backlog) == 0);
    REQUIRE(netstack::bind(net(), p.ours, netstack::sockaddr_view{&at, sizeof at}));
    REQUIRE(netstack::listen(net(), p.ours, backlog));
  }
  void connect(pair const& p, unsigned short port) {
    auto const to = name(0x7f000001, port);
    (void)::connect(p.theirs, reinterpret_cast<::sockaddr const*>(&to), sizeof to);
    (void)netstack::connect(net(), p.ours, netstack::sockaddr_view{&to, sizeof to});
    run();
  }
  pair accept(pair const& p) {
    pair const child{::accept4(p.theirs, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC),
                     netstack::accept(net(), p.ours, nullptr, nullptr, SOCK_NONBLOCK).value_or(-1)};
    CHECK((child.theirs < 0) == (child.ours < 0));
    return child;
  }
  /// The answers to one call, as text.
  struct told {
    std::string theirs, ours;
  };
  told set(pair const& p, option o, void const* value, unsigned len) {
    return {std::to_string(answer(::setsockopt(p.theirs, o.level, o.name, value, len))),
            std::to_string(answer(netstack::setsockopt(net(), p.ours, o.level, o.name, value, len)))};
  }
  told get(pair const& p, option o, unsigned len, bool value = true) {
    unsigned char theirs[400], ours[400];
    std::fill(std::begin(theirs), std::end(theirs), static_cast<unsigned char>(0xa5));
    std::copy(std::begin(theirs), std::end(theirs), ours);
    ::socklen_t k_len = len;
    u32 our_len = len;
    auto const text = [&](long r, unsigned n, unsigned char const* bytes) {
      std::string s = std::to_string(r);
      if (r < 0) return s;
      s += " length " + std::to_string(n) + ':';
      for (unsigned i = 0; value && i < std::min(len + 4, 28u); ++i) s += ' ' + std::to_string(bytes[i]);
      return s;
    };
    long const k = answer(::getsockopt(p.theirs, o.level, o.name, theirs, &k_len)),
               r = answer(netstack::getsockopt(net(), p.ours, o.level, o.name, static_cast<void*>(ours), &our_len));
    return {text(k, k_len, theirs), text(r, our_len, ours)};
  }
};

/// What the stack answers ENOPROTOOPT to and the kernel does not: docs/sockets.md says why.
constexpr int missing_so[]{26, 27, 41, 43, 44, 48, 50, 51, 52, 60, 61, 63, 64, 65, 68, 69, 70, 73, 74, 78, 79, 80, 82};
constexpr int missing_ip[]{9, 16, 17, 18, 23, 25, 26, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48};
constexpr int missing_tcp[]{14, 16, 32, 35, 37, 38, 39, 40, 41, 42};
constexpr int missing_udp[]{10, 11, 100, 101, 102, 103, 104};
bool missing(option o) {
  auto const has = [&](auto const& list) {
    return std::find(std::begin(list), std::end(list), o.name) != std::end(list);
  };
  return o.level == SOL_SOCKET ? has(missing_so)
         : o.level == SOL_IP   ? has(missing_ip)
         : o.level == SOL_TCP  ? has(missing_tcp)
                               : has(missing_udp);
}
/// Values that are not the same on any two sockets: cookies, clocks, processors, what the path is taken for.
constexpr option own[]{{SOL_SOCKET, SO_COOKIE},       {SOL_SOCKET, SO_NETNS_COOKIE}, {SOL_SOCKET, SO_MEMINFO},
                       {SOL_SOCKET, SO_INCOMING_CPU}, {SOL_TCP, TCP_INFO},           {SOL_TCP, TCP_TIMESTAMP}};

constexpr u32 lengths[]{0, 1, 2, 3, 4, 5, 8, 12, 16, 17, 32, 64, 248, 279, 280, 300};
constexpr int values[]{0,     1,     2,     3,         4,   6,   7,        48,         64,
                       88,    120,   121,   127,       128, 255, 256,      1460,       32767,
                       32768, 65535, 65536, 1'000'000, -1,  -2,  -120'000, 0x7fffffff, static_cast<int>(0x80000000)};

/// What younger kernels answer otherwise.
constexpr option young[]{{1, 16}, {1, 34}, {1, 71}, {1, 72}, {1, 76}, {1, 77}, {1, 83},
                         {0, 51}, {0, 52}, {6, 11}, {6, 43}, {6, 44}, {6, 45}, {6, 46}};

template <std::size_t N>
bool among(option const (&list)[N], option o) {
  return std::find(std::begin(list), std::end(list), o) != std::end(list);
}
/// Whether both know what this kernel's answer is to be.
bool decided(option o) {
  ::utsname kernel{};
  int major = 0, minor = 0;
  if (::uname(&kernel) != 0 || std::sscanf(kernel.release, "%d.%d", &major, &minor) != 2) return false;
  bool const old = major < 6 || (major == 6 && minor < 18);
  return !missing(o) && !(old && among(young, o));
}

enum state { closed, listening, connecting, connected, left };

/// Is the value after `value` was set one that the two can agree on?
bool comparable(option o, state in, int value) {
  if (among(own, o)) return false;
  if (o == option{SOL_IP, 52 /* IP_PROTOCOL */} && in >= connecting) return false;  // its port, in truth
  // The ranges that a connection's buffers grow in are not the same.
  if (o.level == SOL_SOCKET && in >= connected && o.name == SO_SNDBUF && value == 0) return false;
  if (o.level == SOL_TCP && in >= connecting && (o.name == TCP_MAXSEG || o.name == TCP_WINDOW_CLAMP)) return false;
  if (o == option{SOL_TCP, TCP_QUICKACK} && in == left) return false;  // is the acknowledgment of the FIN due still?
  // The least depends on what a packet costs.
  if (o.level == SOL_SOCKET && (o.name == SO_SNDBUF || o.name == SO_RCVBUF)) return value >= 32767 || value < 0;
  if (o.level == SOL_SOCKET && (o.name == SO_SNDBUFFORCE || o.name == SO_RCVBUFFORCE)) return false;
  return true;
}
bool asked(option o, int value, bool twice) {
  // A time that is not one is read back as something in Linux, and we wait no longer than 68 years.
  bool const time = o.name == SO_RCVTIMEO || o.name == SO_SNDTIMEO || o.name == 66 || o.name == 67;
  if (o.level == SOL_SOCKET && (time || o.name == SO_LINGER) && (value < 0 || (time && twice && value != 0)))
    return false;
  // What it tells beyond 1 << 11 is not there.
  if (o.level == SOL_SOCKET && o.name == SO_TIMESTAMPING && value >= 4096) return false;
  // Whoever may repair a socket can; we answer as to others.
  return o.level != SOL_TCP || o.name != TCP_REPAIR;
}

}  // namespace

namespace {

/// Asks for one option, and sets it, in all ways. `parted` gets what the two do not agree on.
unsigned ask(both& two, pair const& p, option o, state in, std::string& parted) {
  unsigned compared = 0, bad = 0;
  auto const part = [&](std::string const& what, both::told const& t) {
    ++compared;
    if (t.theirs == t.ours) return;
    parted += "state " + std::to_string(in) + " option " + std::to_string(o.level) + '/' + std::to_string(o.name) +
              ": " + what + ": kernel " + t.theirs + ", ours " + t.ours + '\n';
    ++bad;
  };
  for (u32 len : lengths) part("get " + std::to_string(len), two.get(p, o, len, comparable(o, in, 0)));
  for (bool twice : {false, true})
    for (int value : values)
      for (u32 len : lengths) {
        if (bad >= 6 || len > 64 || !asked(o, value, twice)) continue;
        int const room[16]{value, twice ? value : 0};
        auto const what = std::to_string(value) + (twice ? " twice" : "") + " of " + std::to_string(len);
        part("set " + what, two.set(p, o, room, len));
        for (u32 l : {4u, 16u, len})
          part("get " + std::to_string(l) + " after " + what, two.get(p, o, l, comparable(o, in, value)));
      }
  return compared;
}
/// What is said to be missing is.
void without(both& two, pair const& p, option o) {
  INFO(o.level << '/' << o.name);
  int const room[16]{1};
  std::string const unknown = std::to_string(-ENOPROTOOPT);
  CHECK(two.get(p, o, 64).ours == unknown);
  CHECK(two.set(p, o, room, sizeof room).ours == unknown);
}

}  // namespace

TEST_CASE("every option of TCP's sockets answers as the kernel's", "[S92][S48]") {
  support::beside_the_kernel<both>([](both& two) {
    std::string parted;
    unsigned compared = 0;
    for (state in : {closed, listening, connecting, connected, left})
      for (auto const [level, names] : {option{SOL_SOCKET, 90}, option{SOL_IP, 60}, option{SOL_TCP, 50}, option{17, 3}})
        for (int name = 0; name < names; ++name) {
          option const o{level, name};
          auto const port = static_cast<unsigned short>(1000 + level * 100 + name);
          std::vector<pair> all{two.open()};
          pair p = all.front();
          auto const client = [&] {
            all.push_back(two.open());
            two.connect(all.back(), port);
            return all.back();
          };
          if (in != closed) two.listen(p, port, in == connecting ? 0 : 5);
          if (in == connecting) client(), client();  // nobody else is answered
          if (in >= connecting) p = client();
          if (in >= connected) all.push_back(two.accept(all.front()));
          if (in == left) two.close(all.back(), false), all.pop_back(), two.run();
          if (decided(o) && !(in == connecting && o == option{SOL_SOCKET, SO_PEERNAME}))
            compared += ask(two, p, o, in, parted);
          if (missing(o)) without(two, p, o);
          for (auto const& each : all) two.close(each);
          two.run();
        }
    INFO(parted);
    CHECK(parted.empty());
    CHECK(compared > 200'000);
  });
}

TEST_CASE("every option of UDP's sockets answers as the kernel's", "[S93][S48]") {
  support::beside_the_kernel<both>([](both& two) {
    std::string parted;
    unsigned compared = 0;
    for (state in : {closed, connected})
      for (auto const [level, names] :
           {option{SOL_SOCKET, 90}, option{SOL_IP, 60}, option{SOL_TCP, 3}, option{17, 110}})
        for (int name = 0; name < names; ++name) {
          option const o{level, name};
          pair const p = two.open(SOCK_DGRAM);
          if (in == connected) two.connect(p, 53);
          if (decided(o)) compared += ask(two, p, o, in, parted);
          if (missing(o)) without(two, p, o);
          two.close(p);
        }
    INFO(parted);
    CHECK(parted.empty());
    CHECK(compared > 100'000);
  });
}

TEST_CASE("a connection has the kernel's options of its listener", "[S92][S147]") {
  support::beside_the_kernel<both>([](both& two) {
    std::string parted;
    unsigned inherited = 0;
    unsigned short port = 1000;
    for (auto const [level, names] : {option{SOL_SOCKET, 90}, option{SOL_IP, 60}, option{SOL_TCP, 50}})
      for (int name = 0; name < names; ++name)
        for (int const value : {1, 3, 77, 100'000}) {
          option const o{level, name};
          if (!decided(o)) continue;
          if (!asked(o, value, false) || !comparable(o, connected, value)) continue;
          if (o == option{SOL_IP, IP_MULTICAST_TTL}) continue;  // in Linux the TTL of the SYN
          pair const listener = two.open(), client = two.open();
          int const room[4]{value};
          auto const told = two.set(listener, o, room, sizeof room);
          if (told.theirs == "0") {
            two.listen(listener, ++port);
            two.connect(client, port);
            INFO(level << '/' << name << " of " << value);
            pair const child = two.accept(listener);  // none if the option keeps the SYN away
            auto const t = child.ours < 0 ? both::told{} : two.get(child, o, 16);
            if (t.theirs != t.ours)
              parted += "option " + std::to_string(o.level) + '/' + std::to_string(name) + " of " +
                        std::to_string(value) + ": kernel " + t.theirs + ", ours " + t.ours + '\n';
            inherited += t.theirs == two.get(listener, o, 16).theirs;
            if (child.ours >= 0) two.close(child);
          }
          two.close(client);
          two.close(listener);
          two.run();
        }
    INFO(parted);
    CHECK(parted.empty());
    CHECK(inherited > 100);
  });
}

TEST_CASE("TCP_QUICKACK lets go of the acknowledgment that waits, for once or for good", "[S92]") {
  support::beside_the_kernel<both>([](both& two) {
    unsigned short port = 1000;
    for (int const value : {1, 2, 3, 4, -1}) {
      pair const listener = two.open(), client = two.open();
      two.listen(listener, ++port);
      two.connect(client, port);
      pair const server = two.accept(listener);
      auto const say = [&](pair const& from, pair const& to) {
        char byte = 1;
        REQUIRE(::send(from.theirs, &byte, 1, 0) == 1);
        REQUIRE(netstack::send(two.net(), from.ours, &byte, 1));
        two.run();
        REQUIRE(::recv(to.theirs, &byte, 1, 0) == 1);
        REQUIRE(netstack::recv(two.net(), to.ours, &byte, 1));
        two.run();
      };
      for (int i = 0; i < 20; ++i) say(client, server), say(server, client);  // a dialogue: acknowledgments wait
      say(client, server);
      auto const told = two.set(server, {SOL_TCP, TCP_QUICKACK}, &value, sizeof value);
      CHECK(told.ours == told.theirs);
      two.run();
      int theirs = -1, ours = -1;
      REQUIRE(::ioctl(client.theirs, SIOCOUTQ, &theirs) == 0);
      REQUIRE(netstack::ioctl(two.net(), client.ours, netstack::sioc::outq, &ours));
      INFO("value " << value);
      CHECK(theirs == 0);
      CHECK(ours == 0);
      auto const mode = two.get(server, {SOL_TCP, TCP_QUICKACK}, 4);
      CHECK(mode.ours == mode.theirs);
      for (auto const& p : {client, server, listener}) two.close(p);
    }
  });
}

TEST_CASE("TCP_SAVED_SYN is the kernel's: once, and only for who asked", "[S92]") {
  support::beside_the_kernel<both>([](both& two) {
    unsigned short port = 1000;
    for (int const how : {0, 1, 2}) {
      pair const listener = two.open(), client = two.open();
      CHECK(two.set(listener, {SOL_TCP, TCP_SAVE_SYN}, &how, sizeof how).ours == "0");
      two.listen(listener, ++port);
      two.connect(client, port);
      pair const server = two.accept(listener);
      for (u32 const room : {10u, 300u, 300u}) {
        unsigned char theirs[300], ours[300];
        ::socklen_t k_len = room;
        u32 our_len = room;
        long const k = both::answer(::getsockopt(server.theirs, SOL_TCP, TCP_SAVED_SYN, theirs, &k_len)),
                   r = both::answer(netstack::getsockopt(two.net(), server.ours, SOL_TCP, TCP_SAVED_SYN,
                                                         static_cast<void*>(ours), &our_len));
        INFO("how " << how << " room " << room);
        CHECK(r == k);
        if (k < 0) continue;
        CHECK(our_len == k_len);
        if (k_len == 0) continue;
        // The link's header, which lo leaves empty; IP's; TCP's, of which its options are in the same places.
        unsigned const ip = how == 2 ? 14 : 0;
        for (unsigned char const* syn : {theirs, ours}) {
          CHECK(syn[ip] == 0x45);
          CHECK(syn[ip + 9] == 6);
          CHECK((syn[ip + 22] << 8 | syn[ip + 23]) == port);
          CHECK((syn[ip + 33] & 0x3f) == 2);
        }
      }
      for (auto const& p : {client, server, listener}) two.close(p);
    }
    CHECK(netstack::tcp_worker_of(two.net()).saved_syns.in_use() == 0);
  });
}

TEST_CASE("TCP_INQ tells with each read what is left", "[S92]") {
  support::beside_the_kernel<both>([](both& two) {
    pair const listener = two.open(), client = two.open();
    int const on = 1;
    CHECK(two.set(listener, {SOL_TCP, TCP_INQ}, &on, sizeof on).ours == "0");
    two.listen(listener, 1001);
    two.connect(client, 1001);
    pair const server = two.accept(listener);
    char bytes[100]{};
    auto const read = [&](unsigned n, int flags, unsigned room) {
      ::iovec part{bytes, n};
      alignas(8) char control[64];
      alignas(8) std::byte our_control[64];
      ::msghdr m{nullptr, 0, &part, 1, control, room, 0};
      netstack::msghdr ours{.msg_iov = {&part, 1}, .msg_control = std::span(our_control).first(room)};
      long const k = both::answer(::recvmsg(server.theirs, &m, flags)),
                 r = both::answer(netstack::recvmsg(two.net(), server.ours, ours, static_cast<u32>(flags)));
      INFO("of " << n << " flags " << flags << " room " << room);
      CHECK(r == k);
      if (k < 0) return;
      CHECK(ours.msg_flags == static_cast<u32>(m.msg_flags));
      CHECK(ours.msg_controllen == m.msg_controllen);
      auto const* const c = CMSG_FIRSTHDR(&m);
      if (!c) return;
      REQUIRE(c->cmsg_level == SOL_TCP);
      CHECK(std::memcmp(our_control, control, c->cmsg_len) == 0);
    };
    for (int i = 0; i < 2; ++i) {
      REQUIRE(::send(client.theirs, bytes, 100, 0) == 100);
      REQUIRE(netstack::send(two.net(), client.ours, bytes, 100));
      two.run();
    }
    for (auto const& [n, flags, room] : {std::tuple{10u, 0, 64u},
                                         {10u, int{MSG_PEEK}, 64u},
                                         {10u, 0, 0u},
                                         {10u, 0, 18u},
                                         {80u, 0, 64u},
                                         {60u, 0, 64u},
                                         {20u, 0, 64u}})
      read(n, flags, room);
    CHECK(::shutdown(client.theirs, SHUT_WR) == 0);
    CHECK(netstack::shutdown(two.net(), client.ours, SHUT_WR));
    two.run();
    for (u32 const n : {5u, 100u, 100u}) read(n, 0, 64);
    for (auto const& p : {client, server, listener}) two.close(p);
  });
}

TEST_CASE("TCP_CC_INFO has the kernel's lengths", "[S92]") {
  support::beside_the_kernel<both>([](both& two) {
    pair const p = two.open();
    for (char const* name : {"reno", "bbr"}) {
      if (::setsockopt(p.theirs, SOL_TCP, TCP_CONGESTION, name, 4) != 0) continue;  // this kernel has no such
      REQUIRE(netstack::setsockopt(two.net(), p.ours, SOL_TCP, TCP_CONGESTION, static_cast<void const*>(name), 4));
      for (u32 const room : {0u, 4u, 20u, 64u}) {
        auto const t = two.get(p, {SOL_TCP, TCP_CC_INFO}, room, false);
        CHECK(t.ours == t.theirs);
      }
    }
    two.close(p);
  });
}

TEST_CASE("MSG_CMSG_CLOEXEC is a flag that comes back", "[S92]") {
  support::beside_the_kernel<both>([](both& two) {
    pair const listener = two.open(), client = two.open();
    two.listen(listener, 1001);
    two.connect(client, 1001);
    pair const server = two.accept(listener);
    char byte = 1;
    for (int const flags : {int{MSG_CMSG_CLOEXEC}, MSG_CMSG_CLOEXEC | MSG_PEEK, 0}) {
      REQUIRE(::send(client.theirs, &byte, 1, 0) == 1);
      REQUIRE(netstack::send(two.net(), client.ours, &byte, 1));
      two.run();
      ::iovec part{&byte, 1};
      ::msghdr m{nullptr, 0, &part, 1, nullptr, 0, 0};
      netstack::msghdr ours{.msg_iov = {&part, 1}};
      REQUIRE(::recvmsg(server.theirs, &m, flags) == 1);
      REQUIRE(netstack::recvmsg(two.net(), server.ours, ours, static_cast<u32>(flags)).value() == 1);
      CHECK(ours.msg_flags == static_cast<u32>(m.msg_flags));
    }
    for (auto const& p : {client, server, listener}) two.close(p);
  });
}
