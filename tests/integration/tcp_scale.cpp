// SPDX-License-Identifier: BSL-1.0
// TCP at scale, on a virtual clock and without one heap allocation: a million connections in one process and what it
// costs to find one, a million forged SYNs while a transfer runs, a thousand that rest, a hundred thousand connections
// one after another.
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>
#include <string>

#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "support/heap_counter.hpp"
#include "support/scale.hpp"
#include "support/segment_dev.hpp"
#include "support/tcp_echo.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// 198.51.100.0/24 is behind the device; this many strangers live there.
constexpr be32 here = ipv4_addr("198.51.100.254");
constexpr u32 ports_each = 60'000;
segment stranger(u32 i, u8 flags) {
  return {.saddr = be32{ipv4_addr("198.51.100.1").host() + i / ports_each},
          .daddr = here,
          .source = static_cast<u16>(1024 + i % ports_each),
          .dest = 80,
          .seq = i * 2654435761u,
          .flags = flags};
}
template <class Net>
segment_feed& add_strangers(Net& net) {
  auto dev = register_netdev<segment_dev>(net, "eth%d", {});
  REQUIRE(dev);
  REQUIRE(dev_open(net, **dev));
  REQUIRE(inet_addr_add(net, (*dev)->ifindex, ipv4_cidr("198.51.100.254/24")));
  return segment_dev::feed_of(**dev);
}
template <class Net>
int listen_at(Net& net, u16 port, int backlog) {
  int const fd = socket(net, af::inet, sock_type::stream | sock_type::nonblock).value();
  REQUIRE(bind(net, fd, inet_addr_of({}, port)));
  REQUIRE(listen(net, fd, backlog));
  return fd;
}
/// One from a to who listens there at port 80: its ends.
template <class Rig>
std::pair<int, int> connected(Rig& t, int listener) {
  int const fd = socket(t.a.init_net(), af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
  (void)connect(t.a.init_net(), fd, Rig::name(Rig::addr_b, 80));
  t.run();
  return {fd, accept(t.b.init_net(), listener, nullptr, nullptr, sock_type::nonblock).value_or(-1)};
}

// --- a million

constexpr u32 million = asan_enabled ? 10'000 : 1'000'000;
constexpr config big{.skb_pool = 1024,
                     .skb_clones = 64,
                     .max_sock = million + 8,
                     .max_request = 128,
                     .max_handle = million + 8,
                     .sock_hash = 2 * std::bit_ceil(million)};
struct big_host : stack<big_host, ipv4, tcp, segment_dev, sizes<big>> {};

/// Instructions of f(), by single steps of a child; 0: it may not be traced here.
template <class F>
u64 instructions(F&& f) {
  pid_t const child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    f();
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  u64 steps = 0;
  int status = 0;
  bool traced = ::waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
  for (; traced && steps < 50'000'000; ++steps) {
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 || ::waitpid(child, &status, 0) != child)
      traced = false;
    else if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
      break;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return traced ? steps : 0;
}

struct crowd {
  virtual_clock clock;
  big_host host;
  segment_feed* feed;
  int listener;
  u32 connected = 0;

  crowd() {
    REQUIRE(host.boot({.clock = clock.source(), .seed = 1}));
    feed = &add_strangers(host.init_net());
    listener = listen_at(host.init_net(), 80, 128);
  }
  void run() {
    while (host.poll()) {
    }
  }
  /// Until there are `n`: SYNs in bursts, the answers' numbers acknowledged, and accept().
  void grow(u32 n) {
    while (connected < n) {
      u32 const more = std::min(n - connected, segment_feed::burst);
      for (u32 i = 0; i < more; ++i) feed->push(stranger(connected + i, tcp_flag::syn));
      run();
      for (auto const& s : feed->sent())
        feed->push({.saddr = s.daddr,
                    .daddr = s.saddr,
                    .source = s.dest,
                    .dest = s.source,
                    .seq = s.ack,
                    .ack = s.seq + 1,
                    .flags = tcp_flag::ack});
      run();
      for (u32 i = 0; i < more; ++i)
        if (!accept(host.init_net(), listener, nullptr, nullptr, sock_type::nonblock)) return;
      connected += more;
      clock.now += 1000;
    }
  }
  /// Finds `n` of them and misses as many strangers.
  u32 find(u32 n) {
    u32 found = 0;
    for (u32 i = 0; i < 2 * n; ++i) {
      auto const s = stranger(i < n ? static_cast<u32>(u64{i} * connected / n) : million + i, 0);
      found += inet_lookup_established(host.init_net(),
                                       {.saddr = s.saddr, .daddr = s.daddr, .sport = be16{s.source}, .hnum = s.dest}) !=
               nullptr;
    }
    return found;
  }
  u64 instructions_a_search() {
    CHECK(find(100) == 100);
    u64 const with = instructions([&] { (void)find(20); }), without = instructions([&] { (void)find(5); });
    return with > without ? (with - without) / 30 : 0;
  }
};

}  // namespace

TEST_CASE("a million connections in one process, found as fast as a hundred", "[S145][S146]") {
  crowd c;
  heap_counter heap;
  heap.pause();
  c.grow(100);
  u64 const few = c.instructions_a_search();
  heap.go_on();
  c.grow(million);
  heap.pause();
  INFO(heap.first());
  CHECK(heap.allocations() == 0);
  auto& w = tcp_worker_of(c.host.init_net());
  CHECK(c.connected == million);
  CHECK(w.socks.in_use() == million + 1);
  CHECK(TCP_STATS(c.host.init_net()).CurrEstab.read() == million);
  CHECK(c.host.worker().pool.in_use() == 0);
  CHECK(w.memory.allocated == 0);  // an idle connection holds no page of tcp_mem
  u64 const many = c.instructions_a_search();
  WARN(million << " connections within " << big_host::memory_bound() / 1'000'000
               << " MB: " << big_host::memory_bound() / million << " bytes each; to find one takes " << few
               << " instructions among 100, " << many << " among " << million);
  if (!asan_enabled && few != 0) CHECK(many < few + few / 2);
}

// --- a flood

namespace {

constexpr u32 forged = asan_enabled ? 20'000 : 1'000'000;
struct flooded_host : stack<flooded_host, ipv4, tcp, drivers::pipe, segment_dev> {};
struct peer_host : stack<peer_host, ipv4, tcp, drivers::pipe> {};

}  // namespace

TEST_CASE("a million forged SYNs during a transfer: it goes on, and who is no forgery still connects",
          "[SYN flood][S147]") {
  two_hosts<peer_host, flooded_host> t;
  using rig = decltype(t);
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  auto& feed = add_strangers(b);
  int const listener = listen_at(b, 80, 64);
  int const client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
  (void)connect(a, client, rig::name(rig::addr_b, 80));
  t.run_for(1'000'000);
  int const server = accept(b, listener, nullptr, nullptr, sock_type::nonblock).value();
  std::string const sent = stream_of(8'000'000);
  static char got[8'000'000];
  std::size_t at = 0, read = 0;
  u32 newcomers = 0, welcomed = 0;
  u32 most_requests = 0, most_frames = 0;
  heap_counter heap;
  for (u32 i = 0; i < forged; t.clock.now += 50'000) {
    for (u32 n = 0; n < segment_feed::burst; ++n, ++i) feed.push(stranger(i, tcp_flag::syn));
    t.run_for(0);
    at += send(a, client, sent.data() + at, std::min<std::size_t>(sent.size() - at, 1000)).value_or(0);
    read += recv(b, server, got + read, sizeof got - read).value_or(0);
    most_requests = std::max(most_requests, tcp_worker_of(b).requests.in_use());
    most_frames = std::max(most_frames, t.b.worker().pool.in_use());
    if (i % 4096 != 0) continue;
    int const fd = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
    (void)connect(a, fd, rig::name(rig::addr_b, 80));
    t.run_for(0);
    ++newcomers;
    if (auto const in = accept(b, listener, nullptr, nullptr, sock_type::nonblock)) ++welcomed, (void)close(b, *in);
    (void)close(a, fd);
  }
  heap.pause();
  INFO(heap.first());
  CHECK(heap.allocations() == 0);
  for (int i = 0; i < 20'000 && read < at; ++i) {
    t.run_for(1'000'000);
    read += recv(b, server, got + read, sizeof got - read).value_or(0);
  }
  CHECK(at > 0);
  CHECK(read == at);
  CHECK(std::memcmp(got, sent.data(), read) == 0);
  CHECK(newcomers > 0);
  CHECK(welcomed == newcomers);
  auto const& ext = NET_STATS(b);
  CHECK(ext.SyncookiesSent.read() > forged / 10 * 9);
  CHECK(ext.SyncookiesRecv.read() > newcomers / 10 * 9);
  CHECK(most_requests <= 65);
  CHECK(most_frames < 256);
  CHECK(TCP_STATS(a).RetransSegs.read() == 0);
  for (int fd : {listener, server}) REQUIRE(close(b, fd));
  REQUIRE(close(a, client));
  t.run_for(600'000'000'000);
  CHECK(t.b.worker().pool.in_use() == 0);
  CHECK(tcp_worker_of(b).socks.in_use() == 0);
  CHECK(tcp_worker_of(b).requests.in_use() == 0);
}

// --- many that rest

namespace {

constexpr u32 resting = 1000;
constexpr config calm{.skb_pool = 512, .max_sock = resting + 8, .max_handle = resting + 8};
struct calm_host : stack<calm_host, ipv4, tcp, drivers::pipe, sizes<calm>> {};

}  // namespace

TEST_CASE("connections that have said something, and rest, leave the proto's memory to others", "[S99][S148]") {
  two_hosts<calm_host> t;
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  int const listener = listen_at(b, 80, 8);
  u32 good = 0;
  for (u32 i = 0; i < resting; ++i) {
    auto const [fd, in] = connected(t, listener);
    char text[4];
    bool const said = send(a, fd, "ping", 4).value_or(0) == 4;
    t.run();
    bool const heard = said && recv(b, in, text, 4).value_or(0) == 4 && send(b, in, "pong", 4).value_or(0) == 4;
    t.run();
    good += heard && recv(a, fd, text, 4).value_or(0) == 4;
    t.run_for(50'000'000);
  }
  CHECK(good == resting);
  for (calm_host* h : {&t.a, &t.b}) {
    auto& w = tcp_worker_of(h->init_net());
    CHECK(w.memory.allocated <= tcp_pernet(h->init_net()).limits.mem[0] / 8 + 1);
    CHECK(!w.memory.pressure);
    CHECK(h->worker().pool.in_use() == 0);
  }
}

// --- one after another

namespace {

constexpr u32 rounds = asan_enabled ? 2'000 : 100'000;
constexpr config brief{.max_timewait = 2048};
struct brief_host : stack<brief_host, ipv4, tcp, drivers::pipe, sizes<brief>> {};

}  // namespace

TEST_CASE("a hundred thousand connections, one after another, leave nothing behind", "[S102][S148]") {
  two_hosts<brief_host> t;
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  int const listener = listen_at(b, 80, 8);
  t.run_for(1'000'000);
  auto const timers = t.a.worker().timers.size() + t.b.worker().timers.size();
  u32 good = 0;
  heap_counter heap;
  for (u32 i = 0; i < rounds; ++i) {
    auto const ends = connected(t, listener);
    int const fd = ends.first, in = ends.second;
    char text[4];
    bool const said = send(a, fd, "ping", 4).value_or(0) == 4;
    t.run();
    good += said && recv(b, in, text, 4).value_or(0) == 4;
    // Each side is the first to close in turn.
    auto const end = [&](bool first) { first ? (void)close(a, fd) : (void)close(b, in); };
    end(i % 2 == 0), t.run();
    end(i % 2 != 0), t.run();
    t.run_for(50'000'000);
  }
  heap.pause();
  INFO(heap.first());
  CHECK(heap.allocations() == 0);
  CHECK(good == rounds);
  for (auto* net : {&a, &b}) {
    CHECK(TCP_STATS(*net).RetransSegs.read() == 0);
    CHECK(NET_STATS(*net).TCPTimeWaitOverflow.read() == 0);
    CHECK(tcp_worker_of(*net).timewaits.in_use() > 0);
  }
  t.run_for(61'000'000'000);
  for (brief_host* h : {&t.a, &t.b}) {
    auto& w = tcp_worker_of(h->init_net());
    CHECK(w.socks.in_use() == (h == &t.b));  // the listener
    CHECK(w.requests.in_use() == 0);
    CHECK(w.timewaits.in_use() == 0);
    CHECK(w.memory.allocated == 0);
    CHECK(w.socks.high_water() <= 4);
    CHECK(h->worker().pool.in_use() == 0);
    CHECK(tcp_pernet(h->init_net()).orphan_count == 0);
  }
  CHECK(t.a.worker().timers.size() + t.b.worker().timers.size() == timers);
  REQUIRE(close(b, listener));
}
