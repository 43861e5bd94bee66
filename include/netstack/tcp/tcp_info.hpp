// SPDX-License-Identifier: BSL-1.0
// Decides: what a program may ask of a connection's life, in Linux's layout, and what a connection keeps for nothing
// but that: how much it sent in vain, and for how long what held it back. [S92]
// Linux: include/uapi/linux/tcp.h (struct tcp_info), include/net/tcp.h (enum tcp_chrono); RFC 4898
#pragma once
#include <cstddef>

#include "netstack/base/config.hpp"

namespace netstack {

namespace tcpi_opt {  // tcp_info::tcpi_options
inline constexpr u8 timestamps = 1, sack = 2, wscale = 4, ecn = 8, ecn_seen = 16, syn_data = 32;
}

/// tcp_info::tcpi_fastopen_client_fail: why no data went with our SYN, or did not arrive with it.
enum class tcp_fastopen_client_fail : u8 { unspec, cookie_unavailable, data_not_acked, syn_retransmitted };

/// The value of tcp_opt::info. Times in us, but where it says ms.
struct tcp_info {
  u8 tcpi_state = 0, tcpi_ca_state = 0, tcpi_retransmits = 0, tcpi_probes = 0, tcpi_backoff = 0, tcpi_options = 0;
  u8 tcpi_snd_wscale : 4 = 0, tcpi_rcv_wscale : 4 = 0;
  u8 tcpi_delivery_rate_app_limited : 1 = 0, tcpi_fastopen_client_fail : 2 = 0;
  u32 tcpi_rto = 0, tcpi_ato = 0, tcpi_snd_mss = 0, tcpi_rcv_mss = 0;
  u32 tcpi_unacked = 0, tcpi_sacked = 0;  ///< of a listener: who waits for accept(), and how many may
  u32 tcpi_lost = 0, tcpi_retrans = 0, tcpi_fackets = 0;
  u32 tcpi_last_data_sent = 0, tcpi_last_ack_sent = 0, tcpi_last_data_recv = 0, tcpi_last_ack_recv = 0;  ///< ms ago
  u32 tcpi_pmtu = 0, tcpi_rcv_ssthresh = 0, tcpi_rtt = 0, tcpi_rttvar = 0;
  u32 tcpi_snd_ssthresh = 0, tcpi_snd_cwnd = 0, tcpi_advmss = 0, tcpi_reordering = 0;
  u32 tcpi_rcv_rtt = 0, tcpi_rcv_space = 0, tcpi_total_retrans = 0;
  u64 tcpi_pacing_rate = 0, tcpi_max_pacing_rate = 0;  ///< bytes/s
  u64 tcpi_bytes_acked = 0, tcpi_bytes_received = 0;
  u32 tcpi_segs_out = 0, tcpi_segs_in = 0, tcpi_notsent_bytes = 0, tcpi_min_rtt = 0;
  u32 tcpi_data_segs_in = 0, tcpi_data_segs_out = 0;
  u64 tcpi_delivery_rate = 0;
  u64 tcpi_busy_time = 0, tcpi_rwnd_limited = 0, tcpi_sndbuf_limited = 0;
  u32 tcpi_delivered = 0, tcpi_delivered_ce = 0;
  u64 tcpi_bytes_sent = 0, tcpi_bytes_retrans = 0;
  u32 tcpi_dsack_dups = 0, tcpi_reord_seen = 0, tcpi_rcv_ooopack = 0, tcpi_snd_wnd = 0, tcpi_rcv_wnd = 0;
  u32 tcpi_rehash = 0;
  u16 tcpi_total_rto = 0, tcpi_total_rto_recoveries = 0;
  u32 tcpi_total_rto_time = 0;  ///< ms
  /// Of AccECN (RFC 9768), which is not spoken.
  u32 tcpi_received_ce = 0;
  u32 tcpi_delivered_e1_bytes = 0, tcpi_delivered_e0_bytes = 0, tcpi_delivered_ce_bytes = 0;
  u32 tcpi_received_e1_bytes = 0, tcpi_received_e0_bytes = 0, tcpi_received_ce_bytes = 0;
  u16 tcpi_accecn_fail_mode = 0, tcpi_accecn_opt_seen = 0;
};
static_assert(sizeof(tcp_info) == 280 && offsetof(tcp_info, tcpi_rto) == 8 &&
              offsetof(tcp_info, tcpi_pacing_rate) == 104 && offsetof(tcp_info, tcpi_bytes_sent) == 200 &&
              offsetof(tcp_info, tcpi_total_rto_time) == 244);

/// A clock of about a millisecond, modulo 50 days: a shift, where milliseconds were a division.
inline constexpr u32 tcp_tick_shift = 20;
[[nodiscard]] constexpr u32 tcp_tick(u64 ns) { return static_cast<u32>(ns >> tcp_tick_shift); }

/// What a sender with something to send is held back by.
enum class tcp_chrono : u8 { busy, rwnd_limited, sndbuf_limited, idle };

/// What TCP_INFO tells and nothing else reads.
struct tcp_account {
  u32 bytes_sent = 0;  ///< payload, repetitions included, modulo 2^32: tcp_bytes_sent()
  u32 data_segs_in = 0, data_segs_out = 0;
  u32 established = 0;   ///< ms
  u32 chrono_busy = 0;   ///< tcp_tick()s in which it was, before `chrono_since`
  u32 chrono_since = 0;  ///< tcp_tick() when `chrono` began
  tcp_chrono chrono = tcp_chrono::idle;
};

}  // namespace netstack
