// SPDX-License-Identifier: BSL-1.0
// Decides: an address family for tests of the socket layer alone: its sockets queue what they are sent to themselves,
// and every op says that it was called.
#pragma once
#include "netstack/core/sock_queue.hpp"
#include "netstack/socket/socket.hpp"

namespace netstack::test {

struct toy_family;
inline constexpr int af_toy = 45;

struct toy_counts {
  u32 init = 0, destroy = 0, release = 0;
};

template <class Host>
struct toy_worker {
  slab<sock, Host::sizes.max_sock> socks;
  toy_counts counts;
};
template <class Net>
auto& toy_of(Net& net) {
  return worker_generic<toy_family>(net.worker());
}

template <class Net>
sock* toy_alloc(Net& net) {
  return toy_of(net).socks.alloc();
}
template <class Net>
void toy_free(Net& net, sock& sk) {
  toy_of(net).socks.free(&sk);
}
template <class Net>
void toy_close(Net& net, sock& sk, u64) {
  sk_common_release(net, sk);
}
template <class Net>
result<void> toy_init(Net& net, sock&) {
  ++toy_of(net).counts.init;
  return {};
}
template <class Net>
void toy_destroy(Net& net, sock&) {
  ++toy_of(net).counts.destroy;
}
template <class Net>
result<std::size_t> toy_sendmsg(Net& net, sock& sk, msghdr& m) {
  auto skb = sock_alloc_send_skb(net, sk, 64, sock_sndtimeo(sk, m.msg_flags));
  if (!skb) return failure{skb.error()};
  std::size_t const n = iov_iter{m.msg_iov}.copy_from((*skb)->put(static_cast<u32>(m.length())), m.length());
  finish(**skb, sock_queue_rcv_skb(net, sk, **skb));
  return n;
}
template <class Net>
result<std::size_t> toy_recvmsg(Net& net, sock& sk, msghdr& m, u32 flags) {
  u32 off = 0;
  auto skb = __skb_recv_datagram(net, sk, flags, off);
  if (!skb) return failure{skb.error()};
  if (!*skb) return std::size_t{0};
  std::size_t const n = skb_copy_datagram_msg(**skb, off, m, (*skb)->len - off);
  consume_skb(**skb);
  return n;
}

template <class Net>
inline constexpr proto<Net> toy_prot{
    .name = "TOY",
    .close = toy_close,
    .init = toy_init,
    .destroy = toy_destroy,
    .sendmsg = toy_sendmsg,
    .recvmsg = toy_recvmsg,
    .slab_alloc = toy_alloc,
    .slab_free = toy_free,
    .obj_size = sizeof(sock),
};

template <class Net>
result<void> toy_release(Net& net, sockfs::socket& s) {
  ++toy_of(net).counts.release;
  if (s.sk) sk_prot<Net>(*s.sk).close(net, *std::exchange(s.sk, nullptr), 0);
  return {};
}
template <class Net>
result<u32> toy_getname(Net&, sockfs::socket&, sockaddr_storage& out, bool) {
  out.ss_family = af_toy;
  return u32{sizeof(u16)};
}
template <class Net>
result<int> toy_ioctl(Net&, sockfs::socket&, u32, void*) {
  return failure{std::errc::inappropriate_io_control_operation};
}
template <class Net>
result<std::size_t> toy_send(Net& net, sockfs::socket& s, msghdr& m) {
  return sk_prot<Net>(*s.sk).sendmsg(net, *s.sk, m);
}

/// Everything that a family need not have, it has not.
template <class Net>
inline constexpr proto_ops<Net> toy_ops{
    .name = "toy_ops",
    .family = af_toy,
    .release = toy_release,
    .bind = sock_no_bind,
    .connect = sock_no_connect,
    .socketpair = sock_no_socketpair,
    .accept = sock_no_accept,
    .getname = toy_getname,
    .poll = datagram_poll_op,
    .ioctl = toy_ioctl,
    .listen = sock_no_listen,
    .shutdown = sock_no_shutdown,
    .setsockopt = sock_common_setsockopt,
    .getsockopt = sock_common_getsockopt,
    .sendmsg = toy_send,
    .recvmsg = sock_common_recvmsg,
    .mmap = sock_no_mmap,
    .sendpage = sock_no_sendpage,
};

template <class Net>
result<void> toy_create(Net& net, sockfs::socket& s, int protocol, bool kern) {
  if (protocol != 0) return failure{std::errc::protocol_not_supported};
  sock* sk = sk_alloc(net, af_toy, toy_prot<Net>, kern);
  if (!sk) return failure{std::errc::not_enough_memory};
  s.ops = std::addressof(toy_ops<Net>);
  s.sk = sk;
  sk->sk_socket = &s;
  sk->sk_type = s.type;
  return toy_init(net, *sk);
}

struct toy_family : module {
  template <class Host>
  using perworker = toy_worker<Host>;
  template <class Net>
  static constexpr std::array protos{toy_prot<Net>};
  template <class Net>
  static constexpr std::array families{
      net_proto_family<Net>{.family = af_toy, .create = toy_create<Net>, .name = "toy"}};
};

}  // namespace netstack::test
