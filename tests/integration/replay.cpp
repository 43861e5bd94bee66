// SPDX-License-Identifier: BSL-1.0
// The same seed and the same calls give the same frames at the same times, to the last bit, over a wire that loses,
// doubles and delays; another seed gives others. The frames are those that pcap_writer kept.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/presets.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;

using recorded = drivers::pcap_writer<drivers::fault_injector<drivers::pipe>>;
struct host : stack<host, presets::host, recorded> {};
using rig = test::two_hosts<host, host, recorded>;

std::string slurp(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A second's traffic: echoes of all kinds of sizes, closed ports, absent neighbours, unpredictable source ports.
std::string run(u64 seed) {
  auto const dir = std::filesystem::temp_directory_path() / ("netstack-replay-" + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  std::string const path_a = (dir / "a.pcap").string(), path_b = (dir / "b.pcap").string();
  {
    rig::params wire{.inner = {.tx = {.loss = 50'000, .duplicate = 50'000, .reorder = 100'000, .jitter_ns = 300'000}}};
    rig::params wire_b = wire;
    wire.path = path_a.c_str();
    wire_b.path = path_b.c_str();
    rig t{wire, wire_b, seed};
    int const server = rig::udp(t.b, 7);
    for (u32 i = 0; i < 200; ++i) {
      int const client = rig::udp(t.a);  // a port of the stack's choice
      REQUIRE(rig::send(t.a, client, std::string(i * 7, 'x'), rig::addr_b, i % 10 == 0 ? 9 : 7));
      if (i % 50 == 0) REQUIRE(rig::send(t.a, client, "nobody", ipv4_addr("192.0.2.77"), 7));
      t.run_for(5'000'000);
      sockaddr_in from;
      while (auto text = rig::receive(t.b, server, &from))
        (void)rig::send(t.b, server, *text, from.sin_addr.s_addr, from.sin_port.host());
      t.run_for(5'000'000);
      REQUIRE(close(t.a.init_net(), client));
    }
    t.run_for(10'000'000'000);
    dev_close(t.a.init_net(), *t.dev_a);
    dev_close(t.b.init_net(), *t.dev_b);
  }
  std::string const frames = slurp(path_a) + slurp(path_b);
  std::filesystem::remove_all(dir);
  return frames;
}

}  // namespace

TEST_CASE("the same seed gives the same trace bit for bit, another seed another", "[S180]") {
  std::string const first = run(7), again = run(7), other = run(8);
  CHECK(first.size() > 200 * 100);
  CHECK(first == again);
  CHECK(first != other);
}
