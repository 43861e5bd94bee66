// SPDX-License-Identifier: BSL-1.0
// Decides: how two stacks in one process, on one thread or on two, are wired to each other. A pipe_cable is one queue
// of the wire: per direction a ring of frames and a ring of frames that were handled, so a frame lies untouched in its
// sender's pool until the receiver has copied it into its own. If that is the same pool (two namespaces of one stack),
// what lies in several pieces is handed over as it is. No lock on the way: who may read a ring is one word.
// An end learns in poll() that the other has come up: what is sent before that is dropped for want of a carrier.
// rx: called by worker.poll() → eth_type_trans → netif_receive_skb_list; tx: called by core/dev_output
// Linux: drivers/net/veth.c
#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <span>

#include "netstack/base/ring.hpp"
#include "netstack/core/netdev.hpp"
#include "netstack/core/skb_transfer.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/link/ip.hpp"
#include "netstack/registry/netdev_ops.hpp"

namespace netstack::drivers {

/// One queue between two pipe devices. It outlives both and belongs to neither; each end is claimed by one device.
class pipe_cable {
 public:
  static constexpr u32 ring_size = 512;  ///< frames in flight per direction

  static constexpr u32 short_slots = 64;  ///< of them the youngest may lie in the cable, if they are short

  enum class reader : u8 { nobody, receiver, sender };

  /// A short frame in the cable: its network header is where a word begins.
  struct alignas(cache_line) short_frame {
    u16 len;
    u8 bytes[short_frame_max];
  };
  struct direction {
    spsc_ring<sk_buff*, ring_size> frames;  ///< sent, not yet seen by the receiver; null: it is in `shorts`
    spsc_ring<sk_buff*, ring_size> done;    ///< copied by the receiver: the sender frees them
    short_frame shorts[short_slots];        ///< by the number of the frame
    /// Who takes frames out just now: the receiver while it polls, the sender as long as it is down.
    alignas(cache_line) std::atomic<reader> reading{reader::sender};
    std::atomic<bool> receiver_up{false};
    std::atomic<bool> receiver_sleeps{false};
    std::atomic<bool> claimed{false};  ///< by a sender
    u32 handed = 0;                    ///< frames of the sender's that are the receiver's now: both are of one thread
    int wakeup = -1;                   ///< eventfd on which a sleeping receiver waits

    bool acquire(reader who) {
      auto expected = reader::nobody;
      return reading.compare_exchange_strong(expected, who, std::memory_order_acq_rel, std::memory_order_relaxed);
    }
    void release() { reading.store(reader::nobody, std::memory_order_release); }
    /// The one of the frame with this number.
    [[nodiscard]] NETSTACK_INLINE short_frame& short_at(u32 number) {
      auto* at = &shorts[number % short_slots];
      asm("" : "+r"(at));  // g++ would find each of its members anew
      return *at;
    }
  };

  pipe_cable() {
    for (auto& way : ways_) way.wakeup = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  }
  ~pipe_cable() {
    for (auto& way : ways_)
      if (way.wakeup >= 0) ::close(way.wakeup);
  }
  pipe_cable(pipe_cable const&) = delete;
  pipe_cable& operator=(pipe_cable const&) = delete;

  /// The way on which the device at `end` (0 or 1) sends.
  [[nodiscard]] direction& from(unsigned end) { return ways_[end]; }

 private:
  direction ways_[2];
};

namespace detail {
template <class Net>
result<void> pipe_open(Net&, net_device&);
template <class Net>
void pipe_stop(Net&, net_device&);
template <class Net>
netdev_tx pipe_xmit(Net&, net_device&, sk_buff&, bool more);
template <class Net>
void pipe_xmit_list(Net&, net_device&, skb_list&, bool more);
template <class Net>
u8* pipe_short_begin(Net&, net_device&, u32 len);
template <class Net>
void pipe_short_end(Net&, net_device&, bool more);
template <class Net>
u32 pipe_poll(Net&, net_device&, u32 budget, skb_list& rx);
template <class Net>
void pipe_flush(Net&, net_device&);
template <class Net>
u32 pipe_tx_complete(Net&, net_device&);
template <class Net>
int pipe_poll_fd(Net&, net_device&);
template <class Net>
bool pipe_arm(Net&, net_device&);
template <class Net>
result<void> pipe_set_mac_address(Net&, net_device&, mac_addr const&);
}  // namespace detail

struct pipe : driver {
  static constexpr char const* name = "pipe";
  struct params {
    pipe_cable* cables = nullptr;  ///< one for each queue
    u8 end = 0;                    ///< which end of the cables this device is: 0 or 1
    u8 queues = 1;                 ///< how many cables; a worker uses the one of its number
    bool wakeup = true;            ///< false: both ends always poll, and sending never costs a system call
    u16 type = arphrd::ether;      ///< none: frames are bare IP packets
    u32 features = netif_f::sg | netif_f::fraglist;  ///< with hw_csum and gso, frames cross unfinished
    mac_addr mac{};                                  ///< zero: 02:00:00:00:00:01 for end 0, …:02 for end 1
  };
  struct priv {
    pipe_cable::direction* out = nullptr;
    pipe_cable::direction* in = nullptr;
    u32 in_flight = 0;  ///< frames in `out`, handled or not
    bool up = false;
    bool wakeup = true;
    bool armed = false;  ///< the eventfd may be signalled
  };

  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{
      .ndo_open = detail::pipe_open<Net>,
      .ndo_stop = detail::pipe_stop<Net>,
      .ndo_start_xmit = detail::pipe_xmit<Net>,
      .ndo_xmit_list = detail::pipe_xmit_list<Net>,
      .ndo_short_begin = detail::pipe_short_begin<Net>,
      .ndo_short_end = detail::pipe_short_end<Net>,
      .ndo_short_xmit = detail::pipe_xmit<Net>,
      .ndo_poll = detail::pipe_poll<Net>,
      .ndo_flow_poll = detail::pipe_poll<Net>,
      .ndo_xmit_flush = detail::pipe_flush<Net>,
      .ndo_tx_complete = detail::pipe_tx_complete<Net>,
      .ndo_poll_fd = detail::pipe_poll_fd<Net>,
      .ndo_set_mac_address = detail::pipe_set_mac_address<Net>,
      .ndo_arm = detail::pipe_arm<Net>,
  };
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p);
  template <class Net>
  static void remove(Net&, net_device& dev) {
    netdev_priv<pipe>(dev).out->claimed.store(false, std::memory_order_release);
  }
};

namespace detail {

NETSTACK_NOINLINE inline u32 pipe_reap_several(pipe::priv& p, u32 n) {
  auto& done = p.out->done;
  consume_sent_clones(*done.front(0)->pool, n, [&](u32 i) -> sk_buff& { return *done.front(i); });
  done.consume(n);
  p.in_flight -= n;
  return n;
}
NETSTACK_NOINLINE inline u32 pipe_reap_handled(pipe::priv& p, u32 n) {
  auto& done = p.out->done;
  if (n != 1) return pipe_reap_several(p, n);
  sk_buff& sent = *done.front(0);
  done.consume(1);
  --p.in_flight;
  consume_sent_skb(sent);
  return 1;
}
/// Frees what the receiver has handled. Of how many frames this end is rid.
NETSTACK_INLINE u32 pipe_reap(pipe::priv& p) {
  u32 handed = 0;
  if (p.out->handed != 0) [[unlikely]] {
    handed = std::exchange(p.out->handed, 0);
    p.in_flight -= handed;
  }
  u32 const n = p.out->done.filled(pipe_cable::ring_size);
  return handed + (n == 0 ? 0 : pipe_reap_handled(p, n));
}

/// Wakes the receiver if it sleeps. Both sides change receiver_sleeps by read-modify-write, so either the receiver sees
/// the frames before it sleeps, or this sees that it sleeps: no wake-up is lost. [S78]
NETSTACK_NOINLINE inline void pipe_wake(pipe::priv& p) {
  if (p.out->receiver_sleeps.exchange(false, std::memory_order_acq_rel)) {
    u64 const one = 1;
    [[maybe_unused]] auto n = ::write(p.out->wakeup, &one, sizeof one);
  }
}
NETSTACK_INLINE void pipe_kick(pipe::priv& p) {
  if (p.wakeup) pipe_wake(p);
}

/// What nobody has taken is lost. Afterwards the other end reads nothing until release().
NETSTACK_COLD inline void pipe_take_back(net_device& dev, pipe::priv& p) {
  while (!p.out->acquire(pipe_cable::reader::sender)) {
  }
  for (sk_buff* skb = nullptr; p.out->frames.pop(skb);) {
    ++dev.stats.tx_carrier_errors;
    if (!skb) continue;
    consume_skb(*skb);
    --p.in_flight;
  }
}

template <class Net>
void pipe_check_carrier(Net& net, net_device& dev, pipe::priv& p) {
  if (p.out->receiver_up.load(std::memory_order_acquire) == dev.carrier_ok()) [[likely]]
    return;
  if (!dev.carrier_ok()) return netif_carrier_on(net, dev);
  netif_carrier_off(net, dev);
  // What was sent since the other end went down would stay: TCP does not repeat what its device still has.
  pipe_take_back(dev, p);
  p.out->release();
}

template <class Net>
result<void> pipe_open(Net& net, net_device& dev) {
  auto& p = netdev_priv<pipe>(dev);
  p.up = true;
  p.out->release();
  p.in->receiver_up.store(true, std::memory_order_release);
  pipe_check_carrier(net, dev, p);
  return {};
}

/// Afterwards no frame of this device is with the other end, and none of the other end's is here.
template <class Net>
void pipe_stop(Net&, net_device& dev) {
  auto& p = netdev_priv<pipe>(dev);
  if (!std::exchange(p.up, false)) return;
  p.in->receiver_up.store(false, std::memory_order_release);
  sk_buff* skb = nullptr;
  if (p.in->acquire(pipe_cable::reader::receiver)) {
    while (p.in->frames.pop(skb))
      if (skb) (void)p.in->done.push(skb);
    p.in->release();
  }
  pipe_take_back(dev, p);
  pipe_reap(p);
  BUG_ON(p.in_flight != 0, "frames lost in a pipe");
}

template <class Net>
u32 pipe_tx_complete(Net&, net_device& dev) {
  auto& p = netdev_priv<pipe>(dev);
  return p.in_flight == 0 ? 0 : pipe_reap(p);
}
template <class Net>
void pipe_flush(Net&, net_device& dev) {
  pipe_kick(netdev_priv<pipe>(dev));
}

/// As many are in flight as fit into `done`. False: the receiver is behind.
NETSTACK_NOINLINE inline bool pipe_make_room(pipe::priv& p) { return pipe_reap(p) != 0; }
template <class Net>
netdev_tx pipe_xmit(Net&, net_device& dev, sk_buff& skb, bool more) {
  auto& p = netdev_priv<pipe>(dev);
  if ((p.in_flight == pipe_cable::ring_size && !pipe_make_room(p)) || !p.out->frames.push(&skb)) [[unlikely]] {
    pipe_kick(p);
    return netdev_tx::busy;
  }
  ++p.in_flight;
  if (!more) pipe_kick(p);
  return netdev_tx::ok;
}
template <class Net>
NETSTACK_INLINE u8* pipe_short_begin(Net&, net_device& dev, u32 len) {
  auto& out = *netdev_priv<pipe>(dev).out;
  u32 const number = out.frames.back_number(0);
  if (!out.frames.holds_fewer(pipe_cable::short_slots, number)) [[unlikely]]
    return nullptr;
  auto& to = out.short_at(number);
  out.frames.at(number) = nullptr;
  to.len = static_cast<u16>(len);
  return to.bytes;
}
template <class Net>
NETSTACK_INLINE void pipe_short_end(Net&, net_device& dev, bool more) {
  auto& p = netdev_priv<pipe>(dev);
  p.out->frames.publish(1);
  if (!more) pipe_kick(p);
}

template <class Net>
void pipe_xmit_list(Net& net, net_device& dev, skb_list& frames, bool more) {
  while (sk_buff* skb = frames.first) {
    sk_buff* const following = skb->next;
    skb->next = nullptr;
    if (pipe_xmit(net, dev, *skb, true) != netdev_tx::ok) [[unlikely]] {
      skb->next = following;
      break;
    }
    frames.first = following;
    --frames.count;
  }
  if (!more) pipe_kick(netdev_priv<pipe>(dev));
}

/// The most that such a frame may hold: as much as one of this end's pool.
inline u32 pipe_room(net_device const& dev, skb_pool const& pool) {
  return dev.type == arphrd::ether ? pool.frame_size() - pool.rx_headroom() : 0;
}
/// Of the kind that one of a known flow is, if the others are: linear, its checksum finished or, `unsummed`, left open.
inline bool pipe_is_plain(sk_buff const& from, u32 room, bool unsummed) {
  if (from.data_len != 0 || from.len > room) return false;
  return unsummed ? from.ip_summed == ip_summed::partial && !skb_is_gso(from) : from.ip_summed == ip_summed::none;
}
/// Such a frame, for a packet whose data is at `data`; if it is of a flow that a protocol knows, its bytes are summed
/// while they are copied. `from`: null if it was short.
template <class Net>
NETSTACK_INLINE void pipe_copy_plain(rx_flow_burst<Net>& flow, net_device& dev, sk_buff& skb, u8* data, u8 const* bytes,
                                     u32 len, sk_buff const* from, u32 truesize) {
  if (!bytes) __builtin_unreachable();  // so that a frame that lies elsewhere is the only kind here
  if (flow.take({skb, data, len, bytes, truesize})) [[likely]]
    return;
  skb_pool::complete(skb, data, truesize);
  std::memcpy(skb.put(len), bytes, len);
  if (from) skb_copy_offloads(skb, *from);
  eth_type_trans(skb, dev);
}
/// Any other: a copy, or of the same pool the packet itself, as by Linux's veth; its sender has nothing to free then.
NETSTACK_NOINLINE inline sk_buff* pipe_take(net_device& dev, skb_pool& pool, pipe_cable::direction& in,
                                            sk_buff*& from) {
  bool const handed = from->pool == &pool;
  sk_buff* const skb = handed ? std::exchange(from, nullptr) : skb_copy_to_pool(pool, *from, 0);
  if (handed) {
    ++in.handed;
    skb_scrub_packet(*skb);
    // As with a copy, the wire tells bytes and nothing that its sender knew of them.
    skb->mark = skb->priority = skb->hash = skb->dropcount = 0;
    skb->l4_hash = skb->rx_l4_valid = 0;
    skb->queue_mapping = 0;
  }
  if (skb) dev.type == arphrd::ether ? eth_type_trans(*skb, dev) : ip_type_trans(*skb, dev);
  return skb;
}

/// The one frame of the wire, as a packet of this end's pool: what is not sent in bulk. `from`: null if it is short.
/// How many frames the sender has to free. By itself: beside pipe_poll's values its own would not fit the registers.
template <class Net>
NETSTACK_NOINLINE u32 pipe_receive_one(Net& net, net_device& dev, pipe_cable::direction& in, sk_buff* from,
                                       bool unsummed, skb_list& rx) {
  static_assert(Net::sizes.frame_size >= Net::sizes.headroom + short_frame_max);
  auto& pool = net.worker().pool;
  auto const& in_cable = in.short_at(in.frames.front_number(0));
  u32 const len = from ? from->len : in_cable.len;
  u32 done = from ? 1 : 0;
  if (from) in.done.back(0) = from;
  sk_buff* skb;
  if (from && !pipe_is_plain(*from, pipe_room(dev, pool), unsummed)) [[unlikely]] {
    skb = pipe_take(dev, pool, in, in.done.back(0));
    done = in.done.back(0) ? 1 : 0;
  } else if (skb = pool.__alloc_skb(pool.rx_headroom()); skb) [[likely]] {
    rx_flow_burst<Net> flow{net, dev, static_cast<u16>(pool.rx_headroom()), unsummed};
    pipe_copy_plain(flow, dev, *skb, skb->data, from ? from->data : in_cable.bytes, len, from, 0);
  }
  if (skb) [[likely]] {
    rx.push_back(*skb);
    ++dev.stats.rx_packets;
  } else {
    ++dev.stats.rx_missed_errors;
  }
  dev.stats.rx_bytes += len;
  return done;
}
/// The first `n`; how many of them the sender has to free: not the short ones, nor those it handed over.
template <class Net>
NETSTACK_NOINLINE u32 pipe_receive(Net& net, net_device& dev, pipe::priv& p, u32 n, bool unsummed, skb_list& rx) {
  auto& pool = net.worker().pool;
  auto& in = *p.in;
  auto& frames = in.frames;
  u32 const room = pipe_room(dev, pool);
  rx_flow_burst<Net> flow{net, dev, static_cast<u16>(pool.rx_headroom()), unsummed};
  u32 const first = frames.front_number(0);
  u32 got = 0, done = 0;
  u64 bytes = 0;
  auto const is_plain = [&](sk_buff const* from)
                            NETSTACK_INLINE_LAMBDA { return !from || pipe_is_plain(*from, room, unsummed); };
  for (u32 i = 0; i < n;) {
    u32 const run = pool.alloc_bulk_while(
        n - i, rx, [&, at = first + i](sk_buff& skb, u8* data, u32 k, u32 truesize) NETSTACK_INLINE_LAMBDA {
          sk_buff* const from = frames.at(at + k);
          if (!is_plain(from)) [[unlikely]]
            return false;
          auto const& in_cable = in.short_at(at + k);
          u32 const len = from ? from->len : in_cable.len;
          bytes += len;
          if (from) in.done.back(done++) = from;
          if (unsummed && !from) flow.stop();  // its sums are finished
          pipe_copy_plain(flow, dev, skb, data, from ? from->data : in_cable.bytes, len, from, truesize);
          return true;
        });
    i += run, got += run;
    if (i == n) [[likely]]
      break;
    if (pool.available() == 0) pool.alloc_failures -= n - i;  // the rest: what is behind the next asks for itself
    for (; i < n && is_plain(frames.front(i)); ++i, ++pool.alloc_failures)  // the pool is empty
      if (sk_buff* const from = frames.front(i)) in.done.back(done++) = from;
    if (i == n) break;
    flow.stop();
    sk_buff*& from = in.done.back(done) = frames.front(i++);
    bytes += from->len;
    if (sk_buff* const skb = pipe_take(dev, pool, in, from)) rx.push_back(*skb), ++got;
    if (from) ++done;
  }
  dev.stats.rx_packets += got;
  dev.stats.rx_bytes += bytes;
  dev.stats.rx_missed_errors += n - got;
  return done;
}

template <class Net>
u32 pipe_poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
  auto& p = netdev_priv<pipe>(dev);
  pipe_check_carrier(net, dev, p);
  if (p.armed) [[unlikely]] {
    p.armed = false;
    p.in->receiver_sleeps.exchange(false, std::memory_order_acq_rel);
    u64 count = 0;
    [[maybe_unused]] auto n = ::read(p.in->wakeup, &count, sizeof count);
  }
  auto& in = *p.in;
  auto& frames = in.frames;
  if (frames.empty() || !in.acquire(pipe_cable::reader::receiver)) return 0;
  auto& pool = net.worker().pool;
  // With an empty pool the frames stay on the wire: back-pressure, not loss.
  u32 const n = frames.filled(std::min(budget, pool.available()));
  if (n != 0) {
    sk_buff* const first = frames.front(0);
    bool const unsummed = first && first->ip_summed == ip_summed::partial;
    u32 const done =
        n == 1 ? pipe_receive_one(net, dev, in, first, unsummed, rx) : pipe_receive(net, dev, p, n, unsummed, rx);
    frames.consume(n);
    if (done != 0) in.done.publish(done);  // as many as are in flight fit
  }
  in.release();
  return n;
}

template <class Net>
int pipe_poll_fd(Net&, net_device& dev) {
  auto& p = netdev_priv<pipe>(dev);
  return p.wakeup ? p.in->wakeup : -1;
}
template <class Net>
bool pipe_arm(Net&, net_device& dev) {
  auto& p = netdev_priv<pipe>(dev);
  if (!p.wakeup) return true;  // nobody would call: do not sleep
  p.armed = true;
  p.in->receiver_sleeps.exchange(true, std::memory_order_acq_rel);
  return !p.in->frames.empty() || !p.out->done.empty();
}
template <class Net>
result<void> pipe_set_mac_address(Net&, net_device&, mac_addr const&) {
  return {};
}

}  // namespace detail

/// Errors: invalid_argument (no cable, or an end that is neither 0 nor 1), no_such_device (no cable for this worker),
/// too_many_files_open (the cable has no eventfd), device_or_resource_busy (the end is taken). [S74]
template <class Net>
result<void> pipe::probe(Net&, net_device& dev, params const& args) {
  if (!args.cables || args.end > 1) return failure{std::errc::invalid_argument};
  if (dev.queue >= args.queues) return failure{std::errc::no_such_device};
  auto& cable = args.cables[dev.queue];
  auto& p = netdev_priv<pipe>(dev);
  p.out = &cable.from(args.end);
  p.in = &cable.from(1u - args.end);
  p.wakeup = args.wakeup;
  if (p.wakeup && (p.in->wakeup < 0 || p.out->wakeup < 0)) return failure{std::errc::too_many_files_open};
  if (p.out->claimed.exchange(true, std::memory_order_acq_rel)) return failure{std::errc::device_or_resource_busy};
  args.type == arphrd::ether ? ether_setup(dev) : ip_link_setup(dev);
  dev.max_mtu = 65535;
  dev.features = args.features;
  if (args.type != arphrd::ether) return {};
  dev.dev_addr = args.mac.is_zero() ? mac_addr{{0x02, 0, 0, 0, 0, static_cast<unsigned char>(args.end + 1)}} : args.mac;
  return {};
}

}  // namespace netstack::drivers
