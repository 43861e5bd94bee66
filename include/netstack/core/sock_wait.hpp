// SPDX-License-Identifier: BSL-1.0
// Decides: what "blocking" means where nobody else can run the stack: the call drives its worker until its condition
// holds, the socket's timeout is over, or the socket is gone. From inside a handler or a callback that would never
// return, so it is refused.
// Linux: net/core/datagram.c (__skb_wait_for_more_packets), net/core/sock.c (sock_wait_for_wmem)
#pragma once
#include <algorithm>

#include "netstack/core/sock_mem.hpp"

namespace netstack {

/// Drives the worker until ready(). timeo in ns: 0 does not wait, no_timeout waits for ever. busy_ns: how long to poll
/// before sleeping (SO_BUSY_POLL); napi_id: whose turn comes first in that time, 0: nobody's. Errors:
/// resource_unavailable_try_again (timeout), resource_deadlock_would_occur (inside a callback).
template <class Net, class Ready>
result<void> drive_until(Net& net, u64 timeo, u64 busy_ns, u32 napi_id, Ready&& ready) {
  if (ready()) return {};
  if (timeo == 0) return failure{std::errc::resource_unavailable_try_again};
  auto& worker = net.worker();
  if (worker.polling) return failure{std::errc::resource_deadlock_would_occur};
  worker.refresh_clock();
  u64 const start = worker.now;
  for (;;) {
    u32 work = napi_id != 0 ? worker.busy_poll(napi_id, 64) : 0;
    if (work != 0 && ready()) return {};
    work += worker.poll();
    if (ready()) return {};
    u64 const waited = worker.now - start;
    if (timeo != no_timeout && waited >= timeo) return failure{std::errc::resource_unavailable_try_again};
    if (work == 0 && waited >= busy_ns) worker.wait(timeo == no_timeout ? no_timeout : timeo - waited);
  }
}

/// drive_until on behalf of a socket, which stays alive meanwhile. Errors: drive_until's; bad_file_descriptor when it
/// was closed in between.
template <class Net, class Ready>
result<void> sk_wait_event(Net& net, sock& sk, u64 timeo, u64 busy_ns, Ready&& ready) {
  sock_hold(sk);
  u32 const napi_id = busy_ns != 0 ? sk.sk_rare->napi_id : 0;
  auto r = drive_until(net, timeo, busy_ns, napi_id, [&] { return sock_flag(sk, sock_flags::dead) || ready(); });
  if (sock_flag(sk, sock_flags::dead)) r = failure{std::errc::bad_file_descriptor};
  sock_put(sk);
  return r;
}

/// A socket's timeout in ns.
[[nodiscard]] constexpr u64 sk_timeo_ns(u32 timeo) {
  if (timeo < sk_no_timeo) return u64{timeo} * 1'000'000;
  return timeo == sk_no_timeo ? no_timeout : u64{timeo - sk_no_timeo} * 1'000'000'000;
}
/// The wait of a call: none if it asked for msg::dontwait.
[[nodiscard]] inline u64 sock_rcvtimeo(sock const& sk, u32 flags) {
  return flags & msg::dontwait ? 0 : sk_timeo_ns(sk.sk_rare->rcvtimeo);
}
[[nodiscard]] inline u64 sock_sndtimeo(sock const& sk, u32 flags) {
  return flags & msg::dontwait ? 0 : sk_timeo_ns(sk.sk_rare->sndtimeo);
}

/// Nothing keeps the socket from sending another packet now.
[[nodiscard]] inline bool sock_may_send(sock const& sk) {
  return sk.sk_err == 0 && !(sk.sk_shutdown & send_shutdown) && sk_wmem_alloc_get(sk) < sk.sk_sndbuf;
}

/// Waits until the socket may send another packet. Errors: those of sk_wait_event, broken_pipe after shutdown for
/// writing, and the socket's pending error.
template <class Net>
result<void> sock_wait_for_wmem(Net& net, sock& sk, u64 timeo) {
  if (auto r = sock_error(sk); !r) return r;
  if (sk.sk_shutdown & send_shutdown) return failure{std::errc::broken_pipe};
  if (sk_wmem_alloc_get(sk) < sk.sk_sndbuf) [[likely]]
    return {};
  auto const ready = [&] {
    return sk_wmem_alloc_get(sk) < sk.sk_sndbuf || sk.sk_err != 0 || (sk.sk_shutdown & send_shutdown) != 0;
  };
  if (auto r = sk_wait_event(net, sk, timeo, 0, ready); !r) return r;
  if (auto r = sock_error(sk); !r) return r;
  if (sk.sk_shutdown & send_shutdown) return failure{std::errc::broken_pipe};
  return {};
}

/// A packet charged to the socket, with `headroom` free bytes before its data. Errors: those of sock_wait_for_wmem;
/// no_buffer_space when the pool is empty.
template <class Net>
result<sk_buff*> sock_alloc_send_skb(Net& net, sock& sk, u32 headroom, u64 timeo) {
  if (auto r = sock_wait_for_wmem(net, sk, timeo); !r) return failure{r.error()};
  sk_buff* skb = net.worker().pool.alloc_skb(headroom);
  if (!skb) [[unlikely]]
    return failure{std::errc::no_buffer_space};
  skb_set_owner_w(*skb, sk);
  return skb;
}

}  // namespace netstack
