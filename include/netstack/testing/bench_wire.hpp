// SPDX-License-Identifier: BSL-1.0
// Decides: what a device costs that costs nothing: the driver under a benchmark. It hands the stack bursts of one
// prepared frame, and what the stack sends is looked at (its first byte), counted and freed. Two ways to receive:
//   in place   the pool's frames hold the bytes already, as those do that hardware wrote (AF_XDP): a packet is made
//   copied     the bytes are copied into each packet, as from a ring of somebody else's memory
// rx: called by worker.poll() → eth_type_trans → netif_receive_skb_list; tx: called by core/dev_output
#pragma once
#include <array>
#include <cstring>
#include <span>

#include "netstack/core/dev_output.hpp"
#include "netstack/core/netdev.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/registry/netdev_ops.hpp"

namespace netstack::testing {

struct bench_wire : driver {
  static constexpr char const* name = "bench_wire";
  struct params {
    mac_addr mac{};
    u32 features = 0;  ///< netif_f::rxcsum: its frames' checksums count as verified; hw_csum: it would finish them
  };
  /// A benchmark writes to it directly.
  struct priv {
    std::array<u8, 2048> frame{};
    u32 len = 0;
    u32 waiting = 0;  ///< frames on the wire
    bool copy = false;
    void (*vary)(void* ctx, u8* frame) = nullptr;  ///< if copied: makes each packet's frame another one
    void* vary_ctx = nullptr;
    u64 sent = 0, sent_bytes = 0, kicks = 0;
    u64 seen = 0;  ///< sum of what was looked at
    skb_list done;
  };

  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    ether_setup(dev);
    dev.dev_addr = p.mac;
    dev.features = dev.hw_features = p.features;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net& net, net_device& dev) {
    complete(net, dev);
  }

  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool more) {
    auto& wire = netdev_priv<bench_wire>(dev);
    wire.seen += *skb.data;
    wire.sent_bytes += skb.len;
    wire.kicks += !more;
    wire.done.push_back(skb);
    if (wire.done.count == 32) complete(net, dev);
    return netdev_tx::ok;
  }
  template <class Net>
  static void xmit_list(Net& net, net_device& dev, skb_list& frames, bool more) {
    auto& wire = netdev_priv<bench_wire>(dev);
    u64 seen = 0, bytes = 0;
    for (sk_buff const* skb = frames.first; skb; skb = skb->next) seen += *skb->data, bytes += skb->len;
    wire.seen += seen, wire.sent_bytes += bytes;
    wire.kicks += !more;
    wire.done.splice(frames);
    if (wire.done.count >= 32) complete(net, dev);
  }
  template <class Net>
  static void flush(Net&, net_device& dev) {
    ++netdev_priv<bench_wire>(dev).kicks;
  }
  template <class Net>
  static u32 complete(Net& net, net_device& dev) {
    auto& wire = netdev_priv<bench_wire>(dev);
    u32 const n = wire.done.count;
    wire.sent += n;
    if (n != 0) consume_sent_list(net.worker().pool, wire.done);
    return n;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& wire = netdev_priv<bench_wire>(dev);
    u32 const want = budget < wire.waiting ? budget : wire.waiting;
    if (want == 0) return 0;
    u32 const len = wire.len;
    auto& pool = net.worker().pool;
    auto const at = static_cast<u16>(pool.rx_headroom());
    bool const summed = (dev.features & netif_f::rxcsum) != 0;
    rx_flow_burst<Net> flow{net, dev, at, summed};
    u32 got;
    if (wire.copy) {
      // All of the burst first: who reads at once what was just copied waits for the copy's stores.
      got = pool.alloc_bulk(want, rx,
                            [from = wire.frame.data(), len](sk_buff&, u8* data) { std::memcpy(data, from, len); });
      if (wire.vary)
        for (sk_buff const& skb : rx) wire.vary(wire.vary_ctx, skb.data);
      for (sk_buff* skb = rx.first; skb; skb = skb->next) eth_rx(flow, *skb, dev, skb->data, at, len, summed);
    } else {
      got = pool.alloc_bulk(want, rx, [&](sk_buff& skb, u8* data) NETSTACK_INLINE_LAMBDA {
        eth_rx(flow, skb, dev, data, at, len, summed);
      });
    }
    wire.waiting -= got;
    dev.stats.rx_packets += got;
    dev.stats.rx_bytes += u64{got} * wire.len;
    return got;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_xmit_list = xmit_list<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_flow_poll = poll<Net>,
                                                  .ndo_xmit_flush = flush<Net>,
                                                  .ndo_tx_complete = complete<Net>};

  /// From now on this is the frame; every packet of the pool's next `frames` has it in place.
  template <class Net>
  static void load(Net& net, net_device& dev, std::span<u8 const> frame, bool copy, u32 frames = 128) {
    auto& wire = netdev_priv<bench_wire>(dev);
    wire.len = static_cast<u32>(frame.size());
    wire.copy = copy;
    std::memcpy(wire.frame.data(), frame.data(), frame.size());
    skb_list list;
    net.worker().pool.alloc_bulk(frames, list);
    for (sk_buff& skb : list) std::memcpy(skb.put(wire.len), frame.data(), frame.size());
    net.worker().pool.free_bulk(list);
  }
};

}  // namespace netstack::testing
