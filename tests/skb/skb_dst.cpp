// SPDX-License-Identifier: BSL-1.0
// A packet's route: held, borrowed, forced, copied, and let go once.
#include "netstack/skb/skb_dst.hpp"

#include "netstack/skb/skb_copy.hpp"
#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {
int destroyed = 0;
struct route : dst_ref {
  route() : dst_ref{1, [](dst_ref&) { ++destroyed; }} {}
  dst_entry& dst() { return *reinterpret_cast<dst_entry*>(static_cast<dst_ref*>(this)); }
};
}  // namespace

TEST_CASE("a packet's reference to its route is let go exactly once") {
  pool_of<> pool;
  route r;
  destroyed = 0;
  sk_buff& skb = new_skb(pool);
  ++r.refcnt;
  skb_dst_set(skb, r.dst());
  CHECK(skb_dst(skb) == &r.dst());
  CHECK_FALSE(skb_dst_is_noref(skb));
  sk_buff& clone = *skb_clone(skb);
  sk_buff& copy = *skb_copy(skb);
  CHECK(r.refcnt == 4);
  consume_skb(copy);
  consume_skb(clone);
  CHECK(r.refcnt == 2);
  skb_get(skb);
  consume_skb(skb);
  CHECK(r.refcnt == 2);
  consume_skb(skb);
  CHECK(r.refcnt == 1);
  CHECK(destroyed == 0);
  sk_buff& last = new_skb(pool);
  skb_dst_set(last,
              r.dst());  // hands over the reference of the route table: the route is gone, the packet still queued
  CHECK(destroyed == 0);
  consume_skb(last);
  CHECK(r.refcnt == 0);
  CHECK(destroyed == 1);
}

TEST_CASE("a borrowed route costs no reference until it is forced") {
  pool_of<> pool;
  route r, other;
  destroyed = 0;
  sk_buff& skb = new_skb(pool);
  CHECK_FALSE(skb_dst_force(skb));
  skb_dst_set_noref(skb, r.dst());
  sk_buff& clone = *skb_clone(skb);
  sk_buff& copy = *skb_copy(skb);
  CHECK((skb_dst_is_noref(clone) && skb_dst_is_noref(copy)));
  CHECK(r.refcnt == 1);
  consume_skb(clone);
  consume_skb(copy);
  CHECK(r.refcnt == 1);
  CHECK(skb_dst_force(skb));
  CHECK(skb_dst_force(skb));  // twice is once
  CHECK(r.refcnt == 2);
  CHECK_FALSE(skb_dst_is_noref(skb));
  skb_dst_set_noref(skb, other.dst());  // another route: the first is let go
  CHECK(r.refcnt == 1);
  skb_dst_drop(skb);
  CHECK(skb_dst(skb) == nullptr);
  CHECK(other.refcnt == 1);
  skb_dst_drop(skb);
  consume_skb(skb);
  CHECK(destroyed == 0);

  dst_ref forever{.refcnt = 1, .destroy = nullptr};
  sk_buff& last = new_skb(pool);
  skb_dst_set(last, *reinterpret_cast<dst_entry*>(&forever));
  consume_skb(last);
  CHECK(forever.refcnt == 0);
}
