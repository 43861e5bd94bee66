// SPDX-License-Identifier: BSL-1.0
// Decides: what a typed socket is underneath: an ordinary socket of the handle table, told by its inode number from one
// that took its place, and callbacks that cost nothing while nobody sets them.
// called by udp_socket, tcp_socket → calls socket(), close()
// Linux: none (its nearest: in-kernel users of struct socket, such as net/sunrpc/svcsock.c)
#pragma once
#include "netstack/socket/socket.hpp"

namespace netstack {

template <class Net>
class socket_handle {
 public:
  using callback = void (*)(void* ctx);

  socket_handle(socket_handle const&) = delete;
  socket_handle& operator=(socket_handle const&) = delete;

  void close() {
    if (is_open()) (void)netstack::close(*net_, handle_->fd);
    handle_ = nullptr;
  }
  /// False also when the namespace went away and took the socket along.
  [[nodiscard]] bool is_open() const { return handle_ && handle_->i_ino == ino_; }
  /// For every call that the class does not have. -1 when it is closed.
  [[nodiscard]] int fd() const { return is_open() ? handle_->fd : -1; }

  /// There is something to read, or the end; there is room again to send; an error waits (so::error). Run inside
  /// poll(), write_space only there and never inside another callback; the others also inside the call that leads to
  /// them: shutdown() and SO_RCVLOWAT for data_ready; for error_report a call that fails, or reading the error queue.
  void on_data_ready(callback f, void* ctx) { data_ready_ = {f, ctx}, install(); }
  void on_write_space(callback f, void* ctx) { write_space_ = {f, ctx}, install(); }
  void on_error_report(callback f, void* ctx) { error_report_ = {f, ctx}, install(); }

 protected:
  struct hook {
    callback f = nullptr;
    void* ctx = nullptr;
  };

  explicit socket_handle(Net& in) : net_(&in) {}
  ~socket_handle() = default;  // who has callbacks closes

  /// Errors: bad_file_descriptor (not a socket of this protocol), already_connected (one is held).
  result<void> hold(int fd, u16 protocol) {
    if (is_open()) return failure{std::errc::already_connected};
    enter(net_->worker());
    auto* const handle = sockfs::table_of(*net_).find(fd);
    if (!handle || !handle->sk || handle->sk->sk_protocol != protocol) return failure{std::errc::bad_file_descriptor};
    handle_ = handle;
    ino_ = handle->i_ino;
    install();
    return {};
  }
  /// … of a socket that is made for it. Errors: those of socket() besides.
  result<void> make(u32 type, u16 protocol) {
    if (is_open()) return failure{std::errc::already_connected};
    auto const fd = netstack::socket(*net_, af::inet, type, protocol);
    return fd ? hold(*fd, protocol) : result<void>{failure{fd.error()}};
  }
  /// Also outside poll() the worker counts as polling meanwhile: whoever waits in a callback waits for itself.
  void run(hook h) const {
    auto& worker = net_->worker();  // the callback may end the socket
    bool const outer = std::exchange(worker.polling, true);
    h.f(h.ctx);
    worker.polling = outer;
  }
  [[nodiscard]] static socket_handle& of(sock& sk) { return *static_cast<socket_handle*>(sk.sk_user_data); }
  [[nodiscard]] sock& sk() const { return *handle_->sk; }
  [[nodiscard]] Net& net() const { return *net_; }

  /// The hooks are others now.
  void install() {
    if (!is_open()) return;
    u32 const set =
        (data_ready_.f ? 1 : 0) + (write_space_.f ? 2 : 0) + (error_report_.f ? 4 : 0) + (state_change_.f ? 8 : 0);
    sk().sk_user_data = this;
    sk().sk_callbacks = set != 0 ? &rows()[set] : &sock_no_callbacks;
  }

  hook state_change_;

 private:
  template <hook socket_handle::*Which>
  static void call(sock& sk) {
    of(sk).run(of(sk).*Which);
  }
  /// Row i has those that are bits of i.
  template <u32... I>
  static constexpr std::array<sock_callbacks, sizeof...(I)> rows_of(std::integer_sequence<u32, I...>) {
    return {sock_callbacks{.data_ready = I & 1 ? call<&socket_handle::data_ready_> : nullptr,
                           .write_space = I & 2 ? call<&socket_handle::write_space_> : nullptr,
                           .error_report = I & 4 ? call<&socket_handle::error_report_> : nullptr,
                           .state_change = I & 8 ? call<&socket_handle::state_change_> : nullptr}...};
  }
  static auto const& rows() {
    static constexpr auto all = rows_of(std::make_integer_sequence<u32, 16>{});
    return all;
  }

  Net* net_;
  sockfs::socket* handle_ = nullptr;
  u64 ino_ = 0;
  hook data_ready_, write_space_, error_report_;
};

}  // namespace netstack
