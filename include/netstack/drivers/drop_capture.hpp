// SPDX-License-Identifier: BSL-1.0
// Decides: how rejected packets are kept for Wireshark: each with the reason and the device as its comment, as it was
// when it was rejected, from its link header on if it has one. A module beside the drivers; off until start().
//   struct host : stack<host, presets::host, drivers::tap, drivers::drop_capture> {};
//   drivers::drop_capture::start(net, "drops.pcapng");   …   drivers::drop_capture::stop(net);
// A file belongs to a worker, which writes the drops of all its namespaces into it.
// called by stack/net count_drop
#pragma once
#include <cstdio>

#include "netstack/core/drop_proc.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/drivers/detail/pcapng_file.hpp"
#include "netstack/registry/drop_trace.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack::drivers {

struct drop_capture : module {
  struct perworker {
    detail::pcapng_file file;
  };

  /// Begins a file, which ends with stop() or the stack. `snaplen`: bytes kept of each packet. Errors:
  /// device_or_resource_busy (begun already), invalid_argument (snaplen), those of open(2).
  template <class Net>
  static result<void> start(Net& net, char const* path, u32 snaplen = 2048) {
    auto& file = worker_generic<drop_capture>(net.worker()).file;
    if (file.is_open()) return failure{std::errc::device_or_resource_busy};
    if (!path || snaplen == 0 || snaplen > detail::pcapng_file::snaplen_max)
      return failure{std::errc::invalid_argument};
    return file.open(path, snaplen);
  }
  /// Brings the file up to date.
  template <class Net>
  static void flush(Net& net) {
    worker_generic<drop_capture>(net.worker()).file.flush();
  }
  template <class Net>
  static void stop(Net& net) {
    worker_generic<drop_capture>(net.worker()).file.close();
  }
  /// Packets that are in the file, and that could not be written.
  template <class Net>
  static std::pair<u64, u64> counts(Net& net) {
    auto const& file = worker_generic<drop_capture>(net.worker()).file;
    return {file.written, file.lost};
  }

  template <class Net>
  static void kfree_skb(Net& net, sk_buff const& skb, drop_reason reason) {
    auto& file = worker_generic<drop_capture>(net.worker()).file;
    if (!file.is_open()) return;
    auto const name = drop_reason_name<Net>(reason);
    char text[128];
    int const n = std::snprintf(text, sizeof text, "%.*s%s%s", static_cast<int>(std::min<std::size_t>(name.size(), 64)),
                                name.data(), skb.dev ? " on " : "", skb.dev ? skb.dev->name : "");
    u32 const at = start_of(skb);
    bool const ether = skb.mac_header_was_set() && at == skb.mac_header && skb.dev && skb.dev->type == arphrd::ether;
    file.add(net.worker().now_real, ether ? detail::pcapng_file::link::ethernet : detail::pcapng_file::link::raw_ip,
             skb, skb.headroom() - at, std::string_view(text, static_cast<std::size_t>(n)));
  }
  template <class Net>
  static constexpr std::array drop_traces{drop_trace<Net>{kfree_skb<Net>, "drop_capture"}};

 private:
  /// The outermost header that is known, as an offset from head; where data begins, if none is.
  static u32 start_of(sk_buff const& skb) {
    u32 const data = skb.headroom();
    if (skb.mac_header_was_set() && skb.mac_header <= data) return skb.mac_header;
    return skb.network_header != 0 && skb.network_header <= data ? skb.network_header : data;
  }
};

}  // namespace netstack::drivers
