// SPDX-License-Identifier: BSL-1.0
// pcap_writer: the bytes of the file are those of the format, and it is a driver like any other.
#include "netstack/drivers/pcap_writer.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "netstack/drivers/fault_injector.hpp"
#include "support/conformance.hpp"
#include "support/pipe_rig.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;
using recorded = drivers::pcap_writer<drivers::pipe>;
using nested = drivers::pcap_writer<drivers::fault_injector<drivers::pipe>>;

/// A name under the temporary directory, removed at the end.
struct temporary {
  std::string path;
  temporary() {
    char const* dir = std::getenv("TMPDIR");
    path = std::string(dir ? dir : "/tmp") + "/netstack-pcap-XXXXXX";
    int const fd = ::mkstemp(path.data());
    REQUIRE(fd >= 0);
    ::close(fd);
  }
  ~temporary() { ::unlink(path.c_str()); }
  [[nodiscard]] std::vector<u8> read() const {
    std::FILE* f = std::fopen(path.c_str(), "rb");
    REQUIRE(f != nullptr);
    std::vector<u8> all(1 << 20);
    all.resize(std::fread(all.data(), 1, all.size(), f));
    std::fclose(f);
    return all;
  }
};
struct file_params {
  recorded::params operator()(drivers::pipe::params const& p) const { return {.inner = p, .path = "/dev/null"}; }
};
struct nested_params {
  nested::params operator()(drivers::pipe::params const& p) const {
    return {.inner = {.inner = p, .seed = 1}, .path = "/dev/null"};
  }
};

struct host : stack<host, recorded, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 64}>> {};

struct two_ends {
  test::virtual_clock clock;
  drivers::pipe_cable cable;
  host h;
  net_device *a, *b;
  explicit two_ends(recorded::params p, u16 type = arphrd::ether) {
    REQUIRE(h.boot({.clock = clock.source(), .seed = 1}));
    p.inner = {.cables = &cable, .type = type};
    auto first = register_netdev<recorded>(h.init_net(), "eth0", p);
    auto second = register_netdev<drivers::pipe>(h.init_net(), "eth1", {.cables = &cable, .end = 1, .type = type});
    REQUIRE((first && second));
    a = *first, b = *second;
    REQUIRE((dev_open(h.init_net(), *a) && dev_open(h.init_net(), *b)));
    h.poll();
  }
  void send(net_device& dev, u32 len, u8 fill) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    std::memset(skb->put(len), fill, len);
    skb->dev = &dev;
    CHECK(dev_queue_xmit(h.init_net(), *skb));
  }
};

u32 word(std::vector<u8> const& f, std::size_t at) {
  u32 v;
  REQUIRE(at + sizeof v <= f.size());
  std::memcpy(&v, f.data() + at, sizeof v);
  return v;
}

}  // namespace

TEST_CASE("a recorded pipe conforms", "[S75]") { test::check_conformance<test::pipe_rig<recorded, file_params>>(70); }
TEST_CASE("decorators nest: a recorded faulty pipe conforms", "[S75]") {
  CHECK(std::string_view(nested::name) == "pcap_writer<fault_injector<pipe>>");
  test::check_conformance<test::pipe_rig<nested, nested_params>>(70);
}

TEST_CASE("the file holds both directions, cut at snaplen, with nanosecond times", "[pcap]") {
  temporary file;
  {
    two_ends two{{.path = file.path.c_str(), .snaplen = 64}};
    two.clock.advance(1'234'567'891);
    two.h.poll();
    two.send(*two.a, 60, 0xaa);
    two.send(*two.b, 100, 0xbb);
    two.clock.advance(1);
    two.h.poll();
    dev_close(two.h.init_net(), *two.a);
    u64 stats[2];
    REQUIRE(ethtool_get_stats(two.h.init_net(), *two.a, stats));
    CHECK((stats[0] == 2 && stats[1] == 0));
  }
  auto const f = file.read();
  REQUIRE(f.size() == 24 + 16 + 60 + 16 + 64);
  CHECK(word(f, 0) == 0xa1b23c4d);
  CHECK(word(f, 4) == (4u << 16 | 2u));  // version 2.4
  CHECK((word(f, 8) == 0 && word(f, 12) == 0));
  CHECK(word(f, 16) == 64);
  CHECK(word(f, 20) == 1);  // Ethernet
  CHECK(word(f, 24) == 1'700'000'001);
  CHECK(word(f, 28) == 234'567'891);
  CHECK((word(f, 32) == 60 && word(f, 36) == 60));
  CHECK((f[40] == 0xaa && f[99] == 0xaa));
  CHECK(word(f, 100) == 1'700'000'001);
  CHECK(word(f, 104) == 234'567'892);
  CHECK((word(f, 108) == 64 && word(f, 112) == 100));
  CHECK((f[116] == 0xbb && f[179] == 0xbb));
}

TEST_CASE("a checksum that was left to the device is in the file as it is on the wire", "[pcap]") {
  temporary file;
  two_ends t({.path = file.path.c_str()});
  sk_buff* skb = t.h.worker().pool.alloc_skb();
  std::memset(skb->put(60), 0x11, 60);
  REQUIRE(skb_partial_csum_set(*skb, 34, 6));
  skb->ip_summed = ip_summed::partial;
  sum16 const finished = csum_fold(skb_checksum(*skb, 34, 26, 0));
  skb->dev = t.a;
  CHECK(dev_queue_xmit(t.h.init_net(), *skb));
  t.h.poll();
  dev_close(t.h.init_net(), *t.a);
  auto const f = file.read();
  REQUIRE(f.size() == 24 + 16 + 60);
  sum16 recorded;
  std::memcpy(&recorded, f.data() + 24 + 16 + 34 + 6, sizeof recorded);
  CHECK(recorded.raw() == finished.raw());
  CHECK(f[24 + 16 + 34 + 5] == 0x11);
  CHECK(f[24 + 16 + 34 + 8] == 0x11);
}

TEST_CASE("bare IP packets have their own link type", "[pcap]") {
  temporary file;
  { two_ends two{{.path = file.path.c_str()}, arphrd::none}; }
  CHECK(word(file.read(), 20) == 101);
}

TEST_CASE("more than the buffer holds is written in between, and a quiet moment brings the file up to date", "[pcap]") {
  temporary file;
  two_ends two{{.path = file.path.c_str()}};
  for (u32 i = 0; i < 50; ++i) {
    two.send(*two.a, 1000, static_cast<u8>(i));
    two.h.poll();
  }
  CHECK(file.read().size() >= 24 + 32 * 1016);
  two.clock.advance(1'000'000'000);
  two.h.poll();
  auto const f = file.read();
  REQUIRE(f.size() == 24 + 50 * 1016);
  for (u32 i = 0; i < 50; ++i) CHECK(f[24 + i * 1016 + 16] == i);
}

TEST_CASE("what cannot be written is counted and stops nobody", "[pcap]") {
  // A full device: every write fails.
  if (::access("/dev/full", W_OK) != 0) SUCCEED("no /dev/full");
  drivers::detail::pcap_file file;
  REQUIRE(!file.open("/dev/full", 1, 64, true));
  REQUIRE(file.open("/dev/full", 1, 64, false));
  host h;
  REQUIRE(h.boot());
  sk_buff* skb = h.worker().pool.alloc_skb();
  skb->put(60);
  for (int i = 0; i < 3; ++i) file.add(0, *skb, 0);
  file.flush();
  CHECK(file.lost == 3);
  CHECK(file.written == 0);
  CHECK(file.empty());
  consume_skb(*skb);
}

TEST_CASE("a path that cannot be opened is an error, and the inner claim is given back", "[S73]") {
  drivers::pipe_cable cable;
  host h;
  REQUIRE(h.boot());
  auto bad = register_netdev<recorded>(h.init_net(), "eth0", {.inner = {.cables = &cable}, .path = "/nowhere/x.pcap"});
  REQUIRE(!bad);
  CHECK(bad.error() == std::errc::no_such_file_or_directory);
  CHECK(!register_netdev<recorded>(h.init_net(), "eth0", {.inner = {.cables = &cable}}));
  CHECK(!register_netdev<recorded>(h.init_net(), "eth0", {.inner = {.cables = &cable}, .path = "x", .snaplen = 0}));
  CHECK(register_netdev<drivers::pipe>(h.init_net(), "eth0", {.cables = &cable}));
}
