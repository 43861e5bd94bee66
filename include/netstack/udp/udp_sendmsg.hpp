// SPDX-License-Identifier: BSL-1.0
// Decides: what sendmsg() does on a UDP socket: one call one datagram, or, corked, the calls until the cork is pulled.
// tx: called by inet_sendmsg as sk_prot's sendmsg and sendpage → calls udp_send_skb
// Linux: net/ipv4/udp.c (udp_sendmsg, udp_push_pending_frames, udp_sendpage), net/ipv4/ip_output.c (ip_append_data)
#pragma once
#include "netstack/skb/skb_frags.hpp"
#include "netstack/udp/udp_way.hpp"

namespace netstack {

/// Throws away what was corked.
inline void udp_flush_pending_frames(sock& sk) {
  auto& cork = udp_sk(sk).cork;
  if (!cork.skb) return;
  consume_skb(*std::exchange(cork.skb, nullptr));
  dst_release(*std::exchange(cork.rt, nullptr));
}

/// Sends what was corked as one datagram.
template <class Net>
result<void> udp_push_pending_frames(Net& net, sock& sk) {
  auto& cork = udp_sk(sk).cork;
  if (!cork.skb) return {};
  detail::udp_flow flow{.fl4 = cork.fl4,
                        .tx = cork.tx,
                        .rt = cork.rt,
                        .csum_mode = static_cast<detail::udp_csum_mode>(cork.csum_mode),
                        .opt = {}};
  auto const r = udp_send_skb(net, sk, *std::exchange(cork.skb, nullptr), flow, cork.csum);
  dst_release(*std::exchange(cork.rt, nullptr));
  return r;
}

namespace detail {

/// A packet of the socket's with room for the headers of this flow in front of `len` bytes of payload, which lie in
/// further frames when one is not enough. udp_prepare has waited for send buffer already. Errors: no_buffer_space.
template <class Net>
result<sk_buff*> udp_alloc_skb(Net& net, sock& sk, udp_flow const& flow, u32 len) {
  auto& pool = net.worker().pool;
  u32 const headroom = udp_headroom(*flow.rt->dev, flow.tx.optlen);
  u32 const linear = std::min(len, pool.frame_size() - headroom);
  sk_buff* skb;
  if (linear == len) [[likely]] {
    skb = pool.alloc_skb(headroom);
    if (skb) skb->put(len);
  } else {
    skb = alloc_skb_with_frags(pool, headroom, linear, len - linear);
  }
  if (!skb) [[unlikely]]
    return failure{std::errc::no_buffer_space};
  skb_set_owner_w(*skb, sk);
  return skb;
}

/// Lengthens the packet: in its last frame, then in new ones. False: the pool, or the packet's frag slots, are used up.
template <class Net>
bool udp_append(Net& net, sk_buff& skb, iov_iter& from, std::size_t len, bool sum, u32& csum) {
  auto& pool = net.worker().pool;
  if (std::size_t const n = std::min<std::size_t>(skb.tailroom(), len); n > 0) {
    std::size_t const offset = skb.len;
    udp_fill(skb.put(static_cast<u32>(n)), from, n, sum, offset, csum);
    len -= n;
  }
  while (len > 0) {
    auto const& info = skb_shinfo(skb);
    if (info.nr_frags == 0 || info.frags[info.nr_frags - 1].size == pool.frame_size()) {
      u32 const frame = info.nr_frags < max_skb_frags ? pool.alloc_frame() : skb_pool::no_frame;
      if (frame == skb_pool::no_frame) return false;
      skb_add_rx_frag(skb, info.nr_frags, frame, 0, 0, pool.frame_truesize());
      skb.sk->sk_wmem_alloc += pool.frame_truesize();
    }
    u32 const last = info.nr_frags - 1u, at = info.frags[last].size, offset = skb.len;
    u32 const n = static_cast<u32>(std::min<std::size_t>(pool.frame_size() - at, len));
    skb_coalesce_rx_frag(skb, last, n, 0);
    udp_fill(pool.frame_data(info.frags[last].frame) + at, from, n, sum, offset, csum);
    len -= n;
  }
  return true;
}

/// The first part of a corked datagram fixes where it goes and how.
template <class Net>
result<void> udp_cork_start(Net& net, sock& sk, udp_flow const& flow) {
  auto const skb = udp_alloc_skb(net, sk, flow, 0);
  if (!skb) return failure{skb.error()};
  auto& cork = udp_sk(sk).cork;
  cork.skb = *skb;
  cork.rt = flow.rt;
  dst_hold(*flow.rt);
  cork.fl4 = flow.fl4;
  cork.tx = flow.tx;
  cork.csum = 0;
  cork.csum_mode = static_cast<u8>(flow.csum_mode);
  if (flow.tx.optlen) {
    std::memcpy(cork.options, flow.tx.options, flow.tx.optlen);
    cork.tx.options = cork.options;
  }
  return {};
}

/// Adds to the corked datagram; sends it unless more is to come. An error loses the whole of it, as on Linux.
template <class Net>
result<void> udp_cork_append(Net& net, sock& sk, msghdr const& m, std::size_t len, bool more) {
  auto& cork = udp_sk(sk).cork;
  if (cork.skb->len + udp_hlen + len + ip_hlen_min + cork.tx.optlen > udp_max_len) {
    auto const r = udp_send_failed(net, sk, std::errc::message_size, cork.fl4.daddr, cork.fl4.dport, cork.rt);
    udp_flush_pending_frames(sk);
    return r;
  }
  iov_iter from{m.msg_iov};
  bool const sum = static_cast<udp_csum_mode>(cork.csum_mode) == udp_csum_mode::software;
  if (!udp_append(net, *cork.skb, from, len, sum, cork.csum)) {
    udp_flush_pending_frames(sk);
    return failure{std::errc::no_buffer_space};
  }
  return more ? result<void>{} : udp_push_pending_frames(net, sk);
}

/// One call, one datagram.
template <class Net>
result<std::size_t> udp_send_now(Net& net, sock& sk, msghdr const& m, std::size_t len, udp_flow const& flow) {
  auto const got = udp_alloc_skb(net, sk, flow, static_cast<u32>(len));
  if (!got) return failure{got.error()};
  sk_buff& skb = **got;
  u32 csum = 0;
  iov_iter from{m.msg_iov};
  bool const sum = flow.csum_mode == udp_csum_mode::software;
  if (!skb.is_nonlinear()) [[likely]] {
    udp_fill(skb.data, from, len, sum, 0, csum);
  } else {
    std::size_t offset = 0;
    for_each_piece(skb, 0, skb.len, [&](u8* at, u32 n) {
      udp_fill(at, from, n, sum, offset, csum);
      offset += n;
    });
  }
  if (auto r = udp_send_skb(net, sk, skb, flow, csum); !r) return failure{r.error()};
  return len;
}

/// Everything about the datagram but its `len` bytes, and leave to send it now. Whether it can be sent at all is asked
/// before the socket's own state, as on Linux. Errors, in this order: udp_destination's, ip_cmsg_send's, the route's,
/// message_size, sock_wait_for_wmem's.
template <class Net>
result<void> udp_prepare(Net& net, sock& sk, msghdr const& m, std::size_t len, udp_flow& flow) {
  if (auto r = udp_destination(sk, m, flow.fl4.daddr, flow.fl4.dport); !r) return r;
  auto& inet = inet_sk(sk);
  ipcm_cookie ipc{.mark = sk.sk_mark, .priority = sk.sk_priority, .opt = flow.opt};
  bool connected = m.msg_name == nullptr && !ipv4_is_multicast(flow.fl4.daddr) && !(m.msg_flags & msg::dontroute);
  if (!m.msg_control.empty()) {
    if (auto r = ip_cmsg_send(net, m.msg_control, ipc); !r) return r;
    connected = connected && !ipc.addr && ipc.oif == 0 && ipc.tos < 0 && ipc.mark == sk.sk_mark;
  }
  auto const find_route = [&] {
    udp_fill_flow(inet, ipc, m.msg_flags, flow);
    if (flow.tx.srr && !flow.tx.daddr) return result<void>{failure{std::errc::invalid_argument}};
    return udp_route(net, sk, connected && !flow.tx.srr, flow);
  };
  if (auto r = find_route(); !r || m.msg_flags & msg::probe) return r;
  if (len + udp_hlen + ip_hlen_min + flow.tx.optlen > udp_max_len) [[unlikely]]
    return udp_send_failed(net, sk, std::errc::message_size, flow.fl4.daddr, flow.fl4.dport, flow.rt);
  if (sock_may_send(sk)) [[likely]]
    return {};
  if (auto r = sock_wait_for_wmem(net, sk, sock_sndtimeo(sk, m.msg_flags)); !r) return r;
  return find_route();  // a borrowed route is not held over the wait
}

/// The datagram repeats the last one: nothing to ask for, one piece of payload.
template <class Net>
udp_way* udp_way_of(Net& net, sock& sk, msghdr const& m) {
  if (m.msg_iov.size() != 1 || !m.msg_control.empty() || (m.msg_flags & ~msg::dontwait) != 0) return nullptr;
  if (!m.msg_name)
    return sk.sk_state == tcp_state::established ? udp_way_again(net, udp_sk(sk), sk.sk_daddr, sk.sk_dport) : nullptr;
  if (m.msg_namelen < sizeof(sockaddr_in)) return nullptr;
  auto const name = m.name().as<sockaddr_in>();
  return name.sin_family == af::inet ? udp_way_again(net, udp_sk(sk), name.sin_addr.s_addr, name.sin_port) : nullptr;
}

template <class Net>
result<std::size_t> udp_send_again(Net& net, udp_sock& sk, msghdr const& m, udp_way const& way) {
  net_device const& dev = *way.ip.rt->dev;
  std::size_t const len = m.msg_iov[0].iov_len;
  sk_buff* skb = net.worker().pool.alloc_skb(udp_headroom(dev, 0));
  if (!skb) [[unlikely]]
    return failure{std::errc::no_buffer_space};
  skb->sk = &sk;
  skb->destructor = sock_wfree;
  sk.sk_wmem_alloc += skb->truesize;
  u8* const to = skb->put(static_cast<u32>(len));
  auto const* from = static_cast<u8 const*>(m.msg_iov[0].iov_base);
  u32 csum = 0;
  if (udp_csum_mode_of(sk, dev) == udp_csum_mode::software)
    csum = csum_partial_copy(to, from, len, 0);
  else
    std::memcpy(to, from, len);
  if (auto r = udp_way_send(net, sk, *skb, way, csum); !r) return failure{r.error()};
  return len;
}

template <class Net>
result<std::size_t> udp_send_corked(Net& net, sock& sk, msghdr const& m, std::size_t len, bool more) {
  if (auto r = lock_sock(sk); !r) return failure{r.error()};
  bool const probe = (m.msg_flags & msg::probe) != 0;  // adds nothing
  auto const r = [&]() -> result<void> {
    if (!udp_sk(sk).cork.skb) {
      udp_flow flow;
      if (auto p = udp_prepare(net, sk, m, len, flow); !p || probe) return p;
      if (auto p = udp_cork_start(net, sk, flow); !p) return p;
    }
    return udp_cork_append(net, sk, m, probe ? 0 : len, more);
  }();
  release_sock(net, sk);
  if (!r) return failure{r.error()};
  return len;
}

}  // namespace detail

/// proto::sendmsg. With msg::probe all is done but the sending. Errors: message_size (beyond 65,507 bytes, or the
/// path's MTU), destination_address_required, operation_not_supported (msg::oob), the route's, and those of
/// sock_wait_for_wmem.
template <class Net>
result<std::size_t> udp_sendmsg(Net& net, sock& sk, msghdr& m) {
  if (auto const* way = detail::udp_way_of(net, sk, m)) [[likely]]
    if (m.msg_iov[0].iov_len + udp_hlen <= detail::udp_way_room(net, *way))
      return detail::udp_send_again(net, udp_sk(sk), m, *way);
  std::size_t const len = m.length();
  if (len > udp_max_len) return failure{std::errc::message_size};
  if (m.msg_flags & msg::oob) return failure{std::errc::operation_not_supported};
  bool const more = udp_sk(sk).corkflag || (m.msg_flags & msg::more) != 0;
  if (more || udp_sk(sk).cork.skb) [[unlikely]]
    return detail::udp_send_corked(net, sk, m, len, more);
  detail::udp_flow flow;
  if (auto r = detail::udp_prepare(net, sk, m, len, flow); !r) return failure{r.error()};
  if (m.msg_flags & msg::probe) return len;
  if (m.msg_control.empty() && (m.msg_flags & ~msg::dontwait) == 0) detail::udp_way_keep(net, udp_sk(sk), flow);
  return detail::udp_send_now(net, sk, m, len, flow);
}

/// proto::sendpage: the bytes of a page, as a part of a datagram that goes out with the last one (msg::more absent).
template <class Net>
result<std::size_t> udp_sendpage(Net& net, sock& sk, sk_buff& page, u32 offset, std::size_t size, u32 flags) {
  if (offset > page.headlen() || size > page.headlen() - offset) return failure{std::errc::invalid_argument};
  iovec const part{page.data + offset, size};
  msghdr m{.msg_iov = {&part, 1}, .msg_flags = flags};
  return udp_sendmsg(net, sk, m);
}

}  // namespace netstack
