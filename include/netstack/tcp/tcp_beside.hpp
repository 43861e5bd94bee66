// SPDX-License-Identifier: BSL-1.0
// Decides: what hardly any socket has at a time, and so lies beside it: what waits behind a gap; the repair of losses;
// the search for the path's MTU, urgent data, answers to what is amiss, options that few ask for; the headers of its
// SYN, for who accepts it to read; the Fast Open keys of a listener; a call that sends data with its SYN. And what a
// client remembers of a server.
// called by tcp_sock.hpp, tcp_state.hpp, setsockopt, getsockopt, tcp_conn_request, tcp_fastopen, tcp_destroy_sock
// Linux: include/net/request_sock.h (struct saved_syn), include/net/tcp.h (struct tcp_fastopen_context),
// net/ipv4/tcp_metrics.c
#pragma once
#include <array>
#include <utility>

#include "netstack/base/siphash.hpp"
#include "netstack/registry/tcp_congestion_ops.hpp"
#include "netstack/tcp/tcp_skb.hpp"
#include "netstack/tcp/tcp_v4_ends.hpp"
#include "netstack/wire/tcp_options.hpp"

namespace netstack {

class iov_iter;
struct sock;

/// What lies in a slab of its own: numbers in it, from 1; 0: none.
struct tcp_beside {
  u8 saved_syn = 0;     ///< of tcp_worker::saved_syns: what TCP_SAVED_SYN has not read yet
  u8 fastopen_ctx = 0;  ///< of tcp_worker::fastopen_ctxs: TCP_FASTOPEN_KEY
  u8 save_syn = 0;      ///< TCP_SAVE_SYN: of a connection's SYN, 1: IP's and TCP's headers, 2: the link's, too
};
/// The headers of a SYN, from the first that was asked for on.
struct tcp_saved_syn {
  static constexpr u32 max = 24 + 60 + 60;
  u8 len = 0;
  std::array<u8, max> bytes;
};
/// A server's Fast Open keys: one by which cookies are made, and one by which they were.
struct tcp_fastopen_context {
  u32 num = 1;
  std::array<siphash_key_t, 2> key{};
};
/// RFC 7413: what a server gives, so that a client may send data with its SYN.
struct tcp_fastopen_cookie {
  std::int8_t len = -1;  ///< -1: none; 0: one is asked for
  std::array<u8, tcpopt::fastopen_max> val{};
};
/// A call that connects and has data.
struct tcp_fastopen_request {
  iov_iter* data = nullptr;  ///< null: none yet
  tcp_fastopen_cookie cookie{};
};
/// What a client remembers of a server.
struct tcp_fastopen_metrics {
  void* net = nullptr;
  inet_hosts hosts{};
  u64 last_syn_loss = 0;
  tcp_fastopen_cookie cookie{};
  u16 mss = 0;
  u8 syn_loss = 0;
};

/// What came and waits behind a gap: of few connections at a time, so that only those have one.
struct tcp_ofo {
  tcp_skb_tree queue;                                              ///< never empty between two calls
  std::array<tcp_sack_block, tcpopt::max_sacks> selective_acks{};  ///< what we have beyond rcv_nxt, the latest first
};
/// What a connection has while something is amiss: from the first doubt, probe or repetition on until all is again as
/// if nothing had been (tcp_repair_settle). There are as many as socks, so that one is always free; few are ever
/// touched.
struct tcp_repair {
  tcp_skb_fifo lost_queue;             ///< believed lost, the next to be repaired first
  tcp_skb_tree sack_index;             ///< of the segments up to sack_indexed, those that are not known to be there
  sk_buff* sack_indexed = nullptr;     ///< null: none that is still in the queue
  tcp_skb_tree sacked_again;           ///< of those that are known to be there, what was sent more than once
  u32 rtx_high = 0;                    ///< nothing from here on was sent twice
  u32 highest_sack = 0;                ///< where the highest ends that was selectively acknowledged, if any was
  u32 tlp_high_seq = 0;                ///< if tlp_outstanding
  u32 high_seq = 0;                    ///< the episode ends when this is acknowledged
  u32 prr_delivered = 0, prr_out = 0;  ///< RFC 6937
  u32 retrans_stamp = 0;               ///< time stamp of the first retransmission; 0: there was none
  u8 rack_nth = 0;                     ///< with tcp_sock::rack_end_seq, if that was sent again
  tcp_sack_block duplicate_sack{};     ///< RFC 2883: what came twice, until it is told (tcp_marks::dsack)
};
/// RFC 4821: what is known of the path's MTU without being told (tcp_mtu.hpp).
struct tcp_mtup {
  u32 search_high = 0, search_low = 0;  ///< MTUs: the least that may be too large, the largest that is known to pass
  u32 probe_size = 0;                   ///< an MTU that is being tried; 0: none
  u32 probe_seq_start = 0, probe_seq_end = 0;
  u32 probe_stamp = 0;  ///< ms: when the search began
};
/// Options that few ask for.
struct tcp_rare_settings {
  u16 keepalive_time = 0, keepalive_intvl = 0;  ///< s; 0: the namespace's
  u16 user_mss = 0;                             ///< TCP_MAXSEG
  u8 keepalive_probes = 0;
  std::int8_t linger2 = 0;  ///< s; 0: tcp_fin_timeout, -1: none
  u32 notsent_lowat = 0;    ///< TCP_NOTSENT_LOWAT; 0: the namespace's
  u32 user_timeout = 0;     ///< ms: TCP_USER_TIMEOUT, or the peer's advice; 0: as many tries as the namespace allows
  u32 rto_max_ms = 0, rto_min_us = 0, delack_max_us = 0;  ///< TCP_RTO_MAX_MS and its like; 0: everybody's
  friend bool operator==(tcp_rare_settings const&, tcp_rare_settings const&) = default;
};
/// What a connection that lost something, or was thought to have, remembers of it.
struct tcp_past {
  u64 retrans_start = 0;  ///< worker time of the first question that is not answered; 0: none was asked
  // --- the last episode of recovery ---
  u32 undo_marker = 0;    ///< snd_una when it began
  s32 undo_retrans = -1;  ///< repetitions of which no DSACK told yet; -1: there was none
  u32 prior_cwnd = 0, prior_ssthresh = 0;
  alignas(8) std::array<std::byte, tcp_ca_priv_inline> ca_undo{};  ///< tcp_ca_undo()
  // --- what is counted ---
  u64 bytes_retrans = 0;
  u32 total_retrans = 0;
  u32 lost = 0;  ///< segments that were believed lost
  u32 reord_events = 0, rcv_ooopack = 0;
  u16 total_rto = 0, total_rto_recoveries = 0;
  u32 total_rto_time = 0;                    ///< ms
  u32 rto_stamp = 0;                         ///< ms: the first timeout of those that are not over
  u32 oow_ack_stamp = 0;                     ///< ms: the last answer to something amiss
  u32 dsack_dups = 0;                        ///< what DSACKs told of, ever
  u32 rack_dsack_round = 0;                  ///< until this is acknowledged, further DSACKs tell nothing new
  u32 delivered_ce = 0;                      ///< segments that were acknowledged with an echo of congestion
  u32 rwnd_limited = 0, sndbuf_limited = 0;  ///< tcp_tick() of each before tcp_account::chrono began
};
/// What few connections ever need: repetitions, Fast Open, the search for the path's MTU, urgent data, answers to what
/// is amiss. Whoever has none reads tcp_no_rare. There are as many as connections, so that one is always free.
struct tcp_rare : tcp_rare_settings, tcp_past {
  tcp_fastopen_request* fastopen_req = nullptr;  ///< the call that sends data with its SYN is under way
  sock* fastopen_rsk = nullptr;                  ///< the listener, held
  u16 fastopen_qlen = 0, fastopen_max_qlen = 0;  ///< of a listener: connections without their handshake
  u16 fastopen_rst = 0;                          ///< … that ended with a RST, and count as long as those would
  u32 fastopen_rst_stamp = 0;                    ///< ms: the last of them
  u32 syn_qold = 0;                              ///< of a listener: half open, and a timeout long
  u32 urg_seq = 0;                               ///< the peer's urgent byte
  u32 snd_up = 0;                                ///< behind our own, in urg_mode
  u32 more_una = 0;                              ///< snd_una when tcp_nagle::more was set
  tcp_mtup mtup;
};
inline constexpr tcp_rare tcp_no_rare{};
/// What an algorithm keeps in a connection that is more than tcp_ca_priv_inline: BBR's.
struct alignas(8) tcp_ca_priv {
  std::byte bytes[tcp_ca_priv_size]{};
};

/// What tcp_beside has of this slab is needed no longer.
template <class Slab>
void tcp_beside_free(Slab& slab, u8& number) {
  if (u8 const at = std::exchange(number, u8{0}); at != 0) [[unlikely]]
    slab.free(&slab.at(at - 1u));
}

}  // namespace netstack
