// SPDX-License-Identifier: BSL-1.0
// Decides: what follows when a device gains or loses its carrier: its operational state, who is told, and whether its
// waiting frames move. Frames that wait are kept: they leave when the carrier returns. [S72]
// called by drivers, from probe or from their poll
// Linux: net/core/link_watch.c, net/sched/sch_generic.c (netif_carrier_on); RFC 2863 §3.1.14
#pragma once
#include "netstack/core/dev_output.hpp"
#include "netstack/registry/notifier.hpp"

namespace netstack {

/// What the device can do just now; down whenever it is not up, as Linux reports it.
inline operstate dev_get_operstate(net_device const& dev) { return dev.running() ? dev.operstate : operstate::down; }
inline bool netif_oper_up(net_device const& dev) { return dev.operstate == operstate::up; }

/// Its flags as the user sees them: running, lower_up and dormant follow from the state.
inline u32 dev_get_flags(net_device const& dev) {
  u32 flags = dev.flags & ~(iff::running | iff::lower_up | iff::dormant);
  if (!dev.running()) return flags;
  if (netif_oper_up(dev)) flags |= iff::running;
  if (dev.carrier_ok()) flags |= iff::lower_up;
  if (dev.state & netdev_state::dormant) flags |= iff::dormant;
  return flags;
}

namespace detail {

// RFC 2863 §3.1.14: without a carrier down, with one that waits for somebody dormant, else up.
inline operstate rfc2863_policy(net_device const& dev) {
  if (!dev.carrier_ok()) return operstate::down;
  return dev.state & netdev_state::dormant ? operstate::dormant : operstate::up;
}

/// After a change of state or flags: the operational state follows, and whoever cares hears of it.
template <class Net>
void linkwatch_run(Net& net, net_device& dev) {
  dev.operstate = rfc2863_policy(dev);
  route_genid_bump(net.worker().softnet);  // xmit_way_is_up
  if (dev.running() && (dev.state & netdev_state::registered)) net.call_netdevice_notifiers(netdev_event::change, dev);
}

}  // namespace detail

template <class Net>
void netif_carrier_on(Net& net, net_device& dev) {
  if (dev.carrier_ok()) return;
  dev.state &= ~netdev_state::nocarrier;
  ++dev.carrier_changes;
  for (u16 i = 0; i < dev.real_num_tx_queues; ++i)
    if (!dev.tx[i].qdisc.empty()) netif_schedule_queue(net, dev.tx[i]);
  detail::linkwatch_run(net, dev);
}
template <class Net>
void netif_carrier_off(Net& net, net_device& dev) {
  if (!dev.carrier_ok()) return;
  dev.state |= netdev_state::nocarrier;
  ++dev.carrier_changes;
  detail::linkwatch_run(net, dev);
}
/// The link is there, but something else must happen before it carries packets.
template <class Net>
void netif_dormant_on(Net& net, net_device& dev) {
  if (dev.state & netdev_state::dormant) return;
  dev.state |= netdev_state::dormant;
  detail::linkwatch_run(net, dev);
}
template <class Net>
void netif_dormant_off(Net& net, net_device& dev) {
  if (!(dev.state & netdev_state::dormant)) return;
  dev.state &= ~netdev_state::dormant;
  detail::linkwatch_run(net, dev);
}

}  // namespace netstack
