// SPDX-License-Identifier: BSL-1.0
// Decides: who gets a received frame. Taps (ptype_all) first, then a handler that takes frames from its device, then
// every protocol of the ethertype in list order; the last of them gets the frame itself, the others clones. Nobody:
// dropped as unhandled_proto. A burst goes up as lists of one ethertype. [S41] [S81] [S82] [S83]
// rx: called by core/napi for each driver's burst, by core/backlog → calls packet_type.func or list_func, e.g. ip_rcv
// Linux: net/core/dev.c (__netif_receive_skb_core, __netif_receive_skb_list_core, deliver_skb)
#pragma once
#include <utility>

#include "netstack/core/drop.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/registry/packet_type.hpp"
#include "netstack/registry/rx_handler.hpp"
#include "netstack/skb/skb_copy.hpp"
#include "netstack/skb/skb_headers.hpp"
#include "netstack/skb/skb_pull.hpp"
#include "netstack/wire/vlan.hpp"

namespace netstack {

namespace detail {

/// One more handler for a frame that others will see as well: it gets a clone.
template <class Net>
void deliver_clone(Net& net, sk_buff& skb, packet_type<Net> const& pt) {
  if (sk_buff* twin = skb_clone(skb)) finish(*twin, pt.func(net, *twin));
}

template <class Net>
constexpr bool wants(packet_type<Net> const& pt, std::size_t bit, net_device const& dev) {
  return pt.dev == nullptr || (dev.ptype_match >> bit & 1) != 0;
}

/// Somebody listens. A tap that nobody uses costs this question, once a burst.
template <class Net>
bool tap_active(Net& net, packet_type<Net> const& pt) {
  return !pt.is_active || pt.is_active(net);
}

template <class Net>
bool taps_listen([[maybe_unused]] Net& net) {
  if constexpr (!Net::ptype_all.empty())
    for (auto const& pt : Net::ptype_all)
      if (tap_active(net, pt)) return true;
  return false;
}

/// More than the protocols may want frames of this device.
template <class Net>
bool has_onlookers(Net& net, net_device const& dev) {
  if constexpr (!Net::rx_handlers.empty())
    if (dev.rx_handler != 0) return true;
  return taps_listen(net);
}

/// The i-th packet type is the only one of its ethertype, on every device: its frames take one compare and a direct
/// call.
template <class Net>
constexpr bool sole_handler(std::size_t i) {
  auto const& all = Net::ptype_base;
  if (all[i].dev) return false;
  for (std::size_t j = 0; j < all.size(); ++j)
    if (j != i && all[j].type == all[i].type) return false;
  return true;
}

/// Moves the 802.1Q tag at data into skb.vlan_*, and the addresses up against what follows, so that the frame looks as
/// if it had never had one. False: cut off inside the tag, or no room to write. [S52]
inline bool skb_vlan_untag(sk_buff& skb) {
  if (-skb.mac_offset() != static_cast<int>(eth_hlen) || !pskb_may_pull(skb, vlan_hlen) || !skb_unclone(skb))
    return false;
  auto const* tag = skb.peek<vlan_hdr>();
  skb.vlan_proto = skb.protocol;
  skb.vlan_tci = tag->h_vlan_TCI.host();
  be16 const inner = tag->h_vlan_encapsulated_proto;
  skb.protocol = eth_proto_is_802_3(inner.host()) ? inner : be16{eth_p::p_802_2};
  u8* const mac = skb.head + skb.mac_header;
  std::memmove(mac + vlan_hlen, mac, 2 * eth_alen);
  skb.mac_header = static_cast<u16>(skb.mac_header + vlan_hlen);
  skb.pull(static_cast<u32>(vlan_hlen));
  return true;
}

/// Both headers begin at data. The word is written whole, since it is read whole at once.
inline void reset_headers(sk_buff& skb) {
  u64 const others = load_link_word(skb) & ~at_network_header(0xffff);
  store_link_word(skb, others | at_network_header(static_cast<u16>(skb.headroom())));
  skb.reset_mac_len();
}

}  // namespace detail

/// What every received frame is told before its handler sees it: where its headers start, and where it came from. [S43]
NETSTACK_INLINE void receive_prepare(sk_buff& skb, net_device const& dev, u64 now_real) {
  detail::reset_headers(skb);
  if (skb.skb_iif == 0) skb.skb_iif = dev.ifindex;  // a VLAN or a tunnel keeps where the packet came in
  if (skb.napi_id == 0) skb.napi_id = dev.napi.napi_id;
  if (skb.tstamp == 0) skb.tstamp = now_real;
}
template <class Net>
void receive_prepare(Net& net, sk_buff& skb) {
  receive_prepare(skb, *skb.dev, net.worker().now_real);
}

/// For a list_func: the next frame of the burst if it is of this ethertype, told what every frame is told; null: what
/// is left is for others.
template <class Net>
sk_buff* receive_next(Net& net, skb_list& burst, u16 type) {
  if (burst.empty() || burst.first->protocol != be16{type} || !burst.first->dev->running()) return nullptr;
  sk_buff* const skb = burst.pop_front();
  receive_prepare(net, *skb);
  return skb;
}

namespace detail {

template <class Net>
verdict receive_nobody(Net& net, sk_buff& skb) {
  if (!skb.protocol) return drop(net, skb, drop_reason::dev_hdr);  // the link found no header, and has counted it
  ++skb.dev->stats.rx_nohandler;
  return drop(net, skb, drop_reason::unhandled_proto);
}

/// Delivers to everybody who wants the frame: taps, rx_handler, several protocols.
template <class Net>
class receive_core {
  Net& net_;
  sk_buff& skb_;
  packet_type<Net> const* last_ = nullptr;  // gets the frame itself if nobody comes after it

  void next(packet_type<Net> const* pt) {
    if (last_) deliver_clone(net_, skb_, *last_);
    last_ = pt;
  }
  void taps() {
    for (std::size_t i = 0; i < Net::ptype_all.size(); ++i)
      if (wants(Net::ptype_all[i], i, *skb_.dev) && tap_active(net_, Net::ptype_all[i])) next(&Net::ptype_all[i]);
  }
  void protocols(bool exact) {
    [[maybe_unused]] u16 const type = skb_.protocol.host();
    for (std::size_t i = 0; i < Net::ptype_base.size(); ++i) {
      auto const& pt = Net::ptype_base[i];
      if (pt.type == type && !(exact && !pt.dev) && wants(pt, Net::ptype_all.size() + i, *skb_.dev)) next(&pt);
    }
  }

 public:
  receive_core(Net& net, sk_buff& skb) : net_(net), skb_(skb) {}

  verdict run() {
    for (bool exact = false;;) {
      if (eth_type_vlan(skb_.protocol) && !skb_.vlan_proto) {
        if (!skb_vlan_untag(skb_)) return drop(net_, skb_, drop_reason::dev_hdr);
        reset_headers(skb_);
      }
      taps();
      if constexpr (!Net::rx_handlers.empty()) {
        if (skb_.dev->rx_handler != 0) {
          next(nullptr);  // the handler may keep the frame, or change it
          switch (Net::rx_handlers[skb_.dev->rx_handler - 1u].func(net_, skb_)) {
            case rx_handler_result::consumed: return verdict::kept();
            case rx_handler_result::another: continue;
            case rx_handler_result::exact: exact = true; break;
            case rx_handler_result::pass: break;
          }
        }
      }
      // IEEE 802.1Q §6.8: a tag with VLAN 0 carries only a priority; any other that nobody took is for someone else.
      if (skb_.vlan_proto && (skb_.vlan_tci & vlan_vid_mask) != 0) skb_.pkt_type = pkt_type::otherhost;
      protocols(exact);
      return last_ ? last_->func(net_, skb_) : receive_nobody(net_, skb_);
    }
  }
};

template <class Net, std::size_t I>
bool deliver_if(Net& net, u16 type, sk_buff& skb, verdict& v) {
  if (Net::ptype_base[I].type != type) return false;
  if constexpr (sole_handler<Net>(I))
    v = Net::ptype_base[I].func(net, skb);
  else
    v = receive_core<Net>(net, skb).run();
  return true;
}
/// A frame that only protocols want.
template <class Net, std::size_t... I>
verdict deliver(Net& net, sk_buff& skb, std::index_sequence<I...>) {
  [[maybe_unused]] u16 const type = skb.protocol.host();
  [[maybe_unused]] verdict v = verdict::kept();
  if ((deliver_if<Net, I>(net, type, skb, v) || ...)) [[likely]]
    return v;
  return eth_type_vlan(skb.protocol) ? receive_core<Net>(net, skb).run() : receive_nobody(net, skb);
}

template <class Net, std::size_t I>
bool deliver_list_if(Net& net, u16 type, skb_list& burst) {
  if constexpr (!sole_handler<Net>(I)) {
    return false;
  } else {
    auto const& pt = Net::ptype_base[I];
    // A variable: that the address of a function in a constant is never null is a warning in g++.
    auto* list_func = pt.list_func;
    if (!list_func || pt.type != type) return false;
    list_func(net, burst);
    return true;
  }
}
/// The first frame of a burst that only protocols want, and those behind it if its handler takes lists.
template <class Net, std::size_t... I>
void deliver_list(Net& net, skb_list& burst, std::index_sequence<I...> all) {
  [[maybe_unused]] u16 const type = burst.first->protocol.host();
  if ((deliver_list_if<Net, I>(net, type, burst) || ...)) [[likely]]
    return;
  sk_buff& skb = *burst.pop_front();
  receive_prepare(net, skb);
  finish(skb, deliver(net, skb, all));
}

template <class Net>
using ptype_indices = std::make_index_sequence<Net::ptype_base.size()>;

}  // namespace detail

/// Delivers one frame, data at the network header, skb.dev, protocol and pkt_type set by the link. The caller owns and
/// frees by the verdict.
template <class Net>
verdict netif_receive_skb(Net& net, sk_buff& skb) {
  if (!skb.dev->running()) [[unlikely]]
    return drop(net, skb, drop_reason::dev_down);
  receive_prepare(net, skb);
  if (detail::has_onlookers(net, *skb.dev)) [[unlikely]]
    return detail::receive_core<Net>(net, skb).run();
  return detail::deliver(net, skb, detail::ptype_indices<Net>{});
}

/// Delivers a burst of one device's frames; frees what the handlers do not keep. The list is left empty.
template <class Net>
void netif_receive_skb_list(Net& net, skb_list& burst) {
  if (burst.empty()) return;
  net_device& dev = *burst.first->dev;
  bool const onlookers = detail::has_onlookers(net, dev);
  while (!burst.empty()) {
    if (onlookers || !dev.running()) [[unlikely]] {
      sk_buff& skb = *burst.pop_front();
      finish(skb, netif_receive_skb(net, skb));
      continue;
    }
    detail::deliver_list(net, burst, detail::ptype_indices<Net>{});
  }
}

}  // namespace netstack
