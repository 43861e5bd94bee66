// SPDX-License-Identifier: BSL-1.0
// Decides: TCP without a copy. A tcp_socket shows received bytes where they lie and sends packets that were filled in
// place; its callbacks run inside the worker's poll(). It is an ordinary socket underneath, so every call that this
// class does not have is made on fd().
//
//   tcp_socket<Net> s{net};
//   if (auto r = s.open(); !r) …                              // then connect() on s.fd(); or s.adopt(accept(…))
//   s.on_data_ready(+[](void* self) { … }, this);
//   s.read([&](std::span<u8 const> piece) { return parse(piece); });       // how much of it was used
//   auto skb = s.allocate();  fill (*skb)->put(n), n <= s.segment();  frame_hold sent{**skb};  s.send(*skb);
//   … sent.alone()                                            // acknowledged, and no driver has it
//
// called by the application → calls tcp/tcp_zerocopy
// Linux: none (its nearest: tcp_read_sock inside, MSG_ZEROCOPY outside)
#pragma once
#include "netstack/skb/skb_ptr.hpp"
#include "netstack/socket/socket_handle.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_zerocopy.hpp"

namespace netstack {

template <class Net>
class tcp_socket : public socket_handle<Net> {
  using handle = socket_handle<Net>;
  using handle::net, handle::sk;

 public:
  using handle::is_open;
  using typename handle::callback;

  explicit tcp_socket(Net& in) : handle(in) {}
  ~tcp_socket() { this->close(); }  // while its callbacks are there

  /// Errors: those of socket(); already_connected when it is open.
  result<void> open() { return this->make(sock_type::stream | sock_type::nonblock, ipproto::tcp); }
  /// Takes over the handle of a TCP socket, such as accept() gave. Errors: bad_file_descriptor, already_connected.
  result<void> adopt(int fd) { return this->hold(fd, ipproto::tcp); }

  /// The connection is there, or is no more.
  void on_state_change(callback f, void* ctx) { this->state_change_ = {f, ctx}, this->install(); }

  /// Shows what can be read, piece by piece: u32 f(std::span<u8 const>) answers how much of it was used, 0 to end the
  /// call. f does not close the socket, nor read from it: do that afterwards. Errors: bad_file_descriptor, and those of
  /// tcp_read_sock.
  template <class F>
  result<std::size_t> read(F&& f) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net().worker());
    sock& s = sk();
    sock_hold(s);
    auto r = tcp_read_sock(net(), s, f);
    sock_put(s);
    return r;
  }

  /// How many bytes one segment carries now: the most that a packet may be filled with.
  [[nodiscard]] u32 segment() { return is_open() ? tcp_current_mss(net(), sk()) : 0; }
  /// An empty packet with room for the headers in front: fill it with skb->put(n). Errors: no_buffer_space;
  /// on_write_space tells when there is one.
  result<skb_ptr> allocate() {
    sk_buff* const skb = net().worker().pool.alloc_skb(max_tcp_header);
    if (skb) return skb_ptr{skb};
    if (is_open()) tcp_await_space(net(), sk());
    return failure{std::errc::no_buffer_space};
  }
  /// Sends the packet's data behind what was sent before; msg::more: it need not leave alone. The packet is taken
  /// unless there is an error. Errors: bad_file_descriptor, and those of tcp_send_skb.
  result<void> send(skb_ptr& skb, u32 flags = 0) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net().worker());
    sock& s = sk();
    sock_hold(s);
    auto const r = tcp_send_skb(net(), s, *skb, flags);
    if (r) (void)skb.release();
    sock_put(s);
    return r;
  }
};

}  // namespace netstack
