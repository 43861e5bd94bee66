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
#include "netstack/socket/socket.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_zerocopy.hpp"

namespace netstack {

template <class Net>
class tcp_socket {
 public:
  using callback = void (*)(void* ctx);

  explicit tcp_socket(Net& net) : net_(&net) {}
  tcp_socket(tcp_socket const&) = delete;
  tcp_socket& operator=(tcp_socket const&) = delete;
  ~tcp_socket() { close(); }

  /// Errors: those of socket(); already_connected when it is open.
  result<void> open() {
    if (is_open()) return failure{std::errc::already_connected};
    auto const fd = netstack::socket(*net_, af::inet, sock_type::stream | sock_type::nonblock, ipproto::tcp);
    return fd ? adopt(*fd) : result<void>{failure{fd.error()}};
  }
  /// Takes over the handle of a TCP socket, such as accept() gave. Errors: bad_file_descriptor, already_connected.
  result<void> adopt(int fd) {
    if (is_open()) return failure{std::errc::already_connected};
    enter(net_->worker());
    auto* const handle = sockfs::table_of(*net_).find(fd);
    if (!handle || !handle->sk || handle->sk->sk_protocol != ipproto::tcp)
      return failure{std::errc::bad_file_descriptor};
    handle_ = handle;
    ino_ = handle->i_ino;
    install();
    return {};
  }
  void close() {
    if (is_open()) (void)netstack::close(*net_, handle_->fd);
    handle_ = nullptr;
  }
  /// False also when the namespace went away and took the socket along.
  [[nodiscard]] bool is_open() const { return handle_ && handle_->i_ino == ino_; }
  [[nodiscard]] int fd() const { return is_open() ? handle_->fd : -1; }

  /// There is something to read, or the end; there is room again to send; the connection is there, or is no more; an
  /// error waits (so::error).
  void on_data_ready(callback f, void* ctx) { data_ready_ = {f, ctx}, install(); }
  void on_write_space(callback f, void* ctx) { write_space_ = {f, ctx}, install(); }
  void on_state_change(callback f, void* ctx) { state_change_ = {f, ctx}, install(); }
  void on_error_report(callback f, void* ctx) { error_report_ = {f, ctx}, install(); }

  /// Shows what can be read, piece by piece: u32 f(std::span<u8 const>) answers how much of it was used. Errors:
  /// bad_file_descriptor, and those of tcp_read_sock.
  template <class F>
  result<std::size_t> read(F&& f) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net_->worker());
    sock& s = sk();
    sock_hold(s);
    auto r = tcp_read_sock(*net_, s, f);
    sock_put(s);
    return r;
  }

  /// How many bytes one segment carries now: the most that a packet may be filled with.
  [[nodiscard]] u32 segment() { return is_open() ? tcp_current_mss(*net_, sk()) : 0; }
  /// An empty packet with room for the headers in front: fill it with skb->put(n). Errors: no_buffer_space.
  result<skb_ptr> allocate() {
    sk_buff* const skb = net_->worker().pool.alloc_skb(max_tcp_header);
    if (!skb) return failure{std::errc::no_buffer_space};
    return skb_ptr{skb};
  }
  /// Sends the packet's data behind what was sent before; msg::more: it need not leave alone. The packet is taken
  /// unless there is an error. Errors: bad_file_descriptor, and those of tcp_send_skb.
  result<void> send(skb_ptr& skb, u32 flags = 0) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net_->worker());
    sock& s = sk();
    sock_hold(s);
    auto const r = tcp_send_skb(*net_, s, *skb, flags);
    if (r) (void)skb.release();
    sock_put(s);
    return r;
  }

 private:
  struct hook {
    callback f = nullptr;
    void* ctx = nullptr;
  };
  template <hook tcp_socket::*Which>
  static void call(sock& sk) {
    auto const& self = *static_cast<tcp_socket*>(sk.sk_user_data);
    hook const h = self.*Which;
    auto& worker = self.net_->worker();  // the callback may end the socket
    bool const outer = std::exchange(worker.polling, true);
    h.f(h.ctx);
    worker.polling = outer;
  }
  void install() {
    if (!is_open()) return;
    sock& s = sk();
    s.sk_user_data = this;
    s.sk_data_ready = data_ready_.f ? call<&tcp_socket::data_ready_> : nullptr;
    s.sk_write_space = write_space_.f ? call<&tcp_socket::write_space_> : nullptr;
    s.sk_state_change = state_change_.f ? call<&tcp_socket::state_change_> : nullptr;
    s.sk_error_report = error_report_.f ? call<&tcp_socket::error_report_> : nullptr;
  }
  [[nodiscard]] sock& sk() const { return *handle_->sk; }

  Net* net_;
  sockfs::socket* handle_ = nullptr;
  u64 ino_ = 0;
  hook data_ready_, write_space_, state_change_, error_report_;
};

}  // namespace netstack
