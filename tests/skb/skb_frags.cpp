// SPDX-License-Identifier: BSL-1.0
// Frags: who holds their frames, what they cost, and packets larger than they reach.
#include "netstack/skb/skb_frags.hpp"

#include "netstack/skb/skb_walk.hpp"
#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("a frag takes over the hold on its frame, and its cost is in truesize", "[S39][S46]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(20));
  u32 const cost = skb.truesize;
  CHECK(cost == pool->frame_truesize());
  u32 const frame = pool->alloc_frame();
  skb_add_rx_frag(skb, 0, frame, 100, 500, pool->frame_truesize());
  CHECK(skb.len == 520);
  CHECK(skb.data_len == 500);
  CHECK(skb.truesize == 2 * cost);
  CHECK(broken(skb).empty());
  CHECK_FALSE(skb_can_coalesce(skb, 0, frame, 600));
  CHECK(skb_can_coalesce(skb, 1, frame, 600));
  CHECK_FALSE(skb_can_coalesce(skb, 1, frame, 601));
  CHECK_FALSE(skb_can_coalesce(skb, 1, frame + 1, 600));
  skb_coalesce_rx_frag(skb, 0, 50, 0);
  CHECK(skb.len == 570);
  CHECK(skb_shinfo(skb).frags[0].size == 550);
  CHECK(skb.truesize == 2 * cost);
  CHECK(broken(skb).empty());
  skb_frag_ref(skb, 0);
  consume_skb(skb);
  CHECK(pool->in_use() == 1);
  pool->put_frame(frame);
  CHECK(pool->in_use() == 0);
}

TEST_CASE("a frag beyond its frame, or one too many, is trapped", "[S39]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool);
  u32 const frame = pool->alloc_frame(), size = pool->frame_size();
  CHECK(trapped([&] { skb_fill_frag(skb, max_skb_frags - 1, frame, 0, size); }) == "");
  CHECK(has_text(trapped([&] { skb_fill_frag(skb, max_skb_frags, frame, 0, 1); }), "more frags"));
  CHECK(has_text(trapped([&] { skb_fill_frag(skb, 0, frame, 1, size); }), "frag beyond its frame"));
  CHECK(has_text(trapped([&] { skb_fill_frag(skb, 0, frame, ~0U, 2); }), "frag beyond its frame"));
  CHECK(has_text(trapped([&] {
                   skb_add_rx_frag(skb, 0, frame, 10, size - 10, 0);
                   skb_coalesce_rx_frag(skb, 0, 1, 0);
                 }),
                 "frag beyond its frame"));
  pool->put_frame(frame);
  consume_skb(skb);
}

TEST_CASE("a packet of any size is built over frames, and its cost is exact", "[S39][S46]") {
  pool_of<config{.skb_pool = 100}> pool;
  u32 const frame = pool->frame_size(), cost = pool->frame_truesize();
  for (u32 size : {0U, 1U, frame, frame + 1, 65'535U, max_skb_frags * frame, max_skb_frags * frame + 1, 90 * frame}) {
    CAPTURE(size);
    sk_buff* skb = alloc_skb_with_frags(pool, 128, 40, size);
    REQUIRE(skb != nullptr);
    CHECK(skb->headroom() == 128);
    CHECK(skb->headlen() == 40);
    CHECK(skb->data_len == size);
    CHECK(broken(*skb).empty());
    CHECK(skb->truesize == pool->in_use() * cost);
    CHECK(skb_has_frag_list(*skb) == (size > max_skb_frags * frame));
    bytes const data = pattern(size + 40);
    REQUIRE(skb_store_bits(*skb, 0, data.data(), size + 40));
    CHECK(bytes_of(*skb) == data);
    consume_skb(*skb);
    CHECK(pool->in_use() == 0);
  }
}

TEST_CASE("a pool that ends in the middle keeps nothing of the packet", "[S34][S39]") {
  pool_of<config{.skb_pool = 60}> pool;
  u32 const frame = pool->frame_size();
  CHECK(alloc_skb_with_frags(pool, 64, 10, 60 * frame) == nullptr);
  CHECK(pool->in_use() == 0);
  CHECK(pool->alloc_failures == 1);
  skb_list rest;
  pool->alloc_bulk(50, rest);
  for (u32 frames = 0; frames < 10; ++frames) {
    sk_buff* skb = alloc_skb_with_frags(pool, 64, 0, frames * frame);
    CHECK((skb != nullptr) == (frames < 10));
    if (skb) consume_skb(*skb);
    CHECK(pool->in_use() == 50);
  }
  CHECK(alloc_skb_with_frags(pool, 64, 0, 10 * frame) == nullptr);
  pool->alloc_bulk(10, rest);
  CHECK(alloc_skb_with_frags(pool, 64, 0, 0) == nullptr);
  pool->free_bulk(rest);
}
