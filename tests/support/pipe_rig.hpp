// SPDX-License-Identifier: BSL-1.0
// Decides: how a driver that ends in a pipe is put under the conformance cases: a second stack holds the other end.
#pragma once
#include <span>
#include <vector>

#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace netstack::test {

/// Driver: pipe, or a decorator around it; Params(pipe::params) makes its params.
template <class Driver, class Params, u16 Type = arphrd::ether, u32 Features = netif_f::sg>
struct pipe_rig {
  struct host : stack<host, Driver, sizes<config{.max_net = 1, .skb_pool = 2048}>> {};
  struct far_host : stack<far_host, drivers::pipe, sizes<config{.max_net = 1, .skb_pool = 2048}>> {};
  using driver = Driver;
  static constexpr bool receives = true, lossless = true, exclusive = true;
  static constexpr u32 window = 256;

  drivers::pipe_cable cable;
  far_host far;
  host h;
  net_device* end = nullptr;

  pipe_rig() {
    REQUIRE(far.boot({.seed = 2}));
    auto dev = register_netdev<drivers::pipe>(far.init_net(), "far", {.cables = &cable, .end = 1, .type = Type});
    REQUIRE(dev);
    end = *dev;
    REQUIRE(dev_open(far.init_net(), *end));
  }
  result<net_device*> make(char const* name) {
    return register_netdev<Driver>(
        h.init_net(), name, Params{}(drivers::pipe::params{.cables = &cable, .type = Type, .features = Features}));
  }
  bool inject(std::span<u8 const> frame) {
    if (far_poll(0); !end->carrier_ok()) return false;
    auto const len = static_cast<u32>(frame.size()), linear = std::min(len, 1792u);
    sk_buff* skb = alloc_skb_with_frags(far.worker().pool, 256, linear, len - linear);
    if (!skb) return false;
    CHECK(skb_store_bits(*skb, 0, frame.data(), len));
    skb->dev = end;
    auto const& ops = net<far_host>::netdev_ops[end->driver];
    if (ops.ndo_start_xmit(far.init_net(), *end, *skb, false) == netdev_tx::ok) return true;
    consume_skb(*skb);
    return false;
  }
  bool collect(std::vector<u8>& frame) {
    skb_list burst = far_poll(1);
    sk_buff* skb = burst.pop_front();
    if (!skb) return false;
    if (skb->ip_summed == ip_summed::partial) CHECK(skb_checksum_help(*skb));
    frame.assign(skb->head + skb->mac_header, skb->data);
    for_each_piece(*skb, 0, skb->len, [&](u8 const* p, u32 n) { frame.insert(frame.end(), p, p + n); });
    consume_skb(*skb);
    return true;
  }
  skb_list far_poll(u32 budget) {
    auto const& ops = net<far_host>::netdev_ops[end->driver];
    skb_list burst;
    ops.ndo_tx_complete(far.init_net(), *end);
    ops.ndo_poll(far.init_net(), *end, budget, burst);
    return burst;
  }
};

struct same_params {
  drivers::pipe::params operator()(drivers::pipe::params p) const { return p; }
};

}  // namespace netstack::test
