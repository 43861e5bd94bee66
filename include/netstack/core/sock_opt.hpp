// SPDX-License-Identifier: BSL-1.0
// Decides: what SOL_SOCKET options mean, for sockets of every family. Buffer sizes are doubled, as Linux does, since a
// packet's truesize is charged and not its payload alone. [S48] [S100]
// called by socket/ setsockopt and getsockopt
// Linux: net/core/sock.c (sk_setsockopt, sk_getsockopt)
#pragma once
#include <algorithm>
#include <array>
#include <string_view>

#include "netstack/core/sock_alloc.hpp"

namespace netstack {

/// A privilege of a namespace's owner (Linux's capabilities); an embedder may take one away: netns_core::caps.
template <class Net>
[[nodiscard]] bool ns_capable(Net& net, u32 cap) {
  return (net_generic<net_core>(net).caps & cap) != 0;
}

namespace detail {

struct so_flag {
  int optname;
  sock_flags flag;
};
inline constexpr so_flag so_flags[]{
    so_flag{so::dontroute, sock_flags::localroute},
    so_flag{so::broadcast, sock_flags::broadcast},
    so_flag{so::keepalive, sock_flags::keepopen},
    so_flag{so::oobinline, sock_flags::urginline},
    so_flag{so::no_check, sock_flags::no_check_tx},
    so_flag{so::rxq_ovfl, sock_flags::rxq_ovfl},
    so_flag{so::select_err_queue, sock_flags::select_err_queue},
    so_flag{so::rcvmark, sock_flags::rcvmark},
};

/// Twice what was asked for, up to the namespace's maximum, but room for a packet at least. A negative wish is a very
/// large one, except to who may go beyond the maximum: there it is none.
constexpr u32 doubled_buffer(int wanted, s32 max, bool force, u32 min) {
  u32 const bytes =
      force ? static_cast<u32>(std::max(wanted, 0)) : std::min<u32>(static_cast<u32>(wanted), static_cast<u32>(max));
  return std::max(std::min<u32>(bytes, 0x3fff'ffff) * 2, min);
}

template <class Net>
result<void> set_buffer(Net& net, sock& sk, int optname, int val) {
  auto const& core = net_generic<net_core>(net);
  bool const force = optname == so::sndbufforce || optname == so::rcvbufforce;
  if (force && !ns_capable(net, cap::net_admin)) return failure{std::errc::operation_not_permitted};
  if (optname == so::sndbuf || optname == so::sndbufforce) {
    sock_set_flag(sk, sock_flags::sndbuf_lock);
    sk.sk_sndbuf = doubled_buffer(val, core.sysctl_wmem_max, force, sock_min_sndbuf);
    sk_wake_writer(net.worker().pool, sk);
  } else {
    sock_set_flag(sk, sock_flags::rcvbuf_lock);
    sk.sk_rcvbuf = doubled_buffer(val, core.sysctl_rmem_max, force, sock_min_rcvbuf);
  }
  return {};
}

inline result<void> set_timeout(u32& timeo, std::span<std::byte const> optval) {
  if (optval.size() < sizeof(timeval)) return failure{std::errc::invalid_argument};
  timeval tv;
  std::memcpy(&tv, optval.data(), sizeof tv);
  if (tv.tv_usec < 0 || tv.tv_usec >= 1'000'000) return failure{std::errc::argument_out_of_domain};
  constexpr s64 in_ms = sk_no_timeo / 1000 - 1, in_s = sk_no_timeo - 1, for_ever = 0x7fff'ffff'ffff'ffff / 1000;
  // Not less than was asked for: 24 days to the millisecond, 68 years to the second, and no longer than that.
  auto const up = [&](u32 unit) { return (static_cast<u32>(tv.tv_usec) + unit - 1) / unit; };
  if (tv.tv_sec < 0)
    timeo = 0;
  else if ((tv.tv_sec == 0 && tv.tv_usec == 0) || tv.tv_sec >= for_ever)
    timeo = sk_no_timeo;
  else if (tv.tv_sec < in_ms)
    timeo = static_cast<u32>(tv.tv_sec) * 1000 + up(1000);
  else
    timeo = sk_no_timeo + static_cast<u32>(std::min<s64>(tv.tv_sec + up(1'000'000), in_s));
  return {};
}

template <class Net>
result<void> bind_to_ifindex(Net& net, sock& sk, u32 ifindex) {
  if (sk.sk_bound_dev_if != 0 && !ns_capable(net, cap::net_raw)) return failure{std::errc::operation_not_permitted};
  sk.sk_bound_dev_if = ifindex;  // of a device that may come yet
  if (auto* rehash = sk_prot<Net>(sk).rehash) rehash(net, sk);
  sk_dst_reset(sk);
  return {};
}

template <class Net>
result<void> bind_to_device(Net& net, sock& sk, std::span<std::byte const> optval) {
  std::string_view name{reinterpret_cast<char const*>(optval.data()), std::min(optval.size(), ifnamsiz - 1)};
  name = name.substr(0, name.find('\0'));
  if (name.empty()) return bind_to_ifindex(net, sk, 0);
  auto* dev = net.dev_get_by_name(name);
  if (!dev) return failure{std::errc::no_such_device};
  return bind_to_ifindex(net, sk, dev->ifindex);
}

/// Four bytes, or eight of who knows that rates grew; all ones: no limit.
inline void set_max_pacing_rate(sock& sk, sock_rare& rare, std::span<std::byte const> optval) {
  u32 narrow;
  std::memcpy(&narrow, optval.data(), sizeof narrow);
  u64 rate = narrow == ~u32{0} ? pacing_unlimited : narrow;
  if (optval.size() >= sizeof rate) std::memcpy(&rate, optval.data(), sizeof rate);
  if (rate != pacing_unlimited) sk.sk_pacing_needed = true;
  rare.max_pacing_rate = rate;
  rare.pacing_rate = std::min(rare.pacing_rate, rate);
}

inline void set_timestamp(sock& sk, bool on, bool ns) {
  sock_valbool_flag(sk, sock_flags::rcvtstamp, on);
  sock_valbool_flag(sk, sock_flags::rcvtstampns, on && ns);
  sock_valbool_flag(sk, sock_flags::timestamp, on || (sk.sk_rare->tsflags & sof_timestamping::rx_software) != 0);
}

template <class Net>
result<void> set_timestamping(Net&, sock& sk, sock_rare& rare, int val) {
  auto const flags = static_cast<u32>(val);
  bool const stream_id = (flags & sof_timestamping::opt_id_tcp) != 0;
  if ((flags & ~sof_timestamping::mask) || (stream_id && !(flags & sof_timestamping::opt_id)))
    return failure{std::errc::invalid_argument};
  if (auto* const told = sk_prot<Net>(sk).timestamping) {
    if (auto r = told(sk, rare, flags); !r) return r;
  } else if (flags & ~rare.tsflags & sof_timestamping::opt_id) {
    rare.tskey = 0;
  }
  rare.tsflags = flags;
  sock_valbool_flag(sk, sock_flags::timestamping, val != 0);
  set_timestamp(sk, sock_flag(sk, sock_flags::rcvtstamp), sock_flag(sk, sock_flags::rcvtstampns));
  return {};
}

/// Options whose value is an int and whose effect is a line or two.
template <class Net>
result<void> set_int(Net& net, sock& sk, int optname, int val) {
  switch (optname) {
    case so::debug:
      if (val != 0 && !ns_capable(net, cap::net_admin)) return failure{std::errc::permission_denied};
      return sock_valbool_flag(sk, sock_flags::dbg, val != 0), result<void>{};
    case so::reuseaddr: sk.sk_reuse = val != 0; return {};
    case so::reuseport: sk.sk_reuseport = val != 0; return {};
    case so::sndbuf:
    case so::sndbufforce:
    case so::rcvbuf:
    case so::rcvbufforce: return set_buffer(net, sk, optname, val);
    case so::priority:
      if ((val < 0 || val > 6) && !ns_capable(net, cap::net_admin)) return failure{std::errc::operation_not_permitted};
      sk.sk_priority = static_cast<u32>(val);
      return {};
    case so::mark:
      if (!ns_capable(net, cap::net_admin)) return failure{std::errc::operation_not_permitted};
      sk.sk_mark = static_cast<u32>(val);
      sk_dst_reset(sk);
      return {};
    case so::rcvlowat:
      sk.sk_rcvlowat = val < 0 ? 0x7fff'ffff : static_cast<u32>(std::max(val, 1));
      if (auto* made_room = sk_prot<Net>(sk).rcvlowat_changed) made_room(net, sk);
      return {};
    case so::cnx_advice:
      if (val == 1) sk_dst_reset(sk);  // the way does not seem to be a good one
      return {};
    case so::buf_lock:
      if (val & ~3) return failure{std::errc::invalid_argument};
      sock_valbool_flag(sk, sock_flags::sndbuf_lock, (val & 1) != 0);
      sock_valbool_flag(sk, sock_flags::rcvbuf_lock, (val & 2) != 0);
      return {};
    case so::bsdcompat: return {};
    case so::passcred:
    case so::passsec:
    case so::passpidfd:
    case so::passrights: return failure{std::errc::operation_not_supported};  // AF_UNIX alone has them
    case so::bindtoifindex:
      if (val < 0) return failure{std::errc::invalid_argument};
      return bind_to_ifindex(net, sk, static_cast<u32>(val));
    default: return failure{std::errc::no_protocol_option};  // so::type, domain, protocol, error … are read only
  }
}

/// Options that few ask for: sock_rare.
template <class Net>
result<void> set_rare(Net& net, sock& sk, int optname, int val, std::span<std::byte const> optval) {
  sock_rare* const rare = sk_rare_of(net, sk);
  if (!rare) return failure{std::errc::no_protocol_option};
  switch (optname) {
    case so::max_pacing_rate: return set_max_pacing_rate(sk, *rare, optval), result<void>{};
    case so::rcvtimeo:
    case so::rcvtimeo_new: return set_timeout(rare->rcvtimeo, optval);
    case so::sndtimeo:
    case so::sndtimeo_new: return set_timeout(rare->sndtimeo, optval);
    case so::timestamp:
    case so::timestampns: return set_timestamp(sk, val != 0, optname == so::timestampns), result<void>{};
    case so::timestamping: return set_timestamping(net, sk, *rare, val);
    case so::peek_off:
      rare->peek_off = val;
      return sock_valbool_flag(sk, sock_flags::peek_offset, val >= 0), result<void>{};
    case so::busy_poll:
      if (val < 0) return failure{std::errc::invalid_argument};
      if (static_cast<u32>(val) > rare->ll_usec && !ns_capable(net, cap::net_admin))
        return failure{std::errc::operation_not_permitted};
      rare->ll_usec = static_cast<u32>(val);
      rare->napi_id = 0;
      return sock_valbool_flag(sk, sock_flags::busy_poll, val != 0), result<void>{};
    case so::incoming_cpu: rare->incoming_cpu = val; return {};
    case so::linger: {
      if (optval.size() < sizeof(linger)) return failure{std::errc::invalid_argument};
      linger ling;
      std::memcpy(&ling, optval.data(), sizeof ling);
      sock_valbool_flag(sk, sock_flags::linger, ling.l_onoff != 0);
      if (ling.l_onoff) rare->lingertime = static_cast<u32>(ling.l_linger);  // a negative one is for ever, nearly
      return {};
    }
    default: return failure{std::errc::no_protocol_option};
  }
}

template <class T>
u32 put_opt(std::span<std::byte> out, T const& value) {
  auto const n = std::min(out.size(), sizeof value);
  if (n > 0) std::memcpy(out.data(), &value, n);  // no room may lie at null
  return static_cast<u32>(n);
}

inline timeval to_timeval(u32 timeo) {
  if (timeo >= sk_no_timeo) return {static_cast<time_t>(timeo - sk_no_timeo), 0};
  return {static_cast<time_t>(timeo / 1000), static_cast<suseconds_t>(timeo % 1000 * 1000)};
}

inline result<int> get_int(sock& sk, int optname) {
  switch (optname) {
    case so::debug: return sock_flag(sk, sock_flags::dbg);
    case so::reuseaddr: return sk.sk_reuse;
    case so::reuseport: return sk.sk_reuseport;
    case so::type: return sk.sk_type;
    case so::domain: return sk.sk_family;
    case so::protocol: return sk.sk_protocol;
    case so::error: {
      int const err = sk.sk_err != 0 ? sk.sk_err : sk.sk_err_soft;
      (sk.sk_err != 0 ? sk.sk_err : sk.sk_err_soft) = 0;
      return err;
    }
    case so::sndbuf: return static_cast<int>(sk.sk_sndbuf);
    case so::rcvbuf: return static_cast<int>(sk.sk_rcvbuf);
    case so::priority: return static_cast<int>(sk.sk_priority);
    case so::mark: return static_cast<int>(sk.sk_mark);
    case so::rcvlowat: return static_cast<int>(sk.sk_rcvlowat);
    case so::sndlowat: return 1;
    case so::timestamp: return sock_flag(sk, sock_flags::rcvtstamp) && !sock_flag(sk, sock_flags::rcvtstampns);
    case so::timestampns: return sock_flag(sk, sock_flags::rcvtstampns);
    case so::acceptconn: return sk.sk_state == tcp_state::listen;
    case so::peek_off: return sk.sk_rare->peek_off;
    case so::busy_poll: return static_cast<int>(sk.sk_rare->ll_usec);
    case so::incoming_cpu: return sk.sk_rare->incoming_cpu;
    case so::incoming_napi_id: return static_cast<int>(sk.sk_rare->napi_id);
    case so::buf_lock: return sock_flag(sk, sock_flags::sndbuf_lock) | sock_flag(sk, sock_flags::rcvbuf_lock) << 1;
    case so::bsdcompat: return 0;
    case so::passcred:
    case so::passsec:
    case so::passpidfd:
    case so::passrights: return failure{std::errc::operation_not_supported};
    case so::peergroups:
    case so::peerpidfd: return failure{std::errc::no_message_available};
    case so::bindtoifindex: return static_cast<int>(sk.sk_bound_dev_if);
    default: break;
  }
  for (auto const& row : so_flags)
    if (row.optname == optname) return sock_flag(sk, row.flag);
  return failure{std::errc::no_protocol_option};
}

/// SO_MEMINFO, Linux's SK_MEMINFO_*.
template <class Net>
std::array<u32, 9> sk_get_meminfo(sock const& sk) {
  auto* const queued = sk_prot<Net>(sk).wmem_queued;
  return {sk.sk_rmem_alloc,
          sk.sk_rcvbuf,
          sk_wmem_alloc_get(sk),
          sk.sk_sndbuf,
          static_cast<u32>(sk.sk_forward_alloc),
          queued ? queued(sk) : 0,
          0,  // what options take lies elsewhere
          sk.sk_backlog_len,
          sk.sk_drops};
}

}  // namespace detail

/// Errors: invalid_argument (too short), no_protocol_option (unknown, or read only), operation_not_permitted,
/// no_such_device, argument_out_of_domain (a timeout's microseconds).
template <class Net>
result<void> sock_setsockopt(Net& net, sock& sk, int optname, std::span<std::byte const> optval) {
  if (optname == so::bindtodevice) return detail::bind_to_device(net, sk, optval);
  if (optval.size() < sizeof(int)) return failure{std::errc::invalid_argument};
  int val;
  std::memcpy(&val, optval.data(), sizeof val);
  if (optname == so::keepalive)
    if (auto* keepalive = sk_prot<Net>(sk).keepalive) keepalive(net, sk, val != 0);
  for (auto const& row : detail::so_flags)
    if (row.optname == optname) return sock_valbool_flag(sk, row.flag, val != 0), result<void>{};
  switch (optname) {
    case so::max_pacing_rate:
    case so::rcvtimeo:
    case so::rcvtimeo_new:
    case so::sndtimeo:
    case so::sndtimeo_new:
    case so::timestamp:
    case so::timestampns:
    case so::timestamping:
    case so::peek_off:
    case so::busy_poll:
    case so::incoming_cpu:
    case so::linger: return detail::set_rare(net, sk, optname, val, optval);
    default: return detail::set_int(net, sk, optname, val);
  }
}

/// Answers the bytes written, at most out.size(). Errors: no_protocol_option; invalid_argument (no room for a name).
template <class Net>
result<u32> sock_getsockopt(Net& net, sock& sk, int optname, std::span<std::byte> out) {
  switch (optname) {
    case so::linger:
      return detail::put_opt(out, linger{sock_flag(sk, sock_flags::linger), static_cast<int>(sk.sk_rare->lingertime)});
    case so::timestamping:
      return detail::put_opt(out, std::array{static_cast<int>(sk.sk_rare->tsflags), 0});  // and no clock
    case so::max_pacing_rate:
      if (out.size() >= sizeof sk.sk_rare->max_pacing_rate) return detail::put_opt(out, sk.sk_rare->max_pacing_rate);
      return detail::put_opt(out, static_cast<u32>(std::min<u64>(sk.sk_rare->max_pacing_rate, ~u32{0})));
    case so::rcvtimeo:
    case so::rcvtimeo_new: return detail::put_opt(out, detail::to_timeval(sk.sk_rare->rcvtimeo));
    case so::sndtimeo:
    case so::sndtimeo_new: return detail::put_opt(out, detail::to_timeval(sk.sk_rare->sndtimeo));
    case so::peercred: return detail::put_opt(out, std::array<u32, 3>{0, ~0u, ~0u});  // nobody's: it has no process
    case so::meminfo: return detail::put_opt(out, detail::sk_get_meminfo<Net>(sk));
    case so::netns_cookie:
      if (out.size() != sizeof(u64)) return failure{std::errc::invalid_argument};
      return detail::put_opt(out, u64{net.index} + 1);
    case so::bindtodevice: {
      auto* dev = sk.sk_bound_dev_if ? net.dev_get_by_index(sk.sk_bound_dev_if) : nullptr;
      if (!dev) return u32{0};
      if (out.size() < ifnamsiz) return failure{std::errc::invalid_argument};
      std::memcpy(out.data(), dev->name, dev->ifname().size() + 1);
      return static_cast<u32>(dev->ifname().size() + 1);
    }
    default: break;
  }
  auto const val = detail::get_int(sk, optname);
  if (!val) return failure{val.error()};
  return detail::put_opt(out, *val);
}

}  // namespace netstack
