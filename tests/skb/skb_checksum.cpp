// SPDX-License-Identifier: BSL-1.0
// Sums over scattered data against RFC 1071 done byte by byte, and the four things ip_summed can say.
#include "netstack/skb/skb_checksum.hpp"

#include "netstack/skb/skb_split.hpp"
#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

/// RFC 1071 §1, as it is written there; network order.
u16 rfc1071(bytes const& data, u32 sum = 0) {
  for (std::size_t i = 0; i < data.size(); i += 2)
    sum += static_cast<u32>(data[i]) << 8 | (i + 1 < data.size() ? data[i + 1] : 0U);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(~sum);
}
u16 number(sum16 sum) { return static_cast<u16>(sum.bytes()[0] << 8 | sum.bytes()[1]); }

/// A UDP-like datagram of n bytes with its right checksum at 6, the pseudo header's sum being `psum`.
bytes datagram(std::size_t n, u32 psum, u32 seed) {
  bytes data = pattern(n, seed);
  data[6] = data[7] = 0;
  auto const pseudo = std::bit_cast<std::array<be16, 2>>(psum);
  u16 const check = rfc1071(data, u32{pseudo[0].host()} + pseudo[1].host());
  data[6] = static_cast<u8>(check >> 8), data[7] = static_cast<u8>(check);
  return data;
}

}  // namespace

TEST_CASE("the sum over any range of any layout is RFC 1071's", "[S45]") {
  pool_of<config{.skb_pool = 256}> pool;
  std::mt19937 random(1071);
  bool right = true;
  for (int round = 0; round < 500; ++round) {
    bytes const data = pattern(1 + random() % 5000, random());
    sk_buff* skb = scattered(pool, data, random);
    for (int i = 0; i < 10; ++i) {
      u32 const from = static_cast<u32>(random() % data.size());
      u32 const n = static_cast<u32>(random() % (data.size() - from + 1));
      bytes const range(data.begin() + from, data.begin() + from + n);
      u16 const expected = rfc1071(range);
      right &= number(csum_fold(skb_checksum(*skb, from, n, 0))) == expected;
      bytes copy(n);
      right &= number(csum_fold(skb_copy_and_csum_bits(*skb, from, copy.data(), n, 0))) == expected && copy == range;
    }
    consume_skb(*skb);
    if (!right) FAIL("in round " << round);
  }
  sk_buff& skb = new_skb(pool, pattern(10));
  CHECK(has_text(trapped([&] { (void)skb_checksum(skb, 5, 6, 0); }), "checksum beyond the packet"));
  consume_skb(skb);
}

TEST_CASE("a receiver believes what ip_summed says, and finds out a bad checksum otherwise", "[S45]") {
  pool_of<config{.skb_pool = 64}> pool;
  std::mt19937 random(45);
  u32 const psum = csum_tcpudp_nofold(be32{0x0a000001}, be32{0x0a000002}, 333, 17, 0);
  for (int round = 0; round < 50; ++round) {
    bytes const good = datagram(333, psum, static_cast<u32>(round + 1));
    bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<u8>(1 + random() % 255);
    auto with = [&](bytes const& data, ip_summed mode, auto prepare) {
      sk_buff* skb = scattered(pool, data, random);
      skb->ip_summed = mode;
      prepare(*skb);
      bool const first = skb_checksum_validate(*skb, psum);
      CHECK(skb_csum_unnecessary(*skb) == first);  // and it is not summed twice
      CHECK(skb_checksum_validate(*skb, psum) == first);
      consume_skb(*skb);
      return first;
    };
    auto nothing = [](sk_buff&) {};
    auto device_summed = [](sk_buff& skb) { skb.csum = skb_checksum(skb, 0, skb.len, 0); };
    auto device_wrong = [](sk_buff& skb) { skb.csum = 0x1234; };
    auto sender_will = [](sk_buff& skb) { skb.csum_start = skb.offset_of(0), skb.csum_offset = 6; };
    CHECK(with(good, ip_summed::none, nothing));
    CHECK_FALSE(with(bad, ip_summed::none, nothing));
    CHECK(with(good, ip_summed::unnecessary, nothing));
    CHECK(with(bad, ip_summed::unnecessary, nothing));  // the device vouches for it
    CHECK(with(good, ip_summed::complete, device_summed));
    CHECK_FALSE(with(bad, ip_summed::complete, device_summed));
    CHECK(with(good, ip_summed::complete, device_wrong));  // the packet is right: the device was not
    CHECK_FALSE(with(bad, ip_summed::complete, device_wrong));
    CHECK(with(bad, ip_summed::partial, sender_will));  // it never left the machine
  }
  // ICMP: no pseudo header.
  bytes const icmp = datagram(64, 0, 5);
  sk_buff& skb = new_skb(pool, icmp);
  CHECK(skb_checksum_complete(skb) == sum16{});
  skb.data[20] ^= 1;
  CHECK(skb_checksum_complete(skb) == sum16{});  // it was looked at
  skb_checksum_none_assert(skb);
  CHECK_FALSE(skb_checksum_complete(skb) == sum16{});
  consume_skb(skb);
}

TEST_CASE("a complete sum follows the data through pull, push and trim", "[S45]") {
  pool_of<config{.skb_pool = 64}> pool;
  std::mt19937 random(46);
  for (int round = 0; round < 200; ++round) {
    bytes data = pattern(400 + random() % 1000, random());
    sk_buff* skb = scattered(pool, data, random, 0);
    REQUIRE(pskb_may_pull(*skb, 60));
    skb->ip_summed = ip_summed::complete;
    skb->csum = skb_checksum(*skb, 0, skb->len, 0);
    auto exact = [&] { return number(csum_fold(skb->csum)) == rfc1071(bytes_of(*skb)); };
    for (u32 n : {14U, 20U, 1U, 7U}) {
      CHECK(skb_pull_rcsum(*skb, n) == skb->data);
      CHECK(exact());
    }
    CHECK(skb_pull_rcsum(*skb, skb->headlen() + 1) == nullptr);
    CHECK(exact());
    REQUIRE(pskb_trim_rcsum(*skb, skb->len - static_cast<u32>(random() % 100)));
    CHECK(exact());
    REQUIRE(pskb_trim_rcsum(*skb, skb->len + 5));
    CHECK(exact());
    for (u32 n : {4U, 1U}) {
      skb_push(*skb, n);
      skb_postpush_rcsum(*skb, skb->data, n);
      CHECK(exact());
    }
    consume_skb(*skb);
  }
}

TEST_CASE("a partial checksum is finished in software, in bytes of one's own", "[S36][S45]") {
  pool_of<config{.skb_pool = 64}> pool;
  std::mt19937 random(47);
  for (int round = 0; round < 200; ++round) {
    std::size_t const n = 48 + random() % 2000;
    u32 const psum = csum_tcpudp_nofold(be32{0xc0a80001}, be32{0xc0a80002}, static_cast<u32>(n - 20), 17, 0);
    bytes data = pattern(n, random());
    // 20 bytes in front, then a datagram whose checksum field holds the pseudo header's sum, not complemented.
    sum16 const pseudo{static_cast<u16>(~csum_fold(psum).raw())};
    std::memcpy(data.data() + 26, &pseudo, sizeof pseudo);
    sk_buff* skb = scattered(pool, data, random, 1);
    REQUIRE(pskb_may_pull(*skb, 28));
    REQUIRE(skb_partial_csum_set(*skb, 20, 6));
    CHECK(skb->transport_offset() == 20);
    sk_buff* clone = round & 1 ? skb_clone(*skb) : nullptr;
    REQUIRE(skb_checksum_help(*skb));
    CHECK(skb->ip_summed == ip_summed::none);
    bytes expected = data;
    bytes l4(data.begin() + 20, data.end());
    u16 check = rfc1071(l4);
    if (check == 0) check = 0xffff;
    expected[26] = static_cast<u8>(check >> 8), expected[27] = static_cast<u8>(check);
    CHECK(bytes_of(*skb) == expected);
    REQUIRE(skb_pull(*skb, 20));
    CHECK(skb_checksum_validate(*skb, psum));  // the receiver agrees
    if (clone) {
      CHECK(bytes_of(*clone) == data);
      CHECK(clone->ip_summed == ip_summed::partial);
      consume_skb(*clone);
    }
    consume_skb(*skb);
  }
}

TEST_CASE("a computed zero is sent as 0xffff", "[S45]") {
  // RFC 768: an all-zero checksum field means that the sender computed none.
  pool_of<> pool;
  bytes data(8, 0);
  data[0] = data[1] = 0xff;  // sums to 0xffff, whose complement is zero
  sk_buff& skb = new_skb(pool, data);
  REQUIRE(skb_partial_csum_set(skb, 0, 6));
  REQUIRE(skb_checksum_help(skb));
  CHECK((skb.data[6] == 0xff && skb.data[7] == 0xff));
  REQUIRE(skb_checksum_help(skb));  // not partial any more: nothing to do
  CHECK((skb.data[6] == 0xff && skb.data[7] == 0xff));
  consume_skb(skb);
}

TEST_CASE("a checksum that would lie outside the packet is refused", "[S45]") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(40));
  CHECK_FALSE(skb_partial_csum_set(skb, 40, 0));
  CHECK_FALSE(skb_partial_csum_set(skb, 20, 19));
  CHECK_FALSE(skb_partial_csum_set(skb, 0xffff, 0xffff));
  CHECK(skb.ip_summed == ip_summed::none);
  REQUIRE(skb_partial_csum_set(skb, 20, 18));
  bytes const before = bytes_of(skb);
  auto refused = [&] {
    return skb_checksum_help(skb).error() == std::errc::invalid_argument && bytes_of(skb) == before &&
           skb.ip_summed == ip_summed::partial;
  };
  skb.csum_offset = 19;
  CHECK(refused());
  skb.csum_offset = 0xffff;
  CHECK(refused());
  skb.csum_offset = 0, skb.csum_start = static_cast<u16>(skb.headroom() - 1);
  CHECK(refused());
  skb.csum_start = 0xffff;
  CHECK(refused());
  skb.csum_start = skb.offset_of(20), skb.csum_offset = 18;
  CHECK(pskb_trim_rcsum(skb, 39).error() == std::errc::invalid_argument);  // would cut the field off
  CHECK(skb.len == 40);
  REQUIRE(pskb_trim_rcsum(skb, 40));
  u8* const start = skb.data;
  skb_pull(skb, 21);
  skb_postpull_rcsum(skb, start, 21);
  CHECK(skb.ip_summed == ip_summed::none);  // its start is behind us
  consume_skb(skb);
}
