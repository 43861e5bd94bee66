// SPDX-License-Identifier: BSL-1.0
// Decides: what one thread owns, and in which order it works: everything that the data path touches lies in here, so no
// lock and no shared cache line stands on a packet's way. poll() is the whole loop body: clock, control messages,
// receive (net_rx_action), transmit (net_tx_action), timers. [S10] [S59] [S62] [S63] [S178] [S180]
// rx: called by host.poll() → calls ndo_poll → eth_type_trans → netif_receive_skb
// Linux: net/core/dev.c (net_rx_action, net_tx_action), kernel/softirq.c
#pragma once
#include <algorithm>

#include "netstack/base/random.hpp"
#include "netstack/core/dev_cpu_dead.hpp"
#include "netstack/core/netdev.hpp"
#include "netstack/core/slab.hpp"
#include "netstack/core/sock_mem.hpp"
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
  u64 realtime_every = 0;  ///< ns for which the time of day may follow from the monotonic one, instead of being read
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

  u64 now = 0;                                ///< monotonic ns, refreshed by poll() only
  u32 now_us = 0, now_ms = 0;                 ///< the same, modulo 2^32: one division a round, not one a segment
  u64 now_real = 0;                           ///< ns since 1970, likewise
  u64 realtime_read = 0, realtime_ahead = 0;  ///< when the time of day was read, and by how much it was ahead of now
  u32 id = 0;
  bool polling = false;      ///< inside poll() or a callback: a blocking call would never return
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
  rps_port<Host::sizes.workers, Host::sizes.rps_ring> rps;
  std::atomic<worker*> heir{nullptr};  ///< who answers for this worker since it was removed
  u64 adopted = 0;                     ///< removed workers that this one answers for, as bits
  net_type nets[Host::sizes.max_net];
  skb_pool_storage<Host::sizes, Host::skb_ext_bytes> pool_storage;

  [[nodiscard]] Host& stack() const { return *stack_; }
  template <class M>
  [[nodiscard]] auto& generic() {
    return static_cast<detail::perworker_slot<M, Host>&>(*this).perworker_state;
  }

  NETSTACK_INLINE void refresh_clock() {
    now = clock.monotonic(clock.ctx);
    now_us = static_cast<u32>(now / 1000), now_ms = static_cast<u32>(now / 1'000'000);
    if (now - realtime_read >= clock.realtime_every || realtime_read == 0) {
      realtime_read = now;
      realtime_ahead = clock.realtime(clock.ctx) - now;
    }
    now_real = now + realtime_ahead;
  }

  /// The device's fd joins, or leaves, the set that wait() sleeps on.
  void watch_device(net_type& net, net_device& dev) {
    if (watching_) sleeper.watch(fd_of(net, dev));
  }
  void unwatch_device(net_type& net, net_device& dev) {
    if (watching_) sleeper.unwatch(fd_of(net, dev));
  }
  void free_device(net_device& dev) { devices.free(reinterpret_cast<device_slot*>(&dev)); }

  /// One round of work; returns how many frames, timers and messages were handled. 0: nothing to do now.
  u32 poll() {
    BUG_ON(polling, "poll() from inside a handler");
    BUG_ON(removed(), "poll() of a removed worker");
    polling = true;
    sleeper.done();
    if (watching_ && ++sleepless_polls_ == max_sleepless_polls) [[unlikely]]
      watch_devices(false);
    refresh_clock();
    u32 work = inbox.drain(*this);
    if constexpr (sizes.workers > 1) work += receive_from_workers();
    softnet.in_softirq = true;
    work += net_rx_action(*this);
    if (softnet.pending & softnet_data::net_tx) work += net_tx_action(*this);
    work += timers.run(now, this);
    if (pool.writers.first) [[unlikely]]
      work += sk_tell_writers(pool);
    end_softirq();
    polling = false;
    return work;
  }

  [[nodiscard]] bool removed() const { return heir.load(std::memory_order_relaxed) != nullptr; }
  /// Any thread, after it left a frame or a message here.
  void wake() {
    sleeper.wake();
    if (worker* const other = heir.load(std::memory_order_acquire)) [[unlikely]]
      other->wake();
  }
  /// Takes over what a removed worker has, and what is still sent to it. [S10]
  void adopt(worker& dead) {
    dead.heir.store(this, std::memory_order_release);
    // Who wakes the dead from now on sees its heir; what was left there before this is seen by our next poll().
    dead.sleeper.wake();
    adopted |= dead.adopted | u64{1} << dead.id;
    dev_cpu_dead(dead, *this);
    sleeper.wake();
  }

  /// Gives one device a turn out of order: for a blocking reader who knows where its frames come from (skb.napi_id).
  /// How many frames it had; 0 also when there is no such device. [S55]
  u32 busy_poll(u32 napi_id, u32 budget) {
    BUG_ON(polling, "busy_poll() from inside a handler");
    for (auto& n : softnet.instances) {
      if (n.napi_id != napi_id) continue;
      polling = softnet.in_softirq = true;
      refresh_clock();
      u32 const work = detail::napi_poll(*this, n, std::min<u32>(budget, n.weight));
      end_softirq();
      polling = false;
      return work;
    }
    return 0;
  }

  /// Sleeps until a frame, a message or the next timer comes, or `timeout_ns` passed. Returns at once if there is work.
  void wait(u64 timeout_ns) {
    if (!prepare_sleep()) return;
    sleeper.sleep(time_to_sleep(timeout_ns));
    sleeper.done();
  }
  /// For an application's own event loop, when poll() had nothing to do: from now on sleeper.fd() becomes readable with
  /// the next frame, message or timer. False: there is work already, call poll() again. [S78]
  bool arm() {
    if (!prepare_sleep()) return false;
    sleeper.set_timer(time_to_sleep(waiter::no_timer));
    return true;
  }

 private:
  /// How long a driver that answers busy may be left alone.
  static constexpr u64 tx_retry_ns = 50'000;
  /// After so many polls in a row this worker is busy.
  static constexpr u32 max_sleepless_polls = 256;

  bool watching_ = false;  // the devices' fds are in the sleeper's set
  u32 sleepless_polls_ = 0;

  static int fd_of(net_type& net, net_device& dev) {
    auto* fd = net_type::netdev_ops[dev.driver].ndo_poll_fd;
    return fd ? fd(net, dev) : -1;
  }
  /// The kernel tells an epoll set of every frame that is sent, too, about 100 ns each. So the devices' fds are in it
  /// only while this worker sleeps now and then. [S78]
  void watch_devices(bool on) {
    sleepless_polls_ = 0;
    if (std::exchange(watching_, on) == on) return;
    for (auto& n : softnet.instances) {
      int const fd = fd_of(nets[n.dev->netns], *n.dev);
      on ? sleeper.watch(fd) : sleeper.unwatch(fd);
    }
  }

  void end_softirq() {
    if (softnet.flush_list) net_flush_action(*this);
    softnet.in_softirq = false;
    if (softnet.todo) [[unlikely]]
      netdev_run_todo(*this);
  }

  /// Nothing is left to do before a frame arrives or a timer is due.
  [[nodiscard]] bool idle() const {
    return softnet.poll_list.empty() && !(softnet.pending & softnet_data::net_rx) &&
           (!(softnet.pending & softnet_data::net_tx) || softnet.tx_stalled) && softnet.completion_queue.empty() &&
           !pool.writers.first;
  }
  /// Frames of this worker and of those that it has adopted, and the latter's messages.
  u32 receive_from_workers() {
    u32 work = rps_receive(*this, *this);
    for (u64 left = adopted; left != 0; left &= left - 1) {
      worker& dead = stack().worker(static_cast<u32>(std::countr_zero(left)));
      work += dead.inbox.drain(dead) + rps_receive(*this, dead);
    }
    return work;
  }
  [[nodiscard]] bool messages_wait() const {
    if constexpr (sizes.workers > 1) {
      if (!inbox.empty() || rps.frames_wait()) return true;
      for (u64 left = adopted; left != 0; left &= left - 1) {
        worker const& dead = stack().worker(static_cast<u32>(std::countr_zero(left)));
        if (!dead.inbox.empty() || dead.rps.frames_wait()) return true;
      }
    }
    return false;
  }
  /// Every device re-armed; true if one has frames already.
  bool arm_devices() {
    bool work = false;
    for (auto& n : softnet.instances)
      if (auto* arm_device = net_type::netdev_ops[n.dev->driver].ndo_arm)
        work = arm_device(nets[n.dev->netns], *n.dev) || work;
    return work;
  }
  bool prepare_sleep() {
    if (!idle()) return false;
    watch_devices(true);
    sleeper.prepare();
    if (!messages_wait() && !arm_devices()) return true;
    sleeper.done();
    return false;
  }
  u64 time_to_sleep(u64 limit_ns) {
    refresh_clock();
    if (auto const next = timers.next_expiry()) limit_ns = std::min(limit_ns, *next > now ? *next - now : 0);
    if (softnet.pending & softnet_data::net_tx) limit_ns = std::min(limit_ns, tx_retry_ns);
    return limit_ns;
  }
};

}  // namespace netstack
