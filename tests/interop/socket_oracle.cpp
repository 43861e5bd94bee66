// SPDX-License-Identifier: BSL-1.0
// The kernel as the oracle of the socket calls: random calls are made in pairs, one on a socket of the kernel's, one on
// the stack's, each on its own lo. Every answer must be the kernel's: bytes, errno, flags, names, control messages.
#include <poll.h>

#include <random>
#include <string>
#include <vector>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/udp/udp.hpp"
#include "support/oracle.hpp"

namespace {

struct host : netstack::stack<host, netstack::ipv4, netstack::udp, netstack::sizes<netstack::config{.max_net = 1}>> {};

/// Options whose meaning does not depend on the kernel's age or its settings, as {level, name}.
constexpr int options[][2]{{1, 1},  {1, 2},  {1, 3},  {1, 4},  {1, 5},  {1, 6},  {1, 9},  {1, 10}, {1, 11},
                           {1, 12}, {1, 13}, {1, 15}, {1, 18}, {1, 19}, {1, 20}, {1, 29}, {1, 30}, {1, 35},
                           {1, 36}, {1, 38}, {1, 39}, {1, 40}, {1, 42}, {1, 45}, {1, 62}, {0, 1},  {0, 2},
                           {0, 3},  {0, 8},  {0, 10}, {0, 11}, {0, 12}, {0, 13}, {0, 15}, {0, 20}, {0, 21},
                           {0, 22}, {0, 24}, {0, 32}, {0, 33}, {0, 34}, {0, 49}, {0, 50}, {17, 99}};
constexpr int values[]{0, 1, 2, 3, 7, 64, 255, 256, -1, -2, 0x7fffffff};
constexpr unsigned addresses[]{0,          0x7f000001, 0x7f000001, 0x7f000002, 0x0a000001,
                               0xe0000001, 0xffffffff, 0x7fffffff, 0x08080808};
constexpr unsigned short ports[]{0, 53, 5000, 5001, 5002, 5003};
/// Not 65508, which the kernel takes for one that fits lo if IP_MTU_DISCOVER is IP_PMTUDISC_PROBE. The last is too
/// large to be looked at.
constexpr unsigned sizes[]{0, 1, 100, 100, 1473, 9000, 65507, 65509, 65535, 65536};

class both : public support::oracle<host> {
  struct pair : support::twins {
    bool connected = false;
  };
  std::mt19937 random_;
  std::vector<pair> sockets_;
  std::vector<char> bytes_ = std::vector<char>(70000);

  unsigned below(std::size_t n) { return static_cast<unsigned>(random_() % n); }
  template <class T, std::size_t N>
  T pick(T const (&list)[N]) {
    return list[below(N)];
  }
  bool same(char const* what, long theirs, long ours) override {
    // ICMP has a rate limit for all destinations together, which may cost the kernel an error.
    if (theirs != ours && !over && (ours == -ECONNREFUSED || std::string_view(what) == "poll")) {
      over = true;
      ++swallowed;
    }
    return oracle::same(what, theirs, ours);
  }

  ::sockaddr_in address() {
    unsigned short const family = below(12) ? AF_INET : below(2) ? AF_INET6 : AF_UNSPEC, port = pick(ports);
    return name(pick(addresses), port, family);
  }
  unsigned address_length() { return below(16) ? 16 : pick({0u, 1u, 2u, 8u, 15u, 28u}); }
  std::string about(std::size_t i, char const* what, ::sockaddr_in const& a, unsigned len, unsigned more = 0) {
    return std::to_string(i) + ' ' + what + " family " + std::to_string(a.sin_family) + ' ' + text(a) + " length " +
           std::to_string(len) + ' ' + std::to_string(more);
  }

  void open() {
    int const theirs = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    auto const ours = netstack::socket(net(), AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
    REQUIRE(theirs >= 0);
    REQUIRE(ours);
    sockets_.push_back({{theirs, *ours}});
  }
  void close(std::size_t i) {
    ::close(sockets_[i].theirs);
    CHECK(netstack::close(net(), sockets_[i].ours));
    sockets_.erase(sockets_.begin() + static_cast<long>(i));
  }
  void name_it(std::size_t i) {
    bool const binds = below(2) != 0;
    char room[32]{};
    auto a = address();
    // A connect() that finds no route spoils the flow of a socket of the kernel's that is connected already.
    if (!binds && sockets_[i].connected) a.sin_addr.s_addr = htonl(0x7f000001 + below(2));
    std::memcpy(room, &a, sizeof a);
    unsigned const len = address_length();
    call = about(i, binds ? "bind" : "connect", a, len);
    auto const* theirs = reinterpret_cast<::sockaddr const*>(room);
    netstack::sockaddr_view const ours{room, len};
    if (binds)
      same("answer", answer(::bind(sockets_[i].theirs, theirs, len)),
           answer(netstack::bind(net(), sockets_[i].ours, ours)));
    else {
      long const k = answer(::connect(sockets_[i].theirs, theirs, len));
      same("answer", k, answer(netstack::connect(net(), sockets_[i].ours, ours)));
      if (k == 0) sockets_[i].connected = true;
    }
  }
  void send(std::size_t i, unsigned flags, std::size_t largest = std::size(sizes) - 1) {
    char room[32]{};
    auto const a = address();
    std::memcpy(room, &a, sizeof a);
    bool const named = below(3) != 0;
    unsigned const len = named ? std::max(address_length(), 1u) : 0, size = sizes[below(largest + 1)];
    call = about(i, named ? "sendto" : "send", a, len, size) + " flags " + std::to_string(flags);
    auto const* theirs = named ? reinterpret_cast<::sockaddr const*>(room) : nullptr;
    netstack::sockaddr_view const ours{named ? room : nullptr, len};
    flags |= MSG_NOSIGNAL;
    long const k = answer(::sendto(sockets_[i].theirs, bytes_.data(), size, static_cast<int>(flags), theirs, len));
    same("answer", k, answer(netstack::sendto(net(), sockets_[i].ours, bytes_.data(), size, flags, ours)));
  }
  static std::string control_of(::msghdr& m) {
    std::string s;
    for (auto* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
      s += std::to_string(c->cmsg_level) + '/' + std::to_string(c->cmsg_type) + '/' + std::to_string(c->cmsg_len) + ' ';
    return s;
  }
  void receive(std::size_t i) {
    unsigned const flags = MSG_DONTWAIT | pick<unsigned>({0, 0, MSG_CMSG_CLOEXEC, MSG_PEEK, MSG_TRUNC,
                                                          MSG_PEEK | MSG_TRUNC, MSG_ERRQUEUE});
    unsigned const size = pick({0u, 1u, 50u, 200u, 70000u});
    call = std::to_string(i) + " recvmsg " + std::to_string(size) + " flags " + std::to_string(flags);
    ::iovec part{bytes_.data(), size};
    alignas(8) char room[512];
    alignas(8) std::byte our_room[512];
    ::sockaddr_in from{};
    netstack::sockaddr_in our_from{};
    ::msghdr m{&from, sizeof from, &part, 1, room, sizeof room, 0};
    netstack::msghdr ours{
        .msg_name = &our_from, .msg_namelen = sizeof our_from, .msg_iov = {&part, 1}, .msg_control = our_room};
    long const k = answer(::recvmsg(sockets_[i].theirs, &m, static_cast<int>(flags)));
    same("answer", k, answer(netstack::recvmsg(net(), sockets_[i].ours, ours, flags)));
    if (k < 0 || over) return;
    same("flags", m.msg_flags, static_cast<long>(ours.msg_flags));
    same("length of the name", m.msg_namelen, ours.msg_namelen);
    if (m.msg_namelen == sizeof from)
      same("sender", ntohl(from.sin_addr.s_addr), static_cast<long>(our_from.sin_addr.s_addr.host()));
    ::msghdr view{};
    view.msg_control = our_room;
    view.msg_controllen = ours.msg_controllen;
    if (control_of(m) == control_of(view)) return;
    over = true;
    INFO(before << call);
    CHECK(control_of(view) == control_of(m));
  }
  void option(std::size_t i) {
    auto const [level, name] = options[below(std::size(options))];
    int const value = pick(values);
    unsigned const len = pick({4u, 4u, 4u, 4u, 0u, 1u, 2u, 8u, 16u});
    char theirs[16]{}, ours[16]{};
    std::memcpy(theirs, &value, sizeof value);
    std::memcpy(ours, &value, sizeof value);
    int const k_fd = sockets_[i].theirs, fd = sockets_[i].ours;
    call = std::to_string(i) + " option " + std::to_string(level) + '/' + std::to_string(name) + " value " +
           std::to_string(value) + " length " + std::to_string(len);
    if (below(2)) {
      long const k = answer(::setsockopt(k_fd, level, name, theirs, len));
      same("set", k, answer(netstack::setsockopt(net(), fd, level, name, static_cast<void const*>(ours), len)));
      return;
    }
    ::socklen_t k_len = len;
    netstack::u32 our_len = len;
    long const k = answer(::getsockopt(k_fd, level, name, theirs, &k_len));
    same("get", k, answer(netstack::getsockopt(net(), fd, level, name, static_cast<void*>(ours), &our_len)));
    if (k < 0) return;
    same("length", k_len, our_len);
    same("value", std::memcmp(theirs, ours, k_len), 0);
  }
  void shut(std::size_t i) {
    int const how = static_cast<int>(below(5)) - 1;
    call = std::to_string(i) + " shutdown " + std::to_string(how);
    same("answer", answer(::shutdown(sockets_[i].theirs, how)),
         answer(netstack::shutdown(net(), sockets_[i].ours, how)));
  }

 public:
  unsigned swallowed = 0;  ///< times that they parted because the kernel had no ICMP to spend

  void play(unsigned seed, unsigned calls) {
    random_.seed(seed);
    over = false;
    before.clear();
    open(), open();
    for (unsigned n = 0; n < calls && !over; ++n) {
      auto const i = below(sockets_.size());
      switch (unsigned const what = below(32); what) {
        case 0: sockets_.size() < 5 ? open() : close(i); break;
        case 1: shut(i); break;
        case 2:
          call = std::to_string(i) + " poll";
          watch(sockets_[i], POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLWRBAND | 0x2000);
          break;
        case 3:
        case 4:
          call = std::to_string(i) + " name";
          look(sockets_[i], below(2) != 0);
          break;
        case 5:  // in two parts, from a socket of its own: what was corked once spoils the kernel's flow, too
          open();
          send(sockets_.size() - 1, MSG_MORE);
          if (!over) send(sockets_.size() - 1, 0, std::size(sizes) - 2);
          close(sockets_.size() - 1);
          break;
        default:
          if (what < 12)
            name_it(i);
          else if (what < 18)
            send(i, pick<unsigned>({0, 0, 0, MSG_OOB, MSG_DONTROUTE, 0x10 /* MSG_PROBE */, MSG_CONFIRM}));
          else if (what < 24)
            receive(i);
          else
            option(i);
      }
      before += call + '\n';
      run();
    }
    while (!sockets_.empty()) close(0);
    run();
    CHECK(h.worker().pool.in_use() == 0);
  }
};

}  // namespace

TEST_CASE("random socket calls have the kernel's answers", "[S93][S108][S113][S114][S118]") {
  support::beside_the_kernel<both>([](both& two) {
    constexpr unsigned rounds = 1500;
    for (unsigned seed = 0; seed < rounds; ++seed) two.play(seed, 60);
    CHECK(two.swallowed < rounds / 20);
  });
}
