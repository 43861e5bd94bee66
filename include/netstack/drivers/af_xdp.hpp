// SPDX-License-Identifier: BSL-1.0
// Decides: how a stack takes over a queue of one of Linux's interfaces, with the skb pool itself as the memory that the
// kernel receives into and sends from (AF_XDP's UMEM): no frame is copied by us, and one that is forwarded to another
// AF_XDP device of the worker is not copied at all.
//   auto dev = register_netdev<drivers::af_xdp>(net, "eth0", {.ifname = "enp1s0"});
//   if (!dev) puts(drivers::af_xdp::explain(dev.error()).data());
// A worker's device is one queue: that of params.queue + the worker's number. All AF_XDP devices of a worker share one
// UMEM. While the device is down its frames go to Linux. Needs libbpf (CMake: netstack::af_xdp). docs/drivers.md
// rx: called by core/napi → link/eth eth_type_trans → netif_receive_skb_list; tx: called by core/dev_output
// Linux: net/xdp/xsk.c; Documentation/networking/af_xdp.rst
#pragma once
#include "netstack/core/netdev.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/drivers/detail/linux_if.hpp"
#include "netstack/drivers/detail/xdp_queue.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/registry/ethtool_ops.hpp"
#include "netstack/skb/skb_copy.hpp"
#include "netstack/skb/skb_pull.hpp"

namespace netstack::drivers {

namespace detail {
template <class Net>
int xdp_poll_fd(Net&, net_device&);
template <class Net>
result<void> xdp_open(Net&, net_device&);
template <class Net>
void xdp_stop(Net&, net_device&);
template <class Net>
netdev_tx xdp_xmit(Net&, net_device&, sk_buff&, bool more);
template <class Net>
void xdp_xmit_list(Net&, net_device&, skb_list&, bool more);
template <class Net>
u32 xdp_poll(Net&, net_device&, u32 budget, skb_list& rx);
template <class Net>
void xdp_flush(Net&, net_device&);
template <class Net>
u32 xdp_tx_complete(Net&, net_device&);
template <class Net>
bool xdp_arm(Net&, net_device&);
template <class Net>
void xdp_set_rx_mode(Net&, net_device&);
template <class Net>
result<void> xdp_set_mac_address(Net&, net_device&, mac_addr const&);
template <class Net>
void xdp_get_drvinfo(Net&, net_device&, ethtool_drvinfo&);
template <class Net>
void xdp_get_ringparam(Net&, net_device&, ethtool_ringparam&);
template <class Net>
void xdp_get_stats(Net&, net_device&, std::span<u64>);
}  // namespace detail

struct af_xdp : driver {
  static constexpr char const* name = "af_xdp";
  static constexpr bool exclusive = true;  ///< a queue has one owner
  struct params {
    char ifname[ifnamsiz]{};              ///< Linux's name of the interface
    u32 queue = 0;                        ///< of worker 0; worker n has that one + n
    xdp_filter filter{};                  ///< default: every frame comes to the stack
    xdp_mode mode = xdp_mode::automatic;  ///< native, else skb mode
    xdp_copy copy = xdp_copy::automatic;  ///< zero copy where the interface has it
    bool multi_buffer = true;             ///< longer frames in pieces, where the kernel has that
    bool tx_checksums = false;            ///< leave those of sent packets to the kernel, where it takes them
    bool trust_checksums = false;         ///< take received checksums for checked (docs/drivers.md: veth)
    mac_addr mac{};                       ///< ours; zero: the interface's own
    u32 rx_frames = 0;                    ///< of the pool, kept ready for frames to come; 0: a quarter of it
    u32 rx_ring = 2048, tx_ring = 2048;   ///< powers of two
    bool need_wakeup = true;              ///< the kernel says when it must be called
    u32 tx_budget = 256;                  ///< frames that one call sends in copy mode, where the kernel lets choose
    u32 busy_poll_us = 0;                 ///< prefer busy polling to interrupts; 0: off
    u32 busy_poll_budget = 64;            ///< frames a busy poll
    u32 patience_ms = 1000;               ///< how long a busy queue is asked for again
  };
  struct priv {
    detail::xdp_queue queue;
    detail::linux_if interface;
    detail::xdp_attachment program;
    detail::xdp_setup setup;
    ::xdp_statistics before{};                               ///< of the sockets before this one
    ::xdp_statistics seen{};                                 ///< what the device's own counters know of
    u16 rx_at = 0;                                           ///< where in their chunks the frames lie, of late
    u64 next_look = 0;                                       ///< at the link and the counters
    timer_list wake{.function = [](void*, timer_list&) {}};  ///< ends a sleep: the poll that fires it does the work
  };

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = detail::xdp_open<Net>,
      .ndo_stop = detail::xdp_stop<Net>,
      .ndo_start_xmit = detail::xdp_xmit<Net>,
      .ndo_xmit_list = detail::xdp_xmit_list<Net>,
      .ndo_poll = detail::xdp_poll<Net>,
      .ndo_flow_poll = detail::xdp_poll<Net>,
      .ndo_xmit_flush = detail::xdp_flush<Net>,
      .ndo_tx_complete = detail::xdp_tx_complete<Net>,
      .ndo_poll_fd = detail::xdp_poll_fd<Net>,
      .ndo_set_mac_address = detail::xdp_set_mac_address<Net>,
      .ndo_set_rx_mode = detail::xdp_set_rx_mode<Net>,
      .ndo_arm = detail::xdp_arm<Net>,
  };
  static constexpr std::array<char const*, 12> stats_names{
      "rx_dropped",          "rx_invalid_descs", "tx_invalid_descs", "rx_ring_full", "rx_fill_ring_empty_descs",
      "tx_ring_empty_descs", "tx_kicks",         "rx_wakeups",       "native_mode",  "zero_copy",
      "multi_buffer",        "need_wakeup"};
  template <class Net>
  static constexpr ethtool_ops<Net> ethtool{
      .get_drvinfo = detail::xdp_get_drvinfo<Net>,
      .get_ringparam = detail::xdp_get_ringparam<Net>,
      .stats_strings = stats_names,
      .get_ethtool_stats = detail::xdp_get_stats<Net>,
  };

  /// Errors: see explain().
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& args);
  template <class Net>
  static void remove(Net&, net_device& dev) {
    auto& p = netdev_priv<af_xdp>(dev);
    p.queue.close();
    p.program.close();
    p.interface.close();
  }

  /// In the interface's driver, rather than behind it.
  static bool native(net_device& dev) { return netdev_priv<af_xdp>(dev).program.native(); }
  static bool zero_copy(net_device& dev) { return netdev_priv<af_xdp>(dev).queue.socket.zero_copy(); }
  /// Linux's interface was deleted, or went to another namespace: the device has no carrier, and gets none again.
  static bool gone(net_device& dev) { return netdev_priv<af_xdp>(dev).interface.gone(); }
  /// One line for a person: what a failed register_netdev or dev_open means, and what to do.
  static constexpr std::string_view explain(std::errc why);
};

constexpr std::string_view af_xdp::explain(std::errc why) {
  switch (why) {
    case std::errc::no_such_device: return "there is no such interface here: see `ip link`";
    case std::errc::operation_not_permitted:
    case std::errc::permission_denied:
      return "CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF (or CAP_SYS_ADMIN) are needed: run as root";
    case std::errc::device_or_resource_busy:
      return "another program has this queue of the interface: stop it, or choose another queue";
    case std::errc::text_file_busy:
      return "the interface has an XDP program with another purpose, filter or mode: stop its owner, ask for the same, "
             "or remove it with `ip link set dev IFACE xdp off`";
    case std::errc::file_exists: return "the stack has a device of this name: choose another";
    case std::errc::no_such_device_or_address: return "the interface has no such queue: see `ethtool -l IFACE`";
    case std::errc::invalid_argument:
      return "a ring is no power of two, config.frame_size is neither 2048 nor 4096, or the device's name is not one";
    case std::errc::operation_not_supported:
    case std::errc::address_family_not_supported:
      return "the kernel or the interface cannot do this: AF_XDP needs CONFIG_XDP_SOCKETS and an Ethernet interface";
    case std::errc::no_buffer_space:
      return "the pool's frames may not be locked in memory: raise the limit with `ulimit -l`, or run as root";
    case std::errc::network_down: return "the interface is down: `ip link set dev IFACE up`";
    default: return "the kernel refused the interface: see `dmesg`";
  }
}

namespace detail {

/// Another AF_XDP device of this worker, whatever wraps it, that holds a socket over frames like ours; or null.
template <class Net>
xdp_socket const* xdp_sibling(Net& net, net_device& self) {
  bool const sums = netdev_priv<af_xdp>(self).setup.tx_checksums;
  for (auto& other_net : net.worker().nets)
    for (auto& dev : other_net.dev_base)
      if (&dev != &self && Net::netdev_ops[dev.driver].ndo_poll_fd == xdp_poll_fd<Net>)
        if (auto const& p = netdev_priv<af_xdp>(dev); p.queue.socket.is_open() && p.setup.tx_checksums == sums)
          return &p.queue.socket;
  return nullptr;
}

template <class Net>
result<void> xdp_claim(Net& net, net_device& dev) {
  auto& p = netdev_priv<af_xdp>(dev);
  if (p.queue.socket.is_open()) return {};
  return p.queue.socket.open(p.setup, p.queue.memory(), xdp_sibling(net, dev));
}

/// The kernel's counters of this queue, over all its sockets.
inline ::xdp_statistics xdp_counters(af_xdp::priv const& p) {
  auto s = p.queue.socket.statistics();
  s.rx_dropped += p.before.rx_dropped;
  s.rx_invalid_descs += p.before.rx_invalid_descs;
  s.tx_invalid_descs += p.before.tx_invalid_descs;
  s.rx_ring_full += p.before.rx_ring_full;
  s.rx_fill_ring_empty_descs += p.before.rx_fill_ring_empty_descs;
  s.tx_ring_empty_descs += p.before.tx_ring_empty_descs;
  return s;
}

/// Moves what the kernel has counted since the last look into the device's own counters.
inline void xdp_account(net_device& dev) {
  auto& p = netdev_priv<af_xdp>(dev);
  auto const now = xdp_counters(p);
  u64 const dropped = now.rx_dropped - p.seen.rx_dropped;
  u64 const starved = std::min<u64>(dropped, now.rx_fill_ring_empty_descs - p.seen.rx_fill_ring_empty_descs);
  auto& stats = dev.stats;
  stats.rx_missed_errors += starved;          // no frame was ready
  stats.rx_over_errors += dropped - starved;  // longer than a frame, in one piece
  stats.rx_errors += dropped - starved;
  stats.rx_fifo_errors += now.rx_ring_full - p.seen.rx_ring_full;
  stats.tx_errors += now.tx_invalid_descs - p.seen.tx_invalid_descs;
  p.seen = now;
}

template <class Net>
void xdp_look_around(Net& net, net_device& dev) {
  auto& p = netdev_priv<af_xdp>(dev);
  p.next_look = net.worker().now + 100'000'000;
  follow_link(net, dev, p.interface);
  xdp_account(dev);
}

template <class Net>
result<void> xdp_open(Net& net, net_device& dev) {
  auto& p = netdev_priv<af_xdp>(dev);
  if (auto r = xdp_claim(net, dev); !r) return r;
  p.queue.refill();
  if (!p.program.redirect(p.setup.queue, p.queue.socket.fd())) {
    auto const why = static_cast<std::errc>(errno);
    p.queue.close();
    return failure{why};
  }
  xdp_look_around(net, dev);
  return {};
}

/// Afterwards the queue is anybody's, Linux gets its frames again, and all of ours are in the pool.
template <class Net>
void xdp_stop(Net& net, net_device& dev) {
  auto& p = netdev_priv<af_xdp>(dev);
  net.worker().timers.del_timer(p.wake);
  if (!p.queue.socket.is_open()) return;
  p.program.forget(p.setup.queue);
  (void)p.queue.kick();
  p.queue.reap();
  xdp_account(dev);
  auto const total = xdp_counters(p);
  bool const hardware = p.queue.socket.zero_copy();
  dev.stats.tx_carrier_errors += p.queue.close();
  p.before = p.seen = total;
  if (hardware) xdp_await_release(p.setup);
}

/// A packet that others hold too, with more pieces than the kernel takes, or without room in front for what it is told:
/// cloned, copied into one frame, its checksum finished, or refused.
inline netdev_tx xdp_xmit_odd(net_device& dev, sk_buff& skb, bool more) {
  auto& queue = netdev_priv<af_xdp>(dev).queue;
  if (!queue.room(xdp_queue::max_pieces)) return netdev_tx::busy;
  sk_buff* const own = skb_share_check(skb);
  bool const fits = own && (skb_shinfo(*own).nr_frags < xdp_queue::max_pieces || skb_linearize(*own).has_value()) &&
                    (queue.may_describe(*own) || (skb_checksum_help(*own).has_value() &&
                                                  skb_cow_head(*own, queue.socket.tx_metadata()).has_value()));
  if (fits) {
    queue.send(*own);
  } else {
    ++dev.stats.tx_errors;
    if (own) consume_skb(*own);
  }
  if (!more) (void)queue.kick();
  return netdev_tx::ok;
}

template <class Net>
netdev_tx xdp_xmit(Net&, net_device& dev, sk_buff& skb, bool more) {
  auto& queue = netdev_priv<af_xdp>(dev).queue;
  u32 const pieces = skb.is_nonlinear() ? 1u + skb_shinfo(skb).nr_frags : 1u;
  if (pieces > xdp_queue::max_pieces || skb_shared(skb) || !queue.may_describe(skb)) [[unlikely]]
    return xdp_xmit_odd(dev, skb, more);
  if (!queue.room(pieces)) [[unlikely]] {
    (void)queue.kick();
    if (!queue.room(pieces)) return netdev_tx::busy;
  }
  queue.send(skb);
  if (!more) (void)queue.kick();
  return netdev_tx::ok;
}

template <class Net>
void xdp_xmit_list(Net&, net_device& dev, skb_list& frames, bool more) {
  auto& queue = netdev_priv<af_xdp>(dev).queue;
  while (sk_buff* const skb = frames.first) {
    bool const odd = skb_shared(*skb) || !queue.may_describe(*skb);
    u32 const pieces = odd ? xdp_queue::max_pieces : 1;
    if (!queue.room(pieces)) [[unlikely]] {
      (void)queue.kick();
      if (!queue.room(pieces)) break;
    }
    frames.pop_front();
    odd ? (void)xdp_xmit_odd(dev, *skb, true) : queue.send(*skb);
  }
  if (!more) (void)queue.kick();
}

template <class Net>
void xdp_flush(Net&, net_device& dev) {
  auto& queue = netdev_priv<af_xdp>(dev).queue;
  if (queue.kick() != std::errc{}) netdev_priv<af_xdp>(dev).next_look = 0;
}
template <class Net>
u32 xdp_tx_complete(Net&, net_device& dev) {
  auto& queue = netdev_priv<af_xdp>(dev).queue;
  u32 const done = queue.reap();
  if (queue.stuck()) [[unlikely]]
    (void)queue.kick();
  return done;
}

template <class Net>
u32 xdp_poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
  auto& p = netdev_priv<af_xdp>(dev);
  if (net.worker().now >= p.next_look) [[unlikely]]
    xdp_look_around(net, dev);
  u64 packets = 0, bytes = 0;
  bool const summed = p.queue.trust_checksums;
  rx_flow_burst<Net> flow{net, dev, p.rx_at, summed};
  u32 const done = p.queue.receive(budget, dev.stats, [&](sk_buff& skb) {
    ++packets;
    bytes += skb.len;
    u16 const at = skb.offset_of(0);
    if (at == p.rx_at && skb.len >= eth_hlen && !skb.is_nonlinear()) [[likely]] {
      eth_rx(flow, skb, dev, skb.data, at, skb.len, summed);
    } else {
      p.rx_at = at;
      flow.stop();
      eth_type_trans(skb, dev);
    }
    rx.push_back(skb);
  });
  dev.stats.rx_packets += packets;
  dev.stats.rx_bytes += bytes;
  p.queue.refill();
  if (done == 0 && p.setup.busy_poll_us != 0) p.queue.wake_rx();
  return done;
}

template <class Net>
int xdp_poll_fd(Net&, net_device& dev) {
  return netdev_priv<af_xdp>(dev).queue.socket.fd();
}
/// Nothing wakes a sleeper but a frame for which one of ours lies ready. So the kernel gets what the pool has again,
/// and while it has frames of ours to send, the sleep is short.
template <class Net>
bool xdp_arm(Net& net, net_device& dev) {
  auto& p = netdev_priv<af_xdp>(dev);
  p.queue.refill();
  p.queue.reap();
  if (p.queue.sending()) {
    bool const link = !p.queue.stuck() || p.queue.kick() == std::errc{};
    net.worker().timers.mod_timer(p.wake, net.worker().now + (link ? 1'000'000 : 100'000'000));
  }
  return p.queue.frames_wait();
}
template <class Net>
void xdp_set_rx_mode(Net&, net_device& dev) {
  netdev_priv<af_xdp>(dev).interface.set_rx_mode(dev, dev.dev_addr);
}
template <class Net>
result<void> xdp_set_mac_address(Net&, net_device& dev, mac_addr const& mac) {
  netdev_priv<af_xdp>(dev).interface.set_rx_mode(dev, mac);
  return {};
}
template <class Net>
void xdp_get_drvinfo(Net&, net_device& dev, ethtool_drvinfo& info) {
  auto const& p = netdev_priv<af_xdp>(dev);
  std::snprintf(info.bus_info, sizeof info.bus_info, "%.15s:%u", p.setup.ifname, p.setup.queue);
}
template <class Net>
void xdp_get_ringparam(Net&, net_device& dev, ethtool_ringparam& ring) {
  auto const& p = netdev_priv<af_xdp>(dev);
  ring = {p.setup.rx_ring, p.setup.tx_ring, p.queue.rx_target, p.setup.tx_ring};
}
template <class Net>
void xdp_get_stats(Net&, net_device& dev, std::span<u64> out) {
  auto const& p = netdev_priv<af_xdp>(dev);
  auto const s = xdp_counters(p);
  u64 const all[] = {
      s.rx_dropped,           s.rx_invalid_descs, s.tx_invalid_descs, s.rx_ring_full,     s.rx_fill_ring_empty_descs,
      s.tx_ring_empty_descs,  p.queue.kicks,      p.queue.wakeups,    p.program.native(), p.queue.socket.zero_copy(),
      p.queue.socket.multi(), p.setup.need_wakeup};
  static_assert(std::size(all) == af_xdp::stats_names.size());
  std::copy(std::begin(all), std::end(all), out.begin());
}

}  // namespace detail

template <class Net>
result<void> af_xdp::probe(Net& net, net_device& dev, params const& args) {
  auto& p = netdev_priv<af_xdp>(dev);
  auto& pool = net.worker().pool;
  p.queue.pool = &pool;
  p.queue.need_wakeup = args.need_wakeup;
  auto const give_up = [&](std::errc why) {
    remove(net, dev);
    return failure{why};
  };
  if (auto r = p.interface.open(args.ifname); !r) return give_up(r.error());
  ether_setup(dev);
  if (p.interface.address(dev.dev_addr) != detail::linux_if::arphrd_ether)
    return give_up(std::errc::operation_not_supported);
  if (!args.mac.is_zero()) dev.dev_addr = args.mac;
  p.setup = {.ifindex = p.interface.ifindex(),
             .queue = args.queue + dev.queue,
             .rx_ring = args.rx_ring,
             .tx_ring = args.tx_ring,
             .copy = args.copy,
             .multi_buffer = args.multi_buffer,
             .need_wakeup = args.need_wakeup,
             .tx_budget = args.tx_budget,
             .busy_poll_us = args.busy_poll_us,
             .busy_poll_budget = args.busy_poll_budget,
             .patience_ms = args.patience_ms};
  std::memcpy(p.setup.ifname, args.ifname, sizeof args.ifname);
  p.setup.ifname[ifnamsiz - 1] = '\0';
  u32 const one = pool.frame_size() - std::max(pool.rx_headroom(), detail::xdp_queue::kernel_headroom);
  u32 const mtu = p.interface.mtu();
  // Where frames need several pieces, none may need room in front of it. Kernels before 6.18 overlook the request on
  // interfaces that take frames in pages (virtio-net).
  p.setup.tx_checksums = args.tx_checksums && mtu + vlan_eth_hlen <= one && detail::linux_since(6, 18);
  if (p.setup.queue >= detail::xdp_attachment::max_queues) return give_up(std::errc::no_such_device_or_address);
  if (auto r = detail::xdp_claim(net, dev); !r) return give_up(r.error());
  if (auto r = p.program.open(p.setup.ifindex, args.filter, args.mode, args.patience_ms); !r) return give_up(r.error());
  p.queue.trust_checksums = args.trust_checksums;
  p.queue.rx_target = std::min(args.rx_frames ? args.rx_frames : pool.nr_frames() / 4, args.rx_ring);
  bool const sums = p.queue.socket.tx_metadata() != 0, multi = p.queue.socket.multi();
  u32 const longest = one + (multi ? (detail::xdp_queue::max_pieces - 1) * one : 0);
  dev.max_mtu = std::min(longest - static_cast<u32>(vlan_eth_hlen), mtu);
  dev.mtu = dev.max_mtu;
  dev.needed_headroom = static_cast<u16>(p.queue.socket.tx_metadata());
  // What hardware does with the pool's own frames only its driver knows: there we finish them.
  dev.hw_features = sums && !p.queue.socket.zero_copy() ? netif_f::hw_csum : 0;
  dev.features = dev.hw_features | (multi && !sums ? netif_f::sg : 0) | (args.trust_checksums ? netif_f::rxcsum : 0);
  return {};
}

}  // namespace netstack::drivers
