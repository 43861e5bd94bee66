// SPDX-License-Identifier: BSL-1.0
// The pool: who returns what, in every order; what it says when it is empty, when it leaks and when it is abused.
#include "netstack/skb/skb_pool.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <set>

#include "netstack/skb/skb_frags.hpp"
#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {
std::size_t heap_calls = 0;
}
#if !defined(NETSTACK_ASAN)  // which has its own
NETSTACK_NOINLINE void* operator new(std::size_t n) {
  ++heap_calls;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc{};
}
NETSTACK_NOINLINE void operator delete(void* p) noexcept { std::free(p); }
NETSTACK_NOINLINE void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

TEST_CASE("packets come from the pool alone: no heap call in steady state", "[S33]") {
  pool_of<> pool;
  skb_list list;
  heap_calls = 0;
  for (int round = 0; round < 10'000; ++round) {
    sk_buff* a = pool->alloc_skb();
    sk_buff* clone = skb_clone(*a);
    sk_buff* second = skb_clone(*a);
    consume_skb(*a);
    consume_skb(*second);
    consume_skb(*clone);
    pool->alloc_bulk(32, list);
    pool->free_bulk(list);
    pool->put_frame(pool->alloc_frame());
  }
  std::size_t const calls = heap_calls;
  CHECK(calls == 0);
  CHECK(pool->high_water() == 32);
  ::operator delete(::operator new(1));
  CHECK((heap_calls > calls || asan_enabled));  // the hook works
}

TEST_CASE("the last free returns the slot, and the next packet is the hottest one", "[S33]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(100));
  CHECK(pool->in_use() == 1);
  skb_get(skb);
  consume_skb(skb);
  CHECK(pool->in_use() == 1);
  CHECK(bytes_of(skb) == pattern(100));
  consume_skb(skb);
  CHECK(pool->in_use() == 0);
  sk_buff& again = new_skb(pool);
  CHECK(&again == &skb);
  consume_skb(again);
}

TEST_CASE("an empty pool answers null and counts; it works again once packets return", "[S34]") {
  pool_of<> pool;
  for (int round = 0; round < 3; ++round) {
    std::vector<sk_buff*> all;
    std::set<u8*> frames;
    while (sk_buff* skb = pool->alloc_skb()) {
      std::memset(skb->head, static_cast<int>(all.size()), pool->frame_size());
      all.push_back(skb);
      frames.insert(skb->head);
    }
    CHECK(all.size() == pool->nr_frames());
    CHECK(frames.size() == all.size());
    CHECK(pool->available() == 0);
    CHECK(pool->alloc_failures == 1 + 3 * u64(round) + 5 * u64(round));
    CHECK(pool->alloc_skb(64) == nullptr);
    CHECK(pool->alloc_frame() == skb_pool::no_frame);
    skb_list list;
    CHECK(pool->alloc_bulk(5, list) == 0);
    CHECK(pool->alloc_failures == 8 * u64(round + 1));
    bool intact = true;
    for (std::size_t i = 0; i < all.size(); ++i)
      intact &= std::all_of(all[i]->head, all[i]->end, [&](u8 byte) { return byte == i; });
    CHECK(intact);
    for (sk_buff* skb : all) consume_skb(*skb);
    CHECK(pool->available() == pool->nr_frames());
  }
  skb_list list;
  CHECK(pool->alloc_bulk(pool->nr_frames() + 3, list) == pool->nr_frames());
  CHECK(list.count == pool->nr_frames());
  CHECK(pool->alloc_failures == 24 + 3);
  pool->free_bulk(list);
}

TEST_CASE("clone slots that are used up are a null and a count, and nothing changes", "[S34]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(10));
  std::vector<sk_buff*> clones;
  while (sk_buff* n = skb_clone(skb)) clones.push_back(n);
  CHECK(clones.size() == 1 + small.skb_clones);
  CHECK(pool->clone_failures == 1);
  CHECK(skb_shinfo(skb).dataref == clones.size() + 1);
  CHECK(broken(skb).empty());
  for (sk_buff* n : clones) consume_skb(*n);
  CHECK_FALSE(skb_cloned(skb));
  CHECK(pool->clones_in_use() == 0);
  CHECK(pool->in_use() == 1);
  consume_skb(skb);
}

TEST_CASE("the first clone lies beside its original: references 0, 1, 2 in both free orders", "[S35]") {
  pool_of<> pool;
  for (bool clone_first : {true, false}) {
    sk_buff& skb = new_skb(pool, pattern(50));
    CHECK(skb.fclone == 0);
    sk_buff& clone = *skb_clone(skb);
    CHECK(&clone == &pool->companion(skb.frame));
    CHECK(skb.fclone == 1);
    CHECK(clone.fclone == 2);
    CHECK(pool->clones_in_use() == 0);
    CHECK(skb_shinfo(skb).dataref == 2);
    sk_buff& left = clone_first ? skb : clone;
    consume_skb(clone_first ? clone : skb);
    CHECK(pool->in_use() == 1);
    CHECK(skb_shinfo(left).dataref == 1);
    CHECK(bytes_of(left) == pattern(50));
    if (clone_first) {
      CHECK(skb.fclone == 0);
      CHECK(skb_clone(skb) == &clone);  // and it may be taken again
      consume_skb(clone);
    }
    consume_skb(left);
    CHECK(pool->in_use() == 0);
  }
  sk_buff& skb = new_skb(pool);
  sk_buff* first = skb_clone(skb);
  sk_buff* second = skb_clone(skb);
  CHECK(second->fclone == 0);
  CHECK(pool->clones_in_use() == 1);
  for (sk_buff* p : {&skb, first, second}) consume_skb(*p);
}

TEST_CASE("a family of clones with frags and a frag list goes home in every order", "[S35][S36]") {
  pool_of<> pool;
  std::array order{0, 1, 2, 3, 4, 5};
  int orders = 0;
  bool right = true;
  do {
    sk_buff& skb = new_skb(pool, pattern(60, 1));
    u32 const frame = pool->alloc_frame();
    auto const in_frag = pattern(500, 2), in_part = pattern(70, 3);
    std::memcpy(pool->frame_data(frame), in_frag.data(), in_frag.size());
    sk_buff& part = new_skb(pool, in_part);
    auto& info = skb_edit_shinfo(skb);
    info.frags[info.nr_frags++] = {frame, 0, 500};
    info.frag_list = &part;
    skb.len += 570, skb.data_len += 570;
    bytes const all = bytes_of(skb);

    sk_buff* companion = skb_clone(skb);
    sk_buff* frameless = skb_clone(skb);
    sk_buff* of_companion = skb_clone(*companion);
    sk_buff* of_clone = skb_clone(*of_companion);
    std::array<sk_buff*, 6> holders{&skb, companion, frameless, of_companion, of_clone, &skb_get(*frameless)};
    right &= pool->in_use() == 3 && pool->clones_in_use() == 3 && skb_shinfo(skb).dataref == 5;
    for (std::size_t i = 0; i < order.size(); ++i) {
      sk_buff* next = holders[static_cast<std::size_t>(order[i])];
      right &= bytes_of(*next) == all && broken(*next).empty();
      consume_skb(*next);
      right &= pool->in_use() == (i + 1 < order.size() ? 3 : 0);
    }
    right &= pool.balanced();
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(right);
  CHECK(orders == 720);
  // The free list is whole: every frame can be had, once.
  skb_list list;
  CHECK(pool->alloc_bulk(pool->nr_frames(), list) == pool->nr_frames());
  std::set<u32> frames;
  for (sk_buff& skb : list) frames.insert(skb.frame);
  CHECK(frames.size() == pool->nr_frames());
  pool->free_bulk(list);
}

TEST_CASE("get raises users; a clone shares the data and has no owner", "[S36]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(80));
  CHECK_FALSE(skb_shared(skb));
  skb_get(skb);
  CHECK(skb.users == 2);
  CHECK(skb_shared(skb));
  consume_skb(skb);
  CHECK_FALSE(skb_shared(skb));

  skb.sk = reinterpret_cast<sock*>(&pool);
  skb.destructor = [](sk_buff& s) { s.mark = 7; };
  skb.peeked = 1;
  skb.hash = 99;
  sk_buff& clone = *skb_clone(skb);
  CHECK(clone.data == skb.data);
  CHECK(clone.truesize == skb.truesize);
  CHECK(clone.hash == 99);
  CHECK(clone.sk == nullptr);
  CHECK(clone.destructor == nullptr);
  CHECK(clone.peeked == 0);
  CHECK((skb_cloned(skb) && skb_cloned(clone)));
  clone.pull(30);  // its pointers are its own
  CHECK(skb.len == 80);
  consume_skb(clone);
  CHECK_FALSE(skb_cloned(skb));
  consume_skb(skb);
}

TEST_CASE("a payload-only original lets its clone write headers, and takes that right back", "[S36][S49]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(80));
  sk_buff& before = *skb_clone(skb);
  CHECK(skb_header_cloned(before));
  consume_skb(before);
  skb_header_release(skb);
  skb_header_release(skb);  // twice is once
  CHECK(skb_shinfo(skb).payload_refs == 1);
  sk_buff& clone = *skb_clone(skb);
  CHECK(skb_cloned(clone));
  CHECK_FALSE(skb_header_cloned(clone));
  CHECK(clone.nohdr == 0);
  CHECK(clone.hdr_len == skb.headroom());
  sk_buff& second = *skb_clone(skb);
  CHECK(skb_header_cloned(clone));  // two of them would write over each other
  consume_skb(second);
  CHECK_FALSE(skb_header_cloned(clone));
  consume_skb(skb);
  CHECK(skb_shinfo(clone).payload_refs == 0);
  CHECK_FALSE(skb_cloned(clone));
  consume_skb(clone);
}

TEST_CASE("a packet freed twice is trapped, whatever it was", "[S33]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool);
  sk_buff& companion = *skb_clone(skb);
  sk_buff& frameless = *skb_clone(skb);
  // Under ASan the free slot is poisoned and the report is ASan's.
  auto said = [](std::string const& text, char const* what) {
    return asan_enabled ? has_text(text, "use-after-poison") || has_text(text, what) : has_text(text, what);
  };
  auto twice = [&](sk_buff& p) { return said(trapped([&] { consume_skb(p), consume_skb(p); }), "packet freed twice"); };
  CHECK(trapped([&] { consume_skb(skb); }) == "");
  CHECK(twice(skb));
  CHECK(twice(companion));
  CHECK(twice(frameless));
  CHECK(said(trapped([&] {
               skb_list list;
               consume_skb(companion), consume_skb(frameless);
               list.push_back(skb);
               pool->free_bulk(list);
               list.push_back(skb);
               pool->free_bulk(list);
             }),
             "packet freed twice"));
  CHECK(said(trapped([&] { consume_skb(frameless), skb_get(frameless); }), "hold on a free packet"));
  CHECK(said(trapped([&] { consume_skb(companion), (void)skb_clone(companion); }), "clone of a free packet"));
  CHECK(has_text(trapped([&] { pool->put_frame(40); }), "put_frame of a free frame"));
  CHECK(has_text(trapped([&] { pool->get_frame(40); }), "get_frame of a free frame"));
  CHECK(has_text(trapped([&] {
                   u32 const frame = skb.frame;
                   for (int i = 0; i < 4; ++i) pool->put_frame(frame);  // one more than there are holds
                 }),
                 "put_frame of a free frame"));
  CHECK(has_text(trapped([&] { (void)pool->build_skb(skb.frame, 0); }), "build_skb of a frame in use"));
  CHECK(has_text(trapped([&] { (void)pool->alloc_skb(pool->frame_size() + 1); }), "headroom beyond the frame"));
  for (sk_buff* p : {&skb, &companion, &frameless}) consume_skb(*p);
}

TEST_CASE("a fresh packet shows nothing of the one before", "[S33]") {
  pool_of<> pool;
  auto const is_fresh = [&](sk_buff const& skb) {
    sk_buff e;
    std::memset(static_cast<void*>(&e), 0, sizeof e);
    e.pool = &pool.pool;
    e.frame = pool->frame_of(skb.head);
    e.head = pool->frame_data(e.frame), e.end = e.head + pool->frame_size();
    e.data = e.tail = e.head + small.headroom;
    e.truesize = pool->frame_truesize();
    e.users = 1;
    e.mac_header = skb_header_unset;
    e.next = skb.next;
    auto const& info = skb_shinfo(skb);
    return std::memcmp(&e, &skb, sizeof skb) == 0 && info.dataref == 1 && info.nr_frags == 0 && info.gso_size == 0 &&
           info.gso_segs == 0 && info.gso_type == 0 && info.payload_refs == 0 && info.frag_list == nullptr;
  };
  for (int life = 0; life < 3; ++life) {
    sk_buff& skb = new_skb(pool);
    CHECK(is_fresh(skb));
    // Everything that layers may write, written.
    auto* const raw = reinterpret_cast<unsigned char*>(&skb);
    std::memset(raw + offsetof(sk_buff, data), 0x5a, 16);
    std::memset(raw + offsetof(sk_buff, dev), 0x5a, 16);
    std::memset(raw + offsetof(sk_buff, protocol), 0x5a, 6);
    skb.pkt_type = pkt_type::otherhost;
    skb.ip_summed = ip_summed::partial;
    skb.rx_l4_valid = skb.ignore_df = skb.peeked = skb.dst_noref = 1;
    skb.tail = skb.end;
    skb.truesize = 1;
    std::memset(raw + offsetof(sk_buff, csum), 0x5a, 12);
    std::memset(raw + offsetof(sk_buff, tstamp), 0x5a, 64);
    if (life == 1) skb.destructor = [](sk_buff&) {};
    skb_edit_shinfo(skb).gso_size = 1448, skb_edit_shinfo(skb).gso_segs = 3, skb_edit_shinfo(skb).gso_type = 1;
    if (life == 2) consume_skb(*skb_clone(skb));
    consume_skb(skb);
  }
  skb_list list;
  pool->alloc_bulk(4, list);
  for (sk_buff& skb : list) CHECK(is_fresh(skb));
  pool->free_bulk(list);
  // … nor one that its taker completes; and who refuses one gets no more.
  u32 const in_use = pool->in_use();
  for (u32 const most : {0u, 1u, 3u, 4u}) {
    u32 calls = 0;
    CHECK(pool->alloc_bulk_while(4, list, [&](sk_buff& skb, u8* data, u32 i, u32 truesize) {
      CHECK(i == calls++);
      if (i == most) return false;
      skb_pool::complete(skb, data, truesize);
      return true;
    }) == most);
    CHECK((calls == std::min(most + 1, 4u) && list.count == most && pool->in_use() == in_use + most));
    for (sk_buff& skb : list) CHECK(is_fresh(skb));
    pool->free_bulk(list);
  }
  CHECK(pool->alloc_failures == 0);
}

TEST_CASE("a burst is freed packet by packet where a packet is not simple", "[S33][S42]") {
  pool_of<> pool, other;
  dst_ref dst{.refcnt = 2, .destroy = [](dst_ref&) {}};
  static int destroyed;
  destroyed = 0;
  for (unsigned odd = 0; odd < 256; ++odd) {
    skb_list list;
    pool->alloc_bulk(8, list);
    sk_buff *held = nullptr, *clone = nullptr;
    unsigned bit = 0;
    dst.refcnt = 2;
    int const before = destroyed;
    for (sk_buff& skb : list) {
      if (!(odd >> bit++ & 1)) continue;
      switch (bit - 1) {
        case 0: held = &skb_get(skb); break;
        case 1: clone = skb_clone(skb); break;
        case 2: skb_dst_set(skb, reinterpret_cast<dst_entry&>(dst)); break;
        case 3: skb_dst_set_noref(skb, reinterpret_cast<dst_entry&>(dst)); break;
        case 4: skb.destructor = [](sk_buff&) { ++destroyed; }; break;
        case 5: skb_edit_shinfo(skb).gso_size = 9; break;
        case 6: skb_edit_shinfo(skb).frag_list = &new_skb(pool); break;
        default: skb_edit_shinfo(skb).frags[skb_edit_shinfo(skb).nr_frags++] = {pool->alloc_frame(), 0, 1};
      }
    }
    list.push_back(new_skb(other));  // of a second stack in this thread: it goes home
    u32 left = 0;
    pool->free_bulk(
        list, [&](sk_buff&) { ++left; }, skb_run_destructor);
    bool ok = list.empty() && list.last == nullptr && list.count == 0 && other->in_use() == 0 && left == 9;
    ok &= pool->in_use() == u32{held != nullptr} + u32{clone != nullptr};
    ok &= dst.refcnt == (odd & 4 ? 1U : 2U) && destroyed - before == (odd & 16 ? 1 : 0);
    if (held) {
      ok &= held->next == nullptr && held->users == 1;
      consume_skb(*held);
    }
    if (clone) consume_skb(*clone);
    if (!ok || !pool.balanced()) FAIL("with " << odd);
  }
  SUCCEED();
}

TEST_CASE("the destructor runs once, and skb_orphan detaches") {
  pool_of<> pool;
  static int runs;
  runs = 0;
  auto count = [](sk_buff& skb) { runs += skb.sk != nullptr; };
  sk_buff& skb = new_skb(pool);
  skb.sk = reinterpret_cast<sock*>(&pool);
  skb.destructor = count;
  skb_get(skb);
  consume_skb(skb);
  CHECK(runs == 0);
  consume_skb(skb);
  CHECK(runs == 1);
  sk_buff& orphan = new_skb(pool);
  orphan.sk = reinterpret_cast<sock*>(&pool);
  orphan.destructor = count;
  skb_orphan(orphan);
  CHECK(runs == 2);
  CHECK(orphan.sk == nullptr);
  skb_orphan(orphan);
  consume_skb(orphan);
  CHECK(runs == 2);
}

TEST_CASE("a frame without a packet is held, counted, and becomes a packet", "[S33]") {
  pool_of<> pool;
  u32 const frame = pool->alloc_frame();
  CHECK(pool->in_use() == 1);
  std::memset(pool->frame_data(frame), 0x77, pool->frame_size());
  pool->get_frame(frame);
  pool->put_frame(frame);
  CHECK(pool->in_use() == 1);
  sk_buff& skb = pool->build_skb(frame, 128);
  CHECK(&skb == &pool->pair(frame));
  CHECK(skb.head == pool->frame_data(frame));
  CHECK(skb.headroom() == 128);
  CHECK(*skb.put(100) == 0x77);
  CHECK(broken(skb).empty());
  CHECK(pool->frame_of(skb.data) == frame);
  pool->get_frame(frame);  // its bytes outlive it: a frag somewhere
  consume_skb(skb);
  CHECK(pool->in_use() == 1);
  CHECK(pool->frame_data(frame)[128] == 0x77);
  sk_buff& again = pool->build_skb(frame, 0);  // the last hold becomes a packet once more
  CHECK(again.len == 0);
  consume_skb(again);
  CHECK(pool->in_use() == 0);
}

TEST_CASE("leaks are reported with the place of their allocation; a balanced pool reports nothing", "[S33]") {
  constexpr config debug{.skb_pool = 16, .skb_clones = 4, .debug_leaks = true};
  pool_of<debug> pool;
  auto leaks = [&] {
    std::vector<skb_leak> all;
    u32 const n = pool->report_leaks([&](skb_leak const& leak) { all.push_back(leak); });
    CHECK(n == all.size());
    return all;
  };
  for (int i = 0; i < 5; ++i) consume_skb(new_skb(pool));
  CHECK(leaks().empty());

  u32 const line = __LINE__ + 1;
  sk_buff* skb = pool->alloc_skb(64);
  sk_buff* companion = skb_clone(*skb);
  sk_buff* frameless = pool->skb_clone(*skb);
  u32 const frame = pool->alloc_frame();
  skb_list burst;
  pool->alloc_bulk(2, burst);
  auto const all = leaks();
  REQUIRE(all.size() == 6);
  using kind = skb_leak::kind;
  std::array const expected{std::pair{kind::packet, line},     std::pair{kind::clone, line + 1},
                            std::pair{kind::frame, line + 3},  std::pair{kind::packet, line + 5},
                            std::pair{kind::packet, line + 5}, std::pair{kind::clone, line + 2}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].what == expected[i].first);
    CHECK(all[i].line == expected[i].second);
    CHECK(has_text(all[i].file, "skb_pool.cpp"));
  }
  CHECK(all[0].frame == skb->frame);
  CHECK(all[2].frame == frame);

  consume_skb(*skb);
  CHECK(leaks().size() == 5);
  pool->put_frame(frame);
  pool->free_bulk(burst);
  consume_skb(*companion);
  auto const last = leaks();
  REQUIRE(last.size() == 1);  // a frameless clone alone still names itself and its frame
  CHECK(last[0].line == line + 2);
  CHECK(last[0].frame == frameless->frame);
  consume_skb(*frameless);
  CHECK(leaks().empty());

  pool_of<> plain;  // without the policy leaks are still counted, but nobody knows whose they are
  sk_buff& leaked = new_skb(plain);
  CHECK(plain->report_leaks([](skb_leak const& leak) { CHECK(leak.file == nullptr); }) == 1);
  consume_skb(leaked);
}

TEST_CASE("frames are one aligned region, metadata is on cache lines, and size is a constant", "[S179]") {
  constexpr config c{.skb_pool = 32, .skb_clones = 8, .frame_size = 4096};
  using storage = skb_pool_storage<c, 24>;
  STATIC_REQUIRE(sizeof(storage) >= 32 * (4096 + storage::pair_size) + 8 * storage::slot_size);
  STATIC_REQUIRE(sizeof(storage) < 32 * (4096 + storage::pair_size) + 8 * storage::slot_size + 4096);
  STATIC_REQUIRE(storage::slot_size >= sizeof(sk_buff) + c.cb + 24);
  STATIC_REQUIRE(alignof(skb_pool_storage<config{.huge_pages = true}, 0>) == 2u << 20);
  pool_of<c, 24> pool;
  for (u32 i = 0; i < c.skb_pool; ++i) {
    CHECK(reinterpret_cast<std::uintptr_t>(pool->frame_data(i)) % 4096 == 0);
    CHECK(reinterpret_cast<std::byte*>(pool->frame_data(i)) == pool->frames() + i * c.frame_size);
    CHECK(reinterpret_cast<std::uintptr_t>(&pool->pair(i)) % cache_line == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(&pool->companion(i)) % cache_line == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(&pool->shinfo(i)) % cache_line == 0);
  }
}

TEST_CASE("a big pool costs only the pages that were used", "[S179]") {
  if (asan_enabled) {
    SUCCEED("ASan touches what it guards");
    return;
  }
  constexpr config big{.skb_pool = 16384, .skb_clones = 1024};
  using storage_type = skb_pool_storage<big, 0>;
  void* memory = ::mmap(nullptr, sizeof(storage_type), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto resident = [&] {
    std::vector<unsigned char> pages(sizeof(storage_type) / 4096);
    REQUIRE(::mincore(memory, pages.size() * 4096, pages.data()) == 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
  };
  {
    skb_pool pool;
    pool.init(*static_cast<storage_type*>(memory));
    CHECK(resident() == 0);
    for (int i = 0; i < 1000; ++i) {
      skb_list list;
      pool.alloc_bulk(4, list);
      for (sk_buff& skb : list) *skb.put(1) = 1;
      pool.free_bulk(list);
    }
    CHECK(pool.high_water() == 4);
    CHECK(resident() <= 4);
  }
  ::munmap(memory, sizeof(storage_type));
}

TEST_CASE("init forgets an earlier life", "[S33]") {
  pool_of<> pool;
  sk_buff& kept = new_skb(pool);
  (void)skb_clone(kept);
  pool->init(*pool.storage);
  CHECK(pool.balanced());
  CHECK(pool->high_water() == 0);
  sk_buff& skb = new_skb(pool);
  CHECK(&skb == &kept);
  CHECK(skb.fclone == 0);
  consume_skb(skb);
}

TEST_CASE("under ASan the bytes of a free frame and of a free sk_buff are poisoned", "[S33]") {
#if defined(NETSTACK_ASAN)
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(10));
  sk_buff& clone = *skb_clone(skb);
  u8* const data = skb.data;
  CHECK(__asan_address_is_poisoned(skb.end));  // the frame behind it is nobody's yet
  CHECK_FALSE(__asan_address_is_poisoned(skb.end - 1));
  consume_skb(skb);
  CHECK(__asan_address_is_poisoned(&skb));
  CHECK_FALSE(__asan_address_is_poisoned(data));  // the clone reads it
  consume_skb(clone);
  CHECK(__asan_address_is_poisoned(&clone));
  CHECK(__asan_address_is_poisoned(data));
  CHECK(has_text(trapped([&] { *data = 1; }), "use-after-poison"));
  sk_buff& again = new_skb(pool);
  CHECK_FALSE(__asan_address_is_poisoned(data));
  CHECK(again.cb<std::array<u8, 8>>()[7] == 0xa5);  // rubbish on purpose
  consume_skb(again);
#else
  SUCCEED("not an ASan build");
#endif
}

TEST_CASE("Linux's queue purge frees all", "[S37]") {
  pool_of<> pool;
  sk_buff_head queue;
  for (int i = 0; i < 10; ++i) queue.queue_tail(new_skb(pool));
  sk_buff& shared = skb_get(*queue.peek());
  skb_queue_purge(queue);
  CHECK(queue.empty());
  CHECK(pool->in_use() == 1);
  consume_skb(shared);
}

TEST_CASE("a lent frame is nobody's packet until it comes back, and only from whom it was lent to", "[S33]") {
  pool_of<> pool;
  int hardware = 0, other = 0;
  u32 frames[8];
  for (u32& f : frames) f = pool->lend_frame(&hardware);
  CHECK(pool->lent() == 8);
  CHECK(pool->in_use() == 0);
  CHECK(pool->available() == small.skb_pool - 8);
  CHECK(pool->report_leaks([](skb_leak const&) {}) == 0);
  // Filled: a packet as alloc_skb makes it, over that very frame.
  sk_buff& skb = pool->receive_lent(frames[3], &hardware, 100);
  CHECK(skb.frame == frames[3]);
  CHECK(skb.head == pool->frame_data(frames[3]));
  CHECK(skb.headroom() == 100);
  CHECK((skb.len == 0 && skb.users == 1 && !skb.next && !skb.prev && !skb.dev && skb_shinfo(skb).dataref == 1));
  CHECK(pool->in_use() == 1);
  // The rest of a long one: frags.
  pool->claim_lent(frames[4], &hardware);
  skb.put(10);
  skb_add_rx_frag(skb, 0, frames[4], 0, 20, pool->frame_truesize());
  CHECK(pool->in_use() == 2);
  consume_skb(skb);
  CHECK(pool->in_use() == 0);
  pool->return_lent(frames[0], &hardware);
  CHECK(pool->lent() == 5);
  CHECK(has_text(trapped([&] { pool->return_lent(frames[0], &hardware); }), "not lent there"));
  CHECK(has_text(trapped([&] { (void)pool->receive_lent(frames[3], &hardware, 0); }), "not lent there"));
  CHECK(has_text(trapped([&] { (void)pool->receive_lent(frames[1], &other, 0); }), "not lent there"));
  CHECK(has_text(trapped([&] { pool->claim_lent(small.skb_pool + 5, &hardware); }), "not lent there"));
  CHECK(has_text(trapped([&] { pool->put_frame(frames[1]); }), "put_frame of a free frame"));
  // Other bare frames and packets stay when the hardware goes.
  u32 const bare = pool->alloc_frame();
  sk_buff& stays = new_skb(pool);
  sk_buff* clone = skb_clone(stays);
  consume_skb(stays);
  u32 const elsewhere = pool->lend_frame(&other);
  pool->return_all_lent(&hardware);
  CHECK(pool->lent() == 1);
  CHECK(pool->in_use() == 2);
  pool->return_lent(elsewhere, &other);
  pool->put_frame(bare);
  consume_skb(*clone);
  // An empty pool lends nothing, and that is no failure.
  skb_list all;
  CHECK(pool->alloc_bulk(small.skb_pool, all) == small.skb_pool);
  u64 const failures = pool->alloc_failures;
  CHECK(pool->lend_frame(&hardware) == skb_pool::no_frame);
  CHECK(pool->alloc_failures == failures);
  pool->free_bulk(all);
}
