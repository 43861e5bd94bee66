// SPDX-License-Identifier: BSL-1.0
// The intrusive lists against std::deque: order, membership, and removal while walking.
#include "netstack/core/list.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;

namespace {

struct item {
  u32 id = 0;
  list_head all{};
  list_head some{};
  slist_head queued{};
};
using all_items = list<item, &item::all>;
using some_items = list<item, &item::some>;
using item_queue = slist<item, &item::queued>;

template <class List>
bool same(List const& entries, std::deque<u32> const& expected) {
  return std::equal(entries.begin(), entries.end(), expected.begin(), expected.end(),
                    [](item const& i, u32 id) { return i.id == id; });
}

TEST_CASE("list: the walk survives removal of the entry it stands on", "[S182][list]") {
  std::mt19937_64 rng{1};
  for (u32 round = 0; round < 200; ++round) {
    u32 const n = round < 8 ? round : static_cast<u32>(rng() % 50);
    std::vector<std::unique_ptr<item>> owned;
    all_items entries;
    std::deque<u32> kept;
    u32 const pattern = static_cast<u32>(rng());
    for (u32 id = 0; id < n; ++id) {
      owned.push_back(std::make_unique<item>());
      owned.back()->id = id;
      entries.push_back(*owned.back());
      if (!(pattern >> id % 32 & 1)) kept.push_back(id);
    }
    u32 visited = 0;
    list_for_each_entry_safe(entries, [&](item& i) {
      CHECK(i.id == visited++);
      if (pattern >> i.id % 32 & 1) {
        entries.erase(entries.iterator_to(i));
        owned[i.id].reset();  // freed memory: touching it again would be seen
      }
    });
    CHECK(visited == n);
    CHECK(same(entries, kept));
    entries.clear();
  }
}

TEST_CASE("list: random operations agree with a deque, on two lists at once", "[S182][list]") {
  std::mt19937_64 rng{2};
  std::vector<item> items(64);
  all_items all;
  some_items some;
  std::deque<u32> expect_all, expect_some;
  for (u32 i = 0; i < items.size(); ++i) items[i].id = i;
  auto toggle = [&rng](auto& entries, auto& expected, item& i) {
    auto const at = std::find(expected.begin(), expected.end(), i.id);
    if (at != expected.end()) {
      entries.erase(entries.iterator_to(i));
      expected.erase(at);
    } else if (rng() % 2) {
      entries.push_back(i);
      expected.push_back(i.id);
    } else {
      entries.push_front(i);
      expected.push_front(i.id);
    }
  };
  bool equal = true;
  for (u32 op = 0; op < 100'000; ++op) {
    item& i = items[rng() % items.size()];
    if (rng() % 2)
      toggle(all, expect_all, i);
    else
      toggle(some, expect_some, i);
    if (op % 64 == 0) equal = equal && same(all, expect_all) && same(some, expect_some);
  }
  CHECK(equal);
  CHECK(expect_all.size() + expect_some.size() > 10);
  all_items spliced;
  spliced.splice(spliced.end(), all);
  CHECK(all.empty());
  CHECK(same(spliced, expect_all));
  spliced.clear();
  some.clear();
}

TEST_CASE("list: the singly linked list is a FIFO", "[S182][list]") {
  std::vector<item> items(10);
  item_queue queue;
  for (u32 i = 0; i < 10; ++i) {
    items[i].id = i;
    queue.push_back(items[i]);
  }
  for (u32 i = 0; i < 10; ++i) {
    CHECK(queue.front().id == i);
    queue.pop_front();
  }
  CHECK(queue.empty());
}

}  // namespace
