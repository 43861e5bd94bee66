// SPDX-License-Identifier: BSL-1.0
// Decides: the numbers of sk_state. They are TCP's, and every socket uses the few that fit it: a UDP socket is `close`
// until it is connected, then `established`. /proc shows them in hexadecimal.
// Linux: include/net/tcp_states.h
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

namespace tcp_state {
inline constexpr u8 established = 1, syn_sent = 2, syn_recv = 3, fin_wait1 = 4, fin_wait2 = 5, time_wait = 6, close = 7,
                    close_wait = 8, last_ack = 9, listen = 10, closing = 11, new_syn_recv = 12;
}

}  // namespace netstack
