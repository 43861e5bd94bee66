// SPDX-License-Identifier: BSL-1.0
// Who writes gets bytes of their own first; nobody copies who need not.
#include "netstack/skb/skb_copy.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {
constexpr auto no_memory = std::errc::not_enough_memory;
constexpr auto no_room = std::errc::no_buffer_space;

/// Takes every frame but n.
struct drained {
  skb_pool& pool;
  skb_list taken;
  drained(skb_pool& p, u32 n) : pool(p) { pool.alloc_bulk(pool.available() - n, taken); }
  ~drained() { pool.free_bulk(taken); }
};
}  // namespace

TEST_CASE("writing shared data copies it first; the clone keeps what it saw", "[S36]") {
  pool_of<> pool;
  bytes const data = pattern(500);
  for (bool mutate_clone : {true, false}) {
    sk_buff& skb = new_skb(pool, data);
    sk_buff& clone = *skb_clone(skb);
    sk_buff& writer = mutate_clone ? clone : skb;
    sk_buff& reader = mutate_clone ? skb : clone;
    REQUIRE(skb_cow(writer, 0));
    CHECK(writer.head != reader.head);
    CHECK(bytes_of(writer) == data);
    CHECK_FALSE((skb_cloned(writer) || skb_cloned(reader)));
    std::memset(writer.data, 0xff, writer.len);
    std::memset(writer.push(20), 0xff, 20);
    std::memset(writer.put(20), 0xff, 20);
    CHECK(bytes_of(reader) == data);
    CHECK(bytes_of(writer) == bytes(540, 0xff));
    u8* const mine = writer.data;
    REQUIRE(skb_cow(writer, 0));  // alone now: nothing moves
    REQUIRE(skb_unclone(writer));
    CHECK(writer.data == mine);
    CHECK(broken(writer).empty());
    CHECK(broken(reader).empty());
    consume_skb(mutate_clone ? reader : writer);
    consume_skb(mutate_clone ? writer : reader);
    CHECK(pool->in_use() == 0);
  }
}

TEST_CASE("a packet that moved to another frame frees both, in either order, and its pair is whole again", "[S36]") {
  pool_of<config{.skb_pool = 4, .skb_clones = 4}> pool;
  for (int order = 0; order < 6; ++order) {
    sk_buff& skb = new_skb(pool, pattern(100));
    sk_buff& clone = *skb_clone(skb);
    sk_buff& third = *skb_clone(clone);
    REQUIRE(skb_cow(skb, 0));  // the original leaves its own frame to its clones
    CHECK(skb.slot_kind == skb_slot::moved);
    CHECK(pool->in_use() == 2);
    sk_buff& again = *skb_clone(skb);
    std::array<sk_buff*, 4> all{&skb, &clone, &third, &again};
    for (int i = 0; i < 4; ++i) {
      sk_buff* p = all[static_cast<std::size_t>((i + order) % 4)];
      CHECK(bytes_of(*p) == pattern(100));
      consume_skb(*p);
    }
    CHECK(pool->in_use() == 0);
    skb_list list;
    CHECK(pool->alloc_bulk(4, list) == 4);
    for (sk_buff& fresh : list) CHECK(fresh.head == pool->frame_data(pool->frame_of(fresh.head)));
    for (sk_buff& fresh : list) CHECK(&fresh == &pool->pair(fresh.frame));
    pool->free_bulk(list);
  }
}

TEST_CASE("expand_head gives exactly the headroom asked for, or changes nothing", "[S36]") {
  pool_of<> pool;
  u32 const frame = pool->frame_size();
  bytes const data = pattern(1000);
  for (bool cloned : {false, true}) {
    sk_buff& skb = new_skb(pool, data);
    sk_buff* clone = cloned ? skb_clone(skb) : nullptr;
    std::memset(skb.head, 0x42, skb.headroom());
    u32 const used = skb.headroom() + 1000;
    u8* const head = skb.head;
    CHECK(pskb_expand_head(skb, frame - used + 1, 0).error() == no_room);
    CHECK(pskb_expand_head(skb, 0, frame - used + 1).error() == no_room);
    CHECK(pskb_expand_head(skb, ~0U, ~0U).error() == no_room);
    CHECK(skb.head == head);
    {
      drained none(pool, 0);
      auto r = pskb_expand_head(skb, 16, 0);
      CHECK(r.has_value() == !cloned);  // in its own frame it needs no other
      if (cloned) CHECK(r.error() == no_memory);
    }
    CHECK(bytes_of(skb) == data);
    u32 const headroom = skb.headroom();
    REQUIRE(pskb_expand_head(skb, frame - headroom - 1000, 0));
    CHECK(skb.headroom() == frame - 1000);
    CHECK(skb.tailroom() == 0);
    CHECK(bytes_of(skb) == data);
    CHECK(skb.data[-1] == 0x42);  // what was in front of data is still there: a header may be
    CHECK(skb.truesize == pool->frame_truesize());
    if (clone) {
      CHECK(bytes_of(*clone) == data);
      consume_skb(*clone);
    }
    consume_skb(skb);
  }
  sk_buff& shared = skb_get(new_skb(pool));
  CHECK(has_text(trapped([&] { (void)pskb_expand_head(shared, 1, 0); }), "bytes of a shared packet moved"));
  consume_skb(shared), consume_skb(shared);
}

TEST_CASE("a clone may write headers in front of a payload-only original without a copy", "[S36]") {
  pool_of<> pool;
  bytes const data = pattern(800);
  sk_buff& skb = new_skb(pool, data);
  skb_header_release(skb);
  sk_buff& clone = *skb_clone(skb);
  u8* const payload = clone.data;
  REQUIRE(skb_cow_head(clone, 40));
  CHECK(clone.data == payload);
  CHECK(skb_clone_writable(clone, 0));
  CHECK_FALSE(skb_clone_writable(clone, 1));  // the payload is not its own
  std::memset(clone.push(40), 0xee, 40);
  CHECK(skb_clone_writable(clone, 40));
  CHECK_FALSE(skb_clone_writable(clone, 41));
  CHECK(bytes_of(skb) == data);
  sk_buff& second = *skb_clone(skb);  // while the first is still on its way
  REQUIRE(skb_cow_head(second, 40));
  CHECK(second.data != payload);
  std::memset(second.push(40), 0xdd, 40);
  CHECK(clone.data[0] == 0xee);
  for (sk_buff* p : {&second, &clone, &skb}) consume_skb(*p);
}

TEST_CASE("a frag keeps the linear bytes it lies in from being written in place", "[S36]") {
  pool_of<> pool;
  bytes const data = pattern(300);
  sk_buff& skb = new_skb(pool, data);
  CHECK(pool->is_private(skb));
  pool->get_frame(skb.frame);  // somebody's frag
  u32 const frame = skb.frame;
  u8* const at = skb.data;
  CHECK_FALSE(pool->is_private(skb));
  REQUIRE(pskb_expand_head(skb, 8, 0));
  CHECK(skb.frame != frame);
  CHECK(bytes(at, at + 300) == data);
  consume_skb(skb);
  CHECK(pool->in_use() == 1);
  pool->put_frame(frame);
}

TEST_CASE("a copy is equal in all that matters and shares nothing", "[S36][S39]") {
  pool_of<config{.skb_pool = 512}> pool;
  std::mt19937 random(36);
  for (u32 size : {0U, 100U, 1500U, 1792U, 1793U, 5000U, 60'000U, 100'000U}) {
    CAPTURE(size);
    bytes const data = pattern(size, size + 1);
    sk_buff* skb = scattered(pool, data, random, 3);
    REQUIRE(skb);
    skb->protocol = be16{0x0800};
    skb->pkt_type = pkt_type::multicast;
    skb->ip_summed = ip_summed::complete;
    skb->csum = 0x1234;
    skb->tstamp = 5, skb->hash = 6, skb->mark = 7, skb->priority = 8, skb->skb_iif = 9, skb->napi_id = 10;
    skb->queue_mapping = 11, skb->vlan_proto = be16{0x8100}, skb->vlan_tci = 12, skb->inner_protocol = be16{13};
    skb->ignore_df = skb->rx_l4_valid = skb->l4_hash = skb->ooo_okay = skb->encapsulation = 1;
    skb->cb<std::array<u8, 48>>().fill(0x3c);
    skb_edit_shinfo(*skb).gso_size = 100, skb_edit_shinfo(*skb).gso_segs = 2, skb_edit_shinfo(*skb).gso_type = 1;
    skb->sk = reinterpret_cast<sock*>(&pool);
    skb->destructor = [](sk_buff& s) { s.sk = nullptr; };
    u32 const before = pool->in_use();

    sk_buff* n = skb_copy(*skb);
    REQUIRE(n);
    CHECK(bytes_of(*n) == data);
    CHECK(broken(*n).empty());
    CHECK(n->is_nonlinear() == (skb->is_nonlinear() && skb->headroom() + size > pool->frame_size()));
    CHECK(n->truesize == (pool->in_use() - before) * pool->frame_truesize());
    CHECK(n->headroom() == skb->headroom());
    bool same = n->protocol == skb->protocol && n->pkt_type == skb->pkt_type && n->ip_summed == skb->ip_summed &&
                n->csum == skb->csum && n->tstamp == 5 && n->hash == 6 && n->mark == 7 && n->priority == 8 &&
                n->skb_iif == 9 && n->napi_id == 10 && n->queue_mapping == 11 && n->vlan_proto == be16{0x8100} &&
                n->vlan_tci == 12 && n->inner_protocol == be16{13} && n->ignore_df && n->rx_l4_valid && n->l4_hash &&
                n->ooo_okay && n->encapsulation && n->cb<std::array<u8, 48>>()[47] == 0x3c;
    same &= skb_shinfo(*n).gso_size == 100 && skb_shinfo(*n).gso_segs == 2 && skb_shinfo(*n).gso_type == 1;
    CHECK(same);
    CHECK((n->sk == nullptr && n->destructor == nullptr && n->users == 1 && !n->cloned));
    bytes const other(size, 0xaa);
    REQUIRE(skb_store_bits(*n, 0, other.data(), size));
    CHECK(bytes_of(*skb) == data);
    consume_skb(*skb);
    CHECK(bytes_of(*n) == other);
    consume_skb(*n);
    CHECK(pool->in_use() == 0);
  }
}

TEST_CASE("pskb_copy copies the linear part and shares the rest", "[S36][S39]") {
  pool_of<config{.skb_pool = 128}> pool;
  std::mt19937 random(7);
  for (int round = 0; round < 30; ++round) {
    bytes const data = pattern(6000, random());
    sk_buff* skb = scattered(pool, data, random);
    u32 const before = pool->in_use();
    sk_buff* n = pskb_copy(*skb);
    REQUIRE(n);
    CHECK(pool->in_use() == before + 1);
    CHECK(n->truesize == skb->truesize);
    CHECK(broken(*n).empty());
    std::memset(n->data, 0, n->headlen());
    CHECK(bytes_of(*skb) == data);
    if (round & 1) std::swap(skb, n);
    consume_skb(*skb);
    CHECK(broken(*n).empty());
    CHECK(std::equal(data.begin() + n->headlen(), data.end(), bytes_of(*n).begin() + n->headlen()));
    consume_skb(*n);
    CHECK(pool->in_use() == 0);
  }
}

TEST_CASE("share_check and unshare exchange the caller's hold, or take it with them", "[S36]") {
  pool_of<config{.skb_pool = 4, .skb_clones = 0}> pool;
  bytes const data = pattern(64);
  sk_buff& skb = new_skb(pool, data);
  CHECK(skb_share_check(skb) == &skb);
  CHECK(skb_unshare(skb) == &skb);

  skb_get(skb);
  sk_buff* mine = skb_share_check(skb);
  REQUIRE(mine != nullptr);
  CHECK(mine != &skb);
  CHECK(skb.users == 1);
  skb_get(skb);
  CHECK(skb_share_check(skb) == nullptr);  // the companion is taken and there are no clone slots
  CHECK(skb.users == 1);

  CHECK(skb_cloned(*mine));
  sk_buff* alone = skb_unshare(*mine);
  REQUIRE(alone != nullptr);
  CHECK(alone->head != skb.head);
  CHECK(bytes_of(*alone) == data);
  CHECK_FALSE(skb_cloned(skb));
  sk_buff* clone = skb_clone(skb);
  {
    drained none(pool, 0);
    CHECK(skb_unshare(*clone) == nullptr);
  }
  CHECK_FALSE(skb_cloned(skb));  // and the clone is gone
  CHECK(skb_copy(skb) != nullptr);
  pool->init(*pool.storage);
}

TEST_CASE("copies fail whole when the pool ends", "[S34][S39]") {
  pool_of<> pool;
  std::mt19937 random(3);
  bytes const data = pattern(9000);
  sk_buff* skb = scattered(pool, data, random);
  for (u32 frames = 0; frames < 8; ++frames) {
    drained few(pool, frames);
    u32 const before = pool->in_use();
    sk_buff* n = skb_copy(*skb);
    if (n) consume_skb(*n);
    CHECK(pool->in_use() == before);
    CHECK((n != nullptr) == (frames >= 1 + (skb->data_len + 2047) / 2048));
    n = pskb_copy(*skb);
    CHECK((n != nullptr) == (frames >= 1));
    if (n) consume_skb(*n);
    CHECK(pool->in_use() == before);
  }
  CHECK(bytes_of(*skb) == data);
  consume_skb(*skb);
}

TEST_CASE("a partial checksum's start moves with the bytes", "[S45]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(100));
  skb.ip_summed = ip_summed::partial;
  skb.csum_start = skb.offset_of(34);
  skb.csum_offset = 6;
  REQUIRE(pskb_expand_head(skb, 50, 0));
  CHECK(skb.csum_start == skb.offset_of(34));
  sk_buff& clone = *skb_clone(skb);
  REQUIRE(pskb_expand_head(clone, 20, 0));
  CHECK(clone.csum_start == clone.offset_of(34));
  consume_skb(clone);
  consume_skb(skb);
}
