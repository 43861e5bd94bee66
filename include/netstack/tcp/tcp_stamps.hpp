// SPDX-License-Identifier: BSL-1.0
// Decides: who is told when the bytes of a stream leave, and when they arrive (SO_TIMESTAMPING): the last byte of each
// call that writes is what is watched. Whoever never asked is told apart by one bit of the connection's marks, which
// sends all that he does the short way; who did once goes the long one from then on. [S28]
// tx: called by tcp_sendmsg_slow, __tcp_transmit_skb, tcp_fragment; rx: by tcp_clean_rtx_queue → error queue
// Linux: net/ipv4/tcp.c (tcp_tx_timestamp), net/ipv4/tcp_output.c (tcp_fragment_tstamp), net/ipv4/tcp_input.c
// (tcp_ack_tstamp), net/core/sock.c (sock_set_timestamping)
#pragma once
#include "netstack/core/timestamping.hpp"
#include "netstack/tcp/tcp_sock.hpp"

namespace netstack {

/// proto::timestamping. SOF_TIMESTAMPING_OPT_ID counts from the oldest byte that is not acknowledged, or with
/// OPT_ID_TCP from the next that is written. Errors: invalid_argument (there is no such byte yet).
inline result<void> tcp_set_timestamping(sock& sk, sock_rare& rare, u32 flags) {
  auto& tp = tcp_sk(sk);
  if (flags & ~rare.tsflags & sof_timestamping::opt_id) {
    if (tcp_in_state(sk, tcp_state::close, tcp_state::listen)) return failure{std::errc::invalid_argument};
    rare.tskey = flags & sof_timestamping::opt_id_tcp ? tp.write_seq : tp.snd_una;
  }
  if (flags & (sof_timestamping::tx_record_mask | sof_timestamping::tx_ack)) tp.tx_stamps = true;
  return {};
}

namespace detail {
inline void tcp_watch(sk_buff& skb, u8 tx_flags, u32 byte) {
  skb.tx_flags = tx_flags;
  skb_edit_shinfo(skb).tskey = byte;
}
}  // namespace detail

/// A call wrote what the queue ends with.
inline void tcp_tx_timestamp(sock& sk) {
  u32 const asked = sk.sk_rare->tsflags;
  sk_buff* const tail = sk.sk_write_queue.peek_tail();
  if (!tail || tail->len == 0) return;
  auto const flags =
      static_cast<u8>(sock_tx_flags(asked) | (asked & sof_timestamping::tx_ack ? skbtx::ack_tstamp : u8{0}));
  if (flags != 0) detail::tcp_watch(*tail, flags, TCP_SKB_CB(*tail).seq + tail->len - 1);
}
/// `out` leaves for a segment of the queue: whoever sends it tells of it, each time.
inline void tcp_stamps_leave(sk_buff& skb, sk_buff& out) {
  auto const flags = static_cast<u8>(skb.tx_flags & ~skbtx::ack_tstamp);
  if (flags != 0) detail::tcp_watch(out, flags, skb_shinfo(skb).tskey);
}
/// `rest` was cut off behind it.
inline void tcp_fragment_tstamp(sk_buff& skb, sk_buff& rest) {
  u32 const byte = skb_shinfo(skb).tskey;
  if (skb.tx_flags != 0 && !before(byte, TCP_SKB_CB(rest).seq))
    detail::tcp_watch(rest, std::exchange(skb.tx_flags, u8{0}), byte);
}
/// Everything up to snd_una arrived, and up to prior_una was known to have; it is still in the queue.
template <class Net>
NETSTACK_NOINLINE void tcp_ack_tstamps(Net& net, sock& sk, u32 prior_una) {
  u32 const una = tcp_sk(sk).snd_una;
  for (sk_buff* skb = sk.sk_write_queue.peek(); skb && before(TCP_SKB_CB(*skb).seq, una);
       skb = sk.sk_write_queue.after(*skb)) {
    if (!(skb->tx_flags & skbtx::ack_tstamp)) continue;
    u32 const byte = skb_shinfo(*skb).tskey;
    if (!before(byte, prior_una) && before(byte, una)) __skb_tstamp_tx(net, sk, *skb, scm_tstamp::ack);
  }
}

}  // namespace netstack
