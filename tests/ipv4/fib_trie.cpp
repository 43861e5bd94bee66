// SPDX-License-Identifier: BSL-1.0
// The trie by itself: what it costs, what happens when its memory ends, and the block allocator below it.
#include "netstack/ipv4/fib_trie.hpp"

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;

namespace {

/// Memory for tries, and what a value's prefix is.
template <u32 Prefixes>
struct memory {
  std::unique_ptr<fib_trie<Prefixes>> trie = std::make_unique<fib_trie<Prefixes>>();
  std::vector<fib_prefix> prefixes{{}};
  memory() {
    std::memset(static_cast<void*>(trie.get()), 0xa5, sizeof *trie);
    trie->init();
  }
  auto prefix_of() {
    return [this](u32 v) { return prefixes[v]; };
  }
};

constexpr fib_prefix cut(u32 key, unsigned len) { return {key & fib_mask(len), static_cast<u8>(len)}; }

/// A table in such memory, and a std::map with the same content.
template <u32 Prefixes>
struct table {
  memory<Prefixes>& in;
  fib_root root{};
  std::map<std::pair<u8, u32>, u32> present;  // (len, key) → value

  explicit table(memory<Prefixes>& m) : in(m) {}
  bool insert(fib_prefix p) {
    auto const value = static_cast<u32>(in.prefixes.size());
    in.prefixes.push_back(p);
    bool const done = in.trie->insert(root, p, value, in.prefix_of());
    if (done) present[{p.len, p.key}] = value;
    return done;
  }
  void remove(fib_prefix p) {
    u32 const value = present.at({p.len, p.key});
    present.erase({p.len, p.key});
    in.trie->remove(root, p, value, in.prefix_of(), [&](unsigned len) { return find(cut(p.key, len)); });
  }
  void clear() {
    while (!present.empty()) remove({present.begin()->first.second, present.begin()->first.first});
  }
  [[nodiscard]] u32 find(fib_prefix p) const {
    auto const it = present.find({p.len, p.key});
    return it == present.end() ? 0 : it->second;
  }
  [[nodiscard]] u32 lookup(u32 addr) const { return in.trie->lookup(root, addr); }
  [[nodiscard]] unsigned matched(u32 addr) const { return in.prefixes[lookup(addr)].len; }
  [[nodiscard]] u32 expected(u32 addr) const {
    for (unsigned len = 33; len-- > 0;)
      if (u32 const v = find(cut(addr, len))) return v;
    return 0;
  }
};

TEST_CASE("fib_trie: an entry tells its slot or its match with one shift", "[S130][fib]") {
  u32 const key = 0xa5c3f00d;
  for (unsigned shift = 0; shift <= 30; shift += 6) {
    auto const e = detail::fib_entry::node(key, shift, 77);
    CHECK((e.is_node() && e.index() == 77 && e.len() == shift && e.key() == cut(key, shift).key));
    CHECK(e.distance(u64{key} << 4) == (key << shift >> 26));
    if (shift > 0) CHECK(e.distance(u64{key ^ 1U << (32 - shift)} << 4) > 63);
  }
  for (unsigned len = 0; len <= 32; ++len) {
    auto const e = detail::fib_entry::leaf(cut(key, len), 78);
    CHECK((!e.is_node() && e.index() == 78 && e.len() == len && e.key() == cut(key, len).key));
    CHECK(e.distance(u64{key} << 4) == 0);
    if (len < 32) CHECK(e.distance(u64{key ^ 1U << (31 - len)} << 4) == 0);
    if (len > 0) CHECK(e.distance(u64{key ^ 1U << (32 - len)} << 4) != 0);
  }
}

TEST_CASE("fib_trie: no node for one prefix, one for two", "[S130][fib]") {
  memory<64> m;
  table<64> t(m);
  CHECK(t.lookup(0x0a000001) == 0);
  CHECK(t.lookup(0) == 0);
  REQUIRE(t.insert({0x0a000000, 8}));
  CHECK(m.trie->lines_in_use() == 0);
  CHECK(t.lookup(0x0a123456) == 1);
  CHECK(t.lookup(0x0b000000) == 0);
  REQUIRE(t.insert({0x0a0000ff, 32}));
  CHECK(m.trie->lines_in_use() == 1);
  CHECK(t.lookup(0x0a0000ff) == 2);
  CHECK(t.lookup(0x0a0000fe) == 1);
  t.remove({0x0a000000, 8});
  CHECK(m.trie->lines_in_use() == 0);
  CHECK(t.lookup(0x0a0000ff) == 2);
  CHECK(t.lookup(0x0a0000fe) == 0);
  t.remove({0x0a0000ff, 32});
  CHECK(t.root.entry == 0);
}

// The shape depends on what is in the table, not on the way there.
TEST_CASE("fib_trie: n prefixes never take n lines, whatever they are", "[S130][fib]") {
  std::mt19937_64 rng{5};
  u32 const bits = GENERATE(4u, 8u, 12u, 20u, 32u);  // how far apart the prefixes lie
  memory<6000> m;
  table<6000> t(m);
  u32 worst = 0;
  while (t.present.size() < 5000) {
    auto const len = static_cast<unsigned>(rng() % 33);
    u32 const some = static_cast<u32>(rng()) << (32 - bits);  // below one node, or over all of them
    auto const p = cut(rng() % 2 ? some : some >> (32 - bits), len);
    if (t.find(p)) {
      if (t.present.size() > 400 || rng() % 64 == 0) break;
      continue;
    }
    REQUIRE(t.insert(p));
    worst = std::max(worst, m.trie->lines_in_use() * 1000 / static_cast<u32>(t.present.size()));
  }
  CAPTURE(bits, t.present.size());
  CHECK(worst < 1000);
  CHECK(t.present.size() > 10);
  t.clear();
  CHECK(m.trie->lines_in_use() == 0);
  CHECK(t.root.entry == 0);
}

TEST_CASE("fib_trie: a chain of nested prefixes, and all of one node's", "[S130][fib]") {
  memory<256> m;
  table<256> chain(m);
  for (unsigned len = 0; len <= 32; ++len) REQUIRE(chain.insert(cut(0xffffffff, len)));
  for (unsigned len = 0; len < 32; ++len) CHECK(chain.matched(0xffffffff ^ (0x80000000 >> len)) == len);
  CHECK(chain.matched(0xffffffff) == 32);
  CHECK(m.trie->lines_in_use() <= 12);
  chain.clear();
  table<256> full(m);  // the 127 prefixes that one node can have, and a child in each of its slots
  for (unsigned len = 0; len <= 6; ++len)
    for (u32 i = 0; i < 1U << len; ++i) REQUIRE(full.insert({len == 0 ? 0 : i << (32 - len), static_cast<u8>(len)}));
  for (u32 i = 0; i < 64; ++i) REQUIRE(full.insert({i << 26 | 0x00300000, 12}));
  CHECK(m.trie->lines_in_use() == 13);
  for (u32 i = 0; i < 64; ++i) {
    CHECK(full.matched(i << 26) == 6);
    CHECK(full.matched(i << 26 | 0x00300001) == 12);
  }
  for (u32 i = 0; i < 64; i += 2) full.remove({i << 26, 6});
  for (u32 i = 0; i < 64; ++i) CHECK(full.matched(i << 26) == (i % 2 ? 6 : 5));
  for (u32 i = 0; i < 64; ++i) full.remove({i << 26 | 0x00300000, 12});
  CHECK(m.trie->lines_in_use() == 5);  // 32 and 32 runs, no child
}

TEST_CASE("fib_trie: without memory an insertion fails and nothing is changed", "[S130][fib]") {
  std::mt19937_64 rng{6};
  memory<1> m;  // 31 lines
  table<1> t(m);
  u32 refused = 0, wrong = 0;
  for (u32 op = 0; op < 20'000; ++op) {
    u32 const base = static_cast<u32>(rng() % 8) << 29 | static_cast<u32>(rng() & 0x3fff);
    auto const p = cut(base, static_cast<unsigned>(rng() % 33));
    if (t.find(p)) {
      if (rng() % 3 == 0) t.remove(p);
      continue;
    }
    u32 const before = m.trie->lines_in_use();
    if (!t.insert(p)) {
      ++refused;
      wrong += m.trie->lines_in_use() != before;
    }
    for (u32 i = 0; i < 8; ++i) {
      u32 const addr = i < 4 ? p.key ^ static_cast<u32>(rng() % 64) : static_cast<u32>(rng());
      wrong += t.lookup(addr) != t.expected(addr);
    }
  }
  CHECK(wrong == 0);
  CHECK(refused > 1000);
  CHECK(m.trie->lines_in_use() > m.trie->lines_capacity() * 3 / 4);
  t.clear();
  CHECK(m.trie->lines_in_use() == 0);
}

TEST_CASE("fib_trie: a replaced value answers in its prefix's place", "[S130][fib]") {
  memory<64> m;
  table<64> t(m);
  for (fib_prefix p : {fib_prefix{0, 0}, {0x0a000000, 8}, {0x0a800000, 9}, {0x0ac00000, 10}, {0x0a0a0a0a, 32}})
    REQUIRE(t.insert(p));
  for (u32 v = 1; v <= 5; ++v) {
    m.prefixes.push_back(m.prefixes[v]);
    m.trie->replace(t.root, m.prefixes[v], v, v + 5);
  }
  CHECK(t.lookup(0xff000000) == 6);
  CHECK(t.lookup(0x0a000001) == 7);
  CHECK(t.lookup(0x0a800001) == 8);
  CHECK(t.lookup(0x0ac00001) == 9);
  CHECK(t.lookup(0x0a0a0a0a) == 10);
}

/// Prefixes of every length, close together and far apart, and lookups in and around them.
struct crowd {
  static constexpr u32 room = 20'000;  // two directories
  std::mt19937_64 rng{8};
  u32 wrong = 0;

  u32 rnd() { return static_cast<u32>(rng()); }
  void grow(table<room>& t, std::size_t n) {
    while (t.present.size() < n) {
      auto const p = cut(rnd() % 8 ? rnd() : rnd() & 0xf00fff00, rnd() % 33);
      if (!t.find(p)) wrong += !t.insert(p);
      check(t, 1);
    }
  }
  void shrink(table<room>& t, std::size_t n) {
    while (t.present.size() > n) {
      auto it = t.present.lower_bound({static_cast<u8>(rnd() % 33), rnd()});
      if (it == t.present.end()) it = t.present.begin();
      t.remove({it->first.second, it->first.first});
      check(t, 1);
    }
  }
  void check(table<room> const& t, u32 n) {
    for (u32 i = 0; i < n; ++i) {
      u32 const addr = rnd() % 2 ? rnd() : rnd() & 0xf00fff0f;
      wrong += t.lookup(addr) != t.expected(addr);
    }
  }
};

TEST_CASE("fib_trie: tables gain directories when they are large and lose them when empty", "[S130][fib]") {
  crowd c;
  memory<crowd::room> m;
  table<crowd::room> a(m), b(m), d(m);
  c.grow(a, 8191);
  CHECK(a.root.directory == 0);
  c.grow(a, 8192);
  CHECK(a.root.directory == 1);
  c.check(a, 20'000);
  for (unsigned len = 0; len <= 14; ++len)  // values that live in the directory, and just below
    if (fib_prefix const p = cut(0xabcdef01, len); a.find(p)) {
      u32 const old = a.find(p), now = static_cast<u32>(m.prefixes.size());
      m.prefixes.push_back(p);
      m.trie->replace(a.root, p, old, now);
      a.present[{p.len, p.key}] = now;
    }
  c.check(a, 20'000);
  c.shrink(a, 50);
  CHECK(a.root.directory == 1);
  c.check(a, 1000);
  c.grow(b, 9000);
  CHECK(b.root.directory == 2);
  c.shrink(b, 50);
  c.grow(d, 9000);  // both are taken: this table does without
  CHECK(d.root.directory == 0);
  c.check(d, 20'000);
  c.shrink(b, 0);
  CHECK(b.root.directory == 0);
  CHECK(b.root.entry == 0);
  c.grow(d, 9001);  // the one that b gave back
  CHECK(d.root.directory == 2);
  c.check(d, 20'000);
  c.shrink(a, 0);
  c.shrink(d, 0);
  CHECK(c.wrong == 0);
  CHECK(m.trie->lines_in_use() == 0);
  c.grow(b, 8200);
  c.check(b, 20'000);
  CHECK(b.root.directory != 0);
  CHECK(c.wrong == 0);
}

TEST_CASE("fib_trie: the address 0.0.0.0 is no exception", "[S130][fib]") {
  memory<10'000> m;
  table<10'000> t(m);
  CHECK(t.lookup(0) == 0);
  REQUIRE(t.insert({0, 0}));
  for (u32 i = 0; i < 9000; ++i) {
    CHECK(t.lookup(0) == 1);
    REQUIRE(t.insert({0x0a000000 | i << 8, 24}));
  }
  CHECK(t.root.directory != 0);
  CHECK(t.lookup(0) == 1);
  REQUIRE(t.insert({0, 32}));
  CHECK(t.matched(0) == 32);
  CHECK(t.lookup(1) == 1);
}

TEST_CASE("fib_lines: blocks lie apart, can be cut, and join again", "[S130][fib]") {
  constexpr u32 lines = 1000;
  auto const owned = std::make_unique<detail::fib_lines<lines>>();
  auto& pool = *owned;
  pool.init();
  std::mt19937_64 rng{7};
  struct block {
    u32 at;
    u32 lines;
  };
  std::vector<block> taken;
  std::set<u32> in_use;
  u64 errors = 0, refused = 0;
  for (u32 op = 0; op < 200'000; ++op) {
    if (rng() % 2 || taken.empty()) {
      auto const n = static_cast<u32>(1 + rng() % (rng() % 4 ? 4 : 16));
      u32 const at = pool.alloc(n);
      if (at == 0) {
        ++refused;
        continue;
      }
      for (u32 i = 0; i < n; ++i) errors += at + i > pool.capacity() || !in_use.insert(at + i).second;
      taken.push_back({at, n});
    } else {
      std::swap(taken[rng() % taken.size()], taken.back());
      block& b = taken.back();
      auto const keep = static_cast<u32>(rng() % b.lines);  // cut it, or free it all
      pool.free(b.at + keep, b.lines - keep);
      for (u32 i = keep; i < b.lines; ++i) errors += in_use.erase(b.at + i) != 1;
      b.lines = keep;
      if (keep == 0) taken.pop_back();
    }
    errors += pool.in_use() != in_use.size() || in_use.count(0);
  }
  CHECK(errors == 0);
  CHECK(refused > 0);
  for (auto const& b : taken) pool.free(b.at, b.lines);
  CHECK(pool.in_use() == 0);
  u32 largest = 0;
  while (pool.alloc(16)) ++largest;
  CHECK(largest == (pool.capacity() + 1) / 16 - 1);  // all but the block that holds line 0
}

}  // namespace
