// SPDX-License-Identifier: BSL-1.0
// One packet into two, two into one.
#include "netstack/skb/skb_split.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("split at every place gives the two halves, and clones keep the whole", "[S36][S39]") {
  pool_of<config{.skb_pool = 256, .skb_clones = 64}> pool;
  std::mt19937 random(39);
  bool right = true;
  for (int round = 0; round < 1500; ++round) {
    bytes const data = pattern(random() % 5000, random());
    sk_buff* skb = scattered(pool, data, random);
    sk_buff* other = round % 3 == 0 ? skb_clone(*skb) : round % 3 == 1 ? pskb_copy(*skb) : nullptr;
    u32 const at = static_cast<u32>(random() % (data.size() + 1)), truesize = skb->truesize;
    sk_buff& rest = *pool->alloc_skb(64);
    right &= skb_split(*skb, rest, at).has_value();
    right &= bytes_of(*skb) == bytes(data.begin(), data.begin() + at);
    right &= bytes_of(rest) == bytes(data.begin() + at, data.end());
    right &= broken(*skb).empty() && broken(rest).empty();
    right &= skb->truesize == truesize && rest.truesize == pool->frame_truesize();
    if (other) right &= bytes_of(*other) == data;
    std::vector<sk_buff*> holders{skb, &rest};
    if (other) holders.push_back(other);
    std::shuffle(holders.begin(), holders.end(), random);
    for (sk_buff* p : holders) {
      if (p == &rest) right &= bytes_of(rest) == bytes(data.begin() + at, data.end());
      if (p == other) right &= bytes_of(*other) == data;
      consume_skb(*p);
    }
    right &= pool->in_use() == 0;
    if (!right) FAIL("in round " << round);
  }
  SUCCEED();
}

TEST_CASE("a split in frags copies nothing", "[S39]") {
  pool_of<> pool;
  sk_buff* skb = alloc_skb_with_frags(pool, 64, 0, 6000);
  bytes const data = pattern(6000);
  REQUIRE(skb_store_bits(*skb, 0, data.data(), 6000));
  u32 const frames = pool->in_use();
  sk_buff& rest = *pool->alloc_skb(64);
  REQUIRE(skb_split(*skb, rest, 3000));
  CHECK(pool->in_use() == frames + 1);
  CHECK(skb_shinfo(*skb).nr_frags == 2);
  CHECK(skb_shinfo(rest).nr_frags == 2);
  CHECK(skb_shinfo(*skb).frags[1].frame == skb_shinfo(rest).frags[0].frame);
  CHECK(rest.headlen() == 0);
  s32 delta = 0;
  CHECK(skb_try_coalesce(*skb, rest, delta));  // and joining them again neither
  consume_skb(rest);
  CHECK(bytes_of(*skb) == data);
  CHECK(pool->in_use() == frames);
  consume_skb(*skb);
}

TEST_CASE("a split that cannot be made changes nothing", "[S39]") {
  pool_of<config{.skb_pool = 8, .skb_clones = 0}> pool;
  bytes const data = pattern(1000);
  sk_buff& skb = new_skb(pool, data);
  sk_buff& narrow = *pool->alloc_skb(pool->frame_size() - 100);
  CHECK(skb_split(skb, narrow, 899).error() == std::errc::no_buffer_space);
  CHECK(bytes_of(skb) == data);
  REQUIRE(skb_split(skb, narrow, 900));
  CHECK(bytes_of(narrow) == bytes(data.begin() + 900, data.end()));
  sk_buff& clone = *skb_clone(skb);
  skb_list taken;
  pool->alloc_bulk(pool->available() - 1, taken);
  sk_buff& rest = *pool->alloc_skb(64);
  CHECK(skb_split(skb, rest, 10).error() == std::errc::not_enough_memory);  // no frame of its own for a cloned packet
  CHECK(rest.len == 0);
  CHECK(skb.len == 900);
  CHECK(has_text(trapped([&] { (void)skb_split(skb, narrow, 10); }), "skb_split into a packet with data"));
  CHECK(has_text(trapped([&] { (void)skb_split(skb, rest, 901); }), "beyond the end"));
  pool->free_bulk(taken);
  for (sk_buff* p : {&skb, &narrow, &clone, &rest}) consume_skb(*p);
}

TEST_CASE("coalesce takes data by reference, or copies what fits into the tailroom", "[S39][S46]") {
  pool_of<> pool;
  u32 const cost = pool->frame_truesize();
  bytes const a = pattern(1400, 1), b = pattern(1400, 2), c = pattern(100, 3);
  auto joined = [](bytes x, bytes const& y) {
    x.insert(x.end(), y.begin(), y.end());
    return x;
  };
  sk_buff& to = new_skb(pool, a);
  s32 delta = 1;

  sk_buff& short_one = new_skb(pool, c);
  CHECK(skb_try_coalesce(to, short_one, delta));
  CHECK(delta == 0);
  CHECK_FALSE(to.is_nonlinear());
  CHECK(bytes_of(short_one) == c);  // as it was
  consume_skb(short_one);
  bytes all = joined(a, c);
  CHECK(bytes_of(to) == all);

  sk_buff& large = new_skb(pool, b);
  u8 const* const where = large.data;
  CHECK(skb_try_coalesce(to, large, delta));
  CHECK(delta == static_cast<s32>(cost));
  CHECK(to.truesize == 2 * cost);
  consume_skb(large);
  CHECK(pool->in_use() == 2);
  all = joined(all, b);
  CHECK(bytes_of(to) == all);
  auto const& frag = skb_shinfo(to).frags[0];
  CHECK(pool->frame_data(frag.frame) + frag.offset == where);  // the very bytes

  sk_buff& frags = *alloc_skb_with_frags(pool, 64, 0, 4000);
  bytes const d = pattern(4000, 4);
  REQUIRE(skb_store_bits(frags, 0, d.data(), 4000));
  CHECK(skb_try_coalesce(to, frags, delta));
  CHECK(delta == static_cast<s32>(2 * cost));  // its own linear frame goes home
  consume_skb(frags);
  CHECK(pool->in_use() == 4);
  CHECK(to.truesize == 4 * cost);
  all = joined(all, d);
  CHECK(bytes_of(to) == all);
  CHECK(broken(to).empty());

  sk_buff& empty = new_skb(pool);
  CHECK(skb_try_coalesce(to, empty, delta));
  CHECK(delta == 0);
  consume_skb(empty);
  CHECK(bytes_of(to) == all);
  consume_skb(to);
}

TEST_CASE("coalesce refuses what others could write, or what does not fit", "[S36][S39]") {
  pool_of<> pool, other;
  bytes const data = pattern(1500);
  s32 delta = 7;
  auto refused = [&](sk_buff& to, sk_buff& from) {
    bytes const before = bytes_of(to), mine = bytes_of(from);
    bool const no = !skb_try_coalesce(to, from, delta);
    return no && delta == 0 && bytes_of(to) == before && bytes_of(from) == mine;
  };
  sk_buff& to = new_skb(pool, data);
  sk_buff& from = new_skb(pool, data);
  sk_buff* clone = skb_clone(from);
  CHECK(refused(to, from));  // its clone may write later
  CHECK(refused(to, *clone));
  consume_skb(*clone);
  skb_get(from);
  CHECK(refused(to, from));
  consume_skb(from);
  clone = skb_clone(to);
  CHECK(refused(to, from));  // the clone would grow too
  CHECK(refused(to, *clone));
  consume_skb(*clone);
  skb_get(to);
  CHECK(refused(to, from));
  consume_skb(to);
  sk_buff& foreign = new_skb(other, data);
  CHECK(refused(to, foreign));
  consume_skb(foreign);
  skb_edit_shinfo(from).frag_list = &new_skb(pool, data);
  from.len += 1500, from.data_len += 1500;
  CHECK(refused(to, from));
  CHECK(refused(from, to));
  REQUIRE(pskb_trim(from, 1500));

  sk_buff& full = *alloc_skb_with_frags(pool, 64, 10, max_skb_frags * pool->frame_size());
  std::memset(full.data, 0, 10);
  CHECK(refused(full, from));
  sk_buff& one = *alloc_skb_with_frags(pool, 64, 0, pool->frame_size());
  CHECK(refused(full, one));
  for (sk_buff* p : {&to, &from, &full, &one}) consume_skb(*p);
}
