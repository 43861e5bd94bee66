// SPDX-License-Identifier: BSL-1.0
// Decides: what one thread owns, and in which order it works: everything that the data path touches lies in here, so no
// lock and no shared cache line stands on a packet's way. poll() is the whole loop body: clock, control messages,
// receive (net_rx_action), transmit (net_tx_action), timers. [S10] [S59] [S62] [S63] [S178] [S180] rx: called by
// host.poll() → calls ndo_poll → eth_type_trans → netif_receive_skb Linux: net/core/dev.c (net_rx_action,
// net_tx_action), kernel/softirq.c
#pragma once
#include <algorithm>

#include "netstack/base/random.hpp"
#include "netstack/core/slab.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/stack/control.hpp"
#include "netstack/stack/net.hpp"
#include "netstack/stack/waiter.hpp"

namespace netstack {

/// Where time comes from: monotonic and since 1970, in ns. An argument of boot(), not a type, so that the instantiation
/// under simulation is the one that ships.
struct clock_source {
  u64 (*monotonic)(void* ctx) = nullptr;
  u64 (*realtime)(void* ctx) = nullptr;
  void* ctx = nullptr;
};

namespace detail {
template <class... Ds>
constexpr std::size_t largest_priv(type_list<Ds...>) {
  std::size_t n = 0;
  ((n = sizeof(typename Ds::priv) > n ? sizeof(typename Ds::priv) : n), ...);
  return n;
}
}  // namespace detail

template <class Host>
struct worker : detail::perworker_slots<Host, typename Host::modules> {
  using host = Host;
  using net_type = netstack::net<Host>;
  static constexpr config const& sizes = Host::sizes;

  /// A device with its driver's private area behind it.
  struct device_slot {
    net_device dev;
    alignas(cache_line) std::byte priv[detail::largest_priv(tables::drivers_of<typename Host::modules>{})];
  };

  u64 now = 0;       ///< monotonic ns, refreshed by poll() only
  u64 now_real = 0;  ///< ns since 1970, likewise
  u32 id = 0;
  bool polling = false;      ///< inside poll(): a blocking call would never return
  std::uintptr_t owner = 0;  ///< the thread that makes its socket calls (socket/enter.hpp); 0: none yet
  Host* stack_ = nullptr;
  clock_source clock;
  prng random;
  skb_pool pool;
  softnet_data softnet;
  timer_wheel<Host::sizes.tick_shift> timers;
  slab<device_slot, Host::sizes.max_dev> devices;
  waiter sleeper;
  control_inbox<worker, Host::sizes.workers, Host::sizes.control_ring> inbox;
  net_type nets[Host::sizes.max_net];
  skb_pool_storage<Host::sizes, Host::skb_ext_bytes> pool_storage;

  [[nodiscard]] Host& stack() const { return *stack_; }
  template <class M>
  [[nodiscard]] auto& generic() {
    return static_cast<detail::perworker_slot<M, Host>&>(*this).perworker_state;
  }

  void refresh_clock() {
    now = clock.monotonic(clock.ctx);
    now_real = clock.realtime(clock.ctx);
  }

  void schedule_output(net_device& dev) {
    if (!dev.in_output_queue) {
      dev.in_output_queue = true;
      dev.next_output = softnet.output_queue;
      softnet.output_queue = &dev;
    }
    raise_softirq(softnet, softnet_data::net_tx);
  }

  /// The device's fd joins, or leaves, the set that wait() sleeps on.
  void watch_device(net_type& net, net_device& dev) {
    if (auto* fd = net_type::netdev_ops[dev.driver].ndo_poll_fd) sleeper.watch(fd(net, dev));
  }
  void unwatch_device(net_type& net, net_device& dev) {
    if (auto* fd = net_type::netdev_ops[dev.driver].ndo_poll_fd) sleeper.unwatch(fd(net, dev));
  }
  void forget_device(net_device& dev) {
    for (net_device** at = &softnet.output_queue; *at; at = &(*at)->next_output)
      if (*at == &dev) {
        *at = dev.next_output;
        dev.in_output_queue = false;
        break;
      }
  }
  void free_device(net_device& dev) { devices.free(reinterpret_cast<device_slot*>(&dev)); }

  /// Nothing is left to do before a frame arrives or a timer is due.
  [[nodiscard]] bool idle() const { return softnet.poll_list.empty() && softnet.pending == 0; }
  /// Sleeps until a device's fd is readable, the next timer is due, or `timeout_ns` passed. Returns at once with work.
  void wait(u64 timeout_ns) {
    if (!idle()) return;
    refresh_clock();
    if (auto const next = timers.next_expiry()) timeout_ns = std::min(timeout_ns, *next > now ? *next - now : 0);
    sleeper.sleep(timeout_ns);
  }

  /// One round of work; returns how many frames and timers were handled. 0: nothing to do now.
  u32 poll() {
    BUG_ON(polling, "poll() from inside a handler");
    polling = true;
    refresh_clock();
    u32 const control = inbox.drain(*this);
    for (auto& net : nets)
      if (net.alive)
        for (auto& dev : net.dev_base)
          if (dev.running()) napi_schedule(softnet, dev.napi);
    u32 work = control + net_rx_action();
    if (softnet.pending & softnet_data::net_tx) work += net_tx_action();
    work += timers.run(now, this);
    polling = false;
    return work;
  }

 private:
  u32 net_rx_action() {
    softnet.pending = static_cast<u8>(softnet.pending & ~softnet_data::net_rx);
    u32 budget = softnet.netdev_budget, done = 0;
    while (!softnet.poll_list.empty()) {
      if (budget == 0) {
        ++softnet.time_squeeze;
        raise_softirq(softnet, softnet_data::net_rx);
        break;
      }
      napi_struct& n = softnet.poll_list.front();
      u32 const weight = std::min<u32>(n.weight, budget);
      u32 const work = n.dev ? poll_device(*n.dev, weight) : process_backlog(weight);
      done += work;
      budget -= std::min(budget, work);
      if (!n.is_linked()) continue;  // closed by its own frames
      softnet.poll_list.erase(softnet.poll_list.iterator_to(n));
      if (work < weight)
        n.state = static_cast<u8>(n.state & ~napi_struct::sched);
      else
        softnet.poll_list.push_back(n);
    }
    return done;
  }

  u32 poll_device(net_device& dev, u32 budget) {
    net_type& net = nets[dev.netns];
    auto const& ops = net_type::netdev_ops[dev.driver];
    if (ops.ndo_tx_complete) ops.ndo_tx_complete(net, dev);
    skb_list burst;
    u32 const n = ops.ndo_poll(net, dev, budget, burst);
    netif_receive_skb_list(net, burst);
    return n;
  }

  u32 process_backlog(u32 budget) {
    u32 done = 0;
    while (done < budget) {
      sk_buff* skb = softnet.process_queue.dequeue();
      if (!skb) {
        softnet.process_queue.splice_tail(softnet.input_pkt_queue);
        if (softnet.process_queue.empty()) break;
        continue;
      }
      ++softnet.processed;
      ++done;
      finish(*skb, netif_receive_skb(nets[skb->dev->netns], *skb));
    }
    return done;
  }

  u32 net_tx_action() {
    softnet.pending = static_cast<u8>(softnet.pending & ~softnet_data::net_tx);
    u32 work = softnet.completion_queue.count;
    pool.free_list(softnet.completion_queue);
    for (net_device* dev = std::exchange(softnet.output_queue, nullptr); dev;) {
      net_device* following = dev->next_output;
      dev->in_output_queue = false;
      qdisc_run(nets[dev->netns], *dev);
      dev = following;
      ++work;
    }
    return work;
  }
};

}  // namespace netstack
