// SPDX-License-Identifier: BSL-1.0
// Header offsets through push, pull and moves, and the flow hash.
#include "netstack/skb/skb_headers.hpp"

#include "netstack/skb/skb_copy.hpp"
#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("header offsets stay with their bytes through push, pull and a new frame") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(100));
  CHECK_FALSE(skb_mac_header_was_set(skb));
  skb_reset_mac_header(skb);
  CHECK(skb_mac_header_was_set(skb));
  skb_set_network_header(skb, 14);
  skb_reset_mac_len(skb);
  CHECK(skb.mac_len == 14);
  skb_pull(skb, 14);
  CHECK(skb_network_offset(skb) == 0);
  CHECK(skb_mac_offset(skb) == -14);
  skb_set_transport_header(skb, 20);
  CHECK(skb_network_header_len(skb) == 20);
  CHECK(skb_transport_header(skb) == skb.data + 20);
  skb_pull(skb, 20);
  skb_reset_inner_headers(skb);
  skb_reset_transport_header(skb);
  CHECK(skb_transport_offset(skb) == 0);

  auto offsets_hold = [](sk_buff const& p) {
    bytes const all = pattern(100);
    return skb_mac_header(p)[0] == all[0] && skb_network_header(p)[0] == all[14] &&
           skb_transport_header(p)[0] == all[34] && skb_inner_mac_header(p) == skb_mac_header(p) &&
           skb_inner_network_header(p) == skb_network_header(p) &&
           skb_inner_transport_header(p) == skb_transport_header(p);
  };
  CHECK(offsets_hold(skb));
  REQUIRE(pskb_expand_head(skb, 40, 0));
  CHECK(offsets_hold(skb));
  sk_buff& clone = *skb_clone(skb);
  REQUIRE(pskb_expand_head(clone, 24, 0));
  CHECK(clone.head != skb.head);
  CHECK(offsets_hold(clone));
  consume_skb(skb);
  sk_buff& copy = *skb_copy(clone);
  CHECK(offsets_hold(copy));
  consume_skb(clone);
  consume_skb(copy);

  sk_buff& unset = new_skb(pool, pattern(10));
  REQUIRE(pskb_expand_head(unset, 40, 0));
  CHECK_FALSE(skb_mac_header_was_set(unset));  // nowhere is nowhere after a move
  skb_set_mac_header(unset, -14);
  CHECK(skb_mac_header(unset) == unset.data - 14);
  skb_unset_mac_header(unset);
  CHECK_FALSE(skb_mac_header_was_set(unset));
  consume_skb(unset);
}

TEST_CASE("a tunnel's headers leave the inner offsets alone") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(60));
  skb_reset_network_header(skb);
  skb_set_transport_header(skb, 20);
  skb_reset_inner_headers(skb);
  skb.encapsulation = 1;
  u8* const inner = skb.data;
  skb_push(skb, 20);
  skb_reset_network_header(skb);
  skb_set_transport_header(skb, 20);
  CHECK(skb_inner_network_header(skb) == inner);
  CHECK(skb_inner_transport_header(skb) == inner + 20);
  CHECK(skb_network_header(skb) == inner - 20);
  skb_reset_inner_network_header(skb);
  CHECK(skb_inner_network_header(skb) == skb.data);
  skb_reset_inner_transport_header(skb);
  skb_reset_inner_mac_header(skb);
  CHECK(skb_inner_transport_header(skb) == skb_inner_mac_header(skb));
  skb_set_inner_network_header(skb, 20);
  skb_set_inner_transport_header(skb, 40);
  CHECK(skb_inner_network_header(skb) == inner);
  CHECK(skb_inner_transport_header(skb) == inner + 20);
  consume_skb(skb);
}

TEST_CASE("a sender's reserve leaves at most the MTU to fill") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool);
  u32 const room = skb_tailroom(skb);
  skb_tailroom_reserve(skb, 500, 0);
  CHECK(skb_availroom(skb) == 500);
  skb_tailroom_reserve(skb, 60'000, 100);
  CHECK(skb_availroom(skb) == room - 100);
  skb_tailroom_reserve(skb, 60'000, room + 1);
  CHECK(skb_availroom(skb) == 0);
  consume_skb(skb);
}

TEST_CASE("the flow hash is computed once and never zero") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool);
  int calls = 0;
  auto dissect = [&](sk_buff const&) { return ++calls, 0xabcdu; };
  CHECK(skb_get_hash_raw(skb) == 0);
  CHECK(skb_get_hash(skb, dissect) == 0xabcd);
  CHECK(skb_get_hash(skb, dissect) == 0xabcd);
  CHECK(calls == 1);
  CHECK(skb.l4_hash == 1);
  skb_clear_hash_if_not_l4(skb);
  CHECK(skb_get_hash_raw(skb) == 0xabcd);
  skb_set_hash(skb, 0, false);
  CHECK(skb_get_hash_raw(skb) != 0);
  sk_buff& other = new_skb(pool);
  skb_copy_hash(other, skb);
  CHECK(skb_get_hash_raw(other) == skb_get_hash_raw(skb));
  skb_clear_hash_if_not_l4(skb);
  CHECK(skb_get_hash_raw(skb) == 0);
  consume_skb(skb);
  consume_skb(other);
}
