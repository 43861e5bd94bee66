// SPDX-License-Identifier: BSL-1.0
// Decides: what a module is: a type derived from `module` (or `driver`) whose constexpr members are the descriptors
// that Linux would register at boot. All members are optional; the composition looks for these names:
//
//   needs             requires_all<…> / requires_any<…>: modules that must be in the list too (Kconfig's "depends on")
//   modules           type_list<…>: what this name stands for, when it is a preset
//   pernet<Host>      its state in every namespace (slice of a worker): net_generic<M>(net)
//   perworker<Host>   its state in every worker, shared by all namespaces there: worker_generic<M>(worker)
//   cb                what it keeps in sk_buff's control block; checked against config.cb
//   skb_ext           an extension of every sk_buff
//   and per Net, arrays of: packet_types net_protocols protos inetsw families initcalls pernet_ops notifiers nf_hooks
//                           offloads drop_reasons ctl_tables snmp proc raw_deliver rx_flows icmp_handlers neigh_tables
//                           …
#pragma once
#include <type_traits>

#include "netstack/base/config.hpp"

namespace netstack {

/// Base of everything that may stand in a composition's list.
struct module {};
/// Base of a module that drives devices (see registry/netdev_ops.hpp for what it must have).
struct driver : module {};

template <class M>
concept protocol_module = std::is_class_v<M> && std::is_base_of_v<module, M>;

template <class... Ms>
struct requires_all_t {};
template <class... Ms>
struct requires_any_t {};
/// `static constexpr auto needs = requires_all<ipv4, icmp>;`: each of them must be composed too.
template <class... Ms>
inline constexpr requires_all_t<Ms...> requires_all{};
/// `static constexpr auto needs = requires_any<ipv4, ipv6>;`: at least one of them must be.
template <class... Ms>
inline constexpr requires_any_t<Ms...> requires_any{};

}  // namespace netstack
