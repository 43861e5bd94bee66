// SPDX-License-Identifier: BSL-1.0
// Readers sum counters while the workers move them: no lock, no torn value, nothing lost.
#include <atomic>
#include <thread>

#include "netstack/core/drop_proc.hpp"
#include "netstack/core/snmp_proc.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/catch.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct sample_mib {
  counter In;
  u32 setting = 1;
};
inline constexpr snmp_item sample_items[]{SNMP_MIB_ITEM<&sample_mib::In>("In")};
struct sample : module {
  using pernet = sample_mib;
  static constexpr std::array snmp{snmp_group{.prefix = "Sample", .items = sample_items}};
  static constexpr std::array ctl_tables{ctl<&sample_mib::setting>("net/sample/setting", {.min = 1})};
  template <class Net>
  static constexpr auto proc = snmp_proc<Net>;
};
struct host : stack<host, sample, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 64}>> {};

}  // namespace

TEST_CASE("a reader's sums only grow while two workers count, and end exact", "[S162][S161]") {
  host h;
  REQUIRE(h.boot());
  // Steps that carry into the upper half: a reader that saw one half before and one after would go backwards.
  constexpr u64 step = 0x7fff'ffff, rounds = 20'000;
  std::atomic<int> running{2};
  std::thread workers[2];
  for (u32 w = 0; w < 2; ++w)
    workers[w] = std::thread([&, w] {
      auto& mib = net_generic<sample>(h.init_net(w));
      for (u64 i = 0; i < rounds; ++i) mib.In += step;
      running.fetch_sub(1);
    });
  u64 last = 0, reads = 0;
  bool grows = true, whole = true;
  while (running.load() != 0 || reads == 0) {
    u64 const sum = snmp_get(h.init_net(0), "Sample", "In").value_or(0);
    grows = grows && sum >= last;
    whole = whole && sum % step == 0;
    last = sum;
    ++reads;
    CHECK(proc_text(h.init_net(0), "net/snmp").starts_with("Sample: In\nSample: "));
  }
  for (auto& t : workers) t.join();
  CHECK(grows);
  CHECK(whole);
  CHECK(snmp_get(h.init_net(1), "Sample", "In").value_or(0) == 2 * rounds * step);
}

TEST_CASE("/proc/net/dev sums a device's queues while their workers count", "[S162]") {
  host h;
  REQUIRE(h.boot());
  constexpr u64 rounds = 20'000;
  std::atomic<int> running{2};
  std::thread workers[2];
  for (u32 w = 0; w < 2; ++w)
    workers[w] = std::thread([&, w] {
      auto& stats = h.init_net(w).loopback_dev->stats;
      for (u64 i = 0; i < rounds; ++i) ++stats.rx_packets, stats.rx_bytes += 64;
      running.fetch_sub(1);
    });
  u64 last = 0;
  bool grows = true;
  while (running.load() != 0) {
    auto const words = words_of(lines_of(proc_text(h.init_net(0), "net/dev"))[2]);
    u64 const packets = std::stoull(words.at(2));
    grows = grows && packets >= last;
    last = packets;
  }
  for (auto& t : workers) t.join();
  CHECK(grows);
  CHECK(words_of(lines_of(proc_text(h.init_net(1), "net/dev"))[2]).at(2) == std::to_string(2 * rounds));
}

TEST_CASE("a worker that polls on its own thread takes over a sysctl without a race", "[sysctl]") {
  host h;
  REQUIRE(h.boot());
  std::atomic<bool> stop{false};
  std::atomic<u32> seen{0};
  std::thread other([&] {
    while (!stop.load()) {
      h.poll(1);
      seen.store(net_generic<sample>(h.init_net(1)).setting);
    }
  });
  u32 refused = 0;
  for (u32 value = 1; value <= 20'000;) {
    char text[16];
    seq_file m{text};
    seq_put_decimal_ull(m, "", value);
    auto const r = sysctl_write(h.init_net(0), "net/sample/setting", m.text());
    if (r)
      ++value;
    else
      ++refused;  // the ring is full: nothing was done
    if (!r) CHECK(r.error() == std::errc::resource_unavailable_try_again);
    if (!r) std::this_thread::yield();
  }
  while (seen.load() != 20'000) std::this_thread::yield();
  stop = true;
  other.join();
  CHECK(net_generic<sample>(h.init_net(0)).setting == 20'000);
  CHECK(net_generic<sample>(h.init_net(1)).setting == 20'000);
}
