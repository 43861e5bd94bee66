// SPDX-License-Identifier: BSL-1.0
// Decides: what TCP keeps: per connection, whose hot numbers fill three cache lines; per half-open connection and per
// one in TIME_WAIT, in socks of their own that are a fraction as large; per namespace and per worker. [S92] [S102]
// [S104]
// Linux: include/linux/tcp.h (struct tcp_sock, tcp_request_sock, tcp_timewait_sock), include/net/tcp.h, netns/ipv4.h
// RFC 9293 §3.3.1 (variables)
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "netstack/base/bit_row.hpp"
#include "netstack/core/slab_list.hpp"
#include "netstack/ipv4/inet_connection_sock.hpp"
#include "netstack/ipv4/netns_ipv4.hpp"
#include "netstack/registry/sysctl.hpp"
#include "netstack/registry/tcp_congestion_ops.hpp"
#include "netstack/tcp/tcp_beside.hpp"
#include "netstack/tcp/tcp_info.hpp"
#include "netstack/tcp/tcp_mib.hpp"
#include "netstack/tcp/tcp_skb.hpp"
#include "netstack/tcp/tcp_v4_ends.hpp"
#include "netstack/wire/tcp_options.hpp"

namespace netstack {

struct tcp;

// --- a connection

namespace tcp_nagle {  // tcp_sock::nonagle
inline constexpr u8 off = 1, cork = 2, push = 4;
inline constexpr u8 more = 8;  ///< MSG_MORE holds back what is last, and nothing was heard of what was sent since
}  // namespace tcp_nagle
/// What the application is told once a segment or a timer was dealt with, and the connection is in order again.
namespace tcp_event {
inline constexpr u8 readable = 1, writable = 2, state = 4, error = 8;
}

namespace tcp_ecn {                  // tcp_flow::ecn_flags
inline constexpr u8 ok = 1;          ///< both sides agreed
inline constexpr u8 queue_cwr = 2;   ///< the next new data says that the window was reduced
inline constexpr u8 demand_cwr = 4;  ///< congestion was experienced: acknowledgments echo it until the peer says so
inline constexpr u8 seen = 8;        ///< the peer marks what it sends
inline constexpr u8 ect = 16;        ///< the segment at hand is sent as ECN-capable
/// One of them: the next segments say more than others.
inline constexpr u8 has_news = queue_cwr | demand_cwr;
}  // namespace tcp_ecn

inline constexpr u32 tcp_infinite_ssthresh = 0x7fff'ffff;
inline constexpr u32 tcp_init_cwnd = 10;          ///< RFC 6928
inline constexpr u32 tcp_max_cwnd = 1u << 25;     ///< no window of the peer's holds more
inline constexpr u32 tcp_min_mss = 88;            ///< no peer makes us send smaller ones (SACK Panic)
inline constexpr u32 tcp_mss_default = 536;       ///< RFC 9293 §3.7.1
inline constexpr u32 tcp_frame_payload = 1024;    ///< what a frame that waits to be sent is taken to hold at least
inline constexpr u32 tcp_fastretrans_thresh = 3;  ///< RFC 5681 §3.2
inline constexpr u32 tcp_max_quickacks = 16;
inline constexpr u32 tcp_no_window_clamp = 0x3fff'ffff;
inline constexpr u32 tcp_timeout_init = 1'000'000;  ///< us, RFC 6298 §2
inline constexpr u32 tcp_rto_min = 200'000;
inline constexpr u32 tcp_timeout_fallback = 3'000'000;  ///< RFC 6298 §5.7
inline constexpr u32 tcp_timeout_min = 2'000;           ///< us: what no timer of less is worth
inline constexpr u8 tcp_rack_recovery_thresh = 16;      ///< RFC 8985 §6.2 step 4
inline constexpr u32 tcp_rto_max = 120'000'000;
inline constexpr u32 tcp_resource_probe_interval = 500'000;  ///< us: what found no frame is tried again after so long
inline constexpr u64 tcp_delack_min = 40'000'000;            ///< ns, MUST-40
inline constexpr u64 tcp_delack_tick = 4'000'000;            ///< … of a FIN before which no data came
inline constexpr u64 tcp_timewait_len = 60'000'000'000;      ///< MUST-13
inline constexpr u32 tcp_copybreak = 64;                     ///< payload that is copied to be sent, instead of cloned
inline constexpr u32 max_tcp_header = 192;  ///< in front of the payload: link, IP and TCP headers with options [S101]

/// What every segment compares: one cache line.
struct alignas(cache_line) tcp_numbers {
  u32 rcv_nxt = 0;     ///< expected next
  u32 copied_seq = 0;  ///< the reader has everything before it
  u32 rcv_wup = 0;     ///< rcv_nxt of the last window that was told
  u32 rcv_wnd = 0;     ///< that window
  u32 snd_una = 0;     ///< oldest that is not acknowledged
  u32 snd_nxt = 0;
  u32 snd_wnd = 0;                                    ///< the peer's window: MUST-1, REC-1
  u32 snd_wl1 = 0;                                    ///< the segment that told it
  u32 write_seq = 0;                                  ///< behind what is queued
  u32 max_window = 0;                                 ///< the largest it was
  u32 packets_out = 0;                                ///< segments between snd_una and snd_nxt that have a packet
  u32 retrans_out = 0, sacked_out = 0, lost_out = 0;  ///< of them
  u32 snd_cwnd = tcp_init_cwnd;                       ///< segments
  u16 mss_cache = tcp_mss_default;                    ///< payload of a full segment
  u8 snd_wscale = 0, rcv_wscale = 0;
};
/// What is unusual about a connection, in one word: most segments ask for several of these, and compare them at once.
struct alignas(8) tcp_marks {
  u8 nonagle = 0;  ///< tcp_nagle::…
  tcp_ca_state ca_state = tcp_ca_state::open;
  u8 ecn_flags = 0;  ///< tcp_ecn::…
  u8 num_sacks = 0;  ///< of tcp_ofo::selective_acks
  u16 urg_data = 0;  ///< tcp_urg_bits::…; 0: none ahead
  bool tstamp_ok : 1 = false;
  bool sack_ok : 1 = false;
  bool wscale_ok : 1 = false;
  bool pingpong : 1 = false;  ///< acknowledgments ride on answers
  bool ack_scheduled : 1 = false;
  bool ack_now : 1 = false;
  bool cwnd_limited : 1 = false;
  bool hashed : 1 = false;       ///< segments find it
  bool ack_nomem : 1 = false;    ///< the next acknowledgment closes the window: there is no memory
  bool nospace : 1 = false;      ///< a writer waits for room
  bool urg_mode : 1 = false;     ///< urgent data of ours is not acknowledged yet
  bool tx_stamps : 1 = false;    ///< it was asked when bytes leave or arrive: tcp_stamps.hpp
  bool mtu_probing : 1 = false;  ///< tcp_mtup is in use
  bool uto_due : 1 = false;      ///< RFC 5482: the next segment with room for it says how long we wait
  bool dsack : 1 = false;        ///< the next acknowledgment tells duplicate_sack
  bool recvmsg_inq : 1 = false;  ///< TCP_INQ: recvmsg() tells how much is left

  [[nodiscard]] NETSTACK_INLINE u64 word() const {
    u64 w;
    std::memcpy(&w, static_cast<void const*>(this), sizeof w);
    return w;
  }
  /// What `mask` names is as in `is`.
  [[nodiscard]] NETSTACK_INLINE bool match(tcp_marks const& mask, tcp_marks const& is) const {
    return (word() & mask.word()) == is.word();
  }
};
static_assert(sizeof(tcp_marks) == 8);
inline constexpr auto tcp_any_ca_state = static_cast<tcp_ca_state>(0xff);

/// What most segments touch: the next.
struct alignas(cache_line) tcp_flow : tcp_marks {
  u32 ts_recent = 0;  ///< RFC 7323 §4.3 TS.Recent
  u32 tsoffset = 0;   ///< our clock's, so that it says nothing of the host's
  u32 srtt_us = 0;    ///< smoothed round-trip time, times 8; 0: none yet
  u32 mdev_us = 0;    ///< smoothed deviation from it, times 4
  u32 rttvar_us = 0;  ///< what that was at most, of late: what the timeout adds to the round trip
  u32 snd_ssthresh = tcp_infinite_ssthresh;
  u32 snd_cwnd_cnt = 0;
  u32 csum_flow = 0;             ///< sum of addresses, protocol and ports, for every segment's checksum
  sk_buff* send_head = nullptr;  ///< the first that was never sent; in sk_write_queue
  u32 pmtu_cookie = 0;           ///< the path's MTU by which mss_cache was found; 0: it has to be found again
  u16 advmss = tcp_mss_default;
  u16 rcv_mss = tcp_mss_default;  ///< what the peer's full segments are
  u32 rtt_min_us = 0;             ///< within tcp_min_rtt_wlen
  u8 quick_acks = 0;              ///< so many acknowledgments are not delayed
  u8 events = 0;                  ///< tcp_event::…
  u8 scaling_ratio = 0;           ///< payload of a full segment in what its frame costs, of 256
  u8 last_seg_bits = 0;           ///< the last ones of the last segment's size, if it was shorter than full
};
/// What is counted and stamped as segments come and go: the third.
struct alignas(cache_line) tcp_counts {
  u64 rcv_tstamp = 0;  ///< worker time of the last acknowledgment
  u64 lrcvtime = 0;    ///< of the last data
  u64 lsndtime = 0;
  u64 bytes_received = 0, bytes_acked = 0;
  u32 segs_in = 0, segs_out = 0;
  u32 snd_sml = 0;          ///< end of the last segment that was less than full
  u32 max_packets_out = 0;  ///< in the window that ends with cwnd_usage_seq
  u32 cwnd_usage_seq = 0;
  u32 delivered = 0;  ///< segments that are known to have arrived, repeated ones included: tcp_rate.hpp
};
static_assert(sizeof(tcp_numbers) == cache_line && sizeof(tcp_flow) == cache_line && sizeof(tcp_counts) == cache_line);

struct tcp_peer_mss {
  u16 mss_clamp = tcp_mss_default;  ///< the peer's MSS option
};
/// How much the reader takes in a round trip, and how long that is: what the receive buffer follows
/// (tcp_rcv_space.hpp).
struct tcp_rcvq {
  u32 rcvq_space = 0;  ///< bytes in the best round trip so far
  u32 rcvq_seq = 0;    ///< copied_seq when this one began
  u32 rcvq_time = 0;   ///< tcp_rcvq_clock()
  u32 rcv_rtt_us = 0;  ///< times 8; 0: unknown
  /// Without time stamps: a round trip is over when the peer has sent beyond it; with them the echo that was measured
  /// last.
  u32 rcv_rtt_seq = 0;
  u32 rcv_rtt_time = 0;
};
/// Whether there is an urgent byte, in tcp_sock::urg_data above the byte itself.
namespace tcp_urg_bits {
inline constexpr u16 valid = 0x100, notyet = 0x200, read = 0x400;
}

/// What the application asked for, and what has room beside that.
struct tcp_settings {
  u32 window_clamp = tcp_no_window_clamp;               ///< TCP_WINDOW_CLAMP
  u32 ts_recent_stamp = 0;                              ///< tw_clock() of ts_recent
  u32 mdev_max_us = 0;                                  ///< the most of mdev_us in this round trip: tcp_rtt_estimator()
  u16 reordering = tcp_fastretrans_thresh;              ///< segments
  bool syn_fastopen : 1 = false, syn_data : 1 = false;  ///< our SYN said something of Fast Open, had data
  bool syn_data_acked : 1 = false;                      ///< which arrived
  bool fastopen_connect : 1 = false;                    ///< TCP_FASTOPEN_CONNECT
  bool fastopen_asked : 1 = false;                      ///< … by which the SYN asked for a cookie
  bool fastopen_no_cookie : 1 = false;                  ///< TCP_FASTOPEN_NO_COOKIE
  bool syn_fastopen_ch : 1 = false;                     ///< it tries whether a path that swallowed such still does
  bool user_timeout_set : 1 = false;                    ///< TCP_USER_TIMEOUT: the peer's advice is not heard
  bool bind_reuseport : 1 = false;                      ///< SO_REUSEPORT, when bind() or listen() got the port
  bool bound : 1 = false;                               ///< it has its port
  bool own_timers : 1 = false;                          ///< TCP_RTO_MIN_US and its like are in tcp_rare
  bool shares_port : 1 = false;                         ///< it is one of inet_bind_hashbucket::connected
  bool rate_app_limited : 1 = true;
  tcp_fastopen_client_fail fastopen_client_fail : 2 = tcp_fastopen_client_fail::unspec;
};

/// What is in flight, what was measured of it, and what lies beside (tcp_beside.hpp).
struct tcp_flight {
  tcp_ofo* ofo = nullptr;  ///< null: nothing waits behind a gap
  // --- what was sent and is not acknowledged (tcp_rtx_queue.hpp) ---
  tcp_skb_fifo tsorted_sent_queue;  ///< in flight, the oldest transmission first
  tcp_repair* repair = nullptr;     ///< null: all is well
  // --- RFC 8985: RACK and TLP ---
  u64 rack_mstamp = 0;  ///< when the segment left that was sent last of those that arrived
  u32 rack_rtt_us = 0;  ///< how long it took
  u32 rack_end_seq = 0;
  u8 ofo_acks = 0;  ///< sent at once for what came behind a gap, since it opened or moved
  u8 rack_reo_wnd_steps = 1;
  u8 rack_reo_wnd_persist = 0;  ///< recoveries until the window is a single step again
  bool rack_in_dsack_round : 1 = false;
  bool rack_advanced : 1 = false;  ///< a later one arrived since losses were last looked for
  bool reord_seen : 1 = false;
  bool tlp_outstanding : 1 = false;  ///< a probe was sent, up to tcp_repair::tlp_high_seq
  bool tlp_retrans : 1 = false;      ///< … and was a repetition
  bool frto : 1 = false;             ///< RFC 5682: is the timeout spurious?
  bool is_sack_reneg : 1 = false;    ///< RFC 2018 §8: the receiver threw away what it had told of
  bool undo_marker_set : 1 = false;  ///< tcp_past::undo_marker is
  u32 rtt_min_stamp = 0;             ///< tcp_tick() when rtt_min_us was measured
  u32 app_limited = 0;               ///< up to so many delivered the application was slower than the path; 0: it is not
  u32 first_tx = 0, delivered_time = 0;          ///< us, as in tcp_tx_stamp
  u32 rate_delivered = 0, rate_interval_us = 0;  ///< the last good sample of the delivery rate
  u32 rtt_seq = 0;                               ///< the round trip of mdev_max_us ends when more is acknowledged
  tcp_rare const* rare = &tcp_no_rare;           ///< written by tcp_rare_of()
};

struct tcp_sock : inet_connection_sock,
                  tcp_peer_mss,
                  tcp_account,
                  tcp_beside,
                  tcp_rcvq,
                  tcp_settings,
                  tcp_flight,
                  tcp_numbers,
                  tcp_flow,
                  tcp_counts {
  static constexpr inet_kind kind = inet_kind::sock;
};
static_assert(sizeof(tcp_sock) <= 704);
[[nodiscard]] inline tcp_sock& tcp_sk(sock& sk) { return static_cast<tcp_sock&>(sk); }
[[nodiscard]] inline tcp_sock const& tcp_sk(sock const& sk) { return static_cast<tcp_sock const&>(sk); }

/// Of one that has some.
[[nodiscard]] inline tcp_rare& tcp_own_rare(tcp_sock& tp) { return const_cast<tcp_rare&>(*tp.rare); }

/// Who began before its handshake was complete counts against its listener until it is, or is given up.
inline void reqsk_fastopen_remove(sock& sk) {
  if (!tcp_sk(sk).rare->fastopen_rsk) [[likely]]
    return;
  sock* const listener = std::exchange(tcp_own_rare(tcp_sk(sk)).fastopen_rsk, nullptr);
  if (tcp_sk(*listener).rare->fastopen_qlen != 0)  // it has not been closed meanwhile
    --tcp_own_rare(tcp_sk(*listener)).fastopen_qlen;
  sock_put(*listener);
}
/// Such a one, still without its handshake: it reads and writes as if it had it.
[[nodiscard]] inline bool tcp_passive_fastopen(sock const& sk) {
  return sk.sk_state == tcp_state::syn_recv && tcp_sk(sk).rare->fastopen_rsk;
}

/// States as bits, Linux's TCPF_*.
[[nodiscard]] constexpr u32 tcpf(u8 state) { return 1u << state; }
template <class... States>
[[nodiscard]] bool tcp_in_state(sock const& sk, States... states) {
  return (tcpf(sk.sk_state) & (tcpf(states) | ...)) != 0;
}

// --- socks smaller than a connection

/// A SYN that was answered: SYN-RECEIVED without a connection yet.
struct tcp_request_sock {
  static constexpr inet_kind kind = inet_kind::request;
  void* net = nullptr;
  sock* rsk_listener = nullptr;  ///< held
  u64 due = 0;                   ///< of a hashed one: worker time of what is done if nothing is heard
  slab_node row_node{};          ///< in tcp_request_rows
  inet_ehash_key key{};
  u32 rcv_isn = 0, snt_isn = 0, ts_recent = 0, ts_off = 0, rcv_wnd = 0;
  u32 hash = 0;      ///< of its ends
  u8 ireq_opt = 0;   ///< IP options of what is sent: of ipv4_worker::ip_options, from 1; 0: none
  u8 saved_syn = 0;  ///< as tcp_beside's
  u32 sent_us = 0;   ///< of a hashed one: tcp_clock_us() when the SYN-ACK left
  u32 oow_ack_stamp = 0;
  u16 mss = tcp_mss_default, adv_mss = 0;  ///< the peer's, ours
  u16 user_timeout = 0;                    ///< RFC 5482: the peer's advice, as its SYN wrote it; 0: none
  u8 snd_wscale = 0, rcv_wscale = 0;
  u8 num_timeout = 0;    ///< SYN-ACKs that waited in vain
  u8 num_retrans = 0;    ///< … that were repeated, also because the SYN was
  u8 row = 0;            ///< of tcp_request_rows
  u8 scaling_ratio = 0;  ///< tcp_flow's
  bool tstamp_ok = false, sack_ok = false, wscale_ok = false, ecn_ok = false;
  bool hashed = false;  ///< segments find it
  bool acked = false;   ///< the handshake is complete, but its connection is not wanted yet, or has no room
};
static_assert(sizeof(tcp_request_sock) <= 128);

/// Whoever waits for an answer to a SYN-ACK, the next whose time comes first in each row: all in a row wait equally
/// long, so that each finds its place at the end, whatever flood of SYNs comes, and one timer does for all.
struct tcp_request_rows {
  static constexpr u32 usual = 8;  ///< rows: after so many timeouts; before the last none waits as long as any may
  static constexpr u32 own = 8;    ///< … of those who wait no longer than their listener wants
  slab_list<tcp_request_sock, &tcp_request_sock::row_node> rows[usual + own];
  u32 own_wait[own]{};  ///< us; of a row that is not empty
  timer_list timer;
};

/// A connection whose end is over, kept so that its late segments meet somebody; or FIN_WAIT2 that nobody holds.
struct tcp_timewait_sock : inet_timewait_ends {
  static constexpr inet_kind kind = inet_kind::timewait;
  static constexpr u32 dif_bits = 24;
  u32 due = 0;  ///< when it goes: worker time in ms, modulo 2^32
  u32 rcv_nxt = 0, snd_nxt = 0, ts_recent = 0, ts_offset = 0;
  u32 hash = 0;  ///< of its ends
  slab_node bind_node{};
  slab_node row_node{};    ///< in tcp_death_row
  u32 dif : dif_bits = 0;  ///< the device it is bound to, which has no larger number; 0: any
  u8 netns = 0;
  u16 rcv_wnd = 0;          ///< as its segments tell it
  u16 ts_recent_stamp = 0;  ///< tw_stamp(): when ts_recent was taken, or 15 minutes ago
  u16 oow_ack_stamp = 0;    ///< ms, modulo 2^16
  u8 tos = 0;
  u8 rcv_wscale : 4 = 0;
  u8 is_fin_wait2 : 1 = 0;
  u8 reuse : 1 = 0;
  u8 reuseport : 1 = 0;

  [[nodiscard]] inet_ehash_key key() const { return inet_key_of(*this, dif); }
  [[nodiscard]] u8 substate() const { return is_fin_wait2 ? tcp_state::fin_wait2 : tcp_state::time_wait; }
};
static_assert(sizeof(tcp_timewait_sock) == 64);
/// Whoever waits for his end, the next to go first. In a state all wait equally long, or nearly, so that each finds its
/// place at the end of a row, and one timer does for all.
struct tcp_death_row {
  using row = slab_list<tcp_timewait_sock, &tcp_timewait_sock::row_node>;
  row time_wait, fin_wait2;
  timer_list timer;
  [[nodiscard]] row& of(tcp_timewait_sock const& tw) { return tw.is_fin_wait2 ? fin_wait2 : time_wait; }
};

// --- counters and settings

/// net/ipv4/tcp_recovery. Bit 0, RACK itself, is always on.
namespace tcp_recovery_bits {
inline constexpr u8 rack = 1, static_reo_wnd = 2, no_dupthresh = 4;
}

/// pernet of tcp.
struct tcp_net {
  tcpext_mib mib;
  proto_limits limits;  ///< net/ipv4/tcp_mem
  s32 sysctl_tcp_rmem[3] = {4096, 131072, 6291456};
  s32 sysctl_tcp_wmem[3] = {4096, 16384, 4194304};
  u8 sysctl_tcp_timestamps = 1;
  u8 sysctl_tcp_sack = 1;
  u8 sysctl_tcp_dsack = 1;
  u8 sysctl_tcp_window_scaling = 1;
  u8 sysctl_tcp_syn_retries = 6;
  u8 sysctl_tcp_syn_linear_timeouts = 4;  ///< so many SYNs wait no longer than the first
  u8 sysctl_tcp_synack_retries = 5;
  u8 sysctl_tcp_retries1 = 3;
  u8 sysctl_tcp_retries2 = 15;
  u8 sysctl_tcp_orphan_retries = 0;
  u8 sysctl_tcp_keepalive_probes = 9;
  u8 sysctl_tcp_rfc1337 = 0;
  u8 sysctl_tcp_abort_on_overflow = 0;
  u8 sysctl_tcp_syncookies = 1;                   ///< 0: never, 1: when there is no room, 2: always
  u8 sysctl_tcp_tw_reuse = 2;                     ///< 0: never, 1: any, 2: of connections within this host
  u64 sysctl_tcp_tw_reuse_delay = 1'000'000'000;  ///< since the old one's last segment
  u8 sysctl_tcp_early_demux = 1;
  u8 sysctl_tcp_slow_start_after_idle = 1;
  u8 sysctl_tcp_recovery = 1;       ///< tcp_recovery_bits::…
  u8 sysctl_tcp_early_retrans = 3;  ///< 3: tail loss probes, 0: none
  u8 sysctl_tcp_frto = 2;           ///< 0: every timeout is taken for a loss
  u32 sysctl_tcp_reordering = tcp_fastretrans_thresh;
  u32 sysctl_tcp_max_reordering = 300;
  u32 sysctl_tcp_rto_min_us = tcp_rto_min;
  u32 sysctl_tcp_rto_max_ms = tcp_rto_max / 1000;
  u64 sysctl_tcp_min_rtt_wlen = 300'000'000'000;
  u8 sysctl_tcp_moderate_rcvbuf = 1;
  u8 sysctl_tcp_autocorking = 1;
  u8 sysctl_tcp_stdurg = 0;
  u8 sysctl_tcp_mtu_probing = 0;
  u32 sysctl_tcp_notsent_lowat = 0xffff'ffff;
  s32 sysctl_tcp_base_mss = 1024;
  s32 sysctl_tcp_mtu_probe_floor = 48;
  s32 sysctl_tcp_min_snd_mss = 48;
  s32 sysctl_tcp_probe_threshold = 8;
  u64 sysctl_tcp_probe_interval = 600'000'000'000;
  u8 sysctl_tcp_ecn = 2;  ///< 0: never, 1: asked for, 2: agreed to
  u8 sysctl_tcp_ecn_fallback = 1;
  u8 sysctl_tcp_user_timeout_option = 0;
  u8 congestion_control = 0;                                               ///< of Net::tcp_congestion
  u32 sysctl_tcp_pacing_ss_ratio = 200, sysctl_tcp_pacing_ca_ratio = 120;  ///< % of window per round trip
  u64 sysctl_tcp_keepalive_time = 7'200'000'000'000;
  u64 sysctl_tcp_keepalive_intvl = 75'000'000'000;
  u64 sysctl_tcp_fin_timeout = 60'000'000'000, sysctl_tcp_invalid_ratelimit = 500'000'000;
  s32 sysctl_tcp_challenge_ack_limit = 0x7fff'ffff;  ///< a second; this: no limit
  u32 challenge_timestamp = 0, challenge_count = 0;  ///< a second from 1 on, and what is left in it
  u32 sysctl_max_syn_backlog = 256;
  s32 sysctl_tcp_fastopen = 1;                    ///< tfo::…
  u64 sysctl_tcp_fastopen_blackhole_timeout = 0;  ///< 0: no path is suspected
  u64 tfo_active_disable_stamp = 0;               ///< when one swallowed what followed, the last time
  u32 tfo_active_disable_times = 0;
  tcp_fastopen_context fastopen_ctx;
  u32 sysctl_tcp_max_orphans = 256;
  u32 sysctl_tcp_max_tw_buckets = 512;
  u32 orphan_count = 0;  ///< connections that nobody holds
};

/// RFC 7323 and RFC 2018 are spoken, all of it.
[[nodiscard]] inline bool tcp_offers_all(tcp_net const& ns) {
  return ns.sysctl_tcp_timestamps != 0 && ns.sysctl_tcp_sack != 0 && ns.sysctl_tcp_window_scaling != 0;
}
template <class Net>
[[nodiscard]] tcp_net& tcp_pernet(Net& net) {
  return net_generic<tcp>(net);
}
/// Counters, spelled nearly as in Linux: `++TCP_STATS(net).InSegs`, `++NET_STATS(net).TCPTimeouts`.
template <class Net>
[[nodiscard]] tcp_mib& TCP_STATS(Net& net) {
  return ipv4_net(net).mib.tcp_statistics;
}
template <class Net>
[[nodiscard]] tcpext_mib& NET_STATS(Net& net) {
  return tcp_pernet(net).mib;
}

/// Whoever has a port.
struct alignas(cache_line) inet_bind_hashbucket {
  slab_place listeners = 0;  ///< the first, which leads to the others: icsk_listening::next
  /// By bind() or listen(); by connect(), or from a listener, none of whom is in the way of another connect(); and of
  /// these the latest, so that whoever goes soon touches none of those that have stayed.
  list<sock, &sock::sk_portaddr_node> bound, connected, newest;
  slab_list<tcp_timewait_sock, &tcp_timewait_sock::bind_node> timewaits;

  NETSTACK_COLD void newest_stay() { connected.splice(connected.begin(), newest); }
  NETSTACK_INLINE void add_connected(sock& sk) {
    if (!newest.empty()) [[unlikely]]
      newest_stay();
    newest.push_front(sk);
  }
};
static_assert(sizeof(inet_bind_hashbucket) == cache_line);
/// Every connection of a worker by both its ends, and every port in use. [S145] [S146]
/// Of the first table twice as many slots are used as there ever were entries: linear hashing, where one slot after the
/// other comes into use and takes half of an earlier one's chain. So what is touched of a table that has room for a
/// million is no more than its entries need, and lies in the caches.
template <u32 Slots, u32 Socks, u32 Requests, u32 Timewaits>
struct inet_hashinfo {
  static_assert(std::has_single_bit(Slots));
  static constexpr u32 least = Slots < 16 ? Slots : 16;
  /// Ports share them. A new connection enters its port's: were there more than the second cache holds, it would wait.
  static constexpr u32 bind_slots = Slots < 4096 ? Slots : 4096;
  u32 entries;  ///< in all chains
  u32 size;     ///< slots in use
  u32 mask;     ///< of twice as many slots as the power of two that is used already
  void begin() { size = least, mask = 2 * least - 1; }
  [[nodiscard]] u32 slot(u32 hash) const {
    return hash & mask >> ((hash & mask) >= size);  // by a shift: no branch foretells it
  }
  [[nodiscard]] std::span<inet_link const> slots() const { return {ehash, size}; }
  inet_link ehash[Slots];  ///< the first in each
  /// What follows it in its slot. Apart from what the links lead to, so that who passes others waits for none of them.
  [[nodiscard]] inet_link& next(inet_link of) {
    static constexpr u32 begins[]{0, 0, Socks, Socks + Requests};
    return nexts[begins[static_cast<u32>(of.kind())] + of.index()];
  }
  inet_link nexts[Socks + Requests + Timewaits];
  /// Where somebody is. Of a large table this alone lies in the caches, and tells mostly that nobody has some ends.
  bit_row<Slots> used;
  inet_bind_hashbucket bhash[bind_slots];
  /// Where `bound` is not empty. All that must be read to choose a port, so that it never waits for memory.
  bit_row<bind_slots> bhash_bound;
  void set_bound(u32 slot) { bhash_bound.set(slot, !bhash[slot].bound.empty()); }
};

/// perworker of tcp.
template <class Host>
struct tcp_worker {
  static_assert(std::max({Host::sizes.max_sock, Host::sizes.max_request, Host::sizes.max_timewait}) <=
                    inet_link::max_index,
                "max_sock, max_request, max_timewait: a worker counts up to 16,777,215 of each");
  slab<tcp_sock, Host::sizes.max_sock> socks;
  tcp_sock fresh_sock;  ///< as each of them begins
  slab<tcp_ofo, std::min(Host::sizes.max_ofo, Host::sizes.max_sock)> ofos;
  slab<tcp_repair, Host::sizes.max_sock> repairs;
  slab<tcp_rare, Host::sizes.max_sock> rares;
  slab<sock_rare, Host::sizes.max_sock> sock_rares;
  slab<tcp_ca_priv, Host::sizes.max_sock> cas;
  slab<tcp_request_sock, Host::sizes.max_request> requests;
  slab<tcp_timewait_sock, Host::sizes.max_timewait> timewaits;
  slab<tcp_saved_syn, std::clamp<u32>(Host::sizes.max_sock / 8, 16, 254)> saved_syns;
  slab<tcp_fastopen_context, std::clamp<u32>(Host::sizes.max_sock / 64, 4, 254)> fastopen_ctxs;
  tcp_request_rows request_rows;
  tcp_death_row death_row;
  inet_hashinfo<Host::sizes.sock_hash, Host::sizes.max_sock, Host::sizes.max_request, Host::sizes.max_timewait>
      hashinfo;
  proto_memory memory;
  u64 sk_genid = 1;                ///< whose a segment is, is known while this is the same
  sock* born = nullptr;            ///< the connection that a handshake's last segment made, as long as that is at hand
  u64 born_genid = 0;              ///< sk_genid then
  multilinear_key ehash_secret{};  ///< a stranger cannot fill one slot of the tables
  siphash_key_t flow_secret{};     ///< nor tell which of a SO_REUSEPORT group a flow goes to
  siphash_key_t isn_secret{};      ///< RFC 6528 §3, RFC 7323 §5.4
  u64 congestion_allowed = 0;      ///< net/ipv4/tcp_allowed_congestion_control: bits of rows
  siphash_key_t syncookie_secret{};
  siphash_key_t
      fastopen_secret{};  ///< the same for all workers: a client's next flow may be another's. Of it come keys
  std::array<tcp_fastopen_metrics, 256> fastopen_cache;
};
template <class Net>
[[nodiscard]] auto& tcp_worker_of(Net& net) {
  return worker_generic<tcp>(net.worker());
}

/// From now on it has some of its own.
template <class Net>
tcp_rare& tcp_rare_of(Net& net, tcp_sock& tp) {
  if (tp.rare == &tcp_no_rare) {
    tcp_rare* const own = tcp_worker_of(net).rares.alloc();
    BUG_ON(!own, "fewer tcp_rares than connections");
    tp.rare = own;
  }
  return tcp_own_rare(tp);
}
template <class Net>
void tcp_rare_free(Net& net, tcp_sock& tp) {
  if (tp.rare == &tcp_no_rare) [[likely]]
    return;
  tcp_worker_of(net).rares.free(&tcp_own_rare(tp));
  tp.rare = &tcp_no_rare;
}

/// From now on it is held back by something else. What few are held back by is counted where that lies.
template <class Net>
NETSTACK_INLINE void tcp_chrono_set(Net& net, tcp_sock& tp, tcp_chrono what) {
  if (tp.chrono == what) [[likely]]
    return;
  u32 const now = tcp_tick(net.worker().now), spent = now - std::exchange(tp.chrono_since, now);
  auto const was = std::exchange(tp.chrono, what);
  if (was == tcp_chrono::busy)
    tp.chrono_busy += spent;
  else if (was != tcp_chrono::idle) [[unlikely]]
    (was == tcp_chrono::rwnd_limited ? tcp_rare_of(net, tp).rwnd_limited : tcp_rare_of(net, tp).sndbuf_limited) +=
        spent;
}

/// The socket's congestion control.
template <class Net>
[[nodiscard]] tcp_congestion_ops<Net> const& tcp_ca(sock const& sk) {
  return Net::tcp_congestion.rows[inet_csk(sk).icsk_ca_idx];
}
/// The IP version's calls: there is one (tcp_ipv4.hpp).
template <class Net>
[[nodiscard]] constexpr inet_connection_sock_af_ops<Net> const& tcp_af_ops(sock const&);

/// The clock of rates, us modulo 2^32.
template <class Net>
[[nodiscard]] u32 tcp_clock_us(Net& net) {
  return net.worker().now_us;
}
/// RFC 7323 §5.4: milliseconds, from where the connection's own offset says.
template <class Net>
[[nodiscard]] u32 tcp_time_stamp(Net& net) {
  return net.worker().now_ms;
}

[[nodiscard]] inline bool tcp_is_sack(tcp_sock const& tp) { return tp.sack_ok; }
/// RFC 6675 §2: what is believed to be in the network. Without SACK, `sacked_out` counts duplicate acknowledgments,
/// so that each of them lets something new out (RFC 3042).
[[nodiscard]] inline u32 tcp_left_out(tcp_sock const& tp) { return tp.sacked_out + tp.lost_out; }
[[nodiscard]] inline u32 tcp_packets_in_flight(tcp_sock const& tp) {
  return tp.packets_out - tcp_left_out(tp) + tp.retrans_out;
}
[[nodiscard]] inline bool tcp_in_slow_start(tcp_sock const& tp) { return tp.snd_cwnd < tp.snd_ssthresh; }
/// Behind the last byte that the peer lets us send.
[[nodiscard]] inline u32 tcp_wnd_end(tcp_sock const& tp) { return tp.snd_una + tp.snd_wnd; }
/// What is left of the window that we told; never negative, although we may have taken a little more.
[[nodiscard]] inline u32 tcp_receive_window(tcp_sock const& tp) {
  auto const left = static_cast<s32>(tp.rcv_wup + tp.rcv_wnd - tp.rcv_nxt);
  return left < 0 ? 0 : static_cast<u32>(left);
}

}  // namespace netstack
