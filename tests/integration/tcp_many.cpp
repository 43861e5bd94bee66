// SPDX-License-Identifier: BSL-1.0
// Many connections at once, of several addresses, over a pipe whose driver recognises their segments, or IP, or GRO
// merges them: they open, speak, end and are reset at random, in bursts of any mixture, some of whose frames are
// damaged or forged, while addresses and routes change. Each hears its own peer alone, every segment is counted once,
// and nothing stays behind.
//   NETSTACK_MANY=17 tcp_many     one run again, by its number
#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "netstack/base/asan.hpp"
#include "netstack/drivers/fault_injector.hpp"
#include "netstack/netstack.hpp"
#include "netstack/tcp/tcp_offload.hpp"
#include "support/two_hosts.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

using room = sizes<config{.max_net = 1, .skb_pool = 4096, .skb_clones = 1024}>;
struct by_driver : stack<by_driver, ipv4, ipv4_offload, tcp, tcp_offload, drivers::pipe, room> {};
using wrapped = drivers::fault_injector<drivers::pipe>;  // sees all frames, and harms none
struct by_ip : stack<by_ip, ipv4, ipv4_offload, tcp, tcp_offload, wrapped, room> {};

constexpr u32 most = 40, addresses = 5;
constexpr u16 first_port = 80, ports = 3;

struct connection {
  int client = -1, server = -1;
  u16 port = 0;               ///< the server's
  u64 number = 0;             ///< whose its bytes are
  u64 said[2]{}, heard[2]{};  ///< by the client, by the server
  bool over[2]{};             ///< who says no more
  bool broken = false;        ///< reset, so that not all need arrive
  bool told[2]{};             ///< the end of the other's was read
};

template <class Host, class Wire>
struct many : two_hosts<Host, Host, Wire> {
  using two_hosts<Host, Host, Wire>::a, two_hosts<Host, Host, Wire>::b, two_hosts<Host, Host, Wire>::name;
  using two_hosts<Host, Host, Wire>::addr_a, two_hosts<Host, Host, Wire>::addr_b, two_hosts<Host, Host, Wire>::cable;
  using two_hosts<Host, Host, Wire>::dev_a, two_hosts<Host, Host, Wire>::dev_b;
  std::mt19937_64 random;
  std::vector<connection> all{most};
  int listeners[ports];
  u64 opened = 0;
  bool wrong = false;
  std::set<u64> damaged[2];  ///< frames, by number, on each way

  u32 below(u64 n) { return static_cast<u32>(random() % n); }
  bool one_in(u32 n) { return below(n) == 0; }
  static ipv4_prefix address(u32 i) { return *ipv4_prefix::make(be32{addr_a.host() + (i == 0 ? 0 : 9 + i)}, 24); }
  static char byte_of(u64 stream, u64 at) { return static_cast<char>(stream * 73 + at * 31 + (at >> 7)); }
  auto& net_of(bool server) { return server ? b.init_net() : a.init_net(); }
  static int fd_of(connection const& c, bool server) { return server ? c.server : c.client; }

  many(u64 seed, bool gro) : random(seed) {
    if (one_in(3)) tcp_pernet(a.init_net()).sysctl_tcp_timestamps = 0;
    if (one_in(3)) tcp_pernet(a.init_net()).sysctl_tcp_ecn = 1;
    for (u32 i = 1; i < addresses; ++i) REQUIRE(inet_addr_add(a.init_net(), dev_a->ifindex, address(i)));
    for (u16 i = 0; i < ports; ++i) {
      listeners[i] = socket(b.init_net(), af::inet, sock_type::stream | sock_type::nonblock).value();
      REQUIRE(bind(b.init_net(), listeners[i], name({}, static_cast<u16>(first_port + i))));
      REQUIRE(listen(b.init_net(), listeners[i], most));
    }
    for (net_device* dev : {dev_a, dev_b})
      dev->features = gro ? dev->features | netif_f::gro : dev->features & ~netif_f::gro;
  }

  void open(connection& c) {
    c = {.port = static_cast<u16>(first_port + below(ports)), .number = ++opened};
    c.client = socket(a.init_net(), af::inet, sock_type::stream | sock_type::nonblock).value();
    (void)setsockopt(a.init_net(), c.client, sol::tcp, tcp_opt::nodelay, 1);
    if (bind(a.init_net(), c.client, name(address(below(addresses)).addr(), static_cast<u16>(1024 + opened))))
      (void)connect(a.init_net(), c.client, name(addr_b, c.port));
  }
  void accept_all() {
    for (u16 i = 0; i < ports; ++i)
      while (auto const fd = accept(b.init_net(), listeners[i], nullptr, nullptr, sock_type::nonblock)) {
        auto const peer = getpeername<sockaddr_in>(b.init_net(), *fd).value();
        auto const its = std::ranges::find_if(all, [&](connection const& c) {
          if (c.client < 0 || c.server >= 0 || c.port != first_port + i) return false;
          auto const own = getsockname<sockaddr_in>(a.init_net(), c.client).value();
          return own.sin_port == peer.sin_port && own.sin_addr.s_addr == peer.sin_addr.s_addr;
        });
        if (its == all.end())
          REQUIRE(close(b.init_net(), *fd));
        else
          its->server = *fd;
      }
  }
  void say(connection& c, bool server, u32 n) {
    if (fd_of(c, server) < 0 || c.over[server]) return;
    std::string text(n, '\0');
    for (u32 i = 0; i < n; ++i) text[i] = byte_of(2 * c.number + server, c.said[server] + i);
    c.said[server] += netstack::send(net_of(server), fd_of(c, server), text.data(), n, msg::dontwait).value_or(0);
  }
  void hear(connection& c, bool server) {
    char text[4096];
    if (fd_of(c, server) < 0 || c.told[server]) return;
    auto const n = recv(net_of(server), fd_of(c, server), text, sizeof text, msg::dontwait);
    if (!n) {
      c.broken = c.broken || (n.error() != std::errc::resource_unavailable_try_again);
      return;
    }
    c.told[server] = *n == 0;
    for (u32 i = 0; i < *n; ++i) wrong = wrong || text[i] != byte_of(2 * c.number + !server, c.heard[server]++);
  }
  void drop(connection& c) {
    for (bool server : {false, true})
      if (fd_of(c, server) >= 0) REQUIRE(close(net_of(server), fd_of(c, server)));
    c = {};
  }
  /// A short frame that waits in the cable arrives with a bit changed, or as if from elsewhere: the halves of its
  /// source change places, so that its sums are right, or marked by a router. (Others are still their sender's, and two
  /// changed bits may look right.)
  void damage() {
    unsigned const end = below(2);
    auto& way = cable.from(end);
    u32 const n = way.frames.filled(64), i = n == 0 ? 0 : below(n);
    if (n == 0 || way.frames.front(i) || !damaged[end].insert(way.frames.front_number(i)).second) return;
    auto& frame = way.shorts[way.frames.front_number(i) % drivers::pipe_cable::short_slots];
    u8* const iph = frame.bytes + eth_hlen;
    bool const capable = (iph[offsetof(iphdr, tos)] & inet_ecn::mask) == inet_ecn::ect_0;
    if (capable && one_in(2) && iph[offsetof(iphdr, check) + 1] != 0)
      iph[offsetof(iphdr, tos)] |= inet_ecn::ce, --iph[offsetof(iphdr, check) + 1];
    else if (one_in(2))
      std::swap_ranges(iph + 12, iph + 14, iph + 14);
    else
      iph[below(frame.len - eth_hlen)] ^= static_cast<u8>(1u << below(8));
  }
  void move_address() {
    auto const which = address(1 + below(addresses - 1));
    if (one_in(2))
      (void)inet_addr_del(a.init_net(), dev_a->ifindex, which);
    else
      (void)inet_addr_add(a.init_net(), dev_a->ifindex, which);
  }
  void act() {
    auto& c = all[below(most)];
    bool const server = one_in(2);
    switch (below(20)) {
      case 0:
        if (c.client < 0) return open(c);
        return;
      case 1:
        if (fd_of(c, server) >= 0 && !c.over[server])
          c.over[server] = bool(shutdown(net_of(server), fd_of(c, server), shut::wr));
        return;
      case 2:
        if (c.told[0] && c.told[1]) drop(c);
        return;
      case 3:
        if (c.server < 0 || !one_in(6)) return;
        (void)setsockopt(net_of(server), fd_of(c, server), sol::socket, so::linger, linger{1, 0});
        return drop(c);
      default: return say(c, server, 1 + (one_in(8) ? below(3000) : below(100)));
    }
  }
  void finish(connection& c) {
    for (bool server : {false, true}) {
      hear(c, server);
      if (fd_of(c, server) >= 0 && !c.over[server])
        c.over[server] = bool(shutdown(net_of(server), fd_of(c, server), shut::wr));
    }
  }
  /// All that was said was heard, unless somebody gave up.
  [[nodiscard]] bool is_done(connection const& c) const {
    return c.broken || (c.told[0] && c.told[1] && c.heard[0] == c.said[1] && c.heard[1] == c.said[0]);
  }
  [[nodiscard]] bool nothing_left(Host& h) {
    auto& w = tcp_worker_of(h.init_net());
    return h.worker().pool.in_use() == 0 && w.socks.in_use() == 0 && w.requests.in_use() == 0 &&
           w.timewaits.in_use() == 0 && w.memory.allocated == 0 && w.rares.in_use() == 0;
  }
};

template <class Host, class Wire>
void run_many(u64 seed) {
  CAPTURE(seed);
  many<Host, Wire> t(seed, seed / 2 % 2 == 1);
  bool const whole = seed % 3 == 0, still = t.one_in(2);
  for (int round = 0; round < 1500; ++round) {
    for (u32 n = t.below(60); n != 0; --n) t.act();
    for (int i = 0; !whole && i < 3; ++i) t.damage();
    if (!still && t.one_in(50)) t.move_address();
    if (t.one_in(3)) t.b.poll();
    if (t.one_in(3)) t.a.poll();
    if (t.one_in(4)) t.run_for(t.one_in(30) ? 2'000'000'000 : t.below(3'000'000));
    t.accept_all();
    for (auto& c : t.all)
      if (t.one_in(3)) t.hear(c, t.one_in(2));
    REQUIRE_FALSE(t.wrong);
  }
  for (u32 i = 1; i < addresses; ++i) (void)inet_addr_add(t.a.init_net(), t.dev_a->ifindex, t.address(i));
  auto const open = [&](connection const& c) { return c.client >= 0 && c.server >= 0 && !t.is_done(c); };
  for (int i = 0; i < 20'000 && std::ranges::any_of(t.all, open); ++i) {
    t.run_for(20'000'000);
    t.accept_all();
    for (auto& c : t.all) t.finish(c);
  }
  CHECK_FALSE(t.wrong);
  CHECK(std::ranges::count_if(t.all, open) == 0);
  for (auto& c : t.all) t.drop(c);
  for (int listener : t.listeners) REQUIRE(close(t.b.init_net(), listener));
  t.run_for(1'500'000'000'000);
  CHECK((t.nothing_left(t.a) && t.nothing_left(t.b)));
  CHECK(t.opened > 20);
  // What GRO merged counts once.
  auto const counted = [](Host& from, Host& to) {
    auto const& out = TCP_STATS(from.init_net());
    u64 const all = out.OutSegs.read() + out.RetransSegs.read(), got = TCP_STATS(to.init_net()).InSegs.read();
    return got <= all && all - got <= NET_STATS(from.init_net()).TCPSynRetrans.read();  // a SYN-ACK's is in both
  };
  if (whole && still && seed / 2 % 2 == 0) CHECK((counted(t.a, t.b) && counted(t.b, t.a)));
}

}  // namespace

TEST_CASE("many connections in bursts of any mixture: each hears its own peer, and all of it", "[S45][S117][S147]") {
  auto const run = [](u64 seed) {
    seed % 2 == 0 ? run_many<by_driver, drivers::pipe>(seed) : run_many<by_ip, wrapped>(seed);
  };
  if (char const* const one = std::getenv("NETSTACK_MANY")) return run(std::strtoull(one, nullptr, 10));
  constexpr u64 seeds = asan_enabled ? 18 : 90;
  for (u64 seed = 0; seed < seeds; ++seed) run(seed);
}

TEST_CASE("who gets the first of a burst may end the device it came by", "[S45]") {
  two_hosts<by_driver, by_driver> t;
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  int const listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value();
  REQUIRE(bind(b, listener, t.name({}, 80)));
  REQUIRE(listen(b, listener, 10));
  struct ender {
    decltype(t)& rig;
    bool armed = false, done = false;
  } end{t};
  std::vector<int> clients;
  std::vector<std::unique_ptr<tcp_socket<net<by_driver>>>> servers;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(socket(a, af::inet, sock_type::stream | sock_type::nonblock).value());
    (void)connect(a, clients.back(), t.name(t.addr_b, 80));
    t.run();
    servers.push_back(std::make_unique<tcp_socket<net<by_driver>>>(b));
    REQUIRE(servers.back()->adopt(accept(b, listener).value()));
    servers.back()->on_data_ready(
        [](void* what) {
          auto& e = *static_cast<ender*>(what);
          if (e.armed && !std::exchange(e.done, true)) unregister_netdev(e.rig.b.init_net(), *e.rig.dev_b);
        },
        &end);
  }
  for (bool const armed : {false, true}) {
    end.armed = armed;
    for (int fd : clients) REQUIRE(send(a, fd, "x", 1).value() == 1);
    t.run();
  }
  CHECK(end.done);
  for (auto& s : servers) CHECK(s->read([](auto piece) { return static_cast<u32>(piece.size()); }).value_or(0) == 2);
}
