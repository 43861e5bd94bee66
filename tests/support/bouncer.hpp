// SPDX-License-Identifier: BSL-1.0
// Decides: how many packets go round between two devices of one stack that are each other's far end, and whether that
// touched the heap or copied a packet.
#pragma once
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/heap_counter.hpp"

namespace netstack::test {

/// Sends every frame of one private ethertype on to the other device, as it is.
struct bouncer : module {
  struct perworker {
    net_device* a = nullptr;
    net_device* b = nullptr;
    u64 seen = 0, moved = 0;
  };
  static constexpr u16 type = 0x88b6;
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& my = worker_generic<bouncer>(net.worker());
    ++my.seen;
    if (!my.a) return verdict::consumed();
    u8 const* const bytes = skb.head;
    skb.dev = skb.dev == my.a ? my.b : my.a;
    skb.push(eth_hlen);
    my.moved += skb.head != bytes;
    (void)dev_queue_xmit(net, skb);
    return verdict::kept();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = type, .func = rcv<Net>, .name = "bouncer"}};
};

struct bounced {
  bool arrived;
  u64 moved, allocations;
  std::string first_allocation;
};

/// 100 frames of many sizes go to and fro until `goal` were received.
template <class Host>
bounced bounce(Host& h, net_device& a, net_device& b, u64 goal) {
  auto& my = worker_generic<bouncer>(h.worker());
  my.a = &a, my.b = &b;
  for (u32 i = 0; i < 100; ++i) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    std::memset(skb->put(60 + 13 * i), 0, 60 + 13 * i);
    skb->dev = &a;
    skb->pull(eth_hlen);
    eth_header(*skb, a, bouncer::type, mac_broadcast);
    REQUIRE(dev_queue_xmit(h.init_net(), *skb));
  }
  heap_counter heap;
  u32 idle = 0;
  while (my.seen < goal && idle < 1'000'000) idle = h.poll() ? 0 : idle + 1;
  heap.pause();
  bounced const r{my.seen >= goal, my.moved, heap.allocations(), heap.first()};
  my.a = nullptr;
  for (int quiet = 0; quiet < 1000;) quiet = h.poll() ? 0 : quiet + 1;
  return r;
}

}  // namespace netstack::test
