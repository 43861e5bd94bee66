// SPDX-License-Identifier: BSL-1.0
// The forwarding tables: rule order, metrics, deletion, lifetime and listing, and 10^6 lookups against a linear oracle.
#include "netstack/ipv4/fib.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "netstack/wire/ipv4_addr.hpp"
#include "support/catch.hpp"

using namespace netstack;

namespace {

template <std::size_t Routes>
struct fixture {
  using slab_type = fib_slab<Routes>;
  std::unique_ptr<slab_type> slab = std::make_unique<slab_type>();
  fib_tables<slab_type> fib;
  fixture() {
    slab->init();
    fib.init(*slab);
  }
  ~fixture() { fib.flush_all(); }

  result<fib_info*> add(std::string_view prefix, fib_config cfg = {}) {
    auto const p = ipv4_cidr(prefix);
    cfg.fc_dst = p.addr();
    cfg.fc_dst_len = p.len();
    return fib.insert(cfg);
  }
  result<void> del(std::string_view prefix, fib_config cfg = {}) {
    auto const p = ipv4_cidr(prefix);
    cfg.fc_dst = p.addr();
    cfg.fc_dst_len = p.len();
    return fib.erase(cfg);
  }
  /// The device that a packet to this address leaves by; 0: no route.
  u32 oif(std::string_view addr) const {
    fib_info const* fi = fib.lookup(ipv4_addr(addr));
    return fi ? fi->fib_nh_oif : 0;
  }
};
using small = fixture<64>;

TEST_CASE("fib: the longest prefix wins, down to the default route", "[S130][fib]") {
  small f;
  CHECK(f.oif("192.0.2.1") == 0);
  REQUIRE(f.add("0.0.0.0/0", {.fc_gw4 = ipv4_addr("10.0.0.254"), .fc_oif = 1}));
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 2}));
  REQUIRE(f.add("10.1.0.0/16", {.fc_oif = 3}));
  REQUIRE(f.add("10.1.1.0/24", {.fc_oif = 4}));
  REQUIRE(f.add("10.1.1.1/32", {.fc_oif = 5}));
  CHECK(f.oif("192.0.2.1") == 1);
  CHECK(f.oif("10.2.0.0") == 2);
  CHECK(f.oif("10.255.255.255") == 2);
  CHECK(f.oif("11.0.0.0") == 1);
  CHECK(f.oif("10.1.0.255") == 3);
  CHECK(f.oif("10.1.1.0") == 4);
  CHECK(f.oif("10.1.1.1") == 5);
  CHECK(f.oif("10.1.1.2") == 4);
  CHECK(f.oif("255.255.255.255") == 1);
  CHECK(f.fib.lookup(ipv4_addr("8.8.8.8"))->fib_nh_gw == ipv4_addr("10.0.0.254"));
  REQUIRE(f.del("10.1.0.0/16"));
  CHECK(f.oif("10.1.0.255") == 2);
  CHECK(f.oif("10.1.1.9") == 4);
  REQUIRE(f.del("0.0.0.0/0"));
  CHECK(f.oif("11.0.0.0") == 0);
}

TEST_CASE("fib: every length matches at its own edges", "[S130][fib]") {
  small f;
  u32 const inside = 0xa5a5a5a5;
  for (u8 len = 0; len <= 32; ++len) {
    CAPTURE(unsigned{len});
    u32 const first = inside & fib_mask(len), last = first | ~fib_mask(len);
    auto const r = f.fib.insert({.fc_dst_len = len, .fc_dst = be32{first}});
    REQUIRE(r);
    CHECK(f.fib.lookup(be32{first}) == *r);
    CHECK(f.fib.lookup(be32{last}) == *r);
    if (len > 0) {
      CHECK(f.fib.lookup(be32{first - 1}) == nullptr);
      CHECK(f.fib.lookup(be32{last + 1}) == nullptr);
    }
    f.fib.flush_all();
    CHECK(f.fib.lookup(be32{first}) == nullptr);
  }
}

TEST_CASE("fib: local before main before default, whatever the length", "[S130][fib]") {
  small f;
  REQUIRE(f.add("0.0.0.0/0", {.fc_table = rt_table::default_, .fc_oif = 1}));
  REQUIRE(f.add("127.1.0.0/16", {.fc_table = rt_table::main, .fc_oif = 2}));
  CHECK(f.oif("127.1.2.3") == 2);
  CHECK(f.oif("127.2.2.3") == 1);
  REQUIRE(f.add("127.0.0.0/8", {.fc_table = rt_table::local, .fc_type = rtn::local, .fc_oif = 3}));
  CHECK(f.oif("127.1.2.3") == 3);
  CHECK(f.oif("127.2.2.3") == 3);
  CHECK(f.fib.lookup(rt_table::main, ipv4_addr("127.1.2.3"))->fib_nh_oif == 2);
  CHECK(f.fib.lookup(rt_table::local, ipv4_addr("128.0.0.1")) == nullptr);
  REQUIRE(f.del("127.0.0.0/8", {.fc_table = rt_table::local}));
  CHECK(f.oif("127.1.2.3") == 2);
}

TEST_CASE("fib: the lowest metric wins and its deletion reveals the next", "[S130][fib]") {
  small f;
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 2, .fc_priority = 200}));
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 3, .fc_priority = 300}));
  CHECK(f.oif("10.0.0.1") == 2);
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 1, .fc_priority = 100}));
  CHECK(f.oif("10.0.0.1") == 1);
  REQUIRE(f.del("10.0.0.0/8"));  // nothing said: the best
  CHECK(f.oif("10.0.0.1") == 2);
  REQUIRE(f.del("10.0.0.0/8", {.fc_priority = 300}));
  CHECK(f.oif("10.0.0.1") == 2);
  REQUIRE(f.del("10.0.0.0/8"));
  CHECK(f.oif("10.0.0.1") == 0);
  CHECK(f.slab->trie.lines_in_use() == 0);
  CHECK(f.slab->infos.in_use() == 0);
}

TEST_CASE("fib: deletion takes the first route that fits what was said", "[S130][fib]") {
  auto const gw1 = ipv4_addr("192.0.2.1"), gw2 = ipv4_addr("192.0.2.2");
  small f;
  auto fill = [&] {
    f.fib.flush_all();
    REQUIRE(f.add("10.0.0.0/8", {.fc_type = rtn::unicast,
                                 .fc_scope = rt_scope::universe,
                                 .fc_protocol = rtprot::static_,
                                 .fc_gw4 = gw1,
                                 .fc_oif = 1,
                                 .fc_priority = 10}));
    REQUIRE(f.add("10.0.0.0/8", {.fc_type = rtn::unreachable,
                                 .fc_scope = rt_scope::link,
                                 .fc_protocol = rtprot::boot,
                                 .fc_gw4 = gw2,
                                 .fc_oif = 2,
                                 .fc_prefsrc = gw1,
                                 .fc_priority = 20}));
  };
  fib_config const of_second[] = {{.fc_type = rtn::unreachable},
                                  {.fc_scope = rt_scope::link},
                                  {.fc_protocol = rtprot::boot},
                                  {.fc_gw4 = gw2},
                                  {.fc_oif = 2},
                                  {.fc_prefsrc = gw1},
                                  {.fc_priority = 20},
                                  {.fc_gw4 = gw2, .fc_oif = 2, .fc_priority = 20}};
  for (auto const& cfg : of_second) {
    fill();
    CHECK(f.del("10.0.0.0/8", cfg));
    REQUIRE(f.fib.size() == 1);
    CHECK(f.oif("10.0.0.1") == 1);
  }
  fib_config const of_none[] = {{.fc_type = rtn::blackhole},
                                {.fc_scope = rt_scope::host},
                                {.fc_protocol = rtprot::kernel},
                                {.fc_gw4 = ipv4_addr("192.0.2.3")},
                                {.fc_oif = 3},
                                {.fc_prefsrc = gw2},
                                {.fc_priority = 30},
                                {.fc_gw4 = gw2, .fc_oif = 1},
                                {.fc_table = rt_table::local}};
  fill();
  for (auto const& cfg : of_none) CHECK(f.del("10.0.0.0/8", cfg).error() == std::errc::no_such_process);
  CHECK(f.del("10.0.0.0/9").error() == std::errc::no_such_process);
  CHECK(f.del("11.0.0.0/8").error() == std::errc::no_such_process);
  CHECK(f.fib.size() == 2);
}

TEST_CASE("fib: bad requests are refused and change nothing", "[S130][fib]") {
  small f;
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 1}));
  CHECK(f.add("10.0.0.0/8", {.fc_oif = 2}).error() == std::errc::file_exists);
  CHECK(f.add("10.0.0.0/8", {.fc_gw4 = ipv4_addr("10.0.0.1")}).error() == std::errc::file_exists);
  CHECK(f.add("10.0.0.1/8").error() == std::errc::invalid_argument);
  CHECK(f.fib.insert({.fc_dst_len = 33, .fc_dst = ipv4_addr("10.0.0.0")}).error() == std::errc::invalid_argument);
  CHECK(f.fib.insert({.fc_dst_len = 0, .fc_dst = ipv4_addr("0.0.0.1")}).error() == std::errc::invalid_argument);
  CHECK(f.add("11.0.0.0/8", {.fc_table = rt_table::unspec}).error() == std::errc::invalid_argument);
  CHECK(f.add("11.0.0.0/8", {.fc_type = static_cast<rtn>(99)}).error() == std::errc::invalid_argument);
  CHECK(f.fib.erase({.fc_dst_len = 33}).error() == std::errc::invalid_argument);
  CHECK(f.fib.size() == 1);
  CHECK(f.oif("10.0.0.1") == 1);
  CHECK(f.oif("11.0.0.1") == 0);
  CHECK(f.slab->infos.in_use() == 1);
}

TEST_CASE("fib: a route carries what it was given", "[S130][fib]") {
  small f;
  auto const r = f.add("10.0.0.0/8", {.fc_type = rtn::prohibit,
                                      .fc_scope = rt_scope::link,
                                      .fc_protocol = rtprot::kernel,
                                      .fc_gw4 = ipv4_addr("192.0.2.1"),
                                      .fc_oif = 7,
                                      .fc_prefsrc = ipv4_addr("192.0.2.9"),
                                      .fc_priority = 5,
                                      .fc_mtu = 1400,
                                      .fc_flags = rtnh_f::onlink});
  REQUIRE(r);
  fib_info const& fi = **r;
  CHECK(fi.fib_dst() == ipv4_addr("10.0.0.0"));
  CHECK(fi.fib_dst_len == 8);
  CHECK(fi.fib_table == rt_table::main);
  CHECK(fi.fib_type == rtn::prohibit);
  CHECK(fi.fib_scope == rt_scope::link);
  CHECK(fi.fib_protocol == rtprot::kernel);
  CHECK(fi.fib_nh_gw == ipv4_addr("192.0.2.1"));
  CHECK(fi.fib_nh_oif == 7);
  CHECK(fi.fib_prefsrc == ipv4_addr("192.0.2.9"));
  CHECK(fi.fib_priority == 5);
  CHECK(fi.fib_mtu == 1400);
  CHECK(fi.fib_flags == rtnh_f::onlink);
  auto const plain = f.add("11.0.0.0/8");
  REQUIRE(plain);
  CHECK((*plain)->fib_type == rtn::unicast);
  CHECK((*plain)->fib_scope == rt_scope::universe);
}

TEST_CASE("fib: a deleted route lives until the last holder lets go", "[S130][fib]") {
  small f;
  fib_info* const fi = *f.add("10.0.0.0/8", {.fc_oif = 3});
  f.fib.hold(*fi);
  f.fib.hold(*fi);
  CHECK_FALSE(fi->fib_dead);
  REQUIRE(f.del("10.0.0.0/8"));
  CHECK(f.oif("10.0.0.1") == 0);
  CHECK(fi->fib_dead);
  CHECK(fi->fib_nh_oif == 3);
  CHECK(f.slab->infos.in_use() == 1);
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 4}));  // a new object: the old one is still held
  CHECK(f.fib.lookup(ipv4_addr("10.0.0.1")) != fi);
  f.fib.put(*fi);
  CHECK(f.slab->infos.in_use() == 2);
  f.fib.put(*fi);
  CHECK(f.slab->infos.in_use() == 1);
}

TEST_CASE("fib: a dead route stays listed and steps aside, and comes back", "[S130][fib]") {
  small f;
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 1}));
  REQUIRE(f.add("10.1.0.0/16", {.fc_oif = 2, .fc_priority = 1}));
  REQUIRE(f.add("10.1.0.0/16", {.fc_oif = 3, .fc_priority = 2}));
  CHECK(f.oif("10.1.0.1") == 2);
  CHECK(f.fib.sync_dev(2, rtnh_f::dead | rtnh_f::linkdown, 0) == 1);
  CHECK(f.oif("10.1.0.1") == 3);  // the next metric
  CHECK(f.fib.sync_dev(3, rtnh_f::dead, 0) == 1);
  CHECK(f.oif("10.1.0.1") == 1);  // the next shorter prefix
  CHECK(f.fib.lookup(rt_table::main, ipv4_addr("10.1.0.1"))->fib_nh_oif == 1);
  CHECK(f.fib.size() == 3);
  CHECK(f.fib.sync_dev(1, rtnh_f::dead, 0) == 1);
  CHECK(f.oif("10.1.0.1") == 0);
  CHECK(f.fib.sync_dev(3, 0, rtnh_f::dead) == 1);
  CHECK(f.oif("10.1.0.1") == 3);
  CHECK(f.oif("10.2.0.1") == 0);
  CHECK(f.fib.sync_dev(2, 0, rtnh_f::dead) == 1);
  CHECK(f.oif("10.1.0.1") == 2);
  CHECK(f.fib.lookup(ipv4_addr("10.1.0.1"))->fib_flags == rtnh_f::linkdown);
  CHECK(f.fib.sync_dev(2, 0, rtnh_f::dead) == 0);
  CHECK(f.fib.sync_dev(1, 0, rtnh_f::dead) == 1);
  CHECK(f.oif("10.2.0.1") == 1);
}

TEST_CASE("fib: a throw route sends the lookup on to the next table", "[S130][fib]") {
  small f;
  REQUIRE(f.add("10.0.0.0/8", {.fc_table = rt_table::main, .fc_oif = 1}));
  REQUIRE(f.add("0.0.0.0/0", {.fc_table = rt_table::default_, .fc_oif = 2}));
  REQUIRE(f.add("10.1.0.0/16", {.fc_table = rt_table::main, .fc_type = rtn::throw_}));
  CHECK(f.oif("10.2.0.1") == 1);
  CHECK(f.oif("10.1.0.1") == 2);
  REQUIRE(f.del("10.1.0.0/16"));
  CHECK(f.oif("10.1.0.1") == 1);
}

TEST_CASE("fib: a packet bound to a device finds the routes of that device, and those that refuse", "[S130][fib]") {
  small f;
  REQUIRE(f.add("0.0.0.0/0", {.fc_oif = 1}));
  REQUIRE(f.add("0.0.0.0/0", {.fc_oif = 2, .fc_priority = 5}));
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 1}));
  auto const addr = ipv4_addr("10.0.0.1");
  CHECK(f.fib.lookup(addr, 1, rt_scope::universe)->fib_dst_len == 8);
  CHECK(f.fib.lookup(addr, 2, rt_scope::universe)->fib_dst_len == 0);
  CHECK(f.fib.lookup(addr, 3, rt_scope::universe) == nullptr);
  // A way that leads nowhere does so by every device.
  REQUIRE(f.add("10.0.0.0/16", {.fc_type = rtn::blackhole}));
  CHECK(f.fib.lookup(addr, 2, rt_scope::universe)->fib_type == rtn::blackhole);
  // What must not be left for another router is looked for among what is near.
  REQUIRE(f.add("10.0.0.0/12", {.fc_scope = rt_scope::link, .fc_oif = 2}));
  CHECK(f.fib.lookup(addr, 0, rt_scope::link)->fib_dst_len == 12);
  CHECK(f.fib.lookup(addr, 2, rt_scope::link)->fib_dst_len == 12);
  CHECK(f.fib.lookup(addr, 1, rt_scope::link) == nullptr);
}

TEST_CASE("fib: a device's routes go together", "[S130][fib]") {
  small f;
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 1}));
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 2, .fc_priority = 1}));
  REQUIRE(f.add("10.1.0.0/16", {.fc_table = rt_table::local, .fc_oif = 1}));
  REQUIRE(f.add("10.2.0.0/16", {.fc_oif = 2}));
  CHECK(f.fib.flush_dev(1) == 2);
  CHECK(f.fib.flush_dev(1) == 0);
  CHECK(f.fib.size() == 2);
  CHECK(f.oif("10.0.0.1") == 2);
  CHECK(f.oif("10.1.0.1") == 2);
  CHECK(f.fib.flush_all() == 2);
  CHECK(f.oif("10.0.0.1") == 0);
  CHECK(f.slab->trie.lines_in_use() == 0);
}

TEST_CASE("fib: listed by address, longer prefix first, metric; a reader goes on where it stopped", "[S130][fib]") {
  small f;
  char const* const prefixes[] = {"10.0.0.0/8",  "0.0.0.0/0",   "192.0.2.0/24", "10.0.0.0/24",
                                  "10.0.1.0/24", "10.0.0.0/16", "192.0.2.1/32"};
  for (auto const* p : prefixes) REQUIRE(f.add(p));
  REQUIRE(f.add("10.0.0.0/8", {.fc_priority = 7}));
  REQUIRE(f.add("10.0.0.1/32", {.fc_table = rt_table::local}));
  std::vector<std::string> seen;
  for (fib_info* fi = f.fib.first(rt_table::main); fi; fi = f.fib.next(*fi)) {
    char text[16];
    seen.push_back(std::string(format_ipv4(fi->fib_dst(), text)) + "/" + std::to_string(fi->fib_dst_len) + " " +
                   std::to_string(fi->fib_priority));
  }
  CHECK(seen == std::vector<std::string>{"0.0.0.0/0 0", "10.0.0.0/24 0", "10.0.0.0/16 0", "10.0.0.0/8 0",
                                         "10.0.0.0/8 7", "10.0.1.0/24 0", "192.0.2.0/24 0", "192.0.2.1/32 0"});
  CHECK(f.fib.size(rt_table::main) == 8);
  CHECK(f.fib.size(rt_table::local) == 1);
  CHECK(f.fib.size(rt_table::default_) == 0);
  CHECK(f.fib.after(rt_table::main, ipv4_addr("10.0.0.0"), 8, 0)->fib_priority == 7);
  REQUIRE(f.del("10.0.0.0/16"));  // the place itself is gone
  CHECK(f.fib.after(rt_table::main, ipv4_addr("10.0.0.0"), 16, 0)->fib_dst_len == 8);
  CHECK(f.fib.after(rt_table::main, ipv4_addr("192.0.2.1"), 32, 0) == nullptr);
}

TEST_CASE("fib: namespaces share the slab and nothing else", "[S130][fib]") {
  small f;
  fib_tables<fib_slab<64>> other;
  other.init(*f.slab);
  REQUIRE(f.add("10.0.0.0/8", {.fc_oif = 1}));
  REQUIRE(other.insert({.fc_dst_len = 8, .fc_dst = ipv4_addr("10.0.0.0"), .fc_oif = 2}));
  CHECK(f.oif("10.0.0.1") == 1);
  CHECK(other.lookup(ipv4_addr("10.0.0.1"))->fib_nh_oif == 2);
  CHECK(f.slab->infos.in_use() == 2);
  other.flush_all();
  CHECK(f.oif("10.0.0.1") == 1);
  static_assert(sizeof other <= 128, "a namespace costs a few words");
}

TEST_CASE("fib: a full slab refuses, and nothing is changed", "[S130][fib]") {
  small f;
  for (u32 i = 0; i < 64; ++i)
    REQUIRE(f.fib.insert({.fc_dst_len = 32, .fc_dst = be32{i * 0x01234567}, .fc_oif = i + 1}));
  auto const lines = f.slab->trie.lines_in_use();
  CHECK(f.add("203.0.113.0/24").error() == std::errc::no_buffer_space);
  CHECK(f.add("0.0.0.0/0").error() == std::errc::no_buffer_space);
  CHECK(f.fib.size() == 64);
  CHECK(f.slab->trie.lines_in_use() == lines);
  for (u32 i = 0; i < 64; ++i) CHECK(f.fib.lookup(be32{i * 0x01234567})->fib_nh_oif == i + 1);
  CHECK(f.fib.lookup(ipv4_addr("203.0.113.1")) == nullptr);
  REQUIRE(f.fib.flush_dev(1) == 1);
  CHECK(f.add("203.0.113.0/24"));
}

/// Room for many routes and few nodes.
struct tight_slab {
  slab<fib_info, 1000> infos;
  fib_trie<1> trie;
};

TEST_CASE("fib: without room for a node an insertion is refused, and nothing is changed", "[S130][fib]") {
  auto const slab = std::make_unique<tight_slab>();
  slab->infos.init();
  slab->trie.init();
  fib_tables<tight_slab> fib;
  fib.init(*slab);
  u32 made = 0;
  while (fib.insert({.fc_dst_len = 32, .fc_dst = be32{made * 0x01234567}, .fc_oif = made + 1})) ++made;
  REQUIRE(made < 1000);
  be32 const next{made * 0x01234567};
  for (int again = 0; again < 3; ++again)
    CHECK(fib.insert({.fc_dst_len = 32, .fc_dst = next}).error() == std::errc::no_buffer_space);
  CHECK(fib.lookup(next) == nullptr);
  CHECK(fib.size() == made);
  CHECK(slab->infos.in_use() == made);
  for (u32 i = 0; i < made; ++i) CHECK(fib.lookup(be32{i * 0x01234567})->fib_nh_oif == i + 1);
  CHECK(fib.insert({.fc_dst_len = 32, .fc_dst = be32{0}, .fc_priority = 1}));  // needs no node
  CHECK(fib.flush_all() == made + 1);
  CHECK(slab->trie.lines_in_use() == 0);
}

/// What the tables should answer, found by trying every length of every table; `scan` tries every route there is.
class oracle {
 public:
  struct route {
    rt_table table;
    u8 len;
    u32 key;
    u32 priority;
    u32 id;
  };
  std::vector<route> routes;

  void add(route const& r) {
    routes.push_back(r);
    by_prefix_[name(r.table, r.len, r.key)][r.priority] = r.id;
    ++filter_[slot(name(r.table, r.len, r.key))];
  }
  void remove(std::size_t i) {
    route const r = routes[i];
    auto const it = by_prefix_.find(name(r.table, r.len, r.key));
    it->second.erase(r.priority);
    if (it->second.empty()) by_prefix_.erase(it);
    --filter_[slot(name(r.table, r.len, r.key))];
    routes[i] = routes.back();
    routes.pop_back();
  }
  [[nodiscard]] bool has(route const& r) const {
    auto const it = by_prefix_.find(name(r.table, r.len, r.key));
    return it != by_prefix_.end() && it->second.count(r.priority);
  }
  [[nodiscard]] std::size_t best_of(route const& r) const {
    return by_prefix_.at(name(r.table, r.len, r.key)).begin()->second;
  }
  [[nodiscard]] u32 lookup(u32 addr) const {
    for (rt_table const table : {rt_table::local, rt_table::main, rt_table::default_})
      for (unsigned len = 33; len-- > 0;) {
        u64 const n = name(table, len, addr & fib_mask(len));
        if (filter_[slot(n)] == 0) continue;
        auto const it = by_prefix_.find(n);
        if (it != by_prefix_.end()) return it->second.begin()->second;
      }
    return 0;
  }
  [[nodiscard]] u32 scan(u32 addr) const {
    route const* best = nullptr;
    for (route const& r : routes) {
      if ((addr ^ r.key) & fib_mask(r.len)) continue;
      if (!best || std::tuple(r.table, r.len, ~r.priority) > std::tuple(best->table, best->len, ~best->priority))
        best = &r;
    }
    return best ? best->id : 0;
  }

 private:
  static u64 name(rt_table table, unsigned len, u32 key) { return u64{key} << 16 | static_cast<u64>(table) << 8 | len; }
  static std::size_t slot(u64 n) { return n * 0x9e3779b97f4a7c15 >> 42; }
  std::unordered_map<u64, std::map<u32, u32>> by_prefix_;
  std::vector<u16> filter_ = std::vector<u16>(std::size_t{1} << 22);
};

struct churn : fixture<100'000> {
  oracle expected;
  std::mt19937_64 rng{4711};
  u32 next_id = 1;
  u64 errors = 0;
  u64 hits = 0;

  u32 rnd() { return static_cast<u32>(rng()); }

  oracle::route random_route() {
    oracle::route r{};
    u32 const t = rnd() % 16;
    r.table = t == 0 ? rt_table::local : t == 1 ? rt_table::default_ : rt_table::main;
    r.len = static_cast<u8>(rnd() % 4 == 0 ? rnd() % 33 : 16 + rnd() % 17);
    if (rnd() % 64 == 0) r.len = static_cast<u8>(rnd() % 8);
    if (r.table == rt_table::local && r.len < 12) r.len = 32;  // else local answers everything
    u32 key = rnd();
    if (rnd() % 2 && !expected.routes.empty()) {  // in, around or beside one that is there
      auto const& near = expected.routes[rnd() % expected.routes.size()];
      key = near.key ^ (rnd() & ~fib_mask(rnd() % 33));
    }
    r.key = key & fib_mask(r.len);
    r.priority = rnd() % 4 ? 0 : rnd() % 3;
    r.id = next_id++;
    return r;
  }
  void insert() {
    auto const r = random_route();
    auto const made = fib.insert(
        {.fc_table = r.table, .fc_dst_len = r.len, .fc_dst = be32{r.key}, .fc_oif = r.id, .fc_priority = r.priority});
    if (expected.has(r)) {
      errors += made || made.error() != std::errc::file_exists;
    } else {
      errors += !made;
      if (made) expected.add(r);
    }
  }
  void erase() {
    std::size_t const i = rnd() % expected.routes.size();
    auto const r = expected.routes[i];
    errors += !fib.erase({.fc_table = r.table, .fc_dst_len = r.len, .fc_dst = be32{r.key}, .fc_oif = r.id});
    expected.remove(i);
  }
  void lookup(bool linear) {
    u32 addr = rnd();
    if (rnd() % 4 && !expected.routes.empty()) {
      auto const& r = expected.routes[rnd() % expected.routes.size()];
      addr = r.key ^ (rnd() & ~fib_mask(rnd() % 2 ? r.len : 32));
      if (rnd() % 8 == 0) addr += rnd() % 3 - 1;
    }
    fib_info const* fi = fib.lookup(be32{addr});
    u32 const want = linear ? expected.scan(addr) : expected.lookup(addr);
    errors += (fi ? fi->fib_nh_oif : 0) != want;
    hits += fi != nullptr;
  }
};

TEST_CASE("fib: 100,000 prefixes and 10^6 interleaved lookups agree with a linear oracle", "[S130][fib]") {
  auto const world = std::make_unique<churn>();
  churn& w = *world;
  u32 lookups = 0;
  auto look = [&](u32 n) {
    for (u32 i = 0; i < n; ++i) w.lookup(lookups++ % 1000 == 0);
    if (w.errors) FAIL("disagreement after " << lookups << " lookups, " << w.expected.routes.size() << " routes");
  };
  while (w.expected.routes.size() < 100'000) {  // grow
    w.insert();
    if (w.rnd() % 16 == 0) w.erase();
    look(3);
  }
  CHECK(w.fib.size() == 100'000);
  CHECK(w.slab->trie.lines_in_use() < 60'000);
  CHECK(w.add("203.0.113.77/32", {.fc_priority = 99}).error() == std::errc::no_buffer_space);
  for (u32 i = 0; i < 100'000; ++i) {  // churn, full
    w.erase();
    w.insert();
    look(4);
  }
  while (!w.expected.routes.empty()) {  // shrink
    w.erase();
    look(3);
  }
  CHECK(w.errors == 0);
  CHECK(lookups >= 1'000'000);
  CHECK(w.hits > lookups / 2);
  CHECK(w.fib.size() == 0);
  CHECK(w.slab->trie.lines_in_use() == 0);
  CHECK(w.slab->infos.in_use() == 0);
  CHECK(w.slab->infos.high_water() == 100'000);
}

}  // namespace
