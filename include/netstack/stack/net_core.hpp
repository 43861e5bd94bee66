// SPDX-License-Identifier: BSL-1.0
// Decides: what every composition has before its own modules: namespaces, the device layer, drop reasons of the core.
// Boot order as in Linux: net_ns_init (pure) < sock_init, net_inuse_init (core) < net_dev_init, proto_init (subsys) <
// protocols (fs) < drivers (device). [S4] [S11] [S22] [S58]
// Linux: net/core/net_namespace.c, net/core/dev.c (net_dev_init), net/socket.c (sock_init)
#pragma once
#include "netstack/core/drop_proc.hpp"
#include "netstack/core/net_procfs.hpp"
#include "netstack/core/netdev.hpp"
#include "netstack/core/netns_core.hpp"
#include "netstack/core/sock_proc.hpp"
#include "netstack/meta/concat.hpp"
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack {

template <class Net>
result<void> net_ns_init(Net& init_net) {
  return init_net.stack().setup_net(0);
}
template <class Net>
void net_ns_exit(Net& init_net) {
  init_net.stack().cleanup_net(0);
}
template <class Net>
result<void> net_dev_init(Net& init_net) {
  auto& random = init_net.worker().random;
  siphash_key_t const key{{random.next_u64(), random.next_u64()}};
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& sd = init_net.stack().worker(w).softnet;
    sd.hash_key = key;
    napi_enable(sd, sd.backlog);
  }
  return {};
}

/// Devices of a namespace that goes: lo is removed by its own module, the others return to init_net. [S20]
template <class Net>
void default_device_exit(Net& net) {
  for (auto it = net.dev_base.begin(); it != net.dev_base.end();) {
    net_device& dev = *it++;
    if (dev.state & netdev_state::netns_local) continue;
    if (net.index == 0 || !dev_change_net_namespace(net, dev, net.worker().nets[0], "dev%d"))
      unregister_netdev(net, dev);
  }
}

struct net_core : module {
  using pernet = netns_core;
  template <class Net>
  static constexpr auto ctl_tables = net_core_table<Net>;
  template <class Net>
  static constexpr auto proc = netstack::concat<proc_entry<Net>>(dev_proc<Net>, drop_proc<Net>, sock_proc<Net>);
  template <class Net>
  static constexpr auto sockstat = sock_sockstat<Net>;
  template <class Net>
  static constexpr std::array initcalls{
      initcall<Net>{
          .level = initcall_level::pure, .name = "net_ns_init", .init = net_ns_init<Net>, .exit = net_ns_exit<Net>},
      initcall<Net>{
          .level = initcall_level::subsys, .name = "net_dev_init", .init = net_dev_init<Net>, .needs = "net_ns_init"},
  };
  template <class Net>
  static constexpr std::array pernet_ops{
      pernet_operations<Net>{.name = "default_device_ops", .exit = default_device_exit<Net>, .device = true},
  };
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{drop_reason::not_specified, "NOT_SPECIFIED"},
      drop_reason_def<Net>{drop_reason::dev_down, "DEV_DOWN"},
      drop_reason_def<Net>{drop_reason::dev_ready, "DEV_READY"},
      drop_reason_def<Net>{drop_reason::cpu_backlog, "CPU_BACKLOG"},
      drop_reason_def<Net>{drop_reason::dev_tx_queue_full, "DEV_TX_QUEUE_FULL"},
      drop_reason_def<Net>{drop_reason::dev_hdr, "DEV_HDR"},
      drop_reason_def<Net>{drop_reason::unhandled_proto, "UNHANDLED_PROTO"},
      drop_reason_def<Net>{drop_reason::otherhost, "OTHERHOST"},
      drop_reason_def<Net>{drop_reason::pkt_too_big, "PKT_TOO_BIG"},
      drop_reason_def<Net>{drop_reason::full_ring, "FULL_RING"},
      drop_reason_def<Net>{drop_reason::nomem, "NOMEM"},
      drop_reason_def<Net>{drop_reason::skb_csum, "SKB_CSUM"},
      drop_reason_def<Net>{drop_reason::namespace_exit, "NAMESPACE_EXIT"},
  };
};

}  // namespace netstack
