// SPDX-License-Identifier: BSL-1.0
// TCP between two stacks over every wire of the cross loss × round trip × reordering × rate, in virtual time and by
// seed: each byte arrives once, in order and as it was, no connection stands still, nothing touches the heap, nothing
// stays behind. A seed that fails prints the command that replays it, and leaves what passed on the wire:
//   NETSTACK_SIM=137 build/release/tests/integration/tcp_sim '[replay]'
// scripts/bench_wires takes the goodput of each wire from here: tcp_sim '[goodput]'.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_bbr.hpp"
#include "netstack/tcp/tcp_cubic.hpp"
#include "support/heap_counter.hpp"
#include "support/scale.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

// --- the wires

struct wire {
  u32 loss;      ///< parts per million, each way
  u64 rtt;       ///< ns
  u32 reorder;   ///< parts per million, each way
  u64 rate_bps;  ///< each way
};
constexpr u64 wires = 80;
/// The cross of loss {0, 0.1, 1, 3, 10 %}, round trip {0.1, 10, 100, 300 ms}, reordering {0, 5 %}, rate {10 M, 1 G}.
constexpr wire wire_of(u64 n) {
  constexpr u32 losses[]{0, 1'000, 10'000, 30'000, 100'000};
  constexpr u64 rtts[]{100'000, 10'000'000, 100'000'000, 300'000'000};
  return {losses[n % 5], rtts[n / 5 % 4], n / 20 % 2 ? 50'000u : 0u, n / 40 % 2 ? 1'000'000'000u : 10'000'000u};
}
/// A queue of one bandwidth-delay product, at least of 128 KiB. What is overtaken comes a quarter of a round trip late,
/// at most 5 ms.
drivers::wire_faults faults_of(wire const& w) {
  u64 const product = w.rate_bps / 8 * w.rtt / 1'000'000'000;
  return {.loss = w.loss,
          .reorder = w.reorder,
          .reorder_ns = std::min<u64>(w.rtt / 4, 5'000'000),
          .delay_ns = w.rtt / 2,
          .rate_bps = w.rate_bps,
          .queue = static_cast<u32>(std::max<u64>(product, 128 << 10)),
          .limit = 32768};
}

using cable = drivers::fault_injector<drivers::pcap_writer<drivers::pipe>>;
struct host : stack<host, ipv4, tcp, tcp_cubic, tcp_bbr, cable,
                    sizes<config{.max_net = 1, .skb_pool = 32768, .skb_clones = 64}>> {};
using rig = two_hosts<host, host, cable>;

// --- the bytes: a function of their place

constexpr std::size_t period = 65'521, chunk = 65'536;
std::string const& pattern() {
  static std::string const text = [] {
    std::string bytes(period + chunk, '\0');
    u32 x = 1;
    for (char& b : bytes) b = static_cast<char>((x = x * 1664525u + 1013904223u) >> 24);
    for (std::size_t i = period; i < bytes.size(); ++i) bytes[i] = bytes[i - period];
    return bytes;
  }();
  return text;
}

// --- one transfer from a to b

struct simulation {
  static constexpr u64 patience = 600'000'000'000;  ///< ns without a byte: it stands still
  rig t;
  u64 const bytes;
  u64 sent = 0, got = 0, last_progress;
  int listener, client, server = -1;
  bool ended = false, exact = true;

  simulation(u64 seed, wire const& w, u64 n, char const* pcap, std::string_view congestion = "cubic")
      : t(params(seed, w, pcap), params(seed + 1'000'000, w, nullptr), 2 * seed + 1), bytes(n) {
    auto& a = t.a.init_net();
    auto& b = t.b.init_net();
    // Not ARP is on trial.
    REQUIRE(neigh_add(a, t.dev_a->ifindex, rig::addr_b, t.dev_b->dev_addr, nud::permanent));
    REQUIRE(neigh_add(b, t.dev_b->ifindex, rig::addr_a, t.dev_a->dev_addr, nud::permanent));
    listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(bind(b, listener, rig::name({}, 80)));
    REQUIRE(listen(b, listener, 4));
    client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(setsockopt(a, client, sol::tcp, tcp_opt::syncnt, 12));
    REQUIRE(setsockopt(a, client, sol::tcp, tcp_opt::congestion, congestion.data(), congestion.size()));
    last_progress = t.clock.now;
    (void)connect(a, client, rig::name(rig::addr_b, 80));
  }
  static cable::params params(u64 seed, wire const& w, char const* pcap) {
    auto const faults = faults_of(w);
    return {.inner = {.path = pcap ? pcap : "/dev/null", .snaplen = pcap ? 2048u : 1u}, .tx = faults, .seed = seed + 1};
  }

  sock& sk(host& h, int fd) { return *sockfs::table_of(h.init_net()).find(fd)->sk; }
  /// All that both applications can do now; how much that was.
  u64 pump() {
    u64 const before = sent + got + ended + static_cast<u64>(server);
    auto& a = t.a.init_net();
    while (sent < bytes && !tcp_sk(sk(t.a, client)).nospace) {
      auto const n = send(a, client, pattern().data() + sent % period, std::min<u64>(bytes - sent, chunk));
      if (!n) break;
      sent += *n;
      if (sent == bytes) (void)shutdown(a, client, shut::wr);
    }
    auto& b = t.b.init_net();
    if (server < 0) server = accept(b, listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
    while (server >= 0 && !ended && (sk(t.b, server).sk_shutdown != 0 || tcp_inq(sk(t.b, server)) != 0)) {
      static char buf[chunk];
      auto const n = recv(b, server, buf, sizeof buf);
      if (!n) break;
      ended = *n == 0;
      exact = exact && std::memcmp(buf, pattern().data() + got % period, *n) == 0;
      got += *n;
      last_progress = t.clock.now;
    }
    return sent + got + ended + static_cast<u64>(server) - before;
  }
  /// Everything up to this time, or to the end, or to a standstill.
  void run_until(u64 when) {
    while (!ended && t.clock.now < when && t.clock.now - last_progress < patience) {
      do t.run();
      while (pump() != 0);
      u64 next = when;
      for (host* h : {&t.a, &t.b})
        if (auto const at = h->worker().timers.next_expiry()) next = std::min(next, *at);
      if (!ended) t.clock.now = std::max(t.clock.now, next);
    }
  }
  void close_all() {
    (void)close(t.a.init_net(), client);
    if (server >= 0) (void)close(t.b.init_net(), server);
    (void)close(t.b.init_net(), listener);
    cable::set_faults(*t.dev_a, {}, {});
    cable::set_faults(*t.dev_b, {}, {});
    t.run_for(400'000'000'000);
  }
  bool nothing_left() {
    for (host* h : {&t.a, &t.b}) {
      auto& w = tcp_worker_of(h->init_net());
      if (h->worker().pool.in_use() + h->worker().pool.clones_in_use() + w.socks.in_use() + w.requests.in_use() +
                  w.timewaits.in_use() !=
              0 ||
          w.memory.allocated != 0)
        return false;
    }
    return true;
  }
};

/// Each wire is met by each of them.
std::string_view congestion_of(u64 seed) {
  constexpr std::string_view names[]{"cubic", "reno", "bbr"};
  return names[seed / wires % std::size(names)];
}

/// What was wrong with it; empty: nothing.
std::string judge(u64 seed, u64 bytes, char const* pcap, u64* virtual_ns = nullptr, u64* segments = nullptr) {
  simulation s(seed, wire_of(seed), bytes, pcap, congestion_of(seed));
  u64 const begin = s.t.clock.now;
  (void)pattern();
  heap_counter heap;
  s.run_until(~u64{0});
  u64 const end = s.t.clock.now;
  s.close_all();
  heap.pause();
  if (virtual_ns) *virtual_ns += end - begin;
  if (segments) *segments += TCP_STATS(s.t.a.init_net()).OutSegs.read() + TCP_STATS(s.t.b.init_net()).OutSegs.read();
  if (!s.exact) return "bytes arrived that were not sent so";
  if (!s.ended) return "it stood still at byte " + std::to_string(s.got) + " of " + std::to_string(bytes);
  if (s.got != bytes) return std::to_string(s.got) + " bytes arrived of " + std::to_string(bytes);
  if (heap.allocations() != 0) return "the heap was used:\n" + heap.first();
  if (!s.nothing_left()) return "something stayed behind";
  return "";
}

/// Sizes differ, so that ends and windows meet everywhere.
u64 bytes_of(u64 seed, u64 least) { return least + seed * 7919 % 65'536; }

std::string describe(u64 seed) {
  wire const w = wire_of(seed);
  char text[128];
  std::snprintf(text, sizeof text, "loss %.1f %%, %.1f ms, reordering %.0f %%, %.0f Mbit/s, %s", w.loss / 1e4,
                static_cast<double>(w.rtt) / 1e6, w.reorder / 1e4, static_cast<double>(w.rate_bps) / 1e6,
                congestion_of(seed).data());
  return text;
}
void check_seed(u64 seed, u64 bytes, u64& virtual_ns, u64& segments) {
  std::string const trouble = judge(seed, bytes, nullptr, &virtual_ns, &segments);
  if (trouble.empty()) return;
  std::string const pcap = "tcp_sim-" + std::to_string(seed) + ".pcap";
  (void)judge(seed, bytes, pcap.c_str());  // the same again, recorded
  FAIL_CHECK("seed " << seed << " (" << describe(seed) << "): " << trouble << "\nrecorded in " << pcap
                     << "\nreplay: NETSTACK_SIM=" << seed << " NETSTACK_SIM_BYTES=" << bytes
                     << " build/release/tests/integration/tcp_sim '[replay]'");
}
void check_seeds(u64 first, u64 count, u64 stride, u64 least) {
  u64 virtual_ns = 0, segments = 0, bytes = 0;
  for (u64 i = 0; i < count; ++i) {
    u64 const seed = first + i * stride, n = bytes_of(seed, least);
    check_seed(seed, n, virtual_ns, segments);
    bytes += n;
  }
  std::printf("%" PRIu64 " transfers, %" PRIu64 " MB, %" PRIu64 " segments, %.0f s of virtual time\n", count,
              bytes / 1'000'000, segments, static_cast<double>(virtual_ns) / 1e9);
  CHECK(segments > bytes / 1500);
}

u64 number_of(char const* variable, u64 otherwise) {
  char const* const text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("every wire of the cross: each byte once, in order, as it was, and nothing stays behind", "[S147][S102]") {
  check_seeds(0, asan_enabled ? wires : 1000, 1, 1'000'000);
}

TEST_CASE("a hundred megabytes over wires of every kind", "[S147]") {
  if (asan_enabled)
    check_seeds(2'001, 1, 1, 10'000'000);
  else
    check_seeds(2'000, 20, 17, 100'000'000);  // 17 and 80 have no common factor
}

TEST_CASE("the same seed is the same conversation, another seed another") {
  auto const trace = [](u64 seed) {
    u64 virtual_ns = 0, segments = 0;
    CHECK(judge(seed, 300'000, nullptr, &virtual_ns, &segments) == "");
    return std::pair{virtual_ns, segments};
  };
  CHECK(trace(52) == trace(52));
  CHECK(trace(52) != trace(52 + wires));
}

TEST_CASE("a wire that is cut is noticed: the connection stands still") {
  simulation s(1, wire_of(0), 1'000'000, nullptr);
  s.run_until(s.t.clock.now + 200'000'000);
  CHECK(s.got > 100'000);
  cable::set_faults(*s.t.dev_a, {.loss = 1'000'000}, {});
  s.run_until(~u64{0});
  CHECK(!s.ended);
  CHECK(s.got < 1'000'000);
  s.close_all();
  CHECK(s.nothing_left());
}

TEST_CASE("one seed, recorded", "[.replay]") {
  u64 const seed = number_of("NETSTACK_SIM", 0), bytes = number_of("NETSTACK_SIM_BYTES", bytes_of(seed, 1'000'000));
  std::string const pcap = "tcp_sim-" + std::to_string(seed) + ".pcap";
  std::printf("seed %" PRIu64 ": %s, recorded in %s\n", seed, describe(seed).c_str(), pcap.c_str());
  CHECK(judge(seed, bytes, pcap.c_str()) == "");
}

/// A line a wire, with CUBIC: its number, and the megabits a second that arrived in the first NETSTACK_SIM_MS of each
/// of NETSTACK_SIM_SEEDS connections.
TEST_CASE("goodput of each wire", "[.goodput]") {
  u64 const seeds = number_of("NETSTACK_SIM_SEEDS", 9);
  for (u64 n = number_of("NETSTACK_SIM", 0); n < number_of("NETSTACK_SIM_END", wires); ++n) {
    std::printf("%" PRIu64, n);
    for (u64 i = 0; i < seeds; ++i) {
      simulation s(n + i * wires, wire_of(n), u64{1} << 40, nullptr);
      u64 const ns = number_of("NETSTACK_SIM_MS", std::max<u64>(2'000, 20 * wire_of(n).rtt / 1'000'000)) * 1'000'000;
      s.run_until(s.t.clock.now + ns);
      CHECK(s.exact);
      std::printf(" %.2f", static_cast<double>(s.got) * 8000.0 / static_cast<double>(ns));
    }
    std::printf("\n");
  }
}
