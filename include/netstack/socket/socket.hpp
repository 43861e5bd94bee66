// SPDX-License-Identifier: BSL-1.0
// Decides: the socket calls. They have the shape and the errnos of BSD's and Linux's, take the namespace first, and
// answer result<…>. A handle belongs to the worker of `net` and to the namespace it was made in. A call that must wait
// drives the worker (core/sock_wait.hpp); from inside a handler or a callback it answers resource_deadlock_would_occur.
// A null pointer where bytes are to be is bad_address, and changes nothing.
// tx: called by the application → net_families, proto_ops → proto
// Linux: net/socket.c [S27] [S107] [S113] [S114]
#pragma once
#include <poll.h>

#include "netstack/core/sock_opt.hpp"
#include "netstack/socket/enter.hpp"
#include "netstack/socket/sockfs.hpp"

namespace netstack {

namespace detail {

/// with_socket, as part of its caller.
template <class Net, class F>
NETSTACK_INLINE auto __with_socket(Net& net, int fd, F&& f) -> decltype(f(net, std::declval<sockfs::socket&>())) {
  enter(net.worker());
  sockfs::socket* handle = sockfs::table_of(net).find(fd);
  if (!handle || !handle->sk) return failure{std::errc::bad_file_descriptor};
  sock& sk = *handle->sk;
  sock_hold(sk);
  auto r = f(sockfs::net_of<Net>(*handle), *handle);
  sock_put(sk);
  return r;
}
/// Runs f(net, handle) on an open handle, with the sock kept alive until it returns, whatever a callback closes.
template <class Net, class F>
auto with_socket(Net& net, int fd, F&& f) -> decltype(f(net, std::declval<sockfs::socket&>())) {
  return __with_socket(net, fd, std::forward<F>(f));
}

/// Nothing can lie at a null pointer.
inline bool bad_address(void const* at, std::size_t len) { return !at && len != 0; }
inline bool bad_address(std::span<iovec const> parts) {
  if (parts.size() == 1) [[likely]]
    return bad_address(parts.front().iov_base, parts.front().iov_len);
  for (auto const& part : parts)
    if (bad_address(part.iov_base, part.iov_len)) return true;
  return false;
}

/// Copies a name into the caller's buffer, cut to its room; the length it really has is the answer.
inline void move_addr_to_user(sockaddr_storage const& name, u32 len, void* out, u32* outlen) {
  std::memcpy(out, &name, std::min(len, *outlen));
  *outlen = len;
}

}  // namespace detail

/// A new handle: the lowest free number. `type` may carry sock_type::nonblock. Errors:
/// address_family_not_supported, invalid_argument (type or flags), ESOCKTNOSUPPORT, protocol_not_supported,
/// operation_not_permitted, too_many_files_open_in_system (no free handle), not_enough_memory (no free sock).
template <class Net>
result<int> socket(Net& net, int family, u32 type, int protocol = 0) {
  enter(net.worker());
  u32 const flags = type & ~sock_type::mask;
  type &= sock_type::mask;
  if (flags & ~(sock_type::nonblock | sock_type::cloexec)) return failure{std::errc::invalid_argument};
  auto const* pf = family < 0 ? nullptr : Net::net_families[static_cast<u32>(family)];
  if (!pf) return failure{std::errc::address_family_not_supported};
  if (type >= sock_type::max) return failure{std::errc::invalid_argument};
  auto& table = sockfs::table_of(net);
  if (!table.mounted()) return failure{std::errc::no_such_device};
  sockfs::socket* handle = table.alloc();
  if (!handle) return failure{std::errc::too_many_files_open_in_system};
  handle->type = static_cast<u16>(type);
  handle->family = static_cast<u16>(family);
  handle->nonblock = (flags & sock_type::nonblock) != 0;
  handle->net = &net;
  if (auto r = pf->create(net, *handle, protocol, false); !r) {
    table.free(*handle);
    return failure{r.error()};
  }
  return handle->fd;
}

/// Errors: bad_file_descriptor. Unread packets are dropped; what was sent is still sent.
template <class Net>
result<void> close(Net& net, int fd) {
  return detail::with_socket(net, fd, [](Net& home, sockfs::socket& s) { return sockfs::release(home, s); });
}

template <class Net>
result<void> bind(Net& net, int fd, sockaddr_view addr) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<void> {
    if (detail::bad_address(addr.data(), addr.size())) return failure{std::errc::bad_address};
    return sockfs::ops_of<Net>(s).bind(home, s, addr);
  });
}
template <class Net>
result<void> connect(Net& net, int fd, sockaddr_view addr) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<void> {
    if (detail::bad_address(addr.data(), addr.size())) return failure{std::errc::bad_address};
    return sockfs::ops_of<Net>(s).connect(home, s, addr, s.nonblock);
  });
}
/// backlog is cut to sysctl net/core/somaxconn; a negative one asks for as many as that.
template <class Net>
result<void> listen(Net& net, int fd, int backlog) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) {
    s32 const most = net_generic<net_core>(home).sysctl_somaxconn;
    return sockfs::ops_of<Net>(s).listen(home, s, backlog < 0 || backlog > most ? most : backlog);
  });
}
/// A handle for the next connection. Errors: operation_not_supported, too_many_files_open_in_system, the family's.
template <class Net>
result<int> accept(Net& net, int fd, void* addr = nullptr, u32* addrlen = nullptr, u32 flags = 0) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<int> {
    if (flags & ~(sock_type::nonblock | sock_type::cloexec)) return failure{std::errc::invalid_argument};
    if (addr && !addrlen) return failure{std::errc::bad_address};
    sockfs::socket* newsock = sockfs::table_of(home).alloc();
    if (!newsock) return failure{std::errc::too_many_files_open_in_system};
    newsock->type = s.type;
    newsock->family = s.family;
    newsock->net = s.net;
    newsock->nonblock = (flags & sock_type::nonblock) != 0;
    auto const& ops = sockfs::ops_of<Net>(s);
    auto r = ops.accept(home, s, *newsock, s.nonblock);
    sockaddr_storage name;
    if (r && addr) {
      if (auto len = ops.getname(home, *newsock, name, true))
        detail::move_addr_to_user(name, *len, addr, addrlen);
      else
        r = failure{std::errc::connection_aborted};
    }
    if (r) return newsock->fd;
    (void)sockfs::release(home, *newsock);
    return failure{r.error()};
  });
}
template <class Net>
result<void> shutdown(Net& net, int fd, int how) {
  return detail::with_socket(
      net, fd, [&](Net& home, sockfs::socket& s) { return sockfs::ops_of<Net>(s).shutdown(home, s, how); });
}
template <class Net>
result<void> socketpair(Net& net, int family, u32 type, int protocol, int (&fds)[2]) {
  auto const a = socket(net, family, type, protocol);
  if (!a) return failure{a.error()};
  auto const b = socket(net, family, type, protocol);
  auto r =
      b ? detail::with_socket(net, *a,
                              [&](Net& home, sockfs::socket& s) {
                                return sockfs::ops_of<Net>(s).socketpair(home, s, *sockfs::table_of(home).find(*b));
                              })
        : result<void>{failure{b.error()}};
  if (r) return fds[0] = *a, fds[1] = *b, r;
  (void)close(net, *a);
  if (b) (void)close(net, *b);
  return r;
}

/// The local (or the peer's) address. `T` is filled as far as the address goes; addresses of IPv4 are sockaddr_in.
template <class T = sockaddr_in, class Net>
result<T> getsockname(Net& net, int fd, bool peer = false) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<T> {
    sockaddr_storage name;
    auto const len = sockfs::ops_of<Net>(s).getname(home, s, name, peer);
    if (!len) return failure{len.error()};
    return sockaddr_view{&name, *len}.template as<T>();
  });
}
template <class T = sockaddr_in, class Net>
result<T> getpeername(Net& net, int fd) {
  return getsockname<T>(net, fd, true);
}

namespace detail {
/// sendmsg for a caller that needs m no more: copying what was just built would wait for its small stores.
template <class Net>
result<std::size_t> sendmsg_once(Net& net, int fd, msghdr& m) {
  return with_socket(net, fd, [&](Net& home, sockfs::socket& sock) -> result<std::size_t> {
    if (bad_address(m.msg_iov)) [[unlikely]]
      return failure{std::errc::bad_address};
    if (sock.nonblock) m.msg_flags |= msg::dontwait;
    return sockfs::ops_of<Net>(sock).sendmsg(home, sock, m);
  });
}
/// send(): what there is to say passes in registers, and becomes a msghdr behind the handle.
template <class Net>
NETSTACK_NOINLINE result<std::size_t> send_piece(Net& net, int fd, void const* buf, std::size_t len, u32 flags) {
  return __with_socket(net, fd, [&](Net& home, sockfs::socket& sock) NETSTACK_INLINE_LAMBDA -> result<std::size_t> {
    if (bad_address(buf, len)) [[unlikely]]
      return failure{std::errc::bad_address};
    iovec const part{const_cast<void*>(buf), len};
    msghdr m{.msg_iov = {&part, 1}, .msg_flags = sock.nonblock ? flags | msg::dontwait : flags};
    return sockfs::ops_of<Net>(sock).sendmsg(home, sock, m);
  });
}
/// recv(), likewise.
template <class Net>
NETSTACK_NOINLINE result<std::size_t> recv_piece(Net& net, int fd, void* buf, std::size_t len, u32 flags) {
  return __with_socket(net, fd, [&](Net& home, sockfs::socket& sock) NETSTACK_INLINE_LAMBDA -> result<std::size_t> {
    if (bad_address(buf, len)) [[unlikely]]
      return failure{std::errc::bad_address};
    iovec const part{buf, len};
    msghdr m{.msg_iov = {&part, 1}};
    return sockfs::ops_of<Net>(sock).recvmsg(home, sock, m, sock.nonblock ? flags | msg::dontwait : flags);
  });
}
}  // namespace detail

/// Sends by m; m.msg_flags are msg:: flags. Answers the bytes taken.
template <class Net>
result<std::size_t> sendmsg(Net& net, int fd, msghdr const& m) {
  msghdr copy = m;
  return detail::sendmsg_once(net, fd, copy);
}
template <class Net>
result<std::size_t> sendto(Net& net, int fd, void const* buf, std::size_t len, u32 flags, sockaddr_view to) {
  iovec const part{const_cast<void*>(buf), len};
  msghdr m{
      .msg_name = const_cast<void*>(to.data()), .msg_namelen = to.size(), .msg_iov = {&part, 1}, .msg_flags = flags};
  return detail::sendmsg_once(net, fd, m);
}
template <class Net>
result<std::size_t> send(Net& net, int fd, void const* buf, std::size_t len, u32 flags = 0) {
  return detail::send_piece(net, fd, buf, len, flags);
}
template <class Net>
result<std::size_t> write(Net& net, int fd, void const* buf, std::size_t len) {
  return send(net, fd, buf, len);
}

/// Receives into m: its buffers, name and control room; what was received is told in msg_namelen, msg_controllen and
/// msg_flags. Answers the bytes copied.
template <class Net>
result<std::size_t> recvmsg(Net& net, int fd, msghdr& m, u32 flags = 0) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<std::size_t> {
    if (detail::bad_address(m.msg_iov)) [[unlikely]]
      return failure{std::errc::bad_address};
    return sockfs::ops_of<Net>(s).recvmsg(home, s, m, s.nonblock ? flags | msg::dontwait : flags);
  });
}
template <class Net>
result<std::size_t> recvfrom(Net& net, int fd, void* buf, std::size_t len, u32 flags, void* from, u32* fromlen) {
  if (from && !fromlen) return failure{std::errc::bad_address};
  iovec const part{buf, len};
  msghdr m{.msg_name = from, .msg_namelen = fromlen ? *fromlen : 0, .msg_iov = {&part, 1}};
  auto r = recvmsg(net, fd, m, flags);
  if (r && fromlen) *fromlen = m.msg_namelen;
  return r;
}
template <class Net>
result<std::size_t> recvfrom(Net& net, int fd, void* buf, std::size_t len, u32 flags, sockaddr_in& from) {
  u32 fromlen = sizeof from;
  return recvfrom(net, fd, buf, len, flags, &from, &fromlen);
}
template <class Net>
result<std::size_t> recv(Net& net, int fd, void* buf, std::size_t len, u32 flags = 0) {
  return detail::recv_piece(net, fd, buf, len, flags);
}
template <class Net>
result<std::size_t> read(Net& net, int fd, void* buf, std::size_t len) {
  return recv(net, fd, buf, len);
}

/// The bytes of a packet that the caller keeps: sent without a system copy where the proto can.
template <class Net>
result<std::size_t> sendpage(Net& net, int fd, sk_buff& page, u32 offset, std::size_t size, u32 flags = 0) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) {
    return sockfs::ops_of<Net>(s).sendpage(home, s, page, offset, size, s.nonblock ? flags | msg::dontwait : flags);
  });
}
template <class Net>
result<void*> mmap(Net& net, int fd, std::size_t bytes) {
  return detail::with_socket(net, fd,
                             [&](Net& home, sockfs::socket& s) { return sockfs::ops_of<Net>(s).mmap(home, s, bytes); });
}

template <class Net>
result<int> ioctl(Net& net, int fd, u32 cmd, void* arg) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<int> {
    if (!arg) return failure{std::errc::bad_address};
    if (cmd != sioc::fionbio) return sockfs::ops_of<Net>(s).ioctl(home, s, cmd, arg);
    int on;
    std::memcpy(&on, arg, sizeof on);
    s.nonblock = on != 0;
    return 0;
  });
}

template <class Net>
result<void> setsockopt(Net& net, int fd, int level, int optname, void const* optval, std::size_t optlen) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<void> {
    if (detail::bad_address(optval, optlen)) return failure{std::errc::bad_address};
    std::span const value{static_cast<std::byte const*>(optval), optlen};
    flow_genid_bump(home.worker().softnet);  // whose packets it gets, and from where
    return level == sol::socket ? sock_setsockopt(home, *s.sk, optname, value)
                                : sockfs::ops_of<Net>(s).setsockopt(home, s, level, optname, value);
  });
}
template <class Net, class T>
requires(std::is_trivially_copyable_v<T> &&
         !std::is_pointer_v<T>) result<void> setsockopt(Net& net, int fd, int level, int optname, T const& value) {
  return setsockopt(net, fd, level, optname, &value, sizeof value);
}
namespace detail {
/// SO_COOKIE, whole or not at all.
inline result<u32> get_cookie(sockfs::socket const& sock, std::span<std::byte> out) {
  if (out.size() < sizeof sock.i_ino) return failure{std::errc::invalid_argument};
  return put_opt(out, sock.i_ino);
}
/// SO_PEERNAME: as much of the name as there is room for, and no more room than it takes.
template <class Net>
result<u32> get_peername(Net& net, sockfs::socket& sock, std::span<std::byte> out) {
  sockaddr_storage name;
  auto const len = sockfs::ops_of<Net>(sock).getname(net, sock, name, true);
  if (!len) return failure{std::errc::not_connected};
  if (out.size() > *len) return failure{std::errc::invalid_argument};
  return put_opt(out, name);
}
}  // namespace detail

/// *optlen: the room, then the bytes written.
template <class Net>
result<void> getsockopt(Net& net, int fd, int level, int optname, void* optval, u32* optlen) {
  return detail::with_socket(net, fd, [&](Net& home, sockfs::socket& s) -> result<void> {
    if (!optlen || detail::bad_address(optval, *optlen)) return failure{std::errc::bad_address};
    if (*optlen > 0x7fff'ffff) return failure{std::errc::invalid_argument};
    std::span const out{static_cast<std::byte*>(optval), *optlen};
    auto const n = level != sol::socket      ? sockfs::ops_of<Net>(s).getsockopt(home, s, level, optname, out)
                   : optname == so::cookie   ? detail::get_cookie(s, out)
                   : optname == so::peername ? detail::get_peername(home, s, out)
                                             : sock_getsockopt(home, *s.sk, optname, out);
    if (!n) return failure{n.error()};
    *optlen = *n;
    return {};
  });
}
template <class T = int, class Net>
requires std::is_trivially_copyable_v<T> result<T> getsockopt(Net& net, int fd, int level, int optname) {
  T value{};
  u32 len = sizeof value;
  if (auto r = getsockopt(net, fd, level, optname, &value, &len); !r) return failure{r.error()};
  return value;
}

/// What fstat() tells of a socket: its unique inode number, as /proc/net/udp shows it. [S27]
struct kstat {
  u64 ino = 0;
  u32 mode = 0140777;  ///< S_IFSOCK | rwxrwxrwx
  u32 nlink = 1;
  u32 blksize = 4096;
  u64 size = 0;
};
template <class Net>
result<kstat> fstat(Net& net, int fd) {
  return detail::with_socket(net, fd, [](Net&, sockfs::socket& s) -> result<kstat> { return kstat{.ino = s.i_ino}; });
}

using ::pollfd;  // a negative fd is left out; events and revents hold poll_ev bits, which are the system's own
/// How many of fds have an event; waits for the first, at most timeout_ns (no_timeout: for ever). poll_ev::err, hup and
/// nval are told unasked. Errors: resource_deadlock_would_occur.
template <class Net>
result<int> poll(Net& net, std::span<pollfd> fds, u64 timeout_ns) {
  enter(net.worker());
  int found = 0;
  auto const scan = [&] {
    found = 0;
    for (auto& p : fds) {
      p.revents = 0;
      if (p.fd < 0) continue;
      sockfs::socket* s = sockfs::table_of(net).find(p.fd);
      u32 const mask = s ? sockfs::ops_of<Net>(*s).poll(sockfs::net_of<Net>(*s), *s) : poll_ev::nval;
      p.revents = static_cast<short>(mask & (static_cast<u32>(p.events) | poll_ev::err | poll_ev::hup | poll_ev::nval));
      found += p.revents != 0;
    }
    return found > 0;
  };
  auto const r = drive_until(net, timeout_ns, 0, 0, scan);
  if (!r && r.error() == std::errc::resource_deadlock_would_occur) return failure{r.error()};
  return found;
}

}  // namespace netstack
