// SPDX-License-Identifier: BSL-1.0
// Alignment, exhaustion, reuse and laziness of the fixed pools, and the handles that outlive their objects.
#include "netstack/core/slab.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "netstack/core/slab_list.hpp"
#include "support/catch.hpp"

using namespace netstack;

namespace {

template <std::size_t Bytes>
struct blob {
  unsigned char bytes[Bytes];
};
struct alignas(256) wide {
  u8 value;
};

template <class T>
std::size_t worst_line_straddle() {
  auto pool = std::make_unique<slab<T, 100>>();
  pool->init();
  std::size_t worst = 0;
  for (int i = 0; i < 100; ++i) {
    auto const at = reinterpret_cast<std::uintptr_t>(pool->alloc());
    CHECK(at % alignof(T) == 0);
    std::size_t const lines = (at + sizeof(T) - 1) / cache_line - at / cache_line + 1;
    worst = std::max(worst, lines - (sizeof(T) + cache_line - 1) / cache_line);
  }
  return worst;
}

TEST_CASE("slab: no object lies on more cache lines than its size needs", "[S179][slab]") {
  CHECK(worst_line_straddle<blob<1>>() == 0);
  CHECK(worst_line_straddle<blob<24>>() == 0);
  CHECK(worst_line_straddle<blob<33>>() == 0);
  CHECK(worst_line_straddle<blob<64>>() == 0);
  CHECK(worst_line_straddle<blob<100>>() == 0);
  CHECK(worst_line_straddle<u64>() == 0);
  CHECK(worst_line_straddle<wide>() == 0);
}

TEST_CASE("slab: small objects share a line, large ones start on one", "[S179][slab]") {
  CHECK(sizeof(slab<blob<16>, 1024>) <= 1024 * 16 + 64);
  CHECK(sizeof(slab<blob<65>, 1024>) <= 1024 * 128 + 64);
  slab<blob<65>, 4> pool;
  pool.init();
  for (int i = 0; i < 4; ++i) CHECK(reinterpret_cast<std::uintptr_t>(pool.alloc()) % cache_line == 0);
}

TEST_CASE("slab: exhaustion is a null and a counter, and a free makes room again", "[S179][slab]") {
  slab<u64, 3> pool;
  pool.init();
  CHECK(pool.capacity() == 3);
  u64* a = pool.alloc(u64{1});
  u64* b = pool.alloc(u64{2});
  u64* c = pool.alloc(u64{3});
  REQUIRE(c);
  CHECK(pool.in_use() == 3);
  CHECK(pool.failures() == 0);
  CHECK(pool.alloc() == nullptr);
  CHECK(pool.alloc() == nullptr);
  CHECK(pool.failures() == 2);
  CHECK(pool.in_use() == 3);
  CHECK((*a == 1 && *b == 2 && *c == 3));
  pool.free(b);
  CHECK(pool.in_use() == 2);
  CHECK(pool.alloc(u64{4}) == b);
  CHECK((*a == 1 && *b == 4 && *c == 3));
  CHECK(pool.alloc() == nullptr);
}

TEST_CASE("slab: what begins as a model has all of its bytes, and is counted as others", "[S179][slab]") {
  struct alignas(cache_line) lines {
    u32 words[48];
  } model;
  for (u32 i = 0; i < 48; ++i) model.words[i] = i * 0x01010101;
  slab<lines, 2> pool;
  pool.init();
  lines* const first = pool.alloc_like(model);
  lines const as_it_was = model;
  REQUIRE(first);
  CHECK(std::memcmp(first, &as_it_was, sizeof(lines)) == 0);
  model.words[47] = 1;
  CHECK(std::memcmp(first, &as_it_was, sizeof(lines)) == 0);
  CHECK(pool.alloc());
  CHECK(pool.alloc_like(model) == nullptr);
  CHECK(pool.failures() == 1);
  pool.free(first);
  CHECK(pool.alloc_like(model) == first);
  CHECK(std::memcmp(first, &model, sizeof(lines)) == 0);
  CHECK(pool.in_use() == 2);
}

TEST_CASE("slab: the slot freed last is used first, high water counts the most at once", "[S179][slab]") {
  slab<blob<48>, 100> pool;
  pool.init();
  blob<48>* taken[10];
  for (auto& p : taken) p = pool.alloc();
  CHECK(pool.high_water() == 10);
  pool.free(taken[3]);
  pool.free(taken[7]);
  CHECK(pool.alloc() == taken[7]);
  CHECK(pool.alloc() == taken[3]);
  for (auto* p : taken) pool.free(p);
  for (auto& p : taken) p = pool.alloc();
  CHECK(pool.high_water() == 10);
  CHECK(pool.alloc());
  CHECK(pool.high_water() == 11);
}

TEST_CASE("slab: index and address name the same object", "[S179][slab]") {
  slab<blob<40>, 16> pool;
  slab<blob<40>, 16> other;
  pool.init();
  other.init();
  std::set<u32> seen;
  for (u32 i = 0; i < 16; ++i) {
    auto* p = pool.alloc();
    CHECK(&pool.at(pool.index_of(p)) == p);
    CHECK(&std::as_const(pool).at(pool.index_of(p)) == p);
    CHECK(pool.owns(p));
    CHECK_FALSE(other.owns(p));
    seen.insert(pool.index_of(p));
  }
  CHECK(seen.size() == 16);
  CHECK(*seen.rbegin() == 15);
}

struct counted {
  int* live;
  int value = 7;
  counted(int* l, int v) : live(l), value(v) { ++*live; }
  ~counted() { --*live; }
  counted(counted const&) = delete;
};

TEST_CASE("slab: alloc constructs and free destroys", "[S179][slab]") {
  int live = 0;
  slab<counted, 8> pool;
  pool.init();
  auto* a = pool.alloc(&live, 1);
  auto* b = pool.alloc(&live, 2);
  CHECK(live == 2);
  CHECK(a->value + b->value == 3);
  pool.free(a);
  CHECK(live == 1);
  pool.free(b);
  CHECK(live == 0);
}

TEST_CASE("slab: an aggregate without arguments is zeroed, also in a used slot", "[S179][slab]") {
  slab<blob<64>, 1> pool;
  pool.init();
  auto* p = pool.alloc();
  std::memset(p, 0xff, sizeof *p);
  pool.free(p);
  p = pool.alloc();
  for (unsigned char byte : p->bytes) REQUIRE(byte == 0);
}

TEST_CASE("slab: init makes dirty memory usable", "[S179][slab]") {
  using dirty = slab<blob<64>, 4, true>;
  auto memory = std::make_unique<std::byte[]>(sizeof(dirty) + alignof(dirty));
  void* at = memory.get();
  std::size_t room = sizeof(dirty) + alignof(dirty);
  std::memset(at, 0xa5, room);
  auto& pool = *new (std::align(alignof(dirty), sizeof(dirty), at, room)) dirty;
  pool.init();
  CHECK(pool.in_use() == 0);
  CHECK(pool.failures() == 0);
  for (int i = 0; i < 4; ++i) CHECK(pool.alloc());
  CHECK_FALSE(pool.alloc());
  pool.init();
  CHECK(pool.high_water() == 0);
  CHECK(pool.alloc());
}

TEST_CASE("slab: a huge slab in zero pages touches only what is used", "[S179][slab]") {
  using huge = slab<blob<1024>, 1 << 18>;  // 256 MiB
  static_assert(std::is_trivially_default_constructible_v<huge>);
  std::size_t const page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::size_t const pages = (sizeof(huge) + page - 1) / page;
  void* memory =
      mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  madvise(memory, pages * page, MADV_NOHUGEPAGE);
  auto& pool = *new (memory) huge;  // zeroed memory needs no init(), and init() does not hurt
  auto resident = [&] {
    std::vector<unsigned char> map(pages);
    REQUIRE(mincore(memory, pages * page, map.data()) == 0);
    std::size_t n = 0;
    for (unsigned char m : map) n += m & 1;
    return n;
  };
  CHECK(pool.in_use() == 0);
  pool.init();
  CHECK(resident() <= 1);
  std::vector<blob<1024>*> taken;
  for (int i = 0; i < 100; ++i) taken.push_back(pool.alloc());
  for (auto* p : taken) pool.free(p);
  for (int i = 0; i < 100; ++i) CHECK(pool.alloc());
  CHECK(resident() <= 100 * 1024 / page + 2);
  munmap(memory, pages * page);
}

TEST_CASE("slab: a handle goes stale with its object", "[S179][slab]") {
  slab<u64, 4, true> pool;
  pool.init();
  CHECK(pool.find(0) == nullptr);
  CHECK(pool.find(~u64{0}) == nullptr);
  u64* a = pool.alloc(u64{1});
  u64 const first = pool.handle_of(a);
  CHECK(first != 0);
  CHECK(pool.find(first) == a);
  pool.free(a);
  CHECK(pool.find(first) == nullptr);
  u64* b = pool.alloc(u64{2});
  REQUIRE(b == a);
  CHECK(pool.find(first) == nullptr);
  CHECK(pool.find(pool.handle_of(b)) == b);
  CHECK(pool.handle_of(b) != first);
}

TEST_CASE("slab: 10^5 random allocations and frees never hand out one slot twice", "[S179][slab]") {
  auto pool = std::make_unique<slab<u64, 257>>();
  pool->init();
  std::mt19937_64 rng{3};
  std::vector<std::pair<u64*, u64>> live;
  u64 errors = 0, refused = 0;
  for (u64 i = 0; i < 100'000; ++i) {
    if (rng() % 2 || live.empty()) {
      u64* p = pool->alloc(i);
      refused += p == nullptr;
      errors += (p == nullptr) != (live.size() == 257);
      if (p) live.emplace_back(p, i);
    } else {
      std::swap(live[rng() % live.size()], live.back());
      errors += *live.back().first != live.back().second;  // another owner would have overwritten it
      pool->free(live.back().first);
      live.pop_back();
    }
    errors += pool->in_use() != live.size();
  }
  CHECK(errors == 0);
  CHECK(refused == pool->failures());
}

TEST_CASE("slab: AddressSanitizer sees a freed object as freed", "[S179][slab]") {
  slab<blob<64>, 2> pool;
  pool.init();
  auto* p = pool.alloc();
  if constexpr (asan_enabled) {
#if defined(NETSTACK_ASAN)
    CHECK_FALSE(__asan_address_is_poisoned(p));
    pool.free(p);
    CHECK(__asan_address_is_poisoned(p));
    CHECK(pool.alloc() == p);
    CHECK_FALSE(__asan_address_is_poisoned(p));
#endif
  } else {
    pool.free(p);
    CHECK(pool.alloc() == p);
  }
}

}  // namespace

// --- lists by place (slab_list.hpp)

namespace {
struct linked {
  int name;
  slab_node list_node{};
};
template <class List, class Slab>
std::vector<int> names(List const& list, Slab& slab) {
  std::vector<int> seen;
  for (auto const& each : list.in(slab)) seen.push_back(each.name);
  return seen;
}
}  // namespace

TEST_CASE("lists by place: who enters by an order stands behind his equals, and in front of all who are later",
          "[S182]") {
  auto pool = std::make_unique<slab<linked, 64>>();
  pool->init();
  slab_list<linked, &linked::list_node> list;
  for (int name : {30, 50, 51, 40, 10, 60, 41, 11}) {
    linked& fresh = *pool->alloc(name);
    list.insert_by(*pool, fresh, [&](auto const& other) { return other.name / 10 > name / 10; });
  }
  CHECK(names(list, *pool) == std::vector{10, 11, 30, 40, 41, 50, 51, 60});
}

TEST_CASE("lists by place do what a vector does, whichever is unlinked", "[S182]") {
  auto pool = std::make_unique<slab<linked, 64>>();
  pool->init();
  slab_list<linked, &linked::list_node> list;
  std::vector<linked*> in_list;
  auto const names_of = [](std::vector<linked*> const& v) {
    std::vector<int> names;
    for (auto const* each : v) names.push_back(each->name);
    return names;
  };
  std::mt19937 random(64);
  for (int step = 0; step < 3000; ++step) {
    if (random() % 2 == 0 && in_list.size() < 60) {
      linked& fresh = *pool->alloc(step);
      auto const at = random() % (in_list.size() + 1);
      if (at == in_list.size())
        list.push_back(*pool, fresh);
      else if (at == 0)
        list.push_front(*pool, fresh);
      else
        list.insert_before(*pool, *in_list[at], fresh);
      in_list.insert(in_list.begin() + static_cast<std::ptrdiff_t>(at), &fresh);
    } else if (!in_list.empty()) {
      auto const at = in_list.begin() + static_cast<std::ptrdiff_t>(random() % in_list.size());
      linked* const gone = *at;
      list.erase(*pool, *gone);
      in_list.erase(at);
      pool->free(gone);
    }
    REQUIRE(names(list, *pool) == names_of(in_list));
    REQUIRE(list.empty() == in_list.empty());
    REQUIRE(list.front(*pool) == (in_list.empty() ? nullptr : in_list.front()));
    REQUIRE(list.back(*pool) == (in_list.empty() ? nullptr : in_list.back()));
    if (in_list.size() > 1) REQUIRE(list.before(*pool, *in_list[1]) == in_list[0]);
    if (in_list.size() > 1) REQUIRE(list.after(*pool, *in_list[0]) == in_list[1]);
    if (!in_list.empty()) REQUIRE(list.after(*pool, *in_list.back()) == nullptr);
  }
  for (linked& each : list.in(*pool)) list.erase(*pool, each), pool->free(&each);
  CHECK(list.empty());
  CHECK(list.back(*pool) == nullptr);
}
