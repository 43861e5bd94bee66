// SPDX-License-Identifier: BSL-1.0
// tracer: a line for each frame, and a driver like any other.
#include "netstack/drivers/tracer.hpp"

#include <string>

#include "support/conformance.hpp"
#include "support/pipe_rig.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;
using traced = drivers::tracer<drivers::pipe>;

drivers::trace_sink to_strings(std::vector<std::string>& lines) {
  return {[](void* ctx, std::string_view text) { static_cast<std::vector<std::string>*>(ctx)->emplace_back(text); },
          &lines};
}
struct silent_params {
  traced::params operator()(drivers::pipe::params const& p) const {
    return {.inner = p, .sink = {[](void*, std::string_view) {}, nullptr}};
  }
};

struct host : stack<host, traced, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 64}>> {};

}  // namespace

TEST_CASE("a traced pipe conforms", "[S75]") { test::check_conformance<test::pipe_rig<traced, silent_params>>(70); }

TEST_CASE("the tracer tells each frame in one line", "[tracer]") {
  test::virtual_clock clock;
  drivers::pipe_cable cable;
  std::vector<std::string> lines;
  host h;
  REQUIRE(h.boot({.clock = clock.source(), .seed = 1}));
  auto& net = h.init_net();
  auto a = register_netdev<traced>(net, "eth0", {.inner = {.cables = &cable}, .sink = to_strings(lines)});
  auto b = register_netdev<drivers::pipe>(net, "eth1", {.cables = &cable, .end = 1});
  REQUIRE((a && b));
  REQUIRE((dev_open(net, **a) && dev_open(net, **b)));
  h.poll();
  CHECK(std::string_view(traced::name) == "tracer<pipe>");

  for (net_device* dev : {*a, *b}) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    std::memcpy(skb->put(4), "\xde\xad\xbe\xef", 4);
    skb->dev = dev;
    eth_header(*skb, *dev, 0x88b5, mac_broadcast);
    CHECK(dev_queue_xmit(net, *skb));
  }
  clock.advance(5'000'000'000);
  while (h.poll()) {
  }
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "1700000000.000000000 eth0 tx ff:ff:ff:ff:ff:ff < 02:00:00:00:00:01 88b5 18: de ad be ef");
  CHECK(lines[1] == "1700000005.000000000 eth0 rx ff:ff:ff:ff:ff:ff < 02:00:00:00:00:02 88b5 18: de ad be ef");
  CHECK(h.worker().pool.in_use() == 0);
}

TEST_CASE("a tracer without a sink is refused, and claims nothing", "[S73]") {
  drivers::pipe_cable cable;
  host h;
  REQUIRE(h.boot());
  auto bad = register_netdev<traced>(h.init_net(), "eth0", {.inner = {.cables = &cable}});
  REQUIRE(!bad);
  CHECK(bad.error() == std::errc::invalid_argument);
  CHECK(register_netdev<drivers::pipe>(h.init_net(), "eth0", {.cables = &cable}));
}
