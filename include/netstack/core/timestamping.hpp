// SPDX-License-Identifier: BSL-1.0
// Decides: when a packet's times are taken, and who is told. A sender that asks (SO_TIMESTAMPING) finds a copy of what
// it sent on its error queue, with the time at which the packet was queued for the device, the driver took it, or the
// device itself says that it left. Devices that stamp are shown PTP events only, both ways, as a PHY is in Linux. [S28]
// rx: called by core/napi for devices with ndo_rxtstamp; tx: called by udp_send_skb, tcp/tcp_stamps and
// core/dev_output → error queue
// Linux: net/core/timestamping.c, net/core/skbuff.c (__skb_tstamp_tx, skb_clone_sk, skb_complete_tx_timestamp)
#pragma once
#include "netstack/core/net_device.hpp"
#include "netstack/core/sock_queue.hpp"
#include "netstack/registry/netdev_ops.hpp"
#include "netstack/skb/skb_copy.hpp"
#include "netstack/wire/ptp.hpp"

namespace netstack {

namespace skbtx {  // skb.tx_flags, Linux's SKBTX_*
inline constexpr u8 hw_tstamp = 1u << 0, sw_tstamp = 1u << 1, in_progress = 1u << 2, sched_tstamp = 1u << 6;
inline constexpr u8 ack_tstamp = 1u << 7;  ///< of a segment in its queue
}  // namespace skbtx
namespace scm_tstamp {  // sock_extended_err::ee_info of a time of departure, Linux's SCM_TSTAMP_*
inline constexpr u32 snd = 0, sched = 1, ack = 2;
}

/// The device's own time of the packet, ns of its clock; 0: none.
[[nodiscard]] inline u64 skb_hwtstamps(sk_buff const& skb) { return skb.hwtstamped ? skb_shinfo(skb).hwtstamp : 0; }
inline void skb_set_hwtstamps(sk_buff& skb, u64 stamp) {
  skb_edit_shinfo(skb).hwtstamp = stamp;
  skb.hwtstamped = stamp != 0;
}

/// The ptp_class of a packet with a link header.
[[nodiscard]] inline u8 ptp_classify_raw(sk_buff const& skb) {
  if (!skb.mac_header_was_set() || skb.dev->hard_header_len != eth_hlen) return ptp_class::none;
  u8 const* const frame = skb.head + skb.mac_header;
  return ptp_classify(frame, static_cast<std::size_t>(skb.tail - frame));
}

/// A received frame, before anybody sees it: the device stamps it if it is a PTP event.
template <class Net>
void skb_defer_rx_timestamp(Net& net, net_device& dev, sk_buff& skb) {
  if (u8 const type = ptp_classify_raw(skb)) Net::netdev_ops[dev.driver].ndo_rxtstamp(net, dev, skb, type);
}

/// What a socket wants to be told about the packet that it sends now.
[[nodiscard]] constexpr u8 sock_tx_flags(u32 tsflags) {
  auto const wants = [&](u32 flag) { return (tsflags & flag) != 0; };
  return static_cast<u8>((wants(sof_timestamping::tx_hardware) ? skbtx::hw_tstamp : 0) |
                         (wants(sof_timestamping::tx_software) ? skbtx::sw_tstamp : 0) |
                         (wants(sof_timestamping::tx_sched) ? skbtx::sched_tstamp : 0));
}
inline void sock_tx_timestamp(sock& sk, sk_buff& skb) {
  skb.tx_flags = sock_tx_flags(sk.sk_rare->tsflags);
  if (skb.tx_flags != 0 && sk.sk_rare->tsflags & sof_timestamping::opt_id)
    skb_edit_shinfo(skb).tskey = sk_own_rare(sk).tskey++;
}

/// A clone that keeps the sender's socket alive, or null. Of a stream's segment it has the bytes to itself: that may be
/// sent again, and is not while somebody else has its frame.
[[nodiscard]] inline sk_buff* skb_clone_sk(sock& sk, sk_buff& skb) {
  bool const stream = sk.sk_type == sock_type::stream;
  sk_buff* const clone = stream ? skb_copy(skb) : skb_clone(skb);
  if (!clone) return nullptr;
  if (stream) skb_edit_shinfo(*clone).tskey = skb_shinfo(skb).tskey;
  sock_hold(sk);
  clone->sk = &sk;
  clone->destructor = sock_efree;
  return clone;
}
[[nodiscard]] inline sk_buff* skb_clone_sk(sk_buff& skb) { return skb.sk ? skb_clone_sk(*skb.sk, skb) : nullptr; }

namespace detail {

/// Without the bytes, for a sender that knows what it sent.
inline sk_buff* tstamp_only(sk_buff& clone) {
  sk_buff* bare = clone.pool->alloc_skb();
  if (bare) {
    bare->tstamp = clone.tstamp;
    skb_set_hwtstamps(*bare, skb_hwtstamps(clone));
    bare->reset_network_header();
  }
  return bare;
}

/// The clone, stamped, goes to its socket's error queue.
inline void complete_tx_timestamp(sk_buff& clone, u32 tstype) {
  sock& sk = *clone.sk;
  sock_hold(sk);  // the clone's own hold ends in the queue
  u32 const first = sk.sk_type == sock_type::stream ? sk.sk_rare->tskey : 0;
  u32 const key = sk.sk_rare->tsflags & sof_timestamping::opt_id ? skb_shinfo(clone).tskey - first : 0;
  u32 const ifindex = clone.dev ? clone.dev->ifindex : 0;
  sk_buff* entry = &clone;
  if (sk.sk_rare->tsflags & sof_timestamping::opt_tsonly) {
    entry = tstamp_only(clone);
    consume_skb(clone);
  }
  if (entry) {
    skb_dst_drop(*entry);
    SKB_EXT_ERR(*entry) = {.ee = {.ee_errno = static_cast<u32>(std::errc::no_message),
                                  .ee_origin = so_ee_origin::timestamping,
                                  .ee_info = tstype,
                                  .ee_data = key},
                           .daddr = {},
                           .offender = {},
                           .port = {},
                           .ifindex = ifindex};
    if (sock_flag(sk, sock_flags::dead) || !sock_queue_err_skb(sk, *entry)) consume_skb(*entry);
  }
  sock_put(sk);
}

/// The clone is stamped with this moment; the worker's `now` is when the poll began.
template <class Net>
void complete_sw_timestamp(Net& net, sk_buff& clone, u32 tstype) {
  auto const& clock = net.worker().clock;
  clone.tstamp = clock.realtime(clock.ctx);
  clone.hwtstamped = 0;
  complete_tx_timestamp(clone, tstype);
}

}  // namespace detail

/// The time of the packet, as it is now, for its sender.
template <class Net>
void __skb_tstamp_tx(Net& net, sock& sk, sk_buff& skb, u32 tstype) {
  if (sk_buff* clone = skb_clone_sk(sk, skb)) detail::complete_sw_timestamp(net, *clone, tstype);
}
template <class Net>
void __skb_tstamp_tx(Net& net, sk_buff& skb, u32 tstype) {
  if (skb.sk) __skb_tstamp_tx(net, *skb.sk, skb, tstype);
}

/// For a driver: the clone that ndo_txtstamp was given left the device at `hwtstamp`, of its clock. 0: it cannot say.
/// Always takes the clone.
inline void skb_complete_tx_timestamp(sk_buff& clone, u64 hwtstamp) {
  if (hwtstamp == 0) return consume_skb(clone);
  clone.tstamp = 0;
  skb_set_hwtstamps(clone, hwtstamp);
  detail::complete_tx_timestamp(clone, scm_tstamp::snd);
}

/// Offers a copy of a PTP event to the device, which will say when it left. True: it will.
template <class Net>
bool skb_clone_tx_timestamp(Net& net, net_device& dev, sk_buff& skb) {
  auto* const txtstamp = Net::netdev_ops[dev.driver].ndo_txtstamp;
  if (!txtstamp || !(skb.tx_flags & skbtx::hw_tstamp)) return false;
  skb.reset_mac_header();
  u8 const type = ptp_classify_raw(skb);
  sk_buff* const clone = type != ptp_class::none ? skb_clone_sk(skb) : nullptr;
  if (!clone) return false;
  skb.tx_flags |= skbtx::in_progress;
  txtstamp(net, dev, *clone, type);
  return true;
}

namespace detail {

/// ndo_start_xmit for a packet whose sender wants to know: it is told once the driver has the packet.
template <class Net>
netdev_tx xmit_stamped(Net& net, net_device& dev, sk_buff& skb, bool more) {
  if (!(skb.tx_flags & skbtx::in_progress)) (void)skb_clone_tx_timestamp(net, dev, skb);
  // Who hears it from the device itself does not hear it from the driver, too.
  bool const tell = (skb.tx_flags & (skbtx::sw_tstamp | skbtx::in_progress)) == skbtx::sw_tstamp;
  sk_buff* const clone = tell ? skb_clone_sk(skb) : nullptr;
  netdev_tx const answer = Net::netdev_ops[dev.driver].ndo_start_xmit(net, dev, skb, more);
  if (!clone) return answer;
  if (answer == netdev_tx::ok)
    complete_sw_timestamp(net, *clone, scm_tstamp::snd);
  else
    consume_skb(*clone);
  return answer;
}

}  // namespace detail

}  // namespace netstack
