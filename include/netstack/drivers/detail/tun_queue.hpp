// SPDX-License-Identifier: BSL-1.0
// Decides: how frames pass between a pool and one fd of a TUN or TAP interface: one system call a frame, straight into
// and out of pool frames; the virtio header lies in the headroom, so an ordinary frame is one piece. A frame longer
// than a pool frame is read into several.
// rx: called by drivers/tap and drivers/tun ndo_poll; tx: by their ndo_start_xmit
// Linux: drivers/net/tun.c; virtio 1.1 §5.1.6 (what the header's fields mean)
#pragma once
#include <sys/uio.h>

#include "netstack/core/gso.hpp"
#include "netstack/core/net_device.hpp"
#include "netstack/drivers/detail/tun_file.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_frags.hpp"

namespace netstack::drivers::detail {

class tun_queue {
  static constexpr u32 hdr_len = sizeof(virtio_net_hdr);

 public:
  tun_file file;
  bool vnet_hdr = false;
  bool multi_queue = false;
  bool gone = false;  ///< the interface was deleted: nothing will come any more, though the fd stays readable

  /// The longest frame that a packet of this pool can hold.
  static u32 capacity(skb_pool const& pool) {
    return pool.frame_size() - pool.rx_headroom() + max_skb_frags * pool.frame_size();
  }

  /// The next frame, of at most `max` bytes; null when there is none, the interface is gone, or the pool is empty: then
  /// frames wait in the kernel. Longer ones are dropped and counted.
  sk_buff* receive(skb_pool& pool, net_device& dev, u32 max) {
    for (;;) {
      sk_buff* skb = pool.alloc_skb();
      if (!skb) return nullptr;
      // One byte more than the longest frame: when it is filled, something was cut off.
      ssize_t const got = max < skb->tailroom() ? read_linear(*skb) : read_frags(pool, *skb, max + 1);
      if (got < 0) {
        gone = errno == EIO || errno == EBADFD || errno == EBADF || errno == ENODEV || errno == ENXIO;
        pool.free_skb(*skb);
        return nullptr;
      }
      if (skb->len <= max && (!vnet_hdr || apply_header(*skb))) [[likely]]
        return skb;
      ++(skb->len > max ? dev.stats.rx_over_errors : dev.stats.rx_frame_errors);
      ++dev.stats.rx_errors;
      pool.free_skb(*skb);
    }
  }

  enum class sent : u8 { ok, busy, failed };
  /// Writes the frame; the caller frees it unless the answer is busy.
  sent send(sk_buff& skb) {
    virtio_net_hdr header;
    if (vnet_hdr) header = header_of(skb);
    ssize_t n;
    if (!skb.is_nonlinear() && !vnet_hdr) {
      n = ::write(file.fd(), skb.data, skb.len);
    } else if (!skb.is_nonlinear() && skb.headroom() >= hdr_len && !skb_cloned(skb)) {
      u8* const at = skb.data - hdr_len;
      std::memcpy(at, &header, hdr_len);
      n = ::write(file.fd(), at, skb.len + hdr_len);
    } else {
      ::iovec pieces[max_skb_frags + 2];
      n = ::writev(file.fd(), pieces, gather(skb, header, pieces));
    }
    if (n >= 0) [[likely]]
      return sent::ok;
    return errno == EAGAIN || errno == ENOBUFS ? sent::busy : sent::failed;
  }

 private:
  static ssize_t nothing() { return errno = EAGAIN, -1; }
  static u8* header_at(sk_buff& skb) { return skb.data - hdr_len; }

  ssize_t read_linear(sk_buff& skb) {
    u32 const extra = vnet_hdr ? hdr_len : 0;
    ssize_t const got = ::read(file.fd(), skb.data - extra, skb.tailroom() + extra);
    if (got < static_cast<ssize_t>(extra)) return got < 0 ? got : nothing();
    skb.put(static_cast<u32>(got) - extra);
    return got;
  }

  /// `room` bytes over as many frames as that takes; those that stay empty go back.
  ssize_t read_frags(skb_pool& pool, sk_buff& skb, u32 room) {
    u32 const extra = vnet_hdr ? hdr_len : 0;
    u32 const linear = skb.tailroom();
    ::iovec pieces[max_skb_frags + 1];
    u32 frames[max_skb_frags];
    u32 n = 0;
    pieces[0] = {skb.data - extra, linear + extra};
    for (u32 have = linear; have < room && n < max_skb_frags; have += pool.frame_size()) {
      frames[n] = pool.alloc_frame();
      if (frames[n] == skb_pool::no_frame) break;
      pieces[n + 1] = {pool.frame_data(frames[n]), pool.frame_size()};
      ++n;
    }
    bool const enough = n == max_skb_frags || linear + n * pool.frame_size() >= room;
    ssize_t const got = enough ? ::readv(file.fd(), pieces, static_cast<int>(n) + 1) : nothing();
    u32 left = got < static_cast<ssize_t>(extra) ? 0 : static_cast<u32>(got) - extra;
    u32 const head = std::min(left, linear);
    skb.put(head);
    left -= head;
    for (u32 i = 0; i < n; ++i) {
      u32 const size = std::min(left, pool.frame_size());
      left -= size;
      if (size != 0)
        skb_add_rx_frag(skb, i, frames[i], 0, size, pool.frame_truesize());
      else
        pool.put_frame(frames[i]);
    }
    return got < static_cast<ssize_t>(extra) ? -1 : got;
  }

  /// What the kernel says of a frame. False: it makes no sense.
  static bool apply_header(sk_buff& skb) {
    virtio_net_hdr header;
    std::memcpy(&header, header_at(skb), sizeof header);
    if (header.flags & virtio_net_hdr::needs_csum) {
      if (!skb_partial_csum_set(skb, header.csum_start, header.csum_offset)) return false;
    } else if (header.flags & virtio_net_hdr::data_valid) {
      skb.ip_summed = ip_summed::unnecessary;
    }
    if (header.gso_type == virtio_net_hdr::gso_none) [[likely]]
      return true;
    auto& info = skb_edit_shinfo(skb);
    info.gso_size = header.gso_size;
    switch (header.gso_type & ~virtio_net_hdr::gso_ecn) {
      case virtio_net_hdr::gso_tcpv4: info.gso_type = skb_gso::tcpv4; break;
      case virtio_net_hdr::gso_tcpv6: info.gso_type = skb_gso::tcpv6; break;
      case virtio_net_hdr::gso_udp: info.gso_type = skb_gso::udp; break;
      case virtio_net_hdr::gso_udp_l4: info.gso_type = skb_gso::udp_l4; break;
      default: return false;
    }
    if (header.gso_type & virtio_net_hdr::gso_ecn) info.gso_type |= skb_gso::tcp_ecn;
    return info.gso_size != 0;
  }

  static virtio_net_hdr header_of(sk_buff& skb) {
    virtio_net_hdr header;
    if (skb.ip_summed == ip_summed::partial) {
      header.flags = virtio_net_hdr::needs_csum;
      header.csum_start = static_cast<u16>(skb_checksum_start_offset(skb));
      header.csum_offset = skb.csum_offset;
    }
    auto const& info = skb_shinfo(skb);
    if (info.gso_size != 0) {
      header.gso_size = info.gso_size;
      // How far the headers reach: a hint, so that the kernel need not guess what to make linear.
      header.hdr_len = static_cast<u16>(std::min(skb.headlen(), header.csum_start + 60u));
      u8 const kind = static_cast<u8>(info.gso_type & ~skb_gso::tcp_ecn);
      header.gso_type = kind == skb_gso::tcpv4   ? virtio_net_hdr::gso_tcpv4
                        : kind == skb_gso::tcpv6 ? virtio_net_hdr::gso_tcpv6
                        : kind == skb_gso::udp   ? virtio_net_hdr::gso_udp
                                                 : virtio_net_hdr::gso_udp_l4;
      if (info.gso_type & skb_gso::tcp_ecn) header.gso_type |= virtio_net_hdr::gso_ecn;
    }
    return header;
  }

  int gather(sk_buff& skb, virtio_net_hdr& header, ::iovec* pieces) const {
    int n = 0;
    if (vnet_hdr) pieces[n++] = {&header, hdr_len};
    pieces[n++] = {skb.data, skb.headlen()};
    auto const& info = skb_shinfo(skb);
    for (u8 i = 0; i < info.nr_frags; ++i) pieces[n++] = {skb_frag_address(skb, info.frags[i]), info.frags[i].size};
    return n;
  }
};

}  // namespace netstack::drivers::detail
