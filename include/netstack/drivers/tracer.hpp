// SPDX-License-Identifier: BSL-1.0
// Decides: how the frames of a device become lines of text, for a person who wants to see what happens:
//   1700000000.000004096 eth0 tx 02:00:00:00:00:02 < 02:00:00:00:00:01 0800 98: 45 00 00 54 …
// A line is made on the stack and given to a function, or written to a file; frames are not touched.
//   register_netdev<drivers::tracer<drivers::tap>>(net, "eth0", {.inner = {.ifname = "nst0"}, .sink =
//   trace_to(stderr)});
#pragma once
#include <cstdio>

#include "netstack/drivers/decorator.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack::drivers {

/// Who gets the lines, without their newlines.
struct trace_sink {
  void (*line)(void* ctx, std::string_view text) = nullptr;
  void* ctx = nullptr;
};
inline trace_sink trace_to(std::FILE* file) {
  return {[](void* ctx, std::string_view text) {
            auto* out = static_cast<std::FILE*>(ctx);
            std::fprintf(out, "%.*s\n", static_cast<int>(text.size()), text.data());
          },
          file};
}

template <class Inner>
struct tracer : driver {
  static constexpr auto full_name = decorate_name<Inner>("tracer");
  static constexpr char const* name = full_name.text;
  struct params {
    typename Inner::params inner{};
    trace_sink sink{};
  };
  struct priv {
    typename Inner::priv inner{};
    trace_sink sink{};
  };

  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool more) {
    char text[line_max];
    std::string_view const line = describe(net, dev, skb, false, text);
    netdev_tx const answer = Inner::template netdev_ops<Net>.ndo_start_xmit(net, dev, skb, more);
    if (answer == netdev_tx::ok) emit(dev, line);
    return answer;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    skb_list burst;
    u32 const work = Inner::template netdev_ops<Net>.ndo_poll(net, dev, budget, burst);
    for (sk_buff* skb = burst.first; skb; skb = skb->next) {
      char text[line_max];
      emit(dev, describe(net, dev, *skb, true, text));
    }
    rx.splice(burst);
    return work;
  }

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops = [] {
    auto ops = Inner::template netdev_ops<Net>;
    ops.ndo_start_xmit = xmit<Net>;
    ops.ndo_xmit_list = nullptr;
    ops.ndo_poll = poll<Net>;
    return ops;
  }();
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool = detail::inner_ethtool<Inner, Net>();

  /// Errors: the inner driver's; invalid_argument without a sink.
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& p) {
    detail::check_layout<tracer>(dev);
    if (!p.sink.line) return failure{std::errc::invalid_argument};
    netdev_priv<tracer>(dev).sink = p.sink;
    return Inner::probe(net, dev, p.inner);
  }
  template <class Net>
  static void remove(Net& net, net_device& dev) {
    Inner::remove(net, dev);
  }

 private:
  static constexpr std::size_t line_max = 256;
  static constexpr u32 bytes_shown = 32;

  static void emit(net_device& dev, std::string_view line) {
    auto const& sink = netdev_priv<tracer>(dev).sink;
    sink.line(sink.ctx, line);
  }

  template <class Net>
  static std::string_view describe(Net& net, net_device& dev, sk_buff const& skb, bool received,
                                   char (&text)[line_max]) {
    seq_file m{text};
    u64 const now = net.worker().now_real;
    seq_printf(m, "%llu.%09llu %s %s ", static_cast<unsigned long long>(now / 1'000'000'000),
               static_cast<unsigned long long>(now % 1'000'000'000), dev.name, received ? "rx" : "tx");
    u32 const before = detail::link_header_before(skb, received), len = before + skb.len;
    u8 const* at = skb.data - before;
    u8 const* const end = skb.tail;
    if (dev.type == arphrd::ether && end - at >= static_cast<std::ptrdiff_t>(eth_hlen)) {
      auto const& eth = *reinterpret_cast<ethhdr const*>(at);
      char to[18], from[18];
      format_mac(eth.h_dest, to), format_mac(eth.h_source, from);
      seq_printf(m, "%s < %s %04x ", to, from, eth.h_proto.host());
      at += eth_hlen;
    }
    seq_printf(m, "%u:", len);
    for (u32 i = 0; i < bytes_shown && at < end; ++i) seq_printf(m, " %02x", *at++);
    return m.text();
  }
};

}  // namespace netstack::drivers
