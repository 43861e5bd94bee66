// SPDX-License-Identifier: BSL-1.0
// Decides: how a packet crosses from one pool to another: copied, since a frame lives and dies on the worker that owns
// its pool. The original is only read, so it may be in flight elsewhere. Within one pool it is handed over as it is.
// rx: called by core/rps, drivers/pipe and drivers/loopback
// Linux: net/core/skbuff.c (skb_scrub_packet)
#pragma once
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_frags.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack {

namespace detail {

/// Each frag in a frame of its own, as the original's: one copy each, between addresses that are aligned alike. False:
/// the pool has not enough frames.
inline bool copy_frags(skb_pool& pool, sk_buff& copy, sk_buff const& skb) {
  auto const& info = skb_shinfo(skb);
  auto& to = skb_edit_shinfo(copy);
  for (; to.nr_frags < info.nr_frags; ++to.nr_frags) {
    auto const& from = info.frags[to.nr_frags];
    u32 const frame = pool.alloc_frame();
    if (frame == skb_pool::no_frame) return false;
    std::memcpy(pool.frame_data(frame), skb_frag_address(skb, from), from.size);
    to.frags[to.nr_frags] = {frame, 0, from.size};
  }
  copy.len += skb.data_len;
  copy.data_len = skb.data_len;
  copy.truesize += info.nr_frags * pool.frame_truesize();
  return true;
}
/// That is worth it: no frame holds less than half of what it could, on average.
inline bool may_copy_frags(skb_pool const& pool, sk_buff const& skb, u32 before) {
  auto const& info = skb_shinfo(skb);
  return !info.frag_list && before + skb.headlen() <= pool.frame_size() - pool.rx_headroom() &&
         skb.pool->frame_size() <= pool.frame_size() && skb.data_len >= info.nr_frags * (pool.frame_size() / 2);
}

/// The long way: what does not fit into one frame goes on in others.
NETSTACK_NOINLINE inline sk_buff* copy_scattered(skb_pool& pool, sk_buff const& skb, u32 before) {
  if (may_copy_frags(pool, skb, before)) [[likely]] {
    sk_buff* const copy = pool.alloc_skb();
    if (!copy) return nullptr;
    u32 const head = before + skb.headlen();
    std::memcpy(copy->put(head), skb.data - before, head);
    if (copy_frags(pool, *copy, skb)) return copy;
    consume_skb(*copy);
    return nullptr;
  }
  u32 const len = before + skb.len, linear = std::min(len, pool.frame_size() - pool.rx_headroom());
  sk_buff* copy = alloc_skb_with_frags(pool, pool.rx_headroom(), linear, len - linear);
  if (!copy) return nullptr;
  if (skb_has_frag_list(*copy)) {
    u32 at = 0;
    auto const store = [&](u8 const* bytes, u32 n) {
      BUG_ON(!skb_store_bits(*copy, at, bytes, n));
      at += n;
    };
    store(skb.data - before, before);
    BUG_ON(!for_each_piece(skb, 0, skb.len, store));
    return copy;
  }
  // The pieces of both in one pass.
  u8* to = copy->data;
  u32 room = linear, frag = 0;
  auto const append = [&](u8 const* bytes, u32 n) {
    while (n != 0) {
      if (room == 0) {
        auto const& next = skb_shinfo(*copy).frags[frag++];
        to = pool.frame_data(next.frame) + next.offset;
        room = next.size;
      }
      u32 const now = std::min(n, room);
      std::memcpy(to, bytes, now);
      to += now, room -= now;
      bytes += now, n -= now;
    }
  };
  append(skb.data - before, before);
  BUG_ON(!for_each_piece(skb, 0, skb.len, append));
  return copy;
}

}  // namespace detail

/// What the checksum and the segmentation of a copy still need, both with data at the same byte.
inline void skb_copy_offloads(sk_buff& copy, sk_buff const& skb) {
  if (skb.ip_summed == ip_summed::none) return;
  copy.ip_summed = skb.ip_summed;
  copy.csum = skb.csum;
  if (skb.ip_summed != ip_summed::partial) return;
  // Pools may differ in headroom.
  copy.csum_start = static_cast<u16>(skb.csum_start - skb.headroom() + copy.headroom());
  copy.csum_offset = skb.csum_offset;
  if (!skb_is_gso(skb)) return;
  auto const& info = skb_shinfo(skb);
  auto& to = skb_edit_shinfo(copy);
  to.gso_size = info.gso_size, to.gso_type = info.gso_type, to.gso_segs = info.gso_segs;
}

/// A copy of the packet in `pool`, data where the original's is, with the `before` bytes in front of it. Null when the
/// pool cannot hold it. Copied with it: what the checksum and the segmentation still need.
inline sk_buff* skb_copy_to_pool(skb_pool& pool, sk_buff const& skb, u32 before) {
  sk_buff* copy;
  if (u32 const len = before + skb.len; !skb.is_nonlinear() && len <= pool.frame_size() - pool.rx_headroom())
      [[likely]] {
    copy = pool.alloc_skb();
    if (!copy) [[unlikely]]
      return nullptr;
    std::memcpy(copy->put(len), skb.data - before, len);
  } else {
    copy = detail::copy_scattered(pool, skb, before);
    if (!copy) return nullptr;
  }
  copy->pull(before);
  skb_copy_offloads(*copy, skb);
  return copy;
}

/// A received packet, with all that its device and link have said of it, for the pool of another worker. skb.dev is the
/// caller's to set. Null when the pool cannot hold it.
inline sk_buff* skb_transfer(skb_pool& pool, sk_buff const& skb) {
  u32 const before = skb.mac_header_was_set() ? skb.headroom() - skb.mac_header : 0;
  sk_buff* copy = skb_copy_to_pool(pool, skb, before);
  if (!copy) return nullptr;
  u32 const shift = copy->headroom() - skb.headroom();  // modulo 2^32: may be backwards
  copy->mac_header = static_cast<u16>(copy->headroom() - before);
  copy->network_header = static_cast<u16>(skb.network_header + shift);
  copy->transport_header = static_cast<u16>(skb.transport_header + shift);
  copy->mac_len = skb.mac_len;
  copy->protocol = skb.protocol;
  copy->pkt_type = skb.pkt_type;
  copy->tstamp = skb.tstamp;
  copy->hash = skb.hash, copy->l4_hash = skb.l4_hash;
  copy->mark = skb.mark, copy->priority = skb.priority;
  copy->skb_iif = skb.skb_iif, copy->napi_id = skb.napi_id, copy->queue_mapping = skb.queue_mapping;
  copy->vlan_proto = skb.vlan_proto, copy->vlan_tci = skb.vlan_tci;
  copy->hwtstamped = skb.hwtstamped;
  if (skb.hwtstamped) skb_edit_shinfo(*copy).hwtstamp = skb_shinfo(skb).hwtstamp;
  return copy;
}

/// The packet itself goes from the device that sends it to one that receives it: its sender's account and route end
/// here, and so does what was noted of it on the way.
inline void skb_scrub_packet(sk_buff& skb) {
  skb_orphan(skb);
  skb_dst_drop(skb);
  // What it refers to is the receiver's cost from here on.
  if (skb.is_nonlinear()) skb.truesize = (1u + skb_shinfo(skb).nr_frags) * skb.pool->frame_truesize();
  skb.tstamp = 0, skb.hwtstamped = 0, skb.tx_flags = 0;
  skb.skb_iif = 0;
  skb.ignore_df = 0;
}

}  // namespace netstack
