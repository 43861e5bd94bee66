// SPDX-License-Identifier: BSL-1.0
// UDP over a wire that loses, doubles, damages, overtakes and delays: what arrives is what was sent, byte for byte, and
// nothing stays behind in either host. The clock is virtual and the faults are seeded, so a failure happens again.
#include <map>
#include <string>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/presets.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;

using faulty_wire = drivers::fault_injector<drivers::pipe>;
struct host : stack<host, presets::host, faulty_wire> {};
using rig = test::two_hosts<host, host, faulty_wire>;

/// The n-th datagram of `size` bytes: each byte depends on both, and the number stands in front if there is room.
std::string datagram(u32 n, std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(n * 31 + size * 7 + i * 13 + (i >> 8));
  if (size >= sizeof n) std::memcpy(text.data(), &n, sizeof n);
  return text;
}
/// True if it is one that datagram() makes.
bool is_genuine(std::string const& text) {
  if (text.size() < sizeof(u32)) {
    for (u32 n = 0; n < 256; ++n)
      if (text == datagram(n, text.size())) return true;
    return false;
  }
  u32 n;
  std::memcpy(&n, text.data(), sizeof n);
  return text == datagram(n, text.size());
}

struct outcome {
  u64 sent = 0, served = 0, returned = 0, forged = 0;
  std::map<std::size_t, u32> sizes;  ///< sizes that came back
};

/// Every size from 0 to what fits one frame, echoed by b; then everything is closed and all waiting has ended.
outcome echo_all_sizes(rig& t, u32 rounds) {
  outcome seen;
  int const client = rig::udp(t.a, 1000), server = rig::udp(t.b, 7);
  auto const pump = [&] {
    sockaddr_in from;
    while (auto text = rig::receive(t.b, server, &from)) {
      ++seen.served;
      seen.forged += !is_genuine(*text);
      (void)rig::send(t.b, server, *text, from.sin_addr.s_addr, from.sin_port.host());
    }
    while (auto text = rig::receive(t.a, client)) {
      ++seen.returned;
      seen.forged += !is_genuine(*text);
      ++seen.sizes[text->size()];
    }
  };
  for (u32 round = 0; round < rounds; ++round)
    for (std::size_t size = 0; size <= 1472; ++size) {
      seen.sent +=
          rig::send(t.a, client, datagram(round * 1473 + static_cast<u32>(size), size), rig::addr_b, 7).has_value();
      t.run_for(200'000);
      pump();
    }
  for (int i = 0; i < 10; ++i) {
    t.run_for(1'000'000'000);
    pump();
  }
  REQUIRE(close(t.a.init_net(), client));
  REQUIRE(close(t.b.init_net(), server));
  return seen;
}

void check_nothing_left(rig& t) {
  t.run_for(5'000'000'000);
  for (host* h : {&t.a, &t.b}) {
    CHECK(h->worker().pool.in_use() == 0);
    CHECK(h->worker().pool.clones_in_use() == 0);
    CHECK(udp_worker_of(h->init_net()).socks.in_use() == 0);
    CHECK(sockfs::table_of(h->init_net()).open_count() == 0);
  }
}

}  // namespace

TEST_CASE("over a good wire every size from 0 to 1472 comes back as it was, once", "[S45]") {
  rig t;
  auto const seen = echo_all_sizes(t, 2);
  CHECK(seen.sent == 2 * 1473);
  CHECK(seen.returned == seen.sent);
  CHECK(seen.forged == 0);
  CHECK(seen.sizes.size() == 1473);
  check_nothing_left(t);
}

TEST_CASE("over a wire that loses a tenth, the rest comes back as it was", "[S45]") {
  rig t{{.tx = {.loss = 100'000}, .seed = 11}};
  auto const seen = echo_all_sizes(t, 2);
  u64 const lost = faulty_wire::tx_counts(*t.dev_a).lost + faulty_wire::tx_counts(*t.dev_b).lost;
  CHECK(lost > 400);
  CHECK(seen.returned < seen.sent);
  CHECK(seen.returned > seen.sent * 7 / 10);
  CHECK(seen.forged == 0);
  check_nothing_left(t);
}

TEST_CASE("over a wire that doubles frames, both copies arrive as they were", "[S35]") {
  rig t{{.tx = {.duplicate = 100'000}, .seed = 12}};
  auto const seen = echo_all_sizes(t, 1);
  CHECK(faulty_wire::tx_counts(*t.dev_a).duplicated > 80);
  CHECK(seen.served > seen.sent);
  CHECK(seen.returned > seen.served);
  CHECK(seen.forged == 0);
  CHECK(seen.sizes.size() == 1473);
  check_nothing_left(t);
}

TEST_CASE("over a wire that lets frames overtake each other, each arrives as it was", "[S180]") {
  rig t{{.tx = {.reorder = 200'000, .reorder_ns = 1'000'000, .delay_ns = 50'000, .jitter_ns = 400'000}, .seed = 13}};
  auto const seen = echo_all_sizes(t, 1);
  CHECK(faulty_wire::tx_counts(*t.dev_a).reordered > 150);
  CHECK(seen.returned == seen.sent);
  CHECK(seen.forged == 0);
  CHECK(seen.sizes.size() == 1473);
  check_nothing_left(t);
}

TEST_CASE("over a wire that flips bits, no damaged datagram reaches an application", "[S45][S136]") {
  rig t{{.tx = {.corrupt = 200'000}, .seed = 14}};
  auto const seen = echo_all_sizes(t, 3);
  CHECK(faulty_wire::tx_counts(*t.dev_a).corrupted > 500);
  CHECK(seen.returned > seen.sent / 2);
  CHECK(seen.returned < seen.sent);
  CHECK(seen.forged == 0);
  auto const dropped = [&](drop_reason why) { return drop_count(t.b.init_net(), why); };
  CHECK(dropped(drop_reason::udp_csum) > 300);  // most bits are payload
  CHECK(dropped(drop_reason::ip_csum) > 3);
  check_nothing_left(t);
}

TEST_CASE("with all of it at once, what comes back is genuine and nothing stays behind", "[S33]") {
  drivers::wire_faults const bad{.loss = 50'000,
                                 .duplicate = 50'000,
                                 .corrupt = 50'000,
                                 .reorder = 50'000,
                                 .delay_ns = 100'000,
                                 .jitter_ns = 300'000,
                                 .rate_bps = 100'000'000};
  // Damaged once each way: two flips may cancel in a checksum.
  auto bad_rx = bad;
  bad_rx.corrupt = 0;
  rig t{{.tx = bad, .rx = bad_rx, .seed = 15}};
  auto const seen = echo_all_sizes(t, 3);
  CHECK(seen.returned > seen.sent / 3);
  CHECK(seen.forged == 0);
  CHECK(seen.sizes.size() > 1000);
  check_nothing_left(t);
}

TEST_CASE("datagrams wait for a neighbour while ARP requests are lost", "[S126]") {
  rig t{{.tx = {.loss = 1'000'000}, .seed = 16}};
  int const client = rig::udp(t.a), server = rig::udp(t.b, 7);
  for (u32 i = 0; i < 3; ++i) REQUIRE(rig::send(t.a, client, datagram(i, 100), rig::addr_b, 7));
  t.run_for(1'500'000'000);  // the first two requests are lost
  CHECK(faulty_wire::tx_counts(*t.dev_a).lost == 2);
  CHECK(t.a.worker().pool.in_use() >= 3);
  faulty_wire::set_faults(*t.dev_a, {}, {});
  faulty_wire::set_faults(*t.dev_b, {}, {});
  t.run_for(1'000'000'000);  // the third is not
  for (u32 i = 0; i < 3; ++i) {
    auto const text = rig::receive(t.b, server);
    REQUIRE(text);
    CHECK(*text == datagram(i, 100));
  }
  REQUIRE(close(t.a.init_net(), client));
  REQUIRE(close(t.b.init_net(), server));
  check_nothing_left(t);
}

TEST_CASE("when ARP never gets an answer, the sender is told and the queue is emptied", "[S126][S118]") {
  rig t{{.tx = {.loss = 1'000'000}, .seed = 17}};
  int const client = rig::udp(t.a);
  REQUIRE(connect(t.a.init_net(), client, rig::name(rig::addr_b, 7)));
  int const on = 1;  // host unreachable is a soft error: only who asks is told
  REQUIRE(setsockopt(t.a.init_net(), client, sol::ip, ip_opt::recverr, on));
  REQUIRE(rig::send(t.a, client, "x", rig::addr_b, 7));
  t.run_for(5'000'000'000);
  auto const answer = rig::receive(t.a, client);
  REQUIRE(!answer);
  CHECK(answer.error() == std::errc::host_unreachable);
  CHECK(t.a.worker().pool.in_use() == 1);  // the error itself, for MSG_ERRQUEUE
  faulty_wire::set_faults(*t.dev_a, {}, {});
  faulty_wire::set_faults(*t.dev_b, {}, {});
  REQUIRE(rig::send(t.a, client, "x", rig::addr_b, 7));  // a failed neighbour is asked for anew
  t.run_for(2'000'000'000);
  CHECK(rig::receive(t.a, client).error() == std::errc::connection_refused);
  REQUIRE(close(t.a.init_net(), client));
  check_nothing_left(t);
}
