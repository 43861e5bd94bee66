// SPDX-License-Identifier: BSL-1.0
// Decides: what module `tcp` registers: its protocol number, its proto, its row of inetsw, its counters, settings and
// drop reasons. A segment's way: tcp_ipv4.hpp and tcp_input.hpp in, tcp_sendmsg.hpp and tcp_output.hpp out.
// Linux: net/ipv4/tcp_ipv4.c (tcp_prot, tcp_sk_init), net/ipv4/tcp.c (tcp_init), net/ipv4/af_inet.c (tcp_protocol,
// inet_stream_ops) [S91] [S92] [S99] [S101] [S145] [S148]
#pragma once
#include "netstack/ipv4/inet_stream.hpp"
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/tcp/tcp_cong_sysctl.hpp"
#include "netstack/tcp/tcp_fastopen_sysctl.hpp"
#include "netstack/tcp/tcp_flow.hpp"
#include "netstack/tcp/tcp_ipv4.hpp"
#include "netstack/tcp/tcp_proc.hpp"
#include "netstack/tcp/tcp_sockopt.hpp"

namespace netstack {

template <class Net>
sock* tcp_slab_alloc(Net& net) {
  auto& w = tcp_worker_of(net);
  tcp_sock* const tp = w.socks.alloc_like(w.fresh_sock);
  if (!tp) return nullptr;
  tp->sk_receive_queue.init();
  tp->sk_write_queue.init();
  ::new (&tp->tsorted_sent_queue) tcp_skb_fifo;
  return tp;
}
template <class Net>
void tcp_slab_free(Net& net, sock& sk) {
  tcp_worker_of(net).socks.free(&tcp_sk(sk));
}
template <class Net>
sock_rare* tcp_sock_rare(Net& net, sock&) {
  sock_rare* const own = tcp_worker_of(net).sock_rares.alloc();
  BUG_ON(!own, "fewer sock_rares than connections");
  return own;
}
template <class Net>
proto_memory* tcp_memory(Net& net) {
  return &tcp_worker_of(net).memory;
}
template <class Net>
proto_limits const* tcp_limits(Net& net) {
  return &tcp_pernet(net).limits;
}
template <class Net>
void tcp_leave_memory_pressure(sock& sk, proto_memory const& memory) {
  auto& net = sock_net<Net>(sk);
  NET_STATS(net).TCPMemoryPressuresChrono += (net.worker().now - memory.pressure_since) / 1'000'000;
}
template <class Net>
void tcp_enter_memory_pressure(Net& net, sock& sk) {
  ++NET_STATS(net).TCPMemoryPressures;
  sk.sk_memory->relieved = tcp_leave_memory_pressure<Net>;
}

inline u32 tcp_wmem_queued(sock const& sk) { return sk.sk_wmem_queued; }

template <class Net>
inline constexpr proto<Net> tcp_prot{
    .name = "TCP",
    .close = tcp_close,
    .connect = tcp_v4_connect,
    .disconnect = tcp_disconnect,
    .accept = inet_csk_accept,
    .ioctl = tcp_ioctl,
    .init = tcp_init_sock,
    .destroy = tcp_destroy_sock,
    .shutdown = tcp_shutdown,
    .setsockopt = tcp_setsockopt,
    .getsockopt = tcp_getsockopt,
    .sendmsg = tcp_sendmsg,
    .recvmsg = tcp_recvmsg,
    .sendpage = tcp_sendpage,
    .backlog_rcv = tcp_v4_do_rcv,
    .hash = inet_hash,
    .unhash = inet_unhash,
    .get_port = inet_csk_get_port,
    .enter_memory_pressure = tcp_enter_memory_pressure,
    .stream_memory_free = tcp_stream_memory_free,
    .keepalive = tcp_set_keepalive,
    .timestamping = tcp_set_timestamping,
    .rcvlowat_changed = tcp_rcvlowat_changed,
    .wmem_queued = tcp_wmem_queued,
    .slab_alloc = tcp_slab_alloc,
    .slab_free = tcp_slab_free,
    .rare = tcp_sock_rare,
    .memory = tcp_memory,
    .limits = tcp_limits,
    .obj_size = sizeof(tcp_sock),
    .max_header = max_tcp_header,
    .no_autobind = true,
};

template <class Net>
inline constexpr net_protocol<Net> tcp_protocol{
    .protocol = ipproto::tcp,
    .handler = tcp_v4_rcv,
    .flow = {.begin = tcp_flow_begin, .more = tcp_flow_more, .end = tcp_flow_end, .mixes = true},
    .early_demux = tcp_v4_early_demux,
    .err_handler = tcp_v4_err,
    .no_policy = true,
    .icmp_strict_tag_validation = true,
    .name = "TCP",
};

namespace detail {
/// The row's proto is TCP's and binds by itself: neither has to be looked up, as inet_sendmsg would.
template <class Net>
result<std::size_t> tcp_stream_sendmsg(Net& net, sockfs::socket& sock, msghdr& m) {
  return tcp_sendmsg(net, *sock.sk, m);
}
template <class Net>
result<std::size_t> tcp_stream_recvmsg(Net& net, sockfs::socket& sock, msghdr& m, u32 flags) {
  return tcp_recvmsg(net, *sock.sk, m, flags);
}
}  // namespace detail

template <class Net>
inline constexpr proto_ops<Net> inet_stream_ops{
    .name = "inet_stream_ops",
    .family = af::inet,
    .release = inet_release,
    .bind = inet_bind,
    .connect = inet_stream_connect,
    .socketpair = sock_no_socketpair,
    .accept = inet_accept,
    .getname = inet_getname,
    .poll = tcp_poll,
    .ioctl = inet_ioctl,
    .listen = inet_listen,
    .shutdown = inet_stream_shutdown,
    .setsockopt = sock_common_setsockopt,
    .getsockopt = sock_common_getsockopt,
    .sendmsg = detail::tcp_stream_sendmsg,
    .recvmsg = detail::tcp_stream_recvmsg,
    .mmap = sock_no_mmap,
    .sendpage = inet_sendpage,
};

template <class Net>
inline constexpr inet_protosw<Net> tcp_protosw{
    .type = sock_type::stream,
    .protocol = ipproto::tcp,
    .prot = tcp_prot<Net>,
    .ops = inet_stream_ops<Net>,
    .flags = protosw_flag::permanent | protosw_flag::icsk,
};

/// No connection may take more than one part in so many of all frames, either way.
inline constexpr u32 tcp_pool_parts = 8;
/// How many frames a pool needs for a connection that fills its path. The bandwidth-delay product is in flight when a
/// writer who waits for room is told of some, with a third of his buffer empty; all of that buffer may be an eighth of
/// the pool as tcp_wmem counts (docs/memory.md); and drivers keep `in_rings` frames meanwhile, ready to be received
/// into or not yet reported as sent. Beyond 2.8 MB in flight tcp_wmem and tcp_rmem have to be raised as well.
[[nodiscard]] constexpr u32 tcp_pool_frames(u64 bits_per_second, u64 round_trip_ns, u32 in_rings) {
  u64 const buffer = bits_per_second / 8 * (round_trip_ns / 1'000) / 1'000'000 * 3 / 2;
  return static_cast<u32>((tcp_pool_parts * buffer + tcp_frame_payload - 1) / tcp_frame_payload) + in_rings;
}

/// The pages that queued segments may take: half of the pool's; pressure from three quarters of that on.
template <config C>
inline constexpr s64 tcp_mem_limit = (s64{C.skb_pool} * C.frame_size / sk_mem_quantum + 1) / 2;

/// Once per worker: its secrets.
template <class Net>
result<void> tcp_init(Net& init_net) {
  static_assert(!Net::tcp_congestion.rows.empty());
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& worker = init_net.stack().worker(w);
    auto& state = worker_generic<tcp>(worker);
    state.hashinfo.begin();
    state.congestion_allowed = detail::tcp_ca_non_restricted<Net>();
    for (u64& word : state.ehash_secret.key) word = worker.random.next_u64();
    for (auto* key : {&state.flow_secret, &state.isn_secret, &state.syncookie_secret})
      *key = {{worker.random.next_u64(), worker.random.next_u64()}};
    auto& fresh = state.fresh_sock;
    sock_set_flag(fresh, sock_flags::use_write_queue);
    fresh.scaling_ratio = detail::tcp_init_scaling_ratio(worker.nets[0]);
    inet_csk_init_timers(worker.nets[0], fresh);
  }
  auto const& first = worker_generic<tcp>(init_net.stack().worker(0)).syncookie_secret;
  for (u32 w = 0; w < Net::sizes.workers; ++w)
    worker_generic<tcp>(init_net.stack().worker(w)).fastopen_secret = {
        {siphash_1u32(1, first), siphash_1u32(2, first)}};
  return {};
}

/// Once per namespace: the limits that every fresh one gets.
template <class Net>
result<void> tcp_sk_init(Net& net) {
  constexpr s64 limit = tcp_mem_limit<Net::sizes>;
  auto& ns = tcp_pernet(net);
  ns.limits.mem[0] = limit / 2;
  ns.limits.mem[1] = limit / 4 * 3;
  ns.limits.mem[2] = limit;
  // To send they are counted by their payload.
  constexpr auto share = [](u64 of_a_frame) {
    return static_cast<s32>(std::min<u64>(u64{Net::sizes.skb_pool} * of_a_frame / tcp_pool_parts, 1u << 30));
  };
  ns.sysctl_tcp_wmem[2] = std::max(std::min(ns.sysctl_tcp_wmem[2], share(tcp_frame_payload)), ns.sysctl_tcp_wmem[1]);
  ns.sysctl_tcp_rmem[2] =
      std::max(std::min(ns.sysctl_tcp_rmem[2], share(Net::sizes.frame_size)), ns.sysctl_tcp_rmem[1]);
  auto const& secret = tcp_worker_of(net).fastopen_secret;
  ns.fastopen_ctx.key[0] = {{siphash_2u32(net.index, 1, secret), siphash_2u32(net.index, 2, secret)}};
  ns.sysctl_tcp_max_orphans = Net::sizes.max_sock / 2;
  ns.sysctl_max_syn_backlog = Net::sizes.max_request;
  ns.congestion_control =
      net.index == 0 ? static_cast<u8>(Net::tcp_congestion.first) : tcp_pernet(net.worker().nets[0]).congestion_control;
  ns.sysctl_tcp_max_tw_buckets = Net::sizes.max_timewait;
  return {};
}
/// The namespace goes: what its sockets left behind goes with it.
template <class Net>
void tcp_sk_exit(Net& net) {
  auto& w = tcp_worker_of(net);
  for (inet_link const& slot : w.hashinfo.slots()) {
    for (auto& req : inet_chain_of<tcp_request_sock>(w, slot))
      if (req.net == &net) inet_csk_reqsk_queue_drop(net, req);
    for (auto& sk : inet_chain_of<tcp_sock>(w, slot)) {
      if (sk.sk_net != &net) continue;
      tcp_set_state(net, sk, tcp_state::close);
      inet_csk_destroy_sock(net, sk);
    }
    for (auto& tw : inet_chain_of<tcp_timewait_sock>(w, slot))
      if (tw.netns == net.index) inet_twsk_kill(net, tw);
  }
  for (auto& known : w.fastopen_cache)
    if (known.net == &net) known = {};  // the slice may be another namespace's next
}

template <class Net>
void count_tcp_errs(Net& net) {
  ++TCP_STATS(net).InErrs;
}
template <class Net>
void count_tcp_csum(Net& net) {
  ++TCP_STATS(net).InCsumErrors;
  ++TCP_STATS(net).InErrs;
}

template <class Net>
void count_tcp_min_ttl(Net& net) {
  ++NET_STATS(net).TCPMinTTLDrop;
}

struct tcp : module {
  static constexpr auto needs = requires_all<ipv4>;
  using pernet = tcp_net;
  template <class Host>
  using perworker = tcp_worker<Host>;
  using cb = tcp_skb_cb;

  template <class Net>
  static constexpr std::array net_protocols{tcp_protocol<Net>};
  template <class Net>
  static constexpr std::array protos{tcp_prot<Net>};
  template <class Net>
  static constexpr std::array inetsw{tcp_protosw<Net>};
  template <class Net>
  static constexpr std::array tcp_congestion{tcp_reno<Net>};
  template <class Net>
  static constexpr std::array initcalls{
      initcall<Net>{.level = initcall_level::fs, .name = "tcp_init", .init = tcp_init<Net>, .needs = "ip_init"},
  };
  template <class Net>
  static constexpr std::array pernet_ops{
      pernet_operations<Net>{.name = "tcp_sk_ops", .init = tcp_sk_init<Net>, .exit = tcp_sk_exit<Net>},
  };
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{drop_reason::tcp_hdr, "TCP_HDR", count_tcp_errs<Net>},
      drop_reason_def<Net>{drop_reason::tcp_csum, "TCP_CSUM", count_tcp_csum<Net>},
      drop_reason_def<Net>{drop_reason::tcp_flags, "TCP_FLAGS"},
      drop_reason_def<Net>{drop_reason::tcp_close, "TCP_CLOSE"},
      drop_reason_def<Net>{drop_reason::tcp_reset, "TCP_RESET"},
      drop_reason_def<Net>{drop_reason::tcp_abort_on_data, "TCP_ABORT_ON_DATA"},
      drop_reason_def<Net>{drop_reason::tcp_invalid_sequence, "TCP_INVALID_SEQUENCE"},
      drop_reason_def<Net>{drop_reason::tcp_invalid_ack_sequence, "TCP_INVALID_ACK_SEQUENCE"},
      drop_reason_def<Net>{drop_reason::tcp_invalid_syn, "TCP_INVALID_SYN"},
      drop_reason_def<Net>{drop_reason::tcp_rfc7323_paws, "TCP_RFC7323_PAWS"},
      drop_reason_def<Net>{drop_reason::tcp_old_data, "TCP_OLD_DATA"},
      drop_reason_def<Net>{drop_reason::tcp_overwindow, "TCP_OVERWINDOW"},
      drop_reason_def<Net>{drop_reason::tcp_zerowindow, "TCP_ZEROWINDOW"},
      drop_reason_def<Net>{drop_reason::tcp_ofomerge, "TCP_OFOMERGE"},
      drop_reason_def<Net>{drop_reason::tcp_ofo_queue_prune, "TCP_OFO_QUEUE_PRUNE"},
      drop_reason_def<Net>{drop_reason::tcp_listen_overflow, "TCP_LISTEN_OVERFLOW"},
      drop_reason_def<Net>{drop_reason::tcp_request_full, "TCP_REQUEST_FULL"},
      drop_reason_def<Net>{drop_reason::tcp_timewait, "TCP_TIMEWAIT"},
      drop_reason_def<Net>{drop_reason::tcp_minttl, "TCP_MINTTL", count_tcp_min_ttl<Net>},
  };
  template <class Net>
  static constexpr std::array proc{
      proc_entry<Net>{.name = "net/tcp", .show = tcp4_seq_show<Net>, .header = tcp4_seq_header}};
  template <class Net>
  static constexpr std::array sockstat{sockstat_line<Net>{.order = 10, .show = tcp_sockstat_show<Net>}};
  static constexpr std::array snmp{snmp_group{.prefix = "TcpExt",
                                              .items = snmp4_tcpext_list,
                                              .file = snmp_file::netstat,
                                              .block = snmp_block<&tcp_net::mib>,
                                              .order = snmp_order::tcpext}};
  template <class Net>
  static constexpr std::array ctl_tables{
      ctl<&tcp_net::limits, &proto_limits::mem>("net/ipv4/tcp_mem", {.min = 0}),
      ctl<&tcp_net::sysctl_tcp_rmem>("net/ipv4/tcp_rmem", {.min = 1}),
      ctl<&tcp_net::sysctl_tcp_wmem>("net/ipv4/tcp_wmem", {.min = 1}),
      ctl<&tcp_net::sysctl_tcp_timestamps>("net/ipv4/tcp_timestamps"),
      ctl<&tcp_net::sysctl_tcp_sack>("net/ipv4/tcp_sack"),
      ctl<&tcp_net::sysctl_tcp_dsack>("net/ipv4/tcp_dsack"),
      ctl<&tcp_net::sysctl_tcp_window_scaling>("net/ipv4/tcp_window_scaling"),
      ctl<&tcp_net::sysctl_tcp_syn_retries>("net/ipv4/tcp_syn_retries", {.min = 1, .max = 127}),
      ctl<&tcp_net::sysctl_tcp_syn_linear_timeouts>("net/ipv4/tcp_syn_linear_timeouts", {.max = 127}),
      ctl<&tcp_net::sysctl_tcp_synack_retries>("net/ipv4/tcp_synack_retries"),
      ctl<&tcp_net::sysctl_tcp_retries1>("net/ipv4/tcp_retries1"),
      ctl<&tcp_net::sysctl_tcp_retries2>("net/ipv4/tcp_retries2"),
      ctl<&tcp_net::sysctl_tcp_orphan_retries>("net/ipv4/tcp_orphan_retries"),
      ctl<&tcp_net::sysctl_tcp_keepalive_probes>("net/ipv4/tcp_keepalive_probes"),
      ctl<&tcp_net::sysctl_tcp_keepalive_time>("net/ipv4/tcp_keepalive_time",
                                               {.max = 2'147'483, .unit = 1'000'000'000}),
      ctl<&tcp_net::sysctl_tcp_keepalive_intvl>("net/ipv4/tcp_keepalive_intvl",
                                                {.max = 2'147'483, .unit = 1'000'000'000}),
      ctl<&tcp_net::sysctl_tcp_fin_timeout>("net/ipv4/tcp_fin_timeout", {.max = 2'147'483, .unit = 1'000'000'000}),
      ctl<&tcp_net::sysctl_tcp_invalid_ratelimit>("net/ipv4/tcp_invalid_ratelimit",
                                                  {.max = 0x7fff'ffff, .unit = 1'000'000}),
      ctl<&tcp_net::sysctl_tcp_challenge_ack_limit>("net/ipv4/tcp_challenge_ack_limit"),
      ctl<&tcp_net::sysctl_tcp_rfc1337>("net/ipv4/tcp_rfc1337"),
      ctl<&tcp_net::sysctl_tcp_abort_on_overflow>("net/ipv4/tcp_abort_on_overflow"),
      ctl<&tcp_net::sysctl_tcp_syncookies>("net/ipv4/tcp_syncookies"),
      ctl<&tcp_net::sysctl_tcp_fastopen>("net/ipv4/tcp_fastopen"),
      ctl<&tcp_net::sysctl_tcp_fastopen_blackhole_timeout>(
          "net/ipv4/tcp_fastopen_blackhole_timeout_sec",
          {.max = 0x7fff'ffff,
           .unit = 1'000'000'000,
           .changed = ctl_changed<Net, detail::tcp_fastopen_blackhole_changed<Net>>,
           .on_write = true}),
      ctl_proc<Net, detail::tcp_fastopen_key_show<Net>, detail::tcp_fastopen_key_store<Net>>(
          "net/ipv4/tcp_fastopen_key", {.mode = 0600}),
      ctl<&tcp_net::sysctl_tcp_tw_reuse>("net/ipv4/tcp_tw_reuse", {.max = 2}),
      ctl<&tcp_net::sysctl_tcp_tw_reuse_delay>("net/ipv4/tcp_tw_reuse_delay",
                                               {.min = 1, .max = 60'000, .unit = 1'000'000}),
      ctl<&tcp_net::sysctl_tcp_max_tw_buckets>("net/ipv4/tcp_max_tw_buckets"),
      ctl<&tcp_net::sysctl_tcp_early_demux>("net/ipv4/tcp_early_demux"),
      ctl<&tcp_net::sysctl_tcp_slow_start_after_idle>("net/ipv4/tcp_slow_start_after_idle"),
      ctl<&tcp_net::sysctl_tcp_recovery>("net/ipv4/tcp_recovery"),
      ctl<&tcp_net::sysctl_tcp_early_retrans>("net/ipv4/tcp_early_retrans", {.max = 4}),
      ctl<&tcp_net::sysctl_tcp_frto>("net/ipv4/tcp_frto"),
      ctl<&tcp_net::sysctl_tcp_reordering>("net/ipv4/tcp_reordering", {.min = 1, .max = 0x7fff'ffff}),
      ctl<&tcp_net::sysctl_tcp_max_reordering>("net/ipv4/tcp_max_reordering", {.min = 1, .max = 0x7fff'ffff}),
      ctl<&tcp_net::sysctl_tcp_rto_min_us>("net/ipv4/tcp_rto_min_us", {.min = 1, .max = 0x7fff'ffff}),
      ctl<&tcp_net::sysctl_tcp_rto_max_ms>("net/ipv4/tcp_rto_max_ms", {.min = 1000, .max = 120'000}),
      ctl<&tcp_net::sysctl_tcp_min_rtt_wlen>("net/ipv4/tcp_min_rtt_wlen", {.max = 86'400, .unit = 1'000'000'000}),
      ctl<&tcp_net::sysctl_tcp_moderate_rcvbuf>("net/ipv4/tcp_moderate_rcvbuf"),
      ctl<&tcp_net::sysctl_tcp_autocorking>("net/ipv4/tcp_autocorking", {.max = 1}),
      ctl<&tcp_net::sysctl_tcp_mtu_probing>("net/ipv4/tcp_mtu_probing"),
      ctl<&tcp_net::sysctl_tcp_base_mss>("net/ipv4/tcp_base_mss"),
      ctl<&tcp_net::sysctl_tcp_mtu_probe_floor>("net/ipv4/tcp_mtu_probe_floor", {.min = 48, .max = 65535}),
      ctl<&tcp_net::sysctl_tcp_min_snd_mss>("net/ipv4/tcp_min_snd_mss", {.min = 48, .max = 65535}),
      ctl<&tcp_net::sysctl_tcp_probe_threshold>("net/ipv4/tcp_probe_threshold"),
      ctl<&tcp_net::sysctl_tcp_probe_interval>("net/ipv4/tcp_probe_interval",
                                               {.max = 4'294'967, .unit = 1'000'000'000}),
      ctl<&tcp_net::sysctl_tcp_stdurg>("net/ipv4/tcp_stdurg"),
      ctl<&tcp_net::sysctl_tcp_notsent_lowat>("net/ipv4/tcp_notsent_lowat"),
      ctl<&tcp_net::sysctl_tcp_ecn>("net/ipv4/tcp_ecn", {.max = 2}),
      ctl<&tcp_net::sysctl_tcp_ecn_fallback>("net/ipv4/tcp_ecn_fallback", {.max = 1}),
      ctl<&tcp_net::sysctl_tcp_user_timeout_option>("net/ipv4/tcp_user_timeout_option", {.max = 1}),
      ctl<&tcp_net::sysctl_tcp_pacing_ss_ratio>("net/ipv4/tcp_pacing_ss_ratio", {.max = 1000}),
      ctl<&tcp_net::sysctl_tcp_pacing_ca_ratio>("net/ipv4/tcp_pacing_ca_ratio", {.max = 1000}),
      ctl_proc<Net, detail::tcp_congestion_control_show<Net>, detail::tcp_congestion_control_store<Net>>(
          "net/ipv4/tcp_congestion_control"),
      ctl_proc<Net, detail::tcp_available_congestion_control_show<Net>>("net/ipv4/tcp_available_congestion_control",
                                                                        {.mode = 0444}),
      ctl_proc<Net, detail::tcp_allowed_congestion_control_show<Net>,
               detail::tcp_allowed_congestion_control_store<Net>>("net/ipv4/tcp_allowed_congestion_control",
                                                                  {.init_net_only = true}),
      ctl<&tcp_net::sysctl_max_syn_backlog>("net/ipv4/tcp_max_syn_backlog", {.min = 1}),
      ctl<&tcp_net::sysctl_tcp_max_orphans>("net/ipv4/tcp_max_orphans"),
  };
};

}  // namespace netstack
