// SPDX-License-Identifier: BSL-1.0
// A server over TCP without threads and without memory that grows: each connection has one of `Slots` places, and in it
// a session: an object whose step() does what can be done now, called from inside poll() when bytes came, when there is
// room to send, and once a second. When all places are taken the next connection waits in the accept queue. A client
// that moves fewer than 1,000 bytes a second has `patience` seconds, then its connection is thrown away.
//
//   template <class Net> struct shout {
//     struct shared {};                                       // what the sessions of one server have in common
//     bool step(stream<Net>& io, shared&) { …; return true; }  // false: the connection is to be closed
//   };
//   tcp_server<Net, shout, 16> server{net};  server.listen(7, 300);
#pragma once
#include <algorithm>
#include <array>
#include <optional>

#include "netstack/netstack.hpp"

namespace services {

using namespace netstack;

/// A connection as a session sees it. No call waits.
template <class Net>
class stream {
  Net* net_ = nullptr;
  int fd_ = -1;
  bool ended_ = false, broken_ = false;
  u64 moved_ = 0;

 public:
  stream() = default;
  stream(Net& net, int fd) : net_(&net), fd_(fd) {}
  [[nodiscard]] Net& net() const { return *net_; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool ended() const { return ended_; }    ///< the peer sends no more, and all of it was read
  [[nodiscard]] bool broken() const { return broken_; }  ///< nothing can be sent any more
  [[nodiscard]] u64 moved() const { return moved_; }     ///< bytes, both ways
  /// Behind what has come, read or not, nothing follows.
  [[nodiscard]] bool all_came() const {
    return ended_ || (sockfs::table_of(*net_).find(fd_)->sk->sk_shutdown & rcv_shutdown) != 0;
  }

  /// What has come, up to n > 0 bytes; how many. msg::peek leaves them, msg::trunc throws them away.
  u32 receive(void* to, u32 n, u32 flags = 0) {
    auto const got = recv(*net_, fd_, to, n, flags | msg::dontwait);
    if (got && *got != 0) {
      if (!(flags & msg::peek)) moved_ += *got;
      return static_cast<u32>(*got);
    }
    if (got || got.error() != std::errc::resource_unavailable_try_again) ended_ = true;
    if (!got && ended_) broken_ = true;
    return 0;
  }
  /// Throws away what has come; true: and there was something.
  bool discard() {
    char scratch[1];
    u64 const before = moved_;
    while (receive(scratch, ~u32{0}, msg::trunc) != 0) continue;
    return moved_ != before;
  }
  /// As many of n bytes as there is room for; how many. What has no room is asked for by the next step().
  u32 send(void const* from, u32 n, u32 flags = 0) {
    auto const sent = netstack::send(*net_, fd_, from, n, flags | msg::dontwait);
    if (!sent && sent.error() != std::errc::resource_unavailable_try_again &&
        sent.error() != std::errc::no_buffer_space)
      ended_ = broken_ = true;
    moved_ += sent.value_or(0u);
    return static_cast<u32>(sent.value_or(0u));
  }
  /// The peer is told that this is all.
  void end() { (void)shutdown(*net_, fd_, shut::wr); }
};

template <class Net, template <class> class Session, u32 Slots>
class tcp_server {
  struct slot {
    tcp_server* server = nullptr;
    stream<Net> io;
    u64 deadline = 0, seen = 0;
    std::optional<Session<Net>> session;
  };
  static constexpr u64 second = 1'000'000'000, slowest = 1'000;  // bytes a second

  Net* net_;
  int fd_ = -1;
  u64 patience_ = 0;
  timer_list timer_;
  std::array<slot, Slots> slots_;
  typename Session<Net>::shared shared_{};

  static sock& sock_of(Net& net, int fd) { return *sockfs::table_of(net).find(fd)->sk; }

  void close(slot& s) {
    (void)netstack::close(*net_, s.io.fd());
    s.session.reset();
  }
  /// Lets the session go on; what it moved buys it time.
  void step(slot& s) {
    bool const more = s.session->step(s.io, shared_) && !s.io.broken();
    u64 const moved = s.io.moved() - std::exchange(s.seen, s.io.moved());
    s.deadline = std::min(s.deadline + moved * (second / slowest), net_->worker().now + patience_);
    if (!more) close(s);
  }
  static void conn_ready(sock& conn) {
    auto& s = *static_cast<slot*>(conn.sk_user_data);
    s.server->step(s);
    s.server->accept_all();
  }
  static void listener_ready(sock& listener) { static_cast<tcp_server*>(listener.sk_user_data)->accept_all(); }
  static constexpr sock_callbacks conn_callbacks{
      .data_ready = conn_ready, .write_space = conn_ready, .state_change = conn_ready};
  static constexpr sock_callbacks listener_callbacks{.data_ready = listener_ready};
  void accept_all() {
    while (fd_ >= 0) {
      auto const free = std::find_if(slots_.begin(), slots_.end(), [](slot const& s) { return !s.session; });
      if (free == slots_.end()) return;
      auto const fd = accept(*net_, fd_, nullptr, nullptr, sock_type::nonblock);
      if (!fd) return;
      free->server = this;
      free->io = {*net_, *fd};
      free->seen = 0;
      free->deadline = net_->worker().now + patience_;
      free->session.emplace();
      sock& sk = sock_of(*net_, *fd);
      sk.sk_user_data = &*free;
      sk.sk_callbacks = &conn_callbacks;
      if (!timer_pending(timer_)) arm();
      step(*free);  // it may have said something already
    }
  }
  void arm() { net_->worker().timers.mod_timer(timer_, net_->worker().now + second); }
  /// Once a second while there are connections: who is too slow goes, and who found no memory tries again.
  void tick() {
    bool busy = false;
    for (auto& s : slots_) {
      if (s.session && net_->worker().now >= s.deadline) {
        (void)setsockopt(*net_, s.io.fd(), sol::socket, so::linger, netstack::linger{.l_onoff = 1, .l_linger = 0});
        close(s);
      }
      if (s.session) step(s);
      busy = busy || s.session;
    }
    accept_all();
    if (busy && !timer_pending(timer_)) arm();
  }

 public:
  explicit tcp_server(Net& net) : net_(&net) {}
  tcp_server(tcp_server const&) = delete;
  tcp_server& operator=(tcp_server const&) = delete;
  ~tcp_server() {
    net_->worker().timers.del_timer(timer_);
    for (auto& s : slots_)
      if (s.session) close(s);
    if (fd_ >= 0) (void)netstack::close(*net_, fd_);
  }
  /// Serves this port of all addresses. Errors: those of socket(), bind() and listen().
  result<void> listen(u16 port, u32 patience_seconds) {
    auto const fd = socket(*net_, af::inet, sock_type::stream | sock_type::nonblock);
    if (!fd) return failure{fd.error()};
    fd_ = *fd;
    patience_ = patience_seconds * second;
    timer_.function = [](void*, timer_list& t) { from_timer<&tcp_server::timer_>(t).tick(); };
    if (auto r = setsockopt(*net_, fd_, sol::socket, so::reuseaddr, 1); !r) return r;
    if (auto r = bind(*net_, fd_, inet_addr_of(be32{}, port)); !r) return r;
    if (auto r = netstack::listen(*net_, fd_, 128); !r) return r;
    sock& sk = sock_of(*net_, fd_);
    sk.sk_user_data = this;
    sk.sk_callbacks = &listener_callbacks;
    return {};
  }
};

}  // namespace services
