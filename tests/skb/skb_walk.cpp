// SPDX-License-Identifier: BSL-1.0
// Reading and filling packets whose bytes lie anywhere, against the bytes they were made of.
#include "netstack/skb/skb_walk.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("any range of any layout is read, written and walked exactly", "[S39]") {
  pool_of<config{.skb_pool = 256}> pool;
  std::mt19937 random(39);
  auto up_to = [&](std::size_t n) { return static_cast<u32>(random() % (n + 1)); };
  bool right = true;
  for (int round = 0; round < 600; ++round) {
    bytes data = pattern(up_to(6000), random());
    sk_buff* skb = scattered(pool, data, random);
    REQUIRE(skb != nullptr);
    right &= broken(*skb).empty() && bytes_of(*skb) == data;
    for (int i = 0; i < 20; ++i) {
      u32 const from = up_to(data.size()), n = up_to(data.size() - from);
      auto const begin = data.begin() + from;
      bytes out(n);
      right &= skb_copy_bits(*skb, from, out.data(), n) && std::equal(out.begin(), out.end(), begin);

      bytes walked;
      bool empty = false;
      right &= for_each_piece(*skb, from, n, [&](u8 const* at, u32 size) {
        empty |= size == 0;
        walked.insert(walked.end(), at, at + size);
      });
      right &= !empty && std::equal(walked.begin(), walked.end(), begin) && walked.size() == n;

      bytes const in = pattern(n, random());
      right &= skb_store_bits(*skb, from, in.data(), n);
      std::copy(in.begin(), in.end(), begin);
      right &= bytes_of(*skb) == data;

      std::vector<std::byte> part(up_to(7000));
      u32 const copied = skb_copy_datagram(*skb, from, part);
      right &= copied == std::min(part.size(), data.size() - from) &&
               (copied == 0 || std::memcmp(part.data(), &*begin, copied) == 0);
    }
    consume_skb(*skb);
    if (!right) FAIL("in round " << round);
  }
  SUCCEED();
}

TEST_CASE("a range beyond the packet is refused, and nothing is touched", "[S39]") {
  pool_of<> pool;
  std::mt19937 random(1);
  bytes const data = pattern(3000);
  sk_buff& skb = *scattered(pool, data, random);
  int calls = 0;
  auto count = [&](u8 const*, u32) { ++calls; };
  bytes buffer(4000, 0x55);
  for (auto [offset, len] : {std::pair{0U, 3001U}, {3000U, 1U}, {3001U, 0U}, {2999U, 2U}, {~0U, 2U}, {1U, ~0U}}) {
    CHECK_FALSE(for_each_piece(skb, offset, len, count));
    CHECK_FALSE(skb_copy_bits(skb, offset, buffer.data(), len));
    CHECK_FALSE(skb_store_bits(skb, offset, buffer.data(), len));
  }
  CHECK(for_each_piece(skb, 3000, 0, count));
  CHECK(calls == 0);
  CHECK(buffer == bytes(4000, 0x55));
  CHECK(bytes_of(skb) == data);
  CHECK(skb_copy_datagram(skb, 3000, std::as_writable_bytes(std::span(buffer))) == 0);
  CHECK(skb_copy_datagram(skb, ~0U, std::as_writable_bytes(std::span(buffer))) == 0);
  consume_skb(skb);
}

TEST_CASE("data_len that is not there is trapped") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(10));
  CHECK(has_text(trapped([&] {
                   skb.len = 20, skb.data_len = 10;
                   for_each_piece(skb, 0, 20, [](u8*, u32) {});
                 }),
                 "data_len beyond the frags"));
  consume_skb(skb);
}

TEST_CASE("a header is read in place if it is linear, else from a copy") {
  pool_of<> pool;
  using header = std::array<u8, 16>;
  bytes const data = pattern(64);
  sk_buff& skb = new_skb(pool, bytes(data.begin(), data.begin() + 24));
  u32 const frame = pool->alloc_frame();
  std::copy(data.begin() + 24, data.end(), pool->frame_data(frame));
  skb_edit_shinfo(skb).frags[skb_edit_shinfo(skb).nr_frags++] = {frame, 0, 40};
  skb.len += 40, skb.data_len += 40;
  header buffer{};
  CHECK(skb_header_pointer(skb, 8, buffer) == reinterpret_cast<header*>(skb.data + 8));
  for (u32 at : {9U, 23U, 24U, 48U}) {
    CHECK(skb_header_pointer(skb, at, buffer) == &buffer);
    CHECK(std::equal(buffer.begin(), buffer.end(), data.begin() + at));
  }
  CHECK(skb_header_pointer(skb, 49, buffer) == nullptr);
  CHECK(skb_header_pointer(skb, 0xfffffff8, buffer) == nullptr);
  CHECK_FALSE(skb_has_frag_list(skb));
  int parts = 0;
  for ([[maybe_unused]] sk_buff& part : skb_walk_frags(skb)) ++parts;
  CHECK(parts == 0);
  consume_skb(skb);
}
