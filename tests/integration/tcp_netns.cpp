// SPDX-License-Identifier: BSL-1.0
// TCP between two namespaces of one stack: on their wire a packet of several segments is handed over as it is, with the
// frames of the sender's queue in it, so what is lost is sent again, and what is damaged damaged, under a reader's
// eyes. The clock is virtual.
#include <string>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/presets.hpp"
#include "netstack/stack/stack.hpp"
#include "support/tcp_echo.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

using wire = drivers::fault_injector<drivers::pipe>;
struct host : stack<host, presets::full, wire, sizes<config{.max_net = 2, .skb_pool = 8192}>> {};
using net_t = net<host>;

struct rig {
  virtual_clock clock;
  drivers::pipe_cable cable;
  host h;
  net_t* nets[2]{};
  net_device* devs[2]{};
  int listener = -1, client = -1, server = -1;

  explicit rig(drivers::wire_faults const& tx, drivers::wire_faults const& rx) {
    REQUIRE(h.boot({.clock = clock.source(), .seed = 7}));
    nets[0] = &h.init_net();
    nets[1] = h.copy_net_ns().value();
    for (u8 end = 0; end < 2; ++end) {
      wire::params params{.tx = tx, .rx = rx};
      params.inner = {.cables = &cable,
                      .end = end,
                      .wakeup = false,
                      .features = netif_f::sg | netif_f::fraglist | netif_f::hw_csum | netif_f::gso};
      auto const dev = register_netdev<wire>(*nets[end], "veth0", params);
      REQUIRE((dev && dev_open(*nets[end], **dev)));
      devs[end] = *dev;
      REQUIRE(
          inet_addr_add(*nets[end], (*dev)->ifindex, end == 0 ? ipv4_cidr("192.0.2.1/24") : ipv4_cidr("192.0.2.2/24")));
    }
    run_for(1'000'000);
    listener = socket(*nets[1], af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(bind(*nets[1], listener, inet_addr_of({}, 80)));
    REQUIRE(listen(*nets[1], listener, 4));
    client = socket(*nets[0], af::inet, sock_type::stream | sock_type::nonblock).value();
    (void)connect(*nets[0], client, inet_addr_of(ipv4_addr("192.0.2.2"), 80));
    for (int i = 0; i < 1000 && server < 0; ++i) {
      run_for(10'000'000);
      server = accept(*nets[1], listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
    }
    REQUIRE(server >= 0);
  }
  void run() {
    while (h.poll() != 0) continue;
  }
  void run_for(u64 ns) {
    u64 const end = clock.now + ns;
    for (run(); clock.now < end; run()) clock.now = std::min(end, h.worker().timers.next_expiry().value_or(end));
  }
  /// What is read is what was written; the reader looks only every so many ms.
  void transfer(std::string const& sent, u32 reads_each_ms) {
    std::string received;
    char buf[65536];
    bool ended = false;
    std::size_t at = 0;
    for (u32 ms = 0; ms < 600'000 && !ended; ++ms) {
      while (at < sent.size()) {
        auto const n = send(*nets[0], client, sent.data() + at, std::min<std::size_t>(sent.size() - at, 100'000));
        if (!n) break;
        if ((at += *n) == sent.size()) REQUIRE(shutdown(*nets[0], client, shut::wr));
      }
      run_for(1'000'000);
      while (ms % reads_each_ms == 0 && !ended) {
        auto const n = recv(*nets[1], server, buf, sizeof buf);
        if (!n) break;
        ended = *n == 0;
        received.append(buf, *n);
      }
    }
    CHECK(ended);
    CHECK((received == sent));
  }
  void check_nothing_left() {
    for (int end = 0; end < 2; ++end) REQUIRE(close(*nets[end], end == 0 ? client : server));
    REQUIRE(close(*nets[1], listener));
    for (auto* dev : devs) wire::set_faults(*dev, {}, {});
    run_for(1'500'000'000'000);
    auto& w = tcp_worker_of(*nets[0]);
    CHECK(h.worker().pool.in_use() == 0);
    CHECK(h.worker().pool.clones_in_use() == 0);
    CHECK(w.socks.in_use() == 0);
    CHECK(w.timewaits.in_use() == 0);
    CHECK(w.memory.allocated == 0);
  }
};

}  // namespace

TEST_CASE("between two namespaces a megabyte arrives in packets of many segments, without a repetition", "[S92]") {
  rig t{{}, {}};
  t.transfer(stream_of(1'000'000), 1);
  CHECK(TCP_STATS(*t.nets[0]).RetransSegs.read() == 0);
  CHECK(t.devs[1]->stats.rx_packets.read() < 1'000'000 / 1448 / 4);
  t.check_nothing_left();
}

TEST_CASE("what is handed over and lost, doubled, late, damaged or marked arrives once, however slow its reader",
          "[S147]") {
  auto const slow = GENERATE(1u, 30u);
  CAPTURE(slow);
  rig t{{.loss = 20'000, .duplicate = 20'000, .corrupt = 10'000, .reorder = 50'000, .delay_ns = 500'000},
        {.duplicate = 20'000, .corrupt = 10'000, .queue = 100'000, .mark = 20'000, .limit = 1024}};
  t.transfer(stream_of(2'000'000), slow);
  CHECK(TCP_STATS(*t.nets[0]).RetransSegs.read() > 0);
  t.check_nothing_left();
}

TEST_CASE("a namespace that goes while packets of the other's lie with its readers leaves nothing behind", "[S20]") {
  rig t{{}, {}};
  std::string const text = stream_of(300'000);
  REQUIRE(send(*t.nets[0], t.client, text.data(), text.size()));
  t.run();
  auto const readers = tcp_sk(*sockfs::table_of(*t.nets[1]).find(t.server)->sk).sk_rmem_alloc;
  CHECK(readers > 50'000);
  SECTION("the receiver") {
    REQUIRE(send(*t.nets[0], t.client, text.data(), 100'000));  // some is on the wire, too
    t.h.cleanup_net(t.nets[1]->index);
    t.run_for(1'000'000);
    REQUIRE(close(*t.nets[0], t.client));
  }
  SECTION("the sender's device") {
    dev_close(*t.nets[0], *t.devs[0]);
    std::string got(text.size(), '\0');
    std::size_t at = 0;
    while (auto const n = recv(*t.nets[1], t.server, got.data() + at, got.size() - at)) {
      if (*n == 0) break;
      at += *n;
    }
    CHECK(at > 30'000);
    CHECK(text.compare(0, at, got, 0, at) == 0);
    REQUIRE(close(*t.nets[0], t.client));
    REQUIRE(close(*t.nets[1], t.server));
    REQUIRE(close(*t.nets[1], t.listener));
  }
  t.run_for(1'500'000'000'000);
  CHECK(t.h.worker().pool.in_use() == 0);
  CHECK(t.h.worker().pool.clones_in_use() == 0);
}
