// SPDX-License-Identifier: BSL-1.0
// Decides: a device of tests that need millions of TCP segments: no link header, no copy that is kept, no heap. A test
// fills a burst in, the stack takes it at its next poll(), and of what the stack sends the headers are there to read.
//
//   segment_feed& feed = segment_dev::feed_of(*dev);
//   feed.push({.saddr = peer, .daddr = us, .source = 4000, .dest = 80, .seq = 1, .flags = tcp_flag::syn});
//   … host.poll() …
//   for (auto const& s : feed.sent()) …
#pragma once
#include <array>
#include <cstring>
#include <span>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/wire/tcp.hpp"

namespace netstack::test {

struct segment {
  be32 saddr{}, daddr{};
  u16 source = 0, dest = 0;
  u32 seq = 0, ack = 0;
  u8 flags = 0;
  u16 window = 65535;
};

struct segment_feed {
  static constexpr u32 burst = 64;
  std::array<segment, burst> rx{};
  std::array<segment, burst> tx{};  ///< the last of them, if it were more
  u32 rx_count = 0, tx_count = 0;
  u64 sent_in_all = 0;

  void push(segment const& s) { rx[rx_count++] = s; }
  std::span<segment const> sent() { return {tx.data(), std::exchange(tx_count, 0)}; }
};

struct segment_dev : driver {
  static constexpr char const* name = "segment";
  struct params {};
  using priv = segment_feed;
  static segment_feed& feed_of(net_device& dev) { return netdev_priv<segment_dev>(dev); }

  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    auto& feed = feed_of(dev);
    iphdr iph;
    tcphdr th;
    std::memcpy(static_cast<void*>(&iph), skb.data, sizeof iph);
    std::memcpy(static_cast<void*>(&th), skb.data + iph.header_len(), sizeof th);
    if (feed.tx_count == segment_feed::burst) feed.tx_count = 0;
    feed.tx[feed.tx_count++] = {iph.saddr,     iph.daddr,         th.source.host(), th.dest.host(),
                                th.seq.host(), th.ack_seq.host(), th.flags,         th.window.host()};
    ++feed.sent_in_all;
    consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& feed = feed_of(dev);
    u32 n = 0;
    for (; n < std::min(budget, feed.rx_count); ++n) {
      sk_buff* const skb = net.worker().pool.alloc_skb();
      if (!skb) break;
      write(*skb, feed.rx[n]);
      skb->dev = &dev;
      skb->reset_mac_header();
      skb->protocol = be16{eth_p::ip};
      skb->pkt_type = pkt_type::host;
      rx.push_back(*skb);
    }
    std::copy(feed.rx.begin() + n, feed.rx.begin() + feed.rx_count, feed.rx.begin());
    feed.rx_count -= n;
    return n;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>, .ndo_stop = stop<Net>, .ndo_start_xmit = xmit<Net>, .ndo_poll = poll<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const&) {
    dev.type = arphrd::none;
    dev.hard_header_len = 0;
    dev.flags |= iff::noarp | iff::pointopoint;
    dev.mtu = 1500;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}

 private:
  static void write(sk_buff& skb, segment const& s) {
    tcphdr th{.source = be16{s.source},
              .dest = be16{s.dest},
              .seq = be32{s.seq},
              .ack_seq = be32{s.ack},
              .flags = s.flags,
              .window = be16{s.window}};
    th.set_doff(5);
    th.check = csum_tcpudp_magic(s.saddr, s.daddr, sizeof th, ipproto::tcp, csum_partial(&th, sizeof th, 0));
    iphdr iph{.ver_ihl = 0x45,
              .tot_len = be16{static_cast<u16>(sizeof iph + sizeof th)},
              .ttl = 64,
              .protocol = ipproto::tcp,
              .saddr = s.saddr,
              .daddr = s.daddr};
    iph.check = ip_compute_csum(&iph, sizeof iph);
    u8* const at = skb.put(sizeof iph + sizeof th);
    std::memcpy(at, &iph, sizeof iph);
    std::memcpy(at + sizeof iph, &th, sizeof th);
  }
};

}  // namespace netstack::test
