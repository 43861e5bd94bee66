// SPDX-License-Identifier: BSL-1.0
// Extensions: free when absent, laid out without overlap, private to each packet.
#include "netstack/skb/skb_ext.hpp"

#include "netstack/skb/skb_copy.hpp"
#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

struct secmark {
  u32 value;
};
struct conntrack {
  u64 nfct;
  u8 nfctinfo;
};
struct trace {
  u8 on;
};

template <class Layout>
constexpr std::size_t slot = skb_pool_storage<small, Layout::size>::slot_size;

using none = skb_ext_layout<>;
using one = skb_ext_layout<secmark>;
using all = skb_ext_layout<trace, conntrack, secmark>;

struct composed {  // what a namespace looks like from here
  using skb_ext_layout = all;
};

}  // namespace

TEST_CASE("an extension that is not composed costs nothing", "[S50]") {
  STATIC_REQUIRE(none::size == 0);
  STATIC_REQUIRE(sizeof(skb_pool_storage<small, none::size>) == sizeof(skb_pool_storage<small, 0>));
  STATIC_REQUIRE(slot<none> == (sizeof(sk_buff) + small.cb + 63) / 64 * 64);
  STATIC_REQUIRE(one::size == 8);
  STATIC_REQUIRE(slot<one> >= sizeof(sk_buff) + small.cb + sizeof(secmark));
  STATIC_REQUIRE(sizeof(skb_pool_storage<small, 64>) > sizeof(skb_pool_storage<small, 0>));
  STATIC_REQUIRE_FALSE(has_skb_ext<secmark, none>);
  STATIC_REQUIRE(has_skb_ext<secmark, one>);
  STATIC_REQUIRE_FALSE(has_skb_ext<conntrack, one>);
  STATIC_REQUIRE(has_skb_ext<conntrack, composed>);
}

TEST_CASE("extensions are aligned and do not overlap", "[S50]") {
  STATIC_REQUIRE(all::offset<trace> == 0);
  STATIC_REQUIRE(all::offset<conntrack> == 8);
  STATIC_REQUIRE(all::offset<secmark> == 24);
  STATIC_REQUIRE(all::size == 32);
  STATIC_REQUIRE(skb_ext_layout<secmark, trace>::offset<trace> == 4);
  STATIC_REQUIRE(skb_ext_layout<secmark, trace>::size == 8);
}

TEST_CASE("extensions start zero, are their packet's own, and go along with clones and copies", "[S50]") {
  pool_of<small, all::size> pool;
  composed const net;
  for (int life = 0; life < 2; ++life) {
    sk_buff& skb = new_skb(pool, pattern(10));
    CHECK(skb_ext<secmark>(net, skb).value == 0);
    CHECK(skb_ext<conntrack>(net, skb).nfct == 0);
    CHECK(skb_ext<trace>(all{}, skb).on == 0);
    CHECK(reinterpret_cast<std::byte*>(&skb_ext<trace>(net, skb)) == reinterpret_cast<std::byte*>(&skb + 1) + small.cb);
    std::memset(&skb.cb<std::array<u8, small.cb>>(), 0x11, small.cb);
    skb_ext<secmark>(net, skb).value = 0xffffffff;
    skb_ext<conntrack>(net, skb) = {~u64{0}, 7};
    CHECK(skb_ext<trace>(net, skb).on == 0);
    CHECK(skb.cb<std::array<u8, small.cb>>()[small.cb - 1] == 0x11);

    sk_buff& clone = *skb_clone(skb);
    sk_buff& second = *skb_clone(skb);
    sk_buff& copy = *skb_copy(skb);
    for (sk_buff* n : {&clone, &second, &copy}) {
      CHECK(skb_ext<conntrack>(net, *n).nfct == ~u64{0});
      skb_ext<conntrack>(net, *n).nfct = 1;
      CHECK(skb_ext<secmark>(net, *n).value == 0xffffffff);
    }
    CHECK(skb_ext<conntrack>(net, skb).nfct == ~u64{0});
    for (sk_buff* p : {&skb, &clone, &second, &copy}) consume_skb(*p);
  }
}
