// SPDX-License-Identifier: BSL-1.0
// Decides: which received packets wait for the next one of their flow. During a device's turn up to eight flows are
// held, each as one packet that grows; a ninth flow sends the oldest up, and the end of the turn sends all of them: a
// packet never waits for a frame that may not come. Who belongs together is for the protocols' offloads to say; a
// composition without any has none of this. [S67]
// rx: called by core/napi with each burst of a driver → calls packet_offload.gro_receive, gro_complete
// Linux: net/core/gro.c (dev_gro_receive, napi_gro_complete, napi_gro_flush, skb_gro_receive)
#pragma once
#include <algorithm>

#include "netstack/core/net_device.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/registry/offload.hpp"
#include "netstack/skb/skb_split.hpp"

namespace netstack {

/// What a packet's control block says while it is in GRO's hands.
struct napi_gro_cb {
  u32 data_offset;  ///< from data to the header that is looked at, at last to the payload
  u16 count;        ///< segments in it
  u16 gso_size;     ///< of a held packet: payload bytes of its first segment, at its own protocol
  u8 same_flow;     ///< of a held packet: may be the new one's flow; of the new one: it was merged
  u8 flush;         ///< goes up without waiting
};
inline napi_gro_cb& NAPI_GRO_CB(sk_buff& skb) { return skb.cb<napi_gro_cb>(); }

[[nodiscard]] inline u32 skb_gro_offset(sk_buff& skb) { return NAPI_GRO_CB(skb).data_offset; }
[[nodiscard]] inline u32 skb_gro_len(sk_buff& skb) { return skb.len - skb_gro_offset(skb); }
/// The header at the offset; null if it is cut off, or does not lie in the linear data.
template <class Header>
[[nodiscard]] Header* skb_gro_header(sk_buff& skb) {
  return skb.peek<Header>(skb_gro_offset(skb));
}
/// The next protocol's header begins `n` bytes further.
inline void skb_gro_pull(sk_buff& skb, u32 n) { NAPI_GRO_CB(skb).data_offset += n; }

/// Appends skb's payload, which begins at skb_gro_offset, to the held packet p. By reference: what is merged is not
/// copied. False: p cannot grow, and skb stays as it is. Called by the protocol that knows them to be consecutive.
[[nodiscard]] inline bool skb_gro_receive(sk_buff& p, sk_buff& skb) {
  u32 const headers = skb_gro_offset(skb);
  if (p.len + skb_gro_len(skb) > 0xffff || !skb.pull(headers)) return false;
  s32 delta_truesize = 0;
  if (!skb_try_coalesce(p, skb, delta_truesize)) {
    skb.push(headers);
    return false;
  }
  ++NAPI_GRO_CB(p).count;
  NAPI_GRO_CB(skb).same_flow = 1;
  return true;
}

namespace detail {

/// A protocol of the composition merges.
template <class Net>
constexpr bool composition_has_gro() {
  for (auto const& offload : Net::packet_offloads)
    if (offload.callbacks.gro_receive) return true;
  return false;
}

template <class Net>
offload_callbacks<Net> const* gro_find_receive(u16 type) {
  for (auto const& offload : Net::packet_offloads)
    if (offload.type == type && offload.callbacks.gro_receive) return &offload.callbacks;
  return nullptr;
}

/// Marks the held packets that came by the same link, under the same tag, from and to the same stations.
inline void gro_list_prepare(napi_struct const& n, sk_buff const& skb) {
  u32 const link = n.dev->hard_header_len;
  for (sk_buff* p : std::span(n.gro_list, n.gro_count))
    NAPI_GRO_CB(*p).same_flow = p->protocol == skb.protocol && p->vlan_proto == skb.vlan_proto &&
                                p->vlan_tci == skb.vlan_tci &&
                                std::memcmp(p->head + p->mac_header, skb.head + skb.mac_header, link) == 0;
}

}  // namespace detail

/// A held packet is complete.
template <class Net>
void napi_gro_complete(Net& net, sk_buff& skb, skb_list& up) {
  u16 const segments = NAPI_GRO_CB(skb).count;
  if (segments != 1) {
    auto& info = skb_edit_shinfo(skb);
    info.gso_size = NAPI_GRO_CB(skb).gso_size;
    info.gso_segs = segments;
    if (auto* complete = detail::gro_find_receive<Net>(skb.protocol.host())->gro_complete) complete(net, skb, 0);
  }
  up.push_back(skb);
}

namespace detail {
template <class Net>
void gro_release(Net& net, napi_struct& n, u32 index, skb_list& up) {
  sk_buff& skb = *n.gro_list[index];
  std::copy(n.gro_list + index + 1, n.gro_list + n.gro_count, n.gro_list + index);
  --n.gro_count;
  napi_gro_complete(net, skb, up);
}
}  // namespace detail

/// Sends up what is held, oldest first.
template <class Net>
void napi_gro_flush(Net& net, napi_struct& n, skb_list& up) {
  while (n.gro_count != 0) detail::gro_release(net, n, 0, up);
}

/// One received packet, data at the network header: held, merged, or appended to `up` behind what it completes.
template <class Net>
void dev_gro_receive(Net& net, napi_struct& n, sk_buff& skb, skb_list& up) {
  auto const* offload = detail::gro_find_receive<Net>(skb.protocol.host());
  if (!offload || skb.is_nonlinear() || skb_is_gso(skb)) return up.push_back(skb);
  skb.reset_network_header();
  detail::gro_list_prepare(n, skb);
  NAPI_GRO_CB(skb) = {.data_offset = 0, .count = 1, .gso_size = 0, .same_flow = 0, .flush = 0};
  sk_buff* const complete = offload->gro_receive(net, std::span(n.gro_list, n.gro_count), skb);
  bool const merged = NAPI_GRO_CB(skb).same_flow != 0;
  if (complete) {
    auto const at = std::find(n.gro_list, n.gro_list + n.gro_count, complete) - n.gro_list;
    BUG_ON(at == n.gro_count, "gro_receive completed a packet that is not held");
    detail::gro_release(net, n, static_cast<u32>(at), up);
  }
  if (merged) return consume_skb(skb);
  if (NAPI_GRO_CB(skb).flush) return up.push_back(skb);
  if (n.gro_count == max_gro_skbs) detail::gro_release(net, n, 0, up);
  NAPI_GRO_CB(skb).gso_size = static_cast<u16>(skb_gro_len(skb));
  n.gro_list[n.gro_count++] = &skb;
}

namespace detail {
template <class Net>
NETSTACK_NOINLINE void gro_receive_burst(Net& net, napi_struct& n, skb_list& burst) {
  rx_flow_taken const& taken = net.worker().softnet.flow_taken;
  skb_list up;
  bool const learn = std::exchange(net.worker().softnet.flow_wanted, false);
  if (taken.packets != 0)
    up = burst.cut_front(*taken.last, taken.packets);
  else if (learn)
    up.push_back(*burst.pop_front());
  if (burst.count <= 1) {  // with nobody to be merged with
    up.splice(burst);
  } else {
    while (sk_buff* skb = burst.pop_front()) dev_gro_receive(net, n, *skb, up);
    napi_gro_flush(net, n, up);
  }
  burst = up;
}
}  // namespace detail

/// A device's burst: afterwards it is what goes up, and nothing is held. It may begin with packets that the driver
/// recognised (core/rx_flow): who takes them takes them together.
template <class Net>
NETSTACK_INLINE void napi_gro_receive_list(Net& net, softnet_data const& sd, napi_struct& n, skb_list& burst) {
  if (burst.count == sd.flow_taken.packets || !(n.dev->features & netif_f::gro)) return;
  detail::gro_receive_burst(net, n, burst);
}

}  // namespace netstack
