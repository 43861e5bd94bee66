// SPDX-License-Identifier: BSL-1.0
// Decides: how the frames of a device are kept for Wireshark: those received and those that the driver took, in the
// order of their handling, with nanosecond times. The file is complete when the device is down; while it is up, a quiet
// moment brings it up to date.
//   register_netdev<drivers::pcap_writer<drivers::tap>>(net, "eth0", {.inner = {.ifname = "nst0"}, .path =
//   "eth0.pcap"});
#pragma once
#include "netstack/drivers/decorator.hpp"
#include "netstack/drivers/detail/pcap_file.hpp"

namespace netstack::drivers {

template <class Inner>
struct pcap_writer : driver {
  static constexpr auto full_name = decorate_name<Inner>("pcap_writer");
  static constexpr char const* name = full_name.text;
  struct params {
    typename Inner::params inner{};
    char const* path = nullptr;  ///< read by probe only; the slices of several workers share one file
    u32 snaplen = 2048;          ///< bytes kept of each frame
  };
  struct priv {
    typename Inner::priv inner{};
    detail::pcap_file file;
    u64 last_flush = 0;
  };
  static constexpr std::array<char const*, 2> stats_names{"pcap_records", "pcap_lost"};
  static void get_stats(net_device& dev, std::span<u64> out) {
    auto const& file = netdev_priv<pcap_writer>(dev).file;
    out[0] = file.written, out[1] = file.lost;
  }

  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool more) {
    auto& p = netdev_priv<pcap_writer>(dev);
    // Recorded first, since the frame may be gone afterwards; taken back when the driver is busy.
    p.file.add(net.worker().now_real, skb, 0);
    netdev_tx const answer = Inner::template netdev_ops<Net>.ndo_start_xmit(net, dev, skb, more);
    if (answer == netdev_tx::busy) p.file.take_back_last();
    return answer;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& p = netdev_priv<pcap_writer>(dev);
    skb_list burst;
    u32 const work = Inner::template netdev_ops<Net>.ndo_poll(net, dev, budget, burst);
    for (sk_buff* skb = burst.first; skb; skb = skb->next)
      p.file.add(net.worker().now_real, *skb, detail::link_header_before(*skb, true));
    if (burst.empty() && !p.file.empty() && net.worker().now - p.last_flush >= flush_ns) {
      p.file.flush();
      p.last_flush = net.worker().now;
    }
    rx.splice(burst);
    return work;
  }
  template <class Net>
  static void stop(Net& net, net_device& dev) {
    Inner::template netdev_ops<Net>.ndo_stop(net, dev);
    netdev_priv<pcap_writer>(dev).file.flush();
  }

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops = [] {
    auto ops = Inner::template netdev_ops<Net>;
    ops.ndo_stop = stop<Net>;
    ops.ndo_start_xmit = xmit<Net>;
    ops.ndo_xmit_list = nullptr;
    ops.ndo_poll = poll<Net>;
    return ops;
  }();
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool = detail::decorated_stats<pcap_writer, Inner, Net>::ops();

  /// Errors: the inner driver's; invalid_argument (no path, snaplen out of bounds); those of open(2).
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& p) {
    detail::check_layout<pcap_writer>(dev);
    if (!p.path || p.snaplen == 0 || p.snaplen > detail::pcap_file::snaplen_max)
      return failure{std::errc::invalid_argument};
    if (auto r = Inner::probe(net, dev, p.inner); !r) return r;
    u32 const link = dev.type == arphrd::none ? detail::pcap_file::linktype_raw : detail::pcap_file::linktype_ethernet;
    auto r = netdev_priv<pcap_writer>(dev).file.open(p.path, link, p.snaplen, dev.queue == 0);
    if (!r) Inner::remove(net, dev);
    return r;
  }
  template <class Net>
  static void remove(Net& net, net_device& dev) {
    Inner::remove(net, dev);
    netdev_priv<pcap_writer>(dev).file.close();
  }

 private:
  static constexpr u64 flush_ns = 100'000'000;
};

}  // namespace netstack::drivers
