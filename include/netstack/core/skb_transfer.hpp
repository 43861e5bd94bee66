// SPDX-License-Identifier: BSL-1.0
// Decides: how a packet crosses from one pool to another: copied, since a frame lives and dies on the worker that owns
// its pool. The original is only read, so it may be in flight elsewhere.
// rx: called by core/rps and drivers/pipe
#pragma once
#include <algorithm>

#include "netstack/skb/skb_pool.hpp"

namespace netstack {

namespace detail {

/// Visits the bytes of a packet from `from` (in its linear part) on, piece by piece.
template <class F>
void skb_walk(sk_buff& skb, u8 const* from, F&& f) {
  f(from, static_cast<u32>(skb.tail - from));
  if (skb.data_len == 0) return;
  auto const& info = skb_shinfo(skb);
  for (u8 i = 0; i < info.nr_frags; ++i) {
    auto const& frag = info.frags[i];
    f(skb.pool->frame_data(frag.frame) + frag.offset, frag.size);
  }
  for (sk_buff* part = info.frag_list; part; part = part->next) skb_walk(*part, part->data, f);
}

}  // namespace detail

/// Fills a packet of one pool with bytes, going on into frags when the linear part is full.
class skb_filler {
  skb_pool& pool_;
  sk_buff& skb_;
  skb_frag* frag_ = nullptr;

  bool next_frag() {
    auto& info = skb_shinfo(skb_);
    if (info.nr_frags == max_skb_frags) return false;
    sk_buff* donor = pool_.alloc_skb(0);
    if (!donor) return false;
    u32 const frame = donor->frame;
    pool_.get_frame(frame);
    pool_.free_skb(*donor);  // the frame stays, held by the frag
    frag_ = &info.frags[info.nr_frags++];
    *frag_ = {.frame = frame, .offset = 0, .size = 0};
    return true;
  }

 public:
  skb_filler(skb_pool& pool, sk_buff& skb) : pool_(pool), skb_(skb) {}

  /// False when the pool is empty or the packet has no room for one more frag.
  bool append(u8 const* bytes, u32 n) {
    if (!skb_.is_nonlinear()) {
      u32 const fits = std::min(n, skb_.tailroom());
      std::memcpy(skb_.put(fits), bytes, fits);
      bytes += fits, n -= fits;
    }
    while (n > 0) {
      if ((!frag_ || frag_->size == pool_.frame_size()) && !next_frag()) return false;
      u32 const fits = std::min(n, pool_.frame_size() - frag_->size);
      std::memcpy(pool_.frame_data(frag_->frame) + frag_->size, bytes, fits);
      frag_->size += fits;
      skb_.data_len += fits, skb_.len += fits, skb_.truesize += fits;
      bytes += fits, n -= fits;
    }
    return true;
  }
};

/// A copy of the packet in `pool`, from `from` (at or before its data) to its end; data where the original's is. Null
/// when the pool cannot hold it. Copied with it: what the checksum and the segmentation still need.
inline sk_buff* skb_copy_bytes(skb_pool& pool, sk_buff& skb, u8 const* from) {
  sk_buff* copy = pool.alloc_skb();
  if (!copy) [[unlikely]]
    return nullptr;
  auto const before = static_cast<u32>(skb.data - from);
  u32 const len = before + skb.len;
  if (skb.data_len == 0 && len <= copy->tailroom()) [[likely]] {
    std::memcpy(copy->put(len), from, len);
  } else {
    skb_filler filler{pool, *copy};
    bool fits = true;
    detail::skb_walk(skb, from, [&](u8 const* bytes, u32 n) { fits = fits && filler.append(bytes, n); });
    if (!fits) {
      pool.free_skb(*copy);
      return nullptr;
    }
  }
  copy->pull(before);
  if (skb.ip_summed != ip_summed::none) {
    copy->ip_summed = skb.ip_summed;
    copy->csum = skb.csum;
    if (skb.ip_summed == ip_summed::partial) {
      // Pools may differ in headroom.
      copy->csum_start = static_cast<u16>(skb.csum_start - skb.headroom() + copy->headroom());
      copy->csum_offset = skb.csum_offset;
      auto& to = skb_shinfo(*copy);
      auto const& info = skb_shinfo(skb);
      to.gso_size = info.gso_size, to.gso_type = info.gso_type, to.gso_segs = info.gso_segs;
    }
  }
  return copy;
}

/// A received packet, with all that its device and link have said of it, for the pool of another worker. skb.dev is the
/// caller's to set. Null when the pool cannot hold it.
inline sk_buff* skb_transfer(skb_pool& pool, sk_buff& skb) {
  u8 const* const mac = skb.head + skb.mac_header;
  sk_buff* copy = skb_copy_bytes(pool, skb, mac < skb.data ? mac : skb.data);
  if (!copy) return nullptr;
  u32 const shift = copy->headroom() - skb.headroom();  // modulo 2^32: may be backwards
  copy->mac_header = static_cast<u16>(skb.mac_header + shift);
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
  return copy;
}

}  // namespace netstack
