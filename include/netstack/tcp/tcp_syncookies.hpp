// SPDX-License-Identifier: BSL-1.0
// Decides: how a SYN is answered without being remembered. What must be known again, the peer sends back itself: our
// initial sequence number says that we gave it to this peer, when, and for which MSS; our time stamp, which options
// hold. Nobody can make either up. The numbers only: tcp_syn.hpp sends them and makes the connection.
//
//   sequence number   h(ends) + its own + [ minute, 8 bits | h(ends, SYN, minute) + MSS index, 24 bits ]
//   time stamp        [ clock, 26 bits | ECN | SACK | window scale, 4 bits: 15 for none ]
//
// rx: called by tcp_request_sock_ops and tcp_cookie_check
// Linux: net/ipv4/syncookies.c; RFC 4987 §3.6 and appendix A, RFC 7323 §5.4 [S147]
#pragma once
#include "netstack/tcp/tcp_minisocks.hpp"

namespace netstack {

inline constexpr u64 syncookie_period = 60'000'000'000;
inline constexpr u32 max_syncookie_age = 2;  ///< periods, the one of the SYN included
/// The MSS that can be told; never more than the peer's own. The first is the least that any peer gets.
inline constexpr std::array<u16, 8> syncookie_mss{tcp_min_mss, 216, 536, 1220, 1300, 1400, 1440, 1460};

namespace detail {

inline constexpr u32 cookie_low_bits = 24, cookie_low_mask = (u32{1} << cookie_low_bits) - 1;

/// The part that only this SYN in this minute gets.
template <class Key>
[[nodiscard]] constexpr u32 cookie_low(siphash_key_t const& secret, Key const& key, u32 sseq, u32 minute) {
  return cookie_hash(secret, key, u64{minute} << 32 | sseq);
}
/// The part that grows with the peer's number, as for other connections.
template <class Key>
[[nodiscard]] constexpr u32 cookie_base(siphash_key_t const& secret, Key const& key, u32 sseq) {
  return cookie_hash(secret, key, ~u64{0}) + sseq;
}
[[nodiscard]] constexpr u32 cookie_minute(u64 now) { return static_cast<u32>(now / syncookie_period); }

}  // namespace detail

/// Our initial sequence number for a SYN from `key` that starts at `sseq`. Cuts the MSS to one that it can tell.
template <class Key>
[[nodiscard]] constexpr u32 cookie_init_sequence(siphash_key_t const& secret, Key const& key, u32 sseq, u64 now,
                                                 u16& mss) {
  u32 index = syncookie_mss.size() - 1;
  while (index > 0 && syncookie_mss[index] > mss) --index;
  mss = syncookie_mss[index];
  u32 const minute = detail::cookie_minute(now);
  u32 const low = (detail::cookie_low(secret, key, sseq, minute) + index) & detail::cookie_low_mask;
  return detail::cookie_base(secret, key, sseq) + (minute << detail::cookie_low_bits) + low;
}
/// The MSS that such a number tells; 0: it is none of ours, not for this peer, or too old.
template <class Key>
[[nodiscard]] constexpr u16 cookie_check(siphash_key_t const& secret, Key const& key, u32 sseq, u64 now, u32 cookie) {
  cookie -= detail::cookie_base(secret, key, sseq);
  u32 const minute = detail::cookie_minute(now);
  u32 const age = (minute - (cookie >> detail::cookie_low_bits)) & 0xff;
  if (age >= max_syncookie_age) return 0;
  u32 const index = (cookie - detail::cookie_low(secret, key, sseq, minute - age)) & detail::cookie_low_mask;
  return index < syncookie_mss.size() ? syncookie_mss[index] : u16{0};
}

namespace detail {
inline constexpr u32 cookie_ts_wscale = 15, cookie_ts_sack = 16, cookie_ts_ecn = 32, cookie_ts_mask = 63;
}

/// The time stamp, not later than `now`, that tells what the request agreed to.
[[nodiscard]] inline u32 cookie_init_timestamp(tcp_request_sock const& req, u32 now) {
  u32 const options = (req.wscale_ok ? req.snd_wscale : detail::cookie_ts_wscale) |
                      (req.sack_ok ? detail::cookie_ts_sack : 0) | (req.ecn_ok ? detail::cookie_ts_ecn : 0);
  u32 const ts = (now & ~detail::cookie_ts_mask) | options;
  return after(ts, now) ? ts - detail::cookie_ts_mask - 1 : ts;
}
/// What the SYN had asked for, by the time stamp that its sender echoes. True: ECN was agreed to.
inline bool cookie_timestamp_decode(tcp_options_received& syn, u32 ts) {
  syn.sack_ok = (ts & detail::cookie_ts_sack) != 0;
  syn.snd_wscale = static_cast<u8>(ts & detail::cookie_ts_wscale);
  syn.wscale_ok = syn.snd_wscale <= tcpopt::max_wscale;
  if (!syn.wscale_ok) syn.snd_wscale = 0;
  return (ts & detail::cookie_ts_ecn) != 0;
}

// --- has the listener sent any lately?

/// It could not remember a SYN. Its time stamp's place is free: it has no peer.
inline void tcp_synq_overflow(sock& listener, u64 now) {
  tcp_sk(listener).ts_recent_stamp = std::max(detail::tw_clock(now), 1u);
}
/// Otherwise no acknowledgment is looked at as if it were a cookie: there is nothing to guess.
[[nodiscard]] inline bool tcp_synq_recent_overflow(sock const& listener, u64 now) {
  u32 const last = tcp_sk(listener).ts_recent_stamp;
  return last != 0 && detail::tw_clock_since(last, now) <= max_syncookie_age * syncookie_period;
}

}  // namespace netstack
