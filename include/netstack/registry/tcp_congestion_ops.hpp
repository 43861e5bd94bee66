// SPDX-License-Identifier: BSL-1.0
// Decides: how a congestion control algorithm is chosen by name, Linux's tcp_register_congestion_control. Resolved into
// one array sorted by name; the first that is listed is the default. TCP defines `tcp_sock` and fills the calls in; the
// registry needs only the name and the duties.
// Linux: include/net/tcp.h (struct tcp_congestion_ops)
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

struct sock;

template <class Net>
struct tcp_congestion_ops {
  char const* name = "";                                          ///< at most 15 characters (TCP_CA_NAME_MAX)
  void (*init)(Net&, sock&) = nullptr;                            ///< optional
  u32 (*ssthresh)(Net&, sock&) = nullptr;                         ///< required: the threshold after a loss, in segments
  void (*cong_avoid)(Net&, sock&, u32 ack, u32 acked) = nullptr;  ///< required: growth on an acknowledgment
  u32 (*undo_cwnd)(Net&, sock&) = nullptr;                        ///< required: the window before a false alarm
  void (*release)(Net&, sock&) = nullptr;                         ///< optional
  bool non_restricted = false;                                    ///< any user may choose it
};

}  // namespace netstack
