// SPDX-License-Identifier: BSL-1.0
// The layout of sk_buff, its four pointers against a vector, and the control block.
#include "netstack/skb/sk_buff.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

TEST_CASE("next and prev are the first members, and hot members fill the first cache line", "[S37]") {
  CHECK(offsetof(sk_buff, next) == 0);
  CHECK(offsetof(sk_buff, prev) == sizeof(void*));
  CHECK(offsetof(sk_buff, data) < cache_line);
  CHECK(offsetof(sk_buff, transport_header) < cache_line);
  CHECK(offsetof(sk_buff, head) == cache_line);
  CHECK(alignof(sk_buff) == cache_line);
}

TEST_CASE("packet types have Linux's numbers") {
  CHECK(static_cast<int>(pkt_type::host) == 0);
  CHECK(static_cast<int>(pkt_type::broadcast) == 1);
  CHECK(static_cast<int>(pkt_type::multicast) == 2);
  CHECK(static_cast<int>(pkt_type::otherhost) == 3);
  CHECK(static_cast<int>(pkt_type::outgoing) == 4);
  CHECK(static_cast<int>(pkt_type::loopback) == 5);
}

TEST_CASE("reserve, put, push, pull and trim agree with a vector", "[S38]") {
  pool_of<> pool;
  std::mt19937 random(38);
  auto below = [&](u32 n) { return n ? static_cast<u32>(random() % n) : 0; };
  for (int round = 0; round < 200; ++round) {
    sk_buff& skb = *pool->alloc_skb(0);
    u32 const frame = pool->frame_size(), reserved = below(frame + 1);
    skb_reserve(skb, reserved);
    bytes oracle;
    u32 head = reserved, tail = frame - reserved;  // room left at either end
    auto fill = [&](u8* at, u32 n) {
      for (u32 i = 0; i < n; ++i) at[i] = static_cast<u8>(random());
    };
    bool same = true;
    for (int step = 0; step < 100; ++step) {
      switch (below(6)) {
        case 0: {
          u32 const n = below(tail + 1) / 4;
          u8* at = skb_put(skb, n);
          fill(at, n);
          oracle.insert(oracle.end(), at, at + n);
          tail -= n;
          break;
        }
        case 1: {
          u32 const n = below(head + 1) / 4;
          u8* at = skb_push(skb, n);
          fill(at, n);
          oracle.insert(oracle.begin(), at, at + n);
          head -= n;
          break;
        }
        case 2: {
          u32 const n = below(static_cast<u32>(oracle.size()) + 1) / 4;
          same &= skb_pull(skb, n) == skb.data;
          oracle.erase(oracle.begin(), oracle.begin() + n);
          head += n;
          break;
        }
        case 3: {
          u32 const n = static_cast<u32>(oracle.size()) - below(static_cast<u32>(oracle.size()) + 1) / 4;
          tail += static_cast<u32>(oracle.size()) - n;
          skb_trim(skb, n);
          oracle.resize(n);
          break;
        }
        case 4: {  // more than there is: refused, nothing changes
          u32 const more = static_cast<u32>(oracle.size()) + 1 + below(1000);
          same &= skb_pull(skb, more) == nullptr;
          skb_trim(skb, more);
          break;
        }
        case 5:
          same &= skb.peek<std::array<u8, 4>>() == (oracle.size() < 4 ? nullptr : reinterpret_cast<void*>(skb.data));
          break;
      }
      same &= skb.len == oracle.size() && std::equal(oracle.begin(), oracle.end(), skb.data) &&
              skb.headroom() == head && skb.tailroom() == tail && skb.headlen() == oracle.size() &&
              !skb.is_nonlinear() && broken(skb).empty();
    }
    REQUIRE(same);
    consume_skb(skb);
  }
}

TEST_CASE("moving a pointer beyond the frame is trapped", "[S38]") {
  pool_of<> pool;
  auto with = [&](auto f) {
    return trapped([&] {
      sk_buff& skb = *pool->alloc_skb(64);
      f(skb);
    });
  };
  u32 const frame = pool->frame_size();
  CHECK(with([](sk_buff&) {}) == "");
  CHECK(with([&](sk_buff& skb) { skb.put(frame - 64); }) == "");
  CHECK(has_text(with([&](sk_buff& skb) { skb.put(frame - 63); }), "skb_put beyond the tailroom"));
  CHECK(has_text(with([&](sk_buff& skb) { skb.put(~u32{0}); }), "skb_put beyond the tailroom"));
  CHECK(with([](sk_buff& skb) { skb.push(64); }) == "");
  CHECK(has_text(with([](sk_buff& skb) { skb.push(65); }), "skb_push beyond the headroom"));
  CHECK(with([&](sk_buff& skb) { skb.reserve(frame - 64); }) == "");
  CHECK(has_text(with([&](sk_buff& skb) { skb.reserve(frame - 63); }), "skb_reserve"));
  CHECK(has_text(with([](sk_buff& skb) { skb.put(1), skb.reserve(1); }), "skb_reserve"));
  CHECK(has_text(with([](sk_buff& skb) { skb.len = skb.data_len = 1, skb.put(1); }), "skb_put"));
  CHECK(has_text(with([](sk_buff& skb) { skb.len = skb.data_len = 1, skb.trim(0); }), "skb_trim"));
}

TEST_CASE("a header is pulled only if all of it is linear", "[S38]") {
  pool_of<> pool;
  using header = std::array<u8, 8>;
  sk_buff& skb = new_skb(pool, pattern(15));
  CHECK(skb.peek<header>(7) != nullptr);
  CHECK(skb.peek<header>(8) == nullptr);
  CHECK(skb.peek<header>(0xfffffff8) == nullptr);  // offset + size beyond 32 bits
  u8* const data = skb.data;
  CHECK(skb.pull<header>() == reinterpret_cast<header*>(data));
  CHECK(skb.data == data + 8);
  CHECK(skb.len == 7);
  CHECK(skb.pull<header>() == nullptr);
  CHECK(skb.data == data + 8);
  CHECK(skb.push<header>() == reinterpret_cast<header*>(data));
  consume_skb(skb);
}

TEST_CASE("cb is 8-aligned, as large as the composition says, and copied by clone", "[S40]") {
  constexpr config wide{.skb_pool = 4, .skb_clones = 4, .cb = 96};
  pool_of<wide> pool;
  struct control {
    u64 words[12];
  };
  static_assert(sizeof(control) == wide.cb);
  sk_buff& skb = new_skb(pool, pattern(10));
  sk_buff& other = new_skb(pool, pattern(10));
  auto& cb = skb.cb<control>();
  CHECK(reinterpret_cast<std::uintptr_t>(&cb) % 8 == 0);
  std::memset(&other.cb<control>(), 0x22, sizeof(control));
  std::memset(&cb, 0x11, sizeof(control));  // every byte of it: nothing else may change
  CHECK(broken(skb).empty());
  CHECK(broken(other).empty());
  CHECK(other.cb<control>().words[0] == 0x2222222222222222);

  sk_buff& companion = *skb_clone(skb);
  sk_buff& frameless = *skb_clone(skb);
  for (sk_buff* clone : {&companion, &frameless}) {
    CHECK(std::memcmp(&clone->cb<control>(), &cb, sizeof(control)) == 0);
    std::memset(&clone->cb<control>(), 0x33, sizeof(control));  // private to its holder
    CHECK(cb.words[11] == 0x1111111111111111);
    CHECK(skb_shinfo(*clone).dataref == 3);
  }
  for (sk_buff* p : {&skb, &other, &companion, &frameless}) consume_skb(*p);
}

TEST_CASE("mark, dropcount and reserved_tailroom do not share bytes") {
  pool_of<> pool;
  sk_buff& skb = new_skb(pool, pattern(100));
  CHECK((skb.mark == 0 && skb.dropcount == 0 && skb.reserved_tailroom == 0));
  skb.mark = 0xffffffff;
  CHECK((skb.dropcount == 0 && skb.reserved_tailroom == 0));
  skb.dropcount = 0x11111111;
  CHECK((skb.mark == 0xffffffff && skb.reserved_tailroom == 0));
  u32 const room = skb.tailroom();
  skb.reserved_tailroom = 100;
  CHECK((skb.mark == 0xffffffff && skb.dropcount == 0x11111111));
  CHECK(skb_availroom(skb) == room - 100);
  skb.reserved_tailroom = static_cast<u16>(room + 1);
  CHECK(skb_availroom(skb) == 0);
  CHECK(skb.tailroom() == room);
  consume_skb(skb);
}

namespace {
template <class T>
concept has_hardware_members = requires(T t) {
  t.pfmemalloc;
}
|| requires(T t) { t.head_frag; }
|| requires(T t) { t.no_fcs; }
|| requires(T t) { t.dma_cookie; }
|| requires(T t) { t.wifi_acked; }
|| requires(T t) { t.wifi_acked_valid; }
|| requires(T t) { t.ndisc_nodetype; }
|| requires(T t) { t.offload_fwd_mark; }
|| requires(T t) { t.tc_verd; }
|| requires(T t) { t.secmark; }
|| requires(T t) { t.nfct; };
}  // namespace

TEST_CASE("what nothing here could honour is not a member", "[S49][S55]") {
  CHECK_FALSE(has_hardware_members<sk_buff>);
  CHECK(sizeof(sk_buff) == 192);
}
