// SPDX-License-Identifier: BSL-1.0
// A scattered packet crosses to another pool whole, or not at all: whatever that pool runs out of, it keeps nothing.
#include "netstack/core/skb_transfer.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

/// `frags` frames of 1,448 bytes behind a header of 54, as a sender of several segments as one packet makes it.
sk_buff& super_packet(skb_pool& pool, u32 frags) {
  sk_buff& skb = *pool.alloc_skb(192);
  bytes const header = pattern(54);
  std::memcpy(skb.put(54), header.data(), 54);
  for (u32 i = 0; i < frags; ++i) {
    u32 const frame = pool.alloc_frame(), size = i + 1 == frags ? 1100 : 1448;
    bytes const payload = pattern(size, i + 2);
    std::memcpy(pool.frame_data(frame) + 192, payload.data(), size);
    skb_add_rx_frag(skb, i, frame, 192, size, pool.frame_truesize());
  }
  return skb;
}

}  // namespace

TEST_CASE("a packet of many frames is copied to another pool whole, or leaves nothing there", "[S46]") {
  pool_of<> from, to;
  for (u32 const frags : {1u, 2u, 12u, max_skb_frags}) {
    sk_buff& skb = super_packet(from, frags);
    for (u32 spare = 0; spare <= frags + 1; ++spare) {
      std::vector<u32> taken;
      while (to->available() > spare) taken.push_back(to->alloc_frame());
      sk_buff* const copy = skb_copy_to_pool(to, skb, 0);
      CAPTURE(frags, spare);
      REQUIRE((copy != nullptr) == (spare == frags + 1));
      CHECK(to->available() == (copy ? 0 : spare));
      if (copy) {
        CHECK(broken(*copy) == "");
        CHECK(bytes_of(*copy) == bytes_of(skb));
        CHECK(copy->truesize == (frags + 1) * to->frame_truesize());
        consume_skb(*copy);
      }
      for (u32 const frame : taken) to->put_frame(frame);
    }
    consume_skb(skb);
  }
}
