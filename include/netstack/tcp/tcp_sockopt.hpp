// SPDX-License-Identifier: BSL-1.0
// Decides: what the options of level SOL_TCP mean. Those of other levels are IP's.
// called by sk_prot's setsockopt, getsockopt, keepalive
// Linux: net/ipv4/tcp.c (do_tcp_setsockopt, do_tcp_getsockopt) [S92]
#pragma once
#include "netstack/ipv4/ip_sockopt.hpp"
#include "netstack/tcp/tcp_close.hpp"

namespace netstack {

/// proto::keepalive.
template <class Net>
void tcp_set_keepalive(Net& net, sock& sk, bool on) {
  if (tcp_in_state(sk, tcp_state::close, tcp_state::listen)) return;
  if (!on) return inet_csk_delete_keepalive_timer(net, sk);
  if (sock_flag(sk, sock_flags::keepopen)) return;
  sock_set_flag(sk, sock_flags::keepopen);
  tcp_start_keepalive(net, sk);
}

namespace detail {

inline constexpr int max_tcp_keepidle = 32767, max_tcp_keepintvl = 32767, max_tcp_keepcnt = 127, max_tcp_syncnt = 127;

template <class Net>
result<void> tcp_set_keepidle(Net& net, sock& sk, int val) {
  if (val < 1 || val > max_tcp_keepidle) return failure{std::errc::invalid_argument};
  auto& tp = tcp_sk(sk);
  tp.keepalive_time = static_cast<u32>(val);
  if (sock_flag(sk, sock_flags::keepopen) && !tcp_in_state(sk, tcp_state::close, tcp_state::listen)) {
    u64 const silent = net.worker().now - std::max(tp.rcv_tstamp, tp.lrcvtime),
              idle = u64{tp.keepalive_time} * 1'000'000'000;
    inet_csk_reset_keepalive_timer(net, sk, idle > silent ? idle - silent : 0);
  }
  return {};
}
inline result<void> tcp_set_bounded(int val, int most, auto& field) {
  if (val < 1 || val > most) return failure{std::errc::invalid_argument};
  field = static_cast<std::remove_reference_t<decltype(field)>>(val);
  return {};
}

template <class Net>
result<void> tcp_set_int(Net& net, sock& sk, int optname, int val) {
  auto& tp = tcp_sk(sk);
  switch (optname) {
    case tcp_opt::nodelay:
      tp.nonagle = static_cast<u8>(val ? tp.nonagle | tcp_nagle::off : tp.nonagle & ~tcp_nagle::off);
      if (val) tcp_push_pending_frames(net, sk);
      return {};
    case tcp_opt::cork:
      tp.nonagle = static_cast<u8>(val ? tp.nonagle | tcp_nagle::cork : tp.nonagle & ~tcp_nagle::cork);
      if (!val && tp.send_head) __tcp_push_pending_frames(net, sk, tcp_current_mss(net, sk), tcp_nagle::push);
      return {};
    case tcp_opt::maxseg:
      if (val != 0 && (val < static_cast<int>(tcp_min_mss) || val > 32767)) return failure{std::errc::invalid_argument};
      tp.user_mss = static_cast<u16>(val);
      return {};
    case tcp_opt::keepidle: return tcp_set_keepidle(net, sk, val);
    case tcp_opt::keepintvl: return tcp_set_bounded(val, max_tcp_keepintvl, tp.keepalive_intvl);
    case tcp_opt::keepcnt: return tcp_set_bounded(val, max_tcp_keepcnt, tp.keepalive_probes);
    case tcp_opt::syncnt: return tcp_set_bounded(val, max_tcp_syncnt, tp.icsk_syn_retries);
    case tcp_opt::linger2: tp.linger2 = val < 0 ? -1 : val > 120 ? 120 : val; return {};
    case tcp_opt::window_clamp:
      if (val == 0 && sk.sk_state != tcp_state::close) return failure{std::errc::invalid_argument};
      tp.window_clamp = val <= 0 ? 0x3fff'ffff : std::max<u32>(static_cast<u32>(val), sock_min_rcvbuf / 2);
      return {};
    case tcp_opt::quickack:
      if (val == 0) return tp.pingpong = true, result<void>{};
      tcp_enter_quickack_mode(tp, tcp_max_quickacks);
      if (tp.ack_scheduled && tcp_in_state(sk, tcp_state::established, tcp_state::close_wait)) tcp_send_ack(net, sk);
      return {};
    case tcp_opt::user_timeout:
      if (val < 0) return failure{std::errc::invalid_argument};
      tp.icsk_user_timeout = static_cast<u32>(val);
      return {};
    default: return failure{std::errc::no_protocol_option};
  }
}

template <class Net>
result<int> tcp_get_int(Net& net, sock& sk, int optname) {
  auto const& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  auto const seconds = [](u32 own, u64 ns_default) {
    return static_cast<int>(own != 0 ? own : ns_default / 1'000'000'000);
  };
  switch (optname) {
    case tcp_opt::nodelay: return (tp.nonagle & tcp_nagle::off) != 0;
    case tcp_opt::cork: return (tp.nonagle & tcp_nagle::cork) != 0;
    case tcp_opt::maxseg:
      return tp.user_mss != 0 && tcp_in_state(sk, tcp_state::close, tcp_state::listen) ? tp.user_mss : tp.mss_cache;
    case tcp_opt::keepidle: return seconds(tp.keepalive_time, ns.sysctl_tcp_keepalive_time);
    case tcp_opt::keepintvl: return seconds(tp.keepalive_intvl, ns.sysctl_tcp_keepalive_intvl);
    case tcp_opt::keepcnt: return tp.keepalive_probes ? tp.keepalive_probes : ns.sysctl_tcp_keepalive_probes;
    case tcp_opt::syncnt: return tp.icsk_syn_retries ? tp.icsk_syn_retries : ns.sysctl_tcp_syn_retries;
    case tcp_opt::linger2:
      return tp.linger2 < 0 ? -1 : seconds(static_cast<u32>(tp.linger2), ns.sysctl_tcp_fin_timeout);
    case tcp_opt::window_clamp: return static_cast<int>(tp.window_clamp);
    case tcp_opt::quickack: return !tp.pingpong;
    case tcp_opt::user_timeout: return static_cast<int>(tp.icsk_user_timeout);
    default: return failure{std::errc::no_protocol_option};
  }
}

}  // namespace detail

/// proto::setsockopt. Errors: invalid_argument, no_protocol_option, no_such_file_or_directory (TCP_CONGESTION).
template <class Net>
result<void> tcp_setsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte const> optval) {
  if (level != sol::tcp) return ip_setsockopt(net, sk, level, optname, optval);
  if (optname == tcp_opt::congestion) {
    std::string_view name{reinterpret_cast<char const*>(optval.data()), std::min<std::size_t>(optval.size(), 15)};
    return tcp_set_congestion_control(net, sk, name.substr(0, name.find('\0')));
  }
  if (optval.size() < sizeof(int)) return failure{std::errc::invalid_argument};
  return detail::tcp_set_int(net, sk, optname, detail::ip_int_optval(optval));
}
/// proto::getsockopt.
template <class Net>
result<u32> tcp_getsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte> out) {
  if (level != sol::tcp) return ip_getsockopt(net, sk, level, optname, out);
  if (optname == tcp_opt::congestion) {
    char name[16]{};
    std::string_view const of{tcp_ca<Net>(sk).name};
    std::copy_n(of.data(), std::min<std::size_t>(of.size(), 15), name);
    return detail::put_opt(out, name);
  }
  auto const val = detail::tcp_get_int(net, sk, optname);
  if (!val) return failure{val.error()};
  return detail::put_opt(out, *val);
}

}  // namespace netstack
