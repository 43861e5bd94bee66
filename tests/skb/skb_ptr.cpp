// SPDX-License-Identifier: BSL-1.0
// Ownership at the edges.
#include "netstack/skb/skb_ptr.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("an skb_ptr returns its packet once, and costs a pointer", "[S33]") {
  STATIC_REQUIRE(sizeof(skb_ptr) == sizeof(void*));
  pool_of<> pool;
  {
    skb_ptr p(pool->alloc_skb());
    skb_ptr q = std::move(p);
    CHECK_FALSE(p);
    CHECK(pool->in_use() == 1);
    sk_buff_head queue;
    queue.queue_tail(*q.release());
    CHECK(pool->in_use() == 1);
    q.reset(queue.dequeue());
    skb_ptr second_hold(&skb_get(*q));
    q.reset();
    CHECK(pool->in_use() == 1);
  }
  CHECK(pool->in_use() == 0);
}
