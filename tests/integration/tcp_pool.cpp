// SPDX-License-Identifier: BSL-1.0
// How large a pool has to be: of the size that tcp_pool_frames() tells, one connection fills its path, in virtual time;
// of a quarter of that it does not.
#include <vector>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_cubic.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr u64 rate = 100'000'000, round_trip = 50'000'000;  // bit/s, ns
constexpr u32 frames = tcp_pool_frames(rate, round_trip, 64);
constexpr u64 in_flight = rate / 8 * round_trip / 1'000'000'000;
static_assert(tcp_pool_frames(1'000'000'000, 20'000'000, 4096) == 29'297 + 4096);

using cable = drivers::fault_injector<drivers::pipe>;
template <u32 Frames>
struct host : stack<host<Frames>, ipv4, tcp, tcp_cubic, cable, sizes<config{.max_net = 1, .skb_pool = Frames}>> {};

/// What arrives in so many seconds, after as many to grow; bit/s.
template <u32 Frames>
u64 goodput(u64 seconds) {
  using rig = two_hosts<host<Frames>, host<Frames>, cable>;
  drivers::wire_faults const wire{
      .delay_ns = round_trip / 2, .rate_bps = rate, .queue = static_cast<u32>(in_flight), .limit = 2 * Frames};
  rig t({.tx = wire});
  auto& a = t.a.init_net();
  auto& b = t.b.init_net();
  REQUIRE(neigh_add(a, t.dev_a->ifindex, rig::addr_b, t.dev_b->dev_addr, nud::permanent));
  REQUIRE(neigh_add(b, t.dev_b->ifindex, rig::addr_a, t.dev_a->dev_addr, nud::permanent));
  int const listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value();
  REQUIRE((bind(b, listener, rig::name({}, 80)) && listen(b, listener, 1)));
  int const client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
  (void)connect(a, client, rig::name(rig::addr_b, 80));
  int server = -1;
  std::vector<char> bytes(65'536);
  u64 got = 0, before = 0;
  u64 const start = t.clock.now, half = start + seconds * 1'000'000'000, end = half + seconds * 1'000'000'000;
  while (t.clock.now < end) {
    t.run();
    pollfd writer{.fd = client, .events = poll_ev::out, .revents = 0};
    (void)poll(a, {&writer, 1}, 0);
    if ((static_cast<u32>(writer.revents) & poll_ev::out) != 0)
      while (send(a, client, bytes.data(), bytes.size())) continue;
    if (server < 0) server = accept(b, listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
    for (result<std::size_t> n = server < 0 ? 0 : recv(b, server, bytes.data(), bytes.size()); n && *n != 0;
         n = recv(b, server, bytes.data(), bytes.size()))
      got += *n;
    t.run();
    if (t.clock.now < half) before = got;
    t.clock.now += 100'000;
  }
  for (int const fd : {client, listener}) (void)close(fd == client ? a : b, fd);
  if (server >= 0) (void)close(b, server);
  t.run_for(200'000'000'000);
  CHECK(t.a.worker().pool.in_use() + t.b.worker().pool.in_use() == 0);
  return (got - before) * 8 / seconds;
}

}  // namespace

TEST_CASE("a pool of tcp_pool_frames() lets a connection fill its path, a smaller one does not", "[S99][S100]") {
  u64 const full = goodput<frames>(4), quarter = goodput<frames / 4>(4);
  INFO(full << " and " << quarter << " bit/s");
  CHECK(full >= rate / 100 * 93);  // of 1514 bytes on the wire 1448 are data
  CHECK(quarter <= full / 2);
}
