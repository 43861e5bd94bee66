// SPDX-License-Identifier: BSL-1.0
// Decides: what hardly any socket has, and so lies beside it: the headers of its SYN, for who accepts it to read; the
// Fast Open keys of a listener; a call that sends data with its SYN; and what a client remembers of a server.
// called by setsockopt, getsockopt, tcp_v4_conn_request, tcp_fastopen, tcp_v4_destroy_sock
// Linux: include/net/request_sock.h (struct saved_syn), include/net/tcp.h (struct tcp_fastopen_context),
// net/ipv4/tcp_metrics.c
#pragma once
#include <array>
#include <utility>

#include "netstack/base/siphash.hpp"
#include "netstack/wire/tcp_options.hpp"

namespace netstack {

class iov_iter;

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
  be32 daddr{}, saddr{};
  u64 last_syn_loss = 0;
  tcp_fastopen_cookie cookie{};
  u16 mss = 0;
  u8 syn_loss = 0;
};

/// What tcp_beside has of this slab is needed no longer.
template <class Slab>
void tcp_beside_free(Slab& slab, u8& number) {
  if (u8 const at = std::exchange(number, u8{0}); at != 0) [[unlikely]]
    slab.free(&slab.at(at - 1u));
}

}  // namespace netstack
