// SPDX-License-Identifier: BSL-1.0
// Decides: what a driver looks like that breaks one promise. mock_wire<defect::none> keeps them all: its far end is an
// object of the test, frames stay with the driver until the far end has taken them, its ring can be full.
#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <span>
#include <vector>

#include "netstack/link/eth.hpp"
#include "netstack/stack/stack.hpp"

namespace netstack::test {

enum class defect {
  none,
  leaks_sent_frames,        ///< never frees what was sent
  frees_refused_frames,     ///< answers busy, and frees the frame all the same
  ignores_the_budget,       ///< takes two frames more
  writes_in_flight,         ///< stamps a sequence number into the frame on its way
  forgets_the_link,         ///< does not say what the frame carries
  sends_newest_first,       ///< the ring is a stack
  drops_without_counting,   ///< throws a frame away when the pool is empty
  keeps_frames_after_stop,  ///< ndo_stop leaves its ring as it is
  never_signals,            ///< its fd tells nobody
  cuts_long_frames,         ///< takes what fits into 1024 bytes
  counts_twice,             ///< rx_packets
  never_flushes,            ///< waits for a frame without `more`
  delivers_old_frames,      ///< what came while it was down, too
  shares_its_buffer,        ///< keeps a hold on what it delivers
};

/// The far end of a mock_wire.
struct mock_end {
  std::deque<std::vector<u8>> to_device;
  std::deque<sk_buff*> in_flight;  ///< from the device, oldest first
  std::deque<sk_buff*> done;       ///< taken by the far end
  u32 held_back = 0;               ///< the youngest in flight that wait for a flush
  int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  bool up = false;
  mock_end() = default;
  mock_end(mock_end const&) = delete;
  mock_end& operator=(mock_end const&) = delete;
  ~mock_end() { ::close(fd); }
};

template <defect D>
struct mock_wire : driver {
  static constexpr char const* name = "mock_wire";
  static constexpr std::size_t ring_size = 128;
  struct params {
    mock_end* end = nullptr;
  };
  struct priv {
    mock_end* end = nullptr;
    sk_buff* kept = nullptr;
  };
  static mock_end& end_of(net_device& dev) { return *netdev_priv<mock_wire>(dev).end; }

  template <class Net>
  static result<void> open(Net&, net_device& dev) {
    if (D != defect::delivers_old_frames) end_of(dev).to_device.clear();
    end_of(dev).up = true;
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device& dev) {
    auto& end = end_of(dev);
    end.up = D == defect::delivers_old_frames;
    if (D == defect::keeps_frames_after_stop) return;
    for (auto* ring : {&end.in_flight, &end.done})
      while (!ring->empty()) {
        consume_skb(*ring->front());
        ring->pop_front();
      }
    end.held_back = 0;
  }
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool more) {
    auto& end = end_of(dev);
    if (end.in_flight.size() + end.done.size() >= ring_size) {
      end.held_back = 0;
      if (D == defect::frees_refused_frames) consume_skb(skb);
      return netdev_tx::busy;
    }
    if (D == defect::writes_in_flight) skb.data[skb.len - 1] ^= 1;
    if (D == defect::cuts_long_frames && skb.len > 1024) skb.trim(1024);
    if (D == defect::sends_newest_first)
      end.in_flight.push_front(&skb);
    else
      end.in_flight.push_back(&skb);
    end.held_back = more || (D == defect::never_flushes && end.held_back > 0) ? end.held_back + 1 : 0;
    return netdev_tx::ok;
  }
  template <class Net>
  static void flush(Net&, net_device& dev) {
    if (D != defect::never_flushes) end_of(dev).held_back = 0;
  }
  template <class Net>
  static u32 complete(Net&, net_device& dev) {
    auto& done = end_of(dev).done;
    u32 n = 0;
    for (; !done.empty(); ++n) {
      if (D != defect::leaks_sent_frames) consume_skb(*done.front());
      done.pop_front();
    }
    return n;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& end = end_of(dev);
    u32 n = 0;
    if (D == defect::ignores_the_budget) budget += 2;
    for (; n < budget && !end.to_device.empty(); ++n) {
      sk_buff* skb = net.worker().pool.alloc_skb();
      if (!skb) {
        if (D == defect::drops_without_counting) end.to_device.pop_front();
        break;
      }
      auto const& frame = end.to_device.front();
      std::memcpy(skb->put(static_cast<u32>(frame.size())), frame.data(), frame.size());
      end.to_device.pop_front();
      dev.stats.rx_packets += D == defect::counts_twice ? 2 : 1;
      dev.stats.rx_bytes += skb->len;
      if (D == defect::forgets_the_link) {
        skb->dev = &dev;
        skb->reset_mac_header();
      } else {
        eth_type_trans(*skb, dev);
      }
      if (D == defect::shares_its_buffer) skb_get(*skb);
      rx.push_back(*skb);
    }
    if (end.to_device.empty()) {
      u64 count = 0;
      [[maybe_unused]] auto got = ::read(end.fd, &count, sizeof count);
    }
    return n;
  }
  template <class Net>
  static int poll_fd(Net&, net_device& dev) {
    return end_of(dev).fd;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = open<Net>,
      .ndo_stop = stop<Net>,
      .ndo_start_xmit = xmit<Net>,
      .ndo_poll = poll<Net>,
      .ndo_xmit_flush = flush<Net>,
      .ndo_tx_complete = complete<Net>,
      .ndo_poll_fd = poll_fd<Net>,
  };
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    ether_setup(dev);
    netdev_priv<mock_wire>(dev).end = p.end;
    dev.dev_addr = mac_addr{{0x02, 0, 0, 0, 0, 0x77}};
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

template <defect D>
struct mock_rig {
  using driver = mock_wire<D>;
  struct host : stack<host, driver, sizes<config{.max_net = 1, .skb_pool = 2048}>> {};
  static constexpr bool receives = true, lossless = true;
  static constexpr u32 window = 256;
  mock_end end;
  host h;

  result<net_device*> make(char const* name) { return register_netdev<driver>(h.init_net(), name, {.end = &end}); }
  bool inject(std::span<u8 const> frame) {
    if (!end.up) return false;
    end.to_device.emplace_back(frame.begin(), frame.end());
    u64 const one = 1;
    if (D != defect::never_signals) (void)!::write(end.fd, &one, sizeof one);
    return true;
  }
  bool collect(std::vector<u8>& frame) {
    if (end.in_flight.size() <= end.held_back) return false;
    sk_buff* skb = end.in_flight.front();
    end.in_flight.pop_front();
    frame.assign(skb->data, skb->data + skb->len);
    end.done.push_back(skb);
    return true;
  }
};

}  // namespace netstack::test
