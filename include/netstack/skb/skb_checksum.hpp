// SPDX-License-Identifier: BSL-1.0
// Decides: what is done about the L4 checksum, by what is known of it (ip_summed). rx: a sum that the device made or
// vouches for saves ours, and a wrong one is found out by ours; tx: a sum that the device cannot finish is finished
// here. Sums are wire/checksum.hpp's: congruences modulo 0xffff that csum_fold ends. [S45]
// rx: called by udp_rcv, tcp_v4_rcv, icmp_rcv; tx: called by dev_queue_xmit, the TAP driver → calls csum_partial
// Linux: net/core/skbuff.c (skb_checksum), net/core/dev.c (skb_checksum_help), net/core/datagram.c
#pragma once
#include "netstack/skb/skb_pull.hpp"
#include "netstack/wire/checksum.hpp"

namespace netstack {

/// The sum of `len` bytes from `offset`, wherever they lie, and `csum`, as if they started at an even address. The
/// packet must have them.
inline u32 skb_checksum(sk_buff const& skb, u32 offset, u32 len, u32 csum) {
  if (u64{offset} + len <= skb.headlen()) [[likely]]
    return csum_partial(skb.data + offset, len, csum);
  u32 done = 0;
  BUG_ON(!for_each_piece(skb, offset, len,
                         [&](u8 const* bytes, u32 n) {
                           csum = csum_block_add(csum, csum_partial(bytes, n, 0), done);
                           done += n;
                         }),
         "checksum beyond the packet");
  return csum;
}

/// The same while the bytes are copied to `to`.
inline u32 skb_copy_and_csum_bits(sk_buff const& skb, u32 offset, u8* to, u32 len, u32 csum) {
  u32 done = 0;
  BUG_ON(!for_each_piece(skb, offset, len,
                         [&](u8 const* bytes, u32 n) {
                           csum = csum_block_add(csum, csum_partial_copy(to + done, bytes, n, 0), done);
                           done += n;
                         }),
         "checksum beyond the packet");
  return csum;
}

/// Where a partial checksum starts, counted from data.
inline int skb_checksum_start_offset(sk_buff const& skb) {
  return static_cast<int>(skb.csum_start) - static_cast<int>(skb.headroom());
}

/// Nothing is known of the checksum.
inline void skb_checksum_none_assert(sk_buff& skb) { skb.ip_summed = ip_summed::none, skb.rx_l4_valid = 0; }

/// True if the L4 checksum needs no look: the device or the sender vouches for it, or we looked already.
inline bool skb_csum_unnecessary(sk_buff const& skb) {
  return skb.ip_summed == ip_summed::unnecessary || skb.rx_l4_valid ||
         (skb.ip_summed == ip_summed::partial && skb_checksum_start_offset(skb) >= 0);
}

/// For who keeps a packet that was found right, and sends it nowhere: somebody vouches for its checksum, and will for
/// those like it. One that its sender left unfinished stays so.
[[nodiscard]] inline bool skb_csum_vouched(sk_buff& skb) {
  if (skb.ip_summed == ip_summed::partial) skb.ip_summed = ip_summed::unnecessary;
  return skb.ip_summed == ip_summed::unnecessary;
}

/// Sums the packet from data on to what csum holds (the pseudo header's sum), and remembers a right result. Zero:
/// right.
[[nodiscard]] inline sum16 __skb_checksum_complete(sk_buff& skb) {
  sum16 const sum = csum_fold(skb_checksum(skb, 0, skb.len, skb.csum));
  skb.rx_l4_valid = csum_is_right(sum);
  return skb.rx_l4_valid ? sum16{} : sum;
}
[[nodiscard]] inline sum16 skb_checksum_complete(sk_buff& skb) {
  return skb_csum_unnecessary(skb) ? sum16{} : __skb_checksum_complete(skb);
}

/// The whole question of a receiver, with data at the L4 header: true if the checksum is right or need not be looked
/// at. `psum` is the pseudo header's sum (csum_tcpudp_nofold; 0 for ICMP). A device's own sum that does not agree is
/// not trusted to be wrong: the packet is summed again.
[[nodiscard]] inline bool skb_checksum_validate(sk_buff& skb, u32 psum) {
  if (skb_csum_unnecessary(skb)) return true;
  if (skb.ip_summed == ip_summed::complete && csum_fold(csum_add(psum, skb.csum)) == sum16{}) {
    skb.rx_l4_valid = 1;
    return true;
  }
  skb.ip_summed = ip_summed::none;
  skb.csum = psum;
  return __skb_checksum_complete(skb) == sum16{};
}

// --- data moves: a complete sum covers the bytes from data, so it follows it
/// After `len` bytes at `start` were pulled.
inline void skb_postpull_rcsum(sk_buff& skb, void const* start, u32 len) {
  if (skb.ip_summed == ip_summed::complete)
    skb.csum = csum_shift(csum_sub(skb.csum, csum_partial(start, len, 0)), len);
  else if (skb.ip_summed == ip_summed::partial && skb_checksum_start_offset(skb) < 0)
    skb.ip_summed = ip_summed::none;
}
/// After `len` bytes at `start` were pushed and written.
inline void skb_postpush_rcsum(sk_buff& skb, void const* start, u32 len) {
  if (skb.ip_summed == ip_summed::complete) skb.csum = csum_block_add(csum_partial(start, len, 0), skb.csum, len);
}
/// skb_pull that keeps the sum right; null (and no change) if the linear data is too short.
inline u8* skb_pull_rcsum(sk_buff& skb, u32 len) {
  u8* const start = skb.data;
  if (!skb.pull(len)) return nullptr;
  skb_postpull_rcsum(skb, start, len);
  return skb.data;
}
/// pskb_trim that keeps the sum right: padding behind an IP packet was summed by the device too.
inline result<void> pskb_trim_rcsum(sk_buff& skb, u32 len, skb_pool::site at = skb_pool::site::current()) {
  if (len >= skb.len) return {};
  if (skb.ip_summed == ip_summed::complete)
    skb.csum = csum_block_sub(skb.csum, skb_checksum(skb, len, skb.len - len, 0), len);
  else if (skb.ip_summed == ip_summed::partial &&
           skb_checksum_start_offset(skb) + skb.csum_offset + 2 > static_cast<int>(len))
    return failure{std::errc::invalid_argument};
  return pskb_trim(skb, len, at);
}

// --- tx
/// Says that the sum from `start` (counted from data) to the end is to be finished and stored `offset` bytes behind
/// start, where the pseudo header's sum stands now. False, and no change, if that is not within the linear area: for a
/// packet whose sender is not trusted (a virtio-net header).
[[nodiscard]] inline bool skb_partial_csum_set(sk_buff& skb, u16 start, u16 offset) {
  if (u32{start} + offset + sizeof(sum16) > skb.headlen()) return false;
  skb.ip_summed = ip_summed::partial;
  skb.csum_start = static_cast<u16>(skb.headroom() + start);
  skb.csum_offset = offset;
  skb.set_transport_header(start);
  return true;
}

/// What a partial checksum that starts at `from` comes to.
inline sum16 skb_finished_checksum(sk_buff const& skb, u32 from) {
  sum16 const sum = csum_fold(skb_checksum(skb, from, skb.len - from, 0));
  return sum == sum16{} ? csum_mangled_0 : sum;  // RFC 768: zero would say that there is none
}

/// Finishes a partial checksum in a copy of the packet's first `n` bytes, if it lies among them; the packet stays as it
/// is. For who shows a packet as it is, or would have been, on the wire.
inline void skb_checksum_in_copy(sk_buff const& skb, u8* copy, u32 n) {
  if (skb.ip_summed != ip_summed::partial) return;
  int const start = skb_checksum_start_offset(skb);
  if (start < 0 || static_cast<u32>(start) > skb.len) return;
  auto const from = static_cast<u32>(start), where = from + skb.csum_offset;
  if (where + sizeof(sum16) > n) return;
  sum16 const sum = skb_finished_checksum(skb, from);
  std::memcpy(copy + where, &sum, sizeof sum);
}

/// Finishes a partial checksum in software, for a device that cannot. The bytes are copied first if others read them.
/// Error: invalid_argument if the checksum would lie outside the linear area; not_enough_memory. Then nothing changed.
inline result<void> skb_checksum_help(sk_buff& skb, skb_pool::site at = skb_pool::site::current()) {
  if (skb.ip_summed == ip_summed::partial) {
    int const start = skb_checksum_start_offset(skb);
    if (start < 0 || start + skb.csum_offset + static_cast<int>(sizeof(sum16)) > static_cast<int>(skb.headlen()))
      return failure{std::errc::invalid_argument};
    auto const from = static_cast<u32>(start), where = from + skb.csum_offset;
    sum16 const sum = skb_finished_checksum(skb, from);
    if (auto own = skb_ensure_writable(skb, where + static_cast<u32>(sizeof sum), at); !own) return own;
    std::memcpy(skb.data + where, &sum, sizeof sum);
  }
  skb.ip_summed = ip_summed::none;
  return {};
}

}  // namespace netstack
