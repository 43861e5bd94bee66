// SPDX-License-Identifier: BSL-1.0
// Decides: the conformance cases of receiving: whole, in order, described as the link describes them, never more than
// the budget, and what happens when the pool is empty. [S66] [S79]
#pragma once
#include "netstack/testing/detail/bench.hpp"

namespace netstack::testing::detail {

template <class Rig>
struct rx_cases {
  using bench_t = bench<Rig>;

  static void up(bench_t& b) {
    needs(Rig::receives, "the device has no far end of its own");
    b.up();
  }

  static void rx_whole(bench_t& b) {
    up(b);
    for (u32 len : {64u, 65u, 127u, 128u, 511u, 1000u, 1499u}) {
      b.must_inject(b.frame(len, len, true));
      b.compare(b.take_exactly(1).front(), b.frame(len, len, true), "a frame of " + std::to_string(len) + " bytes");
    }
  }
  static void rx_minimum(bench_t& b) {
    up(b);
    b.must_inject(b.frame(1, 60, true));
    b.compare(b.take_exactly(1).front(), b.frame(1, 60, true), "a minimal frame");
  }
  static void rx_mtu(bench_t& b) {
    up(b);
    for (u32 less : {1u, 0u}) {
      b.must_inject(b.frame(less, b.frame_max() - less, true));
      b.compare(b.take_exactly(1).front(), b.frame(less, b.frame_max() - less, true),
                "a frame as long as the MTU allows");
    }
  }
  static void rx_longer_than_mtu_is_never_cut(bench_t& b) {
    up(b);
    bytes const f = b.frame(1, b.frame_max() + 1, true);
    b.inject(f);  // the far end may refuse
    b.must_inject(b.frame(2, 100, true));
    for (auto const& got : b.take_until(2))
      if (b.number_of(got) == 1) b.compare(got, f, "a frame of MTU + 1");
  }
  static void rx_runt(bench_t& b) {
    up(b);
    needs(b.ethernet(), "without a link header there are no runts");
    needs(b.inject(bytes(5, 0xab)), "the far end cannot send a runt");
    b.must_inject(b.frame(2, 100, true));
    u32 runts = 0;
    bool done = false;
    check(eventually([&] {
            skb_list burst;
            b.poll_into(burst, 64);
            while (sk_buff* skb = burst.pop_front()) {
              done = done || skb->protocol == be16{bench_t::test_type};
              runts += !skb->protocol;
              consume_skb(*skb);
            }
            return done;
          }),
          "the frame behind a runt never arrived");
    check(runts == 0 || b.dev->stats.rx_length_errors.read() == runts, "a runt is not counted");
  }
  static void rx_order(bench_t& b) {
    up(b);
    u32 const n = std::min<u32>(200, Rig::window);
    for (u32 i = 0; i < n; ++i) b.must_inject(b.frame(i, 100 + i, true));
    auto const got = b.take_exactly(n);
    for (u32 i = 0; i < n; ++i) b.compare(got[i], b.frame(i, 100 + i, true), "frame " + std::to_string(i));
  }
  static void rx_describes_the_frame(bench_t& b) {
    up(b);
    b.must_inject(b.frame(1, 100, true));
    b.with_one([&](sk_buff& skb) {
      check(skb.dev == b.dev, "skb.dev is not the device");
      check(skb.protocol == be16{b.ethernet() ? bench_t::test_type : eth_p::ip}, "skb.protocol is wrong");
      check(skb.pkt_type == pkt_type::host, "skb.pkt_type is not host");
      check_equal(skb.len, 100 - b.dev->hard_header_len, "skb.len without the link header");
      check_equal(skb.headroom(), skb.mac_header + b.dev->hard_header_len, "data behind mac_header");
      check(skb.sk == nullptr && skb.dst == nullptr && skb.destructor == nullptr, "skb has an owner");
    });
  }
  static void rx_tells_hosts_apart(bench_t& b) {
    up(b);
    needs(b.ethernet(), "the link has no addresses");
    struct {
      mac_addr to;
      pkt_type type;
    } const cases[] = {
        {b.dev->dev_addr, pkt_type::host},
        {mac_broadcast, pkt_type::broadcast},
        {mac_addr{{0x02, 0xfe, 9, 9, 9, 9}}, pkt_type::otherhost},
        {group, pkt_type::otherhost},  // nobody joined it
    };
    check(dev_set_promiscuity(b.net, *b.dev, 1).has_value(), "promiscuous mode");
    check(dev_set_promiscuity(b.net, *b.dev, -1).has_value(), "promiscuous mode");
    for (auto const& c : cases) {
      b.must_inject(b.frame(1, 100, true, c.to));
      b.must_inject(b.frame(2, 100, true));
      b.each_until(2, [&](sk_buff& skb, u32 number) {  // a filter in hardware may leave it out
        if (number == 1) check(skb.pkt_type == c.type, "pkt_type is wrong");
      });
    }
  }
  static void rx_multicast_filter(bench_t& b) {
    up(b);
    needs(b.ethernet(), "the link has no groups");
    check(dev_mc_add(b.net, *b.dev, group).has_value(), "dev_mc_add");
    check(dev_mc_add(b.net, *b.dev, group).has_value(), "dev_mc_add again");
    check(dev_mc_del(b.net, *b.dev, group).has_value(), "dev_mc_del");
    b.must_inject(b.frame(1, 100, true, group));
    b.with_one([&](sk_buff& skb) { check(skb.pkt_type == pkt_type::multicast, "a joined group's frame"); });
    check(dev_mc_del(b.net, *b.dev, group).has_value(), "dev_mc_del");
    check(!dev_mc_del(b.net, *b.dev, group).has_value(), "dev_mc_del of a group that nobody joined");
  }
  static void rx_leaves_headroom(bench_t& b) {
    up(b);
    b.must_inject(b.frame(1, 100, true));
    b.with_one([&](sk_buff& skb) {
      check(skb.mac_header >= std::min<u32>(b.pool().rx_headroom(), 64), "no headroom for an encapsulation");
    });
  }
  static void rx_frame_is_private(bench_t& b) {
    up(b);
    b.must_inject(b.frame(1, 100, true));
    b.with_one([&](sk_buff& skb) {
      check_equal(skb.users, 1, "holders of a received skb");
      check(!skb_cloned(skb), "a received frame is shared");
      check(skb.pool == &b.pool(), "a received frame lies in a foreign pool");
      std::memset(skb.data, 0xee, skb.headlen());
    });
  }
  static void rx_nothing(bench_t& b) {
    up(b);
    for (int i = 0; i < 3; ++i) check(b.take(64).empty(), "a frame from nowhere");
  }
  static void budget_zero(bench_t& b) {
    up(b);
    b.must_inject(b.frame(1, 100, true));
    for (int i = 0; i < 3; ++i) check(b.take(0).empty(), "a frame though the budget is 0");
    b.compare(b.take_exactly(1).front(), b.frame(1, 100, true), "the frame behind a budget of 0");
  }
  static void budget(bench_t& b, u32 weight) {
    up(b);
    u32 const n = std::min<u32>(150, Rig::window);
    for (u32 i = 0; i < n; ++i) b.must_inject(b.frame(i, 100, true));
    auto const got = b.take_exactly(n, weight);
    for (u32 i = 0; i < n; ++i) check_equal(b.number_of(got[i]), i, "number of the frame");
  }
  static void budget_1(bench_t& b) { budget(b, 1); }
  static void budget_16(bench_t& b) { budget(b, 16); }
  static void budget_64(bench_t& b) { budget(b, 64); }
  static void budget_is_used(bench_t& b) {
    up(b);
    for (u32 i = 0; i < b.few; ++i) b.must_inject(b.frame(i, 100, true));
    u32 turns = 0, frames = 0;
    check(eventually([&] {
            ++turns;
            frames += static_cast<u32>(b.take(b.few).size());
            return frames == b.few;
          }),
          "frames are missing");
    check(turns <= 4, "ndo_poll leaves frames waiting though its budget allows them");
  }
  static void rx_counts(bench_t& b) {
    up(b);
    u64 const packets = b.dev->stats.rx_packets.read(), octets = b.dev->stats.rx_bytes.read();
    u64 expected = 0;
    for (u32 i = 0; i < b.few; ++i) {
      b.must_inject(b.frame(i, 100 + i, true));
      expected += 100 + i;
    }
    b.take_exactly(b.few);
    check_equal(b.dev->stats.rx_packets.read(), packets + b.few, "rx_packets");
    check_equal(b.dev->stats.rx_bytes.read(), octets + expected, "rx_bytes");
    check_equal(b.dev->stats.rx_errors.read(), 0, "rx_errors");
  }
  /// Takes all but `left` skbs out of the pool.
  static skb_list hold(bench_t& b, u32 left) {
    skb_list held;
    while (b.pool().available() > left) {
      sk_buff* skb = b.pool().alloc_skb();
      if (!skb) break;
      held.push_back(*skb);
    }
    return held;
  }
  static u64 missed(net_device const& dev) {
    auto const& s = dev.stats;
    return s.rx_dropped.read() + s.rx_missed_errors.read() + s.rx_fifo_errors.read() + s.rx_errors.read();
  }
  static void pool_empty(bench_t& b) {
    up(b);
    u64 const lost = missed(*b.dev);
    b.must_inject(b.frame(1, 100, true));
    skb_list held = hold(b, 0);
    u32 const lent = b.pool().lent();  // what the hardware has may still come
    std::size_t got = 0;
    for (int i = 0; i < 3; ++i) got += b.take(64).size();
    check(got <= lent, "a frame out of an empty pool");
    b.pool().free_list(held);
    b.must_inject(b.frame(2, 100, true));
    got += b.take_until(2).size();
    check_equal(got + missed(*b.dev) - lost, 2, "frames delivered or counted as missed");
  }
  static void pool_empty_in_mid_burst(bench_t& b) {
    up(b);
    u64 const lost = missed(*b.dev);
    for (u32 i = 1; i < b.few; ++i) b.must_inject(b.frame(i, 100, true));
    skb_list held = hold(b, 3);
    u32 const lent = b.pool().lent();
    u32 got = static_cast<u32>(b.take(64).size());
    check(got <= 3 + lent, "more frames than the pool had");
    b.pool().free_list(held);
    b.must_inject(b.frame(b.few, 100, true));
    got += static_cast<u32>(b.take_until(b.few).size());
    check_equal(got + missed(*b.dev) - lost, b.few, "frames delivered or counted as missed");
  }
  static void rx_through_the_stack(bench_t& b) {
    up(b);
    u64 const before = b.dev->stats.rx_nohandler.read();
    for (u32 i = 0; i < b.some; ++i) b.must_inject(b.frame(i, 100, true));
    check(eventually([&] {
            b.h.poll();
            return b.dev->stats.rx_packets.read() >= b.some;
          }),
          "poll() does not receive");
    if (b.ethernet()) check_equal(b.dev->stats.rx_nohandler.read() - before, b.some, "rx_nohandler");
    check_equal(b.pool().in_use(), 0, "skbs in use after poll()");
  }
  static void both_ways_at_once(bench_t& b) {
    up(b);
    u32 const n = std::min<u32>(100, Rig::window);
    std::vector<bytes> came;
    for (u32 i = 0; i < n; ++i) {
      b.must_send(b.frame(i, 200, false));
      b.must_inject(b.frame(1000 + i, 200, true));
      if (i % 7 == 0)
        for (auto& f : b.take(64)) came.push_back(std::move(f));
    }
    for (auto& f : b.take_exactly(n - static_cast<u32>(came.size()))) came.push_back(std::move(f));
    for (u32 i = 0; i < n; ++i) {
      check_equal(b.number_of(came[i]), 1000 + i, "number of the received frame");
      b.must_collect(b.frame(i, 200, false), "frame " + std::to_string(i));
    }
  }

  static constexpr mac_addr group{{0x01, 0x00, 0x5e, 0x11, 0x22, 0x33}};
};

}  // namespace netstack::testing::detail
