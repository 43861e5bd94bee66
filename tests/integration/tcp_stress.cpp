// SPDX-License-Identifier: BSL-1.0
// Two ends call at random, and what lies between them breaks in every way that it can: wires that lose, repeat, damage
// and reorder, links that go down, MTUs that change, addresses that go, pools that others use up. Nothing wrong is ever
// read; when all is well again everything arrives in time, and nothing stays behind.
//   NETSTACK_STRESS=17 tcp_stress     one run again, by its number
#include <cstdlib>
#include <random>

#include "netstack/base/asan.hpp"
#include "netstack/drivers/fault_injector.hpp"
#include "netstack/netstack.hpp"
#include "netstack/tcp/tcp_bbr.hpp"
#include "netstack/tcp/tcp_cubic.hpp"
#include "netstack/tcp/tcp_offload.hpp"
#include "support/two_hosts.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

using faulty_wire = drivers::fault_injector<drivers::pipe>;
struct large : stack<large, ipv4, ipv4_offload, tcp, tcp_offload, tcp_cubic, tcp_bbr, faulty_wire,
                     sizes<config{.max_net = 1, .skb_pool = 4096, .skb_clones = 512}>> {};
struct tiny : stack<tiny, ipv4, tcp, tcp_cubic, tcp_bbr, faulty_wire,
                    sizes<config{.max_net = 1, .skb_pool = 160, .skb_clones = 24}>> {};

class dice {
  std::mt19937_64 random_;

 public:
  explicit dice(u64 seed) : random_(seed) {}
  u32 below(u64 n) { return static_cast<u32>(random_() % n); }
  bool one_in(u32 n) { return below(n) == 0; }
};

char byte_of(u64 stream, u64 at) { return static_cast<char>((at * 2654435761u >> 13) ^ (at >> 9) ^ stream); }

/// One end of the connection: what it has said of its stream, and heard of the peer's.
template <class Host>
struct end_of {
  Host& host;
  u64 mine, theirs, size;  ///< the streams, by number, and how long mine is
  int fd = -1;
  u64 said = 0, heard = 0;
  bool hung_up = false, ended = false, wrong = false;
  errc error{};
  tcp_socket<net<Host>> typed{host.init_net()};
  skb_list hoard{};  ///< frames that somebody else has

  auto& net_of() { return host.init_net(); }
  void open(int f) {
    fd = f;
    REQUIRE(setsockopt(net_of(), fd, sol::socket, so::oobinline, 1));
    REQUIRE(typed.adopt(fd));
  }
  void failed(errc why) {
    if (why != errc::resource_unavailable_try_again && why != errc::no_buffer_space && error == errc{}) error = why;
  }
  void check(char const* bytes, u64 n, u64 at) {
    for (u64 i = 0; i < n; ++i) wrong = wrong || bytes[i] != byte_of(theirs, at + i);
  }
  /// False: no more now.
  bool say(u64 n, u32 flags) {
    n = std::min(n, size - said);
    std::string text(n, '\0');
    for (u64 i = 0; i < n; ++i) text[i] = byte_of(mine, said + i);
    auto const r = n != 0 ? send(net_of(), fd, text.data(), n, flags | msg::dontwait) : result<std::size_t>{0u};
    if (!r) failed(r.error());
    said += r.value_or(0);
    return r.value_or(0) != 0;
  }
  bool say_without_copy(dice& d) {
    auto frame = typed.allocate();
    u32 const most = typed.segment();
    if (!frame || most == 0 || said == size) return false;
    u32 const n = std::min<u32>(1 + d.below(most), static_cast<u32>(std::min<u64>(size - said, most)));
    u8* const to = (*frame)->put(n);
    for (u32 i = 0; i < n; ++i) to[i] = static_cast<u8>(byte_of(mine, said + i));
    bool const sent = static_cast<bool>(typed.send(*frame, d.one_in(3) ? msg::more : 0u));
    if (sent) said += n;
    return sent;
  }
  bool hear(std::size_t n, u32 flags = 0) {
    std::string text(n, '\0');
    auto const r = recv(net_of(), fd, text.data(), n, flags | msg::dontwait);
    if (!r) return failed(r.error()), false;
    if (!(flags & msg::trunc)) check(text.data(), *r, heard);
    if (flags & msg::peek) return *r != 0;
    ended = *r == 0;
    heard += *r;
    return !ended;
  }
  bool hear_in_place(u32 most) {
    u64 at = heard;
    auto const r = typed.read([&](std::span<u8 const> bytes) {
      auto const n = static_cast<u32>(std::min<std::size_t>(bytes.size(), most));
      check(reinterpret_cast<char const*>(bytes.data()), n, at);
      at += n, most -= n;
      return n;
    });
    heard += r.value_or(0);
    return r.value_or(0) != 0;
  }
  void hang_up() {
    if (said == size && !hung_up) hung_up = static_cast<bool>(shutdown(net_of(), fd, shut::wr));
  }
  void set(int level, int option, u32 value) { (void)setsockopt(net_of(), fd, level, option, static_cast<int>(value)); }

  /// Some calls of any kind.
  void act(dice& d) {
    bool more = d.one_in(2);
    for (int i = 0; i < 3 && more && !hung_up; ++i)
      more = d.one_in(4) ? say_without_copy(d)
                         : say(1 + d.below(d.one_in(3)   ? 100
                                           : d.one_in(2) ? 40'000
                                                         : 3'000),
                               (d.one_in(4) ? msg::more : 0u) | (d.one_in(12) ? msg::oob : 0u));
    if (d.one_in(5)) hang_up();
    more = !d.one_in(3);
    for (int i = 0; i < 4 && more && !ended; ++i) switch (d.below(8)) {
        case 0: more = hear_in_place(d.below(5000)); break;
        case 1: more = hear(1 + d.below(20'000), msg::peek); break;
        case 2: more = hear(1 + d.below(3000), msg::trunc); break;
        default: more = hear(1 + d.below(d.one_in(3) ? 30'000 : 200));
      }
    change_option(d);
  }
  void change_option(dice& d) {
    static constexpr std::string_view algorithms[]{"cubic", "reno", "bbr"};
    switch (d.below(40)) {
      case 0: return set(sol::tcp, tcp_opt::nodelay, d.below(2));
      case 1: return set(sol::tcp, tcp_opt::cork, d.below(2));
      case 2: return set(sol::tcp, tcp_opt::quickack, d.below(3));
      case 3: return set(sol::socket, so::rcvbuf, 8'000 + d.below(60'000));
      case 4: return set(sol::socket, so::sndbuf, 1'000 + d.below(60'000));
      case 5: return set(sol::tcp, tcp_opt::notsent_lowat, 1 + d.below(20'000));
      case 6: {
        auto const name = algorithms[d.below(3)];
        return (void)setsockopt(net_of(), fd, sol::tcp, tcp_opt::congestion, name.data(),
                                static_cast<u32>(name.size()));
      }
      case 7: return set(sol::tcp, tcp_opt::window_clamp, 4'000 + d.below(100'000));
      case 8: return set(sol::socket, so::keepalive, d.below(2));
      case 9: return set(sol::socket, so::rcvlowat, 1 + d.below(10'000));
      case 10: return set(sol::ip, ip_opt::tos, 32 * d.below(4));
      case 11: return set(sol::ip, ip_opt::mtu_discover, d.below(4));
      case 12: return set(sol::tcp, tcp_opt::maxseg, 500 + d.below(1'000));
      case 13: return set(sol::socket, so::timestampns, d.below(2));
      case 14: {
        u64 const rate = d.one_in(2) ? pacing_unlimited : 100'000 + d.below(10'000'000);
        return (void)setsockopt(net_of(), fd, sol::socket, so::max_pacing_rate, rate);
      }
      default: return;
    }
  }
  /// As a program does that wants to be done.
  void finish() {
    set(sol::tcp, tcp_opt::cork, 0);
    set(sol::socket, so::rcvlowat, 1);
    (void)setsockopt(net_of(), fd, sol::socket, so::max_pacing_rate, pacing_unlimited);
    while (!hung_up && say(30'000, 0)) {
    }
    hang_up();
    while (!ended && hear(30'000)) {
    }
  }
};

drivers::wire_faults faults_of(dice& d) {
  return {.loss = d.below(3) * d.below(60'000),
          .duplicate = d.below(2) * d.below(50'000),
          .corrupt = d.below(2) * d.below(20'000),
          .reorder = d.below(2) * d.below(200'000),
          .reorder_ns = 1000 + d.below(5'000'000),
          .delay_ns = u64{d.below(3)} * d.below(30'000'000),
          .jitter_ns = u64{d.below(2)} * d.below(5'000'000),
          .rate_bps = d.one_in(2) ? 0 : 1'000'000 + u64{d.below(100'000'000)},
          .limit = 8 + d.below(300)};
}
faulty_wire::params wire_of(dice& d, u32 features) {
  return {.inner = {.features = features}, .tx = faults_of(d), .seed = 1 + u64{d.below(1'000'000)}};
}
template <class Net>
void configure(dice& d, Net& net) {
  for (auto const& [name, value] : {std::pair{"timestamps", "0"},
                                    {"sack", "0"},
                                    {"window_scaling", "0"},
                                    {"mtu_probing", "1"},
                                    {"mtu_probing", "2"},
                                    {"ecn", "1"},
                                    {"autocorking", "0"},
                                    {"slow_start_after_idle", "0"},
                                    {"congestion_control", "bbr"}})
    if (d.one_in(4)) REQUIRE(sysctl_write(net, std::string("net/ipv4/tcp_") + name, value));
}

template <class A, class B>
void run(u64 seed) {
  CAPTURE(seed);
  dice d(seed);
  static constexpr u32 plain = netif_f::sg | netif_f::fraglist, sums = plain | netif_f::hw_csum;
  u32 const features = std::array{plain, sums, plain, sums | netif_f::gso}[d.below(4)];
  auto const wire_a = wire_of(d, features), wire_b = wire_of(d, features);
  using hosts = two_hosts<A, B, faulty_wire>;
  hosts t(wire_a, wire_b, seed);
  configure(d, t.a.init_net()), configure(d, t.b.init_net());

  auto const size = [&] { return d.one_in(3) ? d.below(2'000) : d.below(400'000); };
  end_of<A> a{.host = t.a, .mine = 1, .theirs = 2, .size = size()};
  end_of<B> b{.host = t.b, .mine = 2, .theirs = 1, .size = size()};
  int const listener = socket(b.net_of(), af::inet, sock_type::stream | sock_type::nonblock).value();
  REQUIRE(bind(b.net_of(), listener, hosts::name({}, 80)));
  REQUIRE(listen(b.net_of(), listener, 4));
  a.open(socket(a.net_of(), af::inet, sock_type::stream | sock_type::nonblock).value());
  for (int i = 0; i < 60'000 && b.fd < 0; ++i) {
    (void)connect(a.net_of(), a.fd, hosts::name(hosts::addr_b, 80));  // again, if ARP had no answer
    t.run_for(1'000'000);
    if (auto fd = accept(b.net_of(), listener, nullptr, nullptr, sock_type::nonblock)) b.open(*fd);
  }
  REQUIRE(b.fd >= 0);

  bool addressed = true;
  auto const disturb = [&](auto& end, net_device& dev) {
    auto& pool = end.host.worker().pool;
    switch (d.below(300)) {
      case 0: return dev_close(end.net_of(), dev);
      case 1:
      case 2:
      case 3: return (void)dev_open(end.net_of(), dev);
      case 4: return (void)dev_set_mtu(end.net_of(), dev, d.one_in(3) ? 100 + d.below(600) : 576 + d.below(925));
      case 5:
        for (u32 n = d.below(5000); n != 0; --n)
          if (sk_buff* skb = pool.available() != 0 ? pool.alloc_skb() : nullptr) end.hoard.push_back(*skb);
        return;
      case 6:
      case 7: return pool.free_list(end.hoard);
      case 8: return faulty_wire::set_faults(dev, faults_of(d), {});
      default: return;
    }
  };
  for (int i = 0; i < 3000; ++i) {
    t.run_for(d.one_in(20) ? d.below(300'000'000) : d.below(3'000'000));
    a.act(d), b.act(d);
    disturb(a, *t.dev_a), disturb(b, *t.dev_b);
    if (addressed && d.one_in(400)) addressed = !inet_addr_del(a.net_of(), t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24"));
    if (!addressed && d.one_in(60))
      addressed = static_cast<bool>(inet_addr_add(a.net_of(), t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
  }

  if (!addressed) REQUIRE(inet_addr_add(a.net_of(), t.dev_a->ifindex, ipv4_cidr("192.0.2.1/24")));
  auto const mend = [&](auto& end, net_device& dev) {
    end.host.worker().pool.free_list(end.hoard);
    REQUIRE(dev_set_mtu(end.net_of(), dev, 1500));
    REQUIRE(dev_open(end.net_of(), dev));
    faulty_wire::set_faults(dev, {}, {});
  };
  mend(a, *t.dev_a), mend(b, *t.dev_b);
  u64 const mended = t.clock.now;
  auto const done = [&] { return a.ended && b.ended; };
  for (int i = 0; i < 30'000 && !done() && a.error == errc{} && b.error == errc{}; ++i) {
    t.run_for(i < 3'000 ? 1'000'000 : 50'000'000);
    a.finish(), b.finish();
  }
  CAPTURE(a.said, a.size, a.heard, b.said, b.size, b.heard, t.clock.now - mended);
  CHECK((a.error == errc{} && b.error == errc{}));
  CHECK(done());
  CHECK((a.heard == b.size && b.heard == a.size));
  CHECK_FALSE((a.wrong || b.wrong));

  auto const nothing_left = [&](auto& end) {
    auto& w = tcp_worker_of(end.net_of());
    auto& pool = end.host.worker().pool;
    CHECK((pool.in_use() == 0 && pool.clones_in_use() == 0));
    CHECK((w.socks.in_use() == 0 && w.requests.in_use() == 0 && w.timewaits.in_use() == 0));
    CHECK((w.memory.allocated == 0 && w.ofos.in_use() == 0 && w.repairs.in_use() == 0 && w.rares.in_use() == 0));
  };
  a.typed.close(), b.typed.close();
  REQUIRE(close(b.net_of(), listener));
  t.run_for(1'500'000'000'000);
  nothing_left(a), nothing_left(b);
}

}  // namespace

TEST_CASE("whatever is called and whatever breaks: right bytes, all of them when it is mended, and nothing left",
          "[S147]") {
  if (char const* const one = std::getenv("NETSTACK_STRESS")) {
    u64 const seed = std::strtoull(one, nullptr, 10);
    return seed % 3 == 0 ? run<tiny, large>(seed) : seed % 3 == 1 ? run<large, tiny>(seed) : run<large, large>(seed);
  }
  constexpr u64 seeds = asan_enabled ? 60 : 300;
  for (u64 seed = 0; seed < seeds; seed += 3)
    run<tiny, large>(seed), run<large, tiny>(seed + 1), run<large, large>(seed + 2);
}
