// SPDX-License-Identifier: BSL-1.0
// Bursts and queues against std::deque.
#include "netstack/skb/skb_list.hpp"

#include <algorithm>
#include <deque>

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

/// Packets for linking only: no pool, just zeroed storage.
struct packets {
  std::vector<sk_buff> all = std::vector<sk_buff>(40);
  std::vector<sk_buff*> idle;
  packets() {
    for (auto& skb : all) idle.push_back(&skb);
  }
  sk_buff& take() {
    sk_buff* skb = idle.back();
    idle.pop_back();
    return *skb;
  }
};

std::deque<sk_buff*> forward(sk_buff_head const& q) {
  std::deque<sk_buff*> seen;
  for (sk_buff* skb = q.peek(); skb; skb = q.after(*skb)) seen.push_back(skb);
  return seen;
}
std::deque<sk_buff*> backward(sk_buff_head const& q) {
  std::deque<sk_buff*> seen;
  for (sk_buff* skb = q.peek_tail(); skb; skb = q.before(*skb)) seen.push_front(skb);
  return seen;
}

}  // namespace

TEST_CASE("a queue does what a deque does, and its length is exact", "[S37][S182]") {
  std::mt19937 random(37);
  packets pool;
  sk_buff_head queues[2];
  std::deque<sk_buff*> oracles[2];
  auto pick = [&](std::deque<sk_buff*> const& d) { return random() % d.size(); };
  for (int step = 0; step < 50'000; ++step) {
    unsigned const which = random() % 2;
    auto& q = queues[which];
    auto& d = oracles[which];
    bool ok = true;
    switch (random() % 14) {
      case 0:
      case 1:
        if (!pool.idle.empty()) d.push_back(&pool.take()), skb_queue_tail(q, *d.back());
        break;
      case 2:
        if (!pool.idle.empty()) d.push_front(&pool.take()), skb_queue_head(q, *d.front());
        break;
      case 3: {
        sk_buff* skb = skb_dequeue(q);
        ok = skb == (d.empty() ? nullptr : d.front());
        if (skb) d.pop_front(), pool.idle.push_back(skb);
        break;
      }
      case 4: {
        sk_buff* skb = skb_dequeue_tail(q);
        ok = skb == (d.empty() ? nullptr : d.back());
        if (skb) d.pop_back(), pool.idle.push_back(skb);
        break;
      }
      case 5:
        if (!d.empty()) {
          auto const at = static_cast<std::ptrdiff_t>(pick(d));
          sk_buff* skb = d[static_cast<std::size_t>(at)];
          skb_unlink(*skb, q);
          ok = !skb->next && !skb->prev;
          d.erase(d.begin() + at);
          pool.idle.push_back(skb);
        }
        break;
      case 6:
        if (!d.empty() && !pool.idle.empty()) {
          auto const at = static_cast<std::ptrdiff_t>(pick(d));
          sk_buff& skb = pool.take();
          skb_append(*d[static_cast<std::size_t>(at)], skb, q);
          d.insert(d.begin() + at + 1, &skb);
        }
        break;
      case 7:
        if (!d.empty() && !pool.idle.empty()) {
          auto const at = static_cast<std::ptrdiff_t>(pick(d));
          sk_buff& skb = pool.take();
          skb_insert(*d[static_cast<std::size_t>(at)], skb, q);
          d.insert(d.begin() + at, &skb);
        }
        break;
      case 8:
        if (random() % 8 == 0) {
          auto& other = oracles[1 - which];
          skb_queue_splice_tail_init(queues[1 - which], q);
          d.insert(d.end(), other.begin(), other.end());
          other.clear();
        }
        break;
      case 9:
        if (random() % 8 == 0) {
          auto& other = oracles[1 - which];
          skb_queue_splice_init(queues[1 - which], q);
          d.insert(d.begin(), other.begin(), other.end());
          other.clear();
        }
        break;
      case 10: {  // unlink every third while walking
        unsigned n = 0;
        for (sk_buff& skb : q)
          if (n++ % 3 == 0) {
            skb_unlink(skb, q);
            pool.idle.push_back(&skb);
            d.erase(std::find(d.begin(), d.end(), &skb));
          }
        break;
      }
      case 11:
        ok = skb_peek(q) == (d.empty() ? nullptr : d.front()) && skb_peek_tail(q) == (d.empty() ? nullptr : d.back());
        break;
      case 12: {  // a burst, which knows its links backwards or not
        bool const linked = random() % 2 != 0;
        skb_list burst;
        for (auto n = random() % 4; n != 0 && !pool.idle.empty(); --n) {
          sk_buff& skb = pool.take();
          if (linked) skb.prev = burst.last;
          burst.push_back(skb);
          d.push_back(&skb);
        }
        linked ? q.queue_linked(burst) : q.queue_tail(burst);
        ok = burst.empty() && burst.count == 0;
        break;
      }
      case 13:
        if (!d.empty()) {
          auto const n = pick(d) + 1;
          skb_list burst = q.dequeue_to(*d[n - 1], static_cast<u32>(n));
          ok = burst.count == n && burst.last == d[n - 1] && !burst.last->next;
          for (sk_buff& skb : burst) {
            ok &= &skb == d.front();
            skb.next = skb.prev = nullptr;
            pool.idle.push_back(&skb);
            d.pop_front();
          }
        }
        break;
    }
    ok = ok && skb_queue_len(q) == d.size() && skb_queue_empty(q) == d.empty() && forward(q) == d && backward(q) == d;
    if (!ok) FAIL("queue and deque differ at step " << step);
  }
  SUCCEED();
}

TEST_CASE("a queue in one word does what a deque does", "[S37]") {
  std::mt19937 random(38);
  packets pool;
  skb_ring q;
  std::deque<sk_buff*> d;
  for (int step = 0; step < 5'000; ++step) {
    bool ok = true;
    if (random() % 2 == 0) {
      if (!pool.idle.empty()) d.push_back(&pool.take()), q.queue_tail(*d.back());
    } else {
      sk_buff* const skb = q.dequeue();
      ok = skb == (d.empty() ? nullptr : d.front()) && (!skb || !skb->next);
      if (skb) d.pop_front(), pool.idle.push_back(skb);
    }
    ok = ok && q.empty() == d.empty() && q.qlen() == d.size() && q.peek() == (d.empty() ? nullptr : d.front());
    if (!ok) FAIL("step " << step);
  }
  CHECK(q.qlen() == d.size());
}

TEST_CASE("a packet cannot be in two queues", "[S37]") {
  packets pool;
  sk_buff_head a, b;
  sk_buff& skb = pool.take();
  a.queue_tail(skb);
  CHECK(has_text(trapped([&] { b.queue_tail(skb); }), "packet queued twice"));
  CHECK(has_text(trapped([&] { a.queue_head(skb); }), "packet queued twice"));
  a.unlink(skb);
  b.queue_tail(skb);
  CHECK(b.qlen() == 1);
}

TEST_CASE("every packet of a walk may be freed or moved by the loop's body", "[S182]") {
  packets pool;
  sk_buff_head from, to;
  std::deque<sk_buff*> order;
  for (int i = 0; i < 10; ++i) order.push_back(&pool.take()), from.queue_tail(*order.back());
  for (sk_buff& skb : from) {
    from.unlink(skb);
    std::memset(static_cast<void*>(&skb), 0xee, sizeof skb);  // as if freed and used again
    skb.next = skb.prev = nullptr;
    to.queue_tail(skb);
  }
  CHECK(from.empty());
  CHECK(forward(to) == order);
}

TEST_CASE("a burst keeps its order, count and end", "[S37]") {
  packets pool;
  skb_list a, b;
  std::deque<sk_buff*> order;
  for (int i = 0; i < 5; ++i) order.push_back(&pool.take()), a.push_back(*order.back());
  for (int i = 0; i < 3; ++i) order.push_back(&pool.take()), b.push_back(*order.back());
  CHECK(a.count == 5);
  a.splice(b);
  CHECK(b.empty());
  CHECK(b.last == nullptr);
  CHECK(b.count == 0);
  a.splice(b);
  CHECK(a.count == 8);
  std::deque<sk_buff*> seen;
  for (sk_buff& skb : a) seen.push_back(&skb);
  CHECK(seen == order);
  b.splice(a);
  for (sk_buff* expected : order) {
    sk_buff* skb = b.pop_front();
    CHECK(skb == expected);
    CHECK(skb->next == nullptr);
  }
  CHECK(b.pop_front() == nullptr);
  CHECK(b.last == nullptr);
  CHECK(b.count == 0);
  b.push_back(*order[3]);
  CHECK((b.first == order[3] && b.last == order[3] && b.count == 1));
}
