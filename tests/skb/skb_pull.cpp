// SPDX-License-Identifier: BSL-1.0
// Scattered bytes become linear, and packets are cut, without a byte changed.
#include "netstack/skb/skb_pull.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("may_pull makes a header linear wherever it lies", "[S38][S39]") {
  pool_of<config{.skb_pool = 256}> pool;
  std::mt19937 random(38);
  bool right = true;
  for (int round = 0; round < 500; ++round) {
    u32 const size = static_cast<u32>(random() % 3000);
    bytes const data = pattern(size, random());
    sk_buff* skb = scattered(pool, data, random);
    for (u32 want : {0U, 1U, 14U, 20U, 40U, 300U, 1000U}) {
      u32 const linear = skb->headlen();
      u8 const* const head = skb->head;
      bool const done = pskb_may_pull(*skb, want);
      right &= done == (want <= size) && bytes_of(*skb) == data && broken(*skb).empty();
      right &= skb->headlen() == (done ? std::max(linear, want) : linear);
      right &= !done || std::equal(data.begin(), data.begin() + want, skb->data);
      right &= skb->head == head;  // there was room: nothing moved
    }
    consume_skb(*skb);
    if (!right) FAIL("in round " << round);
  }
  SUCCEED();
}

TEST_CASE("a pull frees what it emptied and leaves clones and holders of the list as they were", "[S36][S39]") {
  pool_of<config{.skb_pool = 256, .skb_clones = 64}> pool;
  std::mt19937 random(39);
  bool right = true;
  for (int round = 0; round < 500; ++round) {
    bytes const data = pattern(1700, random());
    sk_buff* skb = scattered(pool, data, random);
    sk_buff* other = round % 3 == 0 ? skb_clone(*skb) : round % 3 == 1 ? pskb_copy(*skb) : nullptr;
    u32 const n = static_cast<u32>(random() % 1701);
    right &= pskb_may_pull(*skb, n) && bytes_of(*skb) == data && broken(*skb).empty();
    right &= skb_linearize(*skb).has_value() && !skb->is_nonlinear() && bytes_of(*skb) == data;
    if (other) right &= bytes_of(*other) == data && broken(*other).empty();
    if (skb->headlen() && !skb_cloned(*skb)) skb->data[0] = static_cast<u8>(~skb->data[0]);
    if (other) right &= bytes_of(*other) == data;
    u32 const mine = skb->fclone ? 2 : 1;
    if (!other) right &= pool->in_use() == mine;
    consume_skb(*skb);
    if (other) consume_skb(*other);
    right &= pool->in_use() == 0;
    if (!right) FAIL("in round " << round);
  }
  SUCCEED();
}

TEST_CASE("what does not fit into a frame is refused, and headroom is given up before that", "[S39]") {
  pool_of<config{.skb_pool = 128}> pool;
  std::mt19937 random(40);
  u32 const frame = pool->frame_size();
  for (u32 size : {frame - 300, frame - 64, frame - 14, frame - 13, frame, frame + 1}) {
    for (bool cloned : {false, true}) {
      CAPTURE(size, cloned);
      bytes const data = pattern(size);
      sk_buff* skb = scattered(pool, {data.begin(), data.begin() + 200}, random, 0);
      bytes const rest(data.begin() + 200, data.end());
      sk_buff* tail = scattered(pool, rest, random, 1);
      sk_buff** link = &skb_edit_shinfo(*skb).frag_list;
      *link = tail;
      skb->len += tail->len, skb->data_len += tail->len, skb->truesize += tail->truesize;
      // A link-layer header in front of data must survive.
      bytes const mac = pattern(14, 99);
      skb->mac_header = skb->offset_of(-14);
      std::copy(mac.begin(), mac.end(), skb->data - 14);
      sk_buff* clone = cloned ? skb_clone(*skb) : nullptr;
      u32 const truesize = skb->truesize;

      bool const fits = size + 14 <= frame;
      auto r = skb_linearize(*skb);
      CHECK(r.has_value() == fits);
      if (!fits) CHECK(r.error() == std::errc::no_buffer_space);
      CHECK(skb->is_nonlinear() == !fits);
      CHECK(bytes_of(*skb) == data);
      CHECK(skb->mac_offset() == -14);
      CHECK(std::equal(mac.begin(), mac.end(), skb->mac_hdr<u8>()));
      CHECK(skb->truesize == truesize);
      CHECK(broken(*skb).empty());
      if (clone) {
        CHECK(bytes_of(*clone) == data);
        consume_skb(*clone);
      }
      consume_skb(*skb);
      CHECK(pool->in_use() == 0);
    }
  }
}

TEST_CASE("trim cuts anywhere, and clones keep the rest", "[S36][S38][S39]") {
  pool_of<config{.skb_pool = 256, .skb_clones = 64}> pool;
  std::mt19937 random(41);
  bool right = true;
  for (int round = 0; round < 1000; ++round) {
    bytes data = pattern(random() % 6000, random());
    sk_buff* skb = scattered(pool, data, random);
    sk_buff* other = round % 3 == 0 ? skb_clone(*skb) : round % 3 == 1 ? pskb_copy(*skb) : nullptr;
    bytes const all = data;
    u32 const truesize = skb->truesize;
    for (int cut = 0; cut < 3; ++cut) {
      u32 const n = static_cast<u32>(random() % (data.size() + 10));
      right &= pskb_trim(*skb, n).has_value();
      data.resize(std::min<std::size_t>(n, data.size()));
      right &= bytes_of(*skb) == data && broken(*skb).empty() && skb->truesize == truesize;
      if (other) right &= bytes_of(*other) == all && broken(*other).empty();
    }
    consume_skb(*skb);
    if (other) consume_skb(*other);
    right &= pool->in_use() == 0 && pool->clones_in_use() == 0;
    if (!right) FAIL("in round " << round);
  }
  SUCCEED();
}

TEST_CASE("pskb_pull drops bytes from the front, wherever they lie", "[S38]") {
  pool_of<config{.skb_pool = 64}> pool;
  std::mt19937 random(42);
  for (int round = 0; round < 100; ++round) {
    bytes data = pattern(1500, random());
    sk_buff* skb = scattered(pool, data, random);
    u32 const n = static_cast<u32>(random() % 1501);
    CHECK(pskb_pull(*skb, n));
    CHECK(bytes_of(*skb) == bytes(data.begin() + n, data.end()));
    CHECK_FALSE(pskb_pull(*skb, 1501 - n));
    CHECK(skb->len == 1500 - n);
    consume_skb(*skb);
  }
}

TEST_CASE("ensure_writable makes a prefix linear and private, with as little copying as that takes", "[S36]") {
  pool_of<config{.skb_pool = 64}> pool;
  std::mt19937 random(43);
  bytes const data = pattern(1200);
  for (int round = 0; round < 100; ++round) {
    sk_buff* skb = scattered(pool, data, random);
    sk_buff* clone = round & 1 ? skb_clone(*skb) : nullptr;
    u32 const n = static_cast<u32>(random() % 1201);
    REQUIRE(skb_ensure_writable(*skb, n));
    CHECK(skb->headlen() >= n);
    CHECK_FALSE(skb_cloned(*skb));
    std::memset(skb->data, 0, n);
    if (clone) {
      CHECK(bytes_of(*clone) == data);
      consume_skb(*clone);
    }
    u8* const at = skb->data;
    REQUIRE(skb_ensure_writable(*skb, n));
    CHECK(skb->data == at);
    CHECK(skb_ensure_writable(*skb, 1201).error() == std::errc::invalid_argument);
    consume_skb(*skb);
  }
  sk_buff& linear = new_skb(pool, data);
  sk_buff& clone = *skb_clone(linear);
  REQUIRE(skb_linearize(clone));  // linear already, and reading is all it wants
  CHECK(clone.head == linear.head);
  REQUIRE(skb_linearize_cow(clone));
  CHECK(clone.head != linear.head);
  CHECK(bytes_of(clone) == data);
  consume_skb(clone);
  consume_skb(linear);
}

TEST_CASE("an empty pool stops a pull without a trace", "[S34][S39]") {
  pool_of<config{.skb_pool = 64, .skb_clones = 2}> pool;
  std::mt19937 random(44);
  int refused = 0;
  for (int round = 0; round < 200; ++round) {
    bytes const data = pattern(1500, random());
    sk_buff* skb = scattered(pool, data, random);
    sk_buff* other = round & 1 ? skb_clone(*skb) : pskb_copy(*skb);
    skb_list taken;
    pool->alloc_bulk(pool->available() - static_cast<u32>(random() % 2), taken);
    for (u32 n : {500U, 1000U, 1500U}) {
      refused += __pskb_pull_tail(*skb, std::min(n, skb->data_len)) == nullptr;
      CHECK(bytes_of(*skb) == data);
      CHECK(bytes_of(*other) == data);
      CHECK(broken(*skb).empty());
    }
    (void)pskb_trim(*skb, 700);
    CHECK(broken(*skb).empty());
    CHECK((skb->len == 700 || bytes_of(*skb) == data));
    CHECK(bytes_of(*other) == data);
    pool->free_bulk(taken);
    consume_skb(*skb);
    consume_skb(*other);
    CHECK(pool->in_use() == 0);
  }
  CHECK(refused > 20);
}
