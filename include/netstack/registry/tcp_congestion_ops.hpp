// SPDX-License-Identifier: BSL-1.0
// Decides: what a congestion control algorithm is and what it is told, Linux's tcp_register_congestion_control.
// Resolved into one array sorted by name; the default is the first that is listed, before one that is only a fallback.
// TCP defines `tcp_sock` and `tcp_rate_sample` and makes the calls; the registry needs only the name and the duties.
// Linux: include/net/tcp.h (struct tcp_congestion_ops, enum tcp_ca_event, TCP_CONG_*)
#pragma once
#include <span>

#include "netstack/base/config.hpp"

namespace netstack {

struct sock;
struct tcp_rate_sample;

/// What an acknowledgment says of the round trip. Passed in registers.
struct ack_sample {
  s64 rtt_us;      ///< of the latest segment that was sent once; -1: none
  u32 pkts_acked;  ///< segments that are known to have arrived only now
};

/// What an algorithm may keep in each connection, in bytes (Linux's ICSK_CA_PRIV_SIZE).
inline constexpr std::size_t tcp_ca_priv_size = 104;
/// … of which so much lies in the sock, and what is larger beside it (tcp_worker::cas).
inline constexpr std::size_t tcp_ca_priv_inline = 32;

/// What is believed of the path.
enum class tcp_ca_state : u8 {
  open,
  disorder,  ///< something is amiss, perhaps only overtaken
  cwr,       ///< the window is being reduced without a loss: ECN
  recovery,  ///< … after a loss
  loss,      ///< the timer fired
};
/// What else happened to the window (Linux's CA_EVENT_*).
enum class ca_event : u8 {
  tx_start,      ///< data leaves, and nothing was in flight
  cwnd_restart,  ///< the window shrinks after a pause
  complete_cwr,  ///< a reduction is complete
  loss,          ///< the timer fired
};

/// As large as a power of two, so that a row is found by a shift.
template <class Net>
struct alignas(128) tcp_congestion_ops {
  char const* name = "";                    ///< at most 15 characters (TCP_CA_NAME_MAX)
  std::size_t priv_size = 0;                ///< of its state in the connection, which is zeroed before init
  void (*init)(Net&, sock&) = nullptr;      ///< optional: the connection is there, or chose it
  void (*release)(Net&, sock&) = nullptr;   ///< optional
  u32 (*ssthresh)(Net&, sock&) = nullptr;   ///< required: the threshold after a loss, in segments
  u32 (*undo_cwnd)(Net&, sock&) = nullptr;  ///< required: the window before a false alarm
  void (*cong_avoid)(Net&, sock&, u32 ack, u32 acked) = nullptr;  ///< growth on an acknowledgment
  /// Instead of it: all that an acknowledgment does to window and pacing rate, whatever the state.
  void (*cong_control)(Net&, sock&, tcp_rate_sample const&) = nullptr;
  void (*pkts_acked)(Net&, sock&, ack_sample) = nullptr;   ///< optional: before either of them
  void (*set_state)(Net&, sock&, tcp_ca_state) = nullptr;  ///< optional: before the state changes
  void (*cwnd_event)(Net&, sock&, ca_event) = nullptr;     ///< optional
  /// Optional: TCP_CC_INFO; the bytes written. Also of a socket that has no connection, and then no state of more than
  /// tcp_ca_priv_inline bytes: icsk_ca_beside.
  u32 (*get_info)(sock&, std::span<std::byte> out) = nullptr;
  bool non_restricted = false;  ///< any user may choose it
  bool needs_ecn = false;       ///< its connections ask for ECN
  bool fallback = false;        ///< the default only where there is no other
};

}  // namespace netstack
