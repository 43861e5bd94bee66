// SPDX-License-Identifier: BSL-1.0
// Decides: the conformance cases of sending: whole, in order, untouched on the way, counted, and nothing lost when the
// driver is busy. [S76]
#pragma once
#include "netstack/testing/detail/bench.hpp"

namespace netstack::testing::detail {

template <class Rig>
struct tx_cases {
  using bench_t = bench<Rig>;

  static void tx_whole(bench_t& b) {
    b.up();
    for (u32 len : {64u, 65u, 127u, 128u, 511u, 1000u, 1499u}) {
      b.must_send(b.frame(len, len, false));
      b.must_collect(b.frame(len, len, false), "a frame of " + std::to_string(len) + " bytes");
    }
  }
  static void tx_minimum(bench_t& b) {
    b.up();
    b.must_send(b.frame(1, 60, false));
    b.must_collect(b.frame(1, 60, false), "a minimal frame");
  }
  static void tx_mtu(bench_t& b) {
    b.up();
    for (u32 less : {1u, 0u}) {
      b.must_send(b.frame(less, b.frame_max() - less, false));
      b.must_collect(b.frame(less, b.frame_max() - less, false), "a frame as long as the MTU allows");
    }
  }
  static void tx_longer_than_mtu_is_refused(bench_t& b) {
    b.up();
    u64 const dropped = b.dev->stats.tx_dropped.read(), sent = b.dev->stats.tx_packets.read();
    auto const r = b.send(b.frame(1, b.frame_max() + 1, false));
    check(!r && r.error() == std::errc::message_size, "a frame of MTU + 1 is not message_size");
    check_equal(b.dev->stats.tx_dropped.read(), dropped + 1, "tx_dropped");
    check_equal(b.dev->stats.tx_packets.read(), sent, "tx_packets");
    b.must_send(b.frame(2, 100, false));
    b.must_collect(b.frame(2, 100, false), "the frame behind one that was too long");
  }
  static void tx_order(bench_t& b) {
    b.up();
    u32 const n = std::min<u32>(200, Rig::window);
    for (u32 i = 0; i < n; ++i) b.must_send(b.frame(i, 100 + i, false));
    for (u32 i = 0; i < n; ++i) b.must_collect(b.frame(i, 100 + i, false), "frame " + std::to_string(i));
  }
  static void tx_burst_with_more(bench_t& b) {
    b.up();
    u32 const n = std::min<u32>(64, Rig::window);
    for (u32 i = 0; i < n; ++i) b.must_send(b.frame(i, 200, false), i + 1 < n);
    for (u32 i = 0; i < n; ++i) b.must_collect(b.frame(i, 200, false), "frame " + std::to_string(i) + " of a burst");
  }
  static void tx_flush_after_more(bench_t& b) {
    b.up();
    for (u32 i = 0; i < 3; ++i) b.must_send(b.frame(i, 200, false), true);
    if (b.ops().ndo_xmit_flush) b.ops().ndo_xmit_flush(b.net, *b.dev);
    for (u32 i = 0; i < 3; ++i) b.must_collect(b.frame(i, 200, false), "a frame that `more` held back");
  }
  static void tx_flush_without_frames(bench_t& b) {
    b.up();
    if (b.ops().ndo_xmit_flush)
      for (int i = 0; i < 3; ++i) b.ops().ndo_xmit_flush(b.net, *b.dev);
    b.must_send(b.frame(1, 200, false));
    b.must_collect(b.frame(1, 200, false), "the frame behind an empty flush");
  }
  static void tx_list(bench_t& b) {
    b.up();
    skb_list burst;
    for (u32 i = 0; i < 16; ++i) burst.push_back(*b.skb_of(b.frame(i, 150, false)));
    check_equal(dev_queue_xmit_list(b.net, burst), 16, "frames of a list that were taken");
    for (u32 i = 0; i < 16; ++i) b.must_collect(b.frame(i, 150, false), "a frame of a list");
  }
  static void tx_without_headroom(bench_t& b) {
    b.up();
    sk_buff* skb = b.skb_of(b.frame(1, 200, false), 0);
    check(dev_queue_xmit(b.net, *skb).has_value(), "dev_queue_xmit failed");
    b.must_collect(b.frame(1, 200, false), "a frame without headroom");
  }
  static void tx_without_tailroom(bench_t& b) {
    b.up();
    u32 const len = std::min(b.frame_max(), b.pool().frame_size());
    sk_buff* skb = b.skb_of(b.frame(1, len, false), b.pool().frame_size() - len);
    check(dev_queue_xmit(b.net, *skb).has_value(), "dev_queue_xmit failed");
    b.must_collect(b.frame(1, len, false), "a frame without tailroom");
  }
  static void tx_of_a_clone(bench_t& b) {
    b.up();
    bytes const f = b.frame(1, 300, false);
    sk_buff* original = b.skb_of(f);
    sk_buff* clone = skb_clone(*original);
    check(clone != nullptr, "no clone");
    check(dev_queue_xmit(b.net, *clone).has_value(), "dev_queue_xmit failed");
    b.must_collect(f, "a cloned frame");
    bool const same = bench_t::bytes_of(*original) == f;
    consume_skb(*original);
    check(same, "the driver wrote into a frame that others still look at");
  }
  static void tx_frame_is_untouched_in_flight(bench_t& b) {
    b.up();
    bytes const f = b.frame(1, 300, false);
    sk_buff* skb = b.skb_of(f);
    sk_buff* watcher = skb_clone(*skb);
    check(watcher != nullptr, "no clone");
    check(dev_queue_xmit(b.net, *skb).has_value(), "dev_queue_xmit failed");
    bool same = bench_t::bytes_of(*watcher) == f;
    b.collect();
    b.h.poll();
    same = same && bench_t::bytes_of(*watcher) == f;
    consume_skb(*watcher);
    check(same, "the driver wrote into a frame in flight");
  }
  static void tx_takes_each_skb_once(bench_t& b) {
    b.up();
    for (u32 i = 0; i < 20; ++i) {
      b.must_send(b.frame(i, 100, false));
      check(!b.collect().empty(), "a frame never arrived");
      check(eventually([&] {
              b.h.poll();
              return b.pool().in_use() == 0;
            }),
            "a sent skb never came back to the pool");
    }
  }
  static void tx_complete_without_frames(bench_t& b) {
    b.up();
    if (b.ops().ndo_tx_complete)
      for (int i = 0; i < 3; ++i)
        check_equal(b.ops().ndo_tx_complete(b.net, *b.dev), 0, "ndo_tx_complete with nothing sent");
  }
  static void tx_counts(bench_t& b) {
    b.up();
    u64 const packets = b.dev->stats.tx_packets.read(), octets = b.dev->stats.tx_bytes.read();
    u64 expected = 0;
    for (u32 i = 0; i < 10; ++i) {
      b.must_send(b.frame(i, 100 + i, false));
      expected += 100 + i;
      check(!b.collect().empty(), "a frame never arrived");
    }
    check_equal(b.dev->stats.tx_packets.read(), packets + 10, "tx_packets");
    check_equal(b.dev->stats.tx_bytes.read(), octets + expected, "tx_bytes");
    check_equal(b.dev->stats.tx_errors.read(), 0, "tx_errors");
  }
  static void tx_nonlinear(bench_t& b) {
    b.up();
    bytes const f = b.frame(1, 1200, false);
    // The link header and some more linear, the rest in a frag.
    bytes const head(f.begin(), f.begin() + 200);
    sk_buff* skb = b.skb_of(head);
    u32 const frame = b.pool().alloc_frame();
    check(frame != skb_pool::no_frame, "the pool of the rig is too small");
    std::memcpy(b.pool().frame_data(frame), f.data() + 200, 1000);
    skb_add_rx_frag(*skb, 0, frame, 0, 1000, b.pool().frame_truesize());
    check(dev_queue_xmit(b.net, *skb).has_value(), "dev_queue_xmit failed");
    b.must_collect(f, "a frame with a frag");
  }
  static void tx_partial_checksum(bench_t& b) {
    b.up();
    bytes f = b.frame(1, 400, false);
    u32 const start = b.dev->hard_header_len + 40, at = start + 6;
    f[at] = f[at + 1] = 0;
    sk_buff* skb = b.skb_of(f);
    skb->ip_summed = ip_summed::partial;
    skb->csum_start = static_cast<u16>(skb->headroom() + start);
    skb->csum_offset = 6;
    check(dev_queue_xmit(b.net, *skb).has_value(), "dev_queue_xmit failed");
    sum16 const sum = csum_fold(csum_partial(f.data() + start, f.size() - start, 0));
    std::memcpy(f.data() + at, &sum, sizeof sum);
    b.must_collect(f, "a frame with a checksum to finish");
  }
  static void tx_while_down_is_refused(bench_t& b) {
    b.make();
    auto const r = b.send(b.frame(1, 100, false));
    check(!r && r.error() == std::errc::network_down, "sending while down is not network_down");
    check_equal(b.pool().in_use(), 0, "skbs in use after a refused send");
    check(b.collect_all().empty(), "a frame left a device that is down");
  }
  static void tx_without_carrier_is_refused(bench_t& b) {
    b.up();
    netif_carrier_off(b.net, *b.dev);
    auto const r = b.send(b.frame(1, 100, false));
    check(!r && r.error() == std::errc::network_down, "sending without a carrier is not network_down");
    netif_carrier_on(b.net, *b.dev);
    b.must_send(b.frame(2, 100, false));
    b.must_collect(b.frame(2, 100, false), "the frame after the carrier returned");
  }
  /// Fills the driver until it is busy, and gives the frame it refused; null if it never does.
  static sk_buff* fill(bench_t& b, u32& sent) {
    for (sent = 0; sent < 4 * max_fill; ++sent) {
      if (b.pool().available() < 8) return nullptr;
      sk_buff* skb = b.skb_of(b.frame(sent, 100, false));
      if (b.ops().ndo_start_xmit(b.net, *b.dev, *skb, false) == netdev_tx::busy) return skb;
    }
    return nullptr;
  }
  static void busy_takes_nothing(bench_t& b) {
    b.up();
    u32 sent = 0;
    sk_buff* refused = fill(b, sent);
    if (!refused) b.collect_all();
    needs(refused != nullptr, "the driver is never busy");
    check_equal(refused->users, 1, "holders of a skb that was refused as busy");
    check_equal(skb_shinfo(*refused).dataref, 1, "users of the bytes of a frame that was refused as busy");
    check(bench_t::bytes_of(*refused) == b.frame(sent, 100, false), "a frame was changed though refused as busy");
    u32 arrived = 0;
    for (; arrived < sent; ++arrived) b.must_collect(b.frame(arrived, 100, false), "frame " + std::to_string(arrived));
    check(eventually([&] {
            if (b.ops().ndo_tx_complete) b.ops().ndo_tx_complete(b.net, *b.dev);
            return b.ops().ndo_start_xmit(b.net, *b.dev, *refused, false) == netdev_tx::ok;
          }),
          "the driver stays busy though its ring is empty");
    b.must_collect(b.frame(sent, 100, false), "the frame that was refused first");
  }
  static void busy_loses_nothing(bench_t& b) {
    b.up();
    u32 const n = std::min<u32>(max_fill, b.pool().available() - 16);
    needs(Rig::lossless, "the far end drops what it cannot hold");
    u32 accepted = 0;
    while (accepted < n && b.send(b.frame(accepted, 90, false))) ++accepted;
    for (u32 i = 0; i < accepted; ++i)
      b.must_collect(b.frame(i, 90, false), "frame " + std::to_string(i) + " of " + std::to_string(accepted));
    check_equal(b.dev->stats.tx_packets.read(), accepted, "tx_packets");
    b.h.poll();
    check_equal(b.dev->tx[0].qdisc.qlen(), 0, "frames still waiting");
  }

  static void busy_in_mid_list(bench_t& b) {
    b.up();
    u32 const n = std::min<u32>(max_fill, b.pool().available() - 16);
    needs(Rig::lossless, "the far end drops what it cannot hold");
    u32 accepted = 0;
    for (bool full = false; !full && accepted < n;) {
      skb_list burst;
      for (u32 i = 0; i < 25; ++i) burst.push_back(*b.skb_of(b.frame(accepted + i, 90, false)));
      u32 const taken = dev_queue_xmit_list(b.net, burst);
      check(burst.empty(), "dev_queue_xmit_list left frames in the list");
      full = taken < 25;
      accepted += taken;
    }
    for (u32 i = 0; i < accepted; ++i)
      b.must_collect(b.frame(i, 90, false), "frame " + std::to_string(i) + " of " + std::to_string(accepted));
    check_equal(b.dev->stats.tx_packets.read(), accepted, "tx_packets");
    b.h.poll();
    check_equal(b.dev->tx[0].qdisc.qlen(), 0, "frames still waiting");
  }

 private:
  static constexpr u32 max_fill = 1000;
};

}  // namespace netstack::testing::detail
