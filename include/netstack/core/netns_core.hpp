// SPDX-License-Identifier: BSL-1.0
// Decides: the settings under /proc/sys/net/core, and where they lie: those of a namespace in net_core's pernet, those
// of a worker in its softnet_data (all namespaces share it, so only init_net shows them). A socket takes its buffer
// limits from net_generic<net_core>(net). [S29] [S30]
// Linux: net/core/sysctl_net_core.c (net_core_table), include/net/netns/core.h, include/net/sock.h (SOCK_MIN_*)
#pragma once
#include "netstack/core/softnet.hpp"
#include "netstack/registry/pernet.hpp"
#include "netstack/registry/sysctl.hpp"

namespace netstack {

/// The least room a socket buffer may have: two packets of 2 KiB data to send, one to receive, with what an sk_buff
/// costs beside its data (256 bytes in Linux's accounting).
inline constexpr u32 tcp_skb_min_truesize = 2048 + 256;
inline constexpr u32 sock_min_sndbuf = 2 * tcp_skb_min_truesize;
inline constexpr u32 sock_min_rcvbuf = tcp_skb_min_truesize;
/// Linux's SK_WMEM_MAX: room for 256 packets of 256 bytes.
inline constexpr s32 sk_wmem_max = 256 * (256 + 576);

/// Privileges that a socket call may need, Linux's CAP_*.
namespace cap {
inline constexpr u32 net_bind_service = 1u << 0, net_admin = 1u << 1, net_raw = 1u << 2;
inline constexpr u32 all = net_bind_service | net_admin | net_raw;
}  // namespace cap

/// pernet of net_core.
struct netns_core {
  s32 sysctl_wmem_max = sk_wmem_max;  ///< the most that SO_SNDBUF can ask for
  s32 sysctl_rmem_max = sk_wmem_max;
  s32 sysctl_wmem_default = sk_wmem_max;  ///< of a new socket, bytes of truesize
  s32 sysctl_rmem_default = sk_wmem_max;
  s32 sysctl_somaxconn = 4096;  ///< the longest queue that listen() can ask for
  u32 caps = cap::all;          ///< what the namespace's sockets may do; the stack's owner is its root
};

struct net_core;

namespace detail {
template <class Net>
softnet_data& softnet_of(Net& net) {
  return net.worker().softnet;
}
/// dev_weight is the backlog's own quota; devices state theirs when they register. Linux: proc_do_dev_weight
template <class Net>
result<void> dev_weight_changed(Net& net, u32) {
  auto& sd = net.worker().softnet;
  sd.backlog.weight = static_cast<u16>(sd.dev_weight);
  return {};
}
}  // namespace detail

template <class Net>
inline constexpr std::array net_core_table{
    ctl<&netns_core::sysctl_wmem_max>("net/core/wmem_max", {.min = sock_min_sndbuf}),
    ctl<&netns_core::sysctl_rmem_max>("net/core/rmem_max", {.min = sock_min_rcvbuf}),
    ctl<&netns_core::sysctl_wmem_default>("net/core/wmem_default", {.min = sock_min_sndbuf}),
    ctl<&netns_core::sysctl_rmem_default>("net/core/rmem_default", {.min = sock_min_rcvbuf}),
    ctl<&netns_core::sysctl_somaxconn>("net/core/somaxconn", {.min = 0}),
    ctl_of<Net, detail::softnet_of<Net>, &softnet_data::dev_weight>(
        "net/core/dev_weight",
        {.min = 1, .max = 65535, .init_net_only = true, .changed = ctl_changed<Net, detail::dev_weight_changed<Net>>}),
    ctl_of<Net, detail::softnet_of<Net>, &softnet_data::netdev_max_backlog>("net/core/netdev_max_backlog",
                                                                            {.max = 0x7fffffff, .init_net_only = true}),
    ctl_of<Net, detail::softnet_of<Net>, &softnet_data::netdev_budget>("net/core/netdev_budget",
                                                                       {.max = 0x7fffffff, .init_net_only = true}),
    ctl_of<Net, detail::softnet_of<Net>, &softnet_data::netdev_budget_ns>(
        "net/core/netdev_budget_usecs", {.max = 0x7fffffff, .unit = 1000, .init_net_only = true}),
};

}  // namespace netstack
