// SPDX-License-Identifier: BSL-1.0
// Decides: the common segments of an ending, read by their words: a FIN by itself, of whom nothing was sent since, and
// what acknowledges our own, of a connection that nobody holds any more. Each is what tcp_rcv_established or
// tcp_rcv_synchronized makes of it, without what is known not to be so.
// rx: called by tcp_flow tcp_v4_next → calls tcp_queue_bare_fin, tcp_fin_heard, tcp_done, tcp_time_wait
// Linux: none (its nearest: net/ipv4/tcp_input.c tcp_rcv_established, header prediction)
// RFC 9293 §3.6, §3.10.7.4 fifth and eighth
#pragma once
#include "netstack/tcp/tcp_input.hpp"

namespace netstack {

namespace detail {

/// The next segment in order, not older than the last, that acknowledges all that was ever said, and says nothing but
/// perhaps that it is the last, while nothing is amiss. Of an open connection, one that does, and whose window is no
/// news; else of one that nobody holds: then what it acknowledges is our FIN, which has no packet. `Stamped`:
/// tstamp_ok.
template <bool Stamped>
[[nodiscard]] NETSTACK_INLINE bool tcp_is_ending(sock const& sk, sk_buff const& skb) {
  auto const& tp = tcp_sk(sk);
  using words = tcp_run_words<Stamped>;
  constexpr u32 fin = be32{u32{tcp_flag::fin} << 16}.raw(), window = be32{0xffff}.raw();
  constexpr u32 plain = be32{words::hlen / 4 << 28 | u32{tcp_flag::ack} << 16}.raw();
  constexpr tcp_marks amiss{
      .ca_state = tcp_any_ca_state, .num_sacks = 0xff, .urg_data = 0xffff, .tstamp_ok = true, .hashed = true};
  u8 const* const th = skb.data;
  if (skb.len != words::hlen || skb.is_nonlinear()) return false;
  u32 const bits = csum_load<u32>(th + 12);
  if ((bits & ~(words::psh | fin | window)) != plain || csum_load<be32>(th + 4).host() != tp.rcv_nxt ||
      words::ack_of(skb) != tp.snd_nxt || tp.write_seq != tp.snd_nxt ||
      !tp.match(amiss, {.tstamp_ok = Stamped, .hashed = true}) || tp.packets_out != 0 || tp.ofo || sk.sk_owned)
    return false;
  if (Stamped &&
      (csum_load<u32>(th + 20) != tcpopt::tstamp_lead || before(csum_load<be32>(th + 24).host(), tp.ts_recent)))
    return false;
  if (sk.sk_state == tcp_state::established)
    return (bits & fin) != 0 && u32{csum_load<be16>(th + 14).host()} << tp.snd_wscale == tp.snd_wnd;
  return tcp_in_state(sk, tcp_state::fin_wait1, tcp_state::last_ack) && tp.rare == &tcp_no_rare &&
         sock_flag(sk, sock_flags::dead);
}

/// What it means.
template <class Net>
NETSTACK_NOINLINE verdict tcp_rcv_ending(Net& net, sock& sk, sk_buff& skb) {
  auto& tp = tcp_sk(sk);
  bool const fin = (skb.data[13] & tcp_flag::fin) != 0;
  ++tp.segs_in;
  if (tp.tstamp_ok) tcp_take_ts_recent(net, tp, tp.rcv_nxt, csum_load<be32>(skb.data + 24).host());
  if (sk.sk_state == tcp_state::established) {
    tp.snd_wl1 = tp.rcv_nxt;
    verdict const v = tcp_queue_bare_fin(net, sk, skb);
    tcp_rcv_finish(net, sk);
    return v;
  }
  if (!fin) ++NET_STATS(net).TCPPureAcks;
  tcp_fin_heard(net, sk);
  if (sk.sk_state == tcp_state::last_ack) return tcp_done(net, sk), verdict::consumed();
  tcp_set_state(net, sk, tcp_state::fin_wait2);
  if (fin) return tcp_queue_bare_fin(net, sk, skb);
  tcp_time_wait(net, sk, tcp_state::fin_wait2, tcp_fin_time(net, tp));
  return verdict::consumed();
}

}  // namespace detail

}  // namespace netstack
