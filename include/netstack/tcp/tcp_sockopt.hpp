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
  tcp_rare_of(net, tp).keepalive_time = static_cast<u16>(val);
  if (sock_flag(sk, sock_flags::keepopen) && !tcp_in_state(sk, tcp_state::close, tcp_state::listen)) {
    u64 const silent = net.worker().now - std::max(tp.rcv_tstamp, tp.lrcvtime),
              idle = u64{tp.rare->keepalive_time} * 1'000'000'000;
    inet_csk_reset_keepalive_timer(net, sk, idle > silent ? idle - silent : 0);
  }
  return {};
}
inline result<void> tcp_set_bounded(int val, int most, auto& field) {
  if (val < 1 || val > most) return failure{std::errc::invalid_argument};
  field = static_cast<std::remove_reference_t<decltype(field)>>(val);
  return {};
}
/// A time of a few ms, us, in Linux's ticks at 250 Hz: two at least, and 200 ms at most.
inline constexpr int tcp_ticks_max = 200'000;
inline result<void> tcp_set_ticks(int us, u32& field) {
  if (us <= static_cast<int>(tcp_jiffy) || us > tcp_ticks_max) return failure{std::errc::invalid_argument};
  field = tcp_jiffies(static_cast<u32>(us));
  return {};
}

/// How long so many repetitions of a SYN-ACK take, and the least number that takes so many seconds.
constexpr u32 tcp_retrans_seconds(u8 retrans) {
  u32 seconds = 0;
  for (u32 wait = tcp_timeout_init / 1'000'000; retrans != 0; --retrans, wait *= 2)
    seconds += wait = std::min(wait, tcp_rto_max / 1'000'000);
  return seconds;
}
constexpr u8 tcp_retrans_of(int seconds) {
  u8 retrans = 0;
  while (retrans < 255 && static_cast<int>(tcp_retrans_seconds(retrans)) < seconds) ++retrans;
  return retrans;
}

/// RFC 7413: TCP_FASTOPEN (how many connections of a listener may be without their handshake), TCP_FASTOPEN_CONNECT,
/// TCP_FASTOPEN_NO_COOKIE.
template <class Net>
result<void> tcp_set_fastopen(Net& net, sock& sk, int optname, int val) {
  auto& tp = tcp_sk(sk);
  bool const listens = sk.sk_state == tcp_state::listen, fresh = sk.sk_state == tcp_state::close;
  if (val < 0 || (optname != tcp_opt::fastopen && val > 1)) return failure{std::errc::invalid_argument};
  bool const connects = optname == tcp_opt::fastopen_connect;
  if (connects && !(tcp_fastopen_enabled(net) & tfo::client_enable)) return failure{std::errc::operation_not_supported};
  if (!fresh && (connects || !listens)) return failure{std::errc::invalid_argument};
  if (connects)
    tp.fastopen_connect = val != 0;
  else if (optname == tcp_opt::fastopen_no_cookie)
    tp.fastopen_no_cookie = val != 0;
  else
    tcp_rare_of(net, tp).fastopen_max_qlen =
        static_cast<u16>(std::min({val, net_generic<net_core>(net).sysctl_somaxconn, 0xffff}));
  return {};
}

template <class Net>
result<void> tcp_set_int(Net& net, sock& sk, int optname, int val) {
  auto& tp = tcp_sk(sk);
  bool const fresh = sk.sk_state == tcp_state::close;
  switch (optname) {
    case tcp_opt::nodelay:  // MUST-17
      // What waits leaves, TCP_CORK or not: if not now, when it can.
      tp.nonagle = static_cast<u8>(val ? tp.nonagle | tcp_nagle::off | tcp_nagle::push : tp.nonagle & ~tcp_nagle::off);
      if (val) tcp_push_pending_frames(net, sk);
      return {};
    case tcp_opt::cork:
      tp.nonagle = static_cast<u8>(val ? tp.nonagle | tcp_nagle::cork : tp.nonagle & ~tcp_nagle::cork);
      if (val) return {};
      if (tp.nonagle & tcp_nagle::off) tp.nonagle |= tcp_nagle::push;
      tcp_push_pending_frames(net, sk);
      return {};
    case tcp_opt::maxseg:
      if (val != 0 && (val < static_cast<int>(tcp_min_mss) || val > 32767)) return failure{std::errc::invalid_argument};
      if (val != tp.rare->user_mss) tcp_rare_of(net, tp).user_mss = static_cast<u16>(val);
      return {};
    case tcp_opt::keepidle: return tcp_set_keepidle(net, sk, val);
    case tcp_opt::keepintvl: return tcp_set_bounded(val, max_tcp_keepintvl, tcp_rare_of(net, tp).keepalive_intvl);
    case tcp_opt::keepcnt: return tcp_set_bounded(val, max_tcp_keepcnt, tcp_rare_of(net, tp).keepalive_probes);
    case tcp_opt::syncnt: return tcp_set_bounded(val, max_tcp_syncnt, tp.icsk_syn_retries);
    case tcp_opt::linger2: tcp_rare_of(net, tp).linger2 = static_cast<std::int8_t>(std::clamp(val, -1, 120)); return {};
    case tcp_opt::fastopen:
    case tcp_opt::fastopen_connect:
    case tcp_opt::fastopen_no_cookie: return tcp_set_fastopen(net, sk, optname, val);
    case tcp_opt::defer_accept: tp.icsk_defer_accept = tcp_retrans_of(val); return {};
    case tcp_opt::window_clamp:
      if (val == 0 && sk.sk_state != tcp_state::close) return failure{std::errc::invalid_argument};
      tp.window_clamp =
          val == 0 ? tcp_no_window_clamp : static_cast<u32>(std::max(val, static_cast<int>(sock_min_rcvbuf / 2)));
      return {};
    case tcp_opt::quickack:
      if (val == 0) return tp.pingpong = true, result<void>{};
      tcp_enter_quickack_mode(tp, tcp_max_quickacks);
      if (tp.ack_scheduled && tcp_in_state(sk, tcp_state::established, tcp_state::close_wait)) {
        tcp_send_ack(net, sk);
        tp.pingpong = !(val & 1);  // an even one is for this once
      }
      return {};
    case tcp_opt::notsent_lowat:
      if (static_cast<u32>(val) != tp.rare->notsent_lowat) tcp_rare_of(net, tp).notsent_lowat = static_cast<u32>(val);
      // Else what is still with a driver wakes him, as its acknowledgments come.
      if (tcp_stream_is_writeable(net, sk) && sock_writeable(sk))
        tp.nospace = false, sk_wake_writer(net.worker().pool, sk);
      return {};
    case tcp_opt::user_timeout:
      if (val < 0) return failure{std::errc::invalid_argument};
      tcp_rare_of(net, tp).user_timeout = static_cast<u32>(val);
      tp.user_timeout_set = val != 0;
      tp.uto_due = tcp_user_timeout_tells(net, tp) && tcp_in_state(sk, tcp_state::established, tcp_state::close_wait);
      return {};
    case tcp_opt::rto_max_ms:
      if (val < 1000 || val > static_cast<int>(tcp_rto_max / 1000)) return failure{std::errc::invalid_argument};
      tcp_rare_of(net, tp).rto_max_ms = (static_cast<u32>(val) + 3) / 4 * 4;
      return {};
    case tcp_opt::rto_min_us: return tp.own_timers = true, tcp_set_ticks(val, tcp_rare_of(net, tp).rto_min_us);
    case tcp_opt::delack_max_us: return tp.own_timers = true, tcp_set_ticks(val, tcp_rare_of(net, tp).delack_max_us);
    case tcp_opt::save_syn:
      if (val < 0 || val > 2) return ip_check(false);
      return tp.save_syn = static_cast<u8>(val), result<void>{};
    case tcp_opt::inq:
      if (val != 0 && val != 1) return ip_check(false);
      return tp.recvmsg_inq = val != 0, result<void>{};
    case tcp_opt::thin_dupack: return ip_check(val == 0 || val == 1);  // RACK does better, and in Linux, too
    case tcp_opt::repair:
    case tcp_opt::repair_queue:
    case tcp_opt::repair_window:
    case tcp_opt::timestamp: return failure{std::errc::operation_not_permitted};  // to who may not repair sockets
    case tcp_opt::queue_seq: return failure{fresh ? std::errc::invalid_argument : std::errc::operation_not_permitted};
    case tcp_opt::repair_options: return failure{std::errc::invalid_argument};
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
      return tp.rare->user_mss != 0 && tcp_in_state(sk, tcp_state::close, tcp_state::listen) ? tp.rare->user_mss
                                                                                             : tp.mss_cache;
    case tcp_opt::keepidle: return seconds(tp.rare->keepalive_time, ns.sysctl_tcp_keepalive_time);
    case tcp_opt::keepintvl: return seconds(tp.rare->keepalive_intvl, ns.sysctl_tcp_keepalive_intvl);
    case tcp_opt::keepcnt:
      return tp.rare->keepalive_probes ? tp.rare->keepalive_probes : ns.sysctl_tcp_keepalive_probes;
    case tcp_opt::syncnt: return tp.icsk_syn_retries ? tp.icsk_syn_retries : ns.sysctl_tcp_syn_retries;
    case tcp_opt::linger2:
      return tp.rare->linger2 < 0 ? -1 : seconds(static_cast<u32>(tp.rare->linger2), ns.sysctl_tcp_fin_timeout);
    case tcp_opt::window_clamp:
      if (tp.window_clamp != tcp_no_window_clamp) return static_cast<int>(tp.window_clamp);
      return tcp_in_state(sk, tcp_state::close, tcp_state::listen)
                 ? 0
                 : static_cast<int>(std::min(u32{0xffff} << tp.rcv_wscale, tcp_full_space(sk)));
    case tcp_opt::notsent_lowat: return static_cast<int>(tp.rare->notsent_lowat);
    case tcp_opt::fastopen: return tp.rare->fastopen_max_qlen;
    case tcp_opt::fastopen_connect: return tp.fastopen_connect;
    case tcp_opt::fastopen_no_cookie: return tp.fastopen_no_cookie;
    case tcp_opt::defer_accept: return static_cast<int>(tcp_retrans_seconds(tp.icsk_defer_accept));
    case tcp_opt::quickack: return !tp.pingpong;
    case tcp_opt::user_timeout: return static_cast<int>(tp.rare->user_timeout);
    case tcp_opt::rto_max_ms: return static_cast<int>(tcp_rto_max_of(tp) / 1000);
    case tcp_opt::rto_min_us: return static_cast<int>(tcp_rto_min_of(tp));
    case tcp_opt::delack_max_us:
      return tp.rare->delack_max_us != 0 ? static_cast<int>(tp.rare->delack_max_us) : tcp_ticks_max;
    case tcp_opt::save_syn: return tp.save_syn;
    case tcp_opt::inq: return tp.recvmsg_inq;
    case tcp_opt::thin_dupack:
    case tcp_opt::repair:
    case tcp_opt::is_mptcp: return 0;
    case tcp_opt::timestamp: return static_cast<int>(tcp_time_stamp(net) + tp.tsoffset);
    case tcp_opt::repair_queue:
    case tcp_opt::repair_window:
    case tcp_opt::queue_seq: return failure{std::errc::invalid_argument};
    default: return failure{std::errc::no_protocol_option};
  }
}

/// TCP_SAVED_SYN, which is read once, and whole.
template <class Net>
result<u32> tcp_get_saved_syn(Net& net, sock& sk, std::span<std::byte> out) {
  auto& tp = tcp_sk(sk);
  if (tp.saved_syn == 0) return 0u;
  auto& saved = tcp_worker_of(net).saved_syns;
  auto const& syn = saved.at(tp.saved_syn - 1u);
  if (out.size() < syn.len) return failure{std::errc::invalid_argument};
  std::memcpy(out.data(), syn.bytes.data(), syn.len);
  u32 const len = syn.len;
  tcp_beside_free(saved, tp.saved_syn);
  return len;
}

/// TCP_FASTOPEN_KEY: one key of 16 bytes, and another by which older cookies were made.
template <class Net>
result<void> tcp_set_fastopen_key(Net& net, sock& sk, std::span<std::byte const> optval) {
  auto& tp = tcp_sk(sk);
  auto& ctxs = tcp_worker_of(net).fastopen_ctxs;
  if (optval.size() != sizeof(siphash_key_t) && optval.size() != 2 * sizeof(siphash_key_t))
    return failure{std::errc::invalid_argument};
  if (tp.fastopen_ctx == 0) {
    auto const* const room = ctxs.alloc();
    if (!room) return failure{std::errc::not_enough_memory};
    tp.fastopen_ctx = static_cast<u8>(ctxs.index_of(room) + 1);
  }
  auto& ctx = ctxs.at(tp.fastopen_ctx - 1u);
  ctx.num = static_cast<u32>(optval.size() / sizeof(siphash_key_t));
  std::memcpy(ctx.key.data(), optval.data(), optval.size());
  return {};
}
template <class Net>
u32 tcp_get_fastopen_key(Net& net, sock const& sk, std::span<std::byte> out) {
  if (tcp_sk(sk).fastopen_ctx == 0) return 0;  // the namespace's are the administrator's
  auto const& ctx = tcp_fastopen_get_ctx(net, sk);
  return put_opt(out.first(std::min(out.size(), ctx.num * sizeof(siphash_key_t))), ctx.key);
}

inline void tcp_info_of_numbers(tcp_sock const& tp, tcp_info& info) {
  info.tcpi_ca_state = static_cast<u8>(tp.ca_state);
  info.tcpi_retransmits = tp.icsk_retransmits;
  info.tcpi_probes = tp.icsk_probes_out;
  info.tcpi_backoff = tp.icsk_backoff;
  bool const answered = tp.sk_state != tcp_state::syn_sent;  // until the peer answers nothing is agreed
  if (tp.tstamp_ok && answered) info.tcpi_options |= tcpi_opt::timestamps;
  if (tp.sack_ok && answered) info.tcpi_options |= tcpi_opt::sack;
  if (tp.ecn_flags & tcp_ecn::ok) info.tcpi_options |= tcpi_opt::ecn;
  if (tp.ecn_flags & tcp_ecn::seen) info.tcpi_options |= tcpi_opt::ecn_seen;
  if (tp.syn_data_acked) info.tcpi_options |= tcpi_opt::syn_data;
  if (tp.wscale_ok && answered) {
    info.tcpi_options |= tcpi_opt::wscale;
    info.tcpi_snd_wscale = tp.snd_wscale & 15u;
    info.tcpi_rcv_wscale = tp.rcv_wscale & 15u;
  }
  info.tcpi_fastopen_client_fail = static_cast<u8>(tp.fastopen_client_fail) & 3u;
  info.tcpi_rto = tp.icsk_rto;
  info.tcpi_ato = tp.lrcvtime != 0 ? static_cast<u32>(tcp_delack_min / 1000) : 0;
  info.tcpi_snd_mss = tp.mss_cache, info.tcpi_rcv_mss = tp.rcv_mss;
  bool const agreed = !tcp_in_state(tp, tcp_state::syn_sent, tcp_state::syn_recv, tcp_state::listen);
  info.tcpi_advmss = tp.advmss - (tp.tstamp_ok && agreed ? tcpopt::tstamp_aligned : 0u);  // data bears a stamp
  info.tcpi_unacked = tp.packets_out + (tcp_bodiless(tp) && tp.sk_state != tcp_state::close),
  info.tcpi_sacked = tp.sacked_out;
  info.tcpi_lost = tp.lost_out, info.tcpi_retrans = tp.retrans_out;
  info.tcpi_rtt = tp.srtt_us >> 3, info.tcpi_rttvar = tp.mdev_us >> 2, info.tcpi_min_rtt = tp.rtt_min_us;
  info.tcpi_snd_ssthresh = tp.snd_ssthresh;
  info.tcpi_rcv_rtt = tp.rcv_rtt_us >> 3, info.tcpi_rcv_space = tp.rcvq_space;
  info.tcpi_snd_wnd = tp.snd_wnd, info.tcpi_rcv_wnd = tp.rcv_wnd;
  info.tcpi_notsent_bytes = tp.write_seq - tp.snd_nxt;
}
/// Of the number only the end is counted; the rest is as near as a SYN and a FIN to what the sequence numbers tell.
[[nodiscard]] inline u64 tcp_bytes_sent(tcp_sock const& tp) {
  u64 const about = tp.bytes_acked + (tp.snd_nxt - tp.snd_una) + tp.rare->bytes_retrans;
  return about + static_cast<u64>(s64{static_cast<s32>(tp.bytes_sent - static_cast<u32>(about))});
}
/// How long it was held back so, in us. Whatever holds it back, it is busy.
[[nodiscard]] inline u64 tcp_chrono_us(tcp_sock const& tp, u64 now, tcp_chrono what) {
  auto const of = [&](tcp_chrono each, u32 before) {
    return u64{before} + (tp.chrono == each ? tcp_tick(now) - tp.chrono_since : 0);
  };
  u64 const rwnd = of(tcp_chrono::rwnd_limited, tp.rare->rwnd_limited);
  u64 const sndbuf = of(tcp_chrono::sndbuf_limited, tp.rare->sndbuf_limited);
  u64 const ticks = what == tcp_chrono::rwnd_limited     ? rwnd
                    : what == tcp_chrono::sndbuf_limited ? sndbuf
                                                         : rwnd + sndbuf + of(tcp_chrono::busy, tp.chrono_busy);
  return (ticks << tcp_tick_shift) / 1000;
}
inline void tcp_info_of_account(tcp_sock const& tp, u64 now, tcp_info& info) {
  // As long as it has not happened: since the connection is there, whose age is known modulo 50 days.
  u32 const age = static_cast<u32>(now / 1'000'000) - tp.established;
  auto const ms_since = [&](u64 then) { return then != 0 ? static_cast<u32>((now - then) / 1'000'000) : age; };
  info.tcpi_last_data_sent = ms_since(tp.lsndtime);
  info.tcpi_last_data_recv = ms_since(tp.lrcvtime);
  info.tcpi_last_ack_recv = ms_since(tp.rcv_tstamp);
  auto const& past = *tp.rare;
  info.tcpi_total_retrans = past.total_retrans;
  info.tcpi_bytes_acked = tp.bytes_acked, info.tcpi_bytes_received = tp.bytes_received;
  info.tcpi_bytes_sent = tcp_bytes_sent(tp), info.tcpi_bytes_retrans = past.bytes_retrans;
  info.tcpi_segs_out = tp.segs_out, info.tcpi_segs_in = tp.segs_in;
  info.tcpi_data_segs_out = tp.data_segs_out, info.tcpi_data_segs_in = tp.data_segs_in;
  info.tcpi_busy_time = tcp_chrono_us(tp, now, tcp_chrono::busy);
  info.tcpi_rwnd_limited = tcp_chrono_us(tp, now, tcp_chrono::rwnd_limited);
  info.tcpi_sndbuf_limited = tcp_chrono_us(tp, now, tcp_chrono::sndbuf_limited);
  info.tcpi_delivered = tp.delivered, info.tcpi_delivered_ce = past.delivered_ce;
  info.tcpi_delivery_rate = tcp_compute_delivery_rate(tp);
  info.tcpi_delivery_rate_app_limited = tp.rate_app_limited;
  info.tcpi_dsack_dups = past.dsack_dups, info.tcpi_reord_seen = past.reord_events,
  info.tcpi_rcv_ooopack = past.rcv_ooopack;
  info.tcpi_total_rto = past.total_rto, info.tcpi_total_rto_recoveries = past.total_rto_recoveries;
  info.tcpi_total_rto_time =
      past.total_rto_time + (past.rto_stamp != 0 ? static_cast<u32>(now / 1'000'000) - past.rto_stamp : 0);
}
/// TCP_INFO. Of a listener little more than its queue.
template <class Net>
tcp_info tcp_get_info(Net& net, sock& sk) {
  auto const& tp = tcp_sk(sk);
  bool const by_cwnd = tp.icsk_ca_initialized && !tcp_ca<Net>(sk).cong_control;
  tcp_info info{.tcpi_state = sk.sk_state,
                .tcpi_snd_cwnd = tp.snd_cwnd,
                .tcpi_reordering = tp.reordering,
                .tcpi_pacing_rate = by_cwnd ? tcp_pacing_rate_of_cwnd(net, sk) : sk.sk_rare->pacing_rate,
                .tcpi_max_pacing_rate = sk.sk_rare->max_pacing_rate};
  if (sk.sk_state == tcp_state::listen) {
    info.tcpi_unacked = tp.icsk_listen.ack_backlog;
    info.tcpi_sacked = tp.icsk_listen.max_ack_backlog;
    return info;
  }
  tcp_info_of_numbers(tp, info);
  tcp_info_of_account(tp, net.worker().now, info);
  if (sk.sk_state == tcp_state::close) return info;
  info.tcpi_pmtu = tcp_af_ops<Net>(sk).mtu(net, sk);
  info.tcpi_rcv_ssthresh = std::min(tp.window_clamp, tcp_full_space(sk));
  return info;
}

}  // namespace detail

/// proto::rcvlowat_changed: who waits for so much must have room for it.
template <class Net>
void tcp_rcvlowat_changed(Net& net, sock& sk) {
  auto const most = static_cast<u32>(tcp_pernet(net).sysctl_tcp_rmem[2]);
  bool const fixed = sock_flag(sk, sock_flags::rcvbuf_lock);
  sk.sk_rcvlowat = std::clamp(sk.sk_rcvlowat, 1u, std::max((fixed ? sk.sk_rcvbuf : most) / 2, 1u));
  if (!fixed) sk.sk_rcvbuf = std::max(sk.sk_rcvbuf, std::min(tcp_space_from_win(sk, sk.sk_rcvlowat), most));
  if (sk.sk_callbacks->data_ready && tcp_stream_is_readable(sk)) sk.sk_callbacks->data_ready(sk);
}

/// proto::setsockopt. Errors: invalid_argument, no_protocol_option, no_such_file_or_directory (TCP_CONGESTION).
template <class Net>
result<void> tcp_setsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte const> optval) {
  tcp_sk(sk).pmtu_cookie = 0;  // IP's options take room of every segment
  if (level != sol::tcp) return tcp_af_ops<Net>(sk).setsockopt(net, sk, level, optname, optval);
  if (optname == tcp_opt::congestion) {
    if (optval.empty()) return failure{std::errc::invalid_argument};
    std::string_view name{reinterpret_cast<char const*>(optval.data()), std::min<std::size_t>(optval.size(), 15)};
    return tcp_set_congestion_control(net, sk, name.substr(0, name.find('\0')));
  }
  if (optname == tcp_opt::fastopen_key) return detail::tcp_set_fastopen_key(net, sk, optval);
  if (optname == tcp_opt::ulp)
    return failure{optval.empty() ? std::errc::invalid_argument : std::errc::no_such_file_or_directory};
  if (optval.size() < sizeof(int)) return failure{std::errc::invalid_argument};
  return detail::tcp_set_int(net, sk, optname, detail::ip_int_optval(optval));
}
/// proto::getsockopt.
template <class Net>
result<u32> tcp_getsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte> out) {
  if (level != sol::tcp) return tcp_af_ops<Net>(sk).getsockopt(net, sk, level, optname, out);
  if (optname == tcp_opt::congestion) {
    char name[16]{};
    std::string_view const of{tcp_ca<Net>(sk).name};
    std::copy_n(of.data(), std::min<std::size_t>(of.size(), 15), name);
    return detail::put_opt(out, name);
  }
  if (optname == tcp_opt::ulp) return 0u;
  if (optname == tcp_opt::cc_info) {
    auto const& ca = tcp_ca<Net>(sk);
    return ca.get_info ? ca.get_info(sk, out) : 0u;
  }
  if (optname == tcp_opt::saved_syn) return detail::tcp_get_saved_syn(net, sk, out);
  if (optname == tcp_opt::fastopen_key) return detail::tcp_get_fastopen_key(net, sk, out);
  if (optname == tcp_opt::info) return detail::put_opt(out, detail::tcp_get_info(net, sk));
  auto const val = detail::tcp_get_int(net, sk, optname);
  if (!val) return failure{val.error()};
  return detail::put_opt(out, *val);
}

}  // namespace netstack
