// SPDX-License-Identifier: BSL-1.0
// Decides: what sendmsg() does on a UDP socket: one call one datagram, or, corked, the calls until the cork is pulled.
// tx: called by inet_sendmsg as sk_prot's sendmsg and sendpage → calls udp_send_skb
// Linux: net/ipv4/udp.c (udp_sendmsg, udp_push_pending_frames, udp_sendpage), net/ipv4/ip_output.c (ip_append_data)
#pragma once
#include "netstack/udp/udp_output.hpp"

namespace netstack {

/// Throws away what was corked.
inline void udp_flush_pending_frames(sock& sk) {
  auto& cork = inet_sk(sk).cork;
  if (!cork.skb) return;
  consume_skb(*std::exchange(cork.skb, nullptr));
  dst_release(*std::exchange(cork.rt, nullptr));
}

/// Sends what was corked as one datagram.
template <class Net>
result<void> udp_push_pending_frames(Net& net, sock& sk) {
  auto& cork = inet_sk(sk).cork;
  if (!cork.skb) return {};
  detail::udp_flow flow{.fl4 = cork.fl4, .tx = cork.tx, .rt = cork.rt};
  auto const r = udp_send_skb(net, sk, *std::exchange(cork.skb, nullptr), flow, cork.csum);
  dst_release(*std::exchange(cork.rt, nullptr));
  return r;
}

namespace detail {

/// A packet of the socket's with room for the headers of this flow. udp_prepare has waited for send buffer already.
/// Errors: no_buffer_space.
template <class Net>
result<sk_buff*> udp_alloc_skb(Net& net, sock& sk, udp_flow const& flow) {
  sk_buff* skb = net.worker().pool.alloc_skb(udp_headroom(*flow.rt->dev, flow.tx.optlen));
  if (!skb) [[unlikely]]
    return failure{std::errc::no_buffer_space};
  skb_set_owner_w(*skb, sk);
  return skb;
}

/// The first part of a corked datagram fixes where it goes and how.
template <class Net>
result<void> udp_cork_start(Net& net, sock& sk, udp_flow const& flow) {
  auto const skb = udp_alloc_skb(net, sk, flow);
  if (!skb) return failure{skb.error()};
  auto& inet = inet_sk(sk);
  auto& cork = inet.cork;
  cork.skb = *skb;
  cork.rt = flow.rt;
  dst_hold(*flow.rt);
  cork.fl4 = flow.fl4;
  cork.tx = flow.tx;
  cork.csum = 0;
  if (flow.tx.optlen) {
    std::memcpy(cork.options, flow.tx.options, flow.tx.optlen);
    cork.tx.options = cork.options;
  }
  return {};
}

/// Adds to the corked datagram; sends it unless more is to come. An error loses the whole of it, as on Linux.
template <class Net>
result<std::size_t> udp_cork_append(Net& net, sock& sk, msghdr const& m, std::size_t len, bool more) {
  auto& cork = inet_sk(sk).cork;
  if (cork.skb->len + udp_hlen + len > udp_max_len - ip_hlen_min) {
    udp_flush_pending_frames(sk);
    return failure{std::errc::message_size};
  }
  iov_iter from{m.msg_iov};
  bool const sum = udp_csum_mode_of(sk, *cork.rt->dev) == udp_csum_mode::software;
  if (!udp_append(net, *cork.skb, from, len, sum, cork.csum)) {
    udp_flush_pending_frames(sk);
    return failure{std::errc::no_buffer_space};
  }
  if (!more)
    if (auto r = udp_push_pending_frames(net, sk); !r) return failure{r.error()};
  return len;
}

/// One call, one datagram.
template <class Net>
result<std::size_t> udp_send_now(Net& net, sock& sk, msghdr const& m, std::size_t len, udp_flow const& flow) {
  auto const got = udp_alloc_skb(net, sk, flow);
  if (!got) return failure{got.error()};
  sk_buff& skb = **got;
  u32 csum = 0;
  iov_iter from{m.msg_iov};
  bool const sum = udp_csum_mode_of(sk, *flow.rt->dev) == udp_csum_mode::software;
  if (!udp_append(net, skb, from, len, sum, csum)) {
    consume_skb(skb);
    return failure{std::errc::no_buffer_space};
  }
  if (auto r = udp_send_skb(net, sk, skb, flow, csum); !r) return failure{r.error()};
  return len;
}

/// Everything about the datagram but its bytes. Waits for send buffer, and only then looks for the route, which is
/// borrowed and must not be held over a poll. Errors: udp_destination's, ip_cmsg_send's, sock_wait_for_wmem's, the
/// route's.
template <class Net>
result<void> udp_prepare(Net& net, sock& sk, msghdr const& m, udp_flow& flow) {
  if (auto r = udp_destination(sk, m, flow.fl4.daddr, flow.fl4.dport); !r) return r;
  auto& inet = inet_sk(sk);
  ipcm_cookie ipc{.mark = sk.sk_mark, .priority = sk.sk_priority};
  bool connected = m.msg_name == nullptr && !ipv4_is_multicast(flow.fl4.daddr) && !(m.msg_flags & msg::dontroute);
  if (!m.msg_control.empty()) {
    if (auto r = ip_cmsg_send(net, m.msg_control, ipc); !r) return r;
    connected = connected && !ipc.addr && ipc.oif == 0 && ipc.tos < 0 && ipc.mark == sk.sk_mark;
  }
  if (auto r = sock_wait_for_wmem(net, sk, sock_sndtimeo(sk, m.msg_flags)); !r) return r;
  udp_fill_flow(inet, ipc, m.msg_flags, flow);
  return udp_route(net, sk, connected, flow);
}

template <class Net>
result<std::size_t> udp_send_corked(Net& net, sock& sk, msghdr const& m, std::size_t len, bool more) {
  if (auto r = lock_sock(sk); !r) return failure{r.error()};
  auto r = [&]() -> result<std::size_t> {
    if (inet_sk(sk).cork.skb) return udp_cork_append(net, sk, m, len, more);
    udp_flow flow;
    if (auto p = udp_prepare(net, sk, m, flow); !p) return failure{p.error()};
    if (auto p = udp_cork_start(net, sk, flow); !p) return failure{p.error()};
    return udp_cork_append(net, sk, m, len, more);
  }();
  release_sock(net, sk);
  return r;
}

}  // namespace detail

/// proto::sendmsg. Errors: message_size (beyond 65,507 bytes, or the path's MTU), destination_address_required,
/// operation_not_supported (msg::oob), the route's, and those of sock_wait_for_wmem.
template <class Net>
result<std::size_t> udp_sendmsg(Net& net, sock& sk, msghdr& m) {
  std::size_t const len = m.length();
  if (len > udp_max_len) return failure{std::errc::message_size};
  if (m.msg_flags & msg::oob) return failure{std::errc::operation_not_supported};
  bool const more = udp_sk(sk).corkflag || (m.msg_flags & msg::more) != 0;
  if (more || inet_sk(sk).cork.skb) [[unlikely]]
    return detail::udp_send_corked(net, sk, m, len, more);
  detail::udp_flow flow;
  if (auto r = detail::udp_prepare(net, sk, m, flow); !r) return failure{r.error()};
  if (len + udp_hlen + ip_hlen_min + flow.tx.optlen > udp_max_len) return failure{std::errc::message_size};
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
